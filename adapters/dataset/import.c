/* SPDX-License-Identifier: Apache-2.0
 *
 * Import: the records of a scan brought into a store, all or nothing, in memory that does not grow
 * with the file.
 *
 * It begins in one write transaction, which is right for what is small. LMDB keeps the pages that a
 * transaction changed in memory, so when they would be too many, the transaction is given up and
 * the import begins again with a copy of the store's file as a new generation, which nobody reads
 * and which may therefore be written in several transactions; at the end it is switched to, or
 * dropped. A replacement loads an empty generation from the start.
 *
 * A large file whose records are in no order is sorted by key before it is loaded: each page is
 * written once then. Where something is wrong with it, it is loaded once more as it stands, so that
 * faults and rejects are told in the order of the file, whichever way it took.
 *
 * Which keys this file had already is known without keeping them: every record has an ordinal. One
 * at or above the ordinal the import began with was inserted by it; for the others a bit is set
 * when they are met. Only to name the first occurrence is the file read again.
 */
#include <inttypes.h>
#include <sys/stat.h>

#include "adapters/dataset/record_read.h"
#include "adapters/dataset/record_write.h"
#include "adapters/dataset/rejects.h"
#include "adapters/dataset/row_sorter.h"
#include "adapters/dataset/scan.h"
#include "base/file.h"

/* Changed pages that a transaction may hold, roughly; a page is 4 KiB with what LMDB adds. */
#define MEMORY_MAX ((size_t)24 * 1024 * 1024)
/* The same in a generation that is loaded: the library keeps the pages of the transaction that was
 * given up for the next, and entries of indexes are sorted beside. */
#define LOADING_MAX ((size_t)12 * 1024 * 1024)
#define PAGE_BYTES 4160u
/* So many duplicates are told with the place of the first: each costs a reading of the file. */
#define LOCATED_MAX 20u
#define START_OVER YZ_EAGAIN /* the transaction is full, or another way is to be taken */
#define MERGE_PAUSE 8192u    /* records between looks at what was cancelled, and progress */

struct importer {
    struct store *store;
    const struct import_source *src;
    yz_error *err;
    struct generation *old;     /* in force when the import began, pinned */
    struct generation *loading; /* NULL: one transaction in the one in force */
    struct record_writer *w;
    struct db_txn *old_txn; /* a replacement reads the old records */
    struct import_report report;
    uint64_t old_sequence, first_ordinal, next_ordinal;
    uint64_t old_records, met_n;
    uint8_t *met;         /* a bit per ordinal below first_ordinal */
    uint64_t jumps;       /* since the last commit: changes that did not follow the one before */
    yz_buf last;          /* key of the last change */
    size_t file_bytes;    /* of the file at the beginning of the transaction */
    bool dense;           /* loading into nothing: what comes in order is written to one page */
    bool unordered;       /* a record came before the one before it, this time or an earlier one */
    bool as_it_stands;    /* not to be sorted: somebody is told about each record, or of a fault */
    bool merging, faulty; /* sorting: records come from the sorter; something was wrong */
    struct row_sorter *sorter; /* NULL: records are written as they come */
    yz_buf previous;           /* key of the last record, while they are in order */
    unsigned located;
    uint64_t told, tell_from; /* faults; after starting over those before were told */
    struct plain_record before;
    yz_buf plain; /* wiped */
};

static bool changed_anything(const struct import_report *r)
{
    return r->inserted + r->updated + r->deleted > 0;
}

/* -- duplicates -- */

struct first_place {
    const struct row_layout *layout;
    yz_bytes key;
    struct scan_place before, found;
    bool is_found;
    yz_buf scratch;
};

static bool is_before(const struct scan_place *a, const struct scan_place *b)
{
    return b->record ? a->record < b->record : a->line < b->line;
}

static int look_for_key(void *ctx, const struct scan_place *at, const struct query_value *values,
                        char reason[SCAN_REASON_MAX])
{
    (void)reason;
    struct first_place *f = ctx;
    yz_bytes parts[DATASET_KEY_MAX];
    const struct dataset *d = f->layout->dataset;
    for (size_t i = 0; i < d->key_n; i++) {
        parts[i] = values[d->key[i]].v;
    }
    YZ_ENSURE(is_before(at, &f->before), YZ_ENOTFOUND);
    YZ_TRY(yzi_key_encode(d, f->layout->keys, parts, &f->scratch));
    if (!yzi_bytes_eq(yzi_bytes_buf(&f->scratch), f->key)) {
        return 0;
    }
    f->found = *at;
    f->is_found = true;
    return YZ_EEXIST; /* ends the scan */
}

