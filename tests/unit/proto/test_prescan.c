/* SPDX-License-Identifier: Apache-2.0
 *
 * proto/prescan and proto/unpack: against hostile wire bytes, and against protobuf-c's own unpacker
 * as the second opinion on everything that is accepted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/link.pb-c.h"
#include "proto/message.pb-c.h"
#include "proto/payload.pb-c.h"
#include "proto/record.pb-c.h"
#include "proto/unpack.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/vectors.h"
#include "tests/unit/proto/hostile.h"

static const struct prescan_rules strict = {.depth = 5, .elements = 1000};
static const struct prescan_rules lax = {.depth = 5, .elements = 1000, .skip_unknown = true};

static yz_buf buf(void)
{
    yz_buf b;
    yzi_buf_init(&b, 1 << 20);
    return b;
}

/* -- varints and single fields -- */

static int read_varint(const char *bytes, size_t n, uint64_t *out)
{
    yz_reader r = yzi_reader(yzi_bytes(bytes, n));
    int rc = yzi_wire_varint(&r, out);
    assert_int_equal(r.left, rc == 0 ? 0 : n); /* all consumed, or nothing */
    return rc;
}

static void test_varint__reads_the_minimal_form_only(void **state)
{
    (void)state;
    uint64_t v = 7;
    assert_int_equal(read_varint("\x00", 1, &v), 0);
    assert_true(v == 0);
    assert_int_equal(read_varint("\x7f", 1, &v), 0);
    assert_true(v == 127);
    assert_int_equal(read_varint("\x80\x01", 2, &v), 0);
    assert_true(v == 128);
    assert_int_equal(read_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, &v), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(read_varint("", 0, &v), YZ_EMALFORMED);
    assert_int_equal(read_varint("\x80", 1, &v), YZ_EMALFORMED);
    assert_int_equal(read_varint("\x80\x00", 2, &v), YZ_EMALFORMED);
    assert_int_equal(read_varint("\xff\x80\x00", 3, &v), YZ_EMALFORMED);
    assert_int_equal(read_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9, &v), YZ_EMALFORMED);
    assert_int_equal(read_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, &v),
                     YZ_EMALFORMED);
    assert_int_equal(read_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11, &v),
                     YZ_EMALFORMED);
    assert_true(v == UINT64_MAX); /* untouched by the failures */
}

static int read_field(const char *bytes, size_t n, struct wire_field *out)
{
    yz_reader r = yzi_reader(yzi_bytes(bytes, n));
    return yzi_wire_next(&r, out);
}

static void test_wire__knows_every_wire_type(void **state)
{
    (void)state;
    struct wire_field f;
    assert_int_equal(read_field("\x08\x96\x01", 3, &f), 0);
    assert_int_equal(f.number, 1);
    assert_int_equal(f.type, WIRE_VARINT);
    assert_true(f.varint == 150);
    assert_int_equal(read_field("\x11\1\2\3\4\5\6\7\10", 9, &f), 0);
    assert_int_equal(f.type, WIRE_FIXED64);
    assert_int_equal(f.bytes.n, 8);
    assert_int_equal(read_field("\x15\1\2\3\4", 5, &f), 0);
    assert_int_equal(f.type, WIRE_FIXED32);
    assert_int_equal(f.bytes.n, 4);
    assert_int_equal(read_field("\x12\x03"
                                "abc",
                                5, &f),
                     0);
    assert_int_equal(f.number, 2);
    assert_true(yzi_bytes_eq_str(f.bytes, "abc"));
    /* the largest field number, and one more */
    assert_int_equal(read_field("\xf8\xff\xff\xff\x0f\x00", 6, &f), 0);
    assert_int_equal(f.number, 0x1fffffff);
    assert_int_equal(read_field("\x80\x80\x80\x80\x10\x00", 6, &f), YZ_EMALFORMED);
    assert_int_equal(read_field("\x11\1\2\3\4\5\6\7", 8, &f), YZ_EMALFORMED);
    assert_int_equal(read_field("\x15\1\2\3", 4, &f), YZ_EMALFORMED);
    assert_int_equal(read_field("\x0b\x0c", 2, &f), YZ_EMALFORMED); /* a group */
    assert_int_equal(read_field("\x0e\x00", 2, &f), YZ_EMALFORMED);
    assert_int_equal(read_field("\x0f\x00", 2, &f), YZ_EMALFORMED);
}

/* -- messages -- */

