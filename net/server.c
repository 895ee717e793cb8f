/* SPDX-License-Identifier: Apache-2.0
 *
 * ROUTER sockets behind CURVE, and the ZAP handler that decides each handshake. The User-Id that
 * ZAP returns is the peer's key and the number of its handshake; libzmq 4.3.4 attaches it to
 * message parts, but loses it on the first one after a poll, so it is read from the last part.
 */
#include "net/server.h"

#include <errno.h>
#include <sodium.h>

#include "base/text.h"
#include "net/wires.h"
#include "net/zmq_util.h"

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define ZAP_DOMAIN "yizhan"
#define ZAP_PARTS 7 /* version, request id, domain, address, identity, mechanism, credentials */
#define HANDSHAKES_PER_STEP 64u
#define QUEUE_BYTES ((size_t)256 * 1024 * 1024)
#define QUEUE_BYTES_PER_PEER ((size_t)64 * 1024 * 1024)
/* Connections that have said nothing yet: ten thousand honest ones that come at once get through in
 * turns, because each speaks within milliseconds. */
#define UNSPOKEN_MAX 1024u
/* All of a broker's peers come back at once when it restarts; libzmq's own 100 would make most of
 * them wait for TCP's retries. */
#define BACKLOG 4096
#define RECEIVED_MAX 256 /* messages of a connection */
#define SENT_MAX 4096
#define TURN_MESSAGES 64u  /* of an endpoint that keeps its turn; a bundle's are counted */
#define DROPS_PER_RECV 64u /* messages that break the rules, before others get their turn */
/* What libzmq assigns: a zero byte and a counter. A peer may propose another id in its handshake;
 * such a connection is not heard. */
#define ROUTING_ID_BYTES 5u
#define USER_BYTES 40u /* key ‖ number of the handshake */
#define HANDSHAKE_TIMES_OUT "a handshake that gets no reply times out after ZMQ_HANDSHAKE_IVL"

struct server {
    void *zap;
    struct wires *wires;
    struct {
        void *router;
        char address[256];
        bool keeps_turn;
    } endpoints[SERVER_ENDPOINTS_MAX];
    unsigned endpoints_n;
    unsigned next;         /* the endpoint to ask first, for fairness */
    unsigned taken_in_row; /* messages of it */
    uint32_t resting;      /* bit i: endpoint i */
    bool (*admit)(void *ctx, const uint8_t key[32]);
    bool (*has_room)(void *ctx, const uint8_t key[32]);
    void *ctx;
    struct server_counters counters;
};

static int open_zap(struct server *s, void *context, yz_error *err)
{
    s->zap = yzi_zmq_new_router(context, ZMQ_REP);
    if (!s->zap) {
        return yzi_fail(err, yzi_zmq_error(errno), "cannot make the ZAP socket: %s",
                        zmq_strerror(errno));
    }
    YZ_TRY(yzi_zmq_set_int(s->zap, ZMQ_LINGER, 0));
    if (zmq_bind(s->zap, ZAP_ENDPOINT) < 0) {
        return yzi_fail(err, YZ_EINTERNAL, "cannot bind the ZAP handler: %s", zmq_strerror(errno));
    }
    return YZ_OK;
}

/* Few messages wait to be read: what is beyond stays with its sender, which TCP tells to wait, and
 * costs no decryption and no memory here. More may wait to be sent than one service has under way
 * by default, so that a burst for its adapter is not turned away after it was verified. Both are
 * bounded in bytes as well (wires.h). */
static int set_high_water(void *router, int given)
{
    YZ_TRY(yzi_zmq_set_int(router, ZMQ_RCVHWM, given > 0 ? given : RECEIVED_MAX));
    return yzi_zmq_set_int(router, ZMQ_SNDHWM, given > 0 ? given : SENT_MAX);
}

