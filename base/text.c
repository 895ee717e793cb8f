/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 and the encodings. Each decoder accepts exactly what its encoder writes (hex of either
 * case excepted), so that one value has one text. Appending functions leave the buffer as it was
 * when they fail.
 */
#include "base/text.h"

/* -- UTF-8 -- */

static bool is_cont(uint8_t c)
{
    return (c & 0xc0) == 0x80;
}

/* Unicode 15, table 3-7: what the second byte may be depends on the first. */
size_t yzi_utf8_char(yz_bytes b)
{
    if (b.n == 0) {
        return 0;
    }
    uint8_t c = b.p[0];
    if (c < 0x80) {
        return 1;
    }
    if (c < 0xc2 || c > 0xf4 || b.n < 2) { /* a lone continuation, an overlong form, too high */
        return 0;
    }
    if (c < 0xe0) {
        return is_cont(b.p[1]) ? 2 : 0;
    }
    uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    uint8_t high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (b.p[1] < low || b.p[1] > high) {
        return 0;
    }
    size_t len = c < 0xf0 ? 3 : 4;
    if (b.n < len || !is_cont(b.p[2]) || (len == 4 && !is_cont(b.p[3]))) {
        return 0;
    }
    return len;
}

bool yzi_utf8_is_valid(yz_bytes b)
{
    while (b.n) {
        size_t len = yzi_utf8_char(b);
        if (len == 0) {
            return false;
        }
        b = yzi_bytes(b.p + len, b.n - len);
    }
    return true;
}

size_t yzi_utf8_cut(yz_bytes b, size_t n)
{
    if (n >= b.n) {
        return b.n;
    }
    size_t cut = n;
    for (int back = 0; back < 3 && cut > 0 && is_cont(b.p[cut]); back++) {
        cut--;
    }
    return is_cont(b.p[cut]) ? n : cut; /* not UTF-8: there is no character to spare */
}

/* -- hex -- */

static const char hex_lower[] = "0123456789abcdef";
static const char hex_upper[] = "0123456789ABCDEF";

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int yzi_hex_encode(yz_bytes b, char *out, size_t cap)
{
    YZ_ENSURE(cap > 0 && b.n <= (cap - 1) / 2, YZ_ELIMIT);
    for (size_t i = 0; i < b.n; i++) {
        out[2 * i] = hex_lower[b.p[i] >> 4];
        out[2 * i + 1] = hex_lower[b.p[i] & 15];
    }
    out[2 * b.n] = '\0';
    return 0;
}

int yzi_hex_decode(yz_bytes text, uint8_t *out, size_t n)
{
    YZ_ENSURE(text.n % 2 == 0 && text.n / 2 == n, YZ_EINVAL);
    for (size_t i = 0; i < text.n; i++) {
        YZ_ENSURE(hex_value(text.p[i]) >= 0, YZ_EINVAL);
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = (uint8_t)(hex_value(text.p[2 * i]) << 4 | hex_value(text.p[2 * i + 1]));
    }
    return 0;
}

/* -- base64 -- */

