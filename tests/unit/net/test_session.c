/* SPDX-License-Identifier: Apache-2.0
 *
 * net/session: the connection, and what passes through it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/unit/net/session_fixture.h"

/* -- hello, welcome, heartbeats -- */

static void test_session__says_hello_and_is_welcomed(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    o->session = open_session(o, &o->b1, 0);
    assert_false(yzi_session_is_up(o->session));
    uint32_t token;
    assert_int_equal(yzi_session_send(o->session, yzi_bytes_str("x")), YZ_EUNAVAILABLE);
    assert_int_equal(yzi_session_put(o->session, yzi_bytes_str("x"), &token), YZ_EUNAVAILABLE);
    assert_int_equal(yzi_session_fetch(o->session, FETCH_CATALOGUE, (yz_bytes){0}, &token),
                     YZ_EUNAVAILABLE);
    UNTIL(o, o->ups == 1);
    struct hello h;
    assert_int_equal(yzi_hello_parse(last_frame(&o->b1, FRAME_HELLO).header, &h), 0);
    assert_true(yzi_bytes_eq_str(h.node.v, "CN/GOV/HB/@w1"));
    assert_int_equal(h.role, ROLE_CLIENT);
    assert_int_equal(h.directory_version, 1);
    assert_true(yzi_uuid_is_v7(&h.boot));
    assert_memory_equal(o->b1.key, o->node->transport.public_key, 32);
    assert_int_equal(o->welcomed_version, 1);
    assert_true(yzi_bytes_eq_str(yzi_session_broker(o->session).v, "CN/@b1"));
    settle(o);
    assert_int_equal(o->b1.fetched[FETCH_STATEMENTS], 1);
    assert_int_equal(o->b1.fetched[FETCH_FRESHNESS], 1);
    assert_int_equal(o->b1.fetched[FETCH_MANIFEST], 0);
    assert_int_equal(yzi_trust_state(o->trust, NULL), TRUST_FRESH);
    assert_true(yzi_trust_freshness(o->trust).n > 0);
    assert_int_equal(o->b1.got[FRAME_HELLO], 1);
    assert_int_equal(o->downs, 0);
    assert_int_equal(o->alarms, 0);
}

static void test_session__beats_and_hears_beats(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    come_up(o);
    unsigned got = 0;
    for (unsigned i = 0; i < 10; i++) { /* the broker's interval, as it is lower than a client's */
        assert_true(yzi_session_deadline(o->session) <= yzi_mono_ms(&w->clock.clock) + BEAT_MS);
        yzi_manual_clock_advance(&w->clock, BEAT_MS);
        got = o->b1.got[FRAME_HEARTBEAT];
        say_heartbeat(&o->b1);
        UNTIL(o, o->b1.got[FRAME_HEARTBEAT] == got + 1);
        struct heartbeat h;
        assert_int_equal(yzi_heartbeat_parse(last_frame(&o->b1, FRAME_HEARTBEAT).header, &h), 0);
        assert_int_equal(h.directory_version, 1);
        assert_true(h.time == yz_world_now(w));
        settle(o);
    }
    assert_int_equal(o->downs, 0);
    assert_int_equal(o->b1.got[FRAME_HELLO], 1);
}

static void test_session__gives_up_a_silent_broker(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    come_up(o);
    struct hello first, second;
    assert_int_equal(yzi_hello_parse(last_frame(&o->b1, FRAME_HELLO).header, &first), 0);
    first.node.v = (yz_bytes){0}; /* its bytes are overwritten by the next */
    struct connection_id before = o->b1.peer;
    yzi_manual_clock_advance(&w->clock, 3 * BEAT_MS - 1);
    assert_int_equal(yzi_session_step(o->session, NULL), 0);
    assert_true(yzi_session_is_up(o->session));
    yzi_manual_clock_advance(&w->clock, 1);
    assert_int_equal(yzi_session_step(o->session, NULL), 0);
    assert_int_equal(o->downs, 1);
    assert_string_equal(o->reason, "the broker has fallen silent");
    assert_int_equal(yzi_session_send(o->session, yzi_bytes_str("x")), YZ_EUNAVAILABLE);
    yzi_manual_clock_advance(&w->clock, 100);
    UNTIL(o, o->ups == 2);
    assert_int_equal(yzi_hello_parse(last_frame(&o->b1, FRAME_HELLO).header, &second), 0);
    assert_true(yzi_uuid_eq(&first.boot, &second.boot)); /* still the same process */
    assert_false(yzi_bytes_eq(yzi_connection_bytes(&o->b1.peer), yzi_connection_bytes(&before)));
    assert_int_equal(o->downs, 1);
}

static void test_session__waits_only_so_long_for_a_welcome(void **state)
{
    struct owner *o = *state;
    o->b1.cold = true;
    o->session = open_session(o, &o->b1, 0);
    UNTIL(o, o->b1.got[FRAME_HELLO] == 1);
    yzi_manual_clock_advance(&w->clock, 9999);
    assert_int_equal(yzi_session_step(o->session, NULL), 0);
    assert_int_equal(o->downs, 0);
    yzi_manual_clock_advance(&w->clock, 1);
    assert_int_equal(yzi_session_step(o->session, NULL), 0);
    assert_int_equal(o->downs, 1);
    assert_string_equal(o->reason, "the broker does not welcome this node");
}

