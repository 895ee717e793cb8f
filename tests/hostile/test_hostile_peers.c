/* SPDX-License-Identifier: Apache-2.0
 *
 * Peers with valid keys and bad intentions against the real broker, in everything but requests:
 * answers of an adapter spoilt in every way, with the old signature and signed anew; what is not
 * the sender's to say; link messages; records. An answer that does not hold ends its exchange in
 * the broker's own word, one that belongs to nothing ends nothing, and nobody else notices.
 */
#include "tests/hostile/siege.h"

#include <sodium.h>

#include "proto/link.pb-c.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define WHAT_MAX 200u

/* -- answers: what becomes of one -- */

enum fate {
    FATE_DELIVERED,
    FATE_BAD,  /* from the adapter that was asked: its exchange ends */
    FATE_LATE, /* nobody's */
    FATE_NOISE /* says not even whose */
};

/* docs/protocol.md, "Responses", for an answer of a1 to the standard world's service. */
static enum fate judge_answer(const struct siege *s, const struct world_message *request,
                              const struct frame *f, bool signature_is_right)
{
    struct response_header h;
    struct request_header q;
    uint8_t digest[32];
    uint64_t now = yz_world_now(s->r->w);
    OK(yzi_request_header_parse(request->frame.header, &q));
    if (yzi_response_header_parse(f->header, &h) < 0) {
        return FATE_NOISE;
    }
    if (!yzi_digest_eq(&h.request_digest, &request->digest)) {
        return FATE_LATE;
    }
    bool binds = yzi_uuid_eq(&h.message_id, &q.message_id) && h.slot == 0 &&
                 yzi_bytes_eq_str(h.node.v, s->a1->node->id);
    bool timely = h.issued_at <= now + YZ_SKEW_MS && now <= h.expires_at + YZ_SKEW_MS;
    crypto_generichash(digest, sizeof digest, f->payload.p, f->payload.n, NULL, 0);
    bool whole = f->payload.n == h.sealed_length &&
                 (h.status == RESPONSE_STALE_KEY ||
                  yzi_bytes_eq(yzi_bytes(digest, 32), yzi_bytes_digest(&h.sealed_digest)));
    return binds && timely && signature_is_right && whole ? FATE_DELIVERED : FATE_BAD;
}

static void fill_all(struct response_header *h, void *ctx)
{
    static const uint8_t trace[YZ_TRACE_BYTES] = {3, 2, 1};
    struct siege *s = ctx;
    h->trace = yzi_bytes(trace, sizeof trace);
    h->has_broker = true;
    h->broker.node = yz_world_node(s->r->w, "CN/@b1")->node;
    h->broker.checkpoint = siege_checkpoint();
}

struct answer_test {
    struct siege *s;
    struct dice dice;
    enum response_status status;
    struct key_pair *key;       /* that signs anew */
    struct world_message other; /* an answer to another request */
};

static void make_answer(struct answer_test *t, const struct world_message *request,
                        struct world_message *out)
{
    yz_world_response(
        t->s->r->w,
        &(struct world_response){
            .adapter = t->s->a1->node, .status = t->status, .spoil = fill_all, .ctx = t->s},
        &request->frame, out);
}

/* The request is with the adapter; nothing was answered yet. */
static struct world_message ask(struct siege *s)
{
    struct world_message q = siege_request(s);
    puppet_send(s->w1, yzi_bytes_buf(&q.raw));
    (void)puppet_expect_request(s->a1, &q);
    return q;
}

static void answer_honestly(struct siege *s, const struct world_message *q)
{
    struct world_message a;
    puppet_answer(s->a1, q, &a);
    puppet_expect_response(s->w1, &a);
    yz_world_message_fini(&a);
}

/* The adapter says this to its request. See what became of it, and that the request is answered
 * honestly if it can still be. */
