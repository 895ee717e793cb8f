/* SPDX-License-Identifier: Apache-2.0
 *
 * keys/keyfile.c: what is written is read back, and nothing else is read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "tests/support/dies.h"
#include "tests/support/fixed_key.h"

#define USES_N 10

/* RFC 8032 §7.1, test 1 */
#define SEED "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
#define PUBLIC "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
#define TEXT_PUBLIC "public: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
#define TEXT_SECRET "secret: nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=\n"
#define HEAD "yizhan-secret-key v1\n"
#define WHOLE HEAD "use: signing\n" TEXT_PUBLIC TEXT_SECRET
#define STORAGE HEAD "use: storage\n" TEXT_SECRET

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/keyfile-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

static const char *in_dir(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_file(const char *path, yz_bytes content, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content.p, content.n), content.n);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static int parse(const char *text, enum key_use use, unsigned *line)
{
    struct key_pair k;
    int rc = yzi_keyfile_parse(yzi_bytes_str(text), use, &k, line);
    if (rc == 0) {
        yzi_key_pair_fini(&k);
    }
    return rc;
}

static yz_bytes format(struct key_pair *k, yz_buf *text)
{
    yzi_buf_init(text, 1024);
    assert_int_equal(yzi_keyfile_format(k, text), 0);
    return yzi_bytes_buf(text);
}

/* -- text -- */

static void test_keyfile__has_the_documented_text(void **state)
{
    (void)state;
    uint8_t seed[32], public_key[32];
    assert_int_equal(yzi_hex_decode(yzi_bytes_str(SEED), seed, 32), 0);
    assert_int_equal(yzi_hex_decode(yzi_bytes_str(PUBLIC), public_key, 32), 0);
    YZ_AUTO(yzi_key_pair_fini) struct key_pair k = yz_fixed_key(KEY_SIGNING, seed);
    YZ_AUTO(yzi_buf_wipe) yz_buf text = {0};
    yz_bytes got = format(&k, &text);
    assert_int_equal(got.n, strlen(WHOLE));
    assert_memory_equal(got.p, WHOLE, got.n);

    YZ_AUTO(yzi_key_pair_fini) struct key_pair read = {0};
    assert_int_equal(yzi_keyfile_parse(yzi_bytes_str(WHOLE), KEY_SIGNING, &read, NULL), 0);
    assert_memory_equal(read.public_key, public_key, 32);
    const uint8_t *secret = yzi_key_pair_open(&read);
    assert_memory_equal(secret, seed, 32);
    assert_memory_equal(secret + 32, public_key, 32);
    yzi_key_pair_close(&read);
}

static void test_keyfile__reads_back_every_use_and_no_other(void **state)
{
    (void)state;
    for (int use = 1; use <= USES_N; use++) {
        YZ_AUTO(yzi_key_pair_fini) struct key_pair k = {0};
        assert_int_equal(yzi_key_pair_generate((enum key_use)use, &k), 0);
        YZ_AUTO(yzi_buf_wipe) yz_buf text = {0};
        yz_bytes written = format(&k, &text);
        for (int other = 1; other <= USES_N; other++) {
            struct key_pair read;
            unsigned line = 99;
            int rc = yzi_keyfile_parse(written, (enum key_use)other, &read, &line);
            if (other != use) {
                assert_int_equal(rc, YZ_EINVAL);
                assert_int_equal(line, 2);
                continue;
            }
            assert_int_equal(rc, 0);
            assert_int_equal(read.use, use);
            assert_memory_equal(read.public_key, k.public_key, 32);
            assert_int_equal(read.secret.n, k.secret.n);
            assert_int_equal(
                sodium_memcmp(yzi_key_pair_open(&read), yzi_key_pair_open(&k), k.secret.n), 0);
            yzi_key_pair_close(&read);
            yzi_key_pair_close(&k);
            yzi_key_pair_fini(&read);
        }
        assert_int_equal(yzi_bytes_is_zero(yzi_bytes(k.public_key, 32)), use == KEY_STORAGE);
    }
}

