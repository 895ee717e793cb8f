/* SPDX-License-Identifier: Apache-2.0
 *
 * yz grant: the clauses that narrow a grant. What breaks a rule is refused with one sentence and
 * changes nothing; what is made stands in the terms as it was said, and `show` tells it whole, with
 * what is doubtful about it.
 */
#include "cli/offer.h"
#include "tests/unit/cli/fixture.h"

#define PEOPLE "CN/GOV/MCA/civil/people/v1"
#define WINDOW "CN/GOV/HB/window"
#define ADD "grant", "add", "--home", "mca", "--service", PEOPLE, "--consumer", WINDOW
#define FIND "--operation", "find"

static const char definition[] =
    "dataset: people\n"
    "title: {en: People}\n"
    "owner: CN/GOV/MCA\n"
    "sharing: conditional\n"
    "key: [id]\n"
    "fields:\n"
    "  - {name: id, type: text, classification: internal, required: true, max_length: 18}\n"
    "  - {name: name, type: text, classification: internal, max_length: 50}\n"
    "  - {name: born, type: date, classification: internal}\n"
    "  - {name: district, type: code, classification: internal, codes: [east, west]}\n"
    "  - {name: children, type: integer, classification: internal}\n"
    "  - {name: seen, type: time, classification: internal}\n"
    "  - {name: phone, type: text, classification: sensitive, max_length: 20}\n";

static void publish(void)
{
    yz_cli_write("people.yaml", yzi_bytes_str(definition));
    EXPECT(0, "service", "publish", "--home", "mca", "--subsystem", "civil", "--service",
           "people/v1", "--definition", "people.yaml", "--adapter", "CN/GOV/MCA/@a1");
}

static void begin(void)
{
    yz_cli_world();
    publish();
}

struct held {
    struct arena arena;
    yz_buf raw;
    struct record record;
    struct terms terms;
};

static void load(struct held *h)
{
    yz_cli_record("mca/offers/civil.terms.yzr", &h->raw);
    yzi_arena_init(&h->arena, 8u * 1024u * 1024u);
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&h->raw), &h->record), 0);
    assert_int_equal(yzi_terms_parse(h->record.body, &h->arena, &h->terms), 0);
}

static void unload(struct held *h)
{
    yzi_arena_fini(&h->arena);
    yzi_buf_fini(&h->raw);
}

static void printed_id(char out[32])
{
    size_t n = strcspn(yz_cli_out(), "\n");
    assert_true(n > 2 && n < 32);
    memcpy(out, yz_cli_out(), n);
    out[n] = '\0';
}

static void shows(const char *text)
{
    if (!strstr(yz_cli_out(), text)) {
        fail_msg("no '%s' in:\n%s", text, yz_cli_out());
    }
}

/* -- masks -- */

static void test_grant__masks_stand_in_the_terms(void **state)
{
    (void)state;
    struct held h;
    begin();
    EXPECT(0, ADD, FIND, "--filter", "district", "--field", "id", "--field", "name", "--field",
           "born", "--field", "children", "--mask", "id=last4", "--mask", "name=initial", "--mask",
           "born=year");
    load(&h);
    const struct fine_grant *g = &h.terms.grants[0];
    assert_int_equal(g->readable_n, 4);
    assert_int_equal(g->readable[0].mask, MASK_LAST4);
    assert_int_equal(g->readable[1].mask, MASK_INITIAL);
    assert_int_equal(g->readable[2].mask, MASK_YEAR);
    assert_int_equal(g->readable[3].mask, MASK_NONE);
    assert_false(h.terms.has_pseudonym_key);
    unload(&h);
}

