/* SPDX-License-Identifier: Apache-2.0
 *
 * Definitions: what a right one says is what is read from it, and each wrong one is refused at its
 * place with what to do.
 */
#include "tests/unit/dataset/fixture.h"

#include <sodium.h>

#include "adapters/dataset/store_impl.h"
#include "base/file.h"
#include "tests/support/alloc_fail.h"

#define HEAD                                                                                       \
    "dataset: d\n"                                                                                 \
    "title: {en: D}\n"                                                                             \
    "owner: o\n"                                                                                   \
    "sharing: unconditional\n"

#define FIELDS                                                                                     \
    "fields:\n"                                                                                    \
    "  - {name: id, type: text, classification: public}\n"                                         \
    "  - {name: sex, type: code, classification: sensitive, codes: [m, f]}\n"                      \
    "  - {name: ok, type: boolean, classification: secret}\n"

static const char full_yaml[] =
    "dataset: housing.titles\n"
    "title: {zh: 不动产权, en: Property titles}\n"
    "description: {zh: 登记在册的产权}\n"
    "owner: 住房局\n"
    "update_cycle: daily\n"
    "sharing: withheld\n"
    "legal_basis: Data Security Act, article 21\n"
    "key: [title, person]\n"
    "fields:\n"
    "  - {name: person, type: text, element: person_id, classification: sensitive, max_length: "
    "18}\n"
    "  - {name: title, type: text, classification: internal}\n"
    "  - {name: price, type: decimal, classification: secret, csv: 价格}\n"
    "  - {name: use, type: code, classification: public, codes: [shop, home], required: true}\n"
    "  - {name: deed, type: bytes, classification: internal, max_length: 1000, json: a.b, xml: "
    "A/B}\n"
    "  - {name: at, type: time, classification: public}\n"
    "indexes:\n"
    "  - {name: by_person, fields: [person, use], unique: true}\n"
    "csv: {delimiter: ';', header: true, ignore: [x, y]}\n"
    "json: {format: array, path: data}\n"
    "xml: {element: Title}\n";

static void test_definition__says_what_was_written(void **unused)
{
    (void)unused;
    struct dataset *d = fixture_dataset(full_yaml);
    assert_string_equal(d->name, "housing.titles");
    assert_int_equal(d->titles.n, 2);
    assert_true(yzi_bytes_eq_str(d->titles.items[0].language, "zh"));
    assert_true(yzi_bytes_eq_str(d->titles.items[1].text, "Property titles"));
    assert_int_equal(d->descriptions.n, 1);
    assert_string_equal(d->owner, "住房局");
    assert_string_equal(d->update_cycle, "daily");
    assert_int_equal(d->sharing, SHARING_WITHHELD);
    assert_string_equal(d->legal_basis, "Data Security Act, article 21");
    assert_int_equal(d->fields_n, 6);
    assert_string_equal(d->fields[0].element, "person_id");
    assert_string_equal(d->fields[1].element, "title");
    assert_int_equal(d->fields[0].classification, CLASS_SENSITIVE);
    assert_int_equal(d->fields[2].classification, CLASS_SECRET);
    assert_string_equal(d->fields[2].csv, "价格");
    assert_string_equal(d->fields[0].csv, "person");
    assert_int_equal(d->fields[3].type, FIELD_CODE);
    assert_int_equal(d->fields[3].codes.n, 2);
    assert_string_equal(d->fields[3].codes.items[0], "home");
    assert_int_equal(d->fields[3].max_length, 4);
    assert_true(d->fields[3].required);
    assert_int_equal(d->fields[4].max_length, 1000);
    assert_string_equal(d->fields[4].json, "a.b");
    assert_string_equal(d->fields[4].xml, "A/B");
    assert_int_equal(d->fields[5].type, FIELD_TIME);
    assert_int_equal(d->fields[5].place.line, 15);
    assert_int_equal(d->key_n, 2);
    assert_int_equal(d->key[0], 1);
    assert_int_equal(d->key[1], 0);
    assert_true(d->fields[0].required && d->fields[1].required && !d->fields[2].required);
    assert_int_equal(d->fields[1].max_length, 200); /* of a text in the key */
    assert_int_equal(d->indexes_n, 1);
    assert_string_equal(d->indexes[0].name, "by_person");
    assert_true(d->indexes[0].unique);
    assert_int_equal(d->indexes[0].fields_n, 2);
    assert_int_equal(d->indexes[0].fields[1], 3);
    assert_int_equal(d->csv.delimiter, ';');
    assert_int_equal(d->csv.ignore.n, 2);
    assert_true(d->has_sensitive);
    yz_digest digest;
    crypto_hash_sha256(digest.b, (const uint8_t *)full_yaml, sizeof full_yaml - 1);
    assert_true(yzi_digest_eq(&digest, &d->digest));
    assert_int_equal(yzi_dataset_field(d, yzi_bytes_str("deed")), 4);
    assert_int_equal(yzi_dataset_field(d, yzi_bytes_str("dee")), -1);
    yzi_dataset_unref(d);
}

