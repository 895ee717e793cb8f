/* SPDX-License-Identifier: Apache-2.0
 *
 * An access in words: as sentences that a citizen can be given, and as JSON. What others wrote (the
 * official, the case) is shown as it was given, but for what would steer a terminal.
 */
#include "cli/accesses.h"

#include "base/text.h"
#include "cli/texts.h"

static bool is(const struct access *a, enum subject_how how)
{
    return a->how >> how & 1u;
}

static const struct query *query_of(const struct access *a)
{
    const struct kept_contents *k = a->contents;
    return k->has_request && k->request.has_query ? &k->request.query : NULL;
}

static unsigned operation_of(const struct access *a)
{
    const struct query *q = query_of(a);
    return q ? q->operation : 0;
}

static const struct answer_head *answer_of(const struct access *a)
{
    return a->contents->has_answer ? &a->contents->answer : NULL;
}

/* -- the outcome in a word -- */

static const char *done_word(const struct access *a)
{
    switch (operation_of(a)) {
    case QUERY_MATCH:
        return "answered";
    case QUERY_COUNT:
        return is(a, SUBJECT_COUNTED) ? "counted" : "not counted";
    case QUERY_INSERT:
    case QUERY_PUT:
    case QUERY_DELETE:
        return "done";
    default:
        return is(a, SUBJECT_GIVEN) ? "given" : "nothing given";
    }
}

int yzi_access_outcome(const struct access *a, yz_buf *out)
{
    const struct answer_head *h = answer_of(a);
    if (!h) {
        return yzi_buf_put_str(out, yzi_cli_kept_status(a->read));
    }
    if (h->code == ANSWER_OK) {
        return yzi_buf_put_str(out, done_word(a));
    }
    bool ours = h->code == ANSWER_FAILED;
    return yzi_buf_printf(out, "%s%s%.*s", ours ? "failed" : "refused", h->reason.n ? ": " : "",
                          CLI_V(h->reason));
}

/* -- sentences -- */

static int put_quoted(yz_buf *out, const char *before, yz_bytes text, bool *any)
{
    if (text.n == 0) {
        return YZ_OK;
    }
    YZ_TRY(yzi_buf_printf(out, "%s%s \"", *any ? ", " : "", before));
    YZ_TRY(yzi_text_printable(text, false, out));
    *any = true;
    return yzi_buf_put_str(out, "\"");
}

static const char *asked_words(const struct access *a)
{
    switch (operation_of(a)) {
    case QUERY_GET:
        return "asked for this record by its key";
    case QUERY_MATCH:
        return "asked yes/no questions about this record";
    case QUERY_FIND:
        return is(a, SUBJECT_ASKED) ? "searched for this record by its key"
                                    : "searched for records by other conditions";
    case QUERY_COUNT:
        return is(a, SUBJECT_ASKED) ? "asked how many records have this key"
                                    : "asked how many records meet some conditions";
    case QUERY_INSERT:
        return "asked to insert this record";
    case QUERY_PUT:
        return "asked to set fields of this record";
    case QUERY_DELETE:
        return "asked to delete this record";
    default:
        return "asked about this record";
    }
}

static int put_question(const struct access *a, yz_buf *out)
{
    const struct request_header *h = &a->read->request;
    char at[32];
    YZ_TRY(yzi_buf_printf(out, "   On %s %.*s (by its node %.*s) %s, at the service %.*s.\n",
                          yzi_cli_time_text(a->read->x->at, at), CLI_V(h->consumer.v),
                          CLI_V(h->node.v), asked_words(a), CLI_V(h->service.v)));
    bool any = false;
    YZ_TRY(yzi_buf_put_str(out, "   As the reason was given: "));
    YZ_TRY(put_quoted(out, "the purpose", h->purpose, &any));
    if (a->contents->has_request) {
        const struct request_head *r = &a->contents->request;
        YZ_TRY(put_quoted(out, "the official", r->user, &any));
        YZ_TRY(put_quoted(out, "the case", r->issue, &any));
        YZ_TRY(put_quoted(out, "the consent", r->consent, &any));
    }
    return yzi_buf_put_str(out, any ? ".\n" : "nothing.\n");
}

static const char *mask_words(enum field_mask mask)
{
    switch (mask) {
    case MASK_HIDE:
        return " (its name only, not its value)";
    case MASK_LAST4:
        return " (only its last four characters)";
    case MASK_YEAR:
        return " (only its year)";
    case MASK_INITIAL:
        return " (only its first character)";
    case MASK_HASH:
        return " (only a pseudonym of it)";
    case MASK_NONE:
    default:
        return "";
    }
}

