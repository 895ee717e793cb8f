/* SPDX-License-Identifier: Apache-2.0
 *
 * The evidence log's outside: items, the two lists they wait in, opening and closing. An item is in
 * `pending`, or in the writer's hands, or in `done`; it counts against the limits until it is taken
 * back, so that a front that does not take back is held up rather than buried.
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/file.h"
#include "broker/evidence/internal.h"

/* -- items -- */

int yzi_evidence_item_new(enum entry_type type, const yz_digest *digest, struct evidence_item **out)
{
    struct evidence_item *i;
    YZ_TRY(yzi_alloc(1, sizeof *i, &i));
    i->type = type;
    i->digest = *digest;
    atomic_init(&i->references, 1);
    *out = i;
    return YZ_OK;
}

void yzi_evidence_item_ref(struct evidence_item *i)
{
    atomic_fetch_add_explicit(&i->references, 1, memory_order_relaxed);
}

/* A pair may have a pair, so this is a loop: a long chain is no deep recursion. */
void yzi_evidence_item_unref(struct evidence_item *i)
{
    while (i && atomic_fetch_sub_explicit(&i->references, 1, memory_order_acq_rel) == 1) {
        struct evidence_item *pair = i->pair;
        yzi_buf_fini(&i->body);
        yzi_buf_fini(&i->receipt);
        free(i);
        i = pair;
    }
}

void yzi_items_add(struct item_list *l, struct evidence_item *i)
{
    i->next = NULL;
    *(l->last ? &l->last->next : &l->first) = i;
    l->last = i;
    l->n++;
}

struct evidence_item *yzi_items_take(struct item_list *l)
{
    struct evidence_item *i = l->first;
    if (i) {
        l->first = i->next;
        l->last = l->first ? l->last : NULL;
        l->n--;
        i->next = NULL;
    }
    return i;
}

static void drop_all(struct item_list *l)
{
    struct evidence_item *i;
    while ((i = yzi_items_take(l)) != NULL) {
        yzi_evidence_item_unref(i);
    }
}

/* -- appending and taking back -- */

int yzi_evidence_append(struct evidence *e, struct evidence_item *i)
{
    int rc = YZ_OK;
    pthread_mutex_lock(&e->mutex);
    if (!atomic_load(&e->up) || e->closing) {
        rc = YZ_EUNAVAILABLE;
    } else if (e->held_items >= e->o.queue_items || i->body.n > e->o.queue_bytes - e->held_bytes) {
        rc = YZ_EBUSY;
    } else {
        yzi_evidence_item_ref(i);
        e->held_items++;
        e->held_bytes += i->body.n;
        yzi_items_add(&e->pending, i);
        if (e->pending.n == 1) {
            pthread_cond_signal(&e->to_writer);
        }
    }
    pthread_mutex_unlock(&e->mutex);
    return rc;
}

int yzi_evidence_fd(const struct evidence *e)
{
    return e->fd;
}

struct evidence_item *yzi_evidence_take(struct evidence *e)
{
    pthread_mutex_lock(&e->mutex);
    struct evidence_item *i = yzi_items_take(&e->done);
    if (i) {
        e->held_items--;
        e->held_bytes -= i->body.n;
        if (e->done.n == 0) {
            uint64_t was;
            YZ_ASSERT(read(e->fd, &was, sizeof was) == sizeof was);
        }
    }
    pthread_mutex_unlock(&e->mutex);
    return i;
}

bool yzi_evidence_up(const struct evidence *e)
{
    return atomic_load(&e->up);
}

int yzi_evidence_prune(struct evidence *e, uint64_t below)
{
    int rc = YZ_OK;
    pthread_mutex_lock(&e->mutex);
    if (below > e->now.size) {
        rc = YZ_EINVAL;
    } else if (!atomic_load(&e->up)) {
        rc = YZ_EUNAVAILABLE;
    } else if (below > e->now.pruned && below > e->orders.prune_below) {
        e->orders.prune_below = below;
        pthread_cond_signal(&e->to_writer);
    }
    pthread_mutex_unlock(&e->mutex);
    return rc;
}

int yzi_evidence_rotate(struct evidence *e)
{
    int rc = YZ_OK;
    pthread_mutex_lock(&e->mutex);
    if (!atomic_load(&e->up)) {
        rc = YZ_EUNAVAILABLE;
    } else {
        e->orders.close_log = true;
        pthread_cond_signal(&e->to_writer);
    }
    pthread_mutex_unlock(&e->mutex);
    return rc;
}

/* -- opening and closing -- */

