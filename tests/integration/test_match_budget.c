/* SPDX-License-Identifier: Apache-2.0
 *
 * Yes/no questions through the real daemons, and their budget: however many ask at once, whether
 * the adapter is stopped or killed meanwhile, and with two adapters of one service, no more are
 * answered than the owner said.
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
#include <string.h>

#include <yizhan/client.h>

#include "tests/integration/consumer.h"
#include "tests/integration/second_adapter.h"
#include "tests/support/now.h"

#define CLEARANCES "CN/GOV/TAX/clearance/clearances/v1"
#define WINDOW "CN/GOV/WINDOW/window"
#define PATIENCE_MS 120000u
#define BUDGET 10u
#define HERE(...) in_sandbox(&sandbox, __VA_ARGS__)
#define MATCH(code, person, ...)                                                                   \
    EXPECT_YZ(code, "match", "--config", sandbox.client, "--timeout", "60s", "--key", person,      \
              CLEARANCES, __VA_ARGS__)

/* Of the demo register: who owes nothing, and who owes 14,721.47. Each test has its own. */
#define CLEAR "990101199109086437"
#define OWES "990101200008086492"
static const char *const debtors[] = {"990101199307096863", "990101197311043917"};
static const char *const others[] = {"990101197911200381", "990101195811138251"};

static struct sandbox sandbox;
static yz_client *client;
static pid_t first_adapter, second_adapter;

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    first_adapter = adapter_pid(&sandbox, "tax");
    EXPECT_YZ(0, "grant", "add", "--home", HERE("tax/member"), "--admin", HERE("tax/admin.sock"),
              "--service", CLEARANCES, "--consumer", WINDOW, "--operation", "match", "--predicate",
              "tax-clear cleared eq true", "--predicate", "owes-more arrears gt", "--step",
              "owes-more=1000", "--budget", "owes-more=10");
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

/* -- one by one -- */

static void test_match__says_yes_no_and_unknown(void **state)
{
    (void)state;
    assert_says(MATCH(0, CLEAR, "tax-clear"), "tax-clear: yes\n");
    const struct output *o = MATCH(0, OWES, "tax-clear", "owes-more=14000", "owes-more=15000");
    assert_says(o, "tax-clear: no\nowes-more: yes\nowes-more: no\n");
    assert_null(strstr(o->text, "14721"));
    assert_says(MATCH(0, "nobody", "tax-clear", "owes-more=0"),
                "tax-clear: unknown\nowes-more: unknown\n");
    assert_says(MATCH(0, CLEAR, "tax-clear", "--json"), "\"matches\": [\n    \"yes\"\n  ]");
}

static void test_match__asks_only_what_is_granted(void **state)
{
    (void)state;
    assert_says(MATCH(3, CLEAR, "is-rich"), "the predicate is-rich is not granted");
    assert_says(MATCH(3, CLEAR, "owes-more=1"), "may not be asked with this value");
    assert_says(MATCH(1, CLEAR, "owes-more=much"), "bad-value");
    assert_says(MATCH(1, CLEAR, "owes-more"), "bad-value");
    MATCH(2, CLEAR, "=1");
    assert_says(EXPECT_YZ(3, "match", "--config", sandbox.client, "--key", "1",
                          "CN/GOV/HOUSING/registry/titles/v1", "tax-clear"),
                "operation");
}

/* -- many -- */

static yz_request *new_request(const char *person)
{
    yz_request *r = NULL;
    assert_int_equal(yz_request_new(CLEARANCES, &r), YZ_OK);
    assert_int_equal(yz_request_set_operation(r, YZ_MATCH), YZ_OK);
    assert_int_equal(yz_request_add_key(r, &person, 1), YZ_OK);
    assert_int_equal(yz_request_add_predicate(r, "owes-more", (const char *const[]){"0"}, 1),
                     YZ_OK);
    assert_int_equal(yz_request_set_timeout(r, PATIENCE_MS), YZ_OK);
    return r;
}

struct tally {
    unsigned answered, used_up, other;
};

static void count(struct tally *t, const yz_answer *a)
{
    if (a && yz_answer_status(a) == YZ_STATUS_OK) {
        assert_int_equal(yz_answer_matches(a), 1);
        t->answered++;
    } else if (a && strcmp(yz_answer_reason(a), "budget") == 0) {
        assert_int_equal(yz_answer_status(a), YZ_STATUS_DENIED);
        assert_int_equal(yz_answer_matches(a), 0);
        t->used_up++;
    } else {
        t->other++; /* an adapter or its broker's word on one that is gone */
    }
}

static void submit(const char *person, unsigned n)
{
    yz_request *r = new_request(person);
    for (unsigned i = 0; i < n; i++) {
        yz_error err = {0};
        if (yz_submit(client, r, NULL, NULL, &err) < 0) {
            fail_msg("%s", err.text);
        }
    }
    yz_request_free(r);
}

