/* SPDX-License-Identifier: Apache-2.0
 *
 * Kept exchanges: what was appended is read back whole, nothing of it stands in the files in clear,
 * every change of a file is noticed, a torn end is passed over and counted, and a day whose
 * retention is over is gone with its key.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "evidence/kept.h"
#include "evidence/kept_format.h"

#include "base/file.h"
#include "keys/keyfile.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DAY_MS UINT64_C(86400000)

struct fixture {
    char dir[256], kept[300];
    struct world *w;
    struct kept *k;
    struct world_message request;
    yz_buf message; /* of the request */
};

static void remove_all(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        char inner[1024];
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
        if (lstat(inner, &st) == 0 && S_ISDIR(st.st_mode)) {
            remove_all(inner);
        } else {
            unlink(inner);
        }
    }
    if (d) {
        closedir(d);
    }
    rmdir(path);
}

static void reopen(struct fixture *f)
{
    struct kept_options o = {
        .dir = f->kept, .clock = &f->w->clock.clock, .retention_ms = 3 * DAY_MS};
    yz_error err = {0};
    yzi_kept_close(f->k);
    f->k = NULL;
    assert_int_equal(yzi_kept_open(&o, &f->k, &err), YZ_OK);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof f->dir, "%s/yz-kept.XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->kept, sizeof f->kept, "%s/kept", f->dir);
    f->w = yz_world_standard();
    yz_world_request(f->w, &(struct world_request){0}, &f->request);
    yzi_buf_init(&f->message, 8192);
    assert_int_equal(yzi_buf_put_u16(&f->message, (uint16_t)f->request.frame.header.n), 0);
    assert_int_equal(yzi_buf_put(&f->message, f->request.frame.header), 0);
    assert_int_equal(yzi_buf_put(&f->message, f->request.frame.block), 0);
    reopen(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    yzi_kept_close(f->k);
    yz_world_message_fini(&f->request);
    yzi_buf_fini(&f->message);
    yz_world_free(f->w);
    remove_all(f->dir);
    free(f);
    return 0;
}

static struct kept_exchange sample(struct fixture *f)
{
    return (struct kept_exchange){.role = KEPT_PROVIDER,
                                  .at = yz_world_now(f->w),
                                  .broker = yzi_bytes_str("CN/@b1"),
                                  .answer_kind = FRAME_RESPONSE,
                                  .request = yzi_bytes_buf(&f->message),
                                  .answer = yzi_bytes_buf(&f->message),
                                  .request_plain = yzi_bytes_str("asked for Zhang San"),
                                  .answer_plain = yzi_bytes_str("Zhang San is married"),
                                  .directory = *yzi_directory_root_hash(f->w->directory)};
}

struct seen {
    unsigned exchanges, receipts;
    struct fixture *f;
    char file[512];
    uint64_t last_at;
    int stop;
};

static int see(void *ctx, const struct kept_record *r)
{
    struct seen *s = ctx;
    snprintf(s->file, sizeof s->file, "%s", r->place.file);
    assert_true(yzi_digest_eq(&r->request_digest, &s->f->request.digest));
    assert_true(yzi_bytes_eq_str(r->exchange.broker, "CN/@b1"));
    if (r->is_receipt) {
        s->receipts++;
        assert_true(yzi_bytes_eq_str(r->exchange.receipt, "a receipt"));
        return s->stop;
    }
    struct kept_exchange want = sample(s->f);
    s->exchanges++;
    s->last_at = r->exchange.at;
    assert_int_equal(r->exchange.role, KEPT_PROVIDER);
    assert_int_equal(r->exchange.answer_kind, FRAME_RESPONSE);
    assert_true(yzi_bytes_eq(r->exchange.request, want.request));
    assert_true(yzi_bytes_eq(r->exchange.answer, want.answer));
    assert_true(yzi_bytes_eq(r->exchange.request_plain, want.request_plain));
    assert_true(yzi_bytes_eq(r->exchange.answer_plain, want.answer_plain));
    assert_int_equal(r->exchange.receipt.n, 0);
    assert_true(yzi_digest_eq(&r->exchange.directory, &want.directory));
    return s->stop;
}

static int read_all(struct fixture *f, struct seen *s, struct kept_summary *sum, yz_error *err)
{
    *s = (struct seen){.f = f, .stop = s->stop};
    return yzi_kept_each(f->kept, NULL, NULL, see, s, sum, err);
}

static void keep_one(struct fixture *f)
{
    struct kept_exchange x = sample(f);
    assert_int_equal(yzi_kept_exchange(f->k, &x), YZ_OK);
}

static void test_kept__reads_back_what_was_kept(void **state)
{
    struct fixture *f = *state;
    struct seen s = {0};
    struct kept_summary sum;
    keep_one(f);
    assert_int_equal(yzi_kept_receipt(f->k, &f->request.digest, yzi_bytes_str("CN/@b1"),
                                      yzi_bytes_str("a receipt")),
                     YZ_OK);
    reopen(f); /* another process would begin a file of its own as well */
    keep_one(f);
    assert_int_equal(yzi_kept_sync(f->k), YZ_OK);
    assert_int_equal(read_all(f, &s, &sum, NULL), YZ_OK);
    assert_int_equal(s.exchanges, 2);
    assert_int_equal(s.receipts, 1);
    assert_true(sum.records == 3 && sum.days == 1 && sum.torn == 0);
    s.stop = 7;
    assert_int_equal(read_all(f, &s, &sum, NULL), 7);
    assert_int_equal(s.exchanges + s.receipts, 1);
}

static int see_subjects(void *ctx, const struct kept_record *r)
{
    unsigned *seen = ctx;
    *seen = *seen * 10 + (r->exchange.has_subjects ? 2 : 1);
    assert_true(yzi_bytes_eq_str(r->exchange.data_set, r->exchange.has_subjects ? "civil" : ""));
    struct subject s;
    for (yz_reader list = yzi_reader(r->exchange.subjects); list.left;) {
        assert_int_equal(yzi_subject_next(&list, &s), YZ_OK);
        assert_int_equal(s.how, SUBJECT_GIVEN);
        *seen = *seen * 10 + 7;
    }
    return YZ_OK;
}

static void test_kept__says_whom_it_was_about_and_reads_what_older_versions_kept(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf list = {.max = SUBJECTS_MAX};
    struct subject s = {SUBJECT_GIVEN, {{.v = yzi_bytes_str("p1")}, {.null = true}}, 2};
    unsigned seen = 0;
    keep_one(f); /* as before there were subjects */
    assert_int_equal(yzi_subject_put(&list, &s), YZ_OK);
    assert_int_equal(yzi_subject_put(&list, &s), YZ_OK);
    struct kept_exchange x = sample(f);
    x.has_subjects = true;
    x.data_set = yzi_bytes_str("civil");
    x.subjects = yzi_bytes_buf(&list);
    assert_int_equal(yzi_kept_exchange(f->k, &x), YZ_OK);
    x.subjects.n--; /* what is not a list is not read as one */
    assert_int_equal(yzi_kept_exchange(f->k, &x), YZ_OK);
    assert_int_equal(yzi_kept_each(f->kept, NULL, NULL, see_subjects, &seen, NULL, NULL),
                     YZ_ECORRUPT);
    assert_int_equal(seen, 1277);
}

static void test_kept__days_follow_the_clock_and_bound_what_is_read(void **state)
{
    struct fixture *f = *state;
    struct seen s = {.f = f};
    struct kept_summary sum;
    keep_one(f);
    char first[32], second[32];
    yzi_time_format(yz_world_now(f->w), first);
    first[10] = 0;
    yzi_manual_clock_advance(&f->w->clock, DAY_MS);
    yzi_time_format(yz_world_now(f->w), second);
    second[10] = 0;
    keep_one(f);
    assert_int_equal(yzi_kept_each(f->kept, NULL, first, see, &s, &sum, NULL), YZ_OK);
    assert_true(s.exchanges == 1 && sum.days == 1 && s.last_at == WORLD_TIME);
    assert_int_equal(yzi_kept_each(f->kept, second, NULL, see, &s, &sum, NULL), YZ_OK);
    assert_true(s.exchanges == 2 && s.last_at == WORLD_TIME + DAY_MS);
}

static void read_file(const char *path, yz_buf *out)
{
    yzi_buf_init(out, 1 << 20);
    assert_int_equal(yzi_file_read(path, out, NULL), YZ_OK);
}

static bool holds(const yz_buf *b, const char *text)
{
    return memmem(b->p, b->n, text, strlen(text)) != NULL;
}

static void write_at(const char *path, size_t at, uint8_t byte)
{
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static void test_kept__shows_nothing_and_every_changed_byte_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct seen s = {0};
    struct kept_summary sum;
    YZ_AUTO(yzi_buf_fini) yz_buf file;
    keep_one(f);
    assert_int_equal(read_all(f, &s, &sum, NULL), YZ_OK);
    read_file(s.file, &file);
    assert_false(holds(&file, "Zhang") || holds(&file, "CN/") || holds(&file, "marriage"));
    char path[512];
    snprintf(path, sizeof path, "%s", s.file);
    for (size_t i = 0; i < file.n; i++) {
        yz_error err = {0};
        write_at(path, i, (uint8_t)(file.p[i] ^ 0x20));
        int rc = read_all(f, &s, &sum, &err);
        /* a length that points beyond the end looks like a torn end: counted, never passed off */
        assert_true(rc == YZ_ECORRUPT || (rc == YZ_OK && sum.torn == 1 && s.exchanges == 0));
        assert_true(rc == YZ_OK || strstr(err.text, path) != NULL);
        write_at(path, i, file.p[i]);
    }
    assert_int_equal(read_all(f, &s, &sum, NULL), YZ_OK);
    assert_int_equal(s.exchanges, 1);
}

static void test_kept__a_torn_end_is_counted_and_not_written_after(void **state)
{
    struct fixture *f = *state;
    struct seen s = {0};
    struct kept_summary sum;
    keep_one(f);
    assert_int_equal(read_all(f, &s, &sum, NULL), YZ_OK);
    char path[512];
    snprintf(path, sizeof path, "%s", s.file);
    keep_one(f);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - 5), 0);
    reopen(f);
    keep_one(f);
    assert_int_equal(read_all(f, &s, &sum, NULL), YZ_OK);
    assert_int_equal(s.exchanges, 2);
    assert_int_equal(sum.torn, 1);
}

