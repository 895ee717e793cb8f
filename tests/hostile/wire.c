/* SPDX-License-Identifier: Apache-2.0
 *
 * The puppet broker of town.h.
 */
#include <sodium.h>

#include "keys/sign.h"
#include "net/bundle.h"
#include "proof/merkle.h"
#include "tests/hostile/town.h"

#define OK(call) assert_int_equal((call), YZ_OK)

static bool admit(void *ctx, const uint8_t key[32])
{
    (void)ctx;
    (void)key;
    return true;
}

void town_start_wire(struct town *t, unsigned i)
{
    struct wire *w;
    yz_error err = {0};
    OK(yzi_alloc(1, sizeof *w, &w));
    w->town = t;
    w->broker = yz_world_node(t->w, i ? "CN/@b2" : "CN/@b1");
    yz_buf *all[] = {&w->announcement[0], &w->announcement[1], &w->offer, &w->request, &w->answer};
    for (unsigned k = 0; k < sizeof all / sizeof *all; k++) {
        yz_world_buf(all[k]);
    }
    OK(yzi_net_new(1, &w->net));
    struct server_options o = {.net = w->net, .admit = admit, .endpoints_n = 1};
    o.endpoints[0].address = "tcp://127.0.0.1:*";
    o.endpoints[0].transport = &w->broker->transport;
    if (yzi_server_new(&o, &w->server, &err) < 0) {
        fail_msg("%s", err.text);
    }
    snprintf(t->endpoints[i], sizeof t->endpoints[i], "%s", yzi_server_endpoint(w->server, 0));
    t->wires[i] = w;
}

/* -- sending -- whoever left gets nothing more */

static void send(struct wire *w, const struct connection_id *to, yz_bytes frame)
{
    int rc = yzi_server_send(w->server, to, frame);
    assert_true(rc == YZ_OK || rc == YZ_ECLOSED);
}

void wire_to_client(struct wire *w, yz_bytes frame)
{
    assert_true(w->has_client);
    send(w, &w->client, frame);
}

void wire_to_adapter(struct wire *w, unsigned adapter, yz_bytes frame)
{
    assert_true(w->has_adapter[adapter]);
    send(w, &w->adapter[adapter], frame);
}

void wire_forward(struct wire *w, unsigned adapter, const struct frame *f)
{
    wire_forward_with(w, adapter, f, (yz_bytes){0});
}

void wire_forward_with(struct wire *w, unsigned adapter, const struct frame *f, yz_bytes receipt)
{
    YZ_AUTO(yzi_buf_fini) yz_buf hop, out;
    yz_world_buf(&hop);
    yz_world_buf(&out);
    struct hop h = {.has_time_left = true, .time_left_ms = TOWN_TIMEOUT_MS, .receipt = receipt};
    OK(yzi_hop_write(&h, &hop));
    OK(yzi_frame_write(FRAME_REQUEST, f->header, f->block, f->payload, yzi_bytes_buf(&hop), &out));
    wire_to_adapter(w, adapter, yzi_bytes_buf(&out));
}

void wire_make_receipt(struct wire *w, const yz_digest *digest, struct key_pair *log,
                       struct receipt *r)
{
    static uint64_t made;
    uint8_t bytes[YZ_ENTRY_BYTES];
    struct entry e = {ENTRY_REQUEST, yz_world_now(w->town->w), *digest};
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yz_world_buf(&text);
    yzi_entry_write(&e, bytes);
    *r = (struct receipt){.log = WORLD_TIME - made++, .size = 1, .entries_n = 1};
    r->entries[0] = (struct receipt_entry){.type = e.type, .time = e.time};
    yzi_merkle_leaf(yzi_bytes(bytes, sizeof bytes), &r->root);
    memcpy(r->key, log->public_key, sizeof r->key);
    OK(yzi_checkpoint_text(w->broker->node, r->log, r->size, &r->root, &text));
    OK(yzi_sign_checkpoint(log, yzi_bytes_buf(&text), r->signature));
}

void wire_show_receipt(struct wire *w, const struct frame *f, const struct receipt *r)
{
    YZ_AUTO(yzi_buf_fini) yz_buf bytes;
    yz_world_buf(&bytes);
    OK(yzi_receipt_write(r, &bytes));
    wire_forward_with(w, 0, f, yzi_bytes_buf(&bytes));
}

void wire_prove(struct wire *w, const struct frame *f)
{
    struct receipt r;
    yz_digest digest;
    yzi_frame_digest(f->header, f->block, &digest);
    wire_make_receipt(w, &digest, &w->broker->log, &r);
    wire_show_receipt(w, f, &r);
}

