/* SPDX-License-Identifier: Apache-2.0
 *
 * Commit before deliver: nothing leaves the broker before its entries are durable, what leaves has
 * receipts that hold, what is refused is in the log as well, and what becomes of all that when the
 * consumer, the adapter, the log or the broker goes while an answer is held. The evidence log's
 * writer is stopped at a gate: it asks the clock before each commit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>

#include "tests/faults/shim_io.h"
#include "tests/unit/broker/fixture.h"

#define OK(call) assert_int_equal((call), YZ_OK)

/* -- the gate -- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    pthread_t front;
    bool shut;
    uint64_t (*wall)(const struct clock *c);
} gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

static uint64_t gated_wall(const struct clock *c)
{
    if (!pthread_equal(pthread_self(), gate.front)) {
        pthread_mutex_lock(&gate.mutex);
        while (gate.shut) {
            pthread_cond_wait(&gate.moved, &gate.mutex);
        }
        pthread_mutex_unlock(&gate.mutex);
    }
    return gate.wall(c);
}

static void gate_set(bool shut)
{
    pthread_mutex_lock(&gate.mutex);
    gate.shut = shut;
    pthread_cond_broadcast(&gate.moved);
    pthread_mutex_unlock(&gate.mutex);
}

/* -- set-up -- */

struct cast {
    struct rig *r;
    struct puppet *client, *a1, *a2;
};

static int set_up(void **state)
{
    void *rig;
    struct cast *c;
    OK(yzi_alloc(1, sizeof *c, &c));
    assert_int_equal(rig_set_up(&rig), 0);
    c->r = rig;
    rig_stop(c->r);
    gate.front = pthread_self();
    gate.wall = c->r->w->clock.clock.wall_ms;
    c->r->w->clock.clock.wall_ms = gated_wall;
    rig_start(c->r);
    *state = c;
    return 0;
}

static int tear_down(void **state)
{
    struct cast *c = *state;
    void *rig = c->r;
    io_faults_disarm(io_faults_local());
    gate_set(false);
    rig_tear_down(&rig);
    free(c);
    return 0;
}

/* The marriage service, its grant strict or not. */
static void offer(struct rig *r, bool strict)
{
    static const char *const fields[] = {"person_id", NULL};
    YZ_AUTO(yzi_buf_fini) yz_buf simple, bytes;
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    struct record record;
    struct offer o;
    yz_world_buf(&simple);
    yz_world_buf(&bytes);
    yzi_arena_init(&arena, 1u << 20);
    yz_world_simple_offer(r->w, WORLD_SERVICE, WORLD_CONSUMER, 1, fields, &simple, NULL);
    OK(yzi_record_parse(yzi_bytes_buf(&simple), &record));
    OK(yzi_offer_parse(record.body, &arena, &o));
    o.grants[0].strict = strict;
    yz_world_put_offer(r->w, &o, &bytes);
    OK(yzi_record_parse(yzi_bytes_buf(&bytes), &record));
    OK(yzi_broker_take_record(r->b, &record, NULL, NULL));
}

static void cast_all(struct cast *c)
{
    c->a1 = rig_join(c->r, "CN/GOV/MCA/@a1");
    c->a1->wants_receipts = true;
    c->client = rig_join(c->r, "CN/GOV/HB/@w1");
}

/* To a1 only. */
static struct world_message ask(struct cast *c)
{
    struct world_request q = {.slots = {yz_world_node(c->r->w, "CN/GOV/MCA/@a1")}};
    return make_request(c->r, &q);
}

/* -- what must hold -- */

static void nothing_is_left(struct cast *c)
{
    const struct broker *b = c->r->b;
    assert_int_equal(yzi_exchanges_count(&b->exchanges), 0);
    assert_int_equal(b->exchanges.bytes, 0);
    assert_int_equal(b->refused_bytes, 0);
    assert_null(b->refused);
    for (struct table_item *i = yzi_table_first(&b->connections.loads); i; i = yzi_table_next(i)) {
        assert_int_equal(((struct node_load *)yzi_table_value(i))->in_flight, 0);
    }
}

