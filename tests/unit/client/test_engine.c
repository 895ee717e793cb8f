/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine against a puppet broker over real sockets, on a manual clock: what callers get,
 * rightly and wrongly, and what a broker that lies, dies or dawdles can do to them.
 */
#include "client/engine_internal.h"
#include "tests/unit/client/puppet.h"

/* -- answers -- */

static void test_call__a_verified_answer_is_told(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    yzi_manual_clock_advance(&s->w->clock, 7);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
    assert_int_equal(yz_answer_elapsed(s->call.answer), 7);
    assert_string_equal(yz_answer_node(s->call.answer), "CN/GOV/MCA/@a1");
    assert_int_equal(yzi_engine_calls(s->engine), 0);
}

static void test_call__either_adapter_may_answer(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    struct world_response by_a2 = {.adapter = s->a2};
    stage_answer(s, &s->b1, &by_a2, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
    assert_string_equal(yz_answer_node(s->call.answer), "CN/GOV/MCA/@a2");
}

static void test_call__may_be_made_before_anything_is_connected(void **state)
{
    struct stage *s = *state;
    stage_start(s);
    stage_call_sent(s); /* connects, follows the directory, asks for the service, sends */
    stage_answer(s, &s->b1, NULL, "single", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "single");
}

/* What is kept for a retry is bounded in bytes. */
static void test_call__beyond_the_bytes_under_way_is_busy(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    s->engine->bytes = ENGINE_BYTES_MAX - 100;
    stage_call(s, &s->call);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_EBUSY, "too many bytes are under way");
    assert_int_equal(s->engine->bytes, ENGINE_BYTES_MAX - 100);
    assert_int_equal(s->b1.requests_n, 0);
    s->engine->bytes = 0;
    outcome_fini(&s->call);
    stage_call_sent(s);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
    assert_int_equal(s->engine->bytes, 0);
}

static void test_call__the_service_is_asked_for_once_a_minute(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    for (unsigned i = 0; i < 3; i++) {
        stage_call_sent(s);
        stage_answer(s, &s->b1, NULL, "single", i);
        stage_run_until_ended(s, &s->call);
        outcome_fini(&s->call);
    }
    assert_int_equal(s->b1.fetches, 1);
    yzi_manual_clock_advance(&s->w->clock, 60000);
    stage_call_sent(s);
    assert_int_equal(s->b1.fetches, 2);
}

static void test_call__a_broker_denies(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    puppet_outcome(&s->b1, s->b1.broker, OUTCOME_DENIED, "no-grant", 0);
    stage_run_until_ended(s, &s->call);
    expect_broker_says(&s->call, YZ_STATUS_DENIED, "no-grant", "CN/@b1");
}

static void test_call__a_provider_denies(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    YZ_AUTO(yzi_buf_fini) yz_buf head;
    yz_world_buf(&head);
    struct answer_head h = {.code = ANSWER_DENIED, .reason = yzi_bytes_str("field")};
    assert_int_equal(yzi_answer_head_write(&h, &head), 0);
    struct world_response r = {.status = RESPONSE_REFUSED, .head = yzi_bytes_buf(&head)};
    puppet_respond(&s->b1, &r, 0);
    stage_run_until_ended(s, &s->call);
    assert_int_equal(s->call.rc, 0);
    assert_int_equal(yz_answer_origin(s->call.answer), YZ_ORIGIN_PROVIDER);
    assert_int_equal(yz_answer_status(s->call.answer), YZ_STATUS_DENIED);
    assert_string_equal(yz_answer_reason(s->call.answer), "field");
}

/* -- evidence -- */

static void test_evidence__an_answer_in_the_log_is_proved(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
    assert_int_equal(yz_answer_evidence(s->call.answer), YZ_EVIDENCE_PROVED);
}

static void expect_without_evidence(struct stage *s, const char *says)
{
    stage_ready(s);
    stage_call_sent(s);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_ERECEIPT, says);
    assert_int_equal(stage_counters(s).rejected, 1);
}

