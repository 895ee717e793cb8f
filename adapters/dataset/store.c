/* SPDX-License-Identifier: Apache-2.0
 *
 * A store: the folder's lock, the subkeys, and the generation in force.
 */
#include "adapters/dataset/store_impl.h"

#include <sodium.h>
#include <unistd.h>

#include "base/file.h"

#define LOCK_NAME "owner.lock"
#define SUBKEYS 3u

enum { SUBKEY_SEAL = 1, SUBKEY_HASH = 2, SUBKEY_CHECK = 3, SUBKEY_INDEX = 4 };
static const char kdf_context[crypto_kdf_CONTEXTBYTES] = {'y', 'z', 's', 't', 'o', 'r', 'e', '1'};

/* -- subkeys -- */

/* Three subkeys in one secret; the check value is a fourth, which says nothing about the others. */
static int derive_subkeys(struct store *s, yz_secret *storage_key)
{
    static const uint64_t ids[SUBKEYS] = {SUBKEY_SEAL, SUBKEY_HASH, SUBKEY_INDEX};
    YZ_ENSURE(storage_key->n == crypto_kdf_KEYBYTES, YZ_EINVAL);
    uint8_t sub[SUBKEYS * STORE_SUBKEY_BYTES];
    const uint8_t *key = yzi_secret_open(storage_key);
    int rc = crypto_kdf_derive_from_key(s->key_check, STORE_SUBKEY_BYTES, SUBKEY_CHECK, kdf_context,
                                        key);
    for (size_t i = 0; i < SUBKEYS; i++) {
        rc |= crypto_kdf_derive_from_key(sub + i * STORE_SUBKEY_BYTES, STORE_SUBKEY_BYTES, ids[i],
                                         kdf_context, key);
    }
    yzi_secret_close(storage_key);
    int copied = rc == 0 ? yzi_secret_copy(&s->subkeys, yzi_bytes(sub, sizeof sub)) : YZ_EINTERNAL;
    sodium_memzero(sub, sizeof sub);
    YZ_TRY(copied);
    s->keys.seal = yzi_secret_open(&s->subkeys); /* until close: any thread reads them */
    s->keys.hash = s->keys.seal + STORE_SUBKEY_BYTES;
    s->keys.index = s->keys.hash + STORE_SUBKEY_BYTES;
    return 0;
}

/* -- opening -- */

static int lock_folder(struct store *s, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    if (!s->read_only) {
        YZ_TRY(yzi_dir_make(s->dir, 0700, err));
    } else if (!yzi_file_exists(s->dir)) {
        return yzi_fail(err, YZ_ENOTFOUND, "%s: there is no store", s->dir);
    }
    YZ_TRY(yzi_path_join(s->dir, LOCK_NAME, &path));
    return yzi_file_lock(path, &s->lock_fd, err);
}

static int open_store(struct store *s, const struct store_options *o, yz_error *err)
{
    YZ_TRY(yzi_bytes_dup_str(yzi_bytes_str(o->dir), &s->dir));
    if (o->dataset->has_sensitive) {
        YZ_TRY(derive_subkeys(s, o->storage_key));
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
    s->dataset = o->dataset;
    s->read_only = o->read_only;
    s->lock_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    if (err) {
        *err = (yz_error){0};
    }
    int rc = open_store(s, o, err);
    if (rc < 0) {
        yzi_store_close(s);
        if (err && err->code == 0) {
            return yzi_fail(err, rc, "%s: cannot open the store (%s)", o->dir, yz_err_name(rc));
        }
        return rc;
    }
    *out = s;
    return 0;
}

void yzi_store_close(struct store *s)
{
    if (!s) {
        return;
    }
    yzi_generation_drop(&s->loading);
    if (s->current) {
        YZ_ASSERT(s->current->refs == 1);
        yzi_generation_close(s->current);
    }
    if (s->keys.seal) {
        yzi_secret_close(&s->subkeys);
    }
    yzi_secret_fini(&s->subkeys);
    if (s->lock_fd >= 0) {
        close(s->lock_fd);
    }
    pthread_mutex_destroy(&s->lock);
    free(s->dir);
    free(s);
}

/* -- what is in it -- */

const struct dataset *yzi_store_dataset(const struct store *s)
{
    return s->dataset;
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
    *out = (struct store_state){
        .generation = g->number, .removed = s->removed, .unfinished = s->unfinished};
    for (size_t i = 0; i < s->dataset->indexes_n; i++) {
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
