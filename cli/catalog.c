/* SPDX-License-Identifier: Apache-2.0
 *
 * yz catalog: who holds what, under which condition, by which services; for any admitted node.
 */
#include "cli/catalog.h"

#include "cli/columns.h"
#include "cli/texts.h"

/* -- choosing -- */

static bool is_of_member(const struct catalog_item *i, yz_bytes member)
{
    return yzi_bytes_eq(yzi_subsystem_member(i->offer->subsystem).v, member);
}

struct choice {
    yz_bytes member;           /* empty: any */
    unsigned sharing;          /* 0: any */
    bool mine;                 /* only what the asking subsystem may ask now */
    struct name_list words;    /* folded */
    yz_subsystem_id subsystem; /* show: of this one */
    yz_bytes data_set;         /* show: this one; empty: any */
    yz_bytes service;          /* show: with this one, code/version; empty: any */
};

static bool has_service(const struct catalog_item *i, yz_bytes local)
{
    for (size_t n = 0; n < yzi_catalog_services(i); n++) {
        if (yzi_catalog_is_named(yzi_catalog_service(i, n), local)) {
            return true;
        }
    }
    return false;
}

static int is_chosen(const struct catalog *k, const struct choice *w, const struct catalog_item *i,
                     bool *out)
{
    *out = (w->member.n == 0 || is_of_member(i, w->member)) &&
           (w->sharing == 0 || (i->entry && i->entry->sharing == w->sharing)) &&
           (!w->mine || yzi_catalog_best(k, i).right == RIGHT_VALID) &&
           (w->subsystem.v.n == 0 || yzi_bytes_eq(i->offer->subsystem.v, w->subsystem.v)) &&
           (w->service.n == 0 || has_service(i, w->service)) &&
           (w->data_set.n == 0 || (i->entry && yzi_bytes_eq(i->entry->data_set, w->data_set)));
    return *out && w->words.n ? yzi_catalog_matches(k, i, &w->words, out) : YZ_OK;
}

static int choose(const struct catalog *k, const struct choice *w, const struct catalog_item ***out,
                  size_t *out_n)
{
    size_t n = 0;
    YZ_TRY(yzi_arena_new(yzi_cli_arena(k->c), k->items_n, sizeof **out, out));
    for (size_t i = 0; i < k->items_n; i++) {
        bool chosen;
        YZ_TRY(is_chosen(k, w, &k->items[i], &chosen));
        if (chosen) {
            (*out)[n++] = &k->items[i];
        }
    }
    *out_n = n;
    return YZ_OK;
}

/* -- list and search -- */

static yz_bytes title_of(const struct catalog *k, const struct catalog_item *i)
{
    return yzi_texts_choose(i->entry ? &i->entry->titles : &i->service->descriptions, k->language);
}

static void tell_item(struct columns *t, const struct catalog *k, const struct catalog_item *i)
{
    char text[64];
    struct catalog_grant mine = yzi_catalog_best(k, i);
    yzi_columns_add(t, i->offer->subsystem.v);
    yzi_columns_add(t, i->entry ? i->entry->data_set : yzi_bytes_str("-"));
    yzi_columns_add(t, title_of(k, i));
    yzi_columns_str(t, i->entry ? yzi_sharing_name(i->entry->sharing) : "-");
    yzi_columns_printf(t, "%zu", yzi_catalog_services(i));
    yzi_columns_printf(t, "%zu", i->entry ? i->entry->elements_n : 0);
    yzi_columns_str(t, yzi_catalog_right_text(&mine, text));
}

static int print_list(const struct catalog *k, const struct catalog_item *const *items, size_t n)
{
    static const char *const head[] = {"SUBSYSTEM", "DATA SET", "TITLE", "SHARING",
                                       "SERVICES",  "ELEMENTS", "MINE",  NULL};
    struct columns t;
    yzi_columns_begin(&t, k->c, head);
    for (size_t i = 0; i < n; i++) {
        tell_item(&t, k, items[i]);
    }
    return yzi_columns_print(&t, false);
}

