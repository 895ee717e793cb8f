/* SPDX-License-Identifier: Apache-2.0
 *
 * adapters/answer: a request of the world's client, answered, then verified, opened and checked as
 * the consumer does; everything that can be wrong with it; and what outlives it in memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sodium.h>

#include "tests/unit/adapter/fixture.h"

#define MESSAGE(name) YZ_AUTO(yz_world_message_fini) struct world_message name
#define OPENED(name) YZ_AUTO(opened_fini) struct opened name

static const char *const person[] = {"p1", NULL};

static void free_job(struct job **j)
{
    yzi_job_free(*j);
}
#define JOB(name) YZ_AUTO(free_job) struct job *name

/* Answer it, open it, and expect that code and reason. */
static void expect(struct fixture *f, const struct world_message *q, struct job *j,
                   enum answer_code code, const char *reason)
{
    yzi_answer(&f->answering, j);
    OPENED(o);
    fixture_open(f, q, j, &o);
    if (o.head.code != code || !yzi_bytes_eq_str(o.head.reason, reason)) {
        fail_msg("%s %.*s, not %s %s", yzi_answer_code_name(o.head.code), (int)o.head.reason.n,
                 (const char *)o.head.reason.p, yzi_answer_code_name(code), reason);
    }
    assert_string_equal(j->reason, reason);
    assert_true(code != ANSWER_DENIED || o.head.detail.n > 0); /* in words, too */
    assert_int_equal(o.head.rows, 0);
    assert_int_equal(o.plain.body.n, 0);
}

/* -- answers -- */

static void test_answer__gives_what_was_asked_for(void **state)
{
    struct fixture *f = *state;
    MESSAGE(q);
    static const char *const keys[] = {"p3", "nobody", "p1", NULL};
    JOB(j) = fixture_get(f, keys, NULL, &q);
    yzi_answer(&f->answering, j);
    OPENED(o);
    fixture_open(f, &q, j, &o);
    char text[200];
    opened_rows(&o, text, sizeof text);
    assert_string_equal(text, "p3|single\np1|married\n"); /* readable fields only */
    assert_int_equal(o.head.code, ANSWER_OK);
    assert_int_equal(o.response.header.status, RESPONSE_ANSWERED);
    assert_true(o.response.header.data_version > 0);
    assert_true(yzi_bytes_eq_str(o.head.grant, "g1"));
    assert_true(yzi_bytes_eq_str(o.head.fields[1].name, "status"));
}

static void test_answer__to_nothing_found_looks_like_any_other(void **state)
{
    struct fixture *f = *state;
    MESSAGE(found_q);
    MESSAGE(lost_q);
    static const char *const nobody[] = {"nobody", NULL};
    JOB(found) = fixture_get(f, person, NULL, &found_q);
    JOB(lost) = fixture_get(f, nobody, NULL, &lost_q);
    yzi_answer(&f->answering, found);
    yzi_answer(&f->answering, lost);
    OPENED(o);
    fixture_open(f, &lost_q, lost, &o);
    assert_int_equal(o.head.code, ANSWER_OK);
    assert_int_equal(o.head.rows, 0);
    assert_int_equal(found->status, lost->status);
    assert_int_equal(found->answer.n, lost->answer.n); /* padded to one size */
}

static void test_answer__is_good_as_long_as_the_request_may_be_repeated(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf head;
    yz_world_buf(&head);
    fixture_query(QUERY_GET, person, NULL, &head);
    static const uint32_t lives[] = {1000, 30000, 60000, YZ_EXPIRY_MAX_MS};
    for (size_t i = 0; i < 4; i++) {
        uint64_t now = yz_world_now(f->w);
        MESSAGE(q);
        yz_world_request(f->w,
                         &(struct world_request){.head = yzi_bytes_buf(&head),
                                                 .life_ms = lives[i],
                                                 .issued_at = now + YZ_SKEW_MS},
                         &q);
        JOB(j) = fixture_job(f, &q);
        yzi_answer(&f->answering, j);
        OPENED(o);
        fixture_open(f, &q, j, &o);
        uint64_t least = now + YZ_SKEW_MS + lives[i];
        least = least < now + YZ_EXPIRY_MAX_MS ? least : now + YZ_EXPIRY_MAX_MS;
        assert_true(o.response.header.expires_at >= least);
    }
}

/* -- refusals -- */

