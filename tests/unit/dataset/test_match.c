/* SPDX-License-Identifier: Apache-2.0
 *
 * Yes/no questions about a record: what each operator says of each type, numbers exactly; unknown
 * for what is absent, hidden or null; what is refused; steps.
 */
#include "tests/unit/dataset/fixture.h"

#include <sodium.h>

#include "adapters/dataset/match.h"
#include "base/clock.h"
#include "proto/subject.h"
#include "tests/support/alloc_fail.h"

static const char people_yaml[] =
    "dataset: people\n"
    "title: {en: People}\n"
    "owner: Tax office\n"
    "sharing: conditional\n"
    "key: [person, year]\n"
    "fields:\n"
    "  - {name: person, type: text, classification: sensitive, max_length: 18}\n"
    "  - {name: year, type: integer, classification: internal}\n"
    "  - {name: debt, type: decimal, classification: secret}\n"
    "  - {name: children, type: integer, classification: sensitive}\n"
    "  - {name: born, type: date, classification: sensitive}\n"
    "  - {name: seen, type: time, classification: internal}\n"
    "  - {name: married, type: boolean, classification: sensitive}\n"
    "  - {name: status, type: code, classification: sensitive, codes: [clear, due, open]}\n"
    "  - {name: name, type: text, classification: internal}\n"
    "  - {name: district, type: text, classification: internal}\n"
    "  - {name: photo, type: bytes, classification: secret}\n";
enum { PERSON, YEAR, DEBT, CHILDREN, BORN, SEEN, MARRIED, STATUS, NAME, DISTRICT, PHOTO };

static const char people_csv[] =
    "person,year,debt,children,born,seen,married,status,name,district,photo\n"
    "P1,2026,99999999999999999999999999999999999.999,-2,1990-02-28,2026-01-01T00:00:00.5Z,true,"
    "due,Bo,north,AAEC\n"
    "P2,2026,-0.1,0,2000-01-01,2026-01-01T00:00:00Z,false,clear,Bob,south,\n"
    "P3,2026,,,,,,,,north,\n";

struct state {
    struct fixture_dir dir;
    struct dataset *d;
    struct store *s;
    yz_secret key;
    struct query_view view; /* no row filter, unless a test sets it */
    struct query_limits limits;
    /* the last question's */
    struct query_fault fault;
    uint64_t sequence;
};

static int setup(void **out)
{
    struct state *st = calloc(1, sizeof *st);
    struct import_report r;
    yz_error err = {0};
    assert_non_null(st);
    fixture_dir_make(&st->dir);
    st->d = fixture_dataset(people_yaml);
    fixture_key(&st->key, 5);
    st->s = fixture_open(st->dir.path, st->d, &st->key);
    if (fixture_import(st->s, people_csv, &r, &err) < 0) {
        fail_msg("%s", err.text);
    }
    *out = st;
    return 0;
}

static int teardown(void **state)
{
    struct state *st = *state;
    yzi_store_close(st->s);
    yzi_dataset_unref(st->d);
    yzi_secret_fini(&st->key);
    fixture_dir_remove(&st->dir);
    free(st);
    return 0;
}

static struct query_value value(const char *text)
{
    return text ? (struct query_value){.v = yzi_bytes_str(text)}
                : (struct query_value){.null = true};
}

/* One predicate on the record (person, 2026); values is NULL-terminated. */
static int ask(struct state *st, const char *person, unsigned field, enum query_op op,
               const char *const *values, enum match_result *out)
{
    struct query_value v[8], parts[2] = {value(person), value("2026")};
    struct match_predicate p = {.field = field, .op = op, .values = v};
    for (; values[p.values_n]; p.values_n++) {
        v[p.values_n] = value(values[p.values_n]);
    }
    struct query_key key = {parts, 2};
    struct match_question q = {yzi_store_dataset(st->s), &key, &p, 1};
    struct match *m;
    YZ_TRY(yzi_match_open(st->s, &q, &m, &st->fault));
    int rc = yzi_match_ask(m, &st->view, &st->limits, out, &st->sequence);
    yzi_match_close(m);
    return rc;
}

