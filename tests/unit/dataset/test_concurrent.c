/* SPDX-License-Identifier: Apache-2.0
 *
 * Gets in several threads while another imports: each answer is of one state, that before an import
 * or that after it, and the sequence told with it is that state's.
 */
#include "tests/unit/dataset/fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define READERS 3
#define KEYS 40
#define IMPORTS 30

static const char yaml[] = "dataset: d\n"
                           "title: {en: D}\n"
                           "owner: o\n"
                           "sharing: conditional\n"
                           "key: [id]\n"
                           "fields:\n"
                           "  - {name: id, type: text, classification: sensitive, max_length: 9}\n"
                           "  - {name: n, type: integer, classification: secret}\n";

struct shared {
    struct store *s;
    atomic_bool done;
    atomic_uint gets, wrong; /* cmocka is for one thread: readers count, the test asserts */
};

/* Every import gives all KEYS records the value i and so KEYS sequence numbers. */
static int import_all(struct store *s, int i)
{
    struct import_report r;
    yz_error err;
    yz_buf csv;
    yzi_buf_init(&csv, 1u << 16);
    int rc = yzi_buf_put_str(&csv, "id,n\n");
    for (int k = 0; rc == 0 && k < KEYS; k++) {
        rc = yzi_buf_printf(&csv, "k%d,%d\n", k, i);
    }
    rc = rc == 0 ? fixture_import_bytes(s, yzi_bytes_buf(&csv), &r, &err) : rc;
    yzi_buf_fini(&csv);
    return rc;
}

static bool is_one_state(yz_bytes rows, const struct query_result *result)
{
    char text[24];
    yz_reader r = yzi_reader(rows);
    snprintf(text, sizeof text, "%llu", (unsigned long long)(result->sequence / KEYS));
    for (uint32_t i = 0; i < result->rows; i++) {
        struct query_value v;
        if (yzi_row_next(&r, &v) < 0 || !yzi_bytes_eq_str(v.v, text)) {
            return false;
        }
    }
    return result->rows == KEYS && r.left == 0 && result->sequence % KEYS == 0;
}

static void *read_all(void *ctx)
{
    struct shared *sh = ctx;
    char names[KEYS][16];
    struct query_value parts[KEYS];
    struct query_key keys[KEYS];
    for (int k = 0; k < KEYS; k++) {
        snprintf(names[k], sizeof names[k], "k%d", k);
        parts[k] = (struct query_value){.v = yzi_bytes_str(names[k])};
        keys[k] = (struct query_key){&parts[k], 1};
    }
    struct query q = {.operation = QUERY_GET, .keys = keys, .keys_n = KEYS};
    struct query_limits limits = {.rows = KEYS, .bytes = 1u << 16};
    static const unsigned projection[] = {1};
    yz_buf rows;
    yzi_buf_init(&rows, 1u << 16);
    do {
        struct query_result result = {0};
        struct query_fault fault;
        yzi_buf_clear(&rows);
        int rc = yzi_store_get(sh->s, yzi_store_dataset(sh->s), &q, projection, 1, NULL, &limits,
                               &rows, &result, &fault);
        if (rc < 0 || !is_one_state(yzi_bytes_buf(&rows), &result)) {
            atomic_fetch_add(&sh->wrong, 1);
        }
        atomic_fetch_add(&sh->gets, 1);
    } while (!atomic_load(&sh->done));
    yzi_buf_wipe(&rows);
    return NULL;
}

static void test_concurrent__a_get_sees_one_state(void **unused)
{
    (void)unused;
    struct fixture_dir dir;
    yz_secret key;
    pthread_t readers[READERS];
    fixture_dir_make(&dir);
    struct dataset *d = fixture_dataset(yaml);
    fixture_key(&key, 9);
    struct shared sh = {.s = fixture_open(dir.path, d, &key)};
    assert_int_equal(import_all(sh.s, 1), 0);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_all, &sh), 0);
    }
    int rc = 0;
    for (int i = 2; rc == 0 && i <= IMPORTS; i++) {
        rc = import_all(sh.s, i);
    }
    atomic_store(&sh.done, true);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(atomic_load(&sh.wrong), 0);
    assert_true(atomic_load(&sh.gets) >= READERS);
    yzi_store_close(sh.s);
    yzi_secret_fini(&key);
    yzi_dataset_unref(d);
    fixture_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_concurrent__a_get_sees_one_state)};
    return cmocka_run_group_tests_name("concurrent", tests, NULL, NULL);
}
