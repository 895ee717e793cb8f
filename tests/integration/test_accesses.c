/* SPDX-License-Identifier: Apache-2.0
 *
 * yz data accesses at the home of a real adapter, running and stopped: two consumers ask, and the
 * list has exactly what was about the record; also the find whose answer had no key, what was
 * refused, and what is not there. Damage and what retention destroyed are said.
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
#include <unistd.h>

#include "tests/integration/harness.h"

#define AREAS "CN/GOV/STATS/divisions/areas/v1"
#define ATTIC "CN/GOV/ATTIC/papers"

static struct sandbox sandbox;
static char attic[400]; /* the second consumer's configuration */

static const char *admin(void)
{
    return in_sandbox(&sandbox, "statistics/admin.sock");
}

/* -- a second consumer -- */

static void read_whole(const char *path, char *out, size_t cap)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(out, 1, cap - 1, f);
    out[n] = '\0';
    fclose(f);
}

/* The first one's configuration for another node in another home. */
static void write_config(void)
{
    char text[4096], changed[8192];
    read_whole(sandbox.client, text, sizeof text);
    const char *brokers = strstr(text, "brokers:"), *end = strstr(text, "subsystem:");
    assert_true(brokers && end);
    snprintf(changed, sizeof changed,
             "node: CN/GOV/ATTIC/@w1\nhome: .\nanchor: anchor.yzr\nlock_secrets: false\n%.*s"
             "subsystem: " ATTIC "\n",
             (int)(end - brokers), brokers);
    snprintf(attic, sizeof attic, "%s", in_sandbox(&sandbox, "attic/attic.yaml"));
    write_file(attic, changed);
}

static void make_attic(void)
{
    const char *member = in_sandbox(&sandbox, "attic/member");
    const char *home = in_sandbox(&sandbox, "attic"), *op = in_sandbox(&sandbox, "operator");
    char anchor[65536];
    assert_int_equal(mkdir(home, 0700), 0);
    EXPECT_YZ(0, "member", "init", "--home", member, "--member", "CN/GOV/ATTIC");
    EXPECT_YZ(0, "subsystem", "add", "--home", member, "papers");
    EXPECT_YZ(0, "node", "request", "--home", home, "--node", "CN/GOV/ATTIC/@w1", "--role",
              "client", "--subsystem", "papers");
    EXPECT_YZ(0, "node", "admit", "--home", member, in_sandbox(&sandbox, "attic/request.yzr"));
    read_whole(in_sandbox(&sandbox, "operator/anchor.yzr"), anchor, sizeof anchor);
    write_file(in_sandbox(&sandbox, "attic/anchor.yzr"), anchor);
    const char *set = in_sandbox(&sandbox, "attic/member/member-set.yzr");
    EXPECT_YZ(0, "member", "add", "--home", op, "--name", "attic", set);
    EXPECT_YZ(0, "directory", "publish", "--home", op, "--admin",
              in_sandbox(&sandbox, "broker/admin.sock"), "--member-set", set);
    write_config();
}

static void grant(const char *consumer)
{
    EXPECT_YZ(0, "grant", "add", "--home", in_sandbox(&sandbox, "statistics/member"), "--admin",
              admin(), "--service", AREAS, "--consumer", consumer, "--operation", "find",
              "--operation", "count", "--field", "name", "--filter", "city", "--purpose", "census");
}

static void import(void)
{
    const char *path = in_sandbox(&sandbox, "areas.csv");
    write_file(path, "code,name,cityCode,provinceCode\n"
                     "110101,东城区,1101,11\n110102,西城区,1101,11\n310101,黄浦区,3101,31\n");
    EXPECT_YZ(0, "data", "import", "--admin", admin(), "--mode", "replace", "areas", path);
}

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    import();
    make_attic();
    grant("CN/GOV/WINDOW/window");
    grant(ATTIC);
    return 0;
}

static int down(void **state)
{
    (void)state;
    sandbox_down(&sandbox);
    return 0;
}

/* -- accesses -- */

#define ACCESSES(code, subject, ...)                                                               \
    EXPECT_YZ(code, "data", "accesses", "--home", in_sandbox(&sandbox, "statistics"), "--subject", \
              subject, __VA_ARGS__)

static void says_not(const struct output *o, const char *text)
{
    if (strstr(o->text, text)) {
        fail_msg("says \"%s\":\n%s", text, o->text);
    }
}

static unsigned times(const struct output *o, const char *text)
{
    unsigned n = 0;
    for (const char *at = o->text; (at = strstr(at, text)) != NULL; at += strlen(text)) {
        n++;
    }
    return n;
}

