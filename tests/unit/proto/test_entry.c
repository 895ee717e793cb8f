/* SPDX-License-Identifier: Apache-2.0
 *
 * proto/entry: the leaves of an evidence log, and the bodies of its own entries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/entry.h"
#include "tests/support/vectors.h"

#define TIME UINT64_C(1732309510000)
#define LOG UINT64_C(1732309509123)

static struct vectors *vectors;
static uint8_t counted[256];

static int load(void **state)
{
    (void)state;
    vectors = calloc(1, sizeof *vectors);
    assert_non_null(vectors);
    yz_vectors_load(vectors, "entry.txt");
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
    yzi_buf_init(&b, 1 << 16);
    return b;
}

static void is_vector(const yz_buf *b, const char *name)
{
    assert_true(yzi_bytes_eq(yzi_bytes_buf(b), yz_vector(vectors, name)));
}

/* -- entries -- */

static void test_entry__agrees_with_the_vector(void **state)
{
    (void)state;
    struct entry read, e = {.type = ENTRY_RESPONSE, .time = TIME};
    uint8_t out[YZ_ENTRY_BYTES];
    memcpy(e.digest.b, counted + 0x20, sizeof e.digest.b);
    yzi_entry_write(&e, out);
    assert_true(yzi_bytes_eq(yzi_bytes(out, sizeof out), yz_vector(vectors, "entry")));
    assert_int_equal(yzi_entry_parse(yz_vector(vectors, "entry"), &read), 0);
    assert_int_equal(read.type, ENTRY_RESPONSE);
    assert_true(read.time == TIME && yzi_digest_eq(&read.digest, &e.digest));
}

static void test_entry__refuses_other_lengths_marks_and_types(void **state)
{
    (void)state;
    uint8_t bytes[YZ_ENTRY_BYTES + 1] = {0};
    struct entry e;
    yz_bytes good = yz_vector(vectors, "entry");
    memcpy(bytes, good.p, good.n);
    for (size_t n = 0; n < YZ_ENTRY_BYTES; n++) {
        assert_int_equal(yzi_entry_parse(yzi_bytes(bytes, n), &e), YZ_EMALFORMED);
    }
    assert_int_equal(yzi_entry_parse(yzi_bytes(bytes, sizeof bytes), &e), YZ_EMALFORMED);
    for (unsigned v = 0; v < 256; v++) {
        bytes[3] = (uint8_t)v;
        int rc = yzi_entry_parse(yzi_bytes(bytes, YZ_ENTRY_BYTES), &e);
        assert_int_equal(rc, v >= ENTRY_REQUEST && v <= ENTRY_OPENING ? 0 : YZ_EMALFORMED);
    }
    bytes[3] = ENTRY_REQUEST;
    bytes[2] = '2';
    assert_int_equal(yzi_entry_parse(yzi_bytes(bytes, YZ_ENTRY_BYTES), &e), YZ_EMALFORMED);
}

static void test_entry_type__has_a_name_when_it_is_known(void **state)
{
    (void)state;
    assert_string_equal(yzi_entry_type_name(ENTRY_REQUEST), "request");
    assert_string_equal(yzi_entry_type_name(ENTRY_OPENING), "opening");
    assert_string_equal(yzi_entry_type_name(0), "?");
    assert_string_equal(yzi_entry_type_name(10), "?");
    assert_string_equal(yzi_entry_type_name(UINT32_MAX), "?");
}

/* -- bodies of messages -- */

static void test_message__digest_is_the_message_digest(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    yz_bytes header = yzi_bytes(counted, 200), block = yzi_bytes(counted, YZ_BLOCK_FIXED), h, k;
    yz_digest message, body;
    assert_int_equal(yzi_entry_message_write(header, block, &b), 0);
    yzi_frame_digest(header, block, &message);
    yzi_entry_digest(yzi_bytes_buf(&b), &body);
    assert_true(yzi_digest_eq(&message, &body));
    assert_int_equal(yzi_entry_message_parse(yzi_bytes_buf(&b), &h, &k), 0);
    assert_true(yzi_bytes_eq(h, header) && yzi_bytes_eq(k, block));
    for (size_t n = 0; n < b.n; n++) {
        assert_int_equal(yzi_entry_message_parse(yzi_bytes(b.p, n), &h, &k), YZ_EMALFORMED);
    }
}

