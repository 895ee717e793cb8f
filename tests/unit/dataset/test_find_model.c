/* SPDX-License-Identifier: Apache-2.0
 *
 * Random definitions, data and queries against a model that looks at every record: the rows found,
 * their order, page after page, and the counts must be the same whichever index the engine chose,
 * and what it refuses must have no index that would do. Seeds are fixed; a failure names its seed.
 */
#include "tests/unit/dataset/fixture.h"

#include <stdlib.h>

#include "adapters/dataset/find.h"
#include "adapters/dataset/record_write.h"

#define SEEDS 60
#define QUERIES 60
#define ROWS_MAX 120
#define FIELDS_MAX 6
#define INDEXES_MAX 4
#define VALUE_MAX 1200

struct value {
    bool null;
    char text[VALUE_MAX]; /* canonical */
};
struct row {
    struct value v[FIELDS_MAX];
};
struct index_of {
    size_t fields[3], n;
};
struct model {
    uint64_t rng;
    int seed;
    size_t fields_n;
    enum field_type type[FIELDS_MAX];
    bool sealed[FIELDS_MAX], unlimited[FIELDS_MAX];
    struct index_of index[INDEXES_MAX + 1]; /* the last one: the key, field 0 */
    size_t index_n;
    struct row rows[ROWS_MAX];
    size_t rows_n;
    struct dataset *d;
    struct store *s;
    struct fixture_dir dir;
    yz_secret key;
};

/* xorshift64*: fixed for ever, whatever the C library does */
static uint32_t rnd(struct model *m, uint32_t n)
{
    m->rng ^= m->rng >> 12;
    m->rng ^= m->rng << 25;
    m->rng ^= m->rng >> 27;
    return (uint32_t)((m->rng * UINT64_C(0x2545F4914F6CDD1D)) >> 33) % n;
}

/* -- definitions -- */

static const char *const type_names[] = {"",     "text",    "integer", "decimal", "date",
                                         "time", "boolean", "code",    "bytes"};

static bool may_be_indexed(const struct model *m, size_t f)
{
    return !m->sealed[f] || (m->type[f] != FIELD_BOOLEAN && m->type[f] != FIELD_CODE);
}

static void make_index(struct model *m, struct index_of *x)
{
    uint32_t want = 1 + rnd(m, 3);
    x->n = 0;
    for (uint32_t tries = 0; tries < 12 && x->n < want; tries++) {
        size_t f = rnd(m, (uint32_t)m->fields_n);
        bool there = !may_be_indexed(m, f);
        for (size_t i = 0; i < x->n; i++) {
            there = there || x->fields[i] == f;
        }
        if (!there) {
            x->fields[x->n++] = f;
        }
    }
    if (x->n == 0) {
        x->fields[x->n++] = 0;
    }
}

static void make_definition(struct model *m, bool with_indexes)
{
    char yaml[4096];
    size_t n = 0;
#define PUT(...) n += (size_t)snprintf(yaml + n, sizeof yaml - n, __VA_ARGS__)
    PUT("dataset: m%d\ntitle: {en: M}\nowner: o\nsharing: conditional\nkey: [f0]\nfields:\n",
        m->seed);
    for (size_t i = 0; i < m->fields_n; i++) {
        bool limited = (m->type[i] == FIELD_TEXT || m->type[i] == FIELD_BYTES) && !m->unlimited[i];
        PUT("  - {name: f%zu, type: %s, classification: %s%s%s}\n", i, type_names[m->type[i]],
            m->sealed[i] ? "secret" : "internal",
            m->type[i] == FIELD_CODE ? ", codes: [中, a, bb]" : "",
            limited ? ", max_length: 60" : "");
    }
    if (with_indexes && m->index_n) {
        PUT("indexes:\n");
        for (size_t i = 0; i < m->index_n; i++) {
            PUT("  - {name: i%zu, fields: [", i);
            for (size_t k = 0; k < m->index[i].n; k++) {
                PUT("%sf%zu", k ? ", " : "", m->index[i].fields[k]);
            }
            PUT("]}\n");
        }
    }
    m->d = fixture_dataset(yaml);
}

