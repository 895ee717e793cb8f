/* SPDX-License-Identifier: Apache-2.0
 *
 * yz grant explain and yz grant test: the adapter's decision on the policy in the member's home,
 * clause by clause, for requests described by options and files; and a file of cases with its
 * faults.
 */
#include "tests/unit/cli/fixture.h"

#define AREAS "CN/GOV/MCA/civil/areas/v1"
#define WINDOW "CN/GOV/HB/window"
#define BJ "CN/GOV/BJ/desk"
#define GRANT(...) EXPECT(0, "grant", "add", "--home", "mca", "--service", AREAS, __VA_ARGS__)
#define EXPLAIN(...)                                                                               \
    EXPECT(0, "grant", "explain", "--home", "mca", "--definition", DEFINITION, __VA_ARGS__)
#define TEST_ONE(code, ...)                                                                        \
    EXPECT(code, "grant", "test", "--home", "mca", "--definition", DEFINITION, __VA_ARGS__)
#define DENIED(...) YZ("grant", "test", "--home", "mca", "--definition", DEFINITION, __VA_ARGS__)
#define BY(consumer) "--service", AREAS, "--consumer", consumer

static void prints(const char *text)
{
    if (!strstr(yz_cli_out(), text)) {
        fail_msg("\"%s\" is not in:\n%s", text, yz_cli_out());
    }
}

static void printed_id(char out[32])
{
    size_t n = strcspn(yz_cli_out(), "\n");
    assert_in_range(n, 3, 31);
    memcpy(out, yz_cli_out(), n);
    out[n] = '\0';
}

/* The window may get code and name for two purposes, and later find by city; Beijing's desk may
 * count, for a time that is over. */
static char window[32], later[32], desk[32];

static int set_up(void **state)
{
    int rc = yz_cli_setup(state);
    yz_cli_world();
    yz_cli_service();
    GRANT("--consumer", WINDOW, "--field", "code", "--field", "name", "--purpose", "marriage",
          "--purpose", "tax");
    printed_id(window);
    GRANT("--consumer", WINDOW, "--operation", "find", "--filter", "city", "--sort", "code",
          "--from", "2090-01-01");
    printed_id(later);
    GRANT("--consumer", BJ, "--operation", "count", "--filter", "city", "--strict");
    printed_id(desk);
    return rc;
}

/* That the grant's row has these words behind it. */
static void row(const char *grant, const char *words)
{
    const char *at = strstr(yz_cli_out(), "\nGRANT ");
    assert_non_null(at);
    at = strstr(at, grant);
    assert_non_null(at);
    char line[512], squeezed[512];
    size_t n = 0;
    snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
    for (const char *p = line; *p; p++) {
        if (*p != ' ' || (n && squeezed[n - 1] != ' ')) {
            squeezed[n++] = *p;
        }
    }
    squeezed[n] = '\0';
    assert_string_equal(squeezed + strlen(grant) + 1, words);
}

static void test_explain__says_which_clause_of_each_grant_decided(void **state)
{
    (void)state;
    EXPLAIN(BY(WINDOW), "--key", "110101", "--purpose", "statistics");
    prints(WINDOW " asks " AREAS ": get, for the purpose statistics\n");
    prints("denied: purpose, by the clause purpose of grant g-");
    row(window, "denied purpose 'statistics' is none of marriage, tax");
    row(later, "denied not-before it is valid from 2090-01-01T00:00:00Z");
    row(desk, "denied consumer it is for " BJ);
    EXPLAIN(BY(WINDOW), "--key", "110101");
    row(window, "denied purpose no purpose is given; it is for marriage, tax");
    EXPLAIN(BY(WINDOW), "--key", "110101", "--field", "city", "--purpose", "tax");
    row(window, "denied readable 'city' is none of code, name");
    EXPLAIN(BY(WINDOW), "--where", "city=1101", "--purpose", "tax");
    row(window, "denied operation 'find' is none of get");
    EXPLAIN(BY("CN/GOV/SH/desk"), "--key", "110101");
    prints("denied: no-grant, by the clause consumer of every grant\n");
}

