/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache of services: what a broker hands out is believed only as far as owner and adapters
 * signed it, and is replaced whole or not at all.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "client/services.h"
#include "tests/support/world.h"

static const char *const fields[] = {"status", NULL};

struct fixture {
    struct world *w;
    struct services services;
    struct service *s;
    yz_buf payload;
};

static yz_service_id service_id(const char *text)
{
    yz_service_id id;
    assert_int_equal(yzi_service_id_parse(yzi_bytes_str(text), &id), 0);
    return id;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->w = yz_world_standard();
    yz_world_buf(&f->payload);
    assert_int_equal(yzi_services_get(&f->services, service_id(WORLD_SERVICE), &f->s), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    yzi_buf_fini(&f->payload);
    yzi_services_fini(&f->services);
    yz_world_free(f->w);
    free(f);
    return 0;
}

static void put_offer(struct fixture *f, uint64_t version)
{
    yz_world_simple_offer(f->w, WORLD_SERVICE, WORLD_CONSUMER, version, fields, &f->payload, NULL);
}

static void put_announcement(struct fixture *f, const char *node)
{
    struct epoch *e = yz_world_epoch(f->w, yz_world_node(f->w, node));
    assert_int_equal(yzi_buf_put(&f->payload, yzi_bytes_buf(&e->record)), 0);
}

static struct judge judge_of(struct fixture *f)
{
    return (struct judge){f->w->directory, yz_world_now(f->w), YZ_SKEW_MS};
}

static int load(struct fixture *f)
{
    yz_error err = {0};
    struct judge j = judge_of(f);
    int rc = yzi_service_load(f->s, yzi_bytes_buf(&f->payload), &j, 1000, &err);
    assert_true(rc == 0 || err.text[0]);
    yzi_buf_clear(&f->payload);
    return rc;
}

static void test_load__takes_offer_and_adapters_in_the_brokers_order(void **state)
{
    struct fixture *f = *state;
    assert_false(yzi_service_is_fresh(f->s, 1000));
    put_offer(f, 1);
    put_announcement(f, "CN/GOV/MCA/@a2");
    put_announcement(f, "CN/GOV/MCA/@a1");
    assert_int_equal(load(f), 0);
    assert_int_equal(f->s->providers_n, 2);
    assert_true(yzi_bytes_eq_str(yzi_provider_node(&f->s->providers[0]).v, "CN/GOV/MCA/@a2"));
    assert_int_equal(f->s->mode, SERVICE_READ);
    assert_true(yzi_service_is_fresh(f->s, 1000));
    assert_true(yzi_service_is_fresh(f->s, 1000 + SERVICE_FRESH_MS - 1));
    assert_false(yzi_service_is_fresh(f->s, 1000 + SERVICE_FRESH_MS));
    yzi_services_distrust(&f->services);
    assert_false(yzi_service_is_fresh(f->s, 1000));
}

static void test_load__without_adapters_is_unavailable(void **state)
{
    struct fixture *f = *state;
    put_offer(f, 1);
    assert_int_equal(load(f), YZ_EUNAVAILABLE);
    assert_false(yzi_service_is_fresh(f->s, 1000));
}

static void test_load__refuses_what_is_no_offer(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f), YZ_EMALFORMED);
    put_announcement(f, "CN/GOV/MCA/@a1");
    assert_true(load(f) < 0);
    put_offer(f, 1);
    assert_int_equal(yzi_buf_put_str(&f->payload, "garbage"), 0);
    assert_int_equal(load(f), YZ_EMALFORMED);
    assert_null(f->s->offer);
}

static void test_load__refuses_another_subsystems_offer(void **state)
{
    struct fixture *f = *state;
    struct world_member *hb = yz_world_member(f->w, "CN/GOV/HB");
    yz_world_add_node(hb, "a9", ROLE_ADAPTER, "window");
    yz_world_publish(f->w);
    yz_world_simple_offer(f->w, "CN/GOV/HB/window/marriage/v1", WORLD_CONSUMER, 1, fields,
                          &f->payload, NULL);
    assert_int_equal(load(f), YZ_ENOTFOUND);
}

