/* SPDX-License-Identifier: Apache-2.0
 *
 * base/queue: order, bounds, the descriptor, closing, many threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include "base/queue.h"
#include "tests/support/alloc_fail.h"

static int items[64];

static bool is_readable(struct queue *q)
{
    struct pollfd p = {.fd = yzi_queue_fd(q), .events = POLLIN};
    assert_true(poll(&p, 1, 0) >= 0);
    return p.revents & POLLIN;
}

static void test_queue__keeps_order_and_its_bound(void **state)
{
    (void)state;
    struct queue *q;
    assert_int_equal(yzi_queue_new(3, &q), 0);
    size_t in = 0, out = 0;
    /* Round the ring at every offset and with every fill. */
    for (int round = 0; round < 100; round++) {
        for (int k = round % 4; k > 0; k--) {
            int rc = yzi_queue_push(q, &items[in % 64]);
            assert_int_equal(rc, in - out == 3 ? YZ_EBUSY : 0);
            in += rc == 0;
            assert_int_equal(yzi_queue_count(q), in - out);
        }
        for (int k = round % 3; k > 0; k--) {
            assert_ptr_equal(yzi_queue_try_pop(q), in == out ? NULL : &items[out % 64]);
            out += in != out;
            assert_int_equal(is_readable(q), in != out);
        }
    }
    assert_true(out > 50);
    yzi_queue_free(q, NULL);
}

static void test_queue__descriptor_is_readable_while_not_empty(void **state)
{
    (void)state;
    struct queue *q;
    assert_int_equal(yzi_queue_new(2, &q), 0);
    assert_false(is_readable(q));
    assert_int_equal(yzi_queue_push(q, &items[0]), 0);
    assert_true(is_readable(q));
    assert_int_equal(yzi_queue_push(q, &items[1]), 0);
    assert_int_equal(yzi_queue_push(q, &items[2]), YZ_EBUSY);
    assert_ptr_equal(yzi_queue_pop(q), &items[0]);
    assert_true(is_readable(q)); /* one pop does not hide the other item */
    assert_ptr_equal(yzi_queue_pop(q), &items[1]);
    assert_false(is_readable(q));
    assert_null(yzi_queue_try_pop(q));
    assert_int_equal(yzi_queue_push(q, &items[3]), 0);
    assert_true(is_readable(q));
    yzi_queue_free(q, NULL);
    yzi_queue_free(NULL, NULL);
}

static void count_drop(void *item)
{
    ++*(int *)item;
}

static void test_queue__drains_after_close(void **state)
{
    (void)state;
    struct queue *q;
    assert_int_equal(yzi_queue_new(4, &q), 0);
    assert_int_equal(yzi_queue_push(q, &items[0]), 0);
    assert_int_equal(yzi_queue_push(q, &items[1]), 0);
    yzi_queue_close(q);
    yzi_queue_close(q);
    assert_int_equal(yzi_queue_push(q, &items[2]), YZ_ECLOSED);
    assert_ptr_equal(yzi_queue_pop(q), &items[0]);
    assert_ptr_equal(yzi_queue_try_pop(q), &items[1]);
    assert_null(yzi_queue_pop(q));
    assert_null(yzi_queue_try_pop(q));
    yzi_queue_free(q, NULL);

    int dropped[3] = {0};
    assert_int_equal(yzi_queue_new(3, &q), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(yzi_queue_push(q, &dropped[i]), 0);
    }
    assert_ptr_equal(yzi_queue_pop(q), &dropped[0]);
    yzi_queue_free(q, count_drop);
    assert_true(dropped[0] == 0 && dropped[1] == 1 && dropped[2] == 1);
}

static void test_queue__refuses_sizes_without_sense(void **state)
{
    (void)state;
    struct queue *q = NULL;
    assert_int_equal(yzi_queue_new(0, &q), YZ_EINVAL);
    assert_int_equal(yzi_queue_new(SIZE_MAX, &q), YZ_ENOMEM);
    assert_int_equal(yzi_queue_new(SIZE_MAX / sizeof(void *), &q), YZ_ENOMEM);
    assert_null(q);
}

static void test_queue__says_when_there_are_no_descriptors(void **state)
{
    (void)state;
    struct queue *q = NULL;
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int rc = yzi_queue_new(1, &q);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(rc, YZ_EIO);
    assert_null(q);
}

static int make(void *ctx)
{
    (void)ctx;
    struct queue *q;
    YZ_TRY(yzi_queue_new(100, &q));
    yzi_queue_free(q, NULL);
    return 0;
}

static void test_queue__survives_every_failed_allocation(void **state)
{
    (void)state;
    assert_int_equal(yz_alloc_fail_each(make, NULL), 1);
}

/* -- threads: nothing is lost, doubled or torn, and everybody goes home -- */

#define PRODUCERS 3
#define CONSUMERS 3
#define EACH 5000

struct parcel {
    unsigned char seen; /* written by the one consumer that gets it */
};

struct crowd {
    struct queue *q;
    struct parcel *parcels;
};

static void *produce(void *arg)
{
    struct crowd *c = arg;
    for (size_t i = 0; i < EACH; i++) {
        int rc;
        while ((rc = yzi_queue_push(c->q, &c->parcels[i])) == YZ_EBUSY) {
            sched_yield();
        }
        if (rc < 0) {
            return c; /* not NULL: told by the joiner */
        }
    }
    return NULL;
}

