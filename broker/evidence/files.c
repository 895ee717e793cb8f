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
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

/* -- names -- */

static struct tile_name tile_of(const struct log_file *f)
{
    return (struct tile_name){.entries = f->kind == LOG_FILE_BUNDLE,
                              .level = f->kind == LOG_FILE_TILE ? f->level : 0,
                              .index = f->number,
                              .width = f->width};
}

void yzi_log_file_name(const struct log_file *f, char out[LOG_FILE_NAME_MAX])
{
    struct tile_name t = tile_of(f);
    if (f->kind == LOG_FILE_CHECKPOINT) {
        snprintf(out, LOG_FILE_NAME_MAX, "checkpoint");
    } else {
        yzi_tile_path(&t, out);
    }
}

int yzi_log_file_parse(yz_bytes name, struct log_file *out)
{
    struct tile_name t;
    if (yzi_bytes_eq_str(name, "checkpoint")) {
        *out = (struct log_file){.kind = LOG_FILE_CHECKPOINT};
        return YZ_OK;
    }
    YZ_TRY(yzi_tile_path_parse(name, &t));
    *out = (struct log_file){.kind = t.entries ? LOG_FILE_BUNDLE : LOG_FILE_TILE,
                             .level = t.level,
                             .number = t.index,
                             .width = t.width};
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
