/* SPDX-License-Identifier: Apache-2.0
 *
 * Damage, done to files behind a log's back. The store: it is named, at the start or by looking,
 * and never repaired. Published files: they are named, and written again from the store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "tests/unit/broker/evidence_fixture.h"

#define ENTRIES 900u /* three full tiles and a partial one */

static struct evidence_fixture f;
static uint64_t number; /* of the log */
static char said[] = "/tmp/yz-damage-XXXXXX";
static int said_fd;

static void open_log(void)
{
    yz_error err = {0};
    if (evidence_fixture_open(&f, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static struct evidence_status status(void)
{
    struct evidence_status s;
    yzi_evidence_status(f.log, &s);
    return s;
}

static int setup(void **state)
{
    (void)state;
    evidence_fixture_init_in_memory(&f);
    open_log();
    evidence_log_many(&f, ENTRIES);
    number = status().log;
    evidence_fixture_close(&f);
    assert_int_equal(ftruncate(said_fd, 0), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    evidence_fixture_fini(&f);
    return 0;
}

/* Was this logged? */
static bool was_said(const char *event, const char *words)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yz_error err = {0};
    yzi_buf_init(&text, 1 << 20);
    assert_int_equal(yzi_file_read(said, &text, &err), 0);
    assert_int_equal(yzi_buf_put_u8(&text, 0), 0);
    for (char *line = strtok((char *)text.p, "\n"); line; line = strtok(NULL, "\n")) {
        if (strstr(line, event) && strstr(line, words)) {
            return true;
        }
    }
    return false;
}

/* Everything was looked at once more. */
static void look(void)
{
    assert_int_equal(yzi_evidence_scrub(f.log), YZ_OK);
    uint64_t until = status().rounds + 2;
    while (status().rounds < until) {
        assert_int_equal(yzi_evidence_publish(f.log), YZ_OK); /* a pass looks at some */
    }
}

/* -- published files -- */

static void path_of(const char *name, char out[400])
{
    snprintf(out, 400, "%s/%llu/%s", f.publish, (unsigned long long)number, name);
}

static void flip(const char *path, off_t at)
{
    uint8_t b;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &b, 1, at), 1);
    b ^= 0x10;
    assert_int_equal(pwrite(fd, &b, 1, at), 1);
    close(fd);
}

static const char *const published[] = {
    "tile/0/000",    "tile/0/002", "tile/entries/001", "tile/0/003.p/133", "tile/entries/003.p/133",
    "tile/1/000.p/3"};

static void check_rewritten(const char *name, const char *how)
{
    uint64_t size;
    open_log();
    look();
    if (!was_said("evidence.file-rewritten", name)) {
        fail_msg("%s, %s: nothing was said", name, how);
    }
    assert_true(status().rewritten >= 1);
    assert_int_equal(status().damaged, 0);
    assert_true(evidence_published_holds(&f, number, &size));
    evidence_fixture_close(&f);
}

static void test_damage__published_files_are_written_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        char path[400];
        struct stat st;
        path_of(published[i], path);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(unlink(path), 0);
        check_rewritten(published[i], "missing");
        flip(path, st.st_size / 2);
        check_rewritten(published[i], "flipped");
        assert_int_equal(truncate(path, st.st_size - 1), 0);
        check_rewritten(published[i], "cut");
    }
}

static void test_damage__a_checkpoint_that_is_not_ours(void **state)
{
    (void)state;
    char path[400];
    uint64_t size;
    path_of("checkpoint", path);
    flip(path, 40);
    open_log();
    assert_int_equal(status().log, number); /* it says nothing about the store */
    assert_int_equal(yzi_evidence_publish(f.log), YZ_OK);
    assert_true(was_said("evidence.file-rewritten", "checkpoint"));
    assert_true(evidence_published_holds(&f, number, &size));
    assert_int_equal(size, ENTRIES + 1);
}

/* -- the store -- */

static void data_path(char out[400])
{
    snprintf(out, 400, "%s/%llu/data.mdb", f.store, (unsigned long long)number);
}

/* Where in the store's file these bytes stand; they must stand there once or more. */
static off_t find_in(const char *path, const void *bytes, size_t n)
{
    YZ_AUTO(yzi_buf_fini) yz_buf all;
    yz_error err = {0};
    yzi_buf_init(&all, (size_t)1 << 28);
    assert_int_equal(yzi_file_read(path, &all, &err), 0);
    const uint8_t *at = memmem(all.p, all.n, bytes, n);
    assert_non_null(at);
    return at - all.p;
}

struct kept {
    uint64_t index;
    yz_digest digest;
    uint8_t body[64];
};

