/* SPDX-License-Identifier: Apache-2.0
 *
 * Brokers, an adapter and a client program, killed and stopped at random moments under load: two
 * brokers, an adapter at both, and a client that knows both and survives. Each of its calls ends
 * once, within its deadline, with the right record or with an honest failure; what was killed
 * serves again when it is started, with the state it left, and nobody has to do anything else.
 *
 * A trial is a round: something killed or stopped, and served again (soak.h).
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
#include <sys/wait.h>
#include <unistd.h>

#include <yizhan/client.h>

#include "tests/faults/soak.h"
#include "tests/integration/second_broker.h"
#include "tests/support/dice.h"
#include "tests/support/now.h"

#define PERSON "990101199109086437"
#define MARRIAGES "CN/GOV/CIVIL/civil/marriages/v1"
#define CALLERS 4u
#define TIMEOUT_MS 2000u
#define GRACE_MS 20000u /* beyond it, for a machine under load */
#define PATIENCE_MS 120000u
#define VICTIMS 3u

static struct sandbox sandbox;
static char client_path[400];
static struct victim {
    const char *name;
    pid_t pid;
} victims[VICTIMS] = {{"broker", 0}, {"broker2", 0}, {"civil", 0}};
static struct dice dice;

static void write_configs(const char *second)
{
    char keys[2][64], brokers[800], config[1024];
    public_key(in_sandbox(&sandbox, "broker/keys/transport.key"), keys[0]);
    public_key(in_sandbox(&sandbox, "broker2/keys/transport.key"), keys[1]);
    snprintf(brokers, sizeof brokers,
             "home: .\nanchor: anchor.yzr\nlock_secrets: false\nbrokers:\n"
             "  - {node: CN/@b1, endpoint: \"%s\", key: \"%s\"}\n"
             "  - {node: CN/@b2, endpoint: \"%s\", key: \"%s\"}\n",
             sandbox.endpoint, keys[0], second, keys[1]);
    snprintf(config, sizeof config,
             "node: CN/GOV/CIVIL/@a1\n%sdatasets:\n  - definition: marriages.yaml\n", brokers);
    write_file(in_sandbox(&sandbox, "civil/adapter.yaml"), config);
    snprintf(config, sizeof config, "node: CN/GOV/WINDOW/@w1\nsubsystem: CN/GOV/WINDOW/window\n%s",
             brokers);
    snprintf(client_path, sizeof client_path, "%s", in_sandbox(&sandbox, "client/both.yaml"));
    write_file(client_path, config);
    /* it listened wherever there was room; started again it has to be found where it was */
    snprintf(config, sizeof config,
             "node: CN/@b1\nhome: .\nlisten: [\"%s\"]\nops: \"\"\nlock_secrets: false\n",
             sandbox.endpoint);
    write_file(in_sandbox(&sandbox, "broker/broker.yaml"), config);
}

static int up(void **state)
{
    (void)state;
    char second[64];
    sandbox_up(&sandbox);
    victims[0].pid = sandbox.broker;
    victims[1].pid = second_broker_up(&sandbox, second);
    kill_daemon(adapter_pid(&sandbox, "civil"), SIGTERM);
    write_configs(second);
    victims[2].pid = start_again(&sandbox, "civil");
    dice = dice_from(dice_seed_now());
    return 0;
}

static int down(void **state)
{
    (void)state;
    sandbox_down(&sandbox);
    return 0;
}

/* Time goes by in the load, never by sleeping: this says how much of it a step took. */
static void lap(const char *what)
{
    static uint64_t before;
    uint64_t now = now_ms();
    if (before) {
        print_message("%6llu ms %s\n", (unsigned long long)(now - before), what);
    }
    before = now;
}

/* -- the load -- */

static struct load {
    yz_client *client;
    _Atomic bool stop;
    _Atomic unsigned ended, right, wrong, honest, late;
    pthread_t threads[CALLERS];
} load;

static int call(yz_client *client, yz_answer **out, yz_error *err)
{
    yz_request *r = NULL;
    int rc = yz_request_new(MARRIAGES, &r);
    rc = rc < 0 ? rc : yz_request_add_key(r, (const char *const[]){PERSON}, 1);
    rc = rc < 0 ? rc : yz_request_set_timeout(r, TIMEOUT_MS);
    rc = rc < 0 ? rc : yz_call(client, r, out, err);
    yz_request_free(r);
    return rc;
}

static bool is_right(const yz_answer *a)
{
    const void *value = NULL;
    size_t n = 0;
    return yz_answer_rows(a) == 1 && yz_answer_value(a, 0, 0, &value, &n) == YZ_OK &&
           n == strlen(PERSON) && memcmp(value, PERSON, n) == 0;
}

