/* SPDX-License-Identifier: Apache-2.0
 *
 * adapters/debits: all or none, never more than the limit whoever takes at once, never less taken
 * than was said after a restart, a kill or a full disk, and never new again early.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapters/debits.h"
#include "adapters/writes.h"
#include "base/file.h"
#include "tests/faults/shim_io.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/world.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define DENIED(call) assert_int_equal((call), YZ_EDENIED)
#define THREADS 8u

struct fixture {
    char *dir;
    struct state *state;
    struct debits *d;
};

static void open_debits(struct fixture *f)
{
    OK(yzi_state_open(f->dir, &f->state, NULL));
    OK(yzi_debits_open(f->state, &f->d, NULL));
}

static void close_debits(struct fixture *f)
{
    yzi_debits_close(f->d);
    yzi_state_close(f->state);
    f->d = NULL;
    f->state = NULL;
}

static void reopen(struct fixture *f)
{
    close_debits(f);
    open_debits(f);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->dir = yz_world_tmpdir();
    open_debits(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    close_debits(f);
    yz_world_rmdir(f->dir);
    free(f->dir);
    free(f);
    return 0;
}

static struct debit item(uint64_t what, uint32_t limit, uint64_t until)
{
    struct debit d = {.limit = limit, .until = until};
    yzi_store_u64(d.key + 4, what);
    return d;
}

static int take(struct fixture *f, struct debit d, uint64_t now)
{
    return yzi_debits_take(f->d, &d, 1, now, NULL);
}

static uint32_t used(struct fixture *f, uint64_t what, uint64_t now)
{
    struct debit d = item(what, 0, 0);
    uint32_t n = UINT32_MAX;
    OK(yzi_debits_look(f->d, d.key, now, &n));
    return n;
}

/* -- what is counted -- */

static void test_take__allows_no_more_than_the_limit(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(used(f, 1, 10), 0);
    for (unsigned i = 1; i <= 3; i++) {
        OK(take(f, item(1, 3, 0), 10));
        assert_int_equal(used(f, 1, 10), i);
    }
    DENIED(take(f, item(1, 3, 0), 10));
    DENIED(take(f, item(1, 3, 0), UINT64_MAX)); /* never means never */
    assert_int_equal(used(f, 1, 10), 3);
    OK(take(f, item(2, 3, 0), 10)); /* another's */
    DENIED(take(f, item(3, 0, 0), 10));
    assert_int_equal(used(f, 3, 10), 0);
}

static void test_take__is_all_or_none(void **state)
{
    struct fixture *f = *state;
    size_t refused = 99;
    struct debit items[] = {item(1, 5, 0), item(2, 1, 0), item(3, 5, 0)};
    OK(yzi_debits_take(f->d, items, 3, 10, &refused));
    assert_int_equal(refused, 99);
    DENIED(yzi_debits_take(f->d, items, 3, 10, &refused));
    assert_int_equal(refused, 1);
    for (uint64_t what = 1; what <= 3; what++) {
        assert_int_equal(used(f, what, 10), 1);
    }
}

static void test_take__counts_each_time_a_counter_is_named(void **state)
{
    struct fixture *f = *state;
    size_t refused;
    struct debit items[] = {item(1, 4, 0), item(2, 9, 0), item(1, 4, 0), item(1, 4, 0)};
    OK(yzi_debits_take(f->d, items, 4, 10, NULL));
    assert_int_equal(used(f, 1, 10), 3);
    DENIED(yzi_debits_take(f->d, items, 4, 10, &refused));
    assert_int_equal(refused, 2);
    assert_int_equal(used(f, 1, 10), 3);
    assert_int_equal(used(f, 2, 10), 1);
    OK(take(f, item(1, 4, 0), 10));
    DENIED(take(f, item(1, 4, 0), 10));
}

static void test_take__a_lowered_limit_counts_what_was_taken_before(void **state)
{
    struct fixture *f = *state;
    OK(take(f, item(1, 9, 0), 10));
    OK(take(f, item(1, 9, 0), 10));
    DENIED(take(f, item(1, 1, 0), 10));
    DENIED(take(f, item(1, 2, 0), 10));
    OK(take(f, item(1, 3, 0), 10));
}

