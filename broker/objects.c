/* SPDX-License-Identifier: Apache-2.0
 *
 * What the broker keeps and hands out on behalf of others: the directory and its freshness, newer
 * member sets, offers, announcements. Everything is verified before it is kept; who brought it does
 * not matter, except that an announcement comes from its own node. Both directions are rationed per
 * node, because a small message may ask for a large one or carry thousands of signatures.
 */
#include "broker/broker.h"
#include "broker/kept.h"

#include <sodium.h>

#define TRUST_ARENA_MAX (4u * 1024u * 1024u) /* room for any record */
#define OBJECT_MAX (8u * 1024u * 1024u)
/* What one node may make us do, however many connections it has. Bytes handed out: a directory of
 * 64 MiB at once. Records taken in, each at least one verification: a member set is also sent on to
 * everybody. */
#define BYTES_BURST (64.0 * 1024 * 1024)
#define BYTES_PER_SECOND (8.0 * 1024 * 1024)
#define RECORDS_BURST 2048.0
#define RECORDS_PER_SECOND 64.0
#define RECORDS_PER_PUT 256u /* so that nobody waits long for others' */
#define RECORD_BYTES 16384.0 /* of a record that count as one more */
#define MEMBER_SET_COST 32.0

struct announced {
    yz_buf record;
    yz_digest digest;
    uint64_t sequence, not_before, not_after;
};

static void free_announced(void *value)
{
    struct announced *a = value;
    yzi_buf_fini(&a->record);
    free(a);
}

void yzi_broker_forget_announcements(struct broker *b)
{
    struct table_item *next;
    for (struct table_item *i = yzi_table_first(&b->announcements); i; i = next) {
        next = yzi_table_next(i);
        struct announced *a = yzi_table_value(i);
        if (a->not_after <= b->wall) {
            yzi_table_remove(&b->announcements, yzi_table_key(i));
            free_announced(a);
        }
    }
}

void yzi_broker_objects_fini(struct broker *b)
{
    yzi_table_fini(&b->announcements, free_announced);
}

static const struct announced *live_announcement(const struct broker *b, yz_bytes adapter)
{
    const struct announced *a = yzi_table_get(&b->announcements, adapter);
    return a && a->not_before <= b->wall + b->config->limits.skew && b->wall < a->not_after ? a
                                                                                            : NULL;
}

const yz_digest *yzi_broker_announcement(const struct broker *b, yz_node_id adapter)
{
    const struct announced *a = live_announcement(b, adapter.v);
    return a ? &a->digest : NULL;
}

/* -- hello and heartbeats -- */

static uint32_t heartbeat_of(enum node_role role)
{
    return role == ROLE_ADAPTER ? BROKER_HEARTBEAT_ADAPTER_MS : BROKER_HEARTBEAT_CLIENT_MS;
}

/* A reconnect of the same process leaves its old connection behind; so does an adapter's restart.
 * Several clients may share a node. */
static void forget_predecessors(struct broker *b, struct connection *k)
{
    for (;;) {
        struct connection *old = NULL;
        for (struct connection *c = yzi_table_get(&b->connections.by_node, k->peer.node.v);
             c && !old; c = c->next_of_node) {
            if (c != k && c->hello &&
                (yzi_uuid_eq(&c->boot, &k->boot) || k->role == ROLE_ADAPTER)) {
                old = c;
            }
        }
        if (!old) {
            return;
        }
        yzi_broker_connection_lost(b, old, "reconnected");
    }
}

static void push(struct broker *b, const struct connection_id *to, enum fetch_what what,
                 yz_bytes payload)
{
    struct object o = {.token = 0, .what = what, .found = true};
    yzi_buf_clear(&b->out);
    if (payload.n && yzi_object_write(&o, payload, &b->out) == YZ_OK) {
        if (to) {
            yzi_broker_send(b, to, yzi_bytes_buf(&b->out));
        } else {
            yzi_broker_send_all(b, yzi_bytes_buf(&b->out));
        }
    }
}

