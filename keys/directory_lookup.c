/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a snapshot: a hash look-up for the member or the key, a binary search among the overlays
 * when there are any, and one in the member's own set. Every answer about a node or a key goes
 * through check_node, so that no path forgets a revocation.
 */
#include "keys/directory_internal.h"

/* -- finding -- */

static int set_cmp(const void *key, const void *item)
{
    const struct dir_set *const *s = item;
    return yzi_bytes_cmp(*(const yz_bytes *)key, (*s)->set.member.v);
}

struct dir_set *yzi_dir_overlay_of(const struct directory *d, yz_bytes member)
{
    if (d->overlays_n == 0) {
        return NULL;
    }
    struct dir_set **s =
        bsearch(&member, d->overlays, d->overlays_n, sizeof(struct dir_set *), set_cmp);
    return s ? *s : NULL;
}

const struct dir_member *yzi_dir_member_of(const struct dir_base *base, yz_bytes member)
{
    return yzi_table_get(&base->members, member);
}

const struct dir_set *yzi_dir_set_of(const struct directory *d, yz_member_id member)
{
    const struct dir_set *s = yzi_dir_overlay_of(d, member.v);
    if (s) {
        return s;
    }
    const struct dir_member *m = yzi_dir_member_of(d->base, member.v);
    return m ? m->set : NULL;
}

static int node_cmp(const void *key, const void *item)
{
    const struct dir_node *n = item;
    return yzi_bytes_cmp(*(const yz_bytes *)key, n->view.node.v);
}

static const struct dir_node *find_node(const struct directory *d, yz_node_id id)
{
    const struct dir_node *nodes = d->base->brokers;
    size_t n = d->base->root.brokers_n;
    if (!yzi_node_is_broker(id)) {
        const struct dir_set *s = yzi_dir_set_of(d, yzi_node_member(id));
        nodes = s ? s->nodes : NULL;
        n = s ? s->set.nodes_n : 0;
    }
    return n ? bsearch(&id.v, nodes, n, sizeof *nodes, node_cmp) : NULL;
}

