/* SPDX-License-Identifier: Apache-2.0
 *
 * keys/directory_lookup.c: who is there, with which keys, and when that counts.
 */
#include "tests/unit/keys/directory_fixture.h"

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

/* -- purposes -- */

static const char *const codes[] = {"house-loan", "house-transfer", NULL};

static bool known(const struct directory *d, const char *code)
{
    return yzi_directory_purpose_known(d, yzi_bytes_str(code));
}

static void test_purposes__are_known_when_the_instance_lists_them(void **state)
{
    (void)state;
    assert_null(yzi_directory_purposes(w->directory));
    assert_true(known(w->directory, "anything"));
    assert_null(yzi_directory_purpose(w->directory, yzi_bytes_str("anything")));
    w->purposes = codes;
    yz_world_publish(w);
    const struct directory *d = w->directory;
    assert_int_equal(yzi_directory_purposes(d)->purposes_n, 2);
    assert_true(known(d, "house-loan"));
    assert_true(known(d, "house-transfer"));
    assert_true(known(d, "")); /* no purpose is for the grants to judge */
    assert_false(known(d, "house"));
    assert_false(known(d, "house-loans"));
    assert_false(known(d, "anything"));
    assert_int_equal(yzi_directory_purpose(d, yzi_bytes_str("house-loan"))->titles.n, 1);
    struct directory_proof proof;
    assert_int_equal(yzi_directory_prove(d, RECORD_PURPOSES, (yz_bytes){0}, &proof), 0);
    assert_int_equal(proof.index, proof.size - 1);
    w->purposes = codes + 2; /* a list of none: no purpose will do */
    yz_world_publish(w);
    assert_false(known(w->directory, "house-loan"));
    assert_true(known(w->directory, ""));
}

static int count_kinds(void *ctx, const struct record *r)
{
    ((unsigned *)ctx)[r->kind]++;
    return r->kind == RECORD_PURPOSES ? 1 : 0;
}

/* A newer member set lying over the directory comes before what ends it. */
static void test_purposes__are_visited_last(void **state)
{
    (void)state;
    unsigned n[16] = {0};
    w->purposes = codes;
    yz_world_publish(w);
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    YZ_AUTO(yzi_buf_fini) yz_buf set;
    yz_world_buf(&set);
    yz_world_add_subsystem(mca, "later");
    yz_world_put_set(mca, &set);
    const struct directory *d;
    assert_int_equal(yzi_directory_overlay(w->directory, yzi_bytes_buf(&set), NOW, &d, &last), 0);
    assert_int_equal(yzi_directory_each(d, count_kinds, n), 1);
    assert_int_equal(n[RECORD_PURPOSES], 1);
    assert_int_equal(n[RECORD_MEMBER], n[RECORD_MEMBER_SET]);
    assert_true(known(d, "house-loan"));
    assert_false(known(d, "nix"));
    yzi_directory_unref(d);
}

static void test_purposes__are_one_list_of_this_instance(void **state)
{
    (void)state;
    yz_buf lists[2];
    for (int i = 0; i < 2; i++) {
        yz_world_buf(&lists[i]);
    }
    yz_world_put_purposes("CN", codes, &lists[0]);
    yz_world_put_purposes("CN", codes + 1, &lists[1]);
    yz_bytes both[] = {yzi_bytes_buf(&lists[0]), yzi_bytes_buf(&lists[1])};
    assert_int_equal(assemble_refuses(both, 2), YZ_EINVAL);
    assert_says("two purposes records");
    yzi_buf_clear(&lists[0]);
    yz_world_put_purposes("EE", codes, &lists[0]);
    both[0] = yzi_bytes_buf(&lists[0]);
    assert_int_equal(assemble_refuses(both, 1), YZ_EINVAL);
    assert_says("instance EE");
    yzi_buf_fini(&lists[0]);
    yzi_buf_fini(&lists[1]);
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
        T(test_purposes__are_known_when_the_instance_lists_them),
        T(test_purposes__are_visited_last),
        T(test_purposes__are_one_list_of_this_instance),
        T(test_revocation__counts_from_its_time_in_every_look_up),
        T(test_validity__of_node_keys_is_asked_at_look_up),
        T(test_validity__of_a_member_key_silences_its_member_only),
        T(test_validity__a_revoked_member_key_takes_its_set_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
