/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups of subsystems in a member's offer, for the verbs that name them.
 */
#ifndef YZ_CLI_GROUP_H
#define YZ_CLI_GROUP_H

#include "cli/offer.h"
#include "proto/check.h"

/* That it may be a group's code; YZ_EINVAL with usage words. */
YZ_MUST_USE int yzi_cli_group_code(struct cli *c, yz_bytes code);
/* "CODE" or "CODE/VERSION", for a grant: the newest version, or that one. YZ_EINVAL with usage
 * words, YZ_ENOTFOUND with a sentence. */
YZ_MUST_USE int yzi_home_group_named(struct cli *c, const struct home_offer *o, const char *text,
                                     const struct consumer_group **out);
/* The newest version of the group; NULL when there is none. */
const struct consumer_group *yzi_home_group(const struct home_offer *o, yz_bytes code);
/* Take out the versions that neither are the newest, nor have a grant, nor keep anybody out of an
 * older grant: no grant is for anybody more afterwards. */
void yzi_home_groups_tidy(struct offer *o);

#endif
