/* SPDX-License-Identifier: Apache-2.0
 *
 * Receipts owed by brokers.
 */
#include "adapters/receipts.h"

#include "adapters/adapter.h"

#define OWED_MAX 65536u /* by one broker */
#define ASKED_PER_SECOND 256u

struct owed {
    yz_uuid message_id;
    yz_digest request, response;
    uint64_t since_mono;
    uint32_t token; /* of the fetch under way; 0: none */
    struct deadline timer;
};

static yz_bytes key_of(const struct owed *o)
{
    return yzi_bytes_digest(&o->request);
}

static void set_token(struct receipts *r, struct owed *o, uint32_t token)
{
    if (o->token) {
        yzi_table_remove(&r->asked, yzi_bytes(&o->token, sizeof o->token));
    }
    o->token = token;
    if (token && yzi_table_put(&r->asked, yzi_bytes(&o->token, sizeof o->token), o) < 0) {
        o->token = 0; /* the answer will not be known, and it is asked again */
    }
}

static void forget(struct receipts *r, struct owed *o)
{
    set_token(r, o, 0);
    yzi_deadlines_remove(&r->timers, &o->timer);
    yzi_table_remove(&r->owed, key_of(o));
    free(o);
    if (r->is_overdue && yzi_table_count(&r->owed) == 0) {
        r->is_overdue = false;
    }
}

void yzi_receipts_fini(struct receipts *r)
{
    yzi_table_fini(&r->asked, NULL);
    yzi_table_fini(&r->owed, free);
    yzi_deadlines_fini(&r->timers);
}

/* -- what is owed -- */

static int expect(struct adapter *a, struct upstream *u, const struct response_header *h,
                  const yz_digest *response)
{
    struct receipts *r = &u->receipts;
    struct owed *o = yzi_table_get(&r->owed, yzi_bytes_digest(&h->request_digest));
    if (o) { /* the same answer again, or the one of a later attempt */
        o->response = *response;
        return YZ_OK;
    }
    YZ_ENSURE(yzi_table_count(&r->owed) < OWED_MAX, YZ_EBUSY);
    YZ_TRY(yzi_alloc(1, sizeof *o, &o));
    *o = (struct owed){.message_id = h->message_id,
                       .request = h->request_digest,
                       .response = *response,
                       .since_mono = a->mono};
    int rc = yzi_deadlines_set(&r->timers, &o->timer, a->mono + RECEIPT_ASK_MS, o);
    rc = rc < 0 ? rc : yzi_table_put(&r->owed, key_of(o), o);
    if (rc < 0) {
        yzi_deadlines_remove(&r->timers, &o->timer);
        free(o);
    }
    return rc;
}

bool yzi_receipts_expect(struct adapter *a, struct upstream *u, yz_bytes response_frame)
{
    struct frame f;
    struct response_header h;
    yz_digest digest;
    if (yzi_frame_parse(response_frame, YZ_MESSAGE_MAX, &f) < 0 ||
        yzi_response_header_parse(f.header, &h) < 0) {
        return false;
    }
    yzi_frame_digest(f.header, f.block, &digest);
    return expect(a, u, &h, &digest) == YZ_OK;
}

/* -- what comes -- */

static int verify(struct adapter *a, struct upstream *u, yz_bytes bytes,
                  const struct receipt_claim *claims, size_t n)
{
    struct receipt r;
    YZ_TRY(yzi_receipt_parse(bytes, &r));
    YZ_ENSURE(a->directory, YZ_EUNAVAILABLE);
    return yzi_receipt_verify(&u->receipts.checkpoints, a->directory, u->broker, a->wall, &r,
                              claims, n);
}

static void alarm_about(const struct upstream *u, const struct log_event *event, const char *why)
{
    yzi_log(event,
            (struct log_field[]){log_bytes("broker", u->broker.v), log_str("reason", why), {0}});
}

