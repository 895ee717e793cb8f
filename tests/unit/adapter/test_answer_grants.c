/* SPDX-License-Identifier: Apache-2.0
 *
 * Grants as a consumer meets them in whole, sealed answers: what is masked is named, quotas are
 * held to over restarts and days, and a change counts from the next request on, while an answer
 * under way comes wholly from the policy its request was admitted under.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "tests/unit/adapter/fixture.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define MESSAGE(name) YZ_AUTO(yz_world_message_fini) struct world_message name
#define OPENED(name) YZ_AUTO(opened_fini) struct opened name
#define JOB(name) YZ_AUTO(free_job) struct job *name
#define DAY_MS UINT64_C(86400000)

static void free_job(struct job **j)
{
    yzi_job_free(*j);
}

static const char *const person[] = {"p1", NULL};

/* -- policies -- */

struct given {
    enum field_mask status; /* of the field status */
    const char *only;       /* row filter: this status; NULL: none */
    uint32_t quota;
    bool elsewhere; /* to another subsystem: the window's is revoked */
};

/* As the policy of that version: person_id and status readable. */
static void publish(struct fixture *f, uint64_t version, const struct given *g)
{
    YZ_AUTO(yzi_buf_fini) yz_buf offer;
    YZ_AUTO(yzi_buf_fini) yz_buf terms;
    struct grant_field readable[] = {{yzi_bytes_str("person_id"), MASK_NONE},
                                     {yzi_bytes_str("status"), g->status}};
    yz_bytes only = yzi_bytes_str(g->only ? g->only : ""), filterable = yzi_bytes_str("person_id");
    struct row_condition row_filter = {yzi_bytes_str("status"), OP_EQ, {&only, 1}};
    const struct fine_grant fine = {.id = yzi_bytes_str("g1"),
                                    .operations = 1u << QUERY_GET | 1u << QUERY_FIND,
                                    .readable = readable,
                                    .readable_n = 2,
                                    .filterable = {&filterable, 1},
                                    .row_filter = &row_filter,
                                    .row_filter_n = g->only != NULL,
                                    .quota_per_day = g->quota};
    yz_error err = {0};
    yz_world_buf(&offer);
    yz_world_buf(&terms);
    yz_world_grant_offer(f->w, WORLD_SERVICE, g->elsewhere ? "CN/GOV/HB/attic" : WORLD_CONSUMER,
                         version, &fine, &offer, &terms);
    if (yzi_policies_put(f->policies, f->w->directory, &f->self, yzi_bytes_buf(&offer),
                         yzi_bytes_buf(&terms), yz_world_now(f->w), &err) < 0) {
        fail_msg("%s", err.text);
    }
    f->policy = yzi_policies_get(f->policies, (yz_subsystem_id){yzi_bytes_str("CN/GOV/MCA/civil")});
}

/* -- masks -- */

static void expect_masked(struct fixture *f, uint64_t version, enum field_mask mask,
                          const char *rows)
{
    char text[200];
    publish(f, version, &(struct given){.status = mask});
    MESSAGE(q);
    OPENED(o);
    JOB(j) = fixture_get(f, person, NULL, &q);
    yzi_answer(&f->answering, j);
    fixture_open(f, &q, j, &o);
    assert_int_equal(o.head.code, ANSWER_OK);
    opened_rows(&o, text, sizeof text);
    assert_string_equal(text, rows);
    assert_int_equal(o.head.fields[0].mask, MASK_NONE);
    assert_int_equal(o.head.fields[1].mask, mask);
    assert_true(yzi_bytes_eq_str(o.head.grant, "g1"));
    assert_int_equal(o.head.clause.n, 0);
    assert_int_equal(o.response.header.policy_version, version);
}

static void test_answer__names_what_is_masked(void **state)
{
    struct fixture *f = *state;
    expect_masked(f, 2, MASK_NONE, "p1|married\n");
    expect_masked(f, 3, MASK_INITIAL, "p1|m**\n");
    expect_masked(f, 4, MASK_HIDE, "p1|~\n");
    expect_masked(f, 5, MASK_LAST4, "p1|****\n");
}

static void expect_denied(struct fixture *f, const char *const *fields, const char *reason,
                          const char *clause)
{
    MESSAGE(q);
    OPENED(o);
    JOB(j) = fixture_get(f, person, fields, &q);
    yzi_answer(&f->answering, j);
    fixture_open(f, &q, j, &o);
    assert_int_equal(o.head.code, ANSWER_DENIED);
    if (!yzi_bytes_eq_str(o.head.reason, reason) || !yzi_bytes_eq_str(o.head.clause, clause)) {
        fail_msg("%.*s/%.*s, not %s/%s", (int)o.head.reason.n, (const char *)o.head.reason.p,
                 (int)o.head.clause.n, (const char *)o.head.clause.p, reason, clause);
    }
}

static void test_answer__says_which_clause_denied(void **state)
{
    struct fixture *f = *state;
    static const char *const spouse[] = {"spouse", NULL};
    publish(f, 2, &(struct given){0});
    expect_denied(f, spouse, "field", "readable");
    publish(f, 3, &(struct given){.status = MASK_HASH}); /* and no key for it */
    expect_denied(f, NULL, "unenforceable", "mask");
    publish(f, 4, &(struct given){.quota = 5}); /* and nobody who counts */
    expect_denied(f, NULL, "unenforceable", "quota");
}

/* -- changes -- */

static void expect_rows(struct fixture *f, const struct world_message *q, struct job *j,
                        uint64_t version, const char *rows)
{
    char text[200];
    OPENED(o);
    yzi_answer(&f->answering, j);
    fixture_open(f, q, j, &o);
    opened_rows(&o, text, sizeof text);
    assert_int_equal(o.head.code, ANSWER_OK);
    assert_string_equal(text, rows);
    assert_int_equal(o.response.header.policy_version, version);
}

