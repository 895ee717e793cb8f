/* SPDX-License-Identifier: Apache-2.0
 *
 * Member sets, published or lying over what is published, and the snapshots made of a base and
 * overlays. A member speaks for itself: a newer set of its own takes effect without the operator.
 * It can say nothing about anybody else: a key that has another use, or belongs to another member's
 * node, in what is published (also where an overlay took it back, until the operator publishes
 * that) or in another overlay, makes the newer set refused, never the older one.
 */
#include "keys/directory_internal.h"

/* -- one set -- */

static int node_cmp(const void *a, const void *b)
{
    const struct dir_node *x = a, *y = b;
    return yzi_bytes_cmp(x->view.node.v, y->view.node.v);
}

static int code_cmp(const void *a, const void *b)
{
    const yz_bytes *x = a, *y = b;
    return yzi_bytes_cmp(*x, *y);
}

static const struct key_validity *find_key(const struct key_list *l, yz_bytes key)
{
    for (size_t i = 0; i < l->n; i++) {
        if (yzi_bytes_eq(yzi_bytes(l->items[i].key, 32), key)) {
            return &l->items[i];
        }
    }
    return NULL;
}

/* The keys of the member that signed, with the validity its record gives them. */
static int find_signers(const struct member_record *member, const struct record *r,
                        struct arena *arena, struct key_list *out)
{
    YZ_TRY(yzi_arena_new(arena, r->signatures_n, sizeof *out->items, &out->items));
    for (unsigned i = 0; i < r->signatures_n; i++) {
        const struct key_validity *k = find_key(&member->keys, r->signatures[i].key);
        if (k) {
            out->items[out->n++] = *k;
        }
    }
    return 0;
}

static int index_set(struct dir_set *s, struct arena *arena)
{
    struct member_set *set = &s->set;
    YZ_TRY(yzi_arena_new(arena, set->nodes_n, sizeof *s->nodes, &s->nodes));
    YZ_TRY(yzi_arena_new(arena, set->subsystems_n, sizeof *s->codes, &s->codes));
    for (size_t i = 0; i < set->nodes_n; i++) {
        const struct node_record *n = &set->nodes[i];
        s->nodes[i] = (struct dir_node){
            .view = {.node = n->node,
                     .role = n->role,
                     .member = set->member,
                     .signing = &n->signing,
                     .transport = &n->transport,
                     .record = n},
            .set = s,
        };
    }
    for (size_t i = 0; i < set->subsystems_n; i++) {
        s->codes[i] = set->subsystems[i].code;
    }
    qsort(s->nodes, set->nodes_n, sizeof *s->nodes, node_cmp);
    qsort(s->codes, set->subsystems_n, sizeof *s->codes, code_cmp);
    return 0;
}

static int check_signatures(const struct record *r, const struct key_list *signers)
{
    uint8_t keys[YZ_RECORD_SIGNATURES_MAX][32];
    YZ_ENSURE(signers->n > 0, YZ_ESIGNATURE);
    for (size_t i = 0; i < signers->n; i++) {
        memcpy(keys[i], signers->items[i].key, 32);
    }
    return yzi_record_verify(r, (const uint8_t(*)[32])keys, signers->n, 1);
}

/* Whether the very same set of the very same member, signatures and keys, was verified before. */
static bool was_verified(const struct dir_base *known, const struct dir_member *m, yz_bytes set_raw)
{
    const struct dir_member *was =
        known ? yzi_table_get(&known->members, m->record.member.v) : NULL;
    return was && was->set && yzi_bytes_eq(was->raw, m->raw) &&
           yzi_bytes_eq(was->set->raw, set_raw);
}

