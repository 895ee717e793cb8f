/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests from a peer whose keys are valid and whose intentions are not, against the real broker:
 * every field of the header spoilt in every way, with the old signature and signed anew; every bit
 * of the signature block; the payload; sections of several messages mixed; batches with one bad
 * member; wrong signers; wrong times; replays. What the broker says to each is compared with the
 * document's table (model.h), and what it knows with what it knew.
 */
#include "tests/hostile/siege.h"

#include <sodium.h>

#define OK(call) assert_int_equal((call), YZ_OK)
#define WHAT_MAX 200u
#define FRESH_MS 10000u /* so long a message may be thrown before it is too old */

/* -- every field, in every way -- */

enum mode { MODE_OLD, MODE_NEW, MODES };
static const char *const mode_names[] = {"with the old signature", "signed anew"};

struct field_test {
    struct siege *s;
    struct dice dice;
    struct world_message genuine, other; /* of the field at hand */
    struct sites sites, donor;
    bool used; /* the genuine one's id was taken by a spoilt one */
    uint64_t made_at;
};

static void renew(struct field_test *t)
{
    yz_world_message_fini(&t->genuine);
    yz_world_message_fini(&t->other);
    t->genuine = siege_request(t->s);
    t->other = make_request(
        t->s->r, &(struct world_request){.client = t->s->w2->node, .purpose = "tax", .life_ms = 9});
    sites_of(&yizhan__wire__request_header__descriptor, t->genuine.frame.header, &t->sites);
    sites_of(&yizhan__wire__request_header__descriptor, t->other.frame.header, &t->donor);
    t->used = false;
    t->made_at = yz_world_now(t->s->r->w);
}

static bool same_id(const struct world_message *a, const struct world_message *b)
{
    yz_uuid x = {0}, y = {0};
    return yzi_request_header_peek_id(a->frame.header, &x) &&
           yzi_request_header_peek_id(b->frame.header, &y) && yzi_uuid_eq(&x, &y);
}

/* Throw one; when it was admitted, the genuine one under the same id is not any more. */
static void throw_spoilt(struct field_test *t, yz_bytes header, enum mode mode, enum shape shape,
                         const char *what)
{
    struct world_message m;
    struct siege *s = t->s;
    siege_message(header, mode == MODE_OLD ? &t->genuine.frame.block : NULL, &s->w1->node->signing,
                  t->genuine.frame.payload, &m);
    struct expected e =
        model_request(&s->model, &m.frame, mode == MODE_OLD ? SIGNED_WRONG : SIGNED_RIGHT);
    if (shape == SHAPE_BROKEN && !s->model.full &&
        (e.status != OUTCOME_MALFORMED || strcmp(e.reason, "header") != 0)) {
        fail_msg("%s: the parser takes what the schema forbids", what);
    }
    siege_throw(s, &m, &e, what);
    if (e.takes_id && same_id(&m, &t->genuine)) {
        s->model.id_taken = true;
        struct expected conflict = model_request(&s->model, &t->genuine.frame, SIGNED_RIGHT);
        assert_int_equal(conflict.status, OUTCOME_ID_CONFLICT);
        siege_throw(s, &t->genuine, &conflict, "the genuine one, whose id was taken");
        s->model.id_taken = false;
        t->used = true;
    }
    yz_world_message_fini(&m);
}

static void spoil_field(struct field_test *t, const char *path, enum spoiling how, enum mode mode,
                        uint32_t bit)
{
    char what[WHAT_MAX];
    YZ_AUTO(yzi_buf_fini) yz_buf header;
    yz_world_buf(&header);
    if (t->used || yz_world_now(t->s->r->w) > t->made_at + FRESH_MS) {
        renew(t);
    }
    const struct site *site = sites_find(&t->sites, path);
    assert_non_null(site);
    enum shape shape = spoil(&t->sites, site, how, bit, &t->donor, &header);
    if (shape == SHAPE_SAME || header.n > YZ_HEADER_MAX) {
        return;
    }
    snprintf(what, sizeof what, "request %s %s (bit %u) %s", path, spoil_name(how), bit,
             mode_names[mode]);
    throw_spoilt(t, yzi_bytes_buf(&header), mode, shape, what);
}

