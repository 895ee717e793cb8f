/* SPDX-License-Identifier: Apache-2.0
 *
 * Making messages and opening answers: an adapter and a broker of the test world accept what is
 * made, and nothing opens but what was sealed for this very message.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "client/seal.h"
#include "tests/support/world.h"

struct fixture {
    struct world *w;
    struct world_node *client, *a1, *a2;
    struct sealer *sealer;
    struct service service;
    struct ask ask;
};

static void add_provider(struct fixture *f, struct world_node *adapter)
{
    struct epoch *e = yz_world_epoch(f->w, adapter);
    struct provider *p = &f->service.providers[f->service.providers_n++];
    *p = (struct provider){.node_n = adapter->node.v.n,
                           .announcement = e->digest,
                           .sequence = e->announcement.sequence,
                           .not_before = e->announcement.not_before,
                           .not_after = e->announcement.not_after};
    memcpy(p->node, adapter->node.v.p, adapter->node.v.n);
    memcpy(p->epoch_key, e->announcement.epoch_key, sizeof p->epoch_key);
}

static void make_ask(struct ask *out)
{
    yz_request *r;
    assert_int_equal(yz_request_new(WORLD_SERVICE, &r), 0);
    assert_int_equal(yz_request_add_key(r, (const char *const[]){"310101"}, 1), 0);
    assert_int_equal(yz_request_set_purpose(r, "test"), 0);
    assert_int_equal(yz_request_set_user(r, "official"), 0);
    assert_int_equal(yzi_ask_make(r, out, NULL), 0);
    yz_request_free(r);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->w = yz_world_standard();
    f->client = yz_world_node(f->w, "CN/GOV/HB/@w1");
    f->a1 = yz_world_node(f->w, "CN/GOV/MCA/@a1");
    f->a2 = yz_world_node(f->w, "CN/GOV/MCA/@a2");
    struct sealer_options o = {
        .node = f->client->node,
        .subsystem.v = yzi_bytes_str(WORLD_CONSUMER),
        .brokers = {yz_world_node(f->w, "CN/@b1")->node, yz_world_node(f->w, "CN/@b2")->node},
        .brokers_n = 2,
        .signing = &f->client->signing,
        .clock = &f->w->clock.clock,
        .message_max = YZ_MESSAGE_MAX,
    };
    assert_int_equal(yzi_sealer_new(&o, &f->sealer), 0);
    f->service.mode = SERVICE_READ;
    add_provider(f, f->a1);
    add_provider(f, f->a2);
    make_ask(&f->ask);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    yzi_ask_fini(&f->ask);
    yzi_sealer_free(f->sealer);
    yz_world_free(f->w);
    free(f);
    return 0;
}

static int try_make(struct fixture *f, struct envelope *out)
{
    yz_uuid conversation = {0};
    return yzi_envelope_make(f->sealer, &f->ask, &f->service, f->w->version, 10000, &conversation,
                             out);
}

static struct envelope make(struct fixture *f)
{
    struct envelope e;
    assert_int_equal(try_make(f, &e), 0);
    return e;
}

static struct frame frame_of(const struct envelope *e)
{
    struct frame f;
    assert_int_equal(yzi_frame_parse(yzi_bytes_buf(&e->frame), YZ_MESSAGE_MAX, &f), 0);
    return f;
}

static void test_make__the_broker_admits_and_both_adapters_open(void **state)
{
    struct fixture *f = *state;
    struct envelope e = make(f);
    struct frame frame = frame_of(&e);
    struct judge j = {f->w->directory, yz_world_now(f->w), YZ_SKEW_MS};
    struct verified_request r;
    assert_int_equal(yzi_request_admit(&j, &frame, NULL, &r).status, 0);
    assert_int_equal(yzi_request_verify(&j, NULL, &r).status, 0);
    assert_true(yzi_digest_eq(&r.digest, &e.digest));
    assert_true(yzi_bytes_eq_str(r.header.purpose, "test"));
    assert_int_equal(r.header.expires_at - r.header.issued_at, 10000);
    assert_int_equal(r.header.brokers_n, 2);
    assert_int_equal(r.header.slots_n, 2);
    struct world_node *const adapters[] = {f->a1, f->a2};
    for (size_t i = 0; i < 2; i++) {
        yz_buf text;
        yz_world_buf(&text);
        yz_world_open_request(f->w, adapters[i], &frame, &text);
        struct plain plain;
        yz_digest commitment;
        assert_int_equal(yzi_plain_parse(yzi_bytes_buf(&text), &plain), 0);
        yzi_plain_commitment(&plain, &commitment);
        assert_true(yzi_digest_eq(&commitment, &r.header.content_commitment));
        assert_true(yzi_bytes_eq(plain.head, yzi_bytes_buf(&f->ask.head)));
        yzi_buf_fini(&text);
    }
    yzi_envelope_fini(f->sealer, &e);
}

/* The next page is asked of the adapter that gave the cursor, and of no other in its place. */
static void test_make__a_page_goes_to_whoever_gave_the_cursor(void **state)
{
    struct fixture *f = *state;
    struct envelope e;
    f->ask.node = f->a2->node.v;
    e = make(f);
    assert_int_equal(e.header.slots_n, 1);
    assert_true(yzi_bytes_eq(e.header.slots[0].adapter.v, f->a2->node.v));
    yzi_envelope_fini(f->sealer, &e);
    f->service.providers_n = 1; /* it is away */
    assert_int_equal(try_make(f, &e), YZ_EUNAVAILABLE);
    f->ask.node = (yz_bytes){0};
    e = make(f);
    assert_true(yzi_bytes_eq(e.header.slots[0].adapter.v, f->a1->node.v));
    yzi_envelope_fini(f->sealer, &e);
}

