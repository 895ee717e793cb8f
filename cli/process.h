/* SPDX-License-Identifier: Apache-2.0
 *
 * Starting and stopping the sandbox's daemons: found beside this program, detached, heard from over
 * a descriptor, and ended by their id only after making sure that it is still theirs.
 */
#ifndef YZ_CLI_PROCESS_H
#define YZ_CLI_PROCESS_H

#include <sys/types.h>

#include "base/bytes.h"

struct process {
    pid_t pid;
    int ready_fd;   /* read end of --ready-fd; -1 when closed */
    char line[600]; /* the last whole line it wrote there */
    size_t partial; /* bytes of the next line already in `rest` */
    char rest[600];
};

/* Start `program` (a daemon of ours) with --config config, its standard error appended to log_path.
 * YZ_ENOTFOUND (program not found), YZ_EIO. */
YZ_MUST_USE int yzi_process_start(const char *program, const char *config, const char *log_path,
                                  struct process *out, yz_error *err);
/* Wait for the next line on its ready descriptor. YZ_ETIMEOUT; YZ_ECLOSED when it ended before. */
YZ_MUST_USE int yzi_process_next_line(struct process *p, unsigned timeout_ms);
/* SIGTERM, wait, SIGKILL after timeout_ms. Nothing happens unless that process was started with
 * this config. YZ_ENOTFOUND when it is not running any more. */
YZ_MUST_USE int yzi_process_stop(pid_t pid, const char *config, unsigned timeout_ms);

#endif
