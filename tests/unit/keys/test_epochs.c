/* SPDX-License-Identifier: Apache-2.0
 *
 * keys/epochs.c by a clock that does what it is told, jumps included.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "keys/seal.h"
#include "keys/sign.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/fixed_key.h"

#define START UINT64_C(1732279230000)
#define HOUR (UINT64_C(3600) * 1000)
#define GRACE (YZ_EXPIRY_MAX_MS + YZ_SKEW_MS)

static struct key_pair signing, consumer;
static struct manual_clock clk;
static struct epochs *epochs;

static yz_node_id me(void)
{
    return (yz_node_id){yzi_bytes_str("CN/GOV/MCA/@a1")};
}

static int set_up(void **state)
{
    (void)state;
    signing = yz_numbered_key(KEY_SIGNING, 1);
    consumer = yz_numbered_key(KEY_SEALING, 2);
    yzi_manual_clock_init(&clk, START);
    return yzi_epochs_new(me(), &signing, &clk.clock, &epochs);
}

static int tear_down(void **state)
{
    (void)state;
    yzi_epochs_free(epochs);
    yzi_key_pair_fini(&signing);
    yzi_key_pair_fini(&consumer);
    return 0;
}

static struct epoch *current(bool want_new)
{
    struct epoch *e;
    bool is_new = !want_new;
    assert_int_equal(yzi_epochs_current(epochs, &e, &is_new), 0);
    assert_int_equal(is_new, want_new);
    return e;
}

static bool is_live(const yz_digest *digest)
{
    struct epoch *e = NULL;
    int rc = yzi_epochs_find(epochs, digest, &e);
    assert_true(rc == 0 || rc == YZ_ESTALEKEY);
    assert_true(rc != 0 || yzi_digest_eq(&e->digest, digest));
    return rc == 0;
}

/* -- announcing -- */

static void test_epoch__is_announced_in_a_record_signed_by_the_node(void **state)
{
    (void)state;
    struct epoch *e = current(true);
    struct record r;
    struct announcement a;
    yz_digest digest;
    struct arena arena;
    yzi_arena_init(&arena, 65536);
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&e->record), &r), 0);
    assert_int_equal(r.kind, RECORD_ANNOUNCEMENT);
    assert_int_equal(yzi_record_verify(&r, (const uint8_t(*)[32])signing.public_key, 1, 1), 0);
    assert_int_equal(yzi_announcement_parse(r.body, &arena, &a), 0);
    assert_true(yzi_bytes_eq(a.node.v, me().v));
    assert_memory_equal(a.epoch_key, e->key.public_key, 32);
    assert_int_equal(a.suite, SUITE_1);
    assert_int_equal(a.sequence, START);
    assert_int_equal(a.not_before, START - YZ_SKEW_MS);
    assert_int_equal(a.not_after, START - YZ_SKEW_MS + EPOCH_LIFE_MS);
    assert_memory_equal(&a.epoch_key, &e->announcement.epoch_key, 32);
    assert_int_equal(a.sequence, e->announcement.sequence);
    assert_int_equal(a.not_before, e->announcement.not_before);
    assert_int_equal(a.not_after, e->announcement.not_after);
    assert_true(yzi_bytes_eq(e->announcement.node.v, me().v));
    assert_int_equal(yzi_epoch_wipe_at(&a), a.not_after + GRACE);
    yzi_record_digest(yzi_bytes_buf(&e->record), &digest);
    assert_true(yzi_digest_eq(&digest, &e->digest));
    assert_int_equal(e->key.use, KEY_SEALING);
    yzi_arena_fini(&arena);
}

static void test_epochs__refuse_a_key_that_may_not_announce(void **state)
{
    (void)state;
    struct epochs *e;
    YZ_AUTO(yzi_key_pair_fini) struct key_pair owner = yz_numbered_key(KEY_OWNER, 1);
    assert_int_equal(yzi_epochs_new(me(), &owner, &clk.clock, &e), YZ_EINVAL);
    assert_int_equal(yzi_epochs_new((yz_node_id){{NULL, 0}}, &signing, &clk.clock, &e), YZ_EINVAL);
    yzi_epochs_free(NULL);
}

static void test_epochs__keep_their_own_copy_of_the_node(void **state)
{
    (void)state;
    char name[] = "CN/GOV/MCA/@a7";
    struct epochs *own;
    struct epoch *e;
    assert_int_equal(yzi_epochs_new((yz_node_id){yzi_bytes_str(name)}, &signing, &clk.clock, &own),
                     0);
    memset(name, 'x', sizeof name - 1);
    assert_int_equal(yzi_epochs_current(own, &e, NULL), 0);
    assert_true(yzi_bytes_eq_str(e->announcement.node.v, "CN/GOV/MCA/@a7"));
    yzi_epochs_free(own);
}

/* -- the life of an epoch -- */

