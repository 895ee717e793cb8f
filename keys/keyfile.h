/* SPDX-License-Identifier: Apache-2.0
 *
 * Private keys and the files that hold them. Each key has one use and never another; a file says
 * which, and loading for a different use is refused. Files are text, mode 0600, refused otherwise
 * (docs/security.md, "Key files"):
 *
 *   yizhan-secret-key v1
 *   use: signing
 *   public: <base64, 32 bytes>      (absent for storage keys)
 *   secret: <base64, 32 bytes: Ed25519 seed, X25519 scalar or storage key>
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
};

/* A fresh pair in memory. Free with yzi_key_pair_fini. */
YZ_MUST_USE int yzi_key_pair_generate(enum key_use use, struct key_pair *out);
void yzi_key_pair_fini(struct key_pair *k); /* wipes; accepts a zeroed one */
/* Make a fresh pair and write it to a new file, 0600. YZ_EEXIST, YZ_EIO, YZ_EDISKFULL. */
YZ_MUST_USE int yzi_keyfile_create(const char *path, enum key_use use, uint8_t out_public[32],
                                   yz_error *err);
/* YZ_EPERM (others may read it), YZ_EINVAL (another use), YZ_EMALFORMED (with the line),
 * YZ_ESIGNATURE (public does not belong to secret), YZ_ENOTFOUND, YZ_EIO. */
YZ_MUST_USE int yzi_keyfile_load(const char *path, enum key_use use, struct key_pair *out,
                                 yz_error *err);
/* Load, or create when absent. */
YZ_MUST_USE int yzi_keyfile_ensure(const char *path, enum key_use use, struct key_pair *out,
                                   yz_error *err);
/* Parse the text of a key file; for yzi_keyfile_load and the fuzzer. */
YZ_MUST_USE int yzi_keyfile_parse(yz_bytes text, enum key_use use, struct key_pair *out,
                                  unsigned *out_line);

/* A fingerprint for people to compare: SHA-256 of the public key as 8 groups of 4 hex digits. */
#define YZ_FINGERPRINT_TEXT 40
void yzi_key_fingerprint(const uint8_t public_key[32], char out[YZ_FINGERPRINT_TEXT]);

#endif
