/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies that say who exists and with which keys: root statement, member, member set, broker,
 * revocation, node request. Within one body no key stands twice, in whatever place: a key has one
 * use and one holder, and no authority does another's work.
 */
#include "proto/record_part.h"

/* A broker's id of this instance. */
static int read_broker_id(ProtobufCBinaryData b, yz_bytes instance, yz_node_id *out)
{
    YZ_TRY(yzi_node_id_parse(yzi_view(b), out));
    YZ_ENSURE(yzi_node_is_broker(*out), YZ_EMALFORMED);
    return yzi_check_instance(out->v, instance);
}

/* Keys without validity, at least one. */
static int read_plain_keys(struct record_reader *r, const ProtobufCBinaryData *v, size_t n,
                           struct bag *all, uint8_t (**out)[32])
{
    YZ_TRY(yzi_check_count(n, 1, YZ_ROOT_KEYS_MAX));
    YZ_TRY(yzi_arena_new(r->keep, n, sizeof **out, out));
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(yzi_read_key(v[i], all, (*out)[i]));
    }
    return 0;
}

static int wire_plain_keys(struct arena *scratch, uint8_t (*in)[32], size_t n, size_t *out_n,
                           ProtobufCBinaryData **out)
{
    YZ_TRY(yzi_arena_new(scratch, n, sizeof **out, out));
    for (size_t i = 0; i < n; i++) {
        (*out)[i] = yzi_bin(yzi_bytes(in[i], sizeof in[i]));
    }
    *out_n = n;
    return 0;
}

/* -- root statement -- */

static int read_root_broker(struct record_reader *r, const Yizhan__Wire__RootBroker *w,
                            yz_bytes instance, struct bag *keys, struct root_broker *out)
{
    YZ_TRY(read_broker_id(w->node, instance, &out->node));
    YZ_TRY(yzi_read_keys(r, w->transport, w->n_transport, 1, keys, &out->transport));
    YZ_TRY(yzi_read_keys(r, w->signing, w->n_signing, 1, keys, &out->signing));
    return yzi_read_keys(r, w->log, w->n_log, 1, keys, &out->log);
}

static int read_root_brokers(struct record_reader *r, const Yizhan__Wire__RootStatement *w,
                             struct bag *keys, struct root_statement *out)
{
    struct bag ids = {.arena = &r->scratch};
    YZ_TRY(yzi_check_count(w->n_brokers, 0, YZ_ROOT_BROKERS_MAX));
    YZ_TRY(yzi_arena_new(r->keep, w->n_brokers, sizeof *out->brokers, &out->brokers));
    for (size_t i = 0; i < w->n_brokers; i++) {
        YZ_TRY(read_root_broker(r, w->brokers[i], out->instance, keys, &out->brokers[i]));
        YZ_TRY(yzi_bag_add(&ids, out->brokers[i].node.v));
    }
    out->brokers_n = w->n_brokers;
    return yzi_bag_close(&ids);
}

static int read_root_statement(struct record_reader *r, const Yizhan__Wire__RootStatement *w,
                               struct root_statement *out)
{
    struct bag keys = {.arena = &r->scratch};
    out->instance = yzi_view(w->instance);
    YZ_TRY(yzi_segment_check(out->instance));
    YZ_ENSURE(w->version > 0 && w->issued_at > 0, YZ_EMALFORMED);
    out->version = w->version;
    out->issued_at = w->issued_at;
    YZ_TRY(read_plain_keys(r, w->root_keys, w->n_root_keys, &keys, &out->root_keys));
    out->root_keys_n = w->n_root_keys;
    YZ_TRY(read_plain_keys(r, w->operator_keys, w->n_operator_keys, &keys, &out->operator_keys));
    out->operator_keys_n = w->n_operator_keys;
    YZ_ENSURE(w->root_threshold >= 1 && w->root_threshold <= w->n_root_keys, YZ_EMALFORMED);
    out->root_threshold = w->root_threshold;
    YZ_ENSURE(w->operator_threshold >= 1 && w->operator_threshold <= w->n_operator_keys,
              YZ_EMALFORMED);
    out->operator_threshold = w->operator_threshold;
    YZ_TRY(yzi_read_key(w->freshness_key, &keys, out->freshness_key));
    YZ_TRY(read_root_brokers(r, w, &keys, out));
    return yzi_bag_close(&keys);
}

