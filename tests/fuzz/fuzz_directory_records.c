/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_directory_verify, yzi_directory_overlay, the look-ups of keys/directory.h.
 *
 * Input: concatenated records. They become the second chunk of a directory whose root statement and
 * manifest are properly signed by keys of ours, so that what lies behind the signatures is reached;
 * an unsigned member set is signed with the member key of the sample, and is tried as an overlay
 * too. In a directory that is believed, each node is found by its id and its keys, by nobody
 * else's, and every record can be proved.
 */
#include <sodium.h>

#include "keys/directory_internal.h"
#include "tests/support/fixed_key.h"

#define RECORDS_MAX 64u
#define NOW UINT64_C(1750000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct key_pair root_key, operator_key, member_key;
static yz_buf root;

static struct key_validity valid(uint8_t n)
{
    struct key_validity v = {0};
    memset(v.key, n, sizeof v.key);
    return v;
}

static void make_root(void)
{
    struct key_validity keys[3] = {valid(0x31), valid(0x32), valid(0x33)};
    struct root_broker broker = {.node = {yzi_bytes_str("CN/@b1")},
                                 .transport = {&keys[0], 1},
                                 .signing = {&keys[1], 1},
                                 .log = {&keys[2], 1}};
    struct root_statement s = {
        .instance = yzi_bytes_str("CN"),
        .version = 1,
        .issued_at = NOW,
        .root_keys = &root_key.public_key,
        .root_keys_n = 1,
        .root_threshold = 1,
        .operator_keys = &operator_key.public_key,
        .operator_keys_n = 1,
        .operator_threshold = 1,
        .brokers = &broker,
        .brokers_n = 1,
    };
    memset(s.freshness_key, 0x21, 32);
    yz_buf body;
    struct key_pair *key = &root_key;
    yzi_buf_init(&body, YZ_RECORD_MAX);
    yzi_buf_init(&root, YZ_RECORD_MAX);
    YZ_ASSERT(yzi_root_statement_write(&s, &body) == 0);
    YZ_ASSERT(yzi_record_sign(RECORD_ROOT, yzi_bytes_buf(&body), &key, 1, &root) == 0);
    yzi_buf_fini(&body);
}

static void init(void)
{
    if (root.n) {
        return;
    }
    yzi_secret_require_lock(false);
    root_key = yz_numbered_key(KEY_ROOT, 1);
    operator_key = yz_numbered_key(KEY_OPERATOR, 2);
    member_key = yz_numbered_key(KEY_MEMBER, 3); /* the corpus's members list it */
    make_root();
}

/* The records of the input one by one, unsigned member sets signed. The number of them. */
static uint32_t collect(yz_bytes input, yz_buf *chunk, yz_digest *leaves, yz_buf *set)
{
    yz_reader reader = yzi_reader(input);
    struct record r;
    uint32_t n = 0;
    while (reader.left && n < RECORDS_MAX && yzi_record_next(&reader, &r) == 0) {
        struct key_pair *key = &member_key;
        size_t before = chunk->n;
        bool sign = r.kind == RECORD_MEMBER_SET && r.signatures_n == 0;
        int rc = sign ? yzi_record_sign(r.kind, r.body, &key, 1, chunk) : yzi_buf_put(chunk, r.raw);
        if (rc < 0) {
            break;
        }
        yz_bytes raw = yzi_bytes(chunk->p + before, chunk->n - before);
        if (r.kind == RECORD_MEMBER_SET) {
            yzi_buf_clear(set);
            YZ_ASSERT(yzi_buf_put(set, raw) == 0);
        }
        yzi_merkle_leaf(raw, &leaves[++n]);
    }
    return n;
}

static void make_manifest(const yz_buf *chunk, uint32_t n, yz_digest *leaves, yz_buf *out)
{
    struct manifest_chunk chunks[2] = {{.bytes = (uint32_t)root.n, .records = 1},
                                       {.bytes = (uint32_t)chunk->n, .records = n}};
    struct manifest m = {
        .instance = yzi_bytes_str("CN"),
        .version = 1,
        .issued_at = NOW,
        .root_version = 1,
        .tree_size = n + 1u,
        .chunks = chunks,
        .chunks_n = 2,
    };
    yz_buf body;
    struct key_pair *key = &operator_key;
    crypto_hash_sha256(chunks[0].digest.b, root.p, root.n);
    crypto_hash_sha256(chunks[1].digest.b, chunk->p, chunk->n);
    yzi_merkle_leaf(yzi_bytes_buf(&root), &leaves[0]);
    yzi_merkle_root(leaves, n + 1u, &m.root_hash);
    yzi_buf_init(&body, YZ_RECORD_MAX);
    yzi_buf_init(out, YZ_RECORD_MAX);
    YZ_ASSERT(yzi_manifest_write(&m, &body) == 0);
    YZ_ASSERT(yzi_record_sign(RECORD_MANIFEST, yzi_bytes_buf(&body), &key, 1, out) == 0);
    yzi_buf_fini(&body);
}

