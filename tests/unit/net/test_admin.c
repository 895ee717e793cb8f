/* SPDX-License-Identifier: Apache-2.0
 *
 * net/admin: both ends of the administration socket. The daemon's end is driven by the test's own
 * loop; what asks is either a thread in yzi_admin_call or a bare socket that misbehaves.
 * Over 800 lines: all of its cases share one fixture, one driven server and one bare peer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/admin.h"

#define WAIT_MS 20000u /* how long a test waits for what must happen */

struct fixture {
    struct manual_clock clock;
    char dir[64], path[96];
    struct admin_server *server;
    /* what the handler saw and is to do */
    unsigned handled;
    struct admin_call *kept; /* calls of verb `keep` */
    char verb[64], arg[64];
    yz_buf payload;
    int fd;
};

static void reply_str(struct admin_call *call, bool done, int code, const char *text)
{
    yzi_admin_reply(call, done, code, yzi_bytes_str(text), (yz_bytes){0});
}

static void handle(void *ctx, struct admin_call *call, const struct admin_request *request,
                   yz_bytes payload, int fd)
{
    struct fixture *f = ctx;
    f->handled++;
    snprintf(f->verb, sizeof f->verb, "%.*s", (int)request->verb.n, (const char *)request->verb.p);
    yz_bytes arg = yzi_admin_arg(request, "name");
    snprintf(f->arg, sizeof f->arg, "%.*s", (int)arg.n, arg.n ? (const char *)arg.p : "");
    yzi_buf_clear(&f->payload);
    assert_int_equal(yzi_buf_put(&f->payload, payload), 0);
    if (fd >= 0) {
        if (f->fd >= 0) {
            close(f->fd);
        }
        f->fd = fd;
    }
    if (strcmp(f->verb, "keep") == 0) {
        f->kept = call;
    } else if (strcmp(f->verb, "progress") == 0) {
        reply_str(call, false, 0, "one");
        reply_str(call, false, 0, "two");
        reply_str(call, true, 0, "three");
        /* the request outlives the final reply for as long as the handler runs */
        assert_true(yzi_bytes_eq_str(request->verb, "progress"));
    } else if (strcmp(f->verb, "fail") == 0) {
        reply_str(call, true, YZ_EDENIED, "not today");
    } else {
        yzi_admin_reply(call, true, YZ_OK, yzi_bytes_str("echoed"), payload);
    }
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    yzi_manual_clock_init(&f->clock, 1795381509123);
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof f->dir, "%s/yz-admin.XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/s", f->dir);
    yzi_buf_init(&f->payload, ADMIN_MESSAGE_MAX);
    f->fd = -1;
    yz_error err = {0};
    assert_int_equal(yzi_admin_server_new(f->path, &f->clock.clock, handle, f, &f->server, &err),
                     0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    yzi_admin_server_close(f->server);
    assert_int_equal(access(f->path, F_OK), -1); /* the name is gone */
    if (f->fd >= 0) {
        close(f->fd);
    }
    yzi_buf_fini(&f->payload);
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

/* -- driving the server -- */

static void step(struct fixture *f, int extra_fd, bool *out_extra)
{
    struct poll_entry e[ADMIN_POLL_ENTRIES + 1];
    size_t n = yzi_admin_poll_entries(f->server, e);
    e[n] = (struct poll_entry){.fd = extra_fd};
    assert_int_equal(yzi_poll(e, n + 1, WAIT_MS), 0);
    yzi_admin_step(f->server);
    *out_extra = e[n].readable;
}

/* Serve until fd is readable. */
static void serve_until_readable(struct fixture *f, int fd)
{
    bool readable = false;
    uint64_t end = yzi_mono_ms(&yzi_clock_system) + WAIT_MS;
    while (!readable) {
        assert_true(yzi_mono_ms(&yzi_clock_system) < end);
        step(f, fd, &readable);
    }
}

/* Serve until the handler was called n times. */
static void serve_until_handled(struct fixture *f, unsigned n)
{
    uint64_t end = yzi_mono_ms(&yzi_clock_system) + WAIT_MS;
    while (f->handled < n) {
        bool ignored;
        assert_true(yzi_mono_ms(&yzi_clock_system) < end);
        step(f, -1, &ignored);
    }
}

/* Serve everything that is already waiting. */
static void serve_what_waits(struct fixture *f)
{
    struct poll_entry e[ADMIN_POLL_ENTRIES];
    for (;;) {
        size_t n = yzi_admin_poll_entries(f->server, e);
        assert_int_equal(yzi_poll(e, n, 0), 0);
        if (!e[0].readable) {
            return;
        }
        yzi_admin_step(f->server);
    }
}

/* -- a bare peer -- */

static int dial(const struct fixture *f)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, f->path, strlen(f->path));
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void write_request(const char *verb, yz_bytes payload, yz_buf *out)
{
    yzi_buf_init(out, ADMIN_MESSAGE_MAX + 4);
    assert_int_equal(yzi_buf_put_u32(out, 0), 0);
    struct admin_arg args[] = {{yzi_bytes_str("name"), yzi_bytes_str("value")}};
    struct admin_request r = {yzi_bytes_str(verb), args, 1};
    assert_int_equal(yzi_admin_request_write(&r, payload, out), 0);
    yzi_store_u32(out->p, (uint32_t)(out->n - 4));
}