static const char *says(struct state *st, const char *person, unsigned field, enum query_op op,
                        const char *v)
{
    enum match_result r = 0;
    assert_int_equal(ask(st, person, field, op, (const char *const[]){v, NULL}, &r), YZ_OK);
    return yzi_match_name(r);
}

/* -- what it says -- */

static const struct {
    unsigned field;
    const char *v;
    const char *answers; /* eq ge gt le lt: y or n, by the record P1 */
} table[] = {
    {DEBT, "99999999999999999999999999999999999.999", "yynyn"},
    {DEBT, "+99999999999999999999999999999999999.99900", "yynyn"},
    {DEBT, "99999999999999999999999999999999999.998", "nyynn"},
    {DEBT, "100000000000000000000000000000000000", "nnnyy"},
    {DEBT, "-5", "nyynn"},
    {DEBT, "0", "nyynn"},
    {CHILDREN, "-2", "yynyn"},
    {CHILDREN, "-1", "nnnyy"},
    {CHILDREN, "-3", "nyynn"},
    {CHILDREN, "9223372036854775807", "nnnyy"},
    {CHILDREN, "-9223372036854775808", "nyynn"},
    {BORN, "1990-02-28", "yynyn"},
    {BORN, "1990-03-01", "nnnyy"},
    {BORN, "1990-02-27", "nyynn"},
    {SEEN, "2026-01-01T00:00:00.5Z", "yynyn"},
    {SEEN, "2026-01-01T08:00:00.50+08:00", "yynyn"},
    {SEEN, "2026-01-01T00:00:00.499999999Z", "nyynn"},
    {SEEN, "2026-01-01T00:00:01Z", "nnnyy"},
    {NAME, "Bo", "yynyn"},
    {NAME, "Bob", "nnnyy"},
    {NAME, "B", "nyynn"},
    {NAME, "", "nyynn"},
    {MARRIED, "true", "y----"},
    {MARRIED, "0", "n----"},
    {STATUS, "due", "y----"},
    {STATUS, "open", "n----"},
    {PHOTO, "\x7f", "n----"},
};

static void test_match__says_what_each_type_orders_by(void **state)
{
    static const enum query_op ops[] = {OP_EQ, OP_GE, OP_GT, OP_LE, OP_LT};
    struct state *st = *state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        for (unsigned k = 0; k < 5; k++) {
            enum match_result r = 0;
            const char *const v[] = {table[i].v, NULL};
            int rc = ask(st, "P1", table[i].field, ops[k], v, &r);
            char got = rc == YZ_EINVAL ? '-' : r == MATCH_YES ? 'y' : r == MATCH_NO ? 'n' : '?';
            if (got != table[i].answers[k]) {
                fail_msg("row %zu, %s: %c", i, yzi_op_name(ops[k]), got);
            }
        }
    }
    assert_int_equal(st->sequence, 3); /* of three records */
}

static void test_match__says_whether_it_is_one_of_several(void **state)
{
    struct state *st = *state;
    enum match_result r;
    assert_int_equal(ask(st, "P1", STATUS, OP_IN, (const char *const[]){"clear", "due", NULL}, &r),
                     YZ_OK);
    assert_int_equal(r, MATCH_YES);
    assert_int_equal(ask(st, "P1", STATUS, OP_IN, (const char *const[]){"clear", "open", NULL}, &r),
                     YZ_OK);
    assert_int_equal(r, MATCH_NO);
    assert_int_equal(ask(st, "P2", DEBT, OP_IN, (const char *const[]){"7", "-0.10", "7", NULL}, &r),
                     YZ_OK);
    assert_int_equal(r, MATCH_YES);
}

