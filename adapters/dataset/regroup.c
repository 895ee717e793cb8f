/* SPDX-License-Identifier: Apache-2.0
 *
 * An order that tells nothing. An index leads to records in the order of all its fields and then of
 * the key, whoever asks; where some of these are hidden from the question, their order would show
 * which of two hidden values is the greater. So the rows are sorted once more: by what the query
 * orders by, and within that by the bytes they show.
 */
#include "adapters/dataset/query_impl.h"

#define KEY_MAX ((size_t)YZ_QUERY_ORDER_MAX * (2u * YZ_VALUE_MAX + 16u))

struct row_mark {
    uint32_t group;
    yz_bytes row; /* in the copy that is sorted from; before, p is unset and n alone counts */
};

void yzi_regroup_init(struct regroup *r)
{
    *r = (struct regroup){0};
    yzi_buf_init(&r->key, KEY_MAX);
    yzi_buf_init(&r->last, KEY_MAX);
}

void yzi_regroup_fini(struct regroup *r)
{
    free(r->marks);
    yzi_buf_wipe(&r->key);
    yzi_buf_wipe(&r->last);
}

/* What the query orders by, of one record. A sealed field in an order has one value only. */
static int put_key(const struct dataset *d, const struct query *q,
                   const struct query_value split[DATASET_FIELDS_MAX], yz_buf *out)
{
    yzi_buf_clear(out);
    for (size_t i = 0; i < q->order_n; i++) {
        int field = yzi_dataset_field(d, q->order[i].field);
        YZ_ENSURE(field >= 0, YZ_EINTERNAL);
        if (yzi_field_is_sealed(&d->fields[field])) {
            continue;
        }
        YZ_TRY(yzi_buf_put_u8(out, !split[field].null));
        YZ_TRY(split[field].null ? 0 : yzi_key_put_plain(&d->fields[field], split[field].v, out));
    }
    return 0;
}

static int grow(struct regroup *r)
{
    if (r->n < r->cap) {
        return 0;
    }
    size_t cap = r->cap ? 2 * r->cap : 64;
    struct row_mark *more = reallocarray(r->marks, cap, sizeof *more);
    YZ_ENSURE(more, YZ_ENOMEM);
    r->marks = more;
    r->cap = cap;
    return 0;
}

int yzi_regroup_add(struct regroup *r, const struct dataset *d, const struct query *q,
                    const struct query_value split[DATASET_FIELDS_MAX], const yz_buf *rows,
                    size_t at)
{
    YZ_TRY(grow(r));
    YZ_TRY(put_key(d, q, split, &r->key));
    r->group += r->n > 0 && !yzi_bytes_eq(yzi_bytes_buf(&r->key), yzi_bytes_buf(&r->last));
    yz_buf key = r->key; /* the one before it is room for the next */
    r->key = r->last;
    r->last = key;
    r->marks[r->n++] = (struct row_mark){.group = r->group, .row = {.n = rows->n - at}};
    return 0;
}

static int compare_marks(const void *a, const void *b)
{
    const struct row_mark *x = a, *y = b;
    return x->group != y->group ? (x->group < y->group ? -1 : 1) : yzi_bytes_cmp(x->row, y->row);
}

int yzi_regroup_sort(struct regroup *r, yz_buf *rows, size_t start)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf copy = {0};
    yzi_buf_init(&copy, rows->n - start);
    YZ_ENSURE(r->n > 0, 0);
    YZ_TRY(yzi_buf_put(&copy, yzi_bytes(rows->p + start, rows->n - start)));
    const uint8_t *p = copy.p;
    for (size_t i = 0; i < r->n; i++) {
        r->marks[i].row.p = p;
        p += r->marks[i].row.n;
    }
    qsort(r->marks, r->n, sizeof *r->marks, compare_marks);
    rows->n = start;
    for (size_t i = 0; i < r->n; i++) {
        YZ_TRY(yzi_buf_put(rows, r->marks[i].row));
    }
    return 0;
}
