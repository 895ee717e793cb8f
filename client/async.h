/* SPDX-License-Identifier: Apache-2.0
 *
 * Submitted calls of a client, from yz_submit until yz_poll took what became of them.
 */
#ifndef YZ_CLIENT_ASYNC_H
#define YZ_CLIENT_ASYNC_H

#include <pthread.h>
#include <sys/queue.h>

#include <yizhan/client.h>

#include "base/queue.h"
#include "base/table.h"
#include "client/engine.h"

struct pending;
LIST_HEAD(pending_list, pending);

struct async {
    size_t limit;
    struct queue *completions; /* of struct pending, and at last of `end`; always has room */
    char end;                  /* its address is the mark that nothing comes any more */
    int wake_fd;               /* readable: calls are to be cancelled */
    pthread_mutex_t mutex;     /* guards what follows */
    size_t in_flight;          /* submitted and not taken */
    yz_ticket last;
    struct table by_ticket;     /* those that have not ended */
    struct pending_list cancel; /* those of them that are to be cancelled */
};

/* -- the handle's -- */
void yzi_async_init(struct async *a); /* what fini accepts */
/* YZ_ENOMEM, YZ_EIO. */
YZ_MUST_USE int yzi_async_open(struct async *a, size_t limit);
/* After the thread; frees completions that nobody took. */
void yzi_async_fini(struct async *a);

/* -- the client's thread's -- */
void yzi_async_cancel_asked(struct async *a, struct engine *e);
void yzi_async_end(struct async *a); /* no call is under way and none begins any more; once */

#endif
