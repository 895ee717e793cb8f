/* SPDX-License-Identifier: Apache-2.0
 *
 * base/lmdb: what survives, who is kept out, and that every way to run out of something is an error
 * after which the store is as it was. Children are made by fork before they open anything: an
 * environment never crosses a fork.
 */
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/lmdb.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/dies.h"

#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    HAS_FEATURE(address_sanitizer) || HAS_FEATURE(thread_sanitizer)
#define UNDER_SANITIZER 1
#else
#define UNDER_SANITIZER 0
#endif

#define SMALL_MAP ((size_t)1 << 20)

struct fixture {
    char dir[64]; /* the store's folder; not there yet */
    char root[48];
    struct db_env *env;
    struct db_options options;
    yz_error err;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f) {
        return -1;
    }
    snprintf(f->root, sizeof f->root, "/tmp/yz-test-lmdb-XXXXXX");
    if (!mkdtemp(f->root)) {
        free(f);
        return -1;
    }
    snprintf(f->dir, sizeof f->dir, "%s/store", f->root);
    f->options = (struct db_options){.path = f->dir, .databases = 8};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    yzi_db_close(f->env);
    int rc = nftw(f->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return rc;
}

/* Fails the test with the error's words. */
static void open_env(struct fixture *f)
{
    int rc = yzi_db_open(&f->options, &f->env, &f->err);
    if (rc != YZ_OK) {
        print_error("%s\n", f->err.text);
    }
    assert_int_equal(rc, YZ_OK);
}

static void close_env(struct fixture *f)
{
    yzi_db_close(f->env);
    f->env = NULL;
}

static db_handle handle(struct fixture *f, const char *name, unsigned flags)
{
    db_handle h = {0};
    assert_int_equal(yzi_db_handle(f->env, name, flags, &h), YZ_OK);
    return h;
}

static struct db_txn *begin_write(struct fixture *f)
{
    struct db_txn *t = NULL;
    assert_int_equal(yzi_db_begin_write(f->env, &t), YZ_OK);
    return t;
}

static struct db_txn *begin_read(struct fixture *f)
{
    struct db_txn *t = NULL;
    assert_int_equal(yzi_db_begin_read(f->env, &t), YZ_OK);
    return t;
}

static yz_bytes str(const char *s)
{
    return yzi_bytes_str(s);
}

static int put(struct db_txn *t, db_handle h, const char *key, const char *value)
{
    return yzi_db_put(t, h, str(key), str(value), DB_PUT_ANY);
}

static void put_committed(struct fixture *f, db_handle h, const char *key, const char *value)
{
    struct db_txn *t = begin_write(f);
    assert_int_equal(put(t, h, key, value), YZ_OK);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
    assert_null(t);
}

static void has_value(struct db_txn *t, db_handle h, const char *key, const char *value)
{
    yz_bytes v;
    assert_int_equal(yzi_db_get(t, h, str(key), &v), YZ_OK);
    assert_true(yzi_bytes_eq_str(v, value));
}

static void expect_move(struct db_cursor *c, enum db_move m, const char *key, const char *value)
{
    yz_bytes k, v;
    assert_int_equal(yzi_db_cursor_move(c, m, &k, &v), YZ_OK);
    assert_true(yzi_bytes_eq_str(k, key));
    assert_true(yzi_bytes_eq_str(v, value));
}

/* Runs fn in a child; its result, 0 to 100, is the child's exit code. */
static int in_child(int (*fn)(struct fixture *f), struct fixture *f)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        static const int fatal[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGSYS};
        for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
            signal(fatal[i], SIG_DFL); /* cmocka's handlers would go on with the next test */
        }
        _exit(fn(f));
    }
    int status;
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- what survives ---- */

static void test_commit__survives_reopening(void **state)
{
    struct fixture *f = *state;
    open_env(f);
    db_handle a = handle(f, "a", DB_PLAIN), b = handle(f, "b", DB_DUP_SORT);
    put_committed(f, a, "key", "value");
    put_committed(f, b, "key", "2");
    put_committed(f, b, "key", "1");
    close_env(f);

    open_env(f);
    b = handle(f, "b", DB_DUP_SORT); /* in another order than before */
    a = handle(f, "a", DB_PLAIN);
    struct db_txn *t = begin_read(f);
    uint64_t n;
    has_value(t, a, "key", "value");
    has_value(t, b, "key", "1");
    assert_int_equal(yzi_db_count(t, b, &n), YZ_OK);
    assert_int_equal(n, 2);
    yzi_db_abort(&t);
}

/* In the child: commits one pair, leaves another uncommitted, and goes without closing. */
static int child_dies_writing(struct fixture *f)
{
    struct db_env *env;
    struct db_txn *t;
    db_handle h;
    if (yzi_db_open(&f->options, &env, NULL) < 0 || yzi_db_handle(env, "a", 0, &h) < 0 ||
        yzi_db_begin_write(env, &t) < 0 || put(t, h, "kept", "1") < 0 || yzi_db_commit(&t) < 0 ||
        yzi_db_begin_write(env, &t) < 0 || put(t, h, "lost", "1") < 0) {
        return 1;
    }
    kill(getpid(), SIGKILL);
    return 2;
}

static void test_commit__survives_a_killed_process(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(in_child(child_dies_writing, f), -1);
    open_env(f); /* its lock died with it */
    db_handle h = handle(f, "a", DB_PLAIN);
    struct db_txn *t = begin_write(f); /* and so did its write lock */
    yz_bytes v;
    has_value(t, h, "kept", "1");
    assert_int_equal(yzi_db_get(t, h, str("lost"), &v), YZ_ENOTFOUND);
    yzi_db_abort(&t);
}

