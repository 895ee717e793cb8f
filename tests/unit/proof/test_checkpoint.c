/* SPDX-License-Identifier: Apache-2.0
 *
 * proof/checkpoint: the three lines, and that a note of them is taken or refused as a whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/proof/signed.h"

#define ORIGIN "yizhan/CN/@b1/1732309509123"

static yz_bytes str(const char *s)
{
    return yzi_bytes_str(s);
}

static void test_parse__takes_three_lines(void **state)
{
    (void)state;
    /* The example of C2SP tlog-cosignature. */
    static const char text[] = "example.com/behind-the-sofa\n20852163\n"
                               "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 4096};
    struct checkpoint c;
    assert_int_equal(yzi_checkpoint_parse(str(text), &c), 0);
    assert_true(yzi_bytes_eq_str(c.origin, "example.com/behind-the-sofa"));
    assert_true(c.size == 20852163 && c.root.b[0] == 0x0a && c.root.b[31] == 0x62);
    assert_int_equal(yzi_checkpoint_write(&c, &b), 0);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), text));
}

#define ROOT "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
#define EMPTY_ROOT "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

static void test_parse__refuses_any_other_form(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "log\n1\n",
        "log\n1\n" ROOT,
        "log\n1\n" ROOT "\n\n",
        "log\n1\n" ROOT "\nextension\n",
        "\n1\n" ROOT "\n",
        "a log\n1\n" ROOT "\n",
        "log+\n1\n" ROOT "\n",
        "log\n01\n" ROOT "\n",
        "log\n+1\n" ROOT "\n",
        "log\n\n" ROOT "\n",
        "log\n9223372036854775809\n" ROOT "\n",
        "log\n0\n" ROOT "\n",
        "log\n1\n" EMPTY_ROOT "\n",
        "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n", /* stray bits */
        "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n",
        "log\r\n1\n" ROOT "\n",
    };
    struct checkpoint c;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(yzi_checkpoint_parse(str(bad[i]), &c), YZ_EMALFORMED);
    }
    assert_int_equal(yzi_checkpoint_parse(str("log\n0\n" EMPTY_ROOT "\n"), &c), 0);
    assert_int_equal(yzi_checkpoint_parse(str("log\n9223372036854775808\n" ROOT "\n"), &c), 0);
}

static void test_write__refuses_what_is_no_checkpoint(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 30};
    struct checkpoint c = {.origin = str("a b"), .size = 1};
    assert_int_equal(yzi_checkpoint_write(&c, &b), YZ_EINVAL);
    c = (struct checkpoint){.origin = str("ab"), .size = CHECKPOINT_SIZE_MAX + 1};
    assert_int_equal(yzi_checkpoint_write(&c, &b), YZ_EINVAL);
    c.size = 1;
    assert_int_equal(yzi_checkpoint_write(&c, &b), YZ_ELIMIT);
    assert_int_equal(b.n, 0);
}

static void test_open__asks_for_the_log_key(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf note = {.max = NOTE_MAX};
    struct signer log = yz_signer(ORIGIN, NOTE_ED25519, 1);
    struct signer other = yz_signer(ORIGIN, NOTE_ED25519, 2);
    struct signer elsewhere = yz_signer("yizhan/CN/@b2/1732309509123", NOTE_ED25519, 1);
    struct checkpoint c;
    yz_put_checkpoint(&log, 77, &note);
    assert_int_equal(yzi_checkpoint_open(yzi_bytes_buf(&note), &log.key, &c), 0);
    assert_true(c.size == 77 && yzi_bytes_eq_str(c.origin, ORIGIN));
    assert_int_equal(yzi_checkpoint_open(yzi_bytes_buf(&note), &other.key, &c), YZ_ENOTFOUND);
    assert_int_equal(yzi_checkpoint_open(yzi_bytes_buf(&note), &elsewhere.key, &c), YZ_EDENIED);
}

/* Every bit of every byte: refused, or it says the same. Only what no one verifies can change, and
 * that is the witness' line for who does not know the witness. */
static void test_open__refuses_every_mutation(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf note = {.max = NOTE_MAX};
    struct signer log = yz_signer(ORIGIN, NOTE_ED25519, 1);
    struct signer witness = yz_signer("witness.example.com/w1", NOTE_COSIGNATURE, 3);
    struct checkpoint good, c;
    yz_put_checkpoint(&log, 77, &note);
    size_t alone = note.n;
    yz_cosign(&witness, 1679315147, &note);
    assert_int_equal(yzi_checkpoint_open(yzi_bytes_buf(&note), &log.key, &good), 0);
    for (size_t i = 0; i < note.n; i++) {
        uint8_t before = note.p[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            note.p[i] = (uint8_t)(before ^ 1u << bit);
            int rc = yzi_checkpoint_open(yzi_bytes_buf(&note), &log.key, &c);
            if (i < alone) {
                assert_int_not_equal(rc, 0);
            } else if (rc == 0) {
                assert_true(c.size == good.size && yzi_digest_eq(&c.root, &good.root));
            }
        }
        note.p[i] = before;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__takes_three_lines),
        cmocka_unit_test(test_parse__refuses_any_other_form),
        cmocka_unit_test(test_write__refuses_what_is_no_checkpoint),
        cmocka_unit_test(test_open__asks_for_the_log_key),
        cmocka_unit_test(test_open__refuses_every_mutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
