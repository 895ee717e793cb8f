/* SPDX-License-Identifier: Apache-2.0
 *
 * Insert, put and delete: all or nothing, what is not named stays, each refusal with its reason.
 */
#include "tests/unit/dataset/fixture.h"

#include "adapters/dataset/write.h"
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
    "  - {name: note, type: text, classification: secret}\n"
    "indexes:\n"
    "  - {name: by_name, fields: [name], unique: true}\n";

enum { ID, NAME, BORN, NOTE };

struct state {
    struct fixture_dir dir;
    struct dataset *d;
    struct store *s;
    yz_secret key;
};

static int set_up(void **state)
{
    struct state *st = calloc(1, sizeof *st);
    assert_non_null(st);
    fixture_dir_make(&st->dir);
    st->d = fixture_dataset(people_yaml);
    fixture_key(&st->key, 7);
    st->s = fixture_open(st->dir.path, st->d, &st->key);
    struct import_report r;
    assert_int_equal(
        fixture_import(st->s, "id,name,born,note\n1,Ann,1980-02-29,x\n2,Bob,,\n", &r, NULL), 0);
    *state = st;
    return 0;
}

static int tear_down(void **state)
{
    struct state *st = *state;
    yzi_store_close(st->s);
    yzi_dataset_unref(st->d);
    yzi_secret_fini(&st->key);
    fixture_dir_remove(&st->dir);
    free(st);
    return 0;
}

static void expect(struct store *s, const char *key, const char *row)
{
    char got[2000];
    assert_int_equal(fixture_get(s, got, sizeof got, key, NULL), 0);
    assert_string_equal(got, row);
}

/* Rows from texts, "~" for null. */
static yz_buf make_rows(const char *const *values, size_t n)
{
    yz_buf b;
    yzi_buf_init(&b, 1u << 20);
    for (size_t i = 0; i < n; i++) {
        struct query_value v = {.null = strcmp(values[i], "~") == 0};
        v.v = v.null ? (yz_bytes){0} : yzi_bytes_str(values[i]);
        assert_int_equal(yzi_row_put(&b, &v), 0);
    }
    return b;
}

struct bring {
    enum query_operation operation;
    unsigned columns[5];
    size_t columns_n;
    const char *values[12];
    uint32_t rows;
};

static int bring(struct store *s, const struct bring *b, struct store_written *out,
                 const char **reason)
{
    YZ_AUTO(yzi_buf_fini) yz_buf rows = make_rows(b->values, b->columns_n * b->rows);
    struct store_write w = {.operation = b->operation,
                            .columns = b->columns,
                            .columns_n = b->columns_n,
                            .rows = yzi_bytes_buf(&rows),
                            .rows_n = b->rows};
    return yzi_store_write(s, &w, out, reason);
}

static int delete (struct store *s, const char *const *ids, struct store_written *out,
                   const char **reason)
{
    struct query_value values[8];
    struct query_key keys[8];
    struct store_write w = {.operation = QUERY_DELETE, .keys = keys};
    for (; ids[w.keys_n]; w.keys_n++) {
        values[w.keys_n] = (struct query_value){.v = yzi_bytes_str(ids[w.keys_n])};
        keys[w.keys_n] = (struct query_key){&values[w.keys_n], 1};
    }
    return yzi_store_write(s, &w, out, reason);
}

static void test_insert__adds_records_whose_other_fields_are_null(void **state)
{
    struct state *st = *state;
    struct store_written r;
    const char *reason;
    struct bring b = {QUERY_INSERT, {NAME, ID}, 2, {"Cai", "3", "Dan", "4"}, 2};
    assert_int_equal(bring(st->s, &b, &r, &reason), 0);
    assert_int_equal(r.changed, 2);
    assert_int_equal(r.sequence, 4);
    expect(st->s, "3", "3|Cai|~|~\n");
    expect(st->s, "4", "4|Dan|~|~\n");
    expect(st->s, "1", "1|Ann|1980-02-29|x\n");
}