static void test_message__refuses_sections_beyond_their_limits(void **state)
{
    (void)state;
    static uint8_t large[YZ_HEADER_MAX + 1];
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    yz_bytes header = yzi_bytes(counted, 200), block = yzi_bytes(counted, YZ_BLOCK_FIXED);
    assert_int_equal(yzi_entry_message_write((yz_bytes){0}, block, &b), YZ_EINVAL);
    assert_int_equal(yzi_entry_message_write(yzi_bytes(large, sizeof large), block, &b), YZ_EINVAL);
    assert_int_equal(yzi_entry_message_write(header, yzi_bytes(large, YZ_BLOCK_MAX + 1), &b),
                     YZ_EINVAL);
    assert_int_equal(yzi_entry_message_write(header, yzi_bytes(large, YZ_BLOCK_FIXED - 1), &b),
                     YZ_EINVAL);
    b.max = 300; /* too small for both: nothing of it is written */
    assert_int_equal(yzi_entry_message_write(header, block, &b), YZ_ELIMIT);
    assert_int_equal(b.n, 0);
}

/* -- refusals -- */

static struct refusals sample_refusals(void)
{
    return (struct refusals){
        .node = {yzi_bytes_str("CN/GOV/HB/@w1")},
        .from = TIME,
        .until = TIME + 999,
        .counts = {{OUTCOME_BUSY, 1000}, {OUTCOME_BAD_SIGNATURE, 1}},
        .counts_n = 2,
    };
}

static void test_refusals__agree_with_the_vector(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    struct refusals read, r = sample_refusals();
    assert_int_equal(yzi_refusals_write(&r, &b), 0);
    is_vector(&b, "refusals");
    assert_int_equal(yzi_refusals_parse(yz_vector(vectors, "refusals"), &read), 0);
    assert_true(yzi_bytes_eq(read.node.v, r.node.v) && read.from == TIME);
    assert_true(read.until == TIME + 999 && read.counts_n == 2);
    assert_int_equal(read.counts[1].status, OUTCOME_BAD_SIGNATURE);
    assert_int_equal(read.counts[0].count, 1000);
}

static void refuses(const struct refusals *r)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    assert_int_equal(yzi_refusals_write(r, &b), YZ_EINVAL);
    assert_int_equal(b.n, 0);
}

static void test_refusals__refuse_what_has_no_one_meaning(void **state)
{
    (void)state;
    struct refusals r = sample_refusals();
    r.counts[1].status = OUTCOME_BUSY; /* twice */
    refuses(&r);
    r = sample_refusals();
    r.counts[0].status = OUTCOME_MALFORMED + 2; /* not rising */
    refuses(&r);
    r = sample_refusals();
    r.counts[0].count = 0;
    refuses(&r);
    r = sample_refusals();
    r.counts[1].status = (enum outcome_status)(OUTCOME_STALE_DIRECTORY + 1);
    refuses(&r);
    r = sample_refusals();
    r.counts_n = 0;
    refuses(&r);
    r = sample_refusals();
    r.until = r.from - 1;
    refuses(&r);
    r = sample_refusals();
    r.node.v = yzi_bytes_str("CN/GOV/HB");
    refuses(&r);
}

/* The bytes as they are parse; with one cut off or an unknown field, they do not. */
static void is_exact(const char *name, int (*parse)(yz_bytes))
{
    static const uint8_t unknown[] = {0x78, 0x01};
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    yz_bytes good = yz_vector(vectors, name);
    assert_int_equal(parse(good), 0);
    for (size_t n = 0; n < good.n; n++) {
        assert_int_equal(parse(yzi_bytes(good.p, n)), YZ_EMALFORMED);
    }
    assert_int_equal(yzi_buf_put(&b, good), 0);
    assert_int_equal(yzi_buf_put(&b, yzi_bytes(unknown, sizeof unknown)), 0);
    assert_int_equal(parse(yzi_bytes_buf(&b)), YZ_EMALFORMED);
    assert_int_equal(yzi_buf_put_zero(&b, 5000), 0);
    assert_int_equal(parse(yzi_bytes_buf(&b)), YZ_EMALFORMED);
}

static int parse_refusals(yz_bytes body)
{
    struct refusals r;
    return yzi_refusals_parse(body, &r);
}

