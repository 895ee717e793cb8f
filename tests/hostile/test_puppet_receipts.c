/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker that owes receipts: it brings them, late, twice, when it is asked, when it is back, not
 * at all, or false ones. The adapter asks, waits, raises the alarm, and answers no more through a
 * broker that leaves it without proof; nor does it act for it.
 */
#include "tests/hostile/town.h"

#include "tests/support/world_evidence.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define SECOND_MS 1000u
#define EXCHANGES_MAX 8u

struct exchanged {
    yz_uuid id;
    yz_digest request, response;
};

struct scene {
    struct town *t;
    struct wire *w;
    struct adapter *a;
    struct receipts *r;
    struct exchanged x[EXCHANGES_MAX];
    unsigned n;
    yz_buf receipt; /* what is brought when it is asked for */
};

static int set_up(void **state)
{
    struct scene *s;
    OK(yzi_alloc(1, sizeof *s, &s));
    yz_world_buf(&s->receipt);
    s->t = town_new();
    town_start_wire(s->t, 0);
    town_start_adapter(s->t, 0);
    town_start_client(s->t);
    town_wait_ready(s->t);
    town_settle(s->t);
    s->w = s->t->wires[0];
    s->w->ctx = s;
    s->a = s->t->adapters[0];
    s->r = &s->a->upstreams[0].receipts;
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    town_free(s->t);
    yzi_buf_fini(&s->receipt);
    free(s);
    return 0;
}

/* -- exchanges -- */

static size_t owed(const struct scene *s)
{
    return yzi_table_count(&s->r->owed);
}

/* A call that is answered; the adapter is owed its receipt. */
static struct exchanged *exchange(struct scene *s)
{
    struct town_call c;
    struct frame q, a;
    struct request_header h;
    town_call(s->t, s->n, &c);
    town_run_until_ended(s->t, &c);
    if (!town_is_right(&c)) {
        fail_msg("%s %s", yz_err_name(c.rc), c.err.text);
    }
    town_call_fini(&c);
    OK(yzi_frame_parse(yzi_bytes_buf(&s->w->request), YZ_MESSAGE_MAX, &q));
    OK(yzi_frame_parse(yzi_bytes_buf(&s->w->answer), YZ_MESSAGE_MAX, &a));
    OK(yzi_request_header_parse(q.header, &h));
    assert_true(s->n < EXCHANGES_MAX);
    struct exchanged *x = &s->x[s->n++];
    x->id = h.message_id;
    yzi_frame_digest(q.header, q.block, &x->request);
    yzi_frame_digest(a.header, a.block, &x->response);
    return x;
}

/* A call that the adapter hands back, without doing anything for it. */
static void expect_handed_back(struct scene *s)
{
    struct town_call c;
    struct frame f;
    struct reject r;
    unsigned before = s->w->answers;
    uint64_t answered = s->a->answered;
    town_call(s->t, 1, &c);
    town_begin(s->t);
    while (s->w->answers == before) {
        town_wait(s->t);
    }
    OK(yzi_frame_parse(yzi_bytes_buf(&s->w->answer), YZ_MESSAGE_MAX, &f));
    assert_int_equal(f.kind, FRAME_REJECT);
    OK(yzi_reject_parse(f.header, &r));
    assert_int_equal(r.status, OUTCOME_UNAVAILABLE);
    assert_true(yzi_bytes_eq_str(r.reason, "no-receipts"));
    assert_int_equal(s->a->answered, answered);
    town_advance(s->t, TOWN_TIMEOUT_MS + 1);
    town_run_until_ended(s->t, &c);
    assert_int_equal(c.rc, YZ_ETIMEOUT);
    town_call_fini(&c);
}

/* -- receipts -- */

static void make(struct scene *s, struct world_node *broker, const struct exchanged *x, yz_buf *out)
{
    const struct receipt_claim claims[] = {{ENTRY_RESPONSE, &x->response},
                                           {ENTRY_REQUEST, &x->request}};
    yzi_buf_clear(out);
    yz_world_receipt(s->t->w, broker, claims, 2, out);
}

static void bring(struct scene *s, const struct exchanged *x, yz_bytes receipt)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    struct receipt_for of = {x->id, x->request};
    OK(yzi_receipt_for_write(&of, receipt, &out));
    wire_to_adapter(s->w, 0, yzi_bytes_buf(&out));
}

static void prove(struct scene *s, const struct exchanged *x)
{
    make(s, s->w->broker, x, &s->receipt);
    bring(s, x, yzi_bytes_buf(&s->receipt));
}

static void await_owed(struct scene *s, size_t n)
{
    town_begin(s->t);
    while (owed(s) != n) {
        town_wait(s->t);
    }
}