static void test_abort__leaves_nothing(void **state)
{
    struct fixture *f = *state;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN);
    struct db_txn *t = begin_write(f);
    yz_bytes v;
    assert_int_equal(put(t, h, "key", "value"), YZ_OK);
    has_value(t, h, "key", "value");
    yzi_db_abort(&t);
    assert_null(t);
    yzi_db_abort(&t);
    t = begin_read(f);
    assert_int_equal(yzi_db_get(t, h, str("key"), &v), YZ_ENOTFOUND);
    yzi_db_abort(&t);
}

/* ---- who is kept out ---- */

static void test_open__refuses_a_second_one_in_the_process(void **state)
{
    struct fixture *f = *state;
    struct db_env *second = NULL;
    char alias[80];
    open_env(f);
    assert_int_equal(yzi_db_open(&f->options, &second, &f->err), YZ_EBUSY);
    assert_non_null(strstr(f->err.text, "this process has the store open already"));
    snprintf(alias, sizeof alias, "%s/alias", f->root);
    assert_int_equal(symlink(f->dir, alias), 0);
    struct db_options o = f->options;
    o.path = alias; /* the same folder by another name */
    o.read_only = true;
    assert_int_equal(yzi_db_open(&o, &second, &f->err), YZ_EBUSY);
    assert_null(second);
    db_handle h = handle(f, "a", DB_PLAIN); /* the first is as good as before */
    put_committed(f, h, "k", "v");
    close_env(f);
    open_env(f);
}

/* The child holds the store until `release` ends; it says "1" once it has it. */
static pid_t start_holder(struct fixture *f, int *out_release)
{
    int ready[2], release[2];
    char c = 0;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(release, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct db_env *env = NULL;
        close(release[1]);
        c = yzi_db_open(&f->options, &env, NULL) == YZ_OK ? '1' : '0';
        if (write(ready[1], &c, 1) != 1 || read(release[0], &c, 1) != 0) {
            _exit(1);
        }
        yzi_db_close(env);
        _exit(0);
    }
    close(ready[1]);
    close(release[0]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, '1');
    close(ready[0]);
    *out_release = release[1];
    return pid;
}

static void test_open__refuses_a_second_process(void **state)
{
    struct fixture *f = *state;
    int release, status;
    pid_t pid = start_holder(f, &release);
    struct db_options reader = f->options;
    reader.read_only = true;
    assert_int_equal(yzi_db_open(&f->options, &f->env, &f->err), YZ_EBUSY);
    assert_non_null(strstr(f->err.text, f->dir));
    assert_int_equal(yzi_db_open(&reader, &f->env, &f->err), YZ_EBUSY);
    assert_null(f->env);
    close(release);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    open_env(f);
}

static int child_uses_parents_env(struct fixture *f)
{
    struct db_txn *t = NULL;
    return yzi_db_begin_read(f->env, &t) == YZ_EINVAL && yzi_db_begin_write(f->env, &t) == YZ_EINVAL
               ? 0
               : 1;
}

static void test_begin__refuses_a_child_after_fork(void **state)
{
    struct fixture *f = *state;
    open_env(f);
    assert_int_equal(in_child(child_uses_parents_env, f), 0);
}

static void test_begin_write__tells_a_thread_it_would_wait_for_itself(void **state)
{
    struct fixture *f = *state;
    struct db_txn *second = NULL;
    db_handle h;
    open_env(f);
    struct db_txn *t = begin_write(f);
    assert_int_equal(yzi_db_begin_write(f->env, &second), YZ_EBUSY);
    assert_int_equal(yzi_db_handle(f->env, "a", 0, &h), YZ_EBUSY);
    assert_null(second);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
    t = begin_write(f);
    yzi_db_abort(&t);
    t = begin_write(f);
    yzi_db_abort(&t);
}

/* ---- opening ---- */

