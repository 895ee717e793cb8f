/* SPDX-License-Identifier: Apache-2.0
 *
 * Over 800 lines: all that knows the library's types is in one file, so that no other has to.
 *
 * The only caller of LMDB [0.9.24]. What it adds to the library:
 *
 * - Safe opening. LMDB must not have one file open twice in a process (closing one of the two drops
 *   the POSIX locks of both), so a list of open folders, guarded by `registry_lock`, refuses it. A
 *   second process is kept out by a lock file of ours beside LMDB's own. The map is reserved large
 *   and once, because resizing it under a live reader makes old pointers fault.
 * - Durable commits: never MDB_NOSYNC, MDB_NOMETASYNC, MDB_WRITEMAP, MDB_MAPASYNC.
 * - A write transaction that failed half-way cannot be committed: the first hard error sticks to it
 *   and is what the commit returns.
 * - Cursors know their transaction, so that one left open when it ends is closed then and merely
 *   freed later; LMDB would free it twice.
 * - A commit that fails at its last write leaves the library refusing everything (MDB_PANIC) until
 *   the environment is closed. The next transaction to begin while no other is open does that and
 *   opens it again, so that a disk that was full for a moment costs that commit and no more; `gate`
 *   guards it.
 * - A full disk shows as EIO (the library meets a short write): the free space tells them apart.
 *   Worse, the library maps its lock file sparse and writes to it, which on a full disk is a
 * SIGBUS: its blocks are allocated first.
 */
#include "base/lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"

#define MAP_SIZE_DEFAULT ((size_t)1 << 40)
#define MAP_SIZE_MODEST ((size_t)64 << 30) /* where address space is limited */
#define LOCK_NAME "owner.lock"
#define LMDB_LOCK_NAME "lock.mdb"
#define LMDB_DATA_NAME "data.mdb"
#define READERS_DEFAULT 126u
/* The library's lock file: two cache lines of head, one for each reader. It takes a longer one as
 * it is; a shorter one it would extend, sparse again. */
#define LMDB_LOCK_SIZE(readers) ((off_t)64 * (2 + (off_t)(readers)))
/* A write that met the end of the disk leaves less than this. */
#define DISK_FULL_BELOW ((uint64_t)1 << 20)

struct db_env {
    MDB_env *env;
    struct db_env *next; /* in the registry */
    dev_t dev;           /* the folder, whatever path names it */
    ino_t ino;
    unsigned forks; /* when it was opened */
    int lock_fd;
    bool read_only;
    unsigned databases;
    unsigned *flags;          /* enum db_flags of each database, by LMDB's number; written by
                                 yzi_db_handle before the handle is known to anyone */
    _Atomic uintptr_t writer; /* which thread has the write transaction; 0: none */
    /* What it takes to open it again. Handles are LMDB's numbers, so each database has to get the
     * one it had: `names` is by number, NULL where there is none. */
    char *path, **names;
    size_t map_size;
    unsigned readers;
    pthread_mutex_t gate; /* nobody enters while it is opened again */
    _Atomic bool broken;
    _Atomic unsigned open_txns; /* or being begun; raised behind the gate */
    struct db_txn *idle;        /* read transactions that ended, each with its reader's slot: to
                                   begin one anew costs more than a lookup. Behind the gate */
};

struct db_txn {
    MDB_txn *txn;
    struct db_env *env;
    struct db_cursor *cursors;
    struct db_txn *next; /* idle */
    bool write;
    int failed; /* the first hard error of a write transaction */
};

