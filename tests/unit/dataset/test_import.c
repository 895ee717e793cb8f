/* SPDX-License-Identifier: Apache-2.0
 *
 * Import: all or nothing, nothing written when nothing changed, every fault with its line, and
 * sensitive values nowhere in the files.
 */
#include "tests/unit/dataset/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/support/alloc_fail.h"

static const char people_yaml[] =
    "dataset: people\n"
    "title: {en: People}\n"
    "owner: Civil affairs\n"
    "sharing: conditional\n"
    "key: [id]\n"
    "fields:\n"
    "  - {name: id, type: text, classification: internal, max_length: 18}\n"
    "  - {name: name, type: text, classification: internal, required: true, max_length: 30}\n"
    "  - {name: born, type: date, classification: internal}\n"
    "  - {name: children, type: integer, classification: internal, csv: kids}\n"
    "csv: {ignore: [remark]}\n";

static const char secret_yaml[] =
    "dataset: clearances\n"
    "title: {en: Clearances}\n"
    "owner: Tax\n"
    "sharing: conditional\n"
    "key: [person]\n"
    "fields:\n"
    "  - {name: person, type: text, classification: sensitive, max_length: 18}\n"
    "  - {name: name, type: text, classification: secret}\n"
    "  - {name: cleared, type: boolean, classification: sensitive, required: true}\n"
    "  - {name: year, type: integer, classification: public, required: true}\n";

#define HEADER "id,name,born,kids\n"

struct state {
    struct fixture_dir dir;
    struct dataset *d;
    struct store *s;
    yz_secret key;
};

static void open_state(struct state *st, const char *yaml)
{
    *st = (struct state){0};
    fixture_dir_make(&st->dir);
    st->d = fixture_dataset(yaml);
    if (st->d->has_sensitive) {
        fixture_key(&st->key, 7);
    }
    st->s = fixture_open(st->dir.path, st->d, st->d->has_sensitive ? &st->key : NULL);
}

static void close_state(struct state *st)
{
    yzi_store_close(st->s);
    yzi_dataset_unref(st->d);
    yzi_secret_fini(&st->key);
    fixture_dir_remove(&st->dir);
}

static void reopen(struct state *st)
{
    yzi_store_close(st->s);
    st->s = fixture_open(st->dir.path, st->d, st->d->has_sensitive ? &st->key : NULL);
}

static void expect(struct store *s, const char *key, const char *row)
{
    char got[2000];
    assert_int_equal(fixture_get(s, got, sizeof got, key, NULL), 0);
    assert_string_equal(got, row);
}

