/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files that make answers share. Only adapters/answer*.c include this.
 */
#ifndef YZ_ADAPTERS_ANSWER_IMPL_H
#define YZ_ADAPTERS_ANSWER_IMPL_H

#include "adapters/access/view.h"
#include "adapters/answer.h"

/* What the answer will say, before it is sealed. */
struct reply {
    struct answer_head head;
    bool late;          /* nobody waits for it any more, so it is said to nobody */
    bool paid;          /* quota and budgets were debited when it was judged before */
    bool again;         /* the definition was changed in between: to be judged by the new one */
    bool indeterminate; /* what was begun may or may not have taken effect */
    uint64_t data_version;
    struct answer_field fields[DATASET_FIELDS_MAX];
    enum match_result matches[MATCH_PREDICATES_MAX];
    char detail[512];
};

/* Make it a refusal; the reason must be static. */
void yzi_reply_refuse(struct reply *r, enum answer_code code, const char *reason);
/* Make it say what a failed query means; `late`: the deadline it met was the request's own. */
void yzi_reply_failure(struct reply *r, int rc, const char *reason, bool late);
/* The columns of the rows. */
void yzi_reply_fields(struct reply *r, const struct dataset *ds, const struct access_decision *d);

/* What is said to an opened request: decided by the job's policy, and asked of its store. Rows go
 * to a->rows. */
void yzi_answer_decide(struct answering *a, struct job *j, const struct request_head *head,
                       yz_bytes body, struct reply *r);

/* -- answer_find.c -- */

/* Run an allowed find or count; rows go to a->rows, which the caller empties after a refusal. */
void yzi_answer_find(struct answering *a, struct job *j, const struct query *q,
                     const struct access_view *view, const struct query_limits *limits,
                     struct reply *r);

/* -- answer_match.c -- */

/* Run an allowed match: its budget is debited before the record is looked at. */
void yzi_answer_match(struct answering *a, struct job *j, const struct query *q,
                      const struct access_view *view, const struct query_limits *limits,
                      struct reply *r);

#endif
