/* SPDX-License-Identifier: Apache-2.0
 *
 * The front: one thread, one poll, everything in turn. Each wake-up reads the clock once, takes a
 * bounded number of messages, answers waiting handshakes and the administration socket, and runs
 * the timers. A message's sender is known before its content is looked at.
 */
#include "broker/broker.h"

#include "base/daemon.h"
#include "net/bundle.h"

#define MESSAGES_PER_STEP 256u /* and the rest of the bundle that reaches it */
#define SECOND_MS 1000u
#define FRESHEN_EVERY_MS 60000u
#define SILENT_ADAPTER_MS (3u * BROKER_HEARTBEAT_ADAPTER_MS)
#define SILENT_CLIENT_MS (3u * BROKER_HEARTBEAT_CLIENT_MS)
#define HELLO_MS 10000u      /* who says other things for so long is no peer */
#define LINES_PER_SECOND 10u /* about one node */
#define FAULTS_BURST_S 8.0   /* seconds' worth of them at once */
#define NONSENSE_BURST_S 16.0
#define FAREWELL_MS 200u /* for the last answers and the goodbye to leave */

/* -- shared by the other files -- */

struct judge yzi_broker_judge(const struct broker *b)
{
    return (struct judge){b->directory, b->wall, b->config->limits.skew};
}

int yzi_broker_give(struct broker *b, const struct connection_id *to, yz_bytes frame)
{
    int rc = yzi_server_send(b->server, to, frame);
    if (rc == YZ_OK) {
        return rc;
    }
    yzi_metric_add(&b->metrics.messages_dropped, 1);
    struct connection *k = yzi_connection_find(&b->connections, to);
    if (rc == YZ_ECLOSED && k) {
        yzi_broker_connection_lost(b, k, "gone");
    }
    return rc;
}

void yzi_broker_send(struct broker *b, const struct connection_id *to, yz_bytes frame)
{
    yz_ignore(yzi_broker_give(b, to, frame), "it is counted");
}

void yzi_broker_send_all(struct broker *b, yz_bytes frame)
{
    for (struct table_item *i = yzi_table_first(&b->connections.by_id); i; i = yzi_table_next(i)) {
        struct connection *k = yzi_table_value(i);
        if (k->live && k->hello) {
            yzi_broker_send(b, &k->id, frame);
        }
    }
}

bool yzi_broker_may_log(struct broker *b, struct node_load *load)
{
    if (!load) {
        return true;
    }
    uint64_t second = b->mono / SECOND_MS;
    if (load->logged_second != second) {
        load->logged_second = second;
        load->logged = 0;
    }
    if (load->logged >= LINES_PER_SECOND) {
        yzi_metric_add(&b->metrics.lines_left_out, 1);
        return false;
    }
    load->logged++;
    return true;
}

bool yzi_broker_may_verify(struct broker *b, struct connection *k)
{
    double rate = (double)b->config->limits.faults_per_peer;
    return rate <= 0 || !k->load ||
           yzi_bucket_take(&k->load->faults, 1, rate, rate * FAULTS_BURST_S, b->mono);
}

void yzi_broker_verified(struct connection *k)
{
    if (k->load && k->load->faults.begun) {
        k->load->faults.tokens += 1; /* filling it stops at its burst */
    }
}

void yzi_broker_fault(struct broker *b, struct connection *k)
{
    double rate = (double)b->config->limits.nonsense_per_peer;
    if (rate <= 0 || !k->load || k->gone ||
        yzi_bucket_take(&k->load->nonsense, 1, rate, rate * NONSENSE_BURST_S, b->mono)) {
        return;
    }
    yzi_metric_add(&b->metrics.cut_nonsense, 1);
    if (yzi_broker_may_log(b, k->load)) {
        yzi_log(&EV_PEER_NONSENSE, (struct log_field[]){log_str("peer", k->node), {0}});
    }
    yzi_broker_connection_lost(b, k, "nonsense");
}

void yzi_broker_connection_lost(struct broker *b, struct connection *k, const char *why)
{
    if (k->gone) {
        return;
    }
    if (k->hello && yzi_broker_may_log(b, k->load)) {
        yzi_log(&EV_PEER_DOWN,
                (struct log_field[]){log_str("peer", k->node), log_str("reason", why), {0}});
    }
    yzi_server_cut(b->server, &k->id);
    yzi_connection_mark_gone(&b->connections, k);
    k->next_gone = b->gone;
    b->gone = k;
}

