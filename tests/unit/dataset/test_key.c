/* SPDX-License-Identifier: Apache-2.0
 *
 * Record keys: they order as the values do, two different keys never have the same bytes, none is
 * longer than the definition was told, and sealed fields show nothing.
 */
#include "tests/unit/dataset/fixture.h"

#include <sodium.h>

#include "adapters/dataset/store_impl.h"

static const uint8_t zero_key[32];
static const struct store_keys keys = {zero_key, zero_key, zero_key};

static struct dataset one_field(struct dataset_field *f, enum field_type type)
{
    *f = (struct dataset_field){
        .name = "f", .type = type, .classification = CLASS_PUBLIC, .max_length = 40};
    return (struct dataset){.name = "d", .fields = f, .fields_n = 1, .key = {0}, .key_n = 1};
}

static void encode(const struct dataset *d, yz_bytes part, yz_buf *out)
{
    assert_int_equal(yzi_key_encode(d, &keys, &part, out), 0);
}

/* Each list is in ascending order. */
static const char *const integers[] = {"-9223372036854775808",
                                       "-9223372036854775807",
                                       "-256",
                                       "-255",
                                       "-1",
                                       "0",
                                       "1",
                                       "255",
                                       "256",
                                       "9223372036854775807",
                                       NULL};
static const char *const decimals[] = {"-12345678901234567890123456789012345678",
                                       "-1000",
                                       "-120.5",
                                       "-120",
                                       "-12.05",
                                       "-12",
                                       "-1",
                                       "-0.5",
                                       "-0.05",
                                       "-0.00000000000000000000000000000000000001",
                                       "0",
                                       "0.00000000000000000000000000000000000001",
                                       "0.05",
                                       "0.5",
                                       "0.51",
                                       "1",
                                       "9.99",
                                       "10",
                                       "12",
                                       "12.05",
                                       "120",
                                       "120.5",
                                       "121",
                                       "1000",
                                       "12345678901234567890123456789012345678",
                                       NULL};
static const char *const times[] = {"0001-01-01T00:00:00Z",           "2026-01-31T08:30:00Z",
                                    "2026-01-31T08:30:00.05Z",        "2026-01-31T08:30:00.1Z",
                                    "2026-01-31T08:30:00.12Z",        "2026-01-31T08:30:01Z",
                                    "9999-12-31T23:59:59.999999999Z", NULL};
static const char *const dates[] = {"0001-01-01", "1999-12-31", "2000-01-01", "9999-12-31", NULL};
static const char *const texts[] = {"", "\x01", "a", "a\x01", "aa", "b", "北", "北京", NULL};
static const char *const booleans[] = {"false", "true", NULL};

static void test_key__orders_as_the_values_do(void **unused)
{
    (void)unused;
    static const struct {
        enum field_type type;
        const char *const *values;
    } lists[] = {{FIELD_INTEGER, integers}, {FIELD_DECIMAL, decimals}, {FIELD_TIME, times},
                 {FIELD_DATE, dates},       {FIELD_TEXT, texts},       {FIELD_CODE, texts},
                 {FIELD_BYTES, texts},      {FIELD_BOOLEAN, booleans}};
    yz_buf low, high;
    yzi_buf_init(&low, 1000);
    yzi_buf_init(&high, 1000);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct dataset_field f;
        struct dataset d = one_field(&f, lists[i].type);
        for (const char *const *v = lists[i].values; v[0]; v++) {
            encode(&d, yzi_bytes_str(v[0]), &low);
            assert_true(low.n <= yzi_key_part_max(&f));
            for (const char *const *w = v + 1; w[0]; w++) {
                encode(&d, yzi_bytes_str(w[0]), &high);
                if (memcmp(low.p, high.p, low.n < high.n ? low.n : high.n) >= 0) {
                    fail_msg("type %d: %s is not below %s", lists[i].type, v[0], w[0]);
                }
            }
        }
    }
    yzi_buf_fini(&low);
    yzi_buf_fini(&high);
}

static void test_key__bytes_with_zeros_keep_their_order_and_place(void **unused)
{
    (void)unused;
    static const char *const values[] = {"", "\0", "\0\0", "\0\1", "\0\377", "\1", "a\0", "a\0b"};
    static const size_t sizes[] = {0, 1, 2, 2, 2, 1, 2, 3};
    struct dataset_field f;
    struct dataset d = one_field(&f, FIELD_BYTES);
    yz_buf low, high;
    yzi_buf_init(&low, 1000);
    yzi_buf_init(&high, 1000);
    for (size_t i = 0; i + 1 < 8; i++) {
        encode(&d, yzi_bytes(values[i], sizes[i]), &low);
        encode(&d, yzi_bytes(values[i + 1], sizes[i + 1]), &high);
        assert_true(yzi_bytes_cmp(yzi_bytes_buf(&low), yzi_bytes_buf(&high)) < 0);
    }
    yzi_buf_fini(&low);
    yzi_buf_fini(&high);
}

/* ("a", "bc") and ("ab", "c"), and the like, are different records. */
static void test_key__parts_do_not_run_together(void **unused)
{
    (void)unused;
    struct dataset_field f[2];
    struct dataset d = one_field(&f[0], FIELD_TEXT);
    f[1] = f[0];
    f[1].name = "g";
    d.fields_n = d.key_n = 2;
    d.key[1] = 1;
    static const char *const pairs[][2] = {{"", "abc"}, {"a", "bc"}, {"ab", "c"}, {"abc", ""}};
    yz_buf k[4];
    for (size_t i = 0; i < 4; i++) {
        yz_bytes parts[2] = {yzi_bytes_str(pairs[i][0]), yzi_bytes_str(pairs[i][1])};
        yzi_buf_init(&k[i], 1000);
        assert_int_equal(yzi_key_encode(&d, &keys, parts, &k[i]), 0);
        for (size_t j = 0; j < i; j++) {
            assert_true(yzi_bytes_cmp(yzi_bytes_buf(&k[j]), yzi_bytes_buf(&k[i])) < 0);
        }
    }
    for (size_t i = 0; i < 4; i++) {
        yzi_buf_fini(&k[i]);
    }
}

static void test_key__sealed_field_is_a_hash_of_set_field_and_value(void **unused)
{
    (void)unused;
    struct dataset_field f;
    struct dataset d = one_field(&f, FIELD_TEXT);
    f.classification = CLASS_SENSITIVE;
    yz_buf a, b;
    uint8_t expected[32];
    yzi_buf_init(&a, 1000);
    yzi_buf_init(&b, 1000);
    encode(&d, yzi_bytes_str("110101"), &a);
    crypto_generichash(expected, 32, (const uint8_t *)"d\0f\000110101", 10, zero_key, 32);
    assert_int_equal(a.n, 32);
    assert_memory_equal(a.p, expected, 32);
    d.name = "e";
    encode(&d, yzi_bytes_str("110101"), &b);
    assert_memory_not_equal(a.p, b.p, 32);
    d.name = "d";
    f.name = "g";
    encode(&d, yzi_bytes_str("110101"), &b);
    assert_memory_not_equal(a.p, b.p, 32);
    yzi_buf_fini(&a);
    yzi_buf_fini(&b);
}

int main(void)
{
    if (yzi_sodium_init() < 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key__orders_as_the_values_do),
        cmocka_unit_test(test_key__bytes_with_zeros_keep_their_order_and_place),
        cmocka_unit_test(test_key__parts_do_not_run_together),
        cmocka_unit_test(test_key__sealed_field_is_a_hash_of_set_field_and_value),
    };
    return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
