/* SPDX-License-Identifier: Apache-2.0
 *
 * base/json: what it writes, checked as text and by another implementation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>

#include "base/json.h"
#include "tests/support/alloc_fail.h"

static yz_buf out;
static struct json j;

static int set_up(void **state)
{
    (void)state;
    yzi_buf_init(&out, 1 << 20);
    yzi_json_init(&j, &out, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    yzi_buf_fini(&out);
    return 0;
}

static void assert_written(const char *want)
{
    assert_int_equal(yzi_json_end(&j), 0);
    if (!yzi_bytes_eq_str(yzi_bytes_buf(&out), want)) {
        fail_msg("written %.*s, not %s", (int)out.n, (const char *)out.p, want);
    }
}

static void again(bool pretty)
{
    yzi_buf_clear(&out);
    yzi_json_init(&j, &out, pretty);
}

/* A document with every kind of value and every kind of neighbour. */
static void write_all(void)
{
    yzi_json_object(&j);
    yzi_json_key(&j, "name");
    yzi_json_str(&j, "\u9a7f\u7ad9");
    yzi_json_key_bytes(&j, yzi_bytes("k\0y", 3));
    yzi_json_array(&j);
    yzi_json_u64(&j, UINT64_MAX);
    yzi_json_i64(&j, INT64_MIN);
    yzi_json_object(&j);
    yzi_json_object_end(&j);
    yzi_json_array(&j);
    yzi_json_array_end(&j);
    yzi_json_bool(&j, true);
    yzi_json_array_end(&j);
    yzi_json_key(&j, "");
    yzi_json_object(&j);
    yzi_json_key(&j, "id");
    yzi_json_hex(&j, yzi_bytes("\x00\xab", 2));
    yzi_json_key(&j, "x");
    yzi_json_number(&j, yzi_bytes_str("-567.890"));
    yzi_json_object_end(&j);
    yzi_json_key(&j, "nothing");
    yzi_json_str(&j, NULL);
    yzi_json_key(&j, "no");
    yzi_json_bool(&j, false);
    yzi_json_object_end(&j);
}

static void test_json__puts_commas_and_nesting_right(void **state)
{
    (void)state;
    write_all();
    assert_written("{\"name\":\"\u9a7f\u7ad9\",\"k\\u0000y\":[18446744073709551615,"
                   "-9223372036854775808,{},[],true],\"\":{\"id\":\"00ab\",\"x\":-567.890},"
                   "\"nothing\":null,\"no\":false}");
    again(true);
    write_all();
    assert_written("{\n"
                   "  \"name\": \"\u9a7f\u7ad9\",\n"
                   "  \"k\\u0000y\": [\n"
                   "    18446744073709551615,\n"
                   "    -9223372036854775808,\n"
                   "    {},\n"
                   "    [],\n"
                   "    true\n"
                   "  ],\n"
                   "  \"\": {\n"
                   "    \"id\": \"00ab\",\n"
                   "    \"x\": -567.890\n"
                   "  },\n"
                   "  \"nothing\": null,\n"
                   "  \"no\": false\n"
                   "}");
}

static void test_json__appends_and_takes_any_value_at_the_top(void **state)
{
    (void)state;
    assert_int_equal(yzi_buf_put_str(&out, "data: "), 0);
    yzi_json_u64(&j, 0);
    assert_written("data: 0");
    again(true);
    yzi_json_array(&j);
    yzi_json_array_end(&j);
    assert_written("[]");
    again(false);
    yzi_json_text(&j, (yz_bytes){0});
    assert_written("\"\"");
    again(false);
    yzi_json_hex(&j, (yz_bytes){0});
    assert_written("\"\"");
}

static void test_text__reads_back_the_same_elsewhere(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c += c < 0x3000 ? 1 : 97) {
        char text[8];
        int n = c < 0x80      ? snprintf(text, 8, "%c", (char)c)
                : c < 0x800   ? snprintf(text, 8, "%c%c", 0xc0 | c >> 6, 0x80 | (c & 63))
                : c < 0x10000 ? snprintf(text, 8, "%c%c%c", 0xe0 | c >> 12, 0x80 | (c >> 6 & 63),
                                         0x80 | (c & 63))
                              : snprintf(text, 8, "%c%c%c%c", 0xf0 | c >> 18, 0x80 | (c >> 12 & 63),
                                         0x80 | (c >> 6 & 63), 0x80 | (c & 63));
        again(false);
        yzi_json_text(&j, yzi_bytes(text, (size_t)n));
        if (c >= 0xd800 && c < 0xe000) {
            assert_int_equal(yzi_json_end(&j), YZ_EMALFORMED);
            continue;
        }
        assert_int_equal(yzi_json_end(&j), 0);
        json_t *v = json_loadb((const char *)out.p, out.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(v);
        assert_int_equal(json_string_length(v), n);
        assert_memory_equal(json_string_value(v), text, n);
        json_decref(v);
    }
}

static void test_text__has_the_short_escapes(void **state)
{
    (void)state;
    yzi_json_str(&j, "a\"b\\c/\b\f\n\r\t\x01\x1f\x7f.");
    assert_written("\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f.\"");
}

