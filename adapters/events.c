/* SPDX-License-Identifier: Apache-2.0
 *
 * The adapter's event table, made from adapters/events.h.
 */
#include "adapters/events.h"

#define DEFINE(name, text, level) const struct log_event ADAPTER_##name = {text, level};
ADAPTER_EVENTS(DEFINE)
