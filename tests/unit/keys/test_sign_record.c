/* SPDX-License-Identifier: Apache-2.0
 *
 * keys/sign.c, records and checkpoints: against a second implementation, against every single
 * change, and who must have signed. Messages: test_sign.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "keys/sign.h"
#include "tests/support/fixed_key.h"
#include "tests/support/vectors.h"

#define BODY yzi_bytes_str("the body")

static void assert_bytes(yz_bytes got, yz_bytes want)
{
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.p, want.p, want.n);
}

/* -- vectors -- */

static void test_record__has_the_documented_bytes(void **state)
{
    (void)state;
    struct vectors *v = calloc(1, sizeof *v);
    assert_non_null(v);
    yz_vectors_load(v, "signatures.txt");
    YZ_AUTO(yzi_key_pair_fini)
    struct key_pair k = yz_fixed_key(KEY_SIGNING, yz_vector(v, "seed").p);
    struct key_pair *const keys[] = {&k};
    YZ_AUTO(yzi_buf_fini) yz_buf out = {0};
    yzi_buf_init(&out, YZ_RECORD_MAX);
    yz_bytes body = yz_vector(v, "record.body"), want = yz_vector(v, "record");
    assert_int_equal(yzi_record_sign(RECORD_ANNOUNCEMENT, body, keys, 1, &out), 0);
    assert_bytes(yzi_bytes_buf(&out), want);
    struct record r;
    assert_int_equal(yzi_record_parse(want, &r), 0);
    assert_int_equal(yzi_record_verify(&r, (const uint8_t(*)[32])k.public_key, 1, 1), 0);
    free(v);
}

static void test_checkpoint__is_the_signed_text_of_a_note(void **state)
{
    (void)state;
    struct vectors *v = calloc(1, sizeof *v);
    assert_non_null(v);
    yz_vectors_load(v, "signatures.txt");
    YZ_AUTO(yzi_key_pair_fini)
    struct key_pair k = yz_fixed_key(KEY_LOG, yz_vector(v, "seed").p);
    YZ_AUTO(yzi_key_pair_fini) struct key_pair signing = yz_numbered_key(KEY_SIGNING, 1);
    yz_bytes text = yz_vector(v, "checkpoint.text"), want = yz_vector(v, "checkpoint.signature");
    uint8_t signature[64], copy[256];
    assert_int_equal(yzi_sign_checkpoint(&k, text, signature), 0);
    assert_bytes(yzi_bytes(signature, 64), want);
    assert_int_equal(yzi_verify_checkpoint(text, k.public_key, want.p), 0);
    for (size_t bit = 0; bit < 64 * 8; bit++) {
        signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(yzi_verify_checkpoint(text, k.public_key, signature), YZ_ESIGNATURE);
        signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < text.n * 8; bit++) {
        memcpy(copy, text.p, text.n);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(yzi_verify_checkpoint(yzi_bytes(copy, text.n), k.public_key, signature),
                         YZ_ESIGNATURE);
    }
    static const char *const others[] = {"", "\n", "no end", "yizhan/v1 request\n", " x\n"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(yzi_sign_checkpoint(&k, yzi_bytes_str(others[i]), signature), YZ_EINVAL);
    }
    assert_int_equal(yzi_sign_checkpoint(&signing, text, signature), YZ_EINVAL);
    free(v);
}

/* -- records -- */

#define SIGNERS 4u
static struct key_pair roots[SIGNERS];
static uint8_t root_keys[SIGNERS][32];

static int make_roots(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SIGNERS; i++) {
        roots[i] = yz_numbered_key(KEY_ROOT, (uint8_t)(0x10 + i));
        memcpy(root_keys[i], roots[i].public_key, 32);
    }
    return 0;
}

static int drop_roots(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SIGNERS; i++) {
        yzi_key_pair_fini(&roots[i]);
    }
    return 0;
}

/* A root record signed by the first n roots. */
static void root_record(unsigned n, yz_buf *out, struct record *r)
{
    struct key_pair *keys[SIGNERS];
    for (unsigned i = 0; i < n; i++) {
        keys[i] = &roots[i];
    }
    yzi_buf_init(out, YZ_RECORD_MAX);
    assert_int_equal(yzi_record_sign(RECORD_ROOT, BODY, keys, n, out), 0);
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(out), r), 0);
}

