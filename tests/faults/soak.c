/* SPDX-License-Identifier: Apache-2.0
 *
 * What soak.h says, from the environment.
 */
#include "tests/faults/soak.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/dice.h"
#include "tests/support/now.h"

static _Atomic unsigned long done;
static _Atomic uint64_t until; /* ms; 0: no end */
static uint64_t ends;          /* of all tests, ms */

void soak_begin(unsigned tests_left)
{
    uint64_t now = now_ms();
    ends = ends ? ends : now + dice_seconds() * 1000u;
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
    printf("class %s: %lu trials, seed %llu\n", class, done, (unsigned long long)dice_seed_now());
}
