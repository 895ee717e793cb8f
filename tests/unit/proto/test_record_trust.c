/* SPDX-License-Identifier: Apache-2.0
 *
 * proto/record_trust.c: what each body says, and what it must not say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/records.h"

static uint8_t zero_key[32];

/* -- root statement -- */

static void test_root__says_what_was_written(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    struct root_statement got;
    assert_int_equal(yzi_root_statement_write(&sample_root, &body), 0);
    assert_int_equal(yzi_root_statement_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_view(got.instance, "CN");
    assert_int_equal(got.version, 3);
    assert_int_equal(got.issued_at, SAMPLE_TIME);
    assert_int_equal(got.root_keys_n, 3);
    assert_memory_equal(got.root_keys, sample_root.root_keys, 3 * 32);
    assert_int_equal(got.root_threshold, 2);
    assert_int_equal(got.operator_keys_n, 2);
    assert_memory_equal(got.operator_keys, sample_root.operator_keys, 2 * 32);
    assert_int_equal(got.operator_threshold, 1);
    assert_memory_equal(got.freshness_key, sample_root.freshness_key, 32);
    assert_int_equal(got.brokers_n, 2);
    assert_view(got.brokers[1].node.v, "CN/@b2");
    assert_int_equal(got.brokers[0].transport.n, 2);
    assert_int_equal(got.brokers[0].transport.items[0].key[31], 0x31);
    assert_int_equal(got.brokers[0].transport.items[0].not_before, SAMPLE_TIME);
    assert_int_equal(got.brokers[0].transport.items[0].not_after, SAMPLE_TIME + 86400000);
    assert_int_equal(got.brokers[0].transport.items[1].not_after, 0);
    assert_int_equal(got.brokers[0].signing.items[0].key[0], 0x33);
    assert_int_equal(got.brokers[0].log.items[0].key[0], 0x34);
}

SPOIL(root_no_instance, RootStatement, w->instance = bin(""))
SPOIL(root_instance_of_two, RootStatement, w->instance = bin("CN/GOV"))
SPOIL(root_instance_marked, RootStatement, w->instance = bin("@CN"))
SPOIL(root_other_instance, RootStatement, w->instance = bin("EE"))
SPOIL(root_version_0, RootStatement, w->version = 0)
SPOIL(root_issued_0, RootStatement, w->issued_at = 0)
SPOIL(root_no_keys, RootStatement, w->n_root_keys = 0)
SPOIL(root_threshold_0, RootStatement, w->root_threshold = 0)
SPOIL(root_threshold_4, RootStatement, w->root_threshold = 4)
SPOIL(root_operator_threshold_0, RootStatement, w->operator_threshold = 0)
SPOIL(root_operator_threshold_3, RootStatement, w->operator_threshold = 3)
SPOIL(root_no_operators, RootStatement, w->n_operator_keys = 0; w->operator_threshold = 0)
SPOIL(root_short_key, RootStatement, w->root_keys[0].len = 31)
SPOIL(root_zero_key, RootStatement, w->root_keys[0].data = zero_key)
SPOIL(root_key_twice, RootStatement, w->root_keys[0] = w->root_keys[1])
SPOIL(root_key_operates, RootStatement, w->operator_keys[0] = w->root_keys[0])
SPOIL(root_freshness_operates, RootStatement, w->freshness_key = w->operator_keys[1])
SPOIL(root_freshness_short, RootStatement, w->freshness_key.len = 0)
SPOIL(root_broker_key_of_root, RootStatement, w->brokers[1]->log[0]->key = w->root_keys[2])
SPOIL(root_broker_key_shared, RootStatement,
      w->brokers[1]->signing[0]->key = w->brokers[0]->signing[0]->key)
SPOIL(root_broker_one_key, RootStatement,
      w->brokers[0]->signing[0]->key = w->brokers[0]->transport[0]->key)
SPOIL(root_broker_twice, RootStatement, w->brokers[1]->node = w->brokers[0]->node)
SPOIL(root_broker_elsewhere, RootStatement, w->brokers[1]->node = bin("EE/@b2"))
SPOIL(root_broker_no_broker, RootStatement, w->brokers[1]->node = bin("CN/GOV/MCA/@b2"))
SPOIL(root_broker_no_transport, RootStatement, w->brokers[1]->n_transport = 0)
SPOIL(root_broker_no_signing, RootStatement, w->brokers[1]->n_signing = 0)
SPOIL(root_broker_no_log, RootStatement, w->brokers[1]->n_log = 0)
SPOIL(root_broker_many_keys, RootStatement,
      yz_record_repeat(&w->brokers[1]->log, &w->brokers[1]->n_log, YZ_KEYS_MAX + 1))
SPOIL(root_broker_backward, RootStatement,
      w->brokers[0]->transport[0]->not_after = w->brokers[0]->transport[0]->not_before)
SPOIL(root_many_brokers, RootStatement,
      yz_record_repeat(&w->brokers, &w->n_brokers, YZ_ROOT_BROKERS_MAX + 1))

static void many_root_keys(void *message)
{
    static ProtobufCBinaryData keys[YZ_ROOT_KEYS_MAX + 1];
    static uint8_t bytes[YZ_ROOT_KEYS_MAX + 1][32];
    Yizhan__Wire__RootStatement *w = message;
    for (size_t i = 0; i < COUNT(keys); i++) {
        memset(bytes[i], 0x60 + (int)i, 32);
        keys[i] = yzi_bin(yzi_bytes(bytes[i], 32));
    }
    w->root_keys = keys;
    w->n_root_keys = COUNT(keys);
}

static void test_root__refuses_what_breaks_its_invariants(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"no instance", root_no_instance, YZ_EMALFORMED},
        {"instance of two segments", root_instance_of_two, YZ_EMALFORMED},
        {"instance like a node", root_instance_marked, YZ_EMALFORMED},
        {"brokers of another instance", root_other_instance, YZ_EMALFORMED},
        {"version 0", root_version_0, YZ_EMALFORMED},
        {"issued at 0", root_issued_0, YZ_EMALFORMED},
        {"no root keys", root_no_keys, YZ_EMALFORMED},
        {"too many root keys", many_root_keys, YZ_ELIMIT},
        {"threshold 0", root_threshold_0, YZ_EMALFORMED},
        {"threshold above keys", root_threshold_4, YZ_EMALFORMED},
        {"operator threshold 0", root_operator_threshold_0, YZ_EMALFORMED},
        {"operator threshold above keys", root_operator_threshold_3, YZ_EMALFORMED},
        {"no operators", root_no_operators, YZ_EMALFORMED},
        {"short key", root_short_key, YZ_EMALFORMED},
        {"zero key", root_zero_key, YZ_EMALFORMED},
        {"a root key twice", root_key_twice, YZ_EMALFORMED},
        {"a root key that operates", root_key_operates, YZ_EMALFORMED},
        {"an operator key for freshness", root_freshness_operates, YZ_EMALFORMED},
        {"no freshness key", root_freshness_short, YZ_EMALFORMED},
        {"a broker key of the root", root_broker_key_of_root, YZ_EMALFORMED},
        {"a key of two brokers", root_broker_key_shared, YZ_EMALFORMED},
        {"a broker key for two uses", root_broker_one_key, YZ_EMALFORMED},
        {"a broker twice", root_broker_twice, YZ_EMALFORMED},
        {"a broker of another instance", root_broker_elsewhere, YZ_EMALFORMED},
        {"a broker that is a member's", root_broker_no_broker, YZ_EMALFORMED},
        {"a broker without transport key", root_broker_no_transport, YZ_EMALFORMED},
        {"a broker without signing key", root_broker_no_signing, YZ_EMALFORMED},
        {"a broker without log key", root_broker_no_log, YZ_EMALFORMED},
        {"too many keys of a broker", root_broker_many_keys, YZ_ELIMIT},
        {"an empty validity", root_broker_backward, YZ_EMALFORMED},
        {"too many brokers", root_many_brokers, YZ_ELIMIT},
    };
    yz_record_refuses(RECORD_ROOT, faults, COUNT(faults));
}

