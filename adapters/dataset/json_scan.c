/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON as a source: an array of records, at the top or behind a path of member names, or a record a
 * line. A small reader of the grammar walks the file without keeping it and cuts the records out,
 * with the line each begins in; jansson then judges every record (members twice, UTF-8, escapes)
 * and takes it apart. It is the only caller of jansson in this folder.
 *
 * jansson turns numbers into doubles, which round: 0.1000000000000000055 and 0.1 become one. So the
 * text of a number is taken from the record itself, which is known to be JSON by then: its members
 * are counted up to the one that jansson found, since both keep the order of the file.
 */
#include <jansson.h>
#include <sodium.h>

#include "adapters/dataset/scan.h"
#include "base/text.h"

#define DEPTH_MAX 64u
#define NAME_BYTES_MAX 4096u /* of a member's name on the way to the records, escapes included */
#define EXPONENT_MAX 100     /* beyond it no decimal has room anyway */
#define END (-1)

struct json_scan {
    struct scan *scan;
    const struct dataset *d;
    yz_bytes piece;
    size_t at; /* in piece */
    uint64_t line, column, records;
    yz_buf *keep;  /* where read bytes go, or NULL */
    yz_buf record; /* the text of a record */
    yz_buf name;   /* of a member */
    yz_buf texts;  /* of the values of a record, one after the other */
    bool too_long; /* the record did not fit */
    struct raw_value values[DATASET_FIELDS_MAX];
    size_t start[DATASET_FIELDS_MAX]; /* of each value in texts */
};

/* -- reading -- */

static int fault(struct json_scan *j, const char *reason)
{
    const struct scan_place at = {.line = j->line, .column = j->column};
    YZ_TRY(yzi_scan_fault(j->scan, &at, NULL, reason));
    return YZ_EDATA; /* what follows has no meaning */
}

static int peek(struct json_scan *j, int *out)
{
    if (j->at == j->piece.n) {
        YZ_TRY(yzi_scan_piece(j->scan, ENCODING_UTF8, &j->piece));
        j->at = 0;
    }
    *out = j->piece.n ? j->piece.p[j->at] : END;
    return 0;
}

/* Consume the byte that was peeked at. */
static int take(struct json_scan *j)
{
    uint8_t c = j->piece.p[j->at++];
    j->column += (c & 0xc0) != 0x80; /* the first byte of a character */
    if (c == '\n') {
        j->line++;
        j->column = 1;
    }
    if (!j->keep || j->too_long) {
        return 0;
    }
    j->too_long = j->keep->n + 1 >= j->keep->max; /* leaves room for a NUL behind it */
    return j->too_long ? 0 : yzi_buf_put_u8(j->keep, c);
}

static const char ends_early[] = "the file ends here, in the middle of its records";

static int skip_space(struct json_scan *j, int *out)
{
    for (;;) {
        YZ_TRY(peek(j, out));
        if (*out != ' ' && *out != '\n' && *out != '\t' && *out != '\r') {
            return 0;
        }
        YZ_TRY(take(j));
    }
}

/* Another byte stands here than could; a file that was cut off says so, whatever was to come. */
static int wrong_byte(struct json_scan *j, int c, const char *reason)
{
    return fault(j, c == END ? ends_early : reason);
}

static int expect(struct json_scan *j, int wanted, const char *reason)
{
    int c;
    YZ_TRY(skip_space(j, &c));
    return c == wanted ? take(j) : wrong_byte(j, c, reason);
}

/* -- the grammar -- */

static int skip_string(struct json_scan *j)
{
    int c;
    YZ_TRY(take(j)); /* the quote */
    for (bool escaped = false;;) {
        YZ_TRY(peek(j, &c));
        if (c == END) {
            return fault(j, "the file ends within a text");
        }
        if (c < 0x20) {
            return fault(j, "a control character stands in a text (write \\n and the like)");
        }
        YZ_TRY(take(j));
        if (c == '"' && !escaped) {
            return 0;
        }
        escaped = c == '\\' && !escaped;
    }
}

static bool is_scalar_byte(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '+' || c == '.';
}

/* RFC 8259: -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)? */
static bool is_number(const char *t)
{
    t += *t == '-';
    size_t n = strspn(t, "0123456789");
    if (n == 0 || (n > 1 && *t == '0')) {
        return false;
    }
    t += n;
    if (*t == '.') {
        n = strspn(++t, "0123456789");
        t += n;
        if (n == 0) {
            return false;
        }
    }
    if (*t == 'e' || *t == 'E') {
        t++;
        t += *t == '+' || *t == '-';
        n = strspn(t, "0123456789");
        t += n;
        if (n == 0) {
            return false;
        }
    }
    return *t == '\0';
}

