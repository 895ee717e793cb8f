/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests: what the functions refuse, and that what was set is what the provider will read.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "client/request.h"
#include "proto/payload.h"

#define SERVICE "CN/GOV/MCA/civil/marriage/v1"

static yz_request *new_request(void)
{
    yz_request *r = NULL;
    assert_int_equal(yz_request_new(SERVICE, &r), 0);
    return r;
}

static void add_key(yz_request *r, const char *key)
{
    assert_int_equal(yz_request_add_key(r, (const char *const[]){key}, 1), 0);
}

static void test_request__refuses_what_is_no_service(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "marriage",
                                      "CN/GOV/MCA/civil",
                                      "CN/GOV/MCA/civil/marriage",
                                      "CN/GOV/MCA/civil/marriage/v1/",
                                      "CN/GOV/MCA/@a1/marriage/v1",
                                      "CN/GOV/MCA/civil/mar riage/v1"};
    yz_request *r = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(yz_request_new(bad[i], &r), YZ_EINVAL);
        assert_null(r);
    }
    char longest[2000];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_int_equal(yz_request_new(longest, &r), YZ_EINVAL);
    assert_int_equal(yz_request_new(NULL, &r), YZ_EINVAL);
    assert_int_equal(yz_request_new(SERVICE, NULL), YZ_EINVAL);
    yz_request_free(NULL);
}

static void test_request__refuses_misuse(void **state)
{
    (void)state;
    yz_request *r = new_request();
    const char *const one[] = {"1"}, *const hole[] = {"1", NULL}, *const latin[] = {"\xe9"};
    const char *const nine[] = {"1", "2", "3", "4", "5", "6", "7", "8", "9"};
    assert_int_equal(yz_request_add_key(NULL, one, 1), YZ_EINVAL);
    assert_int_equal(yz_request_add_key(r, NULL, 1), YZ_EINVAL);
    assert_int_equal(yz_request_add_key(r, one, 0), YZ_EINVAL);
    assert_int_equal(yz_request_add_key(r, hole, 2), YZ_EINVAL);
    assert_int_equal(yz_request_add_key(r, latin, 1), YZ_EINVAL);
    assert_int_equal(yz_request_add_key(r, nine, 9), YZ_EINVAL);
    assert_int_equal(yz_request_add_field(r, ""), YZ_EINVAL);
    assert_int_equal(yz_request_add_field(r, NULL), YZ_EINVAL);
    assert_int_equal(yz_request_add_field(r, "a\nb"), YZ_EINVAL);
    assert_int_equal(yz_request_add_field(r, "name"), 0);
    assert_int_equal(yz_request_add_field(r, "name"), YZ_EINVAL);
    assert_int_equal(yz_request_set_purpose(r, ""), YZ_EINVAL);
    assert_int_equal(yz_request_set_purpose(r, "with space"), YZ_EINVAL);
    assert_int_equal(yz_request_set_user(r, NULL), YZ_EINVAL);
    assert_int_equal(yz_request_set_user(r, "tab\t"), YZ_EINVAL);
    assert_int_equal(yz_request_set_user(NULL, "a"), YZ_EINVAL);
    assert_int_equal(yz_request_set_timeout(r, 99), YZ_EINVAL);
    assert_int_equal(yz_request_set_timeout(r, 300001), YZ_EINVAL);
    assert_int_equal(yz_request_set_timeout(r, 100), 0);
    assert_int_equal(yz_request_set_timeout(r, 300000), 0);
    yz_request_free(r);
}

static void test_request__lengths_are_bounded(void **state)
{
    (void)state;
    yz_request *r = new_request();
    char text[300];
    memset(text, 'x', sizeof text);
    text[257] = 0;
    assert_int_equal(yz_request_set_issue(r, text), YZ_EINVAL);
    text[256] = 0;
    assert_int_equal(yz_request_set_issue(r, text), 0);
    assert_int_equal(yz_request_set_consent(r, text), 0);
    text[65] = 0;
    assert_int_equal(yz_request_set_purpose(r, text), YZ_EINVAL);
    assert_int_equal(yz_request_add_field(r, text), YZ_EINVAL);
    text[64] = 0;
    assert_int_equal(yz_request_set_purpose(r, text), 0);
    assert_int_equal(yz_request_add_field(r, text), 0);
    for (int i = 0; i < 1000; i++) {
        add_key(r, "1");
    }
    assert_int_equal(yz_request_add_key(r, (const char *const[]){"1"}, 1), YZ_ELIMIT);
    for (int i = 1; i < 256; i++) {
        snprintf(text, sizeof text, "f%d", i);
        assert_int_equal(yz_request_add_field(r, text), 0);
    }
    assert_int_equal(yz_request_add_field(r, "one-more"), YZ_ELIMIT);
    yz_request_free(r);
}

