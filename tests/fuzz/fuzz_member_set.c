/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_member_set_parse, yzi_member_set_write.
 *
 * The input is a body: refused, or its writer writes what comes back the same.
 */
#include "tests/support/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    yz_record_fuzz_body(RECORD_MEMBER_SET, yzi_bytes(data, size));
    return 0;
}
