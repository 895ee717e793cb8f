/* SPDX-License-Identifier: Apache-2.0
 *
 * The line layer over libcsv. Every input is fed whole, byte by byte and in pieces of seven, and
 * must give the same each time: where a piece ends means nothing.
 */
#include "tests/unit/dataset/fixture.h"

#include "adapters/dataset/csv.h"

/* What a parse gave, as text: "line:[field][field]\n" per row, then "line! reason\n" or "". */
struct result {
    char text[8192];
    size_t n;
    int stop_at; /* refuse this row (from 1); 0: none */
    int rows;
};

static int put_row(void *ctx, const struct csv_row *row)
{
    struct result *r = ctx;
    r->n += (size_t)snprintf(r->text + r->n, sizeof r->text - r->n, "%d:", (int)row->line);
    for (size_t i = 0; i < row->n; i++) {
        r->n += (size_t)snprintf(r->text + r->n, sizeof r->text - r->n, "[%.*s]",
                                 (int)row->fields[i].n, (const char *)row->fields[i].p);
        assert_true(r->n < sizeof r->text);
    }
    r->n += (size_t)snprintf(r->text + r->n, sizeof r->text - r->n, "\n");
    return ++r->rows == r->stop_at ? YZ_EBUSY : 0;
}

static int parse(char delimiter, yz_bytes text, size_t piece, struct result *out)
{
    struct csv_reader *csv;
    uint64_t line = 0;
    const char *reason = NULL;
    int rc = 0;
    assert_int_equal(yzi_csv_new(delimiter, &csv), 0);
    while (rc == 0 && text.n > piece) {
        rc = yzi_csv_feed(csv, yzi_bytes(text.p, piece), false, put_row, out, &line, &reason);
        text = yzi_bytes(text.p + piece, text.n - piece);
    }
    if (rc == 0) {
        rc = yzi_csv_feed(csv, text, true, put_row, out, &line, &reason);
    }
    if (reason) {
        assert_int_equal(rc, YZ_EDATA);
        snprintf(out->text + out->n, sizeof out->text - out->n, "%d! %.19s", (int)line, reason);
    }
    assert_int_equal(yzi_csv_feed(csv, text, true, put_row, out, &line, &reason), YZ_EINVAL);
    yzi_csv_free(csv);
    return rc;
}

static void expect_bytes(yz_bytes text, const char *want)
{
    static const size_t pieces[] = {100000, 1, 7};
    for (size_t i = 0; i < 3; i++) {
        struct result r = {0};
        int rc = parse(',', text, pieces[i], &r);
        assert_string_equal(r.text, want);
        assert_int_equal(rc, strchr(want, '!') ? YZ_EDATA : 0);
    }
}

static void expect(const char *text, const char *want)
{
    expect_bytes(yzi_bytes_str(text), want);
}

static void test_csv__rows_and_their_lines(void **unused)
{
    (void)unused;
    expect("", "");
    expect("a", "1:[a]\n");
    expect("a,b\n", "1:[a][b]\n");
    expect("a,b\nc,d", "1:[a][b]\n2:[c][d]\n");
    expect("a,b\r\nc,d\r\n", "1:[a][b]\n2:[c][d]\n");
    expect("a\rb\rc\r", "1:[a]\n2:[b]\n3:[c]\n");
    expect("a\rb\nc\r\nd\n\re\n", "1:[a]\n2:[b]\n3:[c]\n4:[d]\n6:[e]\n");
    expect("\"a\rb\nc\"\rd\n", "1:[a\rb\nc]\n4:[d]\n");
    expect("a\n\r\n\n\rb\n", "1:[a]\n5:[b]\n");
    expect("\n\n\na\n", "4:[a]\n");
    expect(",\n,,", "1:[][]\n2:[][][]\n");
    expect("\"\"\n", "1:[]\n");
    expect("a,\"\",b\n", "1:[a][][b]\n");
}