/* The receipt shows these, in this broker's log, by the directory. */
static void expect_receipt(struct cast *c, yz_bytes bytes, const struct receipt_claim *claims,
                           unsigned n)
{
    struct receipt r;
    OK(yzi_receipt_parse(bytes, &r));
    assert_int_equal(r.entries_n, n);
    OK(yzi_receipt_verify(NULL, c->r->b->directory, yz_world_node(c->r->w, "CN/@b1")->node,
                          yz_world_now(c->r->w), &r, claims, n));
}

/* The frame's hop has the receipt of it and of the request. */
static void expect_proved(struct cast *c, const struct frame *f, enum entry_type type,
                          const struct world_message *q)
{
    struct hop hop;
    yz_digest digest;
    yzi_frame_digest(f->header, f->block, &digest);
    const struct receipt_claim claims[] = {{type, &digest}, {ENTRY_REQUEST, &q->digest}};
    OK(yzi_hop_parse(f->hop, &hop));
    expect_receipt(c, hop.receipt, claims, 2);
}

static void expect_adapters_receipt(struct cast *c, struct puppet *p, const struct world_message *q,
                                    const struct world_message *a)
{
    struct receipt_for of;
    const struct frame *f = puppet_expect(p, FRAME_RECEIPT);
    const struct receipt_claim claims[] = {{ENTRY_RESPONSE, &a->digest},
                                           {ENTRY_REQUEST, &q->digest}};
    OK(yzi_receipt_for_parse(f->header, &of));
    assert_true(yzi_digest_eq(&of.request_digest, &q->digest));
    expect_receipt(c, f->payload, claims, 2);
}

static void await(struct cast *c, bool (*is_so)(struct cast *c))
{
    for (unsigned i = 0; i < 2000 && !is_so(c); i++) {
        rig_wait(c->r);
    }
    assert_true(is_so(c));
}

static bool no_exchanges(struct cast *c)
{
    return yzi_exchanges_count(&c->r->b->exchanges) == 0 && !c->r->b->refused;
}

static bool is_up(struct cast *c)
{
    return yzi_evidence_up(c->r->b->evidence);
}

/* -- the log's content -- */

struct content {
    unsigned count[16];
    struct refusals refusals[8]; /* their node is not to be read */
    unsigned refusals_n;
    yz_digest directory; /* the last one's */
};

static int see(void *ctx, uint64_t index, yz_bytes entry, yz_bytes body)
{
    struct content *c = ctx;
    struct entry e;
    (void)index;
    OK(yzi_entry_parse(entry, &e));
    assert_true((unsigned)e.type < 16);
    c->count[e.type]++;
    if (e.type == ENTRY_REFUSALS) {
        assert_true(c->refusals_n < 8);
        OK(yzi_refusals_parse(body, &c->refusals[c->refusals_n]));
        assert_true(yzi_bytes_eq_str(c->refusals[c->refusals_n++].node.v, "CN/GOV/HB/@w1"));
    }
    if (e.type == ENTRY_DIRECTORY) {
        c->directory = e.digest;
    }
    return 0;
}

/* What was appended before is in it: the log goes in order. */
static struct content read_log(struct cast *c)
{
    struct content content = {0};
    for (unsigned i = 0; i < 3; i++) {
        rig_wait(c->r);
    }
    struct evidence_status s;
    yzi_evidence_status(c->r->b->evidence, &s);
    OK(yzi_evidence_each(c->r->b->evidence, 0, s.size, see, &content));
    return content;
}

static bool wants_directories(struct cast *c);
static unsigned wanted_directories, wanted_revocations, wanted_refusals;

static bool wants_directories(struct cast *c)
{
    struct content now = read_log(c);
    return now.count[ENTRY_DIRECTORY] >= wanted_directories &&
           now.count[ENTRY_REVOCATION] >= wanted_revocations && now.refusals_n >= wanted_refusals;
}

