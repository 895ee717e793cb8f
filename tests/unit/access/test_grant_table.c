/* SPDX-License-Identifier: Apache-2.0
 *
 * Every combination of operation, right to a field, mask, use of the field, row filter and purpose,
 * on a register of six records, with what tests/data/grants/table.txt says must come of it. What is
 * asked is an adapter's answer before it is sealed: decision, store, masks. The head of the table
 * explains its words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/answer_impl.h"
#include "base/file.h"
#include "tests/unit/adapter/fixture.h"

#include <sys/mman.h>
#include <unistd.h>

#define OK(call) assert_int_equal((call), YZ_OK)
#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define WORDS_MAX 40u
#define CELLS 6u
#define RECORDS 6u
#define TEXT_MAX 1024u

static const char definition[] =
    "dataset: people\n"
    "title: {en: People}\n"
    "owner: CN/GOV/MCA\n"
    "sharing: conditional\n"
    "key: [id]\n"
    "fields:\n"
    "  - {name: id, type: text, classification: internal, required: true, max_length: 18}\n"
    "  - {name: name, type: text, classification: internal, max_length: 40}\n"
    "  - {name: born, type: date, classification: internal}\n"
    "  - {name: district, type: code, classification: internal, codes: [east, west]}\n"
    "  - {name: income, type: integer, classification: internal}\n"
    "  - {name: note, type: text, classification: internal, max_length: 10}\n"
    "indexes:\n"
    "  - {name: by_district, fields: [district, id]}\n"
    "  - {name: by_name, fields: [name]}\n"
    "  - {name: by_district_name, fields: [district, name]}\n"
    "  - {name: by_born, fields: [born]}\n"
    "  - {name: by_district_born, fields: [district, born]}\n"
    "  - {name: by_income, fields: [income]}\n";
static const char records[] = "id,name,born,district,income,note\n"
                              "11010006,Wang Xiaoming,1984-03-02,east,1000,x\n"
                              "11020005,Li Na,1990-07-15,west,3000,\n"
                              "11030004,Zhao Lin,1984-11-30,east,2000,\n"
                              "11040003,Qian Duoduo,,west,1000,\n"
                              "11050002,Sun Li,2001-01-01,east,3000,\n"
                              "11060001,Wu Gang Feng,1990-07-15,west,2000,\n";

/* -- the dimensions -- */

static const char *const fields[] = {"name", "born", "income", "id"};
static const char *const rights[] = {"full",      "read",   "hide",   "last4",   "year",
                                     "initial",   "hash",   "hide+f", "last4+f", "year+f",
                                     "initial+f", "hash+f", "hide+s", "last4+s", "year+s",
                                     "initial+s", "hash+s", "filt",   "sort",    "gone"};
static const char *const written[] = {"writ", "gone"};
static const struct {
    enum query_operation operation;
    const char *use;
} uses[] = {
    {QUERY_GET, "shown"},        {QUERY_GET, "other"},        {QUERY_GET, "ungranted"},
    {QUERY_FIND, "shown"},       {QUERY_FIND, "other"},       {QUERY_FIND, "eq"},
    {QUERY_FIND, "range"},       {QUERY_FIND, "prefix"},      {QUERY_FIND, "order"},
    {QUERY_FIND, "ungranted"},   {QUERY_COUNT, "all"},        {QUERY_COUNT, "eq"},
    {QUERY_COUNT, "range"},      {QUERY_COUNT, "ungranted"},  {QUERY_MATCH, "asked"},
    {QUERY_MATCH, "unknown"},    {QUERY_MATCH, "ungranted"},  {QUERY_INSERT, "bring"},
    {QUERY_INSERT, "ungranted"}, {QUERY_PUT, "bring"},        {QUERY_PUT, "ungranted"},
    {QUERY_DELETE, "key"},       {QUERY_DELETE, "ungranted"},
};
enum { ROWS_ALL, ROWS_EAST, ROWS_WEST, ROWS_NOTE, ROWS_N };
/* What the grant names and the request says. */
enum { PURPOSE_RIGHT, PURPOSE_ANY, PURPOSE_ANY_NONE, PURPOSE_WRONG, PURPOSE_NONE, PURPOSE_N };

