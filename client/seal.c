/* SPDX-License-Identifier: Apache-2.0
 *
 * Making and opening messages (docs/protocol.md, "Sealing").
 *
 * An own epoch is counted by the envelopes made with it and by the sealer while it is current. When
 * the last goes, its secret and every pair key are wiped: the cache holds no key longer than the
 * epoch it came from.
 */
#include "client/seal.h"

#include <sodium.h>

#define PAIR_KEYS 512u /* two directions of 256 adapters */
#define EXPIRE_EVERY_MS 60000u

struct own_epoch {
    struct key_pair key;
    uint64_t born;    /* monotonic ms */
    uint64_t ends_at; /* wall ms */
    unsigned users;
};

struct sealer {
    struct sealer_options o;
    struct seal_cache *cache;
    struct own_epoch *current;
    uint64_t next_expiry; /* monotonic ms */
    struct {
        struct checkpoint_ref ref;
        uint8_t signature[YZ_SIGNATURE_BYTES];
    } seen[YZ_BROKERS_MAX];
};

void yzi_sealer_saw(struct sealer *s, unsigned i, const struct checkpoint_ref *seen)
{
    s->seen[i].ref = *seen;
    if (seen->present) {
        memcpy(s->seen[i].signature, seen->signature.p, sizeof s->seen[i].signature);
        s->seen[i].ref.signature = yzi_bytes(s->seen[i].signature, sizeof s->seen[i].signature);
    }
}

/* -- own epochs -- */

static void release_epoch(struct sealer *s, struct own_epoch *e)
{
    if (e && --e->users == 0) {
        yzi_key_pair_fini(&e->key);
        free(e);
        yzi_seal_cache_expire(s->cache, UINT64_MAX);
    }
}

static int make_epoch(struct sealer *s)
{
    struct own_epoch *e;
    YZ_TRY(yzi_alloc(1, sizeof *e, &e));
    int rc = yzi_key_pair_generate(KEY_SEALING, &e->key);
    if (rc < 0) {
        free(e);
        return rc;
    }
    e->born = yzi_mono_ms(s->o.clock);
    e->ends_at = yzi_wall_ms(s->o.clock) + EPOCH_LIFE_MS;
    e->users = 1;
    release_epoch(s, s->current);
    s->current = e;
    return YZ_OK;
}

static int current_epoch(struct sealer *s, struct own_epoch **out)
{
    uint64_t now = yzi_mono_ms(s->o.clock);
    if (now >= s->next_expiry) { /* pair keys of adapters' epochs that are over */
        yzi_seal_cache_expire(s->cache, yzi_wall_ms(s->o.clock));
        s->next_expiry = now + EXPIRE_EVERY_MS;
    }
    if (!s->current || now - s->current->born >= OWN_EPOCH_MS) {
        YZ_TRY(make_epoch(s));
    }
    *out = s->current;
    return YZ_OK;
}

int yzi_sealer_new(const struct sealer_options *o, struct sealer **out)
{
    YZ_ENSURE(o->brokers_n >= 1 && o->brokers_n <= YZ_BROKERS_MAX, YZ_EINVAL);
    struct sealer *s;
    YZ_TRY(yzi_alloc(1, sizeof *s, &s));
    s->o = *o;
    int rc = yzi_seal_cache_new(PAIR_KEYS, &s->cache);
    if (rc < 0) {
        yzi_sealer_free(s);
        return rc;
    }
    *out = s;
    return YZ_OK;
}

void yzi_sealer_free(struct sealer *s)
{
    if (s) {
        if (s->cache) {
            release_epoch(s, s->current);
        }
        yzi_seal_cache_free(s->cache);
        free(s);
    }
}

static int pair_key(struct sealer *s, const struct envelope *e, unsigned slot,
                    enum seal_direction direction, const uint8_t **out)
{
    struct seal_pair pair = {
        .suite = SUITE_1,
        .consumer = s->o.node,
        .adapter = e->header.slots[slot].adapter,
        .announcement = e->header.slots[slot].announcement,
    };
    memcpy(pair.consumer_epoch, e->epoch->key.public_key, sizeof pair.consumer_epoch);
    memcpy(pair.adapter_epoch, e->slot_epochs[slot], sizeof pair.adapter_epoch);
    uint64_t ends = e->slot_ends[slot] < e->epoch->ends_at ? e->slot_ends[slot] : e->epoch->ends_at;
    return yzi_seal_cache_get(s->cache, &e->epoch->key, &pair, direction, ends, out);
}

/* -- making -- */

/* What a message is made of until its bytes stand. */
struct draft {
    struct request_header h;
    uint8_t content_key[32];
    uint8_t wrapped[YZ_SLOTS_MAX][YZ_WRAPPED_KEY_BYTES];
    yz_buf plain, sealed, header, block;
};

static void draft_fini(struct draft *d)
{
    sodium_memzero(d->content_key, sizeof d->content_key);
    yzi_buf_wipe(&d->plain);
    yzi_buf_fini(&d->sealed);
    yzi_buf_fini(&d->header);
    yzi_buf_fini(&d->block);
}

