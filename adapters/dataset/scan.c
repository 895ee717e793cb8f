/* SPDX-License-Identifier: Apache-2.0
 *
 * The mapper: raw records to canonical values, every fault with its place and field. Faults never
 * repeat a value, which may be personal; a column's name may be told. What can be told further is
 * told further: a wrong record does not hide the next one, but where the file itself is wrong the
 * scan ends, since nothing behind it means anything.
 */
#include "adapters/dataset/scan.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/dataset/advice.h"
#include "adapters/dataset/encoding.h"
#include "adapters/dataset/normalise.h"
#include "adapters/dataset/rejects.h"
#include "adapters/dataset/store_impl.h"
#include "base/text.h"

#define PIECE_BYTES (256u * 1024u)
#define PROGRESS_ROWS 8192u
#define FAULTS_DEFAULT 20u
/* Canonical text is longer than what the file holds by a little ("1" is "true", a time gains a Z).
 */
#define CANONICAL_MAX ((size_t)8 * SCAN_RECORD_MAX)
#define SENTENCE_MAX 700u

struct scan {
    const struct dataset *d;
    const struct import_source *src;
    scan_row_fn *row;
    void *ctx;
    yz_error *err;
    struct scan_totals totals;
    bool mapped; /* some record could be read at all */
    uint64_t max_faults;
    uint8_t *piece;
    struct decoder *decoder;
    uint64_t bytes, bytes_total;
    bool at_end;
    bool bad_encoding;               /* the file is in GB 18030: say so of what is not */
    const struct raw_record *record; /* being mapped; NULL between records */
    bool rejected;                   /* it has a fault, and goes to the rejects */
    yz_buf reasons;                  /* of that */
    yz_buf canonical;                /* its values, one after the other */
    yz_buf scratch;
    struct query_value values[DATASET_FIELDS_MAX];
};

const struct dataset *yzi_scan_dataset(const struct scan *s)
{
    return s->d;
}

bool yzi_scan_keys_only(const struct scan *s)
{
    return s->src->mode == IMPORT_DELETE;
}

bool yzi_scan_wants(const struct scan *s, size_t field)
{
    if (!yzi_scan_keys_only(s)) {
        return true;
    }
    for (size_t i = 0; i < s->d->key_n; i++) {
        if (s->d->key[i] == field) {
            return true;
        }
    }
    return false;
}

uint64_t yzi_scan_faults(const struct scan *s)
{
    return s->totals.faults;
}

/* -- faults -- */

void yzi_import_fault_text(const struct import_fault *f, char *out, size_t cap)
{
    char column[24] = "", record[40] = "";
    if (f->column) {
        snprintf(column, sizeof column, "%" PRIu64 ":", f->column);
    }
    if (f->record) {
        snprintf(record, sizeof record, " record %" PRIu64 ":", f->record);
    }
    snprintf(out, cap, "%s:%" PRIu64 ":%s%s %s%s%s", f->file, f->line, column, record,
             f->field ? f->field : "", f->field ? ": " : "", f->reason);
}

static void tell(struct scan *s, const struct scan_place *at, const char *field, const char *reason)
{
    struct import_fault f = {.file = s->src->name,
                             .line = at->line,
                             .column = at->column,
                             .record = at->record,
                             .field = field,
                             .reason = reason};
    if (s->totals.faults++ == 0) {
        char text[SENTENCE_MAX];
        yzi_import_fault_text(&f, text, sizeof text);
        yz_ignore(yzi_fail(s->err, YZ_EDATA, "%s", text), "returned when the scan ends");
    }
    if (s->src->fault) {
        s->src->fault(s->src->ctx, &f);
    }
}

int yzi_scan_fault(struct scan *s, const struct scan_place *at, const char *field,
                   const char *reason)
{
    tell(s, at, field, reason);
    return s->totals.faults >= s->max_faults ? YZ_EDATA : 0;
}

/* A fault of the record being mapped: told, or noted for the rejects. */
static int record_fault(struct scan *s, const char *field, const char *reason)
{
    if (!s->src->rejects) {
        return yzi_scan_fault(s, &s->record->at, field, reason);
    }
    s->rejected = true;
    YZ_TRY(yzi_buf_put_str(&s->reasons, s->reasons.n ? "; " : ""));
    if (field) {
        YZ_TRY(yzi_buf_put_str(&s->reasons, field));
        YZ_TRY(yzi_buf_put_str(&s->reasons, ": "));
    }
    return yzi_buf_put_str(&s->reasons, reason);
}

static int reject(struct scan *s)
{
    s->totals.rejected++;
    return yzi_rejects_put(s->src->rejects, &s->record->at, yzi_bytes_buf(&s->reasons),
                           s->record->columns, s->record->columns_n);
}

int yzi_scan_columns(struct scan *s, const yz_bytes *names, size_t n)
{
    return s->src->rejects ? yzi_rejects_head(s->src->rejects, names, n) : 0;
}

