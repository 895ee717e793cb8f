/* SPDX-License-Identifier: Apache-2.0
 *
 * A change of a record is first worked out (its entries in each index, before and after), then
 * checked against the unique indexes, and only then written: what is refused has changed nothing,
 * and nothing that was read is used after the first write.
 */
#include "adapters/dataset/record_write.h"

/* A row at most: its values with their lengths, and what sealing adds to each. */
#define ROW_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define ENTRY_SCRATCH_MAX ((size_t)DATASET_KEY_MAX * (2u * YZ_VALUE_MAX + 8u))
#define ENTRIES_MAX ((size_t)DATASET_INDEXES_MAX * YZ_DB_KEY_MAX)

/* The values of a record's key, each as u32 length ‖ bytes. */
#define KEY_VALUES_MAX ((size_t)DATASET_KEY_MAX * (YZ_VALUE_MAX + 4u))

struct entries {
    yz_buf bytes; /* wiped */
    struct {
        size_t at, n;
        bool has_null;
    } of[DATASET_INDEXES_MAX];
};

struct record_writer {
    struct generation *g;
    struct generation *pinned; /* NULL: one that is being loaded */
    struct db_txn *txn;
    uint64_t sequence, next_ordinal;
    bool changed, sought;
    size_t bytes;
    struct write_target target;
    struct entries before, after;
    yz_buf key, row, plain, entry, last; /* all but last wiped; last: no key is after it */
    /* For the store's journal: the values of the key sought, and of those changed. Wiped */
    yz_buf sought_values, changed_values;
    struct query_value split[DATASET_FIELDS_MAX];
};

/* -- beginning and ending -- */

static void init_buffers(struct record_writer *w)
{
    yzi_buf_init(&w->key, (size_t)DATASET_KEY_MAX * YZ_DB_KEY_MAX);
    yzi_buf_init(&w->row, ROW_BYTES_MAX);
    yzi_buf_init(&w->plain, YZ_VALUE_MAX + 64u);
    yzi_buf_init(&w->entry, ENTRY_SCRATCH_MAX);
    yzi_buf_init(&w->last, YZ_DB_KEY_MAX);
    yzi_buf_init(&w->sought_values, KEY_VALUES_MAX);
    yzi_buf_init(&w->changed_values, JOURNAL_MAX);
    yzi_buf_init(&w->before.bytes, ENTRIES_MAX);
    yzi_buf_init(&w->after.bytes, ENTRIES_MAX);
}

static int read_last_key(struct record_writer *w)
{
    YZ_AUTO(yzi_db_cursor_close) struct db_cursor *c = NULL;
    yz_bytes key;
    YZ_TRY(yzi_db_cursor_open(w->txn, w->g->records, &c));
    int rc = yzi_db_cursor_move(c, DB_LAST, &key, NULL);
    if (rc == YZ_ENOTFOUND) {
        return 0;
    }
    YZ_TRY(rc);
    return yzi_buf_put(&w->last, key);
}

static int begin(struct record_writer *w)
{
    struct generation *g = w->g;
    YZ_TRY(yzi_db_begin_write(g->env, &w->txn));
    YZ_TRY(yzi_store_meta_get(w->txn, g->meta, META_SEQUENCE, &w->sequence));
    YZ_TRY(yzi_store_meta_get(w->txn, g->meta, META_ORDINAL, &w->next_ordinal));
    return read_last_key(w);
}

int yzi_writer_begin_in(struct generation *g, struct record_writer **out)
{
    YZ_ENSURE(!g->read_only, YZ_EINVAL);
    struct record_writer *w;
    YZ_TRY(yzi_alloc(1, sizeof *w, &w));
    w->g = g;
    init_buffers(w);
    int rc = begin(w);
    if (rc < 0) {
        yzi_writer_end(&w);
        return rc;
    }
    *out = w;
    return 0;
}

int yzi_writer_begin(struct store *s, struct record_writer **out)
{
    YZ_TRY(yzi_generation_settle(s, NULL));
    struct generation *g = yzi_generation_pin(s);
    int rc = yzi_writer_begin_in(g, out);
    if (rc < 0) {
        yzi_generation_unpin(&g);
        return rc;
    }
    (*out)->pinned = g;
    return 0;
}

