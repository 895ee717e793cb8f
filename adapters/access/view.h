/* SPDX-License-Identifier: Apache-2.0
 *
 * What an allowed question may see, in the form in which the store keeps to it: the grant's row
 * filter, its masks and which fields it hides.
 */
#ifndef YZ_ACCESS_VIEW_H
#define YZ_ACCESS_VIEW_H

#include "adapters/access/grant.h"
#include "adapters/access/mask.h"

struct access_view {
    struct query_view view;
    bool hidden[DATASET_FIELDS_MAX];
    const struct access_decision *decision;
    const struct dataset *dataset;
    const uint8_t *pseudonym_key; /* of the terms, or NULL */
    yz_subsystem_id consumer;
};
/* Of an allowed decision. Lists in the arena; borrows all it is given, and `out` must stay where it
 * is. YZ_ENOMEM, YZ_ELIMIT (the arena). */
YZ_MUST_USE int yzi_access_view(const struct access_decision *d, const struct terms *terms,
                                const struct dataset *dataset, yz_subsystem_id consumer,
                                struct arena *arena, struct access_view *out);

/* Whether every value of the grant's row filter is one of its field's; false also when there is no
 * memory to find out. */
bool yzi_access_row_filter_fits(const struct fine_grant *g, const struct dataset *d);

#endif
