/* SPDX-License-Identifier: Apache-2.0
 *
 * Submit and poll on the public handle: every submitted call completes exactly once, whatever else
 * happens to it.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/alloc_fail.h"
#include "tests/unit/client/scene.h"

#define LONG_MS 20000u
#define MANY 200u

/* -- what all of them do -- */

static yz_ticket submit(yz_client *c, void *ctx)
{
    yz_request *r = scene_request();
    yz_ticket ticket = 0;
    yz_error err = {0};
    if (yz_submit(c, r, ctx, &ticket, &err) < 0) {
        fail_msg("%s", err.text);
    }
    yz_request_free(r); /* it was copied */
    assert_true(ticket > 0);
    return ticket;
}

static yz_completion take(yz_client *c)
{
    yz_completion done = {0};
    yz_error err = {0};
    if (yz_poll(c, LONG_MS, &done, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_true((done.error.code == YZ_OK) == (done.answer != NULL));
    assert_true((done.error.code == YZ_OK) == (done.error.text[0] == 0));
    return done;
}

static bool is_readable(yz_client *c, int timeout_ms)
{
    struct pollfd p = {yz_client_fd(c), POLLIN, 0};
    int n = poll(&p, 1, timeout_ms);
    assert_true(n >= 0);
    return n == 1;
}

static void expect_none(yz_client *c, int rc)
{
    yz_completion done = {.ticket = 77};
    yz_error err = {0};
    assert_int_equal(yz_poll(c, 0, &done, &err), rc);
    assert_int_equal(err.code, rc);
    assert_int_equal(done.ticket, 77); /* written on success only */
}

/* Take one that ended with this code; its answer, if any, is dropped. */
static void expect_end(yz_client *c, yz_ticket ticket, int code, const char *says)
{
    yz_completion done = take(c);
    yz_answer_free(done.answer);
    assert_int_equal(done.ticket, ticket);
    if (done.error.code != code || !strstr(done.error.text, says)) {
        fail_msg("%s \"%s\", not %s \"%s\"", yz_err_name(done.error.code), done.error.text,
                 yz_err_name(code), says);
    }
}

/* -- the ordinary way -- */

static void test_submit__each_completes_once_with_its_own_context(void **state)
{
    struct scene *sc = *state;
    scene_start(sc);
    yz_client *c = scene_open(sc);
    struct {
        yz_ticket ticket;
        unsigned completed;
    } calls[MANY] = {0};
    for (unsigned i = 0; i < MANY; i++) {
        calls[i].ticket = submit(c, &calls[i]);
        assert_true(i == 0 || calls[i].ticket != calls[i - 1].ticket);
    }
    for (unsigned i = 0; i < MANY; i++) {
        yz_completion done = take(c);
        size_t at = ((uintptr_t)done.ctx - (uintptr_t)calls) / sizeof calls[0];
        assert_true(at < MANY && done.ctx == &calls[at] && done.ticket == calls[at].ticket);
        calls[at].completed++;
        assert_int_equal(done.error.code, YZ_OK);
        assert_int_equal(yz_answer_status(done.answer), YZ_STATUS_OK);
        assert_int_equal(yz_answer_rows(done.answer), 1);
        yz_answer_free(done.answer);
    }
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(calls[i].completed, 1);
    }
    expect_none(c, YZ_ETIMEOUT);
    yz_client_close(c);
}

static void test_fd__is_readable_while_a_completion_waits(void **state)
{
    struct scene *sc = *state;
    scene_start(sc);
    yz_client *c = scene_open(sc);
    assert_false(is_readable(c, 0));
    yz_ticket ticket = submit(c, NULL);
    assert_true(is_readable(c, (int)LONG_MS));
    assert_true(is_readable(c, 0)); /* looking takes nothing away */
    expect_end(c, ticket, YZ_OK, "");
    assert_false(is_readable(c, 0));
    yz_client_close(c);
}

static void test_poll__waits_no_longer_than_it_was_told(void **state)
{
    struct scene *sc = *state;
    yz_client *c = scene_open(sc);
    yz_completion done;
    yz_error err = {0};
    uint64_t before = yzi_mono_ms(&yzi_clock_system);
    assert_int_equal(yz_poll(c, 30, &done, &err), YZ_ETIMEOUT);
    assert_true(yzi_mono_ms(&yzi_clock_system) - before >= 30);
    assert_non_null(strstr(err.text, "30 ms"));
    expect_none(c, YZ_ETIMEOUT);
    yz_client_close(c);
}

static void test_calls__of_both_kinds_share_a_client(void **state)
{
    struct scene *sc = *state;
    scene_start(sc);
    yz_client *c = scene_open(sc);
    yz_request *r = scene_request();
    yz_answer *a = NULL;
    yz_ticket ticket = submit(c, NULL);
    assert_int_equal(yz_call(c, r, &a, NULL), YZ_OK);
    yz_answer_free(a);
    yz_request_free(r);
    expect_end(c, ticket, YZ_OK, "");
    expect_none(c, YZ_ETIMEOUT);
    yz_client_close(c);
}

static void test_api__misuse_is_refused(void **state)
{
    struct scene *sc = *state;
    yz_client *c = scene_open(sc);
    yz_request *r = scene_request(), *empty = NULL;
    yz_completion done;
    yz_ticket ticket = 77;
    yz_error err = {0};
    assert_int_equal(yz_request_new(WORLD_SERVICE, &empty), 0);
    assert_int_equal(yz_submit(NULL, r, NULL, &ticket, &err), YZ_EINVAL);
    assert_int_equal(yz_submit(c, NULL, NULL, &ticket, NULL), YZ_EINVAL);
    err = (yz_error){0};
    assert_int_equal(yz_submit(c, empty, NULL, &ticket, &err), YZ_EINVAL);
    assert_true(err.code == YZ_EINVAL && err.text[0]);
    assert_int_equal(ticket, 77);
    assert_int_equal(yz_poll(NULL, 0, &done, &err), YZ_EINVAL);
    assert_int_equal(yz_poll(c, 0, NULL, NULL), YZ_EINVAL);
    assert_int_equal(yz_client_fd(NULL), YZ_EINVAL);
    assert_int_equal(yz_cancel(NULL, 1), YZ_EINVAL);
    assert_int_equal(yz_cancel(c, 0), YZ_ENOTFOUND);
    assert_int_equal(yz_cancel(c, 1), YZ_ENOTFOUND);
    expect_none(c, YZ_ETIMEOUT); /* what was refused does not complete */
    yz_client_shutdown(NULL);
    yz_request_free(empty);
    yz_request_free(r);
    yz_client_close(c);
}

/* -- deadlines -- */

static void test_deadline__is_each_calls_own(void **state)
{
    struct scene *sc = *state;
    sc->keeps_silent = true;
    scene_start(sc);
    yz_client *c = scene_open(sc);
    assert_int_equal(yz_client_wait_ready(c, LONG_MS, NULL), 0);
    yz_request *r = scene_request();
    yz_ticket tickets[3];
    static const uint32_t ms[3] = {30000, 900, 100};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(yz_request_set_timeout(r, ms[i]), 0);
        assert_int_equal(yz_submit(c, r, NULL, &tickets[i], NULL), 0);
    }
    yz_request_free(r);
    expect_end(c, tickets[2], YZ_ETIMEOUT, "");
    expect_end(c, tickets[1], YZ_ETIMEOUT, "");
    expect_none(c, YZ_ETIMEOUT);
    yz_client_close(c);
}

