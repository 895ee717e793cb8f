/* SPDX-License-Identifier: Apache-2.0
 *
 * keys/trust*.c: following a hostile peer, and a home that survives everything: restarts, being set
 * back, being tampered with, another process, and a kill at every single write.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "keys/trust.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/world.h"

#define MINUTE 60000u
#define HOUR (60u * MINUTE)

/* -- a kill at the n-th rename (linked with --wrap=rename) -- */

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
static int kill_at; /* 1: before the first, 2: after it, 3: before the second ... */

int __wrap_rename(const char *from, const char *to)
{
    if (kill_at > 0 && --kill_at == 0) {
        _exit(9);
    }
    int rc = __real_rename(from, to);
    if (kill_at > 0 && --kill_at == 0) {
        _exit(9);
    }
    return rc;
}

/* -- fixture -- */

static struct world *w;
static char *home;
static char *state_dir, *anchor_path;
static struct trust *t;
static yz_error last;
static struct arena arena;

static int try_open(void)
{
    const struct trust_options o = {
        .anchor = anchor_path, .dir = state_dir, .clock = &w->clock.clock};
    last = (yz_error){0};
    return yzi_trust_open(&o, &t, &last);
}

static void open_home(void)
{
    int rc = try_open();
    if (rc < 0) {
        fail_msg("%s: %s", yz_err_name(rc), last.text);
    }
}

static void close_home(void)
{
    yzi_trust_close(t);
    t = NULL;
}

static void reopen(void)
{
    close_home();
    open_home();
}

static int setup(void **state)
{
    (void)state;
    w = yz_world_standard();
    home = yz_world_tmpdir();
    yz_world_write_anchor(w, home);
    yzi_arena_init(&arena, 1u << 20);
    return yzi_path_join(home, "state", &state_dir) ||
           yzi_path_join(home, "anchor.yzr", &anchor_path);
}

static int teardown(void **state)
{
    (void)state;
    close_home();
    yzi_arena_fini(&arena);
    yz_world_rmdir(home);
    yz_world_free(w);
    free(home);
    free(state_dir);
    free(anchor_path);
    return 0;
}

/* -- helpers -- */

static uint64_t version(void)
{
    const struct directory *d = yzi_trust_directory(t);
    uint64_t v = d ? yzi_directory_version(d) : 0;
    yzi_directory_unref(d);
    return v;
}

static int put_bundle(void)
{
    last = (yz_error){0};
    return yzi_trust_put_bundle(t, yzi_bytes_buf(&w->bundle), &last);
}

static int put_freshness(uint64_t time)
{
    YZ_AUTO(yzi_buf_fini) yz_buf f;
    yz_world_buf(&f);
    yz_world_put_freshness(w, time, &f);
    last = (yz_error){0};
    return yzi_trust_put_freshness(t, yzi_bytes_buf(&f), &last);
}

static int put_set(struct world_member *m)
{
    YZ_AUTO(yzi_buf_fini) yz_buf set;
    yz_world_buf(&set);
    yz_world_put_set(m, &set);
    last = (yz_error){0};
    return yzi_trust_put_member_set(t, yzi_bytes_buf(&set), &last);
}

static uint64_t set_version(const char *member)
{
    yz_member_id id;
    assert_int_equal(yzi_member_id_parse(yzi_bytes_str(member), &id), 0);
    const struct directory *d = yzi_trust_directory(t);
    assert_non_null(d);
    uint64_t v = yzi_directory_member_set(d, id)->version;
    yzi_directory_unref(d);
    return v;
}

static void assert_says(const char *words)
{
    if (!strstr(last.text, words)) {
        fail_msg("\"%s\" does not say \"%s\"", last.text, words);
    }
}

static int offer_record(const yz_buf *manifest, size_t *out_n)
{
    yz_digest *missing;
    yzi_arena_clear(&arena);
    last = (yz_error){0};
    return yzi_trust_offer_manifest(t, yzi_bytes_buf(manifest), &arena, &missing, out_n, &last);
}

