/* SPDX-License-Identifier: Apache-2.0
 *
 * proto/query and proto/answer: what a plaintext's head says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/payload.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/vectors.h"
#include "tests/unit/proto/hostile.h"

static struct vectors *heads;
static uint8_t counted[512];

static int load_all(void **state)
{
    (void)state;
    heads = calloc(1, sizeof *heads);
    assert_non_null(heads);
    yz_vectors_load(heads, "payload.txt");
    for (size_t i = 0; i < sizeof counted; i++) {
        counted[i] = (uint8_t)i;
    }
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    free(heads);
    return 0;
}

static yz_buf buf(void)
{
    yz_buf b;
    yzi_buf_init(&b, YZ_MESSAGE_MAX);
    return b;
}

static struct arena arena(void)
{
    struct arena a;
    yzi_arena_init(&a, 32u << 20);
    return a;
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

/* -- request heads -- */

static struct query_value key_1[] = {{false, {(const uint8_t *)"310101", 6}},
                                     {false, {(const uint8_t *)"\xe7\x94\xb2", 3}}};
static struct query_value key_2[] = {{false, {(const uint8_t *)"310102", 6}}, {true, {0}}};
static struct query_key keys[] = {{key_1, 2}, {key_2, 2}};
static struct query_value statuses[] = {{false, {(const uint8_t *)"married", 7}},
                                        {false, {(const uint8_t *)"divorced", 8}}};
static struct query_value since[] = {{false, {(const uint8_t *)"2020-01-01", 10}}};
static struct query_value adult[] = {{false, {0}}};
static yz_bytes fields[2];
static struct query_condition filter[2];
static struct query_order order[2];
static struct query_predicate predicates[1];

static struct request_head sample_query(void)
{
    fields[0] = str("name");
    fields[1] = str("status");
    filter[0] = (struct query_condition){str("status"), OP_IN, statuses, 2};
    filter[1] = (struct query_condition){str("since"), OP_GE, since, 1};
    order[0] = (struct query_order){str("name"), false};
    order[1] = (struct query_order){str("since"), true};
    predicates[0] = (struct query_predicate){str("is-adult"), adult, 1};
    return (struct request_head){
        .user = str("\xe6\x9d\x8e\xe5\x9b\x9b"),
        .issue = str("CASE-2026-17"),
        .consent = str("consent/9"),
        .has_query = true,
        .query = {.operation = QUERY_FIND,
                  .fields = fields,
                  .fields_n = 2,
                  .keys = keys,
                  .keys_n = 2,
                  .filter = filter,
                  .filter_n = 2,
                  .order = order,
                  .order_n = 2,
                  .limit = 50,
                  .cursor = yzi_bytes(counted + 0xc0, 20),
                  .predicates = predicates,
                  .predicates_n = 1},
    };
}

static yz_bytes columns[2];

static struct request_head sample_put(void)
{
    columns[0] = str("id");
    columns[1] = str("name");
    return (struct request_head){
        .issue = str("CASE-2026-17"),
        .has_query = true,
        .query = {.operation = QUERY_PUT, .fields = columns, .fields_n = 2, .rows = 2}};
}

static struct request_head sample_delete(void)
{
    return (struct request_head){.has_query = true,
                                 .query = {.operation = QUERY_DELETE, .keys = keys, .keys_n = 1}};
}

static struct http_header http_headers[2];

static struct request_head sample_http(void)
{
    http_headers[0] = (struct http_header){str("Accept"), str("*/*")};
    http_headers[1] = (struct http_header){str("X-Empty"), {0}};
    return (struct request_head){.method = str("GET"),
                                 .path = str("/persons/42?fields=name"),
                                 .headers = http_headers,
                                 .headers_n = 2};
}

static int parse_request(yz_bytes wire)
{
    YZ_AUTO(yzi_arena_fini) struct arena a = arena();
    struct request_head h;
    return yzi_request_head_parse(wire, &a, &h);
}

static int parse_answer(yz_bytes wire)
{
    YZ_AUTO(yzi_arena_fini) struct arena a = arena();
    struct answer_head h;
    return yzi_answer_head_parse(wire, &a, &h);
}

