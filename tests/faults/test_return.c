/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts that come late, come back, or go: nodes that were refused and are admitted while they wait,
 * an adapter that is stopped or killed with requests in hand while another serves the same, and one
 * that comes back with the state of an older day.
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

#include "tests/integration/harness.h"
#include "tests/integration/second_broker.h"
#include "tests/support/now.h"

#define PERSON "990101199109086437"
#define MARRIAGES "CN/GOV/CIVIL/civil/marriages/v1"
#define PATIENCE_MS 120000u
#define CALLS 24u
#define HERE(...) in_sandbox(&sandbox, __VA_ARGS__)

static struct sandbox sandbox;
static pid_t second_adapter;

static void write_config(const char *folder, const char *file, const char *node, const char *rest)
{
    char key[64], config[1024];
    public_key(HERE("broker/keys/transport.key"), key);
    snprintf(config, sizeof config,
             "node: %s\nhome: .\nanchor: anchor.yzr\nlock_secrets: false\nbrokers:\n"
             "  - {node: CN/@b1, endpoint: \"%s\", key: \"%s\"}\n%s",
             node, sandbox.endpoint, key, rest);
    write_file(HERE("%s/%s", folder, file), config);
}

static size_t read_whole(const char *path, char *out, size_t cap)
{
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    size_t n = fread(out, 1, cap - 1, f);
    fclose(f);
    out[n] = '\0';
    return n;
}

