/* SPDX-License-Identifier: Apache-2.0
 *
 * The purposes of an instance, groups of consumers and the catalogue, through the real daemons.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/integration/harness.h"

#define AREAS "CN/GOV/STATS/divisions/areas/v1"
#define WINDOW "CN/GOV/WINDOW/window"
#define PATIENCE_S 60

static struct sandbox sandbox;

static const char *home(const char *name)
{
    return in_sandbox(&sandbox, "%s/member", name);
}

static const char *socket_of(const char *name)
{
    return in_sandbox(&sandbox, "%s/admin.sock", name);
}

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    const char *path = in_sandbox(&sandbox, "areas.csv");
    write_file(path, "code,name,cityCode,provinceCode\n110101,东城区,1101,11\n");
    EXPECT_YZ(0, "data", "import", "--admin", socket_of("statistics"), "areas", path);
    return 0;
}

static int down(void **state)
{
    (void)state;
    sandbox_down(&sandbox);
    return 0;
}

static const struct output *call(const char *purpose)
{
    return RUN_YZ("call", "--config", sandbox.client, "--key", "110101", "--purpose", purpose,
                  AREAS);
}

/* Call again and again until it comes out so: what was published takes a moment to arrive. */
static const struct output *call_until(const char *purpose, int code, const char *says)
{
    const struct output *o;
    time_t until = time(NULL) + PATIENCE_S;
    do {
        o = call(purpose);
        if (o->code == code && strstr(o->text, says)) {
            return o;
        }
        poll(NULL, 0, 50);
    } while (time(NULL) < until);
    fail_msg("exit code %d: %s", o->code, o->text);
    return o;
}

static void publish(void)
{
    EXPECT_YZ(0, "directory", "publish", "--home", in_sandbox(&sandbox, "operator"), "--admin",
              socket_of("broker"));
}

static void test_purposes__that_the_instance_does_not_list_are_denied(void **state)
{
    (void)state;
    const char *list = in_sandbox(&sandbox, "purposes.yaml");
    call_until("weather", 0, "东城区");
    write_file(list, "purposes:\n  - {code: house-transfer, title: {en: Transfer of a title}}\n");
    EXPECT_YZ(0, "purpose", "set", "--home", in_sandbox(&sandbox, "operator"), list);
    publish();
    assert_says(call_until("weather", 3, "purpose"), "denied");
    call_until("house-transfer", 0, "东城区");
    assert_says(EXPECT_YZ(0, "purpose", "list", "--admin", socket_of("statistics")),
                "house-transfer");
    assert_says(EXPECT_YZ(0, "purpose", "list", "--admin", socket_of("broker")), "house-transfer");
    assert_says(EXPECT_YZ(1, "grant", "add", "--home", home("statistics"), "--admin",
                          socket_of("statistics"), "--service", AREAS, "--consumer", WINDOW,
                          "--purpose", "weather"),
                "no such purpose");
    EXPECT_YZ(0, "purpose", "fetch", "--home", home("statistics"), "--admin",
              socket_of("statistics"));
    assert_says(EXPECT_YZ(1, "grant", "add", "--home", home("statistics"), "--service", AREAS,
                          "--consumer", WINDOW, "--purpose", "weather"),
                "no such purpose");
    EXPECT_YZ(0, "purpose", "drop", "--home", in_sandbox(&sandbox, "operator"));
    publish();
    call_until("weather", 0, "东城区");
    assert_says(EXPECT_YZ(0, "purpose", "fetch", "--home", home("statistics"), "--admin",
                          socket_of("statistics")),
                "any code will do");
}

/* The ids of the grants on a service, revoked. */
static void revoke_all(void)
{
    char *at, text[8192];
    snprintf(text, sizeof text, "%.8000s",
             EXPECT_YZ(0, "grant", "list", "--home", home("statistics"), "--service", AREAS)->text);
    for (at = strstr(text, "\ng-"); at; at = strstr(at, "\ng-")) {
        char id[32] = "";
        assert_int_equal(sscanf(++at, "%31s", id), 1);
        EXPECT_YZ(0, "grant", "revoke", "--home", home("statistics"), "--admin",
                  socket_of("statistics"), id);
    }
}