/* Requests must not come between the answers of adapters. */
static bool came_to_the_right_endpoint(struct broker *b, struct connection *k)
{
    if (k->id.endpoint < b->shared_endpoints || k->role == ROLE_ADAPTER) {
        return true;
    }
    yzi_buf_clear(&b->out);
    if (yzi_bye_write(yzi_bytes_str(YZ_BYE_ADAPTERS_ONLY), &b->out) == YZ_OK) {
        yzi_broker_send(b, &k->id, yzi_bytes_buf(&b->out));
    }
    if (yzi_broker_may_log(b, k->load)) {
        yzi_log(&EV_PEER_BAD,
                (struct log_field[]){log_str("peer", k->node),
                                     log_str("reason", "came to an endpoint that is for adapters"),
                                     {0}});
    }
    yzi_broker_fault(b, k);
    return false;
}

/* Whoever says hello time and again makes us verify no more than with requests. */
static void look_at_checkpoint(struct broker *b, struct connection *k, yz_bytes shown)
{
    struct checkpoint_ref seen;
    if (shown.n && yzi_seen_parse(shown, &seen) == YZ_OK && yzi_broker_may_verify(b, k) &&
        yzi_broker_shown(b, &seen)) {
        yzi_broker_verified(k);
    }
}

void yzi_broker_on_hello(struct broker *b, struct connection *k, const struct frame *f)
{
    struct hello h;
    if (yzi_hello_parse(f->header, &h) < 0 || !yzi_bytes_eq(h.node.v, k->peer.node.v) ||
        h.role != k->role) {
        yzi_metric_add(&b->metrics.messages_bad, 1);
        if (yzi_broker_may_log(b, k->load)) {
            yzi_log(&EV_PEER_BAD,
                    (struct log_field[]){log_str("peer", k->node),
                                         log_str("reason", "hello names another node or role"),
                                         {0}});
        }
        yzi_broker_fault(b, k);
        return;
    }
    if (!came_to_the_right_endpoint(b, k)) {
        return;
    }
    bool first = !k->hello;
    k->hello = true;
    k->boot = h.boot;
    k->beat_mono = b->mono;
    forget_predecessors(b, k);
    struct welcome w = {.node = b->node,
                        .directory_version = yzi_directory_version(b->directory),
                        .heartbeat_ms = heartbeat_of(k->role),
                        .message_max = (uint32_t)b->config->limits.message,
                        .time = b->wall,
                        .software = yzi_bytes_str("yizhan " YZ_VERSION)};
    yzi_buf_clear(&b->out);
    if (yzi_welcome_write(&w, &b->out) < 0) {
        return;
    }
    if (first && yzi_broker_may_log(b, k->load)) {
        yzi_log(&EV_PEER_UP, (struct log_field[]){log_str("peer", k->node),
                                                  log_str("role", yzi_role_name(k->role)),
                                                  log_bytes("software", h.software),
                                                  {0}});
    }
    yzi_broker_send(b, &k->id, yzi_bytes_buf(&b->out));
    push(b, &k->id, FETCH_FRESHNESS, yzi_trust_freshness(b->trust));
    look_at_checkpoint(b, k, h.checkpoint);
    yzi_broker_heard_version(b, k, h.directory_version);
}

void yzi_broker_on_heartbeat(struct broker *b, struct connection *k, const struct frame *f)
{
    struct heartbeat h;
    if (yzi_heartbeat_parse(f->header, &h) < 0) {
        yzi_metric_add(&b->metrics.messages_bad, 1);
        yzi_broker_fault(b, k);
        return;
    }
    yzi_broker_heard_version(b, k, h.directory_version);
}

