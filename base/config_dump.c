/* SPDX-License-Identifier: Apache-2.0
 *
 * A configured struct back to text that parses to the same values. A value that is simply not set
 * (zero, optional, no default) is shown as a comment, because writing the zero could break its
 * range.
 */
#include <strings.h>

#include "base/config_tree.h"

static int dump_map(const struct config_field *fields, const char *base, unsigned depth,
                    yz_buf *out);

static int indent(yz_buf *out, unsigned depth)
{
    return yzi_buf_printf(out, "%*s", (int)(depth * 2), "");
}

/* ---- scalars ---- */

/* Text that reads as text without quotes, to YAML and to people. */
static bool is_plain(const char *s)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/0123456789.-";
    static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off"};
    if (s[0] == 0 || !strchr(first, s[0]) || s[strspn(s, rest)] != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(s, words[i]) == 0) {
            return false;
        }
    }
    return true;
}

/* The character at s, its length in *n; s is valid UTF-8. */
static uint32_t character(const uint8_t *s, size_t *n)
{
    *n = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t c = *n == 1 ? s[0] : s[0] & (0x7fu >> *n);
    for (size_t i = 1; i < *n; i++) {
        c = c << 6 | (s[i] & 0x3f);
    }
    return c;
}

/* Characters YAML does not let stand for themselves, or takes as line breaks or byte order marks.
 */
static bool needs_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
           c == 0xfffe || c == 0xffff;
}

static int dump_text(const char *s, yz_buf *out)
{
    if (is_plain(s)) {
        return yzi_buf_put_str(out, s);
    }
    YZ_TRY(yzi_buf_put_str(out, "\""));
    while (*s) {
        size_t n;
        uint32_t c = character((const uint8_t *)s, &n);
        if (c == '"' || c == '\\') {
            YZ_TRY(yzi_buf_printf(out, "\\%c", (char)c));
        } else if (needs_escape(c)) {
            YZ_TRY(yzi_buf_printf(out, c < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)c));
        } else {
            YZ_TRY(yzi_buf_put(out, yzi_bytes(s, n)));
        }
        s += n;
    }
    return yzi_buf_put_str(out, "\"");
}

static int dump_enum(const struct config_field *f, int v, yz_buf *out)
{
    int n = 0;
    while (f->names[n]) {
        n++;
    }
    YZ_ENSURE(v >= 0 && v < n, YZ_EINVAL);
    return dump_text(f->names[v], out);
}

/* ---- is there anything to write ---- */

static bool is_zero(const struct config_field *f, const void *member)
{
    switch (f->type) {
    case CONFIG_TEXT:
    case CONFIG_PATH:
        return *(const char *const *)member == NULL;
    case CONFIG_U64:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        return *(const uint64_t *)member == 0;
    case CONFIG_LIST:
        return ((const struct config_list *)member)->n == 0;
    case CONFIG_MAPS:
        return ((const struct config_maps *)member)->n == 0;
    case CONFIG_ANY_MAP:
        return ((const struct config_pairs *)member)->n == 0;
    case CONFIG_BOOL:
    case CONFIG_ENUM:
    case CONFIG_MAP:
        return false; /* their zero can always be written */
    }
    return false;
}

/* The map was not in the file: something required of it cannot have been written. */
static bool is_absent(const struct config_field *fields, const char *base)
{
    for (const struct config_field *f = fields; f->key; f++) {
        const char *member = base + f->offset;
        bool text = f->type == CONFIG_TEXT || f->type == CONFIG_PATH;
        if (f->required && is_zero(f, member) && (text || f->min > 0)) {
            return true;
        }
        if (f->required && f->type == CONFIG_MAP && is_absent(f->fields, member)) {
            return true;
        }
    }
    return false;
}

static bool is_unset(const struct config_field *f, const char *member)
{
    if (f->required) {
        return false;
    }
    if (f->type == CONFIG_MAP) {
        return is_absent(f->fields, member);
    }
    bool text = f->type == CONFIG_TEXT || f->type == CONFIG_PATH;
    return is_zero(f, member) && (text || !f->dflt);
}

/* ---- fields ---- */

