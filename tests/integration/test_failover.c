/* SPDX-License-Identifier: Apache-2.0
 *
 * Two real brokers, an adapter at both, and two clients that list both, one with the first and one
 * with the second as the one to begin with, so that both brokers have work all the time. Under a
 * stream of reads and inserts one broker is killed at a random moment, started again from its home,
 * then the other; or it stands still for longer than its peers' patience, and goes on.
 *
 * Each call ends once. Each read is answered, because one broker is always there. Each insert is
 * done at most once, and where a call says anything but "done", a broker was away at the time. What
 * both brokers' logs have of one message id is the same bytes, request and answer. Each exchange
 * kept is proved by the log of the broker that delivered it.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yizhan/client.h>

#include "tests/integration/second_broker.h"
#include "tests/support/dice.h"
#include "tests/support/now.h"

#define PATIENCE_MS 120000u
#define BROKERS 2u
#define WINDOW 24u /* calls under way at any time */
#define CALLS_MAX 12000u
#define STILL_TIMEOUT_MS 20000u /* of each call, while a broker stands still */
#define ID 37u
#define HERE(...) in_sandbox(&sandbox, __VA_ARGS__)

static struct sandbox sandbox;
static struct broker {
    const char *home, *node;
    pid_t pid;
    char endpoint[256], key[64], vkey[256];
} brokers[BROKERS] = {{.home = "broker", .node = "CN/@b1"}, {.home = "broker2", .node = "CN/@b2"}};
static pid_t adapter;
static struct dice dice;

/* -- the town -- */

/* `first` is the one that is asked as long as it is up. */
static void list_brokers(unsigned first, char *out, size_t cap)
{
    const struct broker *a = &brokers[first], *b = &brokers[!first];
    int n = snprintf(out, cap,
                     "home: .\nanchor: anchor.yzr\nlock_secrets: false\nbrokers:\n"
                     "  - {node: %s, endpoint: \"%s\", key: \"%s\"}\n"
                     "  - {node: %s, endpoint: \"%s\", key: \"%s\"}\n",
                     a->node, a->endpoint, a->key, b->node, b->endpoint, b->key);
    assert_in_range(n, 1, cap - 1);
}

static void configure_broker(const struct broker *b)
{
    char config[512];
    snprintf(config, sizeof config,
             "node: %s\nhome: .\nlisten: [\"%s\"]\nops: \"127.0.0.1:0\"\nlock_secrets: false\n",
             b->node, b->endpoint);
    write_file(HERE("%s/broker.yaml", b->home), config);
}

static void configure(void)
{
    char list[1024], config[1200];
    for (unsigned i = 0; i < BROKERS; i++) {
        public_key(HERE("%s/keys/transport.key", brokers[i].home), brokers[i].key);
        configure_broker(&brokers[i]);
    }
    for (unsigned i = 0; i < BROKERS; i++) {
        list_brokers(i, list, sizeof list);
        snprintf(config, sizeof config,
                 "node: CN/GOV/WINDOW/@w1\nsubsystem: CN/GOV/WINDOW/window\n%s", list);
        write_file(HERE("client/begins%u.yaml", i), config);
    }
    list_brokers(0, list, sizeof list);
    snprintf(config, sizeof config,
             "node: CN/GOV/STATS/@a1\n%sdatasets:\n  - definition: areas.yaml\n", list);
    write_file(HERE("statistics/adapter.yaml"), config);
}

/* What stands behind "NAME": in a JSON text, copied. */
static void value_of(const char *text, const char *name, char *out, size_t cap)
{
    char key[64];
    snprintf(key, sizeof key, "\"%s\": ", name);
    const char *at = strstr(text, key);
    assert_non_null(at);
    at += strlen(key);
    at += *at == '"';
    size_t n = strcspn(at, "\",\n");
    assert_true(n < cap);
    snprintf(out, cap, "%.*s", (int)n, at);
}

