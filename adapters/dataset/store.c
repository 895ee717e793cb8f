/* SPDX-License-Identifier: Apache-2.0
 *
 * A store: the folder's lock, and the generation in force.
 */
#include "adapters/dataset/store_impl.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

/* -- opening -- */

static int lock_folder(struct store *s, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    if (!s->read_only) {
        YZ_TRY(yzi_dir_make(s->dir, 0700, err));
    } else if (!yzi_file_exists(s->dir)) {
        return yzi_fail(err, YZ_ENOTFOUND, "%s: there is no store", s->dir);
    }
    YZ_TRY(yzi_path_join(s->dir, STORE_LOCK, &path));
    return yzi_file_lock(path, &s->lock_fd, err);
}

static int open_store(struct store *s, const struct store_options *o, yz_error *err)
{
    YZ_TRY(yzi_bytes_dup_str(yzi_bytes_str(o->dir), &s->dir));
    if (o->keys_dir) {
        YZ_TRY(yzi_bytes_dup_str(yzi_bytes_str(o->keys_dir), &s->keys_dir));
    }
    YZ_TRY(lock_folder(s, err));
    return yzi_generation_open_current(s, err);
}

int yzi_store_open(const struct store_options *o, struct store **out, yz_error *err)
{
    if (o->dataset->has_sensitive && !o->storage_key) {
        return yzi_fail(err, YZ_EINVAL,
                        "%s: the data set '%s' has sensitive fields and needs a storage key",
                        o->dir, o->dataset->name);
    }
    YZ_TRY(yzi_sodium_init());
    struct store *s;
    YZ_TRY(yzi_alloc(1, sizeof *s, &s));
    atomic_store(&s->refs, 1);
    s->dataset = yzi_dataset_ref(o->dataset);
    s->read_only = o->read_only;
    s->storage_key = o->storage_key;
    s->clock = o->clock ? o->clock : &yzi_clock_system;
    s->lock_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    if (err) {
        *err = (yz_error){0};
    }
    int rc = open_store(s, o, err);
    if (rc < 0) {
        yzi_store_close(s);
        if (err && err->code == 0) {
            return yzi_fail(err, rc, "%s: cannot open the store (%s)", o->dir, yz_err_words(rc));
        }
        return rc;
    }
    *out = s;
    return 0;
}

struct store *yzi_store_ref(struct store *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void yzi_store_close(struct store *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) > 1) {
        return;
    }
    yzi_generation_drop(&s->loading);
    if (s->current) {
        YZ_ASSERT(s->current->refs == 1);
        yzi_generation_close(s->current);
    }
    yzi_dataset_unref(s->pending);
    yzi_dataset_unref(s->dataset);
    if (s->lock_fd >= 0) {
        close(s->lock_fd);
    }
    pthread_mutex_destroy(&s->lock);
    free(s->keys_dir);
    free(s->dir);
    free(s);
}

/* -- what is in it -- */

const struct dataset *yzi_store_dataset(const struct store *s)
{
    return s->dataset;
}

int yzi_store_settle(struct store *s, yz_error *err)
{
    return s->read_only ? 0 : yzi_generation_settle(s, err);
}

const struct dataset *yzi_store_ref_dataset(struct store *s)
{
    YZ_AUTO(yzi_generation_unpin) struct generation *g = yzi_generation_pin(s);
    return yzi_dataset_ref(g->layout.dataset);
}

static int read_state(struct generation *g, struct store_state *out)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(yzi_db_begin_read(g->env, &t));
    YZ_TRY(yzi_store_meta_get(t, g->meta, META_SEQUENCE, &out->sequence));
    return yzi_db_count(t, g->records, &out->records);
}

int yzi_store_state(struct store *s, struct store_state *out)
{
    YZ_AUTO(yzi_generation_unpin) struct generation *g = yzi_generation_pin(s);
    *out = (struct store_state){.generation = g->number,
                                .removed = s->removed,
                                .unfinished = s->unfinished,
                                .keys_found = s->keys_found,
                                .key_left = atomic_load(&s->key_left),
                                .has_key = g->keys != NULL};
    if (g->keys) {
        out->key_since = g->keys->since;
        memcpy(out->key_id, g->keys->id, sizeof out->key_id);
    }
    for (size_t i = 0; i < g->layout.dataset->indexes_n; i++) {
        int state = atomic_load(&g->indexes[i].state);
        out->indexes_building += state == INDEX_BUILDING;
        out->indexes_broken += state == INDEX_BROKEN;
    }
    return read_state(g, out);
}

int yzi_store_sequence(struct store *s, uint64_t *out)
{
    struct store_state state;
    YZ_TRY(yzi_store_state(s, &state));
    *out = state.sequence;
    return 0;
}

int yzi_store_count(struct store *s, uint64_t *out)
{
    struct store_state state;
    YZ_TRY(yzi_store_state(s, &state));
    *out = state.records;
    return 0;
}

/* -- backups -- */

/* The state is as of a moment before: what is told with the file. */
int yzi_store_backup(struct store *s, int fd, struct store_state *out, yz_error *err)
{
    YZ_TRY(yzi_store_state(s, out));
    YZ_AUTO(yzi_generation_unpin) struct generation *g = yzi_generation_pin(s);
    int rc = yzi_db_copy_fd(g->env, fd);
    if (rc == 0 && fsync(fd) != 0) {
        rc = yzi_err_from_errno(errno);
    }
    return rc == 0 ? 0
                   : yzi_fail(err, rc, "the backup of '%s' could not be written (%s)",
                              s->dataset->name, yz_err_words(rc));
}
