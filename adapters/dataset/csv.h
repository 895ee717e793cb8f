/* SPDX-License-Identifier: Apache-2.0
 *
 * CSV with line numbers: libcsv in strict mode, wrapped because it keeps a BOM, knows no lines, and
 * tells only that quoting is wrong. One row at a time, bounded fields and rows.
 */
#ifndef YZ_DATASET_CSV_H
#define YZ_DATASET_CSV_H

#include "base/bytes.h"

#define CSV_ROW_MAX (1024u * 1024u)
#define CSV_COLUMNS_MAX 1024u

struct csv_row {
    uint64_t line; /* where the row starts, from 1 */
    const yz_bytes *fields;
    size_t n; /* valid until the next call */
};
struct csv_reader;
YZ_MUST_USE int yzi_csv_new(char delimiter, struct csv_reader **out);
void yzi_csv_free(struct csv_reader *r);
/* Feed a piece of the file (any size); `row` is called for each complete row and may stop the parse
 * by returning a negative code, which is then returned with *out_line, *reason left alone. On
 * YZ_EDATA of its own *out_line and *reason say where and why. Call with last = true (and possibly
 * no bytes) at the end of the file. After that, or a failure, YZ_EINVAL. YZ_ENOMEM. */
YZ_MUST_USE int yzi_csv_feed(struct csv_reader *r, yz_bytes piece, bool last,
                             int (*row)(void *ctx, const struct csv_row *row), void *ctx,
                             uint64_t *out_line, const char **reason);

#endif
