/* SPDX-License-Identifier: Apache-2.0
 *
 * Whatever goes wrong with a request that was verified becomes a sealed answer with its reason;
 * only our own failure to make one (no memory, no randomness) leaves the job without.
 */
#include "adapters/answer.h"

#include <sodium.h>

#include "adapters/access/denial.h"
#include "adapters/access/quota.h"
#include "adapters/answer_impl.h"
#include "adapters/dataset/subjects.h"
#include "adapters/dataset/write.h"
#include "keys/seal.h"

#define ARENA_MAX (4u * 1024u * 1024u)
#define HEAD_MAX (256u * 1024u)
/* Definitions do not change as often as that while one query is answered. */
#define JUDGEMENTS_MAX 8u
/* header, block and hop of a response, and what padding adds at most (Padmé: 12%) */
#define FRAME_OVERHEAD (YZ_PREFIX_BYTES + YZ_HEADER_MAX + YZ_BLOCK_MAX + YZ_HOP_MAX)

void yzi_job_free(struct job *j)
{
    if (!j) {
        return;
    }
    sodium_memzero(j->request_key, sizeof j->request_key);
    sodium_memzero(j->response_key, sizeof j->response_key);
    yzi_message_fini(&j->message);
    yzi_directory_unref(j->directory);
    yzi_policy_unref(j->policy);
    yzi_dataset_unref(j->dataset);
    yzi_store_close(j->store);
    yzi_buf_fini(&j->answer);
    yzi_buf_fini(&j->pending);
    free(j->done);
    free(j);
}

int yzi_answering_init(struct answering *a)
{
    yzi_arena_init(&a->arena, ARENA_MAX);
    yzi_buf_init(&a->plain, a->message_max + FRAME_OVERHEAD);
    yzi_buf_init(&a->asked, a->message_max + FRAME_OVERHEAD);
    yzi_buf_init(&a->subjects, SUBJECTS_MAX);
    yzi_buf_init(&a->rows, a->message_max);
    yzi_buf_init(&a->position, CURSOR_POSITION_MAX);
    yzi_buf_init(&a->cursor, YZ_CURSOR_MAX);
    yzi_buf_init(&a->head, HEAD_MAX);
    yzi_buf_init(&a->sealed, a->message_max + FRAME_OVERHEAD);
    return YZ_OK;
}

void yzi_answering_fini(struct answering *a)
{
    yzi_arena_fini(&a->arena);
    yzi_buf_wipe(&a->plain);
    yzi_buf_wipe(&a->asked);
    yzi_buf_wipe(&a->subjects);
    yzi_buf_wipe(&a->rows);
    yzi_buf_wipe(&a->position);
    yzi_buf_fini(&a->cursor);
    sodium_memzero(a->cursor_key, sizeof a->cursor_key);
    sodium_memzero(a->budget_key, sizeof a->budget_key);
    yzi_buf_wipe(&a->head);
    yzi_buf_fini(&a->sealed);
}

static void wipe(yz_buf *b)
{
    if (b->n) {
        sodium_memzero(b->p, b->n);
    }
    yzi_buf_clear(b);
}

/* Plaintext must not outlive its exchange; the memory itself is kept for the next. */
static void wipe_scratch(struct answering *a)
{
    wipe(&a->plain);
    wipe(&a->asked);
    wipe(&a->subjects);
    a->subjects_own = 0;
    wipe(&a->rows);
    wipe(&a->position);
    yzi_buf_clear(&a->cursor);
    wipe(&a->head);
    yzi_arena_clear(&a->arena);
    yzi_buf_clear(&a->sealed);
}

/* For a person, where nobody had more to say of the reason. */
static yz_bytes words_of(const char *reason)
{
    static const struct {
        const char *reason, *words;
    } known[] = {
        {"disk-full", "the provider's disk is full, nothing was changed; ask again later"},
        {"no-data-set",
         "the adapter does not hold the data set of this service; tell the provider"},
        {"operation", "the adapter does not know this operation"},
        {"query-time", "the query took longer than the provider lets one take; ask for less"},
        {"read-service", "this service takes no changes"},
        {"store", "the provider's store failed; its log says why"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].reason, reason) == 0) {
            return yzi_bytes_str(known[i].words);
        }
    }
    return (yz_bytes){0};
}

