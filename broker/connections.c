/* SPDX-License-Identifier: Apache-2.0
 *
 * Two tables over the same objects: by connection id, and by node id with the newest first; and one
 * of loads, which outlive a node's connections by LOAD_KEPT_MS, so that reconnecting refills no
 * bucket.
 *
 * The connections given up are remembered, because libzmq hands over what it had received of one
 * long after that is shut down: without its hello, that would be taken for a stranger's nonsense.
 * They are few: each stands no more, or is about to end. There is a limit all the same, at which
 * the one given up first is forgotten: then what is left of it counts as anybody's.
 */
#include "broker/connections.h"

#define CHECK_EVERY_MS 1000u
#define LOAD_KEPT_MS 60000u
#define DEPARTED_MAX 16384u
#define DEPARTED_KEPT_MS                                                                           \
    10000u /* the end of a connection is told just before its last words are                       \
            */

struct departed {
    struct connection_id id;
    uint64_t heard_mono; /* given up, or its last word since */
};

static double tokens_now(const struct bucket *k, double per_second, double burst, uint64_t mono)
{
    double tokens =
        k->begun ? k->tokens + per_second * (double)(mono - k->at_mono) / 1000.0 : burst;
    return tokens > burst ? burst : tokens;
}

bool yzi_bucket_is_empty(const struct bucket *k, double per_second, double burst, uint64_t mono)
{
    return tokens_now(k, per_second, burst, mono) <= 0;
}

bool yzi_bucket_take(struct bucket *k, double amount, double per_second, double burst,
                     uint64_t mono)
{
    double tokens = tokens_now(k, per_second, burst, mono);
    k->begun = true;
    k->at_mono = mono;
    k->tokens = tokens;
    if (tokens <= 0) {
        return false;
    }
    k->tokens -= amount;
    return true;
}

void yzi_connections_init(struct connections *c, size_t max, size_t max_per_node)
{
    *c = (struct connections){.max = max, .max_per_node = max_per_node};
}

static void free_connection(void *value)
{
    struct connection *k = value;
    yzi_directory_unref(k->directory);
    free(k);
}

void yzi_connections_fini(struct connections *c)
{
    yzi_table_fini(&c->by_node, NULL);
    yzi_table_fini(&c->by_id, free_connection);
    yzi_table_fini(&c->departed, free);
    yzi_table_fini(&c->loads, free);
}

struct connection *yzi_connection_find(const struct connections *c, const struct connection_id *id)
{
    return yzi_table_get(&c->by_id, yzi_connection_bytes(id));
}

static void remember_departed(struct connections *c, const struct connection_id *id, uint64_t mono)
{
    if (yzi_table_count(&c->departed) >= DEPARTED_MAX) {
        struct departed *first = yzi_table_value(yzi_table_first(&c->departed));
        yzi_table_remove(&c->departed, yzi_connection_bytes(&first->id));
        free(first);
    }
    struct departed *gone;
    if (yzi_alloc(1, sizeof *gone, &gone) < 0) {
        return; /* what it had still to say will count as a stranger's */
    }
    *gone = (struct departed){.id = *id, .heard_mono = mono};
    if (yzi_table_put(&c->departed, yzi_connection_bytes(id), gone) < 0) {
        free(gone);
    }
}

/* Is this what a connection that was given up had still to say? */
static bool has_departed(struct connections *c, const struct connection_id *id, uint64_t mono)
{
    struct departed *gone = yzi_table_get(&c->departed, yzi_connection_bytes(id));
    if (gone) {
        gone->heard_mono = mono;
    }
    return gone != NULL;
}

int yzi_connection_get(struct connections *c, const struct connection_id *id, const uint8_t key[32],
                       uint64_t mono, struct connection **out)
{
    struct connection *k = yzi_connection_find(c, id);
    if (k && !yzi_bytes_eq(yzi_bytes(k->key, 32), yzi_bytes(key, 32))) {
        /* libzmq gave a closed connection's id to another peer */
        yzi_connection_drop(c, k);
        k = NULL;
    }
    if (!k) {
        YZ_ENSURE(!has_departed(c, id, mono), YZ_ECLOSED);
        if (yzi_table_count(&c->by_id) >= c->max) {
            remember_departed(c, id, mono); /* the rest of it is not heard when there is room */
            return YZ_EBUSY;
        }
        YZ_TRY(yzi_alloc(1, sizeof *k, &k));
        k->id = *id;
        memcpy(k->key, key, sizeof k->key);
        k->opened_mono = mono;
        int rc = yzi_table_put(&c->by_id, yzi_connection_bytes(id), k);
        if (rc < 0) {
            free(k);
            return rc;
        }
    }
    k->seen_mono = mono;
    *out = k;
    return YZ_OK;
}