static int skip_scalar(struct json_scan *j)
{
    char text[400];
    size_t n = 0;
    int c;
    for (;;) {
        YZ_TRY(peek(j, &c));
        if (!is_scalar_byte(c)) {
            break;
        }
        if (n == sizeof text - 1) {
            return fault(j, "a number has more than 399 characters");
        }
        text[n++] = (char)c;
        YZ_TRY(take(j));
    }
    text[n] = '\0';
    bool word =
        strcmp(text, "true") == 0 || strcmp(text, "false") == 0 || strcmp(text, "null") == 0;
    return word || is_number(text) ? 0 : wrong_byte(j, c, "here stands no JSON value");
}

static int skip_value(struct json_scan *j, unsigned depth);

static int no_name(struct json_scan *j, int c)
{
    return wrong_byte(j, c,
                      c == '}' ? "a comma stands before the end of the object"
                               : "a member has no name in quotes");
}

/* The rest of an array or object; its opening bracket was taken. */
static int skip_items(struct json_scan *j, bool object, unsigned depth)
{
    const int close = object ? '}' : ']';
    int c;
    YZ_TRY(skip_space(j, &c));
    if (c == close) {
        return take(j);
    }
    for (;;) {
        if (object) {
            YZ_TRY(skip_space(j, &c));
            YZ_TRY(c == '"' ? skip_string(j) : no_name(j, c));
            YZ_TRY(expect(j, ':', "a colon is missing behind a member's name"));
        }
        YZ_TRY(skip_value(j, depth + 1));
        YZ_TRY(skip_space(j, &c));
        if (c == close) {
            return take(j);
        }
        YZ_TRY(c == ',' ? take(j)
                        : wrong_byte(j, c,
                                     object ? "neither , nor } follows a member"
                                            : "neither , nor ] follows an item"));
    }
}

static int skip_value(struct json_scan *j, unsigned depth)
{
    int c;
    if (depth > DEPTH_MAX) {
        return fault(j, "nested more than 64 levels deep");
    }
    YZ_TRY(skip_space(j, &c));
    if (c == '{' || c == '[') {
        YZ_TRY(take(j));
        return skip_items(j, c == '{', depth);
    }
    return c == '"' ? skip_string(j) : skip_scalar(j);
}

/* -- numbers -- */

/* Walks text that is known to be JSON. */
static const uint8_t *pass_space(const uint8_t *p)
{
    while (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r') {
        p++;
    }
    return p;
}

static const uint8_t *pass_string(const uint8_t *p)
{
    for (p++; *p != '"'; p++) {
        p += *p == '\\';
    }
    return p + 1;
}

static const uint8_t *pass_value(const uint8_t *p)
{
    size_t depth = 0;
    do {
        p = pass_space(p);
        if (*p == '"') {
            p = pass_string(p);
        } else if (is_scalar_byte(*p)) {
            while (is_scalar_byte(*p)) {
                p++;
            }
        } else {
            depth += *p == '{' || *p == '[';
            depth -= *p == '}' || *p == ']';
            p++; /* brackets, commas, colons */
        }
    } while (depth);
    return p;
}

/* From a value that is not the last to the one behind the comma. */
static const uint8_t *pass_to_next(const uint8_t *p)
{
    return pass_space(pass_space(pass_value(p)) + 1);
}

/* The value of the n-th member or item of the object or array at p. */
static const uint8_t *pass_to(const uint8_t *p, size_t n)
{
    p = pass_space(p);
    bool object = *p == '{';
    for (size_t i = 0;; i++) {
        p = pass_space(p + 1); /* behind the bracket or a comma */
        if (object) {
            p = pass_space(pass_string(p)) + 1;
        }
        if (i == n) {
            return pass_space(p);
        }
        p = pass_space(pass_value(p));
    }
}

