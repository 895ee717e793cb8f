/* SPDX-License-Identifier: Apache-2.0
 *
 * A cursor is nonce 24 ‖ XChaCha20-Poly1305 of the plaintext below, padded to a multiple of 128
 * (ISO/IEC 7816-4), under a key the adapter derives from its storage key. Associated data:
 * "yz cursor 1" 00 adapter 00 consumer 00 service. Plaintext:
 *
 *     version u8 = 1 ‖ expires u64 ‖ generation u64 ‖ policy version u64 ‖ question 32 ‖
 *     grant length u8 ‖ grant ‖ position
 *
 * What binds to others' secrets is the associated data: a cursor of another consumer does not open,
 * and nothing is told of it. What the consumer may know is in the plaintext, so that the refusal
 * can say what changed.
 */
#include "adapters/dataset/cursor.h"

#include <sodium.h>

#define VERSION 1u
#define LABEL "yz cursor 1"
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES
#define PAD_BLOCK 128u
#define PLAIN_MAX (1u + 3u * 8u + 32u + 1u + YZ_NAME_MAX + CURSOR_POSITION_MAX)
#define PADDED_MAX ((PLAIN_MAX / PAD_BLOCK + 1u) * PAD_BLOCK)
#define AD_MAX (sizeof LABEL + 3u * (YZ_ID_MAX + 1u))

_Static_assert(NONCE_BYTES + PADDED_MAX + TAG_BYTES <= YZ_CURSOR_MAX, "a cursor fits the protocol");

/* -- the question -- */

static void add_number(crypto_hash_sha256_state *h, uint64_t v)
{
    uint8_t b[8];
    yzi_store_u64(b, v);
    crypto_hash_sha256_update(h, b, sizeof b);
}

static void add_bytes(crypto_hash_sha256_state *h, yz_bytes v)
{
    add_number(h, v.n);
    if (v.n) {
        crypto_hash_sha256_update(h, v.p, v.n);
    }
}

static void add_condition(crypto_hash_sha256_state *h, const struct query_condition *c)
{
    add_bytes(h, c->field);
    add_number(h, c->op);
    add_number(h, c->values_n);
    for (size_t i = 0; i < c->values_n; i++) {
        add_number(h, c->values[i].null);
        add_bytes(h, c->values[i].v);
    }
}

int yzi_cursor_question(const struct query *q, yz_digest *out)
{
    crypto_hash_sha256_state h;
    YZ_ENSURE(crypto_hash_sha256_init(&h) == 0, YZ_EINTERNAL);
    add_number(&h, q->operation);
    add_number(&h, q->fields_n);
    for (size_t i = 0; i < q->fields_n; i++) {
        add_bytes(&h, q->fields[i]);
    }
    add_number(&h, q->filter_n);
    for (size_t i = 0; i < q->filter_n; i++) {
        add_condition(&h, &q->filter[i]);
    }
    add_number(&h, q->order_n);
    for (size_t i = 0; i < q->order_n; i++) {
        add_bytes(&h, q->order[i].field);
        add_number(&h, q->order[i].descending);
    }
    return crypto_hash_sha256_final(&h, out->b) == 0 ? 0 : YZ_EINTERNAL;
}

/* -- sealing -- */

static int associated_data(const struct cursor_binding *b, yz_buf *ad)
{
    YZ_TRY(yzi_buf_put_str(ad, LABEL));
    YZ_TRY(yzi_buf_put_u8(ad, 0));
    YZ_TRY(yzi_buf_put(ad, b->node.v));
    YZ_TRY(yzi_buf_put_u8(ad, 0));
    YZ_TRY(yzi_buf_put(ad, b->consumer.v));
    YZ_TRY(yzi_buf_put_u8(ad, 0));
    return yzi_buf_put(ad, b->service.v);
}

int yzi_cursor_plain(const struct cursor_binding *b, uint64_t expires, yz_bytes position,
                     yz_buf *out)
{
    YZ_ENSURE(b->grant.n <= YZ_NAME_MAX && position.n > 0, YZ_EINVAL);
    YZ_ENSURE(position.n <= CURSOR_POSITION_MAX, YZ_EINVAL);
    YZ_TRY(yzi_buf_put_u8(out, VERSION));
    YZ_TRY(yzi_buf_put_u64(out, expires));
    YZ_TRY(yzi_buf_put_u64(out, b->generation));
    YZ_TRY(yzi_buf_put_u64(out, b->policy_version));
    YZ_TRY(yzi_buf_put(out, yzi_bytes_digest(&b->question)));
    YZ_TRY(yzi_buf_put_u8(out, (uint8_t)b->grant.n));
    YZ_TRY(yzi_buf_put(out, b->grant));
    return yzi_buf_put(out, position);
}

static int pad(yz_buf *plain)
{
    size_t n = plain->n, padded;
    YZ_TRY(yzi_buf_put_zero(plain, PAD_BLOCK - n % PAD_BLOCK));
    return sodium_pad(&padded, plain->p, n, PAD_BLOCK, plain->n) == 0 ? 0 : YZ_EINTERNAL;
}

