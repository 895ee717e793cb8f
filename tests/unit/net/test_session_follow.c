/* SPDX-License-Identifier: Apache-2.0
 *
 * net/session_follow: the directory, member sets and freshness, in both directions, and everything
 * about them that must not be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/unit/net/session_fixture.h"

/* A chunk has some sixty records of one kind. */
static void add_many(void)
{
    for (unsigned i = 0; i < 1500; i++) {
        char code[16];
        snprintf(code, sizeof code, "GOV/M%04u", i);
        yz_world_add_member(w, code);
    }
}

/* -- following the broker's directory -- */

static void test_follow__fetches_a_whole_directory(void **state)
{
    struct owner *o = *state;
    assert_int_equal(version(o), 0);
    come_up(o);
    UNTIL(o, version(o) == 1);
    settle(o);
    assert_true(o->changes >= 1);
    assert_int_equal(o->b1.fetched[FETCH_MANIFEST], 1);
    assert_int_equal(o->b1.fetched[FETCH_CHUNK], yzi_directory_chunks_n(w->directory));
    assert_int_equal(yzi_trust_state(o->trust, NULL), TRUST_FRESH);
    assert_true(yzi_trust_freshness(o->trust).n > 0);
    assert_int_equal(o->alarms, 0);
    assert_int_equal(o->objects, 0); /* none of it is the owner's business */
}

static void test_follow__fetches_only_what_changed(void **state)
{
    struct owner *o = *state;
    add_many();
    yz_world_publish(w);
    know_directory(o);
    puppet_adopts(&o->b1, w->directory);
    come_up(o);
    assert_int_equal(o->b1.fetched[FETCH_MANIFEST], 0);
    yz_world_add_member(w, "GOV/NEW");
    yz_world_publish(w);
    puppet_adopts(&o->b1, w->directory);
    say_heartbeat(&o->b1);
    UNTIL(o, version(o) == 3);
    size_t all = yzi_directory_chunks_n(w->directory);
    assert_true(all > 30);
    assert_in_range(o->b1.fetched[FETCH_CHUNK], 1, 6);
    settle(o);
    assert_int_equal(o->alarms, 0);
}

static void test_follow__asks_for_a_few_chunks_at_a_time(void **state)
{
    struct owner *o = *state;
    add_many();
    know_directory(o); /* version 1 with its root statement, so that all others are known missing */
    yz_world_publish(w);
    puppet_adopts(&o->b1, w->directory);
    o->session = open_session(o, &o->b1, 0);
    UNTIL(o, o->b1.fetched[FETCH_MANIFEST] == 1);
    o->b1.silent = true;
    settle(o);
    assert_int_equal(o->b1.fetched[FETCH_CHUNK], 8);
    assert_true(yzi_session_deadline(o->session) <= yzi_mono_ms(&w->clock.clock) + 15000);
    /* a broker that never answers is asked anew after a while */
    o->b1.silent = false;
    for (unsigned i = 0; i < 9; i++) {
        yzi_manual_clock_advance(&w->clock, BEAT_MS);
        say_heartbeat(&o->b1);
        settle(o);
    }
    UNTIL(o, version(o) == 2);
    assert_int_equal(o->alarms, 0);
}

static void pass(struct owner *o, unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i += 2) {
        yzi_manual_clock_advance(&w->clock, BEAT_MS);
        say_heartbeat(&o->b1);
        settle(o);
    }
}

static void say_manifest(struct owner *o, uint32_t token)
{
    say_object(&o->b1, token, FETCH_MANIFEST, true, yzi_directory_manifest(w->directory));
    settle(o);
}

/* The chunk asked for by this question. */
static void say_chunk(struct owner *o, const struct asked *asked)
{
    yz_digest digest;
    assert_int_equal(asked->name_n, sizeof digest.b);
    memcpy(digest.b, asked->name, sizeof digest.b);
    yz_bytes chunk = yzi_directory_chunk(w->directory, &digest);
    assert_true(chunk.n > 0);
    say_object(&o->b1, asked->token, FETCH_CHUNK, true, chunk);
    settle(o);
}

/* A newer directory of one chunk, which the broker claims and does not give; its manifest's token.
 */