static void test_evidence__an_answer_without_a_receipt_does_not_count(void **state)
{
    struct stage *s = *state;
    s->b1.no_receipts = true;
    expect_without_evidence(s, "without a receipt");
}

static void test_evidence__an_answer_with_a_false_receipt_does_not_count(void **state)
{
    struct stage *s = *state;
    s->b1.false_receipts = true;
    expect_without_evidence(s, "its receipt is false");
}

static void expect_reported(struct stage *s, enum yz_evidence evidence)
{
    s->config.receipts = RECEIPTS_REPORT;
    stage_ready(s);
    stage_call_sent(s);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
    assert_int_equal(yz_answer_evidence(s->call.answer), evidence);
}

/* Two trees of one log: whatever each of them proves, this broker proves nothing. */
static void test_evidence__of_a_log_with_two_histories_does_not_count(void **state)
{
    struct stage *s = *state;
    s->w->one_log = WORLD_TIME - 1000;
    assert_int_equal(yzi_views_open(s->dir, &s->views, NULL), 0);
    stage_ready(s);
    stage_call_sent(s);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
    outcome_fini(&s->call);
    s->call = (struct outcome_of_call){0};
    stage_call(s, &s->call);
    stage_run_until_requests(s, &s->b1, 2);
    stage_answer(s, &s->b1, NULL, "single", 1);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_ERECEIPT, "its receipt is false");
    assert_int_equal(stage_counters(s).alarms, 1);
}

static void test_evidence__is_reported_as_missing_where_it_is_not_required(void **state)
{
    struct stage *s = *state;
    s->b1.no_receipts = true;
    expect_reported(s, YZ_EVIDENCE_MISSING);
}

static void test_evidence__is_reported_as_false_where_it_is_not_required(void **state)
{
    struct stage *s = *state;
    s->b1.false_receipts = true;
    expect_reported(s, YZ_EVIDENCE_FALSE);
}

static void test_evidence__an_outcome_may_have_none(void **state)
{
    struct stage *s = *state;
    s->b1.no_receipts = true;
    stage_ready(s);
    stage_call_sent(s);
    puppet_outcome(&s->b1, s->b1.broker, OUTCOME_DENIED, "no-grant", 0);
    stage_run_until_ended(s, &s->call);
    expect_broker_says(&s->call, YZ_STATUS_DENIED, "no-grant", "CN/@b1");
    assert_int_equal(yz_answer_evidence(s->call.answer), YZ_EVIDENCE_MISSING);
}

/* -- what does not verify -- */

static void expect_untrue(struct stage *s, const char *says)
{
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_ESIGNATURE, says);
    assert_int_equal(stage_counters(s).rejected, 1);
}

static void test_answer__signed_by_another_key_does_not_count(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    struct world_response r = {.sign_with = &s->a2->signing};
    stage_answer(s, &s->b1, &r, "forged", 0);
    expect_untrue(s, "no live record lists");
}

static void flip_signature(struct world_message *m)
{
    m->raw.p[YZ_PREFIX_BYTES + m->frame.header.n + 60] ^= 1; /* inside the signature */
}

static void test_answer__with_a_broken_signature_does_not_count(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    struct frame q = puppet_request(&s->b1, 0);
    struct world_message m;
    struct world_response r = {.head = yzi_bytes_str("x")};
    yz_world_response(s->w, &r, &q, &m);
    flip_signature(&m);
    puppet_send(&s->b1, yzi_bytes_buf(&m.raw));
    yz_world_message_fini(&m);
    expect_untrue(s, "its signature");
}

static void wrong_slot(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->slot = 1;
}

static void test_answer__in_the_name_of_another_slot_does_not_count(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    struct world_response r = {.adapter = s->a1, .spoil = wrong_slot};
    stage_answer(s, &s->b1, &r, "forged", 0);
    expect_untrue(s, "belongs to another request, or is by a node");
}

