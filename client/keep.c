/* SPDX-License-Identifier: Apache-2.0
 *
 * What the client keeps of each call that a verified message ends: enough to show later, to anyone,
 * what was asked and answered, by whom, and that the broker's log has it (evidence/kept.h).
 */
#include "client/engine_internal.h"
#include "evidence/kept.h"

#define SYNC_MS 1000u
#define EXPIRE_MS 3600000u

static int keep(struct engine *e, const struct call *c, const struct peer *p, const struct frame *f,
                const struct plain *plain, yz_node_id signer)
{
    YZ_AUTO(yzi_buf_fini) yz_buf request = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf answer = {0};
    struct frame asked;
    struct hop hop;
    yz_node_id broker = {yzi_bytes_str(p->node)};
    YZ_TRY(yzi_frame_parse(yzi_bytes_buf(&c->envelope.frame), YZ_MESSAGE_MAX, &asked));
    YZ_TRY(yzi_hop_parse(f->hop, &hop));
    yzi_buf_init(&request, KEPT_MESSAGE_MAX);
    yzi_buf_init(&answer, KEPT_MESSAGE_MAX);
    YZ_TRY(yzi_entry_message_write(asked.header, asked.block, &request));
    YZ_TRY(yzi_entry_message_write(f->header, f->block, &answer));
    struct kept_exchange x = {.role = KEPT_CONSUMER,
                              .at = yzi_wall_ms(e->o.clock),
                              .broker = broker.v,
                              .answer_kind = f->kind,
                              .request = yzi_bytes_buf(&request),
                              .answer = yzi_bytes_buf(&answer),
                              .request_plain = yzi_bytes_buf(&c->envelope.plain),
                              .answer_plain = plain ? yzi_plain_opened(plain) : (yz_bytes){0},
                              .receipt = hop.receipt,
                              .directory = *yzi_directory_root_hash(e->directory)};
    const yz_node_id nodes[] = {c->envelope.header.node, broker, signer};
    YZ_TRY(yzi_kept_directory(e->o.kept, e->directory, nodes, 3));
    return yzi_kept_exchange(e->o.kept, &x);
}

bool yzi_engine_keep(struct engine *e, const struct call *c, const struct peer *p,
                     const struct frame *f, const struct plain *plain, yz_node_id signer)
{
    if (!e->o.kept) {
        return false;
    }
    if (keep(e, c, p, f, plain, signer) < 0) {
        e->counters.unkept++;
        return false;
    }
    if (!e->kept_sync_at) {
        e->kept_sync_at = yzi_engine_now(e) + SYNC_MS;
        yzi_engine_recheck(e, e->kept_sync_at);
    }
    return true;
}

void yzi_engine_keep_step(struct engine *e)
{
    uint64_t now = yzi_engine_now(e);
    if (!e->o.kept) {
        return;
    }
    if (e->kept_sync_at && now >= e->kept_sync_at) {
        e->kept_sync_at = 0;
        if (yzi_kept_sync(e->o.kept) < 0) {
            e->counters.unkept++;
        }
    }
    if (e->kept_sync_at) {
        yzi_engine_recheck(e, e->kept_sync_at);
    }
    if (now >= e->kept_expire_at) {
        e->kept_expire_at = now + EXPIRE_MS;
        yz_ignore(yzi_kept_expire(e->o.kept, NULL, NULL), "it is tried again in an hour");
    }
}