static uint32_t claim_one_chunk(struct owner *o)
{
    know_directory(o);
    puppet_adopts(&o->b1, w->directory);
    come_up(o);
    yz_world_add_member(w, "GOV/NEW");
    yz_world_publish(w);
    puppet_adopts(&o->b1, w->directory);
    o->b1.silent = true;
    say_heartbeat(&o->b1);
    UNTIL(o, o->b1.fetched[FETCH_MANIFEST] == 1);
    return o->b1.asked[FETCH_MANIFEST].token;
}

static void test_follow__takes_what_comes_when_it_was_asked_for_again(void **state)
{
    struct owner *o = *state;
    uint32_t manifest = claim_one_chunk(o);
    pass(o, 40);
    assert_int_equal(o->b1.fetched[FETCH_MANIFEST], 3);
    assert_int_equal(version(o), 1);
    say_manifest(o, manifest);
    UNTIL(o, o->b1.fetched[FETCH_CHUNK] > 0);
    for (unsigned n = 0; n < o->b1.fetched[FETCH_CHUNK] && n < CHUNKS_KEPT; n++) {
        pass(o, 30); /* for each */
        say_chunk(o, &o->b1.chunks[n]);
    }
    assert_int_equal(version(o), 2);
    assert_int_equal(o->alarms, 0);
}

/* A chunk is known by its digest, whichever question it answers. */
static void test_follow__takes_a_chunk_by_its_digest(void **state)
{
    struct owner *o = *state;
    say_manifest(o, claim_one_chunk(o));
    UNTIL(o, o->b1.fetched[FETCH_CHUNK] > 0);
    unsigned n = o->b1.fetched[FETCH_CHUNK];
    pass(o, 18);
    say_manifest(o, o->b1.asked[FETCH_MANIFEST].token); /* so they are asked for again */
    assert_in_range(o->b1.fetched[FETCH_CHUNK], n + 1, CHUNKS_KEPT);
    for (unsigned i = 0; i < n; i++) {
        say_chunk(o, &o->b1.chunks[i]);
    }
    assert_int_equal(version(o), 2);
    assert_int_equal(o->alarms, 0);
}

/* What comes late is judged as what comes in time. */
static void test_follow__raises_alarm_at_another_chunk_that_comes_late(void **state)
{
    struct owner *o = *state;
    say_manifest(o, claim_one_chunk(o));
    UNTIL(o, o->b1.fetched[FETCH_CHUNK] > 0);
    uint32_t token = o->b1.asked[FETCH_CHUNK].token;
    pass(o, 16);
    say_object(&o->b1, token, FETCH_CHUNK, true, yzi_bytes_str("another"));
    settle(o);
    assert_int_equal(o->alarms, 1);
    assert_int_equal(version(o), 1);
}

/* That it has it no more was the answer to a question that was put again. */
static void test_follow__a_late_no_does_not_end_it(void **state)
{
    struct owner *o = *state;
    uint32_t first = claim_one_chunk(o);
    pass(o, 18);
    uint32_t second = o->b1.asked[FETCH_MANIFEST].token;
    assert_int_not_equal(first, second);
    say_object(&o->b1, first, FETCH_MANIFEST, false, (yz_bytes){0});
    settle(o);
    say_manifest(o, second);
    UNTIL(o, o->b1.fetched[FETCH_CHUNK] > 0);
    assert_int_equal(o->alarms, 0);
}

static void test_follow__follows_a_new_root_statement(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    come_up(o);
    yz_world_new_key(KEY_FRESHNESS, &w->freshness);
    w->root_changed = true;
    yz_world_publish(w);
    puppet_adopts(&o->b1, w->directory);
    say_heartbeat(&o->b1);
    UNTIL(o, version(o) == 2);
    settle(o);
    assert_int_equal(o->alarms, 0);
    assert_int_equal(yzi_trust_state(o->trust, NULL), TRUST_FRESH);
}

