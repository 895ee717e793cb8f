/* SPDX-License-Identifier: Apache-2.0
 *
 * Random data sets against a model: random definitions, files of random rows (new, changed, equal,
 * sometimes a duplicate or a fault) and gets, each compared with an array of rows in memory. The
 * model writes canonical values straight away and the CSV in one of their other spellings. Seeds
 * are fixed; a failure names its seed.
 */
#include "tests/unit/dataset/fixture.h"

#include "base/text.h"

#define SEEDS 40
#define IMPORTS 6
#define ROWS_MAX 400
#define FIELDS_MAX 9
#define VALUE_MAX 80

struct value {
    bool null;
    char text[VALUE_MAX]; /* canonical; never holds NUL, bytes are printable */
};
struct row {
    struct value v[FIELDS_MAX];
};
struct model {
    uint64_t rng;
    int seed;
    size_t fields_n;
    enum field_type type[FIELDS_MAX];
    bool sensitive[FIELDS_MAX], required[FIELDS_MAX];
    size_t key[3], key_n;
    struct row rows[ROWS_MAX];
    size_t rows_n;
    uint64_t sequence;
    struct dataset *d;
    struct store *s;
    struct fixture_dir dir;
    yz_secret key_secret;
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

static void make_definition(struct model *m)
{
    char yaml[8192];
    size_t n = 0;
#define PUT(...) n += (size_t)snprintf(yaml + n, sizeof yaml - n, __VA_ARGS__)
    m->fields_n = 2 + rnd(m, FIELDS_MAX - 1);
    m->key_n = 1 + rnd(m, m->fields_n < 3 ? (uint32_t)m->fields_n : 3);
    PUT("dataset: m%d\ntitle: {en: M}\nowner: o\nsharing: conditional\nfields:\n", m->seed);
    for (size_t i = 0; i < m->fields_n; i++) {
        m->type[i] = (enum field_type)(1 + rnd(m, 8));
        m->sensitive[i] = rnd(m, 3) == 0;
        m->required[i] = rnd(m, 2);
        bool in_key = i < m->key_n; /* the key is the first fields, in reverse */
        if (in_key && (m->type[i] == FIELD_BOOLEAN || m->type[i] == FIELD_CODE)) {
            m->sensitive[i] = false;
        }
        PUT("  - {name: f%zu, type: %s, classification: %s, required: %s%s%s}\n", i,
            type_names[m->type[i]], m->sensitive[i] ? "secret" : "internal",
            m->required[i] ? "true" : "false",
            m->type[i] == FIELD_CODE ? ", codes: [中, a, bb]" : "",
            m->type[i] == FIELD_TEXT || m->type[i] == FIELD_BYTES ? ", max_length: 60" : "");
        m->required[i] = m->required[i] || in_key;
    }
    PUT("key: [");
    for (size_t i = 0; i < m->key_n; i++) {
        m->key[i] = m->key_n - 1 - i;
        PUT("%sf%zu", i ? ", " : "", m->key[i]);
    }
    PUT("]\n");
    m->d = fixture_dataset(yaml);
}

/* -- values: the canonical text into v, one spelling of it into csv -- */

static void make_text(struct model *m, char *v, char *csv)
{
    static const char *const bits[] = {"a", "\"", ",", "\n", "京", "é", " ", "'", ";", "\r\n", "0"};
    size_t n = 0;
    for (uint32_t left = 1 + rnd(m, 6); left; left--) {
        n += (size_t)sprintf(v + n, "%s", bits[rnd(m, 11)]);
    }
    strcpy(csv, v);
}

static void make_integer(struct model *m, char *v, char *csv)
{
    long long x = (long long)rnd(m, 40) - 20;
    if (rnd(m, 5) == 0) {
        x = rnd(m, 2) ? INT64_MAX - (long long)rnd(m, 3) : INT64_MIN + (long long)rnd(m, 3);
    }
    sprintf(v, "%lld", x);
    sprintf(csv, "%s%s", x >= 0 && rnd(m, 3) == 0 ? "+" : x == 0 && rnd(m, 2) ? "-" : "", v);
}

static void make_decimal(struct model *m, char *v, char *csv)
{
    unsigned whole = rnd(m, 3) ? rnd(m, 30) : rnd(m, 2000000000);
    unsigned part = rnd(m, 10);
    bool negative = rnd(m, 3) == 0 && (whole || part);
    sprintf(v, part ? "%s%u.%u" : "%s%u", negative ? "-" : "", whole, part);
    sprintf(csv, "%s%s", v, rnd(m, 3) ? "" : part ? "00" : ".0");
}

static void make_date(struct model *m, char *v, char *csv)
{
    sprintf(v, "%04u-%02u-%02u", 1900 + rnd(m, 200), 1 + rnd(m, 12), 1 + rnd(m, 28));
    strcpy(csv, v);
}

static void make_time(struct model *m, char *v, char *csv)
{
    unsigned year = 1900 + rnd(m, 200), hour = rnd(m, 12), fraction = rnd(m, 10);
    int n = sprintf(v, "%04u-05-17T%02u:00:59", year, hour);
    sprintf(v + n, fraction ? ".%uZ" : "Z", fraction);
    int c = sprintf(csv, "%04u-05-17T%02u:30:59", year, hour + 8);
    sprintf(csv + c, rnd(m, 2) ? ".%u00+08:30" : ".%u+08:30", fraction);
}

static void make_boolean(struct model *m, char *v, char *csv)
{
    bool yes = rnd(m, 2);
    strcpy(v, yes ? "true" : "false");
    strcpy(csv, rnd(m, 2) ? v : yes ? "1" : "0");
}

static void make_code(struct model *m, char *v, char *csv)
{
    static const char *const codes[] = {"a", "bb", "中"};
    strcpy(v, codes[rnd(m, 3)]);
    strcpy(csv, v);
}

static void make_bytes(struct model *m, char *v, char *csv)
{
    yz_buf text;
    size_t n = 1 + rnd(m, 6);
    for (size_t i = 0; i < n; i++) {
        v[i] = (char)('!' + rnd(m, 60));
    }
    v[n] = '\0';
    yzi_buf_init(&text, VALUE_MAX);
    assert_int_equal(yzi_base64_encode(yzi_bytes(v, n), &text), 0);
    sprintf(csv, "%.*s", (int)text.n, (const char *)text.p);
    yzi_buf_fini(&text);
}

static void make_value(struct model *m, size_t field, struct value *v, char *csv)
{
    static void (*const make[])(struct model *, char *, char *) = {
        NULL,      make_text,    make_integer, make_decimal, make_date,
        make_time, make_boolean, make_code,    make_bytes};
    v->null = !m->required[field] && rnd(m, 4) == 0;
    csv[0] = v->text[0] = '\0';
    if (!v->null) {
        make[m->type[field]](m, v->text, csv);
    }
}

static void put_csv(yz_buf *out, const char *text, bool last)
{
    bool quote = strpbrk(text, "\",\r\n") != NULL;
    assert_int_equal(yzi_buf_put_str(out, quote ? "\"" : ""), 0);
    for (const char *p = text; *p; p++) {
        assert_int_equal(yzi_buf_put(out, yzi_bytes(*p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1)), 0);
    }
    assert_int_equal(yzi_buf_put_str(out, quote ? "\"" : ""), 0);
    assert_int_equal(yzi_buf_put_str(out, last ? "\n" : ","), 0);
}

/* -- imports -- */

static size_t find(const struct model *m, const struct row *rows, size_t n, const struct row *row)
{
    for (size_t i = 0; i < n; i++) {
        bool same = true;
        for (size_t k = 0; same && k < m->key_n; k++) {
            same = strcmp(rows[i].v[m->key[k]].text, row->v[m->key[k]].text) == 0;
        }
        if (same) {
            return i;
        }
    }
    return SIZE_MAX;
}

static bool equal(const struct model *m, const struct row *a, const struct row *b)
{
    for (size_t i = 0; i < m->fields_n; i++) {
        if (a->v[i].null != b->v[i].null || strcmp(a->v[i].text, b->v[i].text) != 0) {
            return false;
        }
    }
    return true;
}

/* What the import should do, worked out on a copy that is kept only if it succeeds. */
struct plan {
    struct row rows[ROWS_MAX], batch[ROWS_MAX];
    size_t rows_n, batch_n;
    uint64_t inserted, updated, unchanged;
    bool refused;
};

static void plan_row(struct model *m, struct plan *p, const struct row *row)
{
    if (find(m, p->batch, p->batch_n, row) != SIZE_MAX) {
        p->refused = true;
        return;
    }
    p->batch[p->batch_n++] = *row;
    size_t at = find(m, p->rows, p->rows_n, row);
    if (at == SIZE_MAX) {
        p->rows[p->rows_n++] = *row;
        p->inserted++;
    } else if (equal(m, &p->rows[at], row)) {
        p->unchanged++;
    } else {
        p->rows[at] = *row;
        p->updated++;
    }
}

/* A row: one that exists, one that exists but for some values, or a new one. */
static void make_row(struct model *m, struct row *row, yz_buf *csv)
{
    const struct row *old = m->rows_n && rnd(m, 2) ? &m->rows[rnd(m, (uint32_t)m->rows_n)] : NULL;
    for (size_t i = 0; i < m->fields_n; i++) {
        char text[VALUE_MAX * 2];
        bool keep = old && (i < m->key_n || rnd(m, 8));
        if (keep && m->type[i] == FIELD_BYTES) {
            row->v[i] = old->v[i];
            yz_buf b64;
            yzi_buf_init(&b64, sizeof text);
            assert_int_equal(yzi_base64_encode(yzi_bytes_str(row->v[i].text), &b64), 0);
            snprintf(text, sizeof text, "%.*s", (int)b64.n, b64.p ? (const char *)b64.p : "");
            yzi_buf_fini(&b64);
        } else if (keep) {
            row->v[i] = old->v[i];
            strcpy(text, row->v[i].text);
        } else {
            make_value(m, i, &row->v[i], text);
        }
        put_csv(csv, text, i + 1 == m->fields_n);
    }
}

static void run_import(struct model *m, struct plan *p)
{
    yz_buf csv;
    struct import_report r = {0};
    yz_error err = {0};
    *p = (struct plan){.rows_n = m->rows_n};
    memcpy(p->rows, m->rows, sizeof m->rows);
    yzi_buf_init(&csv, 1u << 22);
    for (size_t i = 0; i < m->fields_n; i++) {
        assert_int_equal(yzi_buf_printf(&csv, "f%zu%s", i, i + 1 == m->fields_n ? "\r\n" : ","), 0);
    }
    uint32_t n = rnd(m, ROWS_MAX / IMPORTS);
    for (uint32_t i = 0; i < n; i++) {
        struct row row = {0};
        size_t before = csv.n;
        make_row(m, &row, &csv);
        if (find(m, p->batch, p->batch_n, &row) != SIZE_MAX && rnd(m, 200)) {
            csv.n = before; /* a duplicate: seldom wanted */
        } else {
            plan_row(m, p, &row);
        }
    }
    if (rnd(m, 10) == 0) {
        assert_int_equal(yzi_buf_put_str(&csv, "one column\n"), 0);
        p->refused = true;
    }
    int rc = fixture_import_bytes(m->s, yzi_bytes_buf(&csv), &r, &err);
    yzi_buf_fini(&csv);
    if (rc != (p->refused ? YZ_EDATA : 0)) {
        fail_msg("seed %d: %d %s", m->seed, rc, err.text);
    }
    if (!p->refused) {
        assert_int_equal(r.inserted, p->inserted);
        assert_int_equal(r.updated, p->updated);
        assert_int_equal(r.unchanged, p->unchanged);
        memcpy(m->rows, p->rows, sizeof m->rows);
        m->rows_n = p->rows_n;
        m->sequence += p->inserted + p->updated;
    }
    assert_int_equal(r.sequence, m->sequence);
}

/* -- gets -- */

static void check_answer(struct model *m, const struct row *want, const unsigned *projection,
                         size_t n, yz_reader *r)
{
    for (size_t i = 0; i < n; i++) {
        struct query_value v = {0};
        const struct value *w = &want->v[projection[i]];
        assert_int_equal(yzi_row_next(r, &v), 0);
        if (v.null != w->null || (!v.null && !yzi_bytes_eq_str(v.v, w->text))) {
            fail_msg("seed %d: field %u is '%.*s', not '%s'", m->seed, projection[i], (int)v.v.n,
                     (const char *)v.v.p, w->text);
        }
    }
}

static void check_get(struct model *m)
{
    struct row asked[8] = {0};
    struct query_value parts[8][3];
    struct query_key keys[8];
    unsigned projection[FIELDS_MAX];
    size_t n = 1 + rnd(m, 8), projection_n = 1 + rnd(m, FIELDS_MAX);
    char unused[VALUE_MAX * 2];
    for (size_t i = 0; i < n; i++) {
        if (m->rows_n && rnd(m, 4)) {
            asked[i] = m->rows[rnd(m, (uint32_t)m->rows_n)];
        }
        for (size_t k = 0; k < m->key_n; k++) {
            if (!asked[i].v[m->key[k]].text[0]) {
                make_value(m, m->key[k], &asked[i].v[m->key[k]], unused);
            }
            parts[i][k] = (struct query_value){.v = yzi_bytes_str(asked[i].v[m->key[k]].text)};
        }
        keys[i] = (struct query_key){parts[i], m->key_n};
    }
    for (size_t i = 0; i < projection_n; i++) {
        projection[i] = rnd(m, (uint32_t)m->fields_n);
    }
    struct query q = {.operation = QUERY_GET, .keys = keys, .keys_n = n};
    struct query_limits limits = {.rows = 8, .bytes = 1u << 20};
    struct query_result result;
    struct query_fault fault;
    yz_buf rows;
    yzi_buf_init(&rows, 1u << 20);
    assert_int_equal(yzi_store_get(m->s, yzi_store_dataset(m->s), &q, projection, projection_n,
                                   NULL, &limits, &rows, &result, &fault),
                     0);
    assert_int_equal(result.sequence, m->sequence);
    yz_reader r = yzi_reader(yzi_bytes_buf(&rows));
    uint32_t found = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = find(m, m->rows, m->rows_n, &asked[i]);
        if (at != SIZE_MAX) {
            check_answer(m, &m->rows[at], projection, projection_n, &r);
            found++;
        }
    }
    assert_int_equal(result.rows, found);
    assert_int_equal(yzi_read_end(&r), 0);
    yzi_buf_fini(&rows);
}

