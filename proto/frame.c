/* SPDX-License-Identifier: Apache-2.0
 *
 * Frame and signature block. Which sections a kind has is one table; a section that a kind does not
 * have is an error, so that nothing unsigned can ride along where nobody looks.
 */
#include "proto/frame.h"

#include <sodium.h>

#define BLOCK_FORMAT 1u
#define BLOCK_KEY 32u
#define BLOCK_SIGNATURE 64u

_Static_assert(YZ_BLOCK_FIXED == 1 + 1 + 2 + 4 + 4 + BLOCK_KEY + BLOCK_SIGNATURE,
               "the fixed part of a signature block");
_Static_assert(YZ_BATCH_MAX == 1u << YZ_BATCH_PATH_MAX, "a path is as long as the batch is deep");
_Static_assert(YZ_HEADER_MAX <= UINT16_MAX && YZ_BLOCK_MAX <= UINT16_MAX, "lengths in 16 bits");

struct sizes {
    size_t header, block, payload, hop;
};

/* -- what each kind carries -- */

enum need { NONE, MAY, MUST };
struct shape {
    bool known;
    enum need header, block, payload, hop;
};

static const struct shape shapes[] = {
    [FRAME_REQUEST] = {true, MUST, MUST, MUST, MAY},
    [FRAME_RESPONSE] = {true, MUST, MUST, MAY, MAY}, /* no payload with stale-key */
    [FRAME_OUTCOME] = {true, MUST, MUST, NONE, MAY},
    [FRAME_HELLO] = {true, MUST, NONE, NONE, NONE},
    [FRAME_WELCOME] = {true, MUST, NONE, NONE, NONE},
    [FRAME_HEARTBEAT] = {true, MUST, NONE, NONE, NONE},
    [FRAME_FETCH] = {true, MUST, NONE, NONE, NONE},
    [FRAME_OBJECT] = {true, MUST, NONE, MAY, NONE},
    [FRAME_PUT] = {true, MUST, NONE, MUST, NONE},
    [FRAME_PUT_RESULT] = {true, MUST, NONE, NONE, NONE},
    [FRAME_REJECT] = {true, MUST, NONE, NONE, NONE},
    [FRAME_BYE] = {true, MAY, NONE, NONE, NONE}, /* all its fields are optional */
    [FRAME_RECEIPT] = {true, MUST, NONE, MUST, NONE},
    [FRAME_ADMIN_REQUEST] = {true, MUST, NONE, MAY, NONE},
    [FRAME_ADMIN_REPLY] = {true, MUST, NONE, MAY, NONE},
};

static bool is_met(enum need need, size_t n)
{
    return need == MAY || (need == MUST) == (n > 0);
}

static bool has_shape(unsigned kind, const struct sizes *s)
{
    if (kind >= sizeof shapes / sizeof shapes[0] || !shapes[kind].known) {
        return false;
    }
    const struct shape *shape = &shapes[kind];
    return is_met(shape->header, s->header) && is_met(shape->block, s->block) &&
           is_met(shape->payload, s->payload) && is_met(shape->hop, s->hop);
}

/* The size of the message; YZ_ETOOBIG when a section or the whole is beyond its limit. */
static int check_sizes(const struct sizes *s, size_t max_bytes, size_t *out)
{
    YZ_ENSURE(s->header <= YZ_HEADER_MAX && s->block <= YZ_BLOCK_MAX && s->hop <= YZ_HOP_MAX,
              YZ_ETOOBIG);
    size_t max = max_bytes < YZ_MESSAGE_MAX ? max_bytes : YZ_MESSAGE_MAX;
    size_t fixed = YZ_PREFIX_BYTES + s->header + s->block + s->hop;
    YZ_ENSURE(fixed <= max && s->payload <= max - fixed, YZ_ETOOBIG);
    *out = fixed + s->payload;
    return 0;
}

/* -- messages -- */

static int parse_prefix(yz_reader *r, unsigned *out_kind, struct sizes *out)
{
    yz_bytes magic;
    uint8_t version, kind;
    uint16_t header, block;
    uint32_t payload, hop;
    YZ_TRY(yzi_read_bytes(r, 2, &magic));
    YZ_ENSURE(magic.p[0] == 'Y' && magic.p[1] == 'Z', YZ_EMALFORMED);
    YZ_TRY(yzi_read_u8(r, &version));
    YZ_ENSURE(version == YZ_PROTOCOL_VERSION, YZ_EVERSION);
    YZ_TRY(yzi_read_u8(r, &kind));
    YZ_TRY(yzi_read_u16(r, &header));
    YZ_TRY(yzi_read_u16(r, &block));
    YZ_TRY(yzi_read_u32(r, &payload));
    YZ_TRY(yzi_read_u32(r, &hop));
    *out_kind = kind;
    *out = (struct sizes){header, block, payload, hop};
    return 0;
}

int yzi_frame_next(yz_reader *bundle, size_t max_bytes, struct frame *out)
{
    yz_reader r = *bundle;
    unsigned kind;
    struct sizes s;
    size_t total;
    YZ_TRY(parse_prefix(&r, &kind, &s));
    YZ_TRY(check_sizes(&s, max_bytes, &total));
    YZ_ENSURE(has_shape(kind, &s), YZ_EMALFORMED);
    struct frame f = {.kind = (enum frame_kind)kind};
    YZ_TRY(yzi_read_bytes(&r, s.header, &f.header));
    YZ_TRY(yzi_read_bytes(&r, s.block, &f.block));
    YZ_TRY(yzi_read_bytes(&r, s.payload, &f.payload));
    YZ_TRY(yzi_read_bytes(&r, s.hop, &f.hop));
    f.raw = yzi_bytes(bundle->p, total);
    *bundle = r;
    *out = f;
    return 0;
}

