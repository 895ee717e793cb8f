/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker that lies about what others signed: a directory that was tampered with, is old or
 * forked; freshness that stands still, goes back or is forged; offers and announcements that are
 * not their owners', or not their newest. Client and adapter believe none of it and say so; and
 * when the truth comes after all, they go on with that.
 */
#include "tests/hostile/classes.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define MISTRUST_MS 61000u /* so long a broker is not asked again; then services are asked anew */
#define LAG_MS 2001u
#define DAY_MS (24u * 3600u * 1000u)

struct liar {
    yz_buf saved;  /* an object to be served in place of the true one */
    unsigned what; /* of which kind; 0: none */
    bool spoils;   /* flips a bit of that kind of object */
    unsigned served;
    struct dice *dice;
};

static struct wire *wire_of(const struct trials *s)
{
    return s->t->wires[0];
}

static bool lie(struct wire *w, const struct fetch *f, yz_buf *payload)
{
    struct liar *l = w->ctx;
    if (l->what == 0 || (unsigned)f->what != l->what) {
        return false;
    }
    l->served++;
    if (!l->spoils) {
        OK(yzi_buf_put(payload, yzi_bytes_buf(&l->saved)));
        return true;
    }
    w->on_fetch = NULL; /* the true one first */
    wire_put_object(w, f, payload);
    w->on_fetch = lie;
    if (payload->n) {
        payload->p[dice_below(l->dice, (uint32_t)payload->n)] ^=
            (uint8_t)(1u << dice_below(l->dice, 8));
    }
    return true;
}

static void set_up_lies(struct trials *s)
{
    struct liar *l = calloc(1, sizeof *l);
    assert_non_null(l);
    yz_world_buf(&l->saved);
    l->dice = &s->dice;
    s->own = l;
    town_start_wire(s->t, 0);
    wire_of(s)->ctx = l;
    wire_of(s)->on_fetch = lie;
    town_start_adapter(s->t, 0);
    town_start_client(s->t);
    town_wait_ready(s->t);
    town_settle(s->t);
}

static void tear_down_lies(struct trials *s)
{
    struct liar *l = s->own;
    yzi_buf_fini(&l->saved);
    free(l);
}

static void tell_truth(struct trials *s)
{
    struct liar *l = s->own;
    l->what = 0;
    l->spoils = false;
    yzi_buf_clear(&l->saved);
    wire_of(s)->claims = 0;
}

/* -- what is seen -- */

static uint64_t version_of_client(const struct trials *s)
{
    YZ_AUTO(yzi_directory_unref_ptr)
    const struct directory *d = yzi_trust_directory(s->t->trust);
    return yzi_directory_version(d);
}

static void await_alarm(struct trials *s, uint64_t before)
{
    town_begin(s->t);
    while (town_counters(s->t).alarms == before) {
        town_wait(s->t);
    }
}

/* Time enough for anything that was put off; everybody hears from the broker, and is there. */
static void let_time_pass(struct trials *s, uint64_t ms)
{
    town_advance(s->t, ms);
    town_settle(s->t);
    wire_heartbeat(wire_of(s));
    town_settle(s->t);
}

static void expect_right(struct trials *s)
{
    struct town_call c;
    town_call(s->t, dice_below(&s->dice, TOWN_KEYS), &c);
    town_run_until_ended(s->t, &c);
    if (!town_is_right(&c)) {
        fail_msg("%s: then %s %s", s->last, yz_err_name(c.rc), c.err.text);
    }
    town_call_fini(&c);
}

/* A call that must not be sent by what was served. What a newer directory might mend is waited for,
 * two seconds. */
static void expect_refusal(struct trials *s, int rc)
{
    struct town_call c;
    unsigned requests = wire_of(s)->requests;
    town_call(s->t, 1, &c);
    town_begin(s->t);
    for (unsigned i = 0; !c.ended; i++) { /* a machine under load needs its time, too */
        town_settle(s->t);
        town_advance(s->t, i < 3 ? LAG_MS : LAG_MS / 10);
        town_wait(s->t);
    }
    if (c.ended != 1 || c.rc != rc || wire_of(s)->requests != requests) {
        fail_msg("%s: %s %s, not %s", s->last, yz_err_name(c.rc), c.err.text, yz_err_name(rc));
    }
    town_call_fini(&c);
}

