/* SPDX-License-Identifier: Apache-2.0
 *
 * Verifying a published directory into a snapshot. The order is that of trust: the root statement
 * by the one already trusted, the manifest by the operators that statement names, the chunks by the
 * manifest, and only then is anything in them looked at. Nothing here depends on the time, so that
 * the same bytes are believed by everybody or by nobody.
 */
#include "keys/directory_internal.h"

#include <sodium.h>

enum rank { RANK_ROOT, RANK_BROKER, RANK_MEMBER, RANK_SET, RANK_REVOCATION, RANK_PURPOSES };
enum revocation_tag { TAG_NODE = 1, TAG_KEY = 2, TAG_MEMBER = 3 };

int yzi_dir_rank(enum record_kind kind, unsigned *out)
{
    static const unsigned char rank[] = {
        [RECORD_ROOT] = RANK_ROOT + 1,
        [RECORD_BROKER] = RANK_BROKER + 1,
        [RECORD_MEMBER] = RANK_MEMBER + 1,
        [RECORD_MEMBER_SET] = RANK_SET + 1,
        [RECORD_REVOCATION] = RANK_REVOCATION + 1,
        [RECORD_PURPOSES] = RANK_PURPOSES + 1,
    };
    YZ_ENSURE((size_t)kind < sizeof rank && rank[kind], YZ_EMALFORMED);
    *out = rank[kind] - 1u;
    return 0;
}

int yzi_dir_place_cmp(const struct dir_place *a, const struct dir_place *b)
{
    if (a->rank != b->rank) {
        return a->rank < b->rank ? -1 : 1;
    }
    if (a->tag != b->tag) {
        return a->tag < b->tag ? -1 : 1;
    }
    return yzi_bytes_cmp(a->id, b->id);
}

int yzi_dir_place_of(enum record_kind kind, yz_bytes body, struct arena *a, struct dir_place *out)
{
    struct dir_place place = {0};
    union {
        struct broker_record broker;
        struct member_record member;
        struct member_set set;
        struct revocation *revocation;
        struct purpose_list purposes;
    } u;
    YZ_TRY(yzi_dir_rank(kind, &place.rank));
    switch ((enum rank)place.rank) {
    case RANK_ROOT:
        break;
    case RANK_BROKER:
        YZ_TRY(yzi_broker_record_parse(body, a, &u.broker));
        place.id = u.broker.node.v;
        break;
    case RANK_MEMBER:
        YZ_TRY(yzi_member_record_parse(body, a, &u.member));
        place.id = u.member.member.v;
        break;
    case RANK_SET:
        YZ_TRY(yzi_member_set_parse(body, a, &u.set));
        place.id = u.set.member.v;
        break;
    case RANK_REVOCATION:
        YZ_TRY(yzi_arena_new(a, 1, sizeof *u.revocation, &u.revocation));
        YZ_TRY(yzi_revocation_parse(body, a, u.revocation));
        place = yzi_dir_place_of_revocation(u.revocation);
        break;
    case RANK_PURPOSES: /* one at most: its place is the same whatever it says */
        YZ_TRY(yzi_purpose_list_parse(body, a, &u.purposes));
        break;
    }
    *out = place;
    return 0;
}

struct dir_place yzi_dir_place_of_revocation(const struct revocation *r)
{
    struct dir_place place = {.rank = RANK_REVOCATION};
    if (r->has_key) {
        place.tag = TAG_KEY;
        place.id = yzi_bytes(r->key, sizeof r->key);
    } else {
        place.tag = r->node.n ? TAG_NODE : TAG_MEMBER;
        place.id = r->node.n ? r->node : r->member;
    }
    return place;
}

/* -- root statement and manifest -- */