static void test_request_head__agrees_with_the_vectors(void **state)
{
    (void)state;
    static const char *const names[] = {"head_query", "head_http", "head_put", "head_delete"};
    struct request_head samples[] = {sample_query(), sample_http(), sample_put(), sample_delete()};
    for (int i = 0; i < 4; i++) {
        YZ_AUTO(yzi_arena_fini) struct arena a = arena();
        YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
        struct request_head h = samples[i], read;
        yz_bytes wire = yz_vector(heads, names[i]);
        assert_int_equal(yzi_request_head_write(&h, &b), 0);
        is_vector(&b, wire);
        assert_int_equal(yzi_request_head_parse(wire, &a, &read), 0);
        yzi_buf_clear(&b);
        assert_int_equal(yzi_request_head_write(&read, &b), 0);
        is_vector(&b, wire);
    }
}

/* What a head says of rows, and the body that belongs to it. */
static void test_request_head__rows_come_with_what_brings_some(void **state)
{
    (void)state;
    for (unsigned op = QUERY_GET; op <= QUERY_OPERATION_LAST; op++) {
        bool brings = op == QUERY_INSERT || op == QUERY_PUT;
        for (uint32_t rows = 0; rows <= YZ_QUERY_ROWS_MAX + 1; rows += rows == 1 ? 999 : 1) {
            YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
            struct request_head h = sample_put();
            h.query.operation = (enum query_operation)op;
            h.query.rows = rows;
            bool right = brings ? rows > 0 && rows <= YZ_QUERY_ROWS_MAX : rows == 0;
            int rc = yzi_request_head_write(&h, &b);
            assert_true((rc == 0) == right);
            if (brings && rows > YZ_QUERY_ROWS_MAX) {
                assert_int_equal(rc, YZ_ELIMIT);
            }
            h.query.fields_n = 0;
            yzi_buf_clear(&b);
            assert_true((yzi_request_head_write(&h, &b) == 0) == (right && !brings));
        }
    }
}

static void test_query_body__is_exactly_the_rows_the_head_counts(void **state)
{
    (void)state;
    struct request_head h = sample_put();
    yz_bytes rows = yz_vector(heads, "rows");
    assert_int_equal(yzi_query_body_check(rows, &h.query), 0);
    for (size_t n = 0; n < rows.n; n++) {
        assert_int_equal(yzi_query_body_check(yzi_bytes(rows.p, n), &h.query), YZ_EMALFORMED);
    }
    h.query.rows = 1;
    assert_int_equal(yzi_query_body_check(rows, &h.query), YZ_EMALFORMED);
    h.query.rows = 3;
    assert_int_equal(yzi_query_body_check(rows, &h.query), YZ_EMALFORMED);
    struct request_head get = sample_query();
    assert_int_equal(yzi_query_body_check((yz_bytes){0}, &get.query), 0);
    assert_int_equal(yzi_query_body_check(yzi_bytes(rows.p, 1), &get.query), YZ_EMALFORMED);
}

static void test_request_head__is_read_field_by_field(void **state)
{
    (void)state;
    YZ_AUTO(yzi_arena_fini) struct arena a = arena();
    struct request_head h;
    yz_bytes wire = yz_vector(heads, "head_query");
    assert_int_equal(yzi_request_head_parse(wire, &a, &h), 0);
    assert_true(h.has_query && yzi_bytes_eq_str(h.issue, "CASE-2026-17"));
    assert_true(h.issue.p > wire.p && h.issue.p < wire.p + wire.n);
    const struct query *q = &h.query;
    assert_int_equal(q->operation, QUERY_FIND);
    assert_int_equal(q->keys_n, 2);
    assert_int_equal(q->keys[1].parts_n, 2);
    assert_true(yzi_bytes_eq_str(q->keys[1].parts[0].v, "310102"));
    assert_true(q->keys[1].parts[1].null);
    assert_false(q->predicates[0].values[0].null); /* empty is not null */
    assert_int_equal(q->predicates[0].values[0].v.n, 0);
    assert_int_equal(q->filter[0].op, OP_IN);
    assert_int_equal(q->filter[0].values_n, 2);
    assert_true(yzi_bytes_eq_str(q->filter[1].values[0].v, "2020-01-01"));
    assert_true(!q->order[0].descending && q->order[1].descending);
    assert_int_equal(q->limit, 50);
    assert_int_equal(q->cursor.n, 20);
    assert_int_equal(yzi_request_head_parse(yz_vector(heads, "head_http"), &a, &h), 0);
    assert_false(h.has_query);
    assert_true(yzi_bytes_eq_str(h.method, "GET"));
    assert_true(yzi_bytes_eq_str(h.path, "/persons/42?fields=name"));
    assert_int_equal(h.headers_n, 2);
    assert_true(yzi_bytes_eq_str(h.headers[1].name, "X-Empty"));
}