static void import_ok(struct store *s, const char *csv, struct import_report *out)
{
    yz_error err = {0};
    if (fixture_import(s, csv, out, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void test_import__inserts_updates_and_leaves_alone(void **unused)
{
    (void)unused;
    struct state st;
    struct import_report r;
    open_state(&st, people_yaml);
    import_ok(st.s, HEADER "1,张三,1980-02-29,2\n2,李四,,\n", &r);
    assert_int_equal(r.rows, 2);
    assert_int_equal(r.inserted, 2);
    assert_int_equal(r.sequence, 2);
    import_ok(st.s, HEADER "2,李四,,1\n1,张三,1980-02-29,2\n3,王五,,\n", &r);
    assert_int_equal(r.inserted, 1);
    assert_int_equal(r.updated, 1);
    assert_int_equal(r.unchanged, 1);
    assert_int_equal(r.sequence, 4);
    expect(st.s, "1", "1|张三|1980-02-29|2\n");
    expect(st.s, "2", "2|李四|~|1\n");
    expect(st.s, "3", "3|王五|~|~\n");
    reopen(&st);
    uint64_t count, sequence;
    assert_int_equal(yzi_store_count(st.s, &count), 0);
    assert_int_equal(yzi_store_sequence(st.s, &sequence), 0);
    assert_int_equal(count, 3);
    assert_int_equal(sequence, 4);
    expect(st.s, "2", "2|李四|~|1\n");
    close_state(&st);
}

static void test_import__same_file_again_leaves_the_files_byte_for_byte(void **unused)
{
    (void)unused;
    static const char *const definitions[] = {people_yaml, secret_yaml};
    static const char *const files[] = {HEADER "1,a,,\n2,b,,\n3,c,2001-01-01,7\n",
                                        "person,name,cleared,year\n1,a,1,2020\n2,,0,2021\n"};
    for (size_t i = 0; i < 2; i++) {
        struct state st;
        struct import_report first, again;
        open_state(&st, definitions[i]);
        import_ok(st.s, files[i], &first);
        yz_digest before = fixture_dir_digest(st.dir.path);
        import_ok(st.s, files[i], &again);
        assert_int_equal(again.unchanged, first.inserted);
        assert_int_equal(again.inserted + again.updated, 0);
        assert_int_equal(again.sequence, first.sequence);
        yz_digest after = fixture_dir_digest(st.dir.path);
        assert_true(yzi_digest_eq(&before, &after));
        close_state(&st);
    }
}

/* A fault after many good rows: none of them is there afterwards, the file is as it was. */
static void test_import__fault_after_many_rows_changes_nothing(void **unused)
{
    (void)unused;
    struct state st;
    struct import_report r;
    yz_error err;
    yz_buf csv;
    open_state(&st, people_yaml);
    import_ok(st.s, HEADER "1,first,,\n", &r);
    yz_digest before = fixture_dir_digest(st.dir.path);
    yzi_buf_init(&csv, 1u << 24);
    assert_int_equal(yzi_buf_put_str(&csv, HEADER), 0);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(yzi_buf_printf(&csv, "%d,name %d,2000-01-01,%d\n", i, i, i), 0);
    }
    assert_int_equal(yzi_buf_put_str(&csv, "x,y,2001-02-29,1\n"), 0);
    assert_int_equal(fixture_import_bytes(st.s, yzi_bytes_buf(&csv), &r, &err), YZ_EDATA);
    assert_string_equal(err.text, "t.csv:20002: born: is a date the calendar does not have");
    assert_int_equal(r.inserted + r.updated + r.unchanged, 0);
    assert_int_equal(r.faults, 1);
    assert_int_equal(r.sequence, 1);
    yz_digest after = fixture_dir_digest(st.dir.path);
    assert_true(yzi_digest_eq(&before, &after));
    reopen(&st);
    expect(st.s, "1", "1|first|~|~\n");
    expect(st.s, "17", "");
    yzi_buf_fini(&csv);
    close_state(&st);
}

struct fault_case {
    const char *csv, *text;
};
static const struct fault_case fault_cases[] = {
    {"", "t.csv:1: the file is empty"},
    {"\n\n", "t.csv:1: the header row is missing"},
    {"\xef\xbb\xbf", "t.csv:1: the header row is missing"},
    {"id,name,born\n", "t.csv:1: the column 'kids' is missing"},
    {"id,name,born,kids,id\n", "t.csv:1: the column 'id' stands twice in the header"},
    {"id,name,,kids\n", "t.csv:1: the column '3' has no name (give it one, or remove it)"},
    {"id,name,born,children,,,\n",
     "t.csv:1: the columns '5', '6', '7' have no name (give them one, or remove them)"},
    {"1,Li Si,2001-01-01,0\n",
     "t.csv:1: the header has none of the definition's columns ('id', 'name', 'born', 'kids'); if "
     "the file has no header row, write `csv: {header: false}`"},
    {"id,name\n", "t.csv:1: the columns 'born', 'kids' are missing"},
    {"id,name,born,kids,\xe6\x9d\n",
     "t.csv:1: a column name is not valid UTF-8 (if the file is in GBK or GB 18030, write "
     "`csv: {encoding: gb18030}`)"},
    {"id,name,born,kids,se\x1bx\n",
     "t.csv:1: the column 'se?x' belongs to no field (give a field `csv:` with this name, or list "
     "it under `csv: ignore:`)"},
    {"id,name,born,children\n",
     "t.csv:1: the column 'children' belongs to no field (give a field `csv:` with this name, or "
     "list it under `csv: ignore:`)"},
    {HEADER "1,a,,\n2,b,\n", "t.csv:3: has 3 columns, not 4"},
    {HEADER "1\n", "t.csv:2: has 1 column, not 4"},
    {HEADER "1,a,,,\n", "t.csv:2: has 5 columns, not 4"},
    {HEADER "1,,,\n", "t.csv:2: name: is required and empty"},
    {HEADER "1,\"\",,\n", "t.csv:2: name: is required and empty"},
    {HEADER ",a,,\n", "t.csv:2: id: is required and empty"},
    {HEADER "1,a,2001-13-01,\n", "t.csv:2: born: is a date the calendar does not have"},
    {HEADER "1,a,,1.5\n", "t.csv:2: children: is not an integer"},
    {HEADER "1,a, 2001-01-01,\n",
     "t.csv:2: born: is not a date (YYYY-MM-DD); `normalise: [trim]` would make it one"},
    {HEADER "1,a,2001/1/5,\n",
     "t.csv:2: born: is not a date (YYYY-MM-DD); `formats: [YYYY/M/D]` would read it"},
    {HEADER "1,a,20010105,\n",
     "t.csv:2: born: is not a date (YYYY-MM-DD); `formats: [YYYYMMDD]` would read it"},
    {HEADER "1,a,5/1/2001,\n", "t.csv:2: born: is not a date (YYYY-MM-DD)"},
    {HEADER "1,a,,　１２\n",
     "t.csv:2: children: is not an integer; `normalise: [narrow, trim]` would make it one"},
    {HEADER "1,a,,\"1,000\"\n",
     "t.csv:2: children: is not an integer; a number has a point, and nothing between thousands"},
    {HEADER "1,a,,\n,,,\n,,,\n", "t.csv:3: has nothing in any column (remove the row)"},
    {"PK\x03\x04\x14", "t.csv:1: is a spreadsheet or an archive, not text (save it as CSV in "
                       "UTF-8)"},
    {"\xff\xfei", "t.csv:1: is in UTF-16 (save it as UTF-8)"},
    {HEADER "1,\xff,,\n",
     "t.csv:2: name: is not valid UTF-8 (if the file is in GBK or GB 18030, write `csv: {encoding: "
     "gb18030}`)"},
    {HEADER "1,a,2001\xc4\xea,\n",
     "t.csv:2: born: is not valid UTF-8 (if the file is in GBK or GB 18030, write `csv: {encoding: "
     "gb18030}`)"},
    {"id;name;born;kids\n1;a;;\n", "t.csv:1: the header is a single column; if ';' separates the "
                                   "columns, write `csv: {delimiter: "
                                   "\";\"}`"},
    {"id\tname\tborn\tkids\n1\ta\t\t\n",
     "t.csv:1: the header is a single column; if a tab separates the columns, write `csv: "
     "{delimiter: \"tab\"}`"},
    {HEADER "1,0123456789012345678901234567890,,\n",
     "t.csv:2: name: is longer than the definition allows"},
    {HEADER "1,a,,\n\"2,b,,\n3,c,,\n", "t.csv:3: a field begins with a quote that is never closed"},
    {HEADER "1,\"a\nb\",,\n2,b\"c,,\n",
     "t.csv:4: a quote stands inside a field that does not begin with one (put the field in quotes "
     "and write the quote twice)"},
    {HEADER "1,\"a\"b,,\n",
     "t.csv:2: text follows a closing quote (a quote inside a field is written twice)"},
    {HEADER "1,a,,\r\n\r\n2,b,,\r\n\"1\",c,,\r\n", "t.csv:5: has the key of line 2 again"},
    {HEADER "1,\"x\n\ny\",,\n2,b,,\n2,b,,\n", "t.csv:6: has the key of line 5 again"},
};

static void test_import__tells_line_field_and_reason(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof fault_cases / sizeof fault_cases[0]; i++) {
        const struct fault_case *c = &fault_cases[i];
        struct state st;
        struct import_report r;
        yz_error err;
        open_state(&st, people_yaml);
        assert_int_equal(fixture_import(st.s, c->csv, &r, &err), YZ_EDATA);
        assert_string_equal(err.text, c->text);
        assert_int_equal(err.code, YZ_EDATA);
        uint64_t sequence;
        assert_int_equal(yzi_store_sequence(st.s, &sequence), 0);
        assert_int_equal(sequence, 0);
        close_state(&st);
    }
}

static void test_import__many_columns_are_one_fault(void **unused)
{
    (void)unused;
    struct state st;
    struct import_report r;
    yz_error err;
    yz_buf csv;
    yzi_buf_init(&csv, 1u << 16);
    assert_int_equal(yzi_buf_put_str(&csv, "id,name,born,kids"), 0);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(yzi_buf_printf(&csv, ",a_column_of_theirs_%d", i), 0);
    }
    assert_int_equal(yzi_buf_printf(&csv, "\n%c", 0), 0);
    open_state(&st, people_yaml);
    assert_int_equal(fixture_import(st.s, (const char *)csv.p, &r, &err), YZ_EDATA);
    assert_string_equal(
        err.text,
        "t.csv:1: the columns 'a_column_of_theirs_0', 'a_column_of_theirs_1', "
        "'a_column_of_theirs_2', 'a_column_of_theirs_3', 'a_column_of_theirs_4', "
        "'a_column_of_theirs_5', 'a_column_of_theirs_6' and 293 more belong to no field (give "
        "fields `csv:` with these names, or list them under `csv: ignore:`)");
    assert_int_equal(r.faults, 1);
    yzi_buf_fini(&csv);
    close_state(&st);
}

