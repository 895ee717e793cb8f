/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission and routing of requests, in the order of docs/protocol.md, "Admission": who sent it;
 * the ladder's first step (header, sender, times); replay; the ladder's second step (signature,
 * payload digest); the coarse grant; rate and limits. What passes becomes an exchange and goes to
 * the least loaded live adapter among the slots.
 */
#include "broker/broker.h"

#define RETRY_AFTER_BUSY_MS 100u
#define PARK_MS 1000u

static struct outcome_words words(enum outcome_status status, const char *reason)
{
    return (struct outcome_words){.status = status, .reason = yzi_bytes_str(reason)};
}

static struct outcome_words busy(const char *limit)
{
    return (struct outcome_words){.status = OUTCOME_BUSY,
                                  .reason = yzi_bytes_str("limit"),
                                  .rule = yzi_bytes_str(limit),
                                  .retry_after_ms = RETRY_AFTER_BUSY_MS};
}

/* Answer a request that never became an exchange. The peer is known, so it gets an outcome. */
static void refuse(struct broker *b, struct connection *k, struct exchange *x,
                   const struct outcome_words *w)
{
    yz_digest digest;
    yzi_frame_digest(x->request.frame.header, x->request.frame.block, &digest);
    yz_uuid id = {0};
    if (yzi_request_header_peek_id(x->request.frame.header, &id)) {
        yzi_broker_outcome(b, &k->id, &id, &digest, w);
    }
    yzi_log(&EV_REQUEST_REFUSED,
            (struct log_field[]){log_str("peer", k->node),
                                 log_str("status", yzi_outcome_status_name(w->status)),
                                 log_bytes("reason", w->reason),
                                 log_bytes("rule", w->rule),
                                 {0}});
    yzi_exchange_end(&b->exchanges, x);
}

/* What was not accepted must not occupy its id: it may be sent again, or, when its signature is
 * wrong, a genuine message may have the same id. */
static void forget_id(struct broker *b, const struct exchange *x)
{
    if (x->new_id) {
        yzi_replay_forget(b->replay, x->request.header.node, &x->request.header.message_id);
    }
}

/* A token bucket that holds one second's worth. */
static bool rate_is_exceeded(const struct broker *b, struct connection *k)
{
    double rate = (double)b->config->limits.rate_per_peer;
    if (rate <= 0) {
        return false;
    }
    if (k->tokens_mono == 0) {
        k->tokens = rate;
    } else {
        k->tokens += rate * (double)(b->mono - k->tokens_mono) / 1000.0;
        k->tokens = k->tokens > rate ? rate : k->tokens;
    }
    k->tokens_mono = b->mono;
    if (k->tokens < 1.0) {
        return true;
    }
    k->tokens -= 1.0;
    return false;
}

/* The sender knows a newer directory: ask for it and look at the request again when it is here. */
static bool park(struct broker *b, struct connection *k, struct exchange *x)
{
    uint64_t version = x->request.header.directory_version;
    if (!b->directory || version <= yzi_directory_version(b->directory) ||
        b->parked_n == BROKER_PARKED_MAX) {
        return false;
    }
    yzi_broker_ask_directory(b, k, version);
    struct parked *p = &b->parked[b->parked_n++];
    *p = (struct parked){.from = k->id, .until_mono = b->mono + PARK_MS};
    memcpy(p->key, k->key, sizeof p->key);
    yzi_message_move(&p->message, &x->message);
    yzi_exchange_end(&b->exchanges, x);
    return true;
}

/* Has this id been seen? True when the request goes on to be judged; otherwise it was dealt with.
 */
