/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: yzi_decoder_feed. The first byte is the size of the pieces; fed whole and in pieces a
 * file must give the same text, and what is not marked as wrong must be UTF-8.
 */
#include "adapters/dataset/encoding.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(yz_bytes file, size_t piece, yz_buf *out)
{
    struct decoder *d;
    yz_bytes text;
    YZ_ASSERT(yzi_decoder_new(&d) == 0);
    yzi_buf_init(out, 1u << 22);
    while (file.n > piece) {
        YZ_ASSERT(yzi_decoder_feed(d, yzi_bytes(file.p, piece), false, &text) == 0);
        YZ_ASSERT(yzi_buf_put(out, text) == 0);
        file = yzi_bytes(file.p + piece, file.n - piece);
    }
    YZ_ASSERT(yzi_decoder_feed(d, file, true, &text) == 0);
    YZ_ASSERT(yzi_buf_put(out, text) == 0);
    yzi_decoder_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    yz_buf whole, pieces;
    decode(yzi_bytes(data + 1, size - 1), size, &whole);
    decode(yzi_bytes(data + 1, size - 1), 1 + data[0] % 16, &pieces);
    YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&whole), yzi_bytes_buf(&pieces)));
    for (size_t at = 0; at < whole.n;) {
        yz_bytes rest = yzi_bytes(whole.p + at, whole.n - at);
        size_t n = yzi_utf8_char(rest);
        YZ_ASSERT(n > 0 || rest.p[0] == 0xff);
        at += n ? n : 1;
    }
    yzi_buf_fini(&whole);
    yzi_buf_fini(&pieces);
    return 0;
}