static void test_keyfile__names_uses(void **state)
{
    (void)state;
    for (int use = 1; use <= USES_N; use++) {
        enum key_use got;
        assert_int_equal(yzi_key_use_parse(yzi_key_use_name((enum key_use)use), &got), 0);
        assert_int_equal(got, use);
    }
    enum key_use got;
    assert_string_equal(yzi_key_use_name((enum key_use)0), "?");
    assert_string_equal(yzi_key_use_name((enum key_use)(USES_N + 1)), "?");
    assert_int_equal(yzi_key_use_parse("Signing", &got), YZ_EINVAL);
    assert_int_equal(yzi_key_use_parse("", &got), YZ_EINVAL);
    assert_int_equal(yzi_key_use_parse("?", &got), YZ_EINVAL);
    struct key_pair k;
    assert_int_equal(yzi_key_pair_generate((enum key_use)0, &k), YZ_EINVAL);
    assert_int_equal(yzi_key_pair_generate((enum key_use)(USES_N + 1), &k), YZ_EINVAL);
}

static void test_keyfile__refuses_any_other_form(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
    } bad[] = {
        {"", 1},
        {"\n" WHOLE, 1},
        {" " WHOLE, 1},
        {"\xef\xbb\xbf" WHOLE, 1},
        {"yizhan-secret-key v2\nuse: signing\n" TEXT_PUBLIC TEXT_SECRET, 1},
        {"yizhan-secret-key v1 \nuse: signing\n" TEXT_PUBLIC TEXT_SECRET, 1},
        {"yizhan-secret-key v1\r\nuse: signing\n" TEXT_PUBLIC TEXT_SECRET, 1},
        {HEAD "use:signing\n" TEXT_PUBLIC TEXT_SECRET, 2},
        {HEAD "use:  signing\n" TEXT_PUBLIC TEXT_SECRET, 2},
        {HEAD "Use: signing\n" TEXT_PUBLIC TEXT_SECRET, 2},
        {HEAD "use: Signing\n" TEXT_PUBLIC TEXT_SECRET, 2},
        {HEAD "use: signing \n" TEXT_PUBLIC TEXT_SECRET, 2},
        {HEAD "use: ?\n" TEXT_PUBLIC TEXT_SECRET, 2},
        {HEAD "use: \n" TEXT_PUBLIC TEXT_SECRET, 2},
        {HEAD TEXT_PUBLIC "use: signing\n" TEXT_SECRET, 2},
        {HEAD "use: signing\n" TEXT_SECRET TEXT_PUBLIC, 3},
        {HEAD "use: signing\n" TEXT_SECRET, 3},
        {HEAD "use: signing\n\n" TEXT_PUBLIC TEXT_SECRET, 3},
        {HEAD "use: signing\npublic: \n" TEXT_SECRET, 3},
        /* no padding; stray bits; white space; another alphabet; too short; too long */
        {HEAD "use: signing\npublic: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo\n" TEXT_SECRET, 3},
        {HEAD "use: signing\npublic: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURp=\n" TEXT_SECRET,
         3},
        {HEAD "use: signing\npublic: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo= \n" TEXT_SECRET,
         3},
        {HEAD "use: signing\npublic: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n" TEXT_SECRET,
         3},
        {HEAD "use: signing\npublic: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHUQ==\n" TEXT_SECRET,
         3},
        {HEAD "use: signing\npublic: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURoA\n" TEXT_SECRET,
         3},
        {HEAD "use: signing\n" TEXT_PUBLIC TEXT_PUBLIC TEXT_SECRET, 4},
        {HEAD "use: signing\n" TEXT_PUBLIC, 4},
        {WHOLE "\n", 5},
        {WHOLE " ", 5},
        {WHOLE TEXT_SECRET, 5},
        {WHOLE WHOLE, 5},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        unsigned line = 99;
        assert_int_equal(parse(bad[i].text, KEY_SIGNING, &line), YZ_EMALFORMED);
        assert_int_equal(line, bad[i].line);
    }
    unsigned line = 99;
    assert_int_equal(parse(STORAGE, KEY_STORAGE, &line), 0);
    assert_int_equal(line, 99);
    assert_int_equal(parse(HEAD "use: storage\n" TEXT_PUBLIC TEXT_SECRET, KEY_STORAGE, &line),
                     YZ_EMALFORMED);
    assert_int_equal(line, 3);
    struct key_pair k;
    assert_int_equal(yzi_keyfile_parse(yzi_bytes(WHOLE, sizeof WHOLE), KEY_SIGNING, &k, NULL),
                     YZ_EMALFORMED); /* with its NUL */
}

