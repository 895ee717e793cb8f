/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission at the adapter: on its own authority, trusting the broker for nothing. What it cannot
 * verify it hands back (the broker then says so in its own words); what it has answered before it
 * answers from memory; the rest becomes a job for a worker.
 */
#include "adapters/adapter.h"

#include <sodium.h>

#define PARK_MS 1000u
#define LINES_PER_SECOND 20u /* about rejected requests */
#define PARKED_BYTES_MAX (64u * 1024u * 1024u)
#define RETRY_AFTER_BUSY_MS 100u

static void send_reject(struct adapter *a, unsigned upstream, const struct verified_request *r,
                        enum outcome_status status, const char *reason)
{
    struct reject m = {.message_id = r->header.message_id,
                       .request_digest = r->digest,
                       .status = status,
                       .reason = yzi_bytes_str(reason),
                       .retry_after_ms = status == OUTCOME_BUSY ? RETRY_AFTER_BUSY_MS : 0};
    if (!yzi_uuid_is_v7(&m.message_id) && /* the header did not parse */
        !yzi_request_header_peek_id(r->frame.header, &m.message_id)) {
        return;
    }
    yzi_buf_clear(&a->out);
    if (yzi_reject_write(&m, &a->out) == YZ_OK) {
        yz_ignore(yzi_outbox_put(a, &a->upstreams[upstream], yzi_bytes_buf(&a->out), false),
                  "without it the broker's deadline ends the exchange");
    }
}

/* Whoever can cause a rejection could otherwise fill the log. */
static bool may_log(struct adapter *a)
{
    uint64_t second = a->mono / 1000;
    if (a->logged_second != second) {
        a->logged_second = second;
        a->logged = 0;
    }
    return a->logged++ < LINES_PER_SECOND;
}

static void reject(struct adapter *a, unsigned upstream, const struct verified_request *r,
                   enum outcome_status status, const char *reason)
{
    a->rejected++;
    if (may_log(a)) {
        yzi_log(&ADAPTER_REQUEST_REJECTED,
                (struct log_field[]){log_bytes("consumer", r->header.consumer.v),
                                     log_str("status", yzi_outcome_status_name(status)),
                                     log_str("reason", reason),
                                     {0}});
    }
    send_reject(a, upstream, r, status, reason);
}

/* An answer that cannot be given. What only read is handed back, so that another adapter is asked.
 * To hand back what may have been executed would say that it was not: the broker hears nothing, and
 * the same bytes get the answer when it can be given. */
static void withhold(struct adapter *a, unsigned upstream, const struct verified_request *r,
                     bool executed, enum outcome_status status, const char *reason)
{
    if (!executed) {
        reject(a, upstream, r, status, reason);
    } else if (may_log(a)) {
        yzi_log(&ADAPTER_ANSWER_FAILED,
                (struct log_field[]){log_str("error", reason), log_str("at", "giving"), {0}});
    }
}

/* `executed`: what it answers may have changed data. */
static void send_answer(struct adapter *a, unsigned upstream, const struct verified_request *r,
                        yz_bytes frame, bool executed)
{
    struct upstream *u = &a->upstreams[upstream];
    bool is_new = false;
    if (!yzi_receipts_serve(&u->receipts) || !yzi_receipts_expect(a, u, frame, &is_new)) {
        withhold(a, upstream, r, executed, OUTCOME_UNAVAILABLE, "no-receipts");
        return;
    }
    int rc = yzi_outbox_put(a, u, frame, is_new);
    if (rc == YZ_ETOOBIG) { /* this broker takes less than we may send */
        withhold(a, upstream, r, executed, OUTCOME_TOO_LARGE, "answer");
    } else if (rc < 0 && rc != YZ_EUNAVAILABLE) { /* as in outbox.c */
        yzi_log(
            &ADAPTER_ANSWER_FAILED,
            (struct log_field[]){log_str("error", yz_err_name(rc)), log_str("at", "sending"), {0}});
    }
}

/* Our slot in the request; -1 when there is none. */
static int find_slot(const struct adapter *a, const struct request_header *h)
{
    for (unsigned i = 0; i < h->slots_n; i++) {
        if (yzi_bytes_eq(h->slots[i].adapter.v, a->node.v)) {
            return (int)i;
        }
    }
    return -1;
}

/* -- making the job -- */

