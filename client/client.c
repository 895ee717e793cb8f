/* SPDX-License-Identifier: Apache-2.0
 *
 * The handle: keys, trust, and one thread that runs the engine (docs/decisions/0008). Orders reach
 * it through a queue whose descriptor it polls beside the sockets; a caller that waits sleeps on a
 * condition of its own until the engine's `done` wakes it.
 *
 * Locks, both leaves: `mutex` guards started, closing, inside and the start's result; the mutex of
 * a waiter guards that waiter. async.c has its own. Everything else belongs to the thread once it
 * runs.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/file.h"
#include "client/client_internal.h"
#include "client/submit.h"
#include "evidence/view.h"

#define ORDERS_PER_STEP 256u
#define DAY_MS 86400000u

const char *yz_version(void)
{
    return YZ_VERSION;
}

/* -- the thread -- */

static void refuse_order(void *item)
{
    struct call_order *o = item;
    yz_error err;
    yzi_fail(&err, YZ_ECLOSED, "the client was closed");
    yzi_ask_fini(&o->ask);
    o->done(o->ctx, YZ_ECLOSED, NULL, &err);
    free(o);
}

static bool take_orders(yz_client *c, struct engine *e)
{
    for (unsigned i = 0; i < ORDERS_PER_STEP; i++) {
        struct call_order *o = yzi_queue_try_pop(c->orders);
        if (!o) {
            return false;
        }
        yzi_engine_submit(e, o);
        free(o);
    }
    return true;
}

static int64_t time_to_wait(const yz_client *c, const struct engine *e, bool more)
{
    uint64_t at = yzi_engine_deadline(e), now = yzi_mono_ms(c->clock);
    if (more || at <= now) {
        return 0;
    }
    return at == UINT64_MAX || at - now > INT32_MAX ? INT32_MAX : (int64_t)(at - now);
}

static void run_engine(yz_client *c, struct engine *e)
{
    bool more = false;
    for (;;) {
        struct poll_entry entries[ENGINE_POLL_ENTRIES + 3];
        size_t n = yzi_engine_poll_entries(e, entries);
        entries[n++] = (struct poll_entry){.fd = yzi_queue_fd(c->orders)};
        entries[n++] = (struct poll_entry){.fd = c->async.wake_fd};
        entries[n++] = (struct poll_entry){.fd = c->stop_fd};
        int rc = yzi_poll(entries, n, time_to_wait(c, e, more));
        if (entries[n - 1].readable || rc < 0) {
            return;
        }
        if (entries[n - 2].readable) {
            yzi_async_cancel_asked(&c->async, e);
        }
        bool orders = take_orders(c, e);
        yzi_engine_step(e, &more);
        more = more || orders;
    }
}

static void tell_start(yz_client *c, int rc, const yz_error *err)
{
    pthread_mutex_lock(&c->mutex);
    c->started = true;
    c->start_rc = rc;
    c->start_err = *err;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mutex);
}

static void *run(void *arg)
{
    yz_client *c = arg;
    struct engine_options o = {.config = &c->config,
                               .clock = c->clock,
                               .signing = &c->signing,
                               .transport = &c->transport,
                               .kept = c->kept,
                               .views = c->views,
                               .trust = c->trust,
                               .net = c->net};
    struct engine *e = NULL;
    yz_error err = {0};
    int rc = yzi_engine_new(&o, &e, &err);
    tell_start(c, rc, &err);
    if (rc == YZ_OK) {
        run_engine(c, e);
    }
    yzi_queue_close(c->orders); /* from now on nobody hands over */
    yzi_engine_free(e);
    struct call_order *order;
    while ((order = yzi_queue_try_pop(c->orders)) != NULL) {
        refuse_order(order);
    }
    yzi_async_end(&c->async); /* every call has ended */
    return NULL;
}

