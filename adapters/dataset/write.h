/* SPDX-License-Identifier: Apache-2.0
 *
 * Write operations: an insert, a put or a delete is one durable transaction, all or nothing. It is
 * built on the writer of records that imports use (record_write.h), so that indexes, sequence and
 * sealing are kept by the same code.
 *
 * Writer thread only.
 */
#ifndef YZ_DATASET_WRITE_H
#define YZ_DATASET_WRITE_H

#include "adapters/dataset/store.h"

struct store_write {
    enum query_operation operation;
    /* insert, put: the columns of the rows (indexes into fields, none twice, the key's among them)
     * and the rows as proto/payload.h lays them out */
    const unsigned *columns;
    size_t columns_n;
    yz_bytes rows;
    uint32_t rows_n;
    /* delete */
    const struct query_key *keys;
    size_t keys_n;
};
struct store_written {
    uint64_t changed;  /* records inserted, made different, deleted */
    uint64_t sequence; /* the data set's, after it */
    /* After a failure: whether it is in the store cannot be told until the store is opened again.
     * In every other failure it certainly is not. */
    bool uncertain;
    char detail[200]; /* of a "bad-value", which and why: a sentence that names no value; or "" */
};

/* Insert: every record must be new. Put: the columns are set, other fields of a record that is
 * there stay, those of a new one are null. Delete: the records with these keys.
 *
 * YZ_EINVAL, *reason being the answer's reason code: "bad-key" (a key field not among the columns,
 * or null; a key of another number of parts), "bad-value" (not of the field's type), "bad-fields"
 * (a column twice), "required" (null where the definition asks for a value), "duplicate-key" (two
 * rows or keys name one record), "exists" (insert; a unique index has the values: "not-unique"),
 * "not-found" (delete), "too-many-keys", "malformed" (rows that are not rows_n × columns_n values).
 * YZ_EUNSUPPORTED for another operation; YZ_EINVAL with reason "read-only" for a store open for
 * reading only. YZ_EDISKFULL, YZ_EIO, YZ_ECORRUPT, YZ_ENOMEM. *out is written in any case. A write
 * that changes nothing is not written to disk. */
YZ_MUST_USE int yzi_store_write(struct store *s, const struct store_write *w,
                                struct store_written *out, const char **reason);

#endif