int yzi_root_statement_parse(yz_bytes body, struct arena *a, struct root_statement *out)
{
    YZ_AUTO(yzi_record_reader_fini) struct record_reader r = {0};
    const Yizhan__Wire__RootStatement *w;
    struct root_statement parsed = {0};
    YZ_TRY(yzi_record_unpack(&r, a, &yizhan__wire__root_statement__descriptor, body, &w));
    YZ_TRY(read_root_statement(&r, w, &parsed));
    *out = parsed;
    return 0;
}

static int wire_root_brokers(struct arena *a, const struct root_statement *in,
                             Yizhan__Wire__RootStatement *w)
{
    YZ_TRY(yzi_wire_list(a, &yizhan__wire__root_broker__descriptor, in->brokers_n, &w->brokers));
    w->n_brokers = in->brokers_n;
    for (size_t i = 0; i < in->brokers_n; i++) {
        const struct root_broker *b = &in->brokers[i];
        Yizhan__Wire__RootBroker *to = w->brokers[i];
        to->node = yzi_bin(b->node.v);
        YZ_TRY(yzi_wire_keys(a, &b->transport, &to->n_transport, &to->transport));
        YZ_TRY(yzi_wire_keys(a, &b->signing, &to->n_signing, &to->signing));
        YZ_TRY(yzi_wire_keys(a, &b->log, &to->n_log, &to->log));
    }
    return 0;
}

int yzi_root_statement_write(const struct root_statement *in, yz_buf *out)
{
    YZ_AUTO(yzi_arena_fini) struct arena a = {0};
    yzi_record_writer_init(&a);
    Yizhan__Wire__RootStatement w = YIZHAN__WIRE__ROOT_STATEMENT__INIT;
    w.instance = yzi_bin(in->instance);
    w.version = in->version;
    w.issued_at = in->issued_at;
    YZ_TRY(wire_plain_keys(&a, in->root_keys, in->root_keys_n, &w.n_root_keys, &w.root_keys));
    w.root_threshold = in->root_threshold;
    YZ_TRY(wire_plain_keys(&a, in->operator_keys, in->operator_keys_n, &w.n_operator_keys,
                           &w.operator_keys));
    w.operator_threshold = in->operator_threshold;
    w.freshness_key = yzi_bin(yzi_bytes(in->freshness_key, sizeof in->freshness_key));
    YZ_TRY(wire_root_brokers(&a, in, &w));
    return yzi_record_pack(RECORD_ROOT, &w.base, out);
}

/* -- member -- */

int yzi_member_record_parse(yz_bytes body, struct arena *a, struct member_record *out)
{
    YZ_AUTO(yzi_record_reader_fini) struct record_reader r = {0};
    const Yizhan__Wire__Member *w;
    struct member_record parsed = {0};
    YZ_TRY(yzi_record_unpack(&r, a, &yizhan__wire__member__descriptor, body, &w));
    struct bag keys = {.arena = &r.scratch};
    YZ_TRY(yzi_member_id_parse(yzi_view(w->member), &parsed.member));
    YZ_TRY(yzi_read_optional(w->has_name, w->name, YZ_LABEL_MAX, yzi_check_text, &parsed.name));
    YZ_TRY(yzi_read_keys(&r, w->keys, w->n_keys, 1, &keys, &parsed.keys));
    YZ_TRY(yzi_bag_close(&keys));
    *out = parsed;
    return 0;
}

int yzi_member_record_write(const struct member_record *in, yz_buf *out)
{
    YZ_AUTO(yzi_arena_fini) struct arena a = {0};
    yzi_record_writer_init(&a);
    Yizhan__Wire__Member w = YIZHAN__WIRE__MEMBER__INIT;
    w.member = yzi_bin(in->member.v);
    w.has_name = in->name.n > 0;
    w.name = yzi_bin(in->name);
    YZ_TRY(yzi_wire_keys(&a, &in->keys, &w.n_keys, &w.keys));
    return yzi_record_pack(RECORD_MEMBER, &w.base, out);
}

