/* SPDX-License-Identifier: Apache-2.0
 *
 * 10,000 queries (gets, finds, counts) in several threads while another replaces everything again
 * and again: each answer is whole and of one generation, the one it says it is from; none is lost.
 */
#include "tests/unit/dataset/fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "adapters/dataset/find.h"

#define READERS 4
#define QUERIES 2500 /* of each reader */
#define RECORDS 60
#define GROUPS 3
#define REPLACEMENTS_MIN 5u

static const char yaml[] =
    "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [id]\nfields:\n"
    "  - {name: id, type: text, classification: sensitive, max_length: 9}\n"
    "  - {name: grp, type: text, classification: internal, max_length: 9}\n"
    "  - {name: n, type: integer, classification: secret}\n"
    "indexes:\n  - {name: by_grp, fields: [grp, id]}\n";

struct shared {
    struct store *s;
    atomic_uint answered, wrong, failed; /* cmocka is for one thread: readers count */
    atomic_uint readers_left;
    atomic_uint_fast64_t generations; /* bit set of those answered from, modulo 64 */
};

/* In state i every record has the value i; record k is in group (k + i) mod GROUPS, and there are
 * RECORDS + i mod 2 of them. */
static int write_state(yz_buf *csv, unsigned i)
{
    yzi_buf_clear(csv);
    YZ_TRY(yzi_buf_put_str(csv, "id,grp,n\n"));
    for (unsigned k = 0; k < RECORDS + i % 2; k++) {
        YZ_TRY(yzi_buf_printf(csv, "k%u,g%u,%u\n", k, (k + i) % GROUPS, i));
    }
    return 0;
}

static int replace(struct store *s, unsigned i)
{
    yz_buf csv;
    struct import_report report;
    yz_error err = {0};
    yzi_buf_init(&csv, 1u << 16);
    int rc = write_state(&csv, i);
    struct import_source src = {
        .fd = fixture_file(yzi_bytes_buf(&csv)), .name = "t.csv", .mode = IMPORT_REPLACE};
    rc = rc == 0 ? yzi_store_import(s, &src, &report, &err) : rc;
    close(src.fd);
    yzi_buf_fini(&csv);
    return rc;
}

static unsigned group_size(unsigned i, unsigned g)
{
    unsigned n = 0;
    for (unsigned k = 0; k < RECORDS + i % 2; k++) {
        n += (k + i) % GROUPS == g;
    }
    return n;
}

/* All values of the rows are of one state: the one whose number the rows hold. */
static bool is_one_state(yz_bytes rows, uint32_t n, unsigned *state)
{
    char text[16] = "";
    yz_reader r = yzi_reader(rows);
    for (uint32_t i = 0; i < n; i++) {
        struct query_value v;
        if (yzi_row_next(&r, &v) < 0 || v.v.n >= sizeof text) {
            return false;
        }
        if (i == 0) {
            memcpy(text, v.v.p, v.v.n);
            text[v.v.n] = '\0';
        }
        if (!yzi_bytes_eq_str(v.v, text)) {
            return false;
        }
    }
    *state = (unsigned)strtoul(text, NULL, 10);
    return r.left == 0;
}

static int find_group(struct store *s, unsigned g, enum query_operation operation, yz_buf *rows,
                      struct find_result *result)
{
    static const unsigned projection[] = {2};
    char group[16];
    yz_buf position;
    struct query_fault fault;
    snprintf(group, sizeof group, "g%u", g);
    struct query_value v = {.v = yzi_bytes_str(group)};
    struct query_condition c = {yzi_bytes_str("grp"), OP_EQ, &v, 1};
    struct query q = {.operation = operation, .filter = &c, .filter_n = 1};
    struct query_limits limits = {.rows = 1000, .bytes = 1u << 16};
    struct find_question question = {
        yzi_store_dataset(s), &q, projection, operation == QUERY_FIND, &limits, {0}, NULL};
    yzi_buf_init(&position, 4096);
    int rc = yzi_store_find(s, &question, rows, &position, result, &fault);
    yzi_buf_fini(&position);
    return rc;
}