static int scan_order(yz_bytes wire) /* required bytes, optional bool */
{
    return yzi_prescan(&yizhan__wire__order__descriptor, wire, &strict);
}
static int scan_broker(yz_bytes wire) /* required bytes, optional message */
{
    return yzi_prescan(&yizhan__wire__broker_ref__descriptor, wire, &strict);
}
static int scan_heartbeat(yz_bytes wire)
{
    return yzi_prescan(&yizhan__wire__heartbeat__descriptor, wire, &lax);
}

static void test_prescan__refuses_each_way_to_spoil_a_message(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    wire_raw(&b, 1, yzi_bytes_str("name"));
    wire_num(&b, 2, 1);
    hostile_check(&(struct hostile){.parse = scan_order, .optional = FIELD(2)}, yzi_bytes_buf(&b));

    YZ_AUTO(yzi_buf_fini) yz_buf checkpoint = buf();
    wire_num(&checkpoint, 1, 1234);
    wire_raw(&checkpoint, 2, yzi_bytes_str("root"));
    wire_num(&checkpoint, 3, 5);
    wire_raw(&checkpoint, 4, yzi_bytes_str("signature"));
    yzi_buf_clear(&b);
    wire_raw(&b, 1, yzi_bytes_str("CN/@b1"));
    wire_raw(&b, 2, yzi_bytes_buf(&checkpoint));
    hostile_check(&(struct hostile){.parse = scan_broker, .optional = FIELD(2)}, yzi_bytes_buf(&b));

    yzi_buf_clear(&b);
    wire_num(&b, 1, 42);
    wire_num(&b, 2, 3);
    wire_num(&b, 3, 1732309509123);
    hostile_check(&(struct hostile){.parse = scan_heartbeat,
                                    .optional = FIELD(2) | FIELD(3),
                                    .skips_unknown = true},
                  yzi_bytes_buf(&b));
}

static void test_prescan__looks_into_nested_messages(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
    } inner[] = {
        {"", 0},                          /* required fields missing */
        {"\x08\x01", 2},                  /* one of them */
        {"\x08\x01\x12\x01r\x08\x01", 7}, /* repeated singular */
        {"\x08\x01\x12\x02r", 5},         /* truncated inside */
        {"\x0a\x01x\x12\x01r", 6},        /* wrong type */
        {"\x08\x81\x00\x12\x01r", 6},     /* overlong */
        {"\x08\x01\x12\x01r\x18\x01", 7}, /* unknown */
    };
    for (size_t i = 0; i < sizeof inner / sizeof inner[0]; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
        wire_raw(&b, 1, yzi_bytes_str("CN/@b1"));
        wire_raw(&b, 2, yzi_bytes(inner[i].bytes, inner[i].n));
        assert_int_equal(hostile_parse(scan_broker, yzi_bytes_buf(&b)), YZ_EMALFORMED);
    }
}

static int scan_put_result(uint64_t token, uint64_t code)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    wire_num(&b, 1, token);
    wire_num(&b, 2, code);
    return yzi_prescan(&yizhan__wire__put_result__descriptor, yzi_bytes_buf(&b), &strict);
}

static void test_prescan__holds_numbers_to_their_type(void **state)
{
    (void)state;
    assert_int_equal(scan_put_result(UINT32_MAX, 0), 0);
    assert_int_equal(scan_put_result((uint64_t)UINT32_MAX + 1, 0), YZ_EMALFORMED);
    assert_int_equal(scan_put_result(1, INT32_MAX), 0);
    assert_int_equal(scan_put_result(1, (uint64_t)INT32_MAX + 1), YZ_EMALFORMED);
    assert_int_equal(scan_put_result(1, (uint64_t)(int64_t)-1), 0);
    assert_int_equal(scan_put_result(1, (uint64_t)(int64_t)INT32_MIN), 0);
    assert_int_equal(scan_put_result(1, (uint64_t)((int64_t)INT32_MIN - 1)), YZ_EMALFORMED);
    assert_int_equal(scan_put_result(1, UINT32_MAX), YZ_EMALFORMED); /* -1 in 32 bits only */
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    wire_raw(&b, 1, yzi_bytes_str("f"));
    wire_num(&b, 2, 2); /* a boolean */
    assert_int_equal(scan_order(yzi_bytes_buf(&b)), YZ_EMALFORMED);
}

static int scan_answer(yz_bytes matches, unsigned times, const struct prescan_rules *rules)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    wire_num(&b, 1, 1);
    for (unsigned i = 0; i < times; i++) {
        wire_raw(&b, 9, matches);
    }
    return yzi_prescan(&yizhan__wire__answer_head__descriptor, yzi_bytes_buf(&b), rules);
}

