/* SPDX-License-Identifier: Apache-2.0
 *
 * Field types: for each, what is accepted with its canonical form, and what is refused.
 */
#include "tests/unit/dataset/fixture.h"

#include "base/text.h"

struct value_case {
    enum field_type type;
    const char *text, *canonical; /* NULL: refused */
    const char *reason;
};

#define D38 "12345678901234567890123456789012345678"

static const struct value_case cases[] = {
    {FIELD_TEXT, "", "", NULL},
    {FIELD_TEXT, " 北京 ", " 北京 ", NULL},
    {FIELD_TEXT, "\xed\xa0\x80", NULL, "is not valid UTF-8"},
    {FIELD_TEXT, "\xc3", NULL, "is not valid UTF-8"},

    {FIELD_INTEGER, "0", "0", NULL},
    {FIELD_INTEGER, "-0", "0", NULL},
    {FIELD_INTEGER, "+7", "7", NULL},
    {FIELD_INTEGER, "9223372036854775807", "9223372036854775807", NULL},
    {FIELD_INTEGER, "-9223372036854775808", "-9223372036854775808", NULL},
    {FIELD_INTEGER, "9223372036854775808", NULL, "is beyond the range of 64-bit integers"},
    {FIELD_INTEGER, "-9223372036854775809", NULL, "is beyond the range of 64-bit integers"},
    {FIELD_INTEGER, "99999999999999999999999", NULL, "is beyond the range of 64-bit integers"},
    {FIELD_INTEGER, "007", NULL, "has leading zeros (an identifier is text, not an integer)"},
    {FIELD_INTEGER, "", NULL, "is not an integer"},
    {FIELD_INTEGER, "-", NULL, "is not an integer"},
    {FIELD_INTEGER, "--1", NULL, "is not an integer"},
    {FIELD_INTEGER, " 1", NULL, "is not an integer"},
    {FIELD_INTEGER, "1 ", NULL, "is not an integer"},
    {FIELD_INTEGER, "1.0", NULL, "is not an integer"},
    {FIELD_INTEGER, "1e3", NULL, "is not an integer"},
    {FIELD_INTEGER, "1,000", NULL, "is not an integer"},
    {FIELD_INTEGER, "٣", NULL, "is not an integer"},

    {FIELD_DECIMAL, "0", "0", NULL},
    {FIELD_DECIMAL, "-0.00", "0", NULL},
    {FIELD_DECIMAL, "12.50", "12.5", NULL},
    {FIELD_DECIMAL, "12.", NULL, "is not a decimal number (12 or 12.5)"},
    {FIELD_DECIMAL, ".5", NULL, "is not a decimal number (12 or 12.5)"},
    {FIELD_DECIMAL, "-0.5", "-0.5", NULL},
    {FIELD_DECIMAL, "+120.000", "120", NULL},
    {FIELD_DECIMAL, "0.1000000000000000055511151231257827021",
     "0.1000000000000000055511151231257827021", NULL},
    {FIELD_DECIMAL, D38, D38, NULL},
    {FIELD_DECIMAL, "-" D38, "-" D38, NULL},
    {FIELD_DECIMAL, "0." D38, "0." D38, NULL},
    {FIELD_DECIMAL, D38 ".0000", D38, NULL},
    {FIELD_DECIMAL, D38 "9", NULL, "has more than 38 digits"},
    {FIELD_DECIMAL, D38 ".1", NULL, "has more than 38 digits"},
    {FIELD_DECIMAL, "0.0" D38, NULL, "has more than 38 digits"},
    {FIELD_DECIMAL, "00.5", NULL, "has leading zeros (an identifier is text, not a number)"},
    {FIELD_DECIMAL, "1e5", NULL, "is not a decimal number (12 or 12.5)"},
    {FIELD_DECIMAL, "1.2.3", NULL, "is not a decimal number (12 or 12.5)"},
    {FIELD_DECIMAL, "", NULL, "is not a decimal number (12 or 12.5)"},
    {FIELD_DECIMAL, "-", NULL, "is not a decimal number (12 or 12.5)"},

    {FIELD_DATE, "2024-02-29", "2024-02-29", NULL},
    {FIELD_DATE, "2000-02-29", "2000-02-29", NULL},
    {FIELD_DATE, "0001-01-01", "0001-01-01", NULL},
    {FIELD_DATE, "9999-12-31", "9999-12-31", NULL},
    {FIELD_DATE, "1900-02-29", NULL, "is a date the calendar does not have"},
    {FIELD_DATE, "2023-02-29", NULL, "is a date the calendar does not have"},
    {FIELD_DATE, "2023-04-31", NULL, "is a date the calendar does not have"},
    {FIELD_DATE, "2023-00-10", NULL, "is a date the calendar does not have"},
    {FIELD_DATE, "2023-13-10", NULL, "is a date the calendar does not have"},
    {FIELD_DATE, "2023-01-00", NULL, "is a date the calendar does not have"},
    {FIELD_DATE, "0000-01-01", NULL, "is a date the calendar does not have"},
    {FIELD_DATE, "2023/01/01", NULL, "is not a date (YYYY-MM-DD)"},
    {FIELD_DATE, "2023-1-1", NULL, "is not a date (YYYY-MM-DD)"},
    {FIELD_DATE, "2023-01-011", NULL, "is not a date (YYYY-MM-DD)"},
    {FIELD_DATE, "20230101", NULL, "is not a date (YYYY-MM-DD)"},
    {FIELD_DATE, "", NULL, "is not a date (YYYY-MM-DD)"},

    {FIELD_TIME, "2026-01-31T08:30:00Z", "2026-01-31T08:30:00Z", NULL},
    {FIELD_TIME, "2026-01-31t08:30:00z", "2026-01-31T08:30:00Z", NULL},
    {FIELD_TIME, "2026-01-31 08:30:00+08:00", "2026-01-31T00:30:00Z", NULL},
    {FIELD_TIME, "2026-01-01T07:59:59+08:00", "2025-12-31T23:59:59Z", NULL},
    {FIELD_TIME, "2024-02-28T23:30:00-01:00", "2024-02-29T00:30:00Z", NULL},
    {FIELD_TIME, "2023-12-31T23:30:00-00:30", "2024-01-01T00:00:00Z", NULL},
    {FIELD_TIME, "2024-03-01T00:00:00+00:01", "2024-02-29T23:59:00Z", NULL},
    {FIELD_TIME, "2026-01-31T08:30:00.5000Z", "2026-01-31T08:30:00.5Z", NULL},
    {FIELD_TIME, "2026-01-31T08:30:00.000Z", "2026-01-31T08:30:00Z", NULL},
    {FIELD_TIME, "2026-01-31T08:30:00.123456789Z", "2026-01-31T08:30:00.123456789Z", NULL},
    {FIELD_TIME, "2026-01-31T08:30:00.1234567891Z", NULL,
     "is not a time (2026-01-31T08:30:00+08:00)"},
    {FIELD_TIME, "2026-01-31T08:30:00.Z", NULL, "is not a time (2026-01-31T08:30:00+08:00)"},
    {FIELD_TIME, "2026-01-31T08:30Z", NULL, "is not a time (2026-01-31T08:30:00+08:00)"},
    {FIELD_TIME, "2026-01-31", NULL, "is not a time (2026-01-31T08:30:00+08:00)"},
    {FIELD_TIME, "2026-01-31T08:30:00", NULL, "is not a time with its zone (…Z or …+08:00)"},
    {FIELD_TIME, "2026-01-31T08:30:00+0800", NULL, "is not a time with its zone (…Z or …+08:00)"},
    {FIELD_TIME, "2026-01-31T08:30:00Zx", NULL, "is not a time with its zone (…Z or …+08:00)"},
    {FIELD_TIME, "2026-01-31T24:00:00Z", NULL, "is a time the calendar does not have"},
    {FIELD_TIME, "2026-01-31T23:60:00Z", NULL, "is a time the calendar does not have"},
    {FIELD_TIME, "2016-12-31T23:59:60Z", NULL, "is a time the calendar does not have"},
    {FIELD_TIME, "2026-02-30T08:30:00Z", NULL, "is a time the calendar does not have"},
    {FIELD_TIME, "2026-01-31T08:30:00+24:00", NULL, "is a time the calendar does not have"},
    {FIELD_TIME, "0001-01-01T00:00:00+00:01", NULL, "is outside the years 0001 to 9999 in UTC"},
    {FIELD_TIME, "9999-12-31T23:59:59-00:01", NULL, "is outside the years 0001 to 9999 in UTC"},

    {FIELD_BOOLEAN, "true", "true", NULL},
    {FIELD_BOOLEAN, "1", "true", NULL},
    {FIELD_BOOLEAN, "false", "false", NULL},
    {FIELD_BOOLEAN, "0", "false", NULL},
    {FIELD_BOOLEAN, "TRUE", NULL, "is not a boolean (true, false, 1 or 0)"},
    {FIELD_BOOLEAN, "yes", NULL, "is not a boolean (true, false, 1 or 0)"},
    {FIELD_BOOLEAN, "", NULL, "is not a boolean (true, false, 1 or 0)"},

    {FIELD_CODE, "已婚", "已婚", NULL},
    {FIELD_CODE, "M", "M", NULL},
    {FIELD_CODE, "m", NULL, "is not one of the codes of the definition"},
    {FIELD_CODE, "", NULL, "is not one of the codes of the definition"},

    {FIELD_BYTES, "", "", NULL},
    {FIELD_BYTES, "aGk=", "hi", NULL},
    {FIELD_BYTES, "aGk", NULL, "is not base64 with padding"},
    {FIELD_BYTES, "aGl=", NULL, "is not base64 with padding"},
    {FIELD_BYTES, "a Gk=", NULL, "is not base64 with padding"},
};