static unsigned long metric_of(const struct broker *b, const char *name)
{
    char ops[64];
    value_of(EXPECT_YZ(0, "status", "--admin", HERE("%s/admin.sock", b->home), "--json")->text,
             "ops", ops, sizeof ops);
    return metric(ops, name);
}

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    dice = dice_from(dice_seed_now());
    snprintf(brokers[0].endpoint, sizeof brokers[0].endpoint, "%s", sandbox.endpoint);
    brokers[1].pid = second_broker_up(&sandbox, brokers[1].endpoint);
    EXPECT_YZ(0, "data", "import", "--admin", HERE("statistics/admin.sock"), "areas",
              YZ_TEST_DATA "/china-division/areas.csv");
    offer_towns(&sandbox);
    configure();
    kill_daemon(adapter_pid(&sandbox, "statistics"), SIGTERM);
    kill_daemon(sandbox.broker, SIGTERM);
    kill_daemon(brokers[1].pid, SIGTERM);
    for (unsigned i = 0; i < BROKERS; i++) {
        brokers[i].pid = start_again(&sandbox, brokers[i].home);
        value_of(EXPECT_YZ(0, "evidence", "status", "--admin",
                           HERE("%s/admin.sock", brokers[i].home), "--json")
                     ->text,
                 "vkey", brokers[i].vkey, sizeof brokers[i].vkey);
    }
    adapter = start_again(&sandbox, "statistics");
    return 0;
}

static int down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BROKERS; i++) { /* whom a test that failed left standing */
        kill(brokers[i].pid, SIGCONT);
    }
    kill(adapter, SIGCONT);
    sandbox_down(&sandbox);
    return 0;
}

/* -- the stream -- */

struct call {
    unsigned client, ended;
    bool inserts;
    bool disturbed, nobody; /* a broker was away while it was under way; both were */
    enum { OPEN, DONE, NOT_DONE } told;
    char id[ID]; /* of the message, when an answer told it */
};

static struct {
    yz_client *clients[BROKERS];
    struct call calls[CALLS_MAX];
    unsigned n, ended, done[2], open, not_done; /* done: reads, inserts */
    uint32_t timeout_ms, slowest_ms;
    bool away, nobody; /* a broker is; nobody else is there */
} stream;
static unsigned codes_used; /* by the streams before */

/* Codes are free from 700000 on. */
static void code_of(const struct call *c, char out[8])
{
    snprintf(out, 8, "%06u", (700000u + codes_used + (unsigned)(c - stream.calls)) % 1000000u);
}

static void ask(const struct call *c, yz_request *r)
{
    static const char *const fields[] = {"code", "name", "city", "province"};
    char code[8];
    code_of(c, code);
    const yz_value values[] = {{code, strlen(code)}, {"town", 4}, {"9999", 4}, {"11", 2}};
    const char *key = "110101";
    if (!c->inserts) {
        assert_int_equal(yz_request_add_key(r, &key, 1), YZ_OK);
        return;
    }
    assert_int_equal(yz_request_set_operation(r, YZ_INSERT), YZ_OK);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(yz_request_add_field(r, fields[i]), YZ_OK);
    }
    assert_int_equal(yz_request_add_row(r, values, 4), YZ_OK);
}

static void begin_one(void)
{
    assert_true(stream.n < CALLS_MAX);
    struct call *c = &stream.calls[stream.n];
    yz_request *r = NULL;
    yz_error err = {0};
    *c = (struct call){.client = stream.n % BROKERS,
                       .inserts = stream.n / BROKERS % 3 == 0,
                       .disturbed = stream.away,
                       .nobody = stream.nobody};
    stream.n++;
    assert_int_equal(yz_request_new(TOWNS, &r), YZ_OK);
    ask(c, r);
    assert_int_equal(yz_request_set_timeout(r, stream.timeout_ms), YZ_OK);
    if (yz_submit(stream.clients[c->client], r, c, NULL, &err) < 0) {
        fail_msg("%s", err.text);
    }
    yz_request_free(r);
}

static void disturb_all(void)
{
    stream.away = true;
    for (unsigned i = 0; i < stream.n; i++) {
        stream.calls[i].disturbed = stream.calls[i].disturbed || !stream.calls[i].ended;
    }
}

static void answered(struct call *c, const yz_answer *a)
{
    uint64_t changed = 0;
    assert_int_equal(yz_answer_origin(a), YZ_ORIGIN_PROVIDER);
    assert_int_equal(yz_answer_evidence(a), YZ_EVIDENCE_PROVED);
    assert_true(yz_answer_kept(a));
    if (c->inserts) {
        assert_int_equal(yz_answer_total(a, &changed), YZ_OK);
        assert_int_equal(changed, 1);
    } else {
        assert_int_equal(yz_answer_rows(a), 1);
    }
    c->told = DONE;
    stream.done[c->inserts]++;
}

