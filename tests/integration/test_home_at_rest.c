/* SPDX-License-Identifier: Apache-2.0
 *
 * Every file of a real adapter's home, and of those who asked it, searched byte by byte for the
 * sensitive values of a register that was imported, asked, changed over the network, refused, put
 * under another key, killed in the middle, and backed up. What is public is found by the same
 * search.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "net/admin.h"
#include "tests/integration/harness.h"
#include "tests/support/needles.h"

#define PEOPLE "CN/GOV/CIVIL/civil/people/v1"
#define WINDOW "CN/GOV/WINDOW/window"
#define HERE(...) in_sandbox(&sandbox, __VA_ARGS__)
#define ADMIN HERE("civil/admin.sock")
#define CALL(code, ...) EXPECT_YZ(code, "call", "--config", sandbox.client, __VA_ARGS__, PEOPLE)
#define QUERY(code, ...) EXPECT_YZ(code, "query", "--config", sandbox.client, __VA_ARGS__, PEOPLE)
#define DATA(code, verb, ...) EXPECT_YZ(code, "data", verb, "--admin", ADMIN, __VA_ARGS__)

/* Every record's values begin so; what follows tells them apart. */
#define PID "Zqperson"
#define NUMBER INT64_C(0x4d5a7e6193c50000)
#define DAY "1887-09-"
#define TEXT "Wvillage"
#define PUBLIC "Kpublicvalue"
#define RAW "\xc7\x01\xf9\x83\xae\x5d\x92\x14\x77"
#define RAW_BASE64 "xwH5g65dkhR3"
#define HEAD "pid,n,d,b,t,open\n"
#define SOME 40u
#define MANY 30000u

static struct sandbox sandbox;
static struct needles secret, public;
static pid_t adapter;

static void end_adapter(int signal_number)
{
    kill_daemon(adapter, signal_number);
}

static void start_adapter(void)
{
    adapter = start_again(&sandbox, "civil");
}

/* -- the register -- */

static void put_row(FILE *f, unsigned i, const char *version)
{
    fprintf(f, PID "%06u,%lld," DAY "%02u," RAW_BASE64 "," TEXT " %s," PUBLIC "%u\n", i,
            (long long)NUMBER + i, i % 28 + 1, version, i % 5);
}

/* In a file outside the adapter's home. */
static const char *file(const char *name, unsigned n, const char *version, const char *more)
{
    const char *path = HERE("%s", name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(HEAD, f);
    for (unsigned i = 0; i < n; i++) {
        put_row(f, (unsigned)((uint64_t)i * 7919 % n), version);
    }
    fputs(more, f);
    assert_int_equal(fclose(f), 0);
    return path;
}

static const char definition[] =
    "dataset: people\ntitle: {en: People}\nowner: o\nsharing: conditional\nkey: [pid]\nfields:\n"
    "  - {name: pid, type: text, classification: sensitive, max_length: 60}\n"
    "  - {name: n, type: integer, classification: secret}\n"
    "  - {name: d, type: date, classification: sensitive}\n"
    "  - {name: b, type: bytes, classification: secret, max_length: 60}\n"
    "  - {name: t, type: text, classification: sensitive, max_length: 200}\n"
    "  - {name: open, type: text, classification: public, max_length: 100}\n"
    "indexes:\n  - {name: by_t, fields: [t]}\n  - {name: by_n, fields: [n], unique: true}\n"
    "  - {name: by_open, fields: [open]}\n";

static void hold_people(void)
{
    write_file(HERE("civil/people.yaml"), definition);
    FILE *f = fopen(HERE("civil/adapter.yaml"), "ae");
    assert_non_null(f);
    fputs("  - definition: people.yaml\nlog_level: debug\n", f);
    assert_int_equal(fclose(f), 0);
    adapter = adapter_pid(&sandbox, "civil");
    end_adapter(SIGTERM);
    start_adapter();
    EXPECT_YZ(0, "service", "publish", "--home", HERE("civil/member"), "--subsystem", "civil",
              "--service", "people/v1", "--definition", HERE("civil/people.yaml"), "--adapter",
              "CN/GOV/CIVIL/@a1", "--mode", "write", "--admin", ADMIN);
    EXPECT_YZ(0, "grant", "add", "--home", HERE("civil/member"), "--service", PEOPLE, "--consumer",
              WINDOW, "--operation", "get", "--operation", "find", "--operation", "count",
              "--operation", "insert", "--operation", "put", "--operation", "delete", "--write",
              "pid", "--write", "n", "--write", "t", "--write", "open", "--filter", "t", "--filter",
              "n", "--filter", "open", "--admin", ADMIN);
}

static void add_needles(void)
{
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)NUMBER);
    number[12] = '\0'; /* the later digits differ */
    needles_add(&secret, "pid", yzi_bytes_str(PID));
    needles_add(&secret, "n", yzi_bytes_str(number));
    needles_add_number(&secret, "n", NUMBER);
    needles_add(&secret, "d", yzi_bytes_str(DAY));
    needles_add(&secret, "b", yzi_bytes(RAW, 9));
    needles_add(&secret, "b", yzi_bytes_str(RAW_BASE64));
    needles_add(&secret, "t", yzi_bytes_str(TEXT));
    needles_add(&public, "open", yzi_bytes_str(PUBLIC));
}

