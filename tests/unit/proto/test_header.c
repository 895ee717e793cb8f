/* SPDX-License-Identifier: Apache-2.0
 *
 * proto/header: the headers of signed messages and the hop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/header.h"
#include "tests/support/vectors.h"
#include "tests/unit/proto/hostile.h"

#define ISSUED UINT64_C(1732309509123)

static struct vectors *vectors;
static uint8_t counted[512];

static int load(void **state)
{
    (void)state;
    vectors = calloc(1, sizeof *vectors);
    assert_non_null(vectors);
    yz_vectors_load(vectors, "header.txt");
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

static yz_bytes counting(uint8_t first, size_t n)
{
    return yzi_bytes(counted + first, n);
}

static yz_digest digest(uint8_t first)
{
    yz_digest d;
    memcpy(d.b, counting(first, sizeof d.b).p, sizeof d.b);
    return d;
}

static yz_uuid uuid(const char *text)
{
    yz_uuid u;
    assert_int_equal(yzi_uuid_parse(text, &u), 0);
    return u;
}

static yz_node_id node(const char *text)
{
    return (yz_node_id){yzi_bytes_str(text)};
}

/* -- what the vectors say -- */

static struct request_header sample_request(void)
{
    struct request_header h = {
        .suite = SUITE_1,
        .message_id = uuid("0193512e-8f00-7abc-8def-0123456789ab"),
        .conversation_id = uuid("0193512e-8eff-7000-8000-000000000001"),
        .node = node("CN/GOV/MHR/@desk1"),
        .consumer = {yzi_bytes_str("CN/GOV/MHR/registry")},
        .service = {yzi_bytes_str("CN/GOV/MCA/civil/marriage/v1")},
        .brokers = {{.node = node("CN/@b1"),
                     .checkpoint = {true, 1732000000000, 1234, digest(0x10), counting(0x50, 64)}},
                    {.node = node("CN/@b2")}},
        .brokers_n = 2,
        .issued_at = ISSUED,
        .expires_at = ISSUED + 30000,
        .purpose = yzi_bytes_str("house-registration"),
        .directory_version = 42,
        .slots = {{node("CN/GOV/MCA/@a1"), digest(0x40), counting(0x60, 72)},
                  {node("CN/GOV/MCA/@a2"), digest(0x41), counting(0x61, 72)}},
        .slots_n = 2,
        .sealed_length = 272,
        .sealed_digest = digest(0x80),
        .content_commitment = digest(0xa0),
        .trace = counting(0xe0, 25),
    };
    memcpy(h.epoch_key, counting(0x20, 32).p, 32);
    return h;
}

static struct request_header small_request(void)
{
    struct request_header h = sample_request();
    h.brokers[0] = h.brokers[1];
    h.brokers_n = 1;
    h.slots_n = 1;
    h.purpose = (yz_bytes){0};
    h.trace = (yz_bytes){0};
    return h;
}

static struct response_header sample_response(void)
{
    return (struct response_header){
        .suite = SUITE_1,
        .message_id = uuid("0193512e-8f00-7abc-8def-0123456789ab"),
        .request_digest = digest(0x30),
        .node = node("CN/GOV/MCA/@a1"),
        .slot = 1,
        .status = RESPONSE_ANSWERED,
        .policy_version = 7,
        .data_version = 900719925474099,
        .issued_at = ISSUED + 40,
        .expires_at = ISSUED + 30040,
        .directory_version = 42,
        .has_broker = true,
        .broker = {.node = node("CN/@b1"),
                   .checkpoint = {true, 1732000000000, 1234, digest(0x10), counting(0x50, 64)}},
        .wrapped_key = counting(0x60, 72),
        .sealed_length = 528,
        .sealed_digest = digest(0x80),
        .content_commitment = digest(0xa0),
        .trace = counting(0xe0, 25),
    };
}

static struct response_header stale_response(void)
{
    struct response_header h = sample_response();
    h.slot = 0;
    h.status = RESPONSE_STALE_KEY;
    h.data_version = 0;
    h.has_broker = false;
    h.wrapped_key = h.trace = (yz_bytes){0};
    h.sealed_length = 0;
    h.announcement = counting(0x00, 150);
    return h;
}

