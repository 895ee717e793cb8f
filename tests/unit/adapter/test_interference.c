/* SPDX-License-Identifier: Apache-2.0
 *
 * What a grant hides shows in nothing. Two registers differ only in that: a field that is not
 * granted or is masked, or records that the row filter leaves out. Random grants that hide the
 * difference and random questions are put to both, through the adapter's whole answer; the answers
 * must be the same in code, reason, fields, rows, total, yes or no, pages and size. The entries an
 * index walk looks at are bounded at random, too, so that how much work it was (the part of the
 * time that a stranger could see) shows as well. The change sequence is the same in both: it counts
 * changes of the register, hidden ones included (docs/protocol.md).
 *
 * It is a class for script/soak, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/faults/soak.h"
#include "tests/support/dice.h"
#include "tests/unit/adapter/fixture.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define RECORDS 30u
#define HIDDEN_FROM 22u /* records of the district c */
#define FIELDS 8u
#define LIST 4u
#define PAGES 3u
#define TRIALS 1200u

static const char definition[] =
    "dataset: people\n"
    "title: {en: People}\n"
    "owner: CN/GOV/MCA\n"
    "sharing: unconditional\n"
    "key: [id]\n"
    "fields:\n"
    "  - {name: id, type: text, classification: internal, required: true}\n"
    "  - {name: district, type: text, classification: internal}\n"
    "  - {name: name, type: text, classification: internal}\n"
    "  - {name: born, type: date, classification: internal}\n"
    "  - {name: account, type: text, classification: internal}\n"
    "  - {name: income, type: integer, classification: internal}\n"
    "  - {name: phone, type: text, classification: sensitive}\n"
    "  - {name: note, type: text, classification: internal}\n"
    "indexes:\n"
    "  - {name: by_district_income, fields: [district, income]}\n"
    "  - {name: by_district_name, fields: [district, name]}\n"
    "  - {name: by_district_born, fields: [district, born]}\n"
    "  - {name: by_district_account, fields: [district, account]}\n"
    "  - {name: by_district_id, fields: [district, id]}\n"
    "  - {name: by_born, fields: [born]}\n"
    "  - {name: by_account, fields: [account]}\n"
    "  - {name: by_income_name, fields: [income, name]}\n"
    "  - {name: by_name_income, fields: [name, income]}\n"
    "  - {name: by_phone, fields: [phone]}\n";

enum field { ID, DISTRICT, NAME, BORN, ACCOUNT, INCOME, PHONE, NOTE };
static const char *const names[FIELDS] = {"id",      "district", "name",  "born",
                                          "account", "income",   "phone", "note"};

/* What the second register has otherwise. ROWS: the records of a district. */
enum difference {
    IN_NAME,
    IN_BORN,
    IN_ACCOUNT,
    IN_INCOME,
    IN_PHONE,
    IN_NOTE,
    IN_ROWS,
    DIFFERENCES
};
static const struct {
    int field;            /* -1: of records */
    enum field_mask mask; /* shows the same of both */
} differences[DIFFERENCES] = {
    {NAME, MASK_INITIAL}, {BORN, MASK_YEAR}, {ACCOUNT, MASK_LAST4}, {INCOME, MASK_HIDE},
    {PHONE, MASK_HIDE},   {NOTE, MASK_HIDE}, {-1, MASK_NONE},
};

/* -- the registers -- */

typedef char value[32];
struct person {
    value of[FIELDS];
};

static bool differs(enum difference d, enum difference asked, bool second, unsigned i)
{
    return second && (d == asked || (d == IN_ROWS && i >= HIDDEN_FROM));
}

/* Record i, as the first register has it or, where that differs, the second. */
static void make_person(unsigned i, bool second, enum difference d, struct person *r)
{
    int k = (int)i;
    bool rows = differs(d, IN_ROWS, second, i) && i >= HIDDEN_FROM;
    snprintf(r->of[ID], sizeof(value), "%c%02d", rows ? 'q' : 'p', k);
    snprintf(r->of[DISTRICT], sizeof(value), "%c", i >= HIDDEN_FROM ? 'c' : "ab"[i % 2]);
    snprintf(r->of[NAME], sizeof(value), "%c%d", 'A' + k % 5,
             differs(d, IN_NAME, second, i) ? 97 - k * 3 : k % 2);
    bool born = differs(d, IN_BORN, second, i);
    snprintf(r->of[BORN], sizeof(value), "%d-%02d-%02d", 1960 + k % 4,
             born ? 12 - k % 11 : k % 9 + 1, born ? 28 - k % 20 : k % 27 + 1);
    snprintf(r->of[ACCOUNT], sizeof(value), "%d%04d",
             differs(d, IN_ACCOUNT, second, i) ? 9001 - k * 13 : 1000 + k * 17, k % 6);
    snprintf(r->of[INCOME], sizeof(value), "%d",
             differs(d, IN_INCOME, second, i) ? 500 - k * 31 : k % 7 * 100);
    snprintf(r->of[PHONE], sizeof(value), "13%d",
             differs(d, IN_PHONE, second, i) ? 90000 - k : 10000 + k % 10);
    snprintf(r->of[NOTE], sizeof(value), "%.*s", k % 25 + 1,
             differs(d, IN_NOTE, second, i) ? "z" : "a note that is rather long");
}