/* With every signal blocked: they are the program's, not a library's. */
static int start_thread(yz_client *c, yz_error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) {
        return yzi_fail(err, YZ_EINTERNAL, "the signal mask cannot be set");
    }
    int rc = pthread_create(&c->thread, NULL, run, c);
    YZ_ASSERT(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (rc != 0) {
        return yzi_fail(err, YZ_ELIMIT, "no thread could be started: %s", strerror(rc));
    }
    c->running = true;
    pthread_mutex_lock(&c->mutex);
    while (!c->started) {
        pthread_cond_wait(&c->changed, &c->mutex);
    }
    rc = c->start_rc;
    if (rc < 0) {
        yzi_fail(err, rc, "%s", c->start_err.text[0] ? c->start_err.text : yz_err_words(rc));
    }
    pthread_mutex_unlock(&c->mutex);
    return rc;
}

/* -- opening and closing -- */

static int load_key(const yz_client *c, const char *file, enum key_use use, struct key_pair *out,
                    yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_TRY(yzi_path_join(c->config.home, file, &path));
    YZ_TRY(yzi_keyfile_load(path, use, out, err));
    yzi_key_pair_hold(out);
    return YZ_OK;
}

static int open_trust(yz_client *c, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    YZ_TRY(yzi_path_join(c->config.home, "state", &dir));
    if (!yzi_file_exists(c->config.anchor)) {
        return yzi_fail(err, YZ_ENOTFOUND,
                        "%s: there is no anchor; get the instance's root statement and compare its "
                        "fingerprint",
                        c->config.anchor);
    }
    struct trust_options o = {.anchor = c->config.anchor,
                              .dir = dir,
                              .clock = c->clock,
                              .stop_ms = c->config.directory.stop};
    return yzi_trust_open(&o, &c->trust, err);
}

static int open_kept(yz_client *c, yz_error *err)
{
    if (c->config.keep.days == 0) {
        return YZ_OK;
    }
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    YZ_TRY(yzi_path_join(c->config.home, "kept", &dir));
    struct kept_options o = {
        .dir = dir, .clock = c->clock, .retention_ms = c->config.keep.days * DAY_MS};
    return yzi_kept_open(&o, &c->kept, err);
}

/* What any use of the home needs. */
static int open_node(yz_client *c, const char *path, yz_error *err)
{
    YZ_TRY(yzi_client_config_load(path, &c->config, err));
    if (!c->config.lock_secrets) {
        yzi_secret_require_lock(false);
    }
    YZ_TRY(yzi_sodium_init());
    YZ_TRY(load_key(c, "keys/signing.key", KEY_SIGNING, &c->signing, err));
    YZ_TRY(load_key(c, "keys/transport.key", KEY_TRANSPORT, &c->transport, err));
    YZ_TRY(open_trust(c, err));
    YZ_TRY(yzi_views_open(c->config.home, &c->views, err));
    return yzi_net_new(1, &c->net);
}

static int open_rest(yz_client *c, yz_error *err)
{
    YZ_TRY(open_kept(c, err));
    YZ_TRY(yzi_queue_new(HANDED_OVER_MAX + c->config.in_flight, &c->orders));
    YZ_TRY(yzi_async_open(&c->async, c->config.in_flight));
    c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    YZ_ENSURE(c->stop_fd >= 0, YZ_EIO);
    return start_thread(c, err);
}

static int client_open(const char *config_path, bool starts, yz_client **out, yz_error *err)
{
    yz_client *c;
    YZ_TRY(yzi_alloc(1, sizeof *c, &c));
    c->clock = &yzi_clock_system;
    c->stop_fd = -1;
    c->opener = getpid();
    yzi_async_init(&c->async);
    /* with default attributes these cannot fail on Linux */
    YZ_ASSERT(pthread_mutex_init(&c->mutex, NULL) == 0);
    YZ_ASSERT(pthread_cond_init(&c->changed, NULL) == 0);
    yz_error why = {0};
    int rc = open_node(c, config_path, &why);
    rc = rc == YZ_OK && starts ? open_rest(c, &why) : rc;
    if (rc < 0) {
        yz_client_close(c);
        return yzi_fail(err, rc, "%s", why.text[0] ? why.text : yz_err_words(rc));
    }
    *out = c;
    return YZ_OK;
}