/* Refuse the record, naming the place its key stood in first. */
static int refuse_duplicate(struct importer *im, const struct scan_place *at,
                            char reason[SCAN_REASON_MAX])
{
    YZ_ENSURE(!im->merging, YZ_EDATA); /* to be told when the file is read as it stands */
    struct first_place f = {
        .layout = &im->old->layout, .key = yzi_writer_target(im->w)->key, .before = *at};
    snprintf(reason, SCAN_REASON_MAX, "has the key of an earlier record again");
    if (++im->located > LOCATED_MAX) {
        return YZ_EDATA;
    }
    yzi_buf_init(&f.scratch, (size_t)DATASET_KEY_MAX * YZ_DB_KEY_MAX);
    struct import_source again = {.fd = im->src->fd,
                                  .name = im->src->name,
                                  .format = im->src->format,
                                  .mode = im->src->mode,
                                  .cancel = im->src->cancel,
                                  .max_faults = UINT64_MAX};
    struct scan_totals totals;
    int rc = yzi_scan(im->store->dataset, &again, look_for_key, &f, &totals, NULL);
    yzi_buf_wipe(&f.scratch);
    YZ_ENSURE(rc != YZ_ENOMEM && rc != YZ_ECANCELLED, rc);
    if (f.is_found) { /* otherwise the file changed while it was read */
        snprintf(reason, SCAN_REASON_MAX, "has the key of %s %" PRIu64 " again",
                 f.found.record ? "record" : "line",
                 f.found.record ? f.found.record : f.found.line);
    }
    return YZ_EDATA;
}

/* The other record's key cannot be told: its values are not to be repeated. Where a record is to
 * change, the other may be one that the file changes further on: a way is told. */
static int refuse_second(const struct write_conflict *c, bool changes, char reason[SCAN_REASON_MAX])
{
    snprintf(reason, SCAN_REASON_MAX,
             "has the same values as another record in the unique index '%s'%s", c->index->name,
             changes ? "; records that exchange them need mode replace" : "");
    return YZ_EDATA;
}

/* Whether the stored record was met in this import before; from now on it was. */
static bool was_met(struct importer *im, uint64_t ordinal)
{
    if (ordinal >= im->first_ordinal) {
        return true;
    }
    uint8_t bit = (uint8_t)(1u << (ordinal % 8));
    bool met = im->met[ordinal / 8] & bit;
    im->met[ordinal / 8] |= bit;
    im->met_n += !met;
    return met;
}

static bool is_met(const struct importer *im, uint64_t ordinal)
{
    return im->met[ordinal / 8] & (1u << (ordinal % 8));
}

/* -- memory -- */

/* What the open transaction keeps in memory: the pages it wrote to, of which there are no more than
 * the file had, and those that hold what it added. */
static size_t memory(const struct importer *im)
{
    size_t jumps = (size_t)im->jumps * PAGE_BYTES;
    return 2 * yzi_writer_bytes(im->w) + (jumps < im->file_bytes ? jumps : im->file_bytes);
}

static int measure(struct importer *im, const struct generation *g)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    struct stat st;
    YZ_TRY(yzi_path_join(g->dir, "data.mdb", &path));
    im->file_bytes = stat(path, &st) == 0 ? (size_t)st.st_size : SIZE_MAX;
    return 0;
}

static int next_transaction(struct importer *im)
{
    uint64_t sequence;
    YZ_TRY(yzi_writer_commit(im->w, &sequence));
    yzi_writer_end(&im->w);
    im->jumps = 0;
    YZ_TRY(measure(im, im->loading));
    return yzi_writer_begin_in(im->loading, &im->w);
}

/* Before a change: make room for it. */
static int make_room(struct importer *im)
{
    if (memory(im) < (im->loading ? LOADING_MAX : MEMORY_MAX)) {
        return 0;
    }
    return im->loading ? next_transaction(im) : START_OVER;
}

