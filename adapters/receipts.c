/* SPDX-License-Identifier: Apache-2.0
 *
 * Receipts owed by brokers. A request may be answered anew before its first answer is proved (one
 * sealed to a key that is gone, twice), so what is owed for it is a list: a receipt of any of them
 * is true.
 */
#include "adapters/receipts.h"

#include "adapters/adapter.h"

#define ASKED_PER_SECOND 256u
#define ASKS 2u /* unanswered, before the alarm: after a pause of ours all seems late */
#define NOES 2u /* until it is believed: the first may have been said before the commit */
/* Fetches whose answer still counts: a broker may be slower than we ask, until the alarm. */
#define TOKENS (RECEIPT_ALARM_MS / RECEIPT_ASK_MS)

struct owed {
    yz_uuid message_id;
    yz_digest request;
    yz_digest responses[RECEIPT_ANSWERS_MAX]; /* oldest first */
    unsigned responses_n;
    unsigned asks;           /* for the oldest, not answered */
    unsigned noes;           /* about it */
    bool doubted;            /* a receipt came by a key that is not known: perhaps not yet */
    uint64_t since;          /* the broker's time of being there */
    uint32_t tokens[TOKENS]; /* of fetches under way, in turn; 0: none */
    unsigned next_token;
    struct deadline timer;
};

static yz_bytes key_of(const struct owed *o)
{
    return yzi_bytes_digest(&o->request);
}

/* How long this broker was there, in all: going away does not put off what it owes. */
static uint64_t time_up(const struct adapter *a, const struct receipts *r)
{
    return r->up_ms + (r->is_up ? a->mono - r->up_since : 0);
}

static void alarm_about(const struct upstream *u, const struct log_event *event, const char *why)
{
    yzi_log(event,
            (struct log_field[]){log_bytes("broker", u->broker.v), log_str("reason", why), {0}});
}

static void drop_token(struct receipts *r, uint32_t *token)
{
    if (*token) {
        yzi_table_remove(&r->asked, yzi_bytes(token, sizeof *token));
        *token = 0;
    }
}

/* Answers to what was asked so far count no longer. */
static void drop_tokens(struct receipts *r, struct owed *o)
{
    for (unsigned i = 0; i < TOKENS; i++) {
        drop_token(r, &o->tokens[i]);
    }
}

static void add_token(struct receipts *r, struct owed *o, uint32_t token)
{
    uint32_t *place = &o->tokens[o->next_token++ % TOKENS];
    drop_token(r, place);
    *place = token;
    if (yzi_table_put(&r->asked, yzi_bytes(place, sizeof *place), o) < 0) {
        *place = 0; /* the answer will not be known, and it is asked again */
    }
}

static void forget(struct upstream *u, struct owed *o)
{
    struct receipts *r = &u->receipts;
    drop_tokens(r, o);
    yzi_deadlines_remove(&r->timers, &o->timer);
    yzi_table_remove(&r->owed, key_of(o));
    free(o);
    if (r->is_overdue && yzi_table_count(&r->owed) == 0) {
        r->is_overdue = false;
        if (!r->is_false) {
            alarm_about(u, &ADAPTER_RECEIPTS_BACK, "nothing is owed any more");
        }
    }
}

/* Response `i` is owed no longer. */
static void settle(struct adapter *a, struct upstream *u, struct owed *o, unsigned i)
{
    if (i == 0) { /* what is under way asks for that one */
        drop_tokens(&u->receipts, o);
        o->asks = o->noes = 0;
    }
    memmove(&o->responses[i], &o->responses[i + 1],
            (--o->responses_n - i) * sizeof o->responses[0]);
    o->doubted = false;
    o->since = time_up(a, &u->receipts);
    if (o->responses_n == 0) {
        forget(u, o);
    }
}

void yzi_receipts_fini(struct receipts *r)
{
    yzi_table_fini(&r->asked, NULL);
    yzi_table_fini(&r->owed, free);
    yzi_deadlines_fini(&r->timers);
}

/* -- what is owed -- */

static int add_owed(struct adapter *a, struct receipts *r, const struct response_header *h,
                    struct owed **out)
{
    struct owed *o;
    YZ_ENSURE(yzi_table_count(&r->owed) < RECEIPTS_OWED_MAX, YZ_EBUSY);
    YZ_TRY(yzi_alloc(1, sizeof *o, &o));
    *o = (struct owed){
        .message_id = h->message_id, .request = h->request_digest, .since = time_up(a, r)};
    int rc = yzi_deadlines_set(&r->timers, &o->timer, a->mono + RECEIPT_ASK_MS, o);
    rc = rc < 0 ? rc : yzi_table_put(&r->owed, key_of(o), o);
    if (rc < 0) {
        yzi_deadlines_remove(&r->timers, &o->timer);
        free(o);
        return rc;
    }
    *out = o;
    return YZ_OK;
}

static int find_response(const struct owed *o, const yz_digest *response)
{
    for (unsigned i = 0; i < o->responses_n; i++) {
        if (yzi_digest_eq(&o->responses[i], response)) {
            return (int)i;
        }
    }
    return -1;
}

static int expect(struct adapter *a, struct upstream *u, const struct response_header *h,
                  const yz_digest *response)
{
    struct receipts *r = &u->receipts;
    struct owed *o = yzi_table_get(&r->owed, yzi_bytes_digest(&h->request_digest));
    if (!o) {
        YZ_TRY(add_owed(a, r, h, &o));
    }
    if (find_response(o, response) >= 0) {
        return YZ_OK; /* the same answer again */
    }
    YZ_ENSURE(o->responses_n < RECEIPT_ANSWERS_MAX, YZ_EBUSY);
    o->responses[o->responses_n++] = *response;
    return YZ_OK;
}

