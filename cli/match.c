/* SPDX-License-Identifier: Apache-2.0
 *
 * yz match: ask a service yes/no questions about one record, which reveal no value of it.
 */
#include "cli/ask.h"
#include "proto/limits.h"

#define QUESTIONS_MAX 16u

/* NAME, or NAME=VALUE. */
static int add_question(struct cli *c, yz_request *r, const char *text)
{
    yz_bytes copy;
    YZ_TRY(yzi_arena_dup(yzi_cli_arena(c), yzi_bytes(text, strlen(text) + 1), &copy));
    char *name = (char *)(uintptr_t)copy.p, *value = strchr(name, '=');
    if (value) {
        *value++ = '\0';
    }
    const char *const values[] = {value};
    int rc = yz_request_add_predicate(r, name, value ? values : NULL, value ? 1 : 0);
    return rc == YZ_EINVAL ? yzi_cli_usage(c, "'%s' is not a question: NAME, or NAME=VALUE", text)
                           : rc;
}

static int run_match(struct cli *c)
{
    YZ_AUTO(yzi_cli_request_free) yz_request *r = NULL;
    YZ_TRY(yzi_cli_request(c, &r));
    YZ_TRY(yz_request_set_operation(r, YZ_MATCH));
    YZ_TRY(yzi_cli_add_key(c, r, yzi_cli_option(c, "key")));
    for (unsigned i = 1; i < yzi_cli_args(c); i++) {
        YZ_TRY(add_question(c, r, yzi_cli_arg(c, i)));
    }
    return yzi_cli_ask(c, r);
}

static const struct cli_option match_options[] = {
    {"config", "FILE", "The client's configuration", true, false},
    {"key", "KEY", "Whom it is about, by the data set's key; the parts of a compound key A,B", true,
     false},
    {"purpose", "CODE", "Why it is asked (the broker sees it)", false, false},
    {"user", "TEXT", "The official who asks (only the provider sees it)", false, false},
    {"issue", "TEXT", "The case (only the provider sees it)", false, false},
    {"consent", "TEXT", "The citizen's consent (only the provider sees it)", false, false},
    {"timeout", "DURATION", "How long the call may take: 5s, 2m", false, false},
    {0}};

const struct cli_verb yzi_cli_match[] = {
    {"match", "", "SERVICE QUESTION...", 2, 1 + QUESTIONS_MAX,
     "Ask a service yes/no questions about one record, NAME or NAME=VALUE each, and show the "
     "verified answers: yes, no or unknown",
     match_options, run_match, false},
    CLI_TABLE_END};
