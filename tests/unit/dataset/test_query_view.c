/* SPDX-License-Identifier: Apache-2.0
 *
 * Queries under a view. Two registers have the same visible records with the same values in what is
 * shown; what is hidden differs: other hidden records, and other values in the hidden fields. No
 * query may tell them apart: not by rows or their order, counts, refusals and their words, pages,
 * cursors, or how much was looked at. And what is answered is what a plain search finds. Seeds are
 * fixed; a failure names its seed.
 */
#include "tests/unit/dataset/fixture.h"

#include "adapters/dataset/find.h"

#define TRIALS 9u
#define QUESTIONS 150u
#define VISIBLE_MAX 40u
#define HIDDEN_MAX 60u
#define POSITION_MAX 2048u
#define PAGES_MAX 60u
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const char yaml[] =
    "dataset: people\n"
    "title: {en: P}\n"
    "owner: o\n"
    "sharing: conditional\n"
    "key: [id]\n"
    "fields:\n"
    "  - {name: id, type: text, classification: internal, required: true, max_length: 200}\n"
    "  - {name: d, type: code, classification: internal, codes: [a, b, c, e]}\n"
    "  - {name: x, type: integer, classification: internal}\n"
    "  - {name: y, type: text, classification: internal, max_length: 30}\n"
    "  - {name: h, type: text, classification: internal, max_length: 600}\n"
    "  - {name: s, type: text, classification: sensitive, max_length: 30}\n"
    "indexes:\n"
    "  - {name: by_dh, fields: [d, h]}\n"
    "  - {name: by_d, fields: [d]}\n"
    "  - {name: by_dx, fields: [d, x]}\n"
    "  - {name: by_dy, fields: [d, y]}\n"
    "  - {name: by_x, fields: [x]}\n"
    "  - {name: by_h, fields: [h]}\n"
    "  - {name: by_sx, fields: [s, x]}\n"
    "  - {name: by_dhx, fields: [d, h, x]}\n";
enum { F_ID, F_D, F_X, F_Y, F_H, F_S, FIELDS };

struct person {
    unsigned id, d, y, s; /* d: 0..3 of the codes, s: 0..2 */
    int x;                /* -1: no value */
};
struct world {
    struct fixture_dir dir;
    struct store *s;
};
struct trial {
    unsigned seed, random;
    bool id_hidden;
    struct dataset *dataset;
    yz_secret key;
    struct person visible[VISIBLE_MAX];
    size_t visible_n;
    struct world worlds[2];
    /* the view */
    bool hidden[FIELDS];
    char row_texts[8][16];
    struct query_value row_values[8];
    struct query_condition row_filter[2];
    struct query_view view;
};

static unsigned roll(struct trial *t, unsigned n)
{
    t->random = t->random * 1664525u + 1013904223u;
    return (t->random >> 8) % n;
}

/* -- records -- */

static const char codes[] = "abce";

/* What the row filter shows: d is a or b, and in every other trial x at least 2, too. */
static bool is_visible(const struct trial *t, const struct person *r)
{
    return r->d < 2 && (t->view.row_filter_n < 2 || r->x >= 2);
}

static void make_record(struct trial *t, bool visible, struct person *out)
{
    do {
        *out = (struct person){.id = roll(t, 100000),
                               .d = roll(t, 4),
                               .y = roll(t, 6),
                               .s = roll(t, 3),
                               .x = (int)roll(t, 7) - 1};
    } while (is_visible(t, out) != visible);
}

/* The hidden field, and the key where it is hidden, are of the world; ids are unique by `n`. */
static void put_record(struct trial *t, unsigned world, const struct person *r, unsigned n,
                       bool visible, yz_buf *csv)
{
    static const unsigned lengths[] = {1, 3, 40, 520};
    unsigned own = world ? 7919u : 1u, length = lengths[roll(t, COUNT(lengths))];
    unsigned id = visible && !t->id_hidden ? r->id : (r->id * own + 31u * roll(t, 9999)) % 100000;
    char x[16] = "";
    if (r->x >= 0) {
        snprintf(x, sizeof x, "%d", r->x);
    }
    assert_int_equal(yzi_buf_printf(csv, "%05u-%u%s,%c,%s,y%u,%c%0*u,s%u\n", id, n,
                                    visible && !t->id_hidden ? ""
                                    : roll(t, 2)             ? "-long-id"
                                                             : "",
                                    codes[r->d], x, r->y, 'a' + (int)roll(t, 20), (int)length,
                                    roll(t, 1000), r->s),
                     0);
}