/* -- the table -- */

struct line {
    unsigned number;
    enum query_operation operation;
    char use[16], field[16];
    char rights[WORDS_MAX][16];
    size_t rights_n;
    char cells[CELLS][48];
};
struct shown {
    char field[16], right[16], values[RECORDS][48];
};
struct let {
    char name[16], words[200];
};
struct table {
    struct line lines[300];
    struct shown shown[40];
    struct let lets[16];
    size_t lines_n, shown_n, lets_n;
    unsigned number;
};

static void copy(char *out, size_t cap, const char *from, size_t n)
{
    while (n && (*from == ' ' || *from == '\t')) {
        from++;
        n--;
    }
    while (n && (from[n - 1] == ' ' || from[n - 1] == '\n')) {
        n--;
    }
    assert_true(n < cap);
    memcpy(out, from, n);
    out[n] = '\0';
}

static const char *let_of(const struct table *t, const char *word)
{
    for (size_t i = 0; i < t->lets_n; i++) {
        if (strcmp(t->lets[i].name, word) == 0) {
            return t->lets[i].words;
        }
    }
    return NULL;
}

/* Parts between separators; how many. */
static size_t split(const char *text, char by, size_t cap, char *out, size_t size, size_t max)
{
    size_t n = 0;
    for (const char *p = text; *p || n == 0;) {
        const char *end = strchr(p, by);
        size_t length = end ? (size_t)(end - p) : strlen(p);
        assert_true(n < max);
        copy(out + n * size, cap, p, length);
        n += out[n * size] != '\0' || by != ' ';
        p += length + (end != NULL);
        if (!end) {
            break;
        }
    }
    return n;
}

static void add_rights(const struct table *t, struct line *l, const char *words)
{
    char parts[WORDS_MAX][16];
    size_t n = split(words, ' ', sizeof parts[0], parts[0], sizeof parts[0], WORDS_MAX);
    for (size_t i = 0; i < n; i++) {
        const char *more = let_of(t, parts[i]);
        if (more) {
            add_rights(t, l, more);
        } else {
            assert_true(l->rights_n < WORDS_MAX);
            memcpy(l->rights[l->rights_n++], parts[i], sizeof parts[i]);
        }
    }
}

static void read_line(struct table *t, const char *text)
{
    static const char *const operations[] = {
        [QUERY_GET] = "get",      [QUERY_FIND] = "find",     [QUERY_COUNT] = "count",
        [QUERY_MATCH] = "match",  [QUERY_INSERT] = "insert", [QUERY_PUT] = "put",
        [QUERY_DELETE] = "delete"};
    char parts[CELLS + 1][300], operation[16];
    int behind = 0;
    assert_true(t->lines_n < COUNT(t->lines));
    struct line *l = &t->lines[t->lines_n++];
    size_t n = split(text, '|', sizeof parts[0], parts[0], sizeof parts[0], CELLS + 1);
    if ((n != 2 && n != CELLS + 1) ||
        sscanf(parts[0], "%15s %15s %15s %n", operation, l->use, l->field, &behind) != 3) {
        fail_msg("line %u is not understood", t->number);
    }
    l->number = t->number;
    for (unsigned i = QUERY_GET; i <= QUERY_DELETE; i++) {
        l->operation =
            strcmp(operations[i], operation) == 0 ? (enum query_operation)i : l->operation;
    }
    add_rights(t, l, parts[0] + behind);
    for (size_t i = 0; i < CELLS; i++) {
        const char *cell = parts[n == 2 ? 1 : i + 1], *word = let_of(t, cell);
        copy(l->cells[i], sizeof l->cells[i], word ? word : cell, strlen(word ? word : cell));
    }
}