static void *call_on(void *arg)
{
    struct load *l = arg;
    while (!l->stop) {
        yz_answer *a = NULL;
        uint64_t began = now_ms();
        int rc = call(l->client, &a, NULL);
        l->late += now_ms() - began > TIMEOUT_MS + GRACE_MS;
        if (rc < 0) {
            bool is_honest = rc == YZ_ETIMEOUT || rc == YZ_EUNAVAILABLE || rc == YZ_EEXPIRED;
            l->honest += is_honest;
            l->wrong += !is_honest;
        } else if (yz_answer_status(a) == YZ_STATUS_OK) {
            l->right += is_right(a);
            l->wrong += !is_right(a);
        } else {
            l->honest++; /* a broker's or the provider's word: unavailable, busy, timeout, ... */
        }
        l->ended++;
        yz_answer_free(a);
    }
    return NULL;
}

/* Until so many more calls have ended, however they do; by their deadlines they must. */
static void wait_for_calls(unsigned more)
{
    unsigned until = load.ended + more;
    for (uint64_t end = now_ms() + PATIENCE_MS; load.ended < until;) {
        assert_true(now_ms() < end);
        poll(NULL, 0, 1);
    }
}

static void wait_for_service(void)
{
    unsigned until = load.right + 2 * CALLERS;
    for (uint64_t end = now_ms() + PATIENCE_MS; load.right < until;) {
        if (now_ms() >= end) {
            fail_msg("the service does not resume");
        }
        poll(NULL, 0, 1);
    }
}

static void load_up(void)
{
    yz_error err = {0};
    memset(&load, 0, sizeof load);
    if (yz_client_open(client_path, &load.client, &err) < 0 ||
        yz_client_wait_ready(load.client, PATIENCE_MS, &err) < 0) {
        fail_msg("%s", err.text);
    }
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_create(&load.threads[i], NULL, call_on, &load), 0);
    }
    wait_for_service();
}

static void load_down(void)
{
    load.stop = true;
    for (unsigned i = 0; i < CALLERS; i++) {
        pthread_join(load.threads[i], NULL);
    }
    yz_client_close(load.client);
    print_message("%u calls: %u right, %u honest failures, %u wrong, %u late\n", load.ended,
                  load.right, load.honest, load.wrong, load.late);
    assert_int_equal(load.wrong, 0);
    assert_int_equal(load.late, 0);
    assert_int_equal(load.right + load.honest, load.ended);
}

/* -- the harm -- */

static void kill_and_restart(struct victim *v)
{
    wait_for_calls(1 + dice_below(&dice, 40));
    kill_daemon(v->pid, SIGKILL);
    if (v == &victims[2]) {
        wait_for_calls(1 + dice_below(&dice, 20));
    } else {
        wait_for_service(); /* the other broker is there */
    }
    v->pid = start_again(&sandbox, v->name);
}

static void stop_and_continue(struct victim *v)
{
    wait_for_calls(1 + dice_below(&dice, 40));
    assert_int_equal(kill(v->pid, SIGSTOP), 0);
    wait_for_calls(1 + dice_below(&dice, 3 * CALLERS));
    assert_int_equal(kill(v->pid, SIGCONT), 0);
}

/* Another process of the client's home, killed at any moment. */
static void kill_a_client(void)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execl(YZ_BIN_DIR "/yz", "yz", "call", "--config", client_path, "--key", PERSON, MARRIAGES,
              (char *)NULL);
        _exit(127);
    }
    wait_for_calls(1 + dice_below(&dice, 60));
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_kill__at_random_under_load(void **state)
{
    (void)state;
    unsigned rounds = dice_trials(2 * VICTIMS + 1);
    load_up();
    soak_begin(1); /* the other tests are done once */
    for (unsigned i = 0; i < rounds && soak_goes_on(); i++) {
        lap("recovered");
        unsigned what =
            i < 2 * VICTIMS + 1 ? i : dice_below(&dice, 2 * VICTIMS + 1); /* each at least once */
        if (what < VICTIMS) {
            kill_and_restart(&victims[what]);
        } else if (what < 2 * VICTIMS) {
            stop_and_continue(&victims[what - VICTIMS]);
        } else {
            kill_a_client();
        }
        static const char *const names[] = {"kill broker",  "kill broker2", "kill adapter",
                                            "stop broker",  "stop broker2", "stop adapter",
                                            "kill a client"};
        lap(names[what]);
        wait_for_service();
        soak_did(1);
    }
    load_down();
}

/* -- in any order -- */

