/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers: made from what was verified, read through accessors.
 */
#include "client/answer.h"

#include "base/text.h"

#define ARENA_MAX (1024u * 1024u)

_Static_assert((int)YZ_TYPE_TEXT == FIELD_TEXT && (int)YZ_TYPE_INTEGER == FIELD_INTEGER &&
                   (int)YZ_TYPE_DECIMAL == FIELD_DECIMAL && (int)YZ_TYPE_DATE == FIELD_DATE &&
                   (int)YZ_TYPE_TIME == FIELD_TIME && (int)YZ_TYPE_BOOLEAN == FIELD_BOOLEAN &&
                   (int)YZ_TYPE_CODE == FIELD_CODE && (int)YZ_TYPE_BYTES == FIELD_BYTES,
               "the public types are the wire's");
_Static_assert((int)YZ_MATCH_YES == MATCH_YES && (int)YZ_MATCH_NO == MATCH_NO &&
                   (int)YZ_MATCH_UNKNOWN == MATCH_UNKNOWN,
               "the public answers are the wire's");

/* -- making -- */

static int new_answer(yz_answer **out)
{
    yz_answer *a;
    YZ_TRY(yzi_alloc(1, sizeof *a, &a));
    yzi_arena_init(&a->arena, ARENA_MAX);
    a->reason = a->detail = a->rule = a->clause = a->node = a->cursor = "";
    *out = a;
    return YZ_OK;
}

void yz_answer_free(yz_answer *answer)
{
    if (answer) {
        free(answer->values);
        yzi_buf_wipe(&answer->plain);
        yzi_arena_fini(&answer->arena);
        free(answer);
    }
}

/* A text with its NUL; none of ours holds one inside (proto/check.h). */
static int text(yz_answer *a, yz_bytes b, const char **out)
{
    char *copy;
    YZ_TRY(yzi_arena_new(&a->arena, b.n + 1, 1, &copy));
    if (b.n) {
        memcpy(copy, b.p, b.n);
    }
    *out = copy;
    return YZ_OK;
}

/* -- values -- */

static bool is_integer(yz_bytes v)
{
    bool negative = v.n && v.p[0] == '-';
    uint64_t magnitude, limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    yz_bytes digits = negative ? yzi_bytes(v.p + 1, v.n - 1) : v;
    return yzi_u64_parse(digits, limit, &magnitude) == YZ_OK && (magnitude || !negative);
}

static bool is_decimal(yz_bytes v)
{
    size_t i = v.n && v.p[0] == '-';
    size_t whole = i;
    while (i < v.n && v.p[i] >= '0' && v.p[i] <= '9') {
        i++;
    }
    if (i == whole || (v.p[whole] == '0' && i - whole > 1)) {
        return false;
    }
    if (i < v.n && v.p[i] == '.') {
        size_t point = i++;
        while (i < v.n && v.p[i] >= '0' && v.p[i] <= '9') {
            i++;
        }
        return i == v.n && i - point > 1;
    }
    return i == v.n;
}

/* '0' stands for any digit. */
static bool has_form(yz_bytes v, const char *form)
{
    size_t n = strlen(form);
    if (v.n < n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        bool digit = v.p[i] >= '0' && v.p[i] <= '9';
        if (form[i] == '0' ? !digit : v.p[i] != (uint8_t)form[i]) {
            return false;
        }
    }
    return true;
}

static bool is_time(yz_bytes v)
{
    return has_form(v, "0000-00-00T00:00:00") && v.p[v.n - 1] == 'Z' && yzi_utf8_is_valid(v);
}

/* That the value is text of its type, in the form that JSON and callers rely on. Whether a date is
 * in the calendar is for the provider, who refused it at import. */
static bool value_is_of(yz_bytes v, enum yz_type type)
{
    switch (type) {
    case YZ_TYPE_INTEGER:
        return is_integer(v);
    case YZ_TYPE_DECIMAL:
        return is_decimal(v);
    case YZ_TYPE_BOOLEAN:
        return yzi_bytes_eq_str(v, "true") || yzi_bytes_eq_str(v, "false");
    case YZ_TYPE_DATE:
        return v.n == 10 && has_form(v, "0000-00-00");
    case YZ_TYPE_TIME:
        return is_time(v);
    case YZ_TYPE_TEXT:
    case YZ_TYPE_CODE:
        return yzi_utf8_is_valid(v);
    case YZ_TYPE_BYTES:
    default:
        return true;
    }
}

