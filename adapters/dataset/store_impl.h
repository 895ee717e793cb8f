/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the store share: keys, stored rows, the scan of an import file. Only
 * adapters/dataset/ includes this.
 */
#ifndef YZ_DATASET_STORE_IMPL_H
#define YZ_DATASET_STORE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "adapters/dataset/sorter.h"
#include "adapters/dataset/store.h"
#include "base/lmdb.h"

/* -- field.c -- */
/* As yzi_field_canonical, for a value as it travels in queries: FIELD_BYTES are raw. */
YZ_MUST_USE int yzi_field_check_raw(const struct dataset_field *f, yz_bytes value, yz_buf *out,
                                    const char **reason);

static inline bool yzi_field_is_sealed(const struct dataset_field *f)
{
    return f->classification >= CLASS_SENSITIVE;
}

/* -- key.c: record keys -- */

/* Subkeys of the key a generation is under, 32 bytes each, readable while that is open. */
struct store_keys {
    const uint8_t *seal;  /* values */
    const uint8_t *hash;  /* key fields */
    const uint8_t *index; /* indexed fields: entries of indexes cannot be compared with keys */
};

/* Bytes a value of this field takes in a key at most; the definition holds their sum to
 * YZ_DB_KEY_MAX. */
size_t yzi_key_part_max(const struct dataset_field *f);

/* The record's key from the key fields' canonical values (in the order of d->key), into `out`
 * (cleared first). Keys compare bytewise as their values do, field by field; a sealed field is
 * represented by its keyed hash, which has no order. YZ_ENOMEM, YZ_ELIMIT. */
/* One field's part of a key, appended: plain encodings only, not for sealed fields. */
YZ_MUST_USE int yzi_key_put_plain(const struct dataset_field *f, yz_bytes v, yz_buf *out);
/* 32 bytes of keyed hash over data set 00 field 00 value, appended. */
YZ_MUST_USE int yzi_key_put_hash(const struct dataset *d, const struct dataset_field *f,
                                 const uint8_t key[32], yz_bytes value, yz_buf *out);
YZ_MUST_USE int yzi_key_encode(const struct dataset *d, const struct store_keys *keys,
                               const yz_bytes *parts, yz_buf *out);

/* -- row.c: stored rows -- */

/* A stored row: sequence u64 ‖ ordinal u64 ‖ values in stored order (see row.c). */
struct stored_row {
    uint64_t sequence; /* of its last change */
    uint64_t ordinal;  /* given once, when the record is inserted: 0, 1, 2, ... */
    yz_bytes values;
};
struct row_layout {
    const struct dataset *dataset;
    const struct store_keys *keys;
    size_t fields_n;                       /* stored */
    unsigned field[DATASET_FIELDS_MAX];    /* stored position -> field of the definition */
    unsigned position[DATASET_FIELDS_MAX]; /* the reverse */
};
YZ_MUST_USE int yzi_row_encode(const struct row_layout *l, yz_bytes key, uint64_t sequence,
                               uint64_t ordinal, const struct query_value *values, yz_buf *out);
YZ_MUST_USE int yzi_row_decode(yz_bytes stored, struct stored_row *out); /* YZ_ECORRUPT */
/* Every value as stored (sealed ones still sealed), by field of the definition; a field the row
 * does not have is null. */
YZ_MUST_USE int yzi_row_split(const struct row_layout *l, const struct stored_row *row,
                              struct query_value out[DATASET_FIELDS_MAX]);
/* Open a sealed value that is not null: its plain value, in `plain` (cleared first), which the
 * caller wipes. YZ_ECORRUPT when it does not belong to this record and field, or the key is not
 * the one it was sealed with. */
YZ_MUST_USE int yzi_row_open(const struct row_layout *l, yz_bytes key, unsigned field,
                             yz_bytes sealed, yz_buf *plain, struct query_value *out);
/* Whether the stored row holds exactly `values`. */
YZ_MUST_USE int yzi_row_equals(const struct row_layout *l, yz_bytes key,
                               const struct stored_row *row, const struct query_value *values,
                               yz_buf *plain, bool *out);

/* -- index.c: entries of indexes -- */