static void make_world(struct trial *t, unsigned i)
{
    struct world *w = &t->worlds[i];
    struct import_report report;
    yz_error err = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf csv;
    yzi_buf_init(&csv, 1u << 20);
    assert_int_equal(yzi_buf_put_str(&csv, "id,d,x,y,h,s\n"), 0);
    for (size_t k = 0; k < t->visible_n; k++) {
        put_record(t, i, &t->visible[k], (unsigned)k, true, &csv);
    }
    for (unsigned k = roll(t, HIDDEN_MAX); k > 0; k--) {
        struct person r;
        make_record(t, false, &r);
        put_record(t, i, &r, VISIBLE_MAX + k, false, &csv);
    }
    fixture_dir_make(&w->dir);
    w->s = fixture_open(w->dir.path, t->dataset, &t->key);
    if (fixture_import_bytes(w->s, yzi_bytes_buf(&csv), &report, &err) < 0) {
        fail_msg("seed %u: %s", t->seed, err.text);
    }
}

/* -- the view -- */

static int hide(const void *ctx, size_t column, const struct query_value *v,
                uint8_t room[QUERY_MASKED_MAX], struct query_value *out)
{
    const unsigned *hidden_column = ctx;
    (void)room;
    *out = column == *hidden_column ? (struct query_value){.null = true} : *v;
    return 0;
}

static void make_view(struct trial *t)
{
    static const unsigned column_of_h = 3;
    static const char *const texts[] = {"a", "b", "2"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        t->row_values[i].v = yzi_bytes_str(texts[i]);
    }
    t->hidden[F_H] = true;
    t->hidden[F_ID] = t->id_hidden;
    t->row_filter[0] = (struct query_condition){yzi_bytes_str("d"), OP_IN, t->row_values, 2};
    t->row_filter[1] = (struct query_condition){yzi_bytes_str("x"), OP_GE, t->row_values + 2, 1};
    t->view = (struct query_view){.row_filter = t->row_filter,
                                  .row_filter_n = 1 + t->seed % 2,
                                  .hidden = t->hidden,
                                  .mask = hide,
                                  .mask_ctx = &column_of_h};
}

static void begin(struct trial *t, unsigned seed)
{
    *t = (struct trial){.seed = seed, .random = seed * 2654435761u, .id_hidden = seed % 3 == 0};
    t->dataset = fixture_dataset(yaml);
    fixture_key(&t->key, 9);
    make_view(t);
    t->visible_n = roll(t, VISIBLE_MAX);
    for (size_t i = 0; i < t->visible_n; i++) {
        make_record(t, true, &t->visible[i]);
    }
    make_world(t, 0);
    make_world(t, 1);
}

static void end(struct trial *t)
{
    for (size_t i = 0; i < 2; i++) {
        yzi_store_close(t->worlds[i].s);
        fixture_dir_remove(&t->worlds[i].dir);
    }
    yzi_dataset_unref(t->dataset);
    yzi_secret_fini(&t->key);
}

/* -- questions -- */

struct asked {
    struct query q;
    struct query_condition filter[3];
    struct query_value values[3][4];
    char texts[3][4][16];
    struct query_order order;
    struct query_limits limits;
    bool models; /* what a plain search finds is known */
};

static void make_value(struct trial *t, unsigned field, char out[16], struct query_value *v)
{
    switch (field) {
    case F_D:
        snprintf(out, 16, "%c", codes[roll(t, 4)]);
        break;
    case F_X:
        snprintf(out, 16, "%u", roll(t, 7));
        break;
    case F_Y:
        snprintf(out, 16, "y%u", roll(t, 7));
        break;
    case F_S:
        snprintf(out, 16, "s%u", roll(t, 3));
        break;
    default:
        snprintf(out, 16, "%05u", roll(t, 100000));
    }
    *v = (struct query_value){.null = field == F_X && roll(t, 12) == 0, .v = yzi_bytes_str(out)};
}

