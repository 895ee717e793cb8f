/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking messages apart by their schema, and putting them together wrongly.
 */
#include "tests/hostile/spoil.h"

#include "base/error.h"

#define OK(call) YZ_ASSERT((call) == 0)
#define UNKNOWN_FIELD 4000u
#define VALUE_MAX (64u * 1024u)

enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };

const char *spoil_name(enum spoiling s)
{
    static const char *const names[] = {
        [SPOIL_FLIP] = "flipped",    [SPOIL_CUT] = "truncated",
        [SPOIL_GROW] = "extended",   [SPOIL_EMPTY] = "emptied",
        [SPOIL_REPEAT] = "repeated", [SPOIL_REMOVE] = "removed",
        [SPOIL_SWAP] = "swapped",    [SPOIL_WIRETYPE] = "retyped",
        [SPOIL_WIDE] = "widened",    [SPOIL_UNKNOWN] = "accompanied",
        [SPOIL_MOVE] = "moved",      [SPOIL_ADD] = "added",
        [SPOILINGS] = "?",
    };
    return names[s];
}

/* -- reading -- */

static uint64_t get_varint(yz_bytes m, size_t *at)
{
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        YZ_ASSERT(*at < m.n && shift < 64);
        uint8_t b = m.p[(*at)++];
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            return v;
        }
    }
}

static void put_varint(yz_buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) {
        OK(yzi_buf_put_u8(b, (uint8_t)(v | 0x80)));
    }
    OK(yzi_buf_put_u8(b, (uint8_t)v));
}

static bool is_nested(const ProtobufCFieldDescriptor *f)
{
    return f->type == PROTOBUF_C_TYPE_MESSAGE;
}

static bool is_bytes(const ProtobufCFieldDescriptor *f)
{
    return f->type == PROTOBUF_C_TYPE_BYTES || is_nested(f) ||
           (f->flags & PROTOBUF_C_FIELD_FLAG_PACKED);
}

static struct site *add_site(struct sites *s, const struct site *parent,
                             const ProtobufCMessageDescriptor *in,
                             const ProtobufCFieldDescriptor *f, unsigned index)
{
    YZ_ASSERT(s->n < SITES_MAX);
    struct site *site = &s->site[s->n++];
    char which[16] = "";
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        snprintf(which, sizeof which, "[%u]", index);
    }
    *site = (struct site){.field = f, .in = in};
    snprintf(site->path, sizeof site->path, "%.60s%s%.24s%.8s", parent ? parent->path : "",
             parent ? "." : "", f->name, which);
    if (parent) {
        YZ_ASSERT(parent->depth < SITE_DEPTH_MAX);
        memcpy(site->up, parent->up, sizeof site->up);
        site->up[parent->depth] = parent->span;
        site->depth = parent->depth + 1;
    }
    return site;
}

static void walk(struct sites *s, const struct site *parent, const ProtobufCMessageDescriptor *type,
                 struct span range)
{
    unsigned seen[64] = {0};
    for (size_t at = range.value; at < range.end;) {
        struct span span = {.at = at};
        uint64_t tag = get_varint(s->message, &at);
        const ProtobufCFieldDescriptor *f =
            protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
        YZ_ASSERT(f && f->id < 64);
        if ((tag & 7) == WIRE_BYTES) {
            uint64_t n = get_varint(s->message, &at);
            span.value = at;
            at += n;
        } else {
            YZ_ASSERT((tag & 7) == WIRE_VARINT);
            span.value = at;
            (void)get_varint(s->message, &at);
        }
        span.end = at;
        YZ_ASSERT(at <= range.end);
        struct site *site = add_site(s, parent, type, f, seen[f->id]++);
        site->span = span;
        if (is_nested(f)) {
            const struct site self = *site; /* the list grows below */
            walk(s, &self, f->descriptor, span);
        }
    }
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        if (f->id < 64 && !seen[f->id]) {
            struct site *site = add_site(s, parent, type, f, 0);
            site->absent = true;
            site->span = (struct span){range.end, range.end, range.end};
        }
    }
}

void sites_of(const ProtobufCMessageDescriptor *type, yz_bytes message, struct sites *out)
{
    *out = (struct sites){.message = message};
    walk(out, NULL, type, (struct span){0, 0, message.n});
}

const struct site *sites_find(const struct sites *s, const char *path)
{
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->site[i].path, path) == 0) {
            return &s->site[i];
        }
    }
    return NULL;
}

