/* SPDX-License-Identifier: Apache-2.0
 *
 * Time as a parameter. Wall time is unsigned Unix milliseconds and may jump; monotonic time is for
 * deadlines and never goes back. Tests pass a manual clock and advance it.
 */
#ifndef YZ_BASE_CLOCK_H
#define YZ_BASE_CLOCK_H

#include "base/error.h"

struct clock {
    uint64_t (*wall_ms)(const struct clock *);
    uint64_t (*mono_ms)(const struct clock *);
};

extern const struct clock yzi_clock_system;

static inline uint64_t yzi_wall_ms(const struct clock *c)
{
    return c->wall_ms(c);
}
static inline uint64_t yzi_mono_ms(const struct clock *c)
{
    return c->mono_ms(c);
}

/* A clock that stands still until told otherwise. Reads are atomic; any thread. */
struct manual_clock {
    struct clock clock; /* first, so that &m->clock is passed where a clock is wanted */
    _Atomic uint64_t wall, mono;
};
void yzi_manual_clock_init(struct manual_clock *m, uint64_t wall_ms);
void yzi_manual_clock_advance(struct manual_clock *m, uint64_t ms);       /* both clocks */
void yzi_manual_clock_set_wall(struct manual_clock *m, uint64_t wall_ms); /* a jump */

/* Parse a duration such as "30s", "5m", "250ms", "24h", "90d" into milliseconds; the one duration
 * parser. No sign, no leading zeros, one unit. YZ_EINVAL when not of that form, YZ_ELIMIT beyond
 * 64 bits: where it goes on the wire (32 bits) the caller bounds it. */
YZ_MUST_USE int yzi_duration_parse(const char *text, uint64_t *out_ms);
/* RFC 3339 UTC with milliseconds ("2026-11-22T21:05:09.123Z"), NUL-terminated. */
void yzi_time_format(uint64_t wall_ms, char out[32]);
/* The reverse, also accepting a bare date (midnight UTC) and no fraction; years 1970 to 9999 and
 * no leap seconds. YZ_EINVAL. */
YZ_MUST_USE int yzi_time_parse(const char *text, uint64_t *out_wall_ms);

#endif
