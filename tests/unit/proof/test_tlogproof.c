/* SPDX-License-Identifier: Apache-2.0
 *
 * proof/tlogproof: the text, both ways; that each byte of it counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proof/tlogproof.h"
#include "tests/unit/proof/grown.h"
#include "tests/unit/proof/signed.h"

#define ORIGIN "yizhan/CN/@b1/1732309509123"
#define SIZE 13u
#define INDEX 9u

static struct signer log_key;
static yz_buf text;
static uint8_t entry[8];

/* The proof of entry 9 in a tree of 13, with "extra" as extra data. */
static int make(void **state)
{
    (void)state;
    static struct grown g;
    YZ_AUTO(yzi_buf_fini) yz_buf note = {.max = NOTE_MAX}, body = {.max = 4096};
    struct merkle_path path;
    uint8_t signature[64];
    yz_grown_init(&g, SIZE);
    log_key = yz_signer(ORIGIN, NOTE_ED25519, 1);
    struct checkpoint c = {log_key.key.name, SIZE, yz_reference_root(g.leaves, SIZE)};
    assert_int_equal(yzi_checkpoint_write(&c, &body), 0);
    crypto_sign_detached(signature, NULL, body.p, body.n, log_key.secret);
    assert_int_equal(yzi_checkpoint_note(&c, &log_key.key, signature, &note), 0);
    assert_int_equal(yzi_nodes_path(INDEX, SIZE, yz_grown_node, &g, &path), 0);
    yzi_buf_init(&text, TLOGPROOF_MAX);
    assert_int_equal(
        yzi_tlogproof_write(yzi_bytes_str("extra"), INDEX, &path, yzi_bytes_buf(&note), &text), 0);
    yzi_store_u64(entry, INDEX);
    yz_grown_fini(&g);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    yzi_buf_fini(&text);
    return 0;
}

static int verify(yz_bytes proof, struct checkpoint *out)
{
    static struct tlogproof p;
    YZ_TRY(yzi_tlogproof_parse(proof, &p));
    return yzi_tlogproof_verify(&p, &log_key.key, yzi_bytes(entry, sizeof entry), out);
}

static void test_parse__reads_what_was_written(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf again = {.max = TLOGPROOF_MAX}, extra = {.max = 100};
    struct tlogproof p;
    struct checkpoint c;
    assert_int_equal(yzi_tlogproof_parse(yzi_bytes_buf(&text), &p), 0);
    assert_true(p.has_extra && p.index == INDEX && p.path.n == 4);
    assert_int_equal(yzi_tlogproof_extra(&p, &extra), 0);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&extra), "extra"));
    assert_int_equal(verify(yzi_bytes_buf(&text), &c), 0);
    assert_true(c.size == SIZE && yzi_bytes_eq_str(c.origin, ORIGIN));
    assert_int_equal(yzi_tlogproof_write((yz_bytes){0}, p.index, &p.path, p.checkpoint, &again), 0);
    assert_int_equal(verify(yzi_bytes_buf(&again), NULL), 0);
    assert_int_equal(yzi_tlogproof_parse(yzi_bytes_buf(&again), &p), 0);
    assert_false(p.has_extra);
    assert_int_equal(yzi_tlogproof_extra(&p, &extra), YZ_ENOTFOUND);
    again.max = again.n + 10;
    size_t before = again.n;
    assert_int_equal(yzi_tlogproof_write((yz_bytes){0}, p.index, &p.path, p.checkpoint, &again),
                     YZ_ELIMIT);
    assert_int_equal(again.n, before);
}

static void test_verify__asks_for_entry_and_key(void **state)
{
    (void)state;
    struct tlogproof p;
    struct signer other = yz_signer(ORIGIN, NOTE_ED25519, 2);
    assert_int_equal(yzi_tlogproof_parse(yzi_bytes_buf(&text), &p), 0);
    assert_int_equal(yzi_tlogproof_verify(&p, &log_key.key, yzi_bytes_str("other"), NULL),
                     YZ_ESIGNATURE);
    assert_int_equal(yzi_tlogproof_verify(&p, &other.key, yzi_bytes(entry, 8), NULL), YZ_ENOTFOUND);
    p.index = SIZE;
    assert_int_equal(yzi_tlogproof_verify(&p, &log_key.key, yzi_bytes(entry, 8), NULL),
                     YZ_EMALFORMED);
}