/* The newest directory is with client and adapter, and works. */
static void expect_adopted(struct trials *s)
{
    tell_truth(s);
    wire_heartbeat(wire_of(s)); /* what it claims no more is not asked for either */
    town_settle(s->t);
    let_time_pass(s, MISTRUST_MS);
    town_begin(s->t);
    while (version_of_client(s) < s->t->w->version ||
           yzi_directory_version(s->t->adapters[0]->directory) < s->t->w->version) {
        town_tick(s->t, 250);
    }
    expect_right(s);
}

/* -- directories -- */

static void trial_spoilt_directory(struct trials *s)
{
    struct liar *l = s->own;
    uint64_t had = version_of_client(s), alarms = town_counters(s->t).alarms;
    bool of_chunk = dice_chance(&s->dice, 2);
    snprintf(s->last, sizeof s->last, "a bit of a %s", of_chunk ? "chunk" : "manifest");
    yz_world_change(yz_world_member(s->t->w, "CN/GOV/HB"));
    yz_world_publish(s->t->w);
    l->what = of_chunk ? FETCH_CHUNK : FETCH_MANIFEST;
    l->spoils = true;
    wire_heartbeat(wire_of(s));
    await_alarm(s, alarms);
    town_settle(s->t);
    assert_int_equal(version_of_client(s), had);
    assert_int_equal(yzi_directory_version(s->t->adapters[0]->directory), had);
    expect_adopted(s);
}

/* Claims what it does not have: an older version, the same, or another chunk than asked for. */
static void trial_claimed_directory(struct trials *s)
{
    struct liar *l = s->own;
    struct world *w = s->t->w;
    uint64_t alarms = town_counters(s->t).alarms;
    bool older = dice_chance(&s->dice, 2);
    OK(yzi_buf_put(&l->saved, yzi_bytes_buf(&w->parts.manifest)));
    if (older) {
        yz_world_publish(w);
        l->what = 0;
        wire_heartbeat(wire_of(s));
        town_begin(s->t);
        while (version_of_client(s) < w->version) {
            town_wait(s->t);
        }
        town_settle(s->t);
    }
    snprintf(s->last, sizeof s->last, "%s served as newer", older ? "an older one" : "the same");
    l->what = FETCH_MANIFEST;
    wire_of(s)->claims = w->version + 1 + dice_below(&s->dice, 1000);
    wire_heartbeat(wire_of(s));
    await_alarm(s, alarms);
    assert_int_equal(version_of_client(s), w->version);
    tell_truth(s);
    yz_world_publish(w);
    expect_adopted(s);
}

static void trial_wrong_chunk(struct trials *s)
{
    struct liar *l = s->own;
    struct world *w = s->t->w;
    uint64_t had = version_of_client(s), alarms = town_counters(s->t).alarms;
    yz_world_change(yz_world_member(w, "CN/GOV/HB"));
    yz_world_publish(w);
    const yz_buf *chunk = &w->parts.chunks[0]; /* the root's, which did not change */
    OK(yzi_buf_put(&l->saved, yzi_bytes(chunk->p, 1 + dice_below(&s->dice, (uint32_t)chunk->n))));
    snprintf(s->last, sizeof s->last, "%zu bytes of another chunk", l->saved.n);
    l->what = FETCH_CHUNK;
    wire_heartbeat(wire_of(s));
    await_alarm(s, alarms);
    assert_int_equal(version_of_client(s), had);
    expect_adopted(s);
}

static void push(struct trials *s, enum fetch_what what, yz_bytes payload)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    struct object o = {.what = what, .found = true};
    OK(yzi_object_write(&o, payload, &out));
    wire_to_client(wire_of(s), yzi_bytes_buf(&out));
}