static void test_grant__that_breaks_a_rule_is_refused(void **state)
{
    (void)state;
    begin();
    REFUSES("mca", EXIT_USAGE, ADD, "--mask", "name");
    yz_cli_said("FIELD=MASK");
    REFUSES("mca", EXIT_USAGE, ADD, "--mask", "name=blur");
    REFUSES("mca", EXIT_USAGE, ADD, "--mask", "name=none");
    REFUSES("mca", EXIT_USAGE, ADD, "--mask", "spouse=hide");
    yz_cli_said("not among the fields that may be read");
    REFUSES("mca", EXIT_USAGE, ADD, "--field", "born", "--mask", "name=hide");
    REFUSES("mca", EXIT_USAGE, ADD, "--mask", "name=hide", "--mask", "name=initial");
    yz_cli_said("has a mask already");
    REFUSES("mca", EXIT_USAGE, ADD, "--mask", "name=year");
    yz_cli_said("year is for dates and times; name is of type text");
    REFUSES("mca", EXIT_USAGE, ADD, "--mask", "born=last4");
    REFUSES("mca", EXIT_USAGE, ADD, "--mask", "children=initial");
    REFUSES("mca", EXIT_USAGE, ADD, "--mask", "district=hash");
    yz_cli_said("of so few values");
    REFUSES("mca", EXIT_USAGE, ADD, "--mask", "born=hash");
    REFUSES("mca", EXIT_USAGE, ADD, FIND, "--mask", "name=initial", "--filter", "name");
    yz_cli_said("name is masked, so nobody may select by it");
    REFUSES("mca", EXIT_USAGE, ADD, FIND, "--mask", "born=year", "--sort", "born");
    yz_cli_said("born is masked, so nobody may order by it");
    REFUSES("mca", EXIT_USAGE, ADD, FIND, "--field", "name", "--sort", "born");
    yz_cli_said("born cannot be ordered by without being readable");
    REFUSES("mca", EXIT_USAGE, ADD, "--mask", "id=last4");
    yz_cli_said("id is of the key and masked");
    REFUSES("mca", EXIT_USAGE, ADD, FIND, "--operation", "get", "--mask", "id=hash");
    EXPECT(0, ADD, FIND, "--filter", "district", "--mask", "id=hash");
}

/* -- pseudonyms -- */

static void test_grant__pseudonyms_have_one_key_for_ever(void **state)
{
    (void)state;
    struct held h;
    uint8_t key[32];
    char id[32];
    begin();
    EXPECT(0, ADD, "--mask", "name=hash");
    printed_id(id);
    load(&h);
    assert_true(h.terms.has_pseudonym_key);
    memcpy(key, h.terms.pseudonym_key, sizeof key);
    unload(&h);
    EXPECT(0, ADD, "--mask", "phone=hash");
    EXPECT(0, "grant", "revoke", "--home", "mca", id);
    publish();
    load(&h);
    assert_true(h.terms.has_pseudonym_key);
    assert_memory_equal(key, h.terms.pseudonym_key, sizeof key);
    unload(&h);
}

/* -- rows -- */

static void test_grant__row_filter_stands_in_canonical_form(void **state)
{
    (void)state;
    struct held h;
    begin();
    EXPECT(0, ADD, "--where", "district in east,west", "--where", "seen>=2026-01-01T08:00:00+08:00",
           "--where", "name^=W", "--where", "phone=110");
    load(&h);
    const struct fine_grant *g = &h.terms.grants[0];
    assert_int_equal(g->row_filter_n, 4);
    assert_int_equal(g->row_filter[0].op, OP_IN);
    assert_int_equal(g->row_filter[0].values.n, 2);
    assert_true(yzi_bytes_eq_str(g->row_filter[0].values.items[1], "west"));
    assert_int_equal(g->row_filter[1].op, OP_GE);
    assert_true(yzi_bytes_eq_str(g->row_filter[1].values.items[0], "2026-01-01T00:00:00Z"));
    assert_int_equal(g->row_filter[2].op, OP_PREFIX);
    assert_true(yzi_bytes_eq_str(g->row_filter[3].field, "phone"));
    unload(&h);
}