static void test_answer__denies_without_a_policy_or_a_grant(void **state)
{
    struct fixture *f = *state;
    MESSAGE(q);
    JOB(j) = fixture_get(f, person, NULL, &q);
    yzi_policy_unref(j->policy);
    j->policy = NULL;
    expect(f, &q, j, ANSWER_DENIED, "no-grant");
    /* a grant, but to somebody else */
    MESSAGE(other_q);
    JOB(other) = fixture_get(f, person, NULL, &other_q);
    struct coarse_grant *g = f->policy->offer->offer.grants;
    g->consumer.v = yzi_bytes_str("CN/GOV/HB/attic");
    expect(f, &other_q, other, ANSWER_DENIED, "no-grant");
}

static void test_answer__denies_outside_a_grants_time(void **state)
{
    struct fixture *f = *state;
    struct coarse_grant *g = f->policy->offer->offer.grants;
    uint64_t now = yz_world_now(f->w);
    MESSAGE(a);
    JOB(early) = fixture_get(f, person, NULL, &a);
    g->not_before = now + 1;
    expect(f, &a, early, ANSWER_DENIED, "not-valid-yet");
    MESSAGE(b);
    JOB(late) = fixture_get(f, person, NULL, &b);
    g->not_before = 0;
    g->not_after = now; /* not_after itself is over, as at the broker */
    expect(f, &b, late, ANSWER_DENIED, "expired");
    MESSAGE(c);
    JOB(good) = fixture_get(f, person, NULL, &c);
    g->not_after = now + 1;
    yzi_answer(&f->answering, good);
    assert_int_equal(good->status, RESPONSE_ANSWERED);
}

static void test_answer__denies_what_the_terms_do_not_allow(void **state)
{
    struct fixture *f = *state;
    struct fine_grant *g = &f->policy->terms.grants[0];
    static const char *const spouse[] = {"spouse", NULL};
    MESSAGE(a);
    JOB(field) = fixture_get(f, person, spouse, &a);
    yzi_answer(&f->answering, field);
    OPENED(o);
    fixture_open(f, &a, field, &o);
    assert_int_equal(o.head.code, ANSWER_DENIED);
    assert_true(yzi_bytes_eq_str(o.head.reason, "field"));
    assert_true(yzi_bytes_eq_str(o.head.detail, "the field spouse is not granted"));
    assert_int_equal(o.response.header.status, RESPONSE_REFUSED);

    yz_bytes audit = yzi_bytes_str("audit");
    MESSAGE(b);
    JOB(purpose) = fixture_get(f, person, NULL, &b);
    g->purposes = (struct name_list){&audit, 1};
    expect(f, &b, purpose, ANSWER_DENIED, "purpose");
    g->purposes = (struct name_list){0};

    MESSAGE(c);
    JOB(quota) = fixture_get(f, person, NULL, &c);
    g->quota_per_day = 1; /* nothing counts here, so it gives nothing */
    expect(f, &c, quota, ANSWER_DENIED, "unenforceable");
    g->quota_per_day = 0;

    MESSAGE(d);
    JOB(operation) = fixture_get(f, person, NULL, &d);
    g->operations = 1u << QUERY_COUNT;
    expect(f, &d, operation, ANSWER_DENIED, "operation");
}

static void test_answer__refuses_wrong_queries(void **state)
{
    struct fixture *f = *state;
    static const char *const unknown[] = {"colour", NULL};
    MESSAGE(a);
    JOB(field) = fixture_get(f, person, unknown, &a);
    expect(f, &a, field, ANSWER_BAD_QUERY, "unknown-field");
    MESSAGE(b);
    JOB(match);
    YZ_AUTO(yzi_buf_fini) yz_buf head;
    yz_world_buf(&head);
    fixture_query(QUERY_MATCH, NULL, NULL, &head);
    yz_world_request(f->w, &(struct world_request){.head = yzi_bytes_buf(&head)}, &b);
    match = fixture_job(f, &b);
    expect(f, &b, match, ANSWER_UNSUPPORTED, "query"); /* of nobody, nothing */
    MESSAGE(c);
    JOB(elsewhere) = fixture_get(f, person, NULL, &c);
    yzi_store_close(elsewhere->store);
    elsewhere->store = NULL;
    expect(f, &c, elsewhere, ANSWER_UNSUPPORTED, "no-data-set");
}

