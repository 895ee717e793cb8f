/* SPDX-License-Identifier: Apache-2.0
 *
 * Generations. A store's folder holds
 *
 *     current     two lines, "yizhan store 2" and "generation N"; written atomically
 *     gN/         the environment in force
 *     gM/         one that is being loaded, or that a crash left behind
 *     owner.lock  held for as long as the store is open
 *
 * Switching is the writing of `current`: before it a crash leaves the old generation in force and
 * the new one as a leftover, after it the other way round. What is not in force is removed by the
 * next start, never read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/dataset/store_impl.h"
#include "base/file.h"
#include "base/text.h"

#define CURRENT_HEAD "yizhan store 2\ngeneration "
#define CURRENT_MAX 128u
#define FORMER_DATA "data.mdb" /* where the format before generations had its records */
/* records, meta, the indexes of the definition, and those it has no longer */
#define DATABASES (2u + 3u * DATASET_INDEXES_MAX)

/* Memory in which deferred entries of all indexes are sorted, and bytes of them in a transaction.
 */
#define DEFERRED_MEMORY ((size_t)8 * 1024 * 1024)
#define PUT_BYTES ((size_t)12 * 1024 * 1024)
#define ENTRY_OVERHEAD 16u

/* -- the file that names the generation in force -- */

static int parse_current(yz_bytes text, uint64_t *out)
{
    size_t head = strlen(CURRENT_HEAD);
    YZ_ENSURE(text.n > head + 1 && memcmp(text.p, CURRENT_HEAD, head) == 0, YZ_ECORRUPT);
    YZ_ENSURE(text.p[text.n - 1] == '\n', YZ_ECORRUPT);
    yz_bytes number = yzi_bytes(text.p + head, text.n - head - 1);
    YZ_ENSURE(yzi_u64_parse(number, UINT64_MAX - 1, out) == 0 && *out > 0, YZ_ECORRUPT);
    return 0;
}

/* YZ_ENOTFOUND: a store that was never made. */
static int read_current(const struct store *s, uint64_t *out, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_AUTO(yzi_buf_fini) yz_buf text = {0};
    YZ_TRY(yzi_path_join(s->dir, STORE_CURRENT, &path));
    yzi_buf_init(&text, CURRENT_MAX);
    YZ_TRY(yzi_file_read(path, &text, err));
    if (parse_current(yzi_bytes_buf(&text), out) < 0) {
        return yzi_fail(err, YZ_ECORRUPT,
                        "%s: does not name a generation; restore the store from a backup", path);
    }
    return 0;
}

int yzi_generation_name_first(const char *dir, uint64_t number, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    char text[CURRENT_MAX];
    YZ_TRY(yzi_path_join(dir, STORE_CURRENT, &path));
    snprintf(text, sizeof text, CURRENT_HEAD "%" PRIu64 "\n", number);
    return yzi_file_write(path, yzi_bytes_str(text), 0600, err);
}

static int write_current(const struct store *s, uint64_t number, yz_error *err)
{
    return yzi_generation_name_first(s->dir, number, err);
}

static int generation_path(const struct store *s, uint64_t number, char **out)
{
    char name[32];
    snprintf(name, sizeof name, "g%" PRIu64, number);
    return yzi_path_join(s->dir, name, out);
}

/* -- removing -- */

/* What an environment's folder holds, nothing else: a folder with anything more is left alone. */
void yzi_generation_remove_folder(const char *dir)
{
    static const char *const files[] = {"data.mdb", "lock.mdb", "owner.lock", SORTER_FILE};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        YZ_AUTO(yzi_free_ptr) char *path = NULL;
        if (yzi_path_join(dir, files[i], &path) == 0) {
            yz_ignore(unlink(path), "what stays is tried again by the next start");
        }
    }
    yz_ignore(rmdir(dir), "what stays is tried again by the next start");
}

static bool is_generation(const char *name, uint64_t *number)
{
    return name[0] == 'g' && yzi_u64_parse(yzi_bytes_str(name + 1), UINT64_MAX - 1, number) == 0;
}