/* A query as the content of field 4 of a head; a `Value` of the text. */
static int parse_query(const yz_buf *query)
{
    YZ_AUTO(yzi_buf_fini) yz_buf head = buf();
    wire_raw(&head, 4, yzi_bytes_buf(query));
    return hostile_parse(parse_request, yzi_bytes_buf(&head));
}

static int parse_query_wire(yz_bytes query)
{
    yz_buf b = {.p = (uint8_t *)(uintptr_t)query.p, .n = query.n};
    return parse_query(&b);
}

static yz_bytes inner(yz_bytes head, uint32_t field, yz_buf *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf rest = buf();
    wire_drop(head, field, &rest);
    /* what was dropped lies at the end of these samples: tag, length (two bytes above 127), content
     */
    size_t at = rest.n + (head.p[rest.n + 1] > 127 ? 3 : 2);
    wire_put(out, yzi_bytes(head.p + at, head.n - at));
    return yzi_bytes_buf(out);
}

static void test_heads__refuse_each_way_to_spoil_them(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf query = buf();
    const struct hostile head = {.parse = parse_request,
                                 .optional = FIELD(1) | FIELD(2) | FIELD(3)};
    hostile_check(&head, yz_vector(heads, "head_query"));
    hostile_check(&head, yz_vector(heads, "head_http"));
    const struct hostile inside = {
        .parse = parse_query_wire,
        .optional = FIELD(2) | FIELD(3) | FIELD(4) | FIELD(5) | FIELD(6) | FIELD(7) | FIELD(8),
        .repeated = FIELD(2) | FIELD(3) | FIELD(4) | FIELD(5) | FIELD(8)};
    hostile_check(&inside, inner(yz_vector(heads, "head_query"), 4, &query));
    const struct hostile answer = {
        .parse = parse_answer,
        .optional = FIELD(2) | FIELD(3) | FIELD(5) | FIELD(6) | FIELD(7) | FIELD(8) | FIELD(9),
    };
    hostile_check(&answer, yz_vector(heads, "answer_match"));
    /* without its rows, which need the fields; a field twice is refused for its name */
    YZ_AUTO(yzi_buf_fini) yz_buf rowless = buf();
    wire_drop(yz_vector(heads, "answer"), 5, &rowless);
    struct hostile full = answer;
    full.optional |= FIELD(4);
    hostile_check(&full, yzi_bytes_buf(&rowless));
}

static void test_request_head__has_exactly_one_of_query_and_http(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf(), query = buf();
    assert_int_equal(parse_request((yz_bytes){0}), YZ_EMALFORMED);
    wire_put(&b, yz_vector(heads, "head_query"));
    wire_put(&b, yz_vector(heads, "head_http"));
    assert_int_equal(parse_request(yzi_bytes_buf(&b)), YZ_EMALFORMED);
    wire_num(&query, 1, QUERY_COUNT);
    assert_int_equal(parse_query(&query), 0);
}

/* Fields of the head: 1 user, 2 issue, 3 consent. */
static void test_request_head__references_are_text_of_256_bytes(void **state)
{
    (void)state;
    char longest[257];
    memset(longest, 'u', sizeof longest);
    for (uint32_t field = 1; field <= 3; field++) {
        const struct {
            yz_bytes v;
            int rc;
        } cases[] = {
            {str("\xe5\xbc\xa0\xe4\xb8\x89"), 0},  {yzi_bytes(longest, 256), 0},
            {yzi_bytes(longest, 257), YZ_ELIMIT},  {str(""), YZ_EMALFORMED},
            {yzi_bytes("a\0b", 3), YZ_EMALFORMED}, {str("a\nb"), YZ_EMALFORMED},
            {str("a\x7f"), YZ_EMALFORMED},         {str("\xff"), YZ_EMALFORMED},
            {str("\xc0\xaf"), YZ_EMALFORMED},      {str("\xf0\x9f\x98"), YZ_EMALFORMED},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
            wire_replace(yz_vector(heads, "head_query"), field, cases[i].v, &b);
            assert_int_equal(hostile_parse(parse_request, yzi_bytes_buf(&b)), cases[i].rc);
        }
    }
}

