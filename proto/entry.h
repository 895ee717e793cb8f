/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries of the evidence log (docs/protocol.md, "Evidence"): what the leaves of a broker's tree
 * are, and the bodies that lie beside them. An entry is "yz1" ‖ type u8 ‖ broker time u64 ‖
 * SHA-256(body) 32. The body of a request, response or outcome is u16 header length ‖ header ‖
 * signature block, so that its digest is the message digest; that of a directory or revocation
 * entry is the record; the others have messages of proto/evidence.proto. Any thread; views point
 * into the bytes given. Errors: YZ_EMALFORMED; writers as everywhere in proto/: what the parser
 * would refuse is YZ_EINVAL; also YZ_ELIMIT, YZ_ENOMEM.
 */
#ifndef YZ_PROTO_ENTRY_H
#define YZ_PROTO_ENTRY_H

#include "base/bytes.h"
#include "proto/frame.h"
#include "proto/id.h"
#include "proto/status.h"

#define YZ_ENTRY_BYTES 44u

enum entry_type {
    ENTRY_REQUEST = 1,
    ENTRY_RESPONSE = 2,
    ENTRY_OUTCOME = 3,
    ENTRY_REFUSALS = 4,   /* of one peer within one second, aggregated */
    ENTRY_DIRECTORY = 5,  /* a manifest came into force */
    ENTRY_REVOCATION = 6, /* a revocation came into force with it */
    ENTRY_PRUNING = 7,    /* the bodies below an index were let go */
    ENTRY_CLOSING = 8,    /* the last one of a log */
    ENTRY_OPENING = 9 /* the first one of a log, and, later, another checkpoint of the log before
                         it that a peer showed */
};
struct entry {
    enum entry_type type;
    uint64_t time; /* the broker's, Unix ms; never falls within a log */
    yz_digest digest;
};
/* Exactly YZ_ENTRY_BYTES of a known type. */
YZ_MUST_USE int yzi_entry_parse(yz_bytes bytes, struct entry *out);
void yzi_entry_write(const struct entry *e, uint8_t out[YZ_ENTRY_BYTES]);
bool yzi_entry_type_is_known(unsigned v);
const char *yzi_entry_type_name(unsigned v); /* "request"; "?" for an unknown number */
/* The digest of a body that is at hand: SHA-256. */
void yzi_entry_digest(yz_bytes body, yz_digest *out);

/* -- bodies -- */

/* Of a request, response or outcome: what of the message is kept, appended. YZ_EINVAL (a section
 * beyond its limit). */
YZ_MUST_USE int yzi_entry_message_write(yz_bytes header, yz_bytes block, yz_buf *out);
/* The two parts again; they are for the parsers of header and block. */
YZ_MUST_USE int yzi_entry_message_parse(yz_bytes body, yz_bytes *out_header, yz_bytes *out_block);

#define YZ_REFUSALS_MAX 16u
struct refusals {
    yz_node_id node;      /* the peer */
    uint64_t from, until; /* ms; from <= until */
    struct {
        enum outcome_status status;
        uint32_t count; /* not 0 */
    } counts[YZ_REFUSALS_MAX];
    unsigned counts_n; /* at least 1; by rising status */
};
YZ_MUST_USE int yzi_refusals_parse(yz_bytes body, struct refusals *out);
YZ_MUST_USE int yzi_refusals_write(const struct refusals *r, yz_buf *out);

struct pruning {
    uint64_t below; /* entries with a smaller index have no body from now on; not 0 */
};
YZ_MUST_USE int yzi_pruning_parse(yz_bytes body, struct pruning *out);
YZ_MUST_USE int yzi_pruning_write(const struct pruning *p, yz_buf *out);

/* Closing: of this log, without the closing entry; opening: of the log before it. */
struct log_end {
    uint64_t log, size; /* log 0: there was none; then size and root are 0, signature is empty */
    yz_digest root;
    yz_bytes signature; /* 64: of that log's checkpoint */
    yz_bytes reason;    /* a word: "first", "restored", "closed", "peer" */
};
YZ_MUST_USE int yzi_log_end_parse(yz_bytes body, struct log_end *out);
YZ_MUST_USE int yzi_log_end_write(const struct log_end *e, yz_buf *out);

#endif
