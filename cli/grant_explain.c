/* SPDX-License-Identifier: Apache-2.0
 *
 * yz grant explain: what the policy says to a request, grant by grant, and why; for people and as
 * JSON. It shows what would be read, hidden, counted; the data themselves it does not have.
 */
#include "cli/columns.h"
#include "cli/grant.h"

#define WHY_MAX (16u * 1024u)

struct explained {
    struct cli *c;
    struct policy_home policy;
    struct policy_of of;
    struct asked asked;
    struct access_decision decision;
};

/* -- which grants come near -- */

static bool is_near(const struct explained *e, const struct coarse_grant *g)
{
    return yzi_offer_grant_is_for(&e->of.offer->offer, g, e->asked.question.consumer) ||
           yzi_bytes_eq(g->service, yzi_service_local(e->asked.question.service));
}

static int why(const struct explained *e, const struct coarse_grant *g,
               const struct access_decision *d, yz_buf *out)
{
    yzi_buf_clear(out);
    int rc = yzi_policy_why(&e->of, &e->asked, g, d, out);
    return rc == YZ_ELIMIT ? yzi_buf_put_str(out, "...") : rc;
}

/* -- in words -- */

static void say_request(struct explained *e)
{
    const struct access_question *q = &e->asked.question;
    const struct kept_origin *k = &e->asked.kept;
    char at[32], then[32];
    yzi_cli_say(e->c, "%.*s asks %.*s: %s", CLI_V(q->consumer.v), CLI_V(q->service.v),
                yzi_operation_name(e->asked.query.operation));
    yzi_cli_say(e->c, q->purpose.n ? ", for the purpose %.*s\n" : ", for no purpose%.*s\n",
                CLI_V(q->purpose));
    yzi_cli_say(e->c, "as of %s, under version %llu of the offer\n", yzi_cli_time_text(q->now, at),
                (unsigned long long)e->of.offer->offer.version);
    if (!k->exchange) {
        return;
    }
    bool same = k->policy_version == e->of.offer->offer.version;
    yzi_cli_say(e->c, "The exchange %s was answered \"%s\" on %s, ", k->exchange, k->outcome,
                yzi_cli_time_text(k->at, then));
    if (k->policy_version == 0) {
        yzi_cli_say(e->c, "by no version of the offer\n");
    } else {
        yzi_cli_say(e->c, same ? "under this version, too\n" : "under another version, %llu\n",
                    (unsigned long long)k->policy_version);
    }
}

static int say_verdict(struct explained *e)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = WHY_MAX};
    const struct access_decision *d = &e->decision;
    if (d->allowed) {
        yzi_cli_say(e->c, "allowed by grant %.*s\n", CLI_V(d->grant));
        return YZ_OK;
    }
    if (!d->coarse) {
        yzi_cli_say(e->c, "denied: no-grant, by the clause %s of every grant\n", d->clause);
        return YZ_OK;
    }
    YZ_TRY(why(e, d->coarse, d, &text));
    yzi_cli_say(e->c, "%s: %s, by the clause %s of grant %.*s, which came nearest: %.*s\n",
                d->bad_query ? "a wrong query" : "denied", d->reason, d->clause, CLI_V(d->grant),
                CLI_V(yzi_bytes_buf(&text)));
    return YZ_OK;
}

static int say_grants(struct explained *e)
{
    static const char *const head[] = {"GRANT", "SAYS", "CLAUSE", "WHY", NULL};
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = WHY_MAX};
    struct columns t;
    size_t far = 0;
    yzi_columns_begin(&t, e->c, head);
    for (size_t i = 0; i < e->of.offer->offer.grants_n; i++) {
        const struct coarse_grant *g = &e->of.offer->offer.grants[i];
        struct access_decision d;
        if (!is_near(e, g)) {
            far++;
            continue;
        }
        yzi_policy_decide_one(&e->of, &e->asked, i, &d);
        YZ_TRY(why(e, g, &d, &text));
        yzi_columns_add(&t, g->id);
        yzi_columns_str(&t, d.allowed ? "allowed" : "denied");
        yzi_columns_str(&t, d.allowed ? "-" : d.clause);
        yzi_columns_add(&t, yzi_bytes_buf(&text));
    }
    YZ_TRY(yzi_columns_print(&t, true));
    if (far) {
        yzi_cli_say(e->c, "%zu more grant%s neither for this consumer nor on this service\n", far,
                    far == 1 ? " is" : "s are");
    }
    return YZ_OK;
}

static void say_fields(const struct explained *e)
{
    const struct access_decision *d = &e->decision;
    bool brings = yzi_operation_brings_rows(e->asked.query.operation);
    for (size_t i = 0; i < d->projection_n; i++) {
        const char *name = e->of.dataset->fields[d->projection[i]].name;
        yzi_cli_say(e->c, "%s%s", i ? ", " : brings ? "brought: " : "read: ", name);
        if (d->masks[i] != MASK_NONE) {
            yzi_cli_say(e->c, " (masked: %s)", yzi_mask_name(d->masks[i]));
        }
    }
    yzi_cli_say(e->c, d->projection_n ? "\n" : "");
}

