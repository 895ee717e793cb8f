/* SPDX-License-Identifier: Apache-2.0
 *
 * Generations: what is loaded beside shows only when it is published, whoever began before ends on
 * the old one, and whatever a crash leaves the next start has one whole generation and no more.
 */
#include "tests/unit/dataset/fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/dataset/record_write.h"
#include "base/file.h"

static const char yaml[] =
    "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [id]\nfields:\n"
    "  - {name: id, type: text, classification: public, max_length: 20}\n"
    "  - {name: a, type: text, classification: sensitive}\n"
    "indexes:\n  - {name: by_a, fields: [a]}\n";

struct world {
    struct fixture_dir dir;
    struct dataset *d;
    yz_secret key;
    struct store *s;
};

static void open_world(struct world *w)
{
    w->s = fixture_open(w->dir.path, w->d, &w->key);
}

static int make_world(void **state)
{
    static struct world w;
    struct import_report r;
    yz_error err;
    w = (struct world){.d = fixture_dataset(yaml)};
    fixture_dir_make(&w.dir);
    fixture_key(&w.key, 1);
    open_world(&w);
    assert_int_equal(fixture_import(w.s, "id,a\n1,one\n2,two\n", &r, &err), 0);
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

static void load(struct generation *g, const char *id, const char *a)
{
    struct record_writer *w = NULL;
    enum write_effect effect;
    uint64_t sequence;
    struct query_value values[] = {{.v = yzi_bytes_str(id)}, {.v = yzi_bytes_str(a)}};
    assert_int_equal(yzi_writer_begin_in(g, &w), 0);
    assert_int_equal(yzi_writer_seek(w, values), 0);
    assert_int_equal(yzi_writer_put(w, values, &effect, NULL), 0);
    assert_int_equal(yzi_writer_commit(w, &sequence), 0);
    yzi_writer_end(&w);
}

static struct generation *begin(struct world *w, enum generation_start start)
{
    struct generation *g = NULL;
    yz_error err = {0};
    if (yzi_generation_begin(w->s, start, &g, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return g;
}

static void expect(struct world *w, const char *text, uint64_t generation, uint64_t sequence)
{
    char got[200];
    struct store_state state;
    assert_int_equal(fixture_get(w->s, got, sizeof got, "1", "2", "3", NULL), 0);
    assert_string_equal(got, text);
    assert_int_equal(yzi_store_state(w->s, &state), 0);
    assert_int_equal(state.generation, generation);
    assert_int_equal(state.sequence, sequence);
}

static bool has(const struct world *w, const char *name)
{
    char *path = NULL;
    assert_int_equal(yzi_path_join(w->dir.path, name, &path), 0);
    bool there = yzi_file_exists(path);
    free(path);
    return there;
}

static void test_generation__shows_when_published(void **state)
{
    struct world *w = *state;
    yz_error err = {0};
    struct generation *g = begin(w, GENERATION_EMPTY);
    load(g, "3", "three");
    expect(w, "1|one\n2|two\n", 1, 2);
    struct generation *old = yzi_generation_pin(w->s);
    assert_int_equal(yzi_generation_publish(&g, &err), 0);
    assert_null(g);
    expect(w, "3|three\n", 2, 3);
    assert_true(has(w, "g1")); /* somebody reads there still */
    yzi_generation_unpin(&old);
    assert_false(has(w, "g1"));
    yzi_store_close(w->s);
    open_world(w);
    expect(w, "3|three\n", 2, 3);
}

static void test_generation__begins_as_a_copy_when_asked(void **state)
{
    struct world *w = *state;
    yz_error err = {0};
    char path[600];
    struct stat st;
    struct generation *g = begin(w, GENERATION_COPY);
    snprintf(path, sizeof path, "%s/g2/data.mdb", w->dir.path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600); /* whatever the umask */
    load(g, "2", "zwei");
    load(g, "3", "drei");
    assert_int_equal(yzi_generation_publish(&g, &err), 0);
    expect(w, "1|one\n2|zwei\n3|drei\n", 2, 4);
}

static void test_generation__is_one_at_a_time_and_can_be_dropped(void **state)
{
    struct world *w = *state;
    struct generation *g = begin(w, GENERATION_EMPTY), *second = NULL;
    assert_int_equal(yzi_generation_begin(w->s, GENERATION_EMPTY, &second, NULL), YZ_EBUSY);
    load(g, "3", "three");
    yzi_generation_drop(&g);
    assert_null(g);
    assert_false(has(w, "g2"));
    expect(w, "1|one\n2|two\n", 1, 2);
    g = begin(w, GENERATION_EMPTY);
    yzi_store_close(w->s); /* drops it, too */
    assert_false(has(w, "g2"));
    open_world(w);
    expect(w, "1|one\n2|two\n", 1, 2);
}

/* The folder as a crash leaves it: `kept` generations stand, `current` names what it named. */
static void copy_folder(const char *from, const char *to)
{
    static const char *const files[] = {"data.mdb", "lock.mdb", "owner.lock"};
    assert_int_equal(mkdir(to, 0700), 0);
    for (size_t i = 0; i < 3; i++) {
        char path[200];
        yz_buf content;
        yzi_buf_init(&content, (size_t)64 << 20);
        snprintf(path, sizeof path, "%s/%s", from, files[i]);
        assert_int_equal(yzi_file_read(path, &content, NULL), 0);
        snprintf(path, sizeof path, "%s/%s", to, files[i]);
        assert_int_equal(yzi_file_write(path, yzi_bytes_buf(&content), 0600, NULL), 0);
        yzi_buf_fini(&content);
    }
}

static void test_generation__leftover_of_a_load_goes_with_the_next_start(void **state)
{
    struct world *w = *state;
    char g2[100], saved[100];
    struct store_state st;
    snprintf(g2, sizeof g2, "%s/g2", w->dir.path);
    snprintf(saved, sizeof saved, "%s/saved", w->dir.path);
    struct generation *g = begin(w, GENERATION_EMPTY);
    load(g, "3", "three");
    copy_folder(g2, saved);
    yzi_generation_drop(&g);
    yzi_store_close(w->s);
    assert_int_equal(rename(saved, g2), 0); /* as if it had not been dropped */
    open_world(w);
    expect(w, "1|one\n2|two\n", 1, 2);
    assert_int_equal(yzi_store_state(w->s, &st), 0);
    assert_int_equal(st.removed, 1);
    assert_int_equal(st.unfinished, 1);
    assert_false(has(w, "g2"));
}

static void test_generation__crash_behind_the_switch_leaves_the_new_one(void **state)
{
    struct world *w = *state;
    char g1[100], saved[100];
    yz_error err = {0};
    struct store_state st;
    snprintf(g1, sizeof g1, "%s/g1", w->dir.path);
    snprintf(saved, sizeof saved, "%s/saved", w->dir.path);
    struct generation *g = begin(w, GENERATION_EMPTY);
    load(g, "3", "three");
    copy_folder(g1, saved);
    assert_int_equal(yzi_generation_publish(&g, &err), 0);
    yzi_store_close(w->s);
    assert_int_equal(rename(saved, g1), 0); /* as if nobody had come to remove it */
    open_world(w);
    expect(w, "3|three\n", 2, 3);
    assert_int_equal(yzi_store_state(w->s, &st), 0);
    assert_int_equal(st.removed, 1);
    assert_int_equal(st.unfinished, 0);
    assert_false(has(w, "g1"));
}

static void test_generation__damaged_name_of_the_one_in_force_is_refused(void **state)
{
    struct world *w = *state;
    static const char *const wrong[] = {"", "yizhan store 2\ngeneration 0\n",
                                        "yizhan store 2\ngeneration 1", "yizhan store 3\n",
                                        "yizhan store 2\ngeneration x\n"};
    char path[100];
    yz_error err = {0};
    struct store *s = NULL;
    struct store_options o = {.dir = w->dir.path, .dataset = w->d, .storage_key = &w->key};
    snprintf(path, sizeof path, "%s/current", w->dir.path);
    yzi_store_close(w->s);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(yzi_file_write(path, yzi_bytes_str(wrong[i]), 0600, &err), 0);
        assert_int_equal(yzi_store_open(&o, &s, &err), YZ_ECORRUPT);
        assert_true(has(w, "g1")); /* nothing is removed on a guess */
    }
    assert_int_equal(
        yzi_file_write(path, yzi_bytes_str("yizhan store 2\ngeneration 1\n"), 0600, &err), 0);
    open_world(w);
    expect(w, "1|one\n2|two\n", 1, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_generation__shows_when_published),
        TEST(test_generation__begins_as_a_copy_when_asked),
        TEST(test_generation__is_one_at_a_time_and_can_be_dropped),
        TEST(test_generation__leftover_of_a_load_goes_with_the_next_start),
        TEST(test_generation__crash_behind_the_switch_leaves_the_new_one),
        TEST(test_generation__damaged_name_of_the_one_in_force_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
