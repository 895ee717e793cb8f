/* SPDX-License-Identifier: Apache-2.0
 *
 * adapters/memory: verdicts, who waits, what is let go when, and many requests against a model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/memory.h"
#include "tests/support/alloc_fail.h"

static const yz_node_id w1 = {{(const uint8_t *)"CN/GOV/HB/@w1", 13}};
static const yz_node_id w2 = {{(const uint8_t *)"CN/GOV/HB/@w2", 13}};

static yz_uuid uuid(uint64_t n)
{
    yz_uuid id = {{0}};
    yzi_store_u64(id.b + 8, n);
    return id;
}

static yz_digest digest(uint64_t n)
{
    yz_digest d = {{0}};
    yzi_store_u64(d.b, n);
    return d;
}

/* Nobody has less than all. */
static void init(struct memory *m, size_t entries, size_t bytes)
{
    yzi_memory_init(m, &(struct memory_options){entries, bytes, entries, bytes});
}

static enum memory_verdict look(struct memory *m, uint64_t id, uint64_t message, unsigned who)
{
    yz_uuid u = uuid(id);
    yz_digest d = digest(message);
    return yzi_memory_look(m, w1, &u, &d, who, NULL);
}

static int begin(struct memory *m, uint64_t id, uint64_t message, unsigned who, uint64_t until)
{
    yz_uuid u = uuid(id);
    yz_digest d = digest(message);
    return yzi_memory_begin(m, w1, &u, &d, who, until);
}

static unsigned answer(struct memory *m, uint64_t id, const void *p, size_t n)
{
    yz_uuid u = uuid(id);
    return yzi_memory_answer(m, w1, &u, yzi_bytes(p, n));
}

static void test_memory__knows_running_answered_and_conflict(void **state)
{
    (void)state;
    struct memory m;
    init(&m, 10, 1000);
    assert_int_equal(look(&m, 1, 1, 0), MEMORY_NEW);
    assert_int_equal(yzi_memory_count(&m), 0); /* looking remembers nothing */
    assert_int_equal(begin(&m, 1, 1, 0, 100), 0);
    assert_int_equal(look(&m, 1, 1, 0), MEMORY_RUNNING);
    assert_int_equal(look(&m, 1, 2, 0), MEMORY_CONFLICT);
    assert_int_equal(begin(&m, 1, 1, 0, 100), YZ_EEXIST);
    yz_uuid u = uuid(1);
    yz_digest d = digest(2);
    assert_int_equal(yzi_memory_look(&m, w2, &u, &d, 0, NULL), MEMORY_NEW); /* another node's */
    assert_int_equal(answer(&m, 1, "answer", 6), 1);
    const struct remembered *r;
    d = digest(1);
    assert_int_equal(yzi_memory_look(&m, w1, &u, &d, 0, &r), MEMORY_ANSWERED);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&r->answer), "answer"));
    assert_int_equal(look(&m, 1, 2, 0), MEMORY_CONFLICT);
    assert_int_equal(answer(&m, 1, "other", 5), 0); /* the first stands */
    assert_int_equal(m.bytes, 6);
    yzi_memory_fini(&m);
}

static void test_memory__tells_who_waits(void **state)
{
    (void)state;
    struct memory m;
    init(&m, 10, 1000);
    assert_int_equal(begin(&m, 1, 1, 2, 100), 0);
    assert_int_equal(look(&m, 1, 1, 0), MEMORY_RUNNING);
    assert_int_equal(look(&m, 1, 9, 1), MEMORY_CONFLICT); /* waits for nothing */
    assert_int_equal(answer(&m, 1, "x", 1), 1u << 2 | 1u << 0);
    assert_int_equal(begin(&m, 2, 1, 3, 100), 0);
    yz_uuid u = uuid(2);
    assert_int_equal(yzi_memory_cancel(&m, w1, &u), 1u << 3);
    assert_int_equal(yzi_memory_cancel(&m, w1, &u), 0);
    assert_int_equal(answer(&m, 2, "x", 1), 0); /* nobody, nothing */
    assert_int_equal(look(&m, 2, 1, 0), MEMORY_NEW);
    yzi_memory_fini(&m);
}

