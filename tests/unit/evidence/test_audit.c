/* SPDX-License-Identifier: Apache-2.0
 *
 * evidence/audit: a sound log passes; whatever is missing, cut, flipped or out of order is named,
 * and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "evidence/audit.h"
#include "tests/support/published_log.h"
#include "tests/support/world.h"

#define SIZE 66000u /* 257 full tiles and 208 more: three levels */

static char *dir;
static struct published_log published;

static int publish(void **state)
{
    (void)state;
    dir = yz_world_tmpdir();
    yz_published_init(&published, dir, SIZE);
    yz_published_grow(&published, SIZE);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    yz_published_fini(&published);
    yz_world_rmdir(dir);
    free(dir);
    return 0;
}

struct told {
    char text[2000];
    unsigned n;
    uint64_t done;
};

static void tell(void *ctx, const char *sentence)
{
    struct told *t = ctx;
    size_t at = strlen(t->text);
    snprintf(t->text + at, sizeof t->text - at, "%s\n", sentence);
    t->n++;
}

static void progress(void *ctx, uint64_t done, uint64_t size)
{
    struct told *t = ctx;
    assert_true(done >= t->done && done <= size);
    t->done = done;
}

static int audit(const char *where, const struct note_key *key, struct told *t,
                 struct audit_result *r)
{
    struct audit_options o = {
        .dir = where, .key = key, .finding = tell, .progress = progress, .ctx = t};
    yz_error err = {0};
    memset(t, 0, sizeof *t);
    int rc = yzi_audit(&o, r, &err);
    if (rc == YZ_ESIGNATURE && t->n > 0) {
        assert_memory_equal(err.text, t->text, strlen(err.text)); /* the first of them */
        assert_true(t->n == r->findings);
    }
    return rc;
}

static void finds(const char *where, const char *want)
{
    struct told t;
    struct audit_result r;
    int rc = audit(where, &published.vkey, &t, &r);
    assert_string_equal(t.text, want);
    assert_int_equal(rc, YZ_ESIGNATURE);
}

static void is_sound(const char *where)
{
    struct told t;
    struct audit_result r;
    assert_int_equal(audit(where, &published.vkey, &t, &r), 0);
    assert_string_equal(t.text, "");
}

static char *path_of(const char *name)
{
    char *path;
    assert_int_equal(yzi_path_join(dir, name, &path), 0);
    return path;
}

/* Whatever was done to the file is undone by writing this again. */
static yz_buf take(const char *name)
{
    yz_buf b = {.max = 1 << 20};
    YZ_AUTO(yzi_free_ptr) char *path = path_of(name);
    assert_int_equal(yzi_file_read(path, &b, NULL), 0);
    return b;
}

static void put(const char *name, yz_bytes content)
{
    YZ_AUTO(yzi_free_ptr) char *path = path_of(name);
    assert_int_equal(yzi_file_write(path, content, 0644, NULL), 0);
}

static void flip(const char *name, size_t at, const char *want)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = take(name);
    assert_true(at < b.n);
    b.p[at] ^= 4;
    put(name, yzi_bytes_buf(&b));
    finds(dir, want);
    b.p[at] ^= 4;
    put(name, yzi_bytes_buf(&b));
}

static void test_audit__of_a_sound_log(void **state)
{
    (void)state;
    struct told t;
    struct audit_result r;
    assert_int_equal(audit(dir, &published.vkey, &t, &r), 0);
    assert_int_equal(t.n, 0);
    assert_true(t.done == SIZE && r.size == SIZE && r.findings == 0);
    assert_string_equal(r.origin, "yizhan/CN/@b1/1732309509123");
    assert_true(r.by_type[ENTRY_OPENING] == 1 && r.by_type[ENTRY_REQUEST] == SIZE / 2);
    assert_true(r.by_type[ENTRY_RESPONSE] == SIZE / 2 - 1 && r.by_type[0] == 0);
    assert_true(r.first_time == PUBLISHED_LOG && r.last_time == PUBLISHED_LOG + (SIZE - 1) / 3);
    assert_int_equal(audit(dir, NULL, &t, &r), 0); /* without a key, so without who signed it */
}