/* -- member -- */

static void test_member__says_what_was_written(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    struct member_record got, nameless = sample_member;
    assert_int_equal(yzi_member_record_write(&sample_member, &body), 0);
    assert_int_equal(yzi_member_record_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_view(got.member.v, "CN/GOV/MCA");
    assert_view(got.name, "Ministry of Civil Affairs 民政部");
    assert_int_equal(got.keys.n, 2);
    assert_int_equal(got.keys.items[1].key[5], 0x42);
    nameless.name = (yz_bytes){0};
    yzi_buf_clear(&body);
    assert_int_equal(yzi_member_record_write(&nameless, &body), 0);
    assert_int_equal(yzi_member_record_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_int_equal(got.name.n, 0);
}

SPOIL(member_is_subsystem, Member, w->member = bin("CN/GOV/MCA/civil"))
SPOIL(member_not_canonical, Member, w->member = bin("CN/GOV/M%43A"))
SPOIL(member_name_empty, Member, w->name = bin(""))
SPOIL(member_name_latin1, Member, w->name = bin("Minist\xe8re"))
SPOIL(member_name_escape, Member, w->name = bin("\x1b[2J"))
SPOIL(member_name_lines, Member, w->name = bin("one\ntwo"))
SPOIL(member_name_nul, Member, w->name = yzi_bin(yzi_bytes("a\0b", 3)))
SPOIL(member_name_long, Member, w->name = bin_n('m', YZ_LABEL_MAX + 1))
SPOIL(member_no_keys, Member, w->n_keys = 0)
SPOIL(member_many_keys, Member, yz_record_repeat(&w->keys, &w->n_keys, YZ_KEYS_MAX + 1))
SPOIL(member_key_twice, Member, w->keys[0]->key = w->keys[1]->key)
SPOIL(member_key_long, Member, w->keys[0]->key = bin_n('k', 33))

static void test_member__refuses_what_breaks_its_invariants(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"a subsystem's id", member_is_subsystem, YZ_EMALFORMED},
        {"an id not canonical", member_not_canonical, YZ_EMALFORMED},
        {"an empty name", member_name_empty, YZ_EMALFORMED},
        {"a name not UTF-8", member_name_latin1, YZ_EMALFORMED},
        {"a name that moves the cursor", member_name_escape, YZ_EMALFORMED},
        {"a name of two lines", member_name_lines, YZ_EMALFORMED},
        {"a name with NUL", member_name_nul, YZ_EMALFORMED},
        {"a name too long", member_name_long, YZ_ETOOBIG},
        {"no keys", member_no_keys, YZ_EMALFORMED},
        {"too many keys", member_many_keys, YZ_ELIMIT},
        {"a key twice", member_key_twice, YZ_EMALFORMED},
        {"a key of 33 bytes", member_key_long, YZ_EMALFORMED},
    };
    yz_record_refuses(RECORD_MEMBER, faults, COUNT(faults));
}

