/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_replay_segment_key, yzi_replay_segment_load.
 *
 * Any bytes are a segment or are not; what is taken from one is no more than its slots, and the
 * memory it went to still works and can be recorded again.
 */
#include "broker/replay_log.h"

#define NOW 1000u
#define CAPACITY 8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    yz_bytes segment = yzi_bytes(data, size);
    uint8_t key[REPLAY_KEY_BYTES] = {0};
    struct replay *r;
    size_t damaged = 0;
    uint64_t until = 0;
    int rc = yzi_replay_segment_key(segment, key);
    YZ_ASSERT(rc == YZ_OK || rc == YZ_EMALFORMED);
    YZ_ASSERT(yzi_replay_new(CAPACITY, key, &r) == YZ_OK);
    YZ_ASSERT(yzi_replay_segment_load(segment, r, NOW, &damaged, &until) == rc);
    size_t n = yzi_replay_count(r);
    YZ_ASSERT(rc == YZ_OK || (n == 0 && damaged == 0));
    YZ_ASSERT(n + damaged <= size / REPLAY_SLOT + 1);
    YZ_ASSERT(n == 0 || until >= NOW);
    yz_node_id node = {yzi_bytes_str("CN/GOV/HB/@w1")};
    yz_uuid id = {{1}};
    yz_digest digest = {{2}};
    enum replay_verdict v;
    struct replay_record record;
    if (yzi_replay_check(r, node, &id, &digest, NOW, NOW, &v) == YZ_OK) {
        YZ_ASSERT(yzi_replay_record(r, node, &id, &record) == YZ_OK);
        YZ_ASSERT(yzi_replay_restore(r, &record, NOW) == YZ_OK);
    }
    yzi_replay_free(r);
    return 0;
}
