/* SPDX-License-Identifier: Apache-2.0
 *
 * The decision, grant by grant. Each coarse grant for this consumer and service is taken as far as
 * it goes through the stages below; the first that passes them all decides. A fine grant is only
 * looked up under the terms that belong to the offer (same subsystem and version).
 */
#include "adapters/access/grant.h"

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

static const struct grant_field *readable_field(const struct fine_grant *g, yz_bytes name)
{
    for (size_t i = 0; i < g->readable_n; i++) {
        if (yzi_bytes_eq(g->readable[i].name, name)) {
            return &g->readable[i];
        }
    }
    return NULL;
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
        const struct grant_field *read = brings ? NULL : readable_field(g, q->fields[i]);
        if (!(brings ? is_listed(&g->writable, q->fields[i]) : read != NULL) ||
            i == DATASET_FIELDS_MAX) {
            return stop_at_field(a, q->fields[i], clause);
        }
        project(out, (unsigned)field, read ? read->mask : MASK_NONE);
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
        const struct grant_field *read = readable_field(g, yzi_bytes_str(d->fields[i].name));
        if (read) {
            project(out, i, read->mask);
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

static bool has_predicate(const struct fine_grant *g, yz_bytes name)
{
    for (size_t i = 0; i < g->predicates_n; i++) {
        if (yzi_bytes_eq(g->predicates[i].name, name)) {
            return true;
        }
    }
    return false;
}

static enum stage check_fields(const struct fine_grant *g, const struct dataset *d,
                               const struct query *q, struct attempt *a,
                               struct access_decision *out)
{
    enum stage stage = check_projection(g, d, q, a, out);
    for (size_t i = 0; stage == STAGE_ALLOWED && i < q->filter_n; i++) {
        stage = check_use(d, &g->filterable, q->filter[i].field, "filterable", a);
    }
    for (size_t i = 0; stage == STAGE_ALLOWED && i < q->order_n; i++) {
        stage = check_use(d, &g->sortable, q->order[i].field, "sortable", a);
    }
    for (size_t i = 0; stage == STAGE_ALLOWED && i < q->predicates_n; i++) {
        if (!has_predicate(g, q->predicates[i].name)) {
            stage = stop_at_field(a, q->predicates[i].name, "predicate");
        }
    }
    return stage;
}

/* -- the stages -- */

static bool is_operation(const struct fine_grant *g, enum query_operation operation)
{
    return operation >= QUERY_GET && operation <= QUERY_OPERATION_LAST &&
           g->operations & 1u << operation;
}

/* A strict grant wants proof that the request's evidence is durable, whatever a broker says. Masks,
 * row filters, predicates and quotas narrow a grant; this version has no code for them, so one that
 * has any gives nothing. The clause that cannot be enforced, or NULL. */
static const char *find_unenforceable(const struct coarse_grant *coarse, const struct fine_grant *g,
                                      const struct access_question *q)
{
    if (coarse->strict && !q->evidenced) {
        return "strict";
    }
    for (size_t i = 0; i < g->readable_n; i++) {
        if (g->readable[i].mask != MASK_NONE) {
            return "mask";
        }
    }
    return g->row_filter_n    ? "row-filter"
           : g->predicates_n  ? "predicate"
           : g->quota_per_day ? "quota"
                              : NULL;
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
                            const struct dataset *d, const struct access_question *q,
                            struct attempt *a, struct access_decision *out)
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
    if (fine->purposes.n && !is_listed(&fine->purposes, q->purpose)) {
        return stop(a, STAGE_PURPOSE, "purpose", "purpose");
    }
    /* which records a row filter lets it see does not say which it may change */
    bool unfit = yzi_operation_writes(q->query->operation) && fine->row_filter_n > 0;
    const char *clause = unfit ? "row-filter" : find_unenforceable(g, fine, q);
    if (clause) {
        return stop(a, STAGE_ENFORCE, "unenforceable", clause);
    }
    return stop(a, STAGE_ALLOWED, NULL, NULL);
}

/* Without any grant for consumer and service: which of the two was it? */
static const char *missing_clause(const struct offer *offer, const struct access_question *q)
{
    for (size_t i = 0; i < offer->grants_n; i++) {
        if (yzi_bytes_eq(offer->grants[i].consumer.v, q->consumer.v)) {
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
            yz_ignore((int)try_grant(g, fine_of(offer, terms, g->id), dataset, question, &a, out),
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
    }
}
