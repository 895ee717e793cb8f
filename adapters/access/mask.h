/* SPDX-License-Identifier: Apache-2.0
 *
 * Masks: what is shown of a value in its stead. What a mask shows tells nothing else of the value,
 * its length included; only that there is none is told (and `hide` does not tell even that).
 *
 *   hide      nothing: null
 *   last4     "****" and the last four characters; of a value of fewer than eight, "****" alone
 *   year      the four digits of the year, of a time the year in UTC
 *   initial   the first character and "**"; of a value of one character, "**" alone
 *   hash      a pseudonym: 32 hexadecimal digits, the same for the same value, consumer and data
 *             element, under a key that the owner's adapters share and nobody else has
 *
 * Pure; any thread.
 */
#ifndef YZ_ACCESS_MASK_H
#define YZ_ACCESS_MASK_H

#include "adapters/dataset/store.h"

#define MASK_LAST4_WHOLE 8u /* characters a value has at least, for its last four to be shown */

/* Whether the mask can be put on a field of the type; *why (may be NULL) is a static sentence
 * fragment otherwise. */
bool yzi_mask_fits(enum field_mask mask, enum field_type type, const char **why);

/* What a pseudonym is made with. */
struct pseudonym {
    const uint8_t *key; /* 32 bytes, of the terms; NULL: none, so there are no pseudonyms */
    yz_subsystem_id consumer;
    const char *dataset;
    const struct dataset_field *field;
};
/* The masked value: null, or text in `room`. Null stays null. YZ_EINVAL: a hash without a key, or
 * an unknown mask. */
YZ_MUST_USE int yzi_mask_apply(enum field_mask mask, const struct pseudonym *p,
                               const struct query_value *v, uint8_t room[QUERY_MASKED_MAX],
                               struct query_value *out);

#endif
