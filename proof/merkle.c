/* SPDX-License-Identifier: Apache-2.0
 *
 * Merkle trees after RFC 6962 §2.1 (RFC 9162 §2.1 has the same trees and states the checks).
 *
 * Making proofs follows the recursive definition, whose depth is at most log2 n. Checking them
 * follows the bits of index and size instead: seen from leaf i of a tree of n leaves, the lowest
 * bitlen(i ^ (n - 1)) levels are "inner", where bit k of i says on which side the sibling is; above
 * them the way up runs along the right border, where every sibling is on the left and there is one
 * for each bit set in what is left of i.
 */
#include "proof/merkle.h"

#include <sodium.h>

/* -- hashing -- */

void yzi_merkle_leaf2(yz_bytes head, yz_bytes entry, yz_digest *out)
{
    static const uint8_t prefix = 0x00;
    crypto_hash_sha256_state s;
    crypto_hash_sha256_init(&s);
    crypto_hash_sha256_update(&s, &prefix, 1);
    if (head.n) {
        crypto_hash_sha256_update(&s, head.p, head.n);
    }
    if (entry.n) {
        crypto_hash_sha256_update(&s, entry.p, entry.n);
    }
    crypto_hash_sha256_final(&s, out->b);
}

void yzi_merkle_leaf(yz_bytes entry, yz_digest *out)
{
    yzi_merkle_leaf2(yzi_bytes(NULL, 0), entry, out);
}

/* `out` may be `left` or `right`. */
void yzi_merkle_node(const yz_digest *left, const yz_digest *right, yz_digest *out)
{
    uint8_t in[1 + 2 * sizeof left->b];
    in[0] = 0x01;
    memcpy(in + 1, left->b, sizeof left->b);
    memcpy(in + 1 + sizeof left->b, right->b, sizeof right->b);
    crypto_hash_sha256(out->b, in, sizeof in);
}

/* -- making -- */

/* The size of the left subtree: the largest power of two below n; n > 1. */
static size_t split(size_t n)
{
    return (size_t)1 << (63 - __builtin_clzll((unsigned long long)n - 1));
}

static unsigned bit_length(uint64_t v)
{
    return v ? 64u - (unsigned)__builtin_clzll(v) : 0;
}

/* The root of n > 0 leaves. */
static void subtree_root(const yz_digest *leaves, size_t n, yz_digest *out)
{
    if (n == 1) {
        *out = leaves[0];
        return;
    }
    size_t k = split(n);
    yz_digest left, right;
    subtree_root(leaves, k, &left);
    subtree_root(leaves + k, n - k, &right);
    yzi_merkle_node(&left, &right, out);
}

void yzi_merkle_root(const yz_digest *leaves, size_t n, yz_digest *out)
{
    if (n == 0) {
        crypto_hash_sha256(out->b, NULL, 0);
        return;
    }
    subtree_root(leaves, n, out);
}

static void push(struct merkle_path *path, const yz_digest *hash)
{
    YZ_ASSERT(path->n < YZ_PROOF_PATH_MAX); /* no memory holds 2^63 leaves */
    path->hash[path->n++] = *hash;
}

/* PATH(m, D[n]) of RFC 6962 §2.1.1, walked from the root down and then turned round. */
static void inclusion(const yz_digest *leaves, size_t n, size_t m, struct merkle_path *path)
{
    if (n == 1) {
        return;
    }
    size_t k = split(n);
    yz_digest sibling;
    if (m < k) {
        inclusion(leaves, k, m, path);
        subtree_root(leaves + k, n - k, &sibling);
    } else {
        inclusion(leaves + k, n - k, m - k, path);
        subtree_root(leaves, k, &sibling);
    }
    push(path, &sibling);
}

int yzi_merkle_path(const yz_digest *leaves, size_t n, size_t index, struct merkle_path *out)
{
    YZ_ENSURE(index < n, YZ_EINVAL);
    out->n = 0;
    inclusion(leaves, n, index, out);
    return 0;
}

/* Fill the paths of a subtree as far as its own root, which goes to *out. */
static void subtree_paths(const yz_digest *leaves, size_t n, struct merkle_path *paths,
                          yz_digest *out)
{
    if (n == 1) {
        paths[0].n = 0;
        *out = leaves[0];
        return;
    }
    size_t k = split(n);
    yz_digest left, right;
    subtree_paths(leaves, k, paths, &left);
    subtree_paths(leaves + k, n - k, paths + k, &right);
    for (size_t i = 0; i < n; i++) {
        push(&paths[i], i < k ? &right : &left);
    }
    yzi_merkle_node(&left, &right, out);
}

int yzi_merkle_paths(const yz_digest *leaves, size_t n, struct merkle_path *paths)
{
    YZ_ENSURE(n > 0, YZ_EINVAL);
    yz_digest root;
    subtree_paths(leaves, n, paths, &root);
    return 0;
}

/* Level by level: an odd last node rises unchanged. That gives the tree of the recursive
 * definition, where such a node is the root of a smaller right subtree. */
size_t yzi_merkle_tree_nodes(size_t n)
{
    size_t all = n;
    while (n > 1) {
        n = n / 2 + n % 2;
        all += n;
    }
    return all;
}