static void test_answer__with_a_swapped_payload_does_not_count(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    struct frame q = puppet_request(&s->b1, 0);
    struct world_message one, other, swapped;
    struct world_response r = {.head = yzi_bytes_str("x")};
    yz_world_response(s->w, &r, &q, &one);
    yz_world_response(s->w, &r, &q, &other);
    yz_world_reframe(&one.frame, NULL, &other.frame.payload, &swapped);
    puppet_send(&s->b1, yzi_bytes_buf(&swapped.raw));
    yz_world_message_fini(&one);
    yz_world_message_fini(&other);
    yz_world_message_fini(&swapped);
    expect_untrue(s, "digest of its payload");
}

static void other_request(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->request_digest.b[0] ^= 1;
}

static void test_answer__to_other_bytes_does_not_count(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    struct world_response r = {.spoil = other_request};
    stage_answer(s, &s->b1, &r, "replayed", 0);
    expect_untrue(s, "belongs to another request");
}

static void other_content(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->content_commitment.b[0] ^= 1;
}

static void newer_directory(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->directory_version++;
}

static void test_answer__that_is_not_what_was_committed_to_does_not_count(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    struct world_response r = {.spoil = other_content};
    stage_answer(s, &s->b1, &r, "forged", 0);
    expect_untrue(s, "commits to");
}

static void test_answer__by_a_revoked_adapter_does_not_count(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    yz_world_revoke_node(s->w, "CN/GOV/MCA/@a1", yz_world_now(s->w));
    yz_world_publish(s->w);
    stage_answer(s, &s->b1, NULL, "married", 0); /* says it knows the newer directory */
    puppet_heartbeat(&s->b1);
    expect_untrue(s, "no live record lists");
    assert_int_equal(stage_counters(s).waited, 1);
}

/* Answers that claim a directory nobody has are kept a moment, though never more than so many bytes
 * of them, however many calls are under way: the next is judged by what there is. */
#define GREAT (15u << 20)
#define GREAT_PARKED 4u /* a fifth would be more than 64 MiB of them */

static void great_of_the_next_directory(struct stage *s, uint8_t *body, unsigned request)
{
    struct world_response r = {.body = yzi_bytes(body, GREAT), .spoil = newer_directory};
    puppet_respond(&s->b1, &r, request);
}

static bool have_waited(struct stage *s, void *ctx)
{
    return stage_counters(s).waited == *(const uint64_t *)ctx;
}

static void test_answer__great_ones_that_wait_hold_no_more_than_allowed(void **state)
{
    struct stage *s = *state;
    struct outcome_of_call calls[GREAT_PARKED + 1] = {0};
    uint8_t *body = calloc(1, GREAT);
    assert_non_null(body);
    stage_ready(s);
    for (unsigned i = 0; i <= GREAT_PARKED; i++) {
        stage_call(s, &calls[i]);
        stage_run_until_requests(s, &s->b1, i + 1);
    }
    for (uint64_t sent = 1; sent <= 2 * GREAT_PARKED; sent++) {
        /* each second one in the place of another, which is no more */
        great_of_the_next_directory(s, body, (unsigned)(sent - 1) / 2);
        stage_run(s, have_waited, &sent);
    }
    assert_int_equal(s->engine->parked_bytes / GREAT, GREAT_PARKED);
    great_of_the_next_directory(s, body, GREAT_PARKED);
    stage_run_until_ended(s, &calls[GREAT_PARKED]);
    assert_int_equal(stage_counters(s).waited, 2 * GREAT_PARKED);
    yzi_manual_clock_advance(&s->w->clock, 2000);
    for (unsigned i = 0; i <= GREAT_PARKED; i++) {
        stage_run_until_ended(s, &calls[i]);
        outcome_fini(&calls[i]);
    }
    assert_int_equal(s->engine->parked_bytes, 0);
    free(body);
}

