/* SPDX-License-Identifier: Apache-2.0
 *
 * Answering a get: every key is checked and encoded before the transaction begins, so that a wrong
 * query costs no transaction and a transaction is no longer than its reads. What the transaction
 * shows is copied out before it ends.
 */
#include "adapters/dataset/query_impl.h"
#include "base/clock.h"

#define CODED_MAX (2u * YZ_VALUE_MAX + 8u)
#define ARENA_MAX (16u * 1024u * 1024u)

struct getter {
    struct generation *generation; /* pinned */
    const struct query *query;
    const unsigned *projection;
    size_t projection_n;
    const struct query_view *view;
    const struct query_limits *limits;
    uint32_t rows_max;
    yz_buf *rows;
    size_t rows_start;
    yz_buf keys;         /* u16 length ‖ key, for each key of the query */
    yz_buf plain, coded; /* an opened value; wiped */
    struct arena arena;
    struct conditions row_filter;
};

/* -- keys -- */

/* One key of the query, in canonical form, encoded into `key`. */
static int encode_key(struct getter *g, const struct query_key *k, yz_buf *canonical, yz_buf *key,
                      struct query_fault *fault)
{
    const struct dataset *d = g->generation->layout.dataset;
    yz_bytes parts[DATASET_KEY_MAX];
    size_t ends[DATASET_KEY_MAX], start = 0;
    if (k->parts_n != d->key_n) {
        return yzi_query_refuse(fault, "bad-key", "the key has %zu part%s", d->key_n,
                                d->key_n == 1 ? "" : "s");
    }
    yzi_buf_clear(canonical);
    for (size_t i = 0; i < k->parts_n; i++) {
        const struct dataset_field *f = &d->fields[d->key[i]];
        const char *why = "is missing";
        int rc =
            k->parts[i].null ? YZ_EDATA : yzi_field_check_raw(f, k->parts[i].v, canonical, &why);
        if (rc == YZ_EDATA) {
            return yzi_query_refuse(fault, k->parts[i].null ? "bad-key" : "bad-value",
                                    "a value for %s %s", f->name, why);
        }
        YZ_TRY(rc);
        ends[i] = canonical->n;
    }
    for (size_t i = 0; i < k->parts_n; i++) {
        parts[i] = yzi_bytes(canonical->p + start, ends[i] - start);
        start = ends[i];
    }
    return yzi_key_encode(d, g->generation->layout.keys, parts, key);
}

static int encode_keys(struct getter *g, yz_buf *canonical, struct query_fault *fault)
{
    YZ_AUTO(yzi_buf_fini) yz_buf key = {0};
    yzi_buf_init(&key, (size_t)DATASET_KEY_MAX * YZ_DB_KEY_MAX);
    for (size_t i = 0; i < g->query->keys_n; i++) {
        YZ_TRY(encode_key(g, &g->query->keys[i], canonical, &key, fault));
        YZ_TRY(yzi_buf_put_u16(&g->keys, (uint16_t)key.n));
        YZ_TRY(yzi_buf_put(&g->keys, yzi_bytes_buf(&key)));
    }
    return 0;
}

/* -- rows -- */

int yzi_row_project(const struct row_layout *l, yz_bytes key,
                    const struct query_value split[DATASET_FIELDS_MAX], const unsigned *projection,
                    size_t projection_n, const struct query_view *view, yz_buf *plain, yz_buf *rows)
{
    uint8_t room[QUERY_MASKED_MAX];
    for (size_t i = 0; i < projection_n; i++) {
        unsigned field = projection[i];
        struct query_value v = split[field];
        if (!v.null && yzi_field_is_sealed(&l->dataset->fields[field])) {
            YZ_TRY(yzi_row_open(l, key, field, v.v, plain, &v));
        }
        YZ_TRY(view && view->mask ? view->mask(view->mask_ctx, i, &v, room, &v) : 0);
        int rc = yzi_row_put(rows, &v);
        YZ_TRY(rc == YZ_ELIMIT ? YZ_ETOOBIG : rc);
    }
    return 0;
}

/* A record that the row filter hides is as one that does not exist. */
static int put_row(struct getter *g, yz_bytes key, yz_bytes stored, uint32_t *rows)
{
    const struct row_layout *l = &g->generation->layout;
    struct query_value values[DATASET_FIELDS_MAX];
    struct stored_row row;
    bool visible;
    YZ_TRY(yzi_row_decode(stored, &row));
    YZ_TRY(yzi_row_split(l, &row, values));
    YZ_TRY(yzi_conditions_hold(&g->row_filter, CONDITIONS_ALL, l, key, values, &g->plain, &g->coded,
                               &visible));
    if (!visible) {
        return 0;
    }
    YZ_ENSURE(*rows < g->rows_max, YZ_ETOOBIG);
    YZ_TRY(yzi_row_project(l, key, values, g->projection, g->projection_n, g->view, &g->plain,
                           g->rows));
    ++*rows;
    if (g->limits->subjects) {
        YZ_TRY(yzi_row_subject(l, key, values, SUBJECT_GIVEN, &g->plain, g->limits->subjects));
    }
    return g->rows->n - g->rows_start <= g->limits->bytes ? 0 : YZ_ETOOBIG;
}

