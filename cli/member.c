/* SPDX-License-Identifier: Apache-2.0
 *
 * yz member: an organisation makes its keys and its first member set; the operator admits it by the
 * key that signed the set. What the member says later it signs and hands on by itself.
 */
#include "cli/operator.h"

/* -- init -- */

static int run_init(struct cli *c)
{
    const char *dir;
    uint8_t member_key[32], owner_key[32];
    struct key_validity owner = {.not_before = yzi_home_valid_from()};
    struct member_set set = {.owner_keys = {&owner, 1}};
    char fingerprint[YZ_FINGERPRINT_TEXT];
    YZ_TRY(yzi_cli_member_id(c, yzi_cli_option(c, "member"), &set.member));
    YZ_TRY(yzi_home_begin(c, &dir));
    YZ_TRY(yzi_home_new_key(c, dir, "member", KEY_MEMBER, member_key));
    YZ_TRY(yzi_home_new_key(c, dir, "owner", KEY_OWNER, owner_key));
    memcpy(owner.key, owner_key, 32);
    YZ_TRY(yzi_home_sign_member_set(c, dir, &set));
    yzi_key_fingerprint(member_key, fingerprint);
    yzi_cli_say(c,
                "Give the operator %s/member-set.yzr and, another way, the fingerprint of the "
                "member key:\n  %s\n",
                dir, fingerprint);
    return YZ_OK;
}

/* -- add -- */

/* The member's key is the one that signed its set; afterwards it stays. */
static int signing_key(struct cli *c, const char *path, const struct record *r,
                       struct key_validity *out)
{
    if (r->signatures_n != 1) {
        return yzi_fail(yzi_cli_error(c), YZ_EINVAL,
                        "%s: has %u signatures; a first member set has the member key's alone",
                        path, r->signatures_n);
    }
    memcpy(out->key, r->signatures[0].key.p, 32);
    out->not_before = yzi_home_valid_from();
    return yzi_home_check_fingerprint(c, out->key, "member");
}

/* A member admitted before keeps its key and, where no other is given, its name. */
static int merge(struct cli *c, const struct operator_home *h, struct member_record *m)
{
    struct record r;
    struct member_record old;
    int rc = yzi_operator_find(c, h, RECORD_MEMBER, m->member.v, &r);
    if (rc == YZ_ENOTFOUND) {
        return YZ_OK;
    }
    YZ_TRY(rc);
    YZ_TRY(yzi_member_record_parse(r.body, yzi_cli_arena(c), &old));
    if (old.keys.n != 1 ||
        !yzi_bytes_eq(yzi_bytes(old.keys.items[0].key, 32), yzi_bytes(m->keys.items[0].key, 32))) {
        return yzi_fail(yzi_cli_error(c), YZ_EUNKNOWNKEY,
                        "%.*s is a member already, with another key; this set is not signed by it",
                        CLI_V(m->member.v));
    }
    m->keys = old.keys;
    m->name = m->name.n ? m->name : old.name;
    return YZ_OK;
}

static int read_added(struct cli *c, const struct operator_home *h, const char *path,
                      struct record *r, struct member_record *m)
{
    struct member_set set;
    YZ_TRY(yzi_cli_label(c, "name", &m->name));
    YZ_TRY(yzi_home_read(c, path, RECORD_MEMBER_SET, r));
    int rc = yzi_member_set_parse(r->body, yzi_cli_arena(c), &set);
    if (rc < 0) {
        yzi_cli_exit_with(c, EXIT_UNVERIFIED);
        return yzi_home_bad_body(c, rc, path, "member set");
    }
    YZ_TRY(signing_key(c, path, r, &m->keys.items[0]));
    m->member = set.member;
    YZ_TRY(merge(c, h, m));
    return yzi_operator_check_set(c, h, path, r, &m->keys, &set);
}

static int run_add(struct cli *c)
{
    struct operator_home h;
    struct record r;
    struct key_validity key = {0};
    struct member_record m = {.keys = {&key, 1}};
    char fingerprint[YZ_FINGERPRINT_TEXT];
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, YZ_RECORD_MAX);
    YZ_TRY(yzi_operator_open(c, true, &h));
    YZ_TRY(read_added(c, &h, yzi_cli_arg(c, 0), &r, &m));
    YZ_TRY(yzi_member_record_write(&m, &body));
    YZ_TRY(yzi_operator_keep_body(c, &h, RECORD_MEMBER, m.member.v, yzi_bytes_buf(&body)));
    YZ_TRY(yzi_operator_keep(c, &h, RECORD_MEMBER_SET, m.member.v, r.raw));
    yzi_key_fingerprint(m.keys.items[0].key, fingerprint);
    yzi_cli_say(c,
                "%.*s is a member, by the member key\n  %s\n"
                "Compare it with what the member says. It counts from the next yz directory "
                "publish.\n",
                CLI_V(m.member.v), fingerprint);
    return YZ_OK;
}

/* -- publish -- */

static int run_publish(struct cli *c)
{
    const char *dir;
    struct member_set set;
    YZ_TRY(yzi_home_open(c, HOME_MEMBER, false, &dir));
    YZ_TRY(yzi_home_member_set(c, dir, &set));
    return yzi_home_push_member_set(c, dir);
}

static const struct cli_option init_options[] = {
    {"home", "DIR", "The member's home, made here", true, false},
    {"member", "ID", "The member, INSTANCE/CLASS/CODE", true, false},
    {0}};
static const struct cli_option add_options[] = {
    {"home", "DIR", "The operator's home", true, false},
    {"name", "TEXT", "The member's name for people", false, false},
    {"fingerprint", "FP", "Refuse unless the member key has this fingerprint", false, false},
    {0}};
static const struct cli_option publish_options[] = {
    {"home", "DIR", "The member's home", true, false},
    {"admin", "SOCKET", "The daemon to give it to: an adapter or a broker", true, true},
    {0}};

const struct cli_verb yzi_cli_member[] = {
    {"member", "init", "", 0, 0, "Make a member's keys and its first member set", init_options,
     run_init, true},
    {"member", "add", "MEMBERSET", 1, 1, "Admit a member by the key that signed its member set",
     add_options, run_add, true},
    {"member", "publish", "", 0, 0, "Give the member set to running daemons, which spread it",
     publish_options, run_publish, true},
    CLI_TABLE_END};