static int remove_leftovers(struct store *s, uint64_t in_force)
{
    DIR *d = opendir(s->dir);
    YZ_ENSURE(d, yzi_err_from_errno(errno));
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;) {
        uint64_t number;
        if (is_generation(e->d_name, &number) && number != in_force) {
            YZ_AUTO(yzi_free_ptr) char *path = NULL;
            rc = yzi_path_join(s->dir, e->d_name, &path);
            if (rc == 0) {
                yzi_generation_remove_folder(path);
                s->removed++;
                s->unfinished += number > in_force; /* a lower one was in force before */
            }
        }
    }
    closedir(d);
    return rc;
}

/* -- opening and closing one -- */

void yzi_generation_close(struct generation *g)
{
    if (!g) {
        return;
    }
    if (!g->successor && !g->former) {
        yzi_db_close(g->env);
    }
    for (size_t i = 0; i < DATASET_INDEXES_MAX; i++) {
        yzi_sorter_free(g->deferred[i]);
        yzi_buf_fini(&g->indexes[i].done);
    }
    yzi_key_set_unref(&g->keys);
    pthread_mutex_destroy(&g->seen_lock);
    yzi_dataset_unref(g->layout.dataset);
    free(g->dir);
    free(g);
}

static int open_env(struct generation *g, yz_error *err)
{
    struct db_options db = {.path = g->dir, .databases = DATABASES, .read_only = g->read_only};
    YZ_TRY(yzi_db_open(&db, &g->env, err));
    YZ_TRY(yzi_db_handle(g->env, "records", DB_PLAIN, &g->records));
    return yzi_db_handle(g->env, "meta", DB_PLAIN, &g->meta);
}

/* Of a data set without sensitive fields, whose rows need none. */
static const struct store_keys no_keys;

static int new_generation(struct store *s, const struct dataset *d, uint64_t number,
                          struct generation **out)
{
    struct generation *g;
    YZ_TRY(yzi_alloc(1, sizeof *g, &g));
    g->store = s;
    g->number = number;
    g->read_only = s->read_only;
    g->refs = 1;
    pthread_mutex_init(&g->seen_lock, NULL);
    atomic_store(&g->superseded, UINT64_MAX);
    g->layout.dataset = yzi_dataset_ref(d);
    g->layout.keys = &no_keys;
    for (size_t i = 0; i < DATASET_INDEXES_MAX; i++) {
        yzi_buf_init(&g->indexes[i].done, YZ_DB_KEY_MAX);
    }
    int rc = generation_path(s, number, &g->dir);
    if (rc < 0) {
        yzi_generation_close(g);
        return rc;
    }
    *out = g;
    return 0;
}

/* `keys`: as yzi_schema_adopt takes it. */
static int open_generation(struct store *s, uint64_t number, struct key_set *keys,
                           struct generation **out, yz_error *err)
{
    struct generation *g;
    YZ_TRY(new_generation(s, s->dataset, number, &g));
    g->keys = yzi_key_set_ref(keys);
    int rc = open_env(g, err);
    if (rc == 0) {
        rc = yzi_schema_adopt(g, s->dir, err);
    }
    if (rc < 0) {
        yzi_generation_close(g);
        return rc;
    }
    *out = g;
    return 0;
}

int yzi_generation_again(struct generation *of, const struct dataset *d, struct generation **out)
{
    struct generation *g;
    YZ_TRY(new_generation(of->store, d, of->number, &g));
    g->former = of;
    g->keys = yzi_key_set_ref(of->keys);
    g->env = of->env;
    g->records = of->records;
    g->meta = of->meta;
    *out = g;
    return 0;
}

/* -- the one in force -- */

static int refuse_former(const struct store *s, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_TRY(yzi_path_join(s->dir, FORMER_DATA, &path));
    if (yzi_file_exists(path)) {
        return yzi_fail(err, YZ_ECONFIG,
                        "%s: the store has format 1, this version knows 2; import everything into "
                        "a new store folder",
                        s->dir);
    }
    return 0;
}

