/* SPDX-License-Identifier: Apache-2.0
 *
 * Putting a data set under a fresh key, by building it anew (docs/decisions, "Keys are rotated by
 * building anew"): every record of the generation in force is read with the old key and loaded into
 * an empty generation under the new one, sequence and ordinal kept, and that is switched to like
 * any other. All of it is the work of the one writer thread, which now and then may do something
 * else in between: what is written then goes to the generation in force, as always, and the store
 * notes the keys. They are gone through at the end, when nothing comes in between any more: each
 * such record is taken out of the new generation, and then put there as it stands in the old one.
 *
 * Where the record key is a keyed hash, the new keys are in another order than the old ones, and
 * the records go through a sorter, which keeps what it writes to disk under the new key; otherwise
 * they come in order already.
 */
#include "adapters/dataset/record_read.h"
#include "adapters/dataset/record_write.h"
#include "adapters/dataset/row_sorter.h"

/* Bytes that a transaction of the load may put, as when an import loads a generation. */
#define LOADING_MAX ((size_t)6 * 1024 * 1024)
#define PAUSE 8192u  /* records between looks at what was cancelled, and progress */
#define BETWEEN 256u /* records between chances to write */
#define CHANGES_AT_ONCE 2048u
#define JOURNAL_ENOUGH ((size_t)8 * 1024 * 1024) /* from there on whoever wants to write waits */

struct rotator {
    const struct rotation *o;
    struct generation *from; /* pinned */
    struct generation *to;
    struct record_writer *w;
    struct row_sorter *sorter; /* NULL: records keep their order */
    uint64_t total, done;
    struct plain_record record;
    yz_buf journal; /* wiped */
};

static bool order_changes(const struct dataset *d)
{
    for (size_t i = 0; i < d->key_n; i++) {
        if (yzi_field_is_sealed(&d->fields[d->key[i]])) {
            return true;
        }
    }
    return false;
}

static void let_others_write(struct rotator *r)
{
    if (r->o->between && r->journal.n < JOURNAL_ENOUGH) {
        r->o->between(r->o->ctx);
    }
}

static int pause(struct rotator *r)
{
    uint64_t passes = r->sorter ? 2 : 1;
    if (++r->done % BETWEEN == 0) {
        let_others_write(r);
    }
    if (r->done % PAUSE != 0) {
        return 0;
    }
    YZ_ENSURE(!r->o->cancel || !atomic_load(r->o->cancel), YZ_ECANCELLED);
    if (r->o->progress) {
        const struct work_progress at = {PHASE_ENCRYPT, r->done / passes, r->done,
                                         passes * r->total};
        r->o->progress(r->o->ctx, &at);
    }
    return 0;
}

/* -- loading -- */

static int write_record(struct rotator *r, const struct scan_place *at,
                        const struct query_value *values)
{
    uint64_t sequence;
    if (yzi_writer_bytes(r->w) > LOADING_MAX) {
        YZ_TRY(yzi_writer_commit(r->w, &sequence));
        yzi_writer_end(&r->w);
        YZ_TRY(yzi_writer_begin_in(r->to, &r->w));
    }
    YZ_TRY(yzi_writer_seek(r->w, values));
    YZ_TRY(yzi_writer_put_as(r->w, values, at->line, at->record, NULL));
    return 0;
}

static int take(struct rotator *r, yz_bytes key, yz_bytes stored)
{
    struct stored_row row;
    YZ_TRY(yzi_row_decode(stored, &row));
    YZ_TRY(yzi_plain_read(&r->from->layout, key, &row, &r->record));
    /* the sorter gives back as a place whatever it was given as one */
    const struct scan_place at = {.line = row.sequence, .record = row.ordinal};
    YZ_TRY(pause(r));
    return r->sorter ? yzi_row_sorter_add(r->sorter, &at, r->record.values)
                     : write_record(r, &at, r->record.values);
}

static int take_all(struct rotator *r)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_AUTO(yzi_db_cursor_close) struct db_cursor *c = NULL;
    yz_bytes key, stored;
    YZ_TRY(yzi_db_begin_read(r->from->env, &t));
    YZ_TRY(yzi_db_count(t, r->from->records, &r->total));
    YZ_TRY(yzi_db_cursor_open(t, r->from->records, &c));
    int rc;
    while ((rc = yzi_db_cursor_move(c, DB_NEXT, &key, &stored)) == 0) {
        YZ_TRY(take(r, key, stored));
    }
    return rc == YZ_ENOTFOUND ? 0 : rc;
}

static int merge(struct rotator *r)
{
    struct scan_place at;
    const struct query_value *values;
    int rc;
    while ((rc = yzi_row_sorter_next(r->sorter, &at, &values)) == 0) {
        YZ_TRY(write_record(r, &at, values));
        YZ_TRY(pause(r));
    }
    return rc == YZ_ENOTFOUND ? 0 : rc;
}

/* -- what is not in the records -- */

