/* SPDX-License-Identifier: Apache-2.0
 *
 * yz group: named sets of subsystems that grants may be given to. A version never changes; adding
 * and removing members makes the next one. Grants stay pinned to the version they were given for
 * (yz grant repin moves them), and lose at once who left it since.
 */
#include "cli/group.h"

#include "base/file.h"
#include "base/text.h"
#include "cli/columns.h"

#define FILE_BYTES_MAX (4u * 1024u * 1024u)

/* -- looking up -- */

const struct consumer_group *yzi_home_group(const struct home_offer *o, yz_bytes code)
{
    const struct consumer_group *newest = NULL;
    for (size_t i = 0; i < o->offer.groups_n; i++) {
        newest = yzi_bytes_eq(o->offer.groups[i].code, code) ? &o->offer.groups[i] : newest;
    }
    return newest;
}

static bool has_member(const struct consumer_group *g, yz_bytes member)
{
    for (size_t i = 0; i < g->members.n; i++) {
        if (yzi_bytes_eq(g->members.items[i], member)) {
            return true;
        }
    }
    return false;
}

static bool is_pinned(const struct offer *o, const struct consumer_group *g)
{
    for (size_t i = 0; i < o->grants_n; i++) {
        if (yzi_bytes_eq(o->grants[i].group_code, g->code) &&
            o->grants[i].group_version == g->version) {
            return true;
        }
    }
    return false;
}

static int unknown_group(struct cli *c, yz_bytes code)
{
    return yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND,
                    "there is no group %.*s; yz group list shows them", CLI_V(code));
}

int yzi_cli_group_code(struct cli *c, yz_bytes code)
{
    return yzi_check_word(code, YZ_NAME_MAX) < 0
               ? yzi_cli_usage(c, "'%.*s' is no group's code: that has 1 to %u of a-z, 0-9 and '-'",
                               CLI_V(code), YZ_NAME_MAX)
               : YZ_OK;
}

int yzi_home_group_named(struct cli *c, const struct home_offer *o, const char *text,
                         const struct consumer_group **out)
{
    const char *slash = strchr(text, '/');
    yz_bytes code = yzi_bytes(text, slash ? (size_t)(slash - text) : strlen(text));
    uint64_t version;
    YZ_TRY(yzi_cli_group_code(c, code));
    const struct consumer_group *g = yzi_home_group(o, code);
    if (!g) {
        return unknown_group(c, code);
    }
    if (slash) {
        if (yzi_u64_parse(yzi_bytes_str(slash + 1), UINT64_MAX, &version) < 0) {
            return yzi_cli_usage(c, "'%s' is no group: CODE or CODE/VERSION, such as cities/3",
                                 text);
        }
        uint64_t newest = g->version;
        g = yzi_offer_group(&o->offer, code, version);
        if (!g) {
            return yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND,
                            "there is no version %llu of %.*s any more; the newest is %llu",
                            (unsigned long long)version, CLI_V(code), (unsigned long long)newest);
        }
    }
    *out = g;
    return YZ_OK;
}

/* -- forgetting versions -- */

/* Whether a grant pinned before version `k` would be for somebody more if that version were not
 * there: a member of the last pinned version before it and of all others since, but not of `k`. */
static bool narrows(const struct offer *o, size_t k)
{
    const struct consumer_group *groups = o->groups, *g = &groups[k];
    size_t pinned = k;
    while (pinned > 0 && yzi_bytes_eq(groups[pinned - 1].code, g->code)) {
        if (is_pinned(o, &groups[--pinned])) {
            break;
        }
    }
    if (pinned == k || !is_pinned(o, &groups[pinned])) {
        return false;
    }
    for (size_t i = 0; i < groups[pinned].members.n; i++) {
        yz_bytes member = groups[pinned].members.items[i];
        bool in_others = !has_member(g, member);
        for (size_t v = pinned + 1;
             in_others && v < o->groups_n && yzi_bytes_eq(groups[v].code, g->code); v++) {
            in_others = v == k || has_member(&groups[v], member);
        }
        if (in_others) {
            return true;
        }
    }
    return false;
}