static void test_prescan__takes_packed_fields_once_and_counts_them(void **state)
{
    (void)state;
    yz_bytes five = yzi_bytes("\1\2\3\x80\x01\1", 6);
    struct prescan_rules rules = {.depth = 1, .elements = 7}; /* code, matches, five elements */
    assert_int_equal(scan_answer(five, 1, &rules), 0);
    rules.elements = 6;
    assert_int_equal(scan_answer(five, 1, &rules), YZ_ELIMIT);
    assert_int_equal(scan_answer(five, 2, &strict), YZ_EMALFORMED);
    assert_int_equal(scan_answer(yzi_bytes("\1\x80", 2), 1, &strict), YZ_EMALFORMED);
    assert_int_equal(scan_answer(yzi_bytes("\x81\0", 2), 1, &strict), YZ_EMALFORMED);
    assert_int_equal(scan_answer(yzi_bytes("\xff\xff\xff\xff\x1f", 5), 1, &strict), YZ_EMALFORMED);

    YZ_AUTO(yzi_buf_fini) yz_buf b = buf(); /* declared packed, sent unpacked */
    wire_num(&b, 1, 1);
    wire_num(&b, 9, 1);
    assert_int_equal(
        yzi_prescan(&yizhan__wire__answer_head__descriptor, yzi_bytes_buf(&b), &strict),
        YZ_EMALFORMED);
    yzi_buf_clear(&b); /* declared unpacked (FineGrant.operations), sent packed */
    wire_raw(&b, 1, yzi_bytes_str("g"));
    wire_raw(&b, 2, yzi_bytes("\1\2", 2));
    assert_int_equal(yzi_prescan(&yizhan__wire__fine_grant__descriptor, yzi_bytes_buf(&b), &strict),
                     YZ_EMALFORMED);
}

static void test_prescan__bounds_depth_and_elements_of_the_whole_tree(void **state)
{
    (void)state;
    /* RequestHead 1 > Query 2 > Key 3 > Value 4 */
    YZ_AUTO(yzi_buf_fini) yz_buf key = buf(), query = buf(), head = buf();
    wire_raw(&key, 1, (yz_bytes){0});
    wire_raw(&key, 1, (yz_bytes){0});
    wire_num(&query, 1, 1);
    wire_raw(&query, 3, yzi_bytes_buf(&key));
    wire_raw(&query, 3, yzi_bytes_buf(&key));
    wire_raw(&head, 4, yzi_bytes_buf(&query));
    const ProtobufCMessageDescriptor *type = &yizhan__wire__request_head__descriptor;
    struct prescan_rules rules = {.depth = 4,
                                  .elements = 8}; /* query, operation, 2 keys, 4 parts */
    assert_int_equal(yzi_prescan(type, yzi_bytes_buf(&head), &rules), 0);
    rules.elements = 7;
    assert_int_equal(yzi_prescan(type, yzi_bytes_buf(&head), &rules), YZ_ELIMIT);
    rules.elements = 8;
    for (rules.depth = 1; rules.depth < 4; rules.depth++) {
        assert_int_equal(yzi_prescan(type, yzi_bytes_buf(&head), &rules), YZ_ELOOP);
    }
    rules.depth = 0;
    assert_int_equal(yzi_prescan(type, yzi_bytes_buf(&head), &rules), YZ_EINTERNAL);
    rules.depth = YZ_PRESCAN_DEPTH_MAX + 1;
    assert_int_equal(yzi_prescan(type, yzi_bytes_buf(&head), &rules), YZ_EINTERNAL);
}

static void test_prescan__is_not_moved_by_depth_bombs(void **state)
{
    (void)state;
    /* 100,000 levels of length-delimited field 2 and of groups: no recursion, no descent */
    enum { LEVELS = 20000 };
    YZ_AUTO(yzi_buf_fini) yz_buf bomb = buf();
    for (int i = 0; i < LEVELS; i++) {
        assert_int_equal(yzi_buf_put_u8(&bomb, 0x13), 0);
    }
    assert_int_equal(hostile_parse(scan_broker, yzi_bytes_buf(&bomb)), YZ_EMALFORMED);
    uint8_t *wire = malloc(LEVELS * 5);
    assert_non_null(wire);
    size_t at = LEVELS * 5, n = 0;
    for (int i = 0; i < LEVELS && at > 5; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf tag = buf();
        wire_varint(&tag, 2 << 3 | 2);
        wire_varint(&tag, n);
        at -= tag.n;
        memcpy(wire + at, tag.p, tag.n);
        n += tag.n;
    }
    yz_bytes nested = yzi_bytes(wire + at, n);
    assert_int_equal(scan_broker(nested), YZ_EMALFORMED); /* bytes where a checkpoint's root is */
    assert_int_equal(yzi_prescan(&yizhan__wire__heartbeat__descriptor, nested, &lax),
                     YZ_EMALFORMED);
    free(wire);
}

