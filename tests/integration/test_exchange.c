/* SPDX-License-Identifier: Apache-2.0
 *
 * One sandbox, real daemons: what an asking agency gets, rightly and wrongly, and what the broker
 * and the providers keep to themselves.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <yizhan/client.h>

#include "tests/integration/harness.h"

#define PERSON "990101199109086437"
#define MARRIAGES "CN/GOV/CIVIL/civil/marriages/v1"
#define CLEARANCES "CN/GOV/TAX/clearance/clearances/v1"
#define AREAS "CN/GOV/STATS/divisions/areas/v1"

static struct sandbox sandbox;

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    return 0;
}

static int down(void **state)
{
    (void)state;
    sandbox_down(&sandbox);
    return 0;
}

/* -- answers -- */

static void test_call__answers_granted_fields_only(void **state)
{
    (void)state;
    const struct output *o = EXPECT_YZ(0, "call", "--config", sandbox.client, "--key", PERSON,
                                       "--purpose", "house-registration", MARRIAGES);
    assert_says(o, "ok (provider CN/GOV/CIVIL/@a1");
    assert_says(o, "status: married");
    assert_null(strstr(o->text, "spouse_id"));
    assert_null(strstr(o->text, "王建国"));
}

static void test_call__several_keys_come_in_the_order_asked(void **state)
{
    (void)state;
    EXPECT_YZ(0, "data", "import", "--admin", in_sandbox(&sandbox, "statistics/admin.sock"),
              "areas", YZ_TEST_DATA "/china-division/areas.csv");
    const struct output *o =
        EXPECT_YZ(0, "call", "--config", sandbox.client, "--key", "310115", "--key", "000000",
                  "--key", "110101", "--field", "name", "--json", AREAS);
    const char *pudong = strstr(o->text, "浦东新区"), *dongcheng = strstr(o->text, "东城区");
    assert_non_null(pudong);
    assert_non_null(dongcheng);
    assert_true(pudong < dongcheng);
    assert_null(strstr(o->text, "\"code\""));
}

static void test_call__an_absent_record_is_an_answer_without_records(void **state)
{
    (void)state;
    assert_says(EXPECT_YZ(0, "call", "--config", sandbox.client, "--key", "nobody", MARRIAGES),
                "records: 0");
}

/* -- refusals -- */

static void test_call__a_field_not_granted_is_denied_by_the_provider(void **state)
{
    (void)state;
    const struct output *o = EXPECT_YZ(3, "call", "--config", sandbox.client, "--key", PERSON,
                                       "--field", "spouse_id", MARRIAGES);
    assert_says(o, "denied (provider");
    assert_says(o, "reason: field: the field spouse_id is not granted");
}

static void test_call__an_unknown_field_is_a_bad_query(void **state)
{
    (void)state;
    assert_says(EXPECT_YZ(1, "call", "--config", sandbox.client, "--key", PERSON, "--field",
                          "horoscope", MARRIAGES),
                "unknown-field");
}

static void test_call__an_unknown_service_is_said_to_be_unknown(void **state)
{
    (void)state;
    EXPECT_YZ(1, "call", "--config", sandbox.client, "--key", "1", "CN/GOV/CIVIL/civil/pets/v1");
    EXPECT_YZ(2, "call", "--config", sandbox.client, "--key", "1", "not a service");
}

static void test_grant__taking_it_back_works_on_the_next_message(void **state)
{
    (void)state;
    EXPECT_YZ(0, "call", "--config", sandbox.client, "--key", PERSON, CLEARANCES);
    char id[128] = "";
    const struct output *list =
        EXPECT_YZ(0, "grant", "list", "--home", in_sandbox(&sandbox, "tax/member"), "--json");
    const char *at = strstr(list->text, "\"id\": \"");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\"id\": \"%127[^\"]", id), 1);
    EXPECT_YZ(0, "grant", "revoke", "--home", in_sandbox(&sandbox, "tax/member"), "--admin",
              in_sandbox(&sandbox, "tax/admin.sock"), id);
    const struct output *o =
        EXPECT_YZ(3, "call", "--config", sandbox.client, "--key", PERSON, CLEARANCES);
    assert_says(o, "denied (broker CN/@b1");
    assert_says(o, "no-grant");
    EXPECT_YZ(0, "grant", "add", "--home", in_sandbox(&sandbox, "tax/member"), "--service",
              CLEARANCES, "--consumer", "CN/GOV/WINDOW/window", "--operation", "get", "--admin",
              in_sandbox(&sandbox, "tax/admin.sock"));
    EXPECT_YZ(0, "call", "--config", sandbox.client, "--key", PERSON, CLEARANCES);
}

