/* SPDX-License-Identifier: Apache-2.0
 *
 * Widths of text on a terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>

#include "cli/columns.h"

static size_t of(const char *text)
{
    return yzi_columns_of(yzi_bytes_str(text));
}

static void test_columns__count_what_a_terminal_shows(void **state)
{
    (void)state;
    assert_int_equal(of(""), 0);
    assert_int_equal(of("civil"), 5);
    assert_int_equal(of("民政部"), 6);
    assert_int_equal(of("e\xcc\x81"), 1); /* a combining accent has no width */
    assert_int_equal(of("A1 驿站"), 7);
    assert_int_equal(of("\xff"), 1); /* not UTF-8: no more than a guess, and no harm */
}

static void test_columns__leave_the_locale_alone(void **state)
{
    (void)state;
    const char *before = setlocale(LC_CTYPE, NULL);
    assert_int_equal(of("民政部"), 6);
    assert_string_equal(setlocale(LC_CTYPE, NULL), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns__count_what_a_terminal_shows),
        cmocka_unit_test(test_columns__leave_the_locale_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
