/* SPDX-License-Identifier: Apache-2.0
 *
 * The bad disk itself: if it harmed nothing, every test built on it would pass.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/faults/shim_io.h"

struct fixture {
    char root[64], path[96];
    struct io_faults *io;
};

static int setup(void **state)
{
    static struct fixture f;
    const char *tmp = getenv("TMPDIR");
    snprintf(f.root, sizeof f.root, "%s/shim.XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(f.root));
    snprintf(f.path, sizeof f.path, "%s/file", f.root);
    f.io = io_faults_local();
    io_faults_watch(f.io, f.root, "");
    *state = &f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    io_faults_disarm(f->io);
    return nftw(f->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static off_t size_of(const struct fixture *f)
{
    struct stat st;
    return stat(f->path, &st) == 0 ? st.st_size : -1;
}

static int make(const struct fixture *f)
{
    int fd = open(f->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static void test_write__fails_at_the_nth_and_only_there(void **state)
{
    struct fixture *f = *state;
    int fd = make(f);
    io_faults_arm(f->io, IO_WRITE, 2, 1, IO_FAIL, ENOSPC);
    assert_int_equal(write(fd, "1234", 4), 4);
    assert_int_equal(write(fd, "5678", 4), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(size_of(f), 4);
    assert_int_equal(pwrite(fd, "5678", 4, 4), 4);
    assert_int_equal(f->io->seen, 3);
    assert_int_equal(f->io->failed, 1);
    close(fd);
}

static void test_write__fails_until_disarmed(void **state)
{
    struct fixture *f = *state;
    int fd = make(f);
    io_faults_arm(f->io, IO_WRITE | IO_SYNC, 1, IO_ALWAYS, IO_FAIL, EIO);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(write(fd, "1", 1), -1);
        assert_int_equal(fsync(fd), -1);
        assert_int_equal(errno, EIO);
    }
    io_faults_disarm(f->io);
    assert_int_equal(write(fd, "1", 1), 1);
    assert_int_equal(fdatasync(fd), 0);
    close(fd);
}

static void test_write__short_torn_and_late(void **state)
{
    struct fixture *f = *state;
    int fd = make(f);
    char text[15] = "1234567890";
    struct iovec parts[] = {{text, 3}, {text + 3, 5}, {text + 8, 2}};
    io_faults_arm(f->io, IO_WRITE, 1, 1, IO_SHORT, EIO);
    assert_int_equal(writev(fd, parts, 3), 5);
    assert_int_equal(size_of(f), 5);
    io_faults_arm(f->io, IO_WRITE, 1, 1, IO_TORN, EIO);
    assert_int_equal(pwritev(fd, parts, 3, 5), -1);
    assert_int_equal(size_of(f), 10);
    io_faults_arm(f->io, IO_WRITE, 1, 1, IO_LATE, EIO);
    assert_int_equal(pwrite(fd, "1234", 4, 10), -1);
    assert_int_equal(size_of(f), 14);
    io_faults_arm(f->io, IO_WRITE, 1, IO_ALWAYS, IO_LAST, EIO);
    assert_int_equal(pwrite(fd, "5", 1, 14), -1);
    assert_int_equal(pwrite(fd, "6", 1, 14), -1);
    char is[16] = "";
    assert_int_equal(pread(fd, is, 15, 0), 15);
    assert_string_equal(is, "123451234512345");
    close(fd);
}

/* In a child: the call that kills it. */
static off_t size_after_death(struct fixture *f, enum io_harm harm)
{
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        io_faults_arm(f->io, IO_WRITE, 1, 1, harm, EIO);
        (void)!write(fd, "12345678", 8);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return size_of(f);
}

static void test_write__kills(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(size_after_death(f, IO_KILL_BEFORE), 0);
    assert_int_equal(size_after_death(f, IO_KILL_TORN), 4);
    assert_int_equal(size_after_death(f, IO_KILL_AFTER), 8);
}

