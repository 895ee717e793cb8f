/* SPDX-License-Identifier: Apache-2.0
 *
 * keys/trust.c: what is in force and what may take its place; freshness, newer member sets, many
 * readers.
 */
#include "tests/unit/keys/trust_fixture.h"

#include <pthread.h>

/* -- the first steps -- */

static void test_trust__begins_with_an_anchor_and_nothing_else(void **state)
{
    (void)state;
    uint64_t age = 1;
    size_t n;
    open_home();
    assert_int_equal(yzi_trust_state(t, &age), TRUST_NONE);
    assert_int_equal(age, 0);
    assert_null(yzi_trust_directory(t));
    assert_int_equal(yzi_trust_freshness(t).n, 0);
    assert_int_equal(put_freshness(WORLD_TIME), YZ_EAGAIN);
    assert_int_equal(put_set(w->members), YZ_EUNAVAILABLE);
    assert_int_equal(yzi_trust_adopt(t, &last), YZ_ENOTFOUND);
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(version(), 1);
    assert_int_equal(put_bundle(), YZ_EEXIST);
    assert_int_equal(offer(&n), YZ_EEXIST);
    reopen();
    assert_int_equal(version(), 1);
}

static void test_trust__without_an_anchor_believes_nothing_until_given_one(void **state)
{
    (void)state;
    size_t n;
    free(anchor_path);
    anchor_path = NULL;
    open_home();
    assert_int_equal(put_bundle(), YZ_EUNAVAILABLE);
    assert_int_equal(offer(&n), YZ_EUNAVAILABLE);
    assert_int_equal(yzi_trust_set_anchor(t, yzi_bytes_buf(&w->parts.manifest), &last),
                     YZ_EMALFORMED);
    assert_int_equal(yzi_trust_set_anchor(t, yzi_bytes_buf(&w->anchor), &last), 0);
    assert_int_equal(yzi_trust_set_anchor(t, yzi_bytes_buf(&w->anchor), &last), 0);
    struct world *other = yz_world_new("XX");
    yz_world_publish(other);
    assert_int_equal(yzi_trust_set_anchor(t, yzi_bytes_buf(&other->anchor), &last), YZ_EEXIST);
    assert_int_equal(yzi_trust_put_bundle(t, yzi_bytes_buf(&other->bundle), &last), YZ_EUNKNOWNKEY);
    yz_world_free(other);
    reopen(); /* the anchor was kept */
    assert_int_equal(put_bundle(), 0);
    reopen();
    assert_int_equal(version(), 1);
}

static void test_trust__refuses_an_anchor_that_contradicts_its_home(void **state)
{
    (void)state;
    open_home();
    assert_int_equal(put_bundle(), 0);
    close_home();
    struct world *other = yz_world_new("CN");
    yz_world_publish(other);
    yz_world_write_anchor(other, home);
    assert_int_equal(try_open(), YZ_ECORRUPT);
    assert_says("contradicts");
    struct world *elsewhere = yz_world_new("XX");
    yz_world_publish(elsewhere);
    yz_world_write_anchor(elsewhere, home);
    assert_int_equal(try_open(), YZ_ECORRUPT);
    yz_world_write_file(home, "anchor.yzr", yzi_bytes_str("no anchor"));
    assert_int_equal(try_open(), YZ_ECORRUPT);
    assert_says("anchor.yzr");
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yz_world_buf(&text);
    assert_int_equal(yzi_record_armour(yzi_bytes_buf(&w->parts.manifest), &text), 0);
    yz_world_write_file(home, "anchor.yzr", yzi_bytes_buf(&text));
    assert_int_equal(try_open(), YZ_ECORRUPT);
    assert_says("anchor.yzr: it is another record than a root statement");
    yz_world_write_anchor(w, home);
    open_home();
    assert_int_equal(version(), 1);
    yz_world_free(other);
    yz_world_free(elsewhere);
}