static void send_all(int fd, yz_bytes b)
{
    assert_int_equal(send(fd, b.p, b.n, MSG_NOSIGNAL), (ssize_t)b.n);
}

/* Expect one reply, then the end of the connection. */
static void expect_reply(struct fixture *f, int fd, int code)
{
    uint8_t in[4096];
    size_t n = 0;
    for (;;) {
        serve_until_readable(f, fd);
        ssize_t got = recv(fd, in + n, sizeof in - n, 0);
        if (got <= 0) {
            break;
        }
        n += (size_t)got;
    }
    assert_true(n > 4);
    assert_int_equal(yzi_load_u32(in), n - 4);
    struct frame frame;
    struct admin_reply reply;
    assert_int_equal(yzi_frame_parse(yzi_bytes(in + 4, n - 4), sizeof in, &frame), 0);
    assert_int_equal(frame.kind, FRAME_ADMIN_REPLY);
    assert_int_equal(yzi_admin_reply_parse(frame.header, &reply), 0);
    assert_true(reply.done);
    assert_int_equal(reply.code, code);
}

static void expect_end(struct fixture *f, int fd)
{
    char c;
    serve_until_readable(f, fd);
    ssize_t n = recv(fd, &c, 1, 0);
    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

/* -- an asking thread -- */

struct asker {
    const char *path, *verb;
    yz_bytes payload;
    int fd;
    uint64_t timeout_ms;
    int rc;
    yz_error err;
    yz_buf text, out;
    char each[256];
    int done[2]; /* readable at its write end's close: the thread is through */
    pthread_t thread;
};

static void hear(void *ctx, yz_bytes text, yz_bytes payload)
{
    struct asker *a = ctx;
    (void)payload;
    size_t n = strlen(a->each);
    snprintf(a->each + n, sizeof a->each - n, "%.*s;", (int)text.n, (const char *)text.p);
}

static void *ask(void *arg)
{
    struct asker *a = arg;
    struct admin_arg args[] = {{yzi_bytes_str("name"), yzi_bytes_str("value")}};
    struct admin_request r = {yzi_bytes_str(a->verb), args, 1};
    a->rc = yzi_admin_call(a->path, &r, a->payload, a->fd, a->timeout_ms, hear, a, &a->text,
                           &a->out, &a->err);
    close(a->done[1]);
    return NULL;
}

static void start_asking(struct asker *a, struct fixture *f, const char *verb, yz_bytes payload)
{
    *a = (struct asker){.path = f->path, .verb = verb, .payload = payload, .fd = -1};
    yzi_buf_init(&a->text, 4096);
    yzi_buf_init(&a->out, ADMIN_MESSAGE_MAX);
    assert_int_equal(pipe(a->done), 0);
}

static void run_asker(struct asker *a)
{
    assert_int_equal(pthread_create(&a->thread, NULL, ask, a), 0);
}

static void join_asker(struct asker *a, struct fixture *f)
{
    serve_until_readable(f, a->done[0]);
    assert_int_equal(pthread_join(a->thread, NULL), 0);
    close(a->done[0]);
}

static void end_asker(struct asker *a)
{
    yzi_buf_fini(&a->text);
    yzi_buf_fini(&a->out);
}

/* -- the tests -- */

static void test_admin__answers_a_request(void **state)
{
    struct fixture *f = *state;
    struct asker a;
    start_asking(&a, f, "echo", yzi_bytes_str("a payload"));
    run_asker(&a);
    join_asker(&a, f);
    assert_int_equal(a.rc, 0);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&a.text), "echoed"));
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&a.out), "a payload"));
    assert_string_equal(f->verb, "echo");
    assert_string_equal(f->arg, "value");
    assert_int_equal(f->fd, -1);
    end_asker(&a);
}

