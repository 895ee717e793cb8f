/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker with every valid key of its own and no honesty, between a real client and a real
 * adapter: it tampers, drops, delays, repeats, mixes, and speaks in names that are not its own. In
 * every trial the call ends exactly once; an answer that is not the one to the question is never
 * taken; what was tampered with is noticed by whoever receives it, and harms nothing that comes
 * after.
 */
#include "tests/hostile/classes.h"
#include "tests/hostile/model.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define LATE_MS (TOWN_TIMEOUT_MS + 1)
#define LAG_MS 2001u /* of a directory that is claimed, at a client */
#define SECTIONS 4u

static struct wire *wire_of(const struct trials *s)
{
    return s->t->wires[0];
}

static void keep(struct wire *w, const struct frame *f)
{
    (void)w;
    (void)f; /* it is in w->request or w->answer */
}

static void set_up_town(struct trials *s)
{
    town_start_wire(s->t, 0);
    town_start_adapter(s->t, 0);
    town_start_client(s->t);
    town_wait_ready(s->t);
    town_settle(s->t);
}

/* The puppet holds requests, and answers. */
static void set_up_held(struct trials *s)
{
    set_up_town(s);
    wire_of(s)->on_request = wire_of(s)->on_answer = keep;
}

/* -- parts of a trial -- */

/* A call is under way, and its request held. */
static struct frame begin(struct trials *s, struct town_call *c)
{
    struct wire *w = wire_of(s);
    unsigned before = w->requests;
    struct frame f;
    town_call(s->t, dice_below(&s->dice, TOWN_KEYS), c);
    town_begin(s->t);
    while (w->requests == before && !c->ended) {
        town_wait(s->t);
    }
    assert_int_equal(c->ended, 0);
    OK(yzi_frame_parse(yzi_bytes_buf(&w->request), YZ_MESSAGE_MAX, &f));
    return f;
}

/* The adapter's answer to what was sent to it. */
static struct frame await_answer(struct trials *s, unsigned before)
{
    struct wire *w = wire_of(s);
    struct frame f;
    town_begin(s->t);
    while (w->answers == before) {
        town_wait(s->t);
    }
    OK(yzi_frame_parse(yzi_bytes_buf(&w->answer), YZ_MESSAGE_MAX, &f));
    return f;
}

static struct frame answer_to(struct trials *s, const struct frame *request)
{
    unsigned before = wire_of(s)->answers;
    wire_forward(wire_of(s), 0, request);
    struct frame f = await_answer(s, before);
    assert_int_equal(f.kind, FRAME_RESPONSE);
    return f;
}

/* The genuine answer ends it well, and only once. */
static void end_well(struct trials *s, struct town_call *c, const struct frame *answer)
{
    wire_to_client(wire_of(s), answer->raw);
    town_run_until_ended(s->t, c);
    if (!town_is_right(c)) {
        fail_msg("%s: %s %s", s->last, yz_err_name(c->rc), c->err.text);
    }
    town_call_fini(c);
}

static void expect_end(struct trials *s, struct town_call *c, int rc)
{
    town_run_until_ended(s->t, c);
    if (c->ended != 1 || c->rc != rc) {
        fail_msg("%s: %s %s, not %s", s->last, yz_err_name(c->rc), c->err.text, yz_err_name(rc));
    }
    assert_null(c->answer);
    town_call_fini(c);
}

/* A copy with a bit of one of its bytes flipped, the byte picked evenly among the sections first:
 * 0 the prefix, 1 header, 2 block, 3 payload. */
static size_t flip(struct trials *s, const struct frame *f, uint8_t *out, unsigned *section)
{
    const yz_bytes parts[SECTIONS] = {yzi_bytes(f->raw.p, 16), f->header, f->block, f->payload};
    do {
        *section = dice_below(&s->dice, SECTIONS);
    } while (parts[*section].n == 0);
    size_t at =
        (size_t)(parts[*section].p - f->raw.p) + dice_below(&s->dice, (uint32_t)parts[*section].n);
    memcpy(out, f->raw.p, f->raw.n);
    out[at] ^= (uint8_t)(1u << dice_below(&s->dice, 8));
    snprintf(s->last, sizeof s->last, "section %u, byte %zu of %zu", *section, at, f->raw.n);
    return at;
}

