/* SPDX-License-Identifier: Apache-2.0
 *
 * keys/directory*.c: what is believed, what is refused and why, what a look-up says when, and that
 * a small change stays small.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>

#include "keys/directory_internal.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/world.h"

#define NOW WORLD_TIME

static struct world *w;

static int setup(void **state)
{
    (void)state;
    w = yz_world_standard();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    yz_world_free(w);
    return 0;
}

/* -- helpers -- */

static yz_node_id node_id(const char *s)
{
    yz_node_id id;
    assert_int_equal(yzi_node_id_parse(yzi_bytes_str(s), &id), 0);
    return id;
}

static yz_subsystem_id subsystem_id(const char *s)
{
    yz_subsystem_id id;
    assert_int_equal(yzi_subsystem_id_parse(yzi_bytes_str(s), &id), 0);
    return id;
}

static yz_member_id member_id(const char *s)
{
    yz_member_id id;
    assert_int_equal(yzi_member_id_parse(yzi_bytes_str(s), &id), 0);
    return id;
}

static int find(const struct directory *d, const char *id, uint64_t now)
{
    struct directory_node n;
    return yzi_directory_node(d, node_id(id), now, &n, NULL);
}

static yz_error last;

/* Verify parts against a root, as a node that trusts it. */
static int verify_parts(yz_bytes root, const struct directory_parts *p)
{
    yz_bytes chunks[64];
    assert_true(p->chunks_n <= 64);
    for (size_t i = 0; i < p->chunks_n; i++) {
        chunks[i] = yzi_bytes_buf(&p->chunks[i]);
    }
    const struct directory *d = NULL;
    last = (yz_error){0};
    int rc =
        yzi_directory_verify(root, yzi_bytes_buf(&p->manifest), chunks, p->chunks_n, &d, &last);
    yzi_directory_unref(d);
    if (rc < 0) {
        assert_int_equal(last.code, rc);
        assert_true(last.text[0] != '\0');
    }
    return rc;
}

static void assert_says(const char *words)
{
    if (!strstr(last.text, words)) {
        fail_msg("\"%s\" does not say \"%s\"", last.text, words);
    }
}

static struct key_pair *operators[WORLD_KEYS], *roots[WORLD_KEYS];

static void fill_keys(void)
{
    for (unsigned i = 0; i < WORLD_KEYS; i++) {
        operators[i] = &w->operators[i];
        roots[i] = &w->roots[i];
    }
}

/* Assemble the world's records as they are, perhaps with more; a code and words in `last`. */
static int assemble(const yz_bytes *more, size_t more_n, unsigned operators_n,
                    struct directory_parts *out)
{
    yz_bytes records[64];
    size_t n = 0;
    fill_keys();
    assert_true(w->records_n + more_n <= 64);
    for (size_t i = 0; i < w->records_n; i++) {
        records[n++] = yzi_bytes_buf(&w->records[i]);
    }
    for (size_t i = 0; i < more_n; i++) {
        records[n++] = more[i];
    }
    last = (yz_error){0};
    return yzi_directory_assemble(records, n, w->version + 1, NOW, operators, operators_n, out,
                                  &last);
}

static int assemble_refuses(const yz_bytes *more, size_t more_n)
{
    struct directory_parts p = {0};
    int rc = assemble(more, more_n, 2, &p);
    assert_null(p.chunks);
    return rc;
}

/* Take record i of the world out of it. */
static void drop_record(size_t i)
{
    yzi_buf_fini(&w->records[i]);
    w->records[i] = w->records[--w->records_n];
}

static enum record_kind kind_of(const yz_buf *b)
{
    struct record r;
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(b), &r), 0);
    return r.kind;
}

static size_t record_of(enum record_kind kind)
{
    for (size_t i = 0; i < w->records_n; i++) {
        if (kind_of(&w->records[i]) == kind) {
            return i;
        }
    }
    fail_msg("no record of kind %d", kind);
    return 0;
}

/* Re-sign a manifest after changing it: an operator who lies. */
static void lie(struct directory_parts *p, void (*change)(struct manifest *m))
{
    struct record r;
    struct manifest m;
    YZ_AUTO(yzi_arena_fini) struct arena a;
    YZ_AUTO(yzi_buf_fini) yz_buf body, record;
    yz_world_buf(&body);
    yz_world_buf(&record);
    yzi_arena_init(&a, 1u << 20);
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&p->manifest), &r), 0);
    assert_int_equal(yzi_manifest_parse(r.body, &a, &m), 0);
    change(&m);
    fill_keys();
    assert_int_equal(yzi_manifest_write(&m, &body), 0);
    assert_int_equal(yzi_record_sign(RECORD_MANIFEST, yzi_bytes_buf(&body), operators, 2, &record),
                     0);
    yzi_buf_clear(&p->manifest);
    assert_int_equal(yzi_buf_put(&p->manifest, yzi_bytes_buf(&record)), 0);
}

/* -- what a good one says -- */

static void test_directory__answers_who_is_there(void **state)
{
    (void)state;
    const struct directory *d = w->directory;
    struct directory_node n;
    assert_int_equal(yzi_directory_version(d), 1);
    assert_int_equal(yzi_directory_issued_at(d), NOW);
    assert_true(yzi_bytes_eq_str(yzi_directory_instance(d), "CN"));
    assert_int_equal(yzi_directory_node(d, node_id("CN/GOV/MCA/@a1"), NOW, &n, NULL), 0);
    assert_int_equal(n.role, ROLE_ADAPTER);
    assert_true(yzi_bytes_eq_str(n.member.v, "CN/GOV/MCA"));
    assert_non_null(n.record);
    assert_null(n.broker);
    assert_null(n.log);
    assert_int_equal(yzi_directory_node(d, node_id("CN/@b2"), NOW, &n, NULL), 0);
    assert_int_equal(n.role, ROLE_BROKER);
    assert_int_equal(n.broker->endpoints_n, 1);
    assert_int_equal(n.log->n, 1);
    assert_int_equal(find(d, "CN/GOV/MCA/@a9", NOW), YZ_EUNKNOWNKEY);
    assert_int_equal(find(d, "CN/GOV/XXX/@a1", NOW), YZ_EUNKNOWNKEY);
    assert_int_equal(find(d, "CN/@b9", NOW), YZ_EUNKNOWNKEY);
    assert_true(yzi_directory_has_subsystem(d, subsystem_id("CN/GOV/MCA/civil")));
    assert_false(yzi_directory_has_subsystem(d, subsystem_id("CN/GOV/MCA/window")));
    assert_false(yzi_directory_has_subsystem(d, subsystem_id("CN/GOV/XXX/civil")));
    assert_non_null(yzi_directory_member(d, member_id("CN/GOV/HB")));
    assert_null(yzi_directory_member(d, member_id("CN/GOV/XXX")));
    assert_null(yzi_directory_member_set(d, member_id("CN/GOV/XXX")));
}

