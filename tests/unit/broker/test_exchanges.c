/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/exchanges: what counts against the limits, and that nothing counted is left behind, also
 * without memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/exchanges.h"
#include "tests/support/alloc_fail.h"

#define BYTES 100u

static struct node_load asker, late; /* who has nothing under way may have the last of a limit */

static struct exchange *make(uint64_t n, const char *service, uint64_t deadline)
{
    static const uint8_t bytes[BYTES];
    struct message m = {0};
    struct exchange *x;
    assert_int_equal(yzi_message_copy(&m, yzi_bytes(bytes, sizeof bytes)), 0);
    assert_int_equal(yzi_exchange_new(&m, &x), 0);
    assert_false(m.live);
    yzi_store_u64(x->request.digest.b, n);
    x->request.header.service.v = yzi_bytes_str(service);
    x->deadline_mono = deadline;
    return x;
}

static int track_of(struct exchanges *e, struct exchange *x, struct node_load *node,
                    const char **limit)
{
    *limit = NULL;
    return yzi_exchange_track(e, x, node, limit);
}

static int track(struct exchanges *e, struct exchange *x, const char **limit)
{
    return track_of(e, x, &asker, limit);
}

static void empty(struct exchanges *e)
{
    assert_int_equal(yzi_exchanges_count(e), 0);
    assert_int_equal(e->bytes, 0);
    assert_int_equal(yzi_table_count(&e->loads), 0);
    assert_int_equal(yzi_table_count(&e->shares), 0);
    assert_int_equal(asker.in_flight + late.in_flight, 0);
    assert_int_equal(asker.in_flight_bytes + late.in_flight_bytes, 0);
    assert_true(yzi_deadlines_next(&e->timers) == UINT64_MAX);
}

static void test_exchange__counts_from_tracking_to_its_end(void **state)
{
    (void)state;
    struct exchanges e;
    const char *limit;
    yzi_exchanges_init(&e, 1000, 10);
    struct exchange *x = make(1, "CN/A/B/c/s/v1", 50);
    empty(&e);
    assert_int_equal(track(&e, x, &limit), 0);
    assert_ptr_equal(yzi_exchange_find(&e, &x->request.digest), x);
    assert_int_equal(e.bytes, BYTES);
    assert_int_equal(asker.in_flight, 1);
    assert_int_equal(yzi_deadlines_next(&e.timers), 50);
    yz_digest digest = x->request.digest;
    yzi_exchange_end(&e, x);
    assert_null(yzi_exchange_find(&e, &digest));
    empty(&e);
    yzi_exchange_end(&e, make(2, "CN/A/B/c/s/v1", 50)); /* one that was never tracked */
    empty(&e);
    yzi_exchanges_fini(&e);
}

/* An answer as long as that is held. */
static void hold(struct exchange *x, size_t n)
{
    yzi_buf_fini(&x->held);
    yzi_buf_init(&x->held, n);
    assert_int_equal(yzi_buf_put_zero(&x->held, n), 0);
}

static void test_exchange__counts_the_answer_it_holds(void **state)
{
    (void)state;
    struct exchanges e;
    const char *limit;
    yzi_exchanges_init(&e, 1000, 10);
    struct exchange *x = make(1, "CN/A/B/c/s/v1", 50);
    assert_int_equal(track(&e, x, &limit), 0);
    hold(x, 500);
    assert_int_equal(yzi_exchange_hold(&e, x), 0);
    hold(x, 700); /* in its place */
    assert_int_equal(yzi_exchange_hold(&e, x), 0);
    assert_int_equal(e.held_bytes, 700);
    assert_int_equal(e.bytes, BYTES);
    /* of one that was refused, and is not tracked, the request too */
    struct exchange *refused = make(2, "CN/A/B/c/s/v1", 50);
    hold(refused, 300 - BYTES + 1);
    assert_int_equal(yzi_exchange_hold(&e, refused), YZ_ELIMIT);
    assert_int_equal(e.held_bytes, 700);
    hold(refused, 300 - BYTES);
    assert_int_equal(yzi_exchange_hold(&e, refused), 0);
    assert_int_equal(e.held_bytes, 1000);
    yzi_exchange_end(&e, refused);
    yzi_exchange_end(&e, x);
    assert_int_equal(e.held_bytes, 0);
    empty(&e);
    struct exchange *large = make(3, "CN/A/B/c/s/v1", 50); /* alone, any is held */
    hold(large, 5000);
    assert_int_equal(yzi_exchange_hold(&e, large), 0);
    yzi_exchange_end(&e, large);
    assert_int_equal(e.held_bytes, 0);
    yzi_exchanges_fini(&e);
}

