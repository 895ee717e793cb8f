/* SPDX-License-Identifier: Apache-2.0
 *
 * What yz says to daemons and makes of their answers: a socket server in a thread stands for the
 * daemon, notes what it is asked and answers as the test wants.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/data.h"
#include "net/admin.h"
#include "tests/unit/cli/fixture.h"

#define ASKED_MAX 16u

struct asked {
    char verb[64], dataset[64], name[64], dry_run[8];
    yz_buf payload;
    char file[64]; /* the beginning of the file passed */
};
struct daemon {
    const char *path;
    struct admin_server *server;
    pthread_t thread;
    atomic_bool stop;
    /* how it answers; set while no command runs */
    int code;
    const char *text, *progress;
    const yz_buf *reply;
    /* what it was asked; read while no command runs */
    struct asked asked[ASKED_MAX];
    size_t asked_n;
};

static void note_arg(const struct admin_request *q, const char *key, char *out, size_t max)
{
    yz_bytes v = yzi_admin_arg(q, key);
    snprintf(out, max, "%.*s", CLI_V(v));
}

static void handle(void *ctx, struct admin_call *call, const struct admin_request *q,
                   yz_bytes payload, int fd)
{
    struct daemon *d = ctx;
    YZ_ASSERT(d->asked_n < ASKED_MAX);
    struct asked *a = &d->asked[d->asked_n++];
    snprintf(a->verb, sizeof a->verb, "%.*s", CLI_V(q->verb));
    note_arg(q, "dataset", a->dataset, sizeof a->dataset);
    note_arg(q, "name", a->name, sizeof a->name);
    note_arg(q, "dry_run", a->dry_run, sizeof a->dry_run);
    yzi_buf_init(&a->payload, ADMIN_MESSAGE_MAX);
    YZ_ASSERT(yzi_buf_put(&a->payload, payload) == 0);
    bool gets = fd >= 0 && strcmp(a->verb, "directory.get") == 0;
    if (gets && d->reply) {
        YZ_ASSERT(yzi_file_write_fd(fd, "reply", yzi_bytes_buf(d->reply), NULL) == 0);
    } else if (fd >= 0 && strcmp(a->verb, "directory.put") == 0) {
        YZ_ASSERT(yzi_file_read_fd(fd, "bundle", &a->payload, NULL) == 0);
    } else if (fd >= 0) {
        ssize_t n = pread(fd, a->file, sizeof a->file - 1, 0);
        YZ_ASSERT(n >= 0);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (d->progress) {
        yzi_admin_reply(call, false, 0, yzi_bytes_str(d->progress), (yz_bytes){0});
    }
    yzi_admin_reply(call, true, d->code, yzi_bytes_str(d->text),
                    d->reply && !gets ? yzi_bytes_buf(d->reply) : (yz_bytes){0});
}

static void *serve(void *ctx)
{
    struct daemon *d = ctx;
    while (!atomic_load(&d->stop)) {
        struct poll_entry entries[ADMIN_POLL_ENTRIES];
        struct pollfd fds[ADMIN_POLL_ENTRIES];
        size_t n = yzi_admin_poll_entries(d->server, entries);
        for (size_t i = 0; i < n; i++) {
            fds[i] = (struct pollfd){.fd = entries[i].fd, .events = POLLIN};
        }
        (void)poll(fds, n, 20);
        yzi_admin_step(d->server);
    }
    return NULL;
}

static void start(struct daemon *d, const char *path)
{
    yz_error err = {0};
    *d = (struct daemon){.path = path, .text = "done"};
    if (yzi_admin_server_new(path, &yzi_clock_system, handle, d, &d->server, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(pthread_create(&d->thread, NULL, serve, d), 0);
}

static void stop(struct daemon *d)
{
    atomic_store(&d->stop, true);
    assert_int_equal(pthread_join(d->thread, NULL), 0);
    yzi_admin_server_close(d->server);
    for (size_t i = 0; i < d->asked_n; i++) {
        yzi_buf_fini(&d->asked[i].payload);
    }
}

/* That the payload is these records in armour, one after the other. */
static void assert_records(const struct asked *a, const char *first, const char *second)
{
    yz_buf one, two;
    yz_cli_record(first, &one);
    if (second) {
        yz_cli_record(second, &two);
        one.max = 2 * YZ_RECORD_MAX;
        assert_int_equal(yzi_buf_put(&one, yzi_bytes_buf(&two)), 0);
        yzi_buf_fini(&two);
    }
    assert_string_equal(a->verb, "records.put");
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&a->payload), yzi_bytes_buf(&one)));
    yzi_buf_fini(&one);
}