static int parse_pruning(yz_bytes body)
{
    struct pruning p;
    return yzi_pruning_parse(body, &p);
}

static int parse_log_end(yz_bytes body)
{
    struct log_end e;
    return yzi_log_end_parse(body, &e);
}

static void test_bodies__are_read_exactly(void **state)
{
    (void)state;
    is_exact("pruning", parse_pruning);
    is_exact("first", parse_log_end);
    is_exact("restored", parse_log_end);
    /* Cut between two counts it is a smaller body of the same kind: its digest tells them apart. */
    assert_int_equal(parse_refusals(yz_vector(vectors, "refusals")), 0);
    yz_bytes all = yz_vector(vectors, "refusals");
    assert_int_equal(parse_refusals(yzi_bytes(all.p, all.n - 1)), YZ_EMALFORMED);
}

/* -- pruning, opening and closing -- */

static void test_pruning__agrees_with_the_vector(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    struct pruning p = {.below = 123456};
    assert_int_equal(yzi_pruning_write(&p, &b), 0);
    is_vector(&b, "pruning");
    p.below = 0;
    assert_int_equal(yzi_pruning_write(&p, &b), YZ_EINVAL);
    assert_int_equal(yzi_pruning_parse(yz_vector(vectors, "pruning"), &p), 0);
    assert_true(p.below == 123456);
}

static void test_log_end__agrees_with_the_vectors(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    struct log_end read, e = {.reason = yzi_bytes_str("first")};
    assert_int_equal(yzi_log_end_write(&e, &b), 0);
    is_vector(&b, "first");
    yzi_buf_clear(&b);
    e = (struct log_end){.log = LOG,
                         .size = 77,
                         .signature = yzi_bytes(counted + 0x50, 64),
                         .reason = yzi_bytes_str("restored")};
    memcpy(e.root.b, counted + 0x30, sizeof e.root.b);
    assert_int_equal(yzi_log_end_write(&e, &b), 0);
    is_vector(&b, "restored");
    assert_int_equal(yzi_log_end_parse(yz_vector(vectors, "restored"), &read), 0);
    assert_true(read.log == LOG && read.size == 77 && yzi_digest_eq(&read.root, &e.root));
    assert_true(yzi_bytes_eq(read.signature, e.signature));
    assert_true(yzi_bytes_eq_str(read.reason, "restored"));
    assert_int_equal(yzi_log_end_parse(yz_vector(vectors, "first"), &read), 0);
    assert_true(read.log == 0 && read.size == 0 && read.signature.n == 0);
}

static void test_log_end__is_whole_or_absent(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    struct log_end e = {.log = LOG, .size = 1, .reason = yzi_bytes_str("closed")};
    assert_int_equal(yzi_log_end_write(&e, &b), YZ_EINVAL); /* no signature */
    e.signature = yzi_bytes(counted, 64);
    e.size = 0;
    assert_int_equal(yzi_log_end_write(&e, &b), YZ_EINVAL);
    e.log = 0;
    assert_int_equal(yzi_log_end_write(&e, &b), YZ_EINVAL); /* a signature of nothing */
    e.signature.n = 0;
    e.root.b[5] = 1;
    assert_int_equal(yzi_log_end_write(&e, &b), YZ_EINVAL);
    e.root.b[5] = 0;
    e.reason = yzi_bytes_str("No Word");
    assert_int_equal(yzi_log_end_write(&e, &b), YZ_EINVAL);
    assert_int_equal(b.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry__agrees_with_the_vector),
        cmocka_unit_test(test_entry__refuses_other_lengths_marks_and_types),
        cmocka_unit_test(test_entry_type__has_a_name_when_it_is_known),
        cmocka_unit_test(test_message__digest_is_the_message_digest),
        cmocka_unit_test(test_message__refuses_sections_beyond_their_limits),
        cmocka_unit_test(test_refusals__agree_with_the_vector),
        cmocka_unit_test(test_refusals__refuse_what_has_no_one_meaning),
        cmocka_unit_test(test_bodies__are_read_exactly),
        cmocka_unit_test(test_pruning__agrees_with_the_vector),
        cmocka_unit_test(test_log_end__agrees_with_the_vectors),
        cmocka_unit_test(test_log_end__is_whole_or_absent),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
