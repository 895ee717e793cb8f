/* SPDX-License-Identifier: Apache-2.0
 *
 * Broker, adapter and client, started in every order, while one of them is not admitted yet: the
 * client or the adapter because its member does not list it, the broker because the directory does
 * not, or because it has none. What cannot be is refused; then the last one is admitted, and a read
 * and a write go through. Nobody is started again for it.
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
#include <stdlib.h>
#include <string.h>

#include <yizhan/client.h>

#include "tests/integration/second_broker.h"
#include "tests/support/now.h"

#define WINDOW "CN/GOV/WINDOW/window"
#define CLIENT "CN/GOV/WINDOW/@w1"
#define ADAPTER "CN/GOV/STATS/@a1"
#define UNKNOWN "does not know this key"
#define PATIENCE_MS 120000u
#define REFUSED_MS 500u
#define HERE(...) in_sandbox(&sandbox, __VA_ARGS__)

enum part { BROKER, ADAPTER_PART, CLIENT_PART, PARTS };
#define ORDERS 6u
static const enum part orders[ORDERS][PARTS] = {
    {BROKER, ADAPTER_PART, CLIENT_PART}, {BROKER, CLIENT_PART, ADAPTER_PART},
    {ADAPTER_PART, BROKER, CLIENT_PART}, {ADAPTER_PART, CLIENT_PART, BROKER},
    {CLIENT_PART, BROKER, ADAPTER_PART}, {CLIENT_PART, ADAPTER_PART, BROKER},
};

static struct sandbox sandbox;
static pid_t adapter;
static unsigned codes; /* written so far */

/* What is started in one order. */
struct trio {
    const char *broker_name; /* folder */
    const char *client_config;
    struct starting broker, adapter;
    yz_client *client;
    long broker_said, adapter_said; /* how much, before */
};

/* -- what daemons say -- */

static long said_so_far(const char *daemon)
{
    FILE *f = fopen(HERE("%s/stderr", daemon), "re");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long n = ftell(f);
    fclose(f);
    return n;
}

static bool has_said(const char *daemon, long since, const char *words)
{
    static char text[1u << 20];
    FILE *f = fopen(HERE("%s/stderr", daemon), "re");
    assert_non_null(f);
    assert_int_equal(fseek(f, since, SEEK_SET), 0);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    return strstr(text, words) != NULL;
}

static void wait_for_words(const char *daemon, long since, const char *words)
{
    for (uint64_t end = now_ms() + PATIENCE_MS; !has_said(daemon, since, words);) {
        if (now_ms() >= end) {
            fail_msg("%s never says '%s'", daemon, words);
        }
        poll(NULL, 0, 5);
    }
}

/* -- calls -- */

static int call(yz_client *client, yz_request *r, uint32_t timeout_ms)
{
    yz_answer *a = NULL;
    yz_error err = {0};
    assert_int_equal(yz_request_set_timeout(r, timeout_ms), YZ_OK);
    int rc = yz_call(client, r, &a, &err);
    int status = rc == YZ_OK ? (int)yz_answer_status(a) : rc;
    if (status != YZ_STATUS_OK) {
        print_message("not answered: %s\n", rc == YZ_OK ? yz_answer_reason(a) : err.text);
    }
    yz_answer_free(a);
    yz_request_free(r);
    return status;
}

static int read_one(yz_client *client, const char *code, uint32_t timeout_ms)
{
    yz_request *r = NULL;
    assert_int_equal(yz_request_new(TOWNS, &r), YZ_OK);
    assert_int_equal(yz_request_add_key(r, &code, 1), YZ_OK);
    return call(client, r, timeout_ms);
}

static int write_one(yz_client *client, const char *code)
{
    static const char *const fields[] = {"code", "name", "city", "province"};
    const yz_value row[] = {{code, strlen(code)}, {"town", 4}, {"9999", 4}, {"11", 2}};
    yz_request *r = NULL;
    assert_int_equal(yz_request_new(TOWNS, &r), YZ_OK);
    assert_int_equal(yz_request_set_operation(r, YZ_INSERT), YZ_OK);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(yz_request_add_field(r, fields[i]), YZ_OK);
    }
    assert_int_equal(yz_request_add_row(r, row, 4), YZ_OK);
    return call(client, r, PATIENCE_MS);
}

/* -- the sandbox -- */

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    offer_towns(&sandbox);
    adapter = adapter_pid(&sandbox, "statistics");
    keep_endpoints(&sandbox, "ops: \"\"\n"); /* the default one may be taken */
    return 0;
}

static int down(void **state)
{
    (void)state;
    sandbox_down(&sandbox);
    return 0;
}

