/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that find, count and match: what the functions refuse, which parts go together, and that
 * a cursor brings the adapter that gave it.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/text.h"
#include "client/request.h"

#define SERVICE "CN/GOV/MCA/civil/marriage/v1"
#define NODE "CN/GOV/MCA/@a2"

static const char *const one[] = {"310101"};

static yz_request *new_request(enum yz_operation operation)
{
    yz_request *r = NULL;
    assert_int_equal(yz_request_new(SERVICE, &r), 0);
    assert_int_equal(yz_request_set_operation(r, operation), 0);
    return r;
}

static void expect_refused(yz_request *r, const char *sentence)
{
    struct query q;
    yz_error err = {0};
    assert_int_equal(yzi_request_query(r, &q, &err), YZ_EINVAL);
    assert_non_null(strstr(err.text, sentence));
    yz_request_free(r);
}

/* base64 of length u16 || node || bytes. */
static const char *cursor_of(size_t node_n, const char *node, size_t n)
{
    static char text[8192];
    yz_buf bytes, base64;
    yzi_buf_init(&bytes, 8192);
    yzi_buf_init(&base64, 8192);
    assert_int_equal(yzi_buf_put_u16(&bytes, (uint16_t)node_n), 0);
    assert_int_equal(yzi_buf_put_str(&bytes, node), 0);
    assert_int_equal(yzi_buf_put_zero(&bytes, n), 0);
    assert_int_equal(yzi_base64_encode(yzi_bytes_buf(&bytes), &base64), 0);
    memcpy(text, base64.p, base64.n);
    text[base64.n] = '\0';
    yzi_buf_fini(&bytes);
    yzi_buf_fini(&base64);
    return text;
}

static void test_find__refuses_misuse(void **state)
{
    (void)state;
    yz_request *r = new_request(YZ_FIND);
    const char *const two[] = {"1", "2"}, *const latin[] = {"\xe9"};
    assert_int_equal(yz_request_set_operation(r, (enum yz_operation)99), YZ_EINVAL);
    assert_int_equal(yz_request_add_condition(r, "a", YZ_EQUAL, two, 2), YZ_EINVAL);
    assert_int_equal(yz_request_add_condition(r, "a", YZ_EQUAL, one, 0), YZ_EINVAL);
    assert_int_equal(yz_request_add_condition(r, "a", YZ_EQUAL, latin, 1), YZ_EINVAL);
    assert_int_equal(yz_request_add_condition(r, "", YZ_EQUAL, one, 1), YZ_EINVAL);
    assert_int_equal(yz_request_add_condition(r, "a", (enum yz_condition)0, one, 1), YZ_EINVAL);
    assert_int_equal(yz_request_add_condition(r, "a", (enum yz_condition)99, one, 1), YZ_EINVAL);
    assert_int_equal(yz_request_add_order(r, "", 0), YZ_EINVAL);
    assert_int_equal(yz_request_add_order(r, NULL, 0), YZ_EINVAL);
    for (size_t i = 0; i < YZ_QUERY_CONDITIONS_MAX; i++) {
        assert_int_equal(yz_request_add_condition(r, "a", YZ_IN, two, 2), 0);
    }
    assert_int_equal(yz_request_add_condition(r, "a", YZ_EQUAL, one, 1), YZ_ELIMIT);
    for (size_t i = 0; i < YZ_QUERY_ORDER_MAX; i++) {
        assert_int_equal(yz_request_add_order(r, "a", 0), 0);
    }
    assert_int_equal(yz_request_add_order(r, "a", 0), YZ_ELIMIT);
    yz_request_free(r);
}

static void test_find__parts_that_do_not_go_together(void **state)
{
    (void)state;
    expect_refused(new_request(YZ_FIND), "a find names a condition");
    yz_request *r = new_request(YZ_FIND);
    assert_int_equal(yz_request_add_key(r, one, 1), 0);
    expect_refused(r, "a find or a count has conditions, and no keys");
    r = new_request(YZ_GET);
    assert_int_equal(yz_request_add_key(r, one, 1), 0);
    assert_int_equal(yz_request_add_order(r, "a", 1), 0);
    expect_refused(r, "a get has keys, and no conditions, order or cursor");
    r = new_request(YZ_COUNT);
    assert_int_equal(yz_request_set_limit(r, 5), 0);
    expect_refused(r, "a count has no fields, order, limit or cursor");
}

static void test_find__is_what_the_provider_will_read(void **state)
{
    (void)state;
    yz_request *r = new_request(YZ_FIND);
    const char *const values[] = {"x", NULL};
    struct query q;
    assert_int_equal(yz_request_add_condition(r, "city", YZ_IN, values, 2), 0);
    assert_int_equal(yz_request_add_order(r, "since", 1), 0);
    assert_int_equal(yz_request_set_limit(r, 7), 0);
    assert_int_equal(yzi_request_query(r, &q, NULL), 0);
    assert_int_equal(q.operation, QUERY_FIND);
    assert_int_equal(q.filter_n, 1);
    assert_true(yzi_bytes_eq_str(q.filter[0].field, "city"));
    assert_int_equal(q.filter[0].op, OP_IN);
    assert_true(yzi_bytes_eq_str(q.filter[0].values[0].v, "x"));
    assert_true(q.filter[0].values[1].null);
    assert_true(yzi_bytes_eq_str(q.order[0].field, "since") && q.order[0].descending);
    assert_int_equal(q.limit, 7);
    assert_int_equal(q.cursor.n, 0);
    yz_request_free(r);
}

