/* SPDX-License-Identifier: Apache-2.0
 *
 * The offers a node holds: one per subsystem, signed by its owner key, the higher version wins, the
 * same version with other bytes is an alarm. Brokers decide the coarse half of a grant here.
 * A held offer is immutable and reference counted; the book belongs to one thread.
 */
#ifndef YZ_KEYS_OFFERS_H
#define YZ_KEYS_OFFERS_H

#include "keys/directory.h"

struct held_offer {
    struct offer offer;
    yz_digest digest; /* of the record */
    yz_bytes raw;
};
void yzi_offer_ref(const struct held_offer *o);
void yzi_offer_unref(const struct held_offer *o);
/* Parse and verify one offer record against the directory; the bytes are copied. One reference for
 * the caller. YZ_ESIGNATURE, YZ_EEXPIRED (by an owner key outside its validity), YZ_EUNKNOWNKEY (no
 * such subsystem, or signed by a revoked key), YZ_EMALFORMED and the parser's. */
YZ_MUST_USE int yzi_offer_open(yz_bytes record, const struct directory *d, uint64_t now,
                               const struct held_offer **out, yz_error *err);
/* Whether its owner stands by it in `d`, by one of the keys that signed it when it was opened. No
 * public-key work. YZ_EEXPIRED (they only ran out), YZ_EUNKNOWNKEY (revoked or listed no more),
 * YZ_ENOTFOUND (the subsystem is gone). */
YZ_MUST_USE int yzi_offer_stands(const struct held_offer *o, const struct directory *d,
                                 uint64_t now);
/* Whether `fresh` may take the place of `held` (NULL: of nothing), an offer of the same subsystem.
 * What the owner said before binds it, but not what was said with a key the owner took back: else a
 * thief's high number could never be surpassed. YZ_EEXIST (the same body is held, whoever signed
 * it), YZ_EROLLBACK (older, or the same version with another body: then err says so, an alarm). */
YZ_MUST_USE int yzi_offer_may_follow(const struct held_offer *fresh, const struct held_offer *held,
                                     const struct directory *d, uint64_t now, yz_error *err);

struct offers;
YZ_MUST_USE int yzi_offers_new(struct offers **out);
void yzi_offers_free(struct offers *o);
/* What offers may take of memory in all, and those of one member; 0: no limit. One that was
 * replaced counts until nobody refers to it; a new version needs room for what it takes more than
 * the one it replaces, so that one replaced version at most is beyond the limit. */
void yzi_offers_set_limits(struct offers *o, size_t bytes, size_t bytes_per_member);
size_t yzi_offers_bytes(const struct offers *o);
/* Verify and keep. YZ_ELIMIT (no room), YZ_EEXIST (the same bytes are held), YZ_EROLLBACK (older,
 * or the same version with other bytes: then err says so, an alarm), and yzi_offer_open's. */
YZ_MUST_USE int yzi_offers_put(struct offers *o, yz_bytes record, const struct directory *d,
                               uint64_t now, yz_error *err);
/* Borrowed until the book changes; NULL when there is none. */
const struct held_offer *yzi_offers_get(const struct offers *o, yz_subsystem_id subsystem);
YZ_MUST_USE int yzi_offers_each(const struct offers *o,
                                int (*visit)(void *ctx, const struct held_offer *offer), void *ctx);
/* Let go of the offers of subsystems the directory does not have: else a member that renames its
 * subsystems again and again would fill the book. */
void yzi_offers_prune(struct offers *o, const struct directory *d);
/* Append the raw offers of the subsystems after `after` in bytewise order (empty: all), whole ones,
 * until `page` bytes were appended or more, or none is left: at most `page` and one record.
 * YZ_ELIMIT (out is full; it is unchanged then), YZ_ENOMEM. */
YZ_MUST_USE int yzi_offers_page(const struct offers *o, yz_bytes after, size_t page, yz_buf *out);
size_t yzi_offers_count(const struct offers *o);

struct coarse_decision {
    enum outcome_status status;     /* 0: may call; OUTCOME_UNKNOWN_SERVICE or OUTCOME_DENIED */
    const char *reason;             /* "no-such-service", "no-grant", "not-valid-yet", "expired" */
    const struct held_offer *offer; /* borrowed */
    const struct offered_service *service;
    const struct coarse_grant *grant; /* the one that allowed or ran out; NULL when none fits */
    bool strict;                      /* any grant that allows it says so */
};
/* The coarse half: may this consumer subsystem call this service now, by the owner's offer, the
 * owner's key still being valid in `d`. An offer held from before its owner key was revoked counts
 * as none. Pure. */
void yzi_offers_may_call(const struct offers *o, const struct directory *d,
                         yz_subsystem_id consumer, yz_service_id service, uint64_t now,
                         struct coarse_decision *out);
/* Append the text of the rule that decided, for outcomes and logs: "CN/GOV/MCA/civil@7#grant-id",
 * without "#…" when no grant fits, nothing when there is no offer. */
YZ_MUST_USE int yzi_coarse_rule(const struct coarse_decision *c, yz_buf *out);

#endif