static struct outcome_header sample_outcome(void)
{
    return (struct outcome_header){
        .message_id = uuid("0193512e-8f00-7abc-8def-0123456789ab"),
        .request_digest = digest(0x30),
        .node = node("CN/@b1"),
        .status = OUTCOME_BUSY,
        .reason = yzi_bytes_str("rate"),
        .directory_version = 42,
        .rule = yzi_bytes_str("CN/GOV/MCA/civil 7 per-second"),
        .retry_after_ms = 1500,
        .issued_at = ISSUED + 5,
    };
}

/* -- both ways -- */

static int parse_request(yz_bytes wire)
{
    struct request_header h;
    return yzi_request_header_parse(wire, &h);
}
static int parse_response(yz_bytes wire)
{
    struct response_header h;
    return yzi_response_header_parse(wire, &h);
}
static int parse_outcome(yz_bytes wire)
{
    struct outcome_header h;
    return yzi_outcome_header_parse(wire, &h);
}
static int parse_hop(yz_bytes wire)
{
    struct hop h;
    return yzi_hop_parse(wire, &h);
}

static void is_vector(const yz_buf *written, const char *name)
{
    yz_bytes want = yz_vector(vectors, name);
    assert_int_equal(written->n, want.n);
    assert_memory_equal(written->p, want.p, want.n);
}