static void test_exchange__limits_hold_per_service_and_in_bytes(void **state)
{
    (void)state;
    struct exchanges e;
    const char *limit;
    yzi_exchanges_init(&e, 5 * BYTES, 2);
    struct exchange *x[7];
    for (uint64_t i = 0; i < 7; i++) {
        x[i] = make(i, i < 3 ? "CN/A/B/c/s/v1" : i < 6 ? "CN/A/B/c/s/v2" : "CN/A/B/c/s/v3", i);
    }
    assert_int_equal(track(&e, x[0], &limit), 0);
    assert_int_equal(track(&e, x[1], &limit), 0);
    assert_int_equal(track(&e, x[2], &limit), YZ_EBUSY);
    assert_string_equal(limit, "in-flight-per-service");
    assert_int_equal(track(&e, x[3], &limit), 0);
    e.bytes_max = 4 * BYTES - 1; /* lowered while running */
    assert_int_equal(track(&e, x[4], &limit), YZ_EBUSY);
    assert_string_equal(limit, "in-flight-bytes");
    e.bytes_max = 1;
    assert_int_equal(track(&e, x[6], &limit), YZ_EBUSY);
    assert_int_equal(yzi_table_count(&e.loads), 2); /* the third service left nothing behind */
    e.bytes_max = 4 * BYTES;
    assert_int_equal(track_of(&e, x[4], &late, &limit), 0);
    yzi_exchange_end(&e, x[0]);
    e.bytes_max = 5 * BYTES;
    assert_int_equal(track(&e, x[2], &limit), 0);
    assert_int_equal(asker.in_flight, 3);
    for (int i = 1; i < 7; i++) {
        yzi_exchange_end(&e, x[i]);
    }
    empty(&e);
    yzi_exchanges_fini(&e);
}

static void test_exchange__limit_holds_over_all_services(void **state)
{
    (void)state;
    struct exchanges e;
    const char *limit;
    yzi_exchanges_init(&e, 100 * BYTES, 2);
    e.max = 3;
    struct exchange *x[4];
    for (uint64_t i = 0; i < 4; i++) {
        x[i] = make(i, i % 2 ? "CN/A/B/c/s/v1" : "CN/A/B/c/s/v2", i);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(track(&e, x[i], &limit), 0);
    }
    assert_int_equal(track(&e, x[3], &limit), YZ_EBUSY);
    assert_string_equal(limit, "in-flight");
    yzi_exchange_end(&e, x[0]);
    assert_int_equal(track(&e, x[3], &limit), 0);
    for (unsigned i = 1; i < 4; i++) {
        yzi_exchange_end(&e, x[i]);
    }
    empty(&e);
    yzi_exchanges_fini(&e);
}

static void test_exchange__limits_hold_in_bytes_per_service_and_node(void **state)
{
    (void)state;
    struct exchanges e;
    const char *limit;
    yzi_exchanges_init(&e, 100 * BYTES, 100);
    e.bytes_per_service_max = 2 * BYTES;
    struct exchange *x[4];
    for (uint64_t i = 0; i < 4; i++) {
        x[i] = make(i, i < 3 ? "CN/A/B/c/s/v1" : "CN/A/B/c/s/v2", i);
    }
    assert_int_equal(track(&e, x[0], &limit), 0);
    assert_int_equal(track_of(&e, x[1], &late, &limit), 0);
    assert_int_equal(track(&e, x[2], &limit), YZ_EBUSY);
    assert_string_equal(limit, "in-flight-bytes-per-service");
    e.bytes_per_peer_max = 2 * BYTES - 1;
    assert_int_equal(track(&e, x[3], &limit), YZ_EBUSY);
    assert_string_equal(limit, "in-flight-bytes-per-peer");
    e.bytes_per_peer_max = 2 * BYTES;
    assert_int_equal(yzi_exchanges_may_track(&e, x[3]->request.header.service.v,
                                             x[3]->message.bytes.n, &asker, &limit),
                     0);
    assert_int_equal(track(&e, x[3], &limit), 0);
    assert_int_equal(asker.in_flight_bytes, 2 * BYTES);
    for (int i = 0; i < 4; i++) {
        yzi_exchange_end(&e, x[i]);
    }
    assert_int_equal(asker.in_flight_bytes, 0);
    empty(&e);
    yzi_exchanges_fini(&e);
}

/* How many more a node gets when it asks for all it can. */
static unsigned flood(struct exchanges *e, struct node_load *node, const char *service,
                      struct exchange **x)
{
    static uint64_t id;
    const char *limit;
    unsigned n = 0;
    for (;; n++) {
        id++;
        x[n] = make(id, service, id);
        if (track_of(e, x[n], node, &limit) != 0) {
            break;
        }
    }
    assert_string_equal(limit, "in-flight-share");
    yzi_exchange_end(e, x[n]);
    return n;
}

static void end_all(struct exchanges *e, struct exchange **x, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        yzi_exchange_end(e, x[i]);
    }
}