/* Each key of each node leads to that node, or to nobody. */
static void check_node(const struct directory *d, const struct node_record *n)
{
    struct directory_node by_id, by_key;
    if (yzi_directory_node(d, n->node, NOW, &by_id, NULL) < 0) {
        return;
    }
    YZ_ASSERT(yzi_bytes_eq(by_id.node.v, n->node.v) && by_id.role == n->role);
    for (size_t i = 0; i < n->transport.n; i++) {
        const uint8_t *key = n->transport.items[i].key;
        if (yzi_directory_by_transport(d, key, NOW, &by_key) == 0) {
            YZ_ASSERT(yzi_bytes_eq(by_key.node.v, n->node.v));
            YZ_ASSERT(!yzi_directory_key_revoked(d, key, NOW));
        }
        YZ_ASSERT(yzi_directory_may_sign(d, &by_id, key, NOW) < 0);
    }
    for (size_t i = 0; i < n->signing.n; i++) {
        YZ_ASSERT(yzi_directory_by_transport(d, n->signing.items[i].key, NOW, &by_key) < 0);
    }
}

static int check_record(void *ctx, const struct record *r)
{
    const struct directory *d = ctx;
    struct arena arena;
    struct member_set s;
    if (r->kind != RECORD_MEMBER_SET) {
        return 0;
    }
    yzi_arena_init(&arena, 1u << 24);
    YZ_ASSERT(yzi_member_set_parse(r->body, &arena, &s) == 0);
    YZ_ASSERT(yzi_directory_member_set(d, s.member)->version == s.version);
    for (size_t i = 0; i < s.nodes_n; i++) {
        check_node(d, &s.nodes[i]);
    }
    yzi_arena_fini(&arena);
    return 0;
}

static void check_proofs(const struct directory *d)
{
    for (size_t i = 0; i < d->base->records_n; i++) {
        const struct dir_record *r = &d->base->records[i];
        struct directory_proof p;
        yz_digest leaf, top;
        if (r->kind == RECORD_REVOCATION) {
            continue;
        }
        YZ_ASSERT(yzi_directory_prove(d, r->kind, r->place.id, &p) == 0);
        YZ_ASSERT(p.index == i && yzi_bytes_eq(p.raw, r->raw));
        yzi_merkle_leaf(p.raw, &leaf);
        YZ_ASSERT(yzi_merkle_root_from_path(&leaf, p.index, p.size, p.path.hash, p.path.n, &top) ==
                  0);
        YZ_ASSERT(yzi_digest_eq(&top, yzi_directory_root_hash(d)));
    }
}

static void check(const struct directory *d, yz_bytes set)
{
    const struct directory *over = NULL;
    YZ_ASSERT(yzi_directory_each(d, check_record, (void *)d) == 0);
    check_proofs(d);
    if (set.n && yzi_directory_overlay(d, set, NOW, &over, NULL) == 0) {
        YZ_ASSERT(yzi_directory_overlays_n(over) == 1);
        YZ_ASSERT(yzi_directory_each(over, check_record, (void *)over) == 0);
        yzi_directory_unref(over);
    }
}

/* The input's last member set over a directory of all but that. */
static void try_directory(yz_bytes input)
{
    static yz_digest leaves[RECORDS_MAX + 1];
    yz_buf chunk, set, manifest;
    yzi_buf_init(&chunk, YZ_CHUNK_MAX);
    yzi_buf_init(&set, YZ_RECORD_MAX);
    uint32_t n = collect(input, &chunk, leaves, &set);
    if (n > 0) {
        make_manifest(&chunk, n, leaves, &manifest);
        yz_bytes chunks[2] = {yzi_bytes_buf(&root), yzi_bytes_buf(&chunk)};
        const struct directory *d = NULL;
        yz_error err = {0};
        int rc = yzi_directory_verify(yzi_bytes_buf(&root), yzi_bytes_buf(&manifest), chunks, 2, &d,
                                      &err);
        YZ_ASSERT((rc == 0) == (d != NULL) && err.code == rc);
        if (d) {
            check(d, yzi_bytes_buf(&set));
            yzi_directory_unref(d);
        }
        yzi_buf_fini(&manifest);
    }
    yzi_buf_fini(&chunk);
    yzi_buf_fini(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    init();
    try_directory(yzi_bytes(data, size));
    return 0;
}