static void put_value(yz_buf *b, uint32_t field, const char *text)
{
    YZ_AUTO(yzi_buf_fini) yz_buf v = buf();
    if (text) {
        wire_raw(&v, 1, str(text));
    }
    wire_raw(b, field, yzi_bytes_buf(&v));
}

static int parse_condition(const char *field, uint64_t op, unsigned values)
{
    YZ_AUTO(yzi_buf_fini) yz_buf c = buf(), q = buf();
    wire_raw(&c, 1, str(field));
    wire_num(&c, 2, op);
    for (unsigned i = 0; i < values; i++) {
        put_value(&c, 3, i % 2 ? "v" : NULL);
    }
    wire_num(&q, 1, QUERY_FIND);
    wire_raw(&q, 4, yzi_bytes_buf(&c));
    return parse_query(&q);
}

static void test_query__conditions_have_the_values_their_operator_takes(void **state)
{
    (void)state;
    for (uint64_t op = 0; op <= 9; op++) {
        bool known = op >= OP_EQ && op <= OP_LT;
        assert_int_equal(parse_condition("f", op, 0), YZ_EMALFORMED);
        assert_int_equal(parse_condition("f", op, 1), known ? 0 : YZ_EMALFORMED);
        assert_int_equal(parse_condition("f", op, 2), op == OP_IN ? 0 : YZ_EMALFORMED);
    }
    assert_int_equal(parse_condition("f", OP_IN, YZ_QUERY_VALUES_MAX), 0);
    assert_int_equal(parse_condition("f", OP_IN, YZ_QUERY_VALUES_MAX + 1), YZ_ELIMIT);
    char name[66] = {0};
    memset(name, 'n', 65);
    assert_int_equal(parse_condition(name, OP_EQ, 1), YZ_ELIMIT);
    name[64] = '\0';
    assert_int_equal(parse_condition(name, OP_EQ, 1), 0);
    assert_int_equal(parse_condition("", OP_EQ, 1), YZ_EMALFORMED);
    assert_int_equal(parse_condition("a\tb", OP_EQ, 1), YZ_EMALFORMED);
    assert_int_equal(parse_condition("\xe5\xa7\x93", OP_EQ, 1), 0);
}

/* A query with n times `field` of that content. */
static int parse_many(uint32_t field, yz_bytes content, unsigned n)
{
    YZ_AUTO(yzi_buf_fini) yz_buf q = buf();
    wire_num(&q, 1, QUERY_GET);
    for (unsigned i = 0; i < n; i++) {
        wire_raw(&q, field, content);
    }
    return parse_query(&q);
}

