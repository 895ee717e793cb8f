/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing (docs/protocol.md, "Sealing"): the payload under a fresh content key with
 * XChaCha20-Poly1305 (all-zero nonce: the key is used once), the content key wrapped for each
 * recipient under a pair key that both ends derive from their epoch keys and cache, so that the
 * public-key work is once per pair and epoch.
 *
 * Nothing here checks signatures: never open what was not verified first.
 */
#ifndef YZ_KEYS_SEAL_H
#define YZ_KEYS_SEAL_H

#include "base/clock.h"
#include "base/uuid.h"
#include "keys/keyfile.h"
#include "proto/id.h"
#include "proto/record.h"
#include "proto/status.h"

enum seal_direction { SEAL_REQUEST = 1, SEAL_RESPONSE = 2 };

/* What a pair key is bound to. */
struct seal_pair {
    uint32_t suite;
    yz_node_id consumer, adapter;
    uint8_t consumer_epoch[32], adapter_epoch[32];
    yz_digest announcement; /* of the adapter's epoch */
};
/* BLAKE2b-256 keyed by X25519(my secret, peer's public) over label, suite, direction, both node
 * ids, both epoch keys and the announcement digest. `mine` (KEY_SEALING) must be one of the two
 * epochs. YZ_ESIGNATURE on a zero shared secret, YZ_EINVAL. */
YZ_MUST_USE int yzi_seal_pair_key(struct key_pair *mine, const struct seal_pair *pair,
                                  enum seal_direction direction, uint8_t out[32]);

/* Pair keys remembered in locked memory; the least recently used goes when full. `expires_at` (wall
 * ms; the first one given for a pair counts) bounds a key's life: yzi_seal_cache_expire wipes those
 * with expires_at <= now. One thread at a time. */
struct seal_cache;
YZ_MUST_USE int yzi_seal_cache_new(size_t capacity, struct seal_cache **out);
void yzi_seal_cache_free(struct seal_cache *c);
/* The pair key, derived on a miss; valid until the next call on this cache. Errors of
 * yzi_seal_pair_key, also on a hit, and YZ_ENOMEM. */
YZ_MUST_USE int yzi_seal_cache_get(struct seal_cache *c, struct key_pair *mine,
                                   const struct seal_pair *pair, enum seal_direction direction,
                                   uint64_t expires_at, const uint8_t **out);
void yzi_seal_cache_expire(struct seal_cache *c, uint64_t now);
size_t yzi_seal_cache_count(const struct seal_cache *c);

/* What payload and wraps are bound to besides the key (associated data). */
struct seal_context {
    enum frame_kind kind;
    uint32_t suite;
    yz_uuid message_id;
    yz_node_id sender;
    yz_service_id service;
    uint64_t expires_at;
};
/* -- payload and wraps -- any thread. All: YZ_EVERSION (suite), YZ_EINVAL (a kind that carries no
 * payload, an id that is empty or too long). Nothing sealed may lie in the buffer it is put into.
 */

/* Append ciphertext ‖ tag. The content key must be fresh: it seals one payload. YZ_ELIMIT,
 * YZ_ENOMEM. */
YZ_MUST_USE int yzi_seal_payload(const uint8_t content_key[32], const struct seal_context *c,
                                 yz_bytes plaintext, yz_buf *out);
/* Append the plaintext; wipe the buffer afterwards (yzi_buf_wipe). YZ_ESIGNATURE. */
YZ_MUST_USE int yzi_open_payload(const uint8_t content_key[32], const struct seal_context *c,
                                 yz_bytes sealed, yz_buf *out);
YZ_MUST_USE int yzi_wrap_key(const uint8_t pair_key[32], const struct seal_context *c,
                             yz_node_id recipient, const uint8_t content_key[32],
                             uint8_t out[YZ_WRAPPED_KEY_BYTES]);
/* The same under a nonce of the caller's: for test vectors, and for nothing else. */
YZ_MUST_USE int yzi_wrap_key_with_nonce(const uint8_t pair_key[32], const struct seal_context *c,
                                        yz_node_id recipient, const uint8_t content_key[32],
                                        const uint8_t nonce[24], uint8_t out[YZ_WRAPPED_KEY_BYTES]);
/* The content key, for the caller to wipe. YZ_ESIGNATURE. */
YZ_MUST_USE int yzi_unwrap_key(const uint8_t pair_key[32], const struct seal_context *c,
                               yz_node_id recipient, yz_bytes wrapped, uint8_t out_content_key[32]);

/* An adapter's epochs: the current one and those something may still be sealed to. Announced as
 * signed records, sequence rising (a start begins at wall time, so it rises across restarts too),
 * valid for EPOCH_LIFE_MS of which the first YZ_SKEW_MS are already over, so that no peer's clock
 * makes them wait. Wiped when not_after + YZ_EXPIRY_MAX_MS + YZ_SKEW_MS is past by the wall clock,
 * or as long after they were made by the monotonic one: a clock set back prolongs no key's life.
 * One thread at a time. */
#define EPOCH_LIFE_MS (24u * 3600u * 1000u)
struct epoch {
    struct key_pair key;
    struct announcement announcement; /* node view owned by the epochs object */
    yz_digest digest;                 /* of the record */
    yz_buf record;
    uint64_t born; /* monotonic ms */
};
/* Wall time after which nothing sealed to the epoch can be valid: a pair key's expires_at. */
uint64_t yzi_epoch_wipe_at(const struct announcement *a);
struct epochs;
/* `signing` (KEY_SIGNING) and the clock must outlive it; the node id is copied. YZ_EINVAL,
 * YZ_ENOMEM. */
YZ_MUST_USE int yzi_epochs_new(yz_node_id node, struct key_pair *signing, const struct clock *clock,
                               struct epochs **out);
void yzi_epochs_free(struct epochs *e);
/* The epoch to announce, valid until the next call; makes a new one when half its life is over, or
 * when the wall clock went back to before it (*out_is_new, may be NULL). Errors as yzi_record_sign
 * and YZ_ENOMEM. */
YZ_MUST_USE int yzi_epochs_current(struct epochs *e, struct epoch **out, bool *out_is_new);
/* The live epoch a request was sealed to; YZ_ESTALEKEY when gone. Valid until the next call. */
YZ_MUST_USE int yzi_epochs_find(struct epochs *e, const yz_digest *announcement,
                                struct epoch **out);

#endif