struct db_cursor {
    MDB_cursor *cursor; /* NULL once the transaction has ended */
    struct db_txn *txn;
    struct db_cursor *next, *prev;
    db_handle handle;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER; /* guards registry, LMDB opens */
static struct db_env *registry;

/* How many forks this process comes from since the first environment was opened: asking the system
 * who we are, each time a transaction begins, would cost as much as a lookup. */
static _Atomic unsigned forks;
static pthread_once_t watching = PTHREAD_ONCE_INIT;

static void count_fork(void)
{
    atomic_fetch_add(&forks, 1);
}

static void watch_forks(void)
{
    YZ_ASSERT(pthread_atfork(NULL, NULL, count_fork) == 0);
}

/* Its address names the running thread. */
static _Thread_local char this_thread;

/* ---- errors ---- */

static bool disk_is_full(const struct db_env *env)
{
    struct statvfs s;
    mdb_filehandle_t fd;
    if (!env->env || mdb_env_get_fd(env->env, &fd) != 0 || fstatvfs(fd, &s) != 0) {
        return false;
    }
    uint64_t blocks = geteuid() == 0 ? s.f_bfree : s.f_bavail;
    return blocks * s.f_frsize < DISK_FULL_BELOW;
}

static int map_lmdb(int rc)
{
    switch (rc) {
    case MDB_SUCCESS:
        return YZ_OK;
    case MDB_NOTFOUND:
        return YZ_ENOTFOUND;
    case MDB_KEYEXIST:
        return YZ_EEXIST;
    case MDB_MAP_FULL:
        return YZ_EDISKFULL;
    case MDB_PAGE_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_PANIC:
    case MDB_VERSION_MISMATCH:
    case MDB_INVALID:
        return YZ_ECORRUPT;
    case MDB_READERS_FULL:
        return YZ_EBUSY;
    case MDB_DBS_FULL:
    case MDB_TXN_FULL:
        return YZ_ELIMIT;
    case MDB_BAD_VALSIZE:
    case MDB_BAD_DBI:
    case MDB_BAD_TXN:
    case MDB_INCOMPATIBLE:
    case EINVAL:
    case EACCES: /* a write in a read transaction */
        return YZ_EINVAL;
    default:
        /* MDB_PAGE_FULL, MDB_CURSOR_FULL, ...: the library's inner limits, never met in use */
        return rc > 0 ? yzi_err_from_errno(rc) : YZ_EINTERNAL;
    }
}

static int map_env(const struct db_env *env, int rc)
{
    return rc == EIO && disk_is_full(env) ? YZ_EDISKFULL : map_lmdb(rc);
}

/* The result of an operation in t. */
static int map_txn(struct db_txn *t, int rc)
{
    if (rc == MDB_BAD_TXN && t->failed) {
        return t->failed;
    }
    int code = map_env(t->env, rc);
    bool soft = code == YZ_OK || code == YZ_ENOTFOUND || code == YZ_EEXIST || code == YZ_EINVAL ||
                code == YZ_ELIMIT;
    if (t->write && !t->failed && (!soft || rc == MDB_TXN_FULL)) {
        t->failed = code;
    }
    return code;
}

/* ---- opening ---- */

/* Before the library closes it. */
static void free_idle(struct db_env *env)
{
    while (env->idle) {
        struct db_txn *t = env->idle;
        env->idle = t->next;
        mdb_txn_abort(t->txn);
        free(t);
    }
}

static void env_free(struct db_env *env)
{
    free_idle(env);
    if (env->env) {
        mdb_env_close(env->env);
    }
    if (env->lock_fd >= 0) {
        close(env->lock_fd);
    }
    for (unsigned i = 0; env->names && i < env->databases + 2; i++) {
        free(env->names[i]);
    }
    free(env->names);
    free(env->path);
    free(env->flags);
    pthread_mutex_destroy(&env->gate);
    free(env);
}

static void env_drop(struct db_env **env)
{
    if (*env) {
        env_free(*env);
    }
}

/* One attempt; LMDB requires the environment to be closed after a failed one. */
static int lmdb_open(struct db_env *env)
{
    int rc = mdb_env_create(&env->env);
    if (rc != 0) {
        return rc;
    }
    rc = mdb_env_set_mapsize(env->env, env->map_size);
    if (rc == 0) {
        rc = mdb_env_set_maxdbs(env->env, env->databases);
    }
    if (rc == 0 && env->readers) {
        rc = mdb_env_set_maxreaders(env->env, env->readers);
    }
    if (rc == 0) {
        rc = mdb_env_open(env->env, env->path, MDB_NOTLS | (env->read_only ? MDB_RDONLY : 0), 0600);
    }
    int dead;
    if (rc == 0) {
        rc = mdb_reader_check(env->env, &dead);
    }
    if (rc != 0) {
        mdb_env_close(env->env);
        env->env = NULL;
    }
    return rc;
}

static int open_fault(const char *path, int rc, yz_error *err)
{
    int code = map_lmdb(rc);
    switch (code) {
    case YZ_ECORRUPT:
        return yzi_fail(err, code, "%s: the store is damaged (%s); restore it from a backup", path,
                        mdb_strerror(rc));
    case YZ_EDISKFULL:
        return yzi_fail(err, code, "%s: no space left on the disk; free some", path);
    case YZ_ENOMEM:
        return yzi_fail(err, code,
                        "%s: not enough memory or address space for the map; raise the limit "
                        "(ulimit -v) or lower the map's size",
                        path);
    default:
        return yzi_fail(err, rc == EACCES ? YZ_EIO : code, "%s: cannot open the store: %s", path,
                        mdb_strerror(rc));
    }
}

static int find_folder(struct db_env *env, const struct db_options *o, yz_error *err)
{
    if (!o->read_only) {
        YZ_TRY(yzi_dir_make(o->path, 0700, err));
    }
    struct stat st;
    if (stat(o->path, &st) != 0) {
        return yzi_fail(err, errno == ENOENT ? YZ_ENOTFOUND : yzi_err_from_errno(errno), "%s: %s",
                        o->path, strerror(errno));
    }
    env->dev = st.st_dev;
    env->ino = st.st_ino;
    for (const struct db_env *e = registry; e; e = e->next) {
        if (e->dev == env->dev && e->ino == env->ino) {
            return yzi_fail(err, YZ_EBUSY, "%s: this process has the store open already", o->path);
        }
    }
    return YZ_OK;
}

/* Gives the library's lock file its blocks. Opening and closing it drops the POSIX locks this
 * process has on it: none, because the registry knows of no other environment here. */
static int allocate_lock(const struct db_options *o, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    if (yzi_path_join(o->path, LMDB_LOCK_NAME, &path) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "%s: not enough memory", o->path);
    }
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int rc = fd < 0 || fstat(fd, &st) != 0 ? errno : 0;
    if (rc == 0) {
        off_t size = LMDB_LOCK_SIZE(o->readers ? o->readers : READERS_DEFAULT);
        rc = posix_fallocate(fd, 0, st.st_size > size ? st.st_size : size);
    }
    if (fd >= 0) {
        close(fd);
    }
    return rc == 0 ? YZ_OK
                   : yzi_fail(err, yzi_err_from_errno(rc), "%s: cannot prepare the lock file: %s",
                              path, strerror(rc));
}

