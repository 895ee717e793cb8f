/* SPDX-License-Identifier: Apache-2.0
 *
 * The table behind adapters/config.h.
 */
#include "adapters/config.h"

#include "proto/id.h"

#define ARENA_MAX (256u * 1024u)
#define MESSAGE_MIN (1024u * 1024u) /* a chunk of the directory fits, and any record */

static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};

static const struct config_field broker_fields[] = {
    {"node", CONFIG_TEXT, offsetof(struct adapter_broker, node), true, .min = 1, .max = YZ_ID_MAX,
     .place_offset = offsetof(struct adapter_broker, at),
     .help = "The broker's id, INSTANCE/@code."},
    {"endpoint", CONFIG_TEXT, offsetof(struct adapter_broker, endpoint), true, .min = 1, .max = 255,
     .help = "Where it listens, tcp://host:port."},
    {"key", CONFIG_TEXT, offsetof(struct adapter_broker, key), false, .max = 64,
     .help = "Its transport key in base64; may be left out when the anchor or directory names it."},
    {0}};

static const struct config_field dataset_fields[] = {
    {"definition", CONFIG_PATH, offsetof(struct adapter_dataset, definition), true,
     .help = "The data set's definition file."},
    {0}};

#define AT(field) offsetof(struct adapter_limits, field)
static const struct config_field limit_fields[] = {
    {"message", CONFIG_SIZE, AT(message), false, "16MiB", MESSAGE_MIN, YZ_MESSAGE_MAX,
     .help = "The largest message taken or sent."},
    {"queue", CONFIG_U64, AT(queue), false, "1024", 1, 1000000,
     .help = "Requests waiting for a worker; more are handed back as busy."},
    {"answers", CONFIG_U64, AT(answers), false, "1000000", 16, 100000000,
     .help = "Requests remembered until they expire; when full, they are handed back as busy."},
    {"answer_bytes", CONFIG_SIZE, AT(answer_bytes), false, "256MiB", 65536, 1ull << 40,
     .help = "Bytes of answers kept for retries; beyond it the oldest are let go."},
    {"answers_per_node", CONFIG_U64, AT(answers_per_node), false, "250000", 1, 100000000,
     .help = "Of these, requests of one node."},
    {"answer_bytes_per_node", CONFIG_SIZE, AT(answer_bytes_per_node), false, "64MiB", 65536,
     1ull << 40, .help = "Of these, bytes of answers to one node."},
    {"writes", CONFIG_U64, AT(writes), false, "100000", 16, 100000000,
     .help =
         "Requests to services that write, remembered durably until they expire; when full, they "
         "are handed back as busy."},
    {"writes_per_node", CONFIG_U64, AT(writes_per_node), false, "10000", 1, 100000000,
     .help = "Of these, requests of one node."},
    {"rows", CONFIG_U64, AT(rows), false, "10000", 1, 1000000, .help = "Rows in one answer."},
    {"entries", CONFIG_U64, AT(entries), false, "100000", 1, 100000000,
     .help = "Index entries one find or count may look at; a query that needs more is refused."},
    {"query_time", CONFIG_DURATION, AT(query_time), false, "5s", 1, 300000,
     .help = "How long one query may run."},
    {"cursor_time", CONFIG_DURATION, AT(cursor_time), false, "10m", 1000, 86400000,
     .help = "How long the cursor of a page is good."},
    {"skew", CONFIG_DURATION, AT(skew), false, "30s", 0, 300000,
     .help = "How far clocks of honest nodes may differ."},
    {0}};
#undef AT

static const struct config_field directory_fields[] = {
    {"warn", CONFIG_DURATION, 0, false, "10m", 1000, 86400000,
     .help = "Freshness older than this is warned about."},
    {"stop", CONFIG_DURATION, sizeof(uint64_t), false, "24h", 1000, 30ull * 86400000,
     .place_offset = 2 * sizeof(uint64_t),
     .help = "Freshness older than this: no request is answered."},
    {0}};

static const struct config_field keep_fields[] = {
    {"days", CONFIG_U64, 0, false, "90", 0, 36500,
     .help = "How many days exchanges are kept in home/kept, encrypted, as proof; 0: not at all."},
    {0}};

