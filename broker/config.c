/* SPDX-License-Identifier: Apache-2.0
 *
 * The table behind broker/config.h.
 */
#include "broker/config.h"

#include "proto/id.h"

#define ARENA_MAX (256u * 1024u)
#define OFFERS_MIN (8ull << 20)         /* the largest, opened */
#define QUEUE_MIN (2u * YZ_MESSAGE_MAX) /* one coming in and one that is read */
#define MESSAGE_MIN (1024u * 1024u)     /* a chunk of the directory fits, and any record */

static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};

#define AT(field) offsetof(struct broker_limits, field)
static const struct config_field limit_fields[] = {
    {"peers", CONFIG_U64, AT(peers), false, "10000", 1, 1000000, .help = "Connections at most."},
    {"connections_per_peer", CONFIG_U64, AT(connections_per_peer), false, "256", 1, 1000000,
     .help = "Connections of one node; more are refused."},
    {"message", CONFIG_SIZE, AT(message), false, "16MiB", MESSAGE_MIN, YZ_MESSAGE_MAX,
     .help = "The largest message taken from a peer."},
    {"in_flight_per_service", CONFIG_U64, AT(in_flight_per_service), false, "1024", 1, 1000000,
     .help = "Exchanges of one service under way; more get `busy`."},
    {"in_flight_per_peer", CONFIG_U64, AT(in_flight_per_peer), false, "1024", 1, 1000000,
     .help = "Exchanges of one consumer node under way; more get `busy`."},
    {"in_flight", CONFIG_U64, AT(in_flight), false, "65536", 1, 1000000,
     .help = "Exchanges of all services and nodes under way; more get `busy`."},
    {"in_flight_bytes", CONFIG_SIZE, AT(in_flight_bytes), false, "256MiB", 65536, 1ull << 40,
     .help = "Bytes of all requests under way; more get `busy`."},
    {"in_flight_bytes_per_service", CONFIG_SIZE, AT(in_flight_bytes_per_service), false, "128MiB",
     65536, 1ull << 40, .help = "The same for one service."},
    {"in_flight_bytes_per_peer", CONFIG_SIZE, AT(in_flight_bytes_per_peer), false, "128MiB", 65536,
     1ull << 40, .help = "The same for one consumer node."},
    {"faults_per_peer", CONFIG_U64, AT(faults_per_peer), false, "32", 0, 1000000,
     .help = "Failed verifications a second from one node, then `busy`; 0: no limit."},
    {"nonsense_per_peer", CONFIG_U64, AT(nonsense_per_peer), false, "256", 0, 1000000,
     .help =
         "Messages a second from one node that are refused as wrong, then it is cut; 0: no limit."},
    {"queue_bytes", CONFIG_SIZE, AT(queue_bytes), false, "256MiB", QUEUE_MIN, 1ull << 40,
     .help = "Bytes held by sockets each way, in all; more are not sent, or cost a connection."},
    {"queue_bytes_per_peer", CONFIG_SIZE, AT(queue_bytes_per_peer), false, "64MiB", QUEUE_MIN,
     1ull << 40, .help = "The same for one node, over all its connections."},
    {"rate_per_peer", CONFIG_U64, AT(rate_per_peer), false, "0", 0, 1000000,
     .help = "Requests a second from one consumer node; 0: no limit."},
    {"remembered", CONFIG_U64, AT(remembered), false, "1000000", 1000, 100000000,
     .help = "Message ids remembered against replays; when full, `busy`."},
    {"offer_bytes", CONFIG_SIZE, AT(offer_bytes), false, "256MiB", OFFERS_MIN, 1ull << 40,
     .help = "Memory that all offers take; more are refused."},
    {"offer_bytes_per_member", CONFIG_SIZE, AT(offer_bytes_per_member), false, "32MiB", OFFERS_MIN,
     1ull << 40, .help = "The same for those of one member."},
    {"skew", CONFIG_DURATION, AT(skew), false, "30s", 0, 300000,
     .help = "How far clocks of honest nodes may differ."},
    {0}};
#undef AT

