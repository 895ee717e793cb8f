/* SPDX-License-Identifier: Apache-2.0
 *
 * A grant is changed while calls are under way: each answer is wholly from one policy, the one in
 * force or one that was while the call was under way, and none is lost. The consumer has the right
 * to call all the time; what changes is whether the status is masked.
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
#include <string.h>

#include <yizhan/client.h>

#include "tests/integration/consumer.h"

#define PERSON "990101199109086437"
#define MARRIAGES "CN/GOV/CIVIL/civil/marriages/v1"
#define CALLERS 3u
#define CYCLES 4u

static struct sandbox sandbox;
static yz_client *client;

/* How many changes have begun, and how many are over: the answer to a call is by one of those from
 * the last that was over when it was sent to the last that had begun when its answer was there. */
static _Atomic unsigned begun, over;
static _Atomic bool stop;
static bool masked_after[CYCLES * 4 + 1]; /* each change; written before it begins */

struct caller {
    pthread_t thread;
    bool runs;
    unsigned calls, masked;
    char fault[256]; /* of the first wrong answer */
};
static struct caller callers[CALLERS];

static void end_callers(void)
{
    atomic_store(&stop, true);
    for (unsigned i = 0; i < CALLERS; i++) {
        if (callers[i].runs) {
            pthread_join(callers[i].thread, NULL);
        }
        callers[i].runs = false;
    }
}

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    client = open_consumer(sandbox.client);
    return 0;
}

static int down(void **state)
{
    (void)state;
    end_callers();
    yz_client_close(client);
    sandbox_down(&sandbox);
    return 0;
}

/* -- the callers -- */

static bool fits(bool masked, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++) {
        if (masked_after[i] == masked) {
            return true;
        }
    }
    return false;
}

/* Field and value say the same, and it is what was in force. */
static void judge(struct caller *c, const yz_answer *a, unsigned from, unsigned to)
{
    const void *value = "";
    size_t n = 0;
    if (yz_answer_origin(a) != YZ_ORIGIN_PROVIDER || yz_answer_status(a) != YZ_STATUS_OK ||
        yz_answer_rows(a) != 1 || yz_answer_value(a, 0, 0, &value, &n) < 0) {
        snprintf(c->fault, sizeof c->fault, "%s: %s %s", yz_status_name(yz_answer_status(a)),
                 yz_answer_reason(a), yz_answer_detail(a));
        return;
    }
    bool masked = yz_answer_field_mask(a, 0)[0] != '\0';
    bool plain = n == strlen("married") && memcmp(value, "married", n) == 0;
    if (masked == plain || !fits(masked, from, to)) {
        snprintf(c->fault, sizeof c->fault, "%.*s, %s, between changes %u and %u", (int)n,
                 (const char *)value, masked ? "masked" : "not masked", from, to);
    }
    c->masked += masked;
}

static void *call_on(void *ctx)
{
    struct caller *c = ctx;
    yz_request *r = NULL;
    if (yz_request_new(MARRIAGES, &r) < 0 ||
        yz_request_add_key(r, (const char *const[]){PERSON}, 1) < 0 ||
        yz_request_add_field(r, "status") < 0 || yz_request_set_timeout(r, 60000) < 0) {
        snprintf(c->fault, sizeof c->fault, "no request");
    }
    while (!atomic_load(&stop) && !c->fault[0]) {
        yz_answer *a = NULL;
        yz_error err = {0};
        unsigned from = atomic_load(&over);
        if (yz_call(client, r, &a, &err) < 0) {
            snprintf(c->fault, sizeof c->fault, "%.200s", err.text);
            break;
        }
        judge(c, a, from, atomic_load(&begun));
        yz_answer_free(a);
        c->calls++;
    }
    yz_request_free(r);
    return NULL;
}

/* -- the owner -- */

static void read_id(const char *text, char id[64])
{
    const char *at = strstr(text, "g-");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "%63[g0-9a-f-]", id), 1);
}

static void begin(bool masked)
{
    masked_after[atomic_load(&begun) + 1] = masked;
    atomic_fetch_add(&begun, 1);
}

static void add(bool mask, bool masked_then, char id[64])
{
    begin(masked_then);
    const char *words[20] = {"grant",
                             "add",
                             "--home",
                             in_sandbox(&sandbox, "civil/member"),
                             "--admin",
                             in_sandbox(&sandbox, "civil/admin.sock"),
                             "--service",
                             MARRIAGES,
                             "--consumer",
                             "CN/GOV/WINDOW/window",
                             "--field",
                             "status",
                             mask ? "--mask" : NULL,
                             mask ? "status=hide" : NULL};
    read_id(expect_yz(0, words)->text, id);
    atomic_fetch_add(&over, 1);
}

static void revoke(const char *id, bool masked_then)
{
    begin(masked_then);
    EXPECT_YZ(0, "grant", "revoke", "--home", in_sandbox(&sandbox, "civil/member"), "--admin",
              in_sandbox(&sandbox, "civil/admin.sock"), id);
    atomic_fetch_add(&over, 1);
}

/* Of several grants the first decides, so there is one at any time. */
static void change_there_and_back(char plain[64])
{
    char masked[64];
    add(true, false, masked);
    revoke(plain, true);
    add(false, true, plain);
    revoke(masked, false);
}

static void answers_are_of_one_policy_while_grants_change(void **state)
{
    (void)state;
    char plain[64];
    read_id(EXPECT_YZ(0, "grant", "list", "--home", in_sandbox(&sandbox, "civil/member"),
                      "--service", MARRIAGES, "--json")
                ->text,
            plain);
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_on, &callers[i]), 0);
        callers[i].runs = true;
    }
    for (unsigned i = 0; i < CYCLES; i++) {
        change_there_and_back(plain);
    }
    end_callers();
    for (unsigned i = 0; i < CALLERS; i++) {
        print_message("%u calls, %u masked\n", callers[i].calls, callers[i].masked);
        if (callers[i].fault[0]) {
            fail_msg("%s", callers[i].fault);
        }
        assert_true(callers[i].calls > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_of_one_policy_while_grants_change)};
    return cmocka_run_group_tests(tests, up, down);
}
