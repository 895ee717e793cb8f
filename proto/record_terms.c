/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of the terms: the fine half of an owner's grants, which stays in the adapter; the offer
 * carries its digest. Structure only: whether a grant's fields exist is for whoever holds the data
 * set's definition.
 */
#include "proto/record_part.h"

#define STEP_MAX YZ_NAME_MAX

/* -- operands -- */

static int check_value(yz_bytes v, size_t max)
{
    return v.n <= max ? 0 : YZ_ETOOBIG; /* bytes: only the definition knows the type */
}

/* Distinct values in the number the comparison takes: any for `in`, else one. */
static int read_values(struct record_reader *r, const ProtobufCBinaryData *v, size_t n,
                       enum query_op op, struct name_list *out)
{
    YZ_TRY(yzi_check_count(n, 1, YZ_QUERY_KEYS_MAX));
    YZ_ENSURE(op == OP_IN || n == 1, YZ_EMALFORMED);
    return yzi_read_names(r, v, n, YZ_QUERY_KEYS_MAX, check_value, YZ_VALUE_MAX, out);
}

/* -- fields -- */

static int read_readable(struct record_reader *r, const Yizhan__Wire__FineGrant *w,
                         struct fine_grant *out)
{
    struct bag names = {.arena = &r->scratch};
    YZ_TRY(yzi_check_count(w->n_readable, 0, YZ_QUERY_FIELDS_MAX));
    YZ_TRY(yzi_arena_new(r->keep, w->n_readable, sizeof *out->readable, &out->readable));
    for (size_t i = 0; i < w->n_readable; i++) {
        const Yizhan__Wire__GrantField *from = w->readable[i];
        struct grant_field *to = &out->readable[i];
        to->name = yzi_view(from->name);
        YZ_TRY(yzi_check_field(to->name, YZ_NAME_MAX));
        YZ_TRY(yzi_bag_add(&names, to->name));
        if (from->has_mask) {
            YZ_TRY(yzi_check_range(from->mask, MASK_HIDE, MASK_HASH));
            to->mask = (enum field_mask)from->mask;
        }
    }
    out->readable_n = w->n_readable;
    return yzi_bag_close(&names);
}

static int wire_readable(struct arena *a, const struct fine_grant *in, Yizhan__Wire__FineGrant *w)
{
    YZ_TRY(yzi_wire_list(a, &yizhan__wire__grant_field__descriptor, in->readable_n, &w->readable));
    w->n_readable = in->readable_n;
    for (size_t i = 0; i < in->readable_n; i++) {
        w->readable[i]->name = yzi_bin(in->readable[i].name);
        w->readable[i]->has_mask = in->readable[i].mask != MASK_NONE;
        w->readable[i]->mask = in->readable[i].mask;
    }
    return 0;
}

/* -- rows -- */

static int read_row_filter(struct record_reader *r, const Yizhan__Wire__FineGrant *w,
                           struct fine_grant *out)
{
    YZ_TRY(yzi_check_count(w->n_row_filter, 0, YZ_QUERY_CONDITIONS_MAX));
    YZ_TRY(yzi_arena_new(r->keep, w->n_row_filter, sizeof *out->row_filter, &out->row_filter));
    for (size_t i = 0; i < w->n_row_filter; i++) {
        const Yizhan__Wire__RowCondition *from = w->row_filter[i];
        struct row_condition *to = &out->row_filter[i];
        to->field = yzi_view(from->field);
        YZ_TRY(yzi_check_field(to->field, YZ_NAME_MAX));
        YZ_TRY(yzi_check_range(from->op, OP_EQ, OP_LT));
        to->op = (enum query_op)from->op;
        YZ_TRY(read_values(r, from->values, from->n_values, to->op, &to->values));
    }
    out->row_filter_n = w->n_row_filter;
    return 0;
}

