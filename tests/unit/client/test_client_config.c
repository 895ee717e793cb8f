/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's configuration: what is taken, and where each fault is told.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "client/config.h"

#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define BROKER "  - {node: CN/@b1, endpoint: \"tcp://127.0.0.1:7300\", key: \"" KEY "\"}\n"
#define WHO "node: CN/GOV/HB/@w1\nsubsystem: CN/GOV/HB/window\n"

static int parse(const char *text, struct client_config *out, yz_error *err)
{
    *err = (yz_error){0};
    return yzi_client_config_parse(yzi_bytes_str(text), "/etc/yz/client.yaml", "/etc/yz", out, err);
}

static void refuse(const char *text, const char *says)
{
    struct client_config c;
    yz_error err;
    assert_int_equal(parse(text, &c, &err), YZ_ECONFIG);
    if (!strstr(err.text, says)) {
        fail_msg("said \"%s\", not \"%s\"", err.text, says);
    }
    yzi_client_config_fini(&c);
}

static void test_config__fills_defaults(void **state)
{
    (void)state;
    struct client_config c;
    yz_error err;
    assert_int_equal(parse(WHO "brokers:\n" BROKER, &c, &err), 0);
    assert_string_equal(c.home, "/etc/yz/.");
    assert_string_equal(c.anchor, "/etc/yz/anchor.yzr");
    assert_int_equal(c.timeout, 30000);
    assert_int_equal(c.in_flight, 10000);
    assert_int_equal(c.message, 16 * 1024 * 1024);
    assert_int_equal(c.directory.stop, 24 * 3600 * 1000);
    assert_true(c.lock_secrets);
    assert_int_equal(c.peers_n, 1);
    assert_true(c.peers[0].has_key);
    assert_int_equal(c.peers[0].key[31], 31);
    assert_string_equal(c.peers[0].endpoint, "tcp://127.0.0.1:7300");
    assert_true(yzi_bytes_eq_str(c.peers[0].node.v, "CN/@b1"));
    assert_true(yzi_bytes_eq_str(c.node_id.v, "CN/GOV/HB/@w1"));
    assert_true(yzi_bytes_eq_str(c.subsystem_id.v, "CN/GOV/HB/window"));
    yzi_client_config_fini(&c);
}

static void test_config__takes_what_is_written(void **state)
{
    (void)state;
    struct client_config c;
    yz_error err;
    const char *text =
        WHO "home: /var/lib/w1\nanchor: a.yzr\ntimeout: 5s\nmessage: 1MiB\n"
            "in_flight: 16384\nlock_secrets: false\ndirectory: {stop: 1h}\nbrokers:\n" BROKER
            "  - {node: CN/@b2, endpoint: \"tcp://[::1]:7300\"}\n";
    assert_int_equal(parse(text, &c, &err), 0);
    assert_string_equal(c.home, "/var/lib/w1");
    assert_string_equal(c.anchor, "/etc/yz/a.yzr");
    assert_int_equal(c.timeout, 5000);
    assert_int_equal(c.in_flight, 16384);
    assert_int_equal(c.message, 1024 * 1024);
    assert_int_equal(c.directory.stop, 3600 * 1000);
    assert_false(c.lock_secrets);
    assert_int_equal(c.peers_n, 2);
    assert_false(c.peers[1].has_key);
    yzi_client_config_fini(&c);
}

static void test_config__says_where_a_fault_is(void **state)
{
    (void)state;
    refuse("node: CN/@b1\nsubsystem: CN/GOV/HB/window\nbrokers:\n" BROKER,
           "client.yaml:1:7: node: 'CN/@b1' is not a client's id");
    refuse("node: CN/GOV/HB/@w1\nsubsystem: CN/GOV/HB\nbrokers:\n" BROKER,
           "client.yaml:2:12: subsystem: 'CN/GOV/HB' is not a subsystem's id");
    refuse("node: CN/GOV/HB/@w1\nsubsystem: CN/GOV/MCA/civil\nbrokers:\n" BROKER,
           "client.yaml:2:12: subsystem: 'CN/GOV/MCA/civil' is not of the node's member");
    refuse(WHO "brokers:\n  - {node: CN/GOV/HB/@b1, endpoint: \"tcp://127.0.0.1:1\"}\n",
           "client.yaml:4:12: node: 'CN/GOV/HB/@b1' is not a broker's id");
    refuse(WHO "brokers:\n  - {node: FR/@b1, endpoint: \"tcp://127.0.0.1:1\"}\n",
           "client.yaml:4:12: node: 'FR/@b1' is of another instance");
    refuse(WHO "brokers:\n" BROKER BROKER, "client.yaml:5:12: node: 'CN/@b1' is listed twice");
    refuse(WHO "brokers:\n  - {node: CN/@b1, endpoint: \"tcp://127.0.0.1:1\", key: AAAA}\n",
           "client.yaml:4:");
    refuse(WHO "brokers:\n  - {node: CN/@b1, endpoint: \"tcp://127.0.0.1:1\", key: \"***\"}\n",
           "not a transport key");
}

static void test_config__refuses_what_the_table_refuses(void **state)
{
    (void)state;
    refuse(WHO, "brokers");
    refuse(WHO "brokers: []\n", "brokers");
    refuse(WHO "borkers:\n" BROKER, "borkers");
    refuse(WHO "timeout: 10ms\nbrokers:\n" BROKER, "timeout");
    refuse(WHO "timeout: 6m\nbrokers:\n" BROKER, "timeout");
    refuse(WHO "in_flight: 0\nbrokers:\n" BROKER, "in_flight");
    refuse(WHO "in_flight: 16385\nbrokers:\n" BROKER, "in_flight");
    refuse(WHO "message: 17MiB\nbrokers:\n" BROKER, "message");
    refuse(WHO "brokers:\n" BROKER "  - {node: CN/@b2, endpoint: a}\n"
               "  - {node: CN/@b3, endpoint: a}\n  - {node: CN/@b4, endpoint: a}\n"
               "  - {node: CN/@b5, endpoint: a}\n",
           "brokers");
}

static void test_config__a_missing_file_is_not_found(void **state)
{
    (void)state;
    struct client_config c;
    yz_error err = {0};
    assert_int_equal(yzi_client_config_load("/nonexistent/client.yaml", &c, &err), YZ_ENOTFOUND);
    assert_non_null(strstr(err.text, "/nonexistent/client.yaml"));
    yzi_client_config_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config__fills_defaults),
        cmocka_unit_test(test_config__takes_what_is_written),
        cmocka_unit_test(test_config__says_where_a_fault_is),
        cmocka_unit_test(test_config__refuses_what_the_table_refuses),
        cmocka_unit_test(test_config__a_missing_file_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
