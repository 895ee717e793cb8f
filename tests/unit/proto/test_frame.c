/* SPDX-License-Identifier: Apache-2.0
 *
 * proto/frame: messages, bundles, digests, signature blocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proof/merkle.h"
#include "proto/frame.h"
#include "tests/support/vectors.h"

static struct vectors *frames, *blocks, *headers;

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
    frames = load("frame.txt");
    blocks = load("block.txt");
    headers = load("header.txt");
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    free(frames);
    free(blocks);
    free(headers);
    return 0;
}

static yz_buf buf(void)
{
    yz_buf b;
    yzi_buf_init(&b, YZ_MESSAGE_MAX + 4096);
    return b;
}

static yz_bytes counting(uint8_t first, size_t n)
{
    static uint8_t bytes[256 + 256];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    return yzi_bytes(bytes + first, n);
}

static bool same(yz_bytes a, yz_bytes b)
{
    return yzi_bytes_eq(a, b);
}

/* Parse a copy of exactly its size. */
static int parse(yz_bytes message, size_t max)
{
    uint8_t *copy = malloc(message.n ? message.n : 1);
    assert_non_null(copy);
    if (message.n) {
        memcpy(copy, message.p, message.n);
    }
    struct frame f;
    int rc = yzi_frame_parse(yzi_bytes(copy, message.n), max, &f);
    free(copy);
    return rc;
}

/* -- frames -- */

static void test_frame__agrees_with_the_vectors(void **state)
{
    (void)state;
    static const uint8_t hop[] = {0x08, 0xbc, 0xe6, 0x01}; /* time left 29,500 ms */
    yz_bytes want = yz_vector(frames, "request");
    struct frame f;
    assert_int_equal(yzi_frame_parse(want, YZ_MESSAGE_MAX, &f), 0);
    assert_int_equal(f.kind, FRAME_REQUEST);
    assert_true(same(f.header, yz_vector(headers, "request_small")));
    assert_true(same(f.block, yz_vector(blocks, "single")));
    assert_true(same(f.payload, counting(0, 48)));
    assert_true(same(f.hop, yzi_bytes(hop, sizeof hop)));
    assert_ptr_equal(f.raw.p, want.p);
    assert_int_equal(f.raw.n, want.n);
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    assert_int_equal(yzi_frame_write(f.kind, f.header, f.block, f.payload, f.hop, &b), 0);
    assert_true(same(yzi_bytes_buf(&b), want));
    assert_int_equal(yzi_frame_size(f.header.n, f.block.n, f.payload.n, f.hop.n), want.n);

    want = yz_vector(frames, "outcome");
    assert_int_equal(yzi_frame_parse(want, want.n, &f), 0);
    assert_int_equal(f.kind, FRAME_OUTCOME);
    assert_true(same(f.header, yz_vector(headers, "outcome")));
    yzi_buf_clear(&b);
    assert_int_equal(yzi_frame_write(f.kind, f.header, f.block, f.payload, f.hop, &b), 0);
    assert_true(same(yzi_bytes_buf(&b), want));
}

static void test_frame__digest_names_header_and_block(void **state)
{
    (void)state;
    yz_digest d, other;
    yz_bytes header = yz_vector(headers, "request_small"), block = yz_vector(blocks, "single");
    yzi_frame_digest(header, block, &d);
    assert_true(same(yzi_bytes_digest(&d), yz_vector(frames, "digest")));
    /* a byte moved across the border of the two gives another digest */
    yzi_frame_digest(counting(0, 10), counting(10, 10), &d);
    yzi_frame_digest(counting(0, 11), counting(11, 9), &other);
    assert_false(yzi_digest_eq(&d, &other));
}

static void test_frame__refuses_every_truncation_and_addition(void **state)
{
    (void)state;
    yz_bytes whole = yz_vector(frames, "request");
    for (size_t n = 0; n < whole.n; n++) {
        assert_int_equal(parse(yzi_bytes(whole.p, n), YZ_MESSAGE_MAX), YZ_EMALFORMED);
    }
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    assert_int_equal(yzi_buf_put(&b, whole), 0);
    assert_int_equal(yzi_buf_put_u8(&b, 0), 0);
    assert_int_equal(parse(yzi_bytes_buf(&b), YZ_MESSAGE_MAX), YZ_EMALFORMED);
}

