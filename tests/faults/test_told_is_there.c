/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client was told is there, whoever was killed: client programs that share a home are killed
 * between submitting a write and its answer, broker and adapter now and then, and all that survives
 * is what lies on the disk. Then each write that was told to be done is in the adapter's store,
 * none that was told not to be, and every exchange that the client's home keeps is proved by
 * itself, and is in the log of the broker that was started again on what it left.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <yizhan/client.h>

#include "tests/integration/consumer.h"
#include "tests/support/dice.h"

#define WINDOW "CN/GOV/WINDOW/window"
#define HERE(...) in_sandbox(&sandbox, __VA_ARGS__)
#define ROUNDS 16u
#define CHECKED 12u /* of the kept exchanges, with the log's own proof too */
#define PATIENCE_MS 120000u

static struct sandbox sandbox;
static yz_client *client; /* of the same home as the programs that are killed */
static pid_t adapter;
static struct dice dice;

static int up(void **state)
{
    (void)state;
    dice = dice_of("told-is-there");
    sandbox_up(&sandbox);
    offer_towns(&sandbox);
    adapter = adapter_pid(&sandbox, "statistics");
    keep_endpoints(&sandbox, "ops: \"\"\n");
    client = open_consumer(sandbox.client);
    return 0;
}

static int down(void **state)
{
    (void)state;
    yz_client_close(client);
    sandbox_down(&sandbox);
    return 0;
}

static void code_of(unsigned n, char out[8])
{
    snprintf(out, 8, "%06u", 700000u + n);
}

/* By the client that survives; 1 there, 0 not there, -1 not answered. */
static int look(const char *code)
{
    yz_request *r = NULL;
    yz_answer *a = NULL;
    int there = -1;
    assert_int_equal(yz_request_new(TOWNS, &r), YZ_OK);
    assert_int_equal(yz_request_add_key(r, &code, 1), YZ_OK);
    assert_int_equal(yz_request_set_timeout(r, PATIENCE_MS), YZ_OK);
    if (yz_call(client, r, &a, NULL) == YZ_OK && yz_answer_status(a) == YZ_STATUS_OK) {
        there = yz_answer_rows(a) == 1;
    }
    yz_answer_free(a);
    yz_request_free(r);
    return there;
}

/* Time goes by in calls, never by sleeping. */
static void spend(unsigned calls)
{
    for (unsigned i = 0; i < calls; i++) {
        (void)look("110101");
    }
}

static pid_t begin_insert(const char *code)
{
    char row[80];
    snprintf(row, sizeof row, "code=%s,name=town,city=9999,province=11", code);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execl(YZ_BIN_DIR "/yz", "yz", "call", "--config", sandbox.client, "--timeout", "60s",
              "--insert", row, TOWNS, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void kill_the_daemons(void)
{
    kill_daemon(adapter, SIGKILL);
    kill_daemon(sandbox.broker, SIGKILL);
    sandbox.broker = start_again(&sandbox, "broker");
    adapter = start_again(&sandbox, "statistics");
}

enum { DONE = 0, NOT_DONE = 4, OPEN = 6, KILLED = -1 };

/* Its exit code, or KILLED when it was faster to be killed. */
static int end_of(pid_t pid, bool kills)
{
    int status = 0;
    if (kills) {
        kill(pid, SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : KILLED;
}

static void everything_kept_is_proved(void)
{
    static char ids[65536];
    const struct output *o = EXPECT_YZ(0, "evidence", "kept", "--home", HERE("client"), "--json");
    snprintf(ids, sizeof ids, "%s", o->text);
    unsigned n = 0, all = 0;
    static const char key[] = "\"message_id\":";
    for (const char *at = ids; (at = strstr(at, key)) != NULL; at++) {
        all++;
    }
    unsigned step = all / CHECKED + 1, i = 0;
    for (const char *at = ids; (at = strstr(at, key)) != NULL; i++) {
        char id[64];
        if (i % step != 0) {
            at++;
            continue;
        }
        n++;
        at = strchr(at + strlen(key), '"') + 1;
        snprintf(id, sizeof id, "%.36s", at);
        EXPECT_YZ(0, "evidence", "bundle", "--home", HERE("client"), "--out", HERE("bundle"), id);
        EXPECT_YZ(0, "evidence", "verify", "--anchor", HERE("client/anchor.yzr"), HERE("bundle"));
        EXPECT_YZ(0, "evidence", "export", "--admin", HERE("broker/admin.sock"), "--out",
                  HERE("proof"), id);
        unlink(HERE("bundle"));
        unlink(HERE("proof"));
    }
    assert_true(n >= CHECKED / 2);
}

static void test_told__is_there_after_kills(void **state)
{
    (void)state;
    int told[ROUNDS];
    unsigned done = 0, killed = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        char code[8];
        code_of(i, code);
        pid_t pid = begin_insert(code);
        if (i % 4 == 1) {
            spend(dice_below(&dice, 20));
            kill_the_daemons();
        } else if (i % 4 == 0) {
            spend(dice_below(&dice, 1 + i)); /* the first at once */
        }
        told[i] = end_of(pid, i % 4 == 0);
        done += told[i] == DONE;
        killed += told[i] == KILLED;
    }
    kill_the_daemons();
    EXPECT_YZ(0, "call", "--config", sandbox.client, "--key", "110101",
              TOWNS); /* the home serves */
    for (unsigned i = 0; i < ROUNDS; i++) {
        char code[8];
        code_of(i, code);
        int there = look(code);
        print_message("%s: told %d, there %d\n", code, told[i], there);
        assert_in_range(there, 0, 1);
        assert_true(told[i] == DONE || told[i] == NOT_DONE || told[i] == OPEN || told[i] == KILLED);
        assert_true(told[i] != DONE || there);
        assert_true(told[i] != NOT_DONE || !there);
    }
    print_message("%u done, %u killed\n", done, killed);
    assert_true(done >= ROUNDS / 4);
    assert_true(killed > 0);
    everything_kept_is_proved();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_told__is_there_after_kills)};
    return cmocka_run_group_tests(tests, up, down);
}
