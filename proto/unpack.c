/* SPDX-License-Identifier: Apache-2.0
 *
 * Filling generated structs from wire bytes that have passed the pre-scan. Per message: count the
 * elements of each repeated field, take struct and arrays from the room, then store field by field;
 * a nested message is filled after being pushed on an explicit stack, its pointer already being in
 * its parent. n_<field> in the struct itself serves as the cursor of its array.
 */
#include "proto/unpack.h"

#define FIELDS_MAX 64 /* as the pre-scan's bitmap */

struct filling {
    ProtobufCMessage *message;
    yz_reader left;
};

static int room_take(struct room *room, size_t n, size_t size, void *out_ptr)
{
    if (room->arena) {
        return yzi_arena_new(room->arena, n, size, out_ptr);
    }
    size_t bytes;
    YZ_TRY(yzi_size_mul(n, size, &bytes));
    YZ_TRY(yzi_size_add(bytes, _Alignof(max_align_t) - 1, &bytes));
    bytes &= ~(_Alignof(max_align_t) - 1);
    YZ_ENSURE(bytes <= room->left, YZ_ELIMIT);
    memset(room->p, 0, bytes);
    *(void **)out_ptr = room->p;
    room->p += bytes;
    room->left -= bytes;
    return 0;
}

static void *member(ProtobufCMessage *m, unsigned offset)
{
    return (uint8_t *)m + offset;
}

static size_t element_size(ProtobufCType type)
{
    if (type == PROTOBUF_C_TYPE_BYTES) {
        return sizeof(ProtobufCBinaryData);
    }
    if (type == PROTOBUF_C_TYPE_MESSAGE) {
        return sizeof(ProtobufCMessage *);
    }
    if (type == PROTOBUF_C_TYPE_BOOL) {
        return sizeof(protobuf_c_boolean);
    }
    return type == PROTOBUF_C_TYPE_UINT64 ? sizeof(uint64_t) : sizeof(uint32_t);
}

static bool is_packed(const ProtobufCFieldDescriptor *d)
{
    return d->label == PROTOBUF_C_LABEL_REPEATED && (d->flags & PROTOBUF_C_FIELD_FLAG_PACKED);
}

/* Elements this occurrence adds to a repeated field: a packed varint ends at a byte < 0x80. */
static size_t elements_in(const ProtobufCFieldDescriptor *d, const struct wire_field *f)
{
    if (!is_packed(d)) {
        return 1;
    }
    size_t n = 0;
    for (size_t i = 0; i < f->bytes.n; i++) {
        n += f->bytes.p[i] < 0x80;
    }
    return n;
}

static int take_lists(ProtobufCMessage *m, yz_bytes wire, struct room *room)
{
    const ProtobufCMessageDescriptor *type = m->descriptor;
    size_t counts[FIELDS_MAX] = {0};
    for (yz_reader r = yzi_reader(wire); r.left;) {
        struct wire_field f;
        YZ_TRY(yzi_wire_next(&r, &f));
        const ProtobufCFieldDescriptor *d = yzi_wire_field(type, f.number);
        if (d && d->label == PROTOBUF_C_LABEL_REPEATED) {
            counts[d - type->fields] += elements_in(d, &f);
        }
    }
    for (unsigned i = 0; i < type->n_fields; i++) {
        if (counts[i] > 0) {
            const ProtobufCFieldDescriptor *d = &type->fields[i];
            void *list;
            YZ_TRY(room_take(room, counts[i], element_size(d->type), &list));
            *(void **)member(m, d->offset) = list;
        }
    }
    return 0;
}

static bool has_lists(const ProtobufCMessageDescriptor *type)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        if (type->fields[i].label == PROTOBUF_C_LABEL_REPEATED) {
            return true;
        }
    }
    return false;
}

static int filling_open(struct filling *l, const ProtobufCMessageDescriptor *type, yz_bytes wire,
                        struct room *room)
{
    ProtobufCMessage *m;
    YZ_TRY(room_take(room, 1, type->sizeof_message, &m));
    type->message_init(m);
    if (has_lists(type)) {
        YZ_TRY(take_lists(m, wire, room));
    }
    *l = (struct filling){.message = m, .left = yzi_reader(wire)};
    return 0;
}