/* Requests whose adapter's connection is no more go elsewhere. Sending them ends no exchange but
 * the one at hand, so the list holds. */
static void reroute_the_stranded(struct broker *b)
{
    struct exchange *stranded = NULL;
    for (struct table_item *i = yzi_table_first(&b->exchanges.by_digest); i;
         i = yzi_table_next(i)) {
        struct exchange *x = yzi_table_value(i);
        if (x->forwarded && !yzi_connection_find(&b->connections, &x->adapter)) {
            x->next_stranded = stranded;
            stranded = x;
        }
    }
    while (stranded) {
        struct exchange *x = stranded;
        stranded = x->next_stranded;
        struct outcome_words w = {.status = OUTCOME_UNAVAILABLE,
                                  .reason = yzi_bytes_str("adapter-lost")};
        yzi_broker_retry_elsewhere(b, x, &w);
    }
}

/* Free what was marked gone. Called where nobody holds a connection; rerouting may find more of
 * them gone, each once. */
static void settle(struct broker *b)
{
    while (b->gone) {
        bool had_requests = false;
        while (b->gone) {
            struct connection *k = b->gone;
            b->gone = k->next_gone;
            had_requests = had_requests || k->outstanding > 0;
            yzi_connection_give_up(&b->connections, k, b->mono);
        }
        if (had_requests) {
            reroute_the_stranded(b);
        }
    }
}

/* A connection that is no live node's is given up, though it may stand: what its node says from now
 * on is not listened to. */
static void cut_off(struct broker *b, struct connection *k)
{
    if (k->hello) {
        yzi_log(&EV_PEER_CUT,
                (struct log_field[]){log_str("peer", k->node),
                                     log_str("reason", "no live record lists its key"),
                                     {0}});
    }
    k->hello = false;
    yzi_broker_connection_lost(b, k, "not listed");
}

static void cut_off_the_revoked(struct broker *b)
{
    for (struct table_item *i = yzi_table_first(&b->connections.by_id); i; i = yzi_table_next(i)) {
        struct connection *k = yzi_table_value(i);
        if (!k->gone && !yzi_connection_check(&b->connections, k, b->directory, b->wall, b->mono)) {
            cut_off(b, k);
        }
    }
}

void yzi_broker_directory_changed(struct broker *b)
{
    const struct directory *before = b->directory;
    b->directory = yzi_trust_directory(b->trust);
    bool published =
        b->directory && (!before || !yzi_digest_eq(yzi_directory_root_hash(before),
                                                   yzi_directory_root_hash(b->directory)));
    yzi_directory_unref(before);
    if (!b->directory) {
        return;
    }
    cut_off_the_revoked(b);
    yzi_offers_prune(b->offers, b->directory);
    if (published) {
        yzi_log(&EV_DIRECTORY_ADOPTED,
                (struct log_field[]){
                    log_num("version", (int64_t)yzi_directory_version(b->directory)), {0}});
        yzi_broker_freshen(b);
        yzi_broker_heartbeats(b, true);
    }
    yzi_broker_unpark(b, true);
}

/* -- receiving -- */

static void bad_message(struct broker *b, struct connection *k, const char *kind, const char *why)
{
    yzi_metric_add(&b->metrics.messages_bad, 1);
    if (yzi_broker_may_log(b, k->load)) {
        yzi_log(&EV_PEER_BAD,
                (struct log_field[]){
                    log_str("peer", k->node), log_str("kind", kind), log_str("reason", why), {0}});
    }
    yzi_broker_fault(b, k);
}

static bool is_exchange(enum frame_kind kind)
{
    return kind == FRAME_REQUEST || kind == FRAME_RESPONSE || kind == FRAME_REJECT;
}

