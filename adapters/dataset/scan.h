/* SPDX-License-Identifier: Apache-2.0
 *
 * From a file of the agency to checked records. A *source* (CSV, JSON, XML) reads the file and
 * yields one raw record after the other: where it stands and, by field of the definition, the text
 * that stands there. The *mapper* (scan.c) is the same for all: it normalises, checks, brings
 * values into their canonical form and reports every fault with its place. Only adapters/dataset/
 * includes this.
 *
 * Everything is streamed: a source holds one record, of at most SCAN_RECORD_MAX bytes, and the
 * mapper its canonical values, whatever the size of the file.
 */
#ifndef YZ_DATASET_SCAN_H
#define YZ_DATASET_SCAN_H

#include "adapters/dataset/store.h"

#define SCAN_RECORD_MAX (1024u * 1024u) /* bytes of a record in the file */
#define SCAN_REASON_MAX 200u

struct scan_place {
    uint64_t line;   /* where the record begins, from 1 */
    uint64_t record; /* which it is, from 1; 0: lines tell (CSV) */
    uint64_t column; /* of a fault in the form of the file, in characters from 1; 0: none */
};

/* Called for each record that is right: values by field of the definition, canonical, valid during
 * the call. YZ_EDATA with `reason` written refuses the record, the scan goes on; any other negative
 * return stops the scan and is returned. */
typedef int scan_row_fn(void *ctx, const struct scan_place *at, const struct query_value *values,
                        char reason[SCAN_REASON_MAX]);

struct scan_totals {
    uint64_t rows;                 /* records read, right or wrong */
    uint64_t faults;               /* told, at most max_faults + what one record adds */
    uint64_t rejected;             /* records left out, with src->rejects */
    bool seen[DATASET_FIELDS_MAX]; /* by field: some record had a value there, or none is read */
};

/* Read src from its start. YZ_EDATA when there was a fault (err holds the first), but only after
 * the whole file or max_faults were seen; with src->rejects, wrong records are written there and
 * are no failure, while a file that cannot be read on still is. YZ_ECANCELLED. `totals` is written
 * in any case. */
YZ_MUST_USE int yzi_scan(const struct dataset *d, const struct import_source *src, scan_row_fn *row,
                         void *ctx, struct scan_totals *totals, yz_error *err);

/* -- what sources use -- */

struct scan;
struct raw_value {
    bool present;
    yz_bytes v;
    const char *fault; /* it cannot be read as one value, and why: a static sentence fragment */
};
struct raw_record {
    struct scan_place at;
    const struct raw_value *values; /* by field; n of the definition */
    const char *fault;              /* the record as a whole cannot be read, and why; or NULL */
    const yz_bytes *columns;        /* as the file has it, for the rejects */
    size_t columns_n;
};
const struct dataset *yzi_scan_dataset(const struct scan *s);
/* A file of keys: only key fields are read, and needed. */
bool yzi_scan_keys_only(const struct scan *s);
bool yzi_scan_wants(const struct scan *s, size_t field);
/* The next piece of the file, in UTF-8 but unchecked; n 0 at its end, and again after it. Valid
 * until the next call. YZ_ECANCELLED, YZ_EIO, ... */
YZ_MUST_USE int yzi_scan_piece(struct scan *s, enum text_encoding encoding, yz_bytes *out);
/* What the columns of the raw records are called, before the first of them. */
YZ_MUST_USE int yzi_scan_columns(struct scan *s, const yz_bytes *names, size_t n);
/* Hand a record to the mapper; negative ends the scan. */
YZ_MUST_USE int yzi_scan_record(struct scan *s, const struct raw_record *r);
/* The file itself is wrong, or a part of it that is no record. `again` tells whether the scan can
 * go on: YZ_EDATA when it cannot, or when enough was told. */
YZ_MUST_USE int yzi_scan_fault(struct scan *s, const struct scan_place *at, const char *field,
                               const char *reason);
uint64_t yzi_scan_faults(const struct scan *s);

/* The sources: read everything and return 0, or what ended the scan. */
YZ_MUST_USE int yzi_scan_csv(struct scan *s);
YZ_MUST_USE int yzi_scan_json(struct scan *s, bool lines);
YZ_MUST_USE int yzi_scan_xml(struct scan *s);

#endif