static int offer(size_t *out_n)
{
    return offer_record(&w->parts.manifest, out_n);
}

static size_t missing(void)
{
    yz_digest *list;
    size_t n;
    yzi_arena_clear(&arena);
    assert_int_equal(yzi_trust_missing(t, &arena, &list, &n), 0);
    return n;
}

/* Hand over all chunks of the world's newest version, as often as it takes. */
static void feed(void)
{
    size_t left;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < w->parts.chunks_n; i++) {
            int rc = yzi_trust_put_chunk(t, yzi_bytes_buf(&w->parts.chunks[i]), &left);
            assert_true(rc == 0 || rc == YZ_ENOTFOUND);
        }
    }
    assert_int_equal(missing(), 0);
}

static char *state_path(const char *name)
{
    char *path;
    assert_int_equal(yzi_path_join(state_dir, name, &path), 0);
    return path;
}

static void read_state(const char *name, yz_buf *out)
{
    YZ_AUTO(yzi_free_ptr) char *path = state_path(name);
    yz_world_buf(out);
    assert_int_equal(yzi_file_read(path, out, NULL), 0);
}

static void remove_state(const char *name)
{
    YZ_AUTO(yzi_free_ptr) char *path = state_path(name);
    assert_int_equal(unlink(path), 0);
}

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

/* -- following -- */

