/* SPDX-License-Identifier: Apache-2.0
 *
 * Text in columns for people: as wide as the terminal shows it, so that Chinese names do not push
 * their neighbours aside.
 */
#ifndef YZ_CLI_COLUMNS_H
#define YZ_CLI_COLUMNS_H

#include "cli/cli.h"

struct columns {
    struct cli *c;
    size_t width; /* cells in a row */
    yz_bytes *cells;
    size_t cells_n, cap;
    int rc; /* the first failure sticks */
};
/* The head's words, ended by NULL. */
void yzi_columns_begin(struct columns *t, struct cli *c, const char *const *head);
/* The next cell, copied, as yzi_text_printable shows it on one line; rows follow from their number.
 */
void yzi_columns_add(struct columns *t, yz_bytes cell);
void yzi_columns_str(struct columns *t, const char *cell);
void yzi_columns_printf(struct columns *t, const char *fmt, ...) YZ_PRINTF(2, 3);
/* The table, after a blank line if it stands below something; nothing when there is no row. */
YZ_MUST_USE int yzi_columns_print(struct columns *t, bool below);

/* Cells of a terminal that valid UTF-8 takes. */
size_t yzi_columns_of(yz_bytes text);

#endif