/* The second request was made after the change and answered first. */
static void test_change__counts_from_the_next_request_on(void **state)
{
    struct fixture *f = *state;
    publish(f, 2, &(struct given){0});
    MESSAGE(before);
    MESSAGE(after);
    JOB(old) = fixture_get(f, person, NULL, &before);
    publish(f, 3, &(struct given){.status = MASK_INITIAL});
    JOB(new) = fixture_get(f, person, NULL, &after);
    expect_rows(f, &after, new, 3, "p1|m**\n");
    expect_rows(f, &before, old, 2, "p1|married\n");
}

static void test_row_filter__counts_from_the_next_request_on(void **state)
{
    struct fixture *f = *state;
    publish(f, 2, &(struct given){.only = "married"});
    MESSAGE(before);
    MESSAGE(after);
    JOB(old) = fixture_get(f, person, NULL, &before);
    publish(f, 3, &(struct given){.only = "single"});
    JOB(new) = fixture_get(f, person, NULL, &after);
    expect_rows(f, &before, old, 2, "p1|married\n");
    expect_rows(f, &after, new, 3, "");
}

static void test_revocation__counts_from_the_next_request_on(void **state)
{
    struct fixture *f = *state;
    publish(f, 2, &(struct given){0});
    MESSAGE(before);
    MESSAGE(after);
    JOB(old) = fixture_get(f, person, NULL, &before);
    publish(f, 3, &(struct given){.elsewhere = true});
    JOB(new) = fixture_get(f, person, NULL, &after);
    yzi_answer(&f->answering, new);
    OPENED(o);
    fixture_open(f, &after, new, &o);
    assert_int_equal(o.head.code, ANSWER_DENIED);
    assert_true(yzi_bytes_eq_str(o.head.reason, "no-grant"));
    assert_true(yzi_bytes_eq_str(o.head.clause, "consumer"));
    assert_int_equal(o.head.grant.n, 0);
    expect_rows(f, &before, old, 2, "p1|married\n");
}

/* -- quotas -- */

struct counting {
    struct state *state;
    struct debits *debits;
};

static void count(struct fixture *f, struct counting *c)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    OK(yzi_path_join(f->dir, "state", &dir));
    OK(yzi_state_open(dir, &c->state, NULL));
    OK(yzi_debits_open(c->state, &c->debits, NULL));
    f->answering.debits = c->debits;
}

static void stop_counting(struct fixture *f, struct counting *c)
{
    f->answering.debits = NULL;
    yzi_debits_close(c->debits);
    yzi_state_close(c->state);
}

/* The reason given; "" when it was answered. */
static const char *ask(struct fixture *f, const char *const *fields)
{
    MESSAGE(q);
    JOB(j) = fixture_get(f, person, fields, &q);
    yzi_answer(&f->answering, j);
    OK(j->rc);
    return j->reason;
}

/* Of five calls a day two adapters have three and two; ours is one of them. */
static uint32_t own_part(struct fixture *f, uint32_t quota)
{
    const struct offered_service *s = &f->policy->offer->offer.services[0];
    assert_int_equal(s->adapters.n, 2);
    bool first = yzi_bytes_eq(s->adapters.items[0], f->a1->node.v);
    return quota / 2 + (first && quota % 2);
}

static void test_quota__is_held_to_over_restarts(void **state)
{
    struct fixture *f = *state;
    static const char *const spouse[] = {"spouse", NULL};
    struct counting c;
    count(f, &c);
    publish(f, 2, &(struct given){.quota = 5});
    uint32_t part = own_part(f, 5);
    for (uint32_t i = 0; i < part; i++) {
        assert_string_equal(ask(f, spouse), "field"); /* what is denied otherwise is not counted */
        assert_string_equal(ask(f, NULL), "");
    }
    assert_string_equal(ask(f, NULL), "quota");
    stop_counting(f, &c);
    count(f, &c);
    assert_string_equal(ask(f, NULL), "quota");
    publish(f, 3, &(struct given){.quota = 5}); /* the same grant */
    expect_denied(f, NULL, "quota", "quota");
    publish(f, 4, &(struct given){.quota = 7});
    for (uint32_t i = part; i < own_part(f, 7); i++) {
        assert_string_equal(ask(f, NULL), "");
    }
    assert_string_equal(ask(f, NULL), "quota");
    stop_counting(f, &c);
}

static uint64_t tomorrow(const struct clock *c)
{
    (void)c;
    return WORLD_TIME + DAY_MS;
}

static void test_quota__begins_anew_each_day(void **state)
{
    struct fixture *f = *state;
    struct counting c;
    count(f, &c);
    publish(f, 2, &(struct given){.quota = 2});
    assert_string_equal(ask(f, NULL), "");
    assert_string_equal(ask(f, NULL), "quota");
    struct clock next = f->clock;
    next.wall_ms = tomorrow;
    f->answering.clock = &next;
    assert_string_equal(ask(f, NULL), "");
    assert_string_equal(ask(f, NULL), "quota");
    f->answering.clock = &f->clock;
    stop_counting(f, &c);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_answer__names_what_is_masked),
        TEST(test_answer__says_which_clause_denied),
        TEST(test_change__counts_from_the_next_request_on),
        TEST(test_row_filter__counts_from_the_next_request_on),
        TEST(test_revocation__counts_from_the_next_request_on),
        TEST(test_quota__is_held_to_over_restarts),
        TEST(test_quota__begins_anew_each_day),
    };
    return cmocka_run_group_tests_name("answer_grants", tests, NULL, NULL);
}