static void test_take__refuses_what_makes_no_sense(void **state)
{
    struct fixture *f = *state;
    struct debit many[DEBITS_AT_ONCE_MAX + 1];
    for (size_t i = 0; i < DEBITS_AT_ONCE_MAX + 1; i++) {
        many[i] = item(i, 1, 0);
    }
    assert_int_equal(yzi_debits_take(f->d, many, 0, 10, NULL), YZ_EINVAL);
    assert_int_equal(yzi_debits_take(f->d, many, DEBITS_AT_ONCE_MAX + 1, 10, NULL), YZ_EINVAL);
    OK(yzi_debits_take(f->d, many, DEBITS_AT_ONCE_MAX, 10, NULL));
    assert_int_equal(take(f, item(1, 5, 10), 10), YZ_EINVAL); /* a period that is over */
}

static void test_counters__are_known_after_a_restart(void **state)
{
    struct fixture *f = *state;
    OK(take(f, item(1, 2, 0), 10));
    OK(take(f, item(2, 2, 1000), 10));
    reopen(f);
    assert_int_equal(used(f, 1, 10), 1);
    assert_int_equal(used(f, 2, 10), 1);
    OK(take(f, item(1, 2, 0), 10));
    OK(take(f, item(2, 2, 1000), 10));
    reopen(f);
    DENIED(take(f, item(1, 2, 0), 10));
    DENIED(take(f, item(2, 2, 1000), 10));
}

/* -- periods -- */

static void test_period__starts_anew_when_it_is_over_and_not_before(void **state)
{
    struct fixture *f = *state;
    OK(take(f, item(1, 1, 1000), 10));
    DENIED(take(f, item(1, 1, 1000), 999));
    DENIED(take(f, item(1, 1, 2000), 999)); /* whatever the next one is said to be */
    assert_int_equal(used(f, 1, 999), 1);
    assert_int_equal(used(f, 1, 1000), 0);
    OK(take(f, item(1, 1, 2000), 1000));
    DENIED(take(f, item(1, 1, 2000), 1999));
    OK(take(f, item(1, 1, 3000), 5 + 2000));
}

static void test_period__the_later_end_counts(void **state)
{
    struct fixture *f = *state;
    OK(take(f, item(1, 3, 1000), 10));
    OK(take(f, item(1, 3, 3000), 10));
    OK(take(f, item(1, 3, 2000), 10));
    DENIED(take(f, item(1, 3, 4000), 2999));
    OK(take(f, item(1, 3, 4000), 3000));
    OK(take(f, item(1, 3, 0), 3000));
    OK(take(f, item(1, 3, 4000), 3000));
    DENIED(take(f, item(1, 3, 9000), 8000)); /* once never, always never */
}

static void test_period__does_not_start_anew_when_the_clock_goes_back(void **state)
{
    struct fixture *f = *state;
    OK(take(f, item(1, 1, 1000), 10));
    OK(take(f, item(1, 1, 3000), 2500)); /* the clock was ahead */
    for (int restarted = 0; restarted < 2; restarted++) {
        DENIED(take(f, item(1, 1, 1000), 20));
        DENIED(take(f, item(1, 1, 2000), 1500));
        DENIED(take(f, item(1, 1, 3000), 2600));
        reopen(f);
    }
}

static void test_period__that_was_given_up_is_not_new_when_the_clock_goes_back(void **state)
{
    struct fixture *f = *state;
    OK(take(f, item(1, 5, 1000), 10));
    OK(take(f, item(2, 5, 1001), 10));
    OK(take(f, item(3, 5, 0), 1000)); /* gives up the first, and not the second */
    for (int restarted = 0; restarted < 2; restarted++) {
        DENIED(take(f, item(1, 5, 1000), 20));
        DENIED(take(f, item(9, 5, 1000), 20)); /* as well as what it cannot tell from it */
        OK(take(f, item(2, 5, 1001), 20));
        OK(take(f, item(4, 5, 2000), 1000));
        OK(take(f, item(5, 5, 0), 20));
        reopen(f);
    }
    assert_int_equal(used(f, 3, 10), 1);
}

