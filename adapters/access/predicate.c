/* SPDX-License-Identifier: Apache-2.0
 *
 * Predicates of grants: their rules, what a question may ask of them, and under which key it
 * counts.
 */
#include "adapters/access/predicate.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>

#define V(b) (int)(b).n, (const char *)(b).p
#define DAY_MS UINT64_C(86400000)
#define BUDGET_LABEL "yz budget 1"

static bool is_ordering(enum query_op op)
{
    return op == OP_GE || op == OP_GT || op == OP_LE || op == OP_LT;
}

bool yzi_predicate_is_open(const struct grant_predicate *p)
{
    return p->constants.n == 0;
}

/* -- rules -- */

static bool broken(struct rule_fault *fault, const struct grant_predicate *p, const char *format,
                   ...) YZ_PRINTF(3, 4);
static bool broken(struct rule_fault *fault, const struct grant_predicate *p, const char *format,
                   ...)
{
    va_list args;
    va_start(args, format);
    fault->clause = "predicate";
    fault->field = p->field;
    int n = snprintf(fault->text, sizeof fault->text, "the predicate %.*s ", V(p->name));
    if (n > 0 && (size_t)n < sizeof fault->text) {
        vsnprintf(fault->text + n, sizeof fault->text - (size_t)n, format, args);
    }
    va_end(args);
    return false;
}

/* What it says of itself, whatever the field is. */
static bool check_form(const struct grant_predicate *p, struct rule_fault *fault)
{
    if (p->op == OP_PREFIX) {
        return broken(fault, p, "asks for a beginning, which would be found letter by letter");
    }
    if (p->step.n && !is_ordering(p->op)) {
        return broken(fault, p, "has a step: only ge, gt, le and lt are asked in steps");
    }
    if (p->step.n && p->constants.n) {
        return broken(fault, p, "has both a step and constants");
    }
    if (p->op == OP_IN && p->constants.n == 0) {
        return broken(fault, p, "names no constants for its in");
    }
    if (is_ordering(p->op) && p->step.n == 0 && p->constants.n == 0) {
        return broken(fault, p,
                      "would compare with whatever a question brings, which finds any value by "
                      "halving: give it constants, or a step");
    }
    if (yzi_predicate_is_open(p) && p->budget == 0) {
        return broken(fault, p,
                      "lets questions bring a value and has no budget: asked often enough it would "
                      "give %.*s away",
                      V(p->field));
    }
    return true;
}

static bool check_type(const struct grant_predicate *p, const struct dataset_field *f,
                       struct rule_fault *fault)
{
    if (is_ordering(p->op) && !yzi_match_orders(f->type)) {
        return broken(fault, p, "asks for more or less of %s, which is of type %s", f->name,
                      yzi_field_type_name(f->type));
    }
    if (p->step.n && !yzi_match_is_step(f->type, p->step)) {
        return broken(fault, p, "has the step '%.*s', which is none for %s (type %s)", V(p->step),
                      f->name, yzi_field_type_name(f->type));
    }
    return true;
}