static void test_answer__refuses_http(void **state)
{
    struct fixture *f = *state;
    struct request_head h = {.method = yzi_bytes_str("GET"), .path = yzi_bytes_str("/p1")};
    YZ_AUTO(yzi_buf_fini) yz_buf head;
    yz_world_buf(&head);
    assert_int_equal(yzi_request_head_write(&h, &head), 0);
    MESSAGE(a);
    struct world_request w = {.type = PLAIN_HTTP, .head = yzi_bytes_buf(&head)};
    yz_world_request(f->w, &w, &a);
    JOB(http) = fixture_job(f, &a);
    expect(f, &a, http, ANSWER_UNSUPPORTED, "http");
    /* the type says one thing, the head another */
    MESSAGE(b);
    w.type = PLAIN_QUERY;
    yz_world_request(f->w, &w, &b);
    JOB(mixed) = fixture_job(f, &b);
    expect(f, &b, mixed, ANSWER_BAD_QUERY, "malformed");
}

static void test_answer__refuses_malformed_plaintext(void **state)
{
    struct fixture *f = *state;
    static const struct world_request wrong[] = {
        {.head = {(const uint8_t *)"rubbish", 7}},
        {.head = {(const uint8_t *)"", 0}},
        {.type = PLAIN_ANSWER},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        MESSAGE(q);
        yz_world_request(f->w, &wrong[i], &q);
        JOB(j) = fixture_job(f, &q);
        expect(f, &q, j, ANSWER_BAD_QUERY, "malformed");
    }
}

static void spoil_commitment(struct request_header *h, void *ctx)
{
    (void)ctx;
    h->content_commitment.b[0] ^= 1;
}

static void test_answer__refuses_what_does_not_open_or_is_not_what_was_committed_to(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf head;
    yz_world_buf(&head);
    fixture_query(QUERY_GET, person, NULL, &head);
    MESSAGE(a);
    yz_world_request(
        f->w, &(struct world_request){.head = yzi_bytes_buf(&head), .spoil = spoil_commitment}, &a);
    JOB(commitment) = fixture_job(f, &a);
    expect(f, &a, commitment, ANSWER_BAD_QUERY, "seal");
    MESSAGE(b);
    JOB(wrap) = fixture_get(f, person, NULL, &b);
    wrap->request_key[0] ^= 1;
    expect(f, &b, wrap, ANSWER_BAD_QUERY, "seal");
    MESSAGE(c);
    JOB(slot) = fixture_get(f, person, NULL, &c);
    slot->slot = 1; /* what is wrapped for a2 is not for us */
    yzi_answer(&f->answering, slot);
    assert_string_equal(slot->reason, "seal");
}

/* -- limits -- */

static void test_answer__beyond_its_limits_is_too_large(void **state)
{
    struct fixture *f = *state;
    static const char *const keys[] = {"p1", "p2", "p3", NULL};
    MESSAGE(a);
    JOB(rows) = fixture_get(f, keys, NULL, &a);
    f->answering.limits.rows = 2;
    expect(f, &a, rows, ANSWER_TOO_LARGE, "limit");
    MESSAGE(b);
    JOB(bytes) = fixture_get(f, keys, NULL, &b);
    f->answering.limits.rows = 100;
    f->answering.limits.bytes = 10;
    expect(f, &b, bytes, ANSWER_TOO_LARGE, "limit");
    /* the rows fit, the message does not: it says so instead */
    f->answering.limits.bytes = 1u << 20;
    f->answering.message_max = yzi_frame_size(YZ_HEADER_MAX, YZ_BLOCK_MAX, 300, 0);
    MESSAGE(d);
    JOB(message) = fixture_get(f, person, NULL, &d);
    yzi_answer(&f->answering, message);
    OPENED(o);
    fixture_open(f, &d, message, &o);
    assert_int_equal(o.head.code, ANSWER_OK); /* 256 and a tag */
    static const char *const many[] = {"p1", "p2", "p3", "p1", "p2", "p3", "p1", "p2", "p3",
                                       "p1", "p2", "p3", "p1", "p2", "p3", "p1", "p2", "p3",
                                       "p1", "p2", "p3", "p1", "p2", "p3", NULL};
    MESSAGE(e);
    JOB(large) = fixture_get(f, many, NULL, &e);
    yzi_answer(&f->answering, large);
    assert_int_equal(large->rc, 0);
    OPENED(p);
    fixture_open(f, &e, large, &p);
    assert_int_equal(p.head.code, ANSWER_TOO_LARGE);
    assert_true(yzi_bytes_eq_str(p.head.reason, "message"));
    assert_true(large->answer.n <= f->answering.message_max);
}

