/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker and its puppets behind fixture.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/broker/fixture.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "net/bundle.h"
#include "tests/support/now.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define PROBE_TOKEN 0x70726f62u

/* -- the broker -- */

static void write_home(struct rig *r)
{
    struct world_node *b1 = yz_world_node(r->w, "CN/@b1");
    YZ_AUTO(yzi_free_ptr) char *keys = NULL;
    OK(yzi_path_join(r->home, "keys", &keys));
    OK(yzi_dir_make(keys, 0700, NULL));
    yz_world_write_key(keys, "signing.key", &b1->signing);
    yz_world_write_key(keys, "transport.key", &b1->transport);
    yz_world_write_key(keys, "log.key", &b1->log);
    yz_world_write_key(keys, "freshness.key", &r->w->freshness);
    yz_world_write_anchor(r->w, r->home);
}

static void fill_config(struct rig *r)
{
    r->listen[0] = "tcp://127.0.0.1:*";
    r->config = (struct broker_config){
        .node = "CN/@b1",
        .home = r->home,
        .listen = {.items = r->listen, .n = 1},
        .admin = r->admin_path,
        .ops = "",
        .limits = {.peers = 100,
                   .connections_per_peer = 8,
                   .message = 2u * 1024u * 1024u,
                   .in_flight_per_service = 1000,
                   .in_flight_per_peer = 1000,
                   .in_flight_bytes = 64u * 1024u * 1024u,
                   .queue_bytes = 256u * 1024u * 1024u,
                   .queue_bytes_per_peer = 64u * 1024u * 1024u,
                   .remembered = 1000,
                   .skew = YZ_SKEW_MS},
        .directory = {.warn = 600000, .stop = 86400000},
        .drain = 10000,
    };
}

static void make_rig(void **state)
{
    struct rig *r;
    OK(yzi_alloc(1, sizeof *r, &r));
    yzi_secret_require_lock(false);
    yzi_log_set_level(LOG_LEVEL_ERROR);
    r->w = yz_world_standard();
    r->dir = yz_world_tmpdir();
    OK(yzi_path_join(r->dir, "home", &r->home));
    OK(yzi_path_join(r->dir, "admin.sock", &r->admin_path));
    write_home(r);
    fill_config(r);
    r->wake = eventfd(1, EFD_CLOEXEC);
    assert_true(r->wake >= 0);
    yz_world_buf(&r->frame);
    OK(yzi_net_new(1, &r->net));
    *state = r;
    rig_start(r);
}

int rig_set_up_without_directory(void **state)
{
    make_rig(state);
    return 0;
}

int rig_set_up(void **state)
{
    make_rig(state);
    rig_give_directory(*state);
    return 0;
}

int rig_tear_down(void **state)
{
    struct rig *r = *state;
    for (unsigned i = 0; i < r->puppets_n; i++) {
        puppet_close(&r->puppets[i]);
        free(r->puppets[i].inbox);
    }
    rig_stop(r);
    yzi_net_free(r->net);
    close(r->wake);
    yzi_buf_fini(&r->frame);
    yz_world_rmdir(r->dir);
    free(r->dir);
    free(r->home);
    free(r->admin_path);
    yz_world_free(r->w);
    free(r);
    return 0;
}

void rig_start(struct rig *r)
{
    yz_error err = {0};
    if (yzi_broker_new(&r->config, &r->w->clock.clock, -1, &r->b, &err) < 0) {
        fail_msg("the broker does not start: %s", err.text);
    }
}

void rig_stop(struct rig *r)
{
    yzi_broker_free(r->b);
    r->b = NULL;
}

void rig_give_directory(struct rig *r)
{
    yz_error err = {0};
    if (yzi_trust_put_bundle(r->b->trust, yzi_bytes_buf(&r->w->bundle), &err) < 0) {
        fail_msg("the directory is refused: %s", err.text);
    }
    yzi_broker_directory_changed(r->b);
}

/* -- turning -- */

static void drop_inbox(struct puppet *p)
{
    for (size_t i = p->inbox_read; i < p->inbox_n; i++) {
        yzi_message_fini(&p->inbox[i]);
    }
    p->inbox_n = p->inbox_read = 0;
}

/* A receipt for an answer: it comes when the log is ready, so few tests want it among their mail.
 */
static bool is_receipt(const struct puppet *p, const struct message *m)
{
    struct frame f;
    return !p->wants_receipts && yzi_frame_parse(m->bytes, YZ_MESSAGE_MAX, &f) == YZ_OK &&
           f.kind == FRAME_RECEIPT;
}

