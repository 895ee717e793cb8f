/* SPDX-License-Identifier: Apache-2.0
 *
 * Record keys: the key fields one after the other, each in an encoding that compares bytewise as
 * the values do and of which no encoding is the beginning of another, so that a compound key orders
 * by its first field, then by its second, and two different keys never meet.
 *
 *   text, code   the bytes, 00                 (canonical text holds no NUL)
 *   bytes        the bytes with 00 as 00 ff, then 00 00
 *   integer      8 bytes, big-endian, sign bit flipped
 *   decimal      see put_decimal
 *   date         its 10 characters
 *   time         without the Z, 00
 *   boolean      00 or 01
 *   sealed       BLAKE2b-256 keyed with the store's hash key, over data set 00 field 00 value
 *
 * The format is on disk: change it only together with the store's format version.
 */
#include <sodium.h>

#include "adapters/dataset/store_impl.h"
#include "base/text.h"

#define HASH_BYTES 32u
#define DECIMAL_KEY_MAX (1u + 1u + 38u + 1u)
#define TIME_KEY_MAX (19u + 10u + 1u) /* nine digits of a second with their point */

size_t yzi_key_part_max(const struct dataset_field *f)
{
    if (yzi_field_is_sealed(f)) {
        return HASH_BYTES;
    }
    switch (f->type) {
    case FIELD_TEXT:
    case FIELD_CODE:
        return (size_t)f->max_length + 1;
    case FIELD_BYTES:
        return 2 * (size_t)f->max_length + 2;
    case FIELD_INTEGER:
        return 8;
    case FIELD_DECIMAL:
        return DECIMAL_KEY_MAX;
    case FIELD_DATE:
        return 10;
    case FIELD_TIME:
        return TIME_KEY_MAX;
    case FIELD_BOOLEAN:
        return 1;
    }
    return SIZE_MAX;
}

static int put_terminated(yz_bytes v, yz_buf *out)
{
    YZ_TRY(yzi_buf_put(out, v));
    return yzi_buf_put_u8(out, 0);
}

static int put_escaped(yz_bytes v, yz_buf *out)
{
    for (size_t i = 0; i < v.n; i++) {
        YZ_TRY(yzi_buf_put_u8(out, v.p[i]));
        if (v.p[i] == 0) {
            YZ_TRY(yzi_buf_put_u8(out, 0xff));
        }
    }
    return yzi_buf_put_u16(out, 0);
}

static int put_integer(yz_bytes v, yz_buf *out)
{
    bool negative = v.n && v.p[0] == '-';
    uint64_t magnitude;
    YZ_ENSURE(yzi_u64_parse(yzi_bytes(v.p + negative, v.n - negative), UINT64_MAX, &magnitude) == 0,
              YZ_EINTERNAL);
    uint64_t twos = negative ? 0 - magnitude : magnitude;
    return yzi_buf_put_u64(out, twos ^ (UINT64_C(1) << 63));
}

/* A non-zero decimal is 0.d1d2d3... times ten to the e, d1 not 0: sign byte, then e (biased) and
 * the digits with a terminator below every digit, both complemented when negative, so that the
 * larger magnitude comes first. Sign bytes: 00 negative, 01 zero, 02 positive. */
static int put_decimal(yz_bytes v, yz_buf *out)
{
    bool negative = v.p[0] == '-';
    uint8_t digit[64];
    size_t n = 0;
    int e = 0;
    bool in_fraction = false;
    for (size_t i = negative; i < v.n; i++) {
        if (v.p[i] == '.') {
            in_fraction = true;
        } else if (n == 0 && v.p[i] == '0') {
            e -= in_fraction;
        } else {
            YZ_ENSURE(n < sizeof digit, YZ_EINTERNAL);
            digit[n++] = (uint8_t)(v.p[i] - '0' + 1);
            e += !in_fraction;
        }
    }
    while (n && digit[n - 1] == 1) { /* 120 and 12 differ in e alone */
        n--;
    }
    if (n == 0) {
        return yzi_buf_put_u8(out, 1);
    }
    uint8_t flip = negative ? 0xff : 0;
    YZ_TRY(yzi_buf_put_u8(out, negative ? 0 : 2));
    YZ_TRY(yzi_buf_put_u8(out, (uint8_t)(e + 128) ^ flip));
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(yzi_buf_put_u8(out, digit[i] ^ flip));
    }
    return yzi_buf_put_u8(out, flip);
}

int yzi_key_put_hash(const struct dataset *d, const struct dataset_field *f, const uint8_t key[32],
                     yz_bytes v, yz_buf *out)
{
    uint8_t *hash;
    YZ_TRY(yzi_buf_extend(out, HASH_BYTES, &hash));
    crypto_generichash_state state;
    int rc = crypto_generichash_init(&state, key, crypto_generichash_KEYBYTES, HASH_BYTES);
    rc |= crypto_generichash_update(&state, (const uint8_t *)d->name, strlen(d->name) + 1);
    rc |= crypto_generichash_update(&state, (const uint8_t *)f->name, strlen(f->name) + 1);
    rc |= crypto_generichash_update(&state, v.p, v.n);
    rc |= crypto_generichash_final(&state, hash, HASH_BYTES);
    sodium_memzero(&state, sizeof state);
    YZ_ENSURE(rc == 0, YZ_EINTERNAL);
    return 0;
}

int yzi_key_put_plain(const struct dataset_field *f, yz_bytes v, yz_buf *out)
{
    switch (f->type) {
    case FIELD_TEXT:
    case FIELD_CODE:
        return put_terminated(v, out);
    case FIELD_BYTES:
        return put_escaped(v, out);
    case FIELD_INTEGER:
        return put_integer(v, out);
    case FIELD_DECIMAL:
        return put_decimal(v, out);
    case FIELD_DATE:
        return yzi_buf_put(out, v);
    case FIELD_TIME:
        return put_terminated(yzi_bytes(v.p, v.n - 1), out);
    case FIELD_BOOLEAN:
        return yzi_buf_put_u8(out, v.p[0] == 't');
    }
    return YZ_EINTERNAL;
}

int yzi_key_encode(const struct dataset *d, const struct store_keys *keys, const yz_bytes *parts,
                   yz_buf *out)
{
    yzi_buf_clear(out);
    for (size_t i = 0; i < d->key_n; i++) {
        const struct dataset_field *f = &d->fields[d->key[i]];
        YZ_TRY(yzi_field_is_sealed(f) ? yzi_key_put_hash(d, f, keys->hash, parts[i], out)
                                      : yzi_key_put_plain(f, parts[i], out));
    }
    YZ_ENSURE(out->n <= YZ_DB_KEY_MAX, YZ_ELIMIT);
    return 0;
}