static void make_shape(struct model *m)
{
    m->fields_n = 2 + rnd(m, FIELDS_MAX - 1);
    for (size_t i = 0; i < m->fields_n; i++) {
        m->type[i] = (enum field_type)(1 + rnd(m, 8));
        m->sealed[i] = rnd(m, 4) == 0;
        m->unlimited[i] = i > 0 && rnd(m, 3) == 0;
    }
    m->type[0] = rnd(m, 2) ? FIELD_TEXT : FIELD_INTEGER;
    m->index_n = rnd(m, INDEXES_MAX + 1);
    for (size_t i = 0; i < m->index_n; i++) {
        make_index(m, &m->index[i]);
    }
}

/* -- values: few different ones, so that they meet -- */

static void make_text(struct model *m, size_t f, char *v)
{
    static const char *const bits[] = {"a", "b", "京", "é", " ", "\x7f"};
    size_t n = 0;
    v[0] = '\0';
    if (m->unlimited[f] && rnd(m, 2)) { /* equal for longer than a key */
        n = 470 + rnd(m, 3) * 20;
        memset(v, 'x', n);
        v[n] = '\0';
    }
    for (uint32_t left = rnd(m, 4); left; left--) {
        n += (size_t)sprintf(v + n, "%s", bits[rnd(m, 6)]);
    }
}

static void make_value(struct model *m, size_t f, struct value *v)
{
    static const char *const codes[] = {"中", "a", "bb"};
    static const char *const fractions[] = {"", ".5", ".25", ".000001"};
    v->null = false;
    switch (m->type[f]) {
    case FIELD_TEXT:
        make_text(m, f, v->text);
        break;
    case FIELD_INTEGER: {
        static const long long edges[] = {INT64_MIN, INT64_MIN + 1, INT64_MAX, INT64_MAX - 1};
        long long x = rnd(m, 6) ? (long long)rnd(m, 300) - 150 : edges[rnd(m, 4)];
        sprintf(v->text, "%lld", x);
        break;
    }
    case FIELD_DECIMAL: {
        unsigned whole = rnd(m, 4) ? rnd(m, 13) : rnd(m, 100000);
        const char *fraction = fractions[rnd(m, 4)];
        sprintf(v->text, "%s%u%s", (whole || *fraction) && rnd(m, 2) ? "-" : "", whole, fraction);
        break;
    }
    case FIELD_DATE:
        sprintf(v->text, "%04u-%02u-%02u", 1990 + rnd(m, 5), 1 + rnd(m, 3), 1 + rnd(m, 4));
        break;
    case FIELD_TIME:
        sprintf(v->text, "2026-01-0%uT00:00:0%u%sZ", 1 + rnd(m, 2), rnd(m, 3),
                rnd(m, 2) ? "" : ".5");
        break;
    case FIELD_BOOLEAN:
        sprintf(v->text, "%s", rnd(m, 2) ? "true" : "false");
        break;
    case FIELD_CODE:
        sprintf(v->text, "%s", codes[rnd(m, 3)]);
        break;
    case FIELD_BYTES: /* printable, so that the model may keep them as text */
        make_text(m, f, v->text);
        break;
    }
}

/* -- comparing: by type, with nothing of the engine's -- */

static long long scaled(const char *t) /* millionths */
{
    bool negative = *t == '-';
    char *end;
    long long whole = strtoll(t + negative, &end, 10), part = 0, unit = 100000;
    for (const char *p = *end == '.' ? end + 1 : end; *p; p++, unit /= 10) {
        part += (*p - '0') * unit;
    }
    return (negative ? -1 : 1) * (whole * 1000000 + part);
}

static int sign(long long a, long long b)
{
    return (a > b) - (a < b);
}

static int compare_times(const char *a, const char *b)
{
    int c = strncmp(a, b, 19);
    return c ? c : (int)(strlen(a) > 20) - (int)(strlen(b) > 20);
}