void yzi_reply_refuse(struct reply *r, enum answer_code code, const char *reason)
{
    r->head.detail = r->head.detail.n ? r->head.detail : words_of(reason);
    r->head.code = code;
    r->head.reason = yzi_bytes_str(reason);
    r->head.rows = 0;
    r->head.fields_n = 0;
    r->head.matches_n = 0;
}

/* -- opening -- */

static struct seal_context request_context(const struct request_header *h)
{
    return (struct seal_context){FRAME_REQUEST, h->suite,   h->message_id,
                                 h->node,       h->service, h->expires_at};
}

static int open_request(struct answering *a, const struct job *j, struct plain *out)
{
    const struct request_header *h = &j->request.header;
    struct seal_context context = request_context(h);
    uint8_t content_key[32];
    int rc = yzi_unwrap_key(j->request_key, &context, a->node, h->slots[j->slot].wrapped_key,
                            content_key);
    if (rc == YZ_OK) {
        rc = yzi_open_payload(content_key, &context, j->request.frame.payload, &a->plain);
    }
    sodium_memzero(content_key, sizeof content_key);
    YZ_TRY(rc);
    YZ_TRY(yzi_plain_parse(yzi_bytes_buf(&a->plain), out));
    yz_digest commitment;
    yzi_plain_commitment(out, &commitment);
    return yzi_digest_eq(&commitment, &h->content_commitment) ? YZ_OK : YZ_ESIGNATURE;
}

/* -- deciding and querying -- */

static void say(struct reply *r, const char *detail)
{
    snprintf(r->detail, sizeof r->detail, "%s", detail);
    r->head.detail = yzi_bytes_str(r->detail);
}

static void describe_denial(struct reply *r, const struct access_decision *d,
                            const struct access_question *q)
{
    yzi_access_say(d, q, r->detail, sizeof r->detail);
    r->head.detail = yzi_bytes_str(r->detail);
    r->head.clause = d->clause ? yzi_bytes_str(d->clause) : (yz_bytes){0};
    yzi_reply_refuse(r, d->bad_query ? ANSWER_BAD_QUERY : ANSWER_DENIED, d->reason);
}

static struct query_limits limits_now(struct answering *a, const struct job *j)
{
    struct query_limits limits = a->limits;
    uint64_t until = yzi_mono_ms(a->clock) + a->query_ms;
    limits.deadline_mono_ms = until < j->deadline_mono ? until : j->deadline_mono;
    limits.subjects = a->kept ? &a->subjects : NULL;
    return limits;
}

void yzi_reply_fields(struct reply *r, const struct dataset *ds, const struct access_decision *d)
{
    r->head.fields_n = d->projection_n;
    for (size_t i = 0; i < d->projection_n; i++) {
        const struct dataset_field *f = &ds->fields[d->projection[i]];
        r->fields[i] = (struct answer_field){yzi_bytes_str(f->name), f->type, d->masks[i]};
    }
}

void yzi_reply_failure(struct reply *r, int rc, const char *reason, bool late)
{
    r->again = rc == YZ_EAGAIN;
    if (rc == YZ_EINVAL) {
        yzi_reply_refuse(r, ANSWER_BAD_QUERY, reason);
    } else if (rc == YZ_ETOOBIG) {
        yzi_reply_refuse(r, ANSWER_TOO_LARGE, reason);
    } else if (rc == YZ_EUNSUPPORTED) {
        yzi_reply_refuse(r, ANSWER_UNSUPPORTED, "query");
    } else if (rc == YZ_EDENIED) {
        r->head.clause = yzi_bytes_str("row-filter");
        say(r, "the provider must mend this grant: it cannot be enforced as it is");
        yzi_reply_refuse(r, ANSWER_DENIED, "unenforceable");
    } else if (rc == YZ_ETIMEOUT) {
        r->late = late;
        yzi_reply_refuse(r, ANSWER_FAILED, "query-time");
    } else {
        yzi_reply_refuse(r, ANSWER_FAILED, "store");
    }
}