static void throw_answer(struct siege *s, const struct world_message *q,
                         const struct world_message *a, enum fate fate, const char *what)
{
    static const char *const grown[] = {[FATE_DELIVERED] = "responses",
                                        [FATE_BAD] = "responses_bad",
                                        [FATE_LATE] = "responses_late responses",
                                        [FATE_NOISE] = "responses_bad responses"};
    struct broker_state before;
    snprintf(s->last, sizeof s->last, "%s; expected: %s", what, grown[fate]);
    s->tries++;
    siege_look(s, &before);
    before.exchanges = before.bytes = 0;
    puppet_send(s->a1, yzi_bytes_buf(&a->raw));
    if (fate == FATE_DELIVERED) {
        s->accepted++;
        puppet_expect_response(s->w1, a);
    } else if (fate == FATE_BAD) {
        puppet_expect_outcome(s->w1, q, OUTCOME_UNAVAILABLE, "bad-answer");
    } else {
        answer_honestly(s, q);
    }
    siege_compare(s, &before, grown[fate], fate == FATE_BAD ? OUTCOME_UNAVAILABLE : 0, s->last);
}

static void reframe(yz_bytes header, const yz_bytes *block, struct key_pair *key, yz_bytes payload,
                    struct world_message *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf signature;
    yz_world_buf(&signature);
    *out = (struct world_message){0};
    if (block) {
        OK(yzi_buf_put(&signature, *block));
    } else {
        OK(yzi_sign_message(key, FRAME_RESPONSE, header, &signature));
    }
    yz_world_buf(&out->raw);
    OK(yzi_frame_write(FRAME_RESPONSE, header, yzi_bytes_buf(&signature), payload, (yz_bytes){0},
                       &out->raw));
    OK(yzi_frame_parse(yzi_bytes_buf(&out->raw), YZ_MESSAGE_MAX, &out->frame));
}

static void spoil_answer(struct answer_test *t, const char *path, enum spoiling how, uint32_t bit,
                         bool anew)
{
    struct siege *s = t->s;
    struct sites sites, donor;
    char what[WHAT_MAX];
    struct world_message q = ask(s), a, m;
    make_answer(t, &q, &a);
    sites_of(&yizhan__wire__response_header__descriptor, a.frame.header, &sites);
    sites_of(&yizhan__wire__response_header__descriptor, t->other.frame.header, &donor);
    YZ_AUTO(yzi_buf_fini) yz_buf header;
    yz_world_buf(&header);
    const struct site *site = sites_find(&sites, path);
    enum shape shape = site ? spoil(&sites, site, how, bit, &donor, &header) : SHAPE_SAME;
    if (shape == SHAPE_SAME || header.n > YZ_HEADER_MAX) {
        answer_honestly(s, &q);
    } else {
        snprintf(what, sizeof what, "answer %s %s (bit %u)%s", path, spoil_name(how), bit,
                 anew ? " signed anew" : "");
        reframe(yzi_bytes_buf(&header), anew ? NULL : &a.frame.block, t->key, a.frame.payload, &m);
        enum fate fate = judge_answer(s, &q, &m.frame, anew);
        if (shape == SHAPE_BROKEN && fate != FATE_NOISE) {
            fail_msg("%s: the parser takes what the schema forbids", what);
        }
        throw_answer(s, &q, &m, fate, what);
        yz_world_message_fini(&m);
    }
    yz_world_message_fini(&a);
    yz_world_message_fini(&q);
}

static void spoil_answers(struct answer_test *t)
{
    struct sites all;
    struct world_message q = ask(t->s);
    make_answer(t, &q, &t->other);
    answer_honestly(t->s, &q);
    sites_of(&yizhan__wire__response_header__descriptor, t->other.frame.header, &all);
    for (size_t i = 0; i < all.n; i++) {
        const struct site *site = &all.site[i];
        bool is_number = site->field->type != PROTOBUF_C_TYPE_BYTES;
        uint32_t bits = site->absent ? 0 : is_number ? 64 : spoil_bits(site);
        uint32_t step = is_number ? 5 : bits > 1024 ? 64 : 16;
        for (unsigned anew = 0; anew < 2; anew++) {
            for (uint32_t b = 0; b < bits; b += step) {
                spoil_answer(t, site->path, SPOIL_FLIP, b + dice_below(&t->dice, step), anew);
            }
            for (enum spoiling how = SPOIL_CUT; how < SPOILINGS; how++) {
                spoil_answer(t, site->path, how, 0, anew);
            }
        }
    }
    yz_world_message_fini(&t->other);
    yz_world_message_fini(&q);
    assert_true(t->s->tries > 10 * all.n && t->s->accepted > 0);
}

