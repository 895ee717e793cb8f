/* SPDX-License-Identifier: Apache-2.0
 *
 * A chaos proxy on loopback: it forwards TCP between its own port and a target, and hurts what
 * passes in ways drawn from a seeded generator: pieces delayed, connections reset, cut in
 * mid-message, throttled, or stalled. One thread of its own; nothing leaves 127.0.0.1.
 */
#ifndef YZ_TESTS_FAULTS_PROXY_H
#define YZ_TESTS_FAULTS_PROXY_H

#include <stdint.h>

struct proxy;
struct proxy_harm {
    unsigned delay_ms;       /* each piece waits up to this long */
    unsigned cut_per_1000;   /* pieces after which the connection is closed, its rest lost */
    unsigned reset_per_1000; /* pieces after which it is reset */
    unsigned stall_per_1000; /* pieces after which it carries nothing more, yet stays open */
    unsigned piece_max;      /* bytes forwarded at once: small ones tear messages apart */
    unsigned bytes_per_s;    /* each way of each connection; 0: as fast as it goes */
    /* pieces that wait until another connection has been forwarded something that came later, or
     * for hold_ms: what two connections carry arrives in another order than it was sent */
    unsigned hold_per_1000, hold_ms;
};

/* Forward to 127.0.0.1:port. Aborts the test program when it cannot. */
struct proxy *proxy_start(uint16_t port, uint64_t seed);
uint16_t proxy_port(const struct proxy *p);
/* From now on; existing connections too. Any thread. */
void proxy_set(struct proxy *p, const struct proxy_harm *harm);
/* Close all connections now. Any thread. */
void proxy_cut_all(struct proxy *p);
/* Connections made, and connections hurt (closed, reset or stalled), so far. */
unsigned proxy_connections(const struct proxy *p);
unsigned proxy_harmed(const struct proxy *p);
/* Pieces that were overtaken by another connection's. */
unsigned proxy_reordered(const struct proxy *p);
void proxy_stop(struct proxy *p);

#endif