static void test_outcome__by_a_broker_not_named_does_not_count(void **state)
{
    struct stage *s = *state;
    struct world_node *b3 = yz_world_add_broker(s->w, "b3");
    yz_world_publish(s->w);
    stage_ready(s);
    stage_call_sent(s);
    puppet_outcome(&s->b1, b3, OUTCOME_DENIED, "no-grant", 0);
    expect_untrue(s, "by a node the request does not name");
}

static void test_outcome__of_another_broker_is_not_this_ones_to_bring(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    puppet_down(&s->b2);
    stage_settle(s);
    stage_call_sent(s);
    puppet_outcome(&s->b1, s->b2.broker, OUTCOME_DENIED, "no-grant", 0);
    expect_untrue(s, "by a node the request does not name");
}

static void test_answer__out_of_the_format_is_told_as_such(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    struct world_response r = {.head = yzi_bytes_str("no head")};
    puppet_respond(&s->b1, &r, 0);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_EMALFORMED, "its head does not parse");
}

/* -- stale keys -- */

static void restart_adapter(struct stage *s, struct world_node *adapter)
{
    yzi_epochs_free(adapter->epochs);
    adapter->epochs = NULL;
    yzi_manual_clock_advance(&s->w->clock, 10);
}

static void test_stale_key__is_sealed_again_once(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    restart_adapter(s, s->a1);
    struct world_response stale = {.adapter = s->a1, .status = RESPONSE_STALE_KEY};
    puppet_respond(&s->b1, &stale, 0);
    stage_run_until_requests(s, &s->b1, 2);
    struct request_header before, after;
    assert_int_equal(yzi_request_header_parse(puppet_request(&s->b1, 0).header, &before), 0);
    assert_int_equal(yzi_request_header_parse(puppet_request(&s->b1, 1).header, &after), 0);
    assert_false(yzi_uuid_eq(&before.message_id, &after.message_id));
    assert_true(yzi_uuid_eq(&before.conversation_id, &after.conversation_id));
    stage_answer(s, &s->b1, NULL, "married", 1);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
    assert_int_equal(stage_counters(s).resealed, 1);
    assert_int_equal(s->b1.fetches, 1); /* the answer brought what was needed */
}

static void announce(struct response_header *h, void *ctx)
{
    h->announcement = yzi_bytes_buf(ctx);
}

/* Another call has learned of a later key meanwhile: that is sealed to. */
static void test_stale_key__that_is_stale_itself_is_not_gone_back_to(void **state)
{
    struct stage *s = *state;
    struct outcome_of_call other = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf second;
    yz_world_buf(&second);
    stage_ready(s);
    stage_call_sent(s);
    stage_call(s, &other);
    stage_run_until_requests(s, &s->b1, 2);
    restart_adapter(s, s->a1);
    assert_int_equal(yzi_buf_put(&second, yzi_bytes_buf(&yz_world_epoch(s->w, s->a1)->record)), 0);
    restart_adapter(s, s->a1);
    struct world_response stale = {.adapter = s->a1, .status = RESPONSE_STALE_KEY};
    puppet_respond(&s->b1, &stale, 0);
    stage_run_until_requests(s, &s->b1, 3);
    stale.spoil = announce;
    stale.ctx = &second;
    puppet_respond(&s->b1, &stale, 1);
    stage_run_until_requests(s, &s->b1, 4);
    struct request_header h;
    assert_int_equal(yzi_request_header_parse(puppet_request(&s->b1, 3).header, &h), 0);
    assert_true(yzi_digest_eq(&h.slots[0].announcement, &yz_world_epoch(s->w, s->a1)->digest));
    stage_answer(s, &s->b1, NULL, "married", 2);
    stage_answer(s, &s->b1, NULL, "single", 3);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
    stage_run_until_ended(s, &other);
    expect_record(&other, "single");
    outcome_fini(&other);
}

