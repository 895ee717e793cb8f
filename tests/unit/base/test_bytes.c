/* SPDX-License-Identifier: Apache-2.0
 *
 * base/bytes: views, sizes, buffers, readers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "tests/support/alloc_fail.h"

static yz_bytes str(const char *s)
{
    return yzi_bytes_str(s);
}

static void test_views__compare_bytewise_shorter_first(void **state)
{
    (void)state;
    yz_bytes none = {0};
    assert_true(yzi_bytes_eq(none, str("")));
    assert_true(yzi_bytes_eq(none, yzi_bytes_str(NULL)));
    assert_false(yzi_bytes_eq(none, str("a")));
    assert_true(yzi_bytes_eq(yzi_bytes("a\0b", 3), yzi_bytes("a\0b", 3)));
    assert_false(yzi_bytes_eq(yzi_bytes("a\0b", 3), yzi_bytes("a\0c", 3)));
    assert_true(yzi_bytes_eq_str(str("civil"), "civil"));
    assert_false(yzi_bytes_eq_str(yzi_bytes("civil\0", 6), "civil"));

    static const char *const rising[] = {"", "\x01", "a", "aa", "ab", "b", "\x7f", "\x80", "\xff"};
    for (int i = 0; i < 9; i++) {
        for (int j = 0; j < 9; j++) {
            assert_int_equal(yzi_bytes_cmp(str(rising[i]), str(rising[j])), (i > j) - (i < j));
        }
    }
    assert_int_equal(yzi_bytes_cmp(none, none), 0);
}

static void test_views__digests_and_zeroes(void **state)
{
    (void)state;
    yz_digest a = {{0}}, b = {{0}};
    assert_true(yzi_digest_eq(&a, &b));
    assert_true(yzi_bytes_is_zero(yzi_bytes_digest(&a)));
    for (size_t i = 0; i < sizeof a.b; i++) {
        b = a;
        b.b[i] = 0x80;
        assert_false(yzi_digest_eq(&a, &b));
        assert_false(yzi_bytes_is_zero(yzi_bytes_digest(&b)));
    }
    assert_true(yzi_bytes_is_zero((yz_bytes){0}));
}

static void test_dup_str__copies_what_has_no_nul(void **state)
{
    (void)state;
    char *s = NULL;
    assert_int_equal(yzi_bytes_dup_str(yzi_bytes("civil/marriage", 5), &s), 0);
    assert_string_equal(s, "civil");
    free(s);
    assert_int_equal(yzi_bytes_dup_str((yz_bytes){0}, &s), 0);
    assert_string_equal(s, "");
    free(s);
    s = NULL;
    assert_int_equal(yzi_bytes_dup_str(yzi_bytes("a\0b", 3), &s), YZ_EMALFORMED);
    assert_int_equal(yzi_bytes_dup_str(yzi_bytes("a", 2), &s), YZ_EMALFORMED);
    assert_null(s);
}

static void test_sizes__refuse_overflow(void **state)
{
    (void)state;
    size_t n = 7;
    assert_int_equal(yzi_size_add(SIZE_MAX, 1, &n), YZ_ELIMIT);
    assert_int_equal(yzi_size_mul(SIZE_MAX / 2 + 1, 2, &n), YZ_ELIMIT);
    assert_int_equal(n, 7);
    assert_int_equal(yzi_size_add(SIZE_MAX - 1, 1, &n), 0);
    assert_true(n == SIZE_MAX);
    assert_int_equal(yzi_size_mul(SIZE_MAX, 1, &n), 0);
    assert_int_equal(yzi_size_mul(SIZE_MAX, 0, &n), 0);
    assert_int_equal(n, 0);
}

static void test_alloc__gives_zeroes_or_nothing(void **state)
{
    (void)state;
    uint32_t *p = NULL;
    assert_int_equal(yzi_alloc(100, sizeof *p, &p), 0);
    assert_true(yzi_bytes_is_zero(yzi_bytes(p, 400)));
    free(p);
    void *a, *b;
    assert_int_equal(yzi_alloc(0, 8, &a), 0);
    assert_int_equal(yzi_alloc(0, 8, &b), 0);
    assert_true(a && b && a != b);
    free(a);
    free(b);
    p = NULL;
    assert_int_equal(yzi_alloc(SIZE_MAX / 2, 3, &p), YZ_ENOMEM);
    assert_int_equal(yzi_alloc(SIZE_MAX, 1, &p), YZ_ENOMEM);
    assert_null(p);
}

static void test_buf__appends_in_network_order(void **state)
{
    (void)state;
    yz_buf b;
    yzi_buf_init(&b, 100);
    assert_int_equal(yzi_buf_put_u8(&b, 0x01), 0);
    assert_int_equal(yzi_buf_put_u16(&b, 0x0203), 0);
    assert_int_equal(yzi_buf_put_u32(&b, 0x04050607), 0);
    assert_int_equal(yzi_buf_put_u64(&b, 0x08090a0b0c0d0e0f), 0);
    assert_int_equal(yzi_buf_put_str(&b, "YZ"), 0);
    assert_int_equal(yzi_buf_put_zero(&b, 2), 0);
    assert_int_equal(yzi_buf_printf(&b, "%d-%s", 42, "x"), 0);
    const uint8_t want[] = {1,  2,  3,  4,   5,   6, 7, 8,   9,   10,  11, 12,
                            13, 14, 15, 'Y', 'Z', 0, 0, '4', '2', '-', 'x'};
    assert_int_equal(b.n, sizeof want);
    assert_memory_equal(b.p, want, sizeof want);
    yzi_buf_clear(&b);
    assert_int_equal(b.n, 0);
    assert_int_equal(b.max, 100);
    yzi_buf_fini(&b);
    assert_true(!b.p && b.max == 0 && b.cap == 0);
}

static void test_buf__never_exceeds_its_limit(void **state)
{
    (void)state;
    yz_buf b = {0};
    assert_int_equal(yzi_buf_put_u8(&b, 1), YZ_ELIMIT); /* zeroed: it may hold nothing */
    assert_int_equal(yzi_buf_put(&b, (yz_bytes){0}), 0);
    assert_null(b.p);

    yzi_buf_init(&b, 10);
    uint8_t *p;
    assert_int_equal(yzi_buf_put_str(&b, "12345678"), 0);
    assert_int_equal(yzi_buf_put_u32(&b, 9), YZ_ELIMIT);
    assert_int_equal(yzi_buf_printf(&b, "%s", "abc"), YZ_ELIMIT);
    assert_int_equal(yzi_buf_put_zero(&b, SIZE_MAX), YZ_ELIMIT);
    assert_int_equal(yzi_buf_extend(&b, SIZE_MAX - 7, &p), YZ_ELIMIT);
    assert_int_equal(yzi_buf_reserve(&b, 3), YZ_ELIMIT);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), "12345678"));
    assert_int_equal(yzi_buf_printf(&b, "%s", "9a"), 0); /* to the last byte, no room for a NUL */
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), "123456789a"));
    assert_true(b.cap <= b.max);
    assert_int_equal(yzi_buf_put_u8(&b, 'b'), YZ_ELIMIT);
    yzi_buf_fini(&b);
}

