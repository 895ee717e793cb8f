/* SPDX-License-Identifier: Apache-2.0
 *
 * Files. A durable write goes to a temporary in the same folder, named by random bytes and made
 * with O_EXCL, is synced, given its name in one step (rename, or link where the name must be new),
 * and the folder is synced after it. A crash leaves the old file or the new one, and at worst a
 * stray ".tmp-…" beside it.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

/* errno as a code, with "doing path: reason". */
static int fail_errno(yz_error *err, const char *doing, const char *path)
{
    int e = errno;
    char reason[128];
    return yzi_fail(err, yzi_err_from_errno(e), "%s %s: %s", doing, path,
                    strerror_r(e, reason, sizeof reason));
}

/* -- reading -- */

/* `irregular` is the code for what is not a regular file. */
static int open_regular(const char *path, int irregular, int *out_fd, struct stat *out_st,
                        yz_error *err)
{
    /* O_NONBLOCK: a FIFO in the file's place must not make us wait for a writer. */
    YZ_AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool is_socket = fd < 0 && errno == ENXIO; /* open(2): also a device without hardware */
    if (!is_socket && (fd < 0 || fstat(fd, out_st) != 0)) {
        return fail_errno(err, "cannot read", path);
    }
    if (is_socket || !S_ISREG(out_st->st_mode)) {
        return yzi_fail(err, irregular, "cannot read %s: not a regular file", path);
    }
    *out_fd = fd;
    fd = -1;
    return 0;
}

/* Read once into what room `out` has, growing it when there is none; *out_n 0 is the end. */
static int read_some(int fd, const char *path, yz_buf *out, size_t *out_n, yz_error *err)
{
    if (out->n == out->cap && out->n < out->max && yzi_buf_reserve(out, 1) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "cannot read %s: out of memory", path);
    }
    uint8_t beyond; /* at the limit one more byte is asked for, to tell the end from too much */
    size_t room = out->cap - out->n;
    ssize_t n;
    do {
        n = room ? read(fd, out->p + out->n, room) : read(fd, &beyond, 1);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return fail_errno(err, "cannot read", path);
    }
    if (n > 0 && room == 0) {
        return yzi_fail(err, YZ_ETOOBIG, "cannot read %s: it does not fit the limit of %zu bytes",
                        path, out->max);
    }
    *out_n = (size_t)n;
    return 0;
}

/* Append all of fd to `out`, which on failure is as it was. */
static int read_all(int fd, const struct stat *st, const char *path, yz_buf *out, yz_error *err)
{
    size_t before = out->n, room = out->max - out->n, n = 0;
    uint64_t size = (uint64_t)st->st_size; /* 0 where the system does not know (procfs) */
    if (size > room) {
        return yzi_fail(err, YZ_ETOOBIG, "cannot read %s: it does not fit the limit of %zu bytes",
                        path, out->max);
    }
    /* Room for one more than there should be, so that the end is seen without growing again. */
    if (yzi_buf_reserve(out, size < room ? (size_t)size + 1 : room) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "cannot read %s: out of memory", path);
    }
    int rc;
    do {
        rc = read_some(fd, path, out, &n, err);
        out->n += rc == 0 ? n : 0;
    } while (rc == 0 && n > 0);
    if (rc < 0) {
        out->n = before;
    }
    return rc;
}

int yzi_file_read(const char *path, yz_buf *out, yz_error *err)
{
    YZ_AUTO(close_fd) int fd = -1;
    struct stat st;
    YZ_TRY(open_regular(path, YZ_EIO, &fd, &st, err));
    return read_all(fd, &st, path, out, err);
}

static int rewind_regular(int fd, const char *name, struct stat *out_st, yz_error *err)
{
    if (fstat(fd, out_st) != 0) {
        return fail_errno(err, "cannot use", name);
    }
    if (!S_ISREG(out_st->st_mode)) {
        return yzi_fail(err, YZ_EIO, "cannot use %s: not a regular file", name);
    }
    return lseek(fd, 0, SEEK_SET) == 0 ? YZ_OK : fail_errno(err, "cannot use", name);
}

int yzi_file_read_fd(int fd, const char *name, yz_buf *out, yz_error *err)
{
    struct stat st;
    YZ_TRY(rewind_regular(fd, name, &st, err));
    return read_all(fd, &st, name, out, err);
}

