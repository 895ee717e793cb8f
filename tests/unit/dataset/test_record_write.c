/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing records: what each change does to the record, the indexes and the sequence, and that a
 * refused one does nothing.
 */
#include "tests/unit/dataset/fixture.h"

#include "adapters/dataset/record_write.h"

static const char yaml[] =
    "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [id]\nfields:\n"
    "  - {name: id, type: text, classification: public, max_length: 20}\n"
    "  - {name: a, type: text, classification: public}\n"
    "  - {name: b, type: text, classification: sensitive}\n"
    "indexes:\n"
    "  - {name: by_a, fields: [a], unique: true}\n"
    "  - {name: by_b_a, fields: [b, a]}\n";

struct world {
    struct fixture_dir dir;
    struct dataset *d;
    yz_secret key;
    struct store *s;
};

static int make_world(void **state)
{
    static struct world w;
    w = (struct world){.d = fixture_dataset(yaml)};
    fixture_dir_make(&w.dir);
    fixture_key(&w.key, 1);
    w.s = fixture_open(w.dir.path, w.d, &w.key);
    *state = &w;
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;
    yzi_store_close(w->s);
    yzi_secret_fini(&w->key);
    yzi_dataset_unref(w->d);
    fixture_dir_remove(&w->dir);
    return 0;
}

static struct query_value value(const char *text)
{
    return text ? (struct query_value){.v = yzi_bytes_str(text)}
                : (struct query_value){.null = true};
}

static int put(struct record_writer *w, const char *id, const char *a, const char *b,
               enum write_effect *effect)
{
    struct query_value values[] = {value(id), value(a), value(b)};
    struct write_conflict conflict;
    assert_int_equal(yzi_writer_seek(w, values), 0);
    int rc = yzi_writer_put(w, values, effect, &conflict);
    if (rc == YZ_EEXIST) {
        assert_string_equal(conflict.index->name, "by_a");
    }
    return rc;
}

static int delete (struct record_writer *w, const char *id)
{
    struct query_value values[] = {value(id), value(NULL), value(NULL)};
    assert_int_equal(yzi_writer_seek(w, values), 0);
    return yzi_writer_delete(w);
}

static uint64_t entries(struct record_writer *w, size_t index)
{
    uint64_t n;
    struct generation *g = yzi_writer_generation(w);
    assert_int_equal(yzi_db_count(yzi_writer_txn(w), g->indexes[index].db, &n), 0);
    return n;
}

/* The key of the one record an index names for these values. */
static void expect_entry(struct record_writer *w, size_t index, const char *a, const char *b,
                         const char *id)
{
    struct generation *g = yzi_writer_generation(w);
    struct query_value values[] = {value(NULL), value(a), value(b)};
    yz_buf entry;
    yz_bytes key;
    yzi_buf_init(&entry, 1u << 20);
    assert_int_equal(yzi_index_entry(g->layout.dataset, g->layout.keys,
                                     &g->layout.dataset->indexes[index], values, &entry),
                     0);
    int rc = yzi_db_get(yzi_writer_txn(w), g->indexes[index].db, yzi_bytes_buf(&entry), &key);
    assert_int_equal(rc, id ? 0 : YZ_ENOTFOUND);
    if (id) {
        assert_int_equal(key.n, strlen(id) + 1);
        assert_memory_equal(key.p, id, strlen(id) + 1);
    }
    yzi_buf_fini(&entry);
}

static struct record_writer *begin(struct world *w)
{
    struct record_writer *writer = NULL;
    assert_int_equal(yzi_writer_begin(w->s, &writer), 0);
    return writer;
}

