/* SPDX-License-Identifier: Apache-2.0
 *
 * Changing the definition of an open store: what fits is in force at once and migrated in place,
 * what does not leaves the former in force, and queries never see a mixture, whenever they began.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tests/unit/dataset/fixture.h"

#include "adapters/dataset/find.h"
#include "adapters/dataset/record_write.h"
#include "adapters/dataset/store_impl.h"

#define RECORDS 6000u
#define GROUPS 10u
#define HEAD                                                                                       \
    "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [id]\nfields:\n"             \
    "  - {name: id, type: integer, classification: public}\n"                                      \
    "  - {name: g, type: text, classification: internal, max_length: 20}\n"
#define NOTE "  - {name: note, type: text, classification: internal}\n"
#define BEFORE "  - {name: first, type: text, classification: internal}\n"
#define SECRET "  - {name: s, type: text, classification: secret, max_length: 20}\n"
#define BY_G "indexes:\n  - {name: by_g, fields: [g]}\n"
#define BY_BOTH "indexes:\n  - {name: by_id, fields: [id]}\n  - {name: by_g, fields: [g]}\n"

static const char plain[] = HEAD;
static const char indexed[] = HEAD BY_G;
static const char with_note[] = HEAD NOTE BY_BOTH;

struct world {
    struct fixture_dir dir;
    yz_secret key;
    struct store *s;
};

static void fill(struct store *s)
{
    yz_buf rows;
    struct import_report r;
    yzi_buf_init(&rows, 1u << 20);
    assert_int_equal(yzi_buf_put_str(&rows, "id,g\n"), 0);
    for (unsigned i = 0; i < RECORDS; i++) {
        assert_int_equal(yzi_buf_printf(&rows, "%u,g%u\n", i, i % GROUPS), 0);
    }
    assert_int_equal(fixture_import_bytes(s, yzi_bytes_buf(&rows), &r, NULL), 0);
    yzi_buf_fini(&rows);
}

static void open_as(struct world *w, const char *yaml, bool with_key)
{
    struct dataset *d = fixture_dataset(yaml);
    w->s = fixture_open(w->dir.path, d, with_key ? &w->key : NULL);
    yzi_dataset_unref(d); /* the store has its own */
}

static int make_world(void **state)
{
    static struct world w;
    w = (struct world){0};
    fixture_dir_make(&w.dir);
    fixture_key(&w.key, 1);
    open_as(&w, plain, true);
    fill(w.s);
    *state = &w;
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;
    yzi_store_close(w->s);
    yzi_secret_fini(&w->key);
    fixture_dir_remove(&w->dir);
    return 0;
}

static int redefine(struct store *s, const char *yaml, yz_error *err)
{
    bool changed;
    struct dataset *d = fixture_dataset(yaml);
    int rc = yzi_store_redefine(s, d, &changed, err);
    assert_int_equal(changed, rc == 0);
    yzi_dataset_unref(d);
    return rc;
}

static void build_all(struct store *s)
{
    bool more = true;
    while (more) {
        assert_int_equal(yzi_store_build_step(s, &more, NULL), 0);
    }
}

static int find(struct store *s, const struct dataset *d, enum query_operation operation,
                yz_bytes resume, yz_buf *position, struct find_result *out,
                struct query_fault *fault)
{
    static const unsigned projection[] = {0};
    yz_buf rows;
    struct query_value v = {.v = yzi_bytes_str("g3")};
    struct query_condition c = {yzi_bytes_str("g"), OP_EQ, &v, 1};
    struct query q = {.operation = operation, .filter = &c, .filter_n = 1};
    struct query_limits limits = {.rows = 100, .bytes = 1u << 20};
    struct find_question question = {d,       &q,     projection, operation == QUERY_FIND,
                                     &limits, resume, NULL};
    yzi_buf_init(&rows, 1u << 20);
    int rc = yzi_store_find(s, &question, &rows, position, out, fault);
    yzi_buf_fini(&rows);
    return rc;
}

static int count(struct store *s, const struct dataset *d, uint64_t *total,
                 struct query_fault *fault)
{
    yz_buf none = {0};
    struct find_result result = {0};
    int rc = find(s, d, QUERY_COUNT, (yz_bytes){0}, &none, &result, fault);
    *total = result.total;
    return rc;
}

static void expect_groups_right(struct store *s)
{
    uint64_t total;
    struct query_fault fault;
    assert_int_equal(count(s, yzi_store_dataset(s), &total, &fault), 0);
    assert_int_equal(total, RECORDS / GROUPS);
}

