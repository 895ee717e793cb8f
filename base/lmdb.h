/* SPDX-License-Identifier: Apache-2.0
 *
 * The only caller of LMDB. Maps its errors to ours, opens environments safely (one per process and
 * file, a lock against a second process, a large sparse map reserved up front, stale readers
 * cleared, durable commits), and keeps LMDB's rule visible in the types: what a transaction returns
 * is valid until that transaction ends or, in a write transaction, until its next change, so copy
 * it out.
 *
 * Threads: an environment is shared; one write transaction at a time in the process (mostly one
 * designated writer thread's); a transaction and its cursors belong to one thread. Read
 * transactions never span a poll. MDB_NOTLS is set. Nothing here is used in a child after fork:
 * open there instead.
 *
 * Errors of every operation, beside those named: YZ_EDISKFULL (no space, or the map is full),
 * YZ_EIO, YZ_ECORRUPT, YZ_ENOMEM; YZ_ELIMIT (a key, a value of a DB_DUP_SORT database or a number
 * of things is beyond its limit); YZ_EINVAL (misuse: an empty key, a key that is not 8 bytes in a
 * DB_INTEGER_KEY database, a write in a read transaction, ...). YZ_ENOTFOUND, YZ_EEXIST, YZ_EINVAL
 * and YZ_ELIMIT leave a write transaction usable; after any other its commit does nothing and
 * returns that error.
 */
#ifndef YZ_BASE_LMDB_H
#define YZ_BASE_LMDB_H

#include "base/bytes.h"

struct db_env;
struct db_txn;
struct db_cursor;
typedef struct {
    unsigned v;
} db_handle; /* a named database, opened once at start and valid for the environment's life */

struct db_options {
    const char *path;   /* the folder; created 0700 when absent, unless read-only */
    size_t map_size;    /* reserved address space; 0: 1 TiB, or 64 GiB where that much is refused */
    unsigned databases; /* named databases at most */
    unsigned readers;   /* concurrent read transactions at most; 0: 126 */
    bool read_only;     /* still excludes every other process */
};

/* YZ_EBUSY: open in another process, or in this one already. YZ_ENOTFOUND: read-only and absent.
 * YZ_ECORRUPT, YZ_EIO, YZ_EDISKFULL, YZ_ENOMEM. Any thread. */
YZ_MUST_USE int yzi_db_open(const struct db_options *o, struct db_env **out, yz_error *err);
void yzi_db_close(struct db_env *env); /* NULL is allowed; no transaction may be open */

/* Write the environment's data file as of now, without its free pages, into the folder `dir`, which
 * is there and holds none yet; nobody else may read it. It is durable with the first commit there.
 * Any thread. YZ_EEXIST. */
YZ_MUST_USE int yzi_db_copy(struct db_env *env, const char *dir);

/* The same into a file open for writing, from its beginning, not made durable. Any thread. */
YZ_MUST_USE int yzi_db_copy_fd(struct db_env *env, int fd);

/* The data file: which one it is (a copy is another), and how much of it is in use. */
struct db_file {
    uint64_t inode;
    uint64_t born;  /* ns since 1970; 0 where the file system does not say */
    uint64_t bytes; /* used, free pages included; the file is at least as long */
};
YZ_MUST_USE int yzi_db_file(struct db_env *env, struct db_file *out); /* YZ_EIO; any thread */

/* Open (and create unless read-only) a named database. Flags below. Needs no open transaction.
 * YZ_ENOTFOUND (read-only), YZ_ELIMIT (more than `databases`), YZ_EINVAL (it was created with other
 * flags), YZ_EBUSY (this thread has a write transaction open). */
enum db_flags {
    DB_PLAIN = 0,
    DB_DUP_SORT = 1,    /* a key has a sorted set of values, each at most YZ_DB_KEY_MAX bytes */
    DB_INTEGER_KEY = 2, /* keys are uint64_t in the machine's byte order, sorted as numbers */
    DB_DUP_FIXED = 4    /* with DB_DUP_SORT: all values have the same length */
};
YZ_MUST_USE int yzi_db_handle(struct db_env *env, const char *name, unsigned flags, db_handle *out);

