/* SPDX-License-Identifier: Apache-2.0
 *
 * The clauses of a grant that narrow it: masks, row filter, quota. Values of a row filter are
 * brought into the form in which they are stored, so that the terms say what is compared.
 */
#include <sodium.h>

#include "adapters/access/rules.h"
#include "cli/grant.h"
#include "cli/where.h"

/* -- the data set -- */

static int text_of(struct cli *c, yz_bytes v, const char **out)
{
    char *to;
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), v.n + 1, 1, &to));
    if (v.n) {
        memcpy(to, v.p, v.n);
    }
    *out = to;
    return YZ_OK;
}

static int add_fields(struct cli *c, const struct data_element *e, size_t n, struct dataset *d)
{
    for (size_t i = 0; i < n && d->fields_n < DATASET_FIELDS_MAX; i++) {
        struct dataset_field *f = &d->fields[d->fields_n];
        YZ_TRY(text_of(c, e[i].field, &f->name));
        YZ_TRY(text_of(c, e[i].element, &f->element));
        f->type = e[i].type;
        f->classification = e[i].classification;
        f->max_length = YZ_VALUE_MAX;
        if (e[i].key && d->key_n < DATASET_KEY_MAX) {
            d->key[d->key_n++] = (unsigned)d->fields_n;
        }
        d->fields_n++;
    }
    return YZ_OK;
}

int yzi_home_dataset(struct cli *c, const struct home_offer *o, const struct catalogue_entry *entry,
                     struct dataset **out)
{
    struct dataset *d;
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), 1, sizeof *d, &d));
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), DATASET_FIELDS_MAX, sizeof *d->fields, &d->fields));
    YZ_TRY(text_of(c, entry->data_set, &d->name));
    YZ_TRY(add_fields(c, entry->elements, entry->elements_n, d));
    for (size_t i = 0; i < o->terms.unlisted_n; i++) {
        const struct unlisted_fields *u = &o->terms.unlisted[i];
        if (yzi_bytes_eq(u->data_set, entry->data_set)) {
            YZ_TRY(add_fields(c, u->elements, u->elements_n, d));
        }
    }
    *out = d;
    return YZ_OK;
}

/* -- masks -- */

static struct grant_field *readable(struct fine_grant *fine, yz_bytes name)
{
    for (size_t i = 0; i < fine->readable_n; i++) {
        if (yzi_bytes_eq(fine->readable[i].name, name)) {
            return &fine->readable[i];
        }
    }
    return NULL;
}

static int read_mask(struct cli *c, const char *text, struct fine_grant *fine)
{
    const char *at = strchr(text, '=');
    unsigned mask = MASK_NONE;
    if (!at || yzi_mask_parse(at + 1, &mask) < 0 || mask == MASK_NONE) {
        return yzi_cli_usage(c,
                             "--mask '%s': write FIELD=MASK, with one of hide, last4, year, "
                             "initial and hash",
                             text);
    }
    yz_bytes name = yzi_bytes(text, (size_t)(at - text));
    struct grant_field *f = readable(fine, name);
    if (!f) {
        return yzi_cli_usage(c, "--mask %s: %.*s is not among the fields that may be read", text,
                             CLI_V(name));
    }
    if (f->mask != MASK_NONE) {
        return yzi_cli_usage(c, "--mask: %.*s has a mask already", CLI_V(name));
    }
    f->mask = (enum field_mask)mask;
    return YZ_OK;
}

int yzi_cli_grant_masks(struct cli *c, struct fine_grant *fine)
{
    size_t n;
    const char *const *given = yzi_cli_options(c, "mask", &n);
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(read_mask(c, given[i], fine));
    }
    return YZ_OK;
}

/* -- row filter -- */

static int read_value(struct cli *c, const struct dataset_field *field, enum query_op op,
                      const char *text, yz_bytes *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf value;
    const char *why = "";
    struct dataset_field f = *field;
    yzi_buf_init(&value, YZ_VALUE_MAX);
    if (!text) {
        return yzi_cli_usage(c, "--where: a row filter compares %s with values, not with none",
                             f.name);
    }
    if (f.type == FIELD_CODE) { /* which there are, only the definition knows */
        f.type = FIELD_TEXT;
    }
    int rc = op == OP_PREFIX ? yzi_buf_put_str(&value, text)
                             : yzi_field_canonical(&f, yzi_bytes_str(text), &value, &why);
    if (rc == YZ_EDATA) {
        return yzi_cli_usage(c, "--where: '%s' for %s %s", text, f.name, why);
    }
    YZ_TRY(rc);
    return yzi_arena_dup(yzi_cli_arena(c), yzi_bytes_buf(&value), out);
}

