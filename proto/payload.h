/* SPDX-License-Identifier: Apache-2.0
 *
 * What is inside a sealed payload: plaintext = salt 32 ‖ type u8 ‖ head length u32 ‖ body length
 * u32 ‖ head ‖ body ‖ zero padding up to a size class (docs/protocol.md, "Payloads"). The content
 * commitment is BLAKE2b-256 keyed with the salt over everything between salt and padding.
 * Queries and answers are the heads; rows are the answer's body. Any thread.
 */
#ifndef YZ_PROTO_PAYLOAD_H
#define YZ_PROTO_PAYLOAD_H

#include "base/arena.h"
#include "proto/limits.h"
#include "proto/status.h"

struct plain {
    yz_bytes salt; /* YZ_SALT_BYTES */
    enum plain_type type;
    yz_bytes head, body;
    yz_bytes committed; /* type ‖ lengths ‖ head ‖ body, as in the plaintext */
};

/* The padded size for n bytes of unpadded plaintext: at least 256, then Padmé (at most 12% more),
 * so that sizes fall into few classes. At most YZ_PLAIN_MAX, also for an n that is beyond it. */
size_t yzi_plain_padded(size_t n);
/* Append the padded plaintext with a fresh random salt. YZ_ETOOBIG, YZ_EINVAL (type), YZ_ELIMIT,
 * YZ_ENOMEM. */
YZ_MUST_USE int yzi_plain_write(enum plain_type type, yz_bytes head, yz_bytes body, yz_buf *out);
/* YZ_EMALFORMED also when padding is not zero or not of the size class. */
YZ_MUST_USE int yzi_plain_parse(yz_bytes plaintext, struct plain *out);
/* What opens the commitment: salt and committed bytes, without the padding. A view. */
yz_bytes yzi_plain_opened(const struct plain *p);
void yzi_plain_commitment(const struct plain *p, yz_digest *out);

/* -- queries -- */
struct query_value {
    bool null;
    yz_bytes v; /* canonical text of the field's type; raw bytes for FIELD_BYTES */
};
struct query_key {
    struct query_value *parts;
    size_t parts_n;
};
struct query_condition {
    yz_bytes field;
    enum query_op op;
    struct query_value *values;
    size_t values_n;
};
struct query_order {
    yz_bytes field;
    bool descending;
};
struct query_predicate {
    yz_bytes name;
    struct query_value *values;
    size_t values_n;
};
struct query {
    enum query_operation operation;
    yz_bytes *fields;
    size_t fields_n; /* 0: every readable field */
    struct query_key *keys;
    size_t keys_n;
    struct query_condition *filter;
    size_t filter_n;
    struct query_order *order;
    size_t order_n;
    uint32_t limit; /* 0: the provider's default */
    yz_bytes cursor;
    struct query_predicate *predicates;
    size_t predicates_n;
    uint32_t rows; /* in the body, with an insert or a put; else 0 */
};
struct http_header {
    yz_bytes name, value;
};
struct request_head {
    yz_bytes user, issue, consent; /* may be empty; valid UTF-8, at most 256 bytes each */
    bool has_query;                /* exactly one of query and http */
    struct query query;
    yz_bytes method, path;
    struct http_header *headers;
    size_t headers_n;
};
/* Views point into `head`, lists into the arena, which at the limits of a head takes up to 6 MiB
 * (scratch included). Checked is the form (docs/protocol.md, "Payloads"), not whether a field
 * exists or a value is of its type. YZ_EMALFORMED, YZ_ELIMIT, YZ_ENOMEM. The writers refuse what
 * the parser would: YZ_EINVAL, YZ_ELIMIT; also YZ_ETOOBIG, YZ_ENOMEM. */
YZ_MUST_USE int yzi_request_head_parse(yz_bytes head, struct arena *arena,
                                       struct request_head *out);
YZ_MUST_USE int yzi_request_head_write(const struct request_head *h, yz_buf *out);

/* -- answers -- */
struct answer_field {
    yz_bytes name;
    enum field_type type;
    enum field_mask mask; /* MASK_NONE when not masked */
};
struct answer_head {
    enum answer_code code;
    yz_bytes reason, detail; /* may be empty */
    struct answer_field *fields;
    size_t fields_n;
    uint32_t rows;
    yz_bytes cursor;
    bool has_total;
    uint64_t total;
    yz_bytes grant;
    yz_bytes clause; /* of the grant, which denied; may be empty */
    enum match_result *matches;
    size_t matches_n;
    uint32_t http_status; /* 0: not HTTP */
    struct http_header *http_headers;
    size_t http_headers_n;
};
YZ_MUST_USE int yzi_answer_head_parse(yz_bytes head, struct arena *arena, struct answer_head *out);
YZ_MUST_USE int yzi_answer_head_write(const struct answer_head *h, yz_buf *out);

/* Rows: for each row, for each field of the head in order, u32 length ‖ value; length 0xffffffff is
 * null. Values are canonical text by type, raw bytes for FIELD_BYTES. */
#define YZ_ROW_NULL 0xffffffffu
YZ_MUST_USE int yzi_row_put(yz_buf *rows, const struct query_value *v);
/* Take the next value; YZ_EMALFORMED at the end or beyond YZ_VALUE_MAX. */
YZ_MUST_USE int yzi_row_next(yz_reader *rows, struct query_value *out);
/* That the body holds exactly rows × fields values. */
YZ_MUST_USE int yzi_rows_check(yz_bytes body, const struct answer_head *head);
/* The same of a query's body, which is empty unless it is an insert or a put. */
YZ_MUST_USE int yzi_query_body_check(yz_bytes body, const struct query *q);

#endif
