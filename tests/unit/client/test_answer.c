/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers: accessors and JSON say what the provider wrote, and what is signed and not in the format
 * is refused rather than shown.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "client/answer.h"

#define NODE "CN/GOV/MCA/@a1"

static struct response_header header(void)
{
    struct response_header h = {.status = RESPONSE_ANSWERED,
                                .node.v = yzi_bytes_str(NODE),
                                .data_version = 42,
                                .policy_version = 7};
    assert_int_equal(yzi_uuid_parse("01976e3b-8c00-7abc-8def-000102030405", &h.message_id), 0);
    return h;
}

/* Write head and values (NULL: null) as a provider would, and make the answer of it. */
static int make(const struct response_header *h, const struct answer_head *head,
                const char *const *values, size_t n, enum plain_type type, yz_answer **out,
                yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf head_bytes, body;
    YZ_AUTO(yzi_buf_wipe) yz_buf text;
    yzi_buf_init(&head_bytes, 1024 * 1024);
    yzi_buf_init(&body, 1024 * 1024);
    yzi_buf_init(&text, 4 * 1024 * 1024);
    assert_int_equal(yzi_answer_head_write(head, &head_bytes), 0);
    for (size_t i = 0; i < n; i++) {
        struct query_value v = {values[i] == NULL, yzi_bytes_str(values[i])};
        assert_int_equal(yzi_row_put(&body, &v), 0);
    }
    assert_int_equal(yzi_plain_write(type, yzi_bytes_buf(&head_bytes), yzi_bytes_buf(&body), &text),
                     0);
    struct plain plain;
    assert_int_equal(yzi_plain_parse(yzi_bytes_buf(&text), &plain), 0);
    *err = (yz_error){0};
    return yzi_answer_of_provider(h, &plain, &text, out, err);
}

static struct answer_field field(const char *name, enum field_type type)
{
    return (struct answer_field){yzi_bytes_str(name), type, MASK_NONE};
}

#define FIELDS 8
static void all_types(struct answer_field f[FIELDS])
{
    f[0] = field("name", FIELD_TEXT);
    f[1] = field("children", FIELD_INTEGER);
    f[2] = field("area", FIELD_DECIMAL);
    f[3] = field("since", FIELD_DATE);
    f[4] = field("changed", FIELD_TIME);
    f[5] = field("married", FIELD_BOOLEAN);
    f[6] = field("status", FIELD_CODE);
    f[7] = field("photo", FIELD_BYTES);
}

static yz_answer *sample(void)
{
    static const char *const values[] = {"王\"建国\"\n",
                                         "-9223372036854775808",
                                         "567.8900000000000000001",
                                         "1980-01-01",
                                         "2026-11-22T21:05:09.123Z",
                                         "true",
                                         "M",
                                         "\xff\x00zz",
                                         NULL,
                                         NULL,
                                         NULL,
                                         NULL,
                                         NULL,
                                         NULL,
                                         NULL,
                                         NULL,
                                         "",
                                         "0",
                                         "-0.5",
                                         "0001-02-30",
                                         "2026-11-22T21:05:09Z",
                                         "false",
                                         "",
                                         ""};
    struct answer_field fields[FIELDS];
    all_types(fields);
    struct answer_head head = {.code = ANSWER_OK,
                               .fields = fields,
                               .fields_n = FIELDS,
                               .rows = 3,
                               .grant = yzi_bytes_str("g-1")};
    struct response_header h = header();
    yz_answer *a = NULL;
    yz_error err;
    int rc = make(&h, &head, values, 3 * FIELDS, PLAIN_ANSWER, &a, &err);
    if (rc < 0) {
        fail_msg("%s", err.text);
    }
    return a;
}

