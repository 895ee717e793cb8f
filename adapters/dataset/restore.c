/* SPDX-License-Identifier: Apache-2.0
 *
 * Putting a backup (yzi_store_backup) where a store was: as the one generation of a folder that has
 * none. Its number is one that no generation had before, so that no cursor of what was there before
 * goes on in what is there now.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "adapters/dataset/store_impl.h"
#include "base/clock.h"
#include "base/file.h"

#define COPY_BYTES 65536u
#define MILLISECONDS 1000u

static int copy(int from, int to)
{
    YZ_AUTO(yzi_free_ptr) uint8_t *piece = NULL;
    off_t at = 0;
    YZ_TRY(yzi_alloc(COPY_BYTES, 1, &piece));
    for (ssize_t n; (n = pread(from, piece, COPY_BYTES, at)) != 0; at += n) {
        YZ_ENSURE(n > 0, yzi_err_from_errno(errno));
        for (ssize_t done = 0, w; done < n; done += w) {
            w = pwrite(to, piece + done, (size_t)(n - done), at + done);
            YZ_ENSURE(w > 0, w == 0 ? YZ_EIO : yzi_err_from_errno(errno));
        }
    }
    return fsync(to) == 0 ? 0 : yzi_err_from_errno(errno);
}

static int copy_to(int from, const char *dir)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_TRY(yzi_path_join(dir, "data.mdb", &path));
    int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    YZ_ENSURE(to >= 0, yzi_err_from_errno(errno));
    int rc = copy(from, to);
    close(to);
    return rc;
}

/* Whether it is a store's file at all; whether it is this data set's, the adapter says. */
static int check(const char *dir, yz_error *err)
{
    const struct db_options o = {.path = dir, .databases = 2, .read_only = true};
    struct db_env *env = NULL;
    db_handle records;
    int rc = yzi_db_open(&o, &env, err);
    rc = rc == 0 ? yzi_db_handle(env, "records", DB_PLAIN, &records) : rc;
    yzi_db_close(env);
    return rc == 0 ? 0 : yzi_fail(err, YZ_ECORRUPT, "that is no backup of a data set");
}

static int restore(const char *dir, int fd, uint64_t number, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *generation = NULL;
    char name[32];
    snprintf(name, sizeof name, "g%" PRIu64, number);
    YZ_TRY(yzi_path_join(dir, name, &generation));
    YZ_TRY(yzi_dir_make(generation, 0700, err));
    int rc = copy_to(fd, generation);
    if (rc < 0) {
        rc = yzi_fail(err, rc, "%s: could not be written (%s)", generation, yz_err_words(rc));
    }
    rc = rc == 0 ? check(generation, err) : rc;
    rc = rc == 0 ? yzi_generation_name_first(dir, number, err) : rc;
    if (rc < 0) {
        yzi_generation_remove_folder(generation);
    }
    return rc;
}

int yzi_store_restore(const char *dir, int fd, const struct clock *clock, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *lock = NULL;
    YZ_AUTO(yzi_free_ptr) char *current = NULL;
    int lock_fd;
    YZ_TRY(yzi_dir_make(dir, 0700, err));
    YZ_TRY(yzi_path_join(dir, STORE_LOCK, &lock));
    YZ_TRY(yzi_path_join(dir, STORE_CURRENT, &current));
    int rc = yzi_file_lock(lock, &lock_fd, err);
    if (rc == YZ_EBUSY) {
        return yzi_fail(err, rc, "%s: an adapter that runs has this data set open; stop it first",
                        dir);
    }
    YZ_TRY(rc);
    rc =
        yzi_file_exists(current)
            ? yzi_fail(err, YZ_EEXIST,
                       "%s: there is a store; move it away if the backup is to take its place", dir)
            : restore(dir, fd, yzi_wall_ms(clock) / MILLISECONDS, err);
    close(lock_fd);
    return rc;
}
