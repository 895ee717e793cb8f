/* SPDX-License-Identifier: Apache-2.0
 *
 * The administration socket's verbs (docs/operations.md); those about data are in admin_data.c.
 */
#include <unistd.h>

#include "adapters/adapter.h"
#include "base/json.h"

#define RECORD_ARENA_MAX (4u * 1024u * 1024u) /* room for any record */
#define REPLY_MAX (4u * 1024u * 1024u)

static void reply_text(struct admin_call *call, int code, const yz_error *err, yz_bytes text)
{
    if (code < 0) {
        text = err->text[0] ? yzi_bytes_str(err->text) : yzi_bytes_str(yz_err_words(code));
    }
    yzi_admin_reply(call, true, code, text, (yz_bytes){0});
}

/* -- status -- */

static void put_u64(struct json *j, const char *key, uint64_t v)
{
    yzi_json_key(j, key);
    yzi_json_u64(j, v);
}

static void put_str(struct json *j, const char *key, const char *v)
{
    yzi_json_key(j, key);
    yzi_json_str(j, v);
}

static const char *receipts_word(const struct receipts *r)
{
    return r->is_false ? "false" : r->is_overdue ? "missing" : "ok";
}

static void put_broker(const struct upstream *u, struct json *j)
{
    const struct receipts *r = &u->receipts;
    yzi_json_object(j);
    yzi_json_key(j, "node");
    yzi_json_text(j, u->broker.v);
    yzi_json_key(j, "up");
    yzi_json_bool(j, u->up);
    put_str(j, "receipts", receipts_word(r));
    put_u64(j, "receipts_owed", yzi_table_count(&r->owed));
    put_u64(j, "receipts_proved", r->proved);
    put_u64(j, "receipts_missed", r->missed);
    yzi_json_object_end(j);
}

static void put_brokers(struct adapter *a, struct json *j)
{
    yzi_json_key(j, "brokers");
    yzi_json_array(j);
    for (unsigned i = 0; i < a->upstreams_n; i++) {
        put_broker(&a->upstreams[i], j);
    }
    yzi_json_array_end(j);
}

static int write_status(struct adapter *a, yz_buf *out)
{
    static const char *const states[] = {"none", "fresh", "aging", "expired"};
    uint64_t age = 0;
    enum trust_state state = yzi_trust_state(a->trust, &age);
    struct json j;
    yzi_json_init(&j, out, true);
    yzi_json_object(&j);
    put_str(&j, "node", a->config->node);
    put_str(&j, "version", YZ_VERSION);
    put_str(&j, "directory", states[state]);
    put_u64(&j, "directory_version", a->directory ? yzi_directory_version(a->directory) : 0);
    put_u64(&j, "freshness_age_ms", age);
    yzi_json_key(&j, "listed");
    yzi_json_bool(&j, a->listed);
    put_brokers(a, &j);
    put_u64(&j, "answering", a->jobs_out);
    put_u64(&j, "answered", a->answered);
    put_u64(&j, "rejected", a->rejected);
    put_u64(&j, "remembered", yzi_memory_count(&a->memory));
    yzi_json_object_end(&j);
    return yzi_json_end(&j);
}

static void verb_status(struct adapter *a, struct admin_call *call)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yzi_buf_init(&out, REPLY_MAX);
    yz_error err = {0};
    int rc = write_status(a, &out);
    reply_text(call, rc, &err, yzi_bytes_buf(&out));
}

/* -- records.put -- */

static int put_member_set(struct adapter *a, const struct record *r, yz_error *err)
{
    int rc = yzi_trust_put_member_set(a->trust, r->raw, err);
    if (rc < 0 && rc != YZ_EEXIST) {
        return rc;
    }
    if (rc == YZ_OK) {
        yzi_adapter_directory_changed(a); /* which passes it on */
    } else {
        yzi_adapter_put_everywhere(a, r->raw); /* we had it: a broker may not */
    }
    return YZ_OK;
}

static void log_policy(const struct record *offer)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, RECORD_ARENA_MAX);
    struct offer o;
    if (yzi_offer_parse(offer->body, &arena, &o) == YZ_OK) {
        yzi_log(&ADAPTER_POLICY_ADOPTED,
                (struct log_field[]){log_bytes("subsystem", o.subsystem.v),
                                     log_num("version", (int64_t)o.version),
                                     {0}});
    }
}

