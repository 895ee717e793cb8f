/* SPDX-License-Identifier: Apache-2.0
 *
 * The sample records. They use every field of their schema, so that a field a parser or writer
 * forgets shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/records.h"

#define VALID(k)                                                                                   \
    {                                                                                              \
        .key = KEY(k), .not_before = SAMPLE_TIME, .not_after = SAMPLE_TIME + 86400000              \
    }
#define ENDLESS(k)                                                                                 \
    {                                                                                              \
        .key = KEY(k), .not_before = SAMPLE_TIME                                                   \
    }
#define KEYS(...)                                                                                  \
    {                                                                                              \
        (struct key_validity[]){__VA_ARGS__},                                                      \
            sizeof((struct key_validity[]){__VA_ARGS__}) / sizeof(struct key_validity)             \
    }
#define NAMES(...)                                                                                 \
    {                                                                                              \
        (yz_bytes[]){__VA_ARGS__}, sizeof((yz_bytes[]){__VA_ARGS__}) / sizeof(yz_bytes)            \
    }
#define TEXTS(...)                                                                                 \
    {                                                                                              \
        (struct text_entry[]){__VA_ARGS__},                                                        \
            sizeof((struct text_entry[]){__VA_ARGS__}) / sizeof(struct text_entry)                 \
    }

/* -- who exists -- */

static uint8_t root_keys[][32] = {KEY(0x01), KEY(0x02), KEY(0x03)};
static uint8_t operator_keys[][32] = {KEY(0x11), KEY(0x12)};
static struct root_broker root_brokers[] = {
    {.node = {LIT("CN/@b1")},
     .transport = KEYS(VALID(0x31), ENDLESS(0x32)),
     .signing = KEYS(ENDLESS(0x33)),
     .log = KEYS(ENDLESS(0x34))},
    {.node = {LIT("CN/@b2")},
     .transport = KEYS(ENDLESS(0x35)),
     .signing = KEYS(ENDLESS(0x36)),
     .log = KEYS(ENDLESS(0x37))},
};
const struct root_statement sample_root = {
    .instance = LIT("CN"),
    .version = 3,
    .issued_at = SAMPLE_TIME,
    .root_keys = root_keys,
    .root_keys_n = COUNT(root_keys),
    .root_threshold = 2,
    .operator_keys = operator_keys,
    .operator_keys_n = COUNT(operator_keys),
    .operator_threshold = 1,
    .freshness_key = KEY(0x21),
    .brokers = root_brokers,
    .brokers_n = COUNT(root_brokers),
};

const struct member_record sample_member = {
    .member = {LIT("CN/GOV/MCA")},
    .name = LIT("Ministry of Civil Affairs 民政部"),
    .keys = KEYS(VALID(0x41), ENDLESS(0x42)),
};

static struct subsystem_record set_subsystems[] = {
    {.code = LIT("civil"), .name = LIT("婚姻登记")},
    {.code = LIT("portal")},
};
static struct node_record set_nodes[] = {
    {.node = {LIT("CN/GOV/MCA/@a1")},
     .role = ROLE_ADAPTER,
     .signing = KEYS(ENDLESS(0x52)),
     .transport = KEYS(ENDLESS(0x53)),
     .subsystems = NAMES(LIT("civil"))},
    {.node = {LIT("CN/GOV/MCA/@c1")},
     .role = ROLE_CLIENT,
     .signing = KEYS(VALID(0x54), ENDLESS(0x55)),
     .transport = KEYS(ENDLESS(0x56)),
     .subsystems = NAMES(LIT("portal"), LIT("civil"))},
};
const struct member_set sample_set = {
    .member = {LIT("CN/GOV/MCA")},
    .version = 7,
    .issued_at = SAMPLE_TIME + 1,
    .owner_keys = KEYS(ENDLESS(0x51)),
    .subsystems = set_subsystems,
    .subsystems_n = COUNT(set_subsystems),
    .nodes = set_nodes,
    .nodes_n = COUNT(set_nodes),
};

