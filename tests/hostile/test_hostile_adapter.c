/* SPDX-License-Identifier: Apache-2.0
 *
 * The real adapter behind a puppet broker that hands it anything: it trusts the broker for nothing,
 * so all that the broker refuses it refuses too, by the same table, and what is refused neither
 * runs nor stays in its memory. What a client's valid key signs anew goes as far as what was sealed
 * allows: an answer comes only when nothing that the seal or the commitment covers was changed.
 */
#include "tests/hostile/model.h"
#include "tests/hostile/spoil.h"
#include "tests/hostile/town.h"

#include "proto/message.pb-c.h"
#include "tests/support/dice.h"

#define MARGIN_MS 5000u /* the town's clock goes on a little by itself */
#define OK(call) assert_int_equal((call), YZ_OK)
#define COUNT_OF(a) (sizeof(a) / sizeof *(a))
#define FRESH_MS 10000u
#define PARK_MS 1001u

struct post {
    struct town *t;
    struct wire *wire;
    struct adapter *a1;
    struct model model;
    yz_buf query;
    unsigned long tries, ran;
    char last[300];
};

static void make_query(struct post *p)
{
    struct query_value v = {.v = yzi_bytes_str("p7")};
    struct query_key key = {&v, 1};
    struct request_head h = {.has_query = true,
                             .query = {.operation = QUERY_GET, .keys = &key, .keys_n = 1}};
    yz_world_buf(&p->query);
    OK(yzi_request_head_write(&h, &p->query));
}

static int set_up(void **state)
{
    struct post *p;
    OK(yzi_alloc(1, sizeof *p, &p));
    p->t = town_new();
    town_start_wire(p->t, 0);
    town_start_adapter(p->t, 0);
    town_wait_ready(p->t);
    town_settle(p->t);
    p->wire = p->t->wires[0];
    p->a1 = p->t->adapters[0];
    struct world_node *a1 = yz_world_node(p->t->w, "CN/GOV/MCA/@a1");
    assert_null(a1->epochs);
    a1->epochs = p->a1->epochs; /* what is sealed to a1 is sealed to the real one */
    p->model = (struct model){.w = p->t->w, .self = "CN/GOV/MCA/@a1", .version = p->t->w->version};
    make_query(p);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct post *p = *state;
    print_message("%lu handed over, %lu of them ran; the last: %s\n", p->tries, p->ran, p->last);
    yz_world_node(p->t->w, "CN/GOV/MCA/@a1")->epochs = NULL;
    town_free(p->t);
    yzi_buf_fini(&p->query);
    free(p);
    return 0;
}

static void fill_all(struct request_header *h, void *ctx)
{
    static const uint8_t trace[YZ_TRACE_BYTES] = {1, 2, 3}, signature[64] = {1};
    (void)ctx;
    h->trace = yzi_bytes(trace, sizeof trace);
    h->brokers[0].checkpoint =
        (struct checkpoint_ref){.present = true,
                                .log = WORLD_TIME,
                                .size = 1,
                                .signature = yzi_bytes(signature, sizeof signature)};
}

static struct world_message make_request(struct post *p)
{
    struct world_message m;
    yz_world_request(p->t->w,
                     &(struct world_request){.head = yzi_bytes_buf(&p->query),
                                             .purpose = "marriage",
                                             .spoil = fill_all},
                     &m);
    return m;
}

static void frame_it(yz_bytes header, yz_bytes block, yz_bytes payload, struct world_message *out)
{
    *out = (struct world_message){0};
    yz_world_buf(&out->raw);
    OK(yzi_frame_write(FRAME_REQUEST, header, block, payload, (yz_bytes){0}, &out->raw));
    OK(yzi_frame_parse(yzi_bytes_buf(&out->raw), YZ_MESSAGE_MAX, &out->frame));
    yzi_frame_digest(out->frame.header, out->frame.block, &out->digest);
}

/* -- what comes back -- */

/* What the consumer sealed to a1, and everything that is bound into the seal, is as it was. */
static bool opens(const struct frame *genuine, const struct frame *f, unsigned slot)
{
    struct request_header g, h;
    OK(yzi_request_header_parse(genuine->header, &g));
    OK(yzi_request_header_parse(f->header, &h));
    return yzi_uuid_eq(&g.message_id, &h.message_id) && yzi_bytes_eq(g.node.v, h.node.v) &&
           yzi_bytes_eq(g.service.v, h.service.v) && g.expires_at == h.expires_at &&
           memcmp(g.epoch_key, h.epoch_key, 32) == 0 &&
           yzi_bytes_eq(g.slots[0].wrapped_key, h.slots[slot].wrapped_key) &&
           yzi_digest_eq(&g.content_commitment, &h.content_commitment) &&
           yzi_bytes_eq(genuine->payload, f->payload);
}

