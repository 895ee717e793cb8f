/* SPDX-License-Identifier: Apache-2.0
 *
 * The administration socket: a Unix stream socket (mode 0600) on which `yz` asks a running daemon,
 * because a daemon's state is never opened by anybody else. The peer's uid must be the daemon's or
 * root's. Each connection carries one request, u32 length ‖ frame (proto/link.h, "administration"),
 * optionally with one or two file descriptors (SCM_RIGHTS: the file to import, one to write to),
 * and one or more replies.
 *
 * Server thread: the creator only, driven by the daemon's poll loop; every read and write is
 * non-blocking and bounded: one frame (16 MiB; what is larger comes as a descriptor or leaves in
 * several replies), 16 connections (further callers wait in the backlog), 30 s for a request to
 * arrive and for a reader to take the next bytes.
 */
#ifndef YZ_NET_ADMIN_H
#define YZ_NET_ADMIN_H

#include <sys/types.h>

#include "base/clock.h"
#include "net/poll.h"
#include "proto/link.h"

#define ADMIN_MESSAGE_MAX YZ_MESSAGE_MAX
#define ADMIN_CONNECTIONS_MAX 16u

struct admin_server;
struct admin_call; /* one request being answered; lives until the final reply is given */

/* A request came in; answer now or keep `call` and answer later, from the same thread. The views
 * live until the final reply; given inside the handler, until the handler returns. */
typedef void admin_handler(void *ctx, struct admin_call *call, const struct admin_request *request,
                           yz_bytes payload, int fd /* -1: none; owned by the callee */);

/* A stale socket file is replaced, one on which somebody listens is not. YZ_ECONFIG (the path is
 * too long for a socket), YZ_EBUSY (another process listens there), YZ_EEXIST (something else than
 * a socket has that name), YZ_EIO, YZ_ENOMEM. */
YZ_MUST_USE int yzi_admin_server_new(const char *path, const struct clock *clock,
                                     admin_handler *handler, void *ctx, struct admin_server **out,
                                     yz_error *err);
void yzi_admin_server_close(struct admin_server *s); /* unlinks the path; open calls are dropped */
#define ADMIN_POLL_ENTRIES 1u                        /* an epoll of all its descriptors */
size_t yzi_admin_poll_entries(struct admin_server *s, struct poll_entry out[ADMIN_POLL_ENTRIES]);
uint64_t yzi_admin_deadline(const struct admin_server *s); /* monotonic ms; UINT64_MAX: never */
void yzi_admin_step(struct admin_server *s);
/* Reply; with done the call ends and is freed. A peer that went away is not an error. code 0 or
 * negative; text of more than 3 KiB is cut; a payload that fits no message becomes YZ_ETOOBIG. */
void yzi_admin_reply(struct admin_call *call, bool done, int code, yz_bytes text, yz_bytes payload);
/* The second descriptor that came along (the file for the rejects of an import), once; -1: none.
 * The caller owns it then. */
int yzi_admin_take_second_fd(struct admin_call *call);
/* The peer hung up: nobody waits for what is being done. */
bool yzi_admin_call_is_abandoned(const struct admin_call *call);
/* For tests: who may ask, instead of the daemon's uid and root. */
void yzi_admin_server_set_allowed(struct admin_server *s, bool (*allowed)(uid_t uid));

/* The asking side, blocking: connect, send, read replies until done. `each` (may be NULL) is called
 * for every reply that is not the last. The final reply's code is returned (its text in err if it
 * is an error), its text appended to out_text and its payload to out_payload (each may be NULL).
 * timeout_ms is the longest silence, 0: none is too long. fd (-1: none) goes along and stays the
 * caller's; yzi_admin_call_fds sends two, the second of which may be -1. YZ_ENOTFOUND (nobody
 * listens: is the daemon running?), YZ_EPERM, YZ_ETIMEOUT, YZ_EIO (also when the daemon hangs up),
 * YZ_EMALFORMED, YZ_ETOOBIG, YZ_ECONFIG (path), YZ_ELIMIT, YZ_ENOMEM. Any thread. */
YZ_MUST_USE int yzi_admin_call(const char *path, const struct admin_request *request,
                               yz_bytes payload, int fd, uint64_t timeout_ms,
                               void (*each)(void *ctx, yz_bytes text, yz_bytes payload), void *ctx,
                               yz_buf *out_text, yz_buf *out_payload, yz_error *err);
YZ_MUST_USE int yzi_admin_call_fds(const char *path, const struct admin_request *request,
                                   yz_bytes payload, const int fds[2], uint64_t timeout_ms,
                                   void (*each)(void *ctx, yz_bytes text, yz_bytes payload),
                                   void *ctx, yz_buf *out_text, yz_buf *out_payload, yz_error *err);

#endif