/* -- what the adapter notices -- */

static bool first_frame(yz_bytes bytes, struct frame *out)
{
    yz_reader r = yzi_reader(bytes);
    return yzi_frame_next(&r, YZ_MESSAGE_MAX, out) == YZ_OK;
}

static void await_parked(struct trials *s)
{
    town_begin(s->t);
    while (s->t->adapters[0]->parked_n == 0) {
        town_wait(s->t);
    }
}

static void trial_tampered_request(struct trials *s)
{
    struct town_call c;
    uint8_t bytes[8192];
    unsigned section;
    struct frame q = begin(s, &c), f;
    struct adapter *a = s->t->adapters[0];
    struct model model = {.w = s->t->w, .self = "CN/GOV/MCA/@a1", .version = s->t->w->version};
    uint64_t answered = a->answered, rejected = a->rejected;
    size_t remembered = yzi_memory_count(&a->memory);
    assert_true(q.raw.n <= sizeof bytes);
    (void)flip(s, &q, bytes, &section);
    unsigned answers = wire_of(s)->answers;
    struct expected e = {.silent = true};
    bool is_request = first_frame(yzi_bytes(bytes, q.raw.n), &f) && f.kind == FRAME_REQUEST;
    if (is_request) {
        e = model_request(&model, &f, section == 1 ? SIGNED_WRONG : model_block(q.block, f.block));
    }
    wire_to_adapter(wire_of(s), 0, yzi_bytes(bytes, q.raw.n));
    if (e.waits) {
        await_parked(s);
        town_advance(s->t, 1001);
    }
    if (!e.silent) {
        assert_int_not_equal(e.status, 0);
        struct frame back = await_answer(s, answers);
        struct reject r;
        if (back.kind != FRAME_REJECT || yzi_reject_parse(back.header, &r) < 0 ||
            r.status != e.status || !yzi_bytes_eq_str(r.reason, e.reason)) {
            fail_msg("%s: not %s %s", s->last, yzi_outcome_status_name(e.status), e.reason);
        }
    }
    struct frame answer = answer_to(s, &q); /* behind it, the genuine one */
    assert_int_equal(wire_of(s)->answers, answers + 1 + !e.silent);
    assert_int_equal(a->rejected, rejected + is_request);
    assert_int_equal(a->answered, answered + 1);
    assert_true(yzi_memory_count(&a->memory) <= remembered + 1);
    end_well(s, &c, &answer);
}

/* The hop is for the link and unsigned: the broker may lie about the time, no more. */
static void trial_tampered_hop(struct trials *s)
{
    struct town_call c;
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    uint8_t hop[64];
    struct frame q = begin(s, &c);
    size_t n = dice_below(&s->dice, sizeof hop);
    for (size_t i = 0; i < n; i++) {
        hop[i] = (uint8_t)dice_next(&s->dice);
    }
    if (n > 2 && dice_chance(&s->dice, 2)) { /* a number of its first field */
        hop[0] = 8;
        n = 1 + dice_below(&s->dice, 5);
    }
    snprintf(s->last, sizeof s->last, "a hop of %zu bytes", n);
    OK(yzi_frame_write(FRAME_REQUEST, q.header, q.block, q.payload, yzi_bytes(hop, n), &out));
    unsigned before = wire_of(s)->answers;
    wire_to_adapter(wire_of(s), 0, yzi_bytes_buf(&out));
    struct frame answer = await_answer(s, before);
    if (answer.kind == FRAME_REJECT) { /* it was left no time; the next word may leave some */
        answer = answer_to(s, &q);
    }
    end_well(s, &c, &answer);
}

/* -- what the client notices -- */

