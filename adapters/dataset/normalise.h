/* SPDX-License-Identifier: Apache-2.0
 *
 * What is done to a value as it stands in a file before it is judged: only what the definition says
 * for its field, so that nothing is changed behind the agency's back.
 */
#ifndef YZ_DATASET_NORMALISE_H
#define YZ_DATASET_NORMALISE_H

#include "adapters/dataset/definition.h"

/* The value as the field's normalisation leaves it: a view of `raw`, or of `scratch` (cleared
 * first), valid until either changes. n 0: there is no value. In this order: full-width forms to
 * ASCII (narrow), white space off both ends (trim) and runs of it to one space (squeeze), ASCII
 * letters (upper, lower), what stands for no value, other forms of dates and times. What is not
 * UTF-8 passes through as it is, to be refused later. YZ_ENOMEM, YZ_ELIMIT. Any thread. */
YZ_MUST_USE int yzi_normalise(const struct dataset_field *f, yz_bytes raw, yz_buf *scratch,
                              yz_bytes *out);

/* Whether values that `before` leaves as they are may be changed by `after`: records stored by the
 * one are then not all in the form of the other. Formats of dates and times are no part of this. */
bool yzi_normal_gains(const struct field_normal *before, const struct field_normal *after);

/* Nothing but white space, or nothing at all. */
bool yzi_normal_is_space(yz_bytes v);

/* Why this is no format of a date or time; NULL when it is one. A static sentence fragment. */
const char *yzi_normal_format_fault(const char *format, enum field_type type);

/* What of a value that travels is not as normalising leaves it, as the rest of a sentence; NULL: it
 * is as it should be. A date's formats are no part of this: they are for files. `beginning`: of a
 * value, as conditions have it. */
const char *yzi_normal_fault(const struct dataset_field *f, yz_bytes v, bool beginning);

#endif