static void test_keyfile__refuses_every_truncation(void **state)
{
    (void)state;
    struct key_pair k;
    for (size_t n = 0; n < strlen(WHOLE); n++) {
        assert_int_equal(yzi_keyfile_parse(yzi_bytes(WHOLE, n), KEY_SIGNING, &k, NULL),
                         YZ_EMALFORMED);
    }
}

static void test_keyfile__refuses_every_flipped_bit(void **state)
{
    (void)state;
    char text[] = WHOLE;
    unsigned wrong_pair = 0;
    for (size_t bit = 0; bit < strlen(WHOLE) * 8; bit++) {
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        struct key_pair k;
        int rc = yzi_keyfile_parse(yzi_bytes(text, strlen(WHOLE)), KEY_SIGNING, &k, NULL);
        assert_true(rc == YZ_EMALFORMED || rc == YZ_ESIGNATURE);
        wrong_pair += rc == YZ_ESIGNATURE;
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
    }
    assert_true(wrong_pair > 100); /* most flips in base64 give another character of it */
    assert_int_equal(parse(text, KEY_SIGNING, NULL), 0);
}

/* A damaged X25519 scalar may differ in the bits that X25519 ignores, and in nothing else. */
static void test_keyfile__refuses_a_public_key_of_another_scalar(void **state)
{
    (void)state;
    YZ_AUTO(yzi_key_pair_fini) struct key_pair a = yz_numbered_key(KEY_TRANSPORT, 0x41);
    YZ_AUTO(yzi_key_pair_fini) struct key_pair b = yz_numbered_key(KEY_TRANSPORT, 0x43);
    YZ_AUTO(yzi_buf_wipe) yz_buf text = {0};
    struct key_pair k;
    format(&a, &text);
    assert_int_equal(yzi_keyfile_parse(yzi_bytes_buf(&text), KEY_TRANSPORT, &k, NULL), 0);
    yzi_key_pair_fini(&k);
    memcpy(a.public_key, b.public_key, 32);
    yzi_buf_wipe(&text);
    format(&a, &text);
    unsigned line = 99;
    assert_int_equal(yzi_keyfile_parse(yzi_bytes_buf(&text), KEY_TRANSPORT, &k, &line),
                     YZ_ESIGNATURE);
    assert_int_equal(line, 0);
}

static void test_keyfile__format_leaves_the_buffer_alone_when_it_is_full(void **state)
{
    (void)state;
    YZ_AUTO(yzi_key_pair_fini) struct key_pair k = yz_numbered_key(KEY_LOG, 1);
    for (size_t max = 3; max < strlen(WHOLE) - strlen("signing") + strlen("log") + 3; max++) {
        YZ_AUTO(yzi_buf_wipe) yz_buf text = {0};
        yzi_buf_init(&text, max);
        assert_int_equal(yzi_buf_put_str(&text, "abc"), 0);
        assert_int_equal(yzi_keyfile_format(&k, &text), YZ_ELIMIT);
        assert_int_equal(text.n, 3);
        assert_int_equal(k.secret.readers, 0);
    }
}

/* -- holding -- */

static void read_secret(void *k)
{
    volatile uint8_t first = ((struct key_pair *)k)->secret.p[0];
    (void)first;
}