static void test_match__does_not_know_what_is_not_there(void **state)
{
    struct state *st = *state;
    for (unsigned field = DEBT; field <= NAME; field++) {
        static const char *const any[] = {[DEBT] = "1",          [CHILDREN] = "1",
                                          [BORN] = "2000-01-01", [SEEN] = "2026-01-01T00:00:00Z",
                                          [MARRIED] = "true",    [STATUS] = "due",
                                          [NAME] = "x"};
        assert_string_equal(says(st, "P3", field, OP_EQ, any[field]), "unknown"); /* null */
        assert_string_equal(says(st, "P4", field, OP_EQ, any[field]), "unknown"); /* no record */
    }
    assert_string_equal(says(st, "P3", BORN, OP_LT, "2000-01-01"), "unknown");
}

static void test_match__does_not_know_what_the_row_filter_hides(void **state)
{
    struct state *st = *state;
    struct query_value north = value("north");
    struct query_condition c = {yzi_bytes_str("district"), OP_EQ, &north, 1};
    st->view = (struct query_view){.row_filter = &c, .row_filter_n = 1};
    YZ_AUTO(yzi_buf_fini) yz_buf subjects;
    yzi_buf_init(&subjects, 1000);
    st->limits.subjects = &subjects;
    assert_string_equal(says(st, "P2", STATUS, OP_EQ, "clear"), "unknown");
    assert_int_equal(subjects.n, 0);
    assert_string_equal(says(st, "P1", STATUS, OP_EQ, "due"), "yes");
    yz_reader r = yzi_reader(yzi_bytes_buf(&subjects));
    struct subject s;
    assert_int_equal(yzi_subject_next(&r, &s), YZ_OK);
    assert_int_equal(s.how, SUBJECT_GIVEN);
    assert_true(yzi_bytes_eq_str(s.parts[0].v, "P1"));
    c.field = yzi_bytes_str("nowhere"); /* what cannot be kept to hides everything */
    enum match_result out;
    assert_int_equal(ask(st, "P1", STATUS, OP_EQ, (const char *const[]){"due", NULL}, &out),
                     YZ_EDENIED);
}

static void test_match__answers_several_predicates_each_for_itself(void **state)
{
    struct state *st = *state;
    struct query_value parts[2] = {value("P2"), value("2026")};
    struct query_value v[] = {value("0"), value("clear"), value("due"), value("2000-01-01"),
                              value("B")};
    struct match_predicate p[] = {{DEBT, OP_GE, &v[0], 1},
                                  {STATUS, OP_IN, &v[1], 2},
                                  {PHOTO, OP_EQ, &v[4], 1},
                                  {BORN, OP_LE, &v[3], 1}};
    struct query_key key = {parts, 2};
    struct match_question q = {yzi_store_dataset(st->s), &key, p, 4};
    enum match_result r[MATCH_PREDICATES_MAX];
    struct match *m;
    assert_int_equal(yzi_match_open(st->s, &q, &m, &st->fault), YZ_OK);
    assert_int_equal(yzi_match_ask(m, NULL, &st->limits, r, &st->sequence), YZ_OK);
    assert_int_equal(r[0], MATCH_NO);
    assert_int_equal(r[1], MATCH_YES);
    assert_int_equal(r[2], MATCH_UNKNOWN);
    assert_int_equal(r[3], MATCH_YES);
    yzi_match_close(m);
}

/* -- what is refused -- */

static void refused(struct state *st, const char *person, const char *year, unsigned field,
                    enum query_op op, const char *const *values, const char *reason)
{
    struct query_value v[8], parts[2] = {value(person), value(year)};
    struct match_predicate p = {.field = field, .op = op, .values = v};
    for (; values[p.values_n]; p.values_n++) {
        v[p.values_n] = value(values[p.values_n][0] == '~' ? NULL : values[p.values_n]);
    }
    struct query_key key = {parts, year ? 2 : 1};
    struct match_question q = {yzi_store_dataset(st->s), &key, &p, 1};
    struct match *m = NULL;
    assert_int_equal(yzi_match_open(st->s, &q, &m, &st->fault), YZ_EINVAL);
    assert_string_equal(st->fault.reason, reason);
    assert_null(m);
}

