/* SPDX-License-Identifier: Apache-2.0
 *
 * The owner's policy as it lies in the member's home, asked by the adapter's own decision; and that
 * decision's clauses in words.
 */
#include "adapters/access/rules.h"
#include "cli/described.h"
#include "cli/purpose.h"

/* -- opening -- */

int yzi_policy_define(struct policy_home *p, const char *file)
{
    struct dataset *d;
    if (p->definitions_n == POLICY_DEFINITIONS_MAX) {
        return yzi_cli_usage(p->c, "there are more than %u definitions", POLICY_DEFINITIONS_MAX);
    }
    YZ_TRY(yzi_dataset_load(file, &d, yzi_cli_error(p->c)));
    p->definition_files[p->definitions_n] = file;
    p->definitions[p->definitions_n++] = d;
    return YZ_OK;
}

int yzi_policy_open(struct cli *c, struct policy_home *out)
{
    size_t n;
    const char *const *files = yzi_cli_options(c, "definition", &n);
    *out = (struct policy_home){.c = c};
    YZ_TRY(yzi_home_open(c, HOME_MEMBER, false, &out->home));
    YZ_TRY(yzi_home_member_set(c, out->home, &out->set));
    YZ_TRY(yzi_home_purposes(c, out->home, &out->purposes, &out->has_purposes));
    YZ_TRY(
        yzi_arena_new(yzi_cli_arena(c), out->set.subsystems_n, sizeof *out->offers, &out->offers));
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(yzi_policy_define(out, files[i]));
    }
    return YZ_OK;
}

void yzi_policy_close(struct policy_home *p)
{
    for (size_t i = 0; i < p->definitions_n; i++) {
        yzi_dataset_unref(p->definitions[i]);
    }
}

/* -- what a service answers from -- */

static int load_offer(struct policy_home *p, yz_bytes code, const struct home_offer **out)
{
    for (size_t i = 0; i < p->offers_n; i++) {
        if (yzi_bytes_eq(p->offers[i].code, code)) {
            *out = &p->offers[i];
            return YZ_OK;
        }
    }
    struct home_offer o;
    YZ_TRY(yzi_home_offer_load(p->c, p->home, &p->set, code, &o));
    YZ_ASSERT(p->offers_n < p->set.subsystems_n);
    p->offers[p->offers_n] = o;
    *out = &p->offers[p->offers_n++];
    return YZ_OK;
}

/* Every element that is published has to be there, and as it is there. */
static int check_published(struct policy_home *p, const struct catalogue_entry *e,
                           const struct dataset *d, const char *file)
{
    for (size_t i = 0; e && i < e->elements_n; i++) {
        const struct data_element *el = &e->elements[i];
        int f = yzi_dataset_field(d, el->field);
        if (f < 0 || d->fields[f].type != el->type ||
            d->fields[f].classification != el->classification) {
            return yzi_fail(yzi_cli_error(p->c), YZ_EINVAL,
                            "%s is not the definition that was published: the field %.*s %s", file,
                            CLI_V(el->field),
                            f < 0 ? "is not in it" : "has another type or classification");
        }
    }
    return YZ_OK;
}

static int find_definition(struct policy_home *p, struct policy_of *of)
{
    for (size_t i = 0; i < p->definitions_n; i++) {
        if (yzi_bytes_eq_str(of->service->data_set, p->definitions[i]->name)) {
            of->dataset = p->definitions[i];
            return check_published(p, yzi_home_offer_entry(of->offer, of->service->data_set),
                                   of->dataset, p->definition_files[i]);
        }
    }
    return yzi_cli_usage(p->c, "--definition is needed: that of the data set %.*s",
                         CLI_V(of->service->data_set));
}

int yzi_policy_of(struct policy_home *p, yz_service_id service, struct policy_of *out)
{
    yz_subsystem_id subsystem = yzi_service_subsystem(service);
    *out = (struct policy_of){.home = p};
    if (!yzi_bytes_eq(yzi_subsystem_member(subsystem).v, p->set.member.v)) {
        return yzi_fail(yzi_cli_error(p->c), YZ_ENOTFOUND, "%.*s is not a service of %.*s",
                        CLI_V(service.v), CLI_V(p->set.member.v));
    }
    if (yzi_home_subsystem(&p->set, yzi_subsystem_code(subsystem))) {
        YZ_TRY(load_offer(p, yzi_subsystem_code(subsystem), &out->offer));
        out->service = yzi_home_offer_service(out->offer, yzi_service_local(service));
    }
    if (!out->service || !out->service->data_set.n) {
        return yzi_fail(yzi_cli_error(p->c), YZ_ENOTFOUND, "%.*s is not offered%s",
                        CLI_V(service.v), out->service ? " from a data set" : "");
    }
    return find_definition(p, out);
}