static void test_trust__tells_brokers_keys_before_any_directory(void **state)
{
    (void)state;
    uint8_t key[32];
    struct world_node *b1 = yz_world_node(w, "CN/@b1");
    yz_node_id b9;
    assert_int_equal(yzi_node_id_parse(yzi_bytes_str("CN/@b9"), &b9), 0);
    open_home();
    assert_int_equal(yzi_trust_broker_key(t, b1->node, key, &last), 0);
    assert_memory_equal(key, b1->transport.public_key, 32);
    assert_int_equal(yzi_trust_broker_key(t, b9, key, &last), YZ_ENOTFOUND);
    yz_world_revoke_key(w, b1->transport.public_key, WORLD_TIME);
    yz_world_publish(w);
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(yzi_trust_broker_key(t, b1->node, key, &last), YZ_ENOTFOUND);
}

/* -- versions -- */

static void test_trust__never_goes_back_across_restarts(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf old, old_manifest;
    size_t n;
    yz_world_buf(&old);
    yz_world_buf(&old_manifest);
    assert_int_equal(yzi_buf_put(&old, yzi_bytes_buf(&w->bundle)), 0);
    assert_int_equal(yzi_buf_put(&old_manifest, yzi_bytes_buf(&w->parts.manifest)), 0);
    yz_world_publish(w);
    open_home();
    assert_int_equal(put_bundle(), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(yzi_trust_put_bundle(t, yzi_bytes_buf(&old), &last), YZ_EROLLBACK);
        assert_says("older");
        assert_int_equal(offer_record(&old_manifest, &n), YZ_EROLLBACK);
        reopen();
    }
    assert_int_equal(version(), 2);
    /* nor when the bundle is lost: the memory stays */
    close_home();
    remove_state("directory.bundle");
    open_home();
    assert_int_equal(yzi_trust_state(t, NULL), TRUST_NONE);
    assert_int_equal(yzi_trust_put_bundle(t, yzi_bytes_buf(&old), &last), YZ_EROLLBACK);
    assert_int_equal(offer_record(&old_manifest, &n), YZ_EROLLBACK);
    assert_int_equal(put_bundle(), 0);
    /* nor when somebody put the old bundle back */
    close_home();
    yz_world_write_file(state_dir, "directory.bundle", yzi_bytes_buf(&old));
    assert_int_equal(try_open(), YZ_ECORRUPT);
    assert_says("directory.bundle");
    assert_says("older");
}

static void test_trust__two_directories_of_one_version_are_an_alarm(void **state)
{
    (void)state;
    size_t n;
    open_home();
    assert_int_equal(put_bundle(), 0);
    w->version--;
    yz_world_add_member(w, "GOV/NEW");
    yz_world_publish(w);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(put_bundle(), YZ_EROLLBACK);
        assert_says("alarm");
        assert_int_equal(offer(&n), YZ_EROLLBACK);
        assert_says("alarm");
        reopen();
    }
    /* nobody but the operators can raise that alarm */
    w->parts.manifest.p[w->parts.manifest.n - 1] ^= 1;
    assert_int_equal(offer(&n), YZ_ESIGNATURE);
}

/* The same version with other signatures of operators is the same version. */
static void test_trust__other_signatures_make_no_other_version(void **state)
{
    (void)state;
    struct record r;
    size_t n;
    open_home();
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&w->parts.manifest), &r), 0);
    struct key_pair *keys[] = {&w->operators[1], &w->operators[2]};
    YZ_AUTO(yzi_buf_fini) yz_buf again;
    yz_world_buf(&again);
    assert_int_equal(yzi_record_sign(RECORD_MANIFEST, r.body, keys, 2, &again), 0);
    assert_int_equal(offer_record(&again, &n), YZ_EEXIST);
}

/* -- freshness -- */

