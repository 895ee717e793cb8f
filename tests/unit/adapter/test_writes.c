/* SPDX-License-Identifier: Apache-2.0
 *
 * adapters/writes: what is known after a restart, byte for byte; nothing forgotten before its time
 * and nothing new again after it; places.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/writes.h"
#include "base/file.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/world.h"

#define OK(call) assert_int_equal((call), YZ_OK)

static const yz_node_id w1 = {{(const uint8_t *)"CN/GOV/HB/@w1", 13}};
static const yz_node_id w2 = {{(const uint8_t *)"CN/GOV/HB/@w2", 13}};

struct fixture {
    char *dir;
    struct state *state;
    struct writes *w;
    size_t max, each;
};

static void open_writes(struct fixture *f)
{
    OK(yzi_state_open(f->dir, &f->state, NULL));
    struct writes_options o = {f->state, f->max, f->each};
    OK(yzi_writes_open(&o, &f->w, NULL));
}

static void close_writes(struct fixture *f)
{
    yzi_writes_close(f->w);
    yzi_state_close(f->state);
}

static void reopen(struct fixture *f)
{
    close_writes(f);
    open_writes(f);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->dir = yz_world_tmpdir();
    f->max = 1000;
    f->each = 1000;
    open_writes(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    close_writes(f);
    yz_world_rmdir(f->dir);
    free(f->dir);
    free(f);
    return 0;
}

static struct write_entry entry(yz_node_id node, uint64_t id, uint64_t message, uint64_t until,
                                const char *frame)
{
    struct write_entry e = {.node = node, .until = until, .frame = yzi_bytes_str(frame)};
    yzi_store_u64(e.id.b + 8, id);
    yzi_store_u64(e.digest.b, message);
    return e;
}

static void expect(struct fixture *f, struct write_entry e, enum write_verdict want,
                   const char *frame)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    enum write_verdict got;
    yzi_buf_init(&b, 1000);
    OK(yzi_writes_look(f->w, &e, &b, &got));
    assert_int_equal(got, want);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), frame));
}

static void begin(struct fixture *f, struct write_entry e, uint64_t now)
{
    OK(yzi_writes_reserve(f->w, e.node, NULL));
    OK(yzi_writes_begin(f->w, &e, 1, now));
    OK(e.rc);
}

static void test_writes__are_known_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct write_entry e = entry(w1, 1, 1, 500, "pending"), a = entry(w1, 1, 1, 500, "answer");
    expect(f, e, WRITE_NEW, "");
    begin(f, e, 10);
    for (int restarted = 0; restarted < 2; restarted++) {
        expect(f, e, WRITE_BEGAN, "pending");
        expect(f, entry(w1, 1, 2, 500, ""), WRITE_CONFLICT, "");
        expect(f, entry(w2, 1, 1, 500, ""), WRITE_NEW, ""); /* another node's */
        expect(f, entry(w1, 2, 1, 500, ""), WRITE_NEW, "");
        assert_int_equal(yzi_writes_count(f->w), 1);
        reopen(f);
    }
    OK(yzi_writes_answer(f->w, &a, 1));
    for (int restarted = 0; restarted < 2; restarted++) {
        expect(f, e, WRITE_ANSWERED, "answer");
        expect(f, entry(w1, 1, 2, 500, ""), WRITE_CONFLICT, "");
        assert_int_equal(yzi_writes_count(f->w), 1);
        reopen(f);
    }
}

static void test_writes__begin_once(void **state)
{
    struct fixture *f = *state;
    begin(f, entry(w1, 1, 1, 500, "first"), 10);
    struct write_entry both[] = {entry(w1, 1, 1, 500, "again"), entry(w1, 2, 1, 500, "other")};
    OK(yzi_writes_begin(f->w, both, 2, 10));
    assert_int_equal(both[0].rc, YZ_EEXIST);
    OK(both[1].rc);
    expect(f, both[0], WRITE_BEGAN, "first");
    expect(f, both[1], WRITE_BEGAN, "other");
}

