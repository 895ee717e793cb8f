/* SPDX-License-Identifier: Apache-2.0
 *
 * yz grant list and show: a grant as its owner made it, both halves together.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/columns.h"
#include "cli/grant.h"

struct listing {
    struct cli *c;
    yz_bytes service; /* only this one, when not empty */
    uint64_t now;
    struct columns table;
    struct json json;
};

static const char *state_of(const struct coarse_grant *g, uint64_t now)
{
    return now < g->not_before                   ? "not yet"
           : g->not_after && now >= g->not_after ? "expired"
                                                 : "valid";
}

static void put_words(yz_buf *to, yz_bytes word, int *rc)
{
    *rc = *rc == YZ_OK && to->n ? yzi_buf_put_str(to, " ") : *rc;
    *rc = *rc == YZ_OK ? yzi_buf_put(to, word) : *rc;
}

static int tell_lists(struct listing *l, const struct fine_grant *fine)
{
    YZ_AUTO(yzi_buf_fini) yz_buf fields;
    YZ_AUTO(yzi_buf_fini) yz_buf purposes;
    int rc = YZ_OK;
    yzi_buf_init(&fields, YZ_RECORD_MAX);
    yzi_buf_init(&purposes, YZ_RECORD_MAX);
    for (size_t i = 0; i < fine->readable_n; i++) {
        put_words(&fields, fine->readable[i].name, &rc);
        if (fine->readable[i].mask != MASK_NONE) {
            rc = rc == YZ_OK
                     ? yzi_buf_printf(&fields, "(%s)", yzi_mask_name(fine->readable[i].mask))
                     : rc;
        }
    }
    for (size_t i = 0; i < fine->purposes.n; i++) {
        put_words(&purposes, fine->purposes.items[i], &rc);
    }
    yzi_columns_add(&l->table, purposes.n ? yzi_bytes_buf(&purposes) : yzi_bytes_str("any"));
    yzi_columns_add(&l->table, fields.n ? yzi_bytes_buf(&fields) : yzi_bytes_str("-"));
    return rc;
}

static int tell(struct listing *l, const struct home_offer *o, const struct coarse_grant *g,
                const struct fine_grant *fine)
{
    char time[32];
    yzi_columns_add(&l->table, g->id);
    yzi_columns_printf(&l->table, "%.*s/%.*s", CLI_V(o->offer.subsystem.v), CLI_V(g->service));
    if (g->group_code.n) {
        yzi_columns_printf(&l->table, "group %.*s/%llu", CLI_V(g->group_code),
                           (unsigned long long)g->group_version);
    } else {
        yzi_columns_add(&l->table, g->consumer.v);
    }
    yzi_columns_str(&l->table, state_of(g, l->now));
    yzi_columns_str(&l->table, yzi_cli_time_text(g->not_after, time));
    return tell_lists(l, fine);
}

static void put_time(struct json *j, const char *key, uint64_t ms)
{
    char time[32];
    yzi_json_key(j, key);
    yzi_json_str(j, ms ? yzi_cli_time_text(ms, time) : NULL);
}

static void put_names(struct json *j, const char *key, const struct name_list *names)
{
    yzi_json_key(j, key);
    yzi_json_array(j);
    for (size_t i = 0; i < names->n; i++) {
        yzi_json_text(j, names->items[i]);
    }
    yzi_json_array_end(j);
}

/* A value as text; bytes that are none as base64. */
static int text_of(yz_bytes v, yz_buf *out)
{
    bool text = yzi_utf8_is_valid(v) && (v.n == 0 || !memchr(v.p, 0, v.n));
    return text ? yzi_buf_put(out, v) : yzi_base64_encode(v, out);
}

static int put_values(struct json *j, const char *key, const struct name_list *values)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, 2 * YZ_VALUE_MAX);
    yzi_json_key(j, key);
    yzi_json_array(j);
    for (size_t i = 0; i < values->n; i++) {
        yzi_buf_clear(&text);
        YZ_TRY(text_of(values->items[i], &text));
        yzi_json_text(j, yzi_bytes_buf(&text));
    }
    yzi_json_array_end(j);
    return YZ_OK;
}

