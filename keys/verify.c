/* SPDX-License-Identifier: Apache-2.0
 *
 * The ladder. Each function below is one rung; their order in yzi_request_admit and
 * yzi_request_verify is part of the protocol (docs/protocol.md, "Admission"), because it decides
 * what a sender who is wrong in two ways is told, and how little an attacker can make us compute:
 * the public-key work comes after everything that is cheap, the hash of the payload after that.
 */
#include "keys/verify.h"

#include <sodium.h>

static struct verdict refuse(enum outcome_status status, const char *reason)
{
    return (struct verdict){.status = status, .reason = reason};
}

static const struct verdict accepted = {0};

static bool refused(struct verdict v)
{
    return v.status != 0;
}

/* t <= now + skew and now <= until + skew, without overflow. */
static bool is_from_future(const struct judge *j, uint64_t t)
{
    return t > j->now && t - j->now > j->skew_ms;
}

static bool is_over(const struct judge *j, uint64_t until)
{
    return j->now > until && j->now - until > j->skew_ms;
}

static bool same_node(yz_node_id a, yz_node_id b)
{
    return yzi_bytes_eq(a.v, b.v);
}

/* -- what all messages share -- */

/* Signature block over the header by a key of the node. YZ_EMALFORMED, YZ_EVERSION (the block),
 * YZ_EUNKNOWNKEY, YZ_EEXPIRED (the key), YZ_ESIGNATURE. */
static int check_block(const struct judge *j, struct root_memory *memory, const struct frame *f,
                       const struct directory_node *node)
{
    struct signature_block b;
    YZ_TRY(yzi_block_parse(f->block, &b));
    YZ_TRY(yzi_directory_may_sign(j->directory, node, b.key.p, j->now));
    return yzi_verify_message(memory, f->kind, f->header, &b);
}

static bool has_digest(yz_bytes payload, const yz_digest *want)
{
    yz_digest digest;
    crypto_generichash(digest.b, sizeof digest.b, payload.p, payload.n, NULL, 0);
    return yzi_digest_eq(&digest, want);
}

/* -- requests -- */

static struct verdict check_header(const struct frame *f, struct verified_request *out)
{
    if (f->kind != FRAME_REQUEST) {
        return refuse(OUTCOME_MALFORMED, "kind");
    }
    int rc = yzi_request_header_parse(f->header, &out->header);
    if (rc == YZ_EVERSION) {
        return refuse(OUTCOME_MALFORMED, "version");
    }
    if (rc == YZ_ETOOBIG) {
        return refuse(OUTCOME_TOO_LARGE, "header");
    }
    return rc < 0 ? refuse(OUTCOME_MALFORMED, "header") : accepted;
}

static struct verdict check_sender(const struct judge *j, const struct directory_node *peer,
                                   struct verified_request *out)
{
    bool revoked = false;
    int rc =
        yzi_directory_node(j->directory, out->header.node, j->now, &out->consumer_node, &revoked);
    if (rc < 0) {
        return refuse(OUTCOME_WRONG_SENDER, rc == YZ_EEXPIRED ? "node-expired"
                                            : revoked         ? "node-revoked"
                                                              : "node-unknown");
    }
    if (out->consumer_node.role != ROLE_CLIENT) {
        return refuse(OUTCOME_WRONG_SENDER, "role");
    }
    if (peer && !same_node(peer->node, out->header.node)) {
        return refuse(OUTCOME_WRONG_SENDER, "peer");
    }
    if (!yzi_directory_speaks_for(&out->consumer_node, out->header.consumer)) {
        return refuse(OUTCOME_WRONG_SENDER, "subsystem");
    }
    return accepted;
}

static struct verdict check_times(const struct judge *j, const struct request_header *h)
{
    if (is_from_future(j, h->issued_at)) {
        return refuse(OUTCOME_EXPIRED, "not-yet");
    }
    if (is_over(j, h->expires_at)) {
        return refuse(OUTCOME_EXPIRED, "expired");
    }
    uint64_t id_time = yzi_uuid_time_ms(&h->message_id);
    uint64_t apart = id_time > h->issued_at ? id_time - h->issued_at : h->issued_at - id_time;
    if (apart > j->skew_ms) {
        return refuse(OUTCOME_MALFORMED, "id-time");
    }
    return accepted;
}

