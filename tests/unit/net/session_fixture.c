/* SPDX-License-Identifier: Apache-2.0
 *
 * The puppet broker and the session's owner.
 */
#include "tests/unit/net/session_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

struct world *w;

/* -- the puppet broker -- */

static bool puppet_admits(void *ctx, const uint8_t key[32])
{
    struct puppet *p = ctx;
    (void)key;
    return !p->strict;
}

void puppet_adopts(struct puppet *p, const struct directory *d)
{
    yzi_directory_unref(p->directory);
    p->directory = d;
    yzi_directory_ref(d);
    yzi_buf_clear(&p->freshness);
    yz_world_put_freshness(w, yz_world_now(w), &p->freshness);
}

void open_puppet(struct puppet *p, const char *broker, int high_water)
{
    *p = (struct puppet){.broker = yz_world_node(w, broker), .message_max = YZ_MESSAGE_MAX};
    yz_world_buf(&p->freshness);
    yz_world_buf(&p->statements);
    yz_world_buf(&p->out);
    for (size_t i = 0; i < KINDS; i++) {
        yz_world_buf(&p->last[i]);
    }
    puppet_adopts(p, w->directory);
    assert_int_equal(yzi_net_new(1, &p->net), 0);
    struct server_options o = {.net = p->net, .admit = puppet_admits, .ctx = p, .endpoints_n = 1};
    o.high_water = high_water;
    o.endpoints[0].address = "tcp://127.0.0.1:*";
    o.endpoints[0].transport = &p->broker->transport;
    assert_int_equal(yzi_server_new(&o, &p->server, NULL), 0);
}

void close_puppet(struct puppet *p)
{
    if (!p->net) {
        return;
    }
    yzi_server_close(p->server);
    yzi_net_free(p->net);
    yzi_directory_unref(p->directory);
    yzi_buf_fini(&p->freshness);
    yzi_buf_fini(&p->statements);
    yzi_buf_fini(&p->out);
    for (size_t i = 0; i < KINDS; i++) {
        yzi_buf_fini(&p->last[i]);
    }
}

void say(struct puppet *p, yz_bytes frame)
{
    assert_int_equal(yzi_server_send(p->server, &p->peer, frame), 0);
}

static uint64_t claimed(const struct puppet *p)
{
    return p->claim ? p->claim : yzi_directory_version(p->directory);
}

void say_welcome(struct puppet *p)
{
    yz_node_id node = {yzi_bytes_str(p->name ? p->name : p->broker->id)};
    struct welcome m = {.node = node,
                        .directory_version = claimed(p),
                        .heartbeat_ms = BEAT_MS,
                        .message_max = p->message_max,
                        .time = p->time ? p->time : yz_world_now(w),
                        .software = yzi_bytes_str("puppet")};
    yzi_buf_clear(&p->out);
    assert_int_equal(yzi_welcome_write(&m, &p->out), 0);
    say(p, yzi_bytes_buf(&p->out));
}

void say_heartbeat(struct puppet *p)
{
    struct heartbeat m = {.directory_version = claimed(p), .time = yz_world_now(w)};
    yzi_buf_clear(&p->out);
    assert_int_equal(yzi_heartbeat_write(&m, &p->out), 0);
    say(p, yzi_bytes_buf(&p->out));
}

void say_object(struct puppet *p, uint32_t token, enum fetch_what what, bool found,
                yz_bytes payload)
{
    struct object m = {token, what, found};
    yzi_buf_clear(&p->out);
    assert_int_equal(yzi_object_write(&m, payload, &p->out), 0);
    say(p, yzi_bytes_buf(&p->out));
}

uint32_t say_fetch(struct puppet *p, uint32_t token, enum fetch_what what, yz_bytes name)
{
    struct fetch m = {token, what, name};
    yzi_buf_clear(&p->out);
    assert_int_equal(yzi_fetch_write(&m, &p->out), 0);
    say(p, yzi_bytes_buf(&p->out));
    return token;
}

static void answer_chunk(struct puppet *p, const struct fetch *f)
{
    yz_digest digest;
    memcpy(digest.b, f->name.p, sizeof digest.b);
    yz_bytes chunk = yzi_directory_chunk(p->directory, &digest);
    if (p->wrong_chunks) {
        say_object(p, f->token, f->what, true, yzi_bytes_str("not that chunk"));
    } else {
        bool found = chunk.n > 0 && !p->no_chunks;
        say_object(p, f->token, f->what, found, found ? chunk : (yz_bytes){0});
    }
}

/* Pages of one member set each. */
static void next_statement(struct puppet *p, yz_bytes after, yz_buf *out)
{
    yz_reader r = yzi_reader(yzi_bytes_buf(&p->statements));
    while (r.left && !out->n && !p->no_statements) {
        struct arena a;
        struct record record;
        struct member_set set;
        yzi_arena_init(&a, 4 * 1024 * 1024);
        assert_int_equal(yzi_record_next(&r, &record), 0);
        assert_int_equal(yzi_member_set_parse(record.body, &a, &set), 0);
        if (p->stuck || yzi_bytes_cmp(set.member.v, after) > 0) {
            assert_int_equal(yzi_buf_put(out, record.raw), 0);
        }
        yzi_arena_fini(&a);
    }
}

