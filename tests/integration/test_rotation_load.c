/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of a data set rotated again and again at a real adapter while many threads ask it and one
 * writes: no exchange fails, each answer is right, and what was written stays.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <yizhan/client.h>

#include "tests/integration/consumer.h"

#define PERSON "990101199109086437"
#define MARRIAGES "CN/GOV/CIVIL/civil/marriages/v1"
#define REGISTER "CN/GOV/CIVIL/civil/register/v1" /* the same, to be written to */
#define OTHER "110101190001010000"                /* whom nobody else asks for */
#define MANY 4000u
#define THREADS 4u
#define WRITER THREADS /* one more */
#define ROTATIONS 6u
#define BETWEEN 12u /* answers by each thread before the next rotation */

static struct sandbox sandbox;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;
static yz_client *client;

struct caller {
    pthread_t thread;
    unsigned which;
    _Atomic bool *stop;
    unsigned answered; /* under the lock */
    bool failed;       /* the same, until it was joined */
    char why[600];
};

static void fault(struct caller *c, const char *what, const char *detail)
{
    snprintf(c->why, sizeof c->why, "%s: %s", what, detail);
    pthread_mutex_lock(&lock);
    c->failed = true;
    pthread_mutex_unlock(&lock);
}

static yz_request *question(bool absent)
{
    yz_request *r = NULL;
    assert_int_equal(yz_request_new(MARRIAGES, &r), 0);
    assert_int_equal(
        yz_request_add_key(r, (const char *const[]){absent ? "110101200001010000" : PERSON}, 1), 0);
    assert_int_equal(yz_request_add_field(r, "status"), 0);
    return r;
}

static void count_answer(struct caller *c)
{
    pthread_mutex_lock(&lock);
    c->answered++;
    pthread_cond_broadcast(&answered);
    pthread_mutex_unlock(&lock);
}

/* Half ask for one that is there, half for one that is not: a hash under the wrong key would tell.
 */
static void *ask_on(void *arg)
{
    struct caller *c = arg;
    bool absent = c->which % 2;
    yz_request *r = question(absent);
    while (!atomic_load(c->stop) && !c->failed) {
        yz_answer *a = NULL;
        yz_error err = {0};
        const void *value = NULL;
        size_t n = 0;
        if (yz_call(client, r, &a, &err) < 0) {
            fault(c, "no answer", err.text);
        } else if (yz_answer_status(a) != YZ_STATUS_OK) {
            fault(c, "refused", yz_answer_reason(a) ? yz_answer_reason(a) : "?");
        } else if (yz_answer_rows(a) != (absent ? 0 : 1)) {
            fault(c, "wrong", absent ? "a record that is not there" : "no record");
        } else if (!absent && (yz_answer_value(a, 0, 0, &value, &n) < 0 || n != strlen("married") ||
                               memcmp(value, "married", n) != 0)) {
            fault(c, "wrong", "another value");
        }
        yz_answer_free(a);
        count_answer(c);
    }
    yz_request_free(r);
    return NULL;
}

static yz_value text(const char *v)
{
    return (yz_value){v, strlen(v)};
}

/* A put of one field, again and again, each with the next number. */
static void *write_on(void *arg)
{
    struct caller *c = arg;
    for (unsigned i = 1; !atomic_load(c->stop) && !c->failed; i++) {
        yz_request *r = NULL;
        yz_answer *a = NULL;
        yz_error err = {0};
        char number[16];
        snprintf(number, sizeof number, "J%u", i);
        const yz_value values[] = {text(OTHER), text(number)};
        bool made = yz_request_new(REGISTER, &r) == 0 && yz_request_set_operation(r, YZ_PUT) == 0 &&
                    yz_request_add_field(r, "person_id") == 0 &&
                    yz_request_add_field(r, "certificate_no") == 0 &&
                    yz_request_add_row(r, values, 2) == 0 && yz_request_set_timeout(r, 120000) == 0;
        if (!made) {
            fault(c, "the request", "was not made");
        } else if (yz_call(client, r, &a, &err) < 0) {
            fault(c, "no answer to a write", err.text);
        } else if (yz_answer_status(a) != YZ_STATUS_OK) {
            fault(c, "a write is refused", yz_answer_reason(a) ? yz_answer_reason(a) : "?");
        }
        yz_answer_free(a);
        yz_request_free(r);
        count_answer(c);
    }
    return NULL;
}

/* Until each has BETWEEN more answers than now, or failed. */
static void await_answers(struct caller *callers)
{
    unsigned from[THREADS + 1];
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i <= THREADS; i++) {
        from[i] = callers[i].answered;
    }
    for (unsigned i = 0; i <= THREADS; i++) {
        while (callers[i].answered < from[i] + (i == WRITER ? 2 : BETWEEN) && !callers[i].failed) {
            pthread_cond_wait(&answered, &lock);
        }
    }
    pthread_mutex_unlock(&lock);
}