static void test_record_write__keeps_record_index_and_sequence(void **state)
{
    struct world *world = *state;
    struct record_writer *w = begin(world);
    enum write_effect effect;
    uint64_t sequence;
    assert_int_equal(put(w, "1", "x", "p", &effect), 0);
    assert_int_equal(effect, WRITE_INSERTED);
    assert_int_equal(put(w, "2", "y", "p", &effect), 0);
    assert_int_equal(put(w, "1", "x", "p", &effect), 0);
    assert_int_equal(effect, WRITE_UNCHANGED);
    assert_int_equal(yzi_writer_sequence(w), 2);
    assert_int_equal(put(w, "1", "z", "p", &effect), 0);
    assert_int_equal(effect, WRITE_UPDATED);
    assert_int_equal(entries(w, 0), 2);
    expect_entry(w, 0, "x", NULL, NULL);
    expect_entry(w, 0, "z", NULL, "1");
    expect_entry(w, 1, "z", "p", "1");
    expect_entry(w, 1, "y", "p", "2");
    assert_int_equal(delete (w, "2"), 0);
    assert_int_equal(delete (w, "2"), YZ_ENOTFOUND);
    assert_int_equal(entries(w, 0), 1);
    assert_int_equal(entries(w, 1), 1);
    assert_int_equal(yzi_writer_commit(w, &sequence), 0);
    yzi_writer_end(&w);
    assert_int_equal(sequence, 4);
    char got[100];
    assert_int_equal(fixture_get(world->s, got, sizeof got, "1", "2", NULL), 0);
    assert_string_equal(got, "1|z|p\n");
}

static void test_record_write__unique_index_refuses_and_changes_nothing(void **state)
{
    struct record_writer *w = begin(*state);
    enum write_effect effect;
    assert_int_equal(put(w, "1", "x", "p", &effect), 0);
    assert_int_equal(put(w, "2", "y", "q", &effect), 0);
    assert_int_equal(put(w, "3", "x", "r", &effect), YZ_EEXIST);
    assert_int_equal(put(w, "2", "x", "s", &effect), YZ_EEXIST);
    assert_int_equal(yzi_writer_sequence(w), 2);
    assert_int_equal(entries(w, 0), 2);
    assert_int_equal(entries(w, 1), 2);
    expect_entry(w, 1, "y", "q", "2");
    /* no value is no equal value */
    assert_int_equal(put(w, "4", NULL, "p", &effect), 0);
    assert_int_equal(put(w, "5", NULL, "p", &effect), 0);
    /* what was left free can be taken */
    assert_int_equal(put(w, "1", "w", "p", &effect), 0);
    assert_int_equal(put(w, "3", "x", "r", &effect), 0);
    yzi_writer_end(&w);
}

static void test_record_write__values_beyond_a_key_are_told_apart(void **state)
{
    struct record_writer *w = begin(*state);
    enum write_effect effect;
    char a[2001], b[2001];
    memset(a, 'a', sizeof a - 1);
    memcpy(b, a, sizeof a - 1);
    a[2000] = b[2000] = '\0';
    b[1999] = 'b'; /* equal for 1,999 bytes */
    assert_int_equal(put(w, "1", a, NULL, &effect), 0);
    assert_int_equal(put(w, "2", b, NULL, &effect), 0);
    assert_int_equal(put(w, "3", a, NULL, &effect), YZ_EEXIST);
    expect_entry(w, 0, a, NULL, "1");
    expect_entry(w, 0, b, NULL, "2");
    assert_int_equal(delete (w, "1"), 0);
    assert_int_equal(put(w, "3", a, NULL, &effect), 0);
    yzi_writer_end(&w);
}

static void test_record_write__what_is_not_committed_never_was(void **state)
{
    struct world *world = *state;
    struct record_writer *w = begin(world);
    enum write_effect effect;
    struct store_state st;
    assert_int_equal(put(w, "1", "x", "p", &effect), 0);
    yzi_writer_end(&w);
    assert_int_equal(yzi_store_state(world->s, &st), 0);
    assert_int_equal(st.records, 0);
    assert_int_equal(st.sequence, 0);
    w = begin(world);
    assert_int_equal(entries(w, 0), 0);
    yzi_writer_end(&w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_record_write__keeps_record_index_and_sequence),
        TEST(test_record_write__unique_index_refuses_and_changes_nothing),
        TEST(test_record_write__values_beyond_a_key_are_told_apart),
        TEST(test_record_write__what_is_not_committed_never_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
