/* SPDX-License-Identifier: Apache-2.0
 *
 * More than the broker can take: several client nodes, of which each sends messages that were
 * sealed and signed before the time is taken. First a number of them is kept in flight (the peak is
 * the best of four such), then they leave at a multiple of the rate that gave, whatever becomes of
 * those before. What arrives at the consumers then, beside the peak, is the goodput. Frames that
 * arrive are counted by kind; a sample of them is verified and opened afterwards, because verifying
 * each would cost the senders more than the broker, with which they share a machine here. What a
 * sender's own queue has no room for, because TCP pushes back, is turned away there (`held_back`):
 * the library tells its caller so.
 *
 * Beside them the last node, an honest one, has one call under way at a time: how long that takes
 * (`honest`) is what others feel of the flood. After the flood the best number in flight has a
 * second turn (`after`): how far it is from its first is what the machine does to all of these
 * figures.
 *
 * What the senders take of that machine the broker and the adapter lack in the flood, so the
 * goodput is a lower bound. What the broker itself is to blame for shows in its processor time:
 * what an answer costs at the peak and a refusal in the flood, for the whole of it and for its
 * front, the one thread that limits it where there are processors enough (`compare`).
 *
 *     bench_flood SECONDS IN_FLIGHT FACTOR SERVICE KEY[,KEY...] BROKER_PID CLIENT.YAML... HONEST
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "client/config.h"
#include "client/seal.h"
#include "keys/trust.h"
#include "net/session.h"
#include "tests/bench/bench.h"

#define NODES_MAX 16u
#define KINDS_MAX 32u
#define SAMPLES_MAX 256u
#define SAMPLE_EVERY 64u
#define MADE_MAX 400000u
#define LIFE_MS 60000u
#define READY_S 20.0
#define WARM_UP_S 1.0 /* for queues to fill, before anything is counted */
#define DRAIN_S                                                                                    \
    40.0          /* for what is still under way; the broker times nothing out before LIFE_MS      \
                   */
#define BURST 64u /* sent before the sessions are looked at again */
#define PEAK_GUESS 3000.0
#define HONEST_RATE 600.0 /* more than come through one at a time */
#define NS 1e9

struct node {
    struct client_config config;
    struct key_pair signing, transport;
    struct session *session;
    struct sealer *sealer;
    struct envelope *made;
    size_t made_n, sent;
};

struct tally {
    uint64_t sent, held_back, answered, good, ended; /* good: answered within the window */
    struct {
        char name[96];
        uint64_t n;
    } kinds[KINDS_MAX];
    struct message samples[SAMPLES_MAX];
    size_t samples_n;
    double right;
};

static struct node nodes[NODES_MAX + 1]; /* the one behind them is the honest one */
static unsigned nodes_n;
static uint64_t honest_asked; /* 0: nothing is under way */
static struct bench_samples honest_took;
static uint64_t honest_refused;
static struct net *net;
static struct trust *trust;
static struct services services;
static struct service *service;
static struct ask question;
static struct tally tally;
static uint64_t window_from, window_to;
static pid_t broker;
static long rss_most;

/* What the broker spent in a phase, in seconds, and on how much. */
struct spent {
    double broker, front;
    uint64_t answers, refusals;
};

static double now_s(void)
{
    return (double)bench_now_ns() / NS;
}

/* -- what comes in -- */

static void count(const char *name)
{
    for (size_t i = 0; i < KINDS_MAX; i++) {
        if (!tally.kinds[i].n) {
            snprintf(tally.kinds[i].name, sizeof tally.kinds[i].name, "%s", name);
        }
        if (strcmp(tally.kinds[i].name, name) == 0) {
            tally.kinds[i].n++;
            return;
        }
    }
}

static void count_outcome(const struct frame *f)
{
    struct outcome_header h;
    char name[96] = "an outcome that does not parse";
    if (yzi_outcome_header_parse(f->header, &h) == YZ_OK) {
        yz_bytes why = h.rule.n ? h.rule : h.reason;
        snprintf(name, sizeof name, "%s %.*s", yzi_outcome_status_name(h.status), (int)why.n,
                 why.n ? (const char *)why.p : "");
    }
    count(name);
}

