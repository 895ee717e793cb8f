/* SPDX-License-Identifier: Apache-2.0
 *
 * The administration socket's verbs about data sets (docs/operations.md). What is quick is answered
 * at once; imports, differences, exports, backups and rotations of keys run on the writer thread,
 * and their calls wait,
 * receiving progress, until the report is there. A call whose peer hangs up is cancelled.
 */
#include <unistd.h>

#include "adapters/adapter.h"
#include "adapters/dataset/export.h"
#include "base/json.h"
#include "base/text.h"

#define REPLY_MAX (4u * 1024u * 1024u)
#define FAULTS_MAX 1000000u

static void reply(struct admin_call *call, int code, const yz_error *err, yz_bytes payload)
{
    yz_bytes text = {0};
    if (code < 0) {
        text = err->text[0] ? yzi_bytes_str(err->text) : yzi_bytes_str(yz_err_words(code));
        payload = (yz_bytes){0};
    }
    yzi_admin_reply(call, true, code, text, payload);
}

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

static int find(struct adapter *a, const struct admin_request *q, struct store **out, yz_error *err)
{
    yz_bytes dataset = yzi_admin_arg(q, "dataset");
    *out = yzi_adapter_store(a, dataset);
    return *out ? YZ_OK
                : yzi_fail(err, YZ_ENOTFOUND, "this adapter holds no data set '%.*s'",
                           (int)dataset.n, (const char *)dataset.p);
}

/* -- list, count, show: answered as the payload, since a reply's text is cut at 3 KiB -- */

static int write_state(struct store *s, const char *name, struct json *j)
{
    struct store_state state;
    YZ_TRY(yzi_store_state(s, &state));
    put_str(j, "dataset", name);
    put_u64(j, "records", state.records);
    put_u64(j, "sequence", state.sequence);
    put_u64(j, "generation", state.generation);
    put_u64(j, "indexes_building", state.indexes_building);
    put_u64(j, "indexes_broken", state.indexes_broken);
    if (state.has_key) {
        put_str(j, "key_id", state.key_id[0] ? state.key_id : "storage");
        put_u64(j, "key_since", state.key_since);
        yzi_json_key(j, "former_key_left");
        yzi_json_bool(j, state.key_left);
    }
    return YZ_OK;
}