static int parse_root(yz_bytes raw, struct arena *arena, struct record *out_record,
                      struct root_statement *out, yz_error *err)
{
    int rc = yzi_record_parse(raw, out_record);
    if (rc == 0 && out_record->kind != RECORD_ROOT) {
        return yzi_fail(err, YZ_EMALFORMED, "it is another record than a root statement");
    }
    if (rc == 0) {
        rc = yzi_root_statement_parse(out_record->body, arena, out);
    }
    return rc < 0 ? yzi_fail(err, rc, "the root statement cannot be read (%s)", yz_err_words(rc))
                  : 0;
}

/* Signed by the root keys that `by` lists, at its threshold. */
static int signed_by_root(const struct record *r, const struct root_statement *by)
{
    return yzi_record_verify(r, (const uint8_t(*)[32])by->root_keys, by->root_keys_n,
                             by->root_threshold);
}

int yzi_directory_check_anchor(yz_bytes root_record, yz_error *err)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, DIR_ARENA_FIXED + DIR_ARENA_FACTOR * root_record.n);
    struct record r;
    struct root_statement root;
    YZ_TRY(parse_root(root_record, &arena, &r, &root, err));
    int rc = signed_by_root(&r, &root);
    return rc < 0 ? yzi_fail(err, rc, "the root statement is not signed by its own root keys") : 0;
}

static int check_succession(const struct record *r, const struct root_statement *root,
                            const struct record *trusted_r, const struct root_statement *trusted,
                            yz_error *err)
{
    if (!yzi_bytes_eq(root->instance, trusted->instance)) {
        return yzi_fail(err, YZ_EUNKNOWNKEY, "the root statement is of instance %.*s, not %.*s",
                        YZ_V(root->instance), YZ_V(trusted->instance));
    }
    if (yzi_bytes_eq(r->body, trusted_r->body)) {
        return 0;
    }
    if (root->version < trusted->version) {
        return yzi_fail(err, YZ_EROLLBACK,
                        "root statement %llu is older than %llu, which is trusted",
                        (unsigned long long)root->version, (unsigned long long)trusted->version);
    }
    if (root->version == trusted->version) {
        return yzi_fail(err, YZ_EROLLBACK, "there are two different root statements %llu: alarm",
                        (unsigned long long)root->version);
    }
    int rc = signed_by_root(r, trusted);
    return rc < 0
               ? yzi_fail(err, rc,
                          "root statement %llu is not signed by the root keys of %llu at "
                          "their threshold",
                          (unsigned long long)root->version, (unsigned long long)trusted->version)
               : 0;
}

int yzi_dir_authorise_root(yz_bytes trusted, yz_bytes root_record, struct arena *arena,
                           struct root_statement *out, yz_error *err)
{
    YZ_AUTO(yzi_arena_fini) struct arena scratch;
    yzi_arena_init(&scratch, DIR_ARENA_FIXED + DIR_ARENA_FACTOR * trusted.n);
    struct record r, trusted_r;
    struct root_statement root, old;
    YZ_TRY(parse_root(trusted, &scratch, &trusted_r, &old, err));
    YZ_TRY(parse_root(root_record, arena, &r, &root, err));
    int rc = signed_by_root(&r, &root);
    if (rc < 0) {
        return yzi_fail(err, rc, "the root statement is not signed by its own root keys");
    }
    YZ_TRY(check_succession(&r, &root, &trusted_r, &old, err));
    *out = root;
    return 0;
}

int yzi_dir_root_of_chunk(yz_bytes chunk, struct record *out, yz_error *err)
{
    yz_reader r = yzi_reader(chunk);
    struct record record;
    int rc = yzi_record_next(&r, &record);
    if (rc < 0 || record.kind != RECORD_ROOT) {
        return yzi_fail(err, rc < 0 ? rc : YZ_EMALFORMED,
                        "the directory does not begin with a root statement");
    }
    *out = record;
    return 0;
}