/* Only of an insert, and only while a broker was away; of a read while the other was, too. */
static void not_answered(struct call *c, const yz_completion *done)
{
    const yz_answer *a = done->answer;
    enum yz_status s = a ? yz_answer_status(a) : YZ_STATUS_TIMEOUT;
    bool open = a ? s == YZ_STATUS_INDETERMINATE : done->error.code == YZ_ETIMEOUT;
    bool not_done =
        a ? s == YZ_STATUS_BUSY || s == YZ_STATUS_UNAVAILABLE : done->error.code == YZ_EUNAVAILABLE;
    if (!(c->inserts || c->nobody) || !c->disturbed || (!open && !not_done)) {
        fail_msg("%s, %s: %s %s %s", c->inserts ? "an insert" : "a read",
                 c->disturbed ? "a broker being away" : "undisturbed",
                 a ? yz_status_name(s) : yz_err_name(done->error.code),
                 a ? yz_answer_reason(a) : done->error.text, a ? yz_answer_node(a) : "");
    }
    c->told = open ? OPEN : NOT_DONE;
    stream.open += open;
    stream.not_done += not_done;
}

static void end_one(const yz_completion *done)
{
    struct call *c = done->ctx;
    const yz_answer *a = done->answer;
    c->ended++;
    assert_int_equal(c->ended, 1);
    stream.ended++;
    if (a) {
        snprintf(c->id, sizeof c->id, "%s", yz_answer_message_id(a));
        uint32_t ms = yz_answer_elapsed(a);
        stream.slowest_ms = ms > stream.slowest_ms ? ms : stream.slowest_ms;
    }
    if (done->error.code == YZ_OK && yz_answer_status(a) == YZ_STATUS_OK) {
        answered(c, a);
    } else {
        not_answered(c, done);
    }
    yz_answer_free(done->answer);
}

static void take_what_ended(void)
{
    for (unsigned i = 0; i < BROKERS; i++) {
        yz_completion done;
        uint32_t wait = 2; /* for whatever comes first; both clients in turn */
        while (yz_poll(stream.clients[i], wait, &done, NULL) == YZ_OK) {
            end_one(&done);
            wait = 0;
        }
    }
}

static void fill(void)
{
    while (stream.n - stream.ended < WINDOW) {
        begin_one();
    }
}

/* Until so many more calls have ended, as many under way at the end as at the beginning. */
static void flow(unsigned more)
{
    unsigned until = stream.ended + more;
    for (uint64_t end = now_ms() + PATIENCE_MS; stream.ended < until;) {
        assert_true(now_ms() < end);
        fill();
        take_what_ended();
    }
    fill();
}

/* Until the last has ended; no more begin. */
static void ebb(void)
{
    for (uint64_t end = now_ms() + PATIENCE_MS; stream.ended < stream.n;) {
        assert_true(now_ms() < end);
        take_what_ended();
    }
}

static bool adapter_has(const struct broker *b)
{
    char part[64], up_text[8];
    const struct output *o =
        EXPECT_YZ(0, "status", "--admin", HERE("statistics/admin.sock"), "--json");
    snprintf(part, sizeof part, "\"node\": \"%s\"", b->node);
    const char *at = strstr(o->text, part);
    assert_non_null(at);
    value_of(at, "up", up_text, sizeof up_text);
    return strcmp(up_text, "true") == 0;
}

static void stream_begin(uint32_t timeout_ms)
{
    yz_error err = {0};
    memset(&stream, 0, sizeof stream);
    stream.timeout_ms = timeout_ms;
    for (unsigned i = 0; i < BROKERS; i++) {
        for (uint64_t end = now_ms() + PATIENCE_MS; !adapter_has(&brokers[i]);) {
            assert_true(now_ms() < end);
        }
        if (yz_client_open(HERE("client/begins%u.yaml", i), &stream.clients[i], &err) < 0 ||
            yz_client_wait_ready(stream.clients[i], PATIENCE_MS, &err) < 0) {
            fail_msg("%s", err.text);
        }
    }
}

