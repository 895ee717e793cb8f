/* SPDX-License-Identifier: Apache-2.0
 *
 * The administration socket: a Unix stream socket (mode 0600) on which `yz` asks a running daemon,
 * because a daemon's state is never opened by anybody else. The peer's uid must be the daemon's or
 * root's. Each connection carries one request, u32 length ‖ frame (proto/link.h, "administration"),
 * optionally with one file descriptor (SCM_RIGHTS: the file to import), and one or more replies.
 *
 * Server thread: the creator only, driven by the daemon's poll loop; every read and write is
 * non-blocking and bounded (64 MiB, 16 connections, 30 s).
 */
#ifndef YZ_NET_ADMIN_H
#define YZ_NET_ADMIN_H

#include "base/clock.h"
#include "net/poll.h"
#include "proto/link.h"

#define ADMIN_MESSAGE_MAX (64u * 1024u * 1024u)
#define ADMIN_CONNECTIONS_MAX 16u

struct admin_server;
struct admin_call; /* one request being answered; lives until the final reply is given */

/* A request came in; answer now or keep `call` and answer later, from the same thread. */
typedef void admin_handler(void *ctx, struct admin_call *call, const struct admin_request *request,
                           yz_bytes payload, int fd /* -1: none; owned by the callee */);

YZ_MUST_USE int yzi_admin_server_new(const char *path, const struct clock *clock,
                                     admin_handler *handler, void *ctx, struct admin_server **out,
                                     yz_error *err);
void yzi_admin_server_close(struct admin_server *s); /* unlinks the path; open calls are dropped */
#define ADMIN_POLL_ENTRIES (ADMIN_CONNECTIONS_MAX + 1u)
size_t yzi_admin_poll_entries(struct admin_server *s, struct poll_entry out[ADMIN_POLL_ENTRIES]);
uint64_t yzi_admin_deadline(const struct admin_server *s);
void yzi_admin_step(struct admin_server *s);
/* Reply; with done the call ends and is freed. A peer that went away is not an error. */
void yzi_admin_reply(struct admin_call *call, bool done, int code, yz_bytes text, yz_bytes payload);

/* The asking side, blocking: connect, send, read replies until done. `each` (may be NULL) is called
 * for every reply that is not the last. The final reply's code is returned (its text in err), its
 * payload appended to out_payload (may be NULL). YZ_ENOTFOUND (no socket: is the daemon running?),
 * YZ_EPERM, YZ_ETIMEOUT, YZ_EIO. */
YZ_MUST_USE int yzi_admin_call(const char *path, const struct admin_request *request,
                               yz_bytes payload, int fd, uint64_t timeout_ms,
                               void (*each)(void *ctx, yz_bytes text, yz_bytes payload), void *ctx,
                               yz_buf *out_text, yz_buf *out_payload, yz_error *err);

#endif
