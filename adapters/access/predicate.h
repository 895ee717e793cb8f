/* SPDX-License-Identifier: Apache-2.0
 *
 * Yes/no questions a grant permits: which may be in a grant at all, which of them a question may
 * ask and with which value, and what is counted so that not so many are asked that the value is
 * known. Pure; any thread.
 *
 *   eq                 the question brings the value; needs a budget
 *   eq ge gt le lt     with one constant: the question brings nothing, or it;
 *                      with several: it brings one of them
 *   ge gt le lt        with a step: the question brings a whole multiple of it; needs a budget
 *   in                 with constants: the question brings nothing
 */
#ifndef YZ_ACCESS_PREDICATE_H
#define YZ_ACCESS_PREDICATE_H

#include "adapters/access/rules.h"
#include "adapters/dataset/match.h"

/* Of what yzi_access_rules says, what is about predicates. */
bool yzi_predicate_rules(const struct fine_grant *g, const struct dataset *d, bool values,
                         struct rule_fault *fault);
/* Whether questions bring values of their own, so that they have to be counted. */
bool yzi_predicate_is_open(const struct grant_predicate *p);

/* What a question that is permitted asks. Borrows from grant and question. */
struct predicate_choice {
    const struct grant_predicate *granted;
    unsigned field;
    yz_bytes with; /* the value it is asked with; of an `in` none: all constants */
};
/* YZ_EDENIED with *reason: "predicate" (not granted) or "predicate-value" (not with that value);
 * YZ_EINVAL: "bad-value" (not of the field's type, missing, too many). YZ_ENOMEM. The grant keeps
 * the rules. */
YZ_MUST_USE int yzi_predicate_choose(const struct fine_grant *g, const struct dataset *d,
                                     const struct query_predicate *asked,
                                     struct predicate_choice *out, const char **reason);

/* What questions about a data element of a subject are counted under, whatever predicate and grant
 * they are asked by; `key`: 32 secret bytes of the adapter, so that what is kept does not tell who
 * was asked about. Fields that share no data element are counted each for itself; so are budgets
 * for different numbers of days. */
void yzi_predicate_budget_key(const uint8_t key[32], yz_subsystem_id consumer,
                              const struct dataset *d, const struct predicate_choice *c,
                              yz_bytes subject, uint8_t out[32]);
/* Until when (Unix ms) the budget counts that is counted at `now`; 0: for ever. */
uint64_t yzi_predicate_budget_until(const struct grant_predicate *p, uint64_t now);

#endif
