/* SPDX-License-Identifier: Apache-2.0
 *
 * Bundles of evidence: one exchange with everything that proves it, in one file that a third party
 * checks offline, against nothing but the anchor of the instance or the log's verifier key
 * (docs/evidence.md, "Bundles"). Made from what is kept (evidence/kept.h).
 *
 * Bytes: "YZBNDL1" 00, then sections: tag u8 ‖ length u32 ‖ bytes, each tag at most once, rising:
 * 1 the kept exchange (always), its receipt left out · 2 the receipt · 3, 4 the directory records
 * of the node that asked and of the node that signed the answer · 5 those of the broker. Any
 * thread.
 */
#ifndef YZ_EVIDENCE_BUNDLE_H
#define YZ_EVIDENCE_BUNDLE_H

#include "evidence/kept.h"
#include "evidence/receipt.h"
#include "proto/payload.h"

#define EVIDENCE_BUNDLE_MAX (KEPT_RECORD_MAX + 16u * 1024u * 1024u)

struct evidence_bundle {
    struct kept_record kept; /* views; the place is empty */
    yz_bytes receipt;        /* may be empty */
    yz_bytes consumer, signer, broker;
};
/* Whether these bytes begin as a bundle does. */
bool yzi_evidence_bundle_is(yz_bytes bytes);
/* The form only. YZ_EMALFORMED. */
YZ_MUST_USE int yzi_evidence_bundle_parse(yz_bytes bytes, struct evidence_bundle *out);

/* Make the bundle of the exchange with this message id out of what is kept in `dir`; appended.
 * YZ_ENOTFOUND: no such exchange is kept; and yzi_kept_each's. */
YZ_MUST_USE int yzi_evidence_bundle_make(const char *dir, const yz_uuid *message_id, yz_buf *out,
                                         yz_error *err);

/* By what it is checked. At least one of the two. */
struct evidence_trust {
    yz_bytes anchor;        /* a raw root statement record; empty: the bundle's own is taken, and
                               proves only that it is consistent in itself */
    const uint8_t *log_key; /* 32; NULL: whichever the root statement lists */
};
/* Verify everything a bundle claims; each thing shown is appended to `report` as a line ("signed by
 * CN/GOV/HB/@w1 with the key …"). YZ_ESIGNATURE, YZ_EUNKNOWNKEY, YZ_EEXPIRED, YZ_ERECEIPT, ...: the
 * sentence in err says what does not hold. What it cannot show (that no revocation came in between)
 * is in docs/evidence.md. */
YZ_MUST_USE int yzi_evidence_bundle_verify(yz_bytes bytes, const struct evidence_trust *trust,
                                           yz_buf *report, yz_error *err);
/* That a kept plaintext is what a header commits to, and what it says: *out views into *out_padded,
 * which is initialised here and the caller's to wipe. YZ_ESIGNATURE, YZ_ENOMEM. */
YZ_MUST_USE int yzi_evidence_open(yz_bytes kept, const yz_digest *commitment, yz_buf *out_padded,
                                  struct plain *out);

#endif