#define GROUP(verb, member)                                                                        \
    EXPECT_YZ(0, "group", verb, "--home", home("statistics"), "--subsystem", "divisions",          \
              "--member", member, "--admin", socket_of("statistics"), "windows")

static void test_group__lets_in_whom_it_was_granted_with(void **state)
{
    (void)state;
    char id[32];
    revoke_all();
    call_until("x", 3, "no-grant");
    GROUP("add", "CN/GOV/TAX/clearance");
    const struct output *o =
        EXPECT_YZ(0, "grant", "add", "--home", home("statistics"), "--service", AREAS, "--group",
                  "windows", "--admin", socket_of("statistics"));
    assert_int_equal(sscanf(o->text, "%31s", id), 1);
    GROUP("add", WINDOW);
    call_until("x", 3, "no-grant"); /* it joined after the grant */
    EXPECT_YZ(0, "grant", "repin", "--home", home("statistics"), "--admin", socket_of("statistics"),
              id);
    call_until("x", 0, "东城区");
    GROUP("remove", WINDOW);
    call_until("x", 3, "no-grant");
    GROUP("add", WINDOW); /* coming back is no grant */
    call_until("x", 3, "no-grant");
    assert_says(EXPECT_YZ(0, "grant", "list", "--home", home("statistics"), "--service", AREAS),
                "group windows/2");
}

/* -- the catalogue -- */

#define CATALOG(verb, ...) "catalog", verb, "--config", sandbox.client, "--lang", "en", __VA_ARGS__

static void test_catalog__says_who_holds_what(void **state)
{
    (void)state;
    const struct output *o = EXPECT_YZ(0, CATALOG("list", "--sharing", "conditional"));
    assert_says(o, "CN/GOV/HOUSING/registry");
    assert_says(o, "Register of property titles");
    assert_null(strstr(o->text, "CN/GOV/STATS"));
    o = EXPECT_YZ(0, "catalog", "list", "--config", sandbox.client, "--lang", "zh-Hans-CN",
                  "--member", "CN/GOV/TAX");
    assert_says(o, "完税证明");
    assert_null(strstr(o->text, "CN/GOV/HOUSING"));
    o = EXPECT_YZ(0, CATALOG("show", "CN/GOV/CIVIL/civil/marriages/v1"));
    assert_says(o, "legal basis   婚姻登记条例");
    assert_says(o, "marital_status");
    assert_says(o, "granted");
    EXPECT_YZ(1, CATALOG("show", "CN/GOV/CIVIL/civil", "births"));
    assert_says(EXPECT_YZ(0, CATALOG("show", "CN/GOV/TAX/clearance", "clearances", "--json")),
                "\"legal_basis\": \"税收征收管理法\"");
}

static void test_catalog__finds_words_whatever_their_case_and_language(void **state)
{
    (void)state;
    assert_says(EXPECT_YZ(0, CATALOG("search", "PROPERTY", "register")), "titles");
    assert_says(EXPECT_YZ(0, CATALOG("search", "完税")), "clearances");
    assert_says(EXPECT_YZ(0, CATALOG("search", "Tax_Arrears")), "clearances");
    assert_string_equal(EXPECT_YZ(0, CATALOG("search", "property", "weather"))->text, "");
}

static void test_catalog__counts_sources_and_coverage(void **state)
{
    (void)state;
    const struct output *o = EXPECT_YZ(0, CATALOG("elements", "--multiple"));
    assert_says(o, "person_name");
    assert_null(strstr(o->text, "marital_status"));
    o = EXPECT_YZ(0, CATALOG("coverage", "--json"));
    assert_says(o, "\"members_n\": 5");
    assert_says(o, "\"offer_nothing_n\": 1");
}

static const char definition[] =
    "dataset: adoptions\ntitle: {en: Adoptions, zh: 收养登记}\nowner: Registrar\n"
    "sharing: withheld\nlegal_basis: Civil Code 1110\nkey: [id]\nfields:\n"
    "  - {name: id, type: text, element: person_id, classification: secret, reference: true}\n"
    "  - {name: child, type: text, element: marital_status, classification: secret}\n"
    "  - {name: birth_mother, type: text, classification: secret, catalogue: false}\n";

