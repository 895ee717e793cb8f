/* SPDX-License-Identifier: Apache-2.0
 *
 * keys/directory_build.c: what an operator can put together and what not, bundles, and that a small
 * change is a small difference.
 */
#include "tests/unit/keys/directory_fixture.h"

#include <sodium.h>

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
        T(test_bundle__comes_back),
        T(test_bundle__refuses_every_truncation_and_more),
        T(test_assemble__refuses_what_does_not_belong_together),
        T(test_assemble__refuses_a_member_set_of_another_key),
        T(test_assemble__refuses_brokers_without_root_keys),
        T(test_assemble__refuses_a_key_with_two_uses_or_two_nodes),
        T(test_assemble__lets_members_share_an_owner_key),
        T(test_assemble__a_small_change_is_a_small_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
