/* SPDX-License-Identifier: Apache-2.0
 *
 * evidence/receipt: the binary form against vectors of another implementation, and against the
 * broker's keys in a directory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "evidence/receipt.h"
#include "proof/tlogproof.h"
#include "proof/tree.h"
#include "tests/support/vectors.h"
#include "tests/support/world.h"

#define LOG UINT64_C(1732309509123)
#define TIME UINT64_C(1732309510000)

static struct vectors *vectors;

static int load(void **state)
{
    (void)state;
    vectors = calloc(1, sizeof *vectors);
    assert_non_null(vectors);
    yz_vectors_load(vectors, "receipt.txt");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    free(vectors);
    return 0;
}

static yz_node_id b1(void)
{
    return (yz_node_id){yzi_bytes_str("CN/@b1")};
}

/* As evidence.py has them: the type, time and body of entry i. */
static enum entry_type type_of(uint64_t i)
{
    return (enum entry_type)(1 + i % 3);
}

static yz_digest digest_of(uint64_t i)
{
    char body[32];
    yz_digest d;
    int n = snprintf(body, sizeof body, "body %llu", (unsigned long long)i);
    yzi_entry_digest(yzi_bytes(body, (size_t)n), &d);
    return d;
}

static const char *const names[] = {"one", "pair", "reversed", "neighbours", "lone"};
#define NAMES_N (sizeof names / sizeof names[0])

/* -- the form -- */

static void test_parse_and_write__agree_with_the_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAMES_N; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = RECEIPT_BYTES_MAX};
        struct receipt r;
        assert_int_equal(yzi_receipt_parse(yz_vector(vectors, names[i]), &r), 0);
        assert_true(r.log == LOG);
        assert_int_equal(yzi_receipt_write(&r, &b), 0);
        assert_true(yzi_bytes_eq(yzi_bytes_buf(&b), yz_vector(vectors, names[i])));
    }
}

static void test_to_proof__agrees_with_the_vectors(void **state)
{
    (void)state;
    struct note_key key;
    assert_int_equal(yzi_vkey_parse(yz_vector(vectors, "vkey"), &key), 0);
    for (size_t i = 0; i < NAMES_N; i++) {
        struct receipt r;
        assert_int_equal(yzi_receipt_parse(yz_vector(vectors, names[i]), &r), 0);
        for (unsigned e = 0; e < r.entries_n; e++) {
            YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = TLOGPROOF_MAX};
            YZ_AUTO(yzi_buf_fini) yz_buf entry = {.max = 64};
            char name[64];
            struct tlogproof p;
            yz_digest d = digest_of(r.entries[e].index);
            assert_int_equal(yzi_receipt_to_proof(&r, e, b1(), &d, &b), 0);
            snprintf(name, sizeof name, "%s_proof%u", names[i], e);
            assert_true(yzi_bytes_eq(yzi_bytes_buf(&b), yz_vector(vectors, name)));
            assert_int_equal(yzi_tlogproof_parse(yzi_bytes_buf(&b), &p), 0);
            assert_int_equal(yzi_tlogproof_extra(&p, &entry), 0);
            assert_int_equal(yzi_tlogproof_verify(&p, &key, yzi_bytes_buf(&entry), NULL), 0);
        }
    }
    struct receipt r;
    yz_digest d = digest_of(3);
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = TLOGPROOF_MAX};
    assert_int_equal(yzi_receipt_parse(yz_vector(vectors, "one"), &r), 0);
    assert_int_equal(yzi_receipt_to_proof(&r, 1, b1(), &d, &b), YZ_EINVAL);
}

static void test_parse__refuses_truncation_and_more(void **state)
{
    (void)state;
    struct receipt r;
    for (size_t i = 0; i < NAMES_N; i++) {
        uint8_t longer[1025];
        yz_bytes good = yz_vector(vectors, names[i]);
        for (size_t n = 0; n < good.n; n++) {
            assert_int_equal(yzi_receipt_parse(yzi_bytes(good.p, n), &r), YZ_EMALFORMED);
        }
        memcpy(longer, good.p, good.n);
        longer[good.n] = 0;
        assert_int_equal(yzi_receipt_parse(yzi_bytes(longer, good.n + 1), &r), YZ_EMALFORMED);
    }
}

static void test_parse__knows_one_version(void **state)
{
    (void)state;
    struct receipt r;
    uint8_t bytes[1024];
    yz_bytes good = yz_vector(vectors, "one");
    memcpy(bytes, good.p, good.n);
    bytes[0] = 2;
    assert_int_equal(yzi_receipt_parse(yzi_bytes(bytes, good.n), &r), YZ_EVERSION);
}