static void test_open__makes_a_private_folder(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char file[96];
    open_env(f);
    assert_int_equal(stat(f->dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    snprintf(file, sizeof file, "%s/data.mdb", f->dir);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_open__read_only_needs_a_store_and_does_not_write(void **state)
{
    struct fixture *f = *state;
    db_handle h;
    struct db_txn *t = NULL;
    f->options.read_only = true;
    assert_int_equal(yzi_db_open(&f->options, &f->env, &f->err), YZ_ENOTFOUND);
    assert_non_null(strstr(f->err.text, f->dir));
    assert_false(yzi_file_exists(f->dir));
    f->options.read_only = false;
    open_env(f);
    h = handle(f, "a", DB_INTEGER_KEY);
    close_env(f);

    f->options.read_only = true;
    open_env(f);
    h = handle(f, "a", DB_INTEGER_KEY);
    assert_int_equal(yzi_db_handle(f->env, "b", 0, &h), YZ_ENOTFOUND);
    assert_int_equal(yzi_db_begin_write(f->env, &t), YZ_EINVAL);
    t = begin_read(f);
    uint64_t k = 1;
    assert_int_equal(yzi_db_put(t, h, yzi_bytes(&k, 8), str("v"), 0), YZ_EINVAL);
    assert_int_equal(yzi_db_clear(t, h), YZ_EINVAL);
    assert_int_equal(yzi_db_del(t, h, yzi_bytes(&k, 8), NULL), YZ_EINVAL);
    yzi_db_abort(&t);
}

static void overwrite(struct fixture *f, off_t from, size_t n)
{
    char path[96];
    snprintf(path, sizeof path, "%s/data.mdb", f->dir);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    static const char junk[8192] = "junk";
    assert_int_equal(pwrite(fd, junk, n, from), n);
    close(fd);
}

static void test_open__tells_a_damaged_store(void **state)
{
    struct fixture *f = *state;
    open_env(f);
    put_committed(f, handle(f, "a", DB_PLAIN), "k", "v");
    close_env(f);
    overwrite(f, 0, 8192); /* both meta pages */
    assert_int_equal(yzi_db_open(&f->options, &f->env, &f->err), YZ_ECORRUPT);
    assert_non_null(strstr(f->err.text, "the store is damaged"));
    assert_null(f->env);
}

static void test_get__tells_damage_inside(void **state)
{
    struct fixture *f = *state;
    yz_bytes v;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN);
    for (int i = 0; i < 4; i++) { /* spread it over several pages */
        struct db_txn *t = begin_write(f);
        for (int k = 0; k < 200; k++) {
            char key[32];
            snprintf(key, sizeof key, "%d-%d", i, k);
            assert_int_equal(put(t, h, key, "a value of some length, to fill pages"), YZ_OK);
        }
        assert_int_equal(yzi_db_commit(&t), YZ_OK);
    }
    close_env(f);
    char path[96];
    struct stat st;
    snprintf(path, sizeof path, "%s/data.mdb", f->dir);
    assert_int_equal(stat(path, &st), 0);
    for (off_t at = 8192; at + 4096 <= st.st_size; at += 4096) {
        overwrite(f, at, 4096); /* everything but the meta pages */
    }
    open_env(f);
    int rc = yzi_db_handle(f->env, "a", DB_PLAIN, &h);
    if (rc == YZ_OK) {
        struct db_txn *t = begin_read(f);
        rc = yzi_db_get(t, h, str("1-1"), &v);
        yzi_db_abort(&t);
    }
    assert_int_equal(rc, YZ_ECORRUPT);
}

static void test_open__refuses_a_path_that_is_no_folder(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(yzi_file_write(f->dir, str("x"), 0600, NULL), YZ_OK);
    assert_true(yzi_db_open(&f->options, &f->env, &f->err) < 0);
    assert_non_null(strstr(f->err.text, f->dir));
    f->options.path = "";
    assert_int_equal(yzi_db_open(&f->options, &f->env, &f->err), YZ_EINVAL);
}

/* Less address space than the default map: the store opens all the same. */
static int child_with_little_address_space(struct fixture *f)
{
    struct rlimit limit = {(rlim_t)200 << 30, (rlim_t)200 << 30};
    struct db_env *env;
    struct db_options o = f->options;
    if (setrlimit(RLIMIT_AS, &limit) != 0) {
        return 1;
    }
    if (yzi_db_open(&o, &env, &f->err) != YZ_OK) {
        return 2;
    }
    yzi_db_close(env);
    o.map_size = (size_t)1 << 40; /* asked for by name it is an error, in words */
    return yzi_db_open(&o, &env, &f->err) == YZ_ENOMEM && strstr(f->err.text, "ulimit") ? 0 : 3;
}

static void test_open__makes_do_with_less_address_space(void **state)
{
    if (UNDER_SANITIZER) {
        skip(); /* its shadow needs more than the limit leaves */
    }
    assert_int_equal(in_child(child_with_little_address_space, *state), 0);
}

/* ---- databases ---- */

static void test_handle__holds_to_its_flags_and_number(void **state)
{
    struct fixture *f = *state;
    db_handle h, again;
    char name[600];
    f->options.databases = 2;
    open_env(f);
    h = handle(f, "a", DB_DUP_SORT);
    again = handle(f, "a", DB_DUP_SORT);
    assert_int_equal(h.v, again.v);
    assert_int_equal(yzi_db_handle(f->env, "a", DB_PLAIN, &again), YZ_EINVAL);
    assert_int_equal(yzi_db_handle(f->env, "b", DB_DUP_FIXED, &again), YZ_EINVAL);
    assert_int_equal(yzi_db_handle(f->env, "b", 8, &again), YZ_EINVAL);
    assert_int_equal(yzi_db_handle(f->env, "", 0, &again), YZ_EINVAL);
    memset(name, 'n', sizeof name);
    name[512] = 0;
    assert_int_equal(yzi_db_handle(f->env, name, 0, &again), YZ_ELIMIT);
    name[511] = 0;
    handle(f, name, DB_PLAIN);
    assert_int_equal(yzi_db_handle(f->env, "c", 0, &again), YZ_ELIMIT);
    put_committed(f, h, "k", "v"); /* the refusals harmed nothing */
}

static void test_clear__empties_one_database(void **state)
{
    struct fixture *f = *state;
    uint64_t n;
    open_env(f);
    db_handle a = handle(f, "a", DB_PLAIN), b = handle(f, "b", DB_PLAIN);
    put_committed(f, a, "k", "v");
    put_committed(f, b, "k", "v");
    struct db_txn *t = begin_write(f);
    assert_int_equal(yzi_db_clear(t, a), YZ_OK);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
    t = begin_read(f);
    assert_int_equal(yzi_db_count(t, a, &n), YZ_OK);
    assert_int_equal(n, 0);
    has_value(t, b, "k", "v");
    yzi_db_abort(&t);
}

/* ---- pairs ---- */

static void test_put__any_replaces_and_new_refuses(void **state)
{
    struct fixture *f = *state;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN), d = handle(f, "d", DB_DUP_SORT);
    struct db_txn *t = begin_write(f);
    assert_int_equal(yzi_db_put(t, h, str("k"), str("1"), DB_PUT_NEW), YZ_OK);
    assert_int_equal(yzi_db_put(t, h, str("k"), str("2"), DB_PUT_NEW), YZ_EEXIST);
    has_value(t, h, "k", "1");
    assert_int_equal(put(t, h, "k", "3"), YZ_OK);
    has_value(t, h, "k", "3");
    assert_int_equal(yzi_db_put(t, d, str("k"), str("1"), DB_PUT_NEW), YZ_OK);
    assert_int_equal(yzi_db_put(t, d, str("k"), str("2"), DB_PUT_NEW), YZ_EEXIST);
    assert_int_equal(put(t, h, "k", "3"), YZ_OK);
    assert_int_equal(yzi_db_put(t, h, str("k"), str("x"), 4), YZ_EINVAL);
    assert_int_equal(yzi_db_commit(&t), YZ_OK); /* refusals do not spoil it */
}

static void test_put__empty_value_is_a_value(void **state)
{
    struct fixture *f = *state;
    yz_bytes v;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN);
    struct db_txn *t = begin_write(f);
    assert_int_equal(yzi_db_put(t, h, str("k"), yzi_bytes(NULL, 0), 0), YZ_OK);
    assert_int_equal(yzi_db_get(t, h, str("k"), &v), YZ_OK);
    assert_int_equal(v.n, 0);
    yzi_db_abort(&t);
}

