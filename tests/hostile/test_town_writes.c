/* SPDX-License-Identifier: Apache-2.0
 *
 * A write from the real client to the real adapter's store, through a puppet broker that shows a
 * receipt, or a wrong one, or none; loses answers and asks again; and adapters that start again in
 * between. Executed at most once, and what the consumer is told is so.
 */
#include "tests/hostile/town.h"

#include <errno.h>

#include "adapters/access/grant.h"
#include "keys/sign.h"
#include "proof/merkle.h"
#include "tests/faults/shim_io.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define NEW_PERSON "x1"

struct scene {
    struct town *t;
    struct wire *wire;
    yz_buf kept; /* an answer that the wire lost */
};

/* -- the wire -- */

static void lose(struct wire *w, const struct frame *f)
{
    struct scene *s = w->ctx;
    yzi_buf_clear(&s->kept);
    OK(yzi_buf_put(&s->kept, f->raw));
}

static int set_up(void **state)
{
    struct scene *s;
    OK(yzi_alloc(1, sizeof *s, &s));
    yz_world_buf(&s->kept);
    s->t = town_new();
    s->t->w->offers_write = true;
    town_start_wire(s->t, 0);
    town_start_adapter(s->t, 0);
    town_start_client(s->t);
    town_wait_ready(s->t);
    town_settle(s->t);
    s->wire = s->t->wires[0];
    s->wire->ctx = s;
    s->wire->on_request = wire_prove;
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    io_faults_disarm(io_faults_local());
    town_free(s->t);
    yzi_buf_fini(&s->kept);
    free(s);
    return 0;
}

/* -- calls -- */

static void begin_insert(struct scene *s, const char *id, struct town_call *c)
{
    yz_request *r;
    yz_value row[] = {{id, strlen(id)}, {"single", 6}};
    OK(yz_request_new(WORLD_SERVICE, &r));
    OK(yz_request_set_operation(r, YZ_INSERT));
    OK(yz_request_add_field(r, "person_id"));
    OK(yz_request_add_field(r, "status"));
    OK(yz_request_add_row(r, row, 2));
    town_ask(s->t, r, c);
    yz_request_free(r);
}

static void expect(const struct town_call *c, enum yz_status status, const char *reason)
{
    OK(c->rc);
    assert_int_equal(yz_answer_origin(c->answer), YZ_ORIGIN_PROVIDER);
    assert_int_equal(yz_answer_status(c->answer), status);
    assert_string_equal(yz_answer_reason(c->answer), reason);
}

static uint64_t records(struct scene *s)
{
    uint64_t n;
    struct store *store = yzi_adapter_store(s->t->adapters[0], yzi_bytes_str("marriage"));
    OK(yzi_store_count(store, &n));
    return n;
}

static void await_answers(struct scene *s, unsigned n)
{
    town_begin(s->t);
    while (s->wire->answers < n) {
        town_wait(s->t);
    }
}

/* The request that came last, once more, with its receipt. */
static void ask_again(struct scene *s)
{
    struct frame f;
    OK(yzi_frame_parse(yzi_bytes_buf(&s->wire->request), YZ_MESSAGE_MAX, &f));
    wire_prove(s->wire, &f);
}

static void restart_adapter(struct scene *s)
{
    town_stop_adapter(s->t, 0);
    s->wire->has_adapter[0] = false;
    town_start_adapter(s->t, 0);
    town_wait_ready(s->t);
    town_settle(s->t);
}

/* -- what goes well -- */

static void test_write__is_executed_and_answered(void **state)
{
    struct scene *s = *state;
    struct town_call c;
    uint64_t total;
    begin_insert(s, NEW_PERSON, &c);
    town_run_until_ended(s->t, &c);
    expect(&c, YZ_STATUS_OK, "");
    OK(yz_answer_total(c.answer, &total));
    assert_int_equal(total, 1);
    assert_int_equal(records(s), TOWN_KEYS + 1);
    town_call_fini(&c);
    begin_insert(s, NEW_PERSON, &c); /* another message, to the same effect */
    town_run_until_ended(s->t, &c);
    expect(&c, YZ_STATUS_BAD_QUERY, "exists");
    town_call_fini(&c);
    s->wire->on_request = NULL; /* reading from such a service needs a receipt, too */
    town_call(s->t, 7, &c);
    await_answers(s, 3);
    s->wire->on_request = wire_prove;
    ask_again(s);
    town_run_until_ended(s->t, &c);
    assert_true(town_is_right(&c));
    town_call_fini(&c);
}