/* A second path that says again what the first said has another length of its own part. */
static void test_parse__refuses_a_second_form(void **state)
{
    (void)state;
    struct receipt r;
    uint8_t bytes[1200];
    yz_bytes good = yz_vector(vectors, "neighbours");
    assert_int_equal(yzi_receipt_parse(good, &r), 0);
    size_t at = 146 + 2 * 17 + 32 * r.entries[0].path.n; /* of the length of the own part */
    unsigned own = good.p[at];
    assert_true(own < r.entries[1].path.n && good.n == at + 1 + 32 * (size_t)own);
    memcpy(bytes, good.p, good.n);
    bytes[at] = (uint8_t)(own + 1);
    memcpy(bytes + good.n, r.entries[1].path.hash[own].b, 32);
    assert_int_equal(yzi_receipt_parse(yzi_bytes(bytes, good.n + 32), &r), YZ_EMALFORMED);
}

static void refused_by_writer(struct receipt r)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = RECEIPT_BYTES_MAX};
    assert_int_equal(yzi_receipt_write(&r, &b), YZ_EINVAL);
    assert_int_equal(b.n, 0);
}

static void test_write__refuses_what_the_parser_would(void **state)
{
    (void)state;
    struct receipt good, r;
    assert_int_equal(yzi_receipt_parse(yz_vector(vectors, "pair"), &good), 0);
    r = good;
    r.log = 0;
    refused_by_writer(r);
    r = good;
    r.entries_n = 3;
    refused_by_writer(r);
    r = good;
    r.entries[1].index = r.entries[0].index;
    refused_by_writer(r);
    r = good;
    r.entries[1].time = r.entries[0].time - 1; /* fell */
    refused_by_writer(r);
    r = good;
    r.entries[0].index = r.size;
    refused_by_writer(r);
    r = good;
    r.entries[0].path.n--;
    refused_by_writer(r);
    r = good;
    r.entries[0].type = (enum entry_type)10;
    refused_by_writer(r);
    r = good;
    r.size = (UINT64_C(1) << 63) + 1;
    refused_by_writer(r);
}

static void test_write__leaves_the_buffer_as_it_was(void **state)
{
    (void)state;
    struct receipt r;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 200};
    assert_int_equal(yzi_receipt_parse(yz_vector(vectors, "pair"), &r), 0);
    assert_int_equal(yzi_buf_put_str(&b, "before"), 0);
    assert_int_equal(yzi_receipt_write(&r, &b), YZ_ELIMIT);
    assert_int_equal(b.n, 6);
}

static void test_origin__says_broker_and_log(void **state)
{
    (void)state;
    char origin[LOG_ORIGIN_MAX];
    yz_node_id broker;
    uint64_t log;
    yzi_log_origin(b1(), LOG, origin);
    assert_string_equal(origin, "yizhan/CN/@b1/1732309509123");
    assert_int_equal(yzi_log_origin_parse(yzi_bytes_str(origin), &broker, &log), 0);
    assert_true(yzi_bytes_eq(broker.v, b1().v) && log == LOG);
    static const char *const bad[] = {
        "",
        "yizhan/",
        "yizhan/CN/@b1",
        "yizhan/CN/@b1/",
        "yizhan/CN/@b1/0",
        "yizhan/CN/@b1/01",
        "yizhan/CN/GOV/MCA/@a1/7",
        "other/CN/@b1/7",
        "yizhan//7",
        "yizhan/CN/@b1/7x",
        "yizhan/7",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(yzi_log_origin_parse(yzi_bytes_str(bad[i]), &broker, &log), YZ_EMALFORMED);
    }
}

/* -- against a directory -- */

static struct world *w;

static int make_world(void **state)
{
    (void)state;
    w = yz_world_standard();
    return 0;
}

static int free_world(void **state)
{
    (void)state;
    yz_world_free(w);
    return 0;
}

struct tree {
    yz_digest leaves[64];
    size_t n;
};