static void test_stale_key__a_second_time_ends_the_call(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    struct world_response stale = {.adapter = s->a1, .status = RESPONSE_STALE_KEY};
    for (unsigned i = 0; i < 2; i++) {
        stage_run_until_requests(s, &s->b1, i + 1);
        restart_adapter(s, s->a1);
        puppet_respond(&s->b1, &stale, i);
    }
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_ESTALEKEY, "twice");
}

static void test_stale_key__needs_the_adapters_signature(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    struct world_response stale = {
        .adapter = s->a1, .status = RESPONSE_STALE_KEY, .sign_with = &s->a2->signing};
    puppet_respond(&s->b1, &stale, 0);
    expect_untrue(s, "response");
    assert_int_equal(s->b1.requests_n, 1);
}

/* -- time -- */

static void test_time__a_call_without_answer_says_how_far_it_got(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    yzi_manual_clock_advance(&s->w->clock, 29999);
    stage_settle(s);
    assert_int_equal(s->call.ended, 0);
    yzi_manual_clock_advance(&s->w->clock, 1);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_ETIMEOUT, "not answered within 30000 ms");
    assert_non_null(strstr(s->call.err.text, "CN/@b1: connected"));
}

static void test_time__the_broker_has_time_to_say_timeout_first(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    struct request_header h;
    assert_int_equal(yzi_request_header_parse(puppet_request(&s->b1, 0).header, &h), 0);
    assert_int_equal(h.expires_at - h.issued_at, 29500);
    yzi_manual_clock_advance(&s->w->clock, 29500);
    puppet_outcome(&s->b1, s->b1.broker, OUTCOME_TIMEOUT, "no-answer-in-time", 0);
    stage_run_until_ended(s, &s->call);
    expect_broker_says(&s->call, YZ_STATUS_TIMEOUT, "no-answer-in-time", "CN/@b1");
}

static void test_time__a_late_answer_is_dropped(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    yzi_manual_clock_advance(&s->w->clock, 30000);
    stage_run_until_ended(s, &s->call);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_settle(s);
    assert_int_equal(s->call.ended, 1);
    assert_int_equal(stage_counters(s).late, 1);
}

static void test_time__a_duplicate_answer_is_dropped(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_answer(s, &s->b1, NULL, "single", 0);
    stage_run_until_ended(s, &s->call);
    stage_settle(s);
    expect_record(&s->call, "married");
    assert_int_equal(stage_counters(s).late, 1);
}

/* -- taking back -- */

static void test_cancel__of_a_call_not_sent_says_so(void **state)
{
    struct stage *s = *state;
    struct call_handle handle = {0};
    puppet_down(&s->b1);
    stage_start(s);
    stage_call_as(s, &s->call, &handle);
    assert_non_null(handle.call);
    yzi_engine_cancel(s->engine, &handle);
    expect_error(&s->call, YZ_ECANCELLED, "nothing was sent");
    assert_null(handle.call);
    assert_int_equal(yzi_engine_calls(s->engine), 0);
    assert_true(yzi_engine_deadline(s->engine) > yzi_mono_ms(&s->w->clock.clock));
}

static void test_cancel__of_a_sent_call_says_so_and_its_answer_is_late(void **state)
{
    struct stage *s = *state;
    struct call_handle handle = {0};
    struct outcome_of_call other = {0};
    stage_ready(s);
    stage_call_as(s, &s->call, &handle);
    stage_run_until_requests(s, &s->b1, 1);
    stage_call(s, &other);
    stage_run_until_requests(s, &s->b1, 2);
    yzi_engine_cancel(s->engine, &handle);
    expect_error(&s->call, YZ_ECANCELLED, "was sent as ");
    assert_int_equal(yzi_engine_calls(s->engine), 1);
    stage_answer(s, &s->b1, NULL, "single", 0);
    stage_answer(s, &s->b1, NULL, "married", 1);
    stage_run_until_ended(s, &other);
    expect_record(&other, "married");
    assert_int_equal(s->call.ended, 1);
    assert_int_equal(stage_counters(s).late, 1);
    outcome_fini(&other);
}

