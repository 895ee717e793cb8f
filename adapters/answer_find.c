/* SPDX-License-Identifier: Apache-2.0
 *
 * Find and count: the cursor in, the query, the cursor out.
 */
#include "adapters/answer_impl.h"
#include "adapters/dataset/find.h"

static int bind(const struct answering *a, const struct job *j, const struct query *q,
                const struct access_decision *d, struct cursor_binding *out)
{
    const struct request_header *h = &j->request.header;
    struct store_state state;
    YZ_TRY(yzi_store_state(j->store, &state));
    *out = (struct cursor_binding){.node = a->node,
                                   .consumer = h->consumer,
                                   .service = h->service,
                                   .grant = d->grant,
                                   .policy_version = j->policy->offer->offer.version,
                                   .generation = state.generation};
    return yzi_cursor_question(q, &out->question);
}

/* A switch may come between looking at the generation and the query: its answer says which it was
 * from, and a page of another generation than the one before must not be given. */
static int find(struct answering *a, struct job *j, struct find_question *question,
                const struct cursor_binding *b, struct find_result *out, struct query_fault *fault)
{
    const struct query *q = question->query;
    if (q->cursor.n) {
        YZ_TRY(yzi_cursor_open(a->cursor_key, b, yzi_wall_ms(a->clock), q->cursor, &a->position,
                               &fault->reason));
    }
    YZ_AUTO(yzi_buf_wipe) yz_buf next = {0};
    yzi_buf_init(&next, CURSOR_POSITION_MAX);
    question->resume = yzi_bytes_buf(&a->position);
    YZ_TRY(yzi_store_find(j->store, question, &a->rows, &next, out, fault));
    if (q->cursor.n && out->generation != b->generation) {
        fault->reason = "cursor-data";
        return YZ_EINVAL;
    }
    struct cursor_binding now = *b;
    now.generation = out->generation;
    return out->more ? yzi_cursor_seal(a->cursor_key, &now, yzi_wall_ms(a->clock) + a->cursor_ms,
                                       yzi_bytes_buf(&next), &a->cursor)
                     : YZ_OK;
}

/* A cursor is refused by its reason alone; who asked is told what to do. */
static void say_cursor(struct query_fault *fault)
{
    static const struct {
        const char *reason, *words;
    } known[] = {
        {"bad-cursor", "the cursor is not one of an answer to this service; ask without a cursor"},
        {"cursor-query", "the cursor is of another question (conditions, order and fields have to "
                         "be the same); repeat that one, or ask without a cursor"},
        {"cursor-expired", "the cursor is too old; ask again without a cursor"},
        {"cursor-policy", "what is granted changed since the page before; ask again without a "
                          "cursor"},
        {"cursor-data",
         "the data were replaced since the page before; ask again without a cursor"}};
    for (size_t i = 0; fault->reason && i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(fault->reason, known[i].reason) == 0) {
            snprintf(fault->detail, sizeof fault->detail, "%s", known[i].words);
        }
    }
}

static void say_fault(struct reply *r, int rc, struct query_fault *fault, bool late)
{
    const char *reason = fault->reason ? fault->reason : "failed";
    bool ours = rc == YZ_EINVAL || rc == YZ_ETOOBIG;
    say_cursor(fault);
    if (ours && fault->detail[0]) {
        snprintf(r->detail, sizeof r->detail, "%s", fault->detail);
        r->head.detail = yzi_bytes_str(r->detail);
    }
    yzi_reply_failure(r, rc, reason, late);
}

void yzi_answer_find(struct answering *a, struct job *j, const struct query *q,
                     const struct access_view *view, const struct query_limits *limits,
                     struct reply *r)
{
    const struct access_decision *d = view->decision;
    bool count = q->operation == QUERY_COUNT;
    struct find_question question = {.dataset = j->dataset,
                                     .query = q,
                                     .projection = d->projection,
                                     .projection_n = d->projection_n,
                                     .limits = limits,
                                     .view = &view->view};
    struct cursor_binding binding;
    struct find_result result = {0};
    struct query_fault fault = {0};
    int rc = bind(a, j, q, d, &binding);
    if (rc == YZ_OK) {
        rc = find(a, j, &question, &binding, &result, &fault);
    }
    if (rc < 0) {
        say_fault(r, rc, &fault, limits->deadline_mono_ms == j->deadline_mono);
        return;
    }
    r->head.code = ANSWER_OK;
    r->data_version = result.sequence;
    if (count) {
        r->head.has_total = true;
        r->head.total = result.total;
        return;
    }
    r->head.rows = result.rows;
    r->head.cursor = yzi_bytes_buf(&a->cursor);
    yzi_reply_fields(r, j->dataset, d);
}