/* Digits with a decimal point instead of an exponent. */
static int put_expanded(yz_bytes text, yz_buf *out)
{
    const char *mark = "eE";
    size_t n = 0;
    while (n < text.n && !strchr(mark, text.p[n])) {
        n++;
    }
    char digits[400];
    size_t count = 0, point = 0;
    bool in_fraction = false;
    long exponent = n < text.n ? strtol((const char *)text.p + n + 1, NULL, 10) : 0;
    if (n < text.n && strspn((const char *)text.p, "-.0") == n) {
        return yzi_buf_put_str(out, "0"); /* whatever the exponent */
    }
    if (n == text.n || exponent > EXPONENT_MAX || exponent < -EXPONENT_MAX || n > 250) {
        return yzi_buf_put(out, text); /* as it is: refused where it does not fit */
    }
    for (size_t i = 0; i < n; i++) {
        if (text.p[i] == '.') {
            in_fraction = true;
        } else if (text.p[i] != '-') {
            digits[count++] = (char)text.p[i];
            point += !in_fraction;
        }
    }
    long at = (long)point + exponent; /* digits before the point */
    if (text.p[0] == '-') {
        YZ_TRY(yzi_buf_put_str(out, "-"));
    }
    size_t skip = 0; /* zeros that would lead */
    while (skip < count && (long)skip + 1 < at && digits[skip] == '0') {
        skip++;
    }
    YZ_TRY(at <= 0 ? yzi_buf_put_str(out, "0") : 0);
    for (long i = (long)skip; i < at; i++) {
        YZ_TRY(yzi_buf_put_u8(out, i < (long)count ? (uint8_t)digits[i] : '0'));
    }
    bool fraction = false;
    for (long i = at; i < (long)count; i++) {
        YZ_TRY(fraction ? 0 : yzi_buf_put_str(out, "."));
        fraction = true;
        YZ_TRY(yzi_buf_put_u8(out, i < 0 ? '0' : (uint8_t)digits[i]));
    }
    return 0;
}

/* -- values -- */

static int put_scalar(const json_t *v, const uint8_t *text, yz_buf *out)
{
    if (json_is_string(v)) {
        return yzi_buf_put(out, yzi_bytes(json_string_value(v), json_string_length(v)));
    }
    if (json_is_real(v)) {
        const uint8_t *end = pass_value(text);
        return put_expanded(yzi_bytes(text, (size_t)(end - text)), out);
    }
    return json_is_null(v) ? 0 : yzi_buf_put_str(out, json_is_true(v) ? "true" : "false");
}

/* Several values in one place. */
static int put_joined(const struct dataset_field *f, const json_t *array, const uint8_t *text,
                      yz_buf *out, const char **reason)
{
    const uint8_t *item = text;
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *v = json_array_get(array, i);
        if (json_is_object(v) || json_is_array(v)) {
            *reason = "has an item that is no value";
            return 0;
        }
        item = i ? pass_to_next(item) : pass_to(text, 0);
        YZ_TRY(i ? yzi_buf_put_str(out, f->join) : 0);
        YZ_TRY(put_scalar(v, item, out));
    }
    return 0;
}

static int put_value(const struct dataset_field *f, const json_t *v, const uint8_t *text,
                     yz_buf *out, const char **reason)
{
    if (json_is_object(v)) {
        *reason = "is an object, not a value (name one of its members in the path)";
        return 0;
    }
    if (!json_is_array(v)) {
        return put_scalar(v, text, out);
    }
    if (!f->join) {
        *reason = "is an array, not a value (name one item in the path, or give the field `join:`)";
        return 0;
    }
    return put_joined(f, v, text, out, reason);
}

static const json_t *step_into(const json_t *v, yz_bytes name, size_t *position)
{
    uint64_t item;
    if (json_is_array(v) && yzi_u64_parse(name, SIZE_MAX, &item) == 0) {
        *position = (size_t)item;
        return json_array_get(v, (size_t)item);
    }
    const json_t *found =
        json_is_object(v) ? json_object_getn(v, (const char *)name.p, name.n) : NULL;
    void *i = found ? json_object_iter((json_t *)(uintptr_t)v) : NULL;
    for (*position = 0; i && json_object_iter_value(i) != found; (*position)++) {
        i = json_object_iter_next((json_t *)(uintptr_t)v, i);
    }
    return found;
}

static int read_field(struct json_scan *j, const json_t *record, size_t field)
{
    const struct dataset_field *f = &j->d->fields[field];
    const json_t *v = record;
    const uint8_t *text = j->record.p;
    const char *reason = NULL;
    for (size_t i = 0; i < f->json_path.n && v; i++) {
        size_t position = 0;
        v = step_into(v, f->json_path.steps[i].name, &position);
        text = v ? pass_to(text, position) : text;
    }
    size_t before = j->texts.n;
    YZ_TRY(v ? put_value(f, v, text, &j->texts, &reason) : 0);
    j->start[field] = before;
    j->values[field] = (struct raw_value){
        .present = v && !json_is_null(v), .v = {.n = j->texts.n - before}, .fault = reason};
    return 0;
}

/* -- records -- */

