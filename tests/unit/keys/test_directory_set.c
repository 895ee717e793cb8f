/* SPDX-License-Identifier: Apache-2.0
 *
 * keys/directory_set.c: what a member can say for itself, and about nobody else.
 */
#include "tests/unit/keys/directory_fixture.h"

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

/* As long as it is not, it holds: then a lower version by another key of the member goes over it.
 */
static void test_overlay__by_a_key_that_is_revoked_gives_way(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    const struct directory *stolen, *mended = NULL;
    YZ_AUTO(yzi_buf_fini) yz_buf theirs, own;
    yz_world_buf(&theirs);
    yz_world_buf(&own);
    yz_world_new_key(KEY_MEMBER, &mca->second);
    yz_world_revoke_key(w, mca->second.public_key, NOW + 1000);
    yz_world_publish(w);
    uint64_t version = mca->set_version;
    mca->set_version = UINT64_MAX;
    yz_world_put_set_by(mca, &mca->second, &theirs);
    mca->set_version = version + 1;
    yz_world_put_set(mca, &own);
    assert_int_equal(
        yzi_directory_overlay(w->directory, yzi_bytes_buf(&theirs), NOW, &stolen, NULL), 0);
    assert_int_equal(yzi_directory_overlay(stolen, yzi_bytes_buf(&own), NOW, &mended, NULL),
                     YZ_EROLLBACK);
    assert_int_equal(yzi_directory_overlay(stolen, yzi_bytes_buf(&own), NOW + 1000, &mended, NULL),
                     0);
    assert_int_equal(find(mended, "CN/GOV/MCA/@a1", NOW + 1000), 0);
    yzi_directory_unref(stolen);
    yzi_directory_unref(mended);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_overlay__takes_effect_without_the_operator),
        T(test_overlay__versions_only_rise),
        T(test_overlay__only_by_the_member_while_it_may),
        T(test_overlay__cannot_take_anybodys_key),
        T(test_overlay__by_a_revoked_key_need_not_be_surpassed),
        T(test_overlay__by_a_key_that_is_revoked_gives_way),
        T(test_each__visits_what_is_in_force_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
