/* SPDX-License-Identifier: Apache-2.0
 *
 * UUID version 7, RFC 9562 §5.7. Randomness comes whole from libsodium for each id: there is no
 * counter, so ids of the same millisecond have no order, and no state that a fork could repeat.
 */
#include "base/uuid.h"

#include <sodium.h>

#include "base/text.h"

yz_uuid yzi_uuid_v7(uint64_t wall_ms)
{
    yz_uuid u;
    randombytes_buf(u.b, sizeof u.b);
    yzi_store_u16(u.b, (uint16_t)(wall_ms >> 32));
    yzi_store_u32(u.b + 2, (uint32_t)wall_ms);
    u.b[6] = (uint8_t)(0x70 | (u.b[6] & 0x0f));
    u.b[8] = (uint8_t)(0x80 | (u.b[8] & 0x3f));
    return u;
}

bool yzi_uuid_is_v7(const yz_uuid *u)
{
    return u->b[6] >> 4 == 7 && u->b[8] >> 6 == 2;
}

uint64_t yzi_uuid_time_ms(const yz_uuid *u)
{
    return (uint64_t)yzi_load_u16(u->b) << 32 | yzi_load_u32(u->b + 2);
}

bool yzi_uuid_eq(const yz_uuid *a, const yz_uuid *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

/* Where the five groups of RFC 9562 §4 begin, in bytes and in characters. */
static const struct {
    unsigned byte, n, at;
} groups[] = {{0, 4, 0}, {4, 2, 9}, {6, 2, 14}, {8, 2, 19}, {10, 6, 24}};
#define GROUPS (sizeof groups / sizeof groups[0])

void yzi_uuid_format(const yz_uuid *u, char out[YZ_UUID_TEXT])
{
    for (size_t i = 0; i < GROUPS; i++) {
        size_t at = groups[i].at, n = groups[i].n;
        int rc = yzi_hex_encode(yzi_bytes(u->b + groups[i].byte, n), out + at, YZ_UUID_TEXT - at);
        YZ_ASSERT(rc == 0);
        if (i + 1 < GROUPS) {
            out[at + 2 * n] = '-';
        }
    }
}

int yzi_uuid_parse(const char *text, yz_uuid *out)
{
    YZ_ENSURE(text && strlen(text) == YZ_UUID_TEXT - 1, YZ_EINVAL);
    yz_uuid u;
    for (size_t i = 0; i < GROUPS; i++) {
        size_t at = groups[i].at, n = groups[i].n;
        YZ_ENSURE(i == 0 || text[at - 1] == '-', YZ_EINVAL);
        YZ_TRY(yzi_hex_decode(yzi_bytes(text + at, 2 * n), u.b + groups[i].byte, n));
    }
    *out = u;
    return 0;
}