/* Pages that were given out and freed again in the last transaction were never written, so a file
 * may be shorter than what is counted as used, by a few. */
#define NEVER_WRITTEN_MAX 16u

/* The library maps the file and would learn by a SIGBUS that its end is missing. */
static int check_length(struct db_env *env, const struct db_options *o, yz_error *err)
{
    mdb_filehandle_t fd;
    MDB_envinfo info;
    MDB_stat stat;
    struct stat st;
    if (mdb_env_get_fd(env->env, &fd) != 0 || mdb_env_info(env->env, &info) != 0 ||
        mdb_env_stat(env->env, &stat) != 0 || fstat(fd, &st) != 0) {
        return yzi_fail(err, YZ_EIO, "%s: cannot examine the store", o->path);
    }
    uint64_t used = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize, is = (uint64_t)st.st_size;
    if (is < used && (used - is) / stat.ms_psize > NEVER_WRITTEN_MAX) {
        return yzi_fail(err, YZ_ECORRUPT,
                        "%s: the store is truncated: of %llu bytes %llu are there; restore it from "
                        "a backup",
                        o->path, (unsigned long long)used, (unsigned long long)is);
    }
    /* What is missing reads as zeros then, which are no page: an error instead of a signal. */
    if (is < used && !o->read_only && ftruncate(fd, (off_t)used) != 0) {
        return yzi_fail(err, yzi_err_from_errno(errno), "%s: cannot lengthen the store", o->path);
    }
    return YZ_OK;
}