static enum response_status status_of(const struct post *p, const struct frame *genuine,
                                      const struct frame *f)
{
    struct request_header h;
    OK(yzi_request_header_parse(f->header, &h));
    for (unsigned i = 0; i < h.slots_n; i++) {
        if (yzi_bytes_eq_str(h.slots[i].adapter.v, p->model.self)) {
            struct epoch *e;
            OK(yzi_epochs_current(p->a1->epochs, &e, NULL));
            if (!yzi_digest_eq(&e->digest, &h.slots[i].announcement)) {
                return RESPONSE_STALE_KEY;
            }
            return opens(genuine, f, i) ? RESPONSE_ANSWERED : RESPONSE_REFUSED;
        }
    }
    return 0;
}

static void await(struct post *p, unsigned answers)
{
    town_begin(p->t);
    while (p->wire->answers < answers) {
        town_wait(p->t);
    }
    assert_int_equal(p->wire->answers, answers);
}

static void see_reject(struct post *p, const struct world_message *m, const struct expected *e)
{
    struct frame f;
    struct reject r;
    OK(yzi_frame_parse(yzi_bytes_buf(&p->wire->answer), YZ_MESSAGE_MAX, &f));
    if (f.kind != FRAME_REJECT || yzi_reject_parse(f.header, &r) < 0 || r.status != e->status ||
        !yzi_bytes_eq_str(r.reason, e->reason) || !yzi_digest_eq(&r.request_digest, &m->digest)) {
        fail_msg("%s: %s", p->last,
                 f.kind == FRAME_REJECT ? yzi_outcome_status_name(r.status) : "it was answered");
    }
}

static void see_response(struct post *p, const struct world_message *m, enum response_status want)
{
    struct frame f;
    struct response_header h;
    OK(yzi_frame_parse(yzi_bytes_buf(&p->wire->answer), YZ_MESSAGE_MAX, &f));
    if (f.kind != FRAME_RESPONSE || yzi_response_header_parse(f.header, &h) < 0 ||
        h.status != want || !yzi_digest_eq(&h.request_digest, &m->digest)) {
        fail_msg("%s: %s, not %s", p->last,
                 f.kind == FRAME_RESPONSE ? yzi_response_status_name(h.status) : "handed back",
                 yzi_response_status_name(want));
    }
}

static bool wait_parked(struct post *p)
{
    town_begin(p->t);
    while (p->a1->parked_n == 0) {
        town_wait(p->t);
    }
    town_advance(p->t, PARK_MS);
    return true;
}

/* Hand it to the adapter, as a broker that checks nothing. */
static bool hand_over(struct post *p, const struct frame *genuine, const struct world_message *m,
                      const struct expected *e, const char *what)
{
    char words[128];
    unsigned answers = p->wire->answers;
    size_t remembered = yzi_memory_count(&p->a1->memory);
    uint64_t ran = p->a1->answered;
    expected_text(e, words, sizeof words);
    snprintf(p->last, sizeof p->last, "%.160s; expected: %.100s", what, words);
    p->tries++;
    wire_to_adapter(p->wire, 0, yzi_bytes_buf(&m->raw));
    bool waited = e->waits && wait_parked(p);
    if (e->silent) {
        town_settle(p->t);
        assert_int_equal(p->wire->answers, answers);
    } else {
        await(p, answers + 1);
    }
    bool runs = !e->silent && e->status == 0;
    enum response_status status = runs ? status_of(p, genuine, &m->frame) : 0;
    if (runs) {
        see_response(p, m, status);
    } else if (!e->silent) {
        see_reject(p, m, e);
    }
    bool executes = runs && status != RESPONSE_STALE_KEY;
    assert_int_equal(p->a1->answered, ran + executes);
    assert_true(waited || yzi_memory_count(&p->a1->memory) == remembered + executes);
    p->ran += executes;
    return executes;
}

static void hand_over_honestly(struct post *p, const struct world_message *m)
{
    struct expected e = model_request(&p->model, &m->frame, SIGNED_RIGHT);
    assert_int_equal(e.status, 0);
    assert_true(hand_over(p, &m->frame, m, &e, "an honest request"));
    see_response(p, m, RESPONSE_ANSWERED);
}