/* -- member set -- */

static void test_member_set__says_what_was_written(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    struct member_set got;
    assert_int_equal(yzi_member_set_write(&sample_set, &body), 0);
    assert_int_equal(yzi_member_set_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_view(got.member.v, "CN/GOV/MCA");
    assert_int_equal(got.version, 7);
    assert_int_equal(got.issued_at, SAMPLE_TIME + 1);
    assert_int_equal(got.owner_keys.n, 1);
    assert_int_equal(got.owner_keys.items[0].key[0], 0x51);
    assert_int_equal(got.subsystems_n, 2);
    assert_view(got.subsystems[0].code, "civil");
    assert_view(got.subsystems[0].name, "婚姻登记");
    assert_int_equal(got.subsystems[1].name.n, 0);
    assert_int_equal(got.nodes_n, 2);
    assert_view(got.nodes[0].node.v, "CN/GOV/MCA/@a1");
    assert_int_equal(got.nodes[0].role, ROLE_ADAPTER);
    assert_int_equal(got.nodes[0].signing.items[0].key[0], 0x52);
    assert_int_equal(got.nodes[0].transport.items[0].key[0], 0x53);
    assert_int_equal(got.nodes[1].role, ROLE_CLIENT);
    assert_int_equal(got.nodes[1].signing.n, 2);
    assert_int_equal(got.nodes[1].subsystems.n, 2);
    assert_view(got.nodes[1].subsystems.items[0], "portal");
}

SPOIL(set_other_member, MemberSet, w->member = bin("CN/GOV/TAX"))
SPOIL(set_version_0, MemberSet, w->version = 0)
SPOIL(set_issued_0, MemberSet, w->issued_at = 0)
SPOIL(set_many_owners, MemberSet,
      yz_record_repeat(&w->owner_keys, &w->n_owner_keys, YZ_KEYS_MAX + 1))
SPOIL(set_code_twice, MemberSet, w->subsystems[1]->code = w->subsystems[0]->code)
SPOIL(set_code_of_two, MemberSet, w->subsystems[1]->code = bin("a/b"))
SPOIL(set_code_marked, MemberSet, w->subsystems[1]->code = bin("@portal"))
SPOIL(set_code_long, MemberSet, w->subsystems[1]->code = bin_n('c', YZ_SEGMENT_MAX + 1))
SPOIL(set_code_undeclared, MemberSet, w->subsystems[1]->code = bin("other"))
SPOIL(set_no_subsystems, MemberSet, w->n_subsystems = 0)
SPOIL(set_many_subsystems, MemberSet,
      yz_record_repeat(&w->subsystems, &w->n_subsystems, YZ_SUBSYSTEMS_MAX + 1))
SPOIL(set_node_twice, MemberSet, w->nodes[1]->node = w->nodes[0]->node)
SPOIL(set_node_foreign, MemberSet, w->nodes[1]->node = bin("CN/GOV/TAX/@c1"))
SPOIL(set_node_elsewhere, MemberSet, w->nodes[1]->node = bin("EE/GOV/MCA/@c1"))
SPOIL(set_node_broker, MemberSet, w->nodes[1]->node = bin("CN/@c1"))
SPOIL(set_node_no_node, MemberSet, w->nodes[1]->node = bin("CN/GOV/MCA/c1"))
SPOIL(set_role_broker, MemberSet, w->nodes[1]->role = ROLE_BROKER)
SPOIL(set_role_0, MemberSet, w->nodes[1]->role = 0)
SPOIL(set_role_4, MemberSet, w->nodes[1]->role = 4)
SPOIL(set_no_signing, MemberSet, w->nodes[0]->n_signing = 0)
SPOIL(set_no_transport, MemberSet, w->nodes[0]->n_transport = 0)
SPOIL(set_key_of_owner, MemberSet, w->nodes[0]->signing[0]->key = w->owner_keys[0]->key)
SPOIL(set_key_for_two, MemberSet, w->nodes[0]->signing[0]->key = w->nodes[0]->transport[0]->key)
SPOIL(set_key_shared, MemberSet, w->nodes[0]->transport[0]->key = w->nodes[1]->transport[0]->key)
SPOIL(set_node_code_twice, MemberSet, w->nodes[1]->subsystems[0] = w->nodes[1]->subsystems[1])
SPOIL(set_node_many_codes, MemberSet, w->nodes[1]->n_subsystems = 0; w->nodes[1]->subsystems = NULL)

static void many_nodes(void *message)
{
    Yizhan__Wire__MemberSet *w = message;
    w->nodes[0]->signing[0]->not_before = 0;
    w->nodes[0]->transport[0]->not_before = 0;
    w->nodes[0]->n_subsystems = 0;
    yz_record_repeat(&w->nodes, &w->n_nodes, YZ_MEMBER_NODES_MAX + 1);
}

static void test_member_set__refuses_what_breaks_its_invariants(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"nodes of another member", set_other_member, YZ_EMALFORMED},
        {"version 0", set_version_0, YZ_EMALFORMED},
        {"issued at 0", set_issued_0, YZ_EMALFORMED},
        {"too many owner keys", set_many_owners, YZ_ELIMIT},
        {"a subsystem twice", set_code_twice, YZ_EMALFORMED},
        {"a code of two segments", set_code_of_two, YZ_EMALFORMED},
        {"a code like a node", set_code_marked, YZ_EMALFORMED},
        {"a code too long", set_code_long, YZ_EMALFORMED},
        {"a node's subsystem not declared", set_code_undeclared, YZ_EMALFORMED},
        {"no subsystem declared", set_no_subsystems, YZ_EMALFORMED},
        {"too many subsystems", set_many_subsystems, YZ_ELIMIT},
        {"a node twice", set_node_twice, YZ_EMALFORMED},
        {"another member's node", set_node_foreign, YZ_EMALFORMED},
        {"a node of another instance", set_node_elsewhere, YZ_EMALFORMED},
        {"a broker", set_node_broker, YZ_EMALFORMED},
        {"a node's id without @", set_node_no_node, YZ_EMALFORMED},
        {"a broker's role", set_role_broker, YZ_EMALFORMED},
        {"role 0", set_role_0, YZ_EMALFORMED},
        {"role 4", set_role_4, YZ_EMALFORMED},
        {"no signing key", set_no_signing, YZ_EMALFORMED},
        {"no transport key", set_no_transport, YZ_EMALFORMED},
        {"a node with the owner's key", set_key_of_owner, YZ_EMALFORMED},
        {"a key for two uses", set_key_for_two, YZ_EMALFORMED},
        {"a key of two nodes", set_key_shared, YZ_EMALFORMED},
        {"a node's subsystem twice", set_node_code_twice, YZ_EMALFORMED},
        {"too many nodes", many_nodes, YZ_ELIMIT},
    };
    yz_record_refuses(RECORD_MEMBER_SET, faults, COUNT(faults));
    static const struct record_fault fine[] = {
        {"a node without subsystem", set_node_many_codes, 0}};
    yz_record_refuses(RECORD_MEMBER_SET, fine, 1);
}

