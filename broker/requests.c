/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission and routing of requests, in the order of docs/protocol.md, "Admission": who sent it;
 * whether there is room for it (rate, exchanges under way), before anything of it is judged; the
 * ladder's first step (header, sender, times); replay; the sender's budget of failed verifications;
 * the ladder's second step (signature, payload digest); the coarse grant. What passes becomes an
 * exchange and goes to the least loaded live adapter among the slots.
 */
#include "broker/broker.h"

#define RETRY_AFTER_BUSY_MS 100u
#define PARK_MS 1000u
#define RULE_FAULTS "faults-per-peer"
#define RULE_RATE "rate-per-peer"
#define PARKED_SHARE 4u  /* what is parked may hold this part of the bytes in flight */
#define REFUSED_SHARE 4u /* and so may what is refused and waits for the log */

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

/* Nothing an honest sender would be told often. */
static bool is_senders_fault(const struct outcome_words *w)
{
    switch (w->status) {
    case OUTCOME_MALFORMED:
    case OUTCOME_WRONG_SENDER:
    case OUTCOME_BAD_SIGNATURE:
    case OUTCOME_ID_CONFLICT:
    case OUTCOME_REPLAYED:
    case OUTCOME_EXPIRED:
    case OUTCOME_TOO_LARGE:
        return true;
    case OUTCOME_BUSY:
        return yzi_bytes_eq_str(w->rule, RULE_FAULTS);
    case OUTCOME_DENIED:
    case OUTCOME_UNKNOWN_SERVICE:
    case OUTCOME_UNAVAILABLE:
    case OUTCOME_TIMEOUT:
    case OUTCOME_STALE_DIRECTORY:
    default:
        return false;
    }
}

/* Signed with the others of this step, counted, and logged as often as that is allowed. */
static void say_refused(struct broker *b, struct connection *k, const yz_uuid *id,
                        const yz_digest *digest, const struct outcome_words *w)
{
    if (id) {
        yzi_broker_outcome(b, &k->id, id, digest, w);
    }
    yzi_broker_count_refusal(k->load, w->status, b->wall);
    if (yzi_broker_may_log(b, k->load)) {
        yzi_log(&EV_REQUEST_REFUSED,
                (struct log_field[]){log_str("peer", k->node),
                                     log_str("status", yzi_outcome_status_name(w->status)),
                                     log_bytes("reason", w->reason),
                                     log_bytes("rule", w->rule),
                                     {0}});
    }
}

/* Answer a request that was looked at and never became an exchange. The peer is known, so it gets
 * an outcome. */
static void refuse(struct broker *b, struct connection *k, struct exchange *x,
                   const struct outcome_words *w)
{
    yz_uuid id;
    bool has_id = yzi_request_header_peek_id(x->request.frame.header, &id);
    say_refused(b, k, has_id ? &id : NULL, &x->request.digest, w);
    yzi_exchange_end(&b->exchanges, x);
    if (is_senders_fault(w)) {
        yzi_broker_fault(b, k);
    }
}

/* A refusal on the owner's word, of a request whose signature was verified: "asked and refused"
 * must be provable, so both are entries, and the outcome leaves with their receipt. */
static void refuse_with_evidence(struct broker *b, struct connection *k, struct exchange *x,
                                 const struct outcome_words *w)
{
    size_t room = b->exchanges.bytes_max / REFUSED_SHARE;
    if (b->refused_bytes > room || x->message.bytes.n > room - b->refused_bytes) {
        struct outcome_words full = busy("in-flight-bytes");
        refuse(b, k, x, &full);
        return;
    }
    if (yzi_broker_log_request(b, x) < 0) {
        refuse(b, k, x, w);
        return;
    }
    b->refused_bytes += x->message.bytes.n;
    x->asker = k->load;
    x->next_refused = b->refused;
    if (b->refused) {
        b->refused->prev_refused = x;
    }
    b->refused = x;
    yzi_broker_finish(b, x, w);
}

/* What was not accepted must not occupy its id: it may be sent again, or, when its signature is
 * wrong, a genuine message may have the same id. */
static void forget_id(struct broker *b, const struct exchange *x)
{
    if (x->new_id) {
        yzi_replay_forget(b->replay, x->request.header.node, &x->request.header.message_id);
    }
}

/* -- parking -- */

