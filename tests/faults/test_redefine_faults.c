/* SPDX-License-Identifier: Apache-2.0
 *
 * A full disk, a failing one, and kill -9 at each change on disk of a changed definition: the store
 * is wholly by the one definition or the other, the process that met the fault goes on answering,
 * and a start with the new definition finds every record and builds what there is to build.
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/faults/shim_io.h"
#include "tests/unit/dataset/fixture.h"

#include "adapters/builds.h"
#include "adapters/dataset/find.h"

#define HEAD                                                                                       \
    "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [id]\nfields:\n"             \
    "  - {name: id, type: text, classification: internal, max_length: 20}\n"                       \
    "  - {name: a, type: text, classification: internal, max_length: 20}\n"                        \
    "  - {name: b, type: text, classification: internal, max_length: 20}\n"
#define NOTE "  - {name: note, type: text, classification: internal, max_length: 20}\n"

/* One index stays, one goes, one comes, and so does a field. */
static const char old_yaml[] = HEAD "indexes:\n  - {name: by_a, fields: [a]}\n"
                                    "  - {name: by_b, fields: [b]}\n";
static const char new_yaml[] = HEAD NOTE "indexes:\n  - {name: by_a, fields: [a]}\n"
                                         "  - {name: by_note, fields: [note, id]}\n";

#define ROWS 100u
#define GROUPS 4u

struct world {
    struct fixture_dir dir;
    struct dataset *old, *new;
    yz_buf file; /* as the new definition has it */
};

static void put_rows(yz_buf *out, const char *head, const char *tail)
{
    yzi_buf_init(out, 1u << 20);
    assert_int_equal(yzi_buf_printf(out, "%s\n", head), 0);
    for (unsigned i = 0; i < ROWS; i++) {
        assert_int_equal(yzi_buf_printf(out, "%04u,g%u,b%u%s\n", i, i % GROUPS, i, tail), 0);
    }
}

static void make(struct world *w)
{
    struct import_report r;
    yz_buf rows;
    *w = (struct world){.old = fixture_dataset(old_yaml), .new = fixture_dataset(new_yaml)};
    fixture_dir_make(&w->dir);
    put_rows(&rows, "id,a,b", "");
    put_rows(&w->file, "id,a,b,note", ",");
    struct store *s = fixture_open(w->dir.path, w->old, NULL);
    assert_int_equal(fixture_import_bytes(s, yzi_bytes_buf(&rows), &r, NULL), 0);
    yzi_store_close(s);
    yzi_buf_fini(&rows);
    io_faults_watch(io_faults_local(), w->dir.path, "");
}

static void end(struct world *w)
{
    io_faults_disarm(io_faults_local());
    fixture_dir_remove(&w->dir);
    yzi_buf_fini(&w->file);
    yzi_dataset_unref(w->old);
    yzi_dataset_unref(w->new);
}

static uint64_t count(struct store *s, const char *field, struct query_value v)
{
    struct query_condition c = {yzi_bytes_str(field), OP_EQ, &v, 1};
    struct query q = {.operation = QUERY_COUNT, .filter = &c, .filter_n = 1};
    struct query_limits limits = {.rows = 10, .bytes = 1u << 20};
    struct find_question question = {yzi_store_dataset(s), &q, NULL, 0, &limits, {0}, NULL};
    struct find_result result = {0};
    struct query_fault fault = {0};
    yz_buf none = {0};
    if (yzi_store_find(s, &question, &none, &none, &result, &fault) < 0) {
        fail_msg("%s: %s %s", field, fault.reason, fault.detail);
    }
    return result.total;
}

