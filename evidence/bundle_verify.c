/* SPDX-License-Identifier: Apache-2.0
 *
 * Checking a bundle as somebody would who trusts nobody in it: from the root statement down to the
 * plaintext, each step on what the ones before it showed. A line is written for each thing shown;
 * the first that does not hold ends it.
 */
#include "evidence/bundle.h"

#include "evidence/standing.h"
#include "keys/keyfile.h"
#include "keys/sign.h"
#include "proto/payload.h"

#define ARENA_MAX (64u * 1024u * 1024u)
#define V(b) (int)(b).n, (const char *)(b).p

struct checking {
    const struct evidence_trust *trust;
    struct evidence_bundle b;
    struct arena arena;
    yz_buf *report;
    yz_error *err;
    yz_bytes request_header, request_block, answer_header, answer_block;
    struct request_header request;
    struct response_header response; /* when the answer is one */
    struct outcome_header outcome;   /* otherwise */
    bool is_response;
    yz_digest request_digest, answer_digest;
    struct standing consumer, signer, broker;
};

static int say(struct checking *c, const char *fmt, ...) YZ_PRINTF(2, 3);
static int say(struct checking *c, const char *fmt, ...)
{
    char line[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    return yzi_buf_printf(c->report, "%s\n", line);
}

/* -- what is claimed -- */

static int read_messages(struct checking *c)
{
    const struct kept_exchange *x = &c->b.kept.exchange;
    YZ_TRY(yzi_entry_message_parse(x->request, &c->request_header, &c->request_block));
    YZ_TRY(yzi_entry_message_parse(x->answer, &c->answer_header, &c->answer_block));
    YZ_TRY(yzi_request_header_parse(c->request_header, &c->request));
    yzi_frame_digest(c->request_header, c->request_block, &c->request_digest);
    yzi_frame_digest(c->answer_header, c->answer_block, &c->answer_digest);
    c->is_response = x->answer_kind == FRAME_RESPONSE;
    return c->is_response ? yzi_response_header_parse(c->answer_header, &c->response)
                          : yzi_outcome_header_parse(c->answer_header, &c->outcome);
}

static yz_node_id signer(const struct checking *c)
{
    return c->is_response ? c->response.node : c->outcome.node;
}

static uint64_t answered_at(const struct checking *c)
{
    return c->is_response ? c->response.issued_at : c->outcome.issued_at;
}

static bool names_broker(const struct request_header *h, yz_bytes broker)
{
    for (unsigned i = 0; i < h->brokers_n; i++) {
        if (yzi_bytes_eq(h->brokers[i].node.v, broker)) {
            return true;
        }
    }
    return false;
}

static int check_binding(struct checking *c)
{
    const yz_digest *names =
        c->is_response ? &c->response.request_digest : &c->outcome.request_digest;
    if (!yzi_digest_eq(names, &c->request_digest)) {
        return yzi_fail(c->err, YZ_ESIGNATURE, "the answer is to another request");
    }
    if (c->is_response &&
        (c->response.slot >= c->request.slots_n ||
         !yzi_bytes_eq(c->request.slots[c->response.slot].adapter.v, c->response.node.v))) {
        return yzi_fail(c->err, YZ_EDENIED, "the request does not name %.*s as one to answer it",
                        V(c->response.node.v));
    }
    if (!c->is_response && !yzi_bytes_eq(c->outcome.node.v, c->b.kept.exchange.broker)) {
        return yzi_fail(c->err, YZ_EDENIED, "the outcome is another broker's");
    }
    if (!names_broker(&c->request, c->b.kept.exchange.broker)) {
        return yzi_fail(c->err, YZ_EDENIED, "the request was not meant for the broker %.*s",
                        V(c->b.kept.exchange.broker));
    }
    return say(c, "the answer names the request by its digest");
}

/* -- whose keys -- */

static int stand(struct checking *c, yz_bytes records, yz_node_id node, uint64_t at,
                 struct standing *out)
{
    if (!records.n) {
        return yzi_fail(c->err, YZ_EMALFORMED, "the directory records of %.*s are missing",
                        V(node.v));
    }
    YZ_TRY(yzi_standing_verify(records, c->trust->anchor, node, at, &c->arena, out, c->err));
    return say(c, "%.*s is listed in directory version %llu, which the operators signed", V(node.v),
               (unsigned long long)out->version);
}

static int check_standings(struct checking *c)
{
    yz_node_id broker = {c->b.kept.exchange.broker};
    YZ_TRY(stand(c, c->b.consumer, c->request.node, c->request.issued_at, &c->consumer));
    YZ_TRY(stand(c, c->b.signer, signer(c), answered_at(c), &c->signer));
    YZ_TRY(stand(c, c->b.broker, broker, answered_at(c), &c->broker));
    if (c->trust->anchor.n) {
        return say(c, "the root statement follows from the anchor");
    }
    char fingerprint[YZ_FINGERPRINT_TEXT];
    yzi_key_fingerprint(c->broker.root.root_keys[0], fingerprint);
    return say(c,
               "no anchor was given: the root statement was taken as it is (its first key is %s)",
               fingerprint);
}

static int check_signature(struct checking *c, enum frame_kind kind, yz_bytes header,
                           yz_bytes block, const struct standing *s, yz_node_id node, uint64_t at)
{
    struct signature_block b;
    const struct key_list *keys = s->broker ? &s->broker->signing : &s->node->signing;
    if (yzi_block_parse(block, &b) < 0) {
        return yzi_fail(c->err, YZ_EMALFORMED, "a signature block cannot be read");
    }
    if (!yzi_key_list_has(keys, b.key.p, at)) {
        return yzi_fail(c->err, YZ_EUNKNOWNKEY,
                        "the %s is signed by a key that was not %.*s's then",
                        yzi_frame_kind_name(kind), V(node.v));
    }
    if (yzi_verify_message(NULL, kind, header, &b) < 0) {
        return yzi_fail(c->err, YZ_ESIGNATURE, "the signature of the %s is wrong",
                        yzi_frame_kind_name(kind));
    }
    char fingerprint[YZ_FINGERPRINT_TEXT];
    yzi_key_fingerprint(b.key.p, fingerprint);
    return say(c, "the %s is signed by %.*s with the key %s", yzi_frame_kind_name(kind), V(node.v),
               fingerprint);
}

/* -- the log -- */

static int check_log_key(struct checking *c, const struct receipt *r, uint64_t at)
{
    if (c->trust->log_key && memcmp(c->trust->log_key, r->key, sizeof r->key) != 0) {
        return yzi_fail(c->err, YZ_EUNKNOWNKEY,
                        "the receipt is under another log key than the one given");
    }
    if (!yzi_key_list_has(&c->broker.broker->log, r->key, at)) {
        return yzi_fail(c->err, YZ_EUNKNOWNKEY,
                        "the receipt is under a key that was not the broker's log key then");
    }
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, 4096);
    YZ_TRY(yzi_checkpoint_text((yz_node_id){c->b.kept.exchange.broker}, r->log, r->size, &r->root,
                               &text));
    return yzi_verify_checkpoint(yzi_bytes_buf(&text), r->key, r->signature) < 0
               ? yzi_fail(c->err, YZ_ESIGNATURE, "the checkpoint's signature is wrong")
               : YZ_OK;
}

