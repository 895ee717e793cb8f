/* SPDX-License-Identifier: Apache-2.0
 *
 * Gets: what is answered, in which order, what is refused with which reason, and where limits end
 * it with nothing half written.
 */
#include "tests/unit/dataset/fixture.h"

#include "base/clock.h"

static const char marriages_yaml[] =
    "dataset: marriages\n"
    "title: {en: Marriages}\n"
    "owner: Civil affairs\n"
    "sharing: conditional\n"
    "key: [person, since]\n"
    "fields:\n"
    "  - {name: status, type: code, classification: sensitive, codes: [married, divorced]}\n"
    "  - {name: person, type: text, classification: sensitive, max_length: 18}\n"
    "  - {name: since, type: date, classification: internal}\n"
    "  - {name: fee, type: decimal, classification: public}\n"
    "  - {name: scan, type: bytes, classification: secret}\n";

static const char marriages_csv[] = "person,since,status,fee,scan\n"
                                    "P1,2001-01-01,married,9.00,AAEC\n"
                                    "P1,2011-01-01,divorced,,\n"
                                    "P2,2001-01-01,,0,/////w==\n";

struct state {
    struct fixture_dir dir;
    struct dataset *d;
    struct store *s;
    yz_secret key;
    /* the question, and its limits */
    struct query_value parts[4];
    struct query_key keys[YZ_QUERY_KEYS_MAX + 1];
    struct query q;
    unsigned projection[DATASET_FIELDS_MAX];
    size_t projection_n;
    struct query_limits limits;
    /* the answer */
    yz_buf rows;
    struct query_result result;
    struct query_fault fault;
};

static int setup(void **out)
{
    struct state *st = calloc(1, sizeof *st);
    struct import_report r;
    yz_error err = {0};
    fixture_dir_make(&st->dir);
    st->d = fixture_dataset(marriages_yaml);
    fixture_key(&st->key, 5);
    st->s = fixture_open(st->dir.path, st->d, &st->key);
    if (fixture_import(st->s, marriages_csv, &r, &err) < 0) {
        fail_msg("%s", err.text);
    }
    yzi_buf_init(&st->rows, 1u << 20);
    st->parts[0].v = yzi_bytes_str("P1");
    st->parts[1].v = yzi_bytes_str("2001-01-01");
    st->parts[2].v = yzi_bytes_str("P2");
    st->parts[3].v = yzi_bytes_str("2001-01-01");
    st->keys[0] = (struct query_key){.parts = st->parts, .parts_n = 2};
    st->q = (struct query){.operation = QUERY_GET, .keys = st->keys, .keys_n = 1};
    for (unsigned i = 0; i < 5; i++) {
        st->projection[i] = i;
    }
    st->projection_n = 5;
    st->limits = (struct query_limits){.rows = 10, .bytes = 1000};
    *out = st;
    return 0;
}

static int teardown(void **state)
{
    struct state *st = *state;
    yzi_buf_wipe(&st->rows);
    yzi_store_close(st->s);
    yzi_dataset_unref(st->d);
    yzi_secret_fini(&st->key);
    fixture_dir_remove(&st->dir);
    free(st);
    return 0;
}

static int get(struct state *st)
{
    st->fault = (struct query_fault){.reason = "untouched"};
    return yzi_store_get(st->s, yzi_store_dataset(st->s), &st->q, st->projection, st->projection_n,
                         NULL, &st->limits, &st->rows, &st->result, &st->fault);
}

static void next_is(yz_reader *r, const char *text, size_t n)
{
    struct query_value v = {0};
    assert_int_equal(yzi_row_next(r, &v), 0);
    assert_int_equal(v.null, text == NULL);
    assert_true(yzi_bytes_eq(v.v, yzi_bytes(text, text ? n : 0)));
}