uint32_t spoil_bits(const struct site *site)
{
    return (uint32_t)(site->span.end - site->span.value) * 8;
}

/* -- writing -- */

static void put_tag(yz_buf *b, uint32_t field, unsigned wire)
{
    put_varint(b, (uint64_t)field << 3 | wire);
}

static void put_field(yz_buf *b, const struct site *site, yz_bytes value)
{
    put_tag(b, site->field->id, is_bytes(site->field) ? WIRE_BYTES : WIRE_VARINT);
    if (is_bytes(site->field)) {
        put_varint(b, value.n);
    }
    OK(yzi_buf_put(b, value));
}

static yz_bytes part(const struct sites *s, size_t from, size_t to)
{
    return yzi_bytes(s->message.p + from, to - from);
}

/* The message of level `level` around the site, [from, to), with `now` in place of the field, and
 * `behind` at its end. */
static void rebuild(const struct sites *s, const struct site *site, unsigned level, size_t from,
                    size_t to, yz_bytes now, yz_bytes behind, yz_buf *out)
{
    if (level == site->depth) {
        OK(yzi_buf_put(out, part(s, from, site->span.at)));
        OK(yzi_buf_put(out, now));
        OK(yzi_buf_put(out, part(s, site->span.end, to)));
        OK(yzi_buf_put(out, behind));
        return;
    }
    const struct span *up = &site->up[level];
    YZ_AUTO(yzi_buf_fini) yz_buf inner;
    yzi_buf_init(&inner, VALUE_MAX);
    rebuild(s, site, level + 1, up->value, up->end, now, behind, &inner);
    size_t tag_end = up->at;
    (void)get_varint(s->message, &tag_end);
    OK(yzi_buf_put(out, part(s, from, tag_end)));
    put_varint(out, inner.n);
    OK(yzi_buf_put(out, yzi_bytes_buf(&inner)));
    OK(yzi_buf_put(out, part(s, up->end, to)));
}

static uint64_t largest(const ProtobufCFieldDescriptor *f)
{
    return f->type == PROTOBUF_C_TYPE_UINT32 ? UINT32_MAX : UINT64_MAX;
}

/* A number's value spoilt; a flip is one of the number's bits, not of its encoding's. */
static void spoil_number(const struct sites *s, const struct site *site, enum spoiling how,
                         uint32_t bit, yz_buf *value)
{
    size_t at = site->span.value;
    uint64_t v = get_varint(s->message, &at);
    uint64_t most = largest(site->field);
    unsigned bits = most == UINT32_MAX ? 32 : 64;
    switch ((int)how) {
    case SPOIL_FLIP:
        v ^= UINT64_C(1) << bit % bits;
        break;
    case SPOIL_CUT:
        v = 0;
        break;
    case SPOIL_GROW:
        v = v == most ? v - 1 : v + 1;
        break;
    default:
        v = most;
        break;
    }
    put_varint(value, v);
}

static void spoil_bytes(const struct sites *s, const struct site *site, enum spoiling how,
                        uint32_t bit, yz_buf *value)
{
    yz_bytes was = part(s, site->span.value, site->span.end);
    switch ((int)how) {
    case SPOIL_FLIP:
        OK(yzi_buf_put(value, was));
        if (value->n) {
            value->p[bit / 8 % value->n] ^= (uint8_t)(1u << bit % 8);
        }
        return;
    case SPOIL_CUT:
        OK(yzi_buf_put(value, yzi_bytes(was.p, was.n ? was.n - 1 : 0)));
        return;
    case SPOIL_GROW:
        OK(yzi_buf_put(value, was));
        OK(yzi_buf_put_u8(value, 'x'));
        return;
    default:
        return; /* emptied */
    }
}

/* The same field, but for its tag, which says another wire type. */
static void retype(const struct site *site, yz_bytes value, yz_buf *out)
{
    if (is_bytes(site->field)) {
        put_tag(out, site->field->id, WIRE_VARINT);
        put_varint(out, value.n);
    } else {
        put_tag(out, site->field->id, WIRE_BYTES);
        put_varint(out, 1);
        OK(yzi_buf_put_u8(out, 1));
    }
}

static void widen(const struct sites *s, const struct site *site, yz_buf *out)
{
    size_t at = site->span.at;
    uint64_t tag = get_varint(s->message, &at);
    for (; tag >= 0x80; tag >>= 7) {
        OK(yzi_buf_put_u8(out, (uint8_t)(tag | 0x80)));
    }
    OK(yzi_buf_put_u8(out, (uint8_t)(tag | 0x80)));
    OK(yzi_buf_put_u8(out, 0));
    OK(yzi_buf_put(out, part(s, at, site->span.end)));
}

