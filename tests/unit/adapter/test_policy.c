/* SPDX-License-Identifier: Apache-2.0
 *
 * adapters/policy: what is taken into force, kept, found again, and withdrawn when the owner no
 * longer stands by it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>

#include "base/file.h"
#include "tests/unit/adapter/fixture.h"

#define BUFFER(name)                                                                               \
    YZ_AUTO(yzi_buf_fini) yz_buf name;                                                             \
    yz_world_buf(&name)
#define CIVIL ((yz_subsystem_id){yzi_bytes_str("CN/GOV/MCA/civil")})

static const char *const readable[] = {"person_id", "status", NULL};

static void make(struct fixture *f, uint64_t version, const char *const *fields, yz_buf *offer,
                 yz_buf *terms)
{
    yz_world_simple_offer(f->w, WORLD_SERVICE, WORLD_CONSUMER, version, fields, offer, terms);
}

static int put(struct fixture *f, const yz_buf *offer, const yz_buf *terms)
{
    yz_error err = {0};
    int rc = yzi_policies_put(f->policies, f->w->directory, &f->self, yzi_bytes_buf(offer),
                              yzi_bytes_buf(terms), yz_world_now(f->w), &err);
    if (rc < 0 && rc != YZ_EEXIST) {
        assert_true(err.text[0] != '\0'); /* with a sentence */
    }
    return rc;
}

static uint64_t version_in_force(struct fixture *f)
{
    const struct policy *p = yzi_policies_get(f->policies, CIVIL);
    return p ? p->offer->offer.version : 0;
}

/* Another book over the same folder, as after a restart. */
static int reload(struct fixture *f, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *offers = NULL;
    assert_int_equal(yzi_path_join(f->dir, "offers", &offers), 0);
    yzi_policies_close(f->policies);
    assert_int_equal(yzi_policies_open(offers, &f->policies, NULL), 0);
    *err = (yz_error){0};
    return yzi_policies_load(f->policies, f->w->directory, &f->self, yz_world_now(f->w), err);
}

static void test_policy__higher_versions_replace_lower_ones(void **state)
{
    struct fixture *f = *state;
    BUFFER(o1);
    BUFFER(t1);
    BUFFER(o2);
    BUFFER(t2);
    BUFFER(other);
    BUFFER(other_terms);
    make(f, 1, readable, &o1, &t1);
    make(f, 2, readable, &o2, &t2);
    static const char *const less[] = {"person_id", NULL};
    make(f, 2, less, &other, &other_terms);
    assert_int_equal(put(f, &o1, &t1), YZ_EEXIST);
    assert_int_equal(put(f, &o2, &t2), YZ_OK);
    assert_int_equal(put(f, &o2, &t2), YZ_EEXIST);
    assert_int_equal(put(f, &other, &other_terms), YZ_EROLLBACK); /* two of one version: alarm */
    assert_int_equal(put(f, &o1, &t1), YZ_EROLLBACK);
    assert_int_equal(version_in_force(f), 2);
}

static void test_policy__answered_from_lives_on_when_it_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct policy *old = f->policy;
    yzi_policy_ref(old);
    fixture_publish(f, 2);
    assert_ptr_not_equal(f->policy, old);
    assert_int_equal(old->offer->offer.version, 1);
    assert_int_equal(old->terms.grants_n, 1);
    yzi_policy_unref(old);
    yzi_policy_unref(NULL);
}

static void test_policy__refuses_terms_that_are_not_the_offers(void **state)
{
    struct fixture *f = *state;
    static const char *const more[] = {"person_id", "status", "spouse", NULL};
    BUFFER(offer);
    BUFFER(terms);
    BUFFER(ignored);
    BUFFER(wider);
    make(f, 2, readable, &offer, &terms);
    make(f, 2, more, &ignored, &wider);
    assert_int_equal(put(f, &offer, &wider), YZ_ESIGNATURE);
    assert_int_equal(put(f, &offer, &offer), YZ_EMALFORMED);
    yz_buf empty = {0};
    assert_int_equal(put(f, &offer, &empty), YZ_EMALFORMED);
    assert_int_equal(version_in_force(f), 1);
}

