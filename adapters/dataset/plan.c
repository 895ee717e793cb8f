/* SPDX-License-Identifier: Apache-2.0
 *
 * Choosing an index. A candidate (each index that is whole, and the records by key) is followed
 * from its first field: equals binds a field, in binds it several times, and behind these one
 * range or prefix ends what it can serve. The fields an order names, less those bound to one value,
 * must be the candidate's next ones, less those, all in one direction. Of the candidates that do,
 * the one that binds most wins.
 */
#include <limits.h>

#include "adapters/dataset/query_impl.h"

#define PART_MAX (2u * YZ_VALUE_MAX + 16u)
#define BOUND_MAX ((size_t)DATASET_KEY_MAX * PART_MAX)

struct candidate {
    const struct generation *g;
    const struct dataset *d;
    const struct conditions *c;
    const bool *hidden; /* may be NULL */
    struct arena *arena;
    int index;
    const unsigned *fields;
    size_t fields_n;
    struct plan plan;
    size_t bound;   /* leading fields bound by equals or in */
    bool has_range; /* and the next one by a range or a prefix */
    yz_buf scratch; /* wiped */
};

/* -- what conditions say of a field -- */

/* The first condition on the field with one of the operators (a bit each), or -1; one of a row
 * filter goes before the others. */
static int find_condition(const struct conditions *c, unsigned field, unsigned operators)
{
    int found = -1;
    for (size_t i = 0; i < c->n; i++) {
        if (c->of[i].field == field && (operators & 1u << c->of[i].op) &&
            (found < 0 || (c->of[i].must && !c->of[found].must))) {
            found = (int)i;
        }
    }
    return found;
}

static int find_binding(const struct conditions *c, unsigned field)
{
    int one = find_condition(c, field, 1u << OP_EQ);
    return one >= 0 ? one : find_condition(c, field, 1u << OP_IN);
}

/* Whether all records that meet the filter have the same value there. */
static bool is_constant(const struct conditions *c, unsigned field)
{
    int i = find_binding(c, field);
    return i >= 0 && c->of[i].values_n <= 1;
}

/* -- bounds -- */

static int put_part(const struct candidate *x, unsigned field, const struct query_value *v,
                    yz_buf *out)
{
    const struct dataset_field *f = &x->d->fields[field];
    const struct store_keys *keys = x->g->layout.keys;
    if (x->index != PLAN_KEY) {
        return yzi_index_put_part(x->d, keys, field, v, out);
    }
    return yzi_field_is_sealed(f) ? yzi_key_put_hash(x->d, f, keys->hash, v->v, out)
                                  : yzi_key_put_plain(f, v->v, out);
}

/* The first key behind all that begin with these bytes; false: there is none. */
static bool successor(yz_buf *b)
{
    while (b->n && b->p[b->n - 1] == 0xff) {
        b->n--;
    }
    if (b->n == 0) {
        return false;
    }
    b->p[b->n - 1]++;
    return true;
}

enum bound { BOUND_AT, BOUND_BEHIND };

/* head ‖ tail, or what comes behind all that begins so. Beyond INDEX_CUT bytes keys tell no more,
 * so a bound is cut there to where it includes more rather than less. */
static int set_bound(struct candidate *x, yz_bytes head, yz_bytes tail, enum bound kind, bool upper,
                     struct plan_range *r)
{
    bool there = true, whole = head.n <= INDEX_CUT;
    yzi_buf_clear(&x->scratch);
    YZ_TRY(yzi_buf_put(&x->scratch, head));
    if (whole) {
        YZ_TRY(yzi_buf_put(&x->scratch, tail));
        there = kind == BOUND_AT || successor(&x->scratch);
    }
    if (x->scratch.n > INDEX_CUT) {
        x->scratch.n = INDEX_CUT;
        r->loose = true;
        there = !upper || successor(&x->scratch);
    }
    if (upper) {
        r->has_hi = there;
    } else if (!there) { /* nothing comes behind the greatest value: an empty range */
        r->has_hi = true;
        r->hi = yzi_bytes_str("");
    }
    return yzi_arena_dup(x->arena, there ? yzi_bytes_buf(&x->scratch) : yzi_bytes_str(""),
                         upper ? &r->hi : &r->lo);
}

/* -- binding fields -- */

static int compare_ranges(const void *a, const void *b)
{
    const struct plan_range *x = a, *y = b;
    return yzi_bytes_cmp(x->lo, y->lo);
}

/* Each range so far, continued by each of the condition's values. A key field always has a value,
 * so the records by key have none where none is asked for. */
