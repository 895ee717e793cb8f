/* SPDX-License-Identifier: Apache-2.0
 *
 * Waiting for sockets and descriptors in one place, and the one libzmq context of the process.
 */
#ifndef YZ_NET_POLL_H
#define YZ_NET_POLL_H

#include "base/error.h"

struct net; /* the libzmq context: one per process, passed to links and servers */
/* io_threads 0: 1. YZ_ENOMEM, YZ_EINTERNAL. */
YZ_MUST_USE int yzi_net_new(unsigned io_threads, struct net **out);
void yzi_net_free(struct net *n); /* all links and servers are closed before */

struct poll_entry {
    void *socket;  /* of a link or a server, or NULL */
    int fd;        /* used when socket is NULL; -1: nothing, never readable */
    bool readable; /* result */
};
/* Wait until an entry is readable or the time is over (-1: for ever). Interrupted by a signal it
 * returns 0 with nothing readable. Thread: the sockets' owner. YZ_EIO. */
YZ_MUST_USE int yzi_poll(struct poll_entry *entries, size_t n, int64_t timeout_ms);

#endif
