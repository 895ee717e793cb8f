/* SPDX-License-Identifier: Apache-2.0
 *
 * Yes/no questions about one record, which reveal no value of it. A question is checked first and
 * asked afterwards, so that whoever counts questions can do so in between, for exactly the subject
 * that will be looked at and before it is. Which questions may be asked is not decided here
 * (adapters/access/predicate.h).
 */
#ifndef YZ_DATASET_MATCH_H
#define YZ_DATASET_MATCH_H

#include "adapters/dataset/find.h"

#define MATCH_PREDICATES_MAX 16u

struct match_predicate {
    unsigned field;                   /* of the definition */
    enum query_op op;                 /* any but OP_PREFIX */
    const struct query_value *values; /* not null; one, of OP_IN at least one */
    size_t values_n;
};
struct match_question {
    const struct dataset *dataset; /* that it was judged by; another is in force: YZ_EAGAIN */
    const struct query_key *key;
    const struct match_predicate *predicates;
    size_t predicates_n; /* 1..MATCH_PREDICATES_MAX */
};

/* A checked question. One thread at a time. */
struct match;
/* Everything given is borrowed until close. YZ_EINVAL with *fault: "bad-key", "bad-value",
 * "bad-query" (another number of predicates or values, or an operator that is not served).
 * YZ_ENOMEM.
 */
YZ_MUST_USE int yzi_match_open(struct store *s, const struct match_question *question,
                               struct match **out, struct query_fault *fault);
void yzi_match_close(struct match *m); /* NULL is allowed; wipes */
/* The subject: the key's values in canonical form, each as a u32 of its length and its bytes. Valid
 * until close. */
yz_bytes yzi_match_subject(const struct match *m);
/* Answer, in one read transaction: a result for each predicate. Unknown: there is no such record,
 * the view (NULL: everything) hides it, or the field has no value. *sequence: the data set's. As
 * yzi_store_get: limits->subjects, YZ_EAGAIN, YZ_EDENIED, YZ_ETIMEOUT, YZ_ECORRUPT, YZ_EIO,
 * YZ_ENOMEM. */
YZ_MUST_USE int yzi_match_ask(struct match *m, const struct query_view *view,
                              const struct query_limits *limits,
                              enum match_result out[MATCH_PREDICATES_MAX], uint64_t *sequence);

/* Whether the order of a type is one that questions of more and less can be about. */
bool yzi_match_orders(enum field_type type);

/* One value of a field compared with another as the type orders them, for decisions about
 * questions: negative, 0, positive in *out. YZ_EDATA: one is not of the field's type; YZ_ENOMEM. */
YZ_MUST_USE int yzi_match_compare(const struct dataset_field *f, yz_bytes a, yz_bytes b, int *out);
/* Steps are what a question's own value may be a multiple of: of numbers a decimal number above 0
 * of at most 18 digits, as the canonical text of one is written; of dates "year" or "month", whose
 * first days are meant. */
bool yzi_match_is_step(enum field_type type, yz_bytes text);
/* Whether a value of the field is a whole multiple of the step, exactly. YZ_EDATA: it is not of the
 * field's type, or the step is none for it; YZ_ENOMEM. */
YZ_MUST_USE int yzi_match_is_multiple(const struct dataset_field *f, yz_bytes value, yz_bytes step,
                                      bool *out);

#endif
