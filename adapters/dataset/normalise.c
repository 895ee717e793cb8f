/* SPDX-License-Identifier: Apache-2.0
 *
 * Normalisation works on bytes: every sequence it looks for is a whole UTF-8 character, and no
 * character of valid UTF-8 contains another.
 */
#include "adapters/dataset/normalise.h"

/* -- white space and full-width forms -- */

/* Bytes of the white space that stands at p: ASCII's, no-break space, the ideographic space. */
static size_t space_at(const uint8_t *p, size_t left)
{
    if (left >= 1 && (*p == ' ' || (*p >= '\t' && *p <= '\r'))) {
        return 1;
    }
    if (left >= 2 && p[0] == 0xc2 && p[1] == 0xa0) {
        return 2;
    }
    return left >= 3 && p[0] == 0xe3 && p[1] == 0x80 && p[2] == 0x80 ? 3 : 0;
}

static yz_bytes trim(yz_bytes v)
{
    for (size_t n; (n = space_at(v.p, v.n)) > 0;) {
        v = yzi_bytes(v.p + n, v.n - n);
    }
    for (bool more = true; more;) {
        more = false;
        for (size_t n = 1; n <= 3 && n <= v.n; n++) {
            if (space_at(v.p + v.n - n, n) == n) {
                v.n -= n;
                more = true;
                break;
            }
        }
    }
    return v;
}

bool yzi_normal_is_space(yz_bytes v)
{
    return trim(v).n == 0;
}

/* U+FF01..U+FF5E stand 0xfee0 above ASCII: ef bc 81..bf, ef bd 80..9e. 0: none is there. */
static uint8_t narrow_at(const uint8_t *p, size_t left)
{
    if (left < 3 || p[0] != 0xef) {
        return 0;
    }
    if (p[1] == 0xbc && p[2] >= 0x81 && p[2] <= 0xbf) {
        return (uint8_t)(p[2] - 0x81 + 0x21);
    }
    return p[1] == 0xbd && p[2] >= 0x80 && p[2] <= 0x9e ? (uint8_t)(p[2] - 0x80 + 0x60) : 0;
}

