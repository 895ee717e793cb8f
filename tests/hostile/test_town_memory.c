/* SPDX-License-Identifier: Apache-2.0
 *
 * An adapter that runs out of memory at every allocation of whole flows, one after the other, in
 * its link thread's steps or in its workers: a call ends exactly once, and what it is told is so; a
 * step that fails ends the adapter, as it ends its program; and afterwards the same adapter (or its
 * successor) serves as if nothing had been. Only the adapter's own allocations fail, not those of
 * the broker and the client beside it.
 */
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/hostile/town.h"
#include "tests/support/alloc_fail.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define ALLOCATIONS_MAX 1500u /* a flow that never gets by is a fault of the test */
#define TICK_MS                                                                                    \
    200u /* of the town's clock, for some 5 ms of real time at most: connections are made */
#define LONG_TICK_MS 1000u /* when deadlines and hold-offs are what is waited for */
#define TICKS 40u          /* before they are */
#define TRIES 5u
#define THREADS_MAX 16u

struct scene {
    struct town *t;
    int threads[THREADS_MAX]; /* the adapter's */
    size_t threads_n;
    bool in_workers; /* where memory runs out; else in the link thread's steps */
    unsigned ended;  /* adapters that a failed step ended */
    unsigned inserts;
};

/* -- the adapter's threads -- */

static size_t list_threads(int out[THREADS_MAX])
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] != '.') {
            assert_true(n < THREADS_MAX);
            out[n++] = atoi(e->d_name);
        }
    }
    closedir(dir);
    return n;
}

static void start_adapter(struct scene *s)
{
    int before[THREADS_MAX], after[THREADS_MAX];
    size_t n = list_threads(before);
    town_start_adapter(s->t, 0);
    size_t m = list_threads(after);
    s->threads_n = 0;
    for (size_t i = 0; i < m; i++) {
        bool is_old = false;
        for (size_t k = 0; k < n; k++) {
            is_old = is_old || before[k] == after[i];
        }
        if (!is_old) {
            s->threads[s->threads_n++] = after[i];
        }
    }
    assert_true(s->threads_n > 0);
}

static int set_up_for(void **state, bool writes, bool in_workers)
{
    struct scene *s;
    OK(yzi_alloc(1, sizeof *s, &s));
    s->t = town_new();
    s->in_workers = in_workers;
    s->t->w->offers_write = writes;
    town_start_broker(s->t, 0);
    start_adapter(s);
    town_start_client(s->t);
    town_wait_ready(s->t);
    town_settle(s->t);
    s->t->before_adapter = yz_alloc_fail_resume;
    s->t->after_adapter = yz_alloc_fail_pause;
    yz_alloc_fail_arm(0);
    *state = s;
    return 0;
}

static int set_up(void **state)
{
    return set_up_for(state, false, false);
}

static int set_up_workers(void **state)
{
    return set_up_for(state, false, true);
}

static int set_up_writes(void **state)
{
    return set_up_for(state, true, false);
}

static int set_up_writes_workers(void **state)
{
    return set_up_for(state, true, true);
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    yz_alloc_fail_stop();
    (void)yz_alloc_fail_in(NULL, 0, 0);
    s->t->before_adapter = NULL;
    town_free(s->t);
    free(s);
    return 0;
}

/* -- memory -- */

static void arm(struct scene *s, unsigned n)
{
    if (s->in_workers) {
        (void)yz_alloc_fail_in(s->threads, s->threads_n, n);
    } else {
        yz_alloc_fail_arm(n);
    }
}

static bool is_hit(const struct scene *s)
{
    return s->in_workers ? yz_alloc_fail_in_hit() : yz_alloc_fail_hit();
}

static bool disarm(struct scene *s)
{
    if (s->in_workers) {
        return yz_alloc_fail_in(NULL, 0, 0);
    }
    bool hit = yz_alloc_fail_stop().failed;
    yz_alloc_fail_arm(0);
    return hit;
}

/* Somebody starts it again, with all the memory it wants. */
static void revive(struct scene *s)
{
    if (!s->t->adapters[0]) {
        disarm(s);
        s->ended++;
        start_adapter(s);
    }
}

/* -- calls -- */

static void begin(struct scene *s, bool write, struct town_call *c)
{
    if (!write) {
        town_call(s->t, 7, c);
        return;
    }
    yz_request *r;
    char id[16];
    snprintf(id, sizeof id, "x%u", s->inserts++);
    yz_value row[] = {{id, strlen(id)}, {"single", 6}};
    OK(yz_request_new(WORLD_SERVICE, &r));
    OK(yz_request_set_operation(r, YZ_INSERT));
    OK(yz_request_add_field(r, "person_id"));
    OK(yz_request_add_field(r, "status"));
    OK(yz_request_add_row(r, row, 2));
    town_ask(s->t, r, c);
    yz_request_free(r);
}

/* What was lost is noticed by time alone. */
static bool run_until_ended(struct scene *s, struct town_call *c)
{
    bool hit = false;
    town_begin(s->t);
    while (!c->ended) {
        town_wait(s->t);
        hit = hit || is_hit(s);
        revive(s);
        if (hit) {
            yzi_manual_clock_advance(&s->t->w->clock, LONG_TICK_MS);
        }
    }
    return hit;
}