/* Take it out of the chain of its node. */
static void unlink_node(struct connections *c, struct connection *k)
{
    if (!k->linked) {
        return;
    }
    yz_bytes node = yzi_bytes_str(k->node);
    struct connection *head = yzi_table_get(&c->by_node, node);
    if (head != k) {
        while (head->next_of_node != k) {
            head = head->next_of_node;
        }
        head->next_of_node = k->next_of_node;
    } else if (k->next_of_node) {
        yz_ignore(yzi_table_set(&c->by_node, node, k->next_of_node, NULL),
                  "replacing a value takes no memory");
    } else {
        yzi_table_remove(&c->by_node, node);
    }
    k->load->connections--;
    k->next_of_node = NULL;
    k->linked = false;
}

static int load_of(struct connections *c, yz_bytes node, struct node_load **out)
{
    struct node_load *load = yzi_table_get(&c->loads, node);
    if (!load) {
        YZ_TRY(yzi_alloc(1, sizeof *load, &load));
        int rc = yzi_table_put(&c->loads, node, load);
        if (rc < 0) {
            free(load);
            return rc;
        }
    }
    *out = load;
    return YZ_OK;
}

static int link_node(struct connections *c, struct connection *k, yz_bytes node)
{
    struct node_load *load;
    void *old = NULL;
    YZ_ENSURE(node.n <= YZ_ID_MAX, YZ_EINVAL);
    YZ_TRY(load_of(c, node, &load));
    YZ_ENSURE(load->connections < c->max_per_node, YZ_EBUSY);
    YZ_TRY(yzi_table_set(&c->by_node, node, k, &old));
    memcpy(k->node, node.p, node.n);
    k->node[node.n] = '\0';
    k->linked = true;
    k->next_of_node = old;
    k->load = load;
    load->connections++;
    return YZ_OK;
}

bool yzi_connection_check(struct connections *c, struct connection *k, const struct directory *d,
                          uint64_t now, uint64_t mono)
{
    if (k->gone) {
        return false;
    }
    if (d && k->directory == d && mono - k->checked_mono < CHECK_EVERY_MS && k->checked_mono) {
        return k->live;
    }
    if (k->directory != d) {
        yzi_directory_unref(k->directory);
        k->directory = d;
        if (d) {
            yzi_directory_ref(d);
        }
    }
    k->checked_mono = mono;
    k->live = d && yzi_directory_by_transport(d, k->key, now, &k->peer) == YZ_OK;
    if (!k->live) {
        k->peer = (struct directory_node){0};
        unlink_node(c, k);
        return false;
    }
    k->role = k->peer.role;
    if (!k->linked || !yzi_bytes_eq_str(k->peer.node.v, k->node)) {
        unlink_node(c, k);
        k->live = link_node(c, k, k->peer.node.v) == YZ_OK;
    }
    if (k->live) {
        k->load->used_mono = mono;
    }
    return k->live;
}

struct connection *yzi_connection_of_node(const struct connections *c, yz_node_id node)
{
    struct connection *k = yzi_table_get(&c->by_node, node.v);
    while (k && (!k->live || !k->hello)) {
        k = k->next_of_node;
    }
    return k;
}

void yzi_connection_mark_gone(struct connections *c, struct connection *k)
{
    unlink_node(c, k);
    k->gone = true;
    k->live = k->hello = false;
}

void yzi_connection_drop(struct connections *c, struct connection *k)
{
    unlink_node(c, k);
    yzi_table_remove(&c->by_id, yzi_connection_bytes(&k->id));
    free_connection(k);
}

void yzi_connection_give_up(struct connections *c, struct connection *k, uint64_t mono)
{
    remember_departed(c, &k->id, mono);
    yzi_connection_drop(c, k);
}

void yzi_connections_forget_departed(struct connections *c, uint64_t mono,
                                     bool (*stands)(void *ctx, const struct connection_id *id),
                                     void *ctx)
{
    struct table_item *next;
    for (struct table_item *i = yzi_table_first(&c->departed); i; i = next) {
        next = yzi_table_next(i);
        struct departed *gone = yzi_table_value(i);
        if (mono - gone->heard_mono > DEPARTED_KEPT_MS && !stands(ctx, &gone->id)) {
            yzi_table_remove(&c->departed, yzi_connection_bytes(&gone->id));
            free(gone);
        }
    }
}

size_t yzi_connections_count(const struct connections *c)
{
    return yzi_table_count(&c->by_id);
}

struct node_load *yzi_connections_load(const struct connections *c, yz_bytes node)
{
    return yzi_table_get(&c->loads, node);
}

size_t yzi_connections_of_node(const struct connections *c, yz_node_id node)
{
    const struct node_load *load = yzi_connections_load(c, node.v);
    return load ? load->connections : 0;
}

void yzi_connections_sweep(struct connections *c, uint64_t mono)
{
    struct table_item *next;
    for (struct table_item *i = yzi_table_first(&c->loads); i; i = next) {
        next = yzi_table_next(i);
        struct node_load *load = yzi_table_value(i);
        if (load->connections == 0 && load->in_flight == 0 && load->refused_n == 0 &&
            mono >= load->mistrusted_until && mono - load->used_mono > LOAD_KEPT_MS) {
            yz_bytes key = yzi_table_key(i);
            yzi_table_remove(&c->loads, key);
            free(load);
        }
    }
}