static void test_csv__quotes_hold_delimiters_quotes_and_line_ends(void **unused)
{
    (void)unused;
    expect("\"a,b\",\"c\"\"d\"\n", "1:[a,b][c\"d]\n");
    expect("\"a\nb\",1\nc,2\n", "1:[a\nb][1]\n3:[c][2]\n");
    expect("\"a\r\nb\r\n\",1\r\nc,2\r\n", "1:[a\r\nb\r\n][1]\n4:[c][2]\n");
    expect("\"a\rb\",1\rc,2\r", "1:[a\rb][1]\n3:[c][2]\n");
    expect("1,\"\n\n\n\"\n\nx,\"\n\"\ny,\n", "1:[1][\n\n\n]\n6:[x][\n]\n8:[y][]\n");
    expect("\"last\"", "1:[last]\n");
}

static void test_csv__spaces_belong_to_the_field(void **unused)
{
    (void)unused;
    expect(" a , b\t\n", "1:[ a ][ b\t]\n");
    expect("  \n", "1:[  ]\n");
    expect("a, \"b\"\n", "1! a quote stands insi");
    expect("\"a\" ,b\n", "1! text follows a clos");
}

static void test_csv__bom_is_dropped_only_at_the_start(void **unused)
{
    (void)unused;
    expect("\xef\xbb\xbf"
           "a,b\n",
           "1:[a][b]\n");
    expect("\xef\xbb\xbf\"a\",b\n", "1:[a][b]\n");
    expect("\xef\xbb\xbf", "");
    expect("\xef\xbb", "1:[\xef\xbb]\n");
    expect("\xef\xbb"
           "a\n",
           "1:[\xef\xbb"
           "a]\n");
    expect("a\n\xef\xbb\xbf"
           "b\n",
           "1:[a]\n2:[\xef\xbb\xbf"
           "b]\n");
}

static void test_csv__bad_quoting_is_told_with_its_line(void **unused)
{
    (void)unused;
    expect("a,b\nc\"d,e\n", "1:[a][b]\n2! a quote stands insi");
    expect("a\n\"b\nc\"d\"\n", "1:[a]\n3! text follows a clos");
    expect("a,b\nc,\"d\ne\n", "1:[a][b]\n2! a field begins with");
    expect("\"a\nb\",\"c", "2! a field begins with");
    expect("\"", "1! a field begins with");
}

static void test_csv__nul_is_refused(void **unused)
{
    (void)unused;
    static const char text[] = "a,b\n\"c\nd\0\",e\n";
    expect_bytes(yzi_bytes(text, sizeof text - 1), "1:[a][b]\n3! contains a NUL byte");
    expect_bytes(yzi_bytes("\0", 1), "1! contains a NUL byte");
    /* of two faults in a line the first is told, however the line is cut */
    expect_bytes(yzi_bytes("a\"\0", 3), "1! a quote stands insi");
    expect_bytes(yzi_bytes("a\0\"", 3), "1! contains a NUL byte");
}

static void test_csv__other_delimiters(void **unused)
{
    (void)unused;
    static const char delimiters[] = {';', '|', '\t'};
    for (size_t i = 0; i < 3; i++) {
        char text[] = "a,b;\"c;d\";e\n";
        for (char *p = text; *p; p++) {
            *p = *p == ';' ? delimiters[i] : *p;
        }
        char want[] = "1:[a,b][c;d][e]\n";
        want[9] = delimiters[i];
        struct result r = {0};
        assert_int_equal(parse(delimiters[i], yzi_bytes_str(text), 3, &r), 0);
        assert_string_equal(r.text, want);
    }
}

static void test_csv__a_row_can_stop_the_parse(void **unused)
{
    (void)unused;
    struct result r = {.stop_at = 2};
    assert_int_equal(parse(',', yzi_bytes_str("a\nb\nc\n"), 100, &r), YZ_EBUSY);
    assert_string_equal(r.text, "1:[a]\n2:[b]\n");
    struct result last = {.stop_at = 2};
    assert_int_equal(parse(',', yzi_bytes_str("a\nb"), 100, &last), YZ_EBUSY);
}