static void pass_seconds(struct scene *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        town_advance(s->t, SECOND_MS);
        town_settle(s->t);
    }
}

/* Seconds pass until it was asked so often. */
static void await_asked(struct scene *s, unsigned times)
{
    town_begin(s->t);
    while (s->w->receipts_asked < times) {
        town_wait(s->t);
        yzi_manual_clock_advance(&s->t->w->clock, 100);
    }
    town_settle(s->t);
}

/* Whoever asks for a receipt gets the one that was made last. */
static bool bring_when_asked(struct wire *w, const struct fetch *f, yz_buf *payload)
{
    struct scene *s = w->ctx;
    if (f->what != FETCH_RECEIPT) {
        return false;
    }
    assert_true(s->n > 0);
    const struct exchanged *x = &s->x[s->n - 1];
    assert_int_equal(f->name.n, sizeof x->id.b + sizeof x->response.b);
    assert_memory_equal(f->name.p, x->id.b, sizeof x->id.b);
    assert_memory_equal(f->name.p + sizeof x->id.b, x->response.b, sizeof x->response.b);
    make(s, w->broker, x, &s->receipt);
    OK(yzi_buf_put(payload, yzi_bytes_buf(&s->receipt)));
    return true;
}

static unsigned alarms(struct scene *s)
{
    return town_logged(s->t, "event=receipt.missing ") + town_logged(s->t, "event=receipt.false ") +
           town_logged(s->t, "event=answer.unlogged ");
}

/* -- kept -- */

struct search {
    const struct scene *s;
    const struct exchanged *x;
    unsigned exchanges, receipts;
};

static int look(void *ctx, const struct kept_record *k)
{
    struct search *q = ctx;
    if (!yzi_digest_eq(&k->request_digest, &q->x->request)) {
        return 0;
    }
    q->exchanges += !k->is_receipt;
    q->receipts += k->is_receipt &&
                   yzi_bytes_eq(k->exchange.receipt, yzi_bytes_buf(&q->s->receipt)) &&
                   yzi_bytes_eq_str(k->exchange.broker, "CN/@b1");
    return 0;
}

static void expect_kept(struct scene *s, const struct exchanged *x, unsigned receipts)
{
    char dir[600];
    struct search q = {s, x, 0, 0};
    snprintf(dir, sizeof dir, "%s/a1/kept", s->t->dir);
    OK(yzi_kept_each(dir, NULL, NULL, look, &q, NULL, NULL));
    assert_int_equal(q.exchanges, 1);
    assert_int_equal(q.receipts, receipts);
}

/* -- the tests -- */

static void test_receipt__comes_and_is_kept(void **state)
{
    struct scene *s = *state;
    struct exchanged *x = exchange(s);
    assert_int_equal(owed(s), 1);
    expect_kept(s, x, 0);
    prove(s, x);
    await_owed(s, 0);
    expect_kept(s, x, 1);
    bring(s, x, yzi_bytes_buf(&s->receipt)); /* twice */
    town_settle(s->t);
    expect_kept(s, x, 1);
    assert_int_equal(s->r->proved, 1);
    pass_seconds(s, 40);
    assert_int_equal(s->w->receipts_asked, 0);
    assert_int_equal(alarms(s), 0);
    (void)exchange(s);
}

static void test_receipt__is_asked_for(void **state)
{
    struct scene *s = *state;
    s->w->on_fetch = bring_when_asked;
    (void)exchange(s);
    pass_seconds(s, 4);
    assert_int_equal(s->w->receipts_asked, 0);
    await_asked(s, 1);
    await_owed(s, 0);
    assert_int_equal(s->r->proved, 1);
    expect_kept(s, &s->x[0], 1);
    assert_int_equal(alarms(s), 0);
}

static void test_receipt__of_what_never_became_an_entry(void **state)
{
    struct scene *s = *state; /* the wire has none: "not found" */
    (void)exchange(s);
    await_asked(s, 1);
    assert_int_equal(owed(s), 1); /* it may not have been committed yet */
    await_asked(s, 2);
    await_owed(s, 0);
    assert_int_equal(s->r->missed, 1);
    assert_int_equal(town_logged(s->t, "event=answer.unlogged "), 1);
    assert_int_equal(alarms(s), 1);
    (void)exchange(s); /* served as before */
}

/* The answer to an earlier question; empty: there is none. */
static void answer_late(struct scene *s, uint32_t token, yz_bytes receipt)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    struct object o = {.token = token, .what = FETCH_RECEIPT, .found = receipt.n > 0};
    OK(yzi_object_write(&o, receipt, &out));
    wire_to_adapter(s->w, 0, yzi_bytes_buf(&out));
    town_settle(s->t);
}

