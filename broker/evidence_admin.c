/* SPDX-License-Identifier: Apache-2.0
 *
 * The administration socket's verbs about the evidence log. Entries are told some at a time,
 * because they are read on the front's thread.
 */
#include "base/json.h"
#include "base/text.h"
#include "broker/admin.h"
#include "broker/evidence/evidence.h"
#include "evidence/receipt.h"

#define LIST_MOST 1000u
#define LIST_USUAL 100u

static int number(const struct admin_request *q, const char *key, uint64_t dflt, uint64_t *out,
                  yz_error *err)
{
    yz_bytes text = yzi_admin_arg(q, key);
    *out = dflt;
    if (text.n && yzi_u64_parse(text, UINT64_MAX, out) < 0) {
        return yzi_fail(err, YZ_EINVAL, "%s: not a number", key);
    }
    return YZ_OK;
}

static void put_u64(struct json *j, const char *key, uint64_t v)
{
    yzi_json_key(j, key);
    yzi_json_u64(j, v);
}

static int verb_status(struct broker *b, const struct admin_request *q, yz_bytes payload,
                       yz_buf *text, yz_buf *out, yz_error *err)
{
    (void)q, (void)payload, (void)out, (void)err;
    struct evidence_status s;
    struct json j;
    yzi_evidence_status(b->evidence, &s);
    yzi_json_init(&j, text, true);
    yzi_json_object(&j);
    put_u64(&j, "log", s.log);
    yzi_json_key(&j, "up");
    yzi_json_bool(&j, s.up);
    put_u64(&j, "size", s.size);
    yzi_json_key(&j, "root");
    yzi_json_hex(&j, yzi_bytes_digest(&s.checkpoint.root));
    put_u64(&j, "published", s.published);
    put_u64(&j, "pruned", s.pruned);
    put_u64(&j, "waiting", s.waiting);
    put_u64(&j, "files_checked", s.checked);
    put_u64(&j, "files_rewritten", s.rewritten);
    put_u64(&j, "damaged", s.damaged);
    put_u64(&j, "rounds_checked", s.rounds);
    yzi_json_key(&j, "vkey");
    yzi_json_str(&j, s.vkey);
    yzi_json_object_end(&j);
    return yzi_json_end(&j);
}

/* -- entries -- */

struct listing {
    struct json *j;
    bool bodies;
};

/* What a body says by itself, where it is one of the log's own. */
static void put_meaning(struct json *j, enum entry_type type, yz_bytes body)
{
    struct log_end end;
    struct pruning pruning;
    struct refusals refusals;
    if ((type == ENTRY_OPENING || type == ENTRY_CLOSING) && yzi_log_end_parse(body, &end) == 0) {
        yzi_json_key(j, "reason");
        yzi_json_text(j, end.reason);
        put_u64(j, "of_log", end.log);
        put_u64(j, "of_size", end.size);
    } else if (type == ENTRY_PRUNING && yzi_pruning_parse(body, &pruning) == 0) {
        put_u64(j, "below", pruning.below);
    } else if (type == ENTRY_REFUSALS && yzi_refusals_parse(body, &refusals) == 0) {
        yzi_json_key(j, "node");
        yzi_json_text(j, refusals.node.v);
        for (unsigned i = 0; i < refusals.counts_n; i++) {
            put_u64(j, yzi_outcome_status_name(refusals.counts[i].status),
                    refusals.counts[i].count);
        }
    }
}

/* Who asked whom, from the header that is kept. */
static void put_message(struct json *j, enum entry_type type, yz_bytes body)
{
    yz_bytes header, block;
    struct request_header q;
    char id[YZ_UUID_TEXT];
    yz_uuid uuid;
    if (type > ENTRY_OUTCOME || yzi_entry_message_parse(body, &header, &block) < 0) {
        return;
    }
    struct response_header r;
    struct outcome_header o;
    if (type == ENTRY_REQUEST && yzi_request_header_parse(header, &q) == 0) {
        uuid = q.message_id;
        yzi_json_key(j, "node");
        yzi_json_text(j, q.node.v);
        yzi_json_key(j, "service");
        yzi_json_text(j, q.service.v);
    } else if (type == ENTRY_RESPONSE && yzi_response_header_parse(header, &r) == 0) {
        uuid = r.message_id;
        yzi_json_key(j, "node");
        yzi_json_text(j, r.node.v);
    } else if (type == ENTRY_OUTCOME && yzi_outcome_header_parse(header, &o) == 0) {
        uuid = o.message_id;
        yzi_json_key(j, "status");
        yzi_json_str(j, yzi_outcome_status_name(o.status));
    } else {
        return;
    }
    yzi_uuid_format(&uuid, id);
    yzi_json_key(j, "message_id");
    yzi_json_str(j, id);
}

static int put_entry(void *ctx, uint64_t index, yz_bytes bytes, yz_bytes body)
{
    struct listing *l = ctx;
    struct entry e;
    char time[32];
    if (yzi_entry_parse(bytes, &e) < 0) {
        return 1;
    }
    yzi_time_format(e.time, time);
    yzi_json_object(l->j);
    put_u64(l->j, "index", index);
    yzi_json_key(l->j, "type");
    yzi_json_str(l->j, yzi_entry_type_name(e.type));
    yzi_json_key(l->j, "time");
    yzi_json_str(l->j, time);
    yzi_json_key(l->j, "digest");
    yzi_json_hex(l->j, yzi_bytes_digest(&e.digest));
    put_u64(l->j, "body_bytes", body.n);
    if (body.n) {
        put_message(l->j, e.type, body);
        put_meaning(l->j, e.type, body);
    }
    if (body.n && l->bodies) {
        yzi_json_key(l->j, "body");
        yzi_json_hex(l->j, body);
    }
    yzi_json_object_end(l->j);
    return 0;
}

