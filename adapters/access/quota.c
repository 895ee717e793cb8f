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