static void make_condition(struct trial *t, struct asked *a, size_t i)
{
    static const enum query_op ops[] = {OP_EQ, OP_EQ, OP_IN, OP_GE, OP_GT, OP_LE, OP_LT, OP_PREFIX};
    static const unsigned by[] = {F_D, F_D, F_X, F_Y, F_S, F_ID};
    unsigned field = by[roll(t, t->id_hidden ? 5 : 6)];
    struct query_condition *c = &a->filter[i];
    enum query_op op = ops[roll(t, field == F_S ? 3 : field == F_X ? 7 : 8)];
    size_t n = op == OP_IN ? 1 + roll(t, 4) : 1;
    for (size_t k = 0; k < n; k++) {
        make_value(t, field, a->texts[i][k], &a->values[i][k]);
        if (op != OP_EQ && op != OP_IN) {
            a->values[i][k].null = false;
        }
    }
    *c = (struct query_condition){yzi_bytes_str(t->dataset->fields[field].name), op, a->values[i],
                                  n};
    a->models = a->models && field != F_ID;
}

static void make_question(struct trial *t, struct asked *a)
{
    static const unsigned by[] = {F_D, F_X, F_Y, F_ID};
    *a = (struct asked){.models = true,
                        .limits = {.rows = roll(t, 3) ? 1000 : 1 + roll(t, 6),
                                   .bytes = roll(t, 4) ? 1u << 20 : 200,
                                   .entries = roll(t, 3) ? 1000 : 1 + roll(t, 30)}};
    a->q.operation = roll(t, 3) ? QUERY_FIND : QUERY_COUNT;
    a->q.filter = a->filter;
    a->q.filter_n = roll(t, 4);
    for (size_t i = 0; i < a->q.filter_n; i++) {
        make_condition(t, a, i);
    }
    if (a->q.operation == QUERY_FIND && roll(t, 2)) {
        unsigned field = by[roll(t, t->id_hidden ? 3 : 4)];
        a->order = (struct query_order){yzi_bytes_str(t->dataset->fields[field].name), roll(t, 2)};
        a->q.order = &a->order;
        a->q.order_n = 1;
    }
}

/* -- answers -- */

struct said {
    int rc;
    struct find_result result;
    struct query_fault fault;
    yz_buf rows, position;
};

static void said_init(struct said *s)
{
    *s = (struct said){0};
    yzi_buf_init(&s->rows, 1u << 20);
    yzi_buf_init(&s->position, POSITION_MAX);
}

static void said_fini(struct said *s)
{
    yzi_buf_fini(&s->rows);
    yzi_buf_fini(&s->position);
}

