/* SPDX-License-Identifier: Apache-2.0
 *
 * Character rules of text on the wire.
 */
#include "proto/check.h"

#include "base/text.h"

static int check_length(yz_bytes b, size_t max)
{
    YZ_ENSURE(b.n > 0, YZ_EMALFORMED);
    YZ_ENSURE(b.n <= max, YZ_ETOOBIG);
    return 0;
}

int yzi_check_word(yz_bytes b, size_t max)
{
    YZ_TRY(check_length(b, max));
    for (size_t i = 0; i < b.n; i++) {
        uint8_t c = b.p[i];
        YZ_ENSURE((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-', YZ_EMALFORMED);
    }
    return 0;
}

int yzi_check_code(yz_bytes b, size_t max)
{
    YZ_TRY(check_length(b, max));
    for (size_t i = 0; i < b.n; i++) {
        YZ_ENSURE(b.p[i] > 0x20 && b.p[i] < 0x7f, YZ_EMALFORMED);
    }
    return 0;
}

static bool is_line_control(uint8_t c)
{
    return c == '\n' || c == '\r' || c == '\t';
}

static int check_utf8(yz_bytes b, size_t max, bool lines)
{
    YZ_TRY(check_length(b, max));
    for (size_t i = 0; i < b.n; i++) {
        uint8_t c = b.p[i];
        YZ_ENSURE((c >= 0x20 && c != 0x7f) || (lines && is_line_control(c)), YZ_EMALFORMED);
    }
    return yzi_utf8_is_valid(b) ? 0 : YZ_EMALFORMED;
}

int yzi_check_text(yz_bytes b, size_t max)
{
    return check_utf8(b, max, false);
}

int yzi_check_lines(yz_bytes b, size_t max)
{
    return check_utf8(b, max, true);
}

int yzi_check_optional(yz_bytes b, size_t max, int (*check)(yz_bytes, size_t))
{
    return b.n == 0 ? 0 : check(b, max);
}
