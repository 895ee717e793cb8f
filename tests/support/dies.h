/* SPDX-License-Identifier: Apache-2.0
 *
 * Does fn(arg) end the process? For what must be fatal: our own assertions, touching a secret that
 * is closed. Runs it in a child, whose complaints nobody needs to see. Not for programs with
 * threads running.
 */
#ifndef YZ_TESTS_SUPPORT_DIES_H
#define YZ_TESTS_SUPPORT_DIES_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define YZ_DIES_SURVIVED 77

static inline bool yz_dies(void (*fn)(void *arg), void *arg)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit none = {0, 0};
        int null = open("/dev/null", O_WRONLY);
        for (int i = 1; i < 32; i++) {
            signal(i, SIG_DFL); /* cmocka would make a failed test of it, and go on */
        }
        /* The core is not wanted, and a process that never returns is not one that died. */
        if (setrlimit(RLIMIT_CORE, &none) == 0 && null >= 0 && dup2(null, STDERR_FILENO) >= 0) {
            alarm(60);
            fn(arg);
        }
        _exit(YZ_DIES_SURVIVED);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        abort();
    }
    if (WIFSIGNALED(status)) {
        return WTERMSIG(status) != SIGALRM;
    }
    return WEXITSTATUS(status) != YZ_DIES_SURVIVED; /* a sanitizer turns the signal into an exit */
}

#endif