static void say_rows(const struct explained *e)
{
    static const char *const signs[] = {"?", "=", " in ", "^=", ">=", ">", "<=", "<"};
    const struct fine_grant *g = e->decision.fine;
    for (size_t i = 0; i < g->row_filter_n; i++) {
        const struct row_condition *r = &g->row_filter[i];
        yzi_cli_say(e->c, "%s%.*s%s", i ? " and " : "records: only those with ", CLI_V(r->field),
                    r->op >= OP_EQ && r->op <= OP_LT ? signs[r->op] : signs[0]);
        for (size_t k = 0; k < r->values.n; k++) {
            yzi_cli_say(e->c, "%s%.*s", k ? "," : "", CLI_V(r->values.items[k]));
        }
    }
    yzi_cli_say(e->c, g->row_filter_n ? "; all others are as if they were not there\n" : "");
}

static const char *element_of(const struct explained *e, const struct predicate_choice *p)
{
    return e->of.dataset->fields[p->field].element;
}

static void say_counted(const struct explained *e)
{
    const struct fine_grant *g = e->decision.fine;
    size_t adapters = e->of.service->adapters.n;
    if (g->quota_per_day) {
        yzi_cli_say(e->c, "counted: one of %u calls of this consumer a day", g->quota_per_day);
        yzi_cli_say(e->c, adapters > 1 ? ", of which each of %zu adapters has its part\n" : "\n",
                    adapters);
    }
    for (size_t i = 0; i < e->decision.predicates_n; i++) {
        const struct predicate_choice *p = &e->decision.predicates[i];
        if (p->granted->budget) {
            yzi_cli_say(e->c,
                        "counted: %.*s is one of %u questions that this consumer has about %s "
                        "of this record",
                        CLI_V(p->granted->name), p->granted->budget, element_of(e, p));
            yzi_cli_say(e->c, p->granted->budget_days ? ", in %u days\n" : ", for ever\n",
                        p->granted->budget_days);
        }
    }
}

static void say_what_happens(struct explained *e)
{
    if (!e->decision.allowed) {
        return;
    }
    yzi_cli_say(e->c, "\n");
    say_fields(e);
    say_rows(e);
    say_counted(e);
    if (yzi_operation_writes(e->asked.query.operation) && e->of.service->mode != SERVICE_WRITE) {
        yzi_cli_say(e->c, "but the service is one that reads, and takes no writes\n");
    }
    if (e->decision.coarse->strict) {
        yzi_cli_say(e->c, "strict: answered only with a broker's proof that it was asked\n");
    }
}

static int print_text(struct explained *e)
{
    say_request(e);
    YZ_TRY(say_verdict(e));
    YZ_TRY(say_grants(e));
    say_what_happens(e);
    return YZ_OK;
}

/* -- as JSON -- */

static void put(struct json *j, const char *key, yz_bytes text)
{
    yzi_json_key(j, key);
    yzi_json_text(j, text);
}

static void put_str(struct json *j, const char *key, const char *text)
{
    yzi_json_key(j, key);
    yzi_json_str(j, text);
}

static void put_u64(struct json *j, const char *key, uint64_t v)
{
    yzi_json_key(j, key);
    yzi_json_u64(j, v);
}

static int put_decision(struct explained *e, struct json *j, const struct coarse_grant *g,
                        const struct access_decision *d)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = WHY_MAX};
    YZ_TRY(g ? why(e, g, d, &text) : YZ_OK);
    yzi_json_key(j, "grant");
    if (g) {
        yzi_json_text(j, g->id);
    } else {
        yzi_json_null(j);
    }
    yzi_json_key(j, "allowed");
    yzi_json_bool(j, d->allowed);
    put_str(j, "reason", d->reason);
    put_str(j, "clause", d->clause);
    put(j, "field", d->field);
    put(j, "why", yzi_bytes_buf(&text));
    return YZ_OK;
}

static void put_request(const struct explained *e, struct json *j)
{
    const struct access_question *q = &e->asked.question;
    char at[32];
    put(j, "consumer", q->consumer.v);
    put(j, "service", q->service.v);
    put_str(j, "operation", yzi_operation_name(e->asked.query.operation));
    put(j, "purpose", q->purpose);
    put_str(j, "at", yzi_cli_time_text(q->now, at));
    put_u64(j, "policy_version", e->of.offer->offer.version);
    yzi_json_key(j, "kept");
    if (!e->asked.kept.exchange) {
        yzi_json_null(j);
        return;
    }
    char then[32];
    yzi_json_object(j);
    put_str(j, "exchange", e->asked.kept.exchange);
    put_str(j, "at", yzi_cli_time_text(e->asked.kept.at, then));
    put_str(j, "outcome", e->asked.kept.outcome);
    put_u64(j, "policy_version", e->asked.kept.policy_version);
    yzi_json_object_end(j);
}

