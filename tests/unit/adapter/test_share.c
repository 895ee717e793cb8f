/* SPDX-License-Identifier: Apache-2.0
 *
 * adapters/share: what one holder takes leaves the others theirs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/share.h"
#include "tests/support/alloc_fail.h"

static yz_bytes a = {(const uint8_t *)"a", 1}, b = {(const uint8_t *)"b", 1};

static void test_shares__bound_each_and_all(void **state)
{
    (void)state;
    struct shares s;
    bool own;
    yzi_shares_init(&s, 5, 3);
    assert_int_equal(yzi_shares_take(&s, a, 3, &own), 0);
    assert_int_equal(yzi_shares_take(&s, a, 1, &own), YZ_EBUSY);
    assert_true(own);
    assert_int_equal(yzi_shares_take(&s, b, 2, &own), 0);
    assert_int_equal(yzi_shares_take(&s, b, 1, &own), YZ_EBUSY);
    assert_false(own);
    assert_int_equal(yzi_shares_take(&s, b, SIZE_MAX, &own), YZ_EBUSY);
    assert_true(own);
    assert_int_equal(s.total, 5);
    yzi_shares_give(&s, a, 2);
    assert_int_equal(yzi_shares_of(&s, a), 1);
    assert_int_equal(yzi_shares_take(&s, b, 1, NULL), 0);
    yzi_shares_give(&s, b, 100); /* no more than it has */
    assert_int_equal(s.total, 1);
    assert_int_equal(yzi_shares_note(&s, b, 100), 0); /* beyond every limit */
    assert_int_equal(s.total, 101);
    assert_int_equal(yzi_shares_take(&s, a, 1, &own), YZ_EBUSY);
    assert_false(own);
    yzi_shares_give(&s, b, 100);
    yzi_shares_give(&s, a, 1);
    assert_int_equal(yzi_table_count(&s.holders), 0);
    yzi_shares_give(&s, a, 1);
    assert_int_equal(s.total, 0);
    yzi_shares_fini(&s);
}

static int take(void *ctx)
{
    struct shares *s = ctx;
    YZ_TRY(yzi_shares_take(s, a, 1, NULL));
    yzi_shares_give(s, a, 1);
    return 0;
}

static void test_shares__survive_running_out_of_memory(void **state)
{
    (void)state;
    struct shares s;
    yzi_shares_init(&s, 5, 3);
    assert_true(yz_alloc_fail_each(take, &s) >= 2);
    assert_int_equal(s.total, 0);
    yzi_shares_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares__bound_each_and_all),
        cmocka_unit_test(test_shares__survive_running_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
