/* SPDX-License-Identifier: Apache-2.0
 *
 * Headers between wire and domain. For each header: check_* states the invariants once, over the
 * domain struct, for parser and writer alike; from_* copies what the generated struct holds;
 * *_write lays the domain struct out for the packer. Unpacking happens in a buffer on the stack
 * that is large enough for every header within its limits, so nothing is allocated.
 */
#include "proto/header.h"

#include "proto/check.h"
#include "proto/message.pb-c.h"
#include "proto/unpack.h"

#define SCRATCH_BYTES 4096
#define SCRATCH(name) _Alignas(max_align_t) uint8_t name[SCRATCH_BYTES]

/* Generously above what a header within its limits holds. */
static const struct prescan_rules signed_rules = {.depth = 3, .elements = 128};
static const struct prescan_rules hop_rules = {.depth = 1, .elements = 64, .skip_unknown = true};

static int unpack(const ProtobufCMessageDescriptor *type, yz_bytes wire,
                  uint8_t scratch[SCRATCH_BYTES], void *out)
{
    YZ_ENSURE(wire.n <= YZ_HEADER_MAX, YZ_ETOOBIG);
    struct room room = yzi_room_fixed(scratch, SCRATCH_BYTES);
    int rc = yzi_unpack(type, wire, &signed_rules, &room, out);
    return rc == YZ_ELIMIT ? YZ_ETOOBIG : rc; /* more elements than any header has */
}

/* -- parts -- */

static int take_digest(ProtobufCBinaryData b, yz_digest *out)
{
    return yzi_copy_fixed(b, out->b, sizeof out->b);
}

static ProtobufCBinaryData give_digest(const yz_digest *d)
{
    return yzi_bin(yzi_bytes_digest(d));
}

static int take_uuid(ProtobufCBinaryData b, yz_uuid *out)
{
    return yzi_copy_fixed(b, out->b, sizeof out->b);
}

static ProtobufCBinaryData give_uuid(const yz_uuid *u)
{
    return yzi_bin(yzi_bytes_uuid(u));
}

static int take_broker(const Yizhan__Wire__BrokerRef *m, struct broker_ref *out)
{
    *out = (struct broker_ref){.node = {yzi_view(m->node)}};
    if (m->checkpoint) {
        out->checkpoint.present = true;
        out->checkpoint.size = m->checkpoint->size;
        out->checkpoint.log = m->checkpoint->log;
        out->checkpoint.signature = yzi_view(m->checkpoint->signature);
        YZ_TRY(take_digest(m->checkpoint->root, &out->checkpoint.root));
        YZ_ENSURE(out->checkpoint.log > 0 && out->checkpoint.signature.n == YZ_SIGNATURE_BYTES,
                  YZ_EMALFORMED);
    }
    return 0;
}

static void give_broker(const struct broker_ref *b, Yizhan__Wire__BrokerRef *m,
                        Yizhan__Wire__Checkpoint *c)
{
    yizhan__wire__broker_ref__init(m);
    m->node = yzi_bin(b->node.v);
    if (b->checkpoint.present) {
        yizhan__wire__checkpoint__init(c);
        c->size = b->checkpoint.size;
        c->root = give_digest(&b->checkpoint.root);
        c->log = b->checkpoint.log;
        c->signature = yzi_bin(b->checkpoint.signature);
        m->checkpoint = c;
    }
}

static int check_broker_id(yz_node_id node)
{
    YZ_TRY(yzi_node_id_parse(node.v, &node));
    return yzi_node_is_broker(node) ? 0 : YZ_EMALFORMED;
}

static int check_member_node(yz_node_id node)
{
    YZ_TRY(yzi_node_id_parse(node.v, &node));
    return yzi_node_is_broker(node) ? YZ_EMALFORMED : 0;
}

static int check_times(uint64_t issued_at, uint64_t expires_at)
{
    YZ_ENSURE(issued_at < expires_at, YZ_EMALFORMED);
    return expires_at - issued_at <= YZ_EXPIRY_MAX_MS ? 0 : YZ_EMALFORMED;
}