static void dispatch(struct broker *b, struct connection *k, const struct frame *f,
                     struct message *m)
{
    if (!k->hello && f->kind != FRAME_HELLO && f->kind != FRAME_BYE) {
        bad_message(b, k, yzi_frame_kind_name(f->kind), "before its hello");
        return;
    }
    if (!is_exchange(f->kind)) {
        yzi_broker_outcomes_flush(b); /* what is said to the rest comes after them */
    }
    switch (f->kind) {
    case FRAME_REQUEST:
        yzi_broker_on_request(b, k, m, false);
        return;
    case FRAME_RESPONSE:
        yzi_broker_on_response(b, k, f);
        return;
    case FRAME_REJECT:
        yzi_broker_on_reject(b, k, f);
        return;
    case FRAME_HELLO:
        yzi_broker_on_hello(b, k, f);
        return;
    case FRAME_HEARTBEAT:
        yzi_broker_on_heartbeat(b, k, f);
        return;
    case FRAME_FETCH:
        yzi_broker_on_fetch(b, k, f);
        return;
    case FRAME_PUT:
        yzi_broker_on_put(b, k, f);
        return;
    case FRAME_OBJECT:
        yzi_broker_on_object(b, k, f);
        return;
    case FRAME_BYE:
        yzi_broker_connection_lost(b, k, "goodbye");
        return;
    case FRAME_PUT_RESULT: /* the broker pushes nothing that is answered */
    case FRAME_OUTCOME:
    case FRAME_WELCOME:
    case FRAME_RECEIPT:
    case FRAME_ADMIN_REQUEST:
    case FRAME_ADMIN_REPLY:
    default:
        bad_message(b, k, yzi_frame_kind_name(f->kind), "not a peer's to send");
    }
}

static void receive(struct broker *b, const struct connection_id *from, const uint8_t key[32],
                    struct message *m)
{
    struct connection *k;
    int rc = yzi_connection_get(&b->connections, from, key, b->mono, &k);
    if (rc < 0) {
        bool left_over = rc == YZ_ECLOSED; /* nobody's word any more */
        yzi_metric_add(left_over ? &b->metrics.messages_left_over : &b->metrics.messages_dropped,
                       1);
        /* once more: cutting fails when no descriptor is free */
        yzi_server_cut(b->server, from);
        return;
    }
    if (!yzi_connection_check(&b->connections, k, b->directory, b->wall, b->mono)) {
        bool too_many = k->peer.node.v.n > 0; /* a live node's, which has as many as it may */
        yzi_metric_add(too_many ? &b->metrics.messages_dropped : &b->metrics.messages_unknown, 1);
        cut_off(b, k); /* whoever is not known gets nothing, and occupies nothing */
        return;
    }
    struct frame f;
    rc = yzi_frame_parse(m->bytes, b->config->limits.message, &f);
    if (rc < 0) {
        bad_message(b, k, "", yz_err_name(rc));
        return;
    }
    dispatch(b, k, &f, m);
}

/* Each message of a bundle as if it had come alone. When the rest of it is no message, the whole is
 * none either, and is refused as such in its sender's name. Returns how many there were. */
static unsigned receive_bundle(struct broker *b, const struct connection_id *from,
                               const uint8_t key[32], struct message *whole)
{
    YZ_AUTO(yzi_bundle_fini) struct bundle bundle;
    yzi_bundle_init(&bundle, whole);
    int rc;
    do {
        YZ_AUTO(yzi_message_fini) struct message m = {0};
        rc = yzi_bundle_next(&bundle, b->config->limits.message, &m);
        if (rc == YZ_OK) {
            receive(b, from, key, &m);
        } else if (rc != YZ_EAGAIN) {
            receive(b, from, key, &bundle.whole);
        }
        settle(b);
    } while (rc == YZ_OK);
    return bundle.taken ? bundle.taken : 1;
}

/* A bounded number, so that a flood cannot keep the timers from running. True: nothing is left. */
static bool receive_some(struct broker *b)
{
    for (unsigned taken = 0; taken < MESSAGES_PER_STEP && !yzi_broker_refused_enough(b);) {
        struct connection_id from;
        uint8_t key[32];
        struct message m = {0};
        if (yzi_server_recv(b->server, &from, key, &m) < 0) {
            return true;
        }
        unsigned n = receive_bundle(b, &from, key, &m);
        yzi_server_counted(b->server, n);
        taken += n;
    }
    return false;
}

/* -- timers -- */

/* While there is more to read, what somebody said may be among it, and it is this broker that is
 * slow: it takes twice the silence, because whoever floods it must not keep the dead alive. */
static void drop_the_silent(struct broker *b, bool all_read)
{
    for (struct table_item *i = yzi_table_first(&b->connections.by_id); i; i = yzi_table_next(i)) {
        struct connection *k = yzi_table_value(i);
        uint64_t patience = k->role == ROLE_ADAPTER ? SILENT_ADAPTER_MS : SILENT_CLIENT_MS;
        if (b->mono - k->seen_mono > (all_read ? patience : 2 * patience)) {
            yzi_broker_connection_lost(b, k, "silent");
        } else if (!k->hello && b->mono - k->opened_mono > HELLO_MS) {
            yzi_metric_add(&b->metrics.cut_no_hello, 1);
            yzi_broker_connection_lost(b, k, "no hello");
        }
    }
}

