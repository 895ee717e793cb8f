/* SPDX-License-Identifier: Apache-2.0
 *
 * The decision, grant by grant. Each coarse grant for this consumer and service is taken as far as
 * it goes through the stages below; the first that passes them all decides. A fine grant is only
 * looked up under the terms that belong to the offer (same subsystem and version).
 */
#include "adapters/access/grant.h"

#include "adapters/access/rules.h"

/* How far a grant came; the order is the order of the checks. */
enum stage {
    STAGE_NONE,
    STAGE_TIME,
    STAGE_TERMS,
    STAGE_OPERATION,
    STAGE_FIELD,
    STAGE_PURPOSE,
    STAGE_ENFORCE,
    STAGE_ALLOWED
};

struct attempt {
    enum stage stage; /* the check that failed, or STAGE_ALLOWED */
    const char *reason, *clause;
    yz_bytes field;
    bool bad_query;
};

static enum stage stop(struct attempt *a, enum stage stage, const char *reason, const char *clause)
{
    a->reason = reason;
    a->clause = clause;
    return a->stage = stage;
}

static enum stage stop_at_field(struct attempt *a, yz_bytes field, const char *clause)
{
    a->field = field;
    return stop(a, STAGE_FIELD, "field", clause);
}

/* A name the definition does not have: the query is wrong whatever is granted. */
static enum stage stop_at_unknown(struct attempt *a, yz_bytes field, const char *clause)
{
    a->field = field;
    a->bad_query = true;
    return stop(a, STAGE_FIELD, "unknown-field", clause);
}

static bool is_listed(const struct name_list *names, yz_bytes name)
{
    for (size_t i = 0; i < names->n; i++) {
        if (yzi_bytes_eq(names->items[i], name)) {
            return true;
        }
    }
    return false;
}

/* -- fields -- */

/* One more column; what is brought is never masked. */
static void project(struct access_decision *out, unsigned field, enum field_mask mask)
{
    out->projection[out->projection_n] = field;
    out->masks[out->projection_n++] = mask;
}

/* What the question reads: the fields it names, or every readable one. What it brings: the fields
 * it names, each of which must be writable. */
static enum stage check_named(const struct fine_grant *g, const struct dataset *d,
                              const struct query *q, struct attempt *a, struct access_decision *out)
{
    bool brings = yzi_operation_brings_rows(q->operation);
    const char *clause = brings ? "writable" : "readable";
    for (size_t i = 0; i < q->fields_n; i++) {
        int field = yzi_dataset_field(d, q->fields[i]);
        if (field < 0) {
            return stop_at_unknown(a, q->fields[i], clause);
        }
        int mask = brings ? (is_listed(&g->writable, q->fields[i]) ? MASK_NONE : -1)
                          : yzi_access_readable(g, q->fields[i]);
        if (mask < 0 || i == DATASET_FIELDS_MAX) {
            return stop_at_field(a, q->fields[i], clause);
        }
        project(out, (unsigned)field, (enum field_mask)mask);
    }
    return STAGE_ALLOWED;
}

static enum stage check_projection(const struct fine_grant *g, const struct dataset *d,
                                   const struct query *q, struct attempt *a,
                                   struct access_decision *out)
{
    out->projection_n = 0;
    enum stage stage = check_named(g, d, q, a, out);
    bool reads = q->operation == QUERY_GET || q->operation == QUERY_FIND;
    for (unsigned i = 0; reads && q->fields_n == 0 && i < d->fields_n; i++) {
        int mask = yzi_access_readable(g, yzi_bytes_str(d->fields[i].name));
        if (mask >= 0) {
            project(out, i, (enum field_mask)mask);
        }
    }
    if (stage == STAGE_ALLOWED && reads && out->projection_n == 0) {
        return stop(a, STAGE_FIELD, "field", "readable"); /* how many rows there are is an answer */
    }
    return stage;
}

/* A field used to select or order must be listed for that. */
static enum stage check_use(const struct dataset *d, const struct name_list *allowed,
                            yz_bytes field, const char *clause, struct attempt *a)
{
    if (yzi_dataset_field(d, field) < 0) {
        return stop_at_unknown(a, field, clause);
    }
    return is_listed(allowed, field) ? STAGE_ALLOWED : stop_at_field(a, field, clause);
}

/* What is not readable may be guessed value by value where it is filterable, but not halved: that
 * would find any value in a few questions. */
static enum stage check_filter(const struct fine_grant *g, const struct dataset *d,
                               const struct query_condition *c, struct attempt *a)
{
    enum stage stage = check_use(d, &g->filterable, c->field, "filterable", a);
    if (stage == STAGE_ALLOWED && c->op != OP_EQ && c->op != OP_IN &&
        yzi_access_readable(g, c->field) < 0) {
        a->field = c->field;
        return stop(a, STAGE_FIELD, "operator", "readable");
    }
    return stage;
}

/* What each predicate asks. */
static enum stage check_predicates(const struct fine_grant *g, const struct dataset *d,
                                   const struct query *q, struct attempt *a,
                                   struct access_decision *out)
{
    out->predicates_n = 0;
    for (size_t i = 0; i < q->predicates_n; i++) {
        const char *reason = "unenforceable"; /* no memory to find out */
        int rc = YZ_EINVAL;
        if (i == MATCH_PREDICATES_MAX) {
            reason = "bad-query";
        } else {
            rc = yzi_predicate_choose(g, d, &q->predicates[i], &out->predicates[i], &reason);
        }
        if (rc < 0) {
            a->field = q->predicates[i].name;
            a->bad_query = rc == YZ_EINVAL;
            return stop(a, STAGE_FIELD, reason, "predicate");
        }
        out->predicates_n++;
    }
    return STAGE_ALLOWED;
}