static void test_frame__refuses_each_length_one_off(void **state)
{
    (void)state;
    static const size_t at[] = {5, 7, 11, 15}; /* the low bytes of the four lengths */
    yz_bytes whole = yz_vector(frames, "request");
    for (size_t i = 0; i < 4; i++) {
        for (int off = -1; off <= 1; off += 2) {
            YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
            assert_int_equal(yzi_buf_put(&b, whole), 0);
            b.p[at[i]] = (uint8_t)(b.p[at[i]] + off);
            assert_int_equal(parse(yzi_bytes_buf(&b), YZ_MESSAGE_MAX), YZ_EMALFORMED);
        }
    }
}

static int parse_with(size_t at, uint8_t value)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    assert_int_equal(yzi_buf_put(&b, yz_vector(frames, "request")), 0);
    b.p[at] = value;
    return parse(yzi_bytes_buf(&b), YZ_MESSAGE_MAX);
}

static void test_frame__knows_its_prefix(void **state)
{
    (void)state;
    assert_int_equal(parse_with(0, 'y'), YZ_EMALFORMED);
    assert_int_equal(parse_with(1, 'R'), YZ_EMALFORMED);
    for (unsigned v = 0; v < 256; v++) {
        assert_int_equal(parse_with(2, (uint8_t)v), v == 1 ? 0 : YZ_EVERSION);
    }
    for (unsigned kind = 0; kind < 256; kind++) { /* only these two have all four sections */
        int rc = parse_with(3, (uint8_t)kind);
        assert_int_equal(rc, kind == FRAME_REQUEST || kind == FRAME_RESPONSE ? 0 : YZ_EMALFORMED);
    }
}

/* The prefix alone decides what is too big: nothing of that size need arrive. */
static int parse_prefix(uint16_t header, uint16_t block, uint32_t payload, uint32_t hop, size_t max)
{
    uint8_t prefix[YZ_PREFIX_BYTES] = {'Y', 'Z', 1, FRAME_REQUEST};
    yzi_store_u16(prefix + 4, header);
    yzi_store_u16(prefix + 6, block);
    yzi_store_u32(prefix + 8, payload);
    yzi_store_u32(prefix + 12, hop);
    return parse(yzi_bytes(prefix, sizeof prefix), max);
}

static void test_frame__holds_sections_and_whole_to_their_limits(void **state)
{
    (void)state;
    size_t max = YZ_MESSAGE_MAX;
    assert_int_equal(parse_prefix(YZ_HEADER_MAX, 108, 1, 0, max), YZ_EMALFORMED); /* truncated */
    assert_int_equal(parse_prefix(YZ_HEADER_MAX + 1, 108, 1, 0, max), YZ_ETOOBIG);
    assert_int_equal(parse_prefix(100, YZ_BLOCK_MAX, 1, 0, max), YZ_EMALFORMED);
    assert_int_equal(parse_prefix(100, YZ_BLOCK_MAX + 1, 1, 0, max), YZ_ETOOBIG);
    assert_int_equal(parse_prefix(100, 108, 1, YZ_HOP_MAX, max), YZ_EMALFORMED);
    assert_int_equal(parse_prefix(100, 108, 1, YZ_HOP_MAX + 1, max), YZ_ETOOBIG);
    uint32_t rest = YZ_MESSAGE_MAX - YZ_PREFIX_BYTES - 100 - 108;
    assert_int_equal(parse_prefix(100, 108, rest, 0, max), YZ_EMALFORMED);
    assert_int_equal(parse_prefix(100, 108, rest + 1, 0, max), YZ_ETOOBIG);
    assert_int_equal(parse_prefix(100, 108, rest + 1, 0, SIZE_MAX), YZ_ETOOBIG);
    assert_int_equal(parse_prefix(100, 108, UINT32_MAX, UINT32_MAX, SIZE_MAX), YZ_ETOOBIG);
    assert_int_equal(parse_prefix(100, 108, 1000, 0, 1223), YZ_ETOOBIG);
    assert_int_equal(parse_prefix(100, 108, 1000, 0, 1224), YZ_EMALFORMED);
    assert_int_equal(parse_prefix(100, 108, 1000, 0, 0), YZ_ETOOBIG);
    yz_bytes whole = yz_vector(frames, "request");
    assert_int_equal(parse(whole, whole.n), 0);
    assert_int_equal(parse(whole, whole.n - 1), YZ_ETOOBIG);
}

/* Sections a kind has, as the table of docs/protocol.md: '.' none, '?' may, '!' must, in the order
 * header, block, payload, hop. */