/* However the record comes, the connection ends with it, and no new one is made of use. */
static void gives_up_the_revoked(struct owner *o, void (*revoke)(void))
{
    struct world_message q;
    yz_world_request(w, &(struct world_request){0}, &q);
    know_directory(o);
    come_up(o);
    revoke();
    know_directory(o);
    assert_int_equal(yzi_session_send(o->session, yzi_bytes_buf(&q.raw)), YZ_EUNAVAILABLE);
    say(&o->b1, yzi_bytes_buf(&q.raw));
    unsigned hellos = o->b1.got[FRAME_HELLO];
    UNTIL(o, o->downs == 1);
    assert_string_equal(o->reason, "the broker, or its key, is revoked");
    struct server_counters c, before;
    yzi_server_counters(o->b1.server, &before);
    do { /* the second attempt shows that the first was dealt with */
        yzi_manual_clock_advance(&w->clock, 100);
        turn(o, 10);
        yzi_server_counters(o->b1.server, &c);
    } while (c.admitted < before.admitted + 2);
    assert_int_equal(o->b1.got[FRAME_HELLO], hellos);
    assert_int_equal(o->ups, 1);
    assert_int_equal(o->frames, 0);
    yz_world_message_fini(&q);
}

static void revoke_broker(void)
{
    yz_world_revoke_node(w, "CN/@b1", yz_world_now(w));
    yz_world_publish(w);
}

static void revoke_its_key(void)
{
    struct world_node *b1 = yz_world_node(w, "CN/@b1");
    yz_world_revoke_key(w, b1->transport.public_key, yz_world_now(w));
    yz_world_publish(w);
}

static void test_follow__gives_up_a_broker_that_is_revoked(void **state)
{
    gives_up_the_revoked(*state, revoke_broker);
}

static void test_follow__gives_up_a_broker_whose_key_is_revoked(void **state)
{
    gives_up_the_revoked(*state, revoke_its_key);
}

static void test_follow__starts_again_when_the_broker_moves_on(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    come_up(o);
    yz_world_add_member(w, "GOV/NEW");
    yz_world_publish(w);
    puppet_adopts(&o->b1, w->directory);
    o->b1.no_chunks = true;
    say_heartbeat(&o->b1);
    UNTIL(o, o->b1.fetched[FETCH_CHUNK] > 0);
    settle(o);
    unsigned manifests = o->b1.fetched[FETCH_MANIFEST];
    say_heartbeat(&o->b1);
    settle(o);
    assert_int_equal(o->b1.fetched[FETCH_MANIFEST], manifests); /* not at once */
    yz_world_publish(w);
    puppet_adopts(&o->b1, w->directory);
    o->b1.no_chunks = false;
    yzi_manual_clock_advance(&w->clock, 1000);
    UNTIL(o, version(o) == 3);
    assert_int_equal(o->alarms, 0);
}

static void test_follow__shares_a_trust_with_another(void **state)
{
    struct owner *o = *state;
    open_puppet(&o->b2, "CN/@b2", 0);
    o->session = open_session(o, &o->b1, 0);
    o->second = open_session(o, &o->b2, 0);
    UNTIL(o, o->ups == 2);
    UNTIL(o, version(o) == 1);
    settle(o);
    yz_world_add_member(w, "GOV/NEW");
    yz_world_publish(w);
    puppet_adopts(&o->b1, w->directory);
    puppet_adopts(&o->b2, w->directory);
    say_heartbeat(&o->b1);
    say_heartbeat(&o->b2);
    UNTIL(o, version(o) == 2);
    yz_world_publish(w); /* one broker is ahead: the other is offered it */
    puppet_adopts(&o->b1, w->directory);
    say_heartbeat(&o->b1);
    UNTIL(o, version(o) == 3);
    say_heartbeat(&o->b2);
    UNTIL(o, o->b2.got[FRAME_PUT] == 1);
    assert_int_equal(o->alarms, 0);
    assert_int_equal(o->downs, 0);
}

/* -- what must not be -- */

static void expect_alarm(struct owner *o, unsigned n, int code)
{
    UNTIL(o, o->alarms >= n);
    settle(o);
    assert_int_equal(o->alarms, n);
    assert_int_equal(o->alarm.code, code);
}

static void test_follow__raises_alarm_at_a_rollback(void **state)
{
    struct owner *o = *state;
    yz_world_publish(w);
    know_directory(o); /* version 2; the puppet has 1 and claims 9 */
    o->b1.claim = 9;
    o->session = open_session(o, &o->b1, 0);
    expect_alarm(o, 1, YZ_EROLLBACK);
    assert_int_equal(version(o), 2);
    assert_int_equal(o->b1.fetched[FETCH_MANIFEST], 1);
    for (unsigned i = 0; i < 29; i++) { /* it is not asked again for a minute */
        yzi_manual_clock_advance(&w->clock, BEAT_MS);
        say_heartbeat(&o->b1);
        settle(o);
    }
    assert_int_equal(o->b1.fetched[FETCH_MANIFEST], 1);
    yzi_manual_clock_advance(&w->clock, BEAT_MS);
    say_heartbeat(&o->b1);
    UNTIL(o, o->b1.fetched[FETCH_MANIFEST] == 2);
    expect_alarm(o, 2, YZ_EROLLBACK);
}