static void write_register(bool second, enum difference d, yz_buf *csv)
{
    OK(yzi_buf_put_str(csv, "id,district,name,born,account,income,phone,note\n"));
    for (unsigned i = 0; i < RECORDS; i++) {
        struct person r;
        make_person(i, second, d, &r);
        for (unsigned f = 0; f < FIELDS; f++) {
            OK(yzi_buf_printf(csv, "%s%s", r.of[f], f + 1 < FIELDS ? "," : "\n"));
        }
    }
}

struct pairs {
    struct fixture *f;
    struct dataset *dataset;
    yz_secret key;
    char *dir;
    struct store *first, *second[DIFFERENCES];
};

static struct store *open_register(struct pairs *p, const char *name, bool second,
                                   enum difference d)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    YZ_AUTO(yzi_buf_fini) yz_buf csv;
    yz_world_buf(&csv);
    OK(yzi_path_join(p->dir, name, &dir));
    struct store_options o = {.dir = dir, .dataset = p->dataset, .storage_key = &p->key};
    struct store *s = NULL;
    yz_error err = {0};
    if (yzi_store_open(&o, &s, &err) < 0) {
        fail_msg("%s", err.text);
    }
    write_register(second, d, &csv);
    int fd = memfd_create("rows", MFD_CLOEXEC);
    assert_int_equal(write(fd, csv.p, csv.n), (ssize_t)csv.n);
    struct import_source source = {.fd = fd, .name = "rows.csv", .mode = IMPORT_UPSERT};
    struct import_report report;
    if (yzi_store_import(s, &source, &report, &err) < 0) {
        fail_msg("%s", err.text);
    }
    close(fd);
    return s;
}

static int set_up(void **state)
{
    static struct pairs p;
    void *f;
    fixture_set_up(&f);
    p = (struct pairs){.f = f};
    yz_error err = {0};
    if (yzi_dataset_parse(yzi_bytes_str(definition), "people.yaml", &p.dataset, &err) < 0) {
        fail_msg("%s", err.text);
    }
    uint8_t key[32] = {7};
    OK(yzi_secret_copy(&p.key, yzi_bytes(key, sizeof key)));
    p.dir = yz_world_tmpdir();
    p.first = open_register(&p, "first", false, 0);
    for (enum difference d = 0; d < DIFFERENCES; d++) {
        char name[16];
        snprintf(name, sizeof name, "second%d", (int)d);
        p.second[d] = open_register(&p, name, true, d);
    }
    p.f->policy->terms.has_pseudonym_key = true;
    *state = &p;
    return 0;
}

static int tear_down(void **state)
{
    struct pairs *p = *state;
    void *f = p->f;
    yzi_store_close(p->first);
    for (enum difference d = 0; d < DIFFERENCES; d++) {
        yzi_store_close(p->second[d]);
    }
    yzi_dataset_unref(p->dataset);
    yzi_secret_fini(&p->key);
    yz_world_rmdir(p->dir);
    free(p->dir);
    return fixture_tear_down(&f);
}

/* -- chance -- */

static struct dice dice;

static unsigned below(unsigned n)
{
    return dice_below(&dice, n);
}

static bool in_hundred(unsigned n)
{
    return below(100) < n;
}

/* -- grants that hide the difference -- */

struct grant {
    struct grant_field readable[FIELDS];
    yz_bytes filterable[FIELDS], sortable[FIELDS];
    struct row_condition where[2];
    yz_bytes where_values[2][2];
    struct grant_predicate predicate;
    struct person constants;
    yz_bytes constant;
    struct fine_grant fine;
};

