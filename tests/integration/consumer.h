/* SPDX-License-Identifier: Apache-2.0
 *
 * The sandbox's consumer, through the library.
 */
#ifndef YZ_TESTS_CONSUMER_H
#define YZ_TESTS_CONSUMER_H

#include <yizhan/client.h>

#include "tests/integration/harness.h"

/* A client of this configuration that is ready; to be closed. */
yz_client *open_consumer(const char *config);

#endif