/* -- what parties see -- */

static void test_broker__keeps_nothing_of_query_or_answer(void **state)
{
    (void)state;
    EXPECT_YZ(0, "call", "--config", sandbox.client, "--key", PERSON, "--user", "official-4711",
              MARRIAGES);
    assert_false(folder_holds(in_sandbox(&sandbox, "broker"), PERSON));
    assert_false(folder_holds(in_sandbox(&sandbox, "broker"), "official-4711"));
    assert_false(folder_holds(in_sandbox(&sandbox, "broker"), "married"));
    assert_true(folder_holds(in_sandbox(&sandbox, "broker"), MARRIAGES)); /* that it does see */
}

static void test_adapter__keeps_sensitive_values_encrypted(void **state)
{
    (void)state;
    assert_false(folder_holds(in_sandbox(&sandbox, "civil/data"), PERSON));
    assert_false(folder_holds(in_sandbox(&sandbox, "civil/data"), "王建国"));
    assert_true(folder_holds(in_sandbox(&sandbox, "statistics/data"), "东城区")); /* public */
}

/* -- imports -- */

static void test_import__the_same_file_again_changes_nothing(void **state)
{
    (void)state;
    assert_says(EXPECT_YZ(0, "data", "import", "--json", "--admin",
                          in_sandbox(&sandbox, "civil/admin.sock"), "marriages",
                          YZ_TEST_DATA "/demo/civil/marriages.csv"),
                "\"unchanged\": 30");
}

static void test_import__a_bad_file_is_named_by_line_and_changes_nothing(void **state)
{
    (void)state;
    char path[400];
    snprintf(path, sizeof path, "%s/bad.csv", sandbox.root);
    write_file(path, "code,name,cityCode,provinceCode\n"
                     "999901,\"好\",9999,11\n"
                     "999902,\"坏\",9999\n");
    const struct output *o =
        EXPECT_YZ(1, "data", "import", "--admin", in_sandbox(&sandbox, "statistics/admin.sock"),
                  "areas", path);
    assert_says(o, "bad.csv:3:");
    assert_says(EXPECT_YZ(0, "call", "--config", sandbox.client, "--key", "999901", AREAS),
                "records: 0");
}

/* -- hostility -- */