/* -- without proof -- */

static void see_rejected(struct scene *s, enum outcome_status status, const char *reason)
{
    struct frame f;
    struct reject r;
    OK(yzi_frame_parse(yzi_bytes_buf(&s->wire->answer), YZ_MESSAGE_MAX, &f));
    assert_int_equal(f.kind, FRAME_REJECT);
    OK(yzi_reject_parse(f.header, &r));
    assert_int_equal(r.status, status);
    assert_true(yzi_bytes_eq_str(r.reason, reason));
}

static void (*const none)(struct wire *w, const struct frame *f) = NULL;

static void prove_another(struct wire *w, const struct frame *f)
{
    struct receipt r;
    yz_digest digest = {{1}};
    wire_make_receipt(w, &digest, &w->broker->log, &r);
    wire_show_receipt(w, f, &r);
}

static void prove_with_another_key(struct wire *w, const struct frame *f)
{
    struct receipt r;
    yz_digest digest;
    yzi_frame_digest(f->header, f->block, &digest);
    wire_make_receipt(w, &digest, &yz_world_node(w->town->w, "CN/@b2")->log, &r);
    wire_show_receipt(w, f, &r);
}

static void prove_and_spoil(struct wire *w, const struct frame *f)
{
    struct receipt r;
    yz_digest digest;
    yzi_frame_digest(f->header, f->block, &digest);
    wire_make_receipt(w, &digest, &w->broker->log, &r);
    r.signature[9] ^= 1;
    wire_show_receipt(w, f, &r);
}

static void show_nonsense(struct wire *w, const struct frame *f)
{
    wire_forward_with(w, 0, f, yzi_bytes_str("a receipt"));
}

static void test_write__without_proof_is_not_executed(void **state)
{
    struct scene *s = *state;
    void (*const ways[])(struct wire * w, const struct frame *f) = {
        none, prove_another, prove_with_another_key, prove_and_spoil, show_nonsense};
    for (unsigned i = 0; i < 5; i++) {
        struct town_call c;
        char id[8];
        snprintf(id, sizeof id, "n%u", i);
        s->wire->on_request = ways[i];
        begin_insert(s, id, &c);
        await_answers(s, 2 * i + 1);
        see_rejected(s, OUTCOME_UNAVAILABLE, "no-receipt");
        assert_int_equal(records(s), TOWN_KEYS + i);
        ask_again(s); /* it was not remembered: with proof it is executed */
        town_run_until_ended(s->t, &c);
        expect(&c, YZ_STATUS_OK, "");
        assert_int_equal(records(s), TOWN_KEYS + i + 1);
        town_call_fini(&c);
    }
    assert_int_equal(yzi_writes_count(s->t->adapters[0]->writes), 5);
}

static void test_write__to_two_adapters_is_not_executed(void **state)
{
    struct scene *s = *state;
    YZ_AUTO(yz_world_message_fini) struct world_message m;
    struct world *w = s->t->w;
    yz_world_request(w,
                     &(struct world_request){.slots = {yz_world_node(w, "CN/GOV/MCA/@a1"),
                                                       yz_world_node(w, "CN/GOV/MCA/@a2")}},
                     &m);
    wire_prove(s->wire, &m.frame);
    await_answers(s, 1);
    see_rejected(s, OUTCOME_MALFORMED, "slots");
}

/* -- as many as are remembered -- */

static void restart_adapter(struct scene *s);

static void insert_well(struct scene *s, const char *id)
{
    struct town_call c;
    begin_insert(s, id, &c);
    town_run_until_ended(s->t, &c);
    expect(&c, YZ_STATUS_OK, "");
    town_call_fini(&c);
}

static void is_handed_back(struct scene *s, unsigned n, const char *reason)
{
    see_rejected(s, OUTCOME_BUSY, reason);
    assert_int_equal(yzi_writes_count(s->t->adapters[0]->writes), n);
    assert_int_equal(records(s), TOWN_KEYS + n);
}