/* -- taking back -- */

static void test_cancel__ends_a_sent_call_and_no_other(void **state)
{
    struct scene *sc = *state;
    sc->keeps_silent = true;
    scene_start(sc);
    yz_client *c = scene_open(sc);
    yz_ticket tickets[3];
    for (unsigned i = 0; i < 3; i++) {
        tickets[i] = submit(c, &tickets[i]);
    }
    scene_wait_taken(sc, 3);
    assert_int_equal(yz_cancel(c, tickets[1]), YZ_OK);
    yz_completion done = take(c);
    assert_ptr_equal(done.ctx, &tickets[1]);
    assert_int_equal(done.ticket, tickets[1]);
    assert_int_equal(done.error.code, YZ_ECANCELLED);
    assert_non_null(strstr(done.error.text, "was sent as "));
    assert_int_equal(yz_cancel(c, tickets[1]), YZ_ENOTFOUND);
    expect_none(c, YZ_ETIMEOUT);
    yz_client_close(c);
}

static void test_cancel__of_what_was_not_sent(void **state)
{
    struct scene *sc = *state;
    puppet_down(&sc->s->b1);
    yz_client *c = scene_open(sc);
    for (unsigned i = 0; i < MANY; i++) { /* taken up by the thread already, or not yet */
        yz_ticket ticket = submit(c, NULL);
        assert_int_equal(yz_cancel(c, ticket), YZ_OK);
        int again = yz_cancel(c, ticket);
        assert_true(again == YZ_OK || again == YZ_ENOTFOUND);
        expect_end(c, ticket, YZ_ECANCELLED, "nothing was sent");
        assert_int_equal(yz_cancel(c, ticket), YZ_ENOTFOUND);
    }
    expect_none(c, YZ_ETIMEOUT);
    yz_client_close(c);
}

