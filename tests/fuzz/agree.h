/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fuzz targets of protobuf messages have in common: what our parser accepts and our writer
 * writes again is what protobuf-c's own unpacker and packer make of the same bytes, because nothing
 * has two forms but the order of its fields.
 */
#ifndef YZ_TESTS_FUZZ_AGREE_H
#define YZ_TESTS_FUZZ_AGREE_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"

/* `written` is what came of parsing and writing `read`. Unknown fields, which the library keeps,
 * make comparing impossible; then only that it can be read is seen. */
static inline void yz_fuzz_agree(const ProtobufCMessageDescriptor *type, yz_bytes read,
                                 yz_bytes written)
{
    ProtobufCMessage *m = protobuf_c_message_unpack(type, NULL, read.n, read.p);
    YZ_ASSERT(m);
    if (m->n_unknown_fields == 0) {
        YZ_ASSERT(protobuf_c_message_get_packed_size(m) == written.n);
        uint8_t *packed = malloc(written.n + 1);
        YZ_ASSERT(packed);
        YZ_ASSERT(protobuf_c_message_pack(m, packed) == written.n);
        YZ_ASSERT(yzi_bytes_eq(yzi_bytes(packed, written.n), written));
        free(packed);
    }
    protobuf_c_message_free_unpacked(m, NULL);
}

/* The body of a target for a header: refused with a parser's code, or it agrees, and what was
 * written is read as the same again. */
#define YZ_FUZZ_HEADER(name, type, descriptor)                                                     \
    static void fuzz_##name(yz_bytes in)                                                           \
    {                                                                                              \
        type m;                                                                                    \
        YZ_AUTO(yzi_buf_fini) yz_buf once = {.max = 1 << 20}, twice = {.max = 1 << 20};            \
        int rc = yzi_##name##_parse(in, &m);                                                       \
        if (rc < 0) {                                                                              \
            YZ_ASSERT(yz_err_class(rc) == YZ_CLASS_PROTOCOL);                                      \
            return;                                                                                \
        }                                                                                          \
        YZ_ASSERT(yzi_##name##_write(&m, &once) == 0);                                             \
        yz_fuzz_agree(descriptor, in, yzi_bytes_buf(&once));                                       \
        YZ_ASSERT(yzi_##name##_parse(yzi_bytes_buf(&once), &m) == 0);                              \
        YZ_ASSERT(yzi_##name##_write(&m, &twice) == 0);                                            \
        YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&once), yzi_bytes_buf(&twice)));                      \
    }

#endif