static void test_put__bounds_keys_and_dup_values(void **state)
{
    struct fixture *f = *state;
    uint8_t big[513];
    yz_bytes v;
    memset(big, 'x', sizeof big);
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN), d = handle(f, "d", DB_DUP_SORT);
    struct db_txn *t = begin_write(f);
    yz_bytes most = yzi_bytes(big, YZ_DB_KEY_MAX), more = yzi_bytes(big, YZ_DB_KEY_MAX + 1);
    assert_int_equal(yzi_db_put(t, h, most, more, 0), YZ_OK);
    assert_int_equal(yzi_db_put(t, h, more, most, 0), YZ_ELIMIT);
    assert_int_equal(yzi_db_put(t, h, yzi_bytes(NULL, 0), most, 0), YZ_EINVAL);
    assert_int_equal(yzi_db_get(t, h, most, &v), YZ_OK);
    assert_int_equal(yzi_db_get(t, h, more, &v), YZ_ELIMIT);
    assert_int_equal(yzi_db_get(t, h, yzi_bytes(NULL, 0), &v), YZ_EINVAL);
    assert_int_equal(yzi_db_del(t, h, more, NULL), YZ_ELIMIT);
    assert_int_equal(yzi_db_put(t, d, most, most, 0), YZ_OK);
    assert_int_equal(yzi_db_put(t, d, most, more, 0), YZ_ELIMIT);
    assert_int_equal(yzi_db_del(t, d, most, &more), YZ_ELIMIT);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
}

static void test_put__integer_keys_sort_as_numbers(void **state)
{
    struct fixture *f = *state;
    static const uint64_t keys[] = {256, 1, UINT64_MAX, 0, 255, (uint64_t)1 << 40};
    static const uint64_t sorted[] = {0, 1, 255, 256, (uint64_t)1 << 40, UINT64_MAX};
    open_env(f);
    db_handle h = handle(f, "i", DB_INTEGER_KEY);
    struct db_txn *t = begin_write(f);
    struct db_cursor *c = NULL;
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(yzi_db_put(t, h, yzi_bytes(&keys[i], 8), str("v"), 0), YZ_OK);
    }
    assert_int_equal(yzi_db_put(t, h, yzi_bytes(&keys[0], 4), str("v"), 0), YZ_EINVAL);
    assert_int_equal(yzi_db_cursor_open(t, h, &c), YZ_OK);
    for (size_t i = 0; i < 6; i++) {
        yz_bytes k;
        assert_int_equal(yzi_db_cursor_move(c, DB_NEXT, &k, NULL), YZ_OK);
        assert_int_equal(k.n, 8);
        assert_memory_equal(k.p, &sorted[i], 8);
    }
    yz_bytes four = yzi_bytes(&keys[0], 4);
    assert_int_equal(yzi_db_cursor_move(c, DB_SEEK, &four, NULL), YZ_EINVAL);
    yzi_db_cursor_close(&c);
    yzi_db_abort(&t);
}

static void test_put__append_wants_order(void **state)
{
    struct fixture *f = *state;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN), d = handle(f, "d", DB_DUP_SORT);
    struct db_txn *t = begin_write(f);
    uint64_t n;
    for (int i = 0; i < 5000; i++) {
        char key[16];
        snprintf(key, sizeof key, "%08d", i);
        assert_int_equal(yzi_db_put(t, h, str(key), str("v"), DB_PUT_APPEND), YZ_OK);
        assert_int_equal(yzi_db_put(t, d, str(i < 2500 ? "a" : "b"), str(key), DB_PUT_APPEND),
                         YZ_OK);
    }
    assert_int_equal(yzi_db_put(t, h, str("00004999"), str("v"), DB_PUT_APPEND), YZ_EINVAL);
    assert_int_equal(yzi_db_put(t, h, str("0"), str("v"), DB_PUT_APPEND), YZ_EINVAL);
    assert_int_equal(yzi_db_put(t, d, str("b"), str("0"), DB_PUT_APPEND), YZ_EINVAL);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
    t = begin_read(f);
    assert_int_equal(yzi_db_count(t, h, &n), YZ_OK);
    assert_int_equal(n, 5000);
    assert_int_equal(yzi_db_count(t, d, &n), YZ_OK);
    assert_int_equal(n, 5000);
    yzi_db_abort(&t);
}

