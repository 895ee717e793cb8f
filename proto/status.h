/* SPDX-License-Identifier: Apache-2.0
 *
 * Every number the protocol gives a meaning to, with its stable text. Numbers are frozen; 0 is
 * never used on the wire, so that a missing value cannot pass for one.
 */
#ifndef YZ_PROTO_STATUS_H
#define YZ_PROTO_STATUS_H

#include "base/error.h"

enum frame_kind {
    FRAME_REQUEST = 1,
    FRAME_RESPONSE = 2,
    FRAME_OUTCOME = 3,
    FRAME_HELLO = 16,
    FRAME_WELCOME = 17,
    FRAME_HEARTBEAT = 18,
    FRAME_FETCH = 19,
    FRAME_OBJECT = 20,
    FRAME_PUT = 21,
    FRAME_PUT_RESULT = 22,
    FRAME_REJECT = 23,
    FRAME_BYE = 24,
    FRAME_RECEIPT = 25,
    FRAME_ADMIN_REQUEST = 32,
    FRAME_ADMIN_REPLY = 33
};

enum suite {
    SUITE_1 = 1 /* Ed25519, X25519, XChaCha20-Poly1305, BLAKE2b-256, SHA-256 */
};

enum response_status {
    RESPONSE_ANSWERED = 1,
    RESPONSE_REFUSED = 2,
    RESPONSE_FAILED = 3,
    RESPONSE_INDETERMINATE = 4,
    RESPONSE_STALE_KEY = 5
};

enum outcome_status {
    OUTCOME_DENIED = 1,
    OUTCOME_UNKNOWN_SERVICE = 2,
    OUTCOME_BUSY = 3,
    OUTCOME_UNAVAILABLE = 4,
    OUTCOME_TIMEOUT = 5,
    OUTCOME_EXPIRED = 6, /* also issued in the future beyond the skew: reason "not-yet" */
    OUTCOME_REPLAYED = 7,
    OUTCOME_ID_CONFLICT = 8,
    OUTCOME_MALFORMED = 9,
    OUTCOME_BAD_SIGNATURE = 10,
    OUTCOME_WRONG_SENDER = 11,
    OUTCOME_TOO_LARGE = 12,
    OUTCOME_STALE_DIRECTORY = 13 /* the broker's own directory is too old to judge */
};

/* With "busy": the answer is there, and the broker's queue to who asked has no room for it. */
#define YZ_REASON_CONSUMER_QUEUE "consumer-queue"

enum answer_code {
    ANSWER_OK = 1,
    ANSWER_DENIED = 2,      /* reason: no-grant, operation, field, purpose, not-valid-yet, ... */
    ANSWER_BAD_QUERY = 3,   /* reason: unknown-field, bad-key, bad-value, too-many-keys, ... */
    ANSWER_UNSUPPORTED = 4, /* valid, but not served here */
    ANSWER_TOO_LARGE = 5,   /* the answer would exceed a limit */
    ANSWER_FAILED = 6       /* the provider's own fault */
};

enum node_role { ROLE_BROKER = 1, ROLE_ADAPTER = 2, ROLE_CLIENT = 3 };

enum plain_type { PLAIN_QUERY = 1, PLAIN_HTTP = 2, PLAIN_ANSWER = 3, PLAIN_HTTP_ANSWER = 4 };

enum query_operation {
    QUERY_GET = 1,
    QUERY_FIND = 2,
    QUERY_COUNT = 3,
    QUERY_MATCH = 4,
    QUERY_INSERT = 5, /* rows whose records must not exist */
    QUERY_PUT = 6,    /* rows: named fields are set, others of an existing record stay */
    QUERY_DELETE = 7  /* by keys */
};
#define QUERY_OPERATION_LAST QUERY_DELETE
/* Whether it changes data: only services declared `write` serve these. */
static inline bool yzi_operation_writes(enum query_operation o)
{
    return o >= QUERY_INSERT && o <= QUERY_DELETE;
}
/* Whether it brings rows in the request's body. */
static inline bool yzi_operation_brings_rows(enum query_operation o)
{
    return o == QUERY_INSERT || o == QUERY_PUT;
}
enum query_op { OP_EQ = 1, OP_IN = 2, OP_PREFIX = 3, OP_GE = 4, OP_GT = 5, OP_LE = 6, OP_LT = 7 };
enum match_result { MATCH_YES = 1, MATCH_NO = 2, MATCH_UNKNOWN = 3 };

