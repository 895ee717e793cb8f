/* SPDX-License-Identifier: Apache-2.0
 *
 * A row filter and what is asked for, together. The index that serves a query has to serve all of
 * its row filter, or records that this hides would be looked at. So conditions of both on one field
 * are brought together: values asked for are tried on the row filter before any record is, and of
 * several bounds the narrowest stays.
 */
#include "adapters/dataset/query_impl.h"

#define LOWER (1u << OP_GE | 1u << OP_GT)
#define UPPER (1u << OP_LE | 1u << OP_LT)
#define BINDING (1u << OP_EQ | 1u << OP_IN)

int yzi_row_filter_read(const struct dataset *d, const struct query_view *view, struct arena *arena,
                        struct conditions *out)
{
    struct query_fault fault;
    *out = (struct conditions){.dataset = d};
    if (!view || view->row_filter_n == 0) {
        return 0;
    }
    int rc = yzi_conditions_read(d, view->row_filter, view->row_filter_n, arena, out, &fault);
    YZ_ENSURE(rc != YZ_EINVAL, YZ_EDENIED);
    YZ_TRY(rc);
    for (size_t i = 0; i < out->n; i++) {
        out->of[i].must = true;
    }
    return 0;
}

static bool is_of(const struct condition *c, unsigned operators)
{
    return operators & 1u << c->op;
}

/* -- values -- */

static bool has_value(const struct condition *c, const struct query_value *v)
{
    for (size_t i = 0; i < c->values_n; i++) {
        if (c->values[i].null == v->null && (v->null || yzi_bytes_eq(c->values[i].v, v->v))) {
            return true;
        }
    }
    return false;
}

/* Whether value k of `of` meets the other condition on its field. */
static bool meets(const struct condition *of, size_t k, const struct condition *c)
{
    if (is_of(c, BINDING)) {
        return has_value(c, &of->values[k]);
    }
    return !of->values[k].null && yzi_condition_compare(c->op, of->coded[k], c->coded[0]);
}

static bool meets_all(const struct condition *of, size_t k, const struct conditions *c)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->of[i].field == of->field && !meets(of, k, &c->of[i])) {
            return false;
        }
    }
    return true;
}

/* The condition with those of its values that meet all there is on its field. */
static int bind_field(const struct condition *from, const struct conditions *row_filter,
                      const struct conditions *filter, struct arena *arena, struct condition *to)
{
    *to = (struct condition){.field = from->field, .op = OP_IN, .must = true};
    YZ_TRY(yzi_arena_new(arena, from->values_n, sizeof *to->values, &to->values));
    YZ_TRY(yzi_arena_new(arena, from->values_n, sizeof *to->coded, &to->coded));
    for (size_t k = 0; k < from->values_n; k++) {
        if (meets_all(from, k, row_filter) && meets_all(from, k, filter)) {
            to->values[to->values_n] = from->values[k];
            to->coded[to->values_n++] = from->coded[k];
        }
    }
    return 0;
}

/* -- bounds -- */

/* Whether a holds for nothing that b does not hold for; both are bounds of one side. */
static bool is_narrower(const struct condition *a, const struct condition *b)
{
    int c = yzi_bytes_cmp(a->coded[0], b->coded[0]);
    bool strict = a->op == OP_GT || a->op == OP_LT;
    return c == 0 ? strict : is_of(a, LOWER) ? c > 0 : c < 0;
}

/* A condition that is one with what is there already goes into it, or is added. */
static void add_bound(struct conditions *out, const struct condition *c)
{
    unsigned side = is_of(c, LOWER) ? LOWER : is_of(c, UPPER) ? UPPER : 0;
    for (size_t i = 0; side && i < out->n; i++) {
        struct condition *there = &out->of[i];
        if (there->field == c->field && is_of(there, side)) {
            bool must = there->must || c->must;
            *there = is_narrower(c, there) ? *c : *there;
            there->must = must;
            return;
        }
    }
    out->of[out->n++] = *c;
}

/* -- together -- */

/* The first condition that names values of the field. */
static const struct condition *find_binding(const struct conditions *c, unsigned field)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->of[i].field == field && is_of(&c->of[i], BINDING)) {
            return &c->of[i];
        }
    }
    return NULL;
}

static bool has_field(const struct conditions *c, unsigned field)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->of[i].field == field) {
            return true;
        }
    }
    return false;
}

static int add(const struct condition *c, const struct conditions *row_filter,
               const struct conditions *filter, struct arena *arena, struct conditions *out)
{
    const struct condition *binding = find_binding(row_filter, c->field);
    binding = binding ? binding : find_binding(filter, c->field);
    if (!has_field(row_filter, c->field)) {
        out->of[out->n++] = *c;
    } else if (!binding) {
        add_bound(out, c);
    } else if (!has_field(out, c->field)) {
        YZ_TRY(bind_field(binding, row_filter, filter, arena, &out->of[out->n]));
        out->n++;
    }
    return 0;
}

int yzi_conditions_narrow(const struct conditions *row_filter, const struct conditions *filter,
                          struct arena *arena, struct conditions *out)
{
    *out = *filter;
    if (row_filter->n == 0) {
        return 0;
    }
    struct conditions made = {.dataset = filter->dataset};
    YZ_TRY(yzi_arena_new(arena, row_filter->n + filter->n, sizeof *made.of, &made.of));
    for (size_t i = 0; i < row_filter->n; i++) {
        YZ_TRY(add(&row_filter->of[i], row_filter, filter, arena, &made));
    }
    for (size_t i = 0; i < filter->n; i++) {
        YZ_TRY(add(&filter->of[i], row_filter, filter, arena, &made));
    }
    *out = made;
    return 0;
}