/* Does the client find the call this belongs to? What it cannot place ends nothing. */
static bool is_placed(const struct frame *genuine, yz_bytes bytes, uint64_t *version)
{
    struct frame f;
    struct response_header g, h;
    OK(yzi_response_header_parse(genuine->header, &g));
    if (!first_frame(bytes, &f) || f.kind != FRAME_RESPONSE ||
        yzi_response_header_parse(f.header, &h) < 0) {
        return false;
    }
    *version = h.directory_version;
    return yzi_uuid_eq(&g.message_id, &h.message_id);
}

/* Deliver it; when it is placed it ends the call as not verified, else the genuine one ends it. */
static void deliver_spoilt(struct trials *s, struct town_call *c, const struct frame *genuine,
                           yz_bytes bytes)
{
    uint64_t version = 0;
    bool placed = is_placed(genuine, bytes, &version);
    struct engine_counters before = town_counters(s->t);
    wire_to_client(wire_of(s), bytes);
    if (!placed) {
        end_well(s, c, genuine);
        return;
    }
    if (version > s->t->w->version) {
        town_begin(s->t);
        while (town_counters(s->t).waited == before.waited) {
            town_wait(s->t);
        }
        assert_int_equal(c->ended, 0);
        town_advance(s->t, LAG_MS);
    }
    expect_end(s, c, YZ_ESIGNATURE);
    assert_int_equal(town_counters(s->t).rejected, before.rejected + 1);
}

static void trial_tampered_answer(struct trials *s)
{
    struct town_call c;
    uint8_t bytes[8192];
    unsigned section;
    struct frame q = begin(s, &c), a = answer_to(s, &q);
    assert_true(a.raw.n <= sizeof bytes);
    (void)flip(s, &a, bytes, &section);
    deliver_spoilt(s, &c, &a, yzi_bytes(bytes, a.raw.n));
}

/* Sections of the answers to two calls, mixed; then each gets its own. */
static void trial_mixed_answers(struct trials *s)
{
    struct town_call c[2];
    struct frame f[2];
    YZ_AUTO(yzi_buf_fini) yz_buf one, two, mixed;
    yz_world_buf(&one);
    yz_world_buf(&two);
    yz_world_buf(&mixed);
    struct frame q = begin(s, &c[0]);
    f[0] = answer_to(s, &q);
    OK(yzi_buf_put(&one, f[0].raw));
    q = begin(s, &c[1]);
    f[1] = answer_to(s, &q);
    OK(yzi_buf_put(&two, f[1].raw));
    OK(yzi_frame_parse(yzi_bytes_buf(&one), YZ_MESSAGE_MAX, &f[0]));
    OK(yzi_frame_parse(yzi_bytes_buf(&two), YZ_MESSAGE_MAX, &f[1]));
    unsigned h = dice_below(&s->dice, 2), b = dice_below(&s->dice, 2);
    unsigned p = h == b ? 1 - h : dice_below(&s->dice, 2);
    snprintf(s->last, sizeof s->last, "header of %u, block of %u, payload of %u", h, b, p);
    OK(yzi_frame_write(FRAME_RESPONSE, f[h].header, f[b].block, f[p].payload, (yz_bytes){0},
                       &mixed));
    deliver_spoilt(s, &c[h], &f[h], yzi_bytes_buf(&mixed));
    end_well(s, &c[1 - h], &f[1 - h]);
}

