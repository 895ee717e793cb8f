/* SPDX-License-Identifier: Apache-2.0
 *
 * base/lmdb: databases, pairs, cursors, and what readers see while others write.
 */
#include <pthread.h>

#include "tests/unit/base/lmdb_fixture.h"

/* ---- databases ---- */

static void test_handle__holds_to_its_flags_and_number(void **state)
{
    struct fixture *f = *state;
    db_handle h, again;
    char name[600];
    f->options.databases = 2;
    open_env(f);
    h = handle(f, "a", DB_DUP_SORT);
    again = handle(f, "a", DB_DUP_SORT);
    assert_int_equal(h.v, again.v);
    assert_int_equal(yzi_db_handle(f->env, "a", DB_PLAIN, &again), YZ_EINVAL);
    assert_int_equal(yzi_db_handle(f->env, "b", DB_DUP_FIXED, &again), YZ_EINVAL);
    assert_int_equal(yzi_db_handle(f->env, "b", 8, &again), YZ_EINVAL);
    assert_int_equal(yzi_db_handle(f->env, "", 0, &again), YZ_EINVAL);
    memset(name, 'n', sizeof name);
    name[512] = 0;
    assert_int_equal(yzi_db_handle(f->env, name, 0, &again), YZ_ELIMIT);
    name[511] = 0;
    handle(f, name, DB_PLAIN);
    assert_int_equal(yzi_db_handle(f->env, "c", 0, &again), YZ_ELIMIT);
    put_committed(f, h, "k", "v"); /* the refusals harmed nothing */
}

static void test_clear__empties_one_database(void **state)
{
    struct fixture *f = *state;
    uint64_t n;
    open_env(f);
    db_handle a = handle(f, "a", DB_PLAIN), b = handle(f, "b", DB_PLAIN);
    put_committed(f, a, "k", "v");
    put_committed(f, b, "k", "v");
    struct db_txn *t = begin_write(f);
    assert_int_equal(yzi_db_clear(t, a), YZ_OK);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
    t = begin_read(f);
    assert_int_equal(yzi_db_count(t, a, &n), YZ_OK);
    assert_int_equal(n, 0);
    has_value(t, b, "k", "v");
    yzi_db_abort(&t);
}

/* ---- pairs ---- */

static void test_put__any_replaces_and_new_refuses(void **state)
{
    struct fixture *f = *state;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN), d = handle(f, "d", DB_DUP_SORT);
    struct db_txn *t = begin_write(f);
    assert_int_equal(yzi_db_put(t, h, str("k"), str("1"), DB_PUT_NEW), YZ_OK);
    assert_int_equal(yzi_db_put(t, h, str("k"), str("2"), DB_PUT_NEW), YZ_EEXIST);
    has_value(t, h, "k", "1");
    assert_int_equal(put(t, h, "k", "3"), YZ_OK);
    has_value(t, h, "k", "3");
    assert_int_equal(yzi_db_put(t, d, str("k"), str("1"), DB_PUT_NEW), YZ_OK);
    assert_int_equal(yzi_db_put(t, d, str("k"), str("2"), DB_PUT_NEW), YZ_EEXIST);
    assert_int_equal(put(t, h, "k", "3"), YZ_OK);
    assert_int_equal(yzi_db_put(t, h, str("k"), str("x"), 4), YZ_EINVAL);
    assert_int_equal(yzi_db_commit(&t), YZ_OK); /* refusals do not spoil it */
}

static void test_put__empty_value_is_a_value(void **state)
{
    struct fixture *f = *state;
    yz_bytes v;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN);
    struct db_txn *t = begin_write(f);
    assert_int_equal(yzi_db_put(t, h, str("k"), yzi_bytes(NULL, 0), 0), YZ_OK);
    assert_int_equal(yzi_db_get(t, h, str("k"), &v), YZ_OK);
    assert_int_equal(v.n, 0);
    yzi_db_abort(&t);
}