int yzi_dir_check_manifest(const struct root_statement *root, const struct record *r,
                           const struct manifest *m, yz_error *err)
{
    if (!yzi_bytes_eq(m->instance, root->instance)) {
        return yzi_fail(err, YZ_EUNKNOWNKEY, "the directory is of instance %.*s, not %.*s",
                        YZ_V(m->instance), YZ_V(root->instance));
    }
    if (m->root_version != root->version) {
        return yzi_fail(err, YZ_EMALFORMED,
                        "the directory names root statement %llu but holds %llu",
                        (unsigned long long)m->root_version, (unsigned long long)root->version);
    }
    int rc = yzi_record_verify(r, (const uint8_t(*)[32])root->operator_keys, root->operator_keys_n,
                               root->operator_threshold);
    return rc < 0 ? yzi_fail(err, rc,
                             "directory version %llu is not signed by the operators at their "
                             "threshold",
                             (unsigned long long)m->version)
                  : 0;
}

int yzi_dir_parse_manifest(yz_bytes raw, struct arena *arena, struct record *out_record,
                           struct manifest *out, yz_error *err)
{
    int rc = yzi_record_parse(raw, out_record);
    if (rc == 0 && out_record->kind != RECORD_MANIFEST) {
        rc = YZ_EMALFORMED;
    }
    if (rc == 0) {
        rc = yzi_manifest_parse(out_record->body, arena, out);
    }
    return rc < 0 ? yzi_fail(err, rc, "the manifest cannot be read (%s)", yz_err_words(rc)) : 0;
}

int yzi_directory_peek(yz_bytes manifest_record, uint64_t *out_version)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, DIR_ARENA_FIXED + DIR_ARENA_FACTOR * manifest_record.n);
    struct record r;
    struct manifest m;
    YZ_TRY(yzi_dir_parse_manifest(manifest_record, &arena, &r, &m, NULL));
    *out_version = m.version;
    return 0;
}

/* -- building a base -- */

void yzi_dir_base_unref(struct dir_base *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    struct table *tables[] = {&b->members,       &b->keys,         &b->chunk_of,
                              &b->revoked_nodes, &b->revoked_keys, &b->revoked_members};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        yzi_table_fini(tables[i], NULL);
    }
    yzi_arena_fini(&b->arena);
    free(b->tree);
    free(b->bytes);
    free(b);
}

static void base_unref_ptr(struct dir_base **b)
{
    yzi_dir_base_unref(*b);
}

/* Everything given, copied into one block with views on it. */
static int copy_bytes(struct dir_base *b, yz_bytes manifest, const yz_bytes *chunks, size_t n,
                      yz_error *err)
{
    size_t total = manifest.n;
    YZ_ENSURE(n > 0 && n <= YZ_MANIFEST_CHUNKS_MAX && manifest.n <= YZ_RECORD_MAX,
              yzi_fail(err, YZ_ETOOBIG, "a directory has 1 to %u chunks, not %zu",
                       YZ_MANIFEST_CHUNKS_MAX, n));
    for (size_t i = 0; i < n; i++) {
        YZ_ENSURE(chunks[i].n <= YZ_CHUNK_MAX,
                  yzi_fail(err, YZ_ETOOBIG, "chunk %zu is too big", i));
        YZ_TRY(yzi_size_add(total, chunks[i].n, &total));
    }
    yzi_arena_init(&b->arena, DIR_ARENA_FIXED + DIR_ARENA_FACTOR * total);
    YZ_TRY(yzi_alloc(total, 1, &b->bytes));
    YZ_TRY(yzi_arena_new(&b->arena, n, sizeof *b->chunks, &b->chunks));
    uint8_t *at = b->bytes;
    if (manifest.n) {
        memcpy(at, manifest.p, manifest.n);
    }
    b->manifest_raw = yzi_bytes(at, manifest.n);
    at += manifest.n;
    for (size_t i = 0; i < n; i++) {
        if (chunks[i].n) {
            memcpy(at, chunks[i].p, chunks[i].n);
        }
        b->chunks[i] = yzi_bytes(at, chunks[i].n);
        at += chunks[i].n;
    }
    return 0;
}

