/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening stores: which definitions fit what is stored, which storage key, and what sealing binds.
 */
#include "tests/unit/dataset/fixture.h"

#include <unistd.h>

#include "adapters/dataset/store_impl.h"

#define HEAD(name) "dataset: " name "\ntitle: {en: D}\nowner: o\nsharing: conditional\n"
#define ID "  - {name: id, type: text, classification: public, max_length: 20}\n"
#define A "  - {name: a, type: text, classification: public}\n"
#define B "  - {name: b, type: integer, classification: sensitive}\n"

static const char base_yaml[] = HEAD("d") "key: [id]\nfields:\n" ID A B;

static int try_open(const char *dir, const char *yaml, uint8_t key_fill, bool read_only,
                    yz_error *err)
{
    struct dataset *d = fixture_dataset(yaml);
    yz_secret key = {0};
    struct store *s = NULL;
    fixture_key(&key, key_fill);
    struct store_options o = {
        .dir = dir, .dataset = d, .storage_key = &key, .read_only = read_only};
    int rc = yzi_store_open(&o, &s, err);
    if (rc == 0) {
        yzi_store_close(s);
    }
    yzi_secret_fini(&key);
    yzi_dataset_unref(d);
    return rc;
}

/* A store of base_yaml with one record. */
static void make_store(struct fixture_dir *dir)
{
    struct dataset *d = fixture_dataset(base_yaml);
    yz_secret key = {0};
    struct import_report r;
    yz_error err = {0};
    fixture_dir_make(dir);
    fixture_key(&key, 1);
    struct store *s = fixture_open(dir->path, d, &key);
    assert_ptr_equal(yzi_store_dataset(s), d);
    if (fixture_import(s, "id,a,b\n1,x,5\n2,,\n", &r, &err) < 0) {
        fail_msg("%s", err.text);
    }
    yzi_store_close(s);
    yzi_secret_fini(&key);
    yzi_dataset_unref(d);
}

struct change_case {
    const char *yaml;
    const char *text; /* NULL: fits; otherwise what the refusal says after the folder */
};

#define REMEDY "; take the former definition, or import everything into a new store folder"

static const struct change_case changes[] = {
    {base_yaml, NULL},
    {HEAD("d") "legal_basis: other\nkey: [id]\nfields:\n" ID A B, NULL},
    /* another order, another limit, another column, now required */
    {HEAD("d") "key: [id]\nfields:\n" B
               "  - {name: a, type: text, classification: internal, max_length: 3, csv: z, "
               "required: true}\n" ID,
     NULL},
    {HEAD("d") "key: [id]\nfields:\n" ID A B "  - {name: c, type: date, classification: public}\n",
     NULL},
    {HEAD("e") "key: [id]\nfields:\n" ID A B,
     "holds the data set 'd', not 'e'; give each data set its own store folder"},
    {HEAD("d") "key: [id]\nfields:\n" ID B,
     "the stored field 'a' is not in the definition of 'd'" REMEDY},
    {HEAD("d") "key: [id]\nfields:\n" ID "  - {name: a, type: integer, classification: public}\n" B,
     "the field 'a' is stored as text, the definition says integer" REMEDY},
    {HEAD("d") "key: [id]\nfields:\n" ID "  - {name: a, type: text, classification: sensitive}\n" B,
     "the field 'a' is stored in the clear, its classification now asks for the contrary" REMEDY},
    {HEAD("d") "key: [id]\nfields:\n" ID A
               "  - {name: b, type: integer, classification: internal}\n",
     "the field 'b' is stored encrypted, its classification now asks for the contrary" REMEDY},
    {HEAD("d") "key: [id, a]\nfields:\n" ID A B,
     "the records are stored under another key than the definition of 'd' names" REMEDY},
    {HEAD("d") "key: [a]\nfields:\n" ID A B,
     "the records are stored under another key than the definition of 'd' names" REMEDY},
};

