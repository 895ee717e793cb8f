/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker in the test's own process, driven step by step under a manual clock, and puppets: peers
 * of the world's instance over real loopback links, which say exactly what a test makes them say.
 * Whatever does not come within WAIT_MS of real time fails the test; that something does not come
 * is seen by asking the broker for something else behind it.
 */
#ifndef YZ_TESTS_BROKER_FIXTURE_H
#define YZ_TESTS_BROKER_FIXTURE_H

#include "broker/broker.h"
#include "net/link.h"
#include "proto/link.h"
#include "tests/support/world.h"

#define WAIT_MS 60000u
#define PUPPETS_MAX 24u
#define INBOX_MAX 4096u

struct puppet {
    struct rig *rig;
    struct world_node *node;
    struct link *link;
    enum link_event last; /* that was not LINK_NOTHING */
    struct message *inbox;
    size_t inbox_n, inbox_read;
    bool wants_receipts; /* in the inbox; otherwise they are only counted */
    unsigned receipts;
    unsigned bundles;   /* of several messages that came */
    struct message got; /* what expect returned last */
    struct frame frame;
};

struct rig {
    struct world *w;
    char *dir;
    char *home;
    char *admin_path;
    struct broker_config config;
    const char *listen[1];
    struct broker *b;
    struct net *net;   /* the puppets' */
    int wake;          /* always readable, so that a step never waits */
    unsigned endpoint; /* that puppets made from now on connect to */
    int high_water;    /* of their queues; 0: as a link's is */
    struct puppet puppets[PUPPETS_MAX];
    unsigned puppets_n;
    yz_buf frame; /* of the puppet that speaks */
    /* NULL, or what surrounds each step of the broker, and sees each frame a puppet is given. */
    void (*before_step)(void), (*after_step)(void);
    void (*seen)(struct puppet *p, const struct frame *f);
};

/* cmocka's set-up and tear-down: state is the rig. A broker that was given the standard world's
 * directory, and one that was given nothing but the anchor. */
int rig_set_up(void **state);
int rig_set_up_without_directory(void **state);
int rig_tear_down(void **state);
void rig_start(struct rig *r);
void rig_stop(struct rig *r);
void rig_give_directory(struct rig *r); /* the world's newest, as the administrator does */
void rig_step(struct rig *r);           /* the broker once, and all puppets' links */
void rig_wait(struct rig *r);           /* for something to happen, a little while */
void rig_advance(struct rig *r, uint64_t ms);
/* Offer the marriage service to the window, and announce a1 and a2. */
void rig_offer(struct rig *r, uint64_t version);
/* That, and its adapter a1 and the window's w1, which is returned, have joined. */
struct puppet *rig_ready(struct rig *r, struct puppet **out_adapter);

/* -- puppets -- */
/* Frees itself. */
#define MESSAGE(name) YZ_AUTO(yz_world_message_fini) struct world_message name
struct puppet *rig_puppet(struct rig *r, const char *node); /* a link under way, no more */
void puppet_close(struct puppet *p);
bool puppet_connects(struct puppet *p); /* false: it was refused */
/* Connected, said hello, was welcomed. */
struct puppet *rig_join(struct rig *r, const char *node);
void puppet_send(struct puppet *p, yz_bytes frame);
void puppet_hello(struct puppet *p, uint64_t directory_version, uint64_t boot);
void puppet_heartbeat(struct puppet *p, uint64_t directory_version);
/* The next frame of that kind; others before it are dropped. Valid until the puppet's next. */
const struct frame *puppet_expect(struct puppet *p, enum frame_kind kind);
/* The next frame, whatever it is, in p->frame; false: there is none. */
bool puppet_hears(struct puppet *p);
/* Ask for the freshness and wait for the answer, or for the end of the connection: whatever the
 * broker sent before is here then. The frames of the kind among it. */
unsigned puppet_count(struct puppet *p, enum frame_kind kind);
/* Ask for the freshness and wait: the broker has dealt with all this puppet sent. False when the
 * broker does not answer it. */
bool puppet_is_heard(struct puppet *p);
void puppet_expect_cut(struct puppet *p); /* the broker ends the connection */
void puppet_put(struct puppet *p, yz_bytes records, int expected_code);
/* The outcome for this request is there: that status and reason. */
void puppet_expect_outcome(struct puppet *p, const struct world_message *request,
                           enum outcome_status status, const char *reason);
/* The request arrives at the adapter, as it was sent. The time left. */
uint32_t puppet_expect_request(struct puppet *p, const struct world_message *request);
/* The adapter answers; the answer as it was sent. */
void puppet_answer(struct puppet *p, const struct world_message *request,
                   struct world_message *out);
void puppet_reject(struct puppet *p, const struct world_message *request,
                   enum outcome_status status);
void puppet_reject_for(struct puppet *p, const struct world_message *request,
                       enum outcome_status status, uint32_t retry_after_ms);
void puppet_expect_response(struct puppet *p, const struct world_message *response);

/* A request of the standard world from w1, to be freed with yz_world_message_fini. */
struct world_message make_request(struct rig *r, const struct world_request *q);

#endif