void yzi_broker_heartbeats(struct broker *b, bool all_now)
{
    struct heartbeat h = {.directory_version =
                              b->directory ? yzi_directory_version(b->directory) : 0,
                          .in_flight = (uint32_t)yzi_exchanges_count(&b->exchanges),
                          .time = b->wall};
    yzi_buf_clear(&b->out);
    if (yzi_heartbeat_write(&h, &b->out) < 0) {
        return;
    }
    for (struct table_item *i = yzi_table_first(&b->connections.by_id); i; i = yzi_table_next(i)) {
        struct connection *k = yzi_table_value(i);
        bool due = b->mono - k->beat_mono >= heartbeat_of(k->role);
        if (k->live && k->hello && (due || all_now)) {
            k->beat_mono = b->mono;
            yzi_broker_send(b, &k->id, yzi_bytes_buf(&b->out));
        }
    }
}

/* -- freshness -- */

static int sign_freshness(struct broker *b, yz_buf *out, yz_error *err)
{
    struct freshness f = {.instance = yzi_directory_instance(b->directory),
                          .directory_version = yzi_directory_version(b->directory),
                          .root_hash = *yzi_directory_root_hash(b->directory),
                          .time = b->wall};
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, YZ_RECORD_MAX);
    YZ_TRY(yzi_freshness_write(&f, &body));
    struct key_pair *key = &b->freshness;
    YZ_TRY(yzi_record_sign(RECORD_FRESHNESS, yzi_bytes_buf(&body), &key, 1, out));
    return yzi_trust_put_freshness(b->trust, yzi_bytes_buf(out), err);
}

void yzi_broker_freshen(struct broker *b)
{
    if (!b->has_freshness || !b->directory) {
        return;
    }
    YZ_AUTO(yzi_buf_fini) yz_buf record;
    yzi_buf_init(&record, YZ_RECORD_MAX);
    yz_error err = {0};
    int rc = sign_freshness(b, &record, &err);
    if (rc == YZ_EEXIST) {
        return; /* signed in this very millisecond */
    }
    if (rc < 0) {
        err.code = rc;
        yzi_log_error(&EV_FRESHNESS_FAILED, &err, NULL);
        return;
    }
    push(b, NULL, FETCH_FRESHNESS, yzi_bytes_buf(&record));
}

/* -- handing out -- */

/* The offer of the service's subsystem, then up to four announcements of its live adapters, the
 * least loaded first. */
static int write_service(struct broker *b, yz_bytes name, yz_buf *out)
{
    yz_service_id id;
    YZ_TRY(yzi_service_id_parse(name, &id));
    const struct held_offer *o = yzi_offers_get(b->offers, yzi_service_subsystem(id));
    YZ_ENSURE(o, YZ_ENOTFOUND);
    const struct offered_service *service = NULL;
    for (size_t i = 0; i < o->offer.services_n; i++) {
        const struct offered_service *s = &o->offer.services[i];
        if (yzi_bytes_eq(s->code, yzi_service_code(id)) &&
            yzi_bytes_eq(s->version, yzi_service_version(id))) {
            service = s;
        }
    }
    YZ_ENSURE(service, YZ_ENOTFOUND);
    YZ_TRY(yzi_buf_put(out, o->raw));
    bool used[YZ_SLOTS_MAX * 16] = {false};
    size_t n = service->adapters.n < sizeof used ? service->adapters.n : sizeof used;
    for (unsigned taken = 0; taken < YZ_SLOTS_MAX; taken++) {
        size_t best = n, least = SIZE_MAX;
        for (size_t i = 0; i < n; i++) {
            yz_node_id adapter = {service->adapters.items[i]};
            const struct connection *k = yzi_connection_of_node(&b->connections, adapter);
            if (!used[i] && k && k->outstanding < least && live_announcement(b, adapter.v)) {
                best = i;
                least = k->outstanding;
            }
        }
        if (best == n) {
            break;
        }
        used[best] = true;
        const struct announced *a = live_announcement(b, service->adapters.items[best]);
        YZ_TRY(yzi_buf_put(out, yzi_bytes_buf(&a->record)));
    }
    return YZ_OK;
}

