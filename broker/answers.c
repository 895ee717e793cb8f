/* SPDX-License-Identifier: Apache-2.0
 *
 * How exchanges end: with the adapter's verified answer, or with an outcome that the broker signs.
 * An exchange ends exactly once, here.
 */
#include "broker/broker.h"

#define RETRY_AFTER_MAX_MS 60000u

/* -- ends -- */

/* The adapter has it no longer. */
static void release_adapter(struct broker *b, struct exchange *x)
{
    if (!x->forwarded) {
        return;
    }
    x->forwarded = false;
    struct connection *k = yzi_connection_find(&b->connections, &x->adapter);
    if (k && k->outstanding) {
        k->outstanding--;
    }
}

static void leave_the_refused(struct broker *b, struct exchange *x)
{
    if (b->refused != x && !x->prev_refused) {
        return;
    }
    *(x->prev_refused ? &x->prev_refused->next_refused : &b->refused) = x->next_refused;
    if (x->next_refused) {
        x->next_refused->prev_refused = x->prev_refused;
    }
    b->refused_bytes -= x->message.bytes.n;
}

void yzi_broker_end(struct broker *b, struct exchange *x)
{
    release_adapter(b, x);
    leave_the_refused(b, x);
    yzi_exchange_end(&b->exchanges, x);
}

bool yzi_broker_consumer_is_live(struct broker *b, const struct exchange *x)
{
    struct connection *k = yzi_connection_find(&b->connections, &x->consumer);
    return k && yzi_connection_check(&b->connections, k, b->directory, b->wall, b->mono) &&
           yzi_bytes_eq(k->peer.node.v, x->request.header.node.v) &&
           yzi_directory_speaks_for(&k->peer, x->request.header.consumer);
}

static void log_refused(struct broker *b, const struct exchange *x, struct node_load *asker,
                        const struct outcome_words *w)
{
    if (yzi_broker_may_log(b, asker)) {
        yzi_log(&EV_REQUEST_REFUSED,
                (struct log_field[]){log_bytes("peer", x->request.header.node.v),
                                     log_bytes("service", x->request.header.service.v),
                                     log_str("status", yzi_outcome_status_name(w->status)),
                                     log_bytes("reason", w->reason),
                                     log_bytes("rule", w->rule),
                                     {0}});
    }
}

/* "Unavailable" and "busy" invite the caller to ask anew, with another message. Of a write that an
 * adapter has had, nobody knows whether it was executed, and only "timeout" says that. */
static struct outcome_words truly(const struct exchange *x, const struct outcome_words *w)
{
    struct outcome_words true_words = *w;
    if (x->in_doubt && (w->status == OUTCOME_UNAVAILABLE || w->status == OUTCOME_BUSY)) {
        true_words.status = OUTCOME_TIMEOUT;
        true_words.retry_after_ms = 0;
    }
    return true_words;
}

void yzi_broker_finish_unlogged(struct broker *b, struct exchange *x,
                                const struct outcome_words *words)
{
    struct outcome_words w = truly(x, words);
    log_refused(b, x, x->asker, &w);
    if (yzi_broker_consumer_is_live(b, x)) {
        yzi_broker_outcome(b, &x->consumer, &x->request.header.message_id, &x->request.digest, &w);
    }
    yzi_broker_end(b, x);
}

void yzi_broker_finish(struct broker *b, struct exchange *x, const struct outcome_words *words)
{
    struct outcome_words w = truly(x, words);
    struct node_load *asker = x->asker; /* which what is held may forget */
    release_adapter(b, x);
    if (yzi_broker_outcome_write(b, &x->request.header.message_id, &x->request.digest, &w) ==
            YZ_OK &&
        yzi_broker_hold(b, x, ENTRY_OUTCOME, yzi_bytes_buf(&b->out)) == YZ_OK) {
        log_refused(b, x, asker, &w);
        yzi_metric_add(&b->metrics.outcomes[w.status], 1);
        return;
    }
    yzi_broker_finish_unlogged(b, x, &w);
}