static void stream_end(void)
{
    yz_completion none;
    ebb();
    for (unsigned i = 0; i < BROKERS; i++) {
        assert_int_equal(yz_poll(stream.clients[i], 0, &none, NULL), YZ_ETIMEOUT);
        yz_client_close(stream.clients[i]);
    }
    print_message("%u calls: %u reads answered, %u inserts done, %u open, %u not done; the slowest "
                  "after %u ms\n",
                  stream.ended, stream.done[0], stream.done[1], stream.open, stream.not_done,
                  stream.slowest_ms);
    assert_true(stream.done[0] > 0 && stream.done[1] > 0);
    codes_used += stream.n;
}

/* -- brokers come and go -- */

static void flow_until_adapter(const struct broker *b, bool has)
{
    for (uint64_t end = now_ms() + PATIENCE_MS; adapter_has(b) != has;) {
        assert_true(now_ms() < end);
        flow(1);
    }
}

/* The adapter is there, and whoever begins with this broker is answered through it. */
static void flow_until_used(const struct broker *b)
{
    flow_until_adapter(b, true);
    unsigned long answers = metric_of(b, "responses_total");
    for (uint64_t end = now_ms() + PATIENCE_MS; metric_of(b, "responses_total") < answers + 8;) {
        if (now_ms() >= end) {
            fail_msg("%s is not used again", b->node);
        }
        flow(8);
    }
    flow(WINDOW); /* whoever was disturbed has ended */
    stream.away = false;
}

static void kill_and_restart(struct broker *b)
{
    flow(WINDOW + dice_below(&dice, 100));
    disturb_all();
    kill_daemon(b->pid, SIGKILL);
    flow(2 * WINDOW + dice_below(&dice, 60)); /* the other serves those who began with this one */
    struct starting s = start_daemon(&sandbox, b->home);
    flow(1 + dice_below(&dice, 40));
    b->pid = await_ready(&s);
    flow_until_used(b);
}

/* -- what the logs have -- */

struct entry {
    char id[ID], digest[65], type; /* 'r'equest or answer: 'p' */
};
static struct log_copy {
    struct entry entries[4 * CALLS_MAX];
    unsigned n;
} logs[BROKERS];

#define PAGE 128u /* entries listed at once: what a run program's output may have */

static unsigned read_page(struct log_copy *log, const char *text)
{
    unsigned n = 0;
    const char *at = text, *next;
    for (at = strstr(at, "\"index\": "); at; at = next, n++) {
        char type[16];
        next = strstr(at + 1, "\"index\": ");
        char *one = strndup(at, next ? (size_t)(next - at) : strlen(at));
        assert_non_null(one);
        value_of(one, "type", type, sizeof type);
        bool request = strcmp(type, "request") == 0;
        if (request || strcmp(type, "response") == 0) {
            assert_true(log->n < sizeof log->entries / sizeof log->entries[0]);
            struct entry *e = &log->entries[log->n++];
            e->type = request ? 'r' : 'p';
            value_of(one, "digest", e->digest, sizeof e->digest);
            value_of(one, "message_id", e->id, sizeof e->id);
        }
        free(one);
    }
    return n;
}

static int by_id(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->id, y->id);
    return order ? order : x->type - y->type;
}

static void read_log(unsigned i)
{
    char from[16], count[16];
    unsigned at = 0, n;
    logs[i].n = 0;
    snprintf(count, sizeof count, "%u", PAGE);
    do {
        snprintf(from, sizeof from, "%u", at);
        n = read_page(&logs[i], EXPECT_YZ(0, "evidence", "list", "--admin",
                                          HERE("%s/admin.sock", brokers[i].home), "--from", from,
                                          "--count", count, "--json")
                                    ->text);
        at += n;
    } while (n == PAGE);
    qsort(logs[i].entries, logs[i].n, sizeof logs[i].entries[0], by_id);
}

/* Any of this id and type; the log's own agree with one another. */
static const struct entry *find(unsigned log, const char *id, char type)
{
    struct entry key = {.type = type};
    snprintf(key.id, sizeof key.id, "%s", id);
    return bsearch(&key, logs[log].entries, logs[log].n, sizeof key, by_id);
}

static void one_id_is_one_message(const struct log_copy *log)
{
    for (unsigned i = 1; i < log->n; i++) {
        if (by_id(&log->entries[i - 1], &log->entries[i]) == 0) {
            assert_string_equal(log->entries[i - 1].digest, log->entries[i].digest);
        }
    }
}