static void read_shown(struct table *t, const char *text)
{
    int behind = 0;
    assert_true(t->shown_n < COUNT(t->shown));
    struct shown *s = &t->shown[t->shown_n++];
    assert_int_equal(sscanf(text, "show %15s %15[^:]:%n", s->field, s->right, &behind), 2);
    assert_int_equal(
        split(text + behind, ';', sizeof s->values[0], s->values[0], sizeof s->values[0], RECORDS),
        RECORDS);
}

static void read_let(struct table *t, const char *text)
{
    assert_true(t->lets_n < COUNT(t->lets));
    struct let *l = &t->lets[t->lets_n++];
    const char *eq = strchr(text, '=');
    assert_non_null(eq);
    copy(l->name, sizeof l->name, text + 4, (size_t)(eq - text - 4));
    copy(l->words, sizeof l->words, eq + 1, strlen(eq + 1));
}

static void read_table(struct table *t)
{
    char text[2048];
    FILE *f = fopen(YZ_TEST_DATA "/grants/table.txt", "r");
    assert_non_null(f);
    while (fgets(text, sizeof text, f)) {
        t->number++;
        if (text[0] == '#' || text[0] == '\n') {
            continue;
        }
        if (strncmp(text, "show ", 5) == 0) {
            read_shown(t, text);
        } else if (strncmp(text, "let ", 4) == 0) {
            read_let(t, text);
        } else {
            read_line(t, text);
        }
    }
    fclose(f);
}

static const struct line *find_line(const struct table *t, enum query_operation operation,
                                    const char *use, const char *field, const char *right)
{
    const struct line *found = NULL;
    for (size_t i = 0; i < t->lines_n; i++) {
        const struct line *l = &t->lines[i];
        bool same =
            l->operation == operation && strcmp(l->use, use) == 0 && strcmp(l->field, field) == 0;
        for (size_t k = 0; same && k < l->rights_n; k++) {
            if (strcmp(l->rights[k], right) == 0) {
                if (found) {
                    fail_msg("lines %u and %u: both say %s", found->number, l->number, right);
                }
                found = l;
            }
        }
    }
    if (!found) {
        fail_msg("no line says: %s %s %s %s", yzi_operation_name(operation), use, field, right);
    }
    return found;
}

/* -- the scene -- */

struct scene {
    struct fixture *f;
    struct dataset *dataset;
    struct store *store;
    struct world_message message;
    struct job *job;
    struct table table;
};

/* One combination, as grant and question. */
struct asked {
    enum query_operation operation;
    const char *use, *field, *right;
    unsigned rows, purpose;
    struct grant_field readable[3];
    yz_bytes filterable[3], sortable[3], writable[3], purposes[1], row_value, constant;
    struct row_condition row_filter;
    struct grant_predicate predicate;
    struct query_value values[4], key_values[2];
    struct query_key keys[2];
    struct query_condition condition;
    struct query_order order;
    struct query_predicate question;
    yz_bytes names[2];
    struct request_head head;
};

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static void list(struct name_list *names, yz_bytes *items, const char *name)
{
    names->items = items;
    items[names->n++] = yzi_bytes_str(name);
}

static unsigned mask_of(const char *right)
{
    char word[16];
    unsigned mask = MASK_NONE;
    copy(word, sizeof word, right, strcspn(right, "+"));
    return yzi_mask_parse(word, &mask) == YZ_OK ? mask : MASK_NONE;
}

static void give_field(struct asked *a, struct fine_grant *g, const char *field, const char *right)
{
    unsigned mask = mask_of(right);
    const char *more = strchr(right, '+');
    if (is(right, "full") || is(right, "read") || mask != MASK_NONE) {
        a->readable[g->readable_n++] =
            (struct grant_field){yzi_bytes_str(field), (enum field_mask)mask};
    }
    if (is(right, "full") || is(right, "filt") || (more && more[1] == 'f')) {
        list(&g->filterable, a->filterable, field);
    }
    if (is(right, "full") || is(right, "sort") || (more && more[1] == 's')) {
        list(&g->sortable, a->sortable, field);
    }
    if (is(right, "full") || is(right, "writ")) {
        list(&g->writable, a->writable, field);
    }
}