static void test_query__lists_have_their_limits(void **state)
{
    (void)state;
    static const struct {
        uint32_t field;
        yz_bytes content;
        unsigned max;
    } lists[] = {
        {2, {(const uint8_t *)"f", 1}, YZ_QUERY_FIELDS_MAX},
        {3, {(const uint8_t *)"\x0a\x00", 2}, YZ_QUERY_KEYS_MAX},
        {4,
         {(const uint8_t *)"\x0a\x01"
                           "f"
                           "\x10\x01\x1a\x00",
          7},
         YZ_QUERY_CONDITIONS_MAX},
        {5,
         {(const uint8_t *)"\x0a\x01"
                           "f",
          3},
         YZ_QUERY_ORDER_MAX},
        {8,
         {(const uint8_t *)"\x0a\x01"
                           "p",
          3},
         YZ_QUERY_CONDITIONS_MAX},
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        assert_int_equal(parse_many(lists[i].field, lists[i].content, lists[i].max), 0);
        assert_int_equal(parse_many(lists[i].field, lists[i].content, lists[i].max + 1), YZ_ELIMIT);
    }
    assert_int_equal(parse_many(3, (yz_bytes){0}, 1), YZ_EMALFORMED); /* a key without parts */
    static const uint8_t parts[] = "\x0a\0\x0a\0\x0a\0\x0a\0\x0a\0\x0a\0\x0a\0\x0a\0\x0a\0";
    assert_int_equal(parse_many(3, yzi_bytes(parts, 16), 1), 0);
    assert_int_equal(parse_many(3, yzi_bytes(parts, 18), 1), YZ_ELIMIT);
    uint8_t *big = calloc(1, YZ_VALUE_MAX + 1);
    assert_non_null(big);
    YZ_AUTO(yzi_buf_fini) yz_buf value = buf(), key = buf();
    wire_raw(&value, 1, yzi_bytes(big, YZ_VALUE_MAX));
    wire_raw(&key, 1, yzi_bytes_buf(&value));
    assert_int_equal(parse_many(3, yzi_bytes_buf(&key), 1), 0); /* NUL bytes are a value's own */
    yzi_buf_clear(&value);
    yzi_buf_clear(&key);
    wire_raw(&value, 1, yzi_bytes(big, YZ_VALUE_MAX + 1));
    wire_raw(&key, 1, yzi_bytes_buf(&value));
    assert_int_equal(parse_many(3, yzi_bytes_buf(&key), 1), YZ_ELIMIT);
    assert_int_equal(parse_many(7, yzi_bytes(big, YZ_CURSOR_MAX), 1), 0);
    assert_int_equal(parse_many(7, yzi_bytes(big, YZ_CURSOR_MAX + 1), 1), YZ_ELIMIT);
    free(big);
}

static void test_query__numbers_are_known_and_in_one_form(void **state)
{
    (void)state;
    for (uint64_t operation = 0; operation <= 6; operation++) {
        YZ_AUTO(yzi_buf_fini) yz_buf q = buf();
        wire_num(&q, 1, operation);
        assert_int_equal(parse_query(&q), operation >= 1 && operation <= 4 ? 0 : YZ_EMALFORMED);
    }
    YZ_AUTO(yzi_buf_fini) yz_buf q = buf();
    wire_num(&q, 1, QUERY_FIND);
    wire_num(&q, 6, 0); /* absent says that */
    assert_int_equal(parse_query(&q), YZ_EMALFORMED);
    assert_int_equal(parse_many(5,
                                yzi_bytes("\x0a\x01"
                                          "f"
                                          "\x10\x00",
                                          5),
                                1),
                     YZ_EMALFORMED);
    assert_int_equal(parse_many(5,
                                yzi_bytes("\x0a\x01"
                                          "f"
                                          "\x10\x01",
                                          5),
                                1),
                     0);
}

/* 200 bytes of wire per KiB of memory: what a head costs is bounded by its elements. */
static void test_heads__cost_no_more_than_their_elements(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf condition = buf(), q = buf(), head = buf();
    wire_raw(&condition, 1, str("f"));
    wire_num(&condition, 2, OP_IN);
    for (unsigned i = 0; i < 1000; i++) {
        wire_raw(&condition, 3, (yz_bytes){0});
    }
    wire_num(&q, 1, QUERY_FIND);
    for (unsigned i = 0; i < 32; i++) {
        wire_raw(&q, 4, yzi_bytes_buf(&condition));
    }
    wire_raw(&head, 4, yzi_bytes_buf(&q));
    YZ_AUTO(yzi_arena_fini) struct arena a = arena();
    struct request_head h;
    assert_int_equal(yzi_request_head_parse(yzi_bytes_buf(&head), &a, &h), 0);
    assert_true(a.used < 4u << 20);
    struct arena small;
    yzi_arena_init(&small, a.used / 2);
    assert_int_equal(yzi_request_head_parse(yzi_bytes_buf(&head), &small, &h), YZ_ELIMIT);
    yzi_arena_fini(&small);
    /* 65,536 elements and one */
    for (unsigned i = 0; i < 34000; i++) {
        wire_raw(&q, 8, yzi_bytes("\x0a\x01p", 3));
    }
    yzi_buf_clear(&head);
    wire_raw(&head, 4, yzi_bytes_buf(&q));
    assert_int_equal(hostile_parse(parse_request, yzi_bytes_buf(&head)), YZ_ELIMIT);
}

