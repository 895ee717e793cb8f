/* SPDX-License-Identifier: Apache-2.0
 *
 * Link and administration messages. check_* holds for parser and writer alike, as in header.c.
 * Whatever is wrong with one is YZ_EMALFORMED: the peer is ours or CURVE has vouched for it, and no
 * caller tells the reasons apart.
 */
#include "proto/link.h"

#include "proto/check.h"
#include "proto/header.h"
#include "proto/link.pb-c.h"
#include "proto/unpack.h"

#define SCRATCH_BYTES 2048
#define SCRATCH(name) _Alignas(max_align_t) uint8_t name[SCRATCH_BYTES]

/* Unknown fields are skipped, so that a newer peer can say more. */
static const struct prescan_rules link_rules = {.depth = 2, .elements = 256, .skip_unknown = true};

static int as_malformed(int rc)
{
    return rc < 0 && rc != YZ_ENOMEM ? YZ_EMALFORMED : rc;
}

static int unpack(const ProtobufCMessageDescriptor *type, yz_bytes header,
                  uint8_t scratch[SCRATCH_BYTES], void *out)
{
    YZ_ENSURE(header.n <= YZ_HEADER_MAX, YZ_EMALFORMED);
    struct room room = yzi_room_fixed(scratch, SCRATCH_BYTES);
    return as_malformed(yzi_unpack(type, header, &link_rules, &room, out));
}

/* Append the whole frame. */
static int write_frame(enum frame_kind kind, const ProtobufCMessage *m, yz_bytes payload,
                       yz_buf *out)
{
    uint8_t header[YZ_HEADER_MAX];
    size_t n = protobuf_c_message_get_packed_size(m);
    YZ_ENSURE(n <= sizeof header, YZ_ETOOBIG);
    YZ_ASSERT(protobuf_c_message_pack(m, header) == n);
    return yzi_frame_write(kind, yzi_bytes(header, n), (yz_bytes){0}, payload, (yz_bytes){0}, out);
}

static int ensure(bool holds)
{
    return holds ? 0 : YZ_EMALFORMED;
}

/* -- hello, welcome, heartbeat, bye -- */

static int check_hello(const struct hello *h)
{
    yz_node_id node;
    YZ_TRY(yzi_node_id_parse(h->node.v, &node));
    YZ_TRY(ensure(h->role >= ROLE_BROKER && h->role <= ROLE_CLIENT));
    YZ_TRY(ensure(yzi_node_is_broker(node) == (h->role == ROLE_BROKER)));
    struct checkpoint_ref seen;
    YZ_TRY(h->checkpoint.n ? yzi_seen_parse(h->checkpoint, &seen) : 0);
    return as_malformed(yzi_check_optional(h->software, YZ_SOFTWARE_MAX, yzi_check_text));
}

int yzi_hello_parse(yz_bytes header, struct hello *out)
{
    SCRATCH(scratch);
    const Yizhan__Wire__Hello *m;
    YZ_TRY(unpack(&yizhan__wire__hello__descriptor, header, scratch, &m));
    struct hello h = {
        .node = {yzi_view(m->node)},
        .role = (enum node_role)m->role,
        .directory_version = m->directory_version,
    };
    YZ_TRY(yzi_view_optional(m->has_software, m->software, &h.software));
    YZ_TRY(yzi_view_optional(m->has_checkpoint, m->checkpoint, &h.checkpoint));
    YZ_TRY(yzi_copy_fixed(m->boot, h.boot.b, sizeof h.boot.b));
    YZ_TRY(check_hello(&h));
    *out = h;
    return 0;
}

int yzi_hello_write(const struct hello *h, yz_buf *out_frame)
{
    YZ_TRY(yzi_as_argument(check_hello(h)));
    Yizhan__Wire__Hello m = YIZHAN__WIRE__HELLO__INIT;
    m.node = yzi_bin(h->node.v);
    m.role = h->role;
    m.directory_version = h->directory_version;
    m.has_software = h->software.n > 0;
    m.software = yzi_bin(h->software);
    m.boot = yzi_bin(yzi_bytes_uuid(&h->boot));
    m.has_checkpoint = h->checkpoint.n > 0;
    m.checkpoint = yzi_bin(h->checkpoint);
    return write_frame(FRAME_HELLO, &m.base, (yz_bytes){0}, out_frame);
}

