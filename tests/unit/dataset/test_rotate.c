/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of data sets and their rotation: the records are what they were, under a key that is
 * another, and of the former key and generation nothing is left.
 */
#include "tests/unit/dataset/fixture.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/dataset/export.h"
#include "adapters/dataset/match.h"
#include "adapters/dataset/write.h"
#include "base/clock.h"
#include "base/file.h"
#include "keys/keyfile.h"

#define HEAD "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\n"
static const char yaml[] =
    HEAD "key: [id]\nfields:\n"
         "  - {name: id, type: text, classification: sensitive, max_length: 40}\n"
         "  - {name: n, type: text, classification: secret, max_length: 40}\n"
         "  - {name: open, type: text, classification: public}\n"
         "indexes:\n"
         "  - {name: by_n, fields: [n], unique: true}\n"
         "  - {name: by_open, fields: [open]}\n";
static const char ordered_yaml[] =
    HEAD "key: [open]\nfields:\n"
         "  - {name: id, type: text, classification: sensitive}\n"
         "  - {name: n, type: text, classification: secret}\n"
         "  - {name: open, type: text, classification: public, max_length: 40}\n";
static const char public_yaml[] =
    HEAD "key: [id]\nfields:\n  - {name: id, type: text, classification: public, max_length: 40}\n";

#define ROWS 500u
#define RECORDS_OF_PIECES 60000u /* an index of theirs is written in more than one transaction */

struct world {
    struct fixture_dir dir;
    char data[80], keys[80];
    struct dataset *d;
    yz_secret adapters;
    struct manual_clock clock;
    struct store *s;
};

static int try_open(struct world *w, yz_error *err)
{
    const struct store_options o = {.dir = w->data,
                                    .dataset = w->d,
                                    .storage_key = &w->adapters,
                                    .keys_dir = w->keys,
                                    .clock = &w->clock.clock};
    yzi_secret_require_lock(false);
    return yzi_store_open(&o, &w->s, err);
}