/* Indexes whose entries are put in as they come. */
static size_t written_indexes(const struct importer *im)
{
    size_t n = 0;
    for (size_t i = 0; i < im->store->dataset->indexes_n; i++) {
        n += !im->loading || !im->loading->deferred[i];
    }
    return n;
}

/* Pages that a change dirties, beside its own bytes: one of records, unless they come in order into
 * an empty file, and one or two in each index. */
static int count_change(struct importer *im, bool insert)
{
    yz_bytes key = yzi_writer_target(im->w)->key;
    bool follows = im->dense && yzi_bytes_cmp(key, yzi_bytes_buf(&im->last)) > 0;
    im->jumps += !follows + written_indexes(im) * (insert ? 1 : 2);
    yzi_buf_clear(&im->last);
    return yzi_buf_put(&im->last, key);
}

/* -- telling changes -- */

static int tell(struct importer *im, enum import_change_kind kind, const struct query_value *before,
                const struct query_value *after)
{
    const struct import_change c = {.kind = kind, .before = before, .after = after};
    int rc = im->src->change ? im->src->change(im->src->ctx, &c) : 0;
    return rc < 0 ? yzi_fail(im->err, rc, "%s: the differences could not be written (%s)",
                             im->src->name, yz_err_words(rc))
                  : 0;
}

/* What is stored, while it still is: a change ends views into the store. */
static int keep_before(struct importer *im, const struct row_layout *l, yz_bytes key,
                       const struct stored_row *row)
{
    return im->src->change ? yzi_plain_read(l, key, row, &im->before) : 0;
}

/* -- rows: upsert and insert -- */

static int upsert_found(struct importer *im, const struct write_target *target,
                        const struct query_value *values, char reason[SCAN_REASON_MAX])
{
    const struct row_layout *l = &yzi_writer_generation(im->w)->layout;
    bool equal;
    YZ_TRY(yzi_row_equals(l, target->key, &target->row, values, &im->plain, &equal));
    if (equal) {
        im->report.unchanged++;
        return 1;
    }
    if (im->src->mode == IMPORT_INSERT) {
        snprintf(reason, SCAN_REASON_MAX, "has a key that is there already, with other values");
        return YZ_EDATA;
    }
    return keep_before(im, l, target->key, &target->row);
}

static int upsert(struct importer *im, const struct scan_place *at,
                  const struct query_value *values, char reason[SCAN_REASON_MAX])
{
    const struct write_target *target = yzi_writer_target(im->w);
    enum write_effect effect;
    struct write_conflict conflict;
    bool found = target->found;
    if (found && was_met(im, target->row.ordinal)) {
        return refuse_duplicate(im, at, reason);
    }
    if (found) {
        int rc = upsert_found(im, target, values, reason);
        if (rc != 0) {
            return rc < 0 ? rc : 0;
        }
    }
    YZ_TRY(count_change(im, !found));
    int rc = yzi_writer_put(im->w, values, &effect, &conflict);
    if (rc == YZ_EEXIST) {
        return refuse_second(&conflict, found, reason);
    }
    YZ_TRY(rc);
    im->report.inserted += effect == WRITE_INSERTED;
    im->report.updated += effect == WRITE_UPDATED;
    return found ? tell(im, CHANGE_CHANGED, im->before.values, values)
                 : tell(im, CHANGE_ADDED, NULL, values);
}

/* -- rows: delete -- */

static int delete (struct importer *im)
{
    const struct write_target *target = yzi_writer_target(im->w);
    if (!target->found) {
        im->report.absent++;
        return 0;
    }
    const struct row_layout *l = &yzi_writer_generation(im->w)->layout;
    YZ_TRY(keep_before(im, l, target->key, &target->row));
    YZ_TRY(count_change(im, false));
    YZ_TRY(yzi_writer_delete(im->w));
    im->report.deleted++;
    return tell(im, CHANGE_REMOVED, im->before.values, NULL);
}

/* -- rows: replace -- */

/* What the old generation has under the key just sought. */
static int find_old(struct importer *im, struct stored_row *out)
{
    yz_bytes stored;
    YZ_TRY(yzi_db_get(im->old_txn, im->old->records, yzi_writer_target(im->w)->key, &stored));
    YZ_TRY(yzi_row_decode(stored, out));
    YZ_ENSURE(out->ordinal < im->first_ordinal, YZ_ECORRUPT);
    return 0;
}

