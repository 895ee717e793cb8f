/* SPDX-License-Identifier: Apache-2.0
 *
 * Whom a query is about: the keys it names, in canonical form, for the list that is kept with the
 * exchange (proto/subject.h). What the answer gives out the query itself appends (struct
 * query_limits). Pure; any thread.
 */
#ifndef YZ_DATASET_SUBJECTS_H
#define YZ_DATASET_SUBJECTS_H

#include "adapters/dataset/definition.h"
#include "proto/subject.h"

/* Append the keys that the query names: those of a get, a match, a delete; of the rows that an
 * insert or a put brings (`body`, checked); of a find or a count whose conditions give every key
 * field its value (at most YZ_QUERY_KEYS_MAX combinations of different values). Asked for before
 * anything was decided, so a key of the wrong form stands as it was written. `d` may be NULL: then
 * all keys do, and other queries name none.
 * YZ_ELIMIT (out is full), YZ_ENOMEM. */
YZ_MUST_USE int yzi_subjects_of_query(const struct dataset *d, const struct query *q, yz_bytes body,
                                      enum subject_how how, yz_buf *out);

#endif
