/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_record_armour, yzi_record_dearmour.
 *
 * The input is armoured text, whose only freedom is the last line feed, and it is a record to
 * armour, which comes back.
 */
#include "tests/support/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(yz_bytes text)
{
    YZ_AUTO(yzi_buf_fini) yz_buf raw = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_buf_fini) yz_buf again = {.max = 2 * YZ_RECORD_MAX};
    if (yzi_record_dearmour(text, &raw) < 0) {
        YZ_ASSERT(raw.n == 0);
        return;
    }
    YZ_ASSERT(yzi_record_armour(yzi_bytes_buf(&raw), &again) == 0);
    yz_bytes without = yzi_bytes(again.p, again.n - 1);
    YZ_ASSERT(yzi_bytes_eq(text, yzi_bytes_buf(&again)) || yzi_bytes_eq(text, without));
}

static void check_record(yz_bytes raw)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = 2 * YZ_RECORD_MAX};
    YZ_AUTO(yzi_buf_fini) yz_buf back = {.max = YZ_RECORD_MAX};
    if (yzi_record_armour(raw, &text) == 0) {
        YZ_ASSERT(yzi_record_dearmour(yzi_bytes_buf(&text), &back) == 0);
        YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&back), raw));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_text(yzi_bytes(data, size));
    check_record(yzi_bytes(data, size));
    return 0;
}