static struct content await_log(struct cast *c, unsigned directories, unsigned revocations,
                                unsigned refusals)
{
    wanted_directories = directories;
    wanted_revocations = revocations;
    wanted_refusals = refusals;
    for (unsigned i = 0; i < 300 && !wants_directories(c); i++) {
        rig_wait(c->r);
    }
    struct content now = read_log(c);
    assert_int_equal(now.count[ENTRY_DIRECTORY], directories);
    assert_int_equal(now.count[ENTRY_REVOCATION], revocations);
    assert_int_equal(now.refusals_n, refusals);
    return now;
}

/* -- answers -- */

/* The request is sent and answered, and the answer held. */
static void hold(struct cast *c, const struct world_message *q, struct world_message *a)
{
    puppet_send(c->client, yzi_bytes_buf(&q->raw));
    puppet_expect_request(c->a1, q);
    gate_set(true);
    puppet_answer(c->a1, q, a);
    assert_true(puppet_is_heard(c->a1));
    assert_int_equal(puppet_count(c->client, FRAME_RESPONSE), 0);
    assert_int_equal(puppet_count(c->a1, FRAME_RECEIPT), 0);
    assert_int_equal(yzi_exchanges_count(&c->r->b->exchanges), 1);
}

static void test_answer__leaves_when_its_entry_is_durable(void **state)
{
    struct cast *c = *state;
    MESSAGE(q) = ask(c);
    MESSAGE(a);
    offer(c->r, false);
    cast_all(c);
    hold(c, &q, &a);
    gate_set(false);
    puppet_expect_response(c->client, &a);
    expect_proved(c, &c->client->frame, ENTRY_RESPONSE, &q);
    expect_adapters_receipt(c, c->a1, &q, &a);
    nothing_is_left(c);
}

static void test_answer__asked_for_again_while_it_is_held(void **state)
{
    struct cast *c = *state;
    MESSAGE(q) = ask(c);
    MESSAGE(a);
    offer(c->r, false);
    cast_all(c);
    struct puppet *again = rig_join(c->r, "CN/GOV/HB/@w1"); /* the same node reconnected */
    hold(c, &q, &a);
    puppet_send(c->client, yzi_bytes_buf(&q.raw));
    assert_true(puppet_is_heard(c->client));
    puppet_send(again, yzi_bytes_buf(&q.raw));
    assert_true(puppet_is_heard(again));
    gate_set(false);
    puppet_expect_response(again, &a);
    expect_proved(c, &again->frame, ENTRY_RESPONSE, &q);
    assert_int_equal(puppet_count(c->client, FRAME_RESPONSE), 0);
    assert_int_equal(puppet_count(c->a1, FRAME_REQUEST), 0);
    struct content log = read_log(c);
    assert_int_equal(log.count[ENTRY_REQUEST], 1);
    assert_int_equal(log.count[ENTRY_RESPONSE], 1);
    nothing_is_left(c);
}

static void test_answer__whose_consumer_is_gone(void **state)
{
    struct cast *c = *state;
    MESSAGE(q) = ask(c);
    MESSAGE(a);
    offer(c->r, false);
    cast_all(c);
    hold(c, &q, &a);
    puppet_close(c->client);
    gate_set(false);
    expect_adapters_receipt(c, c->a1, &q, &a);
    nothing_is_left(c);
}

static void test_answer__whose_consumer_was_revoked(void **state)
{
    struct cast *c = *state;
    MESSAGE(q) = ask(c);
    MESSAGE(a);
    offer(c->r, false);
    cast_all(c);
    hold(c, &q, &a);
    yz_world_revoke_node(c->r->w, "CN/GOV/HB/@w1", yz_world_now(c->r->w));
    yz_world_publish(c->r->w);
    rig_give_directory(c->r);
    gate_set(false);
    expect_adapters_receipt(c, c->a1, &q, &a);
    await(c, no_exchanges);
    assert_int_equal(yzi_metric_get(&c->r->b->metrics.responses), 0);
    nothing_is_left(c);
}