/* The first generation of a new store. A crash before `current` is there leaves g1, begun anew. */
static int make_first(struct store *s, yz_error *err)
{
    YZ_TRY(refuse_former(s, err));
    YZ_TRY(remove_leftovers(s, 0));
    s->removed = s->unfinished = 0; /* there was nothing in them that anyone was told of */
    struct generation *g;
    YZ_TRY(open_generation(s, 1, NULL, &g, err));
    int rc = write_current(s, 1, err);
    if (rc < 0) {
        yzi_generation_close(g);
        return rc;
    }
    s->current = g;
    return 0;
}

/* Opening would make an empty one. */
static int check_is_there(const struct store *s, uint64_t number, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    YZ_AUTO(yzi_free_ptr) char *data = NULL;
    YZ_TRY(generation_path(s, number, &dir));
    YZ_TRY(yzi_path_join(dir, FORMER_DATA, &data));
    return yzi_file_exists(data)
               ? 0
               : yzi_fail(
                     err, YZ_ECORRUPT,
                     "%s: is the generation in force, and is not there; restore the store from "
                     "a backup",
                     data);
}

int yzi_generation_open_current(struct store *s, yz_error *err)
{
    uint64_t number;
    yz_error inner = {0};
    int rc = read_current(s, &number, &inner);
    if (rc == YZ_ENOTFOUND && !s->read_only) {
        return make_first(s, err);
    }
    if (rc < 0) {
        return yzi_fail(err, rc, "%s", inner.text[0] ? inner.text : yz_err_words(rc));
    }
    YZ_TRY(check_is_there(s, number, err));
    YZ_TRY(open_generation(s, number, NULL, &s->current, err));
    YZ_ENSURE(!s->read_only, 0);
    YZ_TRY(remove_leftovers(s, number));
    yz_ignore(yzi_generation_tidy_keys(s), "it is told by the store's state");
    s->keys_found = s->keys_destroyed;
    return 0;
}

/* Not while the disk may name another generation, whose key is needed then. */
int yzi_generation_tidy_keys(struct store *s)
{
    int rc = 0;
    if (s->current->keys && !s->unsettled) {
        rc = yzi_key_set_destroy_others(s, s->current->keys->id, &s->keys_destroyed);
        atomic_store(&s->key_left, rc < 0);
    }
    return rc;
}

/* Any thread: a retired one is not the writer's any more, whose members of the store are not looked
 * at. */
static void remove_generation(struct generation *g)
{
    YZ_AUTO(yzi_free_ptr) char *dir = YZ_TAKE(g->dir);
    yzi_generation_close(g);
    yzi_generation_remove_folder(dir);
}

struct generation *yzi_generation_pin(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    struct generation *g = s->current;
    g->refs++;
    pthread_mutex_unlock(&s->lock);
    return g;
}

int yzi_generation_pin_by(struct store *s, const struct dataset *d, struct generation **out)
{
    struct generation *g = yzi_generation_pin(s);
    if (g->layout.dataset != d) {
        yzi_generation_unpin(&g);
        return YZ_EAGAIN;
    }
    *out = g;
    return 0;
}

/* Let go of it; the next to let go of, or NULL. Only the switch retires and only a change of the
 * definition gives a successor, both before their reference goes. */
static struct generation *let_go(struct generation *g)
{
    struct store *s = g->store;
    pthread_mutex_lock(&s->lock);
    bool last = --g->refs == 0;
    struct generation *successor = g->successor;
    pthread_mutex_unlock(&s->lock);
    if (last && successor) {
        yzi_generation_close(g);
        return successor;
    }
    if (last && g->retired) {
        remove_generation(g);
    }
    return NULL;
}

void yzi_generation_unpin(struct generation **g)
{
    for (struct generation *mine = YZ_TAKE(*g); mine;) {
        mine = let_go(mine);
    }
}

