/* SPDX-License-Identifier: Apache-2.0
 *
 * adapters/dataset/cursor: a position comes back for exactly the binding it was made for, and the
 * plaintext is byte for byte as docs/protocol.md has it.
 */
#include "tests/unit/dataset/fixture.h"

#include <sodium.h>

#include "adapters/dataset/cursor.h"

#define NOW UINT64_C(1750000000000)

static const uint8_t key[CURSOR_KEY_BYTES] = "a key that is only for this test";

static struct cursor_binding binding(void)
{
    struct cursor_binding b = {.node.v = yzi_bytes_str("CN/GOV/MCA/@a1"),
                               .consumer.v = yzi_bytes_str("CN/GOV/HB/window"),
                               .service.v = yzi_bytes_str("CN/GOV/MCA/civil/marriage/v1"),
                               .grant = yzi_bytes_str("g-1"),
                               .policy_version = 7,
                               .generation = 3};
    memset(b.question.b, 0xab, sizeof b.question.b);
    return b;
}

static int open_with(const struct cursor_binding *b, uint64_t now, yz_bytes cursor,
                     const char **reason)
{
    yz_buf position;
    yzi_buf_init(&position, CURSOR_POSITION_MAX);
    *reason = "";
    int rc = yzi_cursor_open(key, b, now, cursor, &position, reason);
    if (rc == 0) {
        assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&position), "here"));
    }
    yzi_buf_fini(&position);
    return rc;
}

static void make(yz_buf *out)
{
    struct cursor_binding b = binding();
    yzi_buf_init(out, YZ_CURSOR_MAX);
    assert_int_equal(yzi_sodium_init(), 0);
    assert_int_equal(yzi_cursor_seal(key, &b, NOW, yzi_bytes_str("here"), out), 0);
}

static void test_cursor__plaintext_is_as_documented(void **unused)
{
    static const char expected[] = "01"
                                   "000001977420dc00"
                                   "0000000000000003"
                                   "0000000000000007"
                                   "abababababababababababababababab"
                                   "abababababababababababababababab"
                                   "03672d31"
                                   "68657265";
    char hex[2 * sizeof expected];
    struct cursor_binding b = binding();
    yz_buf plain;
    (void)unused;
    yzi_buf_init(&plain, 4096);
    assert_int_equal(yzi_cursor_plain(&b, NOW, yzi_bytes_str("here"), &plain), 0);
    sodium_bin2hex(hex, sizeof hex, plain.p, plain.n);
    assert_string_equal(hex, expected);
    yzi_buf_fini(&plain);
}

static void test_cursor__opens_for_its_binding_only(void **unused)
{
    const char *reason;
    yz_buf cursor;
    (void)unused;
    make(&cursor);
    yz_bytes c = yzi_bytes_buf(&cursor);
    struct cursor_binding b = binding();
    assert_int_equal(open_with(&b, NOW, c, &reason), 0);
    assert_int_equal(open_with(&b, NOW + 1, c, &reason), YZ_EINVAL);
    assert_string_equal(reason, "cursor-expired");
#define DIFFERS(change, why)                                                                       \
    b = binding();                                                                                 \
    change;                                                                                        \
    assert_int_equal(open_with(&b, NOW, c, &reason), YZ_EINVAL);                                   \
    assert_string_equal(reason, why)
    DIFFERS(b.node.v = yzi_bytes_str("CN/GOV/MCA/@a2"), "bad-cursor");
    DIFFERS(b.consumer.v = yzi_bytes_str("CN/GOV/HB/other"), "bad-cursor");
    DIFFERS(b.service.v = yzi_bytes_str("CN/GOV/MCA/civil/marriage/v2"), "bad-cursor");
    DIFFERS(b.question.b[31] ^= 1, "cursor-query");
    DIFFERS(b.policy_version++, "cursor-policy");
    DIFFERS(b.grant = yzi_bytes_str("g-2"), "cursor-policy");
    DIFFERS(b.generation++, "cursor-data");
    yzi_buf_fini(&cursor);
}