static void test_names__fail_and_change_nothing(void **state)
{
    struct fixture *f = *state;
    char other[96];
    snprintf(other, sizeof other, "%s/other", f->root);
    close(make(f));
    io_faults_arm(f->io, IO_CHANGES, 1, IO_ALWAYS, IO_FAIL, EROFS);
    assert_int_equal(rename(f->path, other), -1);
    assert_int_equal(link(f->path, other), -1);
    assert_int_equal(mkdir(other, 0700), -1);
    assert_int_equal(open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), -1);
    assert_int_equal(errno, EROFS);
    assert_int_equal(unlink(f->path), -1);
    assert_int_equal(truncate(f->path, 9), -1);
    assert_int_equal(f->io->seen, 6);
    assert_int_equal(access(other, F_OK), -1);
    assert_int_equal(size_of(f), 0);
    io_faults_arm(f->io, IO_RENAME, 1, 1, IO_LATE, EIO);
    assert_int_equal(rename(f->path, other), -1);
    assert_int_equal(access(other, F_OK), 0);
    io_faults_disarm(f->io);
    assert_int_equal(rename(other, f->path), 0);
}

static void test_watch__spares_what_is_elsewhere(void **state)
{
    struct fixture *f = *state;
    int fds[2], fd = make(f);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    io_faults_watch(f->io, f->root, "file");
    io_faults_arm(f->io, IO_CHANGES, 1, IO_ALWAYS, IO_FAIL, EIO);
    assert_int_equal(write(fds[1], "1", 1), 1);
    char sibling[80];
    snprintf(sibling, sizeof sibling, "%s.more", f->root); /* no folder below the one watched */
    assert_int_equal(mkdir(sibling, 0700), 0);
    assert_int_equal(rmdir(sibling), 0);
    snprintf(sibling, sizeof sibling, "%s/another", f->root);
    assert_int_equal(mkdir(sibling, 0700), 0);
    assert_int_equal(f->io->seen, 0);
    assert_int_equal(write(fd, "1", 1), -1);
    close(fds[0]);
    close(fds[1]);
    close(fd);
}

/* As a daemon does whose home is "." of its configuration's folder. */
static void test_watch__sees_through_dots_in_a_path(void **state)
{
    struct fixture *f = *state;
    struct io_faults *io = io_faults_local();
    char from[200], to[200];
    snprintf(from, sizeof from, "%s/.//file", f->root);
    snprintf(to, sizeof to, "%s/./another", f->root);
    io_faults_watch(io, f->root, "/another");
    io_faults_arm(io, IO_RENAME, 1, 1, IO_FAIL, EIO);
    assert_int_equal(rename(from, to), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(io->seen, 1);
}

/* A program that knows nothing of this, its disk filled from outside. */
static void test_preload__harms_another_program(void **state)
{
    struct fixture *f = *state;
    char control[96], command[512];
    snprintf(control, sizeof control, "%s/control", f->root);
    struct io_faults *io = io_faults_create(control);
    io_faults_watch(io, f->root, "file");
    snprintf(command, sizeof command,
             "LD_PRELOAD=%s YZ_IO_CONTROL=%s dd if=/dev/zero of=%s bs=10 count=3 status=none "
             "2>/dev/null",
             YZ_SHIM_IO, control, f->path);
    io_faults_arm(io, IO_WRITE, 3, 1, IO_FAIL, ENOSPC);
    assert_int_not_equal(system(command), 0);
    assert_int_equal(io->seen, 3);
    assert_int_equal(size_of(f), 20);
    io_faults_disarm(io);
    assert_int_equal(system(command), 0);
    assert_int_equal(size_of(f), 30);
    io_faults_free(io);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_write__fails_at_the_nth_and_only_there),
        TEST(test_write__fails_until_disarmed),
        TEST(test_write__short_torn_and_late),
        TEST(test_write__kills),
        TEST(test_names__fail_and_change_nothing),
        TEST(test_watch__spares_what_is_elsewhere),
        TEST(test_watch__sees_through_dots_in_a_path),
        TEST(test_preload__harms_another_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