static void test_policy__refuses_offers_not_signed_by_their_owner(void **state)
{
    struct fixture *f = *state;
    BUFFER(offer);
    BUFFER(terms);
    struct world_member *mca = yz_world_member(f->w, "CN/GOV/MCA");
    struct key_pair owner = mca->owner;
    mca->owner = yz_world_member(f->w, "CN/GOV/HB")->owner;
    make(f, 2, readable, &offer, &terms);
    mca->owner = owner;
    assert_int_equal(put(f, &offer, &terms), YZ_ESIGNATURE);
}

static void test_policy__refuses_a_subsystem_this_node_does_not_serve(void **state)
{
    struct fixture *f = *state;
    BUFFER(offer);
    BUFFER(terms);
    yz_world_add_node(yz_world_member(f->w, "CN/GOV/HB"), "a7", ROLE_ADAPTER, "window");
    yz_world_simple_offer(f->w, "CN/GOV/HB/window/forms/v1", WORLD_CONSUMER, 1, readable, &offer,
                          &terms);
    assert_int_equal(put(f, &offer, &terms), YZ_EDENIED);
}

static void test_policy__is_there_again_after_a_restart(void **state)
{
    struct fixture *f = *state;
    fixture_publish(f, 3);
    yz_error err;
    assert_int_equal(reload(f, &err), YZ_OK);
    assert_int_equal(version_in_force(f), 3);
    /* loading again changes nothing */
    assert_int_equal(
        yzi_policies_load(f->policies, f->w->directory, &f->self, yz_world_now(f->w), &err), YZ_OK);
    BUFFER(offers);
    size_t at = 0;
    assert_int_equal(yzi_policies_offers(f->policies, &at, UINT_MAX, &offers), YZ_OK);
    struct record r;
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&offers), &r), YZ_OK);
    assert_int_equal(r.kind, RECORD_OFFER);
}

static void publish_of(struct fixture *f, const char *service)
{
    BUFFER(offer);
    BUFFER(terms);
    yz_world_simple_offer(f->w, service, WORLD_CONSUMER, 1, readable, &offer, &terms);
    assert_int_equal(put(f, &offer, &terms), YZ_OK);
}

/* The subsystem of the only offer taken. */
static void take_one(struct fixture *f, size_t *at, unsigned most, size_t max, const char *expected)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yzi_buf_init(&out, max);
    assert_int_equal(yzi_policies_offers(f->policies, at, most, &out), YZ_OK);
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, 1u << 20);
    struct record r;
    struct offer o;
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&out), &r), YZ_OK); /* one, and no more */
    assert_int_equal(yzi_offer_parse(r.body, &arena, &o), YZ_OK);
    assert_true(yzi_bytes_eq_str(o.subsystem.v, expected));
}

static void test_policies__are_handed_out_a_few_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct world_member *mca = yz_world_member(f->w, "CN/GOV/MCA");
    yz_world_add_subsystem(mca, "births");
    yz_world_add_subsystem(mca, "deaths");
    struct world_node *n = yz_world_add_node(mca, "a8", ROLE_ADAPTER, "civil births deaths");
    yz_world_publish(f->w);
    assert_int_equal(
        yzi_directory_node(f->w->directory, n->node, yz_world_now(f->w), &f->self, NULL), YZ_OK);
    publish_of(f, "CN/GOV/MCA/births/births/v1");
    publish_of(f, "CN/GOV/MCA/deaths/deaths/v1");
    BUFFER(all);
    size_t at = 0;
    assert_int_equal(yzi_policies_offers(f->policies, &at, UINT_MAX, &all), YZ_OK);
    assert_int_equal(at, 0);
    take_one(f, &at, 1, all.n, "CN/GOV/MCA/civil"); /* bounded in number */
    assert_int_equal(at, 1);
    take_one(f, &at, 3, all.n / 2, "CN/GOV/MCA/births"); /* bounded in bytes */
    assert_int_equal(at, 2);
    take_one(f, &at, 3, all.n / 2, "CN/GOV/MCA/deaths");
    assert_int_equal(at, 0); /* from the beginning again */
    at = 17;                 /* there were more, once */
    BUFFER(none);
    assert_int_equal(yzi_policies_offers(f->policies, &at, 3, &none), YZ_OK);
    assert_int_equal(none.n + at, 0);
}

