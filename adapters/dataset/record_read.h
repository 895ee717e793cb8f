/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading whole records: every value plain, sealed ones opened. For what the agency itself looks at
 * (exports, differences); answers to consumers open only what is granted (get.c). Only
 * adapters/dataset/ includes this.
 */
#ifndef YZ_DATASET_RECORD_READ_H
#define YZ_DATASET_RECORD_READ_H

#include "adapters/dataset/store_impl.h"

/* One record at a time; wiped at the end. Zeroed it is empty. */
struct plain_record {
    yz_buf kept; /* the values, one after the other */
    yz_buf one;
    struct query_value values[DATASET_FIELDS_MAX]; /* by field of the definition */
};
void yzi_plain_init(struct plain_record *r);
void yzi_plain_fini(struct plain_record *r);
/* Views are valid until the next call, whatever becomes of `stored`. YZ_ECORRUPT, YZ_ENOMEM. */
YZ_MUST_USE int yzi_plain_read(const struct row_layout *l, yz_bytes key,
                               const struct stored_row *stored, struct plain_record *out);

#endif