static void copy(const char *from, const char *to)
{
    static char content[262144];
    size_t n = read_whole(from, content, sizeof content);
    assert_in_range(n, 1, sizeof content - 2);
    FILE *f = fopen(to, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(content, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* The daemon has said so since it was first started. */
static void wait_for_words(const char *daemon, const char *words)
{
    static char said[262144];
    for (uint64_t end = now_ms() + PATIENCE_MS;; poll(NULL, 0, 5)) {
        read_whole(HERE("%s/stderr", daemon), said, sizeof said);
        if (strstr(said, words)) {
            return;
        }
        if (now_ms() >= end) {
            fail_msg("%s never says '%s', but:\n%s", daemon, words, said);
        }
    }
}

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

/* -- refused, and admitted later -- */

static void test_client__refused_and_admitted_later_calls_by_itself(void **state)
{
    (void)state;
    EXPECT_YZ(0, "node", "request", "--home", HERE("late"), "--node", "CN/GOV/WINDOW/@w2", "--role",
              "client", "--subsystem", "window");
    copy(HERE("operator/anchor.yzr"), HERE("late/anchor.yzr"));
    write_config("late", "client.yaml", "CN/GOV/WINDOW/@w2", "subsystem: CN/GOV/WINDOW/window\n");
    yz_client *client = NULL;
    yz_error err = {0};
    assert_int_equal(yz_client_open(HERE("late/client.yaml"), &client, &err), YZ_OK);
    for (uint64_t end = now_ms() + PATIENCE_MS; !strstr(err.text, "does not know this key");) {
        assert_int_equal(yz_client_wait_ready(client, 50, &err), YZ_ETIMEOUT);
        assert_true(now_ms() < end);
    }
    EXPECT_YZ(0, "node", "admit", "--home", HERE("client/member"), "--admin",
              HERE("broker/admin.sock"), HERE("late/request.yzr"));
    assert_int_equal(yz_client_wait_ready(client, PATIENCE_MS, &err), YZ_OK);
    yz_request *r = NULL;
    yz_answer *a = NULL;
    assert_int_equal(yz_request_new(MARRIAGES, &r), YZ_OK);
    assert_int_equal(yz_request_add_key(r, (const char *const[]){PERSON}, 1), YZ_OK);
    assert_int_equal(yz_request_set_timeout(r, 60000), YZ_OK);
    if (yz_call(client, r, &a, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(yz_answer_status(a), YZ_STATUS_OK);
    assert_int_equal(yz_answer_rows(a), 1);
    yz_answer_free(a);
    yz_request_free(r);
    yz_client_close(client);
}

static void publish(const char *adapters[2], const char *const *admins)
{
    EXPECT_YZ(0, "service", "publish", "--home", HERE("civil/member"), "--subsystem", "civil",
              "--service", "marriages/v1", "--definition", HERE("civil/marriages.yaml"),
              "--adapter", adapters[0], "--adapter", adapters[1]);
    for (; *admins; admins++) {
        EXPECT_YZ(0, "service", "push", "--home", HERE("civil/member"), "--subsystem", "civil",
                  "--admin", HERE("%s/admin.sock", *admins));
    }
}

/* It runs and is refused; it is admitted, given the policy and the data, and serves. */
static void test_adapter__refused_and_admitted_later_serves_by_itself(void **state)
{
    (void)state;
    EXPECT_YZ(0, "node", "request", "--home", HERE("civil2"), "--node", "CN/GOV/CIVIL/@a2",
              "--role", "adapter", "--subsystem", "civil");
    copy(HERE("operator/anchor.yzr"), HERE("civil2/anchor.yzr"));
    copy(HERE("civil/marriages.yaml"), HERE("civil2/marriages.yaml"));
    write_config("civil2", "adapter.yaml", "CN/GOV/CIVIL/@a2",
                 "datasets:\n  - definition: marriages.yaml\n");
    write_file(HERE("civil2/stderr"), "");
    struct starting d = start_daemon(&sandbox, "civil2");
    wait_for_words("civil2", "does not know this key");
    EXPECT_YZ(0, "node", "admit", "--home", HERE("civil/member"), "--admin",
              HERE("broker/admin.sock"), HERE("civil2/request.yzr"));
    wait_for_words("civil2", "broker.up");
    second_adapter = await_ready(&d);
    publish((const char *[]){"CN/GOV/CIVIL/@a1", "CN/GOV/CIVIL/@a2"},
            (const char *const[]){"civil", "civil2", NULL});
    EXPECT_YZ(0, "data", "import", "--admin", HERE("civil2/admin.sock"), "marriages",
              YZ_TEST_DATA "/demo/civil/marriages.csv");
    kill_daemon(adapter_pid(&sandbox, "civil"), SIGTERM); /* so it must be the second */
    assert_says(EXPECT_YZ(0, "call", "--config", sandbox.client, "--timeout", "60s", "--key",
                          PERSON, MARRIAGES),
                "status: married");
}

/* -- one of two goes -- */

static void submit_all(yz_client *client)
{
    for (unsigned i = 0; i < CALLS; i++) {
        yz_request *r = NULL;
        yz_ticket ticket = {0};
        yz_error err = {0};
        assert_int_equal(yz_request_new(MARRIAGES, &r), YZ_OK);
        assert_int_equal(yz_request_add_key(r, (const char *const[]){PERSON}, 1), YZ_OK);
        assert_int_equal(yz_request_set_timeout(r, PATIENCE_MS), YZ_OK);
        if (yz_submit(client, r, NULL, &ticket, &err) < 0) {
            fail_msg("%s", err.text);
        }
        yz_request_free(r);
    }
}

/* Until so many are answered, each rightly; how many there were when `ms` had passed. */
static unsigned take_answers(yz_client *client, unsigned n, uint64_t ms)
{
    struct pollfd fd = {yz_client_fd(client), POLLIN, 0};
    unsigned taken = 0;
    for (uint64_t end = now_ms() + ms; taken < n && now_ms() < end;) {
        yz_completion done;
        assert_true(poll(&fd, 1, 100) >= 0);
        while (taken < n && yz_poll(client, 0, &done, NULL) == YZ_OK) {
            if (done.error.code != YZ_OK) {
                fail_msg("%s", done.error.text);
            }
            assert_int_equal(yz_answer_status(done.answer), YZ_STATUS_OK);
            assert_int_equal(yz_answer_rows(done.answer), 1);
            yz_answer_free(done.answer);
            taken++;
        }
    }
    return taken;
}

/* One adapter stops with some of the requests in hand: the broker gives them to the other, as
 * soon as it is dead, or when it has been silent for three heartbeats. */
static void one_of_two_goes(int signal_number)
{
    yz_client *client = NULL;
    yz_error err = {0};
    pid_t first = start_again(&sandbox, "civil");
    assert_int_equal(yz_client_open(sandbox.client, &client, &err), YZ_OK);
    assert_int_equal(yz_client_wait_ready(client, PATIENCE_MS, &err), YZ_OK);
    submit_all(client); /* what is to be known of the service is known then */
    assert_int_equal(take_answers(client, CALLS, PATIENCE_MS), CALLS);
    assert_int_equal(kill(first, SIGSTOP), 0);
    submit_all(client);
    unsigned others = take_answers(client, CALLS, 500);
    assert_true(others < CALLS); /* it has some in hand, and is not given up yet */
    if (signal_number == SIGKILL) {
        kill_daemon(first, SIGKILL);
    }
    assert_int_equal(take_answers(client, CALLS - others, PATIENCE_MS), CALLS - others);
    yz_client_close(client);
    if (signal_number != SIGKILL) {
        assert_int_equal(kill(first, SIGCONT), 0);
        kill_daemon(first, SIGTERM);
    }
}

static void test_read__of_a_killed_adapter_is_answered_by_the_other(void **state)
{
    (void)state;
    one_of_two_goes(SIGKILL);
}

static void test_read__of_a_stopped_adapter_is_answered_by_the_other(void **state)
{
    (void)state;
    one_of_two_goes(SIGSTOP);
}

/* -- the state of an older day -- */

#define OFFERS "tax/state/offers/CN+GOV+TAX+clearance.policy"
#define CLEARANCES "CN/GOV/TAX/clearance/clearances/v1"

static void test_adapter__of_an_older_state_does_not_serve_by_it(void **state)
{
    (void)state;
    char id[128] = "";
    copy(HERE(OFFERS), HERE("tax/backup"));
    const char *at = strstr(
        EXPECT_YZ(0, "grant", "list", "--home", HERE("tax/member"), "--json")->text, "\"id\": \"");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\"id\": \"%127[^\"]", id), 1);
    EXPECT_YZ(0, "grant", "add", "--home", HERE("tax/member"), "--service", CLEARANCES,
              "--consumer", "CN/GOV/WINDOW/window", "--operation", "get", "--field", "cleared",
              "--admin", HERE("tax/admin.sock"));
    EXPECT_YZ(0, "grant", "revoke", "--home", HERE("tax/member"), "--admin", HERE("tax/admin.sock"),
              id);
    EXPECT_YZ(3, "call", "--config", sandbox.client, "--timeout", "60s", "--key", PERSON, "--field",
              "valid_until", CLEARANCES);
    kill_daemon(adapter_pid(&sandbox, "tax"), SIGKILL);
    copy(HERE("tax/backup"), HERE(OFFERS));
    start_again(&sandbox, "tax");
    wait_for_words("tax", "policy.outdated");
    const struct output *o = RUN_YZ("call", "--config", sandbox.client, "--timeout", "60s", "--key",
                                    PERSON, "--field", "valid_until", CLEARANCES);
    assert_int_not_equal(o->code, 0);
    assert_null(strstr(o->text, "valid_until:"));
    EXPECT_YZ(0, "service", "push", "--home", HERE("tax/member"), "--subsystem", "clearance",
              "--admin", HERE("tax/admin.sock"));
    EXPECT_YZ(0, "call", "--config", sandbox.client, "--timeout", "60s", "--key", PERSON, "--field",
              "cleared", CLEARANCES);
    EXPECT_YZ(3, "call", "--config", sandbox.client, "--timeout", "60s", "--key", PERSON, "--field",
              "valid_until", CLEARANCES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client__refused_and_admitted_later_calls_by_itself),
        cmocka_unit_test(test_adapter__refused_and_admitted_later_serves_by_itself),
        cmocka_unit_test(test_read__of_a_killed_adapter_is_answered_by_the_other),
        cmocka_unit_test(test_read__of_a_stopped_adapter_is_answered_by_the_other),
        cmocka_unit_test(test_adapter__of_an_older_state_does_not_serve_by_it),
    };
    return cmocka_run_group_tests(tests, up, down);
}
