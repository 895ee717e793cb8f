/* SPDX-License-Identifier: Apache-2.0
 *
 * Trees that are too large to hold: what an append needs (the frontier), and proofs that ask for
 * the few nodes they are made of. A node is named by its level (0: leaves) and its index among the
 * nodes of that level, and exists once its 2^level leaves do; it never changes then. Whatever keeps
 * such nodes, a database or a folder of tiles, can prove with these. Any thread.
 */
#ifndef YZ_PROOF_TREE_H
#define YZ_PROOF_TREE_H

#include "proof/merkle.h"

#define TREE_LEVELS 64u

/* The state an append needs: hash[l] is the root of a complete subtree of 2^l leaves exactly when
 * bit l of size is set. Zeroed it is the empty tree. */
struct merkle_frontier {
    uint64_t size;
    yz_digest hash[TREE_LEVELS];
};
/* Append a leaf hash. Every node that it completes is told to `node` (which may be NULL), from the
 * leaf up; its failure is returned, and the frontier unchanged. YZ_ELIMIT: 2^63 leaves. */
YZ_MUST_USE int yzi_frontier_append(struct merkle_frontier *f, const yz_digest *leaf,
                                    int (*node)(void *ctx, unsigned level, uint64_t index,
                                                const yz_digest *hash),
                                    void *ctx);
void yzi_frontier_root(const struct merkle_frontier *f, yz_digest *out);

/* Gives the hash of a node; its failure is passed on. */
typedef int merkle_node_fn(void *ctx, unsigned level, uint64_t index, yz_digest *out);

/* The frontier of a tree of `size` leaves (<= 2^63, else YZ_EINVAL). */
YZ_MUST_USE int yzi_frontier_load(uint64_t size, merkle_node_fn *node, void *ctx,
                                  struct merkle_frontier *out);
YZ_MUST_USE int yzi_nodes_root(uint64_t size, merkle_node_fn *node, void *ctx, yz_digest *out);
/* yzi_merkle_path and yzi_merkle_consistency over nodes: the same results and errors;
 * sizes beyond 2^63, for consistency beyond 2^62, are YZ_EINVAL. */
YZ_MUST_USE int yzi_nodes_path(uint64_t index, uint64_t size, merkle_node_fn *node, void *ctx,
                               struct merkle_path *out);
YZ_MUST_USE int yzi_nodes_consistency(uint64_t m, uint64_t n, merkle_node_fn *node, void *ctx,
                                      struct merkle_path *out);

#endif
