/* SPDX-License-Identifier: Apache-2.0
 *
 * Import: the rows of a scan, put in one write transaction that is committed only when the whole
 * file was right and something changed. Memory is the transaction's dirty pages (LMDB spills them
 * beyond 512 MiB), one row, and a bit per record that was there before.
 *
 * Which keys this file had already is known without keeping them: every record has an ordinal. One
 * at or above the ordinal the import began with was inserted by it; for the others a bit is set
 * when they are met. Only to name the line of the first occurrence is the file read again.
 */
#include <inttypes.h>

#include "adapters/dataset/store_impl.h"

/* A row at most: its values with their lengths, and what sealing adds to each. */
#define ROW_BYTES_MAX ((size_t)16 * 1024 * 1024)

struct importer {
    struct store *store;
    const struct import_source *src;
    struct db_txn *txn;
    struct import_report report;
    uint64_t first_ordinal, next_ordinal;
    uint64_t sequence;
    uint8_t *met;           /* a bit per ordinal below first_ordinal */
    yz_buf key, row, plain; /* wiped */
};

/* -- keys -- */

static int row_key(const struct store *s, const struct query_value *values, yz_buf *key)
{
    yz_bytes parts[DATASET_KEY_MAX];
    for (size_t i = 0; i < s->dataset->key_n; i++) {
        parts[i] = values[s->dataset->key[i]].v;
    }
    return yzi_key_encode(s->dataset, &s->keys, parts, key);
}

struct first_line {
    const struct store *store;
    yz_bytes key;
    uint64_t before, found;
    yz_buf scratch;
};

static int look_for_key(void *ctx, uint64_t line, const struct query_value *values,
                        char reason[SCAN_REASON_MAX])
{
    (void)reason;
    struct first_line *f = ctx;
    YZ_TRY(row_key(f->store, values, &f->scratch));
    if (yzi_bytes_eq(yzi_bytes_buf(&f->scratch), f->key)) {
        f->found = line;
        return YZ_EEXIST; /* ends the scan */
    }
    return line < f->before ? 0 : YZ_ENOTFOUND;
}

/* Refuse the row at `line`, naming the line its key stood in first. */
static int refuse_duplicate(struct importer *im, uint64_t line, char reason[SCAN_REASON_MAX])
{
    struct first_line f = {
        .store = im->store, .key = yzi_bytes_buf(&im->key), .before = line, .found = line};
    yzi_buf_init(&f.scratch, im->key.max);
    struct import_source again = {
        .fd = im->src->fd, .name = im->src->name, .max_faults = UINT64_MAX};
    struct scan_totals totals;
    int rc = yzi_scan_csv(im->store->dataset, &again, look_for_key, &f, &totals, NULL);
    yzi_buf_wipe(&f.scratch);
    YZ_ENSURE(rc != YZ_ENOMEM, rc);
    if (f.found < line) {
        snprintf(reason, SCAN_REASON_MAX, "has the key of line %" PRIu64 " again", f.found);
    } else { /* the file changed while it was read */
        snprintf(reason, SCAN_REASON_MAX, "has the key of an earlier line again");
    }
    return YZ_EDATA;
}

/* -- rows -- */

/* Whether the stored record was met in this import before; from now on it was. */
static bool was_met(struct importer *im, uint64_t ordinal)
{
    if (ordinal >= im->first_ordinal) {
        return true;
    }
    uint8_t bit = (uint8_t)(1u << (ordinal % 8));
    bool met = im->met[ordinal / 8] & bit;
    im->met[ordinal / 8] |= bit;
    return met;
}

static int put(struct importer *im, uint64_t ordinal, const struct query_value *values)
{
    yz_bytes key = yzi_bytes_buf(&im->key);
    YZ_TRY(yzi_row_encode(&im->store->layout, key, ++im->sequence, ordinal, values, &im->row));
    return yzi_db_put(im->txn, im->store->records, key, yzi_bytes_buf(&im->row), DB_PUT_ANY);
}

static int update(struct importer *im, yz_bytes stored, const struct query_value *values)
{
    yz_bytes key = yzi_bytes_buf(&im->key);
    struct stored_row row;
    bool equal;
    YZ_TRY(yzi_row_decode(stored, &row));
    YZ_TRY(yzi_row_equals(&im->store->layout, key, &row, values, &im->plain, &equal));
    if (equal) {
        im->report.unchanged++;
        return 0;
    }
    im->report.updated++;
    return put(im, row.ordinal, values);
}

