/* SPDX-License-Identifier: Apache-2.0
 *
 * Match: the question checked, its budget debited durably, then the record looked at. What was
 * debited stays debited, whatever comes after: whether the answer was yes, no or unknown, and
 * whether it was given at all.
 */
#include "adapters/access/quota.h"
#include "adapters/answer_impl.h"

/* What a match must not have: ignored, it would be another question than was asked. */
static bool is_plain(const struct query *q)
{
    return q->keys_n == 1 && q->predicates_n > 0 && q->fields_n == 0 && q->filter_n == 0 &&
           q->order_n == 0 && q->limit == 0 && q->cursor.n == 0;
}

/* -- the question -- */

/* The values a predicate compares with: its one, or all constants of an `in`. */
static int convert(const struct predicate_choice *c, struct arena *arena,
                   struct match_predicate *out)
{
    const struct name_list *constants = &c->granted->constants;
    bool several = c->granted->op == OP_IN;
    size_t n = several ? constants->n : 1;
    struct query_value *values;
    YZ_TRY(yzi_arena_new(arena, n, sizeof *values, &values));
    for (size_t i = 0; i < n; i++) {
        values[i].v = several ? constants->items[i] : c->with;
    }
    *out = (struct match_predicate){c->field, c->granted->op, values, n};
    return YZ_OK;
}

static int open_match(struct answering *a, const struct job *j, const struct query *q,
                      const struct access_decision *d,
                      struct match_predicate predicates[MATCH_PREDICATES_MAX],
                      struct match_question *question, struct match **out,
                      struct query_fault *fault)
{
    for (size_t i = 0; i < d->predicates_n; i++) {
        YZ_TRY(convert(&d->predicates[i], &a->arena, &predicates[i]));
    }
    *question = (struct match_question){j->dataset, q->keys, predicates, d->predicates_n};
    return yzi_match_open(j->store, question, out, fault);
}

/* -- budgets -- */

struct bill {
    struct debit items[MATCH_PREDICATES_MAX];
    size_t of[MATCH_PREDICATES_MAX]; /* which predicate the item is for */
    size_t n;
};

static void write_bill(const struct answering *a, const struct job *j,
                       const struct access_decision *d, yz_bytes subject, uint64_t now,
                       struct bill *out)
{
    const struct offer *offer = &j->policy->offer->offer;
    const struct dataset *ds = j->dataset;
    out->n = 0;
    for (size_t i = 0; i < d->predicates_n; i++) {
        const struct predicate_choice *c = &d->predicates[i];
        struct debit *item = &out->items[out->n];
        if (c->granted->budget == 0) {
            continue;
        }
        item->limit = yzi_access_budget_part(offer, a->node, c->granted->budget);
        item->until = yzi_predicate_budget_until(c->granted, now);
        yzi_predicate_budget_key(a->budget_key, j->request.header.consumer, ds, c, subject,
                                 item->key);
        out->of[out->n++] = i;
    }
}

static void say_used_up(struct reply *r, const struct predicate_choice *c)
{
    snprintf(r->detail, sizeof r->detail,
             "the budget of questions like %.*s about this subject is used up",
             (int)c->granted->name.n, (const char *)c->granted->name.p);
    r->head.detail = yzi_bytes_str(r->detail);
    r->head.clause = yzi_bytes_str("predicate");
    yzi_reply_refuse(r, ANSWER_DENIED, "budget");
}

/* False: it is refused. */
static bool debit(struct answering *a, const struct job *j, const struct access_decision *d,
                  yz_bytes subject, struct reply *r)
{
    struct bill bill;
    size_t refused = 0;
    uint64_t now = yzi_wall_ms(a->clock);
    write_bill(a, j, d, subject, now, &bill);
    if (bill.n == 0) {
        return true;
    }
    if (!a->debits) {
        yzi_reply_refuse(r, ANSWER_DENIED, "unenforceable");
        return false;
    }
    int rc = yzi_debits_take(a->debits, bill.items, bill.n, now, &refused);
    if (rc == YZ_EDENIED) {
        say_used_up(r, &d->predicates[bill.of[refused]]);
    } else if (rc < 0) {
        yzi_reply_refuse(r, ANSWER_FAILED, rc == YZ_EDISKFULL ? "disk-full" : "store");
    }
    return rc == YZ_OK;
}

/* -- answering -- */

static void say_fault(struct reply *r, int rc, const struct query_fault *fault, bool late)
{
    if (rc == YZ_EINVAL && fault->detail[0]) {
        snprintf(r->detail, sizeof r->detail, "%s", fault->detail);
        r->head.detail = yzi_bytes_str(r->detail);
    }
    yzi_reply_failure(r, rc, fault->reason ? fault->reason : "failed", late);
}

static int ask(struct match *m, const struct access_view *view, const struct query_limits *limits,
               struct reply *r)
{
    YZ_TRY(yzi_match_ask(m, &view->view, limits, r->matches, &r->data_version));
    r->head.code = ANSWER_OK;
    r->head.matches_n = view->decision->predicates_n;
    return YZ_OK;
}

void yzi_answer_match(struct answering *a, struct job *j, const struct query *q,
                      const struct access_view *view, const struct query_limits *limits,
                      struct reply *r)
{
    const struct access_decision *d = view->decision;
    struct match_predicate predicates[MATCH_PREDICATES_MAX];
    struct match_question question;
    struct query_fault fault = {0};
    struct match *m = NULL;
    if (!is_plain(q)) {
        yzi_reply_refuse(r, ANSWER_UNSUPPORTED, "query");
        return;
    }
    int rc = open_match(a, j, q, d, predicates, &question, &m, &fault);
    if (rc == YZ_OK && yzi_mono_ms(a->clock) >= limits->deadline_mono_ms) {
        rc = YZ_ETIMEOUT; /* nothing is debited for an answer that nobody waits for */
    }
    if (rc == YZ_OK && (r->paid || debit(a, j, d, yzi_match_subject(m), r))) {
        rc = ask(m, view, limits, r);
    }
    yzi_match_close(m);
    if (rc < 0) {
        say_fault(r, rc, &fault, limits->deadline_mono_ms == j->deadline_mono);
    }
}
