/* SPDX-License-Identifier: Apache-2.0
 *
 * The puppet broker, and the stage it stands on.
 */
#include "tests/unit/client/puppet.h"

#include <limits.h>
#include <sodium.h>

#include "proto/link.h"
#include "proto/payload.h"
#include "tests/support/world_evidence.h"

#define FRESHEN_MS 60000u

#define OK(call) assert_int_equal((call), 0)
#define REAL_SECONDS 10u
#define QUIET_ROUNDS 20u

/* -- the puppet -- */

static bool admit(void *ctx, const uint8_t key[32])
{
    struct puppet *p = ctx;
    struct directory_node n;
    return !p->refuses &&
           yzi_directory_by_transport(p->w->directory, key, yz_world_now(p->w), &n) == 0;
}

void puppet_up(struct puppet *p)
{
    struct server_options o = {.net = p->net, .admit = admit, .ctx = p, .endpoints_n = 1};
    o.endpoints[0].address = p->endpoint[0] ? p->endpoint : "tcp://127.0.0.1:*";
    o.endpoints[0].transport = &p->broker->transport;
    yz_error err = {0};
    if (yzi_server_new(&o, &p->server, &err) < 0) {
        fail_msg("%s", err.text);
    }
    snprintf(p->endpoint, sizeof p->endpoint, "%s", yzi_server_endpoint(p->server, 0));
}

void puppet_down(struct puppet *p)
{
    yzi_server_close(p->server);
    p->server = NULL;
    p->has_client = false;
}

void puppet_send(struct puppet *p, yz_bytes frame)
{
    assert_true(p->has_client || p->client_may_leave);
    int rc = yzi_server_send(p->server, &p->client, frame);
    assert_true(rc == YZ_OK || (rc == YZ_ECLOSED && p->client_may_leave));
}

/* Signed once a minute, as brokers do: several who ask meanwhile get the same statement. */
static void put_freshness(struct puppet *p, yz_buf *out)
{
    uint64_t now = yz_world_now(p->w);
    if (p->fresh_version != p->w->version || now < p->fresh_at || now - p->fresh_at >= FRESHEN_MS) {
        p->fresh_version = p->w->version;
        p->fresh_at = now;
    }
    yz_world_put_freshness(p->w, p->fresh_at, out);
}

static void send_object(struct puppet *p, uint32_t token, enum fetch_what what, bool found,
                        yz_bytes payload)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    struct object o = {.token = token, .what = what, .found = found};
    OK(yzi_object_write(&o, payload, &out));
    puppet_send(p, yzi_bytes_buf(&out));
}

void puppet_answer_late(struct puppet *p, unsigned fetch, bool found)
{
    send_object(p, p->service_tokens[fetch], FETCH_SERVICE, found,
                found ? yzi_bytes_buf(&p->service) : (yz_bytes){0});
}

void puppet_push_freshness(struct puppet *p)
{
    YZ_AUTO(yzi_buf_fini) yz_buf record;
    yz_world_buf(&record);
    put_freshness(p, &record);
    send_object(p, 0, FETCH_FRESHNESS, true, yzi_bytes_buf(&record));
}

void puppet_heartbeat(struct puppet *p)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    struct heartbeat h = {.directory_version = p->w->version, .time = yz_world_now(p->w)};
    OK(yzi_heartbeat_write(&h, &out));
    puppet_send(p, yzi_bytes_buf(&out));
}

static void welcome(struct puppet *p)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    struct welcome w = {.node = p->broker->node,
                        .directory_version = p->no_directory ? 0 : p->w->version,
                        .heartbeat_ms = 30000,
                        .message_max = YZ_MESSAGE_MAX,
                        .time = yz_world_now(p->w),
                        .software = yzi_bytes_str("puppet")};
    OK(yzi_welcome_write(&w, &out));
    puppet_send(p, yzi_bytes_buf(&out));
    if (!p->no_freshness) {
        puppet_push_freshness(p);
    }
}

static yz_bytes chunk(const struct puppet *p, yz_bytes digest)
{
    for (size_t i = 0; i < p->w->parts.chunks_n; i++) {
        yz_digest d;
        yz_bytes bytes = yzi_bytes_buf(&p->w->parts.chunks[i]);
        crypto_hash_sha256(d.b, bytes.p, bytes.n);
        if (yzi_bytes_eq(yzi_bytes_digest(&d), digest)) {
            return bytes;
        }
    }
    return (yz_bytes){0};
}

