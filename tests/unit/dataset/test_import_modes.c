/* SPDX-License-Identifier: Apache-2.0
 *
 * The modes of an import, small and large: what each leaves in the store, what it tells, and that
 * memory does not grow with the file.
 */
#include "tests/unit/dataset/fixture.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include "adapters/dataset/export.h"
#include "adapters/dataset/rejects.h"

static const char yaml[] =
    "dataset: people\n"
    "title: {en: People}\n"
    "owner: o\n"
    "sharing: conditional\n"
    "key: [id]\n"
    "fields:\n"
    "  - {name: id, type: text, classification: internal, max_length: 18}\n"
    "  - {name: name, type: text, classification: sensitive}\n"
    "  - {name: born, type: date, classification: internal}\n"
    "  - {name: mail, type: text, classification: internal, max_length: 100}\n"
    "indexes:\n  - {name: by_mail, fields: [mail], unique: true}\n"
    "  - {name: by_born, fields: [born, id]}\n";

#define HEADER "id,name,born,mail\n"
#define LARGE 60000

struct world {
    struct fixture_dir dir;
    struct dataset *d;
    yz_secret key;
    struct store *s;
    struct import_report r;
    yz_error err;
    int out; /* of changes, rejects */
    struct change_writer changes;
    _Atomic bool cancel;
    uint64_t cancel_at;
    enum work_phase cancel_in; /* or later */
    uint64_t done;             /* of the phase */
    char phases[200];          /* that were told, one after the other */
    size_t heap, heap_most;
};

static int make_world(void **state)
{
    static struct world w;
    w = (struct world){.d = fixture_dataset(yaml)};
    fixture_dir_make(&w.dir);
    fixture_key(&w.key, 1);
    w.s = fixture_open(w.dir.path, w.d, &w.key);
    w.out = fixture_file(yzi_bytes("", 0));
    *state = &w;
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;
    yzi_store_close(w->s);
    yzi_secret_fini(&w->key);
    yzi_dataset_unref(w->d);
    fixture_dir_remove(&w->dir);
    close(w->out);
    return 0;
}

static int import_source(struct world *w, struct import_source *src, yz_bytes file)
{
    src->fd = fixture_file(file);
    src->name = "f";
    int rc = yzi_store_import(w->s, src, &w->r, &w->err);
    close(src->fd);
    return rc;
}

static int import(struct world *w, enum import_mode mode, const char *rows)
{
    char file[4000];
    struct import_source src = {.mode = mode};
    snprintf(file, sizeof file, "%s%s", HEADER, rows);
    return import_source(w, &src, yzi_bytes_str(file));
}

static void expect_report(const struct world *w, unsigned inserted, unsigned updated,
                          unsigned unchanged, unsigned deleted, unsigned sequence)
{
    assert_int_equal(w->r.inserted, inserted);
    assert_int_equal(w->r.updated, updated);
    assert_int_equal(w->r.unchanged, unchanged);
    assert_int_equal(w->r.deleted, deleted);
    assert_int_equal(w->r.sequence, sequence);
}

static uint64_t generation(struct world *w)
{
    struct store_state state;
    assert_int_equal(yzi_store_state(w->s, &state), 0);
    return state.generation;
}

/* The whole store with each record's sequence. */
static void expect_all(struct world *w, const char *wanted)
{
    char got[4000];
    int fd = fixture_file(yzi_bytes("", 0));
    uint64_t rows;
    const struct export_options o = {.fd = fd, .format = FORMAT_CSV, .sensitive = true};
    assert_int_equal(yzi_store_export(w->s, &o, &rows, &w->err), 0);
    ssize_t n = pread(fd, got, sizeof got - 1, 0);
    assert_true(n >= 0);
    got[n] = '\0';
    close(fd);
    assert_string_equal(got, wanted);
}