static void expect_records(struct store *s)
{
    uint64_t n;
    assert_int_equal(yzi_store_count(s, &n), 0);
    assert_int_equal(n, RECORDS);
}

/* -- what fits -- */

static void test_redefine__a_new_index_is_built_and_survives_a_restart(void **state)
{
    struct world *w = *state;
    yz_error err;
    uint64_t total;
    struct query_fault fault;
    assert_int_equal(redefine(w->s, indexed, &err), 0);
    assert_int_equal(count(w->s, yzi_store_dataset(w->s), &total, &fault), YZ_EINVAL);
    assert_string_equal(fault.reason, "index-building");
    build_all(w->s);
    expect_groups_right(w->s);
    assert_int_equal(redefine(w->s, with_note, &err), 0); /* by_g stays what it is */
    expect_groups_right(w->s);
    yzi_store_close(w->s);
    open_as(w, with_note, true);
    expect_groups_right(w->s);
    expect_records(w->s);
}

static void test_redefine__the_same_again_changes_nothing(void **state)
{
    struct world *w = *state;
    bool changed = true;
    yz_digest before = fixture_dir_digest(w->dir.path);
    struct dataset *d = fixture_dataset(plain);
    assert_int_equal(yzi_store_redefine(w->s, d, &changed, NULL), 0);
    assert_false(changed);
    yzi_dataset_unref(d);
    yz_digest after = fixture_dir_digest(w->dir.path);
    assert_memory_equal(before.b, after.b, sizeof after.b);
}

static void test_redefine__a_broken_index_is_tried_again(void **state)
{
    static const char unique[] = HEAD "indexes:\n  - {name: by_g, fields: [g], unique: true}\n";
    struct world *w = *state;
    struct store_state st;
    yz_error err;
    bool more;
    assert_int_equal(redefine(w->s, unique, &err), 0);
    assert_int_equal(yzi_store_build_step(w->s, &more, &err), YZ_EEXIST);
    assert_int_equal(yzi_store_to_build(w->s), 0);
    assert_int_equal(redefine(w->s, unique, &err), 0);
    assert_int_equal(yzi_store_state(w->s, &st), 0);
    assert_int_equal(st.indexes_building, 1);
    assert_int_equal(st.indexes_broken, 0);
}

static void test_redefine__a_field_is_added_before_others(void **state)
{
    static const char yaml[] =
        "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [id]\nfields:\n" BEFORE
        "  - {name: id, type: integer, classification: public}\n"
        "  - {name: g, type: text, classification: internal, max_length: 20}\n" SECRET;
    struct world *w = *state;
    char got[200];
    struct import_report r;
    assert_int_equal(redefine(w->s, yaml, NULL), 0);
    assert_int_equal(fixture_get(w->s, got, sizeof got, "7", NULL), 0);
    assert_string_equal(got, "~|7|g7|~\n");
    assert_int_equal(fixture_import(w->s, "first,id,g,s\nf,7,h,hidden\n", &r, NULL), 0);
    assert_int_equal(fixture_get(w->s, got, sizeof got, "7", NULL), 0);
    assert_string_equal(got, "f|7|h|hidden\n");
}

static void test_redefine__an_empty_store_takes_any_definition(void **state)
{
    static const char other[] =
        "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [n]\nfields:\n"
        "  - {name: n, type: text, classification: public}\n";
    struct world *w = *state;
    struct fixture_dir dir;
    char got[100];
    struct import_report r;
    fixture_dir_make(&dir);
    struct dataset *d = fixture_dataset(plain);
    struct store *s = fixture_open(dir.path, d, &w->key);
    yzi_dataset_unref(d);
    assert_int_equal(redefine(s, other, NULL), 0);
    assert_int_equal(fixture_import(s, "n\nx\n", &r, NULL), 0);
    assert_int_equal(fixture_get(s, got, sizeof got, "x", NULL), 0);
    assert_string_equal(got, "x\n");
    yzi_store_close(s);
    fixture_dir_remove(&dir);
}

/* -- what does not -- */

static void expect_refused(struct world *w, const char *yaml, const char *says)
{
    yz_error err;
    const struct dataset *before = yzi_store_dataset(w->s);
    assert_int_equal(redefine(w->s, yaml, &err), YZ_ECONFIG);
    assert_non_null(strstr(err.text, says));
    assert_non_null(strstr(err.text, "import everything into a new store folder"));
    assert_ptr_equal(yzi_store_dataset(w->s), before);
    expect_groups_right(w->s);
}

