/* SPDX-License-Identifier: Apache-2.0
 *
 * The durable memory of writes: for each request that changes data, by consumer node and message
 * id, that it began, and then its answer, until the id can no longer be accepted. It survives a
 * crash, which the memory of reads (memory.h) does not. What is stored is the response frame as it
 * is sent, sealed and signed: with "began" the one that says `indeterminate`, since the key it has
 * to be sealed with does not survive a crash either (decision 0018).
 *
 * An entry takes a place, reserved before anything is done; there is a number of places in all and
 * for each node. No id is forgotten before its time, and none that was forgotten is new again when
 * the clock goes back.
 *
 * Threads: looking, reserving and releasing from any thread; the rest on the writer thread.
 */
#ifndef YZ_ADAPTERS_WRITES_H
#define YZ_ADAPTERS_WRITES_H

#include "adapters/state.h"
#include "base/uuid.h"
#include "proto/id.h"

struct writes;
struct writes_options {
    struct state *state; /* borrowed until close */
    size_t entries_max, entries_each_max;
};
YZ_MUST_USE int yzi_writes_open(const struct writes_options *o, struct writes **out, yz_error *err);
void yzi_writes_close(struct writes *w);   /* NULL is allowed */
size_t yzi_writes_count(struct writes *w); /* places taken */

struct write_entry {
    yz_node_id node;
    yz_uuid id;
    yz_digest digest; /* of the request */
    uint64_t until;   /* Unix ms: the id cannot be accepted after */
    yz_bytes frame;   /* the response */
    int rc;           /* yzi_writes_begin's, for this one */
};

enum write_verdict {
    WRITE_NEW = 1,
    WRITE_BEGAN,     /* the frame says indeterminate */
    WRITE_ANSWERED,  /* the frame is the answer */
    WRITE_CONFLICT,  /* the same id, other bytes */
    WRITE_FORGOTTEN, /* it may have been here: the clock went back */
};
/* What is known of the request e (frame aside); a frame is appended to `frame`. YZ_EIO, ... */
YZ_MUST_USE int yzi_writes_look(struct writes *w, const struct write_entry *e, yz_buf *frame,
                                enum write_verdict *out);

/* Take a place for a request of this node. YZ_EBUSY (*own: its own share is used up), YZ_ENOMEM. */
YZ_MUST_USE int yzi_writes_reserve(struct writes *w, yz_node_id node, bool *own);
void yzi_writes_release(struct writes *w, yz_node_id node); /* it did not begin */

/* Mark them begun, each in a place reserved before, durably, all in one transaction; entries whose
 * time was over at `now` are given up in it, with their places. An entry's rc is YZ_EEXIST when its
 * id is there already: it must not be executed. On failure none may be executed; whether they are
 * marked is unknown. */
YZ_MUST_USE int yzi_writes_begin(struct writes *w, struct write_entry *entries, size_t n,
                                 uint64_t now);
/* Replace the frames of begun ones by their answers, durably, all in one transaction. */
YZ_MUST_USE int yzi_writes_answer(struct writes *w, const struct write_entry *entries, size_t n);
/* Give up entries whose time is over, if there are some. */
YZ_MUST_USE int yzi_writes_expire(struct writes *w, uint64_t now);

#endif