static void give_rows(struct asked *a, struct fine_grant *g)
{
    static const char *const by[][2] = {
        {0}, {"district", "east"}, {"district", "west"}, {"note", "x"}};
    if (a->rows != ROWS_ALL) {
        a->row_value = yzi_bytes_str(by[a->rows][1]);
        a->row_filter =
            (struct row_condition){yzi_bytes_str(by[a->rows][0]), OP_EQ, {&a->row_value, 1}};
        g->row_filter = &a->row_filter;
        g->row_filter_n = 1;
    }
}

static const char *value_of(const char *field, const char *use)
{
    static const struct {
        const char *field, *eq, *range, *prefix, *own;
    } values[] = {{"name", "Wang Xiaoming", "Sun", "W", "Wang Xiaoming"},
                  {"born", "1990-07-15", "1990-01-01", "1", "1984-03-02"},
                  {"income", "1000", "2000", "1", "1000"},
                  {"id", "11010006", "11030004", "1101", "11010006"}};
    for (size_t i = 0; i < COUNT(values); i++) {
        if (is(values[i].field, field)) {
            return is(use, "eq")       ? values[i].eq
                   : is(use, "range")  ? values[i].range
                   : is(use, "prefix") ? values[i].prefix
                                       : values[i].own;
        }
    }
    return NULL;
}

static void make_grant(struct asked *a, struct fine_grant *g)
{
    unsigned all = 0;
    for (unsigned op = QUERY_GET; op <= QUERY_OPERATION_LAST; op++) {
        all |= 1u << op;
    }
    *g = (struct fine_grant){.id = g->id, .readable = a->readable};
    g->operations = is(a->use, "ungranted") ? all & ~(1u << a->operation) : 1u << a->operation;
    give_field(a, g, "district", "full");
    if (!is(a->field, "id")) {
        give_field(a, g, "id", "full");
    }
    give_field(a, g, a->field, a->right);
    give_rows(a, g);
    if (a->purpose == PURPOSE_RIGHT || a->purpose >= PURPOSE_WRONG) {
        list(&g->purposes, a->purposes, "register");
    }
    if (a->operation == QUERY_MATCH) {
        a->constant = yzi_bytes_str(value_of(a->field, "own"));
        a->predicate = (struct grant_predicate){.name = yzi_bytes_str("is-it"),
                                                .field = yzi_bytes_str(a->field),
                                                .op = OP_EQ,
                                                .constants = {&a->constant, 1}};
        g->predicates = &a->predicate;
        g->predicates_n = 1;
    }
}

/* -- the question -- */

static void ask_fields(struct asked *a, bool shown)
{
    struct query *q = &a->head.query;
    bool of_key = is(a->field, "id");
    q->fields = a->names;
    if (shown || !of_key) {
        a->names[q->fields_n++] = yzi_bytes_str("id");
    }
    if (shown ? !of_key : of_key) {
        a->names[q->fields_n++] = yzi_bytes_str(of_key ? "district" : a->field);
    }
}

static void ask_keys(struct asked *a, size_t n)
{
    static const char *const keys[] = {"11010006", "11020005"};
    for (size_t i = 0; i < n; i++) {
        a->key_values[i].v = yzi_bytes_str(keys[i]);
        a->keys[i] = (struct query_key){&a->key_values[i], 1};
    }
    a->head.query.keys = a->keys;
    a->head.query.keys_n = n;
}

