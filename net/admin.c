/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon's end of the administration socket. A connection is a call: it is read until the
 * request is whole, worked on by the handler for as long as that takes, and flushed. All
 * descriptors hang on one epoll, which is what the daemon's poll loop waits for. The asking end is
 * net/admin_call.c.
 *
 * Who may ask: the socket is made 0600 (before it has a name, so there is no moment at which others
 * could connect), and the peer's uid is checked again, because root may have widened the folder.
 */
#include "net/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"
#include "net/admin_wire.h"

#define PATIENCE_MS 30000u /* for a request to arrive, and for a reader to take the next bytes */
#define READ_BYTES 65536u  /* at a time */
#define READS_PER_STEP 64u /* so that one large request does not hold up the daemon */
#define ARENA_MAX (64u * 1024u)
#define BACKLOG 16
#define LISTEN_AGAIN_MS 1000u /* after running out of descriptors */

enum call_state { CALL_READING, CALL_WORKING, CALL_FLUSHING };

struct admin_call {
    struct admin_server *server;
    int socket; /* -1: the peer is gone, or was never worth waiting for */
    enum call_state state;
    bool in_handler;
    uint64_t deadline; /* UINT64_MAX while the handler works and nothing waits to be sent */
    int fd, second_fd; /* received; -1: none */
    yz_buf in;         /* u32 length ‖ frame */
    yz_buf out;
    size_t sent; /* of out */
    struct arena arena;
};

struct admin_server {
    const struct clock *clock;
    admin_handler *handler;
    void *ctx;
    bool (*allowed)(uid_t uid);
    char *path;
    dev_t dev; /* of the name we made, so that no other's is unlinked */
    ino_t ino;
    int listener, epoll;
    bool listening;     /* false: no slot or no descriptor is free, callers wait in the backlog */
    uint64_t listen_at; /* when to listen again although nothing was freed; UINT64_MAX: never */
    struct admin_call *calls[ADMIN_CONNECTIONS_MAX];
};

static bool allowed_by_default(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

/* -- the listening socket -- */

/* Somebody else's name is never taken away: only a socket nobody listens on is. */
static int remove_stale(const char *path, const struct sockaddr_un *address, yz_error *err)
{
    struct stat st;
    if (lstat(path, &st) < 0) {
        return errno == ENOENT
                   ? YZ_OK
                   : yzi_fail(err, YZ_EIO, "cannot look at %s: %s", path, strerror(errno));
    }
    if (!S_ISSOCK(st.st_mode)) {
        return yzi_fail(err, YZ_EEXIST, "%s exists and is not a socket", path);
    }
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) {
        return yzi_fail(err, yzi_err_from_errno(errno), "cannot make a socket: %s",
                        strerror(errno));
    }
    int rc = connect(probe, (const struct sockaddr *)address, sizeof *address);
    int reason = errno;
    close(probe);
    if (rc < 0 && reason == ECONNREFUSED) {
        if (unlink(path) == 0 || errno == ENOENT) {
            return YZ_OK;
        }
        return yzi_fail(err, YZ_EIO, "cannot remove the stale socket %s: %s", path,
                        strerror(errno));
    }
    if (rc == 0 || reason == EAGAIN) {
        return yzi_fail(err, YZ_EBUSY, "another process answers on %s", path);
    }
    return yzi_fail(err, YZ_EIO, "cannot tell whether anybody answers on %s: %s", path,
                    strerror(reason));
}

static int watch(struct admin_server *s, int op, int fd, uint32_t events, void *tag)
{
    struct epoll_event e = {.events = events, .data.ptr = tag};
    return epoll_ctl(s->epoll, op, fd, &e) < 0 ? yzi_err_from_errno(errno) : YZ_OK;
}