static int check_chunk(struct dir_base *b, size_t i, yz_error *err)
{
    const struct manifest_chunk *want = &b->manifest.chunks[i];
    yz_digest digest;
    crypto_hash_sha256(digest.b, b->chunks[i].p, b->chunks[i].n);
    if (b->chunks[i].n != want->bytes || !yzi_digest_eq(&digest, &want->digest)) {
        return yzi_fail(err, YZ_ESIGNATURE, "chunk %zu is not the one the manifest names", i);
    }
    int rc = yzi_table_put(&b->chunk_of, yzi_bytes_digest(&want->digest), &b->chunks[i]);
    return rc == YZ_EEXIST ? yzi_fail(err, YZ_EMALFORMED, "chunk %zu is there twice", i) : rc;
}

/* One use, and for keys of nodes one node. Members may share a member or owner key if they like:
 * nobody's identity follows from one. */
static int add_key(struct dir_base *b, const uint8_t key[32], enum key_use use,
                   const struct dir_node *node, yz_bytes holder, yz_error *err)
{
    yz_bytes name = yzi_bytes(key, 32);
    const struct dir_key *there = yzi_table_get(&b->keys, name);
    if (there && (there->use != use || there->node || node)) {
        return yzi_fail(err, YZ_EMALFORMED, "a %s key of %.*s is listed as %s key of %.*s too",
                        yzi_key_use_name(use), YZ_V(holder), yzi_key_use_name(there->use),
                        YZ_V(there->holder));
    }
    if (there) {
        return 0;
    }
    struct dir_key *k;
    YZ_TRY(yzi_arena_new(&b->arena, 1, sizeof *k, &k));
    *k = (struct dir_key){.use = use, .node = node, .holder = holder};
    return yzi_table_put(&b->keys, name, k);
}

static int add_keys(struct dir_base *b, const struct key_list *l, enum key_use use,
                    const struct dir_node *node, yz_bytes holder, yz_error *err)
{
    for (size_t i = 0; i < l->n; i++) {
        YZ_TRY(add_key(b, l->items[i].key, use, node, holder, err));
    }
    return 0;
}

static int node_cmp(const void *a, const void *b)
{
    const struct dir_node *x = a, *y = b;
    return yzi_bytes_cmp(x->view.node.v, y->view.node.v);
}

/* The brokers of the root statement, each a node as soon as its operator's record comes. */
static int add_root_brokers(struct dir_base *b, yz_error *err)
{
    YZ_TRY(yzi_arena_new(&b->arena, b->root.brokers_n, sizeof *b->brokers, &b->brokers));
    for (size_t i = 0; i < b->root.brokers_n; i++) {
        const struct root_broker *from = &b->root.brokers[i];
        b->brokers[i].view = (struct directory_node){
            .node = from->node,
            .role = ROLE_BROKER,
            .signing = &from->signing,
            .transport = &from->transport,
            .log = &from->log,
        };
    }
    if (b->root.brokers_n) {
        qsort(b->brokers, b->root.brokers_n, sizeof *b->brokers, node_cmp);
    }
    for (size_t i = 0; i < b->root.brokers_n; i++) {
        const struct dir_node *n = &b->brokers[i];
        YZ_TRY(add_keys(b, n->view.transport, KEY_TRANSPORT, n, n->view.node.v, err));
        YZ_TRY(add_keys(b, n->view.signing, KEY_SIGNING, n, n->view.node.v, err));
        YZ_TRY(add_keys(b, n->view.log, KEY_LOG, n, n->view.node.v, err));
    }
    return 0;
}

static int add_authorities(struct dir_base *b, yz_error *err)
{
    const struct root_statement *r = &b->root;
    for (size_t i = 0; i < r->root_keys_n; i++) {
        YZ_TRY(add_key(b, r->root_keys[i], KEY_ROOT, NULL, r->instance, err));
    }
    for (size_t i = 0; i < r->operator_keys_n; i++) {
        YZ_TRY(add_key(b, r->operator_keys[i], KEY_OPERATOR, NULL, r->instance, err));
    }
    YZ_TRY(add_key(b, r->freshness_key, KEY_FRESHNESS, NULL, r->instance, err));
    return add_root_brokers(b, err);
}

