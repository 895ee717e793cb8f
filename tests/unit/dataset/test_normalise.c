/* SPDX-License-Identifier: Apache-2.0
 *
 * Normalisation: what the definition says is done to a value, and nothing else.
 */
#include "tests/unit/dataset/fixture.h"

#include "adapters/dataset/normalise.h"

static struct dataset *define(const char *field)
{
    char yaml[1000];
    snprintf(yaml, sizeof yaml,
             "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [k]\nfields:\n"
             "  - {name: k, type: text, classification: public}\n"
             "  - {name: f, classification: public, %s}\n",
             field);
    return fixture_dataset(yaml);
}

static void expect(const char *field, const char *raw, const char *wanted)
{
    struct dataset *d = define(field);
    yz_buf scratch;
    yz_bytes out;
    yzi_buf_init(&scratch, 1000);
    assert_int_equal(yzi_normalise(&d->fields[1], yzi_bytes_str(raw), &scratch, &out), 0);
    char text[200];
    snprintf(text, sizeof text, "%.*s", (int)out.n, (const char *)out.p);
    assert_string_equal(text, wanted);
    yzi_buf_fini(&scratch);
    yzi_dataset_unref(d);
}

static void test_normalise__does_nothing_unasked(void **unused)
{
    (void)unused;
    expect("type: text", " Ａ１　x ", " Ａ１　x ");
}

static void test_normalise__text(void **unused)
{
    (void)unused;
    expect("type: text, normalise: [trim]",
           "\t 　\xc2\xa0"
           "a　b \r\n",
           "a　b");
    expect("type: text, normalise: [trim]", " 　 ", "");
    expect("type: text, normalise: [squeeze]", "a 　\t b", "a b");
    expect("type: text, normalise: [trim, squeeze]", "  a  b  ", "a b");
    expect("type: text, normalise: [narrow]", "Ｘ１２３－ａ！～　中", "X123-a!~ 中");
    expect("type: text, normalise: [narrow, upper]", "ａｂc中é", "ABC中é");
    expect("type: text, normalise: [lower]", "ÀBC", "Àbc");
    expect("type: text, normalise: [narrow, trim]", "　１　", "1");
    expect("type: text, normalise: [narrow, squeeze, trim]", "\xff\xe3\x80", "\xff\xe3\x80");
}

static void test_normalise__no_value(void **unused)
{
    (void)unused;
    expect("type: text, empty: [无, '-'], normalise: [trim]", " 无 ", "");
    expect("type: text, empty: [无, '-']", "-", "");
    expect("type: text, empty: [无, '-']", "--", "--");
}

static void test_normalise__dates(void **unused)
{
    (void)unused;
#define FORMATS "type: date, formats: [YYYY/M/D, YYYYMMDD, YYYY年M月D日, DD.MM.YYYY]"
    expect(FORMATS, "2020/1/5", "2020-01-05");
    expect(FORMATS, "2020/12/31", "2020-12-31");
    expect(FORMATS, "20201231", "2020-12-31");
    expect(FORMATS, "2020年3月7日", "2020-03-07");
    expect(FORMATS, "07.03.2020", "2020-03-07");
    expect(FORMATS, "2020-03-07", "2020-03-07");
    expect(FORMATS, "2020/13/99", "2020-13-99"); /* for the calendar to refuse */
    expect(FORMATS, "2020/1/5 ", "2020/1/5 ");
    expect(FORMATS, "202012", "202012");
    expect("type: date, formats: [YYYY/M/D], normalise: [narrow]", "２０２０／１／５",
           "2020-01-05");
    expect("type: time, formats: ['YYYY-MM-DD hh:mm:ss', 'D/M/YYYY h:mm'], zone: '+08:00'",
           "2020-01-05 08:30:00", "2020-01-05T08:30:00+08:00");
    expect("type: time, formats: ['YYYY-MM-DD hh:mm:ss', 'D/M/YYYY h:mm'], zone: Z",
           "5/1/2020 8:30", "2020-01-05T08:30:00Z");
}

static void test_normalise__formats_that_are_none(void **unused)
{
    static const char *const bad[] = {"",          "YYYY-MM",       "MM-DD",   "YYYY-MM-DD-DD",
                                      "YYYYM-DDD", "YYYY-MM-DD hh", "YYYYMDD", "20YY-MM-DD"};
    (void)unused;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_non_null(yzi_normal_format_fault(bad[i], FIELD_DATE));
    }
    assert_non_null(yzi_normal_format_fault("YYYY-MM-DD", FIELD_TIME));
    assert_null(yzi_normal_format_fault("YYYY-MM-DD hh:mm", FIELD_TIME));
}

/* What normalising would change, and nothing else, is refused of a value that travels. */
static void test_normalise__what_travels_is_as_it_leaves_it(void **unused)
{
    (void)unused;
    static const char *const pieces[] = {"a",  "Z",  "1",  " ",  "\t", "　", "\xc2\xa0",
                                         "Ａ", "ｚ", "９", "－", "中", "-",  "é"};
    static const char *const words[] = {"trim", "squeeze", "narrow", "upper", "lower"};
    uint64_t seed = 7;
    unsigned changed = 0;
    for (unsigned which = 0; which < 32; which++) {
        char field[200] = "type: text, empty: ['-', 中], normalise: [";
        if (which & 8 && which & 16) {
            continue; /* a field is made upper or lower, not both */
        }
        for (size_t i = 0; i < 5; i++) {
            size_t n = strlen(field);
            snprintf(field + n, sizeof field - n, "%s", which >> i & 1 ? words[i] : "");
            n = strlen(field);
            snprintf(field + n, sizeof field - n, "%s", which >> i & 1 ? "," : "");
        }
        snprintf(field + strlen(field), sizeof field - strlen(field), "]");
        struct dataset *d = define(field);
        for (unsigned trial = 0; trial < 3000; trial++) {
            char text[64] = "";
            yz_buf scratch;
            yz_bytes out;
            yzi_buf_init(&scratch, 1000);
            for (unsigned k = 0; k < trial % 6; k++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                snprintf(text + strlen(text), sizeof text - strlen(text), "%s",
                         pieces[(seed >> 33) % (sizeof pieces / sizeof pieces[0])]);
            }
            yz_bytes v = yzi_bytes_str(text);
            assert_int_equal(yzi_normalise(&d->fields[1], v, &scratch, &out), 0);
            bool same = yzi_bytes_eq(out, v);
            if (same != !yzi_normal_fault(&d->fields[1], v, false)) {
                fail_msg("'%s', %s", text, field);
            }
            changed += !same;
            yzi_buf_fini(&scratch);
        }
        yzi_dataset_unref(d);
    }
    assert_true(changed > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normalise__does_nothing_unasked),
        cmocka_unit_test(test_normalise__text),
        cmocka_unit_test(test_normalise__no_value),
        cmocka_unit_test(test_normalise__dates),
        cmocka_unit_test(test_normalise__formats_that_are_none),
        cmocka_unit_test(test_normalise__what_travels_is_as_it_leaves_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