static bool check_constants(const struct grant_predicate *p, const struct dataset_field *f,
                            struct rule_fault *fault)
{
    for (size_t i = 0; i < p->constants.n; i++) {
        int same;
        if (yzi_match_compare(f, p->constants.items[i], p->constants.items[i], &same) < 0) {
            return broken(fault, p, "has a constant that is no value of %s (type %s)", f->name,
                          yzi_field_type_name(f->type));
        }
    }
    return true;
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

/* Find and count would ask the same without being counted. */
static bool check_budget(const struct fine_grant *g, const struct grant_predicate *p,
                         struct rule_fault *fault)
{
    bool counts = p->budget && yzi_access_readable(g, p->field) < 0;
    if (counts && is_listed(&g->filterable, p->field)) {
        return broken(fault, p, "has a budget, and find and count may select by %.*s without one",
                      V(p->field));
    }
    if (counts && is_listed(&g->writable, p->field)) {
        return broken(
            fault, p,
            "has a budget, and whoever may write %.*s learns without one what stood there",
            V(p->field));
    }
    return true;
}

bool yzi_predicate_rules(const struct fine_grant *g, const struct dataset *d, bool values,
                         struct rule_fault *fault)
{
    for (size_t i = 0; i < g->predicates_n; i++) {
        const struct grant_predicate *p = &g->predicates[i];
        int field = yzi_dataset_field(d, p->field);
        const struct dataset_field *f = field < 0 ? NULL : &d->fields[field];
        if (!check_form(p, fault) || !check_budget(g, p, fault) ||
            (f && !check_type(p, f, fault)) || (f && values && !check_constants(p, f, fault))) {
            return false;
        }
    }
    return true;
}

/* -- choosing -- */

static int refuse(const char **reason, int rc, const char *why)
{
    *reason = why;
    return rc;
}

/* The constant the question means, or the only one there is. */
static int choose_constant(const struct grant_predicate *p, const struct dataset_field *f,
                           const struct query_predicate *asked, yz_bytes *out, const char **reason)
{
    if (asked->values_n == 0 && p->constants.n == 1) {
        *out = p->constants.items[0];
        return 0;
    }
    if (asked->values_n != 1 || asked->values[0].null) {
        return refuse(reason, YZ_EINVAL, "bad-value");
    }
    for (size_t i = 0; i < p->constants.n; i++) {
        int differs;
        int rc = yzi_match_compare(f, p->constants.items[i], asked->values[0].v, &differs);
        YZ_ENSURE(rc != YZ_EDATA, refuse(reason, YZ_EINVAL, "bad-value"));
        YZ_TRY(rc);
        if (!differs) {
            *out = p->constants.items[i];
            return 0;
        }
    }
    return refuse(reason, YZ_EDENIED, "predicate-value");
}

static int choose_value(const struct grant_predicate *p, const struct dataset_field *f,
                        const struct query_predicate *asked, yz_bytes *out, const char **reason)
{
    if (asked->values_n != 1 || asked->values[0].null) {
        return refuse(reason, YZ_EINVAL, "bad-value");
    }
    yz_bytes v = asked->values[0].v;
    int same;
    bool is = true;
    int rc =
        p->step.n ? yzi_match_is_multiple(f, v, p->step, &is) : yzi_match_compare(f, v, v, &same);
    YZ_ENSURE(rc != YZ_EDATA, refuse(reason, YZ_EINVAL, "bad-value"));
    YZ_TRY(rc);
    YZ_ENSURE(is, refuse(reason, YZ_EDENIED, "predicate-value"));
    *out = v;
    return 0;
}

static const struct grant_predicate *find(const struct fine_grant *g, yz_bytes name)
{
    for (size_t i = 0; i < g->predicates_n; i++) {
        if (yzi_bytes_eq(g->predicates[i].name, name)) {
            return &g->predicates[i];
        }
    }
    return NULL;
}

int yzi_predicate_choose(const struct fine_grant *g, const struct dataset *d,
                         const struct query_predicate *asked, struct predicate_choice *out,
                         const char **reason)
{
    const struct grant_predicate *p = find(g, asked->name);
    int field = p ? yzi_dataset_field(d, p->field) : -1;
    if (field < 0) {
        return refuse(reason, YZ_EDENIED, "predicate");
    }
    const struct dataset_field *f = &d->fields[field];
    *out = (struct predicate_choice){.granted = p, .field = (unsigned)field};
    if (p->op == OP_IN) {
        return asked->values_n == 0 ? 0 : refuse(reason, YZ_EINVAL, "bad-value");
    }
    return yzi_predicate_is_open(p) ? choose_value(p, f, asked, &out->with, reason)
                                    : choose_constant(p, f, asked, &out->with, reason);
}

/* -- budgets -- */

static void put(crypto_generichash_state *h, yz_bytes v)
{
    uint8_t length[8];
    yzi_store_u64(length, v.n);
    crypto_generichash_update(h, length, sizeof length);
    crypto_generichash_update(h, v.p, v.n);
}

void yzi_predicate_budget_key(const uint8_t key[32], yz_subsystem_id consumer,
                              const struct dataset *d, const struct predicate_choice *c,
                              yz_bytes subject, uint8_t out[32])
{
    const struct dataset_field *f = &d->fields[c->field];
    bool shared = strcmp(f->element, f->name) != 0;
    crypto_generichash_state h;
    uint8_t days[8];
    yzi_store_u64(days, c->granted->budget_days);
    int rc = crypto_generichash_init(&h, key, 32, 32);
    YZ_ASSERT(rc == 0); /* the lengths are right, nothing else can fail */
    put(&h, yzi_bytes_str(BUDGET_LABEL));
    put(&h, yzi_bytes(days, sizeof days));
    put(&h, consumer.v);
    put(&h, yzi_bytes_str(shared ? "" : d->name)); /* no data set is without a name */
    put(&h, yzi_bytes_str(shared ? f->element : f->name));
    put(&h, subject);
    crypto_generichash_final(&h, out, 32);
    sodium_memzero(&h, sizeof h);
}

uint64_t yzi_predicate_budget_until(const struct grant_predicate *p, uint64_t now)
{
    uint64_t period = p->budget_days * DAY_MS;
    return period ? (now / period + 1) * period : 0;
}
