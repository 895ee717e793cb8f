/* SPDX-License-Identifier: Apache-2.0
 *
 * The asking end of the administration socket: blocking, one request, replies until the last.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "net/admin.h"
#include "net/admin_wire.h"

int yzi_admin_address(const char *path, struct sockaddr_un *out, yz_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof address.sun_path) {
        return yzi_fail(err, YZ_ECONFIG,
                        "a socket's path has 1 to %zu bytes on this system, this has %zu: %s",
                        sizeof address.sun_path - 1, n, path);
    }
    memcpy(address.sun_path, path, n);
    *out = address;
    return YZ_OK;
}

static void close_socket(const int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

static int connect_to(const char *path, uint64_t timeout_ms, int *out, yz_error *err)
{
    struct sockaddr_un address;
    YZ_TRY(yzi_admin_address(path, &address, err));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return yzi_fail(err, yzi_err_from_errno(errno), "cannot make a socket: %s",
                        strerror(errno));
    }
    struct timeval t = {.tv_sec = (time_t)(timeout_ms / 1000),
                        .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000)};
    int rc = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
    if (rc == 0) {
        rc = setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    }
    if (rc == 0) {
        rc = connect(fd, (struct sockaddr *)&address, sizeof address);
    }
    if (rc == 0) {
        *out = fd;
        return YZ_OK;
    }
    int reason = errno;
    close(fd);
    switch (reason) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
        return yzi_fail(err, YZ_ENOTFOUND, "nobody answers on %s: is the daemon running?", path);
    case EACCES:
    case EPERM:
        return yzi_fail(err, YZ_EPERM, "%s: only the daemon's own user and root may ask it", path);
    case EAGAIN:
        return yzi_fail(err, YZ_ETIMEOUT, "the daemon behind %s is too busy to listen", path);
    default:
        return yzi_fail(err, YZ_EIO, "cannot connect to %s: %s", path, strerror(reason));
    }
}

/* Send all; the descriptors go with the first bytes. */
static int send_all(int socket, yz_bytes b, const int fds[2])
{
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    size_t n_fds = fds[0] < 0 ? 0 : fds[1] < 0 ? 1 : 2;
    while (b.n) {
        struct iovec v = {(void *)(uintptr_t)b.p, b.n};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
        if (n_fds) {
            m.msg_control = control.bytes;
            m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
            struct cmsghdr *h = CMSG_FIRSTHDR(&m);
            h->cmsg_level = SOL_SOCKET;
            h->cmsg_type = SCM_RIGHTS;
            h->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
            memcpy(CMSG_DATA(h), fds, n_fds * sizeof(int));
        }
        ssize_t n = sendmsg(socket, &m, MSG_NOSIGNAL);
        if (n >= 0) {
            b = yzi_bytes(b.p + n, b.n - (size_t)n);
            n_fds = 0;
        } else if (errno == EAGAIN) {
            return YZ_ETIMEOUT;
        } else if (errno == EPIPE || errno == ECONNRESET) {
            return YZ_ECLOSED;
        } else if (errno != EINTR) {
            return YZ_EIO;
        }
    }
    return YZ_OK;
}

static int recv_all(int socket, uint8_t *p, size_t n)
{
    while (n) {
        ssize_t got = recv(socket, p, n, 0);
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        } else if (got == 0 || errno == ECONNRESET) {
            return YZ_ECLOSED;
        } else if (errno == EAGAIN) {
            return YZ_ETIMEOUT;
        } else if (errno != EINTR) {
            return YZ_EIO;
        }
    }
    return YZ_OK;
}

/* The next reply; the views point into `in`. */
static int next_reply(int socket, yz_buf *in, struct admin_reply *out, yz_bytes *out_payload)
{
    uint8_t prefix[ADMIN_PREFIX];
    YZ_TRY(recv_all(socket, prefix, sizeof prefix));
    uint32_t n = yzi_load_u32(prefix);
    YZ_ENSURE(n > 0 && n <= ADMIN_MESSAGE_MAX, YZ_EMALFORMED);
    yzi_buf_clear(in);
    uint8_t *p;
    YZ_TRY(yzi_buf_extend(in, n, &p));
    YZ_TRY(recv_all(socket, p, n));
    struct frame f;
    YZ_TRY(yzi_frame_parse(yzi_bytes_buf(in), ADMIN_MESSAGE_MAX, &f));
    YZ_ENSURE(f.kind == FRAME_ADMIN_REPLY, YZ_EMALFORMED);
    YZ_TRY(yzi_admin_reply_parse(f.header, out));
    *out_payload = f.payload;
    return YZ_OK;
}

