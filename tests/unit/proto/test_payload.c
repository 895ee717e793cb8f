/* SPDX-License-Identifier: Apache-2.0
 *
 * proto/payload: plaintexts, request heads, answer heads, rows.
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
        {"answer", "answer_commitment", PLAIN_ANSWER, yz_vector(heads, "answer"),
         yz_vector(heads, "rows")},
        {"http", "http_commitment", PLAIN_HTTP, yz_vector(heads, "head_http"),
         yzi_bytes(zeros, sizeof zeros)},
    };
    for (size_t i = 0; i < 3; i++) {
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
    static const char *const names[] = {"head_query", "head_http"};
    for (int i = 0; i < 2; i++) {
        YZ_AUTO(yzi_arena_fini) struct arena a = arena();
        YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
        struct request_head h = i ? sample_http() : sample_query(), read;
        yz_bytes wire = yz_vector(heads, names[i]);
        assert_int_equal(yzi_request_head_write(&h, &b), 0);
        is_vector(&b, wire);
        assert_int_equal(yzi_request_head_parse(wire, &a, &read), 0);
        yzi_buf_clear(&b);
        assert_int_equal(yzi_request_head_write(&read, &b), 0);
        is_vector(&b, wire);
    }
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
        cmocka_unit_test(test_request_head__agrees_with_the_vectors),
        cmocka_unit_test(test_request_head__is_read_field_by_field),
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
        cmocka_unit_test(test_rows__agree_with_the_vector),
        cmocka_unit_test(test_rows__are_exactly_rows_times_fields),
        cmocka_unit_test(test_rows__values_have_at_most_64_kib),
    };
    return cmocka_run_group_tests(tests, load_all, free_all);
}