struct survey {
    unsigned exchanges, damaged;
    char file[512], sentence[600];
    uint64_t offsets[8];
};

static int count_one(void *ctx, const struct kept_record *r)
{
    struct survey *s = ctx;
    snprintf(s->file, sizeof s->file, "%s", r->place.file);
    s->offsets[s->exchanges++ % 8] = r->place.offset;
    return YZ_OK;
}

static void note_damage(void *ctx, const char *sentence)
{
    struct survey *s = ctx;
    s->damaged++;
    snprintf(s->sentence, sizeof s->sentence, "%s", sentence);
}

static struct survey survey(struct fixture *f)
{
    struct survey s = {0};
    struct kept_summary sum;
    yz_error err = {0};
    assert_int_equal(yzi_kept_survey(f->kept, NULL, NULL, count_one, note_damage, &s, &sum, &err),
                     YZ_OK);
    assert_int_equal(sum.records, s.exchanges);
    assert_int_equal(sum.damaged, s.damaged);
    return s;
}

static void flip(const char *path, uint64_t at)
{
    YZ_AUTO(yzi_buf_fini) yz_buf file;
    read_file(path, &file);
    write_at(path, at, file.p[at] ^ 0x20);
}

static void test_kept__a_survey_names_what_is_damaged_and_reads_the_rest(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 5; i++) {
        keep_one(f);
    }
    struct survey whole = survey(f);
    assert_true(whole.exchanges == 5 && whole.damaged == 0);
    flip(whole.file, whole.offsets[1] + 60); /* one that does not open */
    struct survey s = survey(f);
    assert_true(s.exchanges == 4 && s.damaged == 1);
    assert_non_null(strstr(s.sentence, whole.file));
    assert_non_null(strstr(s.sentence, "does not open"));
    flip(whole.file, whole.offsets[2] + 60); /* two: it is not the record, then */
    s = survey(f);
    assert_true(s.exchanges == 1 && s.damaged == 2);
    assert_non_null(strstr(s.sentence, "the rest of the file is not read"));
    flip(whole.file, 2); /* no such file at all */
    s = survey(f);
    assert_true(s.exchanges == 0 && s.damaged == 1);
    yzi_manual_clock_advance(&f->w->clock, DAY_MS);
    keep_one(f);
    s = survey(f);
    assert_true(s.exchanges == 1 && s.damaged == 1); /* the other day is read */
    char day[32], key[600];
    yzi_time_format(yz_world_now(f->w), day);
    snprintf(key, sizeof key, "%s/%.10s/" KEPT_KEY_NAME, f->kept, day);
    assert_int_equal(unlink(key), 0);
    s = survey(f);
    assert_true(s.exchanges == 0 && s.damaged == 2);
    assert_non_null(strstr(s.sentence, key));
}

