/* SPDX-License-Identifier: Apache-2.0
 *
 * A full disk, a failing one, and kill -9 at each change on disk of a rotation of keys: the store
 * is wholly under the one key or the other, says which, and of what was not to be nothing is left.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/faults/shim_io.h"
#include "tests/unit/dataset/fixture.h"

static const char yaml[] = "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [id]\n"
                           "fields:\n"
                           "  - {name: id, type: text, classification: secret, max_length: 20}\n"
                           "  - {name: a, type: text, classification: sensitive, max_length: 20}\n"
                           "indexes:\n  - {name: by_a, fields: [a]}\n";

#define ROWS 100u

struct world {
    struct fixture_dir dir;
    char data[400], keys[400];
    struct dataset *d;
    yz_secret adapters;
    yz_buf file;
    char first_id[STORE_KEY_ID_MAX + 1];
};

static struct store *open_store(struct world *w)
{
    const struct store_options o = {
        .dir = w->data, .dataset = w->d, .storage_key = &w->adapters, .keys_dir = w->keys};
    struct store *s = NULL;
    yz_error err = {0};
    yzi_secret_require_lock(false);
    if (yzi_store_open(&o, &s, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return s;
}

/* A store is made once and copied: each commit of making it would wait for the disk. */
static struct world template;

static void make_template(void)
{
    struct import_report r;
    struct store_state st;
    struct world *w = &template;
    *w = (struct world){.d = fixture_dataset(yaml)};
    fixture_dir_make(&w->dir);
    snprintf(w->data, sizeof w->data, "%.90s/data", w->dir.path);
    snprintf(w->keys, sizeof w->keys, "%.90s/keys", w->dir.path);
    fixture_key(&w->adapters, 9);
    yzi_buf_init(&w->file, 1u << 20);
    assert_int_equal(yzi_buf_put_str(&w->file, "id,a\n"), 0);
    for (unsigned i = 0; i < ROWS; i++) {
        assert_int_equal(yzi_buf_printf(&w->file, "%04u,value%u\n", i, i), 0);
    }
    struct store *s = open_store(w);
    assert_int_equal(fixture_import_bytes(s, yzi_bytes_buf(&w->file), &r, NULL), 0);
    assert_int_equal(yzi_store_state(s, &st), 0);
    memcpy(w->first_id, st.key_id, sizeof w->first_id);
    yzi_store_close(s);
}

static void make_empty(struct world *w)
{
    *w = template;
    fixture_dir_make(&w->dir);
    snprintf(w->data, sizeof w->data, "%.90s/data", w->dir.path);
    snprintf(w->keys, sizeof w->keys, "%.90s/keys", w->dir.path);
    io_faults_watch(io_faults_local(), w->dir.path, "");
}

static void make(struct world *w)
{
    char command[400];
    make_empty(w);
    snprintf(command, sizeof command, "cp -a %.99s %.99s %.99s", template.data, template.keys,
             w->dir.path);
    assert_int_equal(system(command), 0);
}

static void end(struct world *w)
{
    io_faults_disarm(io_faults_local());
    fixture_dir_remove(&w->dir);
}

static int rotate(struct store *s, struct rotation_report *r)
{
    const struct rotation o = {0};
    return yzi_store_rotate(s, &o, r, NULL);
}

static unsigned count_entries(const char *dir, char first)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        bool dots = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
        n += !dots && (!first || e->d_name[0] == first);
    }
    closedir(d);
    return n;
}

/* Old or new, whole, with nothing beside. Tells which. */
static bool is_new(struct world *w)
{
    char text[200];
    struct store_state st;
    struct import_report r;
    io_faults_disarm(io_faults_local());
    struct store *s = open_store(w);
    assert_int_equal(yzi_store_state(s, &st), 0);
    assert_int_equal(st.records, ROWS);
    assert_int_equal(st.indexes_building + st.indexes_broken, 0);
    assert_false(st.key_left);
    assert_int_equal(count_entries(w->keys, '\0'), 1);
    assert_int_equal(count_entries(w->data, 'g'), 1);
    assert_int_equal(fixture_get(s, text, sizeof text, "0000", "0099", NULL), 0);
    assert_string_equal(text, "0000|value0\n0099|value99\n");
    assert_int_equal(fixture_import_bytes(s, yzi_bytes_buf(&w->file), &r, NULL), 0);
    assert_int_equal(r.unchanged, ROWS);
    yzi_store_close(s);
    return strcmp(st.key_id, w->first_id) != 0;
}