static const struct {
    unsigned kind;
    const char *sections;
} shapes[] = {
    {FRAME_REQUEST, "!!!?"},    {FRAME_RESPONSE, "!!??"},      {FRAME_OUTCOME, "!!.?"},
    {FRAME_HELLO, "!..."},      {FRAME_WELCOME, "!..."},       {FRAME_HEARTBEAT, "!..."},
    {FRAME_FETCH, "!..."},      {FRAME_OBJECT, "!.?."},        {FRAME_PUT, "!.!."},
    {FRAME_PUT_RESULT, "!..."}, {FRAME_REJECT, "!..."},        {FRAME_BYE, "?..."},
    {FRAME_RECEIPT, "!.!."},    {FRAME_ADMIN_REQUEST, "!.?."}, {FRAME_ADMIN_REPLY, "!.?."},
};

static bool has_shape(const char *sections, unsigned present)
{
    for (unsigned i = 0; i < 4; i++) {
        bool there = present >> i & 1;
        if ((sections[i] == '!' && !there) || (sections[i] == '.' && there)) {
            return false;
        }
    }
    return true;
}

static void test_frame__gives_each_kind_its_sections(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 64; kind++) {
        const char *sections = NULL;
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            sections = shapes[i].kind == kind ? shapes[i].sections : sections;
        }
        for (unsigned present = 0; present < 16; present++) {
            bool right = sections && has_shape(sections, present);
            yz_bytes part[4] = {{0}};
            uint8_t prefix[YZ_PREFIX_BYTES] = {'Y', 'Z', 1, (uint8_t)kind};
            for (unsigned i = 0; i < 4; i++) {
                part[i] = present >> i & 1 ? counting(1, 3) : (yz_bytes){0};
            }
            YZ_AUTO(yzi_buf_fini) yz_buf b = buf(), by_hand = buf();
            int rc = yzi_frame_write((enum frame_kind)kind, part[0], part[1], part[2], part[3], &b);
            assert_int_equal(rc, right ? 0 : YZ_EINVAL);
            yzi_store_u16(prefix + 4, (uint16_t)part[0].n);
            yzi_store_u16(prefix + 6, (uint16_t)part[1].n);
            yzi_store_u32(prefix + 8, (uint32_t)part[2].n);
            yzi_store_u32(prefix + 12, (uint32_t)part[3].n);
            assert_int_equal(yzi_buf_put(&by_hand, yzi_bytes(prefix, sizeof prefix)), 0);
            for (unsigned i = 0; i < 4; i++) {
                assert_int_equal(yzi_buf_put(&by_hand, part[i]), 0);
            }
            assert_int_equal(parse(yzi_bytes_buf(&by_hand), YZ_MESSAGE_MAX),
                             right ? 0 : YZ_EMALFORMED);
            assert_true(same(yzi_bytes_buf(&b), right ? yzi_bytes_buf(&by_hand) : (yz_bytes){0}));
        }
    }
}

static void test_frame__writer_keeps_to_the_limits_and_leaves_the_buffer_alone(void **state)
{
    (void)state;
    uint8_t *big = calloc(1, YZ_MESSAGE_MAX);
    assert_non_null(big);
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    yz_bytes h = counting(0, 100), none = {0};
    assert_int_equal(yzi_buf_put_str(&b, "before"), 0);
    size_t room = YZ_MESSAGE_MAX - yzi_frame_size(100, 100, 0, 0);
    assert_int_equal(yzi_frame_write(FRAME_REQUEST, h, h, yzi_bytes(big, room + 1), none, &b),
                     YZ_ETOOBIG);
    assert_int_equal(
        yzi_frame_write(FRAME_REQUEST, yzi_bytes(big, YZ_HEADER_MAX + 1), h, h, none, &b),
        YZ_ETOOBIG);
    assert_int_equal(
        yzi_frame_write(FRAME_REQUEST, h, yzi_bytes(big, YZ_BLOCK_MAX + 1), h, none, &b),
        YZ_ETOOBIG);
    assert_int_equal(yzi_frame_write(FRAME_REQUEST, h, h, h, yzi_bytes(big, YZ_HOP_MAX + 1), &b),
                     YZ_ETOOBIG);
    assert_int_equal(yzi_frame_write(FRAME_REQUEST, h, h, yzi_bytes(big, SIZE_MAX), none, &b),
                     YZ_ETOOBIG);
    size_t max = b.max;
    b.max = 6 + 16 + 299; /* one byte short of what comes */
    assert_int_equal(yzi_frame_write(FRAME_REQUEST, h, h, h, none, &b), YZ_ELIMIT);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), "before"));
    b.max = max;
    assert_int_equal(yzi_frame_write(FRAME_REQUEST, h, h, yzi_bytes(big, room), none, &b), 0);
    assert_int_equal(b.n, 6 + YZ_MESSAGE_MAX);
    free(big);
}