static int wire_row_filter(struct arena *a, const struct fine_grant *in, Yizhan__Wire__FineGrant *w)
{
    YZ_TRY(yzi_wire_list(a, &yizhan__wire__row_condition__descriptor, in->row_filter_n,
                         &w->row_filter));
    w->n_row_filter = in->row_filter_n;
    for (size_t i = 0; i < in->row_filter_n; i++) {
        const struct row_condition *from = &in->row_filter[i];
        Yizhan__Wire__RowCondition *to = w->row_filter[i];
        to->field = yzi_bin(from->field);
        to->op = from->op;
        YZ_TRY(yzi_wire_names(a, &from->values, &to->n_values, &to->values));
    }
    return 0;
}

/* -- predicates -- */

static int read_predicate(struct record_reader *r, const Yizhan__Wire__GrantPredicate *w,
                          struct grant_predicate *out)
{
    out->name = yzi_view(w->name);
    YZ_TRY(yzi_check_code(out->name, YZ_NAME_MAX));
    out->field = yzi_view(w->field);
    YZ_TRY(yzi_check_field(out->field, YZ_NAME_MAX));
    YZ_TRY(yzi_check_range(w->op, OP_EQ, OP_LT));
    out->op = (enum query_op)w->op;
    if (w->n_constants > 0) { /* otherwise the question brings them */
        YZ_TRY(read_values(r, w->constants, w->n_constants, OP_IN, &out->constants));
    }
    YZ_TRY(yzi_read_optional(w->has_step, w->step, STEP_MAX, yzi_check_code, &out->step));
    YZ_ENSURE(!w->has_budget || w->budget > 0, YZ_EMALFORMED);
    out->budget = w->has_budget ? w->budget : 0;
    YZ_ENSURE(!w->has_budget_days || (w->has_budget && w->budget_days > 0), YZ_EMALFORMED);
    YZ_ENSURE(!w->has_budget_days || w->budget_days <= YZ_BUDGET_DAYS_MAX, YZ_ELIMIT);
    out->budget_days = w->has_budget_days ? w->budget_days : 0;
    return 0;
}

static int read_predicates(struct record_reader *r, const Yizhan__Wire__FineGrant *w,
                           struct fine_grant *out)
{
    struct bag names = {.arena = &r->scratch};
    YZ_TRY(yzi_check_count(w->n_predicates, 0, YZ_PREDICATES_MAX));
    YZ_TRY(yzi_arena_new(r->keep, w->n_predicates, sizeof *out->predicates, &out->predicates));
    for (size_t i = 0; i < w->n_predicates; i++) {
        YZ_TRY(read_predicate(r, w->predicates[i], &out->predicates[i]));
        YZ_TRY(yzi_bag_add(&names, out->predicates[i].name));
    }
    out->predicates_n = w->n_predicates;
    return yzi_bag_close(&names);
}

static int wire_predicates(struct arena *a, const struct fine_grant *in, Yizhan__Wire__FineGrant *w)
{
    YZ_TRY(yzi_wire_list(a, &yizhan__wire__grant_predicate__descriptor, in->predicates_n,
                         &w->predicates));
    w->n_predicates = in->predicates_n;
    for (size_t i = 0; i < in->predicates_n; i++) {
        const struct grant_predicate *from = &in->predicates[i];
        Yizhan__Wire__GrantPredicate *to = w->predicates[i];
        to->name = yzi_bin(from->name);
        to->field = yzi_bin(from->field);
        to->op = from->op;
        YZ_TRY(yzi_wire_names(a, &from->constants, &to->n_constants, &to->constants));
        to->has_step = from->step.n > 0;
        to->step = yzi_bin(from->step);
        to->has_budget = from->budget > 0;
        to->budget = from->budget;
        to->has_budget_days = from->budget_days > 0;
        to->budget_days = from->budget_days;
    }
    return 0;
}

/* -- operations: a list on the wire, a set of bits in the struct -- */

static int read_operations(const Yizhan__Wire__FineGrant *w, unsigned *out)
{
    unsigned set = 0;
    for (size_t i = 0; i < w->n_operations; i++) {
        YZ_TRY(yzi_check_range(w->operations[i], QUERY_GET, QUERY_OPERATION_LAST));
        unsigned bit = 1u << w->operations[i];
        YZ_ENSURE(!(set & bit), YZ_EMALFORMED);
        set |= bit;
    }
    YZ_ENSURE(set != 0, YZ_EMALFORMED);
    *out = set;
    return 0;
}