static void every_field_of_an_answer(void **state)
{
    struct siege *s = *state;
    struct answer_test t = {.s = s, .dice = dice_of("answers"), .key = &s->a1->node->signing};
    spoil_answers(&t);
}

static void every_field_of_a_stale_key_answer(void **state)
{
    struct siege *s = *state;
    struct answer_test t = {.s = s,
                            .dice = dice_of("stale-key"),
                            .status = RESPONSE_STALE_KEY,
                            .key = &s->a1->node->signing};
    spoil_answers(&t);
}

/* -- answers: block, payload, signer -- */

static void every_bit_of_an_answer_s_block_and_payload(void **state)
{
    struct siege *s = *state;
    struct answer_test t = {.s = s, .dice = dice_of("answer-bits")};
    uint8_t bytes[4096];
    for (size_t i = 0; i < 420; i++) {
        struct world_message q = ask(s), a, m;
        make_answer(&t, &q, &a);
        bool of_block = i < a.frame.block.n;
        yz_bytes section = of_block ? a.frame.block : a.frame.payload;
        size_t at = of_block ? i : (i * 7) % section.n;
        memcpy(bytes, section.p, section.n);
        bytes[at] ^= (uint8_t)(1u << dice_below(&t.dice, 8));
        yz_bytes spoilt = yzi_bytes(bytes, section.n);
        reframe(a.frame.header, of_block ? &spoilt : &a.frame.block, NULL,
                of_block ? a.frame.payload : spoilt, &m);
        throw_answer(s, &q, &m, FATE_BAD, of_block ? "an answer's block" : "an answer's payload");
        yz_world_message_fini(&m);
        yz_world_message_fini(&a);
        yz_world_message_fini(&q);
    }
}

static void an_answer_signed_by_anybody_else(void **state)
{
    struct siege *s = *state;
    struct answer_test t = {.s = s};
    struct world *w = s->r->w;
    struct key_pair *const keys[] = {&s->w1->node->signing,
                                     &yz_world_node(w, "CN/GOV/MCA/@a2")->signing,
                                     &yz_world_node(w, "CN/@b1")->signing};
    for (unsigned i = 0; i < COUNT_OF(keys); i++) {
        struct world_message q = ask(s), a, m;
        make_answer(&t, &q, &a);
        reframe(a.frame.header, NULL, keys[i], a.frame.payload, &m);
        throw_answer(s, &q, &m, FATE_BAD, "an answer signed by another");
        yz_world_message_fini(&m);
        yz_world_message_fini(&a);
        yz_world_message_fini(&q);
    }
}

/* Another slot's adapter, a client, one that was not asked: genuine or not, it is not theirs. */
static void an_answer_from_where_nobody_asked(void **state)
{
    struct siege *s = *state;
    struct puppet *a2 = rig_join(s->r, "CN/GOV/MCA/@a2");
    struct world_message q = siege_request(s), of_a1, of_a2;
    struct broker_state before;
    puppet_send(s->w1, yzi_bytes_buf(&q.raw));
    (void)puppet_expect_request(s->a1, &q); /* the first slot, as nobody has anything to do */
    yz_world_response(s->r->w, &(struct world_response){.adapter = a2->node}, &q.frame, &of_a2);
    yz_world_response(s->r->w, &(struct world_response){.adapter = s->a1->node}, &q.frame, &of_a1);
    siege_look(s, &before);
    struct {
        struct puppet *who;
        struct world_message *says;
    } attempts[] = {{a2, &of_a2}, {a2, &of_a1}, {s->w2, &of_a1}, {s->w1, &of_a1}};
    for (unsigned i = 0; i < COUNT_OF(attempts); i++) {
        puppet_send(attempts[i].who, yzi_bytes_buf(&attempts[i].says->raw));
        assert_true(puppet_is_heard(attempts[i].who));
        siege_compare(s, &before, "responses_bad", 0, "an answer nobody asked for");
        siege_look(s, &before);
    }
    puppet_send(s->a1, yzi_bytes_buf(&of_a1.raw));
    puppet_expect_response(s->w1, &of_a1);
    siege_look(s, &before);
    puppet_send(s->a1, yzi_bytes_buf(&of_a1.raw)); /* again */
    assert_true(puppet_is_heard(s->a1));
    assert_int_equal(puppet_count(s->w1, FRAME_RESPONSE), 0);
    siege_compare(s, &before, "responses_late", 0, "an answer said twice");
    yz_world_message_fini(&q);
    yz_world_message_fini(&of_a1);
    yz_world_message_fini(&of_a2);
}