/* The sequence is that of the last change, which may have been a deletion; ordinals are given once,
 * also those of records that are gone. */
static int copy_counters(struct rotator *r)
{
    uint64_t sequence, ordinal;
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(yzi_db_begin_read(r->from->env, &t));
    YZ_TRY(yzi_store_meta_get(t, r->from->meta, META_SEQUENCE, &sequence));
    YZ_TRY(yzi_store_meta_get(t, r->from->meta, META_ORDINAL, &ordinal));
    yzi_db_abort(&t);
    YZ_TRY(yzi_db_begin_write(r->to->env, &t));
    YZ_TRY(yzi_store_meta_put(t, r->to->meta, META_SEQUENCE, sequence));
    YZ_TRY(yzi_store_meta_put(t, r->to->meta, META_ORDINAL, ordinal));
    return yzi_db_commit(&t);
}

/* A unique index that is not whole is not so in the new generation either: it would find the two
 * records that it cannot have. It is built, or stays out of use, as it would have been. One that
 * may hold cut entries still may, of values from before the definition was what it is. */
static int keep_index_states(struct rotator *r)
{
    const struct dataset *d = r->from->layout.dataset;
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(yzi_db_begin_write(r->to->env, &t));
    for (size_t i = 0; i < d->indexes_n; i++) {
        struct index *from = &r->from->indexes[i], *to = &r->to->indexes[i];
        int state = atomic_load(&from->state);
        if (!d->indexes[i].unique && state != INDEX_READY) {
            state = INDEX_READY; /* it is made whole with the others */
        }
        atomic_store(&to->cut, atomic_load(&from->cut) || atomic_load(&to->cut));
        atomic_store(&to->state, state);
        YZ_TRY(yzi_index_put_state(r->to, t, i, (enum index_state)state, (yz_bytes){0}));
    }
    return yzi_db_commit(&t);
}

/* -- what was written meanwhile -- */

/* The next record of the journal: the values of its key, in r->record.values; none else is set. */
static int next_noted(struct rotator *r, yz_reader *journal)
{
    const struct dataset *d = r->from->layout.dataset;
    for (size_t i = 0; i < d->key_n; i++) {
        uint32_t n;
        struct query_value *v = &r->record.values[d->key[i]];
        YZ_ENSURE(yzi_read_u32(journal, &n) == 0, YZ_EINTERNAL);
        v->null = false;
        YZ_ENSURE(yzi_read_bytes(journal, n, &v->v) == 0, YZ_EINTERNAL);
    }
    return 0;
}

/* Records here and there change a page each: not too many in one transaction. */
static int next_transaction(struct rotator *r, unsigned *n)
{
    uint64_t sequence;
    if (++*n % CHANGES_AT_ONCE != 0) {
        return 0;
    }
    YZ_TRY(yzi_writer_commit(r->w, &sequence));
    yzi_writer_end(&r->w);
    return yzi_writer_begin_in(r->to, &r->w);
}

/* First all that changed goes, so that no unique index meets a value of before beside one of now.
 */
static int take_out(struct rotator *r)
{
    unsigned n = 0;
    for (yz_reader journal = yzi_reader(yzi_bytes_buf(&r->journal)); journal.left;) {
        YZ_TRY(next_noted(r, &journal));
        YZ_TRY(yzi_writer_seek(r->w, r->record.values));
        YZ_TRY(yzi_writer_target(r->w)->found ? yzi_writer_delete(r->w) : 0);
        YZ_TRY(next_transaction(r, &n));
    }
    return 0;
}

/* What the old generation has under the key last read from the journal; YZ_ENOTFOUND. */
static int read_old(struct rotator *r, struct db_txn *t, yz_buf *key, struct stored_row *row)
{
    const struct row_layout *l = &r->from->layout;
    yz_bytes parts[DATASET_KEY_MAX], stored;
    for (size_t i = 0; i < l->dataset->key_n; i++) {
        parts[i] = r->record.values[l->dataset->key[i]].v;
    }
    YZ_TRY(yzi_key_encode(l->dataset, l->keys, parts, key));
    YZ_TRY(yzi_db_get(t, r->from->records, yzi_bytes_buf(key), &stored));
    return yzi_row_decode(stored, row);
}

/* A record that changed twice is noted twice, and there the second time. */
static int put_back_one(struct rotator *r, struct db_txn *t, yz_buf *key)
{
    struct stored_row row;
    int rc = read_old(r, t, key, &row);
    YZ_ENSURE(rc != YZ_ENOTFOUND, 0);
    YZ_TRY(rc);
    YZ_TRY(yzi_plain_read(&r->from->layout, yzi_bytes_buf(key), &row, &r->record));
    const struct scan_place at = {.line = row.sequence, .record = row.ordinal};
    YZ_TRY(yzi_writer_seek(r->w, r->record.values));
    return yzi_writer_target(r->w)->found ? 0 : write_record(r, &at, r->record.values);
}

