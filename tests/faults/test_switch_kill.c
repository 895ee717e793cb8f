/* SPDX-License-Identifier: Apache-2.0
 *
 * A real adapter killed before and after each rename and each flush of a replacing import: whatever
 * the moment, the next start finds the old register or the new one, whole, and its log says which.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/faults/shim_io.h"
#include "tests/integration/harness.h"

#define HEADER "code,name,cityCode,provinceCode\n"
#define ROWS 40u
#define CALLS_MAX 60u

static struct sandbox sandbox;
static struct io_faults *io;
static pid_t adapter;
static char want_old[8192], want_new[8192];

static const char *socket_path(void)
{
    return in_sandbox(&sandbox, "statistics/admin.sock");
}

/* What an import of state `n` makes the export say, and its file. */
static void make_state(unsigned n, char *want, size_t cap)
{
    size_t at = (size_t)snprintf(want, cap, "code,name,city,province\n");
    char text[8192];
    size_t end = (size_t)snprintf(text, sizeof text, HEADER);
    for (unsigned i = 0; i < ROWS + n % 3; i++) {
        at += (size_t)snprintf(want + at, cap - at, "%u,n%u,1101,11\n", 100000 + i, n);
        end += (size_t)snprintf(text + end, sizeof text - end, "%u,n%u,1101,11\n", 100000 + i, n);
    }
    write_file(in_sandbox(&sandbox, "state.csv"), text);
}

static const struct output *import_state(void)
{
    return RUN_YZ("data", "import", "--admin", socket_path(), "--mode", "replace", "areas",
                  in_sandbox(&sandbox, "state.csv"));
}

static void start(void)
{
    static const char asan[] = "verify_asan_link_order=0";
    const char *had = getenv("ASAN_OPTIONS");
    char options[500], before[400] = "";
    snprintf(before, sizeof before, "%s", had ? had : "");
    snprintf(options, sizeof options, "%s%s%s", before, before[0] ? ":" : "", asan);
    setenv("ASAN_OPTIONS", options, 1);
    setenv("LD_PRELOAD", YZ_SHIM_IO, 1);
    struct starting d = start_daemon(&sandbox, "statistics");
    unsetenv("LD_PRELOAD");
    setenv("ASAN_OPTIONS", before, 1);
    adapter = await_ready(&d);
}

static int up(void **state)
{
    (void)state;
    char control[400];
    sandbox_up(&sandbox);
    kill_daemon(adapter_pid(&sandbox, "statistics"), SIGTERM);
    snprintf(control, sizeof control, "%s", in_sandbox(&sandbox, "io-control"));
    io = io_faults_create(control);
    setenv("YZ_IO_CONTROL", control, 1);
    io_faults_watch(io, in_sandbox(&sandbox, "statistics/data/areas"), "");
    start();
    make_state(0, want_new, sizeof want_new);
    assert_int_equal(import_state()->code, 0);
    return 0;
}

static int down(void **state)
{
    (void)state;
    io_faults_disarm(io);
    sandbox_down(&sandbox);
    io_faults_free(io);
    unsetenv("YZ_IO_CONTROL");
    return 0;
}

/* The last line in which the adapter says what it opened. */
static void last_opened(unsigned long *generation, unsigned long *removed)
{
    static char text[1u << 20];
    FILE *f = fopen(in_sandbox(&sandbox, "statistics/stderr"), "re");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    assert_int_equal(fclose(f), 0);
    const char *last = NULL;
    for (const char *at = text; (at = strstr(at, "event=dataset.opened dataset=areas")); at++) {
        last = at;
    }
    assert_non_null(last);
    const char *g = strstr(last, "generation="), *r = strstr(last, "removed=");
    assert_true(g && r);
    assert_int_equal(sscanf(g, "generation=%lu", generation), 1);
    assert_int_equal(sscanf(r, "removed=%lu", removed), 1);
}

/* Killed at the nth call, started again: true when the new register is there. *died: whether the
 * import has so many calls. */
static bool kill_at(unsigned n, uint64_t nth, enum io_harm harm, unsigned long before, bool *died)
{
    unsigned long generation, removed;
    memcpy(want_old, want_new, sizeof want_old);
    make_state(n, want_new, sizeof want_new);
    io_faults_arm(io, IO_RENAME | IO_SYNC, nth, 1, harm, 0);
    bool said_done = import_state()->code == 0;
    *died = io->failed > 0;
    io_faults_disarm(io);
    assert_true(*died || said_done);
    kill_daemon(adapter, *died ? SIGKILL : SIGTERM); /* the former reaps */
    start();
    last_opened(&generation, &removed);
    const struct output *o = EXPECT_YZ(0, "data", "export", "--admin", socket_path(), "areas");
    bool is_new = strcmp(o->text, want_new) == 0;
    assert_true(is_new || strcmp(o->text, want_old) == 0);
    assert_true(is_new || !said_done);
    assert_int_equal(generation, is_new ? before + 1 : before);
    assert_true(removed <= 1);
    if (!is_new) {
        memcpy(want_new, want_old, sizeof want_new);
    }
    return is_new;
}

static void kill_at_each(enum io_harm harm)
{
    unsigned long generation, removed;
    unsigned old = 0, new = 0, n = 0;
    bool died = true;
    last_opened(&generation, &removed);
    EXPECT_YZ(0, "data", "list", "--admin", socket_path());
    for (uint64_t nth = 1; died && nth < CALLS_MAX; nth++) {
        bool is_new = kill_at(++n, nth, harm, generation, &died);
        generation += is_new;
        new += died &&is_new;
        old += died && !is_new;
    }
    assert_false(died); /* the last was let through */
    assert_true(old >= 2);
    assert_true(new >= 1); /* the switch is one of them */
}

static void test_switch__killed_before_each_call(void **state)
{
    (void)state;
    kill_daemon(adapter, SIGTERM); /* so that its log tells the generation of now */
    start();
    kill_at_each(IO_KILL_BEFORE);
}

static void test_switch__killed_after_each_call(void **state)
{
    (void)state;
    kill_at_each(IO_KILL_AFTER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_switch__killed_before_each_call),
        cmocka_unit_test(test_switch__killed_after_each_call),
    };
    return cmocka_run_group_tests(tests, up, down);
}
