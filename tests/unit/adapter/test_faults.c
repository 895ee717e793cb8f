/* SPDX-License-Identifier: Apache-2.0
 *
 * An adapter that runs out of memory at every allocation, or of disk at every write: answers are
 * right or are not given; a policy and an import are taken whole or not at all, in memory and on
 * disk; and afterwards the same objects serve as if nothing had been.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/faults/shim_io.h"
#include "tests/support/alloc_fail.h"
#include "tests/unit/adapter/fixture.h"

#define MESSAGE(name) YZ_AUTO(yz_world_message_fini) struct world_message name
#define OPENED(name) YZ_AUTO(opened_fini) struct opened name
#define FAULTS_MAX 500u /* a flow that never gets by is a fault of the test */

static const yz_subsystem_id civil = {{(const uint8_t *)"CN/GOV/MCA/civil", 16}};

/* The row of one person as the consumer reads it. */
static void expect_row(struct fixture *f, const char *key, const char *row)
{
    MESSAGE(q);
    struct job *j = fixture_get(f, (const char *const[]){key, NULL}, NULL, &q);
    yzi_answer(&f->answering, j);
    assert_int_equal(j->rc, YZ_OK);
    OPENED(o);
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yz_world_buf(&text);
    fixture_open(f, &q, j, &o);
    char rows[200];
    opened_rows(&o, rows, sizeof rows);
    assert_string_equal(rows, row);
    yzi_job_free(j);
}

static void test_answer__is_right_or_not_given(void **state)
{
    struct fixture *f = *state;
    struct alloc_fail_result result = {.failed = 1};
    unsigned n = 1;
    for (; result.failed; n++) {
        assert_true(n < FAULTS_MAX);
        MESSAGE(q);
        struct job *j = fixture_get(f, (const char *const[]){"p1", NULL}, NULL, &q);
        yz_alloc_fail_arm(n);
        yz_alloc_fail_resume();
        yzi_answer(&f->answering, j);
        yz_alloc_fail_pause();
        result = yz_alloc_fail_stop();
        if (j->rc == YZ_OK) {
            OPENED(o);
            fixture_open(f, &q, j, &o);
            assert_true(o.head.code == ANSWER_OK || result.failed);
            assert_true(o.head.code == ANSWER_OK ? o.head.rows == 1 : o.head.rows == 0);
        } else {
            assert_true(result.failed && j->rc == YZ_ENOMEM);
        }
        yzi_job_free(j);
        expect_row(f, "p1", "p1|married\n");
    }
    print_message("%u allocations\n", n - 2);
    assert_true(n > 4);
}

/* -- policies -- */

struct published {
    yz_buf offer, terms;
};

static void make_policy(struct fixture *f, uint64_t version, struct published *out)
{
    static const char *const readable[] = {"person_id", "status", NULL};
    yz_world_buf(&out->offer);
    yz_world_buf(&out->terms);
    yz_world_simple_offer(f->w, WORLD_SERVICE, WORLD_CONSUMER, version, readable, &out->offer,
                          &out->terms);
}

static void published_fini(struct published *p)
{
    yzi_buf_fini(&p->offer);
    yzi_buf_fini(&p->terms);
}

static int put(struct fixture *f, const struct published *p)
{
    yz_error err = {0};
    return yzi_policies_put(f->policies, f->w->directory, &f->self, yzi_bytes_buf(&p->offer),
                            yzi_bytes_buf(&p->terms), yz_world_now(f->w), &err);
}

static uint64_t version_in_force(struct fixture *f)
{
    f->policy = yzi_policies_get(f->policies, civil);
    assert_non_null(f->policy);
    return f->policy->offer->offer.version;
}

/* As the next process of this home finds it. */
static void reopen(struct fixture *f)
{
    yz_error err = {0};
    YZ_AUTO(yzi_free_ptr) char *offers = NULL;
    assert_int_equal(yzi_path_join(f->dir, "offers", &offers), YZ_OK);
    yzi_policies_close(f->policies);
    assert_int_equal(yzi_policies_open(offers, &f->policies, &err), YZ_OK);
    if (yzi_policies_load(f->policies, f->w->directory, &f->self, yz_world_now(f->w), &err) < 0) {
        fail_msg("what was kept does not load: %s", err.text);
    }
}

/* The policy was put with something failing: old or new, the same on disk, and it can be put. */
static void policy_is_whole(struct fixture *f, const struct published *p, uint64_t version, int rc)
{
    uint64_t now = version_in_force(f);
    assert_int_equal(now, rc == YZ_OK ? version : version - 1);
    reopen(f);
    uint64_t kept = version_in_force(f);
    assert_true(kept == version || (rc < 0 && kept == version - 1));
    rc = put(f, p);
    assert_true(rc == YZ_OK || (rc == YZ_EEXIST && kept == version));
    assert_int_equal(version_in_force(f), version);
}