/* The answer to an earlier call in place of this one's, and the answer with another's id. */
static void trial_substituted_answer(struct trials *s)
{
    struct town_call first, c;
    YZ_AUTO(yzi_buf_fini) yz_buf old, moved;
    yz_world_buf(&old);
    yz_world_buf(&moved);
    struct frame q = begin(s, &first), a = answer_to(s, &q), stale;
    OK(yzi_buf_put(&old, a.raw));
    end_well(s, &first, &a);
    q = begin(s, &c);
    a = answer_to(s, &q);
    struct engine_counters before = town_counters(s->t);
    wire_to_client(wire_of(s), yzi_bytes_buf(&old));
    if (dice_chance(&s->dice, 2)) {
        snprintf(s->last, sizeof s->last, "an old answer");
        end_well(s, &c, &a); /* which came behind it */
        assert_int_equal(town_counters(s->t).late, before.late + 1);
        return;
    }
    snprintf(s->last, sizeof s->last, "an old answer under this call's id");
    struct response_header h, now;
    OK(yzi_frame_parse(yzi_bytes_buf(&old), YZ_MESSAGE_MAX, &stale));
    OK(yzi_response_header_parse(stale.header, &h));
    OK(yzi_response_header_parse(a.header, &now));
    for (size_t i = 0; i + 16 <= stale.header.n; i++) {
        if (memcmp(stale.header.p + i, h.message_id.b, 16) == 0) {
            memcpy(old.p + (stale.header.p - old.p) + i, now.message_id.b, 16);
        }
    }
    deliver_spoilt(s, &c, &a, yzi_bytes_buf(&old));
}

/* -- silence, lateness, repetition -- */

static void trial_dropped(struct trials *s)
{
    struct town_call c;
    struct frame q = begin(s, &c);
    bool of_answer = dice_chance(&s->dice, 2);
    snprintf(s->last, sizeof s->last, "%s dropped", of_answer ? "the answer" : "the request");
    if (of_answer) {
        (void)answer_to(s, &q);
    }
    town_advance(s->t, TOWN_TIMEOUT_MS - 1);
    town_settle(s->t);
    assert_int_equal(c.ended, 0);
    town_advance(s->t, 1);
    expect_end(s, &c, YZ_ETIMEOUT);
}

static void await_late(struct trials *s, uint64_t late)
{
    town_begin(s->t);
    while (town_counters(s->t).late < late) {
        town_wait(s->t);
    }
}

static void trial_delayed(struct trials *s)
{
    struct town_call c;
    struct frame q = begin(s, &c), a = {0};
    bool of_request = dice_chance(&s->dice, 2);
    uint32_t delay = dice_below(&s->dice, 3 * TOWN_TIMEOUT_MS);
    snprintf(s->last, sizeof s->last, "%s delayed by %u ms", of_request ? "request" : "answer",
             delay);
    if (!of_request) {
        a = answer_to(s, &q);
    }
    town_advance(s->t, delay);
    town_settle(s->t); /* what was asked meanwhile, for receipts, is answered */
    if (of_request) {
        struct request_header h;
        unsigned before = wire_of(s)->answers;
        OK(yzi_request_header_parse(q.header, &h));
        wire_forward(wire_of(s), 0, &q);
        a = await_answer(s, before);
        bool over = yz_world_now(s->t->w) > h.expires_at + YZ_SKEW_MS;
        assert_int_equal(a.kind, over ? FRAME_REJECT : FRAME_RESPONSE);
    }
    if (delay < TOWN_TIMEOUT_MS) {
        end_well(s, &c, &a);
        return;
    }
    struct engine_counters before = town_counters(s->t);
    if (a.kind == FRAME_RESPONSE) {
        wire_to_client(wire_of(s), a.raw);
        await_late(s, before.late + 1);
    }
    expect_end(s, &c, YZ_ETIMEOUT);
}

/* Request and answer several times each: it runs once, and ends once. */
static void trial_repeated(struct trials *s)
{
    struct town_call c;
    YZ_AUTO(yzi_buf_fini) yz_buf first;
    yz_world_buf(&first);
    struct frame q = begin(s, &c), a = answer_to(s, &q);
    struct engine_counters before = town_counters(s->t);
    uint64_t ran = s->t->adapters[0]->answered;
    unsigned requests = 1 + dice_below(&s->dice, 4), answers = 1 + dice_below(&s->dice, 4);
    snprintf(s->last, sizeof s->last, "%u requests and %u answers more", requests, answers);
    OK(yzi_buf_put(&first, a.raw));
    for (unsigned i = 0; i < requests; i++) {
        a = answer_to(s, &q);
        assert_true(yzi_bytes_eq(a.raw, yzi_bytes_buf(&first)));
    }
    assert_int_equal(s->t->adapters[0]->answered, ran);
    for (unsigned i = 0; i < answers; i++) {
        wire_to_client(wire_of(s), a.raw);
    }
    end_well(s, &c, &a);
    await_late(s, before.late + answers);
}

