/* SPDX-License-Identifier: Apache-2.0
 *
 * A session: what an adapter or a client keeps up with one broker over a link. It says hello on
 * every new connection, keeps heartbeats, follows the broker's directory (or pushes ours when it is
 * newer), member-set statements and freshness into `trust`, and hands everything else to its owner.
 * A connection that is silent for three of the broker's heartbeats is given up and made anew. How
 * it goes, step by step: docs/protocol.md, "Link", "Sequence".
 *
 * Thread: the creator only. Callbacks run inside yzi_session_step on that thread and must not close
 * the session.
 */
#ifndef YZ_NET_SESSION_H
#define YZ_NET_SESSION_H

#include "evidence/view.h"
#include "keys/trust.h"
#include "net/link.h"
#include "proto/link.h"

struct session;
struct session_handler {
    /* Welcomed by the broker we meant: requests may be sent. */
    void (*up)(void *ctx, struct session *s, const struct welcome *w);
    /* Not usable for now; `reason` is a static sentence ("the broker does not know this key"). Also
     * when a first connection fails, and when the reason changes. What was sent, fetched or put and
     * not answered by then never is. */
    void (*down)(void *ctx, struct session *s, const char *reason);
    /* A request, response, outcome, reject or receipt; the frame's bytes are the message's. The
     * callee may take the message with yzi_message_move. */
    void (*frame)(void *ctx, struct session *s, const struct frame *f, struct message *m);
    /* The answer to yzi_session_fetch by the owner; an offer the broker pushes has token 0. A
     * broker may answer with a token nobody used: look it up. */
    void (*object)(void *ctx, struct session *s, const struct object *o, yz_bytes payload);
    void (*put_result)(void *ctx, struct session *s, const struct put_result *r);
    /* The directory, a member set or freshness changed through this session. */
    void (*trust_changed)(void *ctx, struct session *s);
    /* Something that should not happen and the operator should read: a rollback, a forged record, a
     * wrong clock. At most twenty a minute; then one says how many were left out. */
    void (*alarm)(void *ctx, struct session *s, const yz_error *err);
    void *ctx;
};
struct session_options {
    struct link_options link;
    yz_node_id node; /* ours; borrowed until close */
    enum node_role role;
    yz_node_id broker; /* whom we mean to talk to; borrowed until close */
    struct trust *trust;
    struct log_views *views; /* NULL: the broker's log is not followed */
    uint32_t
        heartbeat_ms; /* 0: 2 s for adapters, 30 s for clients; the broker's welcome may lower it */
    struct session_handler handler;
};
/* Several sessions may share one trust, one node and one collection of views, all on one thread.
 * Errors as yzi_link_new and yzi_views_of. */
YZ_MUST_USE int yzi_session_new(const struct session_options *o, struct session **out,
                                yz_error *err);
/* Says goodbye if it can and closes. NULL allowed. */
void yzi_session_close(struct session *s);
bool yzi_session_is_up(const struct session *s);
yz_node_id yzi_session_broker(const struct session *s);
/* When anything came from the broker last, on the connection there is: monotonic ms. */
uint64_t yzi_session_heard_at(const struct session *s);
/* Ask for what every broker that lives answers at once; that it did shows in heard_at. YZ_EAGAIN,
 * YZ_EUNAVAILABLE (not up). */
YZ_MUST_USE int yzi_session_ask_sign(struct session *s);
void yzi_session_poll_entries(struct session *s, struct poll_entry out[LINK_POLL_ENTRIES]);
uint64_t yzi_session_deadline(const struct session *s); /* monotonic ms */
/* Receive and handle up to a bounded number of messages, run timers. Call after each wake-up and at
 * the deadline; *out_more (may be NULL) when it stopped at the bound. */
YZ_MUST_USE int yzi_session_step(struct session *s, bool *out_more);
/* Send a frame (a request, a response, a reject). YZ_EUNAVAILABLE when not up, YZ_EAGAIN when the
 * queue is full, YZ_ETOOBIG beyond what this broker takes. */
YZ_MUST_USE int yzi_session_send(struct session *s, yz_bytes frame);
/* Whether this broker would be sent a frame of so many bytes now: YZ_OK, YZ_EUNAVAILABLE,
 * YZ_ETOOBIG. Its queue may be full all the same. */
YZ_MUST_USE int yzi_session_takes(struct session *s, size_t bytes);
/* Ask for an object: FETCH_SERVICE, FETCH_OFFER, FETCH_CATALOGUE, FETCH_CONSISTENCY or
 * FETCH_RECEIPT, the rest is the session's own
 * business (YZ_EINVAL); *out_token comes back in `object`. Errors as send. */
YZ_MUST_USE int yzi_session_fetch(struct session *s, enum fetch_what what, yz_bytes name,
                                  uint32_t *out_token);
/* Push records (announcement, offer, member set); *out_token comes back in `put_result`. Errors as
 * send. */
YZ_MUST_USE int yzi_session_put(struct session *s, yz_bytes records, uint32_t *out_token);

/* -- the broker's log -- a broker that signed two histories of it is down for good, with an alarm
 */

/* What another party's header (or hello) says it saw of this broker's log; verified here. `from`:
 * that party's id. What is not the broker's word changes nothing: YZ_ESIGNATURE, YZ_EUNKNOWNKEY,
 * YZ_EEXPIRED. YZ_EEQUIVOCATION; YZ_ENOMEM. */
YZ_MUST_USE int yzi_session_saw(struct session *s, const struct checkpoint_ref *ref,
                                const char *from);
/* A receipt of this broker that the owner verified. YZ_EEQUIVOCATION: do not rely on it. */
YZ_MUST_USE int yzi_session_saw_receipt(struct session *s, const struct receipt *r);
/* For the headers we sign; not present when nothing was seen. Valid until the session's next step
 * or saw. */
struct checkpoint_ref yzi_session_checkpoint(const struct session *s);
/* To verify receipts of this broker with; valid until close. */
struct checkpoint_memory *yzi_session_checkpoint_memory(struct session *s);

#endif
