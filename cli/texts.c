/* SPDX-License-Identifier: Apache-2.0
 *
 * Which text to show, and how to show it. The wire refuses C0 control characters already; a home's
 * own files and whatever else Unicode has to mislead a reader are seen to here.
 */
#include "cli/texts.h"

#include <locale.h>
#include <strings.h>
#include <wctype.h>

#include "base/text.h"

/* -- printable -- */

/* Ranges of characters that are not shown but steer: their order is ascending. */
static const struct {
    uint32_t first, last;
} steering[] = {
    {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},       {0x61c, 0x61c},
    {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},
    {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff},
};

static bool is_steering(uint32_t c)
{
    for (size_t i = 0; i < sizeof steering / sizeof steering[0]; i++) {
        if (c >= steering[i].first && c <= steering[i].last) {
            return true;
        }
    }
    return false;
}

/* The character at the beginning of the text, and how many bytes it takes; 0: it is not UTF-8. */
static size_t next_character(yz_bytes t, uint32_t *out)
{
    uint8_t b = t.p[0];
    size_t n = b < 0x80 ? 1 : b >= 0xf0 ? 4 : b >= 0xe0 ? 3 : 2;
    if (n > t.n || !yzi_utf8_is_valid(yzi_bytes(t.p, n))) {
        return 0;
    }
    uint32_t c = n == 1 ? b : b & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        c = c << 6 | (t.p[i] & 0x3fu);
    }
    *out = c;
    return n;
}

int yzi_text_printable(yz_bytes text, bool lines, yz_buf *out)
{
    while (text.n) {
        uint32_t c = 0;
        size_t n = next_character(text, &c);
        if (n == 0) {
            YZ_TRY(yzi_buf_printf(out, "\\x{%02x}", text.p[0]));
            n = 1;
        } else if (c == '\n') {
            YZ_TRY(yzi_buf_put_str(out, lines ? "\n" : " "));
        } else if (is_steering(c)) {
            YZ_TRY(yzi_buf_printf(out, "\\u{%x}", (unsigned)c));
        } else {
            YZ_TRY(yzi_buf_put(out, yzi_bytes(text.p, n)));
        }
        text = yzi_bytes(text.p + n, text.n - n);
    }
    return YZ_OK;
}

/* -- case -- */

static int put_character(yz_buf *out, uint32_t c)
{
    uint8_t b[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        b[i] = (uint8_t)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    b[0] = n == 1 ? (uint8_t)c : (uint8_t)((0xf00u >> n & 0xf0u) | c);
    return yzi_buf_put(out, yzi_bytes(b, n));
}

static int fold_in(locale_t utf8, yz_bytes text, yz_buf *out)
{
    while (text.n) {
        uint32_t c = 0;
        size_t n = next_character(text, &c);
        if (n == 0) {
            YZ_TRY(yzi_buf_put_u8(out, text.p[0]));
            n = 1;
        } else {
            wint_t lower = utf8 == (locale_t)0 ? c : towlower_l(c, utf8);
            lower = utf8 == (locale_t)0 && c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : lower;
            YZ_TRY(put_character(out, (uint32_t)lower));
        }
        text = yzi_bytes(text.p + n, text.n - n);
    }
    return YZ_OK;
}

int yzi_text_fold(yz_bytes text, yz_buf *out)
{
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0); /* else ASCII alone */
    int rc = fold_in(utf8, text, out);
    if (utf8 != (locale_t)0) {
        freelocale(utf8);
    }
    return rc;
}

/* -- languages -- */

static bool is_tag(yz_bytes t)
{
    for (size_t i = 0; i < t.n; i++) {
        uint8_t c = t.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && (i == 0 || !(c == '-' || (c >= '0' && c <= '9')))) {
            return false;
        }
    }
    return t.n > 0 && t.n <= YZ_LANGUAGE_MAX;
}

/* "zh_CN.UTF-8" of the environment as "zh-CN"; empty for "C", "POSIX" and nonsense. */
static int of_environment(struct cli *c, yz_bytes *out)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    const char *value = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !(value && *value); i++) {
        value = getenv(names[i]);
    }
    yz_bytes copy, text = yzi_bytes(value ? value : "", value ? strcspn(value, ".@") : 0);
    YZ_TRY(yzi_arena_dup(yzi_cli_arena(c), text, &copy));
    for (size_t i = 0; i < copy.n; i++) {
        uint8_t *p = (uint8_t *)(uintptr_t)copy.p + i;
        *p = *p == '_' ? '-' : *p;
    }
    bool none = yzi_bytes_eq_str(copy, "C") || yzi_bytes_eq_str(copy, "POSIX") || !is_tag(copy);
    *out = none ? (yz_bytes){0} : copy;
    return YZ_OK;
}

int yzi_cli_language(struct cli *c, yz_bytes *out)
{
    const char *given = yzi_cli_option(c, "lang");
    if (!given) {
        return of_environment(c, out);
    }
    if (!is_tag(yzi_bytes_str(given))) {
        return yzi_cli_usage(c, "--lang: '%s' is no language tag, such as zh, en or zh-Hant",
                             given);
    }
    *out = yzi_bytes_str(given);
    return YZ_OK;
}

static bool same_tag(yz_bytes a, yz_bytes b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp((const char *)a.p, (const char *)b.p, a.n) == 0);
}

/* The tag without its last subtag. */
static yz_bytes shorter(yz_bytes tag)
{
    size_t n = tag.n;
    while (n > 0 && tag.p[n - 1] != '-') {
        n--;
    }
    return yzi_bytes(tag.p, n > 0 ? n - 1 : 0);
}

static yz_bytes primary(yz_bytes tag)
{
    size_t n = 0;
    while (n < tag.n && tag.p[n] != '-') {
        n++;
    }
    return yzi_bytes(tag.p, n);
}

static const struct text_entry *in_language(const struct text_list *l, yz_bytes language)
{
    for (yz_bytes tag = language; tag.n; tag = shorter(tag)) {
        for (size_t i = 0; i < l->n; i++) {
            if (same_tag(l->items[i].language, tag)) {
                return &l->items[i];
            }
        }
    }
    for (size_t i = 0; language.n && i < l->n; i++) {
        if (same_tag(primary(l->items[i].language), primary(language))) {
            return &l->items[i];
        }
    }
    return NULL;
}

yz_bytes yzi_texts_choose(const struct text_list *l, yz_bytes language)
{
    const struct text_entry *t = in_language(l, language);
    t = t ? t : in_language(l, yzi_bytes_str("en"));
    t = t || l->n == 0 ? t : &l->items[0];
    return t ? t->text : (yz_bytes){0};
}

/* -- JSON -- */

void yzi_text_json(struct json *j, const char *key, yz_bytes text)
{
    yzi_json_key(j, key);
    if (text.n) {
        yzi_json_text(j, text);
    } else {
        yzi_json_null(j);
    }
}

void yzi_texts_json(struct json *j, const char *key, const struct text_list *l)
{
    yzi_json_key(j, key);
    yzi_json_object(j);
    for (size_t i = 0; i < l->n; i++) {
        char language[YZ_LANGUAGE_MAX + 1];
        snprintf(language, sizeof language, "%.*s", CLI_V(l->items[i].language));
        yzi_text_json(j, language, l->items[i].text);
    }
    yzi_json_object_end(j);
}
