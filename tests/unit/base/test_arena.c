/* SPDX-License-Identifier: Apache-2.0
 *
 * base/arena: limits, alignment, zeroes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "tests/support/alloc_fail.h"

static void test_arena__hands_out_aligned_zeroes(void **state)
{
    (void)state;
    struct arena a;
    yzi_arena_init(&a, 1 << 20);
    uint8_t *last = NULL;
    for (size_t size = 1; size < 300; size++) {
        uint8_t *p = yzi_arena_alloc(&a, 1, size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        assert_true(yzi_bytes_is_zero(yzi_bytes(p, size)));
        memset(p, 0xaa, size);
        assert_true(p != last);
        last = p;
    }
    assert_false(a.failed);
    yzi_arena_fini(&a);
    assert_null(a.blocks);
}

static void test_arena__earlier_objects_keep_their_content(void **state)
{
    (void)state;
    struct arena a;
    yzi_arena_init(&a, 4 << 20);
    static const size_t sizes[] = {8, 24, 100, 1500, 5000, 70000, 16};
    uint32_t *objects[200];
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(yzi_arena_new(&a, sizes[i % 7] / 4, 4, &objects[i]), 0);
        for (size_t k = 0; k < sizes[i % 7] / 4; k++) {
            assert_int_equal(objects[i][k], 0);
            objects[i][k] = i;
        }
    }
    for (uint32_t i = 0; i < 200; i++) {
        for (size_t k = 0; k < sizes[i % 7] / 4; k++) {
            assert_int_equal(objects[i][k], i);
        }
    }
    yzi_arena_fini(&a);
}

static void test_arena__refuses_beyond_its_limit(void **state)
{
    (void)state;
    struct arena a;
    yzi_arena_init(&a, 100);
    void *p = NULL;
    assert_int_equal(yzi_arena_new(&a, 1, 101, &p), YZ_ELIMIT);
    assert_null(p);
    assert_true(a.failed);
    yzi_arena_clear(&a);
    assert_false(a.failed);
    assert_non_null(yzi_arena_alloc(&a, 100, 1)); /* the whole of it, though padding would exceed */
    assert_int_equal(a.used, 100);
    assert_null(yzi_arena_alloc(&a, 1, 1));
    assert_true(a.failed);
    yzi_arena_fini(&a);

    yzi_arena_init(&a, SIZE_MAX);
    assert_int_equal(yzi_arena_new(&a, SIZE_MAX / 2, 3, &p), YZ_ELIMIT);
    assert_int_equal(yzi_arena_new(&a, SIZE_MAX, 1, &p), YZ_ELIMIT);
    assert_int_equal(yzi_arena_new(&a, SIZE_MAX / 2 + 1, 1, &p), YZ_ENOMEM);
    assert_int_equal(a.used, 0);
    yzi_arena_fini(&a);
}

static void test_arena__counts_padding_against_the_limit(void **state)
{
    (void)state;
    struct arena a;
    yzi_arena_init(&a, 1600);
    size_t n = 0;
    while (yzi_arena_alloc(&a, 1, 1)) {
        n++;
    }
    assert_int_equal(n, 1600 / _Alignof(max_align_t));
    yzi_arena_fini(&a);
}

static void test_arena__nothing_is_not_null_and_costs_nothing(void **state)
{
    (void)state;
    struct arena a = {0}; /* may hand out nothing, which it does */
    assert_non_null(yzi_arena_alloc(&a, 0, 8));
    assert_non_null(yzi_arena_alloc(&a, 8, 0));
    assert_false(a.failed);
    yz_bytes v;
    assert_int_equal(yzi_arena_dup(&a, (yz_bytes){0}, &v), 0);
    assert_true(v.n == 0 && v.p);
    assert_null(yzi_arena_alloc(&a, 1, 1));
    assert_true(a.failed);
    yzi_arena_clear(&a);
    yzi_arena_fini(&a);
    yzi_arena_fini(&a);
}

static void test_arena__is_zero_again_after_clear(void **state)
{
    (void)state;
    struct arena a;
    yzi_arena_init(&a, 1 << 20);
    for (int round = 0; round < 4; round++) {
        /* The last round leaves a large block at the head, which clear does not keep. */
        size_t sizes[] = {200, 3000, 1000, round == 2 ? 200000 : 30000};
        for (size_t i = 0; i < 4; i++) {
            uint8_t *p = yzi_arena_alloc(&a, sizes[i], 1);
            assert_non_null(p);
            assert_true(yzi_bytes_is_zero(yzi_bytes(p, sizes[i])));
            memset(p, 0xaa, sizes[i]);
        }
        yzi_arena_clear(&a);
        assert_int_equal(a.used, 0);
        assert_int_equal(a.max, 1 << 20);
    }
    yzi_arena_fini(&a);

    yzi_arena_init(&a, 1 << 20);
    assert_non_null(yzi_arena_alloc(&a, 1, 500000));
    yzi_arena_clear(&a);
    assert_null(a.blocks); /* a large message does not pin its memory */
    yzi_arena_fini(&a);
}

static void test_arena__dup_copies(void **state)
{
    (void)state;
    struct arena a;
    yzi_arena_init(&a, 100);
    char text[] = "marriage";
    yz_bytes v = {0};
    assert_int_equal(yzi_arena_dup(&a, yzi_bytes(text, 8), &v), 0);
    text[0] = 'c';
    assert_true(yzi_bytes_eq_str(v, "marriage"));
    yz_bytes kept = v;
    assert_int_equal(yzi_arena_dup(&a, yzi_bytes(text, 200), &v), YZ_ELIMIT); /* reads nothing */
    assert_true(v.p == kept.p && v.n == kept.n);
    yzi_arena_fini(&a);
}

static int use(void *ctx)
{
    (void)ctx;
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 100; k++) {
            uint8_t *p;
            int rc = yzi_arena_new(&a, 1, 100, &p);
            assert_int_equal(a.failed, rc < 0);
            YZ_TRY(rc);
        }
        uint8_t *large;
        YZ_TRY(yzi_arena_new(&a, 1, 100000, &large));
        yz_bytes v;
        YZ_TRY(yzi_arena_dup(&a, yzi_bytes_str("x"), &v));
        yzi_arena_clear(&a);
    }
    return 0;
}

static void test_arena__survives_every_failed_allocation(void **state)
{
    (void)state;
    assert_true(yz_alloc_fail_each(use, NULL) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena__hands_out_aligned_zeroes),
        cmocka_unit_test(test_arena__earlier_objects_keep_their_content),
        cmocka_unit_test(test_arena__refuses_beyond_its_limit),
        cmocka_unit_test(test_arena__counts_padding_against_the_limit),
        cmocka_unit_test(test_arena__nothing_is_not_null_and_costs_nothing),
        cmocka_unit_test(test_arena__is_zero_again_after_clear),
        cmocka_unit_test(test_arena__dup_copies),
        cmocka_unit_test(test_arena__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
