/* SPDX-License-Identifier: Apache-2.0
 *
 * A file is written beside its place and renamed, so that no reader sees a part of it. Syncing each
 * file and folder by itself is right for the few of a quiet second and far too slow for a busy one:
 * those go out with one syncfs. A file that a crash left without its bytes is not counted on by any
 * checkpoint, and written again.
 */
#include "broker/evidence/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

#define NUMBER_MAX ((UINT64_C(1) << 56) - 1)

/* -- names -- */

/* Groups of three digits, all but the last with an x before them. */
static void number_name(uint64_t number, char *out, size_t cap)
{
    unsigned groups[8], n = 0;
    do {
        groups[n++] = (unsigned)(number % 1000);
        number /= 1000;
    } while (number);
    size_t at = 0;
    while (n-- > 0 && at < cap) {
        at += (size_t)snprintf(out + at, cap - at, n ? "x%03u/" : "%03u", groups[n] % 1000);
    }
}

void yzi_log_file_name(const struct log_file *f, char out[LOG_FILE_NAME_MAX])
{
    char number[40], level[16] = "entries", partial[16] = "";
    if (f->kind == LOG_FILE_CHECKPOINT) {
        snprintf(out, LOG_FILE_NAME_MAX, "checkpoint");
        return;
    }
    number_name(f->number, number, sizeof number);
    if (f->kind == LOG_FILE_TILE) {
        snprintf(level, sizeof level, "%u", f->level);
    }
    if (f->width < TILE_WIDTH) {
        snprintf(partial, sizeof partial, ".p/%u", f->width);
    }
    snprintf(out, LOG_FILE_NAME_MAX, "tile/%s/%s%s", level, number, partial);
}

static bool skip(yz_bytes *b, const char *text)
{
    size_t n = strlen(text);
    if (b->n < n || memcmp(b->p, text, n) != 0) {
        return false;
    }
    *b = yzi_bytes(b->p + n, b->n - n);
    return true;
}

/* Any digits in groups; that there is but one form is seen by writing it again. */
static int parse_number(yz_bytes *b, uint64_t *out)
{
    uint64_t number = 0;
    bool more = true;
    while (more) {
        more = skip(b, "x");
        for (unsigned i = 0; i < 3; i++) {
            YZ_ENSURE(b->n > 0 && b->p[0] >= '0' && b->p[0] <= '9', YZ_EMALFORMED);
            number = number * 10 + (uint64_t)(b->p[0] - '0');
            *b = yzi_bytes(b->p + 1, b->n - 1);
        }
        YZ_ENSURE(number <= NUMBER_MAX, YZ_EMALFORMED);
        YZ_ENSURE(!more || skip(b, "/"), YZ_EMALFORMED);
    }
    *out = number;
    return YZ_OK;
}

int yzi_log_file_parse(yz_bytes name, struct log_file *out)
{
    struct log_file f = {.kind = LOG_FILE_CHECKPOINT, .width = TILE_WIDTH};
    yz_bytes rest = name;
    char again[LOG_FILE_NAME_MAX];
    if (!yzi_bytes_eq_str(name, "checkpoint")) {
        YZ_ENSURE(skip(&rest, "tile/"), YZ_EMALFORMED);
        f.kind = skip(&rest, "entries/") ? LOG_FILE_BUNDLE : LOG_FILE_TILE;
        if (f.kind == LOG_FILE_TILE) {
            YZ_ENSURE(rest.n > 2 && rest.p[0] >= '0' && rest.p[0] < '0' + (int)TILE_LEVELS,
                      YZ_EMALFORMED);
            f.level = rest.p[0] - '0';
            rest = yzi_bytes(rest.p + 1, rest.n - 1);
            YZ_ENSURE(skip(&rest, "/"), YZ_EMALFORMED);
        }
        YZ_TRY(parse_number(&rest, &f.number));
        if (skip(&rest, ".p/")) {
            uint64_t width;
            YZ_ENSURE(yzi_u64_parse(rest, TILE_WIDTH - 1, &width) == YZ_OK && width > 0,
                      YZ_EMALFORMED);
            f.width = (unsigned)width;
            rest.n = 0;
        }
        YZ_ENSURE(rest.n == 0, YZ_EMALFORMED);
    }
    yzi_log_file_name(&f, again);
    YZ_ENSURE(yzi_bytes_eq_str(name, again), YZ_EMALFORMED);
    *out = f;
    return YZ_OK;
}