static void test_follow__raises_alarm_at_an_empty_claim(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    o->b1.claim = 9; /* and has 1, as we */
    o->session = open_session(o, &o->b1, 0);
    expect_alarm(o, 1, YZ_EROLLBACK);
    assert_non_null(strstr(o->alarm.text, "than it has"));
}

static void test_follow__raises_alarm_at_two_directories_of_one_version(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    come_up(o);
    yz_world_add_member(w, "GOV/NEW");
    w->version--;
    yz_world_publish(w);
    say_object(&o->b1, 0, FETCH_MANIFEST, true, yzi_directory_manifest(w->directory));
    expect_alarm(o, 1, YZ_EROLLBACK);
    assert_int_equal(version(o), 1);
}

static void test_follow__raises_alarm_at_a_forged_directory(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    come_up(o);
    for (unsigned i = 0; i < WORLD_KEYS; i++) {
        yz_world_new_key(KEY_OPERATOR, &w->operators[i]);
    }
    YZ_AUTO(yzi_buf_fini) yz_buf manifest;
    yz_world_buf(&manifest);
    struct record r;
    assert_int_equal(yzi_record_parse(yzi_directory_manifest(w->directory), &r), 0);
    yz_bytes body = r.body;
    struct arena a;
    yzi_arena_init(&a, 1024 * 1024);
    struct manifest m;
    assert_int_equal(yzi_manifest_parse(body, &a, &m), 0);
    m.version = 2;
    YZ_AUTO(yzi_buf_fini) yz_buf written;
    yz_world_buf(&written);
    assert_int_equal(yzi_manifest_write(&m, &written), 0);
    struct key_pair *by[] = {&w->operators[0], &w->operators[1]};
    assert_int_equal(yzi_record_sign(RECORD_MANIFEST, yzi_bytes_buf(&written), by, 2, &manifest),
                     0);
    yzi_arena_fini(&a);
    say_object(&o->b1, 0, FETCH_MANIFEST, true, yzi_bytes_buf(&manifest));
    UNTIL(o, o->alarms == 1);
    assert_int_equal(yz_err_class(o->alarm.code), YZ_CLASS_AUTH);
    assert_int_equal(version(o), 1);
    say_object(&o->b1, 0, FETCH_MANIFEST, true, yzi_bytes_str("no record"));
    expect_alarm(o, 2, YZ_EMALFORMED);
}

static void test_follow__raises_alarm_at_another_chunk(void **state)
{
    struct owner *o = *state;
    o->b1.wrong_chunks = true;
    o->session = open_session(o, &o->b1, 0);
    expect_alarm(o, 1, YZ_ESIGNATURE);
    assert_int_equal(version(o), 0);
    assert_true(o->b1.fetched[FETCH_CHUNK] <= 8);
    o->b1.wrong_chunks = false;
    for (unsigned i = 0; i < 30; i++) {
        yzi_manual_clock_advance(&w->clock, BEAT_MS);
        say_heartbeat(&o->b1);
        settle(o);
    }
    UNTIL(o, version(o) == 1);
    assert_int_equal(o->alarms, 1);
}

static void test_follow__bounds_its_alarms(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    come_up(o);
    for (unsigned i = 0; i < 50; i++) {
        say_object(&o->b1, 0, FETCH_STATEMENTS, true, yzi_bytes_str("no record"));
        settle(o);
    }
    assert_int_equal(o->alarms, 20);
    for (unsigned i = 0; i < 30; i++) {
        yzi_manual_clock_advance(&w->clock, BEAT_MS);
        say_heartbeat(&o->b1);
        settle(o);
    }
    yz_error before = o->alarm;
    say_object(&o->b1, 0, FETCH_STATEMENTS, true, yzi_bytes_str("no record"));
    settle(o);
    assert_int_equal(o->alarms, 22); /* how many were left out, and this one */
    assert_string_equal(o->alarm.text, before.text);
}

/* -- member sets and freshness -- */

