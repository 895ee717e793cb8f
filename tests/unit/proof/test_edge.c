/* SPDX-License-Identifier: Apache-2.0
 *
 * proof/edge.c against proof/merkle.c, which holds all leaves: every size to 2,000, and larger
 * ones; every index of each, or some.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>

#include "proof/edge.h"

#define LEAVES 70000u
#define EVERY_SIZE_TO 2000u

static yz_digest leaves[LEAVES];
static uint64_t size_now; /* no node beyond it may be asked for */

static int node_of(void *ctx, unsigned level, uint64_t number, yz_digest *out)
{
    (void)ctx;
    assert_true(level < 63 && (number + 1) << level <= size_now);
    yzi_merkle_root(leaves + (number << level), (size_t)1 << level, out);
    return 0;
}

static const struct tree_source source = {node_of, NULL};

static void check_path(const struct tree_edge *e, uint64_t index)
{
    struct merkle_path path;
    yz_digest root;
    assert_int_equal(yzi_tree_path(&source, e, index, &path), 0);
    assert_int_equal(path.n, yzi_merkle_path_length(index, e->size));
    assert_int_equal(
        yzi_merkle_root_from_path(&leaves[index], index, e->size, path.hash, path.n, &root), 0);
    assert_memory_equal(&root, &e->root, sizeof root);
}

static void check_size(uint64_t n, uint64_t step)
{
    struct tree_edge e;
    yz_digest root;
    size_now = n;
    assert_int_equal(yzi_tree_edge(&source, n, &e), 0);
    yzi_merkle_root(leaves, n, &root);
    assert_memory_equal(&root, &e.root, sizeof root);
    for (uint64_t i = 0; i < n; i += step) {
        check_path(&e, i);
    }
    if (n) {
        check_path(&e, n - 1);
    }
    struct merkle_path path;
    assert_int_equal(yzi_tree_path(&source, &e, n, &path), YZ_EINVAL);
}

static void test_edge__every_size(void **state)
{
    (void)state;
    for (uint64_t n = 0; n <= EVERY_SIZE_TO; n++) {
        check_size(n, n < 70 ? 1 : n / 7);
    }
}

static void test_edge__large_sizes(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {2047, 4096, 4097, 65535, 65536, 65537, 66000, LEAVES};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_size(sizes[i], 9973);
    }
}

static int failing(void *ctx, unsigned level, uint64_t number, yz_digest *out)
{
    unsigned *left = ctx;
    return (*left)-- == 0 ? YZ_EIO : node_of(NULL, level, number, out);
}

static void test_edge__passes_on_failures(void **state)
{
    (void)state;
    struct tree_edge e;
    size_now = 1023;
    unsigned failures = 0;
    for (unsigned at = 0; at < 64; at++) {
        unsigned left = at;
        struct tree_source bad = {failing, &left};
        int rc = yzi_tree_edge(&bad, size_now, &e);
        assert_true(rc == YZ_OK || rc == YZ_EIO);
        failures += rc < 0;
    }
    assert_int_equal(failures, 10); /* as many nodes as 1023 has bits */
    assert_int_equal(yzi_tree_edge(&source, YZ_EDGE_SIZE_MAX + 1, &e), YZ_ELIMIT);
}

static void test_tile__completes_its_nodes(void **state)
{
    (void)state;
    static struct tile t;
    yz_digest root;
    yzi_tile_init(&t, 0, 3);
    for (unsigned i = 0; i < TILE_WIDTH; i++) {
        yzi_tile_add(&t, &leaves[i]);
        for (unsigned row = 0; row <= TILE_BITS && (i + 1) >> row; row++) {
            unsigned place = ((i + 1) >> row) - 1;
            yzi_merkle_root(leaves + (place << row), (size_t)1 << row, &root);
            assert_memory_equal(yzi_tile_node(&t, row, place), &root, sizeof root);
        }
    }
    yzi_merkle_root(leaves, TILE_WIDTH, &root);
    assert_memory_equal(yzi_tile_root(&t), &root, sizeof root);
}

int main(void)
{
    for (uint32_t i = 0; i < LEAVES; i++) {
        crypto_hash_sha256(leaves[i].b, (const uint8_t *)&i, sizeof i);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edge__every_size),
        cmocka_unit_test(test_edge__large_sizes),
        cmocka_unit_test(test_edge__passes_on_failures),
        cmocka_unit_test(test_tile__completes_its_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