static enum field_mask mask_for(enum field f)
{
    static const enum field_mask fitting[FIELDS] = {
        [NAME] = MASK_INITIAL, [BORN] = MASK_YEAR, [ACCOUNT] = MASK_LAST4, [INCOME] = MASK_HIDE};
    if (f == ID || in_hundred(75)) {
        return MASK_NONE;
    }
    return fitting[f] && in_hundred(70)                   ? fitting[f]
           : in_hundred(50) && f != DISTRICT && f != BORN ? MASK_HASH
                                                          : MASK_HIDE;
}

static void allow_use(struct grant *g, enum field f, unsigned percent)
{
    if (in_hundred(percent)) {
        g->filterable[g->fine.filterable.n++] = yzi_bytes_str(names[f]);
    }
    if (f != PHONE && in_hundred(percent)) { /* sensitive: has no order */
        g->sortable[g->fine.sortable.n++] = yzi_bytes_str(names[f]);
    }
}

/* The field whose values differ: not granted, or masked so that it shows the same. That somebody
 * may search by a masked field is never kept to, so it may well stand there. */
static void grant_difference(struct grant *g, enum difference d)
{
    if (in_hundred(50)) {
        g->readable[g->fine.readable_n++] =
            (struct grant_field){yzi_bytes_str(names[differences[d].field]),
                                 in_hundred(60) ? differences[d].mask : MASK_HIDE};
        allow_use(g, (enum field)differences[d].field, 3);
    }
}

static void grant_other(struct grant *g, enum field f)
{
    bool readable = f == ID || in_hundred(80);
    enum field_mask mask = mask_for(f);
    if (readable) {
        g->readable[g->fine.readable_n++] = (struct grant_field){yzi_bytes_str(names[f]), mask};
    }
    if (readable && mask == MASK_NONE) {
        allow_use(g, f, 85);
    } else if (!readable && in_hundred(40)) {
        g->filterable[g->fine.filterable.n++] = yzi_bytes_str(names[f]);
    }
}

static void add_where(struct grant *g, enum field f, enum query_op op, const char *a, const char *b)
{
    unsigned i = (unsigned)g->fine.row_filter_n++;
    g->where_values[i][0] = yzi_bytes_str(a);
    g->where_values[i][1] = yzi_bytes_str(b ? b : "");
    g->where[i] =
        (struct row_condition){yzi_bytes_str(names[f]), op, {g->where_values[i], b ? 2u : 1u}};
}

static void filter_rows(struct grant *g, enum difference d)
{
    if (d == IN_ROWS || in_hundred(30)) {
        unsigned how = below(4);
        add_where(g, DISTRICT,
                  how < 2    ? OP_EQ
                  : how == 2 ? OP_IN
                             : OP_LT,
                  how == 0   ? "a"
                  : how == 3 ? "c"
                             : "b",
                  how == 2 ? "a" : NULL);
    }
    if (d != IN_BORN && in_hundred(10)) {
        add_where(g, BORN, OP_GE, "1962-01-01", NULL);
    }
}

/* "Is it that?", of a field that does not differ. One constant: nothing is brought, so nothing has
 * to be counted. */
static void permit_a_question(struct grant *g, enum difference d)
{
    static const enum query_op ops[] = {OP_EQ, OP_GE, OP_GT, OP_LE, OP_LT, OP_IN};
    enum field f = (enum field)(1 + below(FIELDS - 1));
    if ((int)f == differences[d].field) {
        return;
    }
    make_person(below(RECORDS), false, d, &g->constants);
    g->constant = yzi_bytes_str(g->constants.of[f]);
    g->predicate = (struct grant_predicate){.name = yzi_bytes_str("it"),
                                            .field = yzi_bytes_str(names[f]),
                                            .op = f == PHONE ? OP_EQ : ops[below(6)],
                                            .constants = {&g->constant, 1}};
    g->fine.predicates = &g->predicate;
    g->fine.predicates_n = 1;
    for (size_t i = 0; i < g->fine.readable_n; i++) { /* of a masked one none is permitted */
        if (yzi_bytes_eq_str(g->readable[i].name, names[f])) {
            g->readable[i].mask = MASK_NONE;
        }
    }
}