static int check_v7(const yz_uuid *u)
{
    return yzi_uuid_is_v7(u) ? 0 : YZ_EMALFORMED;
}

static int check_trace(yz_bytes trace)
{
    return trace.n == 0 || trace.n == YZ_TRACE_BYTES ? 0 : YZ_EMALFORMED;
}

static int check_sealed(uint32_t length)
{
    YZ_ENSURE(length > 0, YZ_EMALFORMED);
    return length <= YZ_MESSAGE_MAX ? 0 : YZ_ETOOBIG;
}

/* -- request -- */

static int check_brokers(const struct broker_ref *brokers, unsigned n)
{
    YZ_ENSURE(n >= 1, YZ_EMALFORMED);
    YZ_ENSURE(n <= YZ_BROKERS_MAX, YZ_ETOOBIG);
    for (unsigned i = 0; i < n; i++) {
        YZ_TRY(check_broker_id(brokers[i].node));
        for (unsigned j = 0; j < i; j++) {
            YZ_ENSURE(!yzi_bytes_eq(brokers[i].node.v, brokers[j].node.v), YZ_EMALFORMED);
        }
    }
    return 0;
}

static int check_slots(const struct slot *slots, unsigned n)
{
    YZ_ENSURE(n >= 1, YZ_EMALFORMED);
    YZ_ENSURE(n <= YZ_SLOTS_MAX, YZ_ETOOBIG);
    for (unsigned i = 0; i < n; i++) {
        YZ_TRY(check_member_node(slots[i].adapter));
        YZ_ENSURE(slots[i].wrapped_key.n == YZ_WRAPPED_KEY_BYTES, YZ_EMALFORMED);
        for (unsigned j = 0; j < i; j++) {
            YZ_ENSURE(!yzi_bytes_eq(slots[i].adapter.v, slots[j].adapter.v), YZ_EMALFORMED);
        }
    }
    return 0;
}

static int check_parties(yz_node_id node, yz_subsystem_id consumer, yz_service_id service)
{
    YZ_TRY(check_member_node(node));
    YZ_TRY(yzi_subsystem_id_parse(consumer.v, &consumer));
    YZ_TRY(yzi_service_id_parse(service.v, &service));
    yz_bytes of_node = yzi_node_member(node).v;
    return yzi_bytes_eq(of_node, yzi_subsystem_member(consumer).v) ? 0 : YZ_EMALFORMED;
}

static int check_request(const struct request_header *h)
{
    YZ_ENSURE(h->suite == SUITE_1, YZ_EVERSION);
    YZ_TRY(check_v7(&h->message_id));
    YZ_TRY(check_v7(&h->conversation_id));
    YZ_TRY(check_parties(h->node, h->consumer, h->service));
    YZ_TRY(check_brokers(h->brokers, h->brokers_n));
    YZ_TRY(check_times(h->issued_at, h->expires_at));
    YZ_TRY(yzi_check_optional(h->purpose, YZ_PURPOSE_MAX, yzi_check_code));
    YZ_TRY(check_slots(h->slots, h->slots_n));
    YZ_TRY(check_sealed(h->sealed_length));
    return check_trace(h->trace);
}

static int take_lists(const Yizhan__Wire__RequestHeader *m, struct request_header *h)
{
    YZ_ENSURE(m->n_brokers <= YZ_BROKERS_MAX && m->n_slots <= YZ_SLOTS_MAX, YZ_ETOOBIG);
    h->brokers_n = (unsigned)m->n_brokers;
    for (unsigned i = 0; i < h->brokers_n; i++) {
        YZ_TRY(take_broker(m->brokers[i], &h->brokers[i]));
    }
    h->slots_n = (unsigned)m->n_slots;
    for (unsigned i = 0; i < h->slots_n; i++) {
        h->slots[i].adapter.v = yzi_view(m->slots[i]->adapter);
        YZ_TRY(take_digest(m->slots[i]->announcement, &h->slots[i].announcement));
        h->slots[i].wrapped_key = yzi_view(m->slots[i]->wrapped_key);
    }
    return 0;
}