static enum stage check_fields(const struct fine_grant *g, const struct dataset *d,
                               const struct query *q, struct attempt *a,
                               struct access_decision *out)
{
    enum stage stage = check_projection(g, d, q, a, out);
    for (size_t i = 0; stage == STAGE_ALLOWED && i < q->filter_n; i++) {
        stage = check_filter(g, d, &q->filter[i], a);
    }
    for (size_t i = 0; stage == STAGE_ALLOWED && i < q->order_n; i++) {
        stage = check_use(d, &g->sortable, q->order[i].field, "sortable", a);
    }
    return stage == STAGE_ALLOWED ? check_predicates(g, d, q, a, out) : stage;
}

/* -- the stages -- */

static bool is_operation(const struct fine_grant *g, enum query_operation operation)
{
    return operation >= QUERY_GET && operation <= QUERY_OPERATION_LAST &&
           g->operations & 1u << operation;
}

/* What a grant says and this version has no code for gives nothing, and neither does a grant that
 * breaks the rules. A strict one wants proof that the request's evidence is durable, whatever a
 * broker says. Which records a row filter shows does not say which may be changed. */
static enum stage check_enforceable(const struct coarse_grant *coarse, const struct fine_grant *g,
                                    const struct terms *terms, const struct dataset *d,
                                    const struct access_question *q, struct attempt *a)
{
    struct rule_fault fault = {0};
    if (coarse->strict && !q->evidenced) {
        return stop(a, STAGE_ENFORCE, "unenforceable", "strict");
    }
    if (yzi_operation_writes(q->query->operation) && g->row_filter_n > 0) {
        return stop(a, STAGE_ENFORCE, "unenforceable", "row-filter");
    }
    if (!yzi_access_rules(g, d, terms->has_pseudonym_key, true, &fault)) {
        a->field = fault.field;
        return stop(a, STAGE_ENFORCE, "unenforceable", fault.clause);
    }
    return stop(a, STAGE_ALLOWED, NULL, NULL);
}

static const struct fine_grant *fine_of(const struct offer *offer, const struct terms *terms,
                                        yz_bytes id)
{
    if (!terms || terms->version != offer->version ||
        !yzi_bytes_eq(terms->subsystem.v, offer->subsystem.v)) {
        return NULL;
    }
    for (size_t i = 0; i < terms->grants_n; i++) {
        if (yzi_bytes_eq(terms->grants[i].id, id)) {
            return &terms->grants[i];
        }
    }
    return NULL;
}

static bool is_for(const struct offer *offer, const struct coarse_grant *g,
                   const struct access_question *q)
{
    return yzi_offer_grant_is_for(offer, g, q->consumer) &&
           yzi_bytes_eq(yzi_service_subsystem(q->service).v, offer->subsystem.v) &&
           yzi_bytes_eq(g->service, yzi_service_local(q->service));
}

static enum stage try_grant(const struct coarse_grant *g, const struct fine_grant *fine,
                            const struct terms *terms, const struct dataset *d,
                            const struct access_question *q, struct attempt *a,
                            struct access_decision *out)
{
    if (q->now < g->not_before) {
        return stop(a, STAGE_TIME, "not-valid-yet", "not-before");
    }
    if (g->not_after && q->now >= g->not_after) {
        return stop(a, STAGE_TIME, "expired", "not-after");
    }
    if (!fine) {
        return stop(a, STAGE_TERMS, "no-grant", "terms");
    }
    if (!is_operation(fine, q->query->operation)) {
        return stop(a, STAGE_OPERATION, "operation", "operation");
    }
    if (check_fields(fine, d, q->query, a, out) != STAGE_ALLOWED) {
        return a->stage;
    }
    if (!q->purpose_known || (fine->purposes.n && !is_listed(&fine->purposes, q->purpose))) {
        return stop(a, STAGE_PURPOSE, "purpose", "purpose");
    }
    return check_enforceable(g, fine, terms, d, q, a);
}

/* Without any grant for consumer and service: which of the two was it? */
static const char *missing_clause(const struct offer *offer, const struct access_question *q)
{
    for (size_t i = 0; i < offer->grants_n; i++) {
        if (yzi_offer_grant_is_for(offer, &offer->grants[i], q->consumer)) {
            return "service";
        }
    }
    return "consumer";
}

void yzi_access_decide(const struct offer *offer, const struct terms *terms,
                       const struct dataset *dataset, const struct access_question *question,
                       struct access_decision *out)
{
    struct attempt best = {.stage = STAGE_NONE, .reason = "no-grant"};
    const struct coarse_grant *nearest = NULL;
    for (size_t i = 0; i < offer->grants_n && best.stage != STAGE_ALLOWED; i++) {
        const struct coarse_grant *g = &offer->grants[i];
        struct attempt a = {0};
        if (is_for(offer, g, question)) {
            yz_ignore(
                (int)try_grant(g, fine_of(offer, terms, g->id), terms, dataset, question, &a, out),
                "what it found is in the attempt");
        }
        if (a.stage != STAGE_NONE && a.stage >= best.stage) {
            best = a;
            nearest = g;
        }
    }
    out->allowed = best.stage == STAGE_ALLOWED;
    out->reason = best.reason;
    out->clause = nearest ? best.clause : missing_clause(offer, question);
    out->bad_query = best.bad_query;
    out->field = best.field;
    out->coarse = nearest;
    out->fine = nearest ? fine_of(offer, terms, nearest->id) : NULL;
    out->grant = nearest ? nearest->id : (yz_bytes){0};
    if (!out->allowed) {
        out->projection_n = 0;
        out->predicates_n = 0;
    }
}