/* -- records -- */

static void test_push__gives_anchor_and_directory_to_each_broker(void **state)
{
    (void)state;
    struct daemon one, two;
    yz_buf anchor, bundle;
    yz_cli_world();
    start(&one, "one.sock");
    start(&two, "two.sock");
    EXPECT(0, "directory", "publish", "--home", "op", "--admin", "one.sock", "--admin", "two.sock");
    assert_non_null(strstr(yz_cli_out(), "two.sock: done"));
    yz_cli_record("op/anchor.yzr", &anchor);
    yz_cli_read("op/directory.bundle", &bundle);
    struct daemon *const both[] = {&one, &two};
    for (size_t i = 0; i < 2; i++) {
        const struct asked *a = both[i]->asked;
        assert_int_equal(both[i]->asked_n, 2);
        assert_string_equal(a[0].verb, "anchor.set");
        assert_true(yzi_bytes_eq(yzi_bytes_buf(&a[0].payload), yzi_bytes_buf(&anchor)));
        assert_string_equal(a[1].verb, "directory.put");
        assert_true(yzi_bytes_eq(yzi_bytes_buf(&a[1].payload), yzi_bytes_buf(&bundle)));
        stop(both[i]);
    }
    yzi_buf_fini(&anchor);
    yzi_buf_fini(&bundle);
}

static void test_push__sends_exactly_what_is_kept(void **state)
{
    (void)state;
    struct daemon d;
    yz_cli_world();
    yz_cli_service();
    start(&d, "a.sock");
    EXPECT(0, "subsystem", "add", "--home", "mca", "burials", "--admin", "a.sock");
    assert_records(&d.asked[0], "mca/member-set.yzr", NULL);
    EXPECT(0, "grant", "add", "--home", "mca", "--service", "CN/GOV/MCA/civil/areas/v1",
           "--consumer", "CN/GOV/HB/window", "--admin", "a.sock");
    assert_records(&d.asked[1], "mca/offers/civil.offer.yzr", "mca/offers/civil.terms.yzr");
    EXPECT(0, "service", "push", "--home", "mca", "--subsystem", "civil", "--admin", "a.sock");
    assert_records(&d.asked[2], "mca/offers/civil.offer.yzr", "mca/offers/civil.terms.yzr");
    EXPECT(0, "member", "publish", "--home", "mca", "--admin", "a.sock");
    assert_records(&d.asked[3], "mca/member-set.yzr", NULL);
    stop(&d);
}

static void test_push__tries_all_and_fails_with_the_first(void **state)
{
    (void)state;
    struct daemon refusing, taking;
    yz_cli_world();
    start(&refusing, "refusing.sock");
    start(&taking, "taking.sock");
    refusing.code = YZ_EROLLBACK;
    refusing.text = "version 9 is in force, this one is older";
    EXPECT(EXIT_UNAVAILABLE, "member", "publish", "--home", "mca", "--admin", "nobody.sock",
           "--admin", "refusing.sock", "--admin", "taking.sock");
    yz_cli_said("nobody.sock");
    yz_cli_said("refusing.sock: version 9 is in force");
    EXPECT(EXIT_UNVERIFIED, "member", "publish", "--home", "mca", "--admin", "refusing.sock");
    stop(&refusing);
    stop(&taking);
    assert_int_equal(taking.asked_n, 1);
}

static void test_push__that_fails_leaves_the_change_made(void **state)
{
    (void)state;
    yz_buf before, after;
    yz_cli_world();
    yz_cli_read("mca/member-set.yzr", &before);
    EXPECT(EXIT_UNAVAILABLE, "subsystem", "add", "--home", "mca", "burials", "--admin",
           "nobody.sock");
    assert_non_null(strstr(yz_cli_out(), "CN/GOV/MCA/burials is a subsystem"));
    yz_cli_read("mca/member-set.yzr", &after);
    assert_false(yzi_bytes_eq(yzi_bytes_buf(&before), yzi_bytes_buf(&after)));
    yzi_buf_fini(&before);
    yzi_buf_fini(&after);
}