/* -- member set -- */

static int read_subsystems(struct record_reader *r, const Yizhan__Wire__MemberSet *w,
                           struct bag *codes, struct member_set *out)
{
    YZ_TRY(yzi_check_count(w->n_subsystems, 0, YZ_SUBSYSTEMS_MAX));
    YZ_TRY(yzi_arena_new(r->keep, w->n_subsystems, sizeof *out->subsystems, &out->subsystems));
    for (size_t i = 0; i < w->n_subsystems; i++) {
        const Yizhan__Wire__Subsystem *from = w->subsystems[i];
        struct subsystem_record *to = &out->subsystems[i];
        to->code = yzi_view(from->code);
        YZ_TRY(yzi_segment_check(to->code));
        YZ_TRY(
            yzi_read_optional(from->has_name, from->name, YZ_LABEL_MAX, yzi_check_text, &to->name));
        YZ_TRY(yzi_bag_add(codes, to->code));
    }
    out->subsystems_n = w->n_subsystems;
    return yzi_bag_close(codes);
}

static int read_node(struct record_reader *r, const Yizhan__Wire__Node *w, yz_member_id member,
                     const struct bag *codes, struct bag *keys, struct node_record *out)
{
    YZ_TRY(yzi_node_id_parse(yzi_view(w->node), &out->node));
    YZ_ENSURE(!yzi_node_is_broker(out->node), YZ_EMALFORMED);
    YZ_ENSURE(yzi_bytes_eq(yzi_node_member(out->node).v, member.v), YZ_EMALFORMED);
    YZ_TRY(yzi_check_range(w->role, ROLE_ADAPTER, ROLE_CLIENT));
    out->role = (enum node_role)w->role;
    YZ_TRY(yzi_read_keys(r, w->signing, w->n_signing, 1, keys, &out->signing));
    YZ_TRY(yzi_read_keys(r, w->transport, w->n_transport, 1, keys, &out->transport));
    YZ_TRY(yzi_read_names(r, w->subsystems, w->n_subsystems, YZ_SUBSYSTEMS_MAX, yzi_check_segment,
                          YZ_SEGMENT_MAX, &out->subsystems));
    for (size_t i = 0; i < out->subsystems.n; i++) {
        YZ_ENSURE(yzi_bag_has(codes, out->subsystems.items[i]), YZ_EMALFORMED);
    }
    return 0;
}

static int read_nodes(struct record_reader *r, const Yizhan__Wire__MemberSet *w,
                      const struct bag *codes, struct bag *keys, struct member_set *out)
{
    struct bag ids = {.arena = &r->scratch};
    YZ_TRY(yzi_check_count(w->n_nodes, 0, YZ_MEMBER_NODES_MAX));
    YZ_TRY(yzi_arena_new(r->keep, w->n_nodes, sizeof *out->nodes, &out->nodes));
    for (size_t i = 0; i < w->n_nodes; i++) {
        YZ_TRY(read_node(r, w->nodes[i], out->member, codes, keys, &out->nodes[i]));
        YZ_TRY(yzi_bag_add(&ids, out->nodes[i].node.v));
    }
    out->nodes_n = w->n_nodes;
    return yzi_bag_close(&ids);
}

static int read_member_set(struct record_reader *r, const Yizhan__Wire__MemberSet *w,
                           struct member_set *out)
{
    struct bag keys = {.arena = &r->scratch}, codes = {.arena = &r->scratch};
    YZ_TRY(yzi_member_id_parse(yzi_view(w->member), &out->member));
    YZ_ENSURE(w->version > 0 && w->issued_at > 0, YZ_EMALFORMED);
    out->version = w->version;
    out->issued_at = w->issued_at;
    YZ_TRY(yzi_read_keys(r, w->owner_keys, w->n_owner_keys, 0, &keys, &out->owner_keys));
    YZ_TRY(read_subsystems(r, w, &codes, out));
    YZ_TRY(read_nodes(r, w, &codes, &keys, out));
    return yzi_bag_close(&keys);
}

