/* SPDX-License-Identifier: Apache-2.0
 *
 * proto/payload: plaintexts and rows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/payload.h"
#include "tests/support/vectors.h"
#include "tests/unit/proto/hostile.h"

static struct vectors *heads, *plains;
static uint8_t counted[512];

static struct vectors *load(const char *file)
{
    struct vectors *v = calloc(1, sizeof *v);
    assert_non_null(v);
    yz_vectors_load(v, file);
    return v;
}

static int load_all(void **state)
{
    (void)state;
    heads = load("payload.txt");
    plains = load("plaintext.txt");
    for (size_t i = 0; i < sizeof counted; i++) {
        counted[i] = (uint8_t)i;
    }
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    free(heads);
    free(plains);
    return 0;
}

static yz_buf buf(void)
{
    yz_buf b;
    yzi_buf_init(&b, YZ_MESSAGE_MAX);
    return b;
}

static yz_bytes str(const char *s)
{
    return yzi_bytes_str(s);
}

static void is_vector(const yz_buf *b, yz_bytes want)
{
    assert_int_equal(b->n, want.n);
    assert_memory_equal(b->p, want.p, want.n);
}

/* -- plaintext -- */

static void test_padding__is_padme_from_256_up(void **state)
{
    (void)state;
    static const struct {
        size_t n, padded;
    } known[] = {{0, 256},         {1, 256},          {256, 256},   {257, 272},     {272, 272},
                 {273, 288},       {511, 512},        {512, 512},   {513, 544},     {1000, 1024},
                 {1023, 1024},     {1025, 1088},      {4097, 4352}, {65535, 65536}, {65537, 67584},
                 {100000, 100352}, {1000000, 1015808}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        assert_int_equal(yzi_plain_padded(known[i].n), known[i].padded);
    }
    assert_int_equal(YZ_PLAIN_MAX, 16777216 - 16 - 4096 - 620 - 8192 - 16);
    size_t classes = 0, last = 0;
    for (size_t n = 0; n < YZ_PLAIN_MAX; n += n < 5000 ? 1 : 1009) {
        size_t padded = yzi_plain_padded(n);
        assert_true(padded >= n && padded >= last && padded <= YZ_PLAIN_MAX);
        assert_true(n < 256 || (padded - n) * 100 <= n * 12); /* at most 12% more */
        assert_int_equal(yzi_plain_padded(padded), padded);
        classes += padded != last;
        last = padded;
    }
    assert_in_range(classes, 100, 400);
    assert_int_equal(yzi_plain_padded(YZ_PLAIN_MAX - 1), YZ_PLAIN_MAX);
    assert_int_equal(yzi_plain_padded(YZ_PLAIN_MAX), YZ_PLAIN_MAX);
    assert_int_equal(yzi_plain_padded(SIZE_MAX), YZ_PLAIN_MAX);
}

static void test_plain__agrees_with_the_vectors(void **state)
{
    (void)state;
    uint8_t zeros[700] = {0};
    const struct {
        const char *name, *commitment;
        enum plain_type type;
        yz_bytes head, body;
    } cases[] = {
        {"query", "query_commitment", PLAIN_QUERY, yz_vector(heads, "head_query"), {0}},
        {"put", "put_commitment", PLAIN_QUERY, yz_vector(heads, "head_put"),
         yz_vector(heads, "rows")},
        {"answer", "answer_commitment", PLAIN_ANSWER, yz_vector(heads, "answer"),
         yz_vector(heads, "rows")},
        {"http", "http_commitment", PLAIN_HTTP, yz_vector(heads, "head_http"),
         yzi_bytes(zeros, sizeof zeros)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        yz_bytes want = yz_vector(plains, cases[i].name);
        struct plain p;
        assert_int_equal(yzi_plain_parse(want, &p), 0);
        assert_int_equal(p.type, cases[i].type);
        assert_true(yzi_bytes_eq(p.salt, yzi_bytes(counted + 0xd0, 32)));
        assert_true(yzi_bytes_eq(p.head, cases[i].head));
        assert_true(yzi_bytes_eq(p.body, cases[i].body));
        yz_digest commitment;
        yzi_plain_commitment(&p, &commitment);
        assert_true(
            yzi_bytes_eq(yzi_bytes_digest(&commitment), yz_vector(plains, cases[i].commitment)));
        YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
        assert_int_equal(yzi_plain_write(cases[i].type, cases[i].head, cases[i].body, &b), 0);
        memcpy(b.p, counted + 0xd0, 32); /* the salt is fresh, all else is determined */
        is_vector(&b, want);
    }
}

static void test_plain__salts_are_fresh(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf a = buf(), b = buf();
    assert_int_equal(yzi_plain_write(PLAIN_QUERY, str("h"), str("b"), &a), 0);
    assert_int_equal(yzi_plain_write(PLAIN_QUERY, str("h"), str("b"), &b), 0);
    assert_memory_not_equal(a.p, b.p, 32);
    assert_memory_equal(a.p + 32, b.p + 32, a.n - 32);
    struct plain p, q;
    yz_digest c, d;
    assert_int_equal(yzi_plain_parse(yzi_bytes_buf(&a), &p), 0);
    assert_int_equal(yzi_plain_parse(yzi_bytes_buf(&b), &q), 0);
    yzi_plain_commitment(&p, &c);
    yzi_plain_commitment(&q, &d);
    assert_false(yzi_digest_eq(&c, &d));
}

static int parse_plain(yz_bytes wire)
{
    struct plain p;
    return yzi_plain_parse(wire, &p);
}

static int parse_plain_with(size_t at, uint8_t value)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    wire_put(&b, yz_vector(plains, "answer"));
    b.p[at] = value;
    return hostile_parse(parse_plain, yzi_bytes_buf(&b));
}

