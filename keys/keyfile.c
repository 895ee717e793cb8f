/* SPDX-License-Identifier: Apache-2.0
 *
 * Key pairs and key files. The secret is outside guarded memory only while it is made, read or
 * written: in buffers of this file, which are wiped on every path. Base64 of secrets is
 * libsodium's, whose time does not depend on the bytes.
 */
#include "keys/keyfile.h"

#include <assert.h>
#include <sodium.h>

#include "base/file.h"
#include "base/text.h"

#define KEY_BYTES 32u
#define KEYFILE_MAX 512u
#define BASE64_KEY 44u /* characters of 32 bytes */

static const char magic[] = "yizhan-secret-key v1";

static_assert(crypto_sign_SEEDBYTES == KEY_BYTES && crypto_sign_PUBLICKEYBYTES == KEY_BYTES, "");
static_assert(crypto_scalarmult_BYTES == KEY_BYTES, "");
static_assert(sodium_base64_ENCODED_LEN(KEY_BYTES, sodium_base64_VARIANT_ORIGINAL) ==
                  BASE64_KEY + 1,
              "");

/* -- uses -- */

enum algorithm { ALGORITHM_NONE, ALGORITHM_ED25519, ALGORITHM_X25519, ALGORITHM_SYMMETRIC };

static const struct {
    const char *name;
    enum algorithm algorithm;
} uses[] = {
    [KEY_ROOT] = {"root", ALGORITHM_ED25519},
    [KEY_OPERATOR] = {"operator", ALGORITHM_ED25519},
    [KEY_FRESHNESS] = {"freshness", ALGORITHM_ED25519},
    [KEY_MEMBER] = {"member", ALGORITHM_ED25519},
    [KEY_OWNER] = {"owner", ALGORITHM_ED25519},
    [KEY_SIGNING] = {"signing", ALGORITHM_ED25519},
    [KEY_LOG] = {"log", ALGORITHM_ED25519},
    [KEY_TRANSPORT] = {"transport", ALGORITHM_X25519},
    [KEY_SEALING] = {"sealing", ALGORITHM_X25519},
    [KEY_STORAGE] = {"storage", ALGORITHM_SYMMETRIC},
};
#define USES_N (sizeof uses / sizeof uses[0])

static enum algorithm algorithm_of(enum key_use use)
{
    return (size_t)use < USES_N ? uses[use].algorithm : ALGORITHM_NONE;
}

const char *yzi_key_use_name(enum key_use use)
{
    return algorithm_of(use) == ALGORITHM_NONE ? "?" : uses[use].name;
}

static int parse_use(yz_bytes name, enum key_use *out)
{
    for (size_t i = KEY_ROOT; i < USES_N; i++) {
        if (yzi_bytes_eq_str(name, uses[i].name)) {
            *out = (enum key_use)i;
            return 0;
        }
    }
    return YZ_EINVAL;
}

int yzi_key_use_parse(const char *name, enum key_use *out)
{
    return parse_use(yzi_bytes_str(name), out);
}

/* -- pairs -- */

/* A secret on the stack for as long as it must be. */
struct key_bytes {
    uint8_t b[crypto_sign_SECRETKEYBYTES];
};

static void wipe(struct key_bytes *k)
{
    sodium_memzero(k, sizeof *k);
}

/* The pair of a 32-byte seed, scalar or storage key. */
static int pair_from_secret(enum key_use use, const uint8_t secret[KEY_BYTES], struct key_pair *out)
{
    YZ_AUTO(wipe) struct key_bytes s = {{0}};
    struct key_pair k = {.use = use};
    size_t n = KEY_BYTES;
    switch (algorithm_of(use)) {
    case ALGORITHM_ED25519:
        n = crypto_sign_SECRETKEYBYTES;
        YZ_ENSURE(crypto_sign_seed_keypair(k.public_key, s.b, secret) == 0, YZ_EINTERNAL);
        break;
    case ALGORITHM_X25519:
        memcpy(s.b, secret, KEY_BYTES);
        YZ_ENSURE(crypto_scalarmult_base(k.public_key, s.b) == 0, YZ_EINTERNAL);
        break;
    case ALGORITHM_SYMMETRIC:
        memcpy(s.b, secret, KEY_BYTES);
        break;
    case ALGORITHM_NONE:
    default:
        return YZ_EINVAL;
    }
    YZ_TRY(yzi_secret_copy(&k.secret, yzi_bytes(s.b, n)));
    *out = k;
    return 0;
}

int yzi_key_pair_generate(enum key_use use, struct key_pair *out)
{
    YZ_TRY(yzi_sodium_init());
    YZ_AUTO(wipe) struct key_bytes s = {{0}};
    randombytes_buf(s.b, KEY_BYTES);
    return pair_from_secret(use, s.b, out);
}

void yzi_key_pair_fini(struct key_pair *k)
{
    yzi_secret_fini(&k->secret);
    *k = (struct key_pair){0};
}