#define AT(field) offsetof(struct adapter_config, field)
const struct config_field yzi_adapter_config_fields[] = {
    {"node", CONFIG_TEXT, AT(node), true, .min = 1, .max = YZ_ID_MAX, .place_offset = AT(node_at),
     .help = "This adapter's node id, MEMBER/@code."},
    {"home", CONFIG_PATH, AT(home), false, ".", .help = "Folder of keys/, state/ and data/."},
    {"anchor", CONFIG_PATH, AT(anchor), false, "anchor.yzr",
     .help = "The anchor: a root statement whose fingerprint was compared out of band."},
    {"admin", CONFIG_PATH, AT(admin), false, .help = "The administration socket; home/admin.sock."},
    {"log_level", CONFIG_ENUM, AT(log_level), false, "info", .names = log_levels,
     .help = "The least level that is logged."},
    {"lock_secrets", CONFIG_BOOL, AT(lock_secrets), false, "true",
     .help = "Refuse to start when secrets cannot be locked in memory."},
    {"brokers", CONFIG_MAPS, AT(brokers), true, .min = 1, .max = YZ_BROKERS_MAX,
     .fields = broker_fields, .item_size = sizeof(struct adapter_broker),
     .help = "The brokers to connect to."},
    {"datasets", CONFIG_MAPS, AT(datasets), false, .max = 64, .fields = dataset_fields,
     .item_size = sizeof(struct adapter_dataset), .help = "The data sets held here."},
    {"workers", CONFIG_U64, AT(workers), false, "2", 1, 64, .help = "Threads that answer queries."},
    {"limits", CONFIG_MAP, AT(limits), false, .fields = limit_fields, .help = "Limits."},
    {"directory", CONFIG_MAP, AT(directory), false, .fields = directory_fields,
     .help = "How old the directory's freshness may be."},
    {"keep", CONFIG_MAP, AT(keep), false, .fields = keep_fields,
     .help = "What is kept of exchanges, to be proved later."},
    {"drain", CONFIG_DURATION, AT(drain), false, "10s", 0, 300000,
     .help = "How long a SIGTERM waits for answers under way."},
    {0}};
#undef AT

static bool is_named_twice(const struct adapter_broker *brokers, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (strcmp(brokers[k].node, brokers[i].node) == 0) {
            return true;
        }
    }
    return false;
}

static int check_brokers(const struct adapter_config *c, const char *path, yz_error *err)
{
    const struct adapter_broker *brokers = c->brokers.items;
    for (size_t i = 0; i < c->brokers.n; i++) {
        yz_node_id node;
        if (yzi_node_id_parse(yzi_bytes_str(brokers[i].node), &node) < 0 ||
            !yzi_node_is_broker(node)) {
            return yzi_config_fault(err, path, brokers[i].at,
                                    "brokers: '%s' is not a broker's id; write INSTANCE/@code",
                                    brokers[i].node);
        }
        if (is_named_twice(brokers, i)) { /* each connection would put an end to the other */
            return yzi_config_fault(err, path, brokers[i].at, "brokers: '%s' is named twice",
                                    brokers[i].node);
        }
    }
    return YZ_OK;
}

static int check(struct adapter_config *c, const char *path, yz_error *err)
{
    yz_node_id node;
    if (yzi_node_id_parse(yzi_bytes_str(c->node), &node) < 0 || yzi_node_is_broker(node)) {
        return yzi_config_fault(err, path, c->node_at,
                                "node: '%s' is not an adapter's id; write MEMBER/@code, for "
                                "example CN/GOV/MCA/@a1",
                                c->node);
    }
    if (c->directory.warn > c->directory.stop) {
        return yzi_config_fault(
            err, path, c->directory.stop_at,
            "directory: stop comes before warn (10m unless it is set), so nothing would warn "
            "of it; make warn the shorter one");
    }
    YZ_TRY(check_brokers(c, path, err));
    return yzi_config_default_path(&c->arena, c->home, "admin.sock", &c->admin);
}

int yzi_adapter_config_load(const char *path, struct adapter_config *out, yz_error *err)
{
    *out = (struct adapter_config){0};
    yzi_arena_init(&out->arena, ARENA_MAX);
    YZ_TRY(yzi_config_load(path, yzi_adapter_config_fields, &out->arena, out, err));
    return check(out, path, err);
}

void yzi_adapter_config_fini(struct adapter_config *c)
{
    yzi_arena_fini(&c->arena);
}