static int bind_field(struct candidate *x, unsigned field, const struct condition *c)
{
    struct plan *p = &x->plan;
    struct plan_range *ranges;
    size_t n = 0;
    YZ_TRY(yzi_arena_new(x->arena, p->ranges_n * c->values_n, sizeof *ranges, &ranges));
    for (size_t i = 0; i < p->ranges_n; i++) {
        for (size_t k = 0; k < c->values_n; k++) {
            if (c->values[k].null && x->index == PLAN_KEY) {
                continue;
            }
            yzi_buf_clear(&x->scratch);
            YZ_TRY(yzi_buf_put(&x->scratch, p->ranges[i].lo));
            YZ_TRY(put_part(x, field, &c->values[k], &x->scratch));
            x->scratch.n = x->scratch.n > INDEX_CUT ? INDEX_CUT + 1 : x->scratch.n;
            YZ_TRY(yzi_arena_dup(x->arena, yzi_bytes_buf(&x->scratch), &ranges[n++].lo));
        }
    }
    qsort(ranges, n, sizeof *ranges, compare_ranges);
    p->ranges = ranges;
    p->ranges_n = n;
    return 0;
}

static int bind_fields(struct candidate *x)
{
    for (; x->bound < x->fields_n; x->bound++) {
        int i = find_binding(x->c, x->fields[x->bound]);
        if (i < 0 || x->plan.ranges_n * x->c->of[i].values_n > PLAN_RANGES_MAX) {
            return 0;
        }
        YZ_TRY(bind_field(x, x->fields[x->bound], &x->c->of[i]));
        x->plan.served |= UINT64_C(1) << i;
    }
    return 0;
}

/* -- the range behind them -- */

struct limits {
    int low, high, prefix; /* conditions, -1: none */
};

static bool is_must(const struct conditions *c, int condition)
{
    return condition >= 0 && c->of[condition].must;
}

/* A prefix or a range; which of them when there are both, the row filter says. */
static struct limits find_limits(const struct candidate *x)
{
    struct limits l = {-1, -1, -1};
    if (x->bound < x->fields_n) {
        unsigned field = x->fields[x->bound];
        l.prefix = find_condition(x->c, field, 1u << OP_PREFIX);
        l.low = find_condition(x->c, field, 1u << OP_GE | 1u << OP_GT);
        l.high = find_condition(x->c, field, 1u << OP_LE | 1u << OP_LT);
        bool range = is_must(x->c, l.low) || is_must(x->c, l.high);
        if (l.prefix >= 0 && range && !is_must(x->c, l.prefix)) {
            l.prefix = -1;
        } else if (l.prefix >= 0) {
            l.low = l.high = -1;
        }
    }
    return l;
}

static yz_bytes coded(const struct candidate *x, int condition)
{
    return condition < 0 ? yzi_bytes_str("") : x->c->of[condition].coded[0];
}

/* What every part with a value begins with (index.c); record keys have no such mark. */
static int put_mark(struct candidate *x, yz_bytes head, yz_bytes *out)
{
    yzi_buf_clear(&x->scratch);
    YZ_TRY(yzi_buf_put(&x->scratch, head));
    if (x->index != PLAN_KEY) {
        YZ_TRY(yzi_buf_put_u8(&x->scratch, 1));
    }
    return yzi_arena_dup(x->arena, yzi_bytes_buf(&x->scratch), out);
}

static int close_range(struct candidate *x, const struct limits *l, struct plan_range *r)
{
    yz_bytes head = r->lo, none = yzi_bytes_str("");
    if (!x->has_range) {
        YZ_TRY(set_bound(x, head, none, BOUND_BEHIND, true, r));
        return set_bound(x, head, none, BOUND_AT, false, r);
    }
    YZ_TRY(put_mark(x, head, &head));
    if (l->prefix >= 0) {
        yz_bytes v = coded(x, l->prefix);
        YZ_TRY(set_bound(x, head, v, BOUND_BEHIND, true, r));
        return set_bound(x, head, v, BOUND_AT, false, r);
    }
    bool above = l->low >= 0 && x->c->of[l->low].op == OP_GT;
    bool upto = l->high < 0 || x->c->of[l->high].op == OP_LE;
    YZ_TRY(set_bound(x, head, coded(x, l->high), upto ? BOUND_BEHIND : BOUND_AT, true, r));
    return set_bound(x, head, coded(x, l->low), above ? BOUND_BEHIND : BOUND_AT, false, r);
}

static int close_ranges(struct candidate *x)
{
    struct limits l = find_limits(x);
    const int used[] = {l.low, l.high, l.prefix};
    for (size_t i = 0; i < 3; i++) {
        if (used[i] >= 0) {
            x->plan.served |= UINT64_C(1) << used[i];
            x->has_range = true;
        }
    }
    struct plan *p = &x->plan;
    size_t n = 0;
    for (size_t i = 0; i < p->ranges_n; i++) {
        YZ_TRY(close_range(x, &l, &p->ranges[i]));
        /* cut values that begin alike are one range */
        if (n == 0 || !yzi_bytes_eq(p->ranges[n - 1].lo, p->ranges[i].lo)) {
            p->ranges[n++] = p->ranges[i];
        }
    }
    p->ranges_n = n;
    return 0;
}