static bool is_inside(yz_bytes part, yz_bytes whole)
{
    return part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

static void test_request__agrees_with_the_vectors(void **state)
{
    (void)state;
    static const char *const names[] = {"request", "request_small"};
    for (int i = 0; i < 2; i++) {
        struct request_header h = i ? small_request() : sample_request(), read;
        YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
        assert_int_equal(yzi_request_header_write(&h, &b), 0);
        is_vector(&b, names[i]);
        yz_bytes wire = yz_vector(vectors, names[i]);
        assert_int_equal(yzi_request_header_parse(wire, &read), 0);
        assert_true(is_inside(read.node.v, wire) && is_inside(read.service.v, wire));
        assert_true(is_inside(read.slots[0].wrapped_key, wire));
        yzi_buf_clear(&b);
        assert_int_equal(yzi_request_header_write(&read, &b), 0);
        is_vector(&b, names[i]);
    }
}

static void test_request__is_read_field_by_field(void **state)
{
    (void)state;
    struct request_header h, want = sample_request();
    assert_int_equal(yzi_request_header_parse(yz_vector(vectors, "request"), &h), 0);
    assert_int_equal(h.suite, 1);
    assert_true(yzi_uuid_eq(&h.message_id, &want.message_id));
    assert_true(yzi_uuid_eq(&h.conversation_id, &want.conversation_id));
    assert_true(yzi_bytes_eq_str(h.node.v, "CN/GOV/MHR/@desk1"));
    assert_true(yzi_bytes_eq_str(h.consumer.v, "CN/GOV/MHR/registry"));
    assert_true(yzi_bytes_eq_str(h.service.v, "CN/GOV/MCA/civil/marriage/v1"));
    assert_int_equal(h.brokers_n, 2);
    assert_true(h.brokers[0].checkpoint.present && h.brokers[0].checkpoint.size == 1234);
    assert_true(yzi_digest_eq(&h.brokers[0].checkpoint.root, &want.brokers[0].checkpoint.root));
    assert_true(h.brokers[0].checkpoint.log == 1732000000000);
    assert_true(yzi_bytes_eq(h.brokers[0].checkpoint.signature, counting(0x50, 64)));
    assert_false(h.brokers[1].checkpoint.present);
    assert_true(h.issued_at == ISSUED && h.expires_at == ISSUED + 30000);
    assert_true(yzi_bytes_eq_str(h.purpose, "house-registration"));
    assert_true(h.directory_version == 42);
    assert_memory_equal(h.epoch_key, want.epoch_key, 32);
    assert_int_equal(h.slots_n, 2);
    assert_true(yzi_bytes_eq_str(h.slots[1].adapter.v, "CN/GOV/MCA/@a2"));
    assert_true(yzi_digest_eq(&h.slots[1].announcement, &want.slots[1].announcement));
    assert_true(yzi_bytes_eq(h.slots[1].wrapped_key, want.slots[1].wrapped_key));
    assert_int_equal(h.sealed_length, 272);
    assert_true(yzi_digest_eq(&h.sealed_digest, &want.sealed_digest));
    assert_true(yzi_digest_eq(&h.content_commitment, &want.content_commitment));
    assert_true(yzi_bytes_eq(h.trace, want.trace));
}

static void test_response__agrees_with_the_vectors(void **state)
{
    (void)state;
    static const char *const names[] = {"response", "response_stale_key"};
    for (int i = 0; i < 2; i++) {
        struct response_header h = i ? stale_response() : sample_response(), read;
        YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
        assert_int_equal(yzi_response_header_write(&h, &b), 0);
        is_vector(&b, names[i]);
        assert_int_equal(yzi_response_header_parse(yz_vector(vectors, names[i]), &read), 0);
        assert_int_equal(read.slot, h.slot);
        assert_int_equal(read.status, h.status);
        assert_true(read.policy_version == 7 && read.data_version == h.data_version);
        assert_true(read.has_broker == !i);
        yzi_buf_clear(&b);
        assert_int_equal(yzi_response_header_write(&read, &b), 0);
        is_vector(&b, names[i]);
    }
}

static void test_outcome__agrees_with_the_vector(void **state)
{
    (void)state;
    struct outcome_header h = sample_outcome(), read;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    assert_int_equal(yzi_outcome_header_write(&h, &b), 0);
    is_vector(&b, "outcome");
    assert_int_equal(yzi_outcome_header_parse(yz_vector(vectors, "outcome"), &read), 0);
    assert_int_equal(read.status, OUTCOME_BUSY);
    assert_int_equal(read.retry_after_ms, 1500);
    assert_true(yzi_bytes_eq_str(read.reason, "rate"));
    yzi_buf_clear(&b);
    assert_int_equal(yzi_outcome_header_write(&read, &b), 0);
    is_vector(&b, "outcome");
}

static void test_hop__agrees_with_the_vector(void **state)
{
    (void)state;
    struct hop read, h = {.has_time_left = true, .time_left_ms = 29500, .receipt = counting(1, 40)};
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    assert_int_equal(yzi_hop_write(&h, &b), 0);
    is_vector(&b, "hop");
    assert_int_equal(yzi_hop_parse(yz_vector(vectors, "hop"), &read), 0);
    assert_true(read.has_time_left && read.time_left_ms == 29500);
    assert_true(yzi_bytes_eq(read.receipt, h.receipt));
    /* nothing is nothing, and no time left is not an unknown time */
    h = (struct hop){0};
    yzi_buf_clear(&b);
    assert_int_equal(yzi_hop_write(&h, &b), 0);
    assert_int_equal(b.n, 0);
    assert_int_equal(yzi_hop_parse((yz_bytes){0}, &read), 0);
    assert_false(read.has_time_left);
    h.has_time_left = true;
    assert_int_equal(yzi_hop_write(&h, &b), 0);
    assert_int_equal(yzi_hop_parse(yzi_bytes_buf(&b), &read), 0);
    assert_true(read.has_time_left && read.time_left_ms == 0);
}

/* -- hostile wire bytes -- */

static void test_headers__refuse_each_way_to_spoil_them(void **state)
{
    (void)state;
    const struct hostile request = {
        .parse = parse_request,
        .optional = FIELD(10) | FIELD(17),
        .repeated = FIELD(7) | FIELD(13),
        .fixed = FIELD(2) | FIELD(3) | FIELD(12) | FIELD(15) | FIELD(16) | FIELD(17),
    };
    hostile_check(&request, yz_vector(vectors, "request"));
    hostile_check(&request, yz_vector(vectors, "request_small"));
    const struct hostile response = {
        .parse = parse_response,
        .optional = FIELD(12) | FIELD(17),
        .fixed = FIELD(2) | FIELD(3) | FIELD(13) | FIELD(15) | FIELD(16) | FIELD(17),
    };
    hostile_check(&response, yz_vector(vectors, "response"));
    hostile_check(&response, yz_vector(vectors, "response_stale_key"));
    const struct hostile outcome = {
        .parse = parse_outcome,
        .optional = FIELD(5) | FIELD(7) | FIELD(8),
        .fixed = FIELD(1) | FIELD(2),
    };
    hostile_check(&outcome, yz_vector(vectors, "outcome"));
    const struct hostile hop = {
        .parse = parse_hop,
        .optional = FIELD(1) | FIELD(2),
        .skips_unknown = true,
    };
    hostile_check(&hop, yz_vector(vectors, "hop"));
}

struct edit {
    uint32_t field;
    const char *bytes; /* or NULL: the number */
    size_t n;
    uint64_t number;
    int rc;
};
#define TEXT(field, s, rc)                                                                         \
    {                                                                                              \
        field, s, sizeof(s) - 1, 0, rc                                                             \
    }
#define NUMBER(field, v, rc)                                                                       \
    {                                                                                              \
        field, NULL, 0, v, rc                                                                      \
    }

static void check_edits(const char *name, hostile_parser parse, const struct edit *edits, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
        yz_bytes wire = yz_vector(vectors, name);
        if (edits[i].bytes) {
            wire_replace(wire, edits[i].field, yzi_bytes(edits[i].bytes, edits[i].n), &b);
        } else {
            wire_replace_num(wire, edits[i].field, edits[i].number, &b);
        }
        int rc = hostile_parse(parse, yzi_bytes_buf(&b));
        if (rc != edits[i].rc) {
            fail_msg("%s, edit %zu (field %u): %d", name, i, edits[i].field, rc);
        }
    }
}

