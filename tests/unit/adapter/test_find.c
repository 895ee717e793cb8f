/* SPDX-License-Identifier: Apache-2.0
 *
 * adapters/answer_find: find and count as a consumer meets them, page after page, and cursors that
 * are not good: another's, for another question, from before a change, too old.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/dataset/store_impl.h"
#include "tests/unit/adapter/fixture.h"

#define MESSAGE(name) YZ_AUTO(yz_world_message_fini) struct world_message name
#define OPENED(name) YZ_AUTO(opened_fini) struct opened name
#define JOB(name) YZ_AUTO(free_job) struct job *name

static void free_job(struct job **j)
{
    yzi_job_free(*j);
}

/* What is asked: status = `status` (NULL: no condition), ordered by key or not. */
struct asked {
    enum query_operation operation;
    const char *status;
    bool ordered;
    uint32_t limit;
    yz_bytes cursor;
    const char *consumer;
};

/* The grant's second half: what find may use. */
static void allow(struct fixture *f)
{
    static yz_bytes filterable[2], sortable[1];
    struct fine_grant *g = f->policy->terms.grants;
    filterable[0] = yzi_bytes_str("status");
    filterable[1] = yzi_bytes_str("spouse");
    sortable[0] = yzi_bytes_str("person_id");
    g->operations = 1u << QUERY_GET | 1u << QUERY_FIND | 1u << QUERY_COUNT;
    g->filterable = (struct name_list){filterable, 2};
    g->sortable = (struct name_list){sortable, 1};
}

static struct job *ask(struct fixture *f, const struct asked *a, const char *field,
                       struct world_message *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf head;
    struct query_value value = {.v = yzi_bytes_str(a->status ? a->status : "")};
    struct query_condition condition = {yzi_bytes_str(field), OP_EQ, &value, 1};
    struct query_order order = {yzi_bytes_str("person_id"), false};
    struct request_head h = {.has_query = true,
                             .query = {.operation = a->operation,
                                       .filter = &condition,
                                       .filter_n = a->status != NULL,
                                       .order = &order,
                                       .order_n = a->ordered,
                                       .limit = a->limit,
                                       .cursor = a->cursor}};
    yz_world_buf(&head);
    assert_int_equal(yzi_request_head_write(&h, &head), 0);
    yz_world_request(f->w, &(struct world_request){.head = yzi_bytes_buf(&head)}, out);
    struct job *j = fixture_job(f, out);
    yzi_answer(&f->answering, j);
    return j;
}

static void expect(struct fixture *f, const struct asked *a, const char *field,
                   enum answer_code code, const char *reason)
{
    MESSAGE(q);
    OPENED(o);
    JOB(j) = ask(f, a, field, &q);
    fixture_open(f, &q, j, &o);
    if (o.head.code != code || !yzi_bytes_eq_str(o.head.reason, reason)) {
        fail_msg("%s %.*s, not %s %s", yzi_answer_code_name(o.head.code), (int)o.head.reason.n,
                 (const char *)o.head.reason.p, yzi_answer_code_name(code), reason);
    }
}

/* A cursor that is refused, with a sentence that says what to do. */
static void expect_refused(struct fixture *f, const struct asked *a, const char *reason)
{
    MESSAGE(q);
    OPENED(o);
    JOB(j) = ask(f, a, "status", &q);
    fixture_open(f, &q, j, &o);
    assert_int_equal(o.head.code, ANSWER_BAD_QUERY);
    assert_true(yzi_bytes_eq_str(o.head.reason, reason));
    static const char advice[] = "without a cursor";
    assert_true(o.head.detail.n > sizeof advice);
    assert_memory_equal(o.head.detail.p + o.head.detail.n - (sizeof advice - 1), advice,
                        sizeof advice - 1);
}

/* The rows of a page, and its cursor, kept in `cursor`. */
static void expect_page(struct fixture *f, const struct asked *a, const char *rows, yz_buf *cursor)
{
    char text[200];
    MESSAGE(q);
    OPENED(o);
    JOB(j) = ask(f, a, "status", &q);
    fixture_open(f, &q, j, &o);
    assert_int_equal(o.head.code, ANSWER_OK);
    opened_rows(&o, text, sizeof text);
    assert_string_equal(text, rows);
    yzi_buf_init(cursor, YZ_CURSOR_MAX);
    assert_int_equal(yzi_buf_put(cursor, o.head.cursor), 0);
}

static void test_find__gives_records_and_counts(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf cursor;
    allow(f);
    expect_page(f, &(struct asked){.operation = QUERY_FIND, .status = "married", .limit = 5},
                "p1|married\np2|married\n", &cursor);
    assert_int_equal(cursor.n, 0);
    MESSAGE(q);
    OPENED(o);
    JOB(j) = ask(f, &(struct asked){.operation = QUERY_COUNT, .status = "married"}, "status", &q);
    fixture_open(f, &q, j, &o);
    assert_int_equal(o.head.code, ANSWER_OK);
    assert_true(o.head.has_total);
    assert_int_equal(o.head.total, 2);
    assert_int_equal(o.head.rows, 0);
    assert_true(o.response.header.data_version > 0);
}

