/* SPDX-License-Identifier: Apache-2.0
 *
 * base/error: names, classes, sentences.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/error.h"
#include "base/text.h"
#include "tests/support/dies.h"

static void test_code__has_its_frozen_number_name_and_class(void **state)
{
    (void)state;
    static const struct {
        int code, number;
        const char *name;
        enum yz_error_class class;
    } rows[] = {
        {YZ_OK, 0, "YZ_OK", YZ_CLASS_NONE},
        {YZ_EINVAL, -1, "YZ_EINVAL", YZ_CLASS_USAGE},
        {YZ_ECONFIG, -2, "YZ_ECONFIG", YZ_CLASS_USAGE},
        {YZ_ENOTFOUND, -3, "YZ_ENOTFOUND", YZ_CLASS_USAGE},
        {YZ_EEXIST, -4, "YZ_EEXIST", YZ_CLASS_USAGE},
        {YZ_EUNSUPPORTED, -5, "YZ_EUNSUPPORTED", YZ_CLASS_USAGE},
        {YZ_EDATA, -6, "YZ_EDATA", YZ_CLASS_USAGE},
        {YZ_EMALFORMED, -20, "YZ_EMALFORMED", YZ_CLASS_PROTOCOL},
        {YZ_ETOOBIG, -21, "YZ_ETOOBIG", YZ_CLASS_PROTOCOL},
        {YZ_EVERSION, -22, "YZ_EVERSION", YZ_CLASS_PROTOCOL},
        {YZ_ELOOP, -23, "YZ_ELOOP", YZ_CLASS_PROTOCOL},
        {YZ_ESIGNATURE, -40, "YZ_ESIGNATURE", YZ_CLASS_AUTH},
        {YZ_EDENIED, -41, "YZ_EDENIED", YZ_CLASS_AUTH},
        {YZ_EUNKNOWNKEY, -42, "YZ_EUNKNOWNKEY", YZ_CLASS_AUTH},
        {YZ_EEXPIRED, -43, "YZ_EEXPIRED", YZ_CLASS_AUTH},
        {YZ_EROLLBACK, -44, "YZ_EROLLBACK", YZ_CLASS_AUTH},
        {YZ_EPERM, -45, "YZ_EPERM", YZ_CLASS_AUTH},
        {YZ_ESTALEKEY, -46, "YZ_ESTALEKEY", YZ_CLASS_AUTH},
        {YZ_EREPLAY, -47, "YZ_EREPLAY", YZ_CLASS_AUTH},
        {YZ_ERECEIPT, -48, "YZ_ERECEIPT", YZ_CLASS_AUTH},
        {YZ_EEQUIVOCATION, -49, "YZ_EEQUIVOCATION", YZ_CLASS_AUTH},
        {YZ_EIO, -60, "YZ_EIO", YZ_CLASS_IO},
        {YZ_ECLOSED, -61, "YZ_ECLOSED", YZ_CLASS_IO},
        {YZ_EDISKFULL, -62, "YZ_EDISKFULL", YZ_CLASS_IO},
        {YZ_ECORRUPT, -63, "YZ_ECORRUPT", YZ_CLASS_IO},
        {YZ_EAGAIN, -80, "YZ_EAGAIN", YZ_CLASS_BLOCKED},
        {YZ_ETIMEOUT, -81, "YZ_ETIMEOUT", YZ_CLASS_BLOCKED},
        {YZ_EBUSY, -82, "YZ_EBUSY", YZ_CLASS_BLOCKED},
        {YZ_EUNAVAILABLE, -83, "YZ_EUNAVAILABLE", YZ_CLASS_BLOCKED},
        {YZ_ECANCELLED, -84, "YZ_ECANCELLED", YZ_CLASS_BLOCKED},
        {YZ_ENOMEM, -100, "YZ_ENOMEM", YZ_CLASS_RESOURCE},
        {YZ_ELIMIT, -101, "YZ_ELIMIT", YZ_CLASS_RESOURCE},
        {YZ_EINTERNAL, -120, "YZ_EINTERNAL", YZ_CLASS_INTERNAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(rows[i].code, rows[i].number);
        assert_string_equal(yz_err_name(rows[i].code), rows[i].name);
        assert_int_equal(yz_err_class(rows[i].code), rows[i].class);
    }
    /* Every other number in sight is unknown, so the table above misses none. */
    size_t known = 0;
    for (int code = -1000; code <= 0; code++) {
        known += strcmp(yz_err_name(code), "YZ_E?") != 0;
    }
    assert_int_equal(known, sizeof rows / sizeof rows[0]);
}

static void test_words__tell_each_code_from_the_others(void **state)
{
    (void)state;
    for (int a = -1000; a <= 0; a++) {
        assert_true(yz_err_words(a)[0] != '\0' && !strstr(yz_err_words(a), "YZ_"));
        for (int b = -1000; strcmp(yz_err_name(a), "YZ_E?") != 0 && b < a; b++) {
            assert_string_not_equal(yz_err_words(a), yz_err_words(b));
        }
    }
}

static void test_code__unknown_is_internal_and_positive_is_no_error(void **state)
{
    (void)state;
    assert_int_equal(yz_err_class(-7), YZ_CLASS_INTERNAL);
    assert_int_equal(yz_err_class(INT32_MIN), YZ_CLASS_INTERNAL);
    assert_string_equal(yz_err_name(-7), "YZ_E?");
    assert_int_equal(yz_err_class(3), YZ_CLASS_NONE);
}