void yzi_home_groups_tidy(struct offer *o)
{
    for (size_t k = 0; k + 1 < o->groups_n;) {
        const struct consumer_group *g = &o->groups[k];
        bool newest = !yzi_bytes_eq(g[1].code, g->code);
        if (newest || is_pinned(o, g) || narrows(o, k)) {
            k++;
            continue;
        }
        memmove(&o->groups[k], &o->groups[k + 1], (o->groups_n - k - 1) * sizeof *o->groups);
        o->groups_n--;
    }
}

/* -- changing -- */

struct change {
    const char *home;
    struct member_set set;
    struct home_offer offer;
    yz_bytes code;
    struct name_list named; /* of --member and --file, ascending, once */
};

static int name_member(struct cli *c, struct change *a, const char *text)
{
    yz_subsystem_id id;
    YZ_TRY(yzi_cli_subsystem_id(c, text, &id));
    if (!yzi_bytes_eq(yzi_id_instance(id.v), yzi_id_instance(a->set.member.v))) {
        return yzi_cli_usage(c, "%s is of another instance than the group", text);
    }
    YZ_TRY(yzi_cli_extend(c, &a->named.items, a->named.n, sizeof *a->named.items));
    a->named.items[a->named.n++] = id.v;
    return YZ_OK;
}

/* A subsystem on each line; blank lines and what follows a '#' do not count. */
static int name_file(struct cli *c, struct change *a, const char *path)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yz_bytes copy;
    char *rest = NULL;
    yzi_buf_init(&text, FILE_BYTES_MAX);
    YZ_TRY(yzi_file_read(path, &text, yzi_cli_error(c)));
    YZ_TRY(yzi_buf_put_u8(&text, 0));
    YZ_TRY(yzi_arena_dup(yzi_cli_arena(c), yzi_bytes_buf(&text), &copy));
    char *at = (char *)(uintptr_t)copy.p;
    for (char *line = strtok_r(at, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        line[strcspn(line, "#\r")] = '\0';
        line += strspn(line, " \t");
        line[strcspn(line, " \t")] = '\0';
        if (*line) {
            YZ_TRY(name_member(c, a, line));
        }
    }
    return YZ_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return yzi_bytes_cmp(*(const yz_bytes *)a, *(const yz_bytes *)b);
}

static void sort_once(struct name_list *l)
{
    size_t kept = 0;
    if (l->n) {
        qsort(l->items, l->n, sizeof *l->items, by_bytes);
    }
    for (size_t i = 0; i < l->n; i++) {
        if (kept == 0 || !yzi_bytes_eq(l->items[kept - 1], l->items[i])) {
            l->items[kept++] = l->items[i];
        }
    }
    l->n = kept;
}

static int read_named(struct cli *c, struct change *a)
{
    size_t n;
    const char *const *given = yzi_cli_options(c, "member", &n);
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(name_member(c, a, given[i]));
    }
    given = yzi_cli_options(c, "file", &n);
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(name_file(c, a, given[i]));
    }
    sort_once(&a->named);
    return YZ_OK;
}

static int open_change(struct cli *c, struct change *a)
{
    yz_bytes subsystem;
    a->code = yzi_bytes_str(yzi_cli_arg(c, 0));
    YZ_TRY(yzi_cli_group_code(c, a->code));
    YZ_TRY(yzi_cli_code(c, "a subsystem", yzi_cli_option(c, "subsystem"), &subsystem));
    YZ_TRY(yzi_home_open(c, HOME_MEMBER, true, &a->home));
    YZ_TRY(yzi_home_member_set(c, a->home, &a->set));
    YZ_TRY(read_named(c, a));
    return yzi_home_offer_load(c, a->home, &a->set, subsystem, &a->offer);
}