static void take_apart(struct puppet *p, struct message *whole)
{
    YZ_AUTO(yzi_bundle_fini) struct bundle bundle;
    struct message m = {0};
    yzi_bundle_init(&bundle, whole);
    while (yzi_bundle_next(&bundle, YZ_MESSAGE_MAX, &m) == YZ_OK) {
        if (is_receipt(p, &m)) {
            p->receipts++;
            yzi_message_fini(&m);
        } else {
            assert_true(p->inbox_n < INBOX_MAX);
            yzi_message_move(&p->inbox[p->inbox_n++], &m);
        }
    }
    assert_int_equal(bundle.rest.left, 0);
    p->bundles += bundle.taken > 1;
}

static void turn_puppet(struct puppet *p)
{
    if (!p->link) {
        return;
    }
    for (enum link_event e; (e = yzi_link_next_event(p->link)) != LINK_NOTHING;) {
        p->last = e;
    }
    yzi_link_step(p->link);
    struct message m = {0};
    while (p->inbox_n < INBOX_MAX && yzi_link_recv(p->link, &m) == YZ_OK) {
        take_apart(p, &m);
    }
}

void rig_step(struct rig *r)
{
    yz_error err = {0};
    if (r->before_step) {
        r->before_step();
    }
    int rc = yzi_broker_step(r->b, r->wake, &err);
    if (r->after_step) {
        r->after_step();
    }
    OK(rc);
    for (unsigned i = 0; i < r->puppets_n; i++) {
        turn_puppet(&r->puppets[i]);
    }
}

void rig_wait(struct rig *r)
{
    struct poll_entry entries[SERVER_POLL_ENTRIES + PUPPETS_MAX * LINK_POLL_ENTRIES + 1];
    size_t n = yzi_server_poll_entries(r->b->server, entries);
    entries[n++] = (struct poll_entry){NULL, yzi_evidence_fd(r->b->evidence), false};
    for (unsigned i = 0; i < r->puppets_n; i++) {
        if (r->puppets[i].link) {
            yzi_link_poll_entries(r->puppets[i].link, entries + n);
            n += LINK_POLL_ENTRIES;
        }
    }
    OK(yzi_poll(entries, n, 20));
    rig_step(r);
}

void rig_advance(struct rig *r, uint64_t ms)
{
    yzi_manual_clock_advance(&r->w->clock, ms);
    rig_step(r);
}

void rig_offer(struct rig *r, uint64_t version)
{
    static const char *const fields[] = {"person_id", "status", NULL};
    YZ_AUTO(yzi_buf_fini) yz_buf offer;
    yz_world_buf(&offer);
    yz_world_simple_offer(r->w, WORLD_SERVICE, WORLD_CONSUMER, version, fields, &offer, NULL);
    struct record record;
    yz_error err = {0};
    OK(yzi_record_parse(yzi_bytes_buf(&offer), &record));
    if (yzi_broker_take_record(r->b, &record, NULL, &err) < 0) {
        fail_msg("the offer is refused: %s", err.text);
    }
}

/* -- puppets -- */

struct puppet *rig_puppet(struct rig *r, const char *node)
{
    assert_true(r->puppets_n < PUPPETS_MAX);
    struct puppet *p = &r->puppets[r->puppets_n++];
    *p = (struct puppet){.rig = r, .node = yz_world_node(r->w, node)};
    OK(yzi_alloc(INBOX_MAX, sizeof *p->inbox, &p->inbox));
    struct link_options o = {.net = r->net,
                             .endpoint = yzi_server_endpoint(r->b->server, r->endpoint),
                             .transport = &p->node->transport,
                             .clock = &r->w->clock.clock,
                             .high_water = r->high_water};
    memcpy(o.server_key, yz_world_node(r->w, "CN/@b1")->transport.public_key, 32);
    yz_error err = {0};
    OK(yzi_link_new(&o, &p->link, &err));
    return p;
}

void puppet_close(struct puppet *p)
{
    drop_inbox(p);
    yzi_message_fini(&p->got);
    yzi_link_close(p->link);
    p->link = NULL;
}

bool puppet_connects(struct puppet *p)
{
    for (uint64_t end = now_ms() + WAIT_MS; p->last == LINK_NOTHING && now_ms() < end;) {
        rig_wait(p->rig);
    }
    assert_int_not_equal(p->last, LINK_NOTHING);
    return p->last == LINK_CONNECTED;
}

void puppet_send(struct puppet *p, yz_bytes frame)
{
    OK(yzi_link_send(p->link, frame));
}

