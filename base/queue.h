/* SPDX-License-Identifier: Apache-2.0
 *
 * The one way threads hand work to each other: a bounded queue of pointers under a mutex, with an
 * eventfd that is readable while the queue is not empty, so that a poll loop can wait on it beside
 * its sockets. Any number of producers and consumers.
 */
#ifndef YZ_BASE_QUEUE_H
#define YZ_BASE_QUEUE_H

#include "base/error.h"

struct queue;

YZ_MUST_USE int yzi_queue_new(size_t capacity, struct queue **out); /* YZ_ENOMEM, YZ_EIO */
/* Nobody may be using it; items still inside are passed to `drop` (may be NULL). */
void yzi_queue_free(struct queue *q, void (*drop)(void *item));
/* On 0 the queue owns the item. YZ_EBUSY when full, YZ_ECLOSED; then the caller still owns it. */
YZ_MUST_USE int yzi_queue_push(struct queue *q, void *item);
void *yzi_queue_try_pop(struct queue *q); /* NULL when empty */
/* Blocks until an item or until closed and empty (NULL). */
void *yzi_queue_pop(struct queue *q);
/* No more pushes; blocked poppers drain what is left and then get NULL. */
void yzi_queue_close(struct queue *q);
int yzi_queue_fd(const struct queue *q); /* poll for readable; never read it directly */
size_t yzi_queue_count(struct queue *q);

#endif
