/* SPDX-License-Identifier: Apache-2.0
 *
 * The programs themselves, short of memory: the broker, the adapter and yz, with one allocation of
 * our own code failing, or every so-manieth for as long as they serve. Whichever it is, a program
 * that cannot go on ends by itself, with its exit code and a sentence, and never by a signal; calls
 * end once; what a caller was told is so; and with memory again the same homes serve as before.
 * What the unit tests and test_town_memory fail one by one in a process of their own fails here in
 * the whole daemon, several at a time: its configuration, log, administration socket, evidence
 * writer and publisher, reloads, and its start and end.
 *
 * A trial is a start of a program with one allocation failing (soak.h).
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <yizhan/client.h>

#include "tests/faults/short_memory.h"
#include "tests/faults/soak.h"
#include "tests/integration/consumer.h"
#include "tests/support/dice.h"
#include "tests/support/now.h"

#define WINDOW "CN/GOV/WINDOW/window"
#define HERE(...) in_sandbox(&sandbox, __VA_ARGS__)
#define PATIENCE_MS 120000u
#define TIMEOUT_MS 2000u
#define CALLS 24u /* of a round, every second a write */
#define STARTS 25u

struct program {
    const char *name, *folder, *config;
    struct short_memory *memory;
    char control[600];
    pid_t pid; /* 0: it ended */
    int ready_fd;
    unsigned ended;
};

static struct sandbox sandbox;
static struct program broker = {.name = "yz-brokerd", .folder = "broker", .config = "broker.yaml"};
static struct program adapter = {
    .name = "yz-adapterd", .folder = "statistics", .config = "adapter.yaml"};
static struct program yz = {.name = "yz", .folder = "client"};
static yz_client *client;
static struct dice dice;
static unsigned writes; /* begun so far */

/* -- programs -- */

static void share_memory(struct program *p)
{
    snprintf(p->control, sizeof p->control, "%s/memory-%s", sandbox.root, p->folder);
    int fd = open(p->control, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, sizeof *p->memory), 0);
    p->memory = mmap(NULL, sizeof *p->memory, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(p->memory != MAP_FAILED);
    close(fd);
}

static void arm(struct program *p, uint64_t nth, uint64_t every)
{
    p->memory->seen = p->memory->failed = 0;
    p->memory->nth = nth;
    p->memory->every = every;
}

/* In the child. */
static void become(struct program *p, const char *const *words, int out_fd)
{
    char path[512];
    const char *argv[24] = {path};
    snprintf(path, sizeof path, "%s/%s-short", YZ_BIN_DIR, p->name);
    for (unsigned i = 0; words[i]; i++) {
        argv[i + 1] = words[i];
    }
    dup2(out_fd, 1);
    dup2(out_fd, 2);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* whatever becomes of the test */
    setenv("YZ_SHORT_MEMORY", p->control, 1);
    execv(path, (char *const *)(uintptr_t)argv);
    _exit(127);
}

static void start(struct program *p)
{
    int ready[2];
    char fd_text[16];
    char config[600];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    int log_fd = open(HERE("%s/stderr", p->folder), O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(log_fd >= 0);
    snprintf(fd_text, sizeof fd_text, "%d", ready[1]);
    snprintf(config, sizeof config, "%s", HERE("%s/%s", p->folder, p->config));
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0) {
        fcntl(ready[1], F_SETFD, 0);
        become(p, (const char *const[]){"--config", config, "--ready-fd", fd_text, NULL}, log_fd);
    }
    close(ready[1]);
    close(log_fd);
    p->ready_fd = ready[0];
}

static void show_log(const struct program *p)
{
    char text[4096];
    FILE *f = fopen(HERE("%s/stderr", p->folder), "re");
    assert_non_null(f);
    long back = fseek(f, -(long)(sizeof text - 1), SEEK_END);
    (void)back; /* shorter: all of it */
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    print_error("%s\n", text);
}

/* How it ended: by itself and orderly, or because it could not go on. */
static void check_end(struct program *p, int status, bool was_asked)
{
    p->pid = 0;
    close(p->ready_fd);
    bool right =
        WIFEXITED(status) && (WEXITSTATUS(status) == 1 || (was_asked && WEXITSTATUS(status) == 0));
    if (!right) {
        show_log(p);
        fail_msg("%s, allocation %lu or every %lu failing (%lu did), ended with status 0x%x",
                 p->name, (unsigned long)p->memory->nth, (unsigned long)p->memory->every,
                 (unsigned long)p->memory->failed, (unsigned)status);
    }
}