static void test_store__takes_a_changed_definition_only_when_it_fits(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct fixture_dir dir;
        yz_error err = {0};
        make_store(&dir);
        int rc = try_open(dir.path, changes[i].yaml, 1, i % 2, &err);
        if (changes[i].text) {
            assert_int_equal(rc, YZ_ECONFIG);
            assert_memory_equal(err.text, dir.path, strlen(dir.path));
            assert_string_equal(err.text + strlen(dir.path) + 2, changes[i].text);
        } else if (rc < 0) {
            fail_msg("case %zu: %s", i, err.text);
        }
        /* and nothing was changed by trying */
        assert_int_equal(try_open(dir.path, base_yaml, 1, true, &err), 0);
        fixture_dir_remove(&dir);
    }
}

static void test_store__added_fields_are_null_until_imported_again(void **unused)
{
    (void)unused;
    static const char more[] = HEAD("d") "key: [id]\nfields:\n"
                                         "  - {name: c, type: text, classification: secret}\n" ID A
                                         "  - {name: e, type: integer, classification: public}\n" B;
    struct fixture_dir dir;
    struct import_report r;
    yz_error err = {0};
    yz_secret key;
    char got[200];
    make_store(&dir);
    struct dataset *d = fixture_dataset(more);
    fixture_key(&key, 1);
    struct store *s = fixture_open(dir.path, d, &key);
    assert_int_equal(fixture_get(s, got, sizeof got, "1", "2", NULL), 0);
    assert_string_equal(got, "~|1|x|~|5\n~|2|~|~|~\n");
    /* nothing new about them: still unchanged, still their old bytes */
    assert_int_equal(fixture_import(s, "id,a,b,c,e\n1,x,5,,\n", &r, &err), 0);
    assert_int_equal(r.unchanged, 1);
    assert_int_equal(fixture_import(s, "id,a,b,c,e\n1,x,5,new,9\n3,y,,,\n", &r, &err), 0);
    assert_int_equal(r.updated, 1);
    assert_int_equal(r.inserted, 1);
    assert_int_equal(r.sequence, 4);
    yzi_store_close(s);
    yzi_dataset_unref(d);
    d = fixture_dataset(more);
    s = fixture_open(dir.path, d, &key);
    assert_int_equal(fixture_get(s, got, sizeof got, "1", "2", "3", NULL), 0);
    assert_string_equal(got, "new|1|x|9|5\n~|2|~|~|~\n~|3|y|~|~\n");
    yzi_store_close(s);
    yzi_dataset_unref(d);
    /* the field that was added is stored now */
    assert_int_equal(try_open(dir.path, base_yaml, 1, false, &err), YZ_ECONFIG);
    yzi_secret_fini(&key);
    fixture_dir_remove(&dir);
}

static void test_store__an_empty_one_takes_any_definition(void **unused)
{
    (void)unused;
    struct fixture_dir dir;
    yz_error err = {0};
    fixture_dir_make(&dir);
    assert_int_equal(try_open(dir.path, base_yaml, 1, false, &err), 0);
    assert_int_equal(try_open(dir.path, HEAD("e") "key: [b]\nfields:\n" B, 1, false, &err), 0);
    assert_int_equal(try_open(dir.path, HEAD("f") "key: [a]\nfields:\n" A, 1, false, &err), 0);
    fixture_dir_remove(&dir);
}

static void test_store__refuses_another_storage_key_and_none(void **unused)
{
    (void)unused;
    struct fixture_dir dir;
    yz_error err = {0};
    struct dataset *d = fixture_dataset(base_yaml);
    struct store *s = NULL;
    make_store(&dir);
    assert_int_equal(try_open(dir.path, base_yaml, 2, false, &err), YZ_ECONFIG);
    assert_non_null(strstr(err.text, ": the storage key is not the one this store was made with"));
    struct store_options o = {.dir = dir.path, .dataset = d};
    assert_int_equal(yzi_store_open(&o, &s, &err), YZ_EINVAL);
    assert_non_null(strstr(err.text, "needs a storage key"));
    yz_secret small = {0};
    assert_int_equal(yzi_secret_copy(&small, yzi_bytes("short", 5)), 0);
    o.storage_key = &small;
    assert_int_equal(yzi_store_open(&o, &s, &err), YZ_EINVAL);
    yzi_secret_fini(&small);
    yzi_dataset_unref(d);
    fixture_dir_remove(&dir);
}