static void test_put_reserve__gives_room_to_write(void **state)
{
    struct fixture *f = *state;
    uint8_t *room = NULL;
    const size_t n = 100000; /* beyond a page */
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN), d = handle(f, "d", DB_DUP_SORT);
    struct db_txn *t = begin_write(f);
    assert_int_equal(yzi_db_put_reserve(t, h, str("k"), n, DB_PUT_NEW, &room), YZ_OK);
    memset(room, 7, n);
    assert_int_equal(yzi_db_put_reserve(t, h, str("k"), n, DB_PUT_NEW, &room), YZ_EEXIST);
    assert_int_equal(yzi_db_put_reserve(t, d, str("k"), 5, 0, &room), YZ_EINVAL);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
    t = begin_read(f);
    yz_bytes v;
    assert_int_equal(yzi_db_get(t, h, str("k"), &v), YZ_OK);
    assert_int_equal(v.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(v.p[i], 7);
    }
    yzi_db_abort(&t);
}

static void test_del__removes_a_pair_or_all_of_a_key(void **state)
{
    struct fixture *f = *state;
    uint64_t n;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN), d = handle(f, "d", DB_DUP_SORT);
    struct db_txn *t = begin_write(f);
    yz_bytes two = str("2"), nine = str("9");
    assert_int_equal(put(t, h, "k", "2"), YZ_OK);
    assert_int_equal(yzi_db_del(t, h, str("k"), &two), YZ_EINVAL);
    assert_int_equal(yzi_db_del(t, h, str("k"), NULL), YZ_OK);
    assert_int_equal(yzi_db_del(t, h, str("k"), NULL), YZ_ENOTFOUND);
    assert_int_equal(put(t, d, "k", "1"), YZ_OK);
    assert_int_equal(put(t, d, "k", "2"), YZ_OK);
    assert_int_equal(put(t, d, "k", "3"), YZ_OK);
    assert_int_equal(yzi_db_del(t, d, str("k"), &nine), YZ_ENOTFOUND);
    assert_int_equal(yzi_db_del(t, d, str("k"), &two), YZ_OK);
    assert_int_equal(yzi_db_count(t, d, &n), YZ_OK);
    assert_int_equal(n, 2);
    assert_int_equal(yzi_db_del(t, d, str("k"), NULL), YZ_OK);
    assert_int_equal(yzi_db_count(t, d, &n), YZ_OK);
    assert_int_equal(n, 0);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
}

static void test_dup_fixed__holds_values_of_one_length(void **state)
{
    struct fixture *f = *state;
    open_env(f);
    db_handle h = handle(f, "f", DB_DUP_SORT | DB_DUP_FIXED);
    struct db_txn *t = begin_write(f);
    for (uint32_t i = 0; i < 3000; i++) {
        uint8_t v[4];
        yzi_store_u32(v, i * 7919 % 3000);
        assert_int_equal(yzi_db_put(t, h, str("k"), yzi_bytes(v, 4), 0), YZ_OK);
    }
    struct db_cursor *c = NULL;
    yz_bytes k, v;
    assert_int_equal(yzi_db_cursor_open(t, h, &c), YZ_OK);
    for (uint32_t i = 0; i < 3000; i++) {
        assert_int_equal(yzi_db_cursor_move(c, DB_NEXT, &k, &v), YZ_OK);
        assert_int_equal(v.n, 4);
        assert_int_equal(yzi_load_u32(v.p), i);
    }
    yzi_db_cursor_close(&c);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
}

/* ---- cursors ---- */

static void test_cursor__moves(void **state)
{
    struct fixture *f = *state;
    struct db_cursor *c = NULL;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN);
    put_committed(f, h, "a", "1");
    put_committed(f, h, "c", "3");
    put_committed(f, h, "b", "2");
    struct db_txn *t = begin_read(f);
    assert_int_equal(yzi_db_cursor_open(t, h, &c), YZ_OK);
    expect_move(c, DB_NEXT, "a", "1");
    expect_move(c, DB_NEXT, "b", "2");
    expect_move(c, DB_NEXT, "c", "3");
    yz_bytes k = str("untouched"), v = k;
    assert_int_equal(yzi_db_cursor_move(c, DB_NEXT, &k, &v), YZ_ENOTFOUND);
    assert_true(yzi_bytes_eq_str(k, "untouched") && yzi_bytes_eq_str(v, "untouched"));
    expect_move(c, DB_FIRST, "a", "1");
    assert_int_equal(yzi_db_cursor_move(c, DB_PREV, &k, &v), YZ_ENOTFOUND);
    expect_move(c, DB_LAST, "c", "3");
    expect_move(c, DB_PREV, "b", "2");
    k = str("bb");
    assert_int_equal(yzi_db_cursor_move(c, DB_SEEK, &k, &v), YZ_OK);
    assert_true(yzi_bytes_eq_str(k, "c") && yzi_bytes_eq_str(v, "3"));
    k = yzi_bytes(NULL, 0);
    assert_int_equal(yzi_db_cursor_move(c, DB_SEEK, &k, NULL), YZ_OK);
    assert_true(yzi_bytes_eq_str(k, "a"));
    char beyond[600];
    memset(beyond, 'b', sizeof beyond); /* longer than any key, and still before "c" */
    k = yzi_bytes(beyond, sizeof beyond);
    assert_int_equal(yzi_db_cursor_move(c, DB_SEEK, &k, NULL), YZ_OK);
    assert_true(yzi_bytes_eq_str(k, "c"));
    k = str("d");
    assert_int_equal(yzi_db_cursor_move(c, DB_SEEK, &k, NULL), YZ_ENOTFOUND);
    assert_int_equal(yzi_db_cursor_move(c, DB_NEXT_DUP, &k, NULL), YZ_EINVAL);
    assert_int_equal(yzi_db_cursor_move(c, DB_FIRST_DUP, &k, NULL), YZ_EINVAL);
    assert_int_equal(yzi_db_cursor_del(c), YZ_EINVAL);
    yzi_db_cursor_close(&c);
    assert_null(c);
    yzi_db_cursor_close(&c);
    yzi_db_abort(&t);
}

