/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditions of a filter. A condition on a field without a value: equals and in can ask for it (a
 * null among the values), ranges and prefixes never hold for it.
 */
#include <stdarg.h>
#include <stdio.h>

#include "adapters/dataset/normalise.h"
#include "adapters/dataset/query_impl.h"
#include "base/text.h"
#include "proto/status.h"

#define CODED_MAX (2u * YZ_VALUE_MAX + 8u)
#define CHECK_ARENA_MAX (16u * 1024u * 1024u)

int yzi_query_refuse(struct query_fault *fault, const char *reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fault->reason = reason;
    vsnprintf(fault->detail, sizeof fault->detail, format, args);
    va_end(args);
    return YZ_EINVAL;
}

/* -- reading -- */

static int check_operator(const struct dataset_field *f, enum query_op op,
                          struct query_fault *fault)
{
    if (op == OP_EQ || op == OP_IN) {
        return 0;
    }
    if (yzi_field_is_sealed(f)) {
        return yzi_query_refuse(fault, "bad-operator",
                                "%s is %s: its values can be compared for equality only", f->name,
                                yzi_classification_name(f->classification));
    }
    if (op == OP_PREFIX && f->type != FIELD_TEXT && f->type != FIELD_CODE) {
        return yzi_query_refuse(fault, "bad-operator", "%s is of type %s, which has no beginnings",
                                f->name, yzi_field_type_name(f->type));
    }
    return 0;
}

/* The beginning of a text is a text; it needs not be a code, nor end with a character. */
static int check_prefix(const struct dataset_field *f, yz_bytes v, yz_buf *out, const char **why)
{
    *why = "is longer than any value";
    YZ_ENSURE(v.n <= f->max_length, YZ_EDATA);
    *why = "contains a NUL character";
    YZ_ENSURE(v.n == 0 || !memchr(v.p, 0, v.n), YZ_EDATA);
    *why = yzi_normal_fault(f, v, true);
    YZ_ENSURE(!*why, YZ_EDATA);
    return yzi_buf_put(out, v);
}

static int read_value(const struct dataset_field *f, enum query_op op, const struct query_value *v,
                      struct arena *arena, yz_buf *scratch, struct query_value *out,
                      struct query_fault *fault)
{
    const char *why = NULL;
    yzi_buf_clear(scratch);
    if (v->null) {
        *out = *v;
        return op == OP_EQ || op == OP_IN
                   ? 0
                   : yzi_query_refuse(fault, "bad-value", "%s cannot be compared with no value",
                                      f->name);
    }
    int rc = op == OP_PREFIX ? check_prefix(f, v->v, scratch, &why)
                             : yzi_field_check_raw(f, v->v, scratch, &why);
    if (rc == YZ_EDATA) {
        return yzi_query_refuse(fault, "bad-value", "a value for %s %s", f->name, why);
    }
    YZ_TRY(rc);
    out->null = false;
    return yzi_arena_dup(arena, yzi_bytes_buf(scratch), &out->v);
}

static bool is_listed(const struct condition *c, const struct query_value *v)
{
    for (size_t i = 0; i < c->values_n; i++) {
        if (c->values[i].null == v->null && (v->null || yzi_bytes_eq(c->values[i].v, v->v))) {
            return true;
        }
    }
    return false;
}

/* The value as keys hold it; a prefix as far as it goes. */
static int code_value(const struct dataset_field *f, enum query_op op, yz_bytes v,
                      struct arena *arena, yz_buf *scratch, yz_bytes *out)
{
    yzi_buf_clear(scratch);
    YZ_TRY(op == OP_PREFIX ? yzi_buf_put(scratch, v) : yzi_key_put_plain(f, v, scratch));
    return yzi_arena_dup(arena, yzi_bytes_buf(scratch), out);
}

