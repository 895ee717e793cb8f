/* SPDX-License-Identifier: Apache-2.0
 *
 * yz subsystem: a member's systems, each of which offers services or asks for them.
 */
#include "cli/home.h"

static int run_add(struct cli *c)
{
    const char *dir;
    struct member_set set;
    struct subsystem_record added = {0};
    YZ_TRY(yzi_cli_code(c, "a subsystem", yzi_cli_arg(c, 0), &added.code));
    YZ_TRY(yzi_cli_label(c, "name", &added.name));
    YZ_TRY(yzi_home_open(c, HOME_MEMBER, true, &dir));
    YZ_TRY(yzi_home_member_set(c, dir, &set));
    if (yzi_home_subsystem(&set, added.code)) {
        return yzi_fail(yzi_cli_error(c), YZ_EEXIST, "%.*s has the subsystem '%.*s' already",
                        CLI_V(set.member.v), CLI_V(added.code));
    }
    YZ_TRY(yzi_cli_extend(c, &set.subsystems, set.subsystems_n, sizeof *set.subsystems));
    set.subsystems[set.subsystems_n++] = added;
    YZ_TRY(yzi_home_sign_member_set(c, dir, &set));
    yzi_cli_say(c, "%.*s/%.*s is a subsystem; member set version %llu\n", CLI_V(set.member.v),
                CLI_V(added.code), (unsigned long long)set.version);
    return yzi_home_push_member_set(c, dir);
}

static const struct cli_option add_options[] = {
    {"home", "DIR", "The member's home", true, false},
    {"name", "TEXT", "Its name for people", false, false},
    {"admin", "SOCKET", "Give the member set to this daemon at once", false, true},
    {0}};

const struct cli_verb yzi_cli_subsystem[] = {{"subsystem", "add", "CODE", 1, 1,
                                              "Add a subsystem to the member set", add_options,
                                              run_add, true},
                                             CLI_TABLE_END};
