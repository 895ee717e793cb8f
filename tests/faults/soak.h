/* SPDX-License-Identifier: Apache-2.0
 *
 * How long a program of faults goes on, for script/soak: it is one class of trials, whose name it
 * says with --classes, and takes from the environment how many trials (YZ_SOAK_TRIALS), for how
 * long at most (YZ_SOAK_SECONDS, which the tests of the program share) and which seed
 * (YZ_SOAK_SEED). What a trial is, the program says.
 */
#ifndef YZ_TESTS_FAULTS_SOAK_H
#define YZ_TESTS_FAULTS_SOAK_H

#include <stdbool.h>
#include <stdint.h>

/* Is there time for one more? Always, unless YZ_SOAK_SECONDS says otherwise. Each test calls
 * soak_begin first: it gets its share of what is left. Any thread. */
void soak_begin(unsigned tests_left);
bool soak_goes_on(void);
/* Count what was done. Any thread. */
void soak_did(unsigned trials);
/* In main: true when the program is to run its tests, otherwise the exit code is in *out_code. */
bool soak_wanted(int argc, char **argv, const char *class, int *out_code);
void soak_end(const char *class); /* the line that script/soak looks for */

#endif
