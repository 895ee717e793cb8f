/* SPDX-License-Identifier: Apache-2.0
 *
 * What a yz that is interrupted (SIGINT, SIGTERM, SIGHUP) must not leave behind: a file that is
 * only half of what its name says, a folder with records in it. It dies of the signal all the same.
 * A signal that was ignored stays ignored (nohup). Main thread only.
 */
#ifndef YZ_CLI_INTERRUPT_H
#define YZ_CLI_INTERRUPT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"

/* From now on a signal removes this file, which is being written; NULL: no more. YZ_ELIMIT. */
YZ_MUST_USE int yzi_interrupt_removes(const char *path);

/* From now on a signal says this to whoever ended yz; NULL: no more. */
void yzi_interrupt_says(const char *sentence);

/* From now on a signal sets the flag, so that what is under way ends in order; a second one ends it
 * at once. */
const _Atomic bool *yzi_interrupt_heed(void);
/* No more; where a signal came, this does not return. */
void yzi_interrupt_end(void);

#endif