#define LONG65 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_request__holds_its_invariants(void **state)
{
    (void)state;
    static const struct edit edits[] = {
        NUMBER(1, 0, YZ_EVERSION),
        NUMBER(1, 2, YZ_EVERSION),
        TEXT(2, "\x01\x93\x51\x2e\x8f\x00\x4a\xbc\x8d\xef\x01\x23\x45\x67\x89\xab", YZ_EMALFORMED),
        TEXT(3, "\x01\x93\x51\x2e\x8f\x00\x7a\xbc\xcd\xef\x01\x23\x45\x67\x89\xab", YZ_EMALFORMED),
        TEXT(4, "CN/@b1", YZ_EMALFORMED),            /* a broker asks nothing */
        TEXT(4, "CN/GOV/MCA/@desk1", YZ_EMALFORMED), /* of another member */
        TEXT(4, "CN/GOV/MHR/@desk%31", YZ_EMALFORMED),
        TEXT(4, "CN/GOV/MHR/@desk\0", YZ_EMALFORMED),
        TEXT(4, "CN/GOV/MHR/registry", YZ_EMALFORMED),
        TEXT(4, "CN/GOV/MHR/@desk2", 0),
        TEXT(5, "CN/GOV/MHR", YZ_EMALFORMED),
        TEXT(5, "CN/GOV/MHR2/registry", YZ_EMALFORMED),
        TEXT(5, "CN/GOV/MHR/reg\xff", YZ_EMALFORMED),
        TEXT(6, "CN/GOV/MCA/civil/marriage", YZ_EMALFORMED),
        TEXT(6, "", YZ_EMALFORMED),
        NUMBER(8, ISSUED + 30000, YZ_EMALFORMED), /* not before it expires */
        NUMBER(8, ISSUED + 30000 - 300000, 0),    /* the longest life */
        NUMBER(8, ISSUED + 30000 - 300001, YZ_EMALFORMED),
        NUMBER(9, ISSUED, YZ_EMALFORMED),
        NUMBER(9, 0, YZ_EMALFORMED),
        NUMBER(9, UINT64_MAX, YZ_EMALFORMED),
        TEXT(10, "", YZ_EMALFORMED),
        TEXT(10, "two words", YZ_EMALFORMED),
        TEXT(10, "a\0b", YZ_EMALFORMED),
        TEXT(10, "\xe4\xba\xba", YZ_EMALFORMED),
        TEXT(10, LONG65, YZ_ETOOBIG),
        TEXT(10, "7.4:c/d", 0),
        NUMBER(14, 0, YZ_EMALFORMED),
        NUMBER(14, YZ_MESSAGE_MAX, 0),
        NUMBER(14, YZ_MESSAGE_MAX + 1, YZ_ETOOBIG),
        NUMBER(14, UINT64_C(1) << 32, YZ_EMALFORMED),
        TEXT(17, "", YZ_EMALFORMED),
    };
    check_edits("request", parse_request, edits, sizeof edits / sizeof edits[0]);
}

