/* SPDX-License-Identifier: Apache-2.0
 *
 * How many of these tests fail? For what a failed test leaves to its tear-down: cmocka jumps out of
 * the test, so that whatever it gave away of its stack is gone. Runs them in a child, whose words
 * nobody needs to see, and which must end by itself.
 */
#ifndef YZ_TESTS_SUPPORT_FAILS_H
#define YZ_TESTS_SUPPORT_FAILS_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define YZ_FAILS_BASE 100 /* no exit status of a sanitizer or of cmocka */

/* Each with a tear-down of the kind below. -1: the child died of it, or a sanitizer complained. */
static inline int yz_fails(const struct CMUnitTest *tests, size_t n)
{
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0) {
            _exit(1);
        }
        alarm(120);
        _exit(YZ_FAILS_BASE + _cmocka_run_group_tests("in a child", tests, n, NULL, NULL));
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        abort();
    }
    return WIFEXITED(status) && WEXITSTATUS(status) >= YZ_FAILS_BASE
               ? WEXITSTATUS(status) - YZ_FAILS_BASE
               : -1;
}

/* The tear-down of such a test, on a stack that lies where the test's lay, and must stay as it is.
 */
static inline int yz_fails_tear_down(int (*tear_down)(void **state), void **state)
{
    unsigned char frame[1u << 16];
    memset(frame, 0xa5, sizeof frame);
    for (int i = 1; i < 32; i++) {
        signal(i, SIG_DFL); /* cmocka would make a failed tear-down of it, and go on */
    }
    __asm__ volatile("" : : "r"(frame) : "memory"); /* it is looked at by others */
    int rc = tear_down(state);
    for (size_t i = 0; i < sizeof frame; i++) {
        if (frame[i] != 0xa5) {
            abort();
        }
    }
    return rc;
}

#endif
