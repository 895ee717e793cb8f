/* SPDX-License-Identifier: Apache-2.0
 *
 * The checks every record body is made of. Duplicates are found by sorting, because lists reach
 * thousands of items and a peer chooses them.
 */
#include "proto/record_part.h"

#include "base/text.h"

/* Fields in a body, nested ones included: a full member set has about half as many. */
static const struct prescan_rules body_rules = {.depth = 3, .elements = 65536};

void yzi_record_reader_fini(struct record_reader *r)
{
    yzi_arena_fini(&r->scratch);
}

int yzi_record_unpack(struct record_reader *r, struct arena *keep,
                      const ProtobufCMessageDescriptor *type, yz_bytes body, void *out_message)
{
    r->keep = keep;
    yzi_arena_init(&r->scratch, RECORD_SCRATCH_MAX);
    YZ_ENSURE(body.n <= YZ_RECORD_MAX - RECORD_FRAME_BYTES, YZ_ETOOBIG);
    struct room room = yzi_room_arena(&r->scratch);
    return yzi_unpack(type, body, &body_rules, &room, out_message);
}

/* -- telling apart -- */

int yzi_bag_add(struct bag *b, yz_bytes v)
{
    if (b->n == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 16;
        yz_bytes *grown;
        YZ_TRY(yzi_arena_new(b->arena, cap, sizeof *grown, &grown));
        if (b->n) {
            memcpy(grown, b->v, b->n * sizeof *grown);
        }
        b->v = grown;
        b->cap = cap;
    }
    b->v[b->n++] = v;
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    return yzi_bytes_cmp(*(const yz_bytes *)a, *(const yz_bytes *)b);
}

int yzi_bag_close(struct bag *b)
{
    if (b->n == 0) {
        return 0;
    }
    qsort(b->v, b->n, sizeof *b->v, by_bytes);
    for (size_t i = 1; i < b->n; i++) {
        YZ_ENSURE(!yzi_bytes_eq(b->v[i - 1], b->v[i]), YZ_EMALFORMED);
    }
    return 0;
}

bool yzi_bag_has(const struct bag *b, yz_bytes v)
{
    return b->n > 0 && bsearch(&v, b->v, b->n, sizeof *b->v, by_bytes) != NULL;
}

/* -- checks -- */

int yzi_check_count(size_t n, size_t min, size_t max)
{
    YZ_ENSURE(n >= min, YZ_EMALFORMED);
    YZ_ENSURE(n <= max, YZ_ELIMIT);
    return 0;
}

int yzi_check_range(uint32_t v, uint32_t first, uint32_t last)
{
    return v >= first && v <= last ? 0 : YZ_EMALFORMED;
}

int yzi_check_times(uint64_t not_before, uint64_t not_after)
{
    return not_after == 0 || not_before < not_after ? 0 : YZ_EMALFORMED;
}

int yzi_check_instance(yz_bytes id, yz_bytes instance)
{
    return yzi_bytes_eq(yzi_id_instance(id), instance) ? 0 : YZ_EMALFORMED;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int yzi_check_segment(yz_bytes v, size_t max)
{
    YZ_ENSURE(v.n <= max, YZ_ETOOBIG);
    return yzi_segment_check(v);
}

int yzi_check_field(yz_bytes v, size_t max)
{
    YZ_ENSURE(v.n > 0 && is_letter(v.p[0]), YZ_EMALFORMED);
    YZ_ENSURE(v.n <= max, YZ_ETOOBIG);
    for (size_t i = 1; i < v.n; i++) {
        YZ_ENSURE(is_letter(v.p[i]) || is_digit(v.p[i]) || v.p[i] == '_', YZ_EMALFORMED);
    }
    return 0;
}

/* RFC 5646 §2.1 leaves much to registries; here: subtags of 1 to 8 letters and digits. */
int yzi_check_language(yz_bytes v, size_t max)
{
    YZ_ENSURE(v.n > 0 && is_letter(v.p[0]), YZ_EMALFORMED);
    YZ_ENSURE(v.n <= max, YZ_ETOOBIG);
    size_t subtag = 0;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '-') {
            YZ_ENSURE(subtag > 0, YZ_EMALFORMED);
            subtag = 0;
            continue;
        }
        YZ_ENSURE(is_letter(v.p[i]) || is_digit(v.p[i]), YZ_EMALFORMED);
        YZ_ENSURE(++subtag <= 8, YZ_EMALFORMED);
    }
    return subtag > 0 ? 0 : YZ_EMALFORMED;
}

