/* SPDX-License-Identifier: Apache-2.0
 *
 * base/log: the line, what hostile values cannot do to it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

static const struct log_event ev_refused = {"peer.refused", LOG_LEVEL_WARN};
static const struct log_event ev_debug = {"peer.seen", LOG_LEVEL_DEBUG};
static const struct log_event ev_failed = {"store.failed", LOG_LEVEL_ERROR};

/* A datagram socket keeps writes apart: one receive is one write(2). */
static int ends[2];
static char line[PIPE_BUF + 100];

static int set_up(void **state)
{
    (void)state;
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0) {
        return -1;
    }
    yzi_log_set_fd(ends[0]);
    yzi_log_set_level(LOG_LEVEL_INFO);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    yzi_log_set_fd(STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* The next line written, without its line feed; NULL when there is none. */
static const char *next_line(void)
{
    ssize_t n = recv(ends[1], line, sizeof line - 1, MSG_DONTWAIT);
    if (n <= 0) {
        return NULL;
    }
    assert_true(n <= PIPE_BUF);
    assert_int_equal(line[n - 1], '\n');
    line[n - 1] = '\0';
    assert_int_equal(strlen(line), n - 1);
    assert_null(strchr(line, '\n'));
    assert_true(yzi_utf8_is_valid(yzi_bytes_str(line)));
    return line;
}

/* What follows the time, which must be one. */
static const char *rest_of_line(void)
{
    const char *text = next_line();
    assert_non_null(text);
    assert_memory_equal(text, "time=", 5);
    char time[25];
    memcpy(time, text + 5, 24);
    time[24] = '\0';
    uint64_t ms, now = yzi_wall_ms(&yzi_clock_system);
    assert_int_equal(yzi_time_parse(time, &ms), 0);
    assert_true(ms <= now && now - ms < 60000);
    assert_int_equal(text[29], ' ');
    return text + 30;
}

static void test_log__writes_one_line_in_one_write(void **state)
{
    (void)state;
    uint8_t id[] = {0x00, 0xab, 0xff};
    yzi_log(&ev_refused, (struct log_field[]){log_str("node", "mca-1"),
                                              log_hex("key", yzi_bytes(id, 3)),
                                              log_num("code", INT64_MIN),
                                              log_num("n", 7),
                                              {0}});
    assert_string_equal(rest_of_line(), "level=warn event=peer.refused node=mca-1 key=00abff "
                                        "code=-9223372036854775808 n=7");
    assert_null(next_line());
    yzi_log(&ev_refused, NULL);
    assert_string_equal(rest_of_line(), "level=warn event=peer.refused");
}

static void test_log__quotes_and_escapes_what_is_not_plain(void **state)
{
    (void)state;
    static const struct {
        const char *value, *shown;
    } rows[] = {
        {"plain-1.2:/@[x],{y}'", "plain-1.2:/@[x],{y}'"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"x\nlevel=error event=forged", "\"x\\nlevel=error event=forged\""},
        {"\r\t", "\"\\r\\t\""},
        {"\x1b[2J\x7f", "\"\\x1b[2J\\x7f\""},
        {"\u9a7f\u7ad9", "\"\u9a7f\u7ad9\""},
        {"a\xff\xe9\xa9", "\"a\\xff\\xe9\\xa9\""},
        {"\xc2\x9b"
         "2J\xc2\x80",
         "\"\\xc2\\x9b2J\\xc2\\x80\""},            /* C1 controls */
        {"a\u202egnp", "\"a\\xe2\\x80\\xaegnp\""}, /* right-to-left override */
        {"\u2028\u2066\u200f", "\"\\xe2\\x80\\xa8\\xe2\\x81\\xa6\\xe2\\x80\\x8f\""},
        {"\u00a0\u2013\u2070", "\"\u00a0\u2013\u2070\""}, /* their harmless neighbours */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char want[200];
        snprintf(want, sizeof want, "level=warn event=peer.refused v=%s end=1", rows[i].shown);
        yzi_log(&ev_refused,
                (struct log_field[]){log_str("v", rows[i].value), log_num("end", 1), {0}});
        assert_string_equal(rest_of_line(), want);
    }
    yzi_log(&ev_refused, (struct log_field[]){log_bytes("v", yzi_bytes("a\0b", 3)),
                                              log_bytes("none", (yz_bytes){0}),
                                              {0}});
    assert_string_equal(rest_of_line(), "level=warn event=peer.refused v=\"a\\x00b\" none=\"\"");
}

/* Read a quoted value back: the bytes and where it ended. */
static const char *unquote(const char *p, yz_buf *out)
{
    assert_int_equal(*p++, '"');
    for (; *p != '"'; p++) {
        assert_true(*p);
        uint8_t c = (uint8_t)*p;
        if (c == '\\') {
            static const char from[] = "nrt\"\\", to[] = "\n\r\t\"\\";
            const char *at = strchr(from, *++p);
            if (*p == 'x') {
                assert_int_equal(yzi_hex_decode(yzi_bytes(p + 1, 2), &c, 1), 0);
                p += 2;
            } else {
                assert_true(*p && at);
                c = (uint8_t)to[at - from];
            }
        }
        assert_int_equal(yzi_buf_put_u8(out, c), 0);
    }
    return p + 1;
}

static void test_log__any_bytes_can_be_read_back(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int i = 0; i < 5000; i++) {
        uint8_t value[100];
        size_t n = (size_t)i % sizeof value + 1;
        for (size_t k = 0; k < n; k++) {
            seed = seed * 1664525 + 1013904223;
            /* Often what matters: quotes, escapes, starts and ends of characters. */
            static const uint8_t odd[] = {'"', '\\', '\n', ' ', '=', 0xe2, 0x80, 0xae, 0xc2, 0x9b};
            value[k] = seed >> 31 ? odd[(seed >> 16) % sizeof odd] : (uint8_t)(seed >> 16);
        }
        value[n - 1] = ' '; /* so that it is quoted */
        yzi_log(&ev_refused,
                (struct log_field[]){log_bytes("v", yzi_bytes(value, n)), log_num("end", i), {0}});
        const char *p = rest_of_line() + strlen("level=warn event=peer.refused v=");
        YZ_AUTO(yzi_buf_fini) yz_buf back;
        yzi_buf_init(&back, 1000);
        p = unquote(p, &back);
        assert_true(yzi_bytes_eq(yzi_bytes_buf(&back), yzi_bytes(value, n)));
        char want[32];
        snprintf(want, sizeof want, " end=%d", i);
        assert_string_equal(p, want);
    }
}

