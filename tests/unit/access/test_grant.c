/* SPDX-License-Identifier: Apache-2.0
 *
 * Decisions as a table: a grant, a question, what must come out. The base case is allowed; each
 * line changes one thing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/access/denial.h"

static const char yaml[] = "dataset: marriages\n"
                           "title: {en: M}\n"
                           "owner: o\n"
                           "sharing: conditional\n"
                           "key: [id]\n"
                           "fields:\n"
                           "  - {name: id, type: text, classification: internal}\n"
                           "  - {name: name, type: text, classification: internal}\n"
                           "  - {name: born, type: date, classification: internal}\n"
                           "  - {name: status, type: text, classification: internal}\n";

#define NOW UINT64_C(1000000)

/* One world that is made afresh for each case: an offer of two grants, of which the second is given
 * to somebody else unless a case says otherwise. */
struct world {
    struct dataset *d;
    struct coarse_grant coarse[2];
    yz_bytes members[2];
    struct consumer_group group;
    struct fine_grant fine[2];
    struct grant_field readable[2][3];
    yz_bytes filterable[1], sortable[1], purposes[2], writable[2];
    struct row_condition row_filter[2];
    yz_bytes row_value;
    struct grant_predicate predicate;
    struct offer offer;
    struct terms terms;
    yz_bytes fields[2];
    struct query_condition filter;
    struct query_order order;
    struct query_predicate asked;
    struct query query;
    struct access_question question;
};

static void make_world(struct world *w, struct dataset *d)
{
    *w = (struct world){.d = d};
    for (size_t i = 0; i < 2; i++) {
        w->coarse[i] = (struct coarse_grant){
            .id = yzi_bytes_str(i ? "second" : "first"),
            .consumer = {yzi_bytes_str(i ? "CN/GOV/TAX/desk" : "CN/GOV/MHU/window")},
            .service = yzi_bytes_str("marriage/v1"),
            .not_before = NOW - 10,
            .not_after = NOW + 10};
        w->readable[i][0] = (struct grant_field){yzi_bytes_str("status"), MASK_NONE};
        w->readable[i][1] = (struct grant_field){yzi_bytes_str("name"), MASK_NONE};
        w->fine[i] = (struct fine_grant){.id = w->coarse[i].id,
                                         .operations = 1u << QUERY_GET | 1u << QUERY_FIND |
                                                       1u << QUERY_COUNT | 1u << QUERY_MATCH,
                                         .readable = w->readable[i],
                                         .readable_n = 2,
                                         .filterable = {w->filterable, 1},
                                         .sortable = {w->sortable, 1},
                                         .purposes = {w->purposes, 2}};
    }
    w->filterable[0] = yzi_bytes_str("born");
    w->sortable[0] = yzi_bytes_str("name");
    w->purposes[0] = yzi_bytes_str("housing-registration");
    w->purposes[1] = yzi_bytes_str("statistics");
    w->offer = (struct offer){.subsystem = {yzi_bytes_str("CN/GOV/MCA/civil")},
                              .version = 4,
                              .grants = w->coarse,
                              .grants_n = 2};
    w->terms = (struct terms){
        .subsystem = w->offer.subsystem, .version = 4, .grants = w->fine, .grants_n = 2};
    w->query = (struct query){.operation = QUERY_GET, .fields = w->fields};
    w->question =
        (struct access_question){.consumer = {yzi_bytes_str("CN/GOV/MHU/window")},
                                 .service = {yzi_bytes_str("CN/GOV/MCA/civil/marriage/v1")},
                                 .purpose = yzi_bytes_str("housing-registration"),
                                 .query = &w->query,
                                 .now = NOW,
                                 .purpose_known = true};
}

struct grant_case {
    const char *name;
    void (*change)(struct world *w);
    const char *reason; /* NULL: allowed */
    const char *field;  /* the one refused */
    const char *grant;  /* NULL: "first", "": none */
    bool bad_query;
};

#define CHANGE(name, body)                                                                         \
    static void name(struct world *w)                                                              \
    {                                                                                              \
        body                                                                                       \
    }

static void ask_for(struct world *w, const char *a, const char *b)
{
    w->fields[0] = yzi_bytes_str(a);
    w->fields[1] = yzi_bytes_str(b);
    w->query.fields_n = b ? 2 : 1;
}