/* -- deciding -- */

/* As yzi_directory_purpose_known, by the list that the member fetched. */
static bool is_known(const struct policy_of *p, yz_bytes purpose)
{
    return purpose.n == 0 || !p->home->has_purposes ||
           yzi_purpose_is_listed(&p->home->purposes, purpose);
}

static void decide(const struct policy_of *p, const struct offer *offer, const struct asked *a,
                   struct access_decision *out)
{
    struct access_question question = a->question;
    question.purpose_known = is_known(p, question.purpose);
    *out = (struct access_decision){0};
    yzi_access_decide(offer, &p->offer->terms, p->dataset, &question, out);
}

void yzi_policy_decide(const struct policy_of *p, const struct asked *a,
                       struct access_decision *out)
{
    decide(p, &p->offer->offer, a, out);
}

void yzi_policy_decide_one(const struct policy_of *p, const struct asked *a, size_t grant,
                           struct access_decision *out)
{
    struct offer one = p->offer->offer; /* of the same version, so that the terms are its */
    one.grants = &p->offer->offer.grants[grant];
    one.grants_n = 1;
    decide(p, &one, a, out);
}

/* -- why not -- */

static int put_names(yz_buf *out, const struct name_list *names)
{
    for (size_t i = 0; i < names->n; i++) {
        YZ_TRY(yzi_buf_printf(out, "%s%.*s", i ? ", " : "", CLI_V(names->items[i])));
    }
    return YZ_OK;
}

/* "'x' is none of a, b", or that there is none at all. */
static int put_none_of(yz_buf *out, yz_bytes what, const struct name_list *names, const char *kind)
{
    if (names->n == 0) {
        return yzi_buf_printf(out, "'%.*s': it has no %s at all", CLI_V(what), kind);
    }
    YZ_TRY(yzi_buf_printf(out, "'%.*s' is none of ", CLI_V(what)));
    return put_names(out, names);
}

static int why_operation(const struct asked *a, const struct fine_grant *g, yz_buf *out)
{
    bool any = false;
    YZ_TRY(yzi_buf_printf(out, "'%s' is none of ", yzi_operation_name(a->query.operation)));
    for (unsigned op = QUERY_GET; op <= QUERY_OPERATION_LAST; op++) {
        if (g->operations & 1u << op) {
            YZ_TRY(yzi_buf_printf(out, "%s%s", any ? ", " : "", yzi_operation_name(op)));
            any = true;
        }
    }
    return YZ_OK;
}

static int why_readable(const struct access_decision *d, const struct fine_grant *g, yz_buf *out)
{
    if (d->field.n == 0) {
        return yzi_buf_put_str(out, "it lets no field be read");
    }
    if (strcmp(d->reason, "operator") == 0) {
        return yzi_buf_printf(out,
                              "'%.*s' is not readable, so it can be selected by whole values only",
                              CLI_V(d->field));
    }
    YZ_TRY(yzi_buf_printf(out, "'%.*s' is none of ", CLI_V(d->field)));
    for (size_t i = 0; i < g->readable_n; i++) {
        YZ_TRY(yzi_buf_printf(out, "%s%.*s", i ? ", " : "", CLI_V(g->readable[i].name)));
    }
    return YZ_OK;
}

static const struct grant_predicate *predicate_of(const struct fine_grant *g, yz_bytes name)
{
    for (size_t i = 0; i < g->predicates_n; i++) {
        if (yzi_bytes_eq(g->predicates[i].name, name)) {
            return &g->predicates[i];
        }
    }
    return NULL;
}

/* A question that the grant does not have, or not with that value. */
static int why_predicate(const struct access_decision *d, const struct fine_grant *g, yz_buf *out)
{
    const struct grant_predicate *p = predicate_of(g, d->field);
    if (!p && g->predicates_n == 0) {
        return yzi_buf_printf(out, "'%.*s': it permits no question at all", CLI_V(d->field));
    }
    if (!p) {
        YZ_TRY(yzi_buf_printf(out, "'%.*s' is none of ", CLI_V(d->field)));
        for (size_t i = 0; i < g->predicates_n; i++) {
            YZ_TRY(yzi_buf_printf(out, "%s%.*s", i ? ", " : "", CLI_V(g->predicates[i].name)));
        }
        return YZ_OK;
    }
    if (strcmp(d->reason, "predicate-value") != 0) {
        return yzi_buf_printf(
            out, "the value that '%.*s' brings is none of its field, or missing, or one too many",
            CLI_V(d->field));
    }
    if (p->step.n) {
        return yzi_buf_printf(out, "the value that '%.*s' brings is no whole multiple of %.*s",
                              CLI_V(d->field), CLI_V(p->step));
    }
    YZ_TRY(yzi_buf_printf(out, "the value that '%.*s' brings is none of ", CLI_V(d->field)));
    return put_names(out, &p->constants);
}

