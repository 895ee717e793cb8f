/* SPDX-License-Identifier: Apache-2.0
 *
 * The siege behind siege.h.
 */
#include "tests/hostile/siege.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define PARK_MS 1001u

static const char *const counter_names[] = {
#define NAME(name, text, help) #name,
    BROKER_COUNTERS(NAME)
#undef NAME
};
#define COUNTERS (sizeof counter_names / sizeof counter_names[0])

int siege_set_up(void **state)
{
    void *rig;
    struct siege *s;
    OK(yzi_alloc(1, sizeof *s, &s));
    rig_set_up(&rig);
    s->r = rig;
    s->r->config.limits.remembered = 200000;
    rig_stop(s->r);
    rig_start(s->r);
    rig_offer(s->r, 1);
    s->w1 = rig_join(s->r, "CN/GOV/HB/@w1");
    s->w2 = rig_join(s->r, "CN/GOV/HB/@w2");
    s->a1 = rig_join(s->r, "CN/GOV/MCA/@a1");
    s->model = (struct model){.w = s->r->w,
                              .peer = "CN/GOV/HB/@w1",
                              .self = "CN/@b1",
                              .adapter = "CN/GOV/MCA/@a1",
                              .version = s->r->w->version};
    *state = s;
    return 0;
}

int siege_tear_down(void **state)
{
    struct siege *s = *state;
    void *rig = s->r;
    print_message("%lu thrown, %lu of them accepted; the last: %s\n", s->tries, s->accepted,
                  s->last);
    rig_tear_down(&rig);
    free(s);
    return 0;
}

/* -- before and after -- */

void siege_look(const struct siege *s, struct broker_state *out)
{
    const struct broker *b = s->r->b;
    const struct metrics *m = &b->metrics;
    const uint64_t counters[] = {
#define VALUE(name, text, help) yzi_metric_get(&m->name),
        BROKER_COUNTERS(VALUE)
#undef VALUE
    };
    *out = (struct broker_state){.replay = yzi_replay_count(b->replay),
                                 .exchanges = yzi_exchanges_count(&b->exchanges),
                                 .bytes = b->exchanges.bytes,
                                 .offers = yzi_offers_count(b->offers)};
    memcpy(out->counters, counters, sizeof counters);
    for (unsigned i = 0; i < METRIC_OUTCOMES; i++) {
        out->outcomes[i] = yzi_metric_get(&m->outcomes[i]);
    }
}

static bool is_named(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list; (p = strstr(p, name)) != NULL; p += n) {
        if ((p == list || p[-1] == ' ') && (p[n] == 0 || p[n] == ' ')) {
            return true;
        }
    }
    return false;
}

/* How much is logged, remembered of roots, told of handshakes, or committed together has to do with
 * time. */
static bool is_of_no_account(const char *name)
{
    return is_named("lines_left_out root_hits handshakes handshakes_refused", name) ||
           strncmp(name, "evidence_", strlen("evidence_")) == 0;
}

uint64_t siege_counter(const struct broker_state *b, const char *name)
{
    for (size_t i = 0; i < COUNTERS; i++) {
        if (strcmp(counter_names[i], name) == 0) {
            return b->counters[i];
        }
    }
    fail_msg("there is no counter %s", name);
    return 0;
}

void siege_compare(const struct siege *s, const struct broker_state *before, const char *grown,
                   enum outcome_status outcome, const char *what)
{
    struct broker_state now;
    siege_look(s, &now);
    for (size_t i = 0; i < COUNTERS; i++) {
        uint64_t want = before->counters[i] + is_named(grown, counter_names[i]);
        if (now.counters[i] != want && !is_of_no_account(counter_names[i])) {
            fail_msg("%s: %s went from %llu to %llu", what, counter_names[i],
                     (unsigned long long)before->counters[i], (unsigned long long)now.counters[i]);
        }
    }
    for (unsigned i = 0; i < METRIC_OUTCOMES; i++) {
        if (now.outcomes[i] != before->outcomes[i] + (outcome && i == (unsigned)outcome)) {
            fail_msg("%s: outcomes of status %u went from %llu to %llu", what, i,
                     (unsigned long long)before->outcomes[i], (unsigned long long)now.outcomes[i]);
        }
    }
    bool some_ran_out = s->time_passed && now.replay < before->replay;
    if ((now.replay != before->replay && !some_ran_out) || now.exchanges != before->exchanges ||
        now.bytes != before->bytes || now.offers != before->offers) {
        fail_msg("%s: ids %zu, exchanges %zu, bytes %zu, offers %zu; were %zu, %zu, %zu, %zu", what,
                 now.replay, now.exchanges, now.bytes, now.offers, before->replay,
                 before->exchanges, before->bytes, before->offers);
    }
}

/* -- messages -- */

struct checkpoint_ref siege_checkpoint(void)
{
    static const uint8_t signature[64] = {9};
    return (struct checkpoint_ref){.present = true,
                                   .log = WORLD_TIME,
                                   .size = 1,
                                   .root = {{7}},
                                   .signature = yzi_bytes(signature, sizeof signature)};
}

