/* SPDX-License-Identifier: Apache-2.0
 *
 * yz grant: who may ask what. A grant has a coarse half in the offer, which brokers see, and a fine
 * half in the terms, which only adapters see; both are made, listed and taken back together.
 */
#include <sodium.h>

#include "cli/grant.h"
#include "cli/group.h"
#include "cli/purpose.h"

#define ID_BYTES 4u

/* -- add -- */

struct addition {
    const char *home;
    struct member_set set;
    struct home_offer offer;
    yz_service_id service;
    struct coarse_grant coarse;
    struct fine_grant fine;
    const struct offered_service *offered;
    const struct catalogue_entry *entry; /* what the service answers from */
    struct dataset *dataset;             /* the same, as far as the home knows it */
};

static int read_service(struct cli *c, struct addition *a)
{
    yz_subsystem_id subsystem = yzi_service_subsystem(a->service);
    if (!yzi_bytes_eq(yzi_subsystem_member(subsystem).v, a->set.member.v)) {
        return yzi_fail(yzi_cli_error(c), YZ_EDENIED, "%.*s is not a service of %.*s",
                        CLI_V(a->service.v), CLI_V(a->set.member.v));
    }
    YZ_TRY(yzi_home_offer_load(c, a->home, &a->set, yzi_subsystem_code(subsystem), &a->offer));
    a->coarse.service = yzi_service_local(a->service);
    const struct offered_service *s = yzi_home_offer_service(&a->offer, a->coarse.service);
    YZ_TRY(s ? yzi_home_offer_fields(c, &a->offer, s->data_set, &a->entry) : YZ_OK);
    if (!a->entry) {
        return yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND,
                        "%.*s is not offered; publish it first (yz service publish)",
                        CLI_V(a->service.v));
    }
    a->offered = s;
    return yzi_home_dataset(c, &a->offer, a->entry, &a->dataset);
}

/* --consumer, or --group, which needs the offer. */
static int read_consumer(struct cli *c, struct addition *a)
{
    const struct consumer_group *g;
    const char *group = yzi_cli_option(c, "group");
    if (!group == !yzi_cli_flag(c, "consumer")) {
        return yzi_cli_usage(c, "one of --consumer and --group is needed, not both: who may ask?");
    }
    if (group) {
        YZ_TRY(yzi_home_group_named(c, &a->offer, group, &g));
        a->coarse.group_code = g->code;
        a->coarse.group_version = g->version;
        return YZ_OK;
    }
    YZ_TRY(yzi_cli_subsystem_id(c, yzi_cli_option(c, "consumer"), &a->coarse.consumer));
    if (!yzi_bytes_eq(yzi_id_instance(a->coarse.consumer.v), yzi_id_instance(a->service.v))) {
        return yzi_cli_usage(c, "--consumer: %.*s is of another instance than the service",
                             CLI_V(a->coarse.consumer.v));
    }
    return YZ_OK;
}

static int read_operations(struct cli *c, struct fine_grant *fine)
{
    size_t n;
    const char *const *given = yzi_cli_options(c, "operation", &n);
    fine->operations = n ? 0 : 1u << QUERY_GET;
    for (size_t i = 0; i < n; i++) {
        unsigned operation;
        if (yzi_operation_parse(given[i], &operation) < 0) {
            return yzi_cli_usage(
                c,
                "--operation: '%s' is none of get, find, count, match, insert, put "
                "and delete",
                given[i]);
        }
        fine->operations |= 1u << operation;
    }
    return YZ_OK;
}

static bool has_field(const struct addition *a, const char *field)
{
    return yzi_dataset_field(a->dataset, yzi_bytes_str(field)) >= 0;
}

static int unknown_field(struct cli *c, const struct catalogue_entry *e, const char *field)
{
    YZ_AUTO(yzi_buf_fini) yz_buf known;
    yzi_buf_init(&known, 300);
    for (size_t i = 0; i < e->elements_n; i++) {
        if (yzi_buf_printf(&known, "%s%.*s", i ? ", " : "", CLI_V(e->elements[i].field)) < 0) {
            yz_ignore(yzi_buf_put_str(&known, " ..."), "the list is for help only");
            break;
        }
    }
    return yzi_fail(yzi_cli_error(c), YZ_EINVAL,
                    "the data set '%.*s' has no field '%s'; it has %.*s", CLI_V(e->data_set), field,
                    CLI_V(yzi_bytes_buf(&known)));
}

