/* SPDX-License-Identifier: Apache-2.0
 *
 * Signed notes. The text is split off at the last empty line, because a text may have empty lines
 * and the signatures may not. Base64 is decoded when a signature is looked at; that it decodes is
 * part of the form, so that a note is refused or accepted whichever keys the reader knows.
 */
#include "proof/note.h"

#include <inttypes.h>
#include <sodium.h>

#include "base/text.h"

static const char dash[] = "\xe2\x80\x94 "; /* U+2014 and a space */
#define DASH_BYTES (sizeof dash - 1)

/* -- names and keys -- */

/* White space as Unicode's property has it, beyond ASCII; the well-formed character at p of n
 * bytes. */
static bool is_wide_space(const uint8_t *p, size_t n)
{
    static const char *const spaces[] = {
        "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\xa8",
        "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80",
    };
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++) {
        if (yzi_bytes_eq_str(yzi_bytes(p, n), spaces[i])) {
            return true;
        }
    }
    /* U+2000 to U+200A */
    return n == 3 && p[0] == 0xe2 && p[1] == 0x80 && p[2] >= 0x80 && p[2] <= 0x8a;
}

bool yzi_note_name_is_valid(yz_bytes name)
{
    if (name.n == 0 || name.n > NOTE_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.n;) {
        size_t n = yzi_utf8_char(yzi_bytes(name.p + i, name.n - i));
        uint8_t c = name.p[i];
        if (n == 0 || c <= ' ' || c == '+' || c == 0x7f || is_wide_space(name.p + i, n)) {
            return false;
        }
        i += n;
    }
    return true;
}

int yzi_note_key(yz_bytes name, enum note_algorithm algorithm, const uint8_t key[32],
                 struct note_key *out)
{
    YZ_ENSURE(yzi_note_name_is_valid(name), YZ_EINVAL);
    const uint8_t middle[2] = {'\n', (uint8_t)algorithm};
    struct note_key k = {.name = name, .algorithm = algorithm};
    yz_digest digest;
    crypto_hash_sha256_state s;
    crypto_hash_sha256_init(&s);
    crypto_hash_sha256_update(&s, name.p, name.n);
    crypto_hash_sha256_update(&s, middle, sizeof middle);
    crypto_hash_sha256_update(&s, key, sizeof k.key);
    crypto_hash_sha256_final(&s, digest.b);
    memcpy(k.id, digest.b, sizeof k.id);
    memcpy(k.key, key, sizeof k.key);
    *out = k;
    return 0;
}

/* What is before the first `c`, which is taken too. */
static int take_until(yz_bytes *rest, uint8_t c, yz_bytes *out)
{
    const uint8_t *at = rest->n ? memchr(rest->p, c, rest->n) : NULL;
    YZ_ENSURE(at, YZ_EMALFORMED);
    size_t n = (size_t)(at - rest->p);
    *out = yzi_bytes(rest->p, n);
    *rest = yzi_bytes(at + 1, rest->n - n - 1);
    return 0;
}

/* Hex in lower case only, so that a key has one text. */
static int read_id(yz_bytes text, uint8_t out[4])
{
    char again[9];
    YZ_ENSURE(yzi_hex_decode(text, out, 4) == 0, YZ_EMALFORMED);
    YZ_ASSERT(yzi_hex_encode(yzi_bytes(out, 4), again, sizeof again) == 0);
    YZ_ENSURE(yzi_bytes_eq_str(text, again), YZ_EMALFORMED);
    return 0;
}

