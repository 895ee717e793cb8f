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

/* Whether the library kept unknown fields anywhere in m. */
static inline bool yz_fuzz_has_unknown(const ProtobufCMessage *m)
{
    bool found = m->n_unknown_fields > 0;
    for (unsigned i = 0; i < m->descriptor->n_fields && !found; i++) {
        const ProtobufCFieldDescriptor *d = &m->descriptor->fields[i];
        const uint8_t *base = (const uint8_t *)m;
        if (d->type != PROTOBUF_C_TYPE_MESSAGE) {
            continue;
        }
        ProtobufCMessage *const *list = (const void *)(base + d->offset);
        size_t n = *list != NULL;
        if (d->label == PROTOBUF_C_LABEL_REPEATED) {
            n = *(const size_t *)(const void *)(base + d->quantifier_offset);
            list = *(ProtobufCMessage *const *const *)(const void *)(base + d->offset);
        }
        for (size_t j = 0; j < n && !found; j++) {
            found = yz_fuzz_has_unknown(list[j]);
        }
    }
    return found;
}

/* `written` is what came of parsing and writing `read`. Unknown fields, which the library keeps,
 * make comparing impossible; then only that it can be read is seen. */
static inline void yz_fuzz_agree(const ProtobufCMessageDescriptor *type, yz_bytes read,
                                 yz_bytes written)
{
    ProtobufCMessage *m = protobuf_c_message_unpack(type, NULL, read.n, read.p);
    YZ_ASSERT(m);
    if (!yz_fuzz_has_unknown(m)) {
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
