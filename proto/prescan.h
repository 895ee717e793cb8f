/* SPDX-License-Identifier: Apache-2.0
 *
 * The wire pre-scan, private to proto/: what is not exactly one message of its schema is refused
 * before anything is allocated for it. It is iterative and bounded, and stricter than protobuf:
 *
 *   - a singular field occurs at most once, a required one exactly once, a packed one at most once;
 *   - wire types are those of the schema (a repeated scalar is packed or not as declared), groups
 *     are refused everywhere;
 *   - varints and tags are minimal, a 32-bit or boolean value lies in its range, lengths fit;
 *   - unknown fields are refused, or skipped where the rules say so (and then only well-formed).
 *
 * Any thread.
 */
#ifndef YZ_PROTO_PRESCAN_H
#define YZ_PROTO_PRESCAN_H

#include "base/bytes.h"

struct ProtobufCMessageDescriptor;
struct ProtobufCFieldDescriptor;

#define YZ_PRESCAN_DEPTH_MAX 8u

struct prescan_rules {
    unsigned depth;    /* levels of messages, the outermost included; 1..YZ_PRESCAN_DEPTH_MAX */
    uint32_t elements; /* fields and packed elements in the whole tree, unknown ones included */
    bool skip_unknown;
};

/* YZ_EMALFORMED; YZ_ELOOP deeper than rules->depth; YZ_ELIMIT more than rules->elements. */
YZ_MUST_USE int yzi_prescan(const struct ProtobufCMessageDescriptor *type, yz_bytes wire,
                            const struct prescan_rules *rules);

/* -- one field at a time, for the pre-scan, the unpacker and whoever peeks -- */
enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t varint; /* of WIRE_VARINT */
    yz_bytes bytes;  /* the others: a view of the content (4 or 8 bytes when fixed) */
};

/* YZ_EMALFORMED: truncated, not minimal, a group, field number 0. */
YZ_MUST_USE int yzi_wire_next(yz_reader *r, struct wire_field *out);
/* The field of that number, NULL when the schema has none. */
const struct ProtobufCFieldDescriptor *yzi_wire_field(const struct ProtobufCMessageDescriptor *type,
                                                      uint32_t number);
YZ_MUST_USE int yzi_wire_varint(yz_reader *r, uint64_t *out);

#endif
