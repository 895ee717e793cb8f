/* SPDX-License-Identifier: Apache-2.0
 *
 * What a grant must not say, because it would give away what another of its clauses withholds, or
 * does not fit the data set. The owner's command line refuses to make such a grant and the adapter
 * to serve one, by the same function. Pure; any thread.
 */
#ifndef YZ_ACCESS_RULES_H
#define YZ_ACCESS_RULES_H

#include "adapters/dataset/definition.h"
#include "proto/record.h"

struct rule_fault {
    const char *clause; /* of the grant, static: "mask", "sortable", "row-filter", "predicate" */
    yz_bytes field;
    char text[300]; /* a sentence, without a full stop */
};
/* True: the grant keeps the rules. Fields that the data set does not have grant nothing and break
 * no rule, but for a row filter, which would hide nothing. Of the data set names, types, key and,
 * for the values of a row filter (only when `values`), the whole definition are looked at.
 *
 * - A mask fits the type of its field, and a hash needs `pseudonyms` (a key in the terms).
 * - A masked field is not filterable, not sortable, not writable, and no predicate is about it.
 * - A sortable field is readable as it is.
 * - Under `get` no key field is masked: whoever may ask by key has no need to guess it.
 * - A predicate is one that predicate.h knows, its constants (only when `values`) are of its
 *   field's type, and where questions bring a value there is a budget. A field with a budget is not
 *   filterable, unless it is readable anyway.
 * - A row filter is of conditions that the definition's types allow; of one field it has not both
 *   a prefix and a range, which no index serves. */
bool yzi_access_rules(const struct fine_grant *g, const struct dataset *d, bool pseudonyms,
                      bool values, struct rule_fault *fault);

/* The mask a field is readable with, or -1 when it is not readable at all. */
int yzi_access_readable(const struct fine_grant *g, yz_bytes field);

#endif
