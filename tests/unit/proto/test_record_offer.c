/* SPDX-License-Identifier: Apache-2.0
 *
 * proto/record_offer.c: an offer names only what it holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/records.h"

static void test_offer__says_what_was_written(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    struct offer got;
    assert_int_equal(yzi_offer_write(&sample_offer, &body), 0);
    assert_int_equal(yzi_offer_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_view(got.subsystem.v, "CN/GOV/MCA/civil");
    assert_int_equal(got.version, 9);
    assert_int_equal(got.issued_at, SAMPLE_TIME + 5);
    assert_true(yzi_digest_eq(&got.terms_digest, &sample_offer.terms_digest));
    assert_int_equal(got.services_n, 2);
    const struct offered_service *s = got.services;
    assert_view(s[0].code, "marriage");
    assert_view(s[0].version, "v1");
    assert_int_equal(s[0].mode, SERVICE_READ);
    assert_int_equal(s[0].adapters.n, 2);
    assert_view(s[0].adapters.items[1], "CN/GOV/MCA/@a2");
    assert_int_equal(s[0].descriptions.n, 2);
    assert_view(s[0].descriptions.items[1].language, "zh-Hans");
    assert_view(s[0].descriptions.items[1].text, "按身份证号\n查询婚姻状况");
    assert_view(s[0].data_set, "marriages");
    assert_int_equal(s[1].mode, SERVICE_WRITE);
    assert_int_equal(s[1].data_set.n, 0);
    assert_int_equal(got.grants_n, 3);
    assert_view(got.grants[0].id, "housing-2025");
    assert_view(got.grants[0].consumer.v, "CN/GOV/HOUSING/registry");
    assert_view(got.grants[0].service, "marriage/v1");
    assert_int_equal(got.grants[0].not_before, SAMPLE_TIME);
    assert_int_equal(got.grants[0].not_after, SAMPLE_TIME + 31536000000);
    assert_true(got.grants[0].strict);
    assert_false(got.grants[1].strict);
    assert_int_equal(got.grants[1].not_after, 0);
    assert_int_equal(got.grants[1].group_code.n, 0);
    assert_int_equal(got.grants[2].consumer.v.n, 0);
    assert_view(got.grants[2].group_code, "cities");
    assert_int_equal(got.grants[2].group_version, 2);
}

static void test_offer__has_groups_in_versions(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    struct offer got;
    assert_int_equal(yzi_offer_write(&sample_offer, &body), 0);
    assert_int_equal(yzi_offer_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_int_equal(got.groups_n, 3);
    const struct consumer_group *g = yzi_offer_group(&got, yzi_bytes_str("cities"), 2);
    assert_ptr_equal(g, &got.groups[0]);
    assert_int_equal(g->members.n, 3);
    assert_view(g->members.items[2], "CN/GOV/TJ/desk");
    assert_ptr_equal(yzi_offer_group(&got, yzi_bytes_str("cities"), 4), &got.groups[1]);
    assert_ptr_equal(yzi_offer_group(&got, yzi_bytes_str("courts"), 1), &got.groups[2]);
    assert_int_equal(got.groups[2].members.n, 0);
    assert_null(yzi_offer_group(&got, yzi_bytes_str("cities"), 3));
    assert_null(yzi_offer_group(&got, yzi_bytes_str("cities"), 5));
    assert_null(yzi_offer_group(&got, yzi_bytes_str("citie"), 2));
    assert_null(yzi_offer_group(&got, yzi_bytes_str("court"), 1));
}

static bool is_for(const struct offer *o, const char *code, uint64_t version, const char *consumer)
{
    struct coarse_grant g = {.group_code = yzi_bytes_str(code), .group_version = version};
    return yzi_offer_grant_is_for(o, &g, (yz_subsystem_id){yzi_bytes_str(consumer)});
}

/* Pinned to version 2: Tianjin left later, Chongqing joined later. */
static void test_group__later_versions_narrow_a_grant_and_never_widen_it(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    struct offer got;
    assert_int_equal(yzi_offer_write(&sample_offer, &body), 0);
    assert_int_equal(yzi_offer_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_true(is_for(&got, "cities", 2, "CN/GOV/BJ/desk"));
    assert_true(is_for(&got, "cities", 2, "CN/GOV/SH/desk"));
    assert_false(is_for(&got, "cities", 2, "CN/GOV/TJ/desk"));
    assert_false(is_for(&got, "cities", 2, "CN/GOV/CQ/desk"));
    assert_true(is_for(&got, "cities", 4, "CN/GOV/CQ/desk"));
    assert_false(is_for(&got, "cities", 4, "CN/GOV/TJ/desk"));
    assert_false(is_for(&got, "cities", 3, "CN/GOV/BJ/desk"));
    assert_false(is_for(&got, "courts", 1, "CN/GOV/BJ/desk"));
    assert_false(is_for(&got, "towns", 1, "CN/GOV/BJ/desk"));
    struct coarse_grant g = {0};
    assert_false(yzi_offer_grant_is_for(&got, &g, (yz_subsystem_id){0}));
    g.group_code = yzi_bytes_str("cities");
    g.group_version = 4;
    g.consumer.v = yzi_bytes_str("CN/GOV/CQ/desk"); /* both: neither counts */
    assert_false(yzi_offer_grant_is_for(&got, &g, g.consumer));
}

/* Who came back is not let in again by what was granted before it left. */
static void test_group__who_left_and_came_back_needs_a_new_grant(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    yz_bytes both[] = {LIT("CN/GOV/BJ/desk"), LIT("CN/GOV/SH/desk")};
    struct consumer_group groups[] = {{LIT("g"), 1, {both, 2}, {0}},
                                      {LIT("g"), 2, {both, 1}, {0}},
                                      {LIT("g"), 3, {both, 2}, {0}}};
    struct offer o = sample_offer, got;
    o.grants_n = 0;
    o.groups = groups;
    o.groups_n = 3;
    assert_int_equal(yzi_offer_write(&o, &body), 0);
    assert_int_equal(yzi_offer_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_false(is_for(&got, "g", 1, "CN/GOV/SH/desk"));
    assert_false(is_for(&got, "g", 2, "CN/GOV/SH/desk"));
    assert_true(is_for(&got, "g", 3, "CN/GOV/SH/desk"));
    assert_true(is_for(&got, "g", 1, "CN/GOV/BJ/desk"));
}

static void test_offer__carries_its_catalogue(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    struct offer got;
    assert_int_equal(yzi_offer_write(&sample_offer, &body), 0);
    assert_int_equal(yzi_offer_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_int_equal(got.catalogue_n, 2);
    const struct catalogue_entry *c = got.catalogue;
    assert_view(c[0].data_set, "marriages");
    assert_int_equal(c[0].titles.n, 2);
    assert_view(c[0].titles.items[1].text, "婚姻登记信息");
    assert_int_equal(c[0].descriptions.n, 1);
    assert_view(c[0].owner, "Department of Social Affairs");
    assert_int_equal(c[0].sharing, SHARING_CONDITIONAL);
    assert_view(c[0].legal_basis, "Marriage Registration Regulations, article 17");
    assert_view(c[0].update_cycle, "daily");
    assert_int_equal(c[0].elements_n, 2);
    assert_view(c[0].elements[0].field, "id_number");
    assert_view(c[0].elements[0].element, "citizen-id");
    assert_true(c[0].elements[0].key);
    assert_false(c[0].elements[1].key);
    assert_int_equal(c[0].elements[0].type, FIELD_TEXT);
    assert_int_equal(c[0].elements[0].classification, CLASS_SENSITIVE);
    assert_int_equal(c[0].elements[1].type, FIELD_CODE);
    assert_true(c[0].elements[0].reference);
    assert_false(c[0].elements[1].reference);
    assert_int_equal(c[1].sharing, SHARING_WITHHELD);
    assert_int_equal(c[1].owner.n, 0);
}

SPOIL(offer_of_member, Offer, w->subsystem = bin("CN/GOV/MCA"))
SPOIL(offer_of_other_member, Offer, w->subsystem = bin("CN/GOV/TAX/civil"))
SPOIL(offer_version_0, Offer, w->version = 0)
SPOIL(offer_issued_0, Offer, w->issued_at = 0)
SPOIL(offer_digest_short, Offer, w->terms_digest.len = 31)
SPOIL(offer_bare, Offer, w->n_services = w->n_catalogue = w->n_grants = w->n_groups = 0)

SPOIL(service_twice, Offer, w->services[1]->code = w->services[0]->code;
      w->services[1]->version = w->services[0]->version)
SPOIL(service_other_version, Offer, w->services[1]->code = w->services[0]->code;
      w->grants[1]->service = bin("marriage/v2"))
SPOIL(service_code_of_two, Offer, w->services[1]->code = bin("a/b"))
SPOIL(service_version_empty, Offer, w->services[1]->version = bin(""))
SPOIL(service_mode_0, Offer, w->services[1]->mode = 0)
SPOIL(service_mode_3, Offer, w->services[1]->mode = 3)
SPOIL(service_no_adapter, Offer, w->services[1]->n_adapters = 0)
SPOIL(service_adapter_twice, Offer, w->services[0]->adapters[1] = w->services[0]->adapters[0])
SPOIL(service_adapter_foreign, Offer, w->services[0]->adapters[1] = bin("CN/GOV/TAX/@a1"))
SPOIL(service_adapter_broker, Offer, w->services[0]->adapters[1] = bin("CN/@a1"))
SPOIL(service_adapter_bad, Offer, w->services[0]->adapters[1] = bin("a1"))
SPOIL(service_data_set_unknown, Offer, w->services[0]->data_set = bin("divorces"))
SPOIL(service_data_set_empty, Offer, w->services[0]->data_set = bin(""))
SPOIL(service_data_set_long, Offer, w->services[0]->data_set = bin_n('d', YZ_SEGMENT_MAX + 1))
SPOIL(service_many, Offer, yz_record_repeat(&w->services, &w->n_services, YZ_SERVICES_MAX + 1))

SPOIL(text_language_twice, Offer,
      w->services[0]->descriptions[1]->language = w->services[0]->descriptions[0]->language)
SPOIL(text_language_bad, Offer, w->services[0]->descriptions[1]->language = bin("zh_Hans"))
SPOIL(text_empty, Offer, w->services[0]->descriptions[1]->text = bin(""))
SPOIL(text_not_utf8, Offer, w->services[0]->descriptions[1]->text = bin("\xc0\x80"))
SPOIL(text_escape, Offer, w->services[0]->descriptions[1]->text = bin("\x1b]0;x"))
SPOIL(text_long, Offer, w->services[0]->descriptions[1]->text = bin_n('t', YZ_TEXT_MAX + 1))
SPOIL(text_longest, Offer, w->services[0]->descriptions[1]->text = bin_n('t', YZ_TEXT_MAX))
SPOIL(text_many, Offer,
      yz_record_repeat(&w->catalogue[0]->titles, &w->catalogue[0]->n_titles, YZ_LANGUAGES_MAX + 1))

SPOIL(entry_twice, Offer, w->catalogue[1]->data_set = w->catalogue[0]->data_set)
SPOIL(entry_name, Offer, w->catalogue[1]->data_set = bin("adop tions"))
SPOIL(entry_sharing_0, Offer, w->catalogue[0]->sharing = 0)
SPOIL(entry_sharing_4, Offer, w->catalogue[0]->sharing = 4)
SPOIL(entry_withheld, Offer, w->catalogue[1]->has_legal_basis = 0)
SPOIL(entry_no_basis, Offer, w->catalogue[0]->has_legal_basis = 0)
SPOIL(entry_owner_empty, Offer, w->catalogue[0]->owner = bin(""))
SPOIL(entry_owner_long, Offer, w->catalogue[0]->owner = bin_n('o', YZ_LABEL_MAX + 1))
SPOIL(entry_cycle_lines, Offer, w->catalogue[0]->update_cycle = bin("a\nb"))
SPOIL(entry_many, Offer, yz_record_repeat(&w->catalogue, &w->n_catalogue, YZ_CATALOGUE_MAX + 1))

SPOIL(element_twice, Offer,
      w->catalogue[0]->elements[1]->field = w->catalogue[0]->elements[0]->field)
SPOIL(element_field_bad, Offer, w->catalogue[0]->elements[1]->field = bin("1st"))
SPOIL(element_key_false, Offer, w->catalogue[0]->elements[0]->key = 0)
SPOIL(element_field_dash, Offer, w->catalogue[0]->elements[1]->field = bin("id-number"))
SPOIL(element_field_long, Offer, w->catalogue[0]->elements[1]->field = bin_n('f', 65))
SPOIL(element_unnamed, Offer, w->catalogue[0]->elements[1]->element = bin(""))
SPOIL(element_type_0, Offer, w->catalogue[0]->elements[1]->type = 0)
SPOIL(element_type_9, Offer, w->catalogue[0]->elements[1]->type = 9)
SPOIL(element_class_0, Offer, w->catalogue[0]->elements[1]->classification = 0)
SPOIL(element_class_5, Offer, w->catalogue[0]->elements[1]->classification = 5)
SPOIL(element_no_reference, Offer, w->catalogue[0]->elements[0]->reference = 0)
SPOIL(element_many, Offer,
      yz_record_repeat(&w->catalogue[0]->elements, &w->catalogue[0]->n_elements,
                       YZ_QUERY_FIELDS_MAX + 1))

SPOIL(grant_twice, Offer, w->grants[1]->id = w->grants[0]->id)
SPOIL(grant_id_upper, Offer, w->grants[1]->id = bin("Tax"))
SPOIL(grant_id_empty, Offer, w->grants[1]->id = bin(""))
SPOIL(grant_id_long, Offer, w->grants[1]->id = bin_n('g', 65))
SPOIL(grant_to_member, Offer, w->grants[1]->consumer = bin("CN/GOV/TAX"))
SPOIL(grant_elsewhere, Offer, w->grants[1]->consumer = bin("EE/GOV/TAX/desk"))
SPOIL(grant_unoffered, Offer, w->grants[1]->service = bin("register/v1"))
SPOIL(grant_unversioned, Offer, w->grants[1]->service = bin("register"))
SPOIL(grant_prefix, Offer, w->grants[1]->service = bin("register/v"))
SPOIL(grant_full_id, Offer, w->grants[1]->service = bin("CN/GOV/MCA/civil/register/v2"))
SPOIL(grant_no_service, Offer, w->n_services = 1)
SPOIL(grant_backward, Offer, w->grants[0]->not_after = w->grants[0]->not_before)
SPOIL(grant_not_strict, Offer, w->grants[0]->strict = 0)
SPOIL(grant_many, Offer, w->grants[1]->not_before = 0; w->grants++; w->n_grants--;
      yz_record_repeat(&w->grants, &w->n_grants, YZ_GRANTS_MAX + 1))

SPOIL(grant_to_both, Offer, w->grants[2]->has_consumer = 1;
      w->grants[2]->consumer = bin("CN/GOV/TAX/desk"))
SPOIL(grant_to_nobody, Offer, w->grants[1]->has_consumer = 0)
SPOIL(grant_to_no_version, Offer, w->grants[2]->has_group_version = 0)
SPOIL(grant_to_version_only, Offer, w->grants[1]->has_group_version = 1;
      w->grants[1]->group_version = 2)
SPOIL(grant_to_version_0, Offer, w->grants[2]->group_version = 0)
SPOIL(grant_to_other_version, Offer, w->grants[2]->group_version = 3)
SPOIL(grant_to_other_group, Offer, w->grants[2]->group_code = bin("towns"))
SPOIL(grant_to_no_group, Offer, w->grants[2]->group_code = bin(""))
SPOIL(group_code, Offer, w->groups[2]->code = bin("Courts"))
SPOIL(group_code_empty, Offer, w->groups[2]->code = bin(""); w->n_groups = 3)
SPOIL(group_code_long, Offer, w->groups[2]->code = bin_n('g', 65))
SPOIL(group_version_0, Offer, w->groups[2]->version = 0)
SPOIL(group_twice, Offer, w->groups[1]->version = 2)
SPOIL(group_order, Offer, w->groups[0]->version = 5)
SPOIL(group_codes_order, Offer, w->groups[2]->code = bin("agencies"))
SPOIL(group_member_twice, Offer, w->groups[0]->members[1] = w->groups[0]->members[0])
SPOIL(group_member_order, Offer, w->groups[0]->members[0] = bin("CN/GOV/ZZ/desk"))
SPOIL(group_member_elsewhere, Offer, w->groups[0]->members[2] = bin("EE/GOV/TJ/desk"))
SPOIL(group_member_node, Offer, w->groups[0]->members[2] = bin("CN/GOV/TJ/@c1"))
SPOIL(group_many, Offer, yz_record_repeat(&w->groups, &w->n_groups, YZ_GROUPS_MAX + 1))
SPOIL(group_large, Offer,
      yz_record_repeat_bytes(&w->groups[2]->members, &w->groups[2]->n_members, bin("CN/G/M/s"),
                             YZ_GROUP_MEMBERS_MAX + 1))

static void test_offer__refuses_broken_groups(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"a grant to a subsystem and a group", grant_to_both, YZ_EMALFORMED},
        {"a grant to nobody", grant_to_nobody, YZ_EMALFORMED},
        {"a group without version", grant_to_no_version, YZ_EMALFORMED},
        {"a version without group", grant_to_version_only, YZ_EMALFORMED},
        {"version 0 of a group", grant_to_version_0, YZ_EMALFORMED},
        {"a version that is not here", grant_to_other_version, YZ_EMALFORMED},
        {"a group that is not here", grant_to_other_group, YZ_EMALFORMED},
        {"an empty group code", grant_to_no_group, YZ_EMALFORMED},
        {"a code in upper case", group_code, YZ_EMALFORMED},
        {"no code", group_code_empty, YZ_EMALFORMED},
        {"a code too long", group_code_long, YZ_ETOOBIG},
        {"a group's version 0", group_version_0, YZ_EMALFORMED},
        {"a version twice", group_twice, YZ_EMALFORMED},
        {"versions out of order", group_order, YZ_EMALFORMED},
        {"codes out of order", group_codes_order, YZ_EMALFORMED},
        {"a member twice", group_member_twice, YZ_EMALFORMED},
        {"members out of order", group_member_order, YZ_EMALFORMED},
        {"a member of another instance", group_member_elsewhere, YZ_EMALFORMED},
        {"a node as member", group_member_node, YZ_EMALFORMED},
        {"too many groups", group_many, YZ_ELIMIT},
        {"too many members", group_large, YZ_ELIMIT},
    };
    yz_record_refuses(RECORD_OFFER, faults, COUNT(faults));
}

static void test_offer__refuses_what_breaks_its_invariants(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"a member's id", offer_of_member, YZ_EMALFORMED},
        {"another member's adapters", offer_of_other_member, YZ_EMALFORMED},
        {"version 0", offer_version_0, YZ_EMALFORMED},
        {"issued at 0", offer_issued_0, YZ_EMALFORMED},
        {"a short digest", offer_digest_short, YZ_EMALFORMED},
        {"nothing offered", offer_bare, 0},
    };
    yz_record_refuses(RECORD_OFFER, faults, COUNT(faults));
}