static int follow(struct candidate *x)
{
    YZ_TRY(yzi_arena_new(x->arena, 1, sizeof *x->plan.ranges, &x->plan.ranges));
    x->plan.ranges_n = 1;
    x->plan.ranges[0].lo = yzi_bytes_str("");
    YZ_TRY(bind_fields(x));
    return close_ranges(x);
}

/* -- order -- */

/* Whether an entry of the index may be of records or values that are hidden from the question. */
static bool is_narrowed(const struct candidate *x)
{
    for (size_t i = 0; i < x->c->n; i++) {
        if (x->c->of[i].must) {
            return true;
        }
    }
    for (size_t i = 0; x->hidden && i < x->fields_n; i++) {
        if (x->hidden[x->fields[i]]) {
            return true;
        }
    }
    return false;
}

/* Cut entries have no order among themselves; sealed fields have none at all. Whether an index
 * holds a cut entry must not tell of records that are hidden: then what the definition allows
 * decides. */
static bool has_order(const struct candidate *x)
{
    if (x->index == PLAN_KEY) {
        return true;
    }
    return is_narrowed(x) ? yzi_index_entry_max(x->d, &x->d->indexes[x->index]) <= INDEX_WHOLE_MAX
                          : !atomic_load(&x->g->indexes[x->index].cut);
}

static bool gives_order(struct candidate *x, const struct query *q)
{
    size_t at = 0;
    bool first = true;
    for (size_t i = 0; i < q->order_n; i++) {
        int field = yzi_dataset_field(x->d, q->order[i].field);
        if (is_constant(x->c, (unsigned)field)) {
            continue;
        }
        while (at < x->fields_n && is_constant(x->c, x->fields[at])) {
            at++;
        }
        if (at == x->fields_n || x->fields[at] != (unsigned)field ||
            yzi_field_is_sealed(&x->d->fields[field]) || !has_order(x) ||
            (!first && q->order[i].descending != x->plan.backward)) {
            return false;
        }
        x->plan.backward = q->order[i].descending;
        first = false;
        at++;
    }
    return true;
}

/* -- choosing -- */

/* More fields bound, then a range behind them, then an order that may be shown, then fewer ranges,
 * then the shorter index. */
static bool is_better(const struct candidate *a, const struct candidate *b)
{
    if (a->bound != b->bound) {
        return a->bound > b->bound;
    }
    if (a->has_range != b->has_range) {
        return a->has_range;
    }
    if (a->plan.regroups != b->plan.regroups) {
        return b->plan.regroups;
    }
    if (a->plan.ranges_n != b->plan.ranges_n) {
        return a->plan.ranges_n < b->plan.ranges_n;
    }
    return a->fields_n < b->fields_n;
}

struct choice {
    struct candidate best;
    bool found;
    bool served;   /* some candidate serves the filter, but not the order */
    bool building; /* one that is not whole yet might */
};

/* Whether the ranges stand for something of the filter, and for all of the row filter: then no
 * record is looked at that this hides. A range of cut values leads to others than are meant. */
static bool serves(const struct candidate *x)
{
    bool narrow = false;
    for (size_t i = 0; i < x->c->n; i++) {
        if (x->c->of[i].must && !(x->plan.served & UINT64_C(1) << i)) {
            return false;
        }
        narrow = narrow || x->c->of[i].must;
    }
    for (size_t i = 0; narrow && i < x->plan.ranges_n; i++) {
        if (x->plan.ranges[i].loose) {
            return false;
        }
    }
    return x->c->n == 0 || x->plan.served != 0;
}

/* Whether records would come in an order of what is hidden: of the fields of the index, or of the
 * key, that are not the same for all of them. */
static bool follows_hidden(const struct candidate *x)
{
    bool any = false;
    for (size_t i = 0; x->hidden && i < x->fields_n; i++) {
        any = any || (x->hidden[x->fields[i]] && !is_constant(x->c, x->fields[i]));
    }
    for (size_t i = 0; x->hidden && i < x->d->key_n; i++) {
        any = any || (x->hidden[x->d->key[i]] && !is_constant(x->c, x->d->key[i]));
    }
    return any;
}

static int try_candidate(struct candidate *x, const struct query *q, struct choice *out)
{
    int rc = follow(x);
    yzi_buf_wipe(&x->scratch);
    YZ_TRY(rc);
    bool served = serves(x), ordered = gives_order(x, q);
    x->plan.regroups = follows_hidden(x);
    out->served = out->served || served;
    if (served && ordered && (!out->found || is_better(x, &out->best))) {
        out->best = *x;
        out->found = true;
    }
    return 0;
}