static uint64_t sequence_of(struct world *w, const char *id)
{
    yz_buf text;
    struct json j;
    yz_bytes key = yzi_bytes_str(id);
    unsigned long long sequence = 0;
    yzi_buf_init(&text, 10000);
    yzi_json_init(&j, &text, false);
    assert_int_equal(yzi_store_show(w->s, &key, 1, true, &j, &w->err), 0);
    assert_int_equal(yzi_json_end(&j), 0);
    assert_int_equal(yzi_buf_put_u8(&text, 0), 0);
    assert_int_equal(sscanf((const char *)text.p, "{\"sequence\":%llu", &sequence), 1);
    yzi_buf_fini(&text);
    return sequence;
}

/* -- each mode -- */

static void test_import__insert_only(void **state)
{
    struct world *w = *state;
    assert_int_equal(import(w, IMPORT_INSERT, "1,a,,\n2,b,,\n"), 0);
    expect_report(w, 2, 0, 0, 0, 2);
    assert_int_equal(import(w, IMPORT_INSERT, "1,a,,\n3,c,,\n"), 0);
    expect_report(w, 1, 0, 1, 0, 3);
    assert_int_equal(import(w, IMPORT_INSERT, "4,d,,\n2,x,,\n"), YZ_EDATA);
    assert_string_equal(w->err.text, "f:3: has a key that is there already, with other values");
    expect_report(w, 0, 0, 0, 0, 3);
    expect_all(w, HEADER "1,a,,\n2,b,,\n3,c,,\n");
}

static void test_import__replace_keeps_what_did_not_change(void **state)
{
    struct world *w = *state;
    assert_int_equal(import(w, IMPORT_UPSERT, "1,a,,\n2,b,,\n3,c,,m\n"), 0);
    uint64_t before = generation(w);
    assert_int_equal(import(w, IMPORT_REPLACE, "3,c,,m\n4,d,,\n2,B,,\n"), 0);
    expect_report(w, 1, 1, 1, 1, 6);
    assert_int_equal(generation(w), before + 1);
    expect_all(w, HEADER "2,B,,\n3,c,,m\n4,d,,\n");
    assert_int_equal(sequence_of(w, "3"), 3);
    assert_int_equal(sequence_of(w, "2"), 4); /* sorted by key, as the file is in no order */
    assert_int_equal(sequence_of(w, "4"), 5);
    /* again: nothing, not even a new generation */
    assert_int_equal(import(w, IMPORT_REPLACE, "3,c,,m\n4,d,,\n2,B,,\n"), 0);
    expect_report(w, 0, 0, 3, 0, 6);
    assert_int_equal(generation(w), before + 1);
    /* the next insert goes on counting behind it */
    assert_int_equal(import(w, IMPORT_UPSERT, "5,e,,\n"), 0);
    expect_report(w, 1, 0, 0, 0, 7);
    assert_int_equal(import(w, IMPORT_REPLACE, "5,e,,\n"), 0);
    expect_report(w, 0, 0, 1, 3, 10);
    assert_int_equal(sequence_of(w, "5"), 7);
}

static void test_import__replace_refuses(void **state)
{
    struct world *w = *state;
    assert_int_equal(import(w, IMPORT_UPSERT, "1,a,,\n2,b,,\n"), 0);
    uint64_t before = generation(w);
    assert_int_equal(import(w, IMPORT_REPLACE, ""), YZ_EDATA);
    assert_string_equal(w->err.text,
                        "f: has no record that could be imported; a replacement would leave "
                        "nothing (to empty a data set, delete its records)");
    assert_int_equal(import(w, IMPORT_REPLACE, "7,a,,\n8,b,,\n7,c,,\n"), YZ_EDATA);
    assert_string_equal(w->err.text, "f:4: has the key of line 2 again");
    assert_int_equal(import(w, IMPORT_REPLACE, "7,a,,m\n8,b,,m\n"), YZ_EDATA);
    assert_string_equal(w->err.text,
                        "f:3: has the same values as another record in the unique index 'by_mail'");
    assert_int_equal(import(w, IMPORT_REPLACE, "7,a,never,\n"), YZ_EDATA);
    expect_report(w, 0, 0, 0, 0, 2);
    assert_int_equal(generation(w), before);
    expect_all(w, HEADER "1,a,,\n2,b,,\n");
}