static int set_router_options(void *router, const struct server_options *o, unsigned i)
{
    const char *address = o->endpoints[i].address;
    struct key_pair *transport = o->endpoints[i].transport;
    YZ_TRY(yzi_zmq_set_common(router, address, o->message_max, o->high_water));
    YZ_TRY(set_high_water(router, o->high_water));
    if (o->endpoints[i].receive_buffer > 0) {
        YZ_TRY(yzi_zmq_set_int(router, ZMQ_RCVBUF, o->endpoints[i].receive_buffer));
    }
    YZ_TRY(yzi_zmq_set_int(router, ZMQ_CURVE_SERVER, 1));
    YZ_TRY(yzi_zmq_set_curve_keys(router, transport));
    YZ_TRY(yzi_zmq_set_bytes(router, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, strlen(ZAP_DOMAIN)));
    /* without this, a missing handler would mean "accept everybody" */
    YZ_TRY(yzi_zmq_set_int(router, YZ_ZMQ_ZAP_ENFORCE_DOMAIN, 1));
    YZ_TRY(yzi_zmq_set_int(router, ZMQ_ROUTER_MANDATORY, 1));
    YZ_TRY(yzi_zmq_set_int(router, ZMQ_ROUTER_HANDOVER, 0));
    /* notice a peer that vanished without closing */
    YZ_TRY(yzi_zmq_set_int(router, ZMQ_BACKLOG, BACKLOG));
    YZ_TRY(yzi_zmq_set_int(router, ZMQ_HEARTBEAT_IVL, 10000));
    YZ_TRY(yzi_zmq_set_int(router, ZMQ_HEARTBEAT_TIMEOUT, 30000));
    return YZ_OK;
}

static int open_endpoint(struct server *s, void *context, const struct server_options *o,
                         unsigned i, yz_error *err)
{
    const char *address = o->endpoints[i].address;
    void *router = yzi_zmq_new_router(context, ZMQ_ROUTER);
    if (!router) {
        return yzi_fail(err, yzi_zmq_error(errno), "cannot make a socket: %s", zmq_strerror(errno));
    }
    s->endpoints[i].router = router;
    s->endpoints[i].keeps_turn = o->endpoints[i].keeps_turn;
    s->endpoints_n = i + 1;
    int rc = set_router_options(router, o, i);
    if (rc < 0) {
        return yzi_fail(err, YZ_EINTERNAL, "libzmq refuses an option the server depends on (%s)",
                        yz_err_words(rc));
    }
    rc = yzi_wires_watch(s->wires, context, router, (uint8_t)i);
    if (rc < 0) {
        return yzi_fail(err, rc, "cannot watch a socket: %s", zmq_strerror(errno));
    }
    if (zmq_bind(router, address) < 0) {
        int code =
            errno == EINVAL || errno == EPROTONOSUPPORT || errno == ENODEV ? YZ_ECONFIG : YZ_EIO;
        return yzi_fail(err, code, "cannot listen on %s: %s%s", address, zmq_strerror(errno),
                        code == YZ_ECONFIG ? "; write tcp:// and the number of an address of this "
                                             "machine, as in tcp://127.0.0.1:7300, or tcp://*:7300"
                                           : "");
    }
    size_t n = sizeof s->endpoints[i].address;
    if (zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, s->endpoints[i].address, &n) < 0) {
        return yzi_fail(err, YZ_EINTERNAL, "cannot tell where %s listens", address);
    }
    return YZ_OK;
}

static int open_wires(struct server *s, const struct server_options *o)
{
    const struct wires_options w = {
        .clock = o->clock ? o->clock : &yzi_clock_system,
        .bytes = o->queue_bytes ? o->queue_bytes : QUEUE_BYTES,
        .bytes_per_peer = o->queue_bytes_per_peer ? o->queue_bytes_per_peer : QUEUE_BYTES_PER_PEER,
        .unspoken = o->unspoken ? o->unspoken : UNSPOKEN_MAX};
    return yzi_wires_new(&w, &s->wires);
}

