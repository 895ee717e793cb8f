/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers on their way to a broker: together when there are several, alone when one is large, each
 * exactly once and in order, behind a full queue too; and when they cannot leave, no receipt is
 * owed for them.
 */
#include "adapters/outbox.h"
#include "tests/hostile/town.h"
#include "tests/support/now.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define LARGE (300u * 1024u)
#define PUT_MAX 200000u /* far beyond what any queue between the two takes */
#define STEPS 20u
#define STEPS_MS 10000u /* for as many, each of which has 10 ms to wait */

struct scene {
    struct town *t;
    struct wire *w;
    struct adapter *a;
    struct upstream *u;
    struct world_message request;
    unsigned taken;
    yz_digest last;   /* that the broker took */
    yz_digest *order; /* of what was put in */
    unsigned put_n;
};

static void take(struct wire *w, const struct frame *f)
{
    struct scene *s = w->ctx;
    yzi_frame_digest(f->header, f->block, &s->last);
    assert_true(s->taken < s->put_n && yzi_digest_eq(&s->last, &s->order[s->taken]));
    s->taken++;
}

static int set_up(void **state)
{
    struct scene *s;
    OK(yzi_alloc(1, sizeof *s, &s));
    OK(yzi_alloc(PUT_MAX, sizeof *s->order, &s->order));
    s->t = town_new();
    town_start_wire(s->t, 0);
    town_start_adapter(s->t, 0);
    town_wait_ready(s->t);
    town_settle(s->t);
    s->w = s->t->wires[0];
    s->w->ctx = s;
    s->w->on_answer = take;
    s->a = s->t->adapters[0];
    s->u = &s->a->upstreams[0];
    yz_world_request(s->t->w, &(struct world_request){0}, &s->request);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    yz_world_message_fini(&s->request);
    town_free(s->t);
    free(s->order);
    free(s);
    return 0;
}

static size_t owed(const struct scene *s)
{
    return yzi_table_count(&s->u->receipts.owed);
}

/* As admission does it. */
static int put_answer(struct scene *s, const struct world_message *answer, bool expects_fresh)
{
    bool fresh = false;
    yz_bytes frame = yzi_bytes_buf(&answer->raw);
    assert_true(yzi_receipts_expect(s->a, s->u, frame, &fresh));
    assert_int_equal(fresh, expects_fresh);
    int rc = yzi_outbox_put(s->a, s->u, frame, fresh);
    if (rc == YZ_OK) {
        assert_true(s->put_n < PUT_MAX);
        s->order[s->put_n++] = answer->digest;
    }
    return rc;
}

/* To a request of its own, with a body of so many bytes. */
static void make_answer(struct scene *s, size_t body, struct world_message *out)
{
    struct world_message request;
    YZ_AUTO(yzi_free_ptr) uint8_t *bytes = NULL;
    OK(yzi_alloc(body, 1, &bytes));
    yz_world_request(s->t->w, &(struct world_request){0}, &request);
    yz_world_response(s->t->w, &(struct world_response){.body = yzi_bytes(bytes, body)},
                      &request.frame, out);
    yz_world_message_fini(&request);
}

static int put(struct scene *s, size_t body, yz_digest *out_digest)
{
    struct world_message answer;
    make_answer(s, body, &answer);
    int rc = put_answer(s, &answer, true);
    if (out_digest) {
        *out_digest = answer.digest;
    }
    yz_world_message_fini(&answer);
    return rc;
}

static void await_taken(struct scene *s, unsigned n)
{
    town_begin(s->t);
    while (s->taken < n) {
        town_wait(s->t);
    }
    assert_int_equal(s->taken, n);
}

/* The connection ends. The adapter's own step would flush before it hears of that. */
static void cut(struct scene *s)
{
    struct connection_id id = s->w->adapter[0];
    yzi_server_cut(s->w->server, &id);
    s->w->has_adapter[0] = false;
    town_begin(s->t);
    while (yzi_session_is_up(s->u->session)) {
        wire_step(s->w);
        OK(yzi_session_step(s->u->session, NULL));
    }
}