static bool is_listed(const struct name_list *values, yz_bytes v)
{
    for (size_t i = 0; i < values->n; i++) {
        if (yzi_bytes_eq(values->items[i], v)) {
            return true;
        }
    }
    return false;
}

static int read_condition(struct cli *c, const struct dataset *d, const char *text,
                          struct row_condition *out)
{
    struct cli_where w;
    YZ_TRY(yzi_cli_where(c, text, &w));
    int field = yzi_dataset_field(d, yzi_bytes_str(w.field));
    if (field < 0) {
        return yzi_cli_usage(c, "--where '%s': the data set '%s' has no field '%s'", text, d->name,
                             w.field);
    }
    if (w.values_n > YZ_QUERY_VALUES_MAX) {
        return yzi_cli_usage(c, "--where: %s has more than %u values", w.field,
                             YZ_QUERY_VALUES_MAX);
    }
    *out = (struct row_condition){.field = yzi_bytes_str(w.field), .op = w.op};
    YZ_TRY(
        yzi_arena_new(yzi_cli_arena(c), w.values_n, sizeof *out->values.items, &out->values.items));
    for (size_t i = 0; i < w.values_n; i++) {
        yz_bytes v;
        YZ_TRY(read_value(c, &d->fields[field], w.op, w.values[i], &v));
        if (is_listed(&out->values, v)) {
            return yzi_cli_usage(c, "--where: %s has the value %s twice", w.field, w.values[i]);
        }
        out->values.items[out->values.n++] = v;
    }
    return YZ_OK;
}

int yzi_cli_grant_rows(struct cli *c, const struct dataset *d, struct fine_grant *fine)
{
    size_t n;
    const char *const *given = yzi_cli_options(c, "where", &n);
    if (n > YZ_QUERY_CONDITIONS_MAX) {
        return yzi_cli_usage(c, "a row filter has at most %u conditions", YZ_QUERY_CONDITIONS_MAX);
    }
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n, sizeof *fine->row_filter, &fine->row_filter));
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(read_condition(c, d, given[i], &fine->row_filter[i]));
    }
    fine->row_filter_n = n;
    return YZ_OK;
}

/* -- quota -- */

int yzi_cli_grant_quota(struct cli *c, const struct offered_service *s, struct fine_grant *fine)
{
    uint64_t quota;
    YZ_TRY(yzi_cli_number(c, "quota", 1, UINT32_MAX, 0, &quota));
    if (quota && quota < s->adapters.n) {
        return yzi_cli_usage(c,
                             "--quota %llu: the service has %zu adapters and each of them counts "
                             "its own part, so it must be at least %zu",
                             (unsigned long long)quota, s->adapters.n, s->adapters.n);
    }
    fine->quota_per_day = (uint32_t)quota;
    return YZ_OK;
}

/* -- the whole -- */

static bool has_pseudonyms(const struct fine_grant *fine)
{
    for (size_t i = 0; i < fine->readable_n; i++) {
        if (fine->readable[i].mask == MASK_HASH) {
            return true;
        }
    }
    return false;
}

int yzi_cli_grant_check(struct cli *c, const struct dataset *d, struct terms *terms,
                        const struct fine_grant *fine)
{
    struct rule_fault fault = {0};
    unsigned writes = 1u << QUERY_INSERT | 1u << QUERY_PUT | 1u << QUERY_DELETE;
    if (!yzi_access_rules(fine, d, true, false, &fault)) {
        return yzi_cli_usage(c, "%s", fault.text);
    }
    if (fine->row_filter_n && (fine->operations & writes)) {
        return yzi_cli_usage(c, "--where: a grant to insert, put or delete has no row filter; give "
                                "the right to read in a grant of its own");
    }
    if (has_pseudonyms(fine) && !terms->has_pseudonym_key) {
        randombytes_buf(terms->pseudonym_key, sizeof terms->pseudonym_key);
        terms->has_pseudonym_key = true;
    }
    return YZ_OK;
}