static void test_cursor__brings_the_adapter_that_gave_it(void **state)
{
    (void)state;
    yz_request *r = new_request(YZ_FIND);
    struct ask ask;
    struct query q;
    assert_int_equal(yz_request_add_condition(r, "a", YZ_EQUAL, one, 1), 0);
    assert_int_equal(yz_request_set_purpose(r, "test"), 0);
    assert_int_equal(yz_request_set_cursor(r, cursor_of(strlen(NODE), NODE, 200)), 0);
    assert_int_equal(yzi_request_query(r, &q, NULL), 0);
    assert_int_equal(q.cursor.n, 200);
    assert_int_equal(yzi_ask_make(r, &ask, NULL), 0);
    assert_true(yzi_bytes_eq_str(ask.node, NODE));
    assert_true(yzi_bytes_eq_str(ask.service.v, SERVICE));
    assert_true(yzi_bytes_eq_str(ask.purpose, "test"));
    yzi_ask_fini(&ask);
    assert_int_equal(yz_request_set_cursor(r, ""), 0);
    assert_int_equal(yzi_ask_make(r, &ask, NULL), 0);
    assert_int_equal(ask.node.n, 0);
    yzi_ask_fini(&ask);
    yz_request_free(r);
}

static void test_cursor__refuses_what_no_answer_gave(void **state)
{
    (void)state;
    yz_request *r = new_request(YZ_FIND);
    assert_int_equal(yz_request_set_cursor(r, NULL), YZ_EINVAL);
    assert_int_equal(yz_request_set_cursor(r, "not base64!"), YZ_EINVAL);
    assert_int_equal(yz_request_set_cursor(r, "AA=="), YZ_EINVAL);
    assert_int_equal(yz_request_set_cursor(r, cursor_of(0, "", 100)), YZ_EINVAL);
    assert_int_equal(yz_request_set_cursor(r, cursor_of(YZ_ID_MAX + 1, NODE, 900)), YZ_EINVAL);
    assert_int_equal(yz_request_set_cursor(r, cursor_of(strlen(NODE), NODE, 0)), YZ_EINVAL);
    assert_int_equal(yz_request_set_cursor(r, cursor_of(strlen(NODE) + 5, NODE, 4)), YZ_EINVAL);
    assert_int_equal(yz_request_set_cursor(r, cursor_of(strlen(NODE), NODE, YZ_CURSOR_MAX + 1)),
                     YZ_EINVAL);
    assert_int_equal(yz_request_set_cursor(r, cursor_of(strlen(NODE), NODE, YZ_CURSOR_MAX)), 0);
    yz_request_free(r);
}

static yz_request *new_match(void)
{
    yz_request *r = new_request(YZ_MATCH);
    assert_int_equal(yz_request_add_key(r, one, 1), 0);
    assert_int_equal(yz_request_add_predicate(r, "tax-clear", NULL, 0), 0);
    return r;
}

static void test_match__is_of_one_key_and_questions(void **state)
{
    (void)state;
    static const char *const two[] = {"1", "2"}, *const null[] = {NULL};
    struct query q;
    yz_request *r = new_match();
    assert_int_equal(yz_request_add_predicate(r, "owes-more", one, 1), 0);
    assert_int_equal(yz_request_add_predicate(r, "owes-more", two, 2), YZ_EINVAL);
    assert_int_equal(yz_request_add_predicate(r, "owes-more", null, 1), YZ_EINVAL);
    assert_int_equal(yz_request_add_predicate(r, "", NULL, 0), YZ_EINVAL);
    assert_int_equal(yzi_request_query(r, &q, NULL), 0);
    assert_int_equal(q.operation, QUERY_MATCH);
    assert_int_equal(q.predicates_n, 2);
    assert_int_equal(q.predicates[0].values_n, 0);
    assert_true(yzi_bytes_eq_str(q.predicates[1].name, "owes-more"));
    assert_true(yzi_bytes_eq_str(q.predicates[1].values[0].v, "310101"));
    for (unsigned i = 2; i < REQUEST_PREDICATES_MAX; i++) {
        assert_int_equal(yz_request_add_predicate(r, "tax-clear", NULL, 0), 0);
    }
    assert_int_equal(yz_request_add_predicate(r, "tax-clear", NULL, 0), YZ_ELIMIT);
    yz_request_free(r);
}

static void test_match__refuses_what_does_not_go_together(void **state)
{
    (void)state;
    yz_request *r = new_request(YZ_MATCH);
    expect_refused(r, "a match has one key and at least one question");
    r = new_match();
    assert_int_equal(yz_request_add_key(r, one, 1), 0);
    expect_refused(r, "a match has one key and at least one question");
    r = new_match();
    assert_int_equal(yz_request_add_field(r, "status"), 0);
    expect_refused(r, "a match has no fields");
    r = new_match();
    assert_int_equal(yz_request_set_limit(r, 1), 0);
    expect_refused(r, "a match has no fields");
    r = new_match();
    assert_int_equal(yz_request_set_operation(r, YZ_GET), 0);
    expect_refused(r, "questions are for a match");
    r = new_match();
    assert_int_equal(yz_request_set_operation(r, YZ_DELETE), 0);
    expect_refused(r, "has no conditions, questions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find__refuses_misuse),
        cmocka_unit_test(test_find__parts_that_do_not_go_together),
        cmocka_unit_test(test_find__is_what_the_provider_will_read),
        cmocka_unit_test(test_cursor__brings_the_adapter_that_gave_it),
        cmocka_unit_test(test_cursor__refuses_what_no_answer_gave),
        cmocka_unit_test(test_match__is_of_one_key_and_questions),
        cmocka_unit_test(test_match__refuses_what_does_not_go_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
