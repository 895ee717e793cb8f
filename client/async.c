/* SPDX-License-Identifier: Apache-2.0
 *
 * Submit and poll. Everything the end of a call needs is made when it is submitted, so that nothing
 * can keep a call from ending: a `struct pending` to hold the result, and room in the queue of
 * completions, whose capacity is the number of calls that may be in flight (and one for the mark at
 * the end). A call ends in one place only, `ended`, on the client's thread.
 *
 * A pending call belongs to the client's thread from submit to `ended`, then to whoever takes it
 * from the queue. While it is in the table it has not ended, so yz_cancel, which looks it up under
 * the mutex, can put it on the list of those to cancel; `ended` takes it off both.
 *
 * Lock: `mutex` of struct async; the mutexes of queues are taken inside it.
 */
#include "client/async.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "client/client_internal.h"

struct pending {
    struct async *async;
    yz_ticket ticket;
    void *ctx;
    struct call_handle handle; /* the client's thread's */
    bool to_cancel;            /* it is in the list */
    LIST_ENTRY(pending) cancel_links;
    yz_answer *answer;
    yz_error err;
};

static yz_bytes ticket_key(const yz_ticket *ticket)
{
    return yzi_bytes(ticket, sizeof *ticket);
}

/* -- the handle's -- */

void yzi_async_init(struct async *a)
{
    a->wake_fd = -1;
    LIST_INIT(&a->cancel);
    YZ_ASSERT(pthread_mutex_init(&a->mutex, NULL) == 0); /* cannot fail on Linux */
}

int yzi_async_open(struct async *a, size_t limit)
{
    a->limit = limit;
    YZ_TRY(yzi_queue_new(limit + 1, &a->completions));
    a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return a->wake_fd < 0 ? YZ_EIO : YZ_OK;
}

void yzi_async_fini(struct async *a)
{
    void *item;
    while (a->completions && (item = yzi_queue_try_pop(a->completions)) != NULL) {
        if (item != &a->end) {
            struct pending *p = item;
            yz_answer_free(p->answer);
            free(p);
        }
    }
    yzi_queue_free(a->completions, NULL);
    yzi_table_fini(&a->by_ticket, NULL);
    if (a->wake_fd >= 0) {
        close(a->wake_fd);
    }
    pthread_mutex_destroy(&a->mutex);
}

/* -- the client's thread's -- */

static void ended(void *ctx, int rc, yz_answer *answer, const yz_error *err)
{
    struct pending *p = ctx;
    struct async *a = p->async;
    p->answer = answer;
    if (rc < 0) {
        yzi_fail(&p->err, rc, "%s", err && err->text[0] ? err->text : yz_err_words(rc));
    }
    pthread_mutex_lock(&a->mutex);
    (void)yzi_table_remove(&a->by_ticket, ticket_key(&p->ticket));
    if (p->to_cancel) {
        LIST_REMOVE(p, cancel_links);
        p->to_cancel = false;
    }
    pthread_mutex_unlock(&a->mutex);
    YZ_ASSERT(yzi_queue_push(a->completions, p) == 0);
}

static struct pending *next_to_cancel(struct async *a)
{
    pthread_mutex_lock(&a->mutex);
    struct pending *p = LIST_FIRST(&a->cancel);
    if (p) {
        LIST_REMOVE(p, cancel_links);
        p->to_cancel = false;
    }
    pthread_mutex_unlock(&a->mutex);
    return p;
}

void yzi_async_cancel_asked(struct async *a, struct engine *e)
{
    uint64_t count;
    yz_ignore(read(a->wake_fd, &count, sizeof count) < 0, "the list says what there is to do");
    struct pending *p;
    while ((p = next_to_cancel(a)) != NULL) {
        yzi_engine_cancel(e, &p->handle); /* it has not ended: only this thread ends calls */
    }
}

void yzi_async_end(struct async *a)
{
    YZ_ASSERT(yzi_queue_push(a->completions, &a->end) == 0);
}

/* -- callers' -- */

/* With the mutex held. On success the order is the thread's. */
static int begin(yz_client *c, struct pending *p, struct call_order *order, yz_error *err)
{
    struct async *a = &c->async;
    if (a->in_flight >= a->limit) {
        return yzi_fail(err, YZ_EBUSY, "%zu calls are in flight (in_flight)", a->in_flight);
    }
    p->ticket = a->last + 1;
    YZ_TRY(yzi_table_put(&a->by_ticket, ticket_key(&p->ticket), p));
    int rc = yzi_client_hand_over(c, order, err);
    if (rc < 0) {
        (void)yzi_table_remove(&a->by_ticket, ticket_key(&p->ticket));
        return rc;
    }
    a->last++;
    a->in_flight++;
    return YZ_OK;
}