static void fail_each(uint32_t kinds, enum io_harm harm, int error, uint32_t times)
{
    struct io_faults *f = io_faults_local();
    bool done = false;
    unsigned failures = 0;
    for (uint64_t nth = 1; !done; nth++) {
        struct world w;
        struct rotation_report r;
        make(&w);
        struct store *s = open_store(&w);
        io_faults_arm(f, kinds, nth, times, harm, error);
        int rc = rotate(s, &r);
        done = atomic_load(&f->failed) == 0;
        io_faults_disarm(f);
        /* what is there goes on being served by this process, too, and can be written to */
        struct import_report ir;
        assert_int_equal(fixture_import_bytes(s, yzi_bytes_buf(&w.file), &ir, NULL), 0);
        assert_int_equal(ir.unchanged, ROWS);
        yzi_store_close(s);
        failures += rc < 0;
        bool new = is_new(&w);
        assert_true(rc < 0 || new);
        assert_true(rc == 0 || rc == YZ_EDISKFULL || rc == YZ_EIO || rc == YZ_ECORRUPT ||
                    (error == EMFILE && rc == YZ_ELIMIT));
        if (nth % 4 == 0) { /* the disk is well again */
            s = open_store(&w);
            assert_int_equal(rotate(s, &r), 0);
            assert_true(r.destroyed);
            yzi_store_close(s);
            assert_true(is_new(&w));
        }
        end(&w);
    }
    assert_true(failures >= 2);
}

static void test_faults__disk_full_at_each_change(void **unused)
{
    (void)unused;
    fail_each(IO_CHANGES, IO_TORN, ENOSPC, IO_ALWAYS);
}

static void test_faults__one_io_error_at_each_change(void **unused)
{
    (void)unused;
    fail_each(IO_CHANGES, IO_FAIL, EIO, 1);
}

static void test_faults__nothing_can_be_opened(void **unused)
{
    (void)unused;
    static const int errors[] = {EMFILE, ENOSPC, EIO};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        fail_each(IO_OPEN | IO_CREATE, IO_FAIL, errors[i], 1);
        fail_each(IO_OPEN | IO_CREATE, IO_FAIL, errors[i], IO_ALWAYS);
    }
}

static void kill_each(enum io_harm harm, unsigned step)
{
    struct io_faults *f = io_faults_local();
    bool killed = true, was_old = false, was_new = false;
    for (uint64_t nth = 1; killed; nth += step) {
        struct world w;
        int status;
        make(&w);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct rotation_report r;
            struct store *s = open_store(&w);
            io_faults_arm(f, IO_CHANGES, nth, 1, harm, EIO);
            yz_ignore(rotate(s, &r), "it is the next start that tells");
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        bool new = is_new(&w);
        was_old = was_old || !new;
        was_new = was_new || new;
        end(&w);
    }
    assert_true(was_old && was_new);
}

static void test_faults__killed_at_each_change(void **unused)
{
    (void)unused;
    kill_each(IO_KILL_TORN, 1);
    kill_each(IO_KILL_AFTER, 3); /* mostly what before the next is */
}

/* The first key is made when the store is: what a crash leaves then is used, not added to. */
static void test_faults__killed_while_the_store_is_made(void **unused)
{
    (void)unused;
    struct io_faults *f = io_faults_local();
    bool killed = true;
    for (uint64_t nth = 1; killed; nth++) {
        struct world w;
        int status;
        make_empty(&w);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            io_faults_arm(f, IO_CHANGES, nth, 1, IO_KILL_TORN, EIO);
            yzi_store_close(open_store(&w));
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        struct store *s = open_store(&w);
        struct import_report r;
        assert_int_equal(fixture_import_bytes(s, yzi_bytes_buf(&w.file), &r, NULL), 0);
        yzi_store_close(s);
        yz_ignore(is_new(&w), "there is no former one");
        end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults__disk_full_at_each_change),
        cmocka_unit_test(test_faults__one_io_error_at_each_change),
        cmocka_unit_test(test_faults__nothing_can_be_opened),
        cmocka_unit_test(test_faults__killed_at_each_change),
        cmocka_unit_test(test_faults__killed_while_the_store_is_made),
    };
    make_template();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    end(&template);
    yzi_buf_fini(&template.file);
    yzi_secret_fini(&template.adapters);
    yzi_dataset_unref(template.d);
    return failed;
}
