/* SPDX-License-Identifier: Apache-2.0
 *
 * How one log follows another (docs/protocol.md, "Consistency"): the opening entries of a log with
 * their bodies and paths, which a broker gives when it is asked for the consistency of that log
 * with the empty one. Bytes, for each by rising index: index u64 ‖ entry 44 ‖ body length u16 ‖
 * body ‖ path, as long as index and size require. Any thread; views point into the bytes.
 */
#ifndef YZ_EVIDENCE_OPENING_H
#define YZ_EVIDENCE_OPENING_H

#include "proof/merkle.h"
#include "proto/entry.h"

#define OPENINGS_BYTES_MAX (1024u * 1024u)

struct opening {
    uint64_t index;
    struct entry entry; /* of type ENTRY_OPENING */
    yz_bytes body;
    struct log_end end; /* the body parsed */
    struct merkle_path path;
};
/* Append one. YZ_EINVAL: not an opening entry, the body is not its own, the path has another
 * length; YZ_ELIMIT, YZ_ENOMEM. */
YZ_MUST_USE int yzi_opening_put(uint64_t size, uint64_t index, const struct entry *entry,
                                yz_bytes body, const struct merkle_path *path, yz_buf *out);
/* The next one of a tree of this size, and that it leads to the root. YZ_EMALFORMED; YZ_ESIGNATURE:
 * it does not. */
YZ_MUST_USE int yzi_opening_next(yz_reader *r, uint64_t size, const yz_digest *root,
                                 struct opening *out);

#endif
