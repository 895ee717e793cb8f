/* SPDX-License-Identifier: Apache-2.0
 *
 * Who answers wants proof that it is in the broker's log: for each answer given through a broker, a
 * receipt of request and answer must come. One that is overdue is asked for; a broker that brings
 * none, or a false one, gets no more answers, because what goes through it can be denied later.
 * Link thread only.
 */
#ifndef YZ_ADAPTERS_RECEIPTS_H
#define YZ_ADAPTERS_RECEIPTS_H

#include "base/deadlines.h"
#include "base/table.h"
#include "evidence/receipt.h"
#include "net/message.h"
#include "proto/link.h"

#define RECEIPT_ASK_MS 5000u     /* then it is asked for */
#define RECEIPT_ALARM_MS 30000u  /* of the broker being there: then it is no longer served */
#define RECEIPTS_OWED_MAX 65536u /* by one broker */
#define RECEIPT_ANSWERS_MAX 4u   /* different ones to one request, none of them proved yet */

struct adapter;
struct upstream;

/* What is owed by one broker. */
struct receipts {
    struct table owed;  /* request digest -> struct owed */
    struct table asked; /* token of a fetch -> struct owed */
    struct deadlines timers;
    struct checkpoint_memory checkpoints;
    bool is_up;
    uint64_t up_ms, up_since; /* how long it was there before; this time, monotonic ms */
    bool is_false;           /* one did not verify: not served until the adapter is started again */
    bool is_overdue;         /* one has not come: not served until all have */
    uint64_t proved, missed; /* for status: receipts that came; answers the broker never logged */
};
void yzi_receipts_fini(struct receipts *r);

/* This answer goes to the broker now: a receipt is owed from now on. *out_new: it was not owed
 * already. False when that cannot be noted: then it must not be sent. */
bool yzi_receipts_expect(struct adapter *a, struct upstream *u, yz_bytes response_frame,
                         bool *out_new);
/* What was new did not leave after all. */
void yzi_receipts_not_sent(struct adapter *a, struct upstream *u, yz_bytes response_frame);
/* FRAME_RECEIPT. */
void yzi_receipts_on_frame(struct adapter *a, struct upstream *u, const struct frame *f);
/* The answer to FETCH_RECEIPT. */
void yzi_receipts_on_object(struct adapter *a, struct upstream *u, const struct object *o,
                            yz_bytes receipt);
/* The broker is there (again): ask for what is owed. */
void yzi_receipts_up(struct adapter *a, struct upstream *u);
void yzi_receipts_down(struct adapter *a, struct upstream *u); /* also when it was already */
void yzi_receipts_step(struct adapter *a, struct upstream *u); /* once a second */
/* May this broker be answered? */
static inline bool yzi_receipts_serve(const struct receipts *r)
{
    return !r->is_false && !r->is_overdue;
}
/* May more be begun for this broker, with so many answers under way? */
static inline bool yzi_receipts_may_owe(const struct receipts *r, size_t under_way)
{
    size_t owed = yzi_table_count(&r->owed);
    return yzi_receipts_serve(r) && owed < RECEIPTS_OWED_MAX &&
           under_way < RECEIPTS_OWED_MAX - owed;
}

#endif
