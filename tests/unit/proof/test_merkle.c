/* SPDX-License-Identifier: Apache-2.0
 *
 * proof/merkle.c against the vectors of the Certificate Transparency reference implementation, and
 * against a word-for-word transcription of RFC 6962 §2.1 in which nothing is clever.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/text.h"
#include "proof/merkle.h"

#define EVERY_SIZE_TO 300u

static yz_digest leaves[EVERY_SIZE_TO];

/* -- the reference -- */

/* MTH(D[lo:lo+n]), remembered because the tests ask for the same subtrees all the time. */
static yz_digest memo[EVERY_SIZE_TO][EVERY_SIZE_TO + 1];
static bool memo_has[EVERY_SIZE_TO][EVERY_SIZE_TO + 1];

static size_t largest_power_of_two_below(size_t n)
{
    size_t k = 1;
    while (k * 2 < n) {
        k *= 2;
    }
    return k;
}

static yz_digest ref_mth(size_t lo, size_t n)
{
    yz_digest out;
    if (n == 0) {
        crypto_hash_sha256(out.b, (const uint8_t *)"", 0);
        return out;
    }
    if (n == 1) {
        return leaves[lo];
    }
    if (!memo_has[lo][n]) {
        size_t k = largest_power_of_two_below(n);
        yz_digest l = ref_mth(lo, k), r = ref_mth(lo + k, n - k);
        uint8_t in[65] = {0x01};
        memcpy(in + 1, l.b, 32);
        memcpy(in + 33, r.b, 32);
        crypto_hash_sha256(memo[lo][n].b, in, sizeof in);
        memo_has[lo][n] = true;
    }
    return memo[lo][n];
}

static void append(struct merkle_path *path, yz_digest d)
{
    path->hash[path->n++] = d;
}

static void ref_path(size_t m, size_t lo, size_t n, struct merkle_path *out)
{
    if (n == 1) {
        out->n = 0;
        return;
    }
    size_t k = largest_power_of_two_below(n);
    if (m < k) {
        ref_path(m, lo, k, out);
        append(out, ref_mth(lo + k, n - k));
    } else {
        ref_path(m - k, lo + k, n - k, out);
        append(out, ref_mth(lo, k));
    }
}

static void ref_subproof(size_t m, size_t lo, size_t n, bool b, struct merkle_path *out)
{
    if (m == n) {
        out->n = 0;
        if (!b) {
            append(out, ref_mth(lo, n));
        }
        return;
    }
    size_t k = largest_power_of_two_below(n);
    if (m <= k) {
        ref_subproof(m, lo, k, b, out);
        append(out, ref_mth(lo + k, n - k));
    } else {
        ref_subproof(m - k, lo + k, n - k, false, out);
        append(out, ref_mth(lo, k));
    }
}

/* -- helpers -- */

static void assert_digest_eq(const yz_digest *a, const yz_digest *b)
{
    assert_memory_equal(a->b, b->b, sizeof a->b);
}

static void assert_path_eq(const struct merkle_path *a, const struct merkle_path *b)
{
    assert_int_equal(a->n, b->n);
    for (unsigned i = 0; i < a->n; i++) {
        assert_digest_eq(&a->hash[i], &b->hash[i]);
    }
}

static yz_digest from_hex(const char *hex)
{
    yz_digest d;
    assert_int_equal(yzi_hex_decode(yzi_bytes_str(hex), d.b, sizeof d.b), 0);
    return d;
}

/* A repeatable pseudo-random number below `bound`. */
static uint32_t pick(uint32_t bound)
{
    static uint64_t state = 0x9e3779b97f4a7c15u;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % bound);
}

static void numbered_leaf(size_t i, yz_digest *out)
{
    uint8_t entry[8];
    yzi_store_u64(entry, i);
    yzi_merkle_leaf(yzi_bytes(entry, sizeof entry), out);
}

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < EVERY_SIZE_TO; i++) {
        numbered_leaf(i, &leaves[i]);
    }
    return sodium_init() < 0 ? -1 : 0;
}

/* -- known answers: Certificate Transparency's merkle tree tests -- */

static const char *const ct_inputs[8] = {"",
                                         "00",
                                         "10",
                                         "2021",
                                         "3031",
                                         "40414243",
                                         "5051525354555657",
                                         "606162636465666768696a6b6c6d6e6f"};