/* Every record, by key and by the index that stays, as the definition in force says. */
static void check_answers(struct store *s, const struct world *w)
{
    char text[200];
    struct store_state st;
    bool new = yzi_digest_eq(&yzi_store_dataset(s)->digest, &w->new->digest);
    assert_int_equal(yzi_store_state(s, &st), 0);
    assert_int_equal(st.records, ROWS);
    assert_int_equal(st.indexes_broken, 0);
    assert_int_equal(fixture_get(s, text, sizeof text, "0000", "0099", NULL), 0);
    assert_string_equal(text, new ? "0000|g0|b0|~\n0099|g3|b99|~\n" : "0000|g0|b0\n0099|g3|b99\n");
    assert_int_equal(count(s, "a", (struct query_value){.v = yzi_bytes_str("g3")}), ROWS / GROUPS);
}

/* What a start with the new definition makes of it, the disk being well again. */
static void check_start(const struct world *w)
{
    bool more = true;
    struct import_report r;
    struct store *s = fixture_open(w->dir.path, w->new, NULL);
    check_answers(s, w);
    while (more) {
        assert_int_equal(yzi_store_build_step(s, &more, NULL), 0);
    }
    assert_int_equal(count(s, "note", (struct query_value){.null = true}), ROWS);
    assert_int_equal(fixture_import_bytes(s, yzi_bytes_buf(&w->file), &r, NULL), 0);
    assert_int_equal(r.unchanged, ROWS);
    yzi_store_close(s);
}

/* Which definition the file is by: the former one does not fit one that has a field more. */
static bool is_new(const struct world *w)
{
    const struct store_options o = {.dir = w->dir.path, .dataset = w->old};
    struct store *s = NULL;
    yz_error err = {0};
    io_faults_disarm(io_faults_local());
    int rc = yzi_store_open(&o, &s, &err);
    if (rc < 0) {
        assert_int_equal(rc, YZ_ECONFIG);
        assert_non_null(strstr(err.text, "note"));
        return true;
    }
    struct store_state st;
    check_answers(s, w);
    assert_int_equal(yzi_store_state(s, &st), 0);
    assert_int_equal(st.indexes_building, 0);
    assert_int_equal(count(s, "b", (struct query_value){.v = yzi_bytes_str("b7")}), 1);
    yzi_store_close(s);
    return false;
}

/* -- the disk fails -- */

/* How often the change was refused, and how often it was made although the disk failed. */
struct outcome {
    unsigned refused, made;
};

/* A disk that stays bad takes no write any more; what is there it opens and reads. */
#define WRITES(times) ((times) == IO_ALWAYS ? IO_WRITE | IO_SYNC : IO_CHANGES)

static struct outcome fail_each(uint32_t kinds, enum io_harm harm, int error, uint32_t times)
{
    struct io_faults *f = io_faults_local();
    struct outcome out = {0};
    bool done = false;
    for (uint64_t nth = 1; !done; nth++) {
        struct world w;
        bool changed;
        yz_error err = {0};
        make(&w);
        struct store *s = fixture_open(w.dir.path, w.old, NULL);
        io_faults_arm(f, kinds, nth, times, harm, error);
        int rc = yzi_store_redefine(s, w.new, &changed, &err);
        done = atomic_load(&f->failed) == 0;
        assert_int_equal(changed, rc == 0);
        assert_true(rc == 0 || rc == YZ_EDISKFULL || rc == YZ_EIO || rc == YZ_ECORRUPT ||
                    (error == EMFILE && rc == YZ_ELIMIT));
        assert_true(rc == 0 || strlen(err.text) > 0);
        check_answers(s, &w); /* though the disk is bad still */
        io_faults_disarm(f);
        check_answers(s, &w);
        if (nth % 2 == 0) { /* it is well again, and what was asked for is done */
            int again = yzi_store_redefine(s, w.new, &changed, &err);
            assert_int_equal(again, 0);
            check_answers(s, &w);
            assert_ptr_equal(yzi_store_dataset(s), w.new);
        }
        yzi_store_close(s);
        bool new = is_new(&w);
        assert_true(new == (rc == 0 || nth % 2 == 0)); /* a start finds what was said */
        out.refused += rc < 0;
        out.made += rc == 0 && !done;
        check_start(&w);
        end(&w);
    }
    return out;
}