static void test_grant__row_filter_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    begin();
    REFUSES("mca", EXIT_USAGE, ADD, "--where", "district");
    REFUSES("mca", EXIT_USAGE, ADD, "--where", "county=east");
    yz_cli_said("has no field 'county'");
    REFUSES("mca", EXIT_USAGE, ADD, "--where", "born>=yesterday");
    yz_cli_said("is not a date");
    REFUSES("mca", EXIT_USAGE, ADD, "--where", "children=many");
    REFUSES("mca", EXIT_USAGE, ADD, "--where", "name is null");
    REFUSES("mca", EXIT_USAGE, ADD, "--where", "district in east,east");
    REFUSES("mca", EXIT_USAGE, ADD, "--where", "born^=19");
    yz_cli_said("has no beginnings");
    REFUSES("mca", EXIT_USAGE, ADD, "--where", "phone>1");
    yz_cli_said("phone is sensitive");
    REFUSES("mca", EXIT_USAGE, ADD, "--where", "name^=W", "--where", "name>=Wa");
    yz_cli_said("either a prefix or a range");
}

static void test_grant__to_write_has_no_row_filter_and_no_mask(void **state)
{
    (void)state;
    yz_cli_world();
    yz_cli_write("people.yaml", yzi_bytes_str(definition));
    EXPECT(0, "service", "publish", "--home", "mca", "--subsystem", "civil", "--service",
           "people/v1", "--definition", "people.yaml", "--adapter", "CN/GOV/MCA/@a1", "--mode",
           "write");
    REFUSES("mca", EXIT_USAGE, ADD, "--operation", "put", "--write", "id", "--where",
            "district=east");
    yz_cli_said("no row filter");
    REFUSES("mca", EXIT_USAGE, ADD, "--operation", "put", "--operation", "get", "--write", "id",
            "--write", "name", "--mask", "name=hash");
    yz_cli_said("name is masked, so nobody may write it");
    EXPECT(0, ADD, "--operation", "put", "--operation", "get", "--write", "id", "--write", "name");
}

/* -- quota -- */

static void test_grant__quota_is_at_least_one_for_each_adapter(void **state)
{
    (void)state;
    struct held h;
    begin();
    REFUSES("mca", EXIT_USAGE, ADD, "--quota", "0");
    REFUSES("mca", EXIT_USAGE, ADD, "--quota", "-1");
    REFUSES("mca", EXIT_USAGE, ADD, "--quota", "4294967296");
    EXPECT(0, ADD, "--quota", "1");
    load(&h);
    assert_int_equal(h.terms.grants[0].quota_per_day, 1);
    unload(&h);
}

/* -- predicates -- */

#define MATCH "--operation", "match"

static void test_grant__predicates_stand_in_the_terms(void **state)
{
    (void)state;
    struct held h;
    begin();
    EXPECT(0, ADD, MATCH, "--predicate", "from-east district eq east", "--predicate",
           "in-town district in east,west", "--predicate", "of-age born le 2008-01-01,2005-01-01",
           "--predicate", "has-more children gt", "--step", "has-more=2", "--budget", "has-more=3",
           "--predicate", "is-called name eq", "--budget", "is-called=5/30d", "--budget",
           "from-east=7");
    load(&h);
    const struct fine_grant *g = &h.terms.grants[0];
    assert_int_equal(g->operations, 1u << QUERY_MATCH);
    assert_int_equal(g->readable_n, 0); /* who may only match reads nothing */
    assert_int_equal(g->predicates_n, 5);
    assert_true(yzi_bytes_eq_str(g->predicates[0].name, "from-east"));
    assert_true(yzi_bytes_eq_str(g->predicates[0].field, "district"));
    assert_int_equal(g->predicates[0].op, OP_EQ);
    assert_int_equal(g->predicates[0].constants.n, 1);
    assert_int_equal(g->predicates[0].budget, 7);
    assert_int_equal(g->predicates[1].op, OP_IN);
    assert_true(yzi_bytes_eq_str(g->predicates[1].constants.items[1], "west"));
    assert_int_equal(g->predicates[2].constants.n, 2);
    assert_int_equal(g->predicates[3].constants.n, 0);
    assert_true(yzi_bytes_eq_str(g->predicates[3].step, "2"));
    assert_int_equal(g->predicates[3].budget, 3);
    assert_int_equal(g->predicates[3].budget_days, 0);
    assert_int_equal(g->predicates[4].budget, 5);
    assert_int_equal(g->predicates[4].budget_days, 30);
    unload(&h);
}

