/* SPDX-License-Identifier: Apache-2.0
 *
 * Quotas: who has which part, and what is counted.
 */
#include "adapters/access/quota.h"

#include <sodium.h>

#define DAY_MS UINT64_C(86400000)
#define QUOTA_LABEL "yz quota 1"

static bool is_service(const struct offered_service *s, yz_bytes local)
{
    return local.n == s->code.n + 1 + s->version.n && local.p[s->code.n] == '/' &&
           yzi_bytes_eq(yzi_bytes(local.p, s->code.n), s->code) &&
           yzi_bytes_eq(yzi_bytes(local.p + s->code.n + 1, s->version.n), s->version);
}

uint32_t yzi_access_part(const struct offer *offer, yz_bytes service, yz_node_id node,
                         uint32_t limit)
{
    for (size_t i = 0; i < offer->services_n; i++) {
        const struct offered_service *s = &offer->services[i];
        uint32_t n = (uint32_t)s->adapters.n;
        for (uint32_t k = 0; k < n && is_service(s, service); k++) {
            if (yzi_bytes_eq(s->adapters.items[k], node.v)) {
                return limit / n + (k < limit % n);
            }
        }
    }
    return 0;
}

/* Whether adapter k of service i was named before: by another service, too. */
static bool is_named_before(const struct offer *offer, size_t i, size_t k)
{
    yz_bytes adapter = offer->services[i].adapters.items[k];
    for (size_t s = 0; s < i; s++) {
        const struct name_list *named = &offer->services[s].adapters;
        for (size_t a = 0; a < named->n; a++) {
            if (yzi_bytes_eq(named->items[a], adapter)) {
                return true;
            }
        }
    }
    return false; /* within a service each is named once */
}

size_t yzi_access_adapters(const struct offer *offer)
{
    size_t n = 0;
    for (size_t i = 0; i < offer->services_n; i++) {
        for (size_t k = 0; k < offer->services[i].adapters.n; k++) {
            n += !is_named_before(offer, i, k);
        }
    }
    return n;
}

uint32_t yzi_access_budget_part(const struct offer *offer, yz_node_id node, uint32_t limit)
{
    uint32_t n = (uint32_t)yzi_access_adapters(offer), place = 0;
    for (size_t i = 0; i < offer->services_n; i++) {
        const struct name_list *adapters = &offer->services[i].adapters;
        for (size_t k = 0; k < adapters->n; k++) {
            if (yzi_bytes_eq(adapters->items[k], node.v)) {
                return limit / n + (place < limit % n);
            }
            place += !is_named_before(offer, i, k);
        }
    }
    return 0;
}

static void put(crypto_generichash_state *h, yz_bytes v)
{
    uint8_t length[2] = {(uint8_t)(v.n >> 8), (uint8_t)v.n}; /* ids are short */
    crypto_generichash_update(h, length, sizeof length);
    crypto_generichash_update(h, v.p, v.n);
}

void yzi_access_quota_key(const struct offer *offer, yz_bytes grant, yz_subsystem_id consumer,
                          uint8_t out[32])
{
    crypto_generichash_state h;
    crypto_generichash_init(&h, NULL, 0, 32);
    put(&h, yzi_bytes_str(QUOTA_LABEL));
    put(&h, offer->subsystem.v);
    put(&h, grant);
    put(&h, consumer.v);
    crypto_generichash_final(&h, out, 32);
}

uint64_t yzi_access_day_end(uint64_t now)
{
    return (now / DAY_MS + 1) * DAY_MS;
}
