/* SPDX-License-Identifier: Apache-2.0
 *
 * Identifiers are compared bytewise everywhere, so a parser accepts exactly one form of each. Two
 * further rules protect those who put a segment into a path, a log or a page: "." and ".." are no
 * segments, and what a segment decodes to is UTF-8 without control characters.
 */
#include "proto/id.h"

#include "base/text.h"
#include "proto/check.h"

#define SEGMENTS_MAX 6u

/* The text a canonical segment stands for; out holds YZ_SEGMENT_MAX bytes. */
static yz_bytes decode(yz_bytes segment, uint8_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < segment.n; i++) {
        if (segment.p[i] != '%') {
            out[n++] = segment.p[i];
            continue;
        }
        YZ_ASSERT(yzi_hex_decode(yzi_bytes(segment.p + i + 1, 2), &out[n++], 1) == 0);
        i += 2;
    }
    return yzi_bytes(out, n);
}

/* Letters, digits and hyphens only, as nearly every segment of every header. */
static bool is_simple(yz_bytes segment)
{
    for (size_t i = 0; i < segment.n; i++) {
        uint8_t c = segment.p[i], letter = c | 0x20;
        if (!((letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }
    return true;
}

int yzi_segment_check(yz_bytes segment)
{
    YZ_ENSURE(segment.n >= 1 && segment.n <= YZ_SEGMENT_MAX, YZ_EMALFORMED);
    if (is_simple(segment)) {
        return 0;
    }
    YZ_ENSURE(yzi_percent_is_canonical(segment), YZ_EMALFORMED); /* '@' and '/' are not */
    if (segment.p[0] == '.') {
        YZ_ENSURE(!yzi_bytes_eq_str(segment, ".") && !yzi_bytes_eq_str(segment, ".."),
                  YZ_EMALFORMED);
    }
    if (memchr(segment.p, '%', segment.n)) {
        uint8_t text[YZ_SEGMENT_MAX];
        return yzi_check_text(decode(segment, text), sizeof text);
    }
    return 0;
}

/* Cut at each '/', which is at most SEGMENTS_MAX parts. */
static int split(yz_bytes text, yz_bytes parts[SEGMENTS_MAX], unsigned *out_n)
{
    YZ_ENSURE(text.n >= 1 && text.n <= YZ_ID_MAX, YZ_EMALFORMED);
    size_t start = 0;
    unsigned n = 0;
    for (size_t i = 0; i <= text.n; i++) {
        if (i == text.n || text.p[i] == '/') {
            YZ_ENSURE(n < SEGMENTS_MAX, YZ_EMALFORMED);
            parts[n++] = yzi_bytes(text.p + start, i - start);
            start = i + 1;
        }
    }
    *out_n = n;
    return 0;
}

/* That text is exactly n plain segments. */
static int check_plain(yz_bytes text, unsigned n)
{
    yz_bytes parts[SEGMENTS_MAX];
    unsigned have;
    YZ_TRY(split(text, parts, &have));
    YZ_ENSURE(have == n, YZ_EMALFORMED);
    for (unsigned i = 0; i < n; i++) {
        YZ_TRY(yzi_segment_check(parts[i]));
    }
    return 0;
}

int yzi_member_id_parse(yz_bytes text, yz_member_id *out)
{
    YZ_TRY(check_plain(text, 3));
    *out = (yz_member_id){text};
    return 0;
}

int yzi_subsystem_id_parse(yz_bytes text, yz_subsystem_id *out)
{
    YZ_TRY(check_plain(text, 4));
    *out = (yz_subsystem_id){text};
    return 0;
}

int yzi_service_id_parse(yz_bytes text, yz_service_id *out)
{
    YZ_TRY(check_plain(text, 6));
    *out = (yz_service_id){text};
    return 0;
}

int yzi_node_id_parse(yz_bytes text, yz_node_id *out)
{
    yz_bytes parts[SEGMENTS_MAX];
    unsigned n;
    YZ_TRY(split(text, parts, &n));
    YZ_ENSURE(n == 2 || n == 4, YZ_EMALFORMED); /* a broker's, a member's */
    for (unsigned i = 0; i + 1 < n; i++) {
        YZ_TRY(yzi_segment_check(parts[i]));
    }
    yz_bytes own = parts[n - 1];
    YZ_ENSURE(own.n > 1 && own.p[0] == '@', YZ_EMALFORMED);
    YZ_TRY(yzi_segment_check(yzi_bytes(own.p + 1, own.n - 1)));
    *out = (yz_node_id){text};
    return 0;
}

/* -- parts -- */

/* The first n segments without the '/' after them; all of id when it has no more. */
static yz_bytes first(yz_bytes id, unsigned n)
{
    for (size_t i = 0; i < id.n; i++) {
        if (id.p[i] == '/' && --n == 0) {
            return yzi_bytes(id.p, i);
        }
    }
    return id;
}

/* What follows the first n segments and their '/'. */
static yz_bytes after(yz_bytes id, unsigned n)
{
    size_t skip = first(id, n).n;
    return skip < id.n ? yzi_bytes(id.p + skip + 1, id.n - skip - 1) : (yz_bytes){0};
}

bool yzi_node_is_broker(yz_node_id n)
{
    yz_bytes own = after(n.v, 1);
    return own.n > 0 && own.p[0] == '@';
}

yz_bytes yzi_id_instance(yz_bytes id)
{
    return first(id, 1);
}

yz_member_id yzi_subsystem_member(yz_subsystem_id s)
{
    return (yz_member_id){first(s.v, 3)};
}

yz_bytes yzi_subsystem_code(yz_subsystem_id s)
{
    return after(s.v, 3);
}

yz_subsystem_id yzi_service_subsystem(yz_service_id s)
{
    return (yz_subsystem_id){first(s.v, 4)};
}

yz_bytes yzi_service_code(yz_service_id s)
{
    return first(after(s.v, 4), 1);
}

yz_bytes yzi_service_version(yz_service_id s)
{
    return after(s.v, 5);
}

yz_bytes yzi_service_local(yz_service_id s)
{
    return after(s.v, 4);
}

yz_member_id yzi_node_member(yz_node_id n)
{
    return (yz_member_id){first(n.v, yzi_node_is_broker(n) ? 1 : 3)};
}