static void test_offer__refuses_broken_services(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"a service twice", service_twice, YZ_EMALFORMED},
        {"a service in two versions", service_other_version, 0},
        {"a code of two segments", service_code_of_two, YZ_EMALFORMED},
        {"an empty version", service_version_empty, YZ_EMALFORMED},
        {"mode 0", service_mode_0, YZ_EMALFORMED},
        {"mode 3", service_mode_3, YZ_EMALFORMED},
        {"no adapter", service_no_adapter, YZ_EMALFORMED},
        {"an adapter twice", service_adapter_twice, YZ_EMALFORMED},
        {"another member's adapter", service_adapter_foreign, YZ_EMALFORMED},
        {"a broker as adapter", service_adapter_broker, YZ_EMALFORMED},
        {"an adapter without id", service_adapter_bad, YZ_EMALFORMED},
        {"a data set not in the catalogue", service_data_set_unknown, YZ_EMALFORMED},
        {"an empty data set", service_data_set_empty, YZ_EMALFORMED},
        {"a data set too long", service_data_set_long, YZ_ETOOBIG},
        {"too many services", service_many, YZ_ELIMIT},
        {"a language twice", text_language_twice, YZ_EMALFORMED},
        {"a language with underscore", text_language_bad, YZ_EMALFORMED},
        {"an empty text", text_empty, YZ_EMALFORMED},
        {"a text not UTF-8", text_not_utf8, YZ_EMALFORMED},
        {"a text that commands a terminal", text_escape, YZ_EMALFORMED},
        {"a text too long", text_long, YZ_ETOOBIG},
        {"the longest text", text_longest, 0},
    };
    yz_record_refuses(RECORD_OFFER, faults, COUNT(faults));
}