int yzi_member_set_parse(yz_bytes body, struct arena *a, struct member_set *out)
{
    YZ_AUTO(yzi_record_reader_fini) struct record_reader r = {0};
    const Yizhan__Wire__MemberSet *w;
    struct member_set parsed = {0};
    YZ_TRY(yzi_record_unpack(&r, a, &yizhan__wire__member_set__descriptor, body, &w));
    YZ_TRY(read_member_set(&r, w, &parsed));
    *out = parsed;
    return 0;
}

static int wire_subsystems(struct arena *a, const struct member_set *in, Yizhan__Wire__MemberSet *w)
{
    YZ_TRY(
        yzi_wire_list(a, &yizhan__wire__subsystem__descriptor, in->subsystems_n, &w->subsystems));
    w->n_subsystems = in->subsystems_n;
    for (size_t i = 0; i < in->subsystems_n; i++) {
        const struct subsystem_record *from = &in->subsystems[i];
        w->subsystems[i]->code = yzi_bin(from->code);
        w->subsystems[i]->has_name = from->name.n > 0;
        w->subsystems[i]->name = yzi_bin(from->name);
    }
    return 0;
}

static int wire_nodes(struct arena *a, const struct member_set *in, Yizhan__Wire__MemberSet *w)
{
    YZ_TRY(yzi_wire_list(a, &yizhan__wire__node__descriptor, in->nodes_n, &w->nodes));
    w->n_nodes = in->nodes_n;
    for (size_t i = 0; i < in->nodes_n; i++) {
        const struct node_record *from = &in->nodes[i];
        Yizhan__Wire__Node *to = w->nodes[i];
        to->node = yzi_bin(from->node.v);
        to->role = from->role;
        YZ_TRY(yzi_wire_keys(a, &from->signing, &to->n_signing, &to->signing));
        YZ_TRY(yzi_wire_keys(a, &from->transport, &to->n_transport, &to->transport));
        YZ_TRY(yzi_wire_names(a, &from->subsystems, &to->n_subsystems, &to->subsystems));
    }
    return 0;
}

int yzi_member_set_write(const struct member_set *in, yz_buf *out)
{
    YZ_AUTO(yzi_arena_fini) struct arena a = {0};
    yzi_record_writer_init(&a);
    Yizhan__Wire__MemberSet w = YIZHAN__WIRE__MEMBER_SET__INIT;
    w.member = yzi_bin(in->member.v);
    w.version = in->version;
    w.issued_at = in->issued_at;
    YZ_TRY(yzi_wire_keys(&a, &in->owner_keys, &w.n_owner_keys, &w.owner_keys));
    YZ_TRY(wire_subsystems(&a, in, &w));
    YZ_TRY(wire_nodes(&a, in, &w));
    return yzi_record_pack(RECORD_MEMBER_SET, &w.base, out);
}

/* -- broker -- */

/* The same address may carry two keys, one after the other, and a key may be reached at two
 * addresses; only the pair must not be said twice. */
static int read_endpoints(struct record_reader *r, const Yizhan__Wire__Broker *w,
                          struct broker_record *out)
{
    struct bag pairs = {.arena = &r->scratch}, keys = {.arena = &r->scratch};
    YZ_TRY(yzi_check_count(w->n_endpoints, 1, YZ_ENDPOINTS_MAX));
    YZ_TRY(yzi_arena_new(r->keep, w->n_endpoints, sizeof *out->endpoints, &out->endpoints));
    for (size_t i = 0; i < w->n_endpoints; i++) {
        const Yizhan__Wire__Endpoint *from = w->endpoints[i];
        struct endpoint *to = &out->endpoints[i];
        to->address = yzi_view(from->address);
        YZ_TRY(yzi_check_address(to->address, YZ_ADDRESS_MAX));
        YZ_TRY(yzi_read_validity(from->transport, &keys, &to->transport));
        uint8_t *pair;
        size_t n = to->address.n + sizeof to->transport.key;
        YZ_TRY(yzi_arena_new(&r->scratch, n, 1, &pair));
        memcpy(pair, to->address.p, to->address.n);
        memcpy(pair + to->address.n, to->transport.key, sizeof to->transport.key);
        YZ_TRY(yzi_bag_add(&pairs, yzi_bytes(pair, n)));
    }
    out->endpoints_n = w->n_endpoints;
    return yzi_bag_close(&pairs);
}

