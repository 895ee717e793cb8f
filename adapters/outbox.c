/* SPDX-License-Identifier: Apache-2.0
 *
 * Putting answers together, and taking them apart again when they cannot leave.
 */
#include "adapters/outbox.h"

#include "adapters/adapter.h"
#include "proto/frame.h"

#define BUNDLE_BYTES (256u * 1024u)
#define RETRY_MS 10u

void yzi_outbox_init(struct outbox *o)
{
    *o = (struct outbox){.retry_at = UINT64_MAX};
    yzi_buf_init(&o->open.frames, BUNDLE_BYTES);
}

static void drop_first(struct outbox *o)
{
    struct outbox_bundle *b = o->waiting;
    o->waiting = b->next;
    o->last = o->waiting ? o->last : NULL;
    o->waiting_bytes -= b->frames.n;
    yzi_buf_fini(&b->frames);
    free(b);
}

void yzi_outbox_fini(struct outbox *o)
{
    while (o->waiting) {
        drop_first(o);
    }
    yzi_buf_fini(&o->open.frames);
}

bool yzi_outbox_is_empty(const struct outbox *o)
{
    return o->open.n == 0 && !o->waiting;
}

/* None of them left. That a broker is away is said once, as broker.down, and is nobody's error. */
static void take_back(struct adapter *a, struct upstream *u, const struct outbox_bundle *b, int rc)
{
    yz_reader rest = yzi_reader(yzi_bytes_buf(&b->frames));
    struct frame f;
    for (unsigned i = 0; i < b->n && yzi_frame_next(&rest, YZ_MESSAGE_MAX, &f) == YZ_OK; i++) {
        if (b->fresh & (UINT64_C(1) << i)) {
            yzi_receipts_not_sent(a, u, f.raw);
        }
    }
    if (rc != YZ_EUNAVAILABLE) {
        yzi_log(&ADAPTER_ANSWER_FAILED, (struct log_field[]){log_str("error", yz_err_name(rc)),
                                                             log_str("at", "sending"),
                                                             log_num("answers", (int64_t)b->n),
                                                             {0}});
    }
}

/* False when there is no room for it now; otherwise it has left, or never will. */
static bool dispatch(struct adapter *a, struct upstream *u, const struct outbox_bundle *b)
{
    int rc = yzi_session_send(u->session, yzi_bytes_buf(&b->frames));
    u->outbox.retry_at = rc == YZ_EAGAIN ? a->mono + RETRY_MS : UINT64_MAX;
    if (rc < 0 && rc != YZ_EAGAIN) {
        take_back(a, u, b, rc);
    }
    return rc != YZ_EAGAIN;
}

void yzi_outbox_flush(struct adapter *a, struct upstream *u)
{
    struct outbox *o = &u->outbox;
    while (o->waiting && dispatch(a, u, o->waiting)) {
        drop_first(o);
    }
    if (!o->waiting && o->open.n > 0 && dispatch(a, u, &o->open)) {
        yzi_buf_clear(&o->open.frames);
        o->open.n = 0;
        o->open.fresh = 0;
    }
}

/* It leaves as it is, after those that wait; *b is empty then. */
static int let_wait(struct outbox *o, struct outbox_bundle *b)
{
    struct outbox_bundle *waits;
    YZ_TRY(yzi_alloc(1, sizeof *waits, &waits));
    *waits = *b;
    *b = (struct outbox_bundle){0};
    yzi_buf_init(&b->frames, BUNDLE_BYTES);
    *(o->last ? &o->last->next : &o->waiting) = waits;
    o->last = waits;
    o->waiting_bytes += waits->frames.n;
    return YZ_OK;
}

static int put_alone(struct adapter *a, struct upstream *u, yz_bytes frame, bool fresh)
{
    struct outbox *o = &u->outbox;
    yzi_outbox_flush(a, u);
    if (o->open.n > 0) {
        YZ_TRY(let_wait(o, &o->open));
    }
    struct outbox_bundle alone = {.n = 1, .fresh = fresh};
    yzi_buf_init(&alone.frames, frame.n);
    int rc = yzi_buf_put(&alone.frames, frame);
    rc = rc < 0 ? rc : let_wait(o, &alone);
    yzi_buf_fini(&alone.frames);
    if (rc == YZ_OK) {
        yzi_outbox_flush(a, u);
    }
    return rc;
}

static int put(struct adapter *a, struct upstream *u, yz_bytes frame, bool fresh)
{
    struct outbox *o = &u->outbox;
    struct outbox_bundle *b = &o->open;
    YZ_TRY(yzi_session_takes(u->session, frame.n));
    YZ_ENSURE(frame.n <= OUTBOX_WAITING_MAX - o->waiting_bytes - b->frames.n, YZ_EAGAIN);
    if (frame.n > BUNDLE_BYTES) {
        return put_alone(a, u, frame, fresh);
    }
    if (b->n == OUTBOX_MESSAGES || frame.n > BUNDLE_BYTES - b->frames.n ||
        yzi_session_takes(u->session, b->frames.n + frame.n) < 0) {
        yzi_outbox_flush(a, u);
        if (b->n > 0) {
            YZ_TRY(let_wait(o, b));
        }
    }
    YZ_TRY(yzi_buf_put(&b->frames, frame));
    b->fresh |= (uint64_t)fresh << b->n;
    b->n++;
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