static void test_store__read_only_reads_and_refuses_imports(void **unused)
{
    (void)unused;
    struct fixture_dir dir;
    struct import_report r;
    yz_error err = {0};
    yz_secret key;
    char got[200];
    struct dataset *d = fixture_dataset(base_yaml);
    fixture_key(&key, 1);
    struct store *s = NULL;
    make_store(&dir);
    struct store_options o = {
        .dir = dir.path, .dataset = d, .storage_key = &key, .read_only = true};
    assert_int_equal(yzi_store_open(&o, &s, &err), 0);
    assert_int_equal(fixture_get(s, got, sizeof got, "1", NULL), 0);
    assert_string_equal(got, "1|x|5\n");
    assert_int_equal(fixture_import(s, "id,a,b\n", &r, &err), YZ_EINVAL);
    struct store *second = NULL;
    assert_int_equal(yzi_store_open(&o, &second, &err), YZ_EBUSY);
    yzi_store_close(s);
    yzi_store_close(NULL);
    o.dir = "/nonexistent/store";
    assert_true(yzi_store_open(&o, &s, &err) < 0);
    assert_non_null(strstr(err.text, "/nonexistent/store"));
    yzi_secret_fini(&key);
    yzi_dataset_unref(d);
    fixture_dir_remove(&dir);
}

static void test_store__reopening_writes_nothing(void **unused)
{
    (void)unused;
    struct fixture_dir dir;
    yz_error err = {0};
    make_store(&dir);
    yz_digest before = fixture_dir_digest(dir.path);
    assert_int_equal(try_open(dir.path, base_yaml, 1, false, &err), 0);
    yz_digest after = fixture_dir_digest(dir.path);
    assert_true(yzi_digest_eq(&before, &after));
    fixture_dir_remove(&dir);
}

/* -- sealed values -- */

struct sealed {
    struct dataset *d;
    struct store_keys keys;
    struct row_layout layout;
    struct query_value values[2], split[DATASET_FIELDS_MAX];
    yz_buf row, plain;
};

static const uint8_t seal_key[32] = {1}, hash_key[32] = {2}, other_key[32] = {3};

static void seal_one(struct sealed *s, const char *key, struct query_value value)
{
    *s = (struct sealed){.keys = {.seal = seal_key, .hash = hash_key}};
    s->d = fixture_dataset(HEAD("d") "key: [id]\nfields:\n" ID
                                     "  - {name: s, type: text, classification: secret}\n");
    s->layout = (struct row_layout){
        .dataset = s->d, .keys = &s->keys, .fields_n = 2, .field = {0, 1}, .position = {0, 1}};
    s->values[0] = (struct query_value){.v = yzi_bytes_str(key)};
    s->values[1] = value;
    yzi_buf_init(&s->row, 1u << 20);
    yzi_buf_init(&s->plain, 1u << 17);
    struct stored_row row;
    assert_int_equal(yzi_row_encode(&s->layout, yzi_bytes_str(key), 7, 9, s->values, &s->row), 0);
    assert_int_equal(yzi_row_decode(yzi_bytes_buf(&s->row), &row), 0);
    assert_int_equal(row.sequence, 7);
    assert_int_equal(row.ordinal, 9);
    assert_int_equal(yzi_row_split(&s->layout, &row, s->split), 0);
}

static void free_sealed(struct sealed *s)
{
    yzi_buf_fini(&s->row);
    yzi_buf_wipe(&s->plain);
    yzi_dataset_unref(s->d);
}