static void test_freshness__ages_by_the_clock(void **state)
{
    (void)state;
    uint64_t age;
    open_home();
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(yzi_trust_state(t, &age), TRUST_FRESH); /* issued a moment ago */
    yzi_manual_clock_advance(&w->clock, 10 * MINUTE + 1);
    assert_int_equal(yzi_trust_state(t, &age), TRUST_AGING);
    assert_int_equal(age, 10 * MINUTE + 1);
    assert_int_equal(put_freshness(yz_world_now(w)), 0);
    assert_int_equal(yzi_trust_state(t, &age), TRUST_FRESH);
    assert_int_equal(age, 0);
    assert_true(yzi_trust_freshness(t).n > 0);
    yzi_manual_clock_advance(&w->clock, 24 * HOUR);
    assert_int_equal(yzi_trust_state(t, &age), TRUST_AGING);
    reopen();
    assert_int_equal(yzi_trust_state(t, &age), TRUST_AGING);
    assert_int_equal(age, 24 * HOUR);
    yzi_manual_clock_advance(&w->clock, 1);
    assert_int_equal(yzi_trust_state(t, NULL), TRUST_EXPIRED);
    /* a peer that keeps repeating the last one changes nothing */
    assert_int_equal(yzi_trust_put_freshness(t, yzi_trust_freshness(t), &last), YZ_EEXIST);
    assert_int_equal(yzi_trust_state(t, NULL), TRUST_EXPIRED);
    assert_int_equal(put_freshness(yz_world_now(w)), 0);
    assert_int_equal(yzi_trust_state(t, NULL), TRUST_FRESH);
}

static void test_freshness__is_refused_when_older_across_restarts(void **state)
{
    (void)state;
    open_home();
    assert_int_equal(put_bundle(), 0);
    yzi_manual_clock_advance(&w->clock, HOUR);
    assert_int_equal(put_freshness(yz_world_now(w)), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(put_freshness(yz_world_now(w) - 1), YZ_EROLLBACK);
        reopen();
        if (i == 1) { /* nor when the statement itself is lost */
            close_home();
            remove_state("freshness");
            open_home();
            assert_int_equal(yzi_trust_freshness(t).n, 0);
        }
    }
    /* a newer directory does not make older freshness newer */
    yz_world_publish(w);
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(yzi_trust_freshness(t).n, 0);
    assert_int_equal(put_freshness(yz_world_now(w) - 1), YZ_EROLLBACK);
    assert_int_equal(put_freshness(yz_world_now(w) + 1), 0);
}

static void test_freshness__is_refused_from_others_and_the_future(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf f;
    yz_world_buf(&f);
    open_home();
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(put_freshness(WORLD_TIME + YZ_SKEW_MS + 1), YZ_EEXPIRED);
    assert_int_equal(put_freshness(WORLD_TIME + YZ_SKEW_MS), 0);
    yz_world_put_freshness(w, WORLD_TIME + YZ_SKEW_MS, &f);
    for (size_t i = 0; i < f.n; i++) {
        f.p[i] ^= 1;
        assert_true(yzi_trust_put_freshness(t, yzi_bytes_buf(&f), &last) < 0);
        f.p[i] ^= 1;
    }
    struct key_pair real = w->freshness;
    w->freshness = (struct key_pair){0};
    yz_world_new_key(KEY_FRESHNESS, &w->freshness);
    assert_int_equal(put_freshness(WORLD_TIME + YZ_SKEW_MS), YZ_ESIGNATURE);
    yzi_key_pair_fini(&w->freshness);
    w->freshness = real;
    assert_int_equal(yzi_trust_put_freshness(t, yzi_bytes_buf(&w->root), &last), YZ_EMALFORMED);
    assert_int_equal(yzi_trust_put_freshness(t, yzi_bytes_str("x"), &last), YZ_EMALFORMED);
}

/* Whoever stole it could otherwise keep everybody on a version that the operators left behind. */
static void test_freshness__is_refused_when_its_key_is_revoked(void **state)
{
    (void)state;
    open_home();
    assert_int_equal(put_bundle(), 0);
    yz_world_revoke_key(w, w->freshness.public_key, WORLD_TIME + MINUTE);
    yz_world_publish(w);
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(put_freshness(WORLD_TIME), 0); /* it counts from a time on */
    yzi_manual_clock_advance(&w->clock, MINUTE);
    assert_int_equal(put_freshness(yz_world_now(w)), YZ_EUNKNOWNKEY);
    assert_says("revoked");
    reopen();
    uint64_t age;
    assert_int_equal(yzi_trust_state(t, &age), TRUST_FRESH);
    assert_int_equal(age, MINUTE);
    yz_world_new_key(KEY_FRESHNESS, &w->freshness); /* only the root can name another */
    w->root_changed = true;
    yz_world_publish(w);
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(put_freshness(yz_world_now(w)), 0);
}