static void test_load__refuses_an_offer_without_the_service(void **state)
{
    struct fixture *f = *state;
    yz_world_simple_offer(f->w, "CN/GOV/MCA/civil/birth/v1", WORLD_CONSUMER, 1, fields, &f->payload,
                          NULL);
    assert_int_equal(load(f), YZ_ENOTFOUND);
}

static void test_load__refuses_an_offer_signed_by_another_key(void **state)
{
    struct fixture *f = *state;
    struct world_member *mca = yz_world_member(f->w, "CN/GOV/MCA");
    yz_world_new_key(KEY_OWNER, &mca->owner); /* one that no published set lists */
    put_offer(f, 1);
    put_announcement(f, "CN/GOV/MCA/@a1");
    int rc = load(f);
    assert_true(rc == YZ_ESIGNATURE || rc == YZ_EUNKNOWNKEY);
    assert_null(f->s->offer);
}

static void test_load__refuses_to_go_back(void **state)
{
    struct fixture *f = *state;
    put_offer(f, 2);
    put_announcement(f, "CN/GOV/MCA/@a1");
    assert_int_equal(load(f), 0);
    put_offer(f, 1);
    put_announcement(f, "CN/GOV/MCA/@a1");
    assert_int_equal(load(f), YZ_EROLLBACK);
    assert_int_equal(f->s->offer->offer.version, 2);
    yz_world_simple_offer(f->w, WORLD_SERVICE, "CN/GOV/HB/window", 2,
                          (const char *const[]){"other", NULL}, &f->payload, NULL);
    put_announcement(f, "CN/GOV/MCA/@a1");
    assert_int_equal(load(f), YZ_EROLLBACK); /* the same version, other terms */
    put_offer(f, 3);
    put_announcement(f, "CN/GOV/MCA/@a2");
    assert_int_equal(load(f), 0);
    assert_int_equal(f->s->providers_n, 1);
    assert_true(yzi_bytes_eq_str(yzi_provider_node(&f->s->providers[0]).v, "CN/GOV/MCA/@a2"));
}

static void test_load__leaves_out_announcements_that_do_not_verify(void **state)
{
    struct fixture *f = *state;
    struct world_node *a1 = yz_world_node(f->w, "CN/GOV/MCA/@a1");
    struct key_pair genuine = a1->signing;
    a1->signing = (struct key_pair){0};
    assert_int_equal(yzi_key_pair_generate(KEY_SIGNING, &a1->signing), 0);
    put_offer(f, 1);
    put_announcement(f, "CN/GOV/MCA/@a1"); /* signed by a key nobody lists */
    put_announcement(f, "CN/GOV/MCA/@a2");
    assert_int_equal(load(f), 0);
    assert_int_equal(f->s->providers_n, 1);
    put_offer(f, 1);
    put_announcement(f, "CN/GOV/MCA/@a1");
    assert_int_equal(load(f), YZ_EUNKNOWNKEY); /* and says so when no other is left */
    assert_int_equal(f->s->providers_n, 1);    /* what was known stays */
    yzi_key_pair_fini(&a1->signing);
    a1->signing = genuine;
}

static void test_load__leaves_out_adapters_the_owner_does_not_name(void **state)
{
    struct fixture *f = *state;
    put_offer(f, 1); /* names @a1 and @a2 */
    struct world_member *mca = yz_world_member(f->w, "CN/GOV/MCA");
    yz_world_add_node(mca, "a3", ROLE_ADAPTER, "civil");
    yz_world_publish(f->w);
    put_announcement(f, "CN/GOV/MCA/@a3");
    assert_int_equal(load(f), YZ_EDENIED);
}

static void test_load__takes_an_adapter_once(void **state)
{
    struct fixture *f = *state;
    put_offer(f, 1);
    put_announcement(f, "CN/GOV/MCA/@a1");
    put_announcement(f, "CN/GOV/MCA/@a1");
    assert_int_equal(load(f), 0);
    assert_int_equal(f->s->providers_n, 1);
}

/* -- stale keys, and keys of before -- */

static yz_bytes restarted(struct fixture *f, const char *node)
{
    struct world_node *a = yz_world_node(f->w, node);
    yzi_epochs_free(a->epochs);
    a->epochs = NULL;
    yzi_manual_clock_advance(&f->w->clock, 10);
    return yzi_bytes_buf(&yz_world_epoch(f->w, a)->record);
}