static int parse_http(yz_bytes method, yz_bytes path, yz_bytes name, yz_bytes value, unsigned n)
{
    YZ_AUTO(yzi_buf_fini) yz_buf header = buf(), http = buf(), head = buf();
    wire_raw(&header, 1, name);
    wire_raw(&header, 2, value);
    wire_raw(&http, 1, method);
    wire_raw(&http, 2, path);
    for (unsigned i = 0; i < n; i++) {
        wire_raw(&http, 3, yzi_bytes_buf(&header));
    }
    wire_raw(&head, 5, yzi_bytes_buf(&http));
    return hostile_parse(parse_request, yzi_bytes_buf(&head));
}

static void test_http__cannot_smuggle(void **state)
{
    (void)state;
    yz_bytes get = str("GET"), path = str("/a"), name = str("Accept"), value = str("a, b\tc");
    assert_int_equal(parse_http(get, path, name, value, 64), 0);
    assert_int_equal(parse_http(get, path, name, value, 65), YZ_ELIMIT);
    assert_int_equal(parse_http(get, path, name, str("\xe4\xba\xba"), 1), 0); /* obs-text */
    static const char *const bad_paths[] = {"", "a", "http://h/", "/a b", "/a\n", "/\xe4", "/a#b"};
    for (size_t i = 0; i < sizeof bad_paths / sizeof bad_paths[0]; i++) {
        assert_int_equal(parse_http(get, str(bad_paths[i]), name, value, 1), YZ_EMALFORMED);
    }
    assert_int_equal(parse_http(get, yzi_bytes("/a\0", 3), name, value, 1), YZ_EMALFORMED);
    static const char *const bad_tokens[] = {"", "A B", "A:", "A\r", "\xc3\xa9", "A\x7f", "(A)"};
    for (size_t i = 0; i < sizeof bad_tokens / sizeof bad_tokens[0]; i++) {
        assert_int_equal(parse_http(str(bad_tokens[i]), path, name, value, 1), YZ_EMALFORMED);
        assert_int_equal(parse_http(get, path, str(bad_tokens[i]), value, 1), YZ_EMALFORMED);
    }
    assert_int_equal(parse_http(get, path, yzi_bytes("A\0", 2), value, 1), YZ_EMALFORMED);
    static const char *const bad_values[] = {"a\r\nX: y", "a\n", "\x01", "a\x7f"};
    for (size_t i = 0; i < sizeof bad_values / sizeof bad_values[0]; i++) {
        assert_int_equal(parse_http(get, path, name, str(bad_values[i]), 1), YZ_EMALFORMED);
    }
    assert_int_equal(parse_http(get, path, name, yzi_bytes("a\0", 2), 1), YZ_EMALFORMED);
    char *big = malloc(8194);
    assert_non_null(big);
    memset(big, '/', 8194);
    assert_int_equal(parse_http(get, yzi_bytes(big, 8192), name, value, 1), 0);
    assert_int_equal(parse_http(get, yzi_bytes(big, 8193), name, value, 1), YZ_ELIMIT);
    assert_int_equal(parse_http(get, path, name, yzi_bytes(big, 8193), 1), YZ_ELIMIT);
    memset(big, 'A', 8194);
    assert_int_equal(parse_http(get, path, yzi_bytes(big, 129), value, 1), YZ_ELIMIT);
    assert_int_equal(parse_http(yzi_bytes(big, 33), path, name, value, 1), YZ_ELIMIT);
    free(big);
}

static void test_request_head__writer_refuses_what_the_parser_would(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    struct request_head h = sample_query();
    h.user = str("a\nb");
    assert_int_equal(yzi_request_head_write(&h, &b), YZ_EINVAL);
    h = sample_query();
    h.query.operation = (enum query_operation)9;
    assert_int_equal(yzi_request_head_write(&h, &b), YZ_EINVAL);
    h = sample_query();
    h.query.fields_n = YZ_QUERY_FIELDS_MAX + 1;
    assert_int_equal(yzi_request_head_write(&h, &b), YZ_ELIMIT);
    h = sample_query();
    filter[1].values_n = 0;
    assert_int_equal(yzi_request_head_write(&h, &b), YZ_EINVAL);
    struct query_value null_with_bytes = {true, str("x")};
    struct query_key key = {&null_with_bytes, 1};
    h = sample_query();
    h.query.keys = &key;
    h.query.keys_n = 1;
    assert_int_equal(yzi_request_head_write(&h, &b), YZ_EINVAL);
    h = sample_http();
    http_headers[0].value = str("a\r\nb");
    assert_int_equal(yzi_request_head_write(&h, &b), YZ_EINVAL);
    assert_int_equal(b.n, 0);
}

