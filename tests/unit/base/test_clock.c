/* SPDX-License-Identifier: Apache-2.0
 *
 * base/clock: the clocks, durations, times.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

#include <time.h>

static void test_system__gives_milliseconds(void **state)
{
    (void)state;
    uint64_t before = (uint64_t)time(NULL);
    uint64_t wall = yzi_wall_ms(&yzi_clock_system);
    uint64_t after = (uint64_t)time(NULL);
    assert_in_range(wall / 1000, before - 1, after + 1); /* time() may tick a little later */
    uint64_t mono = yzi_mono_ms(&yzi_clock_system);
    for (int i = 0; i < 1000; i++) {
        uint64_t next = yzi_mono_ms(&yzi_clock_system);
        assert_true(next >= mono);
        mono = next;
    }
}

static void test_manual__stands_still_until_told(void **state)
{
    (void)state;
    struct manual_clock m;
    yzi_manual_clock_init(&m, 1000);
    const struct clock *c = &m.clock;
    uint64_t mono = yzi_mono_ms(c);
    assert_int_equal(yzi_wall_ms(c), 1000);
    yzi_manual_clock_advance(&m, 250);
    assert_int_equal(yzi_wall_ms(c), 1250);
    assert_int_equal(yzi_mono_ms(c), mono + 250);
    yzi_manual_clock_set_wall(&m, 5);
    assert_int_equal(yzi_wall_ms(c), 5);
    assert_int_equal(yzi_mono_ms(c), mono + 250);
}

static void test_duration__takes_the_five_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"0s", 0},           {"0ms", 0},
                {"250ms", 250},      {"30s", 30000},
                {"5m", 300000},      {"24h", 86400000},
                {"90d", 7776000000}, {"18446744073709551615ms", UINT64_MAX}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t ms = 1;
        assert_int_equal(yzi_duration_parse(good[i].text, &ms), 0);
        assert_true(ms == good[i].ms);
    }
}

static void test_duration__refuses_every_other_form(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "s",     "5",    "5 s",  " 5s",  "5s ",
                                      "-5s", "+5s",   "1.5s", "05s",  "5S",   "5sec",
                                      "5w",  "1h30m", "ms",   "0x5s", "5mss", "5\xef\xbd\x93"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t ms = 1;
        assert_int_equal(yzi_duration_parse(bad[i], &ms), YZ_EINVAL);
        assert_int_equal(ms, 1);
    }
    uint64_t ms = 1;
    assert_int_equal(yzi_duration_parse(NULL, &ms), YZ_EINVAL);
    assert_int_equal(yzi_duration_parse("18446744073709551616ms", &ms), YZ_ELIMIT);
    assert_int_equal(yzi_duration_parse("18446744073709552s", &ms), YZ_ELIMIT);
    assert_int_equal(yzi_duration_parse("99999999999999999999999999d", &ms), YZ_ELIMIT);
    assert_int_equal(ms, 1);
}

static const struct {
    uint64_t ms;
    const char *text;
} times[] = {
    {0, "1970-01-01T00:00:00.000Z"},
    {1, "1970-01-01T00:00:00.001Z"},
    {951782400000, "2000-02-29T00:00:00.000Z"},
    {1709164799999, "2024-02-28T23:59:59.999Z"},
    {1709164800000, "2024-02-29T00:00:00.000Z"},
    {1795381509123, "2026-11-22T21:05:09.123Z"},
    {2147483648000, "2038-01-19T03:14:08.000Z"},
    {4107542400000, "2100-03-01T00:00:00.000Z"}, /* 2100 is no leap year */
    {253402300799999, "9999-12-31T23:59:59.999Z"},
};

static void test_time__round_trips(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char text[32];
        uint64_t ms = 7;
        yzi_time_format(times[i].ms, text);
        assert_string_equal(text, times[i].text);
        assert_int_equal(yzi_time_parse(text, &ms), 0);
        assert_true(ms == times[i].ms);
    }
    for (uint64_t at = 0; at < 253402300800000; at += 86400000 * UINT64_C(13) + 12345) {
        char text[32];
        uint64_t ms = 7;
        yzi_time_format(at, text);
        assert_int_equal(yzi_time_parse(text, &ms), 0);
        assert_true(ms == at);
    }
    char text[32];
    yzi_time_format(UINT64_MAX, text); /* fits, whatever a peer sends */
    assert_string_equal(text, "584556019-04-03T14:25:51.615Z");
}

static void test_time__takes_bare_dates_and_whole_seconds(void **state)
{
    (void)state;
    uint64_t ms;
    assert_int_equal(yzi_time_parse("2024-02-29", &ms), 0);
    assert_true(ms == 1709164800000);
    assert_int_equal(yzi_time_parse("2024-02-29T00:00:01Z", &ms), 0);
    assert_true(ms == 1709164801000);
}

static void test_time__refuses_what_is_no_time(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2024",
        "2024-02",
        "2024-2-29",
        "2023-02-29",
        "2100-02-29",
        "2024-02-30",
        "2024-04-31",
        "2024-00-10",
        "2024-13-10",
        "2024-01-00",
        "2024-01-32",
        "1969-12-31",
        "0000-01-01",
        "2024-02-29Z",
        "2024-02-29T",
        "2024-02-29T00:00Z",
        "2024-02-29T24:00:00Z",
        "2024-02-29T23:60:00Z",
        "2024-02-29T23:59:60Z",
        "2024-02-29T23:59:59",
        "2024-02-29T23:59:59+00:00",
        "2024-02-29T23:59:59.1Z",
        "2024-02-29T23:59:59.1234Z",
        "2024-02-29 23:59:59Z",
        "2024-02-29t23:59:59z",
        "2024-02-29T23:59:59,123Z",
        "2024-02-29T23:59:59Z ",
        " 2024-02-29",
        "+024-02-29",
        "12024-02-29",
        "2024-02-2\xd9\xa9",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t ms = 7;
        assert_int_equal(yzi_time_parse(bad[i], &ms), YZ_EINVAL);
        assert_int_equal(ms, 7);
    }
    uint64_t ms;
    assert_int_equal(yzi_time_parse(NULL, &ms), YZ_EINVAL);
}

int main(void)
{
    /* No time here is local: a zone with odd offsets must not show. */
    setenv("TZ", "Asia/Kathmandu", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system__gives_milliseconds),
        cmocka_unit_test(test_manual__stands_still_until_told),
        cmocka_unit_test(test_duration__takes_the_five_units),
        cmocka_unit_test(test_duration__refuses_every_other_form),
        cmocka_unit_test(test_time__round_trips),
        cmocka_unit_test(test_time__takes_bare_dates_and_whole_seconds),
        cmocka_unit_test(test_time__refuses_what_is_no_time),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
