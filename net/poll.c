/* SPDX-License-Identifier: Apache-2.0
 *
 * The libzmq context, polling, and the helpers of zmq_util.h.
 */
#include "net/poll.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <string.h>

#include "base/secret.h"
#include "net/zmq_util.h"
#include "proto/limits.h"

struct net {
    void *context;
};

int yzi_net_new(unsigned io_threads, struct net **out)
{
    YZ_TRY(yzi_sodium_init());
    struct net *n;
    YZ_TRY(yzi_alloc(1, sizeof *n, &n));
    n->context = zmq_ctx_new();
    if (!n->context) {
        free(n);
        return YZ_ENOMEM;
    }
    if (zmq_ctx_set(n->context, ZMQ_IO_THREADS, io_threads ? (int)io_threads : 1) < 0 ||
        zmq_ctx_set(n->context, ZMQ_MAX_SOCKETS, 16384) < 0 ||
        zmq_ctx_set(n->context, ZMQ_BLOCKY, 0) < 0) {
        yzi_net_free(n);
        return YZ_EINTERNAL;
    }
    *out = n;
    return YZ_OK;
}

void yzi_net_free(struct net *n)
{
    if (!n) {
        return;
    }
    while (zmq_ctx_term(n->context) < 0 && errno == EINTR) {
    }
    free(n);
}

void *yzi_net_context(struct net *n)
{
    return n->context;
}

void *yzi_zmq_new_router(void *context, int type)
{
    /* libzmq 4.3.4 takes the first automatic routing id from rand(), which nobody else seeds; a
     * peer that claims the next one aborts the process. Not only once at start: another library may
     * have seeded it with something to guess since. */
    srand(randombytes_random());
    return zmq_socket(context, type);
}

#define POLL_MAX 128u

int yzi_poll(struct poll_entry *entries, size_t n, int64_t timeout_ms)
{
    YZ_ENSURE(n <= POLL_MAX, YZ_EINVAL);
    zmq_pollitem_t items[POLL_MAX];
    for (size_t i = 0; i < n; i++) {
        items[i] = (zmq_pollitem_t){.socket = entries[i].socket,
                                    .fd = entries[i].socket ? 0 : entries[i].fd,
                                    .events = ZMQ_POLLIN};
        entries[i].readable = false;
    }
    if (timeout_ms > INT_MAX) {
        timeout_ms = INT_MAX;
    }
    int ready = zmq_poll(items, (int)n, timeout_ms < 0 ? -1 : (long)timeout_ms);
    if (ready < 0) {
        return errno == EINTR ? YZ_OK : yzi_zmq_error(errno);
    }
    for (size_t i = 0; i < n; i++) {
        entries[i].readable = (items[i].revents & (ZMQ_POLLIN | ZMQ_POLLERR)) != 0;
    }
    return YZ_OK;
}

int yzi_zmq_error(int errnum)
{
    switch (errnum) {
    case EAGAIN:
        return YZ_EAGAIN;
    case EHOSTUNREACH:
        return YZ_ECLOSED;
    case ENOMEM:
        return YZ_ENOMEM;
    case EINVAL:
    case EPROTONOSUPPORT:
    case ENOCOMPATPROTO:
    case ENODEV:
        return YZ_EINVAL;
    case ETERM:
    case ENOTSOCK:
        return YZ_ECLOSED;
    case EMFILE:
        return YZ_ELIMIT;
    default:
        return YZ_EIO;
    }
}

int yzi_zmq_set_bytes(void *socket, int option, const void *p, size_t n)
{
    return zmq_setsockopt(socket, option, p, n) < 0 ? yzi_zmq_error(errno) : YZ_OK;
}

int yzi_zmq_set_int(void *socket, int option, int value)
{
    return yzi_zmq_set_bytes(socket, option, &value, sizeof value);
}

/* ZMQ_MAXMSGSIZE counts what is on the wire: the command's name, a nonce, flags and a tag around
 * each message (RFC 26). */
