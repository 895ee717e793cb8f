/* SPDX-License-Identifier: Apache-2.0
 *
 * Definitions changed under a running adapter (SIGHUP) while a consumer goes on asking: no answer
 * fails, what does not fit is refused with the place or the reason, data sets come and go.
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
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <yizhan/client.h>

#include "net/admin.h"
#include "tests/integration/consumer.h"

#define AREAS "CN/GOV/STATS/divisions/areas/v1"
#define MANY 60000u /* some pieces of an index's build */
#define CITIES 3000u
#define CALLERS 3u
#define WAIT_S 180
#define BY_NAME "  - {name: by_name, fields: [name]}\n"

static struct sandbox sandbox;
static yz_client *client;
static char original[65536]; /* the definition in force */
static pid_t adapter;

static const char *socket_path(void)
{
    return in_sandbox(&sandbox, "statistics/admin.sock");
}

static const char *definition(void)
{
    return in_sandbox(&sandbox, "statistics/areas.yaml");
}

static void read_file(const char *path, char *out, size_t cap)
{
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    size_t n = fread(out, 1, cap - 1, f);
    out[n] = '\0';
    assert_int_equal(fclose(f), 0);
}

static void import_many(void)
{
    const char *path = in_sandbox(&sandbox, "many.csv");
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs("code,name,cityCode,provinceCode\n", f);
    for (unsigned i = 0; i < MANY; i++) {
        fprintf(f, "%u,n%u,%04u,11\n", 100000 + i, i, i % CITIES);
    }
    assert_int_equal(fclose(f), 0);
    EXPECT_YZ(0, "data", "import", "--admin", socket_path(), "--mode", "replace", "areas", path);
}

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    EXPECT_YZ(0, "grant", "add", "--home", in_sandbox(&sandbox, "statistics/member"), "--admin",
              socket_path(), "--service", AREAS, "--consumer", "CN/GOV/WINDOW/window",
              "--operation", "find", "--operation", "count", "--filter", "city", "--filter", "name",
              "--sort", "code");
    import_many();
    read_file(definition(), original, sizeof original);
    adapter = adapter_pid(&sandbox, "statistics");
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

/* -- the adapter's log -- */

static char lines[1u << 20];

static unsigned times_logged(const char *text)
{
    unsigned n = 0;
    read_file(in_sandbox(&sandbox, "statistics/stderr"), lines, sizeof lines);
    for (const char *at = lines; (at = strstr(at, text)) != NULL; at++) {
        n++;
    }
    return n;
}

static void await_logged(const char *text, unsigned times)
{
    time_t until = time(NULL) + WAIT_S;
    while (times_logged(text) < times) {
        if (time(NULL) > until) {
            fputs(lines, stderr);
            fail_msg("'%s' was not logged %u times", text, times);
        }
        poll(NULL, 0, 10);
    }
}

/* Give it this definition, and wait until `event` is in the log once more. */
static void reload(const char *text, const char *event)
{
    unsigned before = times_logged(event);
    write_file(definition(), text);
    assert_int_equal(kill(adapter, SIGHUP), 0);
    await_logged(event, before + 1);
}

/* -- asking all the time -- */

struct caller {
    pthread_t thread;
    unsigned number, asked, wrong;
    yz_error err;
};
static _Atomic bool done;

/* By key, and by an index that all definitions have: the same answer every time. */
static yz_request *make_request(unsigned i)
{
    yz_request *r = NULL;
    char text[16];
    if (yz_request_new(AREAS, &r) < 0) {
        return NULL;
    }
    snprintf(text, sizeof text, i % 2 ? "%06u" : "%04u", i % 2 ? 100000 + i % MANY : i % CITIES);
    const char *values[] = {text};
    int rc = i % 2 ? yz_request_add_key(r, values, 1)
                   : yz_request_add_condition(r, "city", YZ_EQUAL, values, 1);
    if (i % 2 == 0 && rc == 0) {
        rc = yz_request_set_operation(r, YZ_FIND);
    }
    if (rc < 0 || yz_request_add_field(r, "name") < 0) {
        yz_request_free(r);
        return NULL;
    }
    return r;
}

static bool is_right(const yz_answer *a, unsigned i)
{
    return yz_answer_origin(a) == YZ_ORIGIN_PROVIDER && yz_answer_status(a) == YZ_STATUS_OK &&
           yz_answer_rows(a) == (i % 2 ? 1 : MANY / CITIES);
}