static void test_put__bounds_keys_and_dup_values(void **state)
{
    struct fixture *f = *state;
    uint8_t big[513];
    yz_bytes v;
    memset(big, 'x', sizeof big);
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN), d = handle(f, "d", DB_DUP_SORT);
    struct db_txn *t = begin_write(f);
    yz_bytes most = yzi_bytes(big, YZ_DB_KEY_MAX), more = yzi_bytes(big, YZ_DB_KEY_MAX + 1);
    assert_int_equal(yzi_db_put(t, h, most, more, 0), YZ_OK);
    assert_int_equal(yzi_db_put(t, h, more, most, 0), YZ_ELIMIT);
    assert_int_equal(yzi_db_put(t, h, yzi_bytes(NULL, 0), most, 0), YZ_EINVAL);
    assert_int_equal(yzi_db_get(t, h, most, &v), YZ_OK);
    assert_int_equal(yzi_db_get(t, h, more, &v), YZ_ELIMIT);
    assert_int_equal(yzi_db_get(t, h, yzi_bytes(NULL, 0), &v), YZ_EINVAL);
    assert_int_equal(yzi_db_del(t, h, more, NULL), YZ_ELIMIT);
    assert_int_equal(yzi_db_put(t, d, most, most, 0), YZ_OK);
    assert_int_equal(yzi_db_put(t, d, most, more, 0), YZ_ELIMIT);
    assert_int_equal(yzi_db_del(t, d, most, &more), YZ_ELIMIT);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
}

static void test_put__integer_keys_sort_as_numbers(void **state)
{
    struct fixture *f = *state;
    static const uint64_t keys[] = {256, 1, UINT64_MAX, 0, 255, (uint64_t)1 << 40};
    static const uint64_t sorted[] = {0, 1, 255, 256, (uint64_t)1 << 40, UINT64_MAX};
    open_env(f);
    db_handle h = handle(f, "i", DB_INTEGER_KEY);
    struct db_txn *t = begin_write(f);
    struct db_cursor *c = NULL;
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(yzi_db_put(t, h, yzi_bytes(&keys[i], 8), str("v"), 0), YZ_OK);
    }
    assert_int_equal(yzi_db_put(t, h, yzi_bytes(&keys[0], 4), str("v"), 0), YZ_EINVAL);
    assert_int_equal(yzi_db_cursor_open(t, h, &c), YZ_OK);
    for (size_t i = 0; i < 6; i++) {
        yz_bytes k;
        assert_int_equal(yzi_db_cursor_move(c, DB_NEXT, &k, NULL), YZ_OK);
        assert_int_equal(k.n, 8);
        assert_memory_equal(k.p, &sorted[i], 8);
    }
    yz_bytes four = yzi_bytes(&keys[0], 4);
    assert_int_equal(yzi_db_cursor_move(c, DB_SEEK, &four, NULL), YZ_EINVAL);
    yzi_db_cursor_close(&c);
    yzi_db_abort(&t);
}

static void test_put__append_wants_order(void **state)
{
    struct fixture *f = *state;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN), d = handle(f, "d", DB_DUP_SORT);
    struct db_txn *t = begin_write(f);
    uint64_t n;
    for (int i = 0; i < 5000; i++) {
        char key[16];
        snprintf(key, sizeof key, "%08d", i);
        assert_int_equal(yzi_db_put(t, h, str(key), str("v"), DB_PUT_APPEND), YZ_OK);
        assert_int_equal(yzi_db_put(t, d, str(i < 2500 ? "a" : "b"), str(key), DB_PUT_APPEND),
                         YZ_OK);
    }
    assert_int_equal(yzi_db_put(t, h, str("00004999"), str("v"), DB_PUT_APPEND), YZ_EINVAL);
    assert_int_equal(yzi_db_put(t, h, str("0"), str("v"), DB_PUT_APPEND), YZ_EINVAL);
    assert_int_equal(yzi_db_put(t, d, str("b"), str("0"), DB_PUT_APPEND), YZ_EINVAL);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
    t = begin_read(f);
    assert_int_equal(yzi_db_count(t, h, &n), YZ_OK);
    assert_int_equal(n, 5000);
    assert_int_equal(yzi_db_count(t, d, &n), YZ_OK);
    assert_int_equal(n, 5000);
    yzi_db_abort(&t);
}

