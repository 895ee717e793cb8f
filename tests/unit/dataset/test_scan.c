/* SPDX-License-Identifier: Apache-2.0
 *
 * The sources beside each other: the same records from CSV, JSON, lines and XML, every fault with
 * its place, and what hostile files may not do.
 */
#include "tests/unit/dataset/fixture.h"

#include <unistd.h>

#include "adapters/dataset/scan.h"

static const char yaml[] =
    "dataset: cases\n"
    "title: {en: Cases}\n"
    "owner: o\n"
    "sharing: conditional\n"
    "key: [id]\n"
    "fields:\n"
    "  - {name: id, type: text, classification: public, max_length: 20, xml: '@id'}\n"
    "  - {name: name, type: text, classification: public, json: who.name, xml: who/name}\n"
    "  - {name: sum, type: decimal, classification: public, xml: sum}\n"
    "  - {name: day, type: date, classification: public, json: 'days.0', xml: 'days/day[@n=1]'}\n"
    "  - {name: open, type: boolean, classification: public}\n"
    "  - {name: tags, type: text, classification: public, json: t\\.g, xml: tag, join: '; '}\n";

struct seen {
    yz_buf rows, faults;
};

static int on_row(void *ctx, const struct scan_place *at, const struct query_value *values,
                  char reason[SCAN_REASON_MAX])
{
    struct seen *s = ctx;
    (void)reason;
    assert_int_equal(yzi_buf_printf(&s->rows, "%d/%d:", (int)at->line, (int)at->record), 0);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(yzi_buf_printf(&s->rows, "%s%.*s", i ? "|" : "",
                                        values[i].null ? 1 : (int)values[i].v.n,
                                        values[i].null ? "~" : (const char *)values[i].v.p),
                         0);
    }
    return yzi_buf_put_str(&s->rows, "\n");
}

static void on_fault(void *ctx, const struct import_fault *f)
{
    char text[400];
    struct seen *s = ctx;
    yzi_import_fault_text(f, text, sizeof text);
    assert_int_equal(yzi_buf_printf(&s->faults, "%s\n", text), 0);
}

/* Scans a file given as text; what was seen is compared. */
static void expect_bytes(const char *definition, enum import_format format, yz_bytes file,
                         const char *rows, const char *faults)
{
    struct dataset *d = fixture_dataset(definition);
    struct seen s = {{0}, {0}};
    struct scan_totals totals;
    yz_error err = {0};
    yzi_buf_init(&s.rows, 1u << 20);
    yzi_buf_init(&s.faults, 1u << 20);
    struct import_source src = {.fd = fixture_file(file),
                                .name = "f",
                                .format = format,
                                .mode = IMPORT_UPSERT,
                                .fault = on_fault,
                                .ctx = &s};
    int rc = yzi_scan(d, &src, on_row, &s, &totals, &err);
    close(src.fd);
    assert_int_equal(yzi_buf_put_u8(&s.rows, 0), 0);
    assert_int_equal(yzi_buf_put_u8(&s.faults, 0), 0);
    assert_string_equal((const char *)s.faults.p, faults);
    assert_string_equal((const char *)s.rows.p, rows);
    assert_int_equal(rc, *faults ? YZ_EDATA : 0);
    yzi_buf_fini(&s.rows);
    yzi_buf_fini(&s.faults);
    yzi_dataset_unref(d);
}

static void expect(const char *definition, enum import_format format, const char *file,
                   const char *rows, const char *faults)
{
    expect_bytes(definition, format, yzi_bytes_str(file), rows, faults);
}

static const char json_yaml_tail[] = "json: {path: data.items}\n";
static const char xml_yaml_tail[] = "xml: {element: case}\n";

static char *with(const char *tail)
{
    static char text[4000];
    snprintf(text, sizeof text, "%s%s", yaml, tail);
    return text;
}

/* -- the same records from every format -- */

#define ROW_1 "1|王|12.5|2020-01-31|true|a; b\n"
#define ROW_2 "2|李|~|~|false|~\n"

