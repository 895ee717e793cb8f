/* SPDX-License-Identifier: Apache-2.0
 *
 * keys/directory.c: which versions are believed. Tampering, operators who lie, root statements that
 * follow each other or do not.
 */
#include "tests/unit/keys/directory_fixture.h"

#include <sodium.h>

#include "keys/directory_internal.h"
#include "tests/support/alloc_fail.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_verify__refuses_any_changed_byte),
        T(test_verify__refuses_swapped_missing_and_extra_chunks),
        T(test_verify__refuses_what_a_lying_operator_signed),
        T(test_verify__refuses_member_sets_that_operators_altered),
        T(test_verify__checks_known_sets_again_when_their_member_changed),
        T(test_verify__needs_the_operators_at_their_threshold),
        T(test_root__an_anchor_signs_itself),
        T(test_root__a_newer_one_needs_the_older_ones_keys_and_its_own),
        T(test_root__two_of_one_version_are_an_alarm),
        T(test_root__other_signatures_make_no_other_statement),
        T(test_root__of_another_instance_is_refused),
        T(test_directory__running_out_of_memory_is_an_error_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
