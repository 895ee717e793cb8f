/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/replay: verdicts, expiry, fullness, and many ids against a naive model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/secret.h"
#include "broker/replay.h"

#define MODEL 20000u

static yz_node_id node(const char *id)
{
    return (yz_node_id){yzi_bytes_str(id)};
}

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

static enum replay_verdict check(struct replay *r, uint64_t id, uint64_t message, uint64_t until,
                                 uint64_t now)
{
    enum replay_verdict v = 0;
    yz_uuid u = uuid(id);
    yz_digest d = digest(message);
    assert_int_equal(yzi_replay_check(r, node("CN/GOV/HB/@w1"), &u, &d, until, now, &v), 0);
    return v;
}

static struct replay *make(size_t capacity)
{
    struct replay *r;
    assert_int_equal(yzi_sodium_init(), 0);
    assert_int_equal(yzi_replay_new(capacity, NULL, &r), 0);
    return r;
}

static void test_replay__tells_new_again_and_conflict(void **state)
{
    (void)state;
    struct replay *r = make(100);
    assert_int_equal(check(r, 1, 1, 1000, 0), REPLAY_NEW);
    assert_int_equal(check(r, 1, 1, 1000, 0), REPLAY_AGAIN);
    assert_int_equal(check(r, 1, 2, 1000, 0), REPLAY_CONFLICT);
    assert_int_equal(check(r, 1, 1, 1000, 0), REPLAY_AGAIN);
    assert_int_equal(check(r, 2, 1, 1000, 0), REPLAY_NEW);
    enum replay_verdict v;
    yz_uuid u = uuid(1);
    yz_digest d = digest(2);
    assert_int_equal(yzi_replay_check(r, node("CN/GOV/HB/@w2"), &u, &d, 1000, 0, &v), 0);
    assert_int_equal(v, REPLAY_NEW); /* of another node */
    assert_int_equal(yzi_replay_count(r), 3);
    yzi_replay_free(r);
}

static void test_replay__tells_when_it_is_too_often(void **state)
{
    (void)state;
    struct replay *r = make(100);
    assert_int_equal(check(r, 1, 1, 1000, 0), REPLAY_NEW);
    assert_int_equal(REPLAY_RETRIES_MAX, 8); /* what the documents say */
    for (unsigned i = 0; i < REPLAY_RETRIES_MAX; i++) {
        assert_int_equal(check(r, 1, 1, 1000, 0), REPLAY_AGAIN);
    }
    assert_int_equal(check(r, 1, 1, 1000, 0), REPLAY_TOO_OFTEN);
    assert_int_equal(check(r, 1, 1, 1000, 0), REPLAY_TOO_OFTEN);
    yzi_replay_free(r);
}

static void test_replay__holds_an_id_to_its_last_millisecond(void **state)
{
    (void)state;
    struct replay *r = make(100);
    assert_int_equal(check(r, 1, 1, 1000, 0), REPLAY_NEW);
    assert_int_equal(check(r, 1, 1, 1000, 1000), REPLAY_AGAIN);
    assert_int_equal(check(r, 1, 2, 3000, 1001), REPLAY_NEW); /* swept or not */
    assert_int_equal(check(r, 1, 1, 3000, 1001), REPLAY_CONFLICT);
    assert_int_equal(yzi_replay_count(r), 1);
    yzi_replay_free(r);
}

static void test_replay__forgets_what_it_is_told_to(void **state)
{
    (void)state;
    struct replay *r = make(4);
    yz_uuid u = uuid(1);
    yzi_replay_forget(r, node("CN/GOV/HB/@w1"), &u); /* not there */
    assert_int_equal(check(r, 1, 1, 1000, 0), REPLAY_NEW);
    assert_int_equal(check(r, 2, 2, 1000, 0), REPLAY_NEW);
    yzi_replay_forget(r, node("CN/GOV/HB/@w1"), &u);
    assert_int_equal(yzi_replay_count(r), 1);
    assert_int_equal(check(r, 1, 7, 1000, 0), REPLAY_NEW);
    yzi_replay_free(r);
}