static void test_cursor__on_nothing(void **state)
{
    struct fixture *f = *state;
    struct db_cursor *c = NULL;
    yz_bytes k = {0};
    open_env(f);
    db_handle h = handle(f, "d", DB_DUP_SORT);
    struct db_txn *t = begin_write(f);
    assert_int_equal(yzi_db_cursor_open(t, h, &c), YZ_OK);
    assert_int_equal(yzi_db_cursor_del(c), YZ_EINVAL);
    static const enum db_move moves[] = {DB_FIRST, DB_LAST, DB_NEXT, DB_PREV, DB_SEEK};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(yzi_db_cursor_move(c, moves[i], &k, NULL), YZ_ENOTFOUND);
    }
    assert_true(yzi_db_cursor_move(c, DB_FIRST_DUP, &k, NULL) < 0);
    assert_true(yzi_db_cursor_move(c, DB_NEXT_DUP, &k, NULL) < 0);
    yzi_db_cursor_close(&c);
    yzi_db_abort(&t);
}

static void test_cursor__walks_duplicates(void **state)
{
    struct fixture *f = *state;
    struct db_cursor *c = NULL;
    yz_bytes k, v;
    open_env(f);
    db_handle h = handle(f, "d", DB_DUP_SORT);
    struct db_txn *t = begin_write(f);
    assert_int_equal(put(t, h, "a", "2"), YZ_OK);
    assert_int_equal(put(t, h, "a", "1"), YZ_OK);
    assert_int_equal(put(t, h, "a", "3"), YZ_OK);
    assert_int_equal(put(t, h, "b", "9"), YZ_OK); /* a single one is stored in another way */
    assert_int_equal(yzi_db_cursor_open(t, h, &c), YZ_OK);
    expect_move(c, DB_FIRST, "a", "1");
    expect_move(c, DB_NEXT_DUP, "a", "2");
    expect_move(c, DB_NEXT_DUP, "a", "3");
    assert_int_equal(yzi_db_cursor_move(c, DB_NEXT_DUP, &k, &v), YZ_ENOTFOUND);
    expect_move(c, DB_FIRST_DUP, "a", "1");
    k = str("aa");
    assert_int_equal(yzi_db_cursor_move(c, DB_SEEK, &k, &v), YZ_OK);
    assert_true(yzi_bytes_eq_str(k, "b") && yzi_bytes_eq_str(v, "9"));
    expect_move(c, DB_FIRST_DUP, "b", "9");
    assert_int_equal(yzi_db_cursor_move(c, DB_NEXT_DUP, &k, &v), YZ_ENOTFOUND);
    expect_move(c, DB_PREV, "a", "3");
    yzi_db_cursor_close(&c);
    yzi_db_abort(&t);
}

/* Delete every third pair on the way, as retention does; what is left must be the other two. */
static void test_cursor_del__does_not_lose_its_place(void **state)
{
    struct fixture *f = *state;
    open_env(f);
    for (unsigned flags = DB_PLAIN; flags <= DB_DUP_SORT; flags++) {
        db_handle h = handle(f, flags ? "d" : "a", flags);
        struct db_txn *t = begin_write(f);
        struct db_cursor *c = NULL;
        char text[16];
        for (int i = 0; i < 3000; i++) {
            snprintf(text, sizeof text, "%06d", i);
            char key[16];
            snprintf(key, sizeof key, "%06d", flags ? i / 100 : i);
            assert_int_equal(put(t, h, key, text), YZ_OK);
        }
        assert_int_equal(yzi_db_cursor_open(t, h, &c), YZ_OK);
        yz_bytes k, v;
        int seen = 0;
        while (yzi_db_cursor_move(c, DB_NEXT, &k, &v) == YZ_OK) {
            snprintf(text, sizeof text, "%06d", seen);
            assert_true(yzi_bytes_eq_str(v, text));
            if (seen % 3 == 0) {
                assert_int_equal(yzi_db_cursor_del(c), YZ_OK);
            }
            seen++;
        }
        assert_int_equal(seen, 3000);
        yzi_db_cursor_close(&c);
        uint64_t n;
        assert_int_equal(yzi_db_count(t, h, &n), YZ_OK);
        assert_int_equal(n, 2000);
        assert_int_equal(yzi_db_commit(&t), YZ_OK);
    }
}

static void test_cursor__left_open_is_harmless(void **state)
{
    struct fixture *f = *state;
    struct db_cursor *c[3] = {0};
    yz_bytes k;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN);
    for (int write = 0; write < 2; write++) {
        struct db_txn *t = write ? begin_write(f) : begin_read(f);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(yzi_db_cursor_open(t, h, &c[i]), YZ_OK);
        }
        yzi_db_cursor_close(&c[1]);
        assert_int_equal(yzi_db_commit(&t), YZ_OK);
        assert_int_equal(yzi_db_cursor_move(c[0], DB_FIRST, &k, NULL), YZ_EINVAL);
        assert_int_equal(yzi_db_cursor_del(c[0]), YZ_EINVAL);
        yzi_db_cursor_close(&c[0]);
        yzi_db_cursor_close(&c[2]);
    }
}

/* ---- readers ---- */

static void test_read__sees_its_moment(void **state)
{
    struct fixture *f = *state;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN);
    put_committed(f, h, "k", "old");
    struct db_txn *before = begin_read(f);
    has_value(before, h, "k", "old");
    put_committed(f, h, "k", "new"); /* the same thread reads and writes: MDB_NOTLS */
    struct db_txn *after = begin_read(f);
    has_value(before, h, "k", "old");
    has_value(after, h, "k", "new");
    yzi_db_abort(&before);
    yzi_db_abort(&after);
}