/* The fields named, or all that are listed: one by one, so that a field the data set gets later is
 * not granted by an old grant. Who may only match reads nothing. */
static int read_fields(struct cli *c, struct addition *a)
{
    struct fine_grant *fine = &a->fine;
    size_t n, all = fine->operations == 1u << QUERY_MATCH ? 0 : a->entry->elements_n;
    const char *const *given = yzi_cli_options(c, "field", &n);
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n + all, sizeof *fine->readable, &fine->readable));
    for (size_t i = 0; i < n; i++) {
        yz_bytes name = yzi_bytes_str(given[i]);
        if (!has_field(a, given[i])) {
            return unknown_field(c, a->entry, given[i]);
        }
        for (size_t k = 0; k < fine->readable_n; k++) {
            if (yzi_bytes_eq(fine->readable[k].name, name)) {
                return yzi_cli_usage(c, "--field %s is given twice", given[i]);
            }
        }
        fine->readable[fine->readable_n++].name = name;
    }
    for (size_t i = 0; n == 0 && i < all; i++) {
        fine->readable[fine->readable_n++].name = a->entry->elements[i].field;
    }
    return YZ_OK;
}

/* The fields of --filter, --sort or --write: none unless they are named. */
static int read_names(struct cli *c, struct addition *a, const char *option, struct name_list *out)
{
    size_t n;
    const char *const *given = yzi_cli_options(c, option, &n);
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n, sizeof *out->items, &out->items));
    for (size_t i = 0; i < n; i++) {
        if (!has_field(a, given[i])) {
            return unknown_field(c, a->entry, given[i]);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(given[i], given[k]) == 0) {
                return yzi_cli_usage(c, "--%s %s is given twice", option, given[i]);
            }
        }
        out->items[out->n++] = yzi_bytes_str(given[i]);
    }
    return YZ_OK;
}

/* What could never be used is a mistake. */
static int check_writing(struct cli *c, const struct addition *a)
{
    unsigned brings = 1u << QUERY_INSERT | 1u << QUERY_PUT;
    unsigned writes = brings | 1u << QUERY_DELETE;
    const struct offered_service *s = yzi_home_offer_service(&a->offer, a->coarse.service);
    if ((a->fine.operations & writes) && s->mode != SERVICE_WRITE) {
        return yzi_fail(yzi_cli_error(c), YZ_EINVAL,
                        "%.*s is a service that reads: it takes no insert, put or delete (yz "
                        "service publish --mode write)",
                        CLI_V(a->service.v));
    }
    bool needed = a->fine.operations & brings;
    if (needed != (a->fine.writable.n > 0)) {
        return yzi_cli_usage(c, needed ? "--write is needed: which fields may be inserted or put?"
                                       : "--write is for --operation insert and put");
    }
    return YZ_OK;
}

static bool is_purpose(const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return false;
        }
    }
    return n > 0 && n <= YZ_PURPOSE_MAX;
}

static int read_purposes(struct cli *c, struct fine_grant *fine)
{
    size_t n;
    const char *const *given = yzi_cli_options(c, "purpose", &n);
    if (n > YZ_PURPOSES_MAX) {
        return yzi_cli_usage(c, "a grant has at most %u purposes", YZ_PURPOSES_MAX);
    }
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n, sizeof *fine->purposes.items, &fine->purposes.items));
    for (size_t i = 0; i < n; i++) {
        if (!is_purpose(given[i])) {
            return yzi_cli_usage(c,
                                 "--purpose: '%s' is no code: 1 to %u printable ASCII characters "
                                 "without space",
                                 given[i], YZ_PURPOSE_MAX);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(given[i], given[k]) == 0) {
                return yzi_cli_usage(c, "--purpose %s is given twice", given[i]);
            }
        }
        fine->purposes.items[i] = yzi_bytes_str(given[i]);
    }
    fine->purposes.n = n;
    return YZ_OK;
}

