/* SPDX-License-Identifier: Apache-2.0
 *
 * yz query: ask a service for the records that meet conditions, or how many there are.
 */
#include "cli/ask.h"
#include "cli/where.h"

_Static_assert((int)YZ_EQUAL == OP_EQ && (int)YZ_BELOW == OP_LT,
               "the public numbers are the wire's");

static int add_conditions(struct cli *c, yz_request *r)
{
    size_t n;
    const char *const *given = yzi_cli_options(c, "where", &n);
    for (size_t i = 0; i < n; i++) {
        struct cli_where w;
        YZ_TRY(yzi_cli_where(c, given[i], &w));
        int rc =
            yz_request_add_condition(r, w.field, (enum yz_condition)w.op, w.values, w.values_n);
        if (rc == YZ_EINVAL || rc == YZ_ELIMIT) {
            return yzi_cli_usage(c, "--where '%s': %s", given[i],
                                 rc == YZ_EINVAL ? "the value is too long or not UTF-8"
                                                 : "there are too many conditions or values");
        }
        YZ_TRY(rc);
    }
    return YZ_OK;
}

static int add_order(struct cli *c, yz_request *r)
{
    size_t n;
    const char *const *given = yzi_cli_options(c, "order", &n);
    for (size_t i = 0; i < n; i++) {
        bool descending = given[i][0] == '-';
        int rc = yz_request_add_order(r, given[i] + descending, descending);
        if (rc == YZ_EINVAL || rc == YZ_ELIMIT) {
            return yzi_cli_usage(c, "--order '%s' is not the name of a field, or one too many",
                                 given[i]);
        }
        YZ_TRY(rc);
    }
    return YZ_OK;
}

static int add_fields(struct cli *c, yz_request *r)
{
    const char *list = yzi_cli_option(c, "fields");
    const char **fields = NULL;
    size_t n = 0;
    if (list) {
        YZ_TRY(yzi_cli_words(c, list, &fields, &n));
    }
    for (size_t i = 0; i < n; i++) {
        if (yz_request_add_field(r, fields[i]) < 0) {
            return yzi_cli_usage(c, "--fields: '%s' is not the name of a field, or stands twice",
                                 fields[i]);
        }
    }
    return YZ_OK;
}

static int add_page(struct cli *c, yz_request *r)
{
    uint64_t limit;
    const char *cursor = yzi_cli_option(c, "cursor");
    YZ_TRY(yzi_cli_number(c, "limit", 1, UINT32_MAX, 0, &limit));
    YZ_TRY(yz_request_set_limit(r, (uint32_t)limit));
    if (cursor && yz_request_set_cursor(r, cursor) < 0) {
        return yzi_cli_usage(c, "--cursor: that is not a cursor of an answer");
    }
    return YZ_OK;
}

static int run_query(struct cli *c)
{
    static const char *const find_only[] = {"order", "limit", "cursor", "fields"};
    YZ_AUTO(yzi_cli_request_free) yz_request *r = NULL;
    bool count = yzi_cli_flag(c, "count");
    for (size_t i = 0; count && i < sizeof find_only / sizeof find_only[0]; i++) {
        if (yzi_cli_option(c, find_only[i])) {
            return yzi_cli_usage(c, "--count and --%s do not go together", find_only[i]);
        }
    }
    if (!count && !yzi_cli_option(c, "where") && !yzi_cli_option(c, "order")) {
        return yzi_cli_usage(c, "--where is needed, or --order to go through all records");
    }
    YZ_TRY(yzi_cli_request(c, &r));
    YZ_TRY(yz_request_set_operation(r, count ? YZ_COUNT : YZ_FIND));
    YZ_TRY(add_conditions(c, r));
    YZ_TRY(add_order(c, r));
    YZ_TRY(add_fields(c, r));
    YZ_TRY(add_page(c, r));
    return yzi_cli_ask(c, r);
}

static const struct cli_option query_options[] = {
    {"config", "FILE", "The client's configuration", true, false},
    {"where", "CONDITION",
     "field=value, >=, >, <=, <, ^= (begins with), 'field in a,b', "
     "'field is null'; all given must hold",
     false, true},
    {"order", "FIELD", "Order the records by this field; -FIELD: descending", false, true},
    {"limit", "N", "At most so many records", false, false},
    {"cursor", "CURSOR", "Go on where an answer to the same question ended", false, false},
    {"count", NULL, "How many records there are, instead of the records", false, false},
    {"fields", "A,B", "The fields to answer with; without it, all that are allowed", false, false},
    {"purpose", "CODE", "Why it is asked (the broker sees it)", false, false},
    {"user", "TEXT", "The official who asks (only the provider sees it)", false, false},
    {"issue", "TEXT", "The case (only the provider sees it)", false, false},
    {"consent", "TEXT", "The citizen's consent (only the provider sees it)", false, false},
    {"timeout", "DURATION", "How long the call may take: 5s, 2m", false, false},
    {0}};

const struct cli_verb yzi_cli_query[] = {
    {"query", "", "SERVICE", 1, 1,
     "Ask a service for the records that meet conditions and show the verified answer",
     query_options, run_query, false},
    CLI_TABLE_END};