static void test_explain__says_what_would_be_read(void **state)
{
    (void)state;
    EXPLAIN(BY(WINDOW), "--key", "110101", "--purpose", "tax");
    prints("allowed by grant g-");
    prints("\nread: code, name\n");
    row(window, "allowed - ");
    EXPLAIN(BY(WINDOW), "--where", "city=1101", "--order", "-code", "--at", "2090-02-01");
    prints("\nread: code, name, city, province\n");
    row(later, "allowed - ");
    EXPLAIN(BY(WINDOW), "--where", "name=x", "--at", "2090-02-01");
    row(later, "denied filterable 'name' is none of city");
    EXPLAIN(BY(WINDOW), "--where", "city=1101", "--order", "city", "--at", "2090-02-01");
    row(later, "denied sortable 'city' is none of code");
    EXPLAIN(BY(WINDOW), "--where", "mayor=x", "--at", "2090-02-01");
    prints("a wrong query: unknown-field");
    row(later, "denied filterable the data set areas has no field 'mayor'");
    EXPLAIN(BY(BJ), "--operation", "count", "--where", "city=1101");
    prints("strict: answered only with a broker's proof that it was asked\n");
    EXPLAIN(BY(BJ), "--operation", "count", "--where", "city=1101", "--unevidenced");
    row(desk, "denied strict it wants a broker's proof that it was asked");
}

static void test_explain__says_what_a_question_counts(void **state)
{
    (void)state;
    GRANT("--consumer", "CN/GOV/SH/desk", "--operation", "match", "--predicate", "is-city city eq",
          "--budget", "is-city=3/30d", "--predicate", "in-east province in 31,32", "--predicate",
          "above name gt m,t");
    char id[32];
    printed_id(id);
    EXPLAIN(BY("CN/GOV/SH/desk"), "--key", "310101", "--predicate", "is-city=3101", "--predicate",
            "in-east");
    row(id, "allowed - ");
    prints("counted: is-city is one of 3 questions that this consumer has about city_code of this "
           "record, in 30 days\n");
    EXPLAIN(BY("CN/GOV/SH/desk"), "--key", "310101", "--predicate", "above=a");
    row(id, "denied predicate the value that 'above' brings is none of m, t");
    EXPLAIN(BY("CN/GOV/SH/desk"), "--key", "310101", "--predicate", "is-mayor");
    row(id, "denied predicate 'is-mayor' is none of is-city, in-east, above");
    EXPLAIN(BY("CN/GOV/SH/desk"), "--key", "310101", "--predicate", "in-east=31");
    row(id, "denied predicate the value that 'in-east' brings is none of its field, or missing, or "
            "one too many");
    EXPLAIN(BY("CN/GOV/SH/desk"), "--key", "310101");
    row(id, "denied operation 'get' is none of match");
    EXPLAIN(BY("CN/GOV/SH/desk"), "--key", "310101", "--predicate", "is-city=3101", "--json");
    prints("\"questions\": 3,\n      \"days\": 30");
}

static void test_explain__as_json_and_from_a_file(void **state)
{
    (void)state;
    yz_cli_write("request.json",
                 yzi_bytes_str("{\"service\": \"" AREAS "\", \"consumer\": \"" WINDOW "\",\n"
                               " \"keys\": [\"110101\"], \"fields\": [\"name\"],\n"
                               " \"purpose\": \"marriage\"}\n"));
    EXPLAIN("--request", "request.json", "--json");
    prints("\"operation\": \"get\"");
    prints("\"allowed\": true");
    prints("\"name\": \"name\"");
    prints("\"clause\": null");
    yz_cli_write("request.yaml", yzi_bytes_str("service: " AREAS "\nconsumer: " WINDOW "\n"
                                               "where: [city=1101]\n"));
    EXPLAIN("--request", "request.yaml", "--json");
    prints("\"clause\": \"not-before\"");
    prints("\"why\": \"it is valid from 2090-01-01T00:00:00Z\"");
    yz_cli_write("request.yaml", yzi_bytes_str("service: " AREAS "\nkeyz: [1]\n"));
    TEST_ONE(2, "--request", "request.yaml");
    yz_cli_said("request.yaml:2:1: ");
    yz_cli_write("request.yaml", yzi_bytes_str("service: " AREAS "\n"));
    TEST_ONE(2, "--request", "request.yaml");
    yz_cli_said("request.yaml:1:10: the consumer is needed");
    TEST_ONE(2, "--request", "request.yaml", "--at", "2090-02-01");
    yz_cli_said("--at does not go with --request");
    TEST_ONE(2, "--cases", "cases.yaml", "--key", "110101");
    yz_cli_said("--key does not go with --cases");
    TEST_ONE(2, "--cases", "cases.yaml", "--request", "request.yaml");
    yz_cli_said("--request does not go with --cases");
}

