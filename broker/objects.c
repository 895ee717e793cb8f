/* SPDX-License-Identifier: Apache-2.0
 *
 * What the broker keeps and hands out on behalf of others: the directory and its freshness, newer
 * member sets, offers, announcements. Everything is verified before it is kept; who brought it does
 * not matter, except that an announcement comes from its own node.
 */
#include "broker/broker.h"

#include <sodium.h>

#define TRUST_ARENA_MAX (1024u * 1024u)
#define CHUNKS_AT_ONCE 64u
#define CATALOGUE_MAX (8u * 1024u * 1024u)

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

void yzi_broker_on_hello(struct broker *b, struct connection *k, const struct frame *f)
{
    struct hello h;
    if (yzi_hello_parse(f->header, &h) < 0 || !yzi_bytes_eq(h.node.v, k->peer.node.v) ||
        h.role != k->role) {
        yzi_metric_add(&b->metrics.messages_bad, 1);
        yzi_log(&EV_PEER_BAD,
                (struct log_field[]){log_str("peer", k->node),
                                     log_str("reason", "hello names another node or role"),
                                     {0}});
        return;
    }
    bool first = !k->hello;
    k->hello = true;
    k->boot = h.boot;
    k->directory_version = h.directory_version;
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
    struct connection_id id = k->id;
    if (first) {
        yzi_log(&EV_PEER_UP, (struct log_field[]){log_str("peer", k->node),
                                                  log_str("role", yzi_role_name(k->role)),
                                                  log_bytes("software", h.software),
                                                  {0}});
    }
    if (h.directory_version > w.directory_version) {
        yzi_broker_ask_directory(b, k, h.directory_version);
        yzi_buf_clear(&b->out);
        yz_ignore(yzi_welcome_write(&w, &b->out), "written a moment ago");
    }
    yzi_broker_send(b, &id, yzi_bytes_buf(&b->out));
    push(b, &id, FETCH_FRESHNESS, yzi_trust_freshness(b->trust));
}

void yzi_broker_on_heartbeat(struct broker *b, struct connection *k, const struct frame *f)
{
    struct heartbeat h;
    if (yzi_heartbeat_parse(f->header, &h) < 0) {
        yzi_metric_add(&b->metrics.messages_bad, 1);
        return;
    }
    k->directory_version = h.directory_version;
    if (h.directory_version > yzi_directory_version(b->directory)) {
        yzi_broker_ask_directory(b, k, h.directory_version);
    }
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
            if (yzi_server_send(b->server, &k->id, yzi_bytes_buf(&b->out)) < 0) {
                yzi_metric_add(&b->metrics.messages_dropped, 1);
            }
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

static int append_offer(void *ctx, const struct held_offer *offer)
{
    return yzi_buf_put(ctx, offer->raw);
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
        return yzi_directory_overlays(b->directory, out);
    case FETCH_CATALOGUE:
        return yzi_offers_each(b->offers, append_offer, out);
    default:
        return YZ_EMALFORMED;
    }
}

void yzi_broker_on_fetch(struct broker *b, struct connection *k, const struct frame *f)
{
    struct fetch fetch;
    if (yzi_fetch_parse(f->header, &fetch) < 0) {
        yzi_metric_add(&b->metrics.messages_bad, 1);
        return;
    }
    YZ_AUTO(yzi_buf_fini) yz_buf payload;
    yzi_buf_init(&payload, CATALOGUE_MAX);
    int rc = write_object(b, &fetch, &payload);
    struct object o = {.token = fetch.token, .what = fetch.what, .found = rc == YZ_OK};
    yzi_buf_clear(&b->out);
    if (yzi_object_write(&o, o.found ? yzi_bytes_buf(&payload) : (yz_bytes){0}, &b->out) == YZ_OK) {
        yzi_broker_send(b, &k->id, yzi_bytes_buf(&b->out));
    }
}

/* -- taking in: records -- */

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
    if (held && held->sequence > a.sequence) {
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

static int take_member_set(struct broker *b, const struct record *r, yz_error *err)
{
    int rc = yzi_trust_put_member_set(b->trust, r->raw, err);
    if (rc == YZ_EEXIST) {
        return YZ_OK;
    }
    YZ_TRY(rc);
    yzi_log(&EV_STATEMENT_ADOPTED, NULL);
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
    yzi_log(&EV_OFFER_ADOPTED, NULL);
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
    case RECORD_FRESHNESS: {
        int rc = yzi_trust_put_freshness(b->trust, r->raw, err);
        return rc == YZ_EROLLBACK && b->has_freshness ? YZ_OK : rc;
    }
    case RECORD_ROOT:
    case RECORD_MEMBER:
    case RECORD_BROKER:
    case RECORD_REVOCATION:
    case RECORD_MANIFEST:
    case RECORD_TERMS:
    case RECORD_NODE_REQUEST:
    default:
        return yzi_fail(err, YZ_EUNSUPPORTED, "a broker does not take a %s record",
                        yzi_record_kind_name(r->kind));
    }
}

/* A peer offers its newer directory: it is fetched, not taken on its word. */
static int consider_manifest(struct broker *b, struct connection *k, const struct record *r)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, TRUST_ARENA_MAX);
    struct manifest m;
    YZ_TRY(yzi_manifest_parse(r->body, &arena, &m));
    if (m.version <= yzi_directory_version(b->directory)) {
        return YZ_OK;
    }
    yzi_broker_ask_directory(b, k, m.version);
    return YZ_EAGAIN;
}