static void test_match__refuses_wrong_questions(void **state)
{
    struct state *st = *state;
    const char *const one[] = {"1", NULL}, *const two[] = {"1", "2", NULL}, *const none[] = {NULL},
                      *const null[] = {"~", NULL}, *const word[] = {"many", NULL};
    refused(st, "P1", NULL, DEBT, OP_EQ, one, "bad-key");
    refused(st, NULL, "2026", DEBT, OP_EQ, one, "bad-key");
    refused(st, "P1", "MMXXVI", DEBT, OP_EQ, one, "bad-value");
    refused(st, "P1", "2026", DEBT, OP_EQ, word, "bad-value");
    refused(st, "P1", "2026", DEBT, OP_GE, null, "bad-value");
    refused(st, "P1", "2026", DEBT, OP_EQ, two, "bad-query");
    refused(st, "P1", "2026", DEBT, OP_GE, two, "bad-query");
    refused(st, "P1", "2026", DEBT, OP_EQ, none, "bad-query");
    refused(st, "P1", "2026", DEBT, OP_IN, none, "bad-query");
    refused(st, "P1", "2026", NAME, OP_PREFIX, one, "bad-query");
    refused(st, "P1", "2026", MARRIED, OP_GE, one, "bad-query");
    refused(st, "P1", "2026", STATUS, OP_LT, (const char *const[]){"due", NULL}, "bad-query");
    refused(st, "P1", "2026", PHOTO, OP_LT, one, "bad-query");
}

static void test_match__takes_1_to_16_predicates(void **state)
{
    struct state *st = *state;
    struct query_value parts[2] = {value("P1"), value("2026")}, v = value("1");
    struct match_predicate p[MATCH_PREDICATES_MAX + 1];
    struct query_key key = {parts, 2};
    enum match_result r[MATCH_PREDICATES_MAX];
    for (size_t i = 0; i <= MATCH_PREDICATES_MAX; i++) {
        p[i] = (struct match_predicate){DEBT, OP_GE, &v, 1};
    }
    struct match *m = NULL;
    struct match_question q = {yzi_store_dataset(st->s), &key, p, 0};
    assert_int_equal(yzi_match_open(st->s, &q, &m, &st->fault), YZ_EINVAL);
    q.predicates_n = MATCH_PREDICATES_MAX + 1;
    assert_int_equal(yzi_match_open(st->s, &q, &m, &st->fault), YZ_EINVAL);
    assert_null(m);
    q.predicates_n = MATCH_PREDICATES_MAX;
    assert_int_equal(yzi_match_open(st->s, &q, &m, &st->fault), YZ_OK);
    assert_int_equal(yzi_match_ask(m, NULL, &st->limits, r, &st->sequence), YZ_OK);
    assert_int_equal(r[MATCH_PREDICATES_MAX - 1], MATCH_YES);
    yzi_match_close(m);
}

static void test_match__gives_up_at_its_deadline(void **state)
{
    struct state *st = *state;
    enum match_result r = 0;
    st->limits.deadline_mono_ms = 1;
    assert_int_equal(ask(st, "P1", DEBT, OP_EQ, (const char *const[]){"1", NULL}, &r), YZ_ETIMEOUT);
    assert_int_equal(r, 0);
}

static int ask_once(void *ctx)
{
    struct state *st = ctx;
    enum match_result r;
    int rc = ask(st, "P1", STATUS, OP_IN, (const char *const[]){"clear", "due", NULL}, &r);
    assert_true(rc < 0 || r == MATCH_YES);
    return rc;
}

static void test_match__runs_out_of_memory_without_a_trace(void **state)
{
    assert_true(yz_alloc_fail_each(ask_once, *state) > 0);
}

/* -- the subject -- */

/* The subject of a question whose key is written like this. */
static void subject(struct state *st, const char *person, const char *year, yz_buf *out)
{
    struct query_value parts[2] = {value(person), value(year)}, v = value("1");
    struct match_predicate p = {DEBT, OP_EQ, &v, 1};
    struct query_key key = {parts, 2};
    struct match_question q = {yzi_store_dataset(st->s), &key, &p, 1};
    struct match *m;
    yzi_buf_init(out, 1000);
    assert_int_equal(yzi_match_open(st->s, &q, &m, &st->fault), YZ_OK);
    assert_int_equal(yzi_buf_put(out, yzi_match_subject(m)), YZ_OK);
    yzi_match_close(m);
}

