/* SPDX-License-Identifier: Apache-2.0
 *
 * A denial in one sentence, for the consumer: what reason and clause of the answer say and nothing
 * beyond, so what else the grant holds stays its owner's. Pure; any thread.
 */
#ifndef YZ_ACCESS_DENIAL_H
#define YZ_ACCESS_DENIAL_H

#include "adapters/access/grant.h"

/* Of a decision that is not `allowed`. Written and cut to `cap`, which is at least 1. */
void yzi_access_say(const struct access_decision *d, const struct access_question *q, char *out,
                    size_t cap);

#endif
