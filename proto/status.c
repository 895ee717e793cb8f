/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of the protocol's numbers: a table per enum, indexed by the number.
 */
#include "proto/status.h"

#include <string.h>

struct names {
    const char *const *v;
    unsigned n;
};
#define NAMES(table) ((struct names){table, sizeof(table) / sizeof(table)[0]})

static const char *const frame_kinds[] = {
    [FRAME_REQUEST] = "request",
    [FRAME_RESPONSE] = "response",
    [FRAME_OUTCOME] = "outcome",
    [FRAME_HELLO] = "hello",
    [FRAME_WELCOME] = "welcome",
    [FRAME_HEARTBEAT] = "heartbeat",
    [FRAME_FETCH] = "fetch",
    [FRAME_OBJECT] = "object",
    [FRAME_PUT] = "put",
    [FRAME_PUT_RESULT] = "put-result",
    [FRAME_REJECT] = "reject",
    [FRAME_RECEIPT] = "receipt",
    [FRAME_BYE] = "bye",
    [FRAME_ADMIN_REQUEST] = "admin-request",
    [FRAME_ADMIN_REPLY] = "admin-reply",
};
static const char *const response_statuses[] = {
    [RESPONSE_ANSWERED] = "answered",   [RESPONSE_REFUSED] = "refused",
    [RESPONSE_FAILED] = "failed",       [RESPONSE_INDETERMINATE] = "indeterminate",
    [RESPONSE_STALE_KEY] = "stale-key",
};
static const char *const outcome_statuses[] = {
    [OUTCOME_DENIED] = "denied",
    [OUTCOME_UNKNOWN_SERVICE] = "unknown-service",
    [OUTCOME_BUSY] = "busy",
    [OUTCOME_UNAVAILABLE] = "unavailable",
    [OUTCOME_TIMEOUT] = "timeout",
    [OUTCOME_EXPIRED] = "expired",
    [OUTCOME_REPLAYED] = "replayed",
    [OUTCOME_ID_CONFLICT] = "id-conflict",
    [OUTCOME_MALFORMED] = "malformed",
    [OUTCOME_BAD_SIGNATURE] = "bad-signature",
    [OUTCOME_WRONG_SENDER] = "wrong-sender",
    [OUTCOME_TOO_LARGE] = "too-large",
    [OUTCOME_STALE_DIRECTORY] = "stale-directory",
};
static const char *const answer_codes[] = {
    [ANSWER_OK] = "ok",
    [ANSWER_DENIED] = "denied",
    [ANSWER_BAD_QUERY] = "bad-query",
    [ANSWER_UNSUPPORTED] = "unsupported",
    [ANSWER_TOO_LARGE] = "too-large",
    [ANSWER_FAILED] = "failed",
};
static const char *const roles[] = {
    [ROLE_BROKER] = "broker",
    [ROLE_ADAPTER] = "adapter",
    [ROLE_CLIENT] = "client",
};
static const char *const operations[] = {
    [QUERY_GET] = "get",       [QUERY_FIND] = "find",     [QUERY_COUNT] = "count",
    [QUERY_MATCH] = "match",   [QUERY_INSERT] = "insert", [QUERY_PUT] = "put",
    [QUERY_DELETE] = "delete",
};
static const char *const ops[] = {
    [OP_EQ] = "eq", [OP_IN] = "in", [OP_PREFIX] = "prefix", [OP_GE] = "ge",
    [OP_GT] = "gt", [OP_LE] = "le", [OP_LT] = "lt",
};
static const char *const field_types[] = {
    [FIELD_TEXT] = "text", [FIELD_INTEGER] = "integer", [FIELD_DECIMAL] = "decimal",
    [FIELD_DATE] = "date", [FIELD_TIME] = "time",       [FIELD_BOOLEAN] = "boolean",
    [FIELD_CODE] = "code", [FIELD_BYTES] = "bytes",
};
static const char *const masks[] = {
    [MASK_NONE] = "none", [MASK_HIDE] = "hide",       [MASK_LAST4] = "last4",
    [MASK_YEAR] = "year", [MASK_INITIAL] = "initial", [MASK_HASH] = "hash",
};
static const char *const classifications[] = {
    [CLASS_PUBLIC] = "public",
    [CLASS_INTERNAL] = "internal",
    [CLASS_SENSITIVE] = "sensitive",
    [CLASS_SECRET] = "secret",
};
static const char *const sharings[] = {
    [SHARING_UNCONDITIONAL] = "unconditional",
    [SHARING_CONDITIONAL] = "conditional",
    [SHARING_WITHHELD] = "withheld",
};
static const char *const modes[] = {
    [SERVICE_READ] = "read",
    [SERVICE_WRITE] = "write",
};
static const char *const matches[] = {
    [MATCH_YES] = "yes",
    [MATCH_NO] = "no",
    [MATCH_UNKNOWN] = "unknown",
};

static const char *name_of(struct names names, unsigned v)
{
    return v < names.n && names.v[v] ? names.v[v] : "?";
}

static int parse(struct names names, const char *s, unsigned *out)
{
    YZ_ENSURE(s, YZ_EINVAL);
    for (unsigned v = 0; v < names.n; v++) {
        if (names.v[v] && strcmp(names.v[v], s) == 0) {
            *out = v;
            return 0;
        }
    }
    return YZ_EINVAL;
}

const char *yzi_frame_kind_name(unsigned v)
{
    return name_of(NAMES(frame_kinds), v);
}
const char *yzi_response_status_name(unsigned v)
{
    return name_of(NAMES(response_statuses), v);
}
const char *yzi_outcome_status_name(unsigned v)
{
    return name_of(NAMES(outcome_statuses), v);
}
const char *yzi_answer_code_name(unsigned v)
{
    return name_of(NAMES(answer_codes), v);
}
const char *yzi_role_name(unsigned v)
{
    return name_of(NAMES(roles), v);
}
const char *yzi_operation_name(unsigned v)
{
    return name_of(NAMES(operations), v);
}
const char *yzi_op_name(unsigned v)
{
    return name_of(NAMES(ops), v);
}
const char *yzi_field_type_name(unsigned v)
{
    return name_of(NAMES(field_types), v);
}
const char *yzi_mask_name(unsigned v)
{
    return name_of(NAMES(masks), v);
}
const char *yzi_classification_name(unsigned v)
{
    return name_of(NAMES(classifications), v);
}
const char *yzi_sharing_name(unsigned v)
{
    return name_of(NAMES(sharings), v);
}
const char *yzi_mode_name(unsigned v)
{
    return name_of(NAMES(modes), v);
}
const char *yzi_match_name(unsigned v)
{
    return name_of(NAMES(matches), v);
}

int yzi_role_parse(const char *s, unsigned *out)
{
    return parse(NAMES(roles), s, out);
}
int yzi_operation_parse(const char *s, unsigned *out)
{
    return parse(NAMES(operations), s, out);
}
int yzi_op_parse(const char *s, unsigned *out)
{
    return parse(NAMES(ops), s, out);
}
int yzi_field_type_parse(const char *s, unsigned *out)
{
    return parse(NAMES(field_types), s, out);
}
int yzi_mask_parse(const char *s, unsigned *out)
{
    return parse(NAMES(masks), s, out);
}
int yzi_classification_parse(const char *s, unsigned *out)
{
    return parse(NAMES(classifications), s, out);
}
int yzi_sharing_parse(const char *s, unsigned *out)
{
    return parse(NAMES(sharings), s, out);
}
int yzi_mode_parse(const char *s, unsigned *out)
{
    return parse(NAMES(modes), s, out);
}