static struct node *honest(void)
{
    return &nodes[nodes_n];
}

/* Its answers are part of what comes through. */
static void on_honest_frame(const struct frame *f, uint64_t now)
{
    if (f->kind != FRAME_RESPONSE && f->kind != FRAME_OUTCOME) {
        return;
    }
    bool in_time = now >= window_from && now < window_to;
    if (f->kind == FRAME_RESPONSE && in_time) {
        tally.good++;
        bench_add(&honest_took, now - honest_asked);
    }
    honest_refused += f->kind == FRAME_OUTCOME;
    honest_asked = 0;
}

static void on_frame(void *ctx, struct session *s, const struct frame *f, struct message *m)
{
    (void)s;
    uint64_t now = bench_now_ns();
    if (ctx == honest()) {
        on_honest_frame(f, now);
        return;
    }
    if (f->kind == FRAME_RESPONSE) {
        tally.answered++;
        tally.good += now >= window_from && now < window_to;
        count("answered");
    } else if (f->kind == FRAME_OUTCOME) {
        count_outcome(f);
    } else {
        return;
    }
    if (tally.ended++ % SAMPLE_EVERY == 0 && tally.samples_n < SAMPLES_MAX) {
        yzi_message_move(&tally.samples[tally.samples_n++], m);
    }
}

static void on_object(void *ctx, struct session *s, const struct object *o, yz_bytes payload)
{
    (void)ctx;
    (void)s;
    YZ_AUTO(yzi_directory_unref_ptr) const struct directory *d = yzi_trust_directory(trust);
    struct judge judge = {d, yzi_wall_ms(&yzi_clock_system), YZ_SKEW_MS};
    yz_error err = {0};
    if (o->what == FETCH_SERVICE && o->found &&
        yzi_service_load(service, payload, &judge, yzi_mono_ms(&yzi_clock_system), &err) < 0) {
        fprintf(stderr, "bench_flood: the service: %s\n", err.text);
    }
}

static void on_nothing(void *ctx, struct session *s)
{
    (void)ctx;
    (void)s;
}

static void on_up(void *ctx, struct session *s, const struct welcome *w)
{
    (void)w;
    on_nothing(ctx, s);
}

static void on_down(void *ctx, struct session *s, const char *reason)
{
    fprintf(stderr, "bench_flood: down: %s\n", reason);
    on_nothing(ctx, s);
}

static void on_alarm(void *ctx, struct session *s, const yz_error *err)
{
    fprintf(stderr, "bench_flood: alarm: %s\n", err->text);
    on_nothing(ctx, s);
}

static void look(bool wait)
{
    struct poll_entry entries[(NODES_MAX + 1) * LINK_POLL_ENTRIES];
    for (unsigned i = 0; i <= nodes_n; i++) {
        yzi_session_poll_entries(nodes[i].session, entries + (size_t)i * LINK_POLL_ENTRIES);
    }
    if (wait && yzi_poll(entries, (size_t)(nodes_n + 1) * LINK_POLL_ENTRIES, 1) < 0) {
        bench_die("poll");
    }
    for (unsigned i = 0; i <= nodes_n; i++) {
        if (yzi_session_step(nodes[i].session, NULL) < 0) {
            bench_die("session");
        }
    }
}

/* -- getting ready -- */

static void check(int rc, const char *what, const yz_error *err)
{
    if (rc < 0) {
        fprintf(stderr, "bench_flood: %s: %s %s\n", what, yz_err_name(rc), err ? err->text : "");
        exit(1);
    }
}

static void open_trust(const struct client_config *c)
{
    yz_error err = {0};
    char *dir = NULL;
    check(yzi_path_join(c->home, "bench-state", &dir), "home", NULL);
    struct trust_options o = {
        .anchor = c->anchor, .dir = dir, .clock = &yzi_clock_system, .stop_ms = c->directory.stop};
    check(yzi_trust_open(&o, &trust, &err), "trust", &err);
    free(dir);
}

