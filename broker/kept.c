/* SPDX-License-Identifier: Apache-2.0
 *
 * state/offers/<subsystem, '/' written as '+'>.offer, each a raw record.
 */
#include "broker/kept.h"

#include <dirent.h>
#include <errno.h>

#include "base/file.h"

static int folder(const struct broker *b, char **out)
{
    return yzi_path_join(b->config->home, "state/offers", out);
}

static int path_of(const struct broker *b, yz_bytes subsystem, char **out, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    YZ_TRY(folder(b, &dir));
    YZ_TRY(yzi_dir_make(dir, 0700, err));
    char name[YZ_ID_MAX + 16];
    YZ_ENSURE(subsystem.n <= YZ_ID_MAX, YZ_EINVAL);
    for (size_t i = 0; i < subsystem.n; i++) {
        name[i] = subsystem.p[i] == '/' ? '+' : (char)subsystem.p[i];
    }
    snprintf(name + subsystem.n, sizeof name - subsystem.n, ".offer");
    return yzi_path_join(dir, name, out);
}

static int write_offer(const struct broker *b, yz_bytes subsystem, yz_bytes record, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_TRY(path_of(b, subsystem, &path, err));
    return yzi_file_write_cached(path, record, 0600, err);
}

void yzi_kept_offer(struct broker *b, const struct offer *offer, yz_bytes record)
{
    yz_error err = {0};
    int rc = write_offer(b, offer->subsystem.v, record, &err);
    if (rc < 0) {
        err.code = rc;
        yzi_log_error(&EV_KEEP_FAILED, &err,
                      (struct log_field[]){log_bytes("subsystem", offer->subsystem.v), {0}});
    }
}

static int load_one(struct broker *b, const char *path, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf record;
    yzi_buf_init(&record, YZ_RECORD_MAX);
    YZ_TRY(yzi_file_read(path, &record, err));
    return yzi_offers_put(b->offers, yzi_bytes_buf(&record), b->directory, b->wall, err);
}

static bool is_offer_file(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && strcmp(dot, ".offer") == 0;
}

static void refused(const char *file, int rc, yz_error *err)
{
    err->code = rc;
    yzi_log_error(&EV_RECORD_REFUSED, err, (struct log_field[]){log_str("file", file), {0}});
}

void yzi_kept_load(struct broker *b)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    yz_error err = {0};
    if (!b->directory) {
        return;
    }
    int rc = folder(b, &dir);
    DIR *d = rc == YZ_OK ? opendir(dir) : NULL;
    if (!d) {
        rc = rc < 0 ? rc : yzi_err_from_errno(errno);
        if (rc != YZ_ENOTFOUND) { /* otherwise nothing was kept yet */
            refused("state/offers", rc, &err);
        }
        return;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        YZ_AUTO(yzi_free_ptr) char *path = NULL;
        if (!is_offer_file(e->d_name)) {
            continue;
        }
        err = (yz_error){0};
        rc = yzi_path_join(dir, e->d_name, &path);
        rc = rc < 0 ? rc : load_one(b, path, &err);
        if (rc < 0 && rc != YZ_EEXIST) {
            refused(e->d_name, rc, &err);
        }
    }
    closedir(d);
}