static int write_offer(struct broker *b, yz_bytes name, yz_buf *out)
{
    yz_subsystem_id id;
    YZ_TRY(yzi_subsystem_id_parse(name, &id));
    const struct held_offer *o = yzi_offers_get(b->offers, id);
    YZ_ENSURE(o, YZ_ENOTFOUND);
    return yzi_buf_put(out, o->raw);
}

static int write_chunk(struct broker *b, yz_bytes name, yz_buf *out)
{
    YZ_ENSURE(name.n == sizeof(yz_digest), YZ_EMALFORMED);
    yz_digest digest;
    memcpy(digest.b, name.p, sizeof digest.b);
    yz_bytes chunk = yzi_directory_chunk(b->directory, &digest);
    YZ_ENSURE(chunk.n, YZ_ENOTFOUND);
    return yzi_buf_put(out, chunk);
}

static int write_object(struct broker *b, const struct fetch *f, yz_buf *out)
{
    switch (f->what) {
    case FETCH_MANIFEST:
        YZ_TRY(yzi_buf_put(out, yzi_directory_manifest(b->directory)));
        return yzi_buf_put(out, yzi_trust_freshness(b->trust));
    case FETCH_CHUNK:
        return write_chunk(b, f->name, out);
    case FETCH_FRESHNESS:
        return yzi_buf_put(out, yzi_trust_freshness(b->trust));
    case FETCH_SERVICE:
        return write_service(b, f->name, out);
    case FETCH_OFFER:
        return write_offer(b, f->name, out);
    case FETCH_STATEMENTS:
        return yzi_directory_overlays_page(b->directory, f->name, YZ_STATEMENTS_PAGE, out);
    case FETCH_CATALOGUE:
        return yzi_offers_page(b->offers, f->name, YZ_CATALOGUE_PAGE, out);
    case FETCH_CONSISTENCY: /* the parser saw to the lengths of both names */
        return yzi_evidence_consistency(b->evidence, yzi_load_u64(f->name.p),
                                        yzi_load_u64(f->name.p + 8), yzi_load_u64(f->name.p + 16),
                                        out);
    case FETCH_RECEIPT: {
        yz_uuid id;
        yz_digest digest;
        memcpy(id.b, f->name.p, sizeof id.b);
        memcpy(digest.b, f->name.p + sizeof id.b, sizeof digest.b);
        return yzi_evidence_receipt(b->evidence, &id, &digest, out);
    }
    default:
        return YZ_EMALFORMED;
    }
}

void yzi_broker_on_fetch(struct broker *b, struct connection *k, const struct frame *f)
{
    struct fetch fetch;
    if (yzi_fetch_parse(f->header, &fetch) < 0) {
        yzi_metric_add(&b->metrics.messages_bad, 1);
        yzi_broker_fault(b, k);
        return;
    }
    YZ_AUTO(yzi_buf_fini) yz_buf payload;
    yzi_buf_init(&payload, OBJECT_MAX);
    int rc = yzi_bucket_take(&k->load->bytes, 0, BYTES_PER_SECOND, BYTES_BURST, b->mono)
                 ? write_object(b, &fetch, &payload)
                 : YZ_EBUSY;
    if (rc == YZ_OK) {
        k->load->bytes.tokens -= (double)payload.n;
    }
    bool of_log = fetch.what == FETCH_RECEIPT || fetch.what == FETCH_CONSISTENCY;
    if (of_log && rc < 0 && rc != YZ_ENOTFOUND) {
        return; /* "not found" would be a lie about the log; the peer asks again */
    }
    struct object o = {.token = fetch.token, .what = fetch.what, .found = rc == YZ_OK};
    yzi_buf_clear(&b->out);
    if (yzi_object_write(&o, o.found ? yzi_bytes_buf(&payload) : (yz_bytes){0}, &b->out) == YZ_OK) {
        yzi_broker_send(b, &k->id, yzi_bytes_buf(&b->out));
    }
}

/* -- taking in: records -- */

/* What somebody announced with a key that was taken back binds nobody: or a thief's high sequence
 * could not be surpassed. */
