/* SPDX-License-Identifier: Apache-2.0
 *
 * A directory larger than a message: newer member sets are handed out page by page, and bundles go
 * over the administration socket as files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/broker/fixture.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define MIB ((size_t)1024 * 1024)
#define PADDING 900u /* subsystems that make a set of 248 KiB */
#define MANY 72u     /* of which more than 16 MiB */

static struct world_member *large_member(struct rig *r, unsigned i)
{
    char name[32];
    snprintf(name, sizeof name, "GOV/L%03u", i);
    struct world_member *m = yz_world_add_member(r->w, name);
    m->padding = PADDING;
    return m;
}

/* -- newer member sets -- */

static void give_large_sets(struct rig *r)
{
    for (unsigned i = 0; i < MANY; i++) {
        char id[40];
        snprintf(id, sizeof id, "CN/GOV/L%03u", i);
        struct world_member *m = yz_world_member(r->w, id);
        m->padding = PADDING;
        yz_world_change(m);
        YZ_AUTO(yzi_buf_fini) yz_buf set;
        yz_world_buf(&set);
        yz_world_put_set(m, &set);
        struct record record;
        yz_error err = {0};
        OK(yzi_record_parse(yzi_bytes_buf(&set), &record));
        OK(yzi_broker_take_record(r->b, &record, NULL, &err));
    }
}

/* The page after that member, whose last becomes `after`; how many sets are in it. */
static unsigned take_page(struct puppet *p, char after[64])
{
    struct fetch f = {.token = 77, .what = FETCH_STATEMENTS, .name = yzi_bytes_str(after)};
    YZ_AUTO(yzi_buf_fini) yz_buf frame;
    yzi_buf_init(&frame, YZ_HEADER_MAX);
    OK(yzi_fetch_write(&f, &frame));
    puppet_send(p, yzi_bytes_buf(&frame));
    struct object o;
    const struct frame *got;
    do {
        got = puppet_expect(p, FRAME_OBJECT);
        OK(yzi_object_parse(got->header, &o));
    } while (o.token != 77);
    assert_true(o.found && o.what == FETCH_STATEMENTS);
    assert_in_range(got->payload.n, 0, YZ_STATEMENTS_PAGE + YZ_RECORD_MAX);
    unsigned n = 0;
    for (yz_reader r = yzi_reader(got->payload); r.left; n++) {
        struct record record;
        struct member_set set;
        YZ_AUTO(yzi_arena_fini) struct arena arena;
        yzi_arena_init(&arena, 4 * MIB);
        OK(yzi_record_next(&r, &record));
        OK(yzi_member_set_parse(record.body, &arena, &set));
        assert_true(yzi_bytes_cmp(set.member.v, yzi_bytes_str(after)) > 0);
        snprintf(after, 64, "%.*s", (int)set.member.v.n, (const char *)set.member.v.p);
    }
    return n;
}

static void test_statements__larger_than_a_message_come_in_pages(void **state)
{
    struct rig *r = *state;
    for (unsigned i = 0; i < MANY; i++) {
        large_member(r, i)->padding = 0;
    }
    yz_world_publish(r->w);
    rig_give_directory(r);
    give_large_sets(r);
    assert_int_equal(yzi_directory_overlays_n(r->b->directory), MANY);
    YZ_AUTO(yzi_buf_fini) yz_buf all;
    yz_world_buf(&all);
    OK(yzi_directory_overlays(r->b->directory, &all));
    assert_true(all.n > YZ_MESSAGE_MAX);
    struct puppet *late = rig_join(r, "CN/GOV/HB/@w1");
    char after[64] = "";
    unsigned sets = 0, pages = 0, n;
    while ((n = take_page(late, after)) > 0) {
        sets += n;
        pages++;
    }
    assert_int_equal(sets, MANY);
    assert_in_range(pages, all.n / (YZ_STATEMENTS_PAGE + YZ_RECORD_MAX), MANY / 3);
    assert_int_equal(take_page(late, (char[64]){"CN/GOV/ZZZ"}), 0); /* beyond the last */
}

/* -- bundles -- */

struct admin_user {
    const struct rig *rig;
    const char *verb;
    yz_bytes payload;
    int fd, rc;
    yz_error err;
    pthread_t thread;
    _Atomic bool done;
};

static void *ask(void *arg)
{
    struct admin_user *u = arg;
    struct admin_request q = {.verb = yzi_bytes_str(u->verb)};
    u->rc = yzi_admin_call(u->rig->admin_path, &q, u->payload, u->fd, 60000, NULL, NULL, NULL, NULL,
                           &u->err);
    u->done = true;
    return NULL;
}

static int call(struct rig *r, const char *verb, yz_bytes payload, int fd)
{
    struct admin_user u = {.rig = r, .verb = verb, .payload = payload, .fd = fd};
    assert_int_equal(pthread_create(&u.thread, NULL, ask, &u), 0);
    while (!u.done) {
        rig_wait(r);
        rig_step(r);
    }
    pthread_join(u.thread, NULL);
    return u.rc;
}

static void test_bundle__larger_than_a_message_comes_and_goes_as_a_file(void **state)
{
    struct rig *r = *state;
    for (unsigned i = 0; i < MANY; i++) {
        large_member(r, i);
    }
    yz_world_publish(r->w);
    yz_bytes bundle = yzi_bytes_buf(&r->w->bundle);
    assert_true(bundle.n > YZ_MESSAGE_MAX);
    assert_int_equal(call(r, "directory.put", bundle, -1), YZ_ETOOBIG); /* no message holds it */
    int fd = memfd_create("bundle", MFD_CLOEXEC);
    OK(yzi_file_write_fd(fd, "bundle", bundle, NULL));
    OK(call(r, "directory.put", (yz_bytes){0}, fd)); /* read from its beginning */
    assert_int_equal(yzi_directory_version(r->b->directory), r->w->version);
    assert_int_equal(call(r, "directory.get", (yz_bytes){0}, -1), YZ_ETOOBIG);
    int out = memfd_create("out", MFD_CLOEXEC);
    OK(call(r, "directory.get", (yz_bytes){0}, out));
    YZ_AUTO(yzi_buf_fini) yz_buf got;
    yz_world_buf(&got);
    OK(yzi_file_read_fd(out, "out", &got, NULL));
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&got), bundle));
    close(fd);
    close(out);
}

/* A pipe could make the front wait for ever. */
static void test_bundle__in_a_pipe_is_refused(void **state)
{
    struct rig *r = *state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(call(r, "directory.put", (yz_bytes){0}, ends[0]), YZ_EIO);
    assert_int_equal(call(r, "directory.get", (yz_bytes){0}, ends[1]), YZ_EIO);
    OK(call(r, "status", (yz_bytes){0}, ends[0])); /* which takes no file */
    close(ends[0]);
    close(ends[1]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_set_up, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_statements__larger_than_a_message_come_in_pages),
        TEST(test_bundle__larger_than_a_message_comes_and_goes_as_a_file),
        TEST(test_bundle__in_a_pipe_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