static int load(struct importer *im, const struct query_value *values, uint64_t sequence,
                uint64_t ordinal, char reason[SCAN_REASON_MAX])
{
    struct write_conflict conflict;
    YZ_TRY(count_change(im, true));
    int rc = yzi_writer_put_as(im->w, values, sequence, ordinal, &conflict);
    return rc == YZ_EEXIST ? refuse_second(&conflict, false, reason) : rc;
}

static int load_changed(struct importer *im, const struct query_value *values,
                        const struct stored_row *old, char reason[SCAN_REASON_MAX])
{
    bool equal;
    yz_bytes key = yzi_writer_target(im->w)->key;
    YZ_TRY(yzi_row_equals(&im->old->layout, key, old, values, &im->plain, &equal));
    YZ_TRY(keep_before(im, &im->old->layout, key, old));
    uint64_t sequence = equal ? old->sequence : yzi_writer_sequence(im->w) + 1;
    YZ_TRY(load(im, values, sequence, old->ordinal, reason));
    yz_ignore(was_met(im, old->ordinal), "it is now");
    im->report.unchanged += equal;
    im->report.updated += !equal;
    return equal ? 0 : tell(im, CHANGE_CHANGED, im->before.values, values);
}

static int replace(struct importer *im, const struct scan_place *at,
                   const struct query_value *values, char reason[SCAN_REASON_MAX])
{
    struct stored_row old;
    if (yzi_writer_target(im->w)->found) {
        return refuse_duplicate(im, at, reason);
    }
    int rc = find_old(im, &old);
    if (rc == 0) {
        return load_changed(im, values, &old, reason);
    }
    YZ_ENSURE(rc == YZ_ENOTFOUND, rc);
    YZ_TRY(load(im, values, yzi_writer_sequence(im->w) + 1, im->next_ordinal, reason));
    im->next_ordinal++;
    im->report.inserted++;
    return tell(im, CHANGE_ADDED, NULL, values);
}

/* What the file did not bring goes: told one by one only to those who asked. */
static int tell_removed(struct importer *im)
{
    YZ_AUTO(yzi_db_cursor_close) struct db_cursor *c = NULL;
    yz_bytes key, stored;
    YZ_TRY(yzi_db_cursor_open(im->old_txn, im->old->records, &c));
    int rc;
    while ((rc = yzi_db_cursor_move(c, DB_NEXT, &key, &stored)) == 0) {
        struct stored_row row;
        YZ_TRY(yzi_row_decode(stored, &row));
        YZ_ENSURE(row.ordinal < im->first_ordinal, YZ_ECORRUPT);
        if (!is_met(im, row.ordinal)) {
            YZ_TRY(yzi_plain_read(&im->old->layout, key, &row, &im->before));
            YZ_TRY(tell(im, CHANGE_REMOVED, im->before.values, NULL));
        }
    }
    return rc == YZ_ENOTFOUND ? 0 : rc;
}

/* Whether records come in the order of their keys; a large import that is to be sorted begins
 * again at the first that does not. */
static int note_order(struct importer *im)
{
    yz_bytes key = yzi_writer_target(im->w)->key;
    if (im->unordered || im->merging) {
        return 0;
    }
    im->unordered = yzi_bytes_cmp(key, yzi_bytes_buf(&im->previous)) < 0;
    YZ_ENSURE(!im->unordered || !im->loading || im->as_it_stands, START_OVER);
    yzi_buf_clear(&im->previous);
    return yzi_buf_put(&im->previous, key);
}

static int write_row(struct importer *im, const struct scan_place *at,
                     const struct query_value *values, char reason[SCAN_REASON_MAX])
{
    YZ_TRY(make_room(im));
    YZ_TRY(yzi_writer_seek(im->w, values));
    YZ_TRY(note_order(im));
    switch (im->src->mode) {
    case IMPORT_UPSERT:
    case IMPORT_INSERT:
        return upsert(im, at, values, reason);
    case IMPORT_REPLACE:
        return replace(im, at, values, reason);
    case IMPORT_DELETE:
        return delete (im);
    }
    return YZ_EINVAL;
}

