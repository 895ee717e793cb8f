/* SPDX-License-Identifier: Apache-2.0
 *
 * yz group in a member's home: versions rise by one, grants stay pinned, and no version goes that
 * keeps somebody out.
 */
#include "cli/offer.h"
#include "tests/unit/cli/fixture.h"

#define AREAS "CN/GOV/MCA/civil/areas/v1"
#define GROUP(verb) "group", verb, "--home", "mca", "--subsystem", "civil"
#define ADD_TO(group) "grant", "add", "--home", "mca", "--service", AREAS, "--group", group
#define BJ "CN/GOV/BJ/desk"
#define SH "CN/GOV/SH/desk"
#define TJ "CN/GOV/TJ/desk"

struct held {
    yz_buf raw;
    struct arena arena;
    struct offer offer;
};

static void load(struct held *h)
{
    struct record r;
    yz_cli_record("mca/offers/civil.offer.yzr", &h->raw);
    yzi_arena_init(&h->arena, 8u * 1024u * 1024u);
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&h->raw), &r), 0);
    assert_int_equal(yzi_offer_parse(r.body, &h->arena, &h->offer), 0);
}

static void unload(struct held *h)
{
    yzi_arena_fini(&h->arena);
    yzi_buf_fini(&h->raw);
}

/* Whether the offer's only grant is for that subsystem. */
static bool granted(const char *consumer)
{
    struct held h;
    load(&h);
    assert_int_equal(h.offer.grants_n, 1);
    bool is = yzi_offer_grant_is_for(&h.offer, h.offer.grants,
                                     (yz_subsystem_id){yzi_bytes_str(consumer)});
    unload(&h);
    return is;
}

static size_t versions(void)
{
    struct held h;
    load(&h);
    size_t n = h.offer.groups_n;
    unload(&h);
    return n;
}

static void printed_id(char out[32])
{
    size_t n = strcspn(yz_cli_out(), "\n");
    assert_in_range(n, 3, 31);
    memcpy(out, yz_cli_out(), n);
    out[n] = '\0';
}

static void test_group__is_made_from_options_and_files(void **state)
{
    (void)state;
    struct held h;
    yz_cli_world();
    yz_cli_service();
    yz_cli_write("cities", yzi_bytes_str("# two\n" SH "  # in the east\r\n\n\t" BJ "\n" SH "\n"));
    EXPECT(0, GROUP("add"), "--member", TJ, "--file", "cities", "cities");
    load(&h);
    assert_int_equal(h.offer.version, 2);
    assert_int_equal(h.offer.groups_n, 1);
    assert_int_equal(h.offer.groups[0].version, 1);
    assert_int_equal(h.offer.groups[0].members.n, 3);
    assert_true(yzi_bytes_eq_str(h.offer.groups[0].members.items[0], BJ));
    assert_true(yzi_bytes_eq_str(h.offer.groups[0].members.items[2], TJ));
    unload(&h);
    EXPECT(0, GROUP("add"), "agencies"); /* nobody yet */
    EXPECT(0, "group", "list", "--home", "mca");
    assert_non_null(strstr(yz_cli_out(), "agencies/1"));
    EXPECT(0, "group", "show", "--home", "mca", "cities");
    assert_non_null(strstr(yz_cli_out(), TJ));
    assert_null(strstr(yz_cli_out(), "agencies"));
    EXPECT(0, "group", "show", "--home", "mca", "--json", "cities");
    assert_non_null(strstr(yz_cli_out(), "\"members\""));
}

static void test_group__that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    yz_cli_world();
    yz_cli_service();
    REFUSES("mca", EXIT_USAGE, GROUP("add"), "--member", TJ, "Cities");
    REFUSES("mca", EXIT_USAGE, GROUP("add"), "--member", "CN/GOV/TJ", "cities");
    REFUSES("mca", EXIT_USAGE, GROUP("add"), "--member", "EE/GOV/TJ/desk", "cities");
    yz_cli_said("another instance");
    REFUSES("mca", EXIT_FAILED, GROUP("add"), "--file", "absent", "cities");
    yz_cli_write("bad", yzi_bytes_str(BJ "\nnonsense\n"));
    REFUSES("mca", EXIT_USAGE, GROUP("add"), "--file", "bad", "cities");
    yz_cli_said("nonsense");
    EXPECT(0, GROUP("add"), "--member", BJ, "cities");
    assert_non_null(strstr(yz_cli_out(), "1 member;"));
    REFUSES("mca", EXIT_USAGE, GROUP("add"), "cities");
    yz_cli_said("nobody is named");
    REFUSES("mca", EXIT_FAILED, GROUP("add"), "--member", BJ, "cities");
    yz_cli_said("all of these are in it");
    REFUSES("mca", EXIT_FAILED, GROUP("remove"), "--member", SH, "cities");
    REFUSES("mca", EXIT_FAILED, GROUP("remove"), "--member", SH, "towns");
    REFUSES("mca", EXIT_FAILED, "group", "show", "--home", "mca", "towns");
    REFUSES("mca", EXIT_FAILED, "group", "add", "--home", "mca", "--subsystem", "none", "--member",
            BJ, "cities");
}