/* Many nodes, one id each. */
static int check_of(struct replay *r, uint64_t who, uint64_t until, uint64_t now)
{
    char id[32];
    snprintf(id, sizeof id, "CN/GOV/HB/@w%llu", (unsigned long long)who);
    enum replay_verdict v = 0;
    yz_uuid u = uuid(who);
    yz_digest d = digest(who);
    int rc = yzi_replay_check(r, node(id), &u, &d, until, now, &v);
    return rc < 0 ? rc : (int)v;
}

static void test_replay__full_refuses_and_recovers(void **state)
{
    (void)state;
    struct replay *r = make(5000); /* more than the first pool */
    for (uint64_t i = 0; i < 5000; i++) {
        assert_int_equal(check_of(r, i, i < 10 ? 500 : 1000, 0), REPLAY_NEW);
    }
    assert_int_equal(check_of(r, 9999, 1000, 500), YZ_EBUSY);
    assert_int_equal(check_of(r, 4999, 1000, 500), REPLAY_AGAIN); /* the known are known */
    /* the ten ran out: it finds them, though not all at once */
    unsigned taken = 0;
    for (unsigned i = 0; i < 64; i++) {
        taken += check_of(r, 10000 + i, 1000, 501) == REPLAY_NEW;
    }
    assert_int_equal(taken, 10);
    assert_int_equal(yzi_replay_count(r), 5000);
    for (uint64_t i = 0; i < 5000; i++) {
        assert_int_equal(check_of(r, 20000 + i, 9000, 1001), REPLAY_NEW);
    }
    assert_true(yzi_replay_count(r) <= 5000);
    yzi_replay_free(r);
}

/* Whatever a node asks, another finds room; and what ran out is its own again. */
static void test_replay__gives_a_node_as_much_as_is_free(void **state)
{
    (void)state;
    struct replay *r = make(3000);
    enum replay_verdict v;
    yz_digest d = digest(1);
    uint64_t mine = 0, theirs = 0;
    for (uint64_t i = 0; i < 6000; i++) {
        yz_uuid u = uuid(i);
        int rc = yzi_replay_check(r, node("CN/GOV/HB/@w1"), &u, &d, 1000, 0, &v);
        assert_true(rc == YZ_OK || rc == YZ_ELIMIT);
        mine += rc == YZ_OK;
    }
    assert_int_equal(mine, 1500);
    for (uint64_t i = 0; i < 6000; i++) {
        yz_uuid u = uuid(i);
        theirs += yzi_replay_check(r, node("CN/GOV/HB/@w2"), &u, &d, 2000, 0, &v) == YZ_OK;
    }
    assert_int_equal(theirs, 750);
    assert_int_equal(check_of(r, 77, 1000, 0), REPLAY_NEW);
    yz_uuid u = uuid(10000);
    unsigned tries = 0;
    while (yzi_replay_check(r, node("CN/GOV/HB/@w1"), &u, &d, 3000, 1001, &v) == YZ_ELIMIT) {
        assert_in_range(++tries, 0, 10);
    }
    assert_int_equal(v, REPLAY_NEW);
    yzi_replay_free(r);
}

