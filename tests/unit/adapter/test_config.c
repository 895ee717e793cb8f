/* SPDX-License-Identifier: Apache-2.0
 *
 * adapters/config: defaults, every key, faults with their place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/config.h"
#include "tests/support/world.h"

static char *dir;
static char *path;

static int set_up(void **state)
{
    (void)state;
    dir = yz_world_tmpdir();
    return asprintf(&path, "%s/adapter.yaml", dir) > 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    yz_world_rmdir(dir);
    free(dir);
    free(path);
    return 0;
}

static int load(const char *text, struct adapter_config *c, yz_error *err)
{
    *err = (yz_error){0};
    yz_world_write_file(dir, "adapter.yaml", yzi_bytes_str(text));
    return yzi_adapter_config_load(path, c, err);
}

static void expect_fault(const char *text, const char *place, const char *words)
{
    struct adapter_config c;
    yz_error err;
    assert_int_equal(load(text, &c, &err), YZ_ECONFIG);
    if (!strstr(err.text, place) || !strstr(err.text, words)) {
        fail_msg("not %s and %s: %s", place, words, err.text);
    }
    yzi_adapter_config_fini(&c);
}

#define BROKER(id) "  - {node: " id ", endpoint: \"tcp://127.0.0.1:7300\"}\n"
#define LEAST "node: CN/GOV/MCA/@a1\nbrokers:\n" BROKER("CN/@b1")

static void test_config__defaults_are_the_documented_ones(void **state)
{
    (void)state;
    struct adapter_config c;
    yz_error err;
    assert_int_equal(load(LEAST, &c, &err), 0);
    const struct adapter_broker *b = c.brokers.items;
    assert_int_equal(c.brokers.n, 1);
    assert_string_equal(b[0].node, "CN/@b1");
    assert_string_equal(b[0].endpoint, "tcp://127.0.0.1:7300");
    assert_true(!b[0].key || !b[0].key[0]);
    assert_int_equal(c.datasets.n, 0);
    assert_int_equal(c.workers, 2);
    assert_string_equal(c.anchor + strlen(dir), "/anchor.yzr");
    assert_string_equal(c.admin + strlen(dir), "/./admin.sock");
    assert_int_equal(c.limits.message, 16u << 20);
    assert_int_equal(c.limits.queue, 1024);
    assert_int_equal(c.limits.answers, 1000000);
    assert_int_equal(c.limits.answer_bytes, 256u << 20);
    assert_int_equal(c.limits.rows, 10000);
    assert_int_equal(c.limits.query_time, 5000);
    assert_int_equal(c.limits.skew, 30000);
    assert_int_equal(c.directory.warn, 600000);
    assert_int_equal(c.directory.stop, 86400000);
    assert_int_equal(c.drain, 10000);
    yzi_adapter_config_fini(&c);
}

static void test_config__takes_every_key(void **state)
{
    (void)state;
    struct adapter_config c;
    yz_error err;
    static const char text[] =
        "node: CN/GOV/MCA/@a1\nhome: h\nanchor: a.yzr\nadmin: s\nlog_level: debug\n"
        "lock_secrets: false\nworkers: 64\ndrain: 1s\n"
        "brokers:\n" BROKER(
            "CN/@b1") "  - {node: CN/@b2, endpoint: \"tcp://b2:1\", key: \"AA==\"}\n"
                      "datasets:\n  - definition: marriage.yaml\n  - definition: /abs.yaml\n"
                      "limits:\n  message: 1MiB\n  queue: 1\n  answers: 16\n  answer_bytes: "
                      "64KiB\n  rows: 1\n"
                      "  query_time: 1ms\n  skew: 0ms\ndirectory: {warn: 1s, stop: 2s}\n";
    assert_int_equal(load(text, &c, &err), 0);
    const struct adapter_broker *b = c.brokers.items;
    const struct adapter_dataset *d = c.datasets.items;
    assert_int_equal(c.brokers.n, 2);
    assert_string_equal(b[1].key, "AA==");
    assert_int_equal(c.datasets.n, 2);
    assert_string_equal(d[0].definition + strlen(dir), "/marriage.yaml");
    assert_string_equal(d[1].definition, "/abs.yaml");
    assert_int_equal(c.workers, 64);
    assert_int_equal(c.limits.query_time, 1);
    assert_int_equal(c.directory.warn, 1000);
    yzi_adapter_config_fini(&c);
}

static void test_config__faults_say_where_and_what(void **state)
{
    (void)state;
    expect_fault("node: CN/GOV/MCA/@a1\n", "adapter.yaml", "brokers");
    expect_fault("brokers:\n" BROKER("CN/@b1"), "adapter.yaml", "node");
    expect_fault("node: CN/@b1\nbrokers:\n" BROKER("CN/@b1"), "adapter.yaml:1:7",
                 "not an adapter's id");
    expect_fault("node: CN/GOV/MCA/@a1\nbrokers:\n" BROKER("CN/GOV/MCA/@a2"), "adapter.yaml:3:12",
                 "not a broker's id");
    expect_fault(LEAST BROKER("CN/@b2") BROKER("CN/@b1"), "adapter.yaml:5:12", "named twice");
    expect_fault(LEAST BROKER("CN/@b2") BROKER("CN/@b3") BROKER("CN/@b4") BROKER("CN/@b5"),
                 "adapter.yaml", "brokers");
    expect_fault(LEAST "workers: 0\n", "adapter.yaml:4:10", "workers");
    expect_fault(LEAST "limits: {message: 4KiB}\n", "adapter.yaml:4:19", "message");
    expect_fault(LEAST "limits: {answers: 15}\n", "adapter.yaml:4:19", "answers");
    expect_fault(LEAST "directory: {warn: 2h, stop: 1h}\n", "adapter.yaml:4:29",
                 "stop comes before");
    expect_fault(LEAST "directory: {stop: 5m}\n", "adapter.yaml:4:19", "stop comes before");
    expect_fault(LEAST "colour: red\n", "adapter.yaml:4:1", "colour");
    expect_fault("node: CN/GOV/MCA/@a1\nbrokers:\n  - {node: CN/@b1}\n", "adapter.yaml:3",
                 "endpoint");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_config__defaults_are_the_documented_ones),
        TEST(test_config__takes_every_key),
        TEST(test_config__faults_say_where_and_what),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