static int read_response(yz_bytes response_frame, struct response_header *h, yz_digest *digest)
{
    struct frame f;
    YZ_TRY(yzi_frame_parse(response_frame, YZ_MESSAGE_MAX, &f));
    YZ_TRY(yzi_response_header_parse(f.header, h));
    yzi_frame_digest(f.header, f.block, digest);
    return YZ_OK;
}

bool yzi_receipts_expect(struct adapter *a, struct upstream *u, yz_bytes response_frame,
                         bool *out_new)
{
    struct response_header h;
    yz_digest digest;
    if (read_response(response_frame, &h, &digest) < 0) {
        return false;
    }
    const struct owed *o = yzi_table_get(&u->receipts.owed, yzi_bytes_digest(&h.request_digest));
    *out_new = !o || find_response(o, &digest) < 0;
    return expect(a, u, &h, &digest) == YZ_OK;
}

void yzi_receipts_not_sent(struct adapter *a, struct upstream *u, yz_bytes response_frame)
{
    struct response_header h;
    yz_digest digest;
    if (read_response(response_frame, &h, &digest) < 0) {
        return;
    }
    struct owed *o = yzi_table_get(&u->receipts.owed, yzi_bytes_digest(&h.request_digest));
    int i = o ? find_response(o, &digest) : -1;
    if (i >= 0) {
        settle(a, u, o, (unsigned)i);
    }
}

/* -- what comes -- */

static int verify(struct adapter *a, struct upstream *u, const struct owed *o, yz_bytes bytes,
                  unsigned *out_response)
{
    struct receipt r;
    int rc = YZ_EMALFORMED;
    YZ_TRY(yzi_receipt_parse(bytes, &r));
    YZ_ENSURE(a->directory, YZ_EUNAVAILABLE);
    for (unsigned i = 0; i < o->responses_n; i++) {
        const struct receipt_claim claims[] = {{ENTRY_RESPONSE, &o->responses[i]},
                                               {ENTRY_REQUEST, &o->request}};
        rc = yzi_receipt_verify(&u->receipts.checkpoints, a->directory, u->broker, a->wall, &r,
                                claims, 2);
        if (rc == YZ_OK && u->session) {
            rc = yzi_session_saw_receipt(u->session, &r);
        }
        *out_response = i;
        if (rc != YZ_ENOTFOUND && rc != YZ_ESIGNATURE) {
            return rc; /* of another answer's entries it would have been one of these */
        }
    }
    return rc;
}

static void take_proved(struct adapter *a, struct upstream *u, struct owed *o, unsigned response,
                        yz_bytes receipt)
{
    u->receipts.proved++;
    if (a->kept && yzi_kept_receipt(a->kept, &o->request, u->broker.v, receipt) < 0) {
        yzi_log(&ADAPTER_KEEP_FAILED, (struct log_field[]){log_str("what", "a receipt"), {0}});
    }
    settle(a, u, o, response);
}

static void take(struct adapter *a, struct upstream *u, struct owed *o, yz_bytes receipt)
{
    struct receipts *r = &u->receipts;
    unsigned response = 0;
    int rc = verify(a, u, o, receipt, &response);
    if (rc == YZ_OK) {
        take_proved(a, u, o, response, receipt);
        return;
    }
    if (rc == YZ_ENOMEM || rc == YZ_EUNAVAILABLE) {
        return; /* not judged: it is asked for again */
    }
    if ((rc == YZ_EUNKNOWNKEY || rc == YZ_EEXPIRED) && !o->doubted) {
        o->doubted = true; /* a new key, and its directory on the way: until it is asked again */
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
    /* What else was asked before this was heard may have been looked at together with it. */
    drop_tokens(&u->receipts, o);
    if (object->found) {
        take(a, u, o, receipt);
        return;
    }
    o->asks = 0;
    if (++o->noes < NOES) {
        return;
    }
    /* It never became an entry, so an honest broker never delivered it, and no consumer takes it
     * from another: the answer was lost on the way. */
    u->receipts.missed++;
    yzi_log(&ADAPTER_ANSWER_UNLOGGED, (struct log_field[]){log_bytes("broker", u->broker.v), {0}});
    settle(a, u, o, 0);
}

/* -- asking -- */

static void ask(struct upstream *u, struct owed *o)
{
    uint8_t name[sizeof o->message_id.b + sizeof o->responses[0].b];
    memcpy(name, o->message_id.b, sizeof o->message_id.b);
    memcpy(name + sizeof o->message_id.b, o->responses[0].b, sizeof o->responses[0].b);
    uint32_t token;
    if (u->up && yzi_session_fetch(u->session, FETCH_RECEIPT, yzi_bytes(name, sizeof name),
                                   &token) == YZ_OK) { /* else next time */
        o->asks++;
        add_token(&u->receipts, o, token);
    }
}

static void check_overdue(struct adapter *a, struct upstream *u, const struct owed *o)
{
    struct receipts *r = &u->receipts;
    if (u->up && o->asks >= ASKS && time_up(a, r) - o->since >= RECEIPT_ALARM_MS &&
        !r->is_overdue) {
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
    yzi_receipts_down(a, u);
    r->is_up = true;
    r->up_since = a->mono;
    for (struct table_item *i = yzi_table_first(&r->owed); i; i = yzi_table_next(i)) {
        struct owed *o = yzi_table_value(i);
        drop_tokens(r, o);
        yz_ignore(yzi_deadlines_set(&r->timers, &o->timer, a->mono, o), "moving needs no memory");
    }
    yzi_receipts_step(a, u);
}

void yzi_receipts_down(struct adapter *a, struct upstream *u)
{
    struct receipts *r = &u->receipts;
    r->up_ms = time_up(a, r);
    r->is_up = false;
}
