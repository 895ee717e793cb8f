/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers as JSON (docs/json.md).
 */
#include "base/json.h"

#include "base/text.h"
#include "client/answer.h"

/* Six bytes for one is the longest escape; names repeat in each row, so this is a bound on memory
 * and not one that a 16 MiB answer reaches easily. */
#define JSON_MAX ((size_t)1 << 30)

static int write_base64(struct json *j, yz_bytes v)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf text;
    yzi_buf_init(&text, YZ_VALUE_MAX / 3 * 4 + 8);
    YZ_TRY(yzi_base64_encode(v, &text));
    yzi_json_text(j, yzi_bytes_buf(&text));
    return YZ_OK;
}

static int write_value(struct json *j, enum yz_type type, yz_bytes v)
{
    switch (type) {
    case YZ_TYPE_INTEGER:
    case YZ_TYPE_DECIMAL:
        yzi_json_number(j, v);
        return YZ_OK;
    case YZ_TYPE_BOOLEAN:
        yzi_json_bool(j, yzi_bytes_eq_str(v, "true"));
        return YZ_OK;
    case YZ_TYPE_BYTES:
        return write_base64(j, v);
    case YZ_TYPE_TEXT:
    case YZ_TYPE_DATE:
    case YZ_TYPE_TIME:
    case YZ_TYPE_CODE:
    default:
        yzi_json_text(j, v);
        return YZ_OK;
    }
}

static int write_record(struct json *j, const yz_answer *a, size_t row)
{
    yzi_json_object(j);
    for (size_t i = 0; i < a->columns_n; i++) {
        const void *p;
        size_t n;
        YZ_TRY(yz_answer_value(a, row, i, &p, &n));
        yzi_json_key(j, a->columns[i].name);
        if (p) {
            YZ_TRY(write_value(j, a->columns[i].type, yzi_bytes(p, n)));
        } else {
            yzi_json_null(j);
        }
    }
    yzi_json_object_end(j);
    return YZ_OK;
}

/* By which right, and what it withholds. */
static void write_right(struct json *j, const yz_answer *a)
{
    bool provider = a->origin == YZ_ORIGIN_PROVIDER;
    yzi_json_key(j, "grant");
    yzi_json_str(j, provider ? a->rule : "");
    yzi_json_key(j, "clause");
    yzi_json_str(j, a->clause);
    yzi_json_key(j, "masks");
    yzi_json_object(j);
    for (size_t i = 0; i < a->columns_n; i++) {
        if (*a->columns[i].mask) {
            yzi_json_key(j, a->columns[i].name);
            yzi_json_str(j, a->columns[i].mask);
        }
    }
    yzi_json_object_end(j);
}

static int write_answer(struct json *j, const yz_answer *a)
{
    yzi_json_object(j);
    yzi_json_key(j, "origin");
    yzi_json_str(j, yz_origin_name(a->origin));
    yzi_json_key(j, "status");
    yzi_json_str(j, yz_status_name(a->status));
    yzi_json_key(j, "reason");
    yzi_json_str(j, a->reason);
    yzi_json_key(j, "detail");
    yzi_json_str(j, a->detail);
    yzi_json_key(j, "rule");
    yzi_json_str(j, a->rule);
    yzi_json_key(j, "node");
    yzi_json_str(j, a->node);
    yzi_json_key(j, "message_id");
    yzi_json_str(j, a->message_id);
    yzi_json_key(j, "evidence");
    yzi_json_str(j, yz_evidence_name(a->evidence));
    yzi_json_key(j, "kept");
    yzi_json_bool(j, a->kept);
    yzi_json_key(j, "elapsed_ms");
    yzi_json_u64(j, a->elapsed_ms);
    yzi_json_key(j, "retry_after_ms");
    yzi_json_u64(j, a->retry_after_ms);
    yzi_json_key(j, "data_version");
    yzi_json_u64(j, a->data_version);
    yzi_json_key(j, "policy_version");
    yzi_json_u64(j, a->policy_version);
    yzi_json_key(j, "records");
    yzi_json_array(j);
    for (size_t row = 0; row < a->rows && j->rc == YZ_OK; row++) {
        YZ_TRY(write_record(j, a, row));
    }
    yzi_json_array_end(j);
    yzi_json_key(j, "cursor");
    yzi_json_str(j, a->cursor);
    yzi_json_key(j, "total");
    if (a->has_total) {
        yzi_json_u64(j, a->total);
    } else {
        yzi_json_null(j);
    }
    write_right(j, a);
    yzi_json_key(j, "matches");
    yzi_json_array(j);
    for (size_t i = 0; i < a->matches_n; i++) {
        yzi_json_str(j, yz_match_name(a->matches[i]));
    }
    yzi_json_array_end(j);
    yzi_json_object_end(j);
    return yzi_json_end(j);
}

int yz_answer_json(const yz_answer *answer, int pretty, char **out)
{
    YZ_ENSURE(answer && out, YZ_EINVAL);
    YZ_AUTO(yzi_buf_wipe) yz_buf text;
    yzi_buf_init(&text, JSON_MAX);
    struct json j;
    yzi_json_init(&j, &text, pretty != 0);
    YZ_TRY(write_answer(&j, answer));
    YZ_TRY(yzi_buf_put_u8(&text, 0));
    *out = (char *)text.p;
    text = (yz_buf){0};
    return YZ_OK;
}
