/* SPDX-License-Identifier: Apache-2.0
 *
 * Predicates: which a grant may have, which values a question may bring to them, and what is
 * counted together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/access/predicate.h"

static const char yaml[] =
    "dataset: taxes\n"
    "title: {en: T}\n"
    "owner: o\n"
    "sharing: conditional\n"
    "key: [id]\n"
    "fields:\n"
    "  - {name: id, type: text, classification: sensitive}\n"
    "  - {name: debt, element: tax-debt, type: decimal, classification: secret}\n"
    "  - {name: fine, element: tax-debt, type: decimal, classification: secret}\n"
    "  - {name: children, type: integer, classification: sensitive}\n"
    "  - {name: born, type: date, classification: sensitive}\n"
    "  - {name: married, type: boolean, classification: sensitive}\n"
    "  - {name: status, type: code, classification: sensitive, codes: [clear, due]}\n"
    "  - {name: photo, type: bytes, classification: secret}\n";

static struct dataset *d;

static int make_dataset(void **state)
{
    yz_error err = {0};
    (void)state;
    if (yzi_dataset_parse(yzi_bytes_str(yaml), "t.yaml", &d, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return 0;
}

static int free_dataset(void **state)
{
    (void)state;
    yzi_dataset_unref(d);
    return 0;
}

/* A grant of one predicate, from words: constants as a NULL-terminated list. */
struct one {
    struct grant_predicate p;
    yz_bytes constants[4], filterable;
    struct grant_field readable;
    struct fine_grant g;
};

static void make(struct one *o, const char *field, enum query_op op, const char *const *constants,
                 const char *step, uint32_t budget)
{
    *o = (struct one){.p = {.name = yzi_bytes_str("p"),
                            .field = yzi_bytes_str(field),
                            .op = op,
                            .constants = {o->constants, 0},
                            .step = yzi_bytes_str(step),
                            .budget = budget}};
    while (constants[o->p.constants.n]) {
        o->constants[o->p.constants.n] = yzi_bytes_str(constants[o->p.constants.n]);
        o->p.constants.n++;
    }
    o->g = (struct fine_grant){.predicates = &o->p, .predicates_n = 1};
}

/* -- rules -- */

static const struct {
    const char *field;
    enum query_op op;
    const char *constants[4];
    const char *step;
    uint32_t budget;
    const char *fault; /* a piece of the sentence; NULL: it is good */
} rules[] = {
    {"status", OP_EQ, {"clear"}, "", 0, NULL},
    {"status", OP_EQ, {"clear"}, "", 3, NULL},
    {"status", OP_EQ, {"clear", "due"}, "", 0, NULL},
    {"status", OP_EQ, {NULL}, "", 1, NULL},
    {"status", OP_EQ, {NULL}, "", 0, "has no budget"},
    {"status", OP_EQ, {"open"}, "", 0, "no value of status (type code)"},
    {"status", OP_EQ, {NULL}, "1", 1, "only ge, gt, le and lt are asked in steps"},
    {"status", OP_IN, {"clear", "due"}, "", 0, NULL},
    {"status", OP_IN, {NULL}, "", 9, "names no constants"},
    {"status", OP_PREFIX, {"c"}, "", 1, "letter by letter"},
    {"status", OP_GE, {"clear"}, "", 1, "of type code"},
    {"married", OP_LT, {"true"}, "", 1, "of type boolean"},
    {"married", OP_EQ, {"true"}, "", 0, NULL},
    {"photo", OP_GT, {"x"}, "", 1, "of type bytes"},
    {"debt", OP_GT, {"0"}, "", 0, NULL},
    {"debt", OP_GT, {"0", "100000"}, "", 0, NULL},
    {"debt", OP_GT, {"much"}, "", 0, "no value of debt (type decimal)"},
    {"debt", OP_GT, {NULL}, "", 0, "by halving"},
    {"debt", OP_LE, {NULL}, "", 5, "by halving"},
    {"debt", OP_LE, {NULL}, "1000", 0, "has no budget"},
    {"debt", OP_LE, {NULL}, "1000", 2, NULL},
    {"debt", OP_LE, {NULL}, "0.5", 2, NULL},
    {"debt", OP_LE, {NULL}, "1e3", 2, "is none for debt"},
    {"debt", OP_LE, {NULL}, "0", 2, "is none for debt"},
    {"debt", OP_LE, {"5"}, "1000", 2, "both a step and constants"},
    {"born", OP_LE, {NULL}, "year", 2, NULL},
    {"born", OP_LE, {NULL}, "1000", 2, "is none for born"},
    {"born", OP_LE, {"2008-01-01"}, "", 0, NULL},
    {"nowhere", OP_LE, {"2008-01-01"}, "", 0, NULL}, /* it grants nothing */
    {"nowhere", OP_EQ, {NULL}, "", 0, "has no budget"},
};