/* Ask again until the broker has the newer offer. */
static const struct output *show_until(const char *says)
{
    const struct output *o;
    time_t until = time(NULL) + PATIENCE_S;
    do {
        o = RUN_YZ(CATALOG("list", "--sharing", "withheld"));
        if (o->code == 0 && strstr(o->text, says)) {
            return o;
        }
        poll(NULL, 0, 50);
    } while (time(NULL) < until);
    fail_msg("exit code %d: %s", o->code, o->text);
    return o;
}

static void test_catalog__shows_the_negative_list_without_what_is_kept_out_of_it(void **state)
{
    (void)state;
    const char *path = in_sandbox(&sandbox, "adoptions.yaml");
    write_file(path, definition);
    EXPECT_YZ(0, "catalog", "declare", "--home", home("civil"), "--subsystem", "civil", "--admin",
              socket_of("civil"), path);
    assert_says(show_until("adoptions"), "withheld");
    const struct output *o = EXPECT_YZ(0, CATALOG("show", "CN/GOV/CIVIL/civil", "adoptions"));
    assert_says(o, "legal basis   Civil Code 1110");
    assert_says(o, "not this"); /* it refers to the person, and is no source of who that is */
    assert_null(strstr(o->text, "birth_mother"));
    assert_null(strstr(EXPECT_YZ(0, CATALOG("show", "CN/GOV/CIVIL/civil", "--json"))->text,
                       "birth_mother"));
    assert_says(EXPECT_YZ(0, CATALOG("elements", "--multiple")), "adoptions.child");
    assert_says(EXPECT_YZ(1, "catalog", "declare", "--home", home("statistics"), "--subsystem",
                          "divisions", YZ_TEST_DATA "/china-division/areas.yaml"),
                "yz service publish");
    EXPECT_YZ(0, "catalog", "retract", "--home", home("civil"), "--subsystem", "civil", "--admin",
              socket_of("civil"), "adoptions");
    EXPECT_YZ(1, "catalog", "retract", "--home", home("civil"), "--subsystem", "civil",
              "adoptions");
}

/* Others' grants are nobody's business, one's own are told. */
static void test_catalog__tells_each_its_own_grants_alone(void **state)
{
    (void)state;
    const struct output *o;
    EXPECT_YZ(0, "grant", "add", "--home", home("tax"), "--service",
              "CN/GOV/TAX/clearance/clearances/v1", "--consumer", "CN/GOV/HOUSING/registry",
              "--admin", socket_of("tax"));
    EXPECT_YZ(0, "grant", "add", "--home", home("tax"), "--service",
              "CN/GOV/TAX/clearance/clearances/v1", "--consumer", WINDOW, "--until", "2099-12-31",
              "--admin", socket_of("tax"));
    o = EXPECT_YZ(0, CATALOG("show", "CN/GOV/TAX/clearance", "--json"));
    assert_null(strstr(o->text, "CN/GOV/HOUSING"));
    assert_says(o, "\"state\": \"valid\"");
    o = EXPECT_YZ(0, CATALOG("list", "--mine"));
    assert_says(o, "CN/GOV/TAX/clearance");
    assert_null(strstr(o->text, "areas")); /* the group test left it none */
}

static void test_catalog__without_a_broker_says_so(void **state)
{
    (void)state;
    kill_daemon(sandbox.broker, SIGKILL);
    assert_says(EXPECT_YZ(4, CATALOG("list", "--timeout", "1s")), "no catalogue in time");
    EXPECT_YZ(2, CATALOG("list", "--timeout", "soon"));
    EXPECT_YZ(2, "catalog", "list", "--config", sandbox.client, "--lang", "en_US");
    EXPECT_YZ(2, CATALOG("list", "--sharing", "secret"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_purposes__that_the_instance_does_not_list_are_denied),
        cmocka_unit_test(test_group__lets_in_whom_it_was_granted_with),
        cmocka_unit_test(test_catalog__says_who_holds_what),
        cmocka_unit_test(test_catalog__finds_words_whatever_their_case_and_language),
        cmocka_unit_test(test_catalog__counts_sources_and_coverage),
        cmocka_unit_test(test_catalog__shows_the_negative_list_without_what_is_kept_out_of_it),
        cmocka_unit_test(test_catalog__tells_each_its_own_grants_alone),
        cmocka_unit_test(test_catalog__without_a_broker_says_so),
    };
    return cmocka_run_group_tests_name("catalogue", tests, up, down);
}