static int check_welcome(const struct welcome *w)
{
    yz_node_id node;
    YZ_TRY(yzi_node_id_parse(w->node.v, &node));
    YZ_TRY(ensure(yzi_node_is_broker(node)));
    YZ_TRY(ensure(w->heartbeat_ms > 0 && w->message_max > YZ_PREFIX_BYTES));
    return as_malformed(yzi_check_optional(w->software, YZ_SOFTWARE_MAX, yzi_check_text));
}

int yzi_welcome_parse(yz_bytes header, struct welcome *out)
{
    SCRATCH(scratch);
    const Yizhan__Wire__Welcome *m;
    YZ_TRY(unpack(&yizhan__wire__welcome__descriptor, header, scratch, &m));
    struct welcome w = {
        .node = {yzi_view(m->node)},
        .directory_version = m->directory_version,
        .heartbeat_ms = m->heartbeat_ms,
        .message_max = m->message_max,
        .time = m->time,
    };
    YZ_TRY(yzi_view_optional(m->has_software, m->software, &w.software));
    YZ_TRY(check_welcome(&w));
    *out = w;
    return 0;
}

int yzi_welcome_write(const struct welcome *w, yz_buf *out_frame)
{
    YZ_TRY(yzi_as_argument(check_welcome(w)));
    Yizhan__Wire__Welcome m = YIZHAN__WIRE__WELCOME__INIT;
    m.node = yzi_bin(w->node.v);
    m.directory_version = w->directory_version;
    m.heartbeat_ms = w->heartbeat_ms;
    m.message_max = w->message_max;
    m.time = w->time;
    m.has_software = w->software.n > 0;
    m.software = yzi_bin(w->software);
    return write_frame(FRAME_WELCOME, &m.base, (yz_bytes){0}, out_frame);
}

int yzi_heartbeat_parse(yz_bytes header, struct heartbeat *out)
{
    SCRATCH(scratch);
    const Yizhan__Wire__Heartbeat *m;
    YZ_TRY(unpack(&yizhan__wire__heartbeat__descriptor, header, scratch, &m));
    struct heartbeat h = {.directory_version = m->directory_version, .time = m->time};
    YZ_TRY(yzi_number_optional(m->has_in_flight, m->in_flight, &h.in_flight));
    YZ_TRY(ensure(!m->has_time || m->time > 0));
    *out = h;
    return 0;
}

int yzi_heartbeat_write(const struct heartbeat *h, yz_buf *out_frame)
{
    Yizhan__Wire__Heartbeat m = YIZHAN__WIRE__HEARTBEAT__INIT;
    m.directory_version = h->directory_version;
    m.has_in_flight = h->in_flight > 0;
    m.in_flight = h->in_flight;
    m.has_time = h->time > 0;
    m.time = h->time;
    return write_frame(FRAME_HEARTBEAT, &m.base, (yz_bytes){0}, out_frame);
}

static int check_reason(yz_bytes reason)
{
    return as_malformed(yzi_check_optional(reason, YZ_REASON_MAX, yzi_check_word));
}

int yzi_bye_parse(yz_bytes header, yz_bytes *out_reason)
{
    SCRATCH(scratch);
    const Yizhan__Wire__Bye *m;
    yz_bytes reason;
    YZ_TRY(unpack(&yizhan__wire__bye__descriptor, header, scratch, &m));
    YZ_TRY(yzi_view_optional(m->has_reason, m->reason, &reason));
    YZ_TRY(check_reason(reason));
    *out_reason = reason;
    return 0;
}

int yzi_bye_write(yz_bytes reason, yz_buf *out_frame)
{
    YZ_TRY(yzi_as_argument(check_reason(reason)));
    Yizhan__Wire__Bye m = YIZHAN__WIRE__BYE__INIT;
    m.has_reason = reason.n > 0;
    m.reason = yzi_bin(reason);
    return write_frame(FRAME_BYE, &m.base, (yz_bytes){0}, out_frame);
}

/* -- fetch and object, put and its result -- */

static bool is_fetch_what(unsigned what)
{
    return what >= FETCH_MANIFEST && what <= FETCH_RECEIPT;
}