static int fail_talk(int rc, const char *path, yz_error *err)
{
    switch (rc) {
    case YZ_ETIMEOUT:
        return yzi_fail(err, rc, "the daemon behind %s did not answer in time", path);
    case YZ_ECLOSED:
        return yzi_fail(err, YZ_EIO,
                        "the daemon behind %s ended before it answered; its log says what came of "
                        "this",
                        path);
    case YZ_EIO:
        return yzi_fail(err, rc, "talking to %s failed: %s", path, strerror(errno));
    case YZ_ENOMEM:
    case YZ_ELIMIT:
        return yzi_fail(err, rc, "not enough memory for the daemon's answer");
    default:
        return yzi_fail(err, rc, "what answers on %s does not speak this protocol", path);
    }
}

static int send_request(int socket, const struct admin_request *request, yz_bytes payload,
                        const int fds[2], const char *path, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yzi_buf_init(&out, ADMIN_PREFIX + ADMIN_MESSAGE_MAX);
    int rc = yzi_buf_put_zero(&out, ADMIN_PREFIX);
    if (rc == YZ_OK) {
        rc = yzi_admin_request_write(request, payload, &out);
    }
    if (rc < 0) {
        return yzi_fail(err, rc, "the request cannot be sent (%s)", yz_err_words(rc));
    }
    yzi_store_u32(out.p, (uint32_t)(out.n - ADMIN_PREFIX));
    rc = send_all(socket, yzi_bytes_buf(&out), fds);
    /* a daemon that hangs up early may have said why */
    return rc < 0 && rc != YZ_ECLOSED ? fail_talk(rc, path, err) : YZ_OK;
}

/* Fill in what the caller asked for from the last reply, and return its code. */
static int finish(const struct admin_reply *r, yz_bytes payload, yz_buf *out_text,
                  yz_buf *out_payload, yz_error *err)
{
    if (out_text) {
        YZ_TRY(yzi_buf_put(out_text, r->text));
    }
    if (out_payload) {
        YZ_TRY(yzi_buf_put(out_payload, payload));
    }
    if (r->code < 0) {
        return yzi_fail(err, r->code, "%.*s", (int)r->text.n,
                        r->text.n ? (const char *)r->text.p : "");
    }
    return YZ_OK;
}

int yzi_admin_call(const char *path, const struct admin_request *request, yz_bytes payload, int fd,
                   uint64_t timeout_ms, void (*each)(void *ctx, yz_bytes text, yz_bytes payload),
                   void *ctx, yz_buf *out_text, yz_buf *out_payload, yz_error *err)
{
    const int fds[2] = {fd, -1};
    return yzi_admin_call_fds(path, request, payload, fds, timeout_ms, each, ctx, out_text,
                              out_payload, err);
}

int yzi_admin_call_fds(const char *path, const struct admin_request *request, yz_bytes payload,
                       const int fds[2], uint64_t timeout_ms,
                       void (*each)(void *ctx, yz_bytes text, yz_bytes payload), void *ctx,
                       yz_buf *out_text, yz_buf *out_payload, yz_error *err)
{
    YZ_AUTO(close_socket) int socket = -1;
    YZ_TRY(connect_to(path, timeout_ms, &socket, err));
    YZ_TRY(send_request(socket, request, payload, fds, path, err));
    YZ_AUTO(yzi_buf_fini) yz_buf in;
    yzi_buf_init(&in, ADMIN_MESSAGE_MAX);
    for (;;) {
        struct admin_reply reply;
        yz_bytes body;
        int rc = next_reply(socket, &in, &reply, &body);
        if (rc < 0) {
            return fail_talk(rc, path, err);
        }
        if (reply.done) {
            return finish(&reply, body, out_text, out_payload, err);
        }
        if (each) {
            each(ctx, reply.text, body);
        }
    }
}
