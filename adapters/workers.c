/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads, and the queues between them and the link thread. What a job or an import comes back as
 * is allocated when it is submitted, and the queue of finished work has room for all that may be
 * out at once, so that handing back never fails: the submitter's count of what is out would be
 * wrong for ever. Import progress is dropped when there is no room.
 */
#include "adapters/workers.h"

#include <stdatomic.h>
#include <unistd.h>

#define IMPORTS_WAITING 16u
#define PROGRESS_WAITING 256u
#define ASIDE_MAX (IMPORTS_WAITING + 1u) /* imports, a reload */
#define OTHERS_AT_ONCE 8u /* times as many as are executed at once, while a rotation goes on */

struct worker {
    struct workers *owner;
    struct answering answering;
    pthread_t thread;
};

struct workers {
    struct queue *jobs, *to_writer, *finished; /* to_writer: struct finished to be */
    struct worker workers[WORKERS_MAX];
    unsigned started;
    pthread_t writer;
    bool writer_started;
    struct executing executing;        /* the writer's */
    struct builds builds;              /* the writer's */
    struct finished *aside[ASIDE_MAX]; /* the writer's: what came during a rotation and waits */
    size_t aside_n;
    _Atomic unsigned imports_waiting;
    _Atomic bool stopping;
};

void yzi_import_job_free(struct import_job *j)
{
    if (j) {
        if (j->fd >= 0) {
            close(j->fd);
        }
        if (j->has_out && j->out_fd >= 0) {
            close(j->out_fd);
        }
        yzi_dataset_unref(j->dataset);
        yzi_store_close(j->store);
        free(j->name);
        free(j->done);
        free(j);
    }
}

void yzi_finished_free(struct finished *f)
{
    if (!f) {
        return;
    }
    yzi_job_free(f->job);
    if (f->kind == FINISHED_IMPORT) {
        yzi_import_job_free(f->import);
    }
    yzi_reload_free(f->reload);
    free(f->fault);
    free(f);
}

/* Put finished work where the link thread finds it. */
static void hand_back(struct workers *w, struct finished *f)
{
    if (yzi_queue_push(w->finished, f) < 0) {
        yzi_finished_free(f); /* only at the end, when nobody waits for it any more */
    }
}

static void *run_worker(void *arg)
{
    struct worker *me = arg;
    for (struct job *j; (j = yzi_queue_pop(me->owner->jobs)) != NULL;) {
        yzi_answer(&me->answering, j);
        struct finished *f = YZ_TAKE(j->done);
        *f = (struct finished){.kind = FINISHED_ANSWER, .job = j};
        if (!j->to_write) {
            hand_back(me->owner, f);
        } else if (yzi_queue_push(me->owner->to_writer, f) < 0) {
            yzi_finished_free(f); /* only at the end; it did not begin */
        }
    }
    return NULL;
}

/* -- imports -- */

struct import_context {
    struct workers *workers;
    struct import_job *job;
};

static void report(struct import_context *c, const struct finished *what)
{
    struct finished *f;
    if (yzi_queue_count(c->workers->finished) >= PROGRESS_WAITING ||
        yzi_alloc(1, sizeof *f, &f) < 0) {
        free(what->fault);
        return;
    }
    *f = *what;
    f->kind = FINISHED_IMPORT_PROGRESS;
    f->import = c->job;
    hand_back(c->workers, f);
}

static void on_fault(void *ctx, const struct import_fault *fault)
{
    char text[700];
    yzi_import_fault_text(fault, text, sizeof text);
    struct finished f = {.fault = strdup(text)};
    report(ctx, &f);
}

static void on_progress(void *ctx, const struct work_progress *at)
{
    struct finished f = {.progress = *at};
    report(ctx, &f);
}

/* -- what changes data -- */

/* Execute f's job and as many as wait behind it. What else waits is taken only after them; the
 * first such is returned, or NULL. */
static struct finished *execute(struct workers *w, struct finished *f)
{
    struct finished *several[EXECUTE_AT_ONCE], *next = NULL;
    struct job *jobs[EXECUTE_AT_ONCE];
    size_t n = 0;
    while (f && f->kind == FINISHED_ANSWER) {
        several[n] = f;
        jobs[n++] = f->job;
        f = n < EXECUTE_AT_ONCE ? yzi_queue_try_pop(w->to_writer) : NULL;
    }
    next = f;
    yzi_execute(&w->executing, jobs, n);
    for (size_t i = 0; i < n; i++) {
        hand_back(w, several[i]);
    }
    return next;
}