/* -- writing -- */

static int fail_at(yz_error *err, const char *path)
{
    int code = errno;
    char reason[128];
    return yzi_fail(err, yzi_err_from_errno(code), "cannot write %s: %s", path,
                    strerror_r(code, reason, sizeof reason));
}

static int write_whole(int fd, yz_bytes b)
{
    while (b.n) {
        ssize_t n = write(fd, b.p, b.n);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        if (n > 0) {
            b = yzi_bytes(b.p + n, b.n - (size_t)n);
        }
    }
    return 0;
}

/* The folder a file goes to is made when it is missed. */
static int open_temp(const char *temp, const char *path, yz_error *err)
{
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
    int fd = open(temp, flags, 0644);
    if (fd < 0 && errno == ENOENT) {
        YZ_AUTO(yzi_free_ptr) char *folder = NULL;
        if (yzi_path_dir(path, &folder) < 0) {
            return yzi_fail(err, YZ_ENOMEM, "cannot write %s: out of memory", path);
        }
        YZ_TRY(yzi_dir_make(folder, 0755, err));
        fd = open(temp, flags, 0644);
    }
    return fd < 0 ? fail_at(err, temp) : fd;
}

static int sync_folder_of(const char *path, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *folder = NULL;
    if (yzi_path_dir(path, &folder) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "cannot write %s: out of memory", path);
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) != 0 ? fail_at(err, folder) : YZ_OK;
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

static int put_at(const struct log_files *s, const char *path, yz_bytes content, yz_error *err)
{
    char temp[4096 + 8];
    YZ_ENSURE(snprintf(temp, sizeof temp, "%s.new", path) < (int)sizeof temp, YZ_ELIMIT);
    int fd = open_temp(temp, path, err);
    YZ_TRY(fd);
    int rc = YZ_OK;
    if (write_whole(fd, content) != 0 || fchmod(fd, 0644) != 0 || (s->few && fsync(fd) != 0)) {
        rc = fail_at(err, temp);
    }
    if (close(fd) != 0 && rc == YZ_OK) {
        rc = fail_at(err, temp);
    }
    if (rc == YZ_OK && rename(temp, path) != 0) {
        rc = fail_at(err, path);
    }
    if (rc < 0) {
        unlink(temp);
        return rc;
    }
    return s->few ? sync_folder_of(path, err) : YZ_OK;
}

static int full_path(const char *dir, const struct log_file *f, char **out)
{
    char name[LOG_FILE_NAME_MAX];
    yzi_log_file_name(f, name);
    return yzi_path_join(dir, name, out);
}

int yzi_log_files_put(struct log_files *s, const struct log_file *f, yz_bytes content,
                      yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    if (full_path(s->dir, f, &path) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "%s: out of memory", s->dir);
    }
    YZ_TRY(put_at(s, path, content, err));
    s->written++;
    return YZ_OK;
}

int yzi_log_files_sync(struct log_files *s, yz_error *err)
{
    if (s->few || s->written == 0) {
        return YZ_OK;
    }
    int fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || syncfs(fd) != 0 ? fail_at(err, s->dir) : YZ_OK;
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

void yzi_log_files_drop_partial(const char *dir, const struct log_file *full)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    char folder[4096];
    if (full_path(dir, full, &path) < 0 ||
        snprintf(folder, sizeof folder, "%s.p", path) >= (int)sizeof folder) {
        return;
    }
    DIR *d = opendir(folder);
    if (!d) {
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(d)) != NULL) {
        if (entry->d_name[0] != '.') {
            unlinkat(dirfd(d), entry->d_name, 0);
        }
    }
    closedir(d);
    rmdir(folder);
}

int yzi_log_files_read(const char *dir, const struct log_file *f, yz_buf *out, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    if (full_path(dir, f, &path) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "%s: out of memory", dir);
    }
    return yzi_file_read(path, out, err);
}