static void ask_condition(struct asked *a, const char *field, enum query_op op, const char *first,
                          const char *second)
{
    a->values[0].v = yzi_bytes_str(first);
    a->values[1].v = yzi_bytes_str(second ? second : "");
    a->condition = (struct query_condition){yzi_bytes_str(field), op, a->values, second ? 2 : 1};
    a->head.query.filter = &a->condition;
    a->head.query.filter_n = 1;
}

static void ask_find(struct asked *a, const char *use)
{
    struct query *q = &a->head.query;
    enum query_op op = is(use, "eq") ? OP_EQ : is(use, "range") ? OP_GE : OP_PREFIX;
    if (q->operation == QUERY_FIND) {
        ask_fields(a, is(use, "shown"));
    }
    if (is(use, "shown") || is(use, "other")) {
        ask_condition(a, "district", OP_IN, "east", "west");
    } else if (is(use, "order")) {
        a->order = (struct query_order){yzi_bytes_str(a->field), false};
        q->order = &a->order;
        q->order_n = 1;
    } else if (!is(use, "all")) {
        ask_condition(a, a->field, op, value_of(a->field, use), NULL);
    }
}

/* insert and put; the body is not looked at before it is executed */
static void ask_bring(struct asked *a)
{
    struct query *q = &a->head.query;
    q->fields = a->names;
    a->names[q->fields_n++] = yzi_bytes_str("id");
    if (!is(a->field, "id")) {
        a->names[q->fields_n++] = yzi_bytes_str(a->field);
    }
    q->rows = 1;
}

static void make_question(struct asked *a)
{
    const char *use = a->use;
    struct query *q = &a->head.query;
    a->head.has_query = true;
    q->operation = a->operation;
    if (a->operation == QUERY_GET) {
        ask_fields(a, !is(use, "other"));
        ask_keys(a, 2);
    } else if (a->operation == QUERY_FIND) {
        ask_find(a, is(use, "ungranted") ? "shown" : use);
    } else if (a->operation == QUERY_COUNT) {
        ask_find(a, is(use, "ungranted") ? "all" : use);
    } else if (a->operation == QUERY_MATCH) {
        ask_keys(a, 1);
        a->question.name = yzi_bytes_str(is(use, "unknown") ? "is-other" : "is-it");
        q->predicates = &a->question;
        q->predicates_n = 1;
    } else if (a->operation == QUERY_DELETE) {
        ask_keys(a, 1);
    } else {
        ask_bring(a);
    }
}

/* -- what comes, and what should -- */

static const char *shown_value(const struct table *t, const char *field, const char *right,
                               char letter)
{
    const char *as = mask_of(right) == MASK_NONE ? "full" : right;
    for (size_t i = 0; i < t->shown_n; i++) {
        if (is(t->shown[i].field, field) && is(t->shown[i].right, as)) {
            assert_in_range(letter, 'A', 'F');
            return t->shown[i].values[letter - 'A'];
        }
    }
    fail_msg("the table does not show %s %s", field, as);
    return NULL;
}

static void expected_rows(const struct table *t, const struct asked *a, const char *letters,
                          char out[TEXT_MAX])
{
    size_t n = 0;
    out[0] = '\0';
    for (; *letters && *letters != '-'; letters++) {
        for (size_t i = 0; i < a->head.query.fields_n; i++) {
            char name[16];
            copy(name, sizeof name, (const char *)a->names[i].p, a->names[i].n);
            n += (size_t)snprintf(
                out + n, TEXT_MAX - n, "%s%s", i ? "|" : "",
                shown_value(t, name, is(name, a->field) ? a->right : "full", *letters));
        }
        n += (size_t)snprintf(out + n, TEXT_MAX - n, "\n");
    }
    assert_true(n < TEXT_MAX);
}