static void test_outbox__several_leave_in_one_message(void **state)
{
    struct scene *s = *state;
    yz_digest last;
    for (unsigned i = 0; i < 5; i++) {
        OK(put(s, 10, &last));
    }
    assert_int_equal(owed(s), 5);
    yzi_outbox_flush(s->a, s->u);
    yzi_outbox_flush(s->a, s->u); /* there is nothing left */
    await_taken(s, 5);
    assert_int_equal(s->w->bundled_most, 5);
    assert_true(yzi_digest_eq(&s->last, &last));
    assert_int_equal(owed(s), 5); /* until the broker brings them */
}

static void test_outbox__one_that_is_full_leaves_by_itself(void **state)
{
    struct scene *s = *state;
    for (unsigned i = 0; i <= OUTBOX_MESSAGES; i++) {
        OK(put(s, 10, NULL));
    }
    await_taken(s, OUTBOX_MESSAGES);
    assert_int_equal(s->w->bundled_most, OUTBOX_MESSAGES);
    yzi_outbox_flush(s->a, s->u);
    await_taken(s, OUTBOX_MESSAGES + 1);
}

static void test_outbox__a_large_one_leaves_alone_and_after_those_before(void **state)
{
    struct scene *s = *state;
    yz_digest large;
    OK(put(s, 10, NULL));
    OK(put(s, 10, NULL));
    OK(put(s, LARGE, &large));
    await_taken(s, 3);
    assert_int_equal(s->w->bundled_most, 2);
    assert_true(yzi_digest_eq(&s->last, &large));
    OK(put(s, 100 * 1024, NULL));
    OK(put(s, 100 * 1024, NULL));
    OK(put(s, 100 * 1024, NULL)); /* together they would be large */
    yzi_outbox_flush(s->a, s->u);
    await_taken(s, 6);
    assert_int_equal(s->w->bundled_most, 2);
}

static void test_outbox__to_a_broker_that_is_away_nothing_is_owed(void **state)
{
    struct scene *s = *state;
    OK(put(s, 10, NULL));
    OK(put(s, 10, NULL));
    cut(s);
    yzi_outbox_flush(s->a, s->u);
    assert_int_equal(owed(s), 0);
    assert_int_equal(put(s, 10, NULL), YZ_EUNAVAILABLE);
    assert_int_equal(owed(s), 0);
    assert_int_equal(town_logged(s->t, "event=answer.failed "), 0); /* broker.down says it */
}

/* The broker reads nothing: at some point its queue is full. Returns how many were put in. */
static unsigned fill(struct scene *s)
{
    unsigned n = 0;
    do {
        OK(put(s, 32 * 1024, NULL));
        yzi_outbox_flush(s->a, s->u);
        n++;
    } while (s->u->outbox.retry_at == UINT64_MAX && n < PUT_MAX);
    assert_true(n < PUT_MAX);
    assert_false(yzi_outbox_is_empty(&s->u->outbox));
    return n;
}

static void test_outbox__what_a_full_queue_does_not_take_waits_for_room(void **state)
{
    struct scene *s = *state;
    unsigned n = fill(s);
    yz_digest last;
    for (unsigned i = 0; i < 3 * OUTBOX_MESSAGES; i++, n++) {
        OK(put(s, 10, NULL));
    }
    OK(put(s, LARGE, NULL));
    OK(put(s, 10, &last));
    n += 2;
    assert_int_equal(owed(s), n);
    await_taken(s, n); /* nothing but the adapter's own timer sends them */
    assert_true(yzi_digest_eq(&s->last, &last));
    assert_int_equal(owed(s), n);
    assert_true(yzi_outbox_is_empty(&s->u->outbox));
    assert_int_equal(town_logged(s->t, "event=answer.failed "), 0);
}

/* While a queue is full nothing but its own timer wakes the adapter. */
static void test_outbox__looks_for_room_again_soon(void **state)
{
    struct scene *s = *state;
    yz_error err = {0};
    (void)fill(s);
    uint64_t until = now_ms() + STEPS_MS;
    for (unsigned i = 0; i < STEPS; i++) {
        OK(yzi_adapter_step(s->a, -1, &err));
    }
    assert_true(now_ms() < until);
    assert_false(yzi_outbox_is_empty(&s->u->outbox));
}