/* The first of two questions is kept, the second is what the first is answered at. True: that. */
static bool is_late(struct puppet *p, struct fetch *f)
{
    uint32_t before = p->late_token;
    p->late_token = before ? 0 : f->token;
    f->token = before;
    return before != 0;
}

static void say_goodbye(struct puppet *p)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    OK(yzi_bye_write(yzi_bytes_str("draining"), &out));
    puppet_send(p, yzi_bytes_buf(&out));
    p->is_mute = true;
}

static void serve(struct puppet *p, struct fetch *f)
{
    YZ_AUTO(yzi_buf_fini) yz_buf payload;
    yz_world_buf(&payload);
    bool found = true;
    switch (f->what) {
    case FETCH_MANIFEST:
        OK(yzi_buf_put(&payload, yzi_bytes_buf(&p->w->parts.manifest)));
        found = !p->no_directory;
        break;
    case FETCH_CHUNK:
        OK(yzi_buf_put(&payload, chunk(p, f->name)));
        found = payload.n > 0;
        break;
    case FETCH_SERVICE:
        p->service_tokens[p->fetches++ % PUPPET_REQUESTS_MAX] = f->token;
        if (p->no_service_answer) {
            return;
        }
        OK(yzi_buf_put(&payload, yzi_bytes_buf(&p->service)));
        found = p->service_found;
        break;
    case FETCH_FRESHNESS:
        put_freshness(p, &payload);
        found = !p->no_freshness;
        break;
    case FETCH_CATALOGUE:
        if (p->late_pages && !is_late(p, f)) {
            return;
        }
        found = p->not_now == 0;
        p->not_now -= !found;
        if (found && p->pages_at < p->pages_n) {
            OK(yzi_buf_put(&payload, yzi_bytes_buf(&p->pages[p->pages_at++])));
        }
        break;
    case FETCH_OFFER:
    case FETCH_STATEMENTS:
    case FETCH_CONSISTENCY:
    case FETCH_RECEIPT:
    default:
        break;
    }
    send_object(p, f->token, f->what, found, found ? yzi_bytes_buf(&payload) : (yz_bytes){0});
    if (p->leaves && f->what == FETCH_CATALOGUE && payload.n == 0) {
        say_goodbye(p);
    }
}

static void receive(struct puppet *p, const struct connection_id *from, const struct frame *f)
{
    struct fetch fetch;
    p->client = *from;
    p->has_client = true;
    switch (f->kind) {
    case FRAME_HELLO:
        p->hellos++;
        if (!p->is_mute) {
            welcome(p);
        }
        return;
    case FRAME_FETCH:
        OK(yzi_fetch_parse(f->header, &fetch));
        if (!p->is_still) {
            serve(p, &fetch);
        }
        return;
    case FRAME_REQUEST:
        assert_true(p->requests_n < PUPPET_REQUESTS_MAX);
        p->from[p->requests_n] = *from;
        yz_world_buf(&p->requests[p->requests_n]);
        OK(yzi_buf_put(&p->requests[p->requests_n++], f->raw));
        return;
    case FRAME_BYE:
        p->has_client = false;
        return;
    case FRAME_RESPONSE:
    case FRAME_OUTCOME:
    case FRAME_WELCOME:
    case FRAME_HEARTBEAT:
    case FRAME_OBJECT:
    case FRAME_PUT:
    case FRAME_PUT_RESULT:
    case FRAME_REJECT:
    case FRAME_RECEIPT:
    case FRAME_ADMIN_REQUEST:
    case FRAME_ADMIN_REPLY:
    default:
        return;
    }
}

void puppet_step(struct puppet *p)
{
    puppet_step_some(p, UINT_MAX);
}

void puppet_step_some(struct puppet *p, unsigned most)
{
    struct connection_id from;
    uint8_t key[32];
    if (!p->server) {
        return;
    }
    yzi_server_step(p->server);
    for (unsigned i = 0; i < most; i++) {
        YZ_AUTO(yzi_message_fini) struct message m = {0};
        struct frame f;
        if (yzi_server_recv(p->server, &from, key, &m) < 0) {
            return;
        }
        OK(yzi_frame_parse(m.bytes, YZ_MESSAGE_MAX, &f));
        receive(p, &from, &f);
    }
}

struct frame puppet_request(const struct puppet *p, unsigned i)
{
    struct frame f;
    assert_true(i < p->requests_n);
    OK(yzi_frame_parse(yzi_bytes_buf(&p->requests[i]), YZ_MESSAGE_MAX, &f));
    return f;
}