/* Of bytes a bit of each, of numbers every bit. */
static void flip_field(struct field_test *t, const struct site *site, enum mode mode)
{
    char path[sizeof site->path];
    bool is_number = site->field->type != PROTOBUF_C_TYPE_BYTES;
    uint32_t bits = is_number ? 64 : spoil_bits(site);
    memcpy(path, site->path, sizeof path);
    for (uint32_t i = 0; i < bits; i += is_number ? 1 : 8) {
        spoil_field(t, path, SPOIL_FLIP, mode, is_number ? i : i + dice_below(&t->dice, 8));
    }
}

static void every_field_in_every_way(void **state)
{
    struct field_test t = {.s = *state, .dice = dice_of("requests")};
    struct sites all;
    struct world_message first = siege_request(t.s);
    sites_of(&yizhan__wire__request_header__descriptor, first.frame.header, &all);
    for (size_t i = 0; i < all.n; i++) {
        renew(&t);
        for (enum mode mode = 0; mode < MODES; mode++) {
            if (!all.site[i].absent) {
                flip_field(&t, &all.site[i], mode);
            }
            for (enum spoiling how = SPOIL_CUT; how < SPOILINGS; how++) {
                spoil_field(&t, all.site[i].path, how, mode, 0);
            }
        }
        if (t.used) {
            renew(&t);
        }
        siege_honest(t.s, &t.genuine);
    }
    yz_world_message_fini(&t.genuine);
    yz_world_message_fini(&t.other);
    yz_world_message_fini(&first);
    assert_true(t.s->tries > 20 * all.n && t.s->accepted > all.n / 4);
}

/* A broker that has no room says so whatever is wrong, and counts it against nobody. */
static void without_room_nothing_is_judged(void **state)
{
    struct field_test t = {.s = *state, .dice = dice_of("requests without room")};
    struct broker_limits *limits = &t.s->r->config.limits;
    size_t room = limits->in_flight_per_peer;
    struct sites all;
    struct world_message first = siege_request(t.s);
    sites_of(&yizhan__wire__request_header__descriptor, first.frame.header, &all);
    renew(&t);
    t.s->model.full = true;
    limits->in_flight_per_peer = 0;
    for (size_t i = 0; i < all.n; i++) {
        for (enum spoiling how = SPOIL_CUT; how < SPOILINGS; how++) {
            spoil_field(&t, all.site[i].path, how, i % 2 ? MODE_OLD : MODE_NEW, 0);
        }
    }
    t.s->model.full = false;
    limits->in_flight_per_peer = room;
    siege_honest(t.s, &t.genuine);
    yz_world_message_fini(&t.genuine);
    yz_world_message_fini(&t.other);
    yz_world_message_fini(&first);
}

/* -- the signature block -- */

static void throw_block(struct siege *s, const struct world_message *genuine, yz_bytes block,
                        const char *what)
{
    struct world_message m;
    siege_message(genuine->frame.header, &block, NULL, genuine->frame.payload, &m);
    struct expected e =
        model_request(&s->model, &m.frame, model_block(genuine->frame.block, block));
    assert_int_not_equal(e.status, 0);
    siege_throw(s, &m, &e, what);
    yz_world_message_fini(&m);
}

static void spoil_block(struct siege *s, const struct world_message *genuine)
{
    uint8_t block[YZ_BLOCK_MAX];
    char what[WHAT_MAX];
    size_t n = genuine->frame.block.n;
    memcpy(block, genuine->frame.block.p, n);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        block[bit / 8] ^= (uint8_t)(1u << bit % 8);
        snprintf(what, sizeof what, "a block of %zu bytes with bit %zu flipped", n, bit);
        throw_block(s, genuine, yzi_bytes(block, n), what);
        block[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 1; cut < n; cut++) { /* a request without a block is no frame */
        throw_block(s, genuine, yzi_bytes(block, cut), "a block that is cut");
    }
    memset(block + n, 0, sizeof block - n);
    for (size_t more = 1; more <= 64 && n + more <= sizeof block; more++) {
        throw_block(s, genuine, yzi_bytes(block, n + more), "a block that is extended");
    }
}