static void test_grant__predicates_are_shown(void **state)
{
    (void)state;
    char id[32];
    begin();
    EXPECT(0, ADD, MATCH, "--predicate", "of-age born le 2008-01-01", "--predicate",
           "has-more children gt", "--step", "has-more=2", "--budget", "has-more=3/365d");
    printed_id(id);
    EXPECT(0, "grant", "show", "--home", "mca", id);
    shows("predicates  of-age: born <= 2008-01-01\n            has-more: children > ");
    shows("children > a value of the question, in steps of 2, 3 questions for each subject in 365 "
          "days\n");
    assert_null(strstr(yz_cli_out(), "warning"));
    EXPECT(0, "grant", "show", "--home", "mca", id, "--json");
    shows("\"budget_days\": 365");
}

static void test_grant__fields_that_match_alone_never_reads_are_doubtful(void **state)
{
    (void)state;
    char id[32];
    begin();
    EXPECT(0, ADD, MATCH, "--predicate", "of-age born le 2008-01-01", "--field", "name");
    printed_id(id);
    EXPECT(0, "grant", "show", "--home", "mca", id);
    shows("warning: fields may be read, but match alone is allowed");
}

static void test_grant__that_would_give_a_value_away_is_refused(void **state)
{
    (void)state;
    begin();
    REFUSES("mca", EXIT_USAGE, ADD, MATCH);
    yz_cli_said("--operation match needs a --predicate");
    REFUSES("mca", EXIT_USAGE, ADD, "--predicate", "of-age born le 2008-01-01");
    yz_cli_said("--predicate is for --operation match");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p born le");
    yz_cli_said("by halving");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p born le", "--budget", "p=3");
    yz_cli_said("by halving");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p name eq");
    yz_cli_said("has no budget");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p children ge", "--step", "p=10");
    yz_cli_said("has no budget");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p name prefix W");
    yz_cli_said("letter by letter");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, FIND, "--field", "id", "--filter", "name", "--predicate",
            "p name eq", "--budget", "p=3");
    yz_cli_said("find and count may select by name without one");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, FIND, "--mask", "name=initial", "--predicate",
            "p name eq W");
    yz_cli_said("is masked");
}

static void test_grant__predicates_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    begin();
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p name");
    yz_cli_said("write NAME FIELD OP");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p name = W");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p=q name eq W");
    yz_cli_said("a name is");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p name eq W", "--predicate",
            "p born le 2008-01-01");
    yz_cli_said("each stands once");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p spouse eq W");
    yz_cli_said("has no field 'spouse'");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p born le 2008");
    yz_cli_said("is not a date");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p name in W,W");
    yz_cli_said("twice");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p district ge east");
    yz_cli_said("of type code");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p children ge", "--step", "p=ten",
            "--budget", "p=1");
    yz_cli_said("is none for children");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p name eq", "--budget", "q=1");
    yz_cli_said("with the name of a --predicate");
    static const char *const budgets[] = {"p=0",    "p=",           "p=-1",      "p=1/",
                                          "p=1/0d", "p=1/5h",       "p=1/30",    "p=x",
                                          "p=1d",   "p=4294967296", "p=1/36501d"};
    for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
        REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p name eq", "--budget", budgets[i]);
        yz_cli_said("write NAME=N, or NAME=N/30d");
    }
}

static void test_grant__budget_is_at_least_one_for_each_adapter(void **state)
{
    (void)state;
    char id[32];
    begin();
    EXPECT(0, ADD, MATCH, "--predicate", "p name eq", "--budget", "p=1");
    printed_id(id);
    EXPECT(0, "node", "request", "--home", "a2", "--node", "CN/GOV/MCA/@a2", "--role", "adapter",
           "--subsystem", "civil");
    EXPECT(0, "node", "admit", "--home", "mca", "a2/request.yzr");
    EXPECT(0, "service", "publish", "--home", "mca", "--subsystem", "civil", "--service",
           "people/v1", "--definition", "people.yaml", "--adapter", "CN/GOV/MCA/@a1", "--adapter",
           "CN/GOV/MCA/@a2");
    REFUSES("mca", EXIT_USAGE, ADD, MATCH, "--predicate", "p name eq", "--budget", "p=1");
    yz_cli_said("so it must be at least 2");
    EXPECT(0, ADD, MATCH, "--predicate", "p name eq", "--budget", "p=2");
    EXPECT(0, "grant", "show", "--home", "mca", id);
    shows("the offer has 2 adapters now and the budget of p is 1: only the first 1 of them");
}