static int from_request(const Yizhan__Wire__RequestHeader *m, struct request_header *h)
{
    *h = (struct request_header){
        .suite = m->suite,
        .node = {yzi_view(m->node)},
        .consumer = {yzi_view(m->consumer)},
        .service = {yzi_view(m->service)},
        .issued_at = m->issued_at,
        .expires_at = m->expires_at,
        .directory_version = m->directory_version,
        .sealed_length = m->sealed_length,
    };
    YZ_TRY(take_uuid(m->message_id, &h->message_id));
    YZ_TRY(take_uuid(m->conversation_id, &h->conversation_id));
    YZ_TRY(take_lists(m, h));
    YZ_TRY(yzi_view_optional(m->has_purpose, m->purpose, &h->purpose));
    YZ_TRY(yzi_copy_fixed(m->epoch_key, h->epoch_key, sizeof h->epoch_key));
    YZ_TRY(take_digest(m->sealed_digest, &h->sealed_digest));
    YZ_TRY(take_digest(m->content_commitment, &h->content_commitment));
    return yzi_view_optional(m->has_trace, m->trace, &h->trace);
}

int yzi_request_header_parse(yz_bytes header, struct request_header *out)
{
    SCRATCH(scratch);
    const Yizhan__Wire__RequestHeader *m;
    struct request_header h;
    YZ_TRY(unpack(&yizhan__wire__request_header__descriptor, header, scratch, &m));
    YZ_ENSURE(m->suite == SUITE_1, YZ_EVERSION); /* what follows is this suite's */
    YZ_TRY(from_request(m, &h));
    YZ_TRY(check_request(&h));
    *out = h;
    return 0;
}

/* The lists of a request as the packer wants them; valid as long as this and the header. */
struct request_lists {
    Yizhan__Wire__Checkpoint checkpoints[YZ_BROKERS_MAX];
    Yizhan__Wire__BrokerRef brokers[YZ_BROKERS_MAX], *broker_list[YZ_BROKERS_MAX];
    Yizhan__Wire__Slot slots[YZ_SLOTS_MAX], *slot_list[YZ_SLOTS_MAX];
};

static void give_lists(const struct request_header *h, struct request_lists *l,
                       Yizhan__Wire__RequestHeader *m)
{
    for (unsigned i = 0; i < h->brokers_n; i++) {
        give_broker(&h->brokers[i], &l->brokers[i], &l->checkpoints[i]);
        l->broker_list[i] = &l->brokers[i];
    }
    for (unsigned i = 0; i < h->slots_n; i++) {
        yizhan__wire__slot__init(&l->slots[i]);
        l->slots[i].adapter = yzi_bin(h->slots[i].adapter.v);
        l->slots[i].announcement = give_digest(&h->slots[i].announcement);
        l->slots[i].wrapped_key = yzi_bin(h->slots[i].wrapped_key);
        l->slot_list[i] = &l->slots[i];
    }
    m->n_brokers = h->brokers_n;
    m->brokers = l->broker_list;
    m->n_slots = h->slots_n;
    m->slots = l->slot_list;
}

int yzi_request_header_write(const struct request_header *h, yz_buf *out)
{
    YZ_TRY(yzi_as_argument(check_request(h)));
    struct request_lists lists;
    Yizhan__Wire__RequestHeader m = YIZHAN__WIRE__REQUEST_HEADER__INIT;
    m.suite = h->suite;
    m.message_id = give_uuid(&h->message_id);
    m.conversation_id = give_uuid(&h->conversation_id);
    m.node = yzi_bin(h->node.v);
    m.consumer = yzi_bin(h->consumer.v);
    m.service = yzi_bin(h->service.v);
    give_lists(h, &lists, &m);
    m.issued_at = h->issued_at;
    m.expires_at = h->expires_at;
    m.has_purpose = h->purpose.n > 0;
    m.purpose = yzi_bin(h->purpose);
    m.directory_version = h->directory_version;
    m.epoch_key = yzi_bin(yzi_bytes(h->epoch_key, sizeof h->epoch_key));
    m.sealed_length = h->sealed_length;
    m.sealed_digest = give_digest(&h->sealed_digest);
    m.content_commitment = give_digest(&h->content_commitment);
    m.has_trace = h->trace.n > 0;
    m.trace = yzi_bin(h->trace);
    return yzi_pack(&m.base, YZ_HEADER_MAX, out);
}

