/* SPDX-License-Identifier: Apache-2.0
 *
 * Values that are asked for, or written, otherwise than normalising leaves them: refused with the
 * form to write, whichever way they come. An answer that there is nothing would be a wrong one.
 */
#include "tests/unit/dataset/fixture.h"

#include "adapters/dataset/export.h"
#include "adapters/dataset/find.h"
#include "adapters/dataset/match.h"
#include "adapters/dataset/write.h"

static const char yaml[] =
    "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [id]\nfields:\n"
    "  - {name: id, type: text, classification: sensitive, max_length: 18,\n"
    "     normalise: [narrow, trim, upper]}\n"
    "  - {name: name, type: text, classification: public, max_length: 30,\n"
    "     normalise: [trim, squeeze], empty: [无]}\n"
    "  - {name: born, type: date, classification: public, formats: [YYYY/M/D]}\n"
    "  - {name: plain, type: text, classification: public, max_length: 30}\n"
    "indexes:\n  - {name: by_name, fields: [name]}\n  - {name: by_plain, fields: [plain]}\n"
    "  - {name: by_born, fields: [born]}\n";
static const char csv[] = "id,name,born,plain\n　１２x ,Li  Si,2000/1/5,Ａ \n"
                          "13,无,,\n";

struct world {
    struct fixture_dir dir;
    struct dataset *d;
    yz_secret key;
    struct store *s;
    struct query_fault fault;
};

static int make(void **state)
{
    static struct world w;
    struct import_report r;
    w = (struct world){.d = fixture_dataset(yaml)};
    fixture_dir_make(&w.dir);
    fixture_key(&w.key, 1);
    w.s = fixture_open(w.dir.path, w.d, &w.key);
    assert_int_equal(fixture_import_bytes(w.s, yzi_bytes_str(csv), &r, NULL), 0);
    *state = &w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    yzi_store_close(w->s);
    yzi_secret_fini(&w->key);
    yzi_dataset_unref(w->d);
    fixture_dir_remove(&w->dir);
    return 0;
}

static void expect_fault(const struct world *w, int rc, const char *detail)
{
    assert_int_equal(rc, YZ_EINVAL);
    assert_string_equal(w->fault.reason, "bad-value");
    assert_string_equal(w->fault.detail, detail);
}

/* -- get -- */

static int get(struct world *w, const char *id, uint32_t *rows_n)
{
    static const unsigned projection[] = {0};
    struct query_value part = {.v = yzi_bytes_str(id)};
    struct query_key key = {&part, 1};
    const struct query q = {.operation = QUERY_GET, .keys = &key, .keys_n = 1};
    const struct query_limits limits = {.rows = 10, .bytes = 1u << 16};
    struct query_result result = {0};
    yz_buf rows;
    yzi_buf_init(&rows, 1u << 16);
    int rc = yzi_store_get(w->s, w->d, &q, projection, 1, NULL, &limits, &rows, &result, &w->fault);
    yzi_buf_fini(&rows);
    *rows_n = result.rows;
    return rc;
}

static void test_asked__by_key(void **state)
{
    struct world *w = *state;
    uint32_t rows;
    assert_int_equal(get(w, "12X", &rows), 0);
    assert_int_equal(rows, 1);
    assert_int_equal(get(w, "14", &rows), 0);
    assert_int_equal(rows, 0);
    expect_fault(w, get(w, "１２X", &rows),
                 "a value for id has full-width characters (write them as ASCII)");
    expect_fault(w, get(w, "12X ", &rows),
                 "a value for id begins or ends with white space (leave it out)");
    expect_fault(w, get(w, "12x", &rows), "a value for id has small letters (write capital ones)");
}

/* -- find and count -- */

static int count(struct world *w, const char *field, enum query_op op, const char *value,
                 uint64_t *out)
{
    struct query_value v = {.null = !value, .v = yzi_bytes_str(value ? value : "")};
    struct query_condition c = {yzi_bytes_str(field), op, &v, 1};
    struct query q = {.operation = QUERY_COUNT, .filter = &c, .filter_n = 1};
    struct query_limits limits = {.rows = 10, .bytes = 1u << 16};
    struct find_question question = {w->d, &q, NULL, 0, &limits, {0}, NULL};
    struct find_result result = {0};
    yz_buf none = {0};
    int rc = yzi_store_find(w->s, &question, &none, &none, &result, &w->fault);
    *out = result.total;
    return rc;
}

static void expect_count(struct world *w, const char *field, enum query_op op, const char *value,
                         unsigned wanted)
{
    uint64_t n;
    if (count(w, field, op, value, &n) < 0) {
        fail_msg("%s: %s", value, w->fault.detail);
    }
    assert_int_equal(n, wanted);
}