static int open_locked(const struct db_options *o, struct db_env **out, yz_error *err)
{
    YZ_AUTO(env_drop) struct db_env *env = NULL;
    YZ_AUTO(yzi_free_ptr) char *lock_path = NULL;
    if (yzi_alloc(1, sizeof *env, &env) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "%s: not enough memory", o->path);
    }
    env->lock_fd = -1;
    yz_ignore(pthread_once(&watching, watch_forks), "its arguments are right");
    env->forks = atomic_load(&forks);
    env->read_only = o->read_only;
    env->databases = o->databases;
    env->readers = o->readers;
    env->map_size = o->map_size ? o->map_size : MAP_SIZE_DEFAULT;
    pthread_mutex_init(&env->gate, NULL);
    /* LMDB numbers named databases from 2, behind its own two */
    if (yzi_alloc((size_t)o->databases + 2, sizeof *env->flags, &env->flags) < 0 ||
        yzi_alloc((size_t)o->databases + 2, sizeof *env->names, &env->names) < 0 ||
        yzi_bytes_dup_str(yzi_bytes_str(o->path), &env->path) < 0 ||
        yzi_path_join(o->path, LOCK_NAME, &lock_path) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "%s: not enough memory", o->path);
    }
    YZ_TRY(find_folder(env, o, err));
    YZ_TRY(yzi_file_lock(lock_path, &env->lock_fd, err));
    YZ_TRY(allocate_lock(o, err));
    int rc = lmdb_open(env);
    if (rc == ENOMEM && o->map_size == 0) {
        env->map_size = MAP_SIZE_MODEST;
        rc = lmdb_open(env);
    }
    if (rc != 0) {
        return open_fault(o->path, rc, err);
    }
    YZ_TRY(check_length(env, o, err));
    env->next = registry;
    registry = env;
    *out = YZ_TAKE(env);
    return YZ_OK;
}

int yzi_db_open(const struct db_options *o, struct db_env **out, yz_error *err)
{
    if (!o->path || o->path[0] == 0) {
        return yzi_fail(err, YZ_EINVAL, "the store has no path");
    }
    pthread_mutex_lock(&registry_lock);
    int rc = open_locked(o, out, err);
    pthread_mutex_unlock(&registry_lock);
    return rc;
}

void yzi_db_close(struct db_env *env)
{
    if (!env) {
        return;
    }
    YZ_ASSERT(atomic_load(&env->open_txns) == 0);
    pthread_mutex_lock(&registry_lock);
    struct db_env **p = &registry;
    while (*p != env) {
        YZ_ASSERT(*p);
        p = &(*p)->next;
    }
    *p = env->next;
    env_free(env);
    pthread_mutex_unlock(&registry_lock);
}

/* ---- opening again ---- */

static unsigned lmdb_flags(unsigned flags)
{
    return (flags & DB_DUP_SORT ? MDB_DUPSORT : 0) | (flags & DB_INTEGER_KEY ? MDB_INTEGERKEY : 0) |
           (flags & DB_DUP_FIXED ? MDB_DUPFIXED : 0);
}

/* Every database by the number it had. */
static int open_names_again(struct db_env *env)
{
    MDB_txn *t;
    int rc = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &t);
    if (rc != 0) {
        return map_env(env, rc);
    }
    int code = YZ_OK;
    for (unsigned i = 2; code == YZ_OK && i < env->databases + 2; i++) {
        MDB_dbi dbi = i;
        if (env->names[i]) {
            rc = mdb_dbi_open(t, env->names[i], lmdb_flags(env->flags[i]), &dbi);
            code = rc != 0 ? map_env(env, rc) : dbi == i ? YZ_OK : YZ_EINTERNAL;
        }
    }
    if (code < 0) {
        mdb_txn_abort(t);
        return code;
    }
    return map_env(env, mdb_txn_commit(t)); /* numbers stay with the environment */
}

/* Behind the gate. What was open is gone whether it can be opened again or not; the next try is the
 * next transaction's. */
static int open_again(struct db_env *env)
{
    YZ_ENSURE(atomic_load(&env->open_txns) == 0, YZ_EIO);
    free_idle(env);
    if (env->env) {
        mdb_env_close(env->env);
        env->env = NULL;
    }
    int rc = lmdb_open(env);
    YZ_ENSURE(rc == 0, map_env(env, rc));
    YZ_TRY(open_names_again(env));
    atomic_store(&env->broken, false);
    return YZ_OK;
}

/* From here until leave() the environment is not taken from under the caller's feet. Where `idle`
 * is asked for, it becomes the caller's, or NULL when there is none. */