static int seal(const uint8_t *key, yz_bytes ad, yz_bytes plain, yz_buf *out)
{
    uint8_t *p;
    YZ_TRY(yzi_buf_extend(out, NONCE_BYTES + plain.n + TAG_BYTES, &p));
    randombytes_buf(p, NONCE_BYTES);
    int rc = crypto_aead_xchacha20poly1305_ietf_encrypt(p + NONCE_BYTES, NULL, plain.p, plain.n,
                                                        ad.p, ad.n, NULL, p, key);
    return rc == 0 ? 0 : YZ_EINTERNAL;
}

int yzi_cursor_seal(const uint8_t key[CURSOR_KEY_BYTES], const struct cursor_binding *b,
                    uint64_t expires, yz_bytes position, yz_buf *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf ad = {0};
    YZ_AUTO(yzi_buf_wipe) yz_buf plain = {0};
    yzi_buf_init(&ad, AD_MAX);
    yzi_buf_init(&plain, PADDED_MAX);
    YZ_TRY(associated_data(b, &ad));
    YZ_TRY(yzi_cursor_plain(b, expires, position, &plain));
    YZ_TRY(pad(&plain));
    return seal(key, yzi_bytes_buf(&ad), yzi_bytes_buf(&plain), out);
}

/* -- opening -- */

static int refuse(const char **reason, const char *why)
{
    *reason = why;
    return YZ_EINVAL;
}

static int unseal(const uint8_t *key, yz_bytes ad, yz_bytes cursor, yz_buf *plain)
{
    size_t overhead = NONCE_BYTES + TAG_BYTES, n;
    YZ_ENSURE(cursor.n > overhead && cursor.n - overhead <= PADDED_MAX, YZ_EMALFORMED);
    uint8_t *p;
    YZ_TRY(yzi_buf_extend(plain, cursor.n - overhead, &p));
    YZ_ENSURE(crypto_aead_xchacha20poly1305_ietf_decrypt(p, NULL, NULL, cursor.p + NONCE_BYTES,
                                                         cursor.n - NONCE_BYTES, ad.p, ad.n,
                                                         cursor.p, key) == 0,
              YZ_EMALFORMED);
    YZ_ENSURE(sodium_unpad(&n, plain->p, plain->n, PAD_BLOCK) == 0, YZ_EMALFORMED);
    plain->n = n;
    return 0;
}

struct contents {
    uint8_t version;
    uint64_t expires, generation, policy_version;
    yz_bytes question, grant, position;
};

static int read_contents(yz_bytes plain, struct contents *out)
{
    yz_reader r = yzi_reader(plain);
    uint8_t n;
    YZ_TRY(yzi_read_u8(&r, &out->version));
    YZ_TRY(yzi_read_u64(&r, &out->expires));
    YZ_TRY(yzi_read_u64(&r, &out->generation));
    YZ_TRY(yzi_read_u64(&r, &out->policy_version));
    YZ_TRY(yzi_read_bytes(&r, sizeof(yz_digest), &out->question));
    YZ_TRY(yzi_read_u8(&r, &n));
    YZ_TRY(yzi_read_bytes(&r, n, &out->grant));
    return yzi_read_bytes(&r, r.left, &out->position);
}

static int check_contents(const struct contents *c, const struct cursor_binding *b, uint64_t now,
                          const char **reason)
{
    if (c->version != VERSION || c->position.n == 0) {
        return refuse(reason, "bad-cursor");
    }
    if (now > c->expires) {
        return refuse(reason, "cursor-expired");
    }
    if (!yzi_bytes_eq(c->question, yzi_bytes_digest(&b->question))) {
        return refuse(reason, "cursor-query");
    }
    if (c->policy_version != b->policy_version || !yzi_bytes_eq(c->grant, b->grant)) {
        return refuse(reason, "cursor-policy");
    }
    return c->generation == b->generation ? 0 : refuse(reason, "cursor-data");
}

int yzi_cursor_open(const uint8_t key[CURSOR_KEY_BYTES], const struct cursor_binding *b,
                    uint64_t now, yz_bytes cursor, yz_buf *position, const char **reason)
{
    YZ_AUTO(yzi_buf_fini) yz_buf ad = {0};
    YZ_AUTO(yzi_buf_wipe) yz_buf plain = {0};
    struct contents c;
    yzi_buf_init(&ad, AD_MAX);
    yzi_buf_init(&plain, PADDED_MAX);
    YZ_TRY(associated_data(b, &ad));
    int rc = unseal(key, yzi_bytes_buf(&ad), cursor, &plain);
    if (rc == YZ_EMALFORMED || (rc == 0 && read_contents(yzi_bytes_buf(&plain), &c) < 0)) {
        return refuse(reason, "bad-cursor");
    }
    YZ_TRY(rc);
    YZ_TRY(check_contents(&c, b, now, reason));
    return yzi_buf_put(position, c.position);
}