/* -- every field -- */

struct field_test {
    struct post *p;
    struct dice dice;
    struct world_message genuine, other;
    struct sites sites, donor;
    bool used;
    uint64_t made_at;
};

static void renew(struct field_test *t)
{
    yz_world_message_fini(&t->genuine);
    yz_world_message_fini(&t->other);
    t->genuine = make_request(t->p);
    yz_world_request(t->p->t->w, &(struct world_request){.purpose = "tax", .life_ms = 9},
                     &t->other);
    sites_of(&yizhan__wire__request_header__descriptor, t->genuine.frame.header, &t->sites);
    sites_of(&yizhan__wire__request_header__descriptor, t->other.frame.header, &t->donor);
    t->used = false;
    t->made_at = yz_world_now(t->p->t->w);
}

static bool same_id(const struct world_message *a, const struct world_message *b)
{
    yz_uuid x = {0}, y = {0};
    return yzi_request_header_peek_id(a->frame.header, &x) &&
           yzi_request_header_peek_id(b->frame.header, &y) && yzi_uuid_eq(&x, &y);
}

static void spoil_field(struct field_test *t, const char *path, enum spoiling how, uint32_t bit,
                        bool anew)
{
    char what[200];
    struct post *p = t->p;
    struct world_message m;
    YZ_AUTO(yzi_buf_fini) yz_buf header, block;
    yz_world_buf(&header);
    yz_world_buf(&block);
    if (t->used || yz_world_now(p->t->w) > t->made_at + FRESH_MS) {
        renew(t);
    }
    enum shape shape = spoil(&t->sites, sites_find(&t->sites, path), how, bit, &t->donor, &header);
    if (shape == SHAPE_SAME || header.n > YZ_HEADER_MAX) {
        return;
    }
    OK(yzi_sign_message(&p->t->client->signing, FRAME_REQUEST, yzi_bytes_buf(&header), &block));
    frame_it(yzi_bytes_buf(&header), anew ? yzi_bytes_buf(&block) : t->genuine.frame.block,
             t->genuine.frame.payload, &m);
    struct expected e = model_request(&p->model, &m.frame, anew ? SIGNED_RIGHT : SIGNED_WRONG);
    snprintf(what, sizeof what, "request %s %s (bit %u)%s", path, spoil_name(how), bit,
             anew ? " signed anew" : "");
    if (hand_over(p, &t->genuine.frame, &m, &e, what) && same_id(&m, &t->genuine)) {
        const struct expected conflict = {.status = OUTCOME_ID_CONFLICT, .reason = "other-bytes"};
        (void)hand_over(p, &t->genuine.frame, &t->genuine, &conflict, "the genuine one after");
        t->used = true;
    }
    yz_world_message_fini(&m);
}

static void every_field_in_every_way(void **state)
{
    struct field_test t = {.p = *state, .dice = dice_of("adapter")};
    struct sites all;
    struct world_message first = make_request(t.p);
    sites_of(&yizhan__wire__request_header__descriptor, first.frame.header, &all);
    for (size_t i = 0; i < all.n; i++) {
        const struct site *site = &all.site[i];
        bool is_number = site->field->type != PROTOBUF_C_TYPE_BYTES;
        uint32_t bits = site->absent ? 0 : is_number ? 64 : spoil_bits(site);
        uint32_t step = is_number ? 5 : 16;
        renew(&t);
        for (unsigned anew = 0; anew < 2; anew++) {
            for (uint32_t b = 0; b < bits; b += step) {
                spoil_field(&t, site->path, SPOIL_FLIP, b + dice_below(&t.dice, step), anew);
            }
            for (enum spoiling how = SPOIL_CUT; how < SPOILINGS; how++) {
                spoil_field(&t, site->path, how, 0, anew);
            }
        }
        if (t.used) {
            renew(&t);
        }
        hand_over_honestly(t.p, &t.genuine);
    }
    yz_world_message_fini(&t.genuine);
    yz_world_message_fini(&t.other);
    yz_world_message_fini(&first);
    assert_true(t.p->tries > 10 * all.n && t.p->ran > all.n);
}

/* -- block, payload, sections -- */