static void test_admin__carries_messages_of_the_largest_size(void **state)
{
    struct fixture *f = *state;
    size_t n = ADMIN_MESSAGE_MAX - 1024;
    uint8_t *big = malloc(n);
    assert_non_null(big);
    for (size_t i = 0; i < n; i++) {
        big[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    struct asker a;
    start_asking(&a, f, "echo", yzi_bytes(big, n));
    run_asker(&a);
    join_asker(&a, f);
    assert_int_equal(a.rc, 0);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&a.out), yzi_bytes(big, n)));
    end_asker(&a);
    free(big);
}

static void test_admin__hands_on_progress_and_a_late_answer(void **state)
{
    struct fixture *f = *state;
    struct asker a;
    start_asking(&a, f, "progress", (yz_bytes){0});
    run_asker(&a);
    join_asker(&a, f);
    assert_int_equal(a.rc, 0);
    assert_string_equal(a.each, "one;two;");
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&a.text), "three"));
    end_asker(&a);

    start_asking(&a, f, "keep", (yz_bytes){0});
    run_asker(&a);
    serve_until_handled(f, 2);
    yzi_manual_clock_advance(&f->clock, 3600000); /* an import may take its time */
    serve_what_waits(f);
    assert_true(yzi_admin_deadline(f->server) == UINT64_MAX);
    reply_str(f->kept, false, 0, "half");
    reply_str(f->kept, true, 0, "whole");
    join_asker(&a, f);
    assert_int_equal(a.rc, 0);
    assert_string_equal(a.each, "half;");
    end_asker(&a);
}

static void test_admin__tells_the_handlers_error(void **state)
{
    struct fixture *f = *state;
    struct asker a;
    start_asking(&a, f, "fail", (yz_bytes){0});
    run_asker(&a);
    join_asker(&a, f);
    assert_int_equal(a.rc, YZ_EDENIED);
    assert_int_equal(a.err.code, YZ_EDENIED);
    assert_string_equal(a.err.text, "not today");
    end_asker(&a);
}

