/* SPDX-License-Identifier: Apache-2.0
 *
 * How a broker comes up and goes down: keys, trust, what was remembered, the evidence log and the
 * sockets, in an order in which each finds what it needs; and its limits, which SIGHUP may change.
 */
#include <unistd.h>

#include "base/daemon.h"
#include "base/file.h"
#include "broker/broker.h"
#include "broker/kept.h"

#define EVIDENCE_QUEUE_ITEMS 65536u
#define EVIDENCE_QUEUE_BYTES (64u * 1024u * 1024u)
/* Of a connection, received and not yet looked at: a few hundred usual requests, so that whoever
 * sends more than can be read is told to wait by TCP soon, and what is read is not old. */
#define REQUESTS_AHEAD (128 * 1024)

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

/* Answers go before requests, and are taken as fast as they come. */
static void add_endpoints(const struct config_list *addresses, bool for_adapters,
                          struct key_pair *transport, struct server_options *o)
{
    for (size_t i = 0; i < addresses->n && o->endpoints_n < SERVER_ENDPOINTS_MAX; i++) {
        unsigned n = o->endpoints_n++;
        o->endpoints[n].address = addresses->items[i];
        o->endpoints[n].transport = transport;
        o->endpoints[n].receive_buffer = for_adapters ? 0 : REQUESTS_AHEAD;
        o->endpoints[n].keeps_turn = for_adapters;
    }
}

static int listen_everywhere(struct broker *b, yz_error *err)
{
    const struct broker_limits *limits = &b->config->limits;
    struct server_options o = {.net = b->net,
                               .message_max = limits->message,
                               .queue_bytes = limits->queue_bytes,
                               .queue_bytes_per_peer = limits->queue_bytes_per_peer,
                               .clock = b->clock,
                               .admit = admit_key,
                               .has_room = has_room,
                               .ctx = b};
    add_endpoints(&b->config->listen, false, &b->transport, &o);
    b->shared_endpoints = o.endpoints_n;
    add_endpoints(&b->config->listen_adapters, true, &b->transport, &o);
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
    const char *adapters = yzi_server_endpoint(b->server, b->shared_endpoints);
    char line[1024];
    snprintf(line, sizeof line, "listening endpoint=%s ops=%s%s%s\n",
             yzi_server_endpoint(b->server, 0), ops, adapters ? " adapters=" : "",
             adapters ? adapters : "");
    yzi_daemon_say(&b->ready_fd, line);
    const char *endpoint;
    for (unsigned i = 0; (endpoint = yzi_server_endpoint(b->server, i)) != NULL; i++) {
        yzi_log(&EV_LISTENING,
                (struct log_field[]){log_str("endpoint", endpoint),
                                     log_str("for", i < b->shared_endpoints ? "all" : "adapters"),
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
    b->overload.preempted = yzi_broker_preemptions;
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

void yzi_broker_limits_changed(struct broker *b)
{
    set_limits(b);
    yzi_offers_set_limits(b->offers, b->config->limits.offer_bytes,
                          b->config->limits.offer_bytes_per_member);
    yzi_server_set_queue_bytes(b->server, b->config->limits.queue_bytes,
                               b->config->limits.queue_bytes_per_peer);
}
