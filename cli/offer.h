/* SPDX-License-Identifier: Apache-2.0
 *
 * A subsystem's offer and terms in its member's home: one version of both, always changed together.
 * Files offers/CODE.offer.yzr and offers/CODE.terms.yzr; the offer names the digest of its terms,
 * so a change that was interrupted between the two is found out and completed.
 */
#ifndef YZ_CLI_OFFER_H
#define YZ_CLI_OFFER_H

#include "adapters/dataset/definition.h"
#include "cli/home.h"

struct home_offer {
    const char *home;
    yz_bytes code; /* of the subsystem */
    bool exists;   /* false: nothing was offered yet, both are empty at version 0 */
    struct offer offer;
    struct terms terms;
    yz_bytes offer_raw, terms_raw;
};
/* Load what this subsystem of the member set offers, signed by an owner key of the set. */
YZ_MUST_USE int yzi_home_offer_load(struct cli *c, const char *home, const struct member_set *set,
                                    yz_bytes code, struct home_offer *out);
/* Sign both as the next version and keep them; versions of groups that nothing needs go. */
YZ_MUST_USE int yzi_home_offer_sign(struct cli *c, struct home_offer *o);
/* Give both to every --admin. */
YZ_MUST_USE int yzi_home_offer_push(struct cli *c, const struct home_offer *o);

/* The service "code/version" of the offer, a data set of its catalogue; NULL when there is none. */
struct offered_service *yzi_home_offer_service(const struct home_offer *o, yz_bytes local);
struct catalogue_entry *yzi_home_offer_entry(const struct home_offer *o, yz_bytes data_set);
/* The data set as its definition describes it becomes the catalogue entry; fields that are not for
 * the catalogue stand in the terms. The definition must live as long as the offer. */
YZ_MUST_USE int yzi_home_offer_describe(struct cli *c, struct home_offer *o,
                                        const struct dataset *definition);
/* A data set that no service is about leaves the catalogue; others stay. */
void yzi_home_offer_forget(struct home_offer *o, yz_bytes data_set);
/* A data set with all its fields, those that are not for the catalogue behind the others. In the
 * invocation's arena; *out NULL when there is none. */
YZ_MUST_USE int yzi_home_offer_fields(struct cli *c, const struct home_offer *o, yz_bytes data_set,
                                      const struct catalogue_entry **out);
/* The fine half of a grant; NULL when there is none. */
struct fine_grant *yzi_home_offer_fine(const struct home_offer *o, yz_bytes grant);
/* Whether a catalogue entry has this field. */
bool yzi_home_entry_has(const struct catalogue_entry *e, yz_bytes field);

#endif
