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

int yzi_wire_varint(yz_reader *r, uint64_t *out)
{
    if (r->left && r->p[0] < 0x80) { /* nearly always */
        *out = r->p[0];
        r->p++;
        r->left--;
        return 0;
    }
    uint64_t v = 0;
    size_t n = r->left < VARINT_BYTES_MAX ? r->left : VARINT_BYTES_MAX;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = r->p[i];
        v |= (uint64_t)(c & 0x7f) << (7 * i);
        if (c < 0x80) {
            YZ_ENSURE(c != 0, YZ_EMALFORMED);                             /* a longer form */
            YZ_ENSURE(i + 1 < VARINT_BYTES_MAX || c == 1, YZ_EMALFORMED); /* beyond 64 bits */
            r->p += i + 1;
            r->left -= i + 1;
            *out = v;
            return 0;
        }
    }
    return YZ_EMALFORMED;
}

int yzi_wire_next(yz_reader *r, struct wire_field *out)
{
    yz_reader at = *r;
    struct wire_field f = {0};
    uint64_t tag;
    YZ_TRY(yzi_wire_varint(&at, &tag));
    YZ_ENSURE(tag >> 3 >= 1 && tag >> 3 <= FIELD_NUMBER_MAX, YZ_EMALFORMED);
    f.number = (uint32_t)(tag >> 3);
    switch (tag & 7) {
    case WIRE_VARINT:
        f.type = WIRE_VARINT;
        YZ_TRY(yzi_wire_varint(&at, &f.varint));
        break;
    case WIRE_FIXED64:
        f.type = WIRE_FIXED64;
        YZ_TRY(yzi_read_bytes(&at, 8, &f.bytes));
        break;
    case WIRE_BYTES: {
        uint64_t n;
        f.type = WIRE_BYTES;
        YZ_TRY(yzi_wire_varint(&at, &n));
        YZ_ENSURE(n <= at.left, YZ_EMALFORMED);
        YZ_TRY(yzi_read_bytes(&at, (size_t)n, &f.bytes));
        break;
    }
    case WIRE_FIXED32:
        f.type = WIRE_FIXED32;
        YZ_TRY(yzi_read_bytes(&at, 4, &f.bytes));
        break;
    default: /* groups, and 6 and 7 that mean nothing */
        return YZ_EMALFORMED;
    }
    *r = at;
    *out = f;
    return 0;
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
        const ProtobufCFieldDescriptor *d =
            protobuf_c_message_descriptor_get_field(at->type, f.number);
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