static void test_bundle__gives_one_message_after_another(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    assert_int_equal(yzi_buf_put(&b, yz_vector(frames, "request")), 0);
    assert_int_equal(yzi_buf_put(&b, yz_vector(frames, "outcome")), 0);
    yz_reader r = yzi_reader(yzi_bytes_buf(&b));
    struct frame f;
    assert_int_equal(yzi_frame_next(&r, YZ_MESSAGE_MAX, &f), 0);
    assert_true(same(f.raw, yz_vector(frames, "request")));
    assert_int_equal(yzi_frame_next(&r, YZ_MESSAGE_MAX, &f), 0);
    assert_true(same(f.raw, yz_vector(frames, "outcome")));
    assert_int_equal(yzi_read_end(&r), 0);
    assert_int_equal(yzi_frame_next(&r, YZ_MESSAGE_MAX, &f), YZ_EMALFORMED);
    /* a failure takes nothing and changes nothing */
    r = yzi_reader(yzi_bytes(b.p, b.n - 1));
    assert_int_equal(yzi_frame_next(&r, YZ_MESSAGE_MAX, &f), 0);
    yz_reader before = r;
    struct frame kept = f;
    assert_int_equal(yzi_frame_next(&r, YZ_MESSAGE_MAX, &f), YZ_EMALFORMED);
    assert_ptr_equal(r.p, before.p);
    assert_int_equal(r.left, before.left);
    assert_ptr_equal(f.raw.p, kept.raw.p);
}

/* -- signature blocks -- */

static int parse_block(yz_bytes block)
{
    uint8_t *copy = malloc(block.n ? block.n : 1);
    assert_non_null(copy);
    if (block.n) {
        memcpy(copy, block.p, block.n);
    }
    struct signature_block s;
    int rc = yzi_block_parse(yzi_bytes(copy, block.n), &s);
    free(copy);
    return rc;
}

static void test_block__agrees_with_the_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t size, index;
        unsigned path_n;
    } cases[] = {{"single", 1, 0, 0}, {"batch", 5, 2, 3}, {"last", 5, 4, 1}};
    for (size_t i = 0; i < 3; i++) {
        yz_bytes want = yz_vector(blocks, cases[i].name);
        struct signature_block s;
        assert_int_equal(yzi_block_parse(want, &s), 0);
        assert_int_equal(s.tree_size, cases[i].size);
        assert_int_equal(s.index, cases[i].index);
        assert_int_equal(s.path_n, cases[i].path_n);
        assert_true(same(s.key, counting(0x50, 32)));
        assert_true(same(s.signature, counting(0x90, 64)));
        YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
        assert_int_equal(yzi_block_write(&s, &b), 0);
        assert_true(same(yzi_bytes_buf(&b), want));
    }
}

static void test_block__refuses_every_truncation_and_addition(void **state)
{
    (void)state;
    yz_bytes whole = yz_vector(blocks, "batch");
    for (size_t n = 0; n < whole.n; n++) {
        assert_int_equal(parse_block(yzi_bytes(whole.p, n)), YZ_EMALFORMED);
    }
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    assert_int_equal(yzi_buf_put(&b, whole), 0);
    for (int i = 0; i < 64; i++) { /* a whole hash more, too */
        assert_int_equal(yzi_buf_put_u8(&b, 0), 0);
        assert_int_equal(parse_block(yzi_bytes_buf(&b)), YZ_EMALFORMED);
    }
}

static int parse_block_with(size_t at, uint8_t value)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    assert_int_equal(yzi_buf_put(&b, yz_vector(blocks, "batch")), 0);
    b.p[at] = value;
    return parse_block(yzi_bytes_buf(&b));
}