static void test_cancel__before_the_order_is_given_ends_it_then(void **state)
{
    struct stage *s = *state;
    struct call_handle handle = {0};
    stage_ready(s);
    yzi_engine_cancel(s->engine, &handle);
    assert_int_equal(s->call.ended, 0);
    stage_call_as(s, &s->call, &handle);
    expect_error(&s->call, YZ_ECANCELLED, "nothing was sent");
    assert_int_equal(yzi_engine_calls(s->engine), 0);
    assert_int_equal(stage_counters(s).sent, 0);
}

static void test_cancel__after_the_end_changes_nothing(void **state)
{
    struct stage *s = *state;
    struct call_handle handle = {0};
    stage_ready(s);
    stage_call_as(s, &s->call, &handle);
    stage_run_until_requests(s, &s->b1, 1);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    yzi_engine_cancel(s->engine, &handle);
    expect_record(&s->call, "married");
    assert_int_equal(s->call.ended, 1);
}

#define ONE(t) cmocka_unit_test_setup_teardown(t, stage_one_broker, stage_tear_down)
#define TWO(t) cmocka_unit_test_setup_teardown(t, stage_two_brokers, stage_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ONE(test_call__a_verified_answer_is_told),
        ONE(test_call__either_adapter_may_answer),
        ONE(test_call__may_be_made_before_anything_is_connected),
        ONE(test_call__beyond_the_bytes_under_way_is_busy),
        ONE(test_call__the_service_is_asked_for_once_a_minute),
        ONE(test_call__a_broker_denies),
        ONE(test_call__a_provider_denies),
        ONE(test_evidence__an_answer_in_the_log_is_proved),
        ONE(test_evidence__an_answer_without_a_receipt_does_not_count),
        ONE(test_evidence__an_answer_with_a_false_receipt_does_not_count),
        ONE(test_evidence__of_a_log_with_two_histories_does_not_count),
        ONE(test_evidence__is_reported_as_missing_where_it_is_not_required),
        ONE(test_evidence__is_reported_as_false_where_it_is_not_required),
        ONE(test_evidence__an_outcome_may_have_none),
        ONE(test_answer__signed_by_another_key_does_not_count),
        ONE(test_answer__with_a_broken_signature_does_not_count),
        ONE(test_answer__in_the_name_of_another_slot_does_not_count),
        ONE(test_answer__with_a_swapped_payload_does_not_count),
        ONE(test_answer__to_other_bytes_does_not_count),
        ONE(test_answer__that_is_not_what_was_committed_to_does_not_count),
        ONE(test_answer__by_a_revoked_adapter_does_not_count),
        ONE(test_answer__great_ones_that_wait_hold_no_more_than_allowed),
        ONE(test_outcome__by_a_broker_not_named_does_not_count),
        TWO(test_outcome__of_another_broker_is_not_this_ones_to_bring),
        ONE(test_answer__out_of_the_format_is_told_as_such),
        ONE(test_stale_key__is_sealed_again_once),
        ONE(test_stale_key__that_is_stale_itself_is_not_gone_back_to),
        ONE(test_stale_key__a_second_time_ends_the_call),
        ONE(test_stale_key__needs_the_adapters_signature),
        ONE(test_time__a_call_without_answer_says_how_far_it_got),
        ONE(test_time__the_broker_has_time_to_say_timeout_first),
        ONE(test_time__a_late_answer_is_dropped),
        ONE(test_time__a_duplicate_answer_is_dropped),
        ONE(test_cancel__of_a_call_not_sent_says_so),
        ONE(test_cancel__of_a_sent_call_says_so_and_its_answer_is_late),
        ONE(test_cancel__before_the_order_is_given_ends_it_then),
        ONE(test_cancel__after_the_end_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
