/* SPDX-License-Identifier: Apache-2.0
 *
 * The verbs of `yz grant` that ask the policy and change nothing.
 */
#ifndef YZ_CLI_GRANT_H
#define YZ_CLI_GRANT_H

#include "cli/described.h"

YZ_MUST_USE int yzi_grant_explain(struct cli *c);
/* One request: allowed, or exit code 3. */
YZ_MUST_USE int yzi_grant_test_one(struct cli *c);
/* The same, or with --cases a file of them. */
YZ_MUST_USE int yzi_grant_test(struct cli *c);

extern const struct cli_option yzi_grant_explain_options[], yzi_grant_test_options[];

#endif