static int import_row(void *ctx, uint64_t line, const struct query_value *values,
                      char reason[SCAN_REASON_MAX])
{
    struct importer *im = ctx;
    YZ_TRY(row_key(im->store, values, &im->key));
    yz_bytes stored;
    int rc = yzi_db_get(im->txn, im->store->records, yzi_bytes_buf(&im->key), &stored);
    if (rc == YZ_ENOTFOUND) {
        im->report.inserted++;
        return put(im, im->next_ordinal++, values);
    }
    YZ_TRY(rc);
    struct stored_row row;
    YZ_TRY(yzi_row_decode(stored, &row));
    YZ_ENSURE(row.ordinal < im->next_ordinal, YZ_ECORRUPT);
    if (was_met(im, row.ordinal)) {
        return refuse_duplicate(im, line, reason);
    }
    return update(im, stored, values);
}

/* -- the transaction -- */

static int begin(struct importer *im)
{
    struct store *s = im->store;
    YZ_TRY(yzi_db_begin_write(s->env, &im->txn));
    YZ_TRY(yzi_store_meta_get(im->txn, s->meta, META_SEQUENCE, &im->sequence));
    YZ_TRY(yzi_store_meta_get(im->txn, s->meta, META_ORDINAL, &im->first_ordinal));
    im->next_ordinal = im->first_ordinal;
    im->report.sequence = im->sequence;
    YZ_ENSURE(im->first_ordinal < SIZE_MAX / 2, YZ_ECORRUPT);
    return yzi_alloc((size_t)im->first_ordinal / 8 + 1, 1, &im->met);
}

static int commit(struct importer *im, yz_error *err)
{
    struct store *s = im->store;
    if (im->src->dry_run || im->report.inserted + im->report.updated == 0) {
        return 0;
    }
    YZ_TRY(yzi_store_meta_put(im->txn, s->meta, META_SEQUENCE, im->sequence));
    YZ_TRY(yzi_store_meta_put(im->txn, s->meta, META_ORDINAL, im->next_ordinal));
    int rc = yzi_db_commit(&im->txn);
    if (rc < 0) {
        return yzi_fail(err, rc,
                        "%s: the store could not be written (%s); open it again to see whether "
                        "the import is in it, importing again does no harm",
                        im->src->name, yz_err_name(rc));
    }
    im->report.sequence = im->sequence;
    return 0;
}

static int run(struct importer *im, yz_error *err)
{
    YZ_TRY(begin(im));
    struct scan_totals totals;
    int rc = yzi_scan_csv(im->store->dataset, im->src, import_row, im, &totals, err);
    im->report.rows = totals.rows;
    im->report.faults = totals.faults;
    if (rc < 0) { /* nothing of it will be */
        im->report.inserted = im->report.updated = im->report.unchanged = 0;
        return rc;
    }
    return commit(im, err);
}

/* A failure that nobody has put into words yet. */
static int in_words(const struct import_source *src, int rc, yz_error *err)
{
    if (rc < 0 && err && err->code != rc) {
        return yzi_fail(err, rc, "%s: the import stopped and changed nothing (%s)", src->name,
                        yz_err_name(rc));
    }
    return rc;
}

int yzi_store_import_csv(struct store *s, const struct import_source *src,
                         struct import_report *out, yz_error *err)
{
    if (err) {
        *err = (yz_error){0};
    }
    if (s->read_only || src->mode != IMPORT_UPSERT) {
        return yzi_fail(err, YZ_EINVAL, "%s: %s", src->name,
                        s->read_only ? "the store is open for reading only"
                                     : "the import mode is unknown");
    }
    struct importer im = {.store = s, .src = src};
    yzi_buf_init(&im.key, (size_t)DATASET_KEY_MAX * YZ_DB_KEY_MAX);
    yzi_buf_init(&im.row, ROW_BYTES_MAX);
    yzi_buf_init(&im.plain, YZ_VALUE_MAX + 64u);
    int rc = run(&im, err);
    yzi_db_abort(&im.txn);
    free(im.met);
    yzi_buf_wipe(&im.key);
    yzi_buf_wipe(&im.row);
    yzi_buf_wipe(&im.plain);
    if (rc == 0 || rc == YZ_EDATA) {
        *out = im.report;
    }
    return in_words(src, rc, err);
}

static int accept_row(void *ctx, uint64_t line, const struct query_value *values,
                      char reason[SCAN_REASON_MAX])
{
    (void)ctx;
    (void)line;
    (void)values;
    (void)reason;
    return 0;
}

int yzi_dataset_check_csv(const struct dataset *d, const struct import_source *src,
                          struct import_report *out, yz_error *err)
{
    if (err) {
        *err = (yz_error){0};
    }
    struct scan_totals totals;
    int rc = yzi_scan_csv(d, src, accept_row, NULL, &totals, err);
    if (rc == 0 || rc == YZ_EDATA) {
        *out = (struct import_report){.rows = totals.rows, .faults = totals.faults};
    }
    return in_words(src, rc, err);
}
