/* SPDX-License-Identifier: Apache-2.0
 *
 * The frame around a record's body, and its text armour. A record has one form in bytes and one in
 * text: both are read as strictly as they are written, so that a digest names one thing.
 */
#include "proto/record.h"

#include <sodium.h>

#include "base/text.h"
#include "proto/record_part.h"

#define RECORD_VERSION 1u
#define SIGNATURE_BYTES 96u /* key and signature */

static const char *const kind_names[] = {
    [RECORD_ROOT] = "root",
    [RECORD_MEMBER] = "member",
    [RECORD_MEMBER_SET] = "member-set",
    [RECORD_BROKER] = "broker",
    [RECORD_REVOCATION] = "revocation",
    [RECORD_MANIFEST] = "manifest",
    [RECORD_FRESHNESS] = "freshness",
    [RECORD_ANNOUNCEMENT] = "announcement",
    [RECORD_OFFER] = "offer",
    [RECORD_TERMS] = "terms",
    [RECORD_NODE_REQUEST] = "node-request",
    [RECORD_PURPOSES] = "purposes",
};
#define KINDS (sizeof kind_names / sizeof *kind_names)

static bool is_kind(unsigned kind)
{
    return kind < KINDS && kind_names[kind];
}

const char *yzi_record_kind_name(unsigned kind)
{
    return is_kind(kind) ? kind_names[kind] : "?";
}

/* -- frame -- */

static int check_distinct(const struct record_signature *signatures, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < i; k++) {
            YZ_ENSURE(!yzi_bytes_eq(signatures[i].key, signatures[k].key), YZ_EMALFORMED);
        }
    }
    return 0;
}

static int read_signatures(yz_reader *r, struct record *out)
{
    uint16_t n;
    YZ_TRY(yzi_read_u16(r, &n));
    YZ_ENSURE(n <= YZ_RECORD_SIGNATURES_MAX, YZ_ELIMIT);
    for (unsigned i = 0; i < n; i++) {
        YZ_TRY(yzi_read_bytes(r, 32, &out->signatures[i].key));
        YZ_TRY(yzi_read_bytes(r, 64, &out->signatures[i].signature));
    }
    out->signatures_n = n;
    return check_distinct(out->signatures, n);
}

int yzi_record_next(yz_reader *r, struct record *out)
{
    yz_reader at = *r;
    struct record record = {0};
    yz_bytes magic;
    uint8_t version, kind;
    uint32_t body;
    YZ_TRY(yzi_read_bytes(&at, 2, &magic));
    YZ_ENSURE(yzi_bytes_eq_str(magic, "YR"), YZ_EMALFORMED);
    YZ_TRY(yzi_read_u8(&at, &version));
    YZ_ENSURE(version == RECORD_VERSION, YZ_EVERSION);
    YZ_TRY(yzi_read_u8(&at, &kind));
    YZ_ENSURE(is_kind(kind), YZ_EMALFORMED);
    record.kind = (enum record_kind)kind;
    YZ_TRY(yzi_read_u32(&at, &body));
    YZ_ENSURE(body <= YZ_RECORD_MAX - RECORD_FRAME_BYTES, YZ_ETOOBIG);
    YZ_TRY(yzi_read_bytes(&at, body, &record.body));
    YZ_TRY(read_signatures(&at, &record));
    record.raw = yzi_bytes(r->p, r->left - at.left);
    YZ_ENSURE(record.raw.n <= YZ_RECORD_MAX, YZ_ETOOBIG);
    *r = at;
    *out = record;
    return 0;
}

int yzi_record_parse(yz_bytes bytes, struct record *out)
{
    yz_reader r = yzi_reader(bytes);
    struct record record;
    YZ_TRY(yzi_record_next(&r, &record));
    YZ_TRY(yzi_read_end(&r));
    *out = record;
    return 0;
}

