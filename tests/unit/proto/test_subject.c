/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of subjects: read back as written, whole or not at all, and nothing else is one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/subject.h"

#define OK(call) assert_int_equal((call), YZ_OK)

static struct query_value value(const char *text)
{
    return (struct query_value){.null = text == NULL, .v = yzi_bytes_str(text)};
}

static void put(yz_buf *out, enum subject_how how, const char *a, const char *b)
{
    struct subject s = {how, {value(a), value(b)}, b ? 2 : 1};
    OK(yzi_subject_put(out, &s));
}

static void test_subject__reads_what_was_written(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf list = {.max = 1000};
    struct subject s;
    put(&list, SUBJECT_ASKED, "310101", NULL);
    put(&list, SUBJECT_COUNTED, NULL, NULL);
    put(&list, SUBJECT_CHANGED, "", "b");
    OK(yzi_subjects_check(yzi_bytes_buf(&list)));
    yz_reader r = yzi_reader(yzi_bytes_buf(&list));
    struct query_value key[2] = {value("310101"), value("")};
    OK(yzi_subject_next(&r, &s));
    assert_true(s.how == SUBJECT_ASKED && yzi_subject_is(&s, key, 1));
    assert_false(yzi_subject_is(&s, key, 2));
    OK(yzi_subject_next(&r, &s));
    assert_true(s.how == SUBJECT_COUNTED && s.parts[0].null);
    assert_false(yzi_subject_is(&s, &key[1], 1)); /* no value is not an empty one */
    OK(yzi_subject_next(&r, &s));
    key[0] = value("");
    key[1] = value("b");
    assert_true(s.how == SUBJECT_CHANGED && yzi_subject_is(&s, key, 2));
    assert_int_equal(r.left, 0);
}

static void test_subject__keeps_the_beginning_of_a_long_part(void **state)
{
    (void)state;
    static char text[SUBJECT_PART_MAX + 3];
    YZ_AUTO(yzi_buf_fini) yz_buf list = {.max = 4000};
    struct subject s;
    memset(text, 'x', SUBJECT_PART_MAX + 2);
    put(&list, SUBJECT_GIVEN, text, NULL);
    assert_int_equal(list.n, 2 + 4 + SUBJECT_PART_MAX);
    yz_reader r = yzi_reader(yzi_bytes_buf(&list));
    OK(yzi_subject_next(&r, &s));
    struct query_value key = value(text);
    assert_true(yzi_subject_is(&s, &key, 1));
    key.v.n = SUBJECT_PART_MAX - 1;
    assert_false(yzi_subject_is(&s, &key, 1));
}

static void test_subject__is_put_whole_or_not_at_all(void **state)
{
    (void)state;
    for (size_t max = 0; max < 14; max++) {
        YZ_AUTO(yzi_buf_fini) yz_buf list = {.max = max};
        struct subject s = {SUBJECT_ASKED, {value("ab"), value("cd")}, 2};
        assert_int_equal(yzi_subject_put(&list, &s), YZ_ELIMIT);
        assert_int_equal(list.n, 0);
    }
    YZ_AUTO(yzi_buf_fini) yz_buf list = {.max = 14};
    struct subject s = {SUBJECT_ASKED, {value("ab"), value("cd")}, 0};
    assert_int_equal(yzi_subject_put(&list, &s), YZ_EINVAL);
    s.parts_n = YZ_QUERY_KEY_PARTS_MAX + 1;
    assert_int_equal(yzi_subject_put(&list, &s), YZ_EINVAL);
    s.parts_n = 2;
    OK(yzi_subject_put(&list, &s));
}

static void refused(const void *bytes, size_t n)
{
    assert_int_equal(yzi_subjects_check(yzi_bytes(bytes, n)), YZ_EMALFORMED);
}

static void test_subject__refuses_what_is_none(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf list = {.max = 4000};
    put(&list, SUBJECT_ASKED, "ab", "cd");
    for (size_t n = 1; n < list.n; n++) {
        refused(list.p, n);
    }
    refused("\0\1\0\0\0\0", 6); /* how */
    refused("\5\1\0\0\0\0", 6);
    refused("\1\0", 2); /* no parts */
    refused("\1\11\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 38);
    yzi_buf_clear(&list);
    OK(yzi_buf_put(&list, yzi_bytes("\1\1\0\0\4\1", 6)));
    OK(yzi_buf_put_zero(&list, SUBJECT_PART_MAX + 1));
    refused(list.p, list.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subject__reads_what_was_written),
        cmocka_unit_test(test_subject__keeps_the_beginning_of_a_long_part),
        cmocka_unit_test(test_subject__is_put_whole_or_not_at_all),
        cmocka_unit_test(test_subject__refuses_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