static void ask(const struct trial *t, unsigned world, const struct asked *a, yz_bytes resume,
                struct said *out)
{
    static const unsigned with_id[] = {F_D, F_X, F_Y, F_H, F_ID};
    bool finds = a->q.operation == QUERY_FIND;
    struct find_question question = {.dataset = t->dataset,
                                     .query = &a->q,
                                     .projection = with_id,
                                     .projection_n = finds ? (t->id_hidden ? 4 : 5) : 0,
                                     .limits = &a->limits,
                                     .resume = resume,
                                     .view = &t->view};
    out->rc = yzi_store_find(t->worlds[world].s, &question, &out->rows, &out->position,
                             &out->result, &out->fault);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void compare(const struct trial *t, unsigned question, const struct said *a,
                    const struct said *b)
{
    const struct query_plan_note *x = &a->result.note, *y = &b->result.note;
    if (a->rc != b->rc || (a->rc < 0 && (!same_text(a->fault.reason, b->fault.reason) ||
                                         strcmp(a->fault.detail, b->fault.detail) != 0))) {
        fail_msg("seed %u, question %u: %d %s, or %d %s", t->seed, question, a->rc, a->fault.reason,
                 b->rc, b->fault.reason);
    }
    if (!yzi_bytes_eq(yzi_bytes_buf(&a->rows), yzi_bytes_buf(&b->rows)) ||
        !yzi_bytes_eq(yzi_bytes_buf(&a->position), yzi_bytes_buf(&b->position))) {
        fail_msg("seed %u, question %u: other rows, or another position", t->seed, question);
    }
    if (a->rc == 0 &&
        (a->result.rows != b->result.rows || a->result.total != b->result.total ||
         a->result.more != b->result.more || x->entries != y->entries || x->records != y->records ||
         !same_text(x->index, y->index) || x->ranges != y->ranges)) {
        fail_msg("seed %u, question %u: %u rows of %llu entries by %s, or %u of %llu by %s",
                 t->seed, question, a->result.rows, (unsigned long long)x->entries,
                 x->index ? x->index : "key", b->result.rows, (unsigned long long)y->entries,
                 y->index ? y->index : "key");
    }
}

/* -- a plain search -- */

static int compare_field(const struct person *r, unsigned field, const char *with)
{
    char own[16];
    if (field == F_X) {
        return r->x - atoi(with);
    }
    snprintf(own, sizeof own,
             field == F_D   ? "%c"
             : field == F_Y ? "y%u"
                            : "s%u",
             field == F_D   ? (unsigned)codes[r->d]
             : field == F_Y ? r->y
                            : r->s);
    return strcmp(own, with);
}

static bool meets(const struct trial *t, const struct person *r, const struct query_condition *c)
{
    unsigned field = (unsigned)yzi_dataset_field(t->dataset, c->field);
    bool null = field == F_X && r->x < 0, any = false;
    for (size_t i = 0; i < c->values_n; i++) {
        const char *text = (const char *)c->values[i].v.p;
        int order = null || c->values[i].null ? 1 : compare_field(r, field, text);
        bool both = null && c->values[i].null;
        switch (c->op) {
        case OP_GE:
            any = any || (!null && order >= 0);
            break;
        case OP_GT:
            any = any || (!null && order > 0);
            break;
        case OP_LE:
            any = any || (!null && order <= 0);
            break;
        case OP_LT:
            any = any || (!null && order < 0);
            break;
        case OP_EQ:
        case OP_IN:
        case OP_PREFIX: /* of values of one length */
        default:
            any = any || both || (!null && !c->values[i].null && order == 0);
        }
    }
    return any;
}

static size_t search(const struct trial *t, const struct asked *a)
{
    size_t n = 0;
    for (size_t i = 0; i < t->visible_n; i++) {
        bool all = true;
        for (size_t k = 0; k < a->q.filter_n; k++) {
            all = all && meets(t, &t->visible[i], &a->filter[k]);
        }
        n += all;
    }
    return n;
}

/* -- the tests -- */

/* All pages, in both worlds side by side; how many records. SIZE_MAX: refused. */
static size_t ask_both(const struct trial *t, unsigned question, const struct asked *a)
{
    YZ_AUTO(yzi_buf_fini) yz_buf resume = {.max = POSITION_MAX};
    size_t n = 0;
    for (unsigned page = 0; page < PAGES_MAX; page++) {
        struct said said[2];
        for (unsigned w = 0; w < 2; w++) {
            said_init(&said[w]);
            ask(t, w, a, yzi_bytes_buf(&resume), &said[w]);
        }
        compare(t, question, &said[0], &said[1]);
        bool more = said[0].rc == 0 && said[0].result.more, refused = said[0].rc < 0;
        n += a->q.operation == QUERY_COUNT ? said[0].result.total : said[0].result.rows;
        yzi_buf_clear(&resume);
        assert_int_equal(yzi_buf_put(&resume, yzi_bytes_buf(&said[0].position)), 0);
        said_fini(&said[0]);
        said_fini(&said[1]);
        if (refused || !more) {
            return refused ? SIZE_MAX : n;
        }
    }
    fail_msg("seed %u, question %u: pages without end", t->seed, question);
    return 0;
}

static void test_find__tells_nothing_of_what_is_hidden(void **state)
{
    (void)state;
    unsigned answered = 0, with_records = 0;
    for (unsigned seed = 1; seed <= TRIALS; seed++) {
        struct trial t;
        begin(&t, seed);
        for (unsigned i = 0; i < QUESTIONS; i++) {
            struct asked a;
            make_question(&t, &a);
            size_t n = ask_both(&t, i, &a);
            if (n != SIZE_MAX && a.models && n != search(&t, &a)) {
                fail_msg("seed %u, question %u: %zu records, not %zu", seed, i, n, search(&t, &a));
            }
            answered += n != SIZE_MAX;
            with_records += n != SIZE_MAX && n > 0;
        }
        end(&t);
    }
    assert_in_range(answered, TRIALS * QUESTIONS / 4, TRIALS * QUESTIONS);
    assert_in_range(with_records, TRIALS * QUESTIONS / 8, TRIALS * QUESTIONS);
}

/* The n-th record's id in the first world, as it was made there. */
static void ids_of(const struct trial *t, char out[VISIBLE_MAX][32])
{
    for (size_t i = 0; i < t->visible_n; i++) {
        snprintf(out[i], 32, "%05u-%zu", t->visible[i].id, i);
    }
}

static void get(const struct trial *t, unsigned world, const struct query *q, yz_buf *rows,
                struct query_result *result, int *rc)
{
    static const unsigned projection[] = {F_D, F_X, F_Y, F_H, F_ID};
    struct query_limits limits = {.rows = 5, .bytes = 1u << 16};
    struct query_fault fault;
    *rc = yzi_store_get(t->worlds[world].s, t->dataset, q, projection, 5, &t->view, &limits, rows,
                        result, &fault);
}

/* More records than fit are a refusal only when they are visible. */
static void test_get__tells_nothing_of_what_is_hidden(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= TRIALS; seed++) {
        struct trial t;
        char ids[VISIBLE_MAX][32];
        begin(&t, 3 * seed + 1); /* ids are visible */
        ids_of(&t, ids);
        for (unsigned i = 0; i < QUESTIONS / 3; i++) {
            struct query_value parts[12];
            struct query_key keys[12];
            struct query q = {.operation = QUERY_GET, .keys = keys, .keys_n = 1 + roll(&t, 12)};
            struct query_result result[2] = {{0}};
            int rc[2];
            for (size_t k = 0; k < q.keys_n; k++) {
                const char *id =
                    t.visible_n && roll(&t, 2) ? ids[roll(&t, (unsigned)t.visible_n)] : "nobody";
                parts[k] = (struct query_value){.v = yzi_bytes_str(id)};
                keys[k] = (struct query_key){&parts[k], 1};
            }
            yz_buf first, second;
            yzi_buf_init(&first, 1u << 20);
            yzi_buf_init(&second, 1u << 20);
            get(&t, 0, &q, &first, &result[0], &rc[0]);
            get(&t, 1, &q, &second, &result[1], &rc[1]);
            assert_int_equal(rc[0], rc[1]);
            assert_int_equal(result[0].rows, result[1].rows);
            assert_true(yzi_bytes_eq(yzi_bytes_buf(&first), yzi_bytes_buf(&second)));
            yzi_buf_fini(&first);
            yzi_buf_fini(&second);
        }
        end(&t);
    }
}

