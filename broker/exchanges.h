/* SPDX-License-Identifier: Apache-2.0
 *
 * Exchanges under way: one per admitted request, from admission to its one answer. The exchange
 * owns the request's bytes, so whatever is parsed from them stays valid as long as it does; and it
 * counts against the limits from the moment it is added to the moment it is freed. Front thread
 * only.
 */
#ifndef YZ_BROKER_EXCHANGES_H
#define YZ_BROKER_EXCHANGES_H

#include "base/deadlines.h"
#include "base/table.h"
#include "broker/connections.h"
#include "broker/evidence/evidence.h"
#include "keys/offers.h"
#include "keys/verify.h"
#include "net/server.h"

struct service_load {
    size_t in_flight, bytes;
};

struct exchange {
    struct message message;                /* the request's bytes */
    struct verified_request request;       /* views into message; of its node none once admitted */
    const struct held_offer *offer;        /* reference */
    const struct offered_service *service; /* in offer */
    struct service_load *load;
    struct service_load *share;    /* what of load is the asker's */
    struct node_load *asker;       /* the consumer node's; outlives the exchange */
    struct connection_id consumer; /* who gets the answer: the newest connection that asked */
    struct connection_id adapter;  /* who has it now */
    bool forwarded;
    bool in_doubt;  /* it writes, and an adapter got it that did not hand it back */
    bool new_id;    /* the replay memory had not seen its id before */
    unsigned tried; /* slots it was forwarded to, a bit each */
    uint64_t arrival_mono, deadline_mono;
    struct deadline timer;
    bool tracked;                 /* in the table and counted */
    bool waits_for_log;           /* goes to its adapter when the entry of the request is durable */
    struct evidence_item *logged; /* the request's entry; NULL: not appended */
    struct evidence_item *answer; /* that of the answer or outcome held */
    yz_buf held;                  /* its frame, without hop */
    size_t held_bytes;            /* counted for it */
    struct exchange *next_refused, *prev_refused; /* refused and held, but never tracked */
    struct exchange *next_stranded;
};

struct exchanges {
    struct table by_digest;
    struct table loads;  /* service id -> struct service_load */
    struct table shares; /* the service's load and the node's, by their addresses -> the same */
    struct deadlines timers;
    size_t bytes, bytes_max, per_service_max;
    size_t
        max; /* of all services, each with what an exchange takes beside its bytes; 0: no limit */
    size_t
        held_bytes; /* of answers held; at most bytes_max too, so that requests leave them room */
    size_t bytes_per_service_max, bytes_per_peer_max; /* 0: no limit */
};

void yzi_exchanges_init(struct exchanges *e, size_t bytes_max, size_t per_service_max);
void yzi_exchanges_fini(struct exchanges *e);
/* A fresh one that owns the message; not yet tracked. YZ_ENOMEM. */
YZ_MUST_USE int yzi_exchange_new(struct message *message, struct exchange **out);
/* Would the limits take a request of so many bytes for this service now? Asked before any of it is
 * judged, so that who floods us costs little. YZ_EBUSY with *limit naming the one reached. */
YZ_MUST_USE int yzi_exchanges_may_track(const struct exchanges *e, yz_bytes service, size_t n,
                                        const struct node_load *asker, const char **out_limit);
/* Count it, also for the node that asks, and make it findable. YZ_EBUSY with *limit naming the one
 * reached; YZ_ENOMEM. */
YZ_MUST_USE int yzi_exchange_track(struct exchanges *e, struct exchange *x, struct node_load *asker,
                                   const char **out_limit);
/* The answer in x->held waits for the log: its bytes count, and with them the request's where it is
 * not tracked. YZ_ELIMIT: with those of others it is too much. */
YZ_MUST_USE int yzi_exchange_hold(struct exchanges *e, struct exchange *x);
struct exchange *yzi_exchange_find(const struct exchanges *e, const yz_digest *request_digest);
/* Forget and free it. */
void yzi_exchange_end(struct exchanges *e, struct exchange *x);
size_t yzi_exchanges_count(const struct exchanges *e);

#endif