/* How many requests, and answers, reached both; each as the same bytes. */
static void both_have_the_same(unsigned *out_requests, unsigned *out_answers)
{
    *out_requests = *out_answers = 0;
    for (unsigned i = 0; i < BROKERS; i++) {
        read_log(i);
        one_id_is_one_message(&logs[i]);
    }
    for (unsigned i = 0; i < stream.n; i++) {
        const char *id = stream.calls[i].id;
        for (unsigned answer = 0; id[0] && answer < 2; answer++) {
            const struct entry *a = find(0, id, answer ? 'p' : 'r');
            const struct entry *b = find(1, id, answer ? 'p' : 'r');
            if (a && b) {
                assert_string_equal(a->digest, b->digest);
                ++*(answer ? out_answers : out_requests);
            }
        }
    }
}

/* The exchange is proved by itself, and by the log of the broker it names and by no other's key. */
static void is_proved(const struct call *c)
{
    EXPECT_YZ(0, "evidence", "bundle", "--home", HERE("client"), "--out", HERE("bundle"), c->id);
    const struct output *o =
        EXPECT_YZ(0, "evidence", "verify", "--anchor", HERE("client/anchor.yzr"), HERE("bundle"));
    unsigned by = strstr(o->text, "CN/@b2 is listed") != NULL;
    assert_says(o, by ? "CN/@b2 is listed" : "CN/@b1 is listed");
    assert_null(strstr(o->text, by ? "CN/@b1 is listed" : "CN/@b2 is listed"));
    assert_non_null(find(by, c->id, 'r'));
    assert_non_null(find(by, c->id, 'p'));
    EXPECT_YZ(0, "evidence", "export", "--admin", HERE("%s/admin.sock", brokers[by].home), "--out",
              HERE("proof"), c->id);
    EXPECT_YZ(0, "evidence", "verify", "--vkey", brokers[by].vkey, HERE("proof"));
    EXPECT_YZ(5, "evidence", "verify", "--vkey", brokers[!by].vkey, HERE("proof"));
    remove(HERE("bundle"));
    remove(HERE("proof"));
}

/* Those that both brokers had first of all, and some others. */
static void deliveries_are_proved(void)
{
    unsigned both = 0, others = 0;
    for (unsigned i = 0; i < stream.n; i++) {
        const struct call *c = &stream.calls[i];
        if (c->told != DONE) {
            continue;
        }
        bool at_both = find(0, c->id, 'r') && find(1, c->id, 'r');
        if (at_both ? both < 12 : others < 12 && i % (stream.n / 12) == 0) {
            both += at_both;
            others += !at_both;
            is_proved(c);
        }
    }
}