static void *consume(void *arg)
{
    struct queue *q = arg;
    size_t n = 0;
    for (struct parcel *p; (p = yzi_queue_pop(q)); n++) {
        p->seen++;
    }
    return (void *)(uintptr_t)n;
}

/* A poll loop as the daemons have it: sleeps on the descriptor, takes what there is. */
static void *consume_by_poll(void *arg)
{
    struct queue *q = arg;
    size_t n = 0;
    for (;;) {
        struct pollfd p = {.fd = yzi_queue_fd(q), .events = POLLIN};
        if (poll(&p, 1, 20000) <= 0) {
            return (void *)(uintptr_t)n; /* woken by nothing: the count will tell */
        }
        for (struct parcel *got; (got = yzi_queue_try_pop(q)); n++) {
            got->seen++;
            if (got->seen == UCHAR_MAX) {
                return (void *)(uintptr_t)n; /* the parcel that says stop */
            }
        }
    }
}

static void run_producers(struct queue *q, struct parcel *parcels, pthread_t *threads,
                          struct crowd *crowds)
{
    for (size_t i = 0; i < PRODUCERS; i++) {
        crowds[i] = (struct crowd){q, parcels + i * EACH};
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &crowds[i]), 0);
    }
}

static void join_producers(pthread_t *threads)
{
    for (size_t i = 0; i < PRODUCERS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

static void assert_all_seen_once(const struct parcel *parcels)
{
    for (size_t i = 0; i < (size_t)PRODUCERS * EACH; i++) {
        assert_int_equal(parcels[i].seen, 1);
    }
}

static void test_queue__delivers_each_item_once_among_threads(void **state)
{
    (void)state;
    struct queue *q;
    struct parcel *parcels = calloc((size_t)PRODUCERS * EACH, sizeof *parcels);
    pthread_t producers[PRODUCERS], consumers[CONSUMERS];
    struct crowd crowds[PRODUCERS];
    assert_non_null(parcels);
    assert_int_equal(yzi_queue_new(16, &q), 0);
    for (size_t i = 0; i < CONSUMERS; i++) {
        assert_int_equal(pthread_create(&consumers[i], NULL, consume, q), 0);
    }
    run_producers(q, parcels, producers, crowds);
    join_producers(producers);
    yzi_queue_close(q); /* the consumers drain the rest */
    size_t total = 0;
    for (size_t i = 0; i < CONSUMERS; i++) {
        void *n;
        assert_int_equal(pthread_join(consumers[i], &n), 0);
        total += (uintptr_t)n;
    }
    assert_int_equal(total, PRODUCERS * EACH);
    assert_all_seen_once(parcels);
    assert_false(is_readable(q));
    yzi_queue_free(q, NULL);
    free(parcels);
}

static void test_queue__wakes_a_poll_loop_for_every_item(void **state)
{
    (void)state;
    struct queue *q;
    struct parcel *parcels = calloc((size_t)PRODUCERS * EACH, sizeof *parcels);
    struct parcel stop = {UCHAR_MAX - 1};
    pthread_t producers[PRODUCERS], consumer;
    struct crowd crowds[PRODUCERS];
    assert_non_null(parcels);
    assert_int_equal(yzi_queue_new(4, &q), 0);
    assert_int_equal(pthread_create(&consumer, NULL, consume_by_poll, q), 0);
    run_producers(q, parcels, producers, crowds);
    join_producers(producers);
    int rc;
    while ((rc = yzi_queue_push(q, &stop)) == YZ_EBUSY) {
        sched_yield();
    }
    assert_int_equal(rc, 0);
    void *n;
    assert_int_equal(pthread_join(consumer, &n), 0);
    assert_int_equal((uintptr_t)n, PRODUCERS * EACH);
    assert_all_seen_once(parcels);
    yzi_queue_free(q, NULL);
    free(parcels);
}

/* Two queues, one item: each side can only go on when the other has woken it. */
static void *reflect(void *arg)
{
    struct queue **q = arg;
    for (void *item; (item = yzi_queue_pop(q[0]));) {
        if (yzi_queue_push(q[1], item) < 0) {
            return q;
        }
    }
    return NULL;
}

static void test_queue__wakes_a_blocked_pop(void **state)
{
    (void)state;
    struct queue *q[2];
    assert_int_equal(yzi_queue_new(1, &q[0]), 0);
    assert_int_equal(yzi_queue_new(1, &q[1]), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, reflect, q), 0);
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(yzi_queue_push(q[0], &items[i % 64]), 0);
        assert_ptr_equal(yzi_queue_pop(q[1]), &items[i % 64]);
    }
    yzi_queue_close(q[0]); /* also wakes */
    void *failed;
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    yzi_queue_free(q[0], NULL);
    yzi_queue_free(q[1], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queue__keeps_order_and_its_bound),
        cmocka_unit_test(test_queue__descriptor_is_readable_while_not_empty),
        cmocka_unit_test(test_queue__drains_after_close),
        cmocka_unit_test(test_queue__refuses_sizes_without_sense),
        cmocka_unit_test(test_queue__says_when_there_are_no_descriptors),
        cmocka_unit_test(test_queue__survives_every_failed_allocation),
        cmocka_unit_test(test_queue__delivers_each_item_once_among_threads),
        cmocka_unit_test(test_queue__wakes_a_poll_loop_for_every_item),
        cmocka_unit_test(test_queue__wakes_a_blocked_pop),
    };
    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
