/* SPDX-License-Identifier: Apache-2.0
 *
 * Stored rows: sequence u64 ‖ ordinal u64 ‖ count u16 ‖ count values in stored order. A value is a
 * LEB128 number, 0 for null, otherwise its bytes plus one, then the bytes. Fields are only ever
 * added at the end of the stored order, so a row written under an older definition simply ends
 * earlier.
 *
 * A sealed value is nonce 24 ‖ XChaCha20-Poly1305 of (1 ‖ value, or 0 for null) padded to sixteen
 * bytes, so that neither null nor the length of a short value (yes, no) shows. Associated data:
 * data set 00 field 00 record key: a sealed value moved to another record or field does not open.
 *
 * The format is on disk: change it only together with the store's format version.
 */
#include <sodium.h>

#include "adapters/dataset/store_impl.h"

#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES
#define PAD_BLOCK 16u
#define AD_MAX (YZ_SEGMENT_MAX + 1 + YZ_NAME_MAX + 1 + YZ_DB_KEY_MAX)

/* -- sealing -- */

static size_t associated_data(const struct dataset *d, const struct dataset_field *f, yz_bytes key,
                              uint8_t ad[AD_MAX])
{
    size_t name = strlen(d->name) + 1, field = strlen(f->name) + 1;
    YZ_ASSERT(name + field + key.n <= AD_MAX);
    memcpy(ad, d->name, name);
    memcpy(ad + name, f->name, field);
    memcpy(ad + name + field, key.p, key.n);
    return name + field + key.n;
}

static size_t sealed_bytes(const struct query_value *v)
{
    size_t plain = 1 + (v->null ? 0 : v->v.n);
    return NONCE_BYTES + (plain / PAD_BLOCK + 1) * PAD_BLOCK + TAG_BYTES;
}

/* Seal into p, which has room for sealed_bytes(v); the plaintext is built where the ciphertext will
 * stand. */
static int seal(const struct row_layout *l, const struct dataset_field *f, yz_bytes key,
                const struct query_value *v, uint8_t *p)
{
    uint8_t ad[AD_MAX];
    size_t ad_n = associated_data(l->dataset, f, key, ad);
    uint8_t *text = p + NONCE_BYTES;
    size_t room = sealed_bytes(v) - NONCE_BYTES - TAG_BYTES, n = 1, padded;
    text[0] = !v->null;
    if (!v->null && v->v.n) {
        memcpy(text + 1, v->v.p, v->v.n);
        n += v->v.n;
    }
    YZ_ENSURE(sodium_pad(&padded, text, n, PAD_BLOCK, room) == 0 && padded == room, YZ_EINTERNAL);
    randombytes_buf(p, NONCE_BYTES);
    int rc = crypto_aead_xchacha20poly1305_ietf_encrypt(text, NULL, text, padded, ad, ad_n, NULL, p,
                                                        l->keys->seal);
    return rc == 0 ? 0 : YZ_EINTERNAL;
}

int yzi_row_open(const struct row_layout *l, yz_bytes key, unsigned field, yz_bytes sealed,
                 yz_buf *plain, struct query_value *out)
{
    YZ_ENSURE(sealed.n >= NONCE_BYTES + PAD_BLOCK + TAG_BYTES, YZ_ECORRUPT);
    YZ_ENSURE(key.n <= YZ_DB_KEY_MAX, YZ_ECORRUPT);
    uint8_t ad[AD_MAX];
    size_t ad_n = associated_data(l->dataset, &l->dataset->fields[field], key, ad);
    size_t padded = sealed.n - NONCE_BYTES - TAG_BYTES, n;
    uint8_t *text;
    yzi_buf_clear(plain);
    YZ_TRY(yzi_buf_extend(plain, padded, &text));
    YZ_ENSURE(crypto_aead_xchacha20poly1305_ietf_decrypt(text, NULL, NULL, sealed.p + NONCE_BYTES,
                                                         sealed.n - NONCE_BYTES, ad, ad_n, sealed.p,
                                                         l->keys->seal) == 0,
              YZ_ECORRUPT);
    YZ_ENSURE(sodium_unpad(&n, text, padded, PAD_BLOCK) == 0 && n >= 1, YZ_ECORRUPT);
    YZ_ENSURE(text[0] == 1 || (text[0] == 0 && n == 1), YZ_ECORRUPT);
    *out = (struct query_value){.null = text[0] == 0, .v = yzi_bytes(text + 1, n - 1)};
    return 0;
}

