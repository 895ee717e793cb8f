/* SPDX-License-Identifier: Apache-2.0
 *
 * yz data against a real adapter: every mode and verb, and imports that end before they are done
 * because whoever asked, or the adapter, is gone.
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

#include "net/admin.h"
#include "tests/integration/harness.h"

#define HEADER "code,name,cityCode,provinceCode\n"
#define MANY 400000 /* rows of a file that takes some progress reports to import */

static struct sandbox sandbox;

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    return 0;
}

static int down(void **state)
{
    (void)state;
    sandbox_down(&sandbox);
    return 0;
}

static const char *socket_path(void)
{
    return in_sandbox(&sandbox, "statistics/admin.sock");
}

static const char *file(const char *name, const char *rows)
{
    char text[2000];
    const char *path = in_sandbox(&sandbox, "%s", name);
    snprintf(text, sizeof text, "%s%s", HEADER, rows);
    write_file(path, text);
    return path;
}

static const struct output *import(int code, const char *mode, const char *path)
{
    return EXPECT_YZ(code, "data", "import", "--admin", socket_path(), "--mode", mode, "areas",
                     path);
}

static void expect_count(const char *text)
{
    const struct output *o = EXPECT_YZ(0, "data", "count", "--admin", socket_path(), "areas");
    assert_string_equal(o->text, text);
}

static void begin_with(const char *rows)
{
    import(0, "replace", file("begin.csv", rows));
}

/* -- modes -- */

static void test_data__modes(void **state)
{
    (void)state;
    begin_with("110101,东城区,1101,11\n110102,西城区,1101,11\n");
    assert_says(import(0, "insert", file("a.csv", "110103,甲,1101,11\n")), "1 rows: 1 new");
    assert_says(import(1, "insert", file("a.csv", "110103,乙,1101,11\n")),
                "a.csv:2: has a key that is there already, with other values");
    assert_says(import(0, "upsert", file("a.csv", "110103,乙,1101,11\n")), "1 changed");
    assert_says(import(0, "upsert", file("a.csv", "110103,乙,1101,11\n")), "nothing changed");
    assert_says(import(0, "delete", file("a.csv", "110102,,,\n999999,,,\n")),
                "1 deleted, 1 not there");
    expect_count("2\n");
    assert_says(import(0, "replace", file("a.csv", "110101,东城区,1101,11\n")), "1 deleted");
    expect_count("1\n");
    EXPECT_YZ(2, "data", "import", "--admin", socket_path(), "--mode", "merge", "areas", "a.csv");
}

static void test_data__formats_by_name_or_said(void **state)
{
    (void)state;
    begin_with("1,x,11,11\n");
    const char *path = in_sandbox(&sandbox, "b.jsonl");
    write_file(path, "{\"code\": \"1\", \"name\": \"y\", \"city\": \"11\", \"province\": "
                     "\"11\"}\n{\"code\": \"2\", "
                     "\"name\": \"z\", \"city\": \"11\", \"province\": \"11\"}\n");
    assert_says(import(0, "upsert", path), "1 new, 1 changed");
    const char *other = in_sandbox(&sandbox, "b.txt");
    write_file(other, "[{\"code\": \"3\", \"name\": \"y\", \"city\": \"11\", \"province\": 11}]");
    EXPECT_YZ(2, "data", "import", "--admin", socket_path(), "areas", other);
    assert_says(EXPECT_YZ(0, "data", "import", "--admin", socket_path(), "--format", "json",
                          "areas", other),
                "1 new");
    expect_count("3\n");
}

static void test_data__rejects_go_to_a_file_of_their_own(void **state)
{
    (void)state;
    begin_with("1,x,11,11\n");
    const char *rejects = in_sandbox(&sandbox, "rejects.csv");
    const char *path = file("c.csv", "2,y,11,11\n,z,11,11\n3,w,11,11\n");
    assert_says(EXPECT_YZ(0, "data", "import", "--admin", socket_path(), "--reject-file", rejects,
                          "areas", path),
                "3 rows: 2 new, 0 changed, 0 unchanged, 1 rejected");
    FILE *f = fopen(rejects, "re");
    char text[500];
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    assert_int_equal(fclose(f), 0);
    assert_string_equal(text, "line,record,reason,code,name,cityCode,provinceCode\n"
                              "3,,code: is required and empty,,z,11,11\n");
    EXPECT_YZ(1, "data", "import", "--admin", socket_path(), "--reject-file", rejects, "areas",
              path); /* it is there already */
    assert_int_equal(unlink(rejects), 0);
}