static void test_definition__defaults(void **unused)
{
    (void)unused;
    struct dataset *d =
        fixture_dataset(HEAD "key: [id]\nfields:\n"
                             "  - {name: id, type: integer, classification: public}\n"
                             "  - {name: t, type: text, classification: public}\n");
    assert_int_equal(d->csv.delimiter, ',');
    assert_true(d->csv.header);
    assert_int_equal(d->csv.ignore.n, 0);
    assert_int_equal(d->indexes_n, 0);
    assert_null(d->legal_basis);
    assert_false(d->has_sensitive);
    assert_int_equal(d->fields[1].max_length, YZ_VALUE_MAX);
    assert_false(d->fields[1].required);
    yzi_dataset_unref(d);
}

static void test_definition__catalogue_entry_tells_all_of_it(void **unused)
{
    (void)unused;
    struct dataset *d = fixture_dataset(full_yaml);
    struct arena arena;
    struct catalogue_entry e;
    yzi_arena_init(&arena, 1u << 20);
    struct unlisted_fields u;
    assert_int_equal(yzi_dataset_catalogue(d, &arena, &e, &u), 0);
    assert_int_equal(u.elements_n, 0);
    assert_true(yzi_bytes_eq_str(e.data_set, "housing.titles"));
    assert_true(yzi_bytes_eq_str(e.owner, "住房局"));
    assert_true(yzi_bytes_eq_str(e.update_cycle, "daily"));
    assert_true(yzi_bytes_eq_str(e.legal_basis, "Data Security Act, article 21"));
    assert_int_equal(e.sharing, SHARING_WITHHELD);
    assert_int_equal(e.titles.n, 2);
    assert_int_equal(e.descriptions.n, 1);
    assert_int_equal(e.elements_n, 6);
    assert_true(yzi_bytes_eq_str(e.elements[0].field, "person"));
    assert_true(yzi_bytes_eq_str(e.elements[0].element, "person_id"));
    assert_int_equal(e.elements[2].type, FIELD_DECIMAL);
    assert_int_equal(e.elements[2].classification, CLASS_SECRET);
    /* and is one that an offer can carry */
    struct offer offer = {.subsystem = {yzi_bytes_str("CN/GOV/MHU/housing")},
                          .version = 1,
                          .issued_at = 1,
                          .catalogue = &e,
                          .catalogue_n = 1};
    yz_buf body;
    yzi_buf_init(&body, 1u << 16);
    assert_int_equal(yzi_offer_write(&offer, &body), 0);
    struct offer parsed;
    assert_int_equal(yzi_offer_parse(yzi_bytes_buf(&body), &arena, &parsed), 0);
    yzi_buf_fini(&body);
    struct arena tiny;
    yzi_arena_init(&tiny, 16);
    assert_int_equal(yzi_dataset_catalogue(d, &tiny, &e, &u), YZ_ELIMIT);
    yzi_arena_fini(&tiny);
    yzi_arena_fini(&arena);
    yzi_dataset_unref(d);
}

static void test_definition__keeps_fields_out_of_the_catalogue(void **unused)
{
    (void)unused;
    struct dataset *d = fixture_dataset(
        "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [id]\nfields:\n"
        "  - {name: informant, type: text, classification: secret, catalogue: false}\n"
        "  - {name: id, type: text, classification: internal, reference: true}\n"
        "  - {name: name, type: text, classification: internal, catalogue: true}\n");
    struct arena arena;
    struct catalogue_entry e;
    struct unlisted_fields u;
    yzi_arena_init(&arena, 1u << 20);
    assert_int_equal(yzi_dataset_catalogue(d, &arena, &e, &u), 0);
    assert_int_equal(e.elements_n, 2);
    assert_true(yzi_bytes_eq_str(e.elements[0].field, "id"));
    assert_true(e.elements[0].reference && e.elements[0].key);
    assert_true(yzi_bytes_eq_str(e.elements[1].field, "name"));
    assert_false(e.elements[1].reference || e.elements[1].key);
    assert_int_equal(u.elements_n, 1);
    assert_true(yzi_bytes_eq_str(u.data_set, "d"));
    assert_true(yzi_bytes_eq_str(u.elements[0].field, "informant"));
    assert_int_equal(u.elements[0].classification, CLASS_SECRET);
    assert_false(u.elements[0].key);
    yzi_arena_fini(&arena);
    yzi_dataset_unref(d);
}

