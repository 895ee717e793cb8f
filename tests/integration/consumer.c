/* SPDX-License-Identifier: Apache-2.0
 *
 * The consumer behind consumer.h.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "tests/integration/consumer.h"

#define READY_MS 60000

yz_client *open_consumer(const char *config)
{
    yz_client *client = NULL;
    yz_error err = {0};
    if (yz_client_open(config, &client, &err) < 0 ||
        yz_client_wait_ready(client, READY_MS, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return client;
}
