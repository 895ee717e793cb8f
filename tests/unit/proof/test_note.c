/* SPDX-License-Identifier: Apache-2.0
 *
 * proof/note: against the examples of the format's reference implementation and specification, and
 * a checkpoint that a public log published with the cosignatures of public witnesses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/proof/signed.h"

static struct note n;

static yz_bytes str(const char *s)
{
    return yzi_bytes_str(s);
}

static struct note_key vkey(const char *text)
{
    struct note_key k;
    assert_int_equal(yzi_vkey_parse(str(text), &k), 0);
    return k;
}

static int verify(const char *note, const char *key, uint64_t *time)
{
    struct note_key k = vkey(key);
    assert_int_equal(yzi_note_parse(str(note), &n), 0);
    return yzi_note_verify(&n, &k, time);
}

/* Of golang.org/x/mod/sumdb/note, where the format comes from. */
#define PETER "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define ENOCH "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
#define PETER_TEXT                                                                                 \
    "If you think cryptography is the answer to your problem,\n"                                   \
    "then you don't know what your problem is.\n"
#define PETER_LINE                                                                                 \
    "— PeterNeumann "                                                                            \
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=" \
    "\n"
#define ENOCH_LINE                                                                                 \
    "— EnochRoot "                                                                               \
    "rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=" \
    "\n"
/* Of C2SP signed-note. */
#define EXAMPLE "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
#define EXAMPLE_NOTE                                                                               \
    "This is an example message.\n\n— example.com/foo "                                          \
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=" \
    "\n"

static void test_verify__the_published_examples(void **state)
{
    (void)state;
    assert_int_equal(verify(EXAMPLE_NOTE, EXAMPLE, NULL), 0);
    assert_int_equal(verify(PETER_TEXT "\n" PETER_LINE, PETER, NULL), 0);
    assert_int_equal(verify(PETER_TEXT "\n" PETER_LINE ENOCH_LINE, PETER, NULL), 0);
    assert_int_equal(verify(PETER_TEXT "\n" PETER_LINE ENOCH_LINE, ENOCH, NULL), 0);
    assert_int_equal(verify(PETER_TEXT "\n" PETER_LINE, ENOCH, NULL), YZ_ENOTFOUND);
    assert_int_equal(verify("If\n\n" PETER_LINE, PETER, NULL), YZ_ESIGNATURE);
}

static void test_sign__gives_the_published_bytes(void **state)
{
    (void)state;
    /* The example's signer key is "PRIVATE+KEY+PeterNeumann+c74f20a3+" and this, after its type. */
    static const uint8_t seed[32] = {0x81, 0x0a, 0x14, 0x02, 0xd5, 0x14, 0x6c, 0x8d,
                                     0x84, 0xf2, 0x44, 0x33, 0x30, 0xf5, 0x40, 0x80,
                                     0xeb, 0xf9, 0x8e, 0xe1, 0x7d, 0x9c, 0x74, 0xf6,
                                     0x25, 0x2f, 0xc5, 0xd5, 0xc7, 0x28, 0x31, 0x73};
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 4096};
    struct signer s;
    uint8_t public_key[32];
    crypto_sign_seed_keypair(public_key, s.secret, seed);
    assert_int_equal(yzi_note_key(str("PeterNeumann"), NOTE_ED25519, public_key, &s.key), 0);
    assert_memory_equal(public_key, vkey(PETER).key, sizeof public_key);
    yz_sign_line(&s, str(PETER_TEXT), &b);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), PETER_LINE));
}

/* Published by a certificate transparency log: two signatures of its own, of which one is of a kind
 * not known here, and four witnesses. */
#define WITNESSED                                                                                    \
    "arche2025h1.staging.ct.transparency.dev\n1432088532\n"                                          \
    "U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=\n\n"                                               \
    "— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREP" \
    "MHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=\n"                           \
    "— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3" \
    "NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=\n"                                                   \
    "— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2" \
    "rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==\n"                                    \
    "— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcx" \
    "Z75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==\n"                                                  \
    "— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9s" \
    "XTynk5XeU/zZ0WBxtqB0DrAWfBw==\n"                                                                \
    "— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJm" \
    "IY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==\n"
#define ARCHE                                                                                      \
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/"                                 \
    "PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"