/* Two directories of one version, both signed by the operators. */
static void trial_forked_directory(struct trials *s)
{
    struct world *w = s->t->w;
    struct directory_parts fork = {0};
    yz_error err = {0};
    uint64_t had = version_of_client(s), alarms = town_counters(s->t).alarms;
    yz_bytes records[64];
    struct key_pair *operators[WORLD_KEYS];
    for (unsigned i = 0; i < WORLD_KEYS; i++) {
        operators[i] = &w->operators[i];
    }
    assert_true(w->records_n <= sizeof records / sizeof *records);
    for (size_t i = 0; i < w->records_n; i++) {
        records[i] = yzi_bytes_buf(&w->records[i]);
    }
    uint64_t at = yz_world_now(w) + 1 + dice_below(&s->dice, 10000);
    OK(yzi_directory_assemble(records, w->records_n, w->version, at, operators, 2, &fork, &err));
    snprintf(s->last, sizeof s->last, "a second version %llu", (unsigned long long)w->version);
    push(s, FETCH_MANIFEST, yzi_bytes_buf(&fork.manifest));
    await_alarm(s, alarms);
    assert_int_equal(version_of_client(s), had);
    yzi_directory_parts_fini(&fork);
    let_time_pass(s, MISTRUST_MS);
    expect_right(s);
}

/* -- freshness -- */

static void trial_spoilt_freshness(struct trials *s)
{
    struct world *w = s->t->w;
    YZ_AUTO(yzi_buf_fini) yz_buf now, lie_buf;
    yz_world_buf(&now);
    yz_world_buf(&lie_buf);
    uint64_t alarms = town_counters(s->t).alarms, time = yz_world_now(w);
    yz_world_put_freshness(w, time, &now);
    push(s, FETCH_FRESHNESS, yzi_bytes_buf(&now));
    town_begin(s->t);
    while (!yzi_bytes_eq(yzi_bytes_buf(&now), yzi_trust_freshness(s->t->trust))) {
        town_wait(s->t);
    }
    assert_int_equal(town_counters(s->t).alarms, alarms);
    struct key_pair fresh = {0}, real = w->freshness;
    switch (dice_below(&s->dice, 4)) {
    case 0:
        snprintf(s->last, sizeof s->last, "freshness that goes back");
        yz_world_put_freshness(w, time - 30001 - dice_below(&s->dice, 100000), &lie_buf);
        break;
    case 1:
        snprintf(s->last, sizeof s->last, "freshness from the future");
        yz_world_put_freshness(w, time + 30001 + dice_below(&s->dice, 100000), &lie_buf);
        break;
    case 2:
        snprintf(s->last, sizeof s->last, "freshness signed by another key");
        yz_world_new_key(KEY_FRESHNESS, &fresh);
        w->freshness = fresh;
        yz_world_put_freshness(w, time + 1 + dice_below(&s->dice, 100), &lie_buf);
        w->freshness = real;
        break;
    default:
        snprintf(s->last, sizeof s->last, "freshness with a bit flipped");
        yz_world_put_freshness(w, time + 1, &lie_buf);
        /* its instance, version, time, root, key or signature: what stands before them is no
         * record any more, which is seen as well */
        lie_buf.p[dice_below(&s->dice, (uint32_t)lie_buf.n)] ^=
            (uint8_t)(1u << dice_below(&s->dice, 8));
        break;
    }
    push(s, FETCH_FRESHNESS, yzi_bytes_buf(&lie_buf));
    await_alarm(s, alarms);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&now), yzi_trust_freshness(s->t->trust)));
    yzi_key_pair_fini(&fresh);
    let_time_pass(s, MISTRUST_MS);
    expect_right(s);
}

/* The adapter hands back the last request, which it could not judge now. */
static void expect_unable(struct trials *s)
{
    struct wire *w = wire_of(s);
    struct frame f;
    struct reject r;
    unsigned before = w->answers;
    town_begin(s->t);
    while (!s->t->adapters[0]->upstreams[0].up) {
        town_tick(s->t, 250);
    }
    OK(yzi_frame_parse(yzi_bytes_buf(&w->request), YZ_MESSAGE_MAX, &f));
    wire_forward(w, 0, &f);
    while (w->answers == before) {
        town_wait(s->t);
    }
    OK(yzi_frame_parse(yzi_bytes_buf(&w->answer), YZ_MESSAGE_MAX, &f));
    assert_int_equal(f.kind, FRAME_REJECT);
    OK(yzi_reject_parse(f.header, &r));
    assert_int_equal(r.status, OUTCOME_STALE_DIRECTORY);
}

/* It gave a silent broker up, and connects again, in steps that an attempt gets done in. */
static void await_client(struct trials *s)
{
    town_begin(s->t);
    while (!town_client_is_up(s->t)) {
        town_tick(s->t, 250);
    }
}

