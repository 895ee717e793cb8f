/* SPDX-License-Identifier: Apache-2.0
 *
 * The front: one thread, one poll, everything in turn. Each wake-up reads the clock once, takes a
 * bounded number of messages, answers waiting handshakes and the administration socket, and runs
 * the timers. A message's sender is known before its content is looked at.
 */
#include "broker/broker.h"
#include "broker/kept.h"

#include <unistd.h>

#include "base/daemon.h"
#include "base/file.h"
#include "net/bundle.h"

#define MESSAGES_PER_STEP 256u
#define SECOND_MS 1000u
#define FRESHEN_EVERY_MS 60000u
#define SILENT_ADAPTER_MS (3u * BROKER_HEARTBEAT_ADAPTER_MS)
#define SILENT_CLIENT_MS (3u * BROKER_HEARTBEAT_CLIENT_MS)
#define HELLO_MS 10000u      /* who says other things for so long is no peer */
#define LINES_PER_SECOND 10u /* about one node */
#define FAULTS_BURST_S 8.0   /* seconds' worth of them at once */
#define NONSENSE_BURST_S 16.0
#define EVIDENCE_QUEUE_ITEMS 65536u
#define EVIDENCE_QUEUE_BYTES (64u * 1024u * 1024u)
#define FAREWELL_MS 200u /* for the last answers and the goodbye to leave */

/* -- making and ending -- */

static int load_keys(struct broker *b, yz_error *err)
{
    YZ_TRY(yzi_keyfile_load_held(b->config->home, "signing", KEY_SIGNING, &b->signing, err));
    YZ_TRY(yzi_keyfile_load_held(b->config->home, "transport", KEY_TRANSPORT, &b->transport, err));
    YZ_TRY(yzi_keyfile_load_held(b->config->home, "log", KEY_LOG, &b->log, err));
    yz_error ignored;
    int rc =
        yzi_keyfile_load_held(b->config->home, "freshness", KEY_FRESHNESS, &b->freshness, &ignored);
    if (rc < 0 && rc != YZ_ENOTFOUND) {
        return yzi_fail(err, rc, "%s", ignored.text);
    }
    b->has_freshness = rc == YZ_OK;
    return YZ_OK;
}

static int open_trust(struct broker *b, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    YZ_AUTO(yzi_free_ptr) char *anchor = NULL;
    YZ_TRY(yzi_path_join(b->config->home, "state", &dir));
    YZ_TRY(yzi_path_join(b->config->home, "anchor.yzr", &anchor));
    struct trust_options o = {.anchor = anchor,
                              .dir = dir,
                              .clock = b->clock,
                              .warn_ms = b->config->directory.warn,
                              .stop_ms = b->config->directory.stop};
    YZ_TRY(yzi_trust_open(&o, &b->trust, err));
    b->directory = yzi_trust_directory(b->trust);
    return YZ_OK;
}

static int open_evidence(struct broker *b, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    YZ_TRY(yzi_path_join(b->config->home, "state/evidence", &dir));
    struct evidence_options o = {.dir = dir,
                                 .publish = b->config->evidence.publish,
                                 .retention_ms = b->config->evidence.retention,
                                 .node = b->node,
                                 .log = &b->log,
                                 .clock = b->clock,
                                 .metrics = &b->metrics,
                                 .queue_items = EVIDENCE_QUEUE_ITEMS,
                                 .queue_bytes = EVIDENCE_QUEUE_BYTES};
    return yzi_evidence_open(&o, &b->evidence, err);
}

/* May this key connect? By the directory in force; nobody may without one. */
static bool admit_key(void *ctx, const uint8_t key[32])
{
    struct broker *b = ctx;
    struct directory_node node;
    return b->directory &&
           yzi_directory_by_transport(b->directory, key, yzi_wall_ms(b->clock), &node) == YZ_OK;
}

/* And now? Whoever is put off tries again, here or at another broker. */
static bool has_room(void *ctx, const uint8_t key[32])
{
    struct broker *b = ctx;
    struct directory_node node;
    return !b->draining && yzi_connections_count(&b->connections) < b->connections.max &&
           yzi_directory_by_transport(b->directory, key, yzi_wall_ms(b->clock), &node) == YZ_OK &&
           yzi_connections_of_node(&b->connections, node.node) < b->connections.max_per_node;
}

static int listen_everywhere(struct broker *b, yz_error *err)
{
    const struct config_list *listen = &b->config->listen;
    const struct broker_limits *limits = &b->config->limits;
    struct server_options o = {.net = b->net,
                               .message_max = limits->message,
                               .queue_bytes = limits->queue_bytes,
                               .queue_bytes_per_peer = limits->queue_bytes_per_peer,
                               .clock = b->clock,
                               .admit = admit_key,
                               .has_room = has_room,
                               .ctx = b};
    for (size_t i = 0; i < listen->n && i < SERVER_ENDPOINTS_MAX; i++) {
        o.endpoints[i].address = listen->items[i];
        o.endpoints[i].transport = &b->transport;
        o.endpoints_n++;
    }
    YZ_TRY(yzi_server_new(&o, &b->server, err));
    YZ_TRY(yzi_admin_server_new(b->config->admin, b->clock, yzi_broker_admin, b, &b->admin, err));
    if (b->config->ops && b->config->ops[0]) {
        YZ_TRY(
            yzi_ops_start(b->config->ops, b->config->evidence.publish, &b->metrics, &b->ops, err));
    }
    return YZ_OK;
}