static void test_policy__kept_file_that_was_changed_is_named_and_left_out(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    assert_int_equal(yzi_path_join(f->dir, "offers/CN+GOV+MCA+civil.policy", &path), 0);
    BUFFER(content);
    assert_int_equal(yzi_file_read(path, &content, NULL), 0);
    content.p[content.n / 2] ^= 1;
    assert_int_equal(yzi_file_write(path, yzi_bytes_buf(&content), 0600, NULL), 0);
    yz_error err;
    assert_int_equal(reload(f, &err), YZ_ECORRUPT);
    assert_non_null(strstr(err.text, "CN+GOV+MCA+civil.policy"));
    assert_int_equal(version_in_force(f), 0);
    fixture_publish(f, 4); /* published again it is whole */
    assert_int_equal(reload(f, &err), YZ_OK);
    assert_int_equal(version_in_force(f), 4);
}

static void test_policy__of_a_long_name_is_kept_too(void **state)
{
    struct fixture *f = *state;
    static char code[101], member[160], service[400];
    memset(code, 'x', 100);
    snprintf(member, sizeof member, "GOV/%.80s", code);
    struct world_member *m = yz_world_add_member(f->w, member);
    yz_world_add_subsystem(m, code);
    struct world_node *a = yz_world_add_node(m, "a9", ROLE_ADAPTER, code);
    yz_world_publish(f->w);
    assert_int_equal(
        yzi_directory_node(f->w->directory, a->node, yz_world_now(f->w), &f->self, NULL), 0);
    snprintf(service, sizeof service, "CN/GOV/%.80s/%s/s/v1", code, code);
    BUFFER(offer);
    BUFFER(terms);
    yz_world_simple_offer(f->w, service, WORLD_CONSUMER, 1, readable, &offer, &terms);
    assert_int_equal(put(f, &offer, &terms), YZ_OK);
    yz_error err;
    yz_service_id id;
    assert_int_equal(yzi_service_id_parse(yzi_bytes_str(service), &id), 0);
    assert_int_equal(reload(f, &err), YZ_ECORRUPT); /* that of a1, which this node is not now */
    assert_non_null(yzi_policies_get(f->policies, yzi_service_subsystem(id)));
}

static size_t recheck(struct fixture *f)
{
    assert_int_equal(
        yzi_directory_node(f->w->directory, f->a1->node, yz_world_now(f->w), &f->self, NULL), 0);
    return yzi_policies_recheck(f->policies, f->w->directory, &f->self, yz_world_now(f->w));
}

static void test_policy__is_withdrawn_when_the_owners_key_is_revoked(void **state)
{
    struct fixture *f = *state;
    fixture_publish(f, 50);
    assert_int_equal(recheck(f), 0);
    struct world_member *mca = yz_world_member(f->w, "CN/GOV/MCA");
    yz_world_revoke_key(f->w, mca->owner.public_key, yz_world_now(f->w));
    yz_world_new_key(KEY_OWNER, &mca->owner);
    yz_world_change(mca);
    yz_world_publish(f->w);
    assert_int_equal(recheck(f), 1);
    assert_int_equal(version_in_force(f), 0);
    assert_int_equal(recheck(f), 0);
    /* nor does the thief's high number bind the owner */
    fixture_publish(f, 2);
    assert_int_equal(version_in_force(f), 2);
    yz_error err;
    assert_int_equal(reload(f, &err), YZ_OK);
    assert_int_equal(version_in_force(f), 2);
}

static int hear(struct fixture *f, const yz_buf *offer)
{
    char subsystem[YZ_ID_MAX + 1];
    int rc = yzi_policies_heard(f->policies, f->w->directory, yzi_bytes_buf(offer),
                                yz_world_now(f->w), subsystem);
    if (rc == YZ_OK) {
        assert_string_equal(subsystem, "CN/GOV/MCA/civil");
    }
    return rc;
}