static void test_show__verifies_what_a_broker_answers(void **state)
{
    (void)state;
    struct daemon d;
    yz_buf bundle;
    yz_cli_world();
    EXPECT(0, "directory", "publish", "--home", "op");
    EXPECT(0, "root", "init", "--home", "other", "--instance", "CN");
    yz_cli_read("op/directory.bundle", &bundle);
    start(&d, "b.sock");
    d.reply = &bundle;
    EXPECT(0, "directory", "show", "--admin", "b.sock", "--anchor", "op/anchor.yzr");
    EXPECT(0, "directory", "show", "--admin", "b.sock");
    assert_non_null(strstr(yz_cli_out(), "its own root statement only"));
    EXPECT(EXIT_UNVERIFIED, "directory", "show", "--admin", "b.sock", "--anchor",
           "other/anchor.yzr");
    bundle.p[bundle.n / 2] ^= 1;
    EXPECT(EXIT_UNVERIFIED, "directory", "show", "--admin", "b.sock");
    bundle.n = 3;
    EXPECT(EXIT_UNVERIFIED, "directory", "show", "--admin", "b.sock");
    stop(&d);
    yzi_buf_fini(&bundle);
}

/* -- data and status -- */

static void test_import__passes_the_file_and_tells_the_report(void **state)
{
    (void)state;
    struct daemon d;
    yz_cli_write("data.csv", yzi_bytes_str("code,name\n1,x\n"));
    start(&d, "a.sock");
    d.progress = "{\"phase\":\"reading\",\"rows\":1,\"done\":5,\"total\":10}";
    yz_buf report;
    yzi_buf_init(&report, 4096);
    d.reply = &report;
    assert_int_equal(yzi_buf_put_str(&report,
                                     "{\"rows\":3,\"inserted\":1,\"updated\":1,\"unchanged\":1,"
                                     "\"deleted\":2,\"rejected\":1,\"faults\":0,\"sequence\":7,"
                                     "\"unseen\":[\"name\",\"a_rather_long_name_of_a_field_1\","
                                     "\"a_rather_long_name_of_a_field_2\","
                                     "\"a_rather_long_name_of_a_field_3\","
                                     "\"a_rather_long_name_of_a_field_4\","
                                     "\"a_rather_long_name_of_a_field_5\","
                                     "\"a_rather_long_name_of_a_field_6\"]}"),
                     0);
    EXPECT(0, "data", "import", "--admin", "a.sock", "--mode", "replace", "areas", "./data.csv");
    assert_non_null(strstr(yz_cli_out(), "3 rows: 1 new, 1 changed, 1 unchanged, 2 deleted, 1 "
                                         "rejected ("));
    assert_non_null(strstr(yz_cli_out(), " rows/s)\nnote: no record has anything where 'name', "
                                         "'a_rather_long_name_of_a_field_1', "
                                         "'a_rather_long_name_of_a_field_2', "
                                         "'a_rather_long_name_of_a_field_3', "
                                         "'a_rather_long_name_of_a_field_4', "
                                         "'a_rather_long_name_of_a_field_5' and 1 more are "
                                         "read\n"));
    assert_string_equal(yz_cli_err(), ""); /* no progress but on a terminal */
    EXPECT(0, "data", "import", "--admin", "a.sock", "--dry-run", "--json", "areas", "data.csv");
    assert_non_null(strstr(yz_cli_out(), "\"sequence\": 7"));
    yzi_buf_clear(&report);
    assert_int_equal(yzi_buf_put_str(&report, "{\"rows\":3,\"inserted\":0,\"updated\":0,"
                                              "\"unchanged\":3,\"faults\":0,\"sequence\":7}"),
                     0);
    EXPECT(0, "data", "import", "--admin", "a.sock", "areas", "data.csv");
    assert_non_null(strstr(yz_cli_out(), "nothing changed"));
    stop(&d);
    yzi_buf_fini(&report);
    assert_int_equal(d.asked_n, 3);
    assert_string_equal(d.asked[0].verb, "data.import");
    assert_string_equal(d.asked[0].dataset, "areas");
    assert_string_equal(d.asked[0].name, "data.csv");
    assert_string_equal(d.asked[0].dry_run, "");
    assert_string_equal(d.asked[0].file, "code,name\n1,x\n");
    assert_string_equal(d.asked[1].dry_run, "1");
}