static void test_grant__to_a_group_names_one_that_is_there(void **state)
{
    (void)state;
    yz_cli_world();
    yz_cli_service();
    EXPECT(0, GROUP("add"), "--member", BJ, "cities");
    REFUSES("mca", EXIT_FAILED, ADD_TO("towns"));
    REFUSES("mca", EXIT_FAILED, ADD_TO("cities/2"));
    yz_cli_said("the newest is 1");
    REFUSES("mca", EXIT_USAGE, ADD_TO("cities/x"));
    REFUSES("mca", EXIT_USAGE, ADD_TO("cities"), "--consumer", BJ);
    REFUSES("mca", EXIT_USAGE, "grant", "add", "--home", "mca", "--service", AREAS);
    EXPECT(0, ADD_TO("cities/1"));
    EXPECT(0, "grant", "list", "--home", "mca");
    assert_non_null(strstr(yz_cli_out(), "group cities/1"));
    EXPECT(0, "grant", "list", "--home", "mca", "--json");
    assert_non_null(strstr(yz_cli_out(), "\"group\": \"cities\""));
    assert_non_null(strstr(yz_cli_out(), "\"consumer\": null"));
}

static void test_grant__is_for_who_joined_only_when_it_is_pinned_anew(void **state)
{
    (void)state;
    char id[32];
    yz_cli_world();
    yz_cli_service();
    EXPECT(0, GROUP("add"), "--member", BJ, "--member", SH, "cities");
    EXPECT(0, ADD_TO("cities"));
    printed_id(id);
    EXPECT(0, GROUP("add"), "--member", TJ, "cities");
    assert_true(granted(BJ));
    assert_false(granted(TJ));
    EXPECT(0, "group", "list", "--home", "mca");
    assert_non_null(strstr(yz_cli_out(), "kept for grants"));
    EXPECT(0, "grant", "repin", "--home", "mca", id);
    assert_true(granted(TJ));
    assert_int_equal(versions(), 1);
    REFUSES("mca", EXIT_FAILED, "grant", "repin", "--home", "mca", id);
    yz_cli_said("newest version of cities already");
    REFUSES("mca", EXIT_FAILED, "grant", "repin", "--home", "mca", "g-none");
}

static void test_grant__is_lost_at_once_by_who_left(void **state)
{
    (void)state;
    yz_cli_world();
    yz_cli_service();
    EXPECT(0, GROUP("add"), "--member", BJ, "--member", SH, "cities");
    EXPECT(0, ADD_TO("cities"));
    EXPECT(0, GROUP("remove"), "--member", SH, "cities");
    assert_true(granted(BJ));
    assert_false(granted(SH));
    EXPECT(0, "group", "show", "--home", "mca", "cities");
    assert_non_null(strstr(yz_cli_out(), "left since"));
    /* coming back does not return it: the version without it is kept */
    EXPECT(0, GROUP("add"), "--member", SH, "cities");
    assert_int_equal(versions(), 3);
    assert_false(granted(SH));
    /* a version that keeps nobody out is not */
    EXPECT(0, GROUP("add"), "--member", TJ, "cities");
    assert_int_equal(versions(), 3);
    assert_false(granted(SH));
    assert_false(granted(TJ));
    assert_true(granted(BJ));
}

static void test_group__ends_when_no_grant_names_it(void **state)
{
    (void)state;
    char id[32];
    yz_cli_world();
    yz_cli_service();
    EXPECT(0, GROUP("add"), "--member", BJ, "cities");
    EXPECT(0, ADD_TO("cities"));
    printed_id(id);
    EXPECT(0, GROUP("add"), "--member", SH, "cities");
    REFUSES("mca", EXIT_FAILED, GROUP("remove"), "cities");
    yz_cli_said(id);
    EXPECT(0, "grant", "revoke", "--home", "mca", id);
    assert_int_equal(versions(), 1); /* nothing needs the first one any more */
    EXPECT(0, GROUP("remove"), "cities");
    assert_int_equal(versions(), 0);
}

static void test_grant__to_a_subsystem_is_not_pinned(void **state)
{
    (void)state;
    char id[32];
    yz_cli_world();
    yz_cli_service();
    EXPECT(0, "grant", "add", "--home", "mca", "--service", AREAS, "--consumer", BJ);
    printed_id(id);
    REFUSES("mca", EXIT_FAILED, "grant", "repin", "--home", "mca", id);
    yz_cli_said("not to a group");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, yz_cli_setup, yz_cli_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_group__is_made_from_options_and_files),
        CASE(test_group__that_makes_no_sense_is_refused),
        CASE(test_grant__to_a_group_names_one_that_is_there),
        CASE(test_grant__is_for_who_joined_only_when_it_is_pinned_anew),
        CASE(test_grant__is_lost_at_once_by_who_left),
        CASE(test_group__ends_when_no_grant_names_it),
        CASE(test_grant__to_a_subsystem_is_not_pinned),
    };
    return cmocka_run_group_tests_name("groups", tests, NULL, NULL);
}
