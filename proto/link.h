/* SPDX-License-Identifier: Apache-2.0
 *
 * Link messages: what two connected nodes tell each other besides exchanges (docs/protocol.md,
 * "Link"), and the administration socket's requests. Unsigned; CURVE says who the peer is, and
 * whatever has weight inside is a signed record in the frame's payload. Views point into the
 * header. Parser errors: YZ_EMALFORMED. The writers append the whole frame; they refuse what the
 * parser would (YZ_EINVAL, YZ_ETOOBIG), and YZ_ELIMIT, YZ_ENOMEM. Any thread.
 */
#ifndef YZ_PROTO_LINK_H
#define YZ_PROTO_LINK_H

#include "base/arena.h"
#include "base/uuid.h"
#include "proto/frame.h"
#include "proto/id.h"

struct hello {
    yz_node_id node;
    enum node_role role;
    uint64_t directory_version;
    yz_bytes software; /* at most 64 bytes */
    yz_uuid boot;
    yz_bytes checkpoint; /* empty, or YZ_SEEN_BYTES: what it last saw of this broker's log */
};

struct welcome {
    yz_node_id node; /* the broker */
    uint64_t directory_version;
    uint32_t heartbeat_ms, message_max;
    uint64_t time;
    yz_bytes software;
};
struct heartbeat {
    uint64_t directory_version;
    uint32_t in_flight;
    uint64_t time;
};
struct fetch {
    uint32_t token; /* chosen by the asker, not 0 */
    enum fetch_what what;
    yz_bytes name;
};
struct object {
    uint32_t token; /* 0: pushed unasked */
    enum fetch_what what;
    bool found;
};
struct put_result {
    uint32_t token;
    int code; /* YZ_E* */
    yz_bytes text;
};
struct reject {
    yz_uuid message_id;
    yz_digest request_digest;
    enum outcome_status status;
    yz_bytes reason;
    uint32_t retry_after_ms;
};
/* Of which answer the receipt in the payload is. */
struct receipt_for {
    yz_uuid message_id;
    yz_digest request_digest;
};

YZ_MUST_USE int yzi_hello_parse(yz_bytes header, struct hello *out);
YZ_MUST_USE int yzi_hello_write(const struct hello *m, yz_buf *out_frame);
YZ_MUST_USE int yzi_welcome_parse(yz_bytes header, struct welcome *out);
YZ_MUST_USE int yzi_welcome_write(const struct welcome *m, yz_buf *out_frame);
YZ_MUST_USE int yzi_heartbeat_parse(yz_bytes header, struct heartbeat *out);
YZ_MUST_USE int yzi_heartbeat_write(const struct heartbeat *m, yz_buf *out_frame);
YZ_MUST_USE int yzi_fetch_parse(yz_bytes header, struct fetch *out);
YZ_MUST_USE int yzi_fetch_write(const struct fetch *m, yz_buf *out_frame);
YZ_MUST_USE int yzi_object_parse(yz_bytes header, struct object *out);
YZ_MUST_USE int yzi_object_write(const struct object *m, yz_bytes payload, yz_buf *out_frame);
YZ_MUST_USE int yzi_put_parse(yz_bytes header, uint32_t *out_token);
YZ_MUST_USE int yzi_put_write(uint32_t token, yz_bytes records, yz_buf *out_frame);
YZ_MUST_USE int yzi_put_result_parse(yz_bytes header, struct put_result *out);
YZ_MUST_USE int yzi_put_result_write(const struct put_result *m, yz_buf *out_frame);
YZ_MUST_USE int yzi_reject_parse(yz_bytes header, struct reject *out);
YZ_MUST_USE int yzi_reject_write(const struct reject *m, yz_buf *out_frame);
YZ_MUST_USE int yzi_receipt_for_parse(yz_bytes header, struct receipt_for *out);
/* `receipt` becomes the payload. */
YZ_MUST_USE int yzi_receipt_for_write(const struct receipt_for *m, yz_bytes receipt,
                                      yz_buf *out_frame);
#define YZ_BYE_ADAPTERS_ONLY "adapters-only" /* to a client at an endpoint that is for adapters */
YZ_MUST_USE int yzi_bye_parse(yz_bytes header, yz_bytes *out_reason);
YZ_MUST_USE int yzi_bye_write(yz_bytes reason, yz_buf *out_frame);

/* -- the administration socket -- */
struct admin_arg {
    yz_bytes key, value;
};
struct admin_request {
    yz_bytes verb;
    struct admin_arg *args; /* at most 32, distinct keys */
    size_t args_n;
};
struct admin_reply {
    bool done;
    int code;
    yz_bytes text;
};
YZ_MUST_USE int yzi_admin_request_parse(yz_bytes header, struct arena *a,
                                        struct admin_request *out);
YZ_MUST_USE int yzi_admin_request_write(const struct admin_request *m, yz_bytes payload,
                                        yz_buf *out_frame);
YZ_MUST_USE int yzi_admin_reply_parse(yz_bytes header, struct admin_reply *out);
YZ_MUST_USE int yzi_admin_reply_write(const struct admin_reply *m, yz_bytes payload,
                                      yz_buf *out_frame);
/* The value of an argument; empty view when absent. */
yz_bytes yzi_admin_arg(const struct admin_request *m, const char *key);

#endif
