/* SPDX-License-Identifier: Apache-2.0
 *
 * adapters/execute: a write from the request to its kept answer; what the consumer is told when the
 * disk fails; and killed at every call that reaches the disk, never twice and never a lie.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/execute.h"
#include "tests/faults/shim_io.h"
#include "tests/unit/adapter/fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

#define OK(call) assert_int_equal((call), YZ_OK)

struct scene {
    struct fixture *f;
    char *dir, *data, *db; /* ours, without symbolic links */
    struct state *state;
    struct store *store;
    struct executing executing;
};

/* -- the disk -- */

static int open_disk(struct scene *s)
{
    struct store_options o = {.dir = s->data, .dataset = s->f->dataset};
    YZ_TRY(yzi_store_open(&o, &s->store, NULL));
    YZ_TRY(yzi_state_open(s->db, &s->state, NULL));
    struct writes_options w = {s->state, 100, 100};
    return yzi_writes_open(&w, &s->executing.writes, NULL);
}

static void close_disk(struct scene *s)
{
    yzi_writes_close(s->executing.writes);
    s->executing.writes = NULL;
    yzi_state_close(s->state);
    s->state = NULL;
    yzi_store_close(s->store);
    s->store = NULL;
}

static void make_dir(struct scene *s)
{
    char *tmp = yz_world_tmpdir();
    s->dir = realpath(tmp, NULL);
    assert_non_null(s->dir);
    free(tmp);
    OK(yzi_path_join(s->dir, "data", &s->data));
    OK(yzi_path_join(s->dir, "db", &s->db));
}

static void remove_dir(struct scene *s)
{
    yz_world_rmdir(s->dir);
    free(s->dir);
    free(s->data);
    free(s->db);
}

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    void *f;
    assert_non_null(s);
    assert_int_equal(fixture_set_up(&f), 0);
    s->f = f;
    make_dir(s);
    s->executing.answering = s->f->answering;
    s->executing.answering.executes = true;
    s->executing.skew = YZ_SKEW_MS;
    OK(yzi_answering_init(&s->executing.answering));
    OK(open_disk(s));
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    void *f = s->f;
    close_disk(s);
    yzi_answering_fini(&s->executing.answering);
    remove_dir(s);
    free(s);
    return fixture_tear_down(&f);
}

/* -- requests -- */

static void give_store(struct job *j, struct store *store)
{
    yzi_store_close(j->store);
    j->store = store ? yzi_store_ref(store) : NULL;
}

/* The job, which is done with, holds the store open otherwise. */
static void reopen(struct scene *s, struct job *j)
{
    give_store(j, NULL);
    close_disk(s);
    OK(open_disk(s));
}

static struct job *write_job(struct scene *s, enum query_operation operation, const char *id,
                             const char *status, struct world_message *q)
{
    struct job *j = fixture_write(s->f, operation, id, status, q);
    give_store(j, s->store);
    return j;
}

/* As a query worker leaves it. */
static void decide(struct scene *s, struct job *j)
{
    yzi_answer(&s->f->answering, j);
    OK(j->rc);
    assert_true(j->to_write);
    assert_false(j->begun);
    assert_int_equal(j->answer.n, 0);
}

static void execute(struct scene *s, struct job *j)
{
    decide(s, j);
    OK(yzi_writes_reserve(s->executing.writes, j->request.header.node, NULL));
    yzi_execute(&s->executing, &j, 1);
}

static enum write_verdict look(struct scene *s, const struct job *j, yz_buf *frame)
{
    enum write_verdict v;
    struct write_entry e = yzi_write_entry(&j->request, YZ_SKEW_MS);
    yzi_buf_clear(frame);
    OK(yzi_writes_look(s->executing.writes, &e, frame, &v));
    return v;
}

static bool exists(struct scene *s, const char *id)
{
    struct query_value v = {.v = yzi_bytes_str(id)};
    struct query_key key = {&v, 1};
    struct query q = {.operation = QUERY_GET, .keys = &key, .keys_n = 1};
    struct query_limits limits = {.rows = 1, .bytes = 1000};
    struct query_result r = {0};
    struct query_fault fault;
    unsigned projection[] = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf rows;
    yzi_buf_init(&rows, 1000);
    OK(yzi_store_get(s->store, yzi_store_dataset(s->store), &q, projection, 1, NULL, &limits, &rows,
                     &r, &fault));
    return r.rows == 1;
}