/* -- words of its own -- */

struct lie {
    const char *what;
    bool by_other_broker, by_adapter, by_stranger, wrong_digest, wrong_id, future, tampered;
};
static const struct lie lies[] = {
    {"by a broker that the request does not name", .by_other_broker = true},
    {"by an adapter's key", .by_adapter = true},
    {"by a key nobody lists", .by_stranger = true},
    {"about another request, by its digest", .wrong_digest = true},
    {"about another request, by its id", .wrong_id = true},
    {"from the future", .future = true},
    {"that was tampered with", .tampered = true},
};

static void write_outcome(struct trials *s, const struct frame *q, const struct lie *lie,
                          enum outcome_status status, yz_buf *out)
{
    struct world *w = s->t->w;
    struct request_header request;
    struct key_pair fresh = {0};
    struct world_node *by = yz_world_node(w, lie->by_other_broker ? "CN/@b2" : "CN/@b1");
    struct key_pair *key = &by->signing;
    YZ_AUTO(yzi_buf_fini) yz_buf header, block;
    yz_world_buf(&header);
    yz_world_buf(&block);
    yz_world_new_key(KEY_SIGNING, &fresh);
    key = lie->by_adapter ? &yz_world_node(w, "CN/GOV/MCA/@a1")->signing : key;
    key = lie->by_stranger ? &fresh : key;
    OK(yzi_request_header_parse(q->header, &request));
    struct outcome_header h = {.message_id = request.message_id,
                               .node = by->node,
                               .status = status,
                               .reason = yzi_bytes_str("invented"),
                               .directory_version = w->version,
                               .issued_at = yz_world_now(w) + (lie->future ? 30001 : 0)};
    yzi_frame_digest(q->header, q->block, &h.request_digest);
    h.request_digest.b[0] ^= lie->wrong_digest;
    h.message_id.b[15] ^= lie->wrong_id;
    OK(yzi_outcome_header_write(&h, &header));
    OK(yzi_sign_message(key, FRAME_OUTCOME, yzi_bytes_buf(&header), &block));
    if (lie->tampered) {
        block.p[44 + dice_below(&s->dice, 64)] ^= (uint8_t)(1u << dice_below(&s->dice, 8));
    }
    OK(yzi_frame_write(FRAME_OUTCOME, yzi_bytes_buf(&header), yzi_bytes_buf(&block), (yz_bytes){0},
                       (yz_bytes){0}, out));
    yzi_key_pair_fini(&fresh);
}

static void trial_invented_outcome(struct trials *s)
{
    struct town_call c;
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    struct frame q = begin(s, &c);
    const struct lie *lie = &lies[dice_below(&s->dice, sizeof lies / sizeof *lies)];
    enum outcome_status status = 1 + dice_below(&s->dice, OUTCOME_STALE_DIRECTORY);
    snprintf(s->last, sizeof s->last, "%s %s", yzi_outcome_status_name(status), lie->what);
    write_outcome(s, &q, lie, status, &out);
    wire_to_client(wire_of(s), yzi_bytes_buf(&out));
    if (lie->wrong_id) {
        struct frame a = answer_to(s, &q);
        end_well(s, &c, &a);
    } else {
        expect_end(s, &c, YZ_ESIGNATURE);
    }
}

/* In its own name and about this request a broker may say anything, and the caller is told that it
 * is the broker who says it. */