static void make_grant(struct grant *g, enum difference d)
{
    *g = (struct grant){0};
    g->fine = (struct fine_grant){.id = yzi_bytes_str("g1"),
                                  .operations = 1u << QUERY_GET | 1u << QUERY_FIND |
                                                1u << QUERY_COUNT | 1u << QUERY_MATCH,
                                  .readable = g->readable,
                                  .filterable.items = g->filterable,
                                  .sortable.items = g->sortable,
                                  .row_filter = g->where};
    for (enum field f = 0; f < FIELDS; f++) {
        if ((int)f == differences[d].field) {
            grant_difference(g, d);
        } else {
            grant_other(g, f);
        }
    }
    filter_rows(g, d);
    permit_a_question(g, d);
}

/* -- questions -- */

struct question {
    value values[LIST * LIST];
    struct query_value of[LIST * LIST];
    unsigned values_n;
    struct query_key keys[LIST];
    yz_bytes fields[LIST];
    struct query_condition filter[LIST];
    struct query_order order[LIST];
    struct query_predicate predicate;
    struct request_head head;
};

/* One that a record of either register has, or nearly. */
static struct query_value *any_value(struct question *x, enum field f, enum difference d)
{
    struct person r;
    unsigned at = x->values_n++;
    make_person(below(RECORDS), in_hundred(50), d, &r);
    memcpy(x->values[at], r.of[f], sizeof(value));
    size_t n = strlen(x->values[at]);
    if (f != BORN && n > 1 && in_hundred(10)) {
        n--; /* short, or of a record that is not there */
    }
    x->of[at] = (struct query_value){.v = yzi_bytes(x->values[at], n)};
    return &x->of[at];
}

/* Mostly of those granted for it, so that questions are answered. */
static yz_bytes any_field(const struct name_list *granted)
{
    return granted->n && in_hundred(92) ? granted->items[below((unsigned)granted->n)]
                                        : yzi_bytes_str(names[below(FIELDS)]);
}

static enum field field_of(yz_bytes name)
{
    unsigned f = 0;
    while (!yzi_bytes_eq_str(name, names[f])) {
        f++;
    }
    return (enum field)f;
}

static void add_conditions(struct question *x, const struct grant *g, enum difference d)
{
    static const enum query_op ops[] = {OP_EQ, OP_EQ, OP_EQ, OP_IN, OP_PREFIX,
                                        OP_GE, OP_GT, OP_LE, OP_LT};
    struct query *q = &x->head.query;
    unsigned n = below(LIST);
    for (unsigned i = 0; i < n; i++) {
        struct query_condition *c = &x->filter[q->filter_n++];
        c->field = any_field(&g->fine.filterable);
        c->op = ops[below(sizeof ops / sizeof *ops)];
        c->values_n = c->op == OP_IN ? 2 : 1;
        c->values = any_value(x, field_of(c->field), d);
        if (c->op == OP_IN) {
            any_value(x, field_of(c->field), d);
        }
    }
}

static void add_keys(struct question *x, enum difference d)
{
    struct query *q = &x->head.query;
    unsigned n = 1 + below(LIST - 1);
    for (unsigned i = 0; i < n; i++) {
        x->keys[q->keys_n++] = (struct query_key){any_value(x, ID, d), 1};
    }
}

static void make_question(struct question *x, const struct grant *g, enum difference d)
{
    static const enum query_operation operations[] = {QUERY_GET, QUERY_FIND, QUERY_FIND,
                                                      QUERY_COUNT, QUERY_MATCH};
    *x = (struct question){.head.has_query = true, .predicate.name = yzi_bytes_str("it")};
    struct query *q = &x->head.query;
    q->operation = operations[below(5)];
    q->keys = x->keys;
    q->fields = x->fields;
    q->filter = x->filter;
    q->order = x->order;
    if (q->operation == QUERY_MATCH) {
        x->keys[q->keys_n++] = (struct query_key){any_value(x, ID, d), 1};
        q->predicates = &x->predicate;
        q->predicates_n = 1;
        return;
    }
    if (q->operation == QUERY_GET) {
        add_keys(x, d);
    } else {
        add_conditions(x, g, d);
    }
    if (q->operation != QUERY_COUNT && in_hundred(30)) {
        x->fields[q->fields_n++] = g->readable[below((unsigned)g->fine.readable_n)].name;
    }
    if (q->operation == QUERY_FIND) {
        for (unsigned n = below(3); n; n--) {
            x->order[q->order_n++] =
                (struct query_order){any_field(&g->fine.sortable), in_hundred(30)};
        }
        q->limit = below(8);
    }
}

/* -- answers -- */

struct said {
    struct world_message request;
    struct job *job;
    struct opened opened;
};

static void said_fini(struct said *s)
{
    opened_fini(&s->opened);
    yzi_job_free(s->job);
    yz_world_message_fini(&s->request);
}