static void test_response__holds_its_invariants(void **state)
{
    (void)state;
    static const struct edit sealed[] = {
        NUMBER(1, 2, YZ_EVERSION),
        TEXT(4, "CN/@b1", YZ_EMALFORMED),
        NUMBER(5, 0, 0),
        NUMBER(5, 3, 0),
        NUMBER(5, 4, YZ_EMALFORMED),
        NUMBER(6, 0, YZ_EMALFORMED),
        NUMBER(6, 4, 0),
        NUMBER(6, 5, YZ_EMALFORMED), /* stale-key seals nothing */
        NUMBER(6, 6, YZ_EMALFORMED),
        NUMBER(6, UINT32_MAX, YZ_EMALFORMED),
        NUMBER(9, ISSUED + 30040, YZ_EMALFORMED),
        NUMBER(10, ISSUED + 40 + 300001, YZ_EMALFORMED),
        NUMBER(14, 0, YZ_EMALFORMED),
        NUMBER(14, YZ_MESSAGE_MAX + 1, YZ_ETOOBIG),
        TEXT(13, "", YZ_EMALFORMED),
    };
    check_edits("response", parse_response, sealed, sizeof sealed / sizeof sealed[0]);
    static const struct edit stale[] = {
        NUMBER(6, 1, YZ_EMALFORMED), NUMBER(14, 1, YZ_EMALFORMED), TEXT(18, "", YZ_EMALFORMED),
        TEXT(18, "x", 0), /* what it holds is for record.c */
    };
    check_edits("response_stale_key", parse_response, stale, sizeof stale / sizeof stale[0]);
    YZ_AUTO(yzi_buf_fini) yz_buf both = buf();
    wire_put(&both, yz_vector(vectors, "response"));
    wire_raw(&both, 18, counting(0, 150));
    assert_int_equal(hostile_parse(parse_response, yzi_bytes_buf(&both)), YZ_EMALFORMED);
    /* one of the sealed fields missing, or all of them there with stale-key */
    static const uint32_t parts[] = {13, 15, 16};
    for (int i = 0; i < 3; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
        wire_drop(yz_vector(vectors, "response"), parts[i], &b);
        assert_int_equal(hostile_parse(parse_response, yzi_bytes_buf(&b)), YZ_EMALFORMED);
        yzi_buf_clear(&b);
        wire_put(&b, yz_vector(vectors, "response_stale_key"));
        wire_raw(&b, parts[i], counting(0, i == 0 ? 72 : 32));
        assert_int_equal(hostile_parse(parse_response, yzi_bytes_buf(&b)), YZ_EMALFORMED);
    }
}

static void test_outcome__holds_its_invariants(void **state)
{
    (void)state;
    static const struct edit edits[] = {
        TEXT(3, "CN/GOV/MCA/@a1", YZ_EMALFORMED), /* only brokers sign outcomes */
        NUMBER(4, 0, YZ_EMALFORMED),
        NUMBER(4, 13, 0),
        NUMBER(4, 14, YZ_EMALFORMED),
        TEXT(5, "", YZ_EMALFORMED),
        TEXT(5, "Rate", YZ_EMALFORMED),
        TEXT(5, "not yet", YZ_EMALFORMED),
        TEXT(5, "not-yet", 0),
        TEXT(5, LONG65, YZ_ETOOBIG),
        TEXT(7, "a\nb", YZ_EMALFORMED),
        TEXT(7, "a\0b", YZ_EMALFORMED),
        TEXT(7, "\xe4\xba", YZ_EMALFORMED),
        TEXT(7, "\xed\xa0\x80", YZ_EMALFORMED),
        TEXT(7, "\xe9\x99\x90", 0),
        NUMBER(8, 0, YZ_EMALFORMED),
        NUMBER(8, UINT32_MAX, 0),
    };
    check_edits("outcome", parse_outcome, edits, sizeof edits / sizeof edits[0]);
}

