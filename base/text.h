/* SPDX-License-Identifier: Apache-2.0
 *
 * Text: UTF-8 validation and the few encodings the formats use. Any thread.
 */
#ifndef YZ_BASE_TEXT_H
#define YZ_BASE_TEXT_H

#include "base/bytes.h"

/* Well-formed UTF-8 by Unicode table 3-7 (no surrogates, no overlong forms); NUL is allowed. */
bool yzi_utf8_is_valid(yz_bytes b);
/* Bytes of the well-formed character that b begins with; 0 when b is empty or begins with none. */
size_t yzi_utf8_char(yz_bytes b);
/* The largest n' <= n that does not cut a character of valid UTF-8. */
size_t yzi_utf8_cut(yz_bytes b, size_t n);

/* Lower-case hex of b, NUL-terminated; cap must hold 2*n+1, else YZ_ELIMIT. */
YZ_MUST_USE int yzi_hex_encode(yz_bytes b, char *out, size_t cap);
/* Exactly n bytes from hex of either case; YZ_EINVAL. */
YZ_MUST_USE int yzi_hex_decode(yz_bytes text, uint8_t *out, size_t n);
/* Standard base64 with padding (RFC 4648 §4), appended. */
YZ_MUST_USE int yzi_base64_encode(yz_bytes b, yz_buf *out);
/* Strict: padding required, no white space, no stray bits; appended. YZ_EMALFORMED. */
YZ_MUST_USE int yzi_base64_decode(yz_bytes text, yz_buf *out);
/* The same for a text of exactly n > 0 bytes, which may be half written on failure. */
YZ_MUST_USE int yzi_base64_decode_exactly(yz_bytes text, uint8_t *out, size_t n);

/* Percent-encoding in one canonical form: RFC 3986 unreserved characters stand for themselves,
 * every other byte is %XX in upper case. Decoding refuses any other form (YZ_EMALFORMED), so that
 * equal things have equal bytes. */
YZ_MUST_USE int yzi_percent_encode(yz_bytes b, yz_buf *out);
YZ_MUST_USE int yzi_percent_decode(yz_bytes text, yz_buf *out);
bool yzi_percent_is_canonical(yz_bytes text);

/* Decimal, no sign, no leading zeros, whole input. YZ_EINVAL / YZ_ELIMIT beyond max. */
YZ_MUST_USE int yzi_u64_parse(yz_bytes text, uint64_t max, uint64_t *out);

#endif