static int check_instance(const struct dir_base *b, yz_bytes id, yz_error *err)
{
    if (!yzi_bytes_eq(yzi_id_instance(id), b->root.instance)) {
        return yzi_fail(err, YZ_EUNKNOWNKEY, "%.*s is not of instance %.*s", YZ_V(id),
                        YZ_V(b->root.instance));
    }
    return 0;
}

static int add_broker(struct dir_base *b, const struct record *r, struct dir_place *out,
                      yz_error *err)
{
    struct broker_record *record;
    YZ_TRY(yzi_arena_new(&b->arena, 1, sizeof *record, &record));
    YZ_TRY(yzi_broker_record_parse(r->body, &b->arena, record));
    struct dir_node want = {.view = {.node = record->node}};
    struct dir_node *node =
        b->root.brokers_n ? bsearch(&want, b->brokers, b->root.brokers_n, sizeof want, node_cmp)
                          : NULL;
    if (!node) {
        return yzi_fail(err, YZ_EUNKNOWNKEY, "the root statement has no keys for broker %.*s",
                        YZ_V(record->node.v));
    }
    for (size_t i = 0; i < record->endpoints_n; i++) {
        yz_bytes key = yzi_bytes(record->endpoints[i].transport.key, 32);
        const struct dir_key *k = yzi_table_get(&b->keys, key);
        if (!k || k->node != node || k->use != KEY_TRANSPORT) {
            return yzi_fail(err, YZ_EUNKNOWNKEY,
                            "an endpoint of broker %.*s has a key that the root statement does not "
                            "list",
                            YZ_V(record->node.v));
        }
    }
    node->view.broker = record;
    out->id = record->node.v;
    return 0;
}

static int add_member(struct dir_base *b, const struct record *r, struct dir_place *out,
                      yz_error *err)
{
    struct dir_member *m;
    YZ_TRY(yzi_arena_new(&b->arena, 1, sizeof *m, &m));
    YZ_TRY(yzi_member_record_parse(r->body, &b->arena, &m->record));
    m->raw = r->raw;
    out->id = m->record.member.v;
    YZ_TRY(check_instance(b, out->id, err));
    YZ_TRY(add_keys(b, &m->record.keys, KEY_MEMBER, NULL, out->id, err));
    int rc = yzi_table_put(&b->members, out->id, m);
    return rc == YZ_EEXIST
               ? yzi_fail(err, YZ_EMALFORMED, "member %.*s is there twice", YZ_V(out->id))
               : rc;
}

static int add_set(struct dir_base *b, const struct record *r, struct dir_place *out, yz_error *err)
{
    struct dir_set *s;
    struct dir_member *m;
    YZ_TRY(yzi_arena_new(&b->arena, 1, sizeof *s, &s));
    YZ_TRY(yzi_dir_set_init(b, r, &b->arena, s, &m, err));
    out->id = m->record.member.v;
    if (m->set) {
        return yzi_fail(err, YZ_EMALFORMED, "member %.*s has two member sets", YZ_V(out->id));
    }
    m->set = s;
    YZ_TRY(add_keys(b, &s->set.owner_keys, KEY_OWNER, NULL, out->id, err));
    for (size_t i = 0; i < s->set.nodes_n; i++) {
        const struct dir_node *n = &s->nodes[i];
        YZ_TRY(add_keys(b, n->view.signing, KEY_SIGNING, n, n->view.node.v, err));
        YZ_TRY(add_keys(b, n->view.transport, KEY_TRANSPORT, n, n->view.node.v, err));
    }
    return 0;
}

