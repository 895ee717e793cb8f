/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries and their bodies. check_* holds for parser and writer alike, as in header.c; nothing is
 * allocated.
 */
#include "proto/entry.h"

#include <sodium.h>

#include "proto/check.h"
#include "proto/evidence.pb-c.h"
#include "proto/unpack.h"

#define SCRATCH_BYTES 2048
#define SCRATCH(name) _Alignas(max_align_t) uint8_t name[SCRATCH_BYTES]
#define BODY_MAX 2048u

static const struct prescan_rules body_rules = {.depth = 2, .elements = 64};

static int unpack(const ProtobufCMessageDescriptor *type, yz_bytes body,
                  uint8_t scratch[SCRATCH_BYTES], void *out)
{
    YZ_ENSURE(body.n <= BODY_MAX, YZ_EMALFORMED);
    struct room room = yzi_room_fixed(scratch, SCRATCH_BYTES);
    int rc = yzi_unpack(type, body, &body_rules, &room, out);
    return rc < 0 ? YZ_EMALFORMED : 0; /* too many fields, too deep */
}

/* -- entries -- */

static const char magic[3] = {'y', 'z', '1'};

static const char *const names[] = {
    [ENTRY_REQUEST] = "request",     [ENTRY_RESPONSE] = "response",
    [ENTRY_OUTCOME] = "outcome",     [ENTRY_REFUSALS] = "refusals",
    [ENTRY_DIRECTORY] = "directory", [ENTRY_REVOCATION] = "revocation",
    [ENTRY_PRUNING] = "pruning",     [ENTRY_CLOSING] = "closing",
    [ENTRY_OPENING] = "opening",
};

bool yzi_entry_type_is_known(unsigned v)
{
    return v < sizeof names / sizeof names[0] && names[v];
}

const char *yzi_entry_type_name(unsigned v)
{
    return yzi_entry_type_is_known(v) ? names[v] : "?";
}

int yzi_entry_parse(yz_bytes bytes, struct entry *out)
{
    yz_reader r = yzi_reader(bytes);
    yz_bytes head;
    uint8_t type;
    struct entry e;
    YZ_TRY(yzi_read_bytes(&r, sizeof magic, &head));
    YZ_ENSURE(yzi_bytes_eq(head, yzi_bytes(magic, sizeof magic)), YZ_EMALFORMED);
    YZ_TRY(yzi_read_u8(&r, &type));
    YZ_ENSURE(yzi_entry_type_is_known(type), YZ_EMALFORMED);
    e.type = (enum entry_type)type;
    YZ_TRY(yzi_read_u64(&r, &e.time));
    YZ_TRY(yzi_read_into(&r, e.digest.b, sizeof e.digest.b));
    YZ_TRY(yzi_read_end(&r));
    *out = e;
    return 0;
}

void yzi_entry_write(const struct entry *e, uint8_t out[YZ_ENTRY_BYTES])
{
    memcpy(out, magic, sizeof magic);
    out[3] = (uint8_t)e->type;
    yzi_store_u64(out + 4, e->time);
    memcpy(out + 12, e->digest.b, sizeof e->digest.b);
}

void yzi_entry_digest(yz_bytes body, yz_digest *out)
{
    crypto_hash_sha256(out->b, body.p, body.n);
}

/* -- messages -- */

static int check_message(yz_bytes header, yz_bytes block)
{
    YZ_ENSURE(header.n > 0 && header.n <= YZ_HEADER_MAX, YZ_EMALFORMED);
    return block.n >= YZ_BLOCK_FIXED && block.n <= YZ_BLOCK_MAX ? 0 : YZ_EMALFORMED;
}

int yzi_entry_message_write(yz_bytes header, yz_bytes block, yz_buf *out)
{
    YZ_TRY(yzi_as_argument(check_message(header, block)));
    YZ_TRY(yzi_buf_reserve(out, 2 + header.n + block.n));
    YZ_TRY(yzi_buf_put_u16(out, (uint16_t)header.n));
    YZ_TRY(yzi_buf_put(out, header));
    return yzi_buf_put(out, block);
}

int yzi_entry_message_parse(yz_bytes body, yz_bytes *out_header, yz_bytes *out_block)
{
    yz_reader r = yzi_reader(body);
    uint16_t n;
    yz_bytes header;
    YZ_TRY(yzi_read_u16(&r, &n));
    YZ_TRY(yzi_read_bytes(&r, n, &header));
    yz_bytes block = yzi_bytes(r.p, r.left);
    YZ_TRY(check_message(header, block));
    *out_header = header;
    *out_block = block;
    return 0;
}

/* -- refusals -- */

static int check_refusals(const struct refusals *r)
{
    yz_node_id node;
    YZ_TRY(yzi_node_id_parse(r->node.v, &node));
    YZ_ENSURE(r->from <= r->until, YZ_EMALFORMED);
    YZ_ENSURE(r->counts_n >= 1 && r->counts_n <= YZ_REFUSALS_MAX, YZ_EMALFORMED);
    unsigned before = 0;
    for (unsigned i = 0; i < r->counts_n; i++) {
        unsigned status = r->counts[i].status;
        YZ_ENSURE(status > before && status <= OUTCOME_STALE_DIRECTORY, YZ_EMALFORMED);
        YZ_ENSURE(r->counts[i].count > 0, YZ_EMALFORMED);
        before = status;
    }
    return 0;
}

