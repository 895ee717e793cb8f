/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages of a test's instance: sealed, signed and framed as a node would, with a hook to spoil a
 * header before it is signed.
 */
#include <sodium.h>

#include "keys/sign.h"
#include "proto/payload.h"
#include "tests/support/world.h"

#define OK(call) YZ_ASSERT((call) == 0)

void yz_world_message_fini(struct world_message *m)
{
    yzi_buf_fini(&m->raw);
    sodium_memzero(m, sizeof *m);
}

struct epoch *yz_world_epoch(struct world *w, struct world_node *adapter)
{
    struct epoch *e;
    YZ_ASSERT(adapter->role == ROLE_ADAPTER);
    if (!adapter->epochs) {
        OK(yzi_epochs_new(adapter->node, &adapter->signing, &w->clock.clock, &adapter->epochs));
    }
    OK(yzi_epochs_current(adapter->epochs, &e, NULL));
    return e;
}

/* -- sealing -- */

/* Plaintext made, sealed under a fresh content key, appended; what the header says about it. */
static void seal(enum plain_type type, yz_bytes head, yz_bytes body, const struct seal_context *c,
                 uint8_t content_key[32], yz_buf *sealed, yz_digest *digest, yz_digest *commitment)
{
    struct plain plain;
    YZ_AUTO(yzi_buf_wipe) yz_buf text;
    yz_world_buf(&text);
    OK(yzi_plain_write(type, head, body, &text));
    OK(yzi_plain_parse(yzi_bytes_buf(&text), &plain));
    yzi_plain_commitment(&plain, commitment);
    randombytes_buf(content_key, 32);
    OK(yzi_seal_payload(content_key, c, yzi_bytes_buf(&text), sealed));
    crypto_generichash(digest->b, sizeof digest->b, sealed->p, sealed->n, NULL, 0);
}

static void wrap(struct key_pair *mine, const struct seal_pair *pair, enum seal_direction direction,
                 const struct seal_context *c, yz_node_id recipient, const uint8_t content_key[32],
                 uint8_t out[YZ_WRAPPED_KEY_BYTES])
{
    uint8_t pair_key[32];
    OK(yzi_seal_pair_key(mine, pair, direction, pair_key));
    OK(yzi_wrap_key(pair_key, c, recipient, content_key, out));
    sodium_memzero(pair_key, sizeof pair_key);
}

static struct seal_pair pair_of(const struct request_header *h, yz_node_id adapter,
                                const struct epoch *e)
{
    struct seal_pair p = {
        .suite = SUITE_1,
        .consumer = h->node,
        .adapter = adapter,
        .announcement = e->digest,
    };
    memcpy(p.consumer_epoch, h->epoch_key, 32);
    memcpy(p.adapter_epoch, e->key.public_key, 32);
    return p;
}

/* Sign the header, put the frame together and keep what a test will ask for. */
static void finish(enum frame_kind kind, const yz_buf *header, yz_bytes payload,
                   struct key_pair *key, struct world_message *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf block;
    yz_world_buf(&block);
    OK(yzi_sign_message(key, kind, yzi_bytes_buf(header), &block));
    yz_world_buf(&out->raw);
    OK(yzi_frame_write(kind, yzi_bytes_buf(header), yzi_bytes_buf(&block), payload, (yz_bytes){0},
                       &out->raw));
    OK(yzi_frame_parse(yzi_bytes_buf(&out->raw), YZ_MESSAGE_MAX, &out->frame));
    yzi_frame_digest(out->frame.header, out->frame.block, &out->digest);
}

/* -- requests -- */

static void fill_request(struct world *w, const struct world_request *q, struct request_header *h)
{
    struct world_node *client = q->client ? q->client : yz_world_node(w, "CN/GOV/HB/@w1");
    uint64_t issued = q->issued_at ? q->issued_at : yz_world_now(w);
    *h = (struct request_header){
        .suite = SUITE_1,
        .message_id = yzi_uuid_v7(issued),
        .conversation_id = yzi_uuid_v7(issued),
        .node = client->node,
        .consumer = {yzi_bytes_str(q->consumer ? q->consumer : WORLD_CONSUMER)},
        .service = {yzi_bytes_str(q->service ? q->service : WORLD_SERVICE)},
        .issued_at = issued,
        .expires_at = issued + (q->life_ms ? q->life_ms : YZ_EXPIRY_DEFAULT_MS),
        .purpose = yzi_bytes_str(q->purpose),
        .directory_version = w->version,
    };
    memcpy(h->epoch_key, client->epoch.public_key, 32);
    struct world_node *b1 = q->brokers[0] ? NULL : yz_world_node(w, "CN/@b1");
    struct world_node *b2 = q->brokers[0] ? NULL : yz_world_node(w, "CN/@b2");
    struct world_node *both[YZ_BROKERS_MAX] = {b1, b2};
    struct world_node *const *brokers = q->brokers[0] ? q->brokers : both;
    for (; h->brokers_n < YZ_BROKERS_MAX && brokers[h->brokers_n]; h->brokers_n++) {
        h->brokers[h->brokers_n].node = brokers[h->brokers_n]->node;
    }
}