static void test_outbox__is_as_it_was_when_all_has_left(void **state)
{
    struct scene *s = *state;
    for (unsigned round = 0; round < 2; round++) {
        (void)fill(s);
        for (unsigned i = 0; i < 3 * OUTBOX_MESSAGES; i++) {
            OK(put(s, i % OUTBOX_MESSAGES ? 10 : LARGE, NULL));
        }
        assert_true(s->u->outbox.waiting_bytes > 3 * LARGE);
        await_taken(s, s->put_n);
        assert_true(yzi_outbox_is_empty(&s->u->outbox));
        assert_int_equal(s->u->outbox.waiting_bytes, 0);
        assert_true(s->u->outbox.retry_at == UINT64_MAX);
    }
}

/* What was sent before is owed whatever becomes of its copy, in whichever bundle that is. */
static void test_outbox__an_answer_given_again_stays_owed_when_it_cannot_leave(void **state)
{
    struct scene *s = *state;
    struct world_message answer;
    make_answer(s, 10, &answer);
    OK(put_answer(s, &answer, true));
    yzi_outbox_flush(s->a, s->u);
    await_taken(s, 1);
    OK(put_answer(s, &answer, false));
    OK(put(s, 10, NULL));
    assert_int_equal(owed(s), 2);
    cut(s);
    assert_int_equal(owed(s), 1);
    yz_world_message_fini(&answer);
}

static void test_outbox__more_than_may_wait_is_refused_and_not_owed(void **state)
{
    struct scene *s = *state;
    unsigned n = fill(s);
    int rc;
    while ((rc = put(s, 4 * 1024 * 1024, NULL)) == YZ_OK && n < PUT_MAX) {
        n++;
    }
    assert_int_equal(rc, YZ_EAGAIN);
    assert_int_equal(owed(s), n);
    assert_in_range(s->u->outbox.waiting_bytes, OUTBOX_WAITING_MAX - 5 * 1024 * 1024,
                    OUTBOX_WAITING_MAX);
    await_taken(s, n);
}

static void test_outbox__what_waits_when_the_connection_ends_is_not_for_the_next(void **state)
{
    struct scene *s = *state;
    unsigned n = fill(s);
    for (unsigned i = 0; i < 2 * OUTBOX_MESSAGES; i++) {
        OK(put(s, 10, NULL));
    }
    assert_int_equal(owed(s), n + 2 * OUTBOX_MESSAGES);
    cut(s);
    assert_int_equal(owed(s), n - 1); /* of what left the adapter it cannot be told what arrived */
    assert_true(yzi_outbox_is_empty(&s->u->outbox));
}

static void test_outbox__an_adapter_that_ends_waits_for_what_is_in_there(void **state)
{
    struct scene *s = *state;
    yz_error err = {0};
    unsigned n = fill(s) + 1;
    OK(put(s, LARGE, NULL)); /* which leaves nothing open */
    yzi_adapter_drain(s->a);
    OK(yzi_adapter_step(s->a, -1, &err)); /* the broker still reads nothing */
    assert_false(s->a->all_sent);
    await_taken(s, n);
    town_begin(s->t);
    while (!s->a->all_sent) {
        town_wait(s->t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_outbox__several_leave_in_one_message, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_outbox__one_that_is_full_leaves_by_itself, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_outbox__a_large_one_leaves_alone_and_after_those_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_outbox__to_a_broker_that_is_away_nothing_is_owed,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_outbox__what_a_full_queue_does_not_take_waits_for_room,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_outbox__looks_for_room_again_soon, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_outbox__is_as_it_was_when_all_has_left, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_outbox__an_answer_given_again_stays_owed_when_it_cannot_leave, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_outbox__more_than_may_wait_is_refused_and_not_owed,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_outbox__what_waits_when_the_connection_ends_is_not_for_the_next, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_outbox__an_adapter_that_ends_waits_for_what_is_in_there, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