static struct receipt make_receipt(struct key_pair *key, const char *broker, size_t size,
                                   uint64_t first, uint64_t second)
{
    struct receipt r = {.log = LOG, .size = size, .entries_n = second < size ? 2 : 1};
    struct tree t = {.n = size};
    yz_node_id node = {yzi_bytes_str(broker)};
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = 4096};
    for (uint64_t i = 0; i < size; i++) {
        uint8_t bytes[YZ_ENTRY_BYTES];
        const struct entry e = {type_of(i), TIME + i / 2, digest_of(i)};
        yzi_entry_write(&e, bytes);
        yzi_merkle_leaf(yzi_bytes(bytes, sizeof bytes), &t.leaves[i]);
    }
    yzi_merkle_root(t.leaves, t.n, &r.root);
    for (unsigned i = 0; i < r.entries_n; i++) {
        uint64_t index = i ? second : first;
        r.entries[i].type = type_of(index);
        r.entries[i].index = index;
        r.entries[i].time = TIME + index / 2;
        assert_int_equal(yzi_merkle_path(t.leaves, t.n, index, &r.entries[i].path), 0);
    }
    memcpy(r.key, key->public_key, sizeof r.key);
    assert_int_equal(yzi_checkpoint_text(node, r.log, r.size, &r.root, &text), 0);
    assert_int_equal(yzi_sign_checkpoint(key, yzi_bytes_buf(&text), r.signature), 0);
    return r;
}

static struct receipt good_receipt(void)
{
    return make_receipt(&yz_world_node(w, "CN/@b1")->log, "CN/@b1", 13, 4, 11);
}

/* Verified as of entry 4 and 11 in the log of CN/@b1. */
static int verify(struct checkpoint_memory *m, const struct receipt *r)
{
    yz_digest digests[2] = {digest_of(4), digest_of(11)};
    const struct receipt_claim claims[2] = {{type_of(4), &digests[0]}, {type_of(11), &digests[1]}};
    return yzi_receipt_verify(m, w->directory, b1(), yz_world_now(w), r, claims, 2);
}

static void test_verify__takes_a_good_one(void **state)
{
    (void)state;
    struct receipt r = good_receipt();
    assert_int_equal(verify(NULL, &r), 0);
}

static void test_verify__each_claim_has_an_entry_of_its_own(void **state)
{
    (void)state;
    struct receipt r = good_receipt();
    yz_digest d = digest_of(4), other = digest_of(5);
    const struct receipt_claim twice[2] = {{type_of(4), &d}, {type_of(4), &d}};
    assert_int_equal(yzi_receipt_verify(NULL, w->directory, b1(), yz_world_now(w), &r, twice, 2),
                     YZ_ENOTFOUND);
    const struct receipt_claim false_claim = {type_of(4), &other};
    assert_int_equal(
        yzi_receipt_verify(NULL, w->directory, b1(), yz_world_now(w), &r, &false_claim, 1),
        YZ_ESIGNATURE);
    const struct receipt_claim no_type = {ENTRY_PRUNING, &d};
    assert_int_equal(yzi_receipt_verify(NULL, w->directory, b1(), yz_world_now(w), &r, &no_type, 1),
                     YZ_ENOTFOUND);
}

/* Of every byte, with every bit in turn turned over: what is not the receipt is no receipt. */
static void test_verify__refuses_every_mutation(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = RECEIPT_BYTES_MAX};
    struct checkpoint_memory m = {0};
    struct receipt good = good_receipt(), r;
    assert_int_equal(verify(&m, &good), 0); /* so that remembering is part of it */
    assert_int_equal(yzi_receipt_write(&good, &b), 0);
    for (size_t i = 0; i < b.n; i++) {
        uint8_t before = b.p[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            b.p[i] = (uint8_t)(before ^ 1u << bit);
            if (yzi_receipt_parse(yzi_bytes_buf(&b), &r) == 0) {
                assert_int_not_equal(verify(&m, &r), 0);
                assert_int_not_equal(verify(NULL, &r), 0);
            }
        }
        b.p[i] = (uint8_t)~before;
        assert_true(yzi_receipt_parse(yzi_bytes_buf(&b), &r) != 0 || verify(&m, &r) != 0);
        b.p[i] = before;
    }
    assert_int_equal(yzi_receipt_parse(yzi_bytes_buf(&b), &r), 0);
    assert_int_equal(verify(&m, &r), 0);
}

static void test_verify__asks_whose_key_it_is(void **state)
{
    (void)state;
    struct world_node *broker = yz_world_node(w, "CN/@b1"), *other = yz_world_node(w, "CN/@b2");
    struct receipt r = make_receipt(&other->log, "CN/@b1", 13, 4, 11);
    assert_int_equal(verify(NULL, &r), YZ_EUNKNOWNKEY);
    r = make_receipt(&broker->log, "CN/@b2", 13, 4, 11); /* another log's */
    assert_int_equal(verify(NULL, &r), YZ_ESIGNATURE);
    memcpy(r.key, broker->signing.public_key, sizeof r.key);
    assert_int_equal(verify(NULL, &r), YZ_EUNKNOWNKEY);
}

