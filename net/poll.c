/* SPDX-License-Identifier: Apache-2.0
 *
 * The libzmq context, polling, and the helpers of zmq_util.h.
 */
#include "net/poll.h"

#include <errno.h>
#include <limits.h>
#include <sodium.h>

#include "base/secret.h"
#include "net/zmq_util.h"
#include "proto/limits.h"

struct net {
    void *context;
};

int yzi_net_new(unsigned io_threads, struct net **out)
{
    YZ_TRY(yzi_sodium_init());
    /* The first automatic routing id of a ROUTER comes from rand(). */
    srand(randombytes_random());
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

#define POLL_MAX 64u

int yzi_poll(struct poll_entry *entries, size_t n, int64_t timeout_ms)
{
    YZ_ENSURE(n <= POLL_MAX, YZ_EINVAL);
    zmq_pollitem_t items[POLL_MAX];
    for (size_t i = 0; i < n; i++) {
        items[i] = (zmq_pollitem_t){entries[i].socket, entries[i].fd, ZMQ_POLLIN, 0};
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

int yzi_zmq_set_common(void *socket, size_t message_max, int high_water)
{
    int64_t max = (int64_t)(message_max ? message_max : YZ_MESSAGE_MAX);
    YZ_TRY(yzi_zmq_set_bytes(socket, ZMQ_MAXMSGSIZE, &max, sizeof max));
    int hwm = high_water > 0 ? high_water : 1000;
    YZ_TRY(yzi_zmq_set_int(socket, ZMQ_SNDHWM, hwm));
    YZ_TRY(yzi_zmq_set_int(socket, ZMQ_RCVHWM, hwm));
    YZ_TRY(yzi_zmq_set_int(socket, ZMQ_LINGER, 0));
    YZ_TRY(yzi_zmq_set_int(socket, ZMQ_IPV6, 1));
    /* the default of 30 s lets a peer that never finishes its handshake hold a connection */
    YZ_TRY(yzi_zmq_set_int(socket, ZMQ_HANDSHAKE_IVL, 2000));
    return YZ_OK;
}

int yzi_zmq_set_curve_keys(void *socket, struct key_pair *transport)
{
    YZ_ENSURE(transport->use == KEY_TRANSPORT && transport->secret.n == 32, YZ_EINVAL);
    YZ_TRY(yzi_zmq_set_bytes(socket, ZMQ_CURVE_PUBLICKEY, transport->public_key, 32));
    const uint8_t *secret = yzi_secret_open(&transport->secret);
    int rc = yzi_zmq_set_bytes(socket, ZMQ_CURVE_SECRETKEY, secret, 32);
    yzi_secret_close(&transport->secret);
    return rc;
}

int yzi_zmq_send_copy(void *socket, yz_bytes bytes, int flags)
{
    while (zmq_send(socket, bytes.p, bytes.n, flags) < 0) {
        if (errno != EINTR) {
            return yzi_zmq_error(errno);
        }
    }
    return YZ_OK;
}
