/* SPDX-License-Identifier: Apache-2.0
 *
 * Pair keys and their cache, payloads, wraps (docs/protocol.md, "Sealing").
 *
 * The cache: a table finds an entry by the digest of all a pair key is bound to, a list holds the
 * entries by last use, and the keys themselves lie in one locked slab. An entry owns its slot.
 */
#include "keys/seal.h"

#include <assert.h>
#include <sodium.h>

#include "base/table.h"

#define KEY_BYTES 32u
#define NONCE_BYTES 24u

static_assert(crypto_scalarmult_BYTES == KEY_BYTES && crypto_generichash_KEYBYTES == KEY_BYTES, "");
static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == KEY_BYTES, "");
static_assert(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES == NONCE_BYTES, "");
static_assert(crypto_aead_xchacha20poly1305_ietf_ABYTES == YZ_SEAL_TAG, "");
static_assert(NONCE_BYTES + KEY_BYTES + YZ_SEAL_TAG == YZ_WRAPPED_KEY_BYTES, "");

static const char pair_label[] = "yizhan/v1 pair";
static const char payload_label[] = "yizhan/v1 payload";
static const char wrap_label[] = "yizhan/v1 wrap";

/* What the tags and keys are bound to: fixed-size parts as they are, others behind a u16 length. */
#define BOUND_MAX (64u + 3u * (2u + YZ_ID_MAX) + 3u * 32u)
struct bound {
    uint8_t b[BOUND_MAX];
    size_t n;
};

static void put(struct bound *t, const void *p, size_t n)
{
    YZ_ASSERT(n <= sizeof t->b - t->n);
    memcpy(t->b + t->n, p, n);
    t->n += n;
}

static void put_u32(struct bound *t, uint32_t v)
{
    uint8_t b[4];
    yzi_store_u32(b, v);
    put(t, b, sizeof b);
}

static void put_u64(struct bound *t, uint64_t v)
{
    uint8_t b[8];
    yzi_store_u64(b, v);
    put(t, b, sizeof b);
}

static int put_id(struct bound *t, yz_bytes id)
{
    YZ_ENSURE(id.n > 0 && id.n <= YZ_ID_MAX, YZ_EINVAL);
    uint8_t length[2];
    yzi_store_u16(length, (uint16_t)id.n);
    put(t, length, sizeof length);
    put(t, id.p, id.n);
    return 0;
}

/* -- pair keys -- */

/* label ‖ 0x00 ‖ suite u32 ‖ direction u8 ‖ consumer ‖ adapter ‖ consumer epoch 32 ‖ adapter epoch
 * 32 ‖ announcement 32 */
static int bind_pair(const struct seal_pair *pair, enum seal_direction direction, struct bound *out)
{
    YZ_ENSURE(pair->suite == SUITE_1, YZ_EVERSION);
    YZ_ENSURE(direction == SEAL_REQUEST || direction == SEAL_RESPONSE, YZ_EINVAL);
    const uint8_t d = (uint8_t)direction;
    out->n = 0;
    put(out, pair_label, sizeof pair_label);
    put_u32(out, pair->suite);
    put(out, &d, 1);
    YZ_TRY(put_id(out, pair->consumer.v));
    YZ_TRY(put_id(out, pair->adapter.v));
    put(out, pair->consumer_epoch, KEY_BYTES);
    put(out, pair->adapter_epoch, KEY_BYTES);
    put(out, pair->announcement.b, sizeof pair->announcement.b);
    return 0;
}

/* The other side's epoch key. A pair with the same key on both sides would be a reflection. */
static int peer_epoch(const struct key_pair *mine, const struct seal_pair *pair,
                      const uint8_t **out)
{
    YZ_ENSURE(mine->use == KEY_SEALING && mine->secret.n == KEY_BYTES, YZ_EINVAL);
    yz_bytes me = yzi_bytes(mine->public_key, KEY_BYTES);
    bool consumer = yzi_bytes_eq(me, yzi_bytes(pair->consumer_epoch, KEY_BYTES));
    bool adapter = yzi_bytes_eq(me, yzi_bytes(pair->adapter_epoch, KEY_BYTES));
    YZ_ENSURE(consumer != adapter, YZ_EINVAL);
    *out = consumer ? pair->adapter_epoch : pair->consumer_epoch;
    return 0;
}

static int derive(struct key_pair *mine, const uint8_t peer[KEY_BYTES], const struct bound *bound,
                  uint8_t out[KEY_BYTES])
{
    uint8_t shared[KEY_BYTES] = {0};
    const uint8_t *secret = yzi_key_pair_open(mine);
    int rc = crypto_scalarmult(shared, secret, peer);
    yzi_key_pair_close(mine);
    if (rc == 0 && !sodium_is_zero(shared, sizeof shared)) {
        rc = crypto_generichash(out, KEY_BYTES, bound->b, bound->n, shared, sizeof shared);
    } else {
        rc = YZ_ESIGNATURE;
    }
    sodium_memzero(shared, sizeof shared);
    return rc == 0 || rc == YZ_ESIGNATURE ? rc : YZ_EINTERNAL;
}