static void test_import__refuses_nul(void **unused)
{
    (void)unused;
    static const char csv[] = HEADER "1,a,,\n2,b\0c,,\n";
    struct state st;
    struct import_report r;
    yz_error err;
    open_state(&st, people_yaml);
    assert_int_equal(fixture_import_bytes(st.s, yzi_bytes(csv, sizeof csv - 1), &r, &err),
                     YZ_EDATA);
    assert_string_equal(err.text, "t.csv:3: contains a NUL byte (save the file as UTF-8 text)");
    close_state(&st);
}

static void test_import__accepts_bom_crlf_ignored_column_and_open_last_line(void **unused)
{
    (void)unused;
    struct state st;
    struct import_report r;
    open_state(&st, people_yaml);
    import_ok(st.s,
              "\xef\xbb\xbfremark,name,id,born,kids\r\nx,\"a \"\"b\"\"\r\nc\",1,,+5\r\n,d,2,,-0",
              &r);
    assert_int_equal(r.inserted, 2);
    expect(st.s, "1", "1|a \"b\"\r\nc|~|5\n");
    expect(st.s, "2", "2|d|~|0\n");
    import_ok(st.s, HEADER, &r); /* a header alone is no fault */
    assert_int_equal(r.rows, 0);
    assert_int_equal(r.sequence, 2);
    close_state(&st);
}

