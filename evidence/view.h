/* SPDX-License-Identifier: Apache-2.0
 *
 * What one party has seen of each broker's log: the newest checkpoint it holds, and whether all it
 * ever saw is one history. A checkpoint (from a receipt, or from the header of somebody else's
 * message) that is not the one held is a candidate, and the broker is asked to prove that the two
 * are consistent; when it proves otherwise, or two signed roots stand for one size, that is
 * equivocation: both checkpoints are kept in a file, and the broker is no longer used, across
 * restarts. A log that ended is followed by another only when an opening entry of the new one cites
 * a checkpoint of it that covers ours.
 *
 * The first checkpoint ever seen is believed; all others are held to it. Candidates are bounded:
 * when there are more, those of our own receipts make room for those that others showed.
 *
 * Kept in `dir`/logs: for each broker NAME.view, text, at most a second behind, and
 * NAME.equivocation once it is caught, never written over, where NAME is the SHA-256 of its id in
 * hex. Several processes may share it (as keys/trust.h): what one caught, the others see the
 * next time they ask. Owner thread only.
 */
#ifndef YZ_EVIDENCE_VIEW_H
#define YZ_EVIDENCE_VIEW_H

#include "evidence/receipt.h"

struct log_views;
struct log_view; /* of one broker */

/* Creates the folder. YZ_EIO, YZ_EPERM, YZ_EDISKFULL, YZ_ENOMEM. */
YZ_MUST_USE int yzi_views_open(const char *dir, struct log_views **out, yz_error *err);
/* Keeps what is not yet kept. NULL allowed. */
void yzi_views_close(struct log_views *v);
/* The view of this broker, made when new; valid until close. YZ_ECORRUPT (its file, with the line),
 * YZ_EIO, YZ_ENOMEM. */
YZ_MUST_USE int yzi_views_of(struct log_views *v, yz_node_id broker, struct log_view **out,
                             yz_error *err);

/* A *verified* checkpoint of it (yzi_receipt_verify, yzi_checkpoint_ref_verify). `from`: who showed
 * it ("receipt", or a node id), for the record. YZ_OK, also when there was no room for one more;
 * YZ_EEQUIVOCATION with a sentence when it contradicts one held of the same size (then it is
 * broken), or when the view is broken already. */
YZ_MUST_USE int yzi_view_note(struct log_view *v, uint64_t log, uint64_t size,
                              const yz_digest *root, const uint8_t key[32],
                              const uint8_t signature[64], const char *from, yz_error *err);
/* A proof the broker should be asked for now (at most one under way, at most one a second; an
 * answer that does not come in 10 s is given up): FETCH_CONSISTENCY's name. False: none. Also the
 * moment at which what changed is kept. */
#define CONSISTENCY_NAME_BYTES 24u
bool yzi_view_wants(struct log_view *v, uint64_t mono, uint8_t out_name[CONSISTENCY_NAME_BYTES]);
/* When to ask next, monotonic; UINT64_MAX: when something was noted. */
uint64_t yzi_view_deadline(const struct log_view *v);
/* The broker's answer to it (found false: it has no such tree). An answer to what was not asked is
 * ignored. YZ_OK; YZ_EEQUIVOCATION, with a sentence; YZ_ENOTFOUND, with a sentence, once, when a
 * broker has several times not proved what it signed. */
YZ_MUST_USE int yzi_view_proved(struct log_view *v, yz_bytes name, bool found, yz_bytes proof,
                                uint64_t mono, yz_error *err);
bool yzi_view_broken(const struct log_view *v);
/* Why, one sentence; empty when it is not broken. */
const char *yzi_view_reason(const struct log_view *v);
/* For the headers we sign: the newest consistent checkpoint; not present when there is none. Valid
 * until the next change. */
struct checkpoint_ref yzi_view_latest(const struct log_view *v);

#endif