static void test_faults__disk_full_at_each_change(void **unused)
{
    (void)unused;
    assert_true(fail_each(WRITES(IO_ALWAYS), IO_TORN, ENOSPC, IO_ALWAYS).refused >= 2);
}

static void test_faults__disk_that_stays_bad(void **unused)
{
    (void)unused;
    assert_true(fail_each(WRITES(IO_ALWAYS), IO_FAIL, EIO, IO_ALWAYS).refused >= 2);
}

static void test_faults__one_io_error_at_each_change(void **unused)
{
    (void)unused;
    assert_true(fail_each(WRITES(1), IO_FAIL, EIO, 1).made >= 1); /* it is tried again at once */
}

/* The second view is of a file that is open. */
static void test_faults__nothing_can_be_opened(void **unused)
{
    (void)unused;
    assert_int_equal(fail_each(IO_OPEN | IO_CREATE, IO_FAIL, EMFILE, IO_ALWAYS).refused, 0);
}

/* -- the first sensitive field, for which a key is made or found -- */

static const char sealed_yaml[] =
    HEAD "  - {name: memo, type: text, classification: sensitive}\n"
         "indexes:\n  - {name: by_a, fields: [a]}\n  - {name: by_b, fields: [b]}\n";

struct sealed {
    char data[400], keys[400], waiting[STORE_KEY_ID_MAX + 1];
    yz_secret adapters;
};

