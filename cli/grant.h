/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of `yz grant` share: the data set behind a service as the owner's home knows it,
 * the clauses of a grant as they are written on a command line, and how they are shown.
 */
#ifndef YZ_CLI_GRANT_H
#define YZ_CLI_GRANT_H

#include "adapters/dataset/definition.h"
#include "cli/described.h"
#include "cli/offer.h"

/* The data set of the offer's catalogue, with the fields that are not listed there, as far as the
 * home knows it: names, types, classifications, and which fields are the key (none, in an offer
 * made before that was told). The codes and lengths of values only the definition knows. In the
 * arena. */
YZ_MUST_USE int yzi_home_dataset(struct cli *c, const struct home_offer *o,
                                 const struct catalogue_entry *entry, struct dataset **out);
/* The offer that has the grant; with --subsystem, that one's. YZ_ENOTFOUND, or YZ_EINVAL when there
 * are several, with a sentence. */
YZ_MUST_USE int yzi_home_grant_offer(struct cli *c, const char *home, const struct member_set *set,
                                     yz_bytes id, struct home_offer *out);

/* -- grant_clauses.c: the options of `yz grant add`; YZ_EINVAL with usage words -- */
YZ_MUST_USE int yzi_cli_grant_masks(struct cli *c, struct fine_grant *fine);
YZ_MUST_USE int yzi_cli_grant_rows(struct cli *c, const struct dataset *d, struct fine_grant *fine);
YZ_MUST_USE int yzi_cli_grant_quota(struct cli *c, const struct offered_service *s,
                                    struct fine_grant *fine);
/* The rules (adapters/access/rules.h), and what no adapter would serve; makes the key of
 * pseudonyms when one is needed for the first time. */
YZ_MUST_USE int yzi_cli_grant_check(struct cli *c, const struct dataset *d, struct terms *terms,
                                    const struct fine_grant *fine);

/* -- grant_predicate.c: likewise -- */
YZ_MUST_USE int yzi_cli_grant_predicates(struct cli *c, const struct dataset *d,
                                         const struct offer *offer, struct fine_grant *fine);

/* -- grant_show.c -- */
YZ_MUST_USE int yzi_cli_grant_list(struct cli *c);
YZ_MUST_USE int yzi_cli_grant_show(struct cli *c);

/* -- grant_doubts.c -- */

/* Why a grant gives less than it seems to, or nothing: sentences, in the arena. */
struct doubts {
    const char **of;
    size_t n;
};
YZ_MUST_USE int yzi_cli_grant_doubts(struct cli *c, const struct home_offer *o,
                                     const struct coarse_grant *g, const struct fine_grant *fine,
                                     uint64_t now, struct doubts *out);

/* -- what asks the policy and changes nothing -- */

YZ_MUST_USE int yzi_grant_explain(struct cli *c);
/* One request: allowed, or exit code 3. */
YZ_MUST_USE int yzi_grant_test_one(struct cli *c);
/* The same, or with --cases a file of them. */
YZ_MUST_USE int yzi_grant_test(struct cli *c);

extern const struct cli_option yzi_grant_explain_options[], yzi_grant_test_options[];

#endif
