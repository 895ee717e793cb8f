/* SPDX-License-Identifier: Apache-2.0
 *
 * What yz call, yz query and yz match share: the request's common options, and asking and showing
 * the answer.
 */
#ifndef YZ_CLI_ASK_H
#define YZ_CLI_ASK_H

#include <yizhan/client.h>

#include "cli/cli.h"

/* A request of the service that is argument 0, with --purpose, --user, --issue and --consent. */
YZ_MUST_USE int yzi_cli_request(struct cli *c, yz_request **out);
static inline void yzi_cli_request_free(yz_request **r)
{
    yz_request_free(*r);
}

/* Add a key as --key gives it: a compound key's parts are separated by commas; "\," is a comma,
 * "\\" a backslash. */
YZ_MUST_USE int yzi_cli_add_key(struct cli *c, yz_request *r, const char *text);

/* Ask it over --config within --timeout, print the answer, and exit as it says. */
YZ_MUST_USE int yzi_cli_ask(struct cli *c, yz_request *r);

#endif
