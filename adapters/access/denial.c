/* SPDX-License-Identifier: Apache-2.0
 *
 * The sentences, by reason and clause.
 */
#include "adapters/access/denial.h"

#include <stdio.h>
#include <string.h>

/* A clause of "" fits any that stands on no other line of the reason. */
struct saying {
    const char *reason, *clause, *said;
};
/* Of a field or predicate. */
static const struct saying of_field[] = {
    {"unknown-field", "", "does not exist"},
    {"operator", "", "may be compared for equality only"},
    {"field", "filterable", "is not granted to select by"},
    {"field", "sortable", "is not granted to order by"},
    {"field", "writable", "is not granted to be written"},
    {"field", "", "is not granted"},
    {"predicate", "", "is not granted"},
    {"predicate-value", "", "may not be asked with this value"},
    {"bad-value", "", "is asked with no value, too many, or none of its field's type"},
    {"bad-query", "predicate", "is one more than may be asked at once"},
};
/* Of the grant as a whole. */
static const struct saying of_grant[] = {
    {"no-grant", "consumer", "this subsystem has no grant at this provider"},
    {"no-grant", "service", "this subsystem has no grant for this service"},
    {"no-grant", "terms",
     "this adapter has no terms for the grant; the provider must publish its offer again"},
    {"not-valid-yet", "", "the grant is not in force yet"},
    {"expired", "", "the grant has ended"},
    {"operation", "", "the grant does not allow this operation"},
    {"field", "", "the grant lets no field be read"},
    {"unenforceable", "strict",
     "the grant asks for proof that the request is in a broker's log, and there is none"},
    {"unenforceable", "", "the provider must mend this grant: it cannot be enforced as it is"},
};

/* NULL when there is none. */
static const char *find(const struct saying *table, size_t n, const char *reason,
                        const char *clause)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(table[i].reason, reason) == 0 &&
            (!table[i].clause[0] || strcmp(table[i].clause, clause) == 0)) {
            return table[i].said;
        }
    }
    return NULL;
}

static const char *said_of_field(const char *reason, const char *clause)
{
    return find(of_field, sizeof of_field / sizeof *of_field, reason, clause);
}

static const char *said_of_grant(const char *reason, const char *clause)
{
    const char *said = find(of_grant, sizeof of_grant / sizeof *of_grant, reason, clause);
    return said ? said : "";
}

static void say_purpose(const struct access_question *q, char *out, size_t cap)
{
    int n = (int)q->purpose.n;
    const char *p = (const char *)q->purpose.p;
    if (q->purpose.n == 0) {
        snprintf(out, cap, "the grant asks for a purpose, and none is given");
    } else if (!q->purpose_known) {
        snprintf(out, cap, "the purpose %.*s is not in the directory's list", n, p);
    } else {
        snprintf(out, cap, "the grant is not for the purpose %.*s", n, p);
    }
}

void yzi_access_say(const struct access_decision *d, const struct access_question *q, char *out,
                    size_t cap)
{
    const char *clause = d->clause ? d->clause : "";
    const char *field = d->field.n ? said_of_field(d->reason, clause) : NULL;
    if (field) {
        snprintf(out, cap, "the %s %.*s %s",
                 strcmp(clause, "predicate") == 0 ? "predicate" : "field", (int)d->field.n,
                 (const char *)d->field.p, field);
    } else if (strcmp(d->reason, "purpose") == 0) {
        say_purpose(q, out, cap);
    } else {
        snprintf(out, cap, "%s", said_of_grant(d->reason, clause));
    }
}
