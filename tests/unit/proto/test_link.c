/* SPDX-License-Identifier: Apache-2.0
 *
 * proto/link: link and administration messages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/header.h"
#include "proto/link.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/vectors.h"
#include "tests/unit/proto/hostile.h"

#define ISSUED UINT64_C(1732309509123)

static struct vectors *vectors;
static uint8_t counted[256];

static int load(void **state)
{
    (void)state;
    vectors = calloc(1, sizeof *vectors);
    assert_non_null(vectors);
    yz_vectors_load(vectors, "link.txt");
    for (size_t i = 0; i < sizeof counted; i++) {
        counted[i] = (uint8_t)i;
    }
    return 0;
}

static int unload(void **state)
{
    (void)state;
    free(vectors);
    return 0;
}

static yz_buf buf(void)
{
    yz_buf b;
    yzi_buf_init(&b, 1 << 20);
    return b;
}

static yz_bytes str(const char *s)
{
    return yzi_bytes_str(s);
}

static yz_bytes counting(uint8_t first, size_t n)
{
    return yzi_bytes(counted + first, n);
}

/* The vector's header; that its frame is of that kind with that payload. */
static yz_bytes header_of(const char *name, enum frame_kind kind, size_t payload)
{
    struct frame f;
    assert_int_equal(yzi_frame_parse(yz_vector(vectors, name), YZ_MESSAGE_MAX, &f), 0);
    assert_int_equal(f.kind, kind);
    assert_true(yzi_bytes_eq(f.payload, counting(0, payload)));
    return f.header;
}

static void is_vector(yz_buf *b, int rc, const char *name)
{
    yz_bytes want = yz_vector(vectors, name);
    assert_int_equal(rc, 0);
    assert_int_equal(b->n, want.n);
    assert_memory_equal(b->p, want.p, want.n);
    yzi_buf_clear(b);
}

/* -- both ways, each message -- */

static void test_hello__agrees_with_the_vector(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    struct hello read, m = {.node = {str("CN/GOV/MCA/@a1")},
                            .role = ROLE_ADAPTER,
                            .directory_version = 42,
                            .software = str("yizhan 0.1")};
    memcpy(m.boot.b, counted + 0x70, 16);
    is_vector(&b, yzi_hello_write(&m, &b), "hello");
    assert_int_equal(yzi_hello_parse(header_of("hello", FRAME_HELLO, 0), &read), 0);
    assert_true(yzi_bytes_eq(read.node.v, m.node.v) && yzi_bytes_eq(read.software, m.software));
    assert_int_equal(read.role, ROLE_ADAPTER);
    assert_true(read.directory_version == 42 && yzi_uuid_eq(&read.boot, &m.boot));
}

static void test_welcome__agrees_with_the_vector(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    struct welcome read, m = {.node = {str("CN/@b1")},
                              .directory_version = 43,
                              .heartbeat_ms = 2000,
                              .message_max = YZ_MESSAGE_MAX,
                              .time = ISSUED,
                              .software = str("yizhan 0.1")};
    is_vector(&b, yzi_welcome_write(&m, &b), "welcome");
    assert_int_equal(yzi_welcome_parse(header_of("welcome", FRAME_WELCOME, 0), &read), 0);
    assert_true(yzi_bytes_eq(read.node.v, m.node.v) && read.time == ISSUED);
    assert_int_equal(read.heartbeat_ms, 2000);
    assert_int_equal(read.message_max, YZ_MESSAGE_MAX);
}

static void test_heartbeat__agrees_with_the_vector(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    struct heartbeat read, m = {.directory_version = 43, .in_flight = 5, .time = ISSUED};
    is_vector(&b, yzi_heartbeat_write(&m, &b), "heartbeat");
    assert_int_equal(yzi_heartbeat_parse(header_of("heartbeat", FRAME_HEARTBEAT, 0), &read), 0);
    assert_true(read.directory_version == 43 && read.in_flight == 5 && read.time == ISSUED);
}

