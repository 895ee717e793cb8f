/* SPDX-License-Identifier: Apache-2.0
 *
 * Sorting more pairs than fit in memory: runs of sorted pairs in an unnamed file of the given
 * folder, merged at the end. Pairs come back in bytewise order of key, then value. Not thread safe.
 */
#ifndef YZ_DATASET_SORTER_H
#define YZ_DATASET_SORTER_H

#include "base/bytes.h"

struct sorter;

#define SORTER_FILE "sort.tmp" /* what a crash may leave in the folder, where it needs a name */

/* `memory` (256 KiB to 4 GiB) bounds what is kept in memory while pairs are added, and while they
 * are merged (or a pair for each run, should that be more). YZ_EINVAL, YZ_ENOTFOUND, YZ_EIO,
 * YZ_ENOMEM. */
YZ_MUST_USE int yzi_sorter_new(const char *dir, size_t memory, struct sorter **out);
void yzi_sorter_free(struct sorter *s); /* NULL allowed */
/* Key and value at most 65,535 bytes each, together less than a quarter of the memory (YZ_ELIMIT).
 * YZ_EDISKFULL, YZ_EIO, YZ_ENOMEM. Not after the first yzi_sorter_next. */
YZ_MUST_USE int yzi_sorter_add(struct sorter *s, yz_bytes key, yz_bytes value);
/* A new file of the folder without a name; where the file system has no such thing, one whose name
 * goes at once. *out is the caller's. YZ_ENOTFOUND, YZ_EIO. */
YZ_MUST_USE int yzi_sorter_file(const char *dir, int *out);
/* The next pair, valid until the next call; YZ_ENOTFOUND at the end. YZ_EIO, YZ_ENOMEM. */
YZ_MUST_USE int yzi_sorter_next(struct sorter *s, yz_bytes *key, yz_bytes *value);

#endif
