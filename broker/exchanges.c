/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of exchanges and the counts that limit them.
 */
#include "broker/exchanges.h"

void yzi_exchanges_init(struct exchanges *e, size_t bytes_max, size_t per_service_max)
{
    *e = (struct exchanges){.bytes_max = bytes_max, .per_service_max = per_service_max};
}

/* The log may still have it; nobody waits for it any more. */
static void forget_item(struct evidence_item *item)
{
    if (item) {
        item->ctx = NULL;
        yzi_evidence_item_unref(item);
    }
}

static void free_exchange(void *value)
{
    struct exchange *x = value;
    forget_item(x->logged);
    forget_item(x->answer);
    yzi_buf_fini(&x->held);
    yzi_message_fini(&x->message);
    if (x->offer) {
        yzi_offer_unref(x->offer);
    }
    free(x);
}

void yzi_exchanges_fini(struct exchanges *e)
{
    yzi_table_fini(&e->by_digest, free_exchange);
    yzi_table_fini(&e->loads, free);
    yzi_deadlines_fini(&e->timers);
}

int yzi_exchange_new(struct message *message, struct exchange **out)
{
    struct exchange *x;
    YZ_TRY(yzi_alloc(1, sizeof *x, &x));
    yzi_message_move(&x->message, message);
    *out = x;
    return YZ_OK;
}

static int load_of(struct exchanges *e, yz_service_id service, struct service_load **out)
{
    struct service_load *load = yzi_table_get(&e->loads, service.v);
    if (!load) {
        YZ_TRY(yzi_alloc(1, sizeof *load, &load));
        int rc = yzi_table_put(&e->loads, service.v, load);
        if (rc < 0) {
            free(load);
            return rc;
        }
    }
    *out = load;
    return YZ_OK;
}

/* A service nobody is calling costs nothing: who may rename his services cannot fill our memory
 * with their counters. */
static void forget_idle(struct exchanges *e, yz_service_id service, struct service_load *load)
{
    if (load->in_flight == 0) {
        yzi_table_remove(&e->loads, service.v);
        free(load);
    }
}

static bool fits(size_t held, size_t more, size_t max)
{
    return held <= max && more <= max - held;
}

int yzi_exchanges_may_track(const struct exchanges *e, yz_bytes service, size_t n,
                            const struct node_load *asker, const char **out_limit)
{
    static const struct service_load idle;
    const struct service_load *load = yzi_table_get(&e->loads, service);
    load = load ? load : &idle;
    const char *limit = NULL;
    if (load->in_flight >= e->per_service_max) {
        limit = "in-flight-per-service";
    } else if (e->max && yzi_exchanges_count(e) >= e->max) {
        limit = "in-flight";
    } else if (!fits(e->bytes, n, e->bytes_max)) {
        limit = "in-flight-bytes";
    } else if (e->bytes_per_service_max && !fits(load->bytes, n, e->bytes_per_service_max)) {
        limit = "in-flight-bytes-per-service";
    } else if (e->bytes_per_peer_max && !fits(asker->in_flight_bytes, n, e->bytes_per_peer_max)) {
        limit = "in-flight-bytes-per-peer";
    }
    if (!limit) {
        return YZ_OK;
    }
    *out_limit = limit;
    return YZ_EBUSY;
}

static int enter(struct exchanges *e, struct exchange *x)
{
    YZ_TRY(yzi_table_put(&e->by_digest, yzi_bytes_digest(&x->request.digest), x));
    int rc = yzi_deadlines_set(&e->timers, &x->timer, x->deadline_mono, x);
    if (rc < 0) {
        yzi_table_remove(&e->by_digest, yzi_bytes_digest(&x->request.digest));
    }
    return rc;
}

int yzi_exchange_track(struct exchanges *e, struct exchange *x, struct node_load *asker,
                       const char **out_limit)
{
    struct service_load *load;
    YZ_TRY(yzi_exchanges_may_track(e, x->request.header.service.v, x->message.bytes.n, asker,
                                   out_limit));
    YZ_TRY(load_of(e, x->request.header.service, &load));
    int rc = enter(e, x);
    if (rc < 0) {
        forget_idle(e, x->request.header.service, load);
        return rc;
    }
    x->load = load;
    x->asker = asker;
    load->in_flight++;
    load->bytes += x->message.bytes.n;
    asker->in_flight++;
    asker->in_flight_bytes += x->message.bytes.n;
    e->bytes += x->message.bytes.n;
    x->tracked = true;
    return YZ_OK;
}

int yzi_exchange_hold(struct exchanges *e, struct exchange *x)
{
    size_t n = x->held.n + (x->tracked ? 0 : x->message.bytes.n);
    size_t others = e->held_bytes - x->held_bytes;
    YZ_ENSURE(!others || fits(others, n, e->bytes_max), YZ_ELIMIT);
    x->held_bytes = n;
    e->held_bytes = others + n;
    return YZ_OK;
}

struct exchange *yzi_exchange_find(const struct exchanges *e, const yz_digest *request_digest)
{
    return yzi_table_get(&e->by_digest, yzi_bytes_digest(request_digest));
}

void yzi_exchange_end(struct exchanges *e, struct exchange *x)
{
    if (x->tracked) {
        yzi_deadlines_remove(&e->timers, &x->timer);
        yzi_table_remove(&e->by_digest, yzi_bytes_digest(&x->request.digest));
        x->load->in_flight--;
        x->load->bytes -= x->message.bytes.n;
        forget_idle(e, x->request.header.service, x->load);
        x->asker->in_flight--;
        x->asker->in_flight_bytes -= x->message.bytes.n;
        e->bytes -= x->message.bytes.n;
    }
    e->held_bytes -= x->held_bytes;
    free_exchange(x);
}

size_t yzi_exchanges_count(const struct exchanges *e)
{
    return yzi_table_count(&e->by_digest);
}