/* -- writing -- */

static int put_length(yz_buf *out, uint64_t v)
{
    while (v >= 0x80) {
        YZ_TRY(yzi_buf_put_u8(out, (uint8_t)(v | 0x80)));
        v >>= 7;
    }
    return yzi_buf_put_u8(out, (uint8_t)v);
}

static int put_value(const struct row_layout *l, yz_bytes key, unsigned field,
                     const struct query_value *v, yz_buf *out)
{
    const struct dataset_field *f = &l->dataset->fields[field];
    if (yzi_field_is_sealed(f)) {
        uint8_t *p;
        size_t n = sealed_bytes(v);
        YZ_TRY(put_length(out, n + 1));
        YZ_TRY(yzi_buf_extend(out, n, &p));
        return seal(l, f, key, v, p);
    }
    if (v->null) {
        return put_length(out, 0);
    }
    YZ_TRY(put_length(out, v->v.n + 1));
    return yzi_buf_put(out, v->v);
}

int yzi_row_encode(const struct row_layout *l, yz_bytes key, uint64_t sequence, uint64_t ordinal,
                   const struct query_value *values, yz_buf *out)
{
    yzi_buf_clear(out);
    YZ_TRY(yzi_buf_put_u64(out, sequence));
    YZ_TRY(yzi_buf_put_u64(out, ordinal));
    YZ_TRY(yzi_buf_put_u16(out, (uint16_t)l->fields_n));
    for (size_t i = 0; i < l->fields_n; i++) {
        YZ_TRY(put_value(l, key, l->field[i], &values[l->field[i]], out));
    }
    return 0;
}

/* -- reading -- */

int yzi_row_decode(yz_bytes stored, struct stored_row *out)
{
    yz_reader r = yzi_reader(stored);
    struct stored_row row;
    YZ_ENSURE(yzi_read_u64(&r, &row.sequence) == 0, YZ_ECORRUPT);
    YZ_ENSURE(yzi_read_u64(&r, &row.ordinal) == 0, YZ_ECORRUPT);
    row.values = yzi_bytes(r.p, r.left);
    *out = row;
    return 0;
}

static int read_length(yz_reader *r, size_t *out)
{
    size_t v = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t b;
        YZ_TRY(yzi_read_u8(r, &b));
        v |= (size_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *out = v;
            return 0;
        }
    }
    return YZ_EMALFORMED;
}

static int read_value(yz_reader *r, struct query_value *out)
{
    size_t n = 0;
    YZ_TRY(read_length(r, &n));
    if (n == 0) {
        *out = (struct query_value){.null = true};
        return 0;
    }
    out->null = false;
    return yzi_read_bytes(r, n - 1, &out->v);
}

int yzi_row_split(const struct row_layout *l, const struct stored_row *row,
                  struct query_value out[DATASET_FIELDS_MAX])
{
    yz_reader r = yzi_reader(row->values);
    uint16_t count;
    YZ_ENSURE(yzi_read_u16(&r, &count) == 0 && count <= l->fields_n, YZ_ECORRUPT);
    for (size_t i = 0; i < l->fields_n; i++) {
        struct query_value *v = &out[l->field[i]];
        *v = (struct query_value){.null = true};
        YZ_ENSURE(i >= count || read_value(&r, v) == 0, YZ_ECORRUPT);
    }
    return yzi_read_end(&r) == 0 ? 0 : YZ_ECORRUPT;
}

int yzi_row_equals(const struct row_layout *l, yz_bytes key, const struct stored_row *row,
                   const struct query_value *values, yz_buf *plain, bool *out)
{
    struct query_value stored[DATASET_FIELDS_MAX];
    YZ_TRY(yzi_row_split(l, row, stored));
    bool equal = true;
    for (size_t i = 0; i < l->fields_n && equal; i++) {
        unsigned field = l->field[i];
        struct query_value v = stored[field];
        bool sealed = yzi_field_is_sealed(&l->dataset->fields[field]);
        if (sealed && !v.null) {
            YZ_TRY(yzi_row_open(l, key, field, v.v, plain, &v));
        }
        equal = v.null == values[field].null && v.v.n == values[field].v.n &&
                (v.null || v.v.n == 0 || sodium_memcmp(v.v.p, values[field].v.p, v.v.n) == 0);
    }
    *out = equal;
    return 0;
}