static void test_explain__knows_the_purposes_that_were_fetched(void **state)
{
    (void)state;
    yz_cli_write("list.yaml", yzi_bytes_str("purposes: [{code: tax, title: {en: Taxes}}]\n"));
    EXPECT(0, "purpose", "set", "--home", "op", "list.yaml");
    yz_cli_copy("op/records/purposes-CN.yzr",
                "mca/purposes.yzr"); /* what yz purpose fetch writes */
    EXPLAIN(BY(WINDOW), "--key", "110101", "--purpose", "marriage");
    row(window, "denied purpose 'marriage' is no purpose of this instance");
    TEST_ONE(0, BY(WINDOW), "--key", "110101", "--purpose", "tax");
}

static void test_test__exits_as_the_policy_says(void **state)
{
    (void)state;
    TEST_ONE(0, BY(WINDOW), "--key", "110101", "--purpose", "tax");
    prints("allowed by grant g-");
    /* a denial is an answer, as for yz call: it is printed, and nothing is said to have failed */
    assert_int_equal(DENIED(BY(WINDOW), "--key", "110101", "--purpose", "fun"), 3);
    prints("denied: purpose, by the clause purpose of grant g-");
    assert_string_equal(yz_cli_err(), "");
    assert_int_equal(DENIED(BY(WINDOW), "--key", "110101", "--json"), 3);
    prints("\"allowed\": false");
}

static void test_test__needs_what_it_decides_on(void **state)
{
    (void)state;
    TEST_ONE(2, "--service", AREAS);
    yz_cli_said("the consumer is needed");
    TEST_ONE(2, "--service", AREAS, "--consumer", WINDOW, "--operation", "look");
    yz_cli_said("'look' is none of get");
    TEST_ONE(1, "--service", "CN/GOV/MCA/civil/towns/v1", "--consumer", WINDOW);
    yz_cli_said("is not offered");
    TEST_ONE(1, "--service", "CN/GOV/HB/civil/towns/v1", "--consumer", WINDOW);
    yz_cli_said("is not a service of CN/GOV/MCA");
    TEST_ONE(2, BY(WINDOW), "--exchange", "x");
    yz_cli_said("--exchange goes with --kept");
    TEST_ONE(2, BY(WINDOW), "--kept", "mca");
    yz_cli_said("--service does not go with --kept");
    EXPECT(2, "grant", "test", "--home", "mca", BY(WINDOW));
    yz_cli_said("--definition is needed: that of the data set areas");
    yz_cli_write("other.yaml",
                 yzi_bytes_str("dataset: areas\ntitle: {en: Areas}\nowner: x\n"
                               "sharing: unconditional\nkey: [code]\nfields:\n"
                               "  - {name: code, type: text, classification: public}\n"));
    EXPECT(1, "grant", "test", "--home", "mca", "--definition", "other.yaml", BY(WINDOW));
    yz_cli_said("other.yaml is not the definition that was published: the field name is not in it");
}

/* -- cases -- */

#define CASES(code)                                                                                \
    EXPECT(code, "grant", "test", "--home", "mca", "--definition", DEFINITION, "--cases",          \
           "cases.yaml")

static void cases(const char *text)
{
    char whole[4096];
    snprintf(whole, sizeof whole, "service: " AREAS "\nconsumer: " WINDOW "\ncases:\n%s", text);
    yz_cli_write("cases.yaml", yzi_bytes_str(whole));
}

static void test_cases__that_are_as_expected_pass(void **state)
{
    (void)state;
    cases("  - {name: taxes, keys: [\"110101\"], purpose: tax, expect: allowed,\n"
          "     reads: [name, code]}\n"
          "  - {name: fun, keys: [\"110101\"], purpose: fun, expect: denied, clause: purpose,\n"
          "     reason: purpose}\n"
          "  - {name: later, where: [city=1101], at: \"2090-02-01\", expect: allowed}\n"
          "  - {name: too early, where: [city=1101], expect: denied, clause: operation}\n"
          "  - {name: desk, consumer: " BJ ", operation: count, evidenced: false,\n"
          "     expect: denied, clause: strict}\n");
    CASES(0);
    prints("cases: 5, as expected: 5\n");
}