/* Name or IPv4 address; the resolver has the last word. */
static int check_host(yz_bytes v)
{
    YZ_ENSURE(v.n > 0, YZ_EMALFORMED);
    bool v6 = v.n > 2 && v.p[0] == '[' && v.p[v.n - 1] == ']';
    yz_bytes inner = v6 ? yzi_bytes(v.p + 1, v.n - 2) : v;
    for (size_t i = 0; i < inner.n; i++) {
        uint8_t c = inner.p[i];
        bool ok = is_letter(c) || is_digit(c) || c == '.' || c == '-';
        YZ_ENSURE(ok || (v6 && (c == ':' || c == '%')), YZ_EMALFORMED);
    }
    return 0;
}

int yzi_check_address(yz_bytes v, size_t max)
{
    static const char scheme[] = "tcp://";
    size_t skip = sizeof scheme - 1;
    YZ_ENSURE(v.n <= max, YZ_ETOOBIG);
    YZ_ENSURE(v.n > skip && yzi_bytes_eq_str(yzi_bytes(v.p, skip), scheme), YZ_EMALFORMED);
    size_t colon = v.n;
    while (colon > skip && v.p[colon - 1] != ':') {
        colon--;
    }
    YZ_ENSURE(colon > skip, YZ_EMALFORMED);
    uint64_t port;
    YZ_ENSURE(yzi_u64_parse(yzi_bytes(v.p + colon, v.n - colon), 65535, &port) == 0 && port > 0,
              YZ_EMALFORMED);
    return check_host(yzi_bytes(v.p + skip, colon - 1 - skip));
}

/* -- reading -- */

int yzi_read_optional(protobuf_c_boolean has, ProtobufCBinaryData b, size_t max,
                      int (*check)(yz_bytes, size_t), yz_bytes *out)
{
    yz_bytes v;
    YZ_TRY(yzi_view_optional(has, b, &v));
    YZ_TRY(yzi_check_optional(v, max, check));
    *out = v;
    return 0;
}

int yzi_read_digest(ProtobufCBinaryData b, yz_digest *out)
{
    return yzi_copy_fixed(b, out->b, sizeof out->b);
}

int yzi_read_key(ProtobufCBinaryData b, struct bag *all, uint8_t out[32])
{
    YZ_TRY(yzi_copy_fixed(b, out, 32));
    YZ_ENSURE(!yzi_bytes_is_zero(yzi_view(b)), YZ_EMALFORMED);
    return yzi_bag_add(all, yzi_view(b));
}

int yzi_read_validity(const Yizhan__Wire__Validity *v, struct bag *all, struct key_validity *out)
{
    YZ_TRY(yzi_read_key(v->key, all, out->key));
    YZ_TRY(yzi_check_times(v->not_before, v->not_after));
    out->not_before = v->not_before;
    out->not_after = v->not_after;
    return 0;
}

int yzi_read_keys(struct record_reader *r, Yizhan__Wire__Validity *const *v, size_t n, size_t min,
                  struct bag *all, struct key_list *out)
{
    YZ_TRY(yzi_check_count(n, min, YZ_KEYS_MAX));
    YZ_TRY(yzi_arena_new(r->keep, n, sizeof *out->items, &out->items));
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(yzi_read_validity(v[i], all, &out->items[i]));
    }
    out->n = n;
    return 0;
}