/* What the consumer reads in the frame. */
struct told {
    enum response_status status;
    enum answer_code code;
    char reason[65];
    bool has_total;
    uint64_t total, data_version;
};

static struct told read_frame(struct scene *s, const struct world_message *q, struct job *j,
                              yz_bytes frame)
{
    struct opened o;
    struct told t = {0};
    yz_buf own = j->answer;
    j->answer = (yz_buf){.p = (uint8_t *)(uintptr_t)frame.p, .n = frame.n};
    struct frame f;
    struct response_header h;
    OK(yzi_frame_parse(frame, YZ_MESSAGE_MAX, &f));
    OK(yzi_response_header_parse(f.header, &h));
    enum response_status was = j->status;
    int rc = j->rc;
    j->status = h.status;
    j->rc = 0;
    fixture_open(s->f, q, j, &o);
    t.status = h.status;
    t.data_version = h.data_version;
    t.code = o.head.code;
    snprintf(t.reason, sizeof t.reason, "%.*s", (int)o.head.reason.n,
             o.head.reason.n ? (const char *)o.head.reason.p : "");
    t.has_total = o.head.has_total;
    t.total = o.head.total;
    opened_fini(&o);
    j->answer = own;
    j->status = was;
    j->rc = rc;
    return t;
}

static struct told read_answer(struct scene *s, const struct world_message *q, struct job *j)
{
    return read_frame(s, q, j, yzi_bytes_buf(&j->answer));
}

static void expect_kept(struct scene *s, struct job *j, enum write_verdict want, yz_bytes frame)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, YZ_MESSAGE_MAX);
    assert_int_equal(look(s, j, &b), want);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&b), frame));
}

/* -- what goes well -- */

static void test_execute__answers_how_many_records_changed(void **state)
{
    struct scene *s = *state;
    static const struct {
        enum query_operation operation;
        const char *id;
        uint64_t total;
        bool there;
    } steps[] = {{QUERY_INSERT, "p9", 1, true},
                 {QUERY_PUT, "p9", 0, true}, /* the same again */
                 {QUERY_DELETE, "p9", 1, false}};
    for (size_t i = 0; i < 3; i++) {
        YZ_AUTO(yz_world_message_fini) struct world_message q;
        struct job *j = write_job(s, steps[i].operation, steps[i].id, "single", &q);
        execute(s, j);
        struct told t = read_answer(s, &q, j);
        assert_int_equal(t.status, RESPONSE_ANSWERED);
        assert_int_equal(t.code, ANSWER_OK);
        assert_true(t.has_total && t.total == steps[i].total);
        assert_true(t.data_version > 0);
        assert_int_equal(exists(s, steps[i].id), steps[i].there);
        assert_true(j->begun && j->kept == 0);
        expect_kept(s, j, WRITE_ANSWERED, yzi_bytes_buf(&j->answer));
        reopen(s, j); /* the same bytes after a restart */
        expect_kept(s, j, WRITE_ANSWERED, yzi_bytes_buf(&j->answer));
        yzi_job_free(j);
    }
}

static void test_execute__keeps_a_refusal_of_the_store_too(void **state)
{
    struct scene *s = *state;
    YZ_AUTO(yz_world_message_fini) struct world_message q, again;
    struct job *first = write_job(s, QUERY_INSERT, "p9", "single", &q);
    struct job *second = write_job(s, QUERY_INSERT, "p9", "married", &again);
    struct job *both[] = {first, second};
    decide(s, first);
    decide(s, second);
    yzi_execute(&s->executing, both, 2); /* together: one mark for both */
    struct told t = read_answer(s, &q, first);
    assert_int_equal(t.code, ANSWER_OK);
    t = read_answer(s, &again, second);
    assert_int_equal(t.status, RESPONSE_REFUSED);
    assert_int_equal(t.code, ANSWER_BAD_QUERY);
    assert_string_equal(t.reason, "exists");
    expect_kept(s, second, WRITE_ANSWERED, yzi_bytes_buf(&second->answer));
    yzi_job_free(first);
    yzi_job_free(second);
}

