/* SPDX-License-Identifier: Apache-2.0
 *
 * The one ladder of verification that broker, adapter and consumer climb: a received frame becomes
 * a verified message step by step, cheapest first, and each step fails with the status the sender
 * is to hear. Any thread; nothing is kept but the caller's root memory.
 */
#ifndef YZ_KEYS_VERIFY_H
#define YZ_KEYS_VERIFY_H

#include "keys/directory.h"
#include "keys/seal.h"
#include "proto/header.h"

/* Why a message was not accepted: 0 status means it was. */
struct verdict {
    enum outcome_status status;
    const char *reason; /* machine-readable, static; docs/protocol.md, "Admission", lists all */
};

/* Where and as whom we judge. */
struct judge {
    const struct directory *directory;
    uint64_t now; /* wall ms */
    uint64_t skew_ms;
};

struct verified_request {
    struct frame frame;
    struct request_header header;
    struct directory_node consumer_node; /* views into the directory of the judge */
    yz_digest digest;                    /* message digest */
};
/* Step 1: header parses and is for this instance; the node named is a live client node; when `peer`
 * is not NULL (at a broker) it is that very node; it speaks for the consumer subsystem; issued and
 * expiry within the skew; the message id's time within the skew of issued_at; *header and *digest
 * are then usable for replay. Of a refused one *out holds what was found so far: frame and digest
 * always, the header if it parsed (else it is zero), so that the refusal can name the request. */
struct verdict yzi_request_admit(const struct judge *j, const struct frame *f,
                                 const struct directory_node *peer, struct verified_request *out);
/* Step 2, after the replay check: signature by a key of that node, payload length and digest. */
struct verdict yzi_request_verify(const struct judge *j, struct root_memory *memory,
                                  const struct verified_request *r);

struct verified_response {
    struct frame frame;
    struct response_header header;
    struct directory_node adapter_node;
    yz_digest digest;
};
/* A response to `request` (whose header and digest the caller holds): header parses, message id and
 * request digest match, the node is the adapter of the slot named, live, serving the service's
 * subsystem; signature; payload length and digest. `peer` as above (at a broker). YZ_E*:
 * YZ_EMALFORMED, YZ_ESIGNATURE, YZ_EUNKNOWNKEY, YZ_EDENIED (not a slot of the request),
 * YZ_EEXPIRED. */
YZ_MUST_USE int yzi_response_verify(const struct judge *j, struct root_memory *memory,
                                    const struct frame *f, const struct request_header *request,
                                    const yz_digest *request_digest,
                                    const struct directory_node *peer,
                                    struct verified_response *out);

struct verified_outcome {
    struct frame frame;
    struct outcome_header header;
    yz_digest digest;
};
/* An outcome for that request: signed by a live signing key of a live broker that the request
 * names, not from the future. Errors as yzi_response_verify. */
YZ_MUST_USE int yzi_outcome_verify(const struct judge *j, const struct frame *f,
                                   const struct request_header *request,
                                   const yz_digest *request_digest, struct verified_outcome *out);

/* An adapter's announcement: signed by its node's signing key, suite known, valid now. *out views
 * into the record; digest is of the record. YZ_ESIGNATURE, YZ_EUNKNOWNKEY, YZ_EEXPIRED,
 * YZ_EVERSION. */
YZ_MUST_USE int yzi_announcement_verify(const struct judge *j, yz_bytes record, struct arena *arena,
                                        struct announcement *out, yz_digest *out_digest);

#endif
