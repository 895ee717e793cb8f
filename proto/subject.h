/* SPDX-License-Identifier: Apache-2.0
 *
 * Whom an exchange was about: the keys of the records that were asked for, given out, changed or
 * counted, as a provider keeps them beside the exchange (docs/evidence.md, "What is kept"). A list
 * is subjects one after the other: how u8 ‖ parts u8 ‖ the parts of the key, each as a value of a
 * row. Keys are canonical; a key that is none of the data set's (it was asked for all the same)
 * stands as it was asked. Of a part that is longer than any sane key the beginning stands, so that
 * looking for one may find too much and never too little. Pure; any thread.
 */
#ifndef YZ_PROTO_SUBJECT_H
#define YZ_PROTO_SUBJECT_H

#include "proto/payload.h"

/* How it came into the exchange; one subject may come in several ways, each time for itself. */
enum subject_how {
    SUBJECT_ASKED = 1,   /* the request names the key, whether or not there is such a record */
    SUBJECT_GIVEN = 2,   /* the answer has something of the record */
    SUBJECT_CHANGED = 3, /* a write that was executed names it */
    SUBJECT_COUNTED = 4  /* it is one of the few that a count counted */
};
#define SUBJECT_COUNTED_MAX 16u     /* a count of more names nobody */
#define SUBJECT_PART_MAX 1024u      /* bytes; the rest is left out */
#define SUBJECTS_MAX YZ_MESSAGE_MAX /* bytes of a list */

struct subject {
    enum subject_how how;
    struct query_value parts[YZ_QUERY_KEY_PARTS_MAX];
    size_t parts_n;
};
/* Append one. YZ_EINVAL (no or too many parts), YZ_ELIMIT (out is full), YZ_ENOMEM; then `out` is
 * as it was. */
YZ_MUST_USE int yzi_subject_put(yz_buf *out, const struct subject *s);
/* The same piece by piece: the beginning, then each part. A failure leaves what came before. */
YZ_MUST_USE int yzi_subject_begin(yz_buf *out, enum subject_how how, size_t parts_n);
YZ_MUST_USE int yzi_subject_part(yz_buf *out, const struct query_value *v);
/* Whether it is the subject with this key, given as it was for yzi_subject_put. */
bool yzi_subject_is(const struct subject *s, const struct query_value *parts, size_t parts_n);
/* Take the next; views. YZ_EMALFORMED. */
YZ_MUST_USE int yzi_subject_next(yz_reader *r, struct subject *out);
/* That the list is one to its end. YZ_EMALFORMED. */
YZ_MUST_USE int yzi_subjects_check(yz_bytes list);

#endif
