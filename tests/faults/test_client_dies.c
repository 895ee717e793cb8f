/* SPDX-License-Identifier: Apache-2.0
 *
 * Client processes with thousands of calls under way, stopped for a while, or killed. What is
 * stopped and goes on finds each of its calls ended once, by its answer or its deadline; the broker
 * meanwhile keeps a bounded queue for it, and other clients are answered as if it were not there.
 * Of what is killed nothing is left at broker and adapter, and the next process of the same home
 * goes on.
 *
 * The client processes are this program again: "load CONFIG CALLS KEYS TIMEOUT_MS" submits so many
 * calls of so many keys at once when it reads a line, and tells on its standard output how many
 * have ended.
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
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <yizhan/client.h>

#include "tests/faults/honest.h"
#include "tests/integration/second_broker.h"
#include "tests/support/now.h"

#define LOADER "CN/GOV/WINDOW/@w2"
#define PATIENCE_MS 120000u
#define CODES_MAX 1000u
#define HERE(...) in_sandbox(&sandbox, __VA_ARGS__)

static struct sandbox sandbox;
static pid_t adapter;

/* -- the client process -- */

struct load {
    yz_client *client;
    unsigned calls, keys, timeout_ms;
    unsigned *completed; /* of each call */
    unsigned ended, right, honest, wrong;
    char codes[CODES_MAX][8];
};

static unsigned read_codes(struct load *l)
{
    char line[256];
    unsigned n = 0;
    FILE *f = fopen(YZ_TEST_DATA "/china-division/areas.csv", "re");
    while (f && n < CODES_MAX && fgets(line, sizeof line, f)) {
        n += sscanf(line, "%6[0-9],", l->codes[n]) == 1;
    }
    if (f) {
        fclose(f);
    }
    return n;
}

static int make_request(const struct load *l, yz_request **out)
{
    int rc = yz_request_new(AREAS, out);
    for (unsigned i = 0; rc == YZ_OK && i < l->keys; i++) {
        rc = yz_request_add_key(*out, (const char *const[]){l->codes[i]}, 1);
    }
    return rc < 0 ? rc : yz_request_set_timeout(*out, l->timeout_ms);
}

static void judge(struct load *l, const yz_completion *done)
{
    const void *value = NULL;
    size_t n = 0;
    if (done->error.code != YZ_OK) {
        bool is_honest = done->error.code == YZ_ETIMEOUT || done->error.code == YZ_EUNAVAILABLE ||
                         done->error.code == YZ_EEXPIRED;
        l->honest += is_honest;
        l->wrong += !is_honest;
    } else if (yz_answer_status(done->answer) != YZ_STATUS_OK) {
        l->honest++; /* busy, timeout, unavailable: a word of the broker's or the provider's */
    } else {
        bool right = yz_answer_rows(done->answer) == l->keys &&
                     yz_answer_value(done->answer, 0, 0, &value, &n) == YZ_OK && n == 6 &&
                     memcmp(value, l->codes[0], n) == 0;
        l->right += right;
        l->wrong += !right;
    }
}

