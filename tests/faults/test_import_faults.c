/* SPDX-License-Identifier: Apache-2.0
 *
 * A full disk, a failing one, and kill -9 at each write of an import: the store is what it was or
 * what it was to become, whole, and opens again. By one transaction and by a new generation.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/faults/shim_io.h"
#include "tests/unit/dataset/fixture.h"

#include "adapters/dataset/export.h"

#include <errno.h>

static const char yaml[] = "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [id]\n"
                           "fields:\n"
                           "  - {name: id, type: text, classification: public, max_length: 20}\n"
                           "  - {name: a, type: text, classification: public}\n"
                           "indexes:\n  - {name: by_a, fields: [a]}\n";

#define ROWS 300
#define CHANGES (IO_CHANGES & ~(uint32_t)IO_UNLINK)
#define OPENS (IO_OPEN | IO_CREATE)

struct world {
    struct fixture_dir dir;
    struct dataset *d;
    yz_buf file; /* what is imported over what was */
    uint64_t generation;
};

static void put_rows(yz_buf *b, const char *value, unsigned from, unsigned to)
{
    yzi_buf_init(b, 1u << 24);
    assert_int_equal(yzi_buf_put_str(b, "id,a\n"), 0);
    for (unsigned i = from; i < to; i++) {
        assert_int_equal(yzi_buf_printf(b, "%04u,%s%u\n", i, value, i), 0);
    }
}

static void make(struct world *w)
{
    yz_buf before;
    struct import_report r;
    *w = (struct world){.d = fixture_dataset(yaml)};
    fixture_dir_make(&w->dir);
    struct store *s = fixture_open(w->dir.path, w->d, NULL);
    put_rows(&before, "old", 0, ROWS);
    assert_int_equal(fixture_import_bytes(s, yzi_bytes_buf(&before), &r, NULL), 0);
    yzi_buf_fini(&before);
    put_rows(&w->file, "new", ROWS / 2, ROWS + ROWS / 2);
    yzi_store_close(s);
    io_faults_watch(io_faults_local(), w->dir.path, "");
}

static void end(struct world *w)
{
    io_faults_disarm(io_faults_local());
    yzi_buf_fini(&w->file);
    yzi_dataset_unref(w->d);
    fixture_dir_remove(&w->dir);
}

/* A failure has words: the code says nothing to who reads it. */
static int import(struct store *s, const struct world *w, enum import_mode mode)
{
    struct import_report r;
    yz_error err = {0};
    struct import_source src = {
        .fd = fixture_file(yzi_bytes_buf(&w->file)), .name = "f", .mode = mode};
    int rc = yzi_store_import(s, &src, &r, &err);
    close(src.fd);
    if (rc < 0 && (!err.text[0] || strstr(err.text, "YZ_E"))) {
        fail_msg("%d: %s", rc, err.text);
    }
    return rc;
}