static void test_rules__are_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct one o;
        struct rule_fault fault = {0};
        make(&o, rules[i].field, rules[i].op, rules[i].constants, rules[i].step, rules[i].budget);
        bool good = yzi_predicate_rules(&o.g, d, true, &fault);
        if (good != !rules[i].fault ||
            (rules[i].fault &&
             (!strstr(fault.text, rules[i].fault) || strcmp(fault.clause, "predicate") != 0))) {
            fail_msg("row %zu: %s", i, good ? "good" : fault.text);
        }
        assert_true(yzi_access_rules(&o.g, d, false, true, &fault) == good);
    }
}

static void test_rules__a_counted_field_is_not_found_by_without_counting(void **state)
{
    (void)state;
    struct one o;
    struct rule_fault fault;
    make(&o, "status", OP_EQ, (const char *const[]){NULL}, "", 3);
    o.filterable = yzi_bytes_str("status");
    o.g.writable = (struct name_list){&o.filterable, 1};
    assert_false(yzi_access_rules(&o.g, d, false, true, &fault));
    assert_non_null(strstr(fault.text, "whoever may write status learns"));
    o.g.writable.n = 0;
    o.g.filterable = (struct name_list){&o.filterable, 1};
    assert_false(yzi_access_rules(&o.g, d, false, true, &fault));
    assert_non_null(strstr(fault.text, "find and count may select by status without one"));
    o.readable = (struct grant_field){.name = o.filterable};
    o.g.readable = &o.readable;
    o.g.readable_n = 1;
    assert_true(yzi_access_rules(&o.g, d, false, true, &fault)); /* it is no secret */
    o.readable.mask = MASK_HIDE;
    assert_false(yzi_access_rules(&o.g, d, false, true, &fault));
}

/* -- choosing -- */

static const struct {
    const char *field;
    enum query_op op;
    const char *constants[4];
    const char *step;
    const char *values[3]; /* the question's; "~" is null */
    const char *says;      /* the value it is asked with, "*" for all constants, or the reason */
    int rc;
} choices[] = {
    {"status", OP_EQ, {"clear"}, "", {NULL}, "clear", 0},
    {"status", OP_EQ, {"clear"}, "", {"clear"}, "clear", 0},
    {"status", OP_EQ, {"clear"}, "", {"due"}, "predicate-value", YZ_EDENIED},
    {"status", OP_EQ, {"clear"}, "", {"open"}, "bad-value", YZ_EINVAL},
    {"status", OP_EQ, {"clear"}, "", {"~"}, "bad-value", YZ_EINVAL},
    {"status", OP_EQ, {"clear"}, "", {"clear", "clear"}, "bad-value", YZ_EINVAL},
    {"status", OP_EQ, {"clear", "due"}, "", {"due"}, "due", 0},
    {"status", OP_EQ, {"clear", "due"}, "", {NULL}, "bad-value", YZ_EINVAL},
    {"status", OP_IN, {"clear", "due"}, "", {NULL}, "*", 0},
    {"status", OP_IN, {"clear", "due"}, "", {"due"}, "bad-value", YZ_EINVAL},
    {"status", OP_EQ, {NULL}, "", {"due"}, "due", 0},
    {"status", OP_EQ, {NULL}, "", {NULL}, "bad-value", YZ_EINVAL},
    {"status", OP_EQ, {NULL}, "", {"~"}, "bad-value", YZ_EINVAL},
    {"status", OP_EQ, {NULL}, "", {"open"}, "bad-value", YZ_EINVAL},
    {"status", OP_EQ, {NULL}, "", {"clear", "due"}, "bad-value", YZ_EINVAL},
    {"debt", OP_GT, {"0", "1000"}, "", {"1000.00"}, "1000", 0},
    {"debt", OP_GT, {"0", "1000"}, "", {"1000.01"}, "predicate-value", YZ_EDENIED},
    {"debt", OP_GT, {NULL}, "1000", {"5000"}, "5000", 0},
    {"debt", OP_GT, {NULL}, "1000", {"-5000.0"}, "-5000.0", 0},
    {"debt", OP_GT, {NULL}, "1000", {"5001"}, "predicate-value", YZ_EDENIED},
    {"debt", OP_GT, {NULL}, "1000", {"5000.5"}, "predicate-value", YZ_EDENIED},
    {"debt", OP_GT, {NULL}, "1000", {"many"}, "bad-value", YZ_EINVAL},
    {"born", OP_LT, {NULL}, "year", {"2008-01-01"}, "2008-01-01", 0},
    {"born", OP_LT, {NULL}, "year", {"2008-01-02"}, "predicate-value", YZ_EDENIED},
    {"nowhere", OP_EQ, {NULL}, "", {"x"}, "predicate", YZ_EDENIED},
};

