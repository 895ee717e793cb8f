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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_purposes__that_the_instance_does_not_list_are_denied),
        cmocka_unit_test(test_group__lets_in_whom_it_was_granted_with),
    };
    return cmocka_run_group_tests_name("catalogue", tests, up, down);
}