static void test_directory__knows_nodes_by_their_transport_keys(void **state)
{
    (void)state;
    static const char *const ids[] = {"CN/@b1", "CN/@b2", "CN/GOV/MCA/@a1", "CN/GOV/HB/@w2"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct world_node *of = yz_world_node(w, ids[i]);
        struct directory_node n;
        assert_int_equal(
            yzi_directory_by_transport(w->directory, of->transport.public_key, NOW, &n), 0);
        assert_true(yzi_bytes_eq(n.node.v, of->node.v));
        /* a signing key is no transport key, nor the other way round */
        assert_int_equal(yzi_directory_by_transport(w->directory, of->signing.public_key, NOW, &n),
                         YZ_EUNKNOWNKEY);
        assert_int_equal(yzi_directory_may_sign(w->directory, &n, of->signing.public_key, NOW), 0);
        assert_int_equal(yzi_directory_may_sign(w->directory, &n, of->transport.public_key, NOW),
                         YZ_EUNKNOWNKEY);
    }
    struct directory_node a1;
    assert_int_equal(yzi_directory_node(w->directory, node_id(ids[2]), NOW, &a1, NULL), 0);
    assert_int_equal(yzi_directory_may_sign(w->directory, &a1,
                                            yz_world_node(w, ids[3])->signing.public_key, NOW),
                     YZ_EUNKNOWNKEY);
}

static void test_directory__says_who_speaks_for_and_owns_a_subsystem(void **state)
{
    (void)state;
    struct directory_node n;
    const struct key_list *owners;
    yz_subsystem_id civil = subsystem_id("CN/GOV/MCA/civil");
    const uint8_t *owner = yz_world_member(w, "CN/GOV/MCA")->owner.public_key;
    assert_int_equal(yzi_directory_node(w->directory, node_id("CN/GOV/MCA/@a1"), NOW, &n, NULL), 0);
    assert_true(yzi_directory_speaks_for(&n, civil));
    assert_false(yzi_directory_speaks_for(&n, subsystem_id("CN/GOV/MCA/other")));
    assert_false(yzi_directory_speaks_for(&n, subsystem_id("CN/GOV/HB/civil")));
    assert_int_equal(yzi_directory_node(w->directory, node_id("CN/@b1"), NOW, &n, NULL), 0);
    assert_false(yzi_directory_speaks_for(&n, civil));
    assert_int_equal(yzi_directory_owner_keys(w->directory, civil, &owners), 0);
    assert_memory_equal(owners->items[0].key, owner, 32);
    assert_int_equal(yzi_directory_may_own(w->directory, civil, owner, NOW), 0);
    assert_int_equal(yzi_directory_may_own(w->directory, civil,
                                           yz_world_member(w, "CN/GOV/HB")->owner.public_key, NOW),
                     YZ_EUNKNOWNKEY);
    assert_int_equal(yzi_directory_owner_keys(w->directory, subsystem_id("CN/GOV/MCA/x"), &owners),
                     YZ_ENOTFOUND);
}

static int count_broker(void *ctx, const struct directory_node *b)
{
    assert_int_equal(b->role, ROLE_BROKER);
    (*(int *)ctx)++;
    return 0;
}

static int stop_at_once(void *ctx, const struct directory_node *b)
{
    (void)b;
    (*(int *)ctx)++;
    return 7;
}

static void test_directory__lists_brokers_that_both_root_and_operator_list(void **state)
{
    (void)state;
    int n = 0;
    assert_int_equal(yzi_directory_each_broker(w->directory, NOW, count_broker, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(yzi_directory_each_broker(w->directory, NOW, stop_at_once, &n), 7);
    assert_int_equal(n, 3);
    drop_record(record_of(RECORD_BROKER));
    struct directory_parts p;
    assert_int_equal(assemble(NULL, 0, 2, &p), 0);
    yz_bytes chunks[64];
    for (size_t i = 0; i < p.chunks_n; i++) {
        chunks[i] = yzi_bytes_buf(&p.chunks[i]);
    }
    const struct directory *d;
    assert_int_equal(yzi_directory_verify(yzi_bytes_buf(&w->root), yzi_bytes_buf(&p.manifest),
                                          chunks, p.chunks_n, &d, NULL),
                     0);
    n = 0;
    assert_int_equal(yzi_directory_each_broker(d, NOW, count_broker, &n), 0);
    assert_int_equal(n, 1);
    bool revoked = true;
    struct directory_node b;
    int rc1 = yzi_directory_node(d, node_id("CN/@b1"), NOW, &b, &revoked);
    int rc2 = yzi_directory_node(d, node_id("CN/@b2"), NOW, &b, &revoked);
    assert_int_equal(rc1 + rc2, YZ_EUNKNOWNKEY);
    assert_false(revoked);
    yzi_directory_unref(d);
    yzi_directory_parts_fini(&p);
}

static void test_directory__proves_single_records(void **state)
{
    (void)state;
    static const struct {
        enum record_kind kind;
        const char *id;
    } cases[] = {{RECORD_ROOT, ""},
                 {RECORD_BROKER, "CN/@b2"},
                 {RECORD_MEMBER, "CN/GOV/MCA"},
                 {RECORD_MEMBER_SET, "CN/GOV/HB"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct directory_proof p;
        yz_digest leaf, root;
        assert_int_equal(
            yzi_directory_prove(w->directory, cases[i].kind, yzi_bytes_str(cases[i].id), &p), 0);
        yzi_merkle_leaf(p.raw, &leaf);
        assert_int_equal(
            yzi_merkle_root_from_path(&leaf, p.index, p.size, p.path.hash, p.path.n, &root), 0);
        assert_true(yzi_digest_eq(&root, yzi_directory_root_hash(w->directory)));
    }
    struct directory_proof p;
    assert_int_equal(
        yzi_directory_prove(w->directory, RECORD_MEMBER, yzi_bytes_str("CN/GOV/X"), &p),
        YZ_ENOTFOUND);
    assert_int_equal(yzi_directory_prove(w->directory, RECORD_OFFER, yzi_bytes_str("x"), &p),
                     YZ_EINVAL);
}

/* -- bundles -- */

static void test_bundle__comes_back(void **state)
{
    (void)state;
    yz_bytes manifest, chunks[64];
    size_t n = 64;
    assert_int_equal(yzi_directory_bundle_parse(yzi_bytes_buf(&w->bundle), &manifest, chunks, &n),
                     0);
    assert_int_equal(n, w->parts.chunks_n);
    assert_true(yzi_bytes_eq(manifest, yzi_bytes_buf(&w->parts.manifest)));
    YZ_AUTO(yzi_buf_fini) yz_buf again;
    yz_world_buf(&again);
    assert_int_equal(yzi_directory_bundle(w->directory, &again), 0);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&again), yzi_bytes_buf(&w->bundle)));
    for (size_t i = 0; i < n; i++) {
        yz_digest digest;
        crypto_hash_sha256(digest.b, chunks[i].p, chunks[i].n);
        assert_true(yzi_bytes_eq(yzi_directory_chunk(w->directory, &digest), chunks[i]));
    }
    assert_int_equal(yzi_directory_chunk(w->directory, &(yz_digest){{1}}).n, 0);
}

static void test_bundle__refuses_every_truncation_and_more(void **state)
{
    (void)state;
    yz_bytes manifest, chunks[64];
    yz_bytes whole = yzi_bytes_buf(&w->bundle);
    size_t accepted = 0;
    for (size_t cut = 0; cut < whole.n; cut++) {
        size_t n = 64;
        int rc = yzi_directory_bundle_parse(yzi_bytes(whole.p, cut), &manifest, chunks, &n);
        if (rc == 0) { /* between two chunks: then the manifest tells */
            accepted++;
            const struct directory *d;
            assert_int_equal(
                yzi_directory_verify(yzi_bytes_buf(&w->root), manifest, chunks, n, &d, NULL),
                YZ_EMALFORMED);
        } else {
            assert_int_equal(rc, YZ_EMALFORMED);
        }
    }
    assert_int_equal(accepted, w->parts.chunks_n - 1);
    assert_int_equal(yzi_buf_put_u32(&w->bundle, YZ_CHUNK_MAX + 1), 0);
    size_t n = 64;
    assert_int_equal(yzi_directory_bundle_parse(yzi_bytes_buf(&w->bundle), &manifest, chunks, &n),
                     YZ_ETOOBIG);
    n = w->parts.chunks_n - 1;
    assert_int_equal(yzi_directory_bundle_parse(whole, &manifest, chunks, &n), YZ_ELIMIT);
}