static struct endpoint broker_endpoints[] = {
    {.address = LIT("tcp://b1.example.gov.cn:7100"), .transport = VALID(0x31)},
    {.address = LIT("tcp://[2001:db8::1]:7101"), .transport = ENDLESS(0x32)},
};
const struct broker_record sample_broker = {
    .node = {LIT("CN/@b1")},
    .name = LIT("第一驿站"),
    .endpoints = broker_endpoints,
    .endpoints_n = COUNT(broker_endpoints),
};

const struct revocation sample_revocation = {
    .node = LIT("CN/GOV/MCA/@a1"),
    .at = SAMPLE_TIME + 2,
    .reason = LIT("disk stolen"),
};

const struct node_request sample_request = {
    .node = {LIT("CN/@b1")},
    .role = ROLE_BROKER,
    .signing = KEY(0x33),
    .transport = KEY(0x31),
    .has_log = true,
    .log = KEY(0x34),
    .endpoints = NAMES(LIT("tcp://127.0.0.1:7100"), LIT("tcp://b1.example.gov.cn:7100")),
    .issued_at = SAMPLE_TIME + 3,
};

/* -- how things stand -- */

static struct manifest_chunk chunks[] = {
    {.digest = {KEY(0xa1)}, .bytes = 200000, .records = 150},
    {.digest = {KEY(0xa2)}, .bytes = 4321, .records = 17},
};
const struct manifest sample_manifest = {
    .instance = LIT("CN"),
    .version = 42,
    .issued_at = SAMPLE_TIME + 4,
    .root_version = 3,
    .tree_size = 167,
    .root_hash = {KEY(0xb1)},
    .chunks = chunks,
    .chunks_n = COUNT(chunks),
};

const struct freshness sample_freshness = {
    .instance = LIT("CN"),
    .directory_version = 42,
    .root_hash = {KEY(0xb1)},
    .time = SAMPLE_TIME + 60000,
};

const struct announcement sample_announcement = {
    .node = {LIT("CN/GOV/MCA/@a1")},
    .epoch_key = KEY(0xe1),
    .sequence = 12,
    .not_before = SAMPLE_TIME,
    .not_after = SAMPLE_TIME + 90000000,
    .suite = SUITE_1,
};

/* -- what is offered -- */

static struct offered_service services[] = {
    {.code = LIT("marriage"),
     .version = LIT("v1"),
     .mode = SERVICE_READ,
     .adapters = NAMES(LIT("CN/GOV/MCA/@a1"), LIT("CN/GOV/MCA/@a2")),
     .descriptions = TEXTS({LIT("en"), LIT("Marital status by id number.")},
                           {LIT("zh-Hans"), LIT("按身份证号\n查询婚姻状况")}),
     .data_set = LIT("marriages")},
    {.code = LIT("register"),
     .version = LIT("v2"),
     .mode = SERVICE_WRITE,
     .adapters = NAMES(LIT("CN/GOV/MCA/@a1"))},
};
static struct data_element elements[] = {
    {LIT("id_number"), LIT("citizen-id"), FIELD_TEXT, CLASS_SENSITIVE, true, true},
    {LIT("status"), LIT("婚姻状况"), FIELD_CODE, CLASS_INTERNAL, false, false},
};
static struct catalogue_entry catalogue[] = {
    {.data_set = LIT("marriages"),
     .titles = TEXTS({LIT("en"), LIT("Marriages")}, {LIT("zh"), LIT("婚姻登记信息")}),
     .descriptions = TEXTS({LIT("en"), LIT("Every marriage registered since 1950.")}),
     .owner = LIT("Department of Social Affairs"),
     .sharing = SHARING_CONDITIONAL,
     .legal_basis = LIT("Marriage Registration Regulations, article 17"),
     .update_cycle = LIT("daily"),
     .elements = elements,
     .elements_n = COUNT(elements)},
    {.data_set = LIT("adoptions"),
     .sharing = SHARING_WITHHELD,
     .legal_basis = LIT("Civil Code 1110")},
};
static struct coarse_grant grants[] = {
    {.id = LIT("housing-2025"),
     .consumer = {LIT("CN/GOV/HOUSING/registry")},
     .service = LIT("marriage/v1"),
     .not_before = SAMPLE_TIME,
     .not_after = SAMPLE_TIME + 31536000000,
     .strict = true},
    {.id = LIT("tax"), .consumer = {LIT("CN/GOV/TAX/desk")}, .service = LIT("register/v2")},
    {.id = LIT("cities"),
     .group_code = LIT("cities"),
     .group_version = 2,
     .service = LIT("marriage/v1")},
};
static struct consumer_group groups[] = {
    {.code = LIT("cities"),
     .version = 2,
     .members = NAMES(LIT("CN/GOV/BJ/desk"), LIT("CN/GOV/SH/desk"), LIT("CN/GOV/TJ/desk"))},
    {.code = LIT("cities"),
     .version = 4,
     .members = NAMES(LIT("CN/GOV/BJ/desk"), LIT("CN/GOV/CQ/desk"), LIT("CN/GOV/SH/desk"))},
    {.code = LIT("courts"), .version = 1},
};
const struct offer sample_offer = {
    .subsystem = {LIT("CN/GOV/MCA/civil")},
    .version = 9,
    .issued_at = SAMPLE_TIME + 5,
    .services = services,
    .services_n = COUNT(services),
    .catalogue = catalogue,
    .catalogue_n = COUNT(catalogue),
    .grants = grants,
    .grants_n = COUNT(grants),
    .groups = groups,
    .groups_n = COUNT(groups),
    .terms_digest = {KEY(0xd1)},
};