/* Duplicates among rows inserted, updated and left alone by this import. */
static void test_import__duplicate_of_any_kind_names_the_first_line(void **unused)
{
    (void)unused;
    static const char *const files[] = {
        HEADER "9,new,,\n1,a,,\n9,new,,\n", HEADER "9,new,,\n1,changed,,\n1,changed,,\n",
        HEADER "9,new,,\n1,a,,\n1,b,,\n", HEADER "9,new,,\n1,a,,\n1,a,,\n"};
    static const char *const texts[] = {
        "t.csv:4: has the key of line 2 again", "t.csv:4: has the key of line 3 again",
        "t.csv:4: has the key of line 3 again", "t.csv:4: has the key of line 3 again"};
    for (size_t i = 0; i < 4; i++) {
        struct state st;
        struct import_report r;
        yz_error err;
        open_state(&st, people_yaml);
        import_ok(st.s, HEADER "1,a,,\n", &r);
        assert_int_equal(fixture_import(st.s, files[i], &r, &err), YZ_EDATA);
        assert_string_equal(err.text, texts[i]);
        expect(st.s, "1", "1|a|~|~\n");
        expect(st.s, "9", "");
        close_state(&st);
    }
}

struct seen {
    unsigned faults, progress;
    char text[2000];
};

static void on_fault(void *ctx, const struct import_fault *f)
{
    struct seen *seen = ctx;
    size_t n = strlen(seen->text);
    seen->faults++;
    snprintf(seen->text + n, sizeof seen->text - n, "%s %llu %s %s\n", f->file,
             (unsigned long long)f->line, f->field ? f->field : "-", f->reason);
}