/* The largest member set the limits allow is one a record holds. */
static void test_member_set__holds_as_many_nodes_as_its_limit(void **state)
{
    (void)state;
    enum { N = YZ_MEMBER_NODES_MAX };
    struct node_record *nodes = calloc(N, sizeof *nodes);
    struct key_validity *keys = calloc(2 * N, sizeof *keys);
    char(*names)[24] = calloc(N, sizeof *names);
    assert_true(nodes && keys && names);
    for (uint32_t i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "CN/GOV/MCA/@c%u", (unsigned)i);
        nodes[i].node.v = yzi_bytes_str(names[i]);
        nodes[i].role = ROLE_CLIENT;
        nodes[i].signing = (struct key_list){&keys[2 * i], 1};
        nodes[i].transport = (struct key_list){&keys[2 * i + 1], 1};
        nodes[i].subsystems = (struct name_list){&sample_set.subsystems[1].code, 1};
        yzi_store_u32(keys[2 * i].key, 2 * i + 1);
        yzi_store_u32(keys[2 * i + 1].key, 2 * i + 2);
        keys[2 * i].not_before = keys[2 * i + 1].not_before = SAMPLE_TIME;
    }
    struct member_set set = sample_set, got;
    set.nodes = nodes;
    set.nodes_n = N;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 4 << 20);
    assert_int_equal(yzi_member_set_write(&set, &body), 0);
    assert_int_equal(yzi_member_set_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_int_equal(got.nodes_n, N);
    memcpy(keys[2 * N - 1].key, keys[0].key, 32); /* the last key is the first one */
    yzi_buf_clear(&body);
    assert_int_equal(yzi_member_set_write(&set, &body), YZ_EINVAL);
    free(names);
    free(keys);
    free(nodes);
}