static int import_row(void *ctx, const struct scan_place *at, const struct query_value *values,
                      char reason[SCAN_REASON_MAX])
{
    struct importer *im = ctx;
    if (!im->sorter) {
        return write_row(im, at, values, reason);
    }
    YZ_ENSURE(!im->faulty, START_OVER);
    return yzi_row_sorter_add(im->sorter, at, values);
}

/* -- sorted records -- */

/* Between pieces of what comes behind the reading: it may be ended, and says how far it is. */
static int pause_after(struct importer *im, const struct work_progress *at)
{
    const struct import_source *src = im->src;
    if (src->progress) {
        src->progress(src->ctx, at);
    }
    if (src->cancel && atomic_load(src->cancel)) {
        return yzi_fail(im->err, YZ_ECANCELLED, "%s: the import was cancelled, nothing was changed",
                        src->name);
    }
    return 0;
}

static int merge(struct importer *im)
{
    struct scan_place at;
    const struct query_value *values;
    char reason[SCAN_REASON_MAX];
    struct work_progress progress = {PHASE_LOAD, 0, 0, im->report.rows - im->report.rejected};
    int rc;
    im->merging = true;
    for (uint64_t rows = 1; (rc = yzi_row_sorter_next(im->sorter, &at, &values)) == 0; rows++) {
        rc = write_row(im, &at, values, reason);
        im->faulty = rc == YZ_EDATA;
        YZ_ENSURE(!im->faulty, START_OVER);
        YZ_TRY(rc);
        if (rows % MERGE_PAUSE == 0) {
            progress.rows = progress.done = rows;
            YZ_TRY(pause_after(im, &progress));
        }
    }
    return rc == YZ_ENOTFOUND ? 0 : rc;
}

/* Entries of indexes that were gathered: the last that takes long. */
static int put_entries(struct importer *im)
{
    struct work_progress progress;
    int rc;
    do {
        yzi_generation_put_so_far(im->loading, &progress);
        YZ_TRY(progress.total ? pause_after(im, &progress) : 0);
        rc = yzi_generation_put_deferred(im->loading);
    } while (rc == 0);
    return rc == YZ_ENOTFOUND ? 0 : rc;
}

/* -- beginning and ending -- */

static int read_counters(struct importer *im)
{
    struct generation *g = im->old;
    YZ_TRY(yzi_db_begin_read(g->env, &im->old_txn));
    YZ_TRY(yzi_store_meta_get(im->old_txn, g->meta, META_SEQUENCE, &im->old_sequence));
    YZ_TRY(yzi_store_meta_get(im->old_txn, g->meta, META_ORDINAL, &im->first_ordinal));
    YZ_TRY(yzi_db_count(im->old_txn, g->records, &im->old_records));
    YZ_ENSURE(im->first_ordinal < SIZE_MAX / 2, YZ_ECORRUPT);
    im->report.sequence = im->old_sequence;
    im->next_ordinal = im->first_ordinal;
    return 0;
}

static int begin(struct importer *im, bool large)
{
    bool replacing = im->src->mode == IMPORT_REPLACE;
    YZ_TRY(read_counters(im));
    if (!replacing) {
        yzi_db_abort(&im->old_txn); /* no reader beside the writer: the file would grow */
    }
    free(im->met);
    im->met = NULL;
    YZ_TRY(yzi_alloc((size_t)im->first_ordinal / 8 + 1, 1, &im->met));
    im->dense = replacing || im->old_records == 0;
    YZ_TRY(measure(im, im->old));
    if (!large) {
        return yzi_writer_begin(im->store, &im->w);
    }
    if (!replacing && im->old_records && im->src->progress) {
        const struct work_progress copying = {.phase = PHASE_COPY};
        im->src->progress(im->src->ctx, &copying);
    }
    YZ_TRY(yzi_generation_begin(im->store, replacing ? GENERATION_EMPTY : GENERATION_COPY,
                                &im->loading, im->err));
    YZ_TRY(im->dense ? yzi_generation_defer_indexes(im->loading) : 0);
    YZ_TRY(measure(im, im->loading));
    if (im->unordered && !im->as_it_stands) {
        YZ_TRY(yzi_row_sorter_new(&im->loading->layout, im->loading->dir, &im->sorter));
    }
    return yzi_writer_begin_in(im->loading, &im->w);
}

