/* SPDX-License-Identifier: Apache-2.0
 *
 * proto/record_terms.c: the fine half of the grants.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/records.h"

static void test_terms__say_what_was_written(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    struct terms got;
    assert_int_equal(yzi_terms_write(&sample_terms, &body), 0);
    assert_int_equal(yzi_terms_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_view(got.subsystem.v, "CN/GOV/MCA/civil");
    assert_int_equal(got.version, 9);
    assert_int_equal(got.grants_n, 2);
    const struct fine_grant *g = &got.grants[0];
    assert_view(g->id, "housing-2025");
    assert_int_equal(g->operations, 1u << QUERY_GET | 1u << QUERY_MATCH);
    assert_int_equal(g->readable_n, 2);
    assert_view(g->readable[0].name, "status");
    assert_int_equal(g->readable[0].mask, MASK_NONE);
    assert_view(g->readable[1].name, "id_number");
    assert_int_equal(g->readable[1].mask, MASK_LAST4);
    assert_int_equal(g->filterable.n, 2);
    assert_view(g->filterable.items[1], "since");
    assert_int_equal(g->sortable.n, 1);
    assert_int_equal(g->purposes.n, 2);
    assert_view(g->purposes.items[0], "house-transfer");
    assert_int_equal(g->quota_per_day, 5000);
    assert_int_equal(got.grants[1].operations, 1u << QUERY_COUNT | 1u << QUERY_FIND |
                                                   1u << QUERY_INSERT | 1u << QUERY_PUT |
                                                   1u << QUERY_DELETE);
    assert_int_equal(g->writable.n, 0);
    assert_int_equal(got.grants[1].writable.n, 2);
    assert_view(got.grants[1].writable.items[1], "since");
    assert_int_equal(got.grants[1].quota_per_day, 0);
    assert_true(got.has_pseudonym_key);
    assert_memory_equal(got.pseudonym_key, sample_terms.pseudonym_key, 32);
    assert_int_equal(got.unlisted_n, 1);
    assert_view(got.unlisted[0].data_set, "marriages");
    assert_int_equal(got.unlisted[0].elements_n, 1);
    assert_view(got.unlisted[0].elements[0].field, "informant");
    assert_view(got.unlisted[0].elements[0].element, "informant-name");
    assert_int_equal(got.unlisted[0].elements[0].classification, CLASS_SECRET);
}

SPOIL(pseudonym_short, Terms, w->pseudonym_key.len = 31)
SPOIL(pseudonym_empty, Terms, w->pseudonym_key = bin(""))
SPOIL(unlisted_twice, Terms, yz_record_repeat(&w->unlisted, &w->n_unlisted, 2))
SPOIL(unlisted_many, Terms, yz_record_repeat(&w->unlisted, &w->n_unlisted, YZ_CATALOGUE_MAX + 1))
SPOIL(unlisted_name, Terms, w->unlisted[0]->data_set = bin("a b"))
SPOIL(unlisted_nothing, Terms, w->unlisted[0]->n_elements = 0)
SPOIL(unlisted_field, Terms, w->unlisted[0]->elements[0]->field = bin("1st"))
SPOIL(unlisted_field_twice, Terms,
      yz_record_repeat(&w->unlisted[0]->elements, &w->unlisted[0]->n_elements, 2))
SPOIL(unlisted_fields_many, Terms,
      yz_record_repeat(&w->unlisted[0]->elements, &w->unlisted[0]->n_elements,
                       YZ_QUERY_FIELDS_MAX + 1))

static void test_terms__refuse_broken_unlisted_fields(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"a data set twice", unlisted_twice, YZ_EMALFORMED},
        {"a pseudonym key too short", pseudonym_short, YZ_EMALFORMED},
        {"an empty pseudonym key", pseudonym_empty, YZ_EMALFORMED},
        {"too many data sets", unlisted_many, YZ_ELIMIT},
        {"a data set with a space", unlisted_name, YZ_EMALFORMED},
        {"a data set without fields", unlisted_nothing, YZ_EMALFORMED},
        {"a field that is none", unlisted_field, YZ_EMALFORMED},
        {"a field twice", unlisted_field_twice, YZ_EMALFORMED},
        {"too many fields", unlisted_fields_many, YZ_ELIMIT},
    };
    yz_record_refuses(RECORD_TERMS, faults, COUNT(faults));
}

static void test_terms__say_which_rows_and_predicates(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    struct terms got;
    assert_int_equal(yzi_terms_write(&sample_terms, &body), 0);
    assert_int_equal(yzi_terms_parse(yzi_bytes_buf(&body), &a, &got), 0);
    const struct fine_grant *g = &got.grants[0];
    assert_int_equal(g->row_filter_n, 2);
    assert_view(g->row_filter[0].field, "province");
    assert_int_equal(g->row_filter[0].op, OP_IN);
    assert_int_equal(g->row_filter[0].values.n, 2);
    assert_view(g->row_filter[0].values.items[1], "31");
    assert_int_equal(g->row_filter[1].op, OP_GE);
    assert_int_equal(g->predicates_n, 2);
    assert_view(g->predicates[0].name, "is-married");
    assert_view(g->predicates[0].field, "status");
    assert_int_equal(g->predicates[0].op, OP_EQ);
    assert_int_equal(g->predicates[0].constants.n, 1);
    assert_int_equal(g->predicates[0].budget, 0);
    assert_int_equal(g->predicates[0].step.n, 0);
    assert_int_equal(g->predicates[1].constants.n, 0);
    assert_view(g->predicates[1].step, "year");
    assert_int_equal(g->predicates[1].budget, 3);
}

#define G (w->grants[0])
SPOIL(terms_of_member, Terms, w->subsystem = bin("CN/GOV/MCA"))
SPOIL(terms_version_0, Terms, w->version = 0)
SPOIL(terms_none, Terms, w->n_grants = 0)
SPOIL(terms_many, Terms, w->grants++; w->n_grants--;
      yz_record_repeat(&w->grants, &w->n_grants, YZ_GRANTS_MAX + 1))
SPOIL(id_twice, Terms, w->grants[1]->id = G->id)
SPOIL(id_underscore, Terms, G->id = bin("house_1"))
SPOIL(operations_none, Terms, G->n_operations = 0)
SPOIL(operations_0, Terms, G->operations[0] = 0)
SPOIL(operations_8, Terms, G->operations[0] = 8)
SPOIL(operations_64, Terms, G->operations[0] = 64)
SPOIL(operations_twice, Terms, G->operations[0] = G->operations[1])
SPOIL(readable_twice, Terms, G->readable[1]->name = G->readable[0]->name)
SPOIL(readable_bad, Terms, G->readable[1]->name = bin("status "))
SPOIL(readable_many, Terms, yz_record_repeat(&G->readable, &G->n_readable, YZ_QUERY_FIELDS_MAX + 1))
SPOIL(mask_0, Terms, G->readable[1]->mask = MASK_NONE)
SPOIL(mask_6, Terms, G->readable[1]->mask = 6)
SPOIL(filterable_twice, Terms, G->filterable[1] = G->filterable[0])
SPOIL(filterable_bad, Terms, G->filterable[1] = bin(""))
SPOIL(sortable_bad, Terms, G->sortable[0] = bin("a.b"))
SPOIL(sortable_long, Terms, G->sortable[0] = bin_n('s', 65))
SPOIL(row_field_bad, Terms, G->row_filter[0]->field = bin("_x"))
SPOIL(row_op_0, Terms, G->row_filter[1]->op = 0)
SPOIL(row_op_8, Terms, G->row_filter[1]->op = 8)
SPOIL(row_no_value, Terms, G->row_filter[0]->n_values = 0)
SPOIL(row_eq_two, Terms, G->row_filter[0]->op = OP_EQ)
SPOIL(row_in_one, Terms, G->row_filter[0]->n_values = 1)
SPOIL(row_value_twice, Terms, G->row_filter[0]->values[1] = G->row_filter[0]->values[0])
SPOIL(row_value_empty, Terms, G->row_filter[0]->values[1] = bin(""))
SPOIL(row_value_long, Terms, G->row_filter[0]->values[1] = bin_n('v', YZ_VALUE_MAX + 1))
SPOIL(row_value_longest, Terms, G->row_filter[0]->values[1] = bin_n('v', YZ_VALUE_MAX))
SPOIL(row_many, Terms,
      yz_record_repeat(&G->row_filter, &G->n_row_filter, YZ_QUERY_CONDITIONS_MAX + 1))
SPOIL(row_many_at_limit, Terms,
      yz_record_repeat(&G->row_filter, &G->n_row_filter, YZ_QUERY_CONDITIONS_MAX))
SPOIL(predicate_twice, Terms, G->predicates[1]->name = G->predicates[0]->name)
SPOIL(predicate_name_space, Terms, G->predicates[1]->name = bin("born before"))
SPOIL(predicate_field_bad, Terms, G->predicates[1]->field = bin("born-on"))
SPOIL(predicate_op_0, Terms, G->predicates[1]->op = 0)
SPOIL(predicate_op_8, Terms, G->predicates[1]->op = 8)
SPOIL(predicate_two_constants, Terms, G->predicates[0]->constants = G->filterable;
      G->predicates[0]->n_constants = 2)
SPOIL(predicate_in_two, Terms, G->predicates[0]->op = OP_IN;
      G->predicates[0]->constants = G->filterable; G->predicates[0]->n_constants = 2)
SPOIL(predicate_step_empty, Terms, G->predicates[1]->step = bin(""))
SPOIL(predicate_step_long, Terms, G->predicates[1]->step = bin_n('s', 65))
SPOIL(predicate_budget_0, Terms, G->predicates[1]->budget = 0)
SPOIL(predicate_days_0, Terms, G->predicates[1]->has_budget_days = true;
      G->predicates[1]->budget_days = 0)
SPOIL(predicate_days, Terms, G->predicates[1]->has_budget_days = true;
      G->predicates[1]->budget_days = YZ_BUDGET_DAYS_MAX)
SPOIL(predicate_days_many, Terms, G->predicates[1]->has_budget_days = true;
      G->predicates[1]->budget_days = YZ_BUDGET_DAYS_MAX + 1)
SPOIL(predicate_days_of_nothing, Terms, G->predicates[0]->has_budget_days = true;
      G->predicates[0]->budget_days = 1)
SPOIL(predicate_many, Terms,
      yz_record_repeat(&G->predicates, &G->n_predicates, YZ_PREDICATES_MAX + 1))
SPOIL(purpose_twice, Terms, G->purposes[1] = G->purposes[0])
SPOIL(purpose_space, Terms, G->purposes[1] = bin("house loan"))
SPOIL(purpose_long, Terms, G->purposes[1] = bin_n('p', YZ_PURPOSE_MAX + 1))
SPOIL(quota_0, Terms, G->quota_per_day = 0)
SPOIL(writable_twice, Terms, w->grants[1]->writable[1] = w->grants[1]->writable[0])
SPOIL(writable_bad, Terms, w->grants[1]->writable[1] = bin("a b"))

static void many_names(ProtobufCBinaryData **list, size_t *list_n, size_t n)
{
    static ProtobufCBinaryData names[2000];
    static char text[2000][24];
    for (size_t i = 0; i < n; i++) {
        snprintf(text[i], sizeof text[i], "n%zu", i);
        names[i] = bin(text[i]);
    }
    *list = names;
    *list_n = n;
}
SPOIL(filterable_many, Terms, many_names(&G->filterable, &G->n_filterable, YZ_QUERY_FIELDS_MAX + 1))
SPOIL(purposes_many, Terms, many_names(&G->purposes, &G->n_purposes, YZ_PURPOSES_MAX + 1))
SPOIL(values_many, Terms,
      many_names(&G->row_filter[0]->values, &G->row_filter[0]->n_values, YZ_QUERY_KEYS_MAX + 1))
SPOIL(values_at_limit, Terms,
      many_names(&G->row_filter[0]->values, &G->row_filter[0]->n_values, YZ_QUERY_KEYS_MAX))

static void test_terms__refuse_broken_grants(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"a member's id", terms_of_member, YZ_EMALFORMED},
        {"version 0", terms_version_0, YZ_EMALFORMED},
        {"no grant", terms_none, 0},
        {"too many grants", terms_many, YZ_ELIMIT},
        {"an id twice", id_twice, YZ_EMALFORMED},
        {"an id with underscore", id_underscore, YZ_EMALFORMED},
        {"no operation", operations_none, YZ_EMALFORMED},
        {"operation 0", operations_0, YZ_EMALFORMED},
        {"operation 8", operations_8, YZ_EMALFORMED},
        {"operation 64", operations_64, YZ_EMALFORMED},
        {"an operation twice", operations_twice, YZ_EMALFORMED},
        {"a purpose twice", purpose_twice, YZ_EMALFORMED},
        {"a purpose with a space", purpose_space, YZ_EMALFORMED},
        {"a purpose too long", purpose_long, YZ_ETOOBIG},
        {"too many purposes", purposes_many, YZ_ELIMIT},
        {"a quota of 0", quota_0, YZ_EMALFORMED},
        {"a writable field twice", writable_twice, YZ_EMALFORMED},
        {"a writable field that is none", writable_bad, YZ_EMALFORMED},
    };
    yz_record_refuses(RECORD_TERMS, faults, COUNT(faults));
}

static void test_terms__refuse_broken_fields_and_rows(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"a readable field twice", readable_twice, YZ_EMALFORMED},
        {"a readable field that is none", readable_bad, YZ_EMALFORMED},
        {"too many readable fields", readable_many, YZ_ELIMIT},
        {"mask 0", mask_0, YZ_EMALFORMED},
        {"mask 6", mask_6, YZ_EMALFORMED},
        {"a filterable field twice", filterable_twice, YZ_EMALFORMED},
        {"an empty filterable field", filterable_bad, YZ_EMALFORMED},
        {"too many filterable fields", filterable_many, YZ_ELIMIT},
        {"a sortable field that is none", sortable_bad, YZ_EMALFORMED},
        {"a sortable field too long", sortable_long, YZ_ETOOBIG},
        {"a row's field that is none", row_field_bad, YZ_EMALFORMED},
        {"comparison 0", row_op_0, YZ_EMALFORMED},
        {"comparison 8", row_op_8, YZ_EMALFORMED},
        {"no value", row_no_value, YZ_EMALFORMED},
        {"equal to two values", row_eq_two, YZ_EMALFORMED},
        {"in one value", row_in_one, 0},
        {"a value twice", row_value_twice, YZ_EMALFORMED},
        {"an empty value", row_value_empty, 0},
        {"a value too long", row_value_long, YZ_ETOOBIG},
        {"the longest value", row_value_longest, 0},
        {"too many values", values_many, YZ_ELIMIT},
        {"as many values as may be", values_at_limit, 0},
        {"too many conditions", row_many, YZ_ELIMIT},
        {"as many conditions as may be", row_many_at_limit, 0},
    };
    yz_record_refuses(RECORD_TERMS, faults, COUNT(faults));
}

static void test_terms__refuse_broken_predicates(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"a predicate twice", predicate_twice, YZ_EMALFORMED},
        {"a name with a space", predicate_name_space, YZ_EMALFORMED},
        {"a field that is none", predicate_field_bad, YZ_EMALFORMED},
        {"comparison 0", predicate_op_0, YZ_EMALFORMED},
        {"comparison 8", predicate_op_8, YZ_EMALFORMED},
        {"equal to one of two constants", predicate_two_constants, 0},
        {"in two constants", predicate_in_two, 0},
        {"an empty step", predicate_step_empty, YZ_EMALFORMED},
        {"a step too long", predicate_step_long, YZ_ETOOBIG},
        {"a budget of 0", predicate_budget_0, YZ_EMALFORMED},
        {"a budget for 0 days", predicate_days_0, YZ_EMALFORMED},
        {"a budget for a hundred years", predicate_days, 0},
        {"a budget for longer", predicate_days_many, YZ_ELIMIT},
        {"days of no budget", predicate_days_of_nothing, YZ_EMALFORMED},
        {"too many predicates", predicate_many, YZ_ELIMIT},
    };
    yz_record_refuses(RECORD_TERMS, faults, COUNT(faults));
}

static void test_terms__are_not_written_with_unknown_operations(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    struct fine_grant grant = sample_terms.grants[1];
    struct terms terms = {.subsystem = sample_terms.subsystem, .version = 1};
    terms.grants = &grant;
    terms.grants_n = 1;
    assert_int_equal(yzi_terms_write(&terms, &body), 0);
    static const unsigned sets[] = {0, 1, 1u << 8, 1u << QUERY_GET | 1u << 31};
    for (size_t i = 0; i < COUNT(sets); i++) {
        grant.operations = sets[i];
        assert_int_equal(yzi_terms_write(&terms, &body), YZ_EINVAL);
    }
}

/* Predicates cost the most memory for their bytes; proto/record.h says 4 MiB is room for any. */
static void test_terms__of_the_densest_kind_fit_the_arena(void **state)
{
    (void)state;
    enum { GRANTS = 250 };
    static struct grant_predicate dense[YZ_PREDICATES_MAX];
    static struct fine_grant grants[GRANTS];
    static char names[YZ_PREDICATES_MAX], ids[GRANTS][8];
    for (size_t i = 0; i < YZ_PREDICATES_MAX; i++) {
        names[i] = (char)('0' + i);
        dense[i].name = yzi_bytes(&names[i], 1);
        dense[i].field = yzi_bytes_str("f");
        dense[i].op = OP_EQ;
    }
    for (unsigned i = 0; i < GRANTS; i++) {
        snprintf(ids[i], sizeof ids[i], "%u", i);
        grants[i] = (struct fine_grant){.id = yzi_bytes_str(ids[i]),
                                        .operations = 1u << QUERY_MATCH,
                                        .predicates = dense,
                                        .predicates_n = YZ_PREDICATES_MAX};
    }
    struct terms in = {.subsystem = sample_terms.subsystem, .version = 1}, got;
    in.grants = grants;
    in.grants_n = GRANTS;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 4 << 20);
    assert_int_equal(yzi_terms_write(&in, &body), 0);
    assert_int_equal(yzi_terms_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_int_equal(got.grants[GRANTS - 1].predicates_n, YZ_PREDICATES_MAX);
    assert_true(a.used < 2 << 20); /* and then as much again to spare */
}

