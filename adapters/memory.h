/* SPDX-License-Identifier: Apache-2.0
 *
 * The answer memory: keyed by (consumer node, message id), it holds for each request either that it
 * is being answered or the answer itself, until the id can no longer be accepted. A retry gets the
 * stored answer, the same id with other bytes is a conflict, and when the memory is full new
 * requests are handed back as busy: an unexpired id is never forgotten. Answers are bounded in
 * bytes, and the oldest are let go first: a retry of such a one runs again, which harms nobody for
 * a read (decision 0007). Of both, entries and bytes, a node has at most its share. Link thread
 * only.
 */
#ifndef YZ_ADAPTERS_MEMORY_H
#define YZ_ADAPTERS_MEMORY_H

#include "base/deadlines.h"
#include "base/table.h"
#include "base/uuid.h"
#include "proto/id.h"

enum remembered_state {
    REMEMBERED_RUNNING = 1,
    REMEMBERED_ANSWERED, /* `answer` is the response frame */
    REMEMBERED_LET_GO    /* answered, and the answer not kept */
};
struct remembered {
    yz_digest digest; /* of the request */
    enum remembered_state state;
    unsigned asked; /* who waits for the answer, a bit each */
    yz_buf answer;
    struct remembered *older, *newer;         /* among the answered */
    struct remembered *own_older, *own_newer; /* among those of its node */
    struct remembered_node *node;
    struct deadline forget;
    yz_buf key; /* in the table */
};
/* What one node has here. */
struct remembered_node {
    struct remembered *oldest, *newest; /* answered */
    size_t entries, bytes;
    yz_buf id;
};
struct memory_options {
    size_t entries_max, bytes_max;           /* in all */
    size_t entries_each_max, bytes_each_max; /* of a node */
};
struct memory {
    struct table entries, nodes;
    struct deadlines forget;
    struct remembered *oldest, *newest; /* answered */
    size_t bytes;
    struct memory_options o;
};

enum memory_verdict {
    MEMORY_NEW = 1,
    MEMORY_RUNNING,  /* being answered */
    MEMORY_ANSWERED, /* *out->answer holds the response */
    MEMORY_LET_GO,   /* was answered: yzi_memory_begin runs it again */
    MEMORY_CONFLICT  /* the same id, other bytes */
};

void yzi_memory_init(struct memory *m, const struct memory_options *o);
void yzi_memory_fini(struct memory *m);
/* What is known of this request; nothing is remembered yet. `who` (below 32) is noted as waiting
 * when it is running. *out (may be NULL) is borrowed until the next call. */
enum memory_verdict yzi_memory_look(struct memory *m, yz_node_id node, const yz_uuid *id,
                                    const yz_digest *digest, unsigned who,
                                    const struct remembered **out);
/* Remember that it is being answered, for `who`, until `until` (monotonic ms) is past. YZ_EBUSY
 * when full or the node has its share, YZ_EEXIST unless new or let go, YZ_ENOMEM. */
YZ_MUST_USE int yzi_memory_begin(struct memory *m, yz_node_id node, const yz_uuid *id,
                                 const yz_digest *digest, unsigned who, uint64_t until);
/* Store the answer as far as there is room. Who waits for it, a bit each. */
unsigned yzi_memory_answer(struct memory *m, yz_node_id node, const yz_uuid *id, yz_bytes answer);
/* Forget a request that could not be answered after all, so that it may be tried again. Who waits.
 */
unsigned yzi_memory_cancel(struct memory *m, yz_node_id node, const yz_uuid *id);
void yzi_memory_expire(struct memory *m, uint64_t mono);
size_t yzi_memory_count(const struct memory *m);

#endif
