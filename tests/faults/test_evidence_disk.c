/* SPDX-License-Identifier: Apache-2.0
 *
 * The evidence log on a bad disk: every write, sync, rename, link, creation, resizing and removal
 * of a short life of a log fails once, in each way a disk has: nothing done, half done and said so,
 * half done and failed, all done and failed nevertheless; and a disk that stays full for a while.
 * Whatever was acknowledged must hold (the ledger), and the log must serve again by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "tests/faults/evidence_ledger.h"
#include "tests/faults/shim_io.h"

static struct evidence_fixture f;
static struct io_faults *faults;
static uint64_t next_number;

static void begin(void)
{
    char *real;
    evidence_fixture_init_in_memory(&f);
    real = realpath(f.dir, NULL);
    assert_non_null(real);
    io_faults_watch(faults, real, "");
    free(real);
    next_number = 1;
}

static void end(void)
{
    evidence_fixture_fini(&f);
}

/* Append n and take them back; the ledger hears of those that are durable. Returns how many. */
static unsigned append_some(unsigned n)
{
    unsigned durable = 0, under_way = 0;
    for (unsigned i = 0; i < n; i++) {
        struct evidence_item *item = evidence_make(ENTRY_REQUEST, next_number++, LEDGER_BODY, NULL);
        int rc = yzi_evidence_append(f.log, item);
        assert_true(rc == YZ_OK || rc == YZ_EUNAVAILABLE);
        under_way += rc == YZ_OK;
        yzi_evidence_item_unref(item);
    }
    for (; under_way > 0; under_way--) {
        struct evidence_item *back = evidence_take_wait(f.log);
        assert_true(back->rc == YZ_OK || back->rc == YZ_EUNAVAILABLE);
        if (back->rc == YZ_OK) {
            ledger_hear_item(&f, back);
            durable++;
        }
        yzi_evidence_item_unref(back);
    }
    return durable;
}

/* A short life: opened, written to, published, pruned, ended and followed by another, closed. Every
 * step may fail; opening, then, is tried once more. */
static void life(void)
{
    yz_error err = {0};
    if (evidence_fixture_open(&f, &err) < 0) {
        assert_int_not_equal(err.text[0], 0);
        if (evidence_fixture_open(&f, &err) < 0) {
            fail_msg("a second time: %s", err.text);
        }
    }
    ledger_hear_state(&f);
    append_some(3);
    append_some(300);
    yz_ignore(yzi_evidence_publish(f.log), "it may fail");
    append_some(5);
    yz_ignore(yzi_evidence_prune(f.log, 100), "or be down");
    append_some(1);
    yz_ignore(yzi_evidence_rotate(f.log), "or be down");
    append_some(2);
    evidence_wait_up(f.log);
    assert_int_equal(append_some(2), 2); /* one fault is over: it serves */
    ledger_hear_state(&f);
    evidence_fixture_close(&f);
}

static uint64_t calls_in_a_life(uint32_t kinds)
{
    begin();
    io_faults_arm(faults, kinds, 0, 0, IO_FAIL, 0);
    life();
    io_faults_disarm(faults);
    uint64_t seen = atomic_load(&faults->seen);
    ledger_check_and_free(&f);
    end();
    return seen;
}

static void fail_each(uint32_t kinds, enum io_harm harm, int error, uint64_t step)
{
    uint64_t calls = calls_in_a_life(kinds), hit = 0;
    assert_true(calls > 10);
    for (uint64_t n = 1; n <= calls; n += step) {
        begin();
        io_faults_arm(faults, kinds, n, 1, harm, error);
        life();
        io_faults_disarm(faults);
        hit += atomic_load(&faults->failed);
        ledger_check_and_free(&f);
        end();
    }
    assert_true(hit * step > calls / 2); /* a life differs a little from another */
}

#define KINDS (IO_WRITE | IO_SYNC | IO_RENAME | IO_LINK | IO_CREATE | IO_SIZE)

static void test_disk__each_call_fails(void **state)
{
    (void)state;
    fail_each(KINDS, IO_FAIL, EIO, 1);
}

static void test_disk__each_call_is_done_and_fails(void **state)
{
    (void)state;
    fail_each(IO_WRITE | IO_SYNC | IO_RENAME, IO_LATE, EIO, 2);
}

static void test_disk__each_write_is_short(void **state)
{
    (void)state;
    fail_each(IO_WRITE, IO_SHORT, 0, 2);
}

static void test_disk__each_write_is_torn(void **state)
{
    (void)state;
    fail_each(IO_WRITE, IO_TORN, ENOSPC, 2);
}

static void test_disk__stays_full_for_a_while(void **state)
{
    (void)state;
    yz_error err = {0};
    begin();
    if (evidence_fixture_open(&f, &err) < 0) {
        fail_msg("%s", err.text);
    }
    for (unsigned round = 0; round < 5; round++) {
        assert_int_equal(append_some(200), 200);
        io_faults_arm(faults, IO_WRITE | IO_SIZE, 1, IO_ALWAYS, IO_FAIL, ENOSPC);
        assert_int_equal(append_some(50), 0);
        struct evidence_item *i = evidence_make(ENTRY_REQUEST, next_number++, LEDGER_BODY, NULL);
        assert_false(yzi_evidence_up(f.log));
        assert_int_equal(yzi_evidence_append(f.log, i), YZ_EUNAVAILABLE);
        yzi_evidence_item_unref(i);
        ledger_hear_state(&f); /* what is committed is still told */
        io_faults_disarm(faults);
        evidence_wait_up(f.log);
    }
    assert_int_equal(append_some(1), 1);
    evidence_fixture_close(&f);
    ledger_check_and_free(&f);
    end();
}

/* What was under way when the disk failed for good is lost, and nothing else. */
static void test_disk__gone_until_the_end(void **state)
{
    (void)state;
    yz_error err = {0};
    begin();
    if (evidence_fixture_open(&f, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(append_some(700), 700);
    io_faults_arm(faults, IO_CHANGES, 1, IO_ALWAYS, IO_FAIL, EIO);
    assert_int_equal(append_some(50), 0);
    evidence_fixture_close(&f);
    assert_int_not_equal(evidence_fixture_open(&f, &err), YZ_OK);
    io_faults_disarm(faults);
    ledger_check_and_free(&f);
    end();
}

int main(void)
{
    faults = io_faults_local();
    yzi_log_set_fd(fileno(tmpfile())); /* it says a lot here */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk__each_call_fails),
        cmocka_unit_test(test_disk__each_call_is_done_and_fails),
        cmocka_unit_test(test_disk__each_write_is_short),
        cmocka_unit_test(test_disk__each_write_is_torn),
        cmocka_unit_test(test_disk__stays_full_for_a_while),
        cmocka_unit_test(test_disk__gone_until_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