static int enter(struct db_env *env, struct db_txn **idle)
{
    YZ_ENSURE(env->forks == atomic_load(&forks), YZ_EINVAL); /* a child after fork */
    pthread_mutex_lock(&env->gate);
    int rc = atomic_load(&env->broken) ? open_again(env) : YZ_OK;
    if (rc == YZ_OK) {
        atomic_fetch_add(&env->open_txns, 1);
    }
    if (rc == YZ_OK && idle) {
        *idle = env->idle;
        env->idle = env->idle ? env->idle->next : NULL;
    }
    pthread_mutex_unlock(&env->gate);
    return rc;
}

static void leave(struct db_env *env)
{
    atomic_fetch_sub(&env->open_txns, 1);
}

int yzi_db_copy_fd(struct db_env *env, int fd)
{
    YZ_TRY(enter(env, NULL));
    int rc = map_env(env, mdb_env_copyfd2(env->env, fd, MDB_CP_COMPACT));
    leave(env);
    return rc;
}

/* The library would make the file for everybody to read. */
int yzi_db_copy(struct db_env *env, const char *dir)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_TRY(yzi_path_join(dir, LMDB_DATA_NAME, &path));
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    YZ_ENSURE(fd >= 0, errno == EEXIST ? YZ_EEXIST : yzi_err_from_errno(errno));
    int rc = yzi_db_copy_fd(env, fd);
    if (close(fd) != 0 && rc == 0) {
        rc = yzi_err_from_errno(errno);
    }
    return rc;
}

static int look_at_file(struct db_env *env, struct db_file *out)
{
    mdb_filehandle_t fd;
    MDB_envinfo info;
    MDB_stat stat;
    struct statx st;
    YZ_TRY(map_lmdb(mdb_env_get_fd(env->env, &fd)));
    YZ_TRY(map_lmdb(mdb_env_info(env->env, &info)));
    YZ_TRY(map_lmdb(mdb_env_stat(env->env, &stat)));
    YZ_ENSURE(statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st) == 0, YZ_EIO);
    out->inode = st.stx_ino;
    out->born = st.stx_mask & STATX_BTIME
                    ? (uint64_t)st.stx_btime.tv_sec * 1000000000u + st.stx_btime.tv_nsec
                    : 0;
    out->bytes = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
    return YZ_OK;
}

int yzi_db_file(struct db_env *env, struct db_file *out)
{
    YZ_TRY(enter(env, NULL));
    int rc = look_at_file(env, out);
    leave(env);
    return rc;
}

/* ---- databases ---- */

static int open_dbi(struct db_txn *t, const char *name, unsigned flags, db_handle *out)
{
    unsigned wanted = lmdb_flags(flags);
    MDB_dbi dbi;
    unsigned found;
    YZ_TRY(map_txn(t, mdb_dbi_open(t->txn, name, wanted | (t->write ? MDB_CREATE : 0), &dbi)));
    YZ_TRY(map_txn(t, mdb_dbi_flags(t->txn, dbi, &found)));
    YZ_ENSURE(found == wanted, YZ_EINVAL);
    YZ_ENSURE(dbi < t->env->databases + 2, YZ_EINTERNAL);
    if (t->env->flags[dbi] != flags) { /* one that is known is being read from */
        t->env->flags[dbi] = flags;
    }
    out->v = dbi;
    return YZ_OK;
}

static int handle_in_txn(struct db_env *env, const char *name, unsigned flags, db_handle *out)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_AUTO(yzi_free_ptr) char *kept = NULL;
    db_handle h;
    YZ_TRY(yzi_bytes_dup_str(yzi_bytes_str(name), &kept));
    YZ_TRY(env->read_only ? yzi_db_begin_read(env, &t) : yzi_db_begin_write(env, &t));
    YZ_TRY(open_dbi(t, name, flags, &h));
    YZ_TRY(yzi_db_commit(&t)); /* the number is good for others only then */
    pthread_mutex_lock(&env->gate);
    free(env->names[h.v]);
    env->names[h.v] = YZ_TAKE(kept);
    pthread_mutex_unlock(&env->gate);
    *out = h;
    return YZ_OK;
}