static void test_subject__is_one_however_its_key_is_written(void **state)
{
    struct state *st = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf a, b, c, d, e;
    subject(st, "P1", "2026", &a);
    subject(st, "P1", "+2026", &b);
    subject(st, "P12", "26", &c);
    subject(st, "P1", "226", &e); /* the same letters, other parts */
    subject(st, "P1", "2027", &d);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&a), yzi_bytes_buf(&b)));
    assert_false(yzi_bytes_eq(yzi_bytes_buf(&c), yzi_bytes_buf(&e)));
    assert_false(yzi_bytes_eq(yzi_bytes_buf(&a), yzi_bytes_buf(&d)));
}

/* -- values and steps -- */

static void test_compare__is_exact(void **state)
{
    struct state *st = *state;
    const struct dataset_field *debt = &st->d->fields[DEBT];
    int c;
    assert_int_equal(yzi_match_compare(debt, yzi_bytes_str("10.50"), yzi_bytes_str("10.5"), &c), 0);
    assert_int_equal(c, 0);
    assert_int_equal(yzi_match_compare(debt, yzi_bytes_str("9"), yzi_bytes_str("10"), &c), 0);
    assert_true(c < 0);
    assert_int_equal(yzi_match_compare(debt, yzi_bytes_str("0"), yzi_bytes_str("-1"), &c), 0);
    assert_true(c > 0);
    assert_int_equal(yzi_match_compare(debt, yzi_bytes_str("x"), yzi_bytes_str("1"), &c), YZ_EDATA);
    assert_int_equal(yzi_match_compare(debt, yzi_bytes_str("1"), yzi_bytes_str(""), &c), YZ_EDATA);
}

static void test_step__is_a_positive_number_in_canonical_form(void **state)
{
    static const char *const good[] = {
        "1", "10", "1000", "0.5", "0.01", "2.25", "999999999999999999", "0.00000000000000001"};
    static const char *const bad[] = {"",
                                      "0",
                                      "-1",
                                      "+1",
                                      "01",
                                      "0.50",
                                      "1.",
                                      ".5",
                                      "1e3",
                                      "0.0",
                                      "1,5",
                                      "1.2.3",
                                      "x",
                                      "10.0",
                                      "1000000000000000000",
                                      "0.000000000000000001"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!yzi_match_is_step(FIELD_DECIMAL, yzi_bytes_str(good[i]))) {
            fail_msg("%s", good[i]);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (yzi_match_is_step(FIELD_INTEGER, yzi_bytes_str(bad[i]))) {
            fail_msg("%s", bad[i]);
        }
    }
}

static void test_step__multiples_are_exact(void **state)
{
    static const struct {
        const char *v, *step;
        bool is;
    } of[] = {
        {"0", "7", true},
        {"14", "7", true},
        {"-14", "7", true},
        {"15", "7", false},
        {"0.3", "0.1", true},
        {"0.30", "0.1", true},
        {"0.35", "0.1", false},
        {"1", "0.3", false},
        {"1.2", "0.3", true},
        {"1000", "2.5", true},
        {"1001", "2.5", false},
        {"0.5", "1", false},
        {"99999999999999999999999999999999999999", "9", true},
        {"99999999999999999999999999999999999998", "9", false},
        {"99999999999999999999999999999999999999", "999999999999999999", false},
        {"999999999999999999000000000000000000", "999999999999999999", true},
        {"0.00000000000000000000000000000000000001", "0.01", false},
        {"3", "0.00000000000000001", true},
    };
    struct state *st = *state;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        bool is = !of[i].is;
        assert_int_equal(yzi_match_is_multiple(&st->d->fields[DEBT], yzi_bytes_str(of[i].v),
                                               yzi_bytes_str(of[i].step), &is),
                         YZ_OK);
        if (is != of[i].is) {
            fail_msg("%s of %s", of[i].v, of[i].step);
        }
    }
    bool is;
    assert_int_equal(yzi_match_is_multiple(&st->d->fields[CHILDREN], yzi_bytes_str("4"),
                                           yzi_bytes_str("2"), &is),
                     YZ_OK);
    assert_true(is);
    assert_int_equal(yzi_match_is_multiple(&st->d->fields[CHILDREN], yzi_bytes_str("4.0"),
                                           yzi_bytes_str("2"), &is),
                     YZ_EDATA);
    assert_int_equal(yzi_match_is_multiple(&st->d->fields[CHILDREN], yzi_bytes_str("4"),
                                           yzi_bytes_str("0"), &is),
                     YZ_EDATA);
    assert_int_equal(yzi_match_is_multiple(&st->d->fields[BORN], yzi_bytes_str("2000-01-01"),
                                           yzi_bytes_str("1"), &is),
                     YZ_EDATA);
}

