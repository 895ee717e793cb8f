/* SPDX-License-Identifier: Apache-2.0
 *
 * What a party keeps of its exchanges, so that it can prove them later without anybody's help: the
 * signed messages, the plaintexts they commit to, the receipts, and the directory records that say
 * whose keys signed (docs/evidence.md, "What is kept").
 *
 * A folder a day (UTC), `dir`/2026-11-23/: `day.key` (a storage key file), files of sealed records
 * that are only ever appended to, one for each process and day, and `objects/`, the public
 * directory records. A day ends with its key: when retention is over the key file is overwritten
 * and removed first, then the rest. What was appended survives the end of the process;
 * yzi_kept_sync makes it survive that of the machine.
 *
 * Threads: a struct kept is used by any. Several processes may share a folder.
 */
#ifndef YZ_EVIDENCE_KEPT_H
#define YZ_EVIDENCE_KEPT_H

#include "base/clock.h"
#include "keys/directory.h"
#include "proto/entry.h"
#include "proto/subject.h"

#define KEPT_RECORD_MAX (2u * YZ_MESSAGE_MAX + SUBJECTS_MAX + 65536u)
#define KEPT_MESSAGE_MAX (2u + YZ_HEADER_MAX + YZ_BLOCK_MAX)
#define KEPT_DAY_TEXT 11u /* "2026-11-23" */

struct kept;
struct kept_options {
    const char *dir; /* created 0700 */
    const struct clock *clock;
    uint64_t retention_ms; /* not 0 */
};
/* YZ_EIO, YZ_EDISKFULL, YZ_EPERM, YZ_ENOMEM. */
YZ_MUST_USE int yzi_kept_open(const struct kept_options *o, struct kept **out, yz_error *err);
void yzi_kept_close(struct kept *k); /* syncs; NULL allowed */

enum kept_role { KEPT_CONSUMER = 1, KEPT_PROVIDER = 2 };

/* One exchange as one party saw it; views. */
struct kept_exchange {
    enum kept_role role;
    uint64_t at;     /* when the answer was made or taken, Unix ms */
    yz_bytes broker; /* node id */
    enum frame_kind answer_kind;
    /* each as in the log (yzi_entry_message_write): what the message digest covers */
    yz_bytes request, answer;
    /* as committed to: salt first, padding left out; empty where there is none */
    yz_bytes request_plain, answer_plain;
    yz_bytes receipt;    /* may be empty, or come later */
    yz_digest directory; /* root hash of the directory it was judged by */
    /* Whom it was about (proto/subject.h); a provider's. Records of older versions have none. */
    bool has_subjects;
    yz_bytes data_set; /* its name; empty when the service has none here */
    yz_bytes subjects; /* at most SUBJECTS_MAX */
};
/* Append it. *out_at (may be NULL) names the day and is for yzi_kept_receipt. YZ_EDISKFULL, YZ_EIO:
 * nothing is kept; YZ_ETOOBIG, YZ_ENOMEM. */
YZ_MUST_USE int yzi_kept_exchange(struct kept *k, const struct kept_exchange *x);
/* Append a receipt that came after its exchange was kept, through this broker. */
YZ_MUST_USE int yzi_kept_receipt(struct kept *k, const yz_digest *request_digest, yz_bytes broker,
                                 yz_bytes receipt);
/* Keep the records that prove these nodes' keys: manifest, root statement, and for each node its
 * record, all with their places in the tree. Written once for a directory and node. */
YZ_MUST_USE int yzi_kept_directory(struct kept *k, const struct directory *d,
                                   const yz_node_id *nodes, size_t n);
/* Make what was appended durable: now and then (each second), and before the process ends. */
YZ_MUST_USE int yzi_kept_sync(struct kept *k);
/* Destroy the days whose retention is over: keys first. *out_days (may be NULL): how many. */
YZ_MUST_USE int yzi_kept_expire(struct kept *k, unsigned *out_days, yz_error *err);

/* -- reading -- */

struct kept_place {
    const char *file; /* path */
    uint64_t offset;
};
/* A record: either an exchange, or a receipt (of the request with that digest). */
struct kept_record {
    bool is_receipt;
    struct kept_exchange exchange; /* receipt, broker and request_digest for a receipt */
    yz_digest request_digest;
    struct kept_place place;
};
typedef int kept_visit(void *ctx, const struct kept_record *r);
struct kept_summary {
    uint64_t records, days;
    unsigned torn;    /* files that end within a record: the process died while appending */
    unsigned damaged; /* kept_survey: places told of */
};
/* Visit all records from day `from` to day `to` ("2026-11-23"; NULL: no bound), oldest day first;
 * stops when visit returns not 0, and returns that. YZ_ECORRUPT with file and offset when a record
 * does not open; YZ_EPERM (a key file others may read). `dir` need not be of this process. */
YZ_MUST_USE int yzi_kept_each(const char *dir, const char *from, const char *to, kept_visit *visit,
                              void *ctx, struct kept_summary *out, yz_error *err);
/* The same, but what is damaged ends nothing: each place is told of with a sentence that names file
 * and offset, and the reading goes on behind it, where that can be found. A day whose key is gone
 * or does not open is a place, too. */
typedef void kept_damage(void *ctx, const char *sentence);
YZ_MUST_USE int yzi_kept_survey(const char *dir, const char *from, const char *to,
                                kept_visit *visit, kept_damage *damage, void *ctx,
                                struct kept_summary *out, yz_error *err);
/* From when on there is something: `first` is the first day there is, `destroyed` the last one that
 * was destroyed when its time was over; "" when there is none. */
struct kept_span {
    char first[KEPT_DAY_TEXT], destroyed[KEPT_DAY_TEXT];
};
YZ_MUST_USE int yzi_kept_span(const char *dir, struct kept_span *out, yz_error *err);
/* The directory records kept for this root hash and node, appended as yzi_kept_directory wrote
 * them. YZ_ENOTFOUND. */
YZ_MUST_USE int yzi_kept_object(const char *dir, const char *day, const yz_digest *directory,
                                yz_bytes node, yz_buf *out, yz_error *err);

/* The inside of one record, for the fuzzer. YZ_EMALFORMED. */
YZ_MUST_USE int yzi_kept_record_parse(yz_bytes bytes, struct kept_record *out);

#endif
