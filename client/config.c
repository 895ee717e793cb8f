/* SPDX-License-Identifier: Apache-2.0
 *
 * The table behind client/config.h, and the checks a table cannot do.
 */
#include "client/config.h"

#include "base/file.h"
#include "base/text.h"

#define ARENA_MAX (256u * 1024u)

static const char *const receipt_rules[] = {"require", "report", NULL};

#define AT(field) offsetof(struct client_broker, field)
static const struct config_field broker_fields[] = {
    {"node", CONFIG_TEXT, AT(node), true, .min = 1, .max = YZ_ID_MAX, .place_offset = AT(node_at),
     .help = "The broker's id, INSTANCE/@code."},
    {"endpoint", CONFIG_TEXT, AT(endpoint), true, .min = 1, .max = YZ_ADDRESS_MAX,
     .help = "Where it listens, tcp://host:port."},
    {"key", CONFIG_TEXT, AT(key), false, .min = 1, .max = 64, .place_offset = AT(key_at),
     .help = "Its transport key, base64; may be left out when the directory kept in the home, or "
             "the anchor, names the broker."},
    {0}};
#undef AT

static const struct config_field directory_fields[] = {
    {"stop", CONFIG_DURATION, 0, false, "24h", 1000, 30ull * 86400000,
     .help = "Freshness older than this: no call is made and no answer believed."},
    {0}};

static const struct config_field keep_fields[] = {
    {"days", CONFIG_U64, 0, false, "90", 0, 36500,
     .help = "How many days exchanges are kept in home/kept, encrypted, as proof; 0: not at all."},
    {0}};

#define AT(field) offsetof(struct client_config, field)
const struct config_field yzi_client_config_fields[] = {
    {"node", CONFIG_TEXT, AT(node), true, .min = 1, .max = YZ_ID_MAX, .place_offset = AT(node_at),
     .help = "This node's id, INSTANCE/CLASS/MEMBER/@code."},
    {"subsystem", CONFIG_TEXT, AT(subsystem), true, .min = 1, .max = YZ_ID_MAX,
     .place_offset = AT(subsystem_at),
     .help = "The subsystem it asks for, INSTANCE/CLASS/MEMBER/SUBSYSTEM."},
    {"home", CONFIG_PATH, AT(home), false, ".", .help = "Folder of keys/ and state/."},
    {"anchor", CONFIG_PATH, AT(anchor), false, "anchor.yzr",
     .help = "The anchor: the root statement that was compared out of band."},
    {"brokers", CONFIG_MAPS, AT(brokers), true, .min = 1, .max = YZ_BROKERS_MAX,
     .fields = broker_fields, .item_size = sizeof(struct client_broker),
     .place_offset = AT(brokers_at),
     .help = "Brokers to connect to; the first that is up is used, the others when it goes down."},
    {"timeout", CONFIG_DURATION, AT(timeout), false, "30s", CLIENT_TIMEOUT_MIN_MS,
     CLIENT_TIMEOUT_MAX_MS, .help = "How long a call may take when the request does not say."},
    {"in_flight", CONFIG_U64, AT(in_flight), false, "10000", 1, CLIENT_CALLS_MAX,
     .help = "How many submitted calls may wait to end or to be polled."},
    {"message", CONFIG_SIZE, AT(message), false, "16MiB", 65536, YZ_MESSAGE_MAX,
     .help = "The largest message sent or taken."},
    {"receipts", CONFIG_ENUM, AT(receipts), false, "require", .names = receipt_rules,
     .help = "A provider's answer without a true receipt of the broker's log: `require` ends the "
             "call with an error, `report` shows the answer and says so."},
    {"lock_secrets", CONFIG_BOOL, AT(lock_secrets), false, "true",
     .help = "Fail when secrets cannot be locked in memory. Holds for the whole process."},
    {"keep", CONFIG_MAP, AT(keep), false, .fields = keep_fields,
     .help = "What is kept of exchanges, to be proved later (yz evidence list --kept)."},
    {"directory", CONFIG_MAP, AT(directory), false, .fields = directory_fields,
     .help = "How old the directory's freshness may be."},
    {0}};
#undef AT