static void fill_slots(struct world *w, const struct world_request *q, struct request_header *h,
                       const struct seal_context *c, const uint8_t content_key[32],
                       uint8_t (*wrapped)[YZ_WRAPPED_KEY_BYTES])
{
    struct world_node *client = q->client ? q->client : yz_world_node(w, "CN/GOV/HB/@w1");
    struct world_node *a1 = q->slots[0] ? NULL : yz_world_node(w, "CN/GOV/MCA/@a1");
    struct world_node *a2 = q->slots[0] ? NULL : yz_world_node(w, "CN/GOV/MCA/@a2");
    struct world_node *both[YZ_SLOTS_MAX] = {a1, a2};
    struct world_node *const *slots = q->slots[0] ? q->slots : both;
    for (; h->slots_n < YZ_SLOTS_MAX && slots[h->slots_n]; h->slots_n++) {
        unsigned i = h->slots_n;
        const struct epoch *e = yz_world_epoch(w, slots[i]);
        struct seal_pair pair = pair_of(h, slots[i]->node, e);
        wrap(&client->epoch, &pair, SEAL_REQUEST, c, slots[i]->node, content_key, wrapped[i]);
        h->slots[i] = (struct slot){
            .adapter = slots[i]->node,
            .announcement = e->digest,
            .wrapped_key = yzi_bytes(wrapped[i], YZ_WRAPPED_KEY_BYTES),
        };
    }
}

void yz_world_request(struct world *w, const struct world_request *q, struct world_message *out)
{
    struct request_header h;
    uint8_t wrapped[YZ_SLOTS_MAX][YZ_WRAPPED_KEY_BYTES];
    struct world_node *client = q->client ? q->client : yz_world_node(w, "CN/GOV/HB/@w1");
    YZ_AUTO(yzi_buf_fini) yz_buf header, sealed;
    yz_world_buf(&header);
    yz_world_buf(&sealed);
    *out = (struct world_message){0};
    fill_request(w, q, &h);
    struct seal_context c = {FRAME_REQUEST, SUITE_1, h.message_id, h.node, h.service, h.expires_at};
    seal(q->type ? q->type : PLAIN_QUERY, q->head, q->body, &c, out->content_key, &sealed,
         &h.sealed_digest, &h.content_commitment);
    h.sealed_length = (uint32_t)sealed.n;
    fill_slots(w, q, &h, &c, out->content_key, wrapped);
    if (q->spoil) {
        q->spoil(&h, q->ctx);
    }
    OK(yzi_request_header_write(&h, &header));
    finish(FRAME_REQUEST, &header, yzi_bytes_buf(&sealed),
           q->sign_with ? q->sign_with : &client->signing, out);
}

/* -- answers -- */

static struct world_node *slot_node(struct world *w, const struct request_header *h, unsigned slot)
{
    char id[YZ_ID_MAX + 1];
    yz_bytes v = h->slots[slot].adapter.v;
    snprintf(id, sizeof id, "%.*s", (int)v.n, (const char *)v.p);
    return yz_world_node(w, id);
}

static unsigned slot_of(const struct request_header *h, yz_node_id adapter)
{
    for (unsigned i = 0; i < h->slots_n; i++) {
        if (yzi_bytes_eq(h->slots[i].adapter.v, adapter.v)) {
            return i;
        }
    }
    return 0;
}

void yz_world_response(struct world *w, const struct world_response *r, const struct frame *request,
                       struct world_message *out)
{
    struct request_header q;
    OK(yzi_request_header_parse(request->header, &q));
    struct world_node *adapter = r->adapter ? r->adapter : slot_node(w, &q, 0);
    uint8_t wrapped[YZ_WRAPPED_KEY_BYTES];
    YZ_AUTO(yzi_buf_fini) yz_buf header, sealed;
    yz_world_buf(&header);
    yz_world_buf(&sealed);
    *out = (struct world_message){0};
    struct epoch *e = yz_world_epoch(w, adapter);
    struct response_header h = {
        .suite = SUITE_1,
        .message_id = q.message_id,
        .node = adapter->node,
        .slot = slot_of(&q, adapter->node),
        .status = r->status ? r->status : RESPONSE_ANSWERED,
        .policy_version = 1,
        .data_version = 1,
        .issued_at = yz_world_now(w),
        .expires_at = yz_world_now(w) + YZ_EXPIRY_DEFAULT_MS,
        .directory_version = w->version,
    };
    yzi_frame_digest(request->header, request->block, &h.request_digest);
    if (h.status == RESPONSE_STALE_KEY) {
        h.announcement = yzi_bytes_buf(&e->record);
    } else {
        struct seal_context c = {FRAME_RESPONSE, SUITE_1,   h.message_id,
                                 h.node,         q.service, h.expires_at};
        struct seal_pair pair = pair_of(&q, adapter->node, e);
        seal(r->type ? r->type : PLAIN_ANSWER, r->head, r->body, &c, out->content_key, &sealed,
             &h.sealed_digest, &h.content_commitment);
        h.sealed_length = (uint32_t)sealed.n;
        wrap(&e->key, &pair, SEAL_RESPONSE, &c, q.node, out->content_key, wrapped);
        h.wrapped_key = yzi_bytes(wrapped, sizeof wrapped);
    }
    if (r->spoil) {
        r->spoil(&h, r->ctx);
    }
    OK(yzi_response_header_write(&h, &header));
    finish(FRAME_RESPONSE, &header, yzi_bytes_buf(&sealed),
           r->sign_with ? r->sign_with : &adapter->signing, out);
}