static bool still_verifies(const struct broker *b, const struct announced *held)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, TRUST_ARENA_MAX);
    struct announcement a;
    yz_digest digest;
    struct judge judge = yzi_broker_judge(b);
    return yzi_announcement_verify(&judge, yzi_bytes_buf(&held->record), &arena, &a, &digest) ==
           YZ_OK;
}

static int take_announcement(struct broker *b, const struct record *r,
                             const struct connection *peer, yz_error *err)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, TRUST_ARENA_MAX);
    struct announcement a;
    yz_digest digest;
    struct judge judge = yzi_broker_judge(b);
    int rc = yzi_announcement_verify(&judge, r->raw, &arena, &a, &digest);
    if (rc < 0) {
        return yzi_fail(err, rc, "the announcement does not verify");
    }
    if (!peer || !yzi_bytes_eq(a.node.v, peer->peer.node.v)) {
        return yzi_fail(err, YZ_EDENIED, "an announcement is its own node's to make");
    }
    const struct announced *held = yzi_table_get(&b->announcements, a.node.v);
    if (held && yzi_digest_eq(&held->digest, &digest)) {
        return YZ_OK;
    }
    if (held && held->sequence >= a.sequence && still_verifies(b, held)) {
        return yzi_fail(err, YZ_EROLLBACK, "a later announcement is held");
    }
    struct announced *fresh;
    YZ_TRY(yzi_alloc(1, sizeof *fresh, &fresh));
    *fresh = (struct announced){.digest = digest,
                                .sequence = a.sequence,
                                .not_before = a.not_before,
                                .not_after = a.not_after};
    yzi_buf_init(&fresh->record, YZ_RECORD_MAX);
    void *old = NULL;
    rc = yzi_buf_put(&fresh->record, r->raw);
    if (rc == YZ_OK) {
        rc = yzi_table_set(&b->announcements, a.node.v, fresh, &old);
    }
    if (rc < 0) {
        free_announced(fresh);
        return rc;
    }
    if (old) {
        free_announced(old);
    }
    return YZ_OK;
}

static void log_statement(const struct record *r)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, TRUST_ARENA_MAX);
    struct member_set set;
    if (yzi_member_set_parse(r->body, &arena, &set) == YZ_OK) {
        yzi_log(&EV_STATEMENT_ADOPTED,
                (struct log_field[]){log_bytes("member", set.member.v),
                                     log_num("version", (int64_t)set.version),
                                     {0}});
    }
}

static int take_member_set(struct broker *b, const struct record *r, yz_error *err)
{
    int rc = yzi_trust_put_member_set(b->trust, r->raw, err);
    if (rc == YZ_EEXIST) {
        return YZ_OK;
    }
    YZ_TRY(rc);
    log_statement(r);
    yzi_broker_directory_changed(b);
    push(b, NULL, FETCH_STATEMENTS, r->raw);
    return YZ_OK;
}

static int take_offer(struct broker *b, const struct record *r, yz_error *err)
{
    int rc = yzi_offers_put(b->offers, r->raw, b->directory, b->wall, err);
    if (rc == YZ_EEXIST) {
        return YZ_OK;
    }
    YZ_TRY(rc);
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, TRUST_ARENA_MAX);
    struct offer o;
    YZ_TRY(yzi_offer_parse(r->body, &arena, &o));
    yzi_log(&EV_OFFER_ADOPTED, (struct log_field[]){log_bytes("subsystem", o.subsystem.v),
                                                    log_num("version", (int64_t)o.version),
                                                    {0}});
    yzi_kept_offer(b, &o, r->raw);
    return YZ_OK;
}

/* Of a broker without the freshness key it is the only source, so it is passed on. */
static int take_freshness(struct broker *b, const struct record *r, yz_error *err)
{
    int rc = yzi_trust_put_freshness(b->trust, r->raw, err);
    if (rc == YZ_EEXIST || (rc == YZ_EROLLBACK && b->has_freshness)) {
        return YZ_OK;
    }
    YZ_TRY(rc);
    push(b, NULL, FETCH_FRESHNESS, r->raw);
    return YZ_OK;
}