static void run_get(struct answering *a, struct job *j, const struct query *q,
                    const struct access_view *view, const struct query_limits *limits,
                    struct reply *r)
{
    const struct access_decision *d = view->decision;
    struct query_result result = {0};
    struct query_fault fault = {.reason = "failed"};
    int rc = yzi_store_get(j->store, j->dataset, q, d->projection, d->projection_n, &view->view,
                           limits, &a->rows, &result, &fault);
    if (rc < 0) {
        if (rc == YZ_EINVAL) {
            say(r, fault.detail);
        }
        yzi_reply_failure(r, rc, rc == YZ_ETOOBIG ? "limit" : fault.reason,
                          limits->deadline_mono_ms == j->deadline_mono);
        return;
    }
    r->head.code = ANSWER_OK;
    r->head.rows = result.rows;
    r->data_version = result.sequence;
    yzi_reply_fields(r, j->dataset, d);
}

static void run_query(struct answering *a, struct job *j, const struct query *q,
                      const struct access_decision *d, struct reply *r)
{
    struct query_limits limits = limits_now(a, j);
    struct access_view view;
    if (yzi_access_view(d, &j->policy->terms, j->dataset, j->request.header.consumer, &a->arena,
                        &view) < 0) {
        yzi_reply_refuse(r, ANSWER_FAILED, "store");
    } else if (q->operation == QUERY_GET) {
        run_get(a, j, q, &view, &limits, r);
    } else if (q->operation == QUERY_MATCH) {
        yzi_answer_match(a, j, q, &view, &limits, r);
    } else {
        yzi_answer_find(a, j, q, &view, &limits, r);
    }
    if (r->head.code != ANSWER_OK) {
        wipe(&a->rows);
    }
}

static void say_indeterminate(struct reply *r)
{
    static const char words[] = "it was begun, and whether it took effect cannot be told";
    yzi_reply_refuse(r, ANSWER_FAILED, "indeterminate");
    r->head.detail = yzi_bytes_str(words);
    r->indeterminate = true;
}

/* A failure that is not the consumer's. Nothing was changed. */
static void refuse_write(struct reply *r, int rc, const char *reason, const char *detail)
{
    if (rc == YZ_EINVAL) {
        say(r, detail);
        yzi_reply_refuse(r, ANSWER_BAD_QUERY, reason);
    } else if (rc == YZ_ELIMIT || rc == YZ_ETOOBIG) {
        yzi_reply_refuse(r, ANSWER_TOO_LARGE, "limit");
    } else if (rc == YZ_EUNSUPPORTED) {
        yzi_reply_refuse(r, ANSWER_UNSUPPORTED, "query");
    } else {
        yzi_reply_refuse(r, ANSWER_FAILED, rc == YZ_EDISKFULL ? "disk-full" : "store");
    }
}

static void run_write(struct job *j, const struct query *q, yz_bytes body,
                      const struct access_decision *d, struct reply *r)
{
    struct store_write w = {.operation = q->operation,
                            .columns = d->projection,
                            .columns_n = d->projection_n,
                            .rows = body,
                            .rows_n = q->rows,
                            .keys = q->keys,
                            .keys_n = q->keys_n};
    struct store_written written;
    const char *reason = NULL;
    int rc = yzi_store_write(j->store, &w, &written, &reason);
    if (rc < 0 && written.uncertain) {
        say_indeterminate(r);
    } else if (rc < 0) {
        refuse_write(r, rc, reason, written.detail);
    } else {
        r->head.code = ANSWER_OK;
        r->head.has_total = true;
        r->head.total = written.changed;
        r->data_version = written.sequence;
    }
}

/* What a write must not have: ignored, it would be another one than was asked. */
static bool is_plain_write(const struct query *q)
{
    bool rows = yzi_operation_brings_rows(q->operation);
    return q->filter_n == 0 && q->order_n == 0 && q->limit == 0 && q->cursor.n == 0 &&
           q->predicates_n == 0 && (rows ? q->keys_n == 0 : q->fields_n == 0);
}

static void decide_write(struct answering *a, struct job *j, const struct query *q, yz_bytes body,
                         const struct access_decision *d, struct reply *r)
{
    if (!j->write_service) {
        yzi_reply_refuse(r, ANSWER_UNSUPPORTED, "read-service");
    } else if (!is_plain_write(q)) {
        yzi_reply_refuse(r, ANSWER_UNSUPPORTED, "query");
    } else if (a->executes) {
        run_write(j, q, body, d, r);
    } else {
        j->to_write = true;
        say_indeterminate(r);
    }
}