static struct grant_field readable[] = {
    {LIT("status"), MASK_NONE},
    {LIT("id_number"), MASK_LAST4},
};
static struct row_condition row_filter[] = {
    {LIT("province"), OP_IN, NAMES(LIT("11"), LIT("31"))},
    {LIT("since"), OP_GE, NAMES(LIT("2000-01-01"))},
};
static struct grant_predicate predicates[] = {
    {.name = LIT("is-married"),
     .field = LIT("status"),
     .op = OP_EQ,
     .constants = NAMES(LIT("married"))},
    {.name = LIT("born-before"),
     .field = LIT("born"),
     .op = OP_LT,
     .step = LIT("year"),
     .budget = 3},
};
static struct fine_grant fine_grants[] = {
    {.id = LIT("housing-2025"),
     .operations = 1u << QUERY_GET | 1u << QUERY_MATCH,
     .readable = readable,
     .readable_n = COUNT(readable),
     .filterable = NAMES(LIT("status"), LIT("since")),
     .sortable = NAMES(LIT("since")),
     .row_filter = row_filter,
     .row_filter_n = COUNT(row_filter),
     .predicates = predicates,
     .predicates_n = COUNT(predicates),
     .purposes = NAMES(LIT("house-transfer"), LIT("house-loan")),
     .quota_per_day = 5000},
    {.id = LIT("tax"),
     .operations = 1u << QUERY_COUNT | 1u << QUERY_FIND | 1u << QUERY_INSERT | 1u << QUERY_PUT |
                   1u << QUERY_DELETE,
     .writable = NAMES(LIT("status"), LIT("since"))},
};
static struct data_element unlisted_elements[] = {
    {LIT("informant"), LIT("informant-name"), FIELD_TEXT, CLASS_SECRET, false, false},
};
static struct unlisted_fields unlisted[] = {
    {.data_set = LIT("marriages"),
     .elements = unlisted_elements,
     .elements_n = COUNT(unlisted_elements)},
};
#define C7_8 0xc7, 0xc7, 0xc7, 0xc7, 0xc7, 0xc7, 0xc7, 0xc7
const struct terms sample_terms = {
    .subsystem = {LIT("CN/GOV/MCA/civil")},
    .version = 9,
    .grants = fine_grants,
    .grants_n = COUNT(fine_grants),
    .unlisted = unlisted,
    .unlisted_n = COUNT(unlisted),
    .has_pseudonym_key = true,
    .pseudonym_key = {C7_8, C7_8, C7_8, C7_8},
};

