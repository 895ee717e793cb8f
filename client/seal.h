/* SPDX-License-Identifier: Apache-2.0
 *
 * The consumer's half of sealing: its own sealing key, which lives in memory only and for a day at
 * most, the pair keys made with it, and with them requests out of asks and plaintexts out of
 * verified responses. One thread (the engine's).
 */
#ifndef YZ_CLIENT_SEAL_H
#define YZ_CLIENT_SEAL_H

#include "client/request.h"
#include "client/services.h"
#include "keys/seal.h"
#include "proto/payload.h"

/* No own sealing key is older: a request made at its last moment is answered, or expired, before
 * EPOCH_LIFE_MS are over. */
#define OWN_EPOCH_MS (EPOCH_LIFE_MS - YZ_EXPIRY_MAX_MS - YZ_SKEW_MS)

struct own_epoch;
/* Who we are, and with what we sign. The keys and ids are borrowed. */
struct sealer_options {
    yz_node_id node;
    yz_subsystem_id subsystem;
    yz_node_id brokers[YZ_BROKERS_MAX];
    unsigned brokers_n;
    struct key_pair *signing; /* held */
    const struct clock *clock;
    size_t message_max;
    bool keeps_plain; /* envelopes hold on to their plaintext */
};
struct sealer;
/* What was last seen of the log of broker i, for the headers made from now on; copied. */
void yzi_sealer_saw(struct sealer *s, unsigned i, const struct checkpoint_ref *seen);
YZ_MUST_USE int yzi_sealer_new(const struct sealer_options *o, struct sealer **out);
void yzi_sealer_free(struct sealer *s); /* all envelopes are finished before */

/* A message made, and what is needed to understand its answer. */
struct envelope {
    yz_buf frame; /* the identical bytes of every attempt */
    yz_buf plain; /* what it commits to, salt first, without padding, where it is to be kept */
    struct request_header header; /* views into `frame` */
    yz_digest digest;
    uint8_t slot_epochs[YZ_SLOTS_MAX][32];
    uint64_t slot_ends[YZ_SLOTS_MAX];
    struct own_epoch *epoch;
};
/* Make the message of an ask: sealed to the service's providers (one, when the service
 * writes, and the one that gave the cursor, where there is one),
 * signed, good for life_ms from now. The conversation id is taken, or made when it is all zero.
 * YZ_EUNAVAILABLE (no provider's announcement is valid now, or not that one's), YZ_ETOOBIG,
 * YZ_ENOMEM, and those of keys/seal.h and keys/sign.h. */
YZ_MUST_USE int yzi_envelope_make(struct sealer *s, const struct ask *ask, const struct service *to,
                                  uint64_t directory_version, uint32_t life_ms,
                                  yz_uuid *conversation, struct envelope *out);
/* Wipes; the sealing key of the message goes with its last envelope when it is no longer ours. */
void yzi_envelope_fini(struct sealer *s, struct envelope *e); /* accepts a zeroed one */

/* Open the payload of a response that was verified against this envelope: unwrap, decrypt, parse,
 * and check the content commitment. *out views into *out_text, which the caller wipes.
 * YZ_ESIGNATURE (seal or commitment), YZ_EMALFORMED, YZ_ENOMEM; err says which. */
YZ_MUST_USE int yzi_envelope_open(struct sealer *s, const struct envelope *e,
                                  const struct response_header *h, yz_bytes sealed,
                                  yz_buf *out_text, struct plain *out, yz_error *err);

#endif
