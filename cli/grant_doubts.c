/* SPDX-License-Identifier: Apache-2.0
 *
 * What is doubtful about a grant: it keeps the rules and yet gives nothing, or less than whoever
 * made it may think. Told by `yz grant show`; nothing is refused for it, because definitions,
 * services and times change after a grant was made.
 */
#include <stdarg.h>
#include <stdio.h>

#include "adapters/access/quota.h"
#include "adapters/access/rules.h"
#include "cli/grant.h"

struct doubting {
    struct cli *c;
    const struct home_offer *o;
    const struct coarse_grant *g;
    const struct fine_grant *fine;
    const struct offered_service *service; /* NULL: not offered any more */
    const struct dataset *d;               /* NULL: nothing is known of it */
    struct doubts *out;
};

static int doubt(struct doubting *x, const char *format, ...) YZ_PRINTF(2, 3);
static int doubt(struct doubting *x, const char *format, ...)
{
    char text[400];
    yz_bytes kept;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    YZ_TRY(yzi_cli_extend(x->c, &x->out->of, x->out->n, sizeof *x->out->of));
    YZ_TRY(yzi_arena_dup(yzi_cli_arena(x->c), yzi_bytes(text, strlen(text) + 1), &kept));
    x->out->of[x->out->n++] = (const char *)kept.p;
    return YZ_OK;
}

static bool allows(const struct fine_grant *fine, enum query_operation operation)
{
    return fine->operations & 1u << operation;
}

/* -- who, when, what -- */

static int doubt_time(struct doubting *x, uint64_t now)
{
    const struct coarse_grant *g = x->g;
    char time[32];
    if (g->not_after && now >= g->not_after) {
        return doubt(x, "it ended %s: every call is denied", yzi_cli_time_text(g->not_after, time));
    }
    return now < g->not_before ? doubt(x, "it begins %s: until then every call is denied",
                                       yzi_cli_time_text(g->not_before, time))
                               : YZ_OK;
}

static int doubt_service(struct doubting *x)
{
    if (!x->service) {
        return doubt(x, "the service %.*s is not offered any more: every call is denied",
                     CLI_V(x->g->service));
    }
    size_t n = x->service->adapters.n;
    if (x->fine->quota_per_day && x->fine->quota_per_day < n) {
        return doubt(x,
                     "the service has %zu adapters now and the quota is %u: only the first %u "
                     "of them answer anything",
                     n, x->fine->quota_per_day, x->fine->quota_per_day);
    }
    n = yzi_access_adapters(&x->o->offer);
    for (size_t i = 0; i < x->fine->predicates_n; i++) {
        const struct grant_predicate *p = &x->fine->predicates[i];
        if (p->budget && p->budget < n) {
            YZ_TRY(doubt(x,
                         "the offer has %zu adapters now and the budget of %.*s is %u: only the "
                         "first %u of them answer it",
                         n, CLI_V(p->name), p->budget, p->budget));
        }
    }
    return YZ_OK;
}

/* -- fields -- */

static bool is_known(const struct doubting *x, yz_bytes field)
{
    return yzi_dataset_field(x->d, field) >= 0;
}

static int doubt_names(struct doubting *x, const struct name_list *names, const char *what)
{
    for (size_t i = 0; i < names->n; i++) {
        if (!is_known(x, names->items[i])) {
            YZ_TRY(doubt(x, "the data set has no field %.*s any more, which may be %s",
                         CLI_V(names->items[i]), what));
        }
    }
    return YZ_OK;
}