static void test_scan__formats_give_the_same_records(void **unused)
{
    (void)unused;
    expect(yaml, FORMAT_CSV,
           "id,name,sum,day,open,tags\n1,王,12.50,2020-01-31,1,a; b\n2,李,,,false,\n",
           "2/0:" ROW_1 "3/0:" ROW_2, "");
    expect(with(json_yaml_tail), FORMAT_JSON,
           "\xef\xbb\xbf{\"n\": [1, {\"data\": 2}], \"data\":\n {\"x\": null, \"it\\u0065ms\": [\n"
           "{\"id\": \"1\", \"who\": {\"name\": \"\\u738b\"}, \"sum\": 1.250e1, \"more\": [[]],\n"
           "\"days\": [\"2020-01-31\"], \"open\": true, \"t.g\": [\"a\", \"b\"]},"
           "{\"id\":\"2\",\"who\":{\"name\":\"李\"},\"sum\":null,\"open\":false,\"t.g\":[]}],"
           "\"after\": 1}} ",
           "3/1:" ROW_1 "4/2:" ROW_2, "");
    expect(
        yaml, FORMAT_JSONL,
        "{\"t.g\": \"a; b\", \"id\": \"1\", \"who\": {\"name\": \"王\"}, \"sum\": 12.5, \"days\": "
        "[\"2020-01-31\"], \"open\": true}\r\n\r\n \n{\"id\": \"2\", \"who\": {\"name\": \"李\"}, "
        "\"open\": false}",
        "1/1:" ROW_1 "4/2:" ROW_2, "");
    expect(with(xml_yaml_tail), FORMAT_XML,
           "<?xml version='1.0'?>\n<all>\n<case id='1'><who><name>&#x738b;</name></who>"
           "<sum>12.50</sum>\n<days><day n='2'>2021-01-01</day><day n='1'>2020-01-31</day></days>"
           "<open>1</open><tag>a</tag><who2/><tag><![CDATA[b]]></tag></case>\n"
           "<case id='2'><who><name>李<!-- x --></name></who><sum/><open>false</open></case></all>",
           "3/1:" ROW_1 "5/2:" ROW_2, "");
}

/* -- JSON -- */

static void expect_json(const char *file, const char *rows, const char *faults)
{
    expect(yaml, FORMAT_JSON, file, rows, faults);
}

static void test_scan__json_numbers_are_exact(void **unused)
{
    (void)unused;
    expect_json("[{\"id\":\"1\",\"sum\":0.1000000000000000055}]",
                "1/1:1|~|0.1000000000000000055|~|~|~\n", "");
    expect_json("[{\"id\":12345678901234567890,\"sum\":-1.5E-3}]",
                "1/1:12345678901234567890|~|-0.0015|~|~|~\n", "");
    expect_json("[{\"id\":\"1\",\"sum\":120E+2},{\"id\":\"2\",\"sum\":0.05e1},"
                "{\"id\":\"3\",\"sum\":-0.0}]",
                "1/1:1|~|12000|~|~|~\n1/2:2|~|0.5|~|~|~\n1/3:3|~|0|~|~|~\n", "");
    expect_json("[{\"id\":\"1\",\"sum\":0e999},{\"id\":\"2\",\"sum\":0.00e5},"
                "{\"id\":\"3\",\"sum\":-0e-7}]",
                "1/1:1|~|0|~|~|~\n1/2:2|~|0|~|~|~\n1/3:3|~|0|~|~|~\n", "");
    expect_json("[{\"id\":\"1\",\"sum\":1e200}]", "",
                "f:1: record 1: sum: is not a decimal number (12 or 12.5)\n");
    expect_json("[{\"id\":\"1\",\"sum\":1e999}]", "",
                "f:1: record 1: has a number beyond all bounds (send it as a text)\n");
    expect_json("[{\"x\":[1,{\"y\":\"]\\\"}\"}],\"id\":\"1\",\"days\":[\"2020-01-01\",2],"
                "\"who\":{\"z\":{},\"name\":7}}]",
                "1/1:1|7|~|2020-01-01|~|~\n", "");
}