static int run_choice(struct cli *c, const struct choice *w,
                      int (*print)(const struct catalog *k, const struct catalog_item *const *items,
                                   size_t n))
{
    YZ_AUTO(yzi_catalog_close) struct catalog k = {0};
    const struct catalog_item **items;
    size_t n;
    YZ_TRY(yzi_catalog_open(c, &k));
    YZ_TRY(choose(&k, w, &items, &n));
    if (n == 0 && w->subsystem.v.n) {
        bool named = yzi_cli_args(c) > 1;
        return yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND, "the catalogue of %s has no %s%s%s",
                        k.all->broker, yzi_cli_arg(c, 0), named ? " with the data set " : "",
                        named ? yzi_cli_arg(c, 1) : "");
    }
    return yzi_cli_json(c) ? yzi_catalog_json(&k, items, n) : print(&k, items, n);
}

static int run_list(struct cli *c)
{
    struct choice w = {.mine = yzi_cli_flag(c, "mine")};
    const char *sharing = yzi_cli_option(c, "sharing");
    yz_member_id member = {0};
    if (yzi_cli_option(c, "member")) {
        YZ_TRY(yzi_cli_member_id(c, yzi_cli_option(c, "member"), &member));
    }
    w.member = member.v;
    if (sharing && yzi_sharing_parse(sharing, &w.sharing) < 0) {
        return yzi_cli_usage(
            c, "--sharing: '%s' is none of unconditional, conditional and withheld", sharing);
    }
    return run_choice(c, &w, print_list);
}

static int run_search(struct cli *c)
{
    struct choice w = {0};
    unsigned n = yzi_cli_args(c);
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n, sizeof *w.words.items, &w.words.items));
    for (unsigned i = 0; i < n; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf folded;
        yz_bytes word = yzi_bytes_str(yzi_cli_arg(c, i));
        yzi_buf_init(&folded, 4 * word.n + 4);
        YZ_TRY(yzi_text_fold(word, &folded));
        YZ_TRY(yzi_arena_dup(yzi_cli_arena(c), yzi_bytes_buf(&folded), &w.words.items[w.words.n]));
        w.words.n++;
    }
    return run_choice(c, &w, print_list);
}

/* -- show -- */

static int say_line(struct cli *c, const char *label, yz_bytes text)
{
    YZ_AUTO(yzi_buf_fini) yz_buf shown;
    yzi_buf_init(&shown, 8 * (text.n + 1));
    if (text.n) {
        YZ_TRY(yzi_text_printable(text, false, &shown));
        yzi_cli_say(c, "%-14s%.*s\n", label, CLI_V(yzi_bytes_buf(&shown)));
    }
    return YZ_OK;
}

static int say_services(const struct catalog *k, const struct catalog_item *i)
{
    struct columns t;
    static const char *const head[] = {"SERVICE", "MODE", "MINE", "DESCRIPTION", NULL};
    yzi_columns_begin(&t, k->c, head);
    for (size_t n = 0; n < yzi_catalog_services(i); n++) {
        char text[64];
        const struct offered_service *s = yzi_catalog_service(i, n);
        struct catalog_grant mine = yzi_catalog_grant(k, i, s);
        yzi_columns_printf(&t, "%.*s/%.*s/%.*s", CLI_V(i->offer->subsystem.v), CLI_V(s->code),
                           CLI_V(s->version));
        yzi_columns_str(&t, yzi_mode_name(s->mode));
        yzi_columns_str(&t, yzi_catalog_right_text(&mine, text));
        yzi_columns_add(&t, yzi_texts_choose(&s->descriptions, k->language));
    }
    return yzi_columns_print(&t, true);
}

static const struct catalog_element *find_element(const struct catalog_element *all, size_t n,
                                                  yz_bytes name)
{
    for (size_t i = 0; i < n; i++) {
        if (yzi_bytes_eq(all[i].name, name)) {
            return &all[i];
        }
    }
    return NULL;
}

static int say_elements(const struct catalog *k, const struct catalogue_entry *e)
{
    static const char *const head[] = {"FIELD", "DATA ELEMENT", "TYPE", "CLASSIFICATION",
                                       "KEY",   "SOURCES",      NULL};
    struct columns t;
    struct catalog_element *all;
    size_t n;
    YZ_TRY(yzi_catalog_elements(k, &all, &n));
    yzi_columns_begin(&t, k->c, head);
    for (size_t i = 0; i < e->elements_n; i++) {
        const struct data_element *d = &e->elements[i];
        const struct catalog_element *of = find_element(all, n, d->element);
        yzi_columns_add(&t, d->field);
        yzi_columns_add(&t, d->element);
        yzi_columns_str(&t, yzi_field_type_name(d->type));
        yzi_columns_str(&t, yzi_classification_name(d->classification));
        yzi_columns_str(&t, d->key ? "key" : "");
        yzi_columns_printf(&t, "%zu%s", of ? of->sources : 0, d->reference ? " (not this)" : "");
    }
    return yzi_columns_print(&t, true);
}