int yzi_vkey_parse(yz_bytes text, struct note_key *out)
{
    yz_bytes rest = text, name, id_text;
    uint8_t id[4];
    struct note_key k;
    YZ_TRY(take_until(&rest, '+', &name));
    YZ_TRY(take_until(&rest, '+', &id_text));
    YZ_TRY(read_id(id_text, id));
    YZ_ENSURE(yzi_note_name_is_valid(name), YZ_EMALFORMED);
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = NOTE_BLOB_MAX};
    int rc = yzi_base64_decode(rest, &b);
    YZ_ENSURE(rc == 0, rc == YZ_ENOMEM ? rc : YZ_EMALFORMED);
    YZ_ENSURE(b.n > 0, YZ_EMALFORMED);
    YZ_ENSURE(b.p[0] == NOTE_ED25519 || b.p[0] == NOTE_COSIGNATURE, YZ_EVERSION);
    YZ_ENSURE(b.n == 1 + sizeof k.key, YZ_EMALFORMED);
    YZ_TRY(yzi_note_key(name, (enum note_algorithm)b.p[0], b.p + 1, &k));
    YZ_ENSURE(yzi_bytes_eq(yzi_bytes(id, sizeof id), yzi_bytes(k.id, sizeof k.id)), YZ_EMALFORMED);
    *out = k;
    return 0;
}

int yzi_vkey_write(const struct note_key *k, yz_buf *out)
{
    char id[9];
    uint8_t key[1 + sizeof k->key];
    key[0] = (uint8_t)k->algorithm;
    memcpy(key + 1, k->key, sizeof k->key);
    YZ_TRY(yzi_hex_encode(yzi_bytes(k->id, sizeof k->id), id, sizeof id));
    size_t before = out->n;
    int rc = yzi_buf_put(out, k->name);
    rc = rc ? rc : yzi_buf_printf(out, "+%s+", id);
    rc = rc ? rc : yzi_base64_encode(yzi_bytes(key, sizeof key), out);
    if (rc) {
        out->n = before;
    }
    return rc;
}

/* -- the form -- */

static int check_text(yz_bytes note)
{
    for (size_t i = 0; i < note.n; i++) {
        YZ_ENSURE(note.p[i] >= ' ' || note.p[i] == '\n', YZ_EMALFORMED);
    }
    YZ_ENSURE(yzi_utf8_is_valid(note), YZ_EMALFORMED);
    return 0;
}

/* Where the signatures begin: behind the last empty line. */
static int split(yz_bytes note, yz_bytes *out_text, yz_bytes *out_lines)
{
    YZ_ENSURE(note.n >= 3 && note.p[note.n - 1] == '\n', YZ_EMALFORMED);
    for (size_t i = note.n - 1; i > 1; i--) {
        if (note.p[i - 1] == '\n' && note.p[i - 2] == '\n') {
            *out_text = yzi_bytes(note.p, i - 1);
            *out_lines = yzi_bytes(note.p + i, note.n - i);
            return 0;
        }
    }
    return YZ_EMALFORMED;
}

static int decode(yz_bytes base64, yz_buf *out)
{
    yzi_buf_init(out, NOTE_BLOB_MAX);
    int rc = yzi_base64_decode(base64, out);
    return rc == YZ_ELIMIT ? YZ_ETOOBIG : rc;
}

static int parse_line(yz_bytes line, struct note_line *out)
{
    YZ_ENSURE(line.n > DASH_BYTES, YZ_EMALFORMED);
    YZ_ENSURE(yzi_bytes_eq_str(yzi_bytes(line.p, DASH_BYTES), dash), YZ_EMALFORMED);
    yz_bytes rest = yzi_bytes(line.p + DASH_BYTES, line.n - DASH_BYTES);
    YZ_TRY(take_until(&rest, ' ', &out->name));
    YZ_ENSURE(yzi_note_name_is_valid(out->name), YZ_EMALFORMED);
    YZ_AUTO(yzi_buf_fini) yz_buf blob = {0};
    YZ_TRY(decode(rest, &blob));
    YZ_ENSURE(blob.n > sizeof out->id, YZ_EMALFORMED);
    memcpy(out->id, blob.p, sizeof out->id);
    out->base64 = rest;
    return 0;
}