static void test_freshness__belongs_to_one_version(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf old;
    yz_world_buf(&old);
    open_home();
    assert_int_equal(put_bundle(), 0);
    yz_world_put_freshness(w, WORLD_TIME + 5, &old);
    yz_world_publish(w);
    assert_int_equal(put_freshness(WORLD_TIME), YZ_EAGAIN); /* of one we have not yet */
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(yzi_trust_put_freshness(t, yzi_bytes_buf(&old), &last), YZ_EROLLBACK);
    /* the same version with another root hash */
    w->version--;
    yz_world_add_member(w, "GOV/NEW");
    yz_world_publish(w);
    assert_int_equal(put_freshness(WORLD_TIME + 6), YZ_EROLLBACK);
    assert_says("alarm");
}

/* Setting our clock back does not make old things fresh, nor does an operator's clock ahead. */
static void test_freshness__cannot_be_had_from_a_wrong_clock(void **state)
{
    (void)state;
    open_home();
    yzi_manual_clock_advance(&w->clock, HOUR);
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(put_freshness(yz_world_now(w)), 0);
    yzi_manual_clock_set_wall(&w->clock, yz_world_now(w) - YZ_SKEW_MS);
    assert_int_equal(yzi_trust_state(t, NULL), TRUST_FRESH);
    yzi_manual_clock_set_wall(&w->clock, yz_world_now(w) - 1);
    assert_int_equal(yzi_trust_state(t, NULL), TRUST_EXPIRED);
    reopen();
    assert_int_equal(yzi_trust_state(t, NULL), TRUST_EXPIRED);
    yzi_manual_clock_set_wall(&w->clock, WORLD_TIME + 100 * HOUR);
    yz_world_publish(w);
    yzi_manual_clock_set_wall(&w->clock, WORLD_TIME + 30 * HOUR);
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(yzi_trust_state(t, NULL), TRUST_EXPIRED);
}

/* -- member sets -- */

static void test_sets__stay_until_a_version_includes_them(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA"),
                        *hb = yz_world_member(w, "CN/GOV/HB");
    open_home();
    assert_int_equal(put_bundle(), 0);
    mca->set_version = 20;
    hb->set_version = 30;
    assert_int_equal(put_set(mca), 0);
    assert_int_equal(put_set(hb), 0);
    assert_int_equal(put_set(hb), YZ_EEXIST);
    hb->set_version = 29;
    assert_int_equal(put_set(hb), YZ_EROLLBACK);
    reopen();
    assert_int_equal(set_version("CN/GOV/MCA"), 20);
    assert_int_equal(set_version("CN/GOV/HB"), 30);
    assert_int_equal(put_set(hb), YZ_EROLLBACK);
    /* the next version has 21 of one and only 29 of the other */
    mca->set_version = 21;
    yz_world_publish(w);
    assert_int_equal(put_bundle(), 0);
    for (int i = 0; i < 2; i++) {
        const struct directory *d = yzi_trust_directory(t);
        assert_int_equal(yzi_directory_overlays_n(d), 1);
        yzi_directory_unref(d);
        assert_int_equal(set_version("CN/GOV/MCA"), 21);
        assert_int_equal(set_version("CN/GOV/HB"), 30);
        reopen();
    }
    assert_int_equal(yzi_trust_conflicts(t), 0);
}

/* An operator cannot publish a member back into its past. */
static void test_sets__published_ones_are_not_unpublished(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    uint64_t old = mca->set_version;
    mca->set_version = 20;
    yz_world_publish(w);
    open_home();
    assert_int_equal(put_bundle(), 0);
    mca->set_version = old;
    yz_world_publish(w);
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(version(), 3);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(set_version("CN/GOV/MCA"), 20);
        reopen();
    }
    /* unless the key that signed it is revoked */
    yz_world_revoke_key(w, mca->key.public_key, WORLD_TIME);
    yz_world_new_key(KEY_MEMBER, &mca->key);
    yz_world_publish(w);
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(set_version("CN/GOV/MCA"), old);
    mca->set_version = old + 1;
    assert_int_equal(put_set(mca), 0);
}