static void ask_filter(struct world *w, const char *field)
{
    w->filter = (struct query_condition){.field = yzi_bytes_str(field), .op = OP_EQ};
    w->query.operation = QUERY_FIND;
    w->query.filter = &w->filter;
    w->query.filter_n = 1;
}

static void ask_order(struct world *w, const char *field)
{
    w->order = (struct query_order){.field = yzi_bytes_str(field)};
    w->query.operation = QUERY_FIND;
    w->query.order = &w->order;
    w->query.order_n = 1;
}

static void ask_predicate(struct world *w, const char *name)
{
    w->asked = (struct query_predicate){.name = yzi_bytes_str(name)};
    w->query.operation = QUERY_MATCH;
    w->query.predicates = &w->asked;
    w->query.predicates_n = 1;
}

static void give_predicate(struct world *w)
{
    static yz_bytes constant;
    constant = yzi_bytes_str("2008-01-01");
    w->predicate = (struct grant_predicate){.name = yzi_bytes_str("of_age"),
                                            .field = yzi_bytes_str("born"),
                                            .op = OP_LE,
                                            .constants = {&constant, 1}};
    w->fine[0].predicates = &w->predicate;
    w->fine[0].predicates_n = 1;
}

static void filter_rows(struct world *w, const char *field, enum query_op op, const char *value)
{
    w->row_value = yzi_bytes_str(value);
    w->row_filter[0] = (struct row_condition){yzi_bytes_str(field), op, {&w->row_value, 1}};
    w->fine[0].row_filter = w->row_filter;
    w->fine[0].row_filter_n = 1;
}

/* The second grant is for the same consumer, too. */
static void give_second(struct world *w)
{
    w->coarse[1].consumer = w->coarse[0].consumer;
}

/* The first grant may write id and status. */
static void bring(struct world *w, enum query_operation operation, const char *a, const char *b)
{
    w->writable[0] = yzi_bytes_str("id");
    w->writable[1] = yzi_bytes_str("status");
    w->fine[0].writable = (struct name_list){w->writable, 2};
    w->fine[0].operations |= 1u << QUERY_INSERT | 1u << QUERY_PUT | 1u << QUERY_DELETE;
    w->query.operation = operation;
    w->query.rows = yzi_operation_brings_rows(operation);
    if (a) {
        ask_for(w, a, b);
    }
}

CHANGE(none, (void)w;)
CHANGE(first_ms, w->question.now = NOW - 10;)
CHANGE(last_ms, w->question.now = NOW + 9;)
CHANGE(endless, w->coarse[0].not_after = 0; w->question.now = UINT64_MAX;)
CHANGE(any_purpose, w->fine[0].purposes.n = 0; w->question.purpose = yzi_bytes_str("");)
CHANGE(other_purpose, w->question.purpose = yzi_bytes_str("statistics");)
CHANGE(strict, w->coarse[0].strict = true;)
CHANGE(named_fields, ask_for(w, "name", "status");)
CHANGE(same_field_twice, ask_for(w, "name", "name");)
CHANGE(find_with_filter, ask_filter(w, "born");)
CHANGE(find_with_order, ask_order(w, "name");)
CHANGE(count_all, w->query.operation = QUERY_COUNT;)
CHANGE(count_unreadable, w->query.operation = QUERY_COUNT; w->fine[0].readable_n = 0;
       w->fine[0].sortable.n = 0;)
CHANGE(grant_of_a_field_we_do_not_have, w->readable[0][2].name = yzi_bytes_str("gone");
       w->fine[0].readable_n = 3;)

/* The first grant is a group's instead: of version 3, whose consumers are members[0..n). */
static void give_group(struct world *w, uint64_t version, size_t n)
{
    w->members[0] = yzi_bytes_str("CN/GOV/MHU/window");
    w->members[1] = yzi_bytes_str("CN/GOV/MHU/wing");
    w->group = (struct consumer_group){.code = yzi_bytes_str("houses"),
                                       .version = 3,
                                       .members = {w->members, 2},
                                       .consumers = {w->members, n}};
    w->offer.groups = &w->group;
    w->offer.groups_n = 1;
    w->coarse[0].consumer.v = (yz_bytes){0};
    w->coarse[0].group_code = yzi_bytes_str("houses");
    w->coarse[0].group_version = version;
}
CHANGE(in_group, give_group(w, 3, 1);)
CHANGE(left_group, give_group(w, 3, 0);)
CHANGE(not_in_group, give_group(w, 3, 2);
       w->question.consumer.v = yzi_bytes_str("CN/GOV/MHU/windows");)
