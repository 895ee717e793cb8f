/* SPDX-License-Identifier: Apache-2.0
 *
 * The handle, as client.c (opening, closing, the thread, blocking calls) and async.c (submit and
 * poll) share it.
 */
#ifndef YZ_CLIENT_CLIENT_INTERNAL_H
#define YZ_CLIENT_CLIENT_INTERNAL_H

#include <pthread.h>
#include <sys/types.h>

#include "base/queue.h"
#include "client/async.h"
#include "client/engine.h"
#include "evidence/kept.h"

/* Orders between callers and the thread, beside those of submitted calls, for which there is always
 * room: blocking calls, waiting for readiness. */
#define HANDED_OVER_MAX 4096u

struct yz_client {
    struct client_config config;
    const struct clock *clock;
    struct key_pair signing, transport;
    struct trust *trust;
    struct kept *kept; /* NULL: the configuration keeps nothing */
    struct log_views *views;
    struct net *net;
    struct queue *orders;
    int stop_fd;
    pthread_t thread;
    bool running; /* the thread is to be joined */
    struct async async;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool started, closing;
    unsigned inside; /* callers between entering and leaving a blocking call */
    int start_rc;
    yz_error start_err;
    pid_t opener;
};

/* Nothing but reading is safe in a child made by fork: the thread is not there, and the descriptors
 * are the parent's. YZ_EINVAL with what to do. */
YZ_MUST_USE int yzi_client_not_forked(const yz_client *c, yz_error *err);

/* Open configuration, keys, trust, views and net alone, for a caller that runs an engine of its own
 * in its own thread; nothing but yz_client_close may be called on it. Errors as yz_client_open. */
YZ_MUST_USE int yzi_client_open_unstarted(const char *config_path, yz_client **out, yz_error *err);

/* An order without `done`: allocated, the request copied, its time begun. YZ_EINVAL, YZ_ETOOBIG,
 * YZ_ENOMEM. Any thread. */
YZ_MUST_USE int yzi_client_order(yz_client *c, const yz_request *request, struct call_order **out,
                                 yz_error *err);
void yzi_client_order_free(struct call_order *order);
/* On YZ_OK the order is the thread's. YZ_ECLOSED, YZ_EBUSY: still the caller's. Any thread; does
 * not block. */
YZ_MUST_USE int yzi_client_hand_over(yz_client *c, struct call_order *order, yz_error *err);

#endif