static int check_fetch(const struct fetch *f)
{
    yz_service_id service;
    yz_subsystem_id subsystem;
    yz_member_id member;
    YZ_TRY(ensure(f->token != 0));
    switch (f->what) {
    case FETCH_CHUNK:
        return ensure(f->name.n == sizeof(yz_digest));
    case FETCH_CONSISTENCY:
        return ensure(f->name.n == YZ_CONSISTENCY_NAME_BYTES);
    case FETCH_RECEIPT:
        return ensure(f->name.n == sizeof(yz_uuid) + sizeof(yz_digest));
    case FETCH_SERVICE:
        return yzi_service_id_parse(f->name, &service);
    case FETCH_OFFER:
        return yzi_subsystem_id_parse(f->name, &subsystem);
    case FETCH_STATEMENTS:
        return f->name.n ? yzi_member_id_parse(f->name, &member) : YZ_OK;
    case FETCH_CATALOGUE:
        return f->name.n ? yzi_subsystem_id_parse(f->name, &subsystem) : YZ_OK;
    case FETCH_MANIFEST:
    case FETCH_FRESHNESS:
        return ensure(f->name.n == 0);
    }
    return YZ_EMALFORMED;
}

int yzi_fetch_parse(yz_bytes header, struct fetch *out)
{
    SCRATCH(scratch);
    const Yizhan__Wire__Fetch *m;
    YZ_TRY(unpack(&yizhan__wire__fetch__descriptor, header, scratch, &m));
    struct fetch f = {.token = m->token, .what = (enum fetch_what)m->what};
    YZ_TRY(yzi_view_optional(m->has_name, m->name, &f.name));
    YZ_TRY(check_fetch(&f));
    *out = f;
    return 0;
}

int yzi_fetch_write(const struct fetch *f, yz_buf *out_frame)
{
    YZ_TRY(yzi_as_argument(check_fetch(f)));
    Yizhan__Wire__Fetch m = YIZHAN__WIRE__FETCH__INIT;
    m.token = f->token;
    m.what = f->what;
    m.has_name = f->name.n > 0;
    m.name = yzi_bin(f->name);
    return write_frame(FRAME_FETCH, &m.base, (yz_bytes){0}, out_frame);
}

int yzi_object_parse(yz_bytes header, struct object *out)
{
    SCRATCH(scratch);
    const Yizhan__Wire__Object *m;
    YZ_TRY(unpack(&yizhan__wire__object__descriptor, header, scratch, &m));
    YZ_TRY(ensure(is_fetch_what(m->what) && m->found <= 1));
    *out = (struct object){m->token, (enum fetch_what)m->what, m->found == 1};
    return 0;
}

int yzi_object_write(const struct object *o, yz_bytes payload, yz_buf *out_frame)
{
    YZ_ENSURE(is_fetch_what(o->what), YZ_EINVAL);
    YZ_ENSURE(o->found || payload.n == 0, YZ_EINVAL);
    Yizhan__Wire__Object m = YIZHAN__WIRE__OBJECT__INIT;
    m.token = o->token;
    m.what = o->what;
    m.found = o->found;
    return write_frame(FRAME_OBJECT, &m.base, payload, out_frame);
}

int yzi_put_parse(yz_bytes header, uint32_t *out_token)
{
    SCRATCH(scratch);
    const Yizhan__Wire__Put *m;
    YZ_TRY(unpack(&yizhan__wire__put__descriptor, header, scratch, &m));
    *out_token = m->token;
    return 0;
}

int yzi_put_write(uint32_t token, yz_bytes records, yz_buf *out_frame)
{
    Yizhan__Wire__Put m = YIZHAN__WIRE__PUT__INIT;
    m.token = token;
    return write_frame(FRAME_PUT, &m.base, records, out_frame);
}

/* A code and a text as errors have them; the text may have several lines. */
static int check_result(int code, yz_bytes text)
{
    YZ_TRY(ensure(code <= 0));
    return as_malformed(yzi_check_optional(text, YZ_HEADER_MAX, yzi_check_lines));
}

