/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries live in one pool, chained by index from a table of heads, so that a million ids cost
 * 65 MiB and no allocation each. It grows by doubling and does not shrink: what has run out leaves
 * room for the next. Every check also sweeps a few chains for expired entries, so
 * the work of forgetting is spread evenly and needs no timer.
 */
#include "broker/replay.h"

#include <sodium.h>

#include "base/table.h"

#define FIRST_POOL 1024u
#define SWEEP_CHAINS 4u
#define SWEEP_WHEN_FULL 1024u /* before an id is refused */
#define NONE UINT32_MAX

struct share { /* of a node */
    uint64_t node;
    size_t used;
};

struct entry {
    uint8_t key[16];
    uint8_t digest[24];
    uint64_t until;
    uint32_t next;
    uint32_t retries;
    struct share *share;
};

_Static_assert(sizeof(struct entry) == 64, "what docs/operations.md reckons with");

struct replay {
    struct entry *pool;
    uint32_t *heads;
    size_t pool_n, heads_n; /* heads_n is a power of two */
    size_t used, capacity;
    uint32_t free_list;
    size_t sweep;
    struct table shares; /* node's hash -> struct share */
    uint8_t hash_key[REPLAY_KEY_BYTES];
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

int yzi_replay_new(size_t capacity, const uint8_t hash_key[REPLAY_KEY_BYTES], struct replay **out)
{
    YZ_ENSURE(capacity > 0 && capacity < NONE, YZ_EINVAL);
    struct replay *r;
    YZ_TRY(yzi_alloc(1, sizeof *r, &r));
    r->capacity = capacity;
    r->free_list = NONE;
    if (hash_key) {
        memcpy(r->hash_key, hash_key, sizeof r->hash_key);
    } else {
        randombytes_buf(r->hash_key, sizeof r->hash_key);
    }
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
        yzi_table_fini(&r->shares, free);
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

static uint64_t hash_of(const struct replay *r, yz_node_id node)
{
    uint8_t hash[16];
    crypto_generichash(hash, sizeof hash, node.v.p, node.v.n, r->hash_key, sizeof r->hash_key);
    return yzi_load_u64(hash);
}

static yz_bytes share_key(const uint64_t *node)
{
    return yzi_bytes(node, sizeof *node);
}

/* The node's share, made when there is none. */
static int share_of(struct replay *r, uint64_t node, struct share **out)
{
    struct share *s = yzi_table_get(&r->shares, share_key(&node));
    if (!s) {
        YZ_TRY(yzi_alloc(1, sizeof *s, &s));
        s->node = node;
        int rc = yzi_table_put(&r->shares, share_key(&node), s);
        if (rc < 0) {
            free(s);
            return rc;
        }
    }
    *out = s;
    return YZ_OK;
}

static void forget_idle(struct replay *r, struct share *s)
{
    if (s->used == 0) {
        yzi_table_remove(&r->shares, share_key(&s->node));
        free(s);
    }
}

static void release(struct replay *r, uint32_t *link)
{
    uint32_t i = *link;
    r->pool[i].share->used--;
    forget_idle(r, r->pool[i].share);
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

/* An entry for this key, which is not there. */
static int insert(struct replay *r, const struct replay_record *record, struct share *share)
{
    if (r->free_list == NONE) {
        YZ_TRY(grow(r));
    }
    uint32_t *link = find(r, record->key);
    uint32_t i = r->free_list;
    struct entry *e = &r->pool[i];
    r->free_list = e->next;
    *e = (struct entry){.until = record->until, .next = NONE, .share = share};
    memcpy(e->key, record->key, sizeof e->key);
    memcpy(e->digest, record->digest, sizeof e->digest);
    *link = i;
    r->used++;
    share->used++;
    return YZ_OK;
}

static int check_room(const struct replay *r, const struct share *share)
{
    YZ_ENSURE(r->used < r->capacity, YZ_EBUSY);
    return share->used < r->capacity - r->used ? YZ_OK : YZ_ELIMIT;
}

static int remember(struct replay *r, const struct replay_record *record, uint64_t now)
{
    struct share *share;
    YZ_TRY(share_of(r, record->node, &share));
    int rc = check_room(r, share);
    if (rc < 0) {
        share->used++; /* so that sweeping does not take it away */
        sweep(r, SWEEP_WHEN_FULL, now);
        share->used--;
        rc = check_room(r, share);
    }
    rc = rc < 0 ? rc : insert(r, record, share);
    forget_idle(r, share);
    return rc;
}

int yzi_replay_check(struct replay *r, yz_node_id node, const yz_uuid *id, const yz_digest *digest,
                     uint64_t until, uint64_t now, enum replay_verdict *out)
{
    sweep(r, SWEEP_CHAINS, now);
    struct replay_record record = {.until = until, .node = hash_of(r, node)};
    key_of(r, node, id, record.key);
    memcpy(record.digest, digest->b, sizeof record.digest);
    uint32_t *link = find(r, record.key);
    if (*link != NONE && r->pool[*link].until < now) {
        release(r, link); /* it may be used again: the sweep was not here yet */
        link = find(r, record.key);
    }
    if (*link != NONE) {
        struct entry *e = &r->pool[*link];
        if (!yzi_bytes_eq(yzi_bytes(e->digest, sizeof e->digest),
                          yzi_bytes(record.digest, sizeof record.digest))) {
            *out = REPLAY_CONFLICT;
        } else {
            *out = ++e->retries > REPLAY_RETRIES_MAX ? REPLAY_TOO_OFTEN : REPLAY_AGAIN;
        }
        return YZ_OK;
    }
    YZ_TRY(remember(r, &record, now));
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

int yzi_replay_record(struct replay *r, yz_node_id node, const yz_uuid *id,
                      struct replay_record *out)
{
    uint8_t key[16];
    key_of(r, node, id, key);
    uint32_t *link = find(r, key);
    YZ_ENSURE(*link != NONE, YZ_ENOTFOUND);
    const struct entry *e = &r->pool[*link];
    *out = (struct replay_record){.until = e->until, .node = e->share->node};
    memcpy(out->key, e->key, sizeof out->key);
    memcpy(out->digest, e->digest, sizeof out->digest);
    return YZ_OK;
}

int yzi_replay_restore(struct replay *r, const struct replay_record *record, uint64_t now)
{
    if (record->until < now || *find(r, record->key) != NONE) {
        return YZ_OK;
    }
    if (r->used == r->capacity) { /* the limit was lowered since */
        YZ_ENSURE(r->capacity + 1 < NONE, YZ_ELIMIT);
        r->capacity++;
    }
    struct share *share;
    YZ_TRY(share_of(r, record->node, &share));
    int rc = insert(r, record, share);
    forget_idle(r, share);
    return rc;
}

size_t yzi_replay_count(const struct replay *r)
{
    return r->used;
}
