/* SPDX-License-Identifier: Apache-2.0
 *
 * One poll loop over pairs of sockets. A direction holds at most one piece, so what is slow
 * downstream slows upstream, as a network would.
 */
#include "tests/faults/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/dice.h"
#include "tests/support/now.h"

#define PAIRS_MAX 64
#define PIECE 16384
#define TICK_MS 5

struct way {
    unsigned char piece[PIECE];
    size_t n, sent;
    uint64_t not_before; /* ms */
    uint64_t paid_until; /* ms: when what was read so far has gone, at the rate allowed */
    uint64_t held_since; /* what others had been forwarded when it was read; 0: it is not held */
    uint64_t held_until; /* ms */
};
struct pair {
    int fd[2];         /* peer, target */
    struct way way[2]; /* from fd[i] to fd[1 - i] */
    bool used, stalled;
    uint64_t forwarded; /* pieces */
};
struct proxy {
    int listener, wake;
    uint16_t port, target;
    pthread_t thread;
    pthread_mutex_t lock; /* guards harm and cut */
    struct proxy_harm harm;
    bool cut;
    _Atomic bool stop;
    _Atomic unsigned connections, harmed, reordered;
    uint64_t forwarded; /* pieces, by all connections; begins at 1 */
    struct dice dice;
    struct pair pairs[PAIRS_MAX];
};

static void give_up(const char *what)
{
    perror(what);
    abort();
}

static int tcp_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        give_up("socket");
    }
    return fd;
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

static void close_pair(struct proxy *p, struct pair *c, bool reset)
{
    struct linger now = {1, 0};
    for (int i = 0; i < 2; i++) {
        if (reset) {
            setsockopt(c->fd[i], SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
        close(c->fd[i]);
    }
    c->used = false;
    (void)p;
}

static void accept_one(struct proxy *p)
{
    int fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct pair *c = NULL;
    for (size_t i = 0; i < PAIRS_MAX && !c; i++) {
        c = p->pairs[i].used ? NULL : &p->pairs[i];
    }
    if (fd < 0 || !c) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    memset(c, 0, sizeof *c);
    c->fd[0] = fd;
    c->fd[1] = tcp_socket();
    c->used = true;
    p->connections++;
    struct sockaddr_in at = loopback(p->target);
    if (connect(c->fd[1], (struct sockaddr *)&at, sizeof at) < 0 && errno != EINPROGRESS) {
        close_pair(p, c, true);
    }
}

/* Harm after a forwarded piece; true when the connection is gone. */
static bool maybe_harm(struct proxy *p, struct pair *c, const struct proxy_harm *h)
{
    unsigned die = dice_below(&p->dice, 1000);
    if (die < h->cut_per_1000 || die < h->cut_per_1000 + h->reset_per_1000) {
        p->harmed++;
        close_pair(p, c, die >= h->cut_per_1000);
        return true;
    }
    if (die < h->cut_per_1000 + h->reset_per_1000 + h->stall_per_1000) {
        p->harmed++;
        c->stalled = true;
    }
    return false;
}

static bool read_piece(struct proxy *p, struct pair *c, int i, const struct proxy_harm *h)
{
    struct way *w = &c->way[i];
    size_t max = h->piece_max && h->piece_max < PIECE ? h->piece_max : PIECE;
    size_t tick = (size_t)h->bytes_per_s * TICK_MS / 1000u + 1; /* no bursts of a second's worth */
    max = h->bytes_per_s && tick < max ? tick : max;
    ssize_t n = read(c->fd[i], w->piece, max);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
    }
    if (n == 0) {
        return false;
    }
    w->n = (size_t)n;
    w->sent = 0;
    uint64_t now = now_ms();
    w->not_before = now + dice_below(&p->dice, h->delay_ms + 1);
    if (h->bytes_per_s) {
        uint64_t from = w->paid_until > now ? w->paid_until : now;
        w->paid_until = from + (uint64_t)n * 1000u / h->bytes_per_s;
        w->not_before = w->paid_until > w->not_before ? w->paid_until : w->not_before;
    }
    if (h->hold_ms && dice_below(&p->dice, 1000) < h->hold_per_1000) {
        w->held_since = p->forwarded - c->forwarded;
        w->held_until = now + h->hold_ms;
    }
    return true;
}

/* Has it waited long enough, for its time or for another connection to overtake it? */
static bool is_due(struct proxy *p, const struct pair *c, struct way *w)
{
    uint64_t now = now_ms();
    if (now < w->not_before) {
        return false;
    }
    if (w->held_since) {
        bool overtaken = p->forwarded - c->forwarded > w->held_since;
        if (!overtaken && now < w->held_until) {
            return false;
        }
        p->reordered += overtaken;
        w->held_since = 0;
    }
    return true;
}

static bool write_piece(struct pair *c, int i)
{
    struct way *w = &c->way[i];
    ssize_t n = send(c->fd[1 - i], w->piece + w->sent, w->n - w->sent, MSG_NOSIGNAL);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR || errno == ENOTCONN || errno == EINPROGRESS;
    }
    w->sent += (size_t)n;
    if (w->sent == w->n) {
        w->n = w->sent = 0;
    }
    return true;
}

