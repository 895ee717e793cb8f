/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_utf8_char, yzi_utf8_is_valid, yzi_utf8_cut, yzi_hex_encode, yzi_hex_decode,
 * yzi_base64_encode, yzi_base64_decode, yzi_percent_encode, yzi_percent_decode,
 * yzi_percent_is_canonical, yzi_u64_parse, yzi_duration_parse, yzi_time_parse, yzi_uuid_parse.
 *
 * The input is taken as bytes to encode, which must come back, and as text to decode, which must be
 * refused or be exactly what encoding the result gives.
 */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/uuid.h"

#define INPUT_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int coder(yz_bytes in, yz_buf *out);

/* encode then decode is the identity, into a buffer of the size needed and into none smaller. */
static void check_bytes(yz_bytes in, coder *encode, coder *decode)
{
    yz_buf text, back;
    yzi_buf_init(&text, 3 * INPUT_MAX);
    yzi_buf_init(&back, in.n);
    YZ_ASSERT(encode(in, &text) == 0);
    YZ_ASSERT(decode(yzi_bytes_buf(&text), &back) == 0);
    YZ_ASSERT(yzi_bytes_eq(in, yzi_bytes_buf(&back)));
    if (in.n) {
        yzi_buf_fini(&back);
        yzi_buf_init(&back, in.n - 1);
        YZ_ASSERT(decode(yzi_bytes_buf(&text), &back) == YZ_ELIMIT && back.n == 0);
    }
    yzi_buf_fini(&text);
    yzi_buf_fini(&back);
}

/* What decodes, encodes to the same text; what does not, changes nothing. */
static bool check_text(yz_bytes in, coder *encode, coder *decode)
{
    yz_buf bytes, again;
    yzi_buf_init(&bytes, INPUT_MAX + 1);
    yzi_buf_init(&again, INPUT_MAX);
    YZ_ASSERT(yzi_buf_put_u8(&bytes, 0xa5) == 0);
    int rc = decode(in, &bytes);
    YZ_ASSERT(rc == 0 || (rc == YZ_EMALFORMED && bytes.n == 1));
    YZ_ASSERT(bytes.p[0] == 0xa5);
    if (rc == 0) {
        YZ_ASSERT(encode(yzi_bytes(bytes.p + 1, bytes.n - 1), &again) == 0);
        YZ_ASSERT(yzi_bytes_eq(in, yzi_bytes_buf(&again)));
    }
    yzi_buf_fini(&bytes);
    yzi_buf_fini(&again);
    return rc == 0;
}

static void check_hex(yz_bytes in)
{
    static char text[2 * INPUT_MAX + 1];
    static uint8_t bytes[INPUT_MAX];
    YZ_ASSERT(yzi_hex_encode(in, text, 2 * in.n) == YZ_ELIMIT);
    YZ_ASSERT(yzi_hex_encode(in, text, 2 * in.n + 1) == 0 && strlen(text) == 2 * in.n);
    YZ_ASSERT(yzi_hex_decode(yzi_bytes(text, 2 * in.n), bytes, in.n) == 0);
    YZ_ASSERT(yzi_bytes_eq(in, yzi_bytes(bytes, in.n)));
    if (yzi_hex_decode(in, bytes, in.n / 2) == 0) {
        YZ_ASSERT(yzi_hex_encode(yzi_bytes(bytes, in.n / 2), text, sizeof text) == 0);
        for (size_t i = 0; i < in.n; i++) { /* the same but for case */
            YZ_ASSERT(text[i] == in.p[i] || (in.p[i] < 'a' && text[i] == (in.p[i] | 0x20)));
        }
    }
}

static void check_utf8(yz_bytes in)
{
    size_t at = 0, len;
    while (at < in.n && (len = yzi_utf8_char(yzi_bytes(in.p + at, in.n - at))) > 0) {
        YZ_ASSERT(len <= 4 && len <= in.n - at);
        for (size_t cut = at; cut < at + len; cut++) { /* every cut inside falls on its start */
            YZ_ASSERT(yzi_utf8_cut(yzi_bytes(in.p, at + len), cut) == at);
        }
        at += len;
    }
    YZ_ASSERT(yzi_utf8_is_valid(in) == (at == in.n));
    YZ_ASSERT(yzi_utf8_is_valid(yzi_bytes(in.p, at)));
    for (size_t n = 0; n <= in.n; n++) {
        YZ_ASSERT(yzi_utf8_cut(in, n) <= n);
    }
}

/* Texts with one form of their own: accepted means that printing gives the text again. */
static void check_words(yz_bytes in)
{
    char word[64], again[64];
    size_t n = in.n < sizeof word ? in.n : sizeof word - 1;
    if (n) {
        memcpy(word, in.p, n);
    }
    word[n] = '\0';

    uint64_t v;
    if (yzi_u64_parse(in, UINT64_MAX, &v) == 0) {
        snprintf(again, sizeof again, "%llu", (unsigned long long)v);
        YZ_ASSERT(yzi_bytes_eq_str(in, again));
        YZ_ASSERT(v == 0 || yzi_u64_parse(in, v - 1, &v) == YZ_ELIMIT);
    }
    yz_uuid u;
    if (yzi_uuid_parse(word, &u) == 0) {
        yzi_uuid_format(&u, again);
        YZ_ASSERT(strcasecmp(word, again) == 0);
    }
    if (yzi_time_parse(word, &v) == 0) {
        yzi_time_format(v, again);
        size_t same = strlen(word) == 10 ? 10 : 19; /* the date; with the time; */
        YZ_ASSERT(strncmp(word, again, same) == 0);
        YZ_ASSERT(strlen(word) != 24 || strcmp(word, again) == 0); /* the whole */
    }
    if (yzi_duration_parse(word, &v) == 0) {
        snprintf(again, sizeof again, "%llums", (unsigned long long)v);
        uint64_t w;
        YZ_ASSERT(yzi_duration_parse(again, &w) == 0 && v == w);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    yz_bytes in = yzi_bytes(data, size < INPUT_MAX ? size : INPUT_MAX);
    check_utf8(in);
    check_hex(in);
    check_bytes(in, yzi_base64_encode, yzi_base64_decode);
    check_text(in, yzi_base64_encode, yzi_base64_decode);
    check_bytes(in, yzi_percent_encode, yzi_percent_decode);
    YZ_ASSERT(check_text(in, yzi_percent_encode, yzi_percent_decode) ==
              yzi_percent_is_canonical(in));
    check_words(in);
    return 0;
}
