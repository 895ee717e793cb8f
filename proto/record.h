/* SPDX-License-Identifier: Apache-2.0
 *
 * Records: what roots, operators, members and nodes put their names to (docs/protocol.md,
 * "Records"). A record is "YR" ‖ version u8 ‖ kind u8 ‖ body length u32 ‖ body (protobuf) ‖
 * signature count u16 ‖ count × (public key 32 ‖ signature 64). Signatures are a list so that
 * m-of-n needs no other format; records covered by the operator-signed manifest carry none of their
 * own. This file knows the bytes; keys/record.h decides who must have signed.
 *
 * Parsed structs view into the record's bytes and keep lists in the arena (4 MiB is room for any).
 * Invariants after parsing (docs/protocol.md has them field by field, proto/limits.h the bounds):
 * ids canonical and of one instance, keys 32 bytes, not zero and each in one place only, times
 * ordered, versions and times of issue above 0, lists within limits and without duplicates,
 * member-local names inside their member, what a record names it also declares.
 *
 * Parser errors: YZ_EMALFORMED, YZ_EVERSION, YZ_ETOOBIG (a text or the whole), YZ_ELIMIT (a list,
 * or the arena is full), YZ_ENOMEM. The writers append the body, and have it read back first:
 * YZ_EINVAL when the parser would refuse it, YZ_ETOOBIG, YZ_ELIMIT (out is full), YZ_ENOMEM. Any
 * thread.
 */
#ifndef YZ_PROTO_RECORD_H
#define YZ_PROTO_RECORD_H

#include "base/arena.h"
#include "proto/id.h"
#include "proto/status.h"

enum record_kind {
    RECORD_ROOT = 1,
    RECORD_MEMBER = 2,
    RECORD_MEMBER_SET = 3,
    RECORD_BROKER = 4,
    RECORD_REVOCATION = 5,
    RECORD_MANIFEST = 6,
    RECORD_FRESHNESS = 7,
    RECORD_ANNOUNCEMENT = 8,
    RECORD_OFFER = 9,
    RECORD_TERMS = 10,
    RECORD_NODE_REQUEST = 11,
    RECORD_PURPOSES = 12
};
const char *yzi_record_kind_name(unsigned kind);

struct record_signature {
    yz_bytes key, signature; /* 32, 64 */
};
struct record {
    enum record_kind kind;
    yz_bytes body;
    struct record_signature signatures[YZ_RECORD_SIGNATURES_MAX]; /* distinct keys */
    unsigned signatures_n;
    yz_bytes raw;
};
/* The frame only: the body is still to be parsed by its kind. */
YZ_MUST_USE int yzi_record_parse(yz_bytes bytes, struct record *out);
YZ_MUST_USE int yzi_record_next(yz_reader *r, struct record *out); /* off a concatenation */
/* Append a record. YZ_EINVAL (unknown kind, a signature's lengths, a key twice), YZ_ETOOBIG,
 * YZ_ELIMIT (signatures, or out is full), YZ_ENOMEM. */
YZ_MUST_USE int yzi_record_write(enum record_kind kind, yz_bytes body,
                                 const struct record_signature *signatures, unsigned n,
                                 yz_buf *out);
/* SHA-256 of the whole record: what names it. */
void yzi_record_digest(yz_bytes raw, yz_digest *out);

/* Files hold records in text armour: "-----BEGIN YIZHAN MEMBER SET-----" (the kind's name in upper
 * case, spaces for hyphens), base64 in lines of 64, the matching END line. Dearmour accepts only
 * that (a final newline optional), around a record of that kind. Appends; YZ_EMALFORMED and the
 * errors of yzi_record_parse, YZ_ELIMIT (out is full); on failure out is unchanged. */
YZ_MUST_USE int yzi_record_armour(yz_bytes raw, yz_buf *out);
YZ_MUST_USE int yzi_record_dearmour(yz_bytes text, yz_buf *out);

struct key_validity {
    uint8_t key[32];
    uint64_t not_before, not_after; /* not_after 0: no end */
};
struct key_list {
    struct key_validity *items;
    size_t n;
};
struct name_list {
    yz_bytes *items;
    size_t n;
};
struct text_entry {
    yz_bytes language, text;
};
struct text_list {
    struct text_entry *items;
    size_t n;
};