/* The store's content as text. */
static void read_all(struct store *s, yz_buf *out)
{
    uint64_t rows;
    uint8_t piece[4096];
    int fd = fixture_file(yzi_bytes("", 0));
    const struct export_options o = {.fd = fd, .format = FORMAT_CSV};
    assert_int_equal(yzi_store_export(s, &o, &rows, NULL), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    yzi_buf_init(out, 1u << 20);
    for (ssize_t n; (n = read(fd, piece, sizeof piece)) > 0;) {
        assert_int_equal(yzi_buf_put(out, yzi_bytes(piece, (size_t)n)), 0);
    }
    close(fd);
}

/* Old or new, whole; opened again, and with each index as the records are. Tells which. */
static bool is_new(struct world *w, enum import_mode mode)
{
    yz_buf got, old;
    io_faults_disarm(io_faults_local());
    struct store *s = fixture_open(w->dir.path, w->d, NULL);
    struct store_state state;
    assert_int_equal(yzi_store_state(s, &state), 0);
    assert_int_equal(state.indexes_building + state.indexes_broken, 0);
    read_all(s, &got);
    put_rows(&old, "old", 0, ROWS);
    bool same = yzi_bytes_eq(yzi_bytes_buf(&got), yzi_bytes_buf(&old));
    uint64_t sequence = mode == IMPORT_REPLACE ? 3 * ROWS - ROWS / 2 : 2 * ROWS;
    if (mode == IMPORT_REPLACE && !same) {
        assert_true(yzi_bytes_eq(yzi_bytes_buf(&got), yzi_bytes_buf(&w->file)));
    } else if (!same) {
        assert_int_equal(state.records, ROWS + ROWS / 2);
        assert_non_null(memmem(got.p, got.n, "0150,new150\n", 12));
        assert_non_null(memmem(got.p, got.n, "0149,old149\n", 12));
    }
    assert_int_equal(state.sequence, same ? ROWS : sequence);
    yzi_buf_fini(&got);
    yzi_buf_fini(&old);
    yzi_store_close(s);
    return !same;
}

/* -- the disk fails -- */

/* From the n-th call of these kinds on, for each n. In the end the process that met it imports, or
 * the next one. */
static void fail_each(enum import_mode mode, uint32_t kinds, uint32_t times, enum io_harm harm,
                      int error)
{
    struct io_faults *f = io_faults_local();
    bool done = false;
    unsigned failures = 0;
    for (uint64_t nth = 1; !done; nth++) {
        struct world w;
        make(&w);
        struct store *s = fixture_open(w.dir.path, w.d, NULL);
        io_faults_arm(f, kinds, nth, times, harm, error);
        int rc = import(s, &w, mode);
        done = atomic_load(&f->failed) == 0;
        io_faults_disarm(f);
        bool same_process = kinds & IO_OPEN && nth % 2;
        if (same_process) {
            assert_int_equal(import(s, &w, mode), 0);
        }
        yzi_store_close(s);
        failures += rc < 0;
        bool new = is_new(&w, mode);
        assert_true((rc < 0 && !same_process) || new);
        assert_true(rc == 0 || rc == YZ_EDISKFULL || rc == YZ_EIO || rc == YZ_ECORRUPT ||
                    (error == EMFILE && rc == YZ_ELIMIT));
        /* the disk is well again: what was not imported now is */
        s = fixture_open(w.dir.path, w.d, NULL);
        assert_int_equal(import(s, &w, mode), 0);
        yzi_store_close(s);
        assert_true(is_new(&w, mode));
        end(&w);
    }
    assert_true(failures >= 2);
}

static void test_faults__disk_full_at_each_write(void **unused)
{
    (void)unused;
    fail_each(IMPORT_UPSERT, CHANGES, IO_ALWAYS, IO_TORN, ENOSPC);
    fail_each(IMPORT_REPLACE, CHANGES, IO_ALWAYS, IO_TORN, ENOSPC);
}

static void test_faults__io_error_at_each_write(void **unused)
{
    (void)unused;
    fail_each(IMPORT_UPSERT, CHANGES, IO_ALWAYS, IO_FAIL, EIO);
    fail_each(IMPORT_REPLACE, CHANGES, IO_ALWAYS, IO_FAIL, EIO);
}

/* An import in place opens nothing; a replacement a folder, its files, and what it sorts in. */
static void test_faults__nothing_can_be_opened(void **unused)
{
    (void)unused;
    static const int errors[] = {EMFILE, ENOSPC, EIO};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        fail_each(IMPORT_REPLACE, OPENS, 1, IO_FAIL, errors[i]);
        fail_each(IMPORT_REPLACE, OPENS, IO_ALWAYS, IO_FAIL, errors[i]);
    }
}

/* -- the process is killed -- */

static void kill_each(enum import_mode mode, enum io_harm harm)
{
    struct io_faults *f = io_faults_local();
    bool killed = true, was_old = false, was_new = false;
    for (uint64_t nth = 1; killed; nth++) {
        struct world w;
        int status;
        make(&w);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct store_options o = {.dir = w.dir.path, .dataset = w.d};
            struct store *s;
            yzi_secret_require_lock(false);
            if (yzi_store_open(&o, &s, NULL) == 0) {
                io_faults_arm(f, IO_CHANGES, nth, 1, harm, EIO);
                yz_ignore(import(s, &w, mode), "it is the next start that tells");
            }
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        bool new = is_new(&w, mode);
        was_old = was_old || !new;
        was_new = was_new || new;
        end(&w);
    }
    assert_true(was_old && was_new);
}

static void test_faults__killed_at_each_write(void **unused)
{
    (void)unused;
    kill_each(IMPORT_UPSERT, IO_KILL_TORN);
    kill_each(IMPORT_REPLACE, IO_KILL_TORN);
    kill_each(IMPORT_REPLACE, IO_KILL_AFTER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults__disk_full_at_each_write),
        cmocka_unit_test(test_faults__io_error_at_each_write),
        cmocka_unit_test(test_faults__nothing_can_be_opened),
        cmocka_unit_test(test_faults__killed_at_each_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
