/* SPDX-License-Identifier: Apache-2.0
 *
 * proto/record_purposes.c: the codes an instance knows, in one order and no other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/records.h"

static void test_purposes__say_what_was_written(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    struct purpose_list got;
    assert_int_equal(yzi_purpose_list_write(&sample_purposes, &body), 0);
    assert_int_equal(yzi_purpose_list_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_view(got.instance, "CN");
    assert_int_equal(got.issued_at, SAMPLE_TIME + 6);
    assert_int_equal(got.purposes_n, 2);
    assert_view(got.purposes[0].code, "house-loan");
    assert_int_equal(got.purposes[0].legal_basis.n, 0);
    assert_view(got.purposes[1].code, "house-transfer");
    assert_int_equal(got.purposes[1].titles.n, 2);
    assert_view(got.purposes[1].titles.items[1].language, "zh");
    assert_view(got.purposes[1].titles.items[1].text, "房屋产权登记");
    assert_view(got.purposes[1].legal_basis, "Real Estate Registration Regulations, article 14");
}

SPOIL(no_instance, PurposeList, w->instance = bin(""))
SPOIL(two_segments, PurposeList, w->instance = bin("CN/GOV"))
SPOIL(issued_0, PurposeList, w->issued_at = 0)
SPOIL(none, PurposeList, w->n_purposes = 0)
SPOIL(code_twice, PurposeList, w->purposes[1]->code = w->purposes[0]->code)
SPOIL(out_of_order, PurposeList, w->purposes[0]->code = bin("zoning"))
SPOIL(code_empty, PurposeList, w->purposes[0]->code = bin(""))
SPOIL(code_space, PurposeList, w->purposes[0]->code = bin("a b"))
SPOIL(code_long, PurposeList, w->purposes[1]->code = bin_n('x', YZ_PURPOSE_MAX + 1))
SPOIL(code_longest, PurposeList, w->purposes[1]->code = bin_n('x', YZ_PURPOSE_MAX))
SPOIL(no_title, PurposeList, w->purposes[0]->n_titles = 0)
SPOIL(title_escape, PurposeList, w->purposes[0]->titles[0]->text = bin("\x1b[2J"))
SPOIL(language_twice, PurposeList,
      w->purposes[1]->titles[1]->language = w->purposes[1]->titles[0]->language)
SPOIL(basis_empty, PurposeList, w->purposes[1]->legal_basis = bin(""))
SPOIL(basis_long, PurposeList, w->purposes[1]->legal_basis = bin_n('l', YZ_TEXT_MAX + 1))
SPOIL(many, PurposeList, yz_record_repeat(&w->purposes, &w->n_purposes, YZ_PURPOSE_LIST_MAX + 1))

static void test_purposes__refuse_what_breaks_their_rules(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"no instance", no_instance, YZ_EMALFORMED},
        {"an instance of two segments", two_segments, YZ_EMALFORMED},
        {"issued at 0", issued_0, YZ_EMALFORMED},
        {"no purposes", none, 0},
        {"a code twice", code_twice, YZ_EMALFORMED},
        {"codes out of order", out_of_order, YZ_EMALFORMED},
        {"an empty code", code_empty, YZ_EMALFORMED},
        {"a code with a space", code_space, YZ_EMALFORMED},
        {"a code too long", code_long, YZ_ETOOBIG},
        {"the longest code", code_longest, 0},
        {"no title", no_title, YZ_EMALFORMED},
        {"a title that commands a terminal", title_escape, YZ_EMALFORMED},
        {"a language twice", language_twice, YZ_EMALFORMED},
        {"an empty legal basis", basis_empty, YZ_EMALFORMED},
        {"a legal basis too long", basis_long, YZ_ETOOBIG},
        {"too many", many, YZ_ELIMIT},
    };
    yz_record_refuses(RECORD_PURPOSES, faults, COUNT(faults));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_purposes__say_what_was_written),
        cmocka_unit_test(test_purposes__refuse_what_breaks_their_rules),
    };
    return cmocka_run_group_tests_name("record_purposes", tests, NULL, NULL);
}