static void test_flipped__the_right_file_is_blamed(void **state)
{
    (void)state;
    flip("tile/entries/003", 2 + 12 + 5,
         "tile/entries/003 is damaged: entry 768 is not the one in the tree\n");
    flip("tile/entries/255", 46 * 255 + 2 + 12 + 5,
         "tile/entries/255 is damaged: entry 65535 is not the one in the tree\n");
    flip("tile/0/003", 32 * 17 + 9,
         "tile/0/003 is damaged: its hash of entry 785 is not that of the entry\n");
    flip("tile/1/000", 32 * 40 + 1,
         "tile/1/000 is damaged: its hash 40 is not that of the tile below\n");
    flip("tile/1/001.p/1", 31,
         "tile/1/001.p/1 is damaged: its hash 0 is not that of the tile below\n");
    flip("tile/2/000.p/1", 0,
         "tile/2/000.p/1 is damaged: its hash 0 is not that of the tile below\n");
    flip("tile/entries/257.p/208", 46 * 10 + 2 + 12,
         "tile/entries/257.p/208 is damaged: entry 65802 is not the one in the tree\n");
    flip("tile/0/257.p/208", 32 * 207,
         "tile/0/257.p/208 is damaged: its hash of entry 65999 is not that of the entry\n");
    is_sound(dir);
}

static void test_flipped__where_a_record_says_what_it_is(void **state)
{
    (void)state;
    flip("tile/entries/003", 2 + 0,
         "tile/entries/003: entry 768 is none of a known type\n"
         "tile/entries/003 is damaged: entry 768 is not the one in the "
         "tree\n");
    flip("tile/entries/003", 0,
         "tile/entries/003: entry 768 is none of a known type\n"
         "tile/entries/003 ends within entry 769\n");
}

