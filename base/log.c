/* SPDX-License-Identifier: Apache-2.0
 *
 * One event, one line, one write(2). The line is built on the stack, so that logging needs no
 * memory and no lock, and is at most PIPE_BUF bytes, so that lines of several threads or processes
 * do not mix in a pipe. Peers choose some of the values: a long value is cut ("…"), a field that
 * does not fit is left out (the line then ends in `cut=true`), and neither can push the error out.
 */
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

#define LINE_BYTES PIPE_BUF /* the line feed included */

static atomic_int least_level = LOG_LEVEL_INFO;
static atomic_int log_fd = STDERR_FILENO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};
#define LEVELS (sizeof level_names / sizeof level_names[0])

void yzi_log_set_level(enum log_level least)
{
    least_level = (int)least;
}

int yzi_log_level_parse(const char *name, enum log_level *out)
{
    for (size_t i = 0; name && i < LEVELS; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return 0;
        }
    }
    return YZ_EINVAL;
}

void yzi_log_set_fd(int fd)
{
    log_fd = fd;
}

/* -- the line -- */

#define VALUE_BYTES 512u                 /* of one value as written, then "…" */
#define REASON_BYTES 1024u               /* the same of an error's sentence */
#define ERROR_BYTES (REASON_BYTES + 64u) /* kept free for error=… reason=… */

static const char cut_mark[] = " cut=true";
static const char ellipsis[] = "\u2026";

struct line {
    char text[LINE_BYTES];
    size_t n;
    size_t limit; /* how far `put` may fill */
    bool over;    /* something did not fit; what follows is dropped until the field is taken back */
    bool cut;     /* a field was taken back */
};
#define LINE_LIMIT (LINE_BYTES - sizeof cut_mark) /* the mark and the line feed always fit */

/* Append all of it or nothing. */
static void put(struct line *l, yz_bytes v)
{
    if (l->over || v.n > l->limit - l->n) {
        l->over = true;
    } else if (v.n) {
        memcpy(l->text + l->n, v.p, v.n);
        l->n += v.n;
    }
}

static void put_str(struct line *l, const char *s)
{
    put(l, yzi_bytes_str(s));
}

/* ASCII that stands for itself inside quotes. */
static bool is_printable(uint8_t c)
{
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

/* Needs no quotes. */
static bool is_plain(yz_bytes v)
{
    for (size_t i = 0; i < v.n; i++) {
        if (!is_printable(v.p[i]) || v.p[i] == ' ' || v.p[i] == '=') {
            return false;
        }
    }
    return v.n > 0;
}

/* C1 controls (U+0080 to U+009F, a terminal may obey them) and the Unicode characters that turn the
 * direction of text around, with which a peer could make a line read otherwise than it is. */
static bool is_hostile(yz_bytes c)
{
    if (c.n == 2) {
        return c.p[0] == 0xc2 && c.p[1] < 0xa0;
    }
    if (c.n == 3 && c.p[0] == 0xe2 && c.p[1] == 0x80) { /* U+200E, 200F, 2028 to 202E */
        return c.p[2] == 0x8e || c.p[2] == 0x8f || (c.p[2] >= 0xa8 && c.p[2] <= 0xae);
    }
    return c.n == 3 && c.p[0] == 0xe2 && c.p[1] == 0x81 && c.p[2] >= 0xa6 && c.p[2] <= 0xa9;
}

static void put_escaped(struct line *l, yz_bytes c)
{
    static const char from[] = "\"\\\n\r\t", to[] = "\"\\nrt";
    const char *at = c.p[0] ? strchr(from, c.p[0]) : NULL;
    if (c.n == 1 && at) {
        put(l, yzi_bytes((char[]){'\\', to[at - from]}, 2));
        return;
    }
    for (size_t i = 0; i < c.n; i++) { /* bytes, because there may be no character to name */
        char hex[8];
        int n = snprintf(hex, sizeof hex, "\\x%02x", c.p[i]);
        put(l, yzi_bytes(hex, (size_t)n));
    }
}

static void put_quoted(struct line *l, yz_bytes v, size_t max)
{
    put_str(l, "\"");
    size_t start = l->n;
    while (v.n && !l->over && l->n - start < max) {
        size_t len = yzi_utf8_char(v);
        yz_bytes c = yzi_bytes(v.p, len ? len : 1);
        if (len && (len > 1 ? !is_hostile(c) : is_printable(c.p[0]))) {
            put(l, c);
        } else {
            put_escaped(l, c);
        }
        v = yzi_bytes(v.p + c.n, v.n - c.n);
    }
    put_str(l, v.n ? ellipsis : "");
    put_str(l, "\"");
}

static void put_text(struct line *l, yz_bytes v, size_t max)
{
    if (v.n <= max && is_plain(v)) {
        put(l, v);
    } else {
        put_quoted(l, v, max);
    }
}

static void put_hex(struct line *l, yz_bytes v)
{
    size_t shown = v.n < VALUE_BYTES / 2 ? v.n : VALUE_BYTES / 2;
    for (size_t i = 0; i < shown; i++) {
        char hex[3];
        int rc = yzi_hex_encode(yzi_bytes(v.p + i, 1), hex, sizeof hex);
        YZ_ASSERT(rc == 0);
        put_str(l, hex);
    }
    put_str(l, shown < v.n ? ellipsis : "");
}

static void put_num(struct line *l, int64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)v);
    put_str(l, text);
}