int yzi_put_result_parse(yz_bytes header, struct put_result *out)
{
    SCRATCH(scratch);
    const Yizhan__Wire__PutResult *m;
    YZ_TRY(unpack(&yizhan__wire__put_result__descriptor, header, scratch, &m));
    struct put_result r = {.token = m->token, .code = m->code};
    YZ_TRY(yzi_view_optional(m->has_text, m->text, &r.text));
    YZ_TRY(check_result(r.code, r.text));
    *out = r;
    return 0;
}

int yzi_put_result_write(const struct put_result *r, yz_buf *out_frame)
{
    YZ_TRY(yzi_as_argument(check_result(r->code, r->text)));
    Yizhan__Wire__PutResult m = YIZHAN__WIRE__PUT_RESULT__INIT;
    m.token = r->token;
    m.code = r->code;
    m.has_text = r->text.n > 0;
    m.text = yzi_bin(r->text);
    return write_frame(FRAME_PUT_RESULT, &m.base, (yz_bytes){0}, out_frame);
}

/* -- reject -- */

static int check_reject(const struct reject *r)
{
    YZ_TRY(ensure(yzi_uuid_is_v7(&r->message_id)));
    YZ_TRY(ensure(r->status >= OUTCOME_DENIED && r->status <= OUTCOME_STALE_DIRECTORY));
    return check_reason(r->reason);
}

int yzi_reject_parse(yz_bytes header, struct reject *out)
{
    SCRATCH(scratch);
    const Yizhan__Wire__Reject *m;
    YZ_TRY(unpack(&yizhan__wire__reject__descriptor, header, scratch, &m));
    struct reject r = {.status = (enum outcome_status)m->status};
    YZ_TRY(yzi_copy_fixed(m->message_id, r.message_id.b, sizeof r.message_id.b));
    YZ_TRY(yzi_copy_fixed(m->request_digest, r.request_digest.b, sizeof r.request_digest.b));
    YZ_TRY(yzi_view_optional(m->has_reason, m->reason, &r.reason));
    YZ_TRY(yzi_number_optional(m->has_retry_after_ms, m->retry_after_ms, &r.retry_after_ms));
    YZ_TRY(check_reject(&r));
    *out = r;
    return 0;
}

int yzi_reject_write(const struct reject *r, yz_buf *out_frame)
{
    YZ_TRY(yzi_as_argument(check_reject(r)));
    Yizhan__Wire__Reject m = YIZHAN__WIRE__REJECT__INIT;
    m.message_id = yzi_bin(yzi_bytes_uuid(&r->message_id));
    m.request_digest = yzi_bin(yzi_bytes_digest(&r->request_digest));
    m.status = r->status;
    m.has_reason = r->reason.n > 0;
    m.reason = yzi_bin(r->reason);
    m.has_retry_after_ms = r->retry_after_ms > 0;
    m.retry_after_ms = r->retry_after_ms;
    return write_frame(FRAME_REJECT, &m.base, (yz_bytes){0}, out_frame);
}

/* -- receipt -- */

static int check_receipt_for(const struct receipt_for *r)
{
    return ensure(yzi_uuid_is_v7(&r->message_id));
}

int yzi_receipt_for_parse(yz_bytes header, struct receipt_for *out)
{
    SCRATCH(scratch);
    const Yizhan__Wire__ReceiptFor *m;
    YZ_TRY(unpack(&yizhan__wire__receipt_for__descriptor, header, scratch, &m));
    struct receipt_for r;
    YZ_TRY(yzi_copy_fixed(m->message_id, r.message_id.b, sizeof r.message_id.b));
    YZ_TRY(yzi_copy_fixed(m->request_digest, r.request_digest.b, sizeof r.request_digest.b));
    YZ_TRY(check_receipt_for(&r));
    *out = r;
    return 0;
}

int yzi_receipt_for_write(const struct receipt_for *r, yz_bytes receipt, yz_buf *out_frame)
{
    YZ_TRY(yzi_as_argument(check_receipt_for(r)));
    Yizhan__Wire__ReceiptFor m = YIZHAN__WIRE__RECEIPT_FOR__INIT;
    m.message_id = yzi_bin(yzi_bytes_uuid(&r->message_id));
    m.request_digest = yzi_bin(yzi_bytes_digest(&r->request_digest));
    return write_frame(FRAME_RECEIPT, &m.base, receipt, out_frame);
}