static void test_fetch_and_object__agree_with_the_vectors(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    struct fetch read, m = {9, FETCH_CHUNK, counting(0, 32)};
    is_vector(&b, yzi_fetch_write(&m, &b), "fetch_chunk");
    assert_int_equal(yzi_fetch_parse(header_of("fetch_chunk", FRAME_FETCH, 0), &read), 0);
    assert_true(read.token == 9 && read.what == FETCH_CHUNK && yzi_bytes_eq(read.name, m.name));
    m = (struct fetch){10, FETCH_SERVICE, str("CN/GOV/MCA/civil/marriage/v1")};
    is_vector(&b, yzi_fetch_write(&m, &b), "fetch_service");
    assert_int_equal(yzi_fetch_parse(header_of("fetch_service", FRAME_FETCH, 0), &read), 0);

    struct object got, o = {9, FETCH_CHUNK, true};
    is_vector(&b, yzi_object_write(&o, counting(0, 64), &b), "object");
    assert_int_equal(yzi_object_parse(header_of("object", FRAME_OBJECT, 64), &got), 0);
    assert_true(got.token == 9 && got.what == FETCH_CHUNK && got.found);
    o.found = false;
    is_vector(&b, yzi_object_write(&o, (yz_bytes){0}, &b), "object_absent");
    assert_int_equal(yzi_object_parse(header_of("object_absent", FRAME_OBJECT, 0), &got), 0);
    assert_false(got.found);
    assert_int_equal(yzi_object_write(&o, counting(0, 1), &b), YZ_EINVAL); /* absent, yet there */
}

static void test_put_and_result__agree_with_the_vectors(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    uint32_t token = 0;
    is_vector(&b, yzi_put_write(3, counting(0, 64), &b), "put");
    assert_int_equal(yzi_put_parse(header_of("put", FRAME_PUT, 64), &token), 0);
    assert_int_equal(token, 3);
    assert_int_equal(yzi_put_write(3, (yz_bytes){0}, &b), YZ_EINVAL); /* a put of nothing */
    struct put_result read, m = {3, YZ_EROLLBACK, str("older than version 12")};
    is_vector(&b, yzi_put_result_write(&m, &b), "put_result");
    assert_int_equal(yzi_put_result_parse(header_of("put_result", FRAME_PUT_RESULT, 0), &read), 0);
    assert_int_equal(read.code, YZ_EROLLBACK);
    assert_true(read.token == 3 && yzi_bytes_eq(read.text, m.text));
}

static void test_log_messages__agree_with_the_vectors(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    struct checkpoint_ref again, seen = {.present = true, .log = 1732000000000, .size = 1234};
    seen.signature = counting(0x50, 64);
    memcpy(seen.root.b, counted + 0x10, 32);
    uint8_t bytes[YZ_SEEN_BYTES];
    yzi_seen_write(&seen, bytes);
    assert_int_equal(yzi_seen_parse(yzi_bytes(bytes, sizeof bytes), &again), 0);
    assert_true(again.present && again.log == seen.log && again.size == seen.size);
    assert_true(yzi_digest_eq(&again.root, &seen.root));
    assert_true(yzi_bytes_eq(again.signature, seen.signature));
    assert_int_equal(yzi_seen_parse(yzi_bytes(bytes, sizeof bytes - 1), &again), YZ_EMALFORMED);
    struct hello read, m;
    assert_int_equal(yzi_hello_parse(header_of("hello_seen", FRAME_HELLO, 0), &m), 0);
    assert_true(yzi_bytes_eq(m.checkpoint, yzi_bytes(bytes, sizeof bytes)));
    is_vector(&b, yzi_hello_write(&m, &b), "hello_seen");
    assert_int_equal(yzi_hello_parse(header_of("hello", FRAME_HELLO, 0), &read), 0);
    assert_int_equal(read.checkpoint.n, 0);
    m.checkpoint.n--;
    assert_int_equal(yzi_hello_write(&m, &b), YZ_EINVAL);

    struct receipt_for of, r;
    assert_int_equal(yzi_uuid_parse("0193512e-8f00-7abc-8def-0123456789ab", &r.message_id), 0);
    memcpy(r.request_digest.b, counted + 0x30, 32);
    is_vector(&b, yzi_receipt_for_write(&r, counting(0, 64), &b), "receipt");
    assert_int_equal(yzi_receipt_for_parse(header_of("receipt", FRAME_RECEIPT, 64), &of), 0);
    assert_true(yzi_uuid_eq(&of.message_id, &r.message_id));
    assert_true(yzi_digest_eq(&of.request_digest, &r.request_digest));
    assert_int_equal(yzi_receipt_for_write(&r, (yz_bytes){0}, &b), YZ_EINVAL); /* of nothing */

    struct fetch f;
    assert_int_equal(yzi_fetch_parse(header_of("fetch_consistency", FRAME_FETCH, 0), &f), 0);
    is_vector(&b, yzi_fetch_write(&f, &b), "fetch_consistency");
    assert_int_equal(f.what, FETCH_CONSISTENCY);
    assert_int_equal(yzi_fetch_parse(header_of("fetch_receipt", FRAME_FETCH, 0), &f), 0);
    is_vector(&b, yzi_fetch_write(&f, &b), "fetch_receipt");
    assert_int_equal(f.what, FETCH_RECEIPT);
    assert_int_equal(yzi_fetch_parse(header_of("fetch_statements", FRAME_FETCH, 0), &f), 0);
    is_vector(&b, yzi_fetch_write(&f, &b), "fetch_statements");
    assert_true(f.what == FETCH_STATEMENTS && yzi_bytes_eq_str(f.name, "CN/GOV/MCA"));
}

