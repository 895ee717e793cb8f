/* SPDX-License-Identifier: Apache-2.0
 *
 * Receipts: the proof that one or two entries (a request and its answer) are in a broker's log, in
 * the binary form that travels in hops (docs/protocol.md, "Receipts"), checked against the log key
 * of the directory; and the same as tlog-proof text for verifiers we did not write. Any thread; a
 * parsed receipt holds copies.
 *
 * Bytes: version u8 = 1 ‖ entries u8 (1 or 2) ‖ log u64 ‖ tree size u64 ‖ root 32 ‖ log key 32 ‖
 * signature 64 ‖ per entry (type u8 ‖ index u64 ‖ time u64) ‖ path of the first entry (exactly as
 * long as its index and the size require) ‖ when there are two: own u8 ‖ own × 32, the beginning of
 * the second's path, whose rest is the end of the first's path.
 */
#ifndef YZ_EVIDENCE_RECEIPT_H
#define YZ_EVIDENCE_RECEIPT_H

#include "keys/directory.h"
#include "proof/merkle.h"
#include "proto/entry.h"
#include "proto/header.h"

#define RECEIPT_ENTRIES_MAX 2u
#define RECEIPT_BYTES_MAX 4608u

struct receipt_entry {
    enum entry_type type;
    uint64_t index, time;
    struct merkle_path path;
};
struct receipt {
    uint64_t log, size; /* the log (its opening time, Unix ms), the tree */
    yz_digest root;
    uint8_t key[32];
    uint8_t signature[64];
    struct receipt_entry
        entries[RECEIPT_ENTRIES_MAX]; /* of different indexes; times rise with them */
    unsigned entries_n;
};
/* The form, and that there is no other form of the same; nothing is verified. YZ_EMALFORMED,
 * YZ_EVERSION. */
YZ_MUST_USE int yzi_receipt_parse(yz_bytes bytes, struct receipt *out);
/* Appended. YZ_EINVAL (what the parser would refuse), YZ_ELIMIT, YZ_ENOMEM. */
YZ_MUST_USE int yzi_receipt_write(const struct receipt *r, yz_buf *out);

/* The name of a broker's log, its origin and key name: "yizhan/" node "/" log in decimal. */
#define LOG_ORIGIN_MAX (YZ_ID_MAX + 32u)
void yzi_log_origin(yz_node_id broker, uint64_t log, char out[LOG_ORIGIN_MAX]);
/* The reverse. Views point into the origin. YZ_EMALFORMED. */
YZ_MUST_USE int yzi_log_origin_parse(yz_bytes origin, yz_node_id *out_broker, uint64_t *out_log);
/* The text the log key signs: origin LF size LF base64 root LF. Appended. */
YZ_MUST_USE int yzi_checkpoint_text(yz_node_id broker, uint64_t log, uint64_t size,
                                    const yz_digest *root, yz_buf *out);

/* Checkpoints verified before, so that the answers of one commit cost one verification. Zeroed it
 * is empty; one thread at a time. */
#define CHECKPOINT_MEMORY_SLOTS 32u
struct checkpoint_memory {
    struct {
        yz_digest name; /* BLAKE2b-256 over text, key and signature; zero: empty */
    } seen[CHECKPOINT_MEMORY_SLOTS];
    unsigned next;
};
/* That a log key of this broker, listed and valid at `now` and not revoked, signed this checkpoint.
 * YZ_ESIGNATURE, YZ_EUNKNOWNKEY, YZ_EEXPIRED, YZ_ENOMEM. memory may be NULL; the key's validity is
 * asked again at each hit. */
YZ_MUST_USE int yzi_checkpoint_verify(struct checkpoint_memory *memory, const struct directory *d,
                                      yz_node_id broker, uint64_t now, uint64_t log, uint64_t size,
                                      const yz_digest *root, const uint8_t key[32],
                                      const uint8_t signature[64]);
/* The same for what a header says of the sender's last checkpoint: the key is looked for among the
 * broker's. *out_key (may be NULL): which. YZ_ESIGNATURE: none of those that count now made it. */
YZ_MUST_USE int yzi_checkpoint_ref_verify(struct checkpoint_memory *memory,
                                          const struct directory *d, yz_node_id broker,
                                          uint64_t now, const struct checkpoint_ref *ref,
                                          uint8_t out_key[32]);

/* What must be in the log. */
struct receipt_claim {
    enum entry_type type;
    const yz_digest *digest;
};
/* That the receipt shows all the claims, each by an entry of its own, in this broker's log.
 * YZ_EMALFORMED, YZ_ENOTFOUND (an entry of that type is not in it), YZ_ESIGNATURE (a path does not
 * lead to the root: the log does not hold it), and yzi_checkpoint_verify's. */
YZ_MUST_USE int yzi_receipt_verify(struct checkpoint_memory *memory, const struct directory *d,
                                   yz_node_id broker, uint64_t now, const struct receipt *r,
                                   const struct receipt_claim *claims, size_t claims_n);
/* The same without who holds the key and when: the arithmetic of it, for a reader who knows the key
 * otherwise. YZ_ENOTFOUND, YZ_ESIGNATURE. */
YZ_MUST_USE int yzi_receipt_check(const struct receipt *r, const struct receipt_claim *claims,
                                  size_t claims_n);
/* Entry `i` as tlog-proof text (C2SP), the entry itself as its `extra` line. Appended. YZ_EINVAL
 * (no such entry), YZ_ELIMIT, YZ_ENOMEM. */
YZ_MUST_USE int yzi_receipt_to_proof(const struct receipt *r, unsigned i, yz_node_id broker,
                                     const yz_digest *digest, yz_buf *out);

#endif