static void test_buf__keeps_its_content_while_it_grows(void **state)
{
    (void)state;
    yz_buf b;
    yzi_buf_init(&b, 100000);
    for (uint32_t i = 0; i < 25000; i++) {
        assert_int_equal(yzi_buf_put_u32(&b, i), 0);
        assert_true(b.n <= b.cap && b.cap <= b.max);
    }
    assert_int_equal(yzi_buf_put_u8(&b, 0), YZ_ELIMIT);
    for (uint32_t i = 0; i < 25000; i++) {
        assert_int_equal(yzi_load_u32(b.p + 4 * (size_t)i), i);
    }
    yzi_buf_wipe(&b);
    assert_null(b.p);
}

static void test_buf__prints_what_does_not_fit_the_stack(void **state)
{
    (void)state;
    for (int width = 250; width < 262; width++) {
        yz_buf b;
        yzi_buf_init(&b, 300);
        assert_int_equal(yzi_buf_printf(&b, "%0*d", width, 7), 0);
        assert_int_equal(b.n, width);
        assert_int_equal(b.p[0], '0');
        assert_int_equal(b.p[width - 1], '7');
        assert_int_equal(yzi_buf_printf(&b, "%0*d", 301 - width, 7), YZ_ELIMIT);
        assert_int_equal(yzi_buf_printf(&b, "%0*d", 10000, 7), YZ_ELIMIT);
        assert_int_equal(b.n, width);
        yzi_buf_fini(&b);
    }
}

/* Every append once, with growth in each. */
static int fill(void *ctx)
{
    (void)ctx;
    YZ_AUTO(yzi_buf_wipe) yz_buf b;
    YZ_AUTO(yzi_free_ptr) char *s = NULL;
    YZ_AUTO(yzi_free_ptr) void *p = NULL;
    yzi_buf_init(&b, 1 << 20);
    YZ_TRY(yzi_buf_put_u64(&b, 1));
    size_t n = b.n;
    int rc = yzi_buf_printf(&b, "%0*d", 300, 1);
    assert_int_equal(b.n, rc < 0 ? n : n + 300); /* a failed append changes nothing */
    YZ_TRY(rc);
    n = b.n;
    rc = yzi_buf_put_zero(&b, 5000);
    assert_int_equal(b.n, rc < 0 ? n : n + 5000);
    assert_int_equal(yzi_load_u64(b.p), 1);
    YZ_TRY(rc);
    YZ_TRY(yzi_bytes_dup_str(yzi_bytes("abc", 3), &s));
    return yzi_alloc(3, 3, &p);
}

static void test_buf__survives_every_failed_allocation(void **state)
{
    (void)state;
    /* buffer: first, by 300, temporary of printf, by 5000; the string; the block */
    assert_int_equal(yz_alloc_fail_each(fill, NULL), 6);
}