static void test_missing__is_named_and_gone_on(void **state)
{
    (void)state;
    static const struct {
        const char *name, *want;
    } rows[] = {
        {"tile/entries/100", "tile/entries/100 is missing\n"},
        {"tile/0/100", "tile/0/100 is missing\n"},
        {"tile/0/257.p/208", "tile/0/257.p/208 is missing\n"},
        {"tile/entries/257.p/208", "tile/entries/257.p/208 is missing\n"},
        {"tile/1/000", "tile/1/000 is missing\n"},
        {"tile/2/000.p/1", "tile/2/000.p/1 is missing\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf b = take(rows[i].name);
        YZ_AUTO(yzi_free_ptr) char *path = path_of(rows[i].name);
        assert_int_equal(unlink(path), 0);
        finds(dir, rows[i].want);
        put(rows[i].name, yzi_bytes(b.p, 0));
        YZ_AUTO(yzi_buf_fini) yz_buf want = {.max = 200};
        assert_int_equal(yzi_buf_printf(&want, "%s is empty\n", rows[i].name), 0);
        assert_int_equal(yzi_buf_put_u8(&want, 0), 0);
        finds(dir, (const char *)want.p);
        put(rows[i].name, yzi_bytes_buf(&b));
    }
    is_sound(dir);
}

static void test_cut__is_named(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf bundle = take("tile/entries/007"), tile = take("tile/0/007");
    put("tile/entries/007", yzi_bytes(bundle.p, bundle.n - 1));
    finds(dir, "tile/entries/007 ends within entry 2047\n");
    assert_int_equal(yzi_buf_put_u8(&bundle, 0), 0);
    put("tile/entries/007", yzi_bytes_buf(&bundle));
    finds(dir, "tile/entries/007 has 1 bytes behind its last entry\n");
    put("tile/entries/007", yzi_bytes(bundle.p, bundle.n - 1));
    put("tile/0/007", yzi_bytes(tile.p, 8000));
    finds(dir, "tile/0/007 has 8000 bytes instead of 8192\n");
    put("tile/0/007", yzi_bytes_buf(&tile));
    is_sound(dir);
}

/* Both files of a tile changed alike: the level above does not agree. */
static void test_rewritten__entry_with_its_hash_is_found(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf bundle = take("tile/entries/009"), tile = take("tile/0/009");
    yz_digest leaf;
    bundle.p[2 + 12] ^= 1;
    yzi_merkle_leaf(yzi_bytes(bundle.p + 2, YZ_ENTRY_BYTES), &leaf);
    memcpy(tile.p, leaf.b, 32);
    put("tile/entries/009", yzi_bytes_buf(&bundle));
    put("tile/0/009", yzi_bytes_buf(&tile));
    finds(dir, "tile/1/000 is damaged: its hash 9 is not that of the tile below\n"
               "tile/2/000.p/1 is damaged: its hash 0 is not that of the tile below\n"
               "the root of the 66000 entries is not the checkpoint's\n");
    struct published_log again = {0};
    char *other = yz_world_tmpdir(); /* as it was */
    yz_published_init(&again, other, SIZE);
    yz_published_grow(&again, SIZE);
    bundle.p[2 + 12] ^= 1;
    put("tile/entries/009", yzi_bytes_buf(&bundle));
    memcpy(tile.p, again.tree.level[0][9 * 256].b, 32);
    put("tile/0/009", yzi_bytes_buf(&tile));
    yz_published_fini(&again);
    yz_world_rmdir(other);
    free(other);
    is_sound(dir);
}

static void test_checkpoint__that_is_not_the_logs(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf note = take("checkpoint");
    struct told t;
    struct audit_result r;
    struct key_pair other = yz_numbered_key(KEY_LOG, 2);
    struct note_key vkey;
    assert_int_equal(yzi_note_key(published.vkey.name, NOTE_ED25519, other.public_key, &vkey), 0);
    assert_int_equal(audit(dir, &vkey, &t, &r), YZ_EUNKNOWNKEY);
    assert_int_equal(yzi_note_key(yzi_bytes_str("yizhan/CN/@b2/1"), NOTE_ED25519,
                                  published.key.public_key, &vkey),
                     0);
    assert_int_equal(audit(dir, &vkey, &t, &r), YZ_EDENIED);
    note.p[note.n - 20] ^= 1;
    put("checkpoint", yzi_bytes_buf(&note));
    assert_int_equal(audit(dir, &published.vkey, &t, &r), YZ_ESIGNATURE);
    assert_int_equal(t.n, 0);
    put("checkpoint", yzi_bytes(note.p, 20));
    assert_int_equal(audit(dir, &published.vkey, &t, &r), YZ_EMALFORMED);
    note.p[note.n - 20] ^= 1;
    put("checkpoint", yzi_bytes_buf(&note));
    yzi_key_pair_fini(&other);
}

/* -- small logs of their own -- */

static void small(void (*fill)(struct published_log *p), uint64_t size, const char *want)
{
    char *where = yz_world_tmpdir();
    struct published_log p;
    yz_published_init(&p, where, 1024);
    fill(&p);
    yz_published_grow(&p, size);
    if (want) {
        finds(where, want);
    } else {
        is_sound(where);
    }
    yz_published_fini(&p);
    yz_world_rmdir(where);
    free(where);
}

static void nothing(struct published_log *p)
{
    (void)p;
}

static void falls(struct published_log *p)
{
    yz_published_append(p, ENTRY_OPENING, PUBLISHED_LOG + 500);
    yz_published_append(p, ENTRY_REQUEST, PUBLISHED_LOG + 499);
    yz_published_append(p, ENTRY_REQUEST, PUBLISHED_LOG + 500);
}

static void closes(struct published_log *p)
{
    yz_published_append(p, ENTRY_OPENING, 0);
    yz_published_append(p, ENTRY_CLOSING, 0);
}

static void does_not_open(struct published_log *p)
{
    yz_published_append(p, ENTRY_REQUEST, 0);
}

static void knows_more_types(struct published_log *p)
{
    yz_published_append(p, ENTRY_OPENING, 0);
    yz_published_append(p, (enum entry_type)12, 0);
}

static void test_order__of_times_and_types(void **state)
{
    (void)state;
    small(falls, 3, "tile/entries/000.p/3: the time of entry 1 is before that of the one before\n");
    small(closes, 2, NULL);
    small(closes, 3, "tile/entries/000.p/3: entry 2 comes after the closing one\n");
    small(does_not_open, 5, "tile/entries/000.p/5: the log does not begin with an opening entry\n");
    small(knows_more_types, 4, "tile/entries/000.p/4: entry 1 is none of a known type\n");
}

static void test_sizes__at_every_edge(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 255, 256, 257, 511, 512, 513, 1000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        small(nothing, sizes[i], NULL);
    }
}

