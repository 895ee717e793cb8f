/* SPDX-License-Identifier: Apache-2.0
 *
 * base/deadlines: the heap against a naive model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/deadlines.h"

#include <string.h>

#include "tests/support/alloc_fail.h"

#define ITEMS 300u
#define ROUNDS 60000u

static void test_deadlines__empty_has_nothing_due(void **state)
{
    (void)state;
    struct deadlines d = {0};
    struct deadline h = {0};
    assert_true(yzi_deadlines_next(&d) == UINT64_MAX);
    assert_null(yzi_deadlines_take(&d, UINT64_MAX));
    yzi_deadlines_remove(&d, &h); /* not in it */
    yzi_deadlines_fini(&d);
}

static void test_deadlines__give_items_in_order_and_not_before_their_time(void **state)
{
    (void)state;
    static const uint64_t at[] = {50, 10, 40, 10, 30, 20, UINT64_MAX, 0};
    struct deadlines d = {0};
    struct deadline h[8] = {0};
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(yzi_deadlines_set(&d, &h[i], at[i], &h[i]), 0);
    }
    assert_int_equal(yzi_deadlines_next(&d), 0);
    assert_ptr_equal(yzi_deadlines_take(&d, 0), &h[7]);
    assert_null(yzi_deadlines_take(&d, 9));
    uint64_t last = 0;
    for (int i = 0; i < 6; i++) {
        struct deadline *next = yzi_deadlines_take(&d, 50);
        assert_non_null(next);
        assert_true(next->at >= last);
        assert_int_equal(next->place, 0);
        last = next->at;
    }
    assert_null(yzi_deadlines_take(&d, UINT64_MAX - 1));
    assert_ptr_equal(yzi_deadlines_take(&d, UINT64_MAX), &h[6]);
    yzi_deadlines_fini(&d);
}

static uint32_t random_u32(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static uint64_t least(const uint64_t *model)
{
    uint64_t min = UINT64_MAX;
    for (unsigned i = 0; i < ITEMS; i++) {
        min = model[i] < min ? model[i] : min;
    }
    return min;
}

static void test_deadlines__agree_with_a_model(void **state)
{
    (void)state;
    struct deadlines d = {0};
    static struct deadline h[ITEMS];
    uint64_t model[ITEMS]; /* UINT64_MAX: not in it */
    uint64_t seed = 7;
    size_t n = 0;
    memset(model, 0xff, sizeof model);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned i = random_u32(&seed) % ITEMS;
        unsigned what = random_u32(&seed) % 8;
        if (what < 4) { /* insert, or move earlier or later */
            uint64_t at = random_u32(&seed) % 1000;
            assert_int_equal(yzi_deadlines_set(&d, &h[i], at, &h[i]), 0);
            n += model[i] == UINT64_MAX;
            model[i] = at;
        } else if (what < 6) {
            yzi_deadlines_remove(&d, &h[i]);
            n -= model[i] != UINT64_MAX;
            model[i] = UINT64_MAX;
        } else {
            uint64_t now = random_u32(&seed) % 1000;
            struct deadline *taken = yzi_deadlines_take(&d, now);
            uint64_t min = least(model);
            assert_int_equal(taken != NULL, min != UINT64_MAX && min <= now);
            if (taken) {
                assert_true(model[taken - h] == min);
                model[taken - h] = UINT64_MAX;
                n--;
            }
        }
        assert_int_equal(d.n, n);
        assert_true(yzi_deadlines_next(&d) == least(model));
        assert_int_equal(h[i].place != 0, model[i] != UINT64_MAX);
    }
    yzi_deadlines_fini(&d);
}

static void test_deadlines__without_memory_are_as_before(void **state)
{
    (void)state;
    struct deadlines d = {0};
    static struct deadline h[65];
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(yzi_deadlines_set(&d, &h[i], i, &h[i]), 0);
    }
    yz_alloc_fail_start(1);
    int rc = yzi_deadlines_set(&d, &h[64], 5, &h[64]);
    int moved = yzi_deadlines_set(&d, &h[63], 1, &h[63]); /* moving takes none */
    yz_alloc_fail_stop();
    assert_int_equal(rc, YZ_ENOMEM);
    assert_int_equal(moved, 0);
    assert_int_equal(h[64].place, 0);
    assert_int_equal(d.n, 64);
    assert_ptr_equal(yzi_deadlines_take(&d, 0), &h[0]);
    yzi_deadlines_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadlines__empty_has_nothing_due),
        cmocka_unit_test(test_deadlines__give_items_in_order_and_not_before_their_time),
        cmocka_unit_test(test_deadlines__agree_with_a_model),
        cmocka_unit_test(test_deadlines__without_memory_are_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