static void test_cancel__after_the_end_leaves_the_answer(void **state)
{
    struct scene *sc = *state;
    scene_start(sc);
    yz_client *c = scene_open(sc);
    yz_ticket ticket = submit(c, NULL);
    assert_true(is_readable(c, (int)LONG_MS));
    assert_int_equal(yz_cancel(c, ticket), YZ_ENOTFOUND);
    expect_end(c, ticket, YZ_OK, "");
    yz_client_close(c);
}

/* What is to be taken back ends in the same moment: once, one way or the other. */
static void test_cancel__races_with_the_answer(void **state)
{
    struct scene *sc = *state;
    scene_start(sc);
    yz_client *c = scene_open(sc);
    enum { ROUNDS = 200, AT_ONCE = 8 };
    unsigned cancelled = 0, answered = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned ended[AT_ONCE] = {0};
        yz_ticket tickets[AT_ONCE];
        for (unsigned k = 0; k < AT_ONCE; k++) {
            tickets[k] = submit(c, &ended[k]);
        }
        for (unsigned k = 0; k < i % AT_ONCE; k++) { /* the first have their answers by then */
            yz_completion done = take(c);
            (*(unsigned *)done.ctx)++;
            answered += done.error.code == YZ_OK;
            cancelled += done.error.code == YZ_ECANCELLED;
            yz_answer_free(done.answer);
        }
        for (unsigned k = 0; k < AT_ONCE; k++) {
            int rc = yz_cancel(c, tickets[k]);
            assert_true(rc == YZ_OK || rc == YZ_ENOTFOUND);
        }
        for (unsigned k = i % AT_ONCE; k < AT_ONCE; k++) {
            yz_completion done = take(c);
            (*(unsigned *)done.ctx)++;
            answered += done.error.code == YZ_OK;
            cancelled += done.error.code == YZ_ECANCELLED;
            yz_answer_free(done.answer);
        }
        for (unsigned k = 0; k < AT_ONCE; k++) {
            assert_int_equal(ended[k], 1);
        }
    }
    assert_int_equal(answered + cancelled, ROUNDS * AT_ONCE);
    assert_true(answered > 0 && cancelled > 0);
    expect_none(c, YZ_ETIMEOUT);
    yz_client_close(c);
}

/* -- bounds -- */

