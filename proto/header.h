/* SPDX-License-Identifier: Apache-2.0
 *
 * The headers of signed messages as domain structs whose invariants hold once parsed: every id is
 * canonical, every digest has its length, counts are within limits, times are ordered
 * (issued_at < expires_at, difference <= YZ_EXPIRY_MAX_MS). Views point into the header bytes given
 * to the parser. Whether to believe them is for keys/. Errors of the parsers: YZ_EMALFORMED,
 * YZ_EVERSION (suite), YZ_ETOOBIG. The writers refuse what the parsers would: YZ_EINVAL instead of
 * YZ_EMALFORMED; also YZ_ELIMIT, YZ_ENOMEM (of the buffer). Any thread; the parsers do not
 * allocate.
 */
#ifndef YZ_PROTO_HEADER_H
#define YZ_PROTO_HEADER_H

#include "base/uuid.h"
#include "proto/id.h"
#include "proto/status.h"

struct checkpoint_ref {
    bool present;
    uint64_t log, size; /* the log: when it was opened, Unix ms */
    yz_digest root;
    yz_bytes signature; /* 64, by the log key; for the receiver to verify */
};

/* A checkpoint as it stands in a hello, exactly YZ_SEEN_BYTES. YZ_EMALFORMED. */
YZ_MUST_USE int yzi_seen_parse(yz_bytes bytes, struct checkpoint_ref *out);
void yzi_seen_write(const struct checkpoint_ref *c, uint8_t out[YZ_SEEN_BYTES]);

struct broker_ref {
    yz_node_id node; /* a broker id */
    struct checkpoint_ref checkpoint;
};

struct slot {
    yz_node_id adapter; /* not a broker id */
    yz_digest announcement;
    yz_bytes wrapped_key; /* YZ_WRAPPED_KEY_BYTES */
};

struct request_header {
    uint32_t suite;
    yz_uuid message_id, conversation_id;
    yz_node_id node;
    yz_subsystem_id consumer; /* of the same member as node */
    yz_service_id service;
    struct broker_ref brokers[YZ_BROKERS_MAX]; /* distinct */
    unsigned brokers_n;
    uint64_t issued_at, expires_at;
    yz_bytes purpose; /* may be empty */
    uint64_t directory_version;
    uint8_t epoch_key[32];
    struct slot slots[YZ_SLOTS_MAX]; /* distinct adapters */
    unsigned slots_n;
    uint32_t sealed_length;
    yz_digest sealed_digest;
    yz_digest content_commitment;
    yz_bytes trace; /* empty or YZ_TRACE_BYTES */
};

struct response_header {
    uint32_t suite;
    yz_uuid message_id;
    yz_digest request_digest;
    yz_node_id node;
    uint32_t slot; /* < YZ_SLOTS_MAX */
    enum response_status status;
    uint64_t policy_version, data_version;
    uint64_t issued_at, expires_at;
    uint64_t directory_version;
    bool has_broker;
    struct broker_ref broker;
    /* absent (empty, 0) exactly when status is RESPONSE_STALE_KEY */
    yz_bytes wrapped_key;
    uint32_t sealed_length;
    yz_digest sealed_digest, content_commitment;
    yz_bytes trace;
    yz_bytes announcement; /* only with RESPONSE_STALE_KEY; a record, unverified */
};

struct outcome_header {
    yz_uuid message_id;
    yz_digest request_digest;
    yz_node_id node; /* a broker id */
    enum outcome_status status;
    yz_bytes reason; /* may be empty; [a-z0-9-] */
    uint64_t directory_version;
    yz_bytes rule; /* may be empty */
    uint32_t retry_after_ms;
    uint64_t issued_at;
};

struct hop {
    bool has_time_left;
    uint32_t time_left_ms;
    yz_bytes receipt; /* may be empty; evidence/receipt.h */
};

YZ_MUST_USE int yzi_request_header_parse(yz_bytes header, struct request_header *out);
YZ_MUST_USE int yzi_request_header_write(const struct request_header *h, yz_buf *out);
YZ_MUST_USE int yzi_response_header_parse(yz_bytes header, struct response_header *out);
YZ_MUST_USE int yzi_response_header_write(const struct response_header *h, yz_buf *out);
YZ_MUST_USE int yzi_outcome_header_parse(yz_bytes header, struct outcome_header *out);
YZ_MUST_USE int yzi_outcome_header_write(const struct outcome_header *h, yz_buf *out);
YZ_MUST_USE int yzi_hop_parse(yz_bytes hop, struct hop *out); /* empty bytes: empty hop */
YZ_MUST_USE int yzi_hop_write(const struct hop *h, yz_buf *out);

/* Enough of a request that does not parse to answer it: its message id, when that much is there. */
bool yzi_request_header_peek_id(yz_bytes header, yz_uuid *out);
/* The service it names, as it stands there: a view, no identifier yet. */
bool yzi_request_header_peek_service(yz_bytes header, yz_bytes *out);

#endif
