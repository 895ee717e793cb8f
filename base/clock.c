/* SPDX-License-Identifier: Apache-2.0
 *
 * The system's clocks, a clock for tests, and the texts of times and durations.
 */
#include "base/clock.h"

#include <string.h>
#include <time.h>

#include "base/text.h"

static uint64_t read_ms(clockid_t id)
{
    struct timespec ts;
    /* Cannot fail for the two clocks used here (clock_gettime(2)). */
    YZ_ASSERT(clock_gettime(id, &ts) == 0);
    return ts.tv_sec < 0 ? 0 : (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t system_wall(const struct clock *c)
{
    (void)c;
    return read_ms(CLOCK_REALTIME);
}

static uint64_t system_mono(const struct clock *c)
{
    (void)c;
    return read_ms(CLOCK_MONOTONIC);
}

const struct clock yzi_clock_system = {system_wall, system_mono};

/* -- manual clock -- */

static uint64_t manual_wall(const struct clock *c)
{
    return ((const struct manual_clock *)c)->wall;
}

static uint64_t manual_mono(const struct clock *c)
{
    return ((const struct manual_clock *)c)->mono;
}

void yzi_manual_clock_init(struct manual_clock *m, uint64_t wall_ms)
{
    m->clock = (struct clock){manual_wall, manual_mono};
    m->wall = wall_ms;
    m->mono = 0;
}

void yzi_manual_clock_advance(struct manual_clock *m, uint64_t ms)
{
    m->wall += ms;
    m->mono += ms;
}

void yzi_manual_clock_set_wall(struct manual_clock *m, uint64_t wall_ms)
{
    m->wall = wall_ms;
}

/* -- texts -- */

int yzi_duration_parse(const char *text, uint64_t *out_ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

    YZ_ENSURE(text, YZ_EINVAL);
    size_t digits = strspn(text, "0123456789");
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text + digits, units[i].unit) == 0) {
            uint64_t v;
            YZ_TRY(yzi_u64_parse(yzi_bytes(text, digits), UINT64_MAX / units[i].ms, &v));
            *out_ms = v * units[i].ms;
            return 0;
        }
    }
    return YZ_EINVAL;
}

void yzi_time_format(uint64_t wall_ms, char out[32])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    /* Even UINT64_MAX ms is a year of nine digits, which fits an int and the buffer. */
    YZ_ASSERT(gmtime_r(&seconds, &tm));
    int n =
        snprintf(out, 32, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(wall_ms % 1000));
    YZ_ASSERT(n > 0 && n < 32);
}

/* Match text against `form`, in which 'd' is a digit and all else stands for itself. */
static bool has_form(const char *text, const char *form)
{
    for (; *form; text++, form++) {
        if (*form == 'd' ? *text < '0' || *text > '9' : *text != *form) {
            return false;
        }
    }
    return *text == '\0';
}

static int digits(const char *text, int n)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        v = v * 10 + (text[i] - '0');
    }
    return v;
}

int yzi_time_parse(const char *text, uint64_t *out_wall_ms)
{
    YZ_ENSURE(text, YZ_EINVAL);
    bool fraction = has_form(text, "dddd-dd-ddTdd:dd:dd.dddZ");
    bool time = fraction || has_form(text, "dddd-dd-ddTdd:dd:ddZ");
    YZ_ENSURE(time || has_form(text, "dddd-dd-dd"), YZ_EINVAL);

    struct tm tm = {.tm_year = digits(text, 4) - 1900,
                    .tm_mon = digits(text + 5, 2) - 1,
                    .tm_mday = digits(text + 8, 2)};
    if (time) {
        tm.tm_hour = digits(text + 11, 2);
        tm.tm_min = digits(text + 14, 2);
        tm.tm_sec = digits(text + 17, 2);
    }
    /* timegm carries what overflows a field into the next: then the date is not of the calendar. */
    struct tm carried = tm;
    time_t seconds = timegm(&carried);
    YZ_ENSURE(seconds >= 0 && carried.tm_mon == tm.tm_mon && carried.tm_mday == tm.tm_mday &&
                  carried.tm_hour == tm.tm_hour && carried.tm_min == tm.tm_min &&
                  carried.tm_sec == tm.tm_sec,
              YZ_EINVAL);
    *out_wall_ms = (uint64_t)seconds * 1000 + (fraction ? (uint64_t)digits(text + 20, 3) : 0);
    return 0;
}
