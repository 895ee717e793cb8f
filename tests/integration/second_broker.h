/* SPDX-License-Identifier: Apache-2.0
 *
 * A second broker for a sandbox: CN/@b2 in the folder "broker2".
 */
#ifndef YZ_TESTS_INTEGRATION_SECOND_BROKER_H
#define YZ_TESTS_INTEGRATION_SECOND_BROKER_H

#include "tests/integration/harness.h"

/* Make, admit and start it; `endpoint` is where it listens. Fails the test when it cannot. */
pid_t second_broker_up(const struct sandbox *s, char endpoint[64]);
/* The public key of a key file, in base64. */
void public_key(const char *file, char out[64]);

#endif
