/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker: everything its front thread owns, and how its files divide the work. life.c brings it
 * up and down. A message comes in at front.c, which finds out who sent it; overload.c says when no
 * more of them are to be taken in for a moment; requests.c admits and forwards requests; answers.c
 * deals with what comes back and with what never does; objects.c keeps and hands out the directory,
 * offers and announcements; follow.c fetches a newer directory from a peer; admin.c answers the
 * administration socket. One thread runs all of it; only metrics are shared with the operations
 * port's thread.
 *
 * Connections and exchanges are freed only where nobody holds them: a connection found gone while
 * something is sent is marked, and freed when the message or timer at hand is dealt with; an
 * exchange is freed by whoever ends it, and sending ends none.
 */
#ifndef YZ_BROKER_BROKER_H
#define YZ_BROKER_BROKER_H

#include "broker/config.h"
#include "broker/connections.h"
#include "broker/events.h"
#include "broker/exchanges.h"
#include "broker/metrics.h"
#include "broker/ops.h"
#include "broker/replay_log.h"
#include "keys/trust.h"
#include "net/admin.h"

#define BROKER_HEARTBEAT_ADAPTER_MS 2000u
#define BROKER_HEARTBEAT_CLIENT_MS 30000u
#define BROKER_PARKED_MAX 256u
#define BROKER_PARKED_PER_PEER 16u
#define BROKER_OUTCOMES_MAX 512u /* signed at once */
#define BROKER_FETCHES_MAX 8u    /* chunks asked for and not yet here */

struct announced; /* an adapter's announcement, objects.c */
struct outcomes;  /* to be signed, outcomes.c */

/* A request whose sender knows a newer directory than we do, waiting for it a moment. */
struct parked {
    struct message message;
    struct connection_id from;
    uint8_t key[32];
    uint64_t until_mono;
};

/* Whose newer directory is being fetched, chunk by chunk. */
struct follow {
    bool active;
    bool delivered; /* a chunk that was asked for has come */
    bool unproved;  /* only its first chunk will tell whether the operators signed it */
    struct connection_id from;
    char node[YZ_ID_MAX + 1]; /* whose connection that is */
    uint64_t version;
    uint64_t began, deadline; /* the latter for the next piece; monotonic ms */
    struct {
        uint32_t token; /* 0: free */
        yz_digest digest;
    } fetches[BROKER_FETCHES_MAX];
};

/* What refusing takes from others, overload.c. */
struct overload {
    unsigned refused;            /* in this step */
    uint64_t (*preempted)(void); /* how often the front lost its processor so far */
    uint64_t preemptions;        /* what that was, when it was asked last */
    uint64_t rests_until;        /* of the system's monotonic clock */
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
    unsigned shared_endpoints; /* the first so many; behind them those for adapters */
    struct admin_server *admin;
    struct ops *ops;
    struct metrics metrics;
    struct connections connections;
    struct exchanges exchanges;
    struct replay *replay;
    struct replay_log *replay_log;
    struct evidence *evidence;
    struct checkpoint_memory shown;
    const struct directory *logged_directory; /* reference: the one last logged; NULL: none yet */
    struct exchange *refused;                 /* held until its refusal is durable */
    size_t refused_bytes;                     /* of their requests */
    struct parked parked[BROKER_PARKED_MAX];
    size_t parked_n, parked_bytes;
    struct follow follow;
    struct follow late;      /* what was given up last, not active; its chunks still count */
    struct connection *gone; /* to be freed */
    struct outcomes *outcomes;
    struct overload overload;
    yz_buf out;    /* scratch: the frame being written */
    uint64_t mono; /* read once per wake-up */
    uint64_t wall;
    uint64_t next_second, next_freshness; /* monotonic ms */
    uint32_t next_token;
    int ready_fd; /* -1: none */
    bool said_ready, said_aging, said_unlisted;
    bool draining, said_goodbye;
    uint64_t drain_until; /* for exchanges under way, then for the goodbye to leave */
    bool stopped;
};

