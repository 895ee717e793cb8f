/* SPDX-License-Identifier: Apache-2.0
 *
 * The rejects of an import that was allowed to leave records out: a CSV file with where each stood,
 * why it was refused, and the record as it stood in the file, so that it can be put right and
 * imported again. Unlike faults it holds values, so it belongs to whoever asked for the import.
 */
#ifndef YZ_DATASET_REJECTS_H
#define YZ_DATASET_REJECTS_H

#include "adapters/dataset/scan.h"

/* Writes to fd, which stays the caller's. YZ_ENOMEM. Writer thread only. */
YZ_MUST_USE int yzi_rejects_new(int fd, struct import_rejects **out);
void yzi_rejects_free(struct import_rejects *r); /* NULL is allowed; drops what was not flushed */
/* The first row: line, record, reason, then these; only before the first record, and once. */
YZ_MUST_USE int yzi_rejects_head(struct import_rejects *r, const yz_bytes *names, size_t n);
/* YZ_EDISKFULL, YZ_EIO, YZ_ENOMEM. */
YZ_MUST_USE int yzi_rejects_put(struct import_rejects *r, const struct scan_place *at,
                                yz_bytes reason, const yz_bytes *columns, size_t n);
YZ_MUST_USE int yzi_rejects_flush(struct import_rejects *r);
/* Whether something could not be written: the other file of an import than the store. */
bool yzi_rejects_failed(const struct import_rejects *r);
/* Forget what was written, to begin again: an import that starts over. Needs a regular file. */
YZ_MUST_USE int yzi_rejects_restart(struct import_rejects *r);

/* One field of a CSV row as RFC 4180 writes it, with the delimiter before it unless it is the
 * first; quoted where it has to be. */
YZ_MUST_USE int yzi_csv_put(yz_buf *out, yz_bytes v, char delimiter, bool first);

#endif
