/* SPDX-License-Identifier: Apache-2.0
 *
 * RFC 6962 §2.1 Merkle trees over SHA-256: leaf = SHA-256(0x00 ‖ entry), node = SHA-256(0x01 ‖ left
 * ‖ right), the empty tree is SHA-256(""), the largest power of two goes left. Pure functions; used
 * for signature batches and the directory now, for the evidence log later. Any thread.
 */
#ifndef YZ_PROOF_MERKLE_H
#define YZ_PROOF_MERKLE_H

#include "base/bytes.h"

#define YZ_PROOF_PATH_MAX 63 /* enough for trees of up to 2^63 leaves */

struct merkle_path {
    unsigned n;
    yz_digest hash[YZ_PROOF_PATH_MAX]; /* from the leaf's sibling upward */
};

void yzi_merkle_leaf(yz_bytes entry, yz_digest *out);
/* leaf hash of (head ‖ entry) without copying them together */
void yzi_merkle_leaf2(yz_bytes head, yz_bytes entry, yz_digest *out);
void yzi_merkle_node(const yz_digest *left, const yz_digest *right, yz_digest *out);

/* Root of n leaf hashes (n 0: the empty tree). `leaves` is not changed. O(log n) memory. */
void yzi_merkle_root(const yz_digest *leaves, size_t n, yz_digest *out);
/* Inclusion path of leaf `index` < n, else YZ_EINVAL. */
YZ_MUST_USE int yzi_merkle_path(const yz_digest *leaves, size_t n, size_t index,
                                struct merkle_path *out);
/* All inclusion paths at once, O(n log n): paths[i] is for leaf i. For batch signing.
 * YZ_EINVAL for n 0. */
YZ_MUST_USE int yzi_merkle_paths(const yz_digest *leaves, size_t n, struct merkle_path *paths);
/* A tree kept whole, so that any of its paths is there in O(log n), for batch signing. `nodes` has
 * room for yzi_merkle_tree_nodes(n) hashes and begins with those of the n > 0 leaves; the call adds
 * the others and gives the root. */
size_t yzi_merkle_tree_nodes(size_t n);
void yzi_merkle_tree(yz_digest *nodes, size_t n, yz_digest *out_root);
/* Write the path of leaf `index` < n, yzi_merkle_path_length hashes; returns how many. */
unsigned yzi_merkle_tree_path(const yz_digest *nodes, size_t n, size_t index, yz_digest *out);
/* The length of the inclusion path of `index` in a tree of `size` leaves (RFC 9162 §2.1.3);
 * 0 when index >= size. */
unsigned yzi_merkle_path_length(uint64_t index, uint64_t size);
/* Recompute the root from a leaf hash and its path (RFC 9162 §2.1.3.2). YZ_EMALFORMED when index >=
 * size or the path has not exactly the right length. Compare *out with the signed root. */
YZ_MUST_USE int yzi_merkle_root_from_path(const yz_digest *leaf, uint64_t index, uint64_t size,
                                          const yz_digest *path, size_t path_n, yz_digest *out);
/* Consistency proof between sizes m <= n (else YZ_EINVAL) over given leaves, and its check (RFC
 * 9162 §2.1.4). From the empty tree to any other the proof is empty. */
YZ_MUST_USE int yzi_merkle_consistency(const yz_digest *leaves, size_t m, size_t n,
                                       struct merkle_path *out);
/* YZ_ESIGNATURE when the proof does not connect the two roots, YZ_EMALFORMED when it has not
 * exactly the right length or m > n. */
YZ_MUST_USE int yzi_merkle_check_consistency(uint64_t m, const yz_digest *root_m, uint64_t n,
                                             const yz_digest *root_n, const yz_digest *proof,
                                             size_t proof_n);

#endif
