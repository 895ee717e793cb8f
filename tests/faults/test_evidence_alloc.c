/* SPDX-License-Identifier: Apache-2.0
 *
 * The evidence log out of memory: every allocation of opening, reading and closing fails once, and
 * every one of the writer's on the way from an append to its receipt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "tests/faults/evidence_ledger.h"
#include "tests/support/alloc_fail.h"

static struct evidence_fixture f;

/* -- the caller's thread -- */

static int see(void *ctx, uint64_t index, yz_bytes entry, yz_bytes body)
{
    (void)ctx, (void)index, (void)entry, (void)body;
    return 0;
}

static int use(void)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_digest digest;
    yzi_buf_init(&out, 65536);
    YZ_TRY(yzi_evidence_consistency(f.log, f.log->head.log, 300, 701, &out));
    YZ_TRY(yzi_evidence_receipt_at(f.log, 0, 5, &digest, &out));
    return yzi_evidence_each(f.log, 0, 10, see, NULL);
}

static int life(void *unused)
{
    yz_error err = {0};
    (void)unused;
    int rc = evidence_fixture_open(&f, &err);
    rc = rc < 0 ? rc : use();
    evidence_fixture_close(&f);
    return rc;
}

static void test_alloc__each_of_a_caller_fails(void **state)
{
    (void)state;
    yz_error err = {0};
    evidence_fixture_init_in_memory(&f);
    assert_int_equal(evidence_fixture_open(&f, &err), 0);
    evidence_log_many(&f, 700);
    evidence_fixture_close(&f);
    assert_true(yz_alloc_fail_each(life, NULL) > 20);
    ledger_check_and_free(&f);
    evidence_fixture_fini(&f);
}

/* -- the writer's thread, which the clock gets to know: it looks there in each commit -- */

#define FIRST_AT_LEAST 8u /* of a commit and its receipts; all of them fail */
#define MISSES_IN_A_ROW 8u
#define NTH_MAX 4096u

static _Atomic int writer;
static struct manual_clock inner;

static uint64_t wall(const struct clock *c)
{
    (void)c;
    atomic_store(&writer, (int)gettid());
    return yzi_wall_ms(&inner.clock);
}

static uint64_t mono(const struct clock *c)
{
    (void)c;
    return yzi_mono_ms(&inner.clock);
}

static const struct clock watching_clock = {wall, mono};

/* How many of three appended at once came back without a receipt. */
static unsigned append_three(size_t number)
{
    struct evidence_item *items[3];
    unsigned taken = 0, failed = 0;
    for (unsigned i = 0; i < 3; i++) {
        items[i] = evidence_make(ENTRY_REQUEST, number * 8 + i, LEDGER_BODY, NULL);
        int rc = yzi_evidence_append(f.log, items[i]);
        assert_true(rc == YZ_OK || rc == YZ_EUNAVAILABLE);
        taken += rc == YZ_OK;
        failed += rc != YZ_OK;
        yzi_evidence_item_unref(items[i]);
    }
    for (; taken > 0; taken--) {
        struct evidence_item *back = evidence_take_wait(f.log);
        assert_true(back->rc == YZ_OK || back->rc == YZ_ENOMEM || back->rc == YZ_EUNAVAILABLE);
        failed += back->rc != YZ_OK;
        if (back->rc == YZ_OK) {
            ledger_hear_item(&f, back);
        }
        yzi_evidence_item_unref(back);
    }
    evidence_wait_up(f.log);
    return failed;
}

/* The writer's n-th allocation from now on fails: was there one? What it cost is added. */
static bool append_with_failure(size_t n, unsigned *cost)
{
    int tid = atomic_load(&writer);
    (void)yz_alloc_fail_in(&tid, 1, n);
    unsigned failed = append_three(n);
    bool hit = yz_alloc_fail_in(NULL, 0, 0);
    assert_true(hit || failed == 0); /* it fails for no other reason */
    *cost += failed;
    return hit;
}

static void test_alloc__each_of_the_writer_fails(void **state)
{
    (void)state;
    yz_error err = {0};
    unsigned hits = 0, cost = 0;
    evidence_fixture_init_in_memory(&f);
    yzi_manual_clock_init(&inner, UINT64_C(1790000000000));
    f.options.clock = &watching_clock;
    assert_int_equal(evidence_fixture_open(&f, &err), 0);
    assert_int_equal(append_three(0), 0);
    assert_int_not_equal(atomic_load(&writer), gettid());
    size_t n = 1;
    for (unsigned missed = 0; missed < MISSES_IN_A_ROW; n++) { /* it may be on with other things */
        bool hit = append_with_failure(n, &cost);
        assert_true(hit || n > FIRST_AT_LEAST);
        hits += hit;
        missed = hit ? 0 : missed + 1;
        assert_true(n < NTH_MAX);
    }
    print_message("%u of %zu allocations failed, and with them %u entries\n", hits, n, cost);
    assert_true(cost >= FIRST_AT_LEAST);
    assert_int_equal(append_three(n), 0);
    evidence_fixture_close(&f);
    ledger_check_and_free(&f);
    evidence_fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc__each_of_a_caller_fails),
        cmocka_unit_test(test_alloc__each_of_the_writer_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
