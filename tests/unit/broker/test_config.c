/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/config: defaults, the documented example, faults with their place, the dump.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/config.h"
#include "tests/support/world.h"

static char *dir;
static char *path;

static int set_up(void **state)
{
    (void)state;
    dir = yz_world_tmpdir();
    return asprintf(&path, "%s/broker.yaml", dir) > 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    yz_world_rmdir(dir);
    free(dir);
    free(path);
    return 0;
}

static int load(const char *text, struct broker_config *c, yz_error *err)
{
    *err = (yz_error){0};
    yz_world_write_file(dir, "broker.yaml", yzi_bytes_str(text));
    return yzi_broker_config_load(path, c, err);
}

static void expect_fault(const char *text, const char *place, const char *words)
{
    struct broker_config c;
    yz_error err;
    assert_int_equal(load(text, &c, &err), YZ_ECONFIG);
    if (!strstr(err.text, place) || !strstr(err.text, words)) {
        fail_msg("not %s and %s: %s", place, words, err.text);
    }
    yzi_broker_config_fini(&c);
}

#define LEAST "node: CN/@b1\nlisten: [\"tcp://127.0.0.1:*\"]\n"

static void test_config__defaults_are_the_documented_ones(void **state)
{
    (void)state;
    struct broker_config c;
    yz_error err;
    assert_int_equal(load(LEAST, &c, &err), 0);
    assert_string_equal(c.node, "CN/@b1");
    assert_int_equal(c.listen.n, 1);
    assert_int_equal(strncmp(c.home, dir, strlen(dir)), 0);
    assert_string_equal(c.home + strlen(dir), "/.");
    assert_int_equal(strncmp(c.admin, dir, strlen(dir)), 0);
    assert_string_equal(c.admin + strlen(dir), "/./admin.sock");
    assert_string_equal(c.ops, "127.0.0.1:7301");
    assert_int_equal(c.log_level, 1);
    assert_true(c.lock_secrets);
    assert_int_equal(c.limits.peers, 10000);
    assert_int_equal(c.limits.connections_per_peer, 256);
    assert_int_equal(c.limits.message, 16u << 20);
    assert_int_equal(c.limits.in_flight_per_service, 1024);
    assert_int_equal(c.limits.in_flight_per_peer, 1024);
    assert_int_equal(c.limits.in_flight, 65536);
    assert_int_equal(c.limits.in_flight_bytes, 256u << 20);
    assert_int_equal(c.limits.in_flight_bytes_per_service, 128u << 20);
    assert_int_equal(c.limits.in_flight_bytes_per_peer, 128u << 20);
    assert_int_equal(c.limits.faults_per_peer, 32);
    assert_int_equal(c.limits.nonsense_per_peer, 256);
    assert_int_equal(c.limits.queue_bytes, 256u << 20);
    assert_int_equal(c.limits.queue_bytes_per_peer, 64u << 20);
    assert_int_equal(c.limits.rate_per_peer, 0);
    assert_int_equal(c.limits.remembered, 1000000);
    assert_int_equal(c.limits.offer_bytes, 256u << 20);
    assert_int_equal(c.limits.offer_bytes_per_member, 32u << 20);
    assert_int_equal(c.limits.skew, 30000);
    assert_int_equal(c.directory.warn, 600000);
    assert_int_equal(c.directory.stop, 86400000);
    assert_int_equal(c.drain, 10000);
    yzi_broker_config_fini(&c);
}

