/* SPDX-License-Identifier: Apache-2.0
 *
 * The TCP connections beneath a server's sockets. libzmq bounds what it holds by the number of
 * messages, counts the parts of an unfinished message by nothing, tells nobody of a connection that
 * was admitted and says nothing, and closes none on request. Here every accepted connection is
 * known by its descriptor, from the socket's monitor. What libzmq holds of it is measured: what the
 * system received less what was taken off the socket, and what was handed to the socket less what
 * the peer acknowledged (TCP_INFO). Whoever makes us hold too much is cut: the connection is shut
 * down under libzmq, which then forgets it and all that it held.
 *
 * Why, and the arithmetic: docs/decisions/0016. Thread: the server's; a thread of its own watches
 * the memory of the process, and cuts when that grows.
 */
#ifndef YZ_NET_WIRES_H
#define YZ_NET_WIRES_H

#include "base/clock.h"
#include "net/server.h"

struct wires;
struct wires_options {
    const struct clock *clock;
    size_t bytes, bytes_per_peer; /* held each way, in all and for the connections of one key */
    size_t unspoken;              /* connections that have not said anything yet */
};

/* YZ_ENOMEM, YZ_ELIMIT (no thread). */
YZ_MUST_USE int yzi_wires_new(const struct wires_options *o, struct wires **out);
void yzi_wires_free(struct wires *w); /* NULL allowed; the server's sockets are closed by then */
/* Watch this socket, before it is bound; `unwatch` before it is closed. YZ_EINTERNAL, YZ_ENOMEM. */
YZ_MUST_USE int yzi_wires_watch(struct wires *w, void *context, void *router, uint8_t endpoint);
void yzi_wires_unwatch(struct wires *w, uint8_t endpoint);
void *yzi_wires_monitor(const struct wires *w, uint8_t endpoint); /* to poll; NULL: none */
/* Take in what the monitors say; each second, measure and cut. */
void yzi_wires_step(struct wires *w);
/* The number of the handshake that is about to succeed: above those of all connections that began
 * and ended before. From 1. */
uint64_t yzi_wires_handshake(struct wires *w);
struct wire_speaker {
    struct connection_id id;
    uint8_t key[32];
    uint64_t handshake; /* its number */
    int fd;             /* what it was when the message came; it may be another's by now */
};
/* This message body of `n` bytes is theirs. */
void yzi_wires_took(struct wires *w, const struct wire_speaker *from, size_t n);
/* May so much more be handed to the socket for this connection? Unknown ones: yes. */
bool yzi_wires_may_send(struct wires *w, const struct connection_id *to, size_t n);
void yzi_wires_sent(struct wires *w, const struct connection_id *to, size_t n);
/* Shut this connection down. */
void yzi_wires_cut(struct wires *w, const struct connection_id *id);
/* Its end was not told yet, also when it was shut down. */
bool yzi_wires_stands(struct wires *w, const struct connection_id *id);
void yzi_wires_set_limits(struct wires *w, size_t bytes, size_t bytes_per_peer);
void yzi_wires_counters(struct wires *w, struct server_counters *out);

#endif
