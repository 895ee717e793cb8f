/* SPDX-License-Identifier: Apache-2.0
 *
 * The head of the block list is the one being filled; a request too large for a common block gets
 * one of its own behind it. What counts against the limit includes the padding that alignment
 * costs, so that a million empty strings are not free. What is handed out is cleared then, not the
 * block before; blocks are wiped before they are reused or freed (they may hold what was
 * decrypted).
 */
#include "base/arena.h"

#include <sodium.h>
#include <stddef.h>

#define ALIGN _Alignof(max_align_t)
#define BLOCK_FIRST 2048u
#define BLOCK_MAX 65536u /* of common blocks, and of what clear keeps */

struct arena_block {
    struct arena_block *next;
    size_t n, cap; /* bytes of data handed out and there */
    max_align_t data[];
};
_Static_assert(offsetof(struct arena_block, data) % ALIGN == 0, "data must be aligned");

void yzi_arena_init(struct arena *a, size_t max_bytes)
{
    *a = (struct arena){.max = max_bytes};
}

/* Free the list, each block wiped as far as it was used. */
static void free_blocks(struct arena_block *b)
{
    while (b) {
        struct arena_block *next = b->next;
        sodium_memzero(b->data, b->n);
        free(b);
        b = next;
    }
}

void yzi_arena_fini(struct arena *a)
{
    free_blocks(a->blocks);
    *a = (struct arena){0};
}

void yzi_arena_clear(struct arena *a)
{
    struct arena_block *keep = a->blocks;
    if (keep && keep->cap <= BLOCK_MAX) {
        free_blocks(keep->next);
        sodium_memzero(keep->data, keep->n);
        keep->next = NULL;
        keep->n = 0;
    } else {
        free_blocks(keep);
        keep = NULL;
    }
    *a = (struct arena){.blocks = keep, .max = a->max};
}

/* A block with room for `need` bytes, linked in. */
static struct arena_block *add_block(struct arena *a, size_t need)
{
    size_t cap = a->blocks ? a->blocks->cap * 2 : BLOCK_FIRST;
    cap = a->blocks && a->blocks->cap > BLOCK_MAX / 2 ? BLOCK_MAX : cap;
    bool own = need > cap / 2; /* else the rest of the head, up to half a block, would be lost */
    cap = own ? need : cap;
    if (cap > PTRDIFF_MAX - sizeof(struct arena_block)) {
        return NULL;
    }
    struct arena_block *b = malloc(sizeof *b + cap);
    if (!b) {
        return NULL;
    }
    *b = (struct arena_block){.cap = cap};
    if (own && a->blocks) {
        b->next = a->blocks->next;
        a->blocks->next = b;
    } else {
        b->next = a->blocks;
        a->blocks = b;
    }
    return b;
}

/* Memory that is not cleared. */
static int take(struct arena *a, size_t want, void **out)
{
    static max_align_t nothing;
    if (want == 0) {
        *out = &nothing;
        return 0;
    }
    size_t left = a->max - a->used;
    YZ_ENSURE(want <= left, YZ_ELIMIT);
    size_t padded;
    YZ_TRY(yzi_size_add(want, ALIGN - 1, &padded));
    padded -= padded % ALIGN;

    struct arena_block *b = a->blocks;
    if (!b || padded > b->cap - b->n) {
        b = add_block(a, padded);
        YZ_ENSURE(b, YZ_ENOMEM);
    }
    *out = (uint8_t *)b->data + b->n;
    b->n += padded;
    a->used += padded < left ? padded : left; /* the last one may use up what is left exactly */
    return 0;
}

int yzi_arena_new(struct arena *a, size_t n, size_t size, void *out_ptr)
{
    void *p;
    size_t want = 0;
    int rc = yzi_size_mul(n, size, &want);
    rc = rc == 0 ? take(a, want, &p) : rc;
    if (rc < 0) {
        a->failed = true;
        return rc;
    }
    if (want) {
        memset(p, 0, want);
    }
    *(void **)out_ptr = p;
    return 0;
}

void *yzi_arena_alloc(struct arena *a, size_t n, size_t size)
{
    void *p;
    return yzi_arena_new(a, n, size, &p) == 0 ? p : NULL;
}

int yzi_arena_dup(struct arena *a, yz_bytes v, yz_bytes *out)
{
    void *p;
    int rc = take(a, v.n, &p);
    if (rc < 0) {
        a->failed = true;
        return rc;
    }
    if (v.n) {
        memcpy(p, v.p, v.n);
    }
    *out = yzi_bytes(p, v.n);
    return 0;
}
