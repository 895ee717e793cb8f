/* SPDX-License-Identifier: Apache-2.0
 *
 * No false alarm: nobody is hostile here. A client calls through two real brokers to two real
 * adapters, many calls at a time, while time passes, directories, policies and sealing keys change,
 * and every part is stopped and started again in its turn. Every call gets its right answer; in all
 * of that nobody refuses, mistrusts or warns of anything.
 */
#include "tests/hostile/classes.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define BATCH 64u
#define CLEAN_CALLS 10000u /* a request and an answer each */
#define EVENTS_EVERY 8u    /* batches */
#define HALF_DAY_MS (13u * 3600u * 1000u)

struct clean {
    struct town_call calls[BATCH];
    unsigned batches;
    unsigned events[8];
};

/* What brokers count that no honest world causes. Messages to a connection that is just gone are
 * dropped in any. */
static void expect_no_bad(const struct trials *s, unsigned i)
{
    const struct metrics *m = &s->t->brokers[i]->metrics;
    const struct {
        const char *name;
        uint64_t n;
    } bad[] = {{"responses_bad", yzi_metric_get(&m->responses_bad)},
               {"messages_bad", yzi_metric_get(&m->messages_bad)},
               {"messages_unknown", yzi_metric_get(&m->messages_unknown)}};
    for (unsigned k = 0; k < sizeof bad / sizeof *bad; k++) {
        if (bad[k].n) {
            fail_msg("%s: broker %u counts %s %llu", s->last, i + 1, bad[k].name,
                     (unsigned long long)bad[k].n);
        }
    }
}

/* Nothing was refused, and nobody was alarmed, since the part at hand was started. */
static void expect_calm(struct trials *s)
{
    static const char *const events[] = {
        "event=alarm ",        "event=request.rejected ",  "event=answer.failed ",
        "event=peer.cut-off ", "event=peer.bad-message ",  "event=record.refused ",
        "event=response.bad ", "event=directory.refused ", "event=policy.refused ",
        "level=error ",
    };
    for (unsigned i = 0; i < sizeof events / sizeof *events; i++) {
        if (town_logged(s->t, events[i]) != 0) {
            fail_msg("%s: there is a line with %s", s->last, events[i]);
        }
    }
    struct engine_counters c = town_counters(s->t);
    if (c.rejected || c.alarms || c.unasked) {
        fail_msg("%s: the client rejected %llu, was alarmed %llu times, got %llu unasked", s->last,
                 (unsigned long long)c.rejected, (unsigned long long)c.alarms,
                 (unsigned long long)c.unasked);
    }
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        expect_no_bad(s, i);
        assert_int_equal(s->t->adapters[i]->rejected, 0);
    }
}

static void set_up(struct trials *s)
{
    s->own = calloc(1, sizeof(struct clean));
    assert_non_null(s->own);
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        town_start_broker(s->t, i);
    }
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        town_start_adapter(s->t, i);
    }
    town_start_client(s->t);
    town_wait_ready(s->t);
}

static void tear_down(struct trials *s)
{
    struct clean *c = s->own;
    print_message("broker restarts %u, adapter %u, client %u; directories %u, member sets %u, "
                  "policies %u, half days %u, failovers %u\n",
                  c->events[0], c->events[1], c->events[2], c->events[3], c->events[4],
                  c->events[5], c->events[6], c->events[7]);
    free(c);
}

/* -- what happens meanwhile -- */

static void restart_broker(struct trials *s)
{
    unsigned i = dice_below(&s->dice, TOWN_PAIR);
    town_stop_broker(s->t, i);
    town_start_broker(s->t, i);
}

static void restart_adapter(struct trials *s)
{
    unsigned i = dice_below(&s->dice, TOWN_PAIR);
    town_stop_adapter(s->t, i);
    town_start_adapter(s->t, i);
}

static void restart_client(struct trials *s)
{
    town_stop_client(s->t);
    town_start_client(s->t);
}

static void publish(struct trials *s)
{
    yz_world_change(yz_world_member(s->t->w, "CN/GOV/HB"));
    town_publish(s->t);
}

/* A member publishes by itself, between the operator's publications. */
static void publish_member_set(struct trials *s)
{
    YZ_AUTO(yzi_buf_fini) yz_buf set;
    yz_error err = {0};
    struct record record;
    yz_world_buf(&set);
    struct world_member *m = yz_world_member(s->t->w, "CN/GOV/MCA");
    yz_world_change(m);
    yz_world_put_set(m, &set);
    OK(yzi_record_parse(yzi_bytes_buf(&set), &record));
    if (yzi_broker_take_record(s->t->brokers[0], &record, NULL, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void change_policy(struct trials *s)
{
    town_new_policy(s->t);
}

/* Sealing keys are renewed; connections were silent for long and are made anew. */
static void half_a_day(struct trials *s)
{
    town_advance(s->t, HALF_DAY_MS);
}

static void call_many(struct trials *s, unsigned n)
{
    struct clean *c = s->own;
    for (unsigned i = 0; i < n; i++) {
        town_call(s->t, dice_below(&s->dice, TOWN_KEYS), &c->calls[i]);
    }
}

static void await_many(struct trials *s, unsigned n)
{
    struct clean *c = s->own;
    for (unsigned i = 0; i < n; i++) {
        town_begin(s->t);
        while (!c->calls[i].ended) {
            town_wait(s->t);
            if (dice_chance(&s->dice, 8)) {
                yzi_manual_clock_advance(&s->t->w->clock, 1);
            }
        }
        if (!town_is_right(&c->calls[i])) {
            fail_msg("%s: %s %s", s->last, yz_err_name(c->calls[i].rc), c->calls[i].err.text);
        }
        town_call_fini(&c->calls[i]);
    }
}

/* A broker goes while calls are under way: they are sent again, to the other. */
static void fail_over(struct trials *s)
{
    unsigned i = dice_below(&s->dice, TOWN_PAIR);
    call_many(s, BATCH);
    for (unsigned k = dice_below(&s->dice, 6); k > 0; k--) {
        town_step(s->t);
    }
    town_stop_broker(s->t, i);
    await_many(s, BATCH);
    town_start_broker(s->t, i);
}

/* One batch of calls; now and then something happens before it, when nothing is under way. */
static void trial(struct trials *s)
{
    static const struct {
        const char *name;
        void (*happens)(struct trials *s);
    } events[] = {{"a broker restarts", restart_broker},
                  {"an adapter restarts", restart_adapter},
                  {"the client restarts", restart_client},
                  {"a directory", publish},
                  {"a member set", publish_member_set},
                  {"a policy", change_policy},
                  {"half a day", half_a_day},
                  {"a broker fails", fail_over}};
    struct clean *c = s->own;
    if (c->batches++ % EVENTS_EVERY == EVENTS_EVERY - 1) {
        unsigned e = c->batches / EVENTS_EVERY % (sizeof events / sizeof *events);
        snprintf(s->last, sizeof s->last, "%s", events[e].name);
        c->events[e]++;
        expect_calm(s);
        events[e].happens(s);
        town_wait_ready(s->t);
    }
    call_many(s, BATCH);
    await_many(s, BATCH);
    town_advance(s->t, dice_below(&s->dice, 1000));
    s->done += BATCH - 1;
}

static const struct trial_class classes[] = {
    {"clean", CLEAN_CALLS, set_up, trial, tear_down, expect_calm}};

int main(int argc, char **argv)
{
    return classes_run(argc, argv, classes, sizeof classes / sizeof *classes);
}