struct sizes {
    size_t fields, bytes;
};

static int take_sizes(void *ctx, const struct csv_row *row)
{
    struct sizes *s = ctx;
    s->fields = row->n;
    s->bytes = row->fields[0].n;
    return 0;
}

/* Feed `n` times the byte c, then the tail. */
static int feed_many(uint8_t c, size_t n, const char *tail, struct sizes *out, uint64_t *line,
                     const char **reason)
{
    struct csv_reader *csv;
    uint8_t *text = malloc(n + strlen(tail));
    assert_non_null(text);
    memset(text, c, n);
    memcpy(text + n, tail, strlen(tail));
    assert_int_equal(yzi_csv_new(',', &csv), 0);
    int rc =
        yzi_csv_feed(csv, yzi_bytes(text, n + strlen(tail)), true, take_sizes, out, line, reason);
    yzi_csv_free(csv);
    free(text);
    return rc;
}

static void test_csv__rows_and_columns_are_bounded(void **unused)
{
    (void)unused;
    struct sizes s = {0};
    uint64_t line = 0;
    const char *reason = NULL;
    assert_int_equal(feed_many('x', CSV_ROW_MAX - 1, "\n", &s, &line, &reason), 0);
    assert_int_equal(s.bytes, CSV_ROW_MAX - 1);
    assert_int_equal(feed_many('x', CSV_ROW_MAX, "\n", &s, &line, &reason), YZ_EDATA);
    assert_int_equal(line, 1);
    assert_non_null(strstr(reason, "more than 1 MiB"));
    assert_int_equal(feed_many(',', CSV_COLUMNS_MAX - 1, "\n", &s, &line, &reason), 0);
    assert_int_equal(s.fields, CSV_COLUMNS_MAX);
    assert_int_equal(feed_many(',', CSV_COLUMNS_MAX, "\n", &s, &line, &reason), YZ_EDATA);
    assert_string_equal(reason, "has more than 1024 columns");
}

/* A forgotten closing quote is found where it was opened, not at the end of a large file. */
static void test_csv__forgotten_quote_does_not_swallow_the_file(void **unused)
{
    (void)unused;
    struct csv_reader *csv;
    struct sizes s = {0};
    uint64_t line = 0;
    const char *reason = NULL;
    assert_int_equal(yzi_csv_new(',', &csv), 0);
    int rc =
        yzi_csv_feed(csv, yzi_bytes_str("a,b\nc,\"d\n"), false, take_sizes, &s, &line, &reason);
    size_t fed = 0;
    for (; rc == 0 && fed < 2 * CSV_ROW_MAX; fed += 8) {
        rc = yzi_csv_feed(csv, yzi_bytes_str("eeee,ff\n"), false, take_sizes, &s, &line, &reason);
    }
    assert_int_equal(rc, YZ_EDATA);
    assert_true(fed <= CSV_ROW_MAX);
    assert_int_equal(line, 2);
    yzi_csv_free(csv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv__rows_and_their_lines),
        cmocka_unit_test(test_csv__quotes_hold_delimiters_quotes_and_line_ends),
        cmocka_unit_test(test_csv__spaces_belong_to_the_field),
        cmocka_unit_test(test_csv__bom_is_dropped_only_at_the_start),
        cmocka_unit_test(test_csv__bad_quoting_is_told_with_its_line),
        cmocka_unit_test(test_csv__nul_is_refused),
        cmocka_unit_test(test_csv__other_delimiters),
        cmocka_unit_test(test_csv__a_row_can_stop_the_parse),
        cmocka_unit_test(test_csv__rows_and_columns_are_bounded),
        cmocka_unit_test(test_csv__forgotten_quote_does_not_swallow_the_file),
    };
    return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}
