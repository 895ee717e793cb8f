/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_kept_record_parse, yzi_evidence_bundle_parse, yzi_evidence_bundle_verify,
 * yzi_standing_verify, yzi_subjects_check, yzi_subject_next.
 *
 * By its first byte: 0 the inside of a kept record, 1 a bundle, 2 a standing. An exchange that
 * parses is written as the same bytes; what is verified against no anchor may be wrong in any way,
 * and says so.
 */
#include "evidence/bundle.h"
#include "evidence/kept_format.h"
#include "evidence/standing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_kept(yz_bytes in)
{
    struct kept_record r;
    YZ_AUTO(yzi_buf_fini) yz_buf out = {.max = KEPT_RECORD_MAX};
    if (yzi_kept_record_parse(in, &r) == YZ_OK && !r.is_receipt) {
        YZ_ASSERT(yzi_kept_record_write(&r.exchange, &out) == YZ_OK);
        YZ_ASSERT(yzi_bytes_eq(in, yzi_bytes_buf(&out)));
    }
}

static void check_bundle(yz_bytes in)
{
    struct evidence_bundle b;
    const struct evidence_trust trust = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf report = {.max = 1u << 20};
    yz_error err = {0};
    int parsed = yzi_evidence_bundle_parse(in, &b);
    int rc = yzi_evidence_bundle_verify(in, &trust, &report, &err);
    YZ_ASSERT(parsed == YZ_OK || rc < 0);
    YZ_ASSERT(rc == YZ_OK || err.text[0]);
}

static void check_standing(yz_bytes in)
{
    static const char *const nodes[] = {"CN/@b1", "CN/GOV/HB/@w1"};
    for (unsigned i = 0; i < 2; i++) {
        struct arena arena;
        struct standing s;
        yz_node_id node;
        yz_error err = {0};
        yzi_arena_init(&arena, 1u << 24);
        YZ_ASSERT(yzi_node_id_parse(yzi_bytes_str(nodes[i]), &node) == YZ_OK);
        int rc =
            yzi_standing_verify(in, (yz_bytes){0}, node, UINT64_C(1750000000000), &arena, &s, &err);
        YZ_ASSERT(rc < 0 || (i == 0 ? s.broker != NULL : s.node != NULL));
        yzi_arena_fini(&arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(yz_bytes in) = {check_kept, check_bundle, check_standing};
    if (size > 0 && data[0] < sizeof checks / sizeof *checks) {
        checks[data[0]](yzi_bytes(data + 1, size - 1));
    }
    return 0;
}