/* Somebody imports while the key is rotated: the one waits for the other. */
static pid_t import_beside(void)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct output *o =
            RUN_YZ("data", "import", "--admin", in_sandbox(&sandbox, "civil/admin.sock"),
                   "marriages", in_sandbox(&sandbox, "some.csv"));
        _exit(o->code);
    }
    return pid;
}

static void await_success(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_rotation__under_load_fails_no_exchange(void **state)
{
    (void)state;
    struct caller callers[THREADS + 1] = {0};
    _Atomic bool stop = false;
    unsigned total = 0;
    for (unsigned i = 0; i <= THREADS; i++) {
        struct caller *c = &callers[i];
        c->which = i;
        c->stop = &stop;
        assert_int_equal(pthread_create(&c->thread, NULL, i == WRITER ? write_on : ask_on, c), 0);
    }
    for (unsigned i = 0; i < ROTATIONS; i++) {
        pid_t importing = import_beside();
        kill(adapter_pid(&sandbox, "civil"), SIGHUP); /* the definition is read again, too */
        assert_says(EXPECT_YZ(0, "data", "rotate-key", "--admin",
                              in_sandbox(&sandbox, "civil/admin.sock"), "marriages"),
                    "is destroyed");
        await_success(importing);
        await_answers(callers);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i <= THREADS; i++) {
        pthread_join(callers[i].thread, NULL);
        total += callers[i].answered;
    }
    for (unsigned i = 0; i <= THREADS; i++) {
        if (callers[i].failed) {
            fail_msg("%s", callers[i].why);
        }
    }
    assert_true(total >= THREADS * ROTATIONS * BETWEEN);
    char last[40];
    snprintf(last, sizeof last, "certificate_no: J%u\n", callers[WRITER].answered);
    assert_says(EXPECT_YZ(0, "call", "--config", sandbox.client, "--key", OTHER, REGISTER), last);
}

/* Imports ask for the writer too: they wait, and are done. */
static void test_rotation__between_imports(void **state)
{
    (void)state;
    const char *admin = in_sandbox(&sandbox, "civil/admin.sock");
    const char *out = in_sandbox(&sandbox, "marriages.csv");
    EXPECT_YZ(0, "data", "export", "--admin", admin, "--sensitive", "--output", out, "marriages");
    EXPECT_YZ(0, "data", "rotate-key", "--admin", admin, "marriages");
    assert_says(EXPECT_YZ(0, "data", "import", "--admin", admin, "marriages", out),
                " unchanged; nothing changed");
}

/* So many that a rotation lets others write some times. */
static const char *file(const char *name, unsigned from, unsigned to)
{
    const char *path = in_sandbox(&sandbox, "%s", name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs("person_id,name,status,spouse_id,status_since,certificate_no,updated_at\n", f);
    for (unsigned i = from; i < to; i++) {
        fprintf(f, "11010119000101%04u,n,single,,,,2026-03-05T17:30:00+08:00\n", i);
    }
    assert_int_equal(fclose(f), 0);
    return path;
}

static void add_records(void)
{
    EXPECT_YZ(0, "data", "import", "--admin", in_sandbox(&sandbox, "civil/admin.sock"), "marriages",
              file("many.csv", 0, MANY));
    (void)file("some.csv", MANY - 100, MANY + 100);
}

static void offer_register(void)
{
    const char *member = in_sandbox(&sandbox, "civil/member");
    const char *admin = in_sandbox(&sandbox, "civil/admin.sock");
    EXPECT_YZ(0, "service", "publish", "--home", member, "--subsystem", "civil", "--service",
              "register/v1", "--definition", in_sandbox(&sandbox, "civil/marriages.yaml"),
              "--adapter", "CN/GOV/CIVIL/@a1", "--mode", "write", "--admin", admin);
    EXPECT_YZ(0, "grant", "add", "--home", member, "--service", REGISTER, "--consumer",
              "CN/GOV/WINDOW/window", "--operation", "get", "--operation", "put", "--write",
              "person_id", "--write", "certificate_no", "--admin", admin);
}

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    add_records();
    offer_register();
    client = open_consumer(sandbox.client);
    return 0;
}

static int down(void **state)
{
    (void)state;
    yz_client_close(client);
    sandbox_down(&sandbox);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rotation__under_load_fails_no_exchange),
        cmocka_unit_test(test_rotation__between_imports),
    };
    return cmocka_run_group_tests(tests, up, down);
}