static int read_validity(struct cli *c, struct coarse_grant *g)
{
    const char *from = yzi_cli_option(c, "from"), *until = yzi_cli_option(c, "until");
    YZ_TRY(from ? yzi_cli_time(c, "from", from, &g->not_before) : YZ_OK);
    YZ_TRY(until ? yzi_cli_time(c, "until", until, &g->not_after) : YZ_OK);
    if (until && (g->not_after <= yzi_home_now() || g->not_after <= g->not_before)) {
        return yzi_cli_usage(c, "--until %s: the grant would never count", until);
    }
    return YZ_OK;
}

/* A name no grant of the offer has; random, so that a name once revoked does not come back. */
static int choose_id(struct cli *c, const struct home_offer *o, yz_bytes *out)
{
    char id[2 + 2 * ID_BYTES + 1] = "g-";
    uint8_t random[ID_BYTES];
    do {
        randombytes_buf(random, sizeof random);
        sodium_bin2hex(id + 2, sizeof id - 2, random, sizeof random);
    } while (yzi_home_offer_fine(o, yzi_bytes_str(id)));
    return yzi_arena_dup(yzi_cli_arena(c), yzi_bytes_str(id), out);
}

static int append(struct cli *c, struct addition *a)
{
    struct offer *o = &a->offer.offer;
    struct terms *t = &a->offer.terms;
    YZ_TRY(choose_id(c, &a->offer, &a->coarse.id));
    a->fine.id = a->coarse.id;
    YZ_TRY(yzi_cli_extend(c, &o->grants, o->grants_n, sizeof *o->grants));
    YZ_TRY(yzi_cli_extend(c, &t->grants, t->grants_n, sizeof *t->grants));
    o->grants[o->grants_n++] = a->coarse;
    t->grants[t->grants_n++] = a->fine;
    return yzi_home_offer_sign(c, &a->offer);
}

static int run_add(struct cli *c)
{
    struct addition a = {0};
    a.coarse.strict = yzi_cli_flag(c, "strict");
    YZ_TRY(yzi_cli_service_id(c, yzi_cli_option(c, "service"), &a.service));
    YZ_TRY(read_operations(c, &a.fine));
    YZ_TRY(read_purposes(c, &a.fine));
    YZ_TRY(read_validity(c, &a.coarse));
    YZ_TRY(yzi_home_open(c, HOME_MEMBER, true, &a.home));
    YZ_TRY(yzi_home_member_set(c, a.home, &a.set));
    YZ_TRY(read_service(c, &a));
    YZ_TRY(read_consumer(c, &a));
    YZ_TRY(yzi_home_check_purposes(c, a.home, &a.fine.purposes));
    YZ_TRY(read_fields(c, &a));
    YZ_TRY(read_names(c, &a, "filter", &a.fine.filterable));
    YZ_TRY(read_names(c, &a, "sort", &a.fine.sortable));
    YZ_TRY(read_names(c, &a, "write", &a.fine.writable));
    YZ_TRY(check_writing(c, &a));
    YZ_TRY(yzi_cli_grant_masks(c, &a.fine));
    YZ_TRY(yzi_cli_grant_rows(c, a.dataset, &a.fine));
    YZ_TRY(yzi_cli_grant_predicates(c, a.dataset, &a.offer.offer, &a.fine));
    YZ_TRY(yzi_cli_grant_quota(c, a.offered, &a.fine));
    YZ_TRY(yzi_cli_grant_check(c, a.dataset, &a.offer.terms, &a.fine));
    YZ_TRY(append(c, &a));
    yzi_cli_say(c, "%.*s\n", CLI_V(a.coarse.id));
    return yzi_home_offer_push(c, &a.offer);
}

/* -- revoke -- */

static void remove_grant(struct home_offer *o, yz_bytes id)
{
    struct offer *offer = &o->offer;
    struct terms *terms = &o->terms;
    for (size_t i = 0; i < offer->grants_n; i++) {
        if (yzi_bytes_eq(offer->grants[i].id, id)) {
            memmove(&offer->grants[i], &offer->grants[i + 1],
                    (--offer->grants_n - i) * sizeof *offer->grants);
            break;
        }
    }
    struct fine_grant *fine = yzi_home_offer_fine(o, id);
    if (fine) {
        size_t after = terms->grants_n - (size_t)(fine - terms->grants) - 1;
        memmove(fine, fine + 1, after * sizeof *fine);
        terms->grants_n--;
    }
}

