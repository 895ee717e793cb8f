/* SPDX-License-Identifier: Apache-2.0
 *
 * Two brokers of one instance, which have no link between them: what one is told the other hears
 * through the adapters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/integration/second_broker.h"

#define PERSON "990101199109086437"
#define MARRIAGES "CN/GOV/CIVIL/civil/marriages/v1"
#define TRIES 400

static struct sandbox sandbox;
static char second[64]; /* the other broker's endpoint */
static char second_client[400];

/* The civil affairs office at both brokers, and a client that knows the second only. */
static void use_second_broker(void)
{
    char first_key[64], second_key[64], config[2048];
    public_key(in_sandbox(&sandbox, "broker/keys/transport.key"), first_key);
    public_key(in_sandbox(&sandbox, "broker2/keys/transport.key"), second_key);
    kill_daemon(adapter_pid(&sandbox, "civil"), SIGTERM);
    snprintf(config, sizeof config,
             "node: CN/GOV/CIVIL/@a1\nhome: .\nanchor: anchor.yzr\nlock_secrets: false\nbrokers:\n"
             "  - {node: CN/@b1, endpoint: \"%s\", key: \"%s\"}\n"
             "  - {node: CN/@b2, endpoint: \"%s\", key: \"%s\"}\n"
             "datasets:\n  - definition: marriages.yaml\n",
             sandbox.endpoint, first_key, second, second_key);
    write_file(in_sandbox(&sandbox, "civil/adapter.yaml"), config);
    start_again(&sandbox, "civil");
    snprintf(config, sizeof config,
             "node: CN/GOV/WINDOW/@w1\nhome: .\nanchor: anchor.yzr\nlock_secrets: false\nbrokers:\n"
             "  - {node: CN/@b2, endpoint: \"%s\", key: \"%s\"}\n"
             "subsystem: CN/GOV/WINDOW/window\n",
             second, second_key);
    snprintf(second_client, sizeof second_client, "%s", in_sandbox(&sandbox, "client/second.yaml"));
    write_file(second_client, config);
}

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    second_broker_up(&sandbox, second);
    use_second_broker();
    return 0;
}

static int down(void **state)
{
    (void)state;
    sandbox_down(&sandbox);
    return 0;
}

/* Call through the second broker until it ends with this code. */
static const struct output *call_until(int code)
{
    const struct output *o = NULL;
    for (int i = 0; i < TRIES; i++) {
        o = RUN_YZ("call", "--config", second_client, "--timeout", "1s", "--key", PERSON,
                   MARRIAGES);
        if (o->code == code) {
            return o;
        }
    }
    fail_msg("the exit code is never %d, but %d: %s", code, o->code, o->text);
    return o;
}

static void test_second_broker__serves_the_offers_an_adapter_brings(void **state)
{
    (void)state;
    assert_says(call_until(0), "status: married");
}

/* How often the running adapter's log says that a directory came into force. */
static unsigned adoptions_since_the_start(const char *name)
{
    char line[4096];
    unsigned n = 0;
    FILE *f = fopen(in_sandbox(&sandbox, "%s/stderr", name), "re");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        n = strstr(line, "event=dataset.opened") ? 0 : n;
        n += strstr(line, "event=directory.adopted") ? 1 : 0;
    }
    fclose(f);
    return n;
}

/* Each broker brings freshness of its own, at once and every minute: nothing came into force. */
static void test_adapter__does_not_tell_a_confirmed_directory_as_another(void **state)
{
    (void)state;
    call_until(0); /* through the second, which brought its own; the first was there before */
    assert_in_range(adoptions_since_the_start("civil"), 0, 1);
}

static void test_revocation__told_to_one_broker_reaches_the_other(void **state)
{
    (void)state;
    call_until(0);
    EXPECT_YZ(0, "node", "revoke", "--home", in_sandbox(&sandbox, "client/member"), "--admin",
              in_sandbox(&sandbox, "broker/admin.sock"), "CN/GOV/WINDOW/@w1");
    const struct output *o = NULL;
    for (int i = 0; i < 20; i++) {
        o = RUN_YZ("call", "--config", second_client, "--timeout", "1s", "--key", PERSON,
                   MARRIAGES);
        if (strstr(o->text, "does not know this key")) {
            return;
        }
    }
    fail_msg("the second broker still admits the node: %s", o->text);
}