static void test_session__hears_nothing_before_the_welcome(void **state)
{
    struct owner *o = *state;
    o->b1.cold = true;
    o->session = open_session(o, &o->b1, 0);
    UNTIL(o, o->b1.got[FRAME_HELLO] == 1);
    struct world_message q;
    yz_world_request(w, &(struct world_request){0}, &q);
    say(&o->b1, yzi_bytes_buf(&q.raw));
    say_object(&o->b1, 0, FETCH_MANIFEST, true, yzi_directory_manifest(w->directory));
    say_fetch(&o->b1, 7, FETCH_MANIFEST, (yz_bytes){0});
    say_heartbeat(&o->b1);
    say_welcome(&o->b1);
    UNTIL(o, o->ups == 1);
    settle(o);
    assert_int_equal(o->frames, 0);
    assert_int_equal(o->b1.answered[FETCH_MANIFEST], 0);
    assert_int_equal(o->alarms, 0);
    yz_world_message_fini(&q);
}

static void test_session__talks_only_to_the_broker_meant(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    o->b1.name = "CN/@b2";
    o->session = open_session(o, &o->b1, 0);
    UNTIL(o, o->downs == 1);
    assert_int_equal(o->ups, 0);
    assert_string_equal(o->reason, "this is another broker than the one meant");
    assert_int_equal(o->alarms, 1);
    assert_int_equal(o->alarm.code, YZ_EDENIED);
    assert_non_null(strstr(o->alarm.text, "CN/@b2"));
    o->b1.name = NULL;
    yzi_manual_clock_advance(&w->clock, 100);
    UNTIL(o, o->ups == 1);
}

static void test_session__says_that_its_key_is_unknown(void **state)
{
    struct owner *o = *state;
    o->b1.strict = true;
    o->session = open_session(o, &o->b1, 0);
    UNTIL(o, o->downs == 1);
    assert_string_equal(o->reason, "the broker does not know this key");
    yzi_manual_clock_advance(&w->clock, 100);
    for (struct server_counters c = {0}; c.refused < 2;) { /* again: no news */
        turn(o, 10);
        yzi_server_counters(o->b1.server, &c);
    }
    assert_int_equal(o->downs, 1);
    o->b1.strict = false;
    UNTIL(o, (yzi_manual_clock_advance(&w->clock, 50), o->ups == 1));
}

static void test_session__takes_a_goodbye_and_says_one(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    come_up(o);
    yzi_buf_clear(&o->b1.out);
    assert_int_equal(yzi_bye_write(yzi_bytes_str("draining"), &o->b1.out), 0);
    say(&o->b1, yzi_bytes_buf(&o->b1.out));
    UNTIL(o, o->downs == 1);
    assert_string_equal(o->reason, "the broker said goodbye");
    yzi_manual_clock_advance(&w->clock, 100);
    UNTIL(o, o->ups == 2);
    settle(o);
    yzi_session_close(o->session);
    o->session = NULL;
    UNTIL(o, o->b1.got[FRAME_BYE] == 1);
}

static void test_session__says_when_it_is_lost(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    come_up(o);
    struct world_message q;
    yz_world_request(w, &(struct world_request){0}, &q);
    say(&o->b1, yzi_bytes_buf(&q.raw));
    struct poll_entry e[LINK_POLL_ENTRIES];
    yzi_session_poll_entries(o->session, e);
    assert_int_equal(yzi_poll(e, 1, WAIT_MS), 0);
    yzi_server_close(o->b1.server);
    o->b1.server = NULL;
    UNTIL(o, o->downs == 1);
    assert_string_equal(o->reason, "the connection to the broker was lost");
    assert_int_equal(o->frames, 1); /* its last words were heard */
    yz_world_message_fini(&q);
}

static void test_session__notices_a_wrong_clock(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    o->b1.time = yz_world_now(w) + YZ_SKEW_MS;
    come_up(o);
    assert_int_equal(o->alarms, 0);
    o->b1.time = yz_world_now(w) - YZ_SKEW_MS - 1000;
    yzi_manual_clock_advance(&w->clock, 3 * BEAT_MS);
    UNTIL(o, (yzi_manual_clock_advance(&w->clock, 10), o->ups == 2));
    assert_int_equal(o->alarms, 1);
    assert_int_equal(o->alarm.code, YZ_EEXPIRED);
    assert_non_null(strstr(o->alarm.text, "s apart"));
}

/* -- what passes through -- */

