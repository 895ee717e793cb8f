/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing a node's standing out of a directory, and verifying one without a directory.
 */
#include "evidence/standing.h"

#include "keys/sign.h"

/* -- writing -- */

static int put_sized(yz_buf *b, yz_bytes v)
{
    YZ_TRY(yzi_buf_put_u32(b, (uint32_t)v.n));
    return yzi_buf_put(b, v);
}

static int put_proved(const struct directory *d, enum record_kind kind, yz_bytes id, yz_buf *b)
{
    struct directory_proof p;
    YZ_TRY(yzi_directory_prove(d, kind, id, &p));
    YZ_TRY(yzi_buf_put_u8(b, STANDING_PROVED));
    YZ_TRY(yzi_buf_put_u64(b, p.index));
    YZ_TRY(yzi_buf_put_u64(b, p.size));
    YZ_TRY(yzi_buf_put_u8(b, (uint8_t)p.path.n));
    for (unsigned i = 0; i < p.path.n; i++) {
        YZ_TRY(yzi_buf_put(b, yzi_bytes_digest(&p.path.hash[i])));
    }
    return put_sized(b, p.raw);
}

struct newer_set {
    yz_bytes member, published; /* the published record; empty: there is none */
    yz_buf *out;
};

static int put_newer_set(void *ctx, const struct record *r)
{
    struct newer_set *n = ctx;
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, STANDING_MAX);
    struct member_set set;
    if (r->kind != RECORD_MEMBER_SET || yzi_bytes_eq(r->raw, n->published)) {
        return YZ_OK;
    }
    YZ_TRY(yzi_member_set_parse(r->body, &arena, &set));
    if (!yzi_bytes_eq(set.member.v, n->member)) {
        return YZ_OK;
    }
    YZ_TRY(yzi_buf_put_u8(n->out, STANDING_SIGNED));
    return put_sized(n->out, r->raw);
}

/* The member set that is in force: the published one in its place, and, where a newer one lies over
 * it, that one, which the member's signature proves. */
static int put_member_set(const struct directory *d, yz_bytes member, yz_buf *b)
{
    struct directory_proof p = {0};
    int rc = yzi_directory_prove(d, RECORD_MEMBER_SET, member, &p);
    YZ_ENSURE(rc == YZ_OK || rc == YZ_ENOTFOUND, rc);
    if (rc == YZ_OK) {
        YZ_TRY(put_proved(d, RECORD_MEMBER_SET, member, b));
    }
    struct newer_set newer = {member, p.raw, b};
    return yzi_directory_each(d, put_newer_set, &newer);
}

int yzi_standing_write(const struct directory *d, yz_node_id node, yz_buf *b)
{
    YZ_TRY(put_sized(b, yzi_directory_manifest(d)));
    YZ_TRY(put_proved(d, RECORD_ROOT, (yz_bytes){0}, b));
    if (yzi_node_is_broker(node)) {
        return put_proved(d, RECORD_BROKER, node.v, b);
    }
    yz_bytes member = yzi_node_member(node).v;
    YZ_TRY(put_proved(d, RECORD_MEMBER, member, b));
    return put_member_set(d, member, b);
}

/* -- verifying -- */

struct item {
    bool proved;
    uint64_t index, size;
    unsigned path_n;
    yz_digest path[YZ_PROOF_PATH_MAX];
    struct record record;
};

static int read_sized(yz_reader *r, yz_bytes *out)
{
    uint32_t n;
    YZ_TRY(yzi_read_u32(r, &n));
    return yzi_read_bytes(r, n, out);
}

static int read_item(yz_reader *r, struct item *out)
{
    uint8_t kind, n = 0;
    yz_bytes raw;
    YZ_TRY(yzi_read_u8(r, &kind));
    YZ_ENSURE(kind == STANDING_PROVED || kind == STANDING_SIGNED, YZ_EMALFORMED);
    out->proved = kind == STANDING_PROVED;
    if (out->proved) {
        YZ_TRY(yzi_read_u64(r, &out->index));
        YZ_TRY(yzi_read_u64(r, &out->size));
        YZ_TRY(yzi_read_u8(r, &n));
        YZ_ENSURE(n <= YZ_PROOF_PATH_MAX, YZ_EMALFORMED);
        for (unsigned i = 0; i < n; i++) {
            YZ_TRY(yzi_read_into(r, out->path[i].b, sizeof out->path[i].b));
        }
    }
    out->path_n = n;
    YZ_TRY(read_sized(r, &raw));
    return yzi_record_parse(raw, &out->record);
}

static int check_place(const struct item *i, const struct manifest *m, yz_error *err)
{
    yz_digest leaf, root;
    yzi_merkle_leaf(i->record.raw, &leaf);
    if (i->size != m->tree_size ||
        yzi_merkle_root_from_path(&leaf, i->index, i->size, i->path, i->path_n, &root) < 0 ||
        !yzi_digest_eq(&root, &m->root_hash)) {
        return yzi_fail(err, YZ_ESIGNATURE,
                        "a %s record is not in the directory it is said to be in",
                        yzi_record_kind_name(i->record.kind));
    }
    return YZ_OK;
}

