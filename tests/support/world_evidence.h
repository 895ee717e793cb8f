/* SPDX-License-Identifier: Apache-2.0
 *
 * What a broker's evidence log gives out, for tests of those who take it.
 */
#ifndef YZ_TESTS_SUPPORT_WORLD_EVIDENCE_H
#define YZ_TESTS_SUPPORT_WORLD_EVIDENCE_H

#include "evidence/receipt.h"
#include "tests/support/world.h"

#define WORLD_LOG (WORLD_TIME - 1000) /* when every broker's log was opened */

/* A receipt of these entries, signed by the broker's log key; appended. */
void yz_world_receipt(struct world *w, struct world_node *broker,
                      const struct receipt_claim *claims, unsigned n, yz_buf *out);
/* The answer (response or outcome) as the broker delivers it: the receipt of it and of the request
 * in its hop. Appended. */
void yz_world_deliver(struct world *w, struct world_node *broker, const yz_digest *request,
                      const struct world_message *answer, yz_buf *out);

#endif