int yzi_server_new(const struct server_options *o, struct server **out, yz_error *err)
{
    YZ_ENSURE(o->endpoints_n >= 1 && o->endpoints_n <= SERVER_ENDPOINTS_MAX && o->admit, YZ_EINVAL);
    struct server *s;
    YZ_TRY(yzi_alloc(1, sizeof *s, &s));
    s->admit = o->admit;
    s->has_room = o->has_room;
    s->ctx = o->ctx;
    void *context = yzi_net_context(o->net);
    int rc = open_wires(s, o);
    rc = rc < 0 ? rc : open_zap(s, context, err);
    for (unsigned i = 0; rc == YZ_OK && i < o->endpoints_n; i++) {
        rc = open_endpoint(s, context, o, i, err);
    }
    if (rc < 0) {
        yzi_server_close(s);
        return rc;
    }
    *out = s;
    return YZ_OK;
}

void yzi_server_close(struct server *s)
{
    if (!s) {
        return;
    }
    for (unsigned i = 0; i < s->endpoints_n; i++) {
        yzi_wires_unwatch(s->wires, (uint8_t)i);
        zmq_close(s->endpoints[i].router);
    }
    yzi_wires_free(s->wires);
    if (s->zap) {
        /* closing is done later by another thread; until then no other server could bind the name
         */
        zmq_unbind(s->zap, ZAP_ENDPOINT);
        zmq_close(s->zap);
    }
    free(s);
}

const char *yzi_server_endpoint(const struct server *s, unsigned i)
{
    return i < s->endpoints_n ? s->endpoints[i].address : NULL;
}

static bool rests(const struct server *s, unsigned endpoint)
{
    return s->resting & (UINT32_C(1) << endpoint);
}

size_t yzi_server_poll_entries(struct server *s, struct poll_entry out[SERVER_POLL_ENTRIES])
{
    size_t n = 0;
    out[n++] = (struct poll_entry){.socket = s->zap};
    for (unsigned i = 0; i < s->endpoints_n; i++) {
        out[n++] = (struct poll_entry){.socket = yzi_wires_monitor(s->wires, (uint8_t)i), .fd = -1};
        if (!rests(s, i)) {
            out[n++] = (struct poll_entry){.socket = s->endpoints[i].router};
        }
    }
    return n;
}

/* -- ZAP (RFC 27) -- */

struct zap_request {
    struct message parts[ZAP_PARTS];
    unsigned n;
};

/* All parts of one request; parts beyond the seventh are dropped, the count tells. */
static int receive_zap(void *zap, struct zap_request *r)
{
    bool more = true;
    while (more) {
        struct message part = {0};
        YZ_TRY(yzi_zmq_recv_part(zap, &part, &more));
        if (r->n < ZAP_PARTS) {
            yzi_message_move(&r->parts[r->n], &part);
        }
        yzi_message_fini(&part);
        r->n++;
    }
    return YZ_OK;
}

static bool zap_is_known(struct server *s, const struct zap_request *r)
{
    return r->n == ZAP_PARTS && yzi_bytes_eq_str(r->parts[0].bytes, "1.0") &&
           yzi_bytes_eq_str(r->parts[2].bytes, ZAP_DOMAIN) &&
           yzi_bytes_eq_str(r->parts[5].bytes, "CURVE") && r->parts[6].bytes.n == 32 &&
           s->admit(s->ctx, r->parts[6].bytes.p);
}

/* The User-Id that libzmq keeps with the connection's messages: its key and the number of its
 * handshake, in hex. */
static int make_user(struct server *s, const uint8_t key[32], struct message *out)
{
    uint8_t user[USER_BYTES];
    char hex[2 * USER_BYTES + 1];
    memcpy(user, key, 32);
    yzi_store_u64(user + 32, yzi_wires_handshake(s->wires));
    sodium_bin2hex(hex, sizeof hex, user, sizeof user);
    return yzi_message_copy(out, yzi_bytes_str(hex));
}