/* -- lists -- */

static struct request_header many(unsigned brokers, unsigned slots)
{
    static char names[YZ_BROKERS_MAX + YZ_SLOTS_MAX][32];
    struct request_header h = sample_request();
    for (unsigned i = 0; i < brokers; i++) {
        snprintf(names[i], sizeof names[i], "CN/@b%u", i);
        h.brokers[i] = (struct broker_ref){.node = node(names[i]),
                                           .checkpoint = {true, 7, i, {{0}}, counting(3, 64)}};
    }
    for (unsigned i = 0; i < slots; i++) {
        char *name = names[YZ_BROKERS_MAX + i];
        snprintf(name, sizeof names[0], "CN/GOV/MCA/@a%u", i);
        h.slots[i] = (struct slot){node(name), digest((uint8_t)i), counting((uint8_t)i, 72)};
    }
    h.brokers_n = brokers;
    h.slots_n = slots;
    return h;
}

static void test_request__has_one_to_four_distinct_brokers_and_slots(void **state)
{
    (void)state;
    struct request_header h = many(4, 4), read;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf(), more = buf();
    assert_int_equal(yzi_request_header_write(&h, &b), 0);
    assert_int_equal(yzi_request_header_parse(yzi_bytes_buf(&b), &read), 0);
    assert_int_equal(read.brokers_n, 4);
    assert_int_equal(read.slots_n, 4);
    assert_true(yzi_bytes_eq_str(read.slots[3].adapter.v, "CN/GOV/MCA/@a3"));
    assert_true(read.brokers[3].checkpoint.size == 3);

    YZ_AUTO(yzi_buf_fini) yz_buf broker = buf();
    wire_raw(&broker, 1, yzi_bytes_str("CN/@b9"));
    wire_put(&more, yzi_bytes_buf(&b));
    wire_raw(&more, 7, yzi_bytes_buf(&broker)); /* a fifth */
    assert_int_equal(hostile_parse(parse_request, yzi_bytes_buf(&more)), YZ_ETOOBIG);
    yzi_buf_clear(&more);
    wire_put(&more, yz_vector(vectors, "request"));
    for (int i = 0; i < 300; i++) { /* far more than the scratch buffer holds */
        wire_raw(&more, 7, yzi_bytes_buf(&broker));
    }
    assert_int_equal(hostile_parse(parse_request, yzi_bytes_buf(&more)), YZ_ETOOBIG);
    yzi_buf_clear(&more);
    wire_put(&more, yz_vector(vectors, "request_small"));
    yzi_buf_clear(&broker);
    wire_raw(&broker, 1, yzi_bytes_str("CN/@b2")); /* the one it names already */
    wire_raw(&more, 7, yzi_bytes_buf(&broker));
    assert_int_equal(hostile_parse(parse_request, yzi_bytes_buf(&more)), YZ_EMALFORMED);
}

static int write_request(const struct request_header *h)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    int rc = yzi_request_header_write(h, &b);
    assert_true(rc == 0 || b.n == 0);
    return rc;
}

