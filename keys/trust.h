/* SPDX-License-Identifier: Apache-2.0
 *
 * What one process believes, and what it must never forget: the anchor, the directory in force, its
 * freshness, and the highest versions ever seen, kept in the node's home so that an older directory
 * or freshness is refused across restarts too. An update is adopted whole or not at all.
 *
 * Files in `dir`: anchor (given), roots (the root statements followed since), directory.bundle (the
 * directory in force), statements (newer member sets), freshness, memory (the highest version, its
 * manifest and freshness seen). Written atomically and durably before the new state is used. A lock
 * file beside them lets several processes share the folder: none writes less than another has seen.
 *
 * Threads: changes from one thread; yzi_trust_directory and yzi_trust_state from any.
 */
#ifndef YZ_KEYS_TRUST_H
#define YZ_KEYS_TRUST_H

#include "base/clock.h"
#include "keys/directory.h"

struct trust;

struct trust_options {
    const char *anchor; /* path of the anchor: an armoured root statement, compared out of band */
    const char *dir;    /* created 0700 */
    const struct clock *clock;
    uint64_t warn_ms; /* freshness older than this: TRUST_AGING; 0: 10 min */
    uint64_t stop_ms; /* older than this: TRUST_EXPIRED; 0: 24 h */
};
/* Loads what was kept. A kept file that does not verify is YZ_ECORRUPT with its name: never
 * silently dropped. The anchor may be NULL or absent for a broker not yet given one: state
 * TRUST_NONE until yzi_trust_set_anchor. */
YZ_MUST_USE int yzi_trust_open(const struct trust_options *o, struct trust **out, yz_error *err);
void yzi_trust_close(struct trust *t);
/* Give the anchor (a raw root statement record). YZ_EEXIST when another one is set. */
YZ_MUST_USE int yzi_trust_set_anchor(struct trust *t, yz_bytes record, yz_error *err);

/* The directory in force with a reference for the caller; NULL when there is none. Any thread. */
const struct directory *yzi_trust_directory(struct trust *t);
#define TRUST_EXPIRED_TEXT 160
enum trust_state { TRUST_NONE, TRUST_FRESH, TRUST_AGING, TRUST_EXPIRED };
/* By the clock, now. Any thread. *out_age_ms (may be NULL) is the time since somebody entitled
 * signed that this version was the newest: the freshness key, or the operators when they issued it.
 * A clock that stands before the newest freshness by more than the skew is wrong, and nothing can
 * be judged by it: TRUST_EXPIRED. */
enum trust_state yzi_trust_state(struct trust *t, uint64_t *out_age_ms);
/* In words what is wrong with a directory that is TRUST_EXPIRED at this age: a clock that is behind
 * gives 0. */
void yzi_trust_expired_text(uint64_t age_ms, char out[TRUST_EXPIRED_TEXT]);
yz_bytes yzi_trust_freshness(struct trust *t); /* the record held for the version in force; empty
                                                  when none. Owner thread; valid until the next
                                                  change */

/* The transport key, valid now, that the root statement trusted (the directory's, else the anchor)
 * gives this broker. YZ_ENOTFOUND with a sentence when it names no such broker or key. */
YZ_MUST_USE int yzi_trust_broker_key(struct trust *t, yz_node_id broker, uint8_t out[32],
                                     yz_error *err);

/* -- following a peer -- */
/* A manifest the peer offered. YZ_OK: *out_missing digests of chunks not held (arena), possibly
 * none; YZ_EEXIST: already in force; YZ_EROLLBACK: older than seen, or another one signed for the
 * same version (an alarm, which err says); YZ_ESIGNATURE ... The manifest is remembered as pending.
 * When it names a newer root statement, only the chunk that holds that is missing at first: nothing
 * else is fetched for a manifest nobody could verify yet. Ask yzi_trust_missing after each chunk.
 */
YZ_MUST_USE int yzi_trust_offer_manifest(struct trust *t, yz_bytes manifest_record,
                                         struct arena *arena, yz_digest **out_missing,
                                         size_t *out_n, yz_error *err);
/* Did the operators whom the root statement in force names sign this manifest? False also when a
 * newer root statement, which it says there is, would have to tell. */
bool yzi_trust_can_judge(struct trust *t, yz_bytes manifest_record);
/* A chunk of the pending manifest, known by its digest. YZ_ENOTFOUND when no chunk of that digest
 * is wanted; YZ_ESIGNATURE, YZ_EROLLBACK when it shows the pending manifest to be false, which is
 * then forgotten. *out_remaining counts what is still missing. */
YZ_MUST_USE int yzi_trust_put_chunk(struct trust *t, yz_bytes chunk, size_t *out_remaining);
/* The digests still missing for the pending manifest (arena); none when nothing is pending. */
YZ_MUST_USE int yzi_trust_missing(struct trust *t, struct arena *arena, yz_digest **out,
                                  size_t *out_n);
/* All chunks are here: verify, persist, put in force. Member sets newer than the published ones
 * stay in force, also those the version before had published. YZ_EAGAIN when chunks are missing,
 * YZ_ENOTFOUND when nothing is pending; yzi_directory_verify's, after which it is forgotten. */
YZ_MUST_USE int yzi_trust_adopt(struct trust *t, yz_error *err);
/* A whole bundle at once (administration socket, files). YZ_EUNAVAILABLE without an anchor,
 * YZ_EEXIST when it is in force, YZ_EROLLBACK, yzi_directory_verify's. */
YZ_MUST_USE int yzi_trust_put_bundle(struct trust *t, yz_bytes bundle, yz_error *err);
/* A freshness record: signed by the root statement's freshness key, for the version in force (a
 * newer version: YZ_EAGAIN, fetch the directory first), not older than any held (YZ_EROLLBACK;
 * also of an older version), not the one held (YZ_EEXIST), not from the future beyond the skew
 * (YZ_EEXPIRED), the key not revoked (YZ_EUNKNOWNKEY). */
YZ_MUST_USE int yzi_trust_put_freshness(struct trust *t, yz_bytes record, yz_error *err);
/* A newer member set signed by its member. Errors as yzi_directory_overlay, and YZ_EUNAVAILABLE
 * without a directory; persisted on success. */
YZ_MUST_USE int yzi_trust_put_member_set(struct trust *t, yz_bytes record, yz_error *err);
/* How often, since it was opened, a directory published another member set under the version of one
 * held (the published one wins; whoever has the member's key signed both): an alarm. Any thread. */
uint64_t yzi_trust_conflicts(const struct trust *t);

#endif
