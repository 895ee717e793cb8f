/* SPDX-License-Identifier: Apache-2.0
 *
 * The threads beside the link thread: query workers, which answer jobs, and the writer, which
 * executes what changes data (several jobs at a time) and runs imports, one after the other. Both
 * take from a bounded queue and hand back through one queue of finished work whose descriptor the
 * link thread polls.
 */
#ifndef YZ_ADAPTERS_WORKERS_H
#define YZ_ADAPTERS_WORKERS_H

#include <pthread.h>

#include "adapters/builds.h"
#include "adapters/execute.h"
#include "adapters/reload.h"
#include "base/queue.h"

#define WORKERS_MAX 64u

/* Work on a data set that the link thread asked the writer for; replies go back through finished
 * work. Run by data_jobs.c. */
enum data_work { WORK_IMPORT, WORK_DIFF, WORK_EXPORT, WORK_BACKUP, WORK_ROTATE };
struct import_job {
    enum data_work work;
    struct store *store;           /* reference */
    const struct dataset *dataset; /* the definition it was done by; reference, set by the writer */
    int fd;                        /* owned; the file to import */
    int out_fd; /* owned; a regular file for rejects, differences, the export, the backup. Valid
                 * only if has_out
                 */
    bool has_out;
    char *name;
    enum import_mode mode;
    enum import_format format;
    bool dry_run;
    bool rejects;   /* of an import: to out_fd */
    bool sensitive; /* of a difference or an export: such values, too */
    bool json;      /* a difference as JSON, not for people */
    uint64_t max_faults;
    _Atomic bool cancel;         /* set by the link thread */
    void *call;                  /* the administration call that waits; opaque to the writer */
    struct import_report report; /* of an export, a backup: rows, sequence */
    struct rotation_report rotation;
    char key_id[STORE_KEY_ID_MAX + 1]; /* of a backup: the key it is under */
    int rc;
    yz_error err;
    struct finished *done; /* what it comes back as; the workers' */
};
void yzi_import_job_free(struct import_job *j);
/* -- data_jobs.c: on the writer thread -- */
struct data_job_told {
    void (*fault)(void *ctx, const struct import_fault *f);
    work_progress_fn *progress;
    void (*between)(void *ctx); /* what else is to be written may be now */
    void *ctx;
};
/* Does it and leaves the result in j->rc, j->report, j->err. */
void yzi_data_job_run(struct import_job *j, const struct data_job_told *told);

enum finished_kind {
    FINISHED_ANSWER = 1,
    FINISHED_IMPORT_PROGRESS,
    FINISHED_IMPORT,
    FINISHED_RELOAD,
    FINISHED_TIDYING /* kept inside */
};
/* What comes back. The taker frees it. */
struct finished {
    enum finished_kind kind;
    struct job *job;           /* FINISHED_ANSWER, owned */
    struct import_job *import; /* borrowed for progress, owned at the end */
    struct reload *reload;     /* owned */
    struct work_progress progress;
    char *fault; /* progress: a fault's sentence, owned, or NULL */
};
void yzi_finished_free(struct finished *f);

struct workers;
struct workers_options {
    unsigned threads;
    size_t queue; /* jobs submitted and not yet taken back, at most: the submitter keeps count */
    struct answering answering; /* copied for each thread, scratch uninitialised */
    struct writes *writes;      /* borrowed; NULL: no job is one of a service that writes */
    uint64_t skew;              /* ms */
    struct builds builds;       /* the stores whose new indexes the writer builds; it takes its own
                                   references */
};
YZ_MUST_USE int yzi_workers_start(const struct workers_options *o, struct workers **out);
/* Let work under way end (what waits is not begun), join all threads, free everything. NULL is
 * allowed. */
void yzi_workers_stop(struct workers *w);
/* Let the writer give up what the memory of writes need not hold any longer. Lost when it has much
 * to do: executing does the same. */
void yzi_workers_tidy(struct workers *w);
/* On 0 the workers own the job, and it comes back unless they are stopped. YZ_EBUSY: the queue is
 * full; YZ_ENOMEM. */
YZ_MUST_USE int yzi_workers_submit(struct workers *w, struct job *j);
YZ_MUST_USE int yzi_workers_import(struct workers *w, struct import_job *j);
/* Change the definitions, behind what the writer has to do already; one at a time (YZ_EBUSY). On 0
 * the workers own it (*r is NULL). */
YZ_MUST_USE int yzi_workers_reload(struct workers *w, struct reload **r);
int yzi_workers_fd(const struct workers *w);          /* readable when something is finished */
struct finished *yzi_workers_take(struct workers *w); /* NULL when nothing is */

#endif