int yzi_generation_sequence(struct generation *g, struct db_txn *t, uint64_t *out)
{
    uint64_t commit = yzi_db_txn_id(t);
    YZ_ENSURE(commit < atomic_load(&g->superseded), YZ_EAGAIN);
    pthread_mutex_lock(&g->seen_lock);
    bool seen = commit != 0 && g->seen_commit == commit;
    uint64_t sequence = g->seen_sequence;
    pthread_mutex_unlock(&g->seen_lock);
    if (!seen) {
        YZ_TRY(yzi_store_meta_get(t, g->meta, META_SEQUENCE, &sequence));
        pthread_mutex_lock(&g->seen_lock);
        if (commit > g->seen_commit) {
            g->seen_commit = commit;
            g->seen_sequence = sequence;
        }
        pthread_mutex_unlock(&g->seen_lock);
    }
    *out = sequence;
    return 0;
}

/* -- loading another -- */

static int copy_sequence(struct generation *from, struct generation *to)
{
    uint64_t sequence;
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(yzi_db_begin_read(from->env, &t));
    YZ_TRY(yzi_store_meta_get(t, from->meta, META_SEQUENCE, &sequence));
    yzi_db_abort(&t);
    YZ_TRY(yzi_db_begin_write(to->env, &t));
    YZ_TRY(yzi_store_meta_put(t, to->meta, META_SEQUENCE, sequence));
    return yzi_db_commit(&t);
}

/* A folder nobody is in: one left by a failure to remove it is removed now. */
static int clear_way(struct store *s, uint64_t number)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_TRY(generation_path(s, number, &path));
    yzi_generation_remove_folder(path);
    YZ_ENSURE(!yzi_file_exists(path), YZ_EIO);
    return 0;
}

static int copy_file(struct generation *from, uint64_t number, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_TRY(generation_path(from->store, number, &path));
    YZ_TRY(yzi_dir_make(path, 0700, err));
    int rc = yzi_db_copy(from->env, path);
    if (rc < 0) {
        yzi_generation_remove_folder(path);
    }
    return rc;
}

/* An empty or copied one, open, but not loading yet. */
static int prepare(struct store *s, enum generation_start start, struct generation *from,
                   struct generation **out, yz_error *err)
{
    YZ_AUTO(yzi_key_set_unref) struct key_set *keys = NULL;
    uint64_t number = from->number + 1;
    YZ_TRY(clear_way(s, number));
    YZ_TRY(start == GENERATION_COPY ? copy_file(from, number, err) : 0);
    if (start == GENERATION_REKEYED) {
        YZ_TRY(yzi_key_set_make(s, &keys, err));
    } else {
        keys = yzi_key_set_ref(from->keys);
    }
    return open_generation(s, number, keys, out, err);
}

int yzi_generation_begin(struct store *s, enum generation_start start, struct generation **out,
                         yz_error *err)
{
    YZ_ENSURE(!s->read_only, YZ_EINVAL);
    YZ_ENSURE(!s->loading, YZ_EBUSY);
    YZ_TRY(yzi_generation_settle(s, err));
    YZ_AUTO(yzi_generation_unpin) struct generation *from = yzi_generation_pin(s);
    struct generation *g;
    int prepared = prepare(s, start, from, &g, err);
    if (prepared < 0 && start == GENERATION_REKEYED) {
        yz_ignore(yzi_generation_tidy_keys(s), "what stays the next start destroys");
    }
    YZ_TRY(prepared);
    s->loading = g;
    int rc = copy_sequence(from, g);
    if (rc < 0) {
        yzi_generation_drop(&g);
        return rc;
    }
    *out = g;
    return 0;
}

void yzi_generation_drop(struct generation **g)
{
    struct generation *mine = *g;
    *g = NULL;
    if (!mine) {
        return;
    }
    YZ_AUTO(yzi_free_ptr) char *dir = YZ_TAKE(mine->dir);
    struct store *s = mine->store;
    bool keep = s->unsettled && s->loading == mine;
    if (s->loading == mine) {
        s->loading = NULL;
    }
    yzi_generation_close(mine);
    if (!keep) {
        yzi_generation_remove_folder(dir);
        yz_ignore(yzi_generation_tidy_keys(s), "what stays the next start destroys");
    }
}

