/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker under siege: the real one (tests/unit/broker/fixture.h) with one honest adapter and a
 * client whose valid key is in hostile hands. Each message thrown at it is judged by the model, and
 * what the broker knows and counts is compared before and after: a refused message must leave
 * nothing behind but the count of its refusal.
 */
#ifndef YZ_TESTS_HOSTILE_SIEGE_H
#define YZ_TESTS_HOSTILE_SIEGE_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "proto/message.pb-c.h"
#include "tests/hostile/model.h"
#include "tests/hostile/spoil.h"
#include "tests/support/dice.h"
#include "tests/unit/broker/fixture.h"

#define SIEGE_COUNTERS 64u
#define COUNT_OF(a) (sizeof(a) / sizeof *(a))

struct siege {
    struct rig *r;
    struct puppet *w1, *w2, *a1;
    struct model model;
    unsigned long tries, accepted;
    bool time_passed; /* ids remembered may run out */
    char last[300];   /* what was thrown last: told when a test ends, well or not */
};
/* cmocka's: *state is the siege. */
int siege_set_up(void **state);
int siege_tear_down(void **state);

/* What a broker knows and counts. */
struct broker_state {
    size_t replay, exchanges, bytes, offers;
    uint64_t counters[SIEGE_COUNTERS], outcomes[METRIC_OUTCOMES];
};
void siege_look(const struct siege *s, struct broker_state *out);
uint64_t siege_counter(const struct broker_state *b, const char *name);
/* The same but for these counters, which grew by one each (names as in broker/metrics.h, separated
 * by spaces), and one more outcome of this status (0: none); `what` is for the failure's text. */
void siege_compare(const struct siege *s, const struct broker_state *before, const char *grown,
                   enum outcome_status outcome, const char *what);

/* A checkpoint in the format, of a log nobody has. */
struct checkpoint_ref siege_checkpoint(void);
/* A genuine request of w1, every optional field in it; fini it. */
struct world_message siege_request(struct siege *s);
/* The client sends these bytes, which the model expects this of: see that it is so, and that the
 * broker is as before. An accepted one goes to the adapter byte for byte, which hands it back. */
void siege_throw(struct siege *s, const struct world_message *m, const struct expected *e,
                 const char *what);
/* A genuine request goes all the way, and its answer all the way back. */
void siege_honest(struct siege *s, const struct world_message *m);
/* Put together what came out of spoiling. `block` NULL: signed by `key`. */
void siege_message(yz_bytes header, const yz_bytes *block, struct key_pair *key, yz_bytes payload,
                   struct world_message *out);

#endif
