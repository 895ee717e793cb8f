/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections: who is connected, over what, since when. A reconnect brings a new routing id, so
 * connections are tracked and nodes are found through them, never the other way round. Who a
 * connection is comes from its CURVE key and the directory in force; that answer is remembered only
 * until the directory changes or a second has passed. Front thread only.
 */
#ifndef YZ_BROKER_CONNECTIONS_H
#define YZ_BROKER_CONNECTIONS_H

#include "base/table.h"
#include "base/uuid.h"
#include "keys/directory.h"
#include "net/server.h"

struct connection {
    struct connection_id id;
    uint8_t key[32];
    char node[YZ_ID_MAX + 1]; /* the node's id at the last look-up; for logs and node tables */
    enum node_role role;
    bool hello;
    yz_uuid boot;
    uint64_t seen_mono;         /* last message */
    uint64_t beat_mono;         /* last heartbeat sent */
    uint64_t directory_version; /* the peer's, as it last said */
    uint64_t asked_version;     /* of a directory we asked it for */
    /* the look-up */
    struct directory_node peer;        /* views into `directory` */
    const struct directory *directory; /* a reference, or NULL */
    uint64_t checked_mono;
    bool live;
    /* load */
    size_t in_flight;   /* as a consumer */
    size_t outstanding; /* as an adapter */
    double tokens;      /* rate limit */
    uint64_t tokens_mono;
    struct root_memory roots;
    struct connection *next_of_node; /* newest first */
};

struct connections {
    struct table by_id;
    struct table by_node; /* node id -> struct connection, the newest */
    size_t max;
};

void yzi_connections_init(struct connections *c, size_t max);
void yzi_connections_fini(struct connections *c);
/* The connection of this id, made when it is new. YZ_EBUSY beyond the limit, YZ_ENOMEM. */
YZ_MUST_USE int yzi_connection_get(struct connections *c, const struct connection_id *id,
                                   const uint8_t key[32], uint64_t mono, struct connection **out);
struct connection *yzi_connection_find(const struct connections *c, const struct connection_id *id);
/* Look the key up in this directory (may be NULL) unless that was done within the last second.
 * Returns whether the connection is a live node's. */
bool yzi_connection_check(struct connections *c, struct connection *k, const struct directory *d,
                          uint64_t now, uint64_t mono);
/* The node's newest live connection that said hello; NULL when there is none. */
struct connection *yzi_connection_of_node(const struct connections *c, yz_node_id node);
void yzi_connection_drop(struct connections *c, struct connection *k); /* frees it */
size_t yzi_connections_count(const struct connections *c);

#endif