static int verb_list(struct broker *b, const struct admin_request *q, yz_bytes payload,
                     yz_buf *text, yz_buf *out, yz_error *err)
{
    (void)payload, (void)text;
    uint64_t from, count;
    struct json j;
    struct listing l = {&j, yzi_bytes_eq_str(yzi_admin_arg(q, "bodies"), "1")};
    YZ_TRY(number(q, "from", 0, &from, err));
    YZ_TRY(number(q, "count", LIST_USUAL, &count, err));
    if (count > LIST_MOST) {
        return yzi_fail(err, YZ_ELIMIT, "count: at most %u entries at a time", LIST_MOST);
    }
    yzi_json_init(&j, out, true);
    yzi_json_array(&j);
    int rc = yzi_evidence_each(b->evidence, from, count, put_entry, &l);
    if (rc < 0) {
        return yzi_fail(err, rc, "the entries cannot be read (%s)", yz_err_words(rc));
    }
    yzi_json_array_end(&j);
    return yzi_json_end(&j);
}

/* -- proofs -- */

/* The entry meant: by index, or by message id and type (or what there is: the answer first). */
static int find_entry(struct broker *b, const struct admin_request *q, uint64_t *out, yz_error *err)
{
    static const enum entry_type order[] = {ENTRY_RESPONSE, ENTRY_OUTCOME, ENTRY_REQUEST};
    yz_bytes id = yzi_admin_arg(q, "id"), type = yzi_admin_arg(q, "type");
    char text[YZ_UUID_TEXT] = "";
    yz_uuid uuid;
    if (id.n == 0) {
        return number(q, "index", 0, out, err);
    }
    memcpy(text, id.p, id.n < sizeof text - 1 ? id.n : sizeof text - 1);
    if (id.n >= sizeof text || yzi_uuid_parse(text, &uuid) < 0) {
        return yzi_fail(err, YZ_EINVAL, "id: not a message id");
    }
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (type.n && !yzi_bytes_eq_str(type, yzi_entry_type_name(order[i]))) {
            continue;
        }
        int rc = yzi_evidence_find(b->evidence, &uuid, order[i], out);
        if (rc != YZ_ENOTFOUND) {
            return rc < 0 ? yzi_fail(err, rc, "the index cannot be read (%s)", yz_err_words(rc))
                          : YZ_OK;
        }
    }
    return yzi_fail(err, YZ_ENOTFOUND, "the log has no such message");
}

static int verb_export(struct broker *b, const struct admin_request *q, yz_bytes payload,
                       yz_buf *text, yz_buf *out, yz_error *err)
{
    (void)payload, (void)text;
    YZ_AUTO(yzi_buf_fini) yz_buf bytes;
    yzi_buf_init(&bytes, RECEIPT_BYTES_MAX);
    uint64_t index, log;
    yz_digest digest;
    struct receipt r;
    YZ_TRY(find_entry(b, q, &index, err));
    YZ_TRY(number(q, "log", 0, &log, err));
    int rc = yzi_evidence_receipt_at(b->evidence, log, index, &digest, &bytes);
    rc = rc < 0 ? rc : yzi_receipt_parse(yzi_bytes_buf(&bytes), &r);
    rc = rc < 0 ? rc : yzi_receipt_to_proof(&r, 0, b->node, &digest, out);
    if (rc == YZ_ENOTFOUND) {
        return yzi_fail(err, rc, "there is no such log or entry");
    }
    return rc < 0 ? yzi_fail(err, rc, "no proof can be made (%s)", yz_err_words(rc)) : YZ_OK;
}

/* -- orders -- */

static int verb_prune(struct broker *b, const struct admin_request *q, yz_bytes payload,
                      yz_buf *text, yz_buf *out, yz_error *err)
{
    (void)payload, (void)out;
    uint64_t below;
    YZ_TRY(number(q, "below", 0, &below, err));
    int rc = below ? yzi_evidence_prune(b->evidence, below) : YZ_EINVAL;
    if (rc < 0) {
        return yzi_fail(err, rc,
                        rc == YZ_EINVAL ? "below: from 1 to the log's size" : "the log is down");
    }
    return yzi_buf_printf(text, "bodies of entries below %llu are let go of",
                          (unsigned long long)below);
}

static int verb_check(struct broker *b, const struct admin_request *q, yz_bytes payload,
                      yz_buf *text, yz_buf *out, yz_error *err)
{
    (void)q, (void)payload, (void)out;
    int rc = yzi_evidence_scrub(b->evidence);
    if (rc < 0) {
        return yzi_fail(err, rc, "nothing is published");
    }
    return yzi_buf_put_str(text, "the store and all published files are being looked at");
}

static int verb_close(struct broker *b, const struct admin_request *q, yz_bytes payload,
                      yz_buf *text, yz_buf *out, yz_error *err)
{
    (void)q, (void)payload, (void)out;
    int rc = yzi_evidence_rotate(b->evidence);
    if (rc < 0) {
        return yzi_fail(err, rc, "the log is down");
    }
    return yzi_buf_put_str(text, "the log is closed, another one begins");
}

const struct admin_verb yzi_broker_evidence_verbs[] = {
    {"evidence.status", verb_status},
    {"evidence.list", verb_list},
    {"evidence.export", verb_export},
    {"evidence.prune", verb_prune},
    {"evidence.check", verb_check},
    {"evidence.close", verb_close},
    {NULL, NULL},
};