static void serve(struct proxy *p, struct pair *c, const struct proxy_harm *h)
{
    for (int i = 0; i < 2 && c->used && !c->stalled; i++) {
        struct way *w = &c->way[i];
        bool ok = w->n > 0 || read_piece(p, c, i, h);
        bool whole = false;
        if (ok && w->n > 0 && is_due(p, c, w)) {
            ok = write_piece(c, i);
            whole = ok && w->n == 0;
            p->forwarded += whole;
            c->forwarded += whole;
        }
        if (!ok) {
            close_pair(p, c, false);
        } else if (whole && maybe_harm(p, c, h)) {
            return;
        }
    }
}

static void wait_for_work(struct proxy *p)
{
    struct pollfd fds[2 + 2 * PAIRS_MAX];
    nfds_t n = 0;
    bool waiting = false;
    fds[n++] = (struct pollfd){p->listener, POLLIN, 0};
    fds[n++] = (struct pollfd){p->wake, POLLIN, 0};
    for (size_t k = 0; k < PAIRS_MAX; k++) {
        struct pair *c = &p->pairs[k];
        for (int i = 0; i < 2 && c->used && !c->stalled; i++) {
            if (c->way[i].n == 0) {
                fds[n++] = (struct pollfd){c->fd[i], POLLIN, 0};
            } else {
                waiting = true; /* for its time, or for room */
            }
        }
    }
    poll(fds, n, waiting ? TICK_MS : -1);
    uint64_t drained;
    (void)!read(p->wake, &drained, sizeof drained);
}

static void *run(void *arg)
{
    struct proxy *p = arg;
    while (!p->stop) {
        wait_for_work(p);
        pthread_mutex_lock(&p->lock);
        struct proxy_harm harm = p->harm;
        bool cut = p->cut;
        p->cut = false;
        pthread_mutex_unlock(&p->lock);
        accept_one(p);
        for (size_t k = 0; k < PAIRS_MAX; k++) {
            struct pair *c = &p->pairs[k];
            if (c->used && cut) {
                p->harmed++;
                close_pair(p, c, false);
            }
            if (c->used) {
                serve(p, c, &harm);
            }
        }
    }
    for (size_t k = 0; k < PAIRS_MAX; k++) {
        if (p->pairs[k].used) {
            close_pair(p, &p->pairs[k], false);
        }
    }
    return NULL;
}

static void wake(struct proxy *p)
{
    uint64_t one = 1;
    (void)!write(p->wake, &one, sizeof one);
}

struct proxy *proxy_start(uint16_t port, uint64_t seed)
{
    struct proxy *p = calloc(1, sizeof *p);
    if (!p) {
        give_up("proxy");
    }
    p->target = port;
    p->dice = dice_from(seed);
    p->forwarded = 1;
    p->listener = tcp_socket();
    p->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&p->lock, NULL);
    struct sockaddr_in at = loopback(0);
    socklen_t n = sizeof at;
    if (p->wake < 0 || bind(p->listener, (struct sockaddr *)&at, sizeof at) < 0 ||
        listen(p->listener, 64) < 0 || getsockname(p->listener, (struct sockaddr *)&at, &n) < 0 ||
        pthread_create(&p->thread, NULL, run, p) != 0) {
        give_up("proxy");
    }
    p->port = ntohs(at.sin_port);
    return p;
}

uint16_t proxy_port(const struct proxy *p)
{
    return p->port;
}

void proxy_set(struct proxy *p, const struct proxy_harm *harm)
{
    pthread_mutex_lock(&p->lock);
    p->harm = *harm;
    pthread_mutex_unlock(&p->lock);
    wake(p);
}

void proxy_cut_all(struct proxy *p)
{
    pthread_mutex_lock(&p->lock);
    p->cut = true;
    pthread_mutex_unlock(&p->lock);
    wake(p);
}

unsigned proxy_connections(const struct proxy *p)
{
    return p->connections;
}

unsigned proxy_harmed(const struct proxy *p)
{
    return p->harmed;
}

unsigned proxy_reordered(const struct proxy *p)
{
    return p->reordered;
}

void proxy_stop(struct proxy *p)
{
    p->stop = true;
    wake(p);
    pthread_join(p->thread, NULL);
    close(p->listener);
    close(p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