static void test_get__answers_the_projection_in_its_order(void **state)
{
    struct state *st = *state;
    assert_int_equal(get(st), 0);
    assert_int_equal(st->result.rows, 1);
    assert_int_equal(st->result.sequence, 3);
    yz_reader r = yzi_reader(yzi_bytes_buf(&st->rows));
    next_is(&r, "married", 7);
    next_is(&r, "P1", 2);
    next_is(&r, "2001-01-01", 10);
    next_is(&r, "9", 1);
    next_is(&r, "\0\1\2", 3); /* raw bytes */
    assert_int_equal(yzi_read_end(&r), 0);
    yzi_buf_clear(&st->rows);
    st->projection[0] = 4;
    st->projection[1] = 1;
    st->projection[2] = 4;
    st->projection_n = 3;
    st->keys[0].parts = &st->parts[2];
    assert_int_equal(get(st), 0);
    r = yzi_reader(yzi_bytes_buf(&st->rows));
    next_is(&r, "\377\377\377\377", 4);
    next_is(&r, "P2", 2);
    next_is(&r, "\377\377\377\377", 4);
    assert_int_equal(yzi_read_end(&r), 0);
}

static void test_get__null_is_told_also_when_sealed(void **state)
{
    struct state *st = *state;
    st->parts[1].v = yzi_bytes_str("2011-01-01");
    assert_int_equal(get(st), 0);
    yz_reader r = yzi_reader(yzi_bytes_buf(&st->rows));
    next_is(&r, "divorced", 8);
    next_is(&r, "P1", 2);
    next_is(&r, "2011-01-01", 10);
    next_is(&r, NULL, 0);
    next_is(&r, NULL, 0);
    assert_int_equal(yzi_read_end(&r), 0);
}

static void test_get__keys_decide_the_order_and_absent_ones_are_left_out(void **state)
{
    struct state *st = *state;
    struct query_value absent[2] = {{.v = yzi_bytes_str("P9")}, {.v = yzi_bytes_str("2001-01-01")}};
    st->keys[0] = (struct query_key){&st->parts[2], 2};
    st->keys[1] = (struct query_key){absent, 2};
    st->keys[2] = (struct query_key){&st->parts[0], 2};
    st->keys[3] = (struct query_key){&st->parts[2], 2};
    st->q.keys_n = 4;
    st->projection[0] = 1;
    st->projection_n = 1;
    assert_int_equal(get(st), 0);
    assert_int_equal(st->result.rows, 3);
    yz_reader r = yzi_reader(yzi_bytes_buf(&st->rows));
    next_is(&r, "P2", 2);
    next_is(&r, "P1", 2);
    next_is(&r, "P2", 2);
    assert_int_equal(yzi_read_end(&r), 0);
    st->keys[0] = (struct query_key){absent, 2};
    st->q.keys_n = 1;
    yzi_buf_clear(&st->rows);
    assert_int_equal(get(st), 0);
    assert_int_equal(st->result.rows, 0);
    assert_int_equal(st->rows.n, 0);
}

static void expect_refused(struct state *st, int rc, const char *reason)
{
    size_t before = st->rows.n;
    assert_int_equal(get(st), rc);
    assert_int_equal(st->rows.n, before);
    if (reason) {
        assert_string_equal(st->fault.reason, reason);
        assert_true(strlen(st->fault.detail) > 0);
    }
}

static void test_get__wrong_keys_have_a_reason(void **state)
{
    struct state *st = *state;
    assert_int_equal(yzi_buf_put_str(&st->rows, "before"), 0);
    st->keys[0].parts_n = 1;
    expect_refused(st, YZ_EINVAL, "bad-key");
    st->keys[0].parts_n = 3;
    expect_refused(st, YZ_EINVAL, "bad-key");
    st->keys[0].parts_n = 2;
    st->parts[1].null = true;
    expect_refused(st, YZ_EINVAL, "bad-key");
    st->parts[1].null = false;
    st->parts[1].v = yzi_bytes_str("2001-02-30");
    expect_refused(st, YZ_EINVAL, "bad-value");
    st->parts[1].v = yzi_bytes_str("2001-01-01");
    st->parts[0].v = yzi_bytes_str("longer than 18 bytes");
    expect_refused(st, YZ_EINVAL, "bad-value");
    st->q.keys_n = 0;
    expect_refused(st, YZ_EINVAL, "bad-key");
    st->parts[0].v = yzi_bytes_str("P1");
    for (size_t i = 0; i <= YZ_QUERY_KEYS_MAX; i++) {
        st->keys[i] = (struct query_key){st->parts, 2};
    }
    st->q.keys_n = YZ_QUERY_KEYS_MAX + 1;
    expect_refused(st, YZ_EINVAL, "too-many-keys");
    st->q.keys_n = YZ_QUERY_KEYS_MAX;
    st->limits = (struct query_limits){.rows = YZ_QUERY_KEYS_MAX, .bytes = 1u << 20};
    assert_int_equal(get(st), 0);
    assert_int_equal(st->result.rows, YZ_QUERY_KEYS_MAX);
}