struct verdict yzi_request_admit(const struct judge *j, const struct frame *f,
                                 const struct directory_node *peer, struct verified_request *out)
{
    struct verified_request r = {.frame = *f};
    yzi_frame_digest(f->header, f->block, &r.digest);
    struct verdict v = check_header(f, &r);
    if (!refused(v) &&
        !yzi_bytes_eq(yzi_id_instance(r.header.service.v), yzi_directory_instance(j->directory))) {
        v = refuse(OUTCOME_UNKNOWN_SERVICE, "instance");
    }
    if (!refused(v)) {
        v = check_sender(j, peer, &r);
    }
    if (!refused(v)) {
        v = check_times(j, &r.header);
    }
    *out = r;
    return v;
}

struct verdict yzi_request_verify(const struct judge *j, struct root_memory *memory,
                                  const struct verified_request *r)
{
    switch (check_block(j, memory, &r->frame, &r->consumer_node)) {
    case 0:
        break;
    case YZ_EUNKNOWNKEY:
        return refuse(OUTCOME_BAD_SIGNATURE, "key");
    case YZ_EEXPIRED:
        return refuse(OUTCOME_BAD_SIGNATURE, "key-expired");
    case YZ_ESIGNATURE:
        return refuse(OUTCOME_BAD_SIGNATURE, "signature");
    default:
        return refuse(OUTCOME_MALFORMED, "block");
    }
    if (r->frame.payload.n != r->header.sealed_length) {
        return refuse(OUTCOME_MALFORMED, "length");
    }
    if (!has_digest(r->frame.payload, &r->header.sealed_digest)) {
        return refuse(OUTCOME_MALFORMED, "digest");
    }
    return accepted;
}

/* -- responses -- */

/* That it answers this request and comes from the slot it says. */
static int check_binding(const struct response_header *h, const struct request_header *request,
                         const yz_digest *request_digest, const struct directory_node *peer)
{
    YZ_ENSURE(h->suite == request->suite, YZ_EVERSION);
    YZ_ENSURE(yzi_uuid_eq(&h->message_id, &request->message_id), YZ_EDENIED);
    YZ_ENSURE(yzi_digest_eq(&h->request_digest, request_digest), YZ_EDENIED);
    YZ_ENSURE(h->slot < request->slots_n, YZ_EDENIED);
    YZ_ENSURE(same_node(request->slots[h->slot].adapter, h->node), YZ_EDENIED);
    YZ_ENSURE(!peer || same_node(peer->node, h->node), YZ_EDENIED);
    return 0;
}

static int check_provider(const struct judge *j, const struct response_header *h,
                          const struct request_header *request, struct directory_node *out)
{
    YZ_TRY(yzi_directory_node(j->directory, h->node, j->now, out, NULL));
    YZ_ENSURE(out->role == ROLE_ADAPTER, YZ_EUNKNOWNKEY);
    yz_subsystem_id provider = yzi_service_subsystem(request->service);
    YZ_ENSURE(yzi_directory_speaks_for(out, provider), YZ_EDENIED);
    return 0;
}

static int check_response_payload(const struct frame *f, const struct response_header *h)
{
    YZ_ENSURE(f->payload.n == h->sealed_length, YZ_EMALFORMED);
    if (h->status == RESPONSE_STALE_KEY) {
        return 0; /* nothing is sealed, and the header's parser saw to it that it says so */
    }
    YZ_ENSURE(has_digest(f->payload, &h->sealed_digest), YZ_ESIGNATURE);
    return 0;
}

int yzi_response_verify(const struct judge *j, struct root_memory *memory, const struct frame *f,
                        const struct request_header *request, const yz_digest *request_digest,
                        const struct directory_node *peer, struct verified_response *out)
{
    struct verified_response r = {.frame = *f};
    YZ_ENSURE(f->kind == FRAME_RESPONSE, YZ_EMALFORMED);
    YZ_TRY(yzi_response_header_parse(f->header, &r.header));
    YZ_TRY(check_binding(&r.header, request, request_digest, peer));
    YZ_TRY(check_provider(j, &r.header, request, &r.adapter_node));
    YZ_ENSURE(!is_from_future(j, r.header.issued_at), YZ_EEXPIRED);
    YZ_ENSURE(!is_over(j, r.header.expires_at), YZ_EEXPIRED);
    YZ_TRY(check_block(j, memory, f, &r.adapter_node));
    YZ_TRY(check_response_payload(f, &r.header));
    yzi_frame_digest(f->header, f->block, &r.digest);
    *out = r;
    return 0;
}

