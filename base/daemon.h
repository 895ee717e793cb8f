/* SPDX-License-Identifier: Apache-2.0
 *
 * What every daemon needs from the system: signals as a descriptor, notice to whoever supervises
 * it, enough descriptors, no core dumps of secrets. Called from main, before any thread is started.
 */
#ifndef YZ_BASE_DAEMON_H
#define YZ_BASE_DAEMON_H

#include "base/error.h"

/* Block SIGTERM, SIGINT and SIGHUP for the process (threads inherit it), ignore SIGPIPE, and return
 * a descriptor that is readable when one of the three arrives. YZ_EIO. */
YZ_MUST_USE int yzi_daemon_signals(int *out_fd);
/* The next signal number waiting on it; 0 when none. */
int yzi_daemon_next_signal(int fd);
/* Tell systemd, where NOTIFY_SOCKET is set: "READY=1", "STOPPING=1", ... Best effort. */
void yzi_daemon_notify(const char *state);
/* Raise the soft limit of descriptors to the hard one; forbid core dumps and ptrace by peers. */
void yzi_daemon_limits(void);
/* Parse the number of an open descriptor (--ready-fd). YZ_EINVAL. */
YZ_MUST_USE int yzi_daemon_fd_parse(const char *text, int *out);

#endif