static void test_terms__of_too_many_fields_are_refused_unread(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 4 << 20);
    struct terms got, in = {.subsystem = sample_terms.subsystem, .version = 1};
    assert_int_equal(yzi_terms_write(&in, &body), 0);
    for (size_t n = 0; n < 40000; n++) { /* each a grant with the id "a": two fields */
        assert_int_equal(yzi_buf_put(&body, yzi_bytes("\x1a\x03\x0a\x01\x61", 5)), 0);
    }
    assert_int_equal(yzi_terms_parse(yzi_bytes_buf(&body), &a, &got), YZ_ELIMIT);
    assert_int_equal(a.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terms__say_what_was_written),
        cmocka_unit_test(test_terms__refuse_broken_unlisted_fields),
        cmocka_unit_test(test_terms__say_which_rows_and_predicates),
        cmocka_unit_test(test_terms__refuse_broken_grants),
        cmocka_unit_test(test_terms__refuse_broken_fields_and_rows),
        cmocka_unit_test(test_terms__refuse_broken_predicates),
        cmocka_unit_test(test_terms__of_the_densest_kind_fit_the_arena),
        cmocka_unit_test(test_terms__of_too_many_fields_are_refused_unread),
        cmocka_unit_test(test_terms__are_not_written_with_unknown_operations),
    };
    return cmocka_run_group_tests_name("record_terms", tests, NULL, NULL);
}