struct root_broker {
    yz_node_id node;
    struct key_list transport, signing, log;
};
struct root_statement {
    yz_bytes instance;
    uint64_t version, issued_at;
    uint8_t (*root_keys)[32];
    size_t root_keys_n;
    uint32_t root_threshold; /* 1..root_keys_n */
    uint8_t (*operator_keys)[32];
    size_t operator_keys_n;
    uint32_t operator_threshold;
    uint8_t freshness_key[32];
    struct root_broker *brokers;
    size_t brokers_n;
};

struct member_record {
    yz_member_id member;
    yz_bytes name;
    struct key_list keys;
};

struct subsystem_record {
    yz_bytes code, name;
};
struct node_record {
    yz_node_id node;     /* of the set's member */
    enum node_role role; /* adapter or client */
    struct key_list signing, transport;
    struct name_list subsystems; /* codes that the set declares */
};
struct member_set {
    yz_member_id member;
    uint64_t version, issued_at;
    struct key_list owner_keys;
    struct subsystem_record *subsystems;
    size_t subsystems_n;
    struct node_record *nodes;
    size_t nodes_n;
};

struct endpoint {
    yz_bytes address;
    struct key_validity transport;
};
struct broker_record {
    yz_node_id node;
    yz_bytes name;
    struct endpoint *endpoints;
    size_t endpoints_n;
};

struct revocation {
    yz_bytes node, member; /* exactly one of node, member, key is set */
    bool has_key;
    uint8_t key[32];
    uint64_t at;
    yz_bytes reason;
};

/* The purposes an instance knows: what a request may say it asks for. */
struct purpose_entry {
    yz_bytes code;           /* 1..64 of printable ASCII without space */
    struct text_list titles; /* at least one */
    yz_bytes legal_basis;    /* may be empty */
};
struct purpose_list {
    yz_bytes instance;
    uint64_t issued_at;
    struct purpose_entry *purposes; /* ascending by code; may be none */
    size_t purposes_n;
};

struct manifest_chunk {
    yz_digest digest;
    uint32_t bytes, records;
};
struct manifest {
    yz_bytes instance;
    uint64_t version, issued_at, root_version;
    uint64_t tree_size;
    yz_digest root_hash;
    struct manifest_chunk *chunks;
    size_t chunks_n;
};

struct freshness {
    yz_bytes instance;
    uint64_t directory_version;
    yz_digest root_hash;
    uint64_t time;
};

struct announcement {
    yz_node_id node;
    uint8_t epoch_key[32];
    uint64_t sequence, not_before, not_after;
    uint32_t suite;
};

struct data_element {
    yz_bytes field, element;
    enum field_type type;
    enum classification classification;
    bool key;       /* the field is of the record's key */
    bool reference; /* the data set does not claim to be a source of the datum */
};
struct catalogue_entry {
    yz_bytes data_set;
    struct text_list titles, descriptions;
    yz_bytes owner;
    enum sharing sharing;
    yz_bytes legal_basis, update_cycle;
    struct data_element *elements;
    size_t elements_n;
};
struct offered_service {
    yz_bytes code, version;
    enum service_mode mode;
    struct name_list adapters; /* node ids of the offer's member */
    struct text_list descriptions;
    yz_bytes data_set; /* may be empty */
};
/* One version of a set of subsystems that grants may name. */
struct consumer_group {
    yz_bytes code; /* 1..64 of [a-z0-9-] */
    uint64_t version;
    struct name_list members; /* subsystem ids of the instance, ascending; may be none */
    /* Of those the ones that every later version in the offer has too, ascending: whom a grant
     * pinned to this version is for. The parser finds it out, the writer ignores it. */
    struct name_list consumers;
};
struct coarse_grant {
    yz_bytes id;              /* 1..64 of [a-z0-9-] */
    yz_subsystem_id consumer; /* empty: a group's */
    yz_bytes group_code;      /* of a group in the offer, of exactly that version */
    uint64_t group_version;
    yz_bytes service; /* "code/version", offered here */
    uint64_t not_before, not_after;
    bool strict;
};
struct offer {
    yz_subsystem_id subsystem;
    uint64_t version, issued_at;
    struct offered_service *services;
    size_t services_n;
    struct catalogue_entry *catalogue;
    size_t catalogue_n;
    struct coarse_grant *grants;
    size_t grants_n;
    struct consumer_group *groups; /* ascending by code, then version */
    size_t groups_n;
    yz_digest terms_digest;
};
/* The group of exactly that version; NULL when the offer has none. */
const struct consumer_group *yzi_offer_group(const struct offer *o, yz_bytes code,
                                             uint64_t version);