static int wire_operations(struct arena *a, unsigned set, Yizhan__Wire__FineGrant *w)
{
    YZ_TRY(yzi_arena_new(a, QUERY_OPERATION_LAST, sizeof *w->operations, &w->operations));
    for (uint32_t op = QUERY_GET; op <= QUERY_OPERATION_LAST; op++) {
        if (set & 1u << op) {
            w->operations[w->n_operations++] = op;
            set &= ~(1u << op);
        }
    }
    YZ_ENSURE(set == 0, YZ_EINVAL); /* a bit that is no operation */
    return 0;
}

/* -- the grants -- */

static int read_grant(struct record_reader *r, const Yizhan__Wire__FineGrant *w,
                      struct fine_grant *out)
{
    out->id = yzi_view(w->id);
    YZ_TRY(yzi_check_word(out->id, YZ_NAME_MAX));
    YZ_TRY(read_operations(w, &out->operations));
    YZ_TRY(read_readable(r, w, out));
    YZ_TRY(yzi_read_names(r, w->filterable, w->n_filterable, YZ_QUERY_FIELDS_MAX, yzi_check_field,
                          YZ_NAME_MAX, &out->filterable));
    YZ_TRY(yzi_read_names(r, w->sortable, w->n_sortable, YZ_QUERY_FIELDS_MAX, yzi_check_field,
                          YZ_NAME_MAX, &out->sortable));
    YZ_TRY(read_row_filter(r, w, out));
    YZ_TRY(read_predicates(r, w, out));
    YZ_TRY(yzi_read_names(r, w->purposes, w->n_purposes, YZ_PURPOSES_MAX, yzi_check_code,
                          YZ_PURPOSE_MAX, &out->purposes));
    YZ_TRY(yzi_read_names(r, w->writable, w->n_writable, YZ_QUERY_FIELDS_MAX, yzi_check_field,
                          YZ_NAME_MAX, &out->writable));
    YZ_ENSURE(!w->has_quota_per_day || w->quota_per_day > 0, YZ_EMALFORMED);
    out->quota_per_day = w->has_quota_per_day ? w->quota_per_day : 0;
    return 0;
}

/* -- what the catalogue does not say -- */

static int read_unlisted(struct record_reader *r, const Yizhan__Wire__Terms *w, struct terms *out)
{
    struct bag data_sets = {.arena = &r->scratch};
    YZ_TRY(yzi_check_count(w->n_unlisted, 0, YZ_CATALOGUE_MAX));
    YZ_TRY(yzi_arena_new(r->keep, w->n_unlisted, sizeof *out->unlisted, &out->unlisted));
    for (size_t i = 0; i < w->n_unlisted; i++) {
        const Yizhan__Wire__Unlisted *from = w->unlisted[i];
        struct unlisted_fields *to = &out->unlisted[i];
        struct bag fields = {.arena = &r->scratch};
        to->data_set = yzi_view(from->data_set);
        YZ_TRY(yzi_segment_check(to->data_set));
        YZ_TRY(yzi_bag_add(&data_sets, to->data_set));
        YZ_ENSURE(from->n_elements > 0, YZ_EMALFORMED);
        YZ_TRY(yzi_read_elements(r, from->elements, from->n_elements, &fields, &to->elements,
                                 &to->elements_n));
        YZ_TRY(yzi_bag_close(&fields));
    }
    out->unlisted_n = w->n_unlisted;
    return yzi_bag_close(&data_sets);
}