CHANGE(group_of_another_version, give_group(w, 2, 1);)
CHANGE(group_unknown, give_group(w, 3, 1); w->offer.groups_n = 0;)

CHANGE(no_grants, w->offer.grants_n = 0;)
CHANGE(other_consumer, w->question.consumer.v = yzi_bytes_str("CN/GOV/MHU/windows");)
CHANGE(other_service, w->question.service.v = yzi_bytes_str("CN/GOV/MCA/civil/birth/v1");)
CHANGE(other_version, w->question.service.v = yzi_bytes_str("CN/GOV/MCA/civil/marriage/v2");)
CHANGE(other_subsystem, w->question.service.v = yzi_bytes_str("CN/GOV/MCA/other/marriage/v1");)
CHANGE(no_terms, w->terms.grants_n = 0;)
CHANGE(terms_of_another_version, w->terms.version = 3;)
CHANGE(terms_of_another_subsystem, w->terms.subsystem.v = yzi_bytes_str("CN/GOV/MCA/other");)
CHANGE(too_early, w->question.now = NOW - 11;)
CHANGE(too_late, w->question.now = NOW + 10;)
CHANGE(no_get, w->fine[0].operations &= ~(1u << QUERY_GET);)
CHANGE(unknown_operation, w->query.operation = (enum query_operation)(QUERY_OPERATION_LAST + 1);
       w->fine[0].operations = ~0u;)
CHANGE(no_operation, w->query.operation = (enum query_operation)0; w->fine[0].operations = ~0u;)
CHANGE(unreadable_field, ask_for(w, "status", "born");)
CHANGE(unknown_field, ask_for(w, "nix", NULL);)
CHANGE(unknown_but_granted_field, grant_of_a_field_we_do_not_have(w); ask_for(w, "gone", NULL);)
CHANGE(nothing_readable, w->fine[0].readable_n = 0;)
CHANGE(find_nothing_readable, w->fine[0].readable_n = 0; w->query.operation = QUERY_FIND;)
CHANGE(filter_on_readable, ask_filter(w, "name");)
CHANGE(filter_on_unknown, ask_filter(w, "nix");)
CHANGE(order_by_filterable, ask_order(w, "born");)
CHANGE(order_by_unknown, ask_order(w, "nix");)
CHANGE(filter_in_a_get, ask_filter(w, "status"); w->query.operation = QUERY_GET;)
CHANGE(wrong_purpose, w->question.purpose = yzi_bytes_str("statistic");)
CHANGE(unlisted_purpose, w->question.purpose_known = false;)
CHANGE(unlisted_for_any, any_purpose(w); w->question.purpose_known = false;)
CHANGE(empty_purpose, w->question.purpose = yzi_bytes_str("");)
CHANGE(masked, w->readable[0][1].mask = MASK_LAST4; w->fine[0].sortable.n = 0;)
CHANGE(masked_not_asked_for, masked(w); ask_for(w, "status", NULL);)
CHANGE(masked_and_sortable, w->readable[0][1].mask = MASK_LAST4;)
CHANGE(masked_and_filterable, masked(w); w->filterable[0] = yzi_bytes_str("name");)
CHANGE(masked_and_asked_by_predicate, masked(w); give_predicate(w);
       w->predicate.field = yzi_bytes_str("name");)
CHANGE(sortable_not_readable, w->sortable[0] = yzi_bytes_str("born");)
CHANGE(year_of_a_text, masked(w); w->readable[0][1].mask = MASK_YEAR;)
CHANGE(last4_of_a_date, masked(w); w->readable[0][1].name = yzi_bytes_str("born");
       w->filterable[0] = yzi_bytes_str("id");)
CHANGE(hash_of_a_date, last4_of_a_date(w); w->readable[0][1].mask = MASK_HASH;
       w->terms.has_pseudonym_key = true;)