static void test_answer__whose_adapter_is_gone(void **state)
{
    struct cast *c = *state;
    MESSAGE(q) = ask(c);
    MESSAGE(a);
    struct request_header h;
    uint8_t name[16 + 32];
    struct object o;
    offer(c->r, false);
    cast_all(c);
    hold(c, &q, &a);
    puppet_close(c->a1);
    gate_set(false);
    puppet_expect_response(c->client, &a);
    c->a1 = rig_join(c->r, "CN/GOV/MCA/@a1");
    OK(yzi_request_header_parse(q.frame.header, &h));
    memcpy(name, h.message_id.b, 16);
    memcpy(name + 16, a.digest.b, 32);
    struct fetch f = {.token = 9, .what = FETCH_RECEIPT, .name = yzi_bytes(name, sizeof name)};
    yzi_buf_clear(&c->r->frame);
    OK(yzi_fetch_write(&f, &c->r->frame));
    puppet_send(c->a1, yzi_bytes_buf(&c->r->frame));
    do {
        OK(yzi_object_parse(puppet_expect(c->a1, FRAME_OBJECT)->header, &o));
    } while (o.token != 9);
    assert_true(o.found);
    const struct receipt_claim claims[] = {{ENTRY_RESPONSE, &a.digest}, {ENTRY_REQUEST, &q.digest}};
    expect_receipt(c, c->a1->frame.payload, claims, 2);
    nothing_is_left(c);
}

static void use_id(struct request_header *h, void *ctx)
{
    h->message_id = *(const yz_uuid *)ctx;
}

