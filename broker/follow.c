/* SPDX-License-Identifier: Apache-2.0
 *
 * Following a peer's newer directory: its manifest, then the chunks we lack, a few at a time, then
 * adoption. Any number of peers may be asked for their manifest at once; chunks are fetched from
 * one, because only a manifest that verified, and newer than the one pursued, moves us from whom we
 * follow. What was not asked for is not looked at. A node that claims what it does not give is not
 * asked again for a while, over whatever connection; others are. What it gives too late counts all
 * the same, whichever of the last questions it answers: it proves itself, and a peer that is slower
 * than we ask would else never be heard.
 */
#include "broker/broker.h"

#include <sodium.h>
#include <string.h>

#define ARENA_MAX (1024u * 1024u)
#define PROGRESS_MS 5000u /* for the next piece to come */
#define ASK_AGAIN_MS 2000u
#define ALONE_MS 5000u     /* then others may take over: who gives piece after piece slowly */
#define MISTRUST_MS 60000u /* after something an honest peer does not do */

static int fetch_from(struct broker *b, const struct connection_id *to, enum fetch_what what,
                      yz_bytes name, uint32_t *out_token)
{
    if (++b->next_token == 0) {
        b->next_token = 1;
    }
    struct fetch f = {.token = b->next_token, .what = what, .name = name};
    yzi_buf_clear(&b->out);
    YZ_TRY(yzi_fetch_write(&f, &b->out));
    yzi_broker_send(b, to, yzi_bytes_buf(&b->out));
    *out_token = f.token;
    return YZ_OK;
}

/* Is somebody about to give us this version, or a newer one? For a while he may do so alone, unless
 * anybody could have said what he says. */
static bool is_followed(const struct broker *b, uint64_t version)
{
    const struct follow *f = &b->follow;
    return f->active && !f->unproved &&
           (version < f->version || (version == f->version && b->mono < f->began + ALONE_MS));
}

void yzi_broker_heard_version(struct broker *b, struct connection *k, uint64_t version)
{
    uint64_t ours = yzi_directory_version(b->directory);
    if (version <= ours || is_followed(b, version) || b->mono < k->follow_after ||
        b->mono < k->load->mistrusted_until) {
        return;
    }
    uint32_t *token = &k->manifest_tokens[k->manifests_asked % CONNECTION_MANIFESTS];
    if (fetch_from(b, &k->id, FETCH_MANIFEST, (yz_bytes){0}, token) == YZ_OK) {
        k->manifests_asked++;
        k->follow_after = b->mono + ASK_AGAIN_MS;
    }
}

static void stop(struct broker *b)
{
    b->follow = (struct follow){0};
}

/* Wait no longer, but remember what was asked for. */
static void stop_for_now(struct broker *b)
{
    b->late = b->follow;
    b->late.active = false;
    stop(b);
}

/* The load is asked for by name: it outlives the connection, the pointer in it may not. */
static void mistrust(struct broker *b, const char *node)
{
    struct node_load *load = yzi_connections_load(&b->connections, yzi_bytes_str(node));
    if (load) {
        load->mistrusted_until = b->mono + MISTRUST_MS;
    }
}

static bool is_fetched(const struct follow *f, const yz_digest *digest)
{
    for (size_t i = 0; i < BROKER_FETCHES_MAX; i++) {
        if (f->fetches[i].token && yzi_digest_eq(&f->fetches[i].digest, digest)) {
            return true;
        }
    }
    return false;
}

static int fetch_chunks(struct broker *b, const yz_digest *missing, size_t n)
{
    struct follow *f = &b->follow;
    size_t next = 0;
    for (size_t slot = 0; slot < BROKER_FETCHES_MAX; slot++) {
        while (next < n && is_fetched(f, &missing[next])) {
            next++;
        }
        if (f->fetches[slot].token || next == n) {
            continue;
        }
        f->fetches[slot].digest = missing[next];
        YZ_TRY(fetch_from(b, &f->from, FETCH_CHUNK, yzi_bytes_digest(&missing[next]),
                          &f->fetches[slot].token));
    }
    return YZ_OK;
}

/* Fetch what is missing of the pending directory; when nothing is, take it into force. */
static int pursue(struct broker *b, yz_error *err)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, ARENA_MAX);
    yz_digest *missing = NULL;
    size_t n = 0;
    YZ_TRY(yzi_trust_missing(b->trust, &arena, &missing, &n));
    if (n > 0) {
        b->follow.deadline = b->mono + PROGRESS_MS;
        return fetch_chunks(b, missing, n);
    }
    stop(b);
    int rc = yzi_trust_adopt(b->trust, err);
    if (rc == YZ_ENOTFOUND) {
        return YZ_OK; /* it came another way */
    }
    YZ_TRY(rc);
    yzi_broker_directory_changed(b);
    b->next_second = b->mono; /* readiness follows at once */
    return YZ_OK;
}

/* -- what comes back -- */