static void test_put_reserve__gives_room_to_write(void **state)
{
    struct fixture *f = *state;
    uint8_t *room = NULL;
    const size_t n = 100000; /* beyond a page */
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN), d = handle(f, "d", DB_DUP_SORT);
    struct db_txn *t = begin_write(f);
    assert_int_equal(yzi_db_put_reserve(t, h, str("k"), n, DB_PUT_NEW, &room), YZ_OK);
    memset(room, 7, n);
    assert_int_equal(yzi_db_put_reserve(t, h, str("k"), n, DB_PUT_NEW, &room), YZ_EEXIST);
    assert_int_equal(yzi_db_put_reserve(t, d, str("k"), 5, 0, &room), YZ_EINVAL);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
    t = begin_read(f);
    yz_bytes v;
    assert_int_equal(yzi_db_get(t, h, str("k"), &v), YZ_OK);
    assert_int_equal(v.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(v.p[i], 7);
    }
    yzi_db_abort(&t);
}

static void test_del__removes_a_pair_or_all_of_a_key(void **state)
{
    struct fixture *f = *state;
    uint64_t n;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN), d = handle(f, "d", DB_DUP_SORT);
    struct db_txn *t = begin_write(f);
    yz_bytes two = str("2"), nine = str("9");
    assert_int_equal(put(t, h, "k", "2"), YZ_OK);
    assert_int_equal(yzi_db_del(t, h, str("k"), &two), YZ_EINVAL);
    assert_int_equal(yzi_db_del(t, h, str("k"), NULL), YZ_OK);
    assert_int_equal(yzi_db_del(t, h, str("k"), NULL), YZ_ENOTFOUND);
    assert_int_equal(put(t, d, "k", "1"), YZ_OK);
    assert_int_equal(put(t, d, "k", "2"), YZ_OK);
    assert_int_equal(put(t, d, "k", "3"), YZ_OK);
    assert_int_equal(yzi_db_del(t, d, str("k"), &nine), YZ_ENOTFOUND);
    assert_int_equal(yzi_db_del(t, d, str("k"), &two), YZ_OK);
    assert_int_equal(yzi_db_count(t, d, &n), YZ_OK);
    assert_int_equal(n, 2);
    assert_int_equal(yzi_db_del(t, d, str("k"), NULL), YZ_OK);
    assert_int_equal(yzi_db_count(t, d, &n), YZ_OK);
    assert_int_equal(n, 0);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
}

static void test_dup_fixed__holds_values_of_one_length(void **state)
{
    struct fixture *f = *state;
    open_env(f);
    db_handle h = handle(f, "f", DB_DUP_SORT | DB_DUP_FIXED);
    struct db_txn *t = begin_write(f);
    for (uint32_t i = 0; i < 3000; i++) {
        uint8_t v[4];
        yzi_store_u32(v, i * 7919 % 3000);
        assert_int_equal(yzi_db_put(t, h, str("k"), yzi_bytes(v, 4), 0), YZ_OK);
    }
    struct db_cursor *c = NULL;
    yz_bytes k, v;
    assert_int_equal(yzi_db_cursor_open(t, h, &c), YZ_OK);
    for (uint32_t i = 0; i < 3000; i++) {
        assert_int_equal(yzi_db_cursor_move(c, DB_NEXT, &k, &v), YZ_OK);
        assert_int_equal(v.n, 4);
        assert_int_equal(yzi_load_u32(v.p), i);
    }
    yzi_db_cursor_close(&c);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
}

/* ---- cursors ---- */