/* Two nodes chose the same message id: the receipt that is fetched is of the right request. */
static void test_answer__under_an_id_that_another_used(void **state)
{
    struct cast *c = *state;
    MESSAGE(q) = ask(c);
    MESSAGE(a);
    struct request_header h;
    offer(c->r, false);
    cast_all(c);
    struct puppet *w2 = rig_join(c->r, "CN/GOV/HB/@w2");
    OK(yzi_request_header_parse(q.frame.header, &h));
    struct world_request same = {.client = w2->node,
                                 .slots = {yz_world_node(c->r->w, "CN/GOV/MCA/@a1")},
                                 .spoil = use_id,
                                 .ctx = &h.message_id};
    MESSAGE(other) = make_request(c->r, &same);
    puppet_send(c->client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(c->a1, &q);
    puppet_send(w2, yzi_bytes_buf(&other.raw));
    puppet_expect_request(c->a1, &other);
    puppet_answer(c->a1, &q, &a);
    puppet_expect_response(c->client, &a);
    YZ_AUTO(yzi_buf_fini) yz_buf receipt;
    yz_world_buf(&receipt);
    const struct receipt_claim claims[] = {{ENTRY_RESPONSE, &a.digest}, {ENTRY_REQUEST, &q.digest}};
    OK(yzi_evidence_receipt(c->r->b->evidence, &h.message_id, &a.digest, &receipt));
    expect_receipt(c, yzi_bytes_buf(&receipt), claims, 2);
}

/* The log is closed between request and answer: the receipt shows both all the same. */
static void test_answer__in_another_log_than_its_request(void **state)
{
    struct cast *c = *state;
    MESSAGE(q) = ask(c);
    MESSAGE(a);
    offer(c->r, false);
    cast_all(c);
    puppet_send(c->client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(c->a1, &q);
    struct evidence_status before, after;
    yzi_evidence_status(c->r->b->evidence, &before);
    OK(yzi_evidence_rotate(c->r->b->evidence));
    puppet_answer(c->a1, &q, &a);
    puppet_expect_response(c->client, &a);
    expect_proved(c, &c->client->frame, ENTRY_RESPONSE, &q);
    expect_adapters_receipt(c, c->a1, &q, &a);
    yzi_evidence_status(c->r->b->evidence, &after);
    assert_true(after.log > before.log);
    nothing_is_left(c);
}

static void test_broker__freed_while_answers_are_held(void **state)
{
    struct cast *c = *state;
    MESSAGE(q) = ask(c);
    MESSAGE(a);
    MESSAGE(denied) =
        make_request(c->r, &(struct world_request){.service = "CN/GOV/MCA/civil/nothing/v1"});
    offer(c->r, false);
    cast_all(c);
    hold(c, &q, &a);
    puppet_send(c->client, yzi_bytes_buf(&denied.raw));
    assert_true(puppet_is_heard(c->client));
    assert_non_null(c->r->b->refused);
    gate_set(false);
    rig_stop(c->r);
    rig_start(c->r);
    struct content log = read_log(c); /* nothing of it is lost */
    assert_int_equal(log.count[ENTRY_REQUEST], 2);
    assert_int_equal(log.count[ENTRY_RESPONSE], 1);
    assert_int_equal(log.count[ENTRY_OUTCOME], 1);
}

/* -- requests that wait -- */

static void waits_for_its_entry(struct cast *c)
{
    MESSAGE(q) = ask(c);
    MESSAGE(a);
    cast_all(c);
    gate_set(true);
    puppet_send(c->client, yzi_bytes_buf(&q.raw));
    assert_true(puppet_is_heard(c->client));
    assert_int_equal(puppet_count(c->a1, FRAME_REQUEST), 0);
    assert_int_equal(yzi_exchanges_count(&c->r->b->exchanges), 1);
    gate_set(false);
    (void)puppet_expect_request(c->a1, &q);
    struct hop hop;
    const struct receipt_claim claim = {ENTRY_REQUEST, &q.digest};
    OK(yzi_hop_parse(c->a1->frame.hop, &hop));
    expect_receipt(c, hop.receipt, &claim, 1);
    puppet_answer(c->a1, &q, &a);
    puppet_expect_response(c->client, &a);
    expect_proved(c, &c->client->frame, ENTRY_RESPONSE, &q);
    nothing_is_left(c);
}

static void test_request__under_a_strict_grant_waits(void **state)
{
    struct cast *c = *state;
    offer(c->r, true);
    waits_for_its_entry(c);
}

static void test_request__that_writes_waits(void **state)
{
    struct cast *c = *state;
    c->r->w->offers_write = true;
    offer(c->r, false);
    waits_for_its_entry(c);
}

static void test_request__that_waited_too_long(void **state)
{
    struct cast *c = *state;
    MESSAGE(q) = ask(c);
    offer(c->r, true);
    cast_all(c);
    gate_set(true);
    puppet_send(c->client, yzi_bytes_buf(&q.raw));
    assert_true(puppet_is_heard(c->client));
    for (unsigned i = 0; i < 16; i++) { /* everybody stays awake */
        puppet_heartbeat(c->a1, c->r->w->version);
        assert_true(puppet_is_heard(c->a1));
        rig_advance(c->r, 2000);
    }
    gate_set(false);
    puppet_expect_outcome(c->client, &q, OUTCOME_TIMEOUT, "no-answer-in-time");
    expect_proved(c, &c->client->frame, ENTRY_OUTCOME, &q);
    assert_int_equal(puppet_count(c->a1, FRAME_REQUEST), 0);
    nothing_is_left(c);
}

/* -- refusals -- */

static void test_refusal__is_in_the_log_with_its_request(void **state)
{
    struct cast *c = *state;
    MESSAGE(q) = ask(c);
    cast_all(c); /* nothing is offered */
    gate_set(true);
    puppet_send(c->client, yzi_bytes_buf(&q.raw));
    assert_int_equal(puppet_count(c->client, FRAME_OUTCOME), 0);
    gate_set(false);
    puppet_expect_outcome(c->client, &q, OUTCOME_UNKNOWN_SERVICE, "no-such-service");
    expect_proved(c, &c->client->frame, ENTRY_OUTCOME, &q);
    struct content log = read_log(c);
    assert_int_equal(log.count[ENTRY_REQUEST], 1);
    assert_int_equal(log.count[ENTRY_OUTCOME], 1);
    nothing_is_left(c);
}

/* A peer that is denied with every message does not fill the log file either. */
static void test_refusal__causes_few_lines(void **state)
{
    struct cast *c = *state;
    cast_all(c);
    for (unsigned i = 0; i < 14; i++) {
        MESSAGE(q) = ask(c);
        puppet_send(c->client, yzi_bytes_buf(&q.raw));
        puppet_expect_outcome(c->client, &q, OUTCOME_UNKNOWN_SERVICE, "no-such-service");
    }
    assert_int_equal(yzi_metric_get(&c->r->b->metrics.lines_left_out), 5);
}

/* What is refused and waits for the log holds memory, and not without end. */
static void test_refusal__held_is_bounded(void **state)
{
    struct cast *c = *state;
    uint8_t body[40000] = {0};
    c->r->config.limits.in_flight_bytes = 400000;
    yzi_broker_limits_changed(c->r->b);
    cast_all(c);
    gate_set(true);
    for (unsigned i = 0; i < 4; i++) {
        struct world_request big = {.body = yzi_bytes(body, sizeof body)};
        MESSAGE(q) = make_request(c->r, &big);
        puppet_send(c->client, yzi_bytes_buf(&q.raw));
        if (i == 3) {
            puppet_expect_outcome(c->client, &q, OUTCOME_BUSY, "limit");
        } else {
            assert_true(puppet_is_heard(c->client));
            assert_true(c->r->b->refused_bytes >= (i == 2 ? 80000 : (i + 1) * 40000u));
        }
        if (i == 2) {
            puppet_count(c->client, FRAME_OUTCOME);
        }
    }
    assert_true(c->r->b->refused_bytes <= 100000);
    rig_advance(c->r, 1000);
    assert_true(puppet_is_heard(c->client));
    assert_in_range(yzi_metric_get(&c->r->b->metrics.held_bytes), 80000, 100000);
    gate_set(false);
    await(c, no_exchanges);
    nothing_is_left(c);
}

static void misdirected(struct cast *c)
{
    struct world_request q = {.brokers = {yz_world_node(c->r->w, "CN/@b2")}};
    MESSAGE(m) = make_request(c->r, &q);
    puppet_send(c->client, yzi_bytes_buf(&m.raw));
    puppet_expect_outcome(c->client, &m, OUTCOME_WRONG_SENDER, "other-broker");
}

static void expired(struct cast *c)
{
    struct world_request q = {.issued_at = yz_world_now(c->r->w) - 120000, .life_ms = 1000};
    MESSAGE(m) = make_request(c->r, &q);
    puppet_send(c->client, yzi_bytes_buf(&m.raw));
    puppet_expect_outcome(c->client, &m, OUTCOME_EXPIRED, "expired");
}

static void test_refusals__are_one_entry_per_node_and_second(void **state)
{
    struct cast *c = *state;
    offer(c->r, false);
    cast_all(c);
    rig_advance(c->r, 1000);
    uint64_t from = yz_world_now(c->r->w);
    for (unsigned i = 0; i < 5; i++) {
        misdirected(c);
    }
    expired(c);
    assert_int_equal(read_log(c).refusals_n, 0);
    rig_advance(c->r, 1000);
    struct content log = await_log(c, 1, 0, 1);
    const struct refusals *r = &log.refusals[0];
    assert_true(r->from == from && r->until == from);
    assert_int_equal(r->counts_n, 2);
    assert_int_equal(r->counts[0].status, OUTCOME_EXPIRED);
    assert_int_equal(r->counts[0].count, 1);
    assert_int_equal(r->counts[1].status, OUTCOME_WRONG_SENDER);
    assert_int_equal(r->counts[1].count, 5);
    assert_int_equal(log.count[ENTRY_REQUEST], 0);
    rig_advance(c->r, 1000);
    rig_advance(c->r, 1000);
    misdirected(c);
    rig_advance(c->r, 1000);
    (void)await_log(c, 1, 0, 2);
}

/* -- directories -- */

static void test_directory__is_in_the_log_with_its_revocations(void **state)
{
    struct cast *c = *state;
    yz_digest digest;
    rig_advance(c->r, 1000);
    struct content log = await_log(c, 1, 0, 0);
    yzi_entry_digest(yzi_directory_manifest(c->r->b->directory), &digest);
    assert_true(yzi_digest_eq(&digest, &log.directory));
    yz_world_revoke_node(c->r->w, "CN/GOV/HB/@w2", yz_world_now(c->r->w));
    yz_world_publish(c->r->w);
    rig_give_directory(c->r);
    rig_advance(c->r, 1000);
    log = await_log(c, 2, 1, 0);
    yzi_entry_digest(yzi_directory_manifest(c->r->b->directory), &digest);
    assert_true(yzi_digest_eq(&digest, &log.directory));
    yz_world_publish(c->r->w); /* the same revocation */
    rig_give_directory(c->r);
    rig_advance(c->r, 1000);
    rig_advance(c->r, 1000);
    (void)await_log(c, 3, 1, 0);
}

/* -- the log is down -- */

static void break_disk(struct cast *c)
{
    struct io_faults *io = io_faults_local();
    char *dir = realpath(c->r->home, NULL);
    assert_non_null(dir);
    io_faults_watch(io, dir, "state/evidence");
    io_faults_arm(io, IO_WRITE | IO_SYNC, 1, IO_ALWAYS, IO_FAIL, EIO);
    free(dir);
}

static bool is_down(struct cast *c)
{
    return !yzi_evidence_up(c->r->b->evidence);
}

static void mend_disk(struct cast *c)
{
    io_faults_disarm(io_faults_local());
    await(c, is_up);
}

static void test_log__that_fails_with_an_answer_held(void **state)
{
    struct cast *c = *state;
    MESSAGE(q) = ask(c);
    MESSAGE(a);
    MESSAGE(next) = ask(c);
    MESSAGE(after) = ask(c);
    MESSAGE(answered);
    offer(c->r, false);
    cast_all(c);
    hold(c, &q, &a);
    break_disk(c);
    gate_set(false);
    puppet_expect_outcome(c->client, &q, OUTCOME_UNAVAILABLE, "evidence-log");
    assert_int_equal(puppet_count(c->client, FRAME_RESPONSE), 0);
    assert_int_equal(puppet_count(c->a1, FRAME_RECEIPT), 0);
    await(c, is_down);
    puppet_send(c->client, yzi_bytes_buf(&next.raw)); /* at once, and not forwarded */
    puppet_expect_outcome(c->client, &next, OUTCOME_UNAVAILABLE, "evidence-log");
    assert_int_equal(puppet_count(c->a1, FRAME_REQUEST), 0);
    rig_advance(c->r, 1000);
    assert_int_equal(yzi_metric_get(&c->r->b->metrics.ready), 0);
    nothing_is_left(c);
    mend_disk(c);
    rig_advance(c->r, 1000);
    assert_int_equal(yzi_metric_get(&c->r->b->metrics.ready), 1);
    puppet_send(c->client, yzi_bytes_buf(&after.raw));
    puppet_expect_request(c->a1, &after);
    puppet_answer(c->a1, &after, &answered);
    puppet_expect_response(c->client, &answered);
    expect_proved(c, &c->client->frame, ENTRY_RESPONSE, &after);
    nothing_is_left(c);
}

/* The write was executed; that its answer cannot be told must not sound as if it was not. */
static void test_log__that_fails_with_a_write_s_answer_held(void **state)
{
    struct cast *c = *state;
    MESSAGE(q) = ask(c);
    MESSAGE(a);
    c->r->w->offers_write = true;
    offer(c->r, false);
    cast_all(c);
    hold(c, &q, &a);
    break_disk(c);
    gate_set(false);
    puppet_expect_outcome(c->client, &q, OUTCOME_TIMEOUT, "evidence-log");
    assert_int_equal(puppet_count(c->client, FRAME_RESPONSE), 0);
    nothing_is_left(c);
    mend_disk(c);
}

static void test_log__that_fails_before_a_strict_request_is_forwarded(void **state)
{
    struct cast *c = *state;
    MESSAGE(q) = ask(c);
    offer(c->r, true);
    cast_all(c);
    break_disk(c);
    puppet_send(c->client, yzi_bytes_buf(&q.raw));
    puppet_expect_outcome(c->client, &q, OUTCOME_UNAVAILABLE, "evidence-log");
    assert_int_equal(puppet_count(c->a1, FRAME_REQUEST), 0);
    nothing_is_left(c);
    mend_disk(c);
}

/* What nobody waits for is not lost either: directory, revocations, refusals. */
static void test_log__that_fails_logs_the_rest_later(void **state)
{
    struct cast *c = *state;
    cast_all(c);
    rig_advance(c->r, 1000);
    (void)await_log(c, 1, 0, 0);
    misdirected(c);
    misdirected(c);
    yz_world_revoke_node(c->r->w, "CN/GOV/HB/@w2", yz_world_now(c->r->w));
    yz_world_publish(c->r->w);
    rig_give_directory(c->r);
    break_disk(c);
    rig_advance(c->r, 1000); /* appended, and the commit fails */
    await(c, is_down);
    rig_wait(c->r);
    rig_advance(c->r, 1000); /* down: not even appended */
    mend_disk(c);
    rig_advance(c->r, 1000);
    struct content log = await_log(c, 2, 1, 1);
    assert_int_equal(log.refusals[0].counts[0].count, 2);
}

static void test_draining__waits_for_what_is_held(void **state)
{
    struct cast *c = *state;
    MESSAGE(q) = ask(c);
    cast_all(c);
    gate_set(true);
    puppet_send(c->client, yzi_bytes_buf(&q.raw));
    assert_true(puppet_is_heard(c->client));
    assert_non_null(c->r->b->refused);
    yzi_broker_drain(c->r->b);
    rig_wait(c->r);
    assert_false(c->r->b->said_goodbye);
    gate_set(false);
    puppet_expect_outcome(c->client, &q, OUTCOME_UNKNOWN_SERVICE, "no-such-service");
    expect_proved(c, &c->client->frame, ENTRY_OUTCOME, &q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(test_answer__leaves_when_its_entry_is_durable),
        T(test_answer__asked_for_again_while_it_is_held),
        T(test_answer__whose_consumer_is_gone),
        T(test_answer__whose_consumer_was_revoked),
        T(test_answer__whose_adapter_is_gone),
        T(test_answer__under_an_id_that_another_used),
        T(test_answer__in_another_log_than_its_request),
        T(test_broker__freed_while_answers_are_held),
        T(test_request__under_a_strict_grant_waits),
        T(test_request__that_writes_waits),
        T(test_request__that_waited_too_long),
        T(test_refusal__is_in_the_log_with_its_request),
        T(test_refusal__causes_few_lines),
        T(test_refusal__held_is_bounded),
        T(test_refusals__are_one_entry_per_node_and_second),
        T(test_directory__is_in_the_log_with_its_revocations),
        T(test_log__that_fails_with_an_answer_held),
        T(test_log__that_fails_with_a_write_s_answer_held),
        T(test_log__that_fails_before_a_strict_request_is_forwarded),
        T(test_log__that_fails_logs_the_rest_later),
        T(test_draining__waits_for_what_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