static void take(struct adapter *a, struct upstream *u, struct owed *o, yz_bytes receipt)
{
    struct receipts *r = &u->receipts;
    const struct receipt_claim claims[] = {{ENTRY_RESPONSE, &o->response},
                                           {ENTRY_REQUEST, &o->request}};
    int rc = verify(a, u, receipt, claims, 2);
    if (rc == YZ_OK) {
        r->proved++;
        if (a->kept && yzi_kept_receipt(a->kept, &o->request, u->broker.v, receipt) < 0) {
            yzi_log(&ADAPTER_KEEP_FAILED, (struct log_field[]){log_str("what", "a receipt"), {0}});
        }
        bool was_overdue = r->is_overdue;
        forget(r, o);
        if (was_overdue && !r->is_overdue) {
            alarm_about(u, &ADAPTER_RECEIPTS_BACK, "all receipts owed have come");
        }
        return;
    }
    if (!r->is_false) {
        alarm_about(u, &ADAPTER_RECEIPT_FALSE, yz_err_name(rc));
    }
    r->is_false = true;
}

void yzi_receipts_on_frame(struct adapter *a, struct upstream *u, const struct frame *f)
{
    struct receipt_for of;
    if (yzi_receipt_for_parse(f->header, &of) < 0) {
        return;
    }
    struct owed *o = yzi_table_get(&u->receipts.owed, yzi_bytes_digest(&of.request_digest));
    if (o) { /* otherwise it came twice */
        take(a, u, o, f->payload);
    }
}

void yzi_receipts_on_object(struct adapter *a, struct upstream *u, const struct object *object,
                            yz_bytes receipt)
{
    struct owed *o =
        yzi_table_get(&u->receipts.asked, yzi_bytes(&object->token, sizeof object->token));
    if (!o) {
        return;
    }
    set_token(&u->receipts, o, 0);
    if (object->found) {
        take(a, u, o, receipt);
        return;
    }
    /* It never became an entry, so an honest broker never delivered it, and no consumer takes it
     * from another: the answer was lost on the way. */
    u->receipts.missed++;
    yzi_log(&ADAPTER_ANSWER_UNLOGGED, (struct log_field[]){log_bytes("broker", u->broker.v), {0}});
    forget(&u->receipts, o);
}

/* -- asking -- */

static void ask(struct upstream *u, struct owed *o)
{
    uint8_t name[sizeof o->message_id.b + sizeof o->response.b];
    memcpy(name, o->message_id.b, sizeof o->message_id.b);
    memcpy(name + sizeof o->message_id.b, o->response.b, sizeof o->response.b);
    uint32_t token = 0;
    if (u->up &&
        yzi_session_fetch(u->session, FETCH_RECEIPT, yzi_bytes(name, sizeof name), &token) < 0) {
        token = 0; /* next time */
    }
    set_token(&u->receipts, o, token);
}

static void check_overdue(struct adapter *a, struct upstream *u, const struct owed *o)
{
    struct receipts *r = &u->receipts;
    if (u->up && a->mono - o->since_mono >= RECEIPT_ALARM_MS && !r->is_overdue) {
        r->is_overdue = true;
        alarm_about(u, &ADAPTER_RECEIPT_MISSING,
                    "no receipt came for an answer it took; it gets no more answers until it does");
    }
}

void yzi_receipts_step(struct adapter *a, struct upstream *u)
{
    struct receipts *r = &u->receipts;
    struct owed *o;
    for (unsigned n = 0;
         n < ASKED_PER_SECOND && (o = yzi_deadlines_take(&r->timers, a->mono)) != NULL; n++) {
        check_overdue(a, u, o);
        ask(u, o);
        /* it is in no heap now, so there is room for it */
        yz_ignore(yzi_deadlines_set(&r->timers, &o->timer, a->mono + RECEIPT_ASK_MS, o),
                  "it was just taken out");
    }
}

void yzi_receipts_up(struct adapter *a, struct upstream *u)
{
    struct receipts *r = &u->receipts;
    for (struct table_item *i = yzi_table_first(&r->owed); i; i = yzi_table_next(i)) {
        struct owed *o = yzi_table_value(i);
        set_token(r, o, 0);
        o->since_mono = a->mono; /* what was not there could not bring it */
        yz_ignore(yzi_deadlines_set(&r->timers, &o->timer, a->mono, o), "moving needs no memory");
    }
    yzi_receipts_step(a, u);
}