int yzi_frame_parse(yz_bytes message, size_t max_bytes, struct frame *out)
{
    yz_reader r = yzi_reader(message);
    struct frame f;
    YZ_TRY(yzi_frame_next(&r, max_bytes, &f));
    YZ_TRY(yzi_read_end(&r));
    *out = f;
    return 0;
}

size_t yzi_frame_size(size_t header, size_t block, size_t payload, size_t hop)
{
    return YZ_PREFIX_BYTES + header + block + payload + hop;
}

int yzi_frame_write(enum frame_kind kind, yz_bytes header, yz_bytes block, yz_bytes payload,
                    yz_bytes hop, yz_buf *out)
{
    struct sizes s = {header.n, block.n, payload.n, hop.n};
    size_t total;
    YZ_TRY(check_sizes(&s, YZ_MESSAGE_MAX, &total));
    YZ_ENSURE(has_shape(kind, &s), YZ_EINVAL);
    YZ_TRY(yzi_buf_reserve(out, total)); /* the puts below cannot fail */
    YZ_TRY(yzi_buf_put_str(out, "YZ"));
    YZ_TRY(yzi_buf_put_u8(out, YZ_PROTOCOL_VERSION));
    YZ_TRY(yzi_buf_put_u8(out, (uint8_t)kind));
    YZ_TRY(yzi_buf_put_u16(out, (uint16_t)header.n));
    YZ_TRY(yzi_buf_put_u16(out, (uint16_t)block.n));
    YZ_TRY(yzi_buf_put_u32(out, (uint32_t)payload.n));
    YZ_TRY(yzi_buf_put_u32(out, (uint32_t)hop.n));
    YZ_TRY(yzi_buf_put(out, header));
    YZ_TRY(yzi_buf_put(out, block));
    YZ_TRY(yzi_buf_put(out, payload));
    return yzi_buf_put(out, hop);
}

void yzi_frame_digest(yz_bytes header, yz_bytes block, yz_digest *out)
{
    uint8_t length[2];
    YZ_ASSERT(header.n <= YZ_HEADER_MAX);
    yzi_store_u16(length, (uint16_t)header.n);
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, length, sizeof length);
    crypto_hash_sha256_update(&state, header.p, header.n);
    crypto_hash_sha256_update(&state, block.p, block.n);
    crypto_hash_sha256_final(&state, out->b);
}

/* -- signature block -- */

/* The length of the inclusion path of `index` in a tree of `size` leaves (RFC 9162 §2.1.3.2): one
 * hash per level at which the node on the way up has a sibling. proof/ has the same for 64 bits. */
static unsigned path_length(uint32_t index, uint32_t size)
{
    unsigned n = 0;
    for (uint32_t last = size - 1; last > 0; last >>= 1, index >>= 1) {
        n += (index & 1) || index < last;
    }
    return n;
}

static bool is_batch(uint32_t index, uint32_t size)
{
    return size >= 1 && size <= YZ_BATCH_MAX && index < size;
}

int yzi_block_parse(yz_bytes block, struct signature_block *out)
{
    struct signature_block b = {0};
    yz_reader r = yzi_reader(block);
    uint8_t format, path_n;
    uint16_t reserved;
    YZ_TRY(yzi_read_u8(&r, &format));
    YZ_ENSURE(format == BLOCK_FORMAT, YZ_EVERSION);
    YZ_TRY(yzi_read_u8(&r, &path_n));
    YZ_TRY(yzi_read_u16(&r, &reserved));
    YZ_ENSURE(reserved == 0, YZ_EMALFORMED);
    YZ_TRY(yzi_read_u32(&r, &b.tree_size));
    YZ_TRY(yzi_read_u32(&r, &b.index));
    YZ_ENSURE(is_batch(b.index, b.tree_size), YZ_EMALFORMED);
    YZ_ENSURE(path_n == path_length(b.index, b.tree_size), YZ_EMALFORMED);
    b.path_n = path_n;
    YZ_TRY(yzi_read_bytes(&r, BLOCK_KEY, &b.key));
    YZ_TRY(yzi_read_bytes(&r, BLOCK_SIGNATURE, &b.signature));
    for (unsigned i = 0; i < b.path_n; i++) {
        YZ_TRY(yzi_read_into(&r, b.path[i].b, sizeof b.path[i].b));
    }
    YZ_TRY(yzi_read_end(&r));
    *out = b;
    return 0;
}

int yzi_block_write(const struct signature_block *b, yz_buf *out)
{
    YZ_ENSURE(is_batch(b->index, b->tree_size), YZ_EINVAL);
    YZ_ENSURE(b->path_n == path_length(b->index, b->tree_size), YZ_EINVAL);
    YZ_ENSURE(b->key.n == BLOCK_KEY && b->signature.n == BLOCK_SIGNATURE, YZ_EINVAL);
    YZ_TRY(yzi_buf_reserve(out, YZ_BLOCK_FIXED + sizeof b->path[0].b * b->path_n));
    YZ_TRY(yzi_buf_put_u8(out, BLOCK_FORMAT));
    YZ_TRY(yzi_buf_put_u8(out, (uint8_t)b->path_n));
    YZ_TRY(yzi_buf_put_u16(out, 0));
    YZ_TRY(yzi_buf_put_u32(out, b->tree_size));
    YZ_TRY(yzi_buf_put_u32(out, b->index));
    YZ_TRY(yzi_buf_put(out, b->key));
    YZ_TRY(yzi_buf_put(out, b->signature));
    for (unsigned i = 0; i < b->path_n; i++) {
        YZ_TRY(yzi_buf_put(out, yzi_bytes_digest(&b->path[i])));
    }
    return 0;
}
