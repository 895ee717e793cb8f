/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes with hard bounds: a borrowed view, an owned and capped buffer, a reader. Everything that
 * comes from outside goes through these, so that a length is compared in one place, always as
 * `n <= remaining`. Not thread safe; a view is valid as long as what it points into.
 */
#ifndef YZ_BASE_BYTES_H
#define YZ_BASE_BYTES_H

#include <string.h>

#include "base/error.h"

/* A borrowed view. {NULL, 0} is the empty view. */
typedef struct {
    const uint8_t *p;
    size_t n;
} yz_bytes;

/* An owned buffer that never grows beyond `max`. Zero-initialised it is empty with max 0:
 * use yzi_buf_init to give it a limit. */
typedef struct {
    uint8_t *p;
    size_t n, cap, max;
} yz_buf;

/* Reads a view from the front; on failure nothing is consumed. */
typedef struct {
    const uint8_t *p;
    size_t left;
} yz_reader;

/* A 32-byte digest (SHA-256 or BLAKE2b-256, the context says which). */
typedef struct {
    uint8_t b[32];
} yz_digest;

/* -- views -- */
static inline yz_bytes yzi_bytes(const void *p, size_t n)
{
    return (yz_bytes){p, n};
}
static inline yz_bytes yzi_bytes_str(const char *s)
{
    return (yz_bytes){(const uint8_t *)s, s ? strlen(s) : 0};
}
static inline yz_bytes yzi_bytes_buf(const yz_buf *b)
{
    return (yz_bytes){b->p, b->n};
}
static inline yz_bytes yzi_bytes_digest(const yz_digest *d)
{
    return (yz_bytes){d->b, sizeof d->b};
}
/* Equality and order of public bytes, bytewise, shorter first; not for secrets. */
bool yzi_bytes_eq(yz_bytes a, yz_bytes b);
int yzi_bytes_cmp(yz_bytes a, yz_bytes b);
bool yzi_bytes_eq_str(yz_bytes a, const char *s);
bool yzi_digest_eq(const yz_digest *a, const yz_digest *b);
bool yzi_bytes_is_zero(yz_bytes b);

/* A malloc'd NUL-terminated copy in *out, to be freed by the caller. YZ_EMALFORMED when the bytes
 * contain NUL, YZ_ENOMEM. */
YZ_MUST_USE int yzi_bytes_dup_str(yz_bytes b, char **out);

/* -- checked sizes -- */
YZ_MUST_USE int yzi_size_add(size_t a, size_t b, size_t *out); /* YZ_ELIMIT on overflow */
YZ_MUST_USE int yzi_size_mul(size_t a, size_t b, size_t *out);
/* calloc with both factors checked; YZ_ENOMEM. n 0 gives a unique pointer too. */
YZ_MUST_USE int yzi_alloc(size_t n, size_t size, void *out_ptr /* T ** */);

/* -- owned buffer -- all appends: YZ_ELIMIT beyond max, YZ_ENOMEM; on failure unchanged. */
void yzi_buf_init(yz_buf *b, size_t max);
void yzi_buf_fini(yz_buf *b);  /* frees; the buffer is empty with max 0 afterwards */
void yzi_buf_wipe(yz_buf *b);  /* sodium_memzero over the whole capacity, then fini */
void yzi_buf_clear(yz_buf *b); /* n = 0, keeps memory and max */
YZ_MUST_USE int yzi_buf_reserve(yz_buf *b, size_t more);
YZ_MUST_USE int yzi_buf_put(yz_buf *b, yz_bytes v);
YZ_MUST_USE int yzi_buf_put_str(yz_buf *b, const char *s);
YZ_MUST_USE int yzi_buf_put_zero(yz_buf *b, size_t n);
YZ_MUST_USE int yzi_buf_put_u8(yz_buf *b, uint8_t v);
YZ_MUST_USE int yzi_buf_put_u16(yz_buf *b,
                                uint16_t v); /* big-endian, as all integers on the wire */
YZ_MUST_USE int yzi_buf_put_u32(yz_buf *b, uint32_t v);
YZ_MUST_USE int yzi_buf_put_u64(yz_buf *b, uint64_t v);
YZ_MUST_USE int yzi_buf_printf(yz_buf *b, const char *fmt, ...) YZ_PRINTF(2, 3);
/* Append n uninitialised bytes and point *out at them, valid until the next change of b. */
YZ_MUST_USE int yzi_buf_extend(yz_buf *b, size_t n, uint8_t **out);

/* -- reader -- all: YZ_EMALFORMED when fewer bytes remain. */
static inline yz_reader yzi_reader(yz_bytes b)
{
    return (yz_reader){b.p, b.n};
}
YZ_MUST_USE int yzi_read_bytes(yz_reader *r, size_t n, yz_bytes *out); /* a view, nothing copied */
YZ_MUST_USE int yzi_read_into(yz_reader *r, void *dst, size_t n);
YZ_MUST_USE int yzi_read_u8(yz_reader *r, uint8_t *out);
YZ_MUST_USE int yzi_read_u16(yz_reader *r, uint16_t *out);
YZ_MUST_USE int yzi_read_u32(yz_reader *r, uint32_t *out);
YZ_MUST_USE int yzi_read_u64(yz_reader *r, uint64_t *out);
YZ_MUST_USE int yzi_read_end(const yz_reader *r); /* YZ_EMALFORMED when bytes remain */

/* -- fixed-position integers, big-endian -- */
void yzi_store_u16(uint8_t *p, uint16_t v);
void yzi_store_u32(uint8_t *p, uint32_t v);
void yzi_store_u64(uint8_t *p, uint64_t v);
uint16_t yzi_load_u16(const uint8_t *p);
uint32_t yzi_load_u32(const uint8_t *p);
uint64_t yzi_load_u64(const uint8_t *p);

#endif