static void test_get__limits_end_it_with_nothing_written(void **state)
{
    struct state *st = *state;
    st->keys[1] = (struct query_key){&st->parts[2], 2};
    st->q.keys_n = 2;
    assert_int_equal(yzi_buf_put_str(&st->rows, "before"), 0);
    assert_int_equal(get(st), 0);
    size_t bytes = st->rows.n - 6;
    st->rows.n = 6;
    st->limits.bytes = bytes;
    assert_int_equal(get(st), 0);
    st->rows.n = 6;
    st->limits.bytes = bytes - 1;
    expect_refused(st, YZ_ETOOBIG, NULL);
    st->limits = (struct query_limits){.rows = 1, .bytes = 1000};
    expect_refused(st, YZ_ETOOBIG, NULL);
    st->limits.rows = 2;
    st->q.limit = 1;
    expect_refused(st, YZ_ETOOBIG, NULL);
    st->q.limit = 2;
    assert_int_equal(get(st), 0);
    st->rows.n = 6;
    st->rows.max = 6 + bytes - 1; /* the caller's buffer is a limit, too */
    expect_refused(st, YZ_ETOOBIG, NULL);
}

static void test_get__deadline_that_has_passed_ends_it(void **state)
{
    struct state *st = *state;
    st->limits.deadline_mono_ms = 1;
    expect_refused(st, YZ_ETIMEOUT, NULL);
    st->limits.deadline_mono_ms = yzi_mono_ms(&yzi_clock_system) + 3600000;
    assert_int_equal(get(st), 0);
}

static void test_get__what_it_would_have_to_ignore_is_unsupported(void **state)
{
    struct state *st = *state;
    struct query_condition filter = {.field = yzi_bytes_str("fee"), .op = OP_EQ};
    struct query_order order = {.field = yzi_bytes_str("fee")};
    struct query_predicate predicate = {.name = yzi_bytes_str("p")};
    struct query plain = st->q;
    st->q.filter = &filter;
    st->q.filter_n = 1;
    expect_refused(st, YZ_EUNSUPPORTED, NULL);
    st->q = plain;
    st->q.order = &order;
    st->q.order_n = 1;
    expect_refused(st, YZ_EUNSUPPORTED, NULL);
    st->q = plain;
    st->q.predicates = &predicate;
    st->q.predicates_n = 1;
    expect_refused(st, YZ_EUNSUPPORTED, NULL);
    st->q = plain;
    st->q.cursor = yzi_bytes_str("c");
    expect_refused(st, YZ_EUNSUPPORTED, NULL);
    static const enum query_operation others[] = {QUERY_FIND, QUERY_COUNT, QUERY_MATCH};
    for (size_t i = 0; i < 3; i++) {
        st->q = plain;
        st->q.operation = others[i];
        expect_refused(st, YZ_EUNSUPPORTED, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        T(test_get__answers_the_projection_in_its_order),
        T(test_get__null_is_told_also_when_sealed),
        T(test_get__keys_decide_the_order_and_absent_ones_are_left_out),
        T(test_get__wrong_keys_have_a_reason),
        T(test_get__limits_end_it_with_nothing_written),
        T(test_get__deadline_that_has_passed_ends_it),
        T(test_get__what_it_would_have_to_ignore_is_unsupported),
    };
    return cmocka_run_group_tests_name("get", tests, NULL, NULL);
}