static bool ask_find(struct shared *sh, unsigned g, yz_buf *rows, struct find_result *result)
{
    unsigned state = 0;
    if (find_group(sh->s, g, QUERY_FIND, rows, result) < 0) {
        atomic_fetch_add(&sh->failed, 1);
        return true;
    }
    return is_one_state(yzi_bytes_buf(rows), result->rows, &state) &&
           result->rows == group_size(state, g) && !result->more;
}

/* A count is of the states' sizes: which one, its generation's parity tells not, so any. */
static bool ask_count(struct shared *sh, unsigned g, yz_buf *rows, struct find_result *result)
{
    if (find_group(sh->s, g, QUERY_COUNT, rows, result) < 0) {
        atomic_fetch_add(&sh->failed, 1);
        return true;
    }
    bool any = false;
    for (unsigned i = 0; i < 2 * GROUPS; i++) {
        any = any || result->total == group_size(i, g);
    }
    return any && rows->n == 0;
}

static bool ask_get(struct shared *sh, unsigned k, yz_buf *rows)
{
    static const unsigned projection[] = {2};
    char id[2][16];
    struct query_value parts[2];
    struct query_key keys[2];
    for (unsigned i = 0; i < 2; i++) {
        snprintf(id[i], sizeof id[i], "k%u", (k + i) % RECORDS);
        parts[i] = (struct query_value){.v = yzi_bytes_str(id[i])};
        keys[i] = (struct query_key){&parts[i], 1};
    }
    struct query q = {.operation = QUERY_GET, .keys = keys, .keys_n = 2};
    struct query_limits limits = {.rows = 10, .bytes = 1u << 16};
    struct query_result result;
    struct query_fault fault;
    unsigned state;
    if (yzi_store_get(sh->s, yzi_store_dataset(sh->s), &q, projection, 1, NULL, &limits, rows,
                      &result, &fault) < 0) {
        atomic_fetch_add(&sh->failed, 1);
        return true;
    }
    return result.rows == 2 && is_one_state(yzi_bytes_buf(rows), 2, &state);
}

static void *read_on(void *ctx)
{
    struct shared *sh = ctx;
    yz_buf rows;
    yzi_buf_init(&rows, 1u << 16);
    for (unsigned i = 0; i < QUERIES; i++) {
        struct find_result result = {0};
        yzi_buf_clear(&rows);
        bool right = i % 3 == 0   ? ask_get(sh, i, &rows)
                     : i % 3 == 1 ? ask_find(sh, i % GROUPS, &rows, &result)
                                  : ask_count(sh, i / 3 % GROUPS, &rows, &result);
        atomic_fetch_add(&sh->answered, 1);
        atomic_fetch_add(&sh->wrong, !right);
        if (result.generation) {
            atomic_fetch_or(&sh->generations, UINT64_C(1) << (result.generation % 64));
        }
    }
    yzi_buf_fini(&rows);
    atomic_fetch_sub(&sh->readers_left, 1);
    return NULL;
}

static void test_find__answers_from_one_generation_while_others_come(void **unused)
{
    struct fixture_dir dir;
    yz_secret key;
    struct dataset *d = fixture_dataset(yaml);
    pthread_t threads[READERS];
    (void)unused;
    fixture_dir_make(&dir);
    fixture_key(&key, 5);
    struct shared sh = {.s = fixture_open(dir.path, d, &key), .readers_left = READERS};
    assert_int_equal(replace(sh.s, 0), 0);
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &sh), 0);
    }
    unsigned replaced = 0;
    while (atomic_load(&sh.readers_left) > 0 || replaced < REPLACEMENTS_MIN) {
        assert_int_equal(replace(sh.s, ++replaced), 0);
    }
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&sh.answered), READERS * QUERIES);
    assert_int_equal(atomic_load(&sh.failed), 0);
    assert_int_equal(atomic_load(&sh.wrong), 0);
    assert_true(atomic_load(&sh.generations) != 0);
    struct store_state st;
    assert_int_equal(yzi_store_state(sh.s, &st), 0);
    assert_int_equal(st.generation, replaced + 2);
    yzi_store_close(sh.s);
    yzi_secret_fini(&key);
    yzi_dataset_unref(d);
    fixture_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find__answers_from_one_generation_while_others_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