static int put_offer(struct adapter *a, const struct record *offer, const struct record *terms,
                     yz_error *err)
{
    if (!a->listed) {
        return yzi_fail(err, YZ_EUNKNOWNKEY,
                        "the directory in force does not list this adapter; admit the node and "
                        "publish the directory first");
    }
    int rc =
        yzi_policies_put(a->policies, a->directory, &a->self, offer->raw, terms->raw, a->wall, err);
    if (rc < 0 && rc != YZ_EEXIST) {
        return rc;
    }
    log_policy(offer);
    yzi_adapter_put_everywhere(a, offer->raw);
    return YZ_OK;
}

/* Member sets on their own; an offer is followed by its terms. */
static int put_records(struct adapter *a, yz_bytes payload, yz_buf *text, yz_error *err)
{
    yz_reader r = yzi_reader(payload);
    while (r.left) {
        struct record record, terms;
        if (yzi_record_next(&r, &record) < 0) {
            return yzi_fail(err, YZ_EMALFORMED, "the payload is not a sequence of records");
        }
        if (record.kind == RECORD_MEMBER_SET) {
            YZ_TRY(put_member_set(a, &record, err));
            YZ_TRY(yzi_directory_note_revoked(a->directory, record.body, a->wall, text));
        } else if (record.kind == RECORD_OFFER) {
            if (yzi_record_next(&r, &terms) < 0 || terms.kind != RECORD_TERMS) {
                return yzi_fail(err, YZ_EMALFORMED, "an offer must be followed by its terms");
            }
            YZ_TRY(put_offer(a, &record, &terms, err));
        } else {
            return yzi_fail(err, YZ_EUNSUPPORTED, "an adapter does not take a %s record",
                            yzi_record_kind_name(record.kind));
        }
    }
    return YZ_OK;
}

static void verb_records_put(struct adapter *a, struct admin_call *call, yz_bytes payload)
{
    yz_error err = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, REPLY_MAX);
    int rc = yzi_buf_put_str(&text, "in force");
    rc = rc < 0 ? rc : put_records(a, payload, &text, &err);
    if (rc < 0) {
        err.code = rc;
        yzi_log_error(&ADAPTER_POLICY_REFUSED, &err, NULL);
    }
    reply_text(call, rc, &err, yzi_bytes_buf(&text));
}

/* -- purposes.get -- */

/* The list in force as the payload, which is empty when there is none. */
static void verb_purposes(const struct adapter *a, struct admin_call *call)
{
    struct directory_proof p = {0};
    yz_error err = {0};
    if (!a->directory) {
        int rc = yzi_fail(&err, YZ_EUNAVAILABLE, "this adapter has no directory yet");
        reply_text(call, rc, &err, (yz_bytes){0});
        return;
    }
    int rc = yzi_directory_prove(a->directory, RECORD_PURPOSES, (yz_bytes){0}, &p);
    if (rc < 0 && rc != YZ_ENOTFOUND) {
        reply_text(call, rc, &err, (yz_bytes){0});
        return;
    }
    yzi_admin_reply(call, true, YZ_OK, (yz_bytes){0}, rc == YZ_OK ? p.raw : (yz_bytes){0});
}

/* -- dispatch -- */

void yzi_adapter_admin(void *ctx, struct admin_call *call, const struct admin_request *q,
                       yz_bytes payload, int fd)
{
    struct adapter *a = ctx;
    yz_error err = {0};
    if (yzi_bytes_eq_str(q->verb, "status")) {
        verb_status(a, call);
    } else if (yzi_bytes_eq_str(q->verb, "records.put")) {
        verb_records_put(a, call, payload);
    } else if (yzi_bytes_eq_str(q->verb, "purposes.get")) {
        verb_purposes(a, call);
    } else if (yzi_bytes_eq_str(q->verb, "data.explain")) {
        yzi_adapter_explain(a, call, q, payload);
    } else if (!yzi_adapter_data_verb(a, call, q, &fd)) {
        int rc = yzi_fail(&err, YZ_EUNSUPPORTED, "an adapter has no verb '%.*s'", (int)q->verb.n,
                          (const char *)q->verb.p);
        reply_text(call, rc, &err, (yz_bytes){0});
    }
    if (fd >= 0) {
        close(fd);
    }
}
