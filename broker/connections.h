/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections: who is connected, over what, since when. A reconnect brings a new routing id, so
 * connections are tracked and nodes are found through them, never the other way round. Who a
 * connection is comes from its CURVE key and the directory in force; that answer is remembered only
 * until the directory changes or a second has passed. A connection found gone is marked and freed
 * later (front.c), so that nobody's pointer to it dies under him. Front thread only.
 */
#ifndef YZ_BROKER_CONNECTIONS_H
#define YZ_BROKER_CONNECTIONS_H

#include "base/table.h"
#include "base/uuid.h"
#include "keys/directory.h"
#include "net/server.h"

/* A bucket of allowances that fills at a rate, up to a burst. */
struct bucket {
    double tokens;
    uint64_t at_mono;
    bool begun;
};
/* Take `amount` if the bucket holds anything at all: it may go below zero, by one amount. False
 * when it is empty. */
bool yzi_bucket_take(struct bucket *k, double amount, double per_second, double burst,
                     uint64_t mono);
/* Would nothing be taken from it now? */
bool yzi_bucket_is_empty(const struct bucket *k, double per_second, double burst, uint64_t mono);

#define CONNECTION_MANIFESTS 8u /* questions whose answer still counts when it comes late */
#define NODE_REFUSALS 16u       /* indexed by enum outcome_status */

/* What a node has under way over all its connections: limits are per node, because a node may open
 * as many connections as it is let. */
struct node_load {
    size_t connections, in_flight; /* in_flight: exchanges it asked for */
    size_t in_flight_bytes;
    struct bucket requests, records, bytes;
    struct bucket faults, nonsense; /* failed verifications; all that should not have been said */
    unsigned logged;                /* lines about it in this second */
    uint64_t logged_second;
    uint64_t used_mono;
    uint32_t refused[NODE_REFUSALS]; /* requests refused and not logged yet, by status */
    uint32_t refused_n;
    uint64_t refused_from, refused_until; /* wall ms */
    uint64_t mistrusted_until;            /* its directory is not asked for before (monotonic ms) */
};

struct connection {
    struct connection_id id;
    uint8_t key[32];
    char node[YZ_ID_MAX + 1]; /* the node's id when it was last live */
    bool linked;              /* found by that id */
    enum node_role role;
    bool hello;
    bool gone; /* lost, and to be freed */
    yz_uuid boot;
    uint64_t opened_mono;                           /* first message */
    uint64_t seen_mono;                             /* last message */
    uint64_t beat_mono;                             /* last heartbeat sent */
    uint64_t directory_version;                     /* the peer's, as it last said */
    uint32_t manifest_tokens[CONNECTION_MANIFESTS]; /* of the directory we asked it for; 0: none */
    unsigned manifests_asked;
    uint64_t follow_after; /* monotonic ms: before that its directory is not asked for */
    /* the look-up */
    struct directory_node peer;        /* views into `directory` */
    const struct directory *directory; /* a reference, or NULL */
    uint64_t checked_mono;
    bool live;
    size_t outstanding;     /* exchanges it is to answer, as an adapter */
    struct node_load *load; /* its node's; since it was live */
    struct root_memory roots;
    struct connection *next_of_node; /* newest first */
    struct connection *next_gone;
};

struct connections {
    struct table by_id;
    struct table departed; /* connection id -> struct departed, those given up first first */
    struct table by_node;  /* node id -> struct connection, the newest */
    struct table loads;    /* node id -> struct node_load */
    size_t max, max_per_node;
};

void yzi_connections_init(struct connections *c, size_t max, size_t max_per_node);
void yzi_connections_fini(struct connections *c);
/* The connection of this id, made when it is new. YZ_EBUSY beyond the limit, YZ_ENOMEM; YZ_ECLOSED
 * when it was given up, or turned away, before: libzmq gives no id twice, so this is only what that
 * connection had still to say, and nobody's word. */
YZ_MUST_USE int yzi_connection_get(struct connections *c, const struct connection_id *id,
                                   const uint8_t key[32], uint64_t mono, struct connection **out);
struct connection *yzi_connection_find(const struct connections *c, const struct connection_id *id);
/* Look the key up in this directory (may be NULL) unless that was done within the last second.
 * Returns whether the connection is a live node's, and one of no more than a node may have. */
bool yzi_connection_check(struct connections *c, struct connection *k, const struct directory *d,
                          uint64_t now, uint64_t mono);
/* The node's newest live connection that said hello; NULL when there is none. */
struct connection *yzi_connection_of_node(const struct connections *c, yz_node_id node);
/* Its node is no longer found through it, and it is never live again. */
void yzi_connection_mark_gone(struct connections *c, struct connection *k);
void yzi_connection_drop(struct connections *c, struct connection *k); /* frees it */
/* Frees it, and remembers that it was given up: what it said before may be read only later. */
void yzi_connection_give_up(struct connections *c, struct connection *k, uint64_t mono);
/* Of those given up forget the ones of which nothing can come any more: they have said nothing for
 * a while and do not stand. Only when all that was received has been read. */
void yzi_connections_forget_departed(struct connections *c, uint64_t mono,
                                     bool (*stands)(void *ctx, const struct connection_id *id),
                                     void *ctx);
/* How many connections this node has. */
size_t yzi_connections_of_node(const struct connections *c, yz_node_id node);
struct node_load *yzi_connections_load(const struct connections *c, yz_bytes node); /* NULL: none */
/* Forget the loads of nodes that have been away for a while. */
void yzi_connections_sweep(struct connections *c, uint64_t mono);
size_t yzi_connections_count(const struct connections *c);

#endif