/* Did it end by itself? */
static bool is_over(struct program *p)
{
    int status;
    if (!p->pid || waitpid(p->pid, &status, WNOHANG) != p->pid) {
        return !p->pid;
    }
    p->ended++;
    check_end(p, status, false);
    return true;
}

/* Its lines: true when it says that it is ready, false when it ended first. */
static bool becomes_ready(struct program *p)
{
    char text[4096] = "";
    size_t n = 0;
    while (!strstr(text, "ready")) {
        struct pollfd waiting = {p->ready_fd, POLLIN, 0};
        int rc = poll(&waiting, 1, (int)PATIENCE_MS);
        if (rc != 1) {
            show_log(p);
            fail_msg("%s, allocation %lu failing, is not ready and does not end", p->name,
                     (unsigned long)p->memory->nth);
        }
        ssize_t got = read(p->ready_fd, text + n, sizeof text - 1 - n);
        if (got <= 0) {
            int status;
            assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
            p->ended++;
            check_end(p, status, false);
            return false;
        }
        n += (size_t)got;
        text[n] = '\0';
    }
    return true;
}

static void stop(struct program *p)
{
    int status;
    if (is_over(p)) {
        return;
    }
    assert_int_equal(kill(p->pid, SIGTERM), 0);
    for (uint64_t end = now_ms() + PATIENCE_MS; waitpid(p->pid, &status, WNOHANG) != p->pid;) {
        assert_true(now_ms() < end);
        poll(NULL, 0, 1);
    }
    check_end(p, status, true);
}

static void start_with_memory(struct program *p)
{
    uint64_t every = p->memory->every;
    arm(p, 0, 0);
    start(p);
    assert_true(becomes_ready(p));
    p->memory->every = every;
}

/* -- the scene -- */

static int up(void **state)
{
    (void)state;
    dice = dice_from(dice_seed_now());
    sandbox_up(&sandbox);
    offer_towns(&sandbox);
    share_memory(&broker);
    share_memory(&adapter);
    share_memory(&yz);
    keep_endpoints(&sandbox, "ops: \"127.0.0.1:0\"\ndrain: 1s\n");
    kill_daemon(adapter_pid(&sandbox, "statistics"), SIGTERM);
    kill_daemon(sandbox.broker, SIGTERM);
    start_with_memory(&broker);
    start_with_memory(&adapter);
    client = open_consumer(sandbox.client);
    return 0;
}

static int down(void **state)
{
    (void)state;
    yz_client_close(client);
    stop(&adapter);
    stop(&broker);
    sandbox_down(&sandbox);
    return 0;
}

/* -- calls -- */

static struct written {
    char code[8];
    bool done, open; /* told to be; not told that it was not */
} written[2048];

static yz_request *read_request(const char *code)
{
    yz_request *r = NULL;
    assert_int_equal(yz_request_new(TOWNS, &r), YZ_OK);
    assert_int_equal(yz_request_add_key(r, &code, 1), YZ_OK);
    return r;
}

static yz_request *write_request(const char *code)
{
    static const char *const fields[] = {"code", "name", "city", "province"};
    yz_value row[] = {{code, strlen(code)}, {"town", 4}, {"9999", 4}, {"11", 2}};
    yz_request *r = NULL;
    assert_int_equal(yz_request_new(TOWNS, &r), YZ_OK);
    assert_int_equal(yz_request_set_operation(r, YZ_INSERT), YZ_OK);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(yz_request_add_field(r, fields[i]), YZ_OK);
    }
    assert_int_equal(yz_request_add_row(r, row, 4), YZ_OK);
    return r;
}

static void submit(unsigned i)
{
    struct written *w = NULL;
    yz_error err = {0};
    if (i % 2) {
        assert_true(writes < sizeof written / sizeof *written);
        w = &written[writes];
        *w = (struct written){.open = true};
        snprintf(w->code, sizeof w->code, "%06u", 700000u + writes++);
    }
    yz_request *r = w ? write_request(w->code) : read_request("700000");
    assert_int_equal(yz_request_set_timeout(r, TIMEOUT_MS), YZ_OK);
    if (yz_submit(client, r, w, NULL, &err) < 0) {
        fail_msg("%s", err.text);
    }
    yz_request_free(r);
}

static void took(const yz_completion *c)
{
    struct written *w = c->ctx;
    if (w) {
        assert_true(w->open && !w->done); /* once */
        int status = c->answer ? yz_answer_status(c->answer) : 0;
        w->done = c->answer && status == YZ_STATUS_OK;
        w->open = c->answer ? status == YZ_STATUS_INDETERMINATE : c->error.code != YZ_EUNAVAILABLE;
    }
    yz_answer_free(c->answer);
}

