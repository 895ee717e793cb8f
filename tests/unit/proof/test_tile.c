/* SPDX-License-Identifier: Apache-2.0
 *
 * proof/tile: names as C2SP tlog-tiles has them, which tiles a size needs, and proofs from them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proof/tile.h"
#include "tests/unit/proof/grown.h"

#define LARGE 70000u /* the specification's example */

static struct grown tree;

static int grow(void **state)
{
    (void)state;
    yz_grown_init(&tree, LARGE);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    yz_grown_fini(&tree);
    return 0;
}

/* -- names -- */

static void test_path__both_ways(void **state)
{
    (void)state;
    static const struct {
        struct tile_name name;
        const char *path;
    } rows[] = {
        {{false, 0, 0, 256}, "tile/0/000"},
        {{false, 0, 0, 1}, "tile/0/000.p/1"},
        {{false, 3, 999, 256}, "tile/3/999"},
        {{false, 0, 1000, 256}, "tile/0/x001/000"},
        {{false, 0, 1234067, 256}, "tile/0/x001/x234/067"}, /* the specification's */
        {{false, 7, 1234067, 255}, "tile/7/x001/x234/067.p/255"},
        {{true, 0, 273, 112}, "tile/entries/273.p/112"},
        {{true, 0, UINT64_MAX, 17}, "tile/entries/x018/x446/x744/x073/x709/x551/615.p/17"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[TILE_PATH_MAX];
        struct tile_name t;
        yzi_tile_path(&rows[i].name, path);
        assert_string_equal(path, rows[i].path);
        assert_int_equal(yzi_tile_path_parse(yzi_bytes_str(rows[i].path), &t), 0);
        assert_true(t.entries == rows[i].name.entries && t.level == rows[i].name.level);
        assert_true(t.index == rows[i].name.index && t.width == rows[i].name.width);
    }
}

static void test_path__has_one_form(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "/",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/00/000",
        "tile/8/000",
        "tile/-1/000",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000",
        "tile/0/x000/001",
        "tile/0/001/",
        "tile/0/001/002",
        "tile/0/x001/x002",
        "tile/0/001.p",
        "tile/0/001.p/",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/01",
        "tile/0/001.p/1/",
        "tile/0/001.p/x",
        "tile/0/0a1",
        "tile/0/X001/002",
        "tile/entries/1",
        "tile/entry/001",
        "TILE/0/000",
        "/tile/0/000",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/0/001.q/1",
        "tile//000",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tile_name t;
        assert_int_equal(yzi_tile_path_parse(yzi_bytes_str(bad[i]), &t), YZ_EMALFORMED);
    }
}

/* -- which -- */

static void test_width__of_the_specifications_example(void **state)
{
    (void)state;
    assert_int_equal(yzi_tile_hashes(LARGE, 0) / 256, 273);
    assert_int_equal(yzi_tile_width(LARGE, 0, 272), 256);
    assert_int_equal(yzi_tile_width(LARGE, 0, 273), 112);
    assert_int_equal(yzi_tile_width(LARGE, 0, 274), 0);
    assert_int_equal(yzi_tile_width(LARGE, 1, 0), 256);
    assert_int_equal(yzi_tile_width(LARGE, 1, 1), 17);
    assert_int_equal(yzi_tile_width(LARGE, 2, 0), 1);
    assert_int_equal(yzi_tile_width(LARGE, 3, 0), 0);
    assert_int_equal(yzi_tile_width(256, 0, 0), 256);
    assert_int_equal(yzi_tile_width(256, 0, 1), 0);
    assert_int_equal(yzi_tile_width(256, 1, 0), 1);
    assert_int_equal(yzi_tile_width(0, 0, 0), 0);
    assert_int_equal(yzi_tile_width(UINT64_MAX, 8, 0), 0);
    assert_int_equal(yzi_tile_width(UINT64_C(1) << 63, 7, 0), 128);
}

struct seen {
    char paths[40][TILE_PATH_MAX];
    unsigned n, stop_at;
};

static int note(void *ctx, const struct tile_name *t)
{
    struct seen *s = ctx;
    assert_true(s->n < 40);
    yzi_tile_path(t, s->paths[s->n++]);
    return s->n == s->stop_at ? YZ_EIO : 0;
}

static void each(uint64_t old, uint64_t size, const char *const *want)
{
    struct seen s = {.n = 0};
    assert_int_equal(yzi_tiles_each(old, size, note, &s), 0);
    for (unsigned i = 0; i < s.n; i++) {
        assert_non_null(want[i]);
        assert_string_equal(s.paths[i], want[i]);
    }
    assert_null(want[s.n]);
}

