/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's event table, made from broker/events.h.
 */
#include "broker/events.h"

#define DEFINE(name, text, level) const struct log_event EV_##name = {text, level};
BROKER_EVENTS(DEFINE)
