/* SPDX-License-Identifier: Apache-2.0
 *
 * What the owner decided: per subsystem its offer (services, coarse grants) and its terms (fine
 * grants), which belong together by the terms' digest in the owner-signed offer. A policy in force
 * is immutable and reference counted, so that a worker answers from one policy to the end while the
 * next is already in force. The book is the link thread's.
 *
 * Kept in `dir`, a file <subsystem>.policy each holding both records; what was kept is taken into
 * force as soon as there is a directory to verify it by.
 */
#ifndef YZ_ADAPTERS_POLICY_H
#define YZ_ADAPTERS_POLICY_H

#include "keys/offers.h"

struct policy {
    const struct held_offer *offer;
    struct terms terms;
    yz_buf terms_record;
    struct arena arena;
    _Atomic unsigned references;
};
void yzi_policy_ref(struct policy *p);
void yzi_policy_unref(struct policy *p); /* NULL allowed */

struct policies;
YZ_MUST_USE int yzi_policies_open(const char *dir, struct policies **out, yz_error *err);
void yzi_policies_close(struct policies *p);
/* Take an offer with its terms into force, keep them on disk first. YZ_EEXIST (in force already),
 * YZ_EROLLBACK (older, or the same version with other bytes), YZ_ESIGNATURE (owner's signature, or
 * terms that are not the offer's), YZ_EUNKNOWNKEY, YZ_EDENIED (a subsystem this node does not
 * serve), YZ_EIO, YZ_EDISKFULL. */
YZ_MUST_USE int yzi_policies_put(struct policies *p, const struct directory *d,
                                 const struct directory_node *self, yz_bytes offer, yz_bytes terms,
                                 uint64_t now, yz_error *err);
/* Take what was kept into force. YZ_ECORRUPT, with the file's name, when something kept no longer
 * verifies; the others are in force all the same. */
YZ_MUST_USE int yzi_policies_load(struct policies *p, const struct directory *d,
                                  const struct directory_node *self, uint64_t now, yz_error *err);
/* Withdraw those the owner or its member no longer stands by: key run out or revoked, subsystem
 * gone, or not this node's to serve. How many. What was kept stays, and counts again if the
 * directory of another day says so (yzi_policies_load). */
size_t yzi_policies_recheck(struct policies *p, const struct directory *d,
                            const struct directory_node *self, uint64_t now);
/* An offer that somebody else has, whoever that is: newer and signed by its owner, it puts ours out
 * of force until it is given with its terms. So an adapter whose state was restored from a backup
 * does not serve by what its owner took back. YZ_OK: ours is out of force now; YZ_EEXIST: nothing
 * changed (there is none of that subsystem, or it is not newer); YZ_ENOMEM and yzi_offer_open's.
 * `subsystem`: its name, unless that failed. */
YZ_MUST_USE int yzi_policies_heard(struct policies *p, const struct directory *d, yz_bytes offer,
                                   uint64_t now, char subsystem[YZ_ID_MAX + 1]);
/* The subsystems of all that are held, those out of force too; stops at an error, which it returns.
 */
YZ_MUST_USE int yzi_policies_each(const struct policies *p,
                                  int (*visit)(void *ctx, yz_subsystem_id id), void *ctx);
/* The one in force; borrowed until the book changes; NULL when there is none. */
struct policy *yzi_policies_get(const struct policies *p, yz_subsystem_id subsystem);
/* Append the raw offers in force, what brokers are given, from the *at-th on: at most `most`, and
 * as many as fit; *at: the one after them, 0 when there is none. YZ_ENOMEM, and *at stays. */
YZ_MUST_USE int yzi_policies_offers(const struct policies *p, size_t *at, unsigned most,
                                    yz_buf *out);

#endif
