/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of broker/evidence/ share. Three kinds of threads meet here:
 *
 * - callers of broker/evidence/evidence.h: append to `pending`, take from `done`, read the store;
 * - the writer (writer.c): the only one that changes the store, signs, and says what is newest;
 * - the publisher (publisher.c): reads the store and the newest checkpoint, writes files.
 *
 * `mutex` guards the fields so marked and is held for moments only. `store_lock` is held for
 * reading while a transaction of `store` is open outside the writer's thread, and for writing by
 * the writer while it closes and opens the store; the writer itself reads it without. Order:
 * store_lock before mutex.
 */
#ifndef YZ_BROKER_EVIDENCE_INTERNAL_H
#define YZ_BROKER_EVIDENCE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/events.h"
#include "broker/evidence/evidence.h"
#include "broker/evidence/spine.h"
#include "broker/evidence/store.h"
#include "proof/checkpoint.h"

#define EVIDENCE_GROUP_ITEMS 4096u             /* one commit takes at most so many, */
#define EVIDENCE_GROUP_BYTES ((size_t)8 << 20) /* or stops after so much */

struct item_list {
    struct evidence_item *first, *last;
    size_t n;
};
void yzi_items_add(struct item_list *l, struct evidence_item *i);
struct evidence_item *yzi_items_take(struct item_list *l); /* NULL: empty */

/* The newest checkpoint and what else readers may know: copied under the mutex. */
struct evidence_now {
    uint64_t log, size, pruned;
    uint64_t cited_log, cited_size;
    yz_digest root;
    uint8_t signature[64];
};

/* A checkpoint by which a log is followed by another. */
struct log_cite {
    uint64_t log, size; /* 0: none */
    yz_digest root;
    uint8_t signature[64];
};

/* How far a look at everything has come. */
struct scrub {
    unsigned level;
    uint64_t number;
    uint64_t checked, rewritten, damaged; /* files; files; places in the store. Since the start */
    uint64_t rounds;                      /* from beginning to end */
};

/* What others want of the writer. */
struct evidence_orders {
    uint64_t prune_below; /* 0: nothing */
    bool close_log;       /* and open another */
    bool shown;
    struct log_cite cite; /* with shown */
};

struct evidence {
    struct evidence_options o;
    char *dir, *publish; /* o's strings are these */
    char node[YZ_ID_MAX + 1];

    pthread_mutex_t mutex;
    pthread_cond_t to_writer, to_publisher, to_caller;
    /* -- guarded by mutex -- */
    struct item_list pending, done;
    size_t held_items, held_bytes; /* appended and not yet taken back */
    int fd;                        /* 1 exactly while done is not empty */
    bool closing;                  /* the writer ends when nothing is pending */
    bool publisher_closing;
    struct evidence_orders orders;
    struct evidence_now now;
    uint64_t published;                   /* entries of now.log */
    uint64_t publish_asked, publish_done; /* passes: somebody waits for one */
    int publish_rc;                       /* of the last pass */
    struct scrub scrub;                   /* the publisher's, as of its last pass */
    uint64_t scrub_asked;                 /* rounds: until so many it does not rest */
    /* -- */

    _Atomic bool up;
    pthread_rwlock_t store_lock;
    struct store *store;

    /* -- the writer's -- */
    struct spine spine;
    struct store_head head; /* of what is committed */
    struct tree_edge edge;
    yz_buf text;         /* scratch */
    uint64_t next_check; /* of the retention, monotonic ms */
    uint64_t down_since; /* monotonic ms */
    pthread_t writer, publisher;
    bool has_writer, has_publisher;
    struct publisher *publishing; /* the publisher's */
};

/* -- logs.c: which log is written -- */
/* Open the log that is to be continued, or a new one; also again, after a failure: whatever is open
 * is closed first. On YZ_OK e->head is durable and signed. The writer. */
YZ_MUST_USE int yzi_logs_open(struct evidence *e, yz_error *err);
/* Leave the log for a new one; `cite` is how it is continued. The writer. */
YZ_MUST_USE int yzi_logs_follow(struct evidence *e, const struct log_cite *cite, const char *reason,
                                yz_error *err);
/* "dir/log", malloc'd; YZ_ENOMEM. */
YZ_MUST_USE int yzi_logs_path(const char *dir, uint64_t log, char **out);
/* The numbers of the logs there are below `before`, at most `cap`, rising. */
YZ_MUST_USE int yzi_logs_before(const char *dir, uint64_t before, uint64_t *out, size_t cap,
                                size_t *out_n);

/* -- writer.c -- */
void yzi_writer_init(struct evidence *e); /* before all the others */
void *yzi_writer_run(void *evidence);
/* Take the store's state as the truth: read its head, load the tree's edge, see that they agree,
 * and commit once, so that what was read is on disk. Then sign, and tell what is newest. */
YZ_MUST_USE int yzi_writer_adopt(struct evidence *e, yz_error *err);
/* Append one entry of our own, durably; sign. */
YZ_MUST_USE int yzi_writer_note(struct evidence *e, enum entry_type type, yz_bytes body,
                                enum store_state state, yz_error *err);
/* Append an opening entry that cites a checkpoint of another log (log 0: there was none). */
YZ_MUST_USE int yzi_writer_cite(struct evidence *e, const struct log_cite *cite, const char *reason,
                                yz_error *err);
/* Sign a checkpoint of log/size/root. */
YZ_MUST_USE int yzi_writer_sign(struct evidence *e, uint64_t log, uint64_t size,
                                const yz_digest *root, uint8_t out[64]);
/* Write the newest signature to the head. */
YZ_MUST_USE int yzi_writer_save(struct evidence *e);

/* -- publisher.c -- */
YZ_MUST_USE int yzi_publisher_new(struct evidence *e, struct publisher **out); /* YZ_ENOMEM */
void yzi_publisher_free(struct publisher *p);                                  /* NULL allowed */
void *yzi_publisher_run(void *evidence);
/* The newest checkpoint that is published of a log. YZ_ENOTFOUND; YZ_ECORRUPT with words. */
YZ_MUST_USE int yzi_published_checkpoint(struct evidence *e, uint64_t log, struct log_cite *out,
                                         yz_error *err);

#endif
