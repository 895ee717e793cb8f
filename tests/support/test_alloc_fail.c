/* SPDX-License-Identifier: Apache-2.0
 *
 * The fault injection itself: if it noticed nothing, every test built on it would pass.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "tests/support/alloc_fail.h"

/* What a run does wrong when it runs out of memory at its second allocation. */
enum wrong { NOTHING, LEAKS, SWALLOWS, SAYS_OTHERWISE, FAILS_ANYWAY };

static void *stray; /* what a run leaked, freed by the test */

static int run(void *ctx)
{
    enum wrong wrong = *(enum wrong *)ctx;
    void *first, *second;
    if (wrong == FAILS_ANYWAY) {
        return YZ_EIO;
    }
    YZ_TRY(yzi_alloc(1, 10, &first));
    int rc = yzi_alloc(1, 20, &second);
    if (rc < 0 && wrong == LEAKS) {
        stray = first;
        return rc;
    }
    free(first);
    if (rc < 0) {
        return wrong == SWALLOWS ? 0 : wrong == SAYS_OTHERWISE ? YZ_EIO : rc;
    }
    void *larger = realloc(second, 3000);
    free(larger ? larger : second);
    return larger ? 0 : YZ_ENOMEM;
}

static void test_each__counts_the_failures_of_a_good_run(void **state)
{
    (void)state;
    enum wrong wrong = NOTHING;
    assert_int_equal(yz_alloc_fail_each(run, &wrong), 3); /* yzi_alloc twice, realloc */
}

static void test_start__fails_the_one_named_and_counts_what_lives(void **state)
{
    (void)state;
    yz_alloc_fail_start(3);
    void *p = malloc(1), *q = calloc(1, 1), *r = realloc(p, 100);
    struct alloc_fail_result got = yz_alloc_fail_stop();
    assert_true(p && q && !r);
    assert_int_equal(got.calls, 3);
    assert_int_equal(got.live, 2);
    assert_true(got.failed);
    free(r ? r : p);
    free(q);
    p = malloc(1); /* not watched any more */
    assert_non_null(p);
    free(p);
}

static void test_each__notices_every_wrong(void **state)
{
    (void)state;
    enum wrong wrong = LEAKS;
    assert_int_equal(yz_alloc_fail_each(run, &wrong), -1);
    free(stray);
    wrong = SWALLOWS;
    assert_int_equal(yz_alloc_fail_each(run, &wrong), -1);
    wrong = SAYS_OTHERWISE;
    assert_int_equal(yz_alloc_fail_each(run, &wrong), -1);
    wrong = FAILS_ANYWAY;
    assert_int_equal(yz_alloc_fail_each(run, &wrong), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each__counts_the_failures_of_a_good_run),
        cmocka_unit_test(test_start__fails_the_one_named_and_counts_what_lives),
        cmocka_unit_test(test_each__notices_every_wrong),
    };
    return cmocka_run_group_tests_name("alloc_fail", tests, NULL, NULL);
}