static void ask_everything(void)
{
    const char *window = sandbox.client;
    /* the window by key, with a reason; the key of nobody as well */
    EXPECT_YZ(0, "call", "--config", window, "--key", "110101", "--key", "999999", "--field",
              "name", "--user", "official 7", "--issue", "case 8", AREAS);
    /* the attic by city; its answer has names alone */
    EXPECT_YZ(0, "query", "--config", attic, "--where", "city=1101", "--purpose", "census", AREAS);
    EXPECT_YZ(0, "query", "--config", attic, "--where", "city=1101", "--count", "--purpose",
              "census", AREAS);
    /* refused: the attic has no get, and whoever reads the log shall see it asked; the broker
     * lets it pass, because only the adapter knows operations */
    EXPECT_YZ(3, "call", "--config", attic, "--key", "110101", "--consent", "none", AREAS);
    /* not about it */
    EXPECT_YZ(0, "call", "--config", window, "--key", "310101", AREAS);
    EXPECT_YZ(0, "query", "--config", attic, "--where", "city=3101", "--purpose", "census", AREAS);
}

static void test_accesses__lists_exactly_what_was_about_the_record(void **state)
{
    (void)state;
    ask_everything();
    const struct output *o = ACCESSES(0, "110101", "--set", "areas");
    assert_says(o, "Accesses to the record 110101 of the data set areas: 4\n");
    assert_says(o, "Exchanges are kept here since 20");
    assert_says(o, "CN/GOV/WINDOW/window (by its node CN/GOV/WINDOW/@w1) asked for this record by "
                   "its key, at the service " AREAS ".\n"
                   "   As the reason was given: the official \"official 7\", the case \"case 8\".\n"
                   "   Given were these fields of it: name.\n");
    assert_says(o,
                ATTIC " (by its node CN/GOV/ATTIC/@w1) searched for records by other conditions");
    assert_says(o, "   As the reason was given: the purpose \"census\".\n"
                   "   Given were these fields of it: name.\n"
                   "   The same answer gave those of 1 other record.\n"
                   "   That was decided by grant g-");
    assert_says(o, "   The answer was a number, 2, in which this record was counted.\n");
    assert_says(o, "   As the reason was given: the consent \"none\".\n   It was refused (");
    assert_says(o, "Nothing of the record was given.\n");
    assert_int_equal(times(o, "The exchange is "), 4);
    /* the columns */
    assert_says(o, "  PURPOSE  OUTCOME\n");
    assert_says(o, "  census   counted\n");
    o = ACCESSES(0, "310101", "--json");
    assert_says(o, "\"consumer\":\"CN/GOV/WINDOW/window\"");
    assert_int_equal(times(o, "\"message_id\""), 2);
    assert_says(o, "\"destroyed_until\": null");
}

static void test_accesses__of_nobody_and_of_other_times_and_sets(void **state)
{
    (void)state;
    const struct output *o = ACCESSES(0, "999999", "--set", "areas");
    assert_says(o, "Accesses to the record 999999 of the data set areas: 1\n");
    assert_says(o, "Nothing of it was given: there was no such record");
    assert_says(ACCESSES(0, "110101", "--set", "villages"), "data set villages: 0\n");
    assert_says(ACCESSES(0, "110101", "--until", "2020-01-01"), "110101: 0\n");
    assert_says(ACCESSES(0, "110101", "--from", "2020-01-01", "--until", "2999-01-01"),
                "110101: 4\n");
    o = ACCESSES(0, "110101", "--definition", in_sandbox(&sandbox, "statistics/areas.yaml"));
    assert_says(o, "of the data set areas: 4\n");
    assert_says(
        ACCESSES(2, "110101,1", "--definition", in_sandbox(&sandbox, "statistics/areas.yaml")),
        "a key of the data set areas has 1 part");
    assert_says(ACCESSES(2, "110101", "--from", "yesterday"), "is not a time");
    assert_says(EXPECT_YZ(1, "data", "accesses", "--home", in_sandbox(&sandbox, "operator"),
                          "--subject", "110101"),
                "nothing is kept there");
}

/* -- kept requests, asked of the policy -- */

/* The message id of the access with this outcome. */
static void find_exchange(const char *outcome, char out[64])
{
    char needle[64];
    const struct output *o = ACCESSES(0, "110101", "--json");
    snprintf(needle, sizeof needle, "\"reason\":\"%s\"", outcome);
    const char *end = strstr(o->text, needle), *at = o->text, *last = NULL;
    assert_non_null(end);
    while ((at = strstr(at, "\"message_id\":\"")) != NULL && at < end) {
        at += strlen("\"message_id\":\"");
        last = at;
    }
    assert_non_null(last);
    snprintf(out, 64, "%.36s", last);
}

#define EXPLAIN(code, verb, exchange, ...)                                                         \
    EXPECT_YZ(code, "grant", verb, "--home", in_sandbox(&sandbox, "statistics/member"),            \
              "--definition", in_sandbox(&sandbox, "statistics/areas.yaml"), "--kept",             \
              in_sandbox(&sandbox, "statistics"), "--exchange", exchange, __VA_ARGS__)

