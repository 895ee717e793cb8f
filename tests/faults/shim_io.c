/* SPDX-License-Identifier: Apache-2.0
 *
 * The calls that stand before the C library's. They go straight to the kernel, so that none of them
 * needs to be looked up, and nothing here allocates: a call may come from anywhere, also before
 * main. Not cancellation points, unlike the originals; nobody here cancels threads.
 */
#include "tests/faults/shim_io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x797a2d696f2d3031) /* "yz-io-01" */
#define PARTS_MAX 64                       /* of one writev that is torn */

/* The C library gives some of these other names or attributes in its headers. */
#pragma GCC visibility push(default)
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

static struct io_faults local = {.magic = MAGIC};
static struct io_faults *_Atomic current = &local;

/* -- which call -- */

static bool is_watched(const struct io_faults *f, const char *path)
{
    size_t n = strlen(f->folder);
    return n > 0 && strncmp(path, f->folder, n) == 0 && (path[n] == '/' || path[n] == '\0') &&
           strstr(path, f->name) != NULL;
}

/* Counts the call; true when it is one to harm. */
static bool is_due(struct io_faults *f)
{
    uint64_t k = atomic_fetch_add(&f->seen, 1) + 1, nth = f->nth;
    if (nth == 0 || k < nth || k - nth >= f->times) {
        return false;
    }
    atomic_fetch_add(&f->failed, 1);
    return true;
}

/* The faults when this call on an open file is to be harmed; errno is kept. */
static struct io_faults *fault_fd(uint32_t kind, int fd)
{
    struct io_faults *f = current;
    if (!(f->kinds & kind)) {
        return NULL;
    }
    int e = errno;
    char link[32], path[4096];
    struct stat st;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = -1;
    if (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
        n = readlink(link, path, sizeof path - 1);
    }
    errno = e;
    if (n < 0) {
        return NULL;
    }
    path[n] = '\0';
    return is_watched(f, path) && is_due(f) ? f : NULL;
}

/* "a/./b" and "a//b" are "a/b": who joins paths leaves such, and the folder to be watched is
 * written without. */
static void tidy(char *path)
{
    char *to = path;
    for (const char *from = path; *from; from++) {
        bool again = from[0] == '/' && to > path && to[-1] == '/';
        bool dot = from[0] == '.' && to > path && to[-1] == '/' && (!from[1] || from[1] == '/');
        if (!again && !dot) {
            *to++ = *from;
        }
    }
    *to = '\0';
}

static struct io_faults *fault_path(uint32_t kind, int dir, const char *name)
{
    struct io_faults *f = current;
    if (!(f->kinds & kind)) {
        return NULL;
    }
    int e = errno;
    char link[32], path[8192] = "";
    ssize_t n = 0;
    if (name[0] != '/') {
        if (dir == AT_FDCWD) {
            snprintf(link, sizeof link, "/proc/self/cwd");
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        }
        n = readlink(link, path, 4095);
        n = n < 0 ? 0 : n;
        path[n++] = '/';
    }
    snprintf(path + n, sizeof path - (size_t)n, "%s", name);
    tidy(path);
    errno = e;
    return is_watched(f, path) && is_due(f) ? f : NULL;
}

/* -- what becomes of it -- */

static void die(void)
{
    syscall(SYS_kill, (pid_t)syscall(SYS_getpid), SIGKILL);
}

static long say(const struct io_faults *f)
{
    errno = f->error;
    return -1;
}

/* What this call suffers; of several harmed at the same moment none is the last that is done. */
static enum io_harm harm_now(const struct io_faults *f)
{
    enum io_harm harm = (enum io_harm)f->harm;
    return harm != IO_LAST ? harm : f->failed == 1 ? IO_LATE : IO_FAIL;
}

/* Is the call left out altogether? */
static bool is_before(const struct io_faults *f)
{
    enum io_harm harm = harm_now(f);
    if (harm == IO_KILL_BEFORE || harm == IO_KILL_TORN) {
        die();
    }
    return harm != IO_LATE && harm != IO_KILL_AFTER;
}

static long after(const struct io_faults *f)
{
    if (f->harm == IO_KILL_AFTER) {
        die();
    }
    return say(f);
}

