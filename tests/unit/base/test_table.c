/* SPDX-License-Identifier: Apache-2.0
 *
 * base/table: keys of any bytes, order, growth, want of memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/table.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/dies.h"

static int values[5000];

static yz_bytes key_of(uint32_t i, uint8_t out[8])
{
    yzi_store_u32(out, i * 2654435761u);
    yzi_store_u32(out + 4, i);
    return yzi_bytes(out, 8);
}

static void test_table__finds_what_was_put(void **state)
{
    (void)state;
    struct table t = {0};
    uint8_t key[8];
    assert_null(yzi_table_get(&t, key_of(0, key)));
    assert_int_equal(yzi_table_count(&t), 0);
    for (uint32_t i = 0; i < 5000; i++) {
        assert_int_equal(yzi_table_put(&t, key_of(i, key), &values[i]), 0);
    }
    assert_int_equal(yzi_table_count(&t), 5000);
    for (uint32_t i = 0; i < 5000; i++) {
        assert_ptr_equal(yzi_table_get(&t, key_of(i, key)), &values[i]);
    }
    assert_null(yzi_table_get(&t, key_of(5000, key)));
    for (uint32_t i = 0; i < 5000; i += 2) {
        assert_ptr_equal(yzi_table_remove(&t, key_of(i, key)), &values[i]);
        assert_null(yzi_table_remove(&t, key_of(i, key)));
    }
    for (uint32_t i = 0; i < 5000; i++) {
        assert_ptr_equal(yzi_table_get(&t, key_of(i, key)), i % 2 ? &values[i] : NULL);
    }
    assert_int_equal(yzi_table_count(&t), 2500);
    yzi_table_fini(&t, NULL);
    assert_int_equal(yzi_table_count(&t), 0);
    assert_null(yzi_table_get(&t, key_of(1, key)));
    assert_int_equal(yzi_table_put(&t, key_of(1, key), &values[1]), 0); /* as good as new */
    yzi_table_fini(&t, NULL);
}

static void test_table__takes_any_bytes_as_key_and_copies_them(void **state)
{
    (void)state;
    struct table t = {0};
    yz_bytes keys[] = {{0},
                       yzi_bytes("", 1),
                       yzi_bytes("\0\0", 2),
                       yzi_bytes_str("a"),
                       yzi_bytes("a\0", 2),
                       yzi_bytes("a\0b", 3),
                       yzi_bytes_str("A")};
    for (size_t i = 0; i < 7; i++) {
        char copy[3];
        if (keys[i].n) {
            memcpy(copy, keys[i].p, keys[i].n);
        }
        assert_int_equal(yzi_table_put(&t, yzi_bytes(copy, keys[i].n), &values[i]), 0);
        memset(copy, 'x', sizeof copy);
    }
    for (size_t i = 0; i < 7; i++) {
        assert_ptr_equal(yzi_table_get(&t, keys[i]), &values[i]);
    }
    assert_ptr_equal(yzi_table_get(&t, yzi_bytes_str("")), &values[0]);
    yzi_table_fini(&t, NULL);
}

static void test_table__put_refuses_and_set_replaces(void **state)
{
    (void)state;
    struct table t = {0};
    yz_bytes k = yzi_bytes_str("civil");
    void *old = &values[9];
    assert_int_equal(yzi_table_set(&t, k, &values[1], &old), 0);
    assert_null(old);
    assert_int_equal(yzi_table_put(&t, k, &values[2]), YZ_EEXIST);
    assert_ptr_equal(yzi_table_get(&t, k), &values[1]);
    assert_int_equal(yzi_table_set(&t, k, &values[3], &old), 0);
    assert_ptr_equal(old, &values[1]);
    assert_int_equal(yzi_table_set(&t, k, &values[4], NULL), 0);
    assert_ptr_equal(yzi_table_get(&t, k), &values[4]);
    assert_int_equal(yzi_table_count(&t), 1);
    yzi_table_fini(&t, NULL);
}