/* -- the administration socket -- */

static int check_admin_request(const struct admin_request *r)
{
    YZ_TRY(yzi_check_code(r->verb, YZ_NAME_MAX));
    YZ_TRY(ensure(r->args_n <= YZ_ADMIN_ARGS_MAX));
    for (size_t i = 0; i < r->args_n; i++) {
        YZ_TRY(yzi_check_code(r->args[i].key, YZ_NAME_MAX));
        YZ_TRY(yzi_check_optional(r->args[i].value, YZ_HEADER_MAX, yzi_check_lines));
        for (size_t j = 0; j < i; j++) {
            YZ_TRY(ensure(!yzi_bytes_eq(r->args[i].key, r->args[j].key)));
        }
    }
    return 0;
}

int yzi_admin_request_parse(yz_bytes header, struct arena *a, struct admin_request *out)
{
    YZ_ENSURE(header.n <= YZ_HEADER_MAX, YZ_EMALFORMED);
    struct room room = yzi_room_arena(a);
    const Yizhan__Wire__AdminRequest *m;
    struct admin_request r = {0};
    YZ_TRY(as_malformed(
        yzi_unpack(&yizhan__wire__admin_request__descriptor, header, &link_rules, &room, &m)));
    r.verb = yzi_view(m->verb);
    r.args_n = m->n_args;
    YZ_TRY(as_malformed(yzi_arena_new(a, r.args_n, sizeof *r.args, &r.args)));
    for (size_t i = 0; i < r.args_n; i++) {
        r.args[i] = (struct admin_arg){yzi_view(m->args[i]->key), yzi_view(m->args[i]->value)};
    }
    YZ_TRY(as_malformed(check_admin_request(&r)));
    *out = r;
    return 0;
}

int yzi_admin_request_write(const struct admin_request *r, yz_bytes payload, yz_buf *out_frame)
{
    YZ_TRY(yzi_as_argument(as_malformed(check_admin_request(r))));
    Yizhan__Wire__AdminArg args[YZ_ADMIN_ARGS_MAX], *list[YZ_ADMIN_ARGS_MAX];
    Yizhan__Wire__AdminRequest m = YIZHAN__WIRE__ADMIN_REQUEST__INIT;
    for (size_t i = 0; i < r->args_n; i++) {
        yizhan__wire__admin_arg__init(&args[i]);
        args[i].key = yzi_bin(r->args[i].key);
        args[i].value = yzi_bin(r->args[i].value);
        list[i] = &args[i];
    }
    m.verb = yzi_bin(r->verb);
    m.n_args = r->args_n;
    m.args = list;
    return write_frame(FRAME_ADMIN_REQUEST, &m.base, payload, out_frame);
}

int yzi_admin_reply_parse(yz_bytes header, struct admin_reply *out)
{
    SCRATCH(scratch);
    const Yizhan__Wire__AdminReply *m;
    YZ_TRY(unpack(&yizhan__wire__admin_reply__descriptor, header, scratch, &m));
    YZ_TRY(ensure(m->done <= 1));
    struct admin_reply r = {.done = m->done == 1, .code = m->code};
    YZ_TRY(yzi_view_optional(m->has_text, m->text, &r.text));
    YZ_TRY(check_result(r.code, r.text));
    *out = r;
    return 0;
}

int yzi_admin_reply_write(const struct admin_reply *r, yz_bytes payload, yz_buf *out_frame)
{
    YZ_TRY(yzi_as_argument(check_result(r->code, r->text)));
    Yizhan__Wire__AdminReply m = YIZHAN__WIRE__ADMIN_REPLY__INIT;
    m.done = r->done;
    m.code = r->code;
    m.has_text = r->text.n > 0;
    m.text = yzi_bin(r->text);
    return write_frame(FRAME_ADMIN_REPLY, &m.base, payload, out_frame);
}

yz_bytes yzi_admin_arg(const struct admin_request *m, const char *key)
{
    for (size_t i = 0; i < m->args_n; i++) {
        if (yzi_bytes_eq_str(m->args[i].key, key)) {
            return m->args[i].value;
        }
    }
    return (yz_bytes){0};
}