static void on_progress(void *ctx, const struct work_progress *at)
{
    struct seen *seen = ctx;
    assert_int_equal(at->phase, PHASE_READ);
    assert_true(at->rows > 0 && at->done > 0 && at->done <= at->total);
    seen->progress++;
}

static void test_import__tells_every_fault_up_to_the_limit(void **unused)
{
    (void)unused;
    static const char csv[] = HEADER "1,,x,y\n1,a,,\n2,b,,\n1,b,,\nshort\n4,d,,9z\n";
    struct state st;
    struct import_report r;
    yz_error err;
    open_state(&st, people_yaml);
    struct seen seen = {0};
    struct import_source src = {.fd = fixture_file(yzi_bytes_str(csv)),
                                .name = "f",
                                .mode = IMPORT_UPSERT,
                                .fault = on_fault,
                                .ctx = &seen};
    assert_int_equal(yzi_store_import(st.s, &src, &r, &err), YZ_EDATA);
    assert_string_equal(seen.text, "f 2 name is required and empty\n"
                                   "f 2 born is not a date (YYYY-MM-DD)\n"
                                   "f 2 children is not an integer\n"
                                   "f 5 - has the key of line 3 again\n"
                                   "f 6 - has 1 column, not 4\n"
                                   "f 7 children is not an integer\n");
    assert_int_equal(r.faults, 6);
    assert_int_equal(r.rows, 6);
    seen = (struct seen){0};
    src.max_faults = 2;
    assert_int_equal(yzi_store_import(st.s, &src, &r, &err), YZ_EDATA);
    assert_int_equal(seen.faults, 2);
    assert_int_equal(r.faults, 2);
    seen = (struct seen){0};
    src.max_faults = 0;
    assert_int_equal(yzi_dataset_check(st.d, &src, &r, &err), YZ_EDATA);
    assert_int_equal(seen.faults, 5); /* all but the duplicate */
    close(src.fd);
    close_state(&st);
}

static void test_import__dry_run_checks_and_changes_nothing(void **unused)
{
    (void)unused;
    struct state st;
    struct import_report r;
    yz_error err;
    open_state(&st, people_yaml);
    struct import_source src = {.fd = fixture_file(yzi_bytes_str(HEADER "1,a,,\n2,b,,\n")),
                                .name = "f",
                                .mode = IMPORT_UPSERT,
                                .dry_run = true};
    yz_digest before = fixture_dir_digest(st.dir.path);
    assert_int_equal(yzi_store_import(st.s, &src, &r, &err), 0);
    assert_int_equal(r.inserted, 2);
    assert_int_equal(r.sequence, 0);
    yz_digest after = fixture_dir_digest(st.dir.path);
    assert_true(yzi_digest_eq(&before, &after));
    close(src.fd);
    src.fd = fixture_file(yzi_bytes_str(HEADER "1,a,,\n1,b,,\n"));
    assert_int_equal(yzi_store_import(st.s, &src, &r, &err), YZ_EDATA);
    assert_string_equal(err.text, "f:3: has the key of line 2 again");
    close(src.fd);
    close_state(&st);
}

