/* SPDX-License-Identifier: Apache-2.0
 *
 * SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to pick what to spoil.
 */
#include "tests/support/dice.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/text.h"

#define SEED UINT64_C(20261123)

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    uint64_t v;
    if (!text || !*text) {
        return otherwise;
    }
    YZ_ASSERT(yzi_u64_parse(yzi_bytes_str(text), UINT64_MAX, &v) == YZ_OK);
    return v;
}

uint64_t dice_seed(void)
{
    return number_of("YZ_SOAK_SEED", SEED);
}

uint64_t dice_seed_now(void)
{
    static uint64_t seed;
    if (!seed) {
        seed = number_of("YZ_SOAK_SEED", (uint64_t)time(NULL));
        printf("YZ_SOAK_SEED=%llu\n", (unsigned long long)seed);
    }
    return seed;
}

uint64_t dice_seconds(void)
{
    return number_of("YZ_SOAK_SECONDS", UINT32_MAX);
}

unsigned dice_trials(unsigned in_test)
{
    return (unsigned)number_of("YZ_SOAK_TRIALS", in_test);
}

struct dice dice_from(uint64_t seed)
{
    return (struct dice){seed};
}

struct dice dice_of(const char *class_name)
{
    struct dice d = {dice_seed()};
    for (const char *p = class_name; *p; p++) {
        d.state = (d.state ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
    }
    return d;
}

uint64_t dice_next(struct dice *d)
{
    uint64_t z = d->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t dice_below(struct dice *d, uint32_t n)
{
    return (uint32_t)(dice_next(d) % n);
}

bool dice_chance(struct dice *d, uint32_t one_in)
{
    return dice_below(d, one_in) == 0;
}
