/* SPDX-License-Identifier: Apache-2.0
 *
 * base/lmdb: what survives, who is kept out, and that every way to run out of something is an error
 * after which the store is as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "base/file.h"
#include "tests/faults/shim_io.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/dies.h"
#include "tests/unit/base/lmdb_fixture.h"

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

/* ---- a disk that fails at one write ---- */

static int put_two(struct fixture *f, db_handle a, db_handle b, const char *value)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(yzi_db_begin_write(f->env, &t));
    YZ_TRY(put(t, a, "key", value));
    YZ_TRY(put(t, b, "key", value));
    return yzi_db_commit(&t);
}

static void both_have(struct fixture *f, db_handle a, db_handle b, const char *value)
{
    struct db_txn *t = begin_read(f);
    has_value(t, a, "key", value);
    has_value(t, b, "key", value);
    yzi_db_abort(&t);
}

/* Fail every call of a commit in turn: it says so, what was there is there, in the same process and
 * with the same handles, and the next commit is one. The number of calls. */
static unsigned fail_each_call(struct fixture *f, enum io_harm harm, int error)
{
    struct io_faults *io = io_faults_local();
    db_handle a = handle(f, "a", DB_PLAIN), b = handle(f, "b", DB_PLAIN);
    assert_int_equal(put_two(f, a, b, "old"), YZ_OK);
    unsigned n = 1;
    for (bool hit = true; hit; n++) {
        io_faults_arm(io, IO_WRITE | IO_SYNC, n, 1, harm, error);
        int rc = put_two(f, a, b, "new");
        io_faults_disarm(io);
        hit = io->failed > 0;
        assert_true(hit ? rc < 0 : rc == YZ_OK);
        both_have(f, a, b, hit ? "old" : "new");
        assert_int_equal(put_two(f, a, b, "old"), YZ_OK);
        both_have(f, a, b, "old");
    }
    return n - 2;
}

static void test_commit__that_fails_costs_itself_only(void **state)
{
    struct fixture *f = *state;
    open_env(f);
    io_faults_watch(io_faults_local(), f->root, "data.mdb");
    assert_true(fail_each_call(f, IO_FAIL, ENOSPC) >= 3); /* pages, sync, meta page */
    assert_true(fail_each_call(f, IO_FAIL, EIO) >= 3);
    assert_true(fail_each_call(f, IO_TORN, EIO) >= 3);
}

static void test_commit__that_fails_lets_readers_end_first(void **state)
{
    struct fixture *f = *state;
    struct io_faults *io = io_faults_local();
    struct db_txn *other = NULL;
    open_env(f);
    io_faults_watch(io, f->root, "data.mdb");
    db_handle a = handle(f, "a", DB_PLAIN), b = handle(f, "b", DB_PLAIN);
    assert_int_equal(put_two(f, a, b, "old"), YZ_OK);
    struct db_txn *reader = begin_read(f);
    int rc = YZ_OK;
    for (unsigned n = 1; rc == YZ_OK; n++) { /* until it is the meta page (and its repair) */
        yzi_db_abort(&other);
        io_faults_arm(io, IO_WRITE, n, IO_ALWAYS, IO_FAIL, EIO);
        assert_int_equal(put_two(f, a, b, "new"), YZ_EIO);
        rc = yzi_db_begin_write(f->env, &other);
    }
    assert_int_equal(rc, YZ_EIO);
    assert_int_equal(yzi_db_begin_read(f->env, &other), YZ_EIO);
    has_value(reader, a, "key", "old");
    yzi_db_abort(&reader);
    both_have(f, a, b, "old"); /* reading does not need the disk to write */
    assert_true(put_two(f, a, b, "new") < 0);
    io_faults_disarm(io);
    assert_int_equal(put_two(f, a, b, "new"), YZ_OK);
    both_have(f, a, b, "new");
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
        TEST(test_map_full__spoils_the_transaction_and_nothing_else),
        TEST(test_disk_full__is_told_and_harms_nothing),
        TEST(test_open__tells_a_full_disk),
        TEST(test_commit__that_fails_costs_itself_only),
        TEST(test_commit__that_fails_lets_readers_end_first),
        TEST(test_memory__running_out_is_an_error),
        TEST(test_close__with_a_transaction_open_is_our_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
