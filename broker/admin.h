/* SPDX-License-Identifier: Apache-2.0
 *
 * What the administration verbs' files share. The front's thread only.
 */
#ifndef YZ_BROKER_ADMIN_H
#define YZ_BROKER_ADMIN_H

#include "broker/broker.h"

/* Answers with text or with a payload (`out`); a failure with words in err. */
typedef int admin_verb_handler(struct broker *b, const struct admin_request *q, yz_bytes payload,
                               yz_buf *text, yz_buf *out, yz_error *err);
struct admin_verb {
    const char *verb; /* NULL ends a table */
    admin_verb_handler *handler;
};
/* evidence_admin.c: evidence.status, .list, .export, .prune, .check, .close */
extern const struct admin_verb yzi_broker_evidence_verbs[];

#endif