int yzi_seal_pair_key(struct key_pair *mine, const struct seal_pair *pair,
                      enum seal_direction direction, uint8_t out[32])
{
    struct bound bound;
    const uint8_t *peer;
    YZ_TRY(bind_pair(pair, direction, &bound));
    YZ_TRY(peer_epoch(mine, pair, &peer));
    return derive(mine, peer, &bound, out);
}

/* -- the cache -- */

struct cached {
    yz_digest name;
    uint8_t *key; /* a slot of the slab */
    uint64_t expires_at;
    struct cached *newer, *older; /* by last use */
};

struct seal_cache {
    struct table by_name;
    struct secret_slab *slab;
    size_t capacity;
    struct cached *newest, *oldest;
};

static void unlink_entry(struct seal_cache *c, struct cached *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
    e->newer = e->older = NULL;
}

static void link_newest(struct seal_cache *c, struct cached *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void drop(struct seal_cache *c, struct cached *e)
{
    unlink_entry(c, e);
    (void)yzi_table_remove(&c->by_name, yzi_bytes_digest(&e->name));
    yzi_secret_slab_release(c->slab, e->key); /* wipes */
    free(e);
}

static void free_cache_ptr(struct seal_cache **c)
{
    yzi_seal_cache_free(*c);
}

int yzi_seal_cache_new(size_t capacity, struct seal_cache **out)
{
    YZ_ENSURE(capacity > 0, YZ_EINVAL);
    YZ_AUTO(free_cache_ptr) struct seal_cache *c = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *c, &c));
    YZ_TRY(yzi_secret_slab_new(KEY_BYTES, capacity, &c->slab));
    c->capacity = capacity;
    *out = YZ_TAKE(c);
    return 0;
}

void yzi_seal_cache_free(struct seal_cache *c)
{
    if (!c) {
        return;
    }
    while (c->oldest) {
        drop(c, c->oldest);
    }
    yzi_table_fini(&c->by_name, NULL);
    yzi_secret_slab_free(c->slab);
    free(c);
}

size_t yzi_seal_cache_count(const struct seal_cache *c)
{
    return yzi_table_count(&c->by_name);
}

void yzi_seal_cache_expire(struct seal_cache *c, uint64_t now)
{
    struct cached *e = c->oldest;
    while (e) {
        struct cached *next = e->newer;
        if (e->expires_at <= now) {
            drop(c, e);
        }
        e = next;
    }
}

/* Take e, whose key is derived, into the cache. */
static int insert(struct seal_cache *c, struct cached *e)
{
    YZ_TRY(yzi_table_put(&c->by_name, yzi_bytes_digest(&e->name), e));
    link_newest(c, e);
    return 0;
}

static int add(struct seal_cache *c, const yz_digest *name, struct key_pair *mine,
               const uint8_t *peer, const struct bound *bound, uint64_t expires_at,
               struct cached **out)
{
    if (yzi_seal_cache_count(c) == c->capacity) {
        drop(c, c->oldest);
    }
    YZ_AUTO(yzi_free_ptr) struct cached *e = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *e, &e));
    e->name = *name;
    e->expires_at = expires_at;
    e->key = yzi_secret_slab_take(c->slab);
    YZ_ASSERT(e->key); /* as many slots as entries */
    int rc = derive(mine, peer, bound, e->key);
    if (rc == 0) {
        rc = insert(c, e);
    }
    if (rc < 0) {
        yzi_secret_slab_release(c->slab, e->key);
        return rc;
    }
    *out = YZ_TAKE(e);
    return 0;
}

int yzi_seal_cache_get(struct seal_cache *c, struct key_pair *mine, const struct seal_pair *pair,
                       enum seal_direction direction, uint64_t expires_at, const uint8_t **out)
{
    struct bound bound;
    const uint8_t *peer;
    yz_digest name;
    YZ_TRY(bind_pair(pair, direction, &bound));
    YZ_TRY(peer_epoch(mine, pair, &peer));
    crypto_generichash(name.b, sizeof name.b, bound.b, bound.n, NULL, 0);
    struct cached *e = yzi_table_get(&c->by_name, yzi_bytes_digest(&name));
    if (e) {
        unlink_entry(c, e);
        link_newest(c, e);
    } else {
        YZ_TRY(add(c, &name, mine, peer, &bound, expires_at, &e));
    }
    *out = e->key;
    return 0;
}

/* -- payload and wraps -- */

