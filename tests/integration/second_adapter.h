/* SPDX-License-Identifier: Apache-2.0
 *
 * A second adapter for a sandbox, beside one of its own and with that one's definition, in the
 * folder of that one's name with a 2 behind it.
 */
#ifndef YZ_TESTS_INTEGRATION_SECOND_ADAPTER_H
#define YZ_TESTS_INTEGRATION_SECOND_ADAPTER_H

#include "tests/integration/harness.h"

struct second_adapter {
    const char *first;      /* folder of the first: "tax" */
    const char *node;       /* id of the second: "CN/GOV/TAX/@a2" */
    const char *subsystem;  /* code: "clearance" */
    const char *definition; /* file in the first's folder: "clearances.yaml" */
};
/* Make, admit and start it; it holds no records and is offered by nobody yet. Fails the test when
 * it cannot. */
pid_t second_adapter_up(const struct sandbox *s, const struct second_adapter *a);

#endif