int yzi_read_names(struct record_reader *r, const ProtobufCBinaryData *v, size_t n, size_t max_n,
                   int (*check)(yz_bytes, size_t), size_t max_bytes, struct name_list *out)
{
    YZ_TRY(yzi_check_count(n, 0, max_n));
    YZ_TRY(yzi_arena_new(r->keep, n, sizeof *out->items, &out->items));
    struct bag all = {.arena = &r->scratch};
    for (size_t i = 0; i < n; i++) {
        out->items[i] = yzi_view(v[i]);
        YZ_TRY(check(out->items[i], max_bytes));
        YZ_TRY(yzi_bag_add(&all, out->items[i]));
    }
    YZ_TRY(yzi_bag_close(&all));
    out->n = n;
    return 0;
}

int yzi_read_texts(struct record_reader *r, Yizhan__Wire__Text *const *v, size_t n,
                   struct text_list *out)
{
    struct bag languages = {.arena = &r->scratch};
    YZ_TRY(yzi_check_count(n, 0, YZ_LANGUAGES_MAX));
    YZ_TRY(yzi_arena_new(r->keep, n, sizeof *out->items, &out->items));
    for (size_t i = 0; i < n; i++) {
        struct text_entry *to = &out->items[i];
        to->language = yzi_view(v[i]->language);
        to->text = yzi_view(v[i]->text);
        YZ_TRY(yzi_check_language(to->language, YZ_LANGUAGE_MAX));
        YZ_TRY(yzi_check_lines(to->text, YZ_TEXT_MAX));
        YZ_TRY(yzi_bag_add(&languages, to->language));
    }
    out->n = n;
    return yzi_bag_close(&languages);
}

/* -- writing -- */

void yzi_record_writer_init(struct arena *scratch)
{
    yzi_arena_init(scratch, RECORD_SCRATCH_MAX);
}

int yzi_wire_list(struct arena *scratch, const ProtobufCMessageDescriptor *type, size_t n,
                  void *out_list)
{
    uint8_t *items;
    ProtobufCMessage **list;
    YZ_TRY(yzi_arena_new(scratch, n, type->sizeof_message, &items));
    YZ_TRY(yzi_arena_new(scratch, n, sizeof *list, &list));
    for (size_t i = 0; i < n; i++) {
        list[i] = (void *)(items + i * type->sizeof_message);
        type->message_init(list[i]);
    }
    *(ProtobufCMessage ***)out_list = list;
    return 0;
}

int yzi_wire_keys(struct arena *scratch, const struct key_list *in, size_t *out_n,
                  Yizhan__Wire__Validity ***out)
{
    YZ_TRY(yzi_wire_list(scratch, &yizhan__wire__validity__descriptor, in->n, out));
    for (size_t i = 0; i < in->n; i++) {
        const struct key_validity *k = &in->items[i];
        (*out)[i]->key = yzi_bin(yzi_bytes(k->key, sizeof k->key));
        (*out)[i]->not_before = k->not_before;
        (*out)[i]->not_after = k->not_after;
    }
    *out_n = in->n;
    return 0;
}

int yzi_wire_names(struct arena *scratch, const struct name_list *in, size_t *out_n,
                   ProtobufCBinaryData **out)
{
    YZ_TRY(yzi_arena_new(scratch, in->n, sizeof **out, out));
    for (size_t i = 0; i < in->n; i++) {
        (*out)[i] = yzi_bin(in->items[i]);
    }
    *out_n = in->n;
    return 0;
}

int yzi_wire_texts(struct arena *a, const struct text_list *in, size_t *out_n,
                   Yizhan__Wire__Text ***out)
{
    YZ_TRY(yzi_wire_list(a, &yizhan__wire__text__descriptor, in->n, out));
    for (size_t i = 0; i < in->n; i++) {
        (*out)[i]->language = yzi_bin(in->items[i].language);
        (*out)[i]->text = yzi_bin(in->items[i].text);
    }
    *out_n = in->n;
    return 0;
}

int yzi_record_pack(enum record_kind kind, const ProtobufCMessage *message, yz_buf *out)
{
    size_t before = out->n;
    YZ_TRY(yzi_pack(message, YZ_RECORD_MAX - RECORD_FRAME_BYTES, out));
    int rc = yzi_record_body_check(kind, yzi_bytes(out->p + before, out->n - before));
    if (rc < 0) {
        out->n = before;
        return rc == YZ_ENOMEM ? rc : YZ_EINVAL;
    }
    return 0;
}
