/* SPDX-License-Identifier: Apache-2.0
 *
 * Chance that can be repeated, and how often it is tried: 200 times a class in script/test, more in
 * script/soak, which sets YZ_SOAK_TRIALS. The seed is fixed unless YZ_SOAK_SEED says another, and
 * is printed with the class, so that what was found is found again. A program run with names of
 * classes runs those; with --classes it says which there are.
 */
#ifndef YZ_TESTS_HOSTILE_DICE_H
#define YZ_TESTS_HOSTILE_DICE_H

#include "base/bytes.h"

struct dice {
    uint64_t state;
};

/* The dice of a class: of the seed and the class's name, so that each class can be run alone. */
struct dice dice_of(const char *class_name);
struct dice dice_from(uint64_t seed);
uint64_t dice_next(struct dice *d);
uint32_t dice_below(struct dice *d, uint32_t n); /* 0..n-1; n above 0 */
bool dice_chance(struct dice *d, uint32_t one_in);
/* YZ_SOAK_TRIALS if it is set, else this. */
unsigned dice_trials(unsigned in_test);
uint64_t dice_seconds(void); /* YZ_SOAK_SECONDS, or more than anybody waits */
uint64_t dice_seed(void);
/* For what real time has a part in, so that one seed repeats it only roughly: YZ_SOAK_SEED if it is
 * set, else of the time; the same in all of the program, and printed. The first call is alone. */
uint64_t dice_seed_now(void);

#endif
