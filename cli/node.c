/* SPDX-License-Identifier: Apache-2.0
 *
 * yz node: adapters and clients. The node makes its keys and asks; its member admits it into the
 * member set and takes it out again; the operator can revoke it for good.
 */
#include "cli/offer.h"
#include "cli/operator.h"

#define DAY_MS UINT64_C(86400000)
#define DAYS_MAX 36500u

/* -- request -- */

static int read_subsystems(struct cli *c, struct name_list *out)
{
    size_t n;
    const char *const *codes = yzi_cli_options(c, "subsystem", &n);
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n, sizeof *out->items, &out->items));
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(yzi_cli_code(c, "a subsystem", codes[i], &out->items[i]));
        for (size_t k = 0; k < i; k++) {
            if (strcmp(codes[i], codes[k]) == 0) {
                return yzi_cli_usage(c, "--subsystem %s is given twice", codes[i]);
            }
        }
    }
    out->n = n;
    return YZ_OK;
}

static int read_request(struct cli *c, struct node_request *q)
{
    unsigned role;
    YZ_TRY(yzi_cli_node_id(c, yzi_cli_option(c, "node"), &q->node));
    if (yzi_node_is_broker(q->node)) {
        return yzi_cli_usage(c,
                             "--node: %.*s is a broker's id (yz broker request); a member's "
                             "node is INSTANCE/CLASS/CODE/@NODE",
                             CLI_V(q->node.v));
    }
    const char *name = yzi_cli_option(c, "role");
    if (yzi_role_parse(name, &role) < 0 || role == ROLE_BROKER) {
        return yzi_cli_usage(c, "--role: '%s' is neither adapter nor client", name);
    }
    q->role = (enum node_role)role;
    return read_subsystems(c, &q->subsystems);
}

static int run_request(struct cli *c)
{
    const char *dir;
    char fingerprint[YZ_FINGERPRINT_TEXT];
    uint8_t none[32];
    struct node_request q = {0};
    YZ_TRY(read_request(c, &q));
    YZ_TRY(yzi_home_begin(c, &dir));
    YZ_TRY(yzi_home_new_key(c, dir, "signing", KEY_SIGNING, q.signing));
    YZ_TRY(yzi_home_new_key(c, dir, "transport", KEY_TRANSPORT, q.transport));
    if (q.role == ROLE_ADAPTER) {
        YZ_TRY(yzi_home_new_key(c, dir, "storage", KEY_STORAGE, none));
    }
    YZ_TRY(yzi_home_write_request(c, dir, &q));
    yzi_key_fingerprint(q.signing, fingerprint);
    yzi_cli_say(c,
                "Give the member's administrator %s/request.yzr and, another way, this "
                "fingerprint:\n  %s\nand put the operator's anchor.yzr into %s.\n",
                dir, fingerprint, dir);
    return YZ_OK;
}

/* -- admit -- */

static int one_key(struct cli *c, const uint8_t key[32], uint64_t not_after, struct key_list *out)
{
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), 1, sizeof *out->items, &out->items));
    out->items[0] =
        (struct key_validity){.not_before = yzi_home_valid_from(), .not_after = not_after};
    memcpy(out->items[0].key, key, 32);
    out->n = 1;
    return YZ_OK;
}

static bool is_same_node(const struct node_record *n, const struct node_request *q)
{
    return n->role == q->role && n->signing.n == 1 && n->transport.n == 1 &&
           yzi_bytes_eq(yzi_bytes(n->signing.items[0].key, 32), yzi_bytes(q->signing, 32)) &&
           yzi_bytes_eq(yzi_bytes(n->transport.items[0].key, 32), yzi_bytes(q->transport, 32));
}

static int check_subsystems(struct cli *c, const char *dir, const struct member_set *set,
                            const struct name_list *codes)
{
    for (size_t i = 0; i < codes->n; i++) {
        if (!yzi_home_subsystem(set, codes->items[i])) {
            return yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND,
                            "%.*s has no subsystem '%.*s'; add it with `yz subsystem add --home %s "
                            "%.*s`",
                            CLI_V(set->member.v), CLI_V(codes->items[i]), dir,
                            CLI_V(codes->items[i]));
        }
    }
    return YZ_OK;
}