int yz_client_open(const char *config_path, yz_client **out, yz_error *err)
{
    if (!config_path || !out) {
        return yzi_fail(err, YZ_EINVAL, "yz_client_open needs a path and a place for the client");
    }
    return client_open(config_path, true, out, err);
}

int yzi_client_open_unstarted(const char *config_path, yz_client **out, yz_error *err)
{
    return client_open(config_path, false, out, err);
}

static void stop_thread(yz_client *c)
{
    uint64_t one = 1;
    YZ_ASSERT(write(c->stop_fd, &one, sizeof one) == sizeof one);
    pthread_join(c->thread, NULL);
    c->running = false;
    pthread_mutex_lock(&c->mutex);
    while (c->inside > 0) { /* their calls have ended; let them leave */
        pthread_cond_wait(&c->changed, &c->mutex);
    }
    pthread_mutex_unlock(&c->mutex);
}

int yzi_client_not_forked(const yz_client *c, yz_error *err)
{
    if (getpid() == c->opener) {
        return YZ_OK;
    }
    return yzi_fail(err, YZ_EINVAL,
                    "the client was opened before this process was made by fork: open it here");
}

void yz_client_shutdown(yz_client *client)
{
    if (!client || yzi_client_not_forked(client, NULL) < 0) { /* the parent would be stopped */
        return;
    }
    pthread_mutex_lock(&client->mutex);
    client->closing = true;
    pthread_mutex_unlock(&client->mutex);
    if (client->running) {
        stop_thread(client);
    }
}

void yz_client_close(yz_client *client)
{
    if (!client || yzi_client_not_forked(client, NULL) < 0) {
        return;
    }
    yz_client_shutdown(client);
    if (client->stop_fd >= 0) {
        close(client->stop_fd);
    }
    yzi_queue_free(client->orders, NULL); /* the thread left it empty */
    yzi_async_fini(&client->async);
    yzi_kept_close(client->kept);
    yzi_views_close(client->views); /* the sessions are closed */
    yzi_trust_close(client->trust);
    yzi_net_free(client->net);
    yzi_key_pair_fini(&client->signing);
    yzi_key_pair_fini(&client->transport);
    yzi_client_config_fini(&client->config);
    pthread_cond_destroy(&client->changed);
    pthread_mutex_destroy(&client->mutex);
    free(client);
}

/* -- handing over -- */

int yzi_client_hand_over(yz_client *c, struct call_order *order, yz_error *err)
{
    int rc = yzi_queue_push(c->orders, order);
    if (rc == YZ_ECLOSED) {
        return yzi_fail(err, rc, "the client is closed");
    }
    return rc < 0 ? yzi_fail(err, rc, "too many calls wait to be taken up") : YZ_OK;
}

int yzi_client_order(yz_client *c, const yz_request *request, struct call_order **out,
                     yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) struct call_order *order = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *order, &order));
    order->submitted = yzi_mono_ms(c->clock);
    YZ_TRY(yzi_ask_make(request, &order->ask, err));
    *out = YZ_TAKE(order);
    return YZ_OK;
}

void yzi_client_order_free(struct call_order *order)
{
    if (order) {
        yzi_ask_fini(&order->ask);
        free(order);
    }
}

int yzi_client_submit(yz_client *client, const yz_request *request, call_done *done, void *ctx,
                      yz_error *err)
{
    YZ_ENSURE(client && request && done, YZ_EINVAL);
    struct call_order *order;
    YZ_TRY(yzi_client_order(client, request, &order, err));
    order->done = done;
    order->ctx = ctx;
    int rc = yzi_client_hand_over(client, order, err);
    if (rc < 0) {
        yzi_client_order_free(order);
    }
    return rc;
}

