/* SPDX-License-Identifier: Apache-2.0
 *
 * Inserts through a network that cuts connections, while the adapter is killed: each call ends
 * once, none is executed twice (the second time its record would exist), what was said to be done
 * is there and what was said not to be is not, and only a crash leaves it open what became of one.
 *
 * A trial is an insert of each of the callers (soak.h).
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yizhan/client.h>

#include "tests/faults/proxy.h"
#include "tests/faults/soak.h"
#include "tests/integration/harness.h"
#include "tests/support/dice.h"
#include "tests/support/now.h"

#define CALLERS 4u
#define INSERTS_MAX 20000u
#define TIMEOUT_MS 60000u
#define PATIENCE_MS 120000u
#define KILLS 3u
#define HERE(...) in_sandbox(&sandbox, __VA_ARGS__)

static struct sandbox sandbox;
static struct proxy *proxy;
static char client_path[512];
static pid_t adapter;

static unsigned inserts_of_each(void)
{
    unsigned n = dice_trials(16);
    return n < INSERTS_MAX ? n : INSERTS_MAX;
}

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
    snprintf(client_path, sizeof client_path, "%s", HERE("client/chaos.yaml"));
    write_file(client_path, out);
}

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    adapter = adapter_pid(&sandbox, "statistics");
    offer_towns(&sandbox);
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

/* -- inserting -- */

enum told {
    NOT_TRIED,
    TOLD_NOTHING,
    TOLD_DONE,
    TOLD_NOT_DONE,
    TOLD_OPEN,
    TOLD_INDETERMINATE,
    TOLD_EXISTS
};

static struct {
    yz_client *client;
    unsigned first, each; /* codes first, first + 1, ...: `each` of each caller */
    _Atomic unsigned ended, told[7];
    enum told of[CALLERS * INSERTS_MAX];
} run;

static void code_of(unsigned n, char out[8])
{
    snprintf(out, 8, "%06u", (run.first + n) % 1000000u);
}

static enum told ask_to_insert(const char *code)
{
    static const char *const fields[] = {"code", "name", "city", "province"};
    const yz_value values[] = {{code, strlen(code)}, {"town", 4}, {"9999", 4}, {"11", 2}};
    yz_request *r = NULL;
    yz_answer *a = NULL;
    yz_error err = {0};
    enum told told = TOLD_OPEN;
    uint64_t changed = 0;
    int rc = yz_request_new(TOWNS, &r);
    rc = rc < 0 ? rc : yz_request_set_operation(r, YZ_INSERT);
    for (unsigned i = 0; rc == YZ_OK && i < 4; i++) {
        rc = yz_request_add_field(r, fields[i]);
    }
    rc = rc < 0 ? rc : yz_request_add_row(r, values, 4);
    rc = rc < 0 ? rc : yz_request_set_timeout(r, TIMEOUT_MS);
    rc = rc < 0 ? rc : yz_call(run.client, r, &a, &err);
    if (rc == YZ_EUNAVAILABLE) {
        told = TOLD_NOT_DONE; /* nothing was sent */
    } else if (rc == YZ_OK && yz_answer_status(a) == YZ_STATUS_OK) {
        told = yz_answer_total(a, &changed) == YZ_OK && changed == 1 ? TOLD_DONE : TOLD_NOTHING;
    } else if (rc == YZ_OK && yz_answer_status(a) == YZ_STATUS_INDETERMINATE) {
        told = yz_answer_origin(a) == YZ_ORIGIN_PROVIDER ? TOLD_INDETERMINATE : TOLD_OPEN;
    } else if (rc == YZ_OK && strcmp(yz_answer_reason(a), "exists") == 0) {
        told = TOLD_EXISTS;
    } else if (rc == YZ_OK && (yz_answer_status(a) == YZ_STATUS_BUSY ||
                               yz_answer_status(a) == YZ_STATUS_UNAVAILABLE)) {
        told = TOLD_NOT_DONE; /* a broker says so */
    } else if (rc == YZ_OK) {
        fprintf(stderr, "%s: %s\n", yz_status_name(yz_answer_status(a)), yz_answer_reason(a));
        told = TOLD_NOTHING;
    } else if (rc != YZ_OK && rc != YZ_ETIMEOUT) {
        fprintf(stderr, "%s\n", err.text);
        told = TOLD_NOTHING;
    }
    yz_answer_free(a);
    yz_request_free(r);
    return told;
}

static void *insert_many(void *arg)
{
    const unsigned *who = arg;
    for (unsigned i = 0; i < run.each && soak_goes_on(); i++) {
        char code[8];
        unsigned n = *who * run.each + i;
        code_of(n, code);
        run.of[n] = ask_to_insert(code);
        run.told[run.of[n]]++;
        run.ended++;
    }
    return NULL;
}

