/* SPDX-License-Identifier: Apache-2.0
 *
 * The answer memory: keyed by (consumer node, message id), it holds for each request either that it
 * is being answered or the answer itself, until the id can no longer be accepted. A retry gets the
 * stored answer, the same id with other bytes is a conflict, and when the memory is full new
 * requests are handed back as busy: an unexpired id is never forgotten. For reads it lives in
 * memory (decision 0007). Link thread only.
 */
#ifndef YZ_ADAPTERS_MEMORY_H
#define YZ_ADAPTERS_MEMORY_H

#include "base/deadlines.h"
#include "base/table.h"
#include "base/uuid.h"
#include "proto/id.h"

struct remembered {
    yz_digest digest; /* of the request */
    bool answered;
    yz_buf answer; /* the response frame, when answered */
    struct deadline forget;
    yz_buf key; /* in the table */
};
struct memory {
    struct table entries;
    struct deadlines forget;
    size_t bytes, bytes_max, entries_max;
};

enum memory_verdict {
    MEMORY_NEW = 1,
    MEMORY_RUNNING,  /* being answered */
    MEMORY_ANSWERED, /* *out->answer holds the response */
    MEMORY_CONFLICT  /* the same id, other bytes */
};

void yzi_memory_init(struct memory *m, size_t entries_max, size_t bytes_max);
void yzi_memory_fini(struct memory *m);
/* What is known of this request; nothing is remembered yet. *out (may be NULL) is borrowed until
 * the next call. */
enum memory_verdict yzi_memory_look(struct memory *m, yz_node_id node, const yz_uuid *id,
                                    const yz_digest *digest, const struct remembered **out);
/* Remember that it is being answered, until `until` (monotonic ms). YZ_EBUSY when full, YZ_ENOMEM.
 */
YZ_MUST_USE int yzi_memory_begin(struct memory *m, yz_node_id node, const yz_uuid *id,
                                 const yz_digest *digest, uint64_t until);
/* Store the answer; without room for it the id is kept and the retry answered as running. */
void yzi_memory_answer(struct memory *m, yz_node_id node, const yz_uuid *id, yz_bytes answer);
/* Forget a request that could not be answered after all, so that it may be tried again. */
void yzi_memory_cancel(struct memory *m, yz_node_id node, const yz_uuid *id);
void yzi_memory_expire(struct memory *m, uint64_t mono);
size_t yzi_memory_count(const struct memory *m);

#endif
