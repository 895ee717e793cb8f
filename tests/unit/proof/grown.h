/* SPDX-License-Identifier: Apache-2.0
 *
 * A tree grown leaf by leaf whose every complete node is kept, for tests of what proves from nodes;
 * and a reference whose root is the definition of RFC 6962 §2.1 and nothing else.
 */
#ifndef YZ_TESTS_UNIT_PROOF_GROWN_H
#define YZ_TESTS_UNIT_PROOF_GROWN_H

#include <sodium.h>

#include "proof/tree.h"

struct grown {
    size_t cap;
    struct merkle_frontier f;
    yz_digest *level[TREE_LEVELS];
    yz_digest *leaves; /* level[0] */
};

static inline int yz_grown_keep(void *ctx, unsigned level, uint64_t index, const yz_digest *hash)
{
    struct grown *g = ctx;
    YZ_ASSERT(index < g->cap >> level);
    g->level[level][index] = *hash;
    return 0;
}

static inline int yz_grown_node(void *ctx, unsigned level, uint64_t index, yz_digest *out)
{
    const struct grown *g = ctx;
    YZ_ASSERT((index + 1) << level <= g->f.size); /* only what is complete is asked for */
    *out = g->level[level][index];
    return 0;
}

static inline void yz_grown_leaf(uint64_t i, yz_digest *out)
{
    uint8_t entry[8];
    yzi_store_u64(entry, i);
    yzi_merkle_leaf(yzi_bytes(entry, sizeof entry), out);
}

static inline void yz_grown_init(struct grown *g, size_t n)
{
    *g = (struct grown){.cap = n};
    for (unsigned l = 0; l < TREE_LEVELS && n >> l > 0; l++) {
        g->level[l] = calloc(n >> l, sizeof *g->level[l]);
        YZ_ASSERT(g->level[l]);
    }
    g->leaves = g->level[0];
    for (size_t i = 0; i < n; i++) {
        yz_digest leaf;
        yz_grown_leaf(i, &leaf);
        YZ_ASSERT(yzi_frontier_append(&g->f, &leaf, yz_grown_keep, g) == 0);
    }
}

static inline void yz_grown_fini(struct grown *g)
{
    for (unsigned l = 0; l < TREE_LEVELS; l++) {
        free(g->level[l]);
    }
}

/* MTH(D[n]) as it is defined. */
static inline yz_digest yz_reference_root(const yz_digest *leaves, size_t n)
{
    yz_digest out;
    if (n == 0) {
        crypto_hash_sha256(out.b, (const uint8_t *)"", 0);
        return out;
    }
    if (n == 1) {
        return leaves[0];
    }
    size_t k = 1;
    while (k * 2 < n) {
        k *= 2;
    }
    yz_digest left = yz_reference_root(leaves, k), right = yz_reference_root(leaves + k, n - k);
    uint8_t in[65] = {0x01};
    memcpy(in + 1, left.b, 32);
    memcpy(in + 33, right.b, 32);
    crypto_hash_sha256(out.b, in, sizeof in);
    return out;
}

/* Numbers that look random and are the same each time. */
static inline uint64_t yz_next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

#endif
