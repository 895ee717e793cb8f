/* SPDX-License-Identifier: Apache-2.0
 *
 * How often a day: a grant's quota is of all adapters of its service together, and each of them
 * counts for itself. So each has its part of it, and none needs to ask another. And so with budgets
 * (predicate.h), which all adapters of the offer have together. Pure; any thread.
 */
#ifndef YZ_ACCESS_QUOTA_H
#define YZ_ACCESS_QUOTA_H

#include "proto/record.h"

/* The node's part of a limit that all adapters of the service have together: the limit by their
 * number, and what is left over one each for the first of them. 0 for a node that does not host the
 * service ("code/version" of the offer). */
uint32_t yzi_access_part(const struct offer *offer, yz_bytes service, yz_node_id node,
                         uint32_t limit);
/* The same of a budget, which is of a datum and a person, whatever service the question comes
 * through: so all adapters of the offer share it, in the order they are first named there. How many
 * these are. */
uint32_t yzi_access_budget_part(const struct offer *offer, yz_node_id node, uint32_t limit);
size_t yzi_access_adapters(const struct offer *offer);
/* What a day's calls of a consumer under a grant are counted under. */
void yzi_access_quota_key(const struct offer *offer, yz_bytes grant, yz_subsystem_id consumer,
                          uint8_t out[32]);
/* When the UTC day of `now` (Unix ms) ends. */
uint64_t yzi_access_day_end(uint64_t now);

#endif
