/* SPDX-License-Identifier: Apache-2.0
 *
 * One record for each accepted connection, found by endpoint and descriptor, and once it has spoken
 * by its routing id. A descriptor is the system's to give again as soon as libzmq has closed it, so
 * nothing is done to one before its cookie, which no two sockets share, has been compared on a
 * duplicate of it. Events of one monitor are in order: a descriptor's end comes before its next
 * beginning. What a connection said may be read when its descriptor is another's already: the
 * number of its handshake, which libzmq keeps with each message, is then lower than any of the one
 * that is there.
 *
 * The server's thread may be kept by other work for as long as that takes, while libzmq's thread
 * goes on receiving: so a thread of our own, the watch, looks at the memory of the process while
 * there are connections, and measures and cuts when it grew. One mutex guards all but the monitors,
 * which are the server's thread's alone.
 */
#include "net/wires.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/table.h"
#include "net/zmq_util.h"

#define SWEEP_MS 1000u
#define LOOK_MS 10u                        /* between two looks at the memory of the process */
#define GROWTH_BYTES (32u * 1024u * 1024u) /* of it that is reason to measure at once */
#define MEASURE_ALL_MS 100u
#define FIRST_WORD_MS 10000u /* from being accepted to the first message: the hello */
/* Before its first message a connection needs its handshake and a hello. */
#define UNSPOKEN_BYTES (128u * 1024u)
#define HANDSHAKE_BYTES 4096u
/* The answers to libzmq's heartbeats are the only bytes that are no messages: 5 in 40 each. */
#define PONG_BYTES 40u
#define PONG_EVERY_MS 10000u
/* RFC 26, RFC 23: a command's name, a nonce, flags and a tag around each message, in a frame. */
#define CURVE_BYTES 33u
#define SHORT_FRAME 255u

struct wire_peer {
    uint8_t key[32];
    uint64_t unread, unsent;
    struct wire *first;
};

struct wire {
    struct wire_name {
        int fd;
        int endpoint;
    } name;
    uint64_t cookie, since;
    uint64_t handshakes_before; /* its own comes after them */
    bool cut;
    struct connection_id id; /* when it has spoken */
    uint64_t handshake;
    struct wire_peer *peer; /* NULL: it has not */
    struct wire *next_of_peer;
    uint64_t taken, sent; /* bytes on the wire */
    uint64_t acked_before;
    uint64_t unread, unsent; /* as last measured, and sent since */
};

struct wires {
    pthread_mutex_t mutex; /* over all that follows but the sockets */
    pthread_cond_t turn;   /* of the watch: the first connection, the end */
    pthread_t watch;
    bool watching, closing;
    struct wires_options o;
    uint64_t now; /* monotonic ms, as the server's thread last saw it */
    void *monitors[SERVER_ENDPOINTS_MAX], *routers[SERVER_ENDPOINTS_MAX];
    struct table by_name;  /* endpoint and descriptor -> struct wire, owned */
    struct table unspoken; /* the same, those that have not spoken, oldest first */
    struct table by_id;    /* connection id -> struct wire */
    struct table peers;    /* key -> struct wire_peer, owned */
    uint64_t unread, unsent;
    uint64_t handshakes;
    uint64_t next_sweep, next_measure_all;
    uint64_t memory; /* of the process: the least since measuring last */
    int statm;
    bool blind; /* this system does not tell */
    uint64_t cut_silent, cut_greedy;
};

static uint64_t on_the_wire(size_t n)
{
    uint64_t body = (uint64_t)n + CURVE_BYTES;
    return body + (body > SHORT_FRAME ? 9u : 2u);
}

static yz_bytes name_bytes(const struct wire_name *n)
{
    return yzi_bytes(n, sizeof *n);
}

static struct wires *hold(struct wires *w)
{
    pthread_mutex_lock(&w->mutex);
    return w;
}

static void let_go(struct wires **w)
{
    pthread_mutex_unlock(&(*w)->mutex);
}