/* What an outcome says; the strings may be empty views. */
struct outcome_words {
    enum outcome_status status;
    yz_bytes reason, rule;
    uint32_t retry_after_ms;
};

/* -- life.c -- */
YZ_MUST_USE int yzi_broker_new(const struct broker_config *config, const struct clock *clock,
                               int ready_fd, struct broker **out, yz_error *err);
void yzi_broker_free(struct broker *b);
/* The limits in b->config were changed. What is remembered against replays (`remembered`, `skew`)
 * and told to peers (`message`) must not change while running. */
void yzi_broker_limits_changed(struct broker *b);

/* -- front.c -- */
/* One wake-up: wait at most until something is due, then handle what there is. */
YZ_MUST_USE int yzi_broker_step(struct broker *b, int wake_fd, yz_error *err);
void yzi_broker_drain(struct broker *b); /* then step until b->stopped */
struct judge yzi_broker_judge(const struct broker *b);
/* Send a frame. A connection that is gone is marked so (YZ_ECLOSED); a full one loses the frame
 * (YZ_EAGAIN, YZ_ENOMEM), counted. */
YZ_MUST_USE int yzi_broker_give(struct broker *b, const struct connection_id *to, yz_bytes frame);
/* The same, where nothing is to be done about it. */
void yzi_broker_send(struct broker *b, const struct connection_id *to, yz_bytes frame);
/* To every live connection that said hello. */
void yzi_broker_send_all(struct broker *b, yz_bytes frame);
/* The directory in trust changed: take it into force everywhere. */
void yzi_broker_directory_changed(struct broker *b);
/* Mark it: k stays valid until the message or timer at hand is dealt with. Then what it had to
 * answer goes elsewhere. */
void yzi_broker_connection_lost(struct broker *b, struct connection *k, const char *why);
/* May another line about this node be logged in this second? Counts it. A peer that causes a line
 * with every message would otherwise fill the disk and the front's time. NULL: yes. */
bool yzi_broker_may_log(struct broker *b, struct node_load *load);
/* May a signature of this node be looked at? Takes one from its budget of failed verifications;
 * `verified` gives it back. */
bool yzi_broker_may_verify(struct broker *b, struct connection *k);
void yzi_broker_verified(struct connection *k);
/* This node said something it should not have: beyond its budget of that its connection is cut. */
void yzi_broker_fault(struct broker *b, struct connection *k);

/* -- requests.c -- */
void yzi_broker_on_request(struct broker *b, struct connection *k, struct message *m,
                           bool parked_before);
/* Forward to the best untried live slot; ends the exchange when there is none: with `otherwise`,
 * or, where that has no status, in its own words. */
void yzi_broker_forward(struct broker *b, struct exchange *x,
                        const struct outcome_words *otherwise);
/* The sender knows a newer directory: keep the message for a moment. False when it cannot be. */
bool yzi_broker_park(struct broker *b, const struct connection *k, struct message *m);
/* Look again at those whose moment is over, or at all. */
void yzi_broker_unpark(struct broker *b, bool all);

/* -- answers.c -- */
void yzi_broker_on_response(struct broker *b, struct connection *k, const struct frame *f);
void yzi_broker_on_reject(struct broker *b, struct connection *k, const struct frame *f);
/* The exchange cannot be answered by its adapter: try another slot, or end in these words. */
void yzi_broker_retry_elsewhere(struct broker *b, struct exchange *x,
                                const struct outcome_words *otherwise);
void yzi_broker_expire(struct broker *b); /* exchanges past their deadline */
/* The same for an exchange, which ends. A write that an adapter has had and did not hand back may
 * have been executed: `unavailable` and `busy` are told as `timeout` then, with their reason. */
void yzi_broker_finish(struct broker *b, struct exchange *x, const struct outcome_words *w);

/* The same without an entry of its own: the log is down. */
void yzi_broker_finish_unlogged(struct broker *b, struct exchange *x,
                                const struct outcome_words *w);
