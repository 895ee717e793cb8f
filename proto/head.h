/* SPDX-License-Identifier: Apache-2.0
 *
 * What request heads and answer heads share, private to proto/. Parsing puts the generated structs
 * and the domain lists into the caller's arena; writing lays the generated structs out in a
 * temporary one.
 */
#ifndef YZ_PROTO_HEAD_H
#define YZ_PROTO_HEAD_H

#include "proto/payload.h"
#include "proto/payload.pb-c.h"
#include "proto/unpack.h"

/* Room for the generated structs of a head within its limits. */
#define YZ_HEAD_WRITE_ARENA (16u * 1024u * 1024u)

extern const struct prescan_rules yzi_head_rules;

/* A list in an arena: n elements of the size that *out_list points to; YZ_ELIMIT beyond max. */
#define YZ_HEAD_LIST(arena, n, max, out_list)                                                      \
    yzi_head_list((arena), (n), (max), sizeof **(out_list), (out_list))
YZ_MUST_USE int yzi_head_list(struct arena *a, size_t n, size_t max, size_t size, void *out_list);

/* The checks return YZ_EMALFORMED, or YZ_ELIMIT beyond a bound of proto/limits.h. */
YZ_MUST_USE int yzi_head_check_text(yz_bytes b, size_t max); /* may be empty */
YZ_MUST_USE int yzi_head_check_name(yz_bytes b);             /* a field's, a predicate's */
YZ_MUST_USE int yzi_head_check_cursor(yz_bytes b);

YZ_MUST_USE int yzi_http_headers_take(Yizhan__Wire__Header *const *wire, size_t n, struct arena *a,
                                      struct http_header **out, size_t *out_n);
YZ_MUST_USE int yzi_http_headers_give(const struct http_header *h, size_t n, struct arena *a,
                                      Yizhan__Wire__Header ***out);
YZ_MUST_USE int yzi_http_headers_check(const struct http_header *h, size_t n);
/* RFC 9110 §5.6.2: a token, as methods and header names are. */
YZ_MUST_USE int yzi_http_check_token(yz_bytes b, size_t max);

#endif