static void test_cursor__moves(void **state)
{
    struct fixture *f = *state;
    struct db_cursor *c = NULL;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN);
    put_committed(f, h, "a", "1");
    put_committed(f, h, "c", "3");
    put_committed(f, h, "b", "2");
    struct db_txn *t = begin_read(f);
    assert_int_equal(yzi_db_cursor_open(t, h, &c), YZ_OK);
    expect_move(c, DB_NEXT, "a", "1");
    expect_move(c, DB_NEXT, "b", "2");
    expect_move(c, DB_NEXT, "c", "3");
    yz_bytes k = str("untouched"), v = k;
    assert_int_equal(yzi_db_cursor_move(c, DB_NEXT, &k, &v), YZ_ENOTFOUND);
    assert_true(yzi_bytes_eq_str(k, "untouched") && yzi_bytes_eq_str(v, "untouched"));
    expect_move(c, DB_FIRST, "a", "1");
    assert_int_equal(yzi_db_cursor_move(c, DB_PREV, &k, &v), YZ_ENOTFOUND);
    expect_move(c, DB_LAST, "c", "3");
    expect_move(c, DB_PREV, "b", "2");
    k = str("bb");
    assert_int_equal(yzi_db_cursor_move(c, DB_SEEK, &k, &v), YZ_OK);
    assert_true(yzi_bytes_eq_str(k, "c") && yzi_bytes_eq_str(v, "3"));
    k = yzi_bytes(NULL, 0);
    assert_int_equal(yzi_db_cursor_move(c, DB_SEEK, &k, NULL), YZ_OK);
    assert_true(yzi_bytes_eq_str(k, "a"));
    char beyond[600];
    memset(beyond, 'b', sizeof beyond); /* longer than any key, and still before "c" */
    k = yzi_bytes(beyond, sizeof beyond);
    assert_int_equal(yzi_db_cursor_move(c, DB_SEEK, &k, NULL), YZ_OK);
    assert_true(yzi_bytes_eq_str(k, "c"));
    k = str("d");
    assert_int_equal(yzi_db_cursor_move(c, DB_SEEK, &k, NULL), YZ_ENOTFOUND);
    assert_int_equal(yzi_db_cursor_move(c, DB_NEXT_DUP, &k, NULL), YZ_EINVAL);
    assert_int_equal(yzi_db_cursor_move(c, DB_FIRST_DUP, &k, NULL), YZ_EINVAL);
    assert_int_equal(yzi_db_cursor_del(c), YZ_EINVAL);
    yzi_db_cursor_close(&c);
    assert_null(c);
    yzi_db_cursor_close(&c);
    yzi_db_abort(&t);
}

static void test_cursor__on_nothing(void **state)
{
    struct fixture *f = *state;
    struct db_cursor *c = NULL;
    yz_bytes k = {0};
    open_env(f);
    db_handle h = handle(f, "d", DB_DUP_SORT);
    struct db_txn *t = begin_write(f);
    assert_int_equal(yzi_db_cursor_open(t, h, &c), YZ_OK);
    assert_int_equal(yzi_db_cursor_del(c), YZ_EINVAL);
    static const enum db_move moves[] = {DB_FIRST, DB_LAST, DB_NEXT, DB_PREV, DB_SEEK};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(yzi_db_cursor_move(c, moves[i], &k, NULL), YZ_ENOTFOUND);
    }
    assert_true(yzi_db_cursor_move(c, DB_FIRST_DUP, &k, NULL) < 0);
    assert_true(yzi_db_cursor_move(c, DB_NEXT_DUP, &k, NULL) < 0);
    yzi_db_cursor_close(&c);
    yzi_db_abort(&t);
}

static void test_cursor__walks_duplicates(void **state)
{
    struct fixture *f = *state;
    struct db_cursor *c = NULL;
    yz_bytes k, v;
    open_env(f);
    db_handle h = handle(f, "d", DB_DUP_SORT);
    struct db_txn *t = begin_write(f);
    assert_int_equal(put(t, h, "a", "2"), YZ_OK);
    assert_int_equal(put(t, h, "a", "1"), YZ_OK);
    assert_int_equal(put(t, h, "a", "3"), YZ_OK);
    assert_int_equal(put(t, h, "b", "9"), YZ_OK); /* a single one is stored in another way */
    assert_int_equal(yzi_db_cursor_open(t, h, &c), YZ_OK);
    expect_move(c, DB_FIRST, "a", "1");
    expect_move(c, DB_NEXT_DUP, "a", "2");
    expect_move(c, DB_NEXT_DUP, "a", "3");
    assert_int_equal(yzi_db_cursor_move(c, DB_NEXT_DUP, &k, &v), YZ_ENOTFOUND);
    expect_move(c, DB_FIRST_DUP, "a", "1");
    k = str("aa");
    assert_int_equal(yzi_db_cursor_move(c, DB_SEEK, &k, &v), YZ_OK);
    assert_true(yzi_bytes_eq_str(k, "b") && yzi_bytes_eq_str(v, "9"));
    expect_move(c, DB_FIRST_DUP, "b", "9");
    assert_int_equal(yzi_db_cursor_move(c, DB_NEXT_DUP, &k, &v), YZ_ENOTFOUND);
    expect_move(c, DB_PREV, "a", "3");
    yzi_db_cursor_close(&c);
    yzi_db_abort(&t);
}