void puppet_offer(struct puppet *p, struct world_node *const *adapters)
{
    static const char *const fields[] = {"status", NULL};
    yzi_buf_clear(&p->service);
    yz_world_simple_offer(p->w, WORLD_SERVICE, WORLD_CONSUMER, 1, fields, &p->service, NULL);
    for (size_t i = 0; adapters[i]; i++) {
        OK(yzi_buf_put(&p->service, yzi_bytes_buf(&yz_world_epoch(p->w, adapters[i])->record)));
    }
    p->service_found = true;
}

/* As an honest broker does, unless told otherwise. */
static void deliver(struct puppet *p, const struct frame *q, const struct world_message *m)
{
    yz_digest digest;
    YZ_AUTO(yzi_buf_fini) yz_buf frame;
    yz_world_buf(&frame);
    yzi_frame_digest(q->header, q->block, &digest);
    if (p->no_receipts) {
        puppet_send(p, yzi_bytes_buf(&m->raw));
        return;
    }
    if (p->false_receipts) { /* of another request */
        digest.b[0] ^= 1;
    }
    yz_world_deliver(p->w, p->broker, &digest, m, &frame);
    puppet_send(p, yzi_bytes_buf(&frame));
}

void puppet_respond(struct puppet *p, const struct world_response *r, unsigned request)
{
    struct frame q = puppet_request(p, request);
    struct world_message m;
    p->client = p->from[request];
    yz_world_response(p->w, r, &q, &m);
    deliver(p, &q, &m);
    yz_world_message_fini(&m);
}

void puppet_outcome(struct puppet *p, struct world_node *by, enum outcome_status status,
                    const char *reason, unsigned request)
{
    struct frame q = puppet_request(p, request);
    struct world_message m;
    p->client = p->from[request];
    yz_world_outcome(p->w, by, &q, status, reason, &m);
    deliver(p, &q, &m);
    yz_world_message_fini(&m);
}

static void puppet_init(struct puppet *p, struct stage *s, const char *broker)
{
    *p = (struct puppet){.w = s->w, .broker = yz_world_node(s->w, broker)};
    OK(yzi_net_new(1, &p->net)); /* a context has one ZAP handler */
    yz_world_buf(&p->service);
    puppet_up(p);
    puppet_offer(p, (struct world_node *const[]){s->a1, s->a2, NULL});
}

static void puppet_fini(struct puppet *p)
{
    yzi_server_close(p->server);
    yzi_net_free(p->net);
    yzi_buf_fini(&p->service);
    for (unsigned i = 0; i < p->pages_n; i++) {
        yzi_buf_fini(&p->pages[i]);
    }
    for (unsigned i = 0; i < p->requests_n; i++) {
        yzi_buf_fini(&p->requests[i]);
    }
}

/* -- the stage -- */

void stage_config_text(const struct stage *s, char *out, size_t n)
{
    char key[64];
    sodium_bin2base64(key, sizeof key, s->b1.broker->transport.public_key, 32,
                      sodium_base64_VARIANT_ORIGINAL);
    int used = snprintf(out, n,
                        "node: CN/GOV/HB/@w1\nsubsystem: CN/GOV/HB/window\nhome: %s\n"
                        "anchor: %s/anchor.yzr\ntimeout: 30s\nbrokers:\n"
                        "  - {node: CN/@b1, endpoint: \"%s\", key: \"%s\"}\n",
                        s->dir, s->dir, s->b1.endpoint, key);
    if (s->has_b2) { /* its key is found in the anchor */
        snprintf(out + used, n - (size_t)used, "  - {node: CN/@b2, endpoint: \"%s\"}\n",
                 s->b2.endpoint);
    }
}

