/* SPDX-License-Identifier: Apache-2.0
 *
 * Thousands of calls on one handle to the real daemons: submitted from several threads, polled by
 * one, some taken back, the rest under way when the client is shut down. Every one completes
 * exactly once. And the poll loop of docs/client.md, as it stands there.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <pthread.h>

#include <yizhan/client.h>

#include "tests/integration/harness.h"

#define PERSON "990101199109086437"
#define MARRIAGES "CN/GOV/CIVIL/civil/marriages/v1"
#define THREADS 4u
#define EACH 500u
#define ENOUGH 1000u /* completions, of 2,000, before the client is shut down */

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

/* What the poller finds; read by others after it has ended, except `taken`. */
struct tally {
    yz_client *client;
    unsigned completed[THREADS][EACH];
    unsigned provider, broker, cancelled, closed, other;
    int end; /* what the last yz_poll said */
    yz_error last_other;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned taken;
};
struct submitter {
    struct tally *tally;
    pthread_t thread;
    unsigned row;
    yz_error err;
};

/* Takes back every tenth, half of them at once, half when more were submitted. */
static void *submit_many(void *arg)
{
    struct submitter *me = arg;
    yz_client *c = me->tally->client;
    yz_request *r = NULL;
    int rc = yz_request_new(MARRIAGES, &r);
    if (rc == YZ_OK) {
        rc = yz_request_add_key(r, (const char *const[]){PERSON}, 1);
    }
    yz_ticket tickets[EACH] = {0};
    for (unsigned i = 0; rc == YZ_OK && i < EACH; i++) {
        rc = yz_submit(c, r, &me->tally->completed[me->row][i], &tickets[i], &me->err);
        if (rc == YZ_OK && i % 10 == 9) {
            int cancelled = yz_cancel(c, tickets[i % 20 == 9 ? i : i - 7]);
            rc = cancelled == YZ_ENOTFOUND ? YZ_OK : cancelled; /* it was faster */
        }
    }
    me->err.code = rc;
    yz_request_free(r);
    return NULL;
}

static void count(struct tally *t, const yz_completion *done)
{
    unsigned *completed = done->ctx;
    (*completed)++;
    switch (done->error.code) {
    case YZ_OK:
        t->provider += yz_answer_origin(done->answer) == YZ_ORIGIN_PROVIDER &&
                       yz_answer_status(done->answer) == YZ_STATUS_OK &&
                       yz_answer_rows(done->answer) == 1;
        t->broker += yz_answer_origin(done->answer) == YZ_ORIGIN_BROKER;
        return;
    case YZ_ECANCELLED:
        t->cancelled++;
        return;
    case YZ_ECLOSED:
        t->closed++;
        return;
    default:
        t->other++;
        t->last_other = done->error;
        return;
    }
}

static void *poll_all(void *arg)
{
    struct tally *t = arg;
    yz_completion done;
    while ((t->end = yz_poll(t->client, 60000, &done, NULL)) == YZ_OK) {
        count(t, &done);
        yz_answer_free(done.answer);
        pthread_mutex_lock(&t->mutex);
        t->taken++;
        pthread_cond_signal(&t->changed);
        pthread_mutex_unlock(&t->mutex);
    }
    return NULL;
}

static void wait_for_enough(struct tally *t)
{
    pthread_mutex_lock(&t->mutex);
    while (t->taken < ENOUGH) {
        pthread_cond_wait(&t->changed, &t->mutex);
    }
    pthread_mutex_unlock(&t->mutex);
}

static void expect_once_each(const struct tally *t)
{
    for (unsigned i = 0; i < THREADS; i++) {
        for (unsigned j = 0; j < EACH; j++) {
            assert_int_equal(t->completed[i][j], 1);
        }
    }
    if (t->other > 0) {
        fail_msg("%u ended otherwise: %s", t->other, t->last_other.text);
    }
    assert_int_equal(t->provider + t->broker + t->cancelled + t->closed, THREADS * EACH);
    assert_true(t->provider > 0);
    assert_true(t->cancelled > 0 && t->cancelled <= THREADS * EACH / 10);
}

static void test_async__thousands_complete_once_each(void **state)
{
    (void)state;
    static struct tally t;
    struct submitter submitters[THREADS] = {0};
    pthread_t poller;
    yz_error err = {0};
    assert_int_equal(pthread_mutex_init(&t.mutex, NULL), 0);
    assert_int_equal(pthread_cond_init(&t.changed, NULL), 0);
    if (yz_client_open(sandbox.client, &t.client, &err) < 0 ||
        yz_client_wait_ready(t.client, 20000, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(pthread_create(&poller, NULL, poll_all, &t), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        submitters[i].tally = &t;
        submitters[i].row = i;
        assert_int_equal(pthread_create(&submitters[i].thread, NULL, submit_many, &submitters[i]),
                         0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(submitters[i].thread, NULL), 0);
        if (submitters[i].err.code < 0) {
            fail_msg("%s", submitters[i].err.text);
        }
    }
    wait_for_enough(&t);
    yz_client_shutdown(t.client);
    assert_int_equal(pthread_join(poller, NULL), 0);
    assert_int_equal(t.end, YZ_ECLOSED);
    yz_client_close(t.client);
    print_message("of %u: %u answered, %u outcomes of the broker, %u cancelled, %u closed\n",
                  THREADS * EACH, t.provider, t.broker, t.cancelled, t.closed);
    expect_once_each(&t);
    pthread_cond_destroy(&t.changed);
    pthread_mutex_destroy(&t.mutex);
}

static void test_document__its_poll_loop_works(void **state)
{
    (void)state;
    const struct output *o =
        run_program("docs_poll_loop", (const char *const[]){sandbox.client, MARRIAGES, PERSON,
                                                            "no such person", PERSON, NULL});
    assert_says(o, PERSON ": ok, 1 records\n");
    assert_says(o, "no such person: ok, 0 records\n");
    assert_int_equal(o->code, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_async__thousands_complete_once_each),
        cmocka_unit_test(test_document__its_poll_loop_works),
    };
    return cmocka_run_group_tests(tests, up, down);
}