static void test_answer__that_takes_too_long_fails(void **state)
{
    struct fixture *f = *state;
    MESSAGE(q);
    JOB(j) = fixture_get(f, person, NULL, &q);
    f->answering.query_ms = 0;
    expect(f, &q, j, ANSWER_FAILED, "query-time");
    assert_int_equal(j->status, RESPONSE_FAILED);
}

/* The time left is a broker's word, and may not make the provider sign that it failed. */
static void test_answer__nobody_waits_for_is_none(void **state)
{
    struct fixture *f = *state;
    MESSAGE(q);
    JOB(j) = fixture_get(f, person, NULL, &q);
    j->deadline_mono = 1;
    yzi_answer(&f->answering, j);
    assert_int_equal(j->rc, YZ_ETIMEOUT);
    assert_int_equal(j->answer.n, 0);
}

/* -- stale keys -- */

static void test_answer__to_a_stale_key_brings_the_new_announcement(void **state)
{
    struct fixture *f = *state;
    MESSAGE(q);
    JOB(j) = fixture_get(f, person, NULL, &q);
    const struct epoch *e = yz_world_epoch(f->w, f->a1);
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    assert_int_equal(yzi_answer_stale_key(f->a1->node, &f->a1->signing, yz_world_now(f->w),
                                          &j->request, 0, f->w->directory,
                                          yzi_bytes_buf(&e->record), &out),
                     0);
    struct frame frame;
    struct request_header h;
    struct verified_response v;
    struct judge judge = {f->w->directory, yz_world_now(f->w), YZ_SKEW_MS};
    assert_int_equal(yzi_frame_parse(yzi_bytes_buf(&out), YZ_MESSAGE_MAX, &frame), 0);
    assert_int_equal(yzi_request_header_parse(q.frame.header, &h), 0);
    assert_int_equal(yzi_response_verify(&judge, NULL, &frame, &h, &q.digest, NULL, &v), 0);
    assert_int_equal(v.header.status, RESPONSE_STALE_KEY);
    assert_true(yzi_bytes_eq(v.header.announcement, yzi_bytes_buf(&e->record)));
}

/* -- what is left behind -- */

/* Anywhere in the memory it has, not only in what counts. */
static bool contains(const yz_buf *b, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i + n <= b->cap; i++) {
        if (yzi_bytes_eq(yzi_bytes(b->p + i, n), yzi_bytes_str(text))) {
            return true;
        }
    }
    return false;
}

static void test_answer__leaves_no_plaintext_in_its_scratch(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 2; round++) {
        MESSAGE(q);
        static const char *const secret[] = {"p1", "SECRET-SECRET-SECRET", NULL};
        JOB(j) = fixture_get(f, secret, NULL, &q);
        f->answering.limits.rows = round ? 100 : 0; /* and when it ends in a refusal */
        yzi_answer(&f->answering, j);
        const yz_buf *const scratch[] = {&f->answering.plain, &f->answering.rows,
                                         &f->answering.head};
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(scratch[i]->n, 0);
            assert_false(contains(scratch[i], "SECRET-SECRET"));
            assert_false(contains(scratch[i], "married"));
            assert_false(contains(scratch[i], "person_id"));
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answer__gives_what_was_asked_for),
        TEST(test_answer__to_nothing_found_looks_like_any_other),
        TEST(test_answer__is_good_as_long_as_the_request_may_be_repeated),
        TEST(test_answer__denies_without_a_policy_or_a_grant),
        TEST(test_answer__denies_outside_a_grants_time),
        TEST(test_answer__denies_what_the_terms_do_not_allow),
        TEST(test_answer__refuses_wrong_queries),
        TEST(test_answer__refuses_http),
        TEST(test_answer__refuses_malformed_plaintext),
        TEST(test_answer__refuses_what_does_not_open_or_is_not_what_was_committed_to),
        TEST(test_answer__beyond_its_limits_is_too_large),
        TEST(test_answer__that_takes_too_long_fails),
        TEST(test_answer__nobody_waits_for_is_none),
        TEST(test_answer__to_a_stale_key_brings_the_new_announcement),
        TEST(test_answer__leaves_no_plaintext_in_its_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