/* An index is a database with sorted values: entry key -> record keys. An entry key is its fields'
 * parts one after the other: 00 for no value, 01 ‖ the encoding of record keys otherwise, so that
 * no value comes first; for sealed fields a keyed hash of that, which has no order. Bytewise order
 * is the order of the values. What would be longer than INDEX_WHOLE_MAX is cut after INDEX_CUT
 * bytes and ends in a keyless BLAKE2b-256 of the whole: equal still means equal, but among those
 * that begin alike there is no order. An entry key of YZ_DB_KEY_MAX bytes is a cut one. */
#define INDEX_CUT 479u
#define INDEX_WHOLE_MAX 510u

enum index_state {
    INDEX_ABSENT, /* a read-only store was not given it yet */
    INDEX_BUILDING,
    INDEX_READY,
    INDEX_BROKEN /* unique, and the records are not: the first step after a start tries again */
};
struct index {
    db_handle db;
    _Atomic int state; /* enum index_state; read before the transaction that relies on it begins */
    _Atomic bool cut;  /* it may hold cut entries, and so gives no order */
    yz_buf done;       /* building: key of the last record that is in it. Writer thread only */
};

/* One field's part, appended. */
YZ_MUST_USE int yzi_index_put_part(const struct dataset *d, const struct store_keys *keys,
                                   unsigned field, const struct query_value *v, yz_buf *out);
/* The entry key of a record, into `out` (cleared first). */
YZ_MUST_USE int yzi_index_entry(const struct dataset *d, const struct store_keys *keys,
                                const struct dataset_index *index, const struct query_value *values,
                                yz_buf *out);
/* The same from a stored row; `plain` is scratch, to be wiped by the caller. *has_null tells
 * whether one of the fields has no value. */
YZ_MUST_USE int yzi_index_entry_of_row(const struct row_layout *l, yz_bytes key,
                                       const struct query_value split[DATASET_FIELDS_MAX],
                                       const struct dataset_index *index, yz_buf *plain,
                                       yz_buf *out, bool *has_null);
/* Bring `parts` (whole, of any length) into the form of an entry key. */
YZ_MUST_USE int yzi_index_close_entry(yz_buf *parts);
/* Bytes an entry key may take before it is cut. */
size_t yzi_index_entry_max(const struct dataset *d, const struct dataset_index *index);

/* -- store_keys.c: the keys generations are under -- */

#define STORE_SUBKEY_BYTES 32u
/* Counted by reference, since the generations of a store mostly share theirs. Immutable once it is
 * in a generation. */
struct key_set {
    _Atomic unsigned refs;
    char id[STORE_KEY_ID_MAX + 1]; /* "": derived from the adapter's storage key */
    uint64_t since;                /* Unix ms; 0: not known */
    yz_secret subkeys;             /* opened for as long as it lives */
    struct store_keys keys;
    uint8_t check[STORE_SUBKEY_BYTES]; /* tells which key it is, and nothing of it */
};
struct key_set *yzi_key_set_ref(struct key_set *k); /* NULL is NULL */
void yzi_key_set_unref(struct key_set **k);         /* wipes with the last; fits YZ_AUTO */
/* The key with this id (empty: the adapter's). YZ_ECONFIG when its file is not there; errors of
 * yzi_keyfile_load. */
YZ_MUST_USE int yzi_key_set_load(struct store *s, yz_bytes id, struct key_set **out, yz_error *err);
/* A fresh one, durable. YZ_EINVAL: the store has no folder of keys. */
YZ_MUST_USE int yzi_key_set_make(struct store *s, struct key_set **out, yz_error *err);
/* What a store is under that has nothing sensitive yet: the key whose file is there already, a
 * fresh one, or without a folder of keys the adapter's. */
YZ_MUST_USE int yzi_key_set_first(struct store *s, struct key_set **out, yz_error *err);
/* Overwrite and remove the files of all keys but this; *destroyed grows by their number. On failure
 * some may be left, which the next start tries again. */
YZ_MUST_USE int yzi_key_set_destroy_others(struct store *s, const char *keep, unsigned *destroyed);

/* -- generation.c -- */

/* One file of records with its indexes, in a folder of its own. A store answers from one and writes
 * to it; another may be loaded beside it and then take its place. */