const uint8_t *yzi_key_pair_open(struct key_pair *k)
{
    return k->held ? k->secret.p : yzi_secret_open(&k->secret);
}

void yzi_key_pair_close(struct key_pair *k)
{
    if (!k->held) {
        yzi_secret_close(&k->secret);
    }
}

void yzi_key_pair_hold(struct key_pair *k)
{
    YZ_ASSERT(!k->held);
    (void)yzi_secret_open(&k->secret);
    k->held = true;
}

void yzi_key_pair_release(struct key_pair *k)
{
    YZ_ASSERT(k->held);
    k->held = false;
    yzi_secret_close(&k->secret);
}

/* -- text -- */

static int put_line(yz_buf *out, const char *field, const char *value)
{
    YZ_TRY(yzi_buf_put_str(out, field));
    YZ_TRY(yzi_buf_put_str(out, value));
    return yzi_buf_put_u8(out, '\n');
}

static void to_base64(const uint8_t key[KEY_BYTES], struct key_bytes *out)
{
    static_assert(sizeof out->b >= BASE64_KEY + 1, "");
    sodium_bin2base64((char *)out->b, sizeof out->b, key, KEY_BYTES,
                      sodium_base64_VARIANT_ORIGINAL);
}

/* The line "field: base64". */
static int put_key(yz_buf *out, const char *field, const uint8_t key[KEY_BYTES])
{
    YZ_AUTO(wipe) struct key_bytes text = {{0}};
    to_base64(key, &text);
    return put_line(out, field, (const char *)text.b);
}

static int put_all(struct key_pair *k, const uint8_t *secret, yz_buf *out)
{
    YZ_TRY(put_line(out, magic, ""));
    YZ_TRY(put_line(out, "use: ", uses[k->use].name));
    if (algorithm_of(k->use) != ALGORITHM_SYMMETRIC) {
        YZ_TRY(put_key(out, "public: ", k->public_key));
    }
    return put_key(out, "secret: ", secret); /* of Ed25519: its first half, the seed */
}

int yzi_keyfile_format(struct key_pair *k, yz_buf *out)
{
    YZ_ENSURE(algorithm_of(k->use) != ALGORITHM_NONE && k->secret.p, YZ_EINVAL);
    size_t before = out->n;
    int rc = put_all(k, yzi_key_pair_open(k), out);
    yzi_key_pair_close(k);
    if (rc < 0) {
        out->n = before;
    }
    return rc;
}

/* The rest of the next line after `field`. */
static int take_line(yz_reader *r, const char *field, yz_bytes *out)
{
    const uint8_t *end = r->left ? memchr(r->p, '\n', r->left) : NULL;
    YZ_ENSURE(end, YZ_EMALFORMED);
    yz_bytes line, name, lf;
    YZ_TRY(yzi_read_bytes(r, (size_t)(end - r->p), &line));
    YZ_TRY(yzi_read_bytes(r, 1, &lf));
    yz_reader in = yzi_reader(line);
    YZ_TRY(yzi_read_bytes(&in, strlen(field), &name));
    YZ_ENSURE(yzi_bytes_eq_str(name, field), YZ_EMALFORMED);
    return yzi_read_bytes(&in, in.left, out);
}

/* A line "field: base64" with exactly the one way to write these 32 bytes: libsodium's decoder also
 * takes some characters beyond ASCII for others, so the encoding is compared. */
static int take_key(yz_reader *r, const char *field, uint8_t out[KEY_BYTES])
{
    yz_bytes text;
    size_t n;
    YZ_TRY(take_line(r, field, &text));
    YZ_ENSURE(text.n == BASE64_KEY, YZ_EMALFORMED);
    int rc = sodium_base642bin(out, KEY_BYTES, (const char *)text.p, text.n, NULL, &n, NULL,
                               sodium_base64_VARIANT_ORIGINAL);
    YZ_ENSURE(rc == 0 && n == KEY_BYTES, YZ_EMALFORMED);
    YZ_AUTO(wipe) struct key_bytes again = {{0}};
    to_base64(out, &again);
    YZ_ENSURE(sodium_memcmp(again.b, text.p, BASE64_KEY) == 0, YZ_EMALFORMED);
    return 0;
}

/* *line follows what is being read. */
static int parse_lines(yz_reader *r, enum key_use use, struct key_pair *out, unsigned *line)
{
    yz_bytes rest, name;
    enum key_use stated;
    *line = 1;
    YZ_TRY(take_line(r, magic, &rest));
    YZ_ENSURE(rest.n == 0, YZ_EMALFORMED);
    ++*line;
    YZ_TRY(take_line(r, "use: ", &name));
    YZ_ENSURE(parse_use(name, &stated) == 0, YZ_EMALFORMED);
    YZ_ENSURE(stated == use, YZ_EINVAL);
    uint8_t public_key[KEY_BYTES] = {0};
    if (algorithm_of(use) != ALGORITHM_SYMMETRIC) {
        ++*line;
        YZ_TRY(take_key(r, "public: ", public_key));
    }
    ++*line;
    YZ_AUTO(wipe) struct key_bytes secret = {{0}};
    YZ_TRY(take_key(r, "secret: ", secret.b));
    ++*line;
    YZ_ENSURE(yzi_read_end(r) == 0, YZ_EMALFORMED);
    *line = 0;
    struct key_pair k;
    YZ_TRY(pair_from_secret(use, secret.b, &k));
    if (!yzi_bytes_eq(yzi_bytes(public_key, KEY_BYTES), yzi_bytes(k.public_key, KEY_BYTES))) {
        yzi_key_pair_fini(&k);
        return YZ_ESIGNATURE;
    }
    *out = k;
    return 0;
}