static void expect_none_in(const char *folder)
{
    char path[400];
    snprintf(path, sizeof path, "%s", HERE("%s", folder));
    if (needles_in_folder(&secret, path)) {
        fail_msg("%s holds '%s' as %s at %llu", secret.where, secret.found->label,
                 secret.found->form, (unsigned long long)secret.at);
    }
}

static void expect_none(void)
{
    expect_none_in("civil");
    expect_none_in("client");
    expect_none_in("broker");
}

static bool public_is_in(const char *folder)
{
    return needles_in_folder(&public, HERE("%s", folder));
}

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    hold_people();
    add_needles();
    DATA(0, "import", "people", file("people.csv", SOME, "v1", ""));
    return 0;
}

static int down(void **state)
{
    (void)state;
    sandbox_down(&sandbox);
    return 0;
}

/* -- the tests -- */

static void test_home__imports_of_every_mode(void **state)
{
    (void)state;
    expect_none();
    DATA(0, "import", "people", file("people.csv", SOME, "v2", ""));
    DATA(0, "import", "--mode", "delete", "people", file("some.csv", SOME / 4, "v2", ""));
    DATA(0, "import", "--mode", "replace", "people", file("people.csv", SOME, "v3", ""));
    DATA(1, "import", "--mode", "insert", "people", file("people.csv", SOME, "v4", ""));
    const char *bad = PID "x," PID "," DAY "99,?," TEXT ",\n" PID "000001,,,,,\n";
    DATA(1, "import", "people", file("bad.csv", SOME, "v5", bad));
    DATA(0, "import", "--reject-file", HERE("rejects.csv"), "people",
         file("bad.csv", SOME, "v5", bad));
    assert_true(
        needles_in_file(&secret, HERE("rejects.csv"))); /* the owner's, and not in the home */
    assert_int_equal(unlink(HERE("rejects.csv")), 0);
    DATA(0, "diff", "--sensitive", "people", file("people.csv", SOME / 2, "v6", ""));
    DATA(0, "export", "--sensitive", "people");
    DATA(0, "show", "--sensitive", "people", PID "000003");
    expect_none();
    assert_true(public_is_in("civil"));
}