static int copy_pair_key(struct adapter *a, struct epoch *epoch, const struct request_header *h,
                         enum seal_direction direction, uint8_t out[32])
{
    struct seal_pair pair = {
        .suite = h->suite, .consumer = h->node, .adapter = a->node, .announcement = epoch->digest};
    memcpy(pair.consumer_epoch, h->epoch_key, sizeof pair.consumer_epoch);
    memcpy(pair.adapter_epoch, epoch->key.public_key, sizeof pair.adapter_epoch);
    const uint8_t *key;
    YZ_TRY(yzi_seal_cache_get(a->pair_keys, &epoch->key, &pair, direction,
                              yzi_epoch_wipe_at(&epoch->announcement), &key));
    memcpy(out, key, 32);
    return YZ_OK;
}

static bool hosts(const struct offered_service *s, yz_node_id node)
{
    for (size_t i = 0; i < s->adapters.n; i++) {
        if (yzi_bytes_eq(s->adapters.items[i], node.v)) {
            return true;
        }
    }
    return false;
}

/* The offered service, if the owner named this node among its adapters. */
static const struct offered_service *find_service(const struct policy *p, yz_service_id id,
                                                  yz_node_id self)
{
    for (size_t i = 0; i < p->offer->offer.services_n; i++) {
        const struct offered_service *s = &p->offer->offer.services[i];
        if (yzi_bytes_eq(s->code, yzi_service_code(id)) &&
            yzi_bytes_eq(s->version, yzi_service_version(id))) {
            return hosts(s, self) ? s : NULL;
        }
    }
    return NULL;
}

/* What is offered under the name asked for, if it is. */
static void find_offered(struct adapter *a, struct job *j)
{
    const struct request_header *h = &j->request.header;
    struct policy *p = yzi_policies_get(a->policies, yzi_service_subsystem(h->service));
    bool stands = p && yzi_offer_stands(p->offer, a->directory, a->wall) == YZ_OK;
    const struct offered_service *service = stands ? find_service(p, h->service, a->node) : NULL;
    if (service) {
        yzi_policy_ref(p);
        j->policy = p;
        struct store *store = yzi_adapter_store(a, service->data_set);
        j->store = store ? yzi_store_ref(store) : NULL;
        j->write_service = service->mode == SERVICE_WRITE;
    }
}

static int copy_pair_keys(struct adapter *a, struct job *j, struct epoch *epoch)
{
    const struct request_header *h = &j->request.header;
    YZ_TRY(copy_pair_key(a, epoch, h, SEAL_REQUEST, j->request_key));
    return copy_pair_key(a, epoch, h, SEAL_RESPONSE, j->response_key);
}

static void answer_stale_key(struct adapter *a, const struct job *j)
{
    struct epoch *current;
    yzi_buf_clear(&a->out);
    if (yzi_epochs_current(a->epochs, &current, NULL) == YZ_OK &&
        yzi_answer_stale_key(a->node, &a->signing, a->wall, &j->request, j->slot, j->directory,
                             yzi_bytes_buf(&current->record), &a->out) == YZ_OK) {
        send_answer(a, j->session, &j->request, yzi_bytes_buf(&a->out), false);
    }
}

/* -- parking -- */

static bool park(struct adapter *a, unsigned upstream, struct job *j)
{
    uint64_t version = j->request.header.directory_version;
    if (version <= yzi_directory_version(a->directory) || a->parked_n == ADAPTER_PARKED_MAX ||
        a->parked_bytes > PARKED_BYTES_MAX ||
        j->message.bytes.n > PARKED_BYTES_MAX - a->parked_bytes) {
        return false;
    }
    struct parked_request *p = &a->parked[a->parked_n++];
    *p = (struct parked_request){.upstream = upstream, .until_mono = a->mono + PARK_MS};
    yzi_message_move(&p->message, &j->message);
    a->parked_bytes += p->message.bytes.n;
    return true;
}

static void judge_parked(struct adapter *a, struct parked_request *p)
{
    a->parked_bytes -= p->message.bytes.n;
    yzi_adapter_on_request(a, p->upstream, &p->message, true);
    yzi_message_fini(&p->message);
}

void yzi_adapter_unpark(struct adapter *a, bool all)
{
    size_t kept = 0; /* nothing is parked meanwhile: each is parked once */
    for (size_t i = 0; i < a->parked_n; i++) {
        struct parked_request *p = &a->parked[i];
        if (all || p->until_mono <= a->mono) {
            judge_parked(a, p);
        } else if (kept++ != i) {
            struct parked_request *to = &a->parked[kept - 1];
            *to = (struct parked_request){.upstream = p->upstream, .until_mono = p->until_mono};
            yzi_message_move(&to->message, &p->message);
        }
    }
    a->parked_n = kept;
}