static int write_list(struct adapter *a, struct json *j)
{
    yzi_json_array(j);
    for (size_t i = 0; i < a->datasets_n; i++) {
        yzi_json_object(j);
        YZ_TRY(write_state(a->datasets[i].store, a->datasets[i].name, j));
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
    return YZ_OK;
}

static void write_field(const struct dataset *d, unsigned i, struct json *j)
{
    const struct dataset_field *f = &d->fields[i];
    yzi_json_object(j);
    put_str(j, "name", f->name);
    put_str(j, "element", f->element);
    put_str(j, "type", yzi_field_type_name(f->type));
    put_str(j, "classification", yzi_classification_name(f->classification));
    yzi_json_key(j, "required");
    yzi_json_bool(j, f->required);
    put_u64(j, "max_length", f->max_length);
    yzi_json_object_end(j);
}

static void write_names(const struct dataset *d, const unsigned *fields, size_t n, struct json *j)
{
    yzi_json_array(j);
    for (size_t i = 0; i < n; i++) {
        yzi_json_str(j, d->fields[fields[i]].name);
    }
    yzi_json_array_end(j);
}

static void write_indexes(const struct dataset *d, struct json *j)
{
    yzi_json_key(j, "indexes");
    yzi_json_array(j);
    for (size_t i = 0; i < d->indexes_n; i++) {
        yzi_json_object(j);
        put_str(j, "name", d->indexes[i].name);
        yzi_json_key(j, "fields");
        write_names(d, d->indexes[i].fields, d->indexes[i].fields_n, j);
        yzi_json_key(j, "unique");
        yzi_json_bool(j, d->indexes[i].unique);
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
}

static int write_definition(struct store *s, const struct dataset *d, struct json *j)
{
    yzi_json_object(j);
    YZ_TRY(write_state(s, d->name, j));
    put_str(j, "owner", d->owner);
    put_str(j, "sharing", yzi_sharing_name(d->sharing));
    yzi_json_key(j, "key");
    write_names(d, d->key, d->key_n, j);
    yzi_json_key(j, "fields");
    yzi_json_array(j);
    for (unsigned i = 0; i < d->fields_n; i++) {
        write_field(d, i, j);
    }
    yzi_json_array_end(j);
    write_indexes(d, j);
    yzi_json_object_end(j);
    return YZ_OK;
}

static int write_show(struct store *s, const struct admin_request *q, struct json *j, yz_error *err)
{
    yz_bytes key[DATASET_KEY_MAX];
    size_t n = 0;
    for (size_t i = 0; i < q->args_n; i++) {
        static const char *const names[] = {"key",  "key2", "key3", "key4",
                                            "key5", "key6", "key7", "key8"};
        if (n < DATASET_KEY_MAX && yzi_bytes_eq_str(q->args[i].key, names[n])) {
            key[n++] = q->args[i].value;
        }
    }
    bool sensitive = yzi_bytes_eq_str(yzi_admin_arg(q, "sensitive"), "1");
    if (n > 0) {
        return yzi_store_show(s, key, n, sensitive, j, err);
    }
    const struct dataset *d = yzi_store_ref_dataset(s);
    int rc = write_definition(s, d, j);
    yzi_dataset_unref(d);
    return rc;
}

static int look(struct adapter *a, const struct admin_request *q, struct json *j, yz_error *err)
{
    struct store *s;
    if (yzi_bytes_eq_str(q->verb, "data.list")) {
        return write_list(a, j);
    }
    YZ_TRY(find(a, q, &s, err));
    if (yzi_bytes_eq_str(q->verb, "data.show")) {
        return write_show(s, q, j, err);
    }
    const struct dataset *d = yzi_store_ref_dataset(s);
    yzi_json_object(j);
    int rc = write_state(s, d->name, j);
    yzi_dataset_unref(d);
    YZ_TRY(rc);
    yzi_json_object_end(j);
    return YZ_OK;
}

static void verb_look(struct adapter *a, struct admin_call *call, const struct admin_request *q)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf out;
    yz_error err = {0};
    struct json j;
    yzi_buf_init(&out, REPLY_MAX);
    yzi_json_init(&j, &out, true);
    int rc = look(a, q, &j, &err);
    rc = rc < 0 ? rc : yzi_json_end(&j);
    reply(call, rc, &err, yzi_bytes_buf(&out));
}

/* -- import, diff, export -- */

static bool is_flag(const struct admin_request *q, const char *name)
{
    return yzi_bytes_eq_str(yzi_admin_arg(q, name), "1");
}

/* The value of an argument among names in the order of an enum; the first when it is not given. */
static int choose(const struct admin_request *q, const char *arg, const char *const names[],
                  unsigned *out, yz_error *err)
{
    yz_bytes v = yzi_admin_arg(q, arg);
    *out = 0;
    for (unsigned i = 0; v.n && names[i]; i++) {
        if (yzi_bytes_eq_str(v, names[i])) {
            *out = i;
            return YZ_OK;
        }
    }
    return v.n ? yzi_fail(err, YZ_EINVAL, "the %s '%.*s' is unknown", arg, (int)v.n,
                          (const char *)v.p)
               : YZ_OK;
}

static int read_arguments(const struct admin_request *q, struct import_job *j, yz_error *err)
{
    static const char *const formats[] = {"csv", "json", "jsonl", "xml", NULL};
    static const char *const modes[] = {"upsert", "insert", "replace", "delete", NULL};
    unsigned format, mode;
    yz_bytes faults = yzi_admin_arg(q, "max_faults");
    YZ_TRY(choose(q, "format", formats, &format, err));
    YZ_TRY(choose(q, "mode", modes, &mode, err));
    j->format = (enum import_format)format;
    j->mode = (enum import_mode)(mode + 1);
    j->dry_run = is_flag(q, "dry_run");
    j->rejects = is_flag(q, "rejects");
    j->sensitive = is_flag(q, "sensitive");
    j->json = is_flag(q, "json");
    if (faults.n && yzi_u64_parse(faults, FAULTS_MAX, &j->max_faults) < 0) {
        return yzi_fail(err, YZ_EINVAL, "max_faults is a number up to %u", FAULTS_MAX);
    }
    return yzi_bytes_dup_str(yzi_admin_arg(q, "name"), &j->name);
}

static int submit(struct adapter *a, struct import_job *j, yz_error *err)
{
    size_t slot = 0;
    while (slot < ADAPTER_DATA_JOBS_MAX && a->data_jobs[slot]) {
        slot++;
    }
    int rc = slot < ADAPTER_DATA_JOBS_MAX ? yzi_workers_import(a->workers, j) : YZ_EBUSY;
    if (rc < 0) {
        return yzi_fail(err, rc, "%s",
                        rc == YZ_EBUSY
                            ? "too many imports are waiting; try again when one has ended"
                            : yz_err_words(rc));
    }
    a->data_jobs[slot] = j;
    a->imports_out++;
    return YZ_OK;
}

static int start(struct adapter *a, struct admin_call *call, const struct admin_request *q,
                 enum data_work work, int *fd, yz_error *err)
{
    struct store *store;
    YZ_TRY(find(a, q, &store, err));
    if (a->draining) {
        return yzi_fail(err, YZ_EUNAVAILABLE, "this adapter is about to end");
    }
    bool writes = work == WORK_EXPORT || work == WORK_BACKUP;
    if (*fd < 0 && work != WORK_ROTATE) {
        return yzi_fail(err, YZ_EINVAL, "the file to %s was not passed",
                        writes ? "write to" : "import");
    }
    struct import_job *j;
    YZ_TRY(yzi_alloc(1, sizeof *j, &j));
    *j = (struct import_job){.work = work, .store = yzi_store_ref(store), .fd = *fd, .call = call};
    *fd = -1;
    if (writes) {
        j->out_fd = j->fd;
        j->fd = -1;
    } else {
        j->out_fd = yzi_admin_take_second_fd(call);
    }
    j->has_out = j->out_fd >= 0;
    int rc = read_arguments(q, j, err);
    rc = rc < 0 ? rc : submit(a, j, err);
    if (rc < 0) {
        yzi_import_job_free(j);
    }
    return rc;
}

/* -- cancelling -- */

void yzi_adapter_cancel_jobs(struct adapter *a, bool all)
{
    for (size_t i = 0; i < ADAPTER_DATA_JOBS_MAX; i++) {
        struct import_job *j = a->data_jobs[i];
        if (j && (all || yzi_admin_call_is_abandoned(j->call))) {
            atomic_store(&j->cancel, true);
        }
    }
}

static void verb_cancel(struct adapter *a, struct admin_call *call, const struct admin_request *q)
{
    yz_error err = {0};
    struct store *store;
    char text[64];
    unsigned n = 0;
    int rc = find(a, q, &store, &err);
    for (size_t i = 0; rc == YZ_OK && i < ADAPTER_DATA_JOBS_MAX; i++) {
        struct import_job *j = a->data_jobs[i];
        if (j && j->store == store) {
            atomic_store(&j->cancel, true);
            n++;
        }
    }
    snprintf(text, sizeof text, "{\"cancelled\": %u}\n", n);
    reply(call, rc, &err, yzi_bytes_str(text));
}

/* -- what comes back -- */

static void write_progress(const struct finished *f, struct json *j)
{
    if (f->fault) {
        put_str(j, "fault", f->fault);
        return;
    }
    put_str(j, "phase", yzi_work_phase_name(f->progress.phase));
    put_u64(j, "rows", f->progress.rows);
    put_u64(j, "done", f->progress.done);
    put_u64(j, "total", f->progress.total);
}

static void write_report(const struct import_job *i, struct json *j)
{
    const struct dataset *d = i->dataset;
    put_u64(j, "rows", i->report.rows);
    put_u64(j, "inserted", i->report.inserted);
    put_u64(j, "updated", i->report.updated);
    put_u64(j, "unchanged", i->report.unchanged);
    put_u64(j, "deleted", i->report.deleted);
    put_u64(j, "absent", i->report.absent);
    put_u64(j, "rejected", i->report.rejected);
    put_u64(j, "faults", i->report.faults);
    put_u64(j, "sequence", i->report.sequence);
    yzi_json_key(j, "unseen");
    yzi_json_array(j);
    for (size_t k = 0; k < d->fields_n; k++) {
        if (i->report.unseen[k]) {
            yzi_json_str(j, d->fields[k].name);
        }
    }
    yzi_json_array_end(j);
}

static void write_rotation(const struct import_job *i, struct json *j)
{
    const struct rotation_report *r = &i->rotation;
    put_u64(j, "rows", r->records);
    put_u64(j, "sequence", r->sequence);
    put_str(j, "key_id", r->key_id);
    put_u64(j, "key_since", r->since);
    put_str(j, "former_key_id", r->former_id[0] ? r->former_id : "storage");
    yzi_json_key(j, "former_key_destroyed");
    yzi_json_bool(j, r->destroyed);
}

static void write_backup(const struct import_job *i, struct json *j)
{
    put_u64(j, "rows", i->report.rows);
    put_u64(j, "sequence", i->report.sequence);
    put_str(j, "key_id", i->key_id);
}

static void write_result(const struct import_job *i, struct json *j)
{
    if (i->work == WORK_ROTATE) {
        write_rotation(i, j);
    } else if (i->work == WORK_BACKUP) {
        write_backup(i, j);
    } else {
        write_report(i, j);
    }
}

static void log_rotation(const struct import_job *i)
{
    yzi_log(&ADAPTER_KEY_ROTATED,
            (struct log_field[]){
                log_str("dataset", i->dataset->name),
                log_str("key", i->rotation.key_id),
                log_str("former", i->rotation.former_id[0] ? i->rotation.former_id : "storage"),
                log_num("destroyed", i->rotation.destroyed),
                log_num("records", (int64_t)i->rotation.records),
                {0}});
}

static void log_failure(const struct import_job *i)
{
    bool cancelled = i->rc == YZ_ECANCELLED;
    yzi_log_error(i->work == WORK_ROTATE   ? &ADAPTER_ROTATION_FAILED
                  : i->work == WORK_BACKUP ? &ADAPTER_BACKUP_FAILED
                  : cancelled              ? &ADAPTER_IMPORT_CANCELLED
                                           : &ADAPTER_IMPORT_FAILED,
                  &i->err, NULL);
}

static void log_result(const struct import_job *i)
{
    if (i->rc < 0) {
        log_failure(i);
    } else if (i->work == WORK_ROTATE) {
        log_rotation(i);
    } else if (i->work == WORK_BACKUP) {
        yzi_log(&ADAPTER_BACKED_UP,
                (struct log_field[]){log_str("dataset", i->dataset->name),
                                     log_num("records", (int64_t)i->report.rows),
                                     log_str("key", i->key_id),
                                     {0}});
    } else if (i->work == WORK_IMPORT) {
        yzi_log(&ADAPTER_IMPORT_DONE,
                (struct log_field[]){log_str("dataset", i->dataset->name),
                                     log_str("file", i->name),
                                     log_num("rows", (int64_t)i->report.rows),
                                     log_num("inserted", (int64_t)i->report.inserted),
                                     log_num("updated", (int64_t)i->report.updated),
                                     log_num("deleted", (int64_t)i->report.deleted),
                                     log_num("rejected", (int64_t)i->report.rejected),
                                     log_num("sequence", (int64_t)i->report.sequence),
                                     {0}});
    } else if (i->work == WORK_EXPORT) {
        yzi_log(&ADAPTER_EXPORTED, (struct log_field[]){log_str("dataset", i->dataset->name),
                                                        log_num("records", (int64_t)i->report.rows),
                                                        log_num("sensitive", i->sensitive),
                                                        {0}});
    }
}

static void forget(struct adapter *a, const struct import_job *j)
{
    for (size_t i = 0; i < ADAPTER_DATA_JOBS_MAX; i++) {
        if (a->data_jobs[i] == j) {
            a->data_jobs[i] = NULL;
            a->imports_out--;
        }
    }
}

/* Faults are told as there is room for them: who is told some only has to know it. */
static void tell_faults(const struct import_job *i)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    struct json j;
    yzi_buf_init(&text, REPLY_MAX);
    yzi_json_init(&j, &text, false);
    yzi_json_object(&j);
    put_u64(&j, "faults", i->report.faults);
    yzi_json_object_end(&j);
    if (yzi_json_end(&j) == YZ_OK) {
        yzi_admin_reply(i->call, false, YZ_OK, yzi_bytes_buf(&text), (yz_bytes){0});
    }
}