static void test_verify__a_public_log_and_its_witnesses(void **state)
{
    (void)state;
    static const char *const witnesses[] = {
        "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
        ("transparency.dev/DEV:witness-little-garden+d8042a87+"
         "BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM"),
        "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
        "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
    };
    struct note_key log = vkey(ARCHE);
    struct checkpoint c;
    uint64_t time = 1;
    assert_int_equal(verify(WITNESSED, ARCHE, &time), 0);
    assert_int_equal(time, 0);
    assert_int_equal(yzi_checkpoint_open(str(WITNESSED), &log, &c), 0);
    assert_true(c.size == 1432088532);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(verify(WITNESSED, witnesses[i], &time), 0);
        assert_true(time == 0x6a122120);
    }
}

static void test_verify__a_cosignature_covers_its_time(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf note = {.max = NOTE_MAX};
    struct signer log = yz_signer("log.example", NOTE_ED25519, 1);
    struct signer witness = yz_signer("w.example", NOTE_COSIGNATURE, 2);
    uint64_t time;
    yz_put_checkpoint(&log, 3, &note);
    size_t at = note.n;
    yz_cosign(&witness, 1679315147, &note);
    assert_int_equal(yzi_note_parse(yzi_bytes_buf(&note), &n), 0);
    assert_int_equal(n.lines_n, 2);
    assert_int_equal(yzi_note_verify(&n, &witness.key, &time), 0);
    assert_true(time == 1679315147);
    /* Of the witness' line: beyond its name every character is id, time or signature. */
    size_t blob = at + strlen("— w.example ");
    for (size_t i = blob; i < note.n - 1; i++) {
        note.p[i] ^= 1;
        int rc = yzi_note_parse(yzi_bytes_buf(&note), &n);
        assert_true(rc != 0 || yzi_note_verify(&n, &witness.key, &time) != 0);
        note.p[i] ^= 1;
    }
}

static void test_verify__one_wrong_line_of_a_known_key_is_enough(void **state)
{
    (void)state;
    struct signer s = yz_signer("a.example", NOTE_ED25519, 1);
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 4096};
    assert_int_equal(yzi_buf_put_str(&b, "text\n\n"), 0);
    yz_sign_line(&s, str("text\n"), &b);
    yz_sign_line(&s, str("text\n"), &b); /* twice the same is no harm */
    assert_int_equal(yzi_note_parse(yzi_bytes_buf(&b), &n), 0);
    assert_int_equal(yzi_note_verify(&n, &s.key, NULL), 0);
    yz_sign_line(&s, str("another text\n"), &b);
    assert_int_equal(yzi_note_parse(yzi_bytes_buf(&b), &n), 0);
    assert_int_equal(yzi_note_verify(&n, &s.key, NULL), YZ_ESIGNATURE);
}

/* -- the form -- */

static void test_parse__splits_at_the_last_empty_line(void **state)
{
    (void)state;
    /* The example of C2SP signed-note. */
    static const char poem[] = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di "
                               "sole:\n\ned è subito sera.\n";
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 4096};
    assert_int_equal(yzi_buf_printf(&b, "%s\n%s%s", poem, "— quasimodo.example/salvatore ",
                                    "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouF"
                                    "SQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"),
                     0);
    assert_int_equal(yzi_note_parse(yzi_bytes_buf(&b), &n), 0);
    assert_true(yzi_bytes_eq_str(n.text, poem));
    assert_int_equal(n.lines_n, 1);
    assert_true(yzi_bytes_eq_str(n.lines[0].name, "quasimodo.example/salvatore"));
    assert_int_equal(yzi_load_u32(n.lines[0].id), 0x367ba04b);
}

static void test_parse__refuses_other_forms(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "\n",
        "\n\n",
        "text\n",
        "text\n\n",
        "text\n— a AAAAAAA=\n",
        PETER_TEXT PETER_LINE,
        "text\n\n— a AAAAAAA=",
        "text\n\n- a AAAAAAA=\n",
        "text\n\n—a AAAAAAA=\n",
        "text\n\n— AAAAAAA=\n",
        "text\n\n— a b AAAAAAA=\n",
        "text\n\n— a+b AAAAAAA=\n",
        "text\n\n— a AAAAAA==\n",
        "text\n\n— a AAAAAAA\n",
        "text\n\n— a AAAAAAA= \n",
        "text\n\n— a AAAAAAB=\n",
        "text\n\n— a AAAAAAA=\nmore\n",
        "te\txt\n\n— a AAAAAAA=\n",
        "te\rxt\n\n— a AAAAAAA=\n",
        "\xff\n\n— a AAAAAAA=\n",
        "text\n\n— a\xc2\xa0z AAAAAAA=\n",
        "text\n\n— a\xe2\x80\x83z AAAAAAA=\n",
        "\n— a AAAAAAA=\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(yzi_note_parse(str(bad[i]), &n), YZ_EMALFORMED);
    }
    assert_int_equal(yzi_note_parse(str("text\n\n— a AAAAAAA=\n"), &n), 0);
    assert_int_equal(yzi_note_parse(yzi_bytes("t\0t\n\n— a AAAAAAA=\n", 22), &n), YZ_EMALFORMED);
}