static void revive(struct program *p)
{
    if (is_over(p)) {
        start_with_memory(p);
    }
}

static void expect_all(unsigned n)
{
    for (uint64_t end = now_ms() + PATIENCE_MS; n > 0;) {
        yz_completion c;
        if (yz_poll(client, 10, &c, NULL) == YZ_OK) {
            took(&c);
            n--;
        }
        revive(&broker);
        revive(&adapter);
        assert_true(now_ms() < end);
    }
    assert_int_equal(yz_poll(client, 0, &(yz_completion){0}, NULL), YZ_ETIMEOUT);
}

/* 1 it is there, 0 it is not. With memory again, it is said within the patience. */
static int look(const char *code)
{
    int there = -1;
    for (uint64_t end = now_ms() + PATIENCE_MS; there < 0;) {
        yz_request *r = read_request(code);
        yz_answer *a = NULL;
        yz_error err = {0};
        int rc = yz_call(client, r, &a, &err);
        if (rc == YZ_OK && yz_answer_status(a) == YZ_STATUS_OK) {
            there = yz_answer_rows(a) == 1;
        } else if (now_ms() >= end) {
            fail_msg("%s: %s %s", code, rc < 0 ? err.text : yz_status_name(yz_answer_status(a)),
                     rc < 0 ? "" : yz_answer_reason(a));
        }
        yz_answer_free(a);
        yz_request_free(r);
    }
    return there;
}

static void everything_told_is_so(unsigned from)
{
    for (unsigned i = from; i < writes; i++) {
        const struct written *w = &written[i];
        int there = look(w->code);
        if ((w->done && !there) || (!w->done && !w->open && there)) {
            fail_msg("%s: told %s, and it is %s", w->code, w->done ? "done" : "not done",
                     there ? "there" : "not there");
        }
    }
}

/* -- serving -- */

static void ask(const char *const *words)
{
    const struct output *o = run_program("yz", words);
    if (o->code < 0) {
        fail_msg("yz %s %s was killed: %s", words[0], words[1], o->text);
    }
    revive(&broker);
    revive(&adapter);
}
#define ASK(...) ask((const char *const[]){__VA_ARGS__, NULL})

/* Whatever else whoever runs them asks of them. */
static void administer(void)
{
    const char *b = HERE("broker/admin.sock"), *a = HERE("statistics/admin.sock");
    ASK("status", "--admin", b, "--json");
    ASK("evidence", "list", "--admin", b);
    ASK("evidence", "check", "--admin", b);
    ASK("directory", "publish", "--home", HERE("operator"), "--admin", b);
    ASK("status", "--admin", a, "--json");
    ASK("data", "count", "--admin", a, "areas");
    ASK("service", "push", "--home", HERE("statistics/member"), "--admin", a);
    kill(broker.pid, SIGHUP);
    kill(adapter.pid, SIGHUP);
}

static void serve_short_of_memory(uint64_t of_broker, uint64_t of_adapter)
{
    unsigned from = writes, ended = broker.ended + adapter.ended;
    arm(&broker, 0, of_broker);
    arm(&adapter, 0, of_adapter);
    for (unsigned i = 0; i < CALLS; i++) {
        submit(i);
    }
    administer();
    expect_all(CALLS);
    uint64_t failed = broker.memory->failed + adapter.memory->failed;
    arm(&broker, 0, 0);
    arm(&adapter, 0, 0);
    revive(&broker);
    revive(&adapter);
    everything_told_is_so(from);
    unsigned done = 0;
    for (unsigned i = from; i < writes; i++) {
        done += written[i].done;
    }
    print_message("every %lu of the broker, every %lu of the adapter: %lu failed at last, %u "
                  "ended, %u of %u writes told done\n",
                  (unsigned long)of_broker, (unsigned long)of_adapter, (unsigned long)failed,
                  broker.ended + adapter.ended - ended, done, writes - from);
}

static void test_serving__short_of_memory_tells_nothing_that_is_not_so(void **state)
{
    (void)state;
    static const uint64_t every[] = {311, 83, 19};
    unsigned rounds = sizeof every / sizeof *every;
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t n = every[i] + 2 * dice_below(&dice, 8);
        serve_short_of_memory(n, 0);
        serve_short_of_memory(0, n);
        serve_short_of_memory(n, n + 2);
    }
    everything_told_is_so(0);
    unsigned done = 0;
    for (unsigned i = 0; i < writes; i++) {
        done += written[i].done;
    }
    assert_true(done > 0);
    assert_says(EXPECT_YZ(0, "evidence", "check", "--admin", HERE("broker/admin.sock")), "");
    assert_says(EXPECT_YZ(0, "evidence", "status", "--admin", HERE("broker/admin.sock"), "--json"),
                "\"up\"");
    EXPECT_YZ(0, "directory", "publish", "--home", HERE("operator"), "--admin",
              HERE("broker/admin.sock"));
    stop(&adapter); /* and what they leave is what the programs themselves start from */
    stop(&broker);
    start_with_memory(&broker);
    start_with_memory(&adapter);
    everything_told_is_so(0);
}