/* -- what is not begun -- */

static void test_write__is_refused_by_a_service_that_reads(void **state)
{
    struct scene *s = *state;
    YZ_AUTO(yz_world_message_fini) struct world_message q;
    struct job *j = write_job(s, QUERY_DELETE, "p1", "", &q);
    j->write_service = false;
    yzi_answer(&s->f->answering, j);
    assert_false(j->to_write);
    struct told t = read_answer(s, &q, j);
    assert_int_equal(t.code, ANSWER_UNSUPPORTED);
    assert_string_equal(t.reason, "read-service");
    yzi_job_free(j);
}

static void test_execute__not_what_is_too_late(void **state)
{
    struct scene *s = *state;
    YZ_AUTO(yz_world_message_fini) struct world_message q;
    struct job *j = write_job(s, QUERY_INSERT, "p9", "single", &q);
    decide(s, j);
    j->deadline_mono = 0;
    yzi_execute(&s->executing, &j, 1);
    assert_int_equal(j->rc, YZ_ETIMEOUT);
    assert_false(j->begun);
    expect_kept(s, j, WRITE_NEW, (yz_bytes){0});
    yzi_job_free(j);
}

static void test_execute__not_what_was_begun_before(void **state)
{
    struct scene *s = *state;
    YZ_AUTO(yz_world_message_fini) struct world_message q;
    struct job *j = write_job(s, QUERY_INSERT, "p9", "single", &q);
    struct job *copy = fixture_job(s->f, &q);
    give_store(copy, s->store);
    copy->write_service = true;
    decide(s, j);
    decide(s, copy);
    struct job *both[] = {j, copy};
    yzi_execute(&s->executing, both, 2);
    OK(j->rc);
    assert_int_equal(copy->rc, YZ_EEXIST);
    assert_false(copy->begun);
    expect_kept(s, j, WRITE_ANSWERED, yzi_bytes_buf(&j->answer));
    yzi_job_free(j);
    yzi_job_free(copy);
}

/* -- a bad disk -- */

/* The calls on files below `part` that one insert makes. */
static void watch(struct scene *s, const char *part)
{
    io_faults_watch(io_faults_local(), s->dir, part);
}

static void test_execute__nothing_when_it_cannot_be_marked(void **state)
{
    struct scene *s = *state;
    YZ_AUTO(yz_world_message_fini) struct world_message q;
    struct job *j = write_job(s, QUERY_INSERT, "p9", "single", &q);
    watch(s, "/db/");
    io_faults_arm(io_faults_local(), IO_WRITE, 1, IO_ALWAYS, IO_FAIL, ENOSPC);
    execute(s, j);
    io_faults_disarm(io_faults_local());
    assert_true(io_faults_local()->failed > 0);
    assert_int_equal(j->rc, YZ_EDISKFULL);
    assert_string_equal(j->reason, "state");
    assert_false(j->begun);
    assert_false(exists(s, "p9"));
    reopen(s, j);
    expect_kept(s, j, WRITE_NEW, (yz_bytes){0});
    assert_false(exists(s, "p9"));
    yzi_job_free(j);
}

static void test_execute__says_so_when_the_store_has_no_room(void **state)
{
    struct scene *s = *state;
    YZ_AUTO(yz_world_message_fini) struct world_message q;
    struct job *j = write_job(s, QUERY_INSERT, "p9", "single", &q);
    watch(s, "/data/");
    io_faults_arm(io_faults_local(), IO_WRITE, 1, IO_ALWAYS, IO_FAIL, ENOSPC);
    execute(s, j);
    io_faults_disarm(io_faults_local());
    assert_true(io_faults_local()->failed > 0);
    struct told t = read_answer(s, &q, j);
    assert_int_equal(t.status, RESPONSE_FAILED);
    assert_string_equal(t.reason, "disk-full");
    reopen(s, j);
    assert_false(exists(s, "p9"));
    expect_kept(s, j, WRITE_ANSWERED, yzi_bytes_buf(&j->answer));
    yzi_job_free(j);
}

