/* SPDX-License-Identifier: Apache-2.0
 *
 * Reports over the whole catalogue: whether each datum has one source, and how much each member
 * offers, those that offer nothing included.
 */
#include "cli/catalog.h"
#include "cli/columns.h"
#include "cli/texts.h"

#define JSON_MAX (256u * 1024u * 1024u)

/* -- elements -- */

static void tell_element(struct columns *t, const struct catalog_element *e)
{
    for (size_t i = 0; i < e->n; i++) {
        const struct catalog_claim *c = &e->claims[i];
        yzi_columns_add(t, i ? (yz_bytes){0} : e->name);
        if (i == 0) {
            yzi_columns_printf(t, "%zu", e->sources);
        } else {
            yzi_columns_str(t, "");
        }
        yzi_columns_str(t, c->element->reference ? "refers to it" : "source");
        yzi_columns_add(t, c->item->offer->subsystem.v);
        yzi_columns_printf(t, "%.*s.%.*s", CLI_V(c->item->entry->data_set),
                           CLI_V(c->element->field));
    }
}

static void put_claims(struct json *j, const char *key, const struct catalog_element *e,
                       bool references)
{
    yzi_json_key(j, key);
    yzi_json_array(j);
    for (size_t i = 0; i < e->n; i++) {
        const struct catalog_claim *c = &e->claims[i];
        if (c->element->reference == references) {
            yzi_json_object(j);
            yzi_text_json(j, "subsystem", c->item->offer->subsystem.v);
            yzi_text_json(j, "data_set", c->item->entry->data_set);
            yzi_text_json(j, "field", c->element->field);
            yzi_json_object_end(j);
        }
    }
    yzi_json_array_end(j);
}

static int elements_json(struct cli *c, const struct catalog_element *all, size_t n, size_t least)
{
    struct json j;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, JSON_MAX);
    yzi_json_init(&j, &text, true);
    yzi_json_array(&j);
    for (size_t i = 0; i < n; i++) {
        if (all[i].sources >= least) {
            yzi_json_object(&j);
            yzi_text_json(&j, "element", all[i].name);
            yzi_json_key(&j, "sources_n");
            yzi_json_u64(&j, all[i].sources);
            put_claims(&j, "sources", &all[i], false);
            put_claims(&j, "references", &all[i], true);
            yzi_json_object_end(&j);
        }
    }
    yzi_json_array_end(&j);
    YZ_TRY(yzi_json_end(&j));
    yzi_cli_write(c, yzi_bytes_buf(&text));
    return YZ_OK;
}

int yzi_catalog_elements_run(struct cli *c)
{
    static const char *const head[] = {"DATA ELEMENT", "SOURCES", "IS", "SUBSYSTEM", "FIELD", NULL};
    YZ_AUTO(yzi_catalog_close) struct catalog k = {0};
    struct catalog_element *all;
    struct columns t;
    size_t n, least = yzi_cli_flag(c, "multiple") ? 2 : 0;
    YZ_TRY(yzi_catalog_open(c, &k));
    YZ_TRY(yzi_catalog_elements(&k, &all, &n));
    if (yzi_cli_json(c)) {
        return elements_json(c, all, n, least);
    }
    yzi_columns_begin(&t, c, head);
    for (size_t i = 0; i < n; i++) {
        if (all[i].sources >= least) {
            tell_element(&t, &all[i]);
        }
    }
    return yzi_columns_print(&t, false);
}

/* -- coverage -- */

struct cover {
    yz_bytes member, name;
    size_t data_sets, by_sharing[SHARING_WITHHELD + 1], services, elements;
};
struct covers {
    const struct catalog *k;
    struct cover *items;
    size_t n;
};

static int add_member(void *ctx, const struct record *r)
{
    struct covers *all = ctx;
    struct cli *c = all->k->c;
    struct member_record m;
    if (r->kind != RECORD_MEMBER) {
        return YZ_OK;
    }
    YZ_TRY(yzi_member_record_parse(r->body, yzi_cli_arena(c), &m));
    YZ_TRY(yzi_cli_extend(c, &all->items, all->n, sizeof *all->items));
    all->items[all->n++] = (struct cover){.member = m.member.v, .name = m.name};
    return YZ_OK;
}

