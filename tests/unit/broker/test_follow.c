/* SPDX-License-Identifier: Apache-2.0
 *
 * How a broker follows a peer's newer directory, and what peers that are slow, silent or lying can
 * do against that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/broker/fixture.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define BUFFER(name)                                                                               \
    YZ_AUTO(yzi_buf_fini) yz_buf name;                                                             \
    yz_world_buf(&name)

static struct puppet *claims_newer(struct rig *r, const char *node)
{
    struct puppet *p = rig_join(r, node);
    yz_world_add_subsystem(yz_world_member(r->w, "CN/GOV/HB"), "cellar");
    yz_world_publish(r->w);
    puppet_heartbeat(p, r->w->version);
    return p;
}

static struct fetch next_fetch(struct puppet *p)
{
    struct fetch f;
    OK(yzi_fetch_parse(puppet_expect(p, FRAME_FETCH)->header, &f));
    return f;
}

static void serve(struct puppet *p, uint32_t token, enum fetch_what what, const yz_bytes *payload)
{
    struct object o = {.token = token, .what = what, .found = payload != NULL};
    BUFFER(frame);
    OK(yzi_object_write(&o, payload ? *payload : (yz_bytes){0}, &frame));
    puppet_send(p, yzi_bytes_buf(&frame));
}

/* The chunk that a fetch names, of the world's newest directory. */
static yz_bytes chunk_of(struct rig *r, const struct fetch *f)
{
    yz_digest digest;
    assert_int_equal(f->what, FETCH_CHUNK);
    memcpy(digest.b, f->name.p, sizeof digest.b);
    yz_bytes chunk = yzi_directory_chunk(r->w->directory, &digest);
    assert_true(chunk.n > 0);
    return chunk;
}

static void test_follow__fetches_a_peers_newer_directory(void **state)
{
    struct rig *r = *state;
    struct puppet *p = claims_newer(r, "CN/GOV/HB/@w1");
    struct fetch f = next_fetch(p);
    assert_int_equal(f.what, FETCH_MANIFEST);
    yz_bytes manifest = yzi_bytes_buf(&r->w->parts.manifest);
    serve(p, f.token, FETCH_MANIFEST, &manifest);
    while (yzi_directory_version(r->b->directory) != r->w->version) {
        f = next_fetch(p);
        yz_bytes chunk = chunk_of(r, &f);
        serve(p, f.token, FETCH_CHUNK, &chunk);
        puppet_count(p, FRAME_WELCOME); /* until it was taken */
    }
    assert_false(r->b->follow.active);
}

static void test_follow__does_not_look_at_what_it_did_not_ask_for(void **state)
{
    struct rig *r = *state;
    struct puppet *p = claims_newer(r, "CN/GOV/HB/@w1");
    struct fetch f = next_fetch(p);
    yz_bytes manifest = yzi_bytes_buf(&r->w->parts.manifest);
    serve(p, 0, FETCH_MANIFEST, &manifest);
    serve(p, f.token + 1, FETCH_MANIFEST, &manifest);
    struct puppet *other = rig_join(r, "CN/GOV/HB/@w2");
    serve(other, f.token, FETCH_MANIFEST, &manifest);
    yz_bytes chunk = yzi_bytes_buf(&r->w->parts.chunks[0]);
    serve(p, f.token, FETCH_CHUNK, &chunk);
    assert_true(puppet_is_heard(p));
    assert_true(puppet_is_heard(other));
    assert_false(r->b->follow.active);
    serve(p, f.token, FETCH_MANIFEST, &manifest);
    f = next_fetch(p);
    assert_true(r->b->follow.active);
}

static void test_follow__turns_to_another_peer_when_one_does_not_deliver(void **state)
{
    struct rig *r = *state;
    struct puppet *p = claims_newer(r, "CN/GOV/HB/@w1");
    struct puppet *honest = rig_join(r, "CN/GOV/HB/@w2");
    struct fetch f = next_fetch(p);
    yz_bytes manifest = yzi_bytes_buf(&r->w->parts.manifest);
    serve(p, f.token, FETCH_MANIFEST, &manifest);
    next_fetch(p);                      /* a chunk, which it keeps */
    puppet_expect(honest, FRAME_FETCH); /* asked too: its hello said so */
    rig_advance(r, 5000);
    assert_false(r->b->follow.active);
    puppet_heartbeat(p, r->w->version); /* not asked again so soon */
    assert_int_equal(puppet_count(p, FRAME_FETCH), 0);
    puppet_heartbeat(honest, r->w->version);
    f = next_fetch(honest);
    serve(honest, f.token, FETCH_MANIFEST, &manifest);
    while (yzi_directory_version(r->b->directory) != r->w->version) {
        f = next_fetch(honest);
        yz_bytes chunk = chunk_of(r, &f);
        serve(honest, f.token, FETCH_CHUNK, &chunk);
        puppet_count(honest, FRAME_WELCOME);
    }
}