static void test_import__refuses_what_is_not_a_regular_file(void **unused)
{
    (void)unused;
    struct state st;
    struct import_report r;
    yz_error err;
    int ends[2];
    open_state(&st, people_yaml);
    assert_int_equal(pipe(ends), 0);
    struct import_source src = {.fd = ends[0], .name = "pipe", .mode = IMPORT_UPSERT};
    assert_int_equal(yzi_store_import(st.s, &src, &r, &err), YZ_EINVAL);
    assert_string_equal(err.text, "pipe: is not a regular file");
    close(ends[0]);
    close(ends[1]);
    src.fd = -1;
    assert_int_equal(yzi_store_import(st.s, &src, &r, &err), YZ_EINVAL);
    src.mode = 0;
    assert_int_equal(yzi_store_import(st.s, &src, &r, &err), YZ_EINVAL);
    close_state(&st);
}

static void test_import__positions_stand_for_columns_without_a_header(void **unused)
{
    (void)unused;
    struct state st;
    struct import_report r;
    yz_error err;
    open_state(&st, "dataset: p\n"
                    "title: {en: P}\n"
                    "owner: o\n"
                    "sharing: unconditional\n"
                    "key: [id]\n"
                    "fields:\n"
                    "  - {name: id, type: text, classification: public, csv: 3}\n"
                    "  - {name: n, type: integer, classification: public, csv: 1}\n"
                    "csv: {header: false, delimiter: tab, ignore: [2]}\n");
    import_ok(st.s, "5\tignored\ta\n6\t\tb\n", &r);
    expect(st.s, "a", "a|5\n");
    expect(st.s, "b", "b|6\n");
    assert_int_equal(fixture_import(st.s, "5\ta\n", &r, &err), YZ_EDATA);
    assert_string_equal(err.text, "t.csv:1: has 2 columns, not 3");
    assert_int_equal(fixture_import(st.s, "", &r, &err), YZ_EDATA);
    close_state(&st);
}

static void test_import__no_sensitive_value_is_in_the_files(void **unused)
{
    (void)unused;
    static const char *const secrets[] = {"110101199003078515", "欧阳娜娜", "Ouyang Secretname"};
    struct state st;
    struct import_report r;
    yz_error err;
    open_state(&st, secret_yaml);
    import_ok(st.s,
              "person,name,cleared,year\n110101199003078515,欧阳娜娜,true,2024\n"
              "110101198001011234,Ouyang Secretname,0,2023\n",
              &r);
    import_ok(st.s, "person,name,cleared,year\n110101199003078515,欧阳娜娜,false,2025\n", &r);
    assert_int_equal(r.updated, 1);
    assert_int_equal(fixture_import(st.s,
                                    "person,name,cleared,year\n"
                                    "110101199003078516,Ouyang Secretname,x,2023\n",
                                    &r, &err),
                     YZ_EDATA);
    assert_string_equal(
        err.text, "t.csv:2: cleared: is not a boolean (true, false, 1 or 0); other words are of "
                  "type code");
    expect(st.s, "110101199003078515", "110101199003078515|欧阳娜娜|false|2025\n");
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        assert_false(fixture_dir_contains(st.dir.path, yzi_bytes_str(secrets[i])));
    }
    /* the search itself finds what is stored in the clear */
    assert_true(fixture_dir_contains(st.dir.path, yzi_bytes_str("2025")));
    assert_true(fixture_dir_contains(st.dir.path, yzi_bytes_str("clearances")));
    close_state(&st);
}