/* -- starting -- */

/* Allocations of a start that goes well, until it is ready. */
static uint64_t allocations_of_a_start(struct program *p)
{
    stop(p);
    arm(p, 0, 0);
    start(p);
    assert_true(becomes_ready(p));
    uint64_t n = p->memory->seen;
    stop(p);
    assert_true(n > 50);
    return n;
}

static void every_start(struct program *p, unsigned tests_left)
{
    uint64_t all = allocations_of_a_start(p);
    unsigned trials = dice_trials(STARTS), ready = 0, before = p->ended;
    soak_begin(tests_left);
    for (unsigned i = 0; i < trials && soak_goes_on(); i++) {
        /* a different one of each stretch */
        uint64_t stretch = all / trials + 1;
        arm(p, 1 + i * stretch % all + dice_below(&dice, (unsigned)stretch), 0);
        start(p);
        if (becomes_ready(p)) {
            ready++;
            stop(p);
        }
        soak_did(1);
    }
    print_message("%s: %lu allocations of a start, %u tried: %u ready, %u ended\n", p->name,
                  (unsigned long)all, trials, ready, p->ended - before);
    assert_true(p->ended > before);
    start_with_memory(p);
}

static void test_start__of_a_broker_is_one_or_ends_with_a_word(void **state)
{
    (void)state;
    every_start(&broker, 3);
    assert_true(look("700000") >= 0);
}

static void test_start__of_an_adapter_is_one_or_ends_with_a_word(void **state)
{
    (void)state;
    every_start(&adapter, 2);
    everything_told_is_so(writes > 8 ? writes - 8 : 0);
}

/* -- yz -- */

struct said {
    int status;
    char text[4096];
};

static void call_by_yz(const char *code, struct said *out)
{
    int fds[2];
    size_t n = 0;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        become(&yz,
               (const char *const[]){"call", "--config", sandbox.client, "--timeout", "20s",
                                     "--key", code, TOWNS, NULL},
               fds[1]);
    }
    close(fds[1]);
    for (ssize_t got; (got = read(fds[0], out->text + n, sizeof out->text - 1 - n)) > 0;) {
        n += (size_t)got;
    }
    out->text[n] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(pid, &out->status, 0), pid);
}

static void test_yz__says_what_is_so_or_fails_with_a_word(void **state)
{
    (void)state;
    struct said s;
    unsigned trials = dice_trials(3 * STARTS), right = 0;
    arm(&yz, 0, 0);
    call_by_yz("700001", &s);
    assert_true(WIFEXITED(s.status) && WEXITSTATUS(s.status) == 0);
    uint64_t all = yz.memory->seen;
    assert_true(all > 50);
    soak_begin(1);
    for (unsigned i = 0; i < trials && soak_goes_on(); i++) {
        uint64_t stretch = all / trials + 1,
                 nth = 1 + i * stretch % all + dice_below(&dice, (unsigned)stretch);
        arm(&yz, nth, 0);
        call_by_yz("no-town", &s);
        bool says_none = strstr(s.text, "records: 0") != NULL;
        if (!WIFEXITED(s.status) || WEXITSTATUS(s.status) > 6 || !s.text[0] ||
            (WEXITSTATUS(s.status) == 0) != says_none) {
            fail_msg("yz call, allocation %lu failing: status 0x%x: %s", (unsigned long)nth,
                     (unsigned)s.status, s.text);
        }
        right += says_none;
        soak_did(1);
    }
    print_message("yz call: %lu allocations, %u tried: %u right all the same\n", (unsigned long)all,
                  trials, right);
    assert_true(right < trials);
}

int main(int argc, char **argv)
{
    int code;
    if (!soak_wanted(argc, argv, "memory", &code)) {
        return code;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serving__short_of_memory_tells_nothing_that_is_not_so),
        cmocka_unit_test(test_start__of_a_broker_is_one_or_ends_with_a_word),
        cmocka_unit_test(test_start__of_an_adapter_is_one_or_ends_with_a_word),
        cmocka_unit_test(test_yz__says_what_is_so_or_fails_with_a_word),
    };
    code = cmocka_run_group_tests(tests, up, down);
    soak_end("memory");
    return code;
}