static int await_go(const struct load *l)
{
    char line[8];
    yz_error err = {0};
    if (yz_client_wait_ready(l->client, PATIENCE_MS, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("ready\n");
    return fgets(line, sizeof line, stdin) ? 0 : 1;
}

static int submit_all(struct load *l)
{
    yz_request *r = NULL;
    yz_error err = {0};
    int rc = make_request(l, &r);
    for (unsigned i = 0; rc == YZ_OK && i < l->calls; i++) {
        rc = yz_submit(l->client, r, &l->completed[i], NULL, &err);
    }
    yz_request_free(r);
    printf("submitted %d\n", rc);
    return rc < 0;
}

static int take_all(struct load *l)
{
    for (uint64_t end = now_ms() + 4 * PATIENCE_MS; l->ended < l->calls && now_ms() < end;) {
        yz_completion done;
        if (yz_poll(l->client, 1000, &done, NULL) == YZ_OK) {
            ++*(unsigned *)done.ctx;
            judge(l, &done);
            yz_answer_free(done.answer);
            printf("ended %u\n", ++l->ended);
        }
    }
    unsigned once = 0;
    for (unsigned i = 0; i < l->calls; i++) {
        once += l->completed[i] == 1;
    }
    bool quiet = poll(&(struct pollfd){yz_client_fd(l->client), POLLIN, 0}, 1, 0) == 0;
    printf("all once=%u right=%u honest=%u wrong=%u quiet=%d\n", once, l->right, l->honest,
           l->wrong, quiet);
    return 0;
}

static int run_load(char **argv)
{
    static struct load l;
    yz_error err = {0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    l.calls = (unsigned)strtoul(argv[3], NULL, 10);
    l.keys = (unsigned)strtoul(argv[4], NULL, 10);
    l.timeout_ms = (unsigned)strtoul(argv[5], NULL, 10);
    l.completed = calloc(l.calls, sizeof *l.completed);
    if (!l.completed || read_codes(&l) < l.keys) {
        return 1;
    }
    if (yz_client_open(argv[2], &l.client, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    int code = await_go(&l) || submit_all(&l) || take_all(&l);
    yz_client_close(l.client);
    free(l.completed);
    return code;
}

/* -- seen from outside -- */

struct process {
    pid_t pid;
    int to, from;
    char text[65536]; /* of what it says, what was not looked at yet */
    size_t n;
    unsigned ended;
};

static void start(struct process *p, unsigned calls, unsigned keys, unsigned timeout_ms)
{
    char words[3][16];
    int in[2], out[2];
    snprintf(words[0], sizeof words[0], "%u", calls);
    snprintf(words[1], sizeof words[1], "%u", keys);
    snprintf(words[2], sizeof words[2], "%u", timeout_ms);
    *p = (struct process){0};
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    const char *config = HERE("load/client.yaml");
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* it is not left behind, stopped, by a test that fails */
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        execl("/proc/self/exe", "load", "load", config, words[0], words[1], words[2], (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    p->to = in[1];
    p->from = out[0];
}

/* The next line, for at most `ms`; false: there is none yet. Ends the test when it never comes. */
static bool read_line(struct process *p, int ms, char out[256])
{
    char *end;
    while (!(end = memchr(p->text, '\n', p->n))) {
        struct pollfd readable = {p->from, POLLIN, 0};
        int n = poll(&readable, 1, ms);
        assert_true(n >= 0);
        if (n == 0) {
            return false;
        }
        ssize_t got = read(p->from, p->text + p->n, sizeof p->text - p->n);
        assert_true(got > 0); /* it does not end before it has said all */
        p->n += (size_t)got;
    }
    size_t length = (size_t)(end - p->text);
    assert_true(length < 256);
    memcpy(out, p->text, length);
    out[length] = '\0';
    p->n -= length + 1;
    memmove(p->text, end + 1, p->n);
    (void)sscanf(out, "ended %u", &p->ended);
    return true;
}

static void await_word(struct process *p, const char *word, char line[256])
{
    do {
        if (!read_line(p, (int)PATIENCE_MS, line)) {
            fail_msg("it never says '%s'", word);
        }
    } while (strncmp(line, word, strlen(word)) != 0);
}

static void await_ended(struct process *p, unsigned n)
{
    char line[256];
    while (p->ended < n) {
        await_word(p, "ended", line);
    }
}

static void go(struct process *p)
{
    char line[256];
    await_word(p, "ready", line);
    assert_int_equal(write(p->to, "go\n", 3), 3);
}

static void reap(struct process *p)
{
    assert_int_equal(waitpid(p->pid, NULL, 0), p->pid);
    close(p->to);
    close(p->from);
}

/* It says how all of its calls ended: each once, none wrongly. How many rightly. */
static unsigned see_end(struct process *p, unsigned calls, const char *what)
{
    char line[256];
    unsigned once, right, honest, wrong, quiet;
    await_word(p, "all ", line);
    print_message("%s: %s\n", what, line);
    assert_int_equal(sscanf(line, "all once=%u right=%u honest=%u wrong=%u quiet=%u", &once, &right,
                            &honest, &wrong, &quiet),
                     5);
    assert_int_equal(once, calls);
    assert_int_equal(wrong, 0);
    assert_int_equal(right + honest, calls);
    assert_int_equal(quiet, 1);
    reap(p);
    return right;
}

/* -- the sandbox -- */

static void admit_loader(void)
{
    char key[64], config[1024], text[8192];
    EXPECT_YZ(0, "node", "request", "--home", HERE("load"), "--node", LOADER, "--role", "client",
              "--subsystem", "window");
    FILE *f = fopen(HERE("operator/anchor.yzr"), "re");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    write_file(HERE("load/anchor.yzr"), text);
    EXPECT_YZ(0, "node", "admit", "--home", HERE("client/member"), "--admin",
              HERE("broker/admin.sock"), HERE("load/request.yzr"));
    public_key(HERE("broker/keys/transport.key"), key);
    snprintf(config, sizeof config,
             "node: " LOADER "\nhome: .\nanchor: anchor.yzr\nlock_secrets: false\nbrokers:\n"
             "  - {node: CN/@b1, endpoint: \"%s\", key: \"%s\"}\n"
             "subsystem: CN/GOV/WINDOW/window\n",
             sandbox.endpoint, key);
    write_file(HERE("load/client.yaml"), config);
}

static void append(const char *path, const char *text)
{
    FILE *f = fopen(path, "ae");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* Room for thousands of one client's, at broker and adapter, and small queues. */
static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    EXPECT_YZ(0, "data", "import", "--admin", HERE("statistics/admin.sock"), "areas",
              YZ_TEST_DATA "/china-division/areas.csv");
    append(HERE("broker/broker.yaml"),
           "limits:\n  in_flight_per_peer: 8192\n  in_flight_per_service: 8192\n"
           "  queue_bytes: 128MiB\n  queue_bytes_per_peer: 32MiB\n");
    assert_int_equal(kill(sandbox.broker, SIGHUP), 0);
    kill_daemon(adapter_pid(&sandbox, "statistics"), SIGTERM);
    append(HERE("statistics/adapter.yaml"), "limits:\n  queue: 8192\n");
    adapter = start_again(&sandbox, "statistics");
    admit_loader();
    return 0;
}

static int down(void **state)
{
    (void)state;
    sandbox_down(&sandbox);
    return 0;
}

/* So many are under way, seen from outside; false: all have ended, and there never were. */
static bool is_under_way(struct process *p, unsigned calls, unsigned long n)
{
    char line[256];
    for (uint64_t end = now_ms() + PATIENCE_MS; metric(sandbox.ops, "in_flight") < n;) {
        while (p->ended < calls && read_line(p, 1, line)) {
        }
        if (p->ended == calls) {
            return false;
        }
        assert_true(now_ms() < end);
    }
    return true;
}

/* A process with so many under way. A slow machine does not get there before their time is over:
 * then the next process gives them more. Returns how much it was. */
static unsigned start_many(struct process *p, unsigned calls, unsigned keys, unsigned timeout_ms,
                           unsigned long n)
{
    for (uint64_t end = now_ms() + PATIENCE_MS;; timeout_ms *= 2) {
        start(p, calls, keys, timeout_ms);
        go(p);
        if (is_under_way(p, calls, n)) {
            return timeout_ms;
        }
        assert_true(now_ms() < end);
        (void)see_end(p, calls, "too slow to have many under way");
    }
}

/* -- stopped -- */

#define STOPPED_CALLS 4000u
#define STOPPED_KEYS 1000u
#define STOPPED_UNDER_WAY 1000u
#define LONG_MS 20000u /* what its queue did not take ends by its deadline */
#define SHORT_MS 4000u
#define GROWTH_MIB 64u /* queue_bytes_per_peer, and as much again: all its answers are more */
#define MANY_HONEST 300u
#define SLOWEST_MS 3000u /* of the honest, on a machine that does other things too */

/* Stopped with thousands of calls under way. Returns how much time they have. */
static unsigned start_and_stop(struct process *p, unsigned timeout_ms)
{
    timeout_ms = start_many(p, STOPPED_CALLS, STOPPED_KEYS, timeout_ms, STOPPED_UNDER_WAY);
    await_ended(p, 20);
    assert_int_equal(kill(p->pid, SIGSTOP), 0);
    return timeout_ms;
}

/* As before the load: nobody waits for who does not read. Not counted is while the adapter, which
 * the honest share with it, still has its calls to answer. */
static void see_others_served(struct honest *h)
{
    for (uint64_t end = now_ms() + PATIENCE_MS; metric(sandbox.ops, "in_flight") > 8;) {
        assert_true(now_ms() < end);
        honest_wait(h, 1);
    }
    pthread_mutex_lock(&h->lock);
    h->slowest_ms = 0;
    pthread_mutex_unlock(&h->lock);
    honest_wait(h, MANY_HONEST);
    pthread_mutex_lock(&h->lock);
    uint32_t slowest = h->slowest_ms;
    pthread_mutex_unlock(&h->lock);
    print_message("%u asked while it was stopped, the slowest after %u ms, memory %ld MiB, unsent "
                  "%lu, dropped %lu\n",
                  MANY_HONEST, slowest, daemon_rss_mib(sandbox.broker),
                  metric(sandbox.ops, "unsent_bytes"),
                  metric(sandbox.ops, "messages_dropped_total"));
    assert_in_range(slowest, 0, SLOWEST_MS);
}

static void test_client__stopped_for_a_while_goes_on(void **state)
{
    (void)state;
    struct honest h = HONEST(&sandbox);
    struct process p;
    long rss = daemon_rss_mib(sandbox.broker);
    honest_begin(&h);
    (void)start_and_stop(&p, LONG_MS);
    see_others_served(&h);
    assert_int_equal(kill(p.pid, SIGCONT), 0);
    unsigned right = see_end(&p, STOPPED_CALLS, "stopped for a while");
    honest_end(&h, "stopped for a while", rss, GROWTH_MIB + QUARANTINE_MIB);
    assert_true(right > 0);
}

/* Beyond the deadlines of all that it had under way. */
static void test_client__stopped_beyond_its_deadlines_ends_each_once(void **state)
{
    (void)state;
    struct honest h = HONEST(&sandbox);
    struct process p;
    long rss = daemon_rss_mib(sandbox.broker);
    honest_begin(&h);
    unsigned timeout_ms = start_and_stop(&p, SHORT_MS);
    for (uint64_t end = now_ms() + timeout_ms + 500; now_ms() < end;) {
        honest_wait(&h, 10);
    }
    see_others_served(&h);
    assert_int_equal(kill(p.pid, SIGCONT), 0);
    (void)see_end(&p, STOPPED_CALLS, "stopped beyond its deadlines");
    honest_end(&h, "stopped beyond its deadlines", rss, GROWTH_MIB + QUARANTINE_MIB);
}

/* -- killed -- */

#define KILLED_CALLS 4000u
#define KILLED_KEYS 400u
#define UNDER_WAY 1000u
#define ROUNDS 4u
#define ADAPTERS 4u /* connections there are without clients */

/* What broker and adapter have of their peers, and of what goes on. */
struct tables {
    unsigned long connections, wires, in_flight, in_flight_bytes, held, unsent, answering;
    unsigned files, adapter_files;
};

static unsigned long adapter_answers(void)
{
    unsigned long n;
    const char *at =
        strstr(EXPECT_YZ(0, "status", "--admin", HERE("statistics/admin.sock"), "--json")->text,
               "\"answering\":");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\"answering\": %lu", &n), 1);
    return n;
}

static struct tables tables_now(void)
{
    return (struct tables){.connections = metric(sandbox.ops, "connections"),
                           .wires = metric(sandbox.ops, "tcp_connections"),
                           .in_flight = metric(sandbox.ops, "in_flight"),
                           .in_flight_bytes = metric(sandbox.ops, "in_flight_bytes"),
                           .held = metric(sandbox.ops, "held_bytes"),
                           .unsent = metric(sandbox.ops, "unsent_bytes"),
                           .answering = adapter_answers(),
                           .files = daemon_files(sandbox.broker),
                           .adapter_files = daemon_files(adapter)};
}

static bool is_let_go(const struct tables *t, const struct tables *before)
{
    return t->in_flight == 0 && t->in_flight_bytes == 0 && t->held == 0 && t->answering == 0 &&
           t->connections == before->connections && t->wires == before->wires &&
           t->files <= before->files && t->adapter_files <= before->adapter_files;
}

static void wait_let_go(const struct tables *before)
{
    struct tables t = tables_now();
    for (uint64_t end = now_ms() + PATIENCE_MS; !is_let_go(&t, before); t = tables_now()) {
        if (now_ms() >= end) {
            fail_msg("left: %lu in flight with %lu bytes, %lu held, %lu at the adapter; %lu "
                     "connections of %lu, %lu and %lu below, %u files of %u, %u of %u",
                     t.in_flight, t.in_flight_bytes, t.held, t.answering, t.connections,
                     before->connections, t.wires, before->wires, t.files, before->files,
                     t.adapter_files, before->adapter_files);
        }
        poll(NULL, 0, 10);
    }
}

static void go_on_after_it(void)
{
    struct process next;
    start(&next, 300, 1, PATIENCE_MS);
    go(&next);
    assert_int_equal(see_end(&next, 300, "the next of its home"), 300);
}

static void test_client__killed_with_thousands_under_way_leaves_nothing(void **state)
{
    (void)state;
    go_on_after_it(); /* what is learnt once is */
    struct tables before = tables_now();
    for (uint64_t end = now_ms() + PATIENCE_MS; /* figures are a second old at most */
         before.connections != ADAPTERS || before.wires != ADAPTERS; before = tables_now()) {
        assert_true(now_ms() < end);
        poll(NULL, 0, 10);
    }
    long rss = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct process p;
        (void)start_many(&p, KILLED_CALLS, KILLED_KEYS, 20000 + 10000 * i, UNDER_WAY);
        if (i % 2) { /* while answers come */
            await_ended(&p, 1 + 40 * i);
        }
        unsigned long under_way = metric(sandbox.ops, "in_flight");
        assert_int_equal(kill(p.pid, SIGKILL), 0);
        reap(&p);
        go_on_after_it(); /* at once, beside what is still done for the dead */
        wait_let_go(&before);
        long now = daemon_rss_mib(sandbox.broker);
        print_message("killed with %lu under way; the broker has %ld MiB\n", under_way, now);
        rss = i == 0 ? now : rss;
        assert_in_range(now, 1, rss + 64 + QUARANTINE_MIB); /* no round adds to what another left */
    }
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "load") == 0) {
        return run_load(argv);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client__killed_with_thousands_under_way_leaves_nothing),
        cmocka_unit_test(test_client__stopped_for_a_while_goes_on),
        cmocka_unit_test(test_client__stopped_beyond_its_deadlines_ends_each_once),
    };
    return cmocka_run_group_tests(tests, up, down);
}