static void run_seed(struct model *m, struct plan *p, int seed)
{
    *m = (struct model){.seed = seed, .rng = UINT64_C(0x9E3779B97F4A7C15) * (uint64_t)(seed + 1)};
    fixture_dir_make(&m->dir);
    fixture_key(&m->key_secret, (uint8_t)seed);
    make_definition(m);
    m->s = fixture_open(m->dir.path, m->d, &m->key_secret);
    for (int i = 0; i < IMPORTS; i++) {
        run_import(m, p);
        for (int k = 0; k < 20; k++) {
            check_get(m);
        }
        if (rnd(m, 3) == 0) {
            yzi_store_close(m->s);
            m->s = fixture_open(m->dir.path, m->d, &m->key_secret);
        }
        uint64_t count;
        assert_int_equal(yzi_store_count(m->s, &count), 0);
        assert_int_equal(count, m->rows_n);
    }
    yzi_store_close(m->s);
    yzi_dataset_unref(m->d);
    yzi_secret_fini(&m->key_secret);
    fixture_dir_remove(&m->dir);
}

static void test_model__store_and_model_agree(void **unused)
{
    (void)unused;
    struct model *m = malloc(sizeof *m);
    struct plan *p = malloc(sizeof *p);
    size_t rows = 0, refused = 0;
    assert_true(m && p);
    for (int seed = 0; seed < SEEDS; seed++) {
        run_seed(m, p, seed);
        rows += m->rows_n;
        refused += p->refused;
    }
    assert_true(rows > 20 * SEEDS && refused > 0); /* the seeds did something */
    free(m);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_model__store_and_model_agree)};
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