static void test_period__whatever_is_over_is_given_up_in_the_end(void **state)
{
    struct fixture *f = *state;
    db_handle counters;
    for (uint64_t i = 0; i < 200; i++) {
        OK(take(f, item(i, 1, 1000 + i), 10));
    }
    for (uint64_t i = 0; i < 4; i++) {
        OK(take(f, item(1000 + i, 1, 0), 5000));
    }
    OK(yzi_state_database(f->state, "debits", DB_PLAIN, &counters));
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    uint64_t n;
    OK(yzi_db_begin_read(yzi_state_env(f->state), &t));
    OK(yzi_db_count(t, counters, &n));
    assert_int_equal(n, 4);
}

/* -- many at once -- */

struct crowd {
    struct fixture *f;
    _Atomic unsigned allowed[3];
    _Atomic unsigned wrong;
};

static void *take_many(void *arg)
{
    struct crowd *c = arg;
    for (unsigned i = 0; i < 60; i++) {
        size_t refused;
        struct debit items[] = {item(i % 3, 50, 0), item(7, 1000000, 0)};
        int rc = yzi_debits_take(c->f->d, items, 2, 10, &refused);
        if (rc == YZ_OK) {
            atomic_fetch_add(&c->allowed[i % 3], 1);
        } else if (rc != YZ_EDENIED || refused != 0) {
            atomic_fetch_add(&c->wrong, 1);
        }
    }
    return NULL;
}

/* The adapter's writer thread, which has the same environment to write. */
static void *write_many(void *arg)
{
    struct crowd *c = arg;
    struct writes *w;
    struct writes_options o = {c->f->state, 1000, 1000};
    if (yzi_writes_open(&o, &w, NULL) < 0) {
        atomic_fetch_add(&c->wrong, 1);
        return NULL;
    }
    const yz_node_id node = {{(const uint8_t *)"CN/GOV/HB/@w1", 13}};
    for (unsigned i = 0; i < 60; i++) {
        struct write_entry e = {.node = node, .until = 1000, .frame = yzi_bytes_str("frame")};
        yzi_store_u64(e.id.b + 8, i);
        bool bad = yzi_writes_reserve(w, node, NULL) < 0 || yzi_writes_begin(w, &e, 1, 10) < 0 ||
                   e.rc < 0 || yzi_writes_answer(w, &e, 1) < 0;
        atomic_fetch_add(&c->wrong, bad);
    }
    yzi_writes_close(w);
    return NULL;
}

static void test_take__is_exact_under_many_threads_beside_the_writer(void **state)
{
    struct crowd c = {.f = *state};
    pthread_t threads[THREADS], writer;
    assert_int_equal(pthread_create(&writer, NULL, write_many, &c), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, &c), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(atomic_load(&c.wrong), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(atomic_load(&c.allowed[i]), 50);
        assert_int_equal(used(c.f, i, 10), 50);
    }
    assert_int_equal(used(c.f, 7, 10), 150); /* nothing was taken for who was refused */
}

/* -- faults -- */

#define TAKES 4u

/* In a child: what was allowed is told, one byte each; the shim kills it somewhere. */
static void take_until_killed(struct fixture *f, int fd, uint64_t nth, enum io_harm harm)
{
    for (int i = 1; i < 32; i++) {
        signal(i, SIG_DFL);
    }
    if (yzi_state_open(f->dir, &f->state, NULL) < 0 || yzi_debits_open(f->state, &f->d, NULL) < 0) {
        _exit(2);
    }
    io_faults_watch(io_faults_local(), f->dir, "");
    io_faults_arm(io_faults_local(), IO_CHANGES, nth, 1, harm, EIO);
    for (unsigned i = 0; i < TAKES; i++) {
        struct debit items[] = {item(1, 1000, 0), item(2, 1000, 1000000)};
        if (yzi_debits_take(f->d, items, 2, 10, NULL) != YZ_OK || write(fd, "t", 1) != 1) {
            _exit(3);
        }
    }
    _exit(0); /* it was not killed: there are not as many calls */
}

/* How many were told of; *killed: whether the process lived to the end. */
static unsigned run_child(struct fixture *f, uint64_t nth, enum io_harm harm, bool *killed)
{
    int fds[2], status;
    unsigned told = 0;
    char c;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        take_until_killed(f, fds[1], nth, harm);
    }
    close(fds[1]);
    while (read(fds[0], &c, 1) == 1) {
        told++;
    }
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    assert_true(*killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return told;
}