static void test_each__is_what_growth_needs(void **state)
{
    (void)state;
    each(0, 0, (const char *[]){NULL});
    each(0, 1, (const char *[]){"tile/entries/000.p/1", "tile/0/000.p/1", NULL});
    each(5, 5, (const char *[]){NULL});
    each(5, 7, (const char *[]){"tile/entries/000.p/7", "tile/0/000.p/7", NULL});
    each(250, 256, (const char *[]){"tile/entries/000", "tile/0/000", "tile/1/000.p/1", NULL});
    each(256, 257, (const char *[]){"tile/entries/001.p/1", "tile/0/001.p/1", NULL});
    each(200, 600,
         (const char *[]){"tile/entries/000", "tile/entries/001", "tile/entries/002.p/88",
                          "tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", NULL});
    each(65535, 65536,
         (const char *[]){"tile/entries/255", "tile/0/255", "tile/1/000", "tile/2/000.p/1", NULL});
    struct seen s = {.stop_at = 2};
    assert_int_equal(yzi_tiles_each(200, 600, note, &s), YZ_EIO);
    assert_int_equal(s.n, 2);
    assert_int_equal(yzi_tiles_each(2, 1, note, &s), YZ_EINVAL);
}

/* -- proofs -- */

/* Tiles made of the grown tree as they are asked for. */
struct shelf {
    uint8_t bytes[TILE_BYTES + 1];
    bool no_partial, cut;
    /* one byte of one tile is another */
    struct tile_name spoiled;
    size_t spoil_at;
    uint8_t spoil_with;
};

static int read_tile(void *ctx, const struct tile_name *t, yz_bytes *out)
{
    struct shelf *s = ctx;
    if (s->no_partial && t->width < TILE_HASHES) {
        return YZ_ENOTFOUND;
    }
    for (unsigned i = 0; i < t->width; i++) {
        const yz_digest *h = &tree.level[8 * t->level][t->index * TILE_HASHES + i];
        memcpy(s->bytes + 32 * (size_t)i, h->b, 32);
    }
    if (t->level == s->spoiled.level && t->index == s->spoiled.index) {
        s->bytes[s->spoil_at] ^= s->spoil_with;
    }
    *out = yzi_bytes(s->bytes, 32 * (size_t)t->width - (s->cut ? 1 : 0));
    return 0;
}

static void test_proofs__from_tiles_are_those_from_nodes(void **state)
{
    (void)state;
    static struct shelf s;
    static const uint64_t sizes[] = {1,   2,    255,   256,   257,   511,
                                     512, 1000, 65535, 65536, 65537, LARGE};
    uint64_t seed = 4;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct tile_source source = {read_tile, &s, sizes[i]};
        yz_digest a, b;
        assert_int_equal(yzi_nodes_root(sizes[i], yzi_tile_node_hash, &source, &a), 0);
        assert_int_equal(yzi_nodes_root(sizes[i], yz_grown_node, &tree, &b), 0);
        assert_true(yzi_digest_eq(&a, &b));
        for (unsigned round = 0; round < 20; round++) {
            struct merkle_path p, q;
            uint64_t at = yz_next_random(&seed) % sizes[i];
            assert_int_equal(yzi_nodes_path(at, sizes[i], yzi_tile_node_hash, &source, &p), 0);
            assert_int_equal(yzi_nodes_path(at, sizes[i], yz_grown_node, &tree, &q), 0);
            assert_true(p.n == q.n && memcmp(p.hash, q.hash, p.n * sizeof p.hash[0]) == 0);
            assert_int_equal(yzi_nodes_consistency(at, sizes[i], yzi_tile_node_hash, &source, &p),
                             0);
            assert_int_equal(yzi_nodes_consistency(at, sizes[i], yz_grown_node, &tree, &q), 0);
            assert_true(p.n == q.n && memcmp(p.hash, q.hash, p.n * sizeof p.hash[0]) == 0);
        }
    }
}

static void test_partial__is_read_from_the_full_one_when_it_is_gone(void **state)
{
    (void)state;
    static struct shelf s = {.no_partial = true};
    struct tile_source source = {read_tile, &s, 600};
    yz_digest a, b;
    assert_int_equal(yzi_nodes_root(600, yzi_tile_node_hash, &source, &a), 0);
    assert_int_equal(yzi_nodes_root(600, yz_grown_node, &tree, &b), 0);
    assert_true(yzi_digest_eq(&a, &b));
    s.cut = true;
    assert_int_equal(yzi_nodes_root(600, yzi_tile_node_hash, &source, &a), YZ_ECORRUPT);
}

