/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of an import in the order of their keys: taken in as the file has them, given back by key
 * and, for one key, by where they stood. What goes to disk meanwhile is sealed as it is in the
 * store, in files without a name. Not thread safe. Only adapters/dataset/ includes this.
 */
#ifndef YZ_DATASET_ROW_SORTER_H
#define YZ_DATASET_ROW_SORTER_H

#include "adapters/dataset/scan.h"
#include "adapters/dataset/store_impl.h"

struct row_sorter;

/* Rows of `l`, which is borrowed; files in the folder `dir`. YZ_EIO, YZ_ENOMEM. */
YZ_MUST_USE int yzi_row_sorter_new(const struct row_layout *l, const char *dir,
                                   struct row_sorter **out);
void yzi_row_sorter_free(struct row_sorter *s); /* NULL allowed */
/* Values by field of the definition, canonical, the key's all there. Not after the first
 * yzi_row_sorter_next. YZ_EDISKFULL, YZ_EIO, YZ_ENOMEM, YZ_ELIMIT. */
YZ_MUST_USE int yzi_row_sorter_add(struct row_sorter *s, const struct scan_place *at,
                                   const struct query_value *values);
/* The next record, its values valid until the next call; YZ_ENOTFOUND at the end. YZ_EIO,
 * YZ_ECORRUPT, YZ_ENOMEM. */
YZ_MUST_USE int yzi_row_sorter_next(struct row_sorter *s, struct scan_place *at,
                                    const struct query_value **values);

#endif
