/* SPDX-License-Identifier: Apache-2.0
 *
 * base/secret: protection between uses, moving, the slab.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sodium.h>

#include "base/secret.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/dies.h"

static void read_it(void *arg)
{
    *(volatile uint8_t *)arg;
}

static void write_it(void *arg)
{
    *(volatile uint8_t *)arg = 1;
}

static void test_secret__is_out_of_reach_while_closed(void **state)
{
    (void)state;
    yz_secret s = {0};
    assert_int_equal(yzi_secret_copy(&s, yzi_bytes_str("0123456789abcdef")), 0);
    assert_int_equal(s.n, 16);
    assert_true(yz_dies(read_it, s.p));
    const uint8_t *p = yzi_secret_open(&s);
    assert_memory_equal(p, "0123456789abcdef", 16);
    assert_false(yz_dies(read_it, s.p));
    assert_true(yz_dies(write_it, s.p));      /* open is for reading */
    assert_true(yz_dies(read_it, s.p + s.n)); /* the guard page begins where the secret ends */
    yzi_secret_close(&s);
    assert_true(yz_dies(read_it, s.p));
    yzi_secret_fini(&s);
    assert_null(s.p);
    yzi_secret_fini(&s);
}

static void test_secret__nested_opens_close_with_the_last(void **state)
{
    (void)state;
    yz_secret s = {0};
    assert_int_equal(yzi_secret_copy(&s, yzi_bytes_str("k")), 0);
    assert_ptr_equal(yzi_secret_open(&s), yzi_secret_open(&s));
    yzi_secret_close(&s);
    assert_false(yz_dies(read_it, s.p));
    yzi_secret_close(&s);
    assert_true(yz_dies(read_it, s.p));
    yzi_secret_fini(&s);
}

static void test_secret__random_ones_differ(void **state)
{
    (void)state;
    yz_secret a = {0}, b = {0};
    assert_int_equal(yzi_secret_random(&a, 32), 0);
    assert_int_equal(yzi_secret_random(&b, 32), 0);
    const uint8_t *p = yzi_secret_open(&a), *q = yzi_secret_open(&b);
    assert_memory_not_equal(p, q, 32);
    assert_false(yzi_bytes_is_zero(yzi_bytes(p, 32)));
    yzi_secret_fini(&a); /* also while open */
    yzi_secret_fini(&b);
}

static void test_secret__may_be_empty(void **state)
{
    (void)state;
    yz_secret s = {0};
    assert_int_equal(yzi_secret_copy(&s, (yz_bytes){0}), 0);
    assert_int_equal(s.n, 0);
    assert_non_null(yzi_secret_open(&s));
    yzi_secret_close(&s);
    yzi_secret_fini(&s);
}

static void move_onto(void *arg)
{
    yz_secret other = *(yz_secret *)arg;
    yzi_secret_move(arg, &other);
}

static void close_it(void *arg)
{
    yzi_secret_close(arg);
}

static void open_it(void *arg)
{
    yzi_secret_open(arg);
}

static void test_secret__moves_and_refuses_misuse(void **state)
{
    (void)state;
    yz_secret a = {0}, b = {0};
    assert_int_equal(yzi_secret_copy(&a, yzi_bytes_str("key")), 0);
    yzi_secret_move(&b, &a);
    assert_true(!a.p && a.n == 0 && b.n == 3);
    assert_memory_equal(yzi_secret_open(&b), "key", 3);
    yzi_secret_close(&b);
    assert_true(yz_dies(move_onto, &b)); /* would lose what is there */
    assert_true(yz_dies(close_it, &b));  /* was not open */
    assert_true(yz_dies(open_it, &a));   /* is empty */
    yzi_secret_fini(&b);
}

static void test_sodium__starts_as_often_as_asked(void **state)
{
    (void)state;
    assert_int_equal(yzi_sodium_init(), 0);
    assert_int_equal(yzi_sodium_init(), 0);
}

/* -- what cannot be locked -- not under the sanitizers: they make mlock do nothing and say yes --
 */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MLOCK_IS_REAL 0
#else
#define MLOCK_IS_REAL 1
#endif

#if MLOCK_IS_REAL

static void lock_limit(rlim_t bytes)
{
    struct rlimit r = {bytes, bytes};
    if (setrlimit(RLIMIT_MEMLOCK, &r) != 0) {
        _exit(2);
    }
}

/* Survives when it is given a secret although it may lock no memory. */
static void make_unlockable(void *arg)
{
    yzi_secret_require_lock(*(bool *)arg);
    lock_limit(0);
    yz_secret s = {0};
    int rc = yzi_secret_random(&s, 32);
    _exit(rc == YZ_ENOMEM && !s.p ? 3 : rc == 0 ? YZ_DIES_SURVIVED : 4);
}