static void read_config(struct stage *s)
{
    char text[2048];
    yz_error err = {0};
    stage_config_text(s, text, sizeof text);
    if (yzi_client_config_parse(yzi_bytes_str(text), "client.yaml", s->dir, &s->config, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

void stage_open_trust(struct stage *s)
{
    char anchor[512], state[512];
    yz_world_write_anchor(s->w, s->dir);
    snprintf(anchor, sizeof anchor, "%s/anchor.yzr", s->dir);
    snprintf(state, sizeof state, "%s/state", s->dir);
    struct trust_options o = {.anchor = anchor, .dir = state, .clock = &s->w->clock.clock};
    yz_error err = {0};
    if (yzi_trust_open(&o, &s->trust, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

/* A stage is being taken down: its test is over, by its end or by cmocka's jump out of it, and what
 * it kept on its stack is another's. There is one stage at a time. */
static bool is_over;

struct stage *stage_new(bool two)
{
    is_over = false;
    struct stage *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->w = yz_world_standard();
    s->client = yz_world_node(s->w, "CN/GOV/HB/@w1");
    s->a1 = yz_world_node(s->w, "CN/GOV/MCA/@a1");
    s->a2 = yz_world_node(s->w, "CN/GOV/MCA/@a2");
    s->has_b2 = two;
    OK(yzi_net_new(1, &s->net));
    puppet_init(&s->b1, s, "CN/@b1");
    if (two) {
        puppet_init(&s->b2, s, "CN/@b2");
    }
    s->dir = yz_world_tmpdir();
    read_config(s);
    stage_open_trust(s);
    return s;
}

void stage_free(struct stage *s)
{
    is_over = true;
    yzi_engine_free(s->engine);
    outcome_fini(&s->call);
    puppet_fini(&s->b1);
    if (s->has_b2) {
        puppet_fini(&s->b2);
    }
    yzi_views_close(s->views);
    yzi_trust_close(s->trust);
    yzi_client_config_fini(&s->config);
    yzi_net_free(s->net);
    yz_world_rmdir(s->dir);
    free(s->dir);
    yz_world_free(s->w);
    free(s);
}

void stage_start(struct stage *s)
{
    struct engine_options o = {.config = &s->config,
                               .clock = &s->w->clock.clock,
                               .signing = &s->client->signing,
                               .transport = &s->client->transport,
                               .trust = s->trust,
                               .views = s->views,
                               .net = s->net};
    yz_error err = {0};
    if (yzi_engine_new(&o, &s->engine, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

/* One round: wait a little for anything, then let everybody act. True when something moved. */
static bool round_of(struct stage *s)
{
    struct poll_entry entries[ENGINE_POLL_ENTRIES + 2 * SERVER_POLL_ENTRIES];
    size_t n = yzi_engine_poll_entries(s->engine, entries);
    if (s->b1.server) {
        n += yzi_server_poll_entries(s->b1.server, entries + n);
    }
    if (s->has_b2 && s->b2.server) {
        n += yzi_server_poll_entries(s->b2.server, entries + n);
    }
    OK(yzi_poll(entries, n, 5));
    bool moved = false, more = false;
    for (size_t i = 0; i < n; i++) {
        moved = moved || entries[i].readable;
    }
    if (s->before_step) {
        s->before_step();
    }
    yzi_engine_step(s->engine, &more);
    if (s->after_step) {
        s->after_step();
    }
    puppet_step(&s->b1);
    if (s->has_b2) {
        puppet_step(&s->b2);
    }
    return moved || more;
}

void stage_run(struct stage *s, bool (*done)(struct stage *s, void *ctx), void *ctx)
{
    uint64_t until = yzi_mono_ms(&yzi_clock_system) + REAL_SECONDS * 1000u;
    while (!done(s, ctx)) {
        if (yzi_mono_ms(&yzi_clock_system) > until) {
            fail_msg("what was waited for did not happen");
        }
        (void)round_of(s);
    }
}

void stage_settle(struct stage *s)
{
    for (unsigned quiet = 0; quiet < QUIET_ROUNDS;) {
        quiet = round_of(s) ? 0 : quiet + 1;
    }
}

static bool has_ended(struct stage *s, void *ctx)
{
    (void)s;
    struct outcome_of_call *c = ctx;
    return c->ended > 0;
}

void stage_run_until_ended(struct stage *s, struct outcome_of_call *c)
{
    stage_run(s, has_ended, c);
}

struct awaited {
    struct puppet *p;
    unsigned n;
};

static bool has_requests(struct stage *s, void *ctx)
{
    (void)s;
    struct awaited *a = ctx;
    return a->p->requests_n >= a->n;
}

void stage_run_until_requests(struct stage *s, struct puppet *p, unsigned n)
{
    struct awaited a = {p, n};
    stage_run(s, has_requests, &a);
}

static void note(void *ctx, int rc, yz_answer *answer, const yz_error *err)
{
    struct outcome_of_call *c = ctx;
    if (is_over) {
        yz_answer_free(answer);
        return;
    }
    c->ended++;
    c->rc = rc;
    yz_answer_free(c->answer);
    c->answer = answer;
    c->err = err ? *err : (yz_error){0};
}

void stage_ready(struct stage *s)
{
    struct outcome_of_call ready = {0};
    stage_start(s);
    struct call_order order;
    stage_order(s, true, &ready, &order);
    yzi_engine_submit(s->engine, &order);
    stage_run_until_ended(s, &ready);
    if (ready.rc < 0) {
        fail_msg("not ready: %s", ready.err.text);
    }
    stage_settle(s);
}

void stage_call(struct stage *s, struct outcome_of_call *out)
{
    stage_call_as(s, out, NULL);
}

void stage_order(struct stage *s, bool probe, struct outcome_of_call *out,
                 struct call_order *out_order)
{
    *out_order = (struct call_order){.probe = probe,
                                     .timeout_ms = 10000,
                                     .submitted = yzi_mono_ms(&s->w->clock.clock),
                                     .done = note,
                                     .ctx = out};
    if (!probe) {
        yz_request *r;
        OK(yz_request_new(WORLD_SERVICE, &r));
        OK(yz_request_add_key(r, (const char *const[]){"310101"}, 1));
        if (s->writes) {
            OK(yz_request_set_operation(r, YZ_DELETE));
        }
        OK(yzi_ask_make(r, &out_order->ask, NULL));
        yz_request_free(r);
    }
}

void stage_call_as(struct stage *s, struct outcome_of_call *out, struct call_handle *handle)
{
    struct call_order order;
    stage_order(s, false, out, &order);
    order.handle = handle;
    yzi_engine_submit(s->engine, &order);
}

void stage_answer(struct stage *s, struct puppet *p, const struct world_response *like,
                  const char *value, unsigned request)
{
    (void)s;
    YZ_AUTO(yzi_buf_fini) yz_buf head, body;
    yz_world_buf(&head);
    yz_world_buf(&body);
    struct answer_field field = {yzi_bytes_str("status"), FIELD_TEXT, MASK_NONE};
    struct answer_head h = {.code = ANSWER_OK, .fields = &field, .fields_n = 1, .rows = 1};
    struct query_value v = {false, yzi_bytes_str(value)};
    OK(yzi_answer_head_write(&h, &head));
    OK(yzi_row_put(&body, &v));
    struct world_response r = like ? *like : (struct world_response){0};
    r.head = yzi_bytes_buf(&head);
    r.body = yzi_bytes_buf(&body);
    puppet_respond(p, &r, request);
}

void expect_error(const struct outcome_of_call *c, int rc, const char *says)
{
    assert_int_equal(c->ended, 1);
    if (c->rc != rc || !strstr(c->err.text, says)) {
        fail_msg("%s \"%s\", not %s \"%s\"", yz_err_name(c->rc), c->err.text, yz_err_name(rc),
                 says);
    }
    assert_null(c->answer);
}

void outcome_fini(struct outcome_of_call *c)
{
    yz_answer_free(c->answer);
    *c = (struct outcome_of_call){0};
}

/* -- what tests of the engine share -- */

int stage_one_broker(void **state)
{
    *state = stage_new(false);
    return 0;
}

int stage_two_brokers(void **state)
{
    *state = stage_new(true);
    return 0;
}

int stage_tear_down(void **state)
{
    stage_free(*state);
    return 0;
}

struct engine_counters stage_counters(const struct stage *s)
{
    struct engine_counters c;
    yzi_engine_counters(s->engine, &c);
    return c;
}

void stage_call_sent(struct stage *s)
{
    stage_call(s, &s->call);
    stage_run_until_requests(s, &s->b1, s->b1.requests_n + 1);
}

void expect_record(const struct outcome_of_call *c, const char *value)
{
    if (c->rc < 0) {
        fail_msg("%s", c->err.text);
    }
    assert_int_equal(c->ended, 1);
    const void *p;
    size_t n;
    assert_int_equal(yz_answer_origin(c->answer), YZ_ORIGIN_PROVIDER);
    assert_int_equal(yz_answer_status(c->answer), YZ_STATUS_OK);
    assert_int_equal(yz_answer_rows(c->answer), 1);
    assert_string_equal(yz_answer_field_name(c->answer, 0), "status");
    assert_int_equal(yz_answer_value(c->answer, 0, 0, &p, &n), 0);
    assert_int_equal(n, strlen(value));
    assert_memory_equal(p, value, n);
}

void expect_broker_says(const struct outcome_of_call *c, enum yz_status status, const char *reason,
                        const char *broker)
{
    if (c->rc < 0) {
        fail_msg("%s", c->err.text);
    }
    assert_int_equal(yz_answer_origin(c->answer), YZ_ORIGIN_BROKER);
    assert_int_equal(yz_answer_status(c->answer), status);
    assert_string_equal(yz_answer_reason(c->answer), reason);
    assert_string_equal(yz_answer_node(c->answer), broker);
}