/* What the directory in force lacks of this broker; NULL: it lists the node with the keys held
 * here. Another's outcomes nobody believes, and nobody connects to a transport key that is not
 * listed. */
static const char *missing_from_directory(const struct broker *b)
{
    struct directory_node n;
    if (yzi_directory_node(b->directory, b->node, b->wall, &n, NULL) < 0) {
        return "the node";
    }
    if (yzi_directory_may_sign(b->directory, &n, b->signing.public_key, b->wall) < 0) {
        return "the signing key";
    }
    struct directory_node owner;
    if (yzi_directory_by_transport(b->directory, b->transport.public_key, b->wall, &owner) < 0 ||
        !yzi_bytes_eq(owner.node.v, b->node.v)) {
        return "the transport key";
    }
    return NULL;
}

static bool is_listed(struct broker *b)
{
    const char *missing = missing_from_directory(b);
    if (missing && !b->said_unlisted) {
        yzi_log(&EV_NOT_LISTED,
                (struct log_field[]){
                    log_str("missing", missing),
                    log_str("remedy", "compare node and keys with yz directory show; admit the "
                                      "broker and publish"),
                    {0}});
    }
    b->said_unlisted = missing != NULL;
    return !missing;
}

static void update_readiness(struct broker *b)
{
    uint64_t age = 0;
    enum trust_state state = yzi_trust_state(b->trust, &age);
    bool ready = !b->draining && (state == TRUST_FRESH || state == TRUST_AGING) && is_listed(b) &&
                 yzi_evidence_up(b->evidence);
    yzi_metric_set(&b->metrics.ready, ready);
    yzi_metric_set(&b->metrics.freshness_age_ms, age);
    if (ready && !b->said_ready) {
        b->said_ready = true;
        char line[64];
        snprintf(line, sizeof line, "ready directory=%llu\n",
                 (unsigned long long)yzi_directory_version(b->directory));
        yzi_daemon_say(&b->ready_fd, line);
        yzi_log(&EV_READY, NULL);
    }
    if (state == TRUST_AGING || state == TRUST_EXPIRED) {
        if (!b->said_aging) {
            yzi_log(&EV_DIRECTORY_AGING,
                    (struct log_field[]){
                        log_num("age_ms", (int64_t)age),
                        log_str("remedy", b->has_freshness ? "see freshness.failed"
                                                           : "this broker has no freshness key"),
                        {0}});
        }
        b->said_aging = true;
    } else {
        b->said_aging = false;
    }
}

static void update_gauges(struct broker *b)
{
    struct metrics *m = &b->metrics;
    struct server_counters c;
    yzi_server_counters(b->server, &c);
    yzi_metric_set(&m->handshakes, c.admitted);
    yzi_metric_set(&m->handshakes_refused, c.refused);
    yzi_metric_set(&m->handshakes_put_off, c.put_off);
    yzi_metric_set(&m->cut_silent, c.cut_silent);
    yzi_metric_set(&m->cut_greedy, c.cut_greedy);
    yzi_metric_set(&m->wires, c.wires);
    yzi_metric_set(&m->unread_bytes, c.unread_bytes);
    yzi_metric_set(&m->unsent_bytes, c.unsent_bytes);
    yzi_metric_set(&m->connections, yzi_connections_count(&b->connections));
    yzi_metric_set(&m->in_flight, yzi_exchanges_count(&b->exchanges));
    yzi_metric_set(&m->in_flight_bytes, b->exchanges.bytes);
    yzi_metric_set(&m->held_bytes, b->exchanges.held_bytes);
    yzi_metric_set(&m->remembered, yzi_replay_count(b->replay));
    yzi_metric_set(&m->offers, yzi_offers_count(b->offers));
    yzi_metric_set(&m->offer_bytes, yzi_offers_bytes(b->offers));
    yzi_metric_set(&m->directory_version, b->directory ? yzi_directory_version(b->directory) : 0);
}

static bool stands(void *ctx, const struct connection_id *id)
{
    struct broker *b = ctx;
    return yzi_server_stands(b->server, id);
}