static struct dataset_field field_of(enum field_type type)
{
    static const char *codes[] = {"M", "已婚"};
    return (struct dataset_field){
        .name = "f", .type = type, .max_length = 100, .codes = {.items = codes, .n = 2}};
}

static void test_field__canonical_form_or_reason(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct value_case *c = &cases[i];
        struct dataset_field f = field_of(c->type);
        const char *reason = NULL;
        yz_buf out;
        yzi_buf_init(&out, 1000);
        assert_int_equal(yzi_buf_put_str(&out, "before"), 0);
        int rc = yzi_field_canonical(&f, yzi_bytes_str(c->text), &out, &reason);
        yz_bytes got = yzi_bytes(out.p + 6, out.n - 6);
        if (c->canonical && (rc != 0 || !yzi_bytes_eq_str(got, c->canonical))) {
            fail_msg("%s: %d, '%.*s' (%s)", c->text, rc, (int)got.n, got.p, reason);
        }
        if (!c->canonical && (rc != YZ_EDATA || got.n != 0 || strcmp(reason, c->reason) != 0)) {
            fail_msg("%s: %d, '%.*s' (%s)", c->text, rc, (int)got.n, got.p, reason);
        }
        yzi_buf_fini(&out);
    }
}

/* A canonical value is its own canonical form, so that comparing texts compares values. */
static void test_field__canonical_is_stable(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct value_case *c = &cases[i];
        if (!c->canonical || c->type == FIELD_BYTES) {
            continue;
        }
        struct dataset_field f = field_of(c->type);
        const char *reason = NULL;
        yz_buf out;
        yzi_buf_init(&out, 1000);
        assert_int_equal(yzi_field_canonical(&f, yzi_bytes_str(c->canonical), &out, &reason), 0);
        assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&out), c->canonical));
        yzi_buf_fini(&out);
    }
}

