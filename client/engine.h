/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's engine: a state machine that owns the sessions to the configured brokers and all
 * calls, and knows nothing of threads (docs/decisions/0008), so that tests drive it step by step.
 *
 * A call goes through: wait for a broker and a directory to act by; wait for the service's offer
 * and announcements; sent, with the identical bytes to each broker that is tried; judged, when an
 * answer comes. It ends exactly once, in its `done`. Everything it waits for is bounded by its own
 * deadline, and what can be known sooner is told sooner.
 *
 * Thread: one, the creator's, for everything here.
 */
#ifndef YZ_CLIENT_ENGINE_H
#define YZ_CLIENT_ENGINE_H

#include "client/answer.h"
#include "client/config.h"
#include "client/request.h"
#include "keys/trust.h"
#include "net/poll.h"

#define ENGINE_CALLS_MAX CLIENT_CALLS_MAX
#define ENGINE_BYTES_MAX (256u * 1024u * 1024u) /* of messages kept for retry */
#define ENGINE_PARKED_MAX (64u * 1024u * 1024u) /* of answers that wait for a directory */

struct engine;
struct engine_options {
    const struct client_config *config; /* borrowed, like all of these */
    const struct clock *clock;
    struct key_pair *signing; /* held */
    struct key_pair *transport;
    struct kept *kept;       /* NULL: nothing is kept */
    struct log_views *views; /* NULL: the brokers' logs are not followed */
    struct trust *trust;     /* its changes are the engine's from now on */
    struct net *net;
};
/* Opens the sessions; does not wait for them. YZ_ECONFIG (an endpoint; a broker whose key nobody
 * knows), YZ_ENOMEM, YZ_ELIMIT. */
YZ_MUST_USE int yzi_engine_new(const struct engine_options *o, struct engine **out, yz_error *err);
/* Calls under way end with YZ_ECLOSED. Accepts NULL. */
void yzi_engine_free(struct engine *e);

/* The end of a call, exactly once: YZ_OK with a verified answer (the callee's to free; NULL for a
 * probe), or YZ_E* with a sentence in err. It must not call the engine. */
typedef void call_done(void *ctx, int rc, yz_answer *answer, const yz_error *err);
/* By what a call is found again to be cancelled. Zeroed before its order is given; it outlives the
 * call, and only the engine's thread touches it. */
struct call_handle {
    struct call *call; /* while it is under way */
    bool cancelled;    /* before it was taken up */
};
struct call_order {
    struct ask ask; /* taken; a probe has none (ask.head empty) and ends when a broker is up */
    bool probe;
    uint32_t timeout_ms; /* of a probe */
    uint64_t submitted;  /* monotonic ms, when the caller's time began */
    call_done *done;
    void *ctx;
    struct call_handle *handle; /* borrowed; may be NULL */
};
/* Takes the order in any case: what fails at once is told to `done` before this returns. */
void yzi_engine_submit(struct engine *e, struct call_order *order);
/* End the call with YZ_ECANCELLED, at once, or as soon as its order is given. One that has ended
 * stays as it ended. The providers are not told: what was sent may still be executed. */
void yzi_engine_cancel(struct engine *e, struct call_handle *handle);

#define ENGINE_POLL_ENTRIES (2u * YZ_BROKERS_MAX)
size_t yzi_engine_poll_entries(struct engine *e, struct poll_entry out[ENGINE_POLL_ENTRIES]);
uint64_t yzi_engine_deadline(const struct engine *e); /* monotonic ms; UINT64_MAX: none */
/* Handle what came and what is due. *out_more: there is more to do at once. */
void yzi_engine_step(struct engine *e, bool *out_more);

struct engine_counters {
    uint64_t unkept; /* exchanges that could not be kept */
    uint64_t sent, resent, resealed;
    uint64_t copied, spared; /* of `resent`, while another may still answer; those put off */
    uint64_t late;           /* answers nobody waits for (any more): late, or duplicates */
    uint64_t unasked;        /* answers from a broker that was not asked */
    uint64_t rejected;       /* answers that did not verify */
    uint64_t waited;         /* answers that waited for a newer directory */
    uint64_t fetched;        /* services asked for */
    uint64_t alarms;
};
void yzi_engine_counters(const struct engine *e, struct engine_counters *out);
size_t yzi_engine_calls(const struct engine *e);

#endif