/* One more is handed back, neither executed nor remembered, and still is when the adapter started
 * again. When the others could not be accepted any more there is room. */
static void has_places_for(struct scene *s, unsigned n, const char *reason)
{
    struct town_call c;
    char id[16];
    for (unsigned i = 0; i < n; i++) {
        snprintf(id, sizeof id, "n%u", i);
        insert_well(s, id);
    }
    begin_insert(s, NEW_PERSON, &c);
    await_answers(s, n + 1);
    is_handed_back(s, n, reason);
    restart_adapter(s);
    ask_again(s);
    await_answers(s, n + 3); /* stale-key; then what was sealed anew */
    is_handed_back(s, n, reason);
    town_advance(s->t, TOWN_TIMEOUT_MS);
    town_run_until_ended(s->t, &c);
    assert_int_equal(c.rc, YZ_ETIMEOUT);
    town_call_fini(&c);
    town_advance(s->t, YZ_EXPIRY_DEFAULT_MS + YZ_SKEW_MS);
    town_wait_ready(s->t);
    insert_well(s, NEW_PERSON);
    assert_int_equal(yzi_writes_count(s->t->adapters[0]->writes), 1);
    assert_int_equal(records(s), TOWN_KEYS + n + 1);
}

static void test_write__without_a_place_is_not_executed(void **state)
{
    struct scene *s = *state;
    s->t->limits = "{writes: 16}";
    restart_adapter(s);
    has_places_for(s, 16, "writes");
}

static void test_write__beyond_the_node_s_share_is_not_executed(void **state)
{
    struct scene *s = *state;
    s->t->limits = "{writes: 16, writes_per_node: 3}";
    restart_adapter(s);
    has_places_for(s, 3, "writes-share");
}

/* What has a place and finds the memory of answers full gives the place back. */
static void test_write__beyond_what_is_remembered_keeps_no_place(void **state)
{
    struct scene *s = *state;
    struct adapter *a = s->t->adapters[0];
    struct town_call c;
    size_t most = a->memory.o.entries_max;
    insert_well(s, "n0");
    a->memory.o.entries_max = 1;
    begin_insert(s, NEW_PERSON, &c);
    await_answers(s, 2);
    is_handed_back(s, 1, "memory");
    a->memory.o.entries_max = most;
    ask_again(s);
    town_run_until_ended(s->t, &c);
    expect(&c, YZ_STATUS_OK, "");
    assert_int_equal(yzi_writes_count(a->writes), 2);
    town_call_fini(&c);
}

/* -- asked again -- */

static void take_id(struct request_header *h, void *ctx)
{
    h->message_id = *(const yz_uuid *)ctx;
}

/* The same id with other bytes, when only the disk knows the first. */
static void test_write__with_an_id_that_was_used_is_a_conflict(void **state)
{
    struct scene *s = *state;
    YZ_AUTO(yz_world_message_fini) struct world_message m;
    struct world *w = s->t->w;
    yz_uuid id;
    struct frame f;
    insert_well(s, NEW_PERSON);
    OK(yzi_frame_parse(yzi_bytes_buf(&s->wire->request), YZ_MESSAGE_MAX, &f));
    assert_true(yzi_request_header_peek_id(f.header, &id));
    restart_adapter(s);
    yz_world_request(w,
                     &(struct world_request){.slots = {yz_world_node(w, "CN/GOV/MCA/@a1")},
                                             .spoil = take_id,
                                             .ctx = &id},
                     &m);
    wire_prove(s->wire, &m.frame);
    await_answers(s, 2);
    see_rejected(s, OUTCOME_ID_CONFLICT, "other-bytes");
    assert_int_equal(records(s), TOWN_KEYS + 1);
}

static void test_write__asked_again_gets_the_same_bytes(void **state)
{
    struct scene *s = *state;
    struct town_call c;
    s->wire->on_answer = lose;
    begin_insert(s, NEW_PERSON, &c);
    await_answers(s, 1);
    YZ_AUTO(yzi_buf_fini) yz_buf first;
    yz_world_buf(&first);
    OK(yzi_buf_put(&first, yzi_bytes_buf(&s->kept)));
    ask_again(s);
    await_answers(s, 2);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&first), yzi_bytes_buf(&s->kept)));
    restart_adapter(s); /* its keys are gone; what it did is not */
    s->wire->on_answer = NULL;
    ask_again(s);
    town_run_until_ended(s->t, &c);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&first), yzi_bytes_buf(&s->wire->answer)));
    expect(&c, YZ_STATUS_OK, "");
    assert_int_equal(records(s), TOWN_KEYS + 1);
    town_call_fini(&c);
}