static uint8_t letter(const struct field_normal *n, uint8_t c)
{
    if (n->upper && c >= 'a' && c <= 'z') {
        return (uint8_t)(c - 'a' + 'A');
    }
    return n->lower && c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

/* Character by character; never longer than it was. */
static int rewrite(const struct field_normal *n, yz_bytes v, yz_buf *scratch, yz_bytes *out)
{
    uint8_t *to;
    yzi_buf_clear(scratch);
    YZ_TRY(yzi_buf_extend(scratch, v.n + 1, &to)); /* a view of nothing needs a pointer, too */
    size_t length = 0;
    for (size_t i = 0; i < v.n;) {
        uint8_t narrow = n->narrow ? narrow_at(v.p + i, v.n - i) : 0;
        size_t space = n->squeeze || n->narrow ? space_at(v.p + i, v.n - i) : 0;
        if (narrow) {
            to[length++] = letter(n, narrow);
            i += 3;
        } else if (space && (n->squeeze || space == 3)) {
            bool again = n->squeeze && length && to[length - 1] == ' ';
            length += again ? 0 : 1;
            to[length - 1] = ' ';
            i += space;
        } else {
            to[length++] = letter(n, v.p[i++]);
        }
    }
    *out = yzi_bytes(to, length);
    return 0;
}

/* -- dates and times -- */

enum part { YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, PARTS };
static const struct {
    const char *token;
    enum part part;
    size_t least, most; /* digits */
} tokens[] = {{"YYYY", YEAR, 4, 4}, {"MM", MONTH, 2, 2},  {"DD", DAY, 2, 2},
              {"M", MONTH, 1, 2},   {"D", DAY, 1, 2},     {"hh", HOUR, 2, 2},
              {"mm", MINUTE, 2, 2}, {"ss", SECOND, 2, 2}, {"h", HOUR, 1, 2}};
#define TOKENS (sizeof tokens / sizeof tokens[0])

static size_t token_at(const char *format)
{
    for (size_t i = 0; i < TOKENS; i++) {
        if (strncmp(format, tokens[i].token, strlen(tokens[i].token)) == 0) {
            return i;
        }
    }
    return TOKENS;
}

const char *yzi_normal_format_fault(const char *format, enum field_type type)
{
    unsigned found[PARTS] = {0};
    bool variable = false; /* behind a token whose number of digits is open */
    while (*format) {
        size_t t = token_at(format);
        if (t == TOKENS) {
            if (*format >= '0' && *format <= '9') {
                return "has a digit, which no date could be told from";
            }
            variable = false;
            format++;
            continue;
        }
        if (variable) {
            return "puts a number behind one whose number of digits is open (use MM, DD)";
        }
        variable = tokens[t].least != tokens[t].most;
        found[tokens[t].part]++;
        format += strlen(tokens[t].token);
    }
    for (size_t i = 0; i < PARTS; i++) {
        bool needed = i <= DAY || (type == FIELD_TIME && i <= MINUTE);
        if (found[i] > 1) {
            return "names a part twice (parts are YYYY MM M DD D hh h mm ss)";
        }
        if (needed && !found[i]) {
            return type == FIELD_TIME ? "needs YYYY, a month, a day, hh and mm"
                                      : "needs YYYY, a month (MM or M) and a day (DD or D)";
        }
        if (type == FIELD_DATE && i > DAY && found[i]) {
            return "has hours or minutes, which a date has not";
        }
    }
    return NULL;
}

static bool take_number(yz_bytes *v, size_t least, size_t most, unsigned *out)
{
    size_t n = 0;
    unsigned number = 0;
    while (n < most && n < v->n && v->p[n] >= '0' && v->p[n] <= '9') {
        number = number * 10 + (unsigned)(v->p[n++] - '0');
    }
    if (n < least) {
        return false;
    }
    *v = yzi_bytes(v->p + n, v->n - n);
    *out = number;
    return true;
}

static bool matches(const char *format, yz_bytes v, unsigned parts[PARTS])
{
    while (*format) {
        size_t t = token_at(format);
        if (t < TOKENS) {
            if (!take_number(&v, tokens[t].least, tokens[t].most, &parts[tokens[t].part])) {
                return false;
            }
            format += strlen(tokens[t].token);
        } else {
            if (v.n == 0 || v.p[0] != (uint8_t)*format) {
                return false;
            }
            v = yzi_bytes(v.p + 1, v.n - 1);
            format++;
        }
    }
    return v.n == 0;
}

/* Into the form that yzi_field_canonical reads; whether the calendar has it is judged there. */
static int reform(const struct dataset_field *f, yz_bytes v, yz_buf *scratch, yz_bytes *out)
{
    for (size_t i = 0; i < f->normal.formats.n; i++) {
        unsigned p[PARTS] = {0};
        if (!matches(f->normal.formats.items[i], v, p)) {
            continue;
        }
        yzi_buf_clear(scratch);
        YZ_TRY(yzi_buf_printf(scratch, "%04u-%02u-%02u", p[YEAR], p[MONTH], p[DAY]));
        if (f->type == FIELD_TIME) {
            YZ_TRY(yzi_buf_printf(scratch, "T%02u:%02u:%02u%s", p[HOUR], p[MINUTE], p[SECOND],
                                  f->normal.zone));
        }
        *out = yzi_bytes_buf(scratch);
        return 0;
    }
    return 0;
}

int yzi_normalise(const struct dataset_field *f, yz_bytes raw, yz_buf *scratch, yz_bytes *out)
{
    const struct field_normal *n = &f->normal;
    yz_bytes v = raw;
    if (n->narrow || n->squeeze || n->upper || n->lower) {
        YZ_TRY(rewrite(n, v, scratch, &v));
    }
    if (n->trim) {
        v = trim(v);
    }
    for (size_t i = 0; i < n->empty.n; i++) {
        if (yzi_bytes_eq_str(v, n->empty.items[i])) {
            v.n = 0;
        }
    }
    *out = v;
    return v.n ? reform(f, v, scratch, out) : 0;
}

/* -- values that travel -- */

static bool has_full_width(yz_bytes v)
{
    for (size_t i = 0; i < v.n; i++) {
        if (narrow_at(v.p + i, v.n - i) || space_at(v.p + i, v.n - i) == 3) {
            return true;
        }
    }
    return false;
}

/* White space that is no single space. */
static bool has_other_space(yz_bytes v)
{
    for (size_t i = 0; i < v.n; i++) {
        if (space_at(v.p + i, v.n - i) && (v.p[i] != ' ' || (i > 0 && v.p[i - 1] == ' '))) {
            return true;
        }
    }
    return false;
}

static bool has_letter(yz_bytes v, char first, char last)
{
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] >= first && v.p[i] <= last) {
            return true;
        }
    }
    return false;
}

static bool has_space_at_end(yz_bytes v, bool beginning)
{
    return beginning ? space_at(v.p, v.n) > 0 : trim(v).n != v.n;
}

static bool stands_for_nothing(const struct field_normal *n, yz_bytes v)
{
    for (size_t i = 0; i < n->empty.n; i++) {
        if (yzi_bytes_eq_str(v, n->empty.items[i])) {
            return true;
        }
    }
    return false;
}

const char *yzi_normal_fault(const struct dataset_field *f, yz_bytes v, bool beginning)
{
    const struct field_normal *n = &f->normal;
    if (n->narrow && has_full_width(v)) {
        return "has full-width characters (write them as ASCII)";
    }
    if (n->trim && has_space_at_end(v, beginning)) {
        return "begins or ends with white space (leave it out)";
    }
    if (n->squeeze && has_other_space(v)) {
        return "has white space that is not a single space (write one space)";
    }
    bool letters = f->type == FIELD_TEXT || f->type == FIELD_CODE;
    if (letters && n->upper && has_letter(v, 'a', 'z')) {
        return "has small letters (write capital ones)";
    }
    if (letters && n->lower && has_letter(v, 'A', 'Z')) {
        return "has capital letters (write small ones)";
    }
    return !beginning && stands_for_nothing(n, v)
               ? "stands for no value in this register (ask for, or write, no value)"
               : NULL;
}

bool yzi_normal_gains(const struct field_normal *before, const struct field_normal *after)
{
    return (after->narrow && !before->narrow) || (after->trim && !before->trim) ||
           (after->squeeze && !before->squeeze) || (after->upper && !before->upper) ||
           (after->lower && !before->lower);
}