/* Until n more have completed. */
static void take(unsigned n, struct tally *t)
{
    uint64_t end = now_ms() + 2 * PATIENCE_MS; /* each has its own deadline before */
    while (n > 0) {
        yz_completion done;
        int rc = yz_poll(client, 1000, &done, NULL);
        assert_true(rc == YZ_OK || rc == YZ_ETIMEOUT);
        assert_true(now_ms() < end);
        if (rc == YZ_OK) {
            count(t, done.answer);
            yz_answer_free(done.answer);
            n--;
        }
    }
}

/* Ask until the budget is said to be used up. */
static void ask_until_refused(const char *person, struct tally *t)
{
    yz_request *r = new_request(person);
    unsigned before = t->used_up;
    for (uint64_t end = now_ms() + PATIENCE_MS; t->used_up == before;) {
        yz_answer *a = NULL;
        yz_error err = {0};
        int rc = yz_call(client, r, &a, &err);
        unsigned other = t->other;
        count(t, rc == YZ_OK ? a : NULL);
        yz_answer_free(a);
        assert_true(now_ms() < end);
        if (t->other > other) {
            poll(NULL, 0, 10); /* whoever answers is on its way */
        }
    }
    yz_request_free(r);
}

static void test_budget__is_exact_however_many_ask_at_once(void **state)
{
    (void)state;
    struct tally t = {0};
    submit(debtors[0], 60);
    take(60, &t);
    assert_int_equal(t.answered, BUDGET);
    assert_int_equal(t.used_up, 60 - BUDGET);
    assert_says(MATCH(3, debtors[0], "owes-more=2000"), "reason: budget");
    assert_says(MATCH(0, debtors[0], "tax-clear"), "tax-clear: no"); /* it is not counted */
    kill_daemon(first_adapter, SIGTERM);
    first_adapter = start_again(&sandbox, "tax");
    assert_says(MATCH(3, debtors[0], "owes-more=0"), "reason: budget");
}

static void test_budget__never_comes_back_through_a_kill(void **state)
{
    (void)state;
    struct tally t = {0};
    submit(debtors[1], 40);
    take(3, &t);
    kill_daemon(first_adapter, SIGKILL);
    first_adapter = start_again(&sandbox, "tax");
    take(37, &t);
    ask_until_refused(debtors[1], &t);
    assert_true(t.answered <= BUDGET);
    assert_true(t.answered >= 1);
    struct tally again = {0};
    kill_daemon(first_adapter, SIGKILL);
    first_adapter = start_again(&sandbox, "tax");
    ask_until_refused(debtors[1], &again);
    assert_int_equal(again.answered, 0);
}

/* -- two adapters -- */

/* CN/GOV/TAX/@a2 serves the same from the folder "tax2"; each of the two has half of the budget. */
static void add_adapter(void)
{
    second_adapter =
        second_adapter_up(&sandbox, &(struct second_adapter){"tax", "CN/GOV/TAX/@a2", "clearance",
                                                             "clearances.yaml"});
    EXPECT_YZ(0, "data", "import", "--admin", HERE("tax2/admin.sock"), "clearances",
              YZ_TEST_DATA "/demo/tax/clearances.csv");
    EXPECT_YZ(0, "service", "publish", "--home", HERE("tax/member"), "--subsystem", "clearance",
              "--service", "clearances/v1", "--definition", HERE("tax/clearances.yaml"),
              "--adapter", "CN/GOV/TAX/@a1", "--adapter", "CN/GOV/TAX/@a2", "--admin",
              HERE("tax/admin.sock"), "--admin", HERE("tax2/admin.sock"));
}

static void test_budget__of_two_adapters_is_one(void **state)
{
    (void)state;
    struct tally t = {0};
    add_adapter();
    submit(others[0], 60);
    take(60, &t);
    assert_true(t.answered <= BUDGET);
    kill_daemon(first_adapter, SIGTERM); /* what is left of the second's part */
    ask_until_refused(others[0], &t);
    assert_true(t.answered <= BUDGET);
    first_adapter = start_again(&sandbox, "tax");
    kill_daemon(second_adapter, SIGTERM); /* and of the first's */
    ask_until_refused(others[0], &t);
    assert_int_equal(t.answered, BUDGET);
    struct tally alone = {0};
    ask_until_refused(others[1], &alone);
    assert_int_equal(alone.answered, BUDGET / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match__says_yes_no_and_unknown),
        cmocka_unit_test(test_match__asks_only_what_is_granted),
        cmocka_unit_test(test_budget__is_exact_however_many_ask_at_once),
        cmocka_unit_test(test_budget__never_comes_back_through_a_kill),
        cmocka_unit_test(test_budget__of_two_adapters_is_one),
    };
    return cmocka_run_group_tests(tests, up, down);
}