void yzi_adapter_on_import(struct adapter *a, const struct finished *f)
{
    struct import_job *i = f->import;
    bool done = f->kind == FINISHED_IMPORT;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, REPLY_MAX);
    struct json j;
    if (done) {
        forget(a, i);
        log_result(i);
    }
    if (done && i->rc < 0) {
        if (i->rc == YZ_EDATA) {
            tell_faults(i);
        }
        reply(i->call, i->rc, &i->err, (yz_bytes){0});
        return;
    }
    yzi_json_init(&j, &text, false);
    yzi_json_object(&j);
    if (done) {
        write_result(i, &j);
    } else {
        write_progress(f, &j);
    }
    yzi_json_object_end(&j);
    int rc = yzi_json_end(&j);
    yzi_admin_reply(i->call, done, rc, done ? (yz_bytes){0} : yzi_bytes_buf(&text),
                    done ? yzi_bytes_buf(&text) : (yz_bytes){0});
}

/* -- dispatch -- */

bool yzi_adapter_data_verb(struct adapter *a, struct admin_call *call,
                           const struct admin_request *q, int *fd)
{
    static const struct {
        const char *verb;
        enum data_work work;
    } works[] = {{"data.import", WORK_IMPORT},
                 {"data.diff", WORK_DIFF},
                 {"data.export", WORK_EXPORT},
                 {"data.backup", WORK_BACKUP},
                 {"data.rotate-key", WORK_ROTATE}};
    static const char *const looks[] = {"data.list", "data.count", "data.show"};
    yz_error err = {0};
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++) {
        if (yzi_bytes_eq_str(q->verb, works[i].verb)) {
            int rc = start(a, call, q, works[i].work, fd, &err);
            if (rc < 0) {
                reply(call, rc, &err, (yz_bytes){0});
            }
            return true;
        }
    }
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
        if (yzi_bytes_eq_str(q->verb, looks[i])) {
            verb_look(a, call, q);
            return true;
        }
    }
    if (yzi_bytes_eq_str(q->verb, "data.cancel")) {
        verb_cancel(a, call, q);
        return true;
    }
    return false;
}
