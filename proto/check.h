/* SPDX-License-Identifier: Apache-2.0
 *
 * What text on the wire may look like, for proto/ and for whoever makes such text: one place, so
 * that a purpose in a request and the same purpose in a grant obey the same rule. All return
 * YZ_EMALFORMED, or YZ_ETOOBIG when longer than max. Any thread.
 */
#ifndef YZ_PROTO_CHECK_H
#define YZ_PROTO_CHECK_H

#include "base/bytes.h"

/* A machine-readable word of our own (reasons, ids of grants): 1..max of [a-z0-9-]. */
YZ_MUST_USE int yzi_check_word(yz_bytes b, size_t max);
/* A code of somebody else's list (purposes, verbs): 1..max of printable ASCII without space. */
YZ_MUST_USE int yzi_check_code(yz_bytes b, size_t max);
/* Words for people, names: 1..max of UTF-8 without control characters (U+0000–U+001F, U+007F). */
YZ_MUST_USE int yzi_check_text(yz_bytes b, size_t max);
/* Several lines of the same: also newline, carriage return and tab. */
YZ_MUST_USE int yzi_check_lines(yz_bytes b, size_t max);

/* The same with the empty view allowed, which stands for an absent field. */
YZ_MUST_USE int yzi_check_optional(yz_bytes b, size_t max, int (*check)(yz_bytes, size_t));

#endif