static void put_masks(struct json *j, const struct fine_grant *fine)
{
    yzi_json_key(j, "masks");
    yzi_json_object(j);
    for (size_t i = 0; i < fine->readable_n; i++) {
        if (fine->readable[i].mask != MASK_NONE) {
            yzi_json_key_bytes(j, fine->readable[i].name);
            yzi_json_str(j, yzi_mask_name(fine->readable[i].mask));
        }
    }
    yzi_json_object_end(j);
}

static int put_rows(struct json *j, const struct fine_grant *fine)
{
    yzi_json_key(j, "where");
    yzi_json_array(j);
    for (size_t i = 0; i < fine->row_filter_n; i++) {
        const struct row_condition *r = &fine->row_filter[i];
        yzi_json_object(j);
        yzi_json_key(j, "field");
        yzi_json_text(j, r->field);
        yzi_json_key(j, "op");
        yzi_json_str(j, yzi_op_name(r->op));
        YZ_TRY(put_values(j, "values", &r->values));
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
    return YZ_OK;
}

static int put_predicates(struct json *j, const struct fine_grant *fine)
{
    yzi_json_key(j, "predicates");
    yzi_json_array(j);
    for (size_t i = 0; i < fine->predicates_n; i++) {
        const struct grant_predicate *p = &fine->predicates[i];
        yzi_json_object(j);
        yzi_json_key(j, "name");
        yzi_json_text(j, p->name);
        yzi_json_key(j, "field");
        yzi_json_text(j, p->field);
        yzi_json_key(j, "op");
        yzi_json_str(j, yzi_op_name(p->op));
        YZ_TRY(put_values(j, "constants", &p->constants));
        yzi_json_key(j, "step");
        yzi_json_text(j, p->step);
        yzi_json_key(j, "budget");
        yzi_json_u64(j, p->budget);
        yzi_json_key(j, "budget_days");
        yzi_json_u64(j, p->budget_days);
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
    return YZ_OK;
}

static int put_lists(struct json *j, const struct fine_grant *fine)
{
    yzi_json_key(j, "operations");
    yzi_json_array(j);
    for (unsigned op = QUERY_GET; op <= QUERY_OPERATION_LAST; op++) {
        if (fine->operations & 1u << op) {
            yzi_json_str(j, yzi_operation_name(op));
        }
    }
    yzi_json_array_end(j);
    yzi_json_key(j, "fields");
    yzi_json_array(j);
    for (size_t i = 0; i < fine->readable_n; i++) {
        yzi_json_text(j, fine->readable[i].name);
    }
    yzi_json_array_end(j);
    put_masks(j, fine);
    YZ_TRY(put_rows(j, fine));
    YZ_TRY(put_predicates(j, fine));
    put_names(j, "filter", &fine->filterable);
    put_names(j, "sort", &fine->sortable);
    put_names(j, "write", &fine->writable);
    put_names(j, "purposes", &fine->purposes);
    yzi_json_key(j, "quota_per_day");
    if (fine->quota_per_day) {
        yzi_json_u64(j, fine->quota_per_day);
    } else {
        yzi_json_null(j);
    }
    return YZ_OK;
}

static void put_consumer(struct json *j, const struct coarse_grant *g)
{
    yzi_json_key(j, "consumer");
    if (g->consumer.v.n) {
        yzi_json_text(j, g->consumer.v);
        return;
    }
    yzi_json_null(j);
    yzi_json_key(j, "group");
    yzi_json_text(j, g->group_code);
    yzi_json_key(j, "group_version");
    yzi_json_u64(j, g->group_version);
}

/* What list and show have in common, in an object that the caller opened and ends. */
static int put(struct listing *l, const struct home_offer *o, const struct coarse_grant *g,
               const struct fine_grant *fine)
{
    struct json *j = &l->json;
    YZ_AUTO(yzi_buf_fini) yz_buf service;
    yzi_buf_init(&service, YZ_ID_MAX);
    YZ_TRY(yzi_buf_printf(&service, "%.*s/%.*s", CLI_V(o->offer.subsystem.v), CLI_V(g->service)));
    yzi_json_key(j, "id");
    yzi_json_text(j, g->id);
    yzi_json_key(j, "service");
    yzi_json_text(j, yzi_bytes_buf(&service));
    put_consumer(j, g);
    yzi_json_key(j, "state");
    yzi_json_str(j, state_of(g, l->now));
    put_time(j, "from", g->not_before);
    put_time(j, "until", g->not_after);
    yzi_json_key(j, "strict");
    yzi_json_bool(j, g->strict);
    return put_lists(j, fine);
}

static bool is_wanted(const struct listing *l, const struct home_offer *o,
                      const struct coarse_grant *g)
{
    size_t n = o->offer.subsystem.v.n;
    yz_bytes w = l->service;
    return w.n == 0 ||
           (w.n == n + 1 + g->service.n && yzi_bytes_eq(yzi_bytes(w.p, n), o->offer.subsystem.v) &&
            yzi_bytes_eq(yzi_bytes(w.p + n + 1, g->service.n), g->service));
}

static int put_one(struct listing *l, const struct home_offer *o, const struct coarse_grant *g,
                   const struct fine_grant *fine)
{
    yzi_json_object(&l->json);
    YZ_TRY(put(l, o, g, fine));
    yzi_json_object_end(&l->json);
    return YZ_OK;
}

static int list_offer(struct listing *l, const struct home_offer *o)
{
    static const struct fine_grant none; /* a coarse grant without a fine one grants nothing */
    for (size_t i = 0; i < o->offer.grants_n; i++) {
        const struct coarse_grant *g = &o->offer.grants[i];
        const struct fine_grant *fine = yzi_home_offer_fine(o, g->id);
        if (is_wanted(l, o, g)) {
            fine = fine ? fine : &none;
            YZ_TRY(yzi_cli_json(l->c) ? put_one(l, o, g, fine) : tell(l, o, g, fine));
        }
    }
    return YZ_OK;
}

static int list_all(struct listing *l)
{
    const char *home;
    struct member_set set;
    YZ_TRY(yzi_home_open(l->c, HOME_MEMBER, false, &home));
    YZ_TRY(yzi_home_member_set(l->c, home, &set));
    for (size_t i = 0; i < set.subsystems_n; i++) {
        struct home_offer o;
        YZ_TRY(yzi_home_offer_load(l->c, home, &set, set.subsystems[i].code, &o));
        YZ_TRY(list_offer(l, &o));
    }
    return YZ_OK;
}

int yzi_cli_grant_list(struct cli *c)
{
    struct listing l = {.c = c, .now = yzi_home_now()};
    yz_service_id service;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, 64u * 1024u * 1024u);
    if (yzi_cli_option(c, "service")) {
        YZ_TRY(yzi_cli_service_id(c, yzi_cli_option(c, "service"), &service));
        l.service = service.v;
    }
    if (yzi_cli_json(c)) {
        yzi_json_init(&l.json, &text, true);
        yzi_json_array(&l.json);
        YZ_TRY(list_all(&l));
        yzi_json_array_end(&l.json);
        YZ_TRY(yzi_json_end(&l.json));
        yzi_cli_write(c, yzi_bytes_buf(&text));
        return YZ_OK;
    }
    static const char *const head[] = {"GRANT", "SERVICE",  "CONSUMER", "STATE",
                                       "UNTIL", "PURPOSES", "FIELDS",   NULL};
    yzi_columns_begin(&l.table, c, head);
    YZ_TRY(list_all(&l));
    return yzi_columns_print(&l.table, false);
}

/* -- show -- */

struct showing {
    struct listing l;
    struct home_offer o;
    const struct coarse_grant *g;
    const struct fine_grant *fine;
    struct doubts doubts;
    yz_buf line; /* scratch */
};

static void line(struct showing *s, const char *name, const char *format, ...) YZ_PRINTF(3, 4);
static void line(struct showing *s, const char *name, const char *format, ...)
{
    char text[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    yzi_cli_say(s->l.c, "%-11s %s\n", name, text);
}

static void words(struct showing *s, const char *name, const struct name_list *list,
                  const char *none)
{
    yzi_cli_say(s->l.c, "%-11s", name);
    for (size_t i = 0; i < list->n; i++) {
        yzi_cli_say(s->l.c, " %.*s", CLI_V(list->items[i]));
    }
    yzi_cli_say(s->l.c, list->n ? "\n" : " %s\n", none);
}

static void show_operations(struct showing *s)
{
    yzi_cli_say(s->l.c, "%-11s", "operations");
    for (unsigned op = QUERY_GET; op <= QUERY_OPERATION_LAST; op++) {
        if (s->fine->operations & 1u << op) {
            yzi_cli_say(s->l.c, " %s", yzi_operation_name(op));
        }
    }
    yzi_cli_say(s->l.c, "\n");
}

static void show_fields(struct showing *s)
{
    const struct fine_grant *f = s->fine;
    yzi_cli_say(s->l.c, "%-11s", "fields");
    for (size_t i = 0; i < f->readable_n; i++) {
        bool masked = f->readable[i].mask != MASK_NONE;
        yzi_cli_say(s->l.c, " %.*s%s%s%s", CLI_V(f->readable[i].name), masked ? " (" : "",
                    masked ? yzi_mask_name(f->readable[i].mask) : "", masked ? ")" : "");
    }
    yzi_cli_say(s->l.c, f->readable_n ? "\n" : " none\n");
}

/* " field >= value", " field in a, b": as conditions are written. */
static int show_condition(struct showing *s, yz_bytes field, enum query_op op,
                          const struct name_list *values)
{
    static const char *const written[] = {
        [OP_EQ] = "=", [OP_IN] = "in", [OP_PREFIX] = "^=", [OP_GE] = ">=",
        [OP_GT] = ">", [OP_LE] = "<=", [OP_LT] = "<"};
    yzi_cli_say(s->l.c, " %.*s %s", CLI_V(field), written[op]);
    for (size_t i = 0; i < values->n; i++) {
        yzi_buf_clear(&s->line);
        YZ_TRY(text_of(values->items[i], &s->line));
        yzi_cli_say(s->l.c, "%s%.*s", i ? ", " : " ", CLI_V(yzi_bytes_buf(&s->line)));
    }
    return YZ_OK;
}

static int show_rows(struct showing *s)
{
    for (size_t i = 0; i < s->fine->row_filter_n; i++) {
        const struct row_condition *r = &s->fine->row_filter[i];
        yzi_cli_say(s->l.c, "%-11s", i ? "" : "where");
        YZ_TRY(show_condition(s, r->field, r->op, &r->values));
        yzi_cli_say(s->l.c, "\n");
    }
    if (s->fine->row_filter_n == 0) {
        line(s, "where", "all records");
    }
    return YZ_OK;
}

static int show_predicates(struct showing *s)
{
    for (size_t i = 0; i < s->fine->predicates_n; i++) {
        const struct grant_predicate *p = &s->fine->predicates[i];
        yzi_cli_say(s->l.c, "%-11s %.*s:", i ? "" : "predicates", CLI_V(p->name));
        YZ_TRY(show_condition(s, p->field, p->op, &p->constants));
        yzi_cli_say(s->l.c, "%s", p->constants.n ? "" : " a value of the question");
        if (p->step.n) {
            yzi_cli_say(s->l.c, ", in steps of %.*s", CLI_V(p->step));
        }
        if (p->budget) {
            yzi_cli_say(s->l.c, ", %u question%s for each subject", p->budget,
                        p->budget == 1 ? "" : "s");
        }
        if (p->budget_days) {
            yzi_cli_say(s->l.c, " in %u day%s", p->budget_days, p->budget_days == 1 ? "" : "s");
        }
        yzi_cli_say(s->l.c, "\n");
    }
    return YZ_OK;
}

static void show_coarse(struct showing *s)
{
    const struct coarse_grant *g = s->g;
    char time[32];
    line(s, "grant", "%.*s", CLI_V(g->id));
    line(s, "service", "%.*s/%.*s", CLI_V(s->o.offer.subsystem.v), CLI_V(g->service));
    if (g->group_code.n) {
        line(s, "group", "%.*s, version %llu", CLI_V(g->group_code),
             (unsigned long long)g->group_version);
    } else {
        line(s, "consumer", "%.*s", CLI_V(g->consumer.v));
    }
    line(s, "state", "%s", state_of(g, s->l.now));
    line(s, "from", "%s", g->not_before ? yzi_cli_time_text(g->not_before, time) : "always");
    line(s, "until", "%s", g->not_after ? yzi_cli_time_text(g->not_after, time) : "no end");
}

static int show_text(struct showing *s)
{
    const struct fine_grant *f = s->fine;
    show_coarse(s);
    show_operations(s);
    words(s, "purposes", &f->purposes, "any");
    show_fields(s);
    YZ_TRY(show_rows(s));
    words(s, "filter", &f->filterable, "none");
    words(s, "sort", &f->sortable, "none");
    words(s, "write", &f->writable, "none");
    YZ_TRY(show_predicates(s));
    if (f->quota_per_day) {
        line(s, "quota", "%u calls a day of each subsystem", f->quota_per_day);
    } else {
        line(s, "quota", "none");
    }
    line(s, "strict", "%s", s->g->strict ? "yes" : "no");
    line(s, "version", "%llu, of offer and terms", (unsigned long long)s->o.offer.version);
    for (size_t i = 0; i < s->doubts.n; i++) {
        yzi_cli_say(s->l.c, "warning: %s\n", s->doubts.of[i]);
    }
    return YZ_OK;
}

static int show_json(struct showing *s)
{
    struct json *j = &s->l.json;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, 64u * 1024u * 1024u);
    yzi_json_init(j, &text, true);
    yzi_json_object(j);
    YZ_TRY(put(&s->l, &s->o, s->g, s->fine));
    yzi_json_key(j, "policy_version");
    yzi_json_u64(j, s->o.offer.version);
    yzi_json_key(j, "warnings");
    yzi_json_array(j);
    for (size_t i = 0; i < s->doubts.n; i++) {
        yzi_json_str(j, s->doubts.of[i]);
    }
    yzi_json_array_end(j);
    yzi_json_object_end(j);
    YZ_TRY(yzi_json_end(j));
    yzi_cli_write(s->l.c, yzi_bytes_buf(&text));
    return YZ_OK;
}

static int load(struct showing *s, struct cli *c)
{
    const char *home;
    struct member_set set;
    yz_bytes id = yzi_bytes_str(yzi_cli_arg(c, 0));
    YZ_TRY(yzi_home_open(c, HOME_MEMBER, false, &home));
    YZ_TRY(yzi_home_member_set(c, home, &set));
    YZ_TRY(yzi_home_grant_offer(c, home, &set, id, &s->o));
    for (size_t i = 0; i < s->o.offer.grants_n && !s->g; i++) {
        s->g = yzi_bytes_eq(s->o.offer.grants[i].id, id) ? &s->o.offer.grants[i] : NULL;
    }
    return YZ_OK;
}

int yzi_cli_grant_show(struct cli *c)
{
    static const struct fine_grant none;
    struct showing s = {.l = {.c = c, .now = yzi_home_now()}};
    YZ_TRY(load(&s, c));
    s.fine = yzi_home_offer_fine(&s.o, s.g->id);
    YZ_TRY(yzi_cli_grant_doubts(c, &s.o, s.g, s.fine, s.l.now, &s.doubts));
    s.fine = s.fine ? s.fine : &none;
    yzi_buf_init(&s.line, 2 * YZ_VALUE_MAX);
    int rc = yzi_cli_json(c) ? show_json(&s) : show_text(&s);
    yzi_buf_fini(&s.line);
    return rc;
}
