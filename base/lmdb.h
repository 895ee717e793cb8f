/* SPDX-License-Identifier: Apache-2.0
 *
 * The only caller of LMDB. Maps its errors to ours, opens environments safely (one per process and
 * file, a lock against a second process, a large sparse map reserved up front, stale readers
 * cleared, durable commits), and keeps LMDB's rule visible in the types: what a transaction returns
 * is valid until that transaction ends, so copy it out.
 *
 * Threads: an environment is shared; one write transaction at a time in the process (the designated
 * writer thread); a transaction and its cursors belong to one thread. Read transactions never span
 * a poll. MDB_NOTLS is set.
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
    const char *path; /* the folder; created 0700 when absent */
    size_t map_size;  /* reserved address space; 0: 1 TiB (64 GiB under a sanitizer that objects) */
    unsigned databases; /* named databases at most */
    unsigned readers;   /* concurrent read transactions at most; 0: 126 */
    bool read_only;
};

/* YZ_EBUSY: open in another process. YZ_ECORRUPT, YZ_EIO, YZ_EDISKFULL, YZ_ENOMEM. */
YZ_MUST_USE int yzi_db_open(const struct db_options *o, struct db_env **out, yz_error *err);
void yzi_db_close(struct db_env *env); /* NULL is allowed; no transaction may be open */

/* Open (and create unless read-only) a named database. Flags below. Needs no open transaction. */
enum db_flags { DB_PLAIN = 0, DB_DUP_SORT = 1, DB_INTEGER_KEY = 2, DB_DUP_FIXED = 4 };
YZ_MUST_USE int yzi_db_handle(struct db_env *env, const char *name, unsigned flags, db_handle *out);

YZ_MUST_USE int yzi_db_begin_read(struct db_env *env, struct db_txn **out);
YZ_MUST_USE int yzi_db_begin_write(struct db_env *env, struct db_txn **out);
/* Ends the transaction whatever the result, *txn becomes NULL. After a failed commit its outcome is
 * unknown: reopen and re-read before relying on either state. YZ_EDISKFULL, YZ_EIO. */
YZ_MUST_USE int yzi_db_commit(struct db_txn **txn);
void yzi_db_abort(struct db_txn **txn); /* NULL inside is allowed: fits YZ_AUTO */

YZ_MUST_USE int yzi_db_get(struct db_txn *t, db_handle h, yz_bytes key,
                           yz_bytes *out); /* YZ_ENOTFOUND */
enum db_put_flags {
    DB_PUT_ANY = 0,
    DB_PUT_NEW = 1 /* YZ_EEXIST */,
    DB_PUT_APPEND = 2 /* sorted load */
};
YZ_MUST_USE int yzi_db_put(struct db_txn *t, db_handle h, yz_bytes key, yz_bytes value,
                           unsigned flags);
/* Reserve n bytes of value to be written by the caller before the next call on this transaction. */
YZ_MUST_USE int yzi_db_put_reserve(struct db_txn *t, db_handle h, yz_bytes key, size_t n,
                                   unsigned flags, uint8_t **out);
YZ_MUST_USE int yzi_db_del(struct db_txn *t, db_handle h, yz_bytes key,
                           const yz_bytes *dup /* or NULL */);
YZ_MUST_USE int yzi_db_clear(struct db_txn *t, db_handle h); /* empties the database */
YZ_MUST_USE int yzi_db_count(struct db_txn *t, db_handle h, uint64_t *out);

enum db_move {
    DB_FIRST,
    DB_LAST,
    DB_NEXT,
    DB_PREV,
    DB_SEEK /* first key >= key */,
    DB_NEXT_DUP,
    DB_FIRST_DUP
};
YZ_MUST_USE int yzi_db_cursor_open(struct db_txn *t, db_handle h, struct db_cursor **out);
void yzi_db_cursor_close(
    struct db_cursor **c); /* before the transaction ends; NULL inside allowed */
/* Move and return the pair; *key is input for DB_SEEK. YZ_ENOTFOUND at the end. */
YZ_MUST_USE int yzi_db_cursor_move(struct db_cursor *c, enum db_move m, yz_bytes *key,
                                   yz_bytes *value);
YZ_MUST_USE int yzi_db_cursor_del(struct db_cursor *c); /* the current pair */

#define YZ_DB_KEY_MAX 511u

#endif