static void test_memory__lets_the_oldest_answers_go_but_no_id(void **state)
{
    (void)state;
    struct memory m;
    char bytes[60] = {0};
    init(&m, 10, 100);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(begin(&m, i, i, 0, 100), 0);
    }
    assert_int_equal(answer(&m, 1, bytes, 40), 1);
    assert_int_equal(answer(&m, 0, bytes, 60), 1);
    assert_int_equal(m.bytes, 100);
    assert_int_equal(answer(&m, 2, bytes, 1), 1); /* 1 was answered first */
    assert_int_equal(look(&m, 1, 1, 0), MEMORY_LET_GO);
    assert_int_equal(look(&m, 1, 7, 0), MEMORY_CONFLICT);
    assert_int_equal(look(&m, 0, 0, 0), MEMORY_ANSWERED);
    assert_int_equal(m.bytes, 61);
    /* it may run again, as the very request it was */
    assert_int_equal(begin(&m, 1, 7, 0, 100), YZ_EEXIST);
    assert_int_equal(begin(&m, 1, 1, 3, 100), 0);
    assert_int_equal(look(&m, 1, 1, 3), MEMORY_RUNNING);
    assert_int_equal(answer(&m, 1, bytes, 2), 1u << 3);
    /* one larger than all there is room for is not kept, and costs no other */
    assert_int_equal(begin(&m, 4, 4, 0, 100), 0);
    char large[101] = {0};
    assert_int_equal(answer(&m, 4, large, sizeof large), 1);
    assert_int_equal(look(&m, 4, 4, 0), MEMORY_LET_GO);
    assert_int_equal(look(&m, 0, 0, 0), MEMORY_ANSWERED);
    assert_int_equal(m.bytes, 63);
    yzi_memory_fini(&m);
}

static void test_memory__full_of_ids_is_busy(void **state)
{
    (void)state;
    struct memory m;
    init(&m, 3, 1000);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(begin(&m, i, i, 0, 100 + i), 0);
    }
    assert_int_equal(answer(&m, 0, "x", 1), 1);
    assert_int_equal(begin(&m, 9, 9, 0, 100), YZ_EBUSY);
    yzi_memory_expire(&m, 100); /* still its last millisecond */
    assert_int_equal(begin(&m, 9, 9, 0, 100), YZ_EBUSY);
    yzi_memory_expire(&m, 101);
    assert_int_equal(yzi_memory_count(&m), 2);
    assert_int_equal(m.bytes, 0);
    assert_int_equal(begin(&m, 9, 9, 0, 300), 0);
    yzi_memory_expire(&m, 1000);
    assert_int_equal(yzi_memory_count(&m), 0);
    yzi_memory_fini(&m);
}

static void test_memory__that_is_answered_after_it_was_forgotten_is_fine(void **state)
{
    (void)state;
    struct memory m;
    init(&m, 3, 1000);
    assert_int_equal(begin(&m, 1, 1, 0, 10), 0);
    yzi_memory_expire(&m, 0);
    yzi_memory_expire(&m, 50);
    assert_int_equal(answer(&m, 1, "x", 1), 0);
    assert_int_equal(m.bytes, 0);
    yzi_memory_fini(&m);
}

static int begin_and_cancel(void *ctx)
{
    struct memory *m = ctx;
    YZ_TRY(begin(m, 1, 1, 0, 10));
    yz_uuid u = uuid(1);
    yzi_memory_cancel(m, w1, &u);
    return 0;
}

static void test_memory__without_memory_remembers_nothing_or_no_answer(void **state)
{
    (void)state;
    struct memory m;
    init(&m, 3, 1000);
    assert_int_equal(begin_and_cancel(&m), 0); /* the heap of times keeps its own */
    assert_true(yz_alloc_fail_each(begin_and_cancel, &m) >= 3);
    assert_int_equal(yzi_memory_count(&m), 0);
    assert_int_equal(begin(&m, 1, 1, 0, 10), 0);
    yz_alloc_fail_start(1);
    unsigned waits = answer(&m, 1, "answer", 6);
    yz_alloc_fail_stop();
    assert_int_equal(waits, 1); /* they get it all the same */
    assert_int_equal(look(&m, 1, 1, 0), MEMORY_LET_GO);
    assert_int_equal(m.bytes, 0);
    yzi_memory_fini(&m);
}

/* -- the model -- */

#define IDS 200u