static void open_node(struct node *n, const char *path)
{
    yz_error err = {0};
    check(yzi_client_config_load(path, &n->config, &err), path, &err);
    const struct client_config *c = &n->config;
    check(yzi_keyfile_load_held(c->home, "signing", KEY_SIGNING, &n->signing, &err), path, &err);
    check(yzi_keyfile_load_held(c->home, "transport", KEY_TRANSPORT, &n->transport, &err), path,
          &err);
    if (!trust) {
        open_trust(c);
    }
    struct sealer_options so = {.node = c->node_id,
                                .subsystem = c->subsystem_id,
                                .brokers = {c->peers[0].node},
                                .brokers_n = 1,
                                .signing = &n->signing,
                                .clock = &yzi_clock_system,
                                .message_max = c->message};
    check(yzi_sealer_new(&so, &n->sealer), "sealer", NULL);
    struct session_options o = {.link = {.net = net,
                                         .endpoint = c->peers[0].endpoint,
                                         .transport = &n->transport,
                                         .clock = &yzi_clock_system,
                                         .message_max = c->message},
                                .node = c->node_id,
                                .role = ROLE_CLIENT,
                                .broker = c->peers[0].node,
                                .trust = trust,
                                .handler = {.ctx = n,
                                            .up = on_up,
                                            .down = on_down,
                                            .frame = on_frame,
                                            .object = on_object,
                                            .alarm = on_alarm}};
    memcpy(o.link.server_key, c->peers[0].key, sizeof o.link.server_key);
    check(yzi_session_new(&o, &n->session, &err), "session", &err);
}

static bool is_ready(void)
{
    bool up = yzi_trust_state(trust, NULL) == TRUST_FRESH;
    for (unsigned i = 0; i <= nodes_n; i++) {
        up = up && yzi_session_is_up(nodes[i].session);
    }
    return up;
}

static void get_ready(const char *name)
{
    uint32_t token = 0;
    yz_service_id id;
    check(yzi_service_id_parse(yzi_bytes_str(name), &id), "service", NULL);
    check(yzi_services_get(&services, id, &service), "service", NULL);
    double end = now_s() + READY_S;
    while (!service->offer && now_s() < end) {
        if (!token && is_ready()) {
            check(yzi_session_fetch(nodes[0].session, FETCH_SERVICE, id.v, &token), "fetch", NULL);
        }
        look(true);
    }
    if (!service->offer) {
        bench_die("not ready");
    }
}

static void make_question(const char *name, const char *keys)
{
    yz_request *r = NULL;
    yz_error err = {0};
    char *text = strdup(keys), *at = text, *key;
    check(text ? yz_request_new(name, &r) : YZ_ENOMEM, "request", NULL);
    while ((key = strsep(&at, ",")) != NULL) {
        const char *part = key;
        check(yz_request_add_key(r, &part, 1), "key", NULL);
    }
    check(yzi_ask_make(r, &question, &err), "request", &err);
    yz_request_free(r);
    free(text);
}

static void forget_made(struct node *n)
{
    for (size_t i = 0; i < n->made_n; i++) {
        yzi_envelope_fini(n->sealer, &n->made[i]);
    }
    free(n->made);
    n->made = NULL;
    n->made_n = n->sent = 0;
}

static void make_of(struct node *n, size_t wanted)
{
    YZ_AUTO(yzi_directory_unref_ptr) const struct directory *d = yzi_trust_directory(trust);
    forget_made(n);
    check(yzi_alloc(wanted, sizeof *n->made, &n->made), "memory", NULL);
    for (; n->made_n < wanted; n->made_n++) {
        yz_uuid conversation = {{0}};
        check(yzi_envelope_make(n->sealer, &question, service, yzi_directory_version(d), LIFE_MS,
                                &conversation, &n->made[n->made_n]),
              "a message", NULL);
        if (n->made_n % BURST == 0) {
            look(false);
        }
    }
}

/* So many messages in all, by all nodes, and for so long those of the honest one. */
static void make(double wanted, double seconds)
{
    size_t each = (size_t)(wanted < MADE_MAX ? wanted : MADE_MAX) / nodes_n + 1;
    for (unsigned i = 0; i < nodes_n; i++) {
        make_of(&nodes[i], each);
    }
    make_of(honest(), (size_t)(HONEST_RATE * seconds) + 1);
}