static void test_node__that_is_not_there(void **state)
{
    (void)state;
    static struct shelf s;
    struct tile_source source = {read_tile, &s, 600};
    yz_digest d;
    assert_int_equal(yzi_tile_node_hash(&source, 0, 599, &d), 0);
    assert_int_equal(yzi_tile_node_hash(&source, 0, 600, &d), YZ_ENOTFOUND);
    assert_int_equal(yzi_tile_node_hash(&source, 3, 75, &d), YZ_ENOTFOUND);
    assert_int_equal(yzi_tile_node_hash(&source, 9, 1, &d), YZ_ENOTFOUND);
    assert_int_equal(yzi_tile_node_hash(&source, 64, 0, &d), YZ_ENOTFOUND);
    assert_int_equal(yzi_tile_node_hash(&source, 7, UINT64_MAX, &d), YZ_ENOTFOUND);
}

/* Whoever reads all of a log's tiles against its root sees any byte that was changed: at level 0
 * the root comes out another, above it a tile does not have the roots of those below. */
static bool is_sound(struct tile_source *source, const yz_digest *root)
{
    uint64_t full = yzi_tile_hashes(source->size, 0) / TILE_HASHES;
    yz_digest got, stored;
    struct merkle_frontier f = {0};
    for (uint64_t i = 0; i <= full; i++) {
        struct tile_name t = {.index = i, .width = yzi_tile_width(source->size, 0, i)};
        yz_bytes bytes;
        assert_int_equal(source->read(source->ctx, &t, &bytes), 0);
        for (unsigned h = 0; h < t.width; h++) {
            memcpy(got.b, bytes.p + 32 * (size_t)h, 32);
            assert_int_equal(yzi_frontier_append(&f, &got, NULL, NULL), 0);
        }
        if (t.width == TILE_HASHES) {
            yzi_tile_bytes_root(bytes, &got);
            assert_int_equal(yzi_tile_node_hash(source, 8, i, &stored), 0);
            if (!yzi_digest_eq(&got, &stored)) {
                return false;
            }
        }
    }
    yzi_frontier_root(&f, &got);
    return yzi_digest_eq(&got, root);
}

static void test_mutation__of_any_byte_of_any_tile_is_seen(void **state)
{
    (void)state;
    static struct shelf s;
    struct tile_source source = {read_tile, &s, 300};
    yz_digest root;
    assert_int_equal(yzi_nodes_root(300, yz_grown_node, &tree, &root), 0);
    assert_true(is_sound(&source, &root));
    for (unsigned level = 0; level < 2; level++) {
        for (uint64_t i = 0; i < 2 - level; i++) {
            s.spoiled = (struct tile_name){.level = level, .index = i};
            size_t n = 32 * (size_t)yzi_tile_width(300, level, i);
            for (s.spoil_at = 0; s.spoil_at < n; s.spoil_at++) {
                s.spoil_with = (uint8_t)(1u << s.spoil_at % 8);
                assert_false(is_sound(&source, &root));
            }
        }
    }
}

/* -- bundles -- */

static void test_bundle__both_ways(void **state)
{
    (void)state;
    static uint8_t most[UINT16_MAX + 1];
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 20};
    yz_bytes e;
    assert_int_equal(yzi_entries_put(yzi_bytes_str("one"), &b), 0);
    assert_int_equal(yzi_entries_put((yz_bytes){0}, &b), 0);
    assert_int_equal(yzi_entries_put(yzi_bytes(most, UINT16_MAX), &b), 0);
    assert_int_equal(yzi_entries_put(yzi_bytes(most, sizeof most), &b), YZ_EINVAL);
    yz_reader r = yzi_reader(yzi_bytes_buf(&b));
    assert_int_equal(yzi_entries_next(&r, &e), 0);
    assert_true(yzi_bytes_eq_str(e, "one"));
    assert_int_equal(yzi_entries_next(&r, &e), 0);
    assert_int_equal(e.n, 0);
    assert_int_equal(yzi_entries_next(&r, &e), 0);
    assert_int_equal(e.n, UINT16_MAX);
    assert_int_equal(r.left, 0);
    for (size_t n = 0; n < 5; n++) { /* cut off: nothing is consumed */
        r = yzi_reader(yzi_bytes(b.p, n));
        assert_int_equal(yzi_entries_next(&r, &e), YZ_EMALFORMED);
        assert_int_equal(r.left, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path__both_ways),
        cmocka_unit_test(test_path__has_one_form),
        cmocka_unit_test(test_width__of_the_specifications_example),
        cmocka_unit_test(test_each__is_what_growth_needs),
        cmocka_unit_test(test_proofs__from_tiles_are_those_from_nodes),
        cmocka_unit_test(test_partial__is_read_from_the_full_one_when_it_is_gone),
        cmocka_unit_test(test_node__that_is_not_there),
        cmocka_unit_test(test_mutation__of_any_byte_of_any_tile_is_seen),
        cmocka_unit_test(test_bundle__both_ways),
    };
    return cmocka_run_group_tests(tests, grow, drop);
}
