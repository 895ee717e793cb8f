/* SPDX-License-Identifier: Apache-2.0
 *
 * CSV as a source: columns to fields, by the header row or by position.
 */
#include "adapters/dataset/csv.h"
#include "adapters/dataset/scan.h"
#include "base/text.h"

#define NAME_SHOWN 120u
#define NAMES_SHOWN 160u /* bytes after which names are only counted */
#define IGNORED (-1)
#define UNKNOWN (-2)

struct csv_scan {
    struct scan *scan;
    const struct dataset *d;
    int field_of[CSV_COLUMNS_MAX]; /* column -> field, or IGNORED */
    size_t columns;
    bool has_columns; /* the header was read, or needs not be */
    struct raw_value values[DATASET_FIELDS_MAX];
};

/* -- faults -- */

/* Columns that one fault is about: the first few are named, the others counted. */
struct columns {
    size_t n, named;
    char names[NAMES_SHOWN + NAME_SHOWN]; /* 'a', 'b' */
};

/* A column's name from the file, fit to be shown: cut, and without control characters. */
static void shown(yz_bytes name, char out[NAME_SHOWN + 1])
{
    size_t n = yzi_utf8_cut(name, NAME_SHOWN);
    for (size_t i = 0; i < n; i++) {
        out[i] = name.p[i] < 0x20 || name.p[i] == 0x7f ? '?' : (char)name.p[i];
    }
    out[n] = '\0';
}

static void add_column(struct columns *list, yz_bytes name)
{
    char text[NAME_SHOWN + 1];
    size_t used = strlen(list->names);
    shown(name, text);
    if (list->named == list->n++ && used < NAMES_SHOWN) {
        snprintf(list->names + used, sizeof list->names - used, "%s'%s'", used ? ", " : "", text);
        list->named++;
    }
}

static int fault(struct csv_scan *c, uint64_t line, const char *reason)
{
    const struct scan_place at = {.line = line};
    return yzi_scan_fault(c->scan, &at, NULL, reason);
}