/* -- outcomes -- */

static bool names_broker(const struct request_header *request, yz_node_id node)
{
    for (unsigned i = 0; i < request->brokers_n; i++) {
        if (same_node(request->brokers[i].node, node)) {
            return true;
        }
    }
    return false;
}

int yzi_outcome_verify(const struct judge *j, const struct frame *f,
                       const struct request_header *request, const yz_digest *request_digest,
                       struct verified_outcome *out)
{
    struct verified_outcome o = {.frame = *f};
    struct directory_node broker;
    YZ_ENSURE(f->kind == FRAME_OUTCOME, YZ_EMALFORMED);
    YZ_TRY(yzi_outcome_header_parse(f->header, &o.header));
    YZ_ENSURE(yzi_uuid_eq(&o.header.message_id, &request->message_id), YZ_EDENIED);
    YZ_ENSURE(yzi_digest_eq(&o.header.request_digest, request_digest), YZ_EDENIED);
    YZ_ENSURE(names_broker(request, o.header.node), YZ_EDENIED);
    YZ_TRY(yzi_directory_node(j->directory, o.header.node, j->now, &broker, NULL));
    YZ_ENSURE(broker.role == ROLE_BROKER, YZ_EUNKNOWNKEY);
    YZ_ENSURE(!is_from_future(j, o.header.issued_at), YZ_EEXPIRED);
    YZ_TRY(check_block(j, NULL, f, &broker));
    yzi_frame_digest(f->header, f->block, &o.digest);
    *out = o;
    return 0;
}

/* -- announcements -- */

/* A key among the signatures that may sign for the node now; that all signatures are right. */
static int check_record_signer(const struct judge *j, const struct record *r,
                               const struct directory_node *node)
{
    int rc = YZ_ESIGNATURE;
    for (unsigned i = 0; i < r->signatures_n; i++) {
        uint8_t key[1][32];
        memcpy(key[0], r->signatures[i].key.p, sizeof key[0]);
        int may = yzi_directory_may_sign(j->directory, node, key[0], j->now);
        if (may == 0) {
            return yzi_record_verify(r, (const uint8_t(*)[32])key, 1, 1);
        }
        rc = rc == YZ_EEXPIRED ? rc : may;
    }
    return rc;
}

static int check_life(const struct judge *j, const struct announcement *a)
{
    YZ_ENSURE(a->not_after > a->not_before, YZ_EMALFORMED);
    YZ_ENSURE(a->not_after - a->not_before <= EPOCH_LIFE_MS + 2u * YZ_SKEW_MS, YZ_EMALFORMED);
    YZ_ENSURE(!is_from_future(j, a->not_before), YZ_EEXPIRED);
    YZ_ENSURE(j->now < a->not_after, YZ_EEXPIRED);
    return 0;
}

int yzi_announcement_verify(const struct judge *j, yz_bytes record, struct arena *arena,
                            struct announcement *out, yz_digest *out_digest)
{
    struct record r;
    struct announcement a;
    struct directory_node node;
    YZ_TRY(yzi_record_parse(record, &r));
    YZ_ENSURE(r.kind == RECORD_ANNOUNCEMENT, YZ_EMALFORMED);
    YZ_TRY(yzi_announcement_parse(r.body, arena, &a));
    YZ_ENSURE(a.suite == SUITE_1, YZ_EVERSION);
    YZ_TRY(check_life(j, &a));
    YZ_TRY(yzi_directory_node(j->directory, a.node, j->now, &node, NULL));
    YZ_ENSURE(node.role == ROLE_ADAPTER, YZ_EUNKNOWNKEY);
    YZ_TRY(check_record_signer(j, &r, &node));
    yzi_record_digest(record, out_digest);
    *out = a;
    return 0;
}