/* -- tampering -- */

static void test_verify__refuses_any_changed_byte(void **state)
{
    (void)state;
    struct directory_parts *p = &w->parts;
    assert_int_equal(verify_parts(yzi_bytes_buf(&w->root), p), 0);
    for (size_t c = 0; c < p->chunks_n; c++) {
        for (size_t i = 0; i < p->chunks[c].n; i += 7) {
            p->chunks[c].p[i] ^= 1;
            assert_true(verify_parts(yzi_bytes_buf(&w->root), p) < 0);
            p->chunks[c].p[i] ^= 1;
        }
    }
    for (size_t i = 0; i < p->manifest.n; i++) {
        p->manifest.p[i] ^= 1;
        assert_true(verify_parts(yzi_bytes_buf(&w->root), p) < 0);
        p->manifest.p[i] ^= 1;
    }
    assert_int_equal(verify_parts(yzi_bytes_buf(&w->root), p), 0);
}

static void test_verify__refuses_swapped_missing_and_extra_chunks(void **state)
{
    (void)state;
    struct directory_parts *p = &w->parts;
    assert_true(p->chunks_n >= 4);
    yz_buf t = p->chunks[1];
    p->chunks[1] = p->chunks[2];
    p->chunks[2] = t;
    assert_int_equal(verify_parts(yzi_bytes_buf(&w->root), p), YZ_ESIGNATURE);
    p->chunks[2] = p->chunks[1];
    p->chunks[1] = t;
    p->chunks_n--;
    assert_int_equal(verify_parts(yzi_bytes_buf(&w->root), p), YZ_EMALFORMED);
    p->chunks_n++;
    assert_int_equal(verify_parts(yzi_bytes_buf(&w->root), p), 0);
    const struct directory *d;
    assert_int_equal(yzi_directory_verify(yzi_bytes_buf(&w->root), yzi_bytes_buf(&p->manifest),
                                          NULL, 0, &d, &last),
                     YZ_ETOOBIG);
}

/* A manifest's counts must agree with each other, or nobody would even read it. */
static void more_records(struct manifest *m)
{
    m->tree_size++;
    m->chunks[m->chunks_n - 1].records++;
}
static void fewer_records(struct manifest *m)
{
    m->tree_size--;
    m->chunks[m->chunks_n - 1].records--;
}
static void longer_chunk(struct manifest *m)
{
    m->chunks[1].bytes++;
}
static void other_digest(struct manifest *m)
{
    m->chunks[1].digest.b[31] ^= 1;
}
static void other_root_hash(struct manifest *m)
{
    m->root_hash.b[0] ^= 1;
}
static void other_count(struct manifest *m)
{
    m->chunks[1].records++;
    m->chunks[2].records--;
}
static void other_instance(struct manifest *m)
{
    m->instance = yzi_bytes_str("XX");
}
static void other_root_version(struct manifest *m)
{
    m->root_version++;
}

static void test_verify__refuses_what_a_lying_operator_signed(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct manifest *m);
        int want;
        const char *words;
    } lies[] = {
        {more_records, YZ_EMALFORMED, "has not the records"},
        {longer_chunk, YZ_ESIGNATURE, "chunk 1 is not the one"},
        {other_digest, YZ_ESIGNATURE, "chunk 1 is not the one"},
        {fewer_records, YZ_EMALFORMED, "more records"},
        {other_root_hash, YZ_ESIGNATURE, "root hash"},
        {other_count, YZ_EMALFORMED, "has not the records"},
        {other_instance, YZ_EUNKNOWNKEY, "instance XX"},
        {other_root_version, YZ_EMALFORMED, "root statement 2"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct directory_parts p;
        assert_int_equal(assemble(NULL, 0, 2, &p), 0);
        lie(&p, lies[i].change);
        int rc = verify_parts(yzi_bytes_buf(&w->root), &p);
        assert_int_equal(rc, lies[i].want);
        assert_says(lies[i].words);
        yzi_directory_parts_fini(&p);
    }
}

/* An operator who alters records after the members signed them: digests, root hash and manifest are
 * made to fit. */
static struct directory_parts *forged;

static void fit(struct manifest *m)
{
    static yz_digest leaves[64];
    size_t n = 0;
    for (size_t i = 0; i < forged->chunks_n; i++) {
        yz_reader reader = yzi_reader(yzi_bytes_buf(&forged->chunks[i]));
        struct record r;
        crypto_hash_sha256(m->chunks[i].digest.b, forged->chunks[i].p, forged->chunks[i].n);
        while (reader.left && yzi_record_next(&reader, &r) == 0) {
            yzi_merkle_leaf(r.raw, &leaves[n++]);
        }
    }
    yzi_merkle_root(leaves, n, &m->root_hash);
}

static int verify_forged(const struct directory *known)
{
    yz_bytes chunks[64];
    const struct directory *d = NULL;
    lie(forged, fit);
    for (size_t i = 0; i < forged->chunks_n; i++) {
        chunks[i] = yzi_bytes_buf(&forged->chunks[i]);
    }
    last = (yz_error){0};
    int rc = yzi_dir_verify_after(known, yzi_bytes_buf(&w->root), yzi_bytes_buf(&forged->manifest),
                                  chunks, forged->chunks_n, &d, &last);
    yzi_directory_unref(d);
    return rc;
}

/* The chunk that has a record of this kind, and the record in it. */
static yz_bytes forged_record(enum record_kind kind, const char *id)
{
    for (size_t i = 0; i < forged->chunks_n; i++) {
        yz_reader reader = yzi_reader(yzi_bytes_buf(&forged->chunks[i]));
        struct record r;
        while (reader.left && yzi_record_next(&reader, &r) == 0) {
            if (r.kind == kind && memmem(r.raw.p, r.raw.n, id, strlen(id))) {
                return r.raw;
            }
        }
    }
    fail_msg("no such record");
    return (yz_bytes){0};
}

static void test_verify__refuses_member_sets_that_operators_altered(void **state)
{
    (void)state;
    struct directory_parts p;
    assert_int_equal(assemble(NULL, 0, 2, &p), 0);
    forged = &p;
    assert_int_equal(verify_forged(NULL), 0);
    yz_bytes set = forged_record(RECORD_MEMBER_SET, "CN/GOV/MCA");
    for (size_t i = 0; i < set.n; i++) {
        ((uint8_t *)set.p)[i] ^= 1;
        assert_true(verify_forged(i % 2 ? NULL : w->directory) < 0);
        ((uint8_t *)set.p)[i] ^= 1;
    }
    assert_int_equal(verify_forged(w->directory), 0);
    yzi_directory_parts_fini(&p);
}

/* What was verified before is believed again only for the same keys. */
static void test_verify__checks_known_sets_again_when_their_member_changed(void **state)
{
    (void)state;
    struct directory_parts p;
    const uint8_t *key = yz_world_member(w, "CN/GOV/MCA")->key.public_key;
    assert_int_equal(assemble(NULL, 0, 2, &p), 0);
    forged = &p;
    yz_bytes member = forged_record(RECORD_MEMBER, "CN/GOV/MCA");
    uint8_t *at = memmem(member.p, member.n, key, 32);
    assert_non_null(at);
    at[5] ^= 1;
    assert_int_equal(verify_forged(w->directory), YZ_ESIGNATURE);
    assert_says("is not signed by a key of that member");
    at[5] ^= 1;
    assert_int_equal(verify_forged(w->directory), 0);
    yzi_directory_parts_fini(&p);
}

