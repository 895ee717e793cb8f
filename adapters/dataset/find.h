/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding and counting records by conditions. All conditions must hold (AND). One index serves each
 * query, chosen here: the one that binds most of its leading fields. Conditions it does not serve
 * are tried on each record it leads to, and how many entries a query may look at is bounded, so a
 * query is answered fast or refused with the advice what index would serve it; never is the whole
 * data set searched in silence.
 *
 * Each query is one read transaction on one generation, ended before the function returns. Any
 * thread.
 */
#ifndef YZ_DATASET_FIND_H
#define YZ_DATASET_FIND_H

#include "adapters/dataset/store.h"

/* How a query was served; for the owner of the data, not for consumers. */
struct query_plan_note {
    const char *index; /* the index's name; NULL: the records by key */
    unsigned served;   /* conditions the index serves, the others were tried on records */
    unsigned ranges;   /* of the index, read one after the other */
    bool backward;
    uint64_t entries, records; /* looked at */
};

struct find_result {
    uint32_t rows;       /* find */
    uint64_t total;      /* count */
    uint64_t sequence;   /* the data set's, as seen by the transaction */
    uint64_t generation; /* answered from */
    bool more;           /* find: `position` says where to go on */
    struct query_plan_note note;
};

/* QUERY_FIND: append up to q->limit rows (0: limits->rows), in the order asked for. With `resume`
 * (a position an earlier find of the same filter and order gave, on the same generation) behind
 * that. `position` (initialised, cleared first) takes where to go on when there is more.
 * QUERY_COUNT: no rows, the exact total; order, limit and projection must be empty.
 * YZ_EINVAL: fault says why: "unknown-field", "bad-value", "bad-operator", "no-filter", "no-index",
 * "no-order", "index-building", "bad-cursor", "bad-query". YZ_ETOOBIG: "limit" (one row beyond
 * limits->bytes), or "entries" (more than limits->entries would have to be looked at).
 * YZ_EDENIED: the view's row filter does not fit the definition. YZ_ETIMEOUT, YZ_ECORRUPT, YZ_EIO,
 * YZ_ENOMEM. On failure `rows` is as it was. */
struct find_question {
    const struct dataset
        *dataset; /* that the query was judged by; another is in force: YZ_EAGAIN */
    const struct query *query;
    const unsigned *projection;
    size_t projection_n;
    const struct query_limits *limits;
    yz_bytes resume;
    const struct query_view *view; /* NULL: everything */
};
YZ_MUST_USE int yzi_store_find(struct store *s, const struct find_question *question, yz_buf *rows,
                               yz_buf *position, struct find_result *out,
                               struct query_fault *fault);

/* Whether conditions fit the definition: YZ_EINVAL with fault otherwise. YZ_ENOMEM, YZ_ELIMIT. */
YZ_MUST_USE int yzi_filter_check(const struct dataset *d, const struct query_condition *conditions,
                                 size_t n, struct query_fault *fault);

#endif