static unsigned parked_of(const struct broker *b, const uint8_t key[32])
{
    unsigned n = 0;
    for (size_t i = 0; i < b->parked_n; i++) {
        n += yzi_bytes_eq(yzi_bytes(b->parked[i].key, 32), yzi_bytes(key, 32));
    }
    return n;
}

bool yzi_broker_park(struct broker *b, const struct connection *k, struct message *m)
{
    size_t room = b->exchanges.bytes_max / PARKED_SHARE;
    if (b->parked_n == BROKER_PARKED_MAX || b->parked_bytes > room ||
        m->bytes.n > room - b->parked_bytes || parked_of(b, k->key) >= BROKER_PARKED_PER_PEER) {
        return false;
    }
    struct parked *p = &b->parked[b->parked_n++];
    *p = (struct parked){.from = k->id, .until_mono = b->mono + PARK_MS};
    memcpy(p->key, k->key, sizeof p->key);
    yzi_message_move(&p->message, m);
    b->parked_bytes += p->message.bytes.n;
    return true;
}

static void move_parked(struct parked *to, struct parked *from)
{
    *to = (struct parked){.from = from->from, .until_mono = from->until_mono};
    memcpy(to->key, from->key, sizeof to->key);
    yzi_message_move(&to->message, &from->message);
}

static void judge_parked(struct broker *b, struct parked *p)
{
    struct connection *k = yzi_connection_find(&b->connections, &p->from);
    b->parked_bytes -= p->message.bytes.n;
    if (k && yzi_bytes_eq(yzi_bytes(k->key, 32), yzi_bytes(p->key, 32)) &&
        yzi_connection_check(&b->connections, k, b->directory, b->wall, b->mono)) {
        yzi_broker_on_request(b, k, &p->message, true);
    }
    yzi_message_fini(&p->message);
}

void yzi_broker_unpark(struct broker *b, bool all)
{
    size_t kept = 0; /* nothing is parked meanwhile: each is parked once */
    for (size_t i = 0; i < b->parked_n; i++) {
        struct parked *p = &b->parked[i];
        if (all || p->until_mono <= b->mono) {
            judge_parked(b, p);
        } else if (kept++ != i) {
            move_parked(&b->parked[kept - 1], p);
        }
    }
    b->parked_n = kept;
}

/* The sender knows a newer directory: ask for it and look at the request again when it is here. */
static bool park(struct broker *b, struct connection *k, struct exchange *x)
{
    uint64_t version = x->request.header.directory_version;
    if (version <= yzi_directory_version(b->directory)) {
        return false;
    }
    yzi_broker_heard_version(b, k, version);
    if (!yzi_broker_park(b, k, &x->message)) {
        return false;
    }
    yzi_exchange_end(&b->exchanges, x);
    return true;
}

/* -- admission -- */

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
        struct outcome_words w =
            busy(rc == YZ_ELIMIT ? "remembered-ids-per-peer" : "remembered-ids");
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
        forget_id(b, x);
        refuse_with_evidence(b, k, x, &w);
        return false;
    }
    if (decision.service->mode != SERVICE_READ && h->slots_n != 1) { /* never to be done by two */
        struct outcome_words w = words(OUTCOME_MALFORMED, "slots");
        forget_id(b, x);
        refuse(b, k, x, &w);
        return false;
    }
    x->waits_for_log = decision.strict || decision.service->mode != SERVICE_READ;
    yzi_offer_ref(decision.offer);
    x->offer = decision.offer;
    x->service = decision.service;
    return true;
}

/* What the node asks for too much of, before any public-key work is done for it. The peer is the
 * node it says, so nobody uses up another's share. */
static bool passes_share(struct broker *b, struct connection *k, struct exchange *x)
{
    double rate = (double)b->config->limits.rate_per_peer;
    const char *limit = NULL;
    if (rate > 0 && !yzi_bucket_take(&k->load->requests, 1, rate, rate, b->mono)) {
        limit = RULE_RATE;
    } else if (!yzi_broker_may_verify(b, k)) {
        limit = RULE_FAULTS;
    }
    if (limit) {
        struct outcome_words w = busy(limit);
        forget_id(b, x);
        refuse(b, k, x, &w);
    }
    return !limit;
}