static int add_revocation(struct dir_base *b, const struct record *r, struct dir_place *out,
                          yz_error *err)
{
    struct revocation *v;
    YZ_TRY(yzi_arena_new(&b->arena, 1, sizeof *v, &v));
    YZ_TRY(yzi_revocation_parse(r->body, &b->arena, v));
    *out = yzi_dir_place_of_revocation(v);
    struct table *t = &b->revoked_keys;
    if (!v->has_key) {
        YZ_TRY(check_instance(b, out->id, err));
        t = v->node.n ? &b->revoked_nodes : &b->revoked_members;
    }
    int rc = yzi_table_put(t, out->id, v);
    return rc == YZ_EEXIST ? yzi_fail(err, YZ_EMALFORMED, "the same is revoked twice") : rc;
}

static int add_purposes(struct dir_base *b, const struct record *r, yz_error *err)
{
    struct purpose_list *l;
    YZ_TRY(yzi_arena_new(&b->arena, 1, sizeof *l, &l));
    YZ_TRY(yzi_purpose_list_parse(r->body, &b->arena, l));
    if (!yzi_bytes_eq(l->instance, b->root.instance)) {
        return yzi_fail(err, YZ_EUNKNOWNKEY, "the purpose list is of instance %.*s, not %.*s",
                        YZ_V(l->instance), YZ_V(b->root.instance));
    }
    b->purposes = l; /* a second one is out of order */
    return 0;
}

static int add_by_kind(struct dir_base *b, const struct record *r, struct dir_place *place,
                       yz_error *err)
{
    switch ((enum rank)place->rank) {
    case RANK_ROOT: /* taken before; a second one is out of order */
        return 0;
    case RANK_BROKER:
        return add_broker(b, r, place, err);
    case RANK_MEMBER:
        return add_member(b, r, place, err);
    case RANK_SET:
        return add_set(b, r, place, err);
    case RANK_REVOCATION:
        return add_revocation(b, r, place, err);
    case RANK_PURPOSES:
        return add_purposes(b, r, err);
    }
    return YZ_EMALFORMED;
}

/* The next record of the tree: of a known kind, signed only where its kind is, in order. */
static int add_record(struct dir_base *b, const struct record *r, yz_error *err)
{
    size_t i = b->records_n;
    YZ_ENSURE(i < b->manifest.tree_size,
              yzi_fail(err, YZ_EMALFORMED, "there are more records than the manifest says"));
    struct dir_record *to = &b->records[i];
    *to = (struct dir_record){.kind = r->kind, .raw = r->raw};
    YZ_ENSURE(yzi_dir_rank(r->kind, &to->place.rank) == 0,
              yzi_fail(err, YZ_EMALFORMED, "a %s is no record of a directory",
                       yzi_record_kind_name(r->kind)));
    bool is_signed = yzi_sign_rule_record(r->kind)->signer != SIGNER_NONE;
    YZ_ENSURE(is_signed || r->signatures_n == 0,
              yzi_fail(err, YZ_EMALFORMED, "a %s record carries signatures",
                       yzi_record_kind_name(r->kind)));
    YZ_TRY(add_by_kind(b, r, &to->place, err));
    YZ_ENSURE(i == 0 || yzi_dir_place_cmp(&b->records[i - 1].place, &to->place) < 0,
              yzi_fail(err, YZ_EMALFORMED, "record %zu is out of order or there twice", i));
    yzi_merkle_leaf(r->raw, &b->tree[i]);
    b->records_n++;
    return 0;
}

static int add_chunk(struct dir_base *b, size_t chunk, yz_error *err)
{
    yz_reader reader = yzi_reader(b->chunks[chunk]);
    uint32_t n = 0;
    for (; reader.left; n++) {
        struct record r;
        yz_error detail = {0};
        int rc = yzi_record_next(&reader, &r);
        rc = rc < 0 ? rc : add_record(b, &r, &detail);
        if (rc < 0) {
            return yzi_fail(err, rc, "record %zu (chunk %zu): %s", b->records_n, chunk,
                            detail.text[0] ? detail.text : yz_err_words(rc));
        }
    }
    YZ_ENSURE(n == b->manifest.chunks[chunk].records,
              yzi_fail(err, YZ_EMALFORMED, "chunk %zu has not the records it should", chunk));
    return 0;
}