static void test_prescan__counts_unknown_fields_too(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    wire_num(&b, 1, 42);
    for (unsigned i = 0; i < 999; i++) {
        wire_num(&b, 77, i);
    }
    const ProtobufCMessageDescriptor *type = &yizhan__wire__heartbeat__descriptor;
    assert_int_equal(yzi_prescan(type, yzi_bytes_buf(&b), &lax), 0);
    assert_int_equal(yzi_prescan(type, yzi_bytes_buf(&b), &strict), YZ_EMALFORMED);
    wire_raw(&b, 78, (yz_bytes){0});
    assert_int_equal(yzi_prescan(type, yzi_bytes_buf(&b), &lax), YZ_ELIMIT);
}

/* -- unpacking -- */

/* Both unpackers read the same message, as their packing shows. */
static void compare_with_library(const ProtobufCMessageDescriptor *type, yz_bytes wire)
{
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    struct room room = yzi_room_arena(&a);
    ProtobufCMessage *ours;
    assert_int_equal(yzi_unpack(type, wire, &strict, &room, &ours), 0);
    ProtobufCMessage *theirs = protobuf_c_message_unpack(type, NULL, wire.n, wire.p);
    assert_non_null(theirs);
    assert_int_equal(theirs->n_unknown_fields, 0);
    size_t n = protobuf_c_message_get_packed_size(theirs);
    assert_int_equal(protobuf_c_message_get_packed_size(ours), n);
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf(), c = buf();
    uint8_t *p;
    assert_int_equal(yzi_buf_extend(&b, n, &p), 0);
    protobuf_c_message_pack(theirs, p);
    assert_int_equal(yzi_pack(ours, n, &c), 0);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&b), yzi_bytes_buf(&c)));
    protobuf_c_message_free_unpacked(theirs, NULL);
}

static void test_unpack__agrees_with_the_library(void **state)
{
    (void)state;
    static const struct {
        const char *file, *name;
        const ProtobufCMessageDescriptor *type;
    } cases[] = {
        {"header.txt", "request", &yizhan__wire__request_header__descriptor},
        {"header.txt", "request_small", &yizhan__wire__request_header__descriptor},
        {"header.txt", "response", &yizhan__wire__response_header__descriptor},
        {"header.txt", "response_stale_key", &yizhan__wire__response_header__descriptor},
        {"header.txt", "outcome", &yizhan__wire__outcome_header__descriptor},
        {"header.txt", "hop", &yizhan__wire__hop__descriptor},
        {"payload.txt", "head_query", &yizhan__wire__request_head__descriptor},
        {"payload.txt", "head_http", &yizhan__wire__request_head__descriptor},
        {"payload.txt", "answer", &yizhan__wire__answer_head__descriptor},
        {"payload.txt", "answer_match", &yizhan__wire__answer_head__descriptor},
        {"payload.txt", "answer_http", &yizhan__wire__answer_head__descriptor},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vectors *v = calloc(1, sizeof *v);
        assert_non_null(v);
        yz_vectors_load(v, cases[i].file);
        compare_with_library(cases[i].type, yz_vector(v, cases[i].name));
        free(v);
    }
}

static void test_unpack__takes_fields_in_any_order(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    wire_raw(&b, 4, yzi_bytes("\x08\x02\x12\x01x\x12\x01y", 8)); /* Query, then its fields mixed */
    yz_bytes query = yzi_bytes_buf(&b);
    compare_with_library(&yizhan__wire__request_head__descriptor, query);
    yzi_buf_clear(&b);
    wire_raw(&b, 4, yzi_bytes_str("a1"));
    wire_num(&b, 3, 1);
    wire_raw(&b, 4, yzi_bytes_str("a2"));
    wire_raw(&b, 2, yzi_bytes_str("v1"));
    wire_raw(&b, 1, yzi_bytes_str("marriage"));
    wire_raw(&b, 4, yzi_bytes_str("a3"));
    compare_with_library(&yizhan__wire__service__descriptor, yzi_bytes_buf(&b));
}

