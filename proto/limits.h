/* SPDX-License-Identifier: Apache-2.0
 *
 * Fixed bounds of the protocol (docs/protocol.md, "Limits"). What an operator may lower is in the
 * configuration; nobody may raise these without a new protocol version.
 */
#ifndef YZ_PROTO_LIMITS_H
#define YZ_PROTO_LIMITS_H

#define YZ_PROTOCOL_VERSION 1u
#define YZ_PREFIX_BYTES 16u
#define YZ_HEADER_MAX 4096u
#define YZ_BATCH_MAX 65536u   /* leaves in a signature batch */
#define YZ_BATCH_PATH_MAX 16u /* log2 of it */
#define YZ_BLOCK_FIXED 108u   /* signature block without its path */
#define YZ_BLOCK_MAX (YZ_BLOCK_FIXED + 32u * YZ_BATCH_PATH_MAX)
#define YZ_HOP_MAX 8192u
#define YZ_MESSAGE_MAX (16u * 1024u * 1024u)
#define YZ_BUNDLE_MAX 64u /* messages in a bundle: how much longer its turn is */

#define YZ_SEGMENT_MAX 100u /* bytes of one identifier segment, as encoded */
#define YZ_ID_MAX 640u      /* bytes of any identifier */
#define YZ_SLOTS_MAX 4u
#define YZ_BROKERS_MAX 4u
#define YZ_PURPOSE_MAX 64u
#define YZ_REASON_MAX 64u
#define YZ_RULE_MAX 1024u
#define YZ_TRACE_BYTES 25u
#define YZ_WRAPPED_KEY_BYTES 72u /* nonce 24, key 32, tag 16 */
#define YZ_SIGNATURE_BYTES 64u
#define YZ_CONSISTENCY_NAME_BYTES 24u
#define YZ_SEEN_BYTES 112u /* a checkpoint in a hello */
#define YZ_SALT_BYTES 32u
#define YZ_PLAIN_FIXED (YZ_SALT_BYTES + 1u + 4u + 4u)
#define YZ_SEAL_TAG 16u
/* The largest padded plaintext: sealed, it fits a message whose other sections are full. */
#define YZ_PLAIN_MAX                                                                               \
    (YZ_MESSAGE_MAX - YZ_PREFIX_BYTES - YZ_HEADER_MAX - YZ_BLOCK_MAX - YZ_HOP_MAX - YZ_SEAL_TAG)
#define YZ_PLAIN_MIN 256u

#define YZ_EXPIRY_DEFAULT_MS 30000u
#define YZ_EXPIRY_MAX_MS 300000u
#define YZ_SKEW_MS 30000u

/* Of what many share at a broker one has at most so many times what it leaves free to the others,
 * so that who comes later finds room (decision 34). */
#define YZ_SHARE_OF_FREE 16u

#define YZ_RECORD_MAX (256u * 1024u - 64u) /* any record fits a chunk */
#define YZ_STATEMENTS_PAGE (1024u * 1024u) /* after so much of member sets a page ends */
#define YZ_CATALOGUE_PAGE (1024u * 1024u)  /* after so much of offers a page ends */
#define YZ_CHUNK_MAX (256u * 1024u)
#define YZ_RECORD_SIGNATURES_MAX 16u
#define YZ_MANIFEST_CHUNKS_MAX 4096u

/* Lists in records; a record's size bounds most of them more tightly. */
#define YZ_ROOT_KEYS_MAX YZ_RECORD_SIGNATURES_MAX /* also operator keys */
#define YZ_ROOT_BROKERS_MAX 256u
#define YZ_KEYS_MAX 8u            /* of one use: rotation needs two */
#define YZ_SUBSYSTEMS_MAX 1024u   /* of a member, and of a node */
#define YZ_MEMBER_NODES_MAX 2048u /* about what a record holds */
#define YZ_ENDPOINTS_MAX 16u
#define YZ_SERVICES_MAX 1024u       /* of an offer */
#define YZ_SERVICE_ADAPTERS_MAX 16u /* hosting one service */
#define YZ_CATALOGUE_MAX 1024u      /* data sets of an offer */
#define YZ_GRANTS_MAX 4096u         /* of an offer, and of its terms */
#define YZ_GROUPS_MAX 1024u         /* of an offer, all versions counted */
#define YZ_GROUP_MEMBERS_MAX 4096u  /* of one version of a group */
#define YZ_LANGUAGES_MAX 16u
#define YZ_PREDICATES_MAX 64u /* of a grant */
#define YZ_BUDGET_DAYS_MAX 36500u
#define YZ_PURPOSES_MAX 64u       /* of a grant */
#define YZ_PURPOSE_LIST_MAX 1024u /* of an instance */

#define YZ_LABEL_MAX 256u /* bytes of a line of text for people: names, owners, reasons */
#define YZ_TEXT_MAX 4096u /* bytes of a text for people */
#define YZ_LANGUAGE_MAX 35u
#define YZ_ADDRESS_MAX 300u /* tcp://host:port */

#define YZ_QUERY_KEYS_MAX 1000u
#define YZ_QUERY_FIELDS_MAX 256u
#define YZ_QUERY_ROWS_MAX 1000u /* brought by an insert or a put */
#define YZ_QUERY_KEY_PARTS_MAX 8u
#define YZ_QUERY_CONDITIONS_MAX 32u /* conditions of the filter, and predicates */
#define YZ_QUERY_VALUES_MAX 1000u   /* of one condition or predicate */
#define YZ_QUERY_ORDER_MAX 8u
#define YZ_CURSOR_MAX 4096u
#define YZ_REFERENCE_MAX 256u       /* user, issue, consent */
#define YZ_DETAIL_MAX 1024u         /* a sentence for a person */
#define YZ_HEAD_ELEMENTS_MAX 65536u /* fields of a payload head, nested ones included */
#define YZ_VALUE_MAX 65536u
#define YZ_NAME_MAX 64u /* field names, codes inside definitions */

#define YZ_HTTP_METHOD_MAX 32u
#define YZ_HTTP_PATH_MAX 8192u
#define YZ_HTTP_HEADERS_MAX 64u
#define YZ_HTTP_NAME_MAX 128u
#define YZ_HTTP_VALUE_MAX 8192u

#define YZ_SOFTWARE_MAX 64u
#define YZ_ADMIN_ARGS_MAX 32u

#endif
