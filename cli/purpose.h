/* SPDX-License-Identifier: Apache-2.0
 *
 * The purposes of an instance, for the verbs that name one.
 */
#ifndef YZ_CLI_PURPOSE_H
#define YZ_CLI_PURPOSE_H

#include "cli/home.h"

/* That an instance with a purpose list has all of these: by the directory that the first --admin
 * has in force, else by the list that this member's home has (yz purpose fetch), else nothing is
 * checked. YZ_EINVAL with a sentence. */
YZ_MUST_USE int yzi_home_check_purposes(struct cli *c, const char *home,
                                        const struct name_list *codes);

/* The list that this home has, an operator's or a member's; *found false: none, any code will do.
 */
YZ_MUST_USE int yzi_home_purposes(struct cli *c, const char *home, struct purpose_list *out,
                                  bool *found);
/* Whether the list has the code. */
bool yzi_purpose_is_listed(const struct purpose_list *l, yz_bytes code);

#endif
