/* SPDX-License-Identifier: Apache-2.0
 *
 * iconv with what it leaves to its caller: characters cut by a piece's end, and bytes that are
 * wrong.
 */
#include "adapters/dataset/encoding.h"

#include <errno.h>
#include <iconv.h>
#include <sodium.h>

#define CHARACTER_MAX 4u
#define OUT_MAX ((size_t)8 * 1024 * 1024)
#define WRONG 0xffu

struct decoder {
    iconv_t cd;
    bool open;
    uint8_t kept[2 * CHARACTER_MAX]; /* the beginning of a character whose rest comes next */
    size_t kept_n;
    yz_buf out;
};

int yzi_decoder_new(struct decoder **out)
{
    struct decoder *d;
    YZ_TRY(yzi_alloc(1, sizeof *d, &d));
    yzi_buf_init(&d->out, OUT_MAX);
    d->cd = iconv_open("UTF-8", "GB18030");
    d->open = d->cd != (iconv_t)-1; // NOLINT(performance-no-int-to-ptr): iconv(3)'s failure
    if (!d->open) {
        int rc = errno == EINVAL ? YZ_EUNSUPPORTED : YZ_ENOMEM;
        yzi_decoder_free(d);
        return rc;
    }
    *out = d;
    return 0;
}

void yzi_decoder_free(struct decoder *d)
{
    if (!d) {
        return;
    }
    if (d->open) {
        iconv_close(d->cd);
    }
    yzi_buf_wipe(&d->out);
    sodium_memzero(d->kept, sizeof d->kept);
    free(d);
}

/* Convert what can be; *left bytes at the end are the beginning of a character. */
static int convert(struct decoder *d, yz_bytes in, size_t *left)
{
    char *from = (char *)(uintptr_t)in.p;
    size_t from_n = in.n;
    while (from_n) {
        uint8_t *room;
        size_t room_n = 2 * from_n + 16, before = d->out.n; /* two bytes become three at most */
        YZ_TRY(yzi_buf_extend(&d->out, room_n, &room));
        char *to = (char *)room;
        size_t to_n = room_n;
        size_t rc = iconv(d->cd, &from, &from_n, &to, &to_n);
        int reason = errno;
        d->out.n = before + (room_n - to_n);
        if (rc != (size_t)-1 || reason == E2BIG) {
            continue;
        }
        if (reason == EINVAL) {
            break;
        }
        YZ_TRY(yzi_buf_put_u8(&d->out, WRONG));
        from++;
        from_n--;
    }
    *left = from_n;
    return 0;
}

/* Complete the character that was kept, taking from the front of the piece. */
static int complete(struct decoder *d, yz_bytes *piece)
{
    while (d->kept_n && piece->n) {
        size_t left;
        d->kept[d->kept_n++] = *piece->p;
        *piece = yzi_bytes(piece->p + 1, piece->n - 1);
        YZ_TRY(convert(d, yzi_bytes(d->kept, d->kept_n), &left));
        memmove(d->kept, d->kept + d->kept_n - left, left);
        d->kept_n = left;
    }
    return 0;
}

int yzi_decoder_feed(struct decoder *d, yz_bytes piece, bool last, yz_bytes *out)
{
    size_t left = 0;
    yzi_buf_clear(&d->out);
    YZ_TRY(complete(d, &piece));
    if (piece.n) {
        YZ_TRY(convert(d, piece, &left));
        YZ_ENSURE(left <= CHARACTER_MAX, YZ_EINTERNAL);
        memcpy(d->kept, piece.p + piece.n - left, left);
        d->kept_n = left;
    }
    if (last && d->kept_n) {
        d->kept_n = 0;
        YZ_TRY(yzi_buf_put_u8(&d->out, WRONG));
    }
    *out = yzi_bytes_buf(&d->out);
    return 0;
}