static int keep(void *ctx, uint64_t index, yz_bytes entry, yz_bytes body)
{
    struct kept *k = ctx;
    struct entry e;
    assert_int_equal(yzi_entry_parse(entry, &e), 0);
    k->index = index;
    k->digest = e.digest;
    memcpy(k->body, body.p, body.n < sizeof k->body ? body.n : sizeof k->body);
    return 1;
}

static struct kept read_one(uint64_t index)
{
    struct kept k = {0};
    open_log();
    assert_int_equal(yzi_evidence_each(f.log, index, 1, keep, &k), YZ_OK);
    evidence_fixture_close(&f);
    return k;
}

/* All copies of these bytes: pages that were copied on write may hold older ones. */
static void flip_all(const char *path, const void *bytes, size_t n)
{
    YZ_AUTO(yzi_buf_fini) yz_buf all;
    yz_error err = {0};
    yzi_buf_init(&all, (size_t)1 << 28);
    assert_int_equal(yzi_file_read(path, &all, &err), 0);
    find_in(path, bytes, n);
    for (uint8_t *at = all.p; (at = memmem(at, all.n - (size_t)(at - all.p), bytes, n)); at++) {
        flip(path, at - all.p + 5);
    }
}

static void test_damage__an_entry_at_the_end_is_seen_at_the_start(void **state)
{
    (void)state;
    char path[400];
    yz_error err = {0};
    struct kept k = read_one(ENTRIES - 3);
    data_path(path);
    flip_all(path, &k.digest, sizeof k.digest);
    assert_int_equal(evidence_fixture_open(&f, &err), YZ_ECORRUPT);
    assert_non_null(strstr(err.text, "damaged"));
    assert_int_equal(evidence_fixture_open(&f, &err), YZ_ECORRUPT); /* nothing was repaired */
}

static void test_damage__an_entry_in_the_middle_is_seen_by_looking(void **state)
{
    (void)state;
    char path[400];
    struct kept k = read_one(300);
    data_path(path);
    flip_all(path, &k.digest, sizeof k.digest);
    open_log();
    look();
    assert_true(status().damaged >= 1);
    assert_true(was_said("evidence.damaged", "entries 256 to 511"));
    assert_int_equal(status().rewritten, 0); /* what is published stays as it was */
}

static void test_damage__a_body_is_seen_by_looking(void **state)
{
    (void)state;
    char path[400];
    struct kept k = read_one(100);
    data_path(path);
    /* bodies begin with their number: with the seven zeros before it, it stands once in a page */
    flip_all(path, k.body, 24);
    open_log();
    look();
    assert_true(status().damaged >= 1);
    assert_true(was_said("evidence.damaged", "the body of entry 100 "));
}

static void test_damage__a_truncated_store(void **state)
{
    (void)state;
    char path[400];
    struct stat st;
    yz_error err = {0};
    open_log();
    evidence_log_many(&f, 5000);
    evidence_fixture_close(&f);
    data_path(path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size / 8 * 7 / 4096 * 4096), 0);
    assert_int_equal(evidence_fixture_open(&f, &err), YZ_ECORRUPT);
    assert_non_null(strstr(err.text, "truncated"));
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(evidence_fixture_open(&f, &err), YZ_ECORRUPT);
    assert_non_null(strstr(err.text, "empty"));
}

static void test_damage__the_name_of_the_log_is_missing(void **state)
{
    (void)state;
    char path[400];
    yz_error err = {0};
    snprintf(path, sizeof path, "%s/current", f.store);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(evidence_fixture_open(&f, &err), YZ_ECORRUPT);
    assert_non_null(strstr(err.text, "current"));
    assert_int_equal(yzi_file_write(path, yzi_bytes_str("17 \n"), 0600, &err), 0);
    assert_int_equal(evidence_fixture_open(&f, &err), YZ_ECORRUPT);
}

int main(void)
{
    said_fd = mkstemp(said);
    assert_true(said_fd >= 0 && fcntl(said_fd, F_SETFL, O_APPEND) == 0);
    yzi_log_set_fd(said_fd);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_damage__published_files_are_written_again),
        TEST(test_damage__a_checkpoint_that_is_not_ours),
        TEST(test_damage__an_entry_at_the_end_is_seen_at_the_start),
        TEST(test_damage__an_entry_in_the_middle_is_seen_by_looking),
        TEST(test_damage__a_body_is_seen_by_looking),
        TEST(test_damage__a_truncated_store),
        TEST(test_damage__the_name_of_the_log_is_missing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(said);
    return failed;
}