static bool read_user(const char *user, struct wire_speaker *out)
{
    uint8_t bytes[USER_BYTES];
    if (!user || yzi_hex_decode(yzi_bytes_str(user), bytes, sizeof bytes) < 0) {
        return false;
    }
    memcpy(out->key, bytes, 32);
    out->handshake = yzi_load_u64(bytes + 32);
    return true;
}

static void reply_zap(struct server *s, const struct zap_request *r)
{
    YZ_AUTO(yzi_message_fini) struct message user = {0};
    bool known = zap_is_known(s, r);
    /* Made before anything is said: a reply that lacks its end would keep the handler from ever
     * taking another request. The other parts are short, and take no memory. */
    bool admitted = known && (!s->has_room || s->has_room(s->ctx, r->parts[6].bytes.p)) &&
                    make_user(s, r->parts[6].bytes.p, &user) == YZ_OK;
    s->counters.admitted += admitted;
    s->counters.put_off += known && !admitted;
    s->counters.refused += !known;
    yz_bytes id = r->n > 1 ? r->parts[1].bytes : (yz_bytes){0};
    const yz_bytes reply[] = {yzi_bytes_str("1.0"), id,
                              yzi_bytes_str(admitted ? "200"
                                            : known  ? "300"
                                                     : "400"),
                              yzi_bytes_str(admitted ? "OK"
                                            : known  ? "not now"
                                                     : "unknown key")};
    for (size_t i = 0; i < sizeof reply / sizeof reply[0]; i++) {
        yz_ignore(yzi_zmq_send_copy(s->zap, reply[i], ZMQ_SNDMORE), HANDSHAKE_TIMES_OUT);
    }
    yz_ignore(admitted ? yzi_zmq_send(s->zap, &user, ZMQ_SNDMORE)
                       : yzi_zmq_send_copy(s->zap, (yz_bytes){0}, ZMQ_SNDMORE),
              HANDSHAKE_TIMES_OUT);
    yz_ignore(yzi_zmq_send_copy(s->zap, (yz_bytes){0}, 0), HANDSHAKE_TIMES_OUT);
}

void yzi_server_step(struct server *s)
{
    yzi_wires_step(s->wires);
    for (unsigned i = 0; i < HANDSHAKES_PER_STEP; i++) {
        struct zap_request r = {0};
        int rc = receive_zap(s->zap, &r);
        if (rc == YZ_OK) {
            reply_zap(s, &r);
        }
        for (unsigned k = 0; k < ZAP_PARTS; k++) {
            yzi_message_fini(&r.parts[k]);
        }
        if (rc < 0) {
            return;
        }
    }
}

/* -- messages -- */

/* Take one message off the socket: its routing id, its last part, and how many followed the id. */
static int take_parts(void *router, struct message *id, struct message *body, unsigned *out_parts)
{
    bool more = false;
    YZ_TRY(yzi_zmq_recv_part(router, id, &more));
    unsigned parts = 0;
    while (more) {
        yzi_message_fini(body);
        YZ_TRY(yzi_zmq_recv_part(router, body, &more));
        parts++;
    }
    *out_parts = parts;
    return YZ_OK;
}

/* One message; what breaks the rules is dropped and counted: YZ_EMALFORMED. */
static int receive_one(struct server *s, unsigned endpoint, struct connection_id *from,
                       uint8_t key[32], struct message *out)
{
    YZ_AUTO(yzi_message_fini) struct message id = {0};
    YZ_AUTO(yzi_message_fini) struct message body = {0};
    unsigned parts;
    YZ_TRY(take_parts(s->endpoints[endpoint].router, &id, &body, &parts));
    if (parts != 1) {
        s->counters.multipart++;
        return YZ_EMALFORMED;
    }
    if (id.bytes.n != ROUTING_ID_BYTES || id.bytes.p[0] != 0) {
        s->counters.named++;
        return YZ_EMALFORMED;
    }
    struct wire_speaker speaker = {.fd = zmq_msg_get(yzi_zmq_msg(&body), ZMQ_SRCFD)};
    if (!read_user(zmq_msg_gets(yzi_zmq_msg(&body), "User-Id"), &speaker)) {
        s->counters.keyless++;
        return YZ_EMALFORMED;
    }
    *from = (struct connection_id){.endpoint = (uint8_t)endpoint, .n = ROUTING_ID_BYTES};
    memcpy(from->id, id.bytes.p, ROUTING_ID_BYTES);
    memcpy(key, speaker.key, sizeof speaker.key);
    speaker.id = *from;
    yzi_wires_took(s->wires, &speaker, body.bytes.n);
    yzi_message_move(out, &body);
    return YZ_OK;
}