CHANGE(year_of_a_date, last4_of_a_date(w); w->readable[0][1].mask = MASK_YEAR;)
CHANGE(hash_without_a_key, masked(w); w->readable[0][1].mask = MASK_HASH;)
CHANGE(hashed, hash_without_a_key(w); w->terms.has_pseudonym_key = true;)
CHANGE(masked_key, masked(w); w->readable[0][1].name = yzi_bytes_str("id");)
CHANGE(masked_key_find, masked_key(w); w->query.operation = QUERY_FIND;)
CHANGE(masked_key_no_get, masked_key_find(w); w->fine[0].operations &= ~(1u << QUERY_GET);)
CHANGE(prefix_of_unreadable, ask_filter(w, "born"); w->filter.op = OP_PREFIX;)
CHANGE(range_of_unreadable, ask_filter(w, "born"); w->filter.op = OP_GE;)
CHANGE(in_of_unreadable, ask_filter(w, "born"); w->filter.op = OP_IN;)
CHANGE(range_of_readable, ask_filter(w, "name"); w->filter.op = OP_GE;
       w->filterable[0] = yzi_bytes_str("name");)
CHANGE(row_filtered, filter_rows(w, "born", OP_GE, "2000-01-01");)
CHANGE(row_filtered_of_text, filter_rows(w, "name", OP_PREFIX, "W");)
CHANGE(row_filter_of_unknown, filter_rows(w, "nix", OP_EQ, "x");)
CHANGE(row_filter_of_wrong_type, filter_rows(w, "born", OP_EQ, "x");)
CHANGE(row_filter_without_beginnings, filter_rows(w, "born", OP_PREFIX, "2000");)
CHANGE(row_filter_of_two_kinds, filter_rows(w, "name", OP_PREFIX, "W");
       w->row_filter[1] = w->row_filter[0]; w->row_filter[1].op = OP_GE;
       w->fine[0].row_filter_n = 2;)
CHANGE(quota, w->fine[0].quota_per_day = 100000;)
CHANGE(has_predicates, give_predicate(w);)
CHANGE(match_granted, give_predicate(w); ask_predicate(w, "of_age");)
CHANGE(predicate_of_nothing, give_predicate(w); w->predicate.constants.n = 0;)
CHANGE(match_of_nothing, give_predicate(w); w->predicate.op = OP_IN; w->predicate.constants.n = 0;
       ask_predicate(w, "of_age");)
CHANGE(match_not_granted, give_predicate(w); ask_predicate(w, "married");)
CHANGE(match_without_any, ask_predicate(w, "of_age");)
static void too_many_predicates(struct world *w)
{
    static struct query_predicate many[MATCH_PREDICATES_MAX + 1];
    match_granted(w);
    for (size_t i = 0; i <= MATCH_PREDICATES_MAX; i++) {
        many[i] = w->asked;
    }
    w->query.predicates = many;
    w->query.predicates_n = MATCH_PREDICATES_MAX + 1;
}
CHANGE(unenforceable_and_unreadable, quota(w); ask_for(w, "born", NULL);)

CHANGE(second_allows, give_second(w); w->fine[0].operations = 0;)
CHANGE(second_allows_field, give_second(w); w->readable[1][0].name = yzi_bytes_str("born");
       ask_for(w, "born", NULL);)
CHANGE(second_allows_without_quota, give_second(w); quota(w);)
CHANGE(second_is_not_strict, give_second(w); strict(w);)
CHANGE(both_allow, give_second(w);)
CHANGE(neither_alone, give_second(w); w->readable[1][0].name = yzi_bytes_str("born");
       w->fine[1].readable_n = 1; w->fine[0].readable_n = 1; ask_for(w, "status", "born");)
CHANGE(first_came_further, give_second(w); w->coarse[1].not_after = NOW - 1; no_get(w);)
CHANGE(second_came_further, give_second(w); too_early(w); w->coarse[1].not_before = 0;
       w->fine[1].operations = 0;)
CHANGE(equally_far, give_second(w); w->coarse[0].not_after = NOW - 1;
       w->coarse[1].not_before = NOW + 1;)

CHANGE(strict_and_evidenced, strict(w); w->question.evidenced = true;)
CHANGE(inserts, bring(w, QUERY_INSERT, "id", "status");)
CHANGE(may_put, bring(w, QUERY_PUT, "id", "status");)
CHANGE(deletes, bring(w, QUERY_DELETE, NULL, NULL);)
CHANGE(writes_without_reading, may_put(w); w->fine[0].readable_n = 0; w->fine[0].sortable.n = 0;)
CHANGE(deletes_without_reading, deletes(w); w->fine[0].readable_n = 0; w->fine[0].sortable.n = 0;)
CHANGE(masked_and_writable, masked(w); bring(w, QUERY_PUT, "id", "name");
       w->writable[1] = yzi_bytes_str("name");)