static void test_import__real_register_of_divisions(void **unused)
{
    (void)unused;
    struct fixture_dir dir;
    struct dataset *d;
    struct import_report r;
    yz_error err = {0};
    fixture_dir_make(&dir);
    if (yzi_dataset_load(YZ_TEST_DATA "/china-division/areas.yaml", &d, &err) < 0) {
        fail_msg("%s", err.text);
    }
    struct store *s = fixture_open(dir.path, d, NULL);
    struct seen seen = {0};
    struct import_source src = {.fd = open(YZ_TEST_DATA "/china-division/areas.csv", O_RDONLY),
                                .name = "areas.csv",
                                .mode = IMPORT_UPSERT,
                                .progress = on_progress,
                                .ctx = &seen};
    assert_int_equal(yzi_store_import(s, &src, &r, &err), 0);
    assert_int_equal(r.inserted, 2978);
    assert_int_equal(yzi_store_import(s, &src, &r, &err), 0);
    assert_int_equal(r.unchanged, 2978);
    expect(s, "110101", "110101|东城区|1101|11\n");
    expect(s, "659012", "659012|白杨市|6590|65\n");
    char got[200];
    assert_int_equal(fixture_get(s, got, sizeof got, "110102", "000000", "110101", NULL), 0);
    assert_string_equal(got, "110102|西城区|1101|11\n110101|东城区|1101|11\n");
    close(src.fd);
    yzi_store_close(s);
    yzi_dataset_unref(d);
    fixture_dir_remove(&dir);
}

static void kill_self(void *ctx, const struct work_progress *at)
{
    (void)ctx;
    (void)at;
    kill(getpid(), SIGKILL);
}

static _Noreturn void import_and_die(const char *dir, const struct dataset *d, int fd)
{
    struct import_source src = {
        .fd = fd, .name = "f", .mode = IMPORT_UPSERT, .progress = kill_self};
    struct store_options o = {.dir = dir, .dataset = d};
    struct import_report r;
    struct store *s;
    if (yzi_store_open(&o, &s, NULL) == 0) {
        yz_ignore(yzi_store_import(s, &src, &r, NULL), "it does not get there");
    }
    _exit(0);
}

static void test_import__killed_in_the_middle_leaves_what_was(void **unused)
{
    (void)unused;
    struct state st;
    struct import_report r;
    yz_buf csv;
    int status;
    open_state(&st, people_yaml);
    import_ok(st.s, HEADER "1,first,,\n2,second,,\n", &r);
    yzi_store_close(st.s);
    yz_digest before = fixture_dir_digest(st.dir.path);
    yzi_buf_init(&csv, 1u << 24);
    assert_int_equal(yzi_buf_put_str(&csv, HEADER), 0);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(yzi_buf_printf(&csv, "%d,changed,,\n", i), 0);
    }
    int fd = fixture_file(yzi_bytes_buf(&csv));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        import_and_die(st.dir.path, st.d, fd);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(fd);
    yzi_buf_fini(&csv);
    yz_digest after = fixture_dir_digest(st.dir.path);
    assert_true(yzi_digest_eq(&before, &after));
    st.s = fixture_open(st.dir.path, st.d, NULL);
    expect(st.s, "1", "1|first|~|~\n");
    expect(st.s, "3", "");
    import_ok(st.s, HEADER "3,third,,\n", &r);
    assert_int_equal(r.sequence, 3);
    close_state(&st);
}

static int import_once(void *ctx)
{
    struct state *st = ctx;
    struct import_report r;
    yz_error err;
    return fixture_import(st->s,
                          "person,name,cleared,year\n1,\"a long name, in quotes, to make buffers "
                          "grow beyond their first allocation\",1,2020\n2,,0,2021\n",
                          &r, &err);
}

static void test_import__out_of_memory_anywhere_changes_nothing_and_leaks_nothing(void **unused)
{
    (void)unused;
    struct state st;
    uint64_t sequence;
    open_state(&st, secret_yaml);
    assert_true(yz_alloc_fail_each(import_once, &st) >= 5);
    assert_int_equal(yzi_store_sequence(st.s, &sequence), 0);
    assert_int_equal(sequence, 2); /* of the one import that had memory */
    close_state(&st);
}

