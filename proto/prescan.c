/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoding rules: https://protobuf.dev/programming-guides/encoding/. The descriptors are the ones
 * protoc-c generated; a schema that uses a type this file does not handle is our own bug and is
 * reported as YZ_EINTERNAL by whichever message first uses it (and so by that message's test).
 */
#include "proto/prescan.h"

#include <protobuf-c/protobuf-c.h>

#define FIELD_NUMBER_MAX 0x1fffffffu
#define VARINT_BYTES_MAX 10

/* A varint of two bytes or more at p, which ends before end; what follows it, or NULL. */
static const uint8_t *long_varint(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
    uint64_t v = 0;
    size_t n = (size_t)(end - p) < VARINT_BYTES_MAX ? (size_t)(end - p) : VARINT_BYTES_MAX;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = p[i];
        v |= (uint64_t)(c & 0x7f) << (7 * i);
        if (c < 0x80) {
            bool longer = c == 0;                            /* than the value needs */
            bool wider = i + 1 == VARINT_BYTES_MAX && c > 1; /* than 64 bits */
            *out = v;
            return longer || wider ? NULL : p + i + 1;
        }
    }
    return NULL;
}

/* The same for any varint. Nearly all tags and lengths, and many values, have one byte. */
static inline const uint8_t *varint(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
    if (p < end && *p < 0x80) {
        *out = *p;
        return p + 1;
    }
    return long_varint(p, end, out);
}

int yzi_wire_varint(yz_reader *r, uint64_t *out)
{
    uint64_t v;
    YZ_ENSURE(r->left > 0, YZ_EMALFORMED);
    const uint8_t *end = r->p + r->left, *p = varint(r->p, end, &v);
    YZ_ENSURE(p, YZ_EMALFORMED);
    r->p = p;
    r->left = (size_t)(end - p);
    *out = v;
    return 0;
}

/* On the way of every header, so it works on two pointers: copying readers about costs as much as
 * all the rest (a 16-byte load right behind two 8-byte stores has to wait for them). */
int yzi_wire_next(yz_reader *r, struct wire_field *out)
{
    uint64_t tag, v = 0;
    size_t n = 0; /* of the content */
    YZ_ENSURE(r->left > 0, YZ_EMALFORMED);
    const uint8_t *end = r->p + r->left, *p = varint(r->p, end, &tag);
    YZ_ENSURE(p && tag >> 3 >= 1 && tag >> 3 <= FIELD_NUMBER_MAX, YZ_EMALFORMED);
    enum wire_type type = (enum wire_type)(tag & 7);
    if (type == WIRE_BYTES || type == WIRE_VARINT) {
        p = varint(p, end, &v);
        YZ_ENSURE(p, YZ_EMALFORMED);
        YZ_ENSURE(type == WIRE_VARINT || v <= (size_t)(end - p), YZ_EMALFORMED);
        n = type == WIRE_VARINT ? 0 : (size_t)v;
    } else { /* groups are refused, and 6 and 7, which mean nothing */
        YZ_ENSURE(type == WIRE_FIXED64 || type == WIRE_FIXED32, YZ_EMALFORMED);
        n = type == WIRE_FIXED64 ? 8 : 4;
        YZ_ENSURE(n <= (size_t)(end - p), YZ_EMALFORMED);
    }
    out->number = (uint32_t)(tag >> 3);
    out->type = type;
    out->varint = v;
    out->bytes = (yz_bytes){p, n};
    r->p = p + n;
    r->left = (size_t)(end - p) - n;
    return 0;
}

const ProtobufCFieldDescriptor *yzi_wire_field(const ProtobufCMessageDescriptor *type,
                                               uint32_t number)
{
    if (number - 1 < type->n_fields && type->fields[number - 1].id == number) {
        return &type->fields[number - 1]; /* our schemas number without gaps */
    }
    return protobuf_c_message_descriptor_get_field(type, number);
}

/* A message being scanned. */
struct level {
    const ProtobufCMessageDescriptor *type;
    yz_reader left;
    uint64_t seen; /* a bit per field of the descriptor */
};

static int level_open(struct level *l, const ProtobufCMessageDescriptor *type, yz_bytes wire)
{
    YZ_ENSURE(type->n_fields <= 64, YZ_EINTERNAL);
    *l = (struct level){.type = type, .left = yzi_reader(wire)};
    return 0;
}