void yzi_broker_retry_elsewhere(struct broker *b, struct exchange *x,
                                const struct outcome_words *otherwise)
{
    release_adapter(b, x);
    if (x->service->mode == SERVICE_READ) {
        yzi_broker_forward(b, x, otherwise);
    } else {
        yzi_broker_finish(b, x, otherwise);
    }
}

void yzi_broker_expire(struct broker *b)
{
    const struct outcome_words w = {.status = OUTCOME_TIMEOUT,
                                    .reason = yzi_bytes_str("no-answer-in-time")};
    struct exchange *x;
    while ((x = yzi_deadlines_take(&b->exchanges.timers, b->mono)) != NULL) {
        yzi_broker_finish(b, x, &w);
    }
}

/* -- responses -- */

static void bad_response(struct broker *b, struct connection *k, const char *why)
{
    yzi_metric_add(&b->metrics.responses_bad, 1);
    if (yzi_broker_may_log(b, k->load)) {
        yzi_log(&EV_RESPONSE_BAD,
                (struct log_field[]){log_str("peer", k->node), log_str("reason", why), {0}});
    }
}

/* Did this adapter have the request from us, over whichever connection? */
static bool was_asked(const struct exchange *x, const struct connection *k)
{
    const struct request_header *q = &x->request.header;
    for (unsigned i = 0; i < q->slots_n; i++) {
        if (x->tried & (1u << i) && yzi_bytes_eq(q->slots[i].adapter.v, k->peer.node.v)) {
            return true;
        }
    }
    return false;
}

static bool has_it_now(const struct exchange *x, const struct connection *k)
{
    return x->forwarded &&
           yzi_bytes_eq(yzi_connection_bytes(&x->adapter), yzi_connection_bytes(&k->id));
}

/* An honest adapter is late when its consumer's time was short, or another one's answer came first:
 * that is no fault of its. */
static void late_response(struct broker *b, struct connection *k)
{
    yzi_metric_add(&b->metrics.responses_late, 1);
    if (yzi_broker_may_log(b, k->load)) {
        yzi_log(&EV_RESPONSE_LATE, (struct log_field[]){log_str("peer", k->node), {0}});
    }
}

/* The exchange under way that this adapter was asked to answer; NULL (and logged) when there is
 * none. It may be with another adapter now, because this one's connection was lost meanwhile. */
static struct exchange *find_answered(struct broker *b, struct connection *k,
                                      const yz_digest *request_digest)
{
    struct exchange *x = yzi_exchange_find(&b->exchanges, request_digest);
    if (x && !was_asked(x, k)) {
        bad_response(b, k, "not the adapter that was asked");
        yzi_broker_fault(b, k);
        return NULL;
    }
    if (!x || !x->forwarded) { /* it has ended, or waits for the log to end */
        late_response(b, k);
        return NULL;
    }
    return x;
}

/* All that a broker can tell of an exchange: who asked whom, why, when, how much. */
static void log_done(const struct broker *b, const struct exchange *x, const struct frame *f,
                     const struct response_header *h)
{
    const struct request_header *q = &x->request.header;
    char id[YZ_UUID_TEXT];
    yzi_uuid_format(&q->message_id, id);
    yzi_log(&EV_EXCHANGE_DONE,
            (struct log_field[]){log_str("id", id),
                                 log_bytes("node", q->node.v),
                                 log_bytes("consumer", q->consumer.v),
                                 log_bytes("service", q->service.v),
                                 log_bytes("purpose", q->purpose),
                                 log_bytes("adapter", h->node.v),
                                 log_str("status", yzi_response_status_name(h->status)),
                                 log_num("request_bytes", (int64_t)x->message.bytes.n),
                                 log_num("response_bytes", (int64_t)f->raw.n),
                                 log_num("ms", (int64_t)(b->mono - x->arrival_mono)),
                                 {0}});
}