static int read_condition(const struct dataset *d, const struct query_condition *from,
                          struct arena *arena, yz_buf *scratch, struct condition *c,
                          struct query_fault *fault)
{
    int field = yzi_dataset_field(d, from->field);
    if (field < 0) {
        return yzi_query_refuse(fault, "unknown-field", "there is no field %.*s",
                                (int)from->field.n, (const char *)from->field.p);
    }
    const struct dataset_field *f = &d->fields[field];
    *c = (struct condition){.field = (unsigned)field, .op = from->op};
    YZ_TRY(check_operator(f, c->op, fault));
    YZ_TRY(yzi_arena_new(arena, from->values_n, sizeof *c->values, &c->values));
    YZ_TRY(yzi_arena_new(arena, from->values_n, sizeof *c->coded, &c->coded));
    for (size_t i = 0; i < from->values_n; i++) {
        struct query_value v;
        YZ_TRY(read_value(f, c->op, &from->values[i], arena, scratch, &v, fault));
        if (is_listed(c, &v)) {
            continue;
        }
        if (!v.null && !yzi_field_is_sealed(f)) {
            YZ_TRY(code_value(f, c->op, v.v, arena, scratch, &c->coded[c->values_n]));
        }
        c->values[c->values_n++] = v;
    }
    return 0;
}

int yzi_conditions_read(const struct dataset *d, const struct query_condition *from, size_t n,
                        struct arena *arena, struct conditions *out, struct query_fault *fault)
{
    YZ_ASSERT(n <= YZ_QUERY_CONDITIONS_MAX);
    YZ_AUTO(yzi_buf_wipe) yz_buf scratch = {0};
    yzi_buf_init(&scratch, CODED_MAX);
    YZ_TRY(yzi_buf_reserve(&scratch, 1)); /* a view of nothing needs a pointer, too */
    *out = (struct conditions){.dataset = d, .n = n};
    YZ_TRY(yzi_arena_new(arena, n, sizeof *out->of, &out->of));
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(read_condition(d, &from[i], arena, &scratch, &out->of[i], fault));
    }
    return 0;
}

int yzi_filter_check(const struct dataset *d, const struct query_condition *conditions, size_t n,
                     struct query_fault *fault)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    struct conditions read;
    yzi_arena_init(&arena, CHECK_ARENA_MAX);
    return yzi_conditions_read(d, conditions, n, &arena, &read, fault);
}

/* -- trying -- */

bool yzi_condition_compare(enum query_op op, yz_bytes value, yz_bytes with)
{
    int c = yzi_bytes_cmp(value, with);
    switch (op) {
    case OP_PREFIX:
        return value.n >= with.n && (with.n == 0 || memcmp(value.p, with.p, with.n) == 0);
    case OP_GE:
        return c >= 0;
    case OP_GT:
        return c > 0;
    case OP_LE:
        return c <= 0;
    case OP_LT:
        return c < 0;
    case OP_EQ:
    case OP_IN:
    default:
        return c == 0;
    }
}

static int holds(const struct condition *c, const struct dataset_field *f,
                 const struct query_value *v, yz_buf *coded, bool *out)
{
    if (c->op == OP_EQ || c->op == OP_IN) {
        *out = is_listed(c, v);
        return 0;
    }
    *out = false;
    if (v->null || c->values_n == 0) {
        return 0;
    }
    yzi_buf_clear(coded);
    YZ_TRY(yzi_key_put_plain(f, v->v, coded));
    *out = yzi_condition_compare(c->op, yzi_bytes_buf(coded), c->coded[0]);
    return 0;
}

int yzi_conditions_hold(const struct conditions *c, uint64_t which, const struct row_layout *l,
                        yz_bytes key, const struct query_value split[DATASET_FIELDS_MAX],
                        yz_buf *plain, yz_buf *coded, bool *out)
{
    *out = true;
    for (size_t i = 0; i < c->n && *out; i++) {
        const struct condition *one = &c->of[i];
        const struct dataset_field *f = &c->dataset->fields[one->field];
        struct query_value v = split[one->field];
        if (!(which & UINT64_C(1) << i)) {
            continue;
        }
        if (!v.null && yzi_field_is_sealed(f)) {
            YZ_TRY(yzi_row_open(l, key, one->field, v.v, plain, &v));
        }
        YZ_TRY(holds(one, f, &v, coded, out));
    }
    return 0;
}
