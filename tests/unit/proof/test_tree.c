/* SPDX-License-Identifier: Apache-2.0
 *
 * proof/tree: roots, inclusion and consistency proofs from stored nodes, against the definition for
 * every size to 2,000, for some larger ones, and for trees nobody can hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/proof/grown.h"

#define SIZES 2000u
#define ALL_PAIRS_TO 200u
#define LARGE 70000u

static struct grown small, large;

static int grow(void **state)
{
    (void)state;
    yz_grown_init(&small, SIZES);
    yz_grown_init(&large, LARGE);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    yz_grown_fini(&small);
    yz_grown_fini(&large);
    return 0;
}

static void check_inclusion(struct grown *g, uint64_t index, uint64_t size, const yz_digest *root)
{
    struct merkle_path p;
    yz_digest got;
    assert_int_equal(yzi_nodes_path(index, size, yz_grown_node, g, &p), 0);
    assert_int_equal(yzi_merkle_root_from_path(&g->leaves[index], index, size, p.hash, p.n, &got),
                     0);
    assert_true(yzi_digest_eq(&got, root));
}

static void check_consistency(struct grown *g, uint64_t m, const yz_digest *root_m, uint64_t n,
                              const yz_digest *root_n)
{
    struct merkle_path p;
    assert_int_equal(yzi_nodes_consistency(m, n, yz_grown_node, g, &p), 0);
    assert_int_equal(yzi_merkle_check_consistency(m, root_m, n, root_n, p.hash, p.n), 0);
    if (p.n > 0) { /* and not because anything passes */
        p.hash[p.n / 2].b[7] ^= 0x10;
        assert_int_equal(yzi_merkle_check_consistency(m, root_m, n, root_n, p.hash, p.n),
                         YZ_ESIGNATURE);
    }
}

static void test_root__is_the_definition_for_every_size(void **state)
{
    (void)state;
    struct merkle_frontier f = {0};
    for (size_t n = 0; n <= SIZES; n++) {
        yz_digest want = yz_reference_root(small.leaves, n), got;
        yzi_frontier_root(&f, &got);
        assert_true(yzi_digest_eq(&got, &want));
        assert_int_equal(yzi_nodes_root(n, yz_grown_node, &small, &got), 0);
        assert_true(yzi_digest_eq(&got, &want));
        if (n < SIZES) {
            assert_int_equal(yzi_frontier_append(&f, &small.leaves[n], NULL, NULL), 0);
        }
    }
}

static void test_proofs__hold_for_every_size(void **state)
{
    (void)state;
    static yz_digest roots[SIZES + 1];
    uint64_t seed = 1;
    for (size_t n = 0; n <= SIZES; n++) {
        roots[n] = yz_reference_root(small.leaves, n);
        bool all = n <= ALL_PAIRS_TO;
        for (size_t i = 0; i < (all ? n : 24); i++) {
            uint64_t at = all ? i : i == 0 ? 0 : i == 1 ? n - 1 : yz_next_random(&seed) % n;
            check_inclusion(&small, at, n, &roots[n]);
            check_consistency(&small, at, &roots[at], n, &roots[n]);
        }
        check_consistency(&small, n, &roots[n], n, &roots[n]);
    }
}

/* The same hashes, one by one, as those made from the leaves. */
static void test_proofs__are_those_made_from_leaves(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 70; n++) {
        for (size_t i = 0; i < n; i++) {
            struct merkle_path a, b;
            assert_int_equal(yzi_merkle_path(small.leaves, n, i, &a), 0);
            assert_int_equal(yzi_nodes_path(i, n, yz_grown_node, &small, &b), 0);
            assert_true(a.n == b.n && memcmp(a.hash, b.hash, a.n * sizeof a.hash[0]) == 0);
            assert_int_equal(yzi_merkle_consistency(small.leaves, i, n, &a), 0);
            assert_int_equal(yzi_nodes_consistency(i, n, yz_grown_node, &small, &b), 0);
            assert_true(a.n == b.n && memcmp(a.hash, b.hash, a.n * sizeof a.hash[0]) == 0);
        }
    }
}

static void test_proofs__hold_for_random_larger_sizes(void **state)
{
    (void)state;
    uint64_t seed = 2;
    uint64_t before = 65536;
    yz_digest root_before = yz_reference_root(large.leaves, before);
    for (unsigned round = 0; round < 8; round++) {
        uint64_t n = SIZES + yz_next_random(&seed) % (LARGE - SIZES);
        yz_digest root = yz_reference_root(large.leaves, n), got;
        assert_int_equal(yzi_nodes_root(n, yz_grown_node, &large, &got), 0);
        assert_true(yzi_digest_eq(&got, &root));
        for (unsigned i = 0; i < 200; i++) {
            check_inclusion(&large, yz_next_random(&seed) % n, n, &root);
        }
        bool rising = before <= n;
        check_consistency(&large, rising ? before : n, rising ? &root_before : &root,
                          rising ? n : before, rising ? &root : &root_before);
        before = n;
        root_before = root;
    }
}

static void test_frontier__loads_from_nodes_and_goes_on(void **state)
{
    (void)state;
    for (size_t n = 0; n < 300; n += 7) {
        struct merkle_frontier f;
        assert_int_equal(yzi_frontier_load(n, yz_grown_node, &small, &f), 0);
        for (size_t i = n; i < n + 20; i++) {
            assert_int_equal(yzi_frontier_append(&f, &small.leaves[i], NULL, NULL), 0);
        }
        yz_digest want = yz_reference_root(small.leaves, n + 20), got;
        yzi_frontier_root(&f, &got);
        assert_true(yzi_digest_eq(&got, &want));
    }
}

