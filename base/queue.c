/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring under a mutex. The mutex guards every field; the eventfd is written when the queue stops
 * being empty and read when it becomes empty, both under the mutex, so its counter is 1 exactly
 * while there is something to pop, however pops and pushes of several threads interleave.
 */
#include "base/queue.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bytes.h"

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t not_empty; /* signalled on push, broadcast on close */
    int fd;
    bool closed;
    size_t first, count, capacity;
    void *items[];
};

int yzi_queue_new(size_t capacity, struct queue **out)
{
    YZ_ENSURE(capacity > 0, YZ_EINVAL);
    size_t n;
    struct queue *q;
    YZ_ENSURE(yzi_size_mul(capacity, sizeof q->items[0], &n) == 0, YZ_ENOMEM);
    YZ_ENSURE(yzi_size_add(n, sizeof *q, &n) == 0, YZ_ENOMEM);
    YZ_TRY(yzi_alloc(1, n, &q));
    q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (q->fd < 0) {
        free(q);
        return YZ_EIO;
    }
    q->capacity = capacity;
    /* With default attributes these cannot fail on Linux. */
    YZ_ASSERT(pthread_mutex_init(&q->mutex, NULL) == 0);
    YZ_ASSERT(pthread_cond_init(&q->not_empty, NULL) == 0);
    *out = q;
    return 0;
}

void yzi_queue_free(struct queue *q, void (*drop)(void *item))
{
    if (!q) {
        return;
    }
    for (size_t i = 0; drop && i < q->count; i++) {
        drop(q->items[(q->first + i) % q->capacity]);
    }
    pthread_cond_destroy(&q->not_empty);
    pthread_mutex_destroy(&q->mutex);
    close(q->fd);
    free(q);
}

/* The eventfd's counter never exceeds 1, so neither of these can block or fail. */
static void raise_fd(struct queue *q)
{
    uint64_t one = 1;
    YZ_ASSERT(write(q->fd, &one, sizeof one) == sizeof one);
}

static void lower_fd(struct queue *q)
{
    uint64_t was;
    YZ_ASSERT(read(q->fd, &was, sizeof was) == sizeof was);
}

int yzi_queue_push(struct queue *q, void *item)
{
    YZ_ASSERT(item);
    int rc = 0;
    pthread_mutex_lock(&q->mutex);
    if (q->closed) {
        rc = YZ_ECLOSED;
    } else if (q->count == q->capacity) {
        rc = YZ_EBUSY;
    } else {
        q->items[(q->first + q->count) % q->capacity] = item;
        if (q->count++ == 0) {
            raise_fd(q);
        }
        pthread_cond_signal(&q->not_empty);
    }
    pthread_mutex_unlock(&q->mutex);
    return rc;
}

/* With the mutex held; NULL when empty. */
static void *pop_locked(struct queue *q)
{
    if (q->count == 0) {
        return NULL;
    }
    void *item = q->items[q->first];
    q->first = (q->first + 1) % q->capacity;
    if (--q->count == 0) {
        lower_fd(q);
    }
    return item;
}

void *yzi_queue_try_pop(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    void *item = pop_locked(q);
    pthread_mutex_unlock(&q->mutex);
    return item;
}

void *yzi_queue_pop(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    while (q->count == 0 && !q->closed) {
        pthread_cond_wait(&q->not_empty, &q->mutex);
    }
    void *item = pop_locked(q);
    pthread_mutex_unlock(&q->mutex);
    return item;
}

void yzi_queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    q->closed = true;
    pthread_cond_broadcast(&q->not_empty);
    pthread_mutex_unlock(&q->mutex);
}

int yzi_queue_fd(const struct queue *q)
{
    return q->fd;
}

size_t yzi_queue_count(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    size_t n = q->count;
    pthread_mutex_unlock(&q->mutex);
    return n;
}
