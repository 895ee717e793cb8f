/* SPDX-License-Identifier: Apache-2.0
 *
 * The line layer over libcsv 3.0.3, the only caller of it. libcsv tells neither lines nor reasons
 * and keeps a BOM, so it is fed line by line: a piece of input ends with its first CR or LF, hence
 * completes one row at most, and everything known about places is known here. Rows are delivered
 * after csv_parse returned, because its callbacks cannot stop it.
 *
 * RFC 4180, with these liberties: LF or a lone CR end a line as CRLF does, lines without a single
 * character are skipped, a UTF-8 BOM is dropped, the last line need not end. Unlike libcsv by
 * default, spaces are part of the field, as the RFC says.
 *
 * Memory: a row's bytes are counted before libcsv sees them, so its buffer and ours stay below
 * CSV_ROW_MAX each. What was buffered is wiped, since rows hold what the store will encrypt.
 */
#include "adapters/dataset/csv.h"

#include <csv.h>
#include <sodium.h>

#define BLOCK_BYTES 4096u /* libcsv grows its buffer by this: fewer copies left behind */

static const uint8_t bom[] = {0xef, 0xbb, 0xbf};
static const char too_long[] = "begins a row of more than 1 MiB (is a closing quote missing here?)";

struct csv_reader {
    struct csv_parser parser;
    yz_buf row; /* the bytes of the current row's fields, one after the other */
    size_t n;
    size_t ends[CSV_COLUMNS_MAX];
    yz_bytes fields[CSV_COLUMNS_MAX];
    uint64_t line;       /* of the next byte */
    uint64_t row_line;   /* where the current row starts */
    uint64_t field_line; /* where the current field starts */
    size_t row_bytes;    /* fed for the current row */
    uint8_t head[sizeof bom];
    size_t head_n;
    bool begun;    /* the head was judged */
    bool in_row;   /* something of a row was fed */
    bool ready;    /* a complete row waits in `row` */
    bool after_cr; /* a LF now belongs to the CR before it */
    bool finished; /* failed or at the end: no more input */
    int rc;        /* what a callback of libcsv wants returned */
    const char *reason;
};

static int never_space(unsigned char c)
{
    (void)c;
    return 0;
}

int yzi_csv_new(char delimiter, struct csv_reader **out)
{
    struct csv_reader *r;
    YZ_TRY(yzi_alloc(1, sizeof *r, &r));
    if (csv_init(&r->parser, CSV_STRICT | CSV_STRICT_FINI) != 0) {
        free(r);
        return YZ_ENOMEM;
    }
    csv_set_delim(&r->parser, (unsigned char)delimiter);
    csv_set_space_func(&r->parser, never_space);
    csv_set_blk_size(&r->parser, BLOCK_BYTES);
    yzi_buf_init(&r->row, CSV_ROW_MAX);
    int rc = yzi_buf_reserve(&r->row, BLOCK_BYTES); /* views of empty fields need a pointer, too */
    if (rc < 0) {
        yzi_csv_free(r);
        return rc;
    }
    r->line = 1;
    *out = r;
    return 0;
}

void yzi_csv_free(struct csv_reader *r)
{
    if (!r) {
        return;
    }
    if (r->parser.entry_buf) {
        sodium_memzero(r->parser.entry_buf, r->parser.entry_size);
    }
    csv_free(&r->parser);
    yzi_buf_wipe(&r->row);
    free(r);
}

/* -- libcsv's callbacks -- */

static void on_field(void *bytes, size_t n, void *ctx)
{
    struct csv_reader *r = ctx;
    if (r->rc < 0) {
        return;
    }
    if (r->n == CSV_COLUMNS_MAX) {
        r->rc = YZ_EDATA;
        r->reason = "has more than 1024 columns";
        return;
    }
    r->rc = yzi_buf_put(&r->row, yzi_bytes(bytes, n));
    r->ends[r->n++] = r->row.n;
    r->field_line = r->line;
}

static void on_row(int terminator, void *ctx)
{
    (void)terminator;
    ((struct csv_reader *)ctx)->ready = true;
}

/* -- places and faults -- */

struct csv_call {
    int (*row)(void *ctx, const struct csv_row *row);
    void *ctx;
    uint64_t *out_line;
    const char **reason;
};

static int fault(const struct csv_call *call, uint64_t line, const char *reason)
{
    *call->out_line = line;
    *call->reason = reason;
    return YZ_EDATA;
}

/* What stopped libcsv, in words. */
static int parser_fault(struct csv_reader *r, const struct csv_call *call)
{
    if (csv_error(&r->parser) != CSV_EPARSE) {
        return YZ_ENOMEM;
    }
    return fault(call, r->line,
                 r->parser.quoted
                     ? "text follows a closing quote (a quote inside a field is written twice)"
                     : "a quote stands inside a field that does not begin with one (put the "
                       "field in quotes and write the quote twice)");
}

static void count_line(struct csv_reader *r, yz_bytes b)
{
    uint8_t end = b.p[b.n - 1];
    bool belongs_to_cr = end == '\n' && b.n == 1 && r->after_cr;
    if ((end == '\r' || end == '\n') && !belongs_to_cr) {
        r->line++;
    }
    r->after_cr = end == '\r';
}