static void *ask(void *ctx)
{
    struct caller *me = ctx;
    for (unsigned i = me->number; !atomic_load(&done); i += CALLERS) {
        yz_request *r = make_request(i);
        yz_answer *a = NULL;
        bool right = r && yz_call(client, r, &a, &me->err) == 0 && is_right(a, i);
        if (!right && a) {
            snprintf(me->err.text, sizeof me->err.text, "status %d, reason %s",
                     (int)yz_answer_status(a), yz_answer_reason(a));
        }
        me->asked++;
        me->wrong += !right;
        yz_answer_free(a);
        yz_request_free(r);
    }
    return NULL;
}

static void start_asking(struct caller *callers)
{
    atomic_store(&done, false);
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.number = i};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, ask, &callers[i]), 0);
    }
}

static void end_asking(struct caller *callers)
{
    atomic_store(&done, true);
    for (unsigned i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
    }
    for (unsigned i = 0; i < CALLERS; i++) {
        if (callers[i].wrong) {
            fail_msg("%u of %u answers were wrong: %s", callers[i].wrong, callers[i].asked,
                     callers[i].err.text);
        }
        assert_true(callers[i].asked > 0);
    }
}

/* -- tests -- */

static const char *with_index(char out[65536])
{
    const char *at = strstr(original, "csv:\n");
    assert_non_null(at);
    snprintf(out, 65536, "%.*s" BY_NAME "%s", (int)(at - original), original, at);
    return out;
}

static void test_reload__a_new_index_and_a_new_field_and_no_answer_fails(void **state)
{
    (void)state;
    struct caller callers[CALLERS];
    static char text[65536], more[65536];
    assert_says(EXPECT_YZ(1, "query", "--config", sandbox.client, "--where", "name=n7", AREAS),
                "no-index");
    start_asking(callers);
    unsigned built = times_logged("event=index.built");
    reload(with_index(text), "event=dataset.redefined");
    await_logged("event=index.built", built + 1);
    assert_says(EXPECT_YZ(0, "query", "--config", sandbox.client, "--where", "name=n7", AREAS),
                "code: 100007");
    /* and back, and forth with a field more, whose rows are longer */
    reload(original, "event=dataset.redefined");
    const char *at = strstr(text, "indexes:\n");
    snprintf(more, sizeof more,
             "%.*s  - {name: note, type: text, classification: public, csv: note}\n%s",
             (int)(at - text), text, at);
    reload(more, "event=dataset.redefined");
    const char *rows = in_sandbox(&sandbox, "note.csv");
    write_file(rows, "code,name,cityCode,provinceCode,note\n100000,n0,0000,11,new\n");
    EXPECT_YZ(0, "data", "import", "--admin", socket_path(), "areas", rows);
    await_logged("event=index.built", built + 2);
    assert_says(EXPECT_YZ(0, "data", "show", "--admin", socket_path(), "areas", "100000"),
                "\"note\": \"new\"");
    end_asking(callers);
    /* a restart finds it so */
    kill_daemon(adapter, SIGTERM);
    adapter = start_again(&sandbox, "statistics");
    assert_says(EXPECT_YZ(0, "query", "--config", sandbox.client, "--where", "name=n7", AREAS),
                "code: 100007");
    snprintf(original, sizeof original, "%s", more);
}

/* The definition in force with one text for another. */
static const char *with(const char *old, const char *new)
{
    static char out[65536];
    const char *at = strstr(original, old);
    assert_non_null(at);
    snprintf(out, sizeof out, "%.*s%s%s", (int)(at - original), original, new, at + strlen(old));
    return out;
}

static void expect_answer(void)
{
    assert_says(EXPECT_YZ(0, "query", "--config", sandbox.client, "--where", "city=0007", "--limit",
                          "1", AREAS),
                "code: 100007");
}

/* -- while the writer is busy -- */

#define ROUNDS_MAX 60u

static unsigned count_generations(void)
{
    unsigned n = 0;
    DIR *d = opendir(in_sandbox(&sandbox, "statistics/data/areas"));
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        n += e->d_name[0] == 'g';
    }
    closedir(d);
    return n;
}

static void await_generations(unsigned n)
{
    time_t until = time(NULL) + WAIT_S;
    while (count_generations() != n) {
        assert_true(time(NULL) <= until);
        poll(NULL, 0, 1);
    }
}