int yzi_broker_record_parse(yz_bytes body, struct arena *a, struct broker_record *out)
{
    YZ_AUTO(yzi_record_reader_fini) struct record_reader r = {0};
    const Yizhan__Wire__Broker *w;
    struct broker_record parsed = {0};
    YZ_TRY(yzi_record_unpack(&r, a, &yizhan__wire__broker__descriptor, body, &w));
    YZ_TRY(yzi_node_id_parse(yzi_view(w->node), &parsed.node));
    YZ_ENSURE(yzi_node_is_broker(parsed.node), YZ_EMALFORMED);
    YZ_TRY(yzi_read_optional(w->has_name, w->name, YZ_LABEL_MAX, yzi_check_text, &parsed.name));
    YZ_TRY(read_endpoints(&r, w, &parsed));
    *out = parsed;
    return 0;
}

int yzi_broker_record_write(const struct broker_record *in, yz_buf *out)
{
    YZ_AUTO(yzi_arena_fini) struct arena a = {0};
    yzi_record_writer_init(&a);
    Yizhan__Wire__Broker w = YIZHAN__WIRE__BROKER__INIT;
    w.node = yzi_bin(in->node.v);
    w.has_name = in->name.n > 0;
    w.name = yzi_bin(in->name);
    Yizhan__Wire__Validity **keys;
    YZ_TRY(yzi_wire_list(&a, &yizhan__wire__validity__descriptor, in->endpoints_n, &keys));
    YZ_TRY(yzi_wire_list(&a, &yizhan__wire__endpoint__descriptor, in->endpoints_n, &w.endpoints));
    w.n_endpoints = in->endpoints_n;
    for (size_t i = 0; i < in->endpoints_n; i++) {
        const struct endpoint *from = &in->endpoints[i];
        w.endpoints[i]->address = yzi_bin(from->address);
        w.endpoints[i]->transport = keys[i];
        keys[i]->key = yzi_bin(yzi_bytes(from->transport.key, sizeof from->transport.key));
        keys[i]->not_before = from->transport.not_before;
        keys[i]->not_after = from->transport.not_after;
    }
    return yzi_record_pack(RECORD_BROKER, &w.base, out);
}

/* -- revocation -- */

int yzi_revocation_parse(yz_bytes body, struct arena *a, struct revocation *out)
{
    YZ_AUTO(yzi_record_reader_fini) struct record_reader r = {0};
    const Yizhan__Wire__Revocation *w;
    struct revocation parsed = {0};
    YZ_TRY(yzi_record_unpack(&r, a, &yizhan__wire__revocation__descriptor, body, &w));
    YZ_ENSURE(!!w->has_node + !!w->has_key + !!w->has_member == 1, YZ_EMALFORMED);
    if (w->has_node) {
        yz_node_id node;
        YZ_TRY(yzi_node_id_parse(yzi_view(w->node), &node));
        parsed.node = node.v;
    }
    if (w->has_member) {
        yz_member_id member;
        YZ_TRY(yzi_member_id_parse(yzi_view(w->member), &member));
        parsed.member = member.v;
    }
    if (w->has_key) {
        struct bag keys = {.arena = &r.scratch};
        YZ_TRY(yzi_read_key(w->key, &keys, parsed.key));
        parsed.has_key = true;
    }
    YZ_ENSURE(w->at > 0, YZ_EMALFORMED);
    parsed.at = w->at;
    YZ_TRY(
        yzi_read_optional(w->has_reason, w->reason, YZ_LABEL_MAX, yzi_check_text, &parsed.reason));
    *out = parsed;
    return 0;
}