static bool passes_replay(struct broker *b, struct connection *k, struct exchange *x)
{
    const struct request_header *h = &x->request.header;
    enum replay_verdict seen;
    uint64_t until = h->expires_at + b->config->limits.skew;
    int rc = yzi_replay_check(b->replay, h->node, &h->message_id, &x->request.digest, until,
                              b->wall, &seen);
    if (rc < 0) {
        struct outcome_words w = busy("remembered-ids");
        refuse(b, k, x, &w);
        return false;
    }
    if (seen == REPLAY_NEW) {
        x->new_id = true;
        return true;
    }
    if (seen != REPLAY_AGAIN) {
        struct outcome_words w = seen == REPLAY_CONFLICT ? words(OUTCOME_ID_CONFLICT, "other-bytes")
                                                         : words(OUTCOME_REPLAYED, "too-often");
        refuse(b, k, x, &w);
        return false;
    }
    yzi_metric_add(&b->metrics.retries, 1);
    struct exchange *running = yzi_exchange_find(&b->exchanges, &x->request.digest);
    if (!running) {
        return true; /* it ended; the adapter answers from memory */
    }
    /* The sender reconnected: the answer goes where it now listens. That is safe before the
     * signature is checked, because the peer is the very node whose verified request this is, byte
     * for byte. */
    struct connection *before = yzi_connection_find(&b->connections, &running->consumer);
    if (before) {
        before->in_flight--;
    }
    k->in_flight++;
    running->consumer = k->id;
    yzi_exchange_end(&b->exchanges, x);
    return false;
}

static bool passes_grant(struct broker *b, struct connection *k, struct exchange *x)
{
    const struct request_header *h = &x->request.header;
    struct coarse_decision decision = {0};
    yzi_offers_may_call(b->offers, b->directory, h->consumer, h->service, b->wall, &decision);
    if (decision.status != 0) {
        YZ_AUTO(yzi_buf_fini) yz_buf rule;
        yzi_buf_init(&rule, YZ_RULE_MAX);
        yz_ignore(yzi_coarse_rule(&decision, &rule), "the reason stands without it");
        struct outcome_words w = words(decision.status, decision.reason);
        w.rule = yzi_bytes_buf(&rule);
        refuse(b, k, x, &w);
        return false;
    }
    if (decision.strict || decision.service->mode != SERVICE_READ) {
        struct outcome_words w = words(OUTCOME_UNAVAILABLE, "needs-evidence-log");
        refuse(b, k, x, &w);
        return false;
    }
    yzi_offer_ref(decision.offer);
    x->offer = decision.offer;
    x->service = decision.service;
    return true;
}

static bool passes_limits(struct broker *b, struct connection *k, struct exchange *x)
{
    const char *limit = NULL;
    if (rate_is_exceeded(b, k)) {
        limit = "rate-per-peer";
    } else if (k->in_flight >= b->config->limits.in_flight_per_peer) {
        limit = "in-flight-per-peer";
    } else {
        const struct request_header *h = &x->request.header;
        uint64_t life = h->expires_at - h->issued_at;
        x->arrival_mono = b->mono;
        x->deadline_mono = b->mono + life;
        if (yzi_exchange_track(&b->exchanges, x, &limit) < 0 && !limit) {
            limit = "memory";
        }
    }
    if (limit) {
        forget_id(b, x);
        struct outcome_words w = busy(limit);
        refuse(b, k, x, &w);
        return false;
    }
    return true;
}

static bool names_this_broker(const struct broker *b, const struct request_header *h)
{
    for (unsigned i = 0; i < h->brokers_n; i++) {
        if (yzi_bytes_eq(h->brokers[i].node.v, b->node.v)) {
            return true;
        }
    }
    return false;
}

/* Everything but the replay check that needs no signature. */
static bool passes_first_step(struct broker *b, struct connection *k, struct exchange *x,
                              bool parked_before)
{
    struct outcome_words w = {0};
    struct judge judge = yzi_broker_judge(b);
    struct verdict v = yzi_request_admit(&judge, &x->request.frame, &k->peer, &x->request);
    bool lagging = v.status == 0 || v.status == OUTCOME_WRONG_SENDER;
    if (lagging && !parked_before && x->request.header.directory_version && park(b, k, x)) {
        return false;
    }
    if (v.status != 0) {
        w = words(v.status, v.reason);
    } else if (!names_this_broker(b, &x->request.header)) {
        w = words(OUTCOME_WRONG_SENDER, "other-broker");
    } else if (b->draining) {
        w = words(OUTCOME_UNAVAILABLE, "draining");
    } else if (yzi_trust_state(b->trust, NULL) == TRUST_EXPIRED) {
        w = words(OUTCOME_STALE_DIRECTORY, "freshness");
    } else {
        return true;
    }
    refuse(b, k, x, &w);
    return false;
}

