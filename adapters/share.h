/* SPDX-License-Identifier: Apache-2.0
 *
 * How much of something each node has, and all together: so that one node cannot take what is there
 * for all. Not thread safe.
 */
#ifndef YZ_ADAPTERS_SHARE_H
#define YZ_ADAPTERS_SHARE_H

#include "base/table.h"

struct shares {
    struct table holders; /* by whatever names the node */
    size_t total, total_max, each_max;
};

void yzi_shares_init(struct shares *s, size_t total_max, size_t each_max);
void yzi_shares_fini(struct shares *s);
/* Take n more. On YZ_EBUSY nothing was taken and *own (may be NULL) says whether it is the holder's
 * own share that is used up, rather than everything. YZ_ENOMEM. */
YZ_MUST_USE int yzi_shares_take(struct shares *s, yz_bytes holder, size_t n, bool *own);
/* The same whatever the limits say: for what is there already. */
YZ_MUST_USE int yzi_shares_note(struct shares *s, yz_bytes holder, size_t n);
void yzi_shares_give(struct shares *s, yz_bytes holder, size_t n); /* at most what it has */
size_t yzi_shares_of(const struct shares *s, yz_bytes holder);

#endif
