/* SPDX-License-Identifier: Apache-2.0
 *
 * What soak.h says, from the environment.
 */
#include "tests/faults/soak.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static _Atomic unsigned long done;
static _Atomic uint64_t until; /* ms; 0: no end */
static uint64_t ends;          /* of all tests, ms */

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

unsigned soak_trials(unsigned in_test)
{
    return (unsigned)number("YZ_SOAK_TRIALS", in_test);
}

uint64_t soak_seed(void)
{
    static uint64_t seed;
    if (!seed) {
        seed = number("YZ_SOAK_SEED", (uint64_t)time(NULL));
        printf("YZ_SOAK_SEED=%llu\n", (unsigned long long)seed);
    }
    return seed;
}

void soak_begin(unsigned tests_left)
{
    uint64_t now = now_ms(), seconds = number("YZ_SOAK_SECONDS", 0);
    if (!seconds) {
        return;
    }
    ends = ends ? ends : now + seconds * 1000u;
    until = ends > now ? now + (ends - now) / tests_left : now;
}

bool soak_goes_on(void)
{
    return !until || now_ms() < until;
}

void soak_did(unsigned trials)
{
    done += trials;
}

bool soak_wanted(int argc, char **argv, const char *class, int *out_code)
{
    *out_code = 0;
    if (argc == 2 && strcmp(argv[1], "--classes") == 0) {
        printf("%s\n", class);
        return false;
    }
    if (argc > 1 && strcmp(argv[1], class) != 0) {
        fprintf(stderr, "no such class\n");
        *out_code = 2;
        return false;
    }
    return true;
}

void soak_end(const char *class)
{
    printf("class %s: %lu trials, seed %llu\n", class, done, (unsigned long long)soak_seed());
}