/* The first field of that number, if it is bytes and nothing before it is ill-formed. */
static bool peek(yz_bytes header, uint32_t number, yz_bytes *out)
{
    struct wire_field f;
    for (yz_reader r = yzi_reader(header); r.left;) {
        if (yzi_wire_next(&r, &f) < 0) {
            return false;
        }
        if (f.number == number) {
            *out = f.bytes;
            return f.type == WIRE_BYTES;
        }
    }
    return false;
}

bool yzi_request_header_peek_id(yz_bytes header, yz_uuid *out)
{
    enum { MESSAGE_ID = 2 }; /* message.proto */
    yz_bytes bytes;
    yz_uuid id;
    if (!peek(header, MESSAGE_ID, &bytes) || bytes.n != sizeof id.b) {
        return false;
    }
    memcpy(id.b, bytes.p, sizeof id.b);
    if (!yzi_uuid_is_v7(&id)) {
        return false;
    }
    *out = id;
    return true;
}

bool yzi_request_header_peek_service(yz_bytes header, yz_bytes *out)
{
    enum { SERVICE = 6 }; /* message.proto */
    return peek(header, SERVICE, out);
}

/* -- response -- */

/* With stale-key there is nothing sealed, only the announcement to seal to next time. */
static int check_answer(const struct response_header *h)
{
    if (h->status == RESPONSE_STALE_KEY) {
        YZ_ENSURE(h->wrapped_key.n == 0 && h->sealed_length == 0, YZ_EMALFORMED);
        return h->announcement.n > 0 ? 0 : YZ_EMALFORMED;
    }
    YZ_ENSURE(h->wrapped_key.n == YZ_WRAPPED_KEY_BYTES, YZ_EMALFORMED);
    YZ_TRY(check_sealed(h->sealed_length));
    return h->announcement.n == 0 ? 0 : YZ_EMALFORMED;
}

static int check_response(const struct response_header *h)
{
    YZ_ENSURE(h->suite == SUITE_1, YZ_EVERSION);
    YZ_TRY(check_v7(&h->message_id));
    YZ_TRY(check_member_node(h->node));
    YZ_ENSURE(h->slot < YZ_SLOTS_MAX, YZ_EMALFORMED);
    YZ_ENSURE(h->status >= RESPONSE_ANSWERED && h->status <= RESPONSE_STALE_KEY, YZ_EMALFORMED);
    YZ_TRY(check_times(h->issued_at, h->expires_at));
    if (h->has_broker) {
        YZ_TRY(check_broker_id(h->broker.node));
    }
    YZ_TRY(check_answer(h));
    return check_trace(h->trace);
}

/* The digests are there exactly when something is sealed. */
static int take_sealed(const Yizhan__Wire__ResponseHeader *m, struct response_header *h)
{
    YZ_TRY(yzi_view_optional(m->has_wrapped_key, m->wrapped_key, &h->wrapped_key));
    if (h->status == RESPONSE_STALE_KEY) {
        YZ_ENSURE(!m->has_sealed_digest && !m->has_content_commitment, YZ_EMALFORMED);
        return 0;
    }
    /* an absent one has no bytes and so not 32 */
    YZ_TRY(take_digest(m->sealed_digest, &h->sealed_digest));
    return take_digest(m->content_commitment, &h->content_commitment);
}

