/* SPDX-License-Identifier: Apache-2.0
 *
 * What the public yz_answer is made of: a verified, opened message as an immutable object. A
 * provider's answer keeps its plaintext and points into it; the values of its rows are checked
 * against their types once, here, so that accessors and JSON cannot meet anything else.
 */
#ifndef YZ_CLIENT_ANSWER_H
#define YZ_CLIENT_ANSWER_H

#include <yizhan/client.h>

#include "base/arena.h"
#include "keys/verify.h"
#include "proto/payload.h"

struct answer_column {
    const char *name;
    enum yz_type type; /* text when the value is masked */
    const char *mask;  /* static; "" when it is not */
};

struct yz_answer {
    struct arena arena; /* texts, columns */
    yz_buf plain;       /* personal data: wiped at the end */
    enum yz_origin origin;
    enum yz_status status;
    const char *reason, *detail, *rule, *clause, *node, *cursor;
    bool has_total;
    uint64_t total;
    enum yz_evidence evidence;
    bool kept;
    char message_id[YZ_UUID_TEXT];
    uint32_t elapsed_ms, retry_after_ms;
    uint64_t data_version, policy_version;
    struct answer_column *columns;
    size_t columns_n, rows;
    enum yz_match *matches;
    size_t matches_n;
    yz_bytes body;
    uint32_t *values; /* rows × columns offsets into `body`, where a value's length stands */
};

/* The opened payload of a verified response, whose buffer is taken (on success only). YZ_EMALFORMED
 * with a sentence: it is signed, sealed and not in the format. YZ_ENOMEM. */
YZ_MUST_USE int yzi_answer_of_provider(const struct response_header *h, const struct plain *plain,
                                       yz_buf *plaintext, yz_answer **out, yz_error *err);
/* A verified outcome. YZ_ENOMEM. */
YZ_MUST_USE int yzi_answer_of_broker(const struct outcome_header *h, yz_answer **out);
/* A broker's word on a write that an adapter may have executed all the same: it becomes
 * `indeterminate`, with what the broker said as the reason. A provider's word stays as it is. */
void yzi_answer_doubt(yz_answer *a);

static inline void yzi_answer_free_ptr(yz_answer **a)
{
    yz_answer_free(*a);
}

#endif