static void test_reject_and_bye__agree_with_the_vectors(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    struct reject read,
        m = {.status = OUTCOME_BUSY, .reason = str("queue-full"), .retry_after_ms = 250};
    assert_int_equal(yzi_uuid_parse("0193512e-8f00-7abc-8def-0123456789ab", &m.message_id), 0);
    memcpy(m.request_digest.b, counted + 0x30, 32);
    is_vector(&b, yzi_reject_write(&m, &b), "reject");
    assert_int_equal(yzi_reject_parse(header_of("reject", FRAME_REJECT, 0), &read), 0);
    assert_true(yzi_uuid_eq(&read.message_id, &m.message_id));
    assert_true(yzi_digest_eq(&read.request_digest, &m.request_digest));
    assert_true(read.status == OUTCOME_BUSY && read.retry_after_ms == 250);
    yz_bytes reason;
    is_vector(&b, yzi_bye_write(str("shutdown"), &b), "bye");
    is_vector(&b, yzi_bye_write((yz_bytes){0}, &b), "bye_plain");
    assert_int_equal(yzi_bye_parse(header_of("bye", FRAME_BYE, 0), &reason), 0);
    assert_true(yzi_bytes_eq_str(reason, "shutdown"));
    assert_int_equal(yzi_bye_parse((yz_bytes){0}, &reason), 0);
    assert_int_equal(reason.n, 0);
}

static void test_admin__agrees_with_the_vectors(void **state)
{
    (void)state;
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 16);
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    struct admin_arg args[] = {{str("note"), str("two\nlines")}, {str("empty"), {0}}};
    struct admin_request read, m = {str("directory.publish"), args, 2};
    is_vector(&b, yzi_admin_request_write(&m, counting(0, 16), &b), "admin_request");
    yz_bytes header = header_of("admin_request", FRAME_ADMIN_REQUEST, 16);
    assert_int_equal(yzi_admin_request_parse(header, &a, &read), 0);
    assert_true(yzi_bytes_eq(read.verb, m.verb) && read.args_n == 2);
    assert_true(yzi_bytes_eq_str(yzi_admin_arg(&read, "note"), "two\nlines"));
    assert_int_equal(yzi_admin_arg(&read, "empty").n, 0);
    assert_int_equal(yzi_admin_arg(&read, "not").n, 0);
    assert_int_equal(yzi_admin_arg(&read, "notes").n, 0);
    struct admin_reply got, reply = {true, 0, str("published")};
    is_vector(&b, yzi_admin_reply_write(&reply, (yz_bytes){0}, &b), "admin_reply");
    assert_int_equal(yzi_admin_reply_parse(header_of("admin_reply", FRAME_ADMIN_REPLY, 0), &got),
                     0);
    assert_true(got.done && got.code == 0 && yzi_bytes_eq_str(got.text, "published"));
}

/* -- hostile wire bytes -- */

#define PARSER(name, type)                                                                         \
    static int parse_##name(yz_bytes header)                                                       \
    {                                                                                              \
        type m;                                                                                    \
        return yzi_##name##_parse(header, &m);                                                     \
    }
