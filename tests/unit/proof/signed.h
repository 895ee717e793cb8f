/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys that sign notes in tests: of known seeds, so that all comes out the same each time.
 */
#ifndef YZ_TESTS_UNIT_PROOF_SIGNED_H
#define YZ_TESTS_UNIT_PROOF_SIGNED_H

#include <sodium.h>

#include "proof/checkpoint.h"

struct signer {
    struct note_key key;
    uint8_t secret[64];
};

/* The name must last. */
static inline struct signer yz_signer(const char *name, enum note_algorithm algorithm, uint8_t n)
{
    struct signer s;
    uint8_t seed[32], public_key[32];
    memset(seed, n, sizeof seed);
    YZ_ASSERT(sodium_init() >= 0);
    crypto_sign_seed_keypair(public_key, s.secret, seed);
    YZ_ASSERT(yzi_note_key(yzi_bytes_str(name), algorithm, public_key, &s.key) == 0);
    return s;
}

/* A line of this log key over the text. */
static inline void yz_sign_line(const struct signer *s, yz_bytes text, yz_buf *out)
{
    uint8_t signature[64];
    crypto_sign_detached(signature, NULL, text.p, text.n, s->secret);
    YZ_ASSERT(yzi_note_line(&s->key, yzi_bytes(signature, sizeof signature), out) == 0);
}

/* A checkpoint note of a tree of that size, whose root is made up. */
static inline void yz_put_checkpoint(const struct signer *log, uint64_t size, yz_buf *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = CHECKPOINT_TEXT_MAX};
    struct checkpoint c = {.origin = log->key.name, .size = size};
    uint8_t signature[64];
    memset(c.root.b, 0x5a, sizeof c.root.b);
    YZ_ASSERT(yzi_checkpoint_write(&c, &text) == 0);
    crypto_sign_detached(signature, NULL, text.p, text.n, log->secret);
    YZ_ASSERT(yzi_checkpoint_note(&c, &log->key, signature, out) == 0);
}

/* Appends a witness' line to a whole note. */
static inline void yz_cosign(const struct signer *witness, uint64_t time, yz_buf *note)
{
    static struct note n;
    uint8_t blob[72];
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = NOTE_MAX};
    YZ_ASSERT(yzi_note_parse(yzi_bytes_buf(note), &n) == 0);
    YZ_ASSERT(yzi_cosignature_text(time, n.text, &text) == 0);
    yzi_store_u64(blob, time);
    crypto_sign_detached(blob + 8, NULL, text.p, text.n, witness->secret);
    YZ_ASSERT(yzi_note_line(&witness->key, yzi_bytes(blob, sizeof blob), note) == 0);
}

#endif