static void test_cases__that_are_not_name_their_place(void **state)
{
    (void)state;
    cases("  - {name: taxes, keys: [\"110101\"], purpose: tax, expect: denied, clause: purpose}\n"
          "  - {name: fun, keys: [\"110101\"], purpose: fun, expect: allowed}\n"
          "  - {name: less, keys: [\"110101\"], purpose: tax, expect: allowed, reads: [code]}\n"
          "  - {name: masked, keys: [\"110101\"], purpose: tax, expect: allowed,\n"
          "     reads: [code, name=initial]}\n"
          "  - {name: other clause, keys: [\"110101\"], purpose: fun, expect: denied,\n"
          "     clause: readable}\n"
          "  - {name: other grant, keys: [\"110101\"], purpose: tax, expect: allowed, grant: g-1}\n"
          "  - {name: good, keys: [\"110101\"], purpose: tax, expect: allowed}\n");
    CASES(1);
    prints("cases.yaml:4:12: taxes: expected denied by purpose, but it is allowed by grant g-");
    prints("cases.yaml:5:12: fun: expected allowed, but it is denied: purpose, by the clause "
           "purpose of grant g-");
    prints(": 'fun' is none of marriage, tax\n");
    prints("cases.yaml:6:12: less: expected allowed, but it reads code, name\n");
    prints("cases.yaml:7:12: masked: expected allowed, but it reads code, name\n");
    prints("other clause: expected denied by readable, but it is denied: purpose");
    prints("other grant: expected allowed, but it is decided by grant g-");
    prints("cases: 7, as expected: 1\n");
    EXPECT(1, "grant", "test", "--home", "mca", "--definition", DEFINITION, "--cases", "cases.yaml",
           "--json");
    prints("\"name\": \"good\",\n    \"passed\": true");
    prints("\"line\": 5");
}

static void test_cases__that_are_wrong_are_faults_of_the_file(void **state)
{
    (void)state;
    cases("  - {name: x, expect: maybe}\n");
    CASES(2);
    yz_cli_said("cases.yaml:4:23: expect: 'maybe' is neither allowed nor denied");
    cases("  - {name: x, expect: allowed, clause: purpose}\n");
    CASES(2);
    yz_cli_said("cases.yaml:4:23: x: clause and reason are for what is denied");
    cases("  - {name: x, expect: denied, reads: [code]}\n");
    CASES(2);
    yz_cli_said("x: reads is for what is allowed");
    cases("  - {name: x, operation: look, expect: denied}\n");
    CASES(2);
    yz_cli_said("cases.yaml:4:12: operation 'look' is none of");
    cases("  - {name: x, where: [\"?\"], expect: denied}\n");
    CASES(2);
    yz_cli_said("cases.yaml:4:12: --where '?' is not a condition");
    cases("  - {name: x, service: " WINDOW "/areas/v1, expect: denied}\n");
    CASES(2);
    yz_cli_said("cases.yaml:4:12: " WINDOW "/areas/v1 is not a service of CN/GOV/MCA");
    cases("  - {expect: denied}\n");
    CASES(2);
    yz_cli_said("cases.yaml:4:5: ");
    cases("");
    CASES(2);
    yz_cli_write("cases.yaml", yzi_bytes_str("definitions: [nowhere.yaml]\ncases: [{name: x, "
                                             "expect: denied}]\n"));
    CASES(1);
    yz_cli_said("nowhere.yaml");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, yz_cli_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_explain__says_which_clause_of_each_grant_decided),
        TEST(test_explain__says_what_would_be_read),
        TEST(test_explain__says_what_a_question_counts),
        TEST(test_explain__as_json_and_from_a_file),
        TEST(test_explain__knows_the_purposes_that_were_fetched),
        TEST(test_test__exits_as_the_policy_says),
        TEST(test_test__needs_what_it_decides_on),
        TEST(test_cases__that_are_as_expected_pass),
        TEST(test_cases__that_are_not_name_their_place),
        TEST(test_cases__that_are_wrong_are_faults_of_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