static struct purpose_entry purposes[] = {
    {.code = LIT("house-loan"), .titles = TEXTS({LIT("en"), LIT("Loan for a house")})},
    {.code = LIT("house-transfer"),
     .titles = TEXTS({LIT("en"), LIT("Transfer of a title")}, {LIT("zh"), LIT("房屋产权登记")}),
     .legal_basis = LIT("Real Estate Registration Regulations, article 14")},
};
const struct purpose_list sample_purposes = {
    .instance = LIT("CN"),
    .issued_at = SAMPLE_TIME + 6,
    .purposes = purposes,
    .purposes_n = COUNT(purposes),
};

/* -- by kind -- */

int yz_record_sample(enum record_kind kind, yz_buf *out)
{
    switch (kind) {
    case RECORD_ROOT:
        return yzi_root_statement_write(&sample_root, out);
    case RECORD_MEMBER:
        return yzi_member_record_write(&sample_member, out);
    case RECORD_MEMBER_SET:
        return yzi_member_set_write(&sample_set, out);
    case RECORD_BROKER:
        return yzi_broker_record_write(&sample_broker, out);
    case RECORD_REVOCATION:
        return yzi_revocation_write(&sample_revocation, out);
    case RECORD_MANIFEST:
        return yzi_manifest_write(&sample_manifest, out);
    case RECORD_FRESHNESS:
        return yzi_freshness_write(&sample_freshness, out);
    case RECORD_ANNOUNCEMENT:
        return yzi_announcement_write(&sample_announcement, out);
    case RECORD_OFFER:
        return yzi_offer_write(&sample_offer, out);
    case RECORD_TERMS:
        return yzi_terms_write(&sample_terms, out);
    case RECORD_NODE_REQUEST:
        return yzi_node_request_write(&sample_request, out);
    case RECORD_PURPOSES:
        return yzi_purpose_list_write(&sample_purposes, out);
    }
    return YZ_EINVAL;
}

int yz_record_sample_signed(enum record_kind kind, yz_buf *out)
{
    static const uint8_t bytes[2][96] = {{[0 ... 31] = 0xf1, [32 ... 95] = 0x5a},
                                         {[0 ... 31] = 0xf2, [32 ... 95] = 0x5b}};
    struct record_signature signatures[2];
    for (int i = 0; i < 2; i++) {
        signatures[i].key = yzi_bytes(bytes[i], 32);
        signatures[i].signature = yzi_bytes(bytes[i] + 32, 64);
    }
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_TRY(yz_record_sample(kind, &body));
    return yzi_record_write(kind, yzi_bytes_buf(&body), signatures, 2, out);
}

const ProtobufCMessageDescriptor *yz_record_type(enum record_kind kind)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        [RECORD_ROOT] = &yizhan__wire__root_statement__descriptor,
        [RECORD_MEMBER] = &yizhan__wire__member__descriptor,
        [RECORD_MEMBER_SET] = &yizhan__wire__member_set__descriptor,
        [RECORD_BROKER] = &yizhan__wire__broker__descriptor,
        [RECORD_REVOCATION] = &yizhan__wire__revocation__descriptor,
        [RECORD_MANIFEST] = &yizhan__wire__manifest__descriptor,
        [RECORD_FRESHNESS] = &yizhan__wire__freshness__descriptor,
        [RECORD_ANNOUNCEMENT] = &yizhan__wire__announcement__descriptor,
        [RECORD_OFFER] = &yizhan__wire__offer__descriptor,
        [RECORD_TERMS] = &yizhan__wire__terms__descriptor,
        [RECORD_NODE_REQUEST] = &yizhan__wire__node_request__descriptor,
        [RECORD_PURPOSES] = &yizhan__wire__purpose_list__descriptor,
    };
    return types[kind];
}

