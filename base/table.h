/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash table from bytes to a pointer (uthash underneath), hashed with SipHash under a random key
 * so that peers cannot choose collisions; running out of memory is an error, not an abort. The
 * table copies keys; values are the caller's. Not thread safe.
 */
#ifndef YZ_BASE_TABLE_H
#define YZ_BASE_TABLE_H

#include "base/bytes.h"

struct table_item;
struct table {
    struct table_item *head; /* in insertion order */
};

/* A zeroed struct table is empty and ready. `drop` (may be NULL) is called on every value left. */
void yzi_table_fini(struct table *t, void (*drop)(void *value));
size_t yzi_table_count(const struct table *t);
void *yzi_table_get(const struct table *t, yz_bytes key); /* NULL when absent */
/* YZ_EEXIST when present (unchanged), YZ_ENOMEM, YZ_ELIMIT for a key of 4 GiB and more. value must
 * not be NULL. On failure the table is as it was. */
YZ_MUST_USE int yzi_table_put(struct table *t, yz_bytes key, void *value);
/* Insert or replace; the former value (or NULL) goes to *out_old if out_old is not NULL. */
YZ_MUST_USE int yzi_table_set(struct table *t, yz_bytes key, void *value, void **out_old);
void *yzi_table_remove(struct table *t, yz_bytes key); /* the value, NULL when absent */

/* Visit in insertion order: `for (i = yzi_table_first(t); i; i = yzi_table_next(i))`. The item
 * just visited may be removed if the next one was taken before. */
struct table_item *yzi_table_first(const struct table *t);
struct table_item *yzi_table_next(const struct table_item *i);
yz_bytes yzi_table_key(const struct table_item *i); /* valid until the item is removed */
void *yzi_table_value(const struct table_item *i);

#endif