static void test_update__takes_a_newer_announcement_of_that_adapter_only(void **state)
{
    struct fixture *f = *state;
    put_offer(f, 1);
    put_announcement(f, "CN/GOV/MCA/@a1");
    assert_int_equal(load(f), 0);
    struct provider before = f->s->providers[0];
    struct world_node *a1 = yz_world_node(f->w, "CN/GOV/MCA/@a1");
    struct world_node *a2 = yz_world_node(f->w, "CN/GOV/MCA/@a2");
    struct judge j = judge_of(f);
    yz_bytes others = yzi_bytes_buf(&yz_world_epoch(f->w, a2)->record);
    assert_int_equal(yzi_service_update(f->s, others, a1->node, &j), YZ_ESIGNATURE);
    assert_int_equal(yzi_service_update(f->s, others, a2->node, &j), YZ_ENOTFOUND);
    yz_buf old;
    yz_world_buf(&old);
    assert_int_equal(yzi_buf_put(&old, yzi_bytes_buf(&yz_world_epoch(f->w, a1)->record)), 0);
    yz_bytes newer = restarted(f, "CN/GOV/MCA/@a1");
    j = judge_of(f);
    assert_int_equal(yzi_service_update(f->s, newer, a1->node, &j), 0);
    assert_false(yzi_digest_eq(&before.announcement, &f->s->providers[0].announcement));
    assert_int_equal(yzi_service_update(f->s, yzi_bytes_buf(&old), a1->node, &j), YZ_EROLLBACK);
    yzi_buf_fini(&old);
}

/* A broker that kept an announcement of before an adapter's restart, or of a key stolen since. */
static void test_load__is_not_taken_back_to_an_earlier_announcement(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf old;
    yz_world_buf(&old);
    struct world_node *a1 = yz_world_node(f->w, "CN/GOV/MCA/@a1");
    assert_int_equal(yzi_buf_put(&old, yzi_bytes_buf(&yz_world_epoch(f->w, a1)->record)), 0);
    restarted(f, "CN/GOV/MCA/@a1");
    put_offer(f, 1);
    put_announcement(f, "CN/GOV/MCA/@a1");
    assert_int_equal(load(f), 0);
    yz_digest newest = f->s->providers[0].announcement;
    for (int i = 0; i < 2; i++) { /* at once, and after the adapter was left out once */
        put_offer(f, 1);
        assert_int_equal(yzi_buf_put(&f->payload, yzi_bytes_buf(&old)), 0);
        assert_int_equal(load(f), 0);
        assert_int_equal(f->s->providers_n, 1);
        assert_true(yzi_digest_eq(&newest, &f->s->providers[0].announcement));
        put_offer(f, 1);
        put_announcement(f, "CN/GOV/MCA/@a2");
        assert_int_equal(load(f), 0);
    }
}

static void test_load__is_not_bound_by_an_announcement_whose_key_was_taken_back(void **state)
{
    struct fixture *f = *state;
    struct world_node *a1 = yz_world_node(f->w, "CN/GOV/MCA/@a1");
    restarted(f, "CN/GOV/MCA/@a1"); /* a thief's is later than the honest one below */
    put_offer(f, 1);
    put_announcement(f, "CN/GOV/MCA/@a1");
    assert_int_equal(load(f), 0);
    f->w->clock.wall -= 10;
    yz_world_revoke_key(f->w, a1->signing.public_key, yz_world_now(f->w));
    yz_world_new_key(KEY_SIGNING, &a1->signing);
    yz_world_change(a1->member);
    yz_world_publish(f->w);
    yzi_epochs_free(a1->epochs);
    a1->epochs = NULL;
    put_offer(f, 1);
    put_announcement(f, "CN/GOV/MCA/@a1");
    yz_digest honest = yz_world_epoch(f->w, a1)->digest;
    assert_int_equal(load(f), 0);
    assert_true(yzi_digest_eq(&honest, &f->s->providers[0].announcement));
}

/* -- one offer after another -- */

