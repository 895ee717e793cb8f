/* SPDX-License-Identifier: Apache-2.0
 *
 * The administration socket's verbs (docs/operations.md). Each runs to its end on the front thread:
 * they are rare and short.
 */
#include "broker/admin.h"

#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

#define REPLY_MAX (64u * 1024u * 1024u - 65536u)

static int verb_status(struct broker *b, const struct admin_request *q, yz_bytes payload,
                       yz_buf *text, yz_buf *out, yz_error *err)
{
    (void)q;
    (void)payload;
    (void)out;
    (void)err;
    uint64_t age = 0;
    static const char *const states[] = {"none", "fresh", "aging", "expired"};
    enum trust_state state = yzi_trust_state(b->trust, &age);
    struct json j;
    yzi_json_init(&j, text, true);
    yzi_json_object(&j);
    yzi_json_key(&j, "node");
    yzi_json_text(&j, b->node.v);
    yzi_json_key(&j, "version");
    yzi_json_str(&j, YZ_VERSION);
    yzi_json_key(&j, "endpoint");
    yzi_json_str(&j, yzi_server_endpoint(b->server, 0));
    yzi_json_key(&j, "ops");
    yzi_json_str(&j, b->ops ? yzi_ops_address(b->ops) : NULL);
    yzi_json_key(&j, "directory");
    yzi_json_str(&j, states[state]);
    yzi_json_key(&j, "directory_version");
    yzi_json_u64(&j, b->directory ? yzi_directory_version(b->directory) : 0);
    yzi_json_key(&j, "freshness_age_ms");
    yzi_json_u64(&j, age);
    yzi_json_key(&j, "connections");
    yzi_json_u64(&j, yzi_connections_count(&b->connections));
    yzi_json_key(&j, "in_flight");
    yzi_json_u64(&j, yzi_exchanges_count(&b->exchanges));
    yzi_json_key(&j, "offers");
    yzi_json_u64(&j, yzi_offers_count(b->offers));
    yzi_json_key(&j, "draining");
    yzi_json_bool(&j, b->draining);
    yzi_json_object_end(&j);
    return yzi_json_end(&j);
}

static int verb_anchor_set(struct broker *b, const struct admin_request *q, yz_bytes payload,
                           yz_buf *text, yz_buf *out, yz_error *err)
{
    (void)q;
    (void)text;
    (void)out;
    return yzi_trust_set_anchor(b->trust, payload, err);
}

static int verb_directory_put(struct broker *b, const struct admin_request *q, yz_bytes payload,
                              yz_buf *text, yz_buf *out, yz_error *err)
{
    (void)q;
    (void)out;
    int rc = yzi_trust_put_bundle(b->trust, payload, err);
    if (rc < 0 && rc != YZ_EEXIST) {
        yzi_log_error(&EV_DIRECTORY_REFUSED, err, NULL);
        return rc;
    }
    if (rc == YZ_OK) {
        yzi_broker_directory_changed(b);
        b->next_second = b->mono; /* readiness follows at once */
    }
    return yzi_buf_printf(text, "directory version %llu is in force",
                          (unsigned long long)yzi_directory_version(b->directory));
}

static int verb_directory_get(struct broker *b, const struct admin_request *q, yz_bytes payload,
                              yz_buf *text, yz_buf *out, yz_error *err)
{
    (void)q;
    (void)payload;
    (void)text;
    if (!b->directory) {
        return yzi_fail(err, YZ_ENOTFOUND, "this broker has no directory yet");
    }
    return yzi_directory_bundle(b->directory, out);
}

static int verb_records_put(struct broker *b, const struct admin_request *q, yz_bytes payload,
                            yz_buf *text, yz_buf *out, yz_error *err)
{
    (void)q;
    (void)out;
    yz_reader r = yzi_reader(payload);
    int result = YZ_OK;
    while (r.left) {
        struct record record;
        if (yzi_record_next(&r, &record) < 0) {
            return yzi_fail(err, YZ_EMALFORMED, "the payload is not a sequence of records");
        }
        yz_error one = {0};
        int rc = yzi_broker_take_record(b, &record, NULL, &one);
        YZ_TRY(yzi_buf_printf(text, "%s: %s%s%s", yzi_record_kind_name(record.kind),
                              rc < 0 ? yz_err_words(rc) : "taken", one.text[0] ? ": " : "",
                              one.text));
        if (rc == YZ_OK && record.kind == RECORD_MEMBER_SET) {
            YZ_TRY(yzi_directory_note_revoked(b->directory, record.body, b->wall, text));
        }
        YZ_TRY(yzi_buf_put_str(text, "\n"));
        if (rc < 0 && result == YZ_OK) {
            result = yzi_fail(err, rc, "%s: %s", yzi_record_kind_name(record.kind), one.text);
        }
    }
    return result;
}