struct fault_case {
    const char *yaml, *text;
};

static const struct fault_case fault_cases[] = {
    {"dataset: a/b\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [id]\n" FIELDS,
     "d.yaml:1:10: 'a/b' is not a name of a data set; use letters, digits, - . _ ~ and "
     "percent-encode the rest"},
    {"dataset: d\ntitle: {e: D}\nowner: o\nsharing: conditional\nkey: [id]\n" FIELDS,
     "d.yaml:2:8: 'e' is not a language tag; write one such as zh, en or zh-Hant"},
    {"dataset: d\ntitle: {}\nowner: o\nsharing: conditional\nkey: [id]\n" FIELDS,
     "d.yaml:2:8: the title is empty; write it as `zh: ...`"},
    {"dataset: d\ntitle: {en: ''}\nowner: o\nsharing: conditional\nkey: [id]\n" FIELDS,
     "d.yaml:2:8: the text for 'en' must have 1 to 200 bytes"},
    {"dataset: d\ntitle: {en: D}\nowner: o\nsharing: withheld\nkey: [id]\n" FIELDS,
     "d.yaml:4:10: a withheld data set needs its legal basis; add `legal_basis:`"},
    {HEAD "key: [id, nix]\n" FIELDS,
     "d.yaml:5:6: the key names the field 'nix', which is not defined under `fields:`"},
    {HEAD "key: [id, id]\n" FIELDS, "d.yaml:5:6: the key names the field 'id' twice"},
    {HEAD "key: [id, sex]\n" FIELDS,
     "d.yaml:5:6: the key names 'sex', which is sensitive and has few different values: equal "
     "ones could be told apart without the key; remove it from there"},
    {HEAD "key: [id]\n" FIELDS "indexes:\n  - {name: by_ok, fields: [ok]}\n",
     "d.yaml:11:12: the index 'by_ok' names 'ok', which is secret and has few different values: "
     "equal ones could be told apart without the key; remove it from there"},
    {HEAD "key: [id]\n" FIELDS "indexes:\n  - {name: a, fields: [nix]}\n",
     "d.yaml:11:12: the index 'a' names the field 'nix', which is not defined under `fields:`"},
    {HEAD "key: [id]\n" FIELDS
          "indexes:\n  - {name: a, fields: [id]}\n  - {name: a, fields: [id]}\n",
     "d.yaml:12:12: the index 'a' stands twice; rename one of them"},
    {HEAD "key: [id]\n" FIELDS "indexes:\n  - {name: a b, fields: [id]}\n",
     "d.yaml:11:12: 'a b' is not a name of an index; use letters, digits and _, a letter first"},
    {HEAD "key: [id]\n" FIELDS "  - {name: id, type: text, classification: public}\n",
     "d.yaml:10:12: the field 'id' stands already in line 7; rename one of them"},
    {HEAD "key: [id]\n" FIELDS "  - {name: 1a, type: text, classification: public}\n",
     "d.yaml:10:12: '1a' is not a field name; use letters, digits and _, a letter first"},
    {HEAD "key: [id]\n" FIELDS "  - {name: c, type: code, classification: public}\n",
     "d.yaml:10:12: the field 'c' is a code without codes; list them under `codes:`"},
    {HEAD "key: [id]\n" FIELDS "  - {name: c, type: text, classification: public, codes: [a]}\n",
     "d.yaml:10:58: only a code has codes; make 'c' one (`type: code`) or remove them"},
    {HEAD "key: [id]\n" FIELDS "  - {name: c, type: code, classification: public, codes: [a, a]}\n",
     "d.yaml:10:58: the code 'a' of 'c' stands twice; keep one"},
    {HEAD "key: [id]\n" FIELDS "  - {name: c, type: code, classification: public, codes: ['']}\n",
     "d.yaml:10:58: a code of 'c' is empty or longer than 64 bytes"},
    {HEAD "key: [id]\n" FIELDS "  - {name: c, type: date, classification: public, max_length: 9}\n",
     "d.yaml:10:63: max_length is for text and bytes; remove it from 'c', which is of type date"},
    {HEAD
     "key: [id]\nfields:\n  - {name: id, type: text, classification: public, max_length: 511}\n",
     "d.yaml:5:6: the key may need 512 bytes, at most 511 are possible; give its text and bytes "
     "fields a smaller max_length"},
    {HEAD "key: [a, b, c]\nfields:\n"
          "  - {name: a, type: text, classification: public}\n"
          "  - {name: b, type: text, classification: public}\n"
          "  - {name: c, type: bytes, classification: public, max_length: 54}\n",
     "d.yaml:5:6: the key may need 512 bytes, at most 511 are possible; give its text and bytes "
     "fields a smaller max_length"},
    {HEAD "key: [id]\n" FIELDS "csv: {delimiter: '\"'}\n",
     "d.yaml:10:18: the delimiter must be ',', ';', '|' or the word tab, in quotes"},
    {HEAD "key: [id]\n" FIELDS "csv: {delimiter: ';;'}\n",
     "d.yaml:10:18: the delimiter must be ',', ';', '|' or the word tab, in quotes"},
    {HEAD "key: [id]\n" FIELDS "csv: {ignore: [id]}\n",
     "d.yaml:10:15: the ignored column 'id' is read by a field"},
    {HEAD "key: [id]\n" FIELDS "csv: {ignore: [x, x]}\n",
     "d.yaml:10:15: the ignored column 'x' is listed twice"},
    {HEAD "key: [id]\n" FIELDS "  - {name: c, type: text, classification: public, csv: id}\n",
     "d.yaml:10:56: the fields 'id' and 'c' read the same column 'id'"},
    {HEAD "key: [id]\n" FIELDS "csv: {header: false, ignore: [5]}\n",
     "d.yaml:10:30: without a header row, columns are positions from 1 to 4 (every column is read "
     "by a field or listed under `ignore:`), not '5'"},
    {HEAD "key: [id]\n" FIELDS "  - {name: c, type: text, classification: public, csv: c}\n"
          "csv: {header: false}\n",
     "d.yaml:10:56: without a header row, columns are positions from 1 to 4 (every column is read "
     "by a field or listed under `ignore:`), not 'c'"},
};