static int open_listener(struct admin_server *s, yz_error *err)
{
    struct sockaddr_un address;
    YZ_TRY(yzi_admin_address(s->path, &address, err));
    YZ_TRY(remove_stale(s->path, &address, err));
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct stat st;
    if (s->listener < 0 || s->epoll < 0) {
        return yzi_fail(err, yzi_err_from_errno(errno), "cannot make a socket: %s",
                        strerror(errno));
    }
    /* The name gets the mode the socket has (unix(7)). */
    if (fchmod(s->listener, 0600) < 0 ||
        bind(s->listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        lstat(s->path, &st) < 0) {
        return yzi_fail(err, errno == EADDRINUSE ? YZ_EBUSY : YZ_EIO, "cannot listen on %s: %s",
                        s->path, strerror(errno));
    }
    s->dev = st.st_dev;
    s->ino = st.st_ino;
    if (listen(s->listener, BACKLOG) < 0 ||
        watch(s, EPOLL_CTL_ADD, s->listener, EPOLLIN, NULL) < 0) {
        return yzi_fail(err, YZ_EIO, "cannot listen on %s: %s", s->path, strerror(errno));
    }
    s->listening = true;
    s->listen_at = UINT64_MAX;
    return YZ_OK;
}

static void set_listening(struct admin_server *s, bool on, uint64_t again_at)
{
    /* a failure to switch off costs a few idle wake-ups, one to switch on is tried again */
    bool done = watch(s, EPOLL_CTL_MOD, s->listener, on ? EPOLLIN : 0, NULL) == YZ_OK;
    s->listening = done ? on : !on;
    s->listen_at = on && !done ? yzi_mono_ms(s->clock) + LISTEN_AGAIN_MS : again_at;
}

int yzi_admin_server_new(const char *path, const struct clock *clock, admin_handler *handler,
                         void *ctx, struct admin_server **out, yz_error *err)
{
    YZ_ENSURE(path && clock && handler, YZ_EINVAL);
    struct admin_server *s;
    YZ_TRY(yzi_alloc(1, sizeof *s, &s));
    s->clock = clock;
    s->handler = handler;
    s->ctx = ctx;
    s->allowed = allowed_by_default;
    s->listener = s->epoll = -1;
    int rc = yzi_bytes_dup_str(yzi_bytes_str(path), &s->path);
    if (rc == YZ_OK) {
        rc = open_listener(s, err);
    }
    if (rc < 0) {
        yzi_admin_server_close(s);
        return rc;
    }
    *out = s;
    return YZ_OK;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static void free_call(struct admin_call *c)
{
    close_fd(&c->socket); /* the only descriptor of it, so this takes it off the epoll too */
    close_fd(&c->fd);
    close_fd(&c->second_fd);
    yzi_buf_fini(&c->in);
    yzi_buf_fini(&c->out);
    yzi_arena_fini(&c->arena);
    free(c);
}

void yzi_admin_server_close(struct admin_server *s)
{
    if (!s) {
        return;
    }
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX; i++) {
        if (s->calls[i]) {
            free_call(s->calls[i]);
        }
    }
    struct stat st;
    if (s->ino && lstat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino) {
        unlink(s->path);
    }
    close_fd(&s->listener);
    close_fd(&s->epoll);
    free(s->path);
    free(s);
}

void yzi_admin_server_set_allowed(struct admin_server *s, bool (*allowed)(uid_t uid))
{
    s->allowed = allowed;
}

/* -- calls -- */

/* Free the call if nothing keeps it: neither the handler nor bytes that somebody may still read. */
static void settle(struct admin_call *c)
{
    bool finished = c->socket < 0 && c->state != CALL_WORKING;
    if (c->in_handler || !finished) {
        return;
    }
    struct admin_server *s = c->server;
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX; i++) {
        if (s->calls[i] == c) {
            s->calls[i] = NULL;
        }
    }
    free_call(c);
    if (!s->listening) {
        set_listening(s, true, UINT64_MAX);
    }
}

/* The peer is gone or not worth waiting for. What the handler is doing it may finish. */
static void hang_up(struct admin_call *c)
{
    close_fd(&c->socket);
    yzi_buf_fini(&c->out);
    c->deadline = UINT64_MAX;
}

static void flush(struct admin_call *c)
{
    while (c->socket >= 0 && c->sent < c->out.n) {
        ssize_t n = send(c->socket, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);
        if (n >= 0) {
            c->sent += (size_t)n;
            c->deadline = yzi_mono_ms(c->server->clock) + PATIENCE_MS;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } else if (errno != EINTR) {
            hang_up(c);
        }
    }
    if (c->socket < 0) {
        return;
    }
    bool waiting = c->sent < c->out.n;
    if (!waiting) {
        yzi_buf_clear(&c->out);
        c->sent = 0;
        c->deadline = UINT64_MAX;
        if (c->state == CALL_FLUSHING) {
            hang_up(c);
            return;
        }
    }
    if (watch(c->server, EPOLL_CTL_MOD, c->socket, waiting ? EPOLLOUT : 0, c) < 0) {
        hang_up(c);
    }
}

