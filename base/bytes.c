/* SPDX-License-Identifier: Apache-2.0
 *
 * Views, buffers, readers. Invariants of a buffer: n <= cap <= max, and p is NULL exactly when cap
 * is 0. Memory a buffer leaves behind when it grows is wiped, because some buffers hold plaintext
 * and yzi_buf_wipe can only reach what they hold at the end.
 */
#include "base/bytes.h"

#include <sodium.h>

#define BUF_FIRST 64u /* first allocation; then doubling */

/* -- views -- */

bool yzi_bytes_eq(yz_bytes a, yz_bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

int yzi_bytes_cmp(yz_bytes a, yz_bytes b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    if (c == 0) {
        return (a.n > b.n) - (a.n < b.n);
    }
    return c < 0 ? -1 : 1;
}

bool yzi_bytes_eq_str(yz_bytes a, const char *s)
{
    return yzi_bytes_eq(a, yzi_bytes_str(s));
}

bool yzi_digest_eq(const yz_digest *a, const yz_digest *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool yzi_bytes_is_zero(yz_bytes b)
{
    return b.n == 0 || sodium_is_zero(b.p, b.n) == 1;
}

int yzi_bytes_dup_str(yz_bytes b, char **out)
{
    YZ_ENSURE(b.n == 0 || !memchr(b.p, '\0', b.n), YZ_EMALFORMED);
    YZ_ENSURE(b.n < SIZE_MAX, YZ_ENOMEM);
    char *s = malloc(b.n + 1);
    YZ_ENSURE(s, YZ_ENOMEM);
    if (b.n) {
        memcpy(s, b.p, b.n);
    }
    s[b.n] = '\0';
    *out = s;
    return 0;
}

/* -- checked sizes -- */

int yzi_size_add(size_t a, size_t b, size_t *out)
{
    size_t sum;
    YZ_ENSURE(!__builtin_add_overflow(a, b, &sum), YZ_ELIMIT);
    *out = sum;
    return 0;
}

int yzi_size_mul(size_t a, size_t b, size_t *out)
{
    size_t product;
    YZ_ENSURE(!__builtin_mul_overflow(a, b, &product), YZ_ELIMIT);
    *out = product;
    return 0;
}

int yzi_alloc(size_t n, size_t size, void *out_ptr)
{
    size_t total;
    YZ_ENSURE(yzi_size_mul(n, size, &total) == 0, YZ_ENOMEM);
    /* Beyond PTRDIFF_MAX no allocator delivers, and the sanitizers' abort instead of saying so. */
    YZ_ENSURE(total <= PTRDIFF_MAX, YZ_ENOMEM);
    void *p = calloc(1, total ? total : 1);
    YZ_ENSURE(p, YZ_ENOMEM);
    *(void **)out_ptr = p;
    return 0;
}

/* -- owned buffer -- */

void yzi_buf_init(yz_buf *b, size_t max)
{
    *b = (yz_buf){.max = max};
}

void yzi_buf_fini(yz_buf *b)
{
    free(b->p);
    *b = (yz_buf){0};
}

void yzi_buf_wipe(yz_buf *b)
{
    if (b->p) {
        sodium_memzero(b->p, b->cap);
    }
    yzi_buf_fini(b);
}

void yzi_buf_clear(yz_buf *b)
{
    b->n = 0;
}

int yzi_buf_reserve(yz_buf *b, size_t more)
{
    YZ_ENSURE(more <= b->max - b->n, YZ_ELIMIT);
    if (more <= b->cap - b->n) {
        return 0;
    }
    size_t need = b->n + more; /* <= max, so no overflow */
    size_t cap = b->cap > b->max / 2 ? b->max : b->cap * 2;
    cap = cap < BUF_FIRST ? BUF_FIRST : cap;
    cap = cap < need ? need : cap;
    cap = cap > b->max ? b->max : cap;
    YZ_ENSURE(cap <= PTRDIFF_MAX, YZ_ENOMEM);
    uint8_t *p = malloc(cap);
    YZ_ENSURE(p, YZ_ENOMEM);
    if (b->p) {
        memcpy(p, b->p, b->n);
        sodium_memzero(b->p, b->cap);
        free(b->p);
    }
    b->p = p;
    b->cap = cap;
    return 0;
}

int yzi_buf_extend(yz_buf *b, size_t n, uint8_t **out)
{
    YZ_TRY(yzi_buf_reserve(b, n));
    *out = b->p ? b->p + b->n : NULL;
    b->n += n;
    return 0;
}

int yzi_buf_put(yz_buf *b, yz_bytes v)
{
    YZ_TRY(yzi_buf_reserve(b, v.n));
    if (v.n) {
        memcpy(b->p + b->n, v.p, v.n);
        b->n += v.n;
    }
    return 0;
}

int yzi_buf_put_str(yz_buf *b, const char *s)
{
    return yzi_buf_put(b, yzi_bytes_str(s));
}

int yzi_buf_put_zero(yz_buf *b, size_t n)
{
    uint8_t *p;
    YZ_TRY(yzi_buf_extend(b, n, &p));
    if (n) {
        memset(p, 0, n);
    }
    return 0;
}

int yzi_buf_put_u8(yz_buf *b, uint8_t v)
{
    return yzi_buf_put(b, yzi_bytes(&v, 1));
}

int yzi_buf_put_u16(yz_buf *b, uint16_t v)
{
    uint8_t p[2];
    yzi_store_u16(p, v);
    return yzi_buf_put(b, yzi_bytes(p, sizeof p));
}

int yzi_buf_put_u32(yz_buf *b, uint32_t v)
{
    uint8_t p[4];
    yzi_store_u32(p, v);
    return yzi_buf_put(b, yzi_bytes(p, sizeof p));
}

int yzi_buf_put_u64(yz_buf *b, uint64_t v)
{
    uint8_t p[8];
    yzi_store_u64(p, v);
    return yzi_buf_put(b, yzi_bytes(p, sizeof p));
}

/* For what does not fit the stack: `len` is what the first vsnprintf said. */
static int put_long_printf(yz_buf *b, size_t len, const char *fmt, va_list args) YZ_PRINTF(3, 0);
static int put_long_printf(yz_buf *b, size_t len, const char *fmt, va_list args)
{
    YZ_TRY(yzi_buf_reserve(b, len)); /* refuses before anything large is allocated */
    YZ_AUTO(yzi_free_ptr) char *text = malloc(len + 1);
    YZ_ENSURE(text, YZ_ENOMEM);
    YZ_ENSURE(vsnprintf(text, len + 1, fmt, args) == (int)len, YZ_EINVAL);
    return yzi_buf_put(b, yzi_bytes(text, len));
}

int yzi_buf_printf(yz_buf *b, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    YZ_ENSURE(len >= 0, YZ_EINVAL);
    if ((size_t)len < sizeof text) {
        return yzi_buf_put(b, yzi_bytes(text, (size_t)len));
    }
    va_start(args, fmt);
    int rc = put_long_printf(b, (size_t)len, fmt, args);
    va_end(args);
    return rc;
}

/* -- reader -- */

int yzi_read_bytes(yz_reader *r, size_t n, yz_bytes *out)
{
    YZ_ENSURE(n <= r->left, YZ_EMALFORMED);
    *out = yzi_bytes(r->p, n);
    if (n) {
        r->p += n;
        r->left -= n;
    }
    return 0;
}

int yzi_read_into(yz_reader *r, void *dst, size_t n)
{
    yz_bytes v;
    YZ_TRY(yzi_read_bytes(r, n, &v));
    if (n) {
        memcpy(dst, v.p, n);
    }
    return 0;
}

int yzi_read_u8(yz_reader *r, uint8_t *out)
{
    return yzi_read_into(r, out, 1);
}

int yzi_read_u16(yz_reader *r, uint16_t *out)
{
    yz_bytes v;
    YZ_TRY(yzi_read_bytes(r, 2, &v));
    *out = yzi_load_u16(v.p);
    return 0;
}

int yzi_read_u32(yz_reader *r, uint32_t *out)
{
    yz_bytes v;
    YZ_TRY(yzi_read_bytes(r, 4, &v));
    *out = yzi_load_u32(v.p);
    return 0;
}

int yzi_read_u64(yz_reader *r, uint64_t *out)
{
    yz_bytes v;
    YZ_TRY(yzi_read_bytes(r, 8, &v));
    *out = yzi_load_u64(v.p);
    return 0;
}

int yzi_read_end(const yz_reader *r)
{
    return r->left == 0 ? 0 : YZ_EMALFORMED;
}

/* -- fixed-position integers -- */

void yzi_store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

void yzi_store_u32(uint8_t *p, uint32_t v)
{
    yzi_store_u16(p, (uint16_t)(v >> 16));
    yzi_store_u16(p + 2, (uint16_t)v);
}

void yzi_store_u64(uint8_t *p, uint64_t v)
{
    yzi_store_u32(p, (uint32_t)(v >> 32));
    yzi_store_u32(p + 4, (uint32_t)v);
}

uint16_t yzi_load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t yzi_load_u32(const uint8_t *p)
{
    return (uint32_t)yzi_load_u16(p) << 16 | yzi_load_u16(p + 2);
}

uint64_t yzi_load_u64(const uint8_t *p)
{
    return (uint64_t)yzi_load_u32(p) << 32 | yzi_load_u32(p + 4);
}