static void test_request__writer_refuses_what_the_parser_would(void **state)
{
    (void)state;
    struct request_header h = sample_request();
    h.slots[1].adapter = h.slots[0].adapter;
    assert_int_equal(write_request(&h), YZ_EINVAL);
    h = sample_request();
    h.brokers[1].node = h.brokers[0].node;
    assert_int_equal(write_request(&h), YZ_EINVAL);
    h = sample_request();
    h.brokers[0].node = node("CN/GOV/MCA/@a1");
    assert_int_equal(write_request(&h), YZ_EINVAL);
    h = sample_request();
    h.slots[0].adapter = node("CN/@b1");
    assert_int_equal(write_request(&h), YZ_EINVAL);
    h = sample_request();
    h.slots[0].wrapped_key.n = 71;
    assert_int_equal(write_request(&h), YZ_EINVAL);
    h = sample_request();
    h.brokers_n = 0;
    assert_int_equal(write_request(&h), YZ_EINVAL);
    h = sample_request();
    h.slots_n = YZ_SLOTS_MAX + 1;
    assert_int_equal(write_request(&h), YZ_ETOOBIG);
    h = sample_request();
    h.suite = 2;
    assert_int_equal(write_request(&h), YZ_EVERSION);
    h = sample_request();
    h.trace.n = 24;
    assert_int_equal(write_request(&h), YZ_EINVAL);
    h = sample_request();
    h.expires_at = h.issued_at + YZ_EXPIRY_MAX_MS;
    assert_int_equal(write_request(&h), 0);
    h.expires_at++;
    assert_int_equal(write_request(&h), YZ_EINVAL);

    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    struct response_header r = stale_response();
    r.announcement = (yz_bytes){0};
    assert_int_equal(yzi_response_header_write(&r, &b), YZ_EINVAL);
    r = stale_response();
    r.announcement = yzi_bytes(calloc(1, 4096), 4096); /* no longer fits a header */
    assert_int_equal(yzi_response_header_write(&r, &b), YZ_ETOOBIG);
    free((void *)(uintptr_t)r.announcement.p);
    struct outcome_header o = sample_outcome();
    o.reason = yzi_bytes_str("No!");
    assert_int_equal(yzi_outcome_header_write(&o, &b), YZ_EINVAL);
    struct hop hop = {.receipt = counting(0, 250)};
    b.max = 200;
    assert_int_equal(yzi_hop_write(&hop, &b), YZ_ELIMIT);
    assert_int_equal(b.n, 0);
}

static void test_request__fits_a_header_with_the_longest_names(void **state)
{
    (void)state;
    static char text[16][1024];
    static char segment[101];
    memset(segment, 's', 100);
    struct request_header h = many(4, 4);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(text[i], sizeof text[0], "%s/@%.99s%u", segment, segment, i);
        h.brokers[i].node = node(text[i]);
        snprintf(text[4 + i], sizeof text[0], "%s/%s/%s/@%.99s%u", segment, segment, segment,
                 segment, i);
        h.slots[i].adapter = node(text[4 + i]);
    }
    h.node = h.slots[0].adapter;
    snprintf(text[8], sizeof text[0], "%s/%s/%s/%s", segment, segment, segment, segment);
    h.consumer = (yz_subsystem_id){yzi_bytes_str(text[8])};
    snprintf(text[9], sizeof text[0], "%s/%s/%s/%s/%s/%s", segment, segment, segment, segment,
             segment, segment);
    h.service = (yz_service_id){yzi_bytes_str(text[9])};
    struct request_header read;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    int rc = yzi_request_header_write(&h, &b);
    assert_int_equal(rc, YZ_ETOOBIG); /* 4 of everything at full length is beyond 4 KiB */
    h.slots_n = 2;
    h.brokers_n = 2;
    assert_int_equal(yzi_request_header_write(&h, &b), 0);
    assert_int_equal(yzi_request_header_parse(yzi_bytes_buf(&b), &read), 0);
    assert_int_equal(read.service.v.n, 605);
}

static void test_headers__have_at_most_4_kib(void **state)
{
    (void)state;
    uint8_t *big = calloc(1, YZ_HOP_MAX + 1);
    assert_non_null(big);
    assert_int_equal(hostile_parse(parse_request, yzi_bytes(big, YZ_HEADER_MAX + 1)), YZ_ETOOBIG);
    assert_int_equal(hostile_parse(parse_request, yzi_bytes(big, YZ_HEADER_MAX)), YZ_EMALFORMED);
    assert_int_equal(hostile_parse(parse_response, yzi_bytes(big, YZ_HEADER_MAX + 1)), YZ_ETOOBIG);
    assert_int_equal(hostile_parse(parse_outcome, yzi_bytes(big, YZ_HEADER_MAX + 1)), YZ_ETOOBIG);
    assert_int_equal(hostile_parse(parse_hop, yzi_bytes(big, YZ_HOP_MAX + 1)), YZ_ETOOBIG);
    assert_int_equal(hostile_parse(parse_hop, yzi_bytes(big, YZ_HOP_MAX)), YZ_EMALFORMED);
    free(big);
    assert_int_equal(parse_request((yz_bytes){0}), YZ_EMALFORMED);
}

