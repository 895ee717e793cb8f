/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/connections: who a connection is, which of a node's is found, loads and buckets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/connections.h"
#include "tests/support/world.h"

struct fixture {
    struct world *w;
    struct connections c;
    uint64_t mono;
};

static int set_up(void **state)
{
    struct fixture *f;
    yzi_secret_require_lock(false);
    assert_int_equal(yzi_alloc(1, sizeof *f, &f), 0);
    f->w = yz_world_standard();
    f->mono = 5000;
    yzi_connections_init(&f->c, 20, 4);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    yzi_connections_fini(&f->c);
    yz_world_free(f->w);
    free(f);
    return 0;
}

static struct connection_id id_of(uint32_t n)
{
    struct connection_id id = {.n = 5};
    yzi_store_u32(id.id + 1, n);
    return id;
}

static struct connection *connect_as(struct fixture *f, uint32_t n, const char *node)
{
    struct connection_id id = id_of(n);
    struct connection *k;
    const uint8_t *key = yz_world_node(f->w, node)->transport.public_key;
    assert_int_equal(yzi_connection_get(&f->c, &id, key, f->mono, &k), 0);
    return k;
}

static bool check(struct fixture *f, struct connection *k)
{
    return yzi_connection_check(&f->c, k, f->w->directory, yz_world_now(f->w), f->mono);
}

static struct connection *of_node(struct fixture *f, const char *node)
{
    return yzi_connection_of_node(&f->c, yz_world_node(f->w, node)->node);
}

static void test_connection__is_whose_key_it_has(void **state)
{
    struct fixture *f = *state;
    struct connection *k = connect_as(f, 1, "CN/GOV/MCA/@a1");
    assert_false(k->live);
    assert_true(check(f, k));
    assert_string_equal(k->node, "CN/GOV/MCA/@a1");
    assert_int_equal(k->role, ROLE_ADAPTER);
    assert_null(of_node(f, "CN/GOV/MCA/@a1")); /* no hello yet */
    k->hello = true;
    assert_ptr_equal(of_node(f, "CN/GOV/MCA/@a1"), k);
    struct connection_id id = id_of(1);
    assert_ptr_equal(yzi_connection_find(&f->c, &id), k);
    assert_ptr_equal(connect_as(f, 1, "CN/GOV/MCA/@a1"), k);
}

static void test_connection__of_an_unknown_key_or_without_a_directory_is_nobodys(void **state)
{
    struct fixture *f = *state;
    struct connection_id id = id_of(1);
    uint8_t key[32] = {1};
    struct connection *k;
    assert_int_equal(yzi_connection_get(&f->c, &id, key, f->mono, &k), 0);
    assert_false(check(f, k));
    struct connection *known = connect_as(f, 2, "CN/GOV/MCA/@a1");
    assert_false(yzi_connection_check(&f->c, known, NULL, yz_world_now(f->w), f->mono));
    assert_true(check(f, known));
    assert_false(yzi_connection_check(&f->c, known, NULL, yz_world_now(f->w), f->mono));
    assert_int_equal(yzi_connections_of_node(&f->c, yz_world_node(f->w, "CN/GOV/MCA/@a1")->node),
                     0);
}

static void test_connection__id_given_to_another_key_is_another_connection(void **state)
{
    struct fixture *f = *state;
    struct connection *k = connect_as(f, 1, "CN/GOV/MCA/@a1");
    assert_true(check(f, k));
    k->hello = true;
    k = connect_as(f, 1, "CN/GOV/HB/@w1");
    assert_false(k->hello);
    assert_true(check(f, k));
    assert_string_equal(k->node, "CN/GOV/HB/@w1");
    assert_null(of_node(f, "CN/GOV/MCA/@a1"));
    assert_int_equal(yzi_connections_count(&f->c), 1);
}