static void test_record__counts_the_keys_that_are_allowed(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= SIGNERS; n++) {
        YZ_AUTO(yzi_buf_fini) yz_buf out = {0};
        struct record r;
        root_record(n, &out, &r);
        for (unsigned allowed = 0; allowed <= SIGNERS; allowed++) {
            for (unsigned threshold = 0; threshold <= SIGNERS + 1; threshold++) {
                unsigned counted = n < allowed ? n : allowed;
                int want = threshold > 0 && counted >= threshold ? 0 : YZ_ESIGNATURE;
                assert_int_equal(
                    yzi_record_verify(&r, (const uint8_t(*)[32])root_keys, allowed, threshold),
                    want);
            }
        }
        uint8_t twice[2][32];
        memcpy(twice[0], root_keys[0], 32);
        memcpy(twice[1], root_keys[0], 32);
        assert_int_equal(yzi_record_verify(&r, (const uint8_t(*)[32])twice, 2, 2), YZ_ESIGNATURE);
    }
}

static void test_record__counts_no_signature_twice(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf out = {0};
    struct record r;
    root_record(1, &out, &r);
    r.signatures[1] = r.signatures[0]; /* the parser refuses it, and so does the verifier */
    r.signatures_n = 2;
    assert_int_equal(yzi_record_verify(&r, (const uint8_t(*)[32])root_keys, SIGNERS, 1),
                     YZ_ESIGNATURE);
}

static void test_record__refuses_every_flipped_bit(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf out = {0};
    struct record r;
    root_record(3, &out, &r);
    for (size_t bit = 0; bit < out.n * 8; bit++) {
        out.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        int rc = yzi_record_parse(yzi_bytes_buf(&out), &r);
        if (rc == 0) { /* one wrong signature of three spoils it, though two would do */
            rc = yzi_record_verify(&r, (const uint8_t(*)[32])root_keys, SIGNERS, 2);
        }
        assert_true(rc < 0);
        out.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void test_record__is_of_one_kind(void **state)
{
    (void)state;
    for (int kind = RECORD_ROOT; kind <= RECORD_NODE_REQUEST; kind++) {
        const struct sign_rule *rule = yzi_sign_rule_record((enum record_kind)kind);
        if (rule->signer == SIGNER_NONE) {
            continue;
        }
        YZ_AUTO(yzi_key_pair_fini) struct key_pair k = yz_numbered_key(rule->use, 0x33);
        struct key_pair *const keys[] = {&k};
        YZ_AUTO(yzi_buf_fini) yz_buf out = {0};
        yzi_buf_init(&out, YZ_RECORD_MAX);
        assert_int_equal(yzi_record_sign((enum record_kind)kind, BODY, keys, 1, &out), 0);
        struct record r;
        assert_int_equal(yzi_record_parse(yzi_bytes_buf(&out), &r), 0);
        for (int as = 0; as < 20; as++) {
            r.kind = (enum record_kind)as;
            assert_int_equal(yzi_record_verify(&r, (const uint8_t(*)[32])k.public_key, 1, 1),
                             as == kind ? 0 : YZ_ESIGNATURE);
        }
    }
}

static void test_record__of_a_kind_nobody_signs_carries_no_signature(void **state)
{
    (void)state;
    struct key_pair *const keys[] = {&roots[0]};
    YZ_AUTO(yzi_buf_fini) yz_buf out = {0};
    yzi_buf_init(&out, YZ_RECORD_MAX);
    assert_int_equal(yzi_record_sign(RECORD_MEMBER, BODY, NULL, 0, &out), 0);
    struct record r;
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&out), &r), 0);
    assert_int_equal(r.signatures_n, 0);
    assert_int_equal(yzi_record_verify(&r, (const uint8_t(*)[32])root_keys, SIGNERS, 1),
                     YZ_ESIGNATURE);
    assert_int_equal(yzi_record_verify(&r, (const uint8_t(*)[32])root_keys, SIGNERS, 0),
                     YZ_ESIGNATURE);
    yzi_buf_clear(&out);
    assert_int_equal(yzi_record_sign(RECORD_MEMBER, BODY, keys, 1, &out), YZ_EINVAL);
    assert_int_equal(yzi_record_sign(RECORD_ROOT, BODY, NULL, 0, &out), YZ_EINVAL);
    assert_int_equal(out.n, 0);
}