static const struct config_field directory_fields[] = {
    {"warn", CONFIG_DURATION, 0, false, "10m", 1000, 86400000,
     .help = "Freshness older than this is warned about."},
    {"stop", CONFIG_DURATION, sizeof(uint64_t), false, "24h", 1000, 30ull * 86400000,
     .place_offset = 2 * sizeof(uint64_t),
     .help = "Freshness older than this: no exchange is admitted."},
    {0}};

static const struct config_field evidence_fields[] = {
    {"publish", CONFIG_PATH, 0, false,
     .help = "Folder the log's tiles and checkpoint are published in; home/log."},
    {"retention", CONFIG_DURATION, sizeof(const char *), false, "0s", 0, 36525ull * 86400000,
     .help = "Bodies of entries older than this are let go of; 0s: never."},
    {0}};

#define AT(field) offsetof(struct broker_config, field)
const struct config_field yzi_broker_config_fields[] = {
    {"node", CONFIG_TEXT, AT(node), true, .min = 1, .max = YZ_ID_MAX, .place_offset = AT(node_at),
     .help = "This broker's id, INSTANCE/@code."},
    {"home", CONFIG_PATH, AT(home), false, ".", .help = "Folder of keys/ and state/."},
    {"listen", CONFIG_LIST, AT(listen), true, .min = 1, .max = 4,
     .help = "Endpoints, tcp://host:port; port * picks a free one."},
    {"listen_adapters", CONFIG_LIST, AT(listen_adapters), false, .min = 1, .max = 4,
     .help = "Endpoints for adapters only, whose answers then never wait behind requests."},
    {"admin", CONFIG_PATH, AT(admin), false, .help = "The administration socket; home/admin.sock."},
    {"ops", CONFIG_TEXT, AT(ops), false, "127.0.0.1:7301", .max = 255, .place_offset = AT(ops_at),
     .help =
         "Where /healthz, /readyz and /metrics are served; port 0 picks one, empty turns it off."},
    {"log_level", CONFIG_ENUM, AT(log_level), false, "info", .names = log_levels,
     .help = "The least level that is logged."},
    {"lock_secrets", CONFIG_BOOL, AT(lock_secrets), false, "true",
     .help = "Refuse to start when secrets cannot be locked in memory."},
    {"limits", CONFIG_MAP, AT(limits), false, .fields = limit_fields, .help = "Limits."},
    {"directory", CONFIG_MAP, AT(directory), false, .fields = directory_fields,
     .help = "How old the directory's freshness may be."},
    {"evidence", CONFIG_MAP, AT(evidence), false, .fields = evidence_fields,
     .help = "The evidence log."},
    {"drain", CONFIG_DURATION, AT(drain), false, "10s", 0, 300000,
     .help = "How long a SIGTERM waits for exchanges under way."},
    {0}};
#undef AT

static int check(struct broker_config *c, const char *path, yz_error *err)
{
    yz_node_id node;
    if (yzi_node_id_parse(yzi_bytes_str(c->node), &node) < 0 || !yzi_node_is_broker(node)) {
        return yzi_config_fault(err, path, c->node_at,
                                "node: '%s' is not a broker's id; write INSTANCE/@code, for "
                                "example CN/@b1",
                                c->node);
    }
    if (c->directory.warn > c->directory.stop) {
        return yzi_config_fault(
            err, path, c->directory.stop_at,
            "directory: stop comes before warn (10m unless it is set), so nothing would warn "
            "of it; make warn the shorter one");
    }
    YZ_TRY(yzi_config_default_path(&c->arena, c->home, "log", &c->evidence.publish));
    return yzi_config_default_path(&c->arena, c->home, "admin.sock", &c->admin);
}

int yzi_broker_config_load(const char *path, struct broker_config *out, yz_error *err)
{
    *out = (struct broker_config){0};
    yzi_arena_init(&out->arena, ARENA_MAX);
    YZ_TRY(yzi_config_load(path, yzi_broker_config_fields, &out->arena, out, err));
    return check(out, path, err);
}

void yzi_broker_config_fini(struct broker_config *c)
{
    yzi_arena_fini(&c->arena);
}
