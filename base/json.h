/* SPDX-License-Identifier: Apache-2.0
 *
 * A JSON writer (RFC 8259) appending to a yz_buf: escapes control characters and quotes, passes
 * valid UTF-8 through, refuses the rest (YZ_EMALFORMED). It keeps commas and nesting right; the
 * first failure sticks and is returned by yzi_json_end: YZ_ELIMIT and YZ_ENOMEM from the buffer,
 * YZ_ELOOP beyond 64 levels, YZ_EINTERNAL for calls in an order that no JSON has. After a failure
 * the buffer holds a part of no meaning. For reading JSON we use jansson.
 */
#ifndef YZ_BASE_JSON_H
#define YZ_BASE_JSON_H

#include "base/bytes.h"

struct json {
    yz_buf *out;
    int rc;
    unsigned depth;
    uint64_t has_items; /* a bit per level, so nesting ends at 64 */
    uint64_t is_object; /* the same */
    bool after_key;
    bool complete; /* the one value at the top has begun */
    bool pretty;   /* two-space indentation and newlines */
};

void yzi_json_init(struct json *j, yz_buf *out, bool pretty);
void yzi_json_object(struct json *j);
void yzi_json_object_end(struct json *j);
void yzi_json_array(struct json *j);
void yzi_json_array_end(struct json *j);
void yzi_json_key(struct json *j, const char *key);
void yzi_json_key_bytes(struct json *j, yz_bytes key);
void yzi_json_text(struct json *j, yz_bytes text);
void yzi_json_str(struct json *j, const char *s); /* NULL writes null */
void yzi_json_u64(struct json *j, uint64_t v);
void yzi_json_i64(struct json *j, int64_t v);
void yzi_json_bool(struct json *j, bool v);
void yzi_json_null(struct json *j);
void yzi_json_hex(struct json *j, yz_bytes b);
/* A number already in JSON number syntax (exact decimals); YZ_EMALFORMED when it is not. */
void yzi_json_number(struct json *j, yz_bytes text);
YZ_MUST_USE int
yzi_json_end(struct json *j); /* YZ_EINTERNAL when nesting is open or nothing was written */

#endif
