/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/replay_log: what was appended is there again, torn and altered slots are skipped, segments
 * of which all has run out are removed, and a disk that takes nothing is said so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "broker/replay_log.h"
#include "tests/support/world.h"

#define OK(call) assert_int_equal((call), YZ_OK)

static char *dir;

static int set_up(void **state)
{
    (void)state;
    dir = yz_world_tmpdir();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    yz_world_rmdir(dir);
    free(dir);
    return 0;
}

static yz_node_id node(void)
{
    return (yz_node_id){yzi_bytes_str("CN/GOV/HB/@w1")};
}

struct both {
    struct replay *r;
    struct replay_log *log;
    size_t damaged;
};

static struct both start(uint64_t now)
{
    struct both b = {0};
    yz_error err = {0};
    OK(yzi_replay_log_open(dir, &b.log, &err));
    OK(yzi_replay_new(400000, yzi_replay_log_key(b.log), &b.r));
    OK(yzi_replay_log_load(b.log, b.r, now, &b.damaged, &err));
    return b;
}

static void stop(struct both *b)
{
    yzi_replay_free(b->r);
    yzi_replay_log_close(b->log);
}

static enum replay_verdict see(struct both *b, uint64_t n, uint64_t until, uint64_t now)
{
    yz_uuid id = {{0}};
    yz_digest digest = {{3}};
    enum replay_verdict v;
    yzi_store_u64(id.b, n);
    OK(yzi_replay_check(b->r, node(), &id, &digest, until, now, &v));
    return v;
}

static void keep(struct both *b, uint64_t n, uint64_t until, uint64_t now)
{
    yz_uuid id = {{0}};
    struct replay_record record;
    assert_int_equal(see(b, n, until, now), REPLAY_NEW);
    yzi_store_u64(id.b, n);
    OK(yzi_replay_record(b->r, node(), &id, &record));
    OK(yzi_replay_log_append(b->log, &record, now));
}

/* The files there; the last one's path. */
static unsigned files(char out[512])
{
    unsigned n = 0;
    char last[256] = "";
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.') {
            n++;
            if (strcmp(e->d_name, last) > 0) {
                snprintf(last, sizeof last, "%s", e->d_name);
            }
        }
    }
    closedir(d);
    snprintf(out, 512, "%s/%s", dir, last);
    return n;
}

static void test_log__gives_back_what_was_appended(void **state)
{
    (void)state;
    struct both b = start(0);
    for (uint64_t i = 0; i < 1000; i++) {
        keep(&b, i, 5000 + i, 100);
    }
    see(&b, 5555, 9000, 100); /* remembered, but never accepted */
    stop(&b);
    b = start(5500);
    assert_int_equal(b.damaged, 0);
    assert_int_equal(yzi_replay_count(b.r), 500);
    assert_int_equal(see(&b, 499, 9000, 5500), REPLAY_NEW);
    assert_int_equal(see(&b, 500, 9000, 5500), REPLAY_AGAIN);
    keep(&b, 2000, 9000, 5500);
    stop(&b);
    b = start(5500); /* and of two processes */
    assert_int_equal(see(&b, 2000, 9000, 5500), REPLAY_AGAIN);
    assert_int_equal(see(&b, 999, 9000, 5500), REPLAY_AGAIN);
    stop(&b);
}

/* A process that is killed between two system calls has kept all it was told to keep. */
static void test_log__survives_a_kill(void **state)
{
    (void)state;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct both b = start(0);
        for (uint64_t i = 0; i < 100; i++) {
            keep(&b, i, 5000, 1);
        }
        if (write(pipes[1], "x", 1) != 1) {
            _exit(1);
        }
        pause();
        _exit(1);
    }
    char c;
    assert_int_equal(read(pipes[0], &c, 1), 1);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(pipes[0]);
    close(pipes[1]);
    struct both b = start(1);
    assert_int_equal(yzi_replay_count(b.r), 100);
    assert_int_equal(b.damaged, 0);
    stop(&b);
}

static void test_log__skips_what_does_not_check(void **state)
{
    (void)state;
    struct both b = start(0);
    for (uint64_t i = 0; i < 10; i++) {
        keep(&b, i, 5000, 1);
    }
    stop(&b);
    char path[512];
    assert_int_equal(files(path), 1);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "?", 1, 3 * 64 + 5), 1); /* the third id */
    assert_int_equal(ftruncate(fd, 10 * 64 + 30), 0);    /* the tenth is torn */
    close(fd);
    b = start(1);
    assert_int_equal(b.damaged, 2);
    assert_int_equal(yzi_replay_count(b.r), 8);
    assert_int_equal(see(&b, 2, 5000, 1), REPLAY_NEW);
    assert_int_equal(see(&b, 8, 5000, 1), REPLAY_AGAIN);
    assert_int_equal(see(&b, 9, 5000, 1), REPLAY_NEW);
    keep(&b, 20, 6000, 1); /* goes to another file, not behind the torn end */
    stop(&b);
    assert_int_equal(files(path), 2);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(ftruncate(fd, 40), 0); /* torn before its first slot: the other has the key */
    close(fd);
    b = start(1);
    assert_int_equal(yzi_replay_count(b.r), 8);
    assert_int_equal(see(&b, 8, 5000, 1), REPLAY_AGAIN);
    stop(&b);
}

static void test_log__removes_what_has_run_out(void **state)
{
    (void)state;
    char path[512];
    struct both b = start(0);
    keep(&b, 1, 1000, 0);
    keep(&b, 2, 200000, 61000);  /* a minute later: another segment */
    keep(&b, 3, 300000, 122001); /* and another; the first has run out */
    assert_int_equal(files(path), 2);
    for (uint64_t i = 10; i < 10 + 65536; i++) { /* more than one segment takes */
        keep(&b, i, 300000, 122001);
    }
    assert_int_equal(files(path), 3);
    stop(&b);
    b = start(200001);
    assert_int_equal(files(path), 2);
    assert_int_equal(yzi_replay_count(b.r), 65537);
    stop(&b);
    b = start(300001);
    assert_int_equal(files(path), 0);
    stop(&b);
}

/* A file that may not grow, as on a full disk: the id is not kept, and what was kept stays. */
static void test_log__says_when_nothing_can_be_kept(void **state)
{
    (void)state;
    struct both b = start(0);
    keep(&b, 1, 5000, 1);
    struct rlimit before, small = {3 * 64 + 20, 3 * 64 + 20};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    keep(&b, 2, 5000, 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct replay_record record = {.until = 5000};
    assert_int_equal(yzi_replay_log_append(b.log, &record, 1), YZ_EDISKFULL); /* 20 of 64 bytes */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    keep(&b, 3, 5000, 1);
    stop(&b);
    b = start(1);
    assert_int_equal(b.damaged, 0);
    assert_int_equal(yzi_replay_count(b.r), 3);
    stop(&b);
    yz_error err = {0};
    struct replay_log *log;
    assert_int_not_equal(yzi_replay_log_open("/dev/null/replay", &log, &err), YZ_OK);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_log__gives_back_what_was_appended),  TEST(test_log__survives_a_kill),
        TEST(test_log__skips_what_does_not_check),     TEST(test_log__removes_what_has_run_out),
        TEST(test_log__says_when_nothing_can_be_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
