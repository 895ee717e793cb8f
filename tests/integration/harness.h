/* SPDX-License-Identifier: Apache-2.0
 *
 * A sandbox for integration tests: the real daemons, started by the real `yz`, in a temporary
 * folder on free loopback ports. Commands run as a person would type them, their output captured.
 */
#ifndef YZ_TESTS_INTEGRATION_HARNESS_H
#define YZ_TESTS_INTEGRATION_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct sandbox {
    char root[256]; /* temporary folder */
    char dir[300];  /* the sandbox in it */
    char endpoint[256], adapters_endpoint[256], ops[128];
    pid_t broker;
    char client[400]; /* configuration file */
};

/* Bring one up; fails the test when that fails. */
void sandbox_up(struct sandbox *s);
/* Stop it, what was started again included, and remove everything. */
void sandbox_down(struct sandbox *s);
/* A path inside the sandbox: "civil/admin.sock"; up to eight live at a time. */
const char *in_sandbox(const struct sandbox *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

struct output {
    int code;         /* exit code; -1 when it was killed */
    char text[65536]; /* standard output and error, NUL-terminated, cut */
};
/* Run build/…/bin/<program> with words ended by NULL. */
const struct output *run_program(const char *program, const char *const *words);
#define RUN_YZ(...) run_program("yz", (const char *const[]){__VA_ARGS__, NULL})
/* Run yz and fail the test, showing its output, unless the exit code is the one expected. */
const struct output *expect_yz(int code, const char *const *words);
#define EXPECT_YZ(code, ...) expect_yz(code, (const char *const[]){__VA_ARGS__, NULL})
void assert_says(const struct output *o, const char *text);

/* Memory of a daemon (resident, without mapped files, which are the system's), and how many
 * descriptors it has open. */
long daemon_rss_mib(pid_t pid);
unsigned daemon_files(pid_t pid);
/* A figure of a broker's operations port, "127.0.0.1:40123": "responses_total". */
unsigned long metric(const char *ops, const char *name);

/* The pid of an adapter, from sandbox.json. */
pid_t adapter_pid(const struct sandbox *s, const char *name);
/* A service that writes: the areas' data set once more, which the window may get and insert. */
#define TOWNS "CN/GOV/STATS/divisions/towns/v1"
void offer_towns(const struct sandbox *s);

/* The broker listens wherever there is room; this has it do so where it does now when it is started
 * again, so that its peers find it. `more`: the rest of its configuration. */
void keep_endpoints(const struct sandbox *s, const char *more);
/* Start a daemon of the sandbox again (after it was killed) and wait until it is ready. */
pid_t start_again(const struct sandbox *s, const char *name);
/* The two halves of it, for daemons that wait for one another. */
struct starting {
    pid_t pid;
    int ready_fd;
};
struct starting start_daemon(const struct sandbox *s, const char *name);
pid_t await_ready(const struct starting *d);
/* Kill and reap a daemon, whoever its parent is; returns when it is gone. */
void kill_daemon(pid_t pid, int signal_number);

void write_file(const char *path, const char *content);
/* Does any file below the folder hold this text? */
bool folder_holds(const char *folder, const char *text);

#endif