/* Nothing new for a day: no call is made by it, and no request answered. */
static void trial_frozen(struct trials *s)
{
    struct liar *l = s->own;
    expect_right(s);           /* a request, for later */
    l->what = FETCH_FRESHNESS; /* has none */
    uint64_t age = DAY_MS + 1 + dice_below(&s->dice, DAY_MS);
    snprintf(s->last, sizeof s->last, "frozen for %llu s", (unsigned long long)age / 1000);
    town_advance(s->t, age);
    await_client(s);
    expect_refusal(s, YZ_EEXPIRED);
    expect_unable(s);
    tell_truth(s);
    town_begin(s->t);
    while (yzi_trust_state(s->t->trust, NULL) == TRUST_EXPIRED ||
           yzi_trust_state(s->t->adapters[0]->trust, NULL) == TRUST_EXPIRED) {
        /* in steps that an attempt to connect gets done in */
        bool up = town_client_is_up(s->t) && s->t->adapters[0]->upstreams[0].up;
        town_tick(s->t, up ? 10000 : 250);
    }
    let_time_pass(s, 100); /* ten seconds are silence, too: who gives the broker up does it now */
    town_wait_ready(s->t);
    expect_right(s);
}

/* -- services -- */

/* Until the broker was put another one than it was. */
static void await_put(struct trials *s, const yz_buf *held, yz_bytes was)
{
    YZ_AUTO(yzi_buf_fini) yz_buf before;
    yz_world_buf(&before);
    OK(yzi_buf_put(&before, was));
    town_begin(s->t);
    while (yzi_bytes_eq(yzi_bytes_buf(held), yzi_bytes_buf(&before))) {
        town_tick(s->t, 250);
    }
}

static void trial_spoilt_service(struct trials *s)
{
    struct liar *l = s->own;
    snprintf(s->last, sizeof s->last, "a bit of an offer or announcement");
    let_time_pass(s, MISTRUST_MS);
    l->what = FETCH_SERVICE;
    l->spoils = true;
    expect_refusal(s, YZ_ESIGNATURE);
    tell_truth(s);
    expect_right(s);
}

static void resign(yz_bytes raw, struct key_pair *key, yz_buf *out)
{
    struct record r;
    OK(yzi_record_parse(raw, &r));
    enum key_use use = key->use;
    key->use = yzi_sign_rule_record(r.kind)->use;
    OK(yzi_record_sign(r.kind, r.body, &key, 1, out));
    key->use = use;
}

/* Offer or announcement under a signature that is not its owner's. */
static void trial_forged_service(struct trials *s)
{
    struct liar *l = s->own;
    struct world *w = s->t->w;
    struct wire *wire = wire_of(s);
    struct key_pair *const keys[] = {&yz_world_member(w, "CN/GOV/MCA")->key,
                                     &yz_world_member(w, "CN/GOV/HB")->owner,
                                     &yz_world_node(w, "CN/@b1")->signing,
                                     &yz_world_node(w, "CN/GOV/MCA/@a2")->signing,
                                     &w->operators[0],
                                     &w->roots[0]};
    struct key_pair *key = keys[dice_below(&s->dice, sizeof keys / sizeof *keys)];
    bool of_offer = dice_chance(&s->dice, 2);
    snprintf(s->last, sizeof s->last, "%s signed by a %s key", of_offer ? "offer" : "announcement",
             yzi_key_use_name(key->use));
    let_time_pass(s, MISTRUST_MS);
    l->what = FETCH_SERVICE;
    yz_bytes offer = yzi_bytes_buf(&wire->offer),
             announcement = yzi_bytes_buf(&wire->announcement[0]);
    if (of_offer) {
        resign(offer, key, &l->saved);
        OK(yzi_buf_put(&l->saved, announcement));
    } else {
        OK(yzi_buf_put(&l->saved, offer));
        resign(announcement, key, &l->saved);
    }
    expect_refusal(s, YZ_ESIGNATURE);
    tell_truth(s);
    expect_right(s);
}