/* -- sending -- */

/* The next message, of the node whose turn it is. False: none is left, or there is no room now. */
static bool send_one(struct node *n)
{
    if (n->sent == n->made_n ||
        yzi_session_send(n->session, yzi_bytes_buf(&n->made[n->sent].frame)) < 0) {
        return false;
    }
    n->sent++;
    return true;
}

static void ask_honestly(void)
{
    uint64_t now = bench_now_ns();
    if (!honest_asked && send_one(honest())) {
        honest_asked = now;
    }
}

static uint64_t tried(void)
{
    return tally.sent + tally.held_back;
}

/* What cannot be sent when it is due is not sent later: each node's share is due whatever became of
 * what was before. */
static void send_some(uint64_t due)
{
    for (unsigned i = 0; i < BURST && tried() < due; i++) {
        if (send_one(&nodes[tried() % nodes_n])) {
            tally.sent++;
        } else {
            tally.held_back++;
        }
    }
}

static void begin_tally(void)
{
    for (size_t i = 0; i < tally.samples_n; i++) {
        yzi_message_fini(&tally.samples[i]);
    }
    tally = (struct tally){0};
}

/* -- judging a sample -- */

static const struct envelope *envelope_of(const yz_uuid *id, struct node **out)
{
    for (unsigned i = 0; i < nodes_n; i++) {
        for (size_t k = 0; k < nodes[i].sent; k++) {
            if (yzi_uuid_eq(&nodes[i].made[k].header.message_id, id)) {
                *out = &nodes[i];
                return &nodes[i].made[k];
            }
        }
    }
    return NULL;
}

static bool response_is_right(const struct judge *j, const struct frame *f)
{
    struct response_header h;
    struct node *n = NULL;
    const struct envelope *e =
        yzi_response_header_parse(f->header, &h) == YZ_OK ? envelope_of(&h.message_id, &n) : NULL;
    struct root_memory memory = {0};
    struct verified_response v;
    struct plain plain;
    yz_error err = {0};
    YZ_AUTO(yzi_buf_wipe) yz_buf text;
    yzi_buf_init(&text, YZ_PLAIN_MAX);
    return e && yzi_response_verify(j, &memory, f, &e->header, &e->digest, NULL, &v) == YZ_OK &&
           yzi_envelope_open(n->sealer, e, &v.header, f->payload, &text, &plain, &err) == YZ_OK;
}

static bool outcome_is_right(const struct judge *j, const struct frame *f)
{
    struct outcome_header h;
    struct node *n = NULL;
    const struct envelope *e =
        yzi_outcome_header_parse(f->header, &h) == YZ_OK ? envelope_of(&h.message_id, &n) : NULL;
    struct verified_outcome v;
    return e && yzi_outcome_verify(j, f, &e->header, &e->digest, &v) == YZ_OK;
}

/* The part of the sample that is a genuine answer, or refusal, to what was asked. */
static double judge_sample(void)
{
    size_t right = 0;
    YZ_AUTO(yzi_directory_unref_ptr) const struct directory *d = yzi_trust_directory(trust);
    struct judge judge = {d, yzi_wall_ms(&yzi_clock_system), YZ_SKEW_MS};
    for (size_t i = 0; i < tally.samples_n; i++) {
        struct frame f;
        if (yzi_frame_parse(tally.samples[i].bytes, YZ_MESSAGE_MAX, &f) == YZ_OK) {
            right += f.kind == FRAME_RESPONSE ? response_is_right(&judge, &f)
                                              : outcome_is_right(&judge, &f);
        }
    }
    return tally.samples_n ? (double)right / (double)tally.samples_n : 0;
}

/* -- a phase -- */

static void emit(const char *phase, const char *name, double value, const char *unit)
{
    char full[160];
    snprintf(full, sizeof full, "%s.%s", phase, name);
    bench_emit(full, value, unit);
}

/* in_flight > 0: closed loop; else open loop, `rate` a second. Until it is over, or nothing is left
 * to be sent. */