static const struct connection_id *place_of(const struct wire *w, unsigned peer)
{
    return peer == TOWN_PAIR ? &w->client : &w->adapter[peer];
}

static bool is_here(const struct wire *w, unsigned peer)
{
    return peer == TOWN_PAIR ? w->has_client : w->has_adapter[peer];
}

void wire_ask(struct wire *w, unsigned peer)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    if (!is_here(w, peer)) {
        return;
    }
    w->asked[peer] = ++w->last_token;
    struct fetch f = {.token = w->asked[peer], .what = FETCH_FRESHNESS};
    OK(yzi_fetch_write(&f, &out));
    send(w, place_of(w, peer), yzi_bytes_buf(&out));
}

/* Is this what it was asked for? */
static bool is_answer(struct wire *w, unsigned peer, const struct frame *f)
{
    struct object o;
    if (f->kind != FRAME_OBJECT) {
        return false;
    }
    OK(yzi_object_parse(f->header, &o));
    if (o.token == w->asked[peer]) {
        w->asked[peer] = 0;
    }
    return true;
}

static uint64_t version_of(const struct wire *w)
{
    return w->claims ? w->claims : w->town->w->version;
}

void wire_heartbeat(struct wire *w)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    struct heartbeat h = {.directory_version = version_of(w), .time = yz_world_now(w->town->w)};
    OK(yzi_heartbeat_write(&h, &out));
    if (w->has_client) {
        wire_to_client(w, yzi_bytes_buf(&out));
    }
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        if (w->has_adapter[i]) {
            wire_to_adapter(w, i, yzi_bytes_buf(&out));
        }
    }
}

static void welcome(struct wire *w, const struct connection_id *to)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    struct welcome m = {.node = w->broker->node,
                        .directory_version = version_of(w),
                        .heartbeat_ms = 300000,
                        .message_max = YZ_MESSAGE_MAX,
                        .time = yz_world_now(w->town->w),
                        .software = yzi_bytes_str("wire")};
    OK(yzi_welcome_write(&m, &out));
    send(w, to, yzi_bytes_buf(&out));
}

/* -- objects -- */

static void put_chunk(const struct world *world, yz_bytes digest, yz_buf *out)
{
    for (size_t i = 0; i < world->parts.chunks_n; i++) {
        yz_digest d;
        yz_bytes bytes = yzi_bytes_buf(&world->parts.chunks[i]);
        crypto_hash_sha256(d.b, bytes.p, bytes.n);
        if (yzi_bytes_eq(yzi_bytes_digest(&d), digest)) {
            OK(yzi_buf_put(out, bytes));
        }
    }
}

void wire_put_object(struct wire *w, const struct fetch *f, yz_buf *out)
{
    struct world *world = w->town->w;
    switch ((int)f->what) {
    case FETCH_MANIFEST:
        OK(yzi_buf_put(out, yzi_bytes_buf(&world->parts.manifest)));
        return;
    case FETCH_CHUNK:
        put_chunk(world, f->name, out);
        return;
    case FETCH_FRESHNESS:
        yz_world_put_freshness(world, yz_world_now(world), out);
        return;
    case FETCH_SERVICE:
        w->fetches++;
        OK(yzi_buf_put(out, yzi_bytes_buf(&w->offer)));
        for (unsigned i = 0; w->offer.n && i < TOWN_PAIR; i++) {
            OK(yzi_buf_put(out, yzi_bytes_buf(&w->announcement[i])));
        }
        return;
    default:
        return;
    }
}

static void serve(struct wire *w, const struct connection_id *to, const struct frame *f)
{
    struct fetch fetch;
    YZ_AUTO(yzi_buf_fini) yz_buf payload, out;
    yz_world_buf(&payload);
    yz_world_buf(&out);
    OK(yzi_fetch_parse(f->header, &fetch));
    if (fetch.what == FETCH_RECEIPT) {
        w->receipts_asked++;
        w->receipt_token = fetch.token;
    }
    if (fetch.what == FETCH_RECEIPT && w->keeps_receipts) {
        return;
    }
    if (!w->on_fetch || !w->on_fetch(w, &fetch, &payload)) {
        wire_put_object(w, &fetch, &payload);
    }
    struct object o = {.token = fetch.token, .what = fetch.what, .found = payload.n > 0};
    OK(yzi_object_write(&o, yzi_bytes_buf(&payload), &out));
    send(w, to, yzi_bytes_buf(&out));
}

