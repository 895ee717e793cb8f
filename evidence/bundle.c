/* SPDX-License-Identifier: Apache-2.0
 *
 * Making bundles out of what is kept, and reading them.
 */
#include "evidence/bundle.h"

#include "evidence/kept_format.h"
#include "evidence/standing.h"

#define MAGIC "YZBNDL1"

enum { SECTION_KEPT = 1, SECTION_RECEIPT, SECTION_CONSUMER, SECTION_SIGNER, SECTION_BROKER };

/* -- reading -- */

bool yzi_evidence_bundle_is(yz_bytes bytes)
{
    return bytes.n >= sizeof MAGIC && memcmp(bytes.p, MAGIC, sizeof MAGIC) == 0;
}

int yzi_evidence_bundle_parse(yz_bytes bytes, struct evidence_bundle *out)
{
    struct evidence_bundle b = {0};
    yz_bytes kept = {0}, magic;
    yz_bytes *const sections[] = {[SECTION_KEPT] = &kept,
                                  [SECTION_RECEIPT] = &b.receipt,
                                  [SECTION_CONSUMER] = &b.consumer,
                                  [SECTION_SIGNER] = &b.signer,
                                  [SECTION_BROKER] = &b.broker};
    YZ_ENSURE(yzi_evidence_bundle_is(bytes), YZ_EMALFORMED);
    yz_reader r = yzi_reader(bytes);
    YZ_TRY(yzi_read_bytes(&r, sizeof MAGIC, &magic));
    for (uint8_t tag, last = 0; r.left; last = tag) {
        uint32_t n;
        YZ_TRY(yzi_read_u8(&r, &tag));
        YZ_ENSURE(tag > last && tag <= SECTION_BROKER, YZ_EMALFORMED);
        YZ_TRY(yzi_read_u32(&r, &n));
        YZ_ENSURE(n > 0, YZ_EMALFORMED);
        YZ_TRY(yzi_read_bytes(&r, n, sections[tag]));
    }
    YZ_TRY(yzi_kept_record_parse(kept, &b.kept));
    YZ_ENSURE(!b.kept.is_receipt && !b.kept.exchange.receipt.n, YZ_EMALFORMED);
    *out = b;
    return YZ_OK;
}

/* -- making -- */

struct search {
    yz_uuid message_id;
    bool found;
    yz_digest request_digest;
    yz_buf kept, receipt;
};

/* The exchange is kept once, or again with a later attempt; the last one counts. */
static int take_exchange(struct search *s, const struct kept_record *r)
{
    yz_bytes header, block;
    struct request_header h;
    YZ_TRY(yzi_entry_message_parse(r->exchange.request, &header, &block));
    if (yzi_request_header_parse(header, &h) < 0 || !yzi_uuid_eq(&h.message_id, &s->message_id)) {
        return YZ_OK;
    }
    s->found = true;
    s->request_digest = r->request_digest;
    yzi_buf_clear(&s->kept);
    struct kept_exchange x = r->exchange;
    x.receipt = (yz_bytes){0}; /* in a section of its own, whenever it came */
    x.has_subjects = false;    /* they prove nothing, and say more than the answer did */
    YZ_TRY(yzi_kept_record_write(&x, &s->kept));
    if (r->exchange.receipt.n) {
        yzi_buf_clear(&s->receipt);
        YZ_TRY(yzi_buf_put(&s->receipt, r->exchange.receipt));
    }
    return YZ_OK;
}

static int take(void *ctx, const struct kept_record *r)
{
    struct search *s = ctx;
    if (!r->is_receipt) {
        return take_exchange(s, r);
    }
    if (s->found && yzi_digest_eq(&r->request_digest, &s->request_digest)) {
        yzi_buf_clear(&s->receipt);
        return yzi_buf_put(&s->receipt, r->exchange.receipt);
    }
    return YZ_OK;
}

static int put_section(uint8_t tag, yz_bytes v, yz_buf *out)
{
    if (v.n == 0) {
        return YZ_OK;
    }
    YZ_TRY(yzi_buf_put_u8(out, tag));
    YZ_TRY(yzi_buf_put_u32(out, (uint32_t)v.n));
    return yzi_buf_put(out, v);
}

static int put_standing(const char *dir, const struct kept_exchange *x, yz_bytes node, uint8_t tag,
                        yz_buf *out, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf object = {0};
    char day[32];
    yzi_time_format(x->at, day);
    YZ_TRY(yzi_kept_object(dir, day, &x->directory, node, &object, err));
    return put_section(tag, yzi_bytes_buf(&object), out);
}

static int signer_of(const struct kept_exchange *x, yz_node_id *out)
{
    yz_bytes header, block;
    struct response_header r;
    struct outcome_header o;
    YZ_TRY(yzi_entry_message_parse(x->answer, &header, &block));
    if (x->answer_kind == FRAME_RESPONSE) {
        YZ_TRY(yzi_response_header_parse(header, &r));
        *out = r.node;
        return YZ_OK;
    }
    YZ_TRY(yzi_outcome_header_parse(header, &o));
    *out = o.node;
    return YZ_OK;
}

static int assemble(const char *dir, const struct search *s, yz_buf *out, yz_error *err)
{
    struct kept_record r;
    yz_bytes header, block;
    struct request_header h;
    yz_node_id signer;
    YZ_TRY(yzi_kept_record_parse(yzi_bytes_buf(&s->kept), &r));
    YZ_TRY(yzi_entry_message_parse(r.exchange.request, &header, &block));
    YZ_TRY(yzi_request_header_parse(header, &h));
    YZ_TRY(signer_of(&r.exchange, &signer));
    YZ_TRY(yzi_buf_put(out, yzi_bytes(MAGIC, sizeof MAGIC)));
    YZ_TRY(put_section(SECTION_KEPT, yzi_bytes_buf(&s->kept), out));
    YZ_TRY(put_section(SECTION_RECEIPT, yzi_bytes_buf(&s->receipt), out));
    YZ_TRY(put_standing(dir, &r.exchange, h.node.v, SECTION_CONSUMER, out, err));
    YZ_TRY(put_standing(dir, &r.exchange, signer.v, SECTION_SIGNER, out, err));
    return put_standing(dir, &r.exchange, r.exchange.broker, SECTION_BROKER, out, err);
}

int yzi_evidence_bundle_make(const char *dir, const yz_uuid *message_id, yz_buf *out, yz_error *err)
{
    struct search s = {.message_id = *message_id};
    yzi_buf_init(&s.kept, KEPT_RECORD_MAX);
    yzi_buf_init(&s.receipt, YZ_HOP_MAX);
    int rc = yzi_kept_each(dir, NULL, NULL, take, &s, NULL, err);
    if (rc == YZ_OK && !s.found) {
        char id[YZ_UUID_TEXT];
        yzi_uuid_format(message_id, id);
        rc = yzi_fail(err, YZ_ENOTFOUND, "%s: no exchange with the message id %s is kept", dir, id);
    }
    rc = rc < 0 ? rc : assemble(dir, &s, out, err);
    yzi_buf_wipe(&s.kept);
    yzi_buf_fini(&s.receipt);
    return rc;
}