static int take_columns(yz_answer *a, const struct answer_head *h)
{
    YZ_TRY(yzi_arena_new(&a->arena, h->fields_n, sizeof *a->columns, &a->columns));
    for (size_t i = 0; i < h->fields_n; i++) {
        YZ_TRY(text(a, h->fields[i].name, &a->columns[i].name));
        a->columns[i].mask = h->fields[i].mask == MASK_NONE ? "" : yzi_mask_name(h->fields[i].mask);
        /* what is left of a masked value is no number or date any more */
        a->columns[i].type =
            h->fields[i].mask == MASK_NONE ? (enum yz_type)h->fields[i].type : YZ_TYPE_TEXT;
    }
    a->columns_n = h->fields_n;
    return YZ_OK;
}

static int take_rows(yz_answer *a, const struct answer_head *h, yz_bytes body, yz_error *err)
{
    if (yzi_rows_check(body, h) < 0) {
        return yzi_fail(err, YZ_EMALFORMED, "its rows are not the %u it says", h->rows);
    }
    size_t n = (size_t)h->rows * h->fields_n; /* at most body.n / 4, says the check */
    YZ_TRY(yzi_alloc(n, sizeof *a->values, &a->values));
    yz_reader r = yzi_reader(body);
    for (size_t i = 0; i < n; i++) {
        struct query_value v;
        a->values[i] = (uint32_t)(r.p - body.p);
        YZ_TRY(yzi_row_next(&r, &v));
        const struct answer_column *column = &a->columns[i % h->fields_n];
        if (!v.null && !value_is_of(v.v, column->type)) {
            return yzi_fail(err, YZ_EMALFORMED, "row %zu: the value of '%s' is not of its type",
                            i / h->fields_n + 1, column->name);
        }
    }
    a->rows = h->rows;
    a->body = body;
    return YZ_OK;
}

static int take_matches(yz_answer *a, const struct answer_head *h)
{
    YZ_TRY(yzi_arena_new(&a->arena, h->matches_n, sizeof *a->matches, &a->matches));
    for (size_t i = 0; i < h->matches_n; i++) {
        a->matches[i] = (enum yz_match)h->matches[i];
    }
    a->matches_n = h->matches_n;
    return YZ_OK;
}

static enum yz_status status_of_code(enum answer_code code)
{
    switch (code) {
    case ANSWER_OK:
        return YZ_STATUS_OK;
    case ANSWER_DENIED:
        return YZ_STATUS_DENIED;
    case ANSWER_BAD_QUERY:
        return YZ_STATUS_BAD_QUERY;
    case ANSWER_UNSUPPORTED:
        return YZ_STATUS_UNSUPPORTED;
    case ANSWER_TOO_LARGE:
        return YZ_STATUS_TOO_LARGE;
    case ANSWER_FAILED:
    default:
        return YZ_STATUS_FAILED;
    }
}

/* With the adapter in front that can go on (request_find.c, split_cursor). */
static int take_cursor(yz_answer *a, yz_bytes cursor)
{
    YZ_AUTO(yzi_buf_fini) yz_buf base64 = {0}, whole = {0};
    yz_bytes node = yzi_bytes_str(a->node);
    YZ_ENSURE(node.n > 0 && node.n <= YZ_ID_MAX, YZ_EINTERNAL);
    yzi_buf_init(&whole, 2 + YZ_ID_MAX + YZ_CURSOR_MAX);
    yzi_buf_init(&base64, (2 + YZ_ID_MAX + YZ_CURSOR_MAX) / 3 * 4 + 8);
    YZ_TRY(yzi_buf_put_u16(&whole, (uint16_t)node.n));
    YZ_TRY(yzi_buf_put(&whole, node));
    YZ_TRY(yzi_buf_put(&whole, cursor));
    YZ_TRY(yzi_base64_encode(yzi_bytes_buf(&whole), &base64));
    return text(a, yzi_bytes_buf(&base64), &a->cursor);
}