int yzi_dir_set_init(const struct dir_base *base, const struct record *r, struct arena *arena,
                     struct dir_set *out, struct dir_member **out_member, yz_error *err)
{
    YZ_ENSURE(r->kind == RECORD_MEMBER_SET, yzi_fail(err, YZ_EMALFORMED, "this is no member set"));
    int rc = yzi_member_set_parse(r->body, arena, &out->set);
    if (rc < 0) {
        return yzi_fail(err, rc, "a member set cannot be read (%s)", yz_err_words(rc));
    }
    yz_bytes id = out->set.member.v;
    struct dir_member *m = yzi_table_get(&base->members, id);
    if (!m) {
        return yzi_fail(err, YZ_EUNKNOWNKEY, "%.*s, whose member set this is, is no member",
                        YZ_V(id));
    }
    out->raw = r->raw;
    out->body = r->body;
    YZ_TRY(find_signers(&m->record, r, arena, &out->signers));
    rc = was_verified(base->known, m, r->raw) ? 0 : check_signatures(r, &out->signers);
    if (rc < 0) {
        return yzi_fail(err, rc, "the member set of %.*s is not signed by a key of that member",
                        YZ_V(id));
    }
    YZ_TRY(index_set(out, arena));
    *out_member = m;
    return 0;
}

int yzi_dir_set_alive(const struct dir_base *base, const struct dir_set *s, uint64_t now)
{
    int rc = YZ_EUNKNOWNKEY;
    for (size_t i = 0; i < s->signers.n; i++) {
        const uint8_t *key = s->signers.items[i].key;
        if (yzi_dir_revoked(&base->revoked_keys, yzi_bytes(key, 32), now)) {
            continue;
        }
        if (yzi_key_list_has(&s->signers, key, now)) {
            return 0;
        }
        rc = YZ_EEXPIRED;
    }
    return rc;
}