CHANGE(masked_and_writable_read, masked_and_writable(w); w->query.operation = QUERY_GET;
       w->query.rows = 0; ask_for(w, "name", NULL);)
CHANGE(masked_and_other_writable, masked(w); bring(w, QUERY_PUT, "id", "status");)
CHANGE(insert_of_readable, bring(w, QUERY_INSERT, "id", "name");)
CHANGE(put_of_readable, bring(w, QUERY_PUT, "name", "id");)
CHANGE(put_of_unknown, bring(w, QUERY_PUT, "id", "nix");)
CHANGE(read_of_writable, bring(w, QUERY_GET, "id", NULL);)
CHANGE(insert_not_granted, inserts(w); w->fine[0].operations &= ~(1u << QUERY_INSERT);)
CHANGE(put_not_granted, may_put(w); w->fine[0].operations &= ~(1u << QUERY_PUT);)
CHANGE(delete_not_granted, deletes(w); w->fine[0].operations &= ~(1u << QUERY_DELETE);)
CHANGE(nothing_writable, may_put(w); w->fine[0].writable.n = 0;)
CHANGE(put_for_wrong_purpose, may_put(w); wrong_purpose(w);)
CHANGE(put_with_row_filter, may_put(w); row_filtered(w);)
CHANGE(delete_with_row_filter, deletes(w); row_filtered(w);)

