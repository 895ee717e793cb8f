/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker: everything its front thread owns, and how its files divide the work. A message comes
 * in at front.c, which finds out who sent it; requests.c admits and forwards requests; answers.c
 * deals with what comes back and with what never does; objects.c keeps and hands out the directory,
 * offers and announcements; admin.c answers the administration socket. One thread runs all of it;
 * only metrics are shared with the operations port's thread.
 */
#ifndef YZ_BROKER_BROKER_H
#define YZ_BROKER_BROKER_H

#include "broker/config.h"
#include "broker/connections.h"
#include "broker/events.h"
#include "broker/exchanges.h"
#include "broker/metrics.h"
#include "broker/ops.h"
#include "broker/replay.h"
#include "keys/trust.h"
#include "net/admin.h"

#define BROKER_HEARTBEAT_ADAPTER_MS 2000u
#define BROKER_HEARTBEAT_CLIENT_MS 30000u
#define BROKER_PARKED_MAX 256u

struct announced; /* an adapter's announcement, objects.c */

/* A request whose sender knows a newer directory than we do, waiting for it a moment. */
struct parked {
    struct message message;
    struct connection_id from;
    uint8_t key[32];
    uint64_t until_mono;
};

struct broker {
    const struct broker_config *config;
    const struct clock *clock;
    yz_node_id node; /* view into config */
    struct key_pair signing, transport, log, freshness;
    bool has_freshness;
    struct trust *trust;
    const struct directory *directory; /* reference to the one in force, or NULL */
    struct offers *offers;
    struct table announcements; /* adapter node id -> struct announced */
    struct net *net;
    struct server *server;
    struct admin_server *admin;
    struct ops *ops;
    struct metrics metrics;
    struct connections connections;
    struct exchanges exchanges;
    struct replay *replay;
    struct parked parked[BROKER_PARKED_MAX];
    size_t parked_n;
    yz_buf out;    /* scratch: the frame being written */
    uint64_t mono; /* read once per wake-up */
    uint64_t wall;
    uint64_t next_second, next_freshness; /* monotonic ms */
    uint32_t next_token;
    size_t chunks_asked; /* of a peer's newer directory, not yet answered */
    int ready_fd;        /* -1: none */
    bool said_ready, said_aging;
    bool draining;
    uint64_t drain_until;
    bool stopped;
};

/* -- front.c -- */
YZ_MUST_USE int yzi_broker_new(const struct broker_config *config, const struct clock *clock,
                               int ready_fd, struct broker **out, yz_error *err);
void yzi_broker_free(struct broker *b);
/* One wake-up: wait at most until something is due, then handle what there is. */
YZ_MUST_USE int yzi_broker_step(struct broker *b, int wake_fd, yz_error *err);
void yzi_broker_drain(struct broker *b); /* then step until b->stopped */
/* The configuration's limits were changed: take them over. */
void yzi_broker_limits_changed(struct broker *b);
struct judge yzi_broker_judge(const struct broker *b);
/* Send a frame. A connection that is gone is forgotten; a full one loses the frame, counted. */
void yzi_broker_send(struct broker *b, const struct connection_id *to, yz_bytes frame);
/* To every live connection that said hello. */
void yzi_broker_send_all(struct broker *b, yz_bytes frame);
/* The directory in trust changed: take it into force everywhere. */
void yzi_broker_directory_changed(struct broker *b);
void yzi_broker_connection_lost(struct broker *b, struct connection *k, const char *why);
/* Handle one received message, as from the socket (also used for parked ones). */
void yzi_broker_receive(struct broker *b, const struct connection_id *from, const uint8_t key[32],
                        struct message *m, bool parked_before);

/* -- requests.c -- */
void yzi_broker_on_request(struct broker *b, struct connection *k, struct message *m,
                           bool parked_before);
/* Forward to the best untried live slot; ends the exchange with an outcome when there is none. */
void yzi_broker_forward(struct broker *b, struct exchange *x);

/* -- answers.c -- */
void yzi_broker_on_response(struct broker *b, struct connection *k, const struct frame *f);
void yzi_broker_on_reject(struct broker *b, struct connection *k, const struct frame *f);
/* The exchange cannot be answered by its adapter: try another slot, or end with this outcome. */
void yzi_broker_retry_elsewhere(struct broker *b, struct exchange *x, enum outcome_status status,
                                const char *reason);
void yzi_broker_expire(struct broker *b); /* exchanges past their deadline */
/* What an outcome says; the strings may be empty views. */
struct outcome_words {
    enum outcome_status status;
    yz_bytes reason, rule;
    uint32_t retry_after_ms;
};
/* Sign and send an outcome for a request that is not (or no longer) an exchange. */
void yzi_broker_outcome(struct broker *b, const struct connection_id *to, const yz_uuid *message_id,
                        const yz_digest *digest, const struct outcome_words *w);
/* The same for an exchange, which ends. */
void yzi_broker_finish(struct broker *b, struct exchange *x, const struct outcome_words *w);

/* -- objects.c -- */
void yzi_broker_on_hello(struct broker *b, struct connection *k, const struct frame *f);
void yzi_broker_on_heartbeat(struct broker *b, struct connection *k, const struct frame *f);
void yzi_broker_on_fetch(struct broker *b, struct connection *k, const struct frame *f);
void yzi_broker_on_put(struct broker *b, struct connection *k, const struct frame *f);
void yzi_broker_on_object(struct broker *b, struct connection *k, const struct frame *f);
/* Take one record in force: a member set or offer (or, from the peer itself, its announcement;
 * peer NULL: from the administration socket). */
YZ_MUST_USE int yzi_broker_take_record(struct broker *b, const struct record *r,
                                       const struct connection *peer, yz_error *err);
/* The digest of the live announcement of this adapter; NULL when it has none. */
const yz_digest *yzi_broker_announcement(const struct broker *b, yz_node_id adapter);
void yzi_broker_heartbeats(struct broker *b, bool all_now);
void yzi_broker_freshen(struct broker *b); /* sign and spread freshness */
void yzi_broker_objects_fini(struct broker *b);
/* Ask this peer for its newer directory, once per version. */
void yzi_broker_ask_directory(struct broker *b, struct connection *k, uint64_t version);

/* -- admin.c -- */
void yzi_broker_admin(void *ctx, struct admin_call *call, const struct admin_request *request,
                      yz_bytes payload, int fd);

#endif