static void put_key(struct line *l, const char *key)
{
    put_str(l, " ");
    put_str(l, key);
    put_str(l, "=");
}

static void put_value(struct line *l, const struct log_field *f, size_t max)
{
    switch (f->kind) {
    case LOG_TEXT:
        put_text(l, f->text, max);
        break;
    case LOG_NUM:
        put_num(l, f->num);
        break;
    case LOG_HEX:
        put_hex(l, f->text);
        break;
    case LOG_END:
        break;
    }
}

static void put_fields(struct line *l, const struct log_field *f, size_t max)
{
    for (; f && f->key; f++) {
        size_t before = l->n;
        put_key(l, f->key);
        put_value(l, f, max);
        if (l->over) { /* half a field would be a lie */
            l->n = before;
            l->over = false;
            l->cut = true;
        }
    }
}

static bool begin(struct line *l, const struct log_event *event)
{
    if ((int)event->level < least_level) {
        return false;
    }
    l->n = 0;
    l->limit = LINE_LIMIT;
    l->over = l->cut = false;
    char time[32];
    yzi_time_format(yzi_wall_ms(&yzi_clock_system), time);
    put_str(l, "time=");
    put_str(l, time);
    put_key(l, "level");
    put_str(l, level_names[event->level]);
    put_key(l, "event");
    put_str(l, event->name);
    return true;
}

static void emit(struct line *l)
{
    l->limit = LINE_BYTES;
    put_str(l, l->cut ? cut_mark : "");
    put_str(l, "\n");
    int saved = errno;
    /* There is nobody to tell when it fails, and the rest of a half-written line would only land
     * inside another. */
    while (write(log_fd, l->text, l->n) < 0 && errno == EINTR) {
    }
    errno = saved;
}

void yzi_log(const struct log_event *event, const struct log_field *fields)
{
    struct line l;
    if (begin(&l, event)) {
        put_fields(&l, fields, VALUE_BYTES);
        emit(&l);
    }
}

void yzi_log_error(const struct log_event *event, const yz_error *err,
                   const struct log_field *fields)
{
    struct line l;
    if (begin(&l, event)) {
        l.limit -= ERROR_BYTES;
        put_fields(&l, fields, VALUE_BYTES);
        l.limit += ERROR_BYTES;
        put_fields(&l,
                   (struct log_field[]){
                       log_str("error", yz_err_name(err->code)), log_str("reason", err->text), {0}},
                   REASON_BYTES);
        emit(&l);
    }
}