static void drive(double from, double to, unsigned in_flight, double rate)
{
    size_t all = 0;
    for (unsigned i = 0; i < nodes_n; i++) {
        all += nodes[i].made_n;
    }
    for (double now = from; now < to && tally.sent + nodes_n <= all; now = now_s()) {
        uint64_t due =
            in_flight ? tally.ended + tally.held_back + in_flight : (uint64_t)((now - from) * rate);
        send_some(due);
        ask_honestly();
        look(tried() >= due);
        long rss = bench_rss_kib(broker);
        rss_most = rss > rss_most ? rss : rss_most;
    }
}

static struct spent spent_now(void)
{
    return (struct spent){.broker = (double)bench_cpu_ns(broker) / NS,
                          .front = (double)bench_main_cpu_ns(broker) / NS,
                          .answers = tally.answered,
                          .refusals = tally.ended - tally.answered};
}

static struct spent since(struct spent before)
{
    struct spent s = spent_now();
    return (struct spent){s.broker - before.broker, s.front - before.front,
                          s.answers - before.answers, s.refusals - before.refusals};
}

/* Returns the answers a second that arrived. */
static double run(const char *phase, double seconds, unsigned in_flight, double rate,
                  struct spent *out)
{
    begin_tally();
    bench_free(&honest_took);
    honest_refused = 0;
    rss_most = 0;
    double from = now_s(), to = from + WARM_UP_S + seconds;
    window_from = (uint64_t)((from + WARM_UP_S) * NS);
    window_to = (uint64_t)(to * NS);
    struct spent before = spent_now();
    uint64_t own = bench_cpu_ns(getpid());
    drive(from, to, in_flight, rate);
    double ended = now_s(), took = ended - from;
    struct spent in_time = since(before);
    double waits = (double)(tally.sent - tally.ended) * took / (double)tally.ended;
    double window = (ended < to ? ended : to) - from - WARM_UP_S;
    uint64_t sent = tally.sent;
    emit(phase, "broker_cpu", in_time.broker / took, "processors");
    emit(phase, "front_cpu", in_time.front / took, "processors");
    emit(phase, "senders_cpu", (double)(bench_cpu_ns(getpid()) - own) / NS / took, "processors");
    double good = window > 0 ? (double)tally.good / window : 0;
    for (double end = ended + DRAIN_S; (tally.ended < sent || honest_asked) && now_s() < end;) {
        look(true);
    }
    *out = since(before); /* now that all of it has arrived */
    emit(phase, "sent", (double)sent / took, "requests/s");
    emit(phase, "held_back", (double)tally.held_back / took, "requests/s");
    emit(phase, "waits", waits,
         "s until one sent at the end has its turn, sender's queue included");
    emit(phase, "unanswered", (double)(sent - tally.ended), "requests");
    emit(phase, "sample_right", judge_sample(), "of the sample, verified and opened");
    emit(phase, "broker_rss", (double)rss_most / 1024.0, "MiB at most");
    for (size_t k = 0; k < KINDS_MAX && tally.kinds[k].n; k++) {
        char name[120];
        snprintf(name, sizeof name, "ended: %s", tally.kinds[k].name);
        emit(phase, name, (double)tally.kinds[k].n, "requests");
    }
    emit(phase, "honest.p50", bench_percentile_us(&honest_took, 50) / 1e3, "ms");
    emit(phase, "honest.p99", bench_percentile_us(&honest_took, 99) / 1e3, "ms");
    emit(phase, "honest.refused", (double)honest_refused, "requests");
    emit(phase, "honest.unanswered", honest_asked != 0, "requests");
    emit(phase, "rate", good, "answers/s");
    return good;
}

struct peak {
    double rate;
    unsigned in_flight;
    struct spent spent;
};

static double keep_in_flight(const char *phase, double guess, double seconds, unsigned in_flight,
                             struct spent *out)
{
    make((guess > PEAK_GUESS ? guess : PEAK_GUESS) * (seconds + WARM_UP_S), seconds + WARM_UP_S);
    return run(phase, seconds, in_flight, 0, out);
}