int yzi_keyfile_parse(yz_bytes text, enum key_use use, struct key_pair *out, unsigned *out_line)
{
    YZ_ENSURE(algorithm_of(use) != ALGORITHM_NONE, YZ_EINVAL);
    YZ_TRY(yzi_sodium_init());
    unsigned line = 0;
    yz_reader r = yzi_reader(text);
    int rc = parse_lines(&r, use, out, &line);
    if (rc < 0 && out_line) {
        *out_line = line;
    }
    return rc;
}

/* -- files -- */

int yzi_keyfile_create(const char *path, enum key_use use, uint8_t out_public[32], yz_error *err)
{
    YZ_AUTO(yzi_key_pair_fini) struct key_pair k = {0};
    YZ_AUTO(yzi_buf_wipe) yz_buf text = {0};
    yzi_buf_init(&text, KEYFILE_MAX);
    int rc = yzi_key_pair_generate(use, &k);
    if (rc == 0) {
        rc = yzi_keyfile_format(&k, &text);
    }
    if (rc < 0) {
        return yzi_fail(err, rc, "%s: cannot make a %s key", path, yzi_key_use_name(use));
    }
    YZ_TRY(yzi_file_create(path, yzi_bytes_buf(&text), 0600, err));
    memcpy(out_public, k.public_key, KEY_BYTES);
    return 0;
}

static int explain(const char *path, enum key_use use, int rc, unsigned line, yz_error *err)
{
    switch (rc) {
    case YZ_EINVAL:
        return yzi_fail(err, rc, "%s:%u: not a %s key: a key has one use", path, line,
                        yzi_key_use_name(use));
    case YZ_EMALFORMED:
        return yzi_fail(err, rc, "%s:%u: not the format of a key file", path, line);
    case YZ_ESIGNATURE:
        return yzi_fail(err, rc, "%s: the public key does not belong to the secret", path);
    case YZ_ENOMEM:
        return yzi_fail(err, rc, "%s: no (lockable) memory for the key", path);
    default:
        return yzi_fail(err, rc, "%s: cannot take the key (%s)", path, yz_err_words(rc));
    }
}

int yzi_keyfile_load(const char *path, enum key_use use, struct key_pair *out, yz_error *err)
{
    YZ_ENSURE(algorithm_of(use) != ALGORITHM_NONE, YZ_EINVAL);
    YZ_AUTO(yzi_buf_wipe) yz_buf text = {0};
    yzi_buf_init(&text, KEYFILE_MAX);
    int rc = yzi_file_read_private(path, &text, err);
    if (rc == YZ_ETOOBIG) {
        return yzi_fail(err, YZ_EMALFORMED, "%s: too long for a key file", path);
    }
    YZ_TRY(rc);
    unsigned line = 0;
    rc = yzi_keyfile_parse(yzi_bytes_buf(&text), use, out, &line);
    return rc < 0 ? explain(path, use, rc, line, err) : 0;
}

int yzi_keyfile_ensure(const char *path, enum key_use use, struct key_pair *out, yz_error *err)
{
    if (!yzi_file_exists(path)) {
        uint8_t public_key[KEY_BYTES];
        yz_error made = {0};
        int rc = yzi_keyfile_create(path, use, public_key, &made);
        if (rc < 0 && rc != YZ_EEXIST) { /* another process was faster: its key is as good */
            if (err) {
                *err = made;
            }
            return rc;
        }
    }
    return yzi_keyfile_load(path, use, out, err);
}

/* -- fingerprints -- */

void yzi_key_fingerprint(const uint8_t public_key[32], char out[YZ_FINGERPRINT_TEXT])
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, public_key, KEY_BYTES);
    for (unsigned group = 0; group < 8; group++) {
        unsigned v = yzi_load_u16(hash + 2 * group);
        snprintf(out + 5 * group, 6, "%04x%s", v, group < 7 ? ":" : "");
    }
}

int yzi_keyfile_load_held(const char *home, const char *name, enum key_use use,
                          struct key_pair *out, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    char file[64];
    snprintf(file, sizeof file, "keys/%s.key", name);
    YZ_TRY(yzi_path_join(home, file, &path));
    YZ_TRY(yzi_keyfile_load(path, use, out, err));
    yzi_key_pair_hold(out);
    return YZ_OK;
}