/* Delete every third pair on the way, as retention does; what is left must be the other two. */
static void test_cursor_del__does_not_lose_its_place(void **state)
{
    struct fixture *f = *state;
    open_env(f);
    for (unsigned flags = DB_PLAIN; flags <= DB_DUP_SORT; flags++) {
        db_handle h = handle(f, flags ? "d" : "a", flags);
        struct db_txn *t = begin_write(f);
        struct db_cursor *c = NULL;
        char text[16];
        for (int i = 0; i < 3000; i++) {
            snprintf(text, sizeof text, "%06d", i);
            char key[16];
            snprintf(key, sizeof key, "%06d", flags ? i / 100 : i);
            assert_int_equal(put(t, h, key, text), YZ_OK);
        }
        assert_int_equal(yzi_db_cursor_open(t, h, &c), YZ_OK);
        yz_bytes k, v;
        int seen = 0;
        while (yzi_db_cursor_move(c, DB_NEXT, &k, &v) == YZ_OK) {
            snprintf(text, sizeof text, "%06d", seen);
            assert_true(yzi_bytes_eq_str(v, text));
            if (seen % 3 == 0) {
                assert_int_equal(yzi_db_cursor_del(c), YZ_OK);
            }
            seen++;
        }
        assert_int_equal(seen, 3000);
        yzi_db_cursor_close(&c);
        uint64_t n;
        assert_int_equal(yzi_db_count(t, h, &n), YZ_OK);
        assert_int_equal(n, 2000);
        assert_int_equal(yzi_db_commit(&t), YZ_OK);
    }
}

static void test_cursor__left_open_is_harmless(void **state)
{
    struct fixture *f = *state;
    struct db_cursor *c[3] = {0};
    yz_bytes k;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN);
    for (int write = 0; write < 2; write++) {
        struct db_txn *t = write ? begin_write(f) : begin_read(f);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(yzi_db_cursor_open(t, h, &c[i]), YZ_OK);
        }
        yzi_db_cursor_close(&c[1]);
        assert_int_equal(yzi_db_commit(&t), YZ_OK);
        assert_int_equal(yzi_db_cursor_move(c[0], DB_FIRST, &k, NULL), YZ_EINVAL);
        assert_int_equal(yzi_db_cursor_del(c[0]), YZ_EINVAL);
        yzi_db_cursor_close(&c[0]);
        yzi_db_cursor_close(&c[2]);
    }
}

/* ---- readers ---- */

static void test_read__sees_its_moment(void **state)
{
    struct fixture *f = *state;
    open_env(f);
    db_handle h = handle(f, "a", DB_PLAIN);
    put_committed(f, h, "k", "old");
    struct db_txn *before = begin_read(f);
    has_value(before, h, "k", "old");
    put_committed(f, h, "k", "new"); /* the same thread reads and writes: MDB_NOTLS */
    struct db_txn *after = begin_read(f);
    has_value(before, h, "k", "old");
    has_value(after, h, "k", "new");
    yzi_db_abort(&before);
    yzi_db_abort(&after);
}

