/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_frame_next, yzi_frame_parse, yzi_frame_write, yzi_frame_digest, yzi_block_parse,
 * yzi_block_write.
 *
 * The input is a bundle of messages, and also a signature block. Both have one form: what parses is
 * written again to the same bytes.
 */
#include "proto/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_block(yz_bytes block)
{
    struct signature_block b;
    YZ_AUTO(yzi_buf_fini) yz_buf again = {.max = YZ_BLOCK_MAX};
    int rc = yzi_block_parse(block, &b);
    YZ_ASSERT(rc == 0 || yz_err_class(rc) == YZ_CLASS_PROTOCOL);
    if (rc == 0) {
        YZ_ASSERT(yzi_block_write(&b, &again) == 0);
        YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&again), block));
    }
}

static void check_frame(const struct frame *f)
{
    struct frame alone;
    yz_digest digest;
    YZ_AUTO(yzi_buf_fini) yz_buf again = {.max = YZ_MESSAGE_MAX};
    YZ_ASSERT(yzi_frame_write(f->kind, f->header, f->block, f->payload, f->hop, &again) == 0);
    YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&again), f->raw));
    YZ_ASSERT(yzi_frame_size(f->header.n, f->block.n, f->payload.n, f->hop.n) == f->raw.n);
    YZ_ASSERT(yzi_frame_parse(f->raw, f->raw.n, &alone) == 0 && alone.kind == f->kind);
    YZ_ASSERT(yzi_frame_parse(f->raw, f->raw.n - 1, &alone) == YZ_ETOOBIG);
    yzi_frame_digest(f->header, f->block, &digest);
    check_block(f->block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_block(yzi_bytes(data, size));
    for (yz_reader r = yzi_reader(yzi_bytes(data, size)); r.left > 0;) {
        yz_reader before = r;
        struct frame f;
        if (yzi_frame_next(&r, YZ_MESSAGE_MAX, &f) < 0) {
            YZ_ASSERT(r.p == before.p && r.left == before.left);
            break;
        }
        YZ_ASSERT(f.raw.p == before.p && f.raw.n == before.left - r.left);
        check_frame(&f);
    }
    return 0;
}