/* Everybody is up and nothing is under way. */
static void recover(struct scene *s)
{
    town_begin(s->t);
    revive(s);
    for (unsigned i = 0; !town_is_ready(s->t) || s->t->adapters[0]->jobs_out; i++) {
        town_wait(s->t);
        yzi_manual_clock_advance(&s->t->w->clock, i < TICKS ? TICK_MS : LONG_TICK_MS);
    }
}

static uint64_t records(struct scene *s)
{
    uint64_t n;
    OK(yzi_store_count(yzi_adapter_store(s->t->adapters[0], yzi_bytes_str("marriage")), &n));
    return n;
}

static bool says_done(const struct town_call *c)
{
    return c->rc == YZ_OK && yz_answer_status(c->answer) == YZ_STATUS_OK;
}

/* It may have been executed, for all the caller is told. */
static bool is_open(const struct town_call *c)
{
    return c->rc == YZ_OK ? yz_answer_status(c->answer) == YZ_STATUS_INDETERMINATE
                          : c->rc == YZ_ETIMEOUT;
}

static bool call_once(struct scene *s, bool write, unsigned n, struct town_call *c)
{
    uint64_t before = records(s);
    if (n) {
        arm(s, n);
    }
    begin(s, write, c);
    bool hit = run_until_ended(s, c);
    hit = disarm(s) || hit;
    recover(s);
    assert_int_equal(c->ended, 1);
    if (says_done(c)) {
        assert_true(write || town_is_right(c));
    }
    uint64_t made = records(s) - before;
    if (write ? !is_open(c) && made != says_done(c) : made != 0) {
        fail_msg("with allocation %u failing: %u records more, told %s %s", n, (unsigned)made,
                 yz_err_name(c->rc), c->answer ? yz_answer_reason(c->answer) : c->err.text);
    }
    return hit;
}

/* The next call, with all the memory it wants. On a machine under load a connection may not be made
 * within the few real milliseconds that a timeout of the town's clock lasts. */
static void serves(struct scene *s, bool write)
{
    struct town_call c = {0};
    bool done = false;
    for (unsigned i = 0; i < TRIES && !done; i++) {
        town_call_fini(&c);
        assert_false(call_once(s, write, 0, &c));
        done = says_done(&c);
    }
    if (!done) {
        fail_msg("%s %s", yz_err_name(c.rc), c.answer ? yz_answer_reason(c.answer) : c.err.text);
    }
    town_call_fini(&c);
}

static void every_call(struct scene *s, bool write, unsigned least)
{
    bool hit = true;
    unsigned n = 1;
    serves(s, write);
    for (; hit; n++) {
        struct town_call c;
        assert_true(n < ALLOCATIONS_MAX);
        hit = call_once(s, write, n, &c);
        assert_true(hit || says_done(&c));
        town_call_fini(&c);
        serves(s, write);
    }
    print_message("%u allocations, the adapter ended %u times\n", n - 2, s->ended);
    assert_true(n - 2 >= least);
}

static void test_read__ends_once_whatever_step_fails(void **state)
{
    every_call(*state, false, 5);
}

static void test_read__ends_once_whatever_worker_fails(void **state)
{
    every_call(*state, false, 5);
}

static void test_write__is_told_truly_whatever_step_fails(void **state)
{
    every_call(*state, true, 5);
}

static void test_write__is_told_truly_whatever_worker_fails(void **state)
{
    every_call(*state, true, 5);
}

/* -- what an adapter does beside answering -- */

static void every_event(struct scene *s, void (*happens)(struct scene *s), unsigned least)
{
    bool hit = true;
    unsigned n = 1;
    for (; hit; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        yz_alloc_fail_arm(n);
        happens(s);
        hit = false;
        town_begin(s->t);
        do {
            town_wait(s->t);
            yzi_manual_clock_advance(&s->t->w->clock, TICK_MS);
            hit = hit || yz_alloc_fail_hit();
            revive(s);
        } while (!hit && !town_is_ready(s->t));
        disarm(s);
        recover(s);
        serves(s, false);
    }
    print_message("%u allocations, the adapter ended %u times\n", n - 2, s->ended);
    assert_true(n - 2 >= least);
}

static void restart_broker(struct scene *s)
{
    town_stop_broker(s->t, 0);
    town_start_broker(s->t, 0);
}

static void publish(struct scene *s)
{
    yz_world_change(yz_world_member(s->t->w, "CN/GOV/HB"));
    town_publish(s->t);
}

static void test_connecting__is_done_whatever_fails(void **state)
{
    every_event(*state, restart_broker, 5);
}

static void test_directory__is_followed_whatever_fails(void **state)
{
    every_event(*state, publish, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(test_read__ends_once_whatever_step_fails, set_up),
        T(test_read__ends_once_whatever_worker_fails, set_up_workers),
        T(test_write__is_told_truly_whatever_step_fails, set_up_writes),
        T(test_write__is_told_truly_whatever_worker_fails, set_up_writes_workers),
        T(test_connecting__is_done_whatever_fails, set_up),
        T(test_directory__is_followed_whatever_fails, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