/* False when there will not be so many, because time is over. */
static bool wait_for_ended(unsigned n)
{
    unsigned last = run.ended;
    for (uint64_t end = now_ms() + PATIENCE_MS; run.ended < n && soak_goes_on(); poll(NULL, 0, 1)) {
        if (run.ended > last) {
            last = run.ended;
            end = now_ms() + PATIENCE_MS;
        }
        if (now_ms() >= end) {
            fail_msg("%u of %u calls have ended, and no more do", run.ended, n);
        }
    }
    return run.ended >= n;
}

static void insert_under(const struct proxy_harm *harm, unsigned first, unsigned kills)
{
    static const struct proxy_harm none;
    static const unsigned who[CALLERS] = {0, 1, 2, 3};
    pthread_t threads[CALLERS];
    yz_error err = {0};
    memset(&run, 0, sizeof run);
    run.first = first;
    run.each = inserts_of_each();
    assert_int_equal(yz_client_open(client_path, &run.client, &err), YZ_OK);
    assert_int_equal(yz_client_wait_ready(run.client, PATIENCE_MS, &err), YZ_OK);
    proxy_set(proxy, harm);
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, insert_many, (void *)(uintptr_t)&who[i]),
                         0);
    }
    for (unsigned k = 0; k < kills; k++) {
        if (!wait_for_ended((k + 1) * CALLERS * run.each / (kills + 1))) {
            break;
        }
        kill_daemon(adapter, SIGKILL);
        adapter = start_again(&sandbox, "statistics");
    }
    for (unsigned i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
    }
    proxy_set(proxy, &none);
    proxy_cut_all(proxy);
    soak_did(run.ended / CALLERS);
    print_message("%u done, %u not done, %u open, %u indeterminate; %u connections hurt\n",
                  run.told[TOLD_DONE], run.told[TOLD_NOT_DONE], run.told[TOLD_OPEN],
                  run.told[TOLD_INDETERMINATE], proxy_harmed(proxy));
}

/* -- what is there -- */

static bool is_there(const char *code)
{
    yz_request *r = NULL;
    yz_answer *a = NULL;
    yz_error err = {0};
    assert_int_equal(yz_request_new(TOWNS, &r), YZ_OK);
    assert_int_equal(yz_request_add_key(r, &code, 1), YZ_OK);
    assert_int_equal(yz_request_set_timeout(r, TIMEOUT_MS), YZ_OK);
    if (yz_call(run.client, r, &a, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(yz_answer_status(a), YZ_STATUS_OK);
    bool there = yz_answer_rows(a) == 1;
    yz_answer_free(a);
    yz_request_free(r);
    return there;
}

static void all_is_as_told(void)
{
    assert_true(run.ended == CALLERS * run.each || !soak_goes_on());
    assert_int_equal(run.told[TOLD_NOTHING], 0);
    assert_int_equal(run.told[TOLD_EXISTS], 0);
    assert_true(run.told[TOLD_DONE] > 0);
    for (unsigned n = 0; n < CALLERS * run.each; n++) {
        char code[8];
        if (run.of[n] == NOT_TRIED) {
            continue; /* time was over */
        }
        code_of(n, code);
        bool there = is_there(code);
        assert_true(run.of[n] != TOLD_DONE || there);
        assert_true(run.of[n] != TOLD_NOT_DONE || !there);
    }
    yz_client_close(run.client);
}

static void test_chaos__cut_connections_insert_once(void **state)
{
    (void)state;
    unsigned before = proxy_harmed(proxy);
    soak_begin(2);
    insert_under(&(struct proxy_harm){.cut_per_1000 = 10, .reset_per_1000 = 5, .piece_max = 300},
                 100000, 0);
    assert_true(proxy_harmed(proxy) > before || run.each < 16);
    assert_int_equal(run.told[TOLD_INDETERMINATE], 0); /* nobody crashed */
    all_is_as_told();
}

static void test_chaos__killed_adapters_insert_once(void **state)
{
    (void)state;
    soak_begin(1);
    insert_under(&(struct proxy_harm){.cut_per_1000 = 5, .piece_max = 300}, 500000, KILLS);
    assert_in_range(run.told[TOLD_INDETERMINATE], 0, KILLS * CALLERS);
    all_is_as_told();
}

int main(int argc, char **argv)
{
    int code;
    if (!soak_wanted(argc, argv, "chaos-writes", &code)) {
        return code;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chaos__cut_connections_insert_once),
        cmocka_unit_test(test_chaos__killed_adapters_insert_once),
    };
    code = cmocka_run_group_tests(tests, up, down);
    soak_end("chaos-writes");
    return code;
}
