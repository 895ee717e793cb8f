/* SPDX-License-Identifier: Apache-2.0
 *
 * A store's files, searched byte by byte for the sensitive values of a register: while it is loaded
 * through files on the side, changed in every way, put under another key, and after the process was
 * killed in the middle. A public value is found by the same search.
 */
#include "tests/unit/dataset/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapters/dataset/rejects.h"
#include "base/text.h"
#include "tests/support/needles.h"

static const char yaml[] =
    "dataset: people\ntitle: {en: People}\nowner: o\nsharing: conditional\nkey: [pid]\nfields:\n"
    "  - {name: pid, type: text, classification: sensitive, max_length: 60}\n"
    "  - {name: n, type: integer, classification: secret}\n"
    "  - {name: d, type: date, classification: sensitive}\n"
    "  - {name: at, type: time, classification: sensitive}\n"
    "  - {name: m, type: decimal, classification: secret}\n"
    "  - {name: b, type: bytes, classification: secret, max_length: 60}\n"
    "  - {name: t, type: text, classification: sensitive, max_length: 2000}\n"
    "  - {name: open, type: text, classification: public, max_length: 100}\n"
    "indexes:\n"
    "  - {name: by_n, fields: [n], unique: true}\n"
    "  - {name: by_t_d, fields: [t, d]}\n"
    "  - {name: by_b, fields: [b]}\n"
    "  - {name: by_open_at, fields: [open, at]}\n";

/* Every record's values begin so; what follows tells them apart. */
#define PID "Zqperson"
#define NUMBER INT64_C(0x4d5a7e6193c50000)
#define DAY "1887-09-"
#define TIME "1891-07-1"
#define MONEY "718293645."
#define BYTES "\xc7\x01\xf9\x83\xae\x5d\x92\x14"
#define TEXT "Wvillage \xe6\x9d\x91\xe5\xba\x84" /* the words are of two languages */
#define PUBLIC "Kpublicvalue"

#define SOME 300u   /* in one transaction */
#define MANY 14000u /* through the sorter's files, with texts that long: */
#define LONG 1300u

struct world {
    struct fixture_dir dir;
    char data[80], keys[80];
    struct dataset *d;
    yz_secret adapters;
    struct store *s;
    struct needles secret, public;
    unsigned searches; /* while something was going on */
    bool unnamed;      /* some of them met a file without a name that holds something */
};

/* -- the register -- */

static void put_row(yz_buf *out, unsigned i, unsigned version, size_t filler)
{
    char bytes[12];
    yz_buf base64;
    memcpy(bytes, BYTES, 8);
    yzi_store_u32((uint8_t *)bytes + 8, i);
    yzi_buf_init(&base64, 64);
    assert_int_equal(yzi_base64_encode(yzi_bytes(bytes, sizeof bytes), &base64), 0);
    assert_int_equal(yzi_buf_printf(out,
                                    PID "%06u,%lld," DAY "%02u," TIME "%uT%02u:%02u:00Z," MONEY
                                        "%u,%.*s," TEXT " %u %u %0*d," PUBLIC "%u\n",
                                    i, (long long)NUMBER + i, i % 28 + 1, i % 10, i % 24, i % 60,
                                    i % 60, (int)base64.n, base64.p, version, i, (int)filler, 0,
                                    i % 50),
                     0);
    yzi_buf_fini(&base64);
}

/* In no order: the seven-thousand-nine-hundred-nineteenth next. */
static void put_file(yz_buf *out, unsigned n, unsigned version, size_t filler)
{
    yzi_buf_init(out, (size_t)64 << 20);
    assert_int_equal(yzi_buf_put_str(out, "pid,n,d,at,m,b,t,open\n"), 0);
    for (unsigned i = 0; i < n; i++) {
        put_row(out, (unsigned)((uint64_t)i * 7919 % n), version, filler);
    }
}

static void add_needles(struct world *w)
{
    needles_add(&w->secret, "pid", yzi_bytes_str(PID));
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)NUMBER);
    number[12] = '\0'; /* the later digits differ */
    needles_add(&w->secret, "n", yzi_bytes_str(number));
    needles_add_number(&w->secret, "n", NUMBER);
    needles_add(&w->secret, "d", yzi_bytes_str(DAY));
    needles_add(&w->secret, "at", yzi_bytes_str(TIME));
    needles_add(&w->secret, "m", yzi_bytes_str(MONEY));
    /* a decimal's digits as record keys hold them: 1 is 02 */
    needles_add(&w->secret, "m", yzi_bytes("\x08\x02\x09\x03\x0a\x04\x07\x05\x06", 9));
    needles_add(&w->secret, "b", yzi_bytes(BYTES, 8));
    needles_add(&w->secret, "t", yzi_bytes_str("Wvillage"));
    needles_add(&w->secret, "t", yzi_bytes_str("\xe6\x9d\x91\xe5\xba\x84"));
    needles_add(&w->public, "open", yzi_bytes_str(PUBLIC));
}

