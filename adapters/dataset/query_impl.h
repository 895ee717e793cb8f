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
#include "proto/subject.h"

/* A refusal: *fault is written, YZ_EINVAL returned. */
YZ_MUST_USE int yzi_query_refuse(struct query_fault *fault, const char *reason, const char *format,
                                 ...) YZ_PRINTF(3, 4);

/* -- condition.c -- */

struct condition {
    unsigned field;
    enum query_op op;
    struct query_value *values; /* canonical, each once */
    size_t values_n;            /* 0: it holds for no record (narrow.c) */
    bool must;                  /* of a row filter: the index has to serve it */
    yz_bytes *coded; /* of each that is not null, as record keys encode it; not for sealed fields */
};
#define CONDITIONS_MAX (2u * YZ_QUERY_CONDITIONS_MAX) /* of a row filter and a query together */
struct conditions {
    const struct dataset *dataset;
    struct condition *of;
    size_t n; /* at most CONDITIONS_MAX */
};
/* Conditions, checked against the definition; everything in the arena. YZ_EINVAL with *fault. */
YZ_MUST_USE int yzi_conditions_read(const struct dataset *d, const struct query_condition *from,
                                    size_t n, struct arena *arena, struct conditions *out,
                                    struct query_fault *fault);
/* Whether a value that is not null meets a range or prefix condition: both as keys encode them. */
bool yzi_condition_compare(enum query_op op, yz_bytes value, yz_bytes with);
#define CONDITIONS_ALL UINT64_MAX
/* Whether a record meets the conditions whose bit is set. `split` is its stored values; `plain` and
 * `coded` are scratch, wiped by the caller. */
YZ_MUST_USE int yzi_conditions_hold(const struct conditions *c, uint64_t which,
                                    const struct row_layout *l, yz_bytes key,
                                    const struct query_value split[DATASET_FIELDS_MAX],
                                    yz_buf *plain, yz_buf *coded, bool *out);

/* -- narrow.c -- */

/* The row filter of a view (NULL: none), each a `must`. YZ_EDENIED when it does not fit the
 * definition: a filter that cannot be read hides everything. */
YZ_MUST_USE int yzi_row_filter_read(const struct dataset *d, const struct query_view *view,
                                    struct arena *arena, struct conditions *out);
/* Row filter and filter together, as few conditions as say the same: what both say of a field
 * becomes one, so that an index can serve it. */
YZ_MUST_USE int yzi_conditions_narrow(const struct conditions *row_filter,
                                      const struct conditions *filter, struct arena *arena,
                                      struct conditions *out);

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
    uint64_t served;           /* conditions that the ranges stand for */
    struct plan_range *ranges; /* ascending, apart from each other */
    size_t ranges_n;
    bool backward;
    bool regroups; /* the walk would follow hidden values: see regroup.c */
};
/* Choose an index for conditions and order. `hidden` by field, may be NULL. `force`: the one a
 * cursor says, or INT_MIN. YZ_EINVAL with *fault and the advice. */
YZ_MUST_USE int yzi_plan_choose(const struct generation *g, const struct conditions *c,
                                const struct query *q, const bool *hidden, int force,
                                struct arena *arena, struct plan *out, struct query_fault *fault);

/* -- regroup.c -- */

/* Rows whose order must tell nothing that is hidden: they are gathered with what the query orders
 * by, and in the end sorted by that and by what they show. */
struct regroup {
    struct row_mark *marks;
    size_t n, cap;
    uint32_t group;   /* rows with the same values in the order asked for are of one */
    yz_buf key, last; /* wiped */
};
void yzi_regroup_init(struct regroup *r);
void yzi_regroup_fini(struct regroup *r);
/* The row that was just appended to `rows` at `at`. */
YZ_MUST_USE int yzi_regroup_add(struct regroup *r, const struct dataset *d, const struct query *q,
                                const struct query_value split[DATASET_FIELDS_MAX],
                                const yz_buf *rows, size_t at);
/* Bring the rows from `start` on into their order. */
YZ_MUST_USE int yzi_regroup_sort(struct regroup *r, yz_buf *rows, size_t start);

/* -- get.c -- */

/* Append a record's projected fields as the view (NULL: as they are) shows them. YZ_ETOOBIG beyond
 * the buffer's limit; `plain` is wiped by the caller. */
YZ_MUST_USE int yzi_row_project(const struct row_layout *l, yz_bytes key,
                                const struct query_value split[DATASET_FIELDS_MAX],
                                const unsigned *projection, size_t projection_n,
                                const struct query_view *view, yz_buf *plain, yz_buf *rows);

/* -- subjects.c -- */

/* Append the record's key to a list of subjects. YZ_ETOOBIG when the list is full; `plain` is
 * scratch, wiped by the caller. */
YZ_MUST_USE int yzi_row_subject(const struct row_layout *l, yz_bytes key,
                                const struct query_value split[DATASET_FIELDS_MAX],
                                enum subject_how how, yz_buf *plain, yz_buf *out);

#endif
