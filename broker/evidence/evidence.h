/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's evidence log: an append-only RFC 6962 tree in LMDB with the bodies beside it. The
 * front appends items; the writer thread commits them in groups (at once when idle, gathering while
 * a commit is under way), signs one checkpoint after each commit, and hands the items back with
 * index and receipt: only then are they durable. The publisher thread refreshes tiles and
 * checkpoint as files in the tlog-tiles layout, at most once a second (publish.c).
 *
 * A failed commit has an unknown outcome: the environment is reopened and re-read before an index
 * is used again. Until that succeeds the log is down: what waits comes back failed, and nothing is
 * taken. Threads: any, except where a function says otherwise; items come back in the order of
 * their appends.
 */
#ifndef YZ_BROKER_EVIDENCE_H
#define YZ_BROKER_EVIDENCE_H

#include "base/clock.h"
#include "broker/metrics.h"
#include "evidence/receipt.h"
#include "keys/keyfile.h"

struct evidence;

struct evidence_options {
    const char *dir;      /* the store; created 0700 */
    const char *publish;  /* tiles, bundles, checkpoint; created 0755. NULL: not published */
    yz_node_id node;      /* ours */
    struct key_pair *log; /* held */
    const struct clock *clock;
    size_t queue_items, queue_bytes; /* waiting or under way at most */
    uint64_t retention_ms;           /* bodies older than this are pruned; 0: kept for ever */
    struct metrics *metrics;         /* NULL: not counted */
};

/* One thing to be logged. Reference counted (atomically): one for whoever made it, one for the log
 * while it has it, one for each item that names it as its pair. */
struct evidence_item {
    /* set before append */
    enum entry_type type;
    yz_digest digest; /* of the body */
    yz_buf body;
    yz_uuid message_id;         /* of messages, for the index by id; zero otherwise */
    struct evidence_item *pair; /* a reference: an item appended before, in the same receipt */
    bool wants_receipt;
    void *ctx; /* the front's */
    /* set by the writer, to be read after the item was taken back */
    int rc;       /* YZ_OK: durable (YZ_ENOMEM: perhaps that too, but there is no receipt) */
    uint64_t log; /* 0: it is in none */
    uint64_t index, time;
    yz_buf receipt; /* covers pair too when there is one and it is in the same log */
    struct evidence_item *next;
    _Atomic unsigned references;
};
YZ_MUST_USE int yzi_evidence_item_new(enum entry_type type, const yz_digest *digest,
                                      struct evidence_item **out);
void yzi_evidence_item_ref(struct evidence_item *i);
void yzi_evidence_item_unref(struct evidence_item *i); /* NULL allowed */

/* Opens or creates, recovers, checks that the tree's tail agrees with the newest checkpoint, starts
 * the threads. YZ_ECORRUPT with what and where; YZ_EBUSY, YZ_EIO, YZ_EDISKFULL, YZ_ENOMEM. */
YZ_MUST_USE int yzi_evidence_open(const struct evidence_options *o, struct evidence **out,
                                  yz_error *err);
/* Commits what was appended, publishes, stops. Items not taken back are dropped. NULL allowed. */
void yzi_evidence_close(struct evidence *e);
/* On YZ_OK the log holds a reference of its own until the item is taken back. YZ_EBUSY: the queue
 * is full; YZ_EUNAVAILABLE: the log is down. */
YZ_MUST_USE int yzi_evidence_append(struct evidence *e, struct evidence_item *i);
int yzi_evidence_fd(const struct evidence *e); /* readable when there is something to take */
/* An item that is done, with the log's reference, in order of append; NULL when there is none. */
struct evidence_item *yzi_evidence_take(struct evidence *e);
bool yzi_evidence_up(const struct evidence *e);

/* A peer showed a checkpoint of ours, signed by our key (verified by the caller). When it is of the
 * log we write and ahead of it, or another one of the same size, our state is an older one than was
 * shown to others: the log is closed and a new one opened whose first entry cites it; of an earlier
 * log, and higher than the one cited: another opening entry is appended. YZ_EEXIST: nothing new. */
YZ_MUST_USE int yzi_evidence_shown(struct evidence *e, const struct checkpoint_ref *ref);

/* Consistency proof between two sizes of log `log`, concatenated hashes; with m 0 the openings of
 * that log (evidence/opening.h). YZ_ENOTFOUND: not that log, or larger than what is committed. Any
 * thread. */
YZ_MUST_USE int yzi_evidence_consistency(struct evidence *e, uint64_t log, uint64_t m, uint64_t n,
                                         yz_buf *out);
/* A fresh receipt of the response (or outcome) with this message id and digest and of its request.
 * YZ_ENOTFOUND. Any thread. */
YZ_MUST_USE int yzi_evidence_receipt(struct evidence *e, const yz_uuid *message_id,
                                     const yz_digest *digest, yz_buf *out);

/* The same of one entry of a log (0: the current one), and its digest. YZ_ENOTFOUND. Any thread. */
YZ_MUST_USE int yzi_evidence_receipt_at(struct evidence *e, uint64_t log, uint64_t index,
                                        yz_digest *out_digest, yz_buf *out);
/* The newest entry of this message and type in the current log. YZ_ENOTFOUND. Any thread. */
YZ_MUST_USE int yzi_evidence_find(struct evidence *e, const yz_uuid *message_id,
                                  enum entry_type type, uint64_t *out);

/* Look at the whole store and at every published file, as fast as that goes; the status tells how
 * far it is, what was found is logged. YZ_EUNSUPPORTED: nothing is published. Any thread. */
YZ_MUST_USE int yzi_evidence_scrub(struct evidence *e);

struct evidence_status {
    uint64_t log, size, published,
        pruned; /* opening time; entries; entries published; bodies gone below */
    uint64_t waiting;
    uint64_t checked, rewritten, damaged, rounds; /* looking: files, files that were wrong or
                                                     missing, places in the store; times through */
    bool up;
    char vkey[LOG_ORIGIN_MAX + 64];
    struct checkpoint_ref checkpoint; /* newest; its signature points into `signature` */
    uint8_t signature[64];
};
void yzi_evidence_status(struct evidence *e, struct evidence_status *out); /* any thread */
/* Entries with their bodies from `from` on, for the administration socket; stops when visit returns
 * not 0. Any thread; bounded by the caller. */
YZ_MUST_USE int yzi_evidence_each(struct evidence *e, uint64_t from, uint64_t n,
                                  int (*visit)(void *ctx, uint64_t index, yz_bytes entry,
                                               yz_bytes body /* empty: pruned */),
                                  void *ctx);
/* Let go of all bodies below this index, itself an entry; done by the writer. YZ_EINVAL: beyond the
 * size; YZ_EUNAVAILABLE. Any thread, as the next two. */
YZ_MUST_USE int yzi_evidence_prune(struct evidence *e, uint64_t below);
/* End the log with a closing entry and begin another; done by the writer. YZ_EUNAVAILABLE. */
YZ_MUST_USE int yzi_evidence_rotate(struct evidence *e);
/* Publish now what is committed now, and wait for that: YZ_OK, or why it could not be. */
YZ_MUST_USE int yzi_evidence_publish(struct evidence *e);

#endif