static void test_verify__a_remembered_checkpoint_does_not_outlive_its_key(void **state)
{
    (void)state;
    struct world_node *broker = yz_world_node(w, "CN/@b1");
    struct checkpoint_memory m = {0};
    struct receipt r = good_receipt();
    assert_int_equal(verify(&m, &r), 0);
    yz_world_revoke_key(w, broker->log.public_key, yz_world_now(w));
    yz_world_publish(w);
    assert_int_equal(verify(&m, &r), YZ_EUNKNOWNKEY);
}

static void test_verify__minds_the_keys_time(void **state)
{
    (void)state;
    struct world_node *broker = yz_world_node(w, "CN/@b1");
    struct receipt r = good_receipt();
    broker->not_after = yz_world_now(w) + 1000;
    w->root_changed = true;
    yz_world_publish(w);
    assert_int_equal(verify(NULL, &r), 0);
    yz_digest d = digest_of(4);
    const struct receipt_claim claim = {type_of(4), &d};
    assert_int_equal(
        yzi_receipt_verify(NULL, w->directory, b1(), yz_world_now(w) + 1000, &r, &claim, 1),
        YZ_EEXPIRED);
}

static void test_memory__forgets_the_oldest_and_never_errs(void **state)
{
    (void)state;
    struct checkpoint_memory m = {0};
    struct world_node *broker = yz_world_node(w, "CN/@b1");
    for (size_t size = 12; size < 12 + 2 * CHECKPOINT_MEMORY_SLOTS && size < 64; size++) {
        struct receipt r = make_receipt(&broker->log, "CN/@b1", size, 4, 11);
        assert_int_equal(verify(&m, &r), 0);
        assert_int_equal(verify(&m, &r), 0);
        r.signature[3] ^= 1;
        assert_int_equal(verify(&m, &r), YZ_ESIGNATURE);
    }
    unsigned used = 0;
    for (unsigned i = 0; i < CHECKPOINT_MEMORY_SLOTS; i++) {
        used += !yzi_bytes_is_zero(yzi_bytes_digest(&m.seen[i].name));
    }
    assert_int_equal(used, CHECKPOINT_MEMORY_SLOTS);
}

static void test_ref__finds_the_key_among_the_brokers(void **state)
{
    (void)state;
    struct receipt r = good_receipt();
    uint8_t key[32] = {0};
    struct checkpoint_ref ref = {.present = true,
                                 .log = r.log,
                                 .size = r.size,
                                 .root = r.root,
                                 .signature = yzi_bytes(r.signature, sizeof r.signature)};
    uint64_t now = yz_world_now(w);
    assert_int_equal(yzi_checkpoint_ref_verify(NULL, w->directory, b1(), now, &ref, key), 0);
    assert_memory_equal(key, r.key, sizeof key);
    ref.size++;
    assert_int_equal(yzi_checkpoint_ref_verify(NULL, w->directory, b1(), now, &ref, key),
                     YZ_ESIGNATURE);
    ref.size--;
    ref.signature.n--;
    assert_int_equal(yzi_checkpoint_ref_verify(NULL, w->directory, b1(), now, &ref, key),
                     YZ_ESIGNATURE);
    yz_node_id adapter = {yzi_bytes_str("CN/GOV/MCA/@a1")};
    ref.signature.n++;
    assert_int_equal(yzi_checkpoint_ref_verify(NULL, w->directory, adapter, now, &ref, key),
                     YZ_EUNKNOWNKEY);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, free_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_write__agree_with_the_vectors),
        cmocka_unit_test(test_to_proof__agrees_with_the_vectors),
        cmocka_unit_test(test_parse__refuses_truncation_and_more),
        cmocka_unit_test(test_parse__knows_one_version),
        cmocka_unit_test(test_parse__refuses_a_second_form),
        cmocka_unit_test(test_write__refuses_what_the_parser_would),
        cmocka_unit_test(test_write__leaves_the_buffer_as_it_was),
        cmocka_unit_test(test_origin__says_broker_and_log),
        WITH_WORLD(test_verify__takes_a_good_one),
        WITH_WORLD(test_verify__each_claim_has_an_entry_of_its_own),
        WITH_WORLD(test_verify__refuses_every_mutation),
        WITH_WORLD(test_verify__asks_whose_key_it_is),
        WITH_WORLD(test_verify__a_remembered_checkpoint_does_not_outlive_its_key),
        WITH_WORLD(test_verify__minds_the_keys_time),
        WITH_WORLD(test_memory__forgets_the_oldest_and_never_errs),
        WITH_WORLD(test_ref__finds_the_key_among_the_brokers),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
