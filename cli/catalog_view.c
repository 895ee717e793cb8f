/* SPDX-License-Identifier: Apache-2.0
 *
 * The catalogue as things to show. What an offer says of other consumers' grants stays in it: only
 * the asking subsystem's own are looked at.
 */
#include "base/clock.h"
#include "cli/catalog.h"
#include "cli/texts.h"

#define TIMEOUT_DEFAULT_MS 20000u
#define FOLDED_MAX (1024u * 1024u) /* of one item: an offer has less */

/* -- opening -- */

static int read_timeout(struct cli *c, uint32_t *out)
{
    const char *text = yzi_cli_option(c, "timeout");
    uint64_t ms = TIMEOUT_DEFAULT_MS;
    if (text && (yzi_duration_parse(text, &ms) < 0 || ms == 0 || ms > UINT32_MAX)) {
        return yzi_cli_usage(c, "--timeout '%s' is not a duration such as 20s", text);
    }
    *out = (uint32_t)ms;
    return YZ_OK;
}

static size_t count_items(const struct catalogue *all)
{
    size_t n = 0;
    for (size_t i = 0; i < all->offers_n; i++) {
        n += all->offers[i]->offer.catalogue_n + all->offers[i]->offer.services_n;
    }
    return n;
}

static int make_items(struct catalog *k)
{
    YZ_TRY(yzi_arena_new(yzi_cli_arena(k->c), count_items(k->all), sizeof *k->items, &k->items));
    for (size_t i = 0; i < k->all->offers_n; i++) {
        const struct offer *o = &k->all->offers[i]->offer;
        for (size_t e = 0; e < o->catalogue_n; e++) {
            k->items[k->items_n++] = (struct catalog_item){o, &o->catalogue[e], NULL};
        }
        for (size_t s = 0; s < o->services_n; s++) {
            if (o->services[s].data_set.n == 0) {
                k->items[k->items_n++] = (struct catalog_item){o, NULL, &o->services[s]};
            }
        }
    }
    return YZ_OK;
}

/* What is left out is said, never passed over. */
static void say_refused(const struct catalog *k)
{
    for (size_t i = 0; i < k->all->refused_n && !yzi_cli_quiet(k->c); i++) {
        const struct catalogue_refusal *r = &k->all->refused[i];
        fprintf(stderr, "yz: left out, because it does not verify: %s\n", r->why);
    }
}

int yzi_catalog_open(struct cli *c, struct catalog *out)
{
    uint32_t timeout = 0;
    *out = (struct catalog){.c = c};
    YZ_TRY(read_timeout(c, &timeout));
    YZ_TRY(yzi_cli_language(c, &out->language));
    YZ_TRY(yzi_catalogue_fetch(yzi_cli_option(c, "config"), timeout, &out->all, yzi_cli_error(c)));
    say_refused(out);
    return make_items(out);
}

void yzi_catalog_close(struct catalog *k)
{
    yzi_catalogue_free(k->all);
}

/* -- services and grants -- */

static bool is_about(const struct offered_service *s, const struct catalog_item *i)
{
    return i->entry ? yzi_bytes_eq(s->data_set, i->entry->data_set) : s == i->service;
}

size_t yzi_catalog_services(const struct catalog_item *i)
{
    size_t n = 0;
    for (size_t s = 0; s < i->offer->services_n; s++) {
        n += is_about(&i->offer->services[s], i);
    }
    return n;
}

const struct offered_service *yzi_catalog_service(const struct catalog_item *i, size_t n)
{
    for (size_t s = 0; s < i->offer->services_n; s++) {
        if (is_about(&i->offer->services[s], i) && n-- == 0) {
            return &i->offer->services[s];
        }
    }
    return NULL;
}

bool yzi_catalog_is_named(const struct offered_service *s, yz_bytes local)
{
    size_t n = s->code.n;
    return local.n == n + 1 + s->version.n && yzi_bytes_eq(yzi_bytes(local.p, n), s->code) &&
           yzi_bytes_eq(yzi_bytes(local.p + n + 1, s->version.n), s->version);
}

static struct catalog_grant state_of(const struct coarse_grant *g, uint64_t now)
{
    bool late = g->not_after && now >= g->not_after;
    enum catalog_right right = now < g->not_before ? RIGHT_NOT_YET
                               : late              ? RIGHT_EXPIRED
                                                   : RIGHT_VALID;
    return (struct catalog_grant){right, g->not_before, g->not_after};
}

/* The one that says more, or the same for longer. */
static bool is_better(const struct catalog_grant *a, const struct catalog_grant *b)
{
    if (a->right != b->right) {
        return a->right > b->right;
    }
    return b->until != 0 && (a->until == 0 || a->until > b->until);
}

struct catalog_grant yzi_catalog_grant(const struct catalog *k, const struct catalog_item *i,
                                       const struct offered_service *s)
{
    struct catalog_grant best = {RIGHT_NONE, 0, 0};
    for (size_t n = 0; n < i->offer->grants_n; n++) {
        const struct coarse_grant *g = &i->offer->grants[n];
        if (yzi_catalog_is_named(s, g->service) &&
            yzi_offer_grant_is_for(i->offer, g, k->all->consumer)) {
            struct catalog_grant is = state_of(g, k->all->now);
            best = is_better(&is, &best) ? is : best;
        }
    }
    return best;
}