static void test_home__answers_writes_and_refusals(void **state)
{
    (void)state;
    char number[40], insert[300], more[2000];
    assert_says(CALL(0, "--key", PID "000003"), TEXT);
    assert_says(CALL(0, "--key", PID "000003", "--user", "Zqperson of the office"), TEXT);
    const struct output *o = QUERY(0, "--where", "t=" TEXT " v5", "--limit", "3");
    assert_says(o, TEXT);
    const char *at = strstr(o->text, "more: --cursor ");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "more: --cursor %1999s", more), 1);
    assert_says(QUERY(0, "--where", "t=" TEXT " v5", "--limit", "3", "--cursor", more), TEXT);
    assert_says(QUERY(0, "--where", "t=" TEXT " v5", "--count"), "count: ");
    snprintf(number, sizeof number, "n=%lld", (long long)NUMBER + 900);
    snprintf(insert, sizeof insert, "pid=" PID "900900,%s,t=" TEXT " new,open=x", number);
    assert_says(CALL(0, "--insert", insert), "count: 1");
    assert_says(CALL(1, "--insert", insert), "exists");
    assert_says(QUERY(0, "--where", number), TEXT " new");
    assert_says(CALL(0, "--put", "pid=" PID "900900,t=" TEXT " newer"), "count: 1");
    assert_says(CALL(0, "--delete", "--key", PID "900900"), "count: 1");
    CALL(1, "--key", PID "000003," PID);                            /* no such key */
    QUERY(1, "--where", "n=" PID);                                  /* no such value */
    QUERY(3, "--where", "d=" DAY "01");                             /* no right to it */
    CALL(3, "--put", "pid=" PID "000003,b=" RAW_BASE64);            /* nor to that */
    CALL(1, "--insert", "pid=" PID "000099,n=" PID ",t=" TEXT "x"); /* no number */
    expect_none();
}

/* The public value stands in what was kept, but encrypted: the search finds it in the store only.
 */
static void test_home__keeps_exchanges_encrypted(void **state)
{
    (void)state;
    assert_says(CALL(0, "--key", PID "000003"), PUBLIC);
    assert_true(public_is_in("civil/data"));
    assert_false(public_is_in("civil/kept"));
    assert_false(public_is_in("civil/state"));
    assert_true(secret.searched > 0);
    struct needles any = {0};
    needles_add(&any, "the day's key file", yzi_bytes_str("use: storage"));
    assert_true(needles_in_folder(&any, HERE("civil/kept"))); /* so something was kept, and read */
}

static void test_home__under_another_key(void **state)
{
    (void)state;
    char cursor[2000];
    const struct output *o = QUERY(0, "--where", "t=" TEXT " v5", "--limit", "3");
    const char *at = strstr(o->text, "more: --cursor ");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "more: --cursor %1999s", cursor), 1);
    assert_says(DATA(0, "rotate-key", "people"), "is destroyed");
    assert_says(QUERY(1, "--where", "t=" TEXT " v5", "--limit", "3", "--cursor", cursor),
                "cursor-data");
    assert_says(CALL(0, "--key", PID "000003"), TEXT);
    assert_says(DATA(0, "show", "people"), "encrypted under the key ");
    assert_says(EXPECT_YZ(0, "data", "list", "--json", "--admin", ADMIN), "\"key_id\": ");
    assert_says(DATA(1, "rotate-key", "nothing"), "holds no data set");
    expect_none();
    assert_true(public_is_in("civil"));
}

/* -- ended in the middle -- */

static pid_t to_kill;

static void on_progress(void *ctx, yz_bytes text, yz_bytes payload)
{
    (void)ctx;
    (void)text;
    (void)payload;
    kill(to_kill, SIGKILL);
    _exit(0);
}

/* In a child, which kills the adapter at the first sign of progress. */
static void kill_during(const char *verb, const char *path)
{
    const char *admin = ADMIN;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct admin_arg args[] = {{yzi_bytes_str("dataset"), yzi_bytes_str("people")},
                                   {yzi_bytes_str("name"), yzi_bytes_str("people.csv")},
                                   {yzi_bytes_str("mode"), yzi_bytes_str("replace")}};
        const struct admin_request q = {.verb = yzi_bytes_str(verb), .args = args, .args_n = 3};
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        to_kill = adapter;
        yz_ignore(
            yzi_admin_call(admin, &q, (yz_bytes){0}, fd, 0, on_progress, NULL, NULL, NULL, NULL),
            "it ends with the first progress");
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    end_adapter(SIGKILL); /* it is on its way; this waits for it */
}