static void write_secret(void *k)
{
    ((struct key_pair *)k)->secret.p[0] = 1;
}

static void hold_twice(void *k)
{
    yzi_key_pair_hold(k);
    yzi_key_pair_hold(k);
}

static void release_unheld(void *k)
{
    yzi_key_pair_release(k);
}

static void test_key_pair__is_readable_only_while_open_or_held(void **state)
{
    (void)state;
    YZ_AUTO(yzi_key_pair_fini) struct key_pair k = yz_numbered_key(KEY_SIGNING, 7);
    assert_true(yz_dies(read_secret, &k));
    yzi_key_pair_hold(&k);
    assert_false(yz_dies(read_secret, &k));
    assert_true(yz_dies(write_secret, &k));
    struct key_pair before = k;
    assert_ptr_equal(yzi_key_pair_open(&k), k.secret.p);
    assert_int_equal(sodium_memcmp(&before, &k, sizeof k),
                     0); /* nothing another thread could see */
    yzi_key_pair_close(&k);
    assert_int_equal(sodium_memcmp(&before, &k, sizeof k), 0);
    yzi_key_pair_release(&k);
    assert_true(yz_dies(read_secret, &k));
    assert_true(yz_dies(hold_twice, &k));
    assert_true(yz_dies(release_unheld, &k));
    yzi_key_pair_hold(&k);
    yzi_key_pair_fini(&k);
    assert_null(k.secret.p);
    assert_false(k.held);
    yzi_key_pair_fini(&k);
}

/* -- files -- */

static void test_keyfile__creates_a_private_file_and_never_replaces_one(void **state)
{
    (void)state;
    const char *path = in_dir("new");
    uint8_t public_key[32], again[32] = {0}, zero[32] = {0};
    mode_t mask = umask(0);
    assert_int_equal(yzi_keyfile_create(path, KEY_OWNER, public_key, NULL), 0);
    umask(mask);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    yz_error err = {0};
    assert_int_equal(yzi_keyfile_create(path, KEY_OWNER, again, &err), YZ_EEXIST);
    assert_int_equal(err.code, YZ_EEXIST);
    assert_memory_equal(again, zero, 32);
    YZ_AUTO(yzi_key_pair_fini) struct key_pair k = {0};
    assert_int_equal(yzi_keyfile_load(path, KEY_OWNER, &k, NULL), 0);
    assert_memory_equal(k.public_key, public_key, 32);
    assert_int_equal(unlink(path), 0);
}

static void test_keyfile__loads_only_what_is_ours_alone(void **state)
{
    (void)state;
    static const mode_t modes[] = {0640, 0620, 0604, 0602, 0660, 0644, 0666};
    const char *path = in_dir("open");
    struct key_pair k;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        yz_error err = {0};
        write_file(path, yzi_bytes_str(WHOLE), modes[i]);
        assert_int_equal(yzi_keyfile_load(path, KEY_SIGNING, &k, &err), YZ_EPERM);
        assert_non_null(strstr(err.text, path));
        assert_int_equal(unlink(path), 0);
    }
    write_file(path, yzi_bytes_str(WHOLE), 0600);
    assert_int_equal(yzi_keyfile_load(path, KEY_SIGNING, &k, NULL), 0);
    yzi_key_pair_fini(&k);
    if (geteuid() == 0) { /* only root can give a file away */
        assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
        assert_int_equal(yzi_keyfile_load(path, KEY_SIGNING, &k, NULL), YZ_EPERM);
    }
    assert_int_equal(unlink(path), 0);
    assert_true(yzi_keyfile_load(dir, KEY_SIGNING, &k, NULL) < 0);
    assert_int_equal(yzi_keyfile_load(path, KEY_SIGNING, &k, NULL), YZ_ENOTFOUND);
}

