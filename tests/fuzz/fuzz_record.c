/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_record_next, yzi_record_parse, yzi_record_write, yzi_record_digest and, by the kind
 * it says, the parsers of bodies.
 *
 * The input is a concatenation of records. A record has one form: what parses is written again to
 * the same bytes, and parses alone.
 */
#include "tests/support/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct record *record)
{
    YZ_AUTO(yzi_buf_fini) yz_buf again = {.max = YZ_RECORD_MAX};
    struct record alone;
    yz_digest digest;
    YZ_ASSERT(yzi_record_write(record->kind, record->body, record->signatures, record->signatures_n,
                               &again) == 0);
    YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&again), record->raw));
    YZ_ASSERT(yzi_record_parse(record->raw, &alone) == 0);
    YZ_ASSERT(alone.kind == record->kind && alone.signatures_n == record->signatures_n);
    yzi_record_digest(record->raw, &digest);
    yz_record_fuzz_body(record->kind, record->body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    yz_reader r = yzi_reader(yzi_bytes(data, size));
    struct record record;
    while (r.left > 0) {
        yz_reader before = r;
        if (yzi_record_next(&r, &record) < 0) {
            YZ_ASSERT(r.p == before.p && r.left == before.left);
            break;
        }
        YZ_ASSERT(record.raw.p == before.p && record.raw.n == before.left - r.left);
        check(&record);
    }
    return 0;
}