/* What jansson has one code for, told by the beginnings of its words. */
static const char *syntax_refusal(const char *words)
{
    if (strncmp(words, "invalid Unicode '", strlen("invalid Unicode '")) == 0) {
        return "has half a character in a text (\\ud800 to \\udfff come in pairs)";
    }
    if (strncmp(words, "invalid escape", strlen("invalid escape")) == 0 ||
        strncmp(words, "invalid Unicode escape", strlen("invalid Unicode escape")) == 0) {
        return "has an escape in a text that JSON does not know (a backslash is written twice)";
    }
    return "is not JSON";
}

/* Why jansson refused it; its own words repeat what stands there. */
static const char *refusal(const json_error_t *wrong)
{
    static const struct {
        enum json_error_code code;
        const char *words;
    } known[] = {
        {json_error_duplicate_key, "has a member twice"},
        {json_error_invalid_utf8,
         "is not valid UTF-8 (JSON is in no other encoding: convert the file)"},
        {json_error_null_character, "contains a NUL character"},
        {json_error_null_byte_in_key, "contains a NUL character"},
        {json_error_numeric_overflow, "has a number beyond all bounds (send it as a text)"},
        {json_error_stack_overflow, "is nested too deep"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].code == json_error_code(wrong)) {
            return known[i].words;
        }
    }
    return syntax_refusal(wrong->text);
}

static int read_record(struct json_scan *j, struct raw_record *r)
{
    json_error_t wrong;
    YZ_TRY(yzi_buf_put_u8(&j->record, 0)); /* ends walks over it */
    j->record.n--;
    json_t *record =
        json_loadb((const char *)j->record.p, j->record.n,
                   JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, &wrong);
    if (!record) {
        YZ_ENSURE(json_error_code(&wrong) != json_error_out_of_memory, YZ_ENOMEM);
        r->fault = refusal(&wrong);
        return 0;
    }
    int rc = 0;
    yzi_buf_clear(&j->texts);
    if (!json_is_object(record)) {
        r->fault = "is not an object";
    }
    for (size_t i = 0; i < j->d->fields_n && !r->fault && rc == 0; i++) {
        rc = read_field(j, record, i);
    }
    json_decref(record);
    YZ_TRY(rc);
    for (size_t i = 0; i < j->d->fields_n && !r->fault; i++) {
        j->values[i].v.p = j->texts.p + j->start[i];
    }
    return 0;
}

static int record(struct json_scan *j, uint64_t line)
{
    yz_bytes text = yzi_bytes_buf(&j->record);
    struct raw_record r = {.at = {.line = line, .record = ++j->records},
                           .values = j->values,
                           .columns = &text,
                           .columns_n = 1};
    if (j->too_long) {
        r.fault = "has more than 1 MiB";
    } else {
        YZ_TRY(read_record(j, &r));
        text.p = j->record.p;
    }
    YZ_TRY(yzi_scan_record(j->scan, &r));
    yzi_buf_clear(&j->record);
    j->too_long = false;
    return 0;
}

/* -- the file -- */

/* The array of records; its bracket comes next. */
static int read_array(struct json_scan *j)
{
    int c;
    YZ_TRY(skip_space(j, &c));
    if (c != '[') {
        return fault(j, "here no array of records begins (say where it stands: `json: {path: …}`; "
                        "or is every line a record: `format: lines`)");
    }
    YZ_TRY(take(j));
    YZ_TRY(skip_space(j, &c));
    while (c != ']') {
        uint64_t line = j->line;
        j->keep = &j->record;
        YZ_TRY(skip_value(j, 0));
        j->keep = NULL;
        YZ_TRY(record(j, line));
        YZ_TRY(skip_space(j, &c));
        if (c == ',') {
            YZ_TRY(take(j));
            YZ_TRY(skip_space(j, &c));
            YZ_TRY(c == ']' ? fault(j, "a comma stands before the end of the array") : 0);
        } else if (c != ']') {
            return wrong_byte(j, c, "neither , nor ] follows a record");
        }
    }
    return take(j);
}

/* A member's name; *is tells whether it is the one wanted. */
static int read_name(struct json_scan *j, yz_bytes wanted, bool *is)
{
    yzi_buf_clear(&j->name);
    j->keep = &j->name;
    int rc = skip_string(j);
    j->keep = NULL;
    YZ_TRY(rc);
    *is = false;
    if (j->too_long) {
        j->too_long = false;
        return 0;
    }
    json_error_t wrong;
    json_t *name = json_loadb((const char *)j->name.p, j->name.n, JSON_DECODE_ANY, &wrong);
    if (!name) {
        YZ_ENSURE(json_error_code(&wrong) != json_error_out_of_memory, YZ_ENOMEM);
        return fault(j, refusal(&wrong));
    }
    *is = yzi_bytes_eq(yzi_bytes(json_string_value(name), json_string_length(name)), wanted);
    json_decref(name);
    return 0;
}