static void end_turn(struct server *s)
{
    s->taken_in_row = 0;
    s->next = (s->next + 1) % s->endpoints_n;
}

/* Endpoint `next` was asked. */
static void pass_turn(struct server *s, bool took)
{
    if (!took || !s->endpoints[s->next].keeps_turn || ++s->taken_in_row >= TURN_MESSAGES) {
        end_turn(s);
    }
}

void yzi_server_counted(struct server *s, unsigned messages)
{
    if (s->taken_in_row == 0) {
        return; /* its turn is over */
    }
    s->taken_in_row += messages - 1;
    if (s->taken_in_row >= TURN_MESSAGES) {
        end_turn(s);
    }
}

int yzi_server_recv(struct server *s, struct connection_id *from, uint8_t key[32],
                    struct message *out)
{
    unsigned idle = 0;
    unsigned dropped = 0;
    while (idle < s->endpoints_n && dropped < DROPS_PER_RECV) {
        unsigned endpoint = s->next;
        int rc = rests(s, endpoint) ? YZ_EAGAIN : receive_one(s, endpoint, from, key, out);
        pass_turn(s, rc != YZ_EAGAIN);
        if (rc == YZ_EAGAIN) {
            idle++;
        } else if (rc == YZ_EMALFORMED) {
            idle = 0;
            dropped++;
        } else {
            return rc;
        }
    }
    return YZ_EAGAIN;
}

bool yzi_server_has_room(struct server *s, const struct connection_id *to, size_t bytes)
{
    return yzi_wires_may_send(s->wires, to, bytes);
}

int yzi_server_send(struct server *s, const struct connection_id *to, yz_bytes message)
{
    YZ_ENSURE(to->endpoint < s->endpoints_n && to->n == ROUTING_ID_BYTES, YZ_EINVAL);
    YZ_ENSURE(yzi_wires_may_send(s->wires, to, message.n), YZ_EAGAIN);
    void *router = s->endpoints[to->endpoint].router;
    /* The copy is made before the routing id goes in: once that is accepted the socket waits for
     * the second part, and would take the next message's routing id for it. */
    YZ_AUTO(yzi_message_fini) struct message copy = {0};
    YZ_TRY(yzi_message_copy(&copy, message));
    YZ_TRY(yzi_zmq_send_copy(router, yzi_bytes(to->id, to->n), ZMQ_SNDMORE | ZMQ_DONTWAIT));
    /* From here a connection that vanishes swallows the message without an error, and nothing but
     * the end of the context makes this fail. */
    YZ_TRY(yzi_zmq_send(router, &copy, ZMQ_DONTWAIT));
    yzi_wires_sent(s->wires, to, message.n);
    return YZ_OK;
}

void yzi_server_counters(const struct server *s, struct server_counters *out)
{
    *out = s->counters;
    yzi_wires_counters(s->wires, out);
}

void yzi_server_rest(struct server *s, uint32_t endpoints)
{
    s->resting = endpoints;
}

void yzi_server_cut(struct server *s, const struct connection_id *id)
{
    yzi_wires_cut(s->wires, id);
}

bool yzi_server_stands(struct server *s, const struct connection_id *id)
{
    return yzi_wires_stands(s->wires, id);
}

void yzi_server_set_queue_bytes(struct server *s, size_t bytes, size_t bytes_per_peer)
{
    yzi_wires_set_limits(s->wires, bytes, bytes_per_peer);
}
