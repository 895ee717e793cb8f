/* SPDX-License-Identifier: Apache-2.0
 *
 * net/session_log: two parties of one broker, honest or forking, over real connections.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/unit/net/session_fixture.h"

#define LOG (WORLD_TIME - 5000)

static struct puppet_log honest, forked; /* the same up to 100 entries */

static int set_up_logs(void **state)
{
    assert_int_equal(set_up(state), 0);
    struct owner *o = *state;
    struct key_pair *key = &o->b1.broker->log;
    assert_int_equal(yzi_views_open(o->dir, &o->views, NULL), 0);
    yz_puppet_init(&honest, "CN/@b1", LOG, key, NULL);
    yz_puppet_init(&forked, "CN/@b1", LOG, key, NULL);
    yz_puppet_grow(&honest, 100, 0);
    yz_puppet_grow(&forked, 100, 0);
    yz_puppet_grow(&honest, 300, 1);
    yz_puppet_grow(&forked, 300, 2);
    o->b1.log = &honest;
    know_directory(o);
    return 0;
}

static int tear_down_logs(void **state)
{
    yz_puppet_fini(&honest);
    yz_puppet_fini(&forked);
    return tear_down(state);
}

static int saw(struct owner *o, const struct puppet_checkpoint *c, const char *from)
{
    const struct checkpoint_ref ref = {.present = true,
                                       .log = c->log,
                                       .size = c->size,
                                       .root = c->root,
                                       .signature = yzi_bytes(c->signature, 64)};
    return yzi_session_saw(o->session, &ref, from);
}

static uint64_t held(struct owner *o)
{
    struct checkpoint_ref r = yzi_session_checkpoint(o->session);
    return r.present ? r.size : 0;
}

static void see(struct owner *o, struct puppet_log *log, uint64_t size, const char *from)
{
    struct puppet_checkpoint c = yz_puppet_sign(log, size);
    assert_int_equal(saw(o, &c, from), 0);
}

static void pass_a_second(void)
{
    yzi_manual_clock_advance(&w->clock, 1000);
}

static void test_log__what_is_seen_is_proved_and_shown(void **state)
{
    struct owner *o = *state;
    come_up(o);
    assert_int_equal(held(o), 0);
    see(o, &honest, 120, "receipt");
    assert_int_equal(held(o), 120);
    see(o, &honest, 200, "CN/GOV/HB/@w2");
    pass_a_second();
    UNTIL(o, held(o) == 200);
    assert_int_equal(o->b1.fetched[FETCH_CONSISTENCY], 1);
    assert_int_equal(o->objects, 0); /* none of it is the owner's business */
    assert_int_equal(o->alarms, 0);
}

/* The answer to a question that was left unanswered. */
static void prove_late(struct owner *o, const struct asked *asked, bool found)
{
    YZ_AUTO(yzi_buf_fini) yz_buf proof;
    yz_world_buf(&proof);
    assert_true(!found || yz_puppet_prove(&honest, yzi_bytes(asked->name, asked->name_n), &proof));
    say_object(&o->b1, asked->token, FETCH_CONSISTENCY, found, yzi_bytes_buf(&proof));
    settle(o);
}

/* The `n`th question for a proof. */
static struct asked nth_asked(struct owner *o, unsigned n)
{
    for (unsigned i = 0; i < 100 && o->b1.fetched[FETCH_CONSISTENCY] < n; i++) {
        pass_a_second();
        say_heartbeat(&o->b1);
        settle(o);
    }
    assert_int_equal(o->b1.fetched[FETCH_CONSISTENCY], n);
    return o->b1.asked[FETCH_CONSISTENCY];
}

static void test_log__a_proof_counts_when_it_was_asked_for_again(void **state)
{
    struct owner *o = *state;
    come_up(o);
    see(o, &honest, 120, "receipt");
    o->b1.silent = true;
    see(o, &honest, 200, "CN/GOV/HB/@w2");
    struct asked first = nth_asked(o, 1);
    (void)nth_asked(o, 3);
    prove_late(o, &first, true);
    assert_int_equal(held(o), 200);
    assert_int_equal(o->alarms, 0);
    assert_int_equal(o->objects, 0);
}

/* It may have been none of it when it was asked first. */
static void test_log__that_there_is_no_proof_counts_for_the_last_question(void **state)
{
    struct owner *o = *state;
    come_up(o);
    see(o, &honest, 120, "receipt");
    o->b1.silent = true;
    see(o, &honest, 200, "CN/GOV/HB/@w2");
    struct asked first = nth_asked(o, 1);
    struct asked second = nth_asked(o, 2);
    prove_late(o, &first, false);
    assert_int_equal(o->objects, 0);
    prove_late(o, &second, true);
    assert_int_equal(held(o), 200);
    assert_int_equal(o->alarms, 0);
}

static void test_hello__carries_the_checkpoint(void **state)
{
    struct owner *o = *state;
    struct hello h;
    struct checkpoint_ref ref;
    struct puppet_checkpoint c = yz_puppet_sign(&honest, 120);
    come_up(o);
    assert_int_equal(yzi_hello_parse(last_frame(&o->b1, FRAME_HELLO).header, &h), 0);
    assert_int_equal(h.checkpoint.n, 0);
    assert_int_equal(saw(o, &c, "receipt"), 0);
    yzi_session_close(o->session);
    o->session = NULL;
    o->session = open_session(o, &o->b1, 0);
    UNTIL(o, o->ups == 2);
    assert_int_equal(yzi_hello_parse(last_frame(&o->b1, FRAME_HELLO).header, &h), 0);
    assert_int_equal(yzi_seen_parse(h.checkpoint, &ref), 0);
    assert_true(ref.log == LOG && ref.size == 120 && yzi_digest_eq(&ref.root, &c.root));
    assert_true(yzi_bytes_eq(ref.signature, yzi_bytes(c.signature, 64)));
}