static void test_config__takes_every_key(void **state)
{
    (void)state;
    struct broker_config c;
    yz_error err;
    static const char text[] =
        "node: CN/@b1\nhome: sub\nlisten: [\"tcp://127.0.0.1:7300\", \"tcp://[::1]:7300\"]\n"
        "admin: /run/b1.sock\nops: \"\"\nlog_level: warn\nlock_secrets: false\ndrain: 0ms\n"
        "limits:\n  peers: 5\n  connections_per_peer: 2\n  message: 1MiB\n"
        "  in_flight_per_service: 3\n  in_flight_per_peer: 4\n  in_flight: 5\n"
        "  in_flight_bytes: 64KiB\n"
        "  in_flight_bytes_per_service: 65KiB\n  in_flight_bytes_per_peer: 66KiB\n"
        "  faults_per_peer: 7\n  nonsense_per_peer: 8\n"
        "  queue_bytes: 64MiB\n  queue_bytes_per_peer: 32MiB\n  rate_per_peer: 6\n  remembered: "
        "1000\n  skew: 1s\n"
        "directory:\n  warn: 1m\n  stop: 1h\n";
    assert_int_equal(load(text, &c, &err), 0);
    assert_string_equal(c.home + strlen(dir), "/sub");
    assert_string_equal(c.admin, "/run/b1.sock");
    assert_string_equal(c.ops, "");
    assert_int_equal(c.listen.n, 2);
    assert_false(c.lock_secrets);
    assert_int_equal(c.limits.peers, 5);
    assert_int_equal(c.limits.connections_per_peer, 2);
    assert_int_equal(c.limits.rate_per_peer, 6);
    assert_int_equal(c.limits.in_flight, 5);
    assert_int_equal(c.limits.in_flight_bytes, 65536);
    assert_int_equal(c.limits.in_flight_bytes_per_service, 65u << 10);
    assert_int_equal(c.limits.in_flight_bytes_per_peer, 66u << 10);
    assert_int_equal(c.limits.faults_per_peer, 7);
    assert_int_equal(c.limits.nonsense_per_peer, 8);
    assert_int_equal(c.limits.queue_bytes, 64u << 20);
    assert_int_equal(c.limits.queue_bytes_per_peer, 32u << 20);
    assert_int_equal(c.directory.stop, 3600000);
    assert_int_equal(c.drain, 0);
    yzi_broker_config_fini(&c);
}

static void test_config__faults_say_where_and_what(void **state)
{
    (void)state;
    expect_fault("listen: [x]\n", "broker.yaml", "node");
    expect_fault("node: CN/@b1\n", "broker.yaml", "listen");
    expect_fault("node: CN/GOV/MCA/@a1\nlisten: [x]\n", "broker.yaml:1:7", "not a broker's id");
    expect_fault("listen: [x]\nnode: b1\n", "broker.yaml:2:7", "CN/@b1");
    expect_fault(LEAST "directory: {stop: 5m}\n", "broker.yaml:3:19", "stop comes before");
    expect_fault(LEAST "colour: red\n", "broker.yaml:3:1", "colour");
    expect_fault(LEAST "limits:\n  message: 64KiB\n", "broker.yaml:4:12", "message");
    expect_fault(LEAST "limits:\n  message: 17MiB\n", "broker.yaml:4:12", "message");
    expect_fault(LEAST "limits:\n  peers: 0\n", "broker.yaml:4:10", "peers");
    expect_fault(LEAST "limits:\n  skew: 30\n", "broker.yaml:4:9", "skew");
    expect_fault(LEAST "log_level: loud\n", "broker.yaml:3:12", "log_level");
    expect_fault("node: CN/@b1\nlisten: []\n", "broker.yaml:2:9", "listen");
}

static void test_config__absent_is_an_error(void **state)
{
    (void)state;
    struct broker_config c;
    yz_error err = {0};
    assert_int_equal(yzi_broker_config_load(path, &c, &err), YZ_ENOTFOUND);
    yzi_broker_config_fini(&c);
}

static void test_config__dump_parses_to_the_same(void **state)
{
    (void)state;
    struct broker_config c, again;
    yz_error err;
    assert_int_equal(load(LEAST "limits:\n  rate_per_peer: 77\n", &c, &err), 0);
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    assert_int_equal(yzi_config_dump(yzi_broker_config_fields, &c, &out), 0);
    assert_int_equal(yzi_buf_put_u8(&out, 0), 0);
    assert_int_equal(load((const char *)out.p, &again, &err), 0);
    assert_memory_equal(&c.limits, &again.limits, sizeof c.limits);
    assert_string_equal(c.admin, again.admin);
    yzi_broker_config_fini(&c);
    yzi_broker_config_fini(&again);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_config__defaults_are_the_documented_ones), TEST(test_config__takes_every_key),
        TEST(test_config__faults_say_where_and_what),        TEST(test_config__absent_is_an_error),
        TEST(test_config__dump_parses_to_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
