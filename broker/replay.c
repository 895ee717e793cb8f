/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries live in one growing pool, chained by index from a table of heads, so that a million ids
 * cost 64 MiB and no allocation each. Every check also sweeps a few chains for expired entries, so
 * the work of forgetting is spread evenly and needs no timer.
 */
#include "broker/replay.h"

#include <sodium.h>

#define FIRST_POOL 1024u
#define SWEEP_CHAINS 4u
#define SWEEP_WHEN_FULL 1024u /* before an id is refused */
#define NONE UINT32_MAX

struct entry {
    uint8_t key[16];
    uint8_t digest[24]; /* enough to tell messages of one id apart */
    uint64_t until;
    uint32_t next;
    uint32_t retries;
};

struct replay {
    struct entry *pool;
    uint32_t *heads;
    size_t pool_n, heads_n; /* heads_n is a power of two */
    size_t used, capacity;
    uint32_t free_list;
    size_t sweep;
    uint8_t hash_key[crypto_generichash_KEYBYTES];
};

static int grow(struct replay *r)
{
    size_t pool_n = r->pool_n ? r->pool_n * 2 : FIRST_POOL;
    if (pool_n > r->capacity) {
        pool_n = r->capacity;
    }
    YZ_ENSURE(pool_n > r->pool_n, YZ_EBUSY);
    size_t heads_n = FIRST_POOL;
    while (heads_n < pool_n) {
        heads_n *= 2;
    }
    uint32_t *heads = malloc(heads_n * sizeof *heads);
    struct entry *pool = heads ? realloc(r->pool, pool_n * sizeof *pool) : NULL;
    if (!pool) {
        free(heads);
        return YZ_ENOMEM;
    }
    memset(heads, 0xff, heads_n * sizeof *heads);
    size_t old_n = r->pool_n;
    free(r->heads);
    r->pool = pool;
    r->pool_n = pool_n;
    r->heads = heads;
    r->heads_n = heads_n;
    for (size_t i = 0; i < old_n; i++) { /* only called when all of them are in use */
        size_t h = yzi_load_u32(pool[i].key) & (heads_n - 1);
        pool[i].next = heads[h];
        heads[h] = (uint32_t)i;
    }
    for (size_t i = pool_n; i > old_n; i--) {
        pool[i - 1].next = r->free_list;
        r->free_list = (uint32_t)(i - 1);
    }
    return YZ_OK;
}

int yzi_replay_new(size_t capacity, struct replay **out)
{
    YZ_ENSURE(capacity > 0 && capacity < NONE, YZ_EINVAL);
    struct replay *r;
    YZ_TRY(yzi_alloc(1, sizeof *r, &r));
    r->capacity = capacity;
    r->free_list = NONE;
    randombytes_buf(r->hash_key, sizeof r->hash_key);
    int rc = grow(r);
    if (rc < 0) {
        yzi_replay_free(r);
        return rc;
    }
    *out = r;
    return YZ_OK;
}

void yzi_replay_free(struct replay *r)
{
    if (r) {
        free(r->pool);
        free(r->heads);
        free(r);
    }
}

static void key_of(const struct replay *r, yz_node_id node, const yz_uuid *id, uint8_t out[16])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, r->hash_key, sizeof r->hash_key, 16);
    crypto_generichash_update(&state, id->b, sizeof id->b);
    crypto_generichash_update(&state, node.v.p, node.v.n);
    crypto_generichash_final(&state, out, 16);
}

static void release(struct replay *r, uint32_t *link)
{
    uint32_t i = *link;
    *link = r->pool[i].next;
    r->pool[i].next = r->free_list;
    r->free_list = i;
    r->used--;
}

static void sweep(struct replay *r, unsigned chains, uint64_t now)
{
    for (unsigned i = 0; i < chains; i++) {
        uint32_t *link = &r->heads[r->sweep++ & (r->heads_n - 1)];
        while (*link != NONE) {
            if (r->pool[*link].until < now) {
                release(r, link);
            } else {
                link = &r->pool[*link].next;
            }
        }
    }
}

/* The link that points at the entry of this key, or at NONE at the end of its chain. */
static uint32_t *find(struct replay *r, const uint8_t key[16])
{
    uint32_t *link = &r->heads[yzi_load_u32(key) & (r->heads_n - 1)];
    while (*link != NONE && !yzi_bytes_eq(yzi_bytes(r->pool[*link].key, 16), yzi_bytes(key, 16))) {
        link = &r->pool[*link].next;
    }
    return link;
}

int yzi_replay_check(struct replay *r, yz_node_id node, const yz_uuid *id, const yz_digest *digest,
                     uint64_t until, uint64_t now, enum replay_verdict *out)
{
    sweep(r, SWEEP_CHAINS, now);
    uint8_t key[16];
    key_of(r, node, id, key);
    uint32_t *link = find(r, key);
    if (*link != NONE && r->pool[*link].until < now) {
        release(r, link); /* it may be used again: the sweep was not here yet */
        link = find(r, key);
    }
    if (*link != NONE) {
        struct entry *e = &r->pool[*link];
        if (!yzi_bytes_eq(yzi_bytes(e->digest, sizeof e->digest),
                          yzi_bytes(digest->b, sizeof e->digest))) {
            *out = REPLAY_CONFLICT;
        } else {
            *out = ++e->retries > REPLAY_RETRIES_MAX ? REPLAY_TOO_OFTEN : REPLAY_AGAIN;
        }
        return YZ_OK;
    }
    if (r->free_list == NONE && r->pool_n == r->capacity) {
        sweep(r, SWEEP_WHEN_FULL, now);
    }
    if (r->free_list == NONE) {
        YZ_TRY(grow(r));
    }
    link = find(r, key); /* sweeping and growing move chains */
    uint32_t i = r->free_list;
    struct entry *e = &r->pool[i];
    r->free_list = e->next;
    *e = (struct entry){.until = until, .next = NONE};
    memcpy(e->key, key, sizeof e->key);
    memcpy(e->digest, digest->b, sizeof e->digest);
    *link = i;
    r->used++;
    *out = REPLAY_NEW;
    return YZ_OK;
}

void yzi_replay_forget(struct replay *r, yz_node_id node, const yz_uuid *id)
{
    uint8_t key[16];
    key_of(r, node, id, key);
    uint32_t *link = find(r, key);
    if (*link != NONE) {
        release(r, link);
    }
}

size_t yzi_replay_count(const struct replay *r)
{
    return r->used;
}