/* One more call of the day under the grant, if it has a quota; false: refused. The writer thread
 * does what was debited when it was decided. */
static bool debit(struct answering *a, const struct job *j, const struct access_decision *d,
                  struct reply *r)
{
    const struct offer *offer = &j->policy->offer->offer;
    uint32_t quota = d->fine->quota_per_day;
    uint64_t now = yzi_wall_ms(a->clock);
    size_t refused;
    if (quota == 0 || a->executes) {
        return true;
    }
    struct debit item = {.limit = yzi_access_part(offer, d->coarse->service, a->node, quota),
                         .until = yzi_access_day_end(now)};
    yzi_access_quota_key(offer, d->grant, j->request.header.consumer, item.key);
    int rc = !a->debits        ? YZ_EUNSUPPORTED
             : item.limit == 0 ? YZ_EDENIED
                               : yzi_debits_take(a->debits, &item, 1, now, &refused);
    if (rc == YZ_EDENIED || rc == YZ_EUNSUPPORTED) {
        r->head.clause = yzi_bytes_str("quota");
        say(r, rc == YZ_EDENIED ? "this adapter's part of the grant's calls a day is used up"
                                : "this adapter cannot count the calls of a day");
        yzi_reply_refuse(r, ANSWER_DENIED, rc == YZ_EDENIED ? "quota" : "unenforceable");
    } else if (rc < 0) {
        yzi_reply_refuse(r, ANSWER_FAILED, rc == YZ_EDISKFULL ? "disk-full" : "store");
    }
    return rc == YZ_OK;
}

/* By the definition in force. */
static void judge(struct answering *a, struct job *j, const struct request_head *head,
                  yz_bytes body, struct reply *r)
{
    const struct request_header *h = &j->request.header;
    struct access_question question = {h->consumer,
                                       h->service,
                                       h->purpose,
                                       &head->query,
                                       yzi_wall_ms(a->clock),
                                       j->evidenced,
                                       yzi_directory_purpose_known(j->directory, h->purpose)};
    struct access_decision decision = {0};
    yzi_access_decide(&j->policy->offer->offer, &j->policy->terms, j->dataset, &question,
                      &decision);
    r->head.grant = decision.grant;
    if (!decision.allowed) {
        describe_denial(r, &decision, &question);
    } else if (!r->paid && !debit(a, j, &decision, r)) {
        return;
    } else if (yzi_operation_writes(head->query.operation)) {
        decide_write(a, j, &head->query, body, &decision, r);
    } else if (head->query.operation > QUERY_MATCH) {
        yzi_reply_refuse(r, ANSWER_UNSUPPORTED, "operation");
    } else {
        run_query(a, j, &head->query, &decision, r);
    }
}

/* The definition in force, for as long as the job lives. */
static void take_definition(struct job *j)
{
    yzi_dataset_unref(j->dataset);
    j->dataset = j->store ? yzi_store_ref_dataset(j->store) : NULL;
}

/* What was judged by a definition that is not in force any more is judged by the one that is. */
static void judge_again(struct answering *a, struct job *j, const struct request_head *head,
                        yz_bytes body, struct reply *r)
{
    for (unsigned i = 1; r->again && i < JUDGEMENTS_MAX; i++) {
        *r = (struct reply){.paid = true};
        wipe(&a->position);
        yzi_buf_clear(&a->cursor);
        a->subjects.n = a->subjects_own;
        take_definition(j);
        judge(a, j, head, body, r);
    }
}

void yzi_answer_decide(struct answering *a, struct job *j, const struct request_head *head,
                       yz_bytes body, struct reply *r)
{
    if (!j->policy) {
        say(r, "this adapter has no offer of this service; the provider must publish it here");
        yzi_reply_refuse(r, ANSWER_DENIED, "no-grant");
        return;
    }
    if (!head->has_query) {
        yzi_reply_refuse(r, ANSWER_UNSUPPORTED, "http");
        return;
    }
    if (!j->store) {
        yzi_reply_refuse(r, ANSWER_UNSUPPORTED, "no-data-set");
        return;
    }
    if (!j->dataset) {
        take_definition(j);
    }
    judge(a, j, head, body, r);
    judge_again(a, j, head, body, r);
}