/* Where the next value of the field goes; marks it present. */
static void *next_place(ProtobufCMessage *m, const ProtobufCFieldDescriptor *d)
{
    if (d->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t *n = member(m, d->quantifier_offset);
        uint8_t *list = *(void **)member(m, d->offset);
        return list + (*n)++ * element_size(d->type);
    }
    if (d->label == PROTOBUF_C_LABEL_OPTIONAL && d->type != PROTOBUF_C_TYPE_MESSAGE) {
        *(protobuf_c_boolean *)member(m, d->quantifier_offset) = 1;
    }
    return member(m, d->offset);
}

static void put_varint(void *place, ProtobufCType type, uint64_t v)
{
    if (type == PROTOBUF_C_TYPE_UINT64) {
        *(uint64_t *)place = v;
    } else if (type == PROTOBUF_C_TYPE_BOOL) {
        *(protobuf_c_boolean *)place = v != 0;
    } else {
        *(uint32_t *)place = (uint32_t)v; /* also int32: two's complement */
    }
}

static int put_scalar(ProtobufCMessage *m, const ProtobufCFieldDescriptor *d,
                      const struct wire_field *f)
{
    if (d->type == PROTOBUF_C_TYPE_BYTES) {
        *(ProtobufCBinaryData *)next_place(m, d) = yzi_bin(f->bytes);
        return 0;
    }
    if (!is_packed(d)) {
        put_varint(next_place(m, d), d->type, f->varint);
        return 0;
    }
    for (yz_reader r = yzi_reader(f->bytes); r.left;) {
        uint64_t v;
        YZ_TRY(yzi_wire_varint(&r, &v));
        put_varint(next_place(m, d), d->type, v);
    }
    return 0;
}

static int fill(struct filling stack[YZ_PRESCAN_DEPTH_MAX], struct room *room)
{
    for (unsigned depth = 1; depth > 0;) {
        struct filling *at = &stack[depth - 1];
        if (at->left.left == 0) {
            depth--;
            continue;
        }
        struct wire_field f;
        YZ_TRY(yzi_wire_next(&at->left, &f));
        const ProtobufCFieldDescriptor *d = yzi_wire_field(at->message->descriptor, f.number);
        if (!d) {
            continue;
        }
        if (d->type != PROTOBUF_C_TYPE_MESSAGE) {
            YZ_TRY(put_scalar(at->message, d, &f));
            continue;
        }
        YZ_ASSERT(depth < YZ_PRESCAN_DEPTH_MAX); /* the pre-scan went the same way */
        YZ_TRY(filling_open(&stack[depth], d->descriptor, f.bytes, room));
        *(ProtobufCMessage **)next_place(at->message, d) = stack[depth].message;
        depth++;
    }
    return 0;
}

int yzi_unpack(const ProtobufCMessageDescriptor *type, yz_bytes wire,
               const struct prescan_rules *rules, struct room *room, void *out_message)
{
    YZ_TRY(yzi_prescan(type, wire, rules));
    struct filling stack[YZ_PRESCAN_DEPTH_MAX];
    YZ_TRY(filling_open(&stack[0], type, wire, room));
    ProtobufCMessage *message = stack[0].message;
    YZ_TRY(fill(stack, room));
    *(void **)out_message = message;
    return 0;
}

int yzi_pack(const ProtobufCMessage *message, size_t max, yz_buf *out)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    YZ_ENSURE(n <= max, YZ_ETOOBIG);
    uint8_t *p;
    YZ_TRY(yzi_buf_extend(out, n, &p));
    if (n > 0) {
        YZ_ASSERT(protobuf_c_message_pack(message, p) == n);
    }
    return 0;
}

int yzi_view_optional(protobuf_c_boolean has, ProtobufCBinaryData b, yz_bytes *out)
{
    YZ_ENSURE(!has || b.len > 0, YZ_EMALFORMED);
    *out = has ? yzi_view(b) : (yz_bytes){0};
    return 0;
}

int yzi_number_optional(protobuf_c_boolean has, uint32_t v, uint32_t *out)
{
    YZ_ENSURE(!has || v != 0, YZ_EMALFORMED);
    *out = has ? v : 0;
    return 0;
}

int yzi_copy_fixed(ProtobufCBinaryData b, void *dst, size_t n)
{
    YZ_ENSURE(b.len == n, YZ_EMALFORMED);
    memcpy(dst, b.data, n);
    return 0;
}