static void test_import__delete_reads_keys_only(void **state)
{
    struct world *w = *state;
    struct import_source src = {.mode = IMPORT_DELETE};
    assert_int_equal(import(w, IMPORT_UPSERT, "1,a,,x\n2,b,,y\n3,c,,z\n"), 0);
    assert_int_equal(import_source(w, &src, yzi_bytes_str("why,id\ngone,2\ngone,9\n")), 0);
    expect_report(w, 0, 0, 0, 1, 4);
    assert_int_equal(w->r.absent, 1);
    for (size_t i = 0; i < sizeof w->r.unseen / sizeof w->r.unseen[0]; i++) {
        assert_false(w->r.unseen[i]); /* what is not looked at is not missed */
    }
    expect_all(w, HEADER "1,a,,x\n3,c,,z\n");
    assert_int_equal(import_source(w, &src, yzi_bytes_str("why,id\ngone,2\ngone,9\n")), 0);
    expect_report(w, 0, 0, 0, 0, 4);
    assert_int_equal(import_source(w, &src, yzi_bytes_str("why\ngone\n")), YZ_EDATA);
    assert_string_equal(w->err.text, "f:1: the column 'id' is missing");
    assert_int_equal(import(w, IMPORT_UPSERT, "4,d,,y\n"), 0); /* its index entry went with it */
}

static void test_import__dry_run_of_every_mode_changes_nothing(void **state)
{
    struct world *w = *state;
    assert_int_equal(import(w, IMPORT_UPSERT, "1,a,,\n2,b,,\n"), 0);
    for (int mode = IMPORT_UPSERT; mode <= IMPORT_DELETE; mode++) {
        struct import_source src = {.mode = (enum import_mode)mode, .dry_run = true};
        assert_int_equal(import_source(w, &src, yzi_bytes_str(HEADER "1,a,,\n3,c,,\n")), 0);
        assert_int_equal(w->r.inserted + w->r.deleted > 0, 1);
        assert_int_equal(w->r.sequence, 2);
        expect_all(w, HEADER "1,a,,\n2,b,,\n");
    }
}

/* -- rejects -- */