/* The next version behind all of its code, or where the code belongs. */
static int put_version(struct cli *c, struct change *a, struct consumer_group g)
{
    struct offer *o = &a->offer.offer;
    size_t at = 0;
    if (g.members.n > YZ_GROUP_MEMBERS_MAX) {
        return yzi_fail(yzi_cli_error(c), YZ_ELIMIT, "a group has at most %u members",
                        YZ_GROUP_MEMBERS_MAX);
    }
    YZ_TRY(yzi_cli_extend(c, &o->groups, o->groups_n, sizeof *o->groups));
    while (at < o->groups_n && yzi_bytes_cmp(o->groups[at].code, g.code) <= 0) {
        at++;
    }
    memmove(&o->groups[at + 1], &o->groups[at], (o->groups_n - at) * sizeof *o->groups);
    o->groups[at] = g;
    o->groups_n++;
    return YZ_OK;
}

static int sign(struct cli *c, struct change *a, const struct consumer_group *g)
{
    YZ_TRY(yzi_home_offer_sign(c, &a->offer));
    yzi_cli_say(c, "%.*s version %llu: %zu member%s; offer version %llu\n", CLI_V(g->code),
                (unsigned long long)g->version, g->members.n, g->members.n == 1 ? "" : "s",
                (unsigned long long)a->offer.offer.version);
    return yzi_home_offer_push(c, &a->offer);
}

static int run_add(struct cli *c)
{
    struct change a = {0};
    YZ_TRY(open_change(c, &a));
    const struct consumer_group *old = yzi_home_group(&a.offer, a.code);
    if (old && a.named.n == 0) {
        return yzi_cli_usage(c, "nobody is named: who joins? (--member, --file)");
    }
    struct consumer_group g = {.code = a.code, .version = old ? old->version + 1 : 1};
    size_t before = old ? old->members.n : 0;
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), before + a.named.n, sizeof *g.members.items,
                         &g.members.items));
    for (size_t i = 0; i < before + a.named.n; i++) {
        g.members.items[g.members.n++] =
            i < before ? old->members.items[i] : a.named.items[i - before];
    }
    sort_once(&g.members);
    if (old && g.members.n == before) {
        return yzi_fail(yzi_cli_error(c), YZ_EEXIST,
                        "%.*s is a group already, and all of these are in it (version %llu)",
                        CLI_V(a.code), (unsigned long long)old->version);
    }
    YZ_TRY(put_version(c, &a, g));
    return sign(c, &a, &g);
}

/* -- remove -- */

static int remove_whole(struct cli *c, struct change *a)
{
    struct offer *o = &a->offer.offer;
    size_t kept = 0;
    for (size_t i = 0; i < o->grants_n; i++) {
        if (yzi_bytes_eq(o->grants[i].group_code, a->code)) {
            return yzi_fail(yzi_cli_error(c), YZ_EINVAL,
                            "the grant %.*s is given to %.*s: revoke it first",
                            CLI_V(o->grants[i].id), CLI_V(a->code));
        }
    }
    for (size_t i = 0; i < o->groups_n; i++) {
        if (!yzi_bytes_eq(o->groups[i].code, a->code)) {
            o->groups[kept++] = o->groups[i];
        }
    }
    o->groups_n = kept;
    YZ_TRY(yzi_home_offer_sign(c, &a->offer));
    yzi_cli_say(c, "%.*s is no group any more; offer version %llu\n", CLI_V(a->code),
                (unsigned long long)o->version);
    return yzi_home_offer_push(c, &a->offer);
}

static bool is_named(const struct change *a, yz_bytes member)
{
    return a->named.n &&
           bsearch(&member, a->named.items, a->named.n, sizeof *a->named.items, by_bytes);
}

