/* SPDX-License-Identifier: Apache-2.0
 *
 * What to write into the definition so that a value that was refused would be taken.
 */
#ifndef YZ_DATASET_ADVICE_H
#define YZ_DATASET_ADVICE_H

#include "adapters/dataset/definition.h"

/* Written to `out` behind "; ", or "" when nothing comes to mind. `raw` is the value as the file
 * has it; what is written tells of its form, and never repeats it. YZ_ENOMEM, YZ_ELIMIT. */
YZ_MUST_USE int yzi_field_advice(const struct dataset_field *f, yz_bytes raw, char *out,
                                 size_t cap);

#endif