static void test_verify__needs_the_operators_at_their_threshold(void **state)
{
    (void)state;
    struct directory_parts p = {0};
    assert_int_equal(assemble(NULL, 0, 1, &p), YZ_EINVAL);
    assert_says("operators");
    assert_int_equal(assemble(NULL, 0, 3, &p), 0);
    assert_int_equal(verify_parts(yzi_bytes_buf(&w->root), &p), 0);
    yzi_directory_parts_fini(&p);
    yz_world_new_key(KEY_OPERATOR, &w->operators[1]);
    assert_int_equal(assemble(NULL, 0, 2, &p), YZ_EINVAL); /* not the root statement's key */
    assert_int_equal(assemble(NULL, 0, 3, &p), 0);         /* two others are enough */
    yzi_directory_parts_fini(&p);
    fill_keys();
    operators[0] = &w->roots[0];
    yz_bytes records[64];
    for (size_t i = 0; i < w->records_n; i++) {
        records[i] = yzi_bytes_buf(&w->records[i]);
    }
    assert_int_equal(yzi_directory_assemble(records, w->records_n, 2, NOW, operators, 2, &p, &last),
                     YZ_EINVAL); /* a root key does no operator's work */
}

/* -- assembling nonsense -- */

static void put_body(enum record_kind kind, const yz_buf *body, struct key_pair *key, yz_buf *out)
{
    assert_int_equal(yzi_record_sign(kind, yzi_bytes_buf(body), &key, key ? 1 : 0, out), 0);
}

static void test_assemble__refuses_what_does_not_belong_together(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf extra;
    yz_world_buf(&extra);

    yz_bytes twice = yzi_bytes_buf(&w->records[record_of(RECORD_MEMBER)]);
    assert_int_equal(assemble_refuses(&twice, 1), YZ_EINVAL);
    assert_says("two member records of CN/GOV/");
    twice = yzi_bytes_buf(&w->root);
    assert_int_equal(assemble_refuses(&twice, 1), YZ_EINVAL);
    assert_says("two root records");

    yz_world_simple_offer(w, WORLD_SERVICE, WORLD_CONSUMER, 1, NULL, &extra, NULL);
    yz_bytes offer = yzi_bytes_buf(&extra);
    assert_int_equal(assemble_refuses(&offer, 1), YZ_EINVAL);
    assert_says("none of a directory");

    yz_bytes garbage = yzi_bytes_str("YR garbage");
    assert_int_equal(assemble_refuses(&garbage, 1), YZ_EINVAL);

    struct world *other = yz_world_new("XX");
    struct world_member *foreign = yz_world_add_member(other, "GOV/MCA");
    yzi_buf_clear(&extra);
    yz_world_put_member(foreign, &extra);
    yz_bytes theirs = yzi_bytes_buf(&extra);
    assert_int_equal(assemble_refuses(&theirs, 1), YZ_EINVAL);
    assert_says("instance");
    yz_world_free(other);

    struct world_member *orphan = yz_world_add_member(w, "GOV/TAX");
    yzi_buf_clear(&extra);
    yz_world_put_set(orphan, &extra);
    yz_bytes set = yzi_bytes_buf(&extra);
    assert_int_equal(assemble_refuses(&set, 1), YZ_EINVAL);
    assert_says("is no member");

    drop_record(record_of(RECORD_ROOT));
    assert_int_equal(assemble_refuses(NULL, 0), YZ_EINVAL);
    assert_says("no root statement");
    assert_int_equal(
        yzi_directory_assemble(NULL, 0, 1, NOW, operators, 2, &(struct directory_parts){0}, NULL),
        YZ_EINVAL);
}

static void test_assemble__refuses_a_member_set_of_another_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < w->records_n; i++) {
        if (kind_of(&w->records[i]) == RECORD_MEMBER_SET) {
            struct record r;
            assert_int_equal(yzi_record_parse(yzi_bytes_buf(&w->records[i]), &r), 0);
            YZ_AUTO(yzi_buf_fini) yz_buf body;
            yz_world_buf(&body);
            assert_int_equal(yzi_buf_put(&body, r.body), 0);
            struct key_pair thief = {0};
            yz_world_new_key(KEY_MEMBER, &thief);
            yzi_buf_clear(&w->records[i]);
            put_body(RECORD_MEMBER_SET, &body, &thief, &w->records[i]);
            yzi_key_pair_fini(&thief);
            break;
        }
    }
    assert_int_equal(assemble_refuses(NULL, 0), YZ_EINVAL);
    assert_says("is not signed by a key of that member");
}

static void test_assemble__refuses_brokers_without_root_keys(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body, record;
    yz_world_buf(&body);
    yz_world_buf(&record);
    struct endpoint e = {.address = yzi_bytes_str("tcp://127.0.0.1:1")};
    struct broker_record b = {.node = node_id("CN/@b9"), .endpoints = &e, .endpoints_n = 1};
    memset(e.transport.key, 9, 32);
    assert_int_equal(yzi_broker_record_write(&b, &body), 0);
    put_body(RECORD_BROKER, &body, NULL, &record);
    yz_bytes more = yzi_bytes_buf(&record);
    assert_int_equal(assemble_refuses(&more, 1), YZ_EINVAL);
    assert_says("no keys for broker CN/@b9");

    /* b1 with a key that is not its own: nobody's, then b2's */
    drop_record(record_of(RECORD_BROKER));
    drop_record(record_of(RECORD_BROKER));
    b.node = node_id("CN/@b1");
    for (int i = 0; i < 2; i++) {
        yzi_buf_clear(&body);
        yzi_buf_clear(&record);
        assert_int_equal(yzi_broker_record_write(&b, &body), 0);
        put_body(RECORD_BROKER, &body, NULL, &record);
        more = yzi_bytes_buf(&record);
        assert_int_equal(assemble_refuses(&more, 1), YZ_EINVAL);
        assert_says("key that the root statement does not list");
        memcpy(e.transport.key, yz_world_node(w, "CN/@b2")->transport.public_key, 32);
    }
}

/* One key in two places: every pair of places that is not two owner keys or two member keys. */
static void test_assemble__refuses_a_key_with_two_uses_or_two_nodes(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA"),
                        *hb = yz_world_member(w, "CN/GOV/HB");
    struct world_node *a1 = yz_world_node(w, "CN/GOV/MCA/@a1"),
                      *w1 = yz_world_node(w, "CN/GOV/HB/@w1"), *b1 = yz_world_node(w, "CN/@b1");
    struct {
        uint8_t *to;
        const uint8_t *from;
    } cases[] = {
        {a1->transport.public_key, w1->transport.public_key},
        {a1->transport.public_key, b1->transport.public_key},
        {a1->signing.public_key, w1->signing.public_key},
        {a1->signing.public_key, b1->signing.public_key},
        {a1->signing.public_key, b1->log.public_key},
        {a1->signing.public_key, w1->transport.public_key},
        {a1->signing.public_key, hb->key.public_key},
        {a1->signing.public_key, hb->owner.public_key},
        {a1->signing.public_key, mca->key.public_key},
        {a1->signing.public_key, w->operators[2].public_key},
        {mca->owner.public_key, w->roots[2].public_key},
        {mca->owner.public_key, hb->key.public_key},
        {mca->owner.public_key, w->freshness.public_key},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t was[32];
        memcpy(was, cases[i].to, 32);
        memcpy(cases[i].to, cases[i].from, 32);
        for (size_t k = 0; k < w->records_n; k++) {
            if (kind_of(&w->records[k]) == RECORD_MEMBER_SET &&
                memmem(w->records[k].p, w->records[k].n, "CN/GOV/MCA", 10)) {
                yzi_buf_clear(&w->records[k]);
                yz_world_put_set(mca, &w->records[k]);
            }
        }
        assert_int_equal(assemble_refuses(NULL, 0), YZ_EINVAL);
        assert_says("is listed as");
        memcpy(cases[i].to, was, 32);
    }
}

