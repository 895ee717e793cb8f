/* SPDX-License-Identifier: Apache-2.0
 *
 * The mapping part of a definition: each fault at its place, with what to write.
 */
#include "tests/unit/dataset/fixture.h"

static void expect_fault(const char *field, const char *tail, const char *fault)
{
    char yaml[2000];
    struct dataset *d = NULL;
    yz_error err = {0};
    snprintf(yaml, sizeof yaml,
             "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [k]\nfields:\n"
             "  - {name: k, type: text, classification: public}\n"
             "  - {name: f, classification: public, %s}\n%s",
             field, tail);
    assert_int_equal(yzi_dataset_parse(yzi_bytes_str(yaml), "t.yaml", &d, &err), YZ_ECONFIG);
    assert_string_equal(err.text, fault);
}

static void test_mapping__json_paths(void **unused)
{
    (void)unused;
    expect_fault("type: text, json: a..b", "",
                 "t.yaml:8:57: the path 'a..b' has a step without a name");
    expect_fault("type: text, json: a.", "",
                 "t.yaml:8:57: the path 'a.' has a step without a name");
    expect_fault(
        "type: text, json: 'a\\x'", "",
        "t.yaml:8:57: the path 'a\\x' has a backslash that stands before neither a dot nor "
        "another");
    expect_fault(
        "type: text, json: a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", "",
        "t.yaml:8:57: the path 'a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q' has more than 16 steps");
    expect_fault("type: text", "json: {format: lines, path: a}\n",
                 "t.yaml:9:29: with `format: lines` every line is a record and there is no path to "
                 "them; remove one of the two");
}

static void test_mapping__xml_paths(void **unused)
{
    static const struct {
        const char *path, *fault;
    } cases[] = {
        {"/a", "has a step that is no name of an element or @attribute"},
        {"a//b", "has a step that is no name of an element or @attribute"},
        {"a/@b/c", "goes on where it should end"},
        {"a[b]", "has a test that is not like [@attribute=value]"},
        {"a[@b]", "has a test that is not like [@attribute=value]"},
        {"a[@b=c", "has a test that is not like [@attribute=value]"},
        {"@a[@b=c]", "tests an attribute; a test belongs to an element"},
        {"a[@b=c]d", "goes on where it should end"},
        {"a b", "has a step that is no name of an element or @attribute"},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char field[100], fault[200];
        snprintf(field, sizeof field, "type: text, xml: '%s'", cases[i].path);
        snprintf(fault, sizeof fault, "t.yaml:8:56: the path '%s' %s", cases[i].path,
                 cases[i].fault);
        expect_fault(field, "", fault);
    }
    expect_fault("type: text", "xml: {element: a/@b}\n",
                 "t.yaml:9:16: the path 'a/@b' names attributes; a record is an element");
    expect_fault("type: text", "xml: {element: .}\n", "t.yaml:9:16: the path '.' names no element");
}

static void test_mapping__normalisation(void **unused)
{
    (void)unused;
    expect_fault("type: text, normalise: [trim, fold]", "",
                 "t.yaml:8:62: 'fold' is no normalisation; there are trim, squeeze, narrow, upper "
                 "and lower");
    expect_fault("type: text, normalise: [upper, lower]", "",
                 "t.yaml:8:62: a field is made upper or lower, not both");
    expect_fault("type: code, codes: [a, B], normalise: [lower]", "",
                 "t.yaml:8:58: 'B' under `codes:` of 'f' can never be met, because `normalise:` "
                 "comes first: it has capital letters (write small ones)");
    expect_fault("type: integer, empty: [无, ' ', nil], normalise: [upper, trim]", "",
                 "t.yaml:8:87: 'nil' under `empty:` of 'f' can never be met, because `normalise:` "
                 "comes first: it has small letters (write capital ones)");
    expect_fault("type: text, formats: [YYYY]", "",
                 "t.yaml:8:60: formats are for dates and times; remove them from 'f', which is of "
                 "type text");
    expect_fault("type: date, formats: [YYYYMM]", "",
                 "t.yaml:8:60: the format 'YYYYMM' needs YYYY, a month (MM or M) and a day (DD or "
                 "D)");
    expect_fault("type: time, formats: ['YYYYMMDD hh:mm']", "",
                 "t.yaml:8:60: a time read by formats has no zone of its own; add `zone:`, such as "
                 "'+08:00'");
    expect_fault(
        "type: time, formats: ['YYYYMMDD hh:mm'], zone: '+25:00'", "",
        "t.yaml:8:86: a zone is 'Z' or like '+08:00', and goes with the formats of a time");
    expect_fault(
        "type: time, formats: ['YYYYMMDD hh:mm'], zone: Asia/Shanghai", "",
        "t.yaml:8:86: a zone is 'Z' or like '+08:00', and goes with the formats of a time");
    expect_fault(
        "type: date, zone: Z", "",
        "t.yaml:8:57: a zone is 'Z' or like '+08:00', and goes with the formats of a time");
}

static void test_mapping__defaults(void **unused)
{
    (void)unused;
    struct dataset *d =
        fixture_dataset("dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [k]\n"
                        "fields:\n  - {name: k, type: text, classification: public}\n");
    assert_int_equal(d->fields[0].json_path.n, 1);
    assert_true(yzi_bytes_eq_str(d->fields[0].json_path.steps[0].name, "k"));
    assert_int_equal(d->fields[0].xml_path.n, 1);
    assert_false(d->json.lines || d->xml.doctype);
    assert_int_equal(d->csv.encoding, ENCODING_UTF8);
    assert_int_equal(d->xml.element.n, 0);
    yzi_dataset_unref(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapping__json_paths),
        cmocka_unit_test(test_mapping__xml_paths),
        cmocka_unit_test(test_mapping__normalisation),
        cmocka_unit_test(test_mapping__defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