static int check_admit(struct cli *c, const char *dir, const struct member_set *set,
                       const struct node_request *q)
{
    if (q->role == ROLE_BROKER || !yzi_bytes_eq(yzi_node_member(q->node).v, set->member.v)) {
        return yzi_fail(yzi_cli_error(c), YZ_EINVAL, "%.*s is no node of %.*s", CLI_V(q->node.v),
                        CLI_V(set->member.v));
    }
    const struct node_record *there = yzi_home_node(set, q->node.v);
    if (there && !is_same_node(there, q)) {
        return yzi_fail(yzi_cli_error(c), YZ_EEXIST,
                        "%.*s is admitted already with another role or other keys; `yz node "
                        "revoke --home %s %.*s` first",
                        CLI_V(q->node.v), dir, CLI_V(q->node.v));
    }
    return check_subsystems(c, dir, set, &q->subsystems);
}

static int put_node(struct cli *c, struct member_set *set, const struct node_request *q,
                    uint64_t not_after)
{
    struct node_record *n = yzi_home_node(set, q->node.v);
    if (!n) {
        YZ_TRY(yzi_cli_extend(c, &set->nodes, set->nodes_n, sizeof *set->nodes));
        n = &set->nodes[set->nodes_n++];
    }
    *n = (struct node_record){.node = q->node, .role = q->role, .subsystems = q->subsystems};
    YZ_TRY(one_key(c, q->signing, not_after, &n->signing));
    return one_key(c, q->transport, not_after, &n->transport);
}

static int run_admit(struct cli *c)
{
    const char *dir;
    struct member_set set;
    struct node_request q;
    struct name_list instead = {0};
    uint64_t days;
    char fingerprint[YZ_FINGERPRINT_TEXT], until[32];
    YZ_TRY(yzi_cli_number(c, "days", 1, DAYS_MAX, 0, &days));
    YZ_TRY(read_subsystems(c, &instead));
    YZ_TRY(yzi_home_open(c, HOME_MEMBER, true, &dir));
    YZ_TRY(yzi_home_member_set(c, dir, &set));
    YZ_TRY(yzi_home_read_request(c, yzi_cli_arg(c, 0), &q));
    q.subsystems = instead.n ? instead : q.subsystems;
    YZ_TRY(check_admit(c, dir, &set, &q));
    uint64_t not_after = days ? yzi_home_now() + days * DAY_MS : 0;
    YZ_TRY(put_node(c, &set, &q, not_after));
    YZ_TRY(yzi_home_sign_member_set(c, dir, &set));
    yzi_key_fingerprint(q.signing, fingerprint);
    yzi_cli_say(c, "%.*s is admitted as %s%s%s, signing key\n  %s\nmember set version %llu\n",
                CLI_V(q.node.v), yzi_role_name(q.role), days ? " until " : "",
                days ? yzi_cli_time_text(not_after, until) : "", fingerprint,
                (unsigned long long)set.version);
    return yzi_home_push_member_set(c, dir);
}

/* -- revoke -- */

/* Services that name the node as their adapter: they stay as they are until published again. What
 * cannot be read is not in the way of a revocation. */
static void note_services(struct cli *c, const char *dir, const struct member_set *set,
                          yz_node_id node)
{
    for (size_t i = 0; i < set->subsystems_n; i++) {
        struct home_offer o = {0};
        if (yzi_home_offer_load(c, dir, set, set->subsystems[i].code, &o) < 0) {
            yzi_cli_exit_with(c, EXIT_OK);
            continue;
        }
        for (size_t k = 0; k < o.offer.services_n; k++) {
            const struct offered_service *s = &o.offer.services[k];
            for (size_t a = 0; a < s->adapters.n; a++) {
                if (yzi_bytes_eq(s->adapters.items[a], node.v)) {
                    yzi_cli_say(c, "%.*s/%.*s/%.*s still names it: publish that service again\n",
                                CLI_V(o.offer.subsystem.v), CLI_V(s->code), CLI_V(s->version));
                }
            }
        }
    }
}

static int revoke_in_set(struct cli *c, yz_node_id node)
{
    const char *dir;
    struct member_set set;
    YZ_TRY(yzi_home_open(c, HOME_MEMBER, true, &dir));
    YZ_TRY(yzi_home_member_set(c, dir, &set));
    struct node_record *n = yzi_home_node(&set, node.v);
    if (!n) {
        return yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND, "%.*s is not in the member set of %.*s",
                        CLI_V(node.v), CLI_V(set.member.v));
    }
    if (yzi_cli_option(c, "reason")) {
        return yzi_cli_usage(c, "--reason goes with the operator's home: a member set has no place "
                                "for it");
    }
    size_t after = set.nodes_n - (size_t)(n - set.nodes) - 1;
    memmove(n, n + 1, after * sizeof *n);
    set.nodes_n--;
    YZ_TRY(yzi_home_sign_member_set(c, dir, &set));
    yzi_cli_say(
        c, "%.*s is out of the member set, version %llu%s\n", CLI_V(node.v),
        (unsigned long long)set.version,
        yzi_cli_flag(c, "admin") ? "" : "; it counts once a daemon has that (yz member publish)");
    note_services(c, dir, &set, node);
    return yzi_home_push_member_set(c, dir);
}

