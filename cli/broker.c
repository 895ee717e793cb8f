/* SPDX-License-Identifier: Apache-2.0
 *
 * yz broker: a broker asks to be admitted with a request signed by its own key; the operator admits
 * it. Its keys are named by the root statement, its endpoints by a record of the directory.
 */
#include "cli/operator.h"

/* -- request -- */

/* That an endpoint may stand in a record: asked of the writer, one at a time, to name the wrong
 * one. */
static int check_endpoint(struct cli *c, const struct node_request *q, const char *endpoint)
{
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, YZ_RECORD_MAX);
    yz_bytes one = yzi_bytes_str(endpoint);
    struct node_request probe = *q;
    probe.endpoints = (struct name_list){&one, 1};
    if (yzi_node_request_write(&probe, &body) < 0) {
        return yzi_cli_usage(c, "--endpoint: '%s' is not tcp://HOST:PORT, as others reach it",
                             endpoint);
    }
    return YZ_OK;
}

static int read_endpoints(struct cli *c, struct node_request *q)
{
    struct node_request probe = *q;
    size_t n;
    const char *const *given = yzi_cli_options(c, "endpoint", &n);
    probe.has_log = true;
    probe.issued_at = 1;
    memset(probe.signing, 1, sizeof probe.signing);
    memset(probe.transport, 2, sizeof probe.transport);
    memset(probe.log, 3, sizeof probe.log);
    if (n > YZ_ENDPOINTS_MAX) {
        return yzi_cli_usage(c, "a broker has at most %u endpoints", YZ_ENDPOINTS_MAX);
    }
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n, sizeof *q->endpoints.items, &q->endpoints.items));
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(check_endpoint(c, &probe, given[i]));
        q->endpoints.items[q->endpoints.n++] = yzi_bytes_str(given[i]);
    }
    return YZ_OK;
}

static int run_request(struct cli *c)
{
    const char *dir;
    char fingerprint[YZ_FINGERPRINT_TEXT];
    struct node_request q = {.role = ROLE_BROKER};
    YZ_TRY(yzi_cli_node_id(c, yzi_cli_option(c, "node"), &q.node));
    if (!yzi_node_is_broker(q.node)) {
        return yzi_cli_usage(c, "--node: a broker is INSTANCE/@NODE, such as CN/@b1");
    }
    YZ_TRY(read_endpoints(c, &q));
    YZ_TRY(yzi_home_begin(c, &dir));
    YZ_TRY(yzi_home_new_key(c, dir, "signing", KEY_SIGNING, q.signing));
    YZ_TRY(yzi_home_new_key(c, dir, "transport", KEY_TRANSPORT, q.transport));
    YZ_TRY(yzi_home_new_key(c, dir, "log", KEY_LOG, q.log));
    q.has_log = true;
    YZ_TRY(yzi_home_write_request(c, dir, &q));
    yzi_key_fingerprint(q.signing, fingerprint);
    yzi_cli_say(c,
                "Give the operator %s/request.yzr and, another way, this fingerprint:\n  %s\n"
                "and bring the operator's keys/freshness.key into %s/keys.\n",
                dir, fingerprint, dir);
    return YZ_OK;
}

/* -- admit -- */

static int one_key(struct cli *c, const uint8_t key[32], struct key_list *out)
{
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), 1, sizeof *out->items, &out->items));
    out->items[0].not_before = yzi_home_valid_from();
    memcpy(out->items[0].key, key, 32);
    out->n = 1;
    return YZ_OK;
}

static bool is_only_key(const struct key_list *l, const uint8_t key[32])
{
    return l->n == 1 && yzi_bytes_eq(yzi_bytes(l->items[0].key, 32), yzi_bytes(key, 32));
}

/* Whether the root statement has this broker with these keys; with others it is refused. */
static int find_in_root(struct cli *c, const struct root_statement *s, const struct node_request *q,
                        bool *out_there)
{
    for (size_t i = 0; i < s->brokers_n; i++) {
        const struct root_broker *b = &s->brokers[i];
        if (!yzi_bytes_eq(b->node.v, q->node.v)) {
            continue;
        }
        if (!is_only_key(&b->signing, q->signing) || !is_only_key(&b->transport, q->transport) ||
            !is_only_key(&b->log, q->log)) {
            return yzi_fail(yzi_cli_error(c), YZ_EEXIST,
                            "%.*s is a broker already, with other keys; a broker made anew takes a "
                            "new name",
                            CLI_V(q->node.v));
        }
        *out_there = true;
        return YZ_OK;
    }
    *out_there = false;
    return YZ_OK;
}