static void test_log__cuts_long_values_between_characters(void **state)
{
    (void)state;
    static char value[3000];
    for (size_t i = 0; i + 3 < sizeof value; i += 3) {
        memcpy(value + i, "\u9a7f", 3);
    }
    yzi_log(&ev_refused, (struct log_field[]){log_str("v", value), log_num("end", 1), {0}});
    const char *rest = rest_of_line();
    size_t n = strlen(rest);
    assert_true(n > 500 && n < 600);
    assert_string_equal(rest + n - strlen("\u9a7f\u2026\" end=1"), "\u9a7f\u2026\" end=1");

    memset(value, 'x', sizeof value - 1);
    yzi_log(&ev_refused, (struct log_field[]){log_str("v", value), log_num("end", 1), {0}});
    rest = rest_of_line();
    n = strlen(rest);
    assert_true(n > 500 && n < 600);
    assert_string_equal(rest + n - strlen("x\u2026\" end=1"), "x\u2026\" end=1");

    yzi_log(&ev_refused,
            (struct log_field[]){log_hex("v", yzi_bytes(value, 2999)), log_num("end", 1), {0}});
    rest = rest_of_line();
    n = strlen(rest);
    assert_true(n > 500 && n < 600);
    assert_string_equal(rest + n - strlen("78\u2026 end=1"), "78\u2026 end=1");
}

