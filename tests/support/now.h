/* SPDX-License-Identifier: Apache-2.0
 *
 * Real time for a test's patience: monotonic, in milliseconds. Any thread.
 */
#ifndef YZ_TESTS_SUPPORT_NOW_H
#define YZ_TESTS_SUPPORT_NOW_H

#include "base/clock.h"

static inline uint64_t now_ms(void)
{
    return yzi_mono_ms(&yzi_clock_system);
}

#endif