static int compare_values(enum field_type type, const struct value *a, const struct value *b)
{
    if (a->null || b->null) {
        return (int)b->null - (int)a->null;
    }
    switch (type) {
    case FIELD_INTEGER:
        return sign(strtoll(a->text, NULL, 10), strtoll(b->text, NULL, 10));
    case FIELD_DECIMAL:
        return sign(scaled(a->text), scaled(b->text));
    case FIELD_BOOLEAN:
        return (a->text[0] == 't') - (b->text[0] == 't');
    case FIELD_TIME:
        return compare_times(a->text, b->text);
    case FIELD_TEXT:
    case FIELD_DATE:
    case FIELD_CODE:
    case FIELD_BYTES:
    default:
        return strcmp(a->text, b->text);
    }
}

/* -- queries -- */

struct condition_of {
    size_t field;
    enum query_op op;
    struct value v[4];
    size_t n;
};
struct question {
    struct condition_of c[3];
    size_t c_n;
    size_t order[2];
    size_t order_n;
    bool descending;
};

static bool holds(const struct model *m, const struct condition_of *c, const struct row *r)
{
    const struct value *v = &r->v[c->field];
    if (c->op == OP_EQ || c->op == OP_IN) {
        for (size_t i = 0; i < c->n; i++) {
            if (v->null == c->v[i].null && (v->null || strcmp(v->text, c->v[i].text) == 0)) {
                return true;
            }
        }
        return false;
    }
    if (v->null) {
        return false;
    }
    if (c->op == OP_PREFIX) {
        return strncmp(v->text, c->v[0].text, strlen(c->v[0].text)) == 0;
    }
    int cmp = compare_values(m->type[c->field], v, &c->v[0]);
    bool below = c->op == OP_LE || c->op == OP_LT, equal = c->op == OP_GE || c->op == OP_LE;
    return cmp == 0 ? equal : below == (cmp < 0);
}

static bool matches(const struct model *m, const struct question *q, const struct row *r)
{
    bool all = true;
    for (size_t i = 0; i < q->c_n; i++) {
        all = all && holds(m, &q->c[i], r);
    }
    return all;
}

static void some_value(struct model *m, size_t f, bool or_null, struct value *out)
{
    if (m->rows_n && rnd(m, 3)) {
        *out = m->rows[rnd(m, (uint32_t)m->rows_n)].v[f];
        if (!out->null || or_null) {
            return;
        }
    }
    make_value(m, f, out);
}

static void make_condition(struct model *m, struct condition_of *c)
{
    c->field = rnd(m, (uint32_t)m->fields_n);
    bool text = m->type[c->field] == FIELD_TEXT || m->type[c->field] == FIELD_CODE;
    c->op = m->sealed[c->field] ? (enum query_op)(1 + rnd(m, 2)) : (enum query_op)(1 + rnd(m, 7));
    if (c->op == OP_PREFIX && !text) {
        c->op = OP_GE;
    }
    c->n = c->op == OP_IN ? 1 + rnd(m, 4) : 1;
    for (size_t i = 0; i < c->n; i++) {
        some_value(m, c->field, c->op <= OP_IN, &c->v[i]);
    }
    if (c->op == OP_PREFIX) {
        c->v[0].text[rnd(m, (uint32_t)strlen(c->v[0].text) + 1)] = '\0';
    }
}

static void make_question(struct model *m, struct question *q)
{
    q->c_n = rnd(m, 4);
    for (size_t i = 0; i < q->c_n; i++) {
        make_condition(m, &q->c[i]);
    }
    q->order_n = q->c_n == 0 ? 1 + rnd(m, 2) : rnd(m, 3) ? 0 : 1 + rnd(m, 2);
    for (size_t i = 0; i < q->order_n; i++) {
        q->order[i] = rnd(m, (uint32_t)m->fields_n);
    }
    q->descending = rnd(m, 2);
}

struct wire {
    struct query query;
    struct query_condition conditions[3];
    struct query_value values[3][4];
    struct query_order order[2];
    char names[8][8];
};

static yz_bytes name_of(struct wire *w, size_t slot, size_t field)
{
    snprintf(w->names[slot], sizeof w->names[slot], "f%zu", field);
    return yzi_bytes_str(w->names[slot]);
}