static void ask(struct pairs *p, struct store *s, const struct grant *g,
                const struct request_head *head, struct said *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf bytes;
    struct policy *policy = p->f->policy;
    struct fine_grant kept = policy->terms.grants[0];
    yz_world_buf(&bytes);
    OK(yzi_request_head_write(head, &bytes));
    yz_world_request(p->f->w, &(struct world_request){.head = yzi_bytes_buf(&bytes)},
                     &out->request);
    out->job = fixture_job(p->f, &out->request);
    yzi_store_close(out->job->store);
    out->job->store = yzi_store_ref(s);
    policy->terms.grants[0] = g->fine;
    yzi_answer(&p->f->answering, out->job);
    policy->terms.grants[0] = kept;
    fixture_open(p->f, &out->request, out->job, &out->opened);
}

static bool same_fields(const struct answer_head *a, const struct answer_head *b)
{
    bool same = a->fields_n == b->fields_n;
    for (size_t i = 0; same && i < a->fields_n; i++) {
        same = yzi_bytes_eq(a->fields[i].name, b->fields[i].name) &&
               a->fields[i].type == b->fields[i].type && a->fields[i].mask == b->fields[i].mask;
    }
    return same;
}

static bool same_matches(const struct answer_head *a, const struct answer_head *b)
{
    bool same = a->matches_n == b->matches_n;
    for (size_t i = 0; same && i < a->matches_n; i++) {
        same = a->matches[i] == b->matches[i];
    }
    return same;
}

/* What is otherwise, or NULL. */
static const char *compare(const struct said *x, const struct said *y)
{
    const struct answer_head *a = &x->opened.head, *b = &y->opened.head;
    if (a->code != b->code || !yzi_bytes_eq(a->reason, b->reason)) {
        return "the code";
    }
    if (!yzi_bytes_eq(a->detail, b->detail) || !yzi_bytes_eq(a->grant, b->grant)) {
        return "the words";
    }
    if (!same_fields(a, b) || a->rows != b->rows || a->has_total != b->has_total ||
        a->total != b->total) {
        return "fields, rows or total";
    }
    if (!same_matches(a, b)) {
        return "yes, no or unknown";
    }
    if (a->cursor.n != b->cursor.n) {
        return "the cursor";
    }
    if (!yzi_bytes_eq(x->opened.plain.body, y->opened.plain.body)) {
        return "the rows' bytes";
    }
    if (x->job->answer.n != y->job->answer.n ||
        x->opened.response.header.data_version != y->opened.response.header.data_version) {
        return "the message's size or sequence";
    }
    return NULL;
}

struct tally {
    unsigned long answered, rows, pages, matched, refused, different;
};

/* Both registers, page after page. What is otherwise, or NULL. */
static const char *put_to_both(struct pairs *p, enum difference d, const struct grant *g,
                               struct question *x, struct tally *t)
{
    YZ_AUTO(yzi_buf_fini) yz_buf first;
    YZ_AUTO(yzi_buf_fini) yz_buf second;
    yz_buf *const cursors[] = {&first, &second};
    yzi_buf_init(&first, YZ_CURSOR_MAX);
    yzi_buf_init(&second, YZ_CURSOR_MAX);
    const char *otherwise = NULL;
    bool more = true;
    for (unsigned page = 0; page < PAGES && more && !otherwise; page++) {
        struct said of[2] = {0};
        for (unsigned i = 0; i < 2; i++) {
            x->head.query.cursor = yzi_bytes_buf(cursors[i]);
            ask(p, i ? p->second[d] : p->first, g, &x->head, &of[i]);
            yzi_buf_clear(cursors[i]);
            OK(yzi_buf_put(cursors[i], of[i].opened.head.cursor));
        }
        otherwise = compare(&of[0], &of[1]);
        more = first.n > 0;
        t->answered += of[0].opened.head.code == ANSWER_OK;
        t->refused += of[0].opened.head.code != ANSWER_OK;
        t->rows += of[0].opened.head.rows;
        t->pages += page > 0;
        t->matched += of[0].opened.head.matches_n;
        said_fini(&of[0]);
        said_fini(&of[1]);
    }
    return otherwise;
}

static void bound_work(struct pairs *p)
{
    static const uint64_t entries[] = {0, 3, 7, 12};
    static const size_t bytes[] = {1u << 20, 1u << 20, 60, 200};
    p->f->answering.limits.entries = entries[below(4)];
    p->f->answering.limits.bytes = bytes[below(4)];
}