static void test_admin__says_when_an_answer_fits_no_message(void **state)
{
    struct fixture *f = *state;
    struct asker a;
    start_asking(&a, f, "keep", (yz_bytes){0});
    run_asker(&a);
    serve_until_handled(f, 1);
    uint8_t *big = calloc(1, ADMIN_MESSAGE_MAX);
    assert_non_null(big);
    yzi_admin_reply(f->kept, true, YZ_OK, (yz_bytes){0}, yzi_bytes(big, ADMIN_MESSAGE_MAX));
    free(big);
    join_asker(&a, f);
    assert_int_equal(a.rc, YZ_ETOOBIG);
    end_asker(&a);

    start_asking(&a, f, "keep", (yz_bytes){0});
    run_asker(&a);
    serve_until_handled(f, 2);
    char words[8192];
    memset(words, 'w', sizeof words);
    yzi_admin_reply(f->kept, true, YZ_OK, yzi_bytes(words, sizeof words), (yz_bytes){0});
    join_asker(&a, f);
    assert_int_equal(a.rc, YZ_OK); /* cut, not lost */
    assert_int_equal(a.text.n, 3072);
    end_asker(&a);
}

static void test_admin__passes_one_descriptor(void **state)
{
    struct fixture *f = *state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "file", 4), 4);
    close(ends[1]);
    struct asker a;
    start_asking(&a, f, "echo", (yz_bytes){0});
    a.fd = ends[0];
    run_asker(&a);
    join_asker(&a, f);
    assert_int_equal(a.rc, 0);
    close(ends[0]);
    char got[8] = {0};
    assert_true(f->fd >= 0);
    assert_int_equal(fcntl(f->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(read(f->fd, got, sizeof got), 4);
    assert_string_equal(got, "file");
    end_asker(&a);
}

static void send_with_fds(int socket, yz_bytes b, const int *fds, size_t n)
{
    union {
        char bytes[CMSG_SPACE(16 * sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec v = {(void *)(uintptr_t)b.p, b.n};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = CMSG_SPACE(n * sizeof(int))};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(h), fds, n * sizeof(int));
    assert_int_equal(sendmsg(socket, &m, MSG_NOSIGNAL), (ssize_t)b.n);
}

/* A pipe's write end passed in many copies: when ours is closed and the read end still does not see
 * the end, somebody kept a copy. */
static void test_admin__closes_descriptors_beyond_the_first(void **state)
{
    struct fixture *f = *state;
    int ends[2];
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pipe(ends), 0);
    YZ_AUTO(yzi_buf_fini) yz_buf request;
    write_request("echo", (yz_bytes){0}, &request);
    int peer = dial(f);
    int fds[16] = {null};
    for (size_t i = 1; i < 16; i++) {
        fds[i] = ends[1];
    }
    send_with_fds(peer, yzi_bytes(request.p, 3), fds, 2);
    serve_what_waits(f);
    send_with_fds(peer, yzi_bytes(request.p + 3, request.n - 3), fds, 16);
    close(ends[1]);
    close(null);
    expect_reply(f, peer, YZ_OK);
    assert_true(f->fd >= 0);
    struct pollfd end = {.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&end, 1, 0), 1);
    assert_true(end.revents & POLLHUP);
    close(ends[0]);
    close(peer);
}

static void test_admin__closes_descriptors_of_a_request_that_never_comes(void **state)
{
    struct fixture *f = *state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int peer = dial(f);
    send_with_fds(peer, yzi_bytes_str("x"), &ends[1], 1);
    close(ends[1]);
    serve_what_waits(f);
    struct pollfd end = {.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&end, 1, 0), 0); /* it holds the descriptor */
    close(peer);
    serve_what_waits(f);
    assert_int_equal(poll(&end, 1, 0), 1);
    close(ends[0]);
}

static bool nobody(uid_t uid)
{
    (void)uid;
    return false;
}

static void test_admin__refuses_another_user(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    yzi_admin_server_set_allowed(f->server, nobody);
    struct asker a;
    start_asking(&a, f, "echo", (yz_bytes){0});
    run_asker(&a);
    join_asker(&a, f);
    assert_int_equal(a.rc, YZ_EPERM);
    assert_int_equal(f->handled, 0);
    end_asker(&a);
}