static void make_wire(const struct question *q, enum query_operation operation, struct wire *w)
{
    *w = (struct wire){.query = {.operation = operation}};
    for (size_t i = 0; i < q->c_n; i++) {
        for (size_t k = 0; k < q->c[i].n; k++) {
            const struct value *v = &q->c[i].v[k];
            w->values[i][k] = v->null ? (struct query_value){.null = true}
                                      : (struct query_value){.v = yzi_bytes_str(v->text)};
        }
        w->conditions[i] = (struct query_condition){name_of(w, i, q->c[i].field), q->c[i].op,
                                                    w->values[i], q->c[i].n};
    }
    w->query.filter = w->conditions;
    w->query.filter_n = q->c_n;
    for (size_t i = 0; i < q->order_n && operation == QUERY_FIND; i++) {
        w->order[i] = (struct query_order){name_of(w, 3 + i, q->order[i]), q->descending};
        w->query.order_n = i + 1;
    }
    w->query.order = w->order;
}

/* -- asking -- */

static const struct row *row_by_key(const struct model *m, yz_bytes key)
{
    for (size_t i = 0; i < m->rows_n; i++) {
        if (yzi_bytes_eq_str(key, m->rows[i].v[0].text)) {
            return &m->rows[i];
        }
    }
    fail_msg("seed %d: a record nobody put there", m->seed);
    return NULL;
}

static void check_page(struct model *m, const struct question *q, yz_bytes page, uint32_t rows,
                       bool *seen, const struct row **last)
{
    yz_reader r = yzi_reader(page);
    for (uint32_t i = 0; i < rows; i++) {
        struct query_value v;
        assert_int_equal(yzi_row_next(&r, &v), 0);
        const struct row *row = row_by_key(m, v.v);
        if (seen[row - m->rows] || !matches(m, q, row)) {
            fail_msg("seed %d: a record twice, or one that does not match", m->seed);
        }
        seen[row - m->rows] = true;
        for (size_t f = 1; f < m->fields_n; f++) {
            assert_int_equal(yzi_row_next(&r, &v), 0);
            assert_int_equal(v.null, row->v[f].null);
            assert_true(v.null || yzi_bytes_eq_str(v.v, row->v[f].text));
        }
        for (size_t k = 0; k < q->order_n && *last; k++) {
            int c = compare_values(m->type[q->order[k]], &(*last)->v[q->order[k]],
                                   &row->v[q->order[k]]);
            c = q->descending ? -c : c;
            if (c > 0) {
                fail_msg("seed %d: out of order", m->seed);
            }
            if (c < 0) {
                break;
            }
        }
        *last = row;
    }
    assert_int_equal(yzi_read_end(&r), 0);
}

static int ask(struct model *m, const struct wire *w, yz_bytes resume, yz_buf *rows,
               yz_buf *position, struct find_result *out, struct query_fault *fault)
{
    static const unsigned projection[] = {0, 1, 2, 3, 4, 5};
    struct query_limits limits = {.rows = 1000, .bytes = 1u << 20};
    struct find_question question = {yzi_store_dataset(m->s),
                                     &w->query,
                                     projection,
                                     w->query.operation == QUERY_FIND ? m->fields_n : 0,
                                     &limits,
                                     resume,
                                     NULL};
    return yzi_store_find(m->s, &question, rows, position, out, fault);
}

static bool is_bound(const struct question *q, size_t field)
{
    for (size_t i = 0; i < q->c_n; i++) {
        if (q->c[i].field == field) {
            return true;
        }
    }
    return false;
}

/* Refused: then no index may begin with a field of the filter, or there is an order asked for. */
static void check_refusal(struct model *m, const struct question *q, enum query_operation operation,
                          const struct query_fault *fault)
{
    bool order = operation == QUERY_FIND && q->order_n > 0;
    assert_non_null(fault->reason);
    assert_true(strcmp(fault->reason, "no-index") == 0 ||
                (order && strcmp(fault->reason, "no-order") == 0));
    m->index[m->index_n] = (struct index_of){{0}, 1};
    for (size_t i = 0; i <= m->index_n && !order; i++) {
        if (is_bound(q, m->index[i].fields[0])) {
            fail_msg("seed %d: refused although index %zu serves it", m->seed, i);
        }
    }
}

static size_t expected(const struct model *m, const struct question *q)
{
    size_t n = 0;
    for (size_t i = 0; i < m->rows_n; i++) {
        n += matches(m, q, &m->rows[i]);
    }
    return n;
}