void yz_world_outcome(struct world *w, struct world_node *broker, const struct frame *request,
                      enum outcome_status status, const char *reason, struct world_message *out)
{
    struct request_header q;
    OK(yzi_request_header_parse(request->header, &q));
    struct outcome_header h = {
        .message_id = q.message_id,
        .node = broker->node,
        .status = status,
        .reason = yzi_bytes_str(reason),
        .directory_version = w->version,
        .issued_at = yz_world_now(w),
    };
    yzi_frame_digest(request->header, request->block, &h.request_digest);
    YZ_AUTO(yzi_buf_fini) yz_buf header;
    yz_world_buf(&header);
    *out = (struct world_message){0};
    OK(yzi_outcome_header_write(&h, &header));
    finish(FRAME_OUTCOME, &header, (yz_bytes){0}, &broker->signing, out);
}

/* -- opening -- */

static void open_with(struct key_pair *mine, const struct seal_pair *pair,
                      enum seal_direction direction, const struct seal_context *c,
                      yz_node_id recipient, yz_bytes wrapped, yz_bytes sealed, yz_buf *out)
{
    uint8_t pair_key[32], content_key[32];
    OK(yzi_seal_pair_key(mine, pair, direction, pair_key));
    OK(yzi_unwrap_key(pair_key, c, recipient, wrapped, content_key));
    OK(yzi_open_payload(content_key, c, sealed, out));
    sodium_memzero(pair_key, sizeof pair_key);
    sodium_memzero(content_key, sizeof content_key);
}

void yz_world_open_request(struct world *w, struct world_node *adapter, const struct frame *request,
                           yz_buf *out_plain)
{
    struct request_header q;
    OK(yzi_request_header_parse(request->header, &q));
    struct epoch *e;
    const struct slot *s = &q.slots[slot_of(&q, adapter->node)];
    (void)yz_world_epoch(w, adapter);
    OK(yzi_epochs_find(adapter->epochs, &s->announcement, &e));
    struct seal_pair pair = pair_of(&q, adapter->node, e);
    struct seal_context c = {FRAME_REQUEST, SUITE_1, q.message_id, q.node, q.service, q.expires_at};
    open_with(&e->key, &pair, SEAL_REQUEST, &c, adapter->node, s->wrapped_key, request->payload,
              out_plain);
}

void yz_world_open_response(struct world *w, struct world_node *client, const struct frame *request,
                            const struct frame *response, yz_buf *out_plain)
{
    struct request_header q;
    struct response_header r;
    OK(yzi_request_header_parse(request->header, &q));
    OK(yzi_response_header_parse(response->header, &r));
    struct world_node *adapter = slot_node(w, &q, r.slot);
    struct epoch *e;
    OK(yzi_epochs_find(adapter->epochs, &q.slots[r.slot].announcement, &e));
    struct seal_pair pair = pair_of(&q, adapter->node, e);
    struct seal_context c = {FRAME_RESPONSE, SUITE_1,   q.message_id,
                             r.node,         q.service, r.expires_at};
    open_with(&client->epoch, &pair, SEAL_RESPONSE, &c, client->node, r.wrapped_key,
              response->payload, out_plain);
}

/* -- tampering -- */

void yz_world_reframe(const struct frame *f, const yz_bytes *block, const yz_bytes *payload,
                      struct world_message *out)
{
    *out = (struct world_message){0};
    yz_world_buf(&out->raw);
    OK(yzi_frame_write(f->kind, f->header, block ? *block : f->block,
                       payload ? *payload : f->payload, f->hop, &out->raw));
    OK(yzi_frame_parse(yzi_bytes_buf(&out->raw), YZ_MESSAGE_MAX, &out->frame));
    yzi_frame_digest(out->frame.header, out->frame.block, &out->digest);
}