static void test_assemble__lets_members_share_an_owner_key(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA"),
                        *hb = yz_world_member(w, "CN/GOV/HB");
    memcpy(mca->owner.public_key, hb->owner.public_key, 32);
    yz_world_publish(w);
    assert_int_equal(yzi_directory_may_own(w->directory, subsystem_id("CN/GOV/MCA/civil"),
                                           hb->owner.public_key, NOW),
                     0);
}

/* -- the root statement -- */

static void test_root__an_anchor_signs_itself(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf root;
    yz_world_buf(&root);
    assert_int_equal(yzi_directory_check_anchor(yzi_bytes_buf(&w->anchor), &last), 0);
    fill_keys();
    yz_world_put_root(w, roots, 1, &root);
    assert_int_equal(yzi_directory_check_anchor(yzi_bytes_buf(&root), &last), YZ_ESIGNATURE);
    assert_int_equal(yzi_directory_check_anchor(yzi_bytes_buf(&w->parts.manifest), &last),
                     YZ_EMALFORMED);
    assert_int_equal(yzi_directory_check_anchor(yzi_bytes_str(""), &last), YZ_EMALFORMED);
}

/* Replace the world's root statement by one with these keys, signed by those; assemble. */
static void next_root(struct key_pair *const *signers, unsigned n, struct directory_parts *out)
{
    w->root_version++;
    yz_buf *root = &w->records[record_of(RECORD_ROOT)];
    yzi_buf_clear(root);
    yz_world_put_root(w, signers, n, root);
    int rc = assemble(NULL, 0, 3, out);
    if (rc < 0) {
        fail_msg("%s", last.text);
    }
}

static void test_root__a_newer_one_needs_the_older_ones_keys_and_its_own(void **state)
{
    (void)state;
    struct key_pair old[WORLD_KEYS];
    memcpy(old, w->roots, sizeof old);
    memset(w->roots, 0, sizeof w->roots);
    for (unsigned i = 0; i < WORLD_KEYS; i++) {
        yz_world_new_key(KEY_ROOT, &w->roots[i]);
    }
    struct key_pair *own_only[] = {&w->roots[0], &w->roots[1]};
    struct key_pair *one_old[] = {&w->roots[0], &w->roots[1], &old[0]};
    struct key_pair *both[] = {&w->roots[0], &w->roots[1], &old[0], &old[1]};
    struct directory_parts p;
    next_root(own_only, 2, &p);
    assert_int_equal(verify_parts(yzi_bytes_buf(&w->anchor), &p), YZ_ESIGNATURE);
    assert_says("not signed by the root keys of 1");
    yzi_directory_parts_fini(&p);
    next_root(one_old, 3, &p);
    assert_int_equal(verify_parts(yzi_bytes_buf(&w->anchor), &p), YZ_ESIGNATURE);
    yzi_directory_parts_fini(&p);
    next_root(both, 4, &p);
    assert_int_equal(verify_parts(yzi_bytes_buf(&w->anchor), &p), 0);
    /* and who trusts the newer one does not go back to the older */
    assert_int_equal(verify_parts(yzi_bytes_buf(&w->records[record_of(RECORD_ROOT)]), &w->parts),
                     YZ_EROLLBACK);
    assert_says("older");
    yzi_directory_parts_fini(&p);
    for (unsigned i = 0; i < WORLD_KEYS; i++) {
        yzi_key_pair_fini(&old[i]);
    }
}

static void test_root__two_of_one_version_are_an_alarm(void **state)
{
    (void)state;
    struct directory_parts p;
    fill_keys();
    w->operator_threshold = 1;
    w->root_version--;
    next_root(roots, 3, &p);
    assert_int_equal(verify_parts(yzi_bytes_buf(&w->anchor), &p), YZ_EROLLBACK);
    assert_says("alarm");
    yzi_directory_parts_fini(&p);
}

static void test_root__other_signatures_make_no_other_statement(void **state)
{
    (void)state;
    struct record r;
    struct directory_parts p;
    fill_keys();
    yz_buf *root = &w->records[record_of(RECORD_ROOT)];
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yz_world_buf(&body);
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(root), &r), 0);
    assert_int_equal(yzi_buf_put(&body, r.body), 0);
    yzi_buf_clear(root);
    assert_int_equal(yzi_record_sign(RECORD_ROOT, yzi_bytes_buf(&body), roots, 3, root), 0);
    assert_int_equal(assemble(NULL, 0, 2, &p), 0);
    assert_int_equal(verify_parts(yzi_bytes_buf(&w->anchor), &p), 0);
    yzi_directory_parts_fini(&p);
}

static void test_root__of_another_instance_is_refused(void **state)
{
    (void)state;
    struct world *other = yz_world_new("XX");
    yz_world_publish(other);
    assert_int_equal(verify_parts(yzi_bytes_buf(&w->anchor), &other->parts), YZ_EUNKNOWNKEY);
    assert_says("XX");
    yz_world_free(other);
}

/* -- time -- */

static void test_revocation__counts_from_its_time_in_every_look_up(void **state)
{
    (void)state;
    const uint64_t at = NOW + 1000;
    struct world_node *a1 = yz_world_node(w, "CN/GOV/MCA/@a1"),
                      *w1 = yz_world_node(w, "CN/GOV/HB/@w1"), *b1 = yz_world_node(w, "CN/@b1"),
                      *a2 = yz_world_node(w, "CN/GOV/MCA/@a2");
    struct directory_node n;
    bool revoked = false;
    yz_world_revoke_node(w, "CN/GOV/MCA/@a1", at);
    yz_world_revoke_node(w, "CN/@b1", at);
    yz_world_revoke_member(w, "CN/GOV/HB", at);
    yz_world_revoke_key(w, a2->transport.public_key, at);
    yz_world_revoke_key(w, a2->signing.public_key, at);
    yz_world_publish(w);
    const struct directory *d = w->directory;
    struct world_node *const all[] = {a1, w1, b1, a2};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(yzi_directory_node(d, all[i]->node, at - 1, &n, &revoked), 0);
        assert_false(revoked);
        assert_int_equal(yzi_directory_may_sign(d, &n, all[i]->signing.public_key, at - 1), 0);
        assert_int_equal(yzi_directory_by_transport(d, all[i]->transport.public_key, at - 1, &n),
                         0);
        assert_int_equal(yzi_directory_by_transport(d, all[i]->transport.public_key, at, &n),
                         YZ_EUNKNOWNKEY);
    }
    for (size_t i = 0; i < 3; i++) {
        revoked = false;
        assert_int_equal(yzi_directory_node(d, all[i]->node, at, &n, &revoked), YZ_EUNKNOWNKEY);
        assert_true(revoked);
    }
    assert_int_equal(yzi_directory_node(d, a2->node, at, &n, NULL), 0);
    assert_int_equal(yzi_directory_may_sign(d, &n, a2->signing.public_key, at), YZ_EUNKNOWNKEY);
    assert_true(yzi_directory_key_revoked(d, a2->signing.public_key, at));
    assert_false(yzi_directory_key_revoked(d, a2->signing.public_key, at - 1));
    assert_true(yzi_directory_member_revoked(d, member_id("CN/GOV/HB"), at));
    assert_int_equal(yzi_directory_may_own(d, subsystem_id(WORLD_CONSUMER),
                                           yz_world_member(w, "CN/GOV/HB")->owner.public_key, at),
                     YZ_EUNKNOWNKEY);
    int brokers = 0;
    assert_int_equal(yzi_directory_each_broker(d, at, count_broker, &brokers), 0);
    assert_int_equal(brokers, 1);
}