static int from_response(const Yizhan__Wire__ResponseHeader *m, struct response_header *h)
{
    *h = (struct response_header){
        .suite = m->suite,
        .node = {yzi_view(m->node)},
        .slot = m->slot,
        .status = (enum response_status)m->status,
        .policy_version = m->policy_version,
        .data_version = m->data_version,
        .issued_at = m->issued_at,
        .expires_at = m->expires_at,
        .directory_version = m->directory_version,
        .has_broker = m->broker != NULL,
        .sealed_length = m->sealed_length,
    };
    YZ_TRY(take_uuid(m->message_id, &h->message_id));
    YZ_TRY(take_digest(m->request_digest, &h->request_digest));
    if (m->broker) {
        YZ_TRY(take_broker(m->broker, &h->broker));
    }
    YZ_TRY(take_sealed(m, h));
    YZ_TRY(yzi_view_optional(m->has_trace, m->trace, &h->trace));
    return yzi_view_optional(m->has_announcement, m->announcement, &h->announcement);
}

int yzi_response_header_parse(yz_bytes header, struct response_header *out)
{
    SCRATCH(scratch);
    const Yizhan__Wire__ResponseHeader *m;
    struct response_header h;
    YZ_TRY(unpack(&yizhan__wire__response_header__descriptor, header, scratch, &m));
    YZ_ENSURE(m->suite == SUITE_1, YZ_EVERSION);
    YZ_TRY(from_response(m, &h));
    YZ_TRY(check_response(&h));
    *out = h;
    return 0;
}

int yzi_response_header_write(const struct response_header *h, yz_buf *out)
{
    YZ_TRY(yzi_as_argument(check_response(h)));
    bool sealed = h->status != RESPONSE_STALE_KEY;
    Yizhan__Wire__Checkpoint checkpoint;
    Yizhan__Wire__BrokerRef broker;
    Yizhan__Wire__ResponseHeader m = YIZHAN__WIRE__RESPONSE_HEADER__INIT;
    m.suite = h->suite;
    m.message_id = give_uuid(&h->message_id);
    m.request_digest = give_digest(&h->request_digest);
    m.node = yzi_bin(h->node.v);
    m.slot = h->slot;
    m.status = h->status;
    m.policy_version = h->policy_version;
    m.data_version = h->data_version;
    m.issued_at = h->issued_at;
    m.expires_at = h->expires_at;
    m.directory_version = h->directory_version;
    if (h->has_broker) {
        give_broker(&h->broker, &broker, &checkpoint);
        m.broker = &broker;
    }
    m.has_wrapped_key = sealed;
    m.wrapped_key = yzi_bin(h->wrapped_key);
    m.sealed_length = h->sealed_length;
    m.has_sealed_digest = sealed;
    m.sealed_digest = give_digest(&h->sealed_digest);
    m.has_content_commitment = sealed;
    m.content_commitment = give_digest(&h->content_commitment);
    m.has_trace = h->trace.n > 0;
    m.trace = yzi_bin(h->trace);
    m.has_announcement = h->announcement.n > 0;
    m.announcement = yzi_bin(h->announcement);
    return yzi_pack(&m.base, YZ_HEADER_MAX, out);
}

/* -- outcome -- */

static int check_outcome(const struct outcome_header *h)
{
    YZ_TRY(check_v7(&h->message_id));
    YZ_TRY(check_broker_id(h->node));
    YZ_ENSURE(h->status >= OUTCOME_DENIED && h->status <= OUTCOME_STALE_DIRECTORY, YZ_EMALFORMED);
    YZ_TRY(yzi_check_optional(h->reason, YZ_REASON_MAX, yzi_check_word));
    return yzi_check_optional(h->rule, YZ_RULE_MAX, yzi_check_text);
}

int yzi_outcome_header_parse(yz_bytes header, struct outcome_header *out)
{
    SCRATCH(scratch);
    const Yizhan__Wire__OutcomeHeader *m;
    YZ_TRY(unpack(&yizhan__wire__outcome_header__descriptor, header, scratch, &m));
    struct outcome_header h = {
        .node = {yzi_view(m->node)},
        .status = (enum outcome_status)m->status,
        .directory_version = m->directory_version,
        .issued_at = m->issued_at,
    };
    YZ_TRY(take_uuid(m->message_id, &h.message_id));
    YZ_TRY(take_digest(m->request_digest, &h.request_digest));
    YZ_TRY(yzi_view_optional(m->has_reason, m->reason, &h.reason));
    YZ_TRY(yzi_view_optional(m->has_rule, m->rule, &h.rule));
    YZ_TRY(yzi_number_optional(m->has_retry_after_ms, m->retry_after_ms, &h.retry_after_ms));
    YZ_TRY(check_outcome(&h));
    *out = h;
    return 0;
}