static void test_plain__refuses_all_but_the_one_padded_form(void **state)
{
    (void)state;
    yz_bytes whole = yz_vector(plains, "answer");
    size_t used = 41 + yz_vector(heads, "answer").n + yz_vector(heads, "rows").n;
    for (size_t n = 0; n < whole.n; n++) {
        assert_int_equal(hostile_parse(parse_plain, yzi_bytes(whole.p, n)), YZ_EMALFORMED);
    }
    for (size_t at = used; at < whole.n; at++) {
        assert_int_equal(parse_plain_with(at, 1), YZ_EMALFORMED);
        assert_int_equal(parse_plain_with(at, 0), 0);
    }
    for (unsigned type = 0; type < 256; type++) {
        assert_int_equal(parse_plain_with(32, (uint8_t)type),
                         type >= 1 && type <= 4 ? 0 : YZ_EMALFORMED);
    }
    /* head length, body length: one more, one less, far more */
    for (size_t at = 36; at <= 40; at += 4) {
        assert_int_equal(parse_plain_with(at - 3, 1), YZ_EMALFORMED);
        assert_int_equal(parse_plain_with(at - 3, 0xff), YZ_EMALFORMED);
    }
    /* a larger class, a smaller one, an unpadded one */
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    wire_put(&b, whole);
    for (int i = 0; i < 400; i++) {
        assert_int_equal(yzi_buf_put_zero(&b, 1), 0);
        assert_int_equal(hostile_parse(parse_plain, yzi_bytes_buf(&b)), YZ_EMALFORMED);
    }
    /* a length taken from the head is given to the body: the padding is the same, the border not */
    struct plain p;
    assert_int_equal(parse_plain_with(36, whole.p[36] - 1),
                     YZ_EMALFORMED); /* body now ends early */
    assert_int_equal(yzi_plain_parse(whole, &p), 0);
}

static void test_plain__commitment_covers_type_lengths_head_and_body(void **state)
{
    (void)state;
    yz_bytes whole = yz_vector(plains, "answer");
    size_t used = 41 + yz_vector(heads, "answer").n + yz_vector(heads, "rows").n;
    struct plain p;
    yz_digest first, d;
    assert_int_equal(yzi_plain_parse(whole, &p), 0);
    assert_ptr_equal(p.committed.p, whole.p + 32);
    assert_int_equal(p.committed.n, used - 32);
    yzi_plain_commitment(&p, &first);
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    wire_put(&b, whole);
    for (size_t i = 0; i < used; i++) { /* salt included */
        b.p[i] ^= 1;
        struct plain q = {.salt = yzi_bytes(b.p, 32), .committed = yzi_bytes(b.p + 32, used - 32)};
        yzi_plain_commitment(&q, &d);
        assert_false(yzi_digest_eq(&first, &d));
        b.p[i] ^= 1;
    }
}

static void test_plain__has_a_largest_size(void **state)
{
    (void)state;
    uint8_t *big = calloc(1, YZ_PLAIN_MAX);
    assert_non_null(big);
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    yz_bytes head = yzi_bytes(big, 100);
    size_t room = YZ_PLAIN_MAX - YZ_PLAIN_FIXED - 100;
    assert_int_equal(yzi_plain_write(PLAIN_ANSWER, head, yzi_bytes(big, room + 1), &b), YZ_ETOOBIG);
    assert_int_equal(yzi_plain_write(PLAIN_ANSWER, yzi_bytes(big, SIZE_MAX), head, &b), YZ_ETOOBIG);
    assert_int_equal(yzi_plain_write(PLAIN_ANSWER, head, yzi_bytes(big, SIZE_MAX), &b), YZ_ETOOBIG);
    assert_int_equal(yzi_plain_write((enum plain_type)0, head, head, &b), YZ_EINVAL);
    assert_int_equal(yzi_plain_write((enum plain_type)5, head, head, &b), YZ_EINVAL);
    b.max = 255;
    assert_int_equal(yzi_plain_write(PLAIN_ANSWER, head, head, &b), YZ_ELIMIT);
    assert_int_equal(b.n, 0);
    b.max = YZ_PLAIN_MAX;
    assert_int_equal(yzi_plain_write(PLAIN_ANSWER, head, yzi_bytes(big, room), &b), 0);
    assert_int_equal(b.n, YZ_PLAIN_MAX);
    struct plain p;
    assert_int_equal(yzi_plain_parse(yzi_bytes_buf(&b), &p), 0);
    assert_int_equal(p.body.n, room);
    yzi_buf_clear(&b);
    assert_int_equal(yzi_plain_write(PLAIN_ANSWER, head, yzi_bytes(big, room - 5000), &b), 0);
    assert_int_equal(b.n, YZ_PLAIN_MAX); /* the last class is cut there */
    assert_int_equal(yzi_plain_parse(yzi_bytes_buf(&b), &p), 0);
    free(big);
}