static int take_all(struct broker *b, struct connection *k, yz_bytes payload, yz_error *err)
{
    yz_reader r = yzi_reader(payload);
    int result = YZ_OK;
    while (r.left) {
        struct record record;
        YZ_TRY(yzi_record_next(&r, &record));
        int rc = record.kind == RECORD_MANIFEST ? consider_manifest(b, k, &record)
                                                : yzi_broker_take_record(b, &record, k, err);
        if (rc < 0 && result == YZ_OK) {
            result = rc;
        }
    }
    return result;
}

void yzi_broker_on_put(struct broker *b, struct connection *k, const struct frame *f)
{
    uint32_t token;
    if (yzi_put_parse(f->header, &token) < 0) {
        yzi_metric_add(&b->metrics.messages_bad, 1);
        return;
    }
    struct connection_id id = k->id;
    char node[YZ_ID_MAX + 1];
    snprintf(node, sizeof node, "%s", k->node);
    yz_error err = {0};
    int rc = take_all(b, k, f->payload, &err);
    if (rc < 0 && rc != YZ_EAGAIN) {
        err.code = rc;
        yzi_log_error(&EV_RECORD_REFUSED, &err, (struct log_field[]){log_str("peer", node), {0}});
    }
    struct put_result result = {.token = token, .code = rc, .text = yzi_bytes_str(err.text)};
    yzi_buf_clear(&b->out);
    if (yzi_put_result_write(&result, &b->out) == YZ_OK) {
        yzi_broker_send(b, &id, yzi_bytes_buf(&b->out));
    }
}

/* -- taking in: a peer's newer directory -- */

static void fetch_from(struct broker *b, struct connection *k, enum fetch_what what, yz_bytes name)
{
    if (++b->next_token == 0) {
        b->next_token = 1;
    }
    struct fetch f = {.token = b->next_token, .what = what, .name = name};
    yzi_buf_clear(&b->out);
    if (yzi_fetch_write(&f, &b->out) == YZ_OK) {
        yzi_broker_send(b, &k->id, yzi_bytes_buf(&b->out));
    }
}

void yzi_broker_ask_directory(struct broker *b, struct connection *k, uint64_t version)
{
    if (k->asked_version >= version) {
        return;
    }
    k->asked_version = version;
    fetch_from(b, k, FETCH_MANIFEST, (yz_bytes){0});
}

/* Fetch what is missing of the pending directory, a bounded number at a time; when nothing is, take
 * it into force. */
static int fetch_missing(struct broker *b, const struct connection_id *from, yz_error *err)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, TRUST_ARENA_MAX);
    yz_digest *missing = NULL;
    size_t n = 0;
    YZ_TRY(yzi_trust_missing(b->trust, &arena, &missing, &n));
    if (n == 0) {
        YZ_TRY(yzi_trust_adopt(b->trust, err));
        yzi_broker_directory_changed(b);
        return YZ_OK;
    }
    b->chunks_asked = 0;
    for (size_t i = 0; i < n && i < CHUNKS_AT_ONCE; i++) {
        struct connection *k = yzi_connection_find(&b->connections, from); /* sending may lose it */
        if (k) {
            fetch_from(b, k, FETCH_CHUNK, yzi_bytes_digest(&missing[i]));
            b->chunks_asked++;
        }
    }
    return YZ_OK;
}

static int on_manifest(struct broker *b, const struct connection_id *from, yz_bytes payload,
                       yz_error *err)
{
    struct record manifest;
    yz_reader r = yzi_reader(payload);
    YZ_TRY(yzi_record_next(&r, &manifest));
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, TRUST_ARENA_MAX);
    yz_digest *missing = NULL;
    size_t n = 0;
    int rc = yzi_trust_offer_manifest(b->trust, manifest.raw, &arena, &missing, &n, err);
    if (rc == YZ_EEXIST) {
        return YZ_OK;
    }
    YZ_TRY(rc);
    return fetch_missing(b, from, err);
}

static int on_chunk(struct broker *b, const struct connection_id *from, yz_bytes payload,
                    yz_error *err)
{
    size_t remaining = 0;
    int rc = yzi_trust_put_chunk(b->trust, payload, &remaining);
    if (rc == YZ_ENOTFOUND) {
        return YZ_OK; /* another peer was faster */
    }
    if (rc < 0) {
        return yzi_fail(err, rc, "the chunk is not the one asked for");
    }
    b->chunks_asked -= b->chunks_asked > 0;
    return remaining == 0 || b->chunks_asked == 0 ? fetch_missing(b, from, err) : YZ_OK;
}

void yzi_broker_on_object(struct broker *b, struct connection *k, const struct frame *f)
{
    struct object o;
    if (yzi_object_parse(f->header, &o) < 0) {
        yzi_metric_add(&b->metrics.messages_bad, 1);
        return;
    }
    struct connection_id id = k->id;
    char node[YZ_ID_MAX + 1];
    snprintf(node, sizeof node, "%s", k->node);
    yz_error err = {0};
    int rc = YZ_OK;
    if (o.found && o.what == FETCH_MANIFEST) {
        rc = on_manifest(b, &id, f->payload, &err);
    } else if (o.found && o.what == FETCH_CHUNK) {
        rc = on_chunk(b, &id, f->payload, &err);
    }
    if (rc < 0) {
        err.code = rc;
        yzi_log_error(&EV_DIRECTORY_REFUSED, &err,
                      (struct log_field[]){log_str("peer", node), {0}});
    }
}
