/* SPDX-License-Identifier: Apache-2.0
 *
 * What an adapter must still know after a crash, apart from its data sets: one LMDB environment of
 * named databases, opened together at the start. Who keeps something there opens a database; any
 * thread reads. Two write: the writer thread (writes.h), and whoever debits at the moment
 * (debits.h). LMDB lets in one after the other; so a write transaction here is short, is ended by
 * who began it, and waits for nothing meanwhile that another writer may hold.
 */
#ifndef YZ_ADAPTERS_STATE_H
#define YZ_ADAPTERS_STATE_H

#include "base/lmdb.h"

#define STATE_DATABASES_MAX 16u

struct state;
/* The folder is created 0700 when absent. YZ_EBUSY: another process has it; YZ_ECORRUPT, YZ_EIO,
 * YZ_EDISKFULL, YZ_ENOMEM. */
YZ_MUST_USE int yzi_state_open(const char *dir, struct state **out, yz_error *err);
void yzi_state_close(struct state *s); /* NULL is allowed; no transaction may be open */
struct db_env *yzi_state_env(struct state *s);
/* Open, or create, a database; at the start only. As yzi_db_handle. */
YZ_MUST_USE int yzi_state_database(struct state *s, const char *name, unsigned flags,
                                   db_handle *out);

#endif
