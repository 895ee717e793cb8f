/* SPDX-License-Identifier: Apache-2.0
 *
 * A store in a folder of its own for each test of base/lmdb, and short forms of its calls that fail
 * the test. A child is made by fork before it opens anything: an environment never crosses a fork.
 */
#ifndef YZ_TESTS_LMDB_FIXTURE_H
#define YZ_TESTS_LMDB_FIXTURE_H

#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/lmdb.h"

struct fixture {
    char dir[64]; /* the store's folder; not there yet */
    char root[48];
    struct db_env *env;
    struct db_options options;
    yz_error err;
};

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    yzi_db_close(f->env);
    int rc = nftw(f->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return rc;
}

/* Fails the test with the error's words. */
static inline void open_env(struct fixture *f)
{
    int rc = yzi_db_open(&f->options, &f->env, &f->err);
    if (rc != YZ_OK) {
        print_error("%s\n", f->err.text);
    }
    assert_int_equal(rc, YZ_OK);
}

static inline void close_env(struct fixture *f)
{
    yzi_db_close(f->env);
    f->env = NULL;
}

static inline db_handle handle(struct fixture *f, const char *name, unsigned flags)
{
    db_handle h = {0};
    assert_int_equal(yzi_db_handle(f->env, name, flags, &h), YZ_OK);
    return h;
}

static inline struct db_txn *begin_write(struct fixture *f)
{
    struct db_txn *t = NULL;
    assert_int_equal(yzi_db_begin_write(f->env, &t), YZ_OK);
    return t;
}

static inline struct db_txn *begin_read(struct fixture *f)
{
    struct db_txn *t = NULL;
    assert_int_equal(yzi_db_begin_read(f->env, &t), YZ_OK);
    return t;
}

static inline yz_bytes str(const char *s)
{
    return yzi_bytes_str(s);
}

static inline int put(struct db_txn *t, db_handle h, const char *key, const char *value)
{
    return yzi_db_put(t, h, str(key), str(value), DB_PUT_ANY);
}

static inline void put_committed(struct fixture *f, db_handle h, const char *key, const char *value)
{
    struct db_txn *t = begin_write(f);
    assert_int_equal(put(t, h, key, value), YZ_OK);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
    assert_null(t);
}

static inline void has_value(struct db_txn *t, db_handle h, const char *key, const char *value)
{
    yz_bytes v;
    assert_int_equal(yzi_db_get(t, h, str(key), &v), YZ_OK);
    assert_true(yzi_bytes_eq_str(v, value));
}

static inline void expect_move(struct db_cursor *c, enum db_move m, const char *key,
                               const char *value)
{
    yz_bytes k, v;
    assert_int_equal(yzi_db_cursor_move(c, m, &k, &v), YZ_OK);
    assert_true(yzi_bytes_eq_str(k, key));
    assert_true(yzi_bytes_eq_str(v, value));
}

/* Runs fn in a child; its result, 0 to 100, is the child's exit code. */
static inline int in_child(int (*fn)(struct fixture *f), struct fixture *f)
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

#endif
