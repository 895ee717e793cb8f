/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditions and orders as they are written on a command line:
 *
 *     field=value   field>=value   field>value   field<=value   field<value
 *     field^=beginning   "field in a,b,c"   "field is null"
 *
 * In a list "\\," is a comma and "\\\\" a backslash. An order is a field, or -field for descending.
 */
#ifndef YZ_CLI_WHERE_H
#define YZ_CLI_WHERE_H

#include "cli/cli.h"
#include "proto/status.h"

struct cli_where {
    const char *field;
    enum query_op op;
    const char **values; /* NULL inside: no value */
    size_t values_n;
};
/* In the invocation's arena. YZ_EINVAL with usage words. */
YZ_MUST_USE int yzi_cli_where(struct cli *c, const char *text, struct cli_where *out);
/* The words of a list, separated by commas. */
YZ_MUST_USE int yzi_cli_words(struct cli *c, const char *text, const char ***out, size_t *out_n);

#endif