static struct seal_context request_context(const struct request_header *h)
{
    return (struct seal_context){.kind = FRAME_REQUEST,
                                 .suite = h->suite,
                                 .message_id = h->message_id,
                                 .sender = h->node,
                                 .service = h->service,
                                 .expires_at = h->expires_at};
}

static void fill_header(const struct sealer *s, const struct ask *ask, uint64_t version,
                        uint32_t life_ms, yz_uuid *conversation, struct request_header *h)
{
    uint64_t now = yzi_wall_ms(s->o.clock);
    *h = (struct request_header){
        .suite = SUITE_1,
        .message_id = yzi_uuid_v7(now),
        .node = s->o.node,
        .consumer = s->o.subsystem,
        .service = ask->service,
        .issued_at = now,
        .expires_at = now + life_ms,
        .purpose = ask->purpose,
        .directory_version = version,
    };
    if (yzi_bytes_is_zero(yzi_bytes_uuid(conversation))) {
        *conversation = yzi_uuid_v7(now);
    }
    h->conversation_id = *conversation;
    for (unsigned i = 0; i < s->o.brokers_n; i++) {
        h->brokers[i].node = s->o.brokers[i];
        h->brokers[i].checkpoint = s->seen[i].ref;
    }
    h->brokers_n = s->o.brokers_n;
}

/* A page is continued by the adapter that began it: its cursor means nothing to another. */
static bool may_answer(const struct provider *p, const struct ask *ask)
{
    return ask->node.n == 0 || yzi_bytes_eq(ask->node, yzi_provider_node(p).v);
}

static void fill_slots(const struct service *to, const struct ask *ask, struct request_header *h,
                       struct envelope *e)
{
    unsigned most = to->mode == SERVICE_READ ? YZ_SLOTS_MAX : 1;
    for (unsigned i = 0; i < to->providers_n && h->slots_n < most; i++) {
        const struct provider *p = &to->providers[i];
        if (h->issued_at + YZ_SKEW_MS < p->not_before || h->issued_at >= p->not_after ||
            !may_answer(p, ask)) {
            continue;
        }
        struct announcement a = {.not_after = p->not_after};
        unsigned slot = h->slots_n++;
        h->slots[slot].adapter = yzi_provider_node(p);
        h->slots[slot].announcement = p->announcement;
        memcpy(e->slot_epochs[slot], p->epoch_key, sizeof e->slot_epochs[slot]);
        e->slot_ends[slot] = yzi_epoch_wipe_at(&a);
    }
}

static int seal_body(const struct ask *ask, struct draft *d)
{
    struct plain plain;
    YZ_TRY(yzi_plain_write(PLAIN_QUERY, yzi_bytes_buf(&ask->head), yzi_bytes_buf(&ask->body),
                           &d->plain));
    YZ_TRY(yzi_plain_parse(yzi_bytes_buf(&d->plain), &plain));
    yzi_plain_commitment(&plain, &d->h.content_commitment);
    randombytes_buf(d->content_key, sizeof d->content_key);
    struct seal_context c = request_context(&d->h);
    YZ_TRY(yzi_seal_payload(d->content_key, &c, yzi_bytes_buf(&d->plain), &d->sealed));
    d->h.sealed_length = (uint32_t)d->sealed.n;
    crypto_generichash(d->h.sealed_digest.b, sizeof d->h.sealed_digest.b, d->sealed.p, d->sealed.n,
                       NULL, 0);
    return YZ_OK;
}

static int keep_plain(const struct draft *d, struct envelope *e)
{
    struct plain plain;
    YZ_TRY(yzi_plain_parse(yzi_bytes_buf(&d->plain), &plain));
    return yzi_buf_put(&e->plain, yzi_plain_opened(&plain));
}

static int wrap_for_all(struct sealer *s, struct envelope *e, struct draft *d)
{
    struct seal_context c = request_context(&d->h);
    e->header = d->h; /* pair_key reads the slots there */
    for (unsigned i = 0; i < d->h.slots_n; i++) {
        const uint8_t *key;
        YZ_TRY(pair_key(s, e, i, SEAL_REQUEST, &key));
        YZ_TRY(yzi_wrap_key(key, &c, d->h.slots[i].adapter, d->content_key, d->wrapped[i]));
        d->h.slots[i].wrapped_key = yzi_bytes(d->wrapped[i], sizeof d->wrapped[i]);
    }
    return YZ_OK;
}

/* Long ids may leave no room for all: what was seen of the logs gives way first, which the next
 * header can say, then the last slots, the most loaded. */
static int write_header(struct draft *d)
{
    yzi_buf_clear(&d->header);
    int rc = yzi_request_header_write(&d->h, &d->header);
    for (unsigned i = 0; i < d->h.brokers_n && (rc == YZ_ETOOBIG || rc == YZ_ELIMIT); i++) {
        d->h.brokers[i].checkpoint.present = false;
        yzi_buf_clear(&d->header);
        rc = yzi_request_header_write(&d->h, &d->header);
    }
    while ((rc == YZ_ETOOBIG || rc == YZ_ELIMIT) && --d->h.slots_n > 0) {
        yzi_buf_clear(&d->header);
        rc = yzi_request_header_write(&d->h, &d->header);
    }
    return rc;
}