static int level_close(const struct level *l)
{
    for (unsigned i = 0; i < l->type->n_fields; i++) {
        bool seen = l->seen >> i & 1;
        YZ_ENSURE(seen || l->type->fields[i].label != PROTOBUF_C_LABEL_REQUIRED, YZ_EMALFORMED);
    }
    return 0;
}

static bool is_packed(const ProtobufCFieldDescriptor *d)
{
    return d->label == PROTOBUF_C_LABEL_REPEATED && (d->flags & PROTOBUF_C_FIELD_FLAG_PACKED);
}

static int check_once(struct level *l, const ProtobufCFieldDescriptor *d)
{
    uint64_t bit = UINT64_C(1) << (d - l->type->fields);
    if (d->label != PROTOBUF_C_LABEL_REPEATED || is_packed(d)) {
        YZ_ENSURE(!(l->seen & bit), YZ_EMALFORMED);
    }
    l->seen |= bit;
    return 0;
}

static int check_varint(ProtobufCType type, uint64_t v)
{
    if (type == PROTOBUF_C_TYPE_UINT32) {
        return v <= UINT32_MAX ? 0 : YZ_EMALFORMED;
    }
    if (type == PROTOBUF_C_TYPE_INT32) { /* negative: sign-extended to 64 bits */
        return v <= INT32_MAX || v >= (uint64_t)(int64_t)INT32_MIN ? 0 : YZ_EMALFORMED;
    }
    if (type == PROTOBUF_C_TYPE_BOOL) {
        return v <= 1 ? 0 : YZ_EMALFORMED;
    }
    return type == PROTOBUF_C_TYPE_UINT64 ? 0 : YZ_EINTERNAL;
}

static int check_packed(ProtobufCType type, yz_bytes packed, uint32_t *budget)
{
    for (yz_reader r = yzi_reader(packed); r.left;) {
        uint64_t v;
        YZ_TRY(yzi_wire_varint(&r, &v));
        YZ_ENSURE(*budget > 0, YZ_ELIMIT);
        (*budget)--;
        YZ_TRY(check_varint(type, v));
    }
    return 0;
}

static int check_scalar(const ProtobufCFieldDescriptor *d, const struct wire_field *f,
                        uint32_t *budget)
{
    if (d->type == PROTOBUF_C_TYPE_BYTES) {
        return f->type == WIRE_BYTES ? 0 : YZ_EMALFORMED;
    }
    if (is_packed(d)) {
        YZ_ENSURE(f->type == WIRE_BYTES, YZ_EMALFORMED);
        return check_packed(d->type, f->bytes, budget);
    }
    YZ_ENSURE(f->type == WIRE_VARINT, YZ_EMALFORMED);
    return check_varint(d->type, f->varint);
}

int yzi_prescan(const ProtobufCMessageDescriptor *type, yz_bytes wire,
                const struct prescan_rules *rules)
{
    struct level stack[YZ_PRESCAN_DEPTH_MAX];
    YZ_ENSURE(rules->depth >= 1 && rules->depth <= YZ_PRESCAN_DEPTH_MAX, YZ_EINTERNAL);
    uint32_t budget = rules->elements;
    unsigned depth = 1;
    YZ_TRY(level_open(&stack[0], type, wire));
    while (depth > 0) {
        struct level *at = &stack[depth - 1];
        if (at->left.left == 0) {
            YZ_TRY(level_close(at));
            depth--;
            continue;
        }
        struct wire_field f;
        YZ_TRY(yzi_wire_next(&at->left, &f));
        YZ_ENSURE(budget > 0, YZ_ELIMIT);
        budget--;
        const ProtobufCFieldDescriptor *d = yzi_wire_field(at->type, f.number);
        if (!d) {
            YZ_ENSURE(rules->skip_unknown, YZ_EMALFORMED);
            continue;
        }
        YZ_TRY(check_once(at, d));
        if (d->type != PROTOBUF_C_TYPE_MESSAGE) {
            YZ_TRY(check_scalar(d, &f, &budget));
            continue;
        }
        YZ_ENSURE(f.type == WIRE_BYTES, YZ_EMALFORMED);
        YZ_ENSURE(depth < rules->depth, YZ_ELOOP);
        YZ_TRY(level_open(&stack[depth], d->descriptor, f.bytes));
        depth++;
    }
    return 0;
}