static void take_records(struct wire *w, unsigned adapter, const struct connection_id *to,
                         const struct frame *f)
{
    uint32_t token;
    yz_reader r = yzi_reader(f->payload);
    struct record record;
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    OK(yzi_put_parse(f->header, &token));
    while (r.left) {
        OK(yzi_record_next(&r, &record));
        yz_buf *keep = record.kind == RECORD_ANNOUNCEMENT ? &w->announcement[adapter]
                       : record.kind == RECORD_OFFER      ? &w->offer
                                                          : NULL;
        if (keep) {
            yzi_buf_clear(keep);
            OK(yzi_buf_put(keep, record.raw));
        }
    }
    struct put_result result = {.token = token};
    OK(yzi_put_result_write(&result, &out));
    send(w, to, yzi_bytes_buf(&out));
}

/* -- receiving -- */

static void carry_request(struct wire *w, const struct frame *f)
{
    w->requests++;
    yzi_buf_clear(&w->request);
    OK(yzi_buf_put(&w->request, f->raw));
    if (w->on_request) {
        w->on_request(w, f);
    } else {
        wire_forward(w, 0, f);
    }
}

static void carry_answer(struct wire *w, const struct frame *f)
{
    w->answers++;
    yzi_buf_clear(&w->answer);
    OK(yzi_buf_put(&w->answer, f->raw));
    if (w->on_answer) {
        w->on_answer(w, f);
    } else if (f->kind == FRAME_RESPONSE && w->has_client) {
        wire_to_client(w, f->raw);
    }
}

/* Whose connection it is, by its key: an adapter's number, TOWN_PAIR for the client. */
static unsigned who(const struct wire *w, const uint8_t key[32])
{
    struct world *world = w->town->w;
    static const char *const ids[] = {"CN/GOV/MCA/@a1", "CN/GOV/MCA/@a2", "CN/GOV/HB/@w1"};
    for (unsigned i = 0; i < 3; i++) {
        if (memcmp(yz_world_node(world, ids[i])->transport.public_key, key, 32) == 0) {
            return i;
        }
    }
    fail_msg("a stranger");
    return 0;
}

/* Who said hello last is where the peer is. What comes behind that from a connection it gave up is
 * not heard: who answered there would talk to nobody. */
static bool is_current(struct wire *w, const struct connection_id *from, unsigned peer,
                       const struct frame *f)
{
    struct connection_id *at = peer == TOWN_PAIR ? &w->client : &w->adapter[peer];
    bool *has = peer == TOWN_PAIR ? &w->has_client : &w->has_adapter[peer];
    if (f->kind == FRAME_HELLO) {
        *at = *from;
        *has = true;
        w->asked[peer] = 0; /* on the connection before */
    }
    bool current = yzi_bytes_eq(yzi_connection_bytes(at), yzi_connection_bytes(from));
    if (current && f->kind == FRAME_BYE) {
        *has = false;
    }
    return current;
}

static void receive(struct wire *w, const struct connection_id *from, unsigned peer,
                    const struct frame *f)
{
    if (!is_current(w, from, peer, f) || is_answer(w, peer, f)) {
        return;
    }
    w->heard++;
    switch ((int)f->kind) {
    case FRAME_HELLO:
        welcome(w, from);
        return;
    case FRAME_FETCH:
        serve(w, from, f);
        return;
    case FRAME_PUT:
        take_records(w, peer, from, f);
        return;
    case FRAME_REQUEST:
        carry_request(w, f);
        return;
    case FRAME_RESPONSE:
    case FRAME_REJECT:
        carry_answer(w, f);
        return;
    default:
        return;
    }
}

static bool is_asleep(struct wire *w)
{
    uint64_t now = yzi_mono_ms(&yzi_clock_system);
    if (now < w->next_ms) {
        return true;
    }
    w->next_ms = now + w->every_ms;
    return false;
}

void wire_step(struct wire *w)
{
    if (w->every_ms && is_asleep(w)) {
        return;
    }
    yzi_server_step(w->server);
    for (;;) {
        struct connection_id from;
        uint8_t key[32];
        YZ_AUTO(yzi_message_fini) struct message m = {0};
        struct frame f;
        if (yzi_server_recv(w->server, &from, key, &m) < 0) {
            return;
        }
        yz_reader bundle = yzi_reader(m.bytes);
        unsigned n = 0;
        for (; bundle.left; n++) {
            OK(yzi_frame_next(&bundle, YZ_MESSAGE_MAX, &f));
            receive(w, &from, who(w, key), &f);
        }
        w->bundled_most = n > w->bundled_most ? n : w->bundled_most;
    }
}
