/* SPDX-License-Identifier: Apache-2.0
 *
 * Imports, differences, exports, backups and rotations of keys, on the writer thread one after the
 * other. What an import changes or an export writes is the business of adapters/dataset/; here are
 * its ends: the files that came along, and what is told meanwhile.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/dataset/export.h"
#include "adapters/dataset/rejects.h"
#include "adapters/workers.h"

struct running {
    struct import_job *job;
    const struct data_job_told *told;
    struct change_writer changes;
};

static void on_fault(void *ctx, const struct import_fault *f)
{
    const struct running *r = ctx;
    r->told->fault(r->told->ctx, f);
}

static void on_progress(void *ctx, const struct work_progress *at)
{
    const struct running *r = ctx;
    r->told->progress(r->told->ctx, at);
}

static int on_change(void *ctx, const struct import_change *c)
{
    struct running *r = ctx;
    return yzi_change_write(&r->changes, c);
}

static void on_between(void *ctx)
{
    const struct running *r = ctx;
    r->told->between(r->told->ctx);
}

static struct import_source source_of(struct running *r)
{
    const struct import_job *j = r->job;
    return (struct import_source){.fd = j->fd,
                                  .name = j->name,
                                  .format = j->format,
                                  .mode = j->mode ? j->mode : IMPORT_UPSERT,
                                  .dry_run = j->dry_run,
                                  .fault = on_fault,
                                  .progress = on_progress,
                                  .ctx = r,
                                  .max_faults = j->max_faults,
                                  .cancel = &j->cancel};
}

/* Anything else could block the writer for as long as somebody does not read. */
static int check_out(struct import_job *j)
{
    struct stat st;
    if (!j->has_out || fstat(j->out_fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return yzi_fail(&j->err, YZ_EINVAL, "a regular file to write to was not passed");
    }
    return YZ_OK;
}

static int import(struct running *r)
{
    struct import_job *j = r->job;
    struct import_source source = source_of(r);
    if (!j->rejects) {
        return yzi_store_import(j->store, &source, &j->report, &j->err);
    }
    YZ_TRY(check_out(j));
    YZ_TRY(yzi_rejects_new(j->out_fd, &source.rejects));
    int rc = yzi_store_import(j->store, &source, &j->report, &j->err);
    yzi_rejects_free(source.rejects);
    return rc;
}

static int diff(struct running *r)
{
    struct import_job *j = r->job;
    struct import_source source = source_of(r);
    YZ_TRY(check_out(j));
    source.dry_run = true;
    source.change = on_change;
    yzi_change_writer_init(&r->changes, j->out_fd, j->dataset, j->json, j->sensitive);
    int rc = yzi_store_import(j->store, &source, &j->report, &j->err);
    if (rc == 0 && (rc = yzi_change_writer_flush(&r->changes)) < 0) {
        rc = yzi_fail(&j->err, rc, "%s: the differences could not be written (%s)", j->name,
                      yz_err_words(rc));
    }
    yzi_change_writer_fini(&r->changes);
    return rc;
}

static int export(struct running *r)
{
    struct import_job *j = r->job;
    YZ_TRY(check_out(j));
    const struct export_options o = {.fd = j->out_fd,
                                     .format = j->format,
                                     .sensitive = j->sensitive,
                                     .cancel = &j->cancel,
                                     .progress = on_progress,
                                     .ctx = r};
    YZ_TRY(yzi_store_export(j->store, &o, &j->report.rows, &j->err));
    return yzi_store_sequence(j->store, &j->report.sequence);
}

static int backup(struct running *r)
{
    struct import_job *j = r->job;
    struct store_state state;
    YZ_TRY(check_out(j));
    YZ_TRY(yzi_store_backup(j->store, j->out_fd, &state, &j->err));
    j->report.rows = state.records;
    j->report.sequence = state.sequence;
    memcpy(j->key_id, state.key_id, sizeof j->key_id);
    return YZ_OK;
}

static int rotate(struct running *r)
{
    struct import_job *j = r->job;
    const struct rotation o = {
        .progress = on_progress, .between = on_between, .ctx = r, .cancel = &j->cancel};
    YZ_TRY(yzi_store_rotate(j->store, &o, &j->rotation, &j->err));
    j->report.rows = j->rotation.records;
    j->report.sequence = j->rotation.sequence;
    return YZ_OK;
}

static int run(struct running *r)
{
    struct import_job *j = r->job;
    int rc = yzi_store_settle(j->store, &j->err);
    j->dataset = yzi_store_ref_dataset(j->store);
    YZ_TRY(rc);
    switch (j->work) {
    case WORK_DIFF:
        return diff(r);
    case WORK_EXPORT:
        return export(r);
    case WORK_BACKUP:
        return backup(r);
    case WORK_ROTATE:
        return rotate(r);
    case WORK_IMPORT:
    default:
        return import(r);
    }
}

void yzi_data_job_run(struct import_job *j, const struct data_job_told *told)
{
    struct running r = {.job = j, .told = told};
    j->rc = run(&r);
    if (j->rc < 0 && j->err.code == 0) {
        yz_ignore(
            yzi_fail(&j->err, j->rc, "%s: %s", j->name ? j->name : "the job", yz_err_words(j->rc)),
            "it is in j->rc");
    }
}