static bool has_grant(const struct home_offer *o, yz_bytes id)
{
    for (size_t i = 0; i < o->offer.grants_n; i++) {
        if (yzi_bytes_eq(o->offer.grants[i].id, id)) {
            return true;
        }
    }
    return false;
}

int yzi_home_grant_offer(struct cli *c, const char *home, const struct member_set *set, yz_bytes id,
                         struct home_offer *out)
{
    const char *only = yzi_cli_option(c, "subsystem");
    unsigned found = 0;
    for (size_t i = 0; i < set->subsystems_n; i++) {
        struct home_offer o;
        if (only && !yzi_bytes_eq_str(set->subsystems[i].code, only)) {
            continue;
        }
        YZ_TRY(yzi_home_offer_load(c, home, set, set->subsystems[i].code, &o));
        if (has_grant(&o, id)) {
            *out = o;
            found++;
        }
    }
    if (found > 1) {
        return yzi_cli_usage(c, "several subsystems have a grant %.*s: say which with --subsystem",
                             CLI_V(id));
    }
    return found ? YZ_OK
                 : yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND,
                            "there is no grant %.*s; yz grant list shows them", CLI_V(id));
}

static int run_revoke(struct cli *c)
{
    const char *home;
    struct member_set set;
    struct home_offer o = {0};
    yz_bytes id = yzi_bytes_str(yzi_cli_arg(c, 0));
    YZ_TRY(yzi_home_open(c, HOME_MEMBER, true, &home));
    YZ_TRY(yzi_home_member_set(c, home, &set));
    YZ_TRY(yzi_home_grant_offer(c, home, &set, id, &o));
    remove_grant(&o, id);
    YZ_TRY(yzi_home_offer_sign(c, &o));
    yzi_cli_say(
        c, "%.*s is revoked; offer version %llu%s\n", CLI_V(id),
        (unsigned long long)o.offer.version,
        yzi_cli_flag(c, "admin") ? "" : "; it counts once an adapter has that (yz service push)");
    return yzi_home_offer_push(c, &o);
}

/* -- repin -- */

static struct coarse_grant *coarse_of(struct home_offer *o, yz_bytes id)
{
    struct coarse_grant *g = o->offer.grants;
    while (!yzi_bytes_eq(g->id, id)) {
        g++;
    }
    return g;
}

/* Its group's newest version, when it is not pinned to that already. */
static int newest_version(struct cli *c, const struct home_offer *o, const struct coarse_grant *g,
                          uint64_t *out)
{
    if (g->group_code.n == 0) {
        return yzi_fail(yzi_cli_error(c), YZ_EINVAL, "%.*s is given to a subsystem, not to a group",
                        CLI_V(g->id));
    }
    const struct consumer_group *to = yzi_home_group(o, g->group_code);
    if (!to || g->group_version == to->version) {
        return yzi_fail(yzi_cli_error(c), YZ_EEXIST,
                        "%.*s is pinned to the newest version of %.*s already, %llu", CLI_V(g->id),
                        CLI_V(g->group_code), (unsigned long long)g->group_version);
    }
    *out = to->version;
    return YZ_OK;
}

/* Members that joined a group since get its grant in this way, and in no other. */
static int run_repin(struct cli *c)
{
    const char *home;
    struct member_set set;
    struct home_offer o = {0};
    yz_bytes id = yzi_bytes_str(yzi_cli_arg(c, 0));
    YZ_TRY(yzi_home_open(c, HOME_MEMBER, true, &home));
    YZ_TRY(yzi_home_member_set(c, home, &set));
    YZ_TRY(yzi_home_grant_offer(c, home, &set, id, &o));
    struct coarse_grant *g = coarse_of(&o, id);
    YZ_TRY(newest_version(c, &o, g, &g->group_version));
    YZ_TRY(yzi_home_offer_sign(c, &o));
    yzi_cli_say(
        c, "%.*s is pinned to %.*s/%llu; offer version %llu%s\n", CLI_V(id), CLI_V(g->group_code),
        (unsigned long long)g->group_version, (unsigned long long)o.offer.version,
        yzi_cli_flag(c, "admin") ? "" : "; it counts once an adapter has that (yz service push)");
    return yzi_home_offer_push(c, &o);
}