static bool check_find(struct model *m, const struct question *q)
{
    struct wire w;
    struct find_result result;
    struct query_fault fault;
    bool seen[ROWS_MAX] = {0};
    const struct row *last = NULL;
    size_t found = 0;
    yz_buf rows, position, resume;
    yzi_buf_init(&rows, 1u << 20);
    yzi_buf_init(&position, 4096);
    yzi_buf_init(&resume, 4096);
    make_wire(q, QUERY_FIND, &w);
    w.query.limit = rnd(m, 3) ? 0 : 1 + rnd(m, 5);
    int rc;
    do {
        yzi_buf_clear(&rows);
        yzi_buf_clear(&resume);
        assert_int_equal(yzi_buf_put(&resume, yzi_bytes_buf(&position)), 0);
        rc = ask(m, &w, yzi_bytes_buf(&resume), &rows, &position, &result, &fault);
        if (rc == YZ_EINVAL) {
            check_refusal(m, q, QUERY_FIND, &fault);
            break;
        }
        assert_int_equal(rc, 0);
        check_page(m, q, yzi_bytes_buf(&rows), result.rows, seen, &last);
        found += result.rows;
        assert_int_equal(result.more, position.n > 0);
    } while (result.more);
    if (rc == 0 && found != expected(m, q)) {
        fail_msg("seed %d: %zu records instead of %zu", m->seed, found, expected(m, q));
    }
    yzi_buf_fini(&rows);
    yzi_buf_fini(&position);
    yzi_buf_fini(&resume);
    return rc == 0;
}

static bool check_count(struct model *m, const struct question *q)
{
    struct wire w;
    struct find_result result;
    struct query_fault fault;
    yz_buf none = {0};
    make_wire(q, QUERY_COUNT, &w);
    int rc = ask(m, &w, (yz_bytes){0}, &none, &none, &result, &fault);
    if (rc == YZ_EINVAL) {
        check_refusal(m, q, QUERY_COUNT, &fault);
        return false;
    }
    assert_int_equal(rc, 0);
    assert_int_equal(result.rows, 0);
    if (result.total != expected(m, q)) {
        fail_msg("seed %d: counted %llu instead of %zu", m->seed, (unsigned long long)result.total,
                 expected(m, q));
    }
    return true;
}

/* -- data -- */

static size_t place_of(const struct model *m, const char *key)
{
    size_t i = 0;
    while (i < m->rows_n && strcmp(m->rows[i].v[0].text, key) != 0) {
        i++;
    }
    return i;
}

static void change_one(struct model *m, struct record_writer *w)
{
    struct row r;
    struct query_value values[FIELDS_MAX];
    for (size_t f = 0; f < m->fields_n; f++) {
        if (m->rows_n && rnd(m, 2)) {
            r.v[f] = m->rows[rnd(m, (uint32_t)m->rows_n)].v[f];
        } else {
            make_value(m, f, &r.v[f]);
            r.v[f].null = f > 0 && rnd(m, 6) == 0;
        }
        values[f] = r.v[f].null ? (struct query_value){.null = true}
                                : (struct query_value){.v = yzi_bytes_str(r.v[f].text)};
    }
    size_t at = place_of(m, r.v[0].text);
    assert_int_equal(yzi_writer_seek(w, values), 0);
    assert_int_equal(yzi_writer_target(w)->found, at < m->rows_n);
    if (at < m->rows_n && rnd(m, 3) == 0) {
        assert_int_equal(yzi_writer_delete(w), 0);
        m->rows[at] = m->rows[--m->rows_n];
        return;
    }
    if (at == ROWS_MAX) {
        return;
    }
    enum write_effect effect;
    assert_int_equal(yzi_writer_put(w, values, &effect, NULL), 0);
    m->rows[at] = r;
    m->rows_n += at == m->rows_n;
}

static void change(struct model *m)
{
    struct record_writer *w = NULL;
    uint64_t sequence;
    assert_int_equal(yzi_writer_begin(m->s, &w), 0);
    for (uint32_t n = 20 + rnd(m, 100); n; n--) {
        change_one(m, w);
    }
    assert_int_equal(yzi_writer_commit(w, &sequence), 0);
    yzi_writer_end(&w);
}

