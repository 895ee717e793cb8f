/* SPDX-License-Identifier: Apache-2.0
 *
 * Real daemons with a chaos proxy between the client and the broker: whatever the network does,
 * each call ends exactly once, with the right record or with an honest failure, and when the
 * network is well again so are the calls.
 *
 * A trial is a call of each of the callers (soak.h).
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <yizhan/client.h>

#include "tests/faults/proxy.h"
#include "tests/faults/soak.h"
#include "tests/integration/harness.h"
#include "tests/support/dice.h"

#define AREAS "CN/GOV/STATS/divisions/areas/v1"
#define CALLERS 8
#define PATIENCE_MS 120000u

static struct sandbox sandbox;
static struct proxy *proxy;
static char client_path[512];

/* A copy of the client's configuration that goes through the proxy. */
static void write_client_config(void)
{
    char text[4096], out[4600];
    FILE *f = fopen(sandbox.client, "re");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    char *at = strstr(text, sandbox.endpoint);
    assert_non_null(at);
    snprintf(out, sizeof out, "%.*stcp://127.0.0.1:%u%s", (int)(at - text), text, proxy_port(proxy),
             at + strlen(sandbox.endpoint));
    snprintf(client_path, sizeof client_path, "%s", in_sandbox(&sandbox, "client/chaos.yaml"));
    write_file(client_path, out);
}

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    EXPECT_YZ(0, "data", "import", "--admin", in_sandbox(&sandbox, "statistics/admin.sock"),
              "areas", YZ_TEST_DATA "/china-division/areas.csv");
    unsigned port;
    assert_int_equal(sscanf(sandbox.endpoint, "tcp://127.0.0.1:%u", &port), 1);
    proxy = proxy_start((uint16_t)port, dice_seed_now());
    write_client_config();
    return 0;
}

static int down(void **state)
{
    (void)state;
    proxy_stop(proxy);
    sandbox_down(&sandbox);
    return 0;
}

struct tally {
    yz_client *client;
    uint32_t timeout_ms;
    unsigned calls; /* by each caller, and more until so many connections were hurt */
    unsigned harmed;
    bool counted; /* as trials, and no more when time is over */
    _Atomic unsigned right, wrong, refused, failed, ended;
};

static void count_answer(struct tally *t, const yz_answer *a, const char *code)
{
    const void *value = NULL;
    size_t n = 0;
    if (yz_answer_status(a) != YZ_STATUS_OK) {
        t->refused++;
    } else if (yz_answer_rows(a) == 1 && yz_answer_value(a, 0, 0, &value, &n) == YZ_OK && n == 6 &&
               memcmp(value, code, 6) == 0) {
        t->right++;
    } else {
        t->wrong++;
    }
}

static bool is_to_go_on(const struct tally *t, unsigned ended)
{
    bool more = ended < t->calls && (!t->counted || soak_goes_on());
    return more || proxy_harmed(proxy) < t->harmed;
}

static void *call_many(void *arg)
{
    struct tally *t = arg;
    static const char *const codes[] = {"110101", "310115", "440103", "510104"};
    for (unsigned i = 0; is_to_go_on(t, i); i++) {
        const char *code = codes[i % 4];
        yz_request *request = NULL;
        yz_answer *answer = NULL;
        if (yz_request_new(AREAS, &request) < 0 || yz_request_add_key(request, &code, 1) < 0 ||
            yz_request_set_timeout(request, t->timeout_ms) < 0) {
            t->wrong++;
        } else if (yz_call(t->client, request, &answer, NULL) == YZ_OK) {
            count_answer(t, answer, code);
        } else {
            t->failed++;
        }
        yz_answer_free(answer);
        yz_request_free(request);
        t->ended++;
    }
    return NULL;
}