/* Who may change the folder may put an older key in the place of this one. Its owner always may. */
static int check_folder_of(const char *path, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *folder = NULL;
    struct stat st;
    YZ_TRY(yzi_path_dir(path, &folder));
    if (stat(folder, &st) != 0) {
        return fail_errno(err, "cannot look at", folder);
    }
    if (st.st_uid != geteuid() && st.st_uid != 0) {
        return yzi_fail(err, YZ_EPERM, "%s holds keys and belongs to uid %u, not to us (uid %u)",
                        folder, (unsigned)st.st_uid, (unsigned)geteuid());
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH) && !(st.st_mode & S_ISVTX)) {
        return yzi_fail(
            err, YZ_EPERM,
            "%s holds keys and may be changed by others (mode %04o): run `chmod 700 %s`", folder,
            (unsigned)st.st_mode & 07777, folder);
    }
    return YZ_OK;
}

int yzi_file_read_private(const char *path, yz_buf *out, yz_error *err)
{
    YZ_AUTO(close_fd) int fd = -1;
    struct stat st;
    YZ_TRY(open_regular(path, YZ_EPERM, &fd, &st, err));
    /* The open file is checked, not the path: what is read is what was looked at. */
    if (st.st_uid != geteuid()) {
        return yzi_fail(err, YZ_EPERM, "%s belongs to uid %u, not to us (uid %u)", path,
                        (unsigned)st.st_uid, (unsigned)geteuid());
    }
    if (st.st_mode & (S_IRWXG | S_IRWXO)) {
        return yzi_fail(err, YZ_EPERM,
                        "%s is open to others (mode %04o): run `chmod 600 %s`, and make new keys "
                        "if others may have read it",
                        path, (unsigned)st.st_mode & 07777, path);
    }
    YZ_TRY(check_folder_of(path, err));
    return read_all(fd, &st, path, out, err);
}

bool yzi_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* -- writing -- */

static int write_all(int fd, yz_bytes content)
{
    while (content.n) {
        ssize_t n = write(fd, content.p, content.n);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        content = yzi_bytes(content.p + n, content.n - (size_t)n);
    }
    return 0;
}

int yzi_file_write_fd(int fd, const char *name, yz_bytes content, yz_error *err)
{
    struct stat st;
    YZ_TRY(rewind_regular(fd, name, &st, err));
    return write_all(fd, content) == 0 ? YZ_OK : fail_errno(err, "cannot write", name);
}

static int sync_dir(const char *dir, yz_error *err)
{
    YZ_AUTO(close_fd) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        return fail_errno(err, "cannot sync the folder", dir);
    }
    return 0;
}

static int temp_name(const char *dir, char **out)
{
    uint8_t random[8];
    char name[sizeof ".tmp-" + 2 * sizeof random] = ".tmp-";
    randombytes_buf(random, sizeof random);
    YZ_TRY(yzi_hex_encode(yzi_bytes(random, sizeof random), name + 5, sizeof name - 5));
    return yzi_path_join(dir, name, out);
}

struct how {
    bool must_be_new;
    bool durable;
};

/* Write content to `temp`. The mode is set on the descriptor: the umask does not count, and at no
 * instant is the file wider than asked. */
static int write_temp(const char *temp, yz_bytes content, unsigned mode, bool durable,
                      yz_error *err)
{
    YZ_AUTO(close_fd) int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail_errno(err, "cannot create", temp);
    }
    if (write_all(fd, content) != 0 || fchmod(fd, (mode_t)mode) != 0 ||
        (durable && fsync(fd) != 0)) {
        return fail_errno(err, "cannot write", temp);
    }
    return 0;
}

/* Give temp its name. link(2) refuses a name that is taken, atomically; rename replaces it. */
static int name_temp(const char *temp, const char *path, bool must_be_new, yz_error *err)
{
    if (must_be_new ? link(temp, path) != 0 : rename(temp, path) != 0) {
        return errno == EEXIST ? yzi_fail(err, YZ_EEXIST, "%s exists already", path)
                               : fail_errno(err, "cannot write", path);
    }
    return 0;
}