static void test_offer__refuses_a_broken_catalogue(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"too many titles", text_many, YZ_ELIMIT},
        {"a data set twice", entry_twice, YZ_EMALFORMED},
        {"a data set's name with a space", entry_name, YZ_EMALFORMED},
        {"sharing 0", entry_sharing_0, YZ_EMALFORMED},
        {"sharing 4", entry_sharing_4, YZ_EMALFORMED},
        {"withheld by no law", entry_withheld, YZ_EMALFORMED},
        {"shared by no law", entry_no_basis, 0},
        {"an empty owner", entry_owner_empty, YZ_EMALFORMED},
        {"an owner too long", entry_owner_long, YZ_ETOOBIG},
        {"a cycle of two lines", entry_cycle_lines, YZ_EMALFORMED},
        {"too many data sets", entry_many, YZ_ELIMIT},
        {"a field twice", element_twice, YZ_EMALFORMED},
        {"a field that begins with a digit", element_field_bad, YZ_EMALFORMED},
        {"a key field that is none", element_key_false, YZ_EMALFORMED},
        {"a field with a hyphen", element_field_dash, YZ_EMALFORMED},
        {"a field too long", element_field_long, YZ_ETOOBIG},
        {"an element without name", element_unnamed, YZ_EMALFORMED},
        {"type 0", element_type_0, YZ_EMALFORMED},
        {"type 9", element_type_9, YZ_EMALFORMED},
        {"classification 0", element_class_0, YZ_EMALFORMED},
        {"classification 5", element_class_5, YZ_EMALFORMED},
        {"a reference said to be none", element_no_reference, YZ_EMALFORMED},
        {"too many fields", element_many, YZ_ELIMIT},
    };
    yz_record_refuses(RECORD_OFFER, faults, COUNT(faults));
}