static int round_trip(void *wire)
{
    YZ_AUTO(yzi_arena_fini) struct arena a = arena();
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    struct request_head h;
    YZ_TRY(yzi_request_head_parse(*(yz_bytes *)wire, &a, &h));
    return yzi_request_head_write(&h, &b);
}

static void test_request_head__survives_running_out_of_memory(void **state)
{
    (void)state;
    yz_bytes wire = yz_vector(heads, "head_query");
    assert_true(yz_alloc_fail_each(round_trip, &wire) >= 3);
}

/* -- answers -- */

static void test_answer_head__agrees_with_the_vectors(void **state)
{
    (void)state;
    struct answer_field answer_fields[] = {{str("name"), FIELD_TEXT, MASK_INITIAL},
                                           {str("status"), FIELD_CODE, MASK_NONE}};
    enum match_result matches[] = {MATCH_YES, MATCH_NO, MATCH_UNKNOWN};
    struct http_header content_type = {str("Content-Type"), str("text/plain")};
    const struct answer_head samples[] = {
        {.code = ANSWER_OK,
         .detail = str("\xe4\xb8\xa4\xe6\x9d\xa1\xe8\xae\xb0\xe5\xbd\x95"),
         .fields = answer_fields,
         .fields_n = 2,
         .rows = 2,
         .cursor = yzi_bytes(counted + 0xc0, 20),
         .has_total = true,
         .total = 2,
         .grant = str("g-1")},
        {.code = ANSWER_OK, .matches = matches, .matches_n = 3},
        {.code = ANSWER_OK, .http_status = 404, .http_headers = &content_type, .http_headers_n = 1},
    };
    static const char *const names[] = {"answer", "answer_match", "answer_http"};
    for (int i = 0; i < 3; i++) {
        YZ_AUTO(yzi_arena_fini) struct arena a = arena();
        YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
        yz_bytes wire = yz_vector(heads, names[i]);
        struct answer_head read;
        assert_int_equal(yzi_answer_head_write(&samples[i], &b), 0);
        is_vector(&b, wire);
        assert_int_equal(yzi_answer_head_parse(wire, &a, &read), 0);
        assert_int_equal(read.rows, samples[i].rows);
        assert_int_equal(read.fields_n, samples[i].fields_n);
        assert_int_equal(read.http_status, samples[i].http_status);
        assert_true(read.has_total == samples[i].has_total && read.total == samples[i].total);
        for (size_t j = 0; j < read.matches_n; j++) {
            assert_int_equal(read.matches[j], matches[j]);
        }
        yzi_buf_clear(&b);
        assert_int_equal(yzi_answer_head_write(&read, &b), 0);
        is_vector(&b, wire);
    }
}

static int parse_answer_with(uint32_t field, const char *bytes, size_t n, uint64_t number)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    wire_num(&b, 1, ANSWER_OK);
    if (bytes) {
        wire_raw(&b, field, yzi_bytes(bytes, n));
    } else {
        wire_num(&b, field, number);
    }
    return hostile_parse(parse_answer, yzi_bytes_buf(&b));
}