static void reopen(struct world *w)
{
    yz_error err = {0};
    yzi_store_close(w->s);
    w->s = NULL;
    if (try_open(w, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void make_world(struct world *w, const char *definition)
{
    yz_error err = {0};
    *w = (struct world){.d = fixture_dataset(definition)};
    fixture_dir_make(&w->dir);
    snprintf(w->data, sizeof w->data, "%s/data", w->dir.path);
    snprintf(w->keys, sizeof w->keys, "%s/keys", w->dir.path);
    fixture_key(&w->adapters, 7);
    yzi_manual_clock_init(&w->clock, 1000);
    if (try_open(w, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void end_world(struct world *w)
{
    yzi_store_close(w->s);
    yzi_secret_fini(&w->adapters);
    yzi_dataset_unref(w->d);
    fixture_dir_remove(&w->dir);
}

static void put_file(yz_buf *b)
{
    yzi_buf_init(b, 1u << 20);
    assert_int_equal(yzi_buf_put_str(b, "id,n,open\n"), 0);
    for (unsigned i = 0; i < ROWS; i++) {
        assert_int_equal(yzi_buf_printf(b, "id%04u,secret%u,open%u\n", i, i, i % 7), 0);
    }
}

static int import_all(struct world *w, struct import_report *r)
{
    yz_buf b;
    put_file(&b);
    int rc = fixture_import_bytes(w->s, yzi_bytes_buf(&b), r, NULL);
    yzi_buf_fini(&b);
    return rc;
}

static struct store_state state_of(struct world *w)
{
    struct store_state st;
    assert_int_equal(yzi_store_state(w->s, &st), 0);
    return st;
}

static struct rotation_report rotate(struct world *w)
{
    const struct rotation o = {0};
    struct rotation_report r;
    yz_error err = {0};
    if (yzi_store_rotate(w->s, &o, &r, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return r;
}

static unsigned count_entries(const char *dir, const char *begin, const char *end)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        size_t len = strlen(e->d_name);
        n += strncmp(e->d_name, begin, strlen(begin)) == 0 && len >= strlen(end) &&
             strcmp(e->d_name + len - strlen(end), end) == 0 && e->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

static void key_text(const struct world *w, const char *id, yz_buf *out)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s.key", w->keys, id);
    yzi_buf_init(out, 1024);
    assert_int_equal(yzi_file_read(path, out, NULL), 0);
}

static void expect_one_of_each(const struct world *w)
{
    assert_int_equal(count_entries(w->keys, "", ""), 1);
    assert_int_equal(count_entries(w->data, "g", ""), 1);
}

static void expect_whole(struct world *w)
{
    char text[400];
    struct import_report r;
    assert_int_equal(fixture_get(w->s, text, sizeof text, "id0000", "id0499", "no", NULL), 0);
    assert_string_equal(text, "id0000|secret0|open0\nid0499|secret499|open2\n");
    assert_int_equal(import_all(w, &r), 0); /* every record, found by its hash, equal */
    assert_int_equal(r.unchanged, ROWS);
}

static void test_rotate__records_stay_and_the_key_is_another(void **unused)
{
    (void)unused;
    struct world w;
    struct import_report r;
    yz_buf old;
    make_world(&w, yaml);
    assert_int_equal(import_all(&w, &r), 0);
    struct store_state before = state_of(&w);
    assert_true(before.has_key);
    assert_int_equal(strlen(before.key_id), STORE_KEY_ID_MAX);
    assert_int_equal(before.key_since, 1000);
    key_text(&w, before.key_id, &old);
    yzi_manual_clock_advance(&w.clock, 500);
    struct rotation_report report = rotate(&w);
    assert_true(report.destroyed);
    assert_string_equal(report.former_id, before.key_id);
    assert_string_not_equal(report.key_id, before.key_id);
    assert_int_equal(report.records, ROWS);
    struct store_state after = state_of(&w);
    assert_string_equal(after.key_id, report.key_id);
    assert_int_equal(after.key_since, 1500);
    assert_int_equal(after.sequence, before.sequence);
    assert_int_equal(after.generation, before.generation + 1);
    assert_int_equal(after.indexes_building + after.indexes_broken, 0);
    expect_one_of_each(&w);
    expect_whole(&w);
    yz_bytes secret = yzi_bytes((const char *)old.p + old.n - 45, 44); /* base64 and LF */
    assert_false(fixture_dir_contains(w.dir.path, secret));
    reopen(&w);
    expect_whole(&w);
    assert_string_equal(state_of(&w).key_id, report.key_id);
    assert_int_equal(state_of(&w).key_since, 1500);
    assert_int_equal(state_of(&w).keys_found, 0);
    yzi_buf_wipe(&old);
    end_world(&w);
}

static void test_rotate__indexes_serve_and_unique_ones_still_promise(void **unused)
{
    (void)unused;
    struct world w;
    struct import_report r;
    yz_error err = {0};
    make_world(&w, yaml);
    assert_int_equal(import_all(&w, &r), 0);
    rotate(&w);
    assert_int_equal(fixture_import(w.s, "id,n,open\nnew,secret7,x\n", &r, &err), YZ_EDATA);
    assert_non_null(strstr(err.text, "by_n"));
    assert_int_equal(fixture_import(w.s, "id,n,open\nid0007,other,x\n", &r, &err), 0);
    assert_int_equal(fixture_import(w.s, "id,n,open\nnew,secret7,x\n", &r, &err), 0);
    rotate(&w);
    assert_int_equal(fixture_import(w.s, "id,n,open\nnew2,secret7,x\n", &r, &err), YZ_EDATA);
    end_world(&w);
}

static void test_rotate__keeps_ordinals_and_sequences_without_sorting_too(void **unused)
{
    (void)unused;
    struct world w;
    struct import_report r;
    char text[200];
    make_world(&w, ordered_yaml);
    assert_int_equal(fixture_import(w.s, "id,n,open\na,x,1\nb,y,2\nc,z,3\n", &r, NULL), 0);
    assert_int_equal(fixture_import(w.s, "id,n,open\nb,Y,2\n", &r, NULL), 0);
    rotate(&w);
    assert_int_equal(fixture_get(w.s, text, sizeof text, "1", "2", "3", NULL), 0);
    assert_string_equal(text, "a|x|1\nb|Y|2\nc|z|3\n");
    assert_int_equal(state_of(&w).sequence, 4);
    assert_int_equal(fixture_import(w.s, "id,n,open\nd,z,4\n", &r, NULL), 0);
    assert_int_equal(r.sequence, 5);
    end_world(&w);
}

static void test_rotate__an_empty_data_set(void **unused)
{
    (void)unused;
    struct world w;
    struct import_report r;
    make_world(&w, yaml);
    assert_int_equal(rotate(&w).records, 0);
    expect_one_of_each(&w);
    assert_int_equal(import_all(&w, &r), 0);
    expect_whole(&w);
    end_world(&w);
}

static void test_rotate__a_store_under_the_adapters_key_gets_its_own(void **unused)
{
    (void)unused;
    struct world w;
    struct import_report r;
    make_world(&w, yaml);
    yzi_store_close(w.s);
    fixture_dir_remove(&w.dir);
    fixture_dir_make(&w.dir);
    snprintf(w.data, sizeof w.data, "%s/data", w.dir.path);
    snprintf(w.keys, sizeof w.keys, "%s/keys", w.dir.path);
    w.s = fixture_open(w.data, w.d, &w.adapters); /* as versions before did */
    assert_int_equal(import_all(&w, &r), 0);
    struct rotation_report report;
    yz_error err = {0};
    const struct rotation o = {0};
    assert_int_equal(yzi_store_rotate(w.s, &o, &report, &err), YZ_EINVAL);
    reopen(&w);
    assert_string_equal(state_of(&w).key_id, "");
    assert_true(state_of(&w).has_key);
    expect_whole(&w);
    report = rotate(&w);
    assert_string_equal(report.former_id, "");
    assert_false(report.destroyed);
    expect_one_of_each(&w);
    reopen(&w);
    expect_whole(&w);
    end_world(&w);
}

static void test_rotate__refused_where_nothing_is_sensitive(void **unused)
{
    (void)unused;
    struct world w;
    struct rotation_report report;
    yz_error err = {0};
    const struct rotation o = {0};
    make_world(&w, public_yaml);
    assert_false(state_of(&w).has_key);
    assert_int_equal(yzi_store_rotate(w.s, &o, &report, &err), YZ_EINVAL);
    assert_non_null(strstr(err.text, "no sensitive field"));
    assert_false(yzi_file_exists(w.keys));
    end_world(&w);
}

/* Cancelled when it is first in this phase. */
struct canceller {
    enum work_phase phase;
    _Atomic bool cancel;
};

static void cancel_in_phase(void *ctx, const struct work_progress *at)
{
    struct canceller *c = ctx;
    atomic_store(&c->cancel, c->cancel || at->phase == c->phase);
}

static void check_cancelled(struct world *w, enum work_phase phase)
{
    struct canceller c = {.phase = phase};
    const struct rotation o = {.cancel = &c.cancel, .progress = cancel_in_phase, .ctx = &c};
    struct rotation_report report;
    yz_error err = {0};
    struct store_state before = state_of(w);
    assert_int_equal(yzi_store_rotate(w->s, &o, &report, &err), YZ_ECANCELLED);
    assert_non_null(strstr(err.text, "was not changed"));
    struct store_state after = state_of(w);
    assert_string_equal(after.key_id, before.key_id);
    assert_int_equal(after.generation, before.generation);
    assert_int_equal(after.records, before.records);
    expect_one_of_each(w);
}

static void test_rotate__cancelled_changes_nothing(void **unused)
{
    (void)unused;
    struct world w;
    struct import_report r;
    yz_buf big;
    make_world(&w, yaml);
    yzi_buf_init(&big, 32u << 20);
    assert_int_equal(yzi_buf_put_str(&big, "id,n,open\n"), 0);
    for (unsigned i = 0; i < RECORDS_OF_PIECES; i++) {
        assert_int_equal(yzi_buf_printf(&big, "i%u,n%u,%0200u\n", i, i, i), 0);
    }
    assert_int_equal(fixture_import_bytes(w.s, yzi_bytes_buf(&big), &r, NULL), 0);
    check_cancelled(&w, PHASE_ENCRYPT);
    check_cancelled(&w, PHASE_INDEX);
    assert_int_equal(rotate(&w).records, RECORDS_OF_PIECES); /* they are not in its way */
    yzi_buf_fini(&big);
    end_world(&w);
}

/* -- keys that are lost, left, or there before the data -- */

static void
test_keys__without_the_key_the_store_does_not_open_and_nothing_is_destroyed(void **unused)
{
    (void)unused;
    struct world w;
    struct import_report r;
    yz_error err = {0};
    char from[160], to[160], stray[160];
    make_world(&w, yaml);
    assert_int_equal(import_all(&w, &r), 0);
    struct store_state st = state_of(&w);
    yzi_store_close(w.s);
    w.s = NULL;
    snprintf(from, sizeof from, "%s/%s.key", w.keys, st.key_id);
    snprintf(to, sizeof to, "%s/elsewhere", w.dir.path);
    snprintf(stray, sizeof stray, "%s/0123456789abcdef.key", w.keys);
    assert_int_equal(rename(from, to), 0);
    uint8_t unused_key[32];
    assert_int_equal(yzi_keyfile_create(stray, KEY_STORAGE, unused_key, NULL), 0);
    assert_int_equal(try_open(&w, &err), YZ_ECONFIG);
    assert_non_null(strstr(err.text, st.key_id));
    assert_true(yzi_file_exists(stray));
    assert_int_equal(rename(to, from), 0);
    reopen(&w);
    expect_whole(&w);
    assert_false(yzi_file_exists(stray)); /* now it is known to be of no use */
    assert_int_equal(state_of(&w).keys_found, 1);
    end_world(&w);
}

static void test_keys__another_key_under_the_name_is_refused(void **unused)
{
    (void)unused;
    struct world w;
    struct import_report r;
    yz_error err = {0};
    char path[160];
    uint8_t unused_key[32];
    make_world(&w, yaml);
    assert_int_equal(import_all(&w, &r), 0);
    snprintf(path, sizeof path, "%s/%s.key", w.keys, state_of(&w).key_id);
    yzi_store_close(w.s);
    w.s = NULL;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(yzi_keyfile_create(path, KEY_STORAGE, unused_key, NULL), 0);
    assert_int_equal(try_open(&w, &err), YZ_ECONFIG);
    assert_non_null(strstr(err.text, "is not the one"));
    end_world(&w);
}

/* Someone puts the keys back first and the data later: the start in between must not cost the key.
 */
static void test_keys__a_key_that_waits_for_its_data_is_kept(void **unused)
{
    (void)unused;
    struct world w;
    struct import_report r;
    char aside[160];
    make_world(&w, yaml);
    assert_int_equal(import_all(&w, &r), 0);
    struct store_state st = state_of(&w);
    yzi_store_close(w.s);
    w.s = NULL;
    snprintf(aside, sizeof aside, "%s/aside", w.dir.path);
    assert_int_equal(rename(w.data, aside), 0);
    reopen(&w);
    assert_string_equal(state_of(&w).key_id, st.key_id);
    assert_int_equal(state_of(&w).records, 0);
    yzi_store_close(w.s);
    w.s = NULL;
    struct fixture_dir data = {.path = ""};
    assert_true(strlen(w.data) < sizeof data.path);
    memcpy(data.path, w.data, strlen(w.data) + 1);
    fixture_dir_remove(&data);
    assert_int_equal(rename(aside, w.data), 0);
    reopen(&w);
    expect_whole(&w);
    end_world(&w);
}

/* What a crash leaves of a key file that was being written is a key's bytes, too. */
static void test_keys__strays_of_a_crash_go_and_other_files_stay(void **unused)
{
    (void)unused;
    struct world w;
    char stray[160], other[160], key[160], twin[160];
    make_world(&w, yaml);
    snprintf(stray, sizeof stray, "%s/.tmp-0123", w.keys);
    snprintf(other, sizeof other, "%s/README", w.keys);
    assert_int_equal(yzi_file_write(stray, yzi_bytes_str("half a key"), 0600, NULL), 0);
    assert_int_equal(yzi_file_write(other, yzi_bytes_str("not ours"), 0600, NULL), 0);
    /* a crash between a key file's two names: the stray one is the key in use */
    snprintf(key, sizeof key, "%s/%s.key", w.keys, state_of(&w).key_id);
    snprintf(twin, sizeof twin, "%s/.tmp-4567", w.keys);
    assert_int_equal(link(key, twin), 0);
    reopen(&w);
    assert_false(yzi_file_exists(twin));
    reopen(&w);
    assert_false(yzi_file_exists(stray));
    assert_true(yzi_file_exists(other));
    assert_false(state_of(&w).key_left);
    end_world(&w);
}

/* -- while others write -- */

#define MORE 1500u

static void write_rows(struct store *s, enum query_operation operation, const char *const *cells,
                       size_t rows)
{
    static const unsigned columns[] = {0, 1, 2};
    struct store_written written;
    const char *reason = NULL;
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, 1u << 16);
    for (size_t i = 0; i < 3 * rows; i++) {
        assert_int_equal(yzi_row_put(&b, &(struct query_value){.v = yzi_bytes_str(cells[i])}), 0);
    }
    const struct store_write w = {.operation = operation,
                                  .columns = columns,
                                  .columns_n = 3,
                                  .rows = yzi_bytes_buf(&b),
                                  .rows_n = (uint32_t)rows};
    if (yzi_store_write(s, &w, &written, &reason) < 0) {
        fail_msg("%s", reason ? reason : "?");
    }
}

static void delete_row(struct store *s, const char *id)
{
    struct query_value part = {.v = yzi_bytes_str(id)};
    const struct query_key key = {&part, 1};
    const struct store_write w = {.operation = QUERY_DELETE, .keys = &key, .keys_n = 1};
    struct store_written written;
    const char *reason = NULL;
    assert_int_equal(yzi_store_write(s, &w, &written, &reason), 0);
}

/* The i-th thing that somebody does: a record changed twice, one that is new and one that goes, one
 * that goes and comes again, and two whose unique values change places through a third. */
static void change(struct store *s, unsigned i)
{
    char id[5][16], n[5][24];
    for (unsigned k = 0; k < 5; k++) {
        snprintf(id[k], sizeof id[k], "id%04u", 5 * i + k);
        snprintf(n[k], sizeof n[k], "secret%u", 5 * i + k);
    }
    write_rows(s, QUERY_PUT, (const char *const[]){id[0], "between", "once"}, 1);
    write_rows(s, QUERY_PUT, (const char *const[]){id[0], n[0], "twice"}, 1);
    delete_row(s, id[1]);
    delete_row(s, id[2]);
    write_rows(s, QUERY_INSERT, (const char *const[]){id[2], n[2], "again"}, 1);
    write_rows(s, QUERY_PUT, (const char *const[]){id[3], "between", "moved"}, 1);
    write_rows(s, QUERY_PUT, (const char *const[]){id[4], n[3], "moved"}, 1);
    write_rows(s, QUERY_PUT, (const char *const[]){id[3], n[4], "moved"}, 1);
    char new_id[24], new_n[24];
    snprintf(new_id, sizeof new_id, "new%u", i);
    snprintf(new_n, sizeof new_n, "newer%u", i);
    write_rows(s, QUERY_INSERT, (const char *const[]){new_id, new_n, "x", "gone", "y", "z"},
               i % 2 ? 1 : 2);
    if (i % 2 == 0) {
        delete_row(s, "gone");
    }
}

struct writing {
    struct store *s;
    unsigned calls;
};

static void on_between(void *ctx)
{
    struct writing *w = ctx;
    change(w->s, w->calls++);
}

static void import_more(struct store *s)
{
    struct import_report r;
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, 1u << 20);
    assert_int_equal(yzi_buf_put_str(&b, "id,n,open\n"), 0);
    for (unsigned i = 0; i < MORE; i++) {
        assert_int_equal(yzi_buf_printf(&b, "id%04u,secret%u,open%u\n", i, i, i % 7), 0);
    }
    assert_int_equal(fixture_import_bytes(s, yzi_bytes_buf(&b), &r, NULL), 0);
}

static void read_all(struct store *s, yz_buf *out)
{
    uint64_t rows;
    int fd = fixture_file(yzi_bytes("", 0));
    const struct export_options o = {.fd = fd, .format = FORMAT_CSV, .sensitive = true};
    assert_int_equal(yzi_store_export(s, &o, &rows, NULL), 0);
    yzi_buf_init(out, 1u << 22);
    assert_int_equal(yzi_file_read_fd(fd, "export", out, NULL), 0);
    close(fd);
}

/* Every line of the one stands in the other, as often as they have lines alike: each has one. */
static void expect_same(struct store *a, struct store *b)
{
    yz_buf of_a, of_b;
    read_all(a, &of_a);
    read_all(b, &of_b);
    assert_int_equal(of_a.n, of_b.n);
    assert_int_equal(yzi_buf_put_u8(&of_b, '\0'), 0);
    const uint8_t *line = of_a.p, *end = of_a.p + of_a.n;
    while (line < end) {
        const uint8_t *stop = memchr(line, '\n', (size_t)(end - line));
        assert_non_null(stop);
        assert_non_null(memmem(of_b.p, of_b.n, line, (size_t)(stop - line) + 1));
        line = stop + 1;
    }
    yzi_buf_fini(&of_a);
    yzi_buf_fini(&of_b);
}

static void rotate_while_written(const char *definition, unsigned calls_min)
{
    struct world w, plain;
    struct rotation_report r;
    yz_error err = {0};
    make_world(&w, definition);
    make_world(&plain, definition);
    import_more(w.s);
    import_more(plain.s);
    struct writing writing = {.s = w.s};
    const struct rotation o = {.between = on_between, .ctx = &writing};
    if (yzi_store_rotate(w.s, &o, &r, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_true(writing.calls >= calls_min);
    for (unsigned i = 0; i < writing.calls; i++) {
        change(plain.s, i);
    }
    assert_int_equal(state_of(&w).sequence, state_of(&plain).sequence);
    assert_int_equal(r.records, state_of(&plain).records);
    expect_same(w.s, plain.s);
    expect_one_of_each(&w);
    rotate(&w); /* reads each record by all there is of it */
    change(w.s, writing.calls);
    change(plain.s, writing.calls);
    reopen(&w);
    expect_same(w.s, plain.s);
    assert_int_equal(state_of(&w).sequence, state_of(&plain).sequence);
    end_world(&w);
    end_world(&plain);
}

static void test_rotate__what_is_written_meanwhile_is_not_lost(void **unused)
{
    (void)unused;
    rotate_while_written(yaml, 2 * MORE / 256);
}

static void test_rotate__what_is_written_meanwhile_where_the_order_stays(void **unused)
{
    (void)unused;
    static const char public_key[] =
        HEAD "key: [id]\nfields:\n"
             "  - {name: id, type: text, classification: public, max_length: 40}\n"
             "  - {name: n, type: text, classification: secret, max_length: 40}\n"
             "  - {name: open, type: text, classification: public}\n"
             "indexes:\n"
             "  - {name: by_n, fields: [n], unique: true}\n";
    rotate_while_written(public_key, MORE / 256);
}

/* -- a backup -- */

static void test_backup__holds_no_key_and_opens_with_it(void **unused)
{
    (void)unused;
    struct world w;
    struct import_report r;
    struct store_state st;
    yz_error err = {0};
    yz_buf key, copy;
    make_world(&w, yaml);
    assert_int_equal(import_all(&w, &r), 0);
    int fd = fixture_file(yzi_bytes("", 0));
    assert_int_equal(yzi_store_backup(w.s, fd, &st, &err), 0);
    assert_int_equal(st.records, ROWS);
    yzi_buf_init(&copy, (size_t)64 << 20);
    assert_int_equal(yzi_file_read_fd(fd, "backup", &copy, NULL), 0);
    key_text(&w, st.key_id, &key);
    uint8_t raw[32];
    struct key_pair pair;
    assert_int_equal(yzi_keyfile_parse(yzi_bytes_buf(&key), KEY_STORAGE, &pair, NULL), 0);
    memcpy(raw, yzi_key_pair_open(&pair), sizeof raw);
    yzi_key_pair_close(&pair);
    yzi_key_pair_fini(&pair);
    assert_null(memmem(copy.p, copy.n, raw, sizeof raw));
    assert_null(memmem(copy.p, copy.n, key.p + key.n - 45, 44));
    assert_null(memmem(copy.p, copy.n, "secret499", 9));
    assert_null(memmem(copy.p, copy.n, "id0499", 6));
    assert_non_null(memmem(copy.p, copy.n, "open2", 5)); /* what is public is to be found */
    yzi_store_close(w.s);
    w.s = NULL;
    struct fixture_dir data = {.path = ""};
    assert_true(strlen(w.data) < sizeof data.path);
    memcpy(data.path, w.data, strlen(w.data) + 1);
    fixture_dir_remove(&data);
    int bad = fixture_file(yzi_bytes_str("this is not one"));
    assert_int_equal(yzi_store_restore(w.data, bad, &yzi_clock_system, &err), YZ_ECORRUPT);
    close(bad);
    assert_int_equal(yzi_store_restore(w.data, fd, &yzi_clock_system, &err), 0);
    assert_int_equal(yzi_store_restore(w.data, fd, &yzi_clock_system, &err), YZ_EEXIST);
    reopen(&w);
    assert_int_equal(yzi_store_restore(w.data, fd, &yzi_clock_system, &err), YZ_EBUSY);
    close(fd);
    expect_whole(&w);
    assert_true(state_of(&w).generation > st.generation);
    expect_one_of_each(&w);
    yzi_buf_fini(&copy);
    yzi_buf_wipe(&key);
    end_world(&w);
}

/* -- while others read -- */

struct reading {
    struct world *w;
    _Atomic bool stop;
    _Atomic unsigned answers, failures, of[3];
};

static bool get_is_right(struct store *s, const char *key, const char *n)
{
    char text[100], expected[100];
    int rc = fixture_get(s, text, sizeof text, key, NULL);
    snprintf(expected, sizeof expected, "%s|%s|", key, n);
    return rc == 0 && strncmp(text, expected, strlen(expected)) == 0;
}

/* By the keyed hash in an index. */
static bool find_is_right(struct store *s, const char *n)
{
    static const unsigned projection[] = {0};
    struct query_value v = {.v = yzi_bytes_str(n)};
    struct query_condition c = {yzi_bytes_str("n"), OP_EQ, &v, 1};
    const struct query q = {.operation = QUERY_FIND, .filter = &c, .filter_n = 1};
    const struct query_limits limits = {.rows = 10, .bytes = 1u << 16};
    const struct find_question question = {.dataset = yzi_store_dataset(s),
                                           .query = &q,
                                           .projection = projection,
                                           .projection_n = 1,
                                           .limits = &limits};
    struct find_result result = {0};
    struct query_fault fault;
    YZ_AUTO(yzi_buf_fini) yz_buf rows, position;
    yzi_buf_init(&rows, 1u << 16);
    yzi_buf_init(&position, 4096);
    return yzi_store_find(s, &question, &rows, &position, &result, &fault) == 0 && result.rows == 1;
}

static bool match_is_right(struct store *s, const char *key, const char *n)
{
    struct query_value part = {.v = yzi_bytes_str(key)},
                       values[] = {{.v = yzi_bytes_str(n)}, {.v = yzi_bytes_str("no")}};
    const struct query_key k = {.parts = &part, .parts_n = 1};
    const struct match_predicate predicates[] = {
        {.field = 1, .op = OP_EQ, .values = &values[0], .values_n = 1},
        {.field = 1, .op = OP_EQ, .values = &values[1], .values_n = 1}};
    const struct match_question question = {yzi_store_dataset(s), &k, predicates, 2};
    const struct query_limits limits = {.rows = 1, .bytes = 1u << 16};
    enum match_result results[MATCH_PREDICATES_MAX];
    uint64_t sequence;
    struct match *m = NULL;
    struct query_fault fault;
    bool right = yzi_match_open(s, &question, &m, &fault) == 0 &&
                 yzi_match_ask(m, NULL, &limits, results, &sequence) == 0 &&
                 results[0] == MATCH_YES && results[1] == MATCH_NO;
    yzi_match_close(m);
    return right;
}

static void *read_on(void *arg)
{
    struct reading *r = arg;
    char key[16], n[24];
    for (unsigned i = 0; !atomic_load(&r->stop); i++) {
        unsigned row = i * 7 % ROWS, kind = i % 3;
        snprintf(key, sizeof key, "id%04u", row);
        snprintf(n, sizeof n, "secret%u", row);
        bool right = kind == 0   ? get_is_right(r->w->s, key, n)
                     : kind == 1 ? find_is_right(r->w->s, n)
                                 : match_is_right(r->w->s, key, n);
        atomic_fetch_add(right ? &r->answers : &r->failures, 1);
        atomic_fetch_add(&r->of[kind], 1);
    }
    return NULL;
}

static void test_rotate__no_answer_fails_meanwhile(void **unused)
{
    (void)unused;
    struct world w;
    struct import_report ir;
    pthread_t threads[3];
    make_world(&w, yaml);
    assert_int_equal(import_all(&w, &ir), 0);
    struct reading r = {.w = &w};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
    }
    for (unsigned i = 0; i < 5; i++) {
        unsigned before = atomic_load(&r.answers) + atomic_load(&r.failures);
        rotate(&w);
        while (atomic_load(&r.answers) + atomic_load(&r.failures) < before + 50) {
            sched_yield();
        }
    }
    atomic_store(&r.stop, true);
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&r.failures), 0);
    assert_true(atomic_load(&r.answers) >= 250);
    for (size_t i = 0; i < 3; i++) {
        assert_true(atomic_load(&r.of[i]) > 0);
    }
    expect_one_of_each(&w);
    expect_whole(&w);
    end_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rotate__records_stay_and_the_key_is_another),
        cmocka_unit_test(test_rotate__indexes_serve_and_unique_ones_still_promise),
        cmocka_unit_test(test_rotate__keeps_ordinals_and_sequences_without_sorting_too),
        cmocka_unit_test(test_rotate__an_empty_data_set),
        cmocka_unit_test(test_rotate__a_store_under_the_adapters_key_gets_its_own),
        cmocka_unit_test(test_rotate__refused_where_nothing_is_sensitive),
        cmocka_unit_test(test_rotate__cancelled_changes_nothing),
        cmocka_unit_test(
            test_keys__without_the_key_the_store_does_not_open_and_nothing_is_destroyed),
        cmocka_unit_test(test_keys__another_key_under_the_name_is_refused),
        cmocka_unit_test(test_keys__a_key_that_waits_for_its_data_is_kept),
        cmocka_unit_test(test_keys__strays_of_a_crash_go_and_other_files_stay),
        cmocka_unit_test(test_rotate__what_is_written_meanwhile_is_not_lost),
        cmocka_unit_test(test_rotate__what_is_written_meanwhile_where_the_order_stays),
        cmocka_unit_test(test_backup__holds_no_key_and_opens_with_it),
        cmocka_unit_test(test_rotate__no_answer_fails_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