int yzi_broker_take_record(struct broker *b, const struct record *r, const struct connection *peer,
                           yz_error *err)
{
    if (!b->directory) {
        return yzi_fail(err, YZ_EUNAVAILABLE, "this broker has no directory to verify it against");
    }
    switch (r->kind) {
    case RECORD_ANNOUNCEMENT:
        return take_announcement(b, r, peer, err);
    case RECORD_MEMBER_SET:
        return take_member_set(b, r, err);
    case RECORD_OFFER:
        return take_offer(b, r, err);
    case RECORD_FRESHNESS:
        return take_freshness(b, r, err);
    case RECORD_ROOT:
    case RECORD_MEMBER:
    case RECORD_BROKER:
    case RECORD_REVOCATION:
    case RECORD_MANIFEST:
    case RECORD_TERMS:
    case RECORD_NODE_REQUEST:
    case RECORD_PURPOSES:
    default:
        return yzi_fail(err, YZ_EUNSUPPORTED, "a broker does not take a %s record",
                        yzi_record_kind_name(r->kind));
    }
}

/* A peer offers its newer directory: it is fetched, not taken on its word. */
static int consider_manifest(struct broker *b, struct connection *k, const struct record *r)
{
    uint64_t version;
    YZ_TRY(yzi_directory_peek(r->raw, &version));
    if (version <= yzi_directory_version(b->directory)) {
        return YZ_OK;
    }
    yzi_broker_heard_version(b, k, version);
    return YZ_EAGAIN;
}

static int take_one(struct broker *b, struct connection *k, const struct record *r, yz_error *err)
{
    double cost = 1.0 + (double)r->raw.n / RECORD_BYTES;
    cost += r->kind == RECORD_MEMBER_SET ? MEMBER_SET_COST : 0;
    if (!yzi_bucket_take(&k->load->records, cost, RECORDS_PER_SECOND, RECORDS_BURST, b->mono)) {
        return yzi_fail(err, YZ_EBUSY, "too many records from this node; try again later");
    }
    return r->kind == RECORD_MANIFEST ? consider_manifest(b, k, r)
                                      : yzi_broker_take_record(b, r, k, err);
}

/* All of them, whatever is wrong with one; the first fault is told. */
static int take_all(struct broker *b, struct connection *k, yz_bytes payload, yz_error *err)
{
    yz_reader r = yzi_reader(payload);
    int result = YZ_OK;
    for (unsigned n = 0; r.left && result != YZ_EBUSY && !k->gone; n++) {
        if (n == RECORDS_PER_PUT) {
            return yzi_fail(err, YZ_EBUSY, "too many records in one message; put the others again");
        }
        struct record record;
        YZ_TRY(yzi_record_next(&r, &record));
        yz_error one = {0};
        int rc = take_one(b, k, &record, &one);
        if (rc < 0 && (result == YZ_OK || rc == YZ_EBUSY)) {
            result = rc;
            *err = one;
        }
    }
    return result;
}

void yzi_broker_on_put(struct broker *b, struct connection *k, const struct frame *f)
{
    uint32_t token;
    if (yzi_put_parse(f->header, &token) < 0) {
        yzi_metric_add(&b->metrics.messages_bad, 1);
        yzi_broker_fault(b, k);
        return;
    }
    yz_error err = {0};
    int rc = take_all(b, k, f->payload, &err);
    if (rc < 0 && rc != YZ_EAGAIN && yzi_broker_may_log(b, k->load)) {
        err.code = rc;
        yzi_log_error(&EV_RECORD_REFUSED, &err,
                      (struct log_field[]){log_str("peer", k->node), {0}});
    }
    struct put_result result = {.token = token, .code = rc, .text = yzi_bytes_str(err.text)};
    yzi_buf_clear(&b->out);
    if (yzi_put_result_write(&result, &b->out) == YZ_OK) {
        yzi_broker_send(b, &k->id, yzi_bytes_buf(&b->out));
    }
}