/* -- the search -- */

static void expect_none(struct world *w)
{
    if (needles_in_folder(&w->secret, w->dir.path)) {
        fail_msg("%s holds '%s' as %s at %llu", w->secret.where, w->secret.found->label,
                 w->secret.found->form, (unsigned long long)w->secret.at);
    }
}

static void expect_none_unnamed(struct world *w)
{
    uint64_t before = w->secret.searched;
    if (needles_in_unnamed(&w->secret, w->dir.path)) {
        fail_msg("%s holds '%s' as %s", w->secret.where, w->secret.found->label,
                 w->secret.found->form);
    }
    w->unnamed = w->unnamed || w->secret.searched > before + 4096;
}

static void expect_public(struct world *w)
{
    assert_true(needles_in_folder(&w->public, w->dir.path));
}

/* Now and then: each is a reading of all there is. */
static void on_progress(void *ctx, const struct work_progress *at)
{
    struct world *w = ctx;
    (void)at;
    if (w->searches++ % 2 == 1) {
        expect_none(w);
        expect_none_unnamed(w);
    }
}

/* -- beginning and ending -- */

static void open_world(struct world *w)
{
    const struct store_options o = {
        .dir = w->data, .dataset = w->d, .storage_key = &w->adapters, .keys_dir = w->keys};
    yz_error err = {0};
    yzi_secret_require_lock(false);
    if (yzi_store_open(&o, &w->s, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static int make(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->d = fixture_dataset(yaml);
    fixture_dir_make(&w->dir);
    snprintf(w->data, sizeof w->data, "%s/data", w->dir.path);
    snprintf(w->keys, sizeof w->keys, "%s/keys", w->dir.path);
    fixture_key(&w->adapters, 5);
    add_needles(w);
    open_world(w);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    yzi_store_close(w->s);
    yzi_secret_fini(&w->adapters);
    yzi_dataset_unref(w->d);
    fixture_dir_remove(&w->dir);
    free(w);
    return 0;
}

static int import(struct world *w, yz_bytes file, enum import_mode mode,
                  struct import_rejects *rejects, struct import_report *r, yz_error *err)
{
    struct import_source src = {.fd = fixture_file(file),
                                .name = "people.csv",
                                .mode = mode,
                                .progress = on_progress,
                                .ctx = w,
                                .rejects = rejects};
    *err = (yz_error){0};
    int rc = yzi_store_import(w->s, &src, r, err);
    close(src.fd);
    return rc;
}

static void import_well(struct world *w, unsigned n, unsigned version, size_t filler,
                        enum import_mode mode)
{
    struct import_report r;
    yz_error err;
    yz_buf file;
    put_file(&file, n, version, filler);
    if (import(w, yzi_bytes_buf(&file), mode, NULL, &r, &err) < 0) {
        fail_msg("%s", err.text);
    }
    yzi_buf_fini(&file);
}

static void rotate(struct world *w)
{
    const struct rotation o = {.progress = on_progress, .ctx = w};
    struct rotation_report r;
    yz_error err;
    if (yzi_store_rotate(w->s, &o, &r, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

/* -- the tests -- */

/* Each form of each value, planted, is found. */
static void test_search__finds_each_form(void **state)
{
    struct world *w = *state;
    char path[160];
    uint8_t content[9000] = {0};
    snprintf(path, sizeof path, "%s/planted", w->dir.path);
    assert_true(w->secret.n > 60);
    for (size_t i = 0; i < w->secret.n; i++) {
        const struct needle *n = &w->secret.of[i];
        memset(content, 0xee, sizeof content);
        memcpy(content + sizeof content - n->n, n->bytes, n->n);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, content, sizeof content), sizeof content);
        close(fd);
        assert_true(needles_in_folder(&w->secret, w->dir.path));
    }
    assert_int_equal(unlink(path), 0);
    expect_none(w);
}

static void test_at_rest__every_way_of_changing(void **state)
{
    struct world *w = *state;
    struct import_report r;
    yz_error err;
    yz_buf keys;
    import_well(w, SOME, 1, 1, IMPORT_UPSERT);
    expect_none(w);
    expect_public(w);
    import_well(w, SOME, 2, 1, IMPORT_UPSERT); /* free pages hold version 1 */
    import_well(w, SOME / 2, 2, 1, IMPORT_INSERT);
    put_file(&keys, SOME / 3, 2, 1);
    assert_int_equal(import(w, yzi_bytes_buf(&keys), IMPORT_DELETE, NULL, &r, &err), 0);
    assert_int_equal(r.deleted, SOME / 3);
    yzi_buf_fini(&keys);
    expect_none(w);
    import_well(w, SOME, 3, 1, IMPORT_REPLACE);
    expect_none(w);
    rotate(w);
    expect_none(w);
    expect_public(w);
}

/* What is wrong is told without the value, and what was loaded before it leaves none. */
static void test_at_rest__faults_and_rejects(void **state)
{
    struct world *w = *state;
    struct import_report r;
    yz_error err;
    yz_buf file;
    struct import_rejects *rejects;
    put_file(&file, SOME, 1, 1);
    assert_int_equal(yzi_buf_put_str(&file, PID "x," PID "," DAY "99," TIME ",,," TEXT ",\n"), 0);
    put_row(&file, 5, 9, 1); /* a second time */
    assert_int_equal(import(w, yzi_bytes_buf(&file), IMPORT_UPSERT, NULL, &r, &err), YZ_EDATA);
    assert_false(needles_in(&w->secret, yzi_bytes_str(err.text), "the sentence"));
    expect_none(w);
    int out = fixture_file(yzi_bytes("", 0)); /* whoever asked has it, not the store */
    assert_int_equal(yzi_rejects_new(out, &rejects), 0);
    assert_int_equal(import(w, yzi_bytes_buf(&file), IMPORT_UPSERT, rejects, &r, &err), 0);
    assert_int_equal(r.rejected, 2);
    yzi_rejects_free(rejects);
    close(out);
    yzi_buf_fini(&file);
    expect_none(w);
}

/* Large and in no order: sorted on the side, loaded into a generation, then put under another key,
 * looked at all the while. */
static void test_at_rest__large_imports_and_rotation_while_they_run(void **state)
{
    struct world *w = *state;
    import_well(w, MANY, 1, LONG, IMPORT_UPSERT);
    assert_true(w->unnamed); /* the sorter did write, and it was looked at */
    expect_none(w);
    w->unnamed = false;
    rotate(w);
    assert_true(w->unnamed);
    expect_none(w);
    expect_public(w);
    assert_true(w->searches >= 4);
}

static void kill_at(void *ctx, const struct work_progress *at)
{
    (void)ctx;
    if (at->done * 2 > at->total) {
        kill(getpid(), SIGKILL);
    }
}

static void in_child(struct world *w, bool rotating)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct import_report r;
        yz_buf file;
        const struct rotation o = {.progress = kill_at};
        struct rotation_report rotated;
        open_world(w);
        put_file(&file, MANY, 2, 1);
        struct import_source src = {.fd = fixture_file(yzi_bytes_buf(&file)),
                                    .name = "people.csv",
                                    .mode = IMPORT_REPLACE,
                                    .progress = kill_at};
        yz_ignore(rotating ? yzi_store_rotate(w->s, &o, &rotated, NULL)
                           : yzi_store_import(w->s, &src, &r, NULL),
                  "it does not end");
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_at_rest__killed_in_the_middle(void **state)
{
    struct world *w = *state;
    import_well(w, MANY, 1, 1, IMPORT_UPSERT);
    for (unsigned i = 0; i < 2; i++) {
        yzi_store_close(w->s);
        w->s = NULL;
        in_child(w, i == 1);
        expect_none(w);
        open_world(w);
        expect_none(w);
        expect_public(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_search__finds_each_form, make, end),
        cmocka_unit_test_setup_teardown(test_at_rest__every_way_of_changing, make, end),
        cmocka_unit_test_setup_teardown(test_at_rest__faults_and_rejects, make, end),
        cmocka_unit_test_setup_teardown(test_at_rest__large_imports_and_rotation_while_they_run,
                                        make, end),
        cmocka_unit_test_setup_teardown(test_at_rest__killed_in_the_middle, make, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