static void run_callers(struct tally *t)
{
    pthread_t threads[CALLERS];
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_many, t), 0);
    }
    for (unsigned i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* Under this harm each call ends once; afterwards, without it, all of them are right. */
static void endure(const struct proxy_harm *harm, unsigned calls, uint32_t timeout_ms,
                   unsigned least_harmed)
{
    static const struct proxy_harm none;
    unsigned before = proxy_harmed(proxy);
    struct tally t = {.timeout_ms = timeout_ms,
                      .calls = dice_trials(calls),
                      .counted = true,
                      .harmed = before + least_harmed};
    yz_error err = {0};
    assert_int_equal(yz_client_open(client_path, &t.client, &err), YZ_OK);
    assert_int_equal(yz_client_wait_ready(t.client, PATIENCE_MS, &err), YZ_OK);
    proxy_set(proxy, harm);
    run_callers(&t);
    unsigned harmed = proxy_harmed(proxy) - before;
    proxy_set(proxy, &none);
    soak_did(t.ended / CALLERS);
    print_message("right %u, refused %u, failed %u, wrong %u; connections harmed %u\n", t.right,
                  t.refused, t.failed, t.wrong, harmed);
    assert_int_equal(t.wrong, 0);
    assert_int_equal(t.right + t.refused + t.failed, t.ended);
    /* a stalled connection is only noticed by its silence: the very first may be the last */
    assert_true(t.right > 0 || harm->stall_per_1000 > 0);
    proxy_cut_all(proxy); /* what was stalled would only be noticed by silence */
    assert_int_equal(yz_client_wait_ready(t.client, PATIENCE_MS, &err), YZ_OK);
    struct tally well = {.client = t.client, .timeout_ms = PATIENCE_MS, .calls = 10};
    run_callers(&well);
    assert_int_equal(well.right, CALLERS * 10);
    yz_client_close(t.client);
}

static void test_chaos__torn_and_delayed_pieces_change_nothing(void **state)
{
    (void)state;
    soak_begin(5);
    endure(&(struct proxy_harm){.delay_ms = 3, .piece_max = 100}, 8, PATIENCE_MS, 0);
}

static void test_chaos__cut_connections_end_each_call_once(void **state)
{
    (void)state;
    soak_begin(4);
    endure(&(struct proxy_harm){.cut_per_1000 = 10, .piece_max = 400}, 12, PATIENCE_MS, 1);
}

static void test_chaos__reset_connections_end_each_call_once(void **state)
{
    (void)state;
    soak_begin(3);
    endure(&(struct proxy_harm){.reset_per_1000 = 10, .piece_max = 400}, 12, PATIENCE_MS, 1);
}

static void test_chaos__stalled_connections_end_each_call_once(void **state)
{
    (void)state;
    soak_begin(2);
    endure(&(struct proxy_harm){.stall_per_1000 = 100, .piece_max = 400}, 10, 200, 1);
}

/* Far less than the calls would take: they are answered late, and rightly. */
static void test_chaos__throttled_connections_change_nothing(void **state)
{
    (void)state;
    struct timespec began, ended;
    clock_gettime(CLOCK_MONOTONIC, &began);
    soak_begin(1);
    endure(&(struct proxy_harm){.bytes_per_s = 20000}, 8, PATIENCE_MS,
           0); /* 64 of 700 bytes or more */
    clock_gettime(CLOCK_MONOTONIC, &ended);
    assert_true(ended.tv_sec - began.tv_sec >= 2);
}

/* Two clients, whose requests and answers overtake one another: each gets its own. */
static void test_chaos__connections_overtaking_each_other_change_nothing(void **state)
{
    (void)state;
    static const struct proxy_harm none, holding = {.hold_per_1000 = 500, .hold_ms = 100};
    struct tally t[2] = {{.timeout_ms = PATIENCE_MS, .calls = 15},
                         {.timeout_ms = PATIENCE_MS, .calls = 15}};
    pthread_t threads[2][CALLERS / 2];
    yz_error err = {0};
    for (unsigned k = 0; k < 2; k++) {
        assert_int_equal(yz_client_open(client_path, &t[k].client, &err), YZ_OK);
        assert_int_equal(yz_client_wait_ready(t[k].client, PATIENCE_MS, &err), YZ_OK);
    }
    unsigned before = proxy_reordered(proxy);
    proxy_set(proxy, &holding);
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_create(&threads[i % 2][i / 2], NULL, call_many, &t[i % 2]), 0);
    }
    for (unsigned i = 0; i < CALLERS; i++) {
        pthread_join(threads[i % 2][i / 2], NULL);
    }
    proxy_set(proxy, &none);
    for (unsigned k = 0; k < 2; k++) {
        yz_client_close(t[k].client);
        assert_int_equal(t[k].right, CALLERS / 2 * 15);
    }
    print_message("%u pieces overtaken\n", proxy_reordered(proxy) - before);
    assert_true(proxy_reordered(proxy) > before);
}

int main(int argc, char **argv)
{
    int code;
    if (!soak_wanted(argc, argv, "chaos", &code)) {
        return code;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chaos__torn_and_delayed_pieces_change_nothing),
        cmocka_unit_test(test_chaos__cut_connections_end_each_call_once),
        cmocka_unit_test(test_chaos__reset_connections_end_each_call_once),
        cmocka_unit_test(test_chaos__stalled_connections_end_each_call_once),
        cmocka_unit_test(test_chaos__throttled_connections_change_nothing),
        cmocka_unit_test(test_chaos__connections_overtaking_each_other_change_nothing),
    };
    code = cmocka_run_group_tests(tests, up, down);
    soak_end("chaos");
    return code;
}