static void add_item(struct covers *all, const struct catalog_item *i)
{
    yz_bytes member = yzi_subsystem_member(i->offer->subsystem).v;
    for (size_t m = 0; m < all->n; m++) {
        struct cover *v = &all->items[m];
        if (yzi_bytes_eq(v->member, member)) {
            v->services += yzi_catalog_services(i);
            v->data_sets += i->entry != NULL;
            v->by_sharing[i->entry ? i->entry->sharing : 0]++;
            v->elements += i->entry ? i->entry->elements_n : 0;
        }
    }
}

static bool offers_nothing(const struct cover *v)
{
    return v->data_sets == 0 && v->services == 0;
}

static int coverage_text(struct cli *c, const struct covers *all)
{
    static const char *const head[] = {"MEMBER",      "DATA SETS", "UNCONDITIONAL",
                                       "CONDITIONAL", "WITHHELD",  "SERVICES",
                                       "ELEMENTS",    "NAME",      NULL};
    struct columns t;
    size_t nothing = 0;
    yzi_columns_begin(&t, c, head);
    for (size_t i = 0; i < all->n; i++) {
        const struct cover *v = &all->items[i];
        nothing += offers_nothing(v);
        yzi_columns_add(&t, v->member);
        yzi_columns_printf(&t, "%zu", v->data_sets);
        for (unsigned s = SHARING_UNCONDITIONAL; s <= SHARING_WITHHELD; s++) {
            yzi_columns_printf(&t, "%zu", v->by_sharing[s]);
        }
        yzi_columns_printf(&t, "%zu", v->services);
        yzi_columns_printf(&t, "%zu", v->elements);
        yzi_columns_add(&t, v->name);
    }
    YZ_TRY(yzi_columns_print(&t, false));
    yzi_cli_say(c, "\n%zu members, of which %zu offer nothing\n", all->n, nothing);
    return YZ_OK;
}

static void put_number(struct json *j, const char *key, size_t v)
{
    yzi_json_key(j, key);
    yzi_json_u64(j, v);
}

static void put_cover(struct json *j, const struct cover *v)
{
    yzi_json_object(j);
    yzi_text_json(j, "member", v->member);
    yzi_text_json(j, "name", v->name);
    put_number(j, "data_sets", v->data_sets);
    for (unsigned s = SHARING_UNCONDITIONAL; s <= SHARING_WITHHELD; s++) {
        put_number(j, yzi_sharing_name(s), v->by_sharing[s]);
    }
    put_number(j, "services", v->services);
    put_number(j, "elements", v->elements);
    yzi_json_object_end(j);
}

static int coverage_json(struct cli *c, const struct covers *all)
{
    struct json j;
    size_t nothing = 0;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, JSON_MAX);
    yzi_json_init(&j, &text, true);
    yzi_json_object(&j);
    yzi_json_key(&j, "members");
    yzi_json_array(&j);
    for (size_t i = 0; i < all->n; i++) {
        nothing += offers_nothing(&all->items[i]);
        put_cover(&j, &all->items[i]);
    }
    yzi_json_array_end(&j);
    put_number(&j, "members_n", all->n);
    put_number(&j, "offer_nothing_n", nothing);
    yzi_json_object_end(&j);
    YZ_TRY(yzi_json_end(&j));
    yzi_cli_write(c, yzi_bytes_buf(&text));
    return YZ_OK;
}

int yzi_catalog_coverage_run(struct cli *c)
{
    YZ_AUTO(yzi_catalog_close) struct catalog k = {0};
    struct covers all = {.k = &k};
    YZ_TRY(yzi_catalog_open(c, &k));
    YZ_TRY(yzi_directory_each(k.all->directory, add_member, &all));
    for (size_t i = 0; i < k.items_n; i++) {
        add_item(&all, &k.items[i]);
    }
    return yzi_cli_json(c) ? coverage_json(c, &all) : coverage_text(c, &all);
}