static void test_read__bounds_their_number(void **state)
{
    struct fixture *f = *state;
    struct db_txn *t[4] = {0}, *more = NULL;
    f->options.readers = 4;
    open_env(f);
    for (int i = 0; i < 4; i++) {
        t[i] = begin_read(f);
    }
    assert_int_equal(yzi_db_begin_read(f->env, &more), YZ_EBUSY);
    assert_null(more);
    yzi_db_abort(&t[2]);
    t[2] = begin_read(f);
    for (int i = 0; i < 4; i++) {
        yzi_db_abort(&t[i]);
    }
}

#define ROUNDS 200
struct crew {
    struct fixture *f;
    db_handle h;
    _Atomic int done;
};

/* The writer keeps two values equal; whoever reads must find them so. */
static void *read_along(void *arg)
{
    struct crew *crew = arg;
    size_t wrong = 0;
    while (!crew->done) {
        struct db_txn *t = NULL;
        yz_bytes a, b;
        if (yzi_db_begin_read(crew->f->env, &t) < 0) {
            return (void *)1;
        }
        wrong += yzi_db_get(t, crew->h, str("a"), &a) < 0 ||
                 yzi_db_get(t, crew->h, str("b"), &b) < 0 || !yzi_bytes_eq(a, b);
        yzi_db_abort(&t);
    }
    return (void *)(uintptr_t)wrong;
}

static void *write_too(void *arg)
{
    struct crew *crew = arg;
    size_t wrong = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct db_txn *t = NULL;
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        wrong += yzi_db_begin_write(crew->f->env, &t) < 0 || put(t, crew->h, key, key) < 0 ||
                 yzi_db_commit(&t) < 0;
        yzi_db_abort(&t);
    }
    return (void *)(uintptr_t)wrong;
}

static void test_threads__read_while_others_write(void **state)
{
    struct fixture *f = *state;
    pthread_t readers[2], writer;
    void *wrong;
    open_env(f);
    struct crew crew = {.f = f, .h = handle(f, "a", DB_PLAIN)};
    struct db_txn *t = begin_write(f);
    assert_int_equal(put(t, crew.h, "a", "-"), YZ_OK);
    assert_int_equal(put(t, crew.h, "b", "-"), YZ_OK);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
    assert_int_equal(pthread_create(&readers[0], NULL, read_along, &crew), 0);
    assert_int_equal(pthread_create(&readers[1], NULL, read_along, &crew), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_too, &crew), 0);
    for (int i = 0; i < ROUNDS; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        t = begin_write(f); /* waits for the other writer */
        assert_int_equal(put(t, crew.h, "a", value), YZ_OK);
        assert_int_equal(put(t, crew.h, "b", value), YZ_OK);
        assert_int_equal(yzi_db_commit(&t), YZ_OK);
    }
    assert_int_equal(pthread_join(writer, &wrong), 0);
    assert_null(wrong);
    crew.done = 1;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(readers[i], &wrong), 0);
        assert_null(wrong);
    }
    t = begin_read(f);
    uint64_t n;
    assert_int_equal(yzi_db_count(t, crew.h, &n), YZ_OK);
    assert_int_equal(n, ROUNDS + 2);
    yzi_db_abort(&t);
}

/* ---- running out ---- */

/* Fill h until it takes no more; the code that ended it. */
static int fill(struct db_txn *t, db_handle h)
{
    static uint8_t value[2000];
    int rc = YZ_OK;
    for (uint32_t i = 0; rc == YZ_OK && i < 100000; i++) {
        uint8_t key[4];
        yzi_store_u32(key, i);
        rc = yzi_db_put(t, h, yzi_bytes(key, 4), yzi_bytes(value, sizeof value), 0);
    }
    return rc;
}

static void test_map_full__spoils_the_transaction_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    uint64_t n;
    f->options.map_size = SMALL_MAP;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN);
    put_committed(f, h, "kept", "1");
    struct db_txn *t = begin_write(f);
    assert_int_equal(fill(t, h), YZ_EDISKFULL);
    assert_int_equal(put(t, h, "k", "v"), YZ_EDISKFULL); /* it says the same from now on */
    assert_int_equal(yzi_db_commit(&t), YZ_EDISKFULL);
    assert_null(t);
    t = begin_write(f);
    assert_int_equal(yzi_db_count(t, h, &n), YZ_OK);
    assert_int_equal(n, 1);
    has_value(t, h, "kept", "1");
    assert_int_equal(put(t, h, "more", "2"), YZ_OK);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
}

#define CHILD_SKIPS 100

/* A disk of one megabyte for this process alone. */
static int mount_small_disk(const char *at)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                   mount("none", at, "tmpfs", 0, "size=1m") == 0
               ? 0
               : -1;
}