struct generation {
    struct store *store;
    uint64_t number;
    char *dir;
    struct db_env *env;
    db_handle records, meta;
    struct key_set *keys; /* NULL: no field is sensitive */
    struct row_layout layout;
    struct index indexes[DATASET_INDEXES_MAX];    /* by index of the definition */
    struct sorter *deferred[DATASET_INDEXES_MAX]; /* loading: entries sorted before they go in */
    uint64_t deferred_n, deferred_put;            /* of all indexes: how many there are, are in */
    bool read_only;
    unsigned refs; /* under the store's lock */
    bool retired;  /* under the store's lock: the last who lets go removes the folder */
    /* The definition was changed (redefine.c): this is the same file by the former one, for those
     * who began with it. Under the store's lock: who owns the environment, and a reference to it.
     */
    struct generation *successor;
    struct generation *former;   /* while it is made: the one it is to succeed */
    _Atomic uint64_t superseded; /* what commits from this one on hold is not as this one's layout
                                    says; UINT64_MAX: none */
    /* The sequence of the latest commit a query saw: looking it up costs as much as a record. */
    pthread_mutex_t seen_lock;
    uint64_t seen_commit, seen_sequence;
};

/* The generation in force, for as long as it is needed: a query, an import. It stays whole and in
 * place until it is unpinned, whatever is switched meanwhile. Any thread; never fails. */
struct generation *yzi_generation_pin(struct store *s);
/* The same for a query that was judged by definition d: YZ_EAGAIN when another is in force. */
YZ_MUST_USE int yzi_generation_pin_by(struct store *s, const struct dataset *d,
                                      struct generation **out);
void yzi_generation_unpin(struct generation **g); /* NULL inside is allowed: fits YZ_AUTO */
/* The sequence that a read transaction sees. Any thread. YZ_EAGAIN: the definition was changed
 * since the generation was pinned, and the transaction sees it. */
YZ_MUST_USE int yzi_generation_sequence(struct generation *g, struct db_txn *t, uint64_t *out);

#define STORE_LOCK "owner.lock"
#define STORE_CURRENT "current"

/* The file that names the generation in force; of a folder that has none yet, whose lock is held.
 */
YZ_MUST_USE int yzi_generation_name_first(const char *dir, uint64_t number, yz_error *err);
/* A generation's folder with what an environment leaves there; what cannot go stays. */
void yzi_generation_remove_folder(const char *dir);

enum generation_start {
    GENERATION_EMPTY,
    GENERATION_COPY,    /* of the one in force, for a large import that adds to it */
    GENERATION_REKEYED, /* empty, under a fresh key; the others are under the one in force's */
};
/* Load a new generation: begin, write into it with a writer of its own (record_write.h,
 * yzi_writer_begin_in) in as many transactions as memory asks for, then publish. Nobody sees it
 * before. Publishing makes it durable, then switches: queries that began before end on the old
 * generation, whose folder goes with the last of them. After a crash at any instant the next start
 * finds the old or the new one, whole, and removes the other. The sequence goes on from the old
 * one's. Writer thread only; one at a time (YZ_EBUSY). */
YZ_MUST_USE int yzi_generation_begin(struct store *s, enum generation_start start,
                                     struct generation **out, yz_error *err);
/* Of a generation without records: gather the entries of indexes that are not unique, and put them
 * in by order when it is published, which writes each page once. Records that are there can neither
 * be changed nor deleted then. YZ_EINVAL (there are records), YZ_EIO, YZ_ENOMEM. */
YZ_MUST_USE int yzi_generation_defer_indexes(struct generation *g);
/* Put in a piece of what was gathered; YZ_ENOTFOUND when there is no more, and records can be
 * changed. Publishing does what is left. YZ_EIO, YZ_EDISKFULL, YZ_ENOMEM. */
YZ_MUST_USE int yzi_generation_put_deferred(struct generation *g);
void yzi_generation_put_so_far(const struct generation *g, struct work_progress *out);
/* On success *g becomes NULL; on failure the old one is in force and *g is still to be dropped. */
YZ_MUST_USE int yzi_generation_publish(struct generation **g, yz_error *err);
/* After a switch that failed without it being known which generation the disk names: name the one
 * in force, before anything is written to it that a start from the other would lose. After a change
 * of the definition that failed so: change it. */
