/* SPDX-License-Identifier: Apache-2.0
 *
 * A CSV file as checked rows: columns to fields, text to canonical values, every fault with its
 * line and field. Faults never repeat a value, which may be personal; a column's name may be told.
 * What can be told further is told further: a wrong row does not hide the next one, but a wrong
 * header or wrong quoting ends the scan, since nothing behind it means anything.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/dataset/csv.h"
#include "adapters/dataset/store_impl.h"
#include "base/text.h"

#define PIECE_BYTES (256u * 1024u)
#define PROGRESS_ROWS 8192u
#define FAULTS_DEFAULT 20u
/* Canonical text is longer than what the file holds by a little ("1" is "true", a time gains a Z).
 */
#define CANONICAL_MAX ((size_t)8 * CSV_ROW_MAX)
#define NAME_SHOWN 120u
#define IGNORED (-1)

struct scan {
    const struct dataset *d;
    const struct import_source *src;
    scan_row_fn *row;
    void *ctx;
    yz_error *err;
    struct scan_totals totals;
    uint64_t max_faults;
    uint64_t bytes, bytes_total;
    int field_of[CSV_COLUMNS_MAX]; /* column -> field, or IGNORED */
    size_t columns;
    bool has_columns; /* the header was read, or needs not be */
    yz_buf canonical; /* the current row's values, one after the other */
    struct query_value values[DATASET_FIELDS_MAX];
};

/* -- faults -- */

/* Tell a fault; negative when the scan is to end. */
static int fault(struct scan *s, uint64_t line, const char *field, const char *reason)
{
    if (s->totals.faults++ == 0) {
        yz_ignore(yzi_fail(s->err, YZ_EDATA, "%s:%" PRIu64 ": %s%s%s", s->src->name, line,
                           field ? field : "", field ? ": " : "", reason),
                  "the code is returned when the scan ends");
    }
    if (s->src->fault) {
        s->src->fault(s->src->ctx,
                      &(struct import_fault){
                          .file = s->src->name, .line = line, .field = field, .reason = reason});
    }
    return s->totals.faults >= s->max_faults ? YZ_EDATA : 0;
}

/* A column's name from the file, fit to be shown: cut, and without control characters. */
static void shown(yz_bytes name, char out[NAME_SHOWN + 1])
{
    size_t n = yzi_utf8_cut(name, NAME_SHOWN);
    for (size_t i = 0; i < n; i++) {
        out[i] = name.p[i] < 0x20 || name.p[i] == 0x7f ? '?' : (char)name.p[i];
    }
    out[n] = '\0';
}

static int column_fault(struct scan *s, uint64_t line, yz_bytes name, const char *what)
{
    char text[NAME_SHOWN + 1], reason[NAME_SHOWN + 200];
    shown(name, text);
    snprintf(reason, sizeof reason, "the column '%s' %s", text, what);
    return fault(s, line, NULL, reason);
}

/* -- columns -- */

static bool is_ignored(const struct dataset *d, yz_bytes name)
{
    for (size_t i = 0; i < d->csv.ignore.n; i++) {
        if (yzi_bytes_eq_str(name, d->csv.ignore.items[i])) {
            return true;
        }
    }
    return false;
}

/* The field read from the column of this name, IGNORED, or -2 when the definition does not know
 * it. */
static int field_of_column(const struct dataset *d, yz_bytes name)
{
    for (size_t i = 0; i < d->fields_n; i++) {
        if (yzi_bytes_eq_str(name, d->fields[i].csv)) {
            return (int)i;
        }
    }
    return is_ignored(d, name) ? IGNORED : -2;
}

static int map_column(struct scan *s, const struct csv_row *row, size_t column)
{
    yz_bytes name = row->fields[column];
    if (!yzi_utf8_is_valid(name)) {
        return fault(s, row->line, NULL,
                     "a column name is not valid UTF-8 (save the file as UTF-8; GBK and GB 18030 "
                     "are not read)");
    }
    if (name.n == 0) {
        return fault(s, row->line, NULL, "a column has no name");
    }
    for (size_t i = 0; i < column; i++) {
        if (yzi_bytes_eq(row->fields[i], name)) {
            return column_fault(s, row->line, name, "stands twice in the header");
        }
    }
    int field = field_of_column(s->d, name);
    if (field == -2) {
        return column_fault(s, row->line, name,
                            "belongs to no field (give a field `csv:` with this name, or list it "
                            "under `csv: ignore:`)");
    }
    s->field_of[column] = field;
    return 0;
}

static int read_header(struct scan *s, const struct csv_row *row)
{
    bool found[DATASET_FIELDS_MAX] = {0};
    s->columns = row->n;
    for (size_t i = 0; i < row->n; i++) {
        s->field_of[i] = IGNORED;
        YZ_TRY(map_column(s, row, i));
        if (s->field_of[i] != IGNORED) {
            found[s->field_of[i]] = true;
        }
    }
    for (size_t i = 0; i < s->d->fields_n; i++) {
        if (!found[i]) {
            YZ_TRY(column_fault(s, row->line, yzi_bytes_str(s->d->fields[i].csv), "is missing"));
        }
    }
    s->has_columns = true;
    return s->totals.faults ? YZ_EDATA : 0;
}

/* Without a header the definition gives positions; it holds them to 1..n without a gap. */
static void map_positions(struct scan *s)
{
    s->columns = s->d->fields_n + s->d->csv.ignore.n;
    for (size_t i = 0; i < s->columns; i++) {
        char position[24];
        snprintf(position, sizeof position, "%zu", i + 1);
        s->field_of[i] = field_of_column(s->d, yzi_bytes_str(position));
    }
    s->has_columns = true;
}

