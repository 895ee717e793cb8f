/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing CSV: rejects and exports.
 */
#include "adapters/dataset/rejects.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <unistd.h>

#define FLUSH_AT (64u * 1024u)
#define BUFFER_MAX ((size_t)16 * 1024 * 1024)

struct import_rejects {
    int fd;
    bool headed, failed;
    yz_buf out;
};

int yzi_rejects_new(int fd, struct import_rejects **out)
{
    struct import_rejects *r;
    YZ_TRY(yzi_alloc(1, sizeof *r, &r));
    r->fd = fd;
    yzi_buf_init(&r->out, BUFFER_MAX);
    *out = r;
    return 0;
}

void yzi_rejects_free(struct import_rejects *r)
{
    if (r) {
        yzi_buf_wipe(&r->out);
        free(r);
    }
}

int yzi_csv_put(yz_buf *out, yz_bytes v, char delimiter, bool first)
{
    bool quote = v.n && (v.p[0] == ' ' || v.p[v.n - 1] == ' ');
    for (size_t i = 0; i < v.n && !quote; i++) {
        quote = v.p[i] == (uint8_t)delimiter || v.p[i] == '"' || v.p[i] == '\n' || v.p[i] == '\r';
    }
    if (!first) {
        YZ_TRY(yzi_buf_put_u8(out, (uint8_t)delimiter));
    }
    if (!quote) {
        return yzi_buf_put(out, v);
    }
    YZ_TRY(yzi_buf_put_u8(out, '"'));
    while (v.n) {
        const uint8_t *mark = memchr(v.p, '"', v.n);
        size_t n = mark ? (size_t)(mark - v.p) + 1 : v.n;
        YZ_TRY(yzi_buf_put(out, yzi_bytes(v.p, n)));
        YZ_TRY(mark ? yzi_buf_put_u8(out, '"') : 0);
        v = yzi_bytes(v.p + n, v.n - n);
    }
    return yzi_buf_put_u8(out, '"');
}

int yzi_rejects_flush(struct import_rejects *r)
{
    for (size_t done = 0; done < r->out.n;) {
        ssize_t n = write(r->fd, r->out.p + done, r->out.n - done);
        if (n < 0 && errno != EINTR) {
            r->failed = true;
            return yzi_err_from_errno(errno);
        }
        done += n > 0 ? (size_t)n : 0;
    }
    yzi_buf_clear(&r->out);
    return 0;
}

bool yzi_rejects_failed(const struct import_rejects *r)
{
    return r->failed;
}

int yzi_rejects_restart(struct import_rejects *r)
{
    yzi_buf_clear(&r->out);
    r->headed = false;
    YZ_ENSURE(ftruncate(r->fd, 0) == 0 && lseek(r->fd, 0, SEEK_SET) == 0, YZ_EIO);
    return 0;
}

static int put_columns(struct import_rejects *r, const yz_bytes *columns, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(yzi_csv_put(&r->out, columns[i], ',', false));
    }
    YZ_TRY(yzi_buf_put_str(&r->out, "\n"));
    return r->out.n >= FLUSH_AT ? yzi_rejects_flush(r) : 0;
}

int yzi_rejects_head(struct import_rejects *r, const yz_bytes *names, size_t n)
{
    YZ_ENSURE(!r->headed, YZ_EINVAL);
    r->headed = true;
    YZ_TRY(yzi_buf_put_str(&r->out, "line,record,reason"));
    return put_columns(r, names, n);
}

int yzi_rejects_put(struct import_rejects *r, const struct scan_place *at, yz_bytes reason,
                    const yz_bytes *columns, size_t n)
{
    YZ_TRY(yzi_buf_printf(&r->out, "%" PRIu64 ",", at->line));
    YZ_TRY(at->record ? yzi_buf_printf(&r->out, "%" PRIu64, at->record) : 0);
    YZ_TRY(yzi_csv_put(&r->out, reason, ',', false));
    return put_columns(r, columns, n);
}