/* The state of an older day: what the owner took back since is not served by, as soon as anybody
 * shows what it says now. */
static void test_policy__is_out_of_force_when_a_newer_one_is_shown(void **state)
{
    struct fixture *f = *state;
    fixture_publish(f, 3);
    BUFFER(older);
    BUFFER(older_terms);
    BUFFER(newer);
    BUFFER(newer_terms);
    make(f, 2, readable, &older, &older_terms);
    make(f, 5, readable, &newer, &newer_terms);
    assert_int_equal(hear(f, &older), YZ_EEXIST);
    assert_int_equal(version_in_force(f), 3);
    newer.p[newer.n - 1] ^= 1;
    assert_true(hear(f, &newer) < 0); /* only its owner's word */
    newer.p[newer.n - 1] ^= 1;
    assert_int_equal(version_in_force(f), 3);
    assert_int_equal(hear(f, &newer), YZ_OK);
    assert_int_equal(hear(f, &newer), YZ_EEXIST);
    assert_int_equal(version_in_force(f), 0);
    yz_error err = {0};
    assert_int_equal(
        yzi_policies_load(f->policies, f->w->directory, &f->self, yz_world_now(f->w), &err), YZ_OK);
    assert_int_equal(version_in_force(f), 0);
    BUFFER(four);
    BUFFER(four_terms);
    make(f, 4, readable, &four, &four_terms);
    assert_int_equal(put(f, &four, &four_terms), YZ_EROLLBACK); /* not the last word either */
    BUFFER(offers);
    size_t at = 0;
    assert_int_equal(yzi_policies_offers(f->policies, &at, UINT_MAX, &offers), YZ_OK);
    assert_int_equal(offers.n, 0);
    assert_int_equal(put(f, &newer, &newer_terms), YZ_OK);
    assert_int_equal(version_in_force(f), 5);
}

/* A thief's offer binds nobody once its key was taken back. */
static void test_policy__is_in_force_again_when_the_newer_ones_key_was_stolen(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(version_in_force(f), 1);
    BUFFER(newer);
    BUFFER(terms);
    make(f, 900, readable, &newer, &terms);
    assert_int_equal(hear(f, &newer), YZ_OK);
    assert_int_equal(version_in_force(f), 0);
    struct world_member *mca = yz_world_member(f->w, "CN/GOV/MCA");
    yz_world_revoke_key(f->w, mca->owner.public_key, yz_world_now(f->w));
    yz_world_new_key(KEY_OWNER, &mca->owner);
    yz_world_change(mca);
    yz_world_publish(f->w);
    recheck(f);
    fixture_publish(f, 2);
    assert_int_equal(version_in_force(f), 2);
}

static void test_policy__is_withdrawn_when_the_owners_key_runs_out(void **state)
{
    struct fixture *f = *state;
    struct world_member *mca = yz_world_member(f->w, "CN/GOV/MCA");
    mca->owner_not_after = yz_world_now(f->w) + 1000;
    yz_world_change(mca);
    yz_world_publish(f->w);
    assert_int_equal(recheck(f), 0);
    yzi_manual_clock_advance(&f->w->clock, 1000);
    assert_int_equal(recheck(f), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_policy__higher_versions_replace_lower_ones),
        TEST(test_policy__answered_from_lives_on_when_it_is_replaced),
        TEST(test_policy__refuses_terms_that_are_not_the_offers),
        TEST(test_policy__refuses_offers_not_signed_by_their_owner),
        TEST(test_policy__refuses_a_subsystem_this_node_does_not_serve),
        TEST(test_policy__is_there_again_after_a_restart),
        TEST(test_policies__are_handed_out_a_few_at_a_time),
        TEST(test_policy__kept_file_that_was_changed_is_named_and_left_out),
        TEST(test_policy__of_a_long_name_is_kept_too),
        TEST(test_policy__is_withdrawn_when_the_owners_key_is_revoked),
        TEST(test_policy__is_out_of_force_when_a_newer_one_is_shown),
        TEST(test_policy__is_in_force_again_when_the_newer_ones_key_was_stolen),
        TEST(test_policy__is_withdrawn_when_the_owners_key_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
