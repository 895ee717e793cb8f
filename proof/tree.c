/* SPDX-License-Identifier: Apache-2.0
 *
 * Proofs from stored nodes. The recursive definitions of RFC 6962 §2.1 go down one branch only; the
 * subtrees beside it are either complete, and then one node, or the right border, whose root is
 * folded from the complete subtrees it consists of.
 */
#include "proof/tree.h"

#define TREE_SIZE_MAX ((uint64_t)1 << 63)

/* -- the frontier -- */

int yzi_frontier_append(struct merkle_frontier *f, const yz_digest *leaf,
                        int (*node)(void *ctx, unsigned level, uint64_t index,
                                    const yz_digest *hash),
                        void *ctx)
{
    YZ_ENSURE(f->size < TREE_SIZE_MAX, YZ_ELIMIT);
    yz_digest hash = *leaf;
    unsigned level = 0;
    if (node) {
        YZ_TRY(node(ctx, 0, f->size, &hash));
    }
    for (; f->size >> level & 1; level++) {
        yzi_merkle_node(&f->hash[level], &hash, &hash);
        if (node) {
            YZ_TRY(node(ctx, level + 1, f->size >> (level + 1), &hash));
        }
    }
    f->hash[level] = hash;
    f->size++;
    return 0;
}

void yzi_frontier_root(const struct merkle_frontier *f, yz_digest *out)
{
    if (f->size == 0) {
        yzi_merkle_root(NULL, 0, out);
        return;
    }
    unsigned level = (unsigned)__builtin_ctzll(f->size);
    yz_digest hash = f->hash[level];
    for (level++; level < TREE_LEVELS; level++) {
        if (f->size >> level & 1) {
            yzi_merkle_node(&f->hash[level], &hash, &hash);
        }
    }
    *out = hash;
}

/* -- from nodes -- */

struct nodes {
    merkle_node_fn *node;
    void *ctx;
};

/* The root of the n > 0 leaves from `start` on, which is a multiple of the largest power of two
 * that is at most n. */
static int range_root(const struct nodes *t, uint64_t start, uint64_t n, yz_digest *out)
{
    bool first = true;
    yz_digest hash = {{0}};
    uint64_t at = start + n; /* from the right, because the smaller subtrees are there */
    for (unsigned level = 0; level < TREE_LEVELS; level++) {
        if (!(n >> level & 1)) {
            continue;
        }
        yz_digest left;
        at -= (uint64_t)1 << level;
        YZ_TRY(t->node(t->ctx, level, at >> level, &left));
        if (first) {
            hash = left;
        } else {
            yzi_merkle_node(&left, &hash, &hash);
        }
        first = false;
    }
    *out = hash;
    return 0;
}

int yzi_frontier_load(uint64_t size, merkle_node_fn *node, void *ctx, struct merkle_frontier *out)
{
    YZ_ENSURE(size <= TREE_SIZE_MAX, YZ_EINVAL);
    struct merkle_frontier f = {.size = size};
    for (unsigned level = 0; level < TREE_LEVELS; level++) {
        if (size >> level & 1) {
            YZ_TRY(node(ctx, level, (size >> level) - 1, &f.hash[level]));
        }
    }
    *out = f;
    return 0;
}

int yzi_nodes_root(uint64_t size, merkle_node_fn *node, void *ctx, yz_digest *out)
{
    struct merkle_frontier f;
    YZ_TRY(yzi_frontier_load(size, node, ctx, &f));
    yzi_frontier_root(&f, out);
    return 0;
}

/* The largest power of two below n; n > 1. */
static uint64_t split(uint64_t n)
{
    return (uint64_t)1 << (63 - __builtin_clzll(n - 1));
}

/* Steps from the root down, the hashes upward: written from the end of a full array. */
struct upward {
    yz_digest hash[TREE_LEVELS + 1];
    unsigned from;
};

static void give(const struct upward *u, struct merkle_path *out)
{
    out->n = TREE_LEVELS + 1 - u->from;
    YZ_ASSERT(out->n <= YZ_PROOF_PATH_MAX);
    for (unsigned i = 0; i < out->n; i++) {
        out->hash[i] = u->hash[u->from + i];
    }
}

int yzi_nodes_path(uint64_t index, uint64_t size, merkle_node_fn *node, void *ctx,
                   struct merkle_path *out)
{
    YZ_ENSURE(index < size && size <= TREE_SIZE_MAX, YZ_EINVAL);
    const struct nodes t = {node, ctx};
    struct upward u = {.from = TREE_LEVELS + 1};
    uint64_t start = 0, n = size;
    while (n > 1) {
        uint64_t k = split(n);
        bool left = index - start < k;
        YZ_TRY(left ? range_root(&t, start + k, n - k, &u.hash[--u.from])
                    : range_root(&t, start, k, &u.hash[--u.from]));
        start += left ? 0 : k;
        n = left ? k : n - k;
    }
    give(&u, out);
    return 0;
}

int yzi_nodes_consistency(uint64_t m, uint64_t n, merkle_node_fn *node, void *ctx,
                          struct merkle_path *out)
{
    YZ_ENSURE(m <= n && n <= TREE_SIZE_MAX / 2, YZ_EINVAL); /* one hash more than an inclusion */
    const struct nodes t = {node, ctx};
    struct upward u = {.from = TREE_LEVELS + 1};
    uint64_t start = 0, whole = n; /* of the subtree that the end of the smaller tree lies in */
    bool known = true;             /* it is one whose root the checker has */
    while (m > 0 && start + whole != m) {
        uint64_t k = split(whole);
        bool left = m - start <= k;
        YZ_TRY(left ? range_root(&t, start + k, whole - k, &u.hash[--u.from])
                    : range_root(&t, start, k, &u.hash[--u.from]));
        known = known && left;
        start += left ? 0 : k;
        whole = left ? k : whole - k;
    }
    if (m > 0 && !known) {
        YZ_TRY(range_root(&t, start, whole, &u.hash[--u.from]));
    }
    give(&u, out);
    return 0;
}