static int connect_broker(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    unsigned port;
    assert_int_equal(sscanf(sandbox.endpoint, "tcp://127.0.0.1:%u", &port), 1);
    at.sin_port = htons((uint16_t)port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void test_broker__survives_garbage_on_its_socket(void **state)
{
    (void)state;
    static const char zmtp[] = "\xff\0\0\0\0\0\0\0\1\177\3\0CURVE";
    unsigned seed = 1;
    for (int i = 0; i < 40; i++) {
        int fd = connect_broker();
        char bytes[3000];
        for (size_t k = 0; k < sizeof bytes; k++) {
            bytes[k] = (char)rand_r(&seed);
        }
        if (i % 2) {
            memcpy(bytes, zmtp, sizeof zmtp);
        }
        (void)!send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
        close(fd);
    }
    EXPECT_YZ(0, "call", "--config", sandbox.client, "--key", PERSON, MARRIAGES);
}

/* -- operation -- */

static void test_ops__says_ready_and_counts(void **state)
{
    (void)state;
    unsigned port;
    assert_int_equal(sscanf(sandbox.ops, "127.0.0.1:%u", &port), 1);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    static const char *const paths[] = {"/healthz", "/readyz", "/metrics"};
    for (size_t i = 0; i < 3; i++) {
        char text[65536] = "";
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
        dprintf(fd, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", paths[i]);
        size_t n = 0;
        for (ssize_t got; (got = read(fd, text + n, sizeof text - 1 - n)) > 0;) {
            n += (size_t)got;
        }
        close(fd);
        assert_non_null(strstr(text, "200 OK"));
        if (i == 2) {
            assert_non_null(strstr(text, "yizhan_broker_responses_total "));
        }
    }
}

static void test_broker__restarted_serves_the_same_exchanges(void **state)
{
    (void)state;
    kill_daemon(sandbox.broker, SIGKILL);
    char more[256];
    snprintf(more, sizeof more, "ops: \"%s\"\nlog_level: debug\n", sandbox.ops);
    keep_endpoints(&sandbox, more);
    sandbox.broker = start_again(&sandbox, "broker");
    /* its adapters come back by themselves; the call waits for them within its time */
    for (int i = 0; i < 200; i++) {
        if (RUN_YZ("call", "--config", sandbox.client, "--key", PERSON, MARRIAGES)->code == 0) {
            return;
        }
    }
    fail_msg("no answer after the broker came back");
}

static void test_broker__restarted_remembers_what_is_offered(void **state)
{
    (void)state;
    kill_daemon(adapter_pid(&sandbox, "tax"), SIGKILL);
    kill_daemon(sandbox.broker, SIGKILL);
    sandbox.broker = start_again(&sandbox, "broker");
    /* the offer is known and its adapter is not there: that is no unknown service */
    const struct output *o = EXPECT_YZ(4, "call", "--config", sandbox.client, "--timeout", "5s",
                                       "--key", PERSON, CLEARANCES);
    assert_null(strstr(o->text, "unknown-service"));
    start_again(&sandbox, "tax");
    EXPECT_YZ(0, "call", "--config", sandbox.client, "--key", PERSON, CLEARANCES);
}

static void test_adapter__killed_and_restarted_answers_again(void **state)
{
    (void)state;
    kill_daemon(adapter_pid(&sandbox, "civil"), SIGKILL);
    start_again(&sandbox, "civil");
    assert_says(EXPECT_YZ(0, "call", "--config", sandbox.client, "--key", PERSON, MARRIAGES),
                "status: married");
}

static void test_node__revoked_is_cut_off(void **state)
{
    (void)state;
    EXPECT_YZ(0, "node", "revoke", "--home", in_sandbox(&sandbox, "client/member"), "--admin",
              in_sandbox(&sandbox, "broker/admin.sock"), "CN/GOV/WINDOW/@w1");
    const struct output *o = EXPECT_YZ(4, "call", "--config", sandbox.client, "--timeout", "3s",
                                       "--key", PERSON, MARRIAGES);
    assert_says(o, "does not know this key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call__answers_granted_fields_only),
        cmocka_unit_test(test_call__several_keys_come_in_the_order_asked),
        cmocka_unit_test(test_call__an_absent_record_is_an_answer_without_records),
        cmocka_unit_test(test_call__a_field_not_granted_is_denied_by_the_provider),
        cmocka_unit_test(test_call__an_unknown_field_is_a_bad_query),
        cmocka_unit_test(test_call__an_unknown_service_is_said_to_be_unknown),
        cmocka_unit_test(test_grant__taking_it_back_works_on_the_next_message),
        cmocka_unit_test(test_broker__keeps_nothing_of_query_or_answer),
        cmocka_unit_test(test_adapter__keeps_sensitive_values_encrypted),
        cmocka_unit_test(test_import__the_same_file_again_changes_nothing),
        cmocka_unit_test(test_import__a_bad_file_is_named_by_line_and_changes_nothing),
        cmocka_unit_test(test_broker__survives_garbage_on_its_socket),
        cmocka_unit_test(test_ops__says_ready_and_counts),
        cmocka_unit_test(test_broker__restarted_serves_the_same_exchanges),
        cmocka_unit_test(test_broker__restarted_remembers_what_is_offered),
        cmocka_unit_test(test_adapter__killed_and_restarted_answers_again),
        cmocka_unit_test(test_node__revoked_is_cut_off),
    };
    return cmocka_run_group_tests(tests, up, down);
}