static int run_remove(struct cli *c)
{
    struct change a = {0};
    YZ_TRY(open_change(c, &a));
    const struct consumer_group *old = yzi_home_group(&a.offer, a.code);
    if (!old) {
        return unknown_group(c, a.code);
    }
    if (!yzi_cli_flag(c, "member") && !yzi_cli_flag(c, "file")) {
        return remove_whole(c, &a);
    }
    struct consumer_group g = {.code = old->code, .version = old->version + 1};
    YZ_TRY(
        yzi_arena_new(yzi_cli_arena(c), old->members.n, sizeof *g.members.items, &g.members.items));
    for (size_t i = 0; i < old->members.n; i++) {
        if (!is_named(&a, old->members.items[i])) {
            g.members.items[g.members.n++] = old->members.items[i];
        }
    }
    if (g.members.n == old->members.n) {
        return yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND, "none of these is in %.*s (version %llu)",
                        CLI_V(a.code), (unsigned long long)old->version);
    }
    YZ_TRY(put_version(c, &a, g));
    return sign(c, &a, &g);
}

/* -- list and show -- */

struct listing {
    struct cli *c;
    struct columns table;
    struct json json;
    const char *only; /* show: this code */
    bool found;
};

static size_t grants_of(const struct offer *o, const struct consumer_group *g)
{
    size_t n = 0;
    for (size_t i = 0; i < o->grants_n; i++) {
        n += yzi_bytes_eq(o->grants[i].group_code, g->code) &&
             o->grants[i].group_version == g->version;
    }
    return n;
}

static void tell(struct listing *l, const struct offer *o, const struct consumer_group *g,
                 bool newest)
{
    yzi_columns_add(&l->table, o->subsystem.v);
    yzi_columns_printf(&l->table, "%.*s/%llu", CLI_V(g->code), (unsigned long long)g->version);
    yzi_columns_str(&l->table, newest ? "newest" : "kept for grants");
    yzi_columns_printf(&l->table, "%zu", g->members.n);
    yzi_columns_printf(&l->table, "%zu", grants_of(o, g));
}

static void put_names(struct json *j, const char *key, const struct name_list *l)
{
    yzi_json_key(j, key);
    yzi_json_array(j);
    for (size_t i = 0; i < l->n; i++) {
        yzi_json_text(j, l->items[i]);
    }
    yzi_json_array_end(j);
}

static void put(struct listing *l, const struct offer *o, const struct consumer_group *g,
                bool newest)
{
    struct json *j = &l->json;
    yzi_json_object(j);
    yzi_json_key(j, "subsystem");
    yzi_json_text(j, o->subsystem.v);
    yzi_json_key(j, "group");
    yzi_json_text(j, g->code);
    yzi_json_key(j, "version");
    yzi_json_u64(j, g->version);
    yzi_json_key(j, "newest");
    yzi_json_bool(j, newest);
    put_names(j, "members", &g->members);
    put_names(j, "consumers", &g->consumers);
    yzi_json_key(j, "grants");
    yzi_json_array(j);
    for (size_t i = 0; i < o->grants_n; i++) {
        if (yzi_bytes_eq(o->grants[i].group_code, g->code) &&
            o->grants[i].group_version == g->version) {
            yzi_json_text(j, o->grants[i].id);
        }
    }
    yzi_json_array_end(j);
    yzi_json_object_end(j);
}

/* One version with its members, and whom a grant pinned to it is for. */
static void tell_members(struct listing *l, const struct consumer_group *g)
{
    for (size_t i = 0, k = 0; i < g->members.n; i++) {
        bool still = k < g->consumers.n && yzi_bytes_eq(g->consumers.items[k], g->members.items[i]);
        k += still;
        yzi_columns_printf(&l->table, "%.*s/%llu", CLI_V(g->code), (unsigned long long)g->version);
        yzi_columns_add(&l->table, g->members.items[i]);
        yzi_columns_str(&l->table, still ? "" : "left since: no grant of this version is for it");
    }
}

