/* SPDX-License-Identifier: Apache-2.0
 *
 * What the public yz_request is made of. The caller's thread turns it into an `ask`: the parts of
 * a message that do not change between attempts, on their own, so that the request may be changed
 * or freed as soon as it was submitted.
 */
#ifndef YZ_CLIENT_REQUEST_H
#define YZ_CLIENT_REQUEST_H

#include <yizhan/client.h>

#include "base/arena.h"
#include "proto/id.h"
#include "proto/payload.h"

#define REQUEST_PREDICATES_MAX 16u /* what adapters answer at once */

/* A text of the head. */
struct text {
    char s[YZ_REFERENCE_MAX + 1];
};

struct yz_request {
    struct arena arena; /* keys and fields */
    char service[YZ_ID_MAX + 1];
    struct query_key *keys;
    size_t keys_n, keys_room;
    yz_bytes fields[YZ_QUERY_FIELDS_MAX];
    size_t fields_n;
    /* request_find.c */
    enum query_operation operation; /* 0: not said, so a get */
    struct query_condition conditions[YZ_QUERY_CONDITIONS_MAX];
    size_t conditions_n;
    struct query_predicate predicates[REQUEST_PREDICATES_MAX];
    size_t predicates_n;
    struct query_order order[YZ_QUERY_ORDER_MAX];
    size_t order_n;
    uint32_t limit;
    yz_bytes cursor;
    yz_bytes cursor_node; /* the adapter that gave it */
    /* request_write.c */
    yz_buf rows; /* as they travel; wiped */
    uint32_t rows_n;
    size_t columns_n; /* values of each row */
    char purpose[YZ_PURPOSE_MAX + 1];
    struct text user, issue, consent;
    uint32_t timeout_ms;
};

/* That the parts of a write go together. YZ_EINVAL with a sentence. */
YZ_MUST_USE int yzi_request_check_write(const yz_request *r, yz_error *err);
/* What is asked, borrowed from r. YZ_EINVAL with a sentence: the parts do not go together. */
YZ_MUST_USE int yzi_request_query(yz_request *r, struct query *out, yz_error *err);

struct ask {
    yz_service_id service; /* views into `texts` */
    yz_bytes purpose;
    yz_bytes node; /* the one adapter that can answer; empty: any */
    yz_buf texts;
    yz_buf head, body;   /* the encoded request head and the rows it brings; plaintext, wiped */
    uint32_t timeout_ms; /* 0: the configuration's */
    bool writes;         /* it asks for records to be changed */
};
/* Does it ask for records to be changed? */
bool yzi_request_writes(const yz_request *r);
/* YZ_EINVAL (nothing to ask: a get without a key, ...), YZ_ETOOBIG (beyond what a message holds),
 * YZ_ENOMEM. Any thread, while nobody changes the request. */
YZ_MUST_USE int yzi_ask_make(const yz_request *r, struct ask *out, yz_error *err);
void yzi_ask_fini(struct ask *a); /* accepts a zeroed one */

#endif
