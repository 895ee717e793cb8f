/* SPDX-License-Identifier: Apache-2.0
 *
 * Records through the sorter: they come back by key, then by place, with the values they went in
 * with; long ones and sealed ones too,.
 */
#include "tests/unit/dataset/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "adapters/dataset/row_sorter.h"

#define FIELDS                                                                                     \
    "title: {en: T}\nowner: o\nsharing: conditional\nkey: [id]\nfields:\n"                         \
    "  - {name: id, type: text, classification: internal, max_length: 18}\n"
static const char plain_yaml[] =
    "dataset: plain\n" FIELDS "  - {name: note, type: text, classification: internal}\n"
    "  - {name: more, type: text, classification: internal}\n";
static const char sealed_yaml[] =
    "dataset: sealed\n" FIELDS "  - {name: note, type: text, classification: sensitive}\n"
    "  - {name: more, type: text, classification: internal}\n";

struct made {
    char id[21];
    char *note;
    size_t note_n;
    bool has_more;
};

/* Every 5th note is longer than the sorter takes, every 7th record has no `more`, and of the keys
 * there are few, so that many records have each. */
static void make(uint64_t i, uint64_t keys, struct made *out)
{
    snprintf(out->id, sizeof out->id, "%018llu", (unsigned long long)(i * 7919 % keys));
    out->note_n = i % 5 == 0 ? 9000 + i : i % 400;
    memset(out->note, 'a' + (int)(i % 26), out->note_n);
    out->has_more = i % 7 != 0;
}

static void expect_record(uint64_t i, uint64_t keys, const struct query_value *v, struct made *m)
{
    make(i, keys, m);
    assert_true(yzi_bytes_eq_str(v[0].v, m->id));
    assert_false(v[1].null);
    assert_true(yzi_bytes_eq(v[1].v, yzi_bytes(m->note, m->note_n)));
    assert_true(v[2].null == !m->has_more);
    assert_true(v[2].null || yzi_bytes_eq_str(v[2].v, "more"));
}

static void fill(struct row_sorter *s, uint64_t n, uint64_t keys, struct made *m)
{
    for (uint64_t i = 0; i < n; i++) {
        make(i, keys, m);
        const struct query_value v[] = {
            {.v = yzi_bytes_str(m->id)},
            {.v = yzi_bytes(m->note, m->note_n)},
            {.null = !m->has_more, .v = yzi_bytes_str(m->has_more ? "more" : "")}};
        const struct scan_place at = {.line = i + 2, .record = i};
        assert_int_equal(yzi_row_sorter_add(s, &at, v), 0);
    }
}

static void expect_all_sorted(const char *yaml, uint64_t n, uint64_t keys)
{
    struct fixture_dir dir;
    struct dataset *d = fixture_dataset(yaml);
    uint8_t bytes[32] = {7};
    const struct store_keys store_keys = {bytes, bytes, bytes};
    struct row_layout l = {.dataset = d, .keys = &store_keys, .fields_n = 3};
    for (unsigned i = 0; i < 3; i++) {
        l.field[i] = l.position[i] = i;
    }
    struct made m = {.note = malloc(9000 + n)};
    struct row_sorter *s = NULL;
    struct scan_place at;
    const struct query_value *v;
    char last[21] = "";
    uint64_t last_line = 0, count = 0;
    fixture_dir_make(&dir);
    assert_non_null(m.note);
    assert_int_equal(yzi_row_sorter_new(&l, dir.path, &s), 0);
    fill(s, n, keys, &m);
    int rc;
    while ((rc = yzi_row_sorter_next(s, &at, &v)) == 0) {
        assert_int_equal(at.line, at.record + 2);
        expect_record(at.record, keys, v, &m);
        int c = strcmp(last, m.id);
        assert_true(c < 0 || (c == 0 && last_line < at.line));
        memcpy(last, m.id, sizeof last);
        last_line = at.line;
        count++;
    }
    assert_int_equal(rc, YZ_ENOTFOUND);
    assert_int_equal(count, n);
    yzi_row_sorter_free(s);
    fixture_dir_remove(&dir); /* which it left empty */
    yzi_dataset_unref(d);
    free(m.note);
}

static void test_row_sorter__gives_back_every_record_by_key_and_place(void **unused)
{
    (void)unused;
    expect_all_sorted(plain_yaml, 0, 1);
    expect_all_sorted(plain_yaml, 1, 1);
    expect_all_sorted(plain_yaml, 5000, 1000);
    expect_all_sorted(sealed_yaml, 5000, 1000);
}

static void test_row_sorter__of_several_runs(void **unused)
{
    (void)unused;
    expect_all_sorted(plain_yaml, 120000, 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row_sorter__gives_back_every_record_by_key_and_place),
        cmocka_unit_test(test_row_sorter__of_several_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