/* More faults than an adapter hands on at once: perhaps not all are shown, but all are counted. */
static void test_data__many_faults_are_counted(void **state)
{
    (void)state;
    const char *path = in_sandbox(&sandbox, "faults.csv");
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(HEADER, f);
    for (unsigned i = 0; i < 2000; i++) {
        fprintf(f, "%u,,11,11\n", i);
    }
    assert_int_equal(fclose(f), 0);
    begin_with("1,x,11,11\n");
    assert_says(EXPECT_YZ(1, "data", "import", "--admin", socket_path(), "--max-faults", "1000",
                          "areas", path),
                "yz: stopped after 1000 faults (--max-faults)");
    expect_count("1\n");
    assert_int_equal(unlink(path), 0);
}

/* -- looking -- */

static void test_data__diff_and_export(void **state)
{
    (void)state;
    begin_with("1,x,11,11\n2,y,11,11\n");
    const char *path = file("d.csv", "1,X,11,11\n3,z,12,12\n");
    const struct output *o = EXPECT_YZ(0, "data", "diff", "--admin", socket_path(), "areas", path);
    assert_says(
        o,
        "~ 1: name: x -> X\n+ 3: name=z, city=12, province=12\n- 2: name=y, city=11, province=11\n"
        "1 added, 1 changed, 1 removed, 0 unchanged\n");
    assert_says(
        EXPECT_YZ(0, "data", "diff", "--admin", socket_path(), "--mode", "upsert", "areas", path),
        "1 added, 1 changed, 0 removed, 0 unchanged");
    assert_says(EXPECT_YZ(0, "data", "diff", "--json", "--admin", socket_path(), "areas", path),
                "{\"change\":\"changed\",\"key\":[\"1\"],\"fields\":[{\"field\":\"name\","
                "\"before\":\"x\",\"after\":\"X\"}]},\n");
    expect_count("2\n");
    assert_string_equal(EXPECT_YZ(0, "data", "export", "--admin", socket_path(), "areas")->text,
                        "code,name,city,province\n1,x,11,11\n2,y,11,11\n");
    const char *out = in_sandbox(&sandbox, "out.jsonl");
    assert_says(EXPECT_YZ(0, "data", "export", "--admin", socket_path(), "--output", out, "areas"),
                "2 records written");
    assert_says(import(0, "replace", out), "nothing changed");
    EXPECT_YZ(1, "data", "export", "--admin", socket_path(), "--output", out, "areas");
    assert_int_equal(unlink(out), 0);
}

static void test_data__show_and_list(void **state)
{
    (void)state;
    begin_with("1,x,11,11\n2,y,11,11\n");
    assert_says(EXPECT_YZ(0, "data", "show", "--admin", socket_path(), "areas", "1"),
                "\"name\": \"x\"");
    assert_says(EXPECT_YZ(0, "data", "show", "--admin", socket_path(), "areas"), "2 records");
    assert_says(EXPECT_YZ(0, "data", "show", "--admin", socket_path(), "areas"),
                "index by_city: city\n");
    assert_says(EXPECT_YZ(0, "data", "list", "--json", "--admin", socket_path()), "\"records\": 2");
    EXPECT_YZ(1, "data", "show", "--admin", socket_path(), "areas", "9");
    EXPECT_YZ(1, "data", "count", "--admin", socket_path(), "nothing");
}

static void test_data__sensitive_values_only_when_asked(void **state)
{
    (void)state;
    const char *civil = in_sandbox(&sandbox, "civil/admin.sock");
    const struct output *o = EXPECT_YZ(0, "data", "export", "--admin", civil, "marriages");
    assert_null(strstr(o->text, "990101199109086437"));
    assert_null(strstr(o->text, "person_id"));
    o = EXPECT_YZ(0, "data", "export", "--admin", civil, "--sensitive", "marriages");
    assert_says(o, "990101199109086437");
    o = EXPECT_YZ(0, "data", "show", "--admin", civil, "marriages", "990101199109086437");
    assert_null(strstr(o->text, "990101199109086437"));
    o = EXPECT_YZ(0, "data", "show", "--admin", civil, "--sensitive", "marriages",
                  "990101199109086437");
    assert_says(o, "990101199109086437");
}

/* -- imports that end before they are done -- */

static const char *many(void)
{
    static char path[400]; /* lives longer than eight others */
    snprintf(path, sizeof path, "%s", in_sandbox(&sandbox, "many.csv"));
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(HEADER, f);
    for (unsigned i = 0; i < MANY; i++) {
        fprintf(f, "%u,n,11,11\n", i * 7919u % MANY + 100000u);
    }
    assert_int_equal(fclose(f), 0);
    return path;
}

static pid_t to_kill; /* 0: whoever asked goes instead */