static bool passes_limits(struct broker *b, struct connection *k, struct exchange *x)
{
    const struct request_header *h = &x->request.header;
    const char *limit = "memory";
    x->arrival_mono = b->mono;
    x->deadline_mono = b->mono + (h->expires_at - h->issued_at);
    if (yzi_exchange_track(&b->exchanges, x, k->load, &limit) < 0) {
        struct outcome_words w = busy(limit);
        forget_id(b, x);
        refuse(b, k, x, &w);
        return false;
    }
    return true;
}

/* The id of what was accepted outlives this process: it is kept before anybody acts on it. */
static bool keeps_id(struct broker *b, struct connection *k, struct exchange *x)
{
    const struct request_header *h = &x->request.header;
    struct replay_record record;
    if (!x->new_id) {
        return true; /* it was kept then */
    }
    int rc = yzi_replay_record(b->replay, h->node, &h->message_id, &record);
    rc = rc < 0 ? rc : yzi_replay_log_append(b->replay_log, &record, b->wall);
    if (rc < 0) {
        if (yzi_broker_may_log(b, k->load)) {
            yzi_log(&EV_REPLAY_NOT_KEPT,
                    (struct log_field[]){log_str("error", yz_err_name(rc)), {0}});
        }
        struct outcome_words w = words(OUTCOME_UNAVAILABLE, "storage");
        forget_id(b, x);
        refuse(b, k, x, &w);
    }
    return rc == YZ_OK;
}

static struct outcome_words log_words(int rc)
{
    return rc == YZ_EUNAVAILABLE ? words(OUTCOME_UNAVAILABLE, "evidence-log")
                                 : busy("evidence-queue");
}

/* Nothing is forwarded that could not be proved afterwards. */
static bool passes_log(struct broker *b, struct connection *k, struct exchange *x)
{
    for (unsigned i = 0; i < x->request.header.brokers_n; i++) {
        if (yzi_bytes_eq(x->request.header.brokers[i].node.v, b->node.v)) {
            yzi_broker_shown(b, &x->request.header.brokers[i].checkpoint);
        }
    }
    int rc = yzi_broker_log_request(b, x);
    if (rc < 0) {
        struct outcome_words w = log_words(rc);
        forget_id(b, x);
        refuse(b, k, x, &w);
    }
    return rc == YZ_OK;
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
    /* It points into the directory, which may be replaced while the exchange is under way. To keep
     * that one would let whoever publishes often have us keep as many as there are exchanges. */
    x->request.consumer_node = (struct directory_node){0};
    yzi_metric_add(&b->metrics.root_hits, k->roots.hits - hits);
    if (v.status == 0) {
        yzi_broker_verified(k);
        return true;
    }
    forget_id(b, x);
    struct outcome_words w = words(v.status, v.reason);
    refuse(b, k, x, &w);
    return false;
}

/* The limit that has no room for this request; NULL: none. Nothing of it is judged yet: a service
 * it does not name rightly is nobody's, and has room. */
static const char *limit_reached(const struct broker *b, const struct connection *k,
                                 const struct frame *f)
{
    const struct broker_limits *limits = &b->config->limits;
    double rate = (double)limits->rate_per_peer;
    yz_bytes service = {0};
    const char *limit = NULL;
    if (rate > 0 && yzi_bucket_is_empty(&k->load->requests, rate, rate, b->mono)) {
        return RULE_RATE;
    }
    if (k->load->in_flight >= limits->in_flight_per_peer) {
        return "in-flight-per-peer";
    }
    return yzi_request_header_peek_service(f->header, &service) &&
                   yzi_exchanges_may_track(&b->exchanges, service, f->raw.n, k->load, &limit) < 0
               ? limit
               : NULL;
}

/* What there is no room for is refused before anything of it is judged: a flood costs little more
 * than the digests that its refusals have to cite. The request of an exchange under way goes on, to
 * be joined to that. */
static bool is_refused_at_once(struct broker *b, struct connection *k, const struct frame *f)
{
    const char *limit = b->draining ? NULL : limit_reached(b, k, f);
    yz_uuid id;
    if (!limit || !yzi_request_header_peek_id(f->header, &id)) {
        return false;
    }
    yz_digest digest;
    yzi_frame_digest(f->header, f->block, &digest);
    if (yzi_exchange_find(&b->exchanges, &digest)) {
        return false;
    }
    struct outcome_words w = busy(limit);
    say_refused(b, k, &id, &digest, &w);
    b->overload.refused++;
    return true;
}