/* -- admission -- */

/* Was it executed, or begun to be, whatever has become of this process since? True when it was not;
 * otherwise it was dealt with. Asked of every request: the service may have been another once. */
static bool passes_writes(struct adapter *a, unsigned upstream, const struct job *j)
{
    struct write_entry e = yzi_write_entry(&j->request, a->config->limits.skew);
    enum write_verdict known;
    yzi_buf_clear(&a->out);
    if (yzi_writes_look(a->writes, &e, &a->out, &known) < 0) {
        if (j->write_service) {
            reject(a, upstream, &j->request, OUTCOME_UNAVAILABLE, "state");
        }
        return !j->write_service;
    }
    switch (known) {
    case WRITE_NEW:
        return true;
    case WRITE_BEGAN:
    case WRITE_ANSWERED:
        send_answer(a, upstream, &j->request, yzi_bytes_buf(&a->out), true);
        return false;
    case WRITE_CONFLICT:
        reject(a, upstream, &j->request, OUTCOME_ID_CONFLICT, "other-bytes");
        return false;
    case WRITE_FORGOTTEN:
    default:
        if (j->write_service) {
            reject(a, upstream, &j->request, OUTCOME_EXPIRED, "forgotten");
        }
        return !j->write_service;
    }
}

/* Known already? True when the request is to be answered; otherwise it was dealt with. */
static bool passes_memory(struct adapter *a, unsigned upstream, const struct job *j)
{
    const struct request_header *h = &j->request.header;
    const struct remembered *known;
    switch (yzi_memory_look(&a->memory, h->node, &h->message_id, &j->request.digest, upstream,
                            &known)) {
    case MEMORY_NEW:
    case MEMORY_LET_GO:
        return passes_writes(a, upstream, j);
    case MEMORY_ANSWERED:
        send_answer(a, upstream, &j->request, yzi_bytes_buf(&known->answer), j->write_service);
        return false;
    case MEMORY_RUNNING:
        return false; /* its answer goes out when it is ready, here too */
    case MEMORY_CONFLICT:
    default:
        reject(a, upstream, &j->request, OUTCOME_ID_CONFLICT, "other-bytes");
        return false;
    }
}

/* Header, sender and times; signature and payload digest. */
static bool passes_ladder(struct adapter *a, unsigned upstream, const struct frame *f,
                          struct job *j, bool parked_before)
{
    struct judge judge = yzi_adapter_judge(a);
    struct verdict v = yzi_request_admit(&judge, f, NULL, &j->request);
    bool lagging = v.status == 0 || v.status == OUTCOME_WRONG_SENDER;
    if (lagging && !parked_before && j->request.header.directory_version && park(a, upstream, j)) {
        return false;
    }
    if (v.status == 0) {
        v = yzi_request_verify(&judge, &a->roots, &j->request);
    }
    if (v.status != 0) {
        reject(a, upstream, &j->request, v.status, v.reason);
        return false;
    }
    int slot = find_slot(a, &j->request.header);
    if (slot < 0) {
        reject(a, upstream, &j->request, OUTCOME_MALFORMED, "no-slot");
        return false;
    }
    j->slot = (unsigned)slot;
    return true;
}

/* Does the broker prove, with the receipt in the hop, that the request is in its log? The one gate
 * before everything that must not be done unseen; without a receipt it is closed. */
static bool is_evidenced(struct adapter *a, unsigned upstream, const struct job *j)
{
    struct hop hop;
    struct receipt receipt;
    struct receipt_claim claim = {ENTRY_REQUEST, &j->request.digest};
    return yzi_hop_parse(j->request.frame.hop, &hop) == YZ_OK && hop.receipt.n > 0 &&
           yzi_receipt_parse(hop.receipt, &receipt) == YZ_OK &&
           yzi_receipt_verify(&a->checkpoints, a->directory, a->upstreams[upstream].broker, a->wall,
                              &receipt, &claim, 1) == YZ_OK &&
           yzi_session_saw_receipt(a->upstreams[upstream].session, &receipt) == YZ_OK;
}

/* What the consumer saw of our brokers' logs is held to what we saw: that is how a fork comes out.
 * What is not the broker's word changes nothing. */