static void put_unknown(yz_buf *out)
{
    put_tag(out, UNKNOWN_FIELD, WIRE_VARINT);
    put_varint(out, 7);
}

/* What is absent gets a value by its type. */
static enum shape add_absent(const struct sites *s, const struct site *site, yz_buf *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf field;
    yzi_buf_init(&field, VALUE_MAX);
    static const uint8_t some[32] = {'a', 'b', 'c'};
    if (is_nested(site->field)) {
        put_field(&field, site, (yz_bytes){0});
    } else if (is_bytes(site->field)) {
        put_field(&field, site, yzi_bytes(some, sizeof some));
    } else {
        put_field(&field, site, yzi_bytes((const uint8_t[]){1}, 1));
    }
    rebuild(s, site, 0, 0, s->message.n, yzi_bytes_buf(&field), (yz_bytes){0}, out);
    return SHAPE_OTHER;
}

static enum shape spoil_value(const struct sites *s, const struct site *site, enum spoiling how,
                              uint32_t bit, yz_buf *field)
{
    YZ_AUTO(yzi_buf_fini) yz_buf value;
    yzi_buf_init(&value, VALUE_MAX);
    if (is_bytes(site->field)) {
        spoil_bytes(s, site, how, bit, &value);
    } else {
        spoil_number(s, site, how, bit, &value);
    }
    put_field(field, site, yzi_bytes_buf(&value));
    return SHAPE_OTHER;
}

static enum shape spoil_field(const struct sites *s, const struct site *site, enum spoiling how,
                              const struct sites *donor, yz_buf *field, yz_buf *behind)
{
    yz_bytes whole = part(s, site->span.at, site->span.end);
    const struct site *other;
    switch ((int)how) {
    case SPOIL_REPEAT:
        OK(yzi_buf_put(field, whole));
        OK(yzi_buf_put(field, whole));
        return site->field->label == PROTOBUF_C_LABEL_REPEATED ? SHAPE_OTHER : SHAPE_BROKEN;
    case SPOIL_REMOVE:
        return site->field->label == PROTOBUF_C_LABEL_REQUIRED ? SHAPE_BROKEN : SHAPE_OTHER;
    case SPOIL_SWAP:
        other = donor ? sites_find(donor, site->path) : NULL;
        if (other) {
            OK(yzi_buf_put(field, part(donor, other->span.at, other->span.end)));
        }
        return other ? SHAPE_OTHER : SHAPE_SAME;
    case SPOIL_WIRETYPE:
        retype(site, part(s, site->span.value, site->span.end), field);
        return SHAPE_BROKEN;
    case SPOIL_WIDE:
        widen(s, site, field);
        return SHAPE_BROKEN;
    case SPOIL_MOVE:
        OK(yzi_buf_put(behind, whole));
        return SHAPE_OTHER;
    default:
        OK(yzi_buf_put(field, whole));
        put_unknown(field);
        return SHAPE_OTHER;
    }
}

enum shape spoil(const struct sites *s, const struct site *site, enum spoiling how, uint32_t bit,
                 const struct sites *donor, yz_buf *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf field, behind;
    yzi_buf_init(&field, VALUE_MAX);
    yzi_buf_init(&behind, VALUE_MAX);
    if (site->absent != (how == SPOIL_ADD)) {
        return SHAPE_SAME;
    }
    if (how == SPOIL_ADD) {
        return add_absent(s, site, out);
    }
    if (is_nested(site->field) && how <= SPOIL_EMPTY && how != SPOIL_EMPTY) {
        return SHAPE_SAME; /* its own fields are spoilt one by one */
    }
    enum shape shape = how <= SPOIL_EMPTY ? spoil_value(s, site, how, bit, &field)
                                          : spoil_field(s, site, how, donor, &field, &behind);
    if (shape == SHAPE_SAME) {
        return shape;
    }
    size_t before = out->n;
    rebuild(s, site, 0, 0, s->message.n, yzi_bytes_buf(&field), yzi_bytes_buf(&behind), out);
    if (yzi_bytes_eq(yzi_bytes(out->p + before, out->n - before), s->message)) {
        out->n = before;
        return SHAPE_SAME;
    }
    return shape;
}