static void test_validity__of_node_keys_is_asked_at_look_up(void **state)
{
    (void)state;
    struct world_node *a1 = yz_world_node(w, "CN/GOV/MCA/@a1");
    struct directory_node n;
    a1->not_before = NOW + 10;
    a1->not_after = NOW + 20;
    yz_world_change(a1->member);
    yz_world_publish(w);
    const uint8_t *transport = a1->transport.public_key, *signing = a1->signing.public_key;
    assert_int_equal(yzi_directory_by_transport(w->directory, transport, NOW + 9, &n), YZ_EEXPIRED);
    assert_int_equal(yzi_directory_by_transport(w->directory, transport, NOW + 10, &n), 0);
    assert_int_equal(yzi_directory_by_transport(w->directory, transport, NOW + 19, &n), 0);
    assert_int_equal(yzi_directory_by_transport(w->directory, transport, NOW + 20, &n),
                     YZ_EEXPIRED);
    assert_int_equal(yzi_directory_may_sign(w->directory, &n, signing, NOW + 9), YZ_EEXPIRED);
    assert_int_equal(yzi_directory_may_sign(w->directory, &n, signing, NOW + 19), 0);
    assert_int_equal(yzi_directory_may_sign(w->directory, &n, signing, NOW + 20), YZ_EEXPIRED);
}

/* One member's key running out silences that member, and nobody else. */
static void test_validity__of_a_member_key_silences_its_member_only(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    struct world_node *a1 = yz_world_node(w, "CN/GOV/MCA/@a1");
    struct directory_node n;
    mca->key_not_after = NOW + 100;
    yz_world_publish(w);
    assert_int_equal(find(w->directory, "CN/GOV/MCA/@a1", NOW + 99), 0);
    assert_int_equal(find(w->directory, "CN/GOV/MCA/@a1", NOW + 100), YZ_EEXPIRED);
    assert_int_equal(find(w->directory, "CN/GOV/HB/@w1", NOW + 100), 0);
    assert_int_equal(
        yzi_directory_by_transport(w->directory, a1->transport.public_key, NOW + 100, &n),
        YZ_EEXPIRED);
    assert_int_equal(yzi_directory_may_own(w->directory, subsystem_id("CN/GOV/MCA/civil"),
                                           mca->owner.public_key, NOW + 100),
                     YZ_EEXPIRED);
    assert_int_equal(verify_parts(yzi_bytes_buf(&w->root), &w->parts), 0);
}

static void test_validity__a_revoked_member_key_takes_its_set_with_it(void **state)
{
    (void)state;
    yz_world_revoke_key(w, yz_world_member(w, "CN/GOV/MCA")->key.public_key, NOW + 5);
    yz_world_publish(w);
    bool revoked = false;
    struct directory_node n;
    assert_int_equal(find(w->directory, "CN/GOV/MCA/@a1", NOW + 4), 0);
    assert_int_equal(
        yzi_directory_node(w->directory, node_id("CN/GOV/MCA/@a1"), NOW + 5, &n, &revoked),
        YZ_EUNKNOWNKEY);
    assert_true(revoked);
    assert_int_equal(find(w->directory, "CN/GOV/HB/@w1", NOW + 5), 0);
}

/* -- overlays -- */

static int overlay(const struct directory *d, struct world_member *m, const struct directory **out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf set;
    yz_world_buf(&set);
    yz_world_put_set(m, &set);
    last = (yz_error){0};
    return yzi_directory_overlay(d, yzi_bytes_buf(&set), NOW, out, &last);
}

static void test_overlay__takes_effect_without_the_operator(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    struct world_node *a1 = yz_world_node(w, "CN/GOV/MCA/@a1");
    const struct directory *d;
    struct directory_node n;
    struct world_node *a3 = yz_world_add_node(mca, "a3", ROLE_ADAPTER, "civil");
    a1->gone = true;
    assert_int_equal(overlay(w->directory, mca, &d), 0);
    /* the new snapshot */
    assert_int_equal(find(d, "CN/GOV/MCA/@a3", NOW), 0);
    assert_int_equal(find(d, "CN/GOV/MCA/@a2", NOW), 0);
    assert_int_equal(find(d, "CN/GOV/MCA/@a1", NOW), YZ_EUNKNOWNKEY);
    assert_int_equal(yzi_directory_by_transport(d, a3->transport.public_key, NOW, &n), 0);
    assert_true(yzi_bytes_eq(n.node.v, a3->node.v));
    assert_int_equal(yzi_directory_may_sign(d, &n, a3->signing.public_key, NOW), 0);
    assert_int_equal(yzi_directory_by_transport(d, a1->transport.public_key, NOW, &n),
                     YZ_EUNKNOWNKEY);
    assert_int_equal(yzi_directory_member_set(d, mca->member)->version, mca->set_version);
    assert_int_equal(yzi_directory_overlays_n(d), 1);
    /* the old one is as it was, and outlives nothing */
    assert_int_equal(find(w->directory, "CN/GOV/MCA/@a1", NOW), 0);
    assert_int_equal(find(w->directory, "CN/GOV/MCA/@a3", NOW), YZ_EUNKNOWNKEY);
    yzi_directory_unref(w->directory);
    w->directory = NULL;
    assert_int_equal(find(d, "CN/GOV/HB/@w1", NOW), 0);
    assert_int_equal(find(d, "CN/@b1", NOW), 0);
    yzi_directory_unref(d);
}

static void test_overlay__versions_only_rise(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    const struct directory *d, *none = NULL;
    assert_int_equal(overlay(w->directory, mca, &none), YZ_EEXIST);
    mca->set_version++;
    assert_int_equal(overlay(w->directory, mca, &d), 0);
    assert_int_equal(overlay(d, mca, &none), YZ_EEXIST);
    mca->set_version--;
    assert_int_equal(overlay(d, mca, &none), YZ_EROLLBACK);
    assert_says("newer member set");
    mca->set_version++;
    yz_world_node(w, "CN/GOV/MCA/@a1")->gone = true;
    assert_int_equal(overlay(d, mca, &none), YZ_EROLLBACK);
    assert_says("alarm");
    assert_null(none);
    yzi_directory_unref(d);
}

