/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_outcome_header_parse, yzi_outcome_header_write, yzi_hop_parse, yzi_hop_write,
 * yzi_prescan, yzi_unpack.
 *
 * The input is a header, and also a hop.
 */
#include "proto/header.h"
#include "proto/message.pb-c.h"
#include "tests/fuzz/agree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

YZ_FUZZ_HEADER(outcome_header, struct outcome_header, &yizhan__wire__outcome_header__descriptor)
YZ_FUZZ_HEADER(hop, struct hop, &yizhan__wire__hop__descriptor)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_outcome_header(yzi_bytes(data, size));
    fuzz_hop(yzi_bytes(data, size));
    return 0;
}