static void read_out(struct world *w, char *text, size_t cap)
{
    ssize_t n = pread(w->out, text, cap - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
}

static void test_import__rejects(void **state)
{
    struct world *w = *state;
    char text[2000];
    struct import_source src = {.mode = IMPORT_UPSERT};
    assert_int_equal(yzi_rejects_new(w->out, &src.rejects), 0);
    assert_int_equal(
        import_source(
            w, &src, yzi_bytes_str(HEADER "1,a,,m\n,b,never,\n3,\"c, d\",,\n3,e,,\n4,f\n5,g,,m\n")),
        0);
    yzi_rejects_free(src.rejects);
    expect_report(w, 2, 0, 0, 0, 2);
    assert_int_equal(w->r.rejected, 4);
    assert_int_equal(w->r.faults, 0);
    read_out(w, text, sizeof text);
    assert_string_equal(
        text, "line,record,reason,id,name,born,mail\n"
              "3,,id: is required and empty; born: is not a date (YYYY-MM-DD),,b,never,\n"
              "5,,has the key of line 4 again,3,e,,\n"
              "6,,\"has 2 columns, not 4\",4,f\n"
              "7,,has the same values as another record in the unique index 'by_mail',5,g,,m\n");
    expect_all(w, HEADER "1,a,,m\n3,\"c, d\",,\n");
}

static void test_import__rejects_do_not_excuse_a_broken_file(void **state)
{
    struct world *w = *state;
    struct import_source src = {.mode = IMPORT_UPSERT};
    assert_int_equal(yzi_rejects_new(w->out, &src.rejects), 0);
    assert_int_equal(import_source(w, &src, yzi_bytes_str(HEADER "1,a,,\n2,\"b,,\n")), YZ_EDATA);
    yzi_rejects_free(src.rejects);
    expect_all(w, HEADER);
}

static void test_import__says_that_the_rejects_cannot_be_written(void **state)
{
    struct world *w = *state;
    struct import_source src = {.mode = IMPORT_UPSERT};
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    assert_int_equal(yzi_rejects_new(full, &src.rejects), 0);
    assert_int_equal(import_source(w, &src, yzi_bytes_str(HEADER "1,a,,\n2,b,x,\n")), YZ_EDISKFULL);
    assert_string_equal(w->err.text, "f: the import stopped and changed nothing: the file of what "
                                     "is rejected could not be written (the disk is full)");
    yzi_rejects_free(src.rejects);
    close(full);
    expect_all(w, HEADER);
}

static void test_import__rejects_of_json_hold_the_record(void **state)
{
    struct world *w = *state;
    char text[500];
    struct import_source src = {.mode = IMPORT_UPSERT, .format = FORMAT_JSONL};
    assert_int_equal(yzi_rejects_new(w->out, &src.rejects), 0);
    assert_int_equal(import_source(w, &src, yzi_bytes_str("{\"id\": \"1\"}\n{\"name\": \"x\"}\n")),
                     0);
    yzi_rejects_free(src.rejects);
    read_out(w, text, sizeof text);
    assert_string_equal(text, "line,record,reason,source\n"
                              "2,2,id: is required and empty,\"{\"\"name\"\": \"\"x\"\"}\"\n");
}

/* -- differences -- */

static int on_change(void *ctx, const struct import_change *c)
{
    struct world *w = ctx;
    return yzi_change_write(&w->changes, c);
}

static void diff_as(struct world *w, enum import_mode mode, bool json, bool sensitive,
                    const char *rows, const char *wanted)
{
    char file[4000], text[8000];
    struct import_source src = {.mode = mode, .dry_run = true, .change = on_change, .ctx = w};
    assert_int_equal(ftruncate(w->out, 0), 0);
    assert_int_equal(lseek(w->out, 0, SEEK_SET), 0);
    snprintf(file, sizeof file, "%s%s", HEADER, rows);
    yzi_change_writer_init(&w->changes, w->out, w->d, json, sensitive);
    assert_int_equal(import_source(w, &src, yzi_bytes_str(file)), 0);
    assert_int_equal(yzi_change_writer_flush(&w->changes), 0);
    yzi_change_writer_fini(&w->changes);
    read_out(w, text, sizeof text);
    assert_string_equal(text, wanted);
}

static void diff(struct world *w, bool json, bool sensitive, const char *rows, const char *wanted)
{
    diff_as(w, IMPORT_REPLACE, json, sensitive, rows, wanted);
}

static void test_import__tells_what_it_would_change(void **state)
{
    struct world *w = *state;
    assert_int_equal(import(w, IMPORT_UPSERT, "1,a,2000-01-01,\n2,b,,\n3,c,,\n"), 0);
    static const char rows[] =
        "1,A,2000-01-02,m\n3,c,,\n4,\"d\n\",2001-01-01,a\u00a0\x1b\xc2\x9b\n";
    diff(w, false, false, rows,
         "~ 1: name (not shown: --sensitive), born: 2000-01-01 -> 2000-01-02, mail: - -> m\n"
         "+ 4: name (not shown: --sensitive), born=2001-01-01, mail=a\u00a0??\n"
         "- 2: name (not shown: --sensitive)\n");
    diff(w, false, true, rows,
         "~ 1: name: a -> A, born: 2000-01-01 -> 2000-01-02, mail: - -> m\n"
         "+ 4: name=d?, born=2001-01-01, mail=a\u00a0??\n- 2: name=b\n");
    diff(w, true, false, "1,A,2000-01-01,\n3,c,,\n2,b,,\n",
         "{\"change\":\"changed\",\"key\":[\"1\"],\"fields\":[{\"field\":\"name\",\"hidden\":true}]"
         "}\n");
    diff(w, true, true, "1,a,2000-01-01,\n3,c,,\n",
         "{\"change\":\"removed\",\"key\":[\"2\"],\"fields\":[{\"field\":\"id\",\"before\":\"2\"},"
         "{\"field\":\"name\",\"before\":\"b\"}]}\n");
    expect_all(w, HEADER "1,a,2000-01-01,\n2,b,,\n3,c,,\n");
}

static int on_change_full(void *ctx, const struct import_change *c)
{
    (void)ctx;
    return c ? YZ_EDISKFULL : 0;
}

static void test_import__says_that_the_differences_cannot_be_written(void **state)
{
    struct world *w = *state;
    struct import_source src = {.mode = IMPORT_UPSERT, .dry_run = true, .change = on_change_full};
    assert_int_equal(import_source(w, &src, yzi_bytes_str(HEADER "1,a,,\n")), YZ_EDISKFULL);
    assert_string_equal(w->err.text, "f: the differences could not be written (the disk is full)");
}

/* Records that are changed in the place where they are stored, one beside the other. */
static void test_import__tells_what_was_there_before_a_change_in_place(void **state)
{
    struct world *w = *state;
    char rows[3000] = "", changed[3000] = "", keys[1000] = "", updates[8000] = "",
         removed[8000] = "";
    for (int i = 100; i < 150; i++) {
        char line[200];
        snprintf(line, sizeof line, "%d,n%d,2000-01-01,m%d\n", i, i, i);
        strcat(rows, line);
        snprintf(line, sizeof line, "%d,n%d,2001-12-31,a longer one %d\n", i, i, i);
        strcat(changed, line);
        snprintf(line, sizeof line, "%d,,,\n", i);
        strcat(keys, line);
        snprintf(line, sizeof line,
                 "~ %d: born: 2000-01-01 -> 2001-12-31, mail: m%d -> a longer one %d\n", i, i, i);
        strcat(updates, line);
        snprintf(line, sizeof line, "- %d: name=n%d, born=2000-01-01, mail=m%d\n", i, i, i);
        strcat(removed, line);
    }
    assert_int_equal(import(w, IMPORT_UPSERT, rows), 0);
    diff_as(w, IMPORT_UPSERT, false, true, changed, updates);
    diff_as(w, IMPORT_REPLACE, false, true, changed, updates);
    diff_as(w, IMPORT_DELETE, false, true, keys, removed);
}

/* -- large -- */

static void on_progress(void *ctx, const struct work_progress *at)
{
    struct world *w = ctx;
    const char *phase = yzi_work_phase_name(at->phase);
    size_t n = strlen(w->phases), k = strlen(phase);
    bool goes_on = n > k && strcmp(w->phases + n - k, phase) == 0;
    struct mallinfo2 m = mallinfo2();
    size_t now = m.uordblks + m.hblkhd;
    assert_true(at->done <= at->total);
    assert_true(!goes_on || at->done >= w->done || at->phase == PHASE_READ);
    w->done = at->done;
    if (!goes_on && n + k + 2 < sizeof w->phases) {
        snprintf(w->phases + n, sizeof w->phases - n, " %s", phase);
    }
    w->heap_most = now > w->heap_most ? now : w->heap_most;
    if (w->cancel_at && at->phase >= w->cancel_in &&
        (at->rows >= w->cancel_at || at->phase == PHASE_INDEX)) {
        atomic_store(&w->cancel, true);
    }
}

/* `rows` records in an order that is none, each with a long name. */
static yz_buf large_file(unsigned rows, unsigned edition)
{
    yz_buf b;
    yzi_buf_init(&b, (size_t)256 << 20);
    assert_int_equal(yzi_buf_put_str(&b, HEADER), 0);
    for (uint64_t i = 0; i < rows; i++) {
        uint64_t id = i * 7919 % rows; /* 7919 is prime, and no factor of rows */
        assert_int_equal(yzi_buf_printf(&b, "%08u,%0300u,2000-01-01,%u@x\n", (unsigned)id,
                                        id % 10 == 0 ? edition : 0, (unsigned)id),
                         0);
    }
    return b;
}

static int import_large(struct world *w, enum import_mode mode, unsigned rows, unsigned edition)
{
    yz_buf file = large_file(rows, edition);
    struct import_source src = {
        .mode = mode, .progress = on_progress, .cancel = &w->cancel, .ctx = w};
    struct mallinfo2 m = mallinfo2();
    w->heap = w->heap_most = m.uordblks + m.hblkhd;
    w->phases[0] = '\0';
    int rc = import_source(w, &src, yzi_bytes_buf(&file));
    yzi_buf_fini(&file);
    return rc;
}

/* What does not fit into one transaction goes by a new generation, with the same result. */
static void test_import__large_ones_keep_memory_bounded(void **state)
{
    struct world *w = *state;
    uint64_t before = generation(w);
    assert_int_equal(import_large(w, IMPORT_UPSERT, LARGE, 1), 0);
    assert_string_equal(w->phases, " reading sorting loading indexing");
    expect_report(w, LARGE, 0, 0, 0, LARGE);
    assert_int_equal(generation(w), before + 1);
    assert_true(w->heap_most - w->heap < (size_t)64 << 20);
    assert_int_equal(import_large(w, IMPORT_UPSERT, LARGE, 1), 0);
    expect_report(w, 0, 0, LARGE, 0, LARGE);
    assert_int_equal(generation(w), before + 1);
    assert_int_equal(import_large(w, IMPORT_REPLACE, LARGE, 2), 0);
    assert_string_equal(w->phases, " sorting loading indexing");
    expect_report(w, 0, LARGE / 10, LARGE - LARGE / 10, 0, LARGE + LARGE / 10);
    assert_true(w->heap_most - w->heap < (size_t)64 << 20);
    assert_int_equal(import_large(w, IMPORT_UPSERT, LARGE, 3), 0); /* not into nothing */
    assert_string_equal(w->phases, " reading copying sorting loading");
    struct import_source src = {.mode = IMPORT_DELETE};
    yz_buf keys = large_file(LARGE, 2);
    assert_int_equal(import_source(w, &src, yzi_bytes_buf(&keys)), 0);
    yzi_buf_fini(&keys);
    assert_int_equal(w->r.deleted, LARGE);
    expect_all(w, HEADER);
}

static void count_fault(void *ctx, const struct import_fault *f)
{
    struct world *w = ctx;
    assert_non_null(f->reason);
    w->heap++;
}

/* A fault before the import starts over is told once. */
static void test_import__large_with_faults_changes_nothing(void **state)
{
    struct world *w = *state;
    yz_buf file = large_file(LARGE, 1);
    assert_int_equal(import(w, IMPORT_UPSERT, "a,b,,\n"), 0);
    assert_int_equal(yzi_buf_put_str(&file, "x,y,never,\n00000017,again,,\n"), 0);
    memcpy(file.p + sizeof HEADER - 1 + 8 + 1 + 300 + 1, "2000-99", 7); /* the first record's day */
    struct import_source src = {.mode = IMPORT_UPSERT, .fault = count_fault, .ctx = w};
    w->heap = 0;
    assert_int_equal(import_source(w, &src, yzi_bytes_buf(&file)), YZ_EDATA);
    assert_int_equal(w->heap, 3);
    assert_int_equal(w->r.faults, 3);
    assert_string_equal(w->err.text, "f:2: born: is a date the calendar does not have");
    expect_all(w, HEADER "a,b,,\n");
    yzi_buf_fini(&file);
}

/* A replacement in no order is sorted; what is wrong with it is told by the order of the file, and
 * the first of two records with one key is the one that stays. */
static void test_import__unordered_with_faults_tells_them_in_order(void **state)
{
    struct world *w = *state;
    static const char rows[] = HEADER "5,e,,\n3,c,,\n9,i,,same\n3,again,,\n1,a,never,\n5,more,,\n"
                                      "2,b,,same\n";
    char text[1000];
    struct import_source src = {.mode = IMPORT_REPLACE, .fault = count_fault, .ctx = w};
    assert_int_equal(import(w, IMPORT_UPSERT, "7,g,,\n"), 0);
    w->heap = 0;
    assert_int_equal(import_source(w, &src, yzi_bytes_str(rows)), YZ_EDATA);
    assert_string_equal(w->err.text, "f:5: has the key of line 3 again");
    assert_int_equal(w->heap, 4);
    expect_all(w, HEADER "7,g,,\n");
    src = (struct import_source){.mode = IMPORT_REPLACE};
    assert_int_equal(yzi_rejects_new(w->out, &src.rejects), 0);
    assert_int_equal(import_source(w, &src, yzi_bytes_str(rows)), 0);
    yzi_rejects_free(src.rejects);
    expect_report(w, 3, 0, 0, 1, 5);
    assert_int_equal(w->r.rejected, 4);
    read_out(w, text, sizeof text);
    assert_string_equal(
        text, "line,record,reason,id,name,born,mail\n"
              "5,,has the key of line 3 again,3,again,,\n"
              "6,,born: is not a date (YYYY-MM-DD),1,a,never,\n"
              "7,,has the key of line 2 again,5,more,,\n"
              "8,,has the same values as another record in the unique index 'by_mail',2,b,,same\n");
    expect_all(w, HEADER "3,c,,\n5,e,,\n9,i,,same\n");
}

static void test_import__records_exchange_unique_values_by_replacing(void **state)
{
    struct world *w = *state;
    static const char before[] = "1,a,,x\n2,b,,y\n3,c,,\n", after[] = "1,a,,y\n2,b,,x\n3,c,,\n";
    assert_int_equal(import(w, IMPORT_UPSERT, before), 0);
    assert_int_equal(import(w, IMPORT_UPSERT, "1,a,,y\n2,b,,x\n"), YZ_EDATA);
    assert_string_equal(w->err.text,
                        "f:2: has the same values as another record in the unique index 'by_mail'; "
                        "records that exchange them need mode replace");
    expect_all(w, HEADER "1,a,,x\n2,b,,y\n3,c,,\n");
    assert_int_equal(import(w, IMPORT_REPLACE, after), 0);
    expect_all(w, HEADER "1,a,,y\n2,b,,x\n3,c,,\n");
    /* in two steps */
    assert_int_equal(import(w, IMPORT_UPSERT, "1,a,,\n"), 0);
    assert_int_equal(import(w, IMPORT_UPSERT, "2,b,,y\n1,a,,x\n"), 0);
    expect_all(w, HEADER "1,a,,x\n2,b,,y\n3,c,,\n");
}

static void test_import__cancelled_leaves_what_was(void **state)
{
    struct world *w = *state;
    assert_int_equal(import(w, IMPORT_UPSERT, "a,b,,\n"), 0);
    static const struct {
        enum import_mode mode;
        enum work_phase in;
    } cases[] = {{IMPORT_UPSERT, PHASE_COPY},
                 {IMPORT_REPLACE, PHASE_COPY},
                 {IMPORT_UPSERT, PHASE_LOAD},
                 {IMPORT_REPLACE, PHASE_LOAD},
                 {IMPORT_REPLACE, PHASE_INDEX}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        w->cancel_at = 10000;
        w->cancel_in = cases[i].in;
        atomic_store(&w->cancel, false);
        assert_int_equal(import_large(w, cases[i].mode, LARGE, 1), YZ_ECANCELLED);
        assert_string_equal(w->err.text, "f: the import was cancelled, nothing was changed");
        expect_all(w, HEADER "a,b,,\n");
    }
    w->cancel_at = 0;
    atomic_store(&w->cancel, false);
    assert_int_equal(import(w, IMPORT_UPSERT, "c,d,,\n"), 0);
    expect_all(w, HEADER "a,b,,\nc,d,,\n");
}

/* -- exports -- */

static void test_export__formats(void **state)
{
    struct world *w = *state;
    static const struct {
        enum import_format format;
        bool sensitive;
        const char *text;
    } cases[] = {{FORMAT_CSV, false, "id,born,mail\n1,2000-01-01,\"a,\"\"b\"\"\"\n2,,\n"},
                 {FORMAT_JSONL, true,
                  "{\"id\":\"1\",\"name\":\"x\",\"born\":\"2000-01-01\",\"mail\":\"a,\\\"b\\\"\"}\n"
                  "{\"id\":\"2\",\"name\":null,\"born\":null,\"mail\":null}\n"},
                 {FORMAT_JSON, false,
                  "[\n{\"id\":\"1\",\"born\":\"2000-01-01\",\"mail\":\"a,\\\"b\\\"\"},\n"
                  "{\"id\":\"2\",\"born\":null,\"mail\":null}\n]\n"}};
    assert_int_equal(import(w, IMPORT_UPSERT, "1,x,2000-01-01,\"a,\"\"b\"\"\"\n2,,,\n"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1000];
        uint64_t rows = 0;
        const struct export_options o = {
            .fd = w->out, .format = cases[i].format, .sensitive = cases[i].sensitive};
        assert_int_equal(ftruncate(w->out, 0), 0);
        assert_int_equal(lseek(w->out, 0, SEEK_SET), 0);
        assert_int_equal(yzi_store_export(w->s, &o, &rows, &w->err), 0);
        assert_int_equal(rows, 2);
        read_out(w, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
    const struct export_options xml = {.fd = w->out, .format = FORMAT_XML};
    uint64_t rows;
    assert_int_equal(yzi_store_export(w->s, &xml, &rows, &w->err), YZ_EUNSUPPORTED);
}

static void test_show__refuses(void **state)
{
    struct world *w = *state;
    yz_buf text;
    struct json j;
    yz_bytes key[2] = {yzi_bytes_str("9"), yzi_bytes_str("\xff")};
    yzi_buf_init(&text, 1000);
    yzi_json_init(&j, &text, false);
    assert_int_equal(yzi_store_show(w->s, key, 1, true, &j, &w->err), YZ_ENOTFOUND);
    assert_int_equal(yzi_store_show(w->s, key, 2, true, &j, &w->err), YZ_EINVAL);
    assert_string_equal(w->err.text, "a key of 'people' has 1 part, not 2");
    assert_int_equal(yzi_store_show(w->s, key + 1, 1, true, &j, &w->err), YZ_EINVAL);
    assert_string_equal(w->err.text, "id: is not valid UTF-8");
    yzi_buf_fini(&text);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_import__insert_only),
        CASE(test_import__replace_keeps_what_did_not_change),
        CASE(test_import__replace_refuses),
        CASE(test_import__delete_reads_keys_only),
        CASE(test_import__dry_run_of_every_mode_changes_nothing),
        CASE(test_import__rejects),
        CASE(test_import__rejects_do_not_excuse_a_broken_file),
        CASE(test_import__says_that_the_rejects_cannot_be_written),
        CASE(test_import__rejects_of_json_hold_the_record),
        CASE(test_import__tells_what_it_would_change),
        CASE(test_import__says_that_the_differences_cannot_be_written),
        CASE(test_import__tells_what_was_there_before_a_change_in_place),
        CASE(test_import__large_ones_keep_memory_bounded),
        CASE(test_import__large_with_faults_changes_nothing),
        CASE(test_import__unordered_with_faults_tells_them_in_order),
        CASE(test_import__records_exchange_unique_values_by_replacing),
        CASE(test_import__cancelled_leaves_what_was),
        CASE(test_export__formats),
        CASE(test_show__refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