static int write_whole(const char *path, yz_bytes content, unsigned mode, struct how how,
                       yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    YZ_AUTO(yzi_free_ptr) char *temp = NULL;
    if (yzi_path_dir(path, &dir) < 0 || temp_name(dir, &temp) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "cannot write %s: out of memory", path);
    }
    int rc = write_temp(temp, content, mode, how.durable, err);
    if (rc == 0) {
        rc = name_temp(temp, path, how.must_be_new, err);
    }
    if (rc < 0 || how.must_be_new) {
        unlink(temp); /* after a link the file keeps its other name */
    }
    YZ_TRY(rc);
    return how.durable ? sync_dir(dir, err) : YZ_OK;
}

int yzi_file_write(const char *path, yz_bytes content, unsigned mode, yz_error *err)
{
    return write_whole(path, content, mode, (struct how){.durable = true}, err);
}

int yzi_file_write_cached(const char *path, yz_bytes content, unsigned mode, yz_error *err)
{
    return write_whole(path, content, mode, (struct how){0}, err);
}

int yzi_file_create(const char *path, yz_bytes content, unsigned mode, yz_error *err)
{
    if (yzi_file_exists(path)) { /* the usual case; the race is decided by link(2) */
        return yzi_fail(err, YZ_EEXIST, "%s exists already", path);
    }
    return write_whole(path, content, mode, (struct how){.must_be_new = true, .durable = true},
                       err);
}

/* -- folders and paths -- */

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Create one folder and sync the one it stands in, so that what is later synced inside is found
 * after a crash. */
static int make_one(const char *path, unsigned mode, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *parent = NULL;
    if (yzi_path_dir(path, &parent) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "cannot create %s: out of memory", path);
    }
    if (mkdir(path, (mode_t)mode) == 0) {
        return sync_dir(parent, err);
    }
    return errno == EEXIST && is_dir(path) ? 0 : fail_errno(err, "cannot create the folder", path);
}

int yzi_dir_make(const char *path, unsigned mode, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *part = NULL;
    if (yzi_bytes_dup_str(yzi_bytes_str(path), &part) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "cannot create %s: out of memory", path);
    }
    if (!part[0]) {
        return yzi_fail(err, YZ_EINVAL, "cannot create a folder without a name");
    }
    char *end = part;
    do {
        end = strchrnul(end + 1, '/');
        char c = *end;
        *end = '\0';
        if (!is_dir(part)) { /* also where mkdir would say that the file system is read-only */
            YZ_TRY(make_one(part, mode, err));
        }
        *end = c;
    } while (*end);
    return 0;
}

int yzi_path_join(const char *dir, const char *name, char **out)
{
    size_t dir_n = name[0] == '/' ? 0 : strlen(dir);
    const char *slash = dir_n && dir[dir_n - 1] != '/' ? "/" : "";
    size_t cap = dir_n + strlen(slash) + strlen(name) + 1; /* of strings that are in memory */
    char *path;
    YZ_TRY(yzi_alloc(cap, 1, &path));
    snprintf(path, cap, "%.*s%s%s", (int)dir_n, dir, slash, name);
    *out = path;
    return 0;
}

int yzi_path_dir(const char *path, char **out)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') { /* "a/b/" is b in a */
        n--;
    }
    while (n > 0 && path[n - 1] != '/') {
        n--;
    }
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    return n ? yzi_bytes_dup_str(yzi_bytes(path, n), out)
             : yzi_bytes_dup_str(yzi_bytes_str("."), out);
}

/* -- lock -- */

/* Who holds it, as written by lock_note; "" when it cannot be told. */
static void lock_owner(int fd, char *out, size_t cap)
{
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    uint64_t pid;
    size_t digits = n > 0 ? strspn(text, "0123456789") : 0;
    out[0] = '\0';
    if (digits && yzi_u64_parse(yzi_bytes(text, digits), INT32_MAX, &pid) == 0) {
        snprintf(out, cap, " by process %u", (unsigned)pid);
    }
}

/* The number is for the message of whoever comes second; the lock itself is flock's, so a full disk
 * only makes that message poorer. */
static void lock_note(int fd)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) != n) {
        yz_ignore(ftruncate(fd, 0), "no number is better than half of one");
    }
}

int yzi_file_lock(const char *path, int *out_fd, yz_error *err)
{
    YZ_AUTO(close_fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0) {
        return fail_errno(err, "cannot lock", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            return fail_errno(err, "cannot lock", path);
        }
        char owner[48];
        lock_owner(fd, owner, sizeof owner);
        return yzi_fail(err, YZ_EBUSY, "%s is in use%s", path, owner);
    }
    lock_note(fd);
    *out_fd = fd;
    fd = -1;
    return 0;
}