static void test_policy__is_taken_whole_or_not_without_memory(void **state)
{
    struct fixture *f = *state;
    struct alloc_fail_result result = {.failed = 1};
    unsigned n = 1;
    for (; result.failed; n++) {
        assert_true(n < FAULTS_MAX);
        YZ_AUTO(published_fini) struct published p;
        make_policy(f, n + 1, &p);
        yz_alloc_fail_arm(n);
        yz_alloc_fail_resume();
        int rc = put(f, &p);
        yz_alloc_fail_pause();
        result = yz_alloc_fail_stop();
        assert_true(rc == YZ_OK || (result.failed && rc == YZ_ENOMEM));
        policy_is_whole(f, &p, n + 1, rc);
    }
    print_message("%u allocations\n", n - 2);
    assert_true(n > 5);
}

static void policy_on_a_bad_disk(struct fixture *f, enum io_harm harm, int error, uint64_t version)
{
    struct io_faults *io = io_faults_local();
    bool hit = true;
    unsigned n = 1;
    fixture_publish(f, version - 1);
    for (; hit; n++, version++) {
        assert_true(n < FAULTS_MAX);
        YZ_AUTO(published_fini) struct published p;
        make_policy(f, version, &p);
        io_faults_arm(io, IO_CHANGES, n, 1, harm, error);
        int rc = put(f, &p);
        io_faults_disarm(io);
        hit = io->failed > 0;
        assert_true(hit || rc == YZ_OK);
        policy_is_whole(f, &p, version, rc);
    }
    assert_true(n > 4); /* created, written, synced, named, its folder synced */
}

static void test_policy__is_taken_whole_or_not_on_a_bad_disk(void **state)
{
    struct fixture *f = *state;
    io_faults_watch(io_faults_local(), f->dir, "offers");
    policy_on_a_bad_disk(f, IO_FAIL, ENOSPC, 1000);
    policy_on_a_bad_disk(f, IO_TORN, EIO, 2000);
    policy_on_a_bad_disk(f, IO_SHORT, ENOSPC, 3000);
    policy_on_a_bad_disk(f, IO_LATE, EIO, 4000);
}

/* -- imports -- */

static int import_two(struct fixture *f, const char *status)
{
    char csv[200];
    snprintf(csv, sizeof csv, "person_id,status,spouse\np3,%s,\np4,%s,\n", status, status);
    int fd = memfd_create("rows", MFD_CLOEXEC);
    assert_int_equal(write(fd, csv, strlen(csv)), (ssize_t)strlen(csv));
    struct import_source source = {.fd = fd, .name = "rows.csv", .mode = IMPORT_UPSERT};
    struct import_report report;
    yz_error err = {0};
    int rc = yzi_store_import(f->store, &source, &report, &err);
    close(fd);
    return rc;
}

static void import_is_whole(struct fixture *f, const char *before, const char *status, int rc)
{
    char rows[2][64], old[2][64];
    for (unsigned i = 0; i < 2; i++) {
        snprintf(rows[i], sizeof rows[i], "p%u|%s\n", i + 3, status);
        snprintf(old[i], sizeof old[i], "p%u|%s\n", i + 3, before);
        expect_row(f, i ? "p4" : "p3", rc == YZ_OK ? rows[i] : old[i]);
    }
    assert_int_equal(import_two(f, status), YZ_OK);
    expect_row(f, "p3", rows[0]);
    expect_row(f, "p4", rows[1]);
}

/* LMDB's commit has an unknown outcome when its last write fails after it was done: then, and only
 * then, may the new rows be there although an error was said. */
static void import_on_a_bad_disk(struct fixture *f, enum io_harm harm, int error)
{
    struct io_faults *io = io_faults_local();
    char before[32] = "single", status[32];
    bool hit = true;
    unsigned n = 1;
    assert_int_equal(import_two(f, before), YZ_OK);
    for (; hit; n++) {
        assert_true(n < FAULTS_MAX);
        snprintf(status, sizeof status, "s%u-%u", (unsigned)harm, n);
        io_faults_arm(io, IO_CHANGES, n, 1, harm, error);
        int rc = import_two(f, status);
        io_faults_disarm(io);
        hit = io->failed > 0;
        assert_true(hit || rc == YZ_OK);
        import_is_whole(f, before, status, rc);
        memcpy(before, status, sizeof before);
    }
    assert_true(n > 2);
}

static void test_import__is_taken_whole_or_not_on_a_bad_disk(void **state)
{
    struct fixture *f = *state;
    io_faults_watch(io_faults_local(), f->dir, "data");
    import_on_a_bad_disk(f, IO_FAIL, ENOSPC);
    import_on_a_bad_disk(f, IO_FAIL, EIO);
    import_on_a_bad_disk(f, IO_TORN, ENOSPC);
    import_on_a_bad_disk(f, IO_SHORT, ENOSPC);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_answer__is_right_or_not_given),
        TEST(test_policy__is_taken_whole_or_not_without_memory),
        TEST(test_policy__is_taken_whole_or_not_on_a_bad_disk),
        TEST(test_import__is_taken_whole_or_not_on_a_bad_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