static void test_block__refuses_what_contradicts_itself(void **state)
{
    (void)state;
    assert_int_equal(parse_block_with(0, 0), YZ_EVERSION);
    assert_int_equal(parse_block_with(0, 2), YZ_EVERSION);
    for (unsigned n = 0; n < 256; n++) {
        assert_int_equal(parse_block_with(1, (uint8_t)n), n == 3 ? 0 : YZ_EMALFORMED);
    }
    assert_int_equal(parse_block_with(2, 1), YZ_EMALFORMED);
    assert_int_equal(parse_block_with(3, 1), YZ_EMALFORMED);
    assert_int_equal(parse_block_with(4, 1), YZ_EMALFORMED);  /* 2^24 and more leaves */
    assert_int_equal(parse_block_with(7, 0), YZ_EMALFORMED);  /* none */
    assert_int_equal(parse_block_with(11, 4), YZ_EMALFORMED); /* leaf 4 of 5 has one sibling */
    assert_int_equal(parse_block_with(11, 5), YZ_EMALFORMED); /* there is no leaf 5 */
    assert_int_equal(parse_block_with(11, 1), 0);             /* also three hashes deep */
}

/* Our length against the tree's own, for every leaf of many sizes. */
static void test_block__has_the_path_that_leaf_and_size_require(void **state)
{
    (void)state;
    static const uint32_t large[] = {1000, 32767, 32768, 32769, 65535, 65536};
    struct signature_block s = {.key = counting(0, 32), .signature = counting(0, 64)};
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    for (uint32_t i = 1; i <= 130 + 6; i++) {
        s.tree_size = i <= 130 ? i : large[i - 131];
        uint32_t step = s.tree_size > 130 ? 97 : 1;
        for (s.index = 0; s.index < s.tree_size; s.index += step) {
            unsigned right = yzi_merkle_path_length(s.index, s.tree_size);
            assert_in_range(right, 0, YZ_BATCH_PATH_MAX);
            for (s.path_n = right > 0 ? right - 1 : 0; s.path_n <= right + 1; s.path_n++) {
                int rc = s.path_n == right ? 0 : YZ_EINVAL;
                yzi_buf_clear(&b);
                if (s.path_n <= YZ_BATCH_PATH_MAX) {
                    assert_int_equal(yzi_block_write(&s, &b), rc);
                }
                assert_int_equal(b.n, rc ? 0 : YZ_BLOCK_FIXED + 32 * right);
                if (rc == 0) {
                    assert_int_equal(parse_block(yzi_bytes_buf(&b)), 0);
                }
            }
        }
    }
    assert_true(b.n <= YZ_BLOCK_MAX);
}

static void test_block__writer_refuses_what_the_parser_would(void **state)
{
    (void)state;
    struct signature_block s = {
        .tree_size = 1, .key = counting(0, 32), .signature = counting(0, 64)};
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    s.tree_size = 0;
    assert_int_equal(yzi_block_write(&s, &b), YZ_EINVAL);
    s.tree_size = YZ_BATCH_MAX + 1;
    assert_int_equal(yzi_block_write(&s, &b), YZ_EINVAL);
    s.tree_size = 1;
    s.index = 1;
    assert_int_equal(yzi_block_write(&s, &b), YZ_EINVAL);
    s.index = 0;
    s.key.n = 31;
    assert_int_equal(yzi_block_write(&s, &b), YZ_EINVAL);
    s.key.n = 32;
    s.signature.n = 65;
    assert_int_equal(yzi_block_write(&s, &b), YZ_EINVAL);
    s.signature.n = 64;
    b.max = YZ_BLOCK_FIXED - 1;
    assert_int_equal(yzi_block_write(&s, &b), YZ_ELIMIT);
    assert_int_equal(b.n, 0);
    b.max = YZ_BLOCK_FIXED;
    assert_int_equal(yzi_block_write(&s, &b), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame__agrees_with_the_vectors),
        cmocka_unit_test(test_frame__digest_names_header_and_block),
        cmocka_unit_test(test_frame__refuses_every_truncation_and_addition),
        cmocka_unit_test(test_frame__refuses_each_length_one_off),
        cmocka_unit_test(test_frame__knows_its_prefix),
        cmocka_unit_test(test_frame__holds_sections_and_whole_to_their_limits),
        cmocka_unit_test(test_frame__gives_each_kind_its_sections),
        cmocka_unit_test(test_frame__writer_keeps_to_the_limits_and_leaves_the_buffer_alone),
        cmocka_unit_test(test_bundle__gives_one_message_after_another),
        cmocka_unit_test(test_block__agrees_with_the_vectors),
        cmocka_unit_test(test_block__refuses_every_truncation_and_addition),
        cmocka_unit_test(test_block__refuses_what_contradicts_itself),
        cmocka_unit_test(test_block__has_the_path_that_leaf_and_size_require),
        cmocka_unit_test(test_block__writer_refuses_what_the_parser_would),
    };
    return cmocka_run_group_tests(tests, load_all, free_all);
}