/* A call that is done or is not. */
#define WHOLE(type, fault, call)                                                                   \
    do {                                                                                           \
        struct io_faults *f = (fault);                                                             \
        if (!f) {                                                                                  \
            return (type)(call);                                                                   \
        }                                                                                          \
        if (is_before(f)) {                                                                        \
            return (type)say(f);                                                                   \
        }                                                                                          \
        (void)!(call);                                                                             \
        return (type)after(f);                                                                     \
    } while (0)

/* -- writing -- */

/* Everything is a vector at an offset; -1 is the file's own position. */
static ssize_t write_parts(int fd, const struct iovec *parts, int n, off_t at)
{
    return at < 0 ? syscall(SYS_writev, fd, parts, n)
                  : syscall(SYS_pwritev, fd, parts, n, (long)at, 0l);
}

static ssize_t write_half(int fd, const struct iovec *parts, int n, off_t at)
{
    struct iovec some[PARTS_MAX];
    size_t all = 0;
    for (int i = 0; i < n; i++) {
        all += parts[i].iov_len;
    }
    size_t left = all > 1 ? all / 2 : all;
    int k = 0;
    for (; k < n && k < PARTS_MAX && left > 0; k++) {
        some[k] = parts[k];
        some[k].iov_len = parts[k].iov_len < left ? parts[k].iov_len : left;
        left -= some[k].iov_len;
    }
    return write_parts(fd, some, k, at);
}

static ssize_t harmed_write(const struct io_faults *f, int fd, const struct iovec *parts, int n,
                            off_t at)
{
    switch (harm_now(f)) {
    case IO_SHORT:
        return write_half(fd, parts, n, at);
    case IO_TORN:
        (void)!write_half(fd, parts, n, at);
        return say(f);
    case IO_KILL_TORN:
        (void)!write_half(fd, parts, n, at);
        die();
        return say(f);
    case IO_LATE:
    case IO_KILL_AFTER:
        (void)!write_parts(fd, parts, n, at);
        return after(f);
    case IO_FAIL:
    case IO_LAST:
    case IO_KILL_BEFORE:
    default:
        is_before(f);
        return say(f);
    }
}

ssize_t write(int fd, const void *p, size_t n)
{
    struct io_faults *f = fault_fd(IO_WRITE, fd);
    struct iovec all = {(void *)(uintptr_t)p, n};
    return f ? harmed_write(f, fd, &all, 1, -1) : syscall(SYS_write, fd, p, n);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    struct io_faults *f = fault_fd(IO_WRITE, fd);
    return f ? harmed_write(f, fd, parts, n, -1) : write_parts(fd, parts, n, -1);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    struct io_faults *f = fault_fd(IO_WRITE, fd);
    struct iovec all = {(void *)(uintptr_t)p, n};
    return f ? harmed_write(f, fd, &all, 1, at) : syscall(SYS_pwrite64, fd, p, n, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at)
{
    struct io_faults *f = fault_fd(IO_WRITE, fd);
    return f ? harmed_write(f, fd, parts, n, at) : syscall(SYS_pwritev, fd, parts, n, (long)at, 0l);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at) __attribute__((alias("pwrite")));
ssize_t pwritev64(int fd, const struct iovec *parts, int n, off_t at)
    __attribute__((alias("pwritev")));

/* -- syncing, sizes -- */

int fsync(int fd)
{
    WHOLE(int, fault_fd(IO_SYNC, fd), syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
    WHOLE(int, fault_fd(IO_SYNC, fd), syscall(SYS_fdatasync, fd));
}

int sync_file_range(int fd, off_t from, off_t n, unsigned flags)
{
    WHOLE(int, fault_fd(IO_SYNC, fd), syscall(SYS_sync_file_range, fd, from, n, flags));
}

int ftruncate(int fd, off_t n)
{
    WHOLE(int, fault_fd(IO_SIZE, fd), syscall(SYS_ftruncate, fd, n));
}

int truncate(const char *path, off_t n)
{
    WHOLE(int, fault_path(IO_SIZE, AT_FDCWD, path), syscall(SYS_truncate, path, n));
}

int fallocate(int fd, int mode, off_t from, off_t n)
{
    WHOLE(int, fault_fd(IO_SIZE, fd), syscall(SYS_fallocate, fd, mode, from, n));
}

/* Gives the error instead of setting errno. */
int posix_fallocate(int fd, off_t from, off_t n)
{
    return fallocate(fd, 0, from, n) == 0 ? 0 : errno;
}

int ftruncate64(int fd, off_t n) __attribute__((alias("ftruncate")));
int truncate64(const char *path, off_t n) __attribute__((alias("truncate")));
int fallocate64(int fd, int mode, off_t from, off_t n) __attribute__((alias("fallocate")));
int posix_fallocate64(int fd, off_t from, off_t n) __attribute__((alias("posix_fallocate")));

/* -- names -- */

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    WHOLE(int, fault_path(IO_RENAME, to_dir, to),
          syscall(SYS_renameat2, from_dir, from, to_dir, to, flags));
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return renameat2(from_dir, from, to_dir, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    WHOLE(int, fault_path(IO_LINK, to_dir, to),
          syscall(SYS_linkat, from_dir, from, to_dir, to, flags));
}

int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
    WHOLE(int, fault_path(IO_UNLINK, dir, path), syscall(SYS_unlinkat, dir, path, flags));
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    WHOLE(int, fault_path(IO_CREATE, dir, path), syscall(SYS_mkdirat, dir, path, mode));
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
    WHOLE(int, fault_path(flags & O_CREAT ? IO_CREATE : IO_OPEN, dir, path),
          syscall(SYS_openat, dir, path, flags, mode));
}

#define MODE_OF(flags, last)                                                                       \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                         \
        va_list args;                                                                              \
        va_start(args, last);                                                                      \
        mode = va_arg(args, mode_t);                                                               \
        va_end(args);                                                                              \
    }