int yzi_revocation_write(const struct revocation *in, yz_buf *out)
{
    Yizhan__Wire__Revocation w = YIZHAN__WIRE__REVOCATION__INIT;
    w.has_node = in->node.n > 0;
    w.node = yzi_bin(in->node);
    w.has_member = in->member.n > 0;
    w.member = yzi_bin(in->member);
    w.has_key = in->has_key;
    w.key = yzi_bin(yzi_bytes(in->key, sizeof in->key));
    w.at = in->at;
    w.has_reason = in->reason.n > 0;
    w.reason = yzi_bin(in->reason);
    return yzi_record_pack(RECORD_REVOCATION, &w.base, out);
}

/* -- node request -- */

/* Brokers and the others ask for different things. */
static int check_request_role(const Yizhan__Wire__NodeRequest *w, yz_node_id node)
{
    YZ_TRY(yzi_check_range(w->role, ROLE_BROKER, ROLE_CLIENT));
    bool broker = w->role == ROLE_BROKER;
    YZ_ENSURE(broker == yzi_node_is_broker(node), YZ_EMALFORMED);
    YZ_ENSURE(broker == !!w->has_log, YZ_EMALFORMED);
    YZ_ENSURE(broker ? w->n_subsystems == 0 : w->n_endpoints == 0, YZ_EMALFORMED);
    return 0;
}

static int read_node_request(struct record_reader *r, const Yizhan__Wire__NodeRequest *w,
                             struct node_request *out)
{
    struct bag keys = {.arena = &r->scratch};
    YZ_TRY(yzi_node_id_parse(yzi_view(w->node), &out->node));
    YZ_TRY(check_request_role(w, out->node));
    out->role = (enum node_role)w->role;
    YZ_TRY(yzi_read_key(w->signing, &keys, out->signing));
    YZ_TRY(yzi_read_key(w->transport, &keys, out->transport));
    out->has_log = w->has_log;
    if (w->has_log) {
        YZ_TRY(yzi_read_key(w->log, &keys, out->log));
    }
    YZ_TRY(yzi_bag_close(&keys));
    YZ_TRY(yzi_read_names(r, w->endpoints, w->n_endpoints, YZ_ENDPOINTS_MAX, yzi_check_address,
                          YZ_ADDRESS_MAX, &out->endpoints));
    YZ_TRY(yzi_read_names(r, w->subsystems, w->n_subsystems, YZ_SUBSYSTEMS_MAX, yzi_check_segment,
                          YZ_SEGMENT_MAX, &out->subsystems));
    YZ_ENSURE(w->issued_at > 0, YZ_EMALFORMED);
    out->issued_at = w->issued_at;
    return 0;
}

int yzi_node_request_parse(yz_bytes body, struct arena *a, struct node_request *out)
{
    YZ_AUTO(yzi_record_reader_fini) struct record_reader r = {0};
    const Yizhan__Wire__NodeRequest *w;
    struct node_request parsed = {0};
    YZ_TRY(yzi_record_unpack(&r, a, &yizhan__wire__node_request__descriptor, body, &w));
    YZ_TRY(read_node_request(&r, w, &parsed));
    *out = parsed;
    return 0;
}

int yzi_node_request_write(const struct node_request *in, yz_buf *out)
{
    YZ_AUTO(yzi_arena_fini) struct arena a = {0};
    yzi_record_writer_init(&a);
    Yizhan__Wire__NodeRequest w = YIZHAN__WIRE__NODE_REQUEST__INIT;
    w.node = yzi_bin(in->node.v);
    w.role = in->role;
    w.signing = yzi_bin(yzi_bytes(in->signing, sizeof in->signing));
    w.transport = yzi_bin(yzi_bytes(in->transport, sizeof in->transport));
    w.has_log = in->has_log;
    w.log = yzi_bin(yzi_bytes(in->log, sizeof in->log));
    YZ_TRY(yzi_wire_names(&a, &in->endpoints, &w.n_endpoints, &w.endpoints));
    YZ_TRY(yzi_wire_names(&a, &in->subsystems, &w.n_subsystems, &w.subsystems));
    w.issued_at = in->issued_at;
    return yzi_record_pack(RECORD_NODE_REQUEST, &w.base, out);
}
