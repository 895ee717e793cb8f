/* SPDX-License-Identifier: Apache-2.0
 *
 * Spoiling messages. The walk over fields here is the test's own, not the code under test.
 */
#include "tests/unit/proto/hostile.h"

#include <setjmp.h>

#include <cmocka.h>

#define SPOILT_MAX (1u << 20)
#define FIELDS_MAX 4096

/* A top-level field: tag, then for bytes a length, then content (varint: its bytes). */
struct span {
    uint32_t number;
    unsigned type;
    yz_bytes whole, length, content;
};

static uint64_t varint_at(yz_bytes wire, size_t at, size_t *out_n)
{
    uint64_t v = 0;
    size_t n = 0;
    do {
        assert_true(at + n < wire.n);
        v |= (uint64_t)(wire.p[at + n] & 0x7f) << (7 * n);
    } while (wire.p[at + n++] & 0x80);
    *out_n = n;
    return v;
}

static size_t spans_of(yz_bytes wire, struct span *out)
{
    size_t count = 0;
    for (size_t at = 0; at < wire.n; count++) {
        size_t tag_n, n;
        uint64_t tag = varint_at(wire, at, &tag_n);
        uint64_t v = varint_at(wire, at + tag_n, &n);
        assert_true(count < FIELDS_MAX);
        struct span *s = &out[count];
        *s = (struct span){.number = (uint32_t)(tag >> 3), .type = tag & 7};
        const uint8_t *value = wire.p + at + tag_n;
        if (s->type == 2) {
            s->length = yzi_bytes(value, n);
            s->content = yzi_bytes(value + n, v);
        } else {
            assert_int_equal(s->type, 0);
            s->content = yzi_bytes(value, n);
        }
        s->whole = yzi_bytes(wire.p + at, tag_n + n + (s->type == 2 ? v : 0));
        at += s->whole.n;
    }
    return count;
}

/* -- building -- */

void wire_put(yz_buf *b, yz_bytes v)
{
    assert_int_equal(yzi_buf_put(b, v), 0);
}

void wire_varint(yz_buf *b, uint64_t v)
{
    while (v > 0x7f) {
        assert_int_equal(yzi_buf_put_u8(b, (uint8_t)(v | 0x80)), 0);
        v >>= 7;
    }
    assert_int_equal(yzi_buf_put_u8(b, (uint8_t)v), 0);
}

void wire_num(yz_buf *b, uint32_t field, uint64_t v)
{
    wire_varint(b, (uint64_t)field << 3);
    wire_varint(b, v);
}

void wire_raw(yz_buf *b, uint32_t field, yz_bytes v)
{
    wire_varint(b, (uint64_t)field << 3 | 2);
    wire_varint(b, v.n);
    wire_put(b, v);
}

static void replace(yz_bytes wire, uint32_t field, const yz_bytes *content, uint64_t v, yz_buf *out)
{
    static struct span spans[FIELDS_MAX];
    size_t n = spans_of(wire, spans);
    bool done = false;
    for (size_t i = 0; i < n; i++) {
        if (spans[i].number != field || done) {
            wire_put(out, spans[i].whole);
            continue;
        }
        done = true;
        if (content) {
            wire_raw(out, field, *content);
        } else {
            wire_num(out, field, v);
        }
    }
    assert_true(done);
}

void wire_replace(yz_bytes wire, uint32_t field, yz_bytes content, yz_buf *out)
{
    replace(wire, field, &content, 0, out);
}

void wire_replace_num(yz_bytes wire, uint32_t field, uint64_t v, yz_buf *out)
{
    replace(wire, field, NULL, v, out);
}

void wire_drop(yz_bytes wire, uint32_t field, yz_buf *out)
{
    static struct span spans[FIELDS_MAX];
    size_t n = spans_of(wire, spans);
    for (size_t i = 0; i < n; i++) {
        if (spans[i].number != field) {
            wire_put(out, spans[i].whole);
        }
    }
}

/* -- parsing -- */

int hostile_parse(hostile_parser parse, yz_bytes wire)
{
    uint8_t *copy = malloc(wire.n ? wire.n : 1);
    assert_non_null(copy);
    if (wire.n) {
        memcpy(copy, wire.p, wire.n);
    }
    int rc = parse(yzi_bytes(copy, wire.n));
    free(copy);
    return rc;
}