static void test_follow__survives_rubbish_and_claims_of_nothing(void **state)
{
    struct rig *r = *state;
    struct puppet *p = claims_newer(r, "CN/GOV/HB/@w1");
    struct fetch f = next_fetch(p);
    yz_bytes rubbish = yzi_bytes_str("this is no manifest");
    serve(p, f.token, FETCH_MANIFEST, &rubbish);
    assert_true(puppet_is_heard(p));
    puppet_heartbeat(p, UINT64_MAX);
    assert_int_equal(puppet_count(p, FRAME_FETCH), 0); /* mistrusted */
    struct puppet *q = rig_join(r, "CN/GOV/HB/@w2");
    f = next_fetch(q);
    serve(q, f.token, FETCH_MANIFEST, NULL);
    yz_bytes manifest = yzi_bytes_buf(&r->w->parts.manifest);
    rig_advance(r, 2001);
    puppet_heartbeat(q, r->w->version);
    f = next_fetch(q);
    serve(q, f.token, FETCH_MANIFEST, &manifest);
    f = next_fetch(q);
    serve(q, f.token, FETCH_CHUNK, &rubbish);
    assert_true(puppet_is_heard(q));
    assert_int_equal(yzi_directory_version(r->b->directory), 1);
    assert_false(r->b->follow.active); /* not asked for the same again and again */
}

/* A fetch of the manifest for each of the peer's heartbeats, three seconds apart. */
static void asked_thrice(struct rig *r, struct puppet *p, struct fetch f[3])
{
    for (int i = 0; i < 3; i++) {
        if (i > 0) {
            rig_advance(r, 3000);
            puppet_heartbeat(p, r->w->version);
        }
        f[i] = next_fetch(p);
        assert_int_equal(f[i].what, FETCH_MANIFEST);
    }
}

static void serve_the_rest(struct rig *r, struct puppet *p)
{
    while (yzi_directory_version(r->b->directory) != r->w->version) {
        struct fetch f = next_fetch(p);
        yz_bytes chunk = chunk_of(r, &f);
        serve(p, f.token, FETCH_CHUNK, &chunk);
        puppet_count(p, FRAME_WELCOME);
    }
}

/* A peer that is slower than it is asked is heard: each question is answered once, in any turn. */
static void test_follow__hears_a_manifest_that_was_asked_for_again(void **state)
{
    struct rig *r = *state;
    struct puppet *p = claims_newer(r, "CN/GOV/MCA/@a1");
    struct fetch f[3];
    asked_thrice(r, p, f);
    yz_bytes manifest = yzi_bytes_buf(&r->w->parts.manifest);
    serve(p, f[1].token, FETCH_MANIFEST, NULL);
    serve(p, f[1].token, FETCH_MANIFEST, &manifest);
    assert_true(puppet_is_heard(p));
    assert_false(r->b->follow.active);
    serve(p, f[0].token, FETCH_MANIFEST, &manifest);
    serve_the_rest(r, p);
}

static void begin_to_give(struct rig *r, struct puppet *p)
{
    struct fetch f = next_fetch(p);
    yz_bytes manifest = yzi_bytes_buf(&r->w->parts.manifest);
    assert_int_equal(f.what, FETCH_MANIFEST);
    serve(p, f.token, FETCH_MANIFEST, &manifest);
}

/* Each chunk comes a second after it was given up. */
static void test_follow__takes_chunks_that_come_late(void **state)
{
    struct rig *r = *state;
    struct puppet *p = claims_newer(r, "CN/GOV/HB/@w1");
    begin_to_give(r, p);
    while (yzi_directory_version(r->b->directory) != r->w->version) {
        struct fetch f = next_fetch(p);
        rig_advance(r, 5000);
        rig_advance(r, 1000);
        assert_false(r->b->follow.active);
        yz_bytes chunk = chunk_of(r, &f);
        serve(p, f.token + 1000, FETCH_CHUNK, &chunk); /* this was never asked */
        assert_true(puppet_is_heard(p));
        assert_false(r->b->follow.active);
        serve(p, f.token, FETCH_CHUNK, &chunk);
        assert_true(puppet_is_heard(p));
    }
}

static void test_follow__takes_no_late_chunk_that_is_another(void **state)
{
    struct rig *r = *state;
    struct puppet *p = claims_newer(r, "CN/GOV/HB/@w1");
    begin_to_give(r, p);
    struct fetch f = next_fetch(p);
    rig_advance(r, 5000);
    yz_bytes rubbish = yzi_bytes_str("no chunk"), chunk = chunk_of(r, &f);
    serve(p, f.token, FETCH_CHUNK, &rubbish);
    serve(p, f.token, FETCH_CHUNK, &chunk);
    assert_true(puppet_is_heard(p));
    assert_false(r->b->follow.active);
    assert_int_equal(yzi_directory_version(r->b->directory), 1);
}