static void answer_fetch(struct puppet *p, const struct fetch *f)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yz_world_buf(&b);
    switch (f->what) {
    case FETCH_MANIFEST:
        assert_int_equal(yzi_buf_put(&b, yzi_directory_manifest(p->directory)), 0);
        assert_int_equal(yzi_buf_put(&b, yzi_bytes_buf(&p->freshness)), 0);
        say_object(p, f->token, f->what, true, yzi_bytes_buf(&b));
        return;
    case FETCH_CHUNK:
        answer_chunk(p, f);
        return;
    case FETCH_FRESHNESS:
        say_object(p, f->token, f->what, true, yzi_bytes_buf(&p->freshness));
        return;
    case FETCH_STATEMENTS:
        next_statement(p, f->name, &b);
        say_object(p, f->token, f->what, !p->no_statements, yzi_bytes_buf(&b));
        return;
    case FETCH_CONSISTENCY: {
        bool found = p->log && yz_puppet_prove(p->log, f->name, &b);
        say_object(p, f->token, f->what, found, found ? yzi_bytes_buf(&b) : (yz_bytes){0});
        return;
    }
    case FETCH_SERVICE:
    case FETCH_OFFER:
    case FETCH_CATALOGUE:
    case FETCH_RECEIPT:
    default:
        say_object(p, f->token, f->what, true, yzi_bytes_str("an offer"));
    }
}

static void take_fetch(struct puppet *p, yz_bytes header)
{
    struct fetch f;
    assert_int_equal(yzi_fetch_parse(header, &f), 0);
    unsigned n = p->fetched[f.what]++;
    struct asked *asked = &p->asked[f.what];
    assert_in_range(f.name.n, 0, sizeof asked->name);
    asked->token = f.token;
    asked->name_n = f.name.n;
    for (size_t i = 0; i < f.name.n; i++) {
        asked->name[i] = f.name.p[i];
    }
    if (f.what == FETCH_CHUNK) {
        p->chunks[n % CHUNKS_KEPT] = *asked;
    }
    if (!p->silent) {
        answer_fetch(p, &f);
    }
}

static void take(struct puppet *p, struct message *m)
{
    struct frame f;
    assert_int_equal(yzi_frame_parse(m->bytes, YZ_MESSAGE_MAX, &f), 0);
    p->got[f.kind]++;
    yzi_buf_clear(&p->last[f.kind]);
    assert_int_equal(yzi_buf_put(&p->last[f.kind], m->bytes), 0);
    if (f.kind == FRAME_HELLO && !p->cold) {
        say_welcome(p);
    } else if (f.kind == FRAME_FETCH) {
        take_fetch(p, f.header);
    } else if (f.kind == FRAME_OBJECT) {
        struct object object;
        assert_int_equal(yzi_object_parse(f.header, &object), 0);
        p->answered[object.what]++;
    }
}

struct frame last_frame(struct puppet *p, enum frame_kind kind)
{
    struct frame f;
    assert_int_equal(yzi_frame_parse(yzi_bytes_buf(&p->last[kind]), YZ_MESSAGE_MAX, &f), 0);
    return f;
}

static void step_puppet(struct puppet *p)
{
    yzi_server_step(p->server);
    while (!p->deaf) {
        struct message m = {0};
        int rc = yzi_server_recv(p->server, &p->peer, p->key, &m);
        if (rc == YZ_EAGAIN) {
            return;
        }
        assert_int_equal(rc, 0);
        take(p, &m);
        yzi_message_fini(&m);
    }
}

/* -- the session and its owner -- */

static void on_up(void *ctx, struct session *s, const struct welcome *m)
{
    struct owner *o = ctx;
    assert_true(yzi_session_is_up(s));
    o->ups++;
    o->welcomed_version = m->directory_version;
}

static void on_down(void *ctx, struct session *s, const char *reason)
{
    struct owner *o = ctx;
    assert_false(yzi_session_is_up(s));
    o->downs++;
    o->reason = reason;
}

static void on_frame(void *ctx, struct session *s, const struct frame *f, struct message *m)
{
    struct owner *o = ctx;
    (void)s;
    o->frames++;
    assert_ptr_equal(f->raw.p, m->bytes.p);
    yzi_buf_clear(&o->frame);
    assert_int_equal(yzi_buf_put(&o->frame, m->bytes), 0);
    if (o->take_frames) {
        yzi_message_fini(&o->taken);
        yzi_message_move(&o->taken, m);
    }
}

static void on_object(void *ctx, struct session *s, const struct object *object, yz_bytes payload)
{
    struct owner *o = ctx;
    (void)s;
    o->objects++;
    o->object = *object;
    yzi_buf_clear(&o->object_payload);
    assert_int_equal(yzi_buf_put(&o->object_payload, payload), 0);
}

static void on_put_result(void *ctx, struct session *s, const struct put_result *r)
{
    struct owner *o = ctx;
    (void)s;
    o->results++;
    o->result = *r;
}