static void test_epochs__make_a_new_one_at_half_life(void **state)
{
    (void)state;
    yz_digest first = current(true)->digest;
    uint64_t due = EPOCH_LIFE_MS / 2 - YZ_SKEW_MS; /* the first 30 s were over at birth */
    yzi_manual_clock_advance(&clk, due - 1);
    assert_true(yzi_digest_eq(&current(false)->digest, &first));
    yzi_manual_clock_advance(&clk, 1);
    struct epoch *e = current(true);
    assert_false(yzi_digest_eq(&e->digest, &first));
    assert_int_equal(e->announcement.sequence, START + due);
    yz_digest second = e->digest;
    assert_true(yzi_digest_eq(&current(false)->digest, &second));
    assert_true(is_live(&first));
    assert_true(is_live(&second));
}

static void test_epochs__keep_a_key_while_something_sealed_to_it_can_be_valid(void **state)
{
    (void)state;
    yz_digest first = current(true)->digest;
    yzi_manual_clock_set_wall(&clk, START - YZ_SKEW_MS + EPOCH_LIFE_MS + GRACE);
    assert_true(is_live(&first));
    yzi_manual_clock_set_wall(&clk, START - YZ_SKEW_MS + EPOCH_LIFE_MS + GRACE + 1);
    assert_false(is_live(&first));
    yzi_manual_clock_set_wall(&clk, START);
    assert_false(is_live(&first)); /* wiped, not hidden */
    yz_digest unknown = {{1}};
    assert_false(is_live(&unknown));
}

static void test_epochs__never_live_longer_because_the_clock_went_back(void **state)
{
    (void)state;
    yz_digest first = current(true)->digest;
    yzi_manual_clock_advance(&clk, EPOCH_LIFE_MS + GRACE);
    yzi_manual_clock_set_wall(&clk, START);
    assert_true(is_live(&first));
    yzi_manual_clock_advance(&clk, 1);
    assert_false(is_live(&first));
}

static void test_epochs__turn_over_although_the_wall_clock_stands_still(void **state)
{
    (void)state;
    yz_digest first = current(true)->digest;
    yzi_manual_clock_advance(&clk, EPOCH_LIFE_MS / 2 - 1);
    yzi_manual_clock_set_wall(&clk, START);
    assert_true(yzi_digest_eq(&current(false)->digest, &first));
    yzi_manual_clock_advance(&clk, 1);
    yzi_manual_clock_set_wall(&clk, START);
    assert_int_equal(current(true)->announcement.sequence, START + 1); /* rises all the same */
    assert_true(is_live(&first));
}

static void test_epochs__announce_again_when_the_clock_was_ahead(void **state)
{
    (void)state;
    yzi_manual_clock_set_wall(&clk, START + 48 * HOUR);
    uint64_t sequence = current(true)->announcement.sequence;
    yzi_manual_clock_set_wall(&clk, START + 48 * HOUR - YZ_SKEW_MS);
    current(false); /* within what clocks may differ */
    yzi_manual_clock_set_wall(&clk, START);
    struct epoch *e = current(true);
    assert_int_equal(e->announcement.sequence, sequence + 1);
    assert_int_equal(e->announcement.not_before, START - YZ_SKEW_MS);
}

static void test_epochs__rise_in_sequence_across_restarts(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (unsigned i = 0; i < 5; i++) {
        struct epochs *again;
        struct epoch *e;
        yzi_manual_clock_advance(&clk, 1);
        assert_int_equal(yzi_epochs_new(me(), &signing, &clk.clock, &again), 0);
        assert_int_equal(yzi_epochs_current(again, &e, NULL), 0);
        assert_true(e->announcement.sequence > last);
        last = e->announcement.sequence;
        yzi_epochs_free(again);
    }
}

static void test_epochs__are_few_in_ordinary_life(void **state)
{
    (void)state;
    enum { DAYS = 10 };
    yz_digest made[64];
    unsigned n = 0;
    for (unsigned hour = 0; hour < DAYS * 24; hour++) {
        struct epoch *e;
        bool is_new;
        assert_int_equal(yzi_epochs_current(epochs, &e, &is_new), 0);
        if (is_new) {
            assert_true(n < 64);
            made[n++] = e->digest;
        }
        unsigned live = 0;
        for (unsigned i = 0; i < n; i++) {
            live += is_live(&made[i]);
        }
        assert_in_range(live, 1, 3);
        yzi_manual_clock_advance(&clk, HOUR);
    }
    assert_in_range(n, 2 * DAYS, 2 * DAYS + 2);
}

static void test_epochs__are_bounded_when_the_clock_keeps_jumping(void **state)
{
    (void)state;
    yz_digest made[40];
    for (unsigned i = 0; i < 40; i++) {
        yzi_manual_clock_set_wall(&clk, START - i * HOUR);
        made[i] = current(true)->digest;
    }
    unsigned live = 0;
    for (unsigned i = 0; i < 40; i++) {
        live += is_live(&made[i]);
    }
    assert_int_equal(live, 8);
    assert_true(is_live(&made[39]));
    assert_true(is_live(&made[32]));
}

