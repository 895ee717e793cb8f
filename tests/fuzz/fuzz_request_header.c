/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_request_header_parse, yzi_request_header_write, yzi_request_header_peek_id,
 * yzi_request_header_peek_service, yzi_prescan, yzi_unpack, and the parsers of identifiers.
 *
 * The input is a header.
 */
#include "proto/header.h"
#include "proto/message.pb-c.h"
#include "tests/fuzz/agree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

YZ_FUZZ_HEADER(request_header, struct request_header, &yizhan__wire__request_header__descriptor)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    yz_bytes in = yzi_bytes(data, size);
    struct request_header h;
    yz_uuid id;
    fuzz_request_header(in);
    yz_bytes service;
    bool peeked = yzi_request_header_peek_id(in, &id);
    bool named = yzi_request_header_peek_service(in, &service);
    if (yzi_request_header_parse(in, &h) == 0) {
        YZ_ASSERT(peeked && yzi_uuid_eq(&id, &h.message_id));
        YZ_ASSERT(named && yzi_bytes_eq(service, h.service.v));
    }
    return 0;
}