/* Fill the disk under a growing store; each step that goes wrong has its own exit code. */
static int child_fills_the_disk(struct fixture *f)
{
    struct db_env *env = NULL;
    struct db_txn *t = NULL;
    db_handle h;
    yz_bytes v;
    if (mount_small_disk(f->root) < 0) {
        return CHILD_SKIPS;
    }
    if (yzi_db_open(&f->options, &env, NULL) < 0 || yzi_db_handle(env, "a", 0, &h) < 0 ||
        yzi_db_begin_write(env, &t) < 0 || put(t, h, "kept", "1") < 0 || yzi_db_commit(&t) < 0) {
        return 1;
    }
    /* the map is large, so only the commit meets the disk */
    static uint8_t value[1 << 20];
    if (yzi_db_begin_write(env, &t) < 0 ||
        yzi_db_put(t, h, str("big"), yzi_bytes(value, sizeof value), 0) < 0) {
        return 2;
    }
    if (yzi_db_commit(&t) != YZ_EDISKFULL) {
        return 3;
    }
    /* what was there is there, now and after reopening, as the contract asks */
    for (int i = 0; i < 2; i++) {
        if (yzi_db_begin_read(env, &t) < 0 || yzi_db_get(t, h, str("kept"), &v) < 0 ||
            yzi_db_get(t, h, str("big"), &v) != YZ_ENOTFOUND) {
            return 4;
        }
        yzi_db_abort(&t);
        yzi_db_close(env);
        if (yzi_db_open(&f->options, &env, NULL) < 0 || yzi_db_handle(env, "a", 0, &h) < 0) {
            return 5;
        }
    }
    /* what fits is taken again: the pages of the failed commit are free */
    if (yzi_db_begin_write(env, &t) < 0 || put(t, h, "small", "1") < 0 || yzi_db_commit(&t) < 0) {
        return 6;
    }
    yzi_db_close(env);
    return 0;
}

static void test_disk_full__is_told_and_harms_nothing(void **state)
{
    int rc = in_child(child_fills_the_disk, *state);
    if (rc == CHILD_SKIPS) {
        skip(); /* mounting is not permitted here */
    }
    assert_int_equal(rc, 0);
}

static int child_opens_on_a_full_disk(struct fixture *f)
{
    static const char zeros[4096];
    char path[64];
    struct db_env *env = NULL;
    if (mount_small_disk(f->root) < 0) {
        return CHILD_SKIPS;
    }
    if (yzi_dir_make(f->dir, 0700, NULL) < 0) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/filler", f->root);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, zeros, sizeof zeros) > 0) {
    }
    close(fd);
    return yzi_db_open(&f->options, &env, &f->err) == YZ_EDISKFULL ? 0 : 2;
}

static void test_open__tells_a_full_disk(void **state)
{
    int rc = in_child(child_opens_on_a_full_disk, *state);
    if (rc == CHILD_SKIPS) {
        skip(); /* mounting is not permitted here */
    }
    assert_int_equal(rc, 0);
}

static int use_everything(void *ctx)
{
    struct fixture *f = ctx;
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_AUTO(yzi_db_cursor_close) struct db_cursor *c = NULL;
    db_handle h;
    YZ_TRY(yzi_db_handle(f->env, "a", 0, &h));
    YZ_TRY(yzi_db_begin_write(f->env, &t));
    YZ_TRY(put(t, h, "k", "v"));
    YZ_TRY(yzi_db_cursor_open(t, h, &c));
    YZ_TRY(yzi_db_cursor_del(c) == YZ_EINVAL ? YZ_OK : YZ_EINTERNAL);
    return yzi_db_commit(&t);
}

static int open_use_close(void *ctx)
{
    struct fixture *f = ctx;
    YZ_TRY(yzi_db_open(&f->options, &f->env, NULL));
    int rc = use_everything(f);
    close_env(f);
    return rc;
}

static void test_memory__running_out_is_an_error(void **state)
{
    assert_true(yz_alloc_fail_each(open_use_close, *state) >= 5);
}

static void close_with_a_transaction(void *arg)
{
    struct fixture *f = arg;
    struct db_txn *t;
    if (yzi_db_open(&f->options, &f->env, NULL) == YZ_OK &&
        yzi_db_begin_read(f->env, &t) == YZ_OK) {
        yzi_db_close(f->env);
    }
}

static void test_close__with_a_transaction_open_is_our_bug(void **state)
{
    assert_true(yz_dies(close_with_a_transaction, *state));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_commit__survives_reopening),
        TEST(test_commit__survives_a_killed_process),
        TEST(test_abort__leaves_nothing),
        TEST(test_open__refuses_a_second_one_in_the_process),
        TEST(test_open__refuses_a_second_process),
        TEST(test_begin__refuses_a_child_after_fork),
        TEST(test_begin_write__tells_a_thread_it_would_wait_for_itself),
        TEST(test_open__makes_a_private_folder),
        TEST(test_open__read_only_needs_a_store_and_does_not_write),
        TEST(test_open__tells_a_damaged_store),
        TEST(test_get__tells_damage_inside),
        TEST(test_open__refuses_a_path_that_is_no_folder),
        TEST(test_open__makes_do_with_less_address_space),
        TEST(test_handle__holds_to_its_flags_and_number),
        TEST(test_clear__empties_one_database),
        TEST(test_put__any_replaces_and_new_refuses),
        TEST(test_put__empty_value_is_a_value),
        TEST(test_put__bounds_keys_and_dup_values),
        TEST(test_put__integer_keys_sort_as_numbers),
        TEST(test_put__append_wants_order),
        TEST(test_put_reserve__gives_room_to_write),
        TEST(test_del__removes_a_pair_or_all_of_a_key),
        TEST(test_dup_fixed__holds_values_of_one_length),
        TEST(test_cursor__moves),
        TEST(test_cursor__on_nothing),
        TEST(test_cursor__walks_duplicates),
        TEST(test_cursor_del__does_not_lose_its_place),
        TEST(test_cursor__left_open_is_harmless),
        TEST(test_read__sees_its_moment),
        TEST(test_read__bounds_their_number),
        TEST(test_threads__read_while_others_write),
        TEST(test_map_full__spoils_the_transaction_and_nothing_else),
        TEST(test_disk_full__is_told_and_harms_nothing),
        TEST(test_open__tells_a_full_disk),
        TEST(test_memory__running_out_is_an_error),
        TEST(test_close__with_a_transaction_open_is_our_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
