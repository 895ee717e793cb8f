/* SPDX-License-Identifier: Apache-2.0
 *
 * The plaintext around a head and its body, and the rows inside an answer's body. The heads are in
 * query.c and answer.c.
 */
#include "proto/payload.h"

#include <sodium.h>

#define TYPE_AND_LENGTHS (1u + 4u + 4u)

_Static_assert(YZ_PLAIN_FIXED == YZ_SALT_BYTES + TYPE_AND_LENGTHS, "what precedes the head");
_Static_assert(YZ_SALT_BYTES >= crypto_generichash_KEYBYTES_MIN &&
                   YZ_SALT_BYTES <= crypto_generichash_KEYBYTES_MAX,
               "the salt is a BLAKE2b key");

/* -- plaintext -- */

static unsigned log2_floor(size_t n)
{
    return (unsigned)(8 * sizeof(unsigned long long)) - 1 - (unsigned)__builtin_clzll(n);
}

/* Padmé (Nikitin et al., PETS 2019, "PURBs", algorithm 1): a length keeps as many significant bits
 * as its exponent has bits. */
size_t yzi_plain_padded(size_t n)
{
    if (n >= YZ_PLAIN_MAX) {
        return YZ_PLAIN_MAX;
    }
    n = n < YZ_PLAIN_MIN ? YZ_PLAIN_MIN : n;
    unsigned exponent = log2_floor(n);
    unsigned zeros = exponent - (log2_floor(exponent) + 1);
    size_t mask = ((size_t)1 << zeros) - 1;
    size_t padded = (n + mask) & ~mask;
    return padded < YZ_PLAIN_MAX ? padded : YZ_PLAIN_MAX;
}

static bool is_plain_type(unsigned type)
{
    return type >= PLAIN_QUERY && type <= PLAIN_HTTP_ANSWER;
}

int yzi_plain_write(enum plain_type type, yz_bytes head, yz_bytes body, yz_buf *out)
{
    YZ_ENSURE(is_plain_type(type), YZ_EINVAL);
    YZ_ENSURE(head.n <= YZ_PLAIN_MAX - YZ_PLAIN_FIXED, YZ_ETOOBIG);
    YZ_ENSURE(body.n <= YZ_PLAIN_MAX - YZ_PLAIN_FIXED - head.n, YZ_ETOOBIG);
    size_t n = YZ_PLAIN_FIXED + head.n + body.n;
    size_t padded = yzi_plain_padded(n);
    uint8_t salt[YZ_SALT_BYTES];
    YZ_TRY(yzi_buf_reserve(out, padded)); /* the puts below cannot fail */
    randombytes_buf(salt, sizeof salt);
    YZ_TRY(yzi_buf_put(out, yzi_bytes(salt, sizeof salt)));
    sodium_memzero(salt, sizeof salt);
    YZ_TRY(yzi_buf_put_u8(out, (uint8_t)type));
    YZ_TRY(yzi_buf_put_u32(out, (uint32_t)head.n));
    YZ_TRY(yzi_buf_put_u32(out, (uint32_t)body.n));
    YZ_TRY(yzi_buf_put(out, head));
    YZ_TRY(yzi_buf_put(out, body));
    return yzi_buf_put_zero(out, padded - n);
}

int yzi_plain_parse(yz_bytes plaintext, struct plain *out)
{
    struct plain p = {0};
    yz_reader r = yzi_reader(plaintext);
    uint8_t type;
    uint32_t head, body;
    YZ_ENSURE(plaintext.n <= YZ_PLAIN_MAX, YZ_EMALFORMED);
    YZ_TRY(yzi_read_bytes(&r, YZ_SALT_BYTES, &p.salt));
    YZ_TRY(yzi_read_u8(&r, &type));
    YZ_ENSURE(is_plain_type(type), YZ_EMALFORMED);
    p.type = (enum plain_type)type;
    YZ_TRY(yzi_read_u32(&r, &head));
    YZ_TRY(yzi_read_u32(&r, &body));
    YZ_TRY(yzi_read_bytes(&r, head, &p.head));
    YZ_TRY(yzi_read_bytes(&r, body, &p.body));
    size_t n = plaintext.n - r.left;
    YZ_ENSURE(plaintext.n == yzi_plain_padded(n), YZ_EMALFORMED);
    YZ_ENSURE(yzi_bytes_is_zero(yzi_bytes(r.p, r.left)), YZ_EMALFORMED);
    p.committed = yzi_bytes(plaintext.p + YZ_SALT_BYTES, n - YZ_SALT_BYTES);
    *out = p;
    return 0;
}

yz_bytes yzi_plain_opened(const struct plain *p)
{
    return yzi_bytes(p->salt.p, p->salt.n + p->committed.n); /* one follows the other */
}

void yzi_plain_commitment(const struct plain *p, yz_digest *out)
{
    YZ_ASSERT(p->salt.n == YZ_SALT_BYTES);
    int rc = crypto_generichash(out->b, sizeof out->b, p->committed.p, p->committed.n, p->salt.p,
                                p->salt.n);
    YZ_ASSERT(rc == 0); /* lengths are right, nothing else can fail */
}

/* -- rows -- */

int yzi_row_put(yz_buf *rows, const struct query_value *v)
{
    if (v->null) {
        return yzi_buf_put_u32(rows, YZ_ROW_NULL);
    }
    YZ_ENSURE(v->v.n <= YZ_VALUE_MAX, YZ_ETOOBIG);
    YZ_TRY(yzi_buf_reserve(rows, 4 + v->v.n)); /* whole or not at all */
    YZ_TRY(yzi_buf_put_u32(rows, (uint32_t)v->v.n));
    return yzi_buf_put(rows, v->v);
}

int yzi_row_next(yz_reader *rows, struct query_value *out)
{
    yz_reader r = *rows;
    uint32_t n;
    struct query_value v = {0};
    YZ_TRY(yzi_read_u32(&r, &n));
    v.null = n == YZ_ROW_NULL;
    if (!v.null) {
        YZ_ENSURE(n <= YZ_VALUE_MAX, YZ_EMALFORMED);
        YZ_TRY(yzi_read_bytes(&r, n, &v.v));
    }
    *rows = r;
    *out = v;
    return 0;
}

static int check_rows(yz_bytes body, uint32_t rows, size_t fields)
{
    uint64_t values = (uint64_t)rows * fields; /* 32 bits times at most 256 */
    YZ_ENSURE(rows == 0 || fields > 0, YZ_EMALFORMED);
    yz_reader r = yzi_reader(body);
    for (uint64_t i = 0; i < values; i++) { /* ends with the body at the latest */
        struct query_value v;
        YZ_TRY(yzi_row_next(&r, &v));
    }
    return yzi_read_end(&r);
}

int yzi_rows_check(yz_bytes body, const struct answer_head *head)
{
    return check_rows(body, head->rows, head->fields_n);
}

int yzi_query_body_check(yz_bytes body, const struct query *q)
{
    return check_rows(body, q->rows, q->fields_n);
}