/* Newer sets of two members, one a page, in order. */
static void change_two(struct owner *o)
{
    yzi_buf_clear(&o->b1.statements);
    yz_world_change(yz_world_member(w, "CN/GOV/HB"));
    yz_world_put_set(yz_world_member(w, "CN/GOV/HB"), &o->b1.statements);
    yz_world_change(yz_world_member(w, "CN/GOV/MCA"));
    yz_world_put_set(yz_world_member(w, "CN/GOV/MCA"), &o->b1.statements);
}

static size_t overlays(struct owner *o)
{
    const struct directory *d = yzi_trust_directory(o->trust);
    size_t n = yzi_directory_overlays_n(d);
    yzi_directory_unref(d);
    return n;
}

static void test_follow__asks_for_member_sets_page_by_page(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    change_two(o);
    come_up(o);
    UNTIL(o, o->b1.fetched[FETCH_STATEMENTS] == 3); /* two and the empty one */
    settle(o);
    assert_int_equal(overlays(o), 2);
    assert_int_equal(o->b1.fetched[FETCH_STATEMENTS], 3);
    assert_int_equal(o->alarms, 0);
}

static void test_follow__asks_for_a_page_again_that_a_busy_broker_kept(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    change_two(o);
    o->b1.no_statements = true;
    come_up(o);
    UNTIL(o, o->b1.fetched[FETCH_STATEMENTS] == 1);
    settle(o);
    assert_int_equal(overlays(o), 0);
    o->b1.no_statements = false;
    for (unsigned i = 0; i * BEAT_MS <= 60000; i++) {
        yzi_manual_clock_advance(&w->clock, BEAT_MS);
        say_heartbeat(&o->b1);
        settle(o);
    }
    UNTIL(o, overlays(o) == 2);
    assert_int_equal(o->alarms, 0);
}

static void test_follow__leaves_pages_that_lead_nowhere(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    change_two(o);
    o->b1.stuck = true;
    come_up(o);
    expect_alarm(o, 1, YZ_EMALFORMED);
    settle(o);
    assert_int_equal(o->b1.fetched[FETCH_STATEMENTS], 2);
    assert_int_equal(overlays(o), 1);
}

static void test_follow__takes_pushed_member_sets(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    come_up(o);
    unsigned changes = o->changes;
    YZ_AUTO(yzi_buf_fini) yz_buf first;
    YZ_AUTO(yzi_buf_fini) yz_buf set;
    yz_world_buf(&first);
    yz_world_buf(&set);
    struct world_member *m = yz_world_member(w, "CN/GOV/MCA");
    yz_world_put_set(m, &first);
    yz_world_add_node(m, "a3", ROLE_ADAPTER, "civil");
    yz_world_put_set(m, &set);
    say_object(&o->b1, 0, FETCH_STATEMENTS, true, yzi_bytes_buf(&set));
    UNTIL(o, o->changes == changes + 1);
    const struct directory *d = yzi_trust_directory(o->trust);
    struct directory_node n;
    yz_node_id id = {yzi_bytes_str("CN/GOV/MCA/@a3")};
    assert_int_equal(yzi_directory_node(d, id, yz_world_now(w), &n, NULL), 0);
    yzi_directory_unref(d);
    /* again, and the older one of a broker that lags: neither news nor alarm */
    say_object(&o->b1, 0, FETCH_STATEMENTS, true, yzi_bytes_buf(&set));
    say_object(&o->b1, 0, FETCH_STATEMENTS, true, yzi_bytes_buf(&first));
    settle(o);
    assert_int_equal(o->changes, changes + 1);
    assert_int_equal(o->alarms, 0);

    YZ_AUTO(yzi_buf_fini) yz_buf bad; /* the same version saying something else */
    yz_world_buf(&bad);
    m->set_version--;
    yz_world_add_node(m, "a4", ROLE_ADAPTER, "civil");
    yz_world_put_set(m, &bad);
    say_object(&o->b1, 0, FETCH_STATEMENTS, true, yzi_bytes_buf(&bad));
    expect_alarm(o, 1, YZ_EROLLBACK);

    struct key_pair stranger = {0};
    yz_world_new_key(KEY_MEMBER, &stranger);
    yz_world_change(m);
    yzi_buf_clear(&bad);
    yz_world_put_set_by(m, &stranger, &bad);
    say_object(&o->b1, 0, FETCH_STATEMENTS, true, yzi_bytes_buf(&bad));
    expect_alarm(o, 2, YZ_ESIGNATURE);
    yzi_key_pair_fini(&stranger);

    yzi_buf_clear(&bad); /* a record of another kind */
    yz_world_put_freshness(w, yz_world_now(w), &bad);
    say_object(&o->b1, 0, FETCH_STATEMENTS, true, yzi_bytes_buf(&bad));
    expect_alarm(o, 3, YZ_EMALFORMED);
}