YZ_MUST_USE int yzi_generation_settle(struct store *s, yz_error *err);
void yzi_generation_drop(struct generation **g); /* removes its folder; NULL inside allowed */

/* Destroy the keys that the generation in force is not under. On failure some stay for the next
 * start, and the store's state says so. Writer thread only. */
YZ_MUST_USE int yzi_generation_tidy_keys(struct store *s);

/* Generations in a folder: the one in force is opened (made when there is none), others, which a
 * crash left, are removed. */
YZ_MUST_USE int yzi_generation_open_current(struct store *s, yz_error *err);
void yzi_generation_close(struct generation *g); /* frees; keeps the folder */

/* -- redefine.c -- */

/* The generation in force by another definition: the same environment, not in force yet. */
YZ_MUST_USE int yzi_generation_again(struct generation *of, const struct dataset *d,
                                     struct generation **out);
/* Finish a change of the definition whose commit failed with an unknown outcome. */
YZ_MUST_USE int yzi_definition_settle(struct store *s, yz_error *err);

/* -- schema.c -- */

/* Check that the definition fits the generation, and bring it up to date: the layout of rows, the
 * state of indexes; and the key: where g->keys is not set, it is what the generation says, or a
 * first one where it says none. `dir` is for messages. */
YZ_MUST_USE int yzi_schema_adopt(struct generation *g, const char *dir, yz_error *err);

/* Counters kept in the meta database; 0 when not there yet. */
#define META_SEQUENCE "sequence" /* of the last change */
#define META_ORDINAL "ordinal"   /* the next record's */
YZ_MUST_USE int yzi_store_meta_get(struct db_txn *t, db_handle meta, const char *name,
                                   uint64_t *out);
YZ_MUST_USE int yzi_store_meta_put(struct db_txn *t, db_handle meta, const char *name, uint64_t v);

/* -- index_build.c -- */

/* Open the databases of the definition's indexes, and of those it has no longer, to be emptied. No
 * transaction may be open. */
struct index_leftovers {
    db_handle db[2 * DATASET_INDEXES_MAX];
    char name[2 * DATASET_INDEXES_MAX][YZ_NAME_MAX + 1];
    size_t n;
};
YZ_MUST_USE int yzi_indexes_open(struct generation *g, struct index_leftovers *left);
/* Within the transaction that adopts the schema: read each index's state, begin the build of new or
 * changed ones, empty the leftovers. */
YZ_MUST_USE int yzi_indexes_adopt(struct generation *g, struct db_txn *t,
                                  const struct index_leftovers *left, bool *changed);
/* Write an index's state and how far its build has come, and make it the one in force when the
 * transaction is committed (yzi_index_adopted). */
YZ_MUST_USE int yzi_index_put_state(struct generation *g, struct db_txn *t, size_t index,
                                    enum index_state state, yz_bytes done);
/* Whether a change of this record has to be brought into the index. Writer thread only. */
bool yzi_index_covers(const struct index *x, yz_bytes key);

/* -- store.c -- */

struct store {
    _Atomic unsigned refs;
    const struct dataset *dataset; /* of `current`; writer thread only */
    char *dir;
    int lock_fd;
    bool read_only;
    yz_secret *storage_key; /* the adapter's, borrowed; or NULL */
    char *keys_dir;         /* or NULL */
    const struct clock *clock;
    pthread_mutex_t lock; /* guards `current`, and refs and retired of every generation */
    struct generation *current;
    struct generation *loading; /* writer thread only */
    bool unsettled; /* a switch failed when it was perhaps done: the file `current` may name either
                       generation. Writer thread only */
    const struct dataset *pending; /* a change to this definition failed when it was perhaps done; a
                                      reference, or NULL. Writer thread only */
    /* While a rotation lets others write: the keys of what they changed (record_write.c), NULL:
     * nobody asks. Lost: one could not be noted. Writer thread only. */
    yz_buf *journal;
    bool journal_lost;
    unsigned removed, unfinished; /* see struct store_state */
    unsigned keys_destroyed;      /* since it was opened; writer thread only */
    unsigned keys_found;          /* of these, those at the start */
    _Atomic bool key_left;
};

#endif