static void expect_entries(const char *folder, unsigned expected)
{
    unsigned n = 0;
    DIR *d = opendir(HERE("%s", folder));
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    closedir(d);
    assert_int_equal(n, expected);
}

static void test_home__after_a_kill_in_the_middle(void **state)
{
    (void)state;
    const char *path = file("many.csv", MANY, "v7", "");
    kill_during("data.import", path);
    expect_none();
    start_adapter();
    expect_none();
    DATA(0, "import", "--mode", "replace", "people", file("many.csv", MANY, "v5", ""));
    kill_during("data.rotate-key", NULL);
    expect_none();
    start_adapter();
    expect_entries("civil/data/people", 3); /* current, a generation, a lock */
    expect_entries("civil/keys/data/people", 1);
    expect_none();
    assert_says(CALL(0, "--key", PID "000003"), TEXT);
}

/* -- a backup, as docs/operations.md says -- */

static void read_key(char text[200])
{
    char path[700];
    DIR *d = opendir(HERE("civil/keys/data/people"));
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", HERE("civil/keys/data/people"), e->d_name);
        }
    }
    closedir(d);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    size_t n = fread(text, 1, 199, f);
    text[n] = '\0';
    assert_int_equal(fclose(f), 0);
}

static void test_home__backup_and_restore(void **state)
{
    (void)state;
    char key[200], folder[400], away[400], keys[400], keys_away[400];
    struct needles of_key = {0};
    snprintf(folder, sizeof folder, "%s", HERE("civil/data/people"));
    snprintf(away, sizeof away, "%s", HERE("away"));
    snprintf(keys, sizeof keys, "%s", HERE("civil/keys/data/people"));
    snprintf(keys_away, sizeof keys_away, "%s", HERE("keys-away"));
    read_key(key);
    char *base64 = strstr(key, "secret: ") + 8;
    uint8_t raw[32];
    yz_buf decoded;
    yzi_buf_init(&decoded, 64);
    base64[44] = '\0';
    assert_int_equal(yzi_base64_decode(yzi_bytes_str(base64), &decoded), 0);
    assert_int_equal(decoded.n, sizeof raw);
    memcpy(raw, decoded.p, sizeof raw);
    needles_add(&of_key, "the key", yzi_bytes(raw, sizeof raw));
    assert_says(DATA(0, "backup", "people", HERE("people.backup")), "is not in it");
    assert_false(needles_in_file(&secret, HERE("people.backup")));
    assert_false(needles_in_file(&of_key, HERE("people.backup")));
    assert_true(needles_in_file(&public, HERE("people.backup")));
    assert_true(needles_in_folder(&of_key, keys)); /* in its place it is found */
    end_adapter(SIGTERM);
    EXPECT_YZ(1, "data", "restore", "--home", HERE("civil"), "people", HERE("people.backup"));
    assert_int_equal(rename(folder, away), 0);
    EXPECT_YZ(0, "data", "restore", "--home", HERE("civil"), "people", HERE("people.backup"));
    assert_int_equal(rename(keys, keys_away), 0);
    struct starting without = start_daemon(&sandbox, "civil");
    char byte;
    assert_int_equal(read(without.ready_fd, &byte, 1), 0); /* it ends, and was not ready */
    close(without.ready_fd);
    kill_daemon(without.pid, SIGTERM);
    assert_true(folder_holds(HERE("civil"), "is under the key"));
    assert_int_equal(rename(keys_away, keys), 0);
    start_adapter();
    assert_says(CALL(0, "--key", PID "000003"), TEXT);
    expect_none();
    yzi_buf_wipe(&decoded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_home__imports_of_every_mode),
        cmocka_unit_test(test_home__answers_writes_and_refusals),
        cmocka_unit_test(test_home__keeps_exchanges_encrypted),
        cmocka_unit_test(test_home__under_another_key),
        cmocka_unit_test(test_home__after_a_kill_in_the_middle),
        cmocka_unit_test(test_home__backup_and_restore),
    };
    return cmocka_run_group_tests(tests, up, down);
}