static void test_answer__accessors_say_what_was_written(void **state)
{
    (void)state;
    yz_answer *a = sample();
    assert_int_equal(yz_answer_origin(a), YZ_ORIGIN_PROVIDER);
    assert_int_equal(yz_answer_status(a), YZ_STATUS_OK);
    assert_string_equal(yz_answer_node(a), NODE);
    assert_string_equal(yz_answer_rule(a), "g-1");
    assert_string_equal(yz_answer_reason(a), "");
    assert_string_equal(yz_answer_detail(a), "");
    assert_string_equal(yz_answer_message_id(a), "01976e3b-8c00-7abc-8def-000102030405");
    assert_int_equal(yz_answer_data_version(a), 42);
    assert_int_equal(yz_answer_policy_version(a), 7);
    assert_int_equal(yz_answer_retry_after(a), 0);
    assert_int_equal(yz_answer_rows(a), 3);
    assert_int_equal(yz_answer_fields(a), FIELDS);
    assert_string_equal(yz_answer_field_name(a, 2), "area");
    assert_int_equal(yz_answer_field_type(a, 2), YZ_TYPE_DECIMAL);
    const void *p;
    size_t n;
    assert_int_equal(yz_answer_value(a, 0, 2, &p, &n), 0);
    assert_int_equal(n, strlen("567.8900000000000000001"));
    assert_memory_equal(p, "567.8900000000000000001", n);
    assert_int_equal(yz_answer_value(a, 1, 0, &p, &n), 0);
    assert_null(p);
    assert_int_equal(n, 0);
    assert_int_equal(yz_answer_value(a, 2, 0, &p, &n), 0);
    assert_non_null(p); /* empty, not null */
    assert_int_equal(n, 0);
    yz_answer_free(a);
}

static void test_answer__out_of_range_is_refused(void **state)
{
    (void)state;
    yz_answer *a = sample();
    const void *p = NULL;
    size_t n = 0;
    assert_int_equal(yz_answer_value(a, 3, 0, &p, &n), YZ_EINVAL);
    assert_int_equal(yz_answer_value(a, 0, FIELDS, &p, &n), YZ_EINVAL);
    assert_int_equal(yz_answer_value(a, SIZE_MAX, SIZE_MAX, &p, &n), YZ_EINVAL);
    assert_int_equal(yz_answer_value(a, 0, 0, NULL, &n), YZ_EINVAL);
    assert_int_equal(yz_answer_value(NULL, 0, 0, &p, &n), YZ_EINVAL);
    assert_null(yz_answer_field_name(a, FIELDS));
    assert_int_equal(yz_answer_field_type(a, FIELDS), 0);
    char *json = NULL;
    assert_int_equal(yz_answer_json(NULL, 0, &json), YZ_EINVAL);
    assert_int_equal(yz_answer_json(a, 0, NULL), YZ_EINVAL);
    yz_answer_free(a);
    yz_answer_free(NULL);
}

static void test_json__is_exact(void **state)
{
    (void)state;
    yz_answer *a = sample();
    char *json = NULL;
    assert_int_equal(yz_answer_json(a, 0, &json), 0);
    assert_string_equal(
        json,
        "{\"origin\":\"provider\",\"status\":\"ok\",\"reason\":\"\",\"detail\":\"\","
        "\"rule\":\"g-1\",\"node\":\"CN/GOV/MCA/@a1\","
        "\"message_id\":\"01976e3b-8c00-7abc-8def-000102030405\",\"evidence\":\"missing\",\"kept\":"
        "false,\"elapsed_ms\":0,"
        "\"retry_after_ms\":0,\"data_version\":42,\"policy_version\":7,\"records\":["
        "{\"name\":\"王\\\"建国\\\"\\n\",\"children\":-9223372036854775808,"
        "\"area\":567.8900000000000000001,\"since\":\"1980-01-01\","
        "\"changed\":\"2026-11-22T21:05:09.123Z\",\"married\":true,\"status\":\"M\","
        "\"photo\":\"/w==\"},"
        "{\"name\":null,\"children\":null,\"area\":null,\"since\":null,\"changed\":null,"
        "\"married\":null,\"status\":null,\"photo\":null},"
        "{\"name\":\"\",\"children\":0,\"area\":-0.5,\"since\":\"0001-02-30\","
        "\"changed\":\"2026-11-22T21:05:09Z\",\"married\":false,\"status\":\"\",\"photo\":\"\"}],"
        "\"cursor\":\"\",\"total\":null,\"grant\":\"g-1\",\"clause\":\"\",\"masks\":{},"
        "\"matches\":[]}");
    free(json);
    yz_answer_free(a);
}