static void every_bit_of_block_and_payload(void **state)
{
    struct post *p = *state;
    struct world_message g = make_request(p), other = make_request(p), m;
    uint8_t bytes[2048];
    for (size_t bit = 0; bit < 8 * (g.frame.block.n + g.frame.payload.n); bit += 3) {
        bool of_block = bit < 8 * g.frame.block.n;
        size_t at = of_block ? bit : bit - 8 * g.frame.block.n;
        yz_bytes section = of_block ? g.frame.block : g.frame.payload;
        memcpy(bytes, section.p, section.n);
        bytes[at / 8] ^= (uint8_t)(1u << at % 8);
        yz_bytes spoilt = yzi_bytes(bytes, section.n);
        frame_it(g.frame.header, of_block ? spoilt : g.frame.block,
                 of_block ? g.frame.payload : spoilt, &m);
        struct expected e =
            model_request(&p->model, &m.frame, model_block(g.frame.block, m.frame.block));
        (void)hand_over(p, &g.frame, &m, &e, of_block ? "a block's bit" : "a payload's bit");
        yz_world_message_fini(&m);
    }
    for (unsigned mix = 1; mix < 7; mix++) { /* bit by bit: whose header, block, payload */
        frame_it((mix & 1 ? &g : &other)->frame.header, (mix & 2 ? &g : &other)->frame.block,
                 (mix & 4 ? &g : &other)->frame.payload, &m);
        bool fits = !(mix & 1) == !(mix & 2);
        struct expected e = model_request(&p->model, &m.frame, fits ? SIGNED_RIGHT : SIGNED_WRONG);
        (void)hand_over(p, &g.frame, &m, &e, "sections of two messages");
        yz_world_message_fini(&m);
    }
    hand_over_honestly(p, &g);
    hand_over_honestly(p, &other);
    yz_world_message_fini(&g);
    yz_world_message_fini(&other);
}

/* -- who, which slot, which key -- */

static void throw_request(struct post *p, const struct world_request *q, enum signed_how how,
                          const char *what)
{
    struct world_message m;
    struct world_request with_query = *q;
    with_query.head = yzi_bytes_buf(&p->query);
    yz_world_request(p->t->w, &with_query, &m);
    struct expected e = model_request(&p->model, &m.frame, how);
    assert_int_not_equal(e.status, 0);
    (void)hand_over(p, &m.frame, &m, &e, what);
    yz_world_message_fini(&m);
}

static void wrong_signers_slots_and_subsystems(void **state)
{
    struct post *p = *state;
    struct world *w = p->t->w;
    struct world_node *a2 = yz_world_node(w, "CN/GOV/MCA/@a2");
    struct world_node *w2 = yz_world_node(w, "CN/GOV/HB/@w2");
    struct key_pair *const keys[] = {&w2->signing, &a2->signing,
                                     &yz_world_node(w, "CN/@b1")->signing,
                                     &yz_world_node(w, "CN/GOV/MCA/@a1")->signing};
    for (unsigned i = 0; i < COUNT_OF(keys); i++) {
        throw_request(p, &(struct world_request){.sign_with = keys[i]}, SIGNED_STRANGER,
                      "signed by another's key");
    }
    throw_request(p, &(struct world_request){.slots = {a2}}, SIGNED_RIGHT, "another's slot only");
    throw_request(p, &(struct world_request){.service = "DE/GOV/MCA/civil/marriage/v1"},
                  SIGNED_RIGHT, "another instance");
    throw_request(p, &(struct world_request){.consumer = "CN/GOV/HB/tax"}, SIGNED_RIGHT,
                  "a subsystem it does not speak for");
}