static void end(struct importer *im)
{
    yzi_row_sorter_free(im->sorter);
    im->sorter = NULL;
    yzi_writer_end(&im->w);
    yzi_db_abort(&im->old_txn);
    yzi_generation_drop(&im->loading);
}

static int finish_replacement(struct importer *im)
{
    im->report.deleted = im->old_records - im->met_n;
    if (im->report.rows == 0 || im->report.rows == im->report.rejected) {
        return yzi_fail(im->err, YZ_EDATA,
                        "%s: has no record that could be imported; a replacement would leave "
                        "nothing (to empty a data set, delete its records)",
                        im->src->name);
    }
    if (im->src->change && im->report.deleted) {
        YZ_TRY(tell_removed(im));
    }
    yzi_writer_set_sequence(im->w, yzi_writer_sequence(im->w) + im->report.deleted);
    return 0;
}

static int commit(struct importer *im)
{
    uint64_t sequence;
    if (im->src->mode == IMPORT_REPLACE) {
        YZ_TRY(finish_replacement(im));
    }
    if (im->src->dry_run || !changed_anything(&im->report)) {
        return 0;
    }
    int rc = yzi_writer_commit(im->w, &sequence);
    if (rc < 0) {
        return yzi_fail(im->err, rc,
                        "%s: the store could not be written (%s); open it again to see whether "
                        "the import is in it, importing again does no harm",
                        im->src->name, yz_err_words(rc));
    }
    if (im->loading) {
        yzi_writer_end(&im->w);
        yzi_db_abort(&im->old_txn); /* the old generation goes with its last reader */
        YZ_TRY(put_entries(im));
        YZ_TRY(yzi_generation_publish(&im->loading, im->err));
    }
    im->report.sequence = sequence;
    return 0;
}

/* A fault is told once, although the scan began again. */
static void on_fault(void *ctx, const struct import_fault *f)
{
    struct importer *im = ctx;
    if (im->sorter) { /* not in the order of the file yet */
        im->faulty = true;
        return;
    }
    if (im->told++ >= im->tell_from && im->src->fault) {
        im->src->fault(im->src->ctx, f);
    }
}

static void on_progress(void *ctx, const struct work_progress *at)
{
    const struct importer *im = ctx;
    struct work_progress mine = *at;
    mine.phase = im->sorter ? PHASE_SORT : at->phase;
    im->src->progress(im->src->ctx, &mine);
}

static int scan(struct importer *im)
{
    struct import_source src = *im->src;
    struct scan_totals totals;
    src.fault = on_fault;
    src.progress = im->src->progress ? on_progress : NULL;
    src.ctx = im;
    int rc = yzi_scan(im->store->dataset, &src, import_row, im, &totals, im->err);
    im->report.rows = totals.rows;
    im->report.faults = totals.faults;
    im->report.rejected = totals.rejected;
    for (size_t i = 0; i < im->store->dataset->fields_n; i++) {
        im->report.unseen[i] = totals.rows && !totals.seen[i];
    }
    return rc;
}

static int attempt(struct importer *im, bool large)
{
    YZ_TRY(begin(im, large));
    int rc = scan(im);
    YZ_ENSURE(!im->faulty, START_OVER);
    YZ_TRY(rc);
    YZ_TRY(im->sorter ? merge(im) : 0);
    YZ_TRY(im->src->rejects ? yzi_rejects_flush(im->src->rejects) : 0);
    return commit(im);
}

/* Once more, into a new generation. */
static int start_over(struct importer *im)
{
    end(im);
    im->as_it_stands = im->as_it_stands || im->faulty;
    im->merging = im->faulty = false;
    yzi_buf_clear(&im->previous);
    *im->err = (yz_error){0};
    im->report = (struct import_report){0};
    im->jumps = im->met_n = 0;
    im->located = 0;
    im->tell_from = im->told > im->tell_from ? im->told : im->tell_from;
    im->told = 0;
    yzi_buf_clear(&im->last);
    YZ_TRY(im->src->rejects ? yzi_rejects_restart(im->src->rejects) : 0);
    YZ_TRY(im->src->change ? im->src->change(im->src->ctx, NULL) : 0);
    return attempt(im, true);
}