/* One that takes all it can leaves others places, and they get as many in the end. */
static void room_is_shared(struct exchanges *e, unsigned most, unsigned next)
{
    struct exchange *x[1024], *y[1024];
    unsigned first = flood(e, &asker, "CN/A/B/c/s/v1", x);
    assert_int_equal(first, most);
    unsigned second = flood(e, &late, "CN/A/B/c/s/v1", y);
    assert_int_equal(second, next);
    /* as its first ones end, the greedy node gets none again before the other has as many */
    while (second < first) {
        yzi_exchange_end(e, x[--first]);
        second += flood(e, &late, "CN/A/B/c/s/v1", y + second);
    }
    assert_true(second - first <= 2);
    end_all(e, x, first);
    end_all(e, y, second);
    empty(e);
}

static void test_exchange__places_are_left_for_who_comes_later(void **state)
{
    (void)state;
    struct exchanges e;
    yzi_exchanges_init(&e, 1000000, 1000);
    room_is_shared(&e, 942, 55); /* of a service */
    e.per_service_max = 1000000;
    e.max = 1000;
    room_is_shared(&e, 942, 55); /* of all */
    e.max = 0;
    e.bytes_max = 1000 * BYTES;
    room_is_shared(&e, 941, 55);
    e.bytes_max = 100000 * BYTES;
    e.bytes_per_service_max = 1000 * BYTES;
    room_is_shared(&e, 941, 55);
    yzi_exchanges_fini(&e);
}

/* Small limits are for whoever comes first: a sixteenth of one place is none. */
static void test_exchange__small_limits_are_not_divided(void **state)
{
    (void)state;
    struct exchanges e;
    const char *limit;
    struct exchange *x[YZ_SHARE_OF_FREE];
    yzi_exchanges_init(&e, 1000000, YZ_SHARE_OF_FREE);
    for (unsigned i = 0; i < YZ_SHARE_OF_FREE; i++) {
        x[i] = make(i, "CN/A/B/c/s/v1", i);
        assert_int_equal(track(&e, x[i], &limit), 0);
    }
    end_all(&e, x, YZ_SHARE_OF_FREE);
    empty(&e);
    yzi_exchanges_fini(&e);
}

static void test_exchange__of_the_same_request_is_not_tracked_twice(void **state)
{
    (void)state;
    struct exchanges e;
    const char *limit;
    yzi_exchanges_init(&e, 1000, 10);
    struct exchange *x = make(1, "CN/A/B/c/s/v1", 50);
    struct exchange *y = make(1, "CN/A/B/c/s/v1", 50);
    assert_int_equal(track(&e, x, &limit), 0);
    assert_int_equal(track(&e, y, &limit), YZ_EEXIST);
    yzi_exchange_end(&e, y);
    assert_int_equal(e.bytes, BYTES);
    assert_ptr_equal(yzi_exchange_find(&e, &x->request.digest), x);
    yzi_exchange_end(&e, x);
    empty(&e);
    yzi_exchanges_fini(&e);
}

static void test_exchanges__end_with_those_under_way(void **state)
{
    (void)state;
    struct exchanges e;
    const char *limit;
    yzi_exchanges_init(&e, 100000, 100);
    for (uint64_t i = 0; i < 50; i++) {
        assert_int_equal(track(&e, make(i, i % 2 ? "CN/A/B/c/s/v1" : "CN/A/B/c/s/v2", i), &limit),
                         0);
    }
    yzi_exchanges_fini(&e); /* leaks are the sanitizer's to see */
    asker = (struct node_load){0};
}

static int track_one(void *ctx)
{
    struct exchanges *e = ctx;
    const char *limit;
    static const uint8_t bytes[BYTES];
    struct message m = {0};
    struct exchange *x;
    YZ_TRY(yzi_message_copy(&m, yzi_bytes(bytes, sizeof bytes)));
    int rc = yzi_exchange_new(&m, &x);
    if (rc < 0) {
        yzi_message_fini(&m);
        return rc;
    }
    x->request.header.service.v = yzi_bytes_str("CN/A/B/c/s/v1");
    rc = track(e, x, &limit);
    yzi_exchange_end(e, x);
    return rc;
}

static void test_exchange__without_memory_leaves_nothing(void **state)
{
    (void)state;
    static struct exchanges e;
    yzi_exchanges_init(&e, 1000, 10);
    assert_int_equal(track_one(&e), 0); /* the heap of timers keeps its memory */
    assert_true(yz_alloc_fail_each(track_one, &e) >= 4);
    empty(&e);
    yzi_exchanges_fini(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange__counts_from_tracking_to_its_end),
        cmocka_unit_test(test_exchange__counts_the_answer_it_holds),
        cmocka_unit_test(test_exchange__limits_hold_per_service_and_in_bytes),
        cmocka_unit_test(test_exchange__limit_holds_over_all_services),
        cmocka_unit_test(test_exchange__limits_hold_in_bytes_per_service_and_node),
        cmocka_unit_test(test_exchange__places_are_left_for_who_comes_later),
        cmocka_unit_test(test_exchange__small_limits_are_not_divided),
        cmocka_unit_test(test_exchange__of_the_same_request_is_not_tracked_twice),
        cmocka_unit_test(test_exchanges__end_with_those_under_way),
        cmocka_unit_test(test_exchange__without_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