int yzi_db_handle(struct db_env *env, const char *name, unsigned flags, db_handle *out)
{
    YZ_ENSURE(name && name[0], YZ_EINVAL);
    YZ_ENSURE((flags & ~7u) == 0, YZ_EINVAL);
    YZ_ENSURE(!(flags & DB_DUP_FIXED) || flags & DB_DUP_SORT, YZ_EINVAL);
    YZ_ENSURE(strlen(name) <= YZ_DB_KEY_MAX, YZ_ELIMIT);
    if (!env->read_only) {
        return handle_in_txn(env, name, flags, out); /* write transactions exclude each other */
    }
    pthread_mutex_lock(&registry_lock);
    int rc = handle_in_txn(env, name, flags, out);
    pthread_mutex_unlock(&registry_lock);
    return rc;
}

static unsigned flags_of(const struct db_txn *t, db_handle h)
{
    YZ_ASSERT(h.v >= 2 && h.v < t->env->databases + 2);
    return t->env->flags[h.v];
}

/* ---- transactions ---- */

static int begin_once(struct db_env *env, struct db_txn *t)
{
    YZ_TRY(enter(env, NULL));
    int rc = mdb_txn_begin(env->env, NULL, t->write ? 0 : MDB_RDONLY, &t->txn);
    if (rc == 0) {
        return YZ_OK;
    }
    if (rc == MDB_PANIC) {
        atomic_store(&env->broken, true);
    }
    int code = rc == MDB_PANIC ? YZ_EIO : map_env(env, rc);
    leave(env);
    return code;
}

static int begin(struct db_env *env, bool write, struct db_txn **out)
{
    YZ_AUTO(yzi_free_ptr) struct db_txn *t = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *t, &t));
    t->env = env;
    t->write = write;
    int rc = begin_once(env, t);
    if (rc < 0 && atomic_load(&env->broken)) {
        rc = begin_once(env, t); /* the first only found out */
    }
    YZ_TRY(rc);
    if (write) {
        atomic_store(&env->writer, (uintptr_t)&this_thread);
    }
    *out = YZ_TAKE(t);
    return YZ_OK;
}

int yzi_db_begin_read(struct db_env *env, struct db_txn **out)
{
    struct db_txn *t = NULL;
    if (enter(env, &t) == YZ_OK) {
        if (t && mdb_txn_renew(t->txn) == 0) {
            *out = t;
            return YZ_OK;
        }
        if (t) { /* the environment is broken: whoever begins one anew finds out */
            mdb_txn_abort(t->txn);
            free(t);
        }
        leave(env);
    }
    return begin(env, false, out);
}

int yzi_db_begin_write(struct db_env *env, struct db_txn **out)
{
    YZ_ENSURE(!env->read_only, YZ_EINVAL);
    /* LMDB's lock would wait for ourselves for ever */
    YZ_ENSURE(atomic_load(&env->writer) != (uintptr_t)&this_thread, YZ_EBUSY);
    return begin(env, true, out);
}

static void cursor_end(struct db_cursor *c)
{
    if (c->cursor) {
        mdb_cursor_close(c->cursor);
        c->cursor = NULL;
        *(c->prev ? &c->prev->next : &c->txn->cursors) = c->next;
        if (c->next) {
            c->next->prev = c->prev;
        }
    }
}

/* What both ends have in common before LMDB ends it; a waiting writer may begin right after. */
static void before_end(struct db_txn *t)
{
    while (t->cursors) {
        cursor_end(t->cursors);
    }
    if (t->write) {
        atomic_store(&t->env->writer, 0);
    }
}

static void txn_free(struct db_txn *t)
{
    leave(t->env);
    free(t);
}

int yzi_db_commit(struct db_txn **txn)
{
    struct db_txn *t = *txn;
    YZ_ENSURE(t, YZ_EINVAL);
    if (t->failed) {
        int failed = t->failed;
        yzi_db_abort(txn);
        return failed;
    }
    *txn = NULL;
    before_end(t);
    int rc = map_env(t->env, mdb_txn_commit(t->txn));
    txn_free(t);
    return rc;
}

/* Ended and kept, for the next that is begun: it holds its reader's slot, and no page. */
static void keep_idle(struct db_txn *t)
{
    struct db_env *env = t->env;
    mdb_txn_reset(t->txn);
    pthread_mutex_lock(&env->gate);
    t->next = env->idle;
    env->idle = t;
    pthread_mutex_unlock(&env->gate);
    leave(env); /* from here t may be gone */
}

void yzi_db_abort(struct db_txn **txn)
{
    struct db_txn *t = *txn;
    *txn = NULL;
    if (!t) {
        return;
    }
    before_end(t);
    if (t->write) {
        mdb_txn_abort(t->txn);
        txn_free(t);
    } else {
        keep_idle(t);
    }
}