static void visit(struct listing *l, const struct offer *o)
{
    for (size_t i = 0; i < o->groups_n; i++) {
        const struct consumer_group *g = &o->groups[i];
        bool newest = i + 1 == o->groups_n || !yzi_bytes_eq(g[1].code, g->code);
        if (l->only && !yzi_bytes_eq_str(g->code, l->only)) {
            continue;
        }
        l->found = true;
        if (yzi_cli_json(l->c)) {
            put(l, o, g, newest);
        } else if (l->only) {
            tell_members(l, g);
        } else {
            tell(l, o, g, newest);
        }
    }
}

static int visit_all(struct listing *l)
{
    const char *home, *only = yzi_cli_option(l->c, "subsystem");
    struct member_set set;
    YZ_TRY(yzi_home_open(l->c, HOME_MEMBER, false, &home));
    YZ_TRY(yzi_home_member_set(l->c, home, &set));
    for (size_t i = 0; i < set.subsystems_n; i++) {
        struct home_offer o;
        if (!only || yzi_bytes_eq_str(set.subsystems[i].code, only)) {
            YZ_TRY(yzi_home_offer_load(l->c, home, &set, set.subsystems[i].code, &o));
            visit(l, &o.offer);
        }
    }
    return l->only && !l->found ? unknown_group(l->c, yzi_bytes_str(l->only)) : YZ_OK;
}

static int run_listing(struct cli *c, const char *only, const char *const *head)
{
    struct listing l = {.c = c, .only = only};
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, 64u * 1024u * 1024u);
    if (!yzi_cli_json(c)) {
        yzi_columns_begin(&l.table, c, head);
        YZ_TRY(visit_all(&l));
        return yzi_columns_print(&l.table, false);
    }
    yzi_json_init(&l.json, &text, true);
    yzi_json_array(&l.json);
    YZ_TRY(visit_all(&l));
    yzi_json_array_end(&l.json);
    YZ_TRY(yzi_json_end(&l.json));
    yzi_cli_write(c, yzi_bytes_buf(&text));
    return YZ_OK;
}

static int run_list(struct cli *c)
{
    static const char *const head[] = {"SUBSYSTEM", "GROUP", "STATE", "MEMBERS", "GRANTS", NULL};
    return run_listing(c, NULL, head);
}

static int run_show(struct cli *c)
{
    static const char *const head[] = {"GROUP", "MEMBER", "NOTE", NULL};
    YZ_TRY(yzi_cli_group_code(c, yzi_bytes_str(yzi_cli_arg(c, 0))));
    return run_listing(c, yzi_cli_arg(c, 0), head);
}

#define CHANGE_OPTIONS(what)                                                                       \
    {"home", "DIR", "The member's home", true, false},                                             \
        {"subsystem", "CODE", "The subsystem whose grants it is for", true, false},                \
        {"member", "SUBSYSTEM", what, false, true},                                                \
        {"file", "FILE", "A file of them, one a line ('#' begins a comment)", false, true},        \
        {"admin", "SOCKET", "Give offer and terms to this adapter at once", false, true},          \
    {                                                                                              \
        0                                                                                          \
    }
static const struct cli_option add_options[] = {
    CHANGE_OPTIONS("A subsystem that joins, INSTANCE/CLASS/CODE/SUBSYSTEM")};
static const struct cli_option remove_options[] = {
    CHANGE_OPTIONS("A subsystem that leaves (without any: the whole group goes)")};
static const struct cli_option list_options[] = {
    {"home", "DIR", "The member's home", true, false},
    {"subsystem", "CODE", "Only the groups of this subsystem", false, false},
    {0}};

const struct cli_verb yzi_cli_group[] = {
    {"group", "add", "GROUP", 1, 1, "Make a group, or its next version with more members",
     add_options, run_add, true},
    {"group", "list", "", 0, 0, "List the groups of a member, and how many grants name them",
     list_options, run_list, false},
    {"group", "show", "GROUP", 1, 1, "Show who is in a group, version by version", list_options,
     run_show, false},
    {"group", "remove", "GROUP", 1, 1, "Make a group's next version with fewer members, or end it",
     remove_options, run_remove, true},
    CLI_TABLE_END};