static int wire_unlisted(struct arena *a, const struct terms *in, Yizhan__Wire__Terms *w)
{
    YZ_TRY(yzi_wire_list(a, &yizhan__wire__unlisted__descriptor, in->unlisted_n, &w->unlisted));
    w->n_unlisted = in->unlisted_n;
    for (size_t i = 0; i < in->unlisted_n; i++) {
        const struct unlisted_fields *from = &in->unlisted[i];
        w->unlisted[i]->data_set = yzi_bin(from->data_set);
        YZ_TRY(yzi_wire_elements(a, from->elements, from->elements_n, &w->unlisted[i]->n_elements,
                                 &w->unlisted[i]->elements));
    }
    return 0;
}

int yzi_terms_parse(yz_bytes body, struct arena *a, struct terms *out)
{
    YZ_AUTO(yzi_record_reader_fini) struct record_reader r = {0};
    const Yizhan__Wire__Terms *w;
    struct terms parsed = {0};
    YZ_TRY(yzi_record_unpack(&r, a, &yizhan__wire__terms__descriptor, body, &w));
    struct bag ids = {.arena = &r.scratch};
    YZ_TRY(yzi_subsystem_id_parse(yzi_view(w->subsystem), &parsed.subsystem));
    YZ_ENSURE(w->version > 0, YZ_EMALFORMED);
    parsed.version = w->version;
    if (w->has_pseudonym_key) {
        YZ_ENSURE(w->pseudonym_key.len == sizeof parsed.pseudonym_key, YZ_EMALFORMED);
        memcpy(parsed.pseudonym_key, w->pseudonym_key.data, sizeof parsed.pseudonym_key);
        parsed.has_pseudonym_key = true;
    }
    YZ_TRY(yzi_check_count(w->n_grants, 0, YZ_GRANTS_MAX));
    YZ_TRY(yzi_arena_new(a, w->n_grants, sizeof *parsed.grants, &parsed.grants));
    for (size_t i = 0; i < w->n_grants; i++) {
        YZ_TRY(read_grant(&r, w->grants[i], &parsed.grants[i]));
        YZ_TRY(yzi_bag_add(&ids, parsed.grants[i].id));
    }
    parsed.grants_n = w->n_grants;
    YZ_TRY(yzi_bag_close(&ids));
    YZ_TRY(read_unlisted(&r, w, &parsed));
    *out = parsed;
    return 0;
}

static int wire_grant(struct arena *a, const struct fine_grant *in, Yizhan__Wire__FineGrant *w)
{
    w->id = yzi_bin(in->id);
    YZ_TRY(wire_operations(a, in->operations, w));
    YZ_TRY(wire_readable(a, in, w));
    YZ_TRY(yzi_wire_names(a, &in->filterable, &w->n_filterable, &w->filterable));
    YZ_TRY(yzi_wire_names(a, &in->sortable, &w->n_sortable, &w->sortable));
    YZ_TRY(wire_row_filter(a, in, w));
    YZ_TRY(wire_predicates(a, in, w));
    YZ_TRY(yzi_wire_names(a, &in->purposes, &w->n_purposes, &w->purposes));
    w->has_quota_per_day = in->quota_per_day > 0;
    w->quota_per_day = in->quota_per_day;
    return yzi_wire_names(a, &in->writable, &w->n_writable, &w->writable);
}

int yzi_terms_write(const struct terms *in, yz_buf *out)
{
    YZ_AUTO(yzi_arena_fini) struct arena a = {0};
    yzi_record_writer_init(&a);
    Yizhan__Wire__Terms w = YIZHAN__WIRE__TERMS__INIT;
    w.subsystem = yzi_bin(in->subsystem.v);
    w.version = in->version;
    w.has_pseudonym_key = in->has_pseudonym_key;
    w.pseudonym_key = yzi_bin(yzi_bytes(in->pseudonym_key, sizeof in->pseudonym_key));
    YZ_TRY(yzi_wire_list(&a, &yizhan__wire__fine_grant__descriptor, in->grants_n, &w.grants));
    w.n_grants = in->grants_n;
    for (size_t i = 0; i < in->grants_n; i++) {
        YZ_TRY(wire_grant(&a, &in->grants[i], w.grants[i]));
    }
    YZ_TRY(wire_unlisted(&a, in, &w));
    return yzi_record_pack(RECORD_TERMS, &w.base, out);
}