static const struct cli_option add_options[] = {
    {"home", "DIR", "The member's home", true, false},
    {"service", "ID", "The service, INSTANCE/CLASS/CODE/SUBSYSTEM/SERVICE/VERSION", true, false},
    {"consumer", "SUBSYSTEM", "Who may ask, INSTANCE/CLASS/CODE/SUBSYSTEM", false, false},
    {"group", "CODE[/VERSION]", "Or who may ask: a group, pinned to its newest or this version",
     false, false},
    {"operation", "OPERATION",
     "What may be asked: get (the default), find, count, match; of services that write insert, "
     "put, delete",
     false, true},
    {"field", "FIELD", "A field that may be read (without any: all the data set has now)", false,
     true},
    {"mask", "FIELD=MASK",
     "Show of a field that may be read only what this leaves: hide, last4, year, initial, hash",
     false, true},
    {"where", "CONDITION",
     "Only records that meet this are there for the grant: field=value, >=, >, <=, <, ^= (begins "
     "with), 'field in a,b'",
     false, true},
    {"filter", "FIELD", "A field that find and count may select by (without any: none)", false,
     true},
    {"sort", "FIELD", "A field that find may order by (without any: none)", false, true},
    {"write", "FIELD", "A field that may be inserted or put, the key's too (without any: none)",
     false, true},
    {"predicate", "QUESTION",
     "A yes/no question that match may ask: 'NAME FIELD OP [VALUE,...]', with OP eq, in, ge, gt, "
     "le or lt; without values the question brings one",
     false, true},
    {"step", "NAME=STEP",
     "What that value must be a whole multiple of: a number; of dates year or month", false, true},
    {"budget", "NAME=N[/DAYSd]",
     "How many questions like NAME a subsystem has about one subject, for ever or for so many days",
     false, true},
    {"purpose", "CODE", "A purpose it is for (without any: every purpose)", false, true},
    {"from", "TIME", "From when: 2027-01-01, or from now on: 7d", false, false},
    {"until", "TIME", "Until when: 2027-12-31, or from now on: 90d", false, false},
    {"quota", "N", "Calls a day (UTC) of each subsystem, at all adapters together", false, false},
    {"strict", NULL, "Only what a broker proves to be in its log is answered", false, false},
    {"admin", "SOCKET", "Give offer and terms to this adapter at once", false, true},
    {0}};
static const struct cli_option list_options[] = {
    {"home", "DIR", "The member's home", true, false},
    {"service", "ID", "Only the grants on this service", false, false},
    {0}};
static const struct cli_option show_options[] = {
    {"home", "DIR", "The member's home", true, false},
    {"subsystem", "CODE", "The subsystem, should several have a grant of that id", false, false},
    {0}};
static const struct cli_option revoke_options[] = {
    {"home", "DIR", "The member's home", true, false},
    {"subsystem", "CODE", "The subsystem, should several have a grant of that id", false, false},
    {"admin", "SOCKET", "Give offer and terms to this adapter at once", false, true},
    {0}};

const struct cli_verb yzi_cli_grant[] = {
    {"grant", "add", "", 0, 0, "Let a subsystem ask a service, and print the grant's id",
     add_options, run_add, true},
    {"grant", "explain", "", 0, 0,
     "Show which grants would allow a request, and which clause denies it",
     yzi_grant_explain_options, yzi_grant_explain, false},
    {"grant", "list", "", 0, 0, "List the grants of a member", list_options, yzi_cli_grant_list,
     false},
    {"grant", "show", "ID", 1, 1, "Show all there is to a grant, and what is doubtful about it",
     show_options, yzi_cli_grant_show, false},
    {"grant", "repin", "ID", 1, 1, "Give a group's grant to the newest version of the group",
     revoke_options, run_repin, true},
    {"grant", "revoke", "ID", 1, 1, "Take a grant back", revoke_options, run_revoke, true},
    {"grant", "test", "", 0, 0, "Say whether a request would be allowed, or test a file of cases",
     yzi_grant_test_options, yzi_grant_test, false},
    CLI_TABLE_END};
