/* SPDX-License-Identifier: Apache-2.0
 *
 * A definition that gains, changes or loses indexes over records that are there: built in pieces
 * while answers and writes go on, continued by the next start, and used from when it is whole.
 */
#include "tests/unit/dataset/fixture.h"

#include "adapters/dataset/find.h"
#include "adapters/dataset/record_write.h"

#define RECORDS 9000 /* three pieces */
#define HEAD                                                                                       \
    "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [id]\nfields:\n"             \
    "  - {name: id, type: integer, classification: public}\n"
#define G "  - {name: g, type: text, classification: internal, max_length: 20}\n"
#define LONG_G "  - {name: g, type: text, classification: internal, max_length: 2000}\n"
#define S "  - {name: s, type: text, classification: sensitive, max_length: 20}\n"

static const char plain[] = HEAD G S;
static const char with_index[] = HEAD G S "indexes:\n  - {name: by_g, fields: [g]}\n"
                                          "  - {name: by_s, fields: [s]}\n";
static const char with_unique[] =
    HEAD G S "indexes:\n  - {name: by_g, fields: [g], unique: true}\n";

struct world {
    struct fixture_dir dir;
    yz_secret key;
    struct dataset *d;
    struct store *s;
};

static void open_as(struct world *w, const char *yaml)
{
    yzi_store_close(w->s);
    yzi_dataset_unref(w->d);
    w->d = fixture_dataset(yaml);
    w->s = fixture_open(w->dir.path, w->d, &w->key);
}

/* Record i has g = i mod 10, s = i mod 100. */
static void put(struct record_writer *w, int i, int g)
{
    char id[16], text[16], secret[16];
    enum write_effect effect;
    snprintf(id, sizeof id, "%d", i);
    snprintf(text, sizeof text, "g%d", g);
    snprintf(secret, sizeof secret, "s%d", i % 100);
    struct query_value values[] = {
        {.v = yzi_bytes_str(id)}, {.v = yzi_bytes_str(text)}, {.v = yzi_bytes_str(secret)}};
    assert_int_equal(yzi_writer_seek(w, values), 0);
    assert_int_equal(yzi_writer_put(w, values, &effect, NULL), 0);
}

static void put_range(struct world *world, int from, int to, int g)
{
    struct record_writer *w = NULL;
    uint64_t sequence;
    assert_int_equal(yzi_writer_begin(world->s, &w), 0);
    for (int i = from; i < to; i++) {
        put(w, i, g < 0 ? i % 10 : g);
    }
    assert_int_equal(yzi_writer_commit(w, &sequence), 0);
    yzi_writer_end(&w);
}

static int make_world(void **state)
{
    static struct world w;
    w = (struct world){0};
    fixture_dir_make(&w.dir);
    fixture_key(&w.key, 1);
    open_as(&w, plain);
    put_range(&w, 0, RECORDS, -1);
    *state = &w;
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;
    yzi_store_close(w->s);
    yzi_dataset_unref(w->d);
    yzi_secret_fini(&w->key);
    fixture_dir_remove(&w->dir);
    return 0;
}

static int count(struct world *w, const char *field, const char *value, uint64_t *total,
                 struct query_fault *fault)
{
    struct query_value v = {.v = yzi_bytes_str(value)};
    struct query_condition c = {yzi_bytes_str(field), OP_EQ, &v, 1};
    struct query q = {.operation = QUERY_COUNT, .filter = &c, .filter_n = 1};
    struct query_limits limits = {.rows = 10, .bytes = 1000};
    struct find_result result;
    yz_buf none = {0};
    int rc = yzi_store_find(
        w->s,
        &(struct find_question){.dataset = yzi_store_dataset(w->s), .query = &q, .limits = &limits},
        &none, &none, &result, fault);
    *total = rc == 0 ? result.total : 0;
    return rc;
}

static void expect_count(struct world *w, const char *field, const char *value, uint64_t expected)
{
    uint64_t total;
    struct query_fault fault;
    assert_int_equal(count(w, field, value, &total, &fault), 0);
    assert_int_equal(total, expected);
}

static void expect_refusal(struct world *w, const char *field, const char *reason)
{
    uint64_t total;
    struct query_fault fault;
    assert_int_equal(count(w, field, "g1", &total, &fault), YZ_EINVAL);
    assert_string_equal(fault.reason, reason);
}

static unsigned build(struct world *w, unsigned steps)
{
    bool more = true;
    unsigned n = 0;
    yz_error err;
    for (; more && n < steps; n++) {
        assert_int_equal(yzi_store_build_step(w->s, &more, &err), 0);
    }
    return n;
}