static void every_bit_of_the_signature_block(void **state)
{
    struct siege *s = *state;
    struct world_message m = siege_request(s);
    spoil_block(s, &m);
    siege_honest(s, &m);
    yz_world_message_fini(&m);
}

/* -- batches -- */

#define BATCH 5u

static void make_batch(struct siege *s, struct world_message plain[BATCH],
                       struct world_message out[BATCH])
{
    yz_bytes headers[BATCH];
    yz_buf blocks[BATCH];
    for (unsigned i = 0; i < BATCH; i++) {
        plain[i] = siege_request(s);
        headers[i] = plain[i].frame.header;
        yz_world_buf(&blocks[i]);
    }
    OK(yzi_sign_batch(&s->w1->node->signing, FRAME_REQUEST, headers, BATCH, blocks));
    for (unsigned i = 0; i < BATCH; i++) {
        yz_bytes block = yzi_bytes_buf(&blocks[i]);
        siege_message(headers[i], &block, NULL, plain[i].frame.payload, &out[i]);
        yzi_buf_fini(&blocks[i]);
    }
}

static void free_batch(struct world_message *m)
{
    for (unsigned i = 0; i < BATCH; i++) {
        yz_world_message_fini(&m[i]);
    }
}

static void every_bit_of_the_blocks_of_a_batch(void **state)
{
    struct siege *s = *state;
    struct world_message plain[BATCH], batch[BATCH];
    make_batch(s, plain, batch);
    spoil_block(s, &batch[1]); /* nobody has verified this root yet */
    siege_honest(s, &batch[0]);
    spoil_block(s, &batch[1]);         /* now it is remembered */
    spoil_block(s, &batch[BATCH - 1]); /* whose path is shorter */
    for (unsigned i = 1; i < BATCH; i++) {
        siege_honest(s, &batch[i]);
    }
    free_batch(plain);
    free_batch(batch);
}

static void throw_as(struct siege *s, const struct world_message *header, yz_bytes block,
                     yz_bytes payload, enum signed_how how, const char *what)
{
    struct world_message m;
    siege_message(header->frame.header, &block, NULL, payload, &m);
    struct expected e = model_request(&s->model, &m.frame, how);
    siege_throw(s, &m, &e, what);
    yz_world_message_fini(&m);
}

static void one_bad_member_spoils_no_other(void **state)
{
    struct siege *s = *state;
    struct world_message plain[BATCH], batch[BATCH], stranger = siege_request(s);
    uint8_t garbage[YZ_BLOCK_MAX];
    make_batch(s, plain, batch);
    const struct frame *f = &batch[2].frame;
    throw_as(s, &batch[2], f->block, batch[3].frame.payload, SIGNED_RIGHT, "another's payload");
    siege_honest(s, &batch[0]);
    throw_as(s, &batch[2], batch[3].frame.block, f->payload, SIGNED_WRONG, "another's proof");
    throw_as(s, &stranger, f->block, stranger.frame.payload, SIGNED_WRONG, "no member at all");
    memcpy(garbage, f->block.p, f->block.n);
    randombytes_buf(garbage + 44, 64);
    throw_as(s, &batch[2], yzi_bytes(garbage, f->block.n), f->payload, SIGNED_WRONG,
             "a garbage signature over a root that is known");
    for (unsigned i = 1; i < BATCH; i++) {
        siege_honest(s, &batch[i]);
    }
    siege_honest(s, &stranger);
    yz_world_message_fini(&stranger);
    free_batch(plain);
    free_batch(batch);
}

/* -- sections -- */