static void test_replay__restores_what_was_recorded(void **state)
{
    (void)state;
    static const uint8_t key[REPLAY_KEY_BYTES] = {7};
    struct replay *r, *other;
    struct replay_record record;
    yz_uuid u = uuid(1), unknown = uuid(2);
    assert_int_equal(yzi_sodium_init(), 0);
    assert_int_equal(yzi_replay_new(2, key, &r), 0);
    assert_int_equal(yzi_replay_new(2, key, &other), 0);
    assert_int_equal(check(r, 1, 5, 1000, 0), REPLAY_NEW);
    assert_int_equal(yzi_replay_record(r, node("CN/GOV/HB/@w1"), &unknown, &record), YZ_ENOTFOUND);
    assert_int_equal(yzi_replay_record(r, node("CN/GOV/HB/@w1"), &u, &record), 0);
    assert_int_equal(yzi_replay_restore(other, &record, 1001), 0); /* it has run out */
    assert_int_equal(yzi_replay_count(other), 0);
    assert_int_equal(yzi_replay_restore(other, &record, 1000), 0);
    assert_int_equal(yzi_replay_restore(other, &record, 1000), 0); /* once */
    assert_int_equal(yzi_replay_count(other), 1);
    assert_int_equal(check(other, 1, 5, 1000, 500), REPLAY_AGAIN);
    assert_int_equal(check(other, 1, 6, 1000, 500), REPLAY_CONFLICT);
    /* more than the limit that holds now are remembered all the same */
    for (uint8_t i = 1; i <= 5; i++) {
        record.key[15] = (uint8_t)(record.key[15] + 1);
        assert_int_equal(yzi_replay_restore(other, &record, 500), 0);
    }
    assert_int_equal(yzi_replay_count(other), 6);
    assert_int_equal(check_of(other, 99, 1000, 500), YZ_EBUSY);
    yzi_replay_free(r);
    yzi_replay_free(other);
}

static void test_replay__refuses_an_absurd_capacity(void **state)
{
    (void)state;
    struct replay *r = NULL;
    assert_int_equal(yzi_replay_new(0, NULL, &r), YZ_EINVAL);
    assert_int_equal(yzi_replay_new(UINT32_MAX, NULL, &r), YZ_EINVAL);
    yzi_replay_free(NULL);
}

static uint32_t random_u32(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void test_replay__agrees_with_a_model(void **state)
{
    (void)state;
    static struct {
        uint64_t message, until;
        unsigned retries;
        bool there;
    } model[MODEL];
    struct replay *r = make((size_t)2 * MODEL + 2);
    uint64_t seed = 11;
    uint64_t now = 1000;
    for (unsigned round = 0; round < 40u * MODEL; round++) {
        now += random_u32(&seed) % 4 == 0;
        uint32_t i = random_u32(&seed) % MODEL;
        uint64_t message = random_u32(&seed) % 3;
        uint64_t until = now + random_u32(&seed) % 20000;
        bool there = model[i].there && model[i].until >= now;
        if (random_u32(&seed) % 16 == 0) {
            yz_uuid u = uuid(i);
            yzi_replay_forget(r, node("CN/GOV/HB/@w1"), &u);
            model[i].there = false;
            continue;
        }
        enum replay_verdict expected = !there                                    ? REPLAY_NEW
                                       : model[i].message != message             ? REPLAY_CONFLICT
                                       : ++model[i].retries > REPLAY_RETRIES_MAX ? REPLAY_TOO_OFTEN
                                                                                 : REPLAY_AGAIN;
        assert_int_equal(check(r, i, message, until, now), expected);
        if (!there) {
            model[i].message = message;
            model[i].until = until;
            model[i].retries = 0;
            model[i].there = true;
        }
    }
    size_t live = 0;
    for (unsigned i = 0; i < MODEL; i++) {
        live += model[i].there && model[i].until >= now;
    }
    assert_in_range(yzi_replay_count(r), live, 2 * MODEL);
    yzi_replay_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay__tells_new_again_and_conflict),
        cmocka_unit_test(test_replay__tells_when_it_is_too_often),
        cmocka_unit_test(test_replay__holds_an_id_to_its_last_millisecond),
        cmocka_unit_test(test_replay__forgets_what_it_is_told_to),
        cmocka_unit_test(test_replay__full_refuses_and_recovers),
        cmocka_unit_test(test_replay__gives_a_node_as_much_as_is_free),
        cmocka_unit_test(test_replay__restores_what_was_recorded),
        cmocka_unit_test(test_replay__refuses_an_absurd_capacity),
        cmocka_unit_test(test_replay__agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