static void given_rows(const yz_buf *rows, const struct answer_head *h, char out[TEXT_MAX])
{
    yz_reader r = yzi_reader(yzi_bytes_buf(rows));
    size_t n = 0;
    out[0] = '\0';
    for (uint32_t row = 0; row < h->rows; row++) {
        for (size_t i = 0; i < h->fields_n; i++) {
            struct query_value v;
            OK(yzi_row_next(&r, &v));
            n += (size_t)snprintf(out + n, TEXT_MAX - n, "%s%.*s", i ? "|" : "",
                                  v.null ? 1 : (int)v.v.n, v.null ? "~" : (const char *)v.v.p);
        }
        n += (size_t)snprintf(out + n, TEXT_MAX - n, "\n");
    }
    assert_int_equal(r.left, 0);
    assert_true(n < TEXT_MAX);
}

/* The answer in the words of a cell; rows as their text. */
static void given(const struct job *j, const struct answering *a, const struct reply *r,
                  char out[TEXT_MAX])
{
    const struct answer_head *h = &r->head;
    if (j->to_write) {
        snprintf(out, TEXT_MAX, "go");
    } else if (h->code == ANSWER_DENIED) {
        snprintf(out, TEXT_MAX, "%.*s/%.*s", (int)h->reason.n, (const char *)h->reason.p,
                 (int)h->clause.n, (const char *)h->clause.p);
    } else if (h->code != ANSWER_OK) {
        snprintf(out, TEXT_MAX, "%s%.*s", h->code == ANSWER_BAD_QUERY ? "!" : "?", (int)h->reason.n,
                 (const char *)h->reason.p);
    } else if (h->has_total) {
        snprintf(out, TEXT_MAX, "%llu", (unsigned long long)h->total);
    } else if (h->matches_n) {
        assert_int_equal(h->matches_n, 1);
        snprintf(out, TEXT_MAX, "%s", yzi_match_name(r->matches[0]));
    } else {
        given_rows(&a->rows, h, out);
    }
}

static bool is_rows(enum query_operation operation, const char *cell)
{
    return (operation == QUERY_GET || operation == QUERY_FIND) && !strchr(cell, '/') &&
           cell[0] != '!';
}

/* What is masked is named so, and nothing else is; the grant is named whatever is said. */
static void check_head(const struct asked *a, const struct reply *r)
{
    assert_true(yzi_bytes_eq_str(r->head.grant, "g1"));
    for (size_t i = 0; i < r->head.fields_n; i++) {
        bool it = yzi_bytes_eq_str(r->fields[i].name, a->field);
        assert_int_equal(r->fields[i].mask, it ? mask_of(a->right) : MASK_NONE);
    }
    if (r->head.code != ANSWER_OK) {
        assert_int_equal(r->head.rows, 0);
        assert_int_equal(r->head.fields_n, 0);
        assert_int_equal(r->head.cursor.n, 0);
    }
}

static void check(struct scene *s, struct asked *a)
{
    static const char *const said[] = {"register", "register", "", "statistics", ""};
    const struct line *l = find_line(&s->table, a->operation, a->use, a->field, a->right);
    const char *cell = l->cells[a->purpose < PURPOSE_WRONG ? a->rows : a->purpose + 1u];
    char want[TEXT_MAX], got[TEXT_MAX];
    struct job *j = s->job;
    struct answering *w = &s->f->answering;
    struct reply reply = {0};
    make_grant(a, &s->f->policy->terms.grants[0]);
    make_question(a);
    j->request.header.purpose = yzi_bytes_str(said[a->purpose]);
    j->to_write = false;
    yzi_buf_clear(&w->rows);
    yzi_answer_decide(w, j, &a->head, (yz_bytes){0}, &reply);
    given(j, w, &reply, got);
    if (is_rows(a->operation, cell)) {
        expected_rows(&s->table, a, cell, want);
    } else {
        snprintf(want, sizeof want, "%s", cell);
    }
    if (!is(want, got)) {
        fail_msg("line %u, right %s, row filter %u, purpose %u: not\n%s\nbut\n%s", l->number,
                 a->right, a->rows, a->purpose, want, got);
    }
    check_head(a, &reply);
    yzi_arena_clear(&w->arena);
}