/* The operator published one, the member had given us another of that version. */
static void test_follow__raises_alarm_at_a_member_set_published_otherwise(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    come_up(o);
    YZ_AUTO(yzi_buf_fini) yz_buf set;
    yz_world_buf(&set);
    struct world_member *m = yz_world_member(w, "CN/GOV/MCA");
    yz_world_add_node(m, "a3", ROLE_ADAPTER, "civil");
    yz_world_put_set(m, &set);
    assert_int_equal(yzi_trust_put_member_set(o->trust, yzi_bytes_buf(&set), NULL), 0);
    m->set_version--;
    yz_world_add_node(m, "a4", ROLE_ADAPTER, "civil");
    yz_world_publish(w);
    puppet_adopts(&o->b1, w->directory);
    say_heartbeat(&o->b1);
    UNTIL(o, version(o) == 2);
    expect_alarm(o, 1, YZ_EROLLBACK);
    assert_non_null(strstr(o->alarm.text, "two member sets"));
}

static void test_follow__fetches_member_sets_when_welcomed_and_after_a_directory(void **state)
{
    struct owner *o = *state;
    struct world_member *m = yz_world_member(w, "CN/GOV/MCA");
    yz_world_add_node(m, "a3", ROLE_ADAPTER, "civil");
    yz_world_put_set(m, &o->b1.statements);
    come_up(o); /* with no directory yet to judge them by */
    UNTIL(o, version(o) == 1);
    settle(o);
    const struct directory *d = yzi_trust_directory(o->trust);
    assert_int_equal(yzi_directory_overlays_n(d), 1);
    yzi_directory_unref(d);
    assert_int_equal(o->alarms, 0);
}

static void test_follow__keeps_freshness(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    come_up(o);
    assert_int_equal(o->b1.fetched[FETCH_FRESHNESS], 1);
    for (unsigned i = 0; i < 29; i++) {
        yzi_manual_clock_advance(&w->clock, BEAT_MS);
        say_heartbeat(&o->b1);
        settle(o);
    }
    assert_int_equal(o->b1.fetched[FETCH_FRESHNESS], 1);
    yzi_manual_clock_advance(&w->clock, BEAT_MS); /* a minute: it asks */
    UNTIL(o, o->b1.fetched[FETCH_FRESHNESS] == 2);
    settle(o);
    unsigned changes = o->changes;
    YZ_AUTO(yzi_buf_fini) yz_buf fresh;
    yz_world_buf(&fresh);
    yz_world_put_freshness(w, yz_world_now(w), &fresh);
    say_object(&o->b1, 0, FETCH_FRESHNESS, true, yzi_bytes_buf(&fresh));
    UNTIL(o, o->changes == changes + 1);
    uint64_t age;
    assert_int_equal(yzi_trust_state(o->trust, &age), TRUST_FRESH);
    assert_int_equal(age, 0);
    assert_int_equal(o->alarms, 0);

    yzi_buf_clear(&fresh); /* a little earlier, as another broker's may be: no matter */
    yz_world_put_freshness(w, yz_world_now(w) - 5000, &fresh);
    say_object(&o->b1, 0, FETCH_FRESHNESS, true, yzi_bytes_buf(&fresh));
    settle(o);
    assert_int_equal(o->alarms, 0);
    yzi_buf_clear(&fresh);
    yz_world_put_freshness(w, yz_world_now(w) - 55000, &fresh);
    say_object(&o->b1, 0, FETCH_FRESHNESS, true, yzi_bytes_buf(&fresh));
    expect_alarm(o, 1, YZ_EROLLBACK);
    yzi_buf_clear(&fresh);
    yz_world_put_freshness(w, yz_world_now(w) + YZ_SKEW_MS + 1, &fresh);
    say_object(&o->b1, 0, FETCH_FRESHNESS, true, yzi_bytes_buf(&fresh));
    expect_alarm(o, 2, YZ_EEXPIRED);
}