static int put_grants(struct explained *e, struct json *j)
{
    yzi_json_key(j, "grants");
    yzi_json_array(j);
    for (size_t i = 0; i < e->of.offer->offer.grants_n; i++) {
        const struct coarse_grant *g = &e->of.offer->offer.grants[i];
        struct access_decision d;
        if (!is_near(e, g)) {
            continue;
        }
        yzi_policy_decide_one(&e->of, &e->asked, i, &d);
        yzi_json_object(j);
        YZ_TRY(put_decision(e, j, g, &d));
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
    return YZ_OK;
}

static void put_fields(const struct explained *e, struct json *j)
{
    const struct access_decision *d = &e->decision;
    yzi_json_key(j, "fields");
    yzi_json_array(j);
    for (size_t i = 0; i < d->projection_n; i++) {
        yzi_json_object(j);
        put_str(j, "name", e->of.dataset->fields[d->projection[i]].name);
        put_str(j, "mask", d->masks[i] == MASK_NONE ? NULL : yzi_mask_name(d->masks[i]));
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
}

static void put_rows(const struct fine_grant *g, struct json *j)
{
    yzi_json_key(j, "row_filter");
    yzi_json_array(j);
    for (size_t i = 0; g && i < g->row_filter_n; i++) {
        const struct row_condition *r = &g->row_filter[i];
        yzi_json_object(j);
        put(j, "field", r->field);
        put_str(j, "op", yzi_op_name(r->op));
        yzi_json_key(j, "values");
        yzi_json_array(j);
        for (size_t k = 0; k < r->values.n; k++) {
            yzi_json_text(j, r->values.items[k]);
        }
        yzi_json_array_end(j);
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
}

static void put_counted(const struct explained *e, const struct fine_grant *g, struct json *j)
{
    put_u64(j, "quota_per_day", g ? g->quota_per_day : 0);
    yzi_json_key(j, "budgets");
    yzi_json_array(j);
    for (size_t i = 0; g && i < e->decision.predicates_n; i++) {
        const struct predicate_choice *p = &e->decision.predicates[i];
        if (p->granted->budget) {
            yzi_json_object(j);
            put(j, "predicate", p->granted->name);
            put_str(j, "element", element_of(e, p));
            put_u64(j, "questions", p->granted->budget);
            put_u64(j, "days", p->granted->budget_days);
            yzi_json_object_end(j);
        }
    }
    yzi_json_array_end(j);
    put_u64(j, "adapters", e->of.service->adapters.n);
}

static int print_json(struct explained *e)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out = {.max = 64u * 1024u * 1024u};
    const struct access_decision *d = &e->decision;
    const struct fine_grant *fine = d->allowed ? d->fine : NULL;
    struct json j;
    yzi_json_init(&j, &out, true);
    yzi_json_object(&j);
    put_request(e, &j);
    YZ_TRY(put_decision(e, &j, d->coarse, d));
    put_fields(e, &j);
    put_rows(fine, &j);
    put_counted(e, fine, &j);
    YZ_TRY(put_grants(e, &j));
    yzi_json_object_end(&j);
    YZ_TRY(yzi_json_end(&j));
    yzi_cli_write(e->c, yzi_bytes_buf(&out));
    return YZ_OK;
}

/* -- the verbs -- */

static int decide(struct explained *e)
{
    YZ_TRY(yzi_policy_open(e->c, &e->policy));
    YZ_TRY(yzi_described_given(e->c, &e->asked));
    YZ_TRY(yzi_policy_of(&e->policy, e->asked.question.service, &e->of));
    yzi_policy_decide(&e->of, &e->asked, &e->decision);
    return YZ_OK;
}

int yzi_grant_explain(struct cli *c)
{
    struct explained e = {.c = c};
    int rc = decide(&e);
    rc = rc < 0 ? rc : yzi_cli_json(c) ? print_json(&e) : print_text(&e);
    yzi_policy_close(&e.policy);
    return rc;
}

static int print_outcome(struct explained *e)
{
    YZ_TRY(yzi_cli_json(e->c) ? print_json(e) : say_verdict(e));
    if (!e->decision.allowed) {
        yzi_cli_exit_with(e->c, EXIT_DENIED);
    }
    return YZ_OK;
}

int yzi_grant_test_one(struct cli *c)
{
    struct explained e = {.c = c};
    int rc = decide(&e);
    rc = rc < 0 ? rc : print_outcome(&e);
    yzi_policy_close(&e.policy);
    return rc;
}