static void test_redefine__what_does_not_fit_leaves_the_former_in_force(void **state)
{
    struct world *w = *state;
    assert_int_equal(redefine(w->s, indexed, NULL), 0);
    build_all(w->s);
    expect_refused(w,
                   "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [id]\n"
                   "fields:\n  - {name: id, type: integer, classification: public}\n",
                   "the stored field 'g' is not in the definition");
    expect_refused(w,
                   "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [id]\n"
                   "fields:\n  - {name: id, type: integer, classification: public}\n"
                   "  - {name: g, type: text, classification: secret}\n",
                   "the field 'g' is stored in the clear");
    expect_refused(w,
                   "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [g]\n"
                   "fields:\n  - {name: id, type: integer, classification: public}\n"
                   "  - {name: g, type: text, classification: internal, max_length: 20}\n",
                   "under another key");
    /* and writes go on by it */
    struct import_report r;
    assert_int_equal(fixture_import(w->s, "id,g\n3,g4\n13,g4\n", &r, NULL), 0);
    assert_int_equal(fixture_import(w->s, "id,g\n3,g3\n13,g3\n", &r, NULL), 0);
    expect_groups_right(w->s);
}

static void test_redefine__sensitive_fields_need_the_storage_key(void **state)
{
    struct world *w = *state;
    yz_error err;
    yzi_store_close(w->s);
    open_as(w, plain, false);
    assert_int_equal(redefine(w->s, HEAD SECRET, &err), YZ_EINVAL);
    assert_non_null(strstr(err.text, "needs a storage key"));
    expect_records(w->s);
}

static void test_redefine__too_many_indexes_since_the_start(void **state)
{
    struct world *w = *state;
    yz_error err;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < 200; i++) {
        char yaml[1000];
        snprintf(yaml, sizeof yaml, HEAD "indexes:\n  - {name: i%u, fields: [g]}\n", i);
        rc = redefine(w->s, yaml, &err);
    }
    assert_int_equal(rc, YZ_ELIMIT);
    assert_non_null(strstr(err.text, "start the adapter again"));
    build_all(w->s);
    expect_groups_right(w->s);
}

/* -- queries that began before -- */

static void test_redefine__who_began_before_ends_on_what_it_sees(void **state)
{
    struct world *w = *state;
    uint64_t sequence, total;
    struct query_fault fault;
    struct db_txn *t = NULL, *late = NULL;
    assert_int_equal(redefine(w->s, indexed, NULL), 0);
    build_all(w->s);
    const struct dataset *former = yzi_store_ref_dataset(w->s);
    struct generation *g = yzi_generation_pin(w->s);
    assert_int_equal(yzi_db_begin_read(g->env, &t), 0);
    assert_int_equal(redefine(w->s, with_note, NULL), 0);
    assert_int_equal(redefine(w->s, HEAD NOTE, NULL), 0); /* by_g is emptied */
    assert_int_equal(yzi_generation_sequence(g, t, &sequence), 0);
    assert_int_equal(yzi_db_count(t, g->indexes[0].db, &total), 0);
    assert_int_equal(total, RECORDS);
    yzi_db_abort(&t);
    /* a transaction that begins now sees what the former definition does not describe */
    assert_int_equal(yzi_db_begin_read(g->env, &late), 0);
    assert_int_equal(yzi_generation_sequence(g, late, &sequence), YZ_EAGAIN);
    yzi_db_abort(&late);
    yzi_generation_unpin(&g);
    assert_int_equal(count(w->s, former, &total, &fault), YZ_EAGAIN);
    yzi_dataset_unref(former);
}

static void test_redefine__a_replacement_waits_for_nobody(void **state)
{
    struct world *w = *state;
    struct import_report r;
    struct generation *first = yzi_generation_pin(w->s);
    assert_int_equal(redefine(w->s, indexed, NULL), 0);
    struct generation *second = yzi_generation_pin(w->s);
    struct import_source src = {
        .fd = fixture_file(yzi_bytes_str("id,g\n1,g3\n")), .name = "f", .mode = IMPORT_REPLACE};
    assert_int_equal(yzi_store_import(w->s, &src, &r, NULL), 0);
    close(src.fd);
    struct db_txn *t = NULL;
    uint64_t n;
    yzi_generation_unpin(&second);
    assert_int_equal(yzi_db_begin_read(first->env, &t), 0); /* it is there as long as it is used */
    assert_int_equal(yzi_db_count(t, first->records, &n), 0);
    assert_int_equal(n, RECORDS);
    yzi_db_abort(&t);
    yzi_generation_unpin(&first);
    assert_int_equal(count(w->s, yzi_store_dataset(w->s), &n, &(struct query_fault){0}), 0);
    assert_int_equal(n, 1);
}

