/* SPDX-License-Identifier: Apache-2.0
 *
 * Far more calls at once than a broker takes, of several nodes with the real library: each ends
 * exactly once, answered or with an explicit `busy`, the broker's memory stays within its cap, and
 * afterwards everything is served as before.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <yizhan/client.h>

#include "tests/integration/harness.h"

#define AREAS "CN/GOV/STATS/divisions/areas/v1"
#define NODES 4u
#define CALLS 1000u /* of each node, at once */
#define CAPACITY 16u
#define MEMORY_MIB 96
#define PATIENCE_S 120

static struct sandbox sandbox;
static char configs[NODES][512];

static void copy_with(const char *from, const char *to, const char *word, const char *other)
{
    char text[4096], out[4600];
    FILE *f = fopen(from, "re");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    char *at = strstr(text, word);
    assert_non_null(at);
    snprintf(out, sizeof out, "%.*s%s%s", (int)(at - text), text, other, at + strlen(word));
    write_file(to, out);
}

/* Another client node of the same subsystem. */
static void add_client(unsigned i)
{
    char home[400], node[64];
    snprintf(home, sizeof home, "%s", in_sandbox(&sandbox, "client%u", i));
    snprintf(node, sizeof node, "CN/GOV/WINDOW/@w%u", i);
    EXPECT_YZ(0, "node", "request", "--home", home, "--node", node, "--role", "client",
              "--subsystem", "window");
    snprintf(configs[i - 1], sizeof configs[0], "%s/client.yaml", home);
    copy_with(sandbox.client, configs[i - 1], "CN/GOV/WINDOW/@w1", node);
    copy_with(in_sandbox(&sandbox, "client/anchor.yzr"),
              in_sandbox(&sandbox, "client%u/anchor.yzr", i), "", "");
    EXPECT_YZ(0, "node", "admit", "--home", in_sandbox(&sandbox, "client/member"),
              in_sandbox(&sandbox, "client%u/request.yzr", i));
}

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    EXPECT_YZ(0, "data", "import", "--admin", in_sandbox(&sandbox, "statistics/admin.sock"),
              "areas", YZ_TEST_DATA "/china-division/areas.csv");
    snprintf(configs[0], sizeof configs[0], "%s", sandbox.client);
    for (unsigned i = 2; i <= NODES; i++) {
        add_client(i);
    }
    EXPECT_YZ(0, "directory", "publish", "--home", in_sandbox(&sandbox, "operator"), "--admin",
              in_sandbox(&sandbox, "broker/admin.sock"), "--member-set",
              in_sandbox(&sandbox, "client/member/member-set.yzr"));
    char limit[64];
    snprintf(limit, sizeof limit, "log_level: warn\nlimits:\n  in_flight_per_service: %u\n",
             CAPACITY);
    copy_with(in_sandbox(&sandbox, "broker/broker.yaml"),
              in_sandbox(&sandbox, "broker/broker.yaml"), "log_level: debug\n", limit);
    assert_int_equal(kill(sandbox.broker, SIGHUP), 0);
    return 0;
}

static int down(void **state)
{
    (void)state;
    sandbox_down(&sandbox);
    return 0;
}

struct flood {
    yz_client *client;
    yz_request *request;
    unsigned ended[CALLS]; /* how often each did */
    unsigned ok, busy, other, left;
};

static void begin(struct flood *f, const char *config)
{
    yz_error err = {0};
    const char *code = "110101";
    assert_int_equal(yz_client_open(config, &f->client, &err), YZ_OK);
    if (yz_client_wait_ready(f->client, 20000, &err) < 0) {
        fail_msg("%s: %s", config, err.text);
    }
    assert_int_equal(yz_request_new(AREAS, &f->request), YZ_OK);
    assert_int_equal(yz_request_add_key(f->request, &code, 1), YZ_OK);
    assert_int_equal(yz_request_set_timeout(f->request, PATIENCE_S * 1000), YZ_OK);
}

static void submit_all(struct flood *f)
{
    yz_error err = {0};
    for (unsigned i = 0; i < CALLS; i++) {
        assert_int_equal(yz_submit(f->client, f->request, &f->ended[i], NULL, &err), YZ_OK);
        f->left++;
    }
}

static void take_some(struct flood *f)
{
    yz_completion done;
    while (f->left && yz_poll(f->client, 10, &done, NULL) == YZ_OK) {
        unsigned *ended = done.ctx;
        ++*ended;
        f->left--;
        if (!done.answer) {
            print_message("%s: %s\n", yz_err_name(done.error.code), done.error.text);
            f->other++;
        } else if (yz_answer_status(done.answer) == YZ_STATUS_OK) {
            f->ok++;
        } else if (yz_answer_status(done.answer) == YZ_STATUS_BUSY) {
            assert_string_equal(yz_answer_rule(done.answer), "in-flight-per-service");
            assert_true(yz_answer_retry_after(done.answer) > 0);
            f->busy++;
        } else {
            print_message("%s\n", yz_status_name(yz_answer_status(done.answer)));
            f->other++;
        }
        yz_answer_free(done.answer);
    }
}

static void test_flood__every_call_ends_once_and_every_refusal_is_explicit(void **state)
{
    (void)state;
    static struct flood floods[NODES];
    long before = daemon_rss_mib(sandbox.broker), most = before;
    unsigned ok = 0, busy = 0, left = NODES;
    for (unsigned i = 0; i < NODES; i++) {
        begin(&floods[i], configs[i]);
    }
    for (unsigned i = 0; i < NODES; i++) {
        submit_all(&floods[i]);
    }
    for (time_t end = time(NULL) + PATIENCE_S + 30; left && time(NULL) < end;) {
        left = 0;
        for (unsigned i = 0; i < NODES; i++) {
            take_some(&floods[i]);
            left += floods[i].left;
        }
        long now = daemon_rss_mib(sandbox.broker);
        most = now > most ? now : most;
    }
    assert_int_equal(left, 0);
    for (unsigned i = 0; i < NODES; i++) {
        for (unsigned k = 0; k < CALLS; k++) {
            assert_int_equal(floods[i].ended[k], 1);
        }
        assert_int_equal(floods[i].other, 0);
        ok += floods[i].ok;
        busy += floods[i].busy;
    }
    print_message("%u answered, %u busy; memory %ld MiB before, %ld at most\n", ok, busy, before,
                  most);
    assert_in_range(ok, CAPACITY, NODES * CALLS);
    assert_in_range(busy, 1, NODES * CALLS);
    assert_in_range(most, 1, before + MEMORY_MIB);
    for (unsigned i = 0; i < NODES; i++) { /* and then all is well again */
        yz_answer *answer = NULL;
        assert_int_equal(yz_call(floods[i].client, floods[i].request, &answer, NULL), YZ_OK);
        assert_int_equal(yz_answer_status(answer), YZ_STATUS_OK);
        yz_answer_free(answer);
        yz_request_free(floods[i].request);
        yz_client_close(floods[i].client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flood__every_call_ends_once_and_every_refusal_is_explicit),
    };
    return cmocka_run_group_tests(tests, up, down);
}