static void read_clock(struct wires *w)
{
    w->now = yzi_mono_ms(w->o.clock);
}

/* -- what the system knows of a connection -- */

static bool tcp_figures(int fd, uint64_t *out_received, uint64_t *out_acked)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0 ||
        n < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received) {
        return false;
    }
    *out_received = info.tcpi_bytes_received;
    *out_acked = info.tcpi_bytes_acked;
    return true;
}

static bool system_tells(void)
{
    uint64_t ignored[2];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return true; /* out of descriptors: we shall see */
    }
    bool tells = tcp_figures(fd, &ignored[0], &ignored[1]);
    close(fd);
    return tells;
}

static uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t n = sizeof cookie;
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) < 0 ? 0 : cookie;
}

/* Resident memory; 0 when it cannot be told. */
static uint64_t memory_now(const struct wires *w)
{
    char text[128];
    unsigned long long size, resident;
    ssize_t n = w->statm < 0 ? -1 : pread(w->statm, text, sizeof text - 1, 0);
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    return sscanf(text, "%llu %llu", &size, &resident) == 2
               ? resident * (uint64_t)sysconf(_SC_PAGESIZE)
               : 0;
}

/* -- making and ending -- */

static void *run_watch(void *arg);

static void init_locks(struct wires *w)
{
    pthread_condattr_t monotonic; /* with default attributes none of these can fail on Linux */
    YZ_ASSERT(pthread_condattr_init(&monotonic) == 0);
    YZ_ASSERT(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    YZ_ASSERT(pthread_mutex_init(&w->mutex, NULL) == 0);
    YZ_ASSERT(pthread_cond_init(&w->turn, &monotonic) == 0);
    pthread_condattr_destroy(&monotonic);
}

int yzi_wires_new(const struct wires_options *o, struct wires **out)
{
    struct wires *w;
    YZ_TRY(yzi_alloc(1, sizeof *w, &w));
    w->o = *o;
    init_locks(w);
    read_clock(w);
    w->blind = !system_tells();
    w->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    w->watching = !w->blind && w->statm >= 0;
    if (w->watching && pthread_create(&w->watch, NULL, run_watch, w) != 0) {
        w->watching = false;
        yzi_wires_free(w);
        return YZ_ELIMIT;
    }
    *out = w;
    return YZ_OK;
}

static void end_watch(struct wires *w)
{
    if (!w->watching) {
        return;
    }
    hold(w)->closing = true;
    pthread_cond_signal(&w->turn);
    let_go(&w);
    pthread_join(w->watch, NULL);
}

void yzi_wires_free(struct wires *w)
{
    if (!w) {
        return;
    }
    end_watch(w);
    for (uint8_t i = 0; i < SERVER_ENDPOINTS_MAX; i++) {
        yzi_wires_unwatch(w, i);
    }
    yzi_table_fini(&w->unspoken, NULL);
    yzi_table_fini(&w->by_id, NULL);
    yzi_table_fini(&w->peers, free);
    yzi_table_fini(&w->by_name, free);
    if (w->statm >= 0) {
        close(w->statm);
    }
    pthread_cond_destroy(&w->turn);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}

int yzi_wires_watch(struct wires *w, void *context, void *router, uint8_t endpoint)
{
    static _Atomic uint64_t serial; /* an address is free again only some time after its socket */
    char address[64];
    snprintf(address, sizeof address, "inproc://yizhan-wires-%llu",
             (unsigned long long)atomic_fetch_add(&serial, 1));
    void *monitor = zmq_socket(context, ZMQ_PAIR);
    if (!monitor) {
        return yzi_zmq_error(errno);
    }
    /* No high-water mark: the I/O thread would wait at it, with all connections of the process. */
    int rc = yzi_zmq_set_int(monitor, ZMQ_LINGER, 0);
    rc = rc < 0 ? rc : yzi_zmq_set_int(monitor, ZMQ_RCVHWM, 0);
    if (rc == YZ_OK &&
        (zmq_socket_monitor(router, address, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) < 0 ||
         zmq_connect(monitor, address) < 0)) {
        rc = yzi_zmq_error(errno);
        zmq_socket_monitor(router, NULL, 0);
    }
    if (rc < 0) {
        zmq_close(monitor);
        return rc;
    }
    w->monitors[endpoint] = monitor;
    w->routers[endpoint] = router;
    return YZ_OK;
}

void yzi_wires_unwatch(struct wires *w, uint8_t endpoint)
{
    if (w->monitors[endpoint]) { /* stopped before its reader goes, or it would wait for one */
        zmq_socket_monitor(w->routers[endpoint], NULL, 0);
        zmq_close(w->monitors[endpoint]);
        w->monitors[endpoint] = NULL;
    }
}

void *yzi_wires_monitor(const struct wires *w, uint8_t endpoint)
{
    return w->monitors[endpoint];
}

/* -- the books -- */

static void set_unread(struct wires *w, struct wire *c, uint64_t n)
{
    w->unread += n - c->unread;
    if (c->peer) {
        c->peer->unread += n - c->unread;
    }
    c->unread = n;
}

static void set_unsent(struct wires *w, struct wire *c, uint64_t n)
{
    w->unsent += n - c->unsent;
    if (c->peer) {
        c->peer->unsent += n - c->unsent;
    }
    c->unsent = n;
}

/* What libzmq and the system hold of it now. The peer's acknowledgements count libzmq's own bytes,
 * too: when they run ahead of ours, nothing is waiting and they are levelled. */
static void measure(struct wires *w, struct wire *c)
{
    uint64_t received, acked;
    if (c->cut || w->blind || !tcp_figures(c->name.fd, &received, &acked)) {
        return;
    }
    uint64_t age = w->now - c->since;
    uint64_t known = c->taken + HANDSHAKE_BYTES + (age / PONG_EVERY_MS + 1) * PONG_BYTES;
    set_unread(w, c, received > known ? received - known : 0);
    uint64_t gone = acked > c->acked_before ? acked - c->acked_before : 0;
    if (gone > c->sent) {
        c->acked_before = acked - c->sent;
        gone = c->sent;
    }
    set_unsent(w, c, c->sent - gone);
}

static void leave_peer(struct wires *w, struct wire *c)
{
    struct wire_peer *peer = c->peer;
    if (!peer) {
        return;
    }
    struct wire **link = &peer->first;
    while (*link != c) {
        link = &(*link)->next_of_peer;
    }
    *link = c->next_of_peer;
    c->peer = NULL;
    c->next_of_peer = NULL;
    if (!peer->first) {
        yzi_table_remove(&w->peers, yzi_bytes(peer->key, 32));
        free(peer);
    }
}

/* Its name may have been given to another connection of libzmq's already. */
static void forget_id(struct wires *w, struct wire *c)
{
    if (c->id.n && yzi_table_get(&w->by_id, yzi_connection_bytes(&c->id)) == c) {
        yzi_table_remove(&w->by_id, yzi_connection_bytes(&c->id));
    }
    c->id = (struct connection_id){0};
}

static void forget(struct wires *w, struct wire *c)
{
    set_unread(w, c, 0);
    set_unsent(w, c, 0);
    forget_id(w, c);
    leave_peer(w, c);
    yzi_table_remove(&w->unspoken, name_bytes(&c->name));
    yzi_table_remove(&w->by_name, name_bytes(&c->name));
    free(c);
}

/* On a duplicate, so that nobody closes it and opens another between the look and the deed. */
static void shut_down(struct wires *w, struct wire *c)
{
    int fd = c->cut ? -1 : fcntl(c->name.fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0 && cookie_of(fd) == c->cookie) {
        shutdown(fd, SHUT_RDWR);
    }
    if (fd >= 0) {
        close(fd);
        c->cut = true;
        set_unread(w, c, 0); /* libzmq lets go of it */
        set_unsent(w, c, 0);
        yzi_table_remove(&w->unspoken, name_bytes(&c->name));
    }
}

/* -- beginnings and ends -- */

/* Of those that have not spoken there are only so many: the oldest goes, because whoever means to
 * speak does so in milliseconds. */
static void make_room(struct wires *w)
{
    while (yzi_table_count(&w->unspoken) > w->o.unspoken) {
        struct wire *oldest = yzi_table_value(yzi_table_first(&w->unspoken));
        size_t before = yzi_table_count(&w->unspoken);
        shut_down(w, oldest);
        w->cut_silent++;
        if (yzi_table_count(&w->unspoken) == before) {
            return; /* out of descriptors: at the next step */
        }
    }
}

static void begin(struct wires *w, const struct wire_name *name)
{
    struct wire *c = yzi_table_get(&w->by_name, name_bytes(name));
    if (c) {
        forget(w, c);
    }
    if (yzi_alloc(1, sizeof *c, &c) < 0) {
        return; /* as little memory as that: libzmq aborts next */
    }
    c->name = *name;
    c->cookie = cookie_of(name->fd);
    c->since = w->now;
    c->handshakes_before = w->handshakes;
    if (yzi_table_put(&w->by_name, name_bytes(name), c) < 0) {
        free(c);
        return;
    }
    if (yzi_table_put(&w->unspoken, name_bytes(name), c) < 0) {
        forget(w, c);
        return;
    }
    pthread_cond_signal(&w->turn);
}

/* A part with u16 event ‖ u32 value in the machine's order, and one with the address. */
static bool next_event(void *monitor, uint16_t *out_event, int *out_fd)
{
    YZ_AUTO(yzi_message_fini) struct message part = {0};
    bool more = false;
    if (yzi_zmq_recv_part(monitor, &part, &more) < 0) {
        return false;
    }
    uint32_t value = 0;
    *out_event = 0;
    if (part.bytes.n == sizeof *out_event + sizeof value) {
        memcpy(out_event, part.bytes.p, sizeof *out_event);
        memcpy(&value, part.bytes.p + sizeof *out_event, sizeof value);
    }
    *out_fd = (int)value;
    while (more) {
        struct message rest = {0};
        if (yzi_zmq_recv_part(monitor, &rest, &more) < 0) {
            return true;
        }
        yzi_message_fini(&rest);
    }
    return true;
}

/* All of them: when a descriptor is another's already, its end is among them. */
static void take_events(struct wires *w)
{
    for (int i = 0; i < (int)SERVER_ENDPOINTS_MAX; i++) {
        uint16_t event;
        struct wire_name name = {.endpoint = i};
        while (w->monitors[i] && next_event(w->monitors[i], &event, &name.fd)) {
            if (event == ZMQ_EVENT_ACCEPTED) {
                begin(w, &name);
                continue;
            }
            struct wire *c = yzi_table_get(&w->by_name, name_bytes(&name));
            if (c && event == ZMQ_EVENT_DISCONNECTED) {
                forget(w, c);
            }
        }
    }
}

uint64_t yzi_wires_handshake(struct wires *shared)
{
    YZ_AUTO(let_go) struct wires *w = hold(shared);
    read_clock(w);
    take_events(w); /* its beginning was told before it could ask */
    return ++w->handshakes;
}

/* -- the first word -- */

static int join_peer(struct wires *w, struct wire *c, const uint8_t key[32])
{
    struct wire_peer *peer = yzi_table_get(&w->peers, yzi_bytes(key, 32));
    if (!peer) {
        YZ_TRY(yzi_alloc(1, sizeof *peer, &peer));
        memcpy(peer->key, key, sizeof peer->key);
        int rc = yzi_table_put(&w->peers, yzi_bytes(key, 32), peer);
        if (rc < 0) {
            free(peer);
            return rc;
        }
    }
    c->peer = peer;
    c->next_of_peer = peer->first;
    peer->first = c;
    peer->unread += c->unread;
    peer->unsent += c->unsent;
    return YZ_OK;
}

/* This connection speaks as that id. What a closed connection left behind may still be read when
 * its descriptor is another's, which must not be taken for it. */
static struct wire *introduce(struct wires *w, const struct wire_speaker *from)
{
    struct wire_name name = {.fd = from->fd, .endpoint = from->id.endpoint};
    struct wire *c = yzi_table_get(&w->by_name, name_bytes(&name));
    if (!c || c->cut || from->handshake <= c->handshakes_before ||
        (c->id.n && from->handshake <= c->handshake)) {
        return NULL;
    }
    uint64_t received;
    set_unread(w, c, 0);
    set_unsent(w, c, 0);
    c->taken = c->sent = 0;
    forget_id(w, c);
    leave_peer(w, c);
    struct wire *other = yzi_table_get(&w->by_id, yzi_connection_bytes(&from->id));
    if (other) {
        forget_id(w, other);
    }
    if (join_peer(w, c, from->key) < 0 ||
        yzi_table_put(&w->by_id, yzi_connection_bytes(&from->id), c) < 0) {
        return NULL;
    }
    c->id = from->id;
    c->handshake = from->handshake;
    yzi_table_remove(&w->unspoken, name_bytes(&c->name));
    if (!tcp_figures(from->fd, &received, &c->acked_before)) {
        c->acked_before = 0;
    }
    return c;
}

void yzi_wires_took(struct wires *shared, const struct wire_speaker *from, size_t n)
{
    YZ_AUTO(let_go) struct wires *w = hold(shared);
    struct wire *c = yzi_table_get(&w->by_id, yzi_connection_bytes(&from->id));
    if (!c || c->handshake != from->handshake) {
        read_clock(w);
        take_events(w); /* its beginning is told before it can have spoken */
        c = introduce(w, from);
    }
    if (c) {
        c->taken += on_the_wire(n);
    }
}

/* -- sending -- */

static void measure_peer(struct wires *w, struct wire_peer *peer)
{
    for (struct wire *c = peer->first; c; c = c->next_of_peer) {
        measure(w, c);
    }
}

static void measure_all(struct wires *w)
{
    for (struct table_item *i = yzi_table_first(&w->by_name); i; i = yzi_table_next(i)) {
        measure(w, yzi_table_value(i));
    }
    w->next_measure_all = w->now + MEASURE_ALL_MS;
}

static bool has_room(const struct wires *w, const struct wire_peer *peer, uint64_t n)
{
    bool fits = peer->unsent <= w->o.bytes_per_peer && n <= w->o.bytes_per_peer - peer->unsent;
    return (fits || !peer->unsent) && w->unsent <= w->o.bytes && n <= w->o.bytes - w->unsent;
}

bool yzi_wires_may_send(struct wires *shared, const struct connection_id *to, size_t n)
{
    YZ_AUTO(let_go) struct wires *w = hold(shared);
    struct wire *c = yzi_table_get(&w->by_id, yzi_connection_bytes(to));
    uint64_t bytes = on_the_wire(n);
    if (!c || w->blind || has_room(w, c->peer, bytes)) {
        return true;
    }
    measure_peer(w, c->peer);
    if (has_room(w, c->peer, bytes)) {
        return true;
    }
    read_clock(w);
    if (w->now >= w->next_measure_all) {
        measure_all(w);
    }
    return has_room(w, c->peer, bytes);
}

void yzi_wires_sent(struct wires *shared, const struct connection_id *to, size_t n)
{
    YZ_AUTO(let_go) struct wires *w = hold(shared);
    struct wire *c = yzi_table_get(&w->by_id, yzi_connection_bytes(to));
    if (c && !c->cut && !w->blind) {
        c->sent += on_the_wire(n);
        set_unsent(w, c, c->unsent + on_the_wire(n));
    }
}

void yzi_wires_cut(struct wires *shared, const struct connection_id *id)
{
    YZ_AUTO(let_go) struct wires *w = hold(shared);
    struct wire *c = yzi_table_get(&w->by_id, yzi_connection_bytes(id));
    if (c) {
        shut_down(w, c);
    }
}

bool yzi_wires_stands(struct wires *shared, const struct connection_id *id)
{
    YZ_AUTO(let_go) struct wires *w = hold(shared);
    return yzi_table_get(&w->by_id, yzi_connection_bytes(id)) != NULL;
}

/* -- who holds too much -- */

static void cut_the_unspoken(struct wires *w)
{
    struct table_item *next;
    for (struct table_item *i = yzi_table_first(&w->unspoken); i; i = next) {
        next = yzi_table_next(i);
        struct wire *c = yzi_table_value(i);
        if (w->now - c->since > FIRST_WORD_MS || c->unread > UNSPOKEN_BYTES) {
            shut_down(w, c);
            w->cut_silent++;
        }
    }
}

static bool cut_largest_of(struct wires *w, struct wire_peer *peer)
{
    struct wire *largest = NULL;
    for (struct wire *c = peer->first; c; c = c->next_of_peer) {
        largest = !c->cut && (!largest || c->unread > largest->unread) ? c : largest;
    }
    if (!largest || !largest->unread) {
        return false;
    }
    shut_down(w, largest);
    w->cut_greedy += largest->cut;
    return largest->cut;
}

/* Too much unread of one key costs it its fullest connections; too much of all, those of whoever
 * has the most. */
static void cut_the_greedy(struct wires *w)
{
    struct wire_peer *most;
    do {
        most = NULL;
        for (struct table_item *i = yzi_table_first(&w->peers); i; i = yzi_table_next(i)) {
            struct wire_peer *p = yzi_table_value(i);
            while (p->unread > w->o.bytes_per_peer && cut_largest_of(w, p)) {
            }
            most = !most || p->unread > most->unread ? p : most;
        }
    } while (w->unread > w->o.bytes && most && cut_largest_of(w, most));
}

static void sweep(struct wires *w)
{
    measure_all(w);
    cut_the_unspoken(w);
    cut_the_greedy(w);
    w->next_sweep = w->now + SWEEP_MS;
    w->memory = memory_now(w);
}

void yzi_wires_step(struct wires *shared)
{
    YZ_AUTO(let_go) struct wires *w = hold(shared);
    read_clock(w);
    take_events(w);
    make_room(w);
    if (w->now >= w->next_sweep) {
        sweep(w);
    }
}

/* -- the watch -- */

/* Memory that was let go since is not there to be filled again unnoticed. */
static void look(struct wires *w)
{
    uint64_t memory = memory_now(w);
    if (memory > w->memory + GROWTH_BYTES) {
        sweep(w);
    } else if (memory < w->memory) {
        w->memory = memory;
    }
}

static void *run_watch(void *arg)
{
    struct wires *w = hold(arg);
    while (!w->closing) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)LOOK_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (yzi_table_count(&w->by_name) == 0) {
            pthread_cond_wait(&w->turn, &w->mutex);
        } else if (pthread_cond_timedwait(&w->turn, &w->mutex, &until) == ETIMEDOUT) {
            look(w);
        }
    }
    let_go(&w);
    return NULL;
}

void yzi_wires_set_limits(struct wires *shared, size_t bytes, size_t bytes_per_peer)
{
    YZ_AUTO(let_go) struct wires *w = hold(shared);
    w->o.bytes = bytes;
    w->o.bytes_per_peer = bytes_per_peer;
}

void yzi_wires_counters(struct wires *shared, struct server_counters *out)
{
    YZ_AUTO(let_go) struct wires *w = hold(shared);
    out->wires = yzi_table_count(&w->by_name);
    out->unspoken = yzi_table_count(&w->unspoken);
    out->unread_bytes = w->unread;
    out->unsent_bytes = w->unsent;
    out->cut_silent = w->cut_silent;
    out->cut_greedy = w->cut_greedy;
    out->measured = !w->blind;
}