static struct store *open_sealed(struct sealed *k, const struct dataset *d)
{
    const struct store_options o = {
        .dir = k->data, .dataset = d, .storage_key = &k->adapters, .keys_dir = k->keys};
    struct store *s = NULL;
    yz_error err = {0};
    yzi_secret_require_lock(false);
    if (yzi_store_open(&o, &s, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return s;
}

/* A store without sensitive fields, and a key that waits for one: it may be all that another copy
 * of the store can be read with. */
static void make_sealed(struct world *w, struct sealed *k)
{
    struct store_state st;
    make(w);
    snprintf(k->data, sizeof k->data, "%.90s/sealed", w->dir.path);
    snprintf(k->keys, sizeof k->keys, "%.90s/keys", w->dir.path);
    fixture_key(&k->adapters, 3);
    yzi_dataset_unref(w->new);
    w->new = fixture_dataset(sealed_yaml);
    struct store *s = open_sealed(k, w->new);
    assert_int_equal(yzi_store_state(s, &st), 0);
    memcpy(k->waiting, st.key_id, sizeof k->waiting);
    yzi_store_close(s);
    snprintf(k->data, sizeof k->data, "%.90s", w->dir.path);
}

static const char *key_of(struct store *s)
{
    static struct store_state st;
    assert_int_equal(yzi_store_state(s, &st), 0);
    return st.key_id;
}

/* How often it was refused. */
static unsigned seal_each(int error, uint32_t times)
{
    struct io_faults *f = io_faults_local();
    unsigned refused = 0;
    for (bool done = false; !done;) {
        struct world w;
        struct sealed k;
        bool changed;
        yz_error err = {0};
        make_sealed(&w, &k);
        struct store *s = open_sealed(&k, w.old);
        io_faults_arm(f, IO_OPEN | IO_CREATE, refused + 1, times, IO_FAIL, error);
        int rc = yzi_store_redefine(s, w.new, &changed, &err);
        done = atomic_load(&f->failed) == 0;
        check_answers(s, &w);
        io_faults_disarm(f);
        assert_true(done ? rc == 0 : rc < 0 && strstr(err.text, k.keys));
        assert_int_equal(yzi_store_redefine(s, w.new, &changed, &err), 0);
        assert_string_equal(key_of(s), k.waiting);
        yzi_store_close(s);
        s = open_sealed(&k, w.new);
        assert_string_equal(key_of(s), k.waiting);
        check_answers(s, &w);
        yzi_store_close(s);
        yzi_secret_fini(&k.adapters);
        end(&w);
        refused += !done;
    }
    return refused;
}

static void test_faults__no_key_can_be_opened(void **unused)
{
    (void)unused;
    static const int errors[] = {EMFILE, ENOSPC, EIO};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        assert_true(seal_each(errors[i], 1) >= 1);
        assert_true(seal_each(errors[i], IO_ALWAYS) >= 1);
    }
}

/* All is written, and the disk says it is not: what this process reads from then on is new. */
static void test_faults__a_commit_whose_outcome_is_unknown(void **unused)
{
    (void)unused;
    assert_true(fail_each(WRITES(1), IO_LATE, EIO, 1).made >= 1);
    assert_true(fail_each(WRITES(IO_ALWAYS), IO_LATE, EIO, IO_ALWAYS).refused >=
                1); /* LMDB takes it back */
    assert_true(fail_each(WRITES(IO_ALWAYS), IO_LAST, EIO, IO_ALWAYS).made >=
                1); /* and here it cannot */
}

/* The writer comes back to what a failing disk left open, and not in haste. */
static void test_faults__what_is_left_open_is_tried_again(void **unused)
{
    (void)unused;
    struct io_faults *f = io_faults_local();
    unsigned left_open = 0;
    for (uint64_t nth = 1;; nth++) {
        struct world w;
        struct builds b = {0};
        bool changed;
        make(&w);
        struct store *s = fixture_open(w.dir.path, w.old, NULL);
        io_faults_arm(f, IO_WRITE | IO_SYNC, nth, IO_ALWAYS, IO_FAIL, EIO);
        int rc = yzi_store_redefine(s, w.new, &changed, NULL);
        bool open = yzi_store_is_unsettled(s);
        assert_true(rc < 0 || !open);
        if (open) {
            yzi_builds_add(&b, s);
            assert_false(yzi_builds_step(&b));
            assert_int_equal(b.n, 1);
            check_answers(s, &w);
            io_faults_disarm(f);
            while (yzi_builds_step(&b)) {
            }
            assert_int_equal(b.n, 0);
            assert_ptr_equal(yzi_store_dataset(s), w.new);
            assert_int_equal(count(s, "note", (struct query_value){.null = true}), ROWS);
            left_open++;
        }
        yzi_store_close(s);
        end(&w);
        if (rc == 0) {
            break;
        }
    }
    assert_true(left_open >= 1);
}

/* -- kill -9 -- */

static void kill_each(enum io_harm harm)
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
            bool changed, more = true;
            struct store *s = fixture_open(w.dir.path, w.old, NULL);
            io_faults_arm(f, IO_CHANGES, nth, 1, harm, EIO);
            int rc = yzi_store_redefine(s, w.new, &changed, NULL);
            while (rc == 0 && more) {
                rc = yzi_store_build_step(s, &more, NULL);
            }
            _exit(rc == 0 ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        assert_true(killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
        bool new = is_new(&w);
        was_old = was_old || !new;
        was_new = was_new || new;
        assert_true(killed || new);
        check_start(&w);
        end(&w);
    }
    assert_true(was_old && was_new);
}

static void test_faults__killed_at_each_change(void **unused)
{
    (void)unused;
    kill_each(IO_KILL_BEFORE);
    kill_each(IO_KILL_TORN);
    kill_each(IO_KILL_AFTER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults__disk_full_at_each_change),
        cmocka_unit_test(test_faults__disk_that_stays_bad),
        cmocka_unit_test(test_faults__one_io_error_at_each_change),
        cmocka_unit_test(test_faults__nothing_can_be_opened),
        cmocka_unit_test(test_faults__no_key_can_be_opened),
        cmocka_unit_test(test_faults__a_commit_whose_outcome_is_unknown),
        cmocka_unit_test(test_faults__what_is_left_open_is_tried_again),
        cmocka_unit_test(test_faults__killed_at_each_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
