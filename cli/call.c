/* SPDX-License-Identifier: Apache-2.0
 *
 * yz call: ask a service and show the answer, and who said it.
 */
#include "cli/ask.h"

#define KEY_PARTS_MAX 8u

/* -- the request -- */

/* A compound key's parts are separated by commas; "\," is a comma, "\\" a backslash. */
static int add_key(struct cli *c, yz_request *r, const char *text)
{
    yz_bytes copy;
    YZ_TRY(yzi_arena_dup(yzi_cli_arena(c), yzi_bytes(text, strlen(text) + 1), &copy));
    char *from = (char *)(uintptr_t)copy.p, *to = from;
    const char *parts[KEY_PARTS_MAX] = {to};
    size_t n = 1;
    for (; *from; from++) {
        if (*from == '\\' && (from[1] == ',' || from[1] == '\\')) {
            *to++ = *++from;
        } else if (*from == ',') {
            *to++ = '\0';
            if (n == KEY_PARTS_MAX) {
                return yzi_cli_usage(c, "--key '%s' has more than %u parts", text, KEY_PARTS_MAX);
            }
            parts[n++] = to;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    int rc = yz_request_add_key(r, parts, n);
    return rc == YZ_EINVAL ? yzi_cli_usage(c, "--key '%s' is not UTF-8 text", text) : rc;
}

static int add_keys(struct cli *c, yz_request *r)
{
    size_t n;
    const char *const *keys = yzi_cli_options(c, "key", &n);
    if (n == 0) {
        return yzi_cli_usage(c, "--key is needed: which record? (yz query asks by other fields)");
    }
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(add_key(c, r, keys[i]));
    }
    const char *const *fields = yzi_cli_options(c, "field", &n);
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(yz_request_add_field(r, fields[i]));
    }
    return YZ_OK;
}

static int run_call(struct cli *c)
{
    YZ_AUTO(yzi_cli_request_free) yz_request *request = NULL;
    YZ_TRY(yzi_cli_request(c, &request));
    YZ_TRY(add_keys(c, request));
    return yzi_cli_ask(c, request);
}

static const struct cli_option call_options[] = {
    {"config", "FILE", "The client's configuration", true, false},
    {"key", "KEY", "A record to get; a compound key's parts separated by commas", false, true},
    {"field", "FIELD", "A field to answer with; without any, all that is allowed", false, true},
    {"purpose", "CODE", "Why it is asked (the broker sees it)", false, false},
    {"user", "TEXT", "The official who asks (only the provider sees it)", false, false},
    {"issue", "TEXT", "The case (only the provider sees it)", false, false},
    {"consent", "TEXT", "The citizen's consent (only the provider sees it)", false, false},
    {"timeout", "TIME", "How long the call may take: 5s, 2m", false, false},
    {0}};

const struct cli_verb yzi_cli_call[] = {{"call", "", "SERVICE", 1, 1,
                                         "Ask a service for records and show the verified answer",
                                         call_options, run_call, false},
                                        CLI_TABLE_END};