static int copy_options(struct evidence *e, const struct evidence_options *o)
{
    YZ_ENSURE(o->dir && o->node.v.n <= YZ_ID_MAX && o->queue_items > 0, YZ_EINVAL);
    e->o = *o;
    memcpy(e->node, o->node.v.p, o->node.v.n);
    e->o.node.v = yzi_bytes(e->node, o->node.v.n);
    YZ_TRY(yzi_bytes_dup_str(yzi_bytes_str(o->dir), &e->dir));
    e->o.dir = e->dir;
    if (o->publish) {
        YZ_TRY(yzi_bytes_dup_str(yzi_bytes_str(o->publish), &e->publish));
        e->o.publish = e->publish;
    }
    return YZ_OK;
}

/* With default attributes these cannot fail on Linux; the monotonic clock is a valid choice. */
static void init_locks(struct evidence *e)
{
    pthread_condattr_t monotonic;
    YZ_ASSERT(pthread_condattr_init(&monotonic) == 0);
    YZ_ASSERT(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    YZ_ASSERT(pthread_mutex_init(&e->mutex, NULL) == 0);
    YZ_ASSERT(pthread_rwlock_init(&e->store_lock, NULL) == 0);
    YZ_ASSERT(pthread_cond_init(&e->to_writer, &monotonic) == 0);
    YZ_ASSERT(pthread_cond_init(&e->to_publisher, &monotonic) == 0);
    YZ_ASSERT(pthread_cond_init(&e->to_caller, &monotonic) == 0);
    pthread_condattr_destroy(&monotonic);
}

static int start_threads(struct evidence *e, yz_error *err)
{
    if (pthread_create(&e->writer, NULL, yzi_writer_run, e) != 0) {
        return yzi_fail(err, YZ_ENOMEM, "%s: cannot start the writer's thread", e->dir);
    }
    e->has_writer = true;
    if (e->publish) {
        if (yzi_publisher_new(e, &e->publishing) < 0 ||
            pthread_create(&e->publisher, NULL, yzi_publisher_run, e) != 0) {
            return yzi_fail(err, YZ_ENOMEM, "%s: cannot start the publisher's thread", e->dir);
        }
        e->has_publisher = true;
    }
    return YZ_OK;
}

static void evidence_drop(struct evidence **e)
{
    yzi_evidence_close(*e);
}

int yzi_evidence_open(const struct evidence_options *o, struct evidence **out, yz_error *err)
{
    YZ_AUTO(evidence_drop) struct evidence *e = NULL;
    if (yzi_alloc(1, sizeof *e, &e) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "%s: not enough memory", o->dir);
    }
    e->fd = -1;
    init_locks(e);
    yzi_writer_init(e);
    yzi_buf_init(&e->text, CHECKPOINT_TEXT_MAX);
    int rc = copy_options(e, o);
    if (rc < 0) {
        return yzi_fail(err, rc, "cannot set up the evidence log (%s)", yz_err_words(rc));
    }
    e->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (e->fd < 0) {
        return yzi_fail(err, YZ_EIO, "%s: cannot make an eventfd", e->dir);
    }
    YZ_TRY(yzi_dir_make(e->dir, 0700, err));
    YZ_TRY(yzi_logs_open(e, err));
    atomic_store(&e->up, true);
    if (e->o.metrics) {
        yzi_metric_set(&e->o.metrics->evidence_up, 1);
    }
    YZ_TRY(start_threads(e, err));
    *out = YZ_TAKE(e);
    return YZ_OK;
}

/* The writer first: what it still commits is to be published. */
static void stop_threads(struct evidence *e)
{
    pthread_mutex_lock(&e->mutex);
    e->closing = true;
    pthread_cond_signal(&e->to_writer);
    pthread_mutex_unlock(&e->mutex);
    if (e->has_writer) {
        pthread_join(e->writer, NULL);
    }
    pthread_mutex_lock(&e->mutex);
    e->publisher_closing = true;
    pthread_cond_signal(&e->to_publisher);
    pthread_mutex_unlock(&e->mutex);
    if (e->has_publisher) {
        pthread_join(e->publisher, NULL);
    }
}

void yzi_evidence_close(struct evidence *e)
{
    if (!e) {
        return;
    }
    stop_threads(e);
    drop_all(&e->pending);
    drop_all(&e->done);
    yzi_spine_fini(&e->spine);
    yzi_ledger_close(e->store);
    if (e->fd >= 0) {
        close(e->fd);
    }
    yzi_buf_fini(&e->text);
    pthread_cond_destroy(&e->to_writer);
    pthread_cond_destroy(&e->to_publisher);
    pthread_cond_destroy(&e->to_caller);
    pthread_rwlock_destroy(&e->store_lock);
    pthread_mutex_destroy(&e->mutex);
    yzi_publisher_free(e->publishing);
    free(e->dir);
    free(e->publish);
    free(e);
}