static int why_purpose(const struct policy_of *p, const struct asked *a, const struct fine_grant *g,
                       yz_buf *out)
{
    yz_bytes purpose = a->question.purpose;
    if (!is_known(p, purpose)) {
        return yzi_buf_printf(out, "'%.*s' is no purpose of this instance", CLI_V(purpose));
    }
    if (purpose.n == 0) {
        YZ_TRY(yzi_buf_put_str(out, "no purpose is given; it is for "));
        return put_names(out, &g->purposes);
    }
    return put_none_of(out, purpose, &g->purposes, "purpose");
}

static int why_time(const char *words, uint64_t at, yz_buf *out)
{
    char text[32];
    return yzi_buf_printf(out, "%s %s", words, yzi_cli_time_text(at, text));
}

static int why_consumer(const struct coarse_grant *g, yz_buf *out)
{
    return g->group_code.n
               ? yzi_buf_printf(out, "it is for the group %.*s, version %llu", CLI_V(g->group_code),
                                (unsigned long long)g->group_version)
               : yzi_buf_printf(out, "it is for %.*s", CLI_V(g->consumer.v));
}

/* A grant that the rules forbid, in the rules' own words; or what this version does not enforce. */
static int why_unenforceable(const struct policy_of *p, const struct asked *a,
                             const struct access_decision *d, yz_buf *out)
{
    struct rule_fault fault = {0};
    if (strcmp(d->clause, "strict") == 0) {
        return yzi_buf_put_str(out, "it wants a broker's proof that it was asked");
    }
    if (!yzi_access_rules(d->fine, p->dataset, p->offer->terms.has_pseudonym_key, true, &fault)) {
        return yzi_buf_put_str(out, fault.text);
    }
    if (yzi_operation_writes(a->query.operation)) {
        return yzi_buf_put_str(out, "what a row filter shows is not what may be changed");
    }
    return yzi_buf_printf(out, "adapters do not serve a grant with this %s", d->clause);
}

static int why_clause(const struct policy_of *p, const struct asked *a,
                      const struct coarse_grant *grant, const struct access_decision *d,
                      yz_buf *out)
{
    const char *clause = d->clause;
    if (strcmp(clause, "consumer") == 0) {
        return why_consumer(grant, out);
    }
    if (strcmp(clause, "service") == 0) {
        return yzi_buf_printf(out, "it is on %.*s", CLI_V(grant->service));
    }
    if (strcmp(clause, "not-before") == 0) {
        return why_time("it is valid from", grant->not_before, out);
    }
    if (strcmp(clause, "not-after") == 0) {
        return why_time("it was valid until", grant->not_after, out);
    }
    if (!d->fine) {
        return yzi_buf_put_str(out, "the terms have no such grant");
    }
    if (strcmp(d->reason, "unenforceable") == 0) {
        return why_unenforceable(p, a, d, out);
    }
    if (strcmp(clause, "operation") == 0) {
        return why_operation(a, d->fine, out);
    }
    if (strcmp(clause, "readable") == 0) {
        return why_readable(d, d->fine, out);
    }
    if (strcmp(clause, "predicate") == 0) {
        return why_predicate(d, d->fine, out);
    }
    if (strcmp(clause, "purpose") == 0) {
        return why_purpose(p, a, d->fine, out);
    }
    const struct name_list *names = strcmp(clause, "writable") == 0     ? &d->fine->writable
                                    : strcmp(clause, "filterable") == 0 ? &d->fine->filterable
                                    : strcmp(clause, "sortable") == 0   ? &d->fine->sortable
                                                                        : NULL;
    return names ? put_none_of(out, d->field, names, "such field")
                 : yzi_buf_put_str(out, d->reason);
}

int yzi_policy_why(const struct policy_of *p, const struct asked *a,
                   const struct coarse_grant *grant, const struct access_decision *d, yz_buf *out)
{
    if (d->allowed) {
        return YZ_OK;
    }
    if (d->bad_query && strcmp(d->reason, "unknown-field") == 0) {
        return yzi_buf_printf(out, "the data set %s has no field '%.*s'", p->dataset->name,
                              CLI_V(d->field));
    }
    return why_clause(p, a, grant, d, out);
}
