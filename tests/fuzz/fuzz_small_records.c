/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_member_record_parse, yzi_broker_record_parse, yzi_revocation_parse,
 * yzi_freshness_parse, yzi_announcement_parse, yzi_node_request_parse, yzi_purpose_list_parse, and
 * their _write.
 *
 * The first byte chooses the kind, the rest is a body: refused, or its writer writes what comes
 * back the same.
 */
#include "tests/support/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum record_kind kinds[] = {
        RECORD_MEMBER,       RECORD_BROKER,       RECORD_REVOCATION, RECORD_FRESHNESS,
        RECORD_ANNOUNCEMENT, RECORD_NODE_REQUEST, RECORD_PURPOSES};
    if (size > 0) {
        yz_record_fuzz_body(kinds[data[0] % COUNT(kinds)], yzi_bytes(data + 1, size - 1));
    }
    return 0;
}