/* A filter that says nothing of an index's first field is not served by it. */
static bool may_serve(const struct conditions *c, unsigned first)
{
    bool says = c->n == 0;
    for (size_t i = 0; i < c->n && !says; i++) {
        says = c->of[i].field == first;
    }
    return says;
}

static int try_index(const struct generation *g, const struct conditions *c, const struct query *q,
                     const bool *hidden, int index, struct arena *arena, struct choice *out)
{
    const struct dataset *d = g->layout.dataset;
    struct candidate x = {.g = g, .d = d, .c = c, .hidden = hidden, .arena = arena, .index = index};
    x.plan.index = index;
    x.fields = index == PLAN_KEY ? d->key : d->indexes[index].fields;
    x.fields_n = index == PLAN_KEY ? d->key_n : d->indexes[index].fields_n;
    if (!may_serve(c, x.fields[0])) {
        return 0;
    }
    if (index != PLAN_KEY && atomic_load(&g->indexes[index].state) != INDEX_READY) {
        out->building = true;
        return 0;
    }
    yzi_buf_init(&x.scratch, BOUND_MAX);
    return try_candidate(&x, q, out);
}

/* -- advice -- */

static void add_name(char *text, size_t cap, const char *name, unsigned *n)
{
    size_t at = strlen(text);
    snprintf(text + at, cap - at, "%s%s", *n ? ", " : "", name);
    ++*n;
}

/* The index that would serve: what is equal, then the order, else a range. */
static void advise(const struct conditions *c, const struct query *q, char *text, size_t cap)
{
    unsigned n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < c->n && n < DATASET_KEY_MAX; i++) {
        if (find_binding(c, c->of[i].field) == (int)i) {
            add_name(text, cap, c->dataset->fields[c->of[i].field].name, &n);
        }
    }
    for (size_t i = 0; i < q->order_n && n < DATASET_KEY_MAX; i++) {
        int field = yzi_dataset_field(c->dataset, q->order[i].field);
        if (find_binding(c, (unsigned)field) < 0) {
            add_name(text, cap, c->dataset->fields[field].name, &n);
        }
    }
    for (size_t i = 0; i < c->n && q->order_n == 0; i++) {
        if (find_binding(c, c->of[i].field) < 0) {
            add_name(text, cap, c->dataset->fields[c->of[i].field].name, &n);
            return; /* one range is all an index serves */
        }
    }
}

static int refuse(const struct conditions *c, const struct query *q, const struct choice *made,
                  struct query_fault *fault)
{
    char fields[300];
    advise(c, q, fields, sizeof fields);
    if (made->building) {
        return yzi_query_refuse(fault, "index-building",
                                "no index serves this yet, one that may is being built; try again "
                                "later");
    }
    if (q->order_n && (made->served || c->n == 0)) {
        return yzi_query_refuse(fault, "no-order",
                                "no index gives this order; one on (%s) would, its texts with a "
                                "max_length; the owner of the data can add it",
                                fields);
    }
    return yzi_query_refuse(fault, "no-index",
                            "no index serves this filter; one on (%s) would, and the owner of the "
                            "data can add it",
                            fields);
}

static int check_order(const struct conditions *c, const struct query *q, struct query_fault *fault)
{
    for (size_t i = 0; i < q->order_n; i++) {
        yz_bytes name = q->order[i].field;
        int field = yzi_dataset_field(c->dataset, name);
        if (field < 0) {
            return yzi_query_refuse(fault, "unknown-field", "there is no field %.*s", (int)name.n,
                                    (const char *)name.p);
        }
        const struct dataset_field *f = &c->dataset->fields[field];
        if (yzi_field_is_sealed(f) && !is_constant(c, (unsigned)field)) {
            return yzi_query_refuse(fault, "no-order", "%s is %s and has no order", f->name,
                                    yzi_classification_name(f->classification));
        }
    }
    return 0;
}

int yzi_plan_choose(const struct generation *g, const struct conditions *c, const struct query *q,
                    const bool *hidden, int force, struct arena *arena, struct plan *out,
                    struct query_fault *fault)
{
    struct choice made = {0};
    YZ_TRY(check_order(c, q, fault));
    for (int i = PLAN_KEY; i < (int)g->layout.dataset->indexes_n; i++) {
        if (force == INT_MIN || force == i) {
            YZ_TRY(try_index(g, c, q, hidden, i, arena, &made));
        }
    }
    if (!made.found) {
        return refuse(c, q, &made, fault);
    }
    *out = made.best.plan;
    return 0;
}