static void test_scan__json_records_are_refused_one_by_one(void **unused)
{
    (void)unused;
    expect_json(
        "[{\"id\":\"1\",\"id\":\"1\"},\n{\"id\":\"\xff\"},\n{\"id\":\"\\u0000\"},\n"
        "{\"id\":\"\\ud800\"},\n{\"id\":[\"1\"]},\n{\"id\":{}},\n7,\n{\"id\":\"\"},\n"
        "{\"id\":\"9\",\"t.g\":[[]]},\n{\"id\":\"ok\"}]",
        "10/10:ok|~|~|~|~|~\n",
        "f:1: record 1: has a member twice\n"
        "f:2: record 2: is not valid UTF-8 (JSON is in no other encoding: convert the file)\n"
        "f:3: record 3: contains a NUL character\n"
        "f:4: record 4: has half a character in a text (\\ud800 to \\udfff come in pairs)\n"
        "f:5: record 5: id: is an array, not a value (name one item in the path, or give "
        "the field `join:`)\n"
        "f:6: record 6: id: is an object, not a value (name one of its members in the "
        "path)\n"
        "f:7: record 7: is not an object\n"
        "f:8: record 8: id: is required and empty\n"
        "f:9: record 9: tags: has an item that is no value\n");
    expect(yaml, FORMAT_JSONL, "{\"id\":\n\"1\"}\n{\"id\":\"2\"} x\n{\"id\":\"3\"}\n",
           "4/4:3|~|~|~|~|~\n",
           "f:1: record 1: is not JSON\nf:2: record 2: is not JSON\nf:3: record 3: is not JSON\n");
    expect_json("[{\"id\":\"C:\\temp\\x\"},{\"id\":\"\\u12\"}]", "",
                "f:1: record 1: has an escape in a text that JSON does not know (a backslash is "
                "written twice)\nf:1: record 2: has an escape in a text that JSON does not know (a "
                "backslash is written twice)\n");
}

static void test_scan__json_files_that_are_none(void **unused)
{
    static const struct {
        const char *file, *fault;
    } cases[] = {
        {"", "f:1: the file is empty\n"},
        {" \n", "f:2:1: here no array of records begins (say where it stands: `json: {path: "
                "…}`; or is every line a record: `format: lines`)\n"},
        {"[{\"id\":\"1\"}", "f:1:12: the file ends here, in the middle of its records\n"},
        {"[{\"id\":\"1\"},]", "f:1:13: a comma stands before the end of the array\n"},
        {"[{\"id\":\"1\",}]", "f:1:12: a comma stands before the end of the object\n"},
        {"[{1:2}]", "f:1:3: a member has no name in quotes\n"},
        {"[{\"id\" \"1\"}]", "f:1:8: a colon is missing behind a member's name\n"},
        {"[{\"id\":\"1\n\"}]", "f:1:10: a control character stands in a text (write \\n and "
                               "the like)\n"},
        {"[{\"id\":01}]", "f:1:10: here stands no JSON value\n"},
        {"[{\"id\":NaN}]", "f:1:11: here stands no JSON value\n"},
        {"[{\"id\":\"", "f:1:9: the file ends within a text\n"},
        {"[{\"id\"", "f:1:7: the file ends here, in the middle of its records\n"},
        {"[{\"id\":", "f:1:8: the file ends here, in the middle of its records\n"},
        {"[{\"id\":tr", "f:1:10: the file ends here, in the middle of its records\n"},
        {"[{\"id\":1,", "f:1:10: the file ends here, in the middle of its records\n"},
        {"[] []", "f:1:4: something follows the end of the document\n"},
        {"[{\"id\":[1 2]}]", "f:1:11: neither , nor ] follows an item\n"},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dataset *d = fixture_dataset(yaml);
        yz_error err = {0};
        struct import_report r;
        struct import_source src = {.fd = fixture_file(yzi_bytes_str(cases[i].file)),
                                    .name = "f",
                                    .format = FORMAT_JSON,
                                    .mode = IMPORT_UPSERT};
        char text[600];
        assert_int_equal(yzi_dataset_check(d, &src, &r, &err), YZ_EDATA);
        snprintf(text, sizeof text, "%s\n", err.text);
        assert_string_equal(text, cases[i].fault);
        assert_int_equal(r.faults, 1);
        close(src.fd);
        yzi_dataset_unref(d);
    }
}