static void test_sets__a_published_one_wins_over_its_double(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    open_home();
    assert_int_equal(put_bundle(), 0);
    mca->set_version = 20;
    assert_int_equal(put_set(mca), 0);
    yz_world_add_subsystem(mca, "other");
    mca->set_version = 20;
    yz_world_publish(w);
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(yzi_trust_conflicts(t), 1);
    const struct directory *d = yzi_trust_directory(t);
    assert_int_equal(yzi_directory_overlays_n(d), 0);
    assert_int_equal(yzi_directory_member_set(d, mca->member)->subsystems_n, 2);
    yzi_directory_unref(d);
}

static void test_sets__of_expired_or_departed_members_do_no_harm(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA"),
                        *hb = yz_world_member(w, "CN/GOV/HB");
    mca->key_not_after = WORLD_TIME + HOUR;
    yz_world_publish(w);
    open_home();
    assert_int_equal(put_bundle(), 0);
    mca->set_version = 20;
    assert_int_equal(put_set(mca), 0);
    hb->set_version = 20;
    assert_int_equal(put_set(hb), 0);
    yzi_manual_clock_advance(&w->clock, 2 * HOUR);
    reopen(); /* a key that ran out meanwhile is no reason not to start */
    assert_int_equal(set_version("CN/GOV/MCA"), 20);
    mca->set_version = 21;
    assert_int_equal(put_set(mca), YZ_EEXPIRED);
    hb->gone = true;
    yz_world_publish(w);
    assert_int_equal(put_bundle(), 0);
    const struct directory *d = yzi_trust_directory(t);
    assert_null(yzi_directory_member_set(d, hb->member));
    yzi_directory_unref(d);
    reopen();
}

/* -- many readers, one writer -- */

struct reader {
    pthread_t thread;
    _Atomic bool *stop;
    uint64_t looked, highest;
    bool wrong;
};

static void *read_on(void *arg)
{
    struct reader *r = arg;
    struct world_node *w1 = yz_world_node(w, "CN/GOV/HB/@w1");
    while (!*r->stop) {
        const struct directory *d = yzi_trust_directory(t);
        struct directory_node n;
        uint64_t v = yzi_directory_version(d);
        r->wrong = r->wrong || v < r->highest ||
                   yzi_directory_node(d, w1->node, WORLD_TIME, &n, NULL) != 0 ||
                   yzi_directory_may_sign(d, &n, w1->signing.public_key, WORLD_TIME) != 0 ||
                   yzi_trust_state(t, NULL) != TRUST_FRESH;
        r->highest = v;
        r->looked++;
        yzi_directory_unref(d);
    }
    return NULL;
}

static void test_trust__is_read_while_it_changes(void **state)
{
    (void)state;
    _Atomic bool stop = false;
    struct reader readers[3] = {0};
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    open_home();
    assert_int_equal(put_bundle(), 0);
    for (size_t i = 0; i < 3; i++) {
        readers[i].stop = &stop;
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
    for (int i = 0; i < 20; i++) {
        yz_world_change(mca);
        assert_int_equal(put_set(mca), 0);
        yz_world_publish(w);
        assert_int_equal(put_bundle(), 0);
        assert_int_equal(put_freshness(WORLD_TIME + (uint64_t)i), 0);
    }
    stop = true;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_false(readers[i].wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_trust__begins_with_an_anchor_and_nothing_else),
        T(test_trust__without_an_anchor_believes_nothing_until_given_one),
        T(test_trust__refuses_an_anchor_that_contradicts_its_home),
        T(test_trust__tells_brokers_keys_before_any_directory),
        T(test_trust__never_goes_back_across_restarts),
        T(test_trust__two_directories_of_one_version_are_an_alarm),
        T(test_trust__other_signatures_make_no_other_version),
        T(test_freshness__ages_by_the_clock),
        T(test_freshness__is_refused_when_older_across_restarts),
        T(test_freshness__is_refused_from_others_and_the_future),
        T(test_freshness__is_refused_when_its_key_is_revoked),
        T(test_freshness__belongs_to_one_version),
        T(test_freshness__cannot_be_had_from_a_wrong_clock),
        T(test_sets__stay_until_a_version_includes_them),
        T(test_sets__published_ones_are_not_unpublished),
        T(test_sets__a_published_one_wins_over_its_double),
        T(test_sets__of_expired_or_departed_members_do_no_harm),
        T(test_trust__is_read_while_it_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