static int say_item(const struct catalog *k, const struct catalog_item *i)
{
    struct cli *c = k->c;
    const struct catalogue_entry *e = i->entry;
    YZ_TRY(say_line(c, "subsystem", i->offer->subsystem.v));
    if (e) {
        YZ_TRY(say_line(c, "data set", e->data_set));
        YZ_TRY(say_line(c, "title", yzi_texts_choose(&e->titles, k->language)));
        YZ_TRY(say_line(c, "description", yzi_texts_choose(&e->descriptions, k->language)));
        YZ_TRY(say_line(c, "owner", e->owner));
        YZ_TRY(say_line(c, "updated", e->update_cycle));
        YZ_TRY(say_line(c, "sharing", yzi_bytes_str(yzi_sharing_name(e->sharing))));
        YZ_TRY(say_line(c, "legal basis", e->legal_basis));
    }
    YZ_TRY(say_services(k, i));
    return e ? say_elements(k, e) : YZ_OK;
}

static int print_items(const struct catalog *k, const struct catalog_item *const *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        yzi_cli_say(k->c, "%s", i ? "\n" : "");
        YZ_TRY(say_item(k, items[i]));
    }
    return YZ_OK;
}

/* A service stands for the data set it answers from. */
static int run_show(struct cli *c)
{
    struct choice w = {0};
    yz_service_id service;
    const char *what = yzi_cli_arg(c, 0), *data_set = yzi_cli_arg(c, 1);
    if (!data_set && yzi_service_id_parse(yzi_bytes_str(what), &service) == YZ_OK) {
        w.subsystem = yzi_service_subsystem(service);
        w.service = yzi_service_local(service);
    } else {
        YZ_TRY(yzi_cli_subsystem_id(c, what, &w.subsystem));
    }
    w.data_set = yzi_bytes_str(data_set ? data_set : "");
    return run_choice(c, &w, print_items);
}

#define COMMON                                                                                     \
    {"config", "FILE", "A client's configuration (yizhan-client.conf(5))", true, false},           \
        {"timeout", "DURATION", "How long to try (20s)", false, false},                            \
    {                                                                                              \
        "lang", "TAG", "Language of titles and descriptions (by default the environment's)",       \
            false, false                                                                           \
    }

static const struct cli_option list_options[] = {
    COMMON,
    {"member", "ID", "Only what this member holds", false, false},
    {"sharing", "KIND", "Only unconditional, conditional or withheld data sets", false, false},
    {"mine", NULL, "Only what this client's subsystem may ask now", false, false},
    {0}};
static const struct cli_option show_options[] = {COMMON, {0}};
static const struct cli_option elements_options[] = {
    COMMON, {"multiple", NULL, "Only those with more than one source", false, false}, {0}};
static const struct cli_option declare_options[] = {
    {"home", "DIR", "The member's home", true, false},
    {"subsystem", "CODE", "The subsystem that holds the data set", true, false},
    {"admin", "SOCKET", "Give offer and terms to this adapter at once", false, true},
    {0}};

const struct cli_verb yzi_cli_catalog[] = {
    {"catalog", "list", "", 0, 0, "List the data sets of the instance", list_options, run_list,
     false},
    {"catalog", "show", "SUBSYSTEM|SERVICE [DATASET]", 1, 2,
     "Show a subsystem's data sets with their services and data elements", show_options, run_show,
     false},
    {"catalog", "search", "WORD...", 1, 32, "List the data sets in which all the words occur",
     show_options, run_search, false},
    {"catalog", "elements", "", 0, 0, "List the data elements and who claims to be their source",
     elements_options, yzi_catalog_elements_run, false},
    {"catalog", "coverage", "", 0, 0, "Show how much each member offers", show_options,
     yzi_catalog_coverage_run, false},
    {"catalog", "declare", "DEFINITION", 1, 1,
     "Put a data set into the catalogue that no service offers (withheld, or not yet)",
     declare_options, yzi_catalog_declare_run, true},
    {"catalog", "retract", "DATASET", 1, 1, "Take a data set that no service offers out again",
     declare_options, yzi_catalog_retract_run, true},
    CLI_TABLE_END};