/* Who was asked for the same version, and answers with rubbish, stops nobody who delivers it. */
static void test_follow__is_not_stopped_by_what_another_peer_says(void **state)
{
    struct rig *r = *state;
    struct puppet *p = claims_newer(r, "CN/GOV/HB/@w1");
    struct puppet *liar = rig_join(r, "CN/GOV/HB/@w2");
    struct fetch lie = next_fetch(liar);
    begin_to_give(r, p);
    yz_bytes rubbish = yzi_bytes_str("this is no manifest");
    serve(liar, lie.token, FETCH_MANIFEST, &rubbish);
    assert_true(puppet_is_heard(liar));
    assert_true(r->b->follow.active);
    serve_the_rest(r, p);
}

/* Whoever was first with a directory that revokes him could give it piece by piece, each just in
 * time, and put it off for as long as that takes. */
static void test_follow__turns_to_another_peer_when_one_is_slow_on_purpose(void **state)
{
    struct rig *r = *state;
    struct puppet *p = claims_newer(r, "CN/GOV/HB/@w1");
    begin_to_give(r, p);
    next_fetch(p);
    struct puppet *honest = rig_join(r, "CN/GOV/HB/@w2");
    assert_int_equal(puppet_count(honest, FRAME_FETCH), 0);
    rig_advance(r, 4900);
    r->b->follow.deadline = r->b->mono + 5000; /* a piece of many has come */
    rig_advance(r, 101);
    assert_true(r->b->follow.active);
    puppet_heartbeat(honest, r->w->version);
    begin_to_give(r, honest);
    serve_the_rest(r, honest);
}

/* A manifest that names a newer root statement may be anybody's invention until its first chunk is
 * here. It keeps no true one away, neither before that nor afterwards. */
static void test_follow__prefers_a_manifest_that_proves_itself(void **state)
{
    struct rig *r = *state;
    struct world *made_up = yz_world_new("CN");
    made_up->version = 50;
    made_up->root_version = 7;
    yz_world_publish(made_up);
    yz_bytes invention = yzi_bytes_buf(&made_up->parts.manifest);
    struct puppet *liars[] = {rig_join(r, "CN/GOV/HB/@w1"), rig_join(r, "CN/GOV/MCA/@a2")};
    struct fetch lies[2];
    for (int i = 0; i < 2; i++) {
        puppet_heartbeat(liars[i], 50);
        lies[i] = next_fetch(liars[i]);
    }
    serve(liars[0], lies[0].token, FETCH_MANIFEST, &invention);
    assert_int_equal(next_fetch(liars[0]).what, FETCH_CHUNK); /* which it keeps */
    struct puppet *honest = claims_newer(r, "CN/GOV/HB/@w2");
    begin_to_give(r, honest);
    struct fetch f = next_fetch(honest);
    serve(liars[1], lies[1].token, FETCH_MANIFEST, &invention);
    assert_true(puppet_is_heard(liars[1]));
    yz_bytes chunk = chunk_of(r, &f);
    serve(honest, f.token, FETCH_CHUNK, &chunk);
    puppet_count(honest, FRAME_WELCOME);
    serve_the_rest(r, honest);
    yz_world_free(made_up);
}

static void test_follow__gives_up_with_the_connection(void **state)
{
    struct rig *r = *state;
    struct puppet *p = claims_newer(r, "CN/GOV/MCA/@a1");
    struct fetch f = next_fetch(p);
    yz_bytes manifest = yzi_bytes_buf(&r->w->parts.manifest);
    serve(p, f.token, FETCH_MANIFEST, &manifest);
    next_fetch(p);
    assert_true(r->b->follow.active);
    BUFFER(bye);
    OK(yzi_bye_write(yzi_bytes_str("closing"), &bye));
    puppet_send(p, yzi_bytes_buf(&bye));
    while (yzi_connections_count(&r->b->connections) > 0) {
        rig_wait(r);
    }
    rig_advance(r, 1000);
    assert_false(r->b->follow.active);
    p = rig_join(r, "CN/GOV/MCA/@a1"); /* it is no more believed over another connection */
    puppet_heartbeat(p, r->w->version);
    assert_int_equal(puppet_count(p, FRAME_FETCH), 0);
    rig_advance(r, 60000);
    struct puppet *again = rig_join(r, "CN/GOV/MCA/@a1");
    rig_advance(r, 2001); /* it was asked when it said hello */
    puppet_heartbeat(again, r->w->version);
    assert_int_equal(next_fetch(again).what, FETCH_MANIFEST);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_follow__fetches_a_peers_newer_directory),
        TEST(test_follow__does_not_look_at_what_it_did_not_ask_for),
        TEST(test_follow__turns_to_another_peer_when_one_does_not_deliver),
        TEST(test_follow__survives_rubbish_and_claims_of_nothing),
        TEST(test_follow__hears_a_manifest_that_was_asked_for_again),
        TEST(test_follow__takes_chunks_that_come_late),
        TEST(test_follow__takes_no_late_chunk_that_is_another),
        TEST(test_follow__is_not_stopped_by_what_another_peer_says),
        TEST(test_follow__turns_to_another_peer_when_one_is_slow_on_purpose),
        TEST(test_follow__prefers_a_manifest_that_proves_itself),
        TEST(test_follow__gives_up_with_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