void yzi_writer_end(struct record_writer **writer)
{
    struct record_writer *w = *writer;
    *writer = NULL;
    if (!w) {
        return;
    }
    yzi_db_abort(&w->txn);
    yzi_generation_unpin(&w->pinned);
    yzi_buf_wipe(&w->key);
    yzi_buf_wipe(&w->row);
    yzi_buf_wipe(&w->plain);
    yzi_buf_wipe(&w->entry);
    yzi_buf_wipe(&w->last);
    yzi_buf_wipe(&w->sought_values);
    yzi_buf_wipe(&w->changed_values);
    yzi_buf_wipe(&w->before.bytes);
    yzi_buf_wipe(&w->after.bytes);
    free(w);
}

/* -- the journal -- */

/* The journal of the store, if what this writer changes belongs there. */
static yz_buf *journal_of(const struct record_writer *w)
{
    return w->pinned ? w->g->store->journal : NULL;
}

static void lose_journal(const struct record_writer *w)
{
    w->g->store->journal_lost = true;
}

static int put_key_values(const struct dataset *d, const struct query_value *values, yz_buf *out)
{
    for (size_t i = 0; i < d->key_n; i++) {
        yz_bytes v = values[d->key[i]].v;
        YZ_TRY(yzi_buf_put_u32(out, (uint32_t)v.n));
        YZ_TRY(yzi_buf_put(out, v));
    }
    return 0;
}

static void note_sought(struct record_writer *w, const struct query_value *values)
{
    if (journal_of(w)) {
        yzi_buf_clear(&w->sought_values);
        if (put_key_values(w->g->layout.dataset, values, &w->sought_values) < 0) {
            lose_journal(w);
        }
    }
}

static void note_changed(struct record_writer *w)
{
    if (journal_of(w) && yzi_buf_put(&w->changed_values, yzi_bytes_buf(&w->sought_values)) < 0) {
        lose_journal(w);
    }
}

/* Before the commit, whose outcome may be unknown: what is noted is looked at, not believed. */
static void write_journal(struct record_writer *w)
{
    yz_buf *journal = journal_of(w);
    if (journal && yzi_buf_put(journal, yzi_bytes_buf(&w->changed_values)) < 0) {
        lose_journal(w);
    }
    yzi_buf_clear(&w->changed_values);
}

int yzi_writer_commit(struct record_writer *w, uint64_t *sequence)
{
    YZ_ENSURE(w->txn, YZ_EINVAL);
    *sequence = w->sequence;
    if (!w->changed) {
        yzi_db_abort(&w->txn);
        return 0;
    }
    write_journal(w);
    YZ_TRY(yzi_store_meta_put(w->txn, w->g->meta, META_SEQUENCE, w->sequence));
    YZ_TRY(yzi_store_meta_put(w->txn, w->g->meta, META_ORDINAL, w->next_ordinal));
    return yzi_db_commit(&w->txn);
}

/* -- seeking -- */

int yzi_writer_seek(struct record_writer *w, const struct query_value *values)
{
    const struct dataset *d = w->g->layout.dataset;
    yz_bytes parts[DATASET_KEY_MAX], stored;
    for (size_t i = 0; i < d->key_n; i++) {
        parts[i] = values[d->key[i]].v;
    }
    w->sought = false;
    note_sought(w, values);
    YZ_TRY(yzi_key_encode(d, w->g->layout.keys, parts, &w->key));
    w->target = (struct write_target){.key = yzi_bytes_buf(&w->key)};
    w->sought = true;
    if (w->last.n == 0 || yzi_bytes_cmp(w->target.key, yzi_bytes_buf(&w->last)) > 0) {
        return 0; /* behind all there are: no need to look */
    }
    int rc = yzi_db_get(w->txn, w->g->records, w->target.key, &stored);
    if (rc == YZ_ENOTFOUND) {
        return 0;
    }
    YZ_TRY(rc);
    YZ_TRY(yzi_row_decode(stored, &w->target.row));
    YZ_ENSURE(w->target.row.ordinal < w->next_ordinal, YZ_ECORRUPT);
    w->target.found = true;
    return 0;
}

const struct write_target *yzi_writer_target(const struct record_writer *w)
{
    return &w->target;
}

/* -- entries of indexes -- */

static bool covers(const struct record_writer *w, size_t i)
{
    return yzi_index_covers(&w->g->indexes[i], w->target.key);
}