/* -- rejections -- */

static void spoil_reject(struct siege *s, const char *path, enum spoiling how, uint32_t bit)
{
    struct world_message q = ask(s), m = {0};
    struct request_header h;
    struct sites sites;
    struct broker_state before;
    YZ_AUTO(yzi_buf_fini) yz_buf genuine, header;
    yz_world_buf(&genuine);
    yz_world_buf(&header);
    OK(yzi_request_header_parse(q.frame.header, &h));
    struct reject r = {.message_id = h.message_id,
                       .request_digest = q.digest,
                       .status = OUTCOME_BUSY,
                       .reason = yzi_bytes_str("queue"),
                       .retry_after_ms = 50};
    OK(yzi_reject_write(&r, &genuine));
    OK(yzi_frame_parse(yzi_bytes_buf(&genuine), YZ_MESSAGE_MAX, &m.frame));
    sites_of(&yizhan__wire__reject__descriptor, m.frame.header, &sites);
    const struct site *site = sites_find(&sites, path);
    if (spoil(&sites, site, how, bit, NULL, &header) == SHAPE_SAME) {
        answer_honestly(s, &q);
        yz_world_message_fini(&q);
        return;
    }
    siege_look(s, &before);
    before.exchanges = before.bytes = 0;
    snprintf(s->last, sizeof s->last, "rejection %s %s (bit %u)", path, spoil_name(how), bit);
    s->tries++;
    yz_world_buf(&m.raw);
    OK(yzi_frame_write(FRAME_REJECT, yzi_bytes_buf(&header), (yz_bytes){0}, (yz_bytes){0},
                       (yz_bytes){0}, &m.raw));
    puppet_send(s->a1, yzi_bytes_buf(&m.raw));
    bool parses = yzi_reject_parse(yzi_bytes_buf(&header), &r) == YZ_OK;
    if (!parses || !yzi_digest_eq(&r.request_digest, &q.digest)) {
        answer_honestly(s, &q);
        siege_compare(s, &before, parses ? "responses_late responses" : "messages_bad responses", 0,
                      s->last);
    } else {
        bool busy = r.status == OUTCOME_BUSY;
        puppet_expect_outcome(s->w1, &q, busy ? OUTCOME_BUSY : OUTCOME_UNAVAILABLE,
                              busy ? "adapter-busy" : "adapter-refused");
        siege_compare(s, &before, "", busy ? OUTCOME_BUSY : OUTCOME_UNAVAILABLE, s->last);
    }
    yz_world_message_fini(&m);
    yz_world_message_fini(&q);
}

static void every_field_of_a_rejection(void **state)
{
    static const char *const paths[] = {"message_id", "request_digest", "status", "reason",
                                        "retry_after_ms"};
    struct siege *s = *state;
    assert_int_equal(COUNT_OF(paths), yizhan__wire__reject__descriptor.n_fields);
    for (unsigned i = 0; i < COUNT_OF(paths); i++) {
        for (enum spoiling how = 0; how < SPOILINGS; how++) {
            for (uint32_t bit = 0; bit < (how == SPOIL_FLIP ? 128 : 1); bit += 3) {
                spoil_reject(s, paths[i], how, bit);
            }
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, siege_set_up, siege_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_field_of_an_answer),
        TEST(every_field_of_a_stale_key_answer),
        TEST(every_bit_of_an_answer_s_block_and_payload),
        TEST(an_answer_signed_by_anybody_else),
        TEST(an_answer_from_where_nobody_asked),
        TEST(every_field_of_a_rejection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