static void test_ask__says_what_was_set(void **state)
{
    (void)state;
    yz_request *r = new_request();
    const char *const pair[] = {"310101198001010011", "中"};
    assert_int_equal(yz_request_add_key(r, pair, 2), 0);
    add_key(r, "");
    assert_int_equal(yz_request_add_field(r, "status"), 0);
    assert_int_equal(yz_request_add_field(r, "since"), 0);
    assert_int_equal(yz_request_set_purpose(r, "house-registration"), 0);
    assert_int_equal(yz_request_set_user(r, "王"), 0);
    assert_int_equal(yz_request_set_user(r, "李"), 0); /* the last one counts */
    assert_int_equal(yz_request_set_issue(r, "case 7"), 0);
    assert_int_equal(yz_request_set_timeout(r, 1234), 0);
    struct ask ask;
    yz_error err;
    assert_int_equal(yzi_ask_make(r, &ask, &err), 0);
    yz_request_free(r); /* the ask is its own */
    assert_true(yzi_bytes_eq_str(ask.service.v, SERVICE));
    assert_true(yzi_bytes_eq_str(ask.purpose, "house-registration"));
    assert_int_equal(ask.timeout_ms, 1234);
    struct arena arena;
    struct request_head h;
    yzi_arena_init(&arena, 1024 * 1024);
    assert_int_equal(yzi_request_head_parse(yzi_bytes_buf(&ask.head), &arena, &h), 0);
    assert_true(yzi_bytes_eq_str(h.user, "李"));
    assert_true(yzi_bytes_eq_str(h.issue, "case 7"));
    assert_int_equal(h.consent.n, 0);
    assert_int_equal(h.query.operation, QUERY_GET);
    assert_int_equal(h.query.keys_n, 2);
    assert_int_equal(h.query.keys[0].parts_n, 2);
    assert_true(yzi_bytes_eq_str(h.query.keys[0].parts[1].v, "中"));
    assert_false(h.query.keys[1].parts[0].null);
    assert_int_equal(h.query.keys[1].parts[0].v.n, 0);
    assert_int_equal(h.query.fields_n, 2);
    assert_true(yzi_bytes_eq_str(h.query.fields[1], "since"));
    yzi_arena_fini(&arena);
    yzi_ask_fini(&ask);
}

/* -- what changes records -- */

static void add_row(yz_request *r, const char *a, const char *b)
{
    yz_value row[] = {{a, strlen(a)}, {b, b ? strlen(b) : 0}};
    assert_int_equal(yz_request_add_row(r, row, 2), 0);
}

static void test_ask__brings_rows_in_the_body(void **state)
{
    (void)state;
    for (enum yz_operation operation = YZ_INSERT; operation <= YZ_PUT; operation++) {
        yz_request *r = new_request();
        assert_int_equal(yz_request_set_operation(r, operation), 0);
        assert_int_equal(yz_request_add_field(r, "id"), 0);
        assert_int_equal(yz_request_add_field(r, "name"), 0);
        add_row(r, "1", "");
        add_row(r, "2", NULL);
        struct ask ask;
        struct request_head h;
        struct arena arena;
        yzi_arena_init(&arena, 1u << 20);
        assert_int_equal(yzi_ask_make(r, &ask, NULL), 0);
        yz_request_free(r);
        assert_int_equal(yzi_request_head_parse(yzi_bytes_buf(&ask.head), &arena, &h), 0);
        assert_int_equal((int)h.query.operation, (int)operation);
        assert_int_equal(h.query.rows, 2);
        assert_int_equal(h.query.fields_n, 2);
        assert_int_equal(yzi_query_body_check(yzi_bytes_buf(&ask.body), &h.query), 0);
        static const uint8_t want[] = "\0\0\0\x01"
                                      "1\0\0\0\0\0\0\0\x01"
                                      "2\xff\xff\xff\xff";
        assert_true(yzi_bytes_eq(yzi_bytes_buf(&ask.body), yzi_bytes(want, sizeof want - 1)));
        yzi_arena_fini(&arena);
        yzi_ask_fini(&ask);
    }
}

static void test_request__rows_have_their_limits(void **state)
{
    (void)state;
    yz_request *r = new_request();
    yz_value one = {"x", 1}, hole = {NULL, 1}, two[] = {{"x", 1}, {NULL, 0}};
    yz_value *many = calloc(YZ_QUERY_FIELDS_MAX + 1, sizeof *many);
    char *text = calloc(1, YZ_VALUE_MAX + 1);
    yz_value longest = {text, YZ_VALUE_MAX}, too_long = {text, YZ_VALUE_MAX + 1};
    assert_non_null(many);
    assert_non_null(text);
    assert_int_equal(yz_request_add_row(NULL, &one, 1), YZ_EINVAL);
    assert_int_equal(yz_request_add_row(r, NULL, 1), YZ_EINVAL);
    assert_int_equal(yz_request_add_row(r, &one, 0), YZ_EINVAL);
    assert_int_equal(yz_request_add_row(r, &hole, 1), YZ_EINVAL);
    assert_int_equal(yz_request_add_row(r, &too_long, 1), YZ_EINVAL);
    assert_int_equal(yz_request_add_row(r, many, YZ_QUERY_FIELDS_MAX + 1), YZ_EINVAL);
    assert_int_equal(yz_request_add_row(r, &longest, 1), 0);
    assert_int_equal(yz_request_add_row(r, two, 2), YZ_EINVAL); /* another number than before */
    for (unsigned i = 1; i < YZ_QUERY_ROWS_MAX; i++) {
        assert_int_equal(yz_request_add_row(r, &one, 1), 0);
    }
    assert_int_equal(yz_request_add_row(r, &one, 1), YZ_ELIMIT);
    yz_request_free(r);
    r = new_request();
    int rc = 0;
    for (unsigned i = 0; i < 300 && rc == 0; i++) { /* more than a message holds */
        rc = yz_request_add_row(r, &longest, 1);
    }
    assert_int_equal(rc, YZ_ELIMIT);
    yz_request_free(r);
    free(many);
    free(text);
}