struct catalog_grant yzi_catalog_best(const struct catalog *k, const struct catalog_item *i)
{
    struct catalog_grant best = {RIGHT_NONE, 0, 0};
    for (size_t n = 0; n < yzi_catalog_services(i); n++) {
        struct catalog_grant is = yzi_catalog_grant(k, i, yzi_catalog_service(i, n));
        best = is_better(&is, &best) ? is : best;
    }
    return best;
}

const char *yzi_catalog_right_text(const struct catalog_grant *g, char out[64])
{
    char time[32];
    switch (g->right) {
    case RIGHT_VALID:
        snprintf(out, 64, "%s%s", g->until ? "until " : "granted",
                 g->until ? yzi_cli_time_text(g->until, time) : "");
        return out;
    case RIGHT_NOT_YET:
        snprintf(out, 64, "from %s", yzi_cli_time_text(g->from, time));
        return out;
    case RIGHT_EXPIRED:
        snprintf(out, 64, "expired %s", yzi_cli_time_text(g->until, time));
        return out;
    case RIGHT_NONE:
    default:
        return "-";
    }
}

/* -- data elements -- */

static int claim_cmp(const void *a, const void *b)
{
    const struct catalog_claim *x = a, *y = b;
    int c = yzi_bytes_cmp(x->element->element, y->element->element);
    c = c ? c
          : (x->element->reference > y->element->reference) -
                (x->element->reference < y->element->reference);
    return c ? c : (x->item > y->item) - (x->item < y->item);
}

static int all_claims(const struct catalog *k, struct catalog_claim **out, size_t *out_n)
{
    size_t n = 0;
    for (size_t i = 0; i < k->items_n; i++) {
        n += k->items[i].entry ? k->items[i].entry->elements_n : 0;
    }
    YZ_TRY(yzi_arena_new(yzi_cli_arena(k->c), n, sizeof **out, out));
    *out_n = n;
    n = 0;
    for (size_t i = 0; i < k->items_n; i++) {
        const struct catalogue_entry *e = k->items[i].entry;
        for (size_t f = 0; e && f < e->elements_n; f++) {
            (*out)[n++] = (struct catalog_claim){&k->items[i], &e->elements[f]};
        }
    }
    if (n) {
        qsort(*out, n, sizeof **out, claim_cmp);
    }
    return YZ_OK;
}

/* Two fields of one data set are one source. */
static void count_source(struct catalog_element *e, const struct catalog_claim *c)
{
    bool again = e->n > 0 && e->claims[e->n - 1].item == c->item;
    e->sources += !c->element->reference && !again;
    e->n++;
}

int yzi_catalog_elements(const struct catalog *k, struct catalog_element **out, size_t *out_n)
{
    struct catalog_claim *claims;
    size_t n, made = 0;
    YZ_TRY(all_claims(k, &claims, &n));
    YZ_TRY(yzi_arena_new(yzi_cli_arena(k->c), n, sizeof **out, out));
    for (size_t i = 0; i < n; i++) {
        if (made == 0 || !yzi_bytes_eq((*out)[made - 1].name, claims[i].element->element)) {
            (*out)[made++] =
                (struct catalog_element){.name = claims[i].element->element, .claims = &claims[i]};
        }
        count_source(&(*out)[made - 1], &claims[i]);
    }
    *out_n = made;
    return YZ_OK;
}

/* -- searching -- */

static int add(yz_buf *to, yz_bytes text)
{
    YZ_TRY(yzi_text_fold(text, to));
    return yzi_buf_put_u8(to, 0); /* words do not reach over it */
}

static int add_texts(yz_buf *to, const struct text_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        YZ_TRY(add(to, l->items[i].text));
    }
    return YZ_OK;
}

static int add_entry(yz_buf *to, const struct catalogue_entry *e)
{
    YZ_TRY(add(to, e->data_set));
    YZ_TRY(add(to, e->owner));
    YZ_TRY(add_texts(to, &e->titles));
    YZ_TRY(add_texts(to, &e->descriptions));
    for (size_t i = 0; i < e->elements_n; i++) {
        YZ_TRY(add(to, e->elements[i].field));
        YZ_TRY(add(to, e->elements[i].element));
    }
    return YZ_OK;
}

static int add_item(yz_buf *to, const struct catalog_item *i)
{
    YZ_TRY(add(to, i->offer->subsystem.v));
    YZ_TRY(i->entry ? add_entry(to, i->entry) : YZ_OK);
    for (size_t n = 0; n < yzi_catalog_services(i); n++) {
        const struct offered_service *s = yzi_catalog_service(i, n);
        YZ_TRY(add(to, s->code));
        YZ_TRY(add_texts(to, &s->descriptions));
    }
    return YZ_OK;
}

int yzi_catalog_matches(const struct catalog *k, const struct catalog_item *i,
                        const struct name_list *words, bool *out)
{
    (void)k;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, FOLDED_MAX);
    YZ_TRY(add_item(&text, i));
    *out = true;
    for (size_t w = 0; w < words->n && *out; w++) {
        *out = memmem(text.p, text.n, words->items[w].p, words->items[w].n) != NULL;
    }
    return YZ_OK;
}