PARSER(hello, struct hello)
PARSER(welcome, struct welcome)
PARSER(heartbeat, struct heartbeat)
PARSER(fetch, struct fetch)
PARSER(object, struct object)
PARSER(put, uint32_t)
PARSER(put_result, struct put_result)
PARSER(reject, struct reject)
PARSER(receipt_for, struct receipt_for)
PARSER(bye, yz_bytes)
PARSER(admin_reply, struct admin_reply)

static int parse_admin_request(yz_bytes header)
{
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 16);
    struct admin_request m;
    return yzi_admin_request_parse(header, &a, &m);
}

static const struct {
    const char *vector;
    enum frame_kind kind;
    size_t payload;
    struct hostile how;
} messages[] = {
    {"hello", FRAME_HELLO, 0, {parse_hello, FIELD(4), 0, FIELD(5), true}},
    {"hello_seen", FRAME_HELLO, 0, {parse_hello, FIELD(6), 0, FIELD(5) | FIELD(6), true}},
    {"receipt", FRAME_RECEIPT, 64, {parse_receipt_for, 0, 0, FIELD(1) | FIELD(2), true}},
    {"fetch_consistency", FRAME_FETCH, 0, {parse_fetch, 0, 0, FIELD(3), true}},
    {"fetch_receipt", FRAME_FETCH, 0, {parse_fetch, 0, 0, FIELD(3), true}},
    {"fetch_statements", FRAME_FETCH, 0, {parse_fetch, FIELD(3), 0, 0, true}},
    {"welcome", FRAME_WELCOME, 0, {parse_welcome, FIELD(6), 0, 0, true}},
    {"heartbeat", FRAME_HEARTBEAT, 0, {parse_heartbeat, FIELD(2) | FIELD(3), 0, 0, true}},
    {"fetch_chunk", FRAME_FETCH, 0, {parse_fetch, 0, 0, FIELD(3), true}},
    {"fetch_service", FRAME_FETCH, 0, {parse_fetch, 0, 0, 0, true}},
    {"object", FRAME_OBJECT, 64, {parse_object, 0, 0, 0, true}},
    {"put", FRAME_PUT, 64, {parse_put, 0, 0, 0, true}},
    {"put_result", FRAME_PUT_RESULT, 0, {parse_put_result, FIELD(3), 0, 0, true}},
    {"reject", FRAME_REJECT, 0, {parse_reject, FIELD(4) | FIELD(5), 0, FIELD(1) | FIELD(2), true}},
    {"bye", FRAME_BYE, 0, {parse_bye, FIELD(1), 0, 0, true}},
    /* an argument again is refused for its key */
    {"admin_request", FRAME_ADMIN_REQUEST, 16, {parse_admin_request, FIELD(2), 0, 0, true}},
    {"admin_reply", FRAME_ADMIN_REPLY, 0, {parse_admin_reply, FIELD(3), 0, 0, true}},
};

static void test_link__refuses_each_way_to_spoil_a_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        yz_bytes header = header_of(messages[i].vector, messages[i].kind, messages[i].payload);
        hostile_check(&messages[i].how, header);
    }
}

/* Any error of these parsers is the one their contract names. */
static void test_link__says_only_malformed(void **state)
{
    (void)state;
    uint8_t *big = calloc(1, YZ_HEADER_MAX + 1);
    assert_non_null(big);
    YZ_AUTO(yzi_buf_fini) yz_buf many = buf();
    for (unsigned i = 0; i < 257; i++) {
        wire_num(&many, 50, 1);
    }
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        hostile_parser parse = messages[i].how.parse;
        assert_int_equal(hostile_parse(parse, yzi_bytes(big, YZ_HEADER_MAX + 1)), YZ_EMALFORMED);
        assert_int_equal(hostile_parse(parse, yzi_bytes(big, YZ_HEADER_MAX)), YZ_EMALFORMED);
        assert_int_equal(hostile_parse(parse, yzi_bytes_buf(&many)), YZ_EMALFORMED);
    }
    free(big);
}