static void start_part(struct trio *t, enum part part)
{
    yz_error err = {0};
    if (part == BROKER) {
        t->broker_said = said_so_far(t->broker_name);
        t->broker = start_daemon(&sandbox, t->broker_name);
    } else if (part == ADAPTER_PART) {
        t->adapter_said = said_so_far("statistics");
        t->adapter = start_daemon(&sandbox, "statistics");
    } else if (yz_client_open(t->client_config, &t->client, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void start_in_order(struct trio *t, const enum part order[PARTS])
{
    kill_daemon(adapter, SIGKILL);
    for (unsigned i = 0; i < PARTS; i++) {
        start_part(t, order[i]);
    }
}

/* The client does not get in, and knows why. */
static void see_client_refused(struct trio *t, const char *why)
{
    yz_error err = {0};
    uint64_t end = now_ms() + PATIENCE_MS;
    do {
        assert_int_equal(yz_client_wait_ready(t->client, 50, &err), YZ_ETIMEOUT);
        assert_true(now_ms() < end);
    } while (!strstr(err.text, why));
}

/* In the end all goes through. */
static void see_served(struct trio *t)
{
    char code[8];
    yz_error err = {0};
    snprintf(code, sizeof code, "%06u", 700000u + codes++);
    if (yz_client_wait_ready(t->client, PATIENCE_MS, &err) < 0) {
        fail_msg("%s", err.text);
    }
    (void)await_ready(&t->broker);
    adapter = await_ready(&t->adapter);
    for (uint64_t end = now_ms() + PATIENCE_MS;
         read_one(t->client, "110101", PATIENCE_MS) != YZ_STATUS_OK && now_ms() < end;) {
        poll(NULL, 0, 5); /* a word of the broker's: the adapter is still on its way to it */
    }
    assert_int_equal(write_one(t->client, code), YZ_STATUS_OK);
    assert_int_equal(read_one(t->client, code, PATIENCE_MS), YZ_STATUS_OK);
    yz_client_close(t->client);
}

/* -- the client, the adapter -- */

static void readmit(const char *member, const char *node_home)
{
    EXPECT_YZ(0, "node", "admit", "--home", HERE("%s", member), "--admin",
              HERE("broker/admin.sock"), HERE("%s/request.yzr", node_home));
}

static void take_out(const char *member, const char *node)
{
    EXPECT_YZ(0, "node", "revoke", "--home", HERE("%s", member), "--admin",
              HERE("broker/admin.sock"), node);
}

static void test_order__any_with_a_client_admitted_later(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ORDERS; i++) {
        struct trio t = {.broker_name = "broker", .client_config = sandbox.client};
        take_out("client/member", CLIENT);
        kill_daemon(sandbox.broker, SIGKILL);
        start_in_order(&t, orders[i]);
        sandbox.broker = t.broker.pid;
        see_client_refused(&t, UNKNOWN);
        readmit("client/member", "client");
        see_served(&t);
    }
}

static void test_order__any_with_an_adapter_admitted_later(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ORDERS; i++) {
        struct trio t = {.broker_name = "broker", .client_config = sandbox.client};
        take_out("statistics/member", ADAPTER);
        kill_daemon(sandbox.broker, SIGKILL);
        start_in_order(&t, orders[i]);
        sandbox.broker = t.broker.pid;
        wait_for_words("statistics", t.adapter_said, UNKNOWN);
        readmit("statistics/member", "statistics");
        see_served(&t);
    }
}

/* -- the broker -- */

/* Adapter and client are told of this broker, and no other. */
static void point_to(const char *node, const char *name, const char *endpoint)
{
    char key[64], brokers[400], config[1024];
    public_key(HERE("%s/keys/transport.key", name), key);
    snprintf(brokers, sizeof brokers,
             "home: .\nanchor: anchor.yzr\nlock_secrets: false\nbrokers:\n"
             "  - {node: %s, endpoint: \"%s\", key: \"%s\"}\n",
             node, endpoint, key);
    snprintf(config, sizeof config,
             "node: " ADAPTER "\n%sdatasets:\n  - definition: areas.yaml\n"
             "  - definition: villages.yaml\n",
             brokers);
    write_file(HERE("statistics/adapter.yaml"), config);
    snprintf(config, sizeof config, "node: " CLIENT "\nsubsystem: " WINDOW "\n%s", brokers);
    write_file(HERE("client/late.yaml"), config);
}

static void publish(const char *option, const char *path)
{
    EXPECT_YZ(0, "directory", "publish", "--home", HERE("operator"), option, path, "--member-set",
              HERE("statistics/member/member-set.yzr"), "--member-set",
              HERE("client/member/member-set.yzr"));
}

/* One that has no directory, or that of the others, which does not list it. */
static void broker_comes_late(const enum part order[PARTS], unsigned number, bool has_directory)
{
    char name[16], node[16], endpoint[64], config[400];
    snprintf(name, sizeof name, "broker-l%u", number);
    snprintf(node, sizeof node, "CN/@l%u", number);
    snprintf(config, sizeof config, "%s", HERE("client/late.yaml"));
    broker_home(&sandbox, name, node, endpoint);
    point_to(node, name, endpoint);
    if (has_directory) {
        publish("--out", HERE("%s/state/directory.bundle", name));
    }
    struct trio t = {.broker_name = name, .client_config = config};
    start_in_order(&t, order);
    if (has_directory) {
        wait_for_words(name, t.broker_said, "broker.not-listed");
        assert_int_not_equal(read_one(t.client, "110101", REFUSED_MS), YZ_STATUS_OK);
    } else {
        see_client_refused(&t, UNKNOWN);
        wait_for_words("statistics", t.adapter_said, UNKNOWN);
    }
    EXPECT_YZ(0, "broker", "admit", "--home", HERE("operator"), HERE("%s/request.yzr", name));
    publish("--admin", HERE("%s/admin.sock", name));
    see_served(&t);
    kill_daemon(t.broker.pid, SIGKILL);
}

static void test_order__any_with_a_broker_given_its_directory_later(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ORDERS; i++) {
        broker_comes_late(orders[i], i, false);
    }
}

static void test_order__any_with_a_broker_listed_later(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ORDERS; i++) {
        broker_comes_late(orders[i], ORDERS + i, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order__any_with_a_client_admitted_later),
        cmocka_unit_test(test_order__any_with_an_adapter_admitted_later),
        cmocka_unit_test(test_order__any_with_a_broker_given_its_directory_later),
        cmocka_unit_test(test_order__any_with_a_broker_listed_later),
    };
    return cmocka_run_group_tests(tests, up, down);
}