static void test_kept__says_since_when(void **state)
{
    struct fixture *f = *state;
    struct kept_span span;
    char first[32], fourth[32];
    yzi_time_format(yz_world_now(f->w), first);
    assert_int_equal(yzi_kept_span(f->kept, &span, NULL), YZ_OK);
    assert_true(span.first[0] == 0 && span.destroyed[0] == 0);
    keep_one(f);
    assert_int_equal(yzi_kept_expire(f->k, NULL, NULL), YZ_OK);
    assert_int_equal(yzi_kept_span(f->kept, &span, NULL), YZ_OK);
    assert_true(strncmp(span.first, first, 10) == 0 && span.destroyed[0] == 0);
    yzi_manual_clock_advance(&f->w->clock, 4 * DAY_MS);
    yzi_time_format(yz_world_now(f->w), fourth);
    keep_one(f);
    assert_int_equal(yzi_kept_expire(f->k, NULL, NULL), YZ_OK);
    assert_int_equal(yzi_kept_span(f->kept, &span, NULL), YZ_OK);
    assert_int_equal(strncmp(span.first, fourth, 10), 0);
    assert_int_equal(strncmp(span.destroyed, first, 10), 0);
    char path[400];
    yz_error err = {0};
    snprintf(path, sizeof path, "%s/" KEPT_DESTROYED_NAME, f->kept);
    flip(path, 4);
    assert_int_equal(yzi_kept_span(f->kept, &span, &err), YZ_ECORRUPT);
    assert_non_null(strstr(err.text, path));
}