static void test_import__tells_faults_and_fails(void **state)
{
    (void)state;
    struct daemon d;
    yz_cli_write("data.csv", yzi_bytes_str("code,name\n1,x\n"));
    start(&d, "a.sock");
    d.progress = "{\"fault\":\"data.csv:2: name: is wrong\"}";
    d.code = YZ_EDATA;
    d.text = "data.csv:2: name: is wrong";
    EXPECT(EXIT_FAILED, "data", "import", "--admin", "a.sock", "areas", "data.csv");
    yz_cli_said("data.csv:2: name: is wrong\n");
    yz_cli_said("1 fault; nothing was changed");
    EXPECT(EXIT_FAILED, "data", "import", "--json", "--admin", "a.sock", "areas", "data.csv");
    assert_non_null(strstr(yz_cli_out(), "\"data.csv:2: name: is wrong\""));
    d.progress = "{\"faults\":7}"; /* told, or not: all are counted */
    EXPECT(EXIT_FAILED, "data", "import", "--admin", "a.sock", "areas", "data.csv");
    yz_cli_said(
        "7 faults, 0 of them shown (`yz data check --max-faults 8 DEFINITION FILE` shows all "
        "that the file itself has); nothing was changed");
    EXPECT(EXIT_FAILED, "data", "import", "--max-faults", "7", "--admin", "a.sock", "areas",
           "data.csv");
    yz_cli_said("stopped after 7 faults (--max-faults), 0 of them shown");
    EXPECT(EXIT_FAILED, "data", "import", "--json", "--admin", "a.sock", "areas", "data.csv");
    assert_non_null(strstr(yz_cli_out(), "\"faults\": 7"));
    d.code = 0;
    d.text = "not json";
    EXPECT(EXIT_FAILED, "data", "import", "--admin", "a.sock", "areas", "data.csv");
    stop(&d);
    EXPECT(EXIT_UNAVAILABLE, "data", "import", "--admin", "a.sock", "areas", "data.csv");
    EXPECT(EXIT_FAILED, "data", "import", "--admin", "a.sock", "areas", "absent.csv");
    EXPECT(EXIT_FAILED, "data", "import", "--admin", "a.sock", "areas", ".");
    yz_cli_write("data.txt", yzi_bytes_str("x"));
    EXPECT(EXIT_USAGE, "data", "import", "--admin", "a.sock", "areas", "data.txt");
    EXPECT(EXIT_USAGE, "data", "import", "--admin", "a.sock", "--mode", "x", "areas", "data.csv");
    EXPECT(EXIT_USAGE, "data", "import", "--admin", "a.sock", "--format", "x", "areas", "data.csv");
    EXPECT(EXIT_USAGE, "data", "import", "--admin", "a.sock", "areas");
}

static void expect_progress(struct data_progress *p, const char *phase, int rows, int done,
                            int total, uint64_t now, const char *wanted)
{
    char text[160] = "";
    json_t *at =
        json_pack("{s:s,s:i,s:i,s:i}", "phase", phase, "rows", rows, "done", done, "total", total);
    assert_true(yzi_data_progress_text(p, at, now, text, sizeof text));
    assert_string_equal(text, wanted);
    json_decref(at);
}

static void test_import__progress_tells_phase_rate_and_time_left(void **state)
{
    (void)state;
    struct data_progress p = {.phase_since = 0};
    expect_progress(&p, "copying", 0, 0, 0, 500, "copying"); /* nothing more can be told */
    expect_progress(&p, "reading", 10, 1, 100, 1000, "reading: 10 rows, 1 %");
    expect_progress(&p, "reading", 50000, 25, 100, 3000,
                    "reading: 50000 rows, 25 %, 25000 rows/s, 0:06 left");
    /* the file is read once more, from its start */
    expect_progress(&p, "sorting", 10, 1, 100, 4000, "sorting: 10 rows, 1 %");
    expect_progress(&p, "sorting", 90000, 50, 100, 5000,
                    "sorting: 90000 rows, 50 %, 90000 rows/s, 0:01 left");
    expect_progress(&p, "loading", 8192, 1, 200, 6000, "loading: 8192 rows, 0 %");
    expect_progress(&p, "loading", 90000, 1, 200, 7000,
                    "loading: 90000 rows, 0 %, 90000 rows/s, 3:19 left");
    expect_progress(&p, "indexing", 50, 50, 100, 9000, "indexing: 50 entries, 50 %");
    expect_progress(&p, "indexing", 20, 20, 100, 9500, /* from the start again */
                    "indexing: 20 entries, 20 %");
    char text[160];
    json_t *fault = json_pack("{s:s}", "fault", "x");
    assert_false(yzi_data_progress_text(&p, fault, 9600, text, sizeof text));
    json_decref(fault);
}