static void tidy(struct workers *w, struct finished *f)
{
    yz_ignore(yzi_writes_expire(w->executing.writes, yzi_wall_ms(w->executing.answering.clock)),
              "what cannot be given up now is tried again");
    yzi_finished_free(f);
}

/* -- while a long job lets others write -- */

/* Imports and changed definitions are not among those: they wait, in their order. There is room for
 * all that may. */
static void put_aside(struct workers *w, struct finished *f)
{
    YZ_ASSERT(w->aside_n < ASIDE_MAX);
    w->aside[w->aside_n++] = f;
}

static struct finished *take_aside(struct workers *w)
{
    struct finished *f = w->aside_n ? w->aside[0] : NULL;
    if (f) {
        memmove(&w->aside[0], &w->aside[1], --w->aside_n * sizeof w->aside[0]);
    }
    return f;
}

/* What waits to be written now, but not for ever: others may come as fast as these are done. */
static void write_others(void *ctx)
{
    struct workers *w = ((struct import_context *)ctx)->workers;
    struct finished *next = NULL;
    for (unsigned i = 0; i < OTHERS_AT_ONCE && !atomic_load(&w->stopping); i++) {
        struct finished *f = next ? next : yzi_queue_try_pop(w->to_writer);
        next = NULL;
        if (!f) {
            return;
        }
        if (f->kind == FINISHED_ANSWER) {
            next = execute(w, f);
        } else if (f->kind == FINISHED_TIDYING) {
            tidy(w, f);
        } else {
            put_aside(w, f);
        }
    }
    if (next && next->kind == FINISHED_TIDYING) {
        tidy(w, next);
    } else if (next) { /* execute leaves no answer */
        put_aside(w, next);
    }
}

static void import(struct workers *w, struct finished *f)
{
    struct import_job *j = f->import;
    struct import_context context = {w, j};
    const struct data_job_told told = {on_fault, on_progress, write_others, &context};
    atomic_fetch_sub(&w->imports_waiting, 1);
    yzi_data_job_run(j, &told);
    hand_back(w, f);
}

/* What is to be done next; indexes are built while there is nothing else. NULL: the end. */
static struct finished *next_for_writer(struct workers *w)
{
    struct finished *f = atomic_load(&w->stopping) ? NULL : take_aside(w);
    f = f ? f : yzi_queue_try_pop(w->to_writer);
    while (!f && !atomic_load(&w->stopping) && yzi_builds_step(&w->builds)) {
        f = yzi_queue_try_pop(w->to_writer);
    }
    return f ? f : yzi_queue_pop(w->to_writer);
}

static void *run_writer(void *arg)
{
    struct workers *w = arg;
    struct finished *next = NULL;
    for (struct finished *f; (f = next ? next : next_for_writer(w)) != NULL;) {
        next = NULL;
        if (f->kind == FINISHED_ANSWER) {
            next = execute(w, f);
        } else if (f->kind == FINISHED_IMPORT) {
            import(w, f);
        } else if (f->kind == FINISHED_RELOAD) {
            yzi_reload_run(f->reload, &w->builds);
            hand_back(w, f);
        } else {
            tidy(w, f);
        }
    }
    return NULL;
}

/* -- starting and stopping -- */

static int start_threads(struct workers *w, const struct workers_options *o)
{
    YZ_TRY(yzi_queue_new(o->queue, &w->jobs));
    /* jobs that change data, imports, tidying, a reload */
    YZ_TRY(yzi_queue_new(o->queue + IMPORTS_WAITING + 2, &w->to_writer));
    /* progress (checked, then pushed by the one writer), jobs, imports waiting and under way, a
     * reload */
    YZ_TRY(yzi_queue_new(PROGRESS_WAITING + o->queue + IMPORTS_WAITING + 2, &w->finished));
    for (unsigned i = 0; i < o->threads && i < WORKERS_MAX; i++) {
        struct worker *me = &w->workers[i];
        me->owner = w;
        me->answering = o->answering;
        YZ_TRY(yzi_answering_init(&me->answering));
        YZ_ENSURE(pthread_create(&me->thread, NULL, run_worker, me) == 0, YZ_ELIMIT);
        w->started++;
    }
    for (size_t i = 0; i < o->builds.n; i++) {
        yzi_builds_add(&w->builds, o->builds.stores[i]);
    }
    w->executing = (struct executing){o->answering, o->writes, o->skew};
    w->executing.answering.executes = true;
    YZ_TRY(yzi_answering_init(&w->executing.answering));
    YZ_ENSURE(pthread_create(&w->writer, NULL, run_writer, w) == 0, YZ_ELIMIT);
    w->writer_started = true;
    return YZ_OK;
}