static const struct grant_case cases[] = {
    {"the base case", none, NULL, NULL, NULL, false},
    {"at its first millisecond", first_ms, NULL, NULL, NULL, false},
    {"at its last millisecond", last_ms, NULL, NULL, NULL, false},
    {"without an end", endless, NULL, NULL, NULL, false},
    {"no purposes means any", any_purpose, NULL, NULL, NULL, false},
    {"another granted purpose", other_purpose, NULL, NULL, NULL, false},
    {"fields by name", named_fields, NULL, NULL, NULL, false},
    {"a field twice", same_field_twice, NULL, NULL, NULL, false},
    {"find by a filterable field", find_with_filter, NULL, NULL, NULL, false},
    {"find ordered by a sortable field", find_with_order, NULL, NULL, NULL, false},
    {"count", count_all, NULL, NULL, NULL, false},
    {"count needs no readable field", count_unreadable, NULL, NULL, NULL, false},
    {"a granted field that does not exist", grant_of_a_field_we_do_not_have, NULL, NULL, NULL,
     false},

    {"a member of a group", in_group, NULL, NULL, NULL, false},
    {"who left the group", left_group, "no-grant", NULL, "", false},
    {"who is not in the group", not_in_group, "no-grant", NULL, "", false},
    {"a group of another version", group_of_another_version, "no-grant", NULL, "", false},
    {"a group the offer does not have", group_unknown, "no-grant", NULL, "", false},
    {"an offer without grants", no_grants, "no-grant", NULL, "", false},
    {"another consumer", other_consumer, "no-grant", NULL, "", false},
    {"another service", other_service, "no-grant", NULL, "", false},
    {"another version", other_version, "no-grant", NULL, "", false},
    {"another subsystem's service", other_subsystem, "no-grant", NULL, "", false},
    {"a coarse grant without terms", no_terms, "no-grant", NULL, NULL, false},
    {"terms of another version", terms_of_another_version, "no-grant", NULL, NULL, false},
    {"terms of another subsystem", terms_of_another_subsystem, "no-grant", NULL, NULL, false},
    {"before it is valid", too_early, "not-valid-yet", NULL, NULL, false},
    {"after it was valid", too_late, "expired", NULL, NULL, false},
    {"an operation not granted", no_get, "operation", NULL, NULL, false},
    {"an operation nobody knows", unknown_operation, "operation", NULL, NULL, false},
    {"no operation", no_operation, "operation", NULL, NULL, false},
    {"a field that is not readable", unreadable_field, "field", "born", NULL, false},
    {"a field nobody knows", unknown_field, "unknown-field", "nix", NULL, true},
    {"a field granted but unknown", unknown_but_granted_field, "unknown-field", "gone", NULL, true},
    {"get with nothing readable", nothing_readable, "field", NULL, NULL, false},
    {"find with nothing readable", find_nothing_readable, "field", NULL, NULL, false},
    {"filter by a field only readable", filter_on_readable, "field", "name", NULL, false},
    {"filter by a field nobody knows", filter_on_unknown, "unknown-field", "nix", NULL, true},
    {"order by a field only filterable", order_by_filterable, "field", "born", NULL, false},
    {"order by a field nobody knows", order_by_unknown, "unknown-field", "nix", NULL, true},
    {"a filter smuggled into a get", filter_in_a_get, "field", "status", NULL, false},
    {"a purpose not granted", wrong_purpose, "purpose", NULL, NULL, false},
    {"a purpose the instance does not have", unlisted_purpose, "purpose", NULL, NULL, false},
    {"the same under a grant for any", unlisted_for_any, "purpose", NULL, NULL, false},
    {"no purpose where one is asked", empty_purpose, "purpose", NULL, NULL, false},
    {"strict, which no broker is believed about", strict, "unenforceable", NULL, NULL, false},
    {"a mask", masked, NULL, NULL, NULL, false},
    {"a mask on another field", masked_not_asked_for, NULL, NULL, NULL, false},
    {"a mask that fits", year_of_a_date, NULL, NULL, NULL, false},
    {"a hash", hashed, NULL, NULL, NULL, false},
    {"a mask on a sortable field", masked_and_sortable, "unenforceable", "name", NULL, false},
    {"a mask on a filterable field", masked_and_filterable, "unenforceable", "name", NULL, false},
    {"a mask on what a predicate asks of", masked_and_asked_by_predicate, "unenforceable", "name",
     NULL, false},
    {"a sortable field that is not readable", sortable_not_readable, "unenforceable", "born", NULL,
     false},
    {"the year of a text", year_of_a_text, "unenforceable", "name", NULL, false},
    {"the end of a date", last4_of_a_date, "unenforceable", "born", NULL, false},
    {"a pseudonym of a date", hash_of_a_date, "unenforceable", "born", NULL, false},
    {"a hash without a key", hash_without_a_key, "unenforceable", "name", NULL, false},
    {"get with a masked key", masked_key, "unenforceable", "id", NULL, false},
    {"a masked key under get, too", masked_key_find, "unenforceable", "id", NULL, false},
    {"a masked key without get", masked_key_no_get, NULL, NULL, NULL, false},
    {"beginnings of what is not readable", prefix_of_unreadable, "operator", "born", NULL, false},
    {"a range of what is not readable", range_of_unreadable, "operator", "born", NULL, false},
    {"one of several of what is not readable", in_of_unreadable, NULL, NULL, NULL, false},
    {"a range of what is readable", range_of_readable, NULL, NULL, NULL, false},
    {"a row filter", row_filtered, NULL, NULL, NULL, false},
    {"a row filter on texts", row_filtered_of_text, NULL, NULL, NULL, false},
    {"a row filter on no field", row_filter_of_unknown, "unenforceable", "nix", NULL, false},
    {"a row filter of another type", row_filter_of_wrong_type, "unenforceable", "born", NULL,
     false},
    {"a prefix of dates", row_filter_without_beginnings, "unenforceable", "born", NULL, false},
    {"prefix and range of one field", row_filter_of_two_kinds, "unenforceable", "name", NULL,
     false},
    {"a quota, which is not counted here", quota, NULL, NULL, NULL, false},
    {"predicates, which a get does not ask", has_predicates, NULL, NULL, NULL, false},
    {"a predicate without an end", predicate_of_nothing, "unenforceable", "born", NULL, false},
    {"a match of such a one", match_of_nothing, "unenforceable", "born", NULL, false},
    {"a match that is granted", match_granted, NULL, NULL, NULL, false},
    {"a match that is not", match_not_granted, "predicate", "married", NULL, false},
    {"a match where none is", match_without_any, "predicate", "of_age", NULL, false},
    {"more predicates than one question has", too_many_predicates, "bad-query", "of_age", NULL,
     true},
    {"the field is told before the quota", unenforceable_and_unreadable, "field", "born", NULL,
     false},

    {"strict, and its evidence is proved", strict_and_evidenced, NULL, NULL, NULL, false},
    {"an insert of writable fields", inserts, NULL, NULL, NULL, false},
    {"a put of writable fields", may_put, NULL, NULL, NULL, false},
    {"a delete", deletes, NULL, NULL, NULL, false},
    {"writing needs no readable field", writes_without_reading, NULL, NULL, NULL, false},
    {"deleting neither", deletes_without_reading, NULL, NULL, NULL, false},
    {"a put of a masked field", masked_and_writable, "unenforceable", "name", NULL, false},
    {"a get of what is masked and writable", masked_and_writable_read, "unenforceable", "name",
     NULL, false},
    {"a put beside a masked field", masked_and_other_writable, NULL, NULL, NULL, false},
    {"an insert of a field only readable", insert_of_readable, "field", "name", NULL, false},
    {"a put of a field only readable", put_of_readable, "field", "name", NULL, false},
    {"a put of a field nobody knows", put_of_unknown, "unknown-field", "nix", NULL, true},
    {"a get of a field only writable", read_of_writable, "field", "id", NULL, false},
    {"an insert not granted", insert_not_granted, "operation", NULL, NULL, false},
    {"a put not granted", put_not_granted, "operation", NULL, NULL, false},
    {"a delete not granted", delete_not_granted, "operation", NULL, NULL, false},
    {"a put where nothing is writable", nothing_writable, "field", "id", NULL, false},
    {"a put for a purpose not granted", put_for_wrong_purpose, "purpose", NULL, NULL, false},
    {"a put under a row filter", put_with_row_filter, "unenforceable", NULL, NULL, false},
    {"a delete under a row filter", delete_with_row_filter, "unenforceable", NULL, NULL, false},

    {"the second allows the operation", second_allows, NULL, NULL, "second", false},
    {"the second allows the field", second_allows_field, NULL, NULL, "second", false},
    {"the second has no quota", second_allows_without_quota, NULL, NULL, "first", false},
    {"the second is not strict", second_is_not_strict, NULL, NULL, "second", false},
    {"both allow: the first decides", both_allow, NULL, NULL, "first", false},
    {"two grants do not add up", neither_alone, "field", "status", "second", false},
    {"the reason of the one that came further", first_came_further, "operation", NULL, "first",
     false},
    {"the same the other way round", second_came_further, "operation", NULL, "second", false},
    {"the last of those equally far", equally_far, "not-valid-yet", NULL, "second", false},
};

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_case(const struct grant_case *c, struct dataset *d)
{
    struct world w;
    struct access_decision out;
    make_world(&w, d);
    c->change(&w);
    memset(&out, 0xee, sizeof out);
    yzi_access_decide(&w.offer, &w.terms, d, &w.question, &out);
    if (out.allowed != (c->reason == NULL) || !same(out.reason, c->reason)) {
        fail_msg("%s: allowed %d, %s", c->name, out.allowed, out.reason ? out.reason : "-");
    }
    if (!yzi_bytes_eq_str(out.field, c->field ? c->field : "") || out.bad_query != c->bad_query) {
        fail_msg("%s: field %.*s, bad query %d", c->name, (int)out.field.n,
                 (const char *)out.field.p, out.bad_query);
    }
    if (!yzi_bytes_eq_str(out.grant, c->grant ? c->grant : "first")) {
        fail_msg("%s: grant '%.*s'", c->name, (int)out.grant.n, (const char *)out.grant.p);
    }
    if (!out.allowed) {
        char said[200] = "", field[100];
        snprintf(field, sizeof field, "field %s ", c->field ? c->field : "");
        assert_int_equal(out.projection_n, 0);
        yzi_access_say(&out, &w.question, said, sizeof said);
        /* what an unenforceable grant is made of is its owner's */
        if (!said[0] || (strcmp(out.reason, "unenforceable") == 0 && strstr(said, field))) {
            fail_msg("%s: '%s'", c->name, said);
        }
    }
    if ((out.clause == NULL) != out.allowed || (out.coarse == NULL) != (out.grant.n == 0)) {
        fail_msg("%s: clause %s", c->name, out.clause ? out.clause : "-");
    }
}