static void test_scan__json_path(void **unused)
{
    (void)unused;
    expect(with(json_yaml_tail), FORMAT_JSON, "{\"data\":{\"items\":[]},\"data\":{\"items\":[]}}",
           "", "f:1:29: the member on the way to the records stands twice\n");
    expect(with(json_yaml_tail), FORMAT_JSON, "{\"data\":{\"item\":[]}}", "",
           "f:1:19: the object ends without the member that `json: path:` names\n");
    expect(with(json_yaml_tail), FORMAT_JSON, "{\"data\":[]}", "",
           "f:1:9: here no object begins, as `json: path:` says\n");
    expect(with(json_yaml_tail), FORMAT_JSON, "{\"data\":{\"items\":{}}}", "",
           "f:1:18: here no array of records begins (say where it stands: `json: {path: "
           "…}`; or is every line a record: `format: lines`)\n");
    /* beside the way, nothing is looked at */
    expect(
        with(json_yaml_tail), FORMAT_JSON,
        "{\"x\":1,\"x\":{\"y\":1,\"y\":2},\"data\":{\"z\":[],\"z\":2,\"items\":[{\"id\":\"1\"}]},"
        "\"x\":\"\"}",
        "1/1:1|~|~|~|~|~\n", "");
    expect(with(json_yaml_tail), FORMAT_JSON,
           "{\"data\":{\"items\":[{\"id\":\"1\",\"n\":{\"a\":1,\"a\":2}}]}}", "",
           "f:1: record 1: has a member twice\n");
}

/* A step for each item, not a walk through all before it: hours, where it was one. */
static void test_scan__json_joins_long_arrays_in_one_walk(void **unused)
{
    (void)unused;
    yz_buf b;
    yzi_buf_init(&b, 2u << 20);
    assert_int_equal(yzi_buf_put_str(&b, "[{\"id\":\"1\",\"t.g\":[1"), 0);
    for (size_t i = 1; i < 500000; i++) {
        assert_int_equal(yzi_buf_put_str(&b, ",1"), 0);
    }
    assert_int_equal(yzi_buf_put_str(&b, "]},{\"id\":\"2\",\"t.g\":[ 1 , \"[,\" ,2.50,null]}]"), 0);
    expect_bytes(yaml, FORMAT_JSON, yzi_bytes_buf(&b), "1/2:2|~|~|~|~|1; [,; 2.50; \n",
                 "f:1: record 1: tags: is longer than the definition allows\n");
    yzi_buf_fini(&b);
}

static void test_scan__json_is_bounded(void **unused)
{
    (void)unused;
    yz_buf b;
    yzi_buf_init(&b, 8u << 20);
    assert_int_equal(yzi_buf_put_str(&b, "[{\"id\":\"1\",\"who\":{\"name\":\""), 0);
    for (size_t i = 0; i < 1100; i++) {
        char kilo[1025];
        memset(kilo, 'x', 1024);
        kilo[1024] = '\0';
        assert_int_equal(yzi_buf_put_str(&b, kilo), 0);
    }
    assert_int_equal(yzi_buf_put_str(&b, "\"}},{\"id\":\"2\"}]"), 0);
    expect_bytes(yaml, FORMAT_JSON, yzi_bytes_buf(&b), "1/2:2|~|~|~|~|~\n",
                 "f:1: record 1: has more than 1 MiB\n");
    yzi_buf_clear(&b);
    for (size_t i = 0; i < 100000; i++) {
        assert_int_equal(yzi_buf_put_u8(&b, '['), 0);
    }
    expect_bytes(yaml, FORMAT_JSON, yzi_bytes_buf(&b), "",
                 "f:1:67: nested more than 64 levels deep\n");
    yzi_buf_fini(&b);
}

/* -- XML -- */

static void expect_xml(const char *tail, const char *file, const char *rows, const char *faults)
{
    expect(with(tail), FORMAT_XML, file, rows, faults);
}