static void test_keyfile__says_what_is_wrong_with_a_file(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum key_use use;
        int code;
        const char *says;
    } bad[] = {
        {WHOLE, KEY_LOG, YZ_EINVAL, ":2: not a log key"},
        {WHOLE "x", KEY_SIGNING, YZ_EMALFORMED, ":5: not the format"},
        {HEAD "use: signing\npublic: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURp=\n" TEXT_SECRET,
         KEY_SIGNING, YZ_EMALFORMED, ":3: not the format"},
        {HEAD "use: signing\npublic: 21qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n" TEXT_SECRET,
         KEY_SIGNING, YZ_ESIGNATURE, "does not belong"},
    };
    const char *path = in_dir("bad");
    struct key_pair k = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        yz_error err = {0};
        write_file(path, yzi_bytes_str(bad[i].text), 0600);
        assert_int_equal(yzi_keyfile_load(path, bad[i].use, &k, &err), bad[i].code);
        assert_int_equal(err.code, bad[i].code);
        assert_non_null(strstr(err.text, bad[i].says));
        assert_null(strstr(err.text, "nWGx")); /* no secret in a message */
        assert_int_equal(unlink(path), 0);
    }
    char longer[4096];
    memset(longer, 'a', sizeof longer);
    write_file(path, yzi_bytes(longer, sizeof longer), 0600);
    assert_int_equal(yzi_keyfile_load(path, KEY_SIGNING, &k, NULL), YZ_EMALFORMED);
    assert_int_equal(unlink(path), 0);
    assert_null(k.secret.p);
}

static void test_keyfile__ensure_makes_a_key_once(void **state)
{
    (void)state;
    const char *path = in_dir("ensured");
    YZ_AUTO(yzi_key_pair_fini) struct key_pair first = {0}, second = {0}, other = {0};
    assert_int_equal(yzi_keyfile_ensure(path, KEY_SIGNING, &first, NULL), 0);
    assert_int_equal(yzi_keyfile_ensure(path, KEY_SIGNING, &second, NULL), 0);
    assert_memory_equal(first.public_key, second.public_key, 32);
    assert_int_equal(yzi_keyfile_ensure(path, KEY_LOG, &other, NULL), YZ_EINVAL);
    assert_int_equal(unlink(path), 0);
    yz_error err = {0};
    assert_true(yzi_keyfile_ensure(in_dir("no/such"), KEY_LOG, &other, &err) < 0);
    assert_true(err.code < 0);
}

static void test_fingerprint__is_the_start_of_the_sha256_in_groups(void **state)
{
    (void)state;
    uint8_t key[32];
    char text[YZ_FINGERPRINT_TEXT];
    assert_int_equal(yzi_hex_decode(yzi_bytes_str(PUBLIC), key, 32), 0);
    yzi_key_fingerprint(key, text);
    assert_string_equal(text, "21fe:31df:a154:a261:626b:f854:046f:d227");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keyfile__has_the_documented_text),
        cmocka_unit_test(test_keyfile__reads_back_every_use_and_no_other),
        cmocka_unit_test(test_keyfile__names_uses),
        cmocka_unit_test(test_keyfile__refuses_any_other_form),
        cmocka_unit_test(test_keyfile__refuses_every_truncation),
        cmocka_unit_test(test_keyfile__refuses_every_flipped_bit),
        cmocka_unit_test(test_keyfile__refuses_a_public_key_of_another_scalar),
        cmocka_unit_test(test_keyfile__format_leaves_the_buffer_alone_when_it_is_full),
        cmocka_unit_test(test_key_pair__is_readable_only_while_open_or_held),
        cmocka_unit_test(test_keyfile__creates_a_private_file_and_never_replaces_one),
        cmocka_unit_test(test_keyfile__loads_only_what_is_ours_alone),
        cmocka_unit_test(test_keyfile__says_what_is_wrong_with_a_file),
        cmocka_unit_test(test_keyfile__ensure_makes_a_key_once),
        cmocka_unit_test(test_fingerprint__is_the_start_of_the_sha256_in_groups),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