int yzi_refusals_parse(yz_bytes body, struct refusals *out)
{
    SCRATCH(scratch);
    const Yizhan__Wire__Refusals *m;
    YZ_TRY(unpack(&yizhan__wire__refusals__descriptor, body, scratch, &m));
    YZ_ENSURE(m->n_counts <= YZ_REFUSALS_MAX, YZ_EMALFORMED);
    struct refusals r = {.node = {yzi_view(m->node)},
                         .from = m->from,
                         .until = m->until,
                         .counts_n = (unsigned)m->n_counts};
    for (unsigned i = 0; i < r.counts_n; i++) {
        r.counts[i].status = (enum outcome_status)m->counts[i]->status;
        r.counts[i].count = m->counts[i]->count;
    }
    YZ_TRY(check_refusals(&r));
    *out = r;
    return 0;
}

int yzi_refusals_write(const struct refusals *r, yz_buf *out)
{
    YZ_TRY(yzi_as_argument(check_refusals(r)));
    Yizhan__Wire__RefusalCount counts[YZ_REFUSALS_MAX], *list[YZ_REFUSALS_MAX];
    Yizhan__Wire__Refusals m = YIZHAN__WIRE__REFUSALS__INIT;
    for (unsigned i = 0; i < r->counts_n; i++) {
        yizhan__wire__refusal_count__init(&counts[i]);
        counts[i].status = r->counts[i].status;
        counts[i].count = r->counts[i].count;
        list[i] = &counts[i];
    }
    m.node = yzi_bin(r->node.v);
    m.from = r->from;
    m.until = r->until;
    m.n_counts = r->counts_n;
    m.counts = list;
    return yzi_pack(&m.base, BODY_MAX, out);
}

/* -- pruning -- */

int yzi_pruning_parse(yz_bytes body, struct pruning *out)
{
    SCRATCH(scratch);
    const Yizhan__Wire__Pruning *m;
    YZ_TRY(unpack(&yizhan__wire__pruning__descriptor, body, scratch, &m));
    YZ_ENSURE(m->below > 0, YZ_EMALFORMED);
    out->below = m->below;
    return 0;
}

int yzi_pruning_write(const struct pruning *p, yz_buf *out)
{
    YZ_ENSURE(p->below > 0, YZ_EINVAL);
    Yizhan__Wire__Pruning m = YIZHAN__WIRE__PRUNING__INIT;
    m.below = p->below;
    return yzi_pack(&m.base, BODY_MAX, out);
}

/* -- opening and closing -- */

static int check_log_end(const struct log_end *e)
{
    bool none = e->log == 0;
    YZ_ENSURE(none == (e->size == 0), YZ_EMALFORMED); /* a log has its opening entry at least */
    YZ_ENSURE(!none || yzi_bytes_is_zero(yzi_bytes_digest(&e->root)), YZ_EMALFORMED);
    YZ_ENSURE(e->signature.n == (none ? 0 : YZ_SIGNATURE_BYTES), YZ_EMALFORMED);
    int rc = yzi_check_word(e->reason, YZ_REASON_MAX);
    return rc < 0 ? YZ_EMALFORMED : 0;
}

int yzi_log_end_parse(yz_bytes body, struct log_end *out)
{
    SCRATCH(scratch);
    const Yizhan__Wire__LogEnd *m;
    YZ_TRY(unpack(&yizhan__wire__log_end__descriptor, body, scratch, &m));
    bool any = m->has_log;
    YZ_ENSURE(m->has_size == any && m->has_root == any && m->has_signature == any, YZ_EMALFORMED);
    struct log_end e = {.reason = yzi_view(m->reason)};
    if (any) {
        YZ_ENSURE(m->log > 0, YZ_EMALFORMED);
        e.log = m->log;
        e.size = m->size;
        e.signature = yzi_view(m->signature);
        YZ_TRY(yzi_copy_fixed(m->root, e.root.b, sizeof e.root.b));
    }
    YZ_TRY(check_log_end(&e));
    *out = e;
    return 0;
}

int yzi_log_end_write(const struct log_end *e, yz_buf *out)
{
    YZ_TRY(yzi_as_argument(check_log_end(e)));
    Yizhan__Wire__LogEnd m = YIZHAN__WIRE__LOG_END__INIT;
    m.has_log = m.has_size = m.has_root = m.has_signature = e->log > 0;
    m.log = e->log;
    m.size = e->size;
    m.root = yzi_bin(yzi_bytes_digest(&e->root));
    m.signature = yzi_bin(e->signature);
    m.reason = yzi_bin(e->reason);
    return yzi_pack(&m.base, BODY_MAX, out);
}