static void test_definition__faults_have_a_place_and_a_remedy(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof fault_cases / sizeof fault_cases[0]; i++) {
        struct dataset *d = NULL;
        yz_error err = {0};
        assert_int_equal(yzi_dataset_parse(yzi_bytes_str(fault_cases[i].yaml), "d.yaml", &d, &err),
                         YZ_ECONFIG);
        assert_string_equal(err.text, fault_cases[i].text);
        assert_null(d);
    }
}

/* What the table refuses: that it is refused is ours to see, the words are its own. */
static const char *const shape_faults[] = {
    "",
    "dataset: d\n",
    HEAD "key: [id]\n",
    HEAD "key: []\n" FIELDS,
    HEAD "key: [id]\nfields: []\n",
    HEAD "key: id\n" FIELDS,
    HEAD "key: [a,b,c,d,e,f,g,h,i]\n" FIELDS,
    HEAD "key: [id]\n" FIELDS "  - {name: c, type: text}\n",
    HEAD "key: [id]\n" FIELDS "  - {name: c, classification: public}\n",
    HEAD "key: [id]\n" FIELDS "  - {name: c, type: string, classification: public}\n",
    HEAD "key: [id]\n" FIELDS "  - {name: c, type: text, classification: open}\n",
    HEAD "key: [id]\n" FIELDS "  - {name: c, type: text, classification: public, length: 3}\n",
    HEAD "key: [id]\n" FIELDS "  - {name: c, type: text, classification: public, max_length: 0}\n",
    HEAD "key: [id]\n" FIELDS
         "  - {name: c, type: text, classification: public, max_length: 65537}\n",
    HEAD "key: [id]\n" FIELDS "json: {format: xml}\n",
    HEAD "key: [id]\n" FIELDS "csv: {quote: x}\n",
    HEAD "key: [id]\n" FIELDS "owner: again\n",
};

static void test_definition__refuses_other_shapes(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof shape_faults / sizeof shape_faults[0]; i++) {
        struct dataset *d = NULL;
        yz_error err = {0};
        int rc = yzi_dataset_parse(yzi_bytes_str(shape_faults[i]), "d.yaml", &d, &err);
        if (rc != YZ_ECONFIG || strncmp(err.text, "d.yaml:", 7) != 0) {
            fail_msg("case %zu: %d %s", i, rc, err.text);
        }
    }
}