static void test_record__refuses_too_many_or_repeated_signers(void **state)
{
    (void)state;
    struct key_pair *keys[YZ_RECORD_SIGNATURES_MAX + 1];
    YZ_AUTO(yzi_buf_fini) yz_buf out = {0};
    yzi_buf_init(&out, YZ_RECORD_MAX);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        keys[i] = &roots[i % SIGNERS];
    }
    assert_int_equal(yzi_record_sign(RECORD_ROOT, BODY, keys, SIGNERS, &out), 0);
    yzi_buf_clear(&out);
    assert_int_equal(yzi_record_sign(RECORD_ROOT, BODY, keys, SIGNERS + 1, &out), YZ_EINVAL);
    assert_int_equal(yzi_record_sign(RECORD_ROOT, BODY, keys, YZ_RECORD_SIGNATURES_MAX + 1, &out),
                     YZ_EINVAL);
    uint8_t *big = calloc(1, YZ_RECORD_MAX + 1);
    assert_non_null(big);
    assert_int_equal(yzi_record_sign(RECORD_ROOT, yzi_bytes(big, YZ_RECORD_MAX + 1), keys, 1, &out),
                     YZ_ETOOBIG);
    assert_int_equal(yzi_record_sign(RECORD_ROOT, yzi_bytes(big, YZ_RECORD_MAX), keys, 1, &out),
                     YZ_ETOOBIG);
    free(big);
}

static void test_record__is_judged_by_the_validity_of_its_key(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf out = {0};
    struct record r;
    root_record(1, &out, &r);
    struct key_validity items[2] = {{.not_before = 0, .not_after = 0}, {.not_before = 100}};
    memcpy(items[0].key, root_keys[1], 32);
    memcpy(items[1].key, root_keys[0], 32);
    struct key_list list = {items, 2};
    static const struct {
        uint64_t not_after, now;
        int want;
    } cases[] = {
        {0, 99, YZ_EEXPIRED},   {0, 100, 0},   {0, UINT64_MAX, 0},
        {200, 99, YZ_EEXPIRED}, {200, 199, 0}, {200, 200, YZ_EEXPIRED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        items[1].not_after = cases[i].not_after;
        assert_int_equal(yzi_record_verify_one(&r, &list, cases[i].now), cases[i].want);
        assert_int_equal(yzi_key_list_has(&list, root_keys[0], cases[i].now), cases[i].want == 0);
        assert_true(yzi_key_list_has(&list, root_keys[1], cases[i].now));
        assert_false(yzi_key_list_has(&list, root_keys[2], cases[i].now));
    }
    list.n = 1;
    assert_int_equal(yzi_record_verify_one(&r, &list, 150), YZ_ESIGNATURE);
    list.n = 2;
    uint8_t wrong[64];
    memcpy(wrong, r.signatures[0].signature.p, 64);
    wrong[40] ^= 1;
    r.signatures[0].signature = yzi_bytes(wrong, 64);
    assert_int_equal(yzi_record_verify_one(&r, &list, 150), YZ_ESIGNATURE);
    assert_int_equal(yzi_record_verify_one(&r, &list, 50), YZ_ESIGNATURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record__has_the_documented_bytes),
        cmocka_unit_test(test_checkpoint__is_the_signed_text_of_a_note),
        cmocka_unit_test(test_record__counts_the_keys_that_are_allowed),
        cmocka_unit_test(test_record__counts_no_signature_twice),
        cmocka_unit_test(test_record__refuses_every_flipped_bit),
        cmocka_unit_test(test_record__is_of_one_kind),
        cmocka_unit_test(test_record__of_a_kind_nobody_signs_carries_no_signature),
        cmocka_unit_test(test_record__refuses_too_many_or_repeated_signers),
        cmocka_unit_test(test_record__is_judged_by_the_validity_of_its_key),
    };
    return cmocka_run_group_tests(tests, make_roots, drop_roots);
}