static uint32_t random_u32(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

struct entry {
    enum remembered_state state; /* 0: not there */
    uint64_t until, answered_at;
    size_t n;
};

static void let_oldest_go(struct entry *e, size_t *bytes)
{
    struct entry *oldest = NULL;
    for (unsigned i = 0; i < IDS; i++) {
        if (e[i].state == REMEMBERED_ANSWERED &&
            (!oldest || e[i].answered_at < oldest->answered_at)) {
            oldest = &e[i];
        }
    }
    assert_non_null(oldest);
    oldest->state = REMEMBERED_LET_GO;
    *bytes -= oldest->n;
}

static void test_memory__agrees_with_a_model(void **state)
{
    (void)state;
    static struct entry model[IDS];
    static const uint8_t zeros[300];
    struct memory m;
    uint64_t seed = 3;
    uint64_t now = 0;
    size_t bytes = 0;
    size_t count = 0;
    init(&m, 150, 5000);
    for (unsigned round = 0; round < 100000; round++) {
        unsigned i = random_u32(&seed) % IDS;
        struct entry *e = &model[i];
        unsigned what = random_u32(&seed) % 16;
        if (what < 8) {
            uint64_t until = now + random_u32(&seed) % 300;
            int rc = begin(&m, i, i, 0, until);
            bool again = e->state == REMEMBERED_LET_GO;
            int expected = e->state ? (again ? 0 : YZ_EEXIST) : count < 150 ? 0 : YZ_EBUSY;
            assert_int_equal(rc, expected);
            if (rc == 0) {
                count += !again;
                *e = (struct entry){.state = REMEMBERED_RUNNING, .until = again ? e->until : until};
            }
        } else if (what < 13) {
            size_t n = random_u32(&seed) % sizeof zeros;
            unsigned waits = answer(&m, i, zeros, n);
            assert_int_equal(waits, e->state == REMEMBERED_RUNNING ? 1 : 0);
            if (waits) {
                while (bytes + n > 5000) {
                    let_oldest_go(model, &bytes);
                }
                bytes += n;
                e->state = REMEMBERED_ANSWERED;
                e->answered_at = round;
                e->n = n;
            }
        } else if (what < 14) {
            yz_uuid u = uuid(i);
            yzi_memory_cancel(&m, w1, &u);
            bytes -= e->state == REMEMBERED_ANSWERED ? e->n : 0;
            count -= e->state != 0;
            e->state = 0;
        } else {
            now += random_u32(&seed) % 20;
            yzi_memory_expire(&m, now);
            for (unsigned k = 0; k < IDS; k++) {
                if (model[k].state && model[k].until < now) {
                    bytes -= model[k].state == REMEMBERED_ANSWERED ? model[k].n : 0;
                    count--;
                    model[k].state = 0;
                }
            }
        }
        assert_int_equal(m.bytes, bytes);
        assert_int_equal(yzi_memory_count(&m), count);
    }
    yzi_memory_fini(&m);
}

/* One node fills its share, and the other still gets all of its own. */
static void test_memory__leaves_each_node_its_share(void **state)
{
    (void)state;
    struct memory m;
    yzi_memory_init(&m, &(struct memory_options){10, 1000, 3, 20});
    yz_digest d = digest(1);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(begin(&m, i, 1, 0, 100), 0);
    }
    assert_int_equal(begin(&m, 4, 1, 0, 100), YZ_EBUSY);
    for (uint64_t i = 1; i <= 3; i++) {
        yz_uuid u = uuid(i);
        assert_int_equal(yzi_memory_begin(&m, w2, &u, &d, 0, 200), 0);
        assert_int_equal(yzi_memory_answer(&m, w2, &u, yzi_bytes("0123456", 7)), 1);
    }
    assert_int_equal(m.bytes, 14); /* the first of three was let go */
    yz_uuid first = uuid(1), second = uuid(2);
    assert_int_equal(yzi_memory_look(&m, w2, &first, &d, 0, NULL), MEMORY_LET_GO);
    assert_int_equal(yzi_memory_look(&m, w2, &second, &d, 0, NULL), MEMORY_ANSWERED);
    assert_int_equal(answer(&m, 1, "01234567890123456789", 20), 1); /* all of w1's bytes */
    assert_int_equal(answer(&m, 2, "012345678901234567890", 21), 1);
    assert_int_equal(look(&m, 1, 1, 0), MEMORY_ANSWERED);
    assert_int_equal(look(&m, 2, 1, 0), MEMORY_LET_GO); /* larger than a share */
    assert_int_equal(yzi_memory_look(&m, w2, &second, &d, 0, NULL), MEMORY_ANSWERED);
    yzi_memory_expire(&m, 101);
    assert_int_equal(begin(&m, 4, 1, 0, 200), 0);
    assert_int_equal(m.bytes, 14);
    yzi_memory_expire(&m, 201);
    assert_int_equal(yzi_memory_count(&m), 0);
    assert_int_equal(yzi_table_count(&m.nodes), 0);
    assert_int_equal(m.bytes, 0);
    yzi_memory_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory__leaves_each_node_its_share),
        cmocka_unit_test(test_memory__knows_running_answered_and_conflict),
        cmocka_unit_test(test_memory__tells_who_waits),
        cmocka_unit_test(test_memory__lets_the_oldest_answers_go_but_no_id),
        cmocka_unit_test(test_memory__full_of_ids_is_busy),
        cmocka_unit_test(test_memory__that_is_answered_after_it_was_forgotten_is_fine),
        cmocka_unit_test(test_memory__without_memory_remembers_nothing_or_no_answer),
        cmocka_unit_test(test_memory__agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
