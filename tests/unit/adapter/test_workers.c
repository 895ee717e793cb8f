/* SPDX-License-Identifier: Apache-2.0
 *
 * adapters/workers: what is submitted comes back, once; what waits at the stop is not begun.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/workers.h"
#include "tests/unit/adapter/fixture.h"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"

static const char *const person[] = {"p1", NULL};

static struct workers *start(struct fixture *f, unsigned threads, size_t queue)
{
    struct workers_options o = {.threads = threads, .queue = queue, .answering = f->answering};
    struct workers *w;
    assert_int_equal(yzi_workers_start(&o, &w), 0);
    return w;
}

static struct finished *wait_for(struct workers *w)
{
    struct pollfd p = {.fd = yzi_workers_fd(w), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 60000), 1);
    struct finished *f = yzi_workers_take(w);
    assert_non_null(f);
    return f;
}

static struct job *new_job(struct fixture *f)
{
    YZ_AUTO(yz_world_message_fini) struct world_message q;
    return fixture_get(f, person, NULL, &q);
}

static void test_workers__answer_all_that_is_submitted(void **state)
{
    struct fixture *f = *state;
    struct workers *w = start(f, 4, 200);
    bool back[200] = {false};
    for (unsigned i = 0; i < 200; i++) {
        struct job *j = new_job(f);
        j->session = i;
        assert_int_equal(yzi_workers_submit(w, j), 0);
    }
    for (unsigned i = 0; i < 200; i++) {
        struct finished *done = wait_for(w);
        assert_int_equal(done->kind, FINISHED_ANSWER);
        assert_int_equal(done->job->rc, 0);
        assert_int_equal(done->job->status, RESPONSE_ANSWERED);
        assert_false(back[done->job->session]);
        back[done->job->session] = true;
        yzi_finished_free(done);
    }
    assert_null(yzi_workers_take(w));
    yzi_workers_stop(w);
}

static int memory_file(const char *text)
{
    int fd = memfd_create("rows", MFD_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

static struct import_job *new_import(struct fixture *f, const char *text)
{
    struct import_job *j;
    assert_int_equal(yzi_alloc(1, sizeof *j, &j), 0);
    j->store = yzi_store_ref(f->store);
    j->fd = memory_file(text);
    assert_int_equal(yzi_bytes_dup_str(yzi_bytes_str("rows.csv"), &j->name), 0);
    return j;
}

static void test_workers__import_and_report(void **state)
{
    struct fixture *f = *state;
    struct workers *w = start(f, 1, 4);
    struct import_job *j = new_import(f, "person_id,status,spouse\np1,divorced,\np9,single,\n");
    assert_int_equal(yzi_workers_import(w, j), 0);
    struct finished *done = wait_for(w);
    while (done->kind == FINISHED_IMPORT_PROGRESS) {
        assert_ptr_equal(done->import, j);
        yzi_finished_free(done);
        done = wait_for(w);
    }
    assert_int_equal(done->kind, FINISHED_IMPORT);
    assert_ptr_equal(done->import, j);
    assert_int_equal(j->rc, 0);
    assert_int_equal(j->report.inserted, 1);
    assert_int_equal(j->report.updated, 1);
    yzi_finished_free(done);
    yzi_workers_stop(w);
}

/* Writes among reads and imports: all come back, each executed once by the one writer. */
static void test_workers__execute_what_changes_data(void **state)
{
    enum { WRITES = 150 };
    struct fixture *f = *state;
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    struct state *durable;
    struct writes *writes;
    assert_int_equal(yzi_path_join(f->dir, "db", &dir), 0);
    assert_int_equal(yzi_state_open(dir, &durable, NULL), 0);
    struct writes_options wo = {durable, WRITES, WRITES};
    assert_int_equal(yzi_writes_open(&wo, &writes, NULL), 0);
    struct workers_options o = {.threads = 3,
                                .queue = 2 * WRITES,
                                .answering = f->answering,
                                .writes = writes,
                                .skew = YZ_SKEW_MS};
    struct workers *w;
    assert_int_equal(yzi_workers_start(&o, &w), 0);
    uint64_t before;
    assert_int_equal(yzi_store_count(f->store, &before), 0);
    for (unsigned i = 0; i < WRITES; i++) {
        YZ_AUTO(yz_world_message_fini) struct world_message q;
        char id[16];
        snprintf(id, sizeof id, "n%u", i / 2); /* each twice: the second exists */
        struct job *j = fixture_write(f, QUERY_INSERT, id, "single", &q);
        assert_int_equal(yzi_writes_reserve(writes, j->request.header.node, NULL), 0);
        assert_int_equal(yzi_workers_submit(w, j), 0);
        assert_int_equal(yzi_workers_submit(w, new_job(f)), 0);
        if (i % 50 == 0) {
            struct import_job *import = new_import(f, "person_id,status,spouse\np1,divorced,\n");
            assert_int_equal(yzi_workers_import(w, import), 0);
            yzi_workers_tidy(w);
        }
    }
    unsigned done = 0, refused = 0, imports = 0, reads = 0;
    while (done + refused < WRITES || imports < 3 || reads < WRITES) {
        struct finished *back = wait_for(w);
        imports += back->kind == FINISHED_IMPORT;
        if (back->kind == FINISHED_ANSWER) {
            assert_int_equal(back->job->rc, 0);
            reads += !back->job->begun;
            done += back->job->begun && back->job->status == RESPONSE_ANSWERED;
            refused += back->job->begun && back->job->status == RESPONSE_REFUSED;
        }
        yzi_finished_free(back);
    }
    uint64_t after;
    assert_int_equal(yzi_store_count(f->store, &after), 0);
    assert_int_equal(after - before, WRITES / 2);
    assert_int_equal(done, WRITES / 2);
    assert_int_equal(yzi_writes_count(writes), WRITES);
    yzi_workers_stop(w);
    yzi_writes_close(writes);
    yzi_state_close(durable);
}