static bool passes_second_step(struct broker *b, struct connection *k, struct exchange *x)
{
    struct judge judge = yzi_broker_judge(b);
    uint64_t hits = k->roots.hits;
    struct verdict v = yzi_request_verify(&judge, &k->roots, &x->request);
    yzi_metric_add(&b->metrics.root_hits, k->roots.hits - hits);
    if (v.status == 0) {
        return true;
    }
    forget_id(b, x);
    struct outcome_words w = words(v.status, v.reason);
    refuse(b, k, x, &w);
    return false;
}

void yzi_broker_on_request(struct broker *b, struct connection *k, struct message *m,
                           bool parked_before)
{
    yzi_metric_add(&b->metrics.requests, 1);
    struct exchange *x;
    if (yzi_exchange_new(m, &x) < 0) {
        return; /* no memory even for a refusal: a local time-out at the sender */
    }
    /* parse again: the exchange owns the bytes now */
    if (yzi_frame_parse(x->message.bytes, b->config->limits.message, &x->request.frame) < 0) {
        yzi_exchange_end(&b->exchanges, x);
        return;
    }
    x->consumer = k->id;
    x->directory = b->directory;
    yzi_directory_ref(b->directory);
    if (passes_first_step(b, k, x, parked_before) && passes_replay(b, k, x) &&
        passes_second_step(b, k, x) && passes_grant(b, k, x) && passes_limits(b, k, x)) {
        k->in_flight++;
        yzi_broker_forward(b, x);
    }
}

/* -- routing -- */

static bool hosts(const struct offered_service *service, yz_node_id adapter)
{
    for (size_t i = 0; i < service->adapters.n; i++) {
        if (yzi_bytes_eq(service->adapters.items[i], adapter.v)) {
            return true;
        }
    }
    return false;
}

/* The untried slot whose live adapter has the least outstanding; -1 when there is none. */
static int choose_slot(struct broker *b, const struct exchange *x, struct connection **out)
{
    const struct request_header *h = &x->request.header;
    int best = -1;
    for (unsigned i = 0; i < h->slots_n; i++) {
        if (x->tried & (1u << i) || !hosts(x->service, h->slots[i].adapter)) {
            continue;
        }
        struct connection *k = yzi_connection_of_node(&b->connections, h->slots[i].adapter);
        if (!k || !yzi_connection_check(&b->connections, k, b->directory, b->wall, b->mono)) {
            continue;
        }
        if (best < 0 || k->outstanding < (*out)->outstanding) {
            best = (int)i;
            *out = k;
        }
    }
    return best;
}

/* Write the request with the time left; false when it could not be handed over. */
static bool hand_over(struct broker *b, struct exchange *x, struct connection *k)
{
    const struct frame *f = &x->request.frame;
    struct hop hop = {.has_time_left = true,
                      .time_left_ms = (uint32_t)(x->deadline_mono - b->mono)};
    uint8_t hop_bytes[64];
    yz_buf hop_buf = {hop_bytes, 0, sizeof hop_bytes, sizeof hop_bytes};
    yzi_buf_clear(&b->out);
    if (yzi_hop_write(&hop, &hop_buf) < 0 ||
        yzi_frame_write(FRAME_REQUEST, f->header, f->block, f->payload, yzi_bytes_buf(&hop_buf),
                        &b->out) < 0) {
        return false;
    }
    int rc = yzi_server_send(b->server, &k->id, yzi_bytes_buf(&b->out));
    if (rc == YZ_ECLOSED) {
        yzi_broker_connection_lost(b, k, "gone");
    }
    return rc == YZ_OK;
}

void yzi_broker_forward(struct broker *b, struct exchange *x)
{
    bool full = false;
    for (;;) {
        struct connection *k = NULL;
        int slot = choose_slot(b, x, &k);
        if (slot < 0) {
            struct outcome_words w =
                full ? busy("adapter-queue") : words(OUTCOME_UNAVAILABLE, "no-live-adapter");
            yzi_broker_finish(b, x, &w);
            return;
        }
        x->tried |= 1u << slot;
        struct connection_id id = k->id;
        if (hand_over(b, x, k)) {
            x->adapter = id;
            x->forwarded = true;
            k->outstanding++;
            yzi_metric_add(&b->metrics.forwarded, 1);
            return;
        }
        full = full || yzi_connection_find(&b->connections, &id) != NULL;
    }
}