struct verifying {
    struct arena *arena;
    yz_node_id node;
    uint64_t at;
    struct manifest manifest;
    struct standing *out;
    bool has_member, has_set, has_broker;
    struct record set; /* the newest */
    yz_error *err;
};

static int take_set(struct verifying *v, const struct item *i)
{
    struct member_set set;
    YZ_TRY(yzi_member_set_parse(i->record.body, v->arena, &set));
    if (!yzi_bytes_eq(set.member.v, yzi_node_member(v->node).v) ||
        (v->has_set && set.version <= v->out->set.version)) {
        return YZ_OK;
    }
    v->has_set = true;
    v->out->set = set;
    v->set = i->record;
    return YZ_OK;
}

static int take_item(struct verifying *v, const struct item *i)
{
    struct broker_record broker;
    if (i->proved) {
        YZ_TRY(check_place(i, &v->manifest, v->err));
    }
    if (i->record.kind == RECORD_MEMBER_SET) {
        return take_set(v, i); /* in the tree or not, the member's signature is checked */
    }
    if (!i->proved) {
        return yzi_fail(v->err, YZ_ESIGNATURE, "a %s record is not proved by anything",
                        yzi_record_kind_name(i->record.kind));
    }
    if (i->record.kind == RECORD_MEMBER && !yzi_node_is_broker(v->node)) {
        YZ_TRY(yzi_member_record_parse(i->record.body, v->arena, &v->out->member));
        v->has_member = yzi_bytes_eq(v->out->member.member.v, yzi_node_member(v->node).v);
    } else if (i->record.kind == RECORD_BROKER) {
        YZ_TRY(yzi_broker_record_parse(i->record.body, v->arena, &broker));
        v->has_broker = v->has_broker || yzi_bytes_eq(broker.node.v, v->node.v);
    } else if (i->record.kind == RECORD_ROOT) {
        v->out->root_record = i->record.raw;
    }
    return YZ_OK;
}

static int find_node(struct verifying *v)
{
    struct standing *s = v->out;
    if (yzi_node_is_broker(v->node)) {
        for (size_t i = 0; v->has_broker && i < s->root.brokers_n; i++) {
            if (yzi_bytes_eq(s->root.brokers[i].node.v, v->node.v)) {
                s->broker = &s->root.brokers[i];
                return YZ_OK;
            }
        }
    } else if (v->has_member && v->has_set) {
        int rc = yzi_record_verify_one(&v->set, &s->member.keys, v->at);
        if (rc < 0) {
            return yzi_fail(v->err, rc,
                            "the member set of %.*s is not signed by a key of its member",
                            (int)s->member.member.v.n, (const char *)s->member.member.v.p);
        }
        for (size_t i = 0; i < s->set.nodes_n; i++) {
            if (yzi_bytes_eq(s->set.nodes[i].node.v, v->node.v)) {
                s->node = &s->set.nodes[i];
                return YZ_OK;
            }
        }
    }
    return yzi_fail(v->err, YZ_EUNKNOWNKEY, "the records kept do not list %.*s", (int)v->node.v.n,
                    (const char *)v->node.v.p);
}

static int read_items(struct verifying *v, yz_reader *r)
{
    while (r->left) {
        struct item i;
        int rc = read_item(r, &i);
        if (rc < 0) {
            return yzi_fail(v->err, YZ_EMALFORMED, "a directory record cannot be read");
        }
        YZ_TRY(take_item(v, &i));
    }
    return YZ_OK;
}

static int check_roots(struct verifying *v, yz_bytes trusted_root, const struct record *manifest)
{
    struct standing *s = v->out;
    if (!s->root_record.n) {
        return yzi_fail(v->err, YZ_EMALFORMED, "the root statement is missing");
    }
    yz_bytes trusted = trusted_root.n ? trusted_root : s->root_record;
    YZ_TRY(yzi_dir_authorise_root(trusted, s->root_record, v->arena, &s->root, v->err));
    return yzi_dir_check_manifest(&s->root, manifest, &v->manifest, v->err);
}

int yzi_standing_verify(yz_bytes bytes, yz_bytes trusted_root, yz_node_id node, uint64_t at,
                        struct arena *arena, struct standing *out, yz_error *err)
{
    struct standing s = {0};
    struct verifying v = {.arena = arena, .node = node, .at = at, .out = &s, .err = err};
    yz_reader r = yzi_reader(bytes);
    yz_bytes raw;
    struct record manifest;
    if (read_sized(&r, &raw) < 0 || yzi_record_parse(raw, &manifest) < 0 ||
        manifest.kind != RECORD_MANIFEST ||
        yzi_manifest_parse(manifest.body, arena, &v.manifest) < 0) {
        return yzi_fail(err, YZ_EMALFORMED, "the directory's manifest cannot be read");
    }
    YZ_TRY(read_items(&v, &r));
    YZ_TRY(check_roots(&v, trusted_root, &manifest));
    YZ_TRY(find_node(&v));
    s.version = v.manifest.version;
    s.issued_at = v.manifest.issued_at;
    s.root_hash = v.manifest.root_hash;
    *out = s;
    return YZ_OK;
}