int yzi_generation_defer_indexes(struct generation *g)
{
    const struct dataset *d = g->layout.dataset;
    uint64_t records;
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(yzi_db_begin_read(g->env, &t));
    YZ_TRY(yzi_db_count(t, g->records, &records));
    YZ_ENSURE(records == 0 && !g->read_only, YZ_EINVAL);
    for (size_t i = 0; i < d->indexes_n; i++) {
        if (!d->indexes[i].unique) {
            size_t share = DEFERRED_MEMORY / d->indexes_n;
            YZ_TRY(yzi_sorter_new(g->dir, share, &g->deferred[i]));
        }
    }
    return 0;
}

/* A piece of an index's entries, in one transaction; YZ_ENOTFOUND when there are no more. */
static int put_entries(struct generation *g, size_t i)
{
    yz_bytes entry, key;
    size_t bytes = 0;
    int rc;
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(yzi_db_begin_write(g->env, &t));
    while ((rc = yzi_sorter_next(g->deferred[i], &entry, &key)) == 0) {
        YZ_TRY(yzi_db_put(t, g->indexes[i].db, entry, key, DB_PUT_ANY));
        bytes += entry.n + key.n + ENTRY_OVERHEAD;
        g->deferred_put++;
        if (bytes > PUT_BYTES) {
            return yzi_db_commit(&t);
        }
    }
    YZ_ENSURE(rc == YZ_ENOTFOUND, rc);
    YZ_TRY(yzi_db_commit(&t));
    return YZ_ENOTFOUND;
}

int yzi_generation_put_deferred(struct generation *g)
{
    for (size_t i = 0; i < DATASET_INDEXES_MAX; i++) {
        int rc = g->deferred[i] ? put_entries(g, i) : YZ_ENOTFOUND;
        YZ_ENSURE(rc == YZ_ENOTFOUND, rc);
        yzi_sorter_free(g->deferred[i]);
        g->deferred[i] = NULL;
    }
    return YZ_ENOTFOUND;
}

void yzi_generation_put_so_far(const struct generation *g, struct work_progress *out)
{
    *out = (struct work_progress){PHASE_INDEX, g->deferred_put, g->deferred_put, g->deferred_n};
}

static int put_all_deferred(struct generation *g)
{
    int rc;
    do {
        rc = yzi_generation_put_deferred(g);
    } while (rc == 0);
    return rc == YZ_ENOTFOUND ? 0 : rc;
}

/* The commits made the file's bytes durable, this its name. */
static int sync_folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    YZ_ENSURE(fd >= 0, yzi_err_from_errno(errno));
    int rc = fsync(fd) == 0 ? 0 : yzi_err_from_errno(errno);
    close(fd);
    return rc;
}

int yzi_generation_settle(struct store *s, yz_error *err)
{
    if (s->unsettled) {
        YZ_TRY(write_current(s, s->current->number, err));
        s->unsettled = false;
        if (!s->loading) { /* of a switch that was given up: nobody can come back to its key */
            yz_ignore(yzi_generation_tidy_keys(s), "what stays the next start destroys");
        }
    }
    return yzi_definition_settle(s, err);
}

int yzi_generation_publish(struct generation **g, yz_error *err)
{
    struct store *s = (*g)->store;
    YZ_TRY(put_all_deferred(*g));
    YZ_TRY(sync_folder((*g)->dir));
    YZ_TRY(sync_folder(s->dir));
    int rc = write_current(s, (*g)->number, err);
    if (rc < 0) { /* perhaps written, perhaps not: take it back, or leave both to the next start */
        s->unsettled = true;
        yz_ignore(yzi_generation_settle(s, NULL), "tried again before the next write");
        return rc;
    }
    s->loading = NULL;
    pthread_mutex_lock(&s->lock);
    struct generation *old = s->current;
    s->current = YZ_TAKE(*g);
    old->retired = true;
    pthread_mutex_unlock(&s->lock);
    yzi_generation_unpin(&old);
    return 0;
}