static void test_matches__are_yes_no_and_unknown_in_order(void **state)
{
    (void)state;
    enum match_result said[] = {MATCH_YES, MATCH_UNKNOWN, MATCH_NO};
    struct answer_head head = {.code = ANSWER_OK, .matches = said, .matches_n = 3};
    struct response_header h = header();
    yz_answer *a = NULL;
    yz_error err;
    enum yz_match m;
    char *json = NULL;
    assert_int_equal(make(&h, &head, NULL, 0, PLAIN_ANSWER, &a, &err), 0);
    assert_int_equal(yz_answer_matches(a), 3);
    assert_int_equal(yz_answer_match(a, 1, &m), 0);
    assert_int_equal(m, YZ_MATCH_UNKNOWN);
    assert_string_equal(yz_match_name(m), "unknown");
    assert_int_equal(yz_answer_match(a, 3, &m), YZ_EINVAL);
    assert_int_equal(yz_answer_rows(a), 0);
    assert_int_equal(yz_answer_json(a, 0, &json), 0);
    assert_non_null(strstr(json, "\"matches\":[\"yes\",\"unknown\",\"no\"]}"));
    free(json);
    yz_answer_free(a);
    head.code = ANSWER_DENIED;
    assert_int_equal(make(&h, &head, NULL, 0, PLAIN_ANSWER, &a, &err), YZ_EMALFORMED);
}

static void test_json__pretty_is_indented(void **state)
{
    (void)state;
    struct outcome_header h = {.status = OUTCOME_BUSY,
                               .node.v = yzi_bytes_str("CN/@b1"),
                               .reason = yzi_bytes_str("limit"),
                               .rule = yzi_bytes_str("in-flight-per-peer"),
                               .retry_after_ms = 100};
    assert_int_equal(yzi_uuid_parse("01976e3b-8c00-7abc-8def-000102030405", &h.message_id), 0);
    yz_answer *a = NULL;
    assert_int_equal(yzi_answer_of_broker(&h, &a), 0);
    char *json = NULL;
    assert_int_equal(yz_answer_json(a, 1, &json), 0);
    assert_string_equal(json, "{\n"
                              "  \"origin\": \"broker\",\n"
                              "  \"status\": \"busy\",\n"
                              "  \"reason\": \"limit\",\n"
                              "  \"detail\": \"a limit is reached for now\",\n"
                              "  \"rule\": \"in-flight-per-peer\",\n"
                              "  \"node\": \"CN/@b1\",\n"
                              "  \"message_id\": \"01976e3b-8c00-7abc-8def-000102030405\",\n"
                              "  \"evidence\": \"missing\",\n"
                              "  \"kept\": false,\n"
                              "  \"elapsed_ms\": 0,\n"
                              "  \"retry_after_ms\": 100,\n"
                              "  \"data_version\": 0,\n"
                              "  \"policy_version\": 0,\n"
                              "  \"records\": [],\n"
                              "  \"cursor\": \"\",\n"
                              "  \"total\": null,\n"
                              "  \"grant\": \"\",\n"
                              "  \"clause\": \"\",\n"
                              "  \"masks\": {},\n"
                              "  \"matches\": []\n"
                              "}");
    free(json);
    yz_answer_free(a);
}

/* -- what a provider may get wrong -- */

static void expect_refused(const struct answer_head *head, const char *const *values, size_t n,
                           const char *says)
{
    struct response_header h = header();
    yz_answer *a = NULL;
    yz_error err;
    assert_int_equal(make(&h, head, values, n, PLAIN_ANSWER, &a, &err), YZ_EMALFORMED);
    assert_null(a);
    if (!strstr(err.text, says)) {
        fail_msg("said \"%s\", not \"%s\"", err.text, says);
    }
}