static int read_path(struct json_scan *j, size_t step);

static int read_members(struct json_scan *j, size_t step)
{
    bool found = false, is;
    int c;
    YZ_TRY(skip_space(j, &c));
    while (c != '}') {
        YZ_TRY(c == '"' ? read_name(j, j->d->json.path.steps[step].name, &is) : no_name(j, c));
        YZ_TRY(expect(j, ':', "a colon is missing behind a member's name"));
        if (is && found) {
            return fault(j, "the member on the way to the records stands twice");
        }
        found = found || is;
        YZ_TRY(is ? read_path(j, step + 1) : skip_value(j, (unsigned)step + 1));
        YZ_TRY(skip_space(j, &c));
        if (c == ',') {
            YZ_TRY(take(j));
            YZ_TRY(skip_space(j, &c));
            YZ_TRY(c == '}' ? fault(j, "a comma stands before the end of the object") : 0);
        } else if (c != '}') {
            return wrong_byte(j, c, "neither , nor } follows a member");
        }
    }
    return found ? take(j)
                 : fault(j, "the object ends without the member that `json: path:` names");
}

static int read_path(struct json_scan *j, size_t step)
{
    int c;
    if (step == j->d->json.path.n) {
        return read_array(j);
    }
    YZ_TRY(skip_space(j, &c));
    if (c != '{') {
        return fault(j, "here no object begins, as `json: path:` says");
    }
    YZ_TRY(take(j));
    return read_members(j, step);
}

static int read_document(struct json_scan *j)
{
    int c;
    YZ_TRY(read_path(j, 0));
    YZ_TRY(skip_space(j, &c));
    return c == END ? 0 : fault(j, "something follows the end of the document");
}

static bool is_blank(const yz_buf *line)
{
    size_t n = 0;
    while (n < line->n && strchr(" \t\r", line->p[n]) && line->p[n]) {
        n++;
    }
    return n == line->n;
}

static int read_lines(struct json_scan *j)
{
    int first;
    YZ_TRY(skip_space(j, &first));
    if (first == '[') {
        return fault(j,
                     "an array begins here, not a record of each line (write `format: array`, or "
                     "say --format json when the file is named otherwise)");
    }
    for (int c = 0; c != END;) {
        uint64_t line = j->line;
        j->keep = &j->record;
        for (;;) {
            YZ_TRY(peek(j, &c));
            if (c == END || c == '\n') {
                break;
            }
            YZ_TRY(take(j));
        }
        j->keep = NULL;
        YZ_TRY(c == END ? 0 : take(j));
        YZ_TRY(is_blank(&j->record) ? 0 : record(j, line));
        yzi_buf_clear(&j->record);
    }
    return 0;
}

/* A byte order mark is no part of the text. */
static int skip_bom(struct json_scan *j)
{
    static const uint8_t bom[] = {0xef, 0xbb, 0xbf};
    int c;
    YZ_TRY(peek(j, &c));
    if (j->piece.n >= sizeof bom && memcmp(j->piece.p, bom, sizeof bom) == 0) {
        j->at = sizeof bom;
    }
    return 0;
}

static int read_file(struct json_scan *j, bool lines)
{
    const yz_bytes column = yzi_bytes_str("source");
    YZ_TRY(yzi_scan_columns(j->scan, &column, 1));
    YZ_TRY(skip_bom(j));
    return lines ? read_lines(j) : read_document(j);
}

int yzi_scan_json(struct scan *s, bool lines)
{
    YZ_AUTO(yzi_free_ptr) struct json_scan *j = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *j, &j));
    j->scan = s;
    j->d = yzi_scan_dataset(s);
    j->line = j->column = 1;
    yzi_buf_init(&j->record, SCAN_RECORD_MAX + 2);
    yzi_buf_init(&j->name, NAME_BYTES_MAX);
    yzi_buf_init(&j->texts, 8 * (size_t)SCAN_RECORD_MAX);
    int rc = yzi_buf_reserve(&j->texts, 1); /* views of empty values need a pointer, too */
    rc = rc < 0 ? rc : read_file(j, lines);
    yzi_buf_wipe(&j->record);
    yzi_buf_wipe(&j->name);
    yzi_buf_wipe(&j->texts);
    return rc;
}