static void test_cursor__any_changed_byte_is_noticed(void **unused)
{
    const char *reason;
    yz_buf cursor;
    struct cursor_binding b = binding();
    (void)unused;
    make(&cursor);
    for (size_t i = 0; i < cursor.n; i++) {
        cursor.p[i] ^= 0x80;
        assert_int_equal(open_with(&b, NOW, yzi_bytes_buf(&cursor), &reason), YZ_EINVAL);
        assert_string_equal(reason, "bad-cursor");
        cursor.p[i] ^= 0x80;
    }
    for (size_t n = 0; n < cursor.n; n++) {
        assert_int_equal(open_with(&b, NOW, yzi_bytes(cursor.p, n), &reason), YZ_EINVAL);
    }
    yzi_buf_fini(&cursor);
}

static void test_cursor__tells_little_by_its_length(void **unused)
{
    struct cursor_binding b = binding();
    size_t first = 0;
    uint8_t position[40] = {1};
    (void)unused;
    for (size_t n = 1; n <= sizeof position; n++) {
        yz_buf cursor;
        yzi_buf_init(&cursor, YZ_CURSOR_MAX);
        assert_int_equal(yzi_cursor_seal(key, &b, NOW, yzi_bytes(position, n), &cursor), 0);
        first = first ? first : cursor.n;
        assert_int_equal(cursor.n, first);
        yzi_buf_fini(&cursor);
    }
}

static void test_cursor__question_is_all_but_limit_and_cursor(void **unused)
{
    struct query_value v = {.v = yzi_bytes_str("x")};
    struct query_condition c = {yzi_bytes_str("a"), OP_EQ, &v, 1};
    struct query_order o = {yzi_bytes_str("a"), false};
    yz_bytes field = yzi_bytes_str("a");
    struct query q = {.operation = QUERY_FIND,
                      .filter = &c,
                      .filter_n = 1,
                      .order = &o,
                      .order_n = 1,
                      .fields = &field,
                      .fields_n = 1};
    yz_digest first, other;
    (void)unused;
    assert_int_equal(yzi_cursor_question(&q, &first), 0);
    q.limit = 9;
    q.cursor = yzi_bytes_str("c");
    assert_int_equal(yzi_cursor_question(&q, &other), 0);
    assert_true(yzi_digest_eq(&first, &other));
#define CHANGES(change, back)                                                                      \
    change;                                                                                        \
    assert_int_equal(yzi_cursor_question(&q, &other), 0);                                          \
    assert_false(yzi_digest_eq(&first, &other));                                                   \
    back
    CHANGES(v.v = yzi_bytes_str("y"), v.v = yzi_bytes_str("x"));
    CHANGES(v = (struct query_value){.null = true}, v = (struct query_value){.v = field});
    v.v = yzi_bytes_str("x");
    CHANGES(c.op = OP_GE, c.op = OP_EQ);
    CHANGES(c.field = yzi_bytes_str("b"), c.field = yzi_bytes_str("a"));
    CHANGES(o.descending = true, o.descending = false);
    CHANGES(q.order_n = 0, q.order_n = 1);
    CHANGES(q.filter_n = 0, q.filter_n = 1);
    CHANGES(q.fields_n = 0, q.fields_n = 1);
    CHANGES(q.operation = QUERY_COUNT, q.operation = QUERY_FIND);
    assert_int_equal(yzi_cursor_question(&q, &other), 0);
    assert_true(yzi_digest_eq(&first, &other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cursor__plaintext_is_as_documented),
        cmocka_unit_test(test_cursor__opens_for_its_binding_only),
        cmocka_unit_test(test_cursor__any_changed_byte_is_noticed),
        cmocka_unit_test(test_cursor__tells_little_by_its_length),
        cmocka_unit_test(test_cursor__question_is_all_but_limit_and_cursor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
