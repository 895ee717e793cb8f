/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules, one function each; the first that is broken is told.
 */
#include "adapters/access/rules.h"

#include <stdarg.h>
#include <stdio.h>

#include "adapters/access/mask.h"
#include "adapters/access/predicate.h"
#include "adapters/access/view.h"
#include "adapters/dataset/find.h"

#define V(b) (int)(b).n, (const char *)(b).p

static bool broken(struct rule_fault *fault, const char *clause, yz_bytes field, const char *format,
                   ...) YZ_PRINTF(4, 5);
static bool broken(struct rule_fault *fault, const char *clause, yz_bytes field, const char *format,
                   ...)
{
    va_list args;
    va_start(args, format);
    fault->clause = clause;
    fault->field = field;
    vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
    return false;
}

int yzi_access_readable(const struct fine_grant *g, yz_bytes field)
{
    for (size_t i = 0; i < g->readable_n; i++) {
        if (yzi_bytes_eq(g->readable[i].name, field)) {
            return g->readable[i].mask;
        }
    }
    return -1;
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

static bool is_key(const struct dataset *d, int field)
{
    for (size_t i = 0; i < d->key_n; i++) {
        if ((int)d->key[i] == field) {
            return true;
        }
    }
    return false;
}

static bool has_predicate_on(const struct fine_grant *g, yz_bytes field)
{
    for (size_t i = 0; i < g->predicates_n; i++) {
        if (yzi_bytes_eq(g->predicates[i].field, field)) {
            return true;
        }
    }
    return false;
}

/* -- masks -- */

/* Also writing is asking: whether a value is there already (not-unique, nothing changed), and which
 * pseudonym one has that was written to be read again. */
static bool check_use(const struct fine_grant *g, const struct grant_field *f,
                      struct rule_fault *fault)
{
    const char *use = is_listed(&g->filterable, f->name) ? "select by it"
                      : is_listed(&g->sortable, f->name) ? "order by it"
                      : is_listed(&g->writable, f->name) ? "write it"
                      : has_predicate_on(g, f->name)     ? "ask a predicate of it"
                                                         : NULL;
    return !use || broken(fault, "mask", f->name,
                          "%.*s is masked, so nobody may %s: that would find out what the mask "
                          "hides",
                          V(f->name), use);
}

static bool check_mask(const struct fine_grant *g, const struct dataset *d, bool pseudonyms,
                       const struct grant_field *f, struct rule_fault *fault)
{
    const char *why = "";
    int field = yzi_dataset_field(d, f->name);
    if (field < 0) {
        return true;
    }
    if (!yzi_mask_fits(f->mask, d->fields[field].type, &why)) {
        return broken(fault, "mask", f->name, "the mask %s %s; %.*s is of type %s",
                      yzi_mask_name(f->mask), why, V(f->name),
                      yzi_field_type_name(d->fields[field].type));
    }
    if (f->mask == MASK_HASH && !pseudonyms) {
        return broken(fault, "mask", f->name, "the terms have no key to make pseudonyms of %.*s",
                      V(f->name));
    }
    if ((g->operations & 1u << QUERY_GET) && is_key(d, field)) {
        return broken(fault, "mask", f->name,
                      "%.*s is of the key and masked, so records must not be asked for by key "
                      "(get): that would undo the mask",
                      V(f->name));
    }
    return check_use(g, f, fault);
}

static bool check_masks(const struct fine_grant *g, const struct dataset *d, bool pseudonyms,
                        struct rule_fault *fault)
{
    for (size_t i = 0; i < g->readable_n; i++) {
        if (g->readable[i].mask != MASK_NONE &&
            !check_mask(g, d, pseudonyms, &g->readable[i], fault)) {
            return false;
        }
    }
    return true;
}

static bool check_sortable(const struct fine_grant *g, const struct dataset *d,
                           struct rule_fault *fault)
{
    for (size_t i = 0; i < g->sortable.n; i++) {
        yz_bytes name = g->sortable.items[i];
        if (yzi_dataset_field(d, name) >= 0 && yzi_access_readable(g, name) != MASK_NONE) {
            return broken(fault, "sortable", name,
                          "%.*s cannot be ordered by without being readable: the order would tell "
                          "its values",
                          V(name));
        }
    }
    return true;
}

/* -- row filter -- */

static bool has_operator(const struct fine_grant *g, yz_bytes field, unsigned operators)
{
    for (size_t i = 0; i < g->row_filter_n; i++) {
        if (yzi_bytes_eq(g->row_filter[i].field, field) &&
            (operators & 1u << g->row_filter[i].op)) {
            return true;
        }
    }
    return false;
}

static bool check_row_condition(const struct fine_grant *g, const struct dataset *d,
                                const struct row_condition *c, struct rule_fault *fault)
{
    int field = yzi_dataset_field(d, c->field);
    if (field < 0) {
        return broken(fault, "row-filter", c->field, "the data set has no field %.*s", V(c->field));
    }
    const struct dataset_field *f = &d->fields[field];
    bool equal = c->op == OP_EQ || c->op == OP_IN;
    if (!equal && f->classification >= CLASS_SENSITIVE) {
        return broken(fault, "row-filter", c->field,
                      "%s is %s: a row filter can compare it for equality only", f->name,
                      yzi_classification_name(f->classification));
    }
    if (c->op == OP_PREFIX && f->type != FIELD_TEXT && f->type != FIELD_CODE) {
        return broken(fault, "row-filter", c->field, "%s is of type %s, which has no beginnings",
                      f->name, yzi_field_type_name(f->type));
    }
    if (c->op == OP_PREFIX &&
        has_operator(g, c->field, 1u << OP_GE | 1u << OP_GT | 1u << OP_LE | 1u << OP_LT)) {
        return broken(fault, "row-filter", c->field,
                      "a row filter has either a prefix or a range of %s, not both", f->name);
    }
    return true;
}

static bool check_row_filter(const struct fine_grant *g, const struct dataset *d, bool values,
                             struct rule_fault *fault)
{
    for (size_t i = 0; i < g->row_filter_n; i++) {
        if (!check_row_condition(g, d, &g->row_filter[i], fault)) {
            return false;
        }
    }
    return !values || g->row_filter_n == 0 || yzi_access_row_filter_fits(g, d)
               ? true
               : broken(fault, "row-filter", g->row_filter[0].field,
                        "a value of the row filter is not of its field's type");
}

bool yzi_access_rules(const struct fine_grant *g, const struct dataset *d, bool pseudonyms,
                      bool values, struct rule_fault *fault)
{
    return check_masks(g, d, pseudonyms, fault) && check_sortable(g, d, fault) &&
           check_row_filter(g, d, values, fault) && yzi_predicate_rules(g, d, values, fault);
}