static int add_to_root(struct cli *c, const struct operator_home *h, const struct node_request *q)
{
    struct root_statement next = h->statement;
    YZ_TRY(yzi_cli_extend(c, &next.brokers, next.brokers_n, sizeof *next.brokers));
    struct root_broker *b = &next.brokers[next.brokers_n++];
    b->node = q->node;
    YZ_TRY(one_key(c, q->signing, &b->signing));
    YZ_TRY(one_key(c, q->transport, &b->transport));
    YZ_TRY(one_key(c, q->log, &b->log));
    return yzi_operator_sign_root(c, h, &next);
}

/* The broker's record, written to `body` for keeping. */
static int write_broker(struct cli *c, const struct node_request *q, const struct name_list *where,
                        yz_buf *body)
{
    struct broker_record b = {.node = q->node};
    YZ_TRY(yzi_cli_label(c, "name", &b.name));
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), where->n, sizeof *b.endpoints, &b.endpoints));
    for (size_t i = 0; i < where->n; i++) {
        b.endpoints[i].address = where->items[i];
        b.endpoints[i].transport.not_before = yzi_home_valid_from();
        memcpy(b.endpoints[i].transport.key, q->transport, 32);
    }
    b.endpoints_n = where->n;
    int rc = yzi_broker_record_write(&b, body);
    if (rc < 0) {
        return yzi_fail(yzi_cli_error(c), rc,
                        "the broker record cannot be written: is an endpoint named twice?");
    }
    return YZ_OK;
}

static int read_admit(struct cli *c, const struct operator_home *h, struct node_request *q,
                      struct name_list *where)
{
    const char *path = yzi_cli_arg(c, 0);
    YZ_TRY(yzi_home_read_request(c, path, q));
    if (q->role != ROLE_BROKER) {
        return yzi_fail(yzi_cli_error(c), YZ_EINVAL,
                        "%s: %.*s asks to be %s, which its member admits (yz node admit)", path,
                        CLI_V(q->node.v), q->role == ROLE_ADAPTER ? "an adapter" : "a client");
    }
    YZ_TRY(yzi_operator_check_instance(c, h, q->node.v));
    struct node_request given = *q;
    given.endpoints = (struct name_list){0};
    YZ_TRY(read_endpoints(c, &given));
    *where = given.endpoints.n ? given.endpoints : q->endpoints;
    if (where->n == 0) {
        return yzi_cli_usage(c, "the request names no endpoint: say where the broker listens with "
                                "--endpoint tcp://HOST:PORT");
    }
    return YZ_OK;
}

static int run_admit(struct cli *c)
{
    struct operator_home h;
    struct node_request q;
    struct name_list where;
    bool there;
    char fingerprint[YZ_FINGERPRINT_TEXT], key[48];
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, YZ_RECORD_MAX);
    YZ_TRY(yzi_operator_open(c, true, &h));
    YZ_TRY(read_admit(c, &h, &q, &where));
    YZ_TRY(find_in_root(c, &h.statement, &q, &there));
    YZ_TRY(write_broker(c, &q, &where, &body));
    YZ_TRY(there ? YZ_OK : add_to_root(c, &h, &q));
    YZ_TRY(yzi_operator_keep_body(c, &h, RECORD_BROKER, q.node.v, yzi_bytes_buf(&body)));
    yzi_key_fingerprint(q.signing, fingerprint);
    yzi_home_base64(q.transport, key);
    yzi_cli_say(c,
                "%.*s %s, signing key\n  %s\n"
                "and transport key, which stands as `key` in the configuration of who connects\n"
                "  %s\nIt counts from the next yz directory publish.\n",
                CLI_V(q.node.v), there ? "has its record renewed" : "is admitted", fingerprint,
                key);
    return YZ_OK;
}

static const struct cli_option request_options[] = {
    {"home", "DIR", "The broker's home, made here", true, false},
    {"node", "ID", "The broker, INSTANCE/@NODE", true, false},
    {"endpoint", "ADDRESS", "Where others reach it, tcp://HOST:PORT", false, true},
    {0}};
static const struct cli_option admit_options[] = {
    {"home", "DIR", "The operator's home", true, false},
    {"endpoint", "ADDRESS", "Where others reach it, instead of what the request says", false, true},
    {"name", "TEXT", "Its name for people", false, false},
    {"fingerprint", "FP", "Refuse unless the request's signing key has this fingerprint", false,
     false},
    {0}};

const struct cli_verb yzi_cli_broker[] = {
    {"broker", "request", "", 0, 0, "Make a broker's keys and its request to be admitted",
     request_options, run_request, true},
    {"broker", "admit", "REQUEST", 1, 1, "Admit a broker: a new root statement names its keys",
     admit_options, run_admit, true},
    CLI_TABLE_END};
