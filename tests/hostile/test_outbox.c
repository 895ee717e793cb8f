/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers on their way to a broker: together when there are several, alone when one is large, each
 * exactly once and in order; and when they cannot leave, no receipt is owed for them.
 */
#include "adapters/outbox.h"
#include "tests/hostile/town.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define LARGE (300u * 1024u)
#define PUT_MAX 200000u /* far beyond what any queue between the two takes */

struct scene {
    struct town *t;
    struct wire *w;
    struct adapter *a;
    struct upstream *u;
    struct world_message request;
    unsigned taken;
    yz_digest last; /* that the broker took */
};

static void take(struct wire *w, const struct frame *f)
{
    struct scene *s = w->ctx;
    s->taken++;
    yzi_frame_digest(f->header, f->block, &s->last);
}

static int set_up(void **state)
{
    struct scene *s;
    OK(yzi_alloc(1, sizeof *s, &s));
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
    free(s);
    return 0;
}

static size_t owed(const struct scene *s)
{
    return yzi_table_count(&s->u->receipts.owed);
}

/* An answer to a request of its own with a body of so many bytes, put in as admission does it. */
static int put(struct scene *s, size_t body, yz_digest *out_digest)
{
    struct world_message request, answer;
    YZ_AUTO(yzi_free_ptr) uint8_t *bytes = NULL;
    bool fresh = false;
    OK(yzi_alloc(body, 1, &bytes));
    yz_world_request(s->t->w, &(struct world_request){0}, &request);
    yz_world_response(s->t->w, &(struct world_response){.body = yzi_bytes(bytes, body)},
                      &request.frame, &answer);
    yz_bytes frame = yzi_bytes_buf(&answer.raw);
    assert_true(yzi_receipts_expect(s->a, s->u, frame, &fresh) && fresh);
    int rc = yzi_outbox_put(s->a, s->u, frame, fresh);
    if (out_digest) {
        *out_digest = answer.digest;
    }
    yz_world_message_fini(&request);
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
    struct connection_id id = s->w->adapter[0];
    yzi_server_cut(s->w->server, &id);
    s->w->has_adapter[0] = false;
    /* the adapter's own step would flush before it hears that the connection is gone */
    town_begin(s->t);
    while (yzi_session_is_up(s->u->session)) {
        wire_step(s->w);
        OK(yzi_session_step(s->u->session, NULL));
    }
    yzi_outbox_flush(s->a, s->u);
    assert_int_equal(owed(s), 0);
    assert_int_equal(put(s, 10, NULL), YZ_EUNAVAILABLE);
    assert_int_equal(owed(s), 0);
    assert_int_equal(town_logged(s->t, "event=answer.failed "), 0); /* broker.down says it */
}

/* The broker reads nothing: at some point its queue is full, and then what is put in is owed no
 * more. */
static void test_outbox__what_a_full_queue_does_not_take_is_not_owed(void **state)
{
    struct scene *s = *state;
    size_t n = 0;
    do {
        assert_int_equal(put(s, 32 * 1024, NULL), YZ_OK);
        yzi_outbox_flush(s->a, s->u);
        n++;
    } while (owed(s) == n && n < PUT_MAX);
    assert_int_equal(owed(s), n - 1);
    assert_int_equal(town_logged(s->t, "event=answer.failed "), 1);
    await_taken(s, (unsigned)n - 1);
    OK(put(s, 10, NULL)); /* there is room again */
    yzi_outbox_flush(s->a, s->u);
    await_taken(s, (unsigned)n);
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
        cmocka_unit_test_setup_teardown(test_outbox__what_a_full_queue_does_not_take_is_not_owed,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