/* -- rows -- */

/* One value: its canonical text is appended to s->canonical, *null tells there is none. */
static int check_value(struct scan *s, uint64_t line, int field, yz_bytes text, bool *null)
{
    const struct dataset_field *f = field == IGNORED ? NULL : &s->d->fields[field];
    *null = true;
    if (!f) {
        return yzi_utf8_is_valid(text)
                   ? 0
                   : fault(s, line, NULL, "an ignored column is not valid UTF-8");
    }
    if (text.n == 0) {
        return f->required ? fault(s, line, f->name, "is required and empty") : 0;
    }
    const char *reason = NULL;
    int rc = yzi_field_canonical(f, text, &s->canonical, &reason);
    if (rc == YZ_EDATA) {
        return fault(s, line, f->name, reason);
    }
    *null = rc < 0;
    return rc;
}

static int check_row(struct scan *s, const struct csv_row *row)
{
    size_t end[DATASET_FIELDS_MAX];
    uint64_t faults = s->totals.faults;
    yzi_buf_clear(&s->canonical);
    for (size_t i = 0; i < s->columns; i++) {
        int field = s->field_of[i];
        bool null;
        YZ_TRY(check_value(s, row->line, field, row->fields[i], &null));
        if (field != IGNORED) {
            s->values[field] = (struct query_value){.null = null};
            end[field] = s->canonical.n;
        }
    }
    if (s->totals.faults != faults) {
        return 0;
    }
    size_t start = 0; /* views only now: the buffer no longer moves */
    for (size_t i = 0; i < s->columns; i++) {
        int field = s->field_of[i];
        if (field != IGNORED && !s->values[field].null) {
            s->values[field].v = yzi_bytes(s->canonical.p + start, end[field] - start);
            start = end[field];
        }
    }
    char reason[SCAN_REASON_MAX];
    int rc = s->row(s->ctx, row->line, s->values, reason);
    return rc == YZ_EDATA ? fault(s, row->line, NULL, reason) : rc;
}

static int on_row(void *ctx, const struct csv_row *row)
{
    struct scan *s = ctx;
    if (!s->has_columns) {
        return read_header(s, row);
    }
    s->totals.rows++;
    if (row->n != s->columns) {
        char reason[80];
        snprintf(reason, sizeof reason, "has %zu column%s, not %zu", row->n, row->n == 1 ? "" : "s",
                 s->columns);
        return fault(s, row->line, NULL, reason);
    }
    YZ_TRY(check_row(s, row));
    if (s->src->progress && s->totals.rows % PROGRESS_ROWS == 0) {
        s->src->progress(s->src->ctx, s->totals.rows, s->bytes, s->bytes_total);
    }
    return 0;
}

/* -- the file -- */

static int read_piece(struct scan *s, uint8_t *piece, size_t *out_n)
{
    ssize_t n;
    do {
        n = pread(s->src->fd, piece, PIECE_BYTES, (off_t)s->bytes);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return yzi_fail(s->err, yzi_err_from_errno(errno), "%s: %s", s->src->name, strerror(errno));
    }
    *out_n = (size_t)n;
    return 0;
}

static int read_file(struct scan *s, struct csv_reader *csv, uint8_t *piece)
{
    for (size_t n = 1; n > 0;) {
        YZ_TRY(read_piece(s, piece, &n));
        s->bytes += n;
        uint64_t line = 0;
        const char *reason = NULL;
        int rc = yzi_csv_feed(csv, yzi_bytes(piece, n), n == 0, on_row, s, &line, &reason);
        if (rc == YZ_EDATA && reason) {
            YZ_TRY(fault(s, line, NULL, reason));
        }
        YZ_TRY(rc);
    }
    if (s->bytes == 0) {
        YZ_TRY(fault(s, 1, NULL, "the file is empty"));
    } else if (!s->has_columns) {
        YZ_TRY(fault(s, 1, NULL, "the header row is missing"));
    }
    return s->totals.faults ? YZ_EDATA : 0;
}

static int scan_with(struct scan *s)
{
    struct stat st;
    if (fstat(s->src->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return yzi_fail(s->err, YZ_EINVAL, "%s: is not a regular file", s->src->name);
    }
    s->bytes_total = (uint64_t)st.st_size;
    if (!s->d->csv.header) {
        map_positions(s);
    }
    YZ_AUTO(yzi_free_ptr) uint8_t *piece = NULL;
    YZ_TRY(yzi_alloc(PIECE_BYTES, 1, &piece));
    struct csv_reader *csv;
    YZ_TRY(yzi_csv_new(s->d->csv.delimiter, &csv));
    int rc = read_file(s, csv, piece);
    yzi_csv_free(csv);
    explicit_bzero(piece, PIECE_BYTES);
    return rc;
}

int yzi_scan_csv(const struct dataset *d, const struct import_source *src, scan_row_fn *row,
                 void *ctx, struct scan_totals *totals, yz_error *err)
{
    *totals = (struct scan_totals){0};
    YZ_AUTO(yzi_free_ptr) struct scan *s = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *s, &s));
    *s = (struct scan){.d = d,
                       .src = src,
                       .row = row,
                       .ctx = ctx,
                       .err = err,
                       .max_faults = src->max_faults ? src->max_faults : FAULTS_DEFAULT};
    yzi_buf_init(&s->canonical, CANONICAL_MAX);
    int rc = yzi_buf_reserve(&s->canonical, 1); /* views of empty values need a pointer, too */
    rc = rc < 0 ? rc : scan_with(s);
    yzi_buf_wipe(&s->canonical);
    *totals = s->totals;
    return rc;
}
