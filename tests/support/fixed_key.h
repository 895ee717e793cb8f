/* SPDX-License-Identifier: Apache-2.0
 *
 * Key pairs of known secrets, for tests that must come out the same every time.
 */
#ifndef YZ_TESTS_SUPPORT_FIXED_KEY_H
#define YZ_TESTS_SUPPORT_FIXED_KEY_H

#include <sodium.h>

#include "keys/keyfile.h"

/* The pair of a 32-byte seed (Ed25519) or scalar (X25519); aborts when that is impossible. Free
 * with yzi_key_pair_fini. */
static inline struct key_pair yz_fixed_key(enum key_use use, const uint8_t secret[32])
{
    struct key_pair k = {.use = use};
    uint8_t whole[crypto_sign_SECRETKEYBYTES];
    int rc = yzi_sodium_init();
    if (use == KEY_TRANSPORT || use == KEY_SEALING) {
        crypto_scalarmult_base(k.public_key, secret);
        rc = rc ? rc : yzi_secret_copy(&k.secret, yzi_bytes(secret, 32));
    } else if (use == KEY_STORAGE) {
        rc = rc ? rc : yzi_secret_copy(&k.secret, yzi_bytes(secret, 32));
    } else {
        crypto_sign_seed_keypair(k.public_key, whole, secret);
        rc = rc ? rc : yzi_secret_copy(&k.secret, yzi_bytes(whole, sizeof whole));
    }
    YZ_ASSERT(rc == 0);
    return k;
}

/* The pair whose secret is 32 times the byte n. */
static inline struct key_pair yz_numbered_key(enum key_use use, uint8_t n)
{
    uint8_t secret[32];
    memset(secret, n, sizeof secret);
    return yz_fixed_key(use, secret);
}

#endif