/* -- the tests -- */

static void describe(const struct grant *g, const struct question *x, yz_buf *out)
{
    const struct query *q = &x->head.query;
    OK(yzi_buf_printf(out, "grant: read"));
    for (size_t i = 0; i < g->fine.readable_n; i++) {
        OK(yzi_buf_printf(out, " %.*s/%u", (int)g->readable[i].name.n,
                          (const char *)g->readable[i].name.p, g->readable[i].mask));
    }
    OK(yzi_buf_printf(out, "; where"));
    for (size_t i = 0; i < g->fine.row_filter_n; i++) {
        OK(yzi_buf_printf(out, " %.*s op%u %.*s", (int)g->where[i].field.n,
                          (const char *)g->where[i].field.p, g->where[i].op,
                          (int)g->where[i].values.items[0].n,
                          (const char *)g->where[i].values.items[0].p));
    }
    OK(yzi_buf_printf(out, "\n%s:", yzi_operation_name(q->operation)));
    for (size_t i = 0; i < q->filter_n; i++) {
        OK(yzi_buf_printf(out, " %.*s op%u %.*s", (int)q->filter[i].field.n,
                          (const char *)q->filter[i].field.p, q->filter[i].op,
                          (int)q->filter[i].values[0].v.n,
                          (const char *)q->filter[i].values[0].v.p));
    }
    for (size_t i = 0; i < q->order_n; i++) {
        OK(yzi_buf_printf(out, " by %.*s", (int)q->order[i].field.n,
                          (const char *)q->order[i].field.p));
    }
    OK(yzi_buf_printf(out, " limit %u", q->limit));
}

static void hidden_differences_show_in_nothing(void **state)
{
    struct pairs *p = *state;
    struct tally t = {0};
    unsigned trials = dice_trials(TRIALS);
    dice = dice_from(dice_seed_now());
    soak_begin(1);
    for (unsigned i = 0; i < trials && soak_goes_on(); i++) {
        struct grant g;
        struct question x;
        enum difference d = (enum difference)below(DIFFERENCES);
        make_grant(&g, d);
        for (unsigned k = 0; k < 3; k++) {
            make_question(&x, &g, d);
            bound_work(p);
            const char *otherwise = put_to_both(p, d, &g, &x, &t);
            if (otherwise) {
                YZ_AUTO(yzi_buf_fini) yz_buf text;
                yz_world_buf(&text);
                describe(&g, &x, &text);
                fail_msg("trial %u, difference %d: %s; entries %llu, bytes %zu\n%.*s", i, (int)d,
                         otherwise, (unsigned long long)p->f->answering.limits.entries,
                         p->f->answering.limits.bytes, (int)text.n, (const char *)text.p);
            }
        }
        soak_did(1);
    }
    print_message("%lu answered (%lu rows, %lu further pages, %lu matched), %lu refused\n",
                  t.answered, t.rows, t.pages, t.matched, t.refused);
    assert_true(t.answered * 5 > t.refused && t.rows > t.answered / 3 && t.pages > 0 &&
                t.matched > t.answered / 10);
}

/* The same comparison notices what a grant does show. */
static void differences_that_are_granted_show(void **state)
{
    struct pairs *p = *state;
    dice = dice_from(77);
    p->f->answering.limits.entries = 0;
    p->f->answering.limits.bytes = 1u << 20;
    for (enum difference d = 0; d < DIFFERENCES; d++) {
        struct tally t = {0};
        for (unsigned i = 0; i < 100 && !t.different; i++) {
            struct grant g;
            struct question x;
            make_grant(&g, d);
            g.fine.row_filter_n = 0;
            g.fine.readable_n = 0;
            for (unsigned f = 0; f < FIELDS; f++) {
                g.readable[g.fine.readable_n++] = (struct grant_field){yzi_bytes_str(names[f]), 0};
            }
            make_question(&x, &g, d);
            t.different += put_to_both(p, d, &g, &x, &t) != NULL;
        }
        assert_true(t.different > 0);
    }
}

int main(int argc, char **argv)
{
    int code;
    setenv("YZ_SOAK_SEED", "20261123", 0);
    if (!soak_wanted(argc, argv, "interference", &code)) {
        return code;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences_that_are_granted_show),
        cmocka_unit_test(hidden_differences_show_in_nothing),
    };
    int rc = cmocka_run_group_tests(tests, set_up, tear_down);
    soak_end("interference");
    return rc;
}