static bool is_there(const struct call *c)
{
    char code[8];
    const char *key = code;
    yz_request *r = NULL;
    yz_answer *a = NULL;
    yz_error err = {0};
    code_of(c, code);
    assert_int_equal(yz_request_new(TOWNS, &r), YZ_OK);
    assert_int_equal(yz_request_add_key(r, &key, 1), YZ_OK);
    if (yz_call(stream.clients[0], r, &a, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(yz_answer_status(a), YZ_STATUS_OK);
    bool there = yz_answer_rows(a) == 1;
    yz_answer_free(a);
    yz_request_free(r);
    return there;
}

static void inserts_are_as_told(void)
{
    for (unsigned i = 0; i < stream.n; i++) {
        const struct call *c = &stream.calls[i];
        if (c->inserts && (c->told != DONE || i % 5 == 0)) {
            bool there = is_there(c);
            assert_true(c->told != DONE || there);
            assert_true(c->told != NOT_DONE || !there);
        }
    }
}

/* What the adapter executed since it was started. */
static unsigned long executed(void)
{
    char n[24];
    value_of(EXPECT_YZ(0, "status", "--admin", HERE("statistics/admin.sock"), "--json")->text,
             "answered", n, sizeof n);
    return strtoul(n, NULL, 10);
}

static void test_failover__killed_brokers_under_reads_and_inserts(void **state)
{
    (void)state;
    unsigned requests, answers;
    stream_begin(60000);
    unsigned long before = executed();
    for (unsigned i = 0; i < 4; i++) {
        kill_and_restart(&brokers[i % BROKERS]);
    }
    ebb();
    unsigned long runs = executed() - before;
    inserts_are_as_told();
    both_have_the_same(&requests, &answers);
    deliveries_are_proved();
    stream_end();
    print_message("at both brokers: %u requests, %u answers; executed %lu\n", requests, answers,
                  runs);
    assert_true(requests > 0);
    assert_in_range(runs, stream.done[0] + stream.done[1], stream.n); /* none twice */
}

/* Ids whose request the log has more than once: it came again, and was judged again. */
static unsigned came_again(const struct log_copy *log)
{
    unsigned n = 0;
    for (unsigned i = 1; i < log->n; i++) {
        bool same = by_id(&log->entries[i - 1], &log->entries[i]) == 0;
        n += same && log->entries[i].type == 'r' &&
             (i < 2 || by_id(&log->entries[i - 2], &log->entries[i]) != 0);
    }
    return n;
}

/* As many under way as may be, accepted by the broker, and held by an adapter that stands still. */
static void pile_up(const struct broker *b)
{
    char n[24];
    flow(WINDOW + dice_below(&dice, 60));
    assert_int_equal(kill(adapter, SIGSTOP), 0);
    fill();
    for (uint64_t end = now_ms() + PATIENCE_MS;;) {
        value_of(EXPECT_YZ(0, "status", "--admin", HERE("%s/admin.sock", b->home), "--json")->text,
                 "in_flight", n, sizeof n);
        if (strtoul(n, NULL, 10) >= WINDOW / 2) {
            return;
        }
        assert_true(now_ms() < end);
        take_what_ended(); /* where this machine took so long that the adapter was given up */
        fill();
    }
}

/* How many requests came again to a broker that was killed with them, each known to it. */
static unsigned kill_with_a_pile(struct broker *b)
{
    read_log(0);
    unsigned before = came_again(&logs[0]);
    pile_up(b);
    disturb_all();
    kill_daemon(b->pid, SIGKILL);
    assert_int_equal(kill(adapter, SIGCONT), 0);
    b->pid = start_again(&sandbox, b->home);
    for (uint64_t end = now_ms() + PATIENCE_MS; !adapter_has(b);) {
        assert_true(now_ms() < end);
        take_what_ended();
    }
    ebb();
    read_log(0);
    unsigned again = came_again(&logs[0]) - before;
    unsigned long known = metric_of(b, "retries_total");
    print_message("%u came again, %lu known\n", again, known);
    assert_true(known >= again);
    return again;
}

/* Nobody else is there: what a killed broker had accepted comes back to it as the same bytes, and
 * it knows each id. */
static void test_failover__a_returned_broker_knows_what_it_accepted(void **state)
{
    (void)state;
    stream_begin(60000);
    flow(2 * WINDOW);
    disturb_all();
    kill_daemon(brokers[1].pid, SIGKILL);
    stream.nobody = true;
    for (uint64_t end = now_ms() + PATIENCE_MS; kill_with_a_pile(&brokers[0]) == 0;) {
        assert_true(now_ms() < end);
    }
    brokers[1].pid = start_again(&sandbox, brokers[1].home);
    inserts_are_as_told();
    one_id_is_one_message(&logs[0]);
    stream_end();
}

/* A broker that stands still holds connections, and nothing tells that it will not answer. */
static void stop_and_continue(struct broker *b)
{
    flow(WINDOW + dice_below(&dice, 100));
    disturb_all();
    assert_int_equal(kill(b->pid, SIGSTOP), 0);
    flow_until_adapter(b, false);
    flow(4 * WINDOW);
    assert_int_equal(kill(b->pid, SIGCONT), 0);
    flow_until_used(b);
}

static void test_failover__a_broker_that_stands_still_keeps_nobody_waiting(void **state)
{
    (void)state;
    unsigned requests, answers;
    stream_begin(STILL_TIMEOUT_MS);
    unsigned long before = executed();
    for (unsigned i = 0; i < BROKERS; i++) {
        stop_and_continue(&brokers[i]);
    }
    ebb();
    unsigned long runs = executed() - before;
    inserts_are_as_told();
    both_have_the_same(&requests, &answers);
    deliveries_are_proved();
    stream_end();
    print_message("at both brokers: %u requests, %u answers; executed %lu\n", requests, answers,
                  runs);
    assert_in_range(runs, stream.done[0] + stream.done[1], stream.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failover__killed_brokers_under_reads_and_inserts),
        cmocka_unit_test(test_failover__a_returned_broker_knows_what_it_accepted),
        cmocka_unit_test(test_failover__a_broker_that_stands_still_keeps_nobody_waiting),
    };
    return cmocka_run_group_tests(tests, up, down);
}
