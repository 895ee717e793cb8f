/* SPDX-License-Identifier: Apache-2.0
 *
 * Receipts as an honest broker makes them: the entries stand in the middle of a small log.
 */
#include "tests/support/world_evidence.h"

#include "keys/sign.h"
#include "proof/merkle.h"

#define LEAVES 7u
#define FIRST 3u /* where the entries stand */

#define OK(call) YZ_ASSERT((call) == 0)

static void sign(struct world *w, struct world_node *broker, const yz_digest *leaves,
                 struct receipt *r)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, 4096);
    (void)w;
    yzi_merkle_root(leaves, LEAVES, &r->root);
    memcpy(r->key, broker->log.public_key, sizeof r->key);
    OK(yzi_checkpoint_text(broker->node, r->log, r->size, &r->root, &text));
    OK(yzi_sign_checkpoint(&broker->log, yzi_bytes_buf(&text), r->signature));
}

void yz_world_receipt(struct world *w, struct world_node *broker,
                      const struct receipt_claim *claims, unsigned n, yz_buf *out)
{
    yz_digest leaves[LEAVES] = {0};
    /* Each is of a log of its own, and of an earlier one each time: whoever follows a broker's log
     * has nothing to hold that to, where two trees of one log would be two histories. */
    static _Atomic uint64_t made;
    uint64_t log = w->one_log ? w->one_log : WORLD_LOG - made++;
    struct receipt r = {.log = log, .size = LEAVES, .entries_n = n};
    for (unsigned i = 0; i < n; i++) {
        uint8_t bytes[YZ_ENTRY_BYTES];
        /* the answer is claimed first and stands after the request */
        uint64_t index = FIRST + n - 1 - i;
        struct entry e = {claims[i].type, yz_world_now(w), *claims[i].digest};
        yzi_entry_write(&e, bytes);
        yzi_merkle_leaf(yzi_bytes(bytes, sizeof bytes), &leaves[index]);
        r.entries[i] = (struct receipt_entry){.type = e.type, .index = index, .time = e.time};
    }
    for (unsigned i = 0; i < n; i++) {
        OK(yzi_merkle_path(leaves, LEAVES, r.entries[i].index, &r.entries[i].path));
    }
    sign(w, broker, leaves, &r);
    OK(yzi_receipt_write(&r, out));
}

void yz_world_deliver(struct world *w, struct world_node *broker, const yz_digest *request,
                      const struct world_message *answer, yz_buf *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf receipt;
    YZ_AUTO(yzi_buf_fini) yz_buf hop_bytes;
    yzi_buf_init(&receipt, RECEIPT_BYTES_MAX);
    yzi_buf_init(&hop_bytes, YZ_HOP_MAX);
    const struct frame *f = &answer->frame;
    const struct receipt_claim claims[] = {
        {f->kind == FRAME_RESPONSE ? ENTRY_RESPONSE : ENTRY_OUTCOME, &answer->digest},
        {ENTRY_REQUEST, request}};
    yz_world_receipt(w, broker, claims, 2, &receipt);
    struct hop hop = {.receipt = yzi_bytes_buf(&receipt)};
    OK(yzi_hop_write(&hop, &hop_bytes));
    OK(yzi_frame_write(f->kind, f->header, f->block, f->payload, yzi_bytes_buf(&hop_bytes), out));
}