static void on_trust_changed(void *ctx, struct session *s)
{
    struct owner *o = ctx;
    (void)s;
    o->changes++;
}

static void on_alarm(void *ctx, struct session *s, const yz_error *err)
{
    struct owner *o = ctx;
    (void)s;
    o->alarms++;
    o->alarm = *err;
}

static void open_trust(struct owner *o)
{
    char anchor[256];
    snprintf(anchor, sizeof anchor, "%s/anchor.yzr", o->dir);
    struct trust_options t = {.anchor = anchor, .dir = o->dir, .clock = &w->clock.clock};
    yz_error err = {0};
    if (yzi_trust_open(&t, &o->trust, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

int set_up(void **state)
{
    struct owner *o = calloc(1, sizeof *o);
    assert_non_null(o);
    w = yz_world_standard();
    o->dir = yz_world_tmpdir();
    yz_world_write_anchor(w, o->dir);
    open_trust(o);
    o->node = yz_world_node(w, "CN/GOV/HB/@w1");
    assert_int_equal(yzi_net_new(1, &o->net), 0);
    yz_world_buf(&o->frame);
    yz_world_buf(&o->object_payload);
    open_puppet(&o->b1, "CN/@b1", 0);
    *state = o;
    return 0;
}

int tear_down(void **state)
{
    struct owner *o = *state;
    yzi_session_close(o->session);
    yzi_session_close(o->second);
    yzi_net_free(o->net);
    yzi_views_close(o->views);
    close_puppet(&o->b1);
    close_puppet(&o->b2);
    yzi_trust_close(o->trust);
    yzi_message_fini(&o->taken);
    yzi_buf_fini(&o->frame);
    yzi_buf_fini(&o->object_payload);
    yz_world_rmdir(o->dir);
    free(o->dir);
    free(o);
    yz_world_free(w);
    return 0;
}

struct session *open_session(struct owner *o, struct puppet *p, int high_water)
{
    struct session_options so = {.link = {.net = o->net,
                                          .endpoint = yzi_server_endpoint(p->server, 0),
                                          .transport = &o->node->transport,
                                          .clock = &w->clock.clock,
                                          .high_water = high_water},
                                 .node = o->node->node,
                                 .role = o->node->role,
                                 .broker = p->broker->node,
                                 .trust = o->trust,
                                 .views = o->views,
                                 .handler = {on_up, on_down, on_frame, on_object, on_put_result,
                                             on_trust_changed, on_alarm, o}};
    memcpy(so.link.server_key, p->broker->transport.public_key, 32);
    struct session *s = NULL;
    assert_int_equal(yzi_session_new(&so, &s, NULL), 0);
    return s;
}

/* -- turning the crank -- */

static size_t add_session(struct session *s, struct poll_entry *e)
{
    if (!s) {
        return 0;
    }
    yzi_session_poll_entries(s, e);
    return LINK_POLL_ENTRIES;
}

static size_t add_puppet(struct puppet *p, struct poll_entry *e)
{
    if (!p->server) {
        return 0;
    }
    size_t n = yzi_server_poll_entries(p->server, e);
    return p->deaf ? 1 : n;
}

void turn(struct owner *o, int64_t wait_ms)
{
    struct poll_entry e[64];
    size_t n = add_session(o->session, e);
    n += add_session(o->second, e + n);
    n += add_puppet(&o->b1, e + n);
    n += add_puppet(&o->b2, e + n);
    assert_int_equal(yzi_poll(e, n, wait_ms), 0);
    if (o->session) {
        assert_int_equal(yzi_session_step(o->session, NULL), 0);
    }
    if (o->second) {
        assert_int_equal(yzi_session_step(o->second, NULL), 0);
    }
    if (o->b1.server) {
        step_puppet(&o->b1);
    }
    if (o->b2.server) {
        step_puppet(&o->b2);
    }
}

/* What the puppet asks is answered behind everything it said before, and behind what that made the
 * session ask; what the answers to that make it ask takes another round. */
void settle(struct owner *o)
{
    bool deaf = o->b1.deaf;
    o->b1.deaf = false;
    unsigned fetches;
    do {
        fetches = o->b1.got[FRAME_FETCH];
        unsigned before = o->b1.got[FRAME_OBJECT];
        say_fetch(&o->b1, 999999, FETCH_CATALOGUE, (yz_bytes){0});
        UNTIL(o, o->b1.got[FRAME_OBJECT] > before);
    } while (o->b1.got[FRAME_FETCH] != fetches);
    o->b1.deaf = deaf;
}

uint64_t version(struct owner *o)
{
    YZ_AUTO(yzi_directory_unref_ptr)
    const struct directory *d = yzi_trust_directory(o->trust);
    return d ? yzi_directory_version(d) : 0;
}

void know_directory(struct owner *o)
{
    assert_int_equal(yzi_trust_put_bundle(o->trust, yzi_bytes_buf(&w->bundle), NULL), 0);
}

void come_up(struct owner *o)
{
    o->session = open_session(o, &o->b1, 0);
    UNTIL(o, o->ups == 1);
    settle(o);
}