static void test_put__leaves_what_it_does_not_name(void **state)
{
    struct state *st = *state;
    struct store_written r;
    const char *reason;
    struct bring b = {QUERY_PUT, {ID, BORN}, 2, {"1", "~", "2", "1999-01-01"}, 2};
    assert_int_equal(bring(st->s, &b, &r, &reason), 0);
    assert_int_equal(r.changed, 2);
    expect(st->s, "1", "1|Ann|~|x\n");
    expect(st->s, "2", "2|Bob|1999-01-01|~\n");
    struct bring all = {QUERY_PUT, {NOTE, ID, NAME}, 3, {"y", "1", "~~", "n", "5", "Eve"}, 2};
    assert_int_equal(bring(st->s, &all, &r, &reason), 0);
    expect(st->s, "1", "1|~~|~|y\n");
    expect(st->s, "5", "5|Eve|~|n\n");
}

static void test_put__of_what_is_there_writes_nothing(void **state)
{
    struct state *st = *state;
    struct store_written r;
    const char *reason;
    yz_digest before = fixture_dir_digest(st->dir.path);
    struct bring b = {QUERY_PUT, {ID, NAME, NOTE}, 3, {"1", "Ann", "x"}, 1};
    assert_int_equal(bring(st->s, &b, &r, &reason), 0);
    assert_int_equal(r.changed, 0);
    assert_int_equal(r.sequence, 2);
    yz_digest after = fixture_dir_digest(st->dir.path);
    assert_true(yzi_digest_eq(&before, &after));
}

static void test_delete__removes_the_records(void **state)
{
    struct state *st = *state;
    struct store_written r;
    const char *reason;
    assert_int_equal(delete (st->s, (const char *const[]){"2", "1", NULL}, &r, &reason), 0);
    assert_int_equal(r.changed, 2);
    uint64_t count, sequence;
    assert_int_equal(yzi_store_count(st->s, &count), 0);
    assert_int_equal(yzi_store_sequence(st->s, &sequence), 0);
    assert_int_equal(count, 0);
    assert_int_equal(sequence, r.sequence);
    assert_true(sequence > 2);
    struct bring b = {QUERY_INSERT, {ID, NAME}, 2, {"1", "New"}, 1};
    assert_int_equal(bring(st->s, &b, &r, &reason), 0);
    expect(st->s, "1", "1|New|~|~\n");
}

