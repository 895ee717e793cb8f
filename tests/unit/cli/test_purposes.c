/* SPDX-License-Identifier: Apache-2.0
 *
 * yz purpose: an operator's list becomes part of the directory, and members' grants are held to it.
 */
#include "tests/unit/cli/fixture.h"

#define ADD                                                                                        \
    "grant", "add", "--home", "mca", "--service", "CN/GOV/MCA/civil/areas/v1", "--consumer",       \
        "CN/GOV/HB/window"

static const char two[] = "purposes:\n"
                          "  - code: house-transfer\n"
                          "    title: {en: Transfer of a title, zh: 房屋产权登记}\n"
                          "    legal_basis: Real Estate Registration Regulations, article 14\n"
                          "  - code: house-loan\n"
                          "    title: {en: Loan for a house}\n";

static void set(const char *yaml)
{
    yz_cli_write("purposes.yaml", yzi_bytes_str(yaml));
    EXPECT(0, "purpose", "set", "--home", "op", "purposes.yaml");
}

static void test_purposes__are_published_with_the_directory(void **state)
{
    (void)state;
    yz_cli_world();
    EXPECT(0, "purpose", "list", "--home", "op");
    assert_non_null(strstr(yz_cli_out(), "any code will do"));
    set(two);
    EXPECT(0, "purpose", "list", "--home", "op");
    assert_true(strstr(yz_cli_out(), "house-loan") < strstr(yz_cli_out(), "house-transfer"));
    EXPECT(0, "purpose", "list", "--home", "op", "--json");
    assert_non_null(strstr(yz_cli_out(), "\"zh\": \"房屋产权登记\""));
    EXPECT(0, "directory", "publish", "--home", "op", "--member-set", "mca/member-set.yzr");
    EXPECT(0, "directory", "show", "--home", "op");
    assert_non_null(strstr(yz_cli_out(), "house-transfer"));
    EXPECT(0, "directory", "show", "--home", "op", "--json");
    assert_non_null(strstr(yz_cli_out(), "\"code\": \"house-loan\""));
    set("purposes: []\n");
    EXPECT(0, "directory", "publish", "--home", "op");
    EXPECT(0, "directory", "show", "--home", "op");
    assert_non_null(strstr(yz_cli_out(), "none will do"));
    EXPECT(0, "purpose", "drop", "--home", "op");
    REFUSES("op", EXIT_FAILED, "purpose", "drop", "--home", "op");
    EXPECT(0, "directory", "publish", "--home", "op");
    EXPECT(0, "directory", "show", "--home", "op");
    assert_null(strstr(yz_cli_out(), "purposes"));
}

static void test_purposes__that_are_wrong_are_told_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *says;
    } cases[] = {
        {"purposes:\n  - {code: a b, title: {en: x}}\n", "purposes.yaml:2:"},
        {"purposes:\n  - {code: a, title: {}}\n", "title"},
        {"purposes:\n  - {code: a}\n", "title"},
        {"purposes:\n  - {code: a, title: {en_US: x}}\n", "purposes.yaml:2:"},
        {"purposes:\n  - {code: a, title: {en: x}}\n  - {code: a, title: {en: y}}\n", "twice"},
        {"purpose: []\n", "purpose"},
        {"", "'purposes' is missing"}, /* a file cut short must not forbid every purpose */
    };
    yz_cli_world();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        yz_cli_write("purposes.yaml", yzi_bytes_str(cases[i].yaml));
        REFUSES("op", EXIT_USAGE, "purpose", "set", "--home", "op", "purposes.yaml");
        yz_cli_said(cases[i].says);
    }
    REFUSES("op", EXIT_FAILED, "purpose", "set", "--home", "op", "absent.yaml");
    REFUSES("mca", EXIT_FAILED, "purpose", "set", "--home", "mca", "purposes.yaml");
    EXPECT(EXIT_USAGE, "purpose", "list");
}

/* What `yz purpose fetch` leaves in a member's home. */
static void test_grant__is_for_purposes_the_instance_has(void **state)
{
    (void)state;
    yz_cli_world();
    yz_cli_service();
    EXPECT(0, ADD, "--purpose", "statistics"); /* nothing is known of purposes */
    set(two);
    yz_cli_copy("op/records/purposes-CN.yzr", "mca/purposes.yzr");
    REFUSES("mca", EXIT_FAILED, ADD, "--purpose", "house-loan", "--purpose", "statistics");
    yz_cli_said("--purpose statistics: this instance has no such purpose");
    EXPECT(0, ADD, "--purpose", "house-loan", "--purpose", "house-transfer");
    EXPECT(0, ADD);
    EXPECT(0, "purpose", "list", "--home", "mca");
    assert_non_null(strstr(yz_cli_out(), "house-loan"));
    REFUSES("mca", EXIT_UNAVAILABLE, ADD, "--purpose", "house-loan", "--admin", "nobody.sock");
    REFUSES("mca", EXIT_UNAVAILABLE, "purpose", "fetch", "--home", "mca", "--admin", "nobody.sock");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, yz_cli_setup, yz_cli_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_purposes__are_published_with_the_directory),
        CASE(test_purposes__that_are_wrong_are_told_with_their_line),
        CASE(test_grant__is_for_purposes_the_instance_has),
    };
    return cmocka_run_group_tests_name("purposes", tests, NULL, NULL);
}