static void a_low_order_epoch_key(void **state)
{
    static const uint8_t points[][32] = {
        {1},
        {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
         0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
         0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
    };
    struct post *p = *state;
    for (unsigned i = 0; i < COUNT_OF(points); i++) {
        struct sites sites;
        struct world_message g = make_request(p), m;
        YZ_AUTO(yzi_buf_fini) yz_buf header, block;
        yz_world_buf(&header);
        yz_world_buf(&block);
        sites_of(&yizhan__wire__request_header__descriptor, g.frame.header, &sites);
        const struct site *key = sites_find(&sites, "epoch_key");
        OK(yzi_buf_put(&header, g.frame.header));
        memcpy(header.p + key->span.value, points[i], 32);
        OK(yzi_sign_message(&p->t->client->signing, FRAME_REQUEST, yzi_bytes_buf(&header), &block));
        frame_it(yzi_bytes_buf(&header), yzi_bytes_buf(&block), g.frame.payload, &m);
        const struct expected e = {.status = OUTCOME_MALFORMED, .reason = "epoch-key"};
        (void)hand_over(p, &g.frame, &m, &e, "an epoch key of low order");
        yz_world_message_fini(&m);
        yz_world_message_fini(&g);
    }
}

/* -- when, and how often -- */

static void early_late_and_again(void **state)
{
    struct post *p = *state;
    uint64_t now = yz_world_now(p->t->w);
    static const int64_t offsets[] = {-400000, -60001, 30001, 3600000};
    for (unsigned i = 0; i < COUNT_OF(offsets); i++) {
        throw_request(p, &(struct world_request){.issued_at = now + (uint64_t)offsets[i]},
                      SIGNED_RIGHT, "a request of another time");
    }
    struct world_message m = make_request(p);
    hand_over_honestly(p, &m);
    YZ_AUTO(yzi_buf_fini) yz_buf first;
    yz_world_buf(&first);
    OK(yzi_buf_put(&first, yzi_bytes_buf(&p->wire->answer)));
    uint64_t ran = p->a1->answered;
    for (unsigned i = 0; i < 20; i++) { /* the stored answer, byte for byte */
        unsigned answers = p->wire->answers;
        wire_to_adapter(p->wire, 0, yzi_bytes_buf(&m.raw));
        await(p, answers + 1);
        assert_true(yzi_bytes_eq(yzi_bytes_buf(&first), yzi_bytes_buf(&p->wire->answer)));
    }
    assert_int_equal(p->a1->answered, ran);
    /* as long as it is accepted: beyond its expiry, within the skew */
    town_advance(p->t, YZ_EXPIRY_DEFAULT_MS + YZ_SKEW_MS - MARGIN_MS);
    unsigned answers = p->wire->answers;
    wire_to_adapter(p->wire, 0, yzi_bytes_buf(&m.raw));
    await(p, answers + 1);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&first), yzi_bytes_buf(&p->wire->answer)));
    assert_int_equal(p->a1->answered, ran);
    town_advance(p->t, MARGIN_MS + 1);
    const struct expected over = {.status = OUTCOME_EXPIRED, .reason = "expired"};
    (void)hand_over(p, &m.frame, &m, &over, "a replay of a message that is over");
    assert_int_equal(p->a1->answered, ran);
    yz_world_message_fini(&m);
}

/* -- whom the owner named -- */

/* The request is in order, the grant is, and the adapter has the data: but the owner's offer has
 * the service at another, and a broker that sends it here all the same is not believed. */
static void an_adapter_the_offer_does_not_name(void **state)
{
    struct post *p = *state;
    struct world_message m = make_request(p);
    hand_over_honestly(p, &m);
    yz_world_message_fini(&m);
    p->t->only_at = "CN/GOV/MCA/@a2";
    town_new_policy(p->t);
    m = make_request(p);
    struct expected e = model_request(&p->model, &m.frame, SIGNED_RIGHT);
    unsigned answers = p->wire->answers;
    assert_int_equal(e.status, 0);
    wire_to_adapter(p->wire, 0, yzi_bytes_buf(&m.raw));
    await(p, answers + 1);
    see_response(p, &m, RESPONSE_REFUSED);
    yz_world_message_fini(&m);
    p->t->only_at = p->model.self; /* and named again it serves again */
    town_new_policy(p->t);
    m = make_request(p);
    hand_over_honestly(p, &m);
    yz_world_message_fini(&m);
}

/* It answers no more, whatever a broker hands it that has not heard. */
static void an_adapter_that_was_revoked(void **state)
{
    struct post *p = *state;
    struct world *w = p->t->w;
    const struct expected unable = {.status = OUTCOME_STALE_DIRECTORY, .reason = "directory"};
    struct world_message m = make_request(p);
    assert_true(p->a1->listed);
    yz_world_revoke_node(w, p->model.self, yz_world_now(w));
    yz_world_publish(w);
    wire_heartbeat(p->wire);
    town_begin(p->t);
    while (p->a1->listed) {
        town_wait(p->t);
    }
    (void)hand_over(p, &m.frame, &m, &unable, "a request to an adapter that is revoked");
    yz_world_message_fini(&m);
}