static int dump_comment(const struct config_field *f, unsigned depth, yz_buf *out)
{
    char range[80] = "";
    bool amount = f->type == CONFIG_U64 || f->type == CONFIG_SIZE || f->type == CONFIG_DURATION;
    if (amount) {
        yzi_config_range_print(f, range);
    }
    if (f->help) {
        YZ_TRY(indent(out, depth));
        YZ_TRY(yzi_buf_printf(out, "# %s\n", f->help));
    }
    if (f->required || f->dflt || range[0] || f->type == CONFIG_ENUM) {
        YZ_TRY(indent(out, depth));
        YZ_TRY(yzi_buf_printf(out, "# (%s%s%s%s", f->required ? "required" : "optional",
                              f->dflt ? ", default " : "", f->dflt ? f->dflt : "",
                              range[0] ? ", " : ""));
        YZ_TRY(yzi_buf_put_str(out, range));
        for (int i = 0; f->type == CONFIG_ENUM && f->names[i]; i++) {
            YZ_TRY(yzi_buf_printf(out, "%s%s", i ? " | " : ", one of ", f->names[i]));
        }
        YZ_TRY(yzi_buf_put_str(out, ")\n"));
    }
    return YZ_OK;
}

static int dump_list(const struct config_list *list, unsigned depth, yz_buf *out)
{
    YZ_TRY(yzi_buf_put_str(out, list->n ? "\n" : " []\n"));
    for (size_t i = 0; i < list->n; i++) {
        YZ_TRY(indent(out, depth + 1));
        YZ_TRY(yzi_buf_put_str(out, "- "));
        YZ_TRY(dump_text(list->items[i], out));
        YZ_TRY(yzi_buf_put_str(out, "\n"));
    }
    return YZ_OK;
}

static int dump_pairs(const struct config_pairs *pairs, unsigned depth, yz_buf *out)
{
    YZ_TRY(yzi_buf_put_str(out, pairs->n ? "\n" : " {}\n"));
    for (size_t i = 0; i < pairs->n; i++) {
        YZ_TRY(indent(out, depth + 1));
        YZ_TRY(dump_text(pairs->items[i].key, out));
        YZ_TRY(yzi_buf_put_str(out, ": "));
        YZ_TRY(dump_text(pairs->items[i].value, out));
        YZ_TRY(yzi_buf_put_str(out, "\n"));
    }
    return YZ_OK;
}

static int dump_maps(const struct config_field *f, const struct config_maps *maps, unsigned depth,
                     yz_buf *out)
{
    YZ_TRY(yzi_buf_put_str(out, maps->n ? "\n" : " []\n"));
    const char *item = maps->items;
    for (size_t i = 0; i < maps->n; i++, item += f->item_size) {
        YZ_TRY(indent(out, depth + 1));
        YZ_TRY(yzi_buf_put_str(out, "-\n"));
        YZ_TRY(dump_map(f->fields, item, depth + 2, out));
    }
    return YZ_OK;
}

static int dump_line(const struct config_field *f, const void *member, yz_buf *out)
{
    YZ_TRY(yzi_buf_put_str(out, " "));
    if (f->type == CONFIG_BOOL) {
        YZ_TRY(yzi_buf_put_str(out, *(const bool *)member ? "true" : "false"));
    } else if (f->type == CONFIG_ENUM) {
        YZ_TRY(dump_enum(f, *(const int *)member, out));
    } else if (f->type == CONFIG_TEXT || f->type == CONFIG_PATH) {
        const char *s = *(const char *const *)member;
        YZ_TRY(dump_text(s ? s : "", out));
    } else {
        char amount[32];
        yzi_config_amount_print(f->type, *(const uint64_t *)member, amount);
        YZ_TRY(yzi_buf_put_str(out, amount));
    }
    return yzi_buf_put_str(out, "\n");
}

static int dump_field(const struct config_field *f, const char *base, unsigned depth, yz_buf *out)
{
    const void *member = base + f->offset;
    YZ_TRY(dump_comment(f, depth, out));
    YZ_TRY(indent(out, depth));
    if (is_unset(f, member)) {
        return yzi_buf_printf(out, "#%s: not set\n", f->key);
    }
    YZ_TRY(yzi_buf_printf(out, "%s:", f->key));
    switch (f->type) {
    case CONFIG_LIST:
        return dump_list(member, depth, out);
    case CONFIG_ANY_MAP:
        return dump_pairs(member, depth, out);
    case CONFIG_MAPS:
        return dump_maps(f, member, depth, out);
    case CONFIG_MAP:
        YZ_TRY(yzi_buf_put_str(out, "\n"));
        return dump_map(f->fields, member, depth + 1, out);
    case CONFIG_TEXT:
    case CONFIG_PATH:
    case CONFIG_U64:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
    case CONFIG_BOOL:
    case CONFIG_ENUM:
        return dump_line(f, member, out);
    }
    return YZ_EINVAL;
}

static int dump_map(const struct config_field *fields, const char *base, unsigned depth,
                    yz_buf *out)
{
    for (const struct config_field *f = fields; f->key; f++) {
        YZ_TRY(dump_field(f, base, depth, out));
    }
    return YZ_OK;
}

int yzi_config_dump(const struct config_field *fields, const void *target, yz_buf *out)
{
    return dump_map(fields, target, 0, out);
}