static int run(struct importer *im)
{
    int rc = attempt(im, im->src->mode == IMPORT_REPLACE);
    while (rc == START_OVER) { /* at most for the room, for the order, and for a fault */
        rc = start_over(im);
    }
    end(im);
    if (rc < 0) { /* nothing of it will be */
        im->report.inserted = im->report.updated = im->report.unchanged = 0;
        im->report.deleted = im->report.absent = 0;
    }
    return rc;
}

/* A failure that nobody has put into words yet. */
static int in_words(const struct import_source *src, int rc, yz_error *err)
{
    if (rc < 0 && err && err->code != rc && src->rejects && yzi_rejects_failed(src->rejects)) {
        return yzi_fail(err, rc,
                        "%s: the import stopped and changed nothing: the file of what is rejected "
                        "could not be written (%s)",
                        src->name, yz_err_words(rc));
    }
    if (rc < 0 && err && err->code != rc) {
        return yzi_fail(err, rc, "%s: the import stopped and changed nothing: %s", src->name,
                        yz_err_words(rc));
    }
    return rc;
}

int yzi_store_import(struct store *s, const struct import_source *src, struct import_report *out,
                     yz_error *err)
{
    yz_error unasked;
    err = err ? err : &unasked;
    *err = (yz_error){0};
    if (s->read_only || src->mode < IMPORT_UPSERT || src->mode > IMPORT_DELETE) {
        return yzi_fail(err, YZ_EINVAL, "%s: %s", src->name,
                        s->read_only ? "the store is open for reading only"
                                     : "the import mode is unknown");
    }
    YZ_AUTO(yzi_free_ptr) struct importer *im = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *im, &im));
    im->store = s;
    im->src = src;
    im->err = err;
    im->old = yzi_generation_pin(s);
    yzi_plain_init(&im->before);
    yzi_buf_init(&im->plain, YZ_VALUE_MAX + 64u);
    yzi_buf_init(&im->last, YZ_DB_KEY_MAX);
    yzi_buf_init(&im->previous, YZ_DB_KEY_MAX);
    im->as_it_stands = src->change != NULL;
    int rc = run(im);
    yzi_generation_unpin(&im->old);
    yzi_plain_fini(&im->before);
    yzi_buf_wipe(&im->plain);
    yzi_buf_wipe(&im->last);
    yzi_buf_wipe(&im->previous);
    free(im->met);
    if (rc == 0 || rc == YZ_EDATA) {
        *out = im->report;
    }
    return in_words(src, rc, err);
}

/* -- without a store -- */

static int accept_row(void *ctx, const struct scan_place *at, const struct query_value *values,
                      char reason[SCAN_REASON_MAX])
{
    (void)ctx;
    (void)at;
    (void)values;
    (void)reason;
    return 0;
}

int yzi_dataset_check(const struct dataset *d, const struct import_source *src,
                      struct import_report *out, yz_error *err)
{
    if (err) {
        *err = (yz_error){0};
    }
    struct scan_totals totals;
    int rc = yzi_scan(d, src, accept_row, NULL, &totals, err);
    if (rc == 0 || rc == YZ_EDATA) {
        *out = (struct import_report){
            .rows = totals.rows, .faults = totals.faults, .rejected = totals.rejected};
        for (size_t i = 0; i < d->fields_n; i++) {
            out->unseen[i] = totals.rows && !totals.seen[i];
        }
    }
    return in_words(src, rc, err);
}

const char *yzi_work_phase_name(enum work_phase phase)
{
    static const char *const names[] = {
        [PHASE_COPY] = "copying",      [PHASE_READ] = "reading",   [PHASE_SORT] = "sorting",
        [PHASE_LOAD] = "loading",      [PHASE_INDEX] = "indexing", [PHASE_EXPORT] = "exporting",
        [PHASE_ENCRYPT] = "encrypting"};
    return names[phase];
}

bool yzi_import_format_of(const char *name, enum import_format *out)
{
    static const struct {
        const char *end;
        enum import_format format;
    } ends[] = {{".csv", FORMAT_CSV},
                {".json", FORMAT_JSON},
                {".jsonl", FORMAT_JSONL},
                {".ndjson", FORMAT_JSONL},
                {".xml", FORMAT_XML}};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t k = strlen(ends[i].end);
        if (n > k && strcasecmp(name + n - k, ends[i].end) == 0) {
            *out = ends[i].format;
            return true;
        }
    }
    return false;
}