/* Parts that do not go together, each with its own sentence. */
static void test_ask__of_a_write_is_refused_what_does_not_belong(void **state)
{
    (void)state;
    static const struct {
        enum yz_operation operation;
        unsigned fields, rows, keys, limit;
        const char *says;
    } cases[] = {
        {YZ_INSERT, 2, 0, 0, 0, "has rows"},  {YZ_PUT, 2, 1, 1, 0, "no keys"},
        {YZ_PUT, 1, 1, 0, 0, "2 values"},     {YZ_INSERT, 0, 1, 0, 0, "0 fields"},
        {YZ_PUT, 2, 1, 0, 5, "no condition"}, {YZ_DELETE, 0, 0, 0, 0, "has keys"},
        {YZ_DELETE, 1, 0, 1, 0, "neither"},   {YZ_DELETE, 0, 1, 1, 0, "neither"},
        {YZ_GET, 0, 1, 1, 0, "rows are for"}, {YZ_COUNT, 0, 1, 0, 0, "rows are for"},
    };
    static const char *const names[] = {"id", "name"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        yz_request *r = new_request();
        struct ask ask;
        yz_error err;
        assert_int_equal(yz_request_set_operation(r, cases[i].operation), 0);
        for (unsigned k = 0; k < cases[i].fields; k++) {
            assert_int_equal(yz_request_add_field(r, names[k]), 0);
        }
        for (unsigned k = 0; k < cases[i].rows; k++) {
            add_row(r, "1", "x");
        }
        for (unsigned k = 0; k < cases[i].keys; k++) {
            add_key(r, "1");
        }
        assert_int_equal(yz_request_set_limit(r, cases[i].limit), 0);
        assert_int_equal(yzi_ask_make(r, &ask, &err), YZ_EINVAL);
        if (!strstr(err.text, cases[i].says)) {
            fail_msg("case %zu: %s", i, err.text);
        }
        yz_request_free(r);
    }
    yz_request *r = new_request();
    assert_int_equal(yz_request_set_operation(r, (enum yz_operation)0), YZ_EINVAL);
    assert_int_equal(yz_request_set_operation(r, (enum yz_operation)8), YZ_EINVAL);
    yz_request_free(r);
}

static void test_ask__needs_a_key(void **state)
{
    (void)state;
    yz_request *r = new_request();
    struct ask ask;
    yz_error err;
    assert_int_equal(yzi_ask_make(r, &ask, &err), YZ_EINVAL);
    assert_non_null(strstr(err.text, "key"));
    yz_request_free(r);
}

static void test_ask__more_than_a_message_holds_is_too_big(void **state)
{
    (void)state;
    yz_request *r = new_request();
    char *part = malloc(65536);
    assert_non_null(part);
    memset(part, 'k', 65535);
    part[65535] = 0;
    int rc = 0;
    unsigned keys = 0;
    while (rc == 0 && keys < 1000) {
        rc = yz_request_add_key(r, (const char *const[]){part}, 1);
        keys += rc == 0;
    }
    assert_int_equal(rc, YZ_ELIMIT);
    assert_true(keys > 200); /* what is refused is beyond what a message holds */
    struct ask ask;
    yz_error err;
    rc = yzi_ask_make(r, &ask, &err);
    if (rc == 0) {
        yzi_ask_fini(&ask);
    } else {
        assert_int_equal(rc, YZ_ETOOBIG);
    }
    free(part);
    yz_request_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request__refuses_what_is_no_service),
        cmocka_unit_test(test_request__refuses_misuse),
        cmocka_unit_test(test_request__lengths_are_bounded),
        cmocka_unit_test(test_ask__says_what_was_set),
        cmocka_unit_test(test_ask__brings_rows_in_the_body),
        cmocka_unit_test(test_request__rows_have_their_limits),
        cmocka_unit_test(test_ask__of_a_write_is_refused_what_does_not_belong),
        cmocka_unit_test(test_ask__needs_a_key),
        cmocka_unit_test(test_ask__more_than_a_message_holds_is_too_big),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