static void check(const char *vector, uint32_t field, const char *bytes, size_t n, uint64_t number,
                  int rc)
{
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        if (strcmp(messages[i].vector, vector) != 0) {
            continue;
        }
        YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
        yz_bytes header = header_of(vector, messages[i].kind, messages[i].payload);
        if (bytes) {
            wire_replace(header, field, yzi_bytes(bytes, n), &b);
        } else {
            wire_replace_num(header, field, number, &b);
        }
        int got = hostile_parse(messages[i].how.parse, yzi_bytes_buf(&b));
        if (got != rc) {
            fail_msg("%s, field %u: %d", vector, field, got);
        }
        return;
    }
    fail_msg("no %s", vector);
}

static void is_refused(const char *vector, uint32_t field, const char *text)
{
    check(vector, field, text, strlen(text), 0, YZ_EMALFORMED);
}
static void is_taken(const char *vector, uint32_t field, const char *text)
{
    check(vector, field, text, strlen(text), 0, 0);
}
static void number_is(const char *vector, uint32_t field, uint64_t v, int rc)
{
    check(vector, field, NULL, 0, v, rc);
}

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_link__holds_its_invariants(void **state)
{
    (void)state;
    is_refused("hello", 1, "CN/@b1"); /* an adapter is no broker */
    is_refused("hello", 1, "CN/GOV/MCA/civil");
    is_refused("hello", 1, "CN/GOV/MCA/@a\xff");
    number_is("hello", 2, ROLE_CLIENT, 0);
    number_is("hello", 2, ROLE_BROKER, YZ_EMALFORMED);
    number_is("hello", 2, 0, YZ_EMALFORMED);
    number_is("hello", 2, 4, YZ_EMALFORMED);
    is_taken("hello", 4, A64);
    is_refused("hello", 4, A64 "a");
    is_refused("hello", 4, "a\nb");
    check("hello", 4, "a\0b", 3, 0, YZ_EMALFORMED);
    is_refused("welcome", 1, "CN/GOV/MCA/@a1");
    number_is("welcome", 3, 0, YZ_EMALFORMED);
    number_is("welcome", 4, 16, YZ_EMALFORMED);
    number_is("heartbeat", 2, 0, YZ_EMALFORMED); /* absent says that */
    number_is("heartbeat", 3, 0, YZ_EMALFORMED);
    number_is("fetch_chunk", 1, 0, YZ_EMALFORMED);
    number_is("object", 1, 0, 0);
    number_is("object", 3, 2, YZ_EMALFORMED);
    number_is("object", 2, 10, YZ_EMALFORMED);
    number_is("object", 2, 0, YZ_EMALFORMED);
    number_is("put_result", 2, 1, YZ_EMALFORMED); /* success is 0, errors are negative */
    number_is("put_result", 2, 0, 0);
    is_taken("put_result", 3, "two\nlines");
    is_refused("put_result", 3, "a\x1b[31m");
    check("put_result", 3, "a\0", 2, 0, YZ_EMALFORMED);
    number_is("reject", 3, 0, YZ_EMALFORMED);
    number_is("reject", 3, 14, YZ_EMALFORMED);
    is_refused("reject", 1, "\x01\x93\x51\x2e\x8f\x01\x4a\xbc\x8d\xef\x01\x23\x45\x67\x89\xab");
    is_refused("reject", 4, "Queue full");
    is_refused("bye", 1, "go away");
    is_refused("bye", 1, A64 "a");
    is_refused("admin_request", 1, "");
    is_refused("admin_request", 1, "a b");
    is_refused("admin_request", 1, A64 "a");
    is_refused("admin_request", 2, "\x0a\x01k\x12\x01\x07"); /* a bell */
    is_refused("admin_request", 2, "\x0a\x01k\x12\x01\xff");
    is_refused("admin_request", 2,
               "\x0a\x05"
               "empty\x12\x01v"); /* again */
    number_is("admin_reply", 1, 0, 0);
    number_is("admin_reply", 1, 2, YZ_EMALFORMED);
}