static struct dir_set *set_ref(struct dir_set *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void yzi_dir_set_unref(struct dir_set *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    yzi_arena_fini(&s->arena);
    free(s);
}

static void set_unref_ptr(struct dir_set **s)
{
    yzi_dir_set_unref(*s);
}

/* A set of its own memory from a record of somebody else's. */
static int set_new(const struct dir_base *base, yz_bytes record, struct dir_set **out,
                   struct dir_member **out_member, yz_error *err)
{
    YZ_AUTO(set_unref_ptr) struct dir_set *s = NULL;
    struct record r;
    yz_bytes copy;
    YZ_ENSURE(record.n <= YZ_RECORD_MAX,
              yzi_fail(err, YZ_ETOOBIG, "the member set is longer than any record"));
    YZ_TRY(yzi_alloc(1, sizeof *s, &s));
    atomic_init(&s->refs, 1);
    yzi_arena_init(&s->arena, DIR_ARENA_FIXED + DIR_ARENA_FACTOR * record.n);
    YZ_TRY(yzi_arena_dup(&s->arena, record, &copy));
    int rc = yzi_record_parse(copy, &r);
    if (rc < 0) {
        return yzi_fail(err, rc, "a member set cannot be read (%s)", yz_err_words(rc));
    }
    YZ_TRY(yzi_dir_set_init(base, &r, &s->arena, s, out_member, err));
    *out = YZ_TAKE(s);
    return 0;
}

/* -- snapshots -- */

void yzi_directory_ref(const struct directory *d)
{
    atomic_fetch_add_explicit(&((struct directory *)d)->refs, 1, memory_order_relaxed);
}

void yzi_directory_unref(const struct directory *cd)
{
    struct directory *d = (struct directory *)cd;
    if (!d || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < d->overlays_n; i++) {
        yzi_dir_set_unref(d->overlays[i]);
    }
    free(d->overlays);
    free(d->keys);
    yzi_dir_base_unref(d->base);
    free(d);
}

int yzi_dir_of_base(struct dir_base *base, const struct directory **out)
{
    struct directory *d;
    int rc = yzi_alloc(1, sizeof *d, &d);
    if (rc < 0) {
        yzi_dir_base_unref(base);
        return rc;
    }
    atomic_init(&d->refs, 1);
    d->base = base;
    *out = d;
    return 0;
}

static int overlay_key_cmp(const void *a, const void *b)
{
    const struct overlay_key *x = a, *y = b;
    return yzi_bytes_cmp(yzi_bytes(x->key, 32), yzi_bytes(y->key, 32));
}

static void put_keys(struct directory *d, const struct key_list *l, enum key_use use,
                     const struct dir_node *node, const struct dir_set *s)
{
    for (size_t i = 0; i < l->n; i++) {
        struct overlay_key *k = &d->keys[d->keys_n++];
        *k = (struct overlay_key){.use = use, .node = node, .set = s};
        memcpy(k->key, l->items[i].key, 32);
    }
}

static size_t count_keys(const struct dir_set *s)
{
    size_t n = s->set.owner_keys.n;
    for (size_t i = 0; i < s->set.nodes_n; i++) {
        n += s->set.nodes[i].signing.n + s->set.nodes[i].transport.n;
    }
    return n;
}

/* The keys of `s`, in order. */
static int own_keys(const struct dir_set *s, struct overlay_key **out)
{
    struct directory tmp = {0};
    YZ_TRY(yzi_alloc(count_keys(s), sizeof *tmp.keys, &tmp.keys));
    put_keys(&tmp, &s->set.owner_keys, KEY_OWNER, NULL, s);
    for (size_t i = 0; i < s->set.nodes_n; i++) {
        put_keys(&tmp, s->nodes[i].view.signing, KEY_SIGNING, &s->nodes[i], s);
        put_keys(&tmp, s->nodes[i].view.transport, KEY_TRANSPORT, &s->nodes[i], s);
    }
    qsort(tmp.keys, tmp.keys_n, sizeof *tmp.keys, overlay_key_cmp);
    *out = tmp.keys;
    return 0;
}

/* The keys of the overlays in `from`, less those of the set replaced, merged with those of `s`. */
static int copy_keys(struct directory *to, const struct directory *from, const struct dir_set *s,
                     const struct dir_set *replaced)
{
    YZ_AUTO(yzi_free_ptr) struct overlay_key *own = NULL;
    size_t own_n = count_keys(s), at = 0;
    YZ_TRY(own_keys(s, &own));
    YZ_TRY(yzi_alloc(from->keys_n + own_n, sizeof *to->keys, &to->keys));
    for (size_t i = 0; i < from->keys_n; i++) {
        if (from->keys[i].set == replaced) {
            continue;
        }
        while (at < own_n && overlay_key_cmp(&own[at], &from->keys[i]) < 0) {
            to->keys[to->keys_n++] = own[at++];
        }
        to->keys[to->keys_n++] = from->keys[i];
    }
    while (at < own_n) {
        to->keys[to->keys_n++] = own[at++];
    }
    return 0;
}

/* The overlays of `from`, those of the member of `s` replaced by `s`, in order of members. */
static int copy_sets(struct directory *to, const struct directory *from, struct dir_set *s)
{
    YZ_TRY(yzi_alloc(from->overlays_n + 1, sizeof(struct dir_set *), &to->overlays));
    size_t i = 0;
    for (; i < from->overlays_n &&
           yzi_bytes_cmp(from->overlays[i]->set.member.v, s->set.member.v) < 0;
         i++) {
        to->overlays[to->overlays_n++] = set_ref(from->overlays[i]);
    }
    to->overlays[to->overlays_n++] = set_ref(s);
    if (i < from->overlays_n && yzi_bytes_eq(from->overlays[i]->set.member.v, s->set.member.v)) {
        i++;
    }
    for (; i < from->overlays_n; i++) {
        to->overlays[to->overlays_n++] = set_ref(from->overlays[i]);
    }
    return 0;
}

static int lay_over(const struct directory *d, struct dir_set *s, const struct directory **out)
{
    YZ_AUTO(yzi_directory_unref_ptr) const struct directory *made = NULL;
    atomic_fetch_add_explicit(&d->base->refs, 1, memory_order_relaxed);
    YZ_TRY(yzi_dir_of_base(d->base, &made));
    struct directory *to = (struct directory *)made;
    YZ_TRY(copy_sets(to, d, s));
    YZ_TRY(copy_keys(to, d, s, yzi_dir_overlay_of(d, s->set.member.v)));
    *out = YZ_TAKE(made);
    return 0;
}

/* -- is it acceptable -- */

static int key_taken(yz_error *err, const struct dir_set *s, enum key_use use, yz_bytes holder)
{
    return yzi_fail(err, YZ_EDENIED, "%.*s lists a key that is a %s key of %.*s",
                    YZ_V(s->set.member.v), yzi_key_use_name(use), YZ_V(holder));
}

/* One key against what is published and every other overlay. */
static int check_key(const struct directory *d, const struct dir_set *s, const uint8_t key[32],
                     enum key_use use, yz_error *err)
{
    const struct dir_key *k = yzi_table_get(&d->base->keys, yzi_bytes(key, 32));
    bool is_node_key = use != KEY_OWNER;
    if (k) {
        bool other =
            is_node_key && !(k->node && yzi_bytes_eq(k->node->view.member.v, s->set.member.v));
        if (k->use != use || other) {
            return key_taken(err, s, k->use, k->holder);
        }
    }
    for (size_t i = yzi_dir_overlay_key(d, key);
         i < d->keys_n && yzi_bytes_eq(yzi_bytes(d->keys[i].key, 32), yzi_bytes(key, 32)); i++) {
        const struct overlay_key *o = &d->keys[i];
        bool other = !yzi_bytes_eq(o->set->set.member.v, s->set.member.v);
        if (other && (is_node_key || o->use != use)) {
            return key_taken(err, s, o->use, o->set->set.member.v);
        }
    }
    return 0;
}

static int check_list(const struct directory *d, const struct dir_set *s, const struct key_list *l,
                      enum key_use use, yz_error *err)
{
    for (size_t i = 0; i < l->n; i++) {
        YZ_TRY(check_key(d, s, l->items[i].key, use, err));
    }
    return 0;
}

static int check_keys(const struct directory *d, const struct dir_set *s, yz_error *err)
{
    YZ_TRY(check_list(d, s, &s->set.owner_keys, KEY_OWNER, err));
    for (size_t i = 0; i < s->set.nodes_n; i++) {
        YZ_TRY(check_list(d, s, s->nodes[i].view.signing, KEY_SIGNING, err));
        YZ_TRY(check_list(d, s, s->nodes[i].view.transport, KEY_TRANSPORT, err));
    }
    return 0;
}

/* The set to surpass: the overlay, unless whoever made it had a stolen key that is revoked by now;
 * then what is published. */
static const struct dir_set *to_surpass(const struct directory *d, const struct dir_member *m,
                                        uint64_t now)
{
    const struct dir_set *s = yzi_dir_overlay_of(d, m->record.member.v);
    if (s && yzi_dir_set_alive(d->base, s, now) != YZ_EUNKNOWNKEY) {
        return s;
    }
    s = m->set;
    return s && yzi_dir_set_alive(d->base, s, now) != YZ_EUNKNOWNKEY ? s : NULL;
}

static int check_version(const struct dir_set *s, const struct dir_set *held, yz_error *err)
{
    if (!held || s->set.version > held->set.version) {
        return 0;
    }
    if (yzi_bytes_eq(s->body, held->body)) {
        return yzi_fail(err, YZ_EEXIST, "member set %llu of %.*s is in force",
                        (unsigned long long)s->set.version, YZ_V(s->set.member.v));
    }
    bool same = s->set.version == held->set.version;
    return yzi_fail(err, YZ_EROLLBACK,
                    same ? "%.*s signed two different member sets %llu: alarm"
                         : "%.*s has a newer member set than %llu",
                    YZ_V(s->set.member.v), (unsigned long long)s->set.version);
}

int yzi_directory_overlay(const struct directory *d, yz_bytes member_set_record, uint64_t now,
                          const struct directory **out, yz_error *err)
{
    YZ_AUTO(set_unref_ptr) struct dir_set *s = NULL;
    struct dir_member *m;
    YZ_TRY(set_new(d->base, member_set_record, &s, &m, err));
    yz_bytes id = s->set.member.v;
    if (yzi_dir_revoked(&d->base->revoked_members, id, now)) {
        return yzi_fail(err, YZ_EUNKNOWNKEY, "member %.*s is revoked", YZ_V(id));
    }
    int rc = yzi_dir_set_alive(d->base, s, now);
    if (rc < 0) {
        return yzi_fail(err, rc, "the member set of %.*s is signed by a key that is %s", YZ_V(id),
                        rc == YZ_EEXPIRED ? "not valid now" : "revoked");
    }
    YZ_TRY(check_version(s, to_surpass(d, m, now), err));
    YZ_TRY(check_keys(d, s, err));
    return lay_over(d, s, out);
}

/* -- sets accepted before -- */

/* That a record's signatures are right, whoever made them. */
static int check_intact(const struct record *r)
{
    uint8_t keys[YZ_RECORD_SIGNATURES_MAX][32];
    YZ_ENSURE(r->kind == RECORD_MEMBER_SET && r->signatures_n > 0, YZ_EMALFORMED);
    for (unsigned i = 0; i < r->signatures_n; i++) {
        memcpy(keys[i], r->signatures[i].key.p, 32);
    }
    return yzi_record_verify(r, (const uint8_t(*)[32])keys, r->signatures_n, 1);
}

int yzi_dir_overlay_kept(const struct directory *d, yz_bytes record, const struct directory **out,
                         bool *out_conflict, yz_error *err)
{
    YZ_AUTO(set_unref_ptr) struct dir_set *s = NULL;
    struct dir_member *m;
    struct record r;
    uint64_t issued = d->base->manifest.issued_at;
    int rc = yzi_record_parse(record, &r);
    rc = rc < 0 ? rc : check_intact(&r);
    if (rc < 0) {
        return yzi_fail(err, rc, "a member set does not verify (%s)", yz_err_words(rc));
    }
    rc = set_new(d->base, record, &s, &m, err);
    if (rc == YZ_EUNKNOWNKEY || rc == YZ_ESIGNATURE) {
        return YZ_EEXIST; /* no longer a member, or no longer a key of it */
    }
    YZ_TRY(rc);
    if (yzi_dir_set_alive(d->base, s, issued) == YZ_EUNKNOWNKEY ||
        yzi_dir_revoked(&d->base->revoked_members, s->set.member.v, issued)) {
        return YZ_EEXIST;
    }
    const struct dir_set *held = yzi_dir_set_of(d, s->set.member);
    if (held && s->set.version <= held->set.version) {
        *out_conflict = s->set.version == held->set.version && !yzi_bytes_eq(s->body, held->body);
        return YZ_EEXIST;
    }
    rc = check_keys(d, s, NULL);
    if (rc == YZ_EDENIED) {
        return YZ_EEXIST; /* the operator published that key for somebody else */
    }
    YZ_TRY(rc);
    return lay_over(d, s, out);
}

int yzi_directory_note_revoked(const struct directory *d, yz_bytes member_set_body, uint64_t now,
                               yz_buf *out)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    struct member_set set;
    yzi_arena_init(&arena, DIR_ARENA_FIXED + DIR_ARENA_FACTOR * member_set_body.n);
    YZ_TRY(yzi_member_set_parse(member_set_body, &arena, &set));
    for (size_t i = 0; i < set.nodes_n; i++) {
        if (yzi_directory_node_revoked(d, set.nodes[i].node, now)) {
            YZ_TRY(yzi_buf_printf(
                out, "; %.*s is revoked for good and stays out, whatever its member set says",
                YZ_V(set.nodes[i].node.v)));
        }
    }
    return YZ_OK;
}