static void test_make__two_messages_share_nothing_but_the_epoch(void **state)
{
    struct fixture *f = *state;
    struct envelope a = make(f), b = make(f);
    assert_false(yzi_uuid_eq(&a.header.message_id, &b.header.message_id));
    assert_false(yzi_digest_eq(&a.header.sealed_digest, &b.header.sealed_digest));
    assert_false(yzi_digest_eq(&a.header.content_commitment, &b.header.content_commitment));
    assert_memory_equal(a.header.epoch_key, b.header.epoch_key, 32);
    yzi_envelope_fini(f->sealer, &a);
    yzi_envelope_fini(f->sealer, &b);
}

static void test_make__a_service_that_writes_gets_one_slot(void **state)
{
    struct fixture *f = *state;
    f->service.mode = SERVICE_WRITE;
    struct envelope e = make(f);
    assert_int_equal(e.header.slots_n, 1);
    yzi_envelope_fini(f->sealer, &e);
}

static void test_make__adapters_whose_key_is_over_are_left_out(void **state)
{
    struct fixture *f = *state;
    f->service.providers[0].not_after = yz_world_now(f->w);
    struct envelope e = make(f);
    assert_int_equal(e.header.slots_n, 1);
    assert_true(yzi_bytes_eq(e.header.slots[0].adapter.v, f->a2->node.v));
    yzi_envelope_fini(f->sealer, &e);
    f->service.providers[1].not_before = yz_world_now(f->w) + YZ_SKEW_MS + 1;
    assert_int_equal(try_make(f, &e), YZ_EUNAVAILABLE);
}

static void test_make__own_keys_are_a_day_old_at_most(void **state)
{
    struct fixture *f = *state;
    struct envelope first = make(f);
    yzi_manual_clock_advance(&f->w->clock, OWN_EPOCH_MS - 1);
    f->service.providers_n = 0; /* theirs changed too */
    add_provider(f, f->a1);
    struct envelope same = make(f);
    assert_memory_equal(first.header.epoch_key, same.header.epoch_key, 32);
    yzi_manual_clock_advance(&f->w->clock, 1);
    struct envelope next = make(f);
    assert_memory_not_equal(first.header.epoch_key, next.header.epoch_key, 32);
    /* a clock set back does not prolong it */
    yzi_manual_clock_set_wall(&f->w->clock, WORLD_TIME);
    yzi_envelope_fini(f->sealer, &first);
    yzi_envelope_fini(f->sealer, &same);
    yzi_envelope_fini(f->sealer, &next);
}

/* -- answers -- */

struct opened {
    yz_buf text;
    struct plain plain;
    yz_error err;
};

static int open_answer(struct fixture *f, const struct envelope *e, const struct frame *answer,
                       struct opened *out)
{
    struct response_header h;
    assert_int_equal(yzi_response_header_parse(answer->header, &h), 0);
    yz_world_buf(&out->text);
    out->err = (yz_error){0};
    return yzi_envelope_open(f->sealer, e, &h, answer->payload, &out->text, &out->plain, &out->err);
}

