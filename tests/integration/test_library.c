/* SPDX-License-Identifier: Apache-2.0
 *
 * One libyizhan client that lives on while the real daemons around it stop, restart and are asked
 * by many threads at once.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <yizhan/client.h>

#include "tests/integration/consumer.h"

#define PERSON "990101199109086437"
#define MARRIAGES "CN/GOV/CIVIL/civil/marriages/v1"
#define THREADS 8u
#define CALLS 50u

static struct sandbox sandbox;
static yz_client *client;

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
    yz_client_close(client);
    sandbox_down(&sandbox);
    return 0;
}

static yz_request *ask(void)
{
    yz_request *r = NULL;
    assert_int_equal(yz_request_new(MARRIAGES, &r), 0);
    assert_int_equal(yz_request_add_key(r, (const char *const[]){PERSON}, 1), 0);
    assert_int_equal(yz_request_add_field(r, "status"), 0);
    return r;
}

static yz_answer *call(const yz_request *r)
{
    yz_answer *a = NULL;
    yz_error err = {0};
    if (yz_call(client, r, &a, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return a;
}

static void expect_married(const yz_answer *a)
{
    const void *value;
    size_t n;
    assert_int_equal(yz_answer_origin(a), YZ_ORIGIN_PROVIDER);
    assert_int_equal(yz_answer_status(a), YZ_STATUS_OK);
    assert_int_equal(yz_answer_rows(a), 1);
    assert_int_equal(yz_answer_value(a, 0, 0, &value, &n), 0);
    assert_int_equal(n, strlen("married"));
    assert_memory_equal(value, "married", n);
}

static void test_json__is_what_another_reader_reads(void **state)
{
    (void)state;
    yz_request *r = ask();
    yz_answer *a = call(r);
    expect_married(a);
    char *text = NULL;
    assert_int_equal(yz_answer_json(a, 1, &text), 0);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "origin")), "provider");
    assert_string_equal(json_string_value(json_object_get(root, "node")), "CN/GOV/CIVIL/@a1");
    assert_string_equal(json_string_value(json_object_get(root, "message_id")),
                        yz_answer_message_id(a));
    assert_true(json_integer_value(json_object_get(root, "policy_version")) > 0);
    json_t *record = json_array_get(json_object_get(root, "records"), 0);
    assert_string_equal(json_string_value(json_object_get(record, "status")), "married");
    assert_int_equal(json_object_size(record), 1);
    json_decref(root);
    free(text);
    yz_answer_free(a);
    yz_request_free(r);
}

static void test_adapter__restarted_has_another_key_and_the_caller_does_not_notice(void **state)
{
    (void)state;
    yz_request *r = ask();
    yz_answer_free(call(r)); /* now the old key is known, for a minute */
    kill_daemon(adapter_pid(&sandbox, "civil"), SIGKILL);
    start_again(&sandbox, "civil");
    yz_answer *a = call(r);
    expect_married(a);
    yz_answer_free(a);
    yz_request_free(r);
}

struct caller {
    pthread_t thread;
    unsigned ok;
    yz_error err;
};

static void *call_many(void *arg)
{
    struct caller *me = arg;
    yz_request *r = NULL;
    if (yz_request_new(MARRIAGES, &r) < 0 ||
        yz_request_add_key(r, (const char *const[]){PERSON}, 1) < 0) {
        return NULL;
    }
    for (unsigned i = 0; i < CALLS; i++) {
        yz_answer *a = NULL;
        if (yz_call(client, r, &a, &me->err) == YZ_OK) {
            me->ok += yz_answer_status(a) == YZ_STATUS_OK && yz_answer_rows(a) == 1;
        }
        yz_answer_free(a);
    }
    yz_request_free(r);
    return NULL;
}

static void test_call__many_threads_share_a_client(void **state)
{
    (void)state;
    struct caller callers[THREADS] = {0};
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_many, &callers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        if (callers[i].ok != CALLS) {
            fail_msg("%u of %u: %s", callers[i].ok, CALLS, callers[i].err.text);
        }
    }
}

static void test_adapter__that_hangs_is_a_timeout_the_broker_signs(void **state)
{
    (void)state;
    kill_daemon(adapter_pid(&sandbox, "tax"), SIGKILL);
    pid_t tax = start_again(&sandbox, "tax");
    yz_request *r = NULL;
    assert_int_equal(yz_request_new("CN/GOV/TAX/clearance/clearances/v1", &r), 0);
    assert_int_equal(yz_request_add_key(r, (const char *const[]){PERSON}, 1), 0);
    yz_answer_free(call(r));
    assert_int_equal(yz_request_set_timeout(r, 3000), 0);
    assert_int_equal(kill(tax, SIGSTOP), 0);
    yz_answer *a = call(r);
    assert_int_equal(kill(tax, SIGCONT), 0);
    assert_int_equal(yz_answer_origin(a), YZ_ORIGIN_BROKER);
    assert_int_equal(yz_answer_status(a), YZ_STATUS_TIMEOUT);
    assert_true(yz_answer_elapsed(a) < 3000);
    yz_answer_free(a);
    yz_request_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json__is_what_another_reader_reads),
        cmocka_unit_test(test_adapter__restarted_has_another_key_and_the_caller_does_not_notice),
        cmocka_unit_test(test_call__many_threads_share_a_client),
        cmocka_unit_test(test_adapter__that_hangs_is_a_timeout_the_broker_signs),
    };
    return cmocka_run_group_tests(tests, up, down);
}