/* -- broker -- */

static void test_broker__says_what_was_written(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    struct broker_record got;
    assert_int_equal(yzi_broker_record_write(&sample_broker, &body), 0);
    assert_int_equal(yzi_broker_record_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_view(got.node.v, "CN/@b1");
    assert_view(got.name, "第一驿站");
    assert_int_equal(got.endpoints_n, 2);
    assert_view(got.endpoints[0].address, "tcp://b1.example.gov.cn:7100");
    assert_int_equal(got.endpoints[0].transport.key[0], 0x31);
    assert_int_equal(got.endpoints[0].transport.not_after, SAMPLE_TIME + 86400000);
    assert_int_equal(got.endpoints[1].transport.key[0], 0x32);
    assert_int_equal(got.endpoints[1].transport.not_after, 0);
}

SPOIL(broker_of_member, Broker, w->node = bin("CN/GOV/MCA/@b1"))
SPOIL(broker_no_endpoints, Broker, w->n_endpoints = 0)
SPOIL(broker_many_endpoints, Broker,
      yz_record_repeat(&w->endpoints, &w->n_endpoints, YZ_ENDPOINTS_MAX + 1))
SPOIL(broker_pair_twice, Broker, *w->endpoints[1] = *w->endpoints[0])
SPOIL(broker_zero_key, Broker, w->endpoints[0]->transport->key.data = zero_key)
SPOIL(broker_backward, Broker, w->endpoints[0]->transport->not_after = SAMPLE_TIME - 1)
SPOIL(broker_same_address, Broker, w->endpoints[1]->address = w->endpoints[0]->address)
SPOIL(broker_same_key, Broker, w->endpoints[1]->transport = w->endpoints[0]->transport)

static void test_broker__refuses_what_breaks_its_invariants(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"a member's node", broker_of_member, YZ_EMALFORMED},
        {"no endpoints", broker_no_endpoints, YZ_EMALFORMED},
        {"too many endpoints", broker_many_endpoints, YZ_ELIMIT},
        {"an endpoint twice", broker_pair_twice, YZ_EMALFORMED},
        {"a zero key", broker_zero_key, YZ_EMALFORMED},
        {"an empty validity", broker_backward, YZ_EMALFORMED},
        {"one address with two keys", broker_same_address, 0},
        {"one key at two addresses", broker_same_key, 0},
    };
    yz_record_refuses(RECORD_BROKER, faults, COUNT(faults));
}