static void test_table__visits_in_order_of_insertion(void **state)
{
    (void)state;
    struct table t = {0};
    uint8_t key[8];
    assert_null(yzi_table_first(&t));
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(yzi_table_put(&t, key_of(i, key), &values[i]), 0);
    }
    assert_int_equal(yzi_table_set(&t, key_of(3, key), &values[3], NULL), 0); /* stays in place */
    uint32_t at = 0;
    for (struct table_item *i = yzi_table_first(&t), *next; i; i = next, at++) {
        assert_ptr_equal(yzi_table_value(i), &values[at]);
        assert_true(yzi_bytes_eq(yzi_table_key(i), key_of(at, key)));
        next = yzi_table_next(i);
        if (at % 3 == 0) {
            assert_ptr_equal(yzi_table_remove(&t, key_of(at, key)), &values[at]);
        }
    }
    assert_int_equal(at, 1000);
    assert_int_equal(yzi_table_count(&t), 666);
    at = 1;
    for (struct table_item *i = yzi_table_first(&t); i; i = yzi_table_next(i)) {
        assert_ptr_equal(yzi_table_value(i), &values[at]);
        at += at % 3 == 2 ? 2 : 1;
    }
    yzi_table_fini(&t, NULL);
}

static void count_drop(void *value)
{
    ++*(int *)value;
}

static void test_table__drops_each_value_left_once(void **state)
{
    (void)state;
    struct table t = {0};
    uint8_t key[8];
    memset(values, 0, sizeof values);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(yzi_table_put(&t, key_of(i, key), &values[i]), 0);
    }
    yzi_table_remove(&t, key_of(7, key));
    yzi_table_fini(&t, count_drop);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(values[i], i == 7 ? 0 : 1);
    }
    yzi_table_fini(&t, count_drop);
}

static void test_table__refuses_a_key_longer_than_its_lengths(void **state)
{
    (void)state;
    struct table t = {0};
    yz_bytes huge = yzi_bytes("a", (size_t)UINT32_MAX + 2); /* 1 in 32 bits; never read */
    assert_int_equal(yzi_table_put(&t, yzi_bytes_str("a"), &values[0]), 0);
    assert_null(yzi_table_get(&t, huge));
    assert_null(yzi_table_remove(&t, huge));
    assert_int_equal(yzi_table_put(&t, huge, &values[1]), YZ_ELIMIT);
    yzi_table_fini(&t, NULL);
}

static void put_null(void *arg)
{
    yz_ignore(yzi_table_put(arg, yzi_bytes_str("a"), NULL), "it does not return");
}

static void test_table__null_is_no_value(void **state)
{
    (void)state;
    struct table t = {0};
    assert_true(yz_dies(put_null, &t));
}

/* Enough to grow more than once; after a failure all that went in before is still found. */
static int fill(void *ctx)
{
    struct table *t = ctx;
    uint8_t key[8];
    uint32_t n = 0;
    int rc = 0;
    while (n < 600 && rc == 0) {
        rc = yzi_table_put(t, key_of(n, key), &values[n]);
        n += rc == 0;
    }
    assert_int_equal(yzi_table_count(t), n);
    uint32_t at = 0;
    for (struct table_item *i = yzi_table_first(t); i; i = yzi_table_next(i), at++) {
        assert_ptr_equal(yzi_table_value(i), &values[at]);
        assert_ptr_equal(yzi_table_get(t, key_of(at, key)), &values[at]);
    }
    assert_int_equal(at, n);
    if (rc < 0) {
        assert_null(yzi_table_get(t, key_of(n, key)));
        assert_int_equal(yzi_table_put(t, key_of(n, key), &values[n]), 0); /* memory is back */
    }
    yzi_table_fini(t, NULL);
    return rc;
}

static void test_table__survives_every_failed_allocation(void **state)
{
    (void)state;
    struct table t = {0};
    /* 600 items, the table, its buckets, and some doublings of those */
    assert_true(yz_alloc_fail_each(fill, &t) > 602);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table__finds_what_was_put),
        cmocka_unit_test(test_table__takes_any_bytes_as_key_and_copies_them),
        cmocka_unit_test(test_table__put_refuses_and_set_replaces),
        cmocka_unit_test(test_table__visits_in_order_of_insertion),
        cmocka_unit_test(test_table__drops_each_value_left_once),
        cmocka_unit_test(test_table__refuses_a_key_longer_than_its_lengths),
        cmocka_unit_test(test_table__null_is_no_value),
        cmocka_unit_test(test_table__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
