/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: the parsers and writers of proto/link.h, yzi_prescan, yzi_unpack.
 *
 * The input is the kind of a frame (one byte), then a header of that kind. What parses is written
 * as a frame whose header agrees with protobuf-c.
 */
#include "proto/link.h"
#include "proto/link.pb-c.h"
#include "tests/fuzz/agree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The header in the frame that was written for `in`, compared. */
static void check_frame(enum frame_kind kind, const ProtobufCMessageDescriptor *type, yz_bytes in,
                        int rc, const yz_buf *frame)
{
    struct frame f;
    YZ_ASSERT(rc == 0);
    YZ_ASSERT(yzi_frame_parse(yzi_bytes_buf(frame), YZ_MESSAGE_MAX, &f) == 0);
    YZ_ASSERT(f.kind == kind);
    yz_fuzz_agree(type, in, f.header);
}

#define TARGET(name, KIND, type, write)                                                            \
    static void fuzz_##name(yz_bytes in)                                                           \
    {                                                                                              \
        YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 20};                                         \
        type m;                                                                                    \
        int rc = yzi_##name##_parse(in, &m);                                                       \
        YZ_ASSERT(rc == 0 || rc == YZ_EMALFORMED);                                                 \
        if (rc == 0) {                                                                             \
            rc = write;                                                                            \
            check_frame(KIND, &yizhan__wire__##name##__descriptor, in, rc, &b);                    \
        }                                                                                          \
    }

static const yz_bytes none;
static const yz_bytes record = {(const uint8_t *)"record", 6};

TARGET(hello, FRAME_HELLO, struct hello, yzi_hello_write(&m, &b))
TARGET(welcome, FRAME_WELCOME, struct welcome, yzi_welcome_write(&m, &b))
TARGET(heartbeat, FRAME_HEARTBEAT, struct heartbeat, yzi_heartbeat_write(&m, &b))
TARGET(fetch, FRAME_FETCH, struct fetch, yzi_fetch_write(&m, &b))
TARGET(object, FRAME_OBJECT, struct object, yzi_object_write(&m, m.found ? record : none, &b))
TARGET(put, FRAME_PUT, uint32_t, yzi_put_write(m, record, &b))
TARGET(put_result, FRAME_PUT_RESULT, struct put_result, yzi_put_result_write(&m, &b))
TARGET(reject, FRAME_REJECT, struct reject, yzi_reject_write(&m, &b))
TARGET(receipt_for, FRAME_RECEIPT, struct receipt_for, yzi_receipt_for_write(&m, record, &b))
TARGET(bye, FRAME_BYE, yz_bytes, yzi_bye_write(m, &b))
TARGET(admin_reply, FRAME_ADMIN_REPLY, struct admin_reply, yzi_admin_reply_write(&m, record, &b))

static void fuzz_admin_request(yz_bytes in)
{
    YZ_AUTO(yzi_arena_fini) struct arena a;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 20};
    struct admin_request m;
    yzi_arena_init(&a, 1 << 20);
    int rc = yzi_admin_request_parse(in, &a, &m);
    YZ_ASSERT(rc == 0 || rc == YZ_EMALFORMED);
    if (rc == 0) {
        for (size_t i = 0; i < m.args_n; i++) {
            char key[YZ_NAME_MAX + 1] = {0};
            memcpy(key, m.args[i].key.p, m.args[i].key.n);
            YZ_ASSERT(yzi_bytes_eq(yzi_admin_arg(&m, key), m.args[i].value));
        }
        rc = yzi_admin_request_write(&m, none, &b);
        check_frame(FRAME_ADMIN_REQUEST, &yizhan__wire__admin_request__descriptor, in, rc, &b);
    }
}

static void (*const targets[])(yz_bytes) = {
    [FRAME_HELLO] = fuzz_hello,
    [FRAME_WELCOME] = fuzz_welcome,
    [FRAME_HEARTBEAT] = fuzz_heartbeat,
    [FRAME_FETCH] = fuzz_fetch,
    [FRAME_OBJECT] = fuzz_object,
    [FRAME_PUT] = fuzz_put,
    [FRAME_PUT_RESULT] = fuzz_put_result,
    [FRAME_REJECT] = fuzz_reject,
    [FRAME_BYE] = fuzz_bye,
    [FRAME_RECEIPT] = fuzz_receipt_for,
    [FRAME_ADMIN_REQUEST] = fuzz_admin_request,
    [FRAME_ADMIN_REPLY] = fuzz_admin_reply,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] < sizeof targets / sizeof targets[0] && targets[data[0]]) {
        targets[data[0]](yzi_bytes(data + 1, size - 1));
    }
    return 0;
}
