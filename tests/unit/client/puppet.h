/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker on strings, with the adapters behind it: it welcomes a client over a real socket, serves
 * the test world's directory and one service, collects requests, and otherwise does only what the
 * test tells it to. And around it a fixture: the engine under test with a puppet or two, all on one
 * thread, on the world's manual clock.
 */
#ifndef YZ_TESTS_UNIT_CLIENT_PUPPET_H
#define YZ_TESTS_UNIT_CLIENT_PUPPET_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "client/engine.h"
#include "evidence/view.h"
#include "net/server.h"
#include "tests/support/world.h"

#define PUPPET_REQUESTS_MAX 512u
#define PUPPET_PAGES_MAX 8u

struct puppet {
    struct world *w;
    struct world_node *broker;
    struct net *net;
    struct server *server; /* NULL: it is down */
    char endpoint[64];
    bool refuses;          /* every key */
    bool is_mute;          /* welcomes nobody */
    bool is_still;         /* answers nothing, whatever comes */
    bool client_may_leave; /* at any time: what it cannot be sent any more is dropped */
    bool has_client;
    struct connection_id client; /* whom to send to: who spoke last */
    unsigned hellos, fetches;
    bool no_freshness, no_service_answer, no_directory;
    bool no_receipts, false_receipts;
    uint64_t fresh_at, fresh_version;             /* of the freshness it gives out */
    uint32_t service_tokens[PUPPET_REQUESTS_MAX]; /* of the fetches, in turn */
    bool service_found;
    yz_buf service;                 /* the payload of FETCH_SERVICE */
    yz_buf pages[PUPPET_PAGES_MAX]; /* of FETCH_CATALOGUE, one after the other, then empty ones */
    unsigned pages_n, pages_at;
    bool late_pages; /* answers a question for one only when it is put again */
    uint32_t late_token;
    bool leaves;      /* says goodbye behind the last page, for good */
    unsigned not_now; /* so many of them it has not at first */
    yz_buf requests[PUPPET_REQUESTS_MAX];
    struct connection_id from[PUPPET_REQUESTS_MAX];
    unsigned requests_n;
};
void puppet_up(struct puppet *p); /* on the endpoint it had, if any */
void puppet_down(struct puppet *p);
void puppet_step(struct puppet *p);
void puppet_step_some(struct puppet *p, unsigned most); /* at most so many messages */
void puppet_send(struct puppet *p, yz_bytes frame);
struct frame puppet_request(const struct puppet *p, unsigned i);
/* The service's offer with the announcements of these adapters, NULL-terminated. */
void puppet_offer(struct puppet *p, struct world_node *const *adapters);
/* Answer the fetch of the service with this number (from 0), which was not answered. */
void puppet_answer_late(struct puppet *p, unsigned fetch, bool found);
void puppet_respond(struct puppet *p, const struct world_response *r, unsigned request);
void puppet_outcome(struct puppet *p, struct world_node *by, enum outcome_status status,
                    const char *reason, unsigned request);
void puppet_heartbeat(struct puppet *p);
void puppet_push_freshness(struct puppet *p);

/* What became of a call. */
struct outcome_of_call {
    unsigned ended;
    int rc;
    yz_answer *answer;
    yz_error err;
};

struct stage {
    struct world *w;
    struct world_node *client, *a1, *a2;
    struct puppet b1, b2;
    bool has_b2;
    char *dir;
    struct client_config config;
    struct trust *trust;
    struct net *net;
    struct log_views *views; /* NULL: the engine follows no logs */
    struct engine *engine;
    struct outcome_of_call call;
    bool writes; /* calls made from now on delete the record instead of getting it */
    void (*before_step)(void), (*after_step)(void); /* NULL, or what surrounds each engine step */
};
/* A stage with one broker or two, the engine not made yet. */
struct stage *stage_new(bool two);
void stage_free(struct stage *s);
/* The text of the configuration, for a client that reads it from a file. */
void stage_config_text(const struct stage *s, char *out, size_t n);
void stage_start(struct stage *s); /* the engine */
/* Start and wait until the engine is ready to call. */
void stage_ready(struct stage *s);
/* Ask the service for one key; what becomes of it is in `out`. */
void stage_call(struct stage *s, struct outcome_of_call *out);
void stage_call_as(struct stage *s, struct outcome_of_call *out, struct call_handle *handle);
/* Let engine and puppets run until `done` holds; fails the test after ten real seconds. */
void stage_run(struct stage *s, bool (*done)(struct stage *s, void *ctx), void *ctx);
void stage_run_until_ended(struct stage *s, struct outcome_of_call *c);
void stage_run_until_requests(struct stage *s, struct puppet *p, unsigned n);
/* The order of a call (or a probe), to be submitted. */
void stage_order(struct stage *s, bool probe, struct outcome_of_call *out,
                 struct call_order *out_order);
void stage_open_trust(struct stage *s); /* after it was closed */
/* Let them run until nothing moves any more for a moment. */
void stage_settle(struct stage *s);
/* A provider's answer with one record {"status": value}. */
void stage_answer(struct stage *s, struct puppet *p, const struct world_response *like,
                  const char *value, unsigned request);
void expect_error(const struct outcome_of_call *c, int rc, const char *says);
void outcome_fini(struct outcome_of_call *c);

/* -- what tests of the engine share -- */
int stage_one_broker(void **state); /* set-up and tear-down of a test */
int stage_two_brokers(void **state);
int stage_tear_down(void **state);
struct engine_counters stage_counters(const struct stage *s);
/* Call into s->call, and wait until the first broker has the request. */
void stage_call_sent(struct stage *s);
/* The call ended with the provider's one record {"status": value}; with this word of a broker. */
void expect_record(const struct outcome_of_call *c, const char *value);
void expect_broker_says(const struct outcome_of_call *c, enum yz_status status, const char *reason,
                        const char *broker);

#endif
