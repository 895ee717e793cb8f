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

/* What every daemon of ours is told on its command line. */
struct daemon_arguments {
    const char *config; /* --config FILE */
    bool dump;          /* --dump-config */
    int ready_fd;       /* --ready-fd N; -1: none */
};
/* Parse argv; explains, and ends the process with 2, when it is wrong. `doc` is the sentence --help
 * shows. */
void yzi_daemon_arguments(int argc, char **argv, const char *doc, struct daemon_arguments *out);
/* One line to the ready descriptor; closes over a reader that is gone. fd -1 is fine. */
void yzi_daemon_say(int *fd, const char *line);

#endif