/* -- the other way round -- */

static void expect_object(struct owner *o, enum fetch_what what, yz_bytes name, bool found,
                          yz_bytes payload)
{
    static uint32_t token = 100;
    unsigned before = o->b1.got[FRAME_OBJECT];
    say_fetch(&o->b1, ++token, what, name);
    UNTIL(o, o->b1.got[FRAME_OBJECT] == before + 1);
    struct frame f = last_frame(&o->b1, FRAME_OBJECT);
    struct object m;
    assert_int_equal(yzi_object_parse(f.header, &m), 0);
    assert_int_equal(m.token, token);
    assert_int_equal(m.what, what);
    assert_int_equal(m.found, found);
    assert_true(yzi_bytes_eq(f.payload, payload));
}

static void test_follow__offers_its_newer_directory(void **state)
{
    struct owner *o = *state;
    struct put_result r = {.code = YZ_EAGAIN};
    yz_world_publish(w);
    know_directory(o); /* version 2; the puppet has 1 */
    come_up(o);
    UNTIL(o, o->b1.got[FRAME_PUT] == 1);
    struct frame f = last_frame(&o->b1, FRAME_PUT);
    assert_true(yzi_bytes_eq(f.payload, yzi_directory_manifest(w->directory)));
    assert_int_equal(yzi_put_parse(f.header, &r.token), 0);
    yzi_buf_clear(&o->b1.out);
    assert_int_equal(yzi_put_result_write(&r, &o->b1.out), 0);
    say(&o->b1, yzi_bytes_buf(&o->b1.out));
    /* the broker takes it piece by piece */
    expect_object(o, FETCH_MANIFEST, (yz_bytes){0}, true, yzi_directory_manifest(w->directory));
    struct record record;
    struct manifest m;
    struct arena a;
    yzi_arena_init(&a, 1024 * 1024);
    assert_int_equal(yzi_record_parse(yzi_directory_manifest(w->directory), &record), 0);
    assert_int_equal(yzi_manifest_parse(record.body, &a, &m), 0);
    for (size_t i = 0; i < m.chunks_n; i++) {
        expect_object(o, FETCH_CHUNK, yzi_bytes_digest(&m.chunks[i].digest), true,
                      yzi_directory_chunk(w->directory, &m.chunks[i].digest));
    }
    yzi_arena_fini(&a);
    yz_digest none = {{1}};
    expect_object(o, FETCH_CHUNK, yzi_bytes_digest(&none), false, (yz_bytes){0});
    expect_object(o, FETCH_FRESHNESS, (yz_bytes){0}, true, (yz_bytes){0});
    expect_object(o, FETCH_STATEMENTS, (yz_bytes){0}, true, (yz_bytes){0});
    expect_object(o, FETCH_SERVICE, yzi_bytes_str(WORLD_SERVICE), false, (yz_bytes){0});
    say_heartbeat(&o->b1);
    settle(o);
    assert_int_equal(o->b1.got[FRAME_PUT], 1); /* offered once per connection and version */
    assert_int_equal(o->results, 0);
    assert_int_equal(o->alarms, 0);
    yz_world_publish(w);
    know_directory(o);
    say_heartbeat(&o->b1);
    UNTIL(o, o->b1.got[FRAME_PUT] == 2);
    assert_int_equal(yzi_put_parse(last_frame(&o->b1, FRAME_PUT).header, &r.token), 0);
    r.code = YZ_ESIGNATURE;
    r.text = yzi_bytes_str("who are you");
    yzi_buf_clear(&o->b1.out);
    assert_int_equal(yzi_put_result_write(&r, &o->b1.out), 0);
    say(&o->b1, yzi_bytes_buf(&o->b1.out));
    expect_alarm(o, 1, YZ_ESIGNATURE);
    assert_non_null(strstr(o->alarm.text, "who are you"));
    assert_int_equal(o->results, 0);
}

static void test_follow__has_nothing_to_give_without_a_directory(void **state)
{
    struct owner *o = *state;
    o->b1.silent = true;
    come_up(o);
    expect_object(o, FETCH_MANIFEST, (yz_bytes){0}, false, (yz_bytes){0});
    assert_int_equal(o->b1.got[FRAME_PUT], 0);
}