static void open_store(struct model *m, bool with_indexes)
{
    make_definition(m, with_indexes);
    m->s = fixture_open(m->dir.path, m->d, &m->key);
}

static void close_store(struct model *m)
{
    yzi_store_close(m->s);
    yzi_dataset_unref(m->d);
}

/* Half of the stores get their indexes afterwards, and some writes come in the middle of that. */
static void add_indexes(struct model *m)
{
    bool more = true;
    yz_error err;
    close_store(m);
    open_store(m, true);
    for (unsigned step = 0; more; step++) {
        assert_int_equal(yzi_store_build_step(m->s, &more, &err), 0);
        if (step == 0) {
            change(m);
        }
    }
}

static void run_seed(int seed, unsigned *answered)
{
    static struct model m;
    m = (struct model){.seed = seed, .rng = (uint64_t)seed * UINT64_C(0x9E3779B97F4A7C15) + 1};
    struct question q;
    fixture_dir_make(&m.dir);
    fixture_key(&m.key, 7);
    make_shape(&m);
    bool late = rnd(&m, 2);
    open_store(&m, !late);
    change(&m);
    if (late) {
        add_indexes(&m);
    }
    for (int i = 0; i < QUERIES; i++) {
        if (i == QUERIES / 2) {
            change(&m);
        }
        make_question(&m, &q);
        *answered += check_find(&m, &q);
        *answered += check_count(&m, &q);
    }
    close_store(&m);
    yzi_secret_fini(&m.key);
    fixture_dir_remove(&m.dir);
}

static void test_find__answers_as_looking_at_every_record_would(void **unused)
{
    unsigned answered = 0;
    (void)unused;
    for (int seed = 1; seed <= SEEDS; seed++) {
        run_seed(seed, &answered);
    }
    assert_true(answered > SEEDS * QUERIES / 2); /* most were not refusals */
}

/* That there is more the next entry says; its record is read only where conditions are tried. */
static void test_find__a_full_page_reads_no_record_more(void **unused)
{
    (void)unused;
    static const unsigned projection[] = {0};
    struct fixture_dir dir;
    struct import_report report;
    struct query_value one = {.v = yzi_bytes_str("x")};
    struct query_condition c[] = {{yzi_bytes_str("g"), OP_EQ, &one, 1},
                                  {yzi_bytes_str("h"), OP_EQ, &one, 1}};
    fixture_dir_make(&dir);
    struct dataset *d = fixture_dataset(
        "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [id]\nfields:\n"
        "  - {name: id, type: integer, classification: public}\n"
        "  - {name: g, type: text, classification: public, max_length: 20}\n"
        "  - {name: h, type: text, classification: public, max_length: 20}\n"
        "indexes:\n  - {name: by_g, fields: [g]}\n");
    struct store *s = fixture_open(dir.path, d, NULL);
    assert_int_equal(fixture_import(s, "id,g,h\n1,x,x\n2,x,x\n3,x,x\n4,y,x\n", &report, NULL), 0);
    for (size_t n = 1; n <= 2; n++) {
        struct query q = {.operation = QUERY_FIND, .filter = c, .filter_n = n, .limit = 2};
        struct query_limits limits = {.rows = 10, .bytes = 1u << 20};
        struct find_question question = {d, &q, projection, 1, &limits, {0}, NULL};
        struct find_result result;
        struct query_fault fault;
        yz_buf rows, position;
        yzi_buf_init(&rows, 1u << 20);
        yzi_buf_init(&position, 4096);
        assert_int_equal(yzi_store_find(s, &question, &rows, &position, &result, &fault), 0);
        assert_int_equal(result.rows, 2);
        assert_true(result.more && position.n > 0);
        assert_int_equal(result.note.entries, 3);
        assert_int_equal(result.note.records, n == 1 ? 2 : 3);
        yzi_buf_fini(&rows);
        yzi_buf_fini(&position);
    }
    yzi_store_close(s);
    yzi_dataset_unref(d);
    fixture_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find__answers_as_looking_at_every_record_would),
        cmocka_unit_test(test_find__a_full_page_reads_no_record_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
