/* SPDX-License-Identifier: Apache-2.0
 *
 * UUID version 7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then randomness. Used for message
 * and conversation ids, whose time a receiver checks.
 */
#ifndef YZ_BASE_UUID_H
#define YZ_BASE_UUID_H

#include "base/bytes.h"

typedef struct {
    uint8_t b[16];
} yz_uuid;

#define YZ_UUID_TEXT 37 /* 36 characters and NUL */

/* A fresh id with the given time. Any thread (libsodium's generator). */
yz_uuid yzi_uuid_v7(uint64_t wall_ms);
bool yzi_uuid_is_v7(const yz_uuid *u); /* version and variant bits */
uint64_t yzi_uuid_time_ms(const yz_uuid *u);
bool yzi_uuid_eq(const yz_uuid *a, const yz_uuid *b);
void yzi_uuid_format(const yz_uuid *u, char out[YZ_UUID_TEXT]); /* lower case */
YZ_MUST_USE int yzi_uuid_parse(const char *text, yz_uuid *out); /* YZ_EINVAL; either case */
static inline yz_bytes yzi_bytes_uuid(const yz_uuid *u)
{
    return (yz_bytes){u->b, sizeof u->b};
}

#endif