static void test_admin__survives_truncated_requests(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf request;
    write_request("echo", yzi_bytes_str("payload"), &request);
    for (size_t n = 0; n < request.n; n++) {
        int peer = dial(f);
        if (n) {
            send_all(peer, yzi_bytes(request.p, n));
        }
        assert_int_equal(shutdown(peer, SHUT_WR), 0);
        expect_end(f, peer);
        close(peer);
    }
    assert_int_equal(f->handled, 0);
    int peer = dial(f);
    for (size_t i = 0; i < request.n; i++) { /* byte by byte it is a request like any other */
        send_all(peer, yzi_bytes(request.p + i, 1));
        serve_what_waits(f);
    }
    expect_reply(f, peer, YZ_OK);
    close(peer);
}

/* Once a request whose last byte came with the last read of a step waited for ever: nothing more
 * came to wake the server. */
static void test_admin__works_on_what_the_last_read_of_a_step_completes(void **state)
{
    struct fixture *f = *state;
    size_t frame = 63u * 65536u; /* a read for the length, 63 for the rest */
    YZ_AUTO(yzi_buf_fini) yz_buf empty;
    YZ_AUTO(yzi_buf_fini) yz_buf request;
    write_request("echo", (yz_bytes){0}, &empty);
    size_t n = frame - (empty.n - 4);
    uint8_t *payload = calloc(1, n);
    assert_non_null(payload);
    write_request("echo", yzi_bytes(payload, n), &request);
    assert_int_equal(request.n, frame + 4);
    int peer = dial(f), room = 16 * 1024 * 1024;
    if (setsockopt(peer, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0) {
        free(payload);
        close(peer);
        skip(); /* only root may make room for all of it at once */
    }
    send_all(peer, yzi_bytes_buf(&request));
    serve_until_handled(f, 1);
    close(peer);
    free(payload);
}

static void test_admin__refuses_what_is_no_request(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf request;
    write_request("echo", (yz_bytes){0}, &request);

    int peer = dial(f); /* beyond the limit: refused at the length, nothing is read */
    uint8_t length[4];
    yzi_store_u32(length, ADMIN_MESSAGE_MAX + 1);
    send_all(peer, yzi_bytes(length, 4));
    expect_reply(f, peer, YZ_ETOOBIG);
    close(peer);

    peer = dial(f);
    yzi_store_u32(length, 0);
    send_all(peer, yzi_bytes(length, 4));
    expect_reply(f, peer, YZ_EMALFORMED);
    close(peer);

    peer = dial(f); /* not a frame */
    yzi_store_u32(length, 5);
    send_all(peer, yzi_bytes(length, 4));
    send_all(peer, yzi_bytes_str("GET /"));
    expect_reply(f, peer, YZ_EMALFORMED);
    close(peer);

    YZ_AUTO(yzi_buf_fini) yz_buf bye; /* a frame of another kind */
    yzi_buf_init(&bye, 256);
    assert_int_equal(yzi_buf_put_u32(&bye, 0), 0);
    assert_int_equal(yzi_bye_write((yz_bytes){0}, &bye), 0);
    yzi_store_u32(bye.p, (uint32_t)(bye.n - 4));
    peer = dial(f);
    send_all(peer, yzi_bytes_buf(&bye));
    expect_reply(f, peer, YZ_EMALFORMED);
    close(peer);
    assert_int_equal(f->handled, 0);

    peer = dial(f); /* one request per connection: the second is not heard */
    send_all(peer, yzi_bytes_buf(&request));
    send_all(peer, yzi_bytes_buf(&request));
    expect_reply(f, peer, YZ_OK);
    close(peer);
    assert_int_equal(f->handled, 1);
}

static void test_admin__gives_up_a_slow_asker(void **state)
{
    struct fixture *f = *state;
    int peer = dial(f);
    send_all(peer, yzi_bytes_str("\0\0"));
    serve_what_waits(f);
    assert_true(yzi_admin_deadline(f->server) == 30000);
    yzi_manual_clock_advance(&f->clock, 29999);
    yzi_admin_step(f->server);
    char c;
    assert_int_equal(recv(peer, &c, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    yzi_manual_clock_advance(&f->clock, 1);
    yzi_admin_step(f->server);
    expect_end(f, peer);
    assert_true(yzi_admin_deadline(f->server) == UINT64_MAX);
    close(peer);
}

static void test_admin__gives_up_a_slow_reader(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf request;
    write_request("keep", (yz_bytes){0}, &request);
    int peer = dial(f);
    send_all(peer, yzi_bytes_buf(&request));
    serve_until_handled(f, 1);
    uint8_t *big = calloc(1, ADMIN_MESSAGE_MAX - 1024);
    assert_non_null(big);
    yzi_admin_reply(f->kept, true, YZ_OK, (yz_bytes){0}, yzi_bytes(big, ADMIN_MESSAGE_MAX - 1024));
    serve_what_waits(f);
    assert_true(yzi_admin_deadline(f->server) == 30000);
    yzi_manual_clock_advance(&f->clock, 20000);
    assert_true(recv(peer, big, 1024 * 1024, 0) > 0); /* reading a little buys time */
    serve_what_waits(f);
    assert_true(yzi_admin_deadline(f->server) == 50000);
    yzi_manual_clock_advance(&f->clock, 30000);
    yzi_admin_step(f->server);
    ssize_t n;
    while ((n = recv(peer, big, 1024 * 1024, 0)) > 0) {
    }
    assert_true(n == 0 || errno == ECONNRESET);
    free(big);
    close(peer);
}

/* The handler is still at it when the asker leaves: its replies fall into nothing. */
static void test_admin__lets_the_handler_finish_for_nobody(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf request;
    write_request("keep", (yz_bytes){0}, &request);
    int peer = dial(f);
    send_all(peer, yzi_bytes_buf(&request));
    serve_until_handled(f, 1);
    close(peer);
    serve_what_waits(f);
    reply_str(f->kept, false, 0, "half");
    reply_str(f->kept, true, 0, "whole");
    /* and one that is still open when the daemon closes is dropped: tear_down finds no leak */
    peer = dial(f);
    send_all(peer, yzi_bytes_buf(&request));
    serve_until_handled(f, 2);
    close(peer);
}

static void test_admin__keeps_further_askers_waiting(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf request;
    write_request("echo", (yz_bytes){0}, &request);
    int peers[ADMIN_CONNECTIONS_MAX + 3];
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX; i++) {
        peers[i] = dial(f);
        serve_what_waits(f);
    }
    for (size_t i = ADMIN_CONNECTIONS_MAX; i < ADMIN_CONNECTIONS_MAX + 3; i++) {
        peers[i] = dial(f);
        send_all(peers[i], yzi_bytes_buf(&request));
    }
    serve_what_waits(f); /* returns: a full house is no busy loop */
    assert_int_equal(f->handled, 0);
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX; i++) {
        close(peers[i]);
    }
    for (size_t i = ADMIN_CONNECTIONS_MAX; i < ADMIN_CONNECTIONS_MAX + 3; i++) {
        expect_reply(f, peers[i], YZ_OK);
        close(peers[i]);
    }
}

static void test_admin__recovers_from_having_no_descriptors(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf request;
    write_request("echo", (yz_bytes){0}, &request);
    int peer = dial(f);
    send_all(peer, yzi_bytes_buf(&request));
    struct rlimit limit, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    yzi_admin_step(f->server);
    uint64_t deadline = yzi_admin_deadline(f->server);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(f->handled, 0);
    assert_true(deadline == 1000); /* until then the knocking is not heard: no busy loop */
    serve_what_waits(f);
    assert_int_equal(f->handled, 0);
    yzi_manual_clock_advance(&f->clock, 1000);
    yzi_admin_step(f->server);
    expect_reply(f, peer, YZ_OK);
    close(peer);
}

static void test_admin__call_says_what_is_wrong(void **state)
{
    struct fixture *f = *state;
    struct admin_request r = {yzi_bytes_str("echo"), NULL, 0};
    yz_error err = {0};
    char other[128];
    snprintf(other, sizeof other, "%s/none", f->dir);
    assert_int_equal(
        yzi_admin_call(other, &r, (yz_bytes){0}, -1, 1000, NULL, NULL, NULL, NULL, &err),
        YZ_ENOTFOUND);
    assert_non_null(strstr(err.text, "is the daemon running"));
    char path[200];
    memset(path, 'p', sizeof path);
    path[sizeof path - 1] = 0;
    assert_int_equal(
        yzi_admin_call(path, &r, (yz_bytes){0}, -1, 1000, NULL, NULL, NULL, NULL, &err),
        YZ_ECONFIG);
    assert_non_null(strstr(err.text, "107"));
    /* nobody steps the server */
    assert_int_equal(
        yzi_admin_call(f->path, &r, (yz_bytes){0}, -1, 1, NULL, NULL, NULL, NULL, &err),
        YZ_ETIMEOUT);
    serve_what_waits(f);

    struct asker a; /* the daemon ends before it answers */
    start_asking(&a, f, "keep", (yz_bytes){0});
    run_asker(&a);
    serve_until_handled(f, f->handled + 1);
    yzi_admin_server_close(f->server);
    assert_int_equal(pthread_join(a.thread, NULL), 0);
    close(a.done[0]);
    assert_int_equal(a.rc, YZ_EIO);
    end_asker(&a);
    assert_int_equal(yzi_admin_server_new(f->path, &f->clock.clock, handle, f, &f->server, &err),
                     0);
}

static void test_admin__takes_over_only_a_stale_name(void **state)
{
    struct fixture *f = *state;
    struct admin_server *second = NULL;
    yz_error err = {0};
    assert_int_equal(yzi_admin_server_new(f->path, &f->clock.clock, handle, f, &second, &err),
                     YZ_EBUSY);
    assert_null(second);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0); /* and left it alone */

    char other[128];
    snprintf(other, sizeof other, "%s/other", f->dir);
    int fd = open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    assert_int_equal(yzi_admin_server_new(other, &f->clock.clock, handle, f, &second, &err),
                     YZ_EEXIST);
    assert_int_equal(access(other, F_OK), 0);
    assert_int_equal(unlink(other), 0);

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* left behind by a crash */
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, other, strlen(other));
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd);
    assert_int_equal(yzi_admin_server_new(other, &f->clock.clock, handle, f, &second, &err), 0);

    assert_int_equal(unlink(other), 0); /* somebody replaced the name: theirs is not removed */
    fd = open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    yzi_admin_server_close(second);
    assert_int_equal(unlink(other), 0);

    char path[200];
    memset(path, 'p', sizeof path);
    path[sizeof path - 1] = 0;
    assert_int_equal(yzi_admin_server_new(path, &f->clock.clock, handle, f, &second, &err),
                     YZ_ECONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_admin__answers_a_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_admin__carries_messages_of_the_largest_size, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_admin__hands_on_progress_and_a_late_answer, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_admin__tells_the_handlers_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_admin__says_when_an_answer_fits_no_message, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_admin__passes_one_descriptor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_admin__closes_descriptors_beyond_the_first, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_admin__closes_descriptors_of_a_request_that_never_comes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_admin__refuses_another_user, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_admin__survives_truncated_requests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_admin__works_on_what_the_last_read_of_a_step_completes,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_admin__refuses_what_is_no_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_admin__gives_up_a_slow_asker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_admin__gives_up_a_slow_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_admin__lets_the_handler_finish_for_nobody, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_admin__keeps_further_askers_waiting, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_admin__recovers_from_having_no_descriptors, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_admin__call_says_what_is_wrong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_admin__takes_over_only_a_stale_name, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