static void fill_all(struct request_header *h, void *ctx)
{
    static const uint8_t trace[YZ_TRACE_BYTES] = {1, 2, 3};
    (void)ctx;
    h->trace = yzi_bytes(trace, sizeof trace);
    h->brokers[0].checkpoint = siege_checkpoint();
}

struct world_message siege_request(struct siege *s)
{
    return make_request(s->r, &(struct world_request){.purpose = "marriage", .spoil = fill_all});
}

void siege_message(yz_bytes header, const yz_bytes *block, struct key_pair *key, yz_bytes payload,
                   struct world_message *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf signature;
    yz_world_buf(&signature);
    *out = (struct world_message){0};
    if (block) {
        OK(yzi_buf_put(&signature, *block));
    } else {
        OK(yzi_sign_message(key, FRAME_REQUEST, header, &signature));
    }
    yz_world_buf(&out->raw);
    OK(yzi_frame_write(FRAME_REQUEST, header, yzi_bytes_buf(&signature), payload, (yz_bytes){0},
                       &out->raw));
    OK(yzi_frame_parse(yzi_bytes_buf(&out->raw), YZ_MESSAGE_MAX, &out->frame));
    yzi_frame_digest(out->frame.header, out->frame.block, &out->digest);
}

/* -- throwing -- */

/* The broker waits a second for the directory that is claimed. Everybody stays awake meanwhile. */
static void wait_parked(struct siege *s)
{
    assert_true(puppet_is_heard(s->w1));
    rig_advance(s->r, PARK_MS);
    s->time_passed = true;
    struct puppet *all[] = {s->w1, s->w2, s->a1};
    for (unsigned i = 0; i < 3; i++) {
        puppet_heartbeat(all[i], s->r->w->version);
    }
}

static bool has_mail(const struct puppet *p)
{
    return p->inbox_read < p->inbox_n;
}

/* Is there an outcome among what has come? Other things come, too, and whoever waited for an
 * outcome then would wait in vain. */
static bool has_outcome(const struct puppet *p)
{
    struct frame f;
    for (size_t i = p->inbox_read; i < p->inbox_n; i++) {
        if (yzi_frame_parse(p->inbox[i].bytes, YZ_MESSAGE_MAX, &f) == YZ_OK &&
            f.kind == FRAME_OUTCOME) {
            return true;
        }
    }
    return false;
}

/* The adapter has been given something, or else the client was told why not. */
static void see_forwarded(struct siege *s)
{
    struct outcome_header h;
    while (!has_mail(s->a1)) {
        rig_wait(s->r);
        if (!has_mail(s->a1) && has_outcome(s->w1) &&
            yzi_outcome_header_parse(puppet_expect(s->w1, FRAME_OUTCOME)->header, &h) == YZ_OK) {
            fail_msg("%s %.*s, and no request", yzi_outcome_status_name(h.status), (int)h.reason.n,
                     (const char *)h.reason.p);
        }
    }
}

/* An accepted request takes its id, and goes to the adapter as it is. */
static void see_accepted(struct siege *s, const struct world_message *m)
{
    s->accepted++;
    see_forwarded(s);
    (void)puppet_expect_request(s->a1, m);
    puppet_reject(s->a1, m, OUTCOME_DENIED);
    puppet_expect_outcome(s->w1, m, OUTCOME_UNAVAILABLE, "adapter-refused");
}

static void see_what_came(struct siege *s, const struct world_message *m, const struct expected *e)
{
    if (e->silent) {
        assert_int_equal(puppet_count(s->w1, FRAME_OUTCOME), 0);
    } else if (e->status == 0) {
        see_accepted(s, m);
    } else {
        puppet_expect_outcome(s->w1, m, e->status, e->reason);
    }
}

void siege_throw(struct siege *s, const struct world_message *m, const struct expected *e,
                 const char *what)
{
    struct broker_state before;
    char words[128];
    expected_text(e, words, sizeof words);
    snprintf(s->last, sizeof s->last, "%.160s; expected: %.100s", what, words);
    s->tries++;
    siege_look(s, &before);
    puppet_send(s->w1, yzi_bytes_buf(&m->raw));
    if (e->waits) {
        wait_parked(s);
        see_what_came(s, m, e);
        return; /* time passed: other things happened, too */
    }
    see_what_came(s, m, e);
    bool accepted = e->status == 0 && !e->silent;
    before.replay += e->takes_id;
    siege_compare(s, &before, accepted ? "requests forwarded" : "requests",
                  accepted    ? OUTCOME_UNAVAILABLE
                  : e->silent ? 0
                              : e->status,
                  s->last);
}

void siege_honest(struct siege *s, const struct world_message *m)
{
    struct world_message answer;
    struct broker_state before;
    siege_look(s, &before);
    puppet_send(s->w1, yzi_bytes_buf(&m->raw));
    (void)puppet_expect_request(s->a1, m);
    puppet_answer(s->a1, m, &answer);
    puppet_expect_response(s->w1, &answer);
    before.replay++;
    siege_compare(s, &before, "requests forwarded responses", 0, "an honest exchange");
    yz_world_message_fini(&answer);
}
