/* SPDX-License-Identifier: Apache-2.0
 *
 * Private keys and the files that hold them. Each key has one use and never another; a file says
 * which, and loading for a different use is refused. Files are text, mode 0600, refused otherwise
 * (docs/security.md, "Key files"). Exactly these lines, each ended by one LF, and nothing else:
 *
 *   yizhan-secret-key v1
 *   use: signing
 *   public: <base64, 32 bytes>      (absent for storage keys)
 *   secret: <base64, 32 bytes: Ed25519 seed, X25519 scalar or storage key>
 *
 * Threads: one at a time per pair, unless it is held (yzi_key_pair_hold).
 */
#ifndef YZ_KEYS_KEYFILE_H
#define YZ_KEYS_KEYFILE_H

#include "base/secret.h"

enum key_use {
    KEY_ROOT = 1,  /* Ed25519 */
    KEY_OPERATOR,  /* Ed25519 */
    KEY_FRESHNESS, /* Ed25519 */
    KEY_MEMBER,    /* Ed25519 */
    KEY_OWNER,     /* Ed25519 */
    KEY_SIGNING,   /* Ed25519 */
    KEY_LOG,       /* Ed25519 */
    KEY_TRANSPORT, /* X25519 (CURVE) */
    KEY_SEALING,   /* X25519, an epoch */
    KEY_STORAGE    /* 32 symmetric bytes */
};
const char *yzi_key_use_name(enum key_use use); /* "root", "operator", ... */
YZ_MUST_USE int yzi_key_use_parse(const char *name, enum key_use *out); /* YZ_EINVAL */

struct key_pair {
    enum key_use use;
    uint8_t public_key[32]; /* zero for storage keys */
    yz_secret secret;       /* Ed25519: 64 bytes seed ‖ public as libsodium wants; else 32 */
    bool held;              /* readable until released, so any thread may use it */
};

/* A fresh pair in memory. Free with yzi_key_pair_fini. */
YZ_MUST_USE int yzi_key_pair_generate(enum key_use use, struct key_pair *out);
void yzi_key_pair_fini(struct key_pair *k); /* wipes, held or not; accepts a zeroed one */

/* The secret's bytes, readable until the matching close. Whoever uses a pair's secret goes through
 * these and never through yzi_secret_open: its count of readers belongs to one thread. */
const uint8_t *yzi_key_pair_open(struct key_pair *k);
void yzi_key_pair_close(struct key_pair *k);
/* Keep the secret readable (never writable), for a key on a hot path or used by several threads:
 * hold it once at start, before another thread knows the pair; from then until release any thread
 * may sign, derive or open with it at the same time, because nothing in it changes any more.
 * Release after those threads have been joined. Not nested. */
void yzi_key_pair_hold(struct key_pair *k);
void yzi_key_pair_release(struct key_pair *k);

/* Make a fresh pair and write it to a new file, 0600. YZ_EEXIST, YZ_EIO, YZ_EDISKFULL. */
YZ_MUST_USE int yzi_keyfile_create(const char *path, enum key_use use, uint8_t out_public[32],
                                   yz_error *err);
/* YZ_EPERM (not ours, or others may read it), YZ_EINVAL (another use), YZ_EMALFORMED (with the
 * line), YZ_ESIGNATURE (public does not belong to secret), YZ_ENOTFOUND, YZ_EIO. */
YZ_MUST_USE int yzi_keyfile_load(const char *path, enum key_use use, struct key_pair *out,
                                 yz_error *err);
/* Load, or create when absent. */
YZ_MUST_USE int yzi_keyfile_ensure(const char *path, enum key_use use, struct key_pair *out,
                                   yz_error *err);
/* Load home/keys/name.key and hold it: how a daemon or client starts. Errors of load. */
YZ_MUST_USE int yzi_keyfile_load_held(const char *home, const char *name, enum key_use use,
                                      struct key_pair *out, yz_error *err);
/* The text of a key file and back; for create and load, and for the fuzzer. What parses is exactly
 * what format writes. Wipe the text (yzi_buf_wipe). *out_line (may be NULL), on failure only: the
 * line at fault, from 1; 0 when it is none in particular. Errors of load, without files. */
YZ_MUST_USE int yzi_keyfile_format(struct key_pair *k, yz_buf *out);
YZ_MUST_USE int yzi_keyfile_parse(yz_bytes text, enum key_use use, struct key_pair *out,
                                  unsigned *out_line);

/* A fingerprint for people to compare: the first 16 bytes of the public key's SHA-256 as 8 groups
 * of 4 lower-case hex digits with ':' between them, NUL-terminated. */
#define YZ_FINGERPRINT_TEXT 40
void yzi_key_fingerprint(const uint8_t public_key[32], char out[YZ_FINGERPRINT_TEXT]);

#endif