static void on_progress(void *ctx, yz_bytes text, yz_bytes payload)
{
    (void)ctx;
    (void)text;
    (void)payload;
    if (to_kill) {
        kill(to_kill, SIGKILL);
    }
    _exit(0);
}

/* In a child: ask for an import, and at its first progress kill the adapter, or just go. */
static void import_until_progress(const char *mode, const char *path, pid_t victim)
{
    const char *admin = socket_path();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct admin_arg args[] = {{yzi_bytes_str("dataset"), yzi_bytes_str("areas")},
                                   {yzi_bytes_str("name"), yzi_bytes_str("many.csv")},
                                   {yzi_bytes_str("mode"), yzi_bytes_str(mode)}};
        const struct admin_request q = {
            .verb = yzi_bytes_str("data.import"), .args = args, .args_n = 3};
        to_kill = victim;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        yz_ignore(
            yzi_admin_call(admin, &q, (yz_bytes){0}, fd, 0, on_progress, NULL, NULL, NULL, NULL),
            "it ends with the first progress");
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Imports run one after the other: when this is done, the one before has ended, too. */
static void test_data__an_import_ends_with_whoever_asked(void **state)
{
    (void)state;
    const char *path = many();
    begin_with("1,x,11,11\n");
    import_until_progress("upsert", path, 0);
    import(0, "upsert", file("e.csv", "2,y,11,11\n"));
    expect_count("2\n");
    import_until_progress("replace", path, 0);
    import(0, "upsert", file("e.csv", "3,z,11,11\n"));
    expect_count("3\n");
    assert_int_equal(unlink(path), 0);
}

static int progress_fd;

static void tell_progress(void *ctx, yz_bytes text, yz_bytes payload)
{
    (void)ctx;
    (void)text;
    (void)payload;
    if (progress_fd >= 0) {
        yz_ignore(write(progress_fd, "p", 1), "the test waits for it and fails");
        close(progress_fd);
        progress_fd = -1;
    }
}

/* In a child: an import to its end, which is an error; fails when it succeeds. Returns when it has
 * made progress. */
static pid_t import_under_way(const char *path)
{
    const char *admin = socket_path();
    int fds[2];
    char byte;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct admin_arg args[] = {{yzi_bytes_str("dataset"), yzi_bytes_str("areas")},
                                   {yzi_bytes_str("name"), yzi_bytes_str("many.csv")},
                                   {yzi_bytes_str("mode"), yzi_bytes_str("replace")}};
        const struct admin_request q = {
            .verb = yzi_bytes_str("data.import"), .args = args, .args_n = 3};
        progress_fd = fds[1];
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        int rc =
            yzi_admin_call(admin, &q, (yz_bytes){0}, fd, 0, tell_progress, NULL, NULL, NULL, NULL);
        _exit(rc < 0 ? 0 : 1);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    return pid;
}

static void test_data__cancel_ends_what_is_under_way(void **state)
{
    (void)state;
    const char *path = many();
    int status;
    begin_with("1,x,11,11\n");
    pid_t pid = import_under_way(path);
    EXPECT_YZ(0, "data", "cancel", "--admin", socket_path(), "areas");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect_count("1\n");
    assert_says(import(0, "upsert", file("e.csv", "2,y,11,11\n")), "1 new");
    expect_count("2\n");
    EXPECT_YZ(1, "data", "cancel", "--admin", socket_path(), "nothing");
    assert_int_equal(unlink(path), 0);
}

static void test_data__kill_9_leaves_what_was_and_the_start_says_so(void **state)
{
    (void)state;
    const char *path = many();
    begin_with("1,x,11,11\n");
    pid_t adapter = adapter_pid(&sandbox, "statistics");
    import_until_progress("replace", path, adapter);
    kill_daemon(adapter, SIGKILL);
    start_again(&sandbox, "statistics");
    expect_count("1\n");
    assert_true(folder_holds(in_sandbox(&sandbox, "statistics"), "event=import.unfinished"));
    assert_says(import(0, "replace", path), "400000 new");
    expect_count("400000\n");
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data__modes),
        cmocka_unit_test(test_data__formats_by_name_or_said),
        cmocka_unit_test(test_data__rejects_go_to_a_file_of_their_own),
        cmocka_unit_test(test_data__many_faults_are_counted),
        cmocka_unit_test(test_data__diff_and_export),
        cmocka_unit_test(test_data__show_and_list),
        cmocka_unit_test(test_data__sensitive_values_only_when_asked),
        cmocka_unit_test(test_data__an_import_ends_with_whoever_asked),
        cmocka_unit_test(test_data__cancel_ends_what_is_under_way),
        cmocka_unit_test(test_data__kill_9_leaves_what_was_and_the_start_says_so),
    };
    return cmocka_run_group_tests(tests, up, down);
}