/* -- rows -- */

static void test_rows__agree_with_the_vector(void **state)
{
    (void)state;
    const struct query_value values[] = {
        {false, str("\xe7\x94\xb2")}, {false, str("married")}, {false, {0}}, {true, {0}}};
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    for (int i = 0; i < 4; i++) {
        assert_int_equal(yzi_row_put(&b, &values[i]), 0);
    }
    is_vector(&b, yz_vector(heads, "rows"));
    yz_reader r = yzi_reader(yz_vector(heads, "rows"));
    for (int i = 0; i < 4; i++) {
        struct query_value v;
        assert_int_equal(yzi_row_next(&r, &v), 0);
        assert_true(v.null == values[i].null && yzi_bytes_eq(v.v, values[i].v));
    }
    struct query_value v;
    assert_int_equal(yzi_row_next(&r, &v), YZ_EMALFORMED);
}

static size_t fields_n;
static uint32_t rows_n;
static int check_rows(yz_bytes body)
{
    struct answer_head h = {.rows = rows_n, .fields_n = fields_n};
    return yzi_rows_check(body, &h);
}

static void test_rows__are_exactly_rows_times_fields(void **state)
{
    (void)state;
    yz_bytes rows = yz_vector(heads, "rows");
    static const struct {
        uint32_t rows;
        size_t fields;
        int rc;
    } shapes[] = {
        {2, 2, 0},
        {4, 1, 0},
        {1, 4, 0},
        {1, 3, YZ_EMALFORMED},
        {5, 1, YZ_EMALFORMED},
        {0, 2, YZ_EMALFORMED}, /* bytes, but no rows */
        {2, 0, YZ_EMALFORMED},
        {UINT32_MAX, 256, YZ_EMALFORMED},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        rows_n = shapes[i].rows;
        fields_n = shapes[i].fields;
        assert_int_equal(hostile_parse(check_rows, rows), shapes[i].rc);
    }
    rows_n = 2;
    fields_n = 2;
    for (size_t n = 0; n < rows.n; n++) {
        assert_int_equal(hostile_parse(check_rows, yzi_bytes(rows.p, n)), YZ_EMALFORMED);
    }
    rows_n = 0;
    assert_int_equal(check_rows((yz_bytes){0}), 0);
    fields_n = 0;
    assert_int_equal(check_rows((yz_bytes){0}), 0);
    rows_n = UINT32_MAX; /* would loop for long without a field */
    assert_int_equal(check_rows((yz_bytes){0}), YZ_EMALFORMED);
}

static void test_rows__values_have_at_most_64_kib(void **state)
{
    (void)state;
    uint8_t *big = calloc(1, YZ_VALUE_MAX + 1);
    assert_non_null(big);
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    struct query_value v = {false, yzi_bytes(big, YZ_VALUE_MAX + 1)};
    assert_int_equal(yzi_row_put(&b, &v), YZ_ETOOBIG);
    v.v.n--;
    b.max = 4 + YZ_VALUE_MAX - 1;
    assert_int_equal(yzi_row_put(&b, &v), YZ_ELIMIT);
    assert_int_equal(b.n, 0); /* not even the length */
    b.max++;
    assert_int_equal(yzi_row_put(&b, &v), 0);
    yz_reader r = yzi_reader(yzi_bytes_buf(&b));
    struct query_value read;
    assert_int_equal(yzi_row_next(&r, &read), 0);
    assert_int_equal(read.v.n, YZ_VALUE_MAX);
    yzi_store_u32(b.p, YZ_VALUE_MAX + 1);
    r = yzi_reader(yzi_bytes_buf(&b));
    assert_int_equal(yzi_row_next(&r, &read), YZ_EMALFORMED);
    assert_int_equal(r.left, b.n); /* nothing consumed */
    yzi_store_u32(b.p, 0xfffffffe);
    assert_int_equal(yzi_row_next(&r, &read), YZ_EMALFORMED);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_padding__is_padme_from_256_up),
        cmocka_unit_test(test_plain__agrees_with_the_vectors),
        cmocka_unit_test(test_plain__salts_are_fresh),
        cmocka_unit_test(test_plain__refuses_all_but_the_one_padded_form),
        cmocka_unit_test(test_plain__commitment_covers_type_lengths_head_and_body),
        cmocka_unit_test(test_plain__has_a_largest_size),
        cmocka_unit_test(test_rows__agree_with_the_vector),
        cmocka_unit_test(test_rows__are_exactly_rows_times_fields),
        cmocka_unit_test(test_rows__values_have_at_most_64_kib),
    };
    return cmocka_run_group_tests(tests, load_all, free_all);
}