static void trial_own_outcome(struct trials *s)
{
    struct town_call c;
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    struct frame q = begin(s, &c);
    enum outcome_status status = 1 + dice_below(&s->dice, OUTCOME_STALE_DIRECTORY);
    snprintf(s->last, sizeof s->last, "its own %s", yzi_outcome_status_name(status));
    write_outcome(s, &q, &(struct lie){0}, status, &out);
    wire_to_client(wire_of(s), yzi_bytes_buf(&out));
    town_run_until_ended(s->t, &c);
    assert_int_equal(c.ended, 1);
    OK(c.rc);
    assert_int_equal(yz_answer_origin(c.answer), YZ_ORIGIN_BROKER);
    assert_int_not_equal(yz_answer_status(c.answer), YZ_STATUS_OK);
    assert_non_null(strstr(yz_answer_reason(c.answer), "invented"));
    assert_string_equal(yz_answer_node(c.answer), "CN/@b1");
    town_call_fini(&c);
}

/* An answer with the broker's own signature, or a client's, as the adapter's. */
static void trial_invented_answer(struct trials *s)
{
    struct town_call c;
    YZ_AUTO(yzi_buf_fini) yz_buf block, out;
    yz_world_buf(&block);
    yz_world_buf(&out);
    static const char *const signers[] = {"CN/@b1", "CN/@b2", "CN/GOV/HB/@w1", "CN/GOV/HB/@w2",
                                          "CN/GOV/MCA/@a2"};
    struct frame q = begin(s, &c), a = answer_to(s, &q);
    const char *signer = signers[dice_below(&s->dice, sizeof signers / sizeof *signers)];
    snprintf(s->last, sizeof s->last, "an answer signed by %s", signer);
    OK(yzi_sign_message(&yz_world_node(s->t->w, signer)->signing, FRAME_RESPONSE, a.header,
                        &block));
    OK(yzi_frame_write(FRAME_RESPONSE, a.header, yzi_bytes_buf(&block), a.payload, (yz_bytes){0},
                       &out));
    deliver_spoilt(s, &c, &a, yzi_bytes_buf(&out));
}

/* Bytes without any sense, to both ends. */
static void trial_noise(struct trials *s)
{
    struct town_call c;
    uint8_t noise[300];
    struct frame q = begin(s, &c), a = answer_to(s, &q);
    size_t n = 1 + dice_below(&s->dice, sizeof noise - 1);
    for (size_t i = 0; i < n; i++) {
        noise[i] = (uint8_t)dice_next(&s->dice);
    }
    if (n >= 16 && dice_chance(&s->dice, 2)) { /* a frame's beginning */
        memcpy(noise, (const uint8_t[]){'Y', 'Z', 1}, 3);
    }
    snprintf(s->last, sizeof s->last, "%zu bytes of noise", n);
    wire_to_client(wire_of(s), yzi_bytes(noise, n));
    wire_to_adapter(wire_of(s), 0, yzi_bytes(noise, n));
    end_well(s, &c, &a);
}

static const struct trial_class classes[] = {
    {"tampered-request", 200, set_up_held, trial_tampered_request, NULL, NULL},
    {"tampered-hop", 200, set_up_held, trial_tampered_hop, NULL, NULL},
    {"tampered-answer", 200, set_up_held, trial_tampered_answer, NULL, NULL},
    {"mixed-answers", 200, set_up_held, trial_mixed_answers, NULL, NULL},
    {"substituted-answer", 200, set_up_held, trial_substituted_answer, NULL, NULL},
    {"dropped", 200, set_up_held, trial_dropped, NULL, NULL},
    {"delayed", 200, set_up_held, trial_delayed, NULL, NULL},
    {"repeated", 200, set_up_held, trial_repeated, NULL, NULL},
    {"invented-outcome", 200, set_up_held, trial_invented_outcome, NULL, NULL},
    {"own-outcome", 200, set_up_held, trial_own_outcome, NULL, NULL},
    {"invented-answer", 200, set_up_held, trial_invented_answer, NULL, NULL},
    {"noise", 200, set_up_held, trial_noise, NULL, NULL},
};

int main(int argc, char **argv)
{
    return classes_run(argc, argv, classes, sizeof classes / sizeof *classes);
}