static void test_overlay__only_by_the_member_while_it_may(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA"),
                        *hb = yz_world_member(w, "CN/GOV/HB");
    const struct directory *d = NULL;
    YZ_AUTO(yzi_buf_fini) yz_buf set;
    yz_world_buf(&set);
    mca->set_version++;
    yz_world_put_set_by(mca, &hb->key, &set);
    assert_int_equal(yzi_directory_overlay(w->directory, yzi_bytes_buf(&set), NOW, &d, &last),
                     YZ_ESIGNATURE);
    yzi_buf_clear(&set);
    yz_world_put_set(mca, &set);
    for (size_t i = 0; i < set.n; i++) {
        set.p[i] ^= 1;
        int rc = yzi_directory_overlay(w->directory, yzi_bytes_buf(&set), NOW, &d, &last);
        assert_true(rc < 0);
        set.p[i] ^= 1;
    }
    assert_int_equal(yzi_directory_overlay(w->directory, yzi_bytes_buf(&w->root), NOW, &d, &last),
                     YZ_EMALFORMED);
    struct world_member *stranger = yz_world_add_member(w, "GOV/TAX");
    assert_int_equal(overlay(w->directory, stranger, &d), YZ_EUNKNOWNKEY);
    mca->key_not_after = NOW;
    mca->set_version--;
    stranger->gone = true;
    yz_world_publish(w);
    mca->set_version++;
    assert_int_equal(overlay(w->directory, mca, &d), YZ_EEXPIRED);
    yz_world_revoke_member(w, "CN/GOV/HB", NOW);
    yz_world_publish(w);
    hb->set_version++;
    assert_int_equal(overlay(w->directory, hb, &d), YZ_EUNKNOWNKEY);
    assert_says("revoked");
    yz_world_revoke_key(w, mca->key.public_key, NOW);
    yz_world_publish(w);
    mca->set_version++;
    assert_int_equal(overlay(w->directory, mca, &d), YZ_EUNKNOWNKEY);
    assert_null(d);
}

static void test_overlay__cannot_take_anybodys_key(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA"),
                        *hb = yz_world_member(w, "CN/GOV/HB");
    struct world_node *a1 = yz_world_node(w, "CN/GOV/MCA/@a1"),
                      *w1 = yz_world_node(w, "CN/GOV/HB/@w1");
    const struct directory *d, *none = NULL;
    uint8_t mine[32], taken[32];
    /* a published one, also after its owner took it back in an overlay */
    memcpy(taken, a1->transport.public_key, 32);
    memcpy(mine, w1->transport.public_key, 32);
    memcpy(w1->transport.public_key, taken, 32);
    hb->set_version++;
    assert_int_equal(overlay(w->directory, hb, &none), YZ_EDENIED);
    yz_world_new_key(KEY_TRANSPORT, &a1->transport);
    yz_world_change(mca);
    assert_int_equal(overlay(w->directory, mca, &d), 0);
    assert_int_equal(overlay(d, hb, &none), YZ_EDENIED);
    /* one of another overlay */
    memcpy(w1->transport.public_key, a1->transport.public_key, 32);
    assert_int_equal(overlay(d, hb, &none), YZ_EDENIED);
    /* an authority's, a member's, another use of its own */
    const uint8_t *others[] = {w->operators[0].public_key, mca->key.public_key,
                               mca->owner.public_key, hb->key.public_key,
                               yz_world_node(w, "CN/GOV/HB/@w2")->signing.public_key};
    yz_world_node(w, "CN/GOV/HB/@w2")->gone = true;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        memcpy(w1->transport.public_key, others[i], 32);
        assert_int_equal(overlay(d, hb, &none), YZ_EDENIED);
    }
    /* its own, moved to another of its nodes */
    memcpy(w1->transport.public_key, yz_world_node(w, "CN/GOV/HB/@w2")->transport.public_key, 32);
    const struct directory *moved;
    struct directory_node n;
    assert_int_equal(overlay(d, hb, &moved), 0);
    assert_int_equal(yzi_directory_by_transport(moved, w1->transport.public_key, NOW, &n), 0);
    assert_true(yzi_bytes_eq(n.node.v, w1->node.v));
    assert_int_equal(yzi_directory_by_transport(moved, mine, NOW, &n), YZ_EUNKNOWNKEY);
    yzi_directory_unref(moved);
    yzi_directory_unref(d);
    assert_null(none);
}

/* A thief's set with a high version is surpassed once the stolen key is revoked. */
static void test_overlay__by_a_revoked_key_need_not_be_surpassed(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    const struct directory *stolen, *none = NULL;
    YZ_AUTO(yzi_buf_fini) yz_buf set;
    yz_world_buf(&set);
    uint64_t version = mca->set_version;
    yz_world_revoke_key(w, mca->key.public_key, NOW + 1000);
    struct key_pair thief = mca->key;
    mca->key = (struct key_pair){0};
    yz_world_new_key(KEY_MEMBER, &mca->key);
    yz_world_publish(w); /* the set signed by the new key; the old one is no longer listed */
    mca->set_version = UINT64_MAX;
    yz_world_put_set_by(mca, &thief, &set);
    assert_int_equal(yzi_directory_overlay(w->directory, yzi_bytes_buf(&set), NOW, &none, NULL),
                     YZ_ESIGNATURE);
    /* with the key still listed, until it is revoked */
    struct key_pair fresh = mca->key;
    mca->key = thief;
    mca->set_version = version;
    yz_world_publish(w);
    mca->set_version = UINT64_MAX;
    assert_int_equal(overlay(w->directory, mca, &stolen), 0);
    mca->set_version = version + 1;
    yzi_buf_clear(&set);
    yz_world_put_set(mca, &set);
    assert_int_equal(yzi_directory_overlay(stolen, yzi_bytes_buf(&set), NOW, &none, NULL),
                     YZ_EROLLBACK);
    assert_int_equal(find(stolen, "CN/GOV/MCA/@a1", NOW + 1000), YZ_EUNKNOWNKEY);
    assert_int_equal(yzi_directory_overlay(stolen, yzi_bytes_buf(&set), NOW + 1000, &none, NULL),
                     YZ_EUNKNOWNKEY); /* revoked keys sign nothing */
    assert_null(none);
    yzi_directory_unref(stolen);
    yzi_key_pair_fini(&fresh);
}

static int collect_kinds(void *ctx, const struct record *r)
{
    yz_buf *to = ctx;
    struct arena a;
    yzi_arena_init(&a, 1u << 20);
    struct member_set s;
    uint64_t version = 0;
    if (r->kind == RECORD_MEMBER_SET) {
        assert_int_equal(yzi_member_set_parse(r->body, &a, &s), 0);
        version = s.version;
    }
    assert_int_equal(yzi_buf_printf(to, "%s:%d ", yzi_record_kind_name(r->kind), (int)version), 0);
    yzi_arena_fini(&a);
    return 0;
}

