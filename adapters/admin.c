/* SPDX-License-Identifier: Apache-2.0
 *
 * The administration socket's verbs (docs/operations.md). An import runs on the writer thread; its
 * call waits, receiving progress, until the report is there.
 */
#include <unistd.h>

#include "adapters/adapter.h"
#include "base/json.h"

#define RECORD_ARENA_MAX (4u * 1024u * 1024u) /* room for any record */
#define REPLY_MAX (4u * 1024u * 1024u)

static void reply_text(struct admin_call *call, int code, const yz_error *err, yz_bytes text)
{
    if (code < 0) {
        text = err->text[0] ? yzi_bytes_str(err->text) : yzi_bytes_str(yz_err_name(code));
    }
    yzi_admin_reply(call, true, code, text, (yz_bytes){0});
}

/* -- status and data.list -- */

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

static void put_brokers(struct adapter *a, struct json *j)
{
    yzi_json_key(j, "brokers");
    yzi_json_array(j);
    for (unsigned i = 0; i < a->upstreams_n; i++) {
        yzi_json_object(j);
        yzi_json_key(j, "node");
        yzi_json_text(j, a->upstreams[i].broker.v);
        yzi_json_key(j, "up");
        yzi_json_bool(j, a->upstreams[i].up);
        yzi_json_object_end(j);
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

static int write_datasets(struct adapter *a, yz_buf *out)
{
    struct json j;
    yzi_json_init(&j, out, true);
    yzi_json_array(&j);
    for (size_t i = 0; i < a->datasets_n; i++) {
        uint64_t count = 0, sequence = 0;
        YZ_TRY(yzi_store_count(a->datasets[i].store, &count));
        YZ_TRY(yzi_store_sequence(a->datasets[i].store, &sequence));
        yzi_json_object(&j);
        put_str(&j, "dataset", a->datasets[i].dataset->name);
        put_u64(&j, "records", count);
        put_u64(&j, "sequence", sequence);
        yzi_json_object_end(&j);
    }
    yzi_json_array_end(&j);
    return yzi_json_end(&j);
}

/* A list comes as the payload: a reply's text is cut at 3 KiB. */
static void answer_json(struct adapter *a, struct admin_call *call, bool in_payload,
                        int (*write)(struct adapter *, yz_buf *))
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yzi_buf_init(&out, REPLY_MAX);
    yz_error err = {0};
    int rc = write(a, &out);
    if (rc < 0) {
        reply_text(call, rc, &err, (yz_bytes){0});
    } else if (in_payload) {
        yzi_admin_reply(call, true, YZ_OK, (yz_bytes){0}, yzi_bytes_buf(&out));
    } else {
        reply_text(call, rc, &err, yzi_bytes_buf(&out));
    }
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
static int put_records(struct adapter *a, yz_bytes payload, yz_error *err)
{
    yz_reader r = yzi_reader(payload);
    while (r.left) {
        struct record record, terms;
        if (yzi_record_next(&r, &record) < 0) {
            return yzi_fail(err, YZ_EMALFORMED, "the payload is not a sequence of records");
        }
        if (record.kind == RECORD_MEMBER_SET) {
            YZ_TRY(put_member_set(a, &record, err));
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
    int rc = put_records(a, payload, &err);
    if (rc < 0) {
        err.code = rc;
        yzi_log_error(&ADAPTER_POLICY_REFUSED, &err, NULL);
    }
    reply_text(call, rc, &err, yzi_bytes_str("in force"));
}

/* -- data.import -- */

static int start_import(struct adapter *a, struct admin_call *call, const struct admin_request *q,
                        int *fd, yz_error *err)
{
    yz_bytes dataset = yzi_admin_arg(q, "dataset");
    struct store *store = yzi_adapter_store(a, dataset);
    if (!store) {
        return yzi_fail(err, YZ_ENOTFOUND, "this adapter holds no data set '%.*s'", (int)dataset.n,
                        (const char *)dataset.p);
    }
    if (a->draining) {
        return yzi_fail(err, YZ_EUNAVAILABLE, "this adapter is about to end");
    }
    if (*fd < 0) {
        return yzi_fail(err, YZ_EINVAL, "the file to import was not passed");
    }
    struct import_job *j;
    YZ_TRY(yzi_alloc(1, sizeof *j, &j));
    *j = (struct import_job){.store = store,
                             .fd = *fd,
                             .call = call,
                             .dry_run = yzi_bytes_eq_str(yzi_admin_arg(q, "dry_run"), "1")};
    *fd = -1;
    int rc = yzi_bytes_dup_str(yzi_admin_arg(q, "name"), &j->name);
    if (rc == YZ_OK) {
        rc = yzi_workers_import(a->workers, j);
    }
    if (rc < 0) {
        yzi_import_job_free(j);
        return yzi_fail(err, rc, "%s",
                        rc == YZ_EBUSY
                            ? "too many imports are waiting; try again when one has ended"
                            : yz_err_name(rc));
    }
    a->imports_out++;
    return YZ_OK;
}

static void write_progress(const struct finished *f, struct json *j)
{
    if (f->fault) {
        put_str(j, "fault", f->fault);
        return;
    }
    put_u64(j, "rows", f->rows);
    put_u64(j, "bytes", f->bytes);
    put_u64(j, "bytes_total", f->bytes_total);
}

static void write_report(const struct import_job *i, struct json *j)
{
    put_u64(j, "rows", i->report.rows);
    put_u64(j, "inserted", i->report.inserted);
    put_u64(j, "updated", i->report.updated);
    put_u64(j, "unchanged", i->report.unchanged);
    put_u64(j, "faults", i->report.faults);
    put_u64(j, "sequence", i->report.sequence);
}

void yzi_adapter_on_import(struct adapter *a, const struct finished *f)
{
    struct import_job *i = f->import;
    bool done = f->kind == FINISHED_IMPORT;
    a->imports_out -= done;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, REPLY_MAX);
    struct json j;
    yzi_json_init(&j, &text, false);
    yzi_json_object(&j);
    if (done) {
        write_report(i, &j);
    } else {
        write_progress(f, &j);
    }
    yzi_json_object_end(&j);
    int rc = yzi_json_end(&j);
    if (done && i->rc < 0) {
        yzi_log_error(&ADAPTER_IMPORT_FAILED, &i->err, NULL);
        reply_text(i->call, i->rc, &i->err, (yz_bytes){0});
        return;
    }
    if (done) {
        yzi_log(&ADAPTER_IMPORT_DONE,
                (struct log_field[]){log_str("dataset", yzi_store_dataset(i->store)->name),
                                     log_str("file", i->name),
                                     log_num("rows", (int64_t)i->report.rows),
                                     log_num("inserted", (int64_t)i->report.inserted),
                                     log_num("updated", (int64_t)i->report.updated),
                                     {0}});
    }
    yzi_admin_reply(i->call, done, rc, yzi_bytes_buf(&text), (yz_bytes){0});
}

/* -- dispatch -- */

void yzi_adapter_admin(void *ctx, struct admin_call *call, const struct admin_request *q,
                       yz_bytes payload, int fd)
{
    struct adapter *a = ctx;
    yz_error err = {0};
    if (yzi_bytes_eq_str(q->verb, "status")) {
        answer_json(a, call, false, write_status);
    } else if (yzi_bytes_eq_str(q->verb, "data.list")) {
        answer_json(a, call, true, write_datasets);
    } else if (yzi_bytes_eq_str(q->verb, "records.put")) {
        verb_records_put(a, call, payload);
    } else if (yzi_bytes_eq_str(q->verb, "data.import")) {
        int rc = start_import(a, call, q, &fd, &err);
        if (rc < 0) {
            reply_text(call, rc, &err, (yz_bytes){0});
        }
    } else {
        int rc = yzi_fail(&err, YZ_EUNSUPPORTED, "an adapter has no verb '%.*s'", (int)q->verb.n,
                          (const char *)q->verb.p);
        reply_text(call, rc, &err, (yz_bytes){0});
    }
    if (fd >= 0) {
        close(fd);
    }
}