static void run_timers(struct broker *b, bool all_read)
{
    yzi_broker_expire(b);
    if (b->mono >= b->next_freshness) {
        b->next_freshness = b->mono + FRESHEN_EVERY_MS;
        yzi_broker_freshen(b);
        yzi_broker_forget_announcements(b);
    }
    if (b->mono < b->next_second) {
        return;
    }
    b->next_second = b->mono + SECOND_MS;
    yzi_broker_unpark(b, false);
    yzi_broker_follow_step(b);
    yzi_connections_sweep(&b->connections, b->mono); /* before any is marked gone below */
    if (all_read) {
        yzi_connections_forget_departed(&b->connections, b->mono, stands, b);
    }
    drop_the_silent(b, all_read);
    yzi_broker_log_step(b);
    yzi_broker_heartbeats(b, false);
    update_readiness(b);
    update_gauges(b);
}

/* -- the end -- */

static void say_goodbye(struct broker *b)
{
    yzi_broker_outcomes_flush(b);
    b->said_goodbye = true;
    b->drain_until = b->mono + FAREWELL_MS;
    yzi_buf_clear(&b->out);
    if (yzi_bye_write(yzi_bytes_str("draining"), &b->out) == YZ_OK) {
        yzi_broker_send_all(b, yzi_bytes_buf(&b->out));
    }
}

/* Peers drop the connection when they read the goodbye, with all that is still on its way: so it
 * comes after the last answer, and what was queued gets a moment to leave. */
static void go_on_draining(struct broker *b)
{
    if (b->said_goodbye) {
        b->stopped = b->mono >= b->drain_until;
    } else if ((yzi_exchanges_count(&b->exchanges) == 0 && !b->refused) ||
               b->mono >= b->drain_until) {
        say_goodbye(b);
    }
}

/* -- the step -- */

static uint64_t next_due(const struct broker *b)
{
    uint64_t due = b->next_second;
    uint64_t exchange = yzi_deadlines_next(&b->exchanges.timers);
    uint64_t admin = yzi_admin_deadline(b->admin);
    due = b->draining && b->drain_until < due ? b->drain_until : due;
    due = exchange < due ? exchange : due;
    return admin < due ? admin : due;
}

static void read_clock(struct broker *b)
{
    b->mono = yzi_mono_ms(b->clock);
    b->wall = yzi_wall_ms(b->clock);
}

/* Until something comes or is due. A rest ends by itself. */
static int wait(struct broker *b, struct poll_entry *entries, size_t n, uint64_t rests_ms)
{
    uint64_t due = next_due(b);
    uint64_t ms = due > b->mono ? due - b->mono : 0;
    return yzi_poll(entries, n, (int64_t)(rests_ms && rests_ms < ms ? rests_ms : ms));
}

int yzi_broker_step(struct broker *b, int wake_fd, yz_error *err)
{
    uint64_t rests_ms = yzi_broker_rests_ms(b);
    yzi_server_rest(b->server, rests_ms ? (UINT32_C(1) << b->shared_endpoints) - 1 : 0);
    struct poll_entry entries[SERVER_POLL_ENTRIES + ADMIN_POLL_ENTRIES + 2];
    size_t n = yzi_server_poll_entries(b->server, entries);
    n += yzi_admin_poll_entries(b->admin, entries + n);
    entries[n++] = (struct poll_entry){NULL, yzi_evidence_fd(b->evidence), false};
    if (wake_fd >= 0) {
        entries[n++] = (struct poll_entry){NULL, wake_fd, false};
    }
    read_clock(b);
    int rc = wait(b, entries, n, rests_ms);
    if (rc < 0) {
        return yzi_fail(err, rc, "polling failed");
    }
    read_clock(b);
    yzi_server_step(b->server);
    yzi_admin_step(b->admin);
    settle(b);
    yzi_broker_take_logged(b);
    settle(b);
    bool all_read = receive_some(b) && !rests_ms;
    run_timers(b, all_read);
    yzi_broker_outcomes_flush(b);
    settle(b);
    yzi_broker_rest(b);
    if (b->draining) {
        go_on_draining(b);
    }
    return YZ_OK;
}

void yzi_broker_drain(struct broker *b)
{
    if (b->draining) {
        return;
    }
    b->draining = true;
    b->drain_until = b->mono + b->config->drain;
    b->next_second = b->mono; /* when nothing is under way, it ends at once */
    yzi_metric_set(&b->metrics.ready, 0);
    yzi_log(&EV_DRAINING,
            (struct log_field[]){log_num("in_flight", (int64_t)yzi_exchanges_count(&b->exchanges)),
                                 {0}});
}