int yzi_outcome_header_write(const struct outcome_header *h, yz_buf *out)
{
    YZ_TRY(yzi_as_argument(check_outcome(h)));
    Yizhan__Wire__OutcomeHeader m = YIZHAN__WIRE__OUTCOME_HEADER__INIT;
    m.message_id = give_uuid(&h->message_id);
    m.request_digest = give_digest(&h->request_digest);
    m.node = yzi_bin(h->node.v);
    m.status = h->status;
    m.has_reason = h->reason.n > 0;
    m.reason = yzi_bin(h->reason);
    m.directory_version = h->directory_version;
    m.has_rule = h->rule.n > 0;
    m.rule = yzi_bin(h->rule);
    m.has_retry_after_ms = h->retry_after_ms > 0;
    m.retry_after_ms = h->retry_after_ms;
    m.issued_at = h->issued_at;
    return yzi_pack(&m.base, YZ_HEADER_MAX, out);
}

/* -- the checkpoint in a hello -- */

int yzi_seen_parse(yz_bytes bytes, struct checkpoint_ref *out)
{
    YZ_ENSURE(bytes.n == YZ_SEEN_BYTES, YZ_EMALFORMED);
    yz_reader r = yzi_reader(bytes);
    struct checkpoint_ref c = {.present = true};
    YZ_TRY(yzi_read_u64(&r, &c.log));
    YZ_TRY(yzi_read_u64(&r, &c.size));
    YZ_TRY(yzi_read_into(&r, c.root.b, sizeof c.root));
    YZ_TRY(yzi_read_bytes(&r, YZ_SIGNATURE_BYTES, &c.signature));
    YZ_ENSURE(c.log > 0, YZ_EMALFORMED);
    *out = c;
    return 0;
}

void yzi_seen_write(const struct checkpoint_ref *c, uint8_t out[YZ_SEEN_BYTES])
{
    YZ_ASSERT(c->signature.n == YZ_SIGNATURE_BYTES);
    yzi_store_u64(out, c->log);
    yzi_store_u64(out + 8, c->size);
    memcpy(out + 16, c->root.b, sizeof c->root);
    memcpy(out + 48, c->signature.p, YZ_SIGNATURE_BYTES);
}

/* -- hop -- */

int yzi_hop_parse(yz_bytes hop, struct hop *out)
{
    SCRATCH(scratch);
    struct room room = yzi_room_fixed(scratch, sizeof scratch);
    const Yizhan__Wire__Hop *m;
    struct hop h = {0};
    YZ_ENSURE(hop.n <= YZ_HOP_MAX, YZ_ETOOBIG);
    int rc = yzi_unpack(&yizhan__wire__hop__descriptor, hop, &hop_rules, &room, &m);
    YZ_TRY(rc == YZ_ELIMIT ? YZ_ETOOBIG : rc);
    h.has_time_left = m->has_time_left_ms;
    h.time_left_ms = m->has_time_left_ms ? m->time_left_ms : 0;
    YZ_TRY(yzi_view_optional(m->has_receipt, m->receipt, &h.receipt));
    *out = h;
    return 0;
}

int yzi_hop_write(const struct hop *h, yz_buf *out)
{
    Yizhan__Wire__Hop m = YIZHAN__WIRE__HOP__INIT;
    m.has_time_left_ms = h->has_time_left;
    m.time_left_ms = h->time_left_ms;
    m.has_receipt = h->receipt.n > 0;
    m.receipt = yzi_bin(h->receipt);
    return yzi_pack(&m.base, YZ_HOP_MAX, out);
}