/* It takes nothing new, and repeats what it has answered. */
static void an_adapter_that_is_about_to_stop(void **state)
{
    struct post *p = *state;
    const struct expected draining = {.status = OUTCOME_UNAVAILABLE, .reason = "draining"};
    struct world_message old = make_request(p), m = make_request(p);
    hand_over_honestly(p, &old);
    yzi_adapter_drain(p->a1);
    (void)hand_over(p, &m.frame, &m, &draining, "a request to an adapter that drains");
    unsigned answers = p->wire->answers;
    wire_to_adapter(p->wire, 0, yzi_bytes_buf(&old.raw));
    await(p, answers + 1);
    see_response(p, &old, RESPONSE_ANSWERED);
    yz_world_message_fini(&old);
    yz_world_message_fini(&m);
}

/* -- where there is no room -- */

/* Handed back at once, with a time to come again, and nothing of it remembered: the same bytes are
 * answered when there is room. */
static void is_busy(struct post *p, const struct world_message *m, const char *reason)
{
    const struct expected e = {.status = OUTCOME_BUSY, .reason = reason};
    struct frame f;
    struct reject r;
    (void)hand_over(p, &m->frame, m, &e, reason);
    OK(yzi_frame_parse(yzi_bytes_buf(&p->wire->answer), YZ_MESSAGE_MAX, &f));
    OK(yzi_reject_parse(f.header, &r));
    assert_true(r.retry_after_ms > 0);
}

static void without_room_it_says_busy(void **state)
{
    struct post *p = *state;
    struct adapter_limits *limits = &p->t->adapter_configs[0].limits;
    struct memory_options *memory = &p->a1->memory.o;
    struct world_message first = make_request(p), m = make_request(p);
    hand_over_honestly(p, &first);
    uint64_t queue = limits->queue;
    limits->queue = 0;
    is_busy(p, &m, "queue");
    limits->queue = queue;
    size_t most = memory->entries_max, each = memory->entries_each_max;
    memory->entries_max = 1;
    is_busy(p, &m, "memory");
    memory->entries_max = most;
    memory->entries_each_max = 1;
    is_busy(p, &m, "memory");
    memory->entries_each_max = each;
    hand_over_honestly(p, &m);
    yz_world_message_fini(&first);
    yz_world_message_fini(&m);
}

/* -- of a directory still to come -- */

#define GREAT (15u << 20)
#define GREAT_PARKED 4u /* a fifth would be more than 64 MiB of them */

static void of_the_next_directory(struct request_header *h, void *ctx)
{
    (void)ctx;
    h->directory_version++;
}

/* Requests that may be judged when a newer directory is here are kept a while, though never more
 * than so many bytes of them, however few they are: the next is judged by what there is. */
static void great_requests_that_wait_hold_no_more_than_allowed(void **state)
{
    struct post *p = *state;
    struct world_message m[GREAT_PARKED + 1];
    uint8_t *body = calloc(1, GREAT);
    assert_non_null(body);
    unsigned answers = p->wire->answers;
    for (unsigned i = 0; i <= GREAT_PARKED; i++) {
        struct world_request q = {.head = yzi_bytes_buf(&p->query),
                                  .body = yzi_bytes(body, GREAT),
                                  .spoil = of_the_next_directory};
        yz_world_request(p->t->w, &q, &m[i]);
        wire_to_adapter(p->wire, 0, yzi_bytes_buf(&m[i].raw));
        town_begin(p->t);
        while (p->a1->parked_n <= i && p->wire->answers == answers) {
            town_wait(p->t);
        }
    }
    await(p, answers + 1);
    assert_int_equal(p->a1->parked_n, GREAT_PARKED);
    assert_in_range(p->a1->parked_bytes, GREAT_PARKED * GREAT, 64u << 20);
    town_advance(p->t, PARK_MS);
    await(p, answers + 1 + GREAT_PARKED);
    assert_int_equal(p->a1->parked_n, 0);
    assert_int_equal(p->a1->parked_bytes, 0);
    for (unsigned i = 0; i <= GREAT_PARKED; i++) {
        yz_world_message_fini(&m[i]);
    }
    free(body);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_field_in_every_way),
        TEST(every_bit_of_block_and_payload),
        TEST(wrong_signers_slots_and_subsystems),
        TEST(a_low_order_epoch_key),
        TEST(early_late_and_again),
        TEST(an_adapter_the_offer_does_not_name),
        TEST(an_adapter_that_was_revoked),
        TEST(an_adapter_that_is_about_to_stop),
        TEST(without_room_it_says_busy),
        TEST(great_requests_that_wait_hold_no_more_than_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