static void test_each__visits_what_is_in_force_in_order(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    YZ_AUTO(yzi_buf_fini) yz_buf seen;
    yz_world_buf(&seen);
    /* AAA and ZZZ are members whose sets only lie over the version */
    struct world_member *first = yz_world_add_member(w, "GOV/AAA"),
                        *final = yz_world_add_member(w, "GOV/ZZZ");
    yz_world_revoke_node(w, "CN/GOV/MCA/@a9", NOW);
    yz_world_publish(w);
    for (size_t i = 0; i < w->records_n;) {
        bool theirs = kind_of(&w->records[i]) == RECORD_MEMBER_SET &&
                      (memmem(w->records[i].p, w->records[i].n, "AAA", 3) ||
                       memmem(w->records[i].p, w->records[i].n, "ZZZ", 3));
        if (theirs) {
            drop_record(i);
        } else {
            i++;
        }
    }
    struct directory_parts p;
    assert_int_equal(assemble(NULL, 0, 2, &p), 0);
    yz_bytes chunks[64];
    for (size_t i = 0; i < p.chunks_n; i++) {
        chunks[i] = yzi_bytes_buf(&p.chunks[i]);
    }
    const struct directory *d[4];
    assert_int_equal(yzi_directory_verify(yzi_bytes_buf(&w->root), yzi_bytes_buf(&p.manifest),
                                          chunks, p.chunks_n, &d[0], NULL),
                     0);
    mca->set_version = 70;
    first->set_version = 10;
    final->set_version = 90;
    assert_int_equal(overlay(d[0], final, &d[1]), 0);
    assert_int_equal(overlay(d[1], mca, &d[2]), 0);
    assert_int_equal(overlay(d[2], first, &d[3]), 0);
    assert_int_equal(yzi_directory_each(d[3], collect_kinds, &seen), 0);
    assert_int_equal(yzi_buf_put_u8(&seen, 0), 0);
    assert_string_equal((char *)seen.p,
                        "root:0 broker:0 broker:0 member:0 member:0 member:0 member:0 "
                        "member-set:10 member-set:4 member-set:70 member-set:90 revocation:0 ");
    for (int i = 0; i < 4; i++) {
        yzi_directory_unref(d[i]);
    }
    yzi_directory_parts_fini(&p);
}

/* -- memory -- */

struct shortage {
    yz_bytes set;
};

static int build_all(void *ctx)
{
    const struct shortage *s = ctx;
    struct directory_parts p = {0};
    const struct directory *d = NULL, *over = NULL;
    yz_bytes chunks[64];
    yz_error err;
    yz_buf bundle;
    yzi_buf_init(&bundle, 1u << 20);
    yz_bytes records[64];
    for (size_t i = 0; i < w->records_n; i++) {
        records[i] = yzi_bytes_buf(&w->records[i]);
    }
    int rc = yzi_directory_assemble(records, w->records_n, 2, NOW, operators, 2, &p, &err);
    for (size_t i = 0; i < p.chunks_n; i++) {
        chunks[i] = yzi_bytes_buf(&p.chunks[i]);
    }
    rc = rc ? rc
            : yzi_directory_verify(yzi_bytes_buf(&w->root), yzi_bytes_buf(&p.manifest), chunks,
                                   p.chunks_n, &d, &err);
    rc = rc ? rc : yzi_directory_overlay(d, s->set, NOW, &over, &err);
    rc = rc ? rc : yzi_directory_bundle(over, &bundle);
    rc = rc ? rc : yzi_directory_overlays(over, &bundle);
    yzi_directory_unref(over);
    yzi_directory_unref(d);
    yzi_directory_parts_fini(&p);
    yzi_buf_fini(&bundle);
    return rc;
}

static void test_directory__running_out_of_memory_is_an_error_everywhere(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf set;
    yz_world_buf(&set);
    fill_keys();
    yz_world_change(yz_world_member(w, "CN/GOV/MCA"));
    yz_world_put_set(yz_world_member(w, "CN/GOV/MCA"), &set);
    struct shortage s = {yzi_bytes_buf(&set)};
    assert_int_equal(build_all(&s), 0);
    assert_true(yz_alloc_fail_each(build_all, &s) > 100);
}

/* -- size -- */

#define MANY 5000

static size_t differing(const struct directory_parts *a, const struct directory_parts *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->chunks_n; i++) {
        bool found = false;
        for (size_t k = 0; k < a->chunks_n && !found; k++) {
            found = yzi_bytes_eq(yzi_bytes_buf(&a->chunks[k]), yzi_bytes_buf(&b->chunks[i]));
        }
        n += !found;
    }
    return n;
}

/* Guarded memory takes several mappings a secret, and a process has only so many. */
static void forget(struct world_node *n)
{
    yzi_secret_fini(&n->signing.secret);
    yzi_secret_fini(&n->transport.secret);
    yzi_secret_fini(&n->member->owner.secret);
}

/* 5,000 members: one changes its set; one comes; one goes. Each changes few chunks. */
static void test_assemble__a_small_change_is_a_small_difference(void **state)
{
    (void)state;
    struct world *big = yz_world_new("CN");
    struct world_member *some = NULL;
    for (int i = 0; i < MANY; i++) {
        char name[32];
        snprintf(name, sizeof name, "GOV/M%04d", i);
        struct world_member *m = yz_world_add_member(big, name);
        yz_world_add_subsystem(m, "x");
        forget(yz_world_add_node(m, "a1", ROLE_ADAPTER, "x"));
        some = i == MANY / 2 ? m : some;
    }
    yz_world_publish(big);
    assert_in_range(big->parts.chunks_n, MANY * 2 / 64 / 2, MANY * 2 / 64 * 2);
    for (int step = 0; step < 4; step++) {
        struct directory_parts before = big->parts;
        big->parts = (struct directory_parts){0};
        if (step == 0) {
            yz_world_add_node(some, "a2", ROLE_ADAPTER, "x");
        } else if (step == 1) {
            yz_world_add_member(big, "GOV/M2500x");
        } else if (step == 2) {
            some->gone = true;
        } else {
            yz_world_revoke_node(big, "CN/GOV/M0001/@a1", NOW);
        }
        yz_world_publish(big);
        size_t n = differing(&before, &big->parts);
        /* a member that comes or goes has two records, and may end a chunk with each */
        assert_in_range(n, 1, step == 0 ? 3 : 4);
        yzi_directory_parts_fini(&before);
    }
    yz_world_free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_directory__answers_who_is_there),
        T(test_directory__knows_nodes_by_their_transport_keys),
        T(test_directory__says_who_speaks_for_and_owns_a_subsystem),
        T(test_directory__lists_brokers_that_both_root_and_operator_list),
        T(test_directory__proves_single_records),
        T(test_bundle__comes_back),
        T(test_bundle__refuses_every_truncation_and_more),
        T(test_verify__refuses_any_changed_byte),
        T(test_verify__refuses_swapped_missing_and_extra_chunks),
        T(test_verify__refuses_what_a_lying_operator_signed),
        T(test_verify__refuses_member_sets_that_operators_altered),
        T(test_verify__checks_known_sets_again_when_their_member_changed),
        T(test_verify__needs_the_operators_at_their_threshold),
        T(test_assemble__refuses_what_does_not_belong_together),
        T(test_assemble__refuses_a_member_set_of_another_key),
        T(test_assemble__refuses_brokers_without_root_keys),
        T(test_assemble__refuses_a_key_with_two_uses_or_two_nodes),
        T(test_assemble__lets_members_share_an_owner_key),
        T(test_root__an_anchor_signs_itself),
        T(test_root__a_newer_one_needs_the_older_ones_keys_and_its_own),
        T(test_root__two_of_one_version_are_an_alarm),
        T(test_root__other_signatures_make_no_other_statement),
        T(test_root__of_another_instance_is_refused),
        T(test_revocation__counts_from_its_time_in_every_look_up),
        T(test_validity__of_node_keys_is_asked_at_look_up),
        T(test_validity__of_a_member_key_silences_its_member_only),
        T(test_validity__a_revoked_member_key_takes_its_set_with_it),
        T(test_overlay__takes_effect_without_the_operator),
        T(test_overlay__versions_only_rise),
        T(test_overlay__only_by_the_member_while_it_may),
        T(test_overlay__cannot_take_anybodys_key),
        T(test_overlay__by_a_revoked_key_need_not_be_surpassed),
        T(test_each__visits_what_is_in_force_in_order),
        T(test_directory__running_out_of_memory_is_an_error_everywhere),
        T(test_assemble__a_small_change_is_a_small_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