static bool is_late(const struct getter *g)
{
    uint64_t deadline = g->limits->deadline_mono_ms;
    return deadline != 0 && yzi_mono_ms(&yzi_clock_system) >= deadline;
}

static int put_rows(struct getter *g, struct db_txn *t, uint32_t *out_rows)
{
    uint32_t rows = 0;
    for (yz_reader r = yzi_reader(yzi_bytes_buf(&g->keys)); r.left;) {
        uint16_t n;
        yz_bytes key, stored;
        YZ_TRY(yzi_read_u16(&r, &n));
        YZ_TRY(yzi_read_bytes(&r, n, &key));
        YZ_ENSURE(!is_late(g), YZ_ETIMEOUT);
        int rc = yzi_db_get(t, g->generation->records, key, &stored);
        if (rc == YZ_ENOTFOUND) {
            continue;
        }
        YZ_TRY(rc);
        YZ_TRY(put_row(g, key, stored, &rows));
    }
    *out_rows = rows;
    return 0;
}

static int read_rows(struct getter *g, struct query_result *out)
{
    struct query_result result;
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(yzi_db_begin_read(g->generation->env, &t));
    YZ_TRY(yzi_generation_sequence(g->generation, t, &result.sequence));
    YZ_TRY(put_rows(g, t, &result.rows));
    *out = result;
    return 0;
}

static int run(struct getter *g, struct query_result *out, struct query_fault *fault)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf canonical = {0};
    yzi_buf_init(&canonical, (size_t)DATASET_KEY_MAX * YZ_VALUE_MAX);
    YZ_TRY(yzi_buf_reserve(&canonical, 1)); /* views of empty parts need a pointer, too */
    YZ_TRY(encode_keys(g, &canonical, fault));
    YZ_TRY(yzi_row_filter_read(g->generation->layout.dataset, g->view, &g->arena, &g->row_filter));
    return read_rows(g, out);
}

static int check_query(const struct query *q, struct query_fault *fault)
{
    /* Ignoring a condition would answer another question than was asked. */
    YZ_ENSURE(q->operation == QUERY_GET && q->filter_n == 0 && q->order_n == 0 &&
                  q->cursor.n == 0 && q->predicates_n == 0,
              YZ_EUNSUPPORTED);
    if (q->keys_n > YZ_QUERY_KEYS_MAX) {
        return yzi_query_refuse(fault, "too-many-keys", "at most %u keys are asked for at once",
                                YZ_QUERY_KEYS_MAX);
    }
    if (q->keys_n == 0) {
        return yzi_query_refuse(fault, "bad-key", "no key is asked for");
    }
    return 0;
}

int yzi_store_get(struct store *s, const struct dataset *d, const struct query *q,
                  const unsigned *projection, size_t projection_n, const struct query_view *view,
                  const struct query_limits *limits, yz_buf *rows, struct query_result *out,
                  struct query_fault *fault)
{
    YZ_TRY(check_query(q, fault));
    for (size_t i = 0; i < projection_n; i++) {
        YZ_ASSERT(projection[i] < d->fields_n);
    }
    YZ_AUTO(yzi_generation_unpin) struct generation *pinned = NULL;
    YZ_TRY(yzi_generation_pin_by(s, d, &pinned));
    struct getter g = {.generation = pinned,
                       .query = q,
                       .projection = projection,
                       .projection_n = projection_n,
                       .view = view,
                       .limits = limits,
                       .rows_max = q->limit && q->limit < limits->rows ? q->limit : limits->rows,
                       .rows = rows,
                       .rows_start = rows->n};
    size_t subjects_start = limits->subjects ? limits->subjects->n : 0;
    yzi_buf_init(&g.keys, (size_t)YZ_QUERY_KEYS_MAX * (2 + YZ_DB_KEY_MAX));
    yzi_buf_init(&g.plain, YZ_VALUE_MAX + 64u);
    yzi_buf_init(&g.coded, CODED_MAX);
    yzi_arena_init(&g.arena, ARENA_MAX);
    int rc = run(&g, out, fault);
    yzi_buf_fini(&g.keys);
    yzi_buf_wipe(&g.plain);
    yzi_buf_wipe(&g.coded);
    yzi_arena_fini(&g.arena);
    if (rc < 0) {
        rows->n = g.rows_start;
        if (limits->subjects) {
            limits->subjects->n = subjects_start;
        }
    }
    return rc;
}
