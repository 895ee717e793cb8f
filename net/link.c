/* SPDX-License-Identifier: Apache-2.0
 *
 * A DEALER with one connection at a time. libzmq's own reconnecting is not used: it gives up for
 * ever after a refused key or a protocol error, says nothing about it, and would send what was
 * queued for the old connection on the new one, before any hello. So each connection has its own
 * socket, the socket's monitor tells how it fares, and whatever ends it leads to one place: the
 * back-off. A socket whose connection is lost is kept until the next attempt, because what the
 * broker said last is still in it.
 */
#include "net/link.h"

#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdatomic.h>
#include <string.h>

#include "net/zmq_util.h"
#include "proto/limits.h"

#define ATTEMPT_MS 10000u     /* resolving, connecting and shaking hands take no longer */
#define BACKOFF_FIRST_MS 100u /* doubled by each failure */
#define BACKOFF_MAX_MS 30000u
#define LOST_FAILURES_MAX 3u /* counted against a connection that was up: 0.8 s */
#define MULTIPART_PER_RECV 16u

enum link_state {
    STATE_WAITING, /* backing off until `deadline`; the last socket may still be readable */
    STATE_TRYING,  /* until `deadline` */
    STATE_UP
};

struct link {
    void *context;
    char *endpoint;
    uint8_t server_key[32];
    struct key_pair *transport;
    const struct clock *clock;
    size_t message_max;
    int high_water, send_buffer;
    enum link_state state;
    void *socket;  /* NULL when there is none */
    void *monitor; /* NULL when the connection is lost */
    uint64_t deadline;
    uint64_t up_since;
    unsigned failures;       /* in a row */
    enum link_event pending; /* found by a timer, to be told by next_event */
    uint64_t multipart;
};

/* The monitor is stopped before its reader goes, and both before the socket: closing a socket
 * happens later and elsewhere, and an event that finds no reader blocks libzmq's I/O thread for
 * ever, with all sockets of the process. */
static void close_monitor(struct link *l)
{
    if (l->monitor) {
        zmq_socket_monitor(l->socket, NULL, 0);
        zmq_close(l->monitor);
        l->monitor = NULL;
    }
}

static void close_sockets(struct link *l)
{
    close_monitor(l);
    if (l->socket) {
        zmq_close(l->socket);
        l->socket = NULL;
    }
}

/* Full jitter on the upper half, so that a thousand links that lost one broker do not return as
 * one. */
static uint64_t backoff_ms(unsigned failures)
{
    unsigned doublings = failures > 16 ? 16 : failures;
    uint32_t d = BACKOFF_FIRST_MS << doublings;
    if (d > BACKOFF_MAX_MS) {
        d = BACKOFF_MAX_MS;
    }
    return d / 2 + randombytes_uniform(d / 2 + 1);
}

/* The connection, or the attempt at one, has ended. */
static void lose(struct link *l)
{
    uint64_t now = yzi_mono_ms(l->clock);
    if (l->state == STATE_UP) {
        /* It stood: this is the first failure of a new row. One that never stands for long is a bad
         * network, or a broker that ends what it admitted: tried more slowly, but not given up. */
        bool stood = now - l->up_since >= BACKOFF_MAX_MS;
        l->failures = stood ? 0 : l->failures > LOST_FAILURES_MAX ? LOST_FAILURES_MAX : l->failures;
    }
    l->deadline = now + backoff_ms(l->failures);
    l->failures++;
    l->state = STATE_WAITING;
}

/* -- making a connection -- */

static int set_options(struct link *l)
{
    YZ_TRY(yzi_zmq_set_common(l->socket, l->endpoint, l->message_max, l->high_water));
    if (l->send_buffer > 0) {
        YZ_TRY(yzi_zmq_set_int(l->socket, ZMQ_SNDBUF, l->send_buffer));
    }
    /* "Never" would be -1, but then libzmq throws away what it has received and we have not read.
     */
    YZ_TRY(yzi_zmq_set_int(l->socket, ZMQ_RECONNECT_IVL, INT_MAX));
    YZ_TRY(yzi_zmq_set_bytes(l->socket, ZMQ_CURVE_SERVERKEY, l->server_key, 32));
    return yzi_zmq_set_curve_keys(l->socket, l->transport);
}

/* Connected before the socket is, so that no event comes without a reader. */
static int open_monitor(struct link *l)
{
    static _Atomic uint64_t serial; /* addresses are unique in the process's one context */
    char address[64];
    snprintf(address, sizeof address, "inproc://yizhan-link-%llu",
             (unsigned long long)atomic_fetch_add(&serial, 1));
    const int events = ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                       ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                       ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_MONITOR_STOPPED;
    l->monitor = zmq_socket(l->context, ZMQ_PAIR);
    if (!l->monitor) {
        return yzi_zmq_error(errno);
    }
    YZ_TRY(yzi_zmq_set_int(l->monitor, ZMQ_LINGER, 0));
    if (zmq_socket_monitor(l->socket, address, events) < 0 ||
        zmq_connect(l->monitor, address) < 0) {
        return yzi_zmq_error(errno);
    }
    return YZ_OK;
}

static int try_connect(struct link *l)
{
    close_sockets(l);
    l->socket = zmq_socket(l->context, ZMQ_DEALER);
    if (!l->socket) {
        return yzi_zmq_error(errno);
    }
    YZ_TRY(set_options(l));
    YZ_TRY(open_monitor(l));
    if (zmq_connect(l->socket, l->endpoint) < 0) {
        int rc = yzi_zmq_error(errno);
        return rc == YZ_EINVAL ? YZ_ECONFIG : rc;
    }
    l->state = STATE_TRYING;
    l->deadline = yzi_mono_ms(l->clock) + ATTEMPT_MS;
    return YZ_OK;
}