static void test_session__hands_frames_through_untouched(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    come_up(o);
    struct world_message q, a, x;
    yz_world_request(w, &(struct world_request){0}, &q);
    yz_world_response(w, &(struct world_response){0}, &q.frame, &a);
    yz_world_outcome(w, o->b1.broker, &q.frame, OUTCOME_BUSY, "queue-full", &x);
    struct world_message *all[] = {&q, &a, &x};
    for (unsigned i = 0; i < 3; i++) {
        o->take_frames = i > 0;
        say(&o->b1, yzi_bytes_buf(&all[i]->raw));
        UNTIL(o, o->frames == i + 1);
        assert_true(yzi_bytes_eq(yzi_bytes_buf(&o->frame), yzi_bytes_buf(&all[i]->raw)));
        if (o->take_frames) {
            assert_true(yzi_bytes_eq(o->taken.bytes, yzi_bytes_buf(&all[i]->raw)));
        }
        assert_int_equal(yzi_session_send(o->session, yzi_bytes_buf(&all[i]->raw)), 0);
        UNTIL(o, o->b1.got[all[i]->frame.kind] == 1);
        assert_true(yzi_bytes_eq(yzi_bytes_buf(&o->b1.last[all[i]->frame.kind]),
                                 yzi_bytes_buf(&all[i]->raw)));
        yz_world_message_fini(all[i]);
    }
    assert_int_equal(o->alarms, 0);
}

static void test_session__fetches_and_puts_for_its_owner(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    o->b1.message_max = 100000;
    come_up(o);
    uint32_t token = 0, other = 0;
    assert_int_equal(
        yzi_session_fetch(o->session, FETCH_SERVICE, yzi_bytes_str(WORLD_SERVICE), &token), 0);
    assert_int_equal(yzi_session_fetch(o->session, FETCH_CATALOGUE, (yz_bytes){0}, &other), 0);
    assert_true(token != 0 && other != 0 && token != other);
    UNTIL(o, o->objects == 2);
    assert_int_equal(o->object.token, other);
    assert_true(o->object.found);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&o->object_payload), "an offer"));
    static const enum fetch_what own[] = {FETCH_MANIFEST, FETCH_CHUNK, FETCH_FRESHNESS,
                                          FETCH_STATEMENTS};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(yzi_session_fetch(o->session, own[i], (yz_bytes){0}, &token), YZ_EINVAL);
    }

    assert_int_equal(yzi_session_put(o->session, yzi_bytes_str("records"), &token), 0);
    UNTIL(o, o->b1.got[FRAME_PUT] == 1);
    struct frame f = last_frame(&o->b1, FRAME_PUT);
    uint32_t got;
    assert_int_equal(yzi_put_parse(f.header, &got), 0);
    assert_int_equal(got, token);
    assert_true(yzi_bytes_eq_str(f.payload, "records"));
    struct put_result r = {.token = token, .code = YZ_EDENIED, .text = yzi_bytes_str("no")};
    yzi_buf_clear(&o->b1.out);
    assert_int_equal(yzi_put_result_write(&r, &o->b1.out), 0);
    say(&o->b1, yzi_bytes_buf(&o->b1.out));
    UNTIL(o, o->results == 1);
    assert_int_equal(o->result.token, token);
    assert_int_equal(o->result.code, YZ_EDENIED);

    static uint8_t big[100001];
    assert_int_equal(yzi_session_send(o->session, yzi_bytes(big, sizeof big)), YZ_ETOOBIG);
    assert_int_equal(yzi_session_put(o->session, yzi_bytes(big, sizeof big), &token), YZ_ETOOBIG);
    say_object(&o->b1, 0, FETCH_OFFER, true, yzi_bytes_str("pushed"));
    UNTIL(o, o->objects == 3);
    assert_int_equal(o->object.token, 0);
}

static void test_session__complains_once_about_nonsense(void **state)
{
    struct owner *o = *state;
    know_directory(o);
    come_up(o);
    say(&o->b1, yzi_bytes_str("nonsense"));
    say(&o->b1, (yz_bytes){0});
    yzi_buf_clear(&o->b1.out); /* not a broker's to send */
    assert_int_equal(yzi_put_write(1, yzi_bytes_str("x"), &o->b1.out), 0);
    say(&o->b1, yzi_bytes_buf(&o->b1.out));
    yzi_buf_clear(&o->b1.out); /* a header that is no heartbeat's */
    assert_int_equal(yzi_frame_write(FRAME_HEARTBEAT, yzi_bytes_str("\xff"), (yz_bytes){0},
                                     (yz_bytes){0}, (yz_bytes){0}, &o->b1.out),
                     0);
    say(&o->b1, yzi_bytes_buf(&o->b1.out));
    say_welcome(&o->b1); /* a second one */
    settle(o);
    assert_int_equal(o->alarms, 1);
    assert_int_equal(o->ups, 1);
    assert_int_equal(o->downs, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_session__says_hello_and_is_welcomed),
        TEST(test_session__beats_and_hears_beats),
        TEST(test_session__gives_up_a_silent_broker),
        TEST(test_session__waits_only_so_long_for_a_welcome),
        TEST(test_session__hears_nothing_before_the_welcome),
        TEST(test_session__talks_only_to_the_broker_meant),
        TEST(test_session__says_that_its_key_is_unknown),
        TEST(test_session__takes_a_goodbye_and_says_one),
        TEST(test_session__says_when_it_is_lost),
        TEST(test_session__notices_a_wrong_clock),
        TEST(test_session__hands_frames_through_untouched),
        TEST(test_session__fetches_and_puts_for_its_owner),
        TEST(test_session__complains_once_about_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