static int put_fields(const struct answer_head *h, yz_buf *out)
{
    for (size_t i = 0; i < h->fields_n; i++) {
        YZ_TRY(yzi_buf_printf(out, "%s%.*s%s", i ? ", " : "", CLI_V(h->fields[i].name),
                              mask_words(h->fields[i].mask)));
    }
    return YZ_OK;
}

/* The question with the values it brought. */
static int put_question_name(const struct query_predicate *p, yz_buf *out)
{
    YZ_TRY(yzi_buf_put(out, p->name));
    for (size_t i = 0; i < p->values_n; i++) {
        YZ_TRY(yzi_buf_put_str(out, i ? "," : " "));
        YZ_TRY(p->values[i].null ? YZ_OK : yzi_text_printable(p->values[i].v, false, out));
    }
    return YZ_OK;
}

static int put_verdicts(const struct access *a, yz_buf *out)
{
    const struct query *q = query_of(a);
    const struct answer_head *h = answer_of(a);
    YZ_TRY(yzi_buf_put_str(out, "   It was answered: "));
    for (size_t i = 0; i < h->matches_n && i < q->predicates_n; i++) {
        YZ_TRY(yzi_buf_put_str(out, i ? "; " : ""));
        YZ_TRY(put_question_name(&q->predicates[i], out));
        YZ_TRY(yzi_buf_printf(out, ": %s", yzi_match_name(h->matches[i])));
    }
    return yzi_buf_put_str(out, ".\n");
}

static int put_records(const struct access *a, yz_buf *out)
{
    if (!is(a, SUBJECT_GIVEN)) {
        return yzi_buf_put_str(out, "   Nothing of it was given: there was no such record, or the "
                                    "permission does not extend to it.\n");
    }
    YZ_TRY(yzi_buf_put_str(out, "   Given were these fields of it: "));
    YZ_TRY(put_fields(answer_of(a), out));
    YZ_TRY(yzi_buf_put_str(out, ".\n"));
    return a->others
               ? yzi_buf_printf(out, "   The same answer gave those of %llu other record%s.\n",
                                (unsigned long long)a->others, a->others == 1 ? "" : "s")
               : YZ_OK;
}

static int put_done(const struct access *a, yz_buf *out)
{
    const struct answer_head *h = answer_of(a);
    switch (operation_of(a)) {
    case QUERY_MATCH:
        return put_verdicts(a, out);
    case QUERY_COUNT:
        return yzi_buf_printf(out,
                              "   The answer was a number, %llu, in which this record was %s.\n",
                              (unsigned long long)h->total,
                              is(a, SUBJECT_COUNTED) ? "counted" : "not counted, or not by itself");
    case QUERY_INSERT:
    case QUERY_PUT:
    case QUERY_DELETE:
        return yzi_buf_printf(out, "   It was done; records changed: %llu.\n",
                              (unsigned long long)h->total);
    default:
        return put_records(a, out);
    }
}

static int put_refusal(const struct answer_head *h, yz_buf *out)
{
    YZ_TRY(yzi_buf_printf(
        out, "   It was %s (%.*s)%s",
        h->code == ANSWER_FAILED ? "not answered, through a failure of the adapter" : "refused",
        CLI_V(h->reason), h->detail.n ? ": " : ""));
    YZ_TRY(yzi_text_printable(h->detail, false, out));
    return yzi_buf_put_str(out, ". Nothing of the record was given.\n");
}

static int put_answer(const struct access *a, yz_buf *out)
{
    const struct answer_head *h = answer_of(a);
    if (!h) {
        return yzi_buf_put_str(out, "   What was answered was not kept.\n");
    }
    if (a->read->response.status == RESPONSE_INDETERMINATE) {
        return yzi_buf_put_str(out,
                               "   It was begun, and whether it took effect cannot be told.\n");
    }
    return h->code == ANSWER_OK ? put_done(a, out) : put_refusal(h, out);
}

static int put_basis(const struct access *a, yz_buf *out)
{
    const struct answer_head *h = answer_of(a);
    char id[YZ_UUID_TEXT];
    yzi_uuid_format(&a->read->request.message_id, id);
    if (h && h->grant.n) {
        YZ_TRY(yzi_buf_printf(
            out, "   That was decided by grant %.*s, in version %llu of the offer.\n",
            CLI_V(h->grant), (unsigned long long)a->read->response.policy_version));
    } else if (h) {
        YZ_TRY(yzi_buf_put_str(out, "   No grant was for it.\n"));
    }
    return yzi_buf_printf(out, "   The exchange is %s.\n", id);
}