static void test_list__shows_a_table_or_what_the_adapter_said(void **state)
{
    (void)state;
    static const char list[] = "[{\"dataset\":\"areas\",\"records\":2978,\"sequence\":2978,"
                               "\"indexes_building\":1,\"indexes_broken\":0},"
                               "{\"dataset\":\"titles\",\"records\":1,\"sequence\":1,\"key_id\":"
                               "\"0123456789abcdef\",\"key_since\":1000}]";
    struct daemon d;
    yz_buf reply;
    yzi_buf_init(&reply, 4096);
    assert_int_equal(yzi_buf_put_str(&reply, list), 0);
    start(&d, "a.sock");
    d.reply = &reply;
    EXPECT(0, "data", "list", "--admin", "a.sock");
    assert_string_equal(yz_cli_out(),
                        "DATA SET  RECORDS  SEQUENCE  KEY               SINCE\n"
                        "areas     2978     2978      -                 -\n"
                        "titles    1        1         0123456789abcdef  1970-01-01T00:00:01.000Z\n"
                        "areas: an index is being built\n");
    EXPECT(0, "data", "list", "--admin", "a.sock", "--json");
    assert_int_equal(strncmp(yz_cli_out(), list, sizeof list - 1), 0);
    yzi_buf_clear(&reply);
    assert_int_equal(yzi_buf_put_str(&reply, "{}"), 0);
    EXPECT(EXIT_FAILED, "data", "list", "--admin", "a.sock");
    d.code = YZ_EUNSUPPORTED;
    d.text = "a broker has no verb 'data.list'";
    EXPECT(EXIT_FAILED, "data", "list", "--admin", "a.sock");
    yz_cli_said("a.sock: a broker has no verb");
    stop(&d);
    yzi_buf_fini(&reply);
}

static void test_show__tells_fields_and_indexes(void **state)
{
    (void)state;
    static const char shown[] =
        "{\"dataset\":\"areas\",\"records\":2,\"sequence\":7,\"indexes_building\":0,"
        "\"indexes_broken\":1,\"key\":[\"code\",\"since\"],\"fields\":[{\"name\":\"code\","
        "\"type\":\"text\",\"classification\":\"public\",\"element\":\"area\"}],\"indexes\":["
        "{\"name\":\"by_city\",\"fields\":[\"city\",\"name\"],\"unique\":false},"
        "{\"name\":\"by_old\",\"fields\":[\"old\"],\"unique\":true}]}";
    struct daemon d;
    yz_buf reply;
    yzi_buf_init(&reply, 4096);
    assert_int_equal(yzi_buf_put_str(&reply, shown), 0);
    start(&d, "a.sock");
    d.reply = &reply;
    EXPECT(0, "data", "show", "--admin", "a.sock", "areas");
    assert_string_equal(yz_cli_out(), "areas: 2 records, sequence 7, key code, since\n"
                                      "areas: an index is broken, see the adapter's log\n"
                                      "FIELD  TYPE  CLASSIFICATION  ELEMENT\n"
                                      "code   text  public          area\n\n"
                                      "index by_city: city, name\n"
                                      "index by_old, unique: old\n");
    stop(&d);
    yzi_buf_fini(&reply);
}

static void test_status__is_lines_or_what_the_daemon_said(void **state)
{
    (void)state;
    struct daemon d;
    start(&d, "b.sock");
    d.text = "{\"node\":\"CN/@b1\",\"ops\":null,\"ready\":true,"
             "\"brokers\":[{\"node\":\"CN/@b2\",\"up\":false}]}";
    EXPECT(0, "status", "--admin", "b.sock");
    assert_string_equal(yz_cli_out(), "node              CN/@b1\nready             true\n"
                                      "brokers           node=CN/@b2 up=false\n");
    EXPECT(0, "status", "--json", "--admin", "b.sock");
    assert_int_equal(strncmp(yz_cli_out(), d.text, strlen(d.text)), 0);
    d.text = "broken";
    EXPECT(EXIT_FAILED, "status", "--admin", "b.sock");
    stop(&d);
    EXPECT(EXIT_UNAVAILABLE, "status", "--admin", "b.sock");
    yz_cli_said("is the daemon running?");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, yz_cli_setup, yz_cli_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_push__gives_anchor_and_directory_to_each_broker),
        CASE(test_push__sends_exactly_what_is_kept),
        CASE(test_push__tries_all_and_fails_with_the_first),
        CASE(test_push__that_fails_leaves_the_change_made),
        CASE(test_show__verifies_what_a_broker_answers),
        CASE(test_import__passes_the_file_and_tells_the_report),
        CASE(test_import__tells_faults_and_fails),
        CASE(test_import__progress_tells_phase_rate_and_time_left),
        CASE(test_list__shows_a_table_or_what_the_adapter_said),
        CASE(test_show__tells_fields_and_indexes),
        CASE(test_status__is_lines_or_what_the_daemon_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