static void test_epochs__bear_a_clock_at_its_ends(void **state)
{
    (void)state;
    yzi_manual_clock_set_wall(&clk, 0);
    struct epoch *e = current(true);
    assert_int_equal(e->announcement.not_before, 0);
    assert_true(e->announcement.sequence >= 1);
    current(false);
}

/* -- sealing to them -- */

static struct seal_pair pair_with(const struct epoch *e)
{
    struct seal_pair p = {
        .suite = SUITE_1,
        .consumer = {yzi_bytes_str("CN/GOV/HOUSING/@c1")},
        .adapter = me(),
        .announcement = e->digest,
    };
    memcpy(p.consumer_epoch, consumer.public_key, 32);
    memcpy(p.adapter_epoch, e->announcement.epoch_key, 32);
    return p;
}

static void test_epochs__open_what_was_sealed_to_the_one_before(void **state)
{
    (void)state;
    struct seal_pair p = pair_with(current(true));
    uint8_t theirs[32], ours[32];
    assert_int_equal(yzi_seal_pair_key(&consumer, &p, SEAL_REQUEST, theirs), 0);
    yzi_manual_clock_advance(&clk, 13 * HOUR);
    struct epoch *newer = current(true), *found;
    assert_int_equal(yzi_seal_pair_key(&newer->key, &p, SEAL_REQUEST, ours), YZ_EINVAL);
    assert_int_equal(yzi_epochs_find(epochs, &p.announcement, &found), 0);
    assert_int_equal(yzi_seal_pair_key(&found->key, &p, SEAL_REQUEST, ours), 0);
    assert_memory_equal(ours, theirs, 32);
    yzi_manual_clock_advance(&clk, 12 * HOUR);
    assert_int_equal(yzi_epochs_find(epochs, &p.announcement, &found), YZ_ESTALEKEY);
}

/* The right key under the digest of another announcement opens nothing. */
static void test_epochs__bind_the_pair_to_the_announcement(void **state)
{
    (void)state;
    struct epoch *e = current(true);
    struct seal_pair p = pair_with(e);
    uint8_t theirs[32], ours[32], wrapped[YZ_WRAPPED_KEY_BYTES], opened[32];
    const struct seal_context c = {
        .kind = FRAME_REQUEST,
        .suite = SUITE_1,
        .sender = p.consumer,
        .service = {yzi_bytes_str("CN/GOV/MCA/civil/marriage/v1")},
    };
    p.announcement.b[5] ^= 1;
    assert_int_equal(yzi_seal_pair_key(&consumer, &p, SEAL_REQUEST, theirs), 0);
    assert_int_equal(yzi_wrap_key(theirs, &c, me(), theirs, wrapped), 0);
    p = pair_with(e);
    assert_int_equal(yzi_seal_pair_key(&e->key, &p, SEAL_REQUEST, ours), 0);
    assert_int_equal(yzi_unwrap_key(ours, &c, me(), yzi_bytes(wrapped, sizeof wrapped), opened),
                     YZ_ESIGNATURE);
}

static int live_a_day(void *ctx)
{
    (void)ctx;
    struct epochs *e = NULL;
    struct epoch *epoch;
    int rc = yzi_epochs_new(me(), &signing, &clk.clock, &e);
    for (unsigned i = 0; i < 3 && rc == 0; i++) {
        rc = yzi_epochs_current(e, &epoch, NULL);
        yzi_manual_clock_advance(&clk, 12 * HOUR);
    }
    yzi_epochs_free(e);
    return rc;
}

static void test_epochs__survive_want_of_memory(void **state)
{
    (void)state;
    assert_true(yz_alloc_fail_each(live_a_day, NULL) > 6);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_epoch__is_announced_in_a_record_signed_by_the_node),
        T(test_epochs__refuse_a_key_that_may_not_announce),
        T(test_epochs__keep_their_own_copy_of_the_node),
        T(test_epochs__make_a_new_one_at_half_life),
        T(test_epochs__keep_a_key_while_something_sealed_to_it_can_be_valid),
        T(test_epochs__never_live_longer_because_the_clock_went_back),
        T(test_epochs__turn_over_although_the_wall_clock_stands_still),
        T(test_epochs__announce_again_when_the_clock_was_ahead),
        T(test_epochs__rise_in_sequence_across_restarts),
        T(test_epochs__are_few_in_ordinary_life),
        T(test_epochs__are_bounded_when_the_clock_keeps_jumping),
        T(test_epochs__bear_a_clock_at_its_ends),
        T(test_epochs__open_what_was_sealed_to_the_one_before),
        T(test_epochs__bind_the_pair_to_the_announcement),
        T(test_epochs__survive_want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