static void see_logs(struct adapter *a, const struct request_header *h)
{
    char from[YZ_ID_MAX + 1];
    snprintf(from, sizeof from, "%.*s", (int)h->node.v.n, (const char *)h->node.v.p);
    for (unsigned i = 0; i < h->brokers_n; i++) {
        for (unsigned k = 0; k < a->upstreams_n; k++) {
            struct upstream *u = &a->upstreams[k];
            if (u->session && yzi_bytes_eq(u->broker.v, h->brokers[i].node.v)) {
                yz_ignore(yzi_session_saw(u->session, &h->brokers[i].checkpoint, from),
                          "a conviction is an alarm of the session's");
            }
        }
    }
}

/* Of this broker's log, for the answer's header, which another thread signs. */
static void show_log(struct adapter *a, unsigned upstream, struct job *j)
{
    j->seen = yzi_session_checkpoint(a->upstreams[upstream].session);
    if (j->seen.present) {
        memcpy(j->seen_signature, j->seen.signature.p, sizeof j->seen_signature);
    }
}

/* What a service that writes asks of a request beyond what others do. */
static bool passes_as_write(struct adapter *a, unsigned upstream, const struct job *j)
{
    if (!j->write_service) {
        return true;
    }
    if (j->request.header.slots_n != 1) {
        reject(a, upstream, &j->request, OUTCOME_MALFORMED, "slots");
        return false;
    }
    if (!j->evidenced) {
        reject(a, upstream, &j->request, OUTCOME_UNAVAILABLE, "no-receipt");
        return false;
    }
    return true;
}

static uint64_t time_left(const struct adapter *a, const struct job *j)
{
    const struct request_header *h = &j->request.header;
    uint64_t left = h->expires_at - h->issued_at;
    struct hop hop;
    if (yzi_hop_parse(j->request.frame.hop, &hop) == YZ_OK && hop.has_time_left &&
        hop.time_left_ms < left) {
        left = hop.time_left_ms; /* the broker may shorten, never lengthen */
    }
    return a->mono + left;
}

/* A place in the memory of writes, without which nothing is begun. */
static bool reserve(struct adapter *a, unsigned upstream, const struct job *j)
{
    bool own = false;
    if (!j->write_service) {
        return true;
    }
    if (yzi_writes_reserve(a->writes, j->request.header.node, &own) == YZ_OK) {
        return true;
    }
    reject(a, upstream, &j->request, OUTCOME_BUSY, own ? "writes-share" : "writes");
    return false;
}

static void release(struct adapter *a, const struct job *j)
{
    if (j->write_service && !j->begun) {
        yzi_writes_release(a->writes, j->request.header.node);
    }
}

/* True when the workers own the job. */
static bool remember_and_submit(struct adapter *a, unsigned upstream, struct job *j)
{
    const struct request_header *h = &j->request.header;
    uint64_t life = yzi_request_until(h, a->config->limits.skew);
    uint64_t until = a->mono + (life > a->wall ? life - a->wall : 0);
    if (yzi_memory_begin(&a->memory, h->node, &h->message_id, &j->request.digest, upstream, until) <
        0) {
        reject(a, upstream, &j->request, OUTCOME_BUSY, "memory");
        return false;
    }
    if (yzi_workers_submit(a->workers, j) < 0) {
        yzi_memory_cancel(&a->memory, h->node, &h->message_id);
        reject(a, upstream, &j->request, OUTCOME_BUSY, "queue");
        return false;
    }
    a->jobs_out++;
    return true;
}

static bool submit(struct adapter *a, unsigned upstream, struct job *j)
{
    if (a->jobs_out >= a->config->limits.queue) {
        reject(a, upstream, &j->request, OUTCOME_BUSY, "queue");
        return false;
    }
    if (!reserve(a, upstream, j)) {
        return false;
    }
    bool submitted = remember_and_submit(a, upstream, j);
    if (!submitted) {
        release(a, j);
    }
    return submitted;
}