static void test_scan__xml_values(void **unused)
{
    (void)unused;
    expect_xml(xml_yaml_tail, "<c><case id='1'><who><name>a<i>b</i>c</name></who></case></c>",
               "1/1:1|abc|~|~|~|~\n", "");
    expect_xml(xml_yaml_tail,
               "<c><case id='1'><sum>1</sum><sum>2</sum></case><case id=''/>\n<case><id>3</id>"
               "</case></c>",
               "",
               "f:1: record 1: sum: stands more than once (make the path narrower, or give the "
               "field `join:`)\n"
               "f:1: record 2: id: is required and empty\nf:2: record 3: id: is required and "
               "empty\n");
    /* a record within a record is part of it */
    expect_xml(xml_yaml_tail, "<case id='1'><case id='2'/></case>", "1/1:1|~|~|~|~|~\n", "");
}

static void test_scan__xml_where_records_are(void **unused)
{
    static const char file[] = "<a><case id='1'/><b><case id='2'/></b></a>";
    (void)unused;
    expect_xml("xml: {element: case}\n", file, "1/1:1|~|~|~|~|~\n1/2:2|~|~|~|~|~\n", "");
    expect_xml("xml: {element: b/case}\n", file, "1/1:2|~|~|~|~|~\n", "");
    expect_xml("xml: {element: /a/case}\n", file, "1/1:1|~|~|~|~|~\n", "");
    expect_xml("xml: {element: /case}\n", file, "",
               "f:1:43: the file ends and has no element that `xml: element:` names (with "
               "its prefix, if it "
               "has one)\n");
    expect_xml("", file, "",
               "f:1: the definition does not say which element is a record (write `xml: {element: "
               "…}`)\n");
}

static void test_scan__xml_not_well_formed(void **unused)
{
    (void)unused;
    expect_xml(xml_yaml_tail, "<c>\n<case id='1'/>\n<case id='2'>\n</c>", "2/1:1|~|~|~|~|~\n",
               "f:4:3: is not well-formed XML (mismatched tag)\n");
    expect_xml(xml_yaml_tail, "<c><case id='A & B'/></c>", "",
               "f:1:17: is not well-formed XML (a & or < that is not written &amp; or "
               "&lt;, or bytes that are not of the encoding which the file declares or `xml: "
               "encoding:` says)\n");
    expect_xml(xml_yaml_tail, "<c><case id='1'/>", "1/1:1|~|~|~|~|~\n",
               "f:1:18: is not well-formed XML (the file ends before its outermost element "
               "does)\n");
    expect_xml(xml_yaml_tail, "<c><case id='1", "",
               "f:1:4: is not well-formed XML (the file ends within a tag)\n");
    expect_xml(xml_yaml_tail, "<c>&nbsp;<case id='1'/></c>", "",
               "f:1:4: an entity is used that the file does not define\n");
    expect_xml(xml_yaml_tail, "<?xml version='1.0' encoding='GBK'?><c><case id='1'/></c>", "",
               "f:1:31: declares an encoding that is not known here (of GB 18030, GBK and GB "
               "2312 write `xml: {encoding: gb18030}`; convert any other to UTF-8)\n");
    expect_xml(xml_yaml_tail, "", "", "f:1: the file is empty\n");
    expect_xml(xml_yaml_tail, "id,name\n", "", "f:1:1: is not well-formed XML (syntax error)\n");
}

/* An editor goes to the column of a line's characters, however many bytes they take. */
static void test_scan__columns_are_characters(void **unused)
{
    (void)unused;
    expect(with(json_yaml_tail), FORMAT_JSON, "{\"数据\": 1 2}", "",
           "f:1:10: neither , nor } follows a member\n");
    expect_xml(xml_yaml_tail, "<c>数据&nbsp;<case id='1'/></c>", "",
               "f:1:6: an entity is used that the file does not define\n");
}

#define DTD(inside) "<!DOCTYPE c [" inside "]>\n<c><case id='&e;'/></c>"