static void test_unpack__points_into_the_wire_bytes(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    wire_raw(&b, 1, yzi_bytes("CN/\0b1", 6));
    _Alignas(max_align_t) uint8_t scratch[512];
    struct room room = yzi_room_fixed(scratch, sizeof scratch);
    Yizhan__Wire__BrokerRef *m;
    assert_int_equal(
        yzi_unpack(&yizhan__wire__broker_ref__descriptor, yzi_bytes_buf(&b), &strict, &room, &m),
        0);
    assert_ptr_equal(m->node.data, b.p + 2);
    assert_int_equal(m->node.len, 6); /* the NUL is nothing special */
    assert_null(m->checkpoint);
    assert_ptr_equal(m, scratch);
}

static void test_unpack__stays_in_its_room(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf query = buf(), b = buf();
    wire_num(&query, 1, 1);
    for (int i = 0; i < 20; i++) {
        wire_raw(&query, 3, yzi_bytes("\x0a\x00", 2));
    }
    wire_raw(&b, 4, yzi_bytes_buf(&query));
    const ProtobufCMessageDescriptor *type = &yizhan__wire__request_head__descriptor;
    size_t least = 0;
    for (size_t n = 0; n <= 8192 && least == 0; n += 16) {
        uint8_t *scratch = aligned_alloc(16, n + 16); /* exact but for the sanitizer's grain */
        assert_non_null(scratch);
        memset(scratch + n, 0x5a, 16);
        struct room room = yzi_room_fixed(scratch, n);
        void *m = NULL;
        int rc = yzi_unpack(type, yzi_bytes_buf(&b), &strict, &room, &m);
        assert_true(rc == 0 || rc == YZ_ELIMIT);
        assert_true((rc == 0) == (m != NULL));
        for (size_t i = 0; i < 16; i++) {
            assert_int_equal(scratch[n + i], 0x5a);
        }
        least = rc == 0 ? n : 0;
        free(scratch);
    }
    assert_in_range(least, 1000, 8192);
    /* and no more from an arena, whose limit is kept as well */
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, least / 2);
    struct room room = yzi_room_arena(&a);
    void *m;
    assert_int_equal(yzi_unpack(type, yzi_bytes_buf(&b), &strict, &room, &m), YZ_ELIMIT);
}

static int unpack_once(void *wire)
{
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    struct room room = yzi_room_arena(&a);
    void *m;
    return yzi_unpack(&yizhan__wire__request_head__descriptor, *(yz_bytes *)wire, &strict, &room,
                      &m);
}

static void test_unpack__survives_running_out_of_memory(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf query = buf(), b = buf();
    wire_num(&query, 1, 1);
    for (int i = 0; i < 200; i++) {
        wire_raw(&query, 3, yzi_bytes("\x0a\x00", 2));
    }
    wire_raw(&b, 4, yzi_bytes_buf(&query));
    yz_bytes wire = yzi_bytes_buf(&b);
    assert_true(yz_alloc_fail_each(unpack_once, &wire) >= 2);
}

static void test_pack__keeps_to_its_limit(void **state)
{
    (void)state;
    Yizhan__Wire__Put m = YIZHAN__WIRE__PUT__INIT;
    m.token = 5;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    assert_int_equal(yzi_pack(&m.base, 1, &b), YZ_ETOOBIG);
    assert_int_equal(b.n, 0);
    assert_int_equal(yzi_pack(&m.base, 2, &b), 0);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&b), yzi_bytes("\x08\x05", 2)));
    b.max = 3;
    assert_int_equal(yzi_pack(&m.base, 2, &b), YZ_ELIMIT);
    assert_int_equal(b.n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varint__reads_the_minimal_form_only),
        cmocka_unit_test(test_wire__knows_every_wire_type),
        cmocka_unit_test(test_prescan__refuses_each_way_to_spoil_a_message),
        cmocka_unit_test(test_prescan__looks_into_nested_messages),
        cmocka_unit_test(test_prescan__holds_numbers_to_their_type),
        cmocka_unit_test(test_prescan__takes_packed_fields_once_and_counts_them),
        cmocka_unit_test(test_prescan__bounds_depth_and_elements_of_the_whole_tree),
        cmocka_unit_test(test_prescan__is_not_moved_by_depth_bombs),
        cmocka_unit_test(test_prescan__counts_unknown_fields_too),
        cmocka_unit_test(test_unpack__agrees_with_the_library),
        cmocka_unit_test(test_unpack__takes_fields_in_any_order),
        cmocka_unit_test(test_unpack__points_into_the_wire_bytes),
        cmocka_unit_test(test_unpack__stays_in_its_room),
        cmocka_unit_test(test_unpack__survives_running_out_of_memory),
        cmocka_unit_test(test_pack__keeps_to_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