#define CURVE_OVERHEAD (8 + 8 + 1 + 16)

/* With ZMQ_IPV6 set, an IPv4 address is bound and shown as ::ffff:a.b.c.d, which is nobody's
 * configuration; so it is for names, wildcards and IPv6 addresses only. */
static bool is_ipv4(const char *address)
{
    static const char scheme[] = "tcp://";
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(address, ':');
    if (!colon || strncmp(address, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    const char *begin = address + sizeof scheme - 1;
    if (colon < begin || (size_t)(colon - begin) >= sizeof host) {
        return false;
    }
    memcpy(host, begin, (size_t)(colon - begin));
    host[colon - begin] = 0;
    struct in_addr ignored;
    return inet_pton(AF_INET, host, &ignored) == 1;
}

int yzi_zmq_set_common(void *socket, const char *address, size_t message_max, int high_water)
{
    int64_t max = (int64_t)(message_max ? message_max : YZ_MESSAGE_MAX) + CURVE_OVERHEAD;
    YZ_TRY(yzi_zmq_set_bytes(socket, ZMQ_MAXMSGSIZE, &max, sizeof max));
    int hwm = high_water > 0 ? high_water : 1000;
    YZ_TRY(yzi_zmq_set_int(socket, ZMQ_SNDHWM, hwm));
    YZ_TRY(yzi_zmq_set_int(socket, ZMQ_RCVHWM, hwm));
    YZ_TRY(yzi_zmq_set_int(socket, ZMQ_LINGER, 0));
    YZ_TRY(yzi_zmq_set_int(socket, ZMQ_IPV6, is_ipv4(address) ? 0 : 1));
    /* the default of 30 s lets a peer that never finishes its handshake hold a connection */
    YZ_TRY(yzi_zmq_set_int(socket, ZMQ_HANDSHAKE_IVL, 2000));
    return YZ_OK;
}

int yzi_zmq_set_curve_keys(void *socket, struct key_pair *transport)
{
    YZ_ENSURE(transport->use == KEY_TRANSPORT && transport->secret.n == 32, YZ_EINVAL);
    YZ_TRY(yzi_zmq_set_bytes(socket, ZMQ_CURVE_PUBLICKEY, transport->public_key, 32));
    const uint8_t *secret = yzi_key_pair_open(transport);
    int rc = yzi_zmq_set_bytes(socket, ZMQ_CURVE_SECRETKEY, secret, 32);
    yzi_key_pair_close(transport);
    return rc;
}

int yzi_zmq_recv_part(void *socket, struct message *out, bool *out_more)
{
    struct message m = {0};
    zmq_msg_init(yzi_zmq_msg(&m));
    m.live = true;
    while (zmq_msg_recv(yzi_zmq_msg(&m), socket, ZMQ_DONTWAIT) < 0) {
        if (errno != EINTR) {
            int code = yzi_zmq_error(errno);
            yzi_message_fini(&m);
            return code;
        }
    }
    m.bytes = yzi_bytes(zmq_msg_data(yzi_zmq_msg(&m)), zmq_msg_size(yzi_zmq_msg(&m)));
    *out_more = zmq_msg_more(yzi_zmq_msg(&m)) != 0;
    yzi_message_move(out, &m);
    return YZ_OK;
}

int yzi_zmq_send(void *socket, struct message *m, int flags)
{
    while (zmq_msg_send(yzi_zmq_msg(m), socket, flags) < 0) {
        if (errno != EINTR) {
            return yzi_zmq_error(errno);
        }
    }
    yzi_message_fini(m);
    return YZ_OK;
}

int yzi_zmq_send_copy(void *socket, yz_bytes bytes, int flags)
{
    YZ_AUTO(yzi_message_fini) struct message m = {0};
    YZ_TRY(yzi_message_copy(&m, bytes));
    return yzi_zmq_send(socket, &m, flags);
}
