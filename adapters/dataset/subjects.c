/* SPDX-License-Identifier: Apache-2.0
 *
 * Subjects of queries and of stored rows.
 */
#include "adapters/dataset/subjects.h"

#include "adapters/dataset/query_impl.h"

#define CANONICAL_MAX ((size_t)DATASET_KEY_MAX * YZ_VALUE_MAX)
#define ARENA_MAX (2u * YZ_MESSAGE_MAX) /* the values of all conditions, and their list */

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

/* The values that a field of the key may have, each once. */
struct choice {
    struct query_value *values;
    size_t n;
    bool there; /* some condition says them */
};

static bool is_chosen(const struct choice *c, yz_bytes v)
{
    for (size_t i = 0; i < c->n; i++) {
        if (!c->values[i].null && yzi_bytes_eq(c->values[i].v, v)) {
            return true;
        }
    }
    return false;
}

/* In canonical form, in the arena; false: it is no value of the field and stands as it is. */
static int canonical_value(struct naming *n, const struct dataset_field *f, struct arena *arena,
                           struct query_value *v, bool *is)
{
    const char *why = NULL;
    yzi_buf_clear(&n->canonical);
    int rc = v->null ? YZ_EDATA : yzi_field_check_raw(f, v->v, &n->canonical, &why);
    *is = rc == YZ_OK;
    YZ_ENSURE(rc != YZ_EDATA, YZ_OK);
    YZ_TRY(rc);
    return yzi_arena_dup(arena, yzi_bytes_buf(&n->canonical), &v->v);
}

/* Repeated, or spelt in several ways, a value is one: else many of them would be more combinations
 * than are named, and hide whom they are about. */
static int choose(struct naming *n, const struct dataset_field *f, const struct query_condition *c,
                  struct arena *arena, struct choice *out)
{
    *out = (struct choice){.there = true};
    YZ_TRY(yzi_arena_new(arena, c->values_n, sizeof *out->values, &out->values));
    for (size_t i = 0; i < c->values_n; i++) {
        struct query_value v = c->values[i];
        bool is;
        YZ_TRY(canonical_value(n, f, arena, &v, &is));
        if (!is || !is_chosen(out, v.v)) {
            out->values[out->n++] = v;
        }
    }
    return YZ_OK;
}

/* Of several conditions on the field the one with the fewest values: what is asked for meets all.
 */
static int choose_least(struct naming *n, const struct query *q, const struct dataset_field *f,
                        struct arena *arena, struct choice *out)
{
    *out = (struct choice){0};
    for (size_t i = 0; i < q->filter_n; i++) {
        const struct query_condition *c = &q->filter[i];
        struct choice one;
        if ((c->op != OP_EQ && c->op != OP_IN) || !yzi_bytes_eq_str(c->field, f->name)) {
            continue;
        }
        YZ_TRY(choose(n, f, c, arena, &one));
        *out = !out->there || one.n < out->n ? one : *out;
    }
    return YZ_OK;
}

/* Each combination once; the last field's values change fastest. */
static int name_combinations(struct naming *n, const struct choice of[DATASET_KEY_MAX], size_t all)
{
    for (size_t i = 0; i < all; i++) {
        struct query_value key[DATASET_KEY_MAX];
        size_t rest = i;
        for (size_t k = n->d->key_n; k-- > 0;) {
            key[k] = of[k].values[rest % of[k].n];
            rest /= of[k].n;
        }
        YZ_TRY(name(n, key, n->d->key_n));
    }
    return YZ_OK;
}

static int name_conditions(struct naming *n, const struct query *q)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    struct choice of[DATASET_KEY_MAX];
    size_t all = 1;
    yzi_arena_init(&arena, ARENA_MAX);
    for (size_t k = 0; n->d && k < n->d->key_n; k++) {
        YZ_TRY(choose_least(n, q, &n->d->fields[n->d->key[k]], &arena, &of[k]));
        all *= of[k].n;
        if (all == 0 || all > YZ_QUERY_KEYS_MAX) {
            return YZ_OK;
        }
    }
    return n->d ? name_combinations(n, of, all) : YZ_OK;
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