/* -- trees whose leaves are all alike: any size, no memory -- */

static int alike(void *ctx, unsigned level, uint64_t index, yz_digest *out)
{
    (void)ctx;
    (void)index;
    yz_grown_leaf(0, out);
    for (unsigned l = 0; l < level; l++) {
        yzi_merkle_node(out, out, out);
    }
    return 0;
}

static yz_digest alike_root(uint64_t n)
{
    yz_digest out;
    if ((n & (n - 1)) == 0) {
        assert_int_equal(alike(NULL, (unsigned)__builtin_ctzll(n), 0, &out), 0);
        return out;
    }
    uint64_t k = UINT64_C(1) << (63 - __builtin_clzll(n));
    yz_digest left = alike_root(k), right = alike_root(n - k);
    yzi_merkle_node(&left, &right, &out);
    return out;
}

static void test_proofs__hold_for_sizes_nobody_can_hold(void **state)
{
    (void)state;
    uint64_t seed = 3;
    yz_digest leaf, got;
    yz_grown_leaf(0, &leaf);
    for (unsigned round = 0; round < 200; round++) {
        uint64_t n = 1 + (yz_next_random(&seed) >> (2 + round % 40));
        uint64_t m = 1 + yz_next_random(&seed) % n;
        yz_digest root = alike_root(n), root_m = alike_root(m);
        struct merkle_path p;
        assert_int_equal(yzi_nodes_path(m - 1, n, alike, NULL, &p), 0);
        assert_int_equal(yzi_merkle_root_from_path(&leaf, m - 1, n, p.hash, p.n, &got), 0);
        assert_true(yzi_digest_eq(&got, &root));
        assert_int_equal(yzi_nodes_consistency(m, n, alike, NULL, &p), 0);
        assert_int_equal(yzi_merkle_check_consistency(m, &root_m, n, &root, p.hash, p.n), 0);
    }
}

static void test_sizes__beyond_the_last_are_refused(void **state)
{
    (void)state;
    const uint64_t most = UINT64_C(1) << 63;
    struct merkle_path p;
    struct merkle_frontier f;
    yz_digest d = {{0}};
    assert_int_equal(yzi_nodes_path(most - 1, most, alike, NULL, &p), 0);
    assert_int_equal(p.n, YZ_PROOF_PATH_MAX);
    assert_int_equal(yzi_nodes_path(0, most + 1, alike, NULL, &p), YZ_EINVAL);
    assert_int_equal(yzi_nodes_path(5, 5, alike, NULL, &p), YZ_EINVAL);
    assert_int_equal(yzi_nodes_consistency(3, most / 2, alike, NULL, &p), 0);
    assert_int_equal(p.n, YZ_PROOF_PATH_MAX);
    assert_int_equal(yzi_nodes_consistency(3, most / 2 + 1, alike, NULL, &p), YZ_EINVAL);
    assert_int_equal(yzi_nodes_consistency(6, 5, alike, NULL, &p), YZ_EINVAL);
    assert_int_equal(yzi_frontier_load(most, alike, NULL, &f), 0);
    assert_int_equal(yzi_frontier_append(&f, &d, NULL, NULL), YZ_ELIMIT);
    assert_int_equal(yzi_frontier_load(most + 1, alike, NULL, &f), YZ_EINVAL);
}

/* -- failures of whoever keeps the nodes -- */

static int fails_at_second(void *ctx, unsigned level, uint64_t index, yz_digest *out)
{
    unsigned *calls = ctx;
    return ++*calls == 2 ? YZ_EIO : alike(NULL, level, index, out);
}

static int refuses_level_one(void *ctx, unsigned level, uint64_t index, const yz_digest *hash)
{
    (void)ctx;
    (void)index;
    (void)hash;
    return level == 1 ? YZ_EDISKFULL : 0;
}

static void test_failures__are_passed_on(void **state)
{
    (void)state;
    struct merkle_path p;
    struct merkle_frontier f = {0}, before;
    yz_digest d = {{1}};
    unsigned calls = 0;
    assert_int_equal(yzi_nodes_path(0, 100, fails_at_second, &calls, &p), YZ_EIO);
    calls = 0;
    assert_int_equal(yzi_nodes_consistency(3, 100, fails_at_second, &calls, &p), YZ_EIO);
    calls = 0;
    assert_int_equal(yzi_nodes_root(100, fails_at_second, &calls, &d), YZ_EIO);
    assert_int_equal(yzi_frontier_append(&f, &d, refuses_level_one, NULL), 0);
    before = f;
    assert_int_equal(yzi_frontier_append(&f, &d, refuses_level_one, NULL), YZ_EDISKFULL);
    assert_memory_equal(&f, &before, sizeof f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root__is_the_definition_for_every_size),
        cmocka_unit_test(test_proofs__hold_for_every_size),
        cmocka_unit_test(test_proofs__are_those_made_from_leaves),
        cmocka_unit_test(test_proofs__hold_for_random_larger_sizes),
        cmocka_unit_test(test_frontier__loads_from_nodes_and_goes_on),
        cmocka_unit_test(test_proofs__hold_for_sizes_nobody_can_hold),
        cmocka_unit_test(test_sizes__beyond_the_last_are_refused),
        cmocka_unit_test(test_failures__are_passed_on),
    };
    return cmocka_run_group_tests(tests, grow, drop);
}