/* Each line's first record is right, and is not there afterwards. */
static void test_write__is_all_or_nothing_and_says_why(void **state)
{
    struct state *st = *state;
    static const struct {
        struct bring b;
        const char *reason;
    } cases[] = {
        {{QUERY_INSERT, {ID, NAME}, 2, {"8", "a", "1", "b"}, 2}, "exists"},
        {{QUERY_INSERT, {ID, NAME}, 2, {"8", "a", "8", "b"}, 2}, "duplicate-key"},
        {{QUERY_PUT, {ID, NAME}, 2, {"1", "a", "1", "a"}, 2}, "duplicate-key"},
        {{QUERY_PUT, {ID, NAME}, 2, {"8", "a", "9", "~"}, 2}, "required"},
        {{QUERY_PUT, {ID, NAME}, 2, {"1", "a", "2", "~"}, 2}, "required"},
        {{QUERY_PUT, {ID, BORN}, 2, {"1", "2000-01-01", "9", "2000-01-01"}, 2}, "required"},
        {{QUERY_PUT, {ID, BORN}, 2, {"1", "2000-01-01", "2", "2000-1-1"}, 2}, "bad-value"},
        {{QUERY_INSERT, {ID, NAME}, 2, {"8", "a", "1234567890123456789", "b"}, 2}, "bad-value"},
        {{QUERY_INSERT, {ID, NAME}, 2, {"8", "a", "~", "b"}, 2}, "bad-key"},
        {{QUERY_PUT, {NAME, BORN}, 2, {"8", "~"}, 1}, "bad-key"},
        {{QUERY_INSERT, {ID, NAME}, 2, {"8", "a", "9", "Ann"}, 2}, "not-unique"},
        {{QUERY_PUT, {ID, NAME}, 2, {"1", "Zoe", "2", "Zoe"}, 2}, "not-unique"},
        {{QUERY_PUT, {ID, NAME, NAME}, 3, {"8", "a", "b"}, 1}, "bad-fields"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct store_written r;
        const char *reason = NULL;
        yz_digest before = fixture_dir_digest(st->dir.path);
        assert_int_equal(bring(st->s, &cases[i].b, &r, &reason), YZ_EINVAL);
        assert_string_equal(reason, cases[i].reason);
        assert_int_equal(r.changed, 0);
        assert_false(r.uncertain);
        yz_digest after = fixture_dir_digest(st->dir.path);
        assert_true(yzi_digest_eq(&before, &after));
    }
    expect(st->s, "1", "1|Ann|1980-02-29|x\n");
    expect(st->s, "8", "");
}

static void test_delete__is_all_or_nothing_and_says_why(void **state)
{
    struct state *st = *state;
    struct store_written r;
    const char *reason;
    assert_int_equal(delete (st->s, (const char *const[]){"1", "7", NULL}, &r, &reason), YZ_EINVAL);
    assert_string_equal(reason, "not-found");
    assert_int_equal(delete (st->s, (const char *const[]){"1", "1", NULL}, &r, &reason), YZ_EINVAL);
    assert_string_equal(reason, "duplicate-key");
    assert_int_equal(delete (st->s, (const char *const[]){NULL}, &r, &reason), YZ_EINVAL);
    assert_string_equal(reason, "bad-key");
    struct query_value parts[2] = {{.v = yzi_bytes_str("1")}, {.v = yzi_bytes_str("2")}};
    struct query_key key = {parts, 2};
    struct store_write w = {.operation = QUERY_DELETE, .keys = &key, .keys_n = 1};
    assert_int_equal(yzi_store_write(st->s, &w, &r, &reason), YZ_EINVAL);
    assert_string_equal(reason, "bad-key");
    w.operation = QUERY_GET;
    assert_int_equal(yzi_store_write(st->s, &w, &r, &reason), YZ_EUNSUPPORTED);
    expect(st->s, "1", "1|Ann|1980-02-29|x\n");
}

static void test_write__refuses_rows_that_do_not_add_up(void **state)
{
    struct state *st = *state;
    static const char *const values[] = {"8", "a", "9", "b"};
    YZ_AUTO(yzi_buf_fini) yz_buf rows = make_rows(values, 4);
    for (size_t n = 0; n <= rows.n; n++) {
        for (uint32_t count = 1; count <= 3; count++) {
            struct store_written r;
            const char *reason = NULL;
            struct store_write w = {.operation = QUERY_INSERT,
                                    .columns = (unsigned[]){ID, NAME},
                                    .columns_n = 2,
                                    .rows = yzi_bytes(rows.p, n),
                                    .rows_n = count};
            bool right = (n == rows.n && count == 2) || (n == rows.n / 2 && count == 1);
            if (!right) {
                assert_int_equal(yzi_store_write(st->s, &w, &r, &reason), YZ_EINVAL);
                assert_string_equal(reason, "malformed");
            }
        }
    }
    expect(st->s, "8", "");
}

static void test_write__keeps_sensitive_values_out_of_the_files(void **state)
{
    struct state *st = *state;
    struct store_written r;
    const char *reason;
    struct bring b = {QUERY_PUT, {ID, NOTE}, 2, {"1", "needle-in-clear"}, 1};
    assert_int_equal(bring(st->s, &b, &r, &reason), 0);
    expect(st->s, "1", "1|Ann|1980-02-29|needle-in-clear\n");
    assert_false(fixture_dir_contains(st->dir.path, yzi_bytes_str("needle")));
}

static int write_once(void *ctx)
{
    struct state *st = ctx;
    struct store_written r;
    const char *reason;
    unsigned columns[] = {ID, NOTE};
    static const uint8_t rows[] = "\0\0\0\x01"
                                  "1\0\0\0\x01"
                                  "z";
    struct store_write w = {.operation = QUERY_PUT,
                            .columns = columns,
                            .columns_n = 2,
                            .rows = yzi_bytes(rows, sizeof rows - 1),
                            .rows_n = 1};
    return yzi_store_write(st->s, &w, &r, &reason);
}

static void test_write__survives_running_out_of_memory(void **state)
{
    struct state *st = *state;
    assert_true(yz_alloc_fail_each(write_once, st) > 3);
    expect(st->s, "1", "1|Ann|1980-02-29|z\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(test_insert__adds_records_whose_other_fields_are_null),
        T(test_put__leaves_what_it_does_not_name),
        T(test_put__of_what_is_there_writes_nothing),
        T(test_delete__removes_the_records),
        T(test_write__is_all_or_nothing_and_says_why),
        T(test_delete__is_all_or_nothing_and_says_why),
        T(test_write__refuses_rows_that_do_not_add_up),
        T(test_write__keeps_sensitive_values_out_of_the_files),
        T(test_write__survives_running_out_of_memory),
    };
    yzi_secret_require_lock(false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