static void test_connection__found_is_the_newest_and_the_older_after_it(void **state)
{
    struct fixture *f = *state;
    struct connection *k[3];
    for (uint32_t i = 0; i < 3; i++) {
        k[i] = connect_as(f, i, "CN/GOV/HB/@w1");
        assert_true(check(f, k[i]));
        k[i]->hello = true;
        assert_ptr_equal(of_node(f, "CN/GOV/HB/@w1"), k[i]);
    }
    yzi_connection_drop(&f->c, k[1]); /* in the middle */
    assert_ptr_equal(of_node(f, "CN/GOV/HB/@w1"), k[2]);
    yzi_connection_mark_gone(&f->c, k[2]); /* the newest */
    assert_ptr_equal(of_node(f, "CN/GOV/HB/@w1"), k[0]);
    assert_false(check(f, k[2])); /* for good */
    yzi_connection_drop(&f->c, k[2]);
    yzi_connection_drop(&f->c, k[0]); /* the last */
    assert_null(of_node(f, "CN/GOV/HB/@w1"));
    assert_int_equal(yzi_connections_count(&f->c), 0);
}

static void test_connection__is_looked_up_again_after_a_second(void **state)
{
    struct fixture *f = *state;
    struct world_node *w1 = yz_world_node(f->w, "CN/GOV/HB/@w1");
    yz_world_revoke_node(f->w, "CN/GOV/HB/@w1", yz_world_now(f->w) + 100);
    yz_world_publish(f->w);
    struct connection *k = connect_as(f, 1, "CN/GOV/HB/@w1");
    assert_true(check(f, k));
    yzi_manual_clock_advance(&f->w->clock, 500);
    f->mono += 500;
    assert_true(check(f, k)); /* remembered */
    yzi_manual_clock_advance(&f->w->clock, 500);
    f->mono += 500;
    assert_false(check(f, k));
    assert_int_equal(yzi_connections_of_node(&f->c, w1->node), 0);
}

static void test_connection__is_looked_up_again_when_the_directory_changes(void **state)
{
    struct fixture *f = *state;
    struct connection *k = connect_as(f, 1, "CN/GOV/HB/@w1");
    assert_true(check(f, k));
    yz_world_revoke_node(f->w, "CN/GOV/HB/@w1", yz_world_now(f->w));
    yz_world_publish(f->w);
    assert_false(check(f, k));
    assert_false(check(f, k));
}

static void test_connections__are_bounded_in_all_and_per_node(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < 20; i++) {
        struct connection *k = connect_as(f, i, i < 6 ? "CN/GOV/HB/@w1" : "CN/GOV/HB/@w2");
        assert_int_equal(check(f, k), i < 4 || (i >= 6 && i < 10));
    }
    struct connection_id id = id_of(20);
    struct connection *k;
    uint8_t key[32] = {1};
    assert_int_equal(yzi_connection_get(&f->c, &id, key, f->mono, &k), YZ_EBUSY);
    id = id_of(0);
    yzi_connection_drop(&f->c, yzi_connection_find(&f->c, &id));
    id = id_of(4); /* one that was too many now is not */
    f->mono += 1000;
    assert_true(check(f, yzi_connection_find(&f->c, &id)));
}

static void test_loads__outlive_connections_for_a_while(void **state)
{
    struct fixture *f = *state;
    struct connection *k = connect_as(f, 1, "CN/GOV/HB/@w1");
    assert_true(check(f, k));
    struct node_load *load = k->load;
    assert_true(yzi_bucket_take(&load->requests, 1, 1, 1, f->mono));
    yzi_connection_drop(&f->c, k);
    yzi_connections_sweep(&f->c, f->mono + 1000);
    k = connect_as(f, 2, "CN/GOV/HB/@w1");
    assert_true(check(f, k));
    assert_ptr_equal(k->load, load);
    assert_false(yzi_bucket_take(&k->load->requests, 1, 1, 1, f->mono));
    load->in_flight = 1;
    yzi_connection_drop(&f->c, k);
    f->mono += 3600000;
    yzi_connections_sweep(&f->c, f->mono);
    assert_int_equal(yzi_table_count(&f->c.loads), 1); /* an exchange points at it */
    load->in_flight = 0;
    yzi_connections_sweep(&f->c, f->mono);
    assert_int_equal(yzi_table_count(&f->c.loads), 0);
}