/* -- waiting -- */

struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t done;
    bool is_done;
    int rc;
    yz_answer *answer;
    yz_error err;
};

static void waiter_init(struct waiter *w)
{
    *w = (struct waiter){0};
    YZ_ASSERT(pthread_mutex_init(&w->mutex, NULL) == 0);
    YZ_ASSERT(pthread_cond_init(&w->done, NULL) == 0);
}

/* On the client's thread. The waiter may be gone as soon as the mutex is free. */
static void wake(void *ctx, int rc, yz_answer *answer, const yz_error *err)
{
    struct waiter *w = ctx;
    pthread_mutex_lock(&w->mutex);
    w->rc = rc;
    w->answer = answer;
    if (err) {
        w->err = *err;
    }
    w->is_done = true;
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->mutex);
}

static int wait_for(struct waiter *w, yz_error *err)
{
    pthread_mutex_lock(&w->mutex);
    while (!w->is_done) {
        pthread_cond_wait(&w->done, &w->mutex);
    }
    pthread_mutex_unlock(&w->mutex);
    if (w->rc < 0) {
        yzi_fail(err, w->rc, "%s", w->err.text[0] ? w->err.text : yz_err_words(w->rc));
    }
    return w->rc;
}

static void waiter_fini(struct waiter *w)
{
    pthread_cond_destroy(&w->done);
    pthread_mutex_destroy(&w->mutex);
}

static int enter(yz_client *c, yz_error *err)
{
    YZ_TRY(yzi_client_not_forked(c, err));
    pthread_mutex_lock(&c->mutex);
    bool closing = c->closing;
    c->inside += closing ? 0 : 1;
    pthread_mutex_unlock(&c->mutex);
    return closing ? yzi_fail(err, YZ_ECLOSED, "the client is closed") : YZ_OK;
}

static void leave(yz_client *c)
{
    pthread_mutex_lock(&c->mutex);
    if (--c->inside == 0) {
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->mutex);
}

static int call_and_wait(yz_client *c, const yz_request *request, yz_answer **out, yz_error *err)
{
    struct waiter w;
    waiter_init(&w);
    yz_error why = {0};
    int rc = yzi_client_submit(c, request, wake, &w, &why);
    if (rc < 0) {
        yzi_fail(err, rc, "%s", why.text[0] ? why.text : yz_err_words(rc));
    } else if ((rc = wait_for(&w, err)) == YZ_OK) {
        *out = w.answer;
    }
    waiter_fini(&w);
    return rc;
}

int yz_call(yz_client *client, const yz_request *request, yz_answer **out, yz_error *err)
{
    if (!client || !request || !out) {
        return yzi_fail(err, YZ_EINVAL,
                        "yz_call needs a client, a request and a place for the "
                        "answer");
    }
    YZ_TRY(enter(client, err));
    int rc = call_and_wait(client, request, out, err);
    leave(client);
    return rc;
}

static int probe_and_wait(yz_client *c, uint32_t timeout_ms, yz_error *err)
{
    struct call_order *order;
    YZ_TRY(yzi_alloc(1, sizeof *order, &order));
    struct waiter w;
    waiter_init(&w);
    *order = (struct call_order){.probe = true,
                                 .timeout_ms = timeout_ms,
                                 .submitted = yzi_mono_ms(c->clock),
                                 .done = wake,
                                 .ctx = &w};
    int rc = yzi_client_hand_over(c, order, err);
    if (rc < 0) {
        free(order);
    } else {
        rc = wait_for(&w, err);
    }
    waiter_fini(&w);
    return rc;
}

int yz_client_wait_ready(yz_client *client, uint32_t timeout_ms, yz_error *err)
{
    if (!client) {
        return yzi_fail(err, YZ_EINVAL, "yz_client_wait_ready needs a client");
    }
    YZ_TRY(enter(client, err));
    int rc = probe_and_wait(client, timeout_ms, err);
    leave(client);
    return rc;
}