static void killed_everywhere(struct fixture *f, enum io_harm harm)
{
    bool killed = true;
    unsigned kills = 0;
    for (uint64_t nth = 1; killed; nth++) {
        assert_true(nth < 200);
        open_debits(f);
        uint32_t before = used(f, 1, 10);
        close_debits(f);
        unsigned told = run_child(f, nth, harm, &killed);
        open_debits(f);
        uint32_t after = used(f, 1, 10);
        assert_int_equal(used(f, 2, 10), after); /* both or none */
        close_debits(f);
        assert_true(after >= before + told && after <= before + told + (killed ? 1 : 0));
        assert_true(killed || told == TAKES);
        kills += killed;
    }
    assert_true(kills >= 2 * TAKES); /* each commit writes and syncs at least once */
}

static void test_counters__of_a_process_killed_anywhere_never_go_down(void **state)
{
    struct fixture *f = *state;
    close_debits(f);
    killed_everywhere(f, IO_KILL_BEFORE);
    killed_everywhere(f, IO_KILL_TORN);
    killed_everywhere(f, IO_KILL_AFTER);
    open_debits(f);
}

static void harmed_everywhere(struct fixture *f, enum io_harm harm, int error)
{
    struct io_faults *io = io_faults_local();
    io_faults_watch(io, f->dir, "");
    uint64_t failed = 1;
    for (uint64_t nth = 1; failed; nth++) {
        assert_true(nth < 200);
        uint32_t before = used(f, 1, 10);
        struct debit items[] = {item(1, 1000000, 0), item(2, 1000000, 0)};
        io_faults_arm(io, IO_CHANGES, nth, 1, harm, error);
        int rc = yzi_debits_take(f->d, items, 2, 10, NULL);
        failed = atomic_load(&io->failed);
        io_faults_disarm(io);
        assert_true(rc == YZ_OK || (failed && (rc == YZ_EIO || rc == YZ_EDISKFULL)));
        OK(yzi_debits_take(f->d, items, 2, 10, NULL)); /* as soon as the disk is well again */
        uint32_t after = used(f, 1, 10);
        assert_int_equal(used(f, 2, 10), after);
        assert_true(after == before + 2 || (rc < 0 && after == before + 1));
        reopen(f);
        assert_int_equal(used(f, 1, 10), after);
    }
}

static void test_take__on_a_bad_disk_is_refused_and_counts_what_it_said(void **state)
{
    harmed_everywhere(*state, IO_FAIL, ENOSPC);
    harmed_everywhere(*state, IO_TORN, EIO);
    harmed_everywhere(*state, IO_LATE, EIO);
}

static void test_take__without_memory_is_refused(void **state)
{
    struct fixture *f = *state;
    struct alloc_fail_result result = {.failed = 1};
    uint32_t taken = 0;
    for (unsigned n = 1; result.failed; n++) {
        assert_true(n < 500);
        yz_alloc_fail_arm(n);
        yz_alloc_fail_resume();
        int rc = take(f, item(1, 1000, 0), 10);
        yz_alloc_fail_pause();
        result = yz_alloc_fail_stop();
        assert_true(rc == YZ_OK || (result.failed && rc == YZ_ENOMEM));
        taken += rc == YZ_OK;
        assert_int_equal(used(f, 1, 10), taken);
    }
    assert_true(taken > 0);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_counters__of_a_process_killed_anywhere_never_go_down), /* before any thread */
        TEST(test_take__allows_no_more_than_the_limit),
        TEST(test_take__is_all_or_none),
        TEST(test_take__counts_each_time_a_counter_is_named),
        TEST(test_take__a_lowered_limit_counts_what_was_taken_before),
        TEST(test_take__refuses_what_makes_no_sense),
        TEST(test_counters__are_known_after_a_restart),
        TEST(test_period__starts_anew_when_it_is_over_and_not_before),
        TEST(test_period__the_later_end_counts),
        TEST(test_period__does_not_start_anew_when_the_clock_goes_back),
        TEST(test_period__that_was_given_up_is_not_new_when_the_clock_goes_back),
        TEST(test_period__whatever_is_over_is_given_up_in_the_end),
        TEST(test_take__is_exact_under_many_threads_beside_the_writer),
        TEST(test_take__on_a_bad_disk_is_refused_and_counts_what_it_said),
        TEST(test_take__without_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