static int fill_from_head(yz_answer *a, const struct plain *plain, yz_error *err)
{
    YZ_AUTO(yzi_arena_fini) struct arena scratch;
    struct answer_head h;
    yzi_arena_init(&scratch, YZ_MESSAGE_MAX);
    int rc = yzi_answer_head_parse(plain->head, &scratch, &h);
    if (rc < 0) {
        return rc == YZ_ENOMEM
                   ? rc
                   : yzi_fail(err, YZ_EMALFORMED, "its head does not parse (%s)", yz_err_words(rc));
    }
    if (a->status != YZ_STATUS_INDETERMINATE) {
        a->status = status_of_code(h.code);
    }
    if (h.code != ANSWER_OK && (h.rows > 0 || h.matches_n > 0)) {
        return yzi_fail(err, YZ_EMALFORMED, "it refuses and yet holds an answer");
    }
    YZ_TRY(text(a, h.reason, &a->reason));
    YZ_TRY(text(a, h.detail, &a->detail));
    YZ_TRY(text(a, h.grant, &a->rule));
    YZ_TRY(text(a, h.clause, &a->clause));
    YZ_TRY(h.cursor.n ? take_cursor(a, h.cursor) : YZ_OK);
    a->has_total = h.has_total;
    a->total = h.total;
    YZ_TRY(take_matches(a, &h));
    YZ_TRY(take_columns(a, &h));
    return take_rows(a, &h, plain->body, err);
}

int yzi_answer_of_provider(const struct response_header *h, const struct plain *plain,
                           yz_buf *plaintext, yz_answer **out, yz_error *err)
{
    if (plain->type != PLAIN_ANSWER) {
        return yzi_fail(err, YZ_EMALFORMED, "its payload is not an answer to a query");
    }
    YZ_AUTO(yzi_answer_free_ptr) yz_answer *a = NULL;
    YZ_TRY(new_answer(&a));
    a->origin = YZ_ORIGIN_PROVIDER;
    a->evidence = YZ_EVIDENCE_MISSING; /* until a receipt was checked */
    a->status = h->status == RESPONSE_INDETERMINATE ? YZ_STATUS_INDETERMINATE : YZ_STATUS_OK;
    a->data_version = h->data_version;
    a->policy_version = h->policy_version;
    yzi_uuid_format(&h->message_id, a->message_id);
    YZ_TRY(text(a, h->node.v, &a->node));
    YZ_TRY(fill_from_head(a, plain, err));
    a->plain = *plaintext; /* `body` points into it */
    *plaintext = (yz_buf){0};
    *out = YZ_TAKE(a);
    return YZ_OK;
}

/* -- a broker's word -- */

struct broker_word {
    enum yz_status status;
    const char *detail;
};

static const struct broker_word *broker_word(enum outcome_status status)
{
    static const struct broker_word words[] = {
        [OUTCOME_DENIED] = {YZ_STATUS_DENIED,
                            "the broker finds no right of this subsystem to call the service"},
        [OUTCOME_UNKNOWN_SERVICE] = {YZ_STATUS_UNKNOWN_SERVICE, "no offer names this service"},
        [OUTCOME_BUSY] = {YZ_STATUS_BUSY, "a limit is reached for now"},
        [OUTCOME_UNAVAILABLE] = {YZ_STATUS_UNAVAILABLE, "no adapter could take the request"},
        [OUTCOME_TIMEOUT] = {YZ_STATUS_TIMEOUT, "the adapter did not answer in time"},
        [OUTCOME_EXPIRED] = {YZ_STATUS_REJECTED, "the request's times are not acceptable to the "
                                                 "broker: check this node's clock"},
        [OUTCOME_REPLAYED] = {YZ_STATUS_REJECTED, "the request was sent too often"},
        [OUTCOME_ID_CONFLICT] = {YZ_STATUS_REJECTED, "another message has the same id"},
        [OUTCOME_MALFORMED] = {YZ_STATUS_REJECTED, "the broker cannot read the request"},
        [OUTCOME_BAD_SIGNATURE] = {YZ_STATUS_REJECTED,
                                   "the request's signature or digest does not verify: check this "
                                   "node's signing key against the member set"},
        [OUTCOME_WRONG_SENDER] = {YZ_STATUS_REJECTED,
                                  "this node may not speak for the subsystem, or not here: check "
                                  "node, subsystem and brokers of the configuration"},
        [OUTCOME_TOO_LARGE] = {YZ_STATUS_TOO_LARGE, "the message is larger than the broker takes"},
        [OUTCOME_STALE_DIRECTORY] = {YZ_STATUS_UNAVAILABLE,
                                     "the broker's own directory is too old to judge by"},
    };
    _Static_assert(sizeof words / sizeof words[0] == OUTCOME_STALE_DIRECTORY + 1, "every status");
    return &words[status];
}

