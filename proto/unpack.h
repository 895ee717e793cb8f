/* SPDX-License-Identifier: Apache-2.0
 *
 * Between wire bytes and the generated structs, private to proto/. Reading is ours: pre-scan, then
 * the generated struct is filled with every `bytes` field pointing into the wire bytes themselves,
 * because domain structs promise such views and protobuf-c's unpacker copies. Writing is
 * protobuf-c's. Messages and lists come from a caller's room of fixed size: a buffer on the stack
 * or a capped arena; nothing is ever freed one by one (protobuf_c_message_free_unpacked is not for
 * these). Any thread.
 */
#ifndef YZ_PROTO_UNPACK_H
#define YZ_PROTO_UNPACK_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "proto/prescan.h"

/* Where unpacked messages are put. */
struct room {
    struct arena *arena; /* or NULL: the fixed buffer */
    uint8_t *p;
    size_t left;
};
static inline struct room yzi_room_arena(struct arena *a)
{
    return (struct room){.arena = a};
}
/* p is aligned for any type: `_Alignas(max_align_t) uint8_t scratch[4096];` */
static inline struct room yzi_room_fixed(uint8_t *p, size_t n)
{
    return (struct room){.p = p, .left = n};
}

/* Unpack wire as `type` into *(T **)out_message, T being the generated struct of that type; valid
 * as long as both wire and room. An absent repeated field has n 0, an absent optional message is
 * NULL, an absent optional scalar or bytes has has_* 0. Errors: yzi_prescan's, YZ_ELIMIT (room too
 * small), YZ_ENOMEM. */
YZ_MUST_USE int yzi_unpack(const ProtobufCMessageDescriptor *type, yz_bytes wire,
                           const struct prescan_rules *rules, struct room *room, void *out_message);

/* Append the message (`&m.base`) to out. YZ_ETOOBIG beyond max bytes, YZ_ELIMIT, YZ_ENOMEM. */
YZ_MUST_USE int yzi_pack(const ProtobufCMessage *message, size_t max, yz_buf *out);

/* What a parser calls malformed is the caller's mistake in a writer: YZ_EMALFORMED to YZ_EINVAL. */
static inline int yzi_as_argument(int rc)
{
    return rc == YZ_EMALFORMED ? YZ_EINVAL : rc;
}

/* -- bytes fields -- */
static inline yz_bytes yzi_view(ProtobufCBinaryData b)
{
    return yzi_bytes(b.data, b.len);
}
/* protobuf-c only reads through it. */
static inline ProtobufCBinaryData yzi_bin(yz_bytes b)
{
    return (ProtobufCBinaryData){.len = b.n, .data = (uint8_t *)(uintptr_t)b.p};
}
/* An optional bytes field: empty when absent; present but empty is YZ_EMALFORMED, so that nothing
 * has two forms. */
YZ_MUST_USE int yzi_view_optional(protobuf_c_boolean has, ProtobufCBinaryData b, yz_bytes *out);
/* The same for numbers whose absence stands for 0. */
YZ_MUST_USE int yzi_number_optional(protobuf_c_boolean has, uint32_t v, uint32_t *out);
/* Exactly n bytes, copied. YZ_EMALFORMED. */
YZ_MUST_USE int yzi_copy_fixed(ProtobufCBinaryData b, void *dst, size_t n);

#endif