static void test_parse__refuses_other_forms(void **state)
{
    (void)state;
#define V1 "c2sp.org/tlog-proof@v1\n"
#define H "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    static const char *const bad[] = {
        "",
        "c2sp.org/tlog-proof\nindex 0\n\nx",
        V1,
        V1 "index 0\n",
        V1 "index 0\n\n",
        V1 "index\n\nx",
        V1 "index \n\nx",
        V1 "index 01\n\nx",
        V1 "index -1\n\nx",
        V1 "index 9223372036854775808\n\nx",
        V1 "Index 0\n\nx",
        V1 "extra AA\nindex 0\n\nx",
        V1 "extra AAAA\n\nx",
        V1 "index 0\nextra AAAA\n\nx",
        V1 "index 0\nAAAA\n\nx",
        V1 "index 0\n" H "x",
        V1 "extra AAAA\nextra AAAA\nindex 0\n\nx",
        " " V1 "index 0\n\nx",
    };
    struct tlogproof p;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(yzi_tlogproof_parse(yzi_bytes_str(bad[i]), &p), YZ_EMALFORMED);
    }
    assert_int_equal(yzi_tlogproof_parse(yzi_bytes_str(V1 "index 0\n" H "\nx"), &p), 0);
    assert_int_equal(yzi_tlogproof_parse(yzi_bytes_str("c2sp.org/tlog-proof@v2\nindex 0\n\nx"), &p),
                     YZ_EVERSION);
    assert_int_equal(yzi_tlogproof_parse(yzi_bytes_str("c2sp.org/tlog-proof@v1\r\n"), &p),
                     YZ_EVERSION);
}

static void test_parse__has_limits(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 2 * TLOGPROOF_MAX};
    struct tlogproof p;
    assert_int_equal(yzi_buf_put_str(&b, V1 "index 0\n"), 0);
    for (unsigned i = 0; i < YZ_PROOF_PATH_MAX + 1; i++) {
        assert_int_equal(yzi_buf_put_str(&b, H), 0);
    }
    assert_int_equal(yzi_buf_put_str(&b, "\nx"), 0);
    assert_int_equal(yzi_tlogproof_parse(yzi_bytes_buf(&b), &p), YZ_EMALFORMED);
    assert_int_equal(yzi_buf_put_zero(&b, TLOGPROOF_MAX), 0);
    assert_int_equal(yzi_tlogproof_parse(yzi_bytes_buf(&b), &p), YZ_ETOOBIG);
}

/* Only the extra line is nobody's word. */
static void test_mutation__of_any_byte_is_seen(void **state)
{
    (void)state;
    size_t extra = strlen(V1), after = extra + strlen("extra ZXh0cmE=\n");
    assert_int_equal(verify(yzi_bytes_buf(&text), NULL), 0);
    for (size_t i = 0; i < text.n; i++) {
        uint8_t before = text.p[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            text.p[i] = (uint8_t)(before ^ 1u << bit);
            struct checkpoint c;
            int rc = verify(yzi_bytes_buf(&text), &c);
            bool is_extra = i >= extra && i < after;
            assert_true(rc != 0 || (is_extra && c.size == SIZE));
        }
        text.p[i] = before;
    }
    for (size_t n = 0; n < text.n; n++) {
        assert_int_not_equal(verify(yzi_bytes(text.p, n), NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__reads_what_was_written),
        cmocka_unit_test(test_verify__asks_for_entry_and_key),
        cmocka_unit_test(test_parse__refuses_other_forms),
        cmocka_unit_test(test_parse__has_limits),
        cmocka_unit_test(test_mutation__of_any_byte_is_seen),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