int open(const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return open_at(dir, path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int openat64(int dir, const char *path, int flags, ...) __attribute__((alias("openat")));

#pragma GCC visibility pop

/* -- control -- */

static struct io_faults *map_control(const char *path, int flags)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC | flags, 0600);
    if (fd < 0) {
        return NULL;
    }
    struct stat st;
    void *p = MAP_FAILED;
    if ((!(flags & O_CREAT) || syscall(SYS_ftruncate, fd, sizeof local) == 0) &&
        fstat(fd, &st) == 0 && st.st_size == (off_t)sizeof local) {
        p = mmap(NULL, sizeof local, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    close(fd);
    return p == MAP_FAILED ? NULL : p;
}

__attribute__((constructor)) static void find_control(void)
{
    const char *path = getenv("YZ_IO_CONTROL");
    struct io_faults *f = path ? map_control(path, 0) : NULL;
    if (f && f->magic == MAGIC) {
        current = f;
    }
}

struct io_faults *io_faults_local(void)
{
    return &local;
}

struct io_faults *io_faults_create(const char *control_file)
{
    struct io_faults *f = map_control(control_file, O_CREAT | O_TRUNC);
    if (!f) {
        perror(control_file);
        abort();
    }
    f->magic = MAGIC;
    return f;
}

void io_faults_free(struct io_faults *f)
{
    munmap(f, sizeof *f);
}

void io_faults_watch(struct io_faults *f, const char *folder, const char *name)
{
    char real[4096];
    io_faults_disarm(f);
    if (!realpath(folder, real) || strlen(real) >= sizeof f->folder ||
        strlen(name) >= sizeof f->name) {
        perror(folder);
        abort();
    }
    memcpy(f->folder, real, strlen(real) + 1);
    memcpy(f->name, name, strlen(name) + 1);
}

void io_faults_arm(struct io_faults *f, uint32_t kinds, uint64_t nth, uint32_t times,
                   enum io_harm harm, int error)
{
    f->kinds = 0;
    f->nth = nth;
    f->times = times;
    f->harm = harm;
    f->error = error;
    f->seen = f->failed = 0;
    f->kinds = kinds;
}

void io_faults_disarm(struct io_faults *f)
{
    f->kinds = 0;
}