static void put_signed(yz_bytes record, struct key_pair *also, struct key_pair *owner, yz_buf *out)
{
    struct record r;
    assert_int_equal(yzi_record_parse(record, &r), 0);
    struct key_pair *const keys[] = {owner, also};
    assert_int_equal(yzi_record_sign(r.kind, r.body, keys, 2, out), 0);
}

/* Anybody can add a signature of his own: it changes the bytes and nothing else. */
static void test_load__takes_the_same_offer_under_other_signatures(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf offer;
    YZ_AUTO(yzi_key_pair_fini) struct key_pair strangers = {0};
    yz_world_buf(&offer);
    yz_world_new_key(KEY_OWNER, &strangers);
    yz_world_simple_offer(f->w, WORLD_SERVICE, WORLD_CONSUMER, 1, fields, &offer, NULL);
    put_signed(yzi_bytes_buf(&offer), &strangers, &yz_world_member(f->w, "CN/GOV/MCA")->owner,
               &f->payload);
    put_announcement(f, "CN/GOV/MCA/@a1");
    assert_int_equal(load(f), 0);
    assert_int_equal(yzi_buf_put(&f->payload, yzi_bytes_buf(&offer)), 0);
    put_announcement(f, "CN/GOV/MCA/@a1");
    assert_int_equal(load(f), 0);
}

static void test_load__is_not_bound_by_an_offer_whose_key_was_taken_back(void **state)
{
    struct fixture *f = *state;
    struct world_member *mca = yz_world_member(f->w, "CN/GOV/MCA");
    put_offer(f, UINT64_MAX); /* a thief's */
    put_announcement(f, "CN/GOV/MCA/@a1");
    assert_int_equal(load(f), 0);
    yz_world_revoke_key(f->w, mca->owner.public_key, yz_world_now(f->w));
    yz_world_new_key(KEY_OWNER, &mca->owner);
    yz_world_change(mca);
    yz_world_publish(f->w);
    put_offer(f, 2);
    put_announcement(f, "CN/GOV/MCA/@a1");
    assert_int_equal(load(f), 0);
    assert_int_equal(f->s->offer->offer.version, 2);
}

/* -- room -- */

static void test_services__idle_entries_make_room(void **state)
{
    struct fixture *f = *state;
    struct service *s;
    f->s->users = 1;
    for (unsigned i = 1; i < SERVICES_MAX + 5; i++) {
        char id[64];
        snprintf(id, sizeof id, "CN/GOV/MCA/civil/s%u/v1", i);
        assert_int_equal(yzi_services_get(&f->services, service_id(id), &s), 0);
    }
    assert_int_equal(yzi_table_count(&f->services.by_id), SERVICES_MAX);
    assert_ptr_equal(yzi_services_find(&f->services, service_id(WORLD_SERVICE)), f->s);
    assert_null(yzi_services_find(&f->services, service_id("CN/GOV/MCA/civil/s1/v1")));
    for (struct table_item *i = yzi_table_first(&f->services.by_id); i; i = yzi_table_next(i)) {
        ((struct service *)yzi_table_value(i))->users = 1;
    }
    assert_int_equal(yzi_services_get(&f->services, service_id("CN/GOV/MCA/civil/more/v1"), &s),
                     YZ_EBUSY);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_load__takes_offer_and_adapters_in_the_brokers_order),
        TEST(test_load__without_adapters_is_unavailable),
        TEST(test_load__refuses_what_is_no_offer),
        TEST(test_load__refuses_another_subsystems_offer),
        TEST(test_load__refuses_an_offer_without_the_service),
        TEST(test_load__refuses_an_offer_signed_by_another_key),
        TEST(test_load__refuses_to_go_back),
        TEST(test_load__leaves_out_announcements_that_do_not_verify),
        TEST(test_load__leaves_out_adapters_the_owner_does_not_name),
        TEST(test_load__takes_an_adapter_once),
        TEST(test_update__takes_a_newer_announcement_of_that_adapter_only),
        TEST(test_load__is_not_taken_back_to_an_earlier_announcement),
        TEST(test_load__is_not_bound_by_an_announcement_whose_key_was_taken_back),
        TEST(test_load__takes_the_same_offer_under_other_signatures),
        TEST(test_load__is_not_bound_by_an_offer_whose_key_was_taken_back),
        TEST(test_services__idle_entries_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