static void test_scan__xml_doctype_only_where_allowed(void **unused)
{
    (void)unused;
    expect_xml(xml_yaml_tail, DTD("<!ENTITY e 'x'>"), "",
               "f:1:13: a DOCTYPE stands here; if this feed is known to bring one, write "
               "`xml: {doctype: true}`\n");
    expect_xml("xml: {element: case, doctype: true}\n", DTD("<!ENTITY e 'x'>"), "2/1:x|~|~|~|~|~\n",
               "");
    expect_xml("xml: {element: case, doctype: true}\n",
               "<!DOCTYPE c [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>\n"
               "<c><case id='1'><sum>&e;</sum></case></c>",
               "", "f:2:22: an entity stands outside the file, and is never read\n");
    expect_xml("xml: {element: case, doctype: true}\n",
               "<!DOCTYPE c SYSTEM 'http://127.0.0.1:1/x.dtd'>\n"
               "<c><case id='1'><sum>&e;</sum></case></c>",
               "", "f:2:25: an entity is used that the file does not define\n");
}

static void test_scan__xml_entities_are_bounded(void **unused)
{
    (void)unused;
    yz_buf b;
    yzi_buf_init(&b, 1u << 20);
    assert_int_equal(yzi_buf_put_str(&b, "<!DOCTYPE c [<!ENTITY e0 'xxxxxxxxxxxxxxxx'>"), 0);
    for (int i = 1; i < 12; i++) {
        assert_int_equal(yzi_buf_printf(&b, "<!ENTITY e%d '", i), 0);
        for (int k = 0; k < 10; k++) {
            assert_int_equal(yzi_buf_printf(&b, "&e%d;", i - 1), 0);
        }
        assert_int_equal(yzi_buf_put_str(&b, "'>"), 0);
    }
    assert_int_equal(yzi_buf_put_str(&b, "]>\n<c><case id='1'/>&e11;</c>"), 0);
    expect_bytes(with("xml: {element: case, doctype: true}\n"), FORMAT_XML, yzi_bytes_buf(&b),
                 "2/1:1|~|~|~|~|~\n", "f:2:18: its entities expand to too much\n");
    yzi_buf_fini(&b);
}

/* -- encodings -- */

static const char gb_yaml[] = "dataset: cases\n"
                              "title: {en: Cases}\n"
                              "owner: o\n"
                              "sharing: conditional\n"
                              "key: [id]\n"
                              "fields:\n"
                              "  - {name: id, type: text, classification: public, max_length: 20}\n"
                              "  - {name: name, type: text, classification: public, csv: 姓名}\n"
                              "  - {name: a, type: text, classification: public}\n"
                              "  - {name: b, type: text, classification: public}\n"
                              "  - {name: c, type: text, classification: public}\n"
                              "  - {name: d, type: text, classification: public}\n"
                              "csv: {encoding: gb18030}\n"
                              "xml: {element: r, encoding: gb18030}\n";

static void test_scan__gb18030(void **unused)
{
    (void)unused;
    /* 姓名; 王建国, 㐂 (four bytes); then a byte that begins no character */
    expect(gb_yaml, FORMAT_CSV,
           "id,\xd0\xd5\xc3\xfb,a,b,c,d\n1,\xcd\xf5\xbd\xa8\xb9\xfa,\x81\x39\xef\x31,,,\n"
           "2,\xff,,,,\n3,\xcd,,,,\n",
           "2/0:1|王建国|㐂|~|~|~\n",
           "f:3: name: has bytes that are not GB 18030\nf:4: name: has bytes that are not GB "
           "18030\n");
    expect(
        gb_yaml, FORMAT_XML,
        "<?xml version='1.0' encoding='GB18030'?>\n<x><r><id>1</id><name>\xcd\xf5</name></r></x>",
        "2/1:1|王|~|~|~|~\n", "");
}