/* -- whom it is about -- */

/* Whoever is asked about is noted before it is decided whether to answer: who was refused asked,
 * too. */
static int note_asked(struct answering *a, const struct job *j, const struct request_head *head,
                      yz_bytes body)
{
    a->subjects_own = 0;
    yzi_buf_clear(&a->subjects); /* a write comes here twice */
    YZ_TRY(a->kept && head->has_query
               ? yzi_subjects_of_query(j->dataset, &head->query, body, SUBJECT_ASKED, &a->subjects)
               : YZ_OK);
    a->subjects_own = a->subjects.n;
    return YZ_OK;
}

static void note_outcome(struct answering *a, const struct job *j, const struct request_head *head,
                         yz_bytes body, const struct reply *r)
{
    if (r->head.code != ANSWER_OK) {
        a->subjects.n = a->subjects_own;
    } else if (a->kept && yzi_operation_writes(head->query.operation)) {
        yz_ignore(
            yzi_subjects_of_query(j->dataset, &head->query, body, SUBJECT_CHANGED, &a->subjects),
            "it is done, and noted as asked");
    }
}

static void consider(struct answering *a, struct job *j, struct reply *r)
{
    struct plain plain;
    struct request_head head = {0};
    take_definition(j);
    if (open_request(a, j, &plain) < 0) {
        yzi_reply_refuse(r, ANSWER_BAD_QUERY, "seal");
        return;
    }
    if ((plain.type != PLAIN_QUERY && plain.type != PLAIN_HTTP) ||
        yzi_request_head_parse(plain.head, &a->arena, &head) < 0 ||
        head.has_query != (plain.type == PLAIN_QUERY) ||
        (head.has_query && yzi_query_body_check(plain.body, &head.query) < 0)) {
        yzi_reply_refuse(r, ANSWER_BAD_QUERY, "malformed");
        return;
    }
    if (note_asked(a, j, &head, plain.body) < 0) {
        yzi_reply_refuse(r, ANSWER_FAILED, "not-kept");
        return;
    }
    yzi_answer_decide(a, j, &head, plain.body, r);
    note_outcome(a, j, &head, plain.body, r);
}

/* -- sealing -- */

static enum response_status status_of(enum answer_code code)
{
    switch (code) {
    case ANSWER_OK:
        return RESPONSE_ANSWERED;
    case ANSWER_FAILED:
        return RESPONSE_FAILED;
    case ANSWER_DENIED:
    case ANSWER_BAD_QUERY:
    case ANSWER_UNSUPPORTED:
    case ANSWER_TOO_LARGE:
    default:
        return RESPONSE_REFUSED;
    }
}

/* As long as the request may be repeated its answer must be good; the parser bounds how long that
 * may be. */
static uint64_t answer_expiry(uint64_t now, const struct request_header *request)
{
    uint64_t least = now + YZ_EXPIRY_DEFAULT_MS;
    uint64_t most = now + YZ_EXPIRY_MAX_MS;
    uint64_t at = request->expires_at > least ? request->expires_at : least;
    return at < most ? at : most;
}

static void start_header(struct response_header *out, yz_node_id node, uint64_t now,
                         const struct verified_request *request, unsigned slot,
                         const struct directory *directory)
{
    *out = (struct response_header){.suite = request->header.suite,
                                    .message_id = request->header.message_id,
                                    .request_digest = request->digest,
                                    .node = node,
                                    .slot = slot,
                                    .issued_at = now,
                                    .expires_at = answer_expiry(now, &request->header),
                                    .directory_version = yzi_directory_version(directory),
                                    .trace = request->header.trace};
}

static int sign_frame(struct key_pair *signing, const struct response_header *h, yz_bytes payload,
                      yz_buf *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf header;
    YZ_AUTO(yzi_buf_fini) yz_buf block;
    yzi_buf_init(&header, YZ_HEADER_MAX);
    yzi_buf_init(&block, YZ_BLOCK_MAX);
    YZ_TRY(yzi_response_header_write(h, &header));
    YZ_TRY(yzi_sign_message(signing, FRAME_RESPONSE, yzi_bytes_buf(&header), &block));
    return yzi_frame_write(FRAME_RESPONSE, yzi_bytes_buf(&header), yzi_bytes_buf(&block), payload,
                           (yz_bytes){0}, out);
}