size_t yzi_dir_overlay_key(const struct directory *d, const uint8_t key[32])
{
    size_t low = 0, high = d->keys_n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (yzi_bytes_cmp(yzi_bytes(d->keys[mid].key, 32), yzi_bytes(key, 32)) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    bool found =
        low < d->keys_n && yzi_bytes_eq(yzi_bytes(d->keys[low].key, 32), yzi_bytes(key, 32));
    return found ? low : d->keys_n;
}

/* The node a transport key belongs to in what is in force: an overlay's, else a published one that
 * no overlay replaces. */
static const struct dir_node *find_transport(const struct directory *d, const uint8_t key[32])
{
    size_t i = yzi_dir_overlay_key(d, key);
    if (i < d->keys_n && d->keys[i].use == KEY_TRANSPORT) {
        return d->keys[i].node;
    }
    const struct dir_key *k = yzi_table_get(&d->base->keys, yzi_bytes(key, 32));
    if (!k || k->use != KEY_TRANSPORT || !k->node) {
        return NULL;
    }
    return k->node->set && yzi_dir_overlay_of(d, k->node->view.member.v) ? NULL : k->node;
}

/* -- revocation and validity -- */

bool yzi_dir_revoked(const struct table *revoked, yz_bytes name, uint64_t at)
{
    const struct revocation *r = yzi_table_get(revoked, name);
    return r && r->at <= at;
}

bool yzi_directory_key_revoked(const struct directory *d, const uint8_t key[32], uint64_t now)
{
    return yzi_dir_revoked(&d->base->revoked_keys, yzi_bytes(key, 32), now);
}

bool yzi_directory_member_revoked(const struct directory *d, yz_member_id id, uint64_t now)
{
    return yzi_dir_revoked(&d->base->revoked_members, id.v, now);
}

bool yzi_directory_node_revoked(const struct directory *d, yz_node_id id, uint64_t now)
{
    return yzi_dir_revoked(&d->base->revoked_nodes, id.v, now);
}

/* Whether the member may speak through this set at all. */
static int check_set(const struct directory *d, const struct dir_set *s, uint64_t now)
{
    YZ_ENSURE(!yzi_directory_member_revoked(d, s->set.member, now), YZ_EUNKNOWNKEY);
    return yzi_dir_set_alive(d->base, s, now);
}

/* Whether a node listed may act: YZ_EUNKNOWNKEY when it, its member or what speaks for it is
 * revoked, or the operator did not admit the broker; YZ_EEXPIRED. */
static int check_node(const struct directory *d, const struct dir_node *n, uint64_t now)
{
    YZ_ENSURE(!yzi_directory_node_revoked(d, n->view.node, now), YZ_EUNKNOWNKEY);
    if (n->set) {
        return check_set(d, n->set, now);
    }
    return n->view.broker ? 0 : YZ_EUNKNOWNKEY;
}

/* A key of a list: YZ_EUNKNOWNKEY when it is not there or revoked, YZ_EEXPIRED. */
static int check_key(const struct directory *d, const struct key_list *l, const uint8_t key[32],
                     uint64_t now)
{
    YZ_ENSURE(!yzi_directory_key_revoked(d, key, now), YZ_EUNKNOWNKEY);
    if (yzi_key_list_has(l, key, now)) {
        return 0;
    }
    for (size_t i = 0; i < l->n; i++) {
        YZ_ENSURE(!yzi_bytes_eq(yzi_bytes(l->items[i].key, 32), yzi_bytes(key, 32)), YZ_EEXPIRED);
    }
    return YZ_EUNKNOWNKEY;
}

/* -- nodes -- */

int yzi_directory_node(const struct directory *d, yz_node_id node, uint64_t now,
                       struct directory_node *out, bool *out_revoked)
{
    const struct dir_node *n = find_node(d, node);
    int rc = n ? check_node(d, n, now) : YZ_EUNKNOWNKEY;
    if (rc == 0) {
        *out = n->view;
    } else if (out_revoked) {
        *out_revoked = n && rc == YZ_EUNKNOWNKEY && (n->set || n->view.broker);
    }
    return rc;
}

int yzi_directory_by_transport(const struct directory *d, const uint8_t key[32], uint64_t now,
                               struct directory_node *out)
{
    const struct dir_node *n = find_transport(d, key);
    YZ_ENSURE(n, YZ_EUNKNOWNKEY);
    YZ_TRY(check_node(d, n, now));
    YZ_TRY(check_key(d, n->view.transport, key, now));
    *out = n->view;
    return 0;
}

int yzi_directory_may_sign(const struct directory *d, const struct directory_node *n,
                           const uint8_t key[32], uint64_t now)
{
    return check_key(d, n->signing, key, now);
}

int yzi_directory_may_log(const struct directory *d, const struct directory_node *n,
                          const uint8_t key[32], uint64_t now)
{
    return n->log ? check_key(d, n->log, key, now) : YZ_EUNKNOWNKEY;
}

bool yzi_directory_speaks_for(const struct directory_node *n, yz_subsystem_id subsystem)
{
    if (!n->record || !yzi_bytes_eq(yzi_subsystem_member(subsystem).v, n->member.v)) {
        return false;
    }
    yz_bytes code = yzi_subsystem_code(subsystem);
    for (size_t i = 0; i < n->record->subsystems.n; i++) {
        if (yzi_bytes_eq(n->record->subsystems.items[i], code)) {
            return true;
        }
    }
    return false;
}

int yzi_directory_each_broker(const struct directory *d, uint64_t now,
                              int (*visit)(void *ctx, const struct directory_node *b), void *ctx)
{
    for (size_t i = 0; i < d->base->root.brokers_n; i++) {
        const struct dir_node *n = &d->base->brokers[i];
        if (check_node(d, n, now) < 0) {
            continue;
        }
        int rc = visit(ctx, &n->view);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* -- subsystems and members -- */

static int code_cmp(const void *a, const void *b)
{
    return yzi_bytes_cmp(*(const yz_bytes *)a, *(const yz_bytes *)b);
}

static const struct dir_set *set_with(const struct directory *d, yz_subsystem_id subsystem)
{
    const struct dir_set *s = yzi_dir_set_of(d, yzi_subsystem_member(subsystem));
    if (!s || s->set.subsystems_n == 0) {
        return NULL;
    }
    yz_bytes code = yzi_subsystem_code(subsystem);
    return bsearch(&code, s->codes, s->set.subsystems_n, sizeof code, code_cmp) ? s : NULL;
}

bool yzi_directory_has_subsystem(const struct directory *d, yz_subsystem_id subsystem)
{
    return set_with(d, subsystem) != NULL;
}

int yzi_directory_may_own(const struct directory *d, yz_subsystem_id subsystem,
                          const uint8_t key[32], uint64_t now)
{
    const struct dir_set *s = set_with(d, subsystem);
    YZ_ENSURE(s, YZ_ENOTFOUND);
    YZ_TRY(check_set(d, s, now));
    return check_key(d, &s->set.owner_keys, key, now);
}

int yzi_directory_owner_keys(const struct directory *d, yz_subsystem_id subsystem,
                             const struct key_list **out)
{
    const struct dir_set *s = set_with(d, subsystem);
    YZ_ENSURE(s, YZ_ENOTFOUND);
    *out = &s->set.owner_keys;
    return 0;
}

const struct member_record *yzi_directory_member(const struct directory *d, yz_member_id id)
{
    const struct dir_member *m = yzi_dir_member_of(d->base, id.v);
    return m ? &m->record : NULL;
}

const struct member_set *yzi_directory_member_set(const struct directory *d, yz_member_id id)
{
    const struct dir_set *s = yzi_dir_set_of(d, id);
    return s ? &s->set : NULL;
}

/* -- the version -- */

uint64_t yzi_directory_version(const struct directory *d)
{
    return d->base->manifest.version;
}

uint64_t yzi_directory_issued_at(const struct directory *d)
{
    return d->base->manifest.issued_at;
}

yz_bytes yzi_directory_instance(const struct directory *d)
{
    return d->base->root.instance;
}

const yz_digest *yzi_directory_root_hash(const struct directory *d)
{
    return &d->base->manifest.root_hash;
}

yz_bytes yzi_directory_manifest(const struct directory *d)
{
    return d->base->manifest_raw;
}

yz_bytes yzi_directory_root_record(const struct directory *d)
{
    return d->base->root_raw;
}

const struct root_statement *yzi_directory_root(const struct directory *d)
{
    return &d->base->root;
}

size_t yzi_directory_chunks_n(const struct directory *d)
{
    return d->base->manifest.chunks_n;
}

yz_bytes yzi_directory_chunk(const struct directory *d, const yz_digest *digest)
{
    const yz_bytes *chunk = yzi_table_get(&d->base->chunk_of, yzi_bytes_digest(digest));
    return chunk ? *chunk : (yz_bytes){0};
}

int yzi_directory_bundle(const struct directory *d, yz_buf *out)
{
    size_t before = out->n;
    int rc = yzi_dir_bundle_put(out, d->base->manifest_raw);
    for (size_t i = 0; rc == 0 && i < d->base->manifest.chunks_n; i++) {
        rc = yzi_dir_bundle_put(out, d->base->chunks[i]);
    }
    if (rc < 0) {
        out->n = before;
    }
    return rc;
}

size_t yzi_directory_overlays_n(const struct directory *d)
{
    return d->overlays_n;
}

/* The first overlay of a member beyond that one. */
static size_t first_after(const struct directory *d, yz_bytes member)
{
    size_t low = 0, high = d->overlays_n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (yzi_bytes_cmp(d->overlays[middle]->set.member.v, member) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

int yzi_directory_overlays(const struct directory *d, yz_buf *out)
{
    return yzi_directory_overlays_page(d, (yz_bytes){0}, SIZE_MAX, out);
}

int yzi_directory_overlays_page(const struct directory *d, yz_bytes after, size_t page, yz_buf *out)
{
    size_t before = out->n;
    for (size_t i = first_after(d, after); i < d->overlays_n && out->n - before < page; i++) {
        int rc = yzi_buf_put(out, d->overlays[i]->raw);
        if (rc < 0) {
            out->n = before;
            return rc;
        }
    }
    return 0;
}

/* -- purposes -- */

const struct purpose_list *yzi_directory_purposes(const struct directory *d)
{
    return d->base->purposes;
}

static int purpose_cmp(const void *key, const void *item)
{
    return yzi_bytes_cmp(*(const yz_bytes *)key, ((const struct purpose_entry *)item)->code);
}

const struct purpose_entry *yzi_directory_purpose(const struct directory *d, yz_bytes code)
{
    const struct purpose_list *l = d->base->purposes;
    return l && l->purposes_n > 0
               ? bsearch(&code, l->purposes, l->purposes_n, sizeof *l->purposes, purpose_cmp)
               : NULL;
}

bool yzi_directory_purpose_known(const struct directory *d, yz_bytes code)
{
    return !d->base->purposes || code.n == 0 || yzi_directory_purpose(d, code);
}

/* -- records -- */

static int place_cmp(const void *key, const void *item)
{
    return yzi_dir_place_cmp(key, &((const struct dir_record *)item)->place);
}

int yzi_directory_prove(const struct directory *d, enum record_kind kind, yz_bytes id,
                        struct directory_proof *out)
{
    const struct dir_base *b = d->base;
    struct dir_place place = {.id = id};
    YZ_ENSURE(kind != RECORD_REVOCATION && yzi_dir_rank(kind, &place.rank) == 0, YZ_EINVAL);
    const struct dir_record *r =
        bsearch(&place, b->records, b->records_n, sizeof *b->records, place_cmp);
    YZ_ENSURE(r, YZ_ENOTFOUND);
    out->raw = r->raw;
    out->index = (uint64_t)(r - b->records);
    out->size = b->records_n;
    out->path.n = yzi_merkle_tree_path(b->tree, b->records_n, out->index, out->path.hash);
    return 0;
}

static int visit_raw(yz_bytes raw, int (*visit)(void *ctx, const struct record *r), void *ctx)
{
    struct record r;
    YZ_TRY(yzi_record_parse(raw, &r));
    return visit(ctx, &r);
}

/* The overlays of members that have no published set, up to (not including) `before` (empty: all
 * that are left); *at walks along the overlays. */
static int visit_unpublished(const struct directory *d, size_t *at, yz_bytes before,
                             int (*visit)(void *ctx, const struct record *r), void *ctx)
{
    for (; *at < d->overlays_n; (*at)++) {
        yz_bytes id = d->overlays[*at]->set.member.v;
        if (before.n && yzi_bytes_cmp(id, before) >= 0) {
            break;
        }
        int rc = visit_raw(d->overlays[*at]->raw, visit, ctx);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int yzi_directory_each(const struct directory *d, int (*visit)(void *ctx, const struct record *r),
                       void *ctx)
{
    const struct dir_base *b = d->base;
    size_t overlay = 0;
    for (size_t i = 0; i < b->records_n; i++) {
        const struct dir_record *r = &b->records[i];
        yz_bytes raw = r->raw;
        int rc = 0;
        if (r->kind == RECORD_MEMBER_SET) {
            rc = visit_unpublished(d, &overlay, r->place.id, visit, ctx);
            if (overlay < d->overlays_n &&
                yzi_bytes_eq(d->overlays[overlay]->set.member.v, r->place.id)) {
                raw = d->overlays[overlay++]->raw;
            }
        } else if (r->kind == RECORD_REVOCATION || r->kind == RECORD_PURPOSES) {
            rc = visit_unpublished(d, &overlay, (yz_bytes){0}, visit, ctx);
        }
        rc = rc != 0 ? rc : visit_raw(raw, visit, ctx);
        if (rc != 0) {
            return rc;
        }
    }
    return visit_unpublished(d, &overlay, (yz_bytes){0}, visit, ctx);
}