static int setup(void **state)
{
    struct dataset *d = NULL;
    yz_error err = {0};
    if (yzi_dataset_parse(yzi_bytes_str(yaml), "t.yaml", &d, &err) < 0) {
        fail_msg("%s", err.text);
    }
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    yzi_dataset_unref(*state);
    return 0;
}

static void test_grant__decides_as_the_table_says(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_case(&cases[i], *state);
    }
}

/* What was asked for in its order; without fields, what is readable in the definition's order. */
static void test_grant__projection(void **state)
{
    struct world w;
    struct access_decision out;
    make_world(&w, *state);
    yzi_access_decide(&w.offer, &w.terms, w.d, &w.question, &out);
    assert_int_equal(out.projection_n, 2);
    assert_int_equal(out.projection[0], 1);
    assert_int_equal(out.projection[1], 3);
    ask_for(&w, "status", "name");
    yzi_access_decide(&w.offer, &w.terms, w.d, &w.question, &out);
    assert_int_equal(out.projection_n, 2);
    assert_int_equal(out.projection[0], 3);
    assert_int_equal(out.projection[1], 1);
    w.query.fields_n = 0;
    w.query.operation = QUERY_COUNT;
    yzi_access_decide(&w.offer, &w.terms, w.d, &w.question, &out);
    assert_true(out.allowed);
    assert_int_equal(out.projection_n, 0);
}

