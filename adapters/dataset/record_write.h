/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing records: the one way a record comes into a store, changes and leaves it. A writer is a
 * write transaction; each change keeps every index, the unique ones' promise, and the change
 * sequence. Imports, write operations and the loading of new generations are built on it. Only
 * adapters/dataset/ includes this.
 *
 *     YZ_TRY(yzi_writer_begin(store, &w));
 *     rc = yzi_writer_seek(w, values);          which record is it, and is it there?
 *     rc = yzi_writer_put(w, values, &effect, &conflict);   or yzi_writer_delete(w)
 *     rc = yzi_writer_commit(w, &sequence);     or not: yzi_writer_end drops what was not committed
 *     yzi_writer_end(&w);
 *
 * Writer thread only. Values are by field of the definition, canonical (yzi_field_canonical), and
 * required fields have one; whoever writes has checked that.
 */
#ifndef YZ_DATASET_RECORD_WRITE_H
#define YZ_DATASET_RECORD_WRITE_H

#include "adapters/dataset/store_impl.h"

/* What is stored under the key sought. Views are valid until the writer's next change. */
struct write_target {
    bool found;
    yz_bytes key;          /* as stored */
    struct stored_row row; /* when found */
};
enum write_effect { WRITE_UNCHANGED = 1, WRITE_INSERTED, WRITE_UPDATED };
/* Which unique index a record would break, and how the other record's key reads: its stored row,
 * valid until the next change. */
struct write_conflict {
    const struct dataset_index *index;
    struct stored_row other;
    yz_bytes other_key;
};
struct record_writer;

/* Bytes of a store's journal at most: for each record changed the values of its key, each as u32
 * length ‖ bytes. */
#define JOURNAL_MAX ((size_t)64 * 1024 * 1024)

/* Begin a transaction on the generation in force, which is pinned until the writer ends. YZ_EINVAL
 * (read-only store), YZ_EIO, YZ_EDISKFULL, YZ_ENOMEM. */
YZ_MUST_USE int yzi_writer_begin(struct store *s, struct record_writer **out);
/* The same on one that is being loaded: nobody reads it, so it may be filled in several
 * transactions (commit, begin again). */
YZ_MUST_USE int yzi_writer_begin_in(struct generation *g, struct record_writer **out);
/* Aborts what was not committed. NULL inside is allowed: fits YZ_AUTO. */
void yzi_writer_end(struct record_writer **w);

/* Find the record that has these key fields' values (other fields are not looked at). */
YZ_MUST_USE int yzi_writer_seek(struct record_writer *w, const struct query_value *values);
const struct write_target *yzi_writer_target(const struct record_writer *w);
/* Give the record last sought these values: insert it, or replace what is there; equal values
 * change nothing, not even the sequence. YZ_EEXIST: a unique index would have two; nothing was
 * changed, *conflict (may be NULL) says which, and the writer can go on. After any other failure
 * the transaction is spoilt: end it. */
YZ_MUST_USE int yzi_writer_put(struct record_writer *w, const struct query_value *values,
                               enum write_effect *effect, struct write_conflict *conflict);
/* Load a record with a sequence and an ordinal of its own (a new generation keeps those of records
 * that did not change); the writer's counters rise to hold them. */
YZ_MUST_USE int yzi_writer_put_as(struct record_writer *w, const struct query_value *values,
                                  uint64_t sequence, uint64_t ordinal,
                                  struct write_conflict *conflict);
/* Remove the record last sought. YZ_ENOTFOUND when it was not found. */
YZ_MUST_USE int yzi_writer_delete(struct record_writer *w);

/* The next ordinal and the last sequence as of now; both count on with each change. */
uint64_t yzi_writer_sequence(const struct record_writer *w);
uint64_t yzi_writer_next_ordinal(const struct record_writer *w);
void yzi_writer_set_sequence(struct record_writer *w, uint64_t sequence); /* never falls */
/* Bytes put so far, index entries included: what memory the transaction takes, roughly. */
size_t yzi_writer_bytes(const struct record_writer *w);
/* The open transaction, for what has to be read or written with the records. */
struct db_txn *yzi_writer_txn(struct record_writer *w);
struct generation *yzi_writer_generation(struct record_writer *w);

/* Make it durable; the writer can only be ended then. With nothing changed nothing is written. As
 * yzi_db_commit: after a failure the outcome is unknown until the store is opened again. */
YZ_MUST_USE int yzi_writer_commit(struct record_writer *w, uint64_t *sequence);

#endif