static void test_fail__fills_the_error_and_returns_the_code(void **state)
{
    (void)state;
    yz_error err = {0};
    assert_int_equal(yzi_fail(&err, YZ_ECONFIG, "%s:%d: no such key", "broker.yaml", 7),
                     YZ_ECONFIG);
    assert_int_equal(err.code, YZ_ECONFIG);
    assert_string_equal(err.text, "broker.yaml:7: no such key");
    assert_int_equal(yzi_fail(NULL, YZ_EIO, "%s", "nobody listens"), YZ_EIO);
    /* An error may be wrapped into itself. */
    assert_int_equal(yzi_fail(&err, YZ_EIO, "again: %s", err.text), YZ_EIO);
    assert_string_equal(err.text, "again: broker.yaml:7: no such key");
}

static void test_fail__cuts_between_characters(void **state)
{
    (void)state;
    static const char *const characters[] = {"a", "\u00e9", "\u9a7f", "\U00020000"};
    for (size_t c = 0; c < 4; c++) {
        for (int lead = 0; lead < 4; lead++) {
            char text[1200];
            size_t n = 0, len = strlen(characters[c]);
            for (; n < (size_t)lead; n++) {
                text[n] = 'x';
            }
            for (; n + len < sizeof text; n += len) {
                memcpy(text + n, characters[c], len);
            }
            text[n] = '\0';
            yz_error err;
            assert_int_equal(yzi_fail(&err, YZ_EDATA, "%s", text), YZ_EDATA);
            size_t kept = strlen(err.text);
            assert_true(kept < sizeof err.text && kept + len >= sizeof err.text);
            assert_int_equal((kept - (size_t)lead) % len, 0);
            assert_memory_equal(err.text, text, kept);
        }
    }
}

static void test_fail__shows_what_is_not_utf8_as_question_marks(void **state)
{
    (void)state;
    yz_error err;
    yz_ignore(yzi_fail(&err, YZ_EIO, "cannot read %s", "a\xff\xe9\xa9\x62\xc0\xaf"), "given above");
    assert_string_equal(err.text, "cannot read a???b??");
}

static void test_prefix__keeps_code_and_text(void **state)
{
    (void)state;
    yz_error err = {.code = YZ_EIO, .text = "disk gone"};
    yzi_error_prefix(&err, "importing %s", "civil");
    assert_int_equal(err.code, YZ_EIO);
    assert_string_equal(err.text, "importing civil: disk gone");
    yzi_error_prefix(NULL, "no one");
    /* However often it is prefixed, it stays within its bounds and valid. */
    for (int i = 0; i < 200; i++) {
        yzi_error_prefix(&err, "\u9a7f\u7ad9%d", i);
        assert_true(strlen(err.text) < sizeof err.text);
        assert_true(yzi_utf8_is_valid(yzi_bytes_str(err.text)));
    }
    assert_memory_equal(err.text, "\u9a7f\u7ad9199: \u9a7f\u7ad9198: ", 22);
}

static void test_errno__maps_to_codes(void **state)
{
    (void)state;
    assert_int_equal(yzi_err_from_errno(ENOSPC), YZ_EDISKFULL);
    assert_int_equal(yzi_err_from_errno(EDQUOT), YZ_EDISKFULL);
    assert_int_equal(yzi_err_from_errno(ENOMEM), YZ_ENOMEM);
    assert_int_equal(yzi_err_from_errno(ENOENT), YZ_ENOTFOUND);
    assert_int_equal(yzi_err_from_errno(EEXIST), YZ_EEXIST);
    assert_int_equal(yzi_err_from_errno(EACCES), YZ_EPERM);
    assert_int_equal(yzi_err_from_errno(EAGAIN), YZ_EAGAIN);
    assert_int_equal(yzi_err_from_errno(0), YZ_EINTERNAL);
    for (int e = 0; e < 200; e++) {
        assert_true(yzi_err_from_errno(e) < 0);
        assert_string_not_equal(yz_err_name(yzi_err_from_errno(e)), "YZ_E?");
    }
}

static int try_it(int rc, int *reached)
{
    YZ_TRY(rc);
    YZ_ENSURE(*reached < 5, YZ_ELIMIT);
    ++*reached;
    return 0;
}

static void test_macros__return_early(void **state)
{
    (void)state;
    int reached = 0;
    assert_int_equal(try_it(YZ_EBUSY, &reached), YZ_EBUSY);
    assert_int_equal(reached, 0);
    assert_int_equal(try_it(0, &reached), 0);
    assert_int_equal(reached, 1);
    reached = 5;
    assert_int_equal(try_it(0, &reached), YZ_ELIMIT);
    char *p = malloc(1), *q = p;
    assert_ptr_equal(YZ_TAKE(p), q);
    assert_null(p);
    free(q);
}

static void break_promise(void *arg)
{
    YZ_ASSERT(*(int *)arg == 2);
}

static void test_assert__ends_the_process(void **state)
{
    (void)state;
    assert_true(yz_dies(break_promise, &(int){1}));
    assert_false(yz_dies(break_promise, &(int){2}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_code__has_its_frozen_number_name_and_class),
        cmocka_unit_test(test_words__tell_each_code_from_the_others),
        cmocka_unit_test(test_code__unknown_is_internal_and_positive_is_no_error),
        cmocka_unit_test(test_fail__fills_the_error_and_returns_the_code),
        cmocka_unit_test(test_fail__cuts_between_characters),
        cmocka_unit_test(test_fail__shows_what_is_not_utf8_as_question_marks),
        cmocka_unit_test(test_prefix__keeps_code_and_text),
        cmocka_unit_test(test_errno__maps_to_codes),
        cmocka_unit_test(test_macros__return_early),
        cmocka_unit_test(test_assert__ends_the_process),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