enum field_type {
    FIELD_TEXT = 1,
    FIELD_INTEGER = 2, /* signed 64-bit; canonical decimal */
    FIELD_DECIMAL = 3, /* exact; canonical: no exponent, no needless zeros, "-0" is "0" */
    FIELD_DATE = 4,    /* YYYY-MM-DD */
    FIELD_TIME = 5,    /* RFC 3339 UTC */
    FIELD_BOOLEAN = 6, /* true / false */
    FIELD_CODE = 7,    /* one of a list */
    FIELD_BYTES = 8    /* base64 in JSON and CSV */
};
enum field_mask {
    MASK_NONE = 0, /* never on the wire */
    MASK_HIDE = 1,
    MASK_LAST4 = 2,
    MASK_YEAR = 3,
    MASK_INITIAL = 4,
    MASK_HASH = 5
};
enum classification { CLASS_PUBLIC = 1, CLASS_INTERNAL = 2, CLASS_SENSITIVE = 3, CLASS_SECRET = 4 };
enum sharing { SHARING_UNCONDITIONAL = 1, SHARING_CONDITIONAL = 2, SHARING_WITHHELD = 3 };
enum service_mode { SERVICE_READ = 1, SERVICE_WRITE = 2 };

enum fetch_what {
    FETCH_MANIFEST = 1,  /* no name; object: the manifest record, then the freshness record */
    FETCH_CHUNK = 2,     /* name: digest; object: the chunk */
    FETCH_FRESHNESS = 3, /* no name; object: the freshness record */
    FETCH_SERVICE =
        4,           /* name: service id; object: offer, then announcements of its live adapters */
    FETCH_OFFER = 5, /* name: subsystem id; object: the offer record */
    FETCH_STATEMENTS = 6, /* none or a member; object: newer member sets of those after it */
    FETCH_CATALOGUE = 7,  /* none or a subsystem; object: offers of those after it, a page */
    FETCH_CONSISTENCY =
        8, /* name: log, smaller and larger size, u64 each; object: the proof's hashes */
    FETCH_RECEIPT =
        9 /* name: message id, message digest of the answer; object: the receipt of both */
};

/* The stable lower-case text with hyphens ("unknown-service"); "?" for an unknown number. */
const char *yzi_frame_kind_name(unsigned v);
const char *yzi_response_status_name(unsigned v);
const char *yzi_outcome_status_name(unsigned v);
const char *yzi_answer_code_name(unsigned v);
const char *yzi_role_name(unsigned v);
const char *yzi_operation_name(unsigned v);
const char *yzi_op_name(unsigned v);
const char *yzi_field_type_name(unsigned v);
const char *yzi_mask_name(unsigned v);
const char *yzi_classification_name(unsigned v);
const char *yzi_sharing_name(unsigned v);
const char *yzi_mode_name(unsigned v);
const char *yzi_match_name(unsigned v);

/* The reverse of the _name functions above, for files and command lines: YZ_EINVAL. */
YZ_MUST_USE int yzi_role_parse(const char *s, unsigned *out);
YZ_MUST_USE int yzi_operation_parse(const char *s, unsigned *out);
YZ_MUST_USE int yzi_op_parse(const char *s, unsigned *out);
YZ_MUST_USE int yzi_field_type_parse(const char *s, unsigned *out);
YZ_MUST_USE int yzi_mask_parse(const char *s, unsigned *out);
YZ_MUST_USE int yzi_classification_parse(const char *s, unsigned *out);
YZ_MUST_USE int yzi_sharing_parse(const char *s, unsigned *out);
YZ_MUST_USE int yzi_mode_parse(const char *s, unsigned *out);

#endif