static void test_writes__are_given_up_after_their_time_and_not_new_again(void **state)
{
    struct fixture *f = *state;
    begin(f, entry(w1, 1, 1, 100, "a"), 10);
    begin(f, entry(w2, 2, 1, 200, "b"), 10);
    begin(f, entry(w1, 3, 1, 300, "c"), 10);
    OK(yzi_writes_expire(f->w, 100)); /* the last moment */
    assert_int_equal(yzi_writes_count(f->w), 3);
    OK(yzi_writes_expire(f->w, 201));
    for (int restarted = 0; restarted < 2; restarted++) {
        expect(f, entry(w1, 1, 1, 100, ""), WRITE_FORGOTTEN, "");
        expect(f, entry(w2, 2, 1, 200, ""), WRITE_FORGOTTEN, "");
        expect(f, entry(w2, 9, 1, 150, ""), WRITE_FORGOTTEN, ""); /* may have been here */
        expect(f, entry(w2, 9, 1, 201, ""), WRITE_NEW, "");
        expect(f, entry(w1, 3, 1, 300, ""), WRITE_BEGAN, "c");
        assert_int_equal(yzi_writes_count(f->w), 1);
        reopen(f);
    }
}

static void test_writes__beginning_gives_up_what_is_over(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 0; i < 600; i++) { /* more than one transaction gives up */
        begin(f, entry(w1, i, 1, 100 + i, "a"), 10);
    }
    begin(f, entry(w1, 1000, 1, 5000, "b"), 4000);
    assert_true(yzi_writes_count(f->w) < 600);
    OK(yzi_writes_expire(f->w, 4000));
    assert_int_equal(yzi_writes_count(f->w), 1);
    expect(f, entry(w1, 1000, 1, 5000, ""), WRITE_BEGAN, "b");
    expect(f, entry(w1, 599, 1, 699, ""), WRITE_FORGOTTEN, "");
}

static void test_writes__are_busy_when_all_places_or_those_of_a_node_are_taken(void **state)
{
    struct fixture *f = *state;
    f->max = 3;
    f->each = 2;
    reopen(f);
    bool own;
    begin(f, entry(w1, 1, 1, 100, "a"), 10);
    OK(yzi_writes_reserve(f->w, w1, &own));
    assert_int_equal(yzi_writes_reserve(f->w, w1, &own), YZ_EBUSY);
    assert_true(own);
    OK(yzi_writes_reserve(f->w, w2, &own));
    assert_int_equal(yzi_writes_reserve(f->w, w2, &own), YZ_EBUSY);
    assert_false(own);
    yzi_writes_release(f->w, w1);
    OK(yzi_writes_reserve(f->w, w2, &own));
    reopen(f); /* what was only reserved is not there */
    assert_int_equal(yzi_writes_count(f->w), 1);
    OK(yzi_writes_reserve(f->w, w1, &own));
    assert_int_equal(yzi_writes_reserve(f->w, w1, &own), YZ_EBUSY);
    OK(yzi_writes_expire(f->w, 101));
    OK(yzi_writes_reserve(f->w, w1, &own));
}

struct step {
    struct fixture *f;
    uint64_t id;
};

/* A whole life; each attempt is another request, so that one that got half way is not met again. */
static int live(void *ctx)
{
    struct step *s = ctx;
    struct write_entry e = entry(w1, ++s->id, 1, 100, "frame");
    enum write_verdict verdict;
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, 100);
    YZ_TRY(yzi_writes_reserve(s->f->w, w1, NULL));
    int rc = yzi_writes_begin(s->f->w, &e, 1, 10);
    if (rc < 0) {
        yzi_writes_release(s->f->w, w1);
        return rc;
    }
    YZ_TRY(yzi_writes_answer(s->f->w, &e, 1));
    YZ_TRY(yzi_writes_look(s->f->w, &e, &b, &verdict));
    return yzi_writes_expire(s->f->w, 101);
}

static void test_writes__survive_running_out_of_memory(void **state)
{
    struct fixture *f = *state;
    struct step s = {f, 0};
    /* the first place of all allocates what is kept for the node */
    OK(yzi_writes_reserve(f->w, w1, NULL));
    assert_true(yz_alloc_fail_each(live, &s) > 4);
    assert_int_equal(yzi_writes_count(f->w), 1);
    yzi_writes_release(f->w, w1);
    assert_int_equal(yzi_writes_reserve(f->w, w1, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(test_writes__are_known_after_a_restart),
        T(test_writes__begin_once),
        T(test_writes__are_given_up_after_their_time_and_not_new_again),
        T(test_writes__beginning_gives_up_what_is_over),
        T(test_writes__are_busy_when_all_places_or_those_of_a_node_are_taken),
        T(test_writes__survive_running_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