void yzi_broker_on_request(struct broker *b, struct connection *k, struct message *m,
                           bool parked_before)
{
    yzi_metric_add(&b->metrics.requests, parked_before ? 0 : 1);
    struct frame f;
    if (yzi_frame_parse(m->bytes, b->config->limits.message, &f) == YZ_OK &&
        is_refused_at_once(b, k, &f)) {
        return;
    }
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
    if (passes_first_step(b, k, x, parked_before) && passes_replay(b, k, x) &&
        passes_share(b, k, x) && passes_second_step(b, k, x) && passes_grant(b, k, x) &&
        passes_limits(b, k, x) && keeps_id(b, k, x) && passes_log(b, k, x) && !x->waits_for_log) {
        yzi_broker_forward(b, x, &(struct outcome_words){0});
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

/* The adapter of a slot, when it may have the request now: the owner named it, its member lets it
 * serve the subsystem, and it is here. */
static struct connection *usable_adapter(struct broker *b, const struct exchange *x, unsigned slot)
{
    const struct request_header *h = &x->request.header;
    yz_node_id adapter = h->slots[slot].adapter;
    if (x->tried & (1u << slot) || !hosts(x->service, adapter)) {
        return NULL;
    }
    struct connection *k = yzi_connection_of_node(&b->connections, adapter);
    bool usable = k && yzi_connection_check(&b->connections, k, b->directory, b->wall, b->mono) &&
                  k->role == ROLE_ADAPTER &&
                  yzi_directory_speaks_for(&k->peer, yzi_service_subsystem(h->service));
    return usable ? k : NULL;
}

/* The untried slot whose live adapter has the least outstanding; -1 when there is none. */
static int choose_slot(struct broker *b, const struct exchange *x, struct connection **out)
{
    int best = -1;
    for (unsigned i = 0; i < x->request.header.slots_n; i++) {
        struct connection *k = usable_adapter(b, x, i);
        if (k && (best < 0 || k->outstanding < (*out)->outstanding)) {
            best = (int)i;
            *out = k;
        }
    }
    return best;
}

/* Write the request with the time left and hand it to the adapter's connection: YZ_OK, YZ_EAGAIN
 * (its queue is full), YZ_ECLOSED and what stopped us. */
static int hand_over(struct broker *b, struct exchange *x, struct connection *k)
{
    const struct frame *f = &x->request.frame;
    struct hop hop = {.has_time_left = true,
                      .time_left_ms = (uint32_t)(x->deadline_mono - b->mono),
                      .receipt =
                          x->waits_for_log ? yzi_bytes_buf(&x->logged->receipt) : (yz_bytes){0}};
    YZ_AUTO(yzi_buf_fini) yz_buf hop_buf;
    yzi_buf_init(&hop_buf, YZ_HOP_MAX);
    YZ_TRY(yzi_hop_write(&hop, &hop_buf));
    yzi_buf_clear(&b->out);
    YZ_TRY(yzi_frame_write(FRAME_REQUEST, f->header, f->block, f->payload, yzi_bytes_buf(&hop_buf),
                           &b->out));
    int rc = yzi_server_send(b->server, &k->id, yzi_bytes_buf(&b->out));
    if (rc == YZ_ECLOSED) {
        yzi_broker_connection_lost(b, k, "gone");
    }
    return rc;
}

void yzi_broker_forward(struct broker *b, struct exchange *x, const struct outcome_words *otherwise)
{
    struct outcome_words w = *otherwise;
    for (;;) {
        struct connection *k = NULL;
        int slot = x->deadline_mono > b->mono ? choose_slot(b, x, &k) : -1;
        if (slot < 0) {
            break;
        }
        x->tried |= 1u << slot;
        int rc = hand_over(b, x, k);
        if (rc == YZ_OK) {
            x->adapter = k->id;
            x->forwarded = true;
            x->in_doubt = x->service->mode != SERVICE_READ;
            k->outstanding++;
            yzi_metric_add(&b->metrics.forwarded, 1);
            return;
        }
        if (rc != YZ_ECLOSED) {
            w = busy("adapter-queue");
        }
    }
    if (x->deadline_mono <= b->mono) {
        w = words(OUTCOME_TIMEOUT, "no-answer-in-time");
    } else if (!w.status) {
        w = words(OUTCOME_UNAVAILABLE, "no-live-adapter");
    }
    yzi_broker_finish(b, x, &w);
}