int yzi_access_sentences(const struct access *a, yz_buf *out)
{
    YZ_TRY(put_question(a, out));
    YZ_TRY(put_answer(a, out));
    return put_basis(a, out);
}

/* -- JSON -- */

static void put_named(struct json *j, const char *key, yz_bytes text)
{
    yzi_json_key(j, key);
    yzi_json_text(j, text);
}

static void put_word(struct json *j, const char *key, const char *word)
{
    yzi_json_key(j, key);
    yzi_json_str(j, word);
}

static void put_how(struct json *j, const struct access *a)
{
    static const struct {
        enum subject_how how;
        const char *word;
    } words[] = {{SUBJECT_ASKED, "asked"},
                 {SUBJECT_GIVEN, "given"},
                 {SUBJECT_CHANGED, "changed"},
                 {SUBJECT_COUNTED, "counted"}};
    yzi_json_key(j, "how");
    yzi_json_array(j);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (is(a, words[i].how)) {
            yzi_json_str(j, words[i].word);
        }
    }
    yzi_json_array_end(j);
}

static void put_request(struct json *j, const struct access *a)
{
    const struct request_header *h = &a->read->request;
    const struct request_head none = {0};
    const struct request_head *r = a->contents->has_request ? &a->contents->request : &none;
    char id[YZ_UUID_TEXT], at[32];
    yzi_uuid_format(&h->message_id, id);
    yzi_time_format(a->read->x->at, at);
    put_word(j, "at", at);
    put_word(j, "message_id", id);
    put_named(j, "consumer", h->consumer.v);
    put_named(j, "node", h->node.v);
    put_named(j, "service", h->service.v);
    put_named(j, "data_set", a->read->x->data_set);
    put_word(j, "operation", query_of(a) ? yzi_operation_name(operation_of(a)) : NULL);
    put_how(j, a);
    put_named(j, "purpose", h->purpose);
    put_named(j, "user", r->user);
    put_named(j, "issue", r->issue);
    put_named(j, "consent", r->consent);
}

static void put_field_list(struct json *j, const struct access *a, const struct answer_head *h)
{
    yzi_json_key(j, "fields");
    yzi_json_array(j);
    for (size_t i = 0; is(a, SUBJECT_GIVEN) && i < h->fields_n; i++) {
        yzi_json_object(j);
        put_named(j, "name", h->fields[i].name);
        put_word(j, "mask",
                 h->fields[i].mask == MASK_NONE ? NULL : yzi_mask_name(h->fields[i].mask));
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
}

static void put_verdict_list(struct json *j, const struct access *a, const struct answer_head *h)
{
    const struct query *q = query_of(a);
    yzi_json_key(j, "verdicts");
    yzi_json_array(j);
    for (size_t i = 0; q && i < h->matches_n && i < q->predicates_n; i++) {
        yzi_json_object(j);
        put_named(j, "predicate", q->predicates[i].name);
        yzi_json_key(j, "values");
        yzi_json_array(j);
        for (size_t k = 0; k < q->predicates[i].values_n; k++) {
            yzi_json_text(j, q->predicates[i].values[k].v);
        }
        yzi_json_array_end(j);
        put_word(j, "verdict", yzi_match_name(h->matches[i]));
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
}

static void put_answered(struct json *j, const struct access *a)
{
    const struct answer_head none = {0};
    const struct answer_head *h = answer_of(a) ? answer_of(a) : &none;
    put_word(j, "status", yzi_cli_kept_status(a->read));
    put_word(j, "code", answer_of(a) ? yzi_answer_code_name(h->code) : NULL);
    put_named(j, "reason", h->reason);
    put_named(j, "detail", h->detail);
    put_field_list(j, a, h);
    put_verdict_list(j, a, h);
    yzi_json_key(j, "total");
    if (h->has_total) {
        yzi_json_u64(j, h->total);
    } else {
        yzi_json_null(j);
    }
    yzi_json_key(j, "other_records");
    yzi_json_u64(j, a->others);
    put_named(j, "grant", h->grant);
    put_named(j, "clause", h->clause);
    yzi_json_key(j, "policy_version");
    yzi_json_u64(j, a->read->is_response ? a->read->response.policy_version : 0);
}

int yzi_access_json(const struct access *a, yz_buf *out)
{
    struct json j;
    yzi_json_init(&j, out, false);
    yzi_json_object(&j);
    put_request(&j, a);
    put_answered(&j, a);
    yzi_json_object_end(&j);
    return yzi_json_end(&j);
}