static void announce_listening(struct broker *b)
{
    const char *ops = b->ops ? yzi_ops_address(b->ops) : "";
    char line[512];
    snprintf(line, sizeof line, "listening endpoint=%s ops=%s\n", yzi_server_endpoint(b->server, 0),
             ops);
    yzi_daemon_say(&b->ready_fd, line);
    for (size_t i = 0; i < b->config->listen.n; i++) {
        yzi_log(&EV_LISTENING, (struct log_field[]){
                                   log_str("endpoint", yzi_server_endpoint(b->server, (unsigned)i)),
                                   log_str("ops", ops),
                                   {0}});
    }
    if (!b->directory) {
        yzi_log(&EV_NO_DIRECTORY,
                (struct log_field[]){
                    log_str("remedy", "publish one: yz directory publish --admin SOCKET"),
                    log_str("admin", b->config->admin),
                    {0}});
    }
}

/* What was accepted before a restart is known again. */
static int open_replay(struct broker *b, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    size_t damaged;
    YZ_TRY(yzi_path_join(b->config->home, "state/replay", &dir));
    YZ_TRY(yzi_replay_log_open(dir, &b->replay_log, err));
    YZ_TRY(yzi_replay_new(b->config->limits.remembered, yzi_replay_log_key(b->replay_log),
                          &b->replay));
    YZ_TRY(yzi_replay_log_load(b->replay_log, b->replay, b->wall, &damaged, err));
    if (damaged) {
        yzi_log(&EV_REPLAY_DAMAGED,
                (struct log_field[]){log_num("slots", (int64_t)damaged), log_str("dir", dir), {0}});
    }
    if (yzi_replay_count(b->replay)) {
        yzi_log(&EV_REPLAY_RESTORED,
                (struct log_field[]){log_num("ids", (int64_t)yzi_replay_count(b->replay)), {0}});
    }
    return YZ_OK;
}

static int start(struct broker *b, yz_error *err)
{
    YZ_TRY(load_keys(b, err));
    YZ_TRY(open_trust(b, err));
    YZ_TRY(yzi_offers_new(&b->offers));
    yzi_offers_set_limits(b->offers, b->config->limits.offer_bytes,
                          b->config->limits.offer_bytes_per_member);
    yzi_kept_load(b);
    YZ_TRY(open_replay(b, err));
    YZ_TRY(yzi_net_new(1, &b->net));
    YZ_TRY(open_evidence(b, err));
    YZ_TRY(listen_everywhere(b, err));
    announce_listening(b);
    struct server_counters counters;
    yzi_server_counters(b->server, &counters);
    if (!counters.measured) {
        yzi_log(&EV_UNMEASURED, (struct log_field[]){log_str("remedy", "set MemoryMax"), {0}});
    }
    return YZ_OK;
}

/* At the start (all else of both is zero, which is empty) and when they change. */
static void set_limits(struct broker *b)
{
    const struct broker_limits *l = &b->config->limits;
    b->connections.max = l->peers;
    b->connections.max_per_node = l->connections_per_peer;
    b->exchanges.max = l->in_flight;
    b->exchanges.per_service_max = l->in_flight_per_service;
    b->exchanges.bytes_max = l->in_flight_bytes;
    b->exchanges.bytes_per_service_max = l->in_flight_bytes_per_service;
    b->exchanges.bytes_per_peer_max = l->in_flight_bytes_per_peer;
}

int yzi_broker_new(const struct broker_config *config, const struct clock *clock, int ready_fd,
                   struct broker **out, yz_error *err)
{
    struct broker *b;
    YZ_TRY(yzi_alloc(1, sizeof *b, &b));
    b->config = config;
    b->clock = clock;
    b->ready_fd = ready_fd;
    yzi_buf_init(&b->out, YZ_MESSAGE_MAX + YZ_HOP_MAX);
    set_limits(b);
    b->mono = yzi_mono_ms(clock);
    b->wall = yzi_wall_ms(clock);
    int rc = yzi_node_id_parse(yzi_bytes_str(config->node), &b->node);
    rc = rc < 0 ? rc : yzi_broker_outcomes_new(&b->outcomes);
    if (rc == YZ_OK) {
        rc = start(b, err);
    }
    if (rc < 0) {
        yzi_broker_free(b);
        return rc;
    }
    *out = b;
    return YZ_OK;
}