static int deliver(struct csv_reader *r, const struct csv_call *call)
{
    size_t start = 0;
    for (size_t i = 0; i < r->n; i++) {
        r->fields[i] = yzi_bytes(r->row.p + start, r->ends[i] - start);
        start = r->ends[i];
    }
    struct csv_row row = {.line = r->row_line, .fields = r->fields, .n = r->n};
    r->ready = r->in_row = false;
    r->n = 0;
    int rc = call->row(call->ctx, &row);
    if (rc < 0) {
        *call->out_line = row.line;
    }
    yzi_buf_clear(&r->row);
    return rc;
}

/* -- feeding -- */

/* The bytes up to and including the first CR or LF, or all. */
static size_t line_bytes(yz_bytes b)
{
    const uint8_t *lf = memchr(b.p, '\n', b.n);
    size_t n = lf ? (size_t)(lf - b.p) + 1 : b.n;
    const uint8_t *cr = memchr(b.p, '\r', n);
    return cr ? (size_t)(cr - b.p) + 1 : n;
}

/* How much of the line may be parsed; *why says what is wrong with the byte behind that. What comes
 * before is parsed first, so that the first fault in the file is the one told, however the file was
 * cut into pieces. */
static size_t good_bytes(const struct csv_reader *r, yz_bytes b, const char **why)
{
    size_t room = CSV_ROW_MAX - r->row_bytes;
    const uint8_t *nul = memchr(b.p, 0, b.n);
    size_t n = nul ? (size_t)(nul - b.p) : b.n;
    *why = nul ? "contains a NUL byte (save the file as UTF-8 text)" : NULL;
    if (n > room) {
        n = room;
        *why = too_long;
    }
    return n;
}

static int parse_line(struct csv_reader *r, yz_bytes b, const struct csv_call *call)
{
    r->row_bytes += b.n;
    size_t done = csv_parse(&r->parser, b.p, b.n, on_field, on_row, r);
    if (r->rc < 0) {
        return r->rc == YZ_EDATA ? fault(call, r->row_line, r->reason) : r->rc;
    }
    return done == b.n ? 0 : parser_fault(r, call);
}

static int feed_line(struct csv_reader *r, yz_bytes b, const struct csv_call *call)
{
    const char *why;
    if (!r->in_row) {
        r->row_line = r->field_line = r->line;
        r->row_bytes = 0;
    }
    YZ_TRY(parse_line(r, yzi_bytes(b.p, good_bytes(r, b, &why)), call));
    if (why) {
        return fault(call, why == too_long ? r->field_line : r->line, why);
    }
    uint8_t last = b.p[b.n - 1];
    r->in_row = r->in_row || b.n > 1 || (last != '\n' && last != '\r');
    if (r->ready) {
        YZ_TRY(deliver(r, call));
    }
    count_line(r, b);
    return 0;
}

static int feed_lines(struct csv_reader *r, yz_bytes b, const struct csv_call *call)
{
    while (b.n) {
        size_t n = line_bytes(b);
        YZ_TRY(feed_line(r, yzi_bytes(b.p, n), call));
        b = yzi_bytes(b.p + n, b.n - n);
    }
    return 0;
}

/* Collect the first three bytes, then drop them if they are the BOM. */
static int feed_head(struct csv_reader *r, yz_bytes *b, bool last, const struct csv_call *call)
{
    while (r->head_n < sizeof r->head && b->n) {
        r->head[r->head_n++] = *b->p;
        *b = yzi_bytes(b->p + 1, b->n - 1);
    }
    if (r->head_n < sizeof r->head && !last) {
        return 0;
    }
    r->begun = true;
    yz_bytes head = yzi_bytes(r->head, r->head_n);
    return yzi_bytes_eq(head, yzi_bytes(bom, sizeof bom)) ? 0 : feed_lines(r, head, call);
}

static int finish(struct csv_reader *r, const struct csv_call *call)
{
    if (csv_fini(&r->parser, on_field, on_row, r) != 0) {
        if (csv_error(&r->parser) == CSV_EPARSE) {
            return fault(call, r->field_line, "a field begins with a quote that is never closed");
        }
        return YZ_ENOMEM;
    }
    if (r->rc < 0) {
        return r->rc == YZ_EDATA ? fault(call, r->row_line, r->reason) : r->rc;
    }
    return r->ready ? deliver(r, call) : 0;
}

static int feed(struct csv_reader *r, yz_bytes piece, bool last, const struct csv_call *call)
{
    if (!r->begun) {
        YZ_TRY(feed_head(r, &piece, last, call));
    }
    YZ_TRY(feed_lines(r, piece, call));
    return last ? finish(r, call) : 0;
}

int yzi_csv_feed(struct csv_reader *r, yz_bytes piece, bool last,
                 int (*row)(void *ctx, const struct csv_row *row), void *ctx, uint64_t *out_line,
                 const char **reason)
{
    YZ_ENSURE(!r->finished, YZ_EINVAL);
    struct csv_call call = {.row = row, .ctx = ctx, .out_line = out_line, .reason = reason};
    int rc = feed(r, piece, last, &call);
    r->finished = rc < 0 || last;
    return rc;
}
