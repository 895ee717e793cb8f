/* SPDX-License-Identifier: Apache-2.0
 *
 * A binary heap of deadlines (monotonic ms), for loops that must know what is due next. Items embed
 * their handle, so removing one is O(log n) without a search. Not thread safe.
 */
#ifndef YZ_BASE_DEADLINES_H
#define YZ_BASE_DEADLINES_H

#include "base/error.h"

/* Embedded in the item; zeroed it is in no heap. */
struct deadline {
    uint64_t at;
    size_t place; /* 1-based position; 0: not in the heap */
    void *item;
};
struct deadlines {
    struct deadline **heap;
    size_t n, capacity;
};

void yzi_deadlines_fini(struct deadlines *d); /* items are the caller's */
/* Insert, or move when it is in already. YZ_ENOMEM (only when inserting). */
YZ_MUST_USE int yzi_deadlines_set(struct deadlines *d, struct deadline *h, uint64_t at, void *item);
void yzi_deadlines_remove(struct deadlines *d, struct deadline *h); /* fine when not in it */
uint64_t yzi_deadlines_next(const struct deadlines *d);             /* UINT64_MAX when empty */
/* Take the earliest item that is due (at <= now); NULL when none is. */
void *yzi_deadlines_take(struct deadlines *d, uint64_t now);

#endif