static void test_explain__asks_the_policy_of_now_about_a_kept_request(void **state)
{
    (void)state;
    char id[64];
    find_exchange("operation", id);
    const struct output *o = EXPLAIN(3, "test", id, "--json");
    assert_says(o, "\"operation\": \"get\"");
    assert_says(o, "\"clause\": \"operation\"");
    o = EXPLAIN(0, "explain", id, "--unevidenced");
    assert_says(o, ATTIC " asks " AREAS ": get, for no purpose\n");
    assert_says(o, "was answered \"denied: operation\" on 20");
    assert_says(o, "under this version, too\n");
    assert_says(o, "'get' is none of find, count\n");
    /* the owner changes its mind, and no adapter knows yet */
    EXPECT_YZ(0, "grant", "add", "--home", in_sandbox(&sandbox, "statistics/member"), "--service",
              AREAS, "--consumer", ATTIC, "--field", "city");
    assert_says(EXPLAIN(0, "explain", id, "--unevidenced"), "under another version, ");
    assert_says(EXPLAIN(0, "explain", id, "--unevidenced"), "read: city\n");
    assert_says(EXPLAIN(0, "test", id, "--unevidenced"), "allowed by grant g-");
    assert_says(EXPLAIN(1, "test", "01976e3b-8c00-7abc-8def-000102030405", "--json"),
                "no exchange 01976e3b");
}

/* -- damage and retention -- */

/* The largest file of kept exchanges of the only day. */
static void find_file(char *out, size_t cap)
{
    const char *kept = in_sandbox(&sandbox, "statistics/kept");
    off_t most = -1;
    DIR *d = opendir(kept);
    assert_non_null(d);
    for (struct dirent *day; (day = readdir(d)) != NULL;) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", kept, day->d_name);
        DIR *inner = day->d_name[0] == '.' ? NULL : opendir(path);
        for (struct dirent *e; inner && (e = readdir(inner)) != NULL;) {
            char file[1200];
            struct stat st;
            snprintf(file, sizeof file, "%s/%s", path, e->d_name);
            if (strstr(e->d_name, ".yzk") && stat(file, &st) == 0 && st.st_size > most) {
                most = st.st_size;
                snprintf(out, cap, "%s", file);
            }
        }
        if (inner) {
            closedir(inner);
        }
    }
    closedir(d);
    assert_true(most > 100);
}

static void flip(const char *path, off_t at)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void test_accesses__of_a_stopped_adapter_names_what_is_damaged(void **state)
{
    (void)state;
    char file[1200];
    kill_daemon(adapter_pid(&sandbox, "statistics"), SIGKILL);
    assert_says(ACCESSES(0, "110101", "--set", "areas"), "areas: 4\n");
    find_file(file, sizeof file);
    flip(file, 100); /* within the first record, which is the window's */
    const struct output *o = ACCESSES(5, "110101", "--set", "areas");
    assert_says(o, "areas: 3\n");
    assert_says(o, "what is kept is damaged in 1 place, of which this answer knows nothing");
    assert_says(o, file);
    assert_says(ACCESSES(5, "110101", "--json"), "\"damaged\": [\n    \"/");
    flip(file, 100);
    says_not(ACCESSES(0, "110101", "--set", "areas"), "damaged");
}

static void test_accesses__says_what_retention_destroyed(void **state)
{
    (void)state;
    char command[2000];
    const char *kept = in_sandbox(&sandbox, "statistics/kept");
    snprintf(command, sizeof command, "cd '%s' && set -- 20* && mv \"$1\" 2001-01-01", kept);
    assert_int_equal(system(command), 0); /* as if it were long ago: the adapter destroys it */
    start_again(&sandbox, "statistics");
    /* it looks for what is over before it takes its first message */
    EXPECT_YZ(0, "call", "--config", sandbox.client, "--key", "110101", AREAS);
    const struct output *o = ACCESSES(0, "110101", "--set", "areas");
    assert_says(o, "areas: 1\n");
    assert_says(o, "What was kept until 2001-01-01 was destroyed when its time was over");
    assert_says(ACCESSES(0, "110101", "--json"), "\"destroyed_until\": \"2001-01-01\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accesses__lists_exactly_what_was_about_the_record),
        cmocka_unit_test(test_accesses__of_nobody_and_of_other_times_and_sets),
        cmocka_unit_test(test_explain__asks_the_policy_of_now_about_a_kept_request),
        cmocka_unit_test(test_accesses__of_a_stopped_adapter_names_what_is_damaged),
        cmocka_unit_test(test_accesses__says_what_retention_destroyed),
    };
    return cmocka_run_group_tests(tests, up, down);
}