/* Nothing, when there is no such column. */
static int columns_fault(struct csv_scan *c, uint64_t line, const struct columns *list,
                         const char *one, const char *several)
{
    char more[40] = "", reason[sizeof list->names + 250];
    YZ_ENSURE(list->n > 0, 0);
    if (list->n > list->named) {
        snprintf(more, sizeof more, " and %zu more", list->n - list->named);
    }
    snprintf(reason, sizeof reason, "the column%s %s%s %s", list->n == 1 ? "" : "s", list->names,
             more, list->n == 1 ? one : several);
    return fault(c, line, reason);
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

static int field_of_column(const struct csv_scan *c, yz_bytes name)
{
    for (size_t i = 0; i < c->d->fields_n; i++) {
        if (yzi_bytes_eq_str(name, c->d->fields[i].csv)) {
            return yzi_scan_wants(c->scan, i) ? (int)i : IGNORED;
        }
    }
    return is_ignored(c->d, name) || yzi_scan_keys_only(c->scan) ? IGNORED : UNKNOWN;
}

/* What a header may have wrong with its columns: one fault for each kind, whatever their number. */
struct header {
    bool found[DATASET_FIELDS_MAX]; /* by field */
    size_t found_n;
    struct columns nameless, twice, unknown, missing;
};

static bool stands_before(const struct csv_row *row, size_t column)
{
    for (size_t i = 0; i < column; i++) {
        if (yzi_bytes_eq(row->fields[i], row->fields[column])) {
            return true;
        }
    }
    return false;
}

static void map_column(struct csv_scan *c, const struct csv_row *row, size_t column,
                       struct header *h)
{
    char position[24];
    yz_bytes name = row->fields[column];
    c->field_of[column] = IGNORED;
    if (name.n == 0) {
        snprintf(position, sizeof position, "%zu", column + 1);
        add_column(&h->nameless, yzi_bytes_str(position));
        return;
    }
    if (stands_before(row, column)) {
        add_column(&h->twice, name);
        return;
    }
    int field = field_of_column(c, name);
    if (field == UNKNOWN) {
        add_column(&h->unknown, name);
        return;
    }
    c->field_of[column] = field;
    if (field != IGNORED) {
        h->found[field] = true;
        h->found_n++;
    }
}

static int check_names(struct csv_scan *c, const struct csv_row *row)
{
    for (size_t i = 0; i < row->n; i++) {
        if (!yzi_utf8_is_valid(row->fields[i])) {
            YZ_TRY(fault(c, row->line,
                         c->d->csv.encoding == ENCODING_UTF8
                             ? "a column name is not valid UTF-8 (if the file is in GBK or GB "
                               "18030, write `csv: {encoding: gb18030}`)"
                             : "a column name is not GB 18030 (if the file is in UTF-8, remove "
                               "`encoding:`)"));
            return YZ_EDATA;
        }
    }
    return 0;
}

/* A first row that has none of the columns is likely a record, whose values are not to be told. */
static int no_header(struct csv_scan *c, uint64_t line, const struct columns *missing)
{
    char reason[sizeof missing->names + 250];
    snprintf(reason, sizeof reason,
             "the header has none of the definition's columns (%s%s); if the file has no header "
             "row, write `csv: {header: false}`%s",
             missing->names, missing->n > missing->named ? ", …" : "",
             c->d->csv.encoding == ENCODING_GB18030
                 ? ", and if it is in another encoding than GB 18030, convert it"
                 : "");
    YZ_TRY(fault(c, line, reason));
    return YZ_EDATA;
}

static int tell_columns(struct csv_scan *c, uint64_t line, const struct header *h)
{
    YZ_TRY(h->found_n == 0 && h->unknown.n ? no_header(c, line, &h->missing) : 0);
    YZ_TRY(columns_fault(c, line, &h->nameless, "has no name (give it one, or remove it)",
                         "have no name (give them one, or remove them)"));
    YZ_TRY(columns_fault(c, line, &h->twice, "stands twice in the header",
                         "stand twice in the header"));
    YZ_TRY(columns_fault(c, line, &h->unknown,
                         "belongs to no field (give a field `csv:` with this name, or list it "
                         "under `csv: ignore:`)",
                         "belong to no field (give fields `csv:` with these names, or list them "
                         "under `csv: ignore:`)"));
    return columns_fault(c, line, &h->missing, "is missing", "are missing");
}

/* A header of one column that no field reads and that holds another delimiter, or '\0'. */
static char likely_delimiter(const struct csv_scan *c, const struct csv_row *row)
{
    if (row->n != 1 || c->d->fields_n < 2 || field_of_column(c, row->fields[0]) != UNKNOWN) {
        return '\0';
    }
    for (const char *d = ",;|\t"; *d; d++) {
        if (*d != c->d->csv.delimiter && memchr(row->fields[0].p, *d, row->fields[0].n)) {
            return *d;
        }
    }
    return '\0';
}

static int wrong_delimiter(struct csv_scan *c, uint64_t line, char likely)
{
    const char word[] = {likely, '\0'};
    char reason[200];
    snprintf(reason, sizeof reason,
             "the header is a single column; if %s%s%s separates the columns, write `csv: "
             "{delimiter: \"%s\"}`",
             likely == '\t' ? "" : "'", likely == '\t' ? "a tab" : word, likely == '\t' ? "" : "'",
             likely == '\t' ? "tab" : word);
    YZ_TRY(fault(c, line, reason));
    return YZ_EDATA;
}

static int read_header(struct csv_scan *c, const struct csv_row *row)
{
    struct header h = {.found_n = 0};
    char likely = likely_delimiter(c, row);
    YZ_TRY(likely ? wrong_delimiter(c, row->line, likely) : 0);
    YZ_TRY(check_names(c, row));
    c->columns = row->n;
    for (size_t i = 0; i < row->n; i++) {
        map_column(c, row, i, &h);
    }
    for (size_t i = 0; i < c->d->fields_n; i++) {
        if (!h.found[i] && yzi_scan_wants(c->scan, i)) {
            add_column(&h.missing, yzi_bytes_str(c->d->fields[i].csv));
        }
    }
    YZ_TRY(tell_columns(c, row->line, &h));
    c->has_columns = true;
    YZ_ENSURE(yzi_scan_faults(c->scan) == 0, YZ_EDATA);
    return yzi_scan_columns(c->scan, row->fields, row->n);
}

/* Without a header the definition gives positions; it holds them to 1..n without a gap. */
static int map_positions(struct csv_scan *c)
{
    char text[CSV_COLUMNS_MAX][24];
    yz_bytes names[CSV_COLUMNS_MAX];
    c->columns = c->d->fields_n + c->d->csv.ignore.n;
    for (size_t i = 0; i < c->columns; i++) {
        snprintf(text[i], sizeof text[i], "%zu", i + 1);
        names[i] = yzi_bytes_str(text[i]);
        c->field_of[i] = field_of_column(c, names[i]);
    }
    c->has_columns = true;
    return yzi_scan_columns(c->scan, names, c->columns);
}

/* -- rows -- */

/* Columns nobody reads are held to the encoding, too: it may be wrong for the whole file. */
static const char *ignored_fault(const struct csv_scan *c, const struct csv_row *row)
{
    for (size_t i = 0; i < row->n; i++) {
        if (c->field_of[i] == IGNORED && !yzi_utf8_is_valid(row->fields[i])) {
            return c->d->csv.encoding == ENCODING_UTF8 ? "an ignored column is not valid UTF-8"
                                                       : "an ignored column is not GB 18030";
        }
    }
    return NULL;
}

/* What spreadsheets leave below a table. */
static bool is_empty(const struct csv_row *row)
{
    size_t n = 0;
    while (n < row->n && row->fields[n].n == 0) {
        n++;
    }
    return n == row->n && n > 1;
}

static int on_row(void *ctx, const struct csv_row *row)
{
    struct csv_scan *c = ctx;
    char reason[80];
    if (!c->has_columns) {
        return read_header(c, row);
    }
    struct raw_record r = {.at = {.line = row->line},
                           .values = c->values,
                           .columns = row->fields,
                           .columns_n = row->n};
    if (row->n != c->columns) {
        snprintf(reason, sizeof reason, "has %zu column%s, not %zu", row->n, row->n == 1 ? "" : "s",
                 c->columns);
        r.fault = reason;
        return yzi_scan_record(c->scan, &r);
    }
    r.fault = is_empty(row) ? "has nothing in any column (remove the row)" : ignored_fault(c, row);
    for (size_t i = 0; i < row->n; i++) {
        if (c->field_of[i] != IGNORED) {
            c->values[c->field_of[i]] = (struct raw_value){.present = true, .v = row->fields[i]};
        }
    }
    return yzi_scan_record(c->scan, &r);
}

static int read_file(struct csv_scan *c, struct csv_reader *csv)
{
    for (yz_bytes piece = {.n = 1}; piece.n;) {
        uint64_t line = 0;
        const char *reason = NULL;
        YZ_TRY(yzi_scan_piece(c->scan, c->d->csv.encoding, &piece));
        int rc = yzi_csv_feed(csv, piece, piece.n == 0, on_row, c, &line, &reason);
        if (rc == YZ_EDATA && reason) {
            YZ_TRY(fault(c, line, reason));
        }
        YZ_TRY(rc);
    }
    return c->has_columns ? 0 : fault(c, 1, "the header row is missing");
}

int yzi_scan_csv(struct scan *s)
{
    YZ_AUTO(yzi_free_ptr) struct csv_scan *c = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *c, &c));
    c->scan = s;
    c->d = yzi_scan_dataset(s);
    YZ_TRY(c->d->csv.header ? 0 : map_positions(c));
    struct csv_reader *csv;
    YZ_TRY(yzi_csv_new(c->d->csv.delimiter, &csv));
    int rc = read_file(c, csv);
    yzi_csv_free(csv);
    return rc;
}