/* A broker that is so slow that it is asked again before each answer. */
static void test_receipt__comes_when_it_was_asked_for_again(void **state)
{
    struct scene *s = *state;
    s->w->keeps_receipts = true;
    const struct exchanged *x = exchange(s);
    make(s, s->w->broker, x, &s->receipt);
    await_asked(s, 1);
    uint32_t first = s->w->receipt_token;
    await_asked(s, 4);
    answer_late(s, first, yzi_bytes_buf(&s->receipt));
    await_owed(s, 0);
    assert_int_equal(s->r->proved, 1);
    assert_int_equal(alarms(s), 0);
}

/* It is believed that there is none once it says so to a question that was asked after it had said
 * so before: it may look at several questions at one moment, and that before the commit. */
static void test_receipt__of_what_never_became_an_entry_by_a_slow_broker(void **state)
{
    struct scene *s = *state;
    s->w->keeps_receipts = true;
    (void)exchange(s);
    await_asked(s, 1);
    uint32_t first = s->w->receipt_token;
    await_asked(s, 2);
    uint32_t second = s->w->receipt_token;
    answer_late(s, first, (yz_bytes){0});
    answer_late(s, second, (yz_bytes){0});
    assert_int_equal(owed(s), 1);
    await_asked(s, 3);
    uint32_t third = s->w->receipt_token;
    await_asked(s, 4);
    answer_late(s, third, (yz_bytes){0});
    await_owed(s, 0);
    assert_int_equal(s->r->missed, 1);
    assert_true(yzi_receipts_serve(s->r));
}

static void test_receipt__that_never_comes(void **state)
{
    struct scene *s = *state;
    s->w->keeps_receipts = true;
    struct exchanged *one = exchange(s), *two = exchange(s);
    pass_seconds(s, 28);
    assert_int_equal(alarms(s), 0);
    (void)exchange(s);
    pass_seconds(s, 8);
    assert_int_equal(town_logged(s->t, "event=receipt.missing "), 1);
    await_asked(s, 6);
    expect_handed_back(s);
    prove(s, one);
    prove(s, two);
    await_owed(s, 1);
    expect_handed_back(s); /* not all of them */
    prove(s, &s->x[2]);
    await_owed(s, 0);
    (void)exchange(s);
    assert_int_equal(alarms(s), 1);
    assert_int_equal(s->r->proved, 3);
}

static void expect_mistrusted(struct scene *s)
{
    assert_true(s->r->is_false);
    assert_int_equal(town_logged(s->t, "event=receipt.false "), 1);
    expect_handed_back(s);
}

static void await_false(struct scene *s)
{
    town_begin(s->t);
    while (!s->r->is_false) {
        town_wait(s->t);
    }
}

static void test_receipt__of_another_exchange(void **state)
{
    struct scene *s = *state;
    s->w->keeps_receipts = true;
    struct exchanged *one = exchange(s), *two = exchange(s);
    make(s, s->w->broker, one, &s->receipt);
    bring(s, two, yzi_bytes_buf(&s->receipt));
    await_false(s);
    expect_mistrusted(s);
    prove(s, one);
    prove(s, two);
    await_owed(s, 0);
    expect_mistrusted(s); /* true ones do not mend it */
    town_stop_adapter(s->t, 0);
    town_start_adapter(s->t, 0);
    town_wait_ready(s->t);
    s->a = s->t->adapters[0];
    s->r = &s->a->upstreams[0].receipts;
    (void)exchange(s);
}

static void test_receipt__by_another_brokers_key(void **state)
{
    struct scene *s = *state;
    s->w->keeps_receipts = true;
    struct exchanged *x = exchange(s);
    make(s, yz_world_node(s->t->w, "CN/@b2"), x, &s->receipt);
    bring(s, x, yzi_bytes_buf(&s->receipt));
    town_settle(s->t);
    assert_false(s->r->is_false); /* its directory may be on the way */
    bring(s, x, yzi_bytes_buf(&s->receipt));
    await_false(s);
    expect_mistrusted(s);
}

static void test_receipt__with_a_flipped_bit(void **state)
{
    struct scene *s = *state;
    s->w->keeps_receipts = true;
    struct exchanged *x = exchange(s);
    make(s, s->w->broker, x, &s->receipt);
    s->receipt.p[s->receipt.n - 1] ^= 1;
    bring(s, x, yzi_bytes_buf(&s->receipt));
    await_false(s);
    expect_mistrusted(s);
}

/* -- connections -- */