/* The broker's reason; where the status of ours says less than the broker's, that one before it. */
static int broker_reason(yz_answer *a, const struct outcome_header *h)
{
    const char *name = yzi_outcome_status_name(h->status);
    bool coarser = a->status == YZ_STATUS_REJECTED || h->status == OUTCOME_STALE_DIRECTORY;
    if (!coarser) {
        return text(a, h->reason, &a->reason);
    }
    char joined[YZ_REASON_MAX + 64];
    snprintf(joined, sizeof joined, "%s%s%.*s", name, h->reason.n ? "/" : "", (int)h->reason.n,
             h->reason.n ? (const char *)h->reason.p : "");
    return text(a, yzi_bytes_str(joined), &a->reason);
}

int yzi_answer_of_broker(const struct outcome_header *h, yz_answer **out)
{
    YZ_AUTO(yzi_answer_free_ptr) yz_answer *a = NULL;
    YZ_TRY(new_answer(&a));
    a->origin = YZ_ORIGIN_BROKER;
    a->evidence = YZ_EVIDENCE_MISSING;
    const struct broker_word *word = broker_word(h->status);
    a->status = word->status;
    a->detail = word->detail;
    a->retry_after_ms = h->retry_after_ms;
    yzi_uuid_format(&h->message_id, a->message_id);
    YZ_TRY(broker_reason(a, h));
    YZ_TRY(text(a, h->rule, &a->rule));
    YZ_TRY(text(a, h->node.v, &a->node));
    *out = YZ_TAKE(a);
    return YZ_OK;
}

void yzi_answer_doubt(yz_answer *a)
{
    if (a->origin != YZ_ORIGIN_BROKER) {
        return;
    }
    char joined[YZ_REASON_MAX + 64];
    bool named = strchr(a->reason, '/') || a->status == YZ_STATUS_REJECTED;
    snprintf(joined, sizeof joined, "%s%s%s", named ? "" : yz_status_name(a->status),
             named || !a->reason[0] ? "" : "/", a->reason);
    yz_ignore(text(a, yzi_bytes_str(joined), &a->reason), "the bare reason stands without memory");
    a->status = YZ_STATUS_INDETERMINATE;
    a->retry_after_ms = 0;
    a->detail = "the request was passed on, or may have been, and nobody says what became of it: "
                "look before asking again";
}

/* -- reading -- */

/* A completion without an answer has NULL: who asks that by mistake learns nothing. */
static const yz_answer *shown(const yz_answer *answer)
{
    static const yz_answer nothing = {
        .reason = "", .detail = "", .rule = "", .clause = "", .node = "", .cursor = ""};
    return answer ? answer : &nothing;
}

enum yz_origin yz_answer_origin(const yz_answer *answer)
{
    return shown(answer)->origin;
}

enum yz_status yz_answer_status(const yz_answer *answer)
{
    return shown(answer)->status;
}

const char *yz_origin_name(enum yz_origin origin)
{
    switch (origin) {
    case YZ_ORIGIN_PROVIDER:
        return "provider";
    case YZ_ORIGIN_BROKER:
        return "broker";
    default:
        return "?";
    }
}

const char *yz_status_name(enum yz_status status)
{
    static const char *const names[] = {
        [YZ_STATUS_OK] = "ok",
        [YZ_STATUS_DENIED] = "denied",
        [YZ_STATUS_BAD_QUERY] = "bad-query",
        [YZ_STATUS_UNSUPPORTED] = "unsupported",
        [YZ_STATUS_TOO_LARGE] = "too-large",
        [YZ_STATUS_FAILED] = "failed",
        [YZ_STATUS_INDETERMINATE] = "indeterminate",
        [YZ_STATUS_UNKNOWN_SERVICE] = "unknown-service",
        [YZ_STATUS_BUSY] = "busy",
        [YZ_STATUS_UNAVAILABLE] = "unavailable",
        [YZ_STATUS_TIMEOUT] = "timeout",
        [YZ_STATUS_REJECTED] = "rejected",
    };
    size_t i = (size_t)status;
    return i < sizeof names / sizeof names[0] && names[i] ? names[i] : "?";
}

