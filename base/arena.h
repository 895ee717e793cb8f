/* SPDX-License-Identifier: Apache-2.0
 *
 * A capped arena: what a parser allocates for one object lives and dies together, and hostile
 * input cannot make it grow beyond its limit. Memory is zero-filled. Not thread safe.
 */
#ifndef YZ_BASE_ARENA_H
#define YZ_BASE_ARENA_H

#include "base/bytes.h"

struct arena_block;
struct arena {
    struct arena_block *blocks;
    size_t used, max; /* bytes handed out; hard limit on them */
    bool failed;      /* an allocation was refused or failed since init/clear */
};

void yzi_arena_init(struct arena *a, size_t max_bytes);
void yzi_arena_fini(struct arena *a);  /* frees all; accepts a zeroed arena */
void yzi_arena_clear(struct arena *a); /* everything handed out is invalid; keeps one block */
/* Zeroed memory for n objects of `size`, aligned for any type, valid until clear or fini.
 * NULL when the limit or memory is exhausted (and `failed` is set). n*size 0 gives non-NULL. */
void *yzi_arena_alloc(struct arena *a, size_t n, size_t size);
/* The same as int-returning form: YZ_ELIMIT or YZ_ENOMEM. */
YZ_MUST_USE int yzi_arena_new(struct arena *a, size_t n, size_t size, void *out_ptr /* T ** */);
YZ_MUST_USE int yzi_arena_dup(struct arena *a, yz_bytes v, yz_bytes *out);

#endif