/* Room for the records the manifest promises; never more than the bytes could hold. */
static int make_room(struct dir_base *b, yz_error *err)
{
    size_t bytes = 0;
    for (size_t i = 0; i < b->manifest.chunks_n; i++) {
        bytes += b->chunks[i].n;
    }
    uint64_t n = b->manifest.tree_size;
    YZ_ENSURE(
        n > 0 && n <= bytes / 10,
        yzi_fail(err, YZ_EMALFORMED, "the chunks cannot hold %llu records", (unsigned long long)n));
    YZ_TRY(yzi_arena_new(&b->arena, n, sizeof *b->records, &b->records));
    return yzi_alloc(yzi_merkle_tree_nodes(n), sizeof *b->tree, &b->tree);
}

static int check_tree(struct dir_base *b, yz_error *err)
{
    YZ_ENSURE(b->records_n == b->manifest.tree_size,
              yzi_fail(err, YZ_EMALFORMED, "there are fewer records than the manifest says"));
    yz_digest root;
    yzi_merkle_tree(b->tree, b->records_n, &root);
    YZ_ENSURE(yzi_digest_eq(&root, &b->manifest.root_hash),
              yzi_fail(err, YZ_ESIGNATURE, "the records have not the root hash of the manifest"));
    return 0;
}

/* Who signed what, before anything else is looked at. */
static int check_authority(struct dir_base *b, yz_bytes trusted_root, yz_error *err)
{
    struct record manifest, root;
    YZ_TRY(yzi_dir_parse_manifest(b->manifest_raw, &b->arena, &manifest, &b->manifest, err));
    b->manifest_body = manifest.body;
    YZ_TRY(yzi_dir_root_of_chunk(b->chunks[0], &root, err));
    b->root_raw = root.raw;
    YZ_TRY(yzi_dir_authorise_root(trusted_root, root.raw, &b->arena, &b->root, err));
    return yzi_dir_check_manifest(&b->root, &manifest, &b->manifest, err);
}

static int build(struct dir_base *b, yz_bytes trusted_root, size_t chunks_n, yz_error *err)
{
    YZ_TRY(check_authority(b, trusted_root, err));
    YZ_ENSURE(b->manifest.chunks_n == chunks_n,
              yzi_fail(err, YZ_EMALFORMED, "there are %zu chunks, the manifest names %zu", chunks_n,
                       b->manifest.chunks_n));
    for (size_t i = 0; i < chunks_n; i++) {
        YZ_TRY(check_chunk(b, i, err));
    }
    YZ_TRY(make_room(b, err));
    YZ_TRY(add_authorities(b, err));
    for (size_t i = 0; i < chunks_n; i++) {
        YZ_TRY(add_chunk(b, i, err));
    }
    return check_tree(b, err);
}

int yzi_dir_verify_after(const struct directory *known, yz_bytes trusted_root,
                         yz_bytes manifest_record, const yz_bytes *chunks, size_t chunks_n,
                         const struct directory **out, yz_error *err)
{
    YZ_AUTO(base_unref_ptr) struct dir_base *b = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *b, &b));
    atomic_init(&b->refs, 1);
    b->known = known ? known->base : NULL;
    yz_error detail = {0};
    int rc = copy_bytes(b, manifest_record, chunks, chunks_n, &detail);
    if (rc == 0) {
        rc = build(b, trusted_root, chunks_n, &detail);
    }
    if (rc < 0) {
        return yzi_fail(err, rc, "%s", detail.text[0] ? detail.text : yz_err_words(rc));
    }
    b->known = NULL;
    return yzi_dir_of_base(YZ_TAKE(b), out);
}

int yzi_directory_verify(yz_bytes trusted_root, yz_bytes manifest_record, const yz_bytes *chunks,
                         size_t chunks_n, const struct directory **out, yz_error *err)
{
    return yzi_dir_verify_after(NULL, trusted_root, manifest_record, chunks, chunks_n, out, err);
}