static const char base64_chars[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int yzi_base64_encode(yz_bytes b, yz_buf *out)
{
    size_t n;
    YZ_TRY(yzi_size_mul(b.n / 3 + (b.n % 3 != 0), 4, &n));
    uint8_t *q;
    YZ_TRY(yzi_buf_extend(out, n, &q));
    for (size_t i = 0; i < b.n; i += 3) {
        size_t have = b.n - i < 3 ? b.n - i : 3;
        uint32_t v = (uint32_t)b.p[i] << 16;
        v |= have > 1 ? (uint32_t)b.p[i + 1] << 8 : 0;
        v |= have > 2 ? b.p[i + 2] : 0;
        *q++ = (uint8_t)base64_chars[v >> 18];
        *q++ = (uint8_t)base64_chars[v >> 12 & 63];
        *q++ = have > 1 ? (uint8_t)base64_chars[v >> 6 & 63] : '=';
        *q++ = have > 2 ? (uint8_t)base64_chars[v & 63] : '=';
    }
    return 0;
}

/* One group of four characters, of which `chars` are not padding, to chars - 1 bytes. */
static int base64_group(const uint8_t *p, size_t chars, uint8_t *out)
{
    uint32_t v = 0;
    for (size_t i = 0; i < chars; i++) {
        int d = base64_value(p[i]);
        YZ_ENSURE(d >= 0, YZ_EMALFORMED);
        v |= (uint32_t)d << (18 - 6 * i);
    }
    YZ_ENSURE(chars == 4 || (v & (chars == 3 ? 0xffu : 0xffffu)) == 0, YZ_EMALFORMED);
    for (size_t i = 0; i + 1 < chars; i++) {
        out[i] = (uint8_t)(v >> (16 - 8 * i));
    }
    return 0;
}

/* Of text whose length is a multiple of four and not 0: the padding it claims. */
static size_t base64_padding(yz_bytes text)
{
    return text.p[text.n - 1] != '=' ? 0 : text.p[text.n - 2] != '=' ? 1 : 2;
}

static int base64_groups(yz_bytes text, size_t pad, uint8_t *out)
{
    for (size_t i = 0; i < text.n; i += 4, out += 3) {
        YZ_TRY(base64_group(text.p + i, text.n - i > 4 ? 4 : 4 - pad, out));
    }
    return 0;
}

int yzi_base64_decode(yz_bytes text, yz_buf *out)
{
    YZ_ENSURE(text.n % 4 == 0, YZ_EMALFORMED);
    if (text.n == 0) {
        return 0;
    }
    size_t pad = base64_padding(text);
    size_t before = out->n;
    uint8_t *q;
    YZ_TRY(yzi_buf_extend(out, text.n / 4 * 3 - pad, &q));
    int rc = base64_groups(text, pad, q);
    if (rc < 0) {
        out->n = before;
    }
    return rc;
}

int yzi_base64_decode_exactly(yz_bytes text, uint8_t *out, size_t n)
{
    YZ_ENSURE(text.n % 4 == 0 && text.n > 0, YZ_EMALFORMED);
    size_t pad = base64_padding(text);
    YZ_ENSURE(text.n / 4 * 3 - pad == n, YZ_EMALFORMED);
    return base64_groups(text, pad, out);
}

/* -- percent -- */

static bool is_unreserved(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

int yzi_percent_encode(yz_bytes b, yz_buf *out)
{
    size_t n = b.n;
    for (size_t i = 0; i < b.n; i++) {
        if (!is_unreserved(b.p[i])) {
            YZ_TRY(yzi_size_add(n, 2, &n));
        }
    }
    uint8_t *q;
    YZ_TRY(yzi_buf_extend(out, n, &q));
    for (size_t i = 0; i < b.n; i++) {
        if (is_unreserved(b.p[i])) {
            *q++ = b.p[i];
        } else {
            *q++ = '%';
            *q++ = (uint8_t)hex_upper[b.p[i] >> 4];
            *q++ = (uint8_t)hex_upper[b.p[i] & 15];
        }
    }
    return 0;
}

/* Read one byte of canonical percent text. */
static int percent_next(yz_reader *r, uint8_t *out)
{
    uint8_t c;
    YZ_TRY(yzi_read_u8(r, &c));
    if (c != '%') {
        YZ_ENSURE(is_unreserved(c), YZ_EMALFORMED);
        *out = c;
        return 0;
    }
    uint8_t h[2];
    YZ_TRY(yzi_read_into(r, h, 2));
    for (int i = 0; i < 2; i++) { /* lower case would be a second form of the same byte */
        YZ_ENSURE((h[i] >= '0' && h[i] <= '9') || (h[i] >= 'A' && h[i] <= 'F'), YZ_EMALFORMED);
    }
    c = (uint8_t)(hex_value(h[0]) << 4 | hex_value(h[1]));
    YZ_ENSURE(!is_unreserved(c), YZ_EMALFORMED);
    *out = c;
    return 0;
}

/* The decoded length of canonical text. */
static int percent_length(yz_bytes text, size_t *out)
{
    size_t n = 0;
    for (yz_reader r = yzi_reader(text); r.left; n++) {
        uint8_t c;
        YZ_TRY(percent_next(&r, &c));
    }
    *out = n;
    return 0;
}

int yzi_percent_decode(yz_bytes text, yz_buf *out)
{
    size_t n;
    YZ_TRY(percent_length(text, &n));
    uint8_t *q;
    YZ_TRY(yzi_buf_extend(out, n, &q));
    for (yz_reader r = yzi_reader(text); r.left; q++) {
        YZ_TRY(percent_next(&r, q)); /* cannot fail: the same text just passed */
    }
    return 0;
}

bool yzi_percent_is_canonical(yz_bytes text)
{
    size_t n;
    return percent_length(text, &n) == 0;
}

/* -- numbers -- */

int yzi_u64_parse(yz_bytes text, uint64_t max, uint64_t *out)
{
    YZ_ENSURE(text.n > 0, YZ_EINVAL);
    YZ_ENSURE(text.n == 1 || text.p[0] != '0', YZ_EINVAL);
    for (size_t i = 0; i < text.n; i++) {
        YZ_ENSURE(text.p[i] >= '0' && text.p[i] <= '9', YZ_EINVAL);
    }
    uint64_t v = 0;
    for (size_t i = 0; i < text.n; i++) {
        YZ_ENSURE(!__builtin_mul_overflow(v, 10, &v), YZ_ELIMIT);
        YZ_ENSURE(!__builtin_add_overflow(v, (uint64_t)(text.p[i] - '0'), &v), YZ_ELIMIT);
    }
    YZ_ENSURE(v <= max, YZ_ELIMIT);
    *out = v;
    return 0;
}