/* The most that comes through, with so many in flight, a quarter, four and 15 times as many. */
static struct peak find_peak(double seconds, unsigned in_flight)
{
    const unsigned tried[] = {in_flight / 4 ? in_flight / 4 : 1, in_flight, in_flight * 4,
                              in_flight * 15}; /* the default of in_flight_per_service nearly */
    struct peak best = {0};
    for (size_t i = 0; i < sizeof tried / sizeof tried[0]; i++) {
        char phase[32];
        snprintf(phase, sizeof phase, "peak.%u", tried[i]);
        struct peak now = {.in_flight = tried[i]};
        now.rate = keep_in_flight(phase, 2 * best.rate, seconds, tried[i], &now.spent);
        best = now.rate > best.rate ? now : best;
    }
    bench_emit("peak.best", best.rate, "answers/s");
    return best;
}

/* The broker's part: what an answer costs at the peak and a refusal in the flood, and what part of
 * its answers are left at `factor` times what it can answer, where processor time is what it lacks
 * and nobody shares it. */
static void compare(const struct spent *peak, const struct spent *flood, double factor)
{
    const struct {
        const char *what;
        double peak, flood;
    } times[] = {{"broker", peak->broker, flood->broker}, {"front", peak->front, flood->front}};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        if (!peak->answers || !flood->answers || !flood->refusals) {
            return;
        }
        double answer = times[i].peak / (double)peak->answers;
        double rest = times[i].flood - answer * (double)flood->answers;
        double refusal = rest / (double)flood->refusals;
        emit(times[i].what, "answer", answer * 1e6, "us of processor time at the peak");
        emit(times[i].what, "refusal", refusal * 1e6, "us of processor time");
        emit(times[i].what, "yield", answer * (double)flood->answers / times[i].flood,
             "of the peak's answers for its processor time");
        emit(times[i].what, "yield_at_factor", answer / (answer + (factor - 1) * refusal),
             "the same if all that is offered were taken in");
    }
    emit("flood", "refusals_per_answer", (double)flood->refusals / (double)flood->answers, "");
}

int main(int argc, char **argv)
{
    if (argc < 9 || (unsigned)(argc - 8) > NODES_MAX) {
        fputs("usage: bench_flood SECONDS IN_FLIGHT FACTOR SERVICE KEY[,KEY...] BROKER_PID "
              "CLIENT.YAML... HONEST\n",
              stderr);
        return 2;
    }
    double seconds = atof(argv[1]), factor = atof(argv[3]);
    unsigned in_flight = (unsigned)atoi(argv[2]);
    broker = atoi(argv[6]);
    yzi_secret_require_lock(false);
    check(yzi_net_new(1, &net), "net", NULL);
    nodes_n = (unsigned)(argc - 8);
    for (unsigned i = 0; i <= nodes_n; i++) {
        open_node(&nodes[i], argv[7 + i]);
    }
    get_ready(argv[4]);
    make_question(argv[4], argv[5]);
    struct peak peak = find_peak(seconds, in_flight);
    struct spent in_flood, later;
    make(peak.rate * factor * (seconds + WARM_UP_S), seconds + WARM_UP_S);
    double good = run("flood", seconds, 0, peak.rate * factor, &in_flood);
    double after = keep_in_flight("after", 2 * peak.rate, seconds, peak.in_flight, &later);
    bench_emit("flood.goodput", peak.rate > 0 ? good / peak.rate : 0, "of the peak");
    bench_emit("after.rate_again", peak.rate > 0 ? after / peak.rate : 0, "of the peak");
    compare(&peak.spent, &in_flood, factor);
    bench_free(&honest_took);
    for (unsigned i = 0; i <= nodes_n; i++) {
        forget_made(&nodes[i]);
        yzi_session_close(nodes[i].session);
        yzi_sealer_free(nodes[i].sealer);
        yzi_client_config_fini(&nodes[i].config);
        yzi_key_pair_fini(&nodes[i].signing);
        yzi_key_pair_fini(&nodes[i].transport);
    }
    begin_tally();
    yzi_ask_fini(&question);
    yzi_services_fini(&services);
    yzi_trust_close(trust);
    yzi_net_free(net);
    return 0;
}