static void test_field__length_is_of_the_canonical_value(void **unused)
{
    (void)unused;
    const char *reason = NULL;
    struct dataset_field f = field_of(FIELD_TEXT);
    yz_buf out;
    yzi_buf_init(&out, 1000);
    f.max_length = 6;
    assert_int_equal(yzi_field_canonical(&f, yzi_bytes_str("北京"), &out, &reason), 0);
    assert_int_equal(yzi_field_canonical(&f, yzi_bytes_str("北京x"), &out, &reason), YZ_EDATA);
    assert_string_equal(reason, "is longer than the definition allows");
    assert_int_equal(out.n, 6);
    f = field_of(FIELD_BYTES);
    f.max_length = 2;
    assert_int_equal(yzi_field_canonical(&f, yzi_bytes_str("aGk="), &out, &reason), 0);
    assert_int_equal(yzi_field_canonical(&f, yzi_bytes_str("aGkh"), &out, &reason), YZ_EDATA);
    assert_int_equal(out.n, 8);
    yzi_buf_fini(&out);
}

static void test_field__nul_in_text_and_a_full_buffer_are_refused(void **unused)
{
    (void)unused;
    const char *reason = NULL;
    struct dataset_field f = field_of(FIELD_TEXT);
    yz_buf out;
    yzi_buf_init(&out, 4);
    assert_int_equal(yzi_field_canonical(&f, yzi_bytes("a\0b", 3), &out, &reason), YZ_EDATA);
    assert_string_equal(reason, "contains a NUL character");
    f = field_of(FIELD_DECIMAL);
    assert_int_equal(yzi_field_canonical(&f, yzi_bytes_str("-12.5"), &out, &reason), YZ_ELIMIT);
    assert_int_equal(out.n, 0);
    yzi_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_field__canonical_form_or_reason),
        cmocka_unit_test(test_field__canonical_is_stable),
        cmocka_unit_test(test_field__length_is_of_the_canonical_value),
        cmocka_unit_test(test_field__nul_in_text_and_a_full_buffer_are_refused),
    };
    return cmocka_run_group_tests_name("field", tests, NULL, NULL);
}
