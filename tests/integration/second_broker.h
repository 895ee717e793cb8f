/* SPDX-License-Identifier: Apache-2.0
 *
 * A second broker for a sandbox: CN/@b2 in the folder "broker2".
 */
#ifndef YZ_TESTS_INTEGRATION_SECOND_BROKER_H
#define YZ_TESTS_INTEGRATION_SECOND_BROKER_H

#include "tests/integration/harness.h"

/* A broker's home in the folder `name`, with its keys, its request and its configuration;
 * `endpoint` is where it is going to listen. It is not admitted and has no directory. */
void broker_home(const struct sandbox *s, const char *name, const char *node, char endpoint[64]);
/* Make, admit and start it; `endpoint` is where it listens. Fails the test when it cannot. */
pid_t second_broker_up(const struct sandbox *s, char endpoint[64]);
/* The public key of a key file, in base64. */
void public_key(const char *file, char out[64]);

#endif