static void cut(struct scene *s)
{
    yzi_server_cut(s->w->server, &s->w->adapter[0]);
    town_begin(s->t);
    while (s->a->upstreams[0].up) {
        town_wait(s->t);
    }
    assert_false(s->r->is_up);
}

static void test_receipt__is_asked_for_when_the_broker_is_back(void **state)
{
    struct scene *s = *state;
    s->w->on_fetch = bring_when_asked;
    (void)exchange(s);
    cut(s);
    assert_int_equal(owed(s), 1);
    pass_seconds(s, 1);
    town_wait_ready(s->t);
    await_asked(s, 1);
    await_owed(s, 0);
    assert_int_equal(s->r->proved, 1);
    assert_int_equal(alarms(s), 0);
}

/* Being away is no alarm, and going away is no way round it. */
static void test_receipt__is_overdue_though_the_broker_comes_and_goes(void **state)
{
    struct scene *s = *state;
    s->w->keeps_receipts = true;
    (void)exchange(s);
    for (unsigned i = 0; i < 2; i++) {
        pass_seconds(s, 12);
        cut(s);
        town_wait_ready(s->t);
        assert_int_equal(alarms(s), 0);
    }
    pass_seconds(s, 15);
    assert_int_equal(town_logged(s->t, "event=receipt.missing "), 1);
    expect_handed_back(s);
}

/* The machine slept, or the clock jumped: the broker is asked before it is blamed. */
static void test_receipt__is_not_overdue_after_a_pause_of_ours(void **state)
{
    struct scene *s = *state;
    s->w->on_fetch = bring_when_asked;
    (void)exchange(s);
    town_advance(s->t, 3 * RECEIPT_ALARM_MS);
    await_owed(s, 0);
    assert_int_equal(alarms(s), 0);
    assert_int_equal(s->r->proved, 1);
}

/* -- strict grants -- */

static void forward_proved(struct wire *w, const struct frame *f)
{
    YZ_AUTO(yzi_buf_fini) yz_buf receipt;
    yz_digest digest;
    yz_world_buf(&receipt);
    yzi_frame_digest(f->header, f->block, &digest);
    const struct receipt_claim claim = {ENTRY_REQUEST, &digest};
    yz_world_receipt(w->town->w, w->broker, &claim, 1, &receipt);
    wire_forward_with(w, 0, f, yzi_bytes_buf(&receipt));
}

static void forward_with_anothers_proof(struct wire *w, const struct frame *f)
{
    YZ_AUTO(yzi_buf_fini) yz_buf receipt;
    yz_digest digest;
    yz_world_buf(&receipt);
    yzi_frame_digest(f->header, f->block, &digest);
    const struct receipt_claim claim = {ENTRY_REQUEST, &digest};
    yz_world_receipt(w->town->w, yz_world_node(w->town->w, "CN/@b2"), &claim, 1, &receipt);
    wire_forward_with(w, 0, f, yzi_bytes_buf(&receipt));
}

static void expect_unenforceable(struct scene *s)
{
    struct town_call c;
    town_call(s->t, 1, &c);
    town_run_until_ended(s->t, &c);
    OK(c.rc);
    assert_int_equal(yz_answer_origin(c.answer), YZ_ORIGIN_PROVIDER);
    assert_int_equal(yz_answer_status(c.answer), YZ_STATUS_DENIED);
    assert_string_equal(yz_answer_reason(c.answer), "unenforceable");
    town_call_fini(&c);
}

static void test_strict__is_answered_with_proof_only(void **state)
{
    struct scene *s = *state;
    s->t->strict = true;
    town_new_policy(s->t);
    expect_unenforceable(s);
    s->w->on_request = forward_with_anothers_proof;
    expect_unenforceable(s);
    s->w->on_request = forward_proved;
    (void)exchange(s);
    s->w->on_request = NULL;
    expect_unenforceable(s); /* each one needs its own */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(test_receipt__comes_and_is_kept),
        T(test_receipt__is_asked_for),
        T(test_receipt__of_what_never_became_an_entry),
        T(test_receipt__comes_when_it_was_asked_for_again),
        T(test_receipt__of_what_never_became_an_entry_by_a_slow_broker),
        T(test_receipt__that_never_comes),
        T(test_receipt__of_another_exchange),
        T(test_receipt__by_another_brokers_key),
        T(test_receipt__with_a_flipped_bit),
        T(test_receipt__is_asked_for_when_the_broker_is_back),
        T(test_receipt__is_overdue_though_the_broker_comes_and_goes),
        T(test_receipt__is_not_overdue_after_a_pause_of_ours),
        T(test_strict__is_answered_with_proof_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