static void test_answer_head__holds_its_invariants(void **state)
{
    (void)state;
    for (uint64_t code = 0; code < 9; code++) {
        YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
        wire_num(&b, 1, code);
        assert_int_equal(parse_answer(yzi_bytes_buf(&b)),
                         code >= 1 && code <= 6 ? 0 : YZ_EMALFORMED);
    }
    static const struct {
        uint32_t field;
        const char *bytes;
        size_t n;
        uint64_t number;
        int rc;
    } cases[] = {
        {2, "no-grant", 8, 0, 0},
        {2, "No", 2, 0, YZ_EMALFORMED},
        {3, "a\0b", 3, 0, YZ_EMALFORMED},
        {3, "\xe4\xba", 2, 0, YZ_EMALFORMED},
        {4, "\x0a\x01n\x10\x01", 5, 0, 0},
        {4, "\x0a\x01n\x10\x00", 5, 0, YZ_EMALFORMED},
        {4, "\x0a\x01n\x10\x09", 5, 0, YZ_EMALFORMED},
        {4, "\x0a\x01n\x10\x01\x18\x00", 7, 0, YZ_EMALFORMED}, /* no mask is said by absence */
        {4, "\x0a\x01n\x10\x01\x18\x05", 7, 0, 0},
        {4, "\x0a\x01n\x10\x01\x18\x06", 7, 0, YZ_EMALFORMED},
        {4, "\x0a\x00\x10\x01", 4, 0, YZ_EMALFORMED},
        {5, NULL, 0, 0, YZ_EMALFORMED},
        {5, NULL, 0, 1, YZ_EMALFORMED}, /* rows without fields */
        {7, NULL, 0, 0, 0},             /* counted, and there were none */
        {7, NULL, 0, UINT64_MAX, 0},
        {8, "G", 1, 0, YZ_EMALFORMED},
        {12, "purpose", 7, 0, 0},
        {12, "Purpose", 7, 0, YZ_EMALFORMED},
        {12, "", 0, 0, YZ_EMALFORMED},
        {9, "\1\3", 2, 0, 0},
        {9, "\0", 1, 0, YZ_EMALFORMED},
        {9, "\4", 1, 0, YZ_EMALFORMED},
        {9, "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1", 32, 0, 0},
        {9, "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1", 33, 0, YZ_ELIMIT},
        {10, NULL, 0, 200, 0},
        {10, NULL, 0, 599, 0},
        {10, NULL, 0, 0, YZ_EMALFORMED},
        {10, NULL, 0, 100, YZ_EMALFORMED},
        {10, NULL, 0, 600, YZ_EMALFORMED},
        {11,
         "\x0a\x01"
         "A\x12\x01"
         "b",
         6, 0, YZ_EMALFORMED}, /* headers without a status */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int rc = parse_answer_with(cases[i].field, cases[i].bytes, cases[i].n, cases[i].number);
        if (rc != cases[i].rc) {
            fail_msg("case %zu (field %u): %d", i, cases[i].field, rc);
        }
    }
    YZ_AUTO(yzi_buf_fini) yz_buf twice = buf();
    wire_num(&twice, 1, ANSWER_OK);
    wire_raw(&twice, 4, yzi_bytes("\x0a\x01n\x10\x01", 5));
    wire_raw(&twice, 4, yzi_bytes("\x0a\x01n\x10\x02", 5));
    assert_int_equal(parse_answer(yzi_bytes_buf(&twice)), YZ_EMALFORMED);
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    struct answer_head h = {.code = ANSWER_OK, .rows = 1};
    assert_int_equal(yzi_answer_head_write(&h, &b), YZ_EINVAL);
    h = (struct answer_head){.code = ANSWER_DENIED, .reason = str("no grant")};
    assert_int_equal(yzi_answer_head_write(&h, &b), YZ_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_head__agrees_with_the_vectors),
        cmocka_unit_test(test_request_head__is_read_field_by_field),
        cmocka_unit_test(test_request_head__rows_come_with_what_brings_some),
        cmocka_unit_test(test_query_body__is_exactly_the_rows_the_head_counts),
        cmocka_unit_test(test_heads__refuse_each_way_to_spoil_them),
        cmocka_unit_test(test_request_head__has_exactly_one_of_query_and_http),
        cmocka_unit_test(test_request_head__references_are_text_of_256_bytes),
        cmocka_unit_test(test_query__conditions_have_the_values_their_operator_takes),
        cmocka_unit_test(test_query__lists_have_their_limits),
        cmocka_unit_test(test_query__numbers_are_known_and_in_one_form),
        cmocka_unit_test(test_heads__cost_no_more_than_their_elements),
        cmocka_unit_test(test_http__cannot_smuggle),
        cmocka_unit_test(test_request_head__writer_refuses_what_the_parser_would),
        cmocka_unit_test(test_request_head__survives_running_out_of_memory),
        cmocka_unit_test(test_answer_head__agrees_with_the_vectors),
        cmocka_unit_test(test_answer_head__holds_its_invariants),
    };
    return cmocka_run_group_tests(tests, load_all, free_all);
}