static void test_asked__by_conditions(void **state)
{
    struct world *w = *state;
    uint64_t n;
    expect_count(w, "name", OP_EQ, "Li Si", 1);
    expect_count(w, "name", OP_PREFIX, "Li ", 1); /* the beginning of a value may end in space */
    expect_count(w, "name", OP_PREFIX, "L", 1);
    expect_count(w, "name", OP_EQ, NULL, 1);
    expect_count(w, "plain", OP_EQ, "Ａ ", 1); /* nothing is changed that is not named */
    expect_count(w, "plain", OP_EQ, "A", 0);
    expect_count(w, "born", OP_EQ, "2000-01-05", 1);
    expect_fault(w, count(w, "name", OP_EQ, "Li  Si", &n),
                 "a value for name has white space that is not a single space (write one space)");
    expect_fault(w, count(w, "name", OP_PREFIX, " Li", &n),
                 "a value for name begins or ends with white space (leave it out)");
    expect_fault(w, count(w, "name", OP_GE, " Li", &n),
                 "a value for name begins or ends with white space (leave it out)");
    expect_fault(w, count(w, "name", OP_EQ, "无", &n),
                 "a value for name stands for no value in this register (ask for, or write, no "
                 "value)");
    expect_fault(w, count(w, "id", OP_EQ, "12x", &n),
                 "a value for id has small letters (write capital ones)");
    expect_fault(w, count(w, "born", OP_EQ, "2000/1/5", &n), /* forms of files */
                 "a value for born is not a date (YYYY-MM-DD)");
}

/* -- match and write -- */

static void test_asked__by_match(void **state)
{
    struct world *w = *state;
    struct query_value part = {.v = yzi_bytes_str("１２X")}, with = {.v = yzi_bytes_str("Li Si ")};
    struct query_key key = {&part, 1};
    const struct match_predicate p = {1, OP_EQ, &with, 1};
    const struct match_question question = {w->d, &key, &p, 1};
    struct match *m = NULL;
    expect_fault(w, yzi_match_open(w->s, &question, &m, &w->fault),
                 "a value for id has full-width characters (write them as ASCII)");
    part.v = yzi_bytes_str("12X");
    expect_fault(w, yzi_match_open(w->s, &question, &m, &w->fault),
                 "a value for name begins or ends with white space (leave it out)");
}

/* What is written is asked for later, in the same form. */
static void test_asked__to_be_written(void **state)
{
    struct world *w = *state;
    static const unsigned columns[] = {0};
    struct query_value part = {.v = yzi_bytes_str("１４")};
    struct query_key key = {&part, 1};
    struct store_write gone = {.operation = QUERY_DELETE, .keys = &key, .keys_n = 1};
    struct store_written written;
    yz_buf rows;
    yzi_buf_init(&rows, 1000);
    assert_int_equal(yzi_row_put(&rows, &part), 0);
    struct store_write put = {.operation = QUERY_PUT,
                              .columns = columns,
                              .columns_n = 1,
                              .rows = yzi_bytes_buf(&rows),
                              .rows_n = 1};
    const struct store_write *both[] = {&gone, &put};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(yzi_store_write(w->s, both[i], &written, &w->fault.reason), YZ_EINVAL);
        assert_string_equal(w->fault.reason, "bad-value");
        assert_string_equal(written.detail,
                            "a value for id has full-width characters (write them as ASCII)");
    }
    yzi_buf_fini(&rows);
}

/* The owner sees what is there, in whatever form, and else is told the form. */
static void test_asked__by_the_owner(void **state)
{
    struct world *w = *state;
    yz_error err = {0};
    yz_buf text;
    struct json j;
    yz_bytes key = yzi_bytes_str("１２X");
    yzi_buf_init(&text, 1000);
    yzi_json_init(&j, &text, false);
    assert_int_equal(yzi_store_show(w->s, &key, 1, false, &j, &err), YZ_ENOTFOUND);
    assert_string_equal(err.text, "no record has this key: id has full-width characters (write "
                                  "them as ASCII)");
    key = yzi_bytes_str("14");
    assert_int_equal(yzi_store_show(w->s, &key, 1, false, &j, &err), YZ_ENOTFOUND);
    assert_string_equal(err.text, "no record has this key");
    key = yzi_bytes_str("12X");
    assert_int_equal(yzi_store_show(w->s, &key, 1, false, &j, &err), 0);
    yzi_buf_fini(&text);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, make, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_asked__by_key),       CASE(test_asked__by_conditions),
        CASE(test_asked__by_match),     CASE(test_asked__to_be_written),
        CASE(test_asked__by_the_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