static int init(struct link *l, const struct link_options *o, yz_error *err)
{
    YZ_TRY(yzi_bytes_dup_str(yzi_bytes_str(o->endpoint), &l->endpoint));
    l->context = yzi_net_context(o->net);
    memcpy(l->server_key, o->server_key, sizeof l->server_key);
    l->transport = o->transport;
    l->clock = o->clock;
    l->message_max = o->message_max ? o->message_max : YZ_MESSAGE_MAX;
    l->high_water = o->high_water;
    l->send_buffer = o->send_buffer;
    int rc = try_connect(l);
    if (rc < 0) {
        return yzi_fail(err, rc, "cannot connect to %s: %s", o->endpoint, zmq_strerror(errno));
    }
    return YZ_OK;
}

int yzi_link_new(const struct link_options *o, struct link **out, yz_error *err)
{
    YZ_ENSURE(o->net && o->endpoint && o->transport && o->clock, YZ_EINVAL);
    YZ_ENSURE(o->transport->use == KEY_TRANSPORT, YZ_EINVAL);
    struct link *l;
    YZ_TRY(yzi_alloc(1, sizeof *l, &l));
    int rc = init(l, o, err);
    if (rc < 0) {
        yzi_link_close(l);
        return rc;
    }
    *out = l;
    return YZ_OK;
}

void yzi_link_close(struct link *l)
{
    if (!l) {
        return;
    }
    close_sockets(l);
    free(l->endpoint);
    free(l);
}

/* -- what happens to it -- */

void yzi_link_poll_entries(struct link *l, struct poll_entry out[LINK_POLL_ENTRIES])
{
    out[0] = (struct poll_entry){.socket = l->socket, .fd = -1};
    out[1] = (struct poll_entry){.socket = l->monitor, .fd = -1};
}

/* The next event of the monitor: a part with u16 event ‖ u32 value in the machine's order, and one
 * with the address. */
static int next_monitor_event(void *monitor, unsigned *out)
{
    struct message part = {0};
    bool more = false;
    YZ_TRY(yzi_zmq_recv_part(monitor, &part, &more));
    uint16_t event = 0;
    if (part.bytes.n >= sizeof event) {
        memcpy(&event, part.bytes.p, sizeof event);
    }
    yzi_message_fini(&part);
    int rc = YZ_OK;
    while (more && rc == YZ_OK) {
        rc = yzi_zmq_recv_part(monitor, &part, &more);
        yzi_message_fini(&part);
    }
    *out = event;
    return YZ_OK;
}

static enum link_event apply(struct link *l, unsigned event)
{
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        l->state = STATE_UP;
        l->up_since = yzi_mono_ms(l->clock);
        l->deadline = UINT64_MAX;
        return LINK_CONNECTED;
    }
    lose(l);
    close_monitor(l);
    return event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH ? LINK_REFUSED : LINK_DISCONNECTED;
}

enum link_event yzi_link_next_event(struct link *l)
{
    enum link_event pending = l->pending;
    l->pending = LINK_NOTHING;
    if (pending != LINK_NOTHING || !l->monitor) {
        return pending;
    }
    unsigned event;
    if (next_monitor_event(l->monitor, &event) < 0) {
        return LINK_NOTHING;
    }
    return apply(l, event);
}

uint64_t yzi_link_deadline(const struct link *l)
{
    return l->pending != LINK_NOTHING ? 0 : l->deadline;
}

void yzi_link_step(struct link *l)
{
    if (yzi_mono_ms(l->clock) < l->deadline) {
        return;
    }
    if (l->state == STATE_TRYING) {
        close_sockets(l);
        lose(l);
        l->pending = LINK_DISCONNECTED;
    } else if (l->state == STATE_WAITING && try_connect(l) < 0) {
        close_sockets(l); /* out of descriptors or memory: perhaps not for ever */
        lose(l);
    }
}

void yzi_link_abandon(struct link *l)
{
    if (l->state == STATE_WAITING) {
        return;
    }
    close_sockets(l);
    lose(l);
    l->pending = LINK_DISCONNECTED;
}

void yzi_link_set_linger(struct link *l, unsigned ms)
{
    if (l->socket && l->state == STATE_UP) {
        yz_ignore(yzi_zmq_set_int(l->socket, ZMQ_LINGER, (int)ms), "then nothing lingers");
    }
}

/* -- messages -- */

int yzi_link_send(struct link *l, yz_bytes message)
{
    YZ_ENSURE(message.n <= l->message_max, YZ_ETOOBIG);
    YZ_ENSURE(l->state == STATE_UP, YZ_EAGAIN);
    return yzi_zmq_send_copy(l->socket, message, ZMQ_DONTWAIT);
}

int yzi_link_recv(struct link *l, struct message *out)
{
    YZ_ENSURE(l->socket, YZ_EAGAIN);
    for (unsigned i = 0; i < MULTIPART_PER_RECV; i++) {
        struct message m = {0};
        bool more = false;
        YZ_TRY(yzi_zmq_recv_part(l->socket, &m, &more));
        if (!more) {
            yzi_message_move(out, &m);
            return YZ_OK;
        }
        l->multipart++;
        while (more) {
            yzi_message_fini(&m);
            YZ_TRY(yzi_zmq_recv_part(l->socket, &m, &more));
        }
        yzi_message_fini(&m);
    }
    return YZ_EAGAIN; /* the socket stays readable, and others get their turn */
}