static void test_parse__has_limits(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 2 * NOTE_MAX};
    assert_int_equal(yzi_buf_put_str(&b, "text\n\n"), 0);
    for (unsigned i = 0; i < NOTE_SIGNATURES_MAX; i++) {
        assert_int_equal(yzi_buf_put_str(&b, "— a AAAAAAA=\n"), 0);
    }
    assert_int_equal(yzi_note_parse(yzi_bytes_buf(&b), &n), 0);
    assert_int_equal(yzi_buf_put_str(&b, "— a AAAAAAA=\n"), 0);
    assert_int_equal(yzi_note_parse(yzi_bytes_buf(&b), &n), YZ_ELIMIT);
    assert_int_equal(yzi_buf_put_zero(&b, NOTE_MAX), 0);
    assert_int_equal(yzi_note_parse(yzi_bytes_buf(&b), &n), YZ_ETOOBIG);
}

/* -- keys -- */

static void test_vkey__both_ways(void **state)
{
    (void)state;
    static const char *const keys[] = {PETER, ENOCH, EXAMPLE, ARCHE};
    for (size_t i = 0; i < 4; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 4096};
        struct note_key k = vkey(keys[i]);
        assert_int_equal(k.algorithm, NOTE_ED25519);
        assert_int_equal(yzi_vkey_write(&k, &b), 0);
        assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), keys[i]));
        b.max = b.n;
        assert_int_equal(yzi_vkey_write(&k, &b), YZ_ELIMIT);
        assert_int_equal(b.n, strlen(keys[i]));
    }
}

static void test_vkey__refuses_other_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
    } bad[] = {
        {"", YZ_EMALFORMED},
        {"PeterNeumann", YZ_EMALFORMED},
        {"PeterNeumann+c74f20a3", YZ_EMALFORMED},
        {"PeterNeumann+c74f20a3+", YZ_EMALFORMED},
        {"PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", YZ_EMALFORMED},
        {"PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", YZ_EMALFORMED},
        {"PeterNeumanm+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", YZ_EMALFORMED},
        {"+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", YZ_EMALFORMED},
        {"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10Q=", YZ_EMALFORMED},
        {"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n", YZ_EMALFORMED},
        {"PeterNeumann+c74f20a3+Bhpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", YZ_EVERSION},
    };
    struct note_key k;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(yzi_vkey_parse(str(bad[i].text), &k), bad[i].rc);
    }
    assert_int_equal(yzi_note_key(str("a b"), NOTE_ED25519, k.key, &k), YZ_EINVAL);
}

static void test_line__has_the_algorithms_length(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 20};
    uint8_t blob[72] = {0};
    struct signer log = yz_signer("l", NOTE_ED25519, 1), w = yz_signer("w", NOTE_COSIGNATURE, 1);
    assert_int_equal(yzi_note_line(&log.key, yzi_bytes(blob, 72), &b), YZ_EINVAL);
    assert_int_equal(yzi_note_line(&w.key, yzi_bytes(blob, 64), &b), YZ_EINVAL);
    assert_int_equal(yzi_note_line(&w.key, yzi_bytes(blob, 72), &b), YZ_ELIMIT);
    assert_int_equal(b.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verify__the_published_examples),
        cmocka_unit_test(test_sign__gives_the_published_bytes),
        cmocka_unit_test(test_verify__a_public_log_and_its_witnesses),
        cmocka_unit_test(test_verify__a_cosignature_covers_its_time),
        cmocka_unit_test(test_verify__one_wrong_line_of_a_known_key_is_enough),
        cmocka_unit_test(test_parse__splits_at_the_last_empty_line),
        cmocka_unit_test(test_parse__refuses_other_forms),
        cmocka_unit_test(test_parse__has_limits),
        cmocka_unit_test(test_vkey__both_ways),
        cmocka_unit_test(test_vkey__refuses_other_forms),
        cmocka_unit_test(test_line__has_the_algorithms_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