/* Append a reply; what cannot be said as meant is said as an error that can. */
static int append_reply(struct admin_call *c, bool done, int code, yz_bytes text, yz_bytes payload)
{
    YZ_AUTO(yzi_buf_fini) yz_buf frame;
    yzi_buf_init(&frame, ADMIN_MESSAGE_MAX);
    struct admin_reply reply = {
        .done = done, .code = code, .text = yzi_bytes(text.p, yzi_utf8_cut(text, ADMIN_TEXT_MAX))};
    int rc = yzi_admin_reply_write(&reply, payload, &frame);
    if (rc < 0 && done) {
        yzi_buf_clear(&frame);
        reply.code = code < 0 ? code : rc;
        reply.text = yzi_bytes_str("the answer cannot be put into a message");
        rc = yzi_admin_reply_write(&reply, (yz_bytes){0}, &frame);
    }
    YZ_TRY(rc);
    if (c->sent == c->out.n) {
        yzi_buf_clear(&c->out);
        c->sent = 0;
    }
    YZ_TRY(yzi_buf_put_u32(&c->out, (uint32_t)frame.n));
    return yzi_buf_put(&c->out, yzi_bytes_buf(&frame));
}

void yzi_admin_reply(struct admin_call *c, bool done, int code, yz_bytes text, yz_bytes payload)
{
    YZ_ASSERT(c->state == CALL_WORKING);
    if (c->socket >= 0) {
        if (append_reply(c, done, code, text, payload) < 0) {
            hang_up(c); /* a reader that does not keep up, or no memory: better no end than a gap */
        }
    }
    if (done) {
        c->state = CALL_FLUSHING;
    }
    if (c->socket >= 0) {
        if (c->deadline == UINT64_MAX) {
            c->deadline = yzi_mono_ms(c->server->clock) + PATIENCE_MS;
        }
        flush(c);
    }
    settle(c);
}

int yzi_admin_take_second_fd(struct admin_call *c)
{
    int fd = c->second_fd;
    c->second_fd = -1;
    return fd;
}

bool yzi_admin_call_is_abandoned(const struct admin_call *c)
{
    return c->socket < 0;
}

/* A request that will not be handed to the handler. */
static void refuse(struct admin_call *c, int code, const char *text)
{
    c->state = CALL_WORKING;
    yzi_admin_reply(c, true, code, yzi_bytes_str(text), (yz_bytes){0});
}

static void work(struct admin_call *c)
{
    struct frame f;
    struct admin_request request;
    yz_bytes message = yzi_bytes(c->in.p + ADMIN_PREFIX, c->in.n - ADMIN_PREFIX);
    int rc = yzi_frame_parse(message, ADMIN_MESSAGE_MAX, &f);
    if (rc == YZ_OK && f.kind != FRAME_ADMIN_REQUEST) {
        rc = YZ_EMALFORMED;
    }
    if (rc == YZ_OK) {
        rc = yzi_admin_request_parse(f.header, &c->arena, &request);
    }
    if (rc < 0) {
        refuse(c, rc, "this is not a request of this version");
        return;
    }
    c->state = CALL_WORKING;
    c->deadline = UINT64_MAX;
    if (watch(c->server, EPOLL_CTL_MOD, c->socket, 0, c) <
        0) { /* only its end is of interest now */
        hang_up(c);
    }
    int fd = c->fd;
    c->fd = -1;
    c->in_handler = true;
    c->server->handler(c->server->ctx, c, &request, f.payload, fd);
    c->in_handler = false;
    settle(c);
}

/* -- reading a request -- */

static void keep_fds(struct admin_call *c, struct msghdr *m)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
            if (c->fd < 0) {
                c->fd = fd;
            } else if (c->second_fd < 0) {
                c->second_fd = fd;
            } else {
                close(fd);
            }
        }
    }
}

/* Bytes still missing, as far as is known. YZ_EMALFORMED, YZ_ETOOBIG. */
static int bytes_missing(const struct admin_call *c, size_t *out)
{
    if (c->in.n < ADMIN_PREFIX) {
        *out = ADMIN_PREFIX - c->in.n;
        return YZ_OK;
    }
    uint32_t length = yzi_load_u32(c->in.p);
    YZ_ENSURE(length > 0, YZ_EMALFORMED);
    YZ_ENSURE(length <= ADMIN_MESSAGE_MAX, YZ_ETOOBIG);
    *out = ADMIN_PREFIX + length - c->in.n;
    return YZ_OK;
}

/* One read of what is missing and no more. YZ_EAGAIN, YZ_ECLOSED, YZ_EIO. */
static int read_some(struct admin_call *c, size_t missing)
{
    union {
        char bytes[CMSG_SPACE(8 * sizeof(int))];
        struct cmsghdr align;
    } control;
    uint8_t chunk[READ_BYTES];
    struct iovec v = {chunk, missing < sizeof chunk ? missing : sizeof chunk};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(c->socket, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? YZ_EAGAIN : YZ_EIO;
    }
    keep_fds(c, &m);
    YZ_ENSURE(n > 0, YZ_ECLOSED);
    return yzi_buf_put(&c->in, yzi_bytes(chunk, (size_t)n));
}