/* The answer that could not be kept is true; after the restart nobody knows it any more. */
static void test_execute__answers_truly_what_it_cannot_keep(void **state)
{
    struct scene *s = *state;
    struct io_faults *io = io_faults_local();
    YZ_AUTO(yz_world_message_fini) struct world_message q, counted;
    struct job *c = write_job(s, QUERY_INSERT, "p8", "single", &counted);
    decide(s, c);
    watch(s, "/db/");
    io_faults_arm(io, IO_WRITE, 0, 0, IO_FAIL, 0);
    struct write_entry e = yzi_write_entry(&c->request, YZ_SKEW_MS);
    e.frame = yzi_bytes_buf(&c->pending);
    OK(yzi_writes_begin(s->executing.writes, &e, 1, 0));
    uint64_t of_begin = io->seen;
    yzi_job_free(c);
    struct job *j = write_job(s, QUERY_INSERT, "p9", "single", &q);
    io_faults_arm(io, IO_WRITE, of_begin + 1, IO_ALWAYS, IO_FAIL, EIO);
    execute(s, j);
    io_faults_disarm(io);
    assert_true(io->failed > 0);
    assert_int_equal(j->kept, YZ_EIO);
    assert_int_equal(read_answer(s, &q, j).code, ANSWER_OK);
    reopen(s, j);
    assert_true(exists(s, "p9"));
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, YZ_MESSAGE_MAX);
    assert_int_equal(look(s, j, &b), WRITE_BEGAN);
    assert_int_equal(read_frame(s, &q, j, yzi_bytes_buf(&b)).status, RESPONSE_INDETERMINATE);
    yzi_job_free(j);
}

/* Every call of the store's commit fails in turn: what is said is so, or it is indeterminate. */
static void test_execute__says_what_is_so_when_a_commit_fails(void **state)
{
    struct scene *s = *state;
    struct io_faults *io = io_faults_local();
    static const enum io_harm harms[] = {IO_FAIL, IO_TORN, IO_LATE};
    for (unsigned k = 0; k < 3; k++) {
        bool reached = true;
        for (uint64_t nth = 1; reached; nth++) {
            char id[24];
            YZ_AUTO(yz_world_message_fini) struct world_message q;
            snprintf(id, sizeof id, "x%u-%u", k, (unsigned)nth);
            struct job *j = write_job(s, QUERY_INSERT, id, "single", &q);
            watch(s, "/data/");
            io_faults_arm(io, IO_WRITE | IO_SYNC, nth, 1, harms[k], EIO);
            execute(s, j);
            io_faults_disarm(io);
            reached = io->failed > 0;
            struct told t = read_answer(s, &q, j);
            reopen(s, j);
            bool there = exists(s, id);
            assert_true(t.status == RESPONSE_INDETERMINATE || there == (t.code == ANSWER_OK));
            assert_true(reached || t.code == ANSWER_OK);
            expect_kept(s, j, WRITE_ANSWERED, yzi_bytes_buf(&j->answer));
            yzi_job_free(j);
        }
    }
}

/* -- killed -- */

/* In a child: execute, then "send" the answer down the pipe. */
static void run_child(struct scene *s, struct job *j, uint64_t nth, enum io_harm harm, int out)
{
    for (int i = 1; i < 32; i++) {
        signal(i, SIG_DFL); /* cmocka would make a failed test of it, and go on */
    }
    alarm(60);
    if (open_disk(s) < 0) {
        _exit(2);
    }
    give_store(j, s->store);
    watch(s, "");
    io_faults_arm(io_faults_local(), IO_WRITE | IO_SYNC, nth, 1, harm, 0);
    yzi_execute(&s->executing, &j, 1);
    io_faults_disarm(io_faults_local());
    if (nth == 0) { /* all is done, and nothing sent */
        raise(SIGKILL);
    }
    if (j->rc < 0 || write(out, j->answer.p, j->answer.n) != (ssize_t)j->answer.n) {
        _exit(3);
    }
    _exit(0);
}

