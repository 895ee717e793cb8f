/* SPDX-License-Identifier: Apache-2.0
 *
 * Two tables over the same objects: by connection id, and by node id with the newest first.
 */
#include "broker/connections.h"

#define CHECK_EVERY_MS 1000u

void yzi_connections_init(struct connections *c, size_t max)
{
    *c = (struct connections){.max = max};
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
}

struct connection *yzi_connection_find(const struct connections *c, const struct connection_id *id)
{
    return yzi_table_get(&c->by_id, yzi_connection_bytes(id));
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
        YZ_ENSURE(yzi_table_count(&c->by_id) < c->max, YZ_EBUSY);
        YZ_TRY(yzi_alloc(1, sizeof *k, &k));
        k->id = *id;
        memcpy(k->key, key, sizeof k->key);
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
    if (!k->node[0]) {
        return;
    }
    yz_bytes node = yzi_bytes_str(k->node);
    struct connection *head = yzi_table_get(&c->by_node, node);
    if (head == k) {
        yzi_table_remove(&c->by_node, node);
        if (k->next_of_node) {
            yz_ignore(yzi_table_put(&c->by_node, node, k->next_of_node),
                      "without memory the older connection is found at its next message");
        }
    }
    for (; head; head = head->next_of_node) {
        if (head->next_of_node == k) {
            head->next_of_node = k->next_of_node;
            break;
        }
    }
    k->next_of_node = NULL;
    k->node[0] = '\0';
}

static void link_node(struct connections *c, struct connection *k, yz_bytes node)
{
    struct connection *head = NULL;
    void *old = NULL;
    if (node.n > YZ_ID_MAX || yzi_table_set(&c->by_node, node, k, &old) < 0) {
        return; /* out of memory: not found by node until its next look-up */
    }
    head = old;
    memcpy(k->node, node.p, node.n);
    k->node[node.n] = '\0';
    k->next_of_node = head;
}

bool yzi_connection_check(struct connections *c, struct connection *k, const struct directory *d,
                          uint64_t now, uint64_t mono)
{
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
    if (!yzi_bytes_eq_str(k->peer.node.v, k->node)) {
        unlink_node(c, k);
        link_node(c, k, k->peer.node.v);
    }
    k->role = k->peer.role;
    return true;
}

struct connection *yzi_connection_of_node(const struct connections *c, yz_node_id node)
{
    struct connection *k = yzi_table_get(&c->by_node, node.v);
    while (k && (!k->live || !k->hello)) {
        k = k->next_of_node;
    }
    return k;
}

void yzi_connection_drop(struct connections *c, struct connection *k)
{
    unlink_node(c, k);
    yzi_table_remove(&c->by_id, yzi_connection_bytes(&k->id));
    free_connection(k);
}

size_t yzi_connections_count(const struct connections *c)
{
    return yzi_table_count(&c->by_id);
}