static int put_frame(enum record_kind kind, yz_bytes body,
                     const struct record_signature *signatures, unsigned n, yz_buf *out)
{
    YZ_TRY(yzi_buf_put_str(out, "YR"));
    YZ_TRY(yzi_buf_put_u8(out, RECORD_VERSION));
    YZ_TRY(yzi_buf_put_u8(out, (uint8_t)kind));
    YZ_TRY(yzi_buf_put_u32(out, (uint32_t)body.n));
    YZ_TRY(yzi_buf_put(out, body));
    YZ_TRY(yzi_buf_put_u16(out, (uint16_t)n));
    for (unsigned i = 0; i < n; i++) {
        YZ_TRY(yzi_buf_put(out, signatures[i].key));
        YZ_TRY(yzi_buf_put(out, signatures[i].signature));
    }
    return 0;
}

int yzi_record_write(enum record_kind kind, yz_bytes body,
                     const struct record_signature *signatures, unsigned n, yz_buf *out)
{
    YZ_ENSURE(is_kind(kind), YZ_EINVAL);
    YZ_ENSURE(n <= YZ_RECORD_SIGNATURES_MAX, YZ_ELIMIT);
    for (unsigned i = 0; i < n; i++) {
        YZ_ENSURE(signatures[i].key.n == 32 && signatures[i].signature.n == 64, YZ_EINVAL);
    }
    YZ_ENSURE(check_distinct(signatures, n) == 0, YZ_EINVAL);
    size_t room = YZ_RECORD_MAX - RECORD_FRAME_BYTES - n * SIGNATURE_BYTES;
    YZ_ENSURE(body.n <= room, YZ_ETOOBIG);
    YZ_TRY(yzi_buf_reserve(out, RECORD_FRAME_BYTES + body.n + n * SIGNATURE_BYTES));
    return put_frame(kind, body, signatures, n, out);
}

void yzi_record_digest(yz_bytes raw, yz_digest *out)
{
    crypto_hash_sha256(out->b, raw.p, raw.n);
}

/* -- bodies -- */

/* Any kind's parsed form. */
union parsed {
    struct root_statement root;
    struct member_record member;
    struct member_set set;
    struct broker_record broker;
    struct revocation revocation;
    struct manifest manifest;
    struct freshness freshness;
    struct announcement announcement;
    struct offer offer;
    struct terms terms;
    struct node_request request;
    struct purpose_list purposes;
};

static int parse_any(enum record_kind kind, yz_bytes body, struct arena *a, union parsed *out)
{
    switch (kind) {
    case RECORD_ROOT:
        return yzi_root_statement_parse(body, a, &out->root);
    case RECORD_MEMBER:
        return yzi_member_record_parse(body, a, &out->member);
    case RECORD_MEMBER_SET:
        return yzi_member_set_parse(body, a, &out->set);
    case RECORD_BROKER:
        return yzi_broker_record_parse(body, a, &out->broker);
    case RECORD_REVOCATION:
        return yzi_revocation_parse(body, a, &out->revocation);
    case RECORD_MANIFEST:
        return yzi_manifest_parse(body, a, &out->manifest);
    case RECORD_FRESHNESS:
        return yzi_freshness_parse(body, a, &out->freshness);
    case RECORD_ANNOUNCEMENT:
        return yzi_announcement_parse(body, a, &out->announcement);
    case RECORD_OFFER:
        return yzi_offer_parse(body, a, &out->offer);
    case RECORD_TERMS:
        return yzi_terms_parse(body, a, &out->terms);
    case RECORD_NODE_REQUEST:
        return yzi_node_request_parse(body, a, &out->request);
    case RECORD_PURPOSES:
        return yzi_purpose_list_parse(body, a, &out->purposes);
    }
    return YZ_EMALFORMED;
}

int yzi_record_body_check(enum record_kind kind, yz_bytes body)
{
    union parsed parsed;
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, RECORD_SCRATCH_MAX);
    return parse_any(kind, body, &a, &parsed);
}

/* -- armour -- */

#define ARMOUR_LINE 64u /* base64 characters, 48 bytes */
#define LABEL_SIZE 32u

/* "MEMBER SET": RFC 7468 labels have spaces between words. */
static void label_of(enum record_kind kind, char out[LABEL_SIZE])
{
    size_t i = 0;
    for (const char *name = kind_names[kind]; name[i]; i++) {
        out[i] = name[i] == '-' ? ' ' : (char)(name[i] - 'a' + 'A');
    }
    out[i] = '\0';
}