static void test_offer__refuses_broken_grants(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"an id twice", grant_twice, YZ_EMALFORMED},
        {"an id in upper case", grant_id_upper, YZ_EMALFORMED},
        {"an empty id", grant_id_empty, YZ_EMALFORMED},
        {"an id too long", grant_id_long, YZ_ETOOBIG},
        {"a member as consumer", grant_to_member, YZ_EMALFORMED},
        {"a consumer of another instance", grant_elsewhere, YZ_EMALFORMED},
        {"a version not offered", grant_unoffered, YZ_EMALFORMED},
        {"a service without version", grant_unversioned, YZ_EMALFORMED},
        {"the beginning of a service", grant_prefix, YZ_EMALFORMED},
        {"a service's whole id", grant_full_id, YZ_EMALFORMED},
        {"a service left out", grant_no_service, YZ_EMALFORMED},
        {"an empty validity", grant_backward, YZ_EMALFORMED},
        {"strict said to be false", grant_not_strict, YZ_EMALFORMED},
        {"too many grants", grant_many, YZ_ELIMIT},
    };
    yz_record_refuses(RECORD_OFFER, faults, COUNT(faults));
}

static void test_language__is_a_bcp_47_tag(void **state)
{
    (void)state;
    static const char *const good[] = {"en", "zh-Hans-CN", "x-private", "de-1996", "a"};
    static const char *const bad[] = {"",  "-",   "en-",       "-en",  "en--US",
                                      "1", "en ", "abcdefghi", "zh中", "en_US"};
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_int_equal(yzi_check_language(yzi_bytes_str(good[i]), YZ_LANGUAGE_MAX), 0);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(yzi_check_language(yzi_bytes_str(bad[i]), YZ_LANGUAGE_MAX), YZ_EMALFORMED);
    }
    assert_int_equal(yzi_check_language(yzi_bytes_str("aaaaaaaa-bbbbbbbb-cccccccc-dddddddd"), 34),
                     YZ_ETOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offer__says_what_was_written),
        cmocka_unit_test(test_offer__carries_its_catalogue),
        cmocka_unit_test(test_offer__has_groups_in_versions),
        cmocka_unit_test(test_group__later_versions_narrow_a_grant_and_never_widen_it),
        cmocka_unit_test(test_group__who_left_and_came_back_needs_a_new_grant),
        cmocka_unit_test(test_offer__refuses_broken_groups),
        cmocka_unit_test(test_offer__refuses_what_breaks_its_invariants),
        cmocka_unit_test(test_offer__refuses_broken_services),
        cmocka_unit_test(test_offer__refuses_a_broken_catalogue),
        cmocka_unit_test(test_offer__refuses_broken_grants),
        cmocka_unit_test(test_language__is_a_bcp_47_tag),
    };
    return cmocka_run_group_tests_name("record_offer", tests, NULL, NULL);
}