static void test_build__goes_on_under_writes_and_across_a_restart(void **state)
{
    struct world *w = *state;
    expect_refusal(w, "g", "no-index");
    open_as(w, with_index);
    expect_refusal(w, "g", "index-building");
    assert_int_equal(build(w, 1), 1);
    expect_refusal(w, "g", "index-building");
    /* some records the build has passed, at its edge, some it has not */
    put_range(w, 0, 10, 99);
    put_range(w, 4090, 4100, 99);
    put_range(w, RECORDS - 10, RECORDS + 10, 99);
    open_as(w, with_index); /* a restart */
    assert_int_equal(yzi_store_to_build(w->s), 2);
    assert_int_equal(build(w, 100), 2 + 3);
    assert_int_equal(yzi_store_to_build(w->s), 0);
    expect_count(w, "g", "g99", 40);
    expect_count(w, "g", "g1", RECORDS / 10 - 3);
    expect_count(w, "s", "s7", RECORDS / 100 + 1);
    open_as(w, with_index);
    assert_int_equal(yzi_store_to_build(w->s), 0);
    expect_count(w, "g", "g99", 40);
}

static void test_build__unique_that_is_not_stays_out_of_use(void **state)
{
    struct world *w = *state;
    struct store_state st;
    bool more;
    yz_error err;
    open_as(w, with_unique);
    assert_int_equal(yzi_store_build_step(w->s, &more, &err), YZ_EEXIST);
    assert_false(more);
    assert_non_null(strstr(err.text, "the index 'by_g' is unique"));
    assert_non_null(strstr(err.text, "make the index one that is not unique")); /* not cut */
    assert_int_equal(yzi_store_state(w->s, &st), 0);
    assert_int_equal(st.indexes_broken, 1);
    expect_refusal(w, "g", "index-building");
    assert_int_equal(build(w, 5), 1); /* not over and over */
    put_range(w, 0, 20, 5);           /* nor does it stand in the way of writes */
    open_as(w, with_unique);          /* the next start tries again */
    assert_int_equal(yzi_store_build_step(w->s, &more, &err), YZ_EEXIST);
    open_as(w, with_index);
    build(w, 100);
    expect_count(w, "g", "g5", RECORDS / 10 + 18);
}

static void test_build__lost_index_is_emptied_and_may_come_back(void **state)
{
    struct world *w = *state;
    open_as(w, with_index);
    build(w, 100);
    open_as(w, plain);
    expect_refusal(w, "g", "no-index");
    put_range(w, 0, 10, 7); /* which it does not see */
    open_as(w, with_index);
    assert_int_equal(yzi_store_to_build(w->s), 2);
    build(w, 100);
    expect_count(w, "g", "g7", RECORDS / 10 + 9);
}

static void test_build__cut_entries_give_no_order_under_a_later_definition(void **state)
{
    static const char by_g[] = "indexes:\n  - {name: by_g, fields: [g]}\n";
    struct world *w = *state;
    char long_yaml[1000], short_yaml[1000];
    struct query_order o = {yzi_bytes_str("g"), false};
    struct query q = {.operation = QUERY_FIND, .order = &o, .order_n = 1, .limit = 1};
    struct query_limits limits = {.rows = 10, .bytes = 1000};
    struct find_result result;
    struct query_fault fault;
    static const unsigned projection[] = {0};
    struct find_question question = {NULL, &q, projection, 1, &limits, {0}, NULL};
    yz_buf rows, position;
    yzi_buf_init(&rows, 1000);
    yzi_buf_init(&position, 2000);
    snprintf(long_yaml, sizeof long_yaml, HEAD LONG_G S "%s", by_g);
    snprintf(short_yaml, sizeof short_yaml, HEAD G S "%s", by_g);
    open_as(w, short_yaml);
    build(w, 100);
    question.dataset = w->d;
    assert_int_equal(yzi_store_find(w->s, &question, &rows, &position, &result, &fault), 0);
    open_as(w, long_yaml);
    question.dataset = w->d;
    assert_int_equal(yzi_store_to_build(w->s), 0);
    assert_int_equal(yzi_store_find(w->s, &question, &rows, &position, &result, &fault), YZ_EINVAL);
    assert_string_equal(fault.reason, "no-order");
    open_as(w, short_yaml); /* long values may be there now */
    question.dataset = w->d;
    assert_int_equal(yzi_store_find(w->s, &question, &rows, &position, &result, &fault), YZ_EINVAL);
    assert_string_equal(fault.reason, "no-order");
    yzi_buf_fini(&rows);
    yzi_buf_fini(&position);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_build__goes_on_under_writes_and_across_a_restart),
        TEST(test_build__unique_that_is_not_stays_out_of_use),
        TEST(test_build__lost_index_is_emptied_and_may_come_back),
        TEST(test_build__cut_entries_give_no_order_under_a_later_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