static int doubt_fields(struct doubting *x)
{
    const struct fine_grant *f = x->fine;
    size_t shown = 0;
    for (size_t i = 0; i < f->readable_n; i++) {
        bool known = is_known(x, f->readable[i].name);
        shown += known && f->readable[i].mask != MASK_HIDE;
        YZ_TRY(known ? YZ_OK
                     : doubt(x, "the data set has no field %.*s any more, which may be read",
                             CLI_V(f->readable[i].name)));
    }
    if ((allows(f, QUERY_GET) || allows(f, QUERY_FIND)) && shown == 0) {
        YZ_TRY(doubt(x, f->readable_n ? "no field shows anything: all that may be read are hidden "
                                        "or gone"
                                      : "no field may be read: get and find are denied"));
    }
    if (f->readable_n && f->operations == 1u << QUERY_MATCH) {
        YZ_TRY(doubt(x, "fields may be read, but match alone is allowed, which reads none"));
    }
    for (size_t i = 0; i < f->predicates_n; i++) {
        YZ_TRY(is_known(x, f->predicates[i].field)
                   ? YZ_OK
                   : doubt(x, "the data set has no field %.*s any more, which %.*s asks of",
                           CLI_V(f->predicates[i].field), CLI_V(f->predicates[i].name)));
    }
    YZ_TRY(doubt_names(x, &f->filterable, "selected by"));
    YZ_TRY(doubt_names(x, &f->sortable, "ordered by"));
    return doubt_names(x, &f->writable, "written");
}

/* -- operations -- */

static int doubt_find(struct doubting *x)
{
    const struct fine_grant *f = x->fine;
    bool find = allows(f, QUERY_FIND), count = allows(f, QUERY_COUNT);
    if (find && f->filterable.n == 0 && f->sortable.n == 0) {
        YZ_TRY(doubt(x, "a find names a condition or an order, and no field is given for either: "
                        "every find is denied (--filter, --sort)"));
    }
    if (f->filterable.n && !find && !count) {
        YZ_TRY(doubt(x, "fields may be selected by, but neither find nor count is allowed"));
    }
    return f->sortable.n && !find ? doubt(x, "fields may be ordered by, but find is not allowed")
                                  : YZ_OK;
}

static bool is_writable(const struct fine_grant *f, const char *name)
{
    for (size_t i = 0; i < f->writable.n; i++) {
        if (yzi_bytes_eq_str(f->writable.items[i], name)) {
            return true;
        }
    }
    return false;
}

static int doubt_writes(struct doubting *x)
{
    const struct fine_grant *f = x->fine;
    bool brings = allows(f, QUERY_INSERT) || allows(f, QUERY_PUT);
    bool writes = brings || allows(f, QUERY_DELETE);
    for (size_t i = 0; brings && i < x->d->key_n; i++) {
        const char *name = x->d->fields[x->d->key[i]].name;
        if (!is_writable(f, name)) {
            YZ_TRY(doubt(x,
                         "%s is of the key and may not be written: every insert and put is "
                         "refused",
                         name));
        }
    }
    if (writes && x->service && x->service->mode != SERVICE_WRITE) {
        YZ_TRY(doubt(x, "the service reads: every insert, put and delete is refused"));
    }
    return writes && f->row_filter_n
               ? doubt(x, "it has a row filter: every insert, put and delete is denied")
               : YZ_OK;
}

static int doubt_rules(struct doubting *x)
{
    struct rule_fault fault = {0};
    return yzi_access_rules(x->fine, x->d, x->o->terms.has_pseudonym_key, false, &fault)
               ? YZ_OK
               : doubt(x, "adapters deny every call: %s", fault.text);
}

int yzi_cli_grant_doubts(struct cli *c, const struct home_offer *o, const struct coarse_grant *g,
                         const struct fine_grant *fine, uint64_t now, struct doubts *out)
{
    struct doubting x = {.c = c, .o = o, .g = g, .fine = fine, .out = out};
    *out = (struct doubts){0};
    if (!fine) {
        x.fine = &(struct fine_grant){0};
        return doubt(&x, "the terms do not have it: adapters deny every call");
    }
    x.service = yzi_home_offer_service(o, g->service);
    const struct catalogue_entry *entry =
        x.service ? yzi_home_offer_entry(o, x.service->data_set) : NULL;
    YZ_TRY(doubt_time(&x, now));
    YZ_TRY(doubt_service(&x));
    if (!entry) {
        return YZ_OK;
    }
    struct dataset *d;
    YZ_TRY(yzi_home_dataset(c, o, entry, &d));
    x.d = d;
    YZ_TRY(doubt_fields(&x));
    YZ_TRY(doubt_find(&x));
    YZ_TRY(doubt_writes(&x));
    return doubt_rules(&x);
}