static void test_store__sealed_value_opens_only_where_it_belongs(void **unused)
{
    (void)unused;
    struct sealed s;
    struct query_value v;
    assert_int_equal(yzi_sodium_init(), 0);
    seal_one(&s, "k", (struct query_value){.v = yzi_bytes_str("secret text")});
    yz_bytes sealed = s.split[1].v;
    assert_null(memmem(s.row.p, s.row.n, "secret", 6));
    assert_int_equal(yzi_row_open(&s.layout, yzi_bytes_str("k"), 1, sealed, &s.plain, &v), 0);
    assert_true(!v.null && yzi_bytes_eq_str(v.v, "secret text"));
    assert_int_equal(yzi_row_open(&s.layout, yzi_bytes_str("l"), 1, sealed, &s.plain, &v),
                     YZ_ECORRUPT);
    assert_int_equal(yzi_row_open(&s.layout, yzi_bytes_str("k"), 0, sealed, &s.plain, &v),
                     YZ_ECORRUPT);
    s.d->name = "e";
    assert_int_equal(yzi_row_open(&s.layout, yzi_bytes_str("k"), 1, sealed, &s.plain, &v),
                     YZ_ECORRUPT);
    s.d->name = "d";
    s.keys.seal = other_key;
    assert_int_equal(yzi_row_open(&s.layout, yzi_bytes_str("k"), 1, sealed, &s.plain, &v),
                     YZ_ECORRUPT);
    s.keys.seal = seal_key;
    for (size_t n = 0; n < sealed.n; n++) {
        assert_int_equal(
            yzi_row_open(&s.layout, yzi_bytes_str("k"), 1, yzi_bytes(sealed.p, n), &s.plain, &v),
            YZ_ECORRUPT);
    }
    for (size_t bit = 0; bit < 8 * sealed.n; bit++) {
        s.row.p[s.row.n - 1 - bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(yzi_row_open(&s.layout, yzi_bytes_str("k"), 1, sealed, &s.plain, &v),
                         YZ_ECORRUPT);
        s.row.p[s.row.n - 1 - bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free_sealed(&s);
}

static void test_store__sealing_hides_null_and_short_lengths(void **unused)
{
    (void)unused;
    static const char *const texts[] = {NULL, "", "no", "yes", "fifteen bytes.."};
    size_t n = 0;
    for (size_t i = 0; i < 5; i++) {
        struct sealed s;
        struct query_value v, in = {.null = !texts[i], .v = yzi_bytes_str(texts[i])};
        seal_one(&s, "k", in);
        assert_false(s.split[1].null);
        if (i < 4) {
            assert_true(n == 0 || n == s.split[1].v.n);
            n = s.split[1].v.n;
        }
        assert_int_equal(yzi_row_open(&s.layout, yzi_bytes_str("k"), 1, s.split[1].v, &s.plain, &v),
                         0);
        assert_int_equal(v.null, in.null);
        assert_true(yzi_bytes_eq(v.v, in.v));
        free_sealed(&s);
    }
}

/* Every way to cut or lengthen a stored row is seen. */
static void test_store__damaged_row_is_corrupt(void **unused)
{
    (void)unused;
    struct sealed s;
    struct stored_row row;
    seal_one(&s, "k", (struct query_value){.v = yzi_bytes_str("x")});
    for (size_t n = 0; n < s.row.n; n++) {
        int rc = yzi_row_decode(yzi_bytes(s.row.p, n), &row);
        if (rc == 0) {
            rc = yzi_row_split(&s.layout, &row, s.split);
        }
        assert_int_equal(rc, YZ_ECORRUPT);
    }
    assert_int_equal(yzi_buf_put_u8(&s.row, 0), 0);
    assert_int_equal(yzi_row_decode(yzi_bytes_buf(&s.row), &row), 0);
    assert_int_equal(yzi_row_split(&s.layout, &row, s.split), YZ_ECORRUPT);
    free_sealed(&s);
}

int main(void)
{
    yzi_secret_require_lock(false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store__takes_a_changed_definition_only_when_it_fits),
        cmocka_unit_test(test_store__added_fields_are_null_until_imported_again),
        cmocka_unit_test(test_store__an_empty_one_takes_any_definition),
        cmocka_unit_test(test_store__refuses_another_storage_key_and_none),
        cmocka_unit_test(test_store__read_only_reads_and_refuses_imports),
        cmocka_unit_test(test_store__reopening_writes_nothing),
        cmocka_unit_test(test_store__sealed_value_opens_only_where_it_belongs),
        cmocka_unit_test(test_store__sealing_hides_null_and_short_lengths),
        cmocka_unit_test(test_store__damaged_row_is_corrupt),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