static void test_answer__values_are_of_their_type(void **state)
{
    (void)state;
    static const struct {
        enum field_type type;
        const char *value;
    } bad[] = {
        {FIELD_INTEGER, ""},
        {FIELD_INTEGER, "-"},
        {FIELD_INTEGER, "01"},
        {FIELD_INTEGER, "1.0"},
        {FIELD_INTEGER, "1e3"},
        {FIELD_INTEGER, "+1"},
        {FIELD_INTEGER, "-0"},
        {FIELD_INTEGER, "9223372036854775808"},
        {FIELD_INTEGER, "-9223372036854775809"},
        {FIELD_DECIMAL, "1."},
        {FIELD_DECIMAL, ".5"},
        {FIELD_DECIMAL, "NaN"},
        {FIELD_DECIMAL, "1.5,\"x\":1"},
        {FIELD_BOOLEAN, "yes"},
        {FIELD_BOOLEAN, "1"},
        {FIELD_DATE, "1980-1-1"},
        {FIELD_DATE, "1980-01-01T00:00:00Z"},
        {FIELD_TIME, "1980-01-01"},
        {FIELD_TIME, "1980-01-01T00:00:00+01:00"},
        {FIELD_TEXT, "\xff"},
        {FIELD_CODE, "\xc3"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct answer_field f = field("x", bad[i].type);
        struct answer_head head = {.code = ANSWER_OK, .fields = &f, .fields_n = 1, .rows = 1};
        expect_refused(&head, &bad[i].value, 1, "row 1: the value of 'x'");
    }
}

static void test_answer__rows_are_as_many_as_said(void **state)
{
    (void)state;
    static const char *const three[] = {"a", "b", "c"};
    struct answer_field f[2] = {field("x", FIELD_TEXT), field("y", FIELD_TEXT)};
    struct answer_head head = {.code = ANSWER_OK, .fields = f, .fields_n = 2, .rows = 2};
    expect_refused(&head, three, 3, "its rows are not the 2 it says");
    head.rows = 1;
    expect_refused(&head, three, 3, "its rows are not the 1 it says");
}

static void test_answer__a_refusal_with_rows_is_refused(void **state)
{
    (void)state;
    static const char *const one[] = {"a"};
    struct answer_field f = field("x", FIELD_TEXT);
    struct answer_head head = {.code = ANSWER_DENIED, .fields = &f, .fields_n = 1, .rows = 1};
    expect_refused(&head, one, 1, "refuses and yet holds an answer");
}

static void test_answer__another_kind_of_payload_is_refused(void **state)
{
    (void)state;
    struct answer_head head = {.code = ANSWER_OK};
    struct response_header h = header();
    yz_answer *a = NULL;
    yz_error err;
    assert_int_equal(make(&h, &head, NULL, 0, PLAIN_QUERY, &a, &err), YZ_EMALFORMED);
    assert_null(a);
}

static void test_answer__masked_values_are_text(void **state)
{
    (void)state;
    static const char *const values[] = {"****1234", "1980"};
    struct answer_field f[2] = {field("number", FIELD_INTEGER), field("born", FIELD_DATE)};
    f[0].mask = MASK_LAST4;
    f[1].mask = MASK_YEAR;
    struct answer_head head = {.code = ANSWER_OK, .fields = f, .fields_n = 2, .rows = 1};
    struct response_header h = header();
    yz_answer *a = NULL;
    yz_error err;
    assert_int_equal(make(&h, &head, values, 2, PLAIN_ANSWER, &a, &err), 0);
    assert_int_equal(yz_answer_field_type(a, 0), YZ_TYPE_TEXT);
    assert_int_equal(yz_answer_field_type(a, 1), YZ_TYPE_TEXT);
    assert_string_equal(yz_answer_field_mask(a, 0), "last4");
    assert_string_equal(yz_answer_field_mask(a, 1), "year");
    assert_null(yz_answer_field_mask(a, 2));
    char *json = NULL;
    assert_int_equal(yz_answer_json(a, 0, &json), 0);
    assert_non_null(strstr(json, "\"records\":[{\"number\":\"****1234\",\"born\":\"1980\"}]"));
    assert_non_null(strstr(json, "\"masks\":{\"number\":\"last4\",\"born\":\"year\"}"));
    free(json);
    yz_answer_free(a);
}

static void test_answer__refusals_keep_their_reason(void **state)
{
    (void)state;
    static const struct {
        enum answer_code code;
        enum yz_status status;
    } codes[] = {{ANSWER_DENIED, YZ_STATUS_DENIED},
                 {ANSWER_BAD_QUERY, YZ_STATUS_BAD_QUERY},
                 {ANSWER_UNSUPPORTED, YZ_STATUS_UNSUPPORTED},
                 {ANSWER_TOO_LARGE, YZ_STATUS_TOO_LARGE},
                 {ANSWER_FAILED, YZ_STATUS_FAILED}};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct answer_head head = {.code = codes[i].code,
                                   .reason = yzi_bytes_str("field"),
                                   .clause = yzi_bytes_str("readable"),
                                   .detail = yzi_bytes_str("字段 spouse")};
        struct response_header h = header();
        yz_answer *a = NULL;
        yz_error err;
        assert_int_equal(make(&h, &head, NULL, 0, PLAIN_ANSWER, &a, &err), 0);
        assert_int_equal(yz_answer_status(a), codes[i].status);
        assert_string_equal(yz_answer_reason(a), "field");
        assert_string_equal(yz_answer_clause(a), "readable");
        assert_string_equal(yz_answer_detail(a), "字段 spouse");
        assert_int_equal(yz_answer_rows(a), 0);
        yz_answer_free(a);
    }
    struct response_header h = header();
    struct answer_head head = {.code = ANSWER_FAILED};
    yz_answer *a = NULL;
    yz_error err;
    h.status = RESPONSE_INDETERMINATE;
    assert_int_equal(make(&h, &head, NULL, 0, PLAIN_ANSWER, &a, &err), 0);
    assert_int_equal(yz_answer_status(a), YZ_STATUS_INDETERMINATE);
    yz_answer_free(a);
}