struct demo {
    const char *yaml, *csv, *key, *row;
    unsigned rows;
};
#define DEMO(name) YZ_TEST_DATA "/demo/" name ".yaml", YZ_TEST_DATA "/demo/" name ".csv"
static const struct demo demos[] = {
    {DEMO("housing/titles"), "云(2021)驿站区不动产权第0001001号",
     "云(2021)驿站区不动产权第0001001号|990101199109086437|王建国|990101197911200381|驿站区|"
     "云桥市驿站区桂花巷35号|13.42|车位|2021-09-17|false\n",
     30},
    {DEMO("tax/clearances"), "990101199109086437",
     "990101199109086437|王建国|true|0|T990101315693|2026-09-23|2027-03-31\n", 28},
    {DEMO("civil/marriages"), "990101199109086437",
     "990101199109086437|王建国|married|990101197911200381|2018-07-02|J990101-2018-004243|"
     "2026-03-05T09:30:00Z\n",
     30},
};

static void test_import__demo_registers(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof demos / sizeof demos[0]; i++) {
        struct state st = {0};
        struct import_report r;
        yz_error err = {0};
        fixture_dir_make(&st.dir);
        fixture_key(&st.key, 3);
        if (yzi_dataset_load(demos[i].yaml, &st.d, &err) < 0) {
            fail_msg("%s", err.text);
        }
        st.s = fixture_open(st.dir.path, st.d, &st.key);
        struct import_source src = {
            .fd = open(demos[i].csv, O_RDONLY), .name = demos[i].csv, .mode = IMPORT_UPSERT};
        if (yzi_store_import(st.s, &src, &r, &err) < 0) {
            fail_msg("%s", err.text);
        }
        assert_int_equal(r.inserted, demos[i].rows);
        expect(st.s, demos[i].key, demos[i].row);
        assert_false(fixture_dir_contains(st.dir.path, yzi_bytes_str("990101199109086437")));
        assert_false(fixture_dir_contains(st.dir.path, yzi_bytes_str("王建国")));
        close(src.fd);
        close_state(&st);
    }
}

static void test_import__tells_progress(void **unused)
{
    (void)unused;
    struct state st;
    struct import_report r;
    yz_error err;
    yz_buf csv;
    open_state(&st, people_yaml);
    yzi_buf_init(&csv, 1u << 24);
    assert_int_equal(yzi_buf_put_str(&csv, HEADER), 0);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(yzi_buf_printf(&csv, "%d,n,,\n", i), 0);
    }
    struct seen seen = {0};
    struct import_source src = {.fd = fixture_file(yzi_bytes_buf(&csv)),
                                .name = "f",
                                .mode = IMPORT_UPSERT,
                                .progress = on_progress,
                                .ctx = &seen};
    assert_int_equal(yzi_store_import(st.s, &src, &r, &err), 0);
    assert_int_equal(seen.progress, 2);
    close(src.fd);
    yzi_buf_fini(&csv);
    close_state(&st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_import__inserts_updates_and_leaves_alone),
        cmocka_unit_test(test_import__same_file_again_leaves_the_files_byte_for_byte),
        cmocka_unit_test(test_import__fault_after_many_rows_changes_nothing),
        cmocka_unit_test(test_import__tells_line_field_and_reason),
        cmocka_unit_test(test_import__refuses_nul),
        cmocka_unit_test(test_import__many_columns_are_one_fault),
        cmocka_unit_test(test_import__accepts_bom_crlf_ignored_column_and_open_last_line),
        cmocka_unit_test(test_import__duplicate_of_any_kind_names_the_first_line),
        cmocka_unit_test(test_import__tells_every_fault_up_to_the_limit),
        cmocka_unit_test(test_import__dry_run_checks_and_changes_nothing),
        cmocka_unit_test(test_import__refuses_what_is_not_a_regular_file),
        cmocka_unit_test(test_import__positions_stand_for_columns_without_a_header),
        cmocka_unit_test(test_import__no_sensitive_value_is_in_the_files),
        cmocka_unit_test(test_import__real_register_of_divisions),
        cmocka_unit_test(test_import__killed_in_the_middle_leaves_what_was),
        cmocka_unit_test(test_import__out_of_memory_anywhere_changes_nothing_and_leaks_nothing),
        cmocka_unit_test(test_import__demo_registers),
        cmocka_unit_test(test_import__tells_progress),
    };
    return cmocka_run_group_tests_name("import", tests, NULL, NULL);
}