static void read_request(struct admin_call *c)
{
    /* what is missing is asked once more after the last read: if that completed the request,
     * nothing would ever wake us for it again */
    for (unsigned i = 0; i <= READS_PER_STEP; i++) {
        size_t missing;
        int rc = bytes_missing(c, &missing);
        if (rc < 0) {
            refuse(c, rc, rc == YZ_ETOOBIG ? "the request is too long" : "this is no request");
            return;
        }
        if (missing == 0) {
            work(c);
            return;
        }
        if (i == READS_PER_STEP) {
            return;
        }
        rc = read_some(c, missing);
        if (rc == YZ_EAGAIN) {
            return;
        }
        if (rc < 0) {
            hang_up(c);
            settle(c);
            return;
        }
    }
}

/* -- connections -- */

static int new_call(struct admin_server *s, int socket, struct admin_call **out)
{
    struct admin_call *c;
    YZ_TRY(yzi_alloc(1, sizeof *c, &c));
    c->server = s;
    c->fd = c->second_fd = -1;
    c->socket = -1;
    c->deadline = yzi_mono_ms(s->clock) + PATIENCE_MS;
    yzi_buf_init(&c->in, ADMIN_PREFIX + ADMIN_MESSAGE_MAX);
    yzi_buf_init(&c->out, 2 * (size_t)(ADMIN_PREFIX + ADMIN_MESSAGE_MAX));
    yzi_arena_init(&c->arena, ARENA_MAX);
    int rc = watch(s, EPOLL_CTL_ADD, socket, EPOLLIN, c);
    if (rc < 0) {
        free_call(c);
        return rc;
    }
    c->socket = socket;
    *out = c;
    return YZ_OK;
}

/* Takes the descriptor whatever happens. */
static void admit(struct admin_server *s, size_t slot, int socket)
{
    struct ucred peer = {0};
    socklen_t n = sizeof peer;
    struct admin_call *c;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || new_call(s, socket, &c) < 0) {
        close(socket);
        return;
    }
    s->calls[slot] = c;
    if (!s->allowed(peer.uid)) {
        refuse(c, YZ_EPERM, "only the daemon's own user and root may ask it");
    }
}

static void accept_some(struct admin_server *s)
{
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX; i++) {
        if (s->calls[i]) {
            continue;
        }
        int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
                set_listening(s, false, yzi_mono_ms(s->clock) + LISTEN_AGAIN_MS);
            }
            return;
        }
        admit(s, i, fd);
    }
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX; i++) {
        if (!s->calls[i]) {
            return;
        }
    }
    set_listening(s, false, UINT64_MAX);
}

static void serve(struct admin_call *c, uint32_t events)
{
    if (c->state == CALL_READING) {
        read_request(c);
    } else if (events & (EPOLLHUP | EPOLLERR)) {
        hang_up(c);
        settle(c);
    } else if (events & EPOLLOUT) {
        flush(c);
        settle(c);
    }
}

static void expire(struct admin_server *s)
{
    uint64_t now = yzi_mono_ms(s->clock);
    if (!s->listening && s->listen_at <= now) {
        set_listening(s, true, UINT64_MAX);
    }
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX; i++) {
        struct admin_call *c = s->calls[i];
        if (c && c->deadline <= now) {
            hang_up(c);
            settle(c);
        }
    }
}

size_t yzi_admin_poll_entries(struct admin_server *s, struct poll_entry out[ADMIN_POLL_ENTRIES])
{
    out[0] = (struct poll_entry){.fd = s->epoll};
    return ADMIN_POLL_ENTRIES;
}

uint64_t yzi_admin_deadline(const struct admin_server *s)
{
    uint64_t least = s->listen_at;
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX; i++) {
        if (s->calls[i] && s->calls[i]->deadline < least) {
            least = s->calls[i]->deadline;
        }
    }
    return least;
}

static bool is_open(const struct admin_server *s, const struct admin_call *c)
{
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX; i++) {
        if (s->calls[i] == c) {
            return c->socket >= 0;
        }
    }
    return false;
}

void yzi_admin_step(struct admin_server *s)
{
    struct epoll_event events[ADMIN_CONNECTIONS_MAX + 1];
    int n = epoll_wait(s->epoll, events, ADMIN_CONNECTIONS_MAX + 1, 0);
    bool knocked = false;
    for (int i = 0; i < n; i++) {
        struct admin_call *c = events[i].data.ptr;
        if (!c) {
            knocked = true;
        } else if (is_open(s, c)) { /* a handler may have ended another call meanwhile */
            serve(c, events[i].events);
        }
    }
    expire(s);
    if (knocked) {
        accept_some(s);
    }
}
