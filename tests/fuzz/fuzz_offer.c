/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_offer_parse, yzi_offer_write.
 *
 * The input is a body: refused, or its writer writes what comes back the same.
 */
#include "tests/support/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    yz_record_fuzz_body(RECORD_OFFER, yzi_bytes(data, size));
    return 0;
}
