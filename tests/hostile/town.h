/* SPDX-License-Identifier: Apache-2.0
 *
 * Real parts in one process, on one thread and the world's manual clock: the client's engine, up to
 * two adapters with a data set, and between them up to two brokers, each of them real or a puppet.
 * A puppet broker (struct wire) carries what it is given honestly until it is told otherwise, and
 * holds what a real one would: the directory, announcements and offers it was put. Over real
 * loopback sockets; nothing waits but on them.
 *
 * Key k of the data set has the row {person_id: pK, status: sK}, so that an answer to another
 * question is seen at once.
 */
#ifndef YZ_TESTS_HOSTILE_TOWN_H
#define YZ_TESTS_HOSTILE_TOWN_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "adapters/adapter.h"
#include "broker/broker.h"
#include "client/engine.h"
#include "proto/link.h"
#include "tests/support/world.h"

#define TOWN_KEYS 64u
#define TOWN_PAIR 2u /* brokers, adapters */
#define TOWN_TIMEOUT_MS 30000u

struct town;

/* A puppet broker. */
struct wire {
    struct town *town;
    struct world_node *broker;
    struct net *net;
    struct server *server;
    bool has_client, has_adapter[TOWN_PAIR];
    struct connection_id client, adapter[TOWN_PAIR];
    yz_buf announcement[TOWN_PAIR]; /* what each adapter put last */
    yz_buf offer;
    yz_buf request, answer; /* the last that came: the whole frames */
    unsigned requests, answers, fetches;
    unsigned bundled_most;   /* messages that came in one bundle */
    unsigned receipts_asked; /* FETCH_RECEIPT */
    uint32_t receipt_token;  /* of the last one */
    bool keeps_receipts;     /* says nothing when it is asked for one */
    /* What to do with what came; NULL: carry it. */
    void (*on_request)(struct wire *w, const struct frame *f);
    void (*on_answer)(struct wire *w, const struct frame *f);
    /* Put together another object than the true one; false: the true one. */
    bool (*on_fetch)(struct wire *w, const struct fetch *f, yz_buf *payload);
    uint64_t claims; /* the directory version it claims; 0: the world's */
    void *ctx;
    unsigned every_ms; /* it looks at what came only so often, in real time; 0: always */
    uint64_t next_ms;
    unsigned heard;                            /* frames, but for those that answer wire_ask */
    uint32_t last_token, asked[TOWN_PAIR + 1]; /* by wire_ask; 0: nothing, or answered */
};

struct town {
    struct world *w;
    char *dir;
    int wake, log;
    struct broker *brokers[TOWN_PAIR]; /* real; NULL: not up */
    struct broker_config broker_configs[TOWN_PAIR];
    struct wire *wires[TOWN_PAIR];
    char endpoints[TOWN_PAIR][64];
    struct adapter *adapters[TOWN_PAIR];
    struct adapter_config adapter_configs[TOWN_PAIR];
    struct client_config client_config;
    struct world_node *client;
    struct trust *trust;
    struct net *net;
    struct engine *engine;
    uint64_t policy_version;
    bool strict;        /* the grant of policies made from now on */
    const char *limits; /* NULL, or those of adapters started from now on: "{writes: 16}" */
    /* NULL, or the only adapter that policies made from now on name */
    const char *only_at;
    uint64_t real_until; /* of the wait under way */
    /* NULL, or what surrounds each step of an adapter; then a step may fail, and the adapter ends
     * as its program would. */
    void (*before_adapter)(void), (*after_adapter)(void);
};

struct town *town_new(void); /* nobody in it yet */
void town_free(struct town *t);
void town_start_broker(struct town *t, unsigned i); /* real; again: restarted */
void town_stop_broker(struct town *t, unsigned i);
void town_start_wire(struct town *t, unsigned i);
/* Connected to all brokers there are, its policy in force. Again: restarted. */
void town_start_adapter(struct town *t, unsigned i);
void town_stop_adapter(struct town *t, unsigned i);
void town_start_client(struct town *t);
void town_stop_client(struct town *t);
void town_wait_ready(struct town *t);         /* everybody is up with everybody */
bool town_is_ready(const struct town *t);     /* brokers and adapters are */
bool town_client_is_up(const struct town *t); /* with a broker */
/* A newer directory, given to the first broker; a newer policy, to all adapters. */
void town_publish(struct town *t);
void town_new_policy(struct town *t);

void town_step(struct town *t);
void town_wait(struct town *t); /* until something may have come, a little while */
/* Settle, and then the town's clock goes on by `ms`: however slow the machine is, nobody who is
 * still shaking hands or waiting for an answer finds that its time is over. */
void town_tick(struct town *t, uint64_t ms);
/* Begin to wait for something: then town_wait fails the test after sixty real seconds. */
void town_begin(struct town *t);
void town_advance(struct town *t, uint64_t ms); /* and let everybody act */
/* Until nothing comes any more: who connects to a puppet is there or has failed, and everybody has
 * read all that it said and said all that follows from it. With a real broker, until nothing came
 * for a moment. */
void town_settle(struct town *t);
/* Log lines of this event so far ("event=NAME "); all lines of at least this level. */
unsigned town_logged(struct town *t, const char *event);

/* -- calls -- */
struct town_call {
    unsigned key, ended;
    int rc;
    yz_answer *answer;
    yz_error err;
};
void town_call(struct town *t, unsigned key, struct town_call *out);
void town_ask(struct town *t, const yz_request *r, struct town_call *out); /* any other */
void town_run_until_ended(struct town *t, struct town_call *c);
/* A provider's answer with the row of the call's key. */
bool town_is_right(const struct town_call *c);
void town_call_fini(struct town_call *c);
struct engine_counters town_counters(const struct town *t);

/* -- what a wire does -- */
void wire_step(struct wire *w);
/* The true object, as the world and the adapters have it; nothing when there is none. */
void wire_put_object(struct wire *w, const struct fetch *f, yz_buf *out);
void wire_to_client(struct wire *w, yz_bytes frame);
void wire_to_adapter(struct wire *w, unsigned adapter, yz_bytes frame);
/* The frame with time left in its hop, as an honest broker hands it over. */
void wire_forward(struct wire *w, unsigned adapter, const struct frame *f);
/* The same with a receipt; empty: without. */
void wire_forward_with(struct wire *w, unsigned adapter, const struct frame *f, yz_bytes receipt);
/* A receipt of a log with one entry: the request of this digest, signed with this key. Each of a
 * log of its own and an earlier one each time, as two trees of one log would be two histories, and
 * the broker convicted. */
void wire_make_receipt(struct wire *w, const yz_digest *digest, struct key_pair *log,
                       struct receipt *r);
void wire_show_receipt(struct wire *w, const struct frame *f, const struct receipt *r);
/* Forward it to the first adapter with a true one, as a write must be. */
void wire_prove(struct wire *w, const struct frame *f);
/* Say to everybody which directory version there is. */
void wire_heartbeat(struct wire *w);
/* Ask an adapter, or the client (TOWN_PAIR), for something it has: when the answer is here, it has
 * read all that it was sent before, and all that it had to say to that has come. */
void wire_ask(struct wire *w, unsigned peer);

#endif
