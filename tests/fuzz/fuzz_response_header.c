/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_response_header_parse, yzi_response_header_write, yzi_prescan, yzi_unpack.
 *
 * The input is a header.
 */
#include "proto/header.h"
#include "proto/message.pb-c.h"
#include "tests/fuzz/agree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

YZ_FUZZ_HEADER(response_header, struct response_header, &yizhan__wire__response_header__descriptor)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_response_header(yzi_bytes(data, size));
    return 0;
}