/* -- show -- */

static void test_grant__is_shown_whole(void **state)
{
    (void)state;
    char id[32];
    begin();
    EXPECT(0, ADD, FIND, "--operation", "count", "--field", "id", "--field", "name", "--field",
           "born", "--mask", "name=initial", "--mask", "born=year", "--where", "district=east",
           "--where", "children>=2", "--filter", "id", "--sort", "id", "--purpose", "loan",
           "--quota", "500", "--strict", "--from", "2026-01-01", "--until", "2100-01-01");
    printed_id(id);
    EXPECT(0, "grant", "show", "--home", "mca", id);
    static const char *const lines[] = {
        "service     " PEOPLE "\n",
        "consumer    " WINDOW "\n",
        "state       valid\n",
        "from        2026-01-01T00:00:00Z\n",
        "until       2100-01-01T00:00:00Z\n",
        "operations  find count\n",
        "purposes    loan\n",
        "fields      id name (initial) born (year)\n",
        "where       district = east\n",
        "            children >= 2\n",
        "filter      id\n",
        "sort        id\n",
        "write       none\n",
        "quota       500 calls a day of each subsystem\n",
        "strict      yes\n",
        "version     2, of offer and terms\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        shows(lines[i]);
    }
    assert_null(strstr(yz_cli_out(), "warning"));
    EXPECT(0, "grant", "show", "--home", "mca", id, "--json");
    shows("\"name\": \"initial\"");
    shows("\"quota_per_day\": 500");
    shows("\"op\": \"ge\"");
    shows("\"warnings\": []");
    EXPECT(0, "grant", "list", "--home", "mca");
    shows("name(initial)");
    REFUSES("mca", EXIT_FAILED, "grant", "show", "--home", "mca", "g-none");
}

static void warns(const char *id, const char *text)
{
    EXPECT(0, "grant", "show", "--home", "mca", id);
    shows("warning: ");
    shows(text);
}

static void test_grant__show_warns_of_what_is_useless(void **state)
{
    (void)state;
    char id[32];
    begin();
    EXPECT(0, ADD, FIND);
    printed_id(id);
    warns(id, "every find is denied");
    EXPECT(0, ADD, "--filter", "district");
    printed_id(id);
    warns(id, "neither find nor count");
    EXPECT(0, ADD, "--operation", "count", "--filter", "district", "--sort", "id");
    printed_id(id);
    warns(id, "find is not allowed");
    EXPECT(0, ADD, "--field", "name", "--mask", "name=hide");
    printed_id(id);
    warns(id, "no field shows anything");
    EXPECT(0, ADD, "--from", "30d");
    printed_id(id);
    warns(id, "until then every call is denied");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, yz_cli_setup, yz_cli_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_grant__masks_stand_in_the_terms),
        TEST(test_grant__that_breaks_a_rule_is_refused),
        TEST(test_grant__pseudonyms_have_one_key_for_ever),
        TEST(test_grant__row_filter_stands_in_canonical_form),
        TEST(test_grant__row_filter_that_does_not_fit_is_refused),
        TEST(test_grant__to_write_has_no_row_filter_and_no_mask),
        TEST(test_grant__quota_is_at_least_one_for_each_adapter),
        TEST(test_grant__predicates_stand_in_the_terms),
        TEST(test_grant__predicates_are_shown),
        TEST(test_grant__fields_that_match_alone_never_reads_are_doubtful),
        TEST(test_grant__that_would_give_a_value_away_is_refused),
        TEST(test_grant__predicates_that_make_no_sense_are_refused),
        TEST(test_grant__budget_is_at_least_one_for_each_adapter),
        TEST(test_grant__is_shown_whole),
        TEST(test_grant__show_warns_of_what_is_useless),
    };
    return cmocka_run_group_tests_name("grants", tests, NULL, NULL);
}