/* The owner's last offer but one, after the last was seen. */
static void trial_old_offer(struct trials *s)
{
    struct liar *l = s->own;
    struct wire *wire = wire_of(s);
    OK(yzi_buf_put(&l->saved, yzi_bytes_buf(&wire->offer)));
    town_new_policy(s->t);
    await_put(s, &wire->offer, yzi_bytes_buf(&l->saved));
    let_time_pass(s, MISTRUST_MS);
    expect_right(s);
    let_time_pass(s, MISTRUST_MS);
    snprintf(s->last, sizeof s->last, "offer %llu after %llu",
             (unsigned long long)s->t->policy_version - 1,
             (unsigned long long)s->t->policy_version);
    OK(yzi_buf_put(&l->saved, yzi_bytes_buf(&wire->announcement[0])));
    l->what = FETCH_SERVICE;
    expect_refusal(s, YZ_ESIGNATURE);
    tell_truth(s);
    expect_right(s);
}

/* What the adapter announced before its restart: whoever saw the new one does not go back to it;
 * who did not is told by the adapter, signed, and seals anew. Either way the answer comes. */
static void trial_old_announcement(struct trials *s)
{
    struct liar *l = s->own;
    struct wire *wire = wire_of(s);
    bool saw = dice_chance(&s->dice, 2);
    struct engine_counters before = town_counters(s->t);
    OK(yzi_buf_put(&l->saved, yzi_bytes_buf(&wire->offer)));
    OK(yzi_buf_put(&l->saved, yzi_bytes_buf(&wire->announcement[0])));
    yz_bytes announced = yzi_bytes(l->saved.p + wire->offer.n, wire->announcement[0].n);
    yzi_manual_clock_advance(&s->t->w->clock, 1 + dice_below(&s->dice, 1000));
    town_stop_adapter(s->t, 0);
    town_start_adapter(s->t, 0);
    town_wait_ready(s->t);
    await_put(s, &wire->announcement[0], announced);
    let_time_pass(s, MISTRUST_MS);
    if (saw) {
        expect_right(s);
        let_time_pass(s, MISTRUST_MS);
    }
    snprintf(s->last, sizeof s->last, "an old announcement, %s", saw ? "after the new" : "first");
    l->what = FETCH_SERVICE;
    expect_right(s);
    assert_int_equal(town_counters(s->t).resealed, before.resealed + !saw);
    tell_truth(s);
}

/* An announcement whose time is over: nobody is asked by it. */
static void trial_expired_announcement(struct trials *s)
{
    struct liar *l = s->own;
    struct wire *wire = wire_of(s);
    OK(yzi_buf_put(&l->saved, yzi_bytes_buf(&wire->offer)));
    OK(yzi_buf_put(&l->saved, yzi_bytes_buf(&wire->announcement[0])));
    town_advance(s->t, DAY_MS + 60000 + dice_below(&s->dice, 1000000));
    town_wait_ready(s->t);
    await_put(s, &wire->announcement[0],
              yzi_bytes(l->saved.p + wire->offer.n, wire->announcement[0].n));
    let_time_pass(s, MISTRUST_MS);
    l->what = FETCH_SERVICE;
    snprintf(s->last, sizeof s->last, "an announcement of yesterday");
    expect_refusal(s, YZ_ESIGNATURE);
    tell_truth(s);
    let_time_pass(s, MISTRUST_MS);
    expect_right(s);
}

static const struct trial_class classes[] = {
    {"spoilt-directory", 200, set_up_lies, trial_spoilt_directory, tear_down_lies, NULL},
    {"claimed-directory", 200, set_up_lies, trial_claimed_directory, tear_down_lies, NULL},
    {"wrong-chunk", 200, set_up_lies, trial_wrong_chunk, tear_down_lies, NULL},
    {"forked-directory", 200, set_up_lies, trial_forked_directory, tear_down_lies, NULL},
    {"spoilt-freshness", 200, set_up_lies, trial_spoilt_freshness, tear_down_lies, NULL},
    {"frozen", 200, set_up_lies, trial_frozen, tear_down_lies, NULL},
    {"spoilt-service", 200, set_up_lies, trial_spoilt_service, tear_down_lies, NULL},
    {"forged-service", 200, set_up_lies, trial_forged_service, tear_down_lies, NULL},
    {"old-offer", 200, set_up_lies, trial_old_offer, tear_down_lies, NULL},
    {"old-announcement", 200, set_up_lies, trial_old_announcement, tear_down_lies, NULL},
    {"expired-announcement", 200, set_up_lies, trial_expired_announcement, tear_down_lies, NULL},
};

int main(int argc, char **argv)
{
    return classes_run(argc, argv, classes, sizeof classes / sizeof *classes);
}