/* In one step: the adapter may read it at any moment. */
static void put_definition(const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s", in_sandbox(&sandbox, "statistics/areas.yaml.new"));
    write_file(path, text);
    assert_int_equal(rename(path, definition()), 0);
}

/* The file that names the generation in force: as long as it is the same, a job that builds another
 * is under way. */
static void read_current(char out[200])
{
    read_file(in_sandbox(&sandbox, "statistics/data/areas/current"), out, 200);
}

/* SIGHUP with this definition when a job has begun to build a generation. Whether the job was under
 * way all the time; then the definition is in force behind it. */
static bool reload_during(const char *text, const char *const *job, const char *job_done)
{
    char before[200], after[200];
    unsigned changes = times_logged("event=dataset.redefined"), jobs = times_logged(job_done);
    int status;
    await_generations(1);
    read_current(before);
    put_definition(text);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(run_program("yz", job)->code);
    }
    await_generations(2);
    assert_int_equal(kill(adapter, SIGHUP), 0);
    read_current(after);
    bool under_way = strcmp(before, after) == 0;
    await_logged("event=dataset.redefined", changes + 1);
    assert_true(!under_way || times_logged(job_done) == jobs + 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect_answer();
    return under_way;
}

/* Forth and back, until each was asked for while the job was under way. */
static void reload_both_during(const char *const texts[2], const char *const *job,
                               const char *job_done)
{
    bool met[2] = {false, false};
    for (unsigned i = 0; !met[0] || !met[1]; i++) {
        assert_true(i < ROUNDS_MAX);
        met[i % 2] = reload_during(texts[i % 2], job, job_done) || met[i % 2];
    }
}

static void test_reload__waits_for_a_replacement_and_no_answer_fails(void **state)
{
    (void)state;
    static char text[65536];
    struct caller callers[CALLERS];
    char path[400];
    snprintf(path, sizeof path, "%s", in_sandbox(&sandbox, "many.csv"));
    char admin[400];
    snprintf(admin, sizeof admin, "%s", socket_path());
    const char *const job[] = {"data",    "import", "--admin", admin, "--mode",
                               "replace", "areas",  path,      NULL};
    start_asking(callers);
    reload_both_during((const char *const[]){with_index(text), original}, job, "event=import.done");
    end_asking(callers);
    reload(original, "event=adapter.reloaded");
}

/* -- while records are changed in place -- */

/* All records with names of this edition, in the order of their keys. */
static const char *write_edition(unsigned edition)
{
    const char *path = in_sandbox(&sandbox, "edition.csv");
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs("code,name,cityCode,provinceCode\n", f);
    for (unsigned i = 0; i < MANY; i++) {
        fprintf(f, "%u,e%un%u,%04u,11\n", 100000 + i, edition, i, i % CITIES);
    }
    assert_int_equal(fclose(f), 0);
    return path;
}

static int told_fd;

static void tell_begun(void *ctx, yz_bytes text, yz_bytes payload)
{
    (void)ctx;
    (void)payload;
    if (told_fd >= 0 && memmem(text.p, text.n, "reading", 7)) {
        yz_ignore(write(told_fd, "p", 1), "the test waits for it and fails");
        close(told_fd);
        told_fd = -1;
    }
}

/* In a child, an upsert of the file, to its end. Returns when the adapter reads it. */
static pid_t upsert_under_way(const char *path)
{
    char admin[400], byte;
    int fds[2];
    snprintf(admin, sizeof admin, "%s", socket_path());
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct admin_arg args[] = {{yzi_bytes_str("dataset"), yzi_bytes_str("areas")},
                                   {yzi_bytes_str("name"), yzi_bytes_str("edition.csv")},
                                   {yzi_bytes_str("mode"), yzi_bytes_str("upsert")}};
        const struct admin_request q = {
            .verb = yzi_bytes_str("data.import"), .args = args, .args_n = 3};
        told_fd = fds[1];
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        int rc =
            yzi_admin_call(admin, &q, (yz_bytes){0}, fd, 0, tell_begun, NULL, NULL, NULL, NULL);
        _exit(rc < 0 ? 1 : 0);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    return pid;
}

/* SIGHUP with this definition while the upsert goes on: true when it did. Its records are all
 * there, in what the new definition has, and the file is the one it was. */