/* A revocation of a name nobody has would calm without helping. */
static int check_known(struct cli *c, const struct operator_home *h, yz_node_id node)
{
    struct record r;
    struct member_record member;
    YZ_TRY(yzi_operator_check_instance(c, h, node.v));
    if (!yzi_node_is_broker(node)) {
        return yzi_operator_member(c, h, yzi_node_member(node).v, &member);
    }
    int rc = yzi_operator_find(c, h, RECORD_BROKER, node.v, &r);
    if (rc == YZ_ENOTFOUND) {
        return yzi_fail(yzi_cli_error(c), rc, "%.*s is no broker of this instance", CLI_V(node.v));
    }
    return rc;
}

static int revoke_for_good(struct cli *c, yz_node_id node)
{
    struct operator_home h;
    struct record kept;
    struct revocation r = {.node = node.v, .at = yzi_home_now()};
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, YZ_RECORD_MAX);
    if (yzi_cli_flag(c, "admin")) {
        return yzi_cli_usage(c, "an operator's revocation takes effect with the next directory: "
                                "give --admin to yz directory publish");
    }
    YZ_TRY(yzi_cli_label(c, "reason", &r.reason));
    YZ_TRY(yzi_operator_open(c, true, &h));
    YZ_TRY(check_known(c, &h, node));
    int rc = yzi_operator_find(c, &h, RECORD_REVOCATION, node.v, &kept);
    if (rc == YZ_OK) {
        return yzi_fail(yzi_cli_error(c), YZ_EEXIST, "%.*s is revoked already", CLI_V(node.v));
    }
    YZ_TRY(rc == YZ_ENOTFOUND ? YZ_OK : rc);
    YZ_TRY(yzi_revocation_write(&r, &body));
    YZ_TRY(yzi_operator_keep_body(c, &h, RECORD_REVOCATION, node.v, yzi_bytes_buf(&body)));
    yzi_cli_say(c, "%.*s is revoked for good. It counts from the next yz directory publish.\n",
                CLI_V(node.v));
    return YZ_OK;
}

static int run_revoke(struct cli *c)
{
    yz_node_id node;
    YZ_TRY(yzi_cli_node_id(c, yzi_cli_arg(c, 0), &node));
    bool operators = yzi_home_kind(c, yzi_cli_option(c, "home")) == HOME_OPERATOR;
    return operators ? revoke_for_good(c, node) : revoke_in_set(c, node);
}

static const struct cli_option request_options[] = {
    {"home", "DIR", "The node's home, made here", true, false},
    {"node", "ID", "The node, INSTANCE/CLASS/CODE/@NODE", true, false},
    {"role", "ROLE", "adapter or client", true, false},
    {"subsystem", "CODE", "A subsystem it serves (adapter) or speaks for (client)", true, true},
    {0}};
static const struct cli_option admit_options[] = {
    {"home", "DIR", "The member's home", true, false},
    {"fingerprint", "FP", "Refuse unless the request's signing key has this fingerprint", false,
     false},
    {"days", "N", "How long its keys count (default: until revoked)", false, false},
    {"subsystem", "CODE", "Its subsystems, instead of those the request names", false, true},
    {"admin", "SOCKET", "Give the member set to this daemon at once", false, true},
    {0}};
static const struct cli_option revoke_options[] = {
    {"home", "DIR", "The member's home (taken out of its member set) or the operator's (for good)",
     true, false},
    {"reason", "TEXT", "Why, for the record (operator)", false, false},
    {"admin", "SOCKET", "Give the member set to this daemon at once (member)", false, true},
    {0}};

const struct cli_verb yzi_cli_node[] = {
    {"node", "request", "", 0, 0,
     "Make the keys of an adapter or client and its request to be "
     "admitted",
     request_options, run_request, true},
    {"node", "admit", "REQUEST", 1, 1, "Admit a node of this member into its member set",
     admit_options, run_admit, true},
    {"node", "revoke", "NODE", 1, 1, "Take a node out of the member set, or revoke it for good",
     revoke_options, run_revoke, true},
    CLI_TABLE_END};