/* A partial tile may be gone once the full one is there. */
static void test_partial__is_read_from_the_full_one(void **state)
{
    (void)state;
    char *where = yz_world_tmpdir(), *path;
    struct published_log p;
    YZ_AUTO(yzi_buf_fini) yz_buf note = {.max = 8192};
    yz_published_init(&p, where, 1024);
    yz_published_grow(&p, 100);
    assert_int_equal(yzi_path_join(where, "checkpoint", &path), 0);
    assert_int_equal(yzi_file_read(path, &note, NULL), 0);
    yz_published_grow(&p, 256);
    assert_int_equal(yzi_file_write(path, yzi_bytes_buf(&note), 0644, NULL), 0);
    free(path);
    assert_int_equal(yzi_path_join(where, "tile/0/000.p/100", &path), 0);
    assert_int_equal(unlink(path), 0);
    free(path);
    assert_int_equal(yzi_path_join(where, "tile/entries/000.p/100", &path), 0);
    assert_int_equal(unlink(path), 0);
    free(path);
    is_sound(where);
    yz_published_fini(&p);
    yz_world_rmdir(where);
    free(where);
}

/* Every bit of every published byte of a small log: refused, or it changes nothing. */
static void test_mutation__of_any_byte_of_a_small_log(void **state)
{
    (void)state;
    static const char *const files[] = {"checkpoint", "tile/entries/000.p/9", "tile/0/000.p/9"};
    char *where = yz_world_tmpdir();
    struct published_log p;
    yz_published_init(&p, where, 1024);
    yz_published_grow(&p, 9);
    for (size_t i = 0; i < 3; i++) {
        YZ_AUTO(yzi_free_ptr) char *path = NULL;
        YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 16};
        assert_int_equal(yzi_path_join(where, files[i], &path), 0);
        assert_int_equal(yzi_file_read(path, &b, NULL), 0);
        for (size_t at = 0; at < b.n; at++) {
            struct told t;
            struct audit_result r;
            b.p[at] ^= (uint8_t)(1u << at % 8);
            FILE *f = fopen(path, "wb");
            assert_true(f && fwrite(b.p, 1, b.n, f) == b.n && fclose(f) == 0);
            assert_int_not_equal(audit(where, &p.vkey, &t, &r), 0);
            b.p[at] ^= (uint8_t)(1u << at % 8);
        }
        assert_int_equal(yzi_file_write(path, yzi_bytes_buf(&b), 0644, NULL), 0);
    }
    is_sound(where);
    yz_published_fini(&p);
    yz_world_rmdir(where);
    free(where);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_audit__of_a_sound_log),
        cmocka_unit_test(test_flipped__the_right_file_is_blamed),
        cmocka_unit_test(test_flipped__where_a_record_says_what_it_is),
        cmocka_unit_test(test_missing__is_named_and_gone_on),
        cmocka_unit_test(test_cut__is_named),
        cmocka_unit_test(test_rewritten__entry_with_its_hash_is_found),
        cmocka_unit_test(test_checkpoint__that_is_not_the_logs),
        cmocka_unit_test(test_order__of_times_and_types),
        cmocka_unit_test(test_sizes__at_every_edge),
        cmocka_unit_test(test_partial__is_read_from_the_full_one),
        cmocka_unit_test(test_mutation__of_any_byte_of_a_small_log),
    };
    return cmocka_run_group_tests(tests, publish, drop);
}