static void test_outcome__every_status_has_its_place(void **state)
{
    (void)state;
    static const struct {
        enum outcome_status outcome;
        enum yz_status status;
        const char *reason;
    } rows[] = {
        {OUTCOME_DENIED, YZ_STATUS_DENIED, "why"},
        {OUTCOME_UNKNOWN_SERVICE, YZ_STATUS_UNKNOWN_SERVICE, "why"},
        {OUTCOME_BUSY, YZ_STATUS_BUSY, "why"},
        {OUTCOME_UNAVAILABLE, YZ_STATUS_UNAVAILABLE, "why"},
        {OUTCOME_TIMEOUT, YZ_STATUS_TIMEOUT, "why"},
        {OUTCOME_EXPIRED, YZ_STATUS_REJECTED, "expired/why"},
        {OUTCOME_REPLAYED, YZ_STATUS_REJECTED, "replayed/why"},
        {OUTCOME_ID_CONFLICT, YZ_STATUS_REJECTED, "id-conflict/why"},
        {OUTCOME_MALFORMED, YZ_STATUS_REJECTED, "malformed/why"},
        {OUTCOME_BAD_SIGNATURE, YZ_STATUS_REJECTED, "bad-signature/why"},
        {OUTCOME_WRONG_SENDER, YZ_STATUS_REJECTED, "wrong-sender/why"},
        {OUTCOME_TOO_LARGE, YZ_STATUS_TOO_LARGE, "why"},
        {OUTCOME_STALE_DIRECTORY, YZ_STATUS_UNAVAILABLE, "stale-directory/why"},
    };
    assert_int_equal(sizeof rows / sizeof rows[0], OUTCOME_STALE_DIRECTORY);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct outcome_header h = {.status = rows[i].outcome,
                                   .node.v = yzi_bytes_str("CN/@b1"),
                                   .reason = yzi_bytes_str("why")};
        yz_answer *a = NULL;
        assert_int_equal(yzi_answer_of_broker(&h, &a), 0);
        assert_int_equal(yz_answer_origin(a), YZ_ORIGIN_BROKER);
        assert_int_equal(yz_answer_status(a), rows[i].status);
        assert_string_equal(yz_answer_reason(a), rows[i].reason);
        assert_string_not_equal(yz_answer_detail(a), "");
        yz_answer_free(a);
    }
    struct outcome_header plain = {.status = OUTCOME_EXPIRED, .node.v = yzi_bytes_str("CN/@b1")};
    yz_answer *a = NULL;
    assert_int_equal(yzi_answer_of_broker(&plain, &a), 0);
    assert_string_equal(yz_answer_reason(a), "expired");
    yz_answer_free(a);
}