static int check_receipt(struct checking *c)
{
    struct receipt r;
    char at[32];
    const struct receipt_claim claims[] = {
        {c->is_response ? ENTRY_RESPONSE : ENTRY_OUTCOME, &c->answer_digest},
        {ENTRY_REQUEST, &c->request_digest}};
    if (!c->b.receipt.n) {
        return yzi_fail(c->err, YZ_ERECEIPT, "there is no receipt of the broker's log");
    }
    if (yzi_receipt_parse(c->b.receipt, &r) < 0) {
        return yzi_fail(c->err, YZ_EMALFORMED, "the receipt cannot be read");
    }
    YZ_TRY(check_log_key(c, &r, r.entries[0].time));
    if (yzi_receipt_check(&r, claims, 2) < 0) {
        return yzi_fail(c->err, YZ_ERECEIPT,
                        "the receipt does not show request and answer in the log");
    }
    for (unsigned i = 0; i < r.entries_n; i++) {
        yzi_time_format(r.entries[i].time, at);
        YZ_TRY(say(c, "%s is entry %llu of the broker's log, written at %s by its clock",
                   yzi_entry_type_name(r.entries[i].type), (unsigned long long)r.entries[i].index,
                   at));
    }
    return say(c, "the log had %llu entries then; the broker's log key signed its root",
               (unsigned long long)r.size);
}