static void test_kept__a_day_ends_with_its_key(void **state)
{
    struct fixture *f = *state;
    struct seen s = {0};
    struct kept_summary sum;
    unsigned days = 9;
    keep_one(f);
    yzi_manual_clock_advance(&f->w->clock, 3 * DAY_MS);
    keep_one(f);
    assert_int_equal(yzi_kept_expire(f->k, &days, NULL), YZ_OK);
    assert_int_equal(days, 0); /* its last moment is not three days ago yet */
    yzi_manual_clock_advance(&f->w->clock, DAY_MS);
    assert_int_equal(yzi_kept_expire(f->k, &days, NULL), YZ_OK);
    assert_int_equal(days, 1);
    assert_int_equal(read_all(f, &s, &sum, NULL), YZ_OK);
    assert_true(s.exchanges == 1 && sum.days == 1 && s.last_at == WORLD_TIME + 3 * DAY_MS);
}

static void test_kept__needs_the_key_of_the_day_and_nobody_else_may_read_it(void **state)
{
    struct fixture *f = *state;
    struct seen s = {0};
    struct kept_summary sum;
    yz_error err = {0};
    char day[32], key[600];
    keep_one(f);
    yzi_time_format(yz_world_now(f->w), day);
    snprintf(key, sizeof key, "%s/%.10s/" KEPT_KEY_NAME, f->kept, day);
    assert_int_equal(chmod(key, 0644), 0);
    assert_int_equal(read_all(f, &s, &sum, &err), YZ_EPERM);
    assert_int_equal(unlink(key), 0);
    assert_int_equal(read_all(f, &s, &sum, &err), YZ_ENOTFOUND);
    uint8_t ignored[32];
    assert_int_equal(yzi_keyfile_create(key, KEY_STORAGE, ignored, &err), YZ_OK);
    assert_int_equal(read_all(f, &s, &sum, &err), YZ_ECORRUPT);
    assert_int_equal(s.exchanges, 0);
}