/* The adapter has it no longer, and it is freed. */
void yzi_broker_end(struct broker *b, struct exchange *x);
/* Is the consumer, by the directory in force, still somebody to answer? */
bool yzi_broker_consumer_is_live(struct broker *b, const struct exchange *x);

/* -- evidenced.c -- */
/* Append the request's entry. YZ_EBUSY, YZ_EUNAVAILABLE, YZ_ENOMEM. */
YZ_MUST_USE int yzi_broker_log_request(struct broker *b, struct exchange *x);
/* Append the entry of this answer or outcome and hold it: on YZ_OK the exchange ends when the log
 * hands it back. Errors as above; YZ_ELIMIT: too much is held. */
YZ_MUST_USE int yzi_broker_hold(struct broker *b, struct exchange *x, enum entry_type type,
                                yz_bytes frame);
void yzi_broker_take_logged(struct broker *b); /* what became durable */
void yzi_broker_count_refusal(struct node_load *load, enum outcome_status status, uint64_t wall);
void yzi_broker_log_step(struct broker *b); /* once a second: refusals, a new directory */
/* A peer shows what it last saw of our log. False: that does not verify. */
bool yzi_broker_shown(struct broker *b, const struct checkpoint_ref *ref);

/* -- outcomes.c -- */
YZ_MUST_USE int yzi_broker_outcomes_new(struct outcomes **out);
void yzi_broker_outcomes_free(struct outcomes *o); /* NULL allowed */
/* An outcome for a request that is not (or no longer) an exchange: signed and sent with the others
 * of this step. */
void yzi_broker_outcome(struct broker *b, const struct connection_id *to, const yz_uuid *message_id,
                        const yz_digest *digest, const struct outcome_words *w);
/* One by itself, into b->out: for the evidence log. */
YZ_MUST_USE int yzi_broker_outcome_write(struct broker *b, const yz_uuid *message_id,
                                         const yz_digest *digest, const struct outcome_words *w);
void yzi_broker_outcomes_flush(struct broker *b);

/* -- overload.c -- */
uint64_t yzi_broker_preemptions(void); /* of the calling thread, by the system's count */
bool yzi_broker_refused_enough(const struct broker *b); /* in this step */
/* The step is over: decide whether to rest. */
void yzi_broker_rest(struct broker *b);
/* For how long still, milliseconds of real time; 0: not. Nothing is read from peers meanwhile. */
uint64_t yzi_broker_rests_ms(const struct broker *b);

/* -- objects.c -- */
void yzi_broker_on_hello(struct broker *b, struct connection *k, const struct frame *f);
void yzi_broker_on_heartbeat(struct broker *b, struct connection *k, const struct frame *f);
void yzi_broker_on_fetch(struct broker *b, struct connection *k, const struct frame *f);
void yzi_broker_on_put(struct broker *b, struct connection *k, const struct frame *f);
/* Take one record in force: a member set or offer (or, from the peer itself, its announcement;
 * peer NULL: from the administration socket). */
YZ_MUST_USE int yzi_broker_take_record(struct broker *b, const struct record *r,
                                       const struct connection *peer, yz_error *err);
/* The digest of the live announcement of this adapter; NULL when it has none. */
const yz_digest *yzi_broker_announcement(const struct broker *b, yz_node_id adapter);
void yzi_broker_heartbeats(struct broker *b, bool all_now);
void yzi_broker_freshen(struct broker *b);              /* sign and spread freshness */
void yzi_broker_forget_announcements(struct broker *b); /* those that ran out */
void yzi_broker_objects_fini(struct broker *b);

/* -- follow.c -- */
/* This peer says that it has this version: when that is newer than ours, ask for it. */
void yzi_broker_heard_version(struct broker *b, struct connection *k, uint64_t version);
void yzi_broker_on_object(struct broker *b, struct connection *k, const struct frame *f);
void yzi_broker_follow_step(struct broker *b); /* timers */

/* -- admin.c -- */
void yzi_broker_admin(void *ctx, struct admin_call *call, const struct admin_request *request,
                      yz_bytes payload, int fd);

#endif
