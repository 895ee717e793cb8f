/* SPDX-License-Identifier: Apache-2.0
 *
 * tlog-proof text (C2SP): that one entry is in a log, in a form that needs nothing but the log's
 * verifier key. Line "c2sp.org/tlog-proof@v1", optionally "extra <base64>", "index <n>", the path
 * in base64 from the leaf's sibling upward, an empty line, the checkpoint verbatim. Any thread.
 */
#ifndef YZ_PROOF_TLOGPROOF_H
#define YZ_PROOF_TLOGPROOF_H

#include "proof/checkpoint.h"
#include "proof/merkle.h"

#define TLOGPROOF_EXTRA_MAX 65536u
#define TLOGPROOF_MAX (NOTE_MAX + 128u * 1024u)

struct tlogproof {
    bool has_extra;
    yz_bytes extra; /* base64 as it stands; decode with yzi_tlogproof_extra. Not authenticated */
    uint64_t index;
    struct merkle_path path;
    yz_bytes checkpoint; /* a signed note, not looked at by the parser */
};
/* Views point into `text`. YZ_EMALFORMED, YZ_EVERSION (another first line of that kind),
 * YZ_ETOOBIG. */
YZ_MUST_USE int yzi_tlogproof_parse(yz_bytes text, struct tlogproof *out);
/* The extra data, decoded, appended. YZ_ENOTFOUND, YZ_ELIMIT, YZ_ENOMEM. */
YZ_MUST_USE int yzi_tlogproof_extra(const struct tlogproof *p, yz_buf *out);
/* That the log of this key holds the entry at that index. *out (may be NULL) views into the
 * proof's checkpoint. yzi_checkpoint_open's errors; YZ_EMALFORMED (index, length of the path);
 * YZ_ESIGNATURE also when the path does not lead from this entry to the root. */
YZ_MUST_USE int yzi_tlogproof_verify(const struct tlogproof *p, const struct note_key *log,
                                     yz_bytes entry, struct checkpoint *out);
/* Appended; `extra` empty: no such line; `checkpoint` a whole signed note. YZ_ELIMIT, YZ_ENOMEM. */
YZ_MUST_USE int yzi_tlogproof_write(yz_bytes extra, uint64_t index, const struct merkle_path *path,
                                    yz_bytes checkpoint, yz_buf *out);

#endif
