/* SPDX-License-Identifier: Apache-2.0
 *
 * The evidence log killed at any moment. Round after round a child appends, publishes, prunes and
 * at times begins a new log, tells over a pipe what was acknowledged and which checkpoints were
 * signed, and is killed with SIGKILL; the next child goes on from there. What the pipe told must
 * hold for ever: no acknowledged entry is lost, no index used twice, no two signed checkpoints of
 * one size disagree, and at the end every one of them is on the tree that is published.
 *
 * 300 rounds; YZ_SOAK_TRIALS says how many instead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/faults/evidence_ledger.h"

#define ROUNDS 300u
#define OUTSTANDING 40u

static struct evidence_fixture f;

/* -- the child -- */

static void tell(int fd, const struct told *t)
{
    ssize_t n;
    do {
        n = write(fd, t, sizeof *t); /* at most PIPE_BUF: whole or not at all */
    } while (n < 0 && errno == EINTR);
    if (n != sizeof *t) {
        _exit(3);
    }
}

static void tell_item(int fd, const struct evidence_item *i)
{
    struct told t;
    if (i->rc < 0) {
        _exit(4); /* nothing fails here */
    }
    ledger_told(i, &t);
    tell(fd, &t);
}

static void tell_state(int fd)
{
    struct told t;
    ledger_told_state(&f, &t);
    tell(fd, &t);
}

/* Something else than appending, now and then. */
static void disturb(uint32_t round)
{
    struct evidence_status s;
    switch (randombytes_uniform(2000)) {
    case 0:
        yz_ignore(yzi_evidence_publish(f.log), "the parent looks at the files");
        break;
    case 1:
        yzi_evidence_status(f.log, &s);
        yz_ignore(yzi_evidence_prune(f.log, s.size / 2), "it need not come to that");
        break;
    case 2:
        if (round % 10 == 0) {
            yz_ignore(yzi_evidence_rotate(f.log), "nor to that");
        }
        break;
    default:
        break;
    }
}

_Noreturn static void child(int fd, uint32_t round)
{
    yz_error err = {0};
    uint64_t number = (uint64_t)(round + 1) << 32;
    for (int i = 1; i < 32; i++) {
        signal(i, SIG_DFL); /* a crash is to be seen as one, not as a failed test */
    }
    if (evidence_fixture_open(&f, &err) < 0) {
        fprintf(stderr, "round %u: %s\n", round, err.text);
        _exit(2);
    }
    tell_state(fd);
    for (unsigned under_way = 0;;) {
        while (under_way < OUTSTANDING) {
            struct evidence_item *i = evidence_make(ENTRY_REQUEST, number++, LEDGER_BODY, NULL);
            YZ_ASSERT(yzi_evidence_append(f.log, i) == YZ_OK);
            yzi_evidence_item_unref(i);
            under_way++;
        }
        struct evidence_item *back = evidence_take_wait(f.log);
        tell_item(fd, back);
        yzi_evidence_item_unref(back);
        under_way--;
        disturb(round);
    }
}

/* -- a round -- */

/* Read what is told until `enough` were heard or the time is over (then kill), and to the end. */
static void listen_and_kill(int fd, pid_t pid, unsigned enough, int patience_ms)
{
    struct told t;
    bool killed = false;
    for (unsigned heard = 0;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (!killed && (heard >= enough || poll(&p, 1, patience_ms) == 0)) {
            assert_int_equal(kill(pid, SIGKILL), 0);
            killed = true;
        }
        ssize_t n = read(fd, &t, sizeof t);
        if (n == 0) {
            break;
        }
        assert_int_equal(n, sizeof t);
        ledger_hear(&f, &t);
        heard++;
    }
    assert_true(killed); /* it does not end by itself */
}

static void round_of(uint32_t round)
{
    int fds[2], status;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        child(fds[1], round);
    }
    close(fds[1]);
    /* at any moment: while it opens, while it appends, after a while of appending */
    unsigned enough = randombytes_uniform(8) == 0 ? 1000000 : randombytes_uniform(400);
    listen_and_kill(fds[0], pid, enough, (int)randombytes_uniform(40));
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_evidence__killed_at_any_moment(void **state)
{
    (void)state;
    const char *trials = getenv("YZ_SOAK_TRIALS");
    uint32_t rounds = trials ? (uint32_t)strtoul(trials, NULL, 10) : ROUNDS;
    assert_true(rounds > 0);
    evidence_fixture_init_in_memory(&f);
    yzi_log_set_level(LOG_LEVEL_ERROR);
    for (uint32_t round = 0; round < rounds; round++) {
        round_of(round);
    }
    struct ledger_counts c = ledger_counts();
    printf("%u rounds, %zu logs, %llu entries acknowledged, %llu checkpoints\n", rounds, c.logs,
           (unsigned long long)c.entries, (unsigned long long)c.checkpoints);
    assert_true(c.entries > rounds); /* it did append */
    ledger_check_and_free(&f);
    evidence_fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_evidence__killed_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