static void test_redefine__pages_go_on_when_indexes_move(void **state)
{
    struct world *w = *state;
    yz_buf position, next;
    struct find_result result;
    struct query_fault fault;
    yzi_buf_init(&position, 2000);
    yzi_buf_init(&next, 2000);
    assert_int_equal(redefine(w->s, indexed, NULL), 0);
    build_all(w->s);
    assert_int_equal(
        find(w->s, yzi_store_dataset(w->s), QUERY_FIND, (yz_bytes){0}, &position, &result, &fault),
        0);
    assert_true(result.more);
    assert_int_equal(redefine(w->s, with_note, NULL), 0); /* by_g is the second now */
    assert_int_equal(find(w->s, yzi_store_dataset(w->s), QUERY_FIND, yzi_bytes_buf(&position),
                          &next, &result, &fault),
                     0);
    assert_int_equal(result.rows, 100);
    assert_string_equal(result.note.index, "by_g");
    assert_int_equal(redefine(w->s, HEAD NOTE, NULL), 0); /* and gone now */
    assert_int_equal(find(w->s, yzi_store_dataset(w->s), QUERY_FIND, yzi_bytes_buf(&position),
                          &next, &result, &fault),
                     YZ_EINVAL);
    assert_string_equal(fault.reason, "bad-cursor");
    yzi_buf_fini(&position);
    yzi_buf_fini(&next);
}

/* -- all at once -- */

#define READERS 2u
#define CHANGES 40u

struct shared {
    struct store *s;
    _Atomic bool done;
    _Atomic unsigned answered, again, wrong;
};

/* Every definition here has by_g whole: each question is answered, and rightly, once judged by the
 * definition in force. */
static void *ask(void *ctx)
{
    struct shared *sh = ctx;
    while (!atomic_load(&sh->done)) {
        uint64_t total;
        struct query_fault fault;
        const struct dataset *d = yzi_store_ref_dataset(sh->s);
        int rc = count(sh->s, d, &total, &fault);
        if (rc == YZ_EAGAIN) {
            atomic_fetch_add(&sh->again, 1);
        } else {
            atomic_fetch_add(&sh->answered, 1);
            atomic_fetch_add(&sh->wrong, rc < 0 || total != RECORDS / GROUPS);
        }
        yzi_dataset_unref(d);
    }
    return NULL;
}

static void change(struct store *s, unsigned i)
{
    char yaml[1000], row[64];
    struct import_report r;
    snprintf(yaml, sizeof yaml, HEAD NOTE "indexes:\n%s  - {name: by_g, fields: [g]}\n# %u\n",
             i % 2 ? "  - {name: by_note, fields: [note]}\n" : "", i);
    assert_int_equal(redefine(s, yaml, NULL), 0);
    snprintf(row, sizeof row, "id,g,note\n%u,g%u,n%u\n", i, i % GROUPS, i);
    assert_int_equal(fixture_import(s, row, &r, NULL), 0); /* rows with one more field */
    build_all(s);
}

static void test_redefine__answers_go_on_all_the_time(void **state)
{
    struct world *w = *state;
    pthread_t threads[READERS];
    struct shared sh = {.s = w->s};
    assert_int_equal(redefine(w->s, indexed, NULL), 0);
    build_all(w->s);
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &sh), 0);
    }
    for (unsigned i = 0; i < CHANGES || atomic_load(&sh.answered) < CHANGES; i++) {
        change(w->s, i % CHANGES);
    }
    atomic_store(&sh.done, true);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&sh.wrong), 0);
    expect_groups_right(w->s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_redefine__a_new_index_is_built_and_survives_a_restart),
        TEST(test_redefine__the_same_again_changes_nothing),
        TEST(test_redefine__a_broken_index_is_tried_again),
        TEST(test_redefine__a_field_is_added_before_others),
        TEST(test_redefine__an_empty_store_takes_any_definition),
        TEST(test_redefine__what_does_not_fit_leaves_the_former_in_force),
        TEST(test_redefine__sensitive_fields_need_the_storage_key),
        TEST(test_redefine__too_many_indexes_since_the_start),
        TEST(test_redefine__who_began_before_ends_on_what_it_sees),
        TEST(test_redefine__a_replacement_waits_for_nobody),
        TEST(test_redefine__pages_go_on_when_indexes_move),
        TEST(test_redefine__answers_go_on_all_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
