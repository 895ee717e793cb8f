/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's broker is lost after it took the request, and the identical bytes go to another: both
 * reach the adapter, in either order, the second while the first is being answered or after. Read
 * once and answered with the same bytes to both, or written exactly once; and the call ends once.
 */
#include "tests/hostile/town.h"

#define OK(call) assert_int_equal((call), YZ_OK)

struct scene {
    struct town *t;
    unsigned inserts;
};

static void hold(struct wire *w, const struct frame *f)
{
    (void)w;
    (void)f;
}

static int set_up(void **state)
{
    struct scene *s;
    OK(yzi_alloc(1, sizeof *s, &s));
    s->t = town_new();
    s->t->w->offers_write = true;
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        town_start_wire(s->t, i);
        s->t->wires[i]->on_request = hold;
    }
    town_start_adapter(s->t, 0);
    town_start_client(s->t);
    town_wait_ready(s->t);
    town_settle(s->t);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    town_free(s->t);
    free(s);
    return 0;
}

static void insert(struct scene *s, struct town_call *c)
{
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

static uint64_t records(struct scene *s)
{
    uint64_t n;
    OK(yzi_store_count(yzi_adapter_store(s->t->adapters[0], yzi_bytes_str("marriage")), &n));
    return n;
}

/* -- the failover -- */

static unsigned holder(const struct scene *s)
{
    return s->t->wires[0]->requests ? 0 : 1;
}

/* The call's request lies at both brokers, the same bytes. Gives who had it first. */
static unsigned lose_the_first(struct scene *s)
{
    struct wire *const *w = s->t->wires;
    YZ_AUTO(yzi_buf_fini) yz_buf bye;
    yz_world_buf(&bye);
    town_begin(s->t);
    while (w[0]->requests + w[1]->requests == 0) {
        town_wait(s->t);
    }
    unsigned first = holder(s);
    OK(yzi_bye_write(yzi_bytes_str("closing"), &bye));
    wire_to_client(w[first], yzi_bytes_buf(&bye));
    w[first]->has_client = false;
    while (w[!first]->requests == 0) {
        town_wait(s->t);
    }
    assert_int_equal(w[0]->requests, 1);
    assert_int_equal(w[1]->requests, 1);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&w[0]->request), yzi_bytes_buf(&w[1]->request)));
    return first;
}

static void let_pass(struct wire *w)
{
    struct frame f;
    OK(yzi_frame_parse(yzi_bytes_buf(&w->request), YZ_MESSAGE_MAX, &f));
    wire_prove(w, &f);
}

static void await_answer(struct scene *s, unsigned i)
{
    town_begin(s->t);
    while (s->t->wires[i]->answers == 0) {
        town_wait(s->t);
    }
}

/* Both brokers pass it on: `one` first, the other at once, or when the one has its answer. */
static void race(struct scene *s, unsigned one, bool waits)
{
    struct wire *const *w = s->t->wires;
    let_pass(w[one]);
    if (waits) {
        await_answer(s, one);
    }
    let_pass(w[!one]);
    await_answer(s, one);
    await_answer(s, !one);
    town_settle(s->t);
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        struct frame f;
        OK(yzi_frame_parse(yzi_bytes_buf(&w[i]->answer), YZ_MESSAGE_MAX, &f));
        assert_int_equal(f.kind, FRAME_RESPONSE);
        assert_int_equal(w[i]->answers, 1);
    }
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&w[0]->answer), yzi_bytes_buf(&w[1]->answer)));
}

static void forget(struct scene *s)
{
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        s->t->wires[i]->requests = s->t->wires[i]->answers = 0;
    }
    town_begin(s->t);
    while (!s->t->wires[0]->has_client || !s->t->wires[1]->has_client) { /* it comes again */
        town_wait(s->t);
        yzi_manual_clock_advance(&s->t->w->clock, 50);
    }
    town_wait_ready(s->t);
    town_settle(s->t);
}

static void test_failover__reads_once_in_any_order(void **state)
{
    struct scene *s = *state;
    for (unsigned order = 0; order < 4; order++) {
        struct town_call c;
        uint64_t answered = s->t->adapters[0]->answered;
        town_call(s->t, order, &c);
        unsigned first = lose_the_first(s);
        race(s, order & 1 ? first : !first, order & 2);
        town_run_until_ended(s->t, &c);
        assert_true(town_is_right(&c));
        assert_int_equal(s->t->adapters[0]->answered, answered + 1); /* the other from memory */
        town_call_fini(&c);
        forget(s);
    }
}

static void test_failover__writes_once_in_any_order(void **state)
{
    struct scene *s = *state;
    for (unsigned order = 0; order < 4; order++) {
        struct town_call c;
        uint64_t before = records(s), total = 0;
        insert(s, &c);
        unsigned first = lose_the_first(s);
        race(s, order & 1 ? first : !first, order & 2);
        town_run_until_ended(s->t, &c);
        assert_int_equal(c.ended, 1);
        OK(c.rc);
        assert_int_equal(yz_answer_status(c.answer), YZ_STATUS_OK);
        OK(yz_answer_total(c.answer, &total));
        assert_int_equal(total, 1);
        assert_int_equal(records(s), before + 1);
        town_call_fini(&c);
        forget(s);
    }
}

/* The first broker passes it on when the call has long ended by the second's answer. */
static void test_failover__a_late_first_broker_changes_nothing(void **state)
{
    struct scene *s = *state;
    struct town_call c;
    uint64_t before = records(s);
    insert(s, &c);
    unsigned first = lose_the_first(s);
    let_pass(s->t->wires[!first]);
    town_run_until_ended(s->t, &c);
    OK(c.rc);
    assert_int_equal(yz_answer_status(c.answer), YZ_STATUS_OK);
    let_pass(s->t->wires[first]);
    await_answer(s, first);
    town_settle(s->t);
    assert_int_equal(c.ended, 1);
    assert_int_equal(records(s), before + 1);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&s->t->wires[0]->answer),
                             yzi_bytes_buf(&s->t->wires[1]->answer)));
    town_call_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(test_failover__reads_once_in_any_order),
        T(test_failover__writes_once_in_any_order),
        T(test_failover__a_late_first_broker_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
