/* SPDX-License-Identifier: Apache-2.0
 *
 * Widths are the C library's for UTF-8, whatever locale the caller lives in.
 */
#include "cli/columns.h"

#include <locale.h>
#include <wchar.h>

#include "cli/texts.h"

#define CELLS_FIRST 64u
#define GAP 2u

void yzi_columns_begin(struct columns *t, struct cli *c, const char *const *head)
{
    *t = (struct columns){.c = c};
    while (head[t->width]) {
        t->width++;
    }
    for (size_t i = 0; i < t->width; i++) {
        yzi_columns_str(t, head[i]);
    }
}

static int grow(struct columns *t)
{
    yz_bytes *longer;
    size_t cap = t->cap ? t->cap * 2 : CELLS_FIRST;
    YZ_TRY(yzi_arena_new(yzi_cli_arena(t->c), cap, sizeof *longer, &longer));
    if (t->cells_n) {
        memcpy(longer, t->cells, t->cells_n * sizeof *longer);
    }
    t->cells = longer;
    t->cap = cap;
    return YZ_OK;
}

void yzi_columns_add(struct columns *t, yz_bytes cell)
{
    yz_bytes copy;
    if (t->rc == YZ_OK && t->cells_n == t->cap) {
        t->rc = grow(t);
    }
    YZ_AUTO(yzi_buf_fini) yz_buf shown;
    yzi_buf_init(&shown, 8 * (cell.n + 1)); /* the longest escape of a byte has fewer */
    if (t->rc == YZ_OK) {
        t->rc = yzi_text_printable(cell, false, &shown);
    }
    if (t->rc == YZ_OK) {
        t->rc = yzi_arena_dup(yzi_cli_arena(t->c), yzi_bytes_buf(&shown), &copy);
    }
    if (t->rc == YZ_OK) {
        t->cells[t->cells_n++] = copy;
    }
}

void yzi_columns_str(struct columns *t, const char *cell)
{
    yzi_columns_add(t, yzi_bytes_str(cell));
}

void yzi_columns_printf(struct columns *t, const char *fmt, ...)
{
    char *text;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0) {
        t->rc = t->rc < 0 ? t->rc : YZ_ENOMEM;
        return;
    }
    yzi_columns_add(t, yzi_bytes(text, (size_t)n));
    free(text);
}

static size_t width_in_locale(yz_bytes text)
{
    size_t width = 0;
    mbstate_t state = {0};
    while (text.n) {
        wchar_t wide;
        size_t n = mbrtowc(&wide, (const char *)text.p, text.n, &state);
        if (n == 0 || n > text.n) { /* cannot be, in UTF-8 that was checked */
            return width + text.n;
        }
        int w = wcwidth(wide);
        width += w > 0 ? (size_t)w : 0;
        text = yzi_bytes(text.p + n, text.n - n);
    }
    return width;
}

size_t yzi_columns_of(yz_bytes text)
{
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (utf8 == (locale_t)0) {
        return text.n;
    }
    locale_t before = uselocale(utf8);
    size_t width = width_in_locale(text);
    uselocale(before);
    freelocale(utf8);
    return width;
}

static void print_row(struct columns *t, size_t row, const size_t *widths)
{
    for (size_t i = 0; i < t->width; i++) {
        yz_bytes cell = t->cells[row * t->width + i];
        size_t pad = i + 1 < t->width ? widths[i] - yzi_columns_of(cell) + GAP : 0;
        yzi_cli_say(t->c, "%.*s%*s", CLI_V(cell), (int)pad, "");
    }
    yzi_cli_say(t->c, "\n");
}

int yzi_columns_print(struct columns *t, bool below)
{
    YZ_TRY(t->rc);
    size_t rows = t->cells_n / t->width, *widths;
    if (rows < 2) {
        return YZ_OK;
    }
    YZ_TRY(yzi_arena_new(yzi_cli_arena(t->c), t->width, sizeof *widths, &widths));
    for (size_t i = 0; i < rows * t->width; i++) {
        size_t w = yzi_columns_of(t->cells[i]);
        widths[i % t->width] = w > widths[i % t->width] ? w : widths[i % t->width];
    }
    yzi_cli_say(t->c, "%s", below ? "\n" : "");
    for (size_t row = 0; row < rows; row++) {
        print_row(t, row, widths);
    }
    return YZ_OK;
}
