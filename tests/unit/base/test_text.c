/* SPDX-License-Identifier: Apache-2.0
 *
 * base/text: UTF-8, hex, base64, percent, numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "tests/support/alloc_fail.h"

static yz_bytes str(const char *s)
{
    return yzi_bytes_str(s);
}

/* -- UTF-8 -- */

/* Encode any number as UTF-8 would, were there no surrogates and no end. */
static size_t encode(uint32_t c, uint8_t *p)
{
    if (c < 0x80) {
        p[0] = (uint8_t)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; --i > 0; c >>= 6) {
        p[i] = (uint8_t)(0x80 | (c & 0x3f));
    }
    p[0] = (uint8_t)(0xf00 >> n | c);
    return n;
}

static void test_utf8__accepts_exactly_the_scalar_values(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x200000; c++) {
        uint8_t p[4];
        size_t n = encode(c, p);
        bool scalar = c < 0xd800 || (c >= 0xe000 && c < 0x110000);
        if (yzi_utf8_char(yzi_bytes(p, n)) != (scalar ? n : 0)) {
            fail_msg("U+%04X", c);
        }
        for (size_t cut = 0; cut < n; cut++) {
            if (yzi_utf8_char(yzi_bytes(p, cut)) != 0) {
                fail_msg("U+%04X cut to %zu bytes", c, cut);
            }
        }
    }
}

/* Every start of three bytes: what is accepted must be what `encode` makes. */
static void test_utf8__accepts_no_second_form(void **state)
{
    (void)state;
    for (uint32_t v = 0; v < 1u << 24; v++) {
        uint8_t p[4] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v, 0x80}, again[4];
        size_t n = yzi_utf8_char(yzi_bytes(p, 4));
        if (n < 2) {
            if ((n == 1) != (p[0] < 0x80)) {
                fail_msg("%06X", v);
            }
            continue;
        }
        uint32_t c = p[0] & (0x7fu >> n);
        for (size_t i = 1; i < n; i++) {
            c = c << 6 | (p[i] & 0x3fu);
        }
        if (encode(c, again) != n || memcmp(p, again, n) != 0) {
            fail_msg("%06X", v);
        }
    }
}

static void test_utf8__judges_whole_texts(void **state)
{
    (void)state;
    assert_true(yzi_utf8_is_valid((yz_bytes){0}));
    assert_true(yzi_utf8_is_valid(yzi_bytes("a\0b", 3)));
    assert_true(yzi_utf8_is_valid(str("yi\u00ec \u9a7f\u7ad9 \U0001f40e")));
    assert_false(yzi_utf8_is_valid(str("abc\xe9\xa9")));
    assert_false(yzi_utf8_is_valid(str("\xc0\x80")));
    assert_false(yzi_utf8_is_valid(str("\x80")));
    assert_false(yzi_utf8_is_valid(str("a\xed\xa0\x80")));
    assert_false(yzi_utf8_is_valid(str("\xf4\x90\x80\x80")));
}

static void test_utf8__cuts_between_characters(void **state)
{
    (void)state;
    yz_bytes b = str("a\u00e9\u9a7f\U0001f40ez"); /* ends of characters: 1, 3, 6, 10, 11 */
    static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11, 11};
    for (size_t n = 0; n < 14; n++) {
        assert_int_equal(yzi_utf8_cut(b, n), want[n]);
    }
    assert_int_equal(yzi_utf8_cut((yz_bytes){0}, 5), 0);
    /* Not UTF-8: some cut, within bounds. */
    assert_true(yzi_utf8_cut(str("\x80\x80\x80\x80\x80\x80"), 4) <= 4);
}

/* -- hex -- */

static void test_hex__round_trips_every_byte(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        uint8_t in[2] = {(uint8_t)c, (uint8_t)~c}, out[2];
        char text[5], want[5];
        snprintf(want, sizeof want, "%02x%02x", in[0], in[1]);
        assert_int_equal(yzi_hex_encode(yzi_bytes(in, 2), text, sizeof text), 0);
        assert_string_equal(text, want);
        assert_int_equal(yzi_hex_decode(str(text), out, 2), 0);
        assert_memory_equal(in, out, 2);
        snprintf(want, sizeof want, "%02X%02X", in[0], in[1]);
        assert_int_equal(yzi_hex_decode(str(want), out, 2), 0);
        assert_memory_equal(in, out, 2);
    }
}