static int run_killed(struct scene *s, struct job *j, uint64_t nth, enum io_harm harm, yz_buf *sent)
{
    int ends[2], status;
    uint8_t piece[4096];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        run_child(s, j, nth, harm, ends[1]);
    }
    close(ends[1]);
    for (ssize_t n; (n = read(ends[0], piece, sizeof piece)) > 0;) {
        OK(yzi_buf_put(sent, yzi_bytes(piece, (size_t)n)));
    }
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* After the crash: at most once, and whatever is told is so. */
static enum write_verdict check_after(struct scene *s, struct job *j, const struct world_message *q,
                                      const char *id, const yz_buf *sent)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, YZ_MESSAGE_MAX);
    OK(open_disk(s));
    enum write_verdict v = look(s, j, &b);
    bool there = exists(s, id);
    if (sent->n) { /* the consumer has it: it is the stored one */
        assert_int_equal(v, WRITE_ANSWERED);
        assert_true(yzi_bytes_eq(yzi_bytes_buf(sent), yzi_bytes_buf(&b)));
    }
    if (v == WRITE_ANSWERED) {
        assert_int_equal(read_frame(s, q, j, yzi_bytes_buf(&b)).code, ANSWER_OK);
        assert_true(there);
    } else if (v == WRITE_BEGAN) {
        assert_int_equal(read_frame(s, q, j, yzi_bytes_buf(&b)).status, RESPONSE_INDETERMINATE);
    } else {
        assert_int_equal(v, WRITE_NEW); /* then it may be executed, for the first time */
        assert_false(there);
    }
    close_disk(s);
    return v;
}

static void test_execute__killed_at_any_call_is_at_most_once_and_no_lie(void **state)
{
    struct scene *s = *state;
    static const enum io_harm harms[] = {IO_KILL_BEFORE, IO_KILL_TORN, IO_KILL_AFTER};
    unsigned seen[WRITE_FORGOTTEN + 1] = {0};
    close_disk(s);
    for (unsigned k = 0; k < 3; k++) {
        bool killed = true;
        for (uint64_t nth = 1; killed; nth++) {
            char id[24];
            YZ_AUTO(yz_world_message_fini) struct world_message q;
            YZ_AUTO(yzi_buf_fini) yz_buf sent;
            yzi_buf_init(&sent, YZ_MESSAGE_MAX);
            snprintf(id, sizeof id, "k%u-%u", k, (unsigned)nth);
            struct job *j = write_job(s, QUERY_INSERT, id, "single", &q);
            give_store(j, s->f->store); /* what it is decided by is the same */
            decide(s, j);
            int status = run_killed(s, j, nth, harms[k], &sent);
            killed = WIFSIGNALED(status);
            if (killed) {
                assert_int_equal(WTERMSIG(status), SIGKILL);
                assert_int_equal(sent.n, 0);
            } else {
                assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
                assert_true(sent.n > 0);
            }
            seen[check_after(s, j, &q, id, &sent)]++;
            yzi_job_free(j);
        }
    }
    OK(open_disk(s));
    assert_true(seen[WRITE_NEW] > 0 && seen[WRITE_BEGAN] > 0 && seen[WRITE_ANSWERED] >= 3);
}

static void test_execute__killed_before_sending_gives_the_answer_later(void **state)
{
    struct scene *s = *state;
    YZ_AUTO(yz_world_message_fini) struct world_message q;
    YZ_AUTO(yzi_buf_fini) yz_buf sent;
    yzi_buf_init(&sent, YZ_MESSAGE_MAX);
    close_disk(s);
    struct job *j = write_job(s, QUERY_INSERT, "p9", "single", &q);
    give_store(j, s->f->store);
    decide(s, j);
    assert_true(WIFSIGNALED(run_killed(s, j, 0, IO_KILL_AFTER, &sent)));
    assert_int_equal(check_after(s, j, &q, "p9", &sent), WRITE_ANSWERED);
    yzi_job_free(j);
    OK(open_disk(s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(test_execute__answers_how_many_records_changed),
        T(test_execute__keeps_a_refusal_of_the_store_too),
        T(test_write__is_refused_by_a_service_that_reads),
        T(test_execute__not_what_is_too_late),
        T(test_execute__not_what_was_begun_before),
        T(test_execute__nothing_when_it_cannot_be_marked),
        T(test_execute__says_so_when_the_store_has_no_room),
        T(test_execute__answers_truly_what_it_cannot_keep),
        T(test_execute__says_what_is_so_when_a_commit_fails),
        T(test_execute__killed_at_any_call_is_at_most_once_and_no_lie),
        T(test_execute__killed_before_sending_gives_the_answer_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
