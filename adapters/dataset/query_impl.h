/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the query share: conditions in canonical form, plans. Only adapters/dataset/
 * includes this.
 */
#ifndef YZ_DATASET_QUERY_IMPL_H
#define YZ_DATASET_QUERY_IMPL_H

#include "adapters/dataset/find.h"
#include "adapters/dataset/store_impl.h"
#include "base/arena.h"

/* A refusal: *fault is written, YZ_EINVAL returned. */
YZ_MUST_USE int yzi_query_refuse(struct query_fault *fault, const char *reason, const char *format,
                                 ...) YZ_PRINTF(3, 4);

/* -- condition.c -- */

struct condition {
    unsigned field;
    enum query_op op;
    struct query_value *values; /* canonical, each once */
    size_t values_n;
    yz_bytes *coded; /* of each that is not null, as record keys encode it; not for sealed fields */
};
struct conditions {
    const struct dataset *dataset;
    struct condition *of;
    size_t n;
};
/* The filter, checked against the definition; everything in the arena. YZ_EINVAL with *fault. */
YZ_MUST_USE int yzi_conditions_read(const struct dataset *d, const struct query *q,
                                    struct arena *arena, struct conditions *out,
                                    struct query_fault *fault);
/* Whether a record meets the conditions whose bit is set. `split` is its stored values; `plain` and
 * `coded` are scratch, wiped by the caller. */
YZ_MUST_USE int yzi_conditions_hold(const struct conditions *c, uint32_t which,
                                    const struct row_layout *l, yz_bytes key,
                                    const struct query_value split[DATASET_FIELDS_MAX],
                                    yz_buf *plain, yz_buf *coded, bool *out);

/* -- plan.c -- */

#define PLAN_KEY (-1)         /* the records by their key serve as index */
#define PLAN_RANGES_MAX 1000u /* of one plan: the product of its lists */

/* Entry keys from lo (included) to hi (excluded; has_hi false: to the end), neither longer than
 * INDEX_CUT, so that they compare with cut entries as with whole ones. */
struct plan_range {
    yz_bytes lo, hi;
    bool has_hi;
    bool loose; /* the values asked for are longer: what is found has to be looked at */
};
struct plan {
    int index;
    uint32_t served;           /* conditions that the ranges stand for */
    struct plan_range *ranges; /* ascending, apart from each other */
    size_t ranges_n;
    bool backward;
};
/* Choose an index for conditions and order. `force`: the one a cursor says, or INT_MIN. YZ_EINVAL
 * with *fault and the advice. */
YZ_MUST_USE int yzi_plan_choose(const struct generation *g, const struct conditions *c,
                                const struct query *q, int force, struct arena *arena,
                                struct plan *out, struct query_fault *fault);

/* -- get.c -- */

/* Append a record's projected fields. YZ_ETOOBIG beyond the buffer's limit; wiped by the caller. */
YZ_MUST_USE int yzi_row_project(const struct row_layout *l, yz_bytes key,
                                const struct query_value split[DATASET_FIELDS_MAX],
                                const unsigned *projection, size_t projection_n, yz_buf *plain,
                                yz_buf *rows);

#endif
