/* SPDX-License-Identifier: Apache-2.0
 *
 * yz service: what a subsystem offers. Publishing makes the next version of its offer; the grants
 * of the version before go over into it.
 */
#include "cli/offer.h"

/* -- publish -- */

struct publication {
    const char *home;
    struct member_set set;
    struct home_offer offer;
    struct offered_service service;
    yz_bytes local; /* "code/version" */
    struct dataset *definition;
};

static void publication_fini(struct publication *p)
{
    yzi_dataset_unref(p->definition);
}

static int read_service(struct cli *c, struct publication *p)
{
    const char *text = yzi_cli_option(c, "service");
    const char *slash = strchr(text, '/');
    yz_bytes all = yzi_bytes_str(text);
    size_t n = slash ? (size_t)(slash - text) : all.n;
    p->local = all;
    p->service.code = yzi_bytes(text, n);
    p->service.version = slash ? yzi_bytes(slash + 1, all.n - n - 1) : (yz_bytes){0};
    if (!slash || yzi_segment_check(p->service.code) < 0 ||
        yzi_segment_check(p->service.version) < 0) {
        return yzi_cli_usage(c, "--service: '%s' is not CODE/VERSION, such as marriages/v1", text);
    }
    return YZ_OK;
}

static int read_mode(struct cli *c, enum service_mode *out)
{
    unsigned mode = SERVICE_READ;
    const char *text = yzi_cli_option(c, "mode");
    if (text && yzi_mode_parse(text, &mode) < 0) {
        return yzi_cli_usage(c, "--mode: '%s' is neither read nor write", text);
    }
    *out = (enum service_mode)mode;
    return YZ_OK;
}

static int read_adapter(struct cli *c, const struct publication *p, const char *text, yz_bytes *out)
{
    yz_node_id id;
    YZ_TRY(yzi_cli_node_id(c, text, &id));
    const struct node_record *n = yzi_home_node(&p->set, id.v);
    if (!n || n->role != ROLE_ADAPTER) {
        return yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND,
                        "%s is no adapter in the member set; admit it with yz node admit", text);
    }
    for (size_t i = 0; i < n->subsystems.n; i++) {
        if (yzi_bytes_eq(n->subsystems.items[i], p->offer.code)) {
            *out = id.v;
            return YZ_OK;
        }
    }
    return yzi_fail(yzi_cli_error(c), YZ_EDENIED,
                    "%s does not serve the subsystem '%.*s'; admit it again with --subsystem", text,
                    CLI_V(p->offer.code));
}

static int read_adapters(struct cli *c, struct publication *p)
{
    size_t n;
    const char *const *given = yzi_cli_options(c, "adapter", &n);
    struct name_list *l = &p->service.adapters;
    if (n > YZ_SERVICE_ADAPTERS_MAX) {
        return yzi_cli_usage(c, "a service has at most %u adapters", YZ_SERVICE_ADAPTERS_MAX);
    }
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n, sizeof *l->items, &l->items));
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(read_adapter(c, p, given[i], &l->items[i]));
        for (size_t k = 0; k < i; k++) {
            if (yzi_bytes_eq(l->items[i], l->items[k])) {
                return yzi_cli_usage(c, "--adapter %s is given twice", given[i]);
            }
        }
    }
    l->n = n;
    return YZ_OK;
}

static int read_definition(struct cli *c, struct publication *p)
{
    YZ_TRY(yzi_dataset_load(yzi_cli_option(c, "definition"), &p->definition, yzi_cli_error(c)));
    if (p->definition->sharing == SHARING_WITHHELD) {
        return yzi_fail(yzi_cli_error(c), YZ_EDENIED,
                        "%s: the data set is withheld (sharing: withheld), so no service may offer "
                        "it",
                        yzi_cli_option(c, "definition"));
    }
    p->service.data_set = yzi_bytes_str(p->definition->name);
    return YZ_OK;
}

static int check_granted(struct cli *c, const struct publication *p, const struct fine_grant *fine,
                         yz_bytes field, const char *what)
{
    if (yzi_dataset_field(p->definition, field) >= 0) {
        return YZ_OK;
    }
    return yzi_fail(yzi_cli_error(c), YZ_EINVAL,
                    "the grant %.*s lets the field '%.*s' be %s, which the definition does not "
                    "have: revoke the grant first",
                    CLI_V(fine->id), CLI_V(field), what);
}