void puppet_hello(struct puppet *p, uint64_t directory_version, uint64_t boot)
{
    struct hello h = {.node = p->node->node,
                      .role = p->node->role,
                      .directory_version = directory_version,
                      .software = yzi_bytes_str("puppet"),
                      .boot = yzi_uuid_v7(WORLD_TIME)};
    yzi_store_u16(h.boot.b + 6, 0x7000);
    yzi_store_u64(h.boot.b + 8, boot | UINT64_C(1) << 63);
    yz_buf *out = &p->rig->frame;
    yzi_buf_clear(out);
    OK(yzi_hello_write(&h, out));
    puppet_send(p, yzi_bytes_buf(out));
}

struct puppet *rig_join(struct rig *r, const char *node)
{
    struct puppet *p = rig_puppet(r, node);
    assert_true(puppet_connects(p));
    puppet_hello(p, r->w->version, r->puppets_n);
    struct welcome w;
    OK(yzi_welcome_parse(puppet_expect(p, FRAME_WELCOME)->header, &w));
    assert_true(yzi_bytes_eq_str(w.node.v, "CN/@b1"));
    if (p->node->role == ROLE_ADAPTER) {
        puppet_put(p, yzi_bytes_buf(&yz_world_epoch(r->w, p->node)->record), YZ_OK);
    }
    return p;
}

struct puppet *rig_ready(struct rig *r, struct puppet **out_adapter)
{
    rig_offer(r, 1);
    *out_adapter = rig_join(r, "CN/GOV/MCA/@a1");
    return rig_join(r, "CN/GOV/HB/@w1");
}

void puppet_heartbeat(struct puppet *p, uint64_t directory_version)
{
    struct heartbeat h = {.directory_version = directory_version, .time = yz_world_now(p->rig->w)};
    yz_buf *out = &p->rig->frame;
    yzi_buf_clear(out);
    OK(yzi_heartbeat_write(&h, out));
    puppet_send(p, yzi_bytes_buf(out));
}

/* The next message, whatever it is; false when none came within `ms`. */
static bool next(struct puppet *p, uint64_t ms)
{
    uint64_t end = now_ms() + ms;
    while (p->inbox_read == p->inbox_n) {
        p->inbox_read = p->inbox_n = 0;
        rig_step(p->rig);
        if (p->inbox_n == 0) {
            if (now_ms() >= end) {
                return false;
            }
            rig_wait(p->rig);
        }
    }
    yzi_message_fini(&p->got);
    yzi_message_move(&p->got, &p->inbox[p->inbox_read++]);
    OK(yzi_frame_parse(p->got.bytes, YZ_MESSAGE_MAX, &p->frame));
    if (p->rig->seen) {
        p->rig->seen(p, &p->frame);
    }
    return true;
}

bool puppet_hears(struct puppet *p)
{
    return next(p, WAIT_MS);
}

const struct frame *puppet_expect(struct puppet *p, enum frame_kind kind)
{
    do {
        if (!next(p, WAIT_MS)) {
            fail_msg("%s waits in vain for a %s", p->node->id, yzi_frame_kind_name(kind));
        }
    } while (p->frame.kind != kind);
    return &p->frame;
}

/* False when the connection is no more. */
static bool probe(struct puppet *p)
{
    struct fetch f = {.token = PROBE_TOKEN, .what = FETCH_FRESHNESS};
    yz_buf *out = &p->rig->frame;
    yzi_buf_clear(out);
    OK(yzi_fetch_write(&f, out));
    return yzi_link_send(p->link, yzi_bytes_buf(out)) == YZ_OK;
}

/* Cut by the broker, and all it said before is read. */
static bool is_over(const struct puppet *p)
{
    return p->last != LINK_CONNECTED && p->inbox_read == p->inbox_n;
}

void puppet_expect_cut(struct puppet *p)
{
    for (uint64_t end = now_ms() + WAIT_MS; p->last == LINK_CONNECTED && now_ms() < end;) {
        rig_wait(p->rig);
    }
    assert_int_not_equal(p->last, LINK_CONNECTED);
}

static bool is_probe(const struct frame *f)
{
    struct object o;
    return f->kind == FRAME_OBJECT && yzi_object_parse(f->header, &o) == YZ_OK &&
           o.token == PROBE_TOKEN;
}

unsigned puppet_count(struct puppet *p, enum frame_kind kind)
{
    unsigned n = 0;
    probe(p); /* not sent: the connection is over, and what came before counts */
    for (uint64_t end = now_ms() + WAIT_MS; now_ms() < end;) {
        if (!next(p, 20)) {
            if (is_over(p)) {
                return n;
            }
        } else if (is_probe(&p->frame)) {
            return n;
        } else {
            n += p->frame.kind == kind;
        }
    }
    fail_msg("%s is not answered", p->node->id);
    return n;
}