static int put_back(struct rotator *r)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_AUTO(yzi_buf_fini) yz_buf key = {0};
    unsigned n = 0;
    yzi_buf_init(&key, (size_t)DATASET_KEY_MAX * YZ_DB_KEY_MAX);
    YZ_TRY(yzi_db_begin_read(r->from->env, &t));
    for (yz_reader journal = yzi_reader(yzi_bytes_buf(&r->journal)); journal.left;) {
        YZ_TRY(next_noted(r, &journal));
        YZ_TRY(put_back_one(r, t, &key));
        YZ_TRY(next_transaction(r, &n));
    }
    return 0;
}

static int follow_journal(struct rotator *r)
{
    uint64_t sequence;
    YZ_ENSURE(!r->from->store->journal_lost, YZ_ENOMEM);
    if (r->journal.n > 0) {
        YZ_TRY(yzi_writer_begin_in(r->to, &r->w));
        YZ_TRY(take_out(r));
        YZ_TRY(put_back(r));
        YZ_TRY(yzi_writer_commit(r->w, &sequence));
        yzi_writer_end(&r->w);
    }
    return copy_counters(r);
}

static int put_deferred(struct rotator *r)
{
    int rc;
    while ((rc = yzi_generation_put_deferred(r->to)) == 0) {
        let_others_write(r);
        if (r->o->progress) {
            struct work_progress at;
            yzi_generation_put_so_far(r->to, &at);
            r->o->progress(r->o->ctx, &at);
        }
        YZ_ENSURE(!r->o->cancel || !atomic_load(r->o->cancel), YZ_ECANCELLED);
    }
    return rc == YZ_ENOTFOUND ? 0 : rc;
}

/* -- the rotation -- */

static int load(struct rotator *r)
{
    uint64_t sequence;
    YZ_TRY(yzi_generation_defer_indexes(r->to));
    YZ_TRY(keep_index_states(r));
    if (order_changes(r->from->layout.dataset)) {
        YZ_TRY(yzi_row_sorter_new(&r->to->layout, r->to->dir, &r->sorter));
    }
    YZ_TRY(yzi_writer_begin_in(r->to, &r->w));
    YZ_TRY(take_all(r));
    YZ_TRY(r->sorter ? merge(r) : 0);
    YZ_TRY(yzi_writer_commit(r->w, &sequence));
    yzi_writer_end(&r->w);
    YZ_TRY(put_deferred(r));
    return follow_journal(r);
}

static void describe(const struct rotator *r, struct rotation_report *out)
{
    const struct key_set *now = r->to->keys, *before = r->from->keys;
    *out = (struct rotation_report){.since = now->since};
    memcpy(out->key_id, now->id, sizeof out->key_id);
    memcpy(out->former_id, before->id, sizeof out->former_id);
}

static int rotate(struct store *s, struct rotator *r, struct rotation_report *out, yz_error *err)
{
    YZ_TRY(yzi_generation_begin(s, GENERATION_REKEYED, &r->to, err));
    YZ_TRY(load(r));
    describe(r, out);
    YZ_TRY(yzi_generation_publish(&r->to, err));
    bool adapters = out->former_id[0] == '\0';
    out->destroyed = yzi_generation_tidy_keys(s) == 0 && !adapters;
    struct store_state state;
    YZ_TRY(yzi_store_state(s, &state));
    out->records = state.records;
    out->sequence = state.sequence;
    return 0;
}

static int in_words(const struct store *s, int rc, yz_error *err)
{
    if (rc < 0 && err->code != rc) {
        return yzi_fail(err, rc, "the key of '%s' was not changed (%s)%s", s->dataset->name,
                        yz_err_words(rc),
                        s->unsettled ? "; the next start may find it changed, though" : "");
    }
    return rc;
}

int yzi_store_rotate(struct store *s, const struct rotation *o, struct rotation_report *out,
                     yz_error *err)
{
    yz_error unasked;
    err = err ? err : &unasked;
    *err = (yz_error){0};
    if (!s->dataset->has_sensitive || s->read_only || !s->keys_dir) {
        return yzi_fail(err, YZ_EINVAL, "'%s' %s", s->dataset->name,
                        s->dataset->has_sensitive ? "cannot be put under another key here"
                                                  : "has no sensitive field, and so no key");
    }
    YZ_AUTO(yzi_free_ptr) struct rotator *r = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *r, &r));
    r->o = o;
    r->from = yzi_generation_pin(s);
    yzi_plain_init(&r->record);
    yzi_buf_init(&r->journal, JOURNAL_MAX);
    s->journal = &r->journal;
    s->journal_lost = false;
    int rc = rotate(s, r, out, err);
    s->journal = NULL;
    yzi_row_sorter_free(r->sorter);
    yzi_writer_end(&r->w);
    yzi_generation_drop(&r->to);
    yzi_generation_unpin(&r->from);
    yzi_plain_fini(&r->record);
    yzi_buf_wipe(&r->journal);
    return in_words(s, rc, err);
}