/* What UTF-8 becomes when it is read as GB 18030 is often no fault, only other characters. */
static void test_scan__gb18030_is_not_utf8(void **unused)
{
    static const char marked[] =
        "f:1: is in UTF-8 (its byte order mark says so), and the definition says GB 18030 (remove "
        "`encoding:`, or convert the file)\n";
    (void)unused;
    expect(gb_yaml, FORMAT_CSV, "\xef\xbb\xbfid,姓名,a,b,c,d\n1,王建国,,,,\n", "", marked);
    expect(gb_yaml, FORMAT_XML, "\xef\xbb\xbf<x><r><id>1</id><name>王建</name></r></x>", "",
           marked);
    expect(
        gb_yaml, FORMAT_CSV, "号码,姓名\n1,王\n", "",
        "f:1: the header has none of the definition's columns ('id', '姓名', 'a', 'b', 'c', 'd'); "
        "if the file has no header row, write `csv: {header: false}`, and if it is in another "
        "encoding than GB 18030, convert it\n");
    /* its own mark is none of that */
    expect(gb_yaml, FORMAT_CSV, "\x84\x31\x95\x33id,\xd0\xd5\xc3\xfb,a,b,c,d\n1,\xcd\xf5,,,,\n",
           "2/0:1|王|~|~|~|~\n", "");
}

/* A long file, so that characters are cut by the pieces in which it is read. */
static void test_scan__gb18030_across_pieces(void **unused)
{
    (void)unused;
    yz_buf file, rows;
    yzi_buf_init(&file, 4u << 20);
    yzi_buf_init(&rows, 8u << 20);
    assert_int_equal(yzi_buf_put_str(&file, "id,\xd0\xd5\xc3\xfb,a,b,c,d\n"), 0);
    for (int i = 0; i < 30000; i++) {
        assert_int_equal(
            yzi_buf_printf(&file, "%d,\xcd\xf5\xbd\xa8\xb9\xfa,\x81\x39\xef\x31,,,\n", i), 0);
        assert_int_equal(yzi_buf_printf(&rows, "%d/0:%d|王建国|㐂|~|~|~\n", i + 2, i), 0);
    }
    struct dataset *d = fixture_dataset(gb_yaml);
    struct seen s = {{0}, {0}};
    struct scan_totals totals;
    yzi_buf_init(&s.rows, 8u << 20);
    struct import_source src = {
        .fd = fixture_file(yzi_bytes_buf(&file)), .name = "f", .mode = IMPORT_UPSERT};
    assert_int_equal(yzi_scan(d, &src, on_row, &s, &totals, NULL), 0);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&s.rows), yzi_bytes_buf(&rows)));
    close(src.fd);
    yzi_dataset_unref(d);
    yzi_buf_fini(&s.rows);
    yzi_buf_fini(&file);
    yzi_buf_fini(&rows);
}

/* -- cancelling -- */

static void test_scan__cancelled(void **unused)
{
    (void)unused;
    struct dataset *d = fixture_dataset(yaml);
    struct seen s = {{0}, {0}};
    struct scan_totals totals;
    yz_error err = {0};
    const _Atomic bool cancel = true;
    struct import_source src = {.fd = fixture_file(yzi_bytes_str("id\n")),
                                .name = "f",
                                .mode = IMPORT_UPSERT,
                                .cancel = &cancel};
    assert_int_equal(yzi_scan(d, &src, on_row, &s, &totals, &err), YZ_ECANCELLED);
    assert_string_equal(err.text, "f: the import was cancelled, nothing was changed");
    close(src.fd);
    yzi_dataset_unref(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan__formats_give_the_same_records),
        cmocka_unit_test(test_scan__json_numbers_are_exact),
        cmocka_unit_test(test_scan__json_records_are_refused_one_by_one),
        cmocka_unit_test(test_scan__json_files_that_are_none),
        cmocka_unit_test(test_scan__json_path),
        cmocka_unit_test(test_scan__json_joins_long_arrays_in_one_walk),
        cmocka_unit_test(test_scan__json_is_bounded),
        cmocka_unit_test(test_scan__xml_values),
        cmocka_unit_test(test_scan__xml_where_records_are),
        cmocka_unit_test(test_scan__xml_not_well_formed),
        cmocka_unit_test(test_scan__columns_are_characters),
        cmocka_unit_test(test_scan__xml_doctype_only_where_allowed),
        cmocka_unit_test(test_scan__xml_entities_are_bounded),
        cmocka_unit_test(test_scan__gb18030),
        cmocka_unit_test(test_scan__gb18030_is_not_utf8),
        cmocka_unit_test(test_scan__gb18030_across_pieces),
        cmocka_unit_test(test_scan__cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