static void test_secret__is_refused_when_it_cannot_be_locked(void **state)
{
    (void)state;
    /* Root may lock without limit: become nobody in the child, for which root is needed. */
    assert_int_equal(yzi_sodium_init(), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && setuid(65534) != 0) {
            _exit(2);
        }
        bool required = true, tolerated = false;
        _exit(yz_dies(make_unlockable, &required) && !yz_dies(make_unlockable, &tolerated) ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

#endif

/* -- slab -- */

static void test_slab__hands_out_zeroed_slots_until_full(void **state)
{
    (void)state;
    struct secret_slab *s = NULL;
    assert_int_equal(yzi_secret_slab_new(32, 300, &s), 0);
    uint8_t *slots[300];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 300; i++) {
            slots[i] = yzi_secret_slab_take(s);
            assert_non_null(slots[i]);
            assert_true(yzi_bytes_is_zero(yzi_bytes(slots[i], 32))); /* wiped on release */
            memset(slots[i], i & 0xff, 32);
        }
        assert_null(yzi_secret_slab_take(s));
        for (int i = 0; i < 300; i++) {
            for (int k = 0; k < 32; k++) {
                assert_int_equal(slots[i][k], i & 0xff);
            }
            uint8_t *slot = slots[i];
            yzi_secret_slab_release(s, slot);
            assert_true(yzi_bytes_is_zero(yzi_bytes(slot, 32))); /* readable: the slab stays open */
        }
    }
    yzi_secret_slab_release(s, NULL);
    yzi_secret_slab_free(s);
    yzi_secret_slab_free(NULL);
}

struct release {
    struct secret_slab *s;
    uint8_t *slot;
};

static void release_it(void *arg)
{
    struct release *r = arg;
    yzi_secret_slab_release(r->s, r->slot);
}

static void test_slab__refuses_what_is_not_a_slot_taken(void **state)
{
    (void)state;
    struct secret_slab *s = NULL;
    assert_int_equal(yzi_secret_slab_new(32, 4, &s), 0);
    uint8_t *slot = yzi_secret_slab_take(s), local[32];
    assert_false(yz_dies(release_it, &(struct release){s, slot}));
    assert_true(yz_dies(release_it, &(struct release){s, slot + 1}));
    assert_true(yz_dies(release_it, &(struct release){s, slot + 32})); /* not taken */
    assert_true(yz_dies(release_it, &(struct release){s, local}));
    yzi_secret_slab_release(s, slot);
    assert_true(yz_dies(release_it, &(struct release){s, slot})); /* twice */
    yzi_secret_slab_free(s);
}

static void test_slab__refuses_sizes_without_sense(void **state)
{
    (void)state;
    struct secret_slab *s = NULL;
    assert_int_equal(yzi_secret_slab_new(0, 4, &s), YZ_EINVAL);
    assert_int_equal(yzi_secret_slab_new(32, 0, &s), YZ_EINVAL);
    assert_int_equal(yzi_secret_slab_new(32, (size_t)UINT32_MAX + 1, &s), YZ_EINVAL);
    assert_int_equal(yzi_secret_slab_new(SIZE_MAX, 2, &s), YZ_ELIMIT);
    assert_null(s);
}

static int make_slab(void *ctx)
{
    (void)ctx;
    struct secret_slab *s;
    YZ_TRY(yzi_secret_slab_new(32, 100, &s));
    yzi_secret_slab_free(s);
    return 0;
}

static void test_slab__survives_every_failed_allocation(void **state)
{
    (void)state;
    assert_int_equal(yz_alloc_fail_each(make_slab, NULL), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret__is_out_of_reach_while_closed),
        cmocka_unit_test(test_secret__nested_opens_close_with_the_last),
        cmocka_unit_test(test_secret__random_ones_differ),
        cmocka_unit_test(test_secret__may_be_empty),
        cmocka_unit_test(test_secret__moves_and_refuses_misuse),
        cmocka_unit_test(test_sodium__starts_as_often_as_asked),
#if MLOCK_IS_REAL
        cmocka_unit_test(test_secret__is_refused_when_it_cannot_be_locked),
#endif
        cmocka_unit_test(test_slab__hands_out_zeroed_slots_until_full),
        cmocka_unit_test(test_slab__refuses_what_is_not_a_slot_taken),
        cmocka_unit_test(test_slab__refuses_sizes_without_sense),
        cmocka_unit_test(test_slab__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