/* The broker serves this party one history; another party's header shows the other one. */
static void test_fork__ends_the_session_for_good(void **state)
{
    struct owner *o = *state;
    come_up(o);
    see(o, &honest, 120, "receipt");
    see(o, &forked, 200, "CN/GOV/MCA/@a1");
    pass_a_second();
    UNTIL(o, o->downs == 1);
    assert_string_equal(o->reason, "the broker signed two histories of its log");
    assert_int_equal(o->alarms, 1);
    assert_int_equal(o->alarm.code, YZ_EEQUIVOCATION);
    assert_non_null(strstr(o->alarm.text, "CN/GOV/MCA/@a1"));
    assert_int_equal(yzi_session_send(o->session, yzi_bytes_str("x")), YZ_EUNAVAILABLE);
    /* Not after a restart either. */
    yzi_session_close(o->session);
    o->session = NULL;
    yzi_views_close(o->views);
    assert_int_equal(yzi_views_open(o->dir, &o->views, NULL), 0);
    unsigned hellos = o->b1.got[FRAME_HELLO];
    o->session = open_session(o, &o->b1, 0);
    UNTIL(o, o->downs == 2);
    assert_string_equal(o->reason, "the broker signed two histories of its log");
    assert_int_equal(o->b1.got[FRAME_HELLO], hellos);
}

static void test_fork__of_one_size_is_seen_at_once(void **state)
{
    struct owner *o = *state;
    struct puppet_checkpoint c = yz_puppet_sign(&forked, 120);
    come_up(o);
    see(o, &honest, 120, "receipt");
    assert_int_equal(saw(o, &c, "CN/GOV/HB/@w2"), YZ_EEQUIVOCATION);
    UNTIL(o, o->downs == 1);
    assert_int_equal(saw(o, &c, "CN/GOV/HB/@w2"), YZ_EEQUIVOCATION);
    assert_int_equal(o->alarms, 1);
}

/* Anybody can say that he saw something else; only the broker's signature makes it so. */
static void test_liar__changes_nothing(void **state)
{
    struct owner *o = *state;
    struct puppet_checkpoint c = yz_puppet_sign(&forked, 120), good = c;
    come_up(o);
    see(o, &honest, 120, "receipt");
    c.signature[1] ^= 1;
    assert_int_equal(saw(o, &c, "CN/GOV/HB/@w2"), YZ_ESIGNATURE);
    c = good;
    c.size++;
    assert_int_equal(saw(o, &c, "CN/GOV/HB/@w2"), YZ_ESIGNATURE);
    struct puppet_log theirs; /* signed, but by another broker's key */
    yz_puppet_init(&theirs, "CN/@b1", LOG, &yz_world_node(w, "CN/@b2")->log, NULL);
    yz_puppet_grow(&theirs, 150, 7);
    c = yz_puppet_sign(&theirs, 120);
    assert_int_equal(saw(o, &c, "CN/GOV/HB/@w2"), YZ_ESIGNATURE);
    yz_puppet_fini(&theirs);
    pass_a_second();
    settle(o);
    assert_true(yzi_session_is_up(o->session));
    assert_int_equal(o->alarms, 0);
    assert_int_equal(o->b1.fetched[FETCH_CONSISTENCY], 0);
    assert_int_equal(held(o), 120);
}

static void test_restored_broker__is_followed_to_its_next_log(void **state)
{
    struct owner *o = *state;
    struct puppet_log next;
    struct puppet_checkpoint ended = yz_puppet_sign(&honest, 200);
    come_up(o);
    see(o, &honest, 180, "receipt");
    yz_puppet_init(&next, "CN/@b1", LOG + 1000, &o->b1.broker->log, &ended);
    yz_puppet_grow(&next, 40, 3);
    o->b1.log = &next;
    see(o, &next, 30, "receipt");
    pass_a_second();
    UNTIL(o, held(o) == 30);
    assert_true(yzi_session_checkpoint(o->session).log == LOG + 1000);
    assert_int_equal(o->alarms, 0);
    o->b1.log = NULL;
    yz_puppet_fini(&next);
}

static void test_session__without_views_follows_no_log(void **state)
{
    struct owner *o = *state;
    struct puppet_checkpoint c = yz_puppet_sign(&honest, 120);
    yzi_views_close(o->views);
    o->views = NULL;
    come_up(o);
    assert_int_equal(saw(o, &c, "receipt"), 0);
    assert_int_equal(held(o), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_logs, tear_down_logs)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_log__what_is_seen_is_proved_and_shown),
        TEST(test_log__a_proof_counts_when_it_was_asked_for_again),
        TEST(test_log__that_there_is_no_proof_counts_for_the_last_question),
        TEST(test_hello__carries_the_checkpoint),
        TEST(test_fork__ends_the_session_for_good),
        TEST(test_fork__of_one_size_is_seen_at_once),
        TEST(test_liar__changes_nothing),
        TEST(test_restored_broker__is_followed_to_its_next_log),
        TEST(test_session__without_views_follows_no_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