static void test_reader__reads_in_order(void **state)
{
    (void)state;
    uint8_t in[19];
    for (uint8_t i = 0; i < sizeof in; i++) {
        in[i] = (uint8_t)(i + 1);
    }
    yz_reader r = yzi_reader(yzi_bytes(in, sizeof in));
    uint8_t a, d[2];
    uint16_t b;
    uint32_t c;
    uint64_t e;
    yz_bytes v;
    assert_int_equal(yzi_read_u8(&r, &a), 0);
    assert_int_equal(yzi_read_u16(&r, &b), 0);
    assert_int_equal(yzi_read_u32(&r, &c), 0);
    assert_int_equal(yzi_read_u64(&r, &e), 0);
    assert_int_equal(yzi_read_bytes(&r, 2, &v), 0);
    assert_int_equal(yzi_read_end(&r), YZ_EMALFORMED);
    assert_int_equal(yzi_read_into(&r, d, 2), 0);
    assert_int_equal(yzi_read_end(&r), 0);
    assert_int_equal(a, 1);
    assert_int_equal(b, 0x0203);
    assert_int_equal(c, 0x04050607);
    assert_true(e == 0x08090a0b0c0d0e0f);
    assert_ptr_equal(v.p, in + 15);
    assert_int_equal(v.n, 2);
    assert_int_equal(d[0] << 8 | d[1], 0x1213);
}

static void test_reader__refuses_truncation_and_consumes_nothing(void **state)
{
    (void)state;
    const uint8_t in[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (size_t n = 0; n < 8; n++) {
        yz_reader r = yzi_reader(yzi_bytes(in, n));
        uint8_t a = 99, d[8];
        uint16_t b = 99;
        uint32_t c = 99;
        uint64_t e = 99;
        yz_bytes v = {0};
        assert_int_equal(yzi_read_u64(&r, &e), YZ_EMALFORMED);
        assert_int_equal(yzi_read_u32(&r, &c), n < 4 ? YZ_EMALFORMED : 0);
        r = yzi_reader(yzi_bytes(in, n));
        assert_int_equal(yzi_read_u16(&r, &b), n < 2 ? YZ_EMALFORMED : 0);
        r = yzi_reader(yzi_bytes(in, n));
        assert_int_equal(yzi_read_u8(&r, &a), n < 1 ? YZ_EMALFORMED : 0);
        assert_true(e == 99 && (n >= 4 || c == 99) && (n >= 2 || b == 99) && (n >= 1 || a == 99));
        r = yzi_reader(yzi_bytes(in, n));
        assert_int_equal(yzi_read_bytes(&r, n + 1, &v), YZ_EMALFORMED);
        assert_int_equal(yzi_read_bytes(&r, SIZE_MAX, &v), YZ_EMALFORMED);
        assert_int_equal(yzi_read_into(&r, d, n + 1), YZ_EMALFORMED);
        assert_null(v.p);
        assert_int_equal(r.left, n);
        assert_ptr_equal(r.p, in);
        assert_int_equal(yzi_read_into(&r, d, n), 0);
        assert_int_equal(yzi_read_end(&r), 0);
    }
    yz_reader none = yzi_reader((yz_bytes){0});
    yz_bytes v;
    assert_int_equal(yzi_read_bytes(&none, 0, &v), 0);
    assert_int_equal(v.n, 0);
}

static void test_integers__round_trip_at_their_ends(void **state)
{
    (void)state;
    static const uint64_t values[] = {0,
                                      1,
                                      0x80,
                                      0xff,
                                      0x8000,
                                      0xfffe,
                                      0x80000000,
                                      0xfffffffe,
                                      0x8000000000000000,
                                      UINT64_MAX,
                                      0x0123456789abcdef};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint8_t p[8];
        yzi_store_u64(p, values[i]);
        assert_true(yzi_load_u64(p) == values[i]);
        yzi_store_u32(p, (uint32_t)values[i]);
        assert_int_equal(yzi_load_u32(p), (uint32_t)values[i]);
        yzi_store_u16(p, (uint16_t)values[i]);
        assert_int_equal(yzi_load_u16(p), (uint16_t)values[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views__compare_bytewise_shorter_first),
        cmocka_unit_test(test_views__digests_and_zeroes),
        cmocka_unit_test(test_dup_str__copies_what_has_no_nul),
        cmocka_unit_test(test_sizes__refuse_overflow),
        cmocka_unit_test(test_alloc__gives_zeroes_or_nothing),
        cmocka_unit_test(test_buf__appends_in_network_order),
        cmocka_unit_test(test_buf__never_exceeds_its_limit),
        cmocka_unit_test(test_buf__keeps_its_content_while_it_grows),
        cmocka_unit_test(test_buf__prints_what_does_not_fit_the_stack),
        cmocka_unit_test(test_buf__survives_every_failed_allocation),
        cmocka_unit_test(test_reader__reads_in_order),
        cmocka_unit_test(test_reader__refuses_truncation_and_consumes_nothing),
        cmocka_unit_test(test_integers__round_trip_at_their_ends),
    };
    return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