static void sections_of_different_messages(void **state)
{
    struct siege *s = *state;
    struct world_message m[3];
    for (unsigned i = 0; i < 3; i++) {
        m[i] = siege_request(s);
    }
    for (unsigned mix = 0; mix < 27; mix++) {
        unsigned h = mix / 9, b = mix / 3 % 3, p = mix % 3;
        if (h != b || h != p) {
            throw_as(s, &m[h], m[b].frame.block, m[p].frame.payload,
                     h == b ? SIGNED_RIGHT : SIGNED_WRONG, "sections of different messages");
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        siege_honest(s, &m[i]);
        yz_world_message_fini(&m[i]);
    }
}

static void every_byte_of_the_payload(void **state)
{
    struct siege *s = *state;
    struct dice d = dice_of("payload");
    struct world_message m = siege_request(s);
    uint8_t payload[4096] = {0};
    size_t n = m.frame.payload.n;
    assert_true(n < sizeof payload);
    memcpy(payload, m.frame.payload.p, n);
    for (size_t i = 0; i < n; i++) {
        uint8_t bit = (uint8_t)(1u << dice_below(&d, 8));
        payload[i] ^= bit;
        throw_as(s, &m, m.frame.block, yzi_bytes(payload, n), SIGNED_RIGHT, "a payload's byte");
        payload[i] ^= bit;
    }
    for (size_t cut = 1; cut < n; cut += 7) {
        throw_as(s, &m, m.frame.block, yzi_bytes(payload, cut), SIGNED_RIGHT, "a cut payload");
    }
    throw_as(s, &m, m.frame.block, yzi_bytes(payload, n + 1), SIGNED_RIGHT, "a longer payload");
    siege_honest(s, &m);
    yz_world_message_fini(&m);
}

/* What is no frame is counted, answered by nothing, and ends nothing. A frame that is shorter than
 * it was is the first of a bundle whose rest is no frame: it is judged, the rest is counted. */
static void throw_noise(struct siege *s, const struct world_message *genuine, yz_bytes bytes,
                        const char *what)
{
    struct broker_state before;
    struct world_message first = {0};
    struct expected e = {.silent = true};
    yz_reader r = yzi_reader(bytes);
    siege_look(s, &before);
    s->tries++;
    snprintf(s->last, sizeof s->last, "%s", what);
    bool is_bundle = yzi_frame_next(&r, YZ_MESSAGE_MAX, &first.frame) == YZ_OK;
    if (is_bundle) {
        e = model_request(&s->model, &first.frame,
                          model_block(genuine->frame.block, first.frame.block));
        assert_int_not_equal(e.status, 0);
        yzi_frame_digest(first.frame.header, first.frame.block, &first.digest);
    }
    puppet_send(s->w1, bytes);
    if (!e.silent) {
        puppet_expect_outcome(s->w1, &first, e.status, e.reason);
    }
    assert_int_equal(puppet_count(s->w1, FRAME_OUTCOME), 0);
    siege_compare(s, &before, is_bundle ? "messages_bad requests" : "messages_bad",
                  e.silent ? 0 : e.status, what);
}

static void every_bit_of_the_prefix_and_every_cut(void **state)
{
    struct siege *s = *state;
    struct world_message m = siege_request(s);
    uint8_t raw[8192] = {0};
    size_t n = m.raw.n;
    assert_true(n < sizeof raw);
    memcpy(raw, m.raw.p, n);
    for (size_t bit = 0; bit < 128; bit++) {
        raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
        throw_noise(s, &m, yzi_bytes(raw, n), "a prefix with a bit flipped");
        raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 1; cut < n; cut += 3) {
        throw_noise(s, &m, yzi_bytes(raw, cut), "a frame that is cut");
    }
    siege_honest(s, &m);
    yz_world_message_fini(&m);
}

/* -- who signs -- */

static void only_the_node_s_own_signing_key_signs(void **state)
{
    struct siege *s = *state;
    struct world *w = s->r->w;
    struct key_pair *const keys[] = {&s->w2->node->signing, &s->a1->node->signing,
                                     &yz_world_node(w, "CN/@b1")->signing};
    struct world_message m = siege_request(s);
    for (unsigned i = 0; i < COUNT_OF(keys); i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf block;
        yz_world_buf(&block);
        OK(yzi_sign_message(keys[i], FRAME_REQUEST, m.frame.header, &block));
        throw_as(s, &m, yzi_bytes_buf(&block), m.frame.payload, SIGNED_STRANGER, "another's key");
    }
    for (enum frame_kind kind = FRAME_RESPONSE; kind <= FRAME_OUTCOME; kind++) {
        YZ_AUTO(yzi_buf_fini) yz_buf block;
        yz_world_buf(&block);
        OK(yzi_sign_message(&s->w1->node->signing, kind, m.frame.header, &block));
        throw_as(s, &m, yzi_bytes_buf(&block), m.frame.payload, SIGNED_WRONG,
                 "a signature made for another kind of message");
    }
    siege_honest(s, &m);
    yz_world_message_fini(&m);
}

/* -- when, and how often -- */

static void throw_request(struct siege *s, const struct world_request *q, const char *what)
{
    struct world_message m = make_request(s->r, q);
    struct expected e = model_request(&s->model, &m.frame, SIGNED_RIGHT);
    siege_throw(s, &m, &e, what);
    yz_world_message_fini(&m);
}

static void too_early_and_too_late(void **state)
{
    struct siege *s = *state;
    uint64_t now = yz_world_now(s->r->w);
    static const int64_t offsets[] = {-400000, -90001, -60001, -60000, -59999, -30001,
                                      -30000,  29999,  30000,  30001,  60000,  3600000};
    unsigned long accepted = s->accepted;
    for (unsigned i = 0; i < COUNT_OF(offsets); i++) {
        throw_request(s, &(struct world_request){.issued_at = now + (uint64_t)offsets[i]},
                      "a request of another time");
    }
    assert_int_equal(s->accepted - accepted, 6); /* within life and skew */
}

static void replays(void **state)
{
    struct siege *s = *state;
    struct world_message m = siege_request(s), answer;
    const struct expected too_often = {.status = OUTCOME_REPLAYED, .reason = "too-often"};
    siege_honest(s, &m);
    for (unsigned i = 0; i < REPLAY_RETRIES_MAX; i++) { /* a retry: the adapter answers it again */
        puppet_send(s->w1, yzi_bytes_buf(&m.raw));
        (void)puppet_expect_request(s->a1, &m);
        puppet_answer(s->a1, &m, &answer);
        puppet_expect_response(s->w1, &answer);
        yz_world_message_fini(&answer);
    }
    siege_throw(s, &m, &too_often, "a replay too many");
    struct broker_state before;
    siege_look(s, &before);
    puppet_send(s->w2, yzi_bytes_buf(&m.raw)); /* another's message, byte for byte */
    puppet_expect_outcome(s->w2, &m, OUTCOME_WRONG_SENDER, "peer");
    siege_compare(s, &before, "requests", OUTCOME_WRONG_SENDER, "another's message");
    yzi_manual_clock_advance(&s->r->w->clock, YZ_EXPIRY_DEFAULT_MS + YZ_SKEW_MS + 1);
    const struct expected expired = {.status = OUTCOME_EXPIRED, .reason = "expired"};
    s->time_passed = true;
    siege_throw(s, &m, &expired, "a replay of a message that is over");
    yz_world_message_fini(&m);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, siege_set_up, siege_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_field_in_every_way),
        TEST(without_room_nothing_is_judged),
        TEST(every_bit_of_the_signature_block),
        TEST(every_bit_of_the_blocks_of_a_batch),
        TEST(one_bad_member_spoils_no_other),
        TEST(sections_of_different_messages),
        TEST(every_byte_of_the_payload),
        TEST(every_bit_of_the_prefix_and_every_cut),
        TEST(only_the_node_s_own_signing_key_signs),
        TEST(too_early_and_too_late),
        TEST(replays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