/* A row filter that the definition does not know hides everything. */
static void test_row_filter__that_does_not_fit_denies(void **state)
{
    (void)state;
    struct trial t;
    struct asked a = {.q = {.operation = QUERY_COUNT}, .limits = {.rows = 10, .bytes = 1000}};
    struct said said;
    begin(&t, 2);
    t.row_filter[0].field = yzi_bytes_str("gone");
    said_init(&said);
    ask(&t, 0, &a, (yz_bytes){0}, &said);
    assert_int_equal(said.rc, YZ_EDENIED);
    t.row_filter[0].field = yzi_bytes_str("x"); /* and "a" is no integer */
    ask(&t, 0, &a, (yz_bytes){0}, &said);
    assert_int_equal(said.rc, YZ_EDENIED);
    said_fini(&said);
    end(&t);
}

/* What no index serves whole is refused, and the advice names the row filter's field, too. */
static void test_row_filter__without_an_index_is_refused(void **state)
{
    (void)state;
    struct trial t;
    struct query_value six = {.v = yzi_bytes_str("y6")};
    struct query_condition by_y = {yzi_bytes_str("y"), OP_EQ, &six, 1};
    struct asked a = {.q = {.operation = QUERY_COUNT, .filter = &by_y, .filter_n = 1},
                      .limits = {.rows = 10, .bytes = 1000}};
    struct said said;
    begin(&t, 2);
    t.row_filter[0].field = yzi_bytes_str("h");
    t.row_filter[0].op = OP_PREFIX;
    t.row_filter[0].values_n = 1;
    t.row_filter[1] = (struct query_condition){yzi_bytes_str("s"), OP_EQ, t.row_values, 1};
    t.view.row_filter_n = 2;
    said_init(&said);
    ask(&t, 0, &a, (yz_bytes){0}, &said);
    assert_int_equal(said.rc, YZ_EINVAL);
    assert_string_equal(said.fault.reason, "no-index");
    assert_non_null(strstr(said.fault.detail, "s, "));
    assert_non_null(strstr(said.fault.detail, "h"));
    said_fini(&said);
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find__tells_nothing_of_what_is_hidden),
        cmocka_unit_test(test_get__tells_nothing_of_what_is_hidden),
        cmocka_unit_test(test_row_filter__that_does_not_fit_denies),
        cmocka_unit_test(test_row_filter__without_an_index_is_refused),
    };
    return cmocka_run_group_tests_name("query_view", tests, NULL, NULL);
}