bool puppet_is_heard(struct puppet *p)
{
    uint64_t unknown = yzi_metric_get(&p->rig->b->metrics.messages_unknown);
    if (!probe(p)) {
        return false;
    }
    for (uint64_t end = now_ms() + WAIT_MS; now_ms() < end;) {
        if (yzi_metric_get(&p->rig->b->metrics.messages_unknown) != unknown || is_over(p)) {
            return false;
        }
        if (next(p, 20) && is_probe(&p->frame)) {
            return true;
        }
    }
    fail_msg("%s is neither heard nor ignored", p->node->id);
    return false;
}

void puppet_put(struct puppet *p, yz_bytes records, int expected_code)
{
    yz_buf *out = &p->rig->frame;
    yzi_buf_clear(out);
    OK(yzi_put_write(7, records, out));
    puppet_send(p, yzi_bytes_buf(out));
    struct put_result result;
    OK(yzi_put_result_parse(puppet_expect(p, FRAME_PUT_RESULT)->header, &result));
    assert_int_equal(result.token, 7);
    if (result.code != expected_code) {
        fail_msg("%s, not %s: %.*s", yz_err_name(result.code), yz_err_name(expected_code),
                 (int)result.text.n, (const char *)result.text.p);
    }
}

void puppet_expect_outcome(struct puppet *p, const struct world_message *request,
                           enum outcome_status status, const char *reason)
{
    struct rig *r = p->rig;
    const struct frame *f = puppet_expect(p, FRAME_OUTCOME);
    struct outcome_header h;
    struct signature_block block;
    OK(yzi_outcome_header_parse(f->header, &h));
    if (h.status != status || !yzi_bytes_eq_str(h.reason, reason)) {
        fail_msg("%s %.*s, not %s %s", yzi_outcome_status_name(h.status), (int)h.reason.n,
                 (const char *)h.reason.p, yzi_outcome_status_name(status), reason);
    }
    assert_true(yzi_digest_eq(&h.request_digest, &request->digest));
    assert_int_equal(h.directory_version,
                     r->b->directory ? yzi_directory_version(r->b->directory) : 0);
    OK(yzi_block_parse(f->block, &block));
    assert_memory_equal(block.key.p, yz_world_node(r->w, "CN/@b1")->signing.public_key, 32);
    OK(yzi_verify_message(NULL, FRAME_OUTCOME, f->header, &block));
}

uint32_t puppet_expect_request(struct puppet *p, const struct world_message *request)
{
    const struct frame *f = puppet_expect(p, FRAME_REQUEST);
    struct hop hop;
    assert_true(yzi_bytes_eq(f->header, request->frame.header));
    assert_true(yzi_bytes_eq(f->block, request->frame.block));
    assert_true(yzi_bytes_eq(f->payload, request->frame.payload));
    OK(yzi_hop_parse(f->hop, &hop));
    assert_true(hop.has_time_left);
    return hop.time_left_ms;
}

void puppet_answer(struct puppet *p, const struct world_message *request, struct world_message *out)
{
    yz_world_response(p->rig->w, &(struct world_response){.adapter = p->node}, &request->frame,
                      out);
    puppet_send(p, yzi_bytes_buf(&out->raw));
}

void puppet_reject(struct puppet *p, const struct world_message *request,
                   enum outcome_status status)
{
    puppet_reject_for(p, request, status, 50);
}

void puppet_reject_for(struct puppet *p, const struct world_message *request,
                       enum outcome_status status, uint32_t retry_after_ms)
{
    struct request_header h;
    OK(yzi_request_header_parse(request->frame.header, &h));
    struct reject m = {.message_id = h.message_id,
                       .request_digest = request->digest,
                       .status = status,
                       .reason = yzi_bytes_str("puppet"),
                       .retry_after_ms = retry_after_ms};
    yz_buf *out = &p->rig->frame;
    yzi_buf_clear(out);
    OK(yzi_reject_write(&m, out));
    puppet_send(p, yzi_bytes_buf(out));
}

void puppet_expect_response(struct puppet *p, const struct world_message *response)
{
    const struct frame *f = puppet_expect(p, FRAME_RESPONSE);
    assert_true(yzi_bytes_eq(f->header, response->frame.header));
    assert_true(yzi_bytes_eq(f->block, response->frame.block));
    assert_true(yzi_bytes_eq(f->payload, response->frame.payload));
}

struct world_message make_request(struct rig *r, const struct world_request *q)
{
    struct world_message m;
    yz_world_request(r->w, q, &m);
    return m;
}
