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
    yzi_table_fini(&e->shares, free);
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

/* Both are where they are for as long as an exchange counts against them. */
struct share_key {
    const struct service_load *service;
    const struct node_load *asker;
};

static yz_bytes share_key(const struct share_key *k)
{
    return (yz_bytes){(const uint8_t *)k, sizeof *k};
}

static int counter(struct table *counters, yz_bytes key, struct service_load **out)
{
    struct service_load *load = yzi_table_get(counters, key);
    if (!load) {
        YZ_TRY(yzi_alloc(1, sizeof *load, &load));
        int rc = yzi_table_put(counters, key, load);
        if (rc < 0) {
            free(load);
            return rc;
        }
    }
    *out = load;
    return YZ_OK;
}

/* What nobody counts on costs nothing: who may rename his services cannot fill our memory with
 * their counters. */
static void forget_idle(struct table *counters, yz_bytes key)
{
    struct service_load *load = yzi_table_get(counters, key);
    if (load && load->in_flight == 0) {
        yzi_table_remove(counters, key);
        free(load);
    }
}

static void forget_idle_counters(struct exchanges *e, yz_service_id service,
                                 const struct service_load *load, const struct node_load *asker)
{
    forget_idle(&e->shares, share_key(&(struct share_key){load, asker}));
    forget_idle(&e->loads, service.v);
}

static bool fits(size_t held, size_t more, size_t max)
{
    return held <= max && more <= max - held;
}

/* Would what stays free be too little beside what the node has of it already? */
static bool is_greedy(size_t own, size_t held, size_t more, size_t max)
{
    return own / YZ_SHARE_OF_FREE > max - held - more;
}

/* The limit that says no to one exchange more, of so many bytes. */
static const char *full(const struct exchanges *e, const struct service_load *load, size_t n,
                        const struct node_load *asker)
{
    if (load->in_flight >= e->per_service_max) {
        return "in-flight-per-service";
    }
    if (e->max && yzi_exchanges_count(e) >= e->max) {
        return "in-flight";
    }
    if (!fits(e->bytes, n, e->bytes_max)) {
        return "in-flight-bytes";
    }
    if (e->bytes_per_service_max && !fits(load->bytes, n, e->bytes_per_service_max)) {
        return "in-flight-bytes-per-service";
    }
    if (e->bytes_per_peer_max && !fits(asker->in_flight_bytes, n, e->bytes_per_peer_max)) {
        return "in-flight-bytes-per-peer";
    }
    return NULL;
}

/* The same of the room that others find after it; nothing is full. */
static bool takes_too_much(const struct exchanges *e, const struct service_load *load, size_t n,
                           const struct node_load *asker, const struct service_load *share)
{
    return is_greedy(share->in_flight, load->in_flight, 1, e->per_service_max) ||
           (e->max && is_greedy(asker->in_flight, yzi_exchanges_count(e), 1, e->max)) ||
           is_greedy(asker->in_flight_bytes, e->bytes, n, e->bytes_max) ||
           (e->bytes_per_service_max &&
            is_greedy(share->bytes, load->bytes, n, e->bytes_per_service_max));
}

int yzi_exchanges_may_track(const struct exchanges *e, yz_bytes service, size_t n,
                            const struct node_load *asker, const char **out_limit)
{
    static const struct service_load idle;
    const struct service_load *load = yzi_table_get(&e->loads, service);
    const struct service_load *share =
        load ? yzi_table_get(&e->shares, share_key(&(struct share_key){load, asker})) : NULL;
    load = load ? load : &idle;
    const char *limit = full(e, load, n, asker);
    if (!limit && takes_too_much(e, load, n, asker, share ? share : &idle)) {
        limit = "in-flight-share";
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

static void count(struct service_load *load, const struct exchange *x)
{
    load->in_flight++;
    load->bytes += x->message.bytes.n;
}

static void uncount(struct service_load *load, const struct exchange *x)
{
    load->in_flight--;
    load->bytes -= x->message.bytes.n;
}

static int enter_counted(struct exchanges *e, struct exchange *x, struct service_load *load,
                         const struct node_load *asker)
{
    struct service_load *share;
    YZ_TRY(counter(&e->shares, share_key(&(struct share_key){load, asker}), &share));
    YZ_TRY(enter(e, x));
    x->share = share;
    return YZ_OK;
}

int yzi_exchange_track(struct exchanges *e, struct exchange *x, struct node_load *asker,
                       const char **out_limit)
{
    yz_service_id service = x->request.header.service;
    struct service_load *load;
    YZ_TRY(yzi_exchanges_may_track(e, service.v, x->message.bytes.n, asker, out_limit));
    YZ_TRY(counter(&e->loads, service.v, &load));
    int rc = enter_counted(e, x, load, asker);
    if (rc < 0) {
        forget_idle_counters(e, service, load, asker);
        return rc;
    }
    x->load = load;
    x->asker = asker;
    count(x->load, x);
    count(x->share, x);
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
        uncount(x->load, x);
        uncount(x->share, x);
        forget_idle_counters(e, x->request.header.service, x->load, x->asker);
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