static void test_bucket__holds_a_burst_and_fills_at_its_rate(void **state)
{
    (void)state;
    struct bucket b = {0};
    for (int i = 0; i < 10; i++) {
        assert_true(yzi_bucket_take(&b, 1, 100, 10, 0)); /* at time zero, too */
    }
    assert_false(yzi_bucket_take(&b, 1, 100, 10, 0));
    assert_true(yzi_bucket_take(&b, 1, 100, 10, 10));
    assert_false(yzi_bucket_take(&b, 1, 100, 10, 10));
    int taken = 0;
    for (uint64_t t = 10; t < 100010; t++) {
        taken += yzi_bucket_take(&b, 1, 100, 10, t);
    }
    assert_in_range(taken, 9990, 10010);
    assert_true(yzi_bucket_take(&b, 50, 100, 10, 200000)); /* one large amount, then a debt */
    assert_false(yzi_bucket_take(&b, 1, 100, 10, 200399));
    assert_true(yzi_bucket_take(&b, 1, 100, 10, 200410));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* -- those given up -- */

static bool stands(void *ctx, const struct connection_id *id)
{
    (void)id;
    return *(bool *)ctx;
}

static int get(struct fixture *f, uint32_t n)
{
    struct connection_id id = id_of(n);
    struct connection *k;
    const uint8_t *key = yz_world_node(f->w, "CN/GOV/HB/@w1")->transport.public_key;
    return yzi_connection_get(&f->c, &id, key, f->mono, &k);
}

static void give_up(struct fixture *f, uint32_t n)
{
    yzi_connection_give_up(&f->c, connect_as(f, n, "CN/GOV/HB/@w1"), f->mono);
}

static void test_given_up__is_nobody_until_it_cannot_speak_any_more(void **state)
{
    struct fixture *f = *state;
    bool standing = true;
    give_up(f, 1);
    assert_int_equal(yzi_connections_count(&f->c), 0);
    assert_int_equal(get(f, 1), YZ_ECLOSED);
    assert_int_equal(get(f, 2), YZ_OK); /* anybody else is heard */
    f->mono += 60000;
    yzi_connections_forget_departed(&f->c, f->mono, stands, &standing);
    assert_int_equal(get(f, 1), YZ_ECLOSED);
    standing = false;
    f->mono += 10000; /* since its last word */
    yzi_connections_forget_departed(&f->c, f->mono, stands, &standing);
    assert_int_equal(get(f, 1), YZ_ECLOSED);
    f->mono += 10001;
    yzi_connections_forget_departed(&f->c, f->mono, stands, &standing);
    assert_int_equal(yzi_table_count(&f->c.departed), 0);
}

static void test_given_up__is_who_found_no_room_too(void **state)
{
    struct fixture *f = *state;
    for (uint32_t n = 1; n <= 20; n++) {
        (void)connect_as(f, n, "CN/GOV/HB/@w1");
    }
    assert_int_equal(get(f, 21), YZ_EBUSY);
    struct connection_id first = id_of(1);
    yzi_connection_give_up(&f->c, yzi_connection_find(&f->c, &first), f->mono);
    assert_int_equal(get(f, 21), YZ_ECLOSED); /* it was cut, and comes again under another id */
    assert_int_equal(get(f, 22), YZ_OK);
}

static void test_given_up__are_remembered_up_to_a_bound(void **state)
{
    struct fixture *f = *state;
    for (uint32_t n = 1; n <= 16385; n++) {
        give_up(f, n);
    }
    assert_int_equal(yzi_table_count(&f->c.departed), 16384);
    assert_int_equal(get(f, 2), YZ_ECLOSED);
    assert_int_equal(get(f, 16385), YZ_ECLOSED);
    assert_int_equal(get(f, 1), YZ_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_connection__is_whose_key_it_has),
        TEST(test_connection__of_an_unknown_key_or_without_a_directory_is_nobodys),
        TEST(test_connection__id_given_to_another_key_is_another_connection),
        TEST(test_connection__found_is_the_newest_and_the_older_after_it),
        TEST(test_connection__is_looked_up_again_after_a_second),
        TEST(test_connection__is_looked_up_again_when_the_directory_changes),
        TEST(test_connections__are_bounded_in_all_and_per_node),
        TEST(test_loads__outlive_connections_for_a_while),
        TEST(test_given_up__is_nobody_until_it_cannot_speak_any_more),
        TEST(test_given_up__is_who_found_no_room_too),
        TEST(test_given_up__are_remembered_up_to_a_bound),
        cmocka_unit_test(test_bucket__holds_a_burst_and_fills_at_its_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