static void test_hex__refuses_what_is_not_hex_or_does_not_fit(void **state)
{
    (void)state;
    char text[5] = "keep";
    uint8_t out[2] = {7, 7};
    assert_int_equal(yzi_hex_encode(str("ab"), text, 4), YZ_ELIMIT);
    assert_int_equal(yzi_hex_encode(str(""), text, 0), YZ_ELIMIT);
    assert_string_equal(text, "keep");
    assert_int_equal(yzi_hex_encode((yz_bytes){0}, text, 1), 0);
    assert_string_equal(text, "");
    static const char *const bad[] = {"",     "00",   "000",       "00000", "000000",
                                      "00 0", "0x00", "000g",      "000@",  "000`",
                                      "000/", "000:", "00\x10\x10"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(yzi_hex_decode(str(bad[i]), out, 2), YZ_EINVAL);
    }
    for (int c = 0; c < 256; c++) { /* no other byte is a digit */
        uint8_t two[4] = {'0', '0', '0', (uint8_t)c};
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        uint8_t scratch[2];
        assert_int_equal(yzi_hex_decode(yzi_bytes(two, 4), scratch, 2), digit ? 0 : YZ_EINVAL);
    }
    assert_int_equal(out[0] + out[1], 14);
}

/* -- base64 -- */

static void check_base64(const char *plain, const char *text)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, 100);
    assert_int_equal(yzi_buf_put_str(&b, ">"), 0);
    assert_int_equal(yzi_base64_encode(str(plain), &b), 0);
    assert_true(yzi_bytes_eq_str(yzi_bytes(b.p + 1, b.n - 1), text));
    assert_int_equal(b.p[0], '>');
    yzi_buf_clear(&b);
    assert_int_equal(yzi_base64_decode(str(text), &b), 0);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), plain));
}

static void test_base64__gives_the_vectors_of_rfc_4648(void **state)
{
    (void)state;
    check_base64("", "");
    check_base64("f", "Zg==");
    check_base64("fo", "Zm8=");
    check_base64("foo", "Zm9v");
    check_base64("foob", "Zm9vYg==");
    check_base64("fooba", "Zm9vYmE=");
    check_base64("foobar", "Zm9vYmFy");
    check_base64("\xfb\xef\xbe\xff\xff", "++++//8=");
}

static void test_base64__refuses_every_other_form(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z",      "Zg",    "Zg=",  "Zm9vY",    "Zg===",       "=",         "==",
        "===",    "====",  "Z===", "Zg==Zg==", "Zm8=Zg==",    "Zm9v Zg==", "Zm9vZg==\n",
        "\nZg==", "Zm9\n", "Zh==", "Zm9=",     "Zm9vZh==",    "Zm-v",      "Zm_v",
        "Zm9*",   "Z=9v",  "Zg=v", "=m9v",     "Zm9vZg=\xff", "\x80m9v",
    };
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, 100);
    assert_int_equal(yzi_buf_put_str(&b, "kept"), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(yzi_base64_decode(str(bad[i]), &b), YZ_EMALFORMED);
        assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), "kept"));
    }
}

static void test_base64__keeps_to_the_limit(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, 7);
    assert_int_equal(yzi_base64_encode(str("four"), &b), YZ_ELIMIT);
    assert_int_equal(yzi_base64_decode(str("Zm9vYmFyZm8="), &b), YZ_ELIMIT);
    assert_int_equal(b.n, 0);
    assert_int_equal(yzi_base64_decode(str("Zm9vYmFyZg=="), &b), 0); /* 7 bytes of 9 */
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), "foobarf"));
}

/* -- percent -- */

static void test_percent__has_one_form_per_byte(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        uint8_t in = (uint8_t)c;
        char want[4] = {(char)in, '\0'};
        if (c == 0 ||
            !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", c)) {
            snprintf(want, sizeof want, "%%%02X", in);
        }
        YZ_AUTO(yzi_buf_fini) yz_buf b;
        yzi_buf_init(&b, 3);
        assert_int_equal(yzi_percent_encode(yzi_bytes(&in, 1), &b), 0);
        assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), want));
        assert_true(yzi_percent_is_canonical(str(want)));
        yzi_buf_clear(&b);
        assert_int_equal(yzi_percent_decode(str(want), &b), 0);
        assert_true(yzi_bytes_eq(yzi_bytes_buf(&b), yzi_bytes(&in, 1)));
        /* Of "c", "%xx" and "%XX" only the canonical one is accepted. */
        char other[3][4] = {{(char)in, '\0'}};
        snprintf(other[1], 4, "%%%02x", in);
        snprintf(other[2], 4, "%%%02X", in);
        for (int i = c ? 0 : 1; i < 3; i++) {
            assert_int_equal(yzi_percent_is_canonical(str(other[i])), strcmp(other[i], want) == 0);
        }
    }
}

static void test_percent__refuses_damage_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {"%",   "%2",  "a%",   "a%2",    "%%",  "%2G",
                                      "%G2", "%41", "%7E",  "a b",    "a/b", "a+b",
                                      "%e4", "%4",  "\xe9", "%2\xff", "% 0"};
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, 100);
    assert_int_equal(yzi_buf_put_str(&b, "kept"), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(yzi_percent_is_canonical(str(bad[i])));
        assert_int_equal(yzi_percent_decode(str(bad[i]), &b), YZ_EMALFORMED);
        assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), "kept"));
    }
    assert_false(yzi_percent_is_canonical(yzi_bytes("a\0b", 3)));
    assert_true(yzi_percent_is_canonical((yz_bytes){0}));
    b.max = 5;
    assert_int_equal(yzi_percent_encode(str("/"), &b), YZ_ELIMIT);
    assert_int_equal(yzi_percent_decode(str("ab"), &b), YZ_ELIMIT);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), "kept"));
    assert_int_equal(yzi_percent_decode(str("%2F"), &b), 0);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), "kept/"));
}

