/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON writer. Every value passes begin_value, which knows from two bits per level what may
 * stand there and what separates it; calls in an order that no JSON has are our own bug and end as
 * YZ_EINTERNAL. After a failure nothing more is written, and what stands in the buffer is no JSON.
 */
#include "base/json.h"

#include <inttypes.h>

#include "base/text.h"

#define DEPTH_MAX 64u

void yzi_json_init(struct json *j, yz_buf *out, bool pretty)
{
    *j = (struct json){.out = out, .pretty = pretty};
}

/* Remember the first failure. */
static void check(struct json *j, int rc)
{
    if (j->rc == 0 && rc < 0) {
        j->rc = rc;
    }
}

static void put(struct json *j, yz_bytes v)
{
    if (j->rc == 0) {
        check(j, yzi_buf_put(j->out, v));
    }
}

static void put_str(struct json *j, const char *s)
{
    put(j, yzi_bytes_str(s));
}

static void put_indent(struct json *j)
{
    if (j->pretty) {
        put_str(j, "\n");
        for (unsigned i = 0; i < j->depth; i++) {
            put_str(j, "  ");
        }
    }
}

static uint64_t level_bit(const struct json *j)
{
    return UINT64_C(1) << (j->depth - 1);
}

static bool in_object(const struct json *j)
{
    return j->depth > 0 && (j->is_object & level_bit(j));
}

/* The comma and the line break before an item of the open container. */
static void begin_item(struct json *j)
{
    if (j->has_items & level_bit(j)) {
        put_str(j, ",");
    }
    j->has_items |= level_bit(j);
    put_indent(j);
}

/* False when the value is not to be written. */
static bool begin_value(struct json *j)
{
    if (j->rc == 0) {
        bool misplaced = j->depth == 0 ? j->complete : in_object(j) && !j->after_key;
        check(j, misplaced ? YZ_EINTERNAL : 0);
    }
    if (j->rc < 0) {
        return false;
    }
    if (j->depth == 0) {
        j->complete = true;
    } else if (!j->after_key) {
        begin_item(j);
    }
    j->after_key = false;
    return j->rc == 0;
}

/* -- containers -- */

static void open_container(struct json *j, const char *bracket, bool object)
{
    if (!begin_value(j)) {
        return;
    }
    if (j->depth == DEPTH_MAX) {
        check(j, YZ_ELOOP);
        return;
    }
    put_str(j, bracket);
    j->depth++;
    j->has_items &= ~level_bit(j);
    j->is_object = object ? j->is_object | level_bit(j) : j->is_object & ~level_bit(j);
}

static void close_container(struct json *j, const char *bracket, bool object)
{
    if (j->rc < 0) {
        return;
    }
    if (j->depth == 0 || in_object(j) != object || j->after_key) {
        check(j, YZ_EINTERNAL);
        return;
    }
    bool empty = !(j->has_items & level_bit(j));
    j->depth--;
    if (!empty) {
        put_indent(j);
    }
    put_str(j, bracket);
}

void yzi_json_object(struct json *j)
{
    open_container(j, "{", true);
}

void yzi_json_object_end(struct json *j)
{
    close_container(j, "}", true);
}

void yzi_json_array(struct json *j)
{
    open_container(j, "[", false);
}

void yzi_json_array_end(struct json *j)
{
    close_container(j, "]", false);
}

/* -- strings -- */

/* What must be escaped by RFC 8259 §7, in its short form where it has one; "" for what stands for
 * itself. */
static const char *escape_of(uint8_t c, char scratch[8])
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\b':
        return "\\b";
    case '\f':
        return "\\f";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        break;
    }
    if (c >= 0x20) {
        return "";
    }
    snprintf(scratch, 8, "\\u%04x", c);
    return scratch;
}

static void put_quoted(struct json *j, yz_bytes text)
{
    if (!yzi_utf8_is_valid(text)) {
        check(j, YZ_EMALFORMED);
        return;
    }
    put_str(j, "\"");
    size_t from = 0; /* start of the run that stands for itself */
    for (size_t i = 0; i < text.n; i++) {
        char scratch[8];
        const char *escape = escape_of(text.p[i], scratch);
        if (escape[0]) {
            put(j, yzi_bytes(text.p + from, i - from));
            put_str(j, escape);
            from = i + 1;
        }
    }
    if (from < text.n) {
        put(j, yzi_bytes(text.p + from, text.n - from));
    }
    put_str(j, "\"");
}

void yzi_json_key_bytes(struct json *j, yz_bytes key)
{
    if (j->rc < 0) {
        return;
    }
    if (!in_object(j) || j->after_key) {
        check(j, YZ_EINTERNAL);
        return;
    }
    begin_item(j);
    put_quoted(j, key);
    put_str(j, j->pretty ? ": " : ":");
    j->after_key = true;
}

void yzi_json_key(struct json *j, const char *key)
{
    yzi_json_key_bytes(j, yzi_bytes_str(key));
}

void yzi_json_text(struct json *j, yz_bytes text)
{
    if (begin_value(j)) {
        put_quoted(j, text);
    }
}

void yzi_json_str(struct json *j, const char *s)
{
    if (s) {
        yzi_json_text(j, yzi_bytes_str(s));
    } else {
        yzi_json_null(j);
    }
}

void yzi_json_hex(struct json *j, yz_bytes b)
{
    if (!begin_value(j)) {
        return;
    }
    put_str(j, "\"");
    for (size_t i = 0; i < b.n && j->rc == 0;) {
        char hex[65];
        size_t n = b.n - i < 32 ? b.n - i : 32;
        check(j, yzi_hex_encode(yzi_bytes(b.p + i, n), hex, sizeof hex));
        put_str(j, hex);
        i += n;
    }
    put_str(j, "\"");
}

/* -- the other values -- */

static void put_word(struct json *j, const char *word)
{
    if (begin_value(j)) {
        put_str(j, word);
    }
}

void yzi_json_u64(struct json *j, uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, v);
    put_word(j, text);
}

void yzi_json_i64(struct json *j, int64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, v);
    put_word(j, text);
}

void yzi_json_bool(struct json *j, bool v)
{
    put_word(j, v ? "true" : "false");
}

void yzi_json_null(struct json *j)
{
    put_word(j, "null");
}

/* Skip one of the characters in `set`, if the text goes on with one. */
static bool skip_one(yz_reader *r, const char *set)
{
    if (r->left == 0 || r->p[0] == '\0' || !strchr(set, r->p[0])) {
        return false;
    }
    r->p++;
    r->left--;
    return true;
}

static bool skip_digits(yz_reader *r)
{
    bool any = false;
    while (skip_one(r, "0123456789")) {
        any = true;
    }
    return any;
}

/* RFC 8259 §6: [ minus ] int [ frac ] [ exp ] */
static bool is_number(yz_bytes text)
{
    yz_reader r = yzi_reader(text);
    skip_one(&r, "-");
    if (!skip_one(&r, "0") && !skip_digits(&r)) {
        return false;
    }
    if (skip_one(&r, ".") && !skip_digits(&r)) {
        return false;
    }
    if (skip_one(&r, "eE")) {
        skip_one(&r, "+-");
        if (!skip_digits(&r)) {
            return false;
        }
    }
    return r.left == 0;
}

void yzi_json_number(struct json *j, yz_bytes text)
{
    if (!begin_value(j)) {
        return;
    }
    check(j, is_number(text) ? 0 : YZ_EMALFORMED);
    put(j, text);
}

int yzi_json_end(struct json *j)
{
    check(j, j->depth == 0 && j->complete ? 0 : YZ_EINTERNAL);
    return j->rc;
}