/* Seal a->plain (the padded plaintext) into a->sealed under a fresh key, wrapped for the consumer.
 */
static int seal(struct answering *a, const struct job *j, struct response_header *h,
                uint8_t wrapped[YZ_WRAPPED_KEY_BYTES])
{
    struct seal_context context = {
        FRAME_RESPONSE, h->suite, h->message_id, h->node, j->request.header.service, h->expires_at};
    struct plain plain;
    YZ_TRY(yzi_plain_parse(yzi_bytes_buf(&a->plain), &plain));
    yzi_plain_commitment(&plain, &h->content_commitment);
    uint8_t content_key[32];
    randombytes_buf(content_key, sizeof content_key);
    int rc = yzi_seal_payload(content_key, &context, yzi_bytes_buf(&a->plain), &a->sealed);
    if (rc == YZ_OK) {
        rc = yzi_wrap_key(j->response_key, &context, j->request.header.node, content_key, wrapped);
    }
    sodium_memzero(content_key, sizeof content_key);
    YZ_TRY(rc);
    h->wrapped_key = yzi_bytes(wrapped, YZ_WRAPPED_KEY_BYTES);
    h->sealed_length = (uint32_t)a->sealed.n;
    crypto_generichash(h->sealed_digest.b, sizeof h->sealed_digest.b, a->sealed.p, a->sealed.n,
                       NULL, 0);
    return YZ_OK;
}

/* The request's plaintext, if it was opened at all. A second answer to the same request finds it
 * aside already. */
static int put_aside(struct answering *a)
{
    struct plain asked;
    if (a->asked.n || yzi_plain_parse(yzi_bytes_buf(&a->plain), &asked) < 0) {
        return YZ_OK;
    }
    return yzi_buf_put(&a->asked, yzi_plain_opened(&asked));
}

static int write_answer(struct answering *a, struct job *j, struct reply *r)
{
    r->head.fields = r->fields;
    r->head.matches = r->matches;
    wipe(&a->head);
    YZ_TRY(yzi_answer_head_write(&r->head, &a->head));
    YZ_TRY(a->kept ? put_aside(a) : YZ_OK);
    wipe(&a->plain); /* the request is done with */
    YZ_TRY(
        yzi_plain_write(PLAIN_ANSWER, yzi_bytes_buf(&a->head), yzi_bytes_buf(&a->rows), &a->plain));
    struct response_header h;
    start_header(&h, a->node, yzi_wall_ms(a->clock), &j->request, j->slot, j->directory);
    h.status = r->indeterminate ? RESPONSE_INDETERMINATE : status_of(r->head.code);
    if (j->broker.v.n > 0) {
        h.has_broker = true;
        h.broker = (struct broker_ref){.node = j->broker, .checkpoint = j->seen};
        h.broker.checkpoint.signature = yzi_bytes(j->seen_signature, sizeof j->seen_signature);
    }
    h.policy_version = j->policy ? j->policy->offer->offer.version : 0;
    h.data_version = r->data_version;
    uint8_t wrapped[YZ_WRAPPED_KEY_BYTES];
    YZ_TRY(seal(a, j, &h, wrapped));
    size_t size = yzi_frame_size(YZ_HEADER_MAX, YZ_BLOCK_MAX, a->sealed.n, 0);
    YZ_ENSURE(size <= a->message_max, YZ_ETOOBIG);
    j->status = h.status;
    yzi_buf_init(&j->answer, size);
    return sign_frame(a->signing, &h, yzi_bytes_buf(&a->sealed), &j->answer);
}

/* Begun, and nothing better can be said: what was made for that case. */
static void fall_back(struct job *j)
{
    yzi_buf_fini(&j->answer);
    j->answer = j->pending;
    j->pending = (yz_buf){0};
    j->status = RESPONSE_INDETERMINATE;
    j->reason = "indeterminate";
    j->rc = YZ_OK;
}

