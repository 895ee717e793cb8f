/* SPDX-License-Identifier: Apache-2.0
 *
 * Changing the definition of an open store.
 *
 * The file stays, and with it its environment, which a process must not open twice. So a second
 * struct generation is made for the same environment, with the layout and the indexes of the new
 * definition; one transaction brings the file up to date; then it takes the place of the former.
 * Queries that began with the former one go on with its layout, on what they see: it holds the
 * environment by a reference to its successor. One whose transaction begins behind the commit sees
 * what it could misread (rows with more fields, an index that was emptied), knows by the commit's
 * number, and is judged again by the definition in force (YZ_EAGAIN). Only the writer thread gets
 * here, so nothing is written by the former definition any more.
 */
#include "adapters/dataset/store_impl.h"

static bool has_broken_index(const struct generation *g)
{
    for (size_t i = 0; i < g->layout.dataset->indexes_n; i++) {
        if (atomic_load(&g->indexes[i].state) == INDEX_BROKEN) {
            return true;
        }
    }
    return false;
}

static int check(const struct store *s, const struct dataset *d, yz_error *err)
{
    if (s->read_only) {
        return yzi_fail(err, YZ_EINVAL, "%s: the store is open for reading only", s->dir);
    }
    if (d->has_sensitive && !s->storage_key) {
        return yzi_fail(err, YZ_EINVAL,
                        "%s: the data set '%s' gains sensitive fields and needs a storage key",
                        s->dir, d->name);
    }
    return 0;
}

/* Put it in force. The former goes with the last query that began with it. */
static void succeed(struct store *s, struct generation *g)
{
    struct generation *former = s->current;
    const struct dataset *old = s->dataset;
    pthread_mutex_lock(&s->lock);
    g->former = NULL;
    g->refs++; /* the former's */
    former->successor = g;
    s->current = g;
    pthread_mutex_unlock(&s->lock);
    s->dataset = yzi_dataset_ref(g->layout.dataset);
    yzi_dataset_unref(old);
    yzi_generation_unpin(&former);
}

static int say_failure(const struct store *s, const struct dataset *d, int rc, bool doubtful,
                       yz_error *err)
{
    if (doubtful) {
        return yzi_fail(err, rc,
                        "%s: the disk failed while the definition of '%s' was changed (%s); it is "
                        "tried again from time to time, and before the next change of data",
                        s->dir, d->name, yz_err_words(rc));
    }
    if (err && err->code) {
        return rc;
    }
    if (rc == YZ_ELIMIT) { /* of the library's handles: whatever else was too many is told */
        return yzi_fail(err, rc,
                        "%s: the data set '%s' had too many different indexes since the start; "
                        "start the adapter again",
                        s->dir, d->name);
    }
    return yzi_fail(err, rc, "%s: the definition of '%s' cannot be changed (%s)", s->dir, d->name,
                    yz_err_words(rc));
}

static int redefine(struct store *s, const struct dataset *d, yz_error *err)
{
    struct generation *former = s->current, *g;
    YZ_TRY(yzi_generation_again(former, d, &g));
    int rc = yzi_schema_adopt(g, s->dir, err);
    if (rc == 0) {
        succeed(s, g);
        return 0;
    }
    yzi_generation_close(g);
    bool doubtful = atomic_load(&former->superseded) != UINT64_MAX;
    if (doubtful && s->pending != d) {
        yzi_dataset_unref(s->pending);
        s->pending = yzi_dataset_ref(d);
    }
    return say_failure(s, d, rc, doubtful, err);
}

int yzi_definition_settle(struct store *s, yz_error *err)
{
    if (!s->pending) {
        return 0;
    }
    YZ_TRY(redefine(s, s->pending, err));
    yzi_dataset_unref(s->pending);
    s->pending = NULL;
    return 0;
}

/* A commit that failed when it was perhaps done is looked at again at once: where readers see it
 * already, none of them is answered until the new definition is in force. */
static int redefine_surely(struct store *s, const struct dataset *d, yz_error *err)
{
    int rc = redefine(s, d, err);
    if (rc == 0 || !s->pending) {
        return rc;
    }
    yz_error again = {0};
    if (yzi_definition_settle(s, &again) < 0) {
        return rc;
    }
    if (err) {
        *err = (yz_error){0};
    }
    return 0;
}

int yzi_store_redefine(struct store *s, const struct dataset *d, bool *changed, yz_error *err)
{
    if (err) {
        *err = (yz_error){0};
    }
    *changed = false;
    YZ_TRY(check(s, d, err));
    YZ_ENSURE(!s->loading, YZ_EBUSY);
    YZ_TRY(yzi_store_settle(s, err));
    bool same = yzi_digest_eq(&d->digest, &s->dataset->digest);
    if (same && !has_broken_index(s->current)) {
        return 0;
    }
    YZ_TRY(redefine_surely(s, d, err));
    *changed = true;
    return 0;
}

bool yzi_store_is_unsettled(const struct store *s)
{
    return s->pending != NULL;
}