/* label ‖ 0x00 ‖ kind u8 ‖ suite u32 ‖ message id 16 ‖ sender ‖ service ‖ expiry u64 */
static int bind_context(const char *label, const struct seal_context *c, struct bound *out)
{
    YZ_ENSURE(c->suite == SUITE_1, YZ_EVERSION);
    YZ_ENSURE(c->kind == FRAME_REQUEST || c->kind == FRAME_RESPONSE, YZ_EINVAL);
    const uint8_t kind = (uint8_t)c->kind;
    out->n = 0;
    put(out, label, strlen(label) + 1);
    put(out, &kind, 1);
    put_u32(out, c->suite);
    put(out, c->message_id.b, sizeof c->message_id.b);
    YZ_TRY(put_id(out, c->sender.v));
    YZ_TRY(put_id(out, c->service.v));
    put_u64(out, c->expires_at);
    return 0;
}

static int bind_wrap(const struct seal_context *c, yz_node_id recipient, struct bound *out)
{
    YZ_TRY(bind_context(wrap_label, c, out));
    return put_id(out, recipient.v);
}

/* The content key is used once, so its nonce need not vary. */
static const uint8_t zero_nonce[NONCE_BYTES];

int yzi_seal_payload(const uint8_t content_key[32], const struct seal_context *c,
                     yz_bytes plaintext, yz_buf *out)
{
    struct bound ad;
    size_t n;
    uint8_t *p;
    YZ_TRY(bind_context(payload_label, c, &ad));
    YZ_TRY(yzi_size_add(plaintext.n, YZ_SEAL_TAG, &n));
    YZ_TRY(yzi_buf_extend(out, n, &p));
    int rc = crypto_aead_xchacha20poly1305_ietf_encrypt(p, NULL, plaintext.p, plaintext.n, ad.b,
                                                        ad.n, NULL, zero_nonce, content_key);
    if (rc != 0) {
        out->n -= n;
        return YZ_EINTERNAL;
    }
    return 0;
}

int yzi_open_payload(const uint8_t content_key[32], const struct seal_context *c, yz_bytes sealed,
                     yz_buf *out)
{
    struct bound ad;
    uint8_t *p;
    YZ_TRY(bind_context(payload_label, c, &ad));
    YZ_ENSURE(sealed.n >= YZ_SEAL_TAG, YZ_ESIGNATURE);
    size_t n = sealed.n - YZ_SEAL_TAG;
    YZ_TRY(yzi_buf_extend(out, n, &p));
    int rc = crypto_aead_xchacha20poly1305_ietf_decrypt(p, NULL, NULL, sealed.p, sealed.n, ad.b,
                                                        ad.n, zero_nonce, content_key);
    if (rc != 0) {
        out->n -= n;
        return YZ_ESIGNATURE;
    }
    return 0;
}

int yzi_wrap_key_with_nonce(const uint8_t pair_key[32], const struct seal_context *c,
                            yz_node_id recipient, const uint8_t content_key[32],
                            const uint8_t nonce[24], uint8_t out[YZ_WRAPPED_KEY_BYTES])
{
    struct bound ad;
    uint8_t wrapped[YZ_WRAPPED_KEY_BYTES];
    YZ_TRY(bind_wrap(c, recipient, &ad));
    memcpy(wrapped, nonce, NONCE_BYTES);
    int rc = crypto_aead_xchacha20poly1305_ietf_encrypt(
        wrapped + NONCE_BYTES, NULL, content_key, KEY_BYTES, ad.b, ad.n, NULL, nonce, pair_key);
    YZ_ENSURE(rc == 0, YZ_EINTERNAL);
    memcpy(out, wrapped, sizeof wrapped);
    return 0;
}

int yzi_wrap_key(const uint8_t pair_key[32], const struct seal_context *c, yz_node_id recipient,
                 const uint8_t content_key[32], uint8_t out[YZ_WRAPPED_KEY_BYTES])
{
    uint8_t nonce[NONCE_BYTES];
    randombytes_buf(nonce, sizeof nonce);
    return yzi_wrap_key_with_nonce(pair_key, c, recipient, content_key, nonce, out);
}

int yzi_unwrap_key(const uint8_t pair_key[32], const struct seal_context *c, yz_node_id recipient,
                   yz_bytes wrapped, uint8_t out_content_key[32])
{
    struct bound ad;
    YZ_TRY(bind_wrap(c, recipient, &ad));
    YZ_ENSURE(wrapped.n == YZ_WRAPPED_KEY_BYTES, YZ_ESIGNATURE);
    uint8_t key[KEY_BYTES];
    int rc = crypto_aead_xchacha20poly1305_ietf_decrypt(key, NULL, NULL, wrapped.p + NONCE_BYTES,
                                                        wrapped.n - NONCE_BYTES, ad.b, ad.n,
                                                        wrapped.p, pair_key);
    if (rc == 0) {
        memcpy(out_content_key, key, KEY_BYTES);
    }
    sodium_memzero(key, sizeof key);
    return rc == 0 ? 0 : YZ_ESIGNATURE;
}