static int write_frame(struct sealer *s, struct draft *d, struct envelope *e)
{
    YZ_TRY(write_header(d));
    YZ_TRY(yzi_sign_message(s->o.signing, FRAME_REQUEST, yzi_bytes_buf(&d->header), &d->block));
    size_t n = yzi_frame_size(d->header.n, d->block.n, d->sealed.n, 0);
    YZ_ENSURE(n <= s->o.message_max, YZ_ETOOBIG);
    YZ_TRY(yzi_buf_reserve(&e->frame, n));
    YZ_TRY(yzi_frame_write(FRAME_REQUEST, yzi_bytes_buf(&d->header), yzi_bytes_buf(&d->block),
                           yzi_bytes_buf(&d->sealed), (yz_bytes){0}, &e->frame));
    struct frame f;
    YZ_TRY(yzi_frame_parse(yzi_bytes_buf(&e->frame), s->o.message_max, &f));
    YZ_TRY(yzi_request_header_parse(f.header, &e->header));
    yzi_frame_digest(f.header, f.block, &e->digest);
    return YZ_OK;
}

static int make(struct sealer *s, const struct ask *ask, const struct service *to, struct draft *d,
                struct envelope *e)
{
    YZ_TRY(current_epoch(s, &e->epoch));
    e->epoch->users++;
    memcpy(d->h.epoch_key, e->epoch->key.public_key, sizeof d->h.epoch_key);
    fill_slots(to, ask, &d->h, e);
    YZ_ENSURE(d->h.slots_n > 0, YZ_EUNAVAILABLE);
    YZ_TRY(seal_body(ask, d));
    YZ_TRY(wrap_for_all(s, e, d));
    YZ_TRY(s->o.keeps_plain ? keep_plain(d, e) : YZ_OK);
    return write_frame(s, d, e);
}

int yzi_envelope_make(struct sealer *s, const struct ask *ask, const struct service *to,
                      uint64_t directory_version, uint32_t life_ms, yz_uuid *conversation,
                      struct envelope *out)
{
    YZ_AUTO(draft_fini) struct draft d = {0};
    yzi_buf_init(&d.plain, YZ_PLAIN_MAX);
    yzi_buf_init(&d.sealed, YZ_MESSAGE_MAX);
    yzi_buf_init(&d.header, YZ_HEADER_MAX);
    yzi_buf_init(&d.block, YZ_BLOCK_MAX);
    struct envelope e = {0};
    yzi_buf_init(&e.frame, YZ_MESSAGE_MAX);
    yzi_buf_init(&e.plain, YZ_PLAIN_MAX);
    fill_header(s, ask, directory_version, life_ms, conversation, &d.h);
    int rc = make(s, ask, to, &d, &e);
    if (rc < 0) {
        yzi_envelope_fini(s, &e);
        return rc == YZ_ELIMIT ? YZ_ETOOBIG : rc;
    }
    *out = e;
    return YZ_OK;
}

void yzi_envelope_fini(struct sealer *s, struct envelope *e)
{
    release_epoch(s, e->epoch);
    yzi_buf_fini(&e->frame);
    yzi_buf_wipe(&e->plain);
    *e = (struct envelope){0};
}

/* -- opening -- */

static int unwrap(struct sealer *s, const struct envelope *e, const struct response_header *h,
                  const struct seal_context *c, uint8_t out[32])
{
    const uint8_t *key;
    YZ_ENSURE(h->slot < e->header.slots_n, YZ_ESIGNATURE);
    YZ_TRY(pair_key(s, e, h->slot, SEAL_RESPONSE, &key));
    return yzi_unwrap_key(key, c, s->o.node, h->wrapped_key, out);
}

int yzi_envelope_open(struct sealer *s, const struct envelope *e, const struct response_header *h,
                      yz_bytes sealed, yz_buf *out_text, struct plain *out, yz_error *err)
{
    struct seal_context c = {.kind = FRAME_RESPONSE,
                             .suite = h->suite,
                             .message_id = h->message_id,
                             .sender = h->node,
                             .service = e->header.service,
                             .expires_at = h->expires_at};
    uint8_t content_key[32];
    int rc = unwrap(s, e, h, &c, content_key);
    if (rc == YZ_OK) {
        rc = yzi_open_payload(content_key, &c, sealed, out_text);
        sodium_memzero(content_key, sizeof content_key);
    }
    if (rc < 0) {
        return yzi_fail(err, rc, "its payload does not open");
    }
    rc = yzi_plain_parse(yzi_bytes_buf(out_text), out);
    if (rc < 0) {
        return yzi_fail(err, rc, "its payload is not in the format");
    }
    yz_digest commitment;
    yzi_plain_commitment(out, &commitment);
    if (!yzi_digest_eq(&commitment, &h->content_commitment)) {
        return yzi_fail(err, YZ_ESIGNATURE, "its content is not what its header commits to");
    }
    return YZ_OK;
}