/* What is fetched decides what its name is: digest, service, subsystem or nothing. */
static void test_fetch__has_the_name_of_its_kind(void **state)
{
    (void)state;
    const yz_bytes names[] = {{0},
                              counting(1, 32),
                              str("CN/GOV/MCA/civil/marriage/v1"),
                              str("CN/GOV/MCA/civil"),
                              str("CN/GOV/MCA")};
    static const int right[] = {-1, 0, 1, 0, 2, 3, 0, 0, -1}; /* by kind; -1: no such kind */
    for (unsigned what = 0; what < 9; what++) {
        for (int i = 0; i < 5; i++) {
            YZ_AUTO(yzi_buf_fini) yz_buf b = buf(), frame = buf();
            wire_num(&b, 1, 1);
            wire_num(&b, 2, what);
            if (names[i].n) {
                wire_raw(&b, 3, names[i]);
            }
            bool fits = right[what] == i || (what == FETCH_STATEMENTS && i == 4) ||
                        (what == FETCH_CATALOGUE && i == 3);
            assert_int_equal(hostile_parse(parse_fetch, yzi_bytes_buf(&b)),
                             fits ? 0 : YZ_EMALFORMED);
            struct fetch m = {1, (enum fetch_what)what, names[i]};
            assert_int_equal(yzi_fetch_write(&m, &frame), fits ? 0 : YZ_EINVAL);
        }
    }
}

static void test_admin__has_at_most_32_arguments(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf wire = buf(), frame = buf();
    struct admin_arg args[YZ_ADMIN_ARGS_MAX + 1];
    char names[YZ_ADMIN_ARGS_MAX + 1][8];
    wire_raw(&wire, 1, str("verb"));
    for (unsigned i = 0; i <= YZ_ADMIN_ARGS_MAX; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf arg = buf();
        snprintf(names[i], sizeof names[i], "k%u", i);
        args[i] = (struct admin_arg){str(names[i]), str("v")};
        wire_raw(&arg, 1, args[i].key);
        wire_raw(&arg, 2, args[i].value);
        wire_raw(&wire, 2, yzi_bytes_buf(&arg));
        int rc = i < YZ_ADMIN_ARGS_MAX ? 0 : YZ_EMALFORMED;
        assert_int_equal(hostile_parse(parse_admin_request, yzi_bytes_buf(&wire)), rc);
        struct admin_request m = {str("verb"), args, i + 1};
        yzi_buf_clear(&frame);
        assert_int_equal(yzi_admin_request_write(&m, (yz_bytes){0}, &frame), rc ? YZ_EINVAL : 0);
    }
    struct admin_request twice = {str("verb"), args, 2};
    args[1].key = args[0].key;
    assert_int_equal(yzi_admin_request_write(&twice, (yz_bytes){0}, &frame), YZ_EINVAL);
    /* what does not fit a header goes into the payload */
    char *text = malloc(5000);
    assert_non_null(text);
    memset(text, 't', 5000);
    yzi_buf_clear(&frame);
    struct admin_reply reply = {false, 0, yzi_bytes(text, 4096)};
    assert_int_equal(yzi_admin_reply_write(&reply, (yz_bytes){0}, &frame), YZ_ETOOBIG);
    assert_int_equal(frame.n, 0);
    reply.text.n = 4000;
    assert_int_equal(yzi_admin_reply_write(&reply, yzi_bytes(text, 5000), &frame), 0);
    free(text);
}

static int parse_admin_once(void *header)
{
    return parse_admin_request(*(yz_bytes *)header);
}

static void test_admin__survives_running_out_of_memory(void **state)
{
    (void)state;
    yz_bytes header = header_of("admin_request", FRAME_ADMIN_REQUEST, 16);
    assert_true(yz_alloc_fail_each(parse_admin_once, &header) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello__agrees_with_the_vector),
        cmocka_unit_test(test_welcome__agrees_with_the_vector),
        cmocka_unit_test(test_heartbeat__agrees_with_the_vector),
        cmocka_unit_test(test_fetch_and_object__agree_with_the_vectors),
        cmocka_unit_test(test_put_and_result__agree_with_the_vectors),
        cmocka_unit_test(test_log_messages__agree_with_the_vectors),
        cmocka_unit_test(test_reject_and_bye__agree_with_the_vectors),
        cmocka_unit_test(test_admin__agrees_with_the_vectors),
        cmocka_unit_test(test_link__refuses_each_way_to_spoil_a_message),
        cmocka_unit_test(test_link__says_only_malformed),
        cmocka_unit_test(test_link__holds_its_invariants),
        cmocka_unit_test(test_fetch__has_the_name_of_its_kind),
        cmocka_unit_test(test_admin__has_at_most_32_arguments),
        cmocka_unit_test(test_admin__survives_running_out_of_memory),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