/* -- numbers -- */

static void test_u64__takes_plain_decimals_up_to_the_limit(void **state)
{
    (void)state;
    uint64_t v;
    assert_int_equal(yzi_u64_parse(str("0"), 0, &v), 0);
    assert_true(v == 0);
    assert_int_equal(yzi_u64_parse(str("18446744073709551615"), UINT64_MAX, &v), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(yzi_u64_parse(str("65535"), 65535, &v), 0);
    assert_true(v == 65535);
    v = 7;
    assert_int_equal(yzi_u64_parse(str("65536"), 65535, &v), YZ_ELIMIT);
    assert_int_equal(yzi_u64_parse(str("18446744073709551616"), UINT64_MAX, &v), YZ_ELIMIT);
    assert_int_equal(yzi_u64_parse(str("99999999999999999999"), UINT64_MAX, &v), YZ_ELIMIT);
    assert_int_equal(yzi_u64_parse(str("100000000000000000000000"), UINT64_MAX, &v), YZ_ELIMIT);
    static const char *const bad[] = {
        "",    "00",  "01", "-1", "+1",  " 1",           "1 ",
        "1.0", "0x1", "1a", "a",  "1_0", "\xef\xbc\x91", "999999999999999999999a"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(yzi_u64_parse(str(bad[i]), UINT64_MAX, &v), YZ_EINVAL);
    }
    assert_int_equal(yzi_u64_parse(yzi_bytes("1\0", 2), UINT64_MAX, &v), YZ_EINVAL);
    assert_true(v == 7);
}

static int encode_all(void *ctx)
{
    (void)ctx;
    YZ_AUTO(yzi_buf_fini) yz_buf a, b, c, d;
    yzi_buf_init(&a, 100);
    yzi_buf_init(&b, 100);
    yzi_buf_init(&c, 100);
    yzi_buf_init(&d, 100);
    YZ_TRY(yzi_base64_encode(str("foo"), &a));
    YZ_TRY(yzi_base64_decode(yzi_bytes_buf(&a), &b));
    YZ_TRY(yzi_percent_encode(yzi_bytes_buf(&b), &c));
    return yzi_percent_decode(yzi_bytes_buf(&c), &d);
}

static void test_text__survives_every_failed_allocation(void **state)
{
    (void)state;
    assert_int_equal(yz_alloc_fail_each(encode_all, NULL), 4);
}

static void test_base64_decode_exactly__takes_one_length(void **state)
{
    (void)state;
    uint8_t out[4] = {0};
    assert_int_equal(yzi_base64_decode_exactly(yzi_bytes_str("AQID"), out, 3), 0);
    assert_memory_equal(out, "\1\2\3", 3);
    assert_int_equal(yzi_base64_decode_exactly(yzi_bytes_str("AQIDBA=="), out, 4), 0);
    assert_int_equal(yzi_base64_decode_exactly(yzi_bytes_str("AQID"), out, 2), YZ_EMALFORMED);
    assert_int_equal(yzi_base64_decode_exactly(yzi_bytes_str("AQID"), out, 4), YZ_EMALFORMED);
    assert_int_equal(yzi_base64_decode_exactly(yzi_bytes_str("AQIDB==="), out, 4), YZ_EMALFORMED);
    assert_int_equal(yzi_base64_decode_exactly(yzi_bytes_str("AQIDBB=="), out, 4), YZ_EMALFORMED);
    assert_int_equal(yzi_base64_decode_exactly((yz_bytes){0}, out, 0), YZ_EMALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64_decode_exactly__takes_one_length),
        cmocka_unit_test(test_utf8__accepts_exactly_the_scalar_values),
        cmocka_unit_test(test_utf8__accepts_no_second_form),
        cmocka_unit_test(test_utf8__judges_whole_texts),
        cmocka_unit_test(test_utf8__cuts_between_characters),
        cmocka_unit_test(test_hex__round_trips_every_byte),
        cmocka_unit_test(test_hex__refuses_what_is_not_hex_or_does_not_fit),
        cmocka_unit_test(test_base64__gives_the_vectors_of_rfc_4648),
        cmocka_unit_test(test_base64__refuses_every_other_form),
        cmocka_unit_test(test_base64__keeps_to_the_limit),
        cmocka_unit_test(test_percent__has_one_form_per_byte),
        cmocka_unit_test(test_percent__refuses_damage_and_changes_nothing),
        cmocka_unit_test(test_u64__takes_plain_decimals_up_to_the_limit),
        cmocka_unit_test(test_text__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