void hostile_refuse(hostile_parser parse, yz_bytes wire)
{
    int rc = hostile_parse(parse, wire);
    assert_true(rc < 0);
    if (rc != YZ_ELIMIT) {
        assert_int_equal(yz_err_class(rc), YZ_CLASS_PROTOCOL);
    }
}

/* -- spoiling -- */

static bool has(uint64_t set, uint32_t number)
{
    return number < 64 && (set >> number & 1);
}

/* Between fields, with nothing behind it that must be there (or is there again). */
static bool may_end_at(const struct hostile *h, const struct span *spans, size_t n,
                       const uint8_t *end)
{
    uint64_t before = 0;
    size_t i = 0;
    for (; i < n && spans[i].whole.p < end; i++) {
        before |= FIELD(spans[i].number);
    }
    if (i > 0 && spans[i - 1].whole.p + spans[i - 1].whole.n != end) {
        return false;
    }
    for (; i < n; i++) {
        uint32_t number = spans[i].number;
        if (!has(h->optional, number) && !(has(h->repeated, number) && has(before, number))) {
            return false;
        }
    }
    return true;
}

static void check_cuts(const struct hostile *h, yz_bytes wire, const struct span *spans, size_t n)
{
    for (size_t cut = 0; cut < wire.n; cut++) {
        yz_bytes part = yzi_bytes(wire.p, cut);
        if (may_end_at(h, spans, n, wire.p + cut)) {
            assert_int_equal(hostile_parse(h->parse, part), 0);
        } else {
            hostile_refuse(h->parse, part);
        }
    }
}

/* wire with `middle` in place of the bytes of `old`, which lie inside it. */
static void splice(yz_bytes wire, yz_bytes old, yz_bytes middle, yz_buf *out)
{
    size_t before = (size_t)(old.p - wire.p);
    yzi_buf_clear(out);
    wire_put(out, yzi_bytes(wire.p, before));
    wire_put(out, middle);
    wire_put(out, yzi_bytes(old.p + old.n, wire.n - before - old.n));
}

static void refuse_spliced(const struct hostile *h, yz_bytes wire, yz_bytes old,
                           const yz_buf *middle)
{
    yz_buf out;
    yzi_buf_init(&out, SPOILT_MAX);
    splice(wire, old, yzi_bytes_buf(middle), &out);
    hostile_refuse(h->parse, yzi_bytes_buf(&out));
    yzi_buf_fini(&out);
}

static void check_repeat(const struct hostile *h, yz_bytes wire, const struct span *s)
{
    if (has(h->repeated, s->number)) {
        return;
    }
    yz_buf twice;
    yzi_buf_init(&twice, SPOILT_MAX);
    wire_put(&twice, s->whole);
    wire_put(&twice, s->whole);
    refuse_spliced(h, wire, s->whole, &twice);
    yzi_buf_clear(&twice);
    wire_put(&twice, wire); /* and at the end */
    wire_put(&twice, s->whole);
    hostile_refuse(h->parse, yzi_bytes_buf(&twice));
    yzi_buf_fini(&twice);
}

static void check_missing(const struct hostile *h, yz_bytes wire, const struct span *s)
{
    yz_buf out;
    yzi_buf_init(&out, SPOILT_MAX);
    wire_drop(wire, s->number, &out);
    if (has(h->optional, s->number)) {
        assert_int_equal(hostile_parse(h->parse, yzi_bytes_buf(&out)), 0);
    } else {
        hostile_refuse(h->parse, yzi_bytes_buf(&out));
    }
    yzi_buf_fini(&out);
}

/* The same field number with content of each other wire type, groups and undefined ones too. */
static void check_types(const struct hostile *h, yz_bytes wire, const struct span *s)
{
    static const uint8_t zeros[8];
    for (unsigned type = 0; type < 8; type++) {
        if (type == s->type) {
            continue;
        }
        yz_buf field;
        yzi_buf_init(&field, SPOILT_MAX);
        wire_varint(&field, (uint64_t)s->number << 3 | type);
        size_t n = type == 1 ? 8 : type == 5 ? 4 : type == 0 || type == 2 ? 1 : 0;
        wire_put(&field, yzi_bytes(zeros, n));
        refuse_spliced(h, wire, s->whole, &field);
        yzi_buf_fini(&field);
    }
}