/* A list comes as the payload: a reply's text is cut at 3 KiB. */
static int verb_peers(struct broker *b, const struct admin_request *q, yz_bytes payload,
                      yz_buf *text, yz_buf *out, yz_error *err)
{
    (void)q;
    (void)payload;
    (void)text;
    (void)err;
    struct json j;
    yzi_json_init(&j, out, true);
    yzi_json_array(&j);
    for (struct table_item *i = yzi_table_first(&b->connections.by_id); i; i = yzi_table_next(i)) {
        const struct connection *k = yzi_table_value(i);
        if (!k->live) {
            continue;
        }
        yzi_json_object(&j);
        yzi_json_key(&j, "node");
        yzi_json_str(&j, k->node);
        yzi_json_key(&j, "role");
        yzi_json_str(&j, yzi_role_name(k->role));
        yzi_json_key(&j, "welcomed");
        yzi_json_bool(&j, k->hello);
        yzi_json_key(&j, "asked");
        yzi_json_u64(&j, k->load->in_flight);
        yzi_json_key(&j, "outstanding");
        yzi_json_u64(&j, k->outstanding);
        yzi_json_key(&j, "silent_ms");
        yzi_json_u64(&j, b->mono - k->seen_mono);
        yzi_json_object_end(&j);
    }
    yzi_json_array_end(&j);
    return yzi_json_end(&j);
}

static int verb_purposes(struct broker *b, const struct admin_request *q, yz_bytes payload,
                         yz_buf *text, yz_buf *out, yz_error *err)
{
    (void)q;
    (void)payload;
    (void)text;
    struct directory_proof p;
    if (!b->directory) {
        return yzi_fail(err, YZ_EUNAVAILABLE, "this broker has no directory yet");
    }
    int rc = yzi_directory_prove(b->directory, RECORD_PURPOSES, (yz_bytes){0}, &p);
    return rc == YZ_ENOTFOUND ? YZ_OK : rc < 0 ? rc : yzi_buf_put(out, p.raw);
}

static const struct admin_verb verbs[] = {
    {"status", verb_status},
    {"peers", verb_peers},
    {"anchor.set", verb_anchor_set},
    {"directory.put", verb_directory_put},
    {"directory.get", verb_directory_get},
    {"records.put", verb_records_put},
    {"purposes.get", verb_purposes},
    {NULL, NULL},
};

static admin_verb_handler *handler_of(const struct admin_request *q)
{
    const struct admin_verb *const tables[] = {verbs, yzi_broker_evidence_verbs};
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        for (const struct admin_verb *v = tables[t]; v->verb; v++) {
            if (yzi_bytes_eq_str(q->verb, v->verb)) {
                return v->handler;
            }
        }
    }
    return NULL;
}

/* A bundle may be larger than a message: then a file that comes along stands for the payload, of
 * the request, or of the reply where one is asked for. */
static int run(admin_verb_handler *handler, struct broker *b, const struct admin_request *q,
               yz_bytes payload, int fd, yz_buf *text, yz_buf *out, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf file;
    yzi_buf_init(&file, YZ_BUNDLE_BYTES_MAX);
    if (fd >= 0 && handler == verb_directory_put) {
        YZ_TRY(yzi_file_read_fd(fd, "the bundle", &file, err));
        payload = yzi_bytes_buf(&file);
    }
    YZ_TRY(handler(b, q, payload, text, out, err));
    if (fd >= 0 && handler == verb_directory_get) {
        YZ_TRY(yzi_file_write_fd(fd, "the bundle", yzi_bytes_buf(out), err));
        yzi_buf_clear(out);
    }
    return YZ_OK;
}

void yzi_broker_admin(void *ctx, struct admin_call *call, const struct admin_request *request,
                      yz_bytes payload, int fd)
{
    struct broker *b = ctx;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yzi_buf_init(&text, REPLY_MAX / 2);
    yzi_buf_init(&out, fd < 0 ? REPLY_MAX / 2 : YZ_BUNDLE_BYTES_MAX);
    yz_error err = {0};
    admin_verb_handler *handler = handler_of(request);
    int rc = handler ? run(handler, b, request, payload, fd, &text, &out, &err) : YZ_EUNSUPPORTED;
    if (!handler) {
        yzi_fail(&err, rc, "a broker has no verb '%.*s'", (int)request->verb.n,
                 (const char *)request->verb.p);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (rc < 0) {
        yz_bytes words = err.text[0] ? yzi_bytes_str(err.text) : yzi_bytes_str(yz_err_words(rc));
        yzi_admin_reply(call, true, rc, words, (yz_bytes){0});
        return;
    }
    yzi_admin_reply(call, true, YZ_OK, yzi_bytes_buf(&text), yzi_bytes_buf(&out));
}
