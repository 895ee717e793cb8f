/* SPDX-License-Identifier: Apache-2.0
 *
 * base/uuid: version 7 and its text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/uuid.h"

static const char example[] = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"; /* RFC 9562, appendix A.6 */

static void test_uuid__reads_the_example_of_the_rfc(void **state)
{
    (void)state;
    yz_uuid u;
    assert_int_equal(yzi_uuid_parse(example, &u), 0);
    assert_true(yzi_uuid_is_v7(&u));
    assert_true(yzi_uuid_time_ms(&u) == 1645557742000);
    char text[YZ_UUID_TEXT];
    yzi_uuid_format(&u, text);
    assert_string_equal(text, example);
    yz_uuid upper;
    assert_int_equal(yzi_uuid_parse("017F22E2-79B0-7CC3-98C4-DC0C0C07398F", &upper), 0);
    assert_true(yzi_uuid_eq(&u, &upper));
    assert_int_equal(yzi_bytes_uuid(&u).n, 16);
}

static void test_uuid__made_here_has_version_time_and_randomness(void **state)
{
    (void)state;
    static const uint64_t at[] = {0, 1, 1795381509123, (UINT64_C(1) << 48) - 1};
    uint8_t ones[16] = {0}, zeroes[16] = {0};
    for (size_t i = 0; i < 4; i++) {
        yz_uuid last = {{0}};
        for (int k = 0; k < 200; k++) {
            yz_uuid u = yzi_uuid_v7(at[i]);
            assert_true(yzi_uuid_is_v7(&u));
            assert_true(yzi_uuid_time_ms(&u) == at[i]);
            assert_false(yzi_uuid_eq(&u, &last));
            last = u;
            for (int b = 0; b < 16; b++) {
                ones[b] |= u.b[b];
                zeroes[b] |= (uint8_t)~u.b[b];
            }
        }
    }
    /* In 800 ids each of the 74 random bits was seen as one and as zero. */
    assert_int_equal(ones[6] & zeroes[6], 0x0f);
    assert_int_equal(ones[8] & zeroes[8], 0x3f);
    for (int b = 7; b < 16; b += b == 7 ? 2 : 1) {
        assert_int_equal(ones[b] & zeroes[b], 0xff);
    }
}

static void test_uuid__tells_other_versions_apart(void **state)
{
    (void)state;
    yz_uuid u;
    assert_int_equal(yzi_uuid_parse("919108f7-52d1-4320-9bac-f847db4148a8", &u), 0); /* v4 */
    assert_false(yzi_uuid_is_v7(&u));
    assert_int_equal(yzi_uuid_parse(example, &u), 0);
    u.b[8] ^= 0x40; /* another variant */
    assert_false(yzi_uuid_is_v7(&u));
    assert_false(yzi_uuid_is_v7(&(yz_uuid){{0}}));
}

static void test_uuid__refuses_every_other_form(void **state)
{
    (void)state;
    yz_uuid u = {{1}};
    char text[64];
    for (size_t i = 0; i < sizeof example - 1; i++) { /* each character, spoilt */
        static const char other[] = "g- \x80\xff";
        for (size_t k = 0; k < sizeof other - 1; k++) {
            memcpy(text, example, sizeof example);
            text[i] = example[i] == '-' && other[k] == '-' ? '0' : other[k];
            assert_int_equal(yzi_uuid_parse(text, &u), YZ_EINVAL);
        }
        memcpy(text, example, sizeof example);
        text[i] = '\0'; /* truncated */
        assert_int_equal(yzi_uuid_parse(text, &u), YZ_EINVAL);
    }
    snprintf(text, sizeof text, "%s0", example);
    assert_int_equal(yzi_uuid_parse(text, &u), YZ_EINVAL);
    snprintf(text, sizeof text, "{%s}", example);
    assert_int_equal(yzi_uuid_parse(text, &u), YZ_EINVAL);
    assert_int_equal(yzi_uuid_parse("017f22e279b07cc398c4dc0c0c07398f", &u), YZ_EINVAL);
    assert_int_equal(yzi_uuid_parse(NULL, &u), YZ_EINVAL);
    assert_int_equal(u.b[0], 1); /* untouched by all of that */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uuid__reads_the_example_of_the_rfc),
        cmocka_unit_test(test_uuid__made_here_has_version_time_and_randomness),
        cmocka_unit_test(test_uuid__tells_other_versions_apart),
        cmocka_unit_test(test_uuid__refuses_every_other_form),
    };
    return cmocka_run_group_tests_name("uuid", tests, NULL, NULL);
}