static void test_address__is_tcp_host_and_port(void **state)
{
    (void)state;
    static const char *const good[] = {"tcp://127.0.0.1:1", "tcp://b-1.example.cn:65535",
                                       "tcp://[::1]:7100", "tcp://[fe80::1%eth0]:7100"};
    static const char *const bad[] = {
        "",
        "tcp://",
        "tcp://host",
        "tcp://host:",
        "tcp://:7100",
        "host:7100",
        "udp://host:7100",
        "tcp://host:0",
        "tcp://host:65536",
        "tcp://host:07",
        "tcp://[]:7",
        "tcp://h st:7100",
        "tcp://host:+7",
        "tcp://host:7100/x",
        "tcp://*:7100",
        "tcp://a:b:7",
        "tcp://host:*",
        "tcp://h\n:7100",
        "TCP://host:7100",
        "tcp://::1:7100",
        "tcp://[::1:7100",
        "tcp://::1]:7100",
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_int_equal(yzi_check_address(yzi_bytes_str(good[i]), YZ_ADDRESS_MAX), 0);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (yzi_check_address(yzi_bytes_str(bad[i]), YZ_ADDRESS_MAX) != YZ_EMALFORMED) {
            fail_msg("%s", bad[i]);
        }
    }
    assert_int_equal(yzi_check_address(yzi_bytes_str(good[0]), 16), YZ_ETOOBIG);
}

/* -- revocation -- */

static void test_revocation__names_exactly_one_thing(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    struct revocation in[] = {
        {.node = LIT("CN/@b1"), .at = 1},
        {.member = LIT("CN/GOV/MCA"), .at = UINT64_MAX, .reason = LIT("离开")},
        {.has_key = true, .key = KEY(9), .at = 5},
    };
    for (size_t i = 0; i < COUNT(in); i++) {
        struct revocation got;
        yzi_buf_clear(&body);
        assert_int_equal(yzi_revocation_write(&in[i], &body), 0);
        assert_int_equal(yzi_revocation_parse(yzi_bytes_buf(&body), &a, &got), 0);
        assert_true(yzi_bytes_eq(got.node, in[i].node));
        assert_true(yzi_bytes_eq(got.member, in[i].member));
        assert_true(yzi_bytes_eq(got.reason, in[i].reason));
        assert_int_equal(got.has_key, in[i].has_key);
        assert_memory_equal(got.key, in[i].key, 32);
        assert_int_equal(got.at, in[i].at);
    }
}