static void test_find__goes_on_where_it_was(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf one, two, three;
    allow(f);
    struct asked a = {.operation = QUERY_FIND, .ordered = true, .limit = 1};
    expect_page(f, &a, "p1|married\n", &one);
    assert_true(one.n > 0);
    a.cursor = yzi_bytes_buf(&one);
    expect_page(f, &a, "p2|married\n", &two);
    a.cursor = yzi_bytes_buf(&two);
    a.limit = 7; /* another limit is the same question */
    expect_page(f, &a, "p3|single\n", &three);
    assert_int_equal(three.n, 0);
    a.cursor = yzi_bytes_buf(&one); /* and again: nothing is used up */
    expect_page(f, &a, "p2|married\np3|single\n", &three);
}

static void test_find__needs_its_own_rights(void **state)
{
    struct fixture *f = *state;
    struct asked married = {.operation = QUERY_FIND, .status = "married"},
                 all = {.operation = QUERY_FIND, .ordered = true};
    allow(f);
    struct fine_grant *g = f->policy->terms.grants;
    g->operations = 1u << QUERY_GET | 1u << QUERY_COUNT;
    expect(f, &married, "status", ANSWER_DENIED, "operation");
    g->operations |= 1u << QUERY_FIND;
    g->filterable.n = 0;
    expect(f, &married, "status", ANSWER_DENIED, "field");
    g->filterable.n = 2;
    g->sortable.n = 0;
    expect(f, &all, "status", ANSWER_DENIED, "field");
}

static void test_find__is_refused_with_advice(void **state)
{
    struct fixture *f = *state;
    allow(f);
    expect(f, &(struct asked){.operation = QUERY_FIND}, "status", ANSWER_BAD_QUERY, "no-filter");
    MESSAGE(q);
    OPENED(o);
    JOB(j) = ask(f, &(struct asked){.operation = QUERY_FIND, .status = "p1"}, "spouse", &q);
    fixture_open(f, &q, j, &o);
    assert_int_equal(o.head.code, ANSWER_BAD_QUERY);
    assert_true(yzi_bytes_eq_str(o.head.reason, "no-index"));
    assert_non_null(memmem(o.head.detail.p, o.head.detail.n, "(spouse)", 8));
    f->answering.limits.entries = 1;
    expect(f, &(struct asked){.operation = QUERY_COUNT, .status = "married"}, "status",
           ANSWER_TOO_LARGE, "entries");
}

/* -- cursors -- */

static void first_page(struct fixture *f, struct asked *a, yz_buf *cursor)
{
    allow(f);
    *a = (struct asked){.operation = QUERY_FIND, .ordered = true, .limit = 1};
    expect_page(f, a, "p1|married\n", cursor);
    a->cursor = yzi_bytes_buf(cursor);
}

static void test_cursor__is_for_one_question_and_time(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf cursor;
    struct asked a;
    first_page(f, &a, &cursor);
    a.status = "married";
    expect_refused(f, &a, "cursor-query");
    YZ_AUTO(yzi_buf_fini) yz_buf late;
    f->answering.cursor_ms = UINT64_MAX; /* made a millisecond after it is void */
    first_page(f, &a, &late);
    expect_refused(f, &a, "cursor-expired");
}

static void test_cursor__does_not_outlive_offer_or_generation(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf cursor;
    struct asked a;
    struct generation *g = NULL;
    yz_error err;
    first_page(f, &a, &cursor);
    assert_int_equal(yzi_generation_begin(f->store, GENERATION_COPY, &g, &err), 0);
    assert_int_equal(yzi_generation_publish(&g, &err), 0);
    expect_refused(f, &a, "cursor-data");
    YZ_AUTO(yzi_buf_fini) yz_buf second;
    first_page(f, &a, &second);
    yz_bytes *id = &f->policy->terms.grants->id; /* the grant by another name */
    *id = f->policy->offer->offer.grants->id = yzi_bytes_str("g2");
    expect_refused(f, &a, "cursor-policy");
}

static void test_cursor__changed_or_of_another_is_no_cursor(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf cursor;
    struct asked a;
    first_page(f, &a, &cursor);
    for (size_t i = 0; i < cursor.n; i += 7) {
        cursor.p[i] ^= 1;
        expect_refused(f, &a, "bad-cursor");
        cursor.p[i] ^= 1;
    }
    a.cursor.n--;
    expect_refused(f, &a, "bad-cursor");
    a.cursor.n = 1;
    expect_refused(f, &a, "bad-cursor");
    a.cursor.n = cursor.n;
    f->answering.cursor_key[0] ^= 1; /* another adapter, or this one started again */
    expect_refused(f, &a, "bad-cursor");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_find__gives_records_and_counts),
        TEST(test_find__goes_on_where_it_was),
        TEST(test_find__needs_its_own_rights),
        TEST(test_find__is_refused_with_advice),
        TEST(test_cursor__is_for_one_question_and_time),
        TEST(test_cursor__does_not_outlive_offer_or_generation),
        TEST(test_cursor__changed_or_of_another_is_no_cursor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
