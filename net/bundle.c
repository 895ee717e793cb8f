/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking bundles apart: a view moves along the whole; each message of several is copied out, so
 * that it can be kept as long as its exchange.
 */
#include "net/bundle.h"

#include "proto/frame.h"

void yzi_bundle_init(struct bundle *b, struct message *m)
{
    *b = (struct bundle){0};
    yzi_message_move(&b->whole, m);
    b->rest = yzi_reader(b->whole.bytes);
}

void yzi_bundle_fini(struct bundle *b)
{
    yzi_message_fini(&b->whole);
    *b = (struct bundle){0};
}

int yzi_bundle_next(struct bundle *b, size_t max_bytes, struct message *out)
{
    bool first = b->taken == 0;
    YZ_ENSURE(first || b->rest.left > 0, YZ_EAGAIN);
    YZ_ENSURE(b->taken < YZ_BUNDLE_MAX, YZ_ETOOBIG);
    struct frame f;
    YZ_TRY(yzi_frame_next(&b->rest, max_bytes, &f));
    b->taken++;
    if (first && b->rest.left == 0) {
        yzi_message_move(out, &b->whole);
        b->rest = (yz_reader){0};
        return YZ_OK;
    }
    return yzi_message_copy(out, f.raw);
}