static void test_grant__no_terms_at_all_is_no_grant(void **state)
{
    struct world w;
    struct access_decision out;
    make_world(&w, *state);
    yzi_access_decide(&w.offer, NULL, w.d, &w.question, &out);
    assert_false(out.allowed);
    assert_string_equal(out.reason, "no-grant");
}

/* A query may name as many fields as the protocol allows, and not one more than there is room. */
static void test_grant__projection_does_not_overflow(void **state)
{
    struct world w;
    struct access_decision out;
    yz_bytes fields[DATASET_FIELDS_MAX + 1];
    make_world(&w, *state);
    for (size_t i = 0; i <= DATASET_FIELDS_MAX; i++) {
        fields[i] = yzi_bytes_str("name");
    }
    w.query.fields = fields;
    w.query.fields_n = DATASET_FIELDS_MAX;
    yzi_access_decide(&w.offer, &w.terms, w.d, &w.question, &out);
    assert_true(out.allowed);
    assert_int_equal(out.projection_n, DATASET_FIELDS_MAX);
    w.query.fields_n++;
    yzi_access_decide(&w.offer, &w.terms, w.d, &w.question, &out);
    assert_false(out.allowed);
}

static void test_grant__a_denial_is_said_in_a_sentence(void **state)
{
    static const struct {
        void (*change)(struct world *);
        const char *says;
    } table[] = {
        {other_consumer, "this subsystem has no grant at this provider"},
        {other_service, "this subsystem has no grant for this service"},
        {no_terms,
         "this adapter has no terms for the grant; the provider must publish its offer again"},
        {too_early, "the grant is not in force yet"},
        {too_late, "the grant has ended"},
        {no_get, "the grant does not allow this operation"},
        {unreadable_field, "the field born is not granted"},
        {nothing_readable, "the grant lets no field be read"},
        {unknown_field, "the field nix does not exist"},
        {range_of_unreadable, "the field born may be compared for equality only"},
        {filter_on_readable, "the field name is not granted to select by"},
        {order_by_filterable, "the field born is not granted to order by"},
        {put_of_readable, "the field name is not granted to be written"},
        {match_not_granted, "the predicate married is not granted"},
        {too_many_predicates, "the predicate of_age is one more than may be asked at once"},
        {wrong_purpose, "the grant is not for the purpose statistic"},
        {unlisted_purpose, "the purpose housing-registration is not in the directory's list"},
        {empty_purpose, "the grant asks for a purpose, and none is given"},
        {strict,
         "the grant asks for proof that the request is in a broker's log, and there is none"},
        {masked_and_sortable, "the provider must mend this grant: it cannot be enforced as it is"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct world w;
        struct access_decision out;
        char said[200];
        make_world(&w, *state);
        table[i].change(&w);
        yzi_access_decide(&w.offer, &w.terms, w.d, &w.question, &out);
        yzi_access_say(&out, &w.question, said, sizeof said);
        assert_string_equal(said, table[i].says);
        yzi_access_say(&out, &w.question, said, 5);
        assert_int_equal(strlen(said), 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grant__decides_as_the_table_says),
        cmocka_unit_test(test_grant__a_denial_is_said_in_a_sentence),
        cmocka_unit_test(test_grant__projection),
        cmocka_unit_test(test_grant__no_terms_at_all_is_no_grant),
        cmocka_unit_test(test_grant__projection_does_not_overflow),
    };
    return cmocka_run_group_tests_name("grant", tests, setup, teardown);
}