static bool admit(struct adapter *a, unsigned upstream, const struct frame *f, struct job *j,
                  bool parked_before)
{
    if (!passes_ladder(a, upstream, f, j, parked_before)) {
        return false;
    }
    /* before anything is done: what it may not be told must not be done for it either */
    if (!yzi_receipts_may_owe(&a->upstreams[upstream].receipts, a->jobs_out)) {
        reject(a, upstream, &j->request, OUTCOME_UNAVAILABLE, "no-receipts");
        return false;
    }
    find_offered(a, j);
    if (!passes_memory(a, upstream, j)) {
        return false;
    }
    if (a->draining) {
        reject(a, upstream, &j->request, OUTCOME_UNAVAILABLE, "draining");
        return false;
    }
    see_logs(a, &j->request.header);
    j->evidenced = is_evidenced(a, upstream, j);
    if (!passes_as_write(a, upstream, j)) {
        return false;
    }
    j->session = upstream;
    j->broker = a->upstreams[upstream].broker;
    show_log(a, upstream, j);
    j->deadline_mono = time_left(a, j);
    struct epoch *epoch;
    const yz_digest *sealed_to = &j->request.header.slots[j->slot].announcement;
    if (yzi_epochs_find(a->epochs, sealed_to, &epoch) < 0) {
        answer_stale_key(a, j);
        return false;
    }
    if (copy_pair_keys(a, j, epoch) < 0) {
        reject(a, upstream, &j->request, OUTCOME_MALFORMED, "epoch-key");
        return false;
    }
    return submit(a, upstream, j);
}

/* Can anything be judged at all? Handed back otherwise, so that another adapter is asked. */
static bool is_able(const struct adapter *a)
{
    return a->directory && a->listed && yzi_trust_state(a->trust, NULL) != TRUST_EXPIRED;
}

void yzi_adapter_on_request(struct adapter *a, unsigned upstream, struct message *m,
                            bool parked_before)
{
    struct job *j;
    if (yzi_alloc(1, sizeof *j, &j) < 0) {
        return;
    }
    yzi_message_move(&j->message, m);
    struct frame frame; /* a full message and the broker's hop */
    if (yzi_frame_parse(j->message.bytes, a->config->limits.message + YZ_HOP_MAX, &frame) < 0) {
        yzi_job_free(j);
        return;
    }
    if (!is_able(a)) {
        j->request.frame = frame;
        yzi_frame_digest(frame.header, frame.block, &j->request.digest);
        reject(a, upstream, &j->request, OUTCOME_STALE_DIRECTORY, "directory");
        yzi_job_free(j);
        return;
    }
    j->directory = a->directory;
    yzi_directory_ref(j->directory);
    if (!admit(a, upstream, &frame, j, parked_before)) {
        yzi_job_free(j);
    }
}

/* -- answers -- */

static void reject_all(struct adapter *a, unsigned asked, const struct job *j, const char *reason)
{
    bool executed = j->begun || j->rc == YZ_EEXIST; /* by now, or by one like it */
    for (unsigned i = 0; i < a->upstreams_n; i++) {
        if (asked & (1u << i)) {
            withhold(a, i, &j->request, executed, OUTCOME_UNAVAILABLE, reason);
        }
    }
}

static void send_all(struct adapter *a, unsigned asked, const struct job *j)
{
    for (unsigned i = 0; i < a->upstreams_n; i++) {
        if (asked & (1u << i)) {
            send_answer(a, i, &j->request, yzi_bytes_buf(&j->answer), j->begun);
        }
    }
}

void yzi_adapter_on_answer(struct adapter *a, struct job *j)
{
    const struct request_header *h = &j->request.header;
    a->jobs_out--;
    release(a, j);
    if (j->begun && j->kept < 0) {
        yzi_log(&ADAPTER_ANSWER_FAILED, (struct log_field[]){log_str("error", yz_err_name(j->kept)),
                                                             log_str("at", "keeping"),
                                                             {0}});
    }
    if (j->rc < 0) {
        yzi_log(&ADAPTER_ANSWER_FAILED, (struct log_field[]){log_str("error", yz_err_name(j->rc)),
                                                             log_str("at", "answering"),
                                                             {0}});
        reject_all(a, yzi_memory_cancel(&a->memory, h->node, &h->message_id), j,
                   j->to_write ? j->reason : "no-answer");
    } else {
        a->answered++;
        yzi_log(&ADAPTER_REQUEST_ANSWERED,
                (struct log_field[]){log_bytes("consumer", h->consumer.v),
                                     log_bytes("service", h->service.v),
                                     log_str("status", yzi_response_status_name(j->status)),
                                     log_str("reason", j->reason),
                                     {0}});
        yz_bytes answer = yzi_bytes_buf(&j->answer);
        send_all(a, yzi_memory_answer(&a->memory, h->node, &h->message_id, answer), j);
    }
    yzi_job_free(j);
}