static int keep_entry(struct record_writer *w, struct entries *e, size_t i, bool has_null)
{
    e->of[i].at = e->bytes.n;
    e->of[i].n = w->entry.n;
    e->of[i].has_null = has_null;
    return yzi_buf_put(&e->bytes, yzi_bytes_buf(&w->entry));
}

static yz_bytes entry(const struct entries *e, size_t i)
{
    return yzi_bytes(e->bytes.p + e->of[i].at, e->of[i].n);
}

static int entries_after(struct record_writer *w, const struct query_value *values)
{
    const struct dataset *d = w->g->layout.dataset;
    yzi_buf_clear(&w->after.bytes);
    for (size_t i = 0; i < d->indexes_n; i++) {
        const struct dataset_index *index = &d->indexes[i];
        bool has_null = false;
        if (!covers(w, i)) {
            continue;
        }
        for (size_t k = 0; k < index->fields_n; k++) {
            has_null = has_null || values[index->fields[k]].null;
        }
        YZ_TRY(yzi_index_entry(d, w->g->layout.keys, index, values, &w->entry));
        YZ_TRY(keep_entry(w, &w->after, i, has_null));
    }
    return 0;
}

static int entries_before(struct record_writer *w)
{
    const struct row_layout *l = &w->g->layout;
    yzi_buf_clear(&w->before.bytes);
    if (!w->target.found || l->dataset->indexes_n == 0) {
        return 0;
    }
    YZ_TRY(yzi_row_split(l, &w->target.row, w->split));
    for (size_t i = 0; i < l->dataset->indexes_n; i++) {
        bool has_null;
        if (covers(w, i)) {
            YZ_TRY(yzi_index_entry_of_row(l, w->target.key, w->split, &l->dataset->indexes[i],
                                          &w->plain, &w->entry, &has_null));
            YZ_TRY(keep_entry(w, &w->before, i, has_null));
        }
    }
    return 0;
}

static bool stays(const struct record_writer *w, size_t i)
{
    return w->target.found && yzi_bytes_eq(entry(&w->before, i), entry(&w->after, i));
}

/* -- unique indexes -- */

static int conflict_at(struct record_writer *w, size_t i, yz_bytes other,
                       struct write_conflict *out)
{
    yz_bytes stored;
    YZ_TRY(yzi_db_get(w->txn, w->g->records, other, &stored));
    if (out) {
        out->index = &w->g->layout.dataset->indexes[i];
        out->other_key = other;
        YZ_TRY(yzi_row_decode(stored, &out->other));
    }
    return YZ_EEXIST;
}

/* A record without a value in one of the fields is not compared: there is nothing to be equal. */
static int check_unique(struct record_writer *w, struct write_conflict *out)
{
    const struct dataset *d = w->g->layout.dataset;
    for (size_t i = 0; i < d->indexes_n; i++) {
        yz_bytes other;
        if (!d->indexes[i].unique || !covers(w, i) || w->after.of[i].has_null || stays(w, i)) {
            continue;
        }
        int rc = yzi_db_get(w->txn, w->g->indexes[i].db, entry(&w->after, i), &other);
        if (rc == 0) {
            return conflict_at(w, i, other, out);
        }
        YZ_ENSURE(rc == YZ_ENOTFOUND, rc);
    }
    return 0;
}

/* -- writing -- */

static int write_entries(struct record_writer *w, bool add)
{
    for (size_t i = 0; i < w->g->layout.dataset->indexes_n; i++) {
        db_handle db = w->g->indexes[i].db;
        if (!covers(w, i) || (add && stays(w, i))) {
            continue;
        }
        if (w->target.found) {
            YZ_TRY(yzi_db_del(w->txn, db, entry(&w->before, i), &w->target.key));
        }
        if (add && w->g->deferred[i]) {
            YZ_TRY(yzi_sorter_add(w->g->deferred[i], entry(&w->after, i), w->target.key));
            w->g->deferred_n++;
        } else if (add) {
            YZ_TRY(yzi_db_put(w->txn, db, entry(&w->after, i), w->target.key, DB_PUT_ANY));
            w->bytes += w->after.of[i].n + w->target.key.n;
        }
    }
    return 0;
}

