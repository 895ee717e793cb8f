/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of files and of whoever waits when yz is interrupted: each case in a child, which
 * interrupts itself.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/interrupt.h"

#define WENT_ON 7 /* exit code of a child that was not ended */

static char path[500], said[400];

static void make_file(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/yz-interrupt-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

/* Runs it in a child; how that ended. What it wrote to standard error is in `said`. */
static int in_child(void (*run)(void))
{
    int fds[2], status;
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(fds[1], STDERR_FILENO);
        signal(SIGHUP, SIG_DFL);
        run();
        _exit(WENT_ON);
    }
    close(fds[1]);
    size_t n = 0;
    for (ssize_t k; (k = read(fds[0], said + n, sizeof said - 1 - n)) > 0; n += (size_t)k) {
    }
    said[n] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void expect_signal(void (*run)(void), int number)
{
    int status = in_child(run);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), number);
}

static void expect_went_on(void (*run)(void))
{
    int status = in_child(run);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), WENT_ON);
}

static void half_written(void)
{
    yz_ignore(yzi_interrupt_removes(path), "it fits");
    raise(SIGTERM);
}

static void written(void)
{
    yz_ignore(yzi_interrupt_removes(path), "it fits");
    yz_ignore(yzi_interrupt_removes(NULL), "nothing");
    raise(SIGINT);
}

static void test_interrupt__removes_what_is_half_written(void **state)
{
    (void)state;
    make_file();
    expect_signal(written, SIGINT);
    assert_int_equal(access(path, F_OK), 0); /* and goes now */
    expect_signal(half_written, SIGTERM);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void with_words(void)
{
    yzi_interrupt_says("half");
    yzi_interrupt_says("given up");
    raise(SIGHUP);
}

static void without_words(void)
{
    yzi_interrupt_says("given up");
    yzi_interrupt_says(NULL);
    raise(SIGINT);
}

static void test_interrupt__says_what_comes_of_it(void **state)
{
    (void)state;
    expect_signal(with_words, SIGHUP);
    assert_string_equal(said, "yz: given up\n");
    expect_signal(without_words, SIGINT);
    assert_string_equal(said, "");
}

static void heeded(void)
{
    const _Atomic bool *wanted = yzi_interrupt_heed();
    raise(SIGINT);
    if (atomic_load(wanted)) {
        dprintf(STDERR_FILENO, "in order");
    }
    yzi_interrupt_end();
}

static void heeded_twice(void)
{
    yz_ignore(yzi_interrupt_removes(path), "it fits");
    (void)yzi_interrupt_heed();
    raise(SIGINT);
    raise(SIGTERM);
}

static void heeded_for_nothing(void)
{
    const _Atomic bool *wanted = yzi_interrupt_heed();
    yzi_interrupt_end();
    if (atomic_load(wanted)) {
        _exit(1);
    }
}

static void test_interrupt__lets_work_end_in_order(void **state)
{
    (void)state;
    expect_signal(heeded, SIGINT);
    assert_string_equal(said, "in order");
    expect_went_on(heeded_for_nothing);
    make_file();
    expect_signal(heeded_twice, SIGTERM);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void ignored(void)
{
    signal(SIGHUP, SIG_IGN);
    yzi_interrupt_says("given up");
    raise(SIGHUP);
}

static void test_interrupt__leaves_ignored_what_was_ignored(void **state)
{
    (void)state;
    expect_went_on(ignored);
    assert_string_equal(said, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interrupt__removes_what_is_half_written),
        cmocka_unit_test(test_interrupt__says_what_comes_of_it),
        cmocka_unit_test(test_interrupt__lets_work_end_in_order),
        cmocka_unit_test(test_interrupt__leaves_ignored_what_was_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
