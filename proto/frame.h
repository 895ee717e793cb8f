/* SPDX-License-Identifier: Apache-2.0
 *
 * The message frame (docs/protocol.md, "Frame"): a 16-byte prefix, then header, signature block,
 * payload and hop. What was received is what is verified, hashed, stored and forwarded: a parsed
 * frame only points into it. Any thread.
 */
#ifndef YZ_PROTO_FRAME_H
#define YZ_PROTO_FRAME_H

#include "base/bytes.h"
#include "proto/limits.h"
#include "proto/status.h"

struct frame {
    enum frame_kind kind;
    yz_bytes header, block, payload, hop; /* views into `raw` */
    yz_bytes raw;
};

/* Parse exactly one message. YZ_EMALFORMED (magic, truncated, trailing bytes, unknown kind,
 * sections a kind must not have), YZ_EVERSION, YZ_ETOOBIG (a section beyond proto/limits.h or the
 * message beyond max_bytes). */
YZ_MUST_USE int yzi_frame_parse(yz_bytes message, size_t max_bytes, struct frame *out);
/* Take the next message off a bundle (concatenated messages); the same errors. */
YZ_MUST_USE int yzi_frame_next(yz_reader *bundle, size_t max_bytes, struct frame *out);
/* Append a message to out. YZ_ETOOBIG, YZ_ELIMIT, YZ_ENOMEM. */
YZ_MUST_USE int yzi_frame_write(enum frame_kind kind, yz_bytes header, yz_bytes block,
                                yz_bytes payload, yz_bytes hop, yz_buf *out);
/* The bytes yzi_frame_write will append. */
size_t yzi_frame_size(size_t header, size_t block, size_t payload, size_t hop);

/* The message digest: SHA-256(u16 header length ‖ header ‖ signature block). It names a signed
 * message everywhere (responses, outcomes, evidence) and covers the payload through the header. */
void yzi_frame_digest(yz_bytes header, yz_bytes block, yz_digest *out);

/* The signature block (docs/protocol.md, "Signature block"): format u8 = 1 ‖ path length u8 ‖
 * reserved u16 = 0 ‖ tree size u32 ‖ leaf index u32 ‖ signing key 32 ‖ signature 64 ‖ path 32
 * each. */
struct signature_block {
    uint32_t tree_size; /* 1..YZ_BATCH_MAX */
    uint32_t index;     /* < tree_size */
    yz_bytes key;       /* 32 */
    yz_bytes signature; /* 64 */
    unsigned path_n;    /* exactly the length that index and size require */
    yz_digest path[YZ_BATCH_PATH_MAX];
};
YZ_MUST_USE int yzi_block_parse(yz_bytes block,
                                struct signature_block *out); /* YZ_EMALFORMED, YZ_EVERSION */
YZ_MUST_USE int yzi_block_write(const struct signature_block *b, yz_buf *out);

#endif