static void test_log__leaves_whole_fields_out_and_never_the_error(void **state)
{
    (void)state;
    char hostile[600];
    memset(hostile, '\x01', sizeof hostile - 1); /* four bytes each, escaped */
    hostile[sizeof hostile - 1] = '\0';
    struct log_field fields[14];
    for (int i = 0; i < 12; i++) {
        fields[i] = log_str("v", hostile);
    }
    fields[12] = log_num("small", 1);
    fields[13] = (struct log_field){0};
    yzi_log(&ev_refused, fields);
    const char *rest = rest_of_line();
    const char tail[] = "\u2026\" small=1 cut=true"; /* what is small still fits */
    assert_string_equal(rest + strlen(rest) - strlen(tail), tail);

    yz_error err = {.code = YZ_EUNAVAILABLE};
    memset(err.text, '\x01', sizeof err.text - 1);
    yzi_log_error(&ev_failed, &err, fields);
    rest = rest_of_line();
    assert_non_null(strstr(rest, " small=1 error=YZ_EUNAVAILABLE reason=\"\\x01"));
    const char error_tail[] = "\u2026\" cut=true";
    assert_string_equal(rest + strlen(rest) - strlen(error_tail), error_tail);
}

static void test_log__appends_the_error(void **state)
{
    (void)state;
    yz_error err = {.code = YZ_EDISKFULL, .text = "cannot write a: No space left on device"};
    yzi_log_error(&ev_failed, &err, (struct log_field[]){log_num("set", 3), {0}});
    assert_string_equal(rest_of_line(), "level=error event=store.failed set=3 error=YZ_EDISKFULL "
                                        "reason=\"cannot write a: No space left on device\"");
    yzi_log_error(&ev_failed, &(yz_error){.code = YZ_EIO, .text = "gone"}, NULL);
    assert_string_equal(rest_of_line(), "level=error event=store.failed error=YZ_EIO reason=gone");
}

static void test_log__keeps_to_the_level(void **state)
{
    (void)state;
    yzi_log(&ev_debug, NULL);
    assert_null(next_line());
    yzi_log_set_level(LOG_LEVEL_DEBUG);
    yzi_log(&ev_debug, NULL);
    assert_string_equal(rest_of_line(), "level=debug event=peer.seen");
    yzi_log_set_level(LOG_LEVEL_ERROR);
    yzi_log(&ev_refused, NULL);
    yzi_log_error(&ev_refused, &(yz_error){.code = YZ_EIO}, NULL);
    assert_null(next_line());
    yzi_log(&ev_failed, NULL);
    assert_string_equal(rest_of_line(), "level=error event=store.failed");
}

static void test_level__is_parsed(void **state)
{
    (void)state;
    static const char *const names[] = {"debug", "info", "warn", "error"};
    enum log_level level = LOG_LEVEL_INFO;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(yzi_log_level_parse(names[i], &level), 0);
        assert_int_equal(level, i);
    }
    static const char *const bad[] = {"", "INFO", "warning", "err", " info", "info "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(yzi_log_level_parse(bad[i], &level), YZ_EINVAL);
    }
    assert_int_equal(yzi_log_level_parse(NULL, &level), YZ_EINVAL);
    assert_int_equal(level, LOG_LEVEL_ERROR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_log__writes_one_line_in_one_write),
        TEST(test_log__quotes_and_escapes_what_is_not_plain),
        TEST(test_log__any_bytes_can_be_read_back),
        TEST(test_log__cuts_long_values_between_characters),
        TEST(test_log__leaves_whole_fields_out_and_never_the_error),
        TEST(test_log__appends_the_error),
        TEST(test_log__keeps_to_the_level),
        TEST(test_level__is_parsed),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