static int write_row(struct record_writer *w, const struct query_value *values, uint64_t sequence,
                     uint64_t ordinal)
{
    yz_bytes key = w->target.key;
    bool behind = w->last.n == 0 || yzi_bytes_cmp(key, yzi_bytes_buf(&w->last)) > 0;
    YZ_TRY(yzi_row_encode(&w->g->layout, key, sequence, ordinal, values, &w->row));
    YZ_TRY(yzi_db_put(w->txn, w->g->records, key, yzi_bytes_buf(&w->row),
                      behind ? DB_PUT_APPEND : DB_PUT_ANY));
    w->bytes += key.n + w->row.n;
    w->changed = true;
    w->sought = false;
    if (behind) {
        yzi_buf_clear(&w->last);
        return yzi_buf_put(&w->last, key);
    }
    return 0;
}

/* What a record that is there has in indexes whose entries are still to be put in is not known. */
static bool may_change(const struct record_writer *w)
{
    for (size_t i = 0; w->target.found && i < DATASET_INDEXES_MAX; i++) {
        if (w->g->deferred[i]) {
            return false;
        }
    }
    return true;
}

static int change(struct record_writer *w, const struct query_value *values, uint64_t sequence,
                  uint64_t ordinal, struct write_conflict *conflict)
{
    YZ_ENSURE(may_change(w), YZ_EINVAL);
    YZ_TRY(entries_after(w, values));
    YZ_TRY(entries_before(w));
    YZ_TRY(check_unique(w, conflict));
    YZ_TRY(write_entries(w, true));
    note_changed(w);
    return write_row(w, values, sequence, ordinal);
}

int yzi_writer_put(struct record_writer *w, const struct query_value *values,
                   enum write_effect *effect, struct write_conflict *conflict)
{
    YZ_ENSURE(w->txn && w->sought, YZ_EINVAL);
    bool found = w->target.found, equal = false;
    if (found) {
        YZ_TRY(yzi_row_equals(&w->g->layout, w->target.key, &w->target.row, values, &w->plain,
                              &equal));
    }
    if (equal) {
        *effect = WRITE_UNCHANGED;
        return 0;
    }
    uint64_t ordinal = found ? w->target.row.ordinal : w->next_ordinal;
    YZ_TRY(change(w, values, w->sequence + 1, ordinal, conflict));
    w->sequence++;
    w->next_ordinal += !found;
    *effect = found ? WRITE_UPDATED : WRITE_INSERTED;
    return 0;
}

int yzi_writer_put_as(struct record_writer *w, const struct query_value *values, uint64_t sequence,
                      uint64_t ordinal, struct write_conflict *conflict)
{
    YZ_ENSURE(w->txn && w->sought && ordinal < UINT64_MAX, YZ_EINVAL);
    YZ_TRY(change(w, values, sequence, ordinal, conflict));
    yzi_writer_set_sequence(w, sequence);
    w->next_ordinal = ordinal < w->next_ordinal ? w->next_ordinal : ordinal + 1;
    return 0;
}

int yzi_writer_delete(struct record_writer *w)
{
    YZ_ENSURE(w->txn && w->sought, YZ_EINVAL);
    YZ_ENSURE(w->target.found, YZ_ENOTFOUND);
    YZ_ENSURE(may_change(w), YZ_EINVAL);
    YZ_TRY(entries_before(w));
    YZ_TRY(write_entries(w, false));
    YZ_TRY(yzi_db_del(w->txn, w->g->records, w->target.key, NULL));
    note_changed(w);
    w->sequence++;
    w->changed = true;
    w->sought = false;
    return 0;
}

/* -- what it counts -- */

uint64_t yzi_writer_sequence(const struct record_writer *w)
{
    return w->sequence;
}

uint64_t yzi_writer_next_ordinal(const struct record_writer *w)
{
    return w->next_ordinal;
}

void yzi_writer_set_sequence(struct record_writer *w, uint64_t sequence)
{
    if (sequence > w->sequence) {
        w->sequence = sequence;
        w->changed = true;
    }
}

size_t yzi_writer_bytes(const struct record_writer *w)
{
    return w->bytes;
}

struct db_txn *yzi_writer_txn(struct record_writer *w)
{
    return w->txn;
}

struct generation *yzi_writer_generation(struct record_writer *w)
{
    return w->g;
}
