/* SPDX-License-Identifier: Apache-2.0
 *
 * Entry keys of indexes (store_impl.h). The format is on disk, and tests/data/vectors/index.txt
 * holds it fast: change it only together with the store's format version.
 */
#include <sodium.h>

#include "adapters/dataset/store_impl.h"

#define ENTRY_HASH_BYTES (YZ_DB_KEY_MAX - INDEX_CUT)

enum { PART_NULL = 0, PART_VALUE = 1 };

/* Whether there is a value is hidden with it: the hash covers 00, or 01 ‖ value. */
static int put_sealed(const struct dataset *d, const struct store_keys *keys,
                      const struct dataset_field *f, const struct query_value *v, yz_buf *out)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf plain = {0};
    yzi_buf_init(&plain, 1 + YZ_VALUE_MAX);
    YZ_TRY(yzi_buf_put_u8(&plain, v->null ? PART_NULL : PART_VALUE));
    if (!v->null) {
        YZ_TRY(yzi_buf_put(&plain, v->v));
    }
    return yzi_key_put_hash(d, f, keys->index, yzi_bytes_buf(&plain), out);
}

int yzi_index_put_part(const struct dataset *d, const struct store_keys *keys, unsigned field,
                       const struct query_value *v, yz_buf *out)
{
    const struct dataset_field *f = &d->fields[field];
    if (yzi_field_is_sealed(f)) {
        return put_sealed(d, keys, f, v, out);
    }
    YZ_TRY(yzi_buf_put_u8(out, v->null ? PART_NULL : PART_VALUE));
    return v->null ? 0 : yzi_key_put_plain(f, v->v, out);
}

int yzi_index_close_entry(yz_buf *parts)
{
    YZ_ASSERT(ENTRY_HASH_BYTES == crypto_generichash_BYTES);
    if (parts->n <= INDEX_WHOLE_MAX) {
        return 0;
    }
    uint8_t hash[ENTRY_HASH_BYTES];
    YZ_ENSURE(crypto_generichash(hash, sizeof hash, parts->p, parts->n, NULL, 0) == 0,
              YZ_EINTERNAL);
    parts->n = INDEX_CUT;
    return yzi_buf_put(parts, yzi_bytes(hash, sizeof hash));
}

int yzi_index_entry(const struct dataset *d, const struct store_keys *keys,
                    const struct dataset_index *index, const struct query_value *values,
                    yz_buf *out)
{
    yzi_buf_clear(out);
    for (size_t i = 0; i < index->fields_n; i++) {
        unsigned field = index->fields[i];
        YZ_TRY(yzi_index_put_part(d, keys, field, &values[field], out));
    }
    return yzi_index_close_entry(out);
}

int yzi_index_entry_of_row(const struct row_layout *l, yz_bytes key,
                           const struct query_value split[DATASET_FIELDS_MAX],
                           const struct dataset_index *index, yz_buf *plain, yz_buf *out,
                           bool *has_null)
{
    yzi_buf_clear(out);
    *has_null = false;
    for (size_t i = 0; i < index->fields_n; i++) {
        unsigned field = index->fields[i];
        struct query_value v = split[field];
        if (!v.null && yzi_field_is_sealed(&l->dataset->fields[field])) {
            YZ_TRY(yzi_row_open(l, key, field, v.v, plain, &v));
        }
        *has_null = *has_null || v.null;
        YZ_TRY(yzi_index_put_part(l->dataset, l->keys, field, &v, out));
    }
    return yzi_index_close_entry(out);
}

size_t yzi_index_entry_max(const struct dataset *d, const struct dataset_index *index)
{
    size_t n = 0;
    for (size_t i = 0; i < index->fields_n; i++) {
        const struct dataset_field *f = &d->fields[index->fields[i]];
        n += !yzi_field_is_sealed(f) + yzi_key_part_max(f);
    }
    return n;
}