/* The adapter lost its keys before the request came: it was not executed, so the client seals it
 * anew, and then it is. */
static void hold(struct wire *w, const struct frame *f)
{
    (void)w;
    (void)f;
}

static void test_write__sealed_to_a_lost_key_is_executed_once(void **state)
{
    struct scene *s = *state;
    struct town_call c;
    s->wire->on_request = hold;
    begin_insert(s, NEW_PERSON, &c);
    town_begin(s->t);
    while (s->wire->requests == 0) {
        town_wait(s->t);
    }
    restart_adapter(s);
    s->wire->on_request = wire_prove;
    ask_again(s);
    town_run_until_ended(s->t, &c);
    expect(&c, YZ_STATUS_OK, "");
    assert_int_equal(town_counters(s->t).resealed, 1);
    assert_int_equal(records(s), TOWN_KEYS + 1);
    town_call_fini(&c);
}

/* What was given up as over is over, though the adapter's clock was set back since. */
static void test_write__that_was_forgotten_is_not_executed_again(void **state)
{
    struct scene *s = *state;
    struct writes *writes = s->t->adapters[0]->writes;
    insert_well(s, NEW_PERSON);
    town_begin(s->t);
    while (yzi_writes_count(writes) > 0) {
        town_tick(s->t, 1000);
    }
    yzi_manual_clock_set_wall(&s->t->w->clock, yz_world_now(s->t->w) - 25000);
    unsigned answers = s->wire->answers;
    ask_again(s);
    await_answers(s, answers + 1);
    see_rejected(s, OUTCOME_EXPIRED, "forgotten");
    assert_int_equal(records(s), TOWN_KEYS + 1);
}

/* Executed, its answer neither kept nor received, and the adapter started again. */
static void test_write__whose_answer_was_not_kept_is_indeterminate(void **state)
{
    struct scene *s = *state;
    struct io_faults *io = io_faults_local();
    struct town_call c;
    char *dir = realpath(s->t->dir, NULL);
    assert_non_null(dir);
    io_faults_watch(io, dir, "/state/db/");
    io_faults_arm(io, IO_WRITE, 0, 0, IO_FAIL, 0);
    begin_insert(s, "x0", &c); /* how many writes there are */
    town_run_until_ended(s->t, &c);
    uint64_t writes = io->seen;
    assert_true(writes >= 4);
    town_call_fini(&c);
    s->wire->on_answer = lose;
    io_faults_arm(io, IO_WRITE, writes - 1, IO_ALWAYS, IO_FAIL, EIO);
    begin_insert(s, NEW_PERSON, &c);
    await_answers(s, 2);
    io_faults_disarm(io);
    assert_true(io->failed > 0);
    assert_int_equal(town_logged(s->t, "answer.failed"), 1);
    restart_adapter(s);
    s->wire->on_answer = NULL;
    ask_again(s);
    town_run_until_ended(s->t, &c);
    expect(&c, YZ_STATUS_INDETERMINATE, "indeterminate");
    assert_int_equal(records(s), TOWN_KEYS + 2);
    town_call_fini(&c);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(test_write__is_executed_and_answered),
        T(test_write__without_proof_is_not_executed),
        T(test_write__to_two_adapters_is_not_executed),
        T(test_write__without_a_place_is_not_executed),
        T(test_write__beyond_the_node_s_share_is_not_executed),
        T(test_write__beyond_what_is_remembered_keeps_no_place),
        T(test_write__with_an_id_that_was_used_is_a_conflict),
        T(test_write__asked_again_gets_the_same_bytes),
        T(test_write__sealed_to_a_lost_key_is_executed_once),
        T(test_write__that_was_forgotten_is_not_executed_again),
        T(test_write__whose_answer_was_not_kept_is_indeterminate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