static void test_submit__is_bounded_until_completions_are_taken(void **state)
{
    struct scene *sc = *state;
    FILE *f = fopen(sc->config, "a");
    assert_non_null(f);
    assert_true(fputs("in_flight: 4\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    puppet_down(&sc->s->b1);
    yz_client *c = scene_open(sc);
    yz_request *r = scene_request();
    yz_ticket tickets[4], more = 77;
    yz_error err = {0};
    for (unsigned i = 0; i < 4; i++) {
        tickets[i] = submit(c, NULL);
    }
    assert_int_equal(yz_submit(c, r, NULL, &more, &err), YZ_EBUSY);
    assert_non_null(strstr(err.text, "in_flight"));
    assert_int_equal(yz_cancel(c, tickets[2]), YZ_OK);
    assert_true(is_readable(c, (int)LONG_MS));
    assert_int_equal(yz_submit(c, r, NULL, &more, NULL), YZ_EBUSY);
    assert_int_equal(more, 77);
    expect_end(c, tickets[2], YZ_ECANCELLED, "");
    assert_int_equal(yz_submit(c, r, NULL, &more, NULL), YZ_OK);
    assert_int_equal(yz_submit(c, r, NULL, NULL, NULL), YZ_EBUSY);
    yz_request_free(r);
    yz_client_shutdown(c);
    for (unsigned i = 0; i < 4; i++) {
        yz_completion done = take(c);
        assert_int_equal(done.error.code, YZ_ECLOSED);
        assert_true(done.ticket != tickets[2]);
    }
    expect_none(c, YZ_ECLOSED);
    yz_client_close(c);
}

static void test_submit__out_of_memory_is_no_call(void **state)
{
    struct scene *sc = *state;
    puppet_down(&sc->s->b1);
    yz_client *c = scene_open(sc);
    yz_request *r = scene_request();
    size_t nth = 0;
    int rc;
    do {
        yz_alloc_fail_start(++nth);
        rc = yz_submit(c, r, NULL, NULL, NULL);
        struct alloc_fail_result result = yz_alloc_fail_stop();
        assert_int_equal(rc, result.failed ? YZ_ENOMEM : YZ_OK);
        assert_true(rc == YZ_OK || result.live == 0);
    } while (rc < 0);
    assert_true(nth > 4);
    yz_request_free(r);
    yz_client_shutdown(c);
    expect_end(c, 1, YZ_ECLOSED, ""); /* the first that succeeded, and the only one */
    expect_none(c, YZ_ECLOSED);
    yz_client_close(c);
}

/* -- the end -- */

static void test_close__frees_what_nobody_took(void **state)
{
    struct scene *sc = *state;
    scene_start(sc);
    yz_client *c = scene_open(sc);
    for (unsigned i = 0; i < 20; i++) {
        (void)submit(c, NULL);
    }
    assert_true(is_readable(c, (int)LONG_MS));
    yz_client_close(c); /* some have answers, some are under way */
}

static void test_shutdown__completes_what_is_under_way(void **state)
{
    struct scene *sc = *state;
    sc->keeps_silent = true;
    scene_start(sc);
    yz_client *c = scene_open(sc);
    yz_request *r = scene_request();
    yz_error err = {0};
    for (unsigned i = 0; i < 8; i++) {
        (void)submit(c, NULL);
    }
    scene_wait_taken(sc, 4);
    yz_client_shutdown(c);
    yz_client_shutdown(c);
    assert_int_equal(yz_submit(c, r, NULL, NULL, &err), YZ_ECLOSED);
    assert_true(err.text[0]);
    yz_answer *a = NULL;
    assert_int_equal(yz_call(c, r, &a, NULL), YZ_ECLOSED);
    for (unsigned i = 0; i < 8; i++) {
        assert_true(is_readable(c, 0));
        yz_completion done = take(c);
        assert_int_equal(done.error.code, YZ_ECLOSED);
        assert_int_equal(yz_cancel(c, done.ticket), YZ_ENOTFOUND);
    }
    assert_true(is_readable(c, 0));
    expect_none(c, YZ_ECLOSED);
    expect_none(c, YZ_ECLOSED);
    assert_true(is_readable(c, 0));
    yz_request_free(r);
    yz_client_close(c);
}

/* -- threads -- */

#define SUBMITTERS 4u
#define POLLERS 2u
#define EACH 60u

struct crowd {
    yz_client *client;
    atomic_uint completed[SUBMITTERS][EACH];
    atomic_uint codes[4]; /* answered, cancelled, closed, anything else */
};
struct submitter {
    struct crowd *crowd;
    pthread_t thread;
    unsigned row;
    bool ok;
};

/* Takes back every third call, some of them at once and some later. */
static void *submit_many(void *arg)
{
    struct submitter *me = arg;
    yz_request *r = NULL;
    yz_ticket before = 0;
    me->ok = yz_request_new(WORLD_SERVICE, &r) == YZ_OK &&
             yz_request_add_key(r, (const char *const[]){"310101"}, 1) == YZ_OK;
    for (unsigned i = 0; me->ok && i < EACH; i++) {
        yz_ticket ticket = 0;
        me->ok = yz_submit(me->crowd->client, r, &me->crowd->completed[me->row][i], &ticket,
                           NULL) == YZ_OK;
        if (me->ok && i % 3 == 0) {
            int rc = yz_cancel(me->crowd->client, i % 2 ? ticket : before);
            me->ok = rc == YZ_OK || rc == YZ_ENOTFOUND;
        }
        before = ticket;
    }
    yz_request_free(r);
    return NULL;
}

static void *poll_until_closed(void *arg)
{
    struct crowd *crowd = arg;
    yz_completion done;
    int rc;
    while ((rc = yz_poll(crowd->client, 2u * LONG_MS, &done, NULL)) == YZ_OK) {
        int code = done.error.code;
        atomic_fetch_add((atomic_uint *)done.ctx, 1);
        atomic_fetch_add(&crowd->codes[code == YZ_OK           ? 0
                                       : code == YZ_ECANCELLED ? 1
                                       : code == YZ_ECLOSED    ? 2
                                                               : 3],
                         1);
        yz_answer_free(done.answer);
    }
    return rc == YZ_ECLOSED ? crowd : NULL;
}

static void test_threads__submit_cancel_poll_and_shut_down(void **state)
{
    struct scene *sc = *state;
    scene_start(sc);
    struct crowd crowd = {.client = scene_open(sc)};
    struct submitter submitters[SUBMITTERS] = {0};
    pthread_t pollers[POLLERS];
    for (unsigned i = 0; i < POLLERS; i++) {
        assert_int_equal(pthread_create(&pollers[i], NULL, poll_until_closed, &crowd), 0);
    }
    for (unsigned i = 0; i < SUBMITTERS; i++) {
        submitters[i].crowd = &crowd;
        submitters[i].row = i;
        assert_int_equal(pthread_create(&submitters[i].thread, NULL, submit_many, &submitters[i]),
                         0);
    }
    for (unsigned i = 0; i < SUBMITTERS; i++) {
        assert_int_equal(pthread_join(submitters[i].thread, NULL), 0);
        assert_true(submitters[i].ok);
    }
    scene_wait_taken(sc, 20);
    yz_client_shutdown(crowd.client); /* with calls under way, and pollers waiting */
    for (unsigned i = 0; i < POLLERS; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(pollers[i], &result), 0);
        assert_ptr_equal(result, &crowd);
    }
    yz_client_close(crowd.client);
    for (unsigned i = 0; i < SUBMITTERS; i++) {
        for (unsigned j = 0; j < EACH; j++) {
            assert_int_equal(atomic_load(&crowd.completed[i][j]), 1);
        }
    }
    assert_int_equal(crowd.codes[3], 0);
    assert_true(crowd.codes[1] > 0);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, scene_set_up, scene_tear_down)

/* What a child made by fork may do with its parent's client: nothing, and it harms nobody. */
static int use_in_child(yz_client *c, const yz_request *r, yz_ticket ticket)
{
    yz_error err = {0};
    yz_answer *answer;
    yz_completion done;
    bool refused = yz_submit(c, r, NULL, NULL, &err) == YZ_EINVAL && strstr(err.text, "fork") &&
                   yz_call(c, r, &answer, &err) == YZ_EINVAL &&
                   yz_client_wait_ready(c, LONG_MS, &err) == YZ_EINVAL &&
                   yz_poll(c, LONG_MS, &done, &err) == YZ_EINVAL &&
                   yz_cancel(c, ticket) == YZ_EINVAL;
    yz_client_shutdown(c);
    yz_client_close(c);
    return refused ? 0 : 1;
}

static void test_fork__leaves_the_client_to_the_parent(void **state)
{
    struct scene *sc = *state;
    scene_start(sc);
    yz_client *c = scene_open(sc);
    yz_request *r = scene_request();
    yz_ticket ticket = submit(c, NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(use_in_child(c, r, ticket));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect_end(c, ticket, YZ_OK, "");
    expect_end(c, submit(c, NULL), YZ_OK, "");
    yz_request_free(r);
    yz_client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_submit__each_completes_once_with_its_own_context),
        TEST(test_fd__is_readable_while_a_completion_waits),
        TEST(test_poll__waits_no_longer_than_it_was_told),
        TEST(test_calls__of_both_kinds_share_a_client),
        TEST(test_api__misuse_is_refused),
        TEST(test_deadline__is_each_calls_own),
        TEST(test_cancel__ends_a_sent_call_and_no_other),
        TEST(test_cancel__of_what_was_not_sent),
        TEST(test_cancel__after_the_end_leaves_the_answer),
        TEST(test_cancel__races_with_the_answer),
        TEST(test_submit__is_bounded_until_completions_are_taken),
        TEST(test_submit__out_of_memory_is_no_call),
        TEST(test_close__frees_what_nobody_took),
        TEST(test_shutdown__completes_what_is_under_way),
        TEST(test_fork__leaves_the_client_to_the_parent),
        TEST(test_threads__submit_cancel_poll_and_shut_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