static void test_read__bounds_their_number(void **state)
{
    struct fixture *f = *state;
    struct db_txn *t[4] = {0}, *more = NULL;
    f->options.readers = 4;
    open_env(f);
    for (int i = 0; i < 4; i++) {
        t[i] = begin_read(f);
    }
    assert_int_equal(yzi_db_begin_read(f->env, &more), YZ_EBUSY);
    assert_null(more);
    yzi_db_abort(&t[2]);
    t[2] = begin_read(f);
    for (int i = 0; i < 4; i++) {
        yzi_db_abort(&t[i]);
    }
}

#define ROUNDS 200
struct crew {
    struct fixture *f;
    db_handle h;
    _Atomic int done;
};

/* The writer keeps two values equal; whoever reads must find them so. */
static void *read_along(void *arg)
{
    struct crew *crew = arg;
    size_t wrong = 0;
    while (!crew->done) {
        struct db_txn *t = NULL;
        yz_bytes a, b;
        if (yzi_db_begin_read(crew->f->env, &t) < 0) {
            return (void *)1;
        }
        wrong += yzi_db_get(t, crew->h, str("a"), &a) < 0 ||
                 yzi_db_get(t, crew->h, str("b"), &b) < 0 || !yzi_bytes_eq(a, b);
        yzi_db_abort(&t);
    }
    return (void *)(uintptr_t)wrong;
}

static void *write_too(void *arg)
{
    struct crew *crew = arg;
    size_t wrong = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct db_txn *t = NULL;
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        wrong += yzi_db_begin_write(crew->f->env, &t) < 0 || put(t, crew->h, key, key) < 0 ||
                 yzi_db_commit(&t) < 0;
        yzi_db_abort(&t);
    }
    return (void *)(uintptr_t)wrong;
}

static void test_threads__read_while_others_write(void **state)
{
    struct fixture *f = *state;
    pthread_t readers[2], writer;
    void *wrong;
    open_env(f);
    struct crew crew = {.f = f, .h = handle(f, "a", DB_PLAIN)};
    struct db_txn *t = begin_write(f);
    assert_int_equal(put(t, crew.h, "a", "-"), YZ_OK);
    assert_int_equal(put(t, crew.h, "b", "-"), YZ_OK);
    assert_int_equal(yzi_db_commit(&t), YZ_OK);
    assert_int_equal(pthread_create(&readers[0], NULL, read_along, &crew), 0);
    assert_int_equal(pthread_create(&readers[1], NULL, read_along, &crew), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_too, &crew), 0);
    for (int i = 0; i < ROUNDS; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        t = begin_write(f); /* waits for the other writer */
        assert_int_equal(put(t, crew.h, "a", value), YZ_OK);
        assert_int_equal(put(t, crew.h, "b", value), YZ_OK);
        assert_int_equal(yzi_db_commit(&t), YZ_OK);
    }
    assert_int_equal(pthread_join(writer, &wrong), 0);
    assert_null(wrong);
    crew.done = 1;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(readers[i], &wrong), 0);
        assert_null(wrong);
    }
    t = begin_read(f);
    uint64_t n;
    assert_int_equal(yzi_db_count(t, crew.h, &n), YZ_OK);
    assert_int_equal(n, ROUNDS + 2);
    yzi_db_abort(&t);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_handle__holds_to_its_flags_and_number),
        TEST(test_clear__empties_one_database),
        TEST(test_put__any_replaces_and_new_refuses),
        TEST(test_put__empty_value_is_a_value),
        TEST(test_put__bounds_keys_and_dup_values),
        TEST(test_put__integer_keys_sort_as_numbers),
        TEST(test_put__append_wants_order),
        TEST(test_put_reserve__gives_room_to_write),
        TEST(test_del__removes_a_pair_or_all_of_a_key),
        TEST(test_dup_fixed__holds_values_of_one_length),
        TEST(test_cursor__moves),
        TEST(test_cursor__on_nothing),
        TEST(test_cursor__walks_duplicates),
        TEST(test_cursor_del__does_not_lose_its_place),
        TEST(test_cursor__left_open_is_harmless),
        TEST(test_read__sees_its_moment),
        TEST(test_read__bounds_their_number),
        TEST(test_threads__read_while_others_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
