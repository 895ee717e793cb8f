/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of a checkpoint (C2SP tlog-checkpoint): origin LF, decimal tree size LF, base64 root LF,
 * and nothing more: our logs have no extension lines. As a signed note it is what a log publishes.
 * Any thread; views point into the bytes parsed.
 */
#ifndef YZ_PROOF_CHECKPOINT_H
#define YZ_PROOF_CHECKPOINT_H

#include "proof/note.h"

#define CHECKPOINT_SIZE_MAX ((uint64_t)1 << 63)
#define CHECKPOINT_TEXT_MAX (NOTE_NAME_MAX + 80u)
#define CHECKPOINT_NOTE_MAX (CHECKPOINT_TEXT_MAX + NOTE_NAME_MAX + 128u) /* with one signature */

struct checkpoint {
    yz_bytes origin;
    uint64_t size; /* at most CHECKPOINT_SIZE_MAX */
    yz_digest root;
};
/* YZ_EMALFORMED. A size of 0 goes with the empty tree's root. */
YZ_MUST_USE int yzi_checkpoint_parse(yz_bytes text, struct checkpoint *out);
/* Appended. YZ_EINVAL (an origin that is no key name, a size beyond the maximum), YZ_ELIMIT,
 * YZ_ENOMEM. */
YZ_MUST_USE int yzi_checkpoint_write(const struct checkpoint *c, yz_buf *out);

/* A whole checkpoint note, signed by the log key `k`, whose name its origin must be. *out views
 * into `note`. YZ_EMALFORMED, YZ_ETOOBIG, YZ_ELIMIT, YZ_ENOMEM (the note), YZ_EDENIED (another
 * origin), YZ_ENOTFOUND (not signed by this key), YZ_ESIGNATURE. */
YZ_MUST_USE int yzi_checkpoint_open(yz_bytes note, const struct note_key *k,
                                    struct checkpoint *out);
/* The same, put together from its parts: text, empty line, one signature line. Appended. */
YZ_MUST_USE int yzi_checkpoint_note(const struct checkpoint *c, const struct note_key *k,
                                    const uint8_t signature[NOTE_ED25519_BYTES], yz_buf *out);

#endif