/* -- records -- */

static int refuse_value(struct scan *s, const struct dataset_field *f, yz_bytes raw,
                        const char *reason)
{
    char advice[120], text[SCAN_REASON_MAX + sizeof advice];
    YZ_TRY(yzi_field_advice(f, raw, advice, sizeof advice));
    snprintf(text, sizeof text, "%s%s", reason, advice);
    return record_fault(s, f->name, text);
}

/* One value: its canonical text is appended to s->canonical, *null tells there is none. */
static int map_value(struct scan *s, const struct dataset_field *f, const struct raw_value *raw,
                     bool *null)
{
    const char *reason = NULL;
    yz_bytes text = {0};
    *null = true;
    if (raw->fault) {
        return record_fault(s, f->name, raw->fault);
    }
    if (raw->present && raw->v.n) {
        YZ_TRY(yzi_normalise(f, raw->v, &s->scratch, &text));
    }
    if (text.n == 0) {
        return f->required ? record_fault(s, f->name, "is required and empty") : 0;
    }
    if (s->bad_encoding && !yzi_utf8_is_valid(text)) {
        return record_fault(s, f->name, "has bytes that are not GB 18030");
    }
    int rc = yzi_field_canonical(f, text, &s->canonical, &reason);
    *null = rc < 0;
    if (rc == YZ_EDATA && s->src->format == FORMAT_CSV && !yzi_utf8_is_valid(text)) {
        reason = "is not valid UTF-8 (if the file is in GBK or GB 18030, write `csv: {encoding: "
                 "gb18030}`)";
    }
    return rc == YZ_EDATA ? refuse_value(s, f, raw->v, reason) : rc;
}

static int map_values(struct scan *s, const struct raw_record *r)
{
    size_t end[DATASET_FIELDS_MAX], start = 0;
    uint64_t faults = s->totals.faults;
    s->mapped = true;
    yzi_buf_clear(&s->canonical);
    for (size_t i = 0; i < s->d->fields_n; i++) {
        bool null = true;
        if (yzi_scan_wants(s, i)) {
            YZ_TRY(map_value(s, &s->d->fields[i], &r->values[i], &null));
        }
        s->values[i] = (struct query_value){.null = null};
        end[i] = s->canonical.n;
        s->totals.seen[i] = s->totals.seen[i] || r->values[i].present;
    }
    if (s->rejected || s->totals.faults != faults) {
        return 0;
    }
    for (size_t i = 0; i < s->d->fields_n; i++) { /* views only now: the buffer no longer moves */
        if (!s->values[i].null) {
            s->values[i].v = yzi_bytes(s->canonical.p + start, end[i] - start);
        }
        start = end[i];
    }
    char reason[SCAN_REASON_MAX];
    int rc = s->row(s->ctx, &r->at, s->values, reason);
    return rc == YZ_EDATA ? record_fault(s, NULL, reason) : rc;
}

int yzi_scan_record(struct scan *s, const struct raw_record *r)
{
    s->totals.rows++;
    s->record = r;
    s->rejected = false;
    yzi_buf_clear(&s->reasons);
    YZ_TRY(r->fault ? record_fault(s, NULL, r->fault) : map_values(s, r));
    YZ_TRY(s->rejected ? reject(s) : 0);
    s->record = NULL;
    if (s->src->progress && s->totals.rows % PROGRESS_ROWS == 0) {
        const struct work_progress at = {PHASE_READ, s->totals.rows, s->bytes, s->bytes_total};
        s->src->progress(s->src->ctx, &at);
    }
    return 0;
}

/* -- the file -- */

static int read_piece(struct scan *s, size_t *out_n)
{
    ssize_t n;
    if (s->src->cancel && atomic_load(s->src->cancel)) {
        return yzi_fail(s->err, YZ_ECANCELLED, "%s: the import was cancelled, nothing was changed",
                        s->src->name);
    }
    do {
        n = pread(s->src->fd, s->piece, PIECE_BYTES, (off_t)s->bytes);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return yzi_fail(s->err, yzi_err_from_errno(errno), "%s: %s", s->src->name, strerror(errno));
    }
    s->bytes += (uint64_t)n;
    *out_n = (size_t)n;
    return 0;
}

int yzi_scan_piece(struct scan *s, enum text_encoding encoding, yz_bytes *out)
{
    bool decode = encoding == ENCODING_GB18030;
    if (decode && !s->decoder) {
        int rc = yzi_decoder_new(&s->decoder);
        if (rc == YZ_EUNSUPPORTED) {
            return yzi_fail(s->err, rc,
                            "%s: this system cannot read GB 18030 (its C library has "
                            "no table for it); convert the file to UTF-8",
                            s->src->name);
        }
        YZ_TRY(rc);
        s->bad_encoding = true;
    }
    *out = (yz_bytes){0};
    while (!s->at_end && out->n == 0) {
        size_t n = 0;
        YZ_TRY(read_piece(s, &n));
        s->at_end = n == 0;
        *out = yzi_bytes(s->piece, n);
        if (decode) {
            YZ_TRY(yzi_decoder_feed(s->decoder, *out, s->at_end, out));
        }
    }
    return 0;
}

