/* SPDX-License-Identifier: Apache-2.0
 *
 * Signed notes (C2SP signed-note) and the keys that sign them: a text ending in a line feed, an
 * empty line, then lines "— name base64(key id 4 ‖ signature)". Two kinds of keys are understood:
 * Ed25519 over the text, which is a log's, and the timestamped cosignature v1 of a witness (C2SP
 * tlog-cosignature). Signatures of keys nobody asks about are ignored, whatever they are. Views
 * point into the bytes parsed. Any thread.
 */
#ifndef YZ_PROOF_NOTE_H
#define YZ_PROOF_NOTE_H

#include "base/bytes.h"

#define NOTE_NAME_MAX 1024u        /* bytes of a key's name */
#define NOTE_SIGNATURES_MAX 64u    /* of one note; the specification asks for 16 at least */
#define NOTE_BLOB_MAX 8192u        /* bytes of one signature, those of unknown kinds included */
#define NOTE_MAX (512u * 1024u)    /* bytes of a whole note */
#define NOTE_ED25519_BYTES 64u     /* signatures without their key ids */
#define NOTE_COSIGNATURE_BYTES 72u /* time u64 ‖ 64 */

enum note_algorithm { NOTE_ED25519 = 1, NOTE_COSIGNATURE = 4 };

/* A public key with its name: what a verifier is configured with. */
struct note_key {
    yz_bytes name; /* a view */
    enum note_algorithm algorithm;
    uint8_t id[4];
    uint8_t key[32];
};
/* A name: not empty, UTF-8, no space (as Unicode has it), no control character, no plus. */
bool yzi_note_name_is_valid(yz_bytes name);
/* YZ_EINVAL: no valid name. */
YZ_MUST_USE int yzi_note_key(yz_bytes name, enum note_algorithm algorithm, const uint8_t key[32],
                             struct note_key *out);
/* Verifier key text, "name+hex(id)+base64(algorithm ‖ key)". YZ_EMALFORMED (also an id that is not
 * the key's), YZ_EVERSION (an algorithm not known here). */
YZ_MUST_USE int yzi_vkey_parse(yz_bytes text, struct note_key *out);
YZ_MUST_USE int yzi_vkey_write(const struct note_key *k, yz_buf *out); /* YZ_ELIMIT, YZ_ENOMEM */

struct note_line {
    yz_bytes name, base64;
    uint8_t id[4];
};
struct note {
    yz_bytes text; /* with its last line feed: what is signed */
    struct note_line lines[NOTE_SIGNATURES_MAX];
    unsigned lines_n; /* at least 1 */
};
/* The form only. YZ_EMALFORMED, YZ_ETOOBIG, YZ_ELIMIT (lines), YZ_ENOMEM. */
YZ_MUST_USE int yzi_note_parse(yz_bytes bytes, struct note *out);
/* That this key signed it, and that no signature under its name and id is wrong. *out_time (may be
 * NULL): a cosignature's, Unix seconds; 0 for the other kind. YZ_ENOTFOUND (none of this key),
 * YZ_ESIGNATURE, YZ_ENOMEM. */
YZ_MUST_USE int yzi_note_verify(const struct note *n, const struct note_key *k, uint64_t *out_time);

/* Append a signature line; `signature` as the algorithm has it, without the id. YZ_EINVAL (its
 * length), YZ_ELIMIT, YZ_ENOMEM. The note itself is text, "\n", then such lines. */
YZ_MUST_USE int yzi_note_line(const struct note_key *k, yz_bytes signature, yz_buf *out);
/* What a witness signs: "cosignature/v1\ntime <seconds>\n" and the text. Appended. */
YZ_MUST_USE int yzi_cosignature_text(uint64_t time, yz_bytes text, yz_buf *out);

/* That `key` made this Ed25519 signature over the text. YZ_ESIGNATURE. */
YZ_MUST_USE int yzi_note_check(yz_bytes text, const uint8_t key[32],
                               const uint8_t signature[NOTE_ED25519_BYTES]);

#endif