int yzi_note_parse(yz_bytes bytes, struct note *out)
{
    yz_bytes lines, line;
    YZ_ENSURE(bytes.n <= NOTE_MAX, YZ_ETOOBIG);
    YZ_TRY(check_text(bytes));
    YZ_TRY(split(bytes, &out->text, &lines));
    out->lines_n = 0;
    while (lines.n > 0) {
        YZ_ENSURE(out->lines_n < NOTE_SIGNATURES_MAX, YZ_ELIMIT);
        YZ_TRY(take_until(&lines, '\n', &line));
        YZ_TRY(parse_line(line, &out->lines[out->lines_n++]));
    }
    return out->lines_n > 0 ? 0 : YZ_EMALFORMED;
}

/* -- verifying and writing -- */

int yzi_note_check(yz_bytes text, const uint8_t key[32],
                   const uint8_t signature[NOTE_ED25519_BYTES])
{
    int rc = crypto_sign_verify_detached(signature, text.p, text.n, key);
    return rc == 0 ? 0 : YZ_ESIGNATURE;
}

int yzi_cosignature_text(uint64_t time, yz_bytes text, yz_buf *out)
{
    YZ_TRY(yzi_buf_printf(out, "cosignature/v1\ntime %" PRIu64 "\n", time));
    return yzi_buf_put(out, text);
}

static int check_cosignature(yz_bytes text, const uint8_t key[32], yz_bytes blob,
                             uint64_t *out_time)
{
    YZ_ENSURE(blob.n == NOTE_COSIGNATURE_BYTES, YZ_ESIGNATURE);
    uint64_t time = yzi_load_u64(blob.p);
    YZ_ENSURE(time <= INT64_MAX, YZ_ESIGNATURE);
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = NOTE_MAX + 64};
    YZ_TRY(yzi_cosignature_text(time, text, &b));
    YZ_TRY(yzi_note_check(yzi_bytes_buf(&b), key, blob.p + 8));
    *out_time = time;
    return 0;
}

static int check_line(const struct note *n, const struct note_line *l, const struct note_key *k,
                      uint64_t *out_time)
{
    YZ_AUTO(yzi_buf_fini) yz_buf blob = {0};
    YZ_TRY(decode(l->base64, &blob));
    yz_bytes signature = yzi_bytes(blob.p + sizeof l->id, blob.n - sizeof l->id);
    if (k->algorithm == NOTE_COSIGNATURE) {
        return check_cosignature(n->text, k->key, signature, out_time);
    }
    YZ_ENSURE(signature.n == NOTE_ED25519_BYTES, YZ_ESIGNATURE);
    *out_time = 0;
    return yzi_note_check(n->text, k->key, signature.p);
}

int yzi_note_verify(const struct note *n, const struct note_key *k, uint64_t *out_time)
{
    bool found = false;
    uint64_t time = 0;
    for (unsigned i = 0; i < n->lines_n; i++) {
        const struct note_line *l = &n->lines[i];
        if (yzi_bytes_eq(l->name, k->name) &&
            yzi_bytes_eq(yzi_bytes(l->id, sizeof l->id), yzi_bytes(k->id, sizeof k->id))) {
            YZ_TRY(check_line(n, l, k, &time));
            found = true;
        }
    }
    YZ_ENSURE(found, YZ_ENOTFOUND);
    if (out_time) {
        *out_time = time;
    }
    return 0;
}

int yzi_note_line(const struct note_key *k, yz_bytes signature, yz_buf *out)
{
    uint8_t blob[4 + NOTE_COSIGNATURE_BYTES];
    YZ_ENSURE(signature.n ==
                  (k->algorithm == NOTE_COSIGNATURE ? NOTE_COSIGNATURE_BYTES : NOTE_ED25519_BYTES),
              YZ_EINVAL);
    memcpy(blob, k->id, sizeof k->id);
    memcpy(blob + sizeof k->id, signature.p, signature.n);
    size_t before = out->n;
    int rc = yzi_buf_put_str(out, dash);
    rc = rc ? rc : yzi_buf_put(out, k->name);
    rc = rc ? rc : yzi_buf_put_str(out, " ");
    rc = rc ? rc : yzi_base64_encode(yzi_bytes(blob, sizeof k->id + signature.n), out);
    rc = rc ? rc : yzi_buf_put_str(out, "\n");
    if (rc) {
        out->n = before;
    }
    return rc;
}
