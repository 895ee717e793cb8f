/* SPDX-License-Identifier: Apache-2.0
 *
 * uthash with three of its hooks set: SipHash-2-4 under a key drawn once per process in place of
 * its own guessable functions, a comparison that never sees NULL, and its recoverable form of
 * running out of memory, which takes the half-added item out again and tells us by setting `oom`.
 */
#include "base/table.h"

#include <pthread.h>
#include <sodium.h>

#include "base/secret.h"

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(item) ((item)->oom = true)
#define HASH_FUNCTION(key, n, out) ((out) = sip_hash(key, n))
#include <uthash.h>

struct table_item {
    UT_hash_handle hh;
    void *value;
    size_t n;
    bool oom;
    uint8_t key[];
};

static uint8_t sip_key[crypto_shorthash_KEYBYTES];
static pthread_once_t sip_once = PTHREAD_ONCE_INIT;
static int sip_rc;

static void sip_init(void)
{
    sip_rc = yzi_sodium_init();
    if (sip_rc == 0) {
        crypto_shorthash_keygen(sip_key);
    }
}

static unsigned sip_hash(const void *key, size_t n)
{
    uint8_t h[crypto_shorthash_BYTES];
    crypto_shorthash(h, key, n, sip_key);
    return yzi_load_u32(h);
}

/* Lengths are `unsigned` inside uthash: a longer key is never in a table. */
static bool fits(yz_bytes key)
{
    return key.n <= UINT32_MAX;
}

static struct table_item *find(const struct table *t, yz_bytes key)
{
    struct table_item *item = NULL;
    if (t->head && fits(key)) {
        const void *p = key.n ? key.p : (const uint8_t *)""; /* memcmp does not take NULL */
        HASH_FIND(hh, t->head, p, (unsigned)key.n, item);
    }
    return item;
}

/* Add a key known to be absent. */
static int add(struct table *t, yz_bytes key, void *value)
{
    YZ_ENSURE(fits(key), YZ_ELIMIT);
    pthread_once(&sip_once, sip_init);
    YZ_TRY(sip_rc);
    struct table_item *item = malloc(sizeof *item + key.n);
    YZ_ENSURE(item, YZ_ENOMEM);
    *item = (struct table_item){.value = value, .n = key.n};
    if (key.n) {
        memcpy(item->key, key.p, key.n);
    }
    HASH_ADD_KEYPTR(hh, t->head, item->key, (unsigned)key.n, item);
    if (item->oom) {
        free(item);
        return YZ_ENOMEM;
    }
    return 0;
}

void yzi_table_fini(struct table *t, void (*drop)(void *value))
{
    struct table_item *item = t->head;
    /* Free uthash's own part first: clearing reads the head, the items it does not need. */
    HASH_CLEAR(hh, t->head);
    while (item) {
        struct table_item *next = item->hh.next;
        if (drop) {
            drop(item->value);
        }
        free(item);
        item = next;
    }
}

size_t yzi_table_count(const struct table *t)
{
    return HASH_COUNT(t->head);
}

void *yzi_table_get(const struct table *t, yz_bytes key)
{
    struct table_item *item = find(t, key);
    return item ? item->value : NULL;
}

int yzi_table_put(struct table *t, yz_bytes key, void *value)
{
    YZ_ASSERT(value);
    YZ_ENSURE(!find(t, key), YZ_EEXIST);
    return add(t, key, value);
}

int yzi_table_set(struct table *t, yz_bytes key, void *value, void **out_old)
{
    YZ_ASSERT(value);
    void *old = NULL;
    struct table_item *item = find(t, key);
    if (item) {
        old = item->value;
        item->value = value;
    } else {
        YZ_TRY(add(t, key, value));
    }
    if (out_old) {
        *out_old = old;
    }
    return 0;
}

void *yzi_table_remove(struct table *t, yz_bytes key)
{
    struct table_item *item = find(t, key);
    if (!item) {
        return NULL;
    }
    void *value = item->value;
    HASH_DEL(t->head, item);
    free(item);
    return value;
}

struct table_item *yzi_table_first(const struct table *t)
{
    return t->head;
}

struct table_item *yzi_table_next(const struct table_item *i)
{
    return i->hh.next;
}

yz_bytes yzi_table_key(const struct table_item *i)
{
    return yzi_bytes(i->key, i->n);
}

void *yzi_table_value(const struct table_item *i)
{
    return i->value;
}