enum yz_evidence yz_answer_evidence(const yz_answer *answer)
{
    return shown(answer)->evidence;
}

int yz_answer_kept(const yz_answer *answer)
{
    return shown(answer)->kept;
}

const char *yz_evidence_name(enum yz_evidence evidence)
{
    switch (evidence) {
    case YZ_EVIDENCE_PROVED:
        return "proved";
    case YZ_EVIDENCE_MISSING:
        return "missing";
    case YZ_EVIDENCE_FALSE:
        return "false";
    default:
        return "?";
    }
}

const char *yz_answer_reason(const yz_answer *answer)
{
    return shown(answer)->reason;
}

const char *yz_answer_detail(const yz_answer *answer)
{
    return shown(answer)->detail;
}

const char *yz_answer_rule(const yz_answer *answer)
{
    return shown(answer)->rule;
}

const char *yz_answer_clause(const yz_answer *answer)
{
    return shown(answer)->clause;
}

const char *yz_answer_node(const yz_answer *answer)
{
    return shown(answer)->node;
}

const char *yz_answer_message_id(const yz_answer *answer)
{
    return shown(answer)->message_id;
}

uint32_t yz_answer_elapsed(const yz_answer *answer)
{
    return shown(answer)->elapsed_ms;
}

uint32_t yz_answer_retry_after(const yz_answer *answer)
{
    return shown(answer)->retry_after_ms;
}

uint64_t yz_answer_data_version(const yz_answer *answer)
{
    return shown(answer)->data_version;
}

uint64_t yz_answer_policy_version(const yz_answer *answer)
{
    return shown(answer)->policy_version;
}

const char *yz_answer_cursor(const yz_answer *answer)
{
    return shown(answer)->cursor;
}

int yz_answer_total(const yz_answer *answer, uint64_t *out)
{
    YZ_ENSURE(answer && out, YZ_EINVAL);
    YZ_ENSURE(answer->has_total, YZ_ENOTFOUND);
    *out = answer->total;
    return YZ_OK;
}

size_t yz_answer_matches(const yz_answer *answer)
{
    return shown(answer)->matches_n;
}

int yz_answer_match(const yz_answer *answer, size_t i, enum yz_match *out)
{
    YZ_ENSURE(answer && out && i < answer->matches_n, YZ_EINVAL);
    *out = answer->matches[i];
    return YZ_OK;
}

const char *yz_match_name(enum yz_match match)
{
    return yzi_match_name(match);
}

size_t yz_answer_rows(const yz_answer *answer)
{
    return shown(answer)->rows;
}

size_t yz_answer_fields(const yz_answer *answer)
{
    return shown(answer)->columns_n;
}

const char *yz_answer_field_name(const yz_answer *answer, size_t field)
{
    return field < shown(answer)->columns_n ? shown(answer)->columns[field].name : NULL;
}

const char *yz_answer_field_mask(const yz_answer *answer, size_t field)
{
    return field < shown(answer)->columns_n ? shown(answer)->columns[field].mask : NULL;
}

enum yz_type yz_answer_field_type(const yz_answer *answer, size_t field)
{
    return field < shown(answer)->columns_n ? shown(answer)->columns[field].type : (enum yz_type)0;
}

int yz_answer_value(const yz_answer *answer, size_t row, size_t field, const void **out,
                    size_t *out_n)
{
    YZ_ENSURE(answer && out && out_n, YZ_EINVAL);
    YZ_ENSURE(row < answer->rows && field < answer->columns_n, YZ_EINVAL);
    uint32_t at = answer->values[row * answer->columns_n + field];
    yz_reader r = {answer->body.p + at, answer->body.n - at};
    struct query_value v;
    YZ_TRY(yzi_row_next(&r, &v)); /* it did when the answer was made */
    /* an empty text is not null */
    *out = v.null ? NULL : v.v.p;
    *out_n = v.null ? 0 : v.v.n;
    return YZ_OK;
}