static int check_ids(struct client_config *c, const char *path, yz_error *err)
{
    if (yzi_node_id_parse(yzi_bytes_str(c->node), &c->node_id) < 0 ||
        yzi_node_is_broker(c->node_id)) {
        return yzi_config_fault(err, path, c->node_at,
                                "node: '%s' is not a client's id; write "
                                "INSTANCE/CLASS/MEMBER/@code, for example CN/GOV/HB/@w1",
                                c->node);
    }
    if (yzi_subsystem_id_parse(yzi_bytes_str(c->subsystem), &c->subsystem_id) < 0) {
        return yzi_config_fault(err, path, c->subsystem_at,
                                "subsystem: '%s' is not a subsystem's id; write "
                                "INSTANCE/CLASS/MEMBER/SUBSYSTEM, for example CN/GOV/HB/window",
                                c->subsystem);
    }
    if (!yzi_bytes_eq(yzi_node_member(c->node_id).v, yzi_subsystem_member(c->subsystem_id).v)) {
        return yzi_config_fault(err, path, c->subsystem_at,
                                "subsystem: '%s' is not of the node's member; a node speaks for "
                                "subsystems of its own member only",
                                c->subsystem);
    }
    return YZ_OK;
}

static int take_key(const struct client_broker *b, const char *path, uint8_t out[32], yz_error *err)
{
    if (yzi_base64_decode_exactly(yzi_bytes_str(b->key), out, 32) < 0) {
        return yzi_config_fault(err, path, b->key_at,
                                "key: not a transport key; write the 44 characters of base64 that "
                                "`yz directory show` prints");
    }
    return YZ_OK;
}

static int check_broker(struct client_config *c, unsigned i, const char *path, yz_error *err)
{
    const struct client_broker *b = (const struct client_broker *)c->brokers.items + i;
    yz_node_id node;
    if (yzi_node_id_parse(yzi_bytes_str(b->node), &node) < 0 || !yzi_node_is_broker(node)) {
        return yzi_config_fault(err, path, b->node_at,
                                "node: '%s' is not a broker's id; write INSTANCE/@code, for "
                                "example CN/@b1",
                                b->node);
    }
    if (!yzi_bytes_eq(yzi_id_instance(node.v), yzi_id_instance(c->node_id.v))) {
        return yzi_config_fault(err, path, b->node_at, "node: '%s' is of another instance than %s",
                                b->node, c->node);
    }
    for (unsigned j = 0; j < i; j++) {
        if (yzi_bytes_eq(c->peers[j].node.v, node.v)) {
            return yzi_config_fault(err, path, b->node_at, "node: '%s' is listed twice", b->node);
        }
    }
    c->peers[i].node = node;
    c->peers[i].endpoint = b->endpoint;
    c->peers[i].has_key = b->key != NULL;
    return b->key ? take_key(b, path, c->peers[i].key, err) : YZ_OK;
}

static int check(struct client_config *c, const char *path, yz_error *err)
{
    YZ_TRY(check_ids(c, path, err));
    YZ_ENSURE(c->brokers.n <= YZ_BROKERS_MAX, YZ_EINTERNAL); /* the table's bound */
    for (unsigned i = 0; i < c->brokers.n; i++) {
        YZ_TRY(check_broker(c, i, path, err));
    }
    c->peers_n = (unsigned)c->brokers.n;
    return YZ_OK;
}

int yzi_client_config_load(const char *path, struct client_config *out, yz_error *err)
{
    *out = (struct client_config){0};
    yzi_arena_init(&out->arena, ARENA_MAX);
    YZ_TRY(yzi_config_load(path, yzi_client_config_fields, &out->arena, out, err));
    return check(out, path, err);
}

int yzi_client_config_parse(yz_bytes text, const char *path, const char *base_dir,
                            struct client_config *out, yz_error *err)
{
    *out = (struct client_config){0};
    yzi_arena_init(&out->arena, ARENA_MAX);
    YZ_TRY(yzi_config_parse(text, path, base_dir, yzi_client_config_fields, &out->arena, out, err));
    return check(out, path, err);
}

void yzi_client_config_fini(struct client_config *c)
{
    yzi_arena_fini(&c->arena);
}