uint64_t yzi_db_txn_id(const struct db_txn *t)
{
    return mdb_txn_id(t->txn);
}

/* ---- pairs ---- */

static MDB_val val(yz_bytes b)
{
    return (MDB_val){b.n, (void *)(uintptr_t)b.p};
}

static yz_bytes bytes_of(const MDB_val *v)
{
    return yzi_bytes(v->mv_data, v->mv_size);
}

static int check_key(unsigned flags, yz_bytes key)
{
    YZ_ENSURE(key.n > 0, YZ_EINVAL);
    YZ_ENSURE(key.n <= YZ_DB_KEY_MAX, YZ_ELIMIT);
    YZ_ENSURE(!(flags & DB_INTEGER_KEY) || key.n == sizeof(uint64_t), YZ_EINVAL);
    return YZ_OK;
}

int yzi_db_get(struct db_txn *t, db_handle h, yz_bytes key, yz_bytes *out)
{
    YZ_TRY(check_key(flags_of(t, h), key));
    MDB_val k = val(key), v;
    YZ_TRY(map_txn(t, mdb_get(t->txn, h.v, &k, &v)));
    *out = bytes_of(&v);
    return YZ_OK;
}

/* mdb_put with our flags; *v is as for it. */
static int put(struct db_txn *t, db_handle h, yz_bytes key, MDB_val *v, unsigned flags,
               unsigned lmdb_flags)
{
    YZ_ENSURE(t->write && (flags & ~3u) == 0, YZ_EINVAL);
    YZ_TRY(check_key(flags_of(t, h), key));
    if (flags & DB_PUT_NEW) {
        lmdb_flags |= MDB_NOOVERWRITE;
    }
    if (flags & DB_PUT_APPEND) {
        lmdb_flags |= flags_of(t, h) & DB_DUP_SORT ? MDB_APPENDDUP : MDB_APPEND;
    }
    MDB_val k = val(key);
    int rc = mdb_put(t->txn, h.v, &k, v, lmdb_flags);
    if (rc == MDB_KEYEXIST && !(flags & DB_PUT_NEW)) {
        return YZ_EINVAL; /* an append out of order */
    }
    return map_txn(t, rc);
}

int yzi_db_put(struct db_txn *t, db_handle h, yz_bytes key, yz_bytes value, unsigned flags)
{
    bool dup = flags_of(t, h) & DB_DUP_SORT;
    YZ_ENSURE(!dup || value.n <= YZ_DB_KEY_MAX, YZ_ELIMIT);
    YZ_ENSURE(value.n <= UINT32_MAX, YZ_ELIMIT);
    MDB_val v = val(value);
    return put(t, h, key, &v, flags, 0);
}

int yzi_db_put_reserve(struct db_txn *t, db_handle h, yz_bytes key, size_t n, unsigned flags,
                       uint8_t **out)
{
    YZ_ENSURE(!(flags_of(t, h) & DB_DUP_SORT), YZ_EINVAL);
    YZ_ENSURE(n <= UINT32_MAX, YZ_ELIMIT);
    MDB_val v = {n, NULL};
    YZ_TRY(put(t, h, key, &v, flags, MDB_RESERVE));
    *out = v.mv_data;
    return YZ_OK;
}

int yzi_db_del(struct db_txn *t, db_handle h, yz_bytes key, const yz_bytes *dup)
{
    unsigned flags = flags_of(t, h);
    YZ_ENSURE(t->write && (!dup || flags & DB_DUP_SORT), YZ_EINVAL);
    YZ_ENSURE(!dup || dup->n <= YZ_DB_KEY_MAX, YZ_ELIMIT);
    YZ_TRY(check_key(flags, key));
    MDB_val k = val(key), v = dup ? val(*dup) : (MDB_val){0};
    return map_txn(t, mdb_del(t->txn, h.v, &k, dup ? &v : NULL));
}

int yzi_db_clear(struct db_txn *t, db_handle h)
{
    YZ_ENSURE(t->write, YZ_EINVAL);
    return map_txn(t, mdb_drop(t->txn, h.v, 0));
}

