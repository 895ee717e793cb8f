/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/texts.c: what others wrote is shown in a reader's language, and cannot steer the terminal.
 */
#include "cli/texts.h"
#include "tests/unit/cli/fixture.h"

static void shows(yz_bytes text, bool lines, const char *want)
{
    yz_buf out;
    yzi_buf_init(&out, 4096);
    assert_int_equal(yzi_text_printable(text, lines, &out), 0);
    if (!yzi_bytes_eq_str(yzi_bytes_buf(&out), want)) {
        fail_msg("\"%.*s\" is not \"%s\"", (int)out.n, (const char *)out.p, want);
    }
    yzi_buf_fini(&out);
}

static void test_printable__lets_words_through_and_nothing_that_steers(void **state)
{
    (void)state;
    shows(yzi_bytes_str("Land titles 房屋 Ñandú 🏠"), false, "Land titles 房屋 Ñandú 🏠");
    shows(yzi_bytes_str(""), false, "");
    shows(yzi_bytes_str("\x1b[2J\x1b]0;x\x07"), false, "\\u{1b}[2J\\u{1b}]0;x\\u{7}");
    shows(yzi_bytes_str("a\tb\rc\x7f"), false, "a\\u{9}b\\u{d}c\\u{7f}");
    shows(yzi_bytes_str("a\nb"), false, "a b");
    shows(yzi_bytes_str("a\nb"), true, "a\nb");
    shows(yzi_bytes_str("\xc2\x9b"
                        "31m"),
          true, "\\u{9b}31m"); /* CSI of C1 */
    shows(yzi_bytes_str("\xe2\x80\xae"
                        "txt"),
          true, "\\u{202e}txt");                                                  /* override */
    shows(yzi_bytes_str("\xe2\x81\xa6\xe2\x80\x8b"), true, "\\u{2066}\\u{200b}"); /* isolate */
    shows(yzi_bytes_str("\xef\xbb\xbf\xf3\xa0\x81\x81"), true, "\\u{feff}\\u{e0041}");
    shows(yzi_bytes("a\0b", 3), true, "a\\u{0}b");
    shows(yzi_bytes_str("\xff\xc3("), true, "\\x{ff}\\x{c3}(");
    shows(yzi_bytes_str("\xe6\x88"), true, "\\x{e6}\\x{88}");
    shows(yzi_bytes_str("\xed\xa0\x80"), true, "\\x{ed}\\x{a0}\\x{80}"); /* a surrogate */
}

static void test_printable__stops_where_there_is_no_room(void **state)
{
    (void)state;
    yz_buf out;
    yzi_buf_init(&out, 5);
    assert_int_equal(yzi_text_printable(yzi_bytes_str("\x1b\x1b"), false, &out), YZ_ELIMIT);
    yzi_buf_fini(&out);
}

#define LIT(s)                                                                                     \
    {                                                                                              \
        (const uint8_t *)(s), sizeof(s) - 1                                                        \
    }

static void chooses(const char *language, const char *want)
{
    static struct text_entry entries[] = {{LIT("de"), LIT("german")},
                                          {LIT("zh-Hant"), LIT("traditional")},
                                          {LIT("zh"), LIT("chinese")},
                                          {LIT("en"), LIT("english")},
                                          {LIT("pt-BR"), LIT("brazilian")}};
    static const struct text_list all = {entries, 5};
    yz_bytes got = yzi_texts_choose(&all, yzi_bytes_str(language));
    if (!yzi_bytes_eq_str(got, want)) {
        fail_msg("%s: %.*s", language, (int)got.n, (const char *)got.p);
    }
}

static void test_language__is_looked_up_then_english_then_the_first(void **state)
{
    (void)state;
    chooses("de", "german");
    chooses("de-AT", "german");
    chooses("DE", "german");
    chooses("zh-Hant-TW", "traditional");
    chooses("zh-CN", "chinese");
    chooses("pt", "brazilian");
    chooses("pt-PT", "brazilian");
    chooses("fr", "english");
    chooses("", "english");
    static struct text_entry entries[] = {{LIT("ja"), LIT("japanese")}, {LIT("ko"), LIT("korean")}};
    static const struct text_list two = {entries, 2}, none = {entries, 0};
    assert_true(yzi_bytes_eq_str(yzi_texts_choose(&two, yzi_bytes_str("fr")), "japanese"));
    assert_int_equal(yzi_texts_choose(&none, yzi_bytes_str("fr")).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_printable__lets_words_through_and_nothing_that_steers),
        cmocka_unit_test(test_printable__stops_where_there_is_no_room),
        cmocka_unit_test(test_language__is_looked_up_then_english_then_the_first),
    };
    return cmocka_run_group_tests_name("texts", tests, NULL, NULL);
}