/* None waits for another to be ready: an adapter may well be there before any broker. */
static void start_in_order(const unsigned order[VICTIMS])
{
    struct starting d[VICTIMS];
    for (unsigned k = 0; k < VICTIMS; k++) {
        d[k] = start_daemon(&sandbox, victims[order[k]].name);
    }
    for (unsigned k = 0; k < VICTIMS; k++) {
        victims[order[k]].pid = await_ready(&d[k]);
    }
}

/* All are ended and started in every order of each. */
static void test_restart__in_any_order(void **state)
{
    (void)state;
    static const unsigned orders[6][VICTIMS] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                                {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    load_up();
    for (unsigned i = 0; i < 6; i++) {
        for (unsigned k = 0; k < VICTIMS; k++) {
            kill_daemon(victims[orders[i][k]].pid, k % 2 ? SIGTERM : SIGKILL);
        }
        start_in_order(orders[5 - i]);
        wait_for_service();
    }
    load_down();
}

/* -- thousands at once -- */

#define MANY 4500u

static struct {
    unsigned completed[MANY], n, right, wrong, cancelled;
} many;

static void submit_many(yz_client *client)
{
    for (unsigned i = 0; i < MANY; i++) {
        yz_request *r = NULL;
        yz_ticket ticket = {0};
        yz_error err = {0};
        assert_int_equal(yz_request_new(MARRIAGES, &r), YZ_OK);
        assert_int_equal(yz_request_add_key(r, (const char *const[]){PERSON}, 1), YZ_OK);
        assert_int_equal(yz_request_set_timeout(r, 1000 + dice_below(&dice, 4000)), YZ_OK);
        if (yz_submit(client, r, &many.completed[i], &ticket, &err) < 0) {
            fail_msg("%s", err.text);
        }
        if (dice_below(&dice, 10) == 0) {
            int rc = yz_cancel(client, ticket);
            assert_true(rc == YZ_OK || rc == YZ_ENOTFOUND); /* it was faster */
        }
        yz_request_free(r);
    }
}

static void take_what_ended(yz_client *client)
{
    yz_completion done;
    while (yz_poll(client, 0, &done, NULL) == YZ_OK) {
        unsigned *completed = done.ctx;
        (*completed)++;
        many.n++;
        many.cancelled += done.error.code == YZ_ECANCELLED;
        if (done.error.code == YZ_OK && yz_answer_status(done.answer) == YZ_STATUS_OK) {
            many.right += is_right(done.answer);
            many.wrong += !is_right(done.answer);
        }
        yz_answer_free(done.answer);
    }
}

/* Until so many have completed, asleep in poll() on the one descriptor between them. */
static void take_until(yz_client *client, unsigned n)
{
    struct pollfd fd = {yz_client_fd(client), POLLIN, 0};
    n = n < MANY ? n : MANY;
    for (uint64_t end = now_ms() + PATIENCE_MS; many.n < n;) {
        assert_true(now_ms() < end);
        assert_true(poll(&fd, 1, 1000) >= 0);
        take_what_ended(client);
    }
}

static void test_async__thousands_end_once_while_brokers_die(void **state)
{
    (void)state;
    yz_client *client = NULL;
    yz_error err = {0};
    memset(&many, 0, sizeof many);
    if (yz_client_open(client_path, &client, &err) < 0 ||
        yz_client_wait_ready(client, PATIENCE_MS, &err) < 0) {
        fail_msg("%s", err.text);
    }
    submit_many(client);
    take_until(client, 1 + dice_below(&dice, 200));
    kill_daemon(victims[0].pid, SIGKILL);
    take_until(client, many.n + 1 + dice_below(&dice, 200));
    kill_daemon(victims[1].pid, SIGKILL);
    struct starting back = start_daemon(&sandbox, victims[0].name);
    take_until(client, MANY);
    victims[0].pid = await_ready(&back);
    victims[1].pid = start_again(&sandbox, victims[1].name);
    assert_int_equal(poll(&(struct pollfd){yz_client_fd(client), POLLIN, 0}, 1, 0), 0);
    yz_client_close(client);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(many.completed[i], 1);
    }
    print_message("%u right, %u cancelled, of %u\n", many.right, many.cancelled, MANY);
    assert_int_equal(many.wrong, 0);
    assert_true(many.right > 0 && many.cancelled > 0);
}

int main(int argc, char **argv)
{
    int code;
    if (!soak_wanted(argc, argv, "kill", &code)) {
        return code;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill__at_random_under_load),
        cmocka_unit_test(test_restart__in_any_order),
        cmocka_unit_test(test_async__thousands_end_once_while_brokers_die),
    };
    code = cmocka_run_group_tests(tests, up, down);
    soak_end("kill");
    return code;
}
