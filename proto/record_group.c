/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups: named sets of subsystems in an offer, in versions. A grant is pinned to one version, and
 * is for the members that this version and every later one in the offer have in common. So a member
 * that joins a group gets nothing until its owner pins a grant anew, and one that leaves loses what
 * it had at once; no later version ever widens a grant. Whom a version is for is worked out once,
 * when the offer is read, because brokers decide by it for every message.
 */
#include "proto/record_part.h"

static int group_cmp(const struct consumer_group *g, yz_bytes code, uint64_t version)
{
    int c = yzi_bytes_cmp(g->code, code);
    return c ? c : (g->version > version) - (g->version < version);
}

/* -- reading -- */

static int read_members(struct record_reader *r, const Yizhan__Wire__Group *w, yz_bytes instance,
                        struct name_list *out)
{
    YZ_TRY(yzi_check_count(w->n_members, 0, YZ_GROUP_MEMBERS_MAX));
    YZ_TRY(yzi_arena_new(r->keep, w->n_members, sizeof *out->items, &out->items));
    for (size_t i = 0; i < w->n_members; i++) {
        yz_subsystem_id id;
        YZ_TRY(yzi_subsystem_id_parse(yzi_view(w->members[i]), &id));
        YZ_TRY(yzi_check_instance(id.v, instance));
        YZ_ENSURE(i == 0 || yzi_bytes_cmp(out->items[i - 1], id.v) < 0, YZ_EMALFORMED);
        out->items[i] = id.v;
    }
    out->n = w->n_members;
    return 0;
}

/* Those of `a` that are in `b` too; both ascend. `later` NULL: all of `a`. */
static int intersect(struct record_reader *r, const struct name_list *a,
                     const struct name_list *later, struct name_list *out)
{
    if (!later) {
        *out = *a;
        return 0;
    }
    YZ_TRY(yzi_arena_new(r->keep, a->n, sizeof *out->items, &out->items));
    for (size_t i = 0, k = 0; i < a->n && k < later->n;) {
        int c = yzi_bytes_cmp(a->items[i], later->items[k]);
        if (c == 0) {
            out->items[out->n++] = a->items[i];
        }
        i += c <= 0;
        k += c >= 0;
    }
    return 0;
}

/* From the last version of each group back to its first. */
static int find_consumers(struct record_reader *r, struct offer *o)
{
    for (size_t i = o->groups_n; i-- > 0;) {
        struct consumer_group *g = &o->groups[i], *next = g + 1;
        bool last = i + 1 == o->groups_n || !yzi_bytes_eq(next->code, g->code);
        YZ_TRY(intersect(r, &g->members, last ? NULL : &next->consumers, &g->consumers));
    }
    return 0;
}

int yzi_read_groups(struct record_reader *r, const Yizhan__Wire__Offer *w, struct offer *out)
{
    YZ_TRY(yzi_check_count(w->n_groups, 0, YZ_GROUPS_MAX));
    YZ_TRY(yzi_arena_new(r->keep, w->n_groups, sizeof *out->groups, &out->groups));
    for (size_t i = 0; i < w->n_groups; i++) {
        const Yizhan__Wire__Group *from = w->groups[i];
        struct consumer_group *to = &out->groups[i];
        to->code = yzi_view(from->code);
        YZ_TRY(yzi_check_word(to->code, YZ_NAME_MAX));
        YZ_ENSURE(from->version > 0, YZ_EMALFORMED);
        to->version = from->version;
        YZ_TRY(read_members(r, from, yzi_id_instance(out->subsystem.v), &to->members));
        YZ_ENSURE(i == 0 || group_cmp(to - 1, to->code, to->version) < 0, YZ_EMALFORMED);
    }
    out->groups_n = w->n_groups;
    return find_consumers(r, out);
}

/* -- writing -- */

int yzi_wire_groups(struct arena *scratch, const struct offer *in, Yizhan__Wire__Offer *w)
{
    YZ_TRY(yzi_wire_list(scratch, &yizhan__wire__group__descriptor, in->groups_n, &w->groups));
    w->n_groups = in->groups_n;
    for (size_t i = 0; i < in->groups_n; i++) {
        const struct consumer_group *from = &in->groups[i];
        Yizhan__Wire__Group *to = w->groups[i];
        to->code = yzi_bin(from->code);
        to->version = from->version;
        YZ_TRY(yzi_wire_names(scratch, &from->members, &to->n_members, &to->members));
    }
    return 0;
}

/* -- asking -- */

const struct consumer_group *yzi_offer_group(const struct offer *o, yz_bytes code, uint64_t version)
{
    size_t low = 0, high = o->groups_n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = group_cmp(&o->groups[mid], code, version);
        if (c == 0) {
            return &o->groups[mid];
        }
        low = c < 0 ? mid + 1 : low;
        high = c < 0 ? high : mid;
    }
    return NULL;
}

static int by_bytes(const void *a, const void *b)
{
    return yzi_bytes_cmp(*(const yz_bytes *)a, *(const yz_bytes *)b);
}

bool yzi_offer_grant_is_for(const struct offer *o, const struct coarse_grant *g,
                            yz_subsystem_id consumer)
{
    if (g->consumer.v.n > 0) {
        return g->group_code.n == 0 && yzi_bytes_eq(g->consumer.v, consumer.v);
    }
    const struct consumer_group *group =
        g->group_code.n > 0 ? yzi_offer_group(o, g->group_code, g->group_version) : NULL;
    const struct name_list *l = group ? &group->consumers : NULL;
    return l && l->n > 0 && bsearch(&consumer.v, l->items, l->n, sizeof *l->items, by_bytes);
}