static const char *const ct_roots[9] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

/* a, b are leaf index and size for inclusion (index from 0), or the two sizes for consistency */
static const struct ct_proof {
    size_t a, b;
    unsigned n;
    const char *hash[3];
} ct_paths[] = {
    {0, 1, 0, {NULL}},
    {0,
     8,
     3,
     {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
    {5,
     8,
     3,
     {"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
    {2, 3, 1, {"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"}},
    {1,
     5,
     3,
     {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
};
static const struct ct_proof ct_consistency[] = {
    {1, 1, 0, {NULL}},
    {1,
     8,
     3,
     {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
    {6,
     8,
     3,
     {"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
    {2,
     5,
     2,
     {"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
};

static void ct_leaves(yz_digest *out)
{
    for (size_t i = 0; i < 8; i++) {
        uint8_t entry[16];
        size_t n = strlen(ct_inputs[i]) / 2;
        assert_int_equal(yzi_hex_decode(yzi_bytes_str(ct_inputs[i]), entry, n), 0);
        yzi_merkle_leaf(yzi_bytes(entry, n), &out[i]);
    }
}

static void test_merkle__gives_the_roots_of_certificate_transparency(void **state)
{
    (void)state;
    yz_digest ct[8], got;
    ct_leaves(ct);
    for (size_t n = 0; n <= 8; n++) {
        yz_digest want = from_hex(ct_roots[n]);
        yzi_merkle_root(ct, n, &got);
        assert_digest_eq(&got, &want);
    }
}

static void test_merkle__gives_the_proofs_of_certificate_transparency(void **state)
{
    (void)state;
    yz_digest ct[8], got;
    ct_leaves(ct);
    struct merkle_path path, want;
    for (size_t i = 0; i < sizeof ct_paths / sizeof *ct_paths; i++) {
        const struct ct_proof *v = &ct_paths[i];
        want.n = 0;
        for (unsigned k = 0; k < v->n; k++) {
            append(&want, from_hex(v->hash[k]));
        }
        assert_int_equal(yzi_merkle_path(ct, v->b, v->a, &path), 0);
        assert_path_eq(&path, &want);
        assert_int_equal(yzi_merkle_root_from_path(&ct[v->a], v->a, v->b, want.hash, want.n, &got),
                         0);
        yz_digest root = from_hex(ct_roots[v->b]);
        assert_digest_eq(&got, &root);
    }
    for (size_t i = 0; i < sizeof ct_consistency / sizeof *ct_consistency; i++) {
        const struct ct_proof *v = &ct_consistency[i];
        want.n = 0;
        for (unsigned k = 0; k < v->n; k++) {
            append(&want, from_hex(v->hash[k]));
        }
        assert_int_equal(yzi_merkle_consistency(ct, v->a, v->b, &path), 0);
        assert_path_eq(&path, &want);
        yz_digest a = from_hex(ct_roots[v->a]), b = from_hex(ct_roots[v->b]);
        assert_int_equal(yzi_merkle_check_consistency(v->a, &a, v->b, &b, want.hash, want.n), 0);
    }
}

static void test_merkle__separates_leaves_from_nodes(void **state)
{
    (void)state;
    yz_digest node, leaf, half;
    yzi_merkle_node(&leaves[0], &leaves[1], &node);
    uint8_t both[64];
    memcpy(both, leaves[0].b, 32);
    memcpy(both + 32, leaves[1].b, 32);
    yzi_merkle_leaf(yzi_bytes(both, sizeof both), &leaf);
    assert_memory_not_equal(node.b, leaf.b, 32);
    for (size_t cut = 0; cut <= sizeof both; cut++) {
        yzi_merkle_leaf2(yzi_bytes(both, cut), yzi_bytes(both + cut, sizeof both - cut), &half);
        assert_digest_eq(&half, &leaf);
    }
}

/* -- against the reference -- */

static void test_merkle__agrees_with_the_definition_for_every_small_size(void **state)
{
    (void)state;
    struct merkle_path *paths = calloc(EVERY_SIZE_TO, sizeof *paths);
    assert_non_null(paths);
    for (size_t n = 0; n <= EVERY_SIZE_TO; n++) {
        yz_digest root, want = ref_mth(0, n), got;
        yzi_merkle_root(leaves, n, &root);
        assert_digest_eq(&root, &want);
        if (n > 0) {
            assert_int_equal(yzi_merkle_paths(leaves, n, paths), 0);
        }
        for (size_t i = 0; i < n; i++) {
            struct merkle_path path, one;
            ref_path(i, 0, n, &path);
            assert_path_eq(&paths[i], &path);
            if (n <= 100 || i == n - 1 || pick(16) == 0) {
                assert_int_equal(yzi_merkle_path(leaves, n, i, &one), 0);
                assert_path_eq(&one, &path);
            }
            assert_int_equal(yzi_merkle_path_length(i, n), path.n);
            assert_int_equal(yzi_merkle_root_from_path(&leaves[i], i, n, path.hash, path.n, &got),
                             0);
            assert_digest_eq(&got, &root);
        }
    }
    free(paths);
}

static void test_merkle__keeps_a_tree_that_gives_the_same_root_and_paths(void **state)
{
    (void)state;
    for (size_t n = 1; n <= EVERY_SIZE_TO; n++) {
        yz_digest root, want = ref_mth(0, n);
        yz_digest *nodes =
            calloc(yzi_merkle_tree_nodes(n), sizeof *nodes); /* asan sees more used */
        assert_non_null(nodes);
        memcpy(nodes, leaves, n * sizeof *nodes);
        yzi_merkle_tree(nodes, n, &root);
        assert_digest_eq(&root, &want);
        for (size_t i = 0; i < n; i++) {
            struct merkle_path path, kept;
            ref_path(i, 0, n, &path);
            kept.n = yzi_merkle_tree_path(nodes, n, i, kept.hash);
            assert_path_eq(&kept, &path);
        }
        free(nodes);
    }
}

static void test_merkle__proves_consistency_between_every_two_small_sizes(void **state)
{
    (void)state;
    for (size_t n = 0; n <= EVERY_SIZE_TO; n++) {
        yz_digest root_n = ref_mth(0, n);
        for (size_t m = 0; m <= n; m++) {
            yz_digest root_m = ref_mth(0, m);
            struct merkle_path got, want = {.n = 0};
            if (m > 0) {
                ref_subproof(m, 0, n, true, &want);
            }
            if (n <= 100 || m + 1 >= n || pick(16) == 0) {
                assert_int_equal(yzi_merkle_consistency(leaves, m, n, &got), 0);
                assert_path_eq(&got, &want);
            }
            assert_int_equal(
                yzi_merkle_check_consistency(m, &root_m, n, &root_n, want.hash, want.n), 0);
        }
    }
}

static void test_merkle__proves_in_large_trees_of_random_size(void **state)
{
    (void)state;
    enum { LARGEST = 70000, ROUNDS = 12 };
    yz_digest *many = calloc(LARGEST, sizeof *many);
    assert_non_null(many);
    for (size_t i = 0; i < LARGEST; i++) {
        numbered_leaf(i, &many[i]);
    }
    for (int round = 0; round < ROUNDS; round++) {
        /* the sizes round a power of two first, then any */
        size_t n =
            round < 3 ? 65535u + (size_t)round : EVERY_SIZE_TO + pick(LARGEST - EVERY_SIZE_TO);
        size_t index = round == 0 ? n - 1 : pick((uint32_t)n);
        size_t m = round == 1 ? 32768 : 1 + pick((uint32_t)n);
        yz_digest root, root_m, got;
        struct merkle_path path;
        yzi_merkle_root(many, n, &root);
        yzi_merkle_root(many, m, &root_m);
        assert_int_equal(yzi_merkle_path(many, n, index, &path), 0);
        assert_int_equal(path.n, yzi_merkle_path_length(index, n));
        assert_int_equal(yzi_merkle_root_from_path(&many[index], index, n, path.hash, path.n, &got),
                         0);
        assert_digest_eq(&got, &root);
        assert_int_equal(yzi_merkle_consistency(many, m, n, &path), 0);
        assert_int_equal(yzi_merkle_check_consistency(m, &root_m, n, &root, path.hash, path.n), 0);
    }
    free(many);
}

/* The length by RFC 9162 §2.1.3.2, step by step. */
static unsigned ref_path_length(uint64_t fn, uint64_t size)
{
    uint64_t sn = size - 1;
    unsigned count = 0;
    while (sn != 0) {
        count++;
        if ((fn & 1) || fn == sn) {
            while (!(fn & 1) && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        }
        fn >>= 1;
        sn >>= 1;
    }
    return count;
}

static void test_merkle__knows_path_lengths_of_trees_of_any_size(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint64_t size = ((uint64_t)pick(UINT32_MAX) << 32 | pick(UINT32_MAX)) >> pick(64);
        size = size ? size : 1;
        uint64_t index = ((uint64_t)pick(UINT32_MAX) << 32 | pick(UINT32_MAX)) % size;
        index = pick(4) == 0 ? size - 1 : index;
        assert_int_equal(yzi_merkle_path_length(index, size), ref_path_length(index, size));
    }
    assert_int_equal(yzi_merkle_path_length(0, UINT64_MAX), 64);
    assert_int_equal(yzi_merkle_path_length(UINT64_MAX - 1, UINT64_MAX),
                     ref_path_length(UINT64_MAX - 1, UINT64_MAX));
    assert_int_equal(yzi_merkle_path_length(0, 0), 0);
    assert_int_equal(yzi_merkle_path_length(7, 7), 0);
}

/* -- refusals -- */

static const size_t mutation_sizes[] = {1, 2, 3, 4, 5, 7, 8, 13, 31, 64, 100};
#define MUTATION_SIZES (sizeof mutation_sizes / sizeof *mutation_sizes)

static bool proves(const yz_digest *leaf, uint64_t index, uint64_t size,
                   const struct merkle_path *path, const yz_digest *root)
{
    yz_digest got;
    return yzi_merkle_root_from_path(leaf, index, size, path->hash, path->n, &got) == 0 &&
           yzi_digest_eq(&got, root);
}

static void test_inclusion__refuses_every_single_bit_mutation(void **state)
{
    (void)state;
    for (size_t s = 0; s < MUTATION_SIZES; s++) {
        size_t n = mutation_sizes[s];
        yz_digest root = ref_mth(0, n);
        for (size_t i = 0; i < n; i += 1 + n / 8) {
            struct merkle_path path;
            ref_path(i, 0, n, &path);
            yz_digest leaf = leaves[i];
            assert_true(proves(&leaf, i, n, &path, &root));
            for (unsigned bit = 0; bit < path.n * 256; bit++) {
                path.hash[bit / 256].b[bit % 256 / 8] ^= (uint8_t)(1u << bit % 8);
                assert_false(proves(&leaf, i, n, &path, &root));
                path.hash[bit / 256].b[bit % 256 / 8] ^= (uint8_t)(1u << bit % 8);
            }
            for (unsigned bit = 0; bit < 256; bit++) {
                leaf.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_false(proves(&leaf, i, n, &path, &root));
                leaf.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
            }
            for (size_t j = 0; j < n; j++) {
                assert_true(proves(&leaf, j, n, &path, &root) == (i == j));
            }
        }
    }
}

static void test_inclusion__refuses_a_path_of_another_length(void **state)
{
    (void)state;
    yz_digest got = leaves[7];
    struct merkle_path path = {.n = 0};
    for (size_t n = 1; n <= 65; n++) {
        for (size_t i = 0; i < n; i++) {
            ref_path(i, 0, n, &path);
            for (unsigned len = 0; len < YZ_PROOF_PATH_MAX; len++) {
                int want = len == path.n ? 0 : YZ_EMALFORMED;
                yz_digest out = leaves[7];
                assert_int_equal(yzi_merkle_root_from_path(&leaves[i], i, n, path.hash, len, &out),
                                 want);
                if (want < 0) {
                    assert_digest_eq(&out, &got); /* written only on success */
                }
            }
        }
    }
    assert_int_equal(yzi_merkle_root_from_path(&leaves[0], 1, 1, NULL, 0, &got), YZ_EMALFORMED);
    assert_int_equal(yzi_merkle_root_from_path(&leaves[0], 0, 0, NULL, 0, &got), YZ_EMALFORMED);
    assert_int_equal(yzi_merkle_root_from_path(&leaves[0], UINT64_MAX, UINT64_MAX, NULL, 0, &got),
                     YZ_EMALFORMED);
}

static void test_consistency__refuses_every_single_bit_mutation(void **state)
{
    (void)state;
    for (size_t s = 0; s < MUTATION_SIZES; s++) {
        size_t n = mutation_sizes[s];
        for (size_t m = 1; m <= n; m += 1 + n / 16) {
            yz_digest root_m = ref_mth(0, m), root_n = ref_mth(0, n);
            struct merkle_path p;
            ref_subproof(m, 0, n, true, &p);
            assert_int_equal(yzi_merkle_check_consistency(m, &root_m, n, &root_n, p.hash, p.n), 0);
            for (unsigned bit = 0; bit < (p.n + 2) * 256; bit++) {
                uint8_t *b = bit / 256 < p.n    ? p.hash[bit / 256].b
                             : bit / 256 == p.n ? root_m.b
                                                : root_n.b;
                b[bit % 256 / 8] ^= (uint8_t)(1u << bit % 8);
                assert_int_equal(yzi_merkle_check_consistency(m, &root_m, n, &root_n, p.hash, p.n),
                                 YZ_ESIGNATURE);
                b[bit % 256 / 8] ^= (uint8_t)(1u << bit % 8);
            }
        }
    }
}

static void test_consistency__refuses_a_proof_of_another_length(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 65; n++) {
        yz_digest root_n = ref_mth(0, n);
        for (size_t m = 0; m <= n; m++) {
            yz_digest root_m = ref_mth(0, m);
            struct merkle_path p = {.n = 0};
            if (m > 0) {
                ref_subproof(m, 0, n, true, &p);
            }
            for (unsigned len = 0; len < YZ_PROOF_PATH_MAX; len++) {
                assert_int_equal(yzi_merkle_check_consistency(m, &root_m, n, &root_n, p.hash, len),
                                 len == p.n ? 0 : YZ_EMALFORMED);
            }
        }
    }
}

static void test_consistency__refuses_shrinking_and_foreign_roots(void **state)
{
    (void)state;
    yz_digest empty = ref_mth(0, 0), five = ref_mth(0, 5), other = ref_mth(1, 5);
    struct merkle_path p;
    assert_int_equal(yzi_merkle_check_consistency(6, &five, 5, &five, NULL, 0), YZ_EMALFORMED);
    assert_int_equal(yzi_merkle_check_consistency(5, &five, 5, &other, NULL, 0), YZ_ESIGNATURE);
    assert_int_equal(yzi_merkle_check_consistency(0, &empty, 5, &five, NULL, 0), 0);
    assert_int_equal(yzi_merkle_check_consistency(0, &five, 5, &five, NULL, 0), YZ_ESIGNATURE);
    assert_int_equal(yzi_merkle_check_consistency(0, &empty, 0, &five, NULL, 0), YZ_ESIGNATURE);
    assert_int_equal(yzi_merkle_consistency(leaves, 6, 5, &p), YZ_EINVAL);
    assert_int_equal(yzi_merkle_path(leaves, 5, 5, &p), YZ_EINVAL);
    assert_int_equal(yzi_merkle_paths(leaves, 0, &p), YZ_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merkle__gives_the_roots_of_certificate_transparency),
        cmocka_unit_test(test_merkle__gives_the_proofs_of_certificate_transparency),
        cmocka_unit_test(test_merkle__separates_leaves_from_nodes),
        cmocka_unit_test(test_merkle__agrees_with_the_definition_for_every_small_size),
        cmocka_unit_test(test_merkle__keeps_a_tree_that_gives_the_same_root_and_paths),
        cmocka_unit_test(test_merkle__proves_consistency_between_every_two_small_sizes),
        cmocka_unit_test(test_merkle__proves_in_large_trees_of_random_size),
        cmocka_unit_test(test_merkle__knows_path_lengths_of_trees_of_any_size),
        cmocka_unit_test(test_inclusion__refuses_every_single_bit_mutation),
        cmocka_unit_test(test_inclusion__refuses_a_path_of_another_length),
        cmocka_unit_test(test_consistency__refuses_every_single_bit_mutation),
        cmocka_unit_test(test_consistency__refuses_a_proof_of_another_length),
        cmocka_unit_test(test_consistency__refuses_shrinking_and_foreign_roots),
    };
    return cmocka_run_group_tests_name("merkle", tests, setup, NULL);
}
