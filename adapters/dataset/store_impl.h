/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the store share: keys, stored rows, the scan of an import file. Only
 * adapters/dataset/ includes this.
 */
#ifndef YZ_DATASET_STORE_IMPL_H
#define YZ_DATASET_STORE_IMPL_H

#include "adapters/dataset/store.h"
#include "base/lmdb.h"

/* -- field.c -- */
/* As yzi_field_canonical, for a value as it travels in queries: FIELD_BYTES are raw. */
YZ_MUST_USE int yzi_field_check_raw(const struct dataset_field *f, yz_bytes value, yz_buf *out,
                                    const char **reason);

static inline bool yzi_field_is_sealed(const struct dataset_field *f)
{
    return f->classification >= CLASS_SENSITIVE;
}

/* -- key.c: record keys -- */

/* Subkeys of the storage key, 32 bytes each, readable while the store is open. */
struct store_keys {
    const uint8_t *seal; /* values */
    const uint8_t *hash; /* key fields */
};

/* Bytes a value of this field takes in a key at most; the definition holds their sum to
 * YZ_DB_KEY_MAX. */
size_t yzi_key_part_max(const struct dataset_field *f);

/* The record's key from the key fields' canonical values (in the order of d->key), into `out`
 * (cleared first). Keys compare bytewise as their values do, field by field; a sealed field is
 * represented by its keyed hash, which has no order. YZ_ENOMEM, YZ_ELIMIT. */
YZ_MUST_USE int yzi_key_encode(const struct dataset *d, const struct store_keys *keys,
                               const yz_bytes *parts, yz_buf *out);

/* -- row.c: stored rows -- */

/* A stored row: sequence u64 ‖ ordinal u64 ‖ values in stored order (see row.c). */
struct stored_row {
    uint64_t sequence; /* of its last change */
    uint64_t ordinal;  /* given once, when the record is inserted: 0, 1, 2, ... */
    yz_bytes values;
};
struct row_layout {
    const struct dataset *dataset;
    const struct store_keys *keys;
    size_t fields_n;                       /* stored */
    unsigned field[DATASET_FIELDS_MAX];    /* stored position -> field of the definition */
    unsigned position[DATASET_FIELDS_MAX]; /* the reverse */
};
YZ_MUST_USE int yzi_row_encode(const struct row_layout *l, yz_bytes key, uint64_t sequence,
                               uint64_t ordinal, const struct query_value *values, yz_buf *out);
YZ_MUST_USE int yzi_row_decode(yz_bytes stored, struct stored_row *out); /* YZ_ECORRUPT */
/* Every value as stored (sealed ones still sealed), by field of the definition; a field the row
 * does not have is null. */
YZ_MUST_USE int yzi_row_split(const struct row_layout *l, const struct stored_row *row,
                              struct query_value out[DATASET_FIELDS_MAX]);
/* Open a sealed value that is not null: its plain value, in `plain` (cleared first), which the
 * caller wipes. YZ_ECORRUPT when it does not belong to this record and field, or the key is not
 * the one it was sealed with. */
YZ_MUST_USE int yzi_row_open(const struct row_layout *l, yz_bytes key, unsigned field,
                             yz_bytes sealed, yz_buf *plain, struct query_value *out);
/* Whether the stored row holds exactly `values`. */
YZ_MUST_USE int yzi_row_equals(const struct row_layout *l, yz_bytes key,
                               const struct stored_row *row, const struct query_value *values,
                               yz_buf *plain, bool *out);

/* -- store.c -- */

struct store {
    const struct dataset *dataset;
    struct db_env *env;
    db_handle records, meta;
    bool read_only;
    yz_secret subkeys; /* opened for as long as the store is */
    struct store_keys keys;
    struct row_layout layout;
};

/* Counters kept in the meta database; 0 when not there yet. */
#define META_SEQUENCE "sequence" /* of the last change */
#define META_ORDINAL "ordinal"   /* the next record's */
YZ_MUST_USE int yzi_store_meta_get(struct db_txn *t, db_handle meta, const char *name,
                                   uint64_t *out);
YZ_MUST_USE int yzi_store_meta_put(struct db_txn *t, db_handle meta, const char *name, uint64_t v);

/* -- scan.c: a CSV file as checked rows -- */

/* Called for each row that is right: values by field of the definition, canonical, valid during the
 * call. YZ_EDATA with `reason` written refuses the row, the scan goes on; any other negative return
 * stops the scan and is returned. */
#define SCAN_REASON_MAX 200u
typedef int scan_row_fn(void *ctx, uint64_t line, const struct query_value *values,
                        char reason[SCAN_REASON_MAX]);

struct scan_totals {
    uint64_t rows, faults; /* rows read, right or wrong */
};

/* Read src from its start. YZ_EDATA when there was a fault (err holds the first), but only after
 * the whole file or max_faults were seen. `totals` is written in any case. */
YZ_MUST_USE int yzi_scan_csv(const struct dataset *d, const struct import_source *src,
                             scan_row_fn *row, void *ctx, struct scan_totals *totals,
                             yz_error *err);

#endif
