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

/* -- the writer's thread: the clock is what it asks first in each commit -- */

static _Atomic size_t nth;
static struct manual_clock inner;

static uint64_t wall(const struct clock *c)
{
    (void)c;
    static bool watching; /* only the writer comes here once it runs */
    size_t n = atomic_exchange(&nth, 0);
    if (watching) {
        yz_alloc_fail_stop();
    }
    watching = n > 0;
    if (watching) {
        yz_alloc_fail_start(n);
    }
    return yzi_wall_ms(&inner.clock);
}

static uint64_t mono(const struct clock *c)
{
    (void)c;
    return yzi_mono_ms(&inner.clock);
}

static const struct clock failing_clock = {wall, mono};

static void append_with_failure(size_t n)
{
    struct evidence_item *items[3];
    unsigned durable = 0;
    atomic_store(&nth, n);
    for (unsigned i = 0; i < 3; i++) {
        items[i] = evidence_make(ENTRY_REQUEST, n * 8 + i, LEDGER_BODY, NULL);
        int rc = yzi_evidence_append(f.log, items[i]);
        assert_true(rc == YZ_OK || rc == YZ_EUNAVAILABLE);
        durable += rc == YZ_OK;
        yzi_evidence_item_unref(items[i]);
    }
    for (; durable > 0; durable--) {
        struct evidence_item *back = evidence_take_wait(f.log);
        assert_true(back->rc == YZ_OK || back->rc == YZ_ENOMEM || back->rc == YZ_EUNAVAILABLE);
        if (back->rc == YZ_OK) {
            ledger_hear_item(&f, back);
        }
        yzi_evidence_item_unref(back);
    }
    evidence_wait_up(f.log);
}

static void test_alloc__each_of_the_writer_fails(void **state)
{
    (void)state;
    yz_error err = {0};
    evidence_fixture_init_in_memory(&f);
    yzi_manual_clock_init(&inner, UINT64_C(1790000000000));
    f.options.clock = &failing_clock;
    assert_int_equal(evidence_fixture_open(&f, &err), 0);
    for (size_t n = 1; n <= 120; n++) {
        append_with_failure(n);
    }
    atomic_store(&nth, 0);
    struct evidence_item *i = evidence_make(ENTRY_REQUEST, 4096, LEDGER_BODY, NULL);
    assert_int_equal(yzi_evidence_append(f.log, i), YZ_OK);
    yzi_evidence_item_unref(evidence_take_wait(f.log));
    yzi_evidence_item_unref(i);
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
