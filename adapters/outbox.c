/* SPDX-License-Identifier: Apache-2.0
 *
 * Putting answers together, and taking them apart again when the broker's queue has no room.
 */
#include "adapters/outbox.h"

#include "adapters/adapter.h"
#include "proto/frame.h"

#define OUTBOX_BYTES (256u * 1024u)

void yzi_outbox_init(struct outbox *o)
{
    *o = (struct outbox){0};
    yzi_buf_init(&o->frames, OUTBOX_BYTES);
}

void yzi_outbox_fini(struct outbox *o)
{
    yzi_buf_fini(&o->frames);
}

/* None of them left. That a broker is away is said once, as broker.down, and is nobody's error. */
static void take_back(struct adapter *a, struct upstream *u, int rc)
{
    struct outbox *o = &u->outbox;
    yz_reader rest = yzi_reader(yzi_bytes_buf(&o->frames));
    struct frame f;
    for (unsigned i = 0; i < o->n && yzi_frame_next(&rest, YZ_MESSAGE_MAX, &f) == YZ_OK; i++) {
        if (o->fresh & (UINT64_C(1) << i)) {
            yzi_receipts_not_sent(a, u, f.raw);
        }
    }
    if (rc != YZ_EUNAVAILABLE) {
        yzi_log(&ADAPTER_ANSWER_FAILED, (struct log_field[]){log_str("error", yz_err_name(rc)),
                                                             log_str("at", "sending"),
                                                             log_num("answers", (int64_t)o->n),
                                                             {0}});
    }
}

void yzi_outbox_flush(struct adapter *a, struct upstream *u)
{
    struct outbox *o = &u->outbox;
    if (o->n == 0) {
        return;
    }
    int rc = yzi_session_send(u->session, yzi_bytes_buf(&o->frames));
    if (rc < 0) {
        take_back(a, u, rc);
    }
    yzi_buf_clear(&o->frames);
    o->n = 0;
    o->fresh = 0;
}

static int put(struct adapter *a, struct upstream *u, yz_bytes frame, bool fresh)
{
    struct outbox *o = &u->outbox;
    YZ_TRY(yzi_session_takes(u->session, frame.n));
    if (o->n == OUTBOX_MESSAGES || frame.n > OUTBOX_BYTES - o->frames.n ||
        yzi_session_takes(u->session, o->frames.n + frame.n) < 0) {
        yzi_outbox_flush(a, u);
    }
    if (frame.n > OUTBOX_BYTES) {
        return yzi_session_send(u->session, frame);
    }
    YZ_TRY(yzi_buf_put(&o->frames, frame));
    o->fresh |= (uint64_t)fresh << o->n;
    o->n++;
    return YZ_OK;
}

int yzi_outbox_put(struct adapter *a, struct upstream *u, yz_bytes frame, bool fresh)
{
    int rc = put(a, u, frame, fresh);
    if (rc < 0 && fresh) {
        yzi_receipts_not_sent(a, u, frame);
    }
    return rc;
}