static void test_names__are_stable(void **state)
{
    (void)state;
    assert_string_equal(yz_status_name(YZ_STATUS_OK), "ok");
    assert_string_equal(yz_status_name(YZ_STATUS_UNKNOWN_SERVICE), "unknown-service");
    assert_string_equal(yz_status_name(YZ_STATUS_REJECTED), "rejected");
    assert_string_equal(yz_status_name((enum yz_status)0), "?");
    assert_string_equal(yz_status_name((enum yz_status)99), "?");
    assert_string_equal(yz_origin_name(YZ_ORIGIN_PROVIDER), "provider");
    assert_string_equal(yz_origin_name(YZ_ORIGIN_BROKER), "broker");
    assert_string_equal(yz_origin_name((enum yz_origin)9), "?");
}

static void test_answer__that_is_none_says_nothing(void **state)
{
    (void)state;
    uint64_t total;
    enum yz_match match;
    const void *value;
    size_t n;
    char *json;
    yz_answer_free(NULL);
    assert_int_equal(yz_answer_origin(NULL), 0);
    assert_int_equal(yz_answer_status(NULL), 0);
    assert_int_equal(yz_answer_evidence(NULL), 0);
    assert_int_equal(yz_answer_kept(NULL), 0);
    const char *texts[] = {yz_answer_reason(NULL), yz_answer_detail(NULL),
                           yz_answer_rule(NULL),   yz_answer_clause(NULL),
                           yz_answer_node(NULL),   yz_answer_message_id(NULL),
                           yz_answer_cursor(NULL)};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_string_equal(texts[i], "");
    }
    assert_int_equal(yz_answer_elapsed(NULL) + yz_answer_retry_after(NULL), 0);
    assert_int_equal(yz_answer_data_version(NULL) + yz_answer_policy_version(NULL), 0);
    assert_int_equal(yz_answer_rows(NULL) + yz_answer_fields(NULL) + yz_answer_matches(NULL), 0);
    assert_null(yz_answer_field_name(NULL, 0));
    assert_null(yz_answer_field_mask(NULL, 0));
    assert_int_equal(yz_answer_field_type(NULL, 0), 0);
    assert_int_equal(yz_answer_total(NULL, &total), YZ_EINVAL);
    assert_int_equal(yz_answer_match(NULL, 0, &match), YZ_EINVAL);
    assert_int_equal(yz_answer_value(NULL, 0, 0, &value, &n), YZ_EINVAL);
    assert_int_equal(yz_answer_json(NULL, 0, &json), YZ_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer__that_is_none_says_nothing),
        cmocka_unit_test(test_answer__accessors_say_what_was_written),
        cmocka_unit_test(test_answer__out_of_range_is_refused),
        cmocka_unit_test(test_json__is_exact),
        cmocka_unit_test(test_matches__are_yes_no_and_unknown_in_order),
        cmocka_unit_test(test_json__pretty_is_indented),
        cmocka_unit_test(test_answer__values_are_of_their_type),
        cmocka_unit_test(test_answer__rows_are_as_many_as_said),
        cmocka_unit_test(test_answer__a_refusal_with_rows_is_refused),
        cmocka_unit_test(test_answer__another_kind_of_payload_is_refused),
        cmocka_unit_test(test_answer__masked_values_are_text),
        cmocka_unit_test(test_answer__refusals_keep_their_reason),
        cmocka_unit_test(test_outcome__every_status_has_its_place),
        cmocka_unit_test(test_names__are_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