void yzi_broker_free(struct broker *b)
{
    if (!b) {
        return;
    }
    yzi_ops_stop(b->ops);
    yzi_admin_server_close(b->admin);
    yzi_server_close(b->server);
    for (size_t i = 0; i < b->parked_n; i++) {
        yzi_message_fini(&b->parked[i].message);
    }
    yzi_exchanges_fini(&b->exchanges);
    while (b->refused) {
        yzi_broker_end(b, b->refused);
    }
    yzi_evidence_close(b->evidence);
    yzi_directory_unref(b->logged_directory);
    yzi_connections_fini(&b->connections);
    yzi_broker_objects_fini(b);
    yzi_offers_free(b->offers);
    yzi_replay_free(b->replay);
    yzi_replay_log_close(b->replay_log);
    yzi_directory_unref(b->directory);
    yzi_trust_close(b->trust);
    yzi_net_free(b->net);
    yzi_key_pair_fini(&b->signing);
    yzi_key_pair_fini(&b->transport);
    yzi_key_pair_fini(&b->log);
    yzi_key_pair_fini(&b->freshness);
    yzi_broker_outcomes_free(b->outcomes);
    yzi_buf_fini(&b->out);
    free(b);
}

/* -- shared by the other files -- */

struct judge yzi_broker_judge(const struct broker *b)
{
    return (struct judge){b->directory, b->wall, b->config->limits.skew};
}

void yzi_broker_send(struct broker *b, const struct connection_id *to, yz_bytes frame)
{
    int rc = yzi_server_send(b->server, to, frame);
    if (rc == YZ_OK) {
        return;
    }
    yzi_metric_add(&b->metrics.messages_dropped, 1);
    struct connection *k = yzi_connection_find(&b->connections, to);
    if (rc == YZ_ECLOSED && k) {
        yzi_broker_connection_lost(b, k, "gone");
    }
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
    if (k->hello) {
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
            yzi_connection_drop(&b->connections, k);
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

void yzi_broker_limits_changed(struct broker *b)
{
    set_limits(b);
    yzi_offers_set_limits(b->offers, b->config->limits.offer_bytes,
                          b->config->limits.offer_bytes_per_member);
    yzi_server_set_queue_bytes(b->server, b->config->limits.queue_bytes,
                               b->config->limits.queue_bytes_per_peer);
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
    if (yzi_connection_get(&b->connections, from, key, b->mono, &k) < 0) {
        yzi_metric_add(&b->metrics.messages_dropped, 1);
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
    int rc = yzi_frame_parse(m->bytes, b->config->limits.message, &f);
    if (rc < 0) {
        bad_message(b, k, "", yz_err_name(rc));
        return;
    }
    dispatch(b, k, &f, m);
}

/* Each message of a bundle as if it had come alone. When the rest of it is no message, the whole is
 * none either, and is refused as such in its sender's name. */
static void receive_bundle(struct broker *b, const struct connection_id *from,
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
}

/* A bounded number, so that a flood cannot keep the timers from running. */
static void receive_some(struct broker *b)
{
    for (unsigned i = 0; i < MESSAGES_PER_STEP; i++) {
        struct connection_id from;
        uint8_t key[32];
        struct message m = {0};
        if (yzi_server_recv(b->server, &from, key, &m) < 0) {
            return;
        }
        receive_bundle(b, &from, key, &m);
    }
}

/* -- timers -- */

static void drop_the_silent(struct broker *b)
{
    for (struct table_item *i = yzi_table_first(&b->connections.by_id); i; i = yzi_table_next(i)) {
        struct connection *k = yzi_table_value(i);
        uint64_t patience = k->role == ROLE_ADAPTER ? SILENT_ADAPTER_MS : SILENT_CLIENT_MS;
        if (b->mono - k->seen_mono > patience) {
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

static void run_timers(struct broker *b)
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
    drop_the_silent(b);
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

int yzi_broker_step(struct broker *b, int wake_fd, yz_error *err)
{
    struct poll_entry entries[SERVER_POLL_ENTRIES + ADMIN_POLL_ENTRIES + 2];
    size_t n = yzi_server_poll_entries(b->server, entries);
    n += yzi_admin_poll_entries(b->admin, entries + n);
    entries[n++] = (struct poll_entry){NULL, yzi_evidence_fd(b->evidence), false};
    if (wake_fd >= 0) {
        entries[n++] = (struct poll_entry){NULL, wake_fd, false};
    }
    read_clock(b);
    uint64_t due = next_due(b);
    int64_t wait = due > b->mono ? (int64_t)(due - b->mono) : 0;
    int rc = yzi_poll(entries, n, wait);
    if (rc < 0) {
        return yzi_fail(err, rc, "polling failed");
    }
    read_clock(b);
    yzi_server_step(b->server);
    yzi_admin_step(b->admin);
    settle(b);
    yzi_broker_take_logged(b);
    settle(b);
    receive_some(b);
    run_timers(b);
    yzi_broker_outcomes_flush(b);
    settle(b);
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