int yzi_db_count(struct db_txn *t, db_handle h, uint64_t *out)
{
    MDB_stat st;
    YZ_TRY(map_txn(t, mdb_stat(t->txn, h.v, &st)));
    *out = st.ms_entries;
    return YZ_OK;
}

/* ---- cursors ---- */

int yzi_db_cursor_open(struct db_txn *t, db_handle h, struct db_cursor **out)
{
    YZ_AUTO(yzi_free_ptr) struct db_cursor *c = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *c, &c));
    YZ_TRY(map_txn(t, mdb_cursor_open(t->txn, h.v, &c->cursor)));
    c->txn = t;
    c->handle = h;
    c->next = t->cursors;
    if (c->next) {
        c->next->prev = c;
    }
    t->cursors = c;
    *out = YZ_TAKE(c);
    return YZ_OK;
}

void yzi_db_cursor_close(struct db_cursor **c)
{
    if (*c) {
        cursor_end(*c);
        free(*c);
        *c = NULL;
    }
}

int yzi_db_cursor_move(struct db_cursor *c, enum db_move m, yz_bytes *key, yz_bytes *value)
{
    static const MDB_cursor_op ops[] = {
        [DB_FIRST] = MDB_FIRST,         [DB_LAST] = MDB_LAST,      [DB_NEXT] = MDB_NEXT,
        [DB_PREV] = MDB_PREV,           [DB_SEEK] = MDB_SET_RANGE, [DB_NEXT_DUP] = MDB_NEXT_DUP,
        [DB_FIRST_DUP] = MDB_FIRST_DUP,
    };
    YZ_ENSURE(c->cursor && m <= DB_FIRST_DUP, YZ_EINVAL);
    unsigned flags = flags_of(c->txn, c->handle);
    bool dup_move = m == DB_NEXT_DUP || m == DB_FIRST_DUP;
    YZ_ENSURE(!dup_move || flags & DB_DUP_SORT, YZ_EINVAL);
    MDB_cursor_op op = ops[m];
    MDB_val k = {0}, v = {0};
    if (m == DB_SEEK && key->n == 0) {
        op = MDB_FIRST;
    } else if (m == DB_SEEK) {
        YZ_ENSURE(!(flags & DB_INTEGER_KEY) || key->n == sizeof(uint64_t), YZ_EINVAL);
        k = val(*key);
    }
    YZ_TRY(map_txn(c->txn, mdb_cursor_get(c->cursor, &k, &v, op)));
    if (m == DB_FIRST_DUP) { /* gives the value only */
        YZ_TRY(map_txn(c->txn, mdb_cursor_get(c->cursor, &k, &v, MDB_GET_CURRENT)));
    }
    *key = bytes_of(&k);
    if (value) {
        *value = bytes_of(&v);
    }
    return YZ_OK;
}

int yzi_db_cursor_seek_pair(struct db_cursor *c, yz_bytes *key, yz_bytes *value)
{
    YZ_ENSURE(c->cursor && flags_of(c->txn, c->handle) & DB_DUP_SORT, YZ_EINVAL);
    YZ_ENSURE(key->n > 0, YZ_EINVAL);
    yz_bytes wanted = *key;
    MDB_val k = val(wanted), v = val(*value);
    int rc = mdb_cursor_get(c->cursor, &k, &v, MDB_GET_BOTH_RANGE);
    if (rc == MDB_NOTFOUND) { /* the key is not there, or all its values are before */
        k = val(wanted);
        rc = mdb_cursor_get(c->cursor, &k, &v, MDB_SET_RANGE);
        if (rc == MDB_SUCCESS && yzi_bytes_eq(bytes_of(&k), wanted)) {
            rc = mdb_cursor_get(c->cursor, &k, &v, MDB_NEXT_NODUP);
        }
    } else if (rc == MDB_SUCCESS) { /* gives the value only */
        rc = mdb_cursor_get(c->cursor, &k, &v, MDB_GET_CURRENT);
    }
    YZ_TRY(map_txn(c->txn, rc));
    *key = bytes_of(&k);
    *value = bytes_of(&v);
    return YZ_OK;
}

int yzi_db_cursor_del(struct db_cursor *c)
{
    YZ_ENSURE(c->cursor && c->txn->write, YZ_EINVAL);
    return map_txn(c->txn, mdb_cursor_del(c->cursor, 0));
}