static void check_length(const struct hostile *h, yz_bytes wire, const struct span *s)
{
    for (int off = -1; off <= 1; off += 2) {
        if (s->content.n == 0 && off < 0) {
            continue;
        }
        yz_buf length;
        yzi_buf_init(&length, 16);
        wire_varint(&length, s->content.n + (size_t)off);
        refuse_spliced(h, wire, s->length, &length);
        yzi_buf_fini(&length);
    }
    yz_buf huge;
    yzi_buf_init(&huge, 16);
    wire_varint(&huge, UINT64_MAX);
    refuse_spliced(h, wire, s->length, &huge);
    yzi_buf_fini(&huge);
}

static void check_fixed(const struct hostile *h, yz_bytes wire, const struct span *s)
{
    if (!has(h->fixed, s->number)) {
        return;
    }
    yz_buf field;
    yzi_buf_init(&field, SPOILT_MAX);
    wire_raw(&field, s->number, yzi_bytes(s->content.p, s->content.n - 1));
    refuse_spliced(h, wire, s->whole, &field);
    yzi_buf_clear(&field);
    wire_varint(&field, (uint64_t)s->number << 3 | 2);
    wire_varint(&field, s->content.n + 1);
    wire_put(&field, s->content);
    wire_put(&field, yzi_bytes("", 1));
    refuse_spliced(h, wire, s->whole, &field);
    yzi_buf_fini(&field);
}

/* The varint of the span (its value or its length) with a needless last byte. */
static void check_overlong(const struct hostile *h, yz_bytes wire, const struct span *s)
{
    yz_bytes old = s->type == 2 ? s->length : s->content;
    yz_buf longer;
    yzi_buf_init(&longer, 16);
    wire_put(&longer, old);
    longer.p[longer.n - 1] |= 0x80;
    wire_put(&longer, yzi_bytes("", 1));
    refuse_spliced(h, wire, old, &longer);
    yzi_buf_fini(&longer);
}

static void check_added(const struct hostile *h, yz_bytes wire)
{
    static const struct {
        uint8_t bytes[4];
        size_t n;
        bool unknown; /* a well-formed field of a number no schema has */
    } added[] = {
        {{0x00, 0x00}, 2, false},             /* field 0 */
        {{0xa3, 0x06, 0xa4, 0x06}, 4, false}, /* a group */
        {{0xa6, 0x06}, 2, false},             /* wire type 6 */
        {{0xa0, 0x06, 0x80, 0x00}, 4, false}, /* unknown, but not well-formed */
        {{0xa2, 0x06, 0x01}, 3, false},
        {{0xa0, 0x06, 0x01}, 3, true},
        {{0xa2, 0x06, 0x01, 0x00}, 4, true},
    };
    for (size_t i = 0; i < sizeof added / sizeof added[0]; i++) {
        yz_buf out;
        yzi_buf_init(&out, SPOILT_MAX);
        wire_put(&out, wire);
        wire_put(&out, yzi_bytes(added[i].bytes, added[i].n));
        if (added[i].unknown && h->skips_unknown) {
            assert_int_equal(hostile_parse(h->parse, yzi_bytes_buf(&out)), 0);
        } else {
            hostile_refuse(h->parse, yzi_bytes_buf(&out));
        }
        yzi_buf_fini(&out);
    }
}

void hostile_check(const struct hostile *h, yz_bytes wire)
{
    struct span *spans = calloc(FIELDS_MAX, sizeof *spans);
    assert_non_null(spans);
    assert_int_equal(hostile_parse(h->parse, wire), 0);
    size_t n = spans_of(wire, spans);
    check_cuts(h, wire, spans, n);
    check_added(h, wire);
    for (size_t i = 0; i < n; i++) {
        check_repeat(h, wire, &spans[i]);
        check_missing(h, wire, &spans[i]);
        check_types(h, wire, &spans[i]);
        check_overlong(h, wire, &spans[i]);
        if (spans[i].type == 2) {
            check_length(h, wire, &spans[i]);
            check_fixed(h, wire, &spans[i]);
        }
    }
    free(spans);
}
