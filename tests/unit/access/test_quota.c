/* SPDX-License-Identifier: Apache-2.0
 *
 * access/quota: the parts of a limit, which together are never more than it, whatever adapter is
 * asked; and when a day ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/access/quota.h"

static yz_bytes nodes[YZ_SERVICE_ADAPTERS_MAX];
static const char *const names[] = {"CN/GOV/MCA/@a1", "CN/GOV/MCA/@a2", "CN/GOV/MCA/@a3",
                                    "CN/GOV/MCA/@a4", "CN/GOV/MCA/@a5"};

static uint32_t part(size_t adapters, size_t of, const char *service, uint32_t limit)
{
    struct offered_service services[] = {
        {.code = yzi_bytes_str("marriage"), .version = yzi_bytes_str("v2"), .adapters = {nodes, 1}},
        {.code = yzi_bytes_str("marriage"), .version = yzi_bytes_str("v1")}};
    struct offer offer = {.services = services, .services_n = 2};
    for (size_t i = 0; i < adapters; i++) {
        nodes[i] = yzi_bytes_str(names[i]);
    }
    services[1].adapters = (struct name_list){nodes, adapters};
    return yzi_access_part(&offer, yzi_bytes_str(service), (yz_node_id){yzi_bytes_str(names[of])},
                           limit);
}

static void test_part__of_all_adapters_are_the_limit(void **state)
{
    (void)state;
    static const uint32_t limits[] = {1, 2, 3, 4, 5, 6, 99, 100, UINT32_MAX - 1, UINT32_MAX};
    for (size_t n = 1; n <= 4; n++) {
        for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
            uint64_t sum = 0;
            for (size_t k = 0; k < n; k++) {
                uint32_t own = part(n, k, "marriage/v1", limits[i]);
                assert_in_range(own, limits[i] / n, limits[i] / n + 1);
                sum += own;
            }
            assert_int_equal(sum, limits[i]);
        }
    }
    assert_int_equal(part(3, 0, "marriage/v1", 5), 2); /* what is left over: the first of them */
    assert_int_equal(part(3, 1, "marriage/v1", 5), 2);
    assert_int_equal(part(3, 2, "marriage/v1", 5), 1);
}

/* One count is kept whatever service a question comes through, so parts by service would add up to
 * more. */
static void test_part__of_a_budget_is_of_all_adapters_of_the_offer(void **state)
{
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        nodes[i] = yzi_bytes_str(names[i]);
    }
    struct offered_service services[] = {
        {.code = yzi_bytes_str("a"), .version = yzi_bytes_str("v1"), .adapters = {nodes + 1, 1}},
        {.code = yzi_bytes_str("b"), .version = yzi_bytes_str("v1"), .adapters = {nodes, 3}},
        {.code = yzi_bytes_str("c"), .version = yzi_bytes_str("v1"), .adapters = {nodes + 1, 3}}};
    struct offer offer = {.services = services, .services_n = 3};
    assert_int_equal(yzi_access_adapters(&offer), 4);
    for (uint32_t limit = 0; limit < 30; limit++) {
        uint32_t all = 0;
        for (size_t k = 0; k < 5; k++) {
            yz_node_id node = {nodes[k]};
            uint32_t own = yzi_access_budget_part(&offer, node, limit);
            assert_true(k < 4 ? own == limit / 4 || own == limit / 4 + 1 : own == 0);
            all += own;
        }
        assert_int_equal(all, limit);
    }
    assert_int_equal(yzi_access_budget_part(&offer, (yz_node_id){nodes[1]}, 1), 1); /* the first */
    assert_int_equal(yzi_access_budget_part(&(struct offer){0}, (yz_node_id){nodes[0]}, 9), 0);
}

static void test_part__is_nothing_for_who_does_not_host_it(void **state)
{
    (void)state;
    assert_int_equal(part(3, 4, "marriage/v1", 100), 0);
    assert_int_equal(part(3, 0, "marriage/v3", 100), 0);
    assert_int_equal(part(3, 0, "marriage", 100), 0);
    assert_int_equal(part(3, 1, "marriage/v2", 100), 0); /* that is another service's */
    assert_int_equal(part(3, 0, "marriage/v2", 100), 100);
}

static void test_quota__is_counted_by_subsystem_grant_and_consumer(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    struct offer offer = {.subsystem = {yzi_bytes_str("CN/GOV/MCA/civil")}};
    yz_subsystem_id window = {yzi_bytes_str("CN/GOV/HB/window")},
                    desk = {yzi_bytes_str("CN/GOV/HB/desk")};
    yzi_access_quota_key(&offer, yzi_bytes_str("g1"), window, a);
    yzi_access_quota_key(&offer, yzi_bytes_str("g1"), window, b);
    assert_memory_equal(a, b, sizeof a);
    yzi_access_quota_key(&offer, yzi_bytes_str("g2"), window, b);
    assert_memory_not_equal(a, b, sizeof a);
    yzi_access_quota_key(&offer, yzi_bytes_str("g1"), desk, b);
    assert_memory_not_equal(a, b, sizeof a);
    offer.subsystem.v = yzi_bytes_str("CN/GOV/MCA/other");
    yzi_access_quota_key(&offer, yzi_bytes_str("g1"), window, b);
    assert_memory_not_equal(a, b, sizeof a);
}

static void test_day__ends_at_midnight_utc(void **state)
{
    (void)state;
    const uint64_t midnight = UINT64_C(1767225600000); /* 2026-01-01T00:00:00Z */
    assert_int_equal(yzi_access_day_end(midnight), midnight + 86400000);
    assert_int_equal(yzi_access_day_end(midnight - 1), midnight);
    assert_int_equal(yzi_access_day_end(midnight + 86399999), midnight + 86400000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_part__of_all_adapters_are_the_limit),
        cmocka_unit_test(test_part__of_a_budget_is_of_all_adapters_of_the_offer),
        cmocka_unit_test(test_part__is_nothing_for_who_does_not_host_it),
        cmocka_unit_test(test_quota__is_counted_by_subsystem_grant_and_consumer),
        cmocka_unit_test(test_day__ends_at_midnight_utc),
    };
    return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
