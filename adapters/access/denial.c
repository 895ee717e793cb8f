/* SPDX-License-Identifier: Apache-2.0
 *
 * The sentences, by reason and clause.
 */
#include "adapters/access/denial.h"

#include <stdio.h>
#include <string.h>

static bool is_same_or_any(const char *wanted, const char *is)
{
    return !wanted[0] || strcmp(wanted, is) == 0;
}

/* Of a field or predicate; "" fits any clause that stands on no other line. */
static const char *said_of_field(const char *reason, const char *clause)
{
    static const struct {
        const char *reason, *clause, *said;
    } table[] = {
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
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].reason, reason) == 0 && is_same_or_any(table[i].clause, clause)) {
            return table[i].said;
        }
    }
    return NULL;
}

/* Of the grant as a whole; likewise. */
static const char *said_of_grant(const char *reason, const char *clause)
{
    static const struct {
        const char *reason, *clause, *said;
    } table[] = {
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
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].reason, reason) == 0 && is_same_or_any(table[i].clause, clause)) {
            return table[i].said;
        }
    }
    return "";
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
    const char *of_field = d->field.n ? said_of_field(d->reason, clause) : NULL;
    if (of_field) {
        snprintf(out, cap, "the %s %.*s %s",
                 strcmp(clause, "predicate") == 0 ? "predicate" : "field", (int)d->field.n,
                 (const char *)d->field.p, of_field);
    } else if (strcmp(d->reason, "purpose") == 0) {
        say_purpose(q, out, cap);
    } else {
        snprintf(out, cap, "%s", said_of_grant(d->reason, clause));
    }
}