static void test_kept__directory_records_are_written_once_for_each_node(void **state)
{
    struct fixture *f = *state;
    char day[32];
    yzi_time_format(yz_world_now(f->w), day);
    const char *names[] = {"CN/@b1", "CN/GOV/HB/@w1", "CN/GOV/MCA/@a1"};
    yz_node_id nodes[3];
    for (size_t i = 0; i < 3; i++) {
        nodes[i] = yz_world_node(f->w, names[i])->node;
    }
    assert_int_equal(yzi_kept_directory(f->k, f->w->directory, nodes, 3), YZ_OK);
    assert_int_equal(yzi_kept_directory(f->k, f->w->directory, nodes, 3), YZ_OK);
    const yz_digest *root = yzi_directory_root_hash(f->w->directory);
    for (size_t i = 0; i < 3; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf object = {0};
        assert_int_equal(yzi_kept_object(f->kept, day, root, nodes[i].v, &object, NULL), YZ_OK);
        yz_reader r = yzi_reader(yzi_bytes_buf(&object));
        uint32_t n;
        yz_bytes manifest;
        assert_int_equal(yzi_read_u32(&r, &n), YZ_OK);
        assert_int_equal(yzi_read_bytes(&r, n, &manifest), YZ_OK);
        assert_true(yzi_bytes_eq(manifest, yzi_directory_manifest(f->w->directory)));
    }
    YZ_AUTO(yzi_buf_fini) yz_buf none = {0};
    assert_int_equal(yzi_kept_object(f->kept, day, root, yzi_bytes_str("CN/@b9"), &none, NULL),
                     YZ_ENOTFOUND);
}

static int keep_sample(void *ctx)
{
    struct fixture *f = ctx;
    struct kept_exchange x = sample(f);
    struct kept_options o = {
        .dir = f->kept, .clock = &f->w->clock.clock, .retention_ms = 3 * DAY_MS};
    struct kept *k;
    YZ_TRY(yzi_kept_open(&o, &k, NULL));
    int rc = yzi_kept_exchange(k, &x);
    yzi_kept_close(k);
    return rc;
}

static void test_kept__reports_when_memory_runs_out(void **state)
{
    struct fixture *f = *state;
    struct seen s = {0};
    struct kept_summary sum;
    assert_true(yz_alloc_fail_each(keep_sample, f) > 0);
    assert_int_equal(read_all(f, &s, &sum, NULL), YZ_OK);
    assert_int_equal(s.exchanges, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_kept__reads_back_what_was_kept),
        TEST(test_kept__says_whom_it_was_about_and_reads_what_older_versions_kept),
        TEST(test_kept__days_follow_the_clock_and_bound_what_is_read),
        TEST(test_kept__shows_nothing_and_every_changed_byte_is_noticed),
        TEST(test_kept__a_torn_end_is_counted_and_not_written_after),
        TEST(test_kept__a_survey_names_what_is_damaged_and_reads_the_rest),
        TEST(test_kept__says_since_when),
        TEST(test_kept__a_day_ends_with_its_key),
        TEST(test_kept__needs_the_key_of_the_day_and_nobody_else_may_read_it),
        TEST(test_kept__directory_records_are_written_once_for_each_node),
        TEST(test_kept__reports_when_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