static int take_manifest(struct broker *b, struct connection *k, yz_bytes payload, yz_error *err)
{
    struct record manifest;
    yz_reader r = yzi_reader(payload);
    uint64_t version;
    YZ_TRY(yzi_record_next(&r, &manifest));
    YZ_TRY(yzi_directory_peek(manifest.raw, &version));
    if (version <= yzi_directory_version(b->directory) || is_followed(b, version)) {
        return YZ_OK; /* there meanwhile, or under way */
    }
    bool proved = yzi_trust_can_judge(b->trust, manifest.raw);
    if (b->follow.active && !proved) {
        return YZ_OK; /* not now: whoever makes one up must not keep a true one away */
    }
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, ARENA_MAX);
    yz_digest *missing = NULL;
    size_t n = 0;
    YZ_TRY(yzi_trust_offer_manifest(b->trust, manifest.raw, &arena, &missing, &n, err));
    if (b->follow.active) {
        stop_for_now(b);
    }
    b->follow = (struct follow){
        .active = true, .unproved = !proved, .from = k->id, .version = version, .began = b->mono};
    snprintf(b->follow.node, sizeof b->follow.node, "%s", k->node);
    return pursue(b, err);
}

static int on_manifest(struct broker *b, struct connection *k, const struct object *o,
                       yz_bytes payload, yz_error *err)
{
    for (size_t i = 0; o->token && i < CONNECTION_MANIFESTS; i++) {
        if (k->manifest_tokens[i] == o->token) {
            k->manifest_tokens[i] = 0; /* each question is answered once */
            return o->found ? take_manifest(b, k, payload, err) : YZ_OK;
        }
    }
    return YZ_OK; /* not asked for */
}

static bool is_chunk(yz_bytes payload, const yz_digest *asked_for)
{
    yz_digest digest;
    crypto_hash_sha256(digest.b, payload.p, payload.n);
    return yzi_digest_eq(&digest, asked_for);
}

/* Which of its fetches this answers; BROKER_FETCHES_MAX: none. */
static size_t fetch_of(const struct follow *f, const struct connection *k, uint32_t token)
{
    size_t i = BROKER_FETCHES_MAX;
    if (token && yzi_bytes_eq(yzi_connection_bytes(&k->id), yzi_connection_bytes(&f->from))) {
        for (i = 0; i < BROKER_FETCHES_MAX && f->fetches[i].token != token; i++) {
        }
    }
    return i;
}

/* It delivers after all: go on with it, unless somebody else is at it or was faster. */
static void take_up_again(struct broker *b, struct connection *k)
{
    if (!b->follow.active && b->late.version > yzi_directory_version(b->directory)) {
        b->follow = b->late;
        b->follow.active = true;
        b->follow.began = b->mono;
        k->load->mistrusted_until = 0;
        b->late = (struct follow){0};
    }
}

static int take_chunk(struct broker *b, yz_bytes payload, yz_error *err)
{
    size_t remaining = 0;
    int rc = yzi_trust_put_chunk(b->trust, payload, &remaining);
    if (rc < 0 && rc != YZ_ENOTFOUND) {
        return yzi_fail(err, rc, "a chunk does not fit the manifest");
    }
    b->follow.unproved = b->follow.unproved && rc < 0;
    return b->follow.active ? pursue(b, err) : YZ_OK;
}

static int on_chunk(struct broker *b, struct connection *k, const struct object *o,
                    yz_bytes payload, yz_error *err)
{
    struct follow *f = &b->follow;
    size_t i = fetch_of(f, k, o->token);
    if (i == BROKER_FETCHES_MAX) {
        f = &b->late;
        i = fetch_of(f, k, o->token);
    }
    if (i == BROKER_FETCHES_MAX) {
        return YZ_OK; /* not asked for */
    }
    f->fetches[i].token = 0;
    if (!o->found) { /* it moved on to another version, which it will tell */
        *f = (struct follow){0};
        return YZ_OK;
    }
    if (!is_chunk(payload, &f->fetches[i].digest)) { /* it would be asked for for ever */
        return yzi_fail(err, YZ_ESIGNATURE, "it is another chunk than the one asked for");
    }
    f->delivered = true;
    if (f == &b->late) {
        take_up_again(b, k);
    }
    return take_chunk(b, payload, err);
}

/* Whoever says what an honest peer does not: nothing of its is pursued, but what others give is. */
static void give_up_on(struct broker *b, const struct connection *k)
{
    if (!b->follow.active || strcmp(b->follow.node, k->node) == 0) {
        stop(b);
    }
    if (strcmp(b->late.node, k->node) == 0) {
        b->late = (struct follow){0};
    }
}

void yzi_broker_on_object(struct broker *b, struct connection *k, const struct frame *f)
{
    struct object o;
    if (yzi_object_parse(f->header, &o) < 0) {
        yzi_metric_add(&b->metrics.messages_bad, 1);
        return;
    }
    yz_error err = {0};
    int rc = YZ_OK;
    if (o.what == FETCH_MANIFEST) {
        rc = on_manifest(b, k, &o, f->payload, &err);
    } else if (o.what == FETCH_CHUNK) {
        rc = on_chunk(b, k, &o, f->payload, &err);
    }
    if (rc == YZ_OK || rc == YZ_EEXIST) {
        return;
    }
    give_up_on(b, k);
    mistrust(b, k->node);
    if (yzi_broker_may_log(b, k->load)) {
        err.code = rc;
        yzi_log_error(&EV_DIRECTORY_REFUSED, &err,
                      (struct log_field[]){log_str("peer", k->node), {0}});
    }
}

void yzi_broker_follow_step(struct broker *b)
{
    if (!b->follow.active) {
        return;
    }
    struct connection *k = yzi_connection_find(&b->connections, &b->follow.from);
    bool there = k && !k->gone;
    bool overdue = b->mono >= b->follow.deadline;
    if (there && !overdue) {
        return;
    }
    if (overdue || !b->follow.delivered) { /* else whoever reconnects could hold us up again */
        mistrust(b, b->follow.node);
    }
    stop_for_now(b);
}
