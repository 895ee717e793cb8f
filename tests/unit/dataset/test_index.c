/* SPDX-License-Identifier: Apache-2.0
 *
 * Entry keys of indexes against tests/data/vectors/index.txt, which index.py wrote without our
 * code: byte for byte, and in order.
 */
#include "tests/unit/dataset/fixture.h"

#include <stdio.h>

#include "adapters/dataset/store_impl.h"
#include "base/text.h"

#define FIELDS_MAX 4
#define LINE_MAX_BYTES 8192

static const uint8_t index_key[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                      11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                      22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
static const char *const type_names[] = {"",     "text",    "integer", "decimal", "date",
                                         "time", "boolean", "code",    "bytes"};

struct line {
    struct dataset_field fields[FIELDS_MAX];
    char names[FIELDS_MAX][8];
    struct query_value values[FIELDS_MAX];
    uint8_t bytes[FIELDS_MAX][1024];
    size_t n;
    bool sealed;
    uint8_t entry[YZ_DB_KEY_MAX];
    size_t entry_n;
};

static void read_hex(const char *hex, uint8_t *out, size_t cap, size_t *n)
{
    *n = strlen(hex) / 2;
    assert_true(*n <= cap);
    assert_int_equal(yzi_hex_decode(yzi_bytes_str(hex), out, *n), 0);
}

static void read_field(struct line *l, char *word)
{
    size_t i = l->n++, n;
    char *value = strchr(word, '=');
    assert_true(i < FIELDS_MAX && value);
    *value++ = '\0';
    struct dataset_field *f = &l->fields[i];
    *f = (struct dataset_field){.name = l->names[i], .classification = CLASS_PUBLIC};
    bool sealed = strncmp(word, "sealed:", 7) == 0;
    snprintf(l->names[i], sizeof l->names[i], "%s", sealed ? word + 7 : "f");
    for (unsigned t = 1; t < sizeof type_names / sizeof type_names[0]; t++) {
        f->type = strcmp(sealed ? "text" : word, type_names[t]) == 0 ? (enum field_type)t : f->type;
    }
    assert_true(f->type != 0);
    f->classification = sealed ? CLASS_SECRET : CLASS_PUBLIC;
    l->sealed = l->sealed || sealed;
    if (strcmp(value, "null") == 0) {
        l->values[i] = (struct query_value){.null = true};
        return;
    }
    read_hex(value, l->bytes[i], sizeof l->bytes[i], &n);
    l->values[i] = (struct query_value){.v = yzi_bytes(l->bytes[i], n)};
}

/* False for a line that holds none. */
static bool read_line(char *text, struct line *l)
{
    *l = (struct line){0};
    text[strcspn(text, "\n")] = '\0';
    if (text[0] == '\0' || text[0] == '#') {
        return false;
    }
    char *arrow = strstr(text, " -> ");
    assert_non_null(arrow);
    *arrow = '\0';
    read_hex(arrow + 4, l->entry, sizeof l->entry, &l->entry_n);
    for (char *rest = NULL, *word = strtok_r(text, " ", &rest); word;
         word = strtok_r(NULL, " ", &rest)) {
        read_field(l, word);
    }
    return true;
}

static void check_line(const struct line *l)
{
    struct dataset d = {.name = "vectors",
                        .fields = (struct dataset_field *)(uintptr_t)l->fields,
                        .fields_n = l->n};
    struct store_keys keys = {index_key, index_key, index_key};
    unsigned fields[FIELDS_MAX] = {0, 1, 2, 3};
    struct dataset_index index = {.name = "i", .fields = fields, .fields_n = l->n};
    yz_buf entry;
    yzi_buf_init(&entry, 1u << 16);
    assert_int_equal(yzi_index_entry(&d, &keys, &index, l->values, &entry), 0);
    assert_int_equal(entry.n, l->entry_n);
    assert_memory_equal(entry.p, l->entry, entry.n);
    yzi_buf_fini(&entry);
}

static void test_index__entries_are_those_of_the_vectors(void **unused)
{
    static char text[LINE_MAX_BYTES];
    static struct line l, before;
    unsigned lines = 0;
    (void)unused;
    FILE *f = fopen(YZ_DATA_DIR "/vectors/index.txt", "re");
    assert_non_null(f);
    assert_int_equal(yzi_sodium_init(), 0);
    before.n = 0;
    while (fgets(text, sizeof text, f)) {
        bool empty = text[0] == '\n';
        if (read_line(text, &l)) {
            lines++;
            check_line(&l);
            /* within a group each comes behind the one before */
            assert_true(before.n == 0 || yzi_bytes_cmp(yzi_bytes(before.entry, before.entry_n),
                                                       yzi_bytes(l.entry, l.entry_n)) < 0);
            before = l;
        }
        before.n = empty ? 0 : before.n;
    }
    fclose(f);
    assert_true(lines > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index__entries_are_those_of_the_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
