/* SPDX-License-Identifier: Apache-2.0
 *
 * Sorting in memory and over runs: everything comes back once, in order.
 */
#include "tests/unit/dataset/fixture.h"

#include "adapters/dataset/sorter.h"

#define MEMORY (512u * 1024u)

static uint64_t mixed(uint64_t i)
{
    i = (i ^ (i >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    i = (i ^ (i >> 27)) * UINT64_C(0x94d049bb133111eb);
    return i ^ (i >> 31);
}

/* Pair i: a key of 8 bytes of which many are equal, a value that tells i, of many lengths. */
static int add(struct sorter *s, uint64_t i, uint64_t keys)
{
    uint8_t key[8], value[600] = {0};
    yzi_store_u64(key, mixed(i) % keys);
    yzi_store_u64(value, i);
    return yzi_sorter_add(s, yzi_bytes(key, 8), yzi_bytes(value, 8 + mixed(i) % 500));
}

static void expect_sorted(uint64_t n, uint64_t keys)
{
    struct fixture_dir dir;
    struct sorter *s = NULL;
    uint8_t last_key[8] = {0};
    uint64_t last = 0, sum = 0, count = 0;
    yz_bytes key, value;
    fixture_dir_make(&dir);
    assert_int_equal(yzi_sorter_new(dir.path, MEMORY, &s), 0);
    for (uint64_t i = 0; i < n; i++) {
        assert_int_equal(add(s, i, keys), 0);
    }
    int rc;
    while ((rc = yzi_sorter_next(s, &key, &value)) == 0) {
        uint64_t i = yzi_load_u64(value.p);
        assert_int_equal(value.n, 8 + mixed(i) % 500);
        assert_int_equal(yzi_load_u64(key.p), mixed(i) % keys);
        int c = count ? memcmp(last_key, key.p, 8) : -1;
        assert_true(c < 0 || (c == 0 && last < i));
        memcpy(last_key, key.p, 8);
        last = i;
        sum += i;
        count++;
    }
    assert_int_equal(rc, YZ_ENOTFOUND);
    assert_int_equal(yzi_sorter_next(s, &key, &value), YZ_ENOTFOUND);
    assert_int_equal(count, n);
    assert_int_equal(sum, n ? n * (n - 1) / 2 : 0);
    assert_int_equal(yzi_sorter_add(s, yzi_bytes("x", 1), (yz_bytes){0}), YZ_EINVAL);
    yzi_sorter_free(s);
    fixture_dir_remove(&dir); /* which it left empty */
}

static void test_sorter__gives_back_in_order(void **unused)
{
    (void)unused;
    expect_sorted(0, 1);
    expect_sorted(1, 1);
    expect_sorted(500, 7);     /* in memory */
    expect_sorted(20000, 300); /* in a dozen runs */
    expect_sorted(20000, UINT64_C(1) << 60);
}

static void test_sorter__refuses_what_it_cannot_hold(void **unused)
{
    static uint8_t big[MEMORY];
    struct fixture_dir dir;
    struct sorter *s = NULL;
    (void)unused;
    fixture_dir_make(&dir);
    assert_int_equal(yzi_sorter_new("/no/such/folder", MEMORY, &s), YZ_ENOTFOUND);
    assert_int_equal(yzi_sorter_new(dir.path, 10, &s), YZ_EINVAL);
    assert_int_equal(yzi_sorter_new(dir.path, MEMORY, &s), 0);
    assert_int_equal(yzi_sorter_add(s, yzi_bytes(big, 65536), (yz_bytes){0}), YZ_ELIMIT);
    assert_int_equal(yzi_sorter_add(s, yzi_bytes(big, 65535), yzi_bytes(big, 65535)), YZ_ELIMIT);
    assert_int_equal(yzi_sorter_add(s, yzi_bytes(big, 65535), yzi_bytes(big, 65000)), 0);
    yzi_sorter_free(s);
    fixture_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sorter__gives_back_in_order),
        cmocka_unit_test(test_sorter__refuses_what_it_cannot_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