SPOIL(revocation_of_nothing, Revocation, w->has_node = 0)
SPOIL(revocation_of_two, Revocation, w->has_member = 1; w->member = bin("CN/GOV/MCA"))
SPOIL(revocation_of_key_too, Revocation, w->has_key = 1; w->key = bin_n('k', 32))
SPOIL(revocation_bad_node, Revocation, w->node = bin("CN/GOV/MCA"))
SPOIL(revocation_empty_node, Revocation, w->node = bin(""))
SPOIL(revocation_bad_member, Revocation, w->has_node = 0; w->has_member = 1;
      w->member = bin("CN/GOV/MCA/@a1"))
SPOIL(revocation_short_key, Revocation, w->has_node = 0; w->has_key = 1; w->key = bin_n('k', 31))
SPOIL(revocation_zero_key, Revocation, w->has_node = 0; w->has_key = 1;
      w->key = yzi_bin(yzi_bytes(zero_key, 32)))
SPOIL(revocation_at_0, Revocation, w->at = 0)
SPOIL(revocation_reason_lines, Revocation, w->reason = bin("a\nb"))
SPOIL(revocation_reason_long, Revocation, w->reason = bin_n('r', YZ_LABEL_MAX + 1))

static void test_revocation__refuses_what_breaks_its_invariants(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"nothing named", revocation_of_nothing, YZ_EMALFORMED},
        {"node and member", revocation_of_two, YZ_EMALFORMED},
        {"node and key", revocation_of_key_too, YZ_EMALFORMED},
        {"a member's id as node", revocation_bad_node, YZ_EMALFORMED},
        {"an empty node", revocation_empty_node, YZ_EMALFORMED},
        {"a node's id as member", revocation_bad_member, YZ_EMALFORMED},
        {"a short key", revocation_short_key, YZ_EMALFORMED},
        {"a zero key", revocation_zero_key, YZ_EMALFORMED},
        {"at 0", revocation_at_0, YZ_EMALFORMED},
        {"a reason of two lines", revocation_reason_lines, YZ_EMALFORMED},
        {"a reason too long", revocation_reason_long, YZ_ETOOBIG},
    };
    yz_record_refuses(RECORD_REVOCATION, faults, COUNT(faults));
}

/* -- node request -- */