int yzi_workers_start(const struct workers_options *o, struct workers **out)
{
    YZ_ENSURE(o->threads >= 1 && o->threads <= WORKERS_MAX, YZ_EINVAL);
    struct workers *w;
    YZ_TRY(yzi_alloc(1, sizeof *w, &w));
    int rc = start_threads(w, o);
    if (rc < 0) {
        yzi_workers_stop(w);
        return rc;
    }
    *out = w;
    return YZ_OK;
}

static void free_job_item(void *item)
{
    yzi_job_free(item);
}

static void free_finished_item(void *item)
{
    yzi_finished_free(item);
}

/* Nothing more goes in, and what waits is not begun. */
static void close_queue(struct queue *q, void (*drop)(void *item))
{
    if (!q) {
        return;
    }
    yzi_queue_close(q);
    for (void *item; (item = yzi_queue_try_pop(q)) != NULL;) {
        drop(item);
    }
}

void yzi_workers_stop(struct workers *w)
{
    if (!w) {
        return;
    }
    atomic_store(&w->stopping, true);
    close_queue(w->jobs, free_job_item);
    close_queue(w->to_writer, free_finished_item);
    for (unsigned i = 0; i < w->started; i++) {
        pthread_join(w->workers[i].thread, NULL);
        yzi_answering_fini(&w->workers[i].answering);
    }
    if (w->writer_started) {
        pthread_join(w->writer, NULL);
        for (struct finished *f; (f = take_aside(w)) != NULL;) {
            yzi_finished_free(f);
        }
        yzi_answering_fini(&w->executing.answering);
    }
    yzi_builds_fini(&w->builds);
    yzi_queue_free(w->jobs, free_job_item);
    yzi_queue_free(w->to_writer, free_finished_item);
    yzi_queue_free(w->finished, free_finished_item);
    free(w);
}

int yzi_workers_submit(struct workers *w, struct job *j)
{
    if (!j->done) {
        YZ_TRY(yzi_alloc(1, sizeof *j->done, &j->done));
    }
    return yzi_queue_push(w->jobs, j);
}

int yzi_workers_import(struct workers *w, struct import_job *j)
{
    if (!j->done) {
        YZ_TRY(yzi_alloc(1, sizeof *j->done, &j->done));
    }
    struct finished *f = YZ_TAKE(j->done);
    *f = (struct finished){.kind = FINISHED_IMPORT, .import = j};
    bool room = atomic_fetch_add(&w->imports_waiting, 1) < IMPORTS_WAITING;
    int rc = room ? yzi_queue_push(w->to_writer, f) : YZ_EBUSY;
    if (rc < 0) { /* the caller still owns the job */
        atomic_fetch_sub(&w->imports_waiting, 1);
        j->done = f;
    }
    return rc;
}

int yzi_workers_reload(struct workers *w, struct reload **r)
{
    struct finished *f;
    YZ_TRY(yzi_alloc(1, sizeof *f, &f));
    *f = (struct finished){.kind = FINISHED_RELOAD, .reload = *r};
    int rc = yzi_queue_push(w->to_writer, f);
    if (rc < 0) { /* the caller still owns it */
        free(f);
        return rc;
    }
    *r = NULL;
    return YZ_OK;
}

void yzi_workers_tidy(struct workers *w)
{
    struct finished *f;
    if (w->executing.writes && yzi_alloc(1, sizeof *f, &f) == YZ_OK) {
        f->kind = FINISHED_TIDYING;
        if (yzi_queue_push(w->to_writer, f) < 0) {
            yzi_finished_free(f);
        }
    }
}

int yzi_workers_fd(const struct workers *w)
{
    return yzi_queue_fd(w->finished);
}

struct finished *yzi_workers_take(struct workers *w)
{
    return yzi_queue_try_pop(w->finished);
}
