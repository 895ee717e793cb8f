/* SPDX-License-Identifier: Apache-2.0
 *
 * yz call: ask a service by key, or have it change records, and show the answer and who said it.
 */
#include "cli/ask.h"

#include "proto/limits.h"

/* -- the request -- */

static int add_keys(struct cli *c, yz_request *r)
{
    size_t n;
    const char *const *keys = yzi_cli_options(c, "key", &n);
    if (n == 0) {
        return yzi_cli_usage(c, "--key is needed: which record? (yz query asks by other fields)");
    }
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(yzi_cli_add_key(c, r, keys[i]));
    }
    return YZ_OK;
}

static int add_fields(struct cli *c, yz_request *r)
{
    size_t n;
    const char *const *fields = yzi_cli_options(c, "field", &n);
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(yz_request_add_field(r, fields[i]));
    }
    return YZ_OK;
}

/* -- rows to insert or put -- */

/* One record: FIELD=VALUE, or FIELD for no value, separated by commas; "\\," is a comma, "\\\\" a
 * backslash. */
struct row {
    const char *names[YZ_QUERY_FIELDS_MAX];
    yz_value values[YZ_QUERY_FIELDS_MAX];
    size_t n;
};

static void end_value(struct row *row, char *end)
{
    yz_value *v = &row->values[row->n - 1];
    if (v->p) {
        v->n = (size_t)(end - (const char *)v->p);
    }
}

static int read_row(struct cli *c, const char *text, struct row *row)
{
    yz_bytes copy;
    YZ_TRY(yzi_arena_dup(yzi_cli_arena(c), yzi_bytes(text, strlen(text) + 1), &copy));
    char *from = (char *)(uintptr_t)copy.p, *to = from;
    *row = (struct row){.names = {to}, .n = 1};
    for (; *from; from++) {
        if (*from == '\\' && (from[1] == ',' || from[1] == '\\')) {
            *to++ = *++from;
        } else if (*from == ',') {
            end_value(row, to);
            *to++ = '\0';
            if (row->n == YZ_QUERY_FIELDS_MAX) {
                return yzi_cli_usage(c, "a record has more than %u fields", YZ_QUERY_FIELDS_MAX);
            }
            row->names[row->n++] = to;
        } else if (*from == '=' && !row->values[row->n - 1].p) {
            *to++ = '\0';
            row->values[row->n - 1].p = to;
        } else {
            *to++ = *from;
        }
    }
    end_value(row, to);
    *to = '\0';
    return YZ_OK;
}

static bool same_fields(const struct row *a, const struct row *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++) {
        same = strcmp(a->names[i], b->names[i]) == 0;
    }
    return same;
}

static int add_rows(struct cli *c, yz_request *r, const char *option, enum yz_operation operation)
{
    struct row *rows;
    size_t n;
    const char *const *texts = yzi_cli_options(c, option, &n);
    YZ_TRY(yz_request_set_operation(r, operation));
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), 2, sizeof *rows, &rows));
    for (size_t i = 0; i < n; i++) {
        struct row *row = &rows[i > 0];
        YZ_TRY(read_row(c, texts[i], row));
        for (size_t k = 0; i == 0 && k < row->n; k++) {
            if (yz_request_add_field(r, row->names[k]) < 0) {
                return yzi_cli_usage(c, "--%s: '%s' is no field, or is given twice", option,
                                     row->names[k]);
            }
        }
        if (!same_fields(&rows[0], row)) {
            return yzi_cli_usage(c, "--%s: each record names the same fields in the same order",
                                 option);
        }
        YZ_TRY(yz_request_add_row(r, row->values, row->n));
    }
    return YZ_OK;
}

/* -- the verb -- */

static bool is_given(struct cli *c, const char *option)
{
    size_t n;
    (void)yzi_cli_options(c, option, &n);
    return n > 0;
}

static int fill(struct cli *c, yz_request *r)
{
    bool inserts = is_given(c, "insert"), puts_them = is_given(c, "put");
    bool deletes = yzi_cli_flag(c, "delete");
    if (inserts + puts_them + deletes > 1) {
        return yzi_cli_usage(c, "--insert, --put and --delete are calls of their own");
    }
    if (inserts + puts_them > 0) {
        if (is_given(c, "key") || is_given(c, "field")) {
            return yzi_cli_usage(c, "--key and --field are not for --insert and --put, whose "
                                    "records name their fields");
        }
        return add_rows(c, r, inserts ? "insert" : "put", inserts ? YZ_INSERT : YZ_PUT);
    }
    YZ_TRY(add_keys(c, r));
    if (deletes && is_given(c, "field")) {
        return yzi_cli_usage(c, "--field is not for --delete: records go as a whole");
    }
    return deletes ? yz_request_set_operation(r, YZ_DELETE) : add_fields(c, r);
}

static int run_call(struct cli *c)
{
    YZ_AUTO(yzi_cli_request_free) yz_request *request = NULL;
    YZ_TRY(yzi_cli_request(c, &request));
    YZ_TRY(fill(c, request));
    return yzi_cli_ask(c, request);
}

static const struct cli_option call_options[] = {
    {"config", "FILE", "The client's configuration", true, false},
    {"key", "KEY", "A record to get; a compound key's parts separated by commas", false, true},
    {"field", "FIELD", "A field to answer with; without any, all that is allowed", false, true},
    {"insert", "FIELD=VALUE,...", "A record to add that must not exist", false, true},
    {"put", "FIELD=VALUE,...", "A record to add, or to set these fields of", false, true},
    {"delete", NULL, "Delete the records of these keys", false, false},
    {"purpose", "CODE", "Why it is asked (the broker sees it)", false, false},
    {"user", "TEXT", "The official who asks (only the provider sees it)", false, false},
    {"issue", "TEXT", "The case (only the provider sees it)", false, false},
    {"consent", "TEXT", "The citizen's consent (only the provider sees it)", false, false},
    {"timeout", "DURATION", "How long the call may take: 5s, 2m", false, false},
    {0}};

const struct cli_verb yzi_cli_call[] = {
    {"call", "", "SERVICE", 1, 1,
     "Ask a service for records, or have it change some, and show the verified answer",
     call_options, run_call, false},
    CLI_TABLE_END};