static unsigned check_right(struct scene *s, size_t use, const char *field, const char *right)
{
    for (unsigned rows = 0; rows < ROWS_N; rows++) {
        for (unsigned purpose = 0; purpose < PURPOSE_N; purpose++) {
            struct asked a = {.operation = uses[use].operation,
                              .use = uses[use].use,
                              .field = field,
                              .right = right,
                              .rows = rows,
                              .purpose = purpose};
            check(s, &a);
        }
    }
    return ROWS_N * PURPOSE_N;
}

static void test_grants__give_what_the_table_says(void **state)
{
    struct scene *s = *state;
    unsigned n = 0;
    for (size_t use = 0; use < COUNT(uses); use++) {
        bool writes = yzi_operation_writes(uses[use].operation);
        size_t rights_n = writes ? COUNT(written) : COUNT(rights);
        s->job->write_service = writes;
        for (size_t field = 0; field < COUNT(fields); field++) {
            for (size_t right = 0; right < rights_n; right++) {
                n += check_right(s, use, fields[field], (writes ? written : rights)[right]);
            }
        }
    }
    assert_int_equal(n, (17 * 20 + 6 * 2) * 4 * ROWS_N * PURPOSE_N);
}

/* A line that no combination is about would be a mistake of whoever wrote it. */
static void test_table__has_no_line_that_is_never_asked(void **state)
{
    struct scene *s = *state;
    for (size_t i = 0; i < s->table.lines_n; i++) {
        const struct line *l = &s->table.lines[i];
        bool known = false;
        for (size_t use = 0; use < COUNT(uses); use++) {
            known = known || (uses[use].operation == l->operation && is(uses[use].use, l->use));
        }
        if (!known || l->rights_n == 0) {
            fail_msg("line %u is about nothing", l->number);
        }
    }
}

/* -- set-up -- */

static void import(struct store *s)
{
    int fd = memfd_create("people", MFD_CLOEXEC);
    struct import_source source = {.fd = fd, .name = "people.csv", .mode = IMPORT_UPSERT};
    struct import_report report;
    yz_error err = {0};
    assert_int_equal(write(fd, records, strlen(records)), (ssize_t)strlen(records));
    if (yzi_store_import(s, &source, &report, &err) < 0) {
        fail_msg("%s", err.text);
    }
    close(fd);
}

static int set_up(void **state)
{
    struct scene *s;
    void *fixture = NULL;
    yz_error err = {0};
    YZ_AUTO(yzi_free_ptr) char *data = NULL;
    OK(yzi_alloc(1, sizeof *s, &s));
    assert_int_equal(fixture_set_up(&fixture), 0);
    s->f = fixture;
    OK(yzi_path_join(s->f->dir, "people", &data));
    if (yzi_dataset_parse(yzi_bytes_str(definition), "people.yaml", &s->dataset, &err) < 0) {
        fail_msg("%s", err.text);
    }
    OK(yzi_store_open(&(struct store_options){.dir = data, .dataset = s->dataset}, &s->store,
                      &err));
    import(s->store);
    s->job = fixture_get(s->f, (const char *const[]){"p1", NULL}, NULL, &s->message);
    yzi_store_close(s->job->store);
    s->job->store = yzi_store_ref(s->store);
    s->f->policy->terms.has_pseudonym_key = true;
    memset(s->f->policy->terms.pseudonym_key, 7, 32);
    read_table(&s->table);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    void *fixture = s->f;
    yzi_job_free(s->job);
    yz_world_message_fini(&s->message);
    yzi_store_close(s->store);
    yzi_dataset_unref(s->dataset);
    free(s);
    return fixture_tear_down(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grants__give_what_the_table_says),
        cmocka_unit_test(test_table__has_no_line_that_is_never_asked),
    };
    return cmocka_run_group_tests_name("grant_table", tests, set_up, tear_down);
}