#define REWRITE(type, prefix)                                                                      \
    do {                                                                                           \
        struct type parsed;                                                                        \
        YZ_TRY(prefix##_parse(body, &a, &parsed));                                                 \
        return prefix##_write(&parsed, out);                                                       \
    } while (0)

int yz_record_rewrite(enum record_kind kind, yz_bytes body, yz_buf *out)
{
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, RECORD_SCRATCH_MAX);
    switch (kind) {
    case RECORD_ROOT:
        REWRITE(root_statement, yzi_root_statement);
    case RECORD_MEMBER:
        REWRITE(member_record, yzi_member_record);
    case RECORD_MEMBER_SET:
        REWRITE(member_set, yzi_member_set);
    case RECORD_BROKER:
        REWRITE(broker_record, yzi_broker_record);
    case RECORD_REVOCATION:
        REWRITE(revocation, yzi_revocation);
    case RECORD_MANIFEST:
        REWRITE(manifest, yzi_manifest);
    case RECORD_FRESHNESS:
        REWRITE(freshness, yzi_freshness);
    case RECORD_ANNOUNCEMENT:
        REWRITE(announcement, yzi_announcement);
    case RECORD_OFFER:
        REWRITE(offer, yzi_offer);
    case RECORD_TERMS:
        REWRITE(terms, yzi_terms);
    case RECORD_NODE_REQUEST:
        REWRITE(node_request, yzi_node_request);
    case RECORD_PURPOSES:
        REWRITE(purpose_list, yzi_purpose_list);
    }
    return YZ_EINVAL;
}

void yz_record_fuzz_body(enum record_kind kind, yz_bytes body)
{
    YZ_AUTO(yzi_buf_fini) yz_buf once = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_buf_fini) yz_buf twice = {.max = YZ_RECORD_MAX};
    int rc = yz_record_rewrite(kind, body, &once);
    YZ_ASSERT(rc != YZ_EINVAL && rc != YZ_EINTERNAL); /* parsed, and then not written */
    if (rc == 0) {
        YZ_ASSERT(yz_record_rewrite(kind, yzi_bytes_buf(&once), &twice) == 0);
        YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&once), yzi_bytes_buf(&twice)));
    }
}

/* -- spoiling -- */

ProtobufCBinaryData bin_n(char c, size_t n)
{
    static char many[100000];
    YZ_ASSERT(n <= sizeof many);
    memset(many, c, sizeof many);
    return yzi_bin(yzi_bytes(many, n));
}

void assert_view(yz_bytes got, const char *want)
{
    assert_true(yzi_bytes_eq_str(got, want));
}

static int refuse_one(enum record_kind kind, const struct record_fault *fault)
{
    static const struct prescan_rules rules = {.depth = 3, .elements = 100000};
    YZ_AUTO(yzi_buf_fini) yz_buf good = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_buf_fini) yz_buf bad = {.max = 4 * YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, RECORD_SCRATCH_MAX);
    struct room room = yzi_room_arena(&a);
    ProtobufCMessage *message;
    YZ_ASSERT(yz_record_sample(kind, &good) == 0);
    YZ_ASSERT(yzi_unpack(yz_record_type(kind), yzi_bytes_buf(&good), &rules, &room, &message) == 0);
    fault->spoil(message);
    YZ_ASSERT(yzi_pack(message, bad.max, &bad) == 0);
    return yzi_record_body_check(kind, yzi_bytes_buf(&bad));
}

void yz_record_refuses(enum record_kind kind, const struct record_fault *faults, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int got = refuse_one(kind, &faults[i]);
        if (got != faults[i].want) {
            fail_msg("%s, %s: %s, expected %s", yzi_record_kind_name(kind), faults[i].what,
                     got ? yz_err_name(got) : "accepted", yz_err_name(faults[i].want));
        }
    }
}

void yz_record_repeat(void *list, size_t *list_n, size_t n)
{
    static void *many[8][8192];
    static size_t used;
    void ***to = list;
    void **at = many[used++ % 8];
    YZ_ASSERT(n <= 8192 && *list_n > 0);
    for (size_t i = 0; i < n; i++) {
        at[i] = **to;
    }
    *to = at;
    *list_n = n;
}

void yz_record_repeat_bytes(ProtobufCBinaryData **list, size_t *list_n, ProtobufCBinaryData item,
                            size_t n)
{
    static ProtobufCBinaryData many[8192];
    YZ_ASSERT(n <= 8192);
    for (size_t i = 0; i < n; i++) {
        many[i] = item;
    }
    *list = many;
    *list_n = n;
}