#define MANY_FETCHES 1000u

static bool listens(struct owner *o)
{
    struct poll_entry e[LINK_POLL_ENTRIES];
    yzi_session_poll_entries(o->session, e);
    return e[0].socket != NULL;
}

/* The queue towards the broker is full: the session stops listening until it has answered, and
 * answers everything in the end. */
static void test_follow__answers_all_fetches_through_a_full_queue(void **state)
{
    struct owner *o = *state;
    add_many();
    yz_world_publish(w);
    know_directory(o);
    struct record record;
    struct manifest m;
    struct arena a;
    yzi_arena_init(&a, 1024 * 1024);
    assert_int_equal(yzi_record_parse(yzi_directory_manifest(w->directory), &record), 0);
    assert_int_equal(yzi_manifest_parse(record.body, &a, &m), 0);
    size_t best = 0;
    for (size_t i = 0; i < m.chunks_n; i++) {
        best = m.chunks[i].bytes > m.chunks[best].bytes ? i : best;
    }
    assert_true(m.chunks[best].bytes > 10000);
    close_puppet(&o->b1);
    open_puppet(&o->b1, "CN/@b1", 4);
    o->b1.silent = true; /* its queue is for the fetches */
    o->session = open_session(o, &o->b1, 2);
    UNTIL(o, o->ups == 1);
    o->b1.deaf = true;
    for (unsigned i = 0; i < MANY_FETCHES; i++) { /* more than the system's buffers swallow */
        struct fetch f = {1000 + i, FETCH_CHUNK, yzi_bytes_digest(&m.chunks[best].digest)};
        yzi_buf_clear(&o->b1.out);
        assert_int_equal(yzi_fetch_write(&f, &o->b1.out), 0);
        UNTIL(o, yzi_server_send(o->b1.server, &o->b1.peer, yzi_bytes_buf(&o->b1.out)) == YZ_OK);
    }
    yzi_arena_fini(&a);
    UNTIL(o, !listens(o));
    assert_true(yzi_session_deadline(o->session) <= yzi_mono_ms(&w->clock.clock) + 10);
    o->b1.deaf = false;
    UNTIL(o,
          (yzi_manual_clock_advance(&w->clock, 10), o->b1.answered[FETCH_CHUNK] == MANY_FETCHES));
    assert_true(listens(o));
    assert_int_equal(o->downs, 0);
    assert_int_equal(o->alarms, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_follow__fetches_a_whole_directory),
        TEST(test_follow__fetches_only_what_changed),
        TEST(test_follow__asks_for_a_few_chunks_at_a_time),
        TEST(test_follow__takes_what_comes_when_it_was_asked_for_again),
        TEST(test_follow__takes_a_chunk_by_its_digest),
        TEST(test_follow__raises_alarm_at_another_chunk_that_comes_late),
        TEST(test_follow__a_late_no_does_not_end_it),
        TEST(test_follow__follows_a_new_root_statement),
        TEST(test_follow__gives_up_a_broker_that_is_revoked),
        TEST(test_follow__gives_up_a_broker_whose_key_is_revoked),
        TEST(test_follow__starts_again_when_the_broker_moves_on),
        TEST(test_follow__shares_a_trust_with_another),
        TEST(test_follow__raises_alarm_at_a_rollback),
        TEST(test_follow__raises_alarm_at_an_empty_claim),
        TEST(test_follow__raises_alarm_at_two_directories_of_one_version),
        TEST(test_follow__raises_alarm_at_a_forged_directory),
        TEST(test_follow__raises_alarm_at_another_chunk),
        TEST(test_follow__bounds_its_alarms),
        TEST(test_follow__asks_for_member_sets_page_by_page),
        TEST(test_follow__asks_for_a_page_again_that_a_busy_broker_kept),
        TEST(test_follow__leaves_pages_that_lead_nowhere),
        TEST(test_follow__takes_pushed_member_sets),
        TEST(test_follow__raises_alarm_at_a_member_set_published_otherwise),
        TEST(test_follow__fetches_member_sets_when_welcomed_and_after_a_directory),
        TEST(test_follow__keeps_freshness),
        TEST(test_follow__offers_its_newer_directory),
        TEST(test_follow__has_nothing_to_give_without_a_directory),
        TEST(test_follow__answers_all_fetches_through_a_full_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