static void test_choose__is_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        struct one o;
        struct query_value values[3];
        struct query_predicate asked = {.name = yzi_bytes_str("p"), .values = values};
        struct predicate_choice c;
        const char *reason = "";
        make(&o, choices[i].field, choices[i].op, choices[i].constants, choices[i].step, 1);
        for (; choices[i].values[asked.values_n]; asked.values_n++) {
            const char *v = choices[i].values[asked.values_n];
            values[asked.values_n] = *v == '~' ? (struct query_value){.null = true}
                                               : (struct query_value){.v = yzi_bytes_str(v)};
        }
        int rc = yzi_predicate_choose(&o.g, d, &asked, &c, &reason);
        bool right =
            rc == choices[i].rc &&
            (rc < 0
                 ? strcmp(reason, choices[i].says) == 0
                 : c.granted == &o.p &&
                       yzi_bytes_eq_str(yzi_bytes_str(d->fields[c.field].name), choices[i].field) &&
                       (*choices[i].says == '*' ? c.with.n == 0
                                                : yzi_bytes_eq_str(c.with, choices[i].says)));
        if (!right) {
            fail_msg("row %zu: %s", i, rc < 0 ? reason : "another value");
        }
    }
}

static void test_choose__knows_only_what_is_granted(void **state)
{
    (void)state;
    struct one o;
    struct predicate_choice c;
    const char *reason;
    struct query_predicate asked = {.name = yzi_bytes_str("q")};
    make(&o, "status", OP_EQ, (const char *const[]){"clear", NULL}, "", 0);
    assert_int_equal(yzi_predicate_choose(&o.g, d, &asked, &c, &reason), YZ_EDENIED);
    assert_string_equal(reason, "predicate");
}

/* -- what is counted together -- */

struct counted {
    const char *consumer, *field, *subject;
    uint32_t days;
    uint8_t secret;
};

static yz_digest key_of(struct counted x)
{
    struct grant_predicate p = {.budget_days = x.days};
    int field = yzi_dataset_field(d, yzi_bytes_str(x.field));
    assert_true(field >= 0);
    struct predicate_choice c = {.granted = &p, .field = (unsigned)field};
    uint8_t secret[32] = {x.secret};
    yz_digest out;
    yzi_predicate_budget_key(secret, (yz_subsystem_id){yzi_bytes_str(x.consumer)}, d, &c,
                             yzi_bytes_str(x.subject), out.b);
    return out;
}

static bool together(struct counted a, struct counted b)
{
    yz_digest x = key_of(a), y = key_of(b);
    return yzi_digest_eq(&x, &y);
}

static void test_budget__is_of_consumer_data_element_and_subject(void **state)
{
    (void)state;
    const struct counted base = {"CN/GOV/MHU/window", "debt", "P1", 0, 1};
    struct counted other = base;
    assert_true(together(base, other));
    other.field = "fine"; /* the same data element */
    assert_true(together(base, other));
    other.field = "children";
    assert_false(together(base, other));
    assert_false(together((struct counted){"a", "children", "P1", 0, 1},
                          (struct counted){"a", "born", "P1", 0, 1}));
    other = base;
    other.consumer = "CN/GOV/MHU/office";
    assert_false(together(base, other));
    other = base;
    other.subject = "P2";
    assert_false(together(base, other));
    other = base;
    other.days = 30;
    assert_false(together(base, other));
    other = base;
    other.secret = 2; /* another adapter's */
    assert_false(together(base, other));
}

static void test_budget__counts_for_ever_or_for_whole_periods(void **state)
{
    (void)state;
    const uint64_t day = 86400000;
    struct grant_predicate p = {.budget = 1};
    assert_int_equal(yzi_predicate_budget_until(&p, 5 * day), 0);
    p.budget_days = 1;
    assert_int_equal(yzi_predicate_budget_until(&p, 5 * day), 6 * day);
    assert_int_equal(yzi_predicate_budget_until(&p, 6 * day - 1), 6 * day);
    p.budget_days = 7;
    assert_int_equal(yzi_predicate_budget_until(&p, 5 * day), 7 * day);
    assert_int_equal(yzi_predicate_budget_until(&p, 7 * day), 14 * day);
}

#define TEST(t) cmocka_unit_test(t)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rules__are_as_the_table_says),
        TEST(test_rules__a_counted_field_is_not_found_by_without_counting),
        TEST(test_choose__is_as_the_table_says),
        TEST(test_choose__knows_only_what_is_granted),
        TEST(test_budget__is_of_consumer_data_element_and_subject),
        TEST(test_budget__counts_for_ever_or_for_whole_periods),
    };
    return cmocka_run_group_tests(tests, make_dataset, free_dataset);
}