static int submit(yz_client *c, const yz_request *request, void *ctx, yz_ticket *out, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) struct pending *p = NULL;
    struct call_order *order;
    YZ_TRY(yzi_alloc(1, sizeof *p, &p));
    YZ_TRY(yzi_client_order(c, request, &order, err));
    p->async = &c->async;
    p->ctx = ctx;
    order->done = ended;
    order->ctx = p;
    order->handle = &p->handle;
    pthread_mutex_lock(&c->async.mutex);
    int rc = begin(c, p, order, err);
    yz_ticket ticket = c->async.last;
    pthread_mutex_unlock(&c->async.mutex);
    if (rc < 0) {
        yzi_client_order_free(order);
        return rc;
    }
    p = NULL; /* the thread's, or gone already */
    if (out) {
        *out = ticket;
    }
    return YZ_OK;
}

int yz_submit(yz_client *client, const yz_request *request, void *ctx, yz_ticket *out,
              yz_error *err)
{
    if (!client || !request) {
        return yzi_fail(err, YZ_EINVAL, "yz_submit needs a client and a request");
    }
    YZ_TRY(yzi_client_not_forked(client, err));
    yz_error why = {0};
    int rc = submit(client, request, ctx, out, &why);
    return rc < 0 ? yzi_fail(err, rc, "%s", why.text[0] ? why.text : yz_err_words(rc)) : YZ_OK;
}

static void take(struct async *a, struct pending *p, yz_completion *out)
{
    *out =
        (yz_completion){.ticket = p->ticket, .ctx = p->ctx, .answer = p->answer, .error = p->err};
    free(p);
    pthread_mutex_lock(&a->mutex);
    a->in_flight--;
    pthread_mutex_unlock(&a->mutex);
}

int yz_poll(yz_client *client, uint32_t timeout_ms, yz_completion *out, yz_error *err)
{
    if (!client || !out) {
        return yzi_fail(err, YZ_EINVAL, "yz_poll needs a client and a place for the completion");
    }
    YZ_TRY(yzi_client_not_forked(client, err));
    struct async *a = &client->async;
    uint64_t now = timeout_ms ? yzi_mono_ms(client->clock) : 0, until = now + timeout_ms;
    for (;;) {
        void *item = yzi_queue_try_pop(a->completions);
        if (item == &a->end) { /* for the others, and for ever */
            YZ_ASSERT(yzi_queue_push(a->completions, item) == 0);
            return yzi_fail(err, YZ_ECLOSED, "the client is shut down, and every call was taken");
        }
        if (item) {
            take(a, item, out);
            return YZ_OK;
        }
        if (now >= until) {
            return yzi_fail(err, YZ_ETIMEOUT, "no call ended within %u ms", timeout_ms);
        }
        struct poll_entry e = {.fd = yzi_queue_fd(a->completions)};
        int rc = yzi_poll(&e, 1, (int64_t)(until - now));
        if (rc < 0) {
            return yzi_fail(err, rc, "completions cannot be waited for (%s)", yz_err_words(rc));
        }
        now = yzi_mono_ms(client->clock);
    }
}

int yz_client_fd(const yz_client *client)
{
    return client ? yzi_queue_fd(client->async.completions) : YZ_EINVAL;
}

int yz_cancel(yz_client *client, yz_ticket ticket)
{
    YZ_ENSURE(client, YZ_EINVAL);
    YZ_TRY(yzi_client_not_forked(client, NULL));
    struct async *a = &client->async;
    pthread_mutex_lock(&a->mutex);
    struct pending *p = yzi_table_get(&a->by_ticket, ticket_key(&ticket));
    if (p && !p->to_cancel) {
        LIST_INSERT_HEAD(&a->cancel, p, cancel_links);
        p->to_cancel = true;
    }
    pthread_mutex_unlock(&a->mutex);
    if (!p) {
        return YZ_ENOTFOUND;
    }
    uint64_t one = 1;
    yz_ignore(write(a->wake_fd, &one, sizeof one) < 0, "full means raised");
    return YZ_OK;
}
