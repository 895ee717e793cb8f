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

#include "adapters/dataset/record_write.h"

struct importer {
    struct store *store;
    const struct import_source *src;
    struct record_writer *w;
    struct import_report report;
    uint64_t first_ordinal;
    uint8_t *met; /* a bit per ordinal below first_ordinal */
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
        .store = im->store, .key = yzi_writer_target(im->w)->key, .before = line, .found = line};
    yzi_buf_init(&f.scratch, (size_t)DATASET_KEY_MAX * YZ_DB_KEY_MAX);
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

/* The other record's key cannot be told: its values are not to be repeated. */
static int refuse_second(const struct write_conflict *c, char reason[SCAN_REASON_MAX])
{
    snprintf(reason, SCAN_REASON_MAX,
             "has the same values as another record in the unique index '%s'", c->index->name);
    return YZ_EDATA;
}

static int import_row(void *ctx, uint64_t line, const struct query_value *values,
                      char reason[SCAN_REASON_MAX])
{
    struct importer *im = ctx;
    YZ_TRY(yzi_writer_seek(im->w, values));
    const struct write_target *target = yzi_writer_target(im->w);
    if (target->found && was_met(im, target->row.ordinal)) {
        return refuse_duplicate(im, line, reason);
    }
    enum write_effect effect;
    struct write_conflict conflict;
    int rc = yzi_writer_put(im->w, values, &effect, &conflict);
    if (rc == YZ_EEXIST) {
        return refuse_second(&conflict, reason);
    }
    YZ_TRY(rc);
    im->report.inserted += effect == WRITE_INSERTED;
    im->report.updated += effect == WRITE_UPDATED;
    im->report.unchanged += effect == WRITE_UNCHANGED;
    return 0;
}

/* -- the transaction -- */

static int begin(struct importer *im)
{
    YZ_TRY(yzi_writer_begin(im->store, &im->w));
    im->first_ordinal = yzi_writer_next_ordinal(im->w);
    im->report.sequence = yzi_writer_sequence(im->w);
    YZ_ENSURE(im->first_ordinal < SIZE_MAX / 2, YZ_ECORRUPT);
    return yzi_alloc((size_t)im->first_ordinal / 8 + 1, 1, &im->met);
}

static int commit(struct importer *im, yz_error *err)
{
    if (im->src->dry_run) {
        return 0;
    }
    int rc = yzi_writer_commit(im->w, &im->report.sequence);
    if (rc < 0) {
        return yzi_fail(err, rc,
                        "%s: the store could not be written (%s); open it again to see whether "
                        "the import is in it, importing again does no harm",
                        im->src->name, yz_err_name(rc));
    }
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
    int rc = run(&im, err);
    yzi_writer_end(&im.w);
    free(im.met);
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
