/* SPDX-License-Identifier: Apache-2.0
 *
 * Offers kept across restarts, a file each in state/offers: so that a broker that comes back knows
 * at once what is offered, and cannot be given an older offer than it had. They are verified again
 * when they are read; a file is only a memory, never an authority. Front thread only.
 */
#ifndef YZ_BROKER_KEPT_H
#define YZ_BROKER_KEPT_H

#include "broker/broker.h"

/* Write the offer just taken into force. Failure is logged: the offer is in force all the same. The
 * disk is not waited for, or one node's offers would be everybody's wait: a loss of power may take
 * the last ones, and their adapters put them again. */
void yzi_kept_offer(struct broker *b, const struct offer *offer, yz_bytes record);
/* Take what was kept into force, by the directory in force. What does not verify is logged with its
 * file and left there: a later directory may know its owner. */
void yzi_kept_load(struct broker *b);

#endif
