/* SPDX-License-Identifier: Apache-2.0
 *
 * Subjects of queries and of stored rows.
 */
#include "adapters/dataset/subjects.h"

#include "adapters/dataset/query_impl.h"

#define CANONICAL_MAX ((size_t)DATASET_KEY_MAX * YZ_VALUE_MAX)

struct naming {
    const struct dataset *d; /* may be NULL */
    enum subject_how how;
    yz_buf *out;
    yz_buf canonical; /* of one key; wiped */
};

/* -- one key -- */

/* Its parts in canonical form, as views into n->canonical, or as they are when one is wrong. */
static int normalise(struct naming *n, struct subject *s)
{
    const struct dataset *d = n->d;
    struct subject canonical = *s;
    size_t ends[YZ_QUERY_KEY_PARTS_MAX], start = 0;
    if (!d || s->parts_n != d->key_n) {
        return YZ_OK;
    }
    yzi_buf_clear(&n->canonical);
    for (size_t i = 0; i < s->parts_n; i++) {
        const char *why = NULL;
        int rc = s->parts[i].null ? YZ_EDATA
                                  : yzi_field_check_raw(&d->fields[d->key[i]], s->parts[i].v,
                                                        &n->canonical, &why);
        if (rc == YZ_EDATA) {
            return YZ_OK;
        }
        YZ_TRY(rc);
        ends[i] = n->canonical.n;
    }
    for (size_t i = 0; i < s->parts_n; i++) {
        canonical.parts[i].v = yzi_bytes(n->canonical.p + start, ends[i] - start);
        start = ends[i];
    }
    *s = canonical;
    return YZ_OK;
}

static int name(struct naming *n, const struct query_value *parts, size_t parts_n)
{
    struct subject s = {.how = n->how, .parts_n = parts_n};
    if (parts_n == 0 || parts_n > YZ_QUERY_KEY_PARTS_MAX) {
        return YZ_OK;
    }
    memcpy(s.parts, parts, parts_n * sizeof *parts);
    YZ_TRY(normalise(n, &s));
    return yzi_subject_put(n->out, &s);
}

/* -- rows that are brought -- */

/* Where the key's fields are among the query's; false when one is missing. */
static bool find_columns(const struct naming *n, const struct query *q, size_t at[DATASET_KEY_MAX])
{
    for (size_t k = 0; k < n->d->key_n; k++) {
        const char *field = n->d->fields[n->d->key[k]].name;
        at[k] = 0;
        while (at[k] < q->fields_n && !yzi_bytes_eq_str(q->fields[at[k]], field)) {
            at[k]++;
        }
        if (at[k] == q->fields_n) {
            return false;
        }
    }
    return true;
}

static int name_rows(struct naming *n, const struct query *q, yz_bytes body)
{
    size_t at[DATASET_KEY_MAX];
    struct query_value row[YZ_QUERY_FIELDS_MAX], key[DATASET_KEY_MAX];
    yz_reader r = yzi_reader(body);
    if (!n->d || q->fields_n > YZ_QUERY_FIELDS_MAX || !find_columns(n, q, at)) {
        return YZ_OK;
    }
    for (uint32_t i = 0; i < q->rows; i++) {
        for (size_t f = 0; f < q->fields_n; f++) {
            YZ_TRY(yzi_row_next(&r, &row[f]));
        }
        for (size_t k = 0; k < n->d->key_n; k++) {
            key[k] = row[at[k]];
        }
        YZ_TRY(name(n, key, n->d->key_n));
    }
    return YZ_OK;
}

/* -- conditions that give the key -- */

static const struct query_condition *fixing(const struct query *q, const char *field)
{
    for (size_t i = 0; i < q->filter_n; i++) {
        if ((q->filter[i].op == OP_EQ || q->filter[i].op == OP_IN) &&
            yzi_bytes_eq_str(q->filter[i].field, field)) {
            return &q->filter[i];
        }
    }
    return NULL;
}

/* Each combination of the values once; the last field's change fastest. */
static int name_conditions(struct naming *n, const struct query *q)
{
    const struct query_condition *of[DATASET_KEY_MAX];
    size_t all = 1;
    for (size_t k = 0; n->d && k < n->d->key_n; k++) {
        of[k] = fixing(q, n->d->fields[n->d->key[k]].name);
        all *= of[k] ? of[k]->values_n : 0;
        if (all == 0 || all > YZ_QUERY_KEYS_MAX) {
            return YZ_OK;
        }
    }
    for (size_t i = 0; n->d && i < all; i++) {
        struct query_value key[DATASET_KEY_MAX];
        size_t rest = i;
        for (size_t k = n->d->key_n; k-- > 0;) {
            key[k] = of[k]->values[rest % of[k]->values_n];
            rest /= of[k]->values_n;
        }
        YZ_TRY(name(n, key, n->d->key_n));
    }
    return YZ_OK;
}

static int name_all(struct naming *n, const struct query *q, yz_bytes body)
{
    if (yzi_operation_brings_rows(q->operation)) {
        return name_rows(n, q, body);
    }
    for (size_t i = 0; i < q->keys_n; i++) {
        YZ_TRY(name(n, q->keys[i].parts, q->keys[i].parts_n));
    }
    return q->operation == QUERY_FIND || q->operation == QUERY_COUNT ? name_conditions(n, q)
                                                                     : YZ_OK;
}

int yzi_subjects_of_query(const struct dataset *d, const struct query *q, yz_bytes body,
                          enum subject_how how, yz_buf *out)
{
    struct naming n = {.d = d, .how = how, .out = out};
    yzi_buf_init(&n.canonical, CANONICAL_MAX);
    int rc = yzi_buf_reserve(&n.canonical, 1); /* views of empty parts need a pointer, too */
    rc = rc < 0 ? rc : name_all(&n, q, body);
    yzi_buf_wipe(&n.canonical);
    return rc;
}

/* -- a stored row -- */

int yzi_row_subject(const struct row_layout *l, yz_bytes key,
                    const struct query_value split[DATASET_FIELDS_MAX], enum subject_how how,
                    yz_buf *plain, yz_buf *out)
{
    const struct dataset *d = l->dataset;
    size_t before = out->n;
    int rc = yzi_subject_begin(out, how, d->key_n);
    for (size_t k = 0; k < d->key_n && rc == YZ_OK; k++) {
        struct query_value v = split[d->key[k]];
        if (!v.null && yzi_field_is_sealed(&d->fields[d->key[k]])) {
            rc = yzi_row_open(l, key, d->key[k], v.v, plain, &v);
        }
        rc = rc < 0 ? rc : yzi_subject_part(out, &v);
    }
    if (rc < 0) {
        out->n = before;
    }
    return rc == YZ_ELIMIT ? YZ_ETOOBIG : rc;
}