/* The write is decided and not begun: its response is only what is told if no other can be. */
static void set_aside(struct job *j)
{
    if (j->rc == YZ_OK) {
        j->pending = j->answer;
        j->answer = (yz_buf){0};
    } else {
        j->to_write = false;
    }
}

/* -- keeping -- */

static int write_message(yz_bytes frame, yz_buf *out)
{
    struct frame f;
    yzi_buf_init(out, KEPT_MESSAGE_MAX);
    YZ_TRY(yzi_frame_parse(frame, YZ_MESSAGE_MAX, &f));
    return yzi_entry_message_write(f.header, f.block, out);
}

/* What the exchange can be proved by (evidence/kept.h); the receipt follows when it comes. */
static int keep(struct answering *a, const struct job *j)
{
    YZ_AUTO(yzi_buf_fini) yz_buf request = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf answer = {0};
    struct plain plain;
    bool has_plain = yzi_plain_parse(yzi_bytes_buf(&a->plain), &plain) == YZ_OK;
    YZ_TRY(write_message(j->request.frame.raw, &request));
    YZ_TRY(write_message(yzi_bytes_buf(&j->answer), &answer));
    struct kept_exchange x = {.role = KEPT_PROVIDER,
                              .at = yzi_wall_ms(a->clock),
                              .broker = j->broker.v,
                              .answer_kind = FRAME_RESPONSE,
                              .request = yzi_bytes_buf(&request),
                              .answer = yzi_bytes_buf(&answer),
                              .request_plain = yzi_bytes_buf(&a->asked),
                              .answer_plain = has_plain ? yzi_plain_opened(&plain) : (yz_bytes){0},
                              .directory = *yzi_directory_root_hash(j->directory),
                              .has_subjects = true,
                              .data_set = yzi_bytes_str(j->store ? j->dataset->name : NULL),
                              .subjects = yzi_bytes_buf(&a->subjects)};
    const yz_node_id nodes[] = {j->request.header.node, j->broker, a->node};
    YZ_TRY(yzi_kept_directory(a->kept, j->directory, nodes, 3));
    return yzi_kept_exchange(a->kept, &x);
}

/* What could not be proved later is not answered; but a write that was executed is told. */
static void keep_or_refuse(struct answering *a, struct job *j)
{
    j->proof_kept = keep(a, j);
    if (j->proof_kept < 0 && !j->begun) {
        j->rc = j->proof_kept;
        j->reason = "not-kept";
    }
}

void yzi_answer(struct answering *a, struct job *j)
{
    struct reply reply = {0};
    consider(a, j, &reply);
    j->reason = reply.head.reason.n ? (const char *)reply.head.reason.p : "";
    /* How much time is left a broker says. What did not fit must not become our signed word, which
     * would be kept and given to whoever asks the same through another broker. */
    j->rc = reply.late ? YZ_ETIMEOUT : write_answer(a, j, &reply);
    if (j->rc == YZ_ETOOBIG || j->rc == YZ_ELIMIT) {
        yzi_buf_fini(&j->answer);
        wipe(&a->rows);
        a->subjects.n = a->subjects_own; /* nothing is given */
        yzi_buf_clear(&a->sealed);
        yzi_reply_refuse(&reply, ANSWER_TOO_LARGE, "message");
        j->reason = "message";
        j->rc = write_answer(a, j, &reply);
    }
    if (j->begun && (j->rc < 0 || reply.indeterminate)) {
        fall_back(j);
        wipe(&a->plain); /* the plaintext of what was made before is gone */
    } else if (j->to_write && !j->begun) {
        set_aside(j);
    }
    if (j->rc == YZ_OK && j->answer.n && a->kept) {
        keep_or_refuse(a, j);
    }
    sodium_memzero(&reply, sizeof reply);
    wipe_scratch(a);
}

int yzi_answer_stale_key(yz_node_id node, struct key_pair *signing, uint64_t now,
                         const struct verified_request *request, unsigned slot,
                         const struct directory *directory, yz_bytes announcement, yz_buf *out)
{
    struct response_header h;
    start_header(&h, node, now, request, slot, directory);
    h.status = RESPONSE_STALE_KEY;
    h.announcement = announcement;
    return sign_frame(signing, &h, (yz_bytes){0}, out);
}