static void test_follow__fetches_only_what_changed(void **state)
{
    (void)state;
    size_t n, left;
    open_home();
    assert_int_equal(offer(&n), 0);
    assert_int_equal(n, w->parts.chunks_n);
    assert_int_equal(yzi_trust_adopt(t, &last), YZ_EAGAIN);
    feed();
    assert_int_equal(yzi_trust_adopt(t, &last), 0);
    assert_int_equal(yzi_trust_adopt(t, &last), YZ_ENOTFOUND);
    assert_int_equal(version(), 1);
    yz_world_change(yz_world_member(w, "CN/GOV/HB"));
    yz_world_publish(w);
    assert_int_equal(offer(&n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(offer(&n), 0); /* the same again changes nothing */
    assert_int_equal(n, 1);
    assert_int_equal(yzi_trust_put_chunk(t, yzi_bytes_str("garbage"), &left), YZ_ENOTFOUND);
    assert_int_equal(yzi_trust_put_chunk(t, (yz_bytes){0}, &left), YZ_ENOTFOUND);
    feed();
    assert_int_equal(yzi_trust_adopt(t, &last), 0);
    assert_int_equal(version(), 2);
    reopen();
    assert_int_equal(version(), 2);
}

static void test_follow__keeps_chunks_when_a_newer_version_overtakes(void **state)
{
    (void)state;
    size_t n, left;
    open_home();
    assert_int_equal(offer(&n), 0);
    assert_int_equal(yzi_trust_put_chunk(t, yzi_bytes_buf(&w->parts.chunks[0]), &left), 0);
    assert_int_equal(left, n - 1);
    assert_int_equal(yzi_trust_put_chunk(t, yzi_bytes_buf(&w->parts.chunks[0]), &left),
                     YZ_ENOTFOUND);
    yz_world_change(yz_world_member(w, "CN/GOV/HB"));
    yz_world_publish(w);
    size_t m;
    assert_int_equal(offer(&m), 0);
    assert_int_equal(m, w->parts.chunks_n - 1);
    feed();
    assert_int_equal(yzi_trust_adopt(t, &last), 0);
    assert_int_equal(version(), 2);
}

static void change_operators(bool authorised)
{
    for (unsigned i = 0; i < WORLD_KEYS; i++) {
        yz_world_new_key(KEY_OPERATOR, &w->operators[i]);
        if (!authorised) {
            yz_world_new_key(KEY_ROOT, &w->roots[i]);
        }
    }
    w->root_changed = true;
    yz_world_publish(w);
}

static void test_follow__of_a_newer_root_statement_asks_for_one_chunk_first(void **state)
{
    (void)state;
    size_t n, left;
    open_home();
    assert_int_equal(put_bundle(), 0);
    change_operators(true);
    assert_int_equal(offer(&n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(missing(), 1);
    assert_int_equal(yzi_trust_adopt(t, &last), YZ_EAGAIN);
    assert_int_equal(yzi_trust_put_chunk(t, yzi_bytes_buf(&w->parts.chunks[1]), &left),
                     YZ_ENOTFOUND);
    assert_int_equal(yzi_trust_put_chunk(t, yzi_bytes_buf(&w->parts.chunks[0]), &left), 0);
    feed();
    assert_int_equal(yzi_trust_adopt(t, &last), 0);
    assert_int_equal(version(), 2);
    for (int i = 0; i < 2; i++) {
        const struct directory *d = yzi_trust_directory(t);
        assert_int_equal(yzi_directory_root(d)->version, 2);
        yzi_directory_unref(d);
        reopen(); /* with the first root statement as anchor */
    }
    /* the former operators' word is worth nothing now */
    assert_int_equal(version(), 2);
}

static void test_follow__forgets_a_root_statement_nobody_authorised(void **state)
{
    (void)state;
    size_t n, left;
    open_home();
    assert_int_equal(put_bundle(), 0);
    YZ_AUTO(yzi_buf_fini) yz_buf root;
    yz_world_buf(&root);
    change_operators(false);
    assert_int_equal(offer(&n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(yzi_trust_put_chunk(t, yzi_bytes_buf(&w->parts.chunks[0]), &left),
                     YZ_ESIGNATURE);
    assert_int_equal(missing(), 0);
    assert_int_equal(yzi_trust_adopt(t, &last), YZ_ENOTFOUND);
    assert_int_equal(put_bundle(), YZ_ESIGNATURE);
    assert_int_equal(version(), 1);
}

/* A manifest that claims a newer root statement does not disturb what is being fetched. */
static void test_follow__a_false_probe_costs_an_honest_fetch_nothing(void **state)
{
    (void)state;
    size_t n, left;
    struct world *liar = yz_world_new("CN");
    liar->version = 50;
    liar->root_version = 7;
    yz_world_publish(liar);
    open_home();
    assert_int_equal(offer(&n), 0);
    assert_int_equal(yzi_trust_put_chunk(t, yzi_bytes_buf(&w->parts.chunks[0]), &left), 0);
    assert_int_equal(offer_record(&liar->parts.manifest, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(yzi_trust_put_chunk(t, yzi_bytes_buf(&w->parts.chunks[1]), &left), 0);
    assert_int_equal(left, w->parts.chunks_n - 2);
    assert_int_equal(offer(&n), 0);
    assert_int_equal(n, w->parts.chunks_n - 2);
    assert_int_equal(yzi_trust_put_chunk(t, yzi_bytes_buf(&liar->parts.chunks[0]), &left),
                     YZ_ESIGNATURE);
    feed();
    assert_int_equal(yzi_trust_adopt(t, &last), 0);
    assert_int_equal(version(), 1);
    yz_world_free(liar);
}

static void test_follow__refuses_manifests_of_others(void **state)
{
    (void)state;
    size_t n;
    open_home();
    struct world *other = yz_world_new("CN");
    yz_world_publish(other);
    assert_int_equal(offer_record(&other->parts.manifest, &n), YZ_ESIGNATURE);
    struct world *elsewhere = yz_world_new("XX");
    yz_world_publish(elsewhere);
    assert_int_equal(offer_record(&elsewhere->parts.manifest, &n), YZ_EUNKNOWNKEY);
    assert_int_equal(offer_record(&w->root, &n), YZ_EMALFORMED);
    for (size_t i = 0; i < w->parts.manifest.n; i++) {
        w->parts.manifest.p[i] ^= 1;
        int rc = offer(&n);
        /* what it claims of a newer root statement cannot be told yet, and costs one chunk */
        assert_true(rc < 0 || n == 1);
        w->parts.manifest.p[i] ^= 1;
    }
    assert_int_equal(offer(&n), 0);
    yz_world_free(other);
    yz_world_free(elsewhere);
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

/* -- tampering with the home -- */

/* Every file, every so many bytes. What opens must be what was there: no change of a byte may pass
 * unless it changes nothing. */
static void test_home__says_which_file_was_tampered_with(void **state)
{
    (void)state;
    static const char *const names[] = {"roots", "directory.bundle", "statements", "freshness",
                                        "memory"};
    open_home();
    assert_int_equal(put_bundle(), 0);
    yz_world_member(w, "CN/GOV/MCA")->set_version = 20;
    assert_int_equal(put_set(yz_world_member(w, "CN/GOV/MCA")), 0);
    assert_int_equal(put_freshness(WORLD_TIME), 0);
    close_home();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf file;
        read_state(names[i], &file);
        for (size_t at = 0; at < file.n; at += file.n / 40 + 1) {
            file.p[at] ^= 1;
            yz_world_write_file(state_dir, names[i], yzi_bytes_buf(&file));
            int rc = try_open();
            bool digit = strcmp(names[i], "memory") == 0 && rc == 0;
            if (digit) { /* the memory can be made to remember another time, or less */
                close_home();
            } else {
                assert_int_equal(rc, YZ_ECORRUPT);
                assert_true(strstr(last.text, names[i]) || strcmp(names[i], "memory") == 0);
            }
            file.p[at] ^= 1;
        }
        yz_world_write_file(state_dir, names[i], yzi_bytes(file.p, file.n / 2));
        assert_int_equal(try_open(), YZ_ECORRUPT);
        yz_world_write_file(state_dir, names[i], yzi_bytes_buf(&file));
    }
    open_home();
    assert_int_equal(version(), 1);
    assert_int_equal(set_version("CN/GOV/MCA"), 20);
}

/* -- two processes, one home -- */

static void test_home__is_shared_without_losing_what_another_has_seen(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA"),
                        *hb = yz_world_member(w, "CN/GOV/HB");
    YZ_AUTO(yzi_buf_fini) yz_buf second;
    yz_world_buf(&second);
    open_home();
    assert_int_equal(put_bundle(), 0);
    struct trust *a = t;
    open_home(); /* b */
    struct trust *b = t;
    /* a set each */
    t = a;
    mca->set_version = 20;
    assert_int_equal(put_set(mca), 0);
    t = b;
    hb->set_version = 20;
    assert_int_equal(put_set(hb), 0);
    assert_int_equal(set_version("CN/GOV/MCA"), 20); /* and took over the other's */
    /* b runs ahead; a does not write less over it */
    yz_world_publish(w);
    assert_int_equal(yzi_buf_put(&second, yzi_bytes_buf(&w->bundle)), 0);
    yz_world_publish(w);
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(put_freshness(WORLD_TIME + 10), 0);
    t = a;
    assert_int_equal(yzi_trust_put_bundle(t, yzi_bytes_buf(&second), &last), YZ_EROLLBACK);
    assert_int_equal(version(), 1);
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(put_freshness(WORLD_TIME + 9), YZ_EROLLBACK);
    yzi_trust_close(b);
    reopen();
    assert_int_equal(version(), 3);
    assert_int_equal(set_version("CN/GOV/MCA"), 20);
    assert_int_equal(set_version("CN/GOV/HB"), 20);
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

/* -- memory -- */

struct life {
    yz_buf first, set, freshness, second;
    char dir[256];
};

static int live(const struct life *l)
{
    const struct trust_options o = {.anchor = anchor_path, .dir = l->dir, .clock = &w->clock.clock};
    struct trust *lived = NULL;
    yz_error err;
    int rc = yzi_trust_open(&o, &lived, &err);
    rc = rc ? rc : yzi_trust_put_bundle(lived, yzi_bytes_buf(&l->first), &err);
    rc = rc ? rc : yzi_trust_put_freshness(lived, yzi_bytes_buf(&l->freshness), &err);
    rc = rc ? rc : yzi_trust_put_member_set(lived, yzi_bytes_buf(&l->set), &err);
    rc = rc ? rc : yzi_trust_put_bundle(lived, yzi_bytes_buf(&l->second), &err);
    yzi_trust_close(lived);
    return rc;
}

/* Every seventh allocation of a life fails; what is on disk then opens, and the life goes on. */
static void test_trust__running_out_of_memory_loses_nothing(void **state)
{
    (void)state;
    struct life l;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    yz_world_buf(&l.first);
    yz_world_buf(&l.second);
    yz_world_buf(&l.set);
    yz_world_buf(&l.freshness);
    assert_int_equal(yzi_buf_put(&l.first, yzi_bytes_buf(&w->bundle)), 0);
    yz_world_put_freshness(w, WORLD_TIME, &l.freshness);
    yz_world_publish(w);
    assert_int_equal(yzi_buf_put(&l.second, yzi_bytes_buf(&w->bundle)), 0);
    mca->set_version = 20;
    yz_world_put_set(mca, &l.set);
    size_t runs = 0;
    for (bool done = false; !done; runs++) {
        snprintf(l.dir, sizeof l.dir, "%s/life-%zu", home, runs);
        yz_alloc_fail_start(1 + 7 * runs);
        int rc = live(&l);
        struct alloc_fail_result r = yz_alloc_fail_stop();
        assert_int_equal(r.live, 0);
        /* only what comes after a version is in force may fail without a word */
        assert_true(r.failed ? rc == YZ_ENOMEM || rc == 0 : rc == 0);
        done = !r.failed;
        struct trust *again;
        const struct trust_options o = {
            .anchor = anchor_path, .dir = l.dir, .clock = &w->clock.clock};
        assert_int_equal(yzi_trust_open(&o, &again, &last), 0);
        const struct directory *d = yzi_trust_directory(again);
        if (rc == 0) {
            assert_non_null(d);
            assert_int_equal(yzi_directory_version(d), 2);
            assert_int_equal(yzi_directory_member_set(d, mca->member)->version, 20);
        }
        yzi_directory_unref(d);
        yzi_trust_close(again);
    }
    assert_true(runs > 20);
    yzi_buf_fini(&l.first);
    yzi_buf_fini(&l.second);
    yzi_buf_fini(&l.set);
    yzi_buf_fini(&l.freshness);
}

/* -- killed at any write -- */

/* Do it in a child that is killed at step `at`; whether the child got to the end. */
static bool killed_run(void (*act)(void), int at)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        kill_at = at;
        act();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
    return WEXITSTATUS(status) == 0;
}

static void act_adopt(void)
{
    if (try_open() < 0 || put_bundle() < 0) {
        _exit(1);
    }
}

#define HOME_FILES 5
static const char *const home_files[HOME_FILES] = {"roots", "directory.bundle", "statements",
                                                   "statements", "memory"};

static void save_home(yz_buf saved[HOME_FILES])
{
    for (size_t i = 0; i < HOME_FILES; i++) {
        read_state(home_files[i], &saved[i]);
    }
}

static void restore_home(const yz_buf saved[HOME_FILES])
{
    for (size_t i = 0; i < HOME_FILES; i++) {
        yz_world_write_file(state_dir, home_files[i], yzi_bytes_buf(&saved[i]));
    }
}

/* The new version has a newer root statement, includes one overlay, lacks another, and takes a
 * published set back: everything there is to write. */
static void test_crash__at_any_write_of_an_adoption_leaves_a_whole_home(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA"),
                        *hb = yz_world_member(w, "CN/GOV/HB"),
                        *tax = yz_world_add_member(w, "GOV/TAX");
    tax->set_version = 50;
    yz_world_publish(w);
    open_home();
    assert_int_equal(put_bundle(), 0);
    mca->set_version = 20;
    assert_int_equal(put_set(mca), 0);
    hb->set_version = 30;
    assert_int_equal(put_set(hb), 0);
    close_home();
    mca->set_version = 21;
    hb->set_version = 29;
    tax->set_version = 1;
    w->root_changed = true;
    yz_world_publish(w);
    yz_buf saved[HOME_FILES];
    save_home(saved);
    int steps = 0, old = 0;
    for (bool done = false; !done;) {
        restore_home(saved);
        done = killed_run(act_adopt, ++steps);
        open_home();
        assert_true(version() == 2 || version() == 3);
        old += version() == 2;
        assert_in_range(set_version("CN/GOV/MCA"), 20, 21);
        assert_int_equal(set_version("CN/GOV/HB"), 30);
        assert_int_equal(set_version("CN/GOV/TAX"), 50);
        int rc = put_bundle();
        assert_true(rc == 0 || rc == YZ_EEXIST);
        reopen();
        assert_int_equal(version(), 3);
        assert_int_equal(set_version("CN/GOV/MCA"), 21);
        assert_int_equal(set_version("CN/GOV/HB"), 30);
        assert_int_equal(set_version("CN/GOV/TAX"), 50);
        close_home();
    }
    assert_int_equal(steps, 2 * HOME_FILES + 1); /* before and after each: all five were written */
    assert_int_equal(old, 5);                    /* up to the moment the bundle has its name */
    for (size_t i = 0; i < HOME_FILES; i++) {
        yzi_buf_fini(&saved[i]);
    }
}

static uint64_t act_time;

static void act_freshness(void)
{
    if (try_open() < 0 || put_freshness(act_time) < 0) {
        _exit(1);
    }
}

static void test_crash__at_any_write_of_freshness_forgets_nothing_used(void **state)
{
    (void)state;
    open_home();
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(put_freshness(WORLD_TIME + 1), 0);
    close_home();
    for (int steps = 1; steps <= 5; steps++) {
        act_time = WORLD_TIME + 10 * (uint64_t)steps;
        bool done = killed_run(act_freshness, steps);
        assert_int_equal(done, steps == 5);
        open_home();
        uint64_t before = steps == 1 ? WORLD_TIME + 1 : act_time - 10;
        assert_int_equal(put_freshness(before - 1), YZ_EROLLBACK);
        if (steps > 1) { /* the statement has its name: it may have been used */
            assert_int_equal(put_freshness(act_time - 1), YZ_EROLLBACK);
        }
        close_home();
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
        T(test_follow__fetches_only_what_changed),
        T(test_follow__keeps_chunks_when_a_newer_version_overtakes),
        T(test_follow__of_a_newer_root_statement_asks_for_one_chunk_first),
        T(test_follow__forgets_a_root_statement_nobody_authorised),
        T(test_follow__a_false_probe_costs_an_honest_fetch_nothing),
        T(test_follow__refuses_manifests_of_others),
        T(test_freshness__ages_by_the_clock),
        T(test_freshness__is_refused_when_older_across_restarts),
        T(test_freshness__is_refused_from_others_and_the_future),
        T(test_freshness__belongs_to_one_version),
        T(test_freshness__cannot_be_had_from_a_wrong_clock),
        T(test_sets__stay_until_a_version_includes_them),
        T(test_sets__published_ones_are_not_unpublished),
        T(test_sets__a_published_one_wins_over_its_double),
        T(test_sets__of_expired_or_departed_members_do_no_harm),
        T(test_home__says_which_file_was_tampered_with),
        T(test_home__is_shared_without_losing_what_another_has_seen),
        T(test_trust__is_read_while_it_changes),
        T(test_trust__running_out_of_memory_loses_nothing),
        T(test_crash__at_any_write_of_an_adoption_leaves_a_whole_home),
        T(test_crash__at_any_write_of_freshness_forgets_nothing_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