static int put_armour(const struct record *record, yz_buf *out)
{
    char label[LABEL_SIZE];
    label_of(record->kind, label);
    YZ_TRY(yzi_buf_printf(out, "-----BEGIN YIZHAN %s-----\n", label));
    for (size_t at = 0; at < record->raw.n; at += ARMOUR_LINE / 4 * 3) {
        size_t left = record->raw.n - at;
        size_t n = left < ARMOUR_LINE / 4 * 3 ? left : ARMOUR_LINE / 4 * 3;
        YZ_TRY(yzi_base64_encode(yzi_bytes(record->raw.p + at, n), out));
        YZ_TRY(yzi_buf_put_str(out, "\n"));
    }
    return yzi_buf_printf(out, "-----END YIZHAN %s-----\n", label);
}

int yzi_record_armour(yz_bytes raw, yz_buf *out)
{
    struct record record;
    YZ_TRY(yzi_record_parse(raw, &record));
    size_t before = out->n;
    int rc = put_armour(&record, out);
    if (rc < 0) {
        out->n = before;
    }
    return rc;
}

/* Take one line without its line feed; the last one may lack it. */
static int next_line(yz_reader *r, yz_bytes *out)
{
    const uint8_t *end = r->left ? memchr(r->p, '\n', r->left) : NULL;
    YZ_TRY(yzi_read_bytes(r, end ? (size_t)(end - r->p) : r->left, out));
    yz_bytes feed;
    return end ? yzi_read_bytes(r, 1, &feed) : 0;
}

static bool is_armour_line(yz_bytes line, const char *what, const char *label)
{
    char want[2 * LABEL_SIZE];
    int n = snprintf(want, sizeof want, "-----%s YIZHAN %s-----", what, label);
    return n > 0 && (size_t)n < sizeof want && yzi_bytes_eq_str(line, want);
}

static int kind_of_begin(yz_bytes line, enum record_kind *out)
{
    for (unsigned kind = 0; kind < KINDS; kind++) {
        char label[LABEL_SIZE];
        if (!is_kind(kind)) {
            continue;
        }
        label_of((enum record_kind)kind, label);
        if (is_armour_line(line, "BEGIN", label)) {
            *out = (enum record_kind)kind;
            return 0;
        }
    }
    return YZ_EMALFORMED;
}

/* The base64 lines up to the END line: all full but the last, none empty. */
static int take_lines(yz_reader *r, const char *label, yz_buf *out)
{
    bool last = false;
    for (;;) {
        yz_bytes line;
        YZ_ENSURE(r->left > 0, YZ_EMALFORMED);
        YZ_TRY(next_line(r, &line));
        if (is_armour_line(line, "END", label)) {
            return 0;
        }
        YZ_ENSURE(!last && line.n > 0 && line.n <= ARMOUR_LINE, YZ_EMALFORMED);
        last = line.n < ARMOUR_LINE || line.p[line.n - 1] == '=';
        YZ_TRY(yzi_base64_decode(line, out));
    }
}

static int dearmour(yz_bytes text, yz_buf *out)
{
    yz_reader r = yzi_reader(text);
    yz_bytes line;
    enum record_kind kind;
    char label[LABEL_SIZE];
    size_t before = out->n;
    YZ_TRY(next_line(&r, &line));
    YZ_TRY(kind_of_begin(line, &kind));
    label_of(kind, label);
    YZ_TRY(take_lines(&r, label, out));
    YZ_TRY(yzi_read_end(&r));
    YZ_ENSURE(out->n > before, YZ_EMALFORMED);
    struct record record;
    YZ_TRY(yzi_record_parse(yzi_bytes(out->p + before, out->n - before), &record));
    return record.kind == kind ? 0 : YZ_EMALFORMED;
}

int yzi_record_dearmour(yz_bytes text, yz_buf *out)
{
    size_t before = out->n;
    int rc = dearmour(text, out);
    if (rc < 0) {
        out->n = before;
    }
    return rc;
}