static void test_step__of_dates_is_a_year_or_a_month(void **state)
{
    struct state *st = *state;
    const struct dataset_field *born = &st->d->fields[BORN];
    yz_bytes year = yzi_bytes_str("year"), month = yzi_bytes_str("month");
    bool is;
    assert_true(yzi_match_is_step(FIELD_DATE, year) && yzi_match_is_step(FIELD_DATE, month));
    assert_false(yzi_match_is_step(FIELD_DATE, yzi_bytes_str("day")));
    assert_false(yzi_match_is_step(FIELD_DATE, yzi_bytes_str("1")));
    assert_false(yzi_match_is_step(FIELD_INTEGER, year));
    assert_false(yzi_match_is_step(FIELD_TEXT, yzi_bytes_str("1")));
    static const struct {
        const char *date;
        bool year, month;
    } of[] = {
        {"2000-01-01", true, true}, {"2000-02-01", false, true}, {"2000-01-02", false, false}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        assert_int_equal(yzi_match_is_multiple(born, yzi_bytes_str(of[i].date), year, &is), 0);
        assert_true(is == of[i].year);
        assert_int_equal(yzi_match_is_multiple(born, yzi_bytes_str(of[i].date), month, &is), 0);
        assert_true(is == of[i].month);
    }
    assert_int_equal(yzi_match_is_multiple(born, yzi_bytes_str("2000"), year, &is), YZ_EDATA);
}

/* With 64-bit numbers the machine can tell. */
static void test_step__multiples_agree_with_the_machines(void **state)
{
    struct state *st = *state;
    for (unsigned i = 0; i < 5000; i++) {
        char v[32], step[32];
        uint32_t by = randombytes_uniform(1u << randombytes_uniform(20)) + 1;
        int64_t n = (int64_t)randombytes_uniform(1000000) - 500000;
        n = randombytes_uniform(2) ? n : n * by;
        bool is = n % by != 0;
        snprintf(v, sizeof v, "%lld", (long long)n);
        snprintf(step, sizeof step, "%u", by);
        assert_int_equal(yzi_match_is_multiple(&st->d->fields[CHILDREN], yzi_bytes_str(v),
                                               yzi_bytes_str(step), &is),
                         YZ_OK);
        assert_true(is == (n % by == 0));
    }
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_match__says_what_each_type_orders_by),
        TEST(test_match__says_whether_it_is_one_of_several),
        TEST(test_match__does_not_know_what_is_not_there),
        TEST(test_match__does_not_know_what_the_row_filter_hides),
        TEST(test_match__answers_several_predicates_each_for_itself),
        TEST(test_match__refuses_wrong_questions),
        TEST(test_match__takes_1_to_16_predicates),
        TEST(test_match__gives_up_at_its_deadline),
        TEST(test_match__runs_out_of_memory_without_a_trace),
        TEST(test_subject__is_one_however_its_key_is_written),
        TEST(test_compare__is_exact),
        TEST(test_step__is_a_positive_number_in_canonical_form),
        TEST(test_step__multiples_are_exact),
        TEST(test_step__of_dates_is_a_year_or_a_month),
        TEST(test_step__multiples_agree_with_the_machines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