/* A broker that nothing names yet keeps nobody from starting; once a directory names it, it is
 * connected to (here nobody listens, and that is what the adapter says then). */
static void test_adapter__waits_for_a_broker_that_nothing_names(void **state)
{
    (void)state;
    char text[4096], config[4600];
    static const char list[] = "brokers:\n",
                      more[] = "  - {node: CN/@b3, endpoint: \"tcp://127.0.0.1:1\"}\n";
    FILE *f = fopen(in_sandbox(&sandbox, "tax/adapter.yaml"), "re");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    char *at = strstr(text, list);
    assert_non_null(at);
    at += sizeof list - 1;
    snprintf(config, sizeof config, "%.*s%s%s", (int)(at - text), text, more, at);
    kill_daemon(adapter_pid(&sandbox, "tax"), SIGTERM);
    write_file(in_sandbox(&sandbox, "tax/adapter.yaml"), config);
    start_again(&sandbox, "tax"); /* it is ready: the other broker is there */
    assert_true(folder_holds(in_sandbox(&sandbox, "tax"), "names no broker CN/@b3"));
    EXPECT_YZ(0, "broker", "request", "--home", in_sandbox(&sandbox, "broker3"), "--node", "CN/@b3",
              "--endpoint", "tcp://127.0.0.1:1");
    EXPECT_YZ(0, "broker", "admit", "--home", in_sandbox(&sandbox, "operator"),
              in_sandbox(&sandbox, "broker3/request.yzr"));
    EXPECT_YZ(0, "directory", "publish", "--home", in_sandbox(&sandbox, "operator"), "--admin",
              in_sandbox(&sandbox, "broker/admin.sock"));
    for (int i = 0; !folder_holds(in_sandbox(&sandbox, "tax"), "cannot be reached"); i++) {
        assert_in_range(i, 0, 2000); /* each look takes a while */
        EXPECT_YZ(0, "status", "--admin", in_sandbox(&sandbox, "tax/admin.sock"));
    }
}

/* An admission that changes nothing says so: at a broker and at an adapter. */
static void test_revocation__for_good_is_told_who_admits_the_node(void **state)
{
    (void)state;
    static const char says[] = "; CN/GOV/WINDOW/@w9 is revoked for good and stays out";
    char request[512];
    snprintf(request, sizeof request, "%s", in_sandbox(&sandbox, "w9/request.yzr"));
    EXPECT_YZ(0, "node", "request", "--home", in_sandbox(&sandbox, "w9"), "--node",
              "CN/GOV/WINDOW/@w9", "--role", "client", "--subsystem", "window");
    EXPECT_YZ(0, "node", "revoke", "--home", in_sandbox(&sandbox, "operator"), "--reason", "lost",
              "CN/GOV/WINDOW/@w9");
    EXPECT_YZ(0, "directory", "publish", "--home", in_sandbox(&sandbox, "operator"), "--admin",
              in_sandbox(&sandbox, "broker/admin.sock"));
    const struct output *o =
        EXPECT_YZ(0, "node", "admit", "--home", in_sandbox(&sandbox, "client/member"), "--admin",
                  in_sandbox(&sandbox, "broker/admin.sock"), request);
    assert_says(o, says);
    assert_says(o, "taken");
    for (int i = 0; !strstr(o->text, "in force; CN/GOV/WINDOW/@w9 is revoked for good"); i++) {
        assert_in_range(i, 0, 500); /* until the directory reached the adapter */
        o = RUN_YZ("member", "publish", "--home", in_sandbox(&sandbox, "client/member"), "--admin",
                   in_sandbox(&sandbox, "tax/admin.sock"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_second_broker__serves_the_offers_an_adapter_brings),
        cmocka_unit_test(test_adapter__does_not_tell_a_confirmed_directory_as_another),
        cmocka_unit_test(test_revocation__told_to_one_broker_reaches_the_other),
        cmocka_unit_test(test_adapter__waits_for_a_broker_that_nothing_names),
        cmocka_unit_test(test_revocation__for_good_is_told_who_admits_the_node),
    };
    return cmocka_run_group_tests(tests, up, down);
}