static void test_hop__bounds_what_it_skips(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    for (unsigned i = 0; i < 64; i++) {
        wire_num(&b, 100 + i, 1);
    }
    assert_int_equal(hostile_parse(parse_hop, yzi_bytes_buf(&b)), 0);
    wire_num(&b, 99, 1);
    assert_int_equal(hostile_parse(parse_hop, yzi_bytes_buf(&b)), YZ_ETOOBIG);
}

/* -- peeking -- */

static void test_peek__finds_the_id_of_what_does_not_parse(void **state)
{
    (void)state;
    yz_bytes whole = yz_vector(vectors, "request");
    yz_uuid want = uuid("0193512e-8f00-7abc-8def-0123456789ab"), got;
    for (size_t n = 0; n <= whole.n; n++) { /* suite 2 bytes, id 18 bytes */
        uint8_t *copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, whole.p, n);
        got = (yz_uuid){{0}};
        assert_int_equal(yzi_request_header_peek_id(yzi_bytes(copy, n), &got), n >= 20);
        assert_true(yzi_uuid_eq(&got, n >= 20 ? &want : &(yz_uuid){{0}}));
        free(copy);
    }
    YZ_AUTO(yzi_buf_fini) yz_buf b = buf();
    wire_num(&b, 1000, 7); /* a field we do not know, then the id */
    wire_raw(&b, 2, yzi_bytes_uuid(&want));
    assert_true(yzi_request_header_peek_id(yzi_bytes_buf(&b), &got));
    static const struct {
        const char *bytes;
        size_t n;
    } wrong[] = {
        {"", 0},
        {"\x0b\x0c", 2},
        {"\x10\x01", 2}, /* a number */
        {"\x12\x0f"
         "aaaaaaaaaaaaaaa",
         17}, /* too short */
        {"\x12\x10"
         "aaaaaaaaaaaaaaaa",
         18}, /* no UUIDv7 */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(yzi_request_header_peek_id(yzi_bytes(wrong[i].bytes, wrong[i].n), &got));
    }
}

static void test_peek__finds_the_service_as_far_as_it_is_well_formed(void **state)
{
    (void)state;
    struct request_header h;
    yz_bytes whole = yz_vector(vectors, "request"), got;
    assert_int_equal(yzi_request_header_parse(whole, &h), YZ_OK);
    size_t end = (size_t)(h.service.v.p - whole.p) + h.service.v.n;
    for (size_t n = 0; n <= whole.n; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, whole.p, n);
        bool found = yzi_request_header_peek_service(yzi_bytes(copy, n), &got);
        assert_int_equal(found, n >= end);
        assert_true(!found || yzi_bytes_eq(got, h.service.v));
        free(copy);
    }
    assert_false(yzi_request_header_peek_service(yzi_bytes("\x30\x01", 2), &got)); /* a number */
    assert_false(yzi_request_header_peek_service(yzi_bytes("\x0b", 1), &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request__agrees_with_the_vectors),
        cmocka_unit_test(test_request__is_read_field_by_field),
        cmocka_unit_test(test_response__agrees_with_the_vectors),
        cmocka_unit_test(test_outcome__agrees_with_the_vector),
        cmocka_unit_test(test_hop__agrees_with_the_vector),
        cmocka_unit_test(test_headers__refuse_each_way_to_spoil_them),
        cmocka_unit_test(test_request__holds_its_invariants),
        cmocka_unit_test(test_response__holds_its_invariants),
        cmocka_unit_test(test_outcome__holds_its_invariants),
        cmocka_unit_test(test_request__has_one_to_four_distinct_brokers_and_slots),
        cmocka_unit_test(test_request__writer_refuses_what_the_parser_would),
        cmocka_unit_test(test_request__fits_a_header_with_the_longest_names),
        cmocka_unit_test(test_headers__have_at_most_4_kib),
        cmocka_unit_test(test_hop__bounds_what_it_skips),
        cmocka_unit_test(test_peek__finds_the_id_of_what_does_not_parse),
        cmocka_unit_test(test_peek__finds_the_service_as_far_as_it_is_well_formed),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