static void test_open__gives_what_the_adapter_sealed(void **state)
{
    struct fixture *f = *state;
    struct envelope e = make(f);
    struct frame q = frame_of(&e);
    struct world_node *const adapters[] = {f->a1, f->a2};
    for (size_t i = 0; i < 2; i++) {
        struct world_message r;
        struct world_response how = {
            .adapter = adapters[i], .head = yzi_bytes_str("head"), .body = yzi_bytes_str("body")};
        yz_world_response(f->w, &how, &q, &r);
        struct opened o;
        assert_int_equal(open_answer(f, &e, &r.frame, &o), 0);
        assert_true(yzi_bytes_eq_str(o.plain.head, "head"));
        assert_true(yzi_bytes_eq_str(o.plain.body, "body"));
        yzi_buf_fini(&o.text);
        yz_world_message_fini(&r);
    }
    yzi_envelope_fini(f->sealer, &e);
}

static void spoil_commitment(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->content_commitment.b[0] ^= 1;
}

static void spoil_expiry(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->expires_at++; /* associated data of seal and wrap */
}

static void spoil_slot(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->slot = h->slot ? 0 : 1;
}

static void test_open__refuses_what_does_not_belong_together(void **state)
{
    struct fixture *f = *state;
    static const struct {
        void (*spoil)(struct response_header *h, void *ctx);
        const char *says;
    } spoils[] = {{spoil_commitment, "commits to"},
                  {spoil_expiry, "does not open"},
                  {spoil_slot, "does not open"}};
    struct envelope e = make(f);
    struct frame q = frame_of(&e);
    for (size_t i = 0; i < sizeof spoils / sizeof spoils[0]; i++) {
        struct world_message r;
        struct world_response how = {.head = yzi_bytes_str("head"), .spoil = spoils[i].spoil};
        yz_world_response(f->w, &how, &q, &r);
        struct opened o;
        assert_int_equal(open_answer(f, &e, &r.frame, &o), YZ_ESIGNATURE);
        assert_non_null(strstr(o.err.text, spoils[i].says));
        yzi_buf_fini(&o.text);
        yz_world_message_fini(&r);
    }
    yzi_envelope_fini(f->sealer, &e);
}

static void test_open__refuses_the_answer_to_another_message(void **state)
{
    struct fixture *f = *state;
    struct envelope a = make(f), b = make(f);
    struct frame q = frame_of(&a);
    struct world_message r;
    struct world_response how = {.head = yzi_bytes_str("head")};
    yz_world_response(f->w, &how, &q, &r);
    struct response_header h;
    assert_int_equal(yzi_response_header_parse(r.frame.header, &h), 0);
    h.message_id = b.header.message_id; /* as if it were b's */
    yz_buf text;
    struct plain plain;
    yz_error err;
    yz_world_buf(&text);
    assert_int_equal(yzi_envelope_open(f->sealer, &b, &h, r.frame.payload, &text, &plain, &err),
                     YZ_ESIGNATURE);
    yzi_buf_fini(&text);
    yz_world_message_fini(&r);
    yzi_envelope_fini(f->sealer, &a);
    yzi_envelope_fini(f->sealer, &b);
}

static void test_open__still_works_after_a_newer_own_epoch(void **state)
{
    struct fixture *f = *state;
    struct envelope old = make(f);
    yzi_manual_clock_advance(&f->w->clock, OWN_EPOCH_MS);
    f->service.providers_n = 0;
    add_provider(f, f->a1);
    struct envelope next = make(f);
    assert_memory_not_equal(old.header.epoch_key, next.header.epoch_key, 32);
    struct frame q = frame_of(&next);
    struct world_message r;
    struct world_response how = {.head = yzi_bytes_str("head")};
    yz_world_response(f->w, &how, &q, &r);
    yzi_envelope_fini(f->sealer, &old); /* wipes its pair keys, not what next needs */
    struct opened o;
    assert_int_equal(open_answer(f, &next, &r.frame, &o), 0);
    yzi_buf_fini(&o.text);
    yz_world_message_fini(&r);
    yzi_envelope_fini(f->sealer, &next);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_make__the_broker_admits_and_both_adapters_open),
        TEST(test_make__a_page_goes_to_whoever_gave_the_cursor),
        TEST(test_make__two_messages_share_nothing_but_the_epoch),
        TEST(test_make__a_service_that_writes_gets_one_slot),
        TEST(test_make__adapters_whose_key_is_over_are_left_out),
        TEST(test_make__own_keys_are_a_day_old_at_most),
        TEST(test_open__gives_what_the_adapter_sealed),
        TEST(test_open__refuses_what_does_not_belong_together),
        TEST(test_open__refuses_the_answer_to_another_message),
        TEST(test_open__still_works_after_a_newer_own_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