/* -- the contents -- */

int yzi_evidence_open(yz_bytes kept, const yz_digest *commitment, yz_buf *out_padded,
                      struct plain *out)
{
    size_t n = yzi_plain_padded(kept.n);
    yz_digest digest;
    yzi_buf_init(out_padded, n);
    YZ_ENSURE(n >= kept.n, YZ_ESIGNATURE);
    YZ_TRY(yzi_buf_put(out_padded, kept));
    YZ_TRY(yzi_buf_put_zero(out_padded, n - kept.n));
    YZ_ENSURE(yzi_plain_parse(yzi_bytes_buf(out_padded), out) == YZ_OK, YZ_ESIGNATURE);
    yzi_plain_commitment(out, &digest);
    return yzi_digest_eq(&digest, commitment) ? YZ_OK : YZ_ESIGNATURE;
}

static int check_content(struct checking *c, yz_bytes plain, const yz_digest *commitment,
                         const char *what)
{
    if (!plain.n) {
        return say(c, "the content of the %s is not in the bundle", what);
    }
    YZ_AUTO(yzi_buf_wipe) yz_buf padded = {0};
    struct plain opened;
    int rc = yzi_evidence_open(plain, commitment, &padded, &opened);
    return rc < 0 ? yzi_fail(c->err, rc, "the content kept of the %s is not what was signed", what)
                  : say(c, "the content kept of the %s is what was signed", what);
}

static int check_all(struct checking *c)
{
    if (read_messages(c) < 0) {
        return yzi_fail(c->err, YZ_EMALFORMED, "the kept messages cannot be read");
    }
    const struct kept_exchange *x = &c->b.kept.exchange;
    YZ_TRY(check_standings(c));
    YZ_TRY(check_signature(c, FRAME_REQUEST, c->request_header, c->request_block, &c->consumer,
                           c->request.node, c->request.issued_at));
    YZ_TRY(check_signature(c, x->answer_kind, c->answer_header, c->answer_block, &c->signer,
                           signer(c), answered_at(c)));
    YZ_TRY(check_binding(c));
    YZ_TRY(check_receipt(c));
    YZ_TRY(check_content(c, x->request_plain, &c->request.content_commitment, "request"));
    return c->is_response && c->response.status != RESPONSE_STALE_KEY
               ? check_content(c, x->answer_plain, &c->response.content_commitment, "answer")
               : YZ_OK;
}

int yzi_evidence_bundle_verify(yz_bytes bytes, const struct evidence_trust *trust, yz_buf *report,
                               yz_error *err)
{
    struct checking c = {.trust = trust, .report = report, .err = err};
    if (yzi_evidence_bundle_parse(bytes, &c.b) < 0) {
        return yzi_fail(err, YZ_EMALFORMED, "it is no bundle of evidence, or not a whole one");
    }
    yzi_arena_init(&c.arena, ARENA_MAX);
    int rc = check_all(&c);
    yzi_arena_fini(&c.arena);
    return rc;
}