static void test_node_request__says_what_was_written(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    yz_bytes codes[] = {LIT("civil")};
    struct node_request got, client = {.node = {LIT("CN/GOV/MCA/@c1")},
                                       .role = ROLE_CLIENT,
                                       .signing = KEY(1),
                                       .transport = KEY(2),
                                       .subsystems = {codes, 1},
                                       .issued_at = 6};
    assert_int_equal(yzi_node_request_write(&sample_request, &body), 0);
    assert_int_equal(yzi_node_request_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_view(got.node.v, "CN/@b1");
    assert_int_equal(got.role, ROLE_BROKER);
    assert_memory_equal(got.signing, sample_request.signing, 32);
    assert_memory_equal(got.transport, sample_request.transport, 32);
    assert_true(got.has_log);
    assert_memory_equal(got.log, sample_request.log, 32);
    assert_int_equal(got.endpoints.n, 2);
    assert_view(got.endpoints.items[0], "tcp://127.0.0.1:7100");
    assert_int_equal(got.issued_at, SAMPLE_TIME + 3);
    yzi_buf_clear(&body);
    assert_int_equal(yzi_node_request_write(&client, &body), 0);
    assert_int_equal(yzi_node_request_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_int_equal(got.role, ROLE_CLIENT);
    assert_false(got.has_log);
    assert_int_equal(got.subsystems.n, 1);
    assert_view(got.subsystems.items[0], "civil");
}

static void as_adapter(Yizhan__Wire__NodeRequest *w)
{
    w->node = bin("CN/GOV/MCA/@a1");
    w->role = ROLE_ADAPTER;
    w->has_log = 0;
    w->n_endpoints = 0;
}
SPOIL(request_adapter, NodeRequest, as_adapter(w))
SPOIL(request_adapter_with_log, NodeRequest, as_adapter(w); w->has_log = 1)
SPOIL(request_adapter_with_endpoint, NodeRequest, as_adapter(w); w->n_endpoints = 1)
SPOIL(request_adapter_as_broker, NodeRequest, as_adapter(w); w->node = bin("CN/@b1"))
SPOIL(request_broker_as_adapter, NodeRequest, w->node = bin("CN/GOV/MCA/@a1"))
SPOIL(request_no_log, NodeRequest, w->has_log = 0)
SPOIL(request_no_endpoints, NodeRequest, w->n_endpoints = 0)
SPOIL(request_with_subsystem, NodeRequest, w->subsystems = w->endpoints; w->n_subsystems = 1)
SPOIL(request_role_0, NodeRequest, w->role = 0)
SPOIL(request_role_4, NodeRequest, w->role = 4)
SPOIL(request_key_twice, NodeRequest, w->log = w->signing)
SPOIL(request_key_short, NodeRequest, w->transport.len = 31)
SPOIL(request_endpoint_twice, NodeRequest, w->endpoints[1] = w->endpoints[0])
SPOIL(request_endpoint_bad, NodeRequest, w->endpoints[1] = bin("tcp://*:*"))
SPOIL(request_issued_0, NodeRequest, w->issued_at = 0)
SPOIL(request_code_bad, NodeRequest, as_adapter(w); w->subsystems = w->endpoints;
      w->n_subsystems = 1)

static void many_request_endpoints(void *message)
{
    static ProtobufCBinaryData many[YZ_ENDPOINTS_MAX + 1];
    Yizhan__Wire__NodeRequest *w = message;
    w->endpoints = many;
    w->n_endpoints = COUNT(many);
}

static void test_node_request__refuses_what_breaks_its_invariants(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"an adapter", request_adapter, 0},
        {"a broker that listens nowhere yet", request_no_endpoints, 0},
        {"an adapter with a log", request_adapter_with_log, YZ_EMALFORMED},
        {"an adapter with an endpoint", request_adapter_with_endpoint, YZ_EMALFORMED},
        {"an adapter with a broker's id", request_adapter_as_broker, YZ_EMALFORMED},
        {"a broker with an adapter's id", request_broker_as_adapter, YZ_EMALFORMED},
        {"a broker without log", request_no_log, YZ_EMALFORMED},
        {"a broker with a subsystem", request_with_subsystem, YZ_EMALFORMED},
        {"role 0", request_role_0, YZ_EMALFORMED},
        {"role 4", request_role_4, YZ_EMALFORMED},
        {"a key for two uses", request_key_twice, YZ_EMALFORMED},
        {"a short key", request_key_short, YZ_EMALFORMED},
        {"an endpoint twice", request_endpoint_twice, YZ_EMALFORMED},
        {"an endpoint that is none", request_endpoint_bad, YZ_EMALFORMED},
        {"too many endpoints", many_request_endpoints, YZ_ELIMIT},
        {"issued at 0", request_issued_0, YZ_EMALFORMED},
        {"a code that is none", request_code_bad, YZ_EMALFORMED},
    };
    yz_record_refuses(RECORD_NODE_REQUEST, faults, COUNT(faults));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root__says_what_was_written),
        cmocka_unit_test(test_root__refuses_what_breaks_its_invariants),
        cmocka_unit_test(test_member__says_what_was_written),
        cmocka_unit_test(test_member__refuses_what_breaks_its_invariants),
        cmocka_unit_test(test_member_set__says_what_was_written),
        cmocka_unit_test(test_member_set__refuses_what_breaks_its_invariants),
        cmocka_unit_test(test_member_set__holds_as_many_nodes_as_its_limit),
        cmocka_unit_test(test_broker__says_what_was_written),
        cmocka_unit_test(test_broker__refuses_what_breaks_its_invariants),
        cmocka_unit_test(test_address__is_tcp_host_and_port),
        cmocka_unit_test(test_revocation__names_exactly_one_thing),
        cmocka_unit_test(test_revocation__refuses_what_breaks_its_invariants),
        cmocka_unit_test(test_node_request__says_what_was_written),
        cmocka_unit_test(test_node_request__refuses_what_breaks_its_invariants),
    };
    return cmocka_run_group_tests_name("record_trust", tests, NULL, NULL);
}