/* YZ_EBUSY: all `readers` are in use. */
YZ_MUST_USE int yzi_db_begin_read(struct db_env *env, struct db_txn **out);
/* Waits for another thread's write transaction. YZ_EBUSY: this thread has one open already. */
YZ_MUST_USE int yzi_db_begin_write(struct db_env *env, struct db_txn **out);
/* Ends the transaction whatever the result, *txn becomes NULL. 0: what was written is on disk.
 * After a failed commit its outcome is unknown: re-read, in a new transaction, before relying on
 * either state. The environment opens itself again where that takes it, as soon as no transaction
 * is open; until then beginning one is YZ_EIO. YZ_EDISKFULL, YZ_EIO. */
YZ_MUST_USE int yzi_db_commit(struct db_txn **txn);
void yzi_db_abort(struct db_txn **txn); /* NULL inside is allowed: fits YZ_AUTO */

/* Which commit a read transaction sees: the same number is the same content, a higher one is later.
 */
uint64_t yzi_db_txn_id(const struct db_txn *t);

YZ_MUST_USE int yzi_db_get(struct db_txn *t, db_handle h, yz_bytes key,
                           yz_bytes *out); /* YZ_ENOTFOUND; the first value where there are more */
enum db_put_flags {
    DB_PUT_ANY = 0, /* replace; in a DB_DUP_SORT database add, a pair that is there stays */
    DB_PUT_NEW = 1, /* YZ_EEXIST when the key has a value already */
    /* Sorted load: the key comes after all others; in a DB_DUP_SORT database the value after all
     * others of its key. YZ_EINVAL when it does not. */
    DB_PUT_APPEND = 2
};
YZ_MUST_USE int yzi_db_put(struct db_txn *t, db_handle h, yz_bytes key, yz_bytes value,
                           unsigned flags);
/* Reserve n bytes of value to be written by the caller before the next call on this transaction;
 * they are not zeroed. Not in a DB_DUP_SORT database (YZ_EINVAL). */
YZ_MUST_USE int yzi_db_put_reserve(struct db_txn *t, db_handle h, yz_bytes key, size_t n,
                                   unsigned flags, uint8_t **out);
/* Remove a key with all its values, or (DB_DUP_SORT) the one pair. YZ_ENOTFOUND. */
YZ_MUST_USE int yzi_db_del(struct db_txn *t, db_handle h, yz_bytes key,
                           const yz_bytes *dup /* or NULL */);
YZ_MUST_USE int yzi_db_clear(struct db_txn *t, db_handle h); /* empties the database */
YZ_MUST_USE int yzi_db_count(struct db_txn *t, db_handle h, uint64_t *out); /* of pairs */

enum db_move {
    DB_FIRST,
    DB_LAST,
    DB_NEXT, /* on a new cursor: the first; DB_PREV: the last */
    DB_PREV,
    DB_SEEK,     /* first key >= key; an empty key is before all */
    DB_NEXT_DUP, /* next value of this key; YZ_EINVAL unless DB_DUP_SORT */
    DB_FIRST_DUP /* first value of this key; YZ_EINVAL unless DB_DUP_SORT */
};
YZ_MUST_USE int yzi_db_cursor_open(struct db_txn *t, db_handle h, struct db_cursor **out);
/* NULL inside allowed. A cursor left open when its transaction ends can only be closed, and must.
 */
void yzi_db_cursor_close(struct db_cursor **c);
/* Move and return the pair; *key is input for DB_SEEK. YZ_ENOTFOUND at the end (key and value are
 * then untouched). `value` may be NULL. */
YZ_MUST_USE int yzi_db_cursor_move(struct db_cursor *c, enum db_move m, yz_bytes *key,
                                   yz_bytes *value);
/* Move to the first pair that is not before (key, value), in a DB_DUP_SORT database, and return it.
 * YZ_ENOTFOUND: all are before. */
YZ_MUST_USE int yzi_db_cursor_seek_pair(struct db_cursor *c, yz_bytes *key, yz_bytes *value);
/* Remove the current pair; DB_NEXT then gives the one that followed it. */
YZ_MUST_USE int yzi_db_cursor_del(struct db_cursor *c);

#define YZ_DB_KEY_MAX 511u

#endif