void yzi_merkle_tree(yz_digest *nodes, size_t n, yz_digest *out_root)
{
    YZ_ASSERT(n > 0);
    while (n > 1) {
        yz_digest *above = nodes + n;
        for (size_t i = 0; i < n / 2; i++) {
            yzi_merkle_node(&nodes[2 * i], &nodes[2 * i + 1], &above[i]);
        }
        if (n % 2) {
            above[n / 2] = nodes[n - 1];
        }
        nodes = above;
        n = n / 2 + n % 2;
    }
    *out_root = nodes[0];
}

unsigned yzi_merkle_tree_path(const yz_digest *nodes, size_t n, size_t index, yz_digest *out)
{
    YZ_ASSERT(index < n);
    unsigned length = 0;
    while (n > 1) {
        if ((index ^ 1) < n) {
            out[length++] = nodes[index ^ 1];
        }
        nodes += n;
        n = n / 2 + n % 2;
        index /= 2;
    }
    return length;
}

/* SUBPROOF(m, D[n], complete) of RFC 6962 §2.1.2; 0 < m <= n. `complete` says that the subtree of
 * the first m leaves is one the checker knows the root of. */
static void subproof(const yz_digest *leaves, size_t m, size_t n, bool complete,
                     struct merkle_path *proof)
{
    yz_digest hash;
    if (m == n) {
        if (!complete) {
            subtree_root(leaves, n, &hash);
            push(proof, &hash);
        }
        return;
    }
    size_t k = split(n);
    if (m <= k) {
        subproof(leaves, m, k, complete, proof);
        subtree_root(leaves + k, n - k, &hash);
    } else {
        subproof(leaves + k, m - k, n - k, false, proof);
        subtree_root(leaves, k, &hash);
    }
    push(proof, &hash);
}

int yzi_merkle_consistency(const yz_digest *leaves, size_t m, size_t n, struct merkle_path *out)
{
    YZ_ENSURE(m <= n, YZ_EINVAL);
    out->n = 0;
    if (m > 0) { /* the empty tree is a prefix of every tree: nothing to prove */
        subproof(leaves, m, n, true, out);
    }
    return 0;
}

/* -- checking -- */

unsigned yzi_merkle_path_length(uint64_t index, uint64_t size)
{
    if (index >= size) {
        return 0;
    }
    unsigned inner = bit_length(index ^ (size - 1));
    uint64_t above = inner < 64 ? index >> inner : 0;
    return inner + (unsigned)__builtin_popcountll(above);
}

int yzi_merkle_root_from_path(const yz_digest *leaf, uint64_t index, uint64_t size,
                              const yz_digest *path, size_t path_n, yz_digest *out)
{
    YZ_ENSURE(index < size, YZ_EMALFORMED);
    YZ_ENSURE(path_n == yzi_merkle_path_length(index, size), YZ_EMALFORMED);
    unsigned inner = bit_length(index ^ (size - 1));
    yz_digest r = *leaf;
    for (unsigned i = 0; i < path_n; i++) {
        if (i >= inner || (index >> i & 1)) {
            yzi_merkle_node(&path[i], &r, &r);
        } else {
            yzi_merkle_node(&r, &path[i], &r);
        }
    }
    *out = r;
    return 0;
}

/* RFC 9162 §2.1.4.2 for 0 < m < n. The proof starts at the largest complete subtree that ends the
 * smaller tree. When that is the whole smaller tree, its root is left out of the proof. */
static int check_growth(uint64_t m, const yz_digest *root_m, uint64_t n, const yz_digest *root_n,
                        const yz_digest *proof, size_t proof_n)
{
    unsigned level = (unsigned)__builtin_ctzll(m); /* of that subtree */
    uint64_t fn = (m - 1) >> level;
    uint64_t sn = (n - 1) >> level;
    size_t used = 0;
    yz_digest small = *root_m;
    if (fn != 0) {
        YZ_ENSURE(proof_n > 0, YZ_EMALFORMED);
        small = proof[used++];
    }
    yz_digest large = small;
    YZ_ENSURE(proof_n - used == yzi_merkle_path_length(fn, sn + 1), YZ_EMALFORMED);
    unsigned inner = bit_length(fn ^ sn);
    for (unsigned i = 0; used < proof_n; i++, used++) {
        if (i >= inner || (fn >> i & 1)) {
            yzi_merkle_node(&proof[used], &small, &small);
            yzi_merkle_node(&proof[used], &large, &large);
        } else {
            yzi_merkle_node(&large, &proof[used], &large);
        }
    }
    YZ_ENSURE(yzi_digest_eq(&small, root_m) && yzi_digest_eq(&large, root_n), YZ_ESIGNATURE);
    return 0;
}

int yzi_merkle_check_consistency(uint64_t m, const yz_digest *root_m, uint64_t n,
                                 const yz_digest *root_n, const yz_digest *proof, size_t proof_n)
{
    YZ_ENSURE(m <= n, YZ_EMALFORMED);
    if (m > 0 && m < n) {
        return check_growth(m, root_m, n, root_n, proof, proof_n);
    }
    YZ_ENSURE(proof_n == 0, YZ_EMALFORMED);
    if (m == 0) {
        yz_digest empty;
        yzi_merkle_root(NULL, 0, &empty);
        YZ_ENSURE(yzi_digest_eq(root_m, &empty), YZ_ESIGNATURE);
    }
    YZ_ENSURE(m < n || yzi_digest_eq(root_m, root_n), YZ_ESIGNATURE);
    return 0;
}