static bool reload_during_upsert(const char *text, unsigned edition, bool by_name)
{
    char before[200], after[200], wanted[100];
    unsigned changes = times_logged("event=dataset.redefined"),
             imports = times_logged("event=import.done"), built = times_logged("event=index.built");
    int status;
    read_current(before);
    put_definition(text);
    pid_t pid = upsert_under_way(write_edition(edition));
    assert_int_equal(kill(adapter, SIGHUP), 0);
    bool under_way = times_logged("event=import.done") == imports;
    await_logged("event=dataset.redefined", changes + 1);
    assert_int_equal(times_logged("event=import.done"), imports + 1); /* it came before */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    read_current(after);
    assert_string_equal(before, after);
    snprintf(wanted, sizeof wanted, "\"name\": \"e%un%u\"", edition, MANY - 1);
    assert_says(EXPECT_YZ(0, "data", "show", "--admin", socket_path(), "areas", "159999"), wanted);
    if (by_name) {
        await_logged("event=index.built", built + 1);
        snprintf(wanted, sizeof wanted, "name=e%un7", edition);
        assert_says(EXPECT_YZ(0, "query", "--config", sandbox.client, "--where", wanted, AREAS),
                    "code: 100007");
        snprintf(wanted, sizeof wanted, "name=e%un7", edition - 1);
        assert_null(strstr(
            EXPECT_YZ(0, "query", "--config", sandbox.client, "--where", wanted, AREAS)->text,
            "code:"));
    }
    return under_way;
}

static void test_reload__waits_for_an_upsert_in_place_and_no_answer_fails(void **state)
{
    (void)state;
    static char text[65536];
    struct caller callers[CALLERS];
    bool met[2] = {false, false};
    with_index(text);
    start_asking(callers);
    for (unsigned i = 0; !met[0] || !met[1]; i++) {
        bool by_name = i % 2 == 0;
        assert_true(i < ROUNDS_MAX);
        met[i % 2] = reload_during_upsert(by_name ? text : original, i + 1, by_name) || met[i % 2];
    }
    end_asking(callers);
    reload(original, "event=adapter.reloaded");
    import_many();
}

static void test_reload__waits_for_a_rotation_and_no_answer_fails(void **state)
{
    (void)state;
    static char text[65536];
    struct caller callers[CALLERS];
    char admin[400];
    snprintf(text, sizeof text, "%s",
             with("indexes:\n", "  - {name: memo, type: text, classification: secret}\n"
                                "indexes:\n"));
    snprintf(original, sizeof original, "%s", text);
    snprintf(text, sizeof text, "%s", with(BY_NAME, ""));
    snprintf(admin, sizeof admin, "%s", socket_path());
    const char *const job[] = {"data", "rotate-key", "--admin", admin, "areas", NULL};
    reload(original, "event=dataset.redefined");
    start_asking(callers);
    reload_both_during((const char *const[]){text, original}, job, "event=key.rotated");
    end_asking(callers);
}

/* Whether names can be asked for, in the end. */
static void await_by_name(bool there)
{
    time_t until = time(NULL) + WAIT_S;
    for (bool is = false; !is;) {
        const struct output *o =
            RUN_YZ("query", "--config", sandbox.client, "--where", "name=n7", AREAS);
        is = there ? o->code == 0 : o->code == 1 && strstr(o->text, "no-index");
        assert_true(time(NULL) <= until);
        poll(NULL, 0, 10);
    }
}

/* Two signals, two definitions: what was asked for last is in force in the end. */
static void test_reload__twice_at_once_ends_with_the_last(void **state)
{
    (void)state;
    static char text[65536];
    struct caller callers[CALLERS];
    with_index(text);
    start_asking(callers);
    for (unsigned i = 0; i < 12; i++) {
        bool index_last = i % 2 == 0;
        put_definition(index_last ? original : text);
        assert_int_equal(kill(adapter, SIGHUP), 0);
        put_definition(index_last ? text : original);
        assert_int_equal(kill(adapter, SIGHUP), 0);
        await_by_name(index_last);
    }
    end_asking(callers);
    reload(original, "event=adapter.reloaded");
}

static void test_reload__a_wrong_definition_is_named_by_its_place(void **state)
{
    (void)state;
    unsigned changed = times_logged("event=dataset.redefined");
    reload(with("type: text, element: division_name", "type: string, element: division_name"),
           "event=adapter.reload-failed");
    assert_int_equal(times_logged("areas.yaml:12:"), 1);
    expect_answer();
    reload(original, "event=adapter.reloaded");
    assert_int_equal(times_logged("event=dataset.redefined"), changed);
    expect_answer();
}