static void test_text__refuses_what_is_not_utf8(void **state)
{
    (void)state;
    static const char *const bad[] = {"\x80", "a\xff", "\xe9\xa9", "\xc0\xaf", "\xed\xa0\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        again(false);
        yzi_json_array(&j);
        yzi_json_str(&j, bad[i]);
        yzi_json_str(&j, "good");
        yzi_json_array_end(&j);
        assert_int_equal(yzi_json_end(&j), YZ_EMALFORMED);
        again(false);
        yzi_json_object(&j);
        yzi_json_key(&j, bad[i]);
        yzi_json_null(&j);
        yzi_json_object_end(&j);
        assert_int_equal(yzi_json_end(&j), YZ_EMALFORMED);
    }
}

static void test_number__takes_the_syntax_of_json_only(void **state)
{
    (void)state;
    static const char *const good[] = {
        "0",   "-0",  "7",     "10",      "-567.890",
        "0.0", "1e5", "1E+05", "1.25e-7", "123456789012345678901234567890.5"};
    static const char *const bad[] = {"",    "-",        "+1",    "01",  "-01",   ".5", "5.",
                                      "1e",  "1e+",      "1.e5",  "0x1", "1 ",    " 1", "1,",
                                      "NaN", "Infinity", "1.2.3", "--1", "1e5.0", "1]"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        again(false);
        yzi_json_number(&j, yzi_bytes_str(good[i]));
        assert_written(good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        again(false);
        yzi_json_number(&j, yzi_bytes_str(bad[i]));
        assert_int_equal(yzi_json_end(&j), YZ_EMALFORMED);
    }
    again(false);
    yzi_json_number(&j, yzi_bytes("1\0", 2));
    assert_int_equal(yzi_json_end(&j), YZ_EMALFORMED);
}

/* Each letter a call: { } [ ] k(ey) v(alue). */
static int play(const char *calls)
{
    again(false);
    for (; *calls; calls++) {
        switch (*calls) {
        case '{':
            yzi_json_object(&j);
            break;
        case '}':
            yzi_json_object_end(&j);
            break;
        case '[':
            yzi_json_array(&j);
            break;
        case ']':
            yzi_json_array_end(&j);
            break;
        case 'k':
            yzi_json_key(&j, "k");
            break;
        default:
            yzi_json_u64(&j, 1);
        }
    }
    return yzi_json_end(&j);
}

static void test_json__reports_calls_in_an_impossible_order(void **state)
{
    (void)state;
    static const char *const bad[] = {"",   "k",   "}",    "]",   "{",    "[",  "[{}",  "{]",
                                      "[}", "{v}", "{k}",  "{kk", "[k]",  "vv", "{}{}", "[]v",
                                      "{k", "{[]", "{kv]", "[v}", "{kvv", "v]", "kv",   "{k}v}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (play(bad[i]) != YZ_EINTERNAL) {
            fail_msg("accepted %s", bad[i]);
        }
    }
    assert_int_equal(play("{kvk[vv{}]k{kv}}"), 0);
}

static void test_json__nests_64_deep_and_no_deeper(void **state)
{
    (void)state;
    char calls[131] = "";
    memset(calls, '[', 64);
    memset(calls + 64, ']', 64);
    assert_int_equal(play(calls), 0);
    assert_int_equal(out.n, 128);
    memset(calls, '[', 65);
    memset(calls + 65, ']', 65);
    assert_int_equal(play(calls), YZ_ELOOP);
    /* The bits of a level are fresh each time it is entered. */
    assert_int_equal(play("[[vv][v]{kv}[]]"), 0);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&out), "[[1,1],[1],{\"k\":1},[]]"));
}

static void test_json__first_failure_stays(void **state)
{
    (void)state;
    write_all();
    size_t whole = out.n;
    for (size_t max = 0; max < whole + 3; max++) {
        yz_buf small;
        yzi_buf_init(&small, max);
        yzi_json_init(&j, &small, false);
        write_all();
        assert_true(small.n <= max);
        int rc = yzi_json_end(&j);
        assert_int_equal(rc, max >= whole ? 0 : YZ_ELIMIT);
        yzi_buf_fini(&small);
    }
    again(false);
    yzi_json_array(&j);
    yzi_json_str(&j, "\xff");
    size_t n = out.n;
    yzi_json_object_end(&j); /* would be YZ_EINTERNAL */
    assert_int_equal(yzi_json_end(&j), YZ_EMALFORMED);
    assert_int_equal(yzi_json_end(&j), YZ_EMALFORMED);
    assert_int_equal(out.n, n);
}

static int write_it(void *ctx)
{
    (void)ctx;
    yzi_buf_fini(&out);
    yzi_buf_init(&out, 1000);
    yzi_json_init(&j, &out, true);
    write_all();
    int rc = yzi_json_end(&j);
    yzi_buf_fini(&out);
    return rc;
}

static void test_json__survives_every_failed_allocation(void **state)
{
    (void)state;
    assert_true(yz_alloc_fail_each(write_it, NULL) >= 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_json__puts_commas_and_nesting_right),
        TEST(test_json__appends_and_takes_any_value_at_the_top),
        TEST(test_text__reads_back_the_same_elsewhere),
        TEST(test_text__has_the_short_escapes),
        TEST(test_text__refuses_what_is_not_utf8),
        TEST(test_number__takes_the_syntax_of_json_only),
        TEST(test_json__reports_calls_in_an_impossible_order),
        TEST(test_json__nests_64_deep_and_no_deeper),
        TEST(test_json__first_failure_stays),
        TEST(test_json__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