static void test_workers__report_faults_on_the_way(void **state)
{
    struct fixture *f = *state;
    struct workers *w = start(f, 1, 4);
    struct import_job *j = new_import(f, "person_id,status,spouse\n,x,\np7\n");
    j->dry_run = true;
    assert_int_equal(yzi_workers_import(w, j), 0);
    unsigned faults = 0;
    struct finished *done;
    while ((done = wait_for(w))->kind == FINISHED_IMPORT_PROGRESS) {
        if (done->fault) {
            assert_int_equal(strncmp(done->fault, "rows.csv:", 9), 0);
            faults++;
        }
        yzi_finished_free(done);
    }
    assert_int_equal(faults, 2);
    assert_int_equal(done->import->rc, YZ_EDATA);
    yzi_finished_free(done);
    yzi_workers_stop(w);
}

static void test_workers__full_queues_leave_the_job_its_owners(void **state)
{
    struct fixture *f = *state;
    struct workers *w = start(f, 1, 1);
    unsigned accepted = 0;
    struct job *refused = NULL;
    for (unsigned i = 0; i < 1000 && !refused; i++) {
        struct job *j = new_job(f);
        int rc = yzi_workers_submit(w, j);
        accepted += rc == 0;
        if (rc < 0) {
            assert_int_equal(rc, YZ_EBUSY);
            refused = j;
        } else if (accepted == 2) {
            yzi_finished_free(wait_for(w)); /* keep to what may be out */
            accepted--;
        }
    }
    yzi_job_free(refused); /* NULL when the worker was always faster */
    while (accepted-- > 0) {
        yzi_finished_free(wait_for(w));
    }
    yzi_workers_stop(w);
}

static void test_workers__stopped_with_work_waiting_do_not_begin_it(void **state)
{
    struct fixture *f = *state;
    struct workers *w = start(f, 2, 500);
    for (unsigned i = 0; i < 500; i++) {
        assert_int_equal(yzi_workers_submit(w, new_job(f)), 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(
            yzi_workers_import(w, new_import(f, "person_id,status,spouse\np5,single,\n")), 0);
    }
    yzi_workers_stop(w); /* what leaks or is used afterwards is the sanitizer's to see */
    yzi_workers_stop(NULL);
    yzi_job_free(NULL);
    yzi_import_job_free(NULL);
    yzi_finished_free(NULL);
}

static void test_workers__refuse_none_and_too_many_threads(void **state)
{
    struct fixture *f = *state;
    struct workers *w = NULL;
    struct workers_options o = {.threads = 0, .queue = 1, .answering = f->answering};
    assert_int_equal(yzi_workers_start(&o, &w), YZ_EINVAL);
    o.threads = WORKERS_MAX + 1;
    assert_int_equal(yzi_workers_start(&o, &w), YZ_EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_workers__answer_all_that_is_submitted),
        TEST(test_workers__import_and_report),
        TEST(test_workers__execute_what_changes_data),
        TEST(test_workers__report_faults_on_the_way),
        TEST(test_workers__full_queues_leave_the_job_its_owners),
        TEST(test_workers__stopped_with_work_waiting_do_not_begin_it),
        TEST(test_workers__refuse_none_and_too_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