/* That no grant on this data set reads or writes what the definition no longer has. */
static int check_grants(struct cli *c, const struct publication *p)
{
    const struct offer *o = &p->offer.offer;
    for (size_t i = 0; i < o->grants_n; i++) {
        const struct offered_service *s = yzi_home_offer_service(&p->offer, o->grants[i].service);
        const struct fine_grant *fine = yzi_home_offer_fine(&p->offer, o->grants[i].id);
        if (!s || !fine || !yzi_bytes_eq(s->data_set, p->service.data_set)) {
            continue;
        }
        for (size_t k = 0; k < fine->readable_n; k++) {
            YZ_TRY(check_granted(c, p, fine, fine->readable[k].name, "read"));
        }
        for (size_t k = 0; k < fine->writable.n; k++) {
            YZ_TRY(check_granted(c, p, fine, fine->writable.items[k], "written"));
        }
    }
    return YZ_OK;
}

static int put_service(struct cli *c, struct publication *p)
{
    struct offer *o = &p->offer.offer;
    struct offered_service *s = yzi_home_offer_service(&p->offer, p->local);
    yz_bytes before = {0};
    if (s) {
        before = s->data_set;
    } else {
        YZ_TRY(yzi_cli_extend(c, &o->services, o->services_n, sizeof *o->services));
        s = &o->services[o->services_n++];
    }
    *s = p->service;
    YZ_TRY(check_grants(c, p));
    yzi_home_offer_forget(&p->offer, before);
    return yzi_home_offer_describe(c, &p->offer, p->definition);
}

static int run_publish(struct cli *c)
{
    YZ_AUTO(publication_fini) struct publication p = {0};
    yz_bytes code;
    YZ_TRY(yzi_cli_code(c, "a subsystem", yzi_cli_option(c, "subsystem"), &code));
    YZ_TRY(read_service(c, &p));
    YZ_TRY(read_mode(c, &p.service.mode));
    YZ_TRY(yzi_home_open(c, HOME_MEMBER, true, &p.home));
    YZ_TRY(yzi_home_member_set(c, p.home, &p.set));
    YZ_TRY(yzi_home_offer_load(c, p.home, &p.set, code, &p.offer));
    YZ_TRY(read_adapters(c, &p));
    YZ_TRY(read_definition(c, &p));
    YZ_TRY(put_service(c, &p));
    YZ_TRY(yzi_home_offer_sign(c, &p.offer));
    yzi_cli_say(c, "%.*s/%.*s is offered; offer version %llu, %zu grants\n",
                CLI_V(p.offer.offer.subsystem.v), CLI_V(p.local),
                (unsigned long long)p.offer.offer.version, p.offer.offer.grants_n);
    return yzi_home_offer_push(c, &p.offer);
}

/* -- push -- */

static int run_push(struct cli *c)
{
    const char *home;
    yz_bytes code;
    struct member_set set;
    struct home_offer o;
    YZ_TRY(yzi_cli_code(c, "a subsystem", yzi_cli_option(c, "subsystem"), &code));
    YZ_TRY(yzi_home_open(c, HOME_MEMBER, false, &home));
    YZ_TRY(yzi_home_member_set(c, home, &set));
    YZ_TRY(yzi_home_offer_load(c, home, &set, code, &o));
    if (!o.exists) {
        return yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND,
                        "the subsystem '%.*s' offers nothing yet (yz service publish)",
                        CLI_V(code));
    }
    return yzi_home_offer_push(c, &o);
}

static const struct cli_option publish_options[] = {
    {"home", "DIR", "The member's home", true, false},
    {"subsystem", "CODE", "The subsystem that offers it", true, false},
    {"service", "CODE/VERSION", "The service, such as marriages/v1", true, false},
    {"definition", "FILE", "The data set it answers from", true, false},
    {"adapter", "NODE", "The adapter that serves it", true, true},
    {"mode", "MODE", "read (the default), or write: it takes insert, put and delete, too", false,
     false},
    {"admin", "SOCKET", "Give offer and terms to this adapter at once", false, true},
    {0}};
static const struct cli_option push_options[] = {
    {"home", "DIR", "The member's home", true, false},
    {"subsystem", "CODE", "The subsystem whose offer it is", true, false},
    {"admin", "SOCKET", "The adapter to give offer and terms to", true, true},
    {0}};

const struct cli_verb yzi_cli_service[] = {
    {"service", "publish", "", 0, 0, "Offer a service: the next version of the subsystem's offer",
     publish_options, run_publish, true},
    {"service", "push", "", 0, 0, "Give a subsystem's offer and terms to its adapters again",
     push_options, run_push, true},
    CLI_TABLE_END};