/* The answer cannot wait for the log here. Asked again, the adapter gives the same. */
static void refuse_to_hold(struct broker *b, struct exchange *x, int rc)
{
    static const uint32_t retry_after_ms = 100;
    struct outcome_words w = {.status = OUTCOME_UNAVAILABLE,
                              .reason = yzi_bytes_str("evidence-log")};
    if (rc == YZ_ELIMIT) {
        w = (struct outcome_words){.status = OUTCOME_BUSY,
                                   .reason = yzi_bytes_str("limit"),
                                   .rule = yzi_bytes_str("in-flight-bytes"),
                                   .retry_after_ms = retry_after_ms};
    }
    yzi_broker_finish_unlogged(b, x, &w);
}

void yzi_broker_on_response(struct broker *b, struct connection *k, const struct frame *f)
{
    struct response_header h;
    if (yzi_response_header_parse(f->header, &h) < 0) {
        bad_response(b, k, "the header does not parse");
        yzi_broker_fault(b, k);
        return;
    }
    struct exchange *x = find_answered(b, k, &h.request_digest);
    if (!x) {
        return;
    }
    struct judge judge = yzi_broker_judge(b);
    struct verified_response verified;
    int rc = !yzi_broker_may_verify(b, k)
                 ? YZ_EBUSY
                 : yzi_response_verify(&judge, &k->roots, f, &x->request.header, &x->request.digest,
                                       &k->peer, &verified);
    if (rc == YZ_OK) {
        yzi_broker_verified(k);
    } else {
        bad_response(b, k, yz_err_name(rc));
        yzi_broker_fault(b, k);
        struct outcome_words w = {.status = OUTCOME_UNAVAILABLE,
                                  .reason = yzi_bytes_str("bad-answer")};
        if (has_it_now(x, k)) {
            yzi_broker_retry_elsewhere(b, x, &w);
        }
        return;
    }
    log_done(b, x, f, &h);
    if (h.has_broker && yzi_bytes_eq(h.broker.node.v, b->node.v)) {
        yzi_broker_shown(b, &h.broker.checkpoint);
    }
    release_adapter(b, x);
    x->adapter = k->id; /* whose receipt it is */
    rc = yzi_broker_hold(b, x, ENTRY_RESPONSE, f->raw);
    if (rc < 0) {
        refuse_to_hold(b, x, rc);
    }
}

void yzi_broker_on_reject(struct broker *b, struct connection *k, const struct frame *f)
{
    struct reject r;
    if (yzi_reject_parse(f->header, &r) < 0) {
        yzi_metric_add(&b->metrics.messages_bad, 1);
        yzi_broker_fault(b, k);
        return;
    }
    struct exchange *x = find_answered(b, k, &r.request_digest);
    if (!x || !has_it_now(x, k)) {
        return;
    }
    /* What an adapter says here is a hint, not a provider's answer: only "not now" and "not me"
     * are passed on in the broker's own words. */
    bool busy = r.status == OUTCOME_BUSY;
    uint32_t wait = r.retry_after_ms < RETRY_AFTER_MAX_MS ? r.retry_after_ms : RETRY_AFTER_MAX_MS;
    struct outcome_words w = {.status = busy ? OUTCOME_BUSY : OUTCOME_UNAVAILABLE,
                              .reason = yzi_bytes_str(busy ? "adapter-busy" : "adapter-refused"),
                              .retry_after_ms = busy ? wait : 0};
    if (yzi_broker_may_log(b, k->load)) {
        yzi_log(&EV_REQUEST_REJECTED,
                (struct log_field[]){log_str("peer", k->node),
                                     log_str("status", yzi_outcome_status_name(r.status)),
                                     log_bytes("reason", r.reason),
                                     {0}});
    }
    x->in_doubt = false; /* it says that it did not act on it */
    yzi_broker_retry_elsewhere(b, x, &w);
}