static void test_reload__what_does_not_fit_is_refused_with_the_way(void **state)
{
    (void)state;
    reload(with("name: name, type: text", "name: name, type: bytes"), "event=dataset.refused");
    assert_int_equal(times_logged("the field 'name' is stored as text, the definition says bytes; "
                                  "take the former definition, or import everything into a new "
                                  "store folder"),
                     1);
    expect_answer();
    reload(with("name: city, type: text", "name: town, type: text"), "event=adapter.reload-failed");
    expect_answer(); /* by_city names a field that is gone: the whole file is wrong */
    reload(original, "event=adapter.reloaded");
}

static void test_reload__data_sets_come_and_go(void **state)
{
    (void)state;
    static char config[65536], other[65536];
    char path[400]; /* lives longer than eight others */
    snprintf(path, sizeof path, "%s", in_sandbox(&sandbox, "statistics/adapter.yaml"));
    read_file(path, config, sizeof config);
    const char *line = "  - definition: areas.yaml\n", *at = strstr(config, line);
    assert_non_null(at);
    write_file(in_sandbox(&sandbox, "statistics/things.yaml"),
               "dataset: things\ntitle: {en: T}\nowner: o\nsharing: conditional\nkey: [id, part]\n"
               "fields:\n  - {name: id, type: text, classification: secret}\n"
               "  - {name: part, type: integer, classification: public}\n");
    snprintf(other, sizeof other, "%.*s  - definition: things.yaml\n%s", (int)(at - config), config,
             at + strlen(line));
    write_file(path, other);
    reload(original, "event=adapter.reloaded");
    assert_int_equal(times_logged("event=dataset.closed dataset=areas"), 1);
    EXPECT_YZ(1, "data", "count", "--admin", socket_path(), "areas");
    assert_says(
        EXPECT_YZ(1, "query", "--config", sandbox.client, "--where", "city=0007", AREAS),
        "no-data-set: the adapter does not hold the data set of this service; tell the provider");
    const char *rows = in_sandbox(&sandbox, "things.csv");
    write_file(rows, "id,part\na,1\nb,2\n");
    EXPECT_YZ(0, "data", "import", "--admin", socket_path(), "things", rows);
    assert_says(EXPECT_YZ(0, "data", "show", "--admin", socket_path(), "things", "b", "2"),
                "\"part\": 2");
    EXPECT_YZ(1, "data", "show", "--admin", socket_path(), "things", "2", "b");
    EXPECT_YZ(1, "data", "show", "--admin", socket_path(), "things", "b");
    write_file(path, config);
    reload(original, "event=adapter.reloaded");
    EXPECT_YZ(1, "data", "count", "--admin", socket_path(), "things");
    expect_answer();
}

/* Records that are there may be in another form than the one they are asked for in from now on. */
static void test_reload__a_further_normalisation_is_warned_of(void **state)
{
    (void)state;
    static const char field[] = "{name: name, ";
    static char text[65536];
    unsigned warned = times_logged("event=dataset.other-form");
    const char *at = strstr(original, field);
    assert_non_null(at);
    at += sizeof field - 1;
    snprintf(text, sizeof text, "%.*snormalise: [upper], %s", (int)(at - original), original, at);
    reload(text, "event=dataset.other-form");
    assert_int_equal(times_logged("dataset=areas field=name remedy=\"yz data import --mode "
                                  "replace\""),
                     warned + 1);
    reload(original, "event=dataset.redefined"); /* back is no further */
    assert_int_equal(times_logged("event=dataset.other-form"), warned + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reload__a_wrong_definition_is_named_by_its_place),
        cmocka_unit_test(test_reload__what_does_not_fit_is_refused_with_the_way),
        cmocka_unit_test(test_reload__data_sets_come_and_go),
        cmocka_unit_test(test_reload__waits_for_a_replacement_and_no_answer_fails),
        cmocka_unit_test(test_reload__waits_for_an_upsert_in_place_and_no_answer_fails),
        cmocka_unit_test(test_reload__twice_at_once_ends_with_the_last),
        cmocka_unit_test(test_reload__a_new_index_and_a_new_field_and_no_answer_fails),
        cmocka_unit_test(test_reload__waits_for_a_rotation_and_no_answer_fails),
        cmocka_unit_test(test_reload__a_further_normalisation_is_warned_of),
    };
    return cmocka_run_group_tests(tests, up, down);
}