/* UTF-8 that says so, where the definition says GB 18030: read as that, it would be other
 * characters, and seldom a fault. */
static int refuse_utf8_mark(struct scan *s, const char *head, ssize_t n)
{
    const struct scan_place start = {.line = 1};
    enum text_encoding said = s->src->format == FORMAT_CSV   ? s->d->csv.encoding
                              : s->src->format == FORMAT_XML ? s->d->xml.encoding
                                                             : ENCODING_UTF8;
    if (said == ENCODING_UTF8 || n < 3 || memcmp(head, "\xef\xbb\xbf", 3) != 0) {
        return 0;
    }
    YZ_TRY(yzi_scan_fault(s, &start, NULL,
                          "is in UTF-8 (its byte order mark says so), and the definition says GB "
                          "18030 (remove `encoding:`, or convert the file)"));
    return YZ_EDATA;
}

/* What is named like a text and none. XML says itself what it is in. */
static int refuse_other_files(struct scan *s)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *reason;
    } known[] = {
        {"PK\x03\x04", 4, "is a spreadsheet or an archive, not text (save it as CSV in UTF-8)"},
        {"\xd0\xcf\x11\xe0", 4, "is a spreadsheet, not text (save it as CSV in UTF-8)"},
        {"\x1f\x8b", 2, "is compressed (unpack it first)"},
        {"\xff\xfe", 2, "is in UTF-16 (save it as UTF-8)"},
        {"\xfe\xff", 2, "is in UTF-16 (save it as UTF-8)"}};
    const struct scan_place start = {.line = 1};
    char head[4];
    ssize_t n = pread(s->src->fd, head, sizeof head, 0);
    for (size_t i = 0; s->src->format != FORMAT_XML && i < sizeof known / sizeof known[0]; i++) {
        if (n >= (ssize_t)known[i].n && memcmp(head, known[i].bytes, known[i].n) == 0) {
            YZ_TRY(yzi_scan_fault(s, &start, NULL, known[i].reason));
            return YZ_EDATA;
        }
    }
    return refuse_utf8_mark(s, head, n);
}

static int run_source(struct scan *s)
{
    YZ_TRY(refuse_other_files(s));
    switch (s->src->format) {
    case FORMAT_CSV:
        return yzi_scan_csv(s);
    case FORMAT_JSON:
        return yzi_scan_json(s, s->d->json.lines);
    case FORMAT_JSONL:
        return yzi_scan_json(s, true);
    case FORMAT_XML:
        return yzi_scan_xml(s);
    }
    return yzi_fail(s->err, YZ_EINVAL, "%s: the format is unknown", s->src->name);
}

static int scan_with(struct scan *s)
{
    struct stat st;
    const struct scan_place start = {.line = 1};
    if (fstat(s->src->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return yzi_fail(s->err, YZ_EINVAL, "%s: is not a regular file", s->src->name);
    }
    s->bytes_total = (uint64_t)st.st_size;
    if (st.st_size == 0) {
        YZ_TRY(yzi_scan_fault(s, &start, NULL, "the file is empty"));
        return YZ_EDATA;
    }
    YZ_TRY(yzi_alloc(PIECE_BYTES, 1, &s->piece));
    YZ_TRY(run_source(s));
    return s->totals.faults ? YZ_EDATA : 0;
}

int yzi_scan(const struct dataset *d, const struct import_source *src, scan_row_fn *row, void *ctx,
             struct scan_totals *totals, yz_error *err)
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
    for (size_t i = 0; i < d->fields_n; i++) { /* what is not looked at is not missed */
        s->totals.seen[i] = !yzi_scan_wants(s, i);
    }
    yzi_buf_init(&s->canonical, CANONICAL_MAX);
    yzi_buf_init(&s->scratch, 2 * (size_t)SCAN_RECORD_MAX);
    yzi_buf_init(&s->reasons, SCAN_RECORD_MAX);
    int rc = yzi_buf_reserve(&s->canonical, 1); /* views of empty values need a pointer, too */
    rc = rc < 0 ? rc : scan_with(s);
    yzi_buf_wipe(&s->canonical);
    yzi_buf_wipe(&s->scratch);
    yzi_buf_fini(&s->reasons);
    yzi_decoder_free(s->decoder);
    if (s->piece) {
        explicit_bzero(s->piece, PIECE_BYTES);
        free(s->piece);
    }
    for (size_t i = 0; i < d->fields_n && !s->mapped; i++) {
        s->totals.seen[i] = true; /* nothing is known of what was not read */
    }
    *totals = s->totals;
    return rc;
}