/* The largest keys that are still possible, taken with the longest values. */
static void test_definition__a_key_it_accepts_always_fits(void **unused)
{
    (void)unused;
    struct dataset *d =
        fixture_dataset(HEAD "key: [a, b, c, e]\nfields:\n"
                             "  - {name: a, type: text, classification: public, max_length: 299}\n"
                             "  - {name: b, type: bytes, classification: public, max_length: 68}\n"
                             "  - {name: c, type: decimal, classification: public}\n"
                             "  - {name: e, type: text, classification: secret}\n");
    char a[300], decimal[64];
    uint8_t b[68] = {0};
    static const uint8_t zero[32];
    struct store_keys keys = {zero, zero, zero};
    memset(a, 'x', 299);
    a[299] = '\0';
    snprintf(decimal, sizeof decimal, "-0.%s", "12345678901234567890123456789012345678");
    yz_bytes parts[4] = {yzi_bytes_str(a), yzi_bytes(b, 68), yzi_bytes_str(decimal),
                         yzi_bytes_str(a)};
    yz_buf key;
    yzi_buf_init(&key, 4000);
    assert_int_equal(yzi_key_encode(d, &keys, parts, &key), 0);
    assert_int_equal(key.n, 511);
    yzi_buf_fini(&key);
    yzi_dataset_unref(d);
}

/* The example of docs/definitions.md is one. */
static void test_definition__the_documented_example_is_right(void **unused)
{
    (void)unused;
    yz_buf text;
    struct dataset *d = NULL;
    yz_error err = {0};
    yzi_buf_init(&text, 1u << 20);
    assert_int_equal(yzi_file_read(YZ_TEST_DATA "/../../docs/definitions.md", &text, &err), 0);
    assert_int_equal(yzi_buf_put_u8(&text, 0), 0);
    char *begin = strstr((char *)text.p, "```yaml\n");
    assert_non_null(begin);
    begin += strlen("```yaml\n");
    char *end = strstr(begin, "```");
    assert_non_null(end);
    if (yzi_dataset_parse(yzi_bytes(begin, (size_t)(end - begin)), "example", &d, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(d->fields_n, 7);
    yzi_dataset_unref(d);
    yzi_buf_fini(&text);
}

static int parse_once(void *ctx)
{
    struct dataset *d = NULL;
    yz_error err;
    (void)ctx;
    YZ_TRY(yzi_dataset_parse(yzi_bytes_str(full_yaml), "d.yaml", &d, &err));
    yzi_dataset_unref(d);
    return 0;
}

static void test_definition__out_of_memory_is_an_error(void **unused)
{
    (void)unused;
    assert_true(yz_alloc_fail_each(parse_once, NULL) >= 2);
}

static void test_definition__load_names_the_file(void **unused)
{
    (void)unused;
    struct dataset *d = NULL;
    yz_error err = {0};
    assert_int_equal(yzi_dataset_load("/nonexistent/d.yaml", &d, &err), YZ_ENOTFOUND);
    assert_non_null(strstr(err.text, "/nonexistent/d.yaml"));
    assert_int_equal(yzi_dataset_load(YZ_TEST_DATA "/china-division/areas.csv", &d, &err),
                     YZ_ECONFIG);
    assert_int_equal(yzi_dataset_load(YZ_TEST_DATA "/china-division/areas.yaml", &d, &err), 0);
    assert_string_equal(d->name, "areas");
    yzi_dataset_unref(d);
    yzi_dataset_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definition__says_what_was_written),
        cmocka_unit_test(test_definition__defaults),
        cmocka_unit_test(test_definition__catalogue_entry_tells_all_of_it),
        cmocka_unit_test(test_definition__keeps_fields_out_of_the_catalogue),
        cmocka_unit_test(test_definition__faults_have_a_place_and_a_remedy),
        cmocka_unit_test(test_definition__refuses_other_shapes),
        cmocka_unit_test(test_definition__a_key_it_accepts_always_fits),
        cmocka_unit_test(test_definition__the_documented_example_is_right),
        cmocka_unit_test(test_definition__out_of_memory_is_an_error),
        cmocka_unit_test(test_definition__load_names_the_file),
    };
    return cmocka_run_group_tests_name("definition", tests, NULL, NULL);
}