/* Whether the grant, one of this parsed offer, is for that subsystem: its own, or one of its
 * group's consumers. What cannot be found out is no. */
bool yzi_offer_grant_is_for(const struct offer *o, const struct coarse_grant *g,
                            yz_subsystem_id consumer);

struct grant_field {
    yz_bytes name;
    enum field_mask mask;
};
struct row_condition {
    yz_bytes field;
    enum query_op op;
    struct name_list values;
};
struct grant_predicate {
    yz_bytes name, field;
    enum query_op op;
    struct name_list constants;
    yz_bytes step;
    uint32_t budget;      /* 0: none */
    uint32_t budget_days; /* after which it starts anew; 0: never */
};
struct fine_grant {
    yz_bytes id;
    unsigned operations; /* bit (1u << enum query_operation) */
    struct grant_field *readable;
    size_t readable_n;
    struct name_list filterable, sortable;
    struct row_condition *row_filter;
    size_t row_filter_n;
    struct grant_predicate *predicates;
    size_t predicates_n;
    struct name_list purposes;
    uint32_t quota_per_day; /* 0: none */
    struct name_list writable;
};
/* Fields that the owner keeps out of the published catalogue; adapters have the definition. */
struct unlisted_fields {
    yz_bytes data_set;
    struct data_element *elements;
    size_t elements_n; /* at least one */
};
struct terms {
    yz_subsystem_id subsystem;
    uint64_t version;
    struct fine_grant *grants;
    size_t grants_n;
    struct unlisted_fields *unlisted;
    size_t unlisted_n;
    bool has_pseudonym_key;
    uint8_t pseudonym_key[32]; /* of the mask `hash`; the same for all adapters and versions */
};

struct node_request {
    yz_node_id node;
    enum node_role role;
    uint8_t signing[32], transport[32];
    bool has_log;
    uint8_t log[32];
    struct name_list endpoints, subsystems;
    uint64_t issued_at;
};

YZ_MUST_USE int yzi_root_statement_parse(yz_bytes body, struct arena *a,
                                         struct root_statement *out);
YZ_MUST_USE int yzi_root_statement_write(const struct root_statement *in, yz_buf *out);
YZ_MUST_USE int yzi_member_record_parse(yz_bytes body, struct arena *a, struct member_record *out);
YZ_MUST_USE int yzi_member_record_write(const struct member_record *in, yz_buf *out);
YZ_MUST_USE int yzi_member_set_parse(yz_bytes body, struct arena *a, struct member_set *out);
YZ_MUST_USE int yzi_member_set_write(const struct member_set *in, yz_buf *out);
YZ_MUST_USE int yzi_broker_record_parse(yz_bytes body, struct arena *a, struct broker_record *out);
YZ_MUST_USE int yzi_broker_record_write(const struct broker_record *in, yz_buf *out);
YZ_MUST_USE int yzi_revocation_parse(yz_bytes body, struct arena *a, struct revocation *out);
YZ_MUST_USE int yzi_revocation_write(const struct revocation *in, yz_buf *out);
YZ_MUST_USE int yzi_purpose_list_parse(yz_bytes body, struct arena *a, struct purpose_list *out);
YZ_MUST_USE int yzi_purpose_list_write(const struct purpose_list *in, yz_buf *out);
YZ_MUST_USE int yzi_manifest_parse(yz_bytes body, struct arena *a, struct manifest *out);
YZ_MUST_USE int yzi_manifest_write(const struct manifest *in, yz_buf *out);
YZ_MUST_USE int yzi_freshness_parse(yz_bytes body, struct arena *a, struct freshness *out);
YZ_MUST_USE int yzi_freshness_write(const struct freshness *in, yz_buf *out);
YZ_MUST_USE int yzi_announcement_parse(yz_bytes body, struct arena *a, struct announcement *out);
YZ_MUST_USE int yzi_announcement_write(const struct announcement *in, yz_buf *out);
YZ_MUST_USE int yzi_offer_parse(yz_bytes body, struct arena *a, struct offer *out);
YZ_MUST_USE int yzi_offer_write(const struct offer *in, yz_buf *out);
YZ_MUST_USE int yzi_terms_parse(yz_bytes body, struct arena *a, struct terms *out);
YZ_MUST_USE int yzi_terms_write(const struct terms *in, yz_buf *out);
YZ_MUST_USE int yzi_node_request_parse(yz_bytes body, struct arena *a, struct node_request *out);
YZ_MUST_USE int yzi_node_request_write(const struct node_request *in, yz_buf *out);

#endif
