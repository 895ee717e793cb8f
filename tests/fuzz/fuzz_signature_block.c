/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_block_parse, yzi_verify_message, with and without a memory of known roots.
 *
 * There are four genuine messages: a batch of three and one alone. The first byte chooses one of
 * them and how to read the rest: as changes to its header and block (offset u16, xor u8 each), or,
 * with the top bit, as another header (u8 length) and block. Nothing but the genuine message is
 * accepted for the genuine key, and a memory that knows the genuine root changes no verdict.
 */
#include "keys/sign.h"
#include "tests/support/fixed_key.h"

#define BATCH 3u
#define MESSAGES (BATCH + 1u)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct genuine {
    bool made;
    uint8_t key[32];
    yz_bytes headers[MESSAGES];
    yz_buf blocks[MESSAGES];
    struct root_memory memory; /* knows the root of the batch */
} genuine;

static void make_genuine(void)
{
    struct key_pair k = yz_numbered_key(KEY_SIGNING, 0x42);
    static const char *const texts[MESSAGES] = {"first header", "second", "third header", "alone"};
    for (unsigned i = 0; i < MESSAGES; i++) {
        genuine.headers[i] = yzi_bytes_str(texts[i]);
        yzi_buf_init(&genuine.blocks[i], YZ_BLOCK_MAX);
    }
    YZ_ASSERT(yzi_sign_batch(&k, FRAME_REQUEST, genuine.headers, BATCH, genuine.blocks) == 0);
    YZ_ASSERT(yzi_sign_message(&k, FRAME_REQUEST, genuine.headers[BATCH], &genuine.blocks[BATCH]) ==
              0);
    struct signature_block b;
    YZ_ASSERT(yzi_block_parse(yzi_bytes_buf(&genuine.blocks[0]), &b) == 0);
    YZ_ASSERT(yzi_verify_message(&genuine.memory, FRAME_REQUEST, genuine.headers[0], &b) == 0);
    memcpy(genuine.key, k.public_key, 32);
    yzi_key_pair_fini(&k);
    genuine.made = true;
}

static void check(yz_bytes header, yz_bytes block, unsigned message)
{
    bool same = yzi_bytes_eq(header, genuine.headers[message]) &&
                yzi_bytes_eq(block, yzi_bytes_buf(&genuine.blocks[message]));
    struct signature_block b;
    if (yzi_block_parse(block, &b) != 0) {
        YZ_ASSERT(!same);
        return;
    }
    struct root_memory memory = genuine.memory;
    int rc = yzi_verify_message(NULL, FRAME_REQUEST, header, &b);
    YZ_ASSERT(rc == 0 || rc == YZ_ESIGNATURE);
    YZ_ASSERT(yzi_verify_message(&memory, FRAME_REQUEST, header, &b) == rc);
    YZ_ASSERT(yzi_verify_message(NULL, FRAME_RESPONSE, header, &b) == YZ_ESIGNATURE);
    if (yzi_bytes_eq(b.key, yzi_bytes(genuine.key, 32))) {
        YZ_ASSERT((rc == 0) == same);
    }
}

static void check_changed(yz_reader *changes, unsigned message)
{
    uint8_t bytes[64 + YZ_BLOCK_MAX];
    yz_bytes h = genuine.headers[message], b = yzi_bytes_buf(&genuine.blocks[message]);
    YZ_ASSERT(h.n + b.n <= sizeof bytes);
    memcpy(bytes, h.p, h.n);
    memcpy(bytes + h.n, b.p, b.n);
    uint16_t at;
    uint8_t bits;
    while (yzi_read_u16(changes, &at) == 0 && yzi_read_u8(changes, &bits) == 0) {
        bytes[at % (h.n + b.n)] ^= bits;
    }
    check(yzi_bytes(bytes, h.n), yzi_bytes(bytes + h.n, b.n), message);
}

static void check_other(yz_reader *in, unsigned message)
{
    uint8_t n;
    yz_bytes header, block;
    if (yzi_read_u8(in, &n) == 0 && yzi_read_bytes(in, n, &header) == 0 &&
        yzi_read_bytes(in, in->left, &block) == 0) {
        /* the genuine message may stand here by chance of the corpus */
        for (unsigned i = 0; i < MESSAGES; i++) {
            if (yzi_bytes_eq(header, genuine.headers[i])) {
                message = i;
            }
        }
        check(header, block, message);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!genuine.made) {
        make_genuine();
    }
    yz_reader in = yzi_reader(yzi_bytes(data, size));
    uint8_t how;
    if (yzi_read_u8(&in, &how) != 0) {
        return 0;
    }
    if (how & 0x80) {
        check_other(&in, how % MESSAGES);
    } else {
        check_changed(&in, how % MESSAGES);
    }
    return 0;
}
