/* SPDX-License-Identifier: Apache-2.0
 *
 * yz directory show: a directory from a home, a file or a running broker, verified, for people and
 * as JSON.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/bundle.h"
#include "cli/columns.h"
#include "cli/operator.h"
#include "cli/texts.h"

/* -- show: where from -- */

struct shown {
    struct cli *c;
    const struct directory *d;
    const char *against; /* what it was verified against, for people */
    struct columns members, subsystems, nodes, brokers, revocations, purposes;
    bool has_purposes;
    struct json json;
};

static int show_home(struct cli *c, struct shown *s)
{
    struct operator_home h;
    struct bundle_parts parts;
    const char *path;
    YZ_AUTO(yzi_buf_fini) yz_buf bundle;
    yzi_buf_init(&bundle, BUNDLE_MAX);
    YZ_TRY(yzi_operator_open(c, false, &h));
    YZ_TRY(yzi_home_path(c, h.dir, "directory.bundle", &path));
    if (!yzi_file_exists(path)) {
        return yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND,
                        "%s: no directory was published yet (yz directory publish)", h.dir);
    }
    YZ_TRY(yzi_file_read(path, &bundle, yzi_cli_error(c)));
    s->against = "the anchor of this home";
    YZ_TRY(yzi_bundle_split(c, yzi_bytes_buf(&bundle), path, &parts));
    return yzi_bundle_verify(c, h.anchor.raw, &parts, path, &s->d);
}

/* The root statement a bundle brings along: its first record. */
static int own_root(struct cli *c, const struct bundle_parts *p, const char *where, yz_bytes *out)
{
    yz_reader r = yzi_reader(p->chunks[0]);
    struct record record;
    int rc = yzi_record_next(&r, &record);
    if (rc == YZ_OK) {
        rc = yzi_directory_check_anchor(record.raw, yzi_cli_error(c));
    }
    if (rc < 0) {
        yzi_fail(yzi_cli_error(c), rc, "it has no root statement in its first place");
        return yzi_bundle_refuse(c, rc, where);
    }
    *out = record.raw;
    return YZ_OK;
}

/* With an anchor it is held to that, otherwise to the root statement in it: then it is consistent,
 * and the daemon's word stands for the rest. */
static int show_bytes(struct cli *c, struct shown *s, yz_bytes bundle, const char *where)
{
    const char *anchor = yzi_cli_option(c, "anchor");
    struct bundle_parts parts;
    struct record r;
    yz_bytes root;
    YZ_TRY(yzi_bundle_split(c, bundle, where, &parts));
    if (anchor) {
        YZ_TRY(yzi_home_read(c, anchor, RECORD_ROOT, &r));
        int rc = yzi_directory_check_anchor(r.raw, yzi_cli_error(c));
        YZ_TRY(rc < 0 ? yzi_bundle_refuse(c, rc, anchor) : YZ_OK);
        root = r.raw;
        s->against = anchor;
    } else {
        YZ_TRY(own_root(c, &parts, where, &root));
        s->against = "its own root statement only (no --anchor)";
    }
    return yzi_bundle_verify(c, root, &parts, where, &s->d);
}

static void close_fd(const int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

static int show_admin(struct cli *c, struct shown *s, const char *socket)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    YZ_AUTO(yzi_buf_fini) yz_buf bundle;
    yzi_buf_init(&text, ADMIN_MESSAGE_MAX);
    yzi_buf_init(&bundle, BUNDLE_MAX);
    YZ_AUTO(close_fd) int fd = memfd_create("directory", MFD_CLOEXEC); /* larger than a message */
    if (fd < 0) {
        return yzi_fail(yzi_cli_error(c), YZ_ENOMEM, "no memory for the broker's directory");
    }
    struct home_call call = {.socket = socket, .verb = "directory.get", .fd = fd};
    YZ_TRY(yzi_home_call(c, &call, &text, NULL));
    YZ_TRY(yzi_file_read_fd(fd, socket, &bundle, yzi_cli_error(c)));
    return show_bytes(c, s, yzi_bytes_buf(&bundle), socket);
}

static int show_file(struct cli *c, struct shown *s, const char *path)
{
    YZ_AUTO(yzi_buf_fini) yz_buf bundle;
    yzi_buf_init(&bundle, BUNDLE_MAX);
    if (!yzi_cli_option(c, "anchor")) {
        return yzi_cli_usage(c, "--bundle needs --anchor FILE, to which it is held");
    }
    YZ_TRY(yzi_file_read(path, &bundle, yzi_cli_error(c)));
    return show_bytes(c, s, yzi_bytes_buf(&bundle), path);
}

static int open_shown(struct cli *c, struct shown *s)
{
    const char *socket = yzi_cli_option(c, "admin"), *bundle = yzi_cli_option(c, "bundle");
    const char *home = yzi_cli_option(c, "home");
    if (!!socket + !!bundle + !!home != 1) {
        return yzi_cli_usage(c, "say which: --home DIR, --admin SOCKET or --bundle FILE --anchor "
                                "FILE");
    }
    if (home && yzi_cli_option(c, "anchor")) {
        return yzi_cli_usage(c, "--anchor goes with --bundle or --admin: a home has its own");
    }
    return socket ? show_admin(c, s, socket) : bundle ? show_file(c, s, bundle) : show_home(c, s);
}

/* -- show: for people -- */

static void add_names(struct columns *t, const struct name_list *l)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, YZ_RECORD_MAX);
    int rc = YZ_OK;
    for (size_t i = 0; i < l->n && rc == YZ_OK; i++) {
        rc = yzi_buf_put_str(&text, i ? " " : "");
        rc = rc == YZ_OK ? yzi_buf_put(&text, l->items[i]) : rc;
    }
    t->rc = t->rc < 0 ? t->rc : rc;
    yzi_columns_add(t, yzi_bytes_buf(&text));
}

static void add_time(struct columns *t, uint64_t ms)
{
    char text[32];
    yzi_columns_str(t, yzi_cli_time_text(ms, text));
}

static int tell_member(struct shown *s, const struct record *r)
{
    struct member_record m;
    YZ_TRY(yzi_member_record_parse(r->body, yzi_cli_arena(s->c), &m));
    char fingerprint[YZ_FINGERPRINT_TEXT];
    yzi_key_fingerprint(m.keys.items[0].key, fingerprint);
    yzi_columns_add(&s->members, m.member.v);
    yzi_columns_str(&s->members, fingerprint);
    yzi_columns_add(&s->members, m.name);
    return YZ_OK;
}

static int tell_set(struct shown *s, const struct record *r)
{
    struct member_set set;
    YZ_TRY(yzi_member_set_parse(r->body, yzi_cli_arena(s->c), &set));
    for (size_t i = 0; i < set.subsystems_n; i++) {
        yzi_columns_printf(&s->subsystems, "%.*s/%.*s", CLI_V(set.member.v),
                           CLI_V(set.subsystems[i].code));
        yzi_columns_printf(&s->subsystems, "%llu", (unsigned long long)set.version);
        yzi_columns_add(&s->subsystems, set.subsystems[i].name);
    }
    for (size_t i = 0; i < set.nodes_n; i++) {
        const struct node_record *n = &set.nodes[i];
        yzi_columns_add(&s->nodes, n->node.v);
        yzi_columns_str(&s->nodes, yzi_role_name(n->role));
        add_time(&s->nodes, n->signing.items[n->signing.n - 1].not_after);
        add_names(&s->nodes, &n->subsystems);
    }
    return YZ_OK;
}

static int tell_broker(struct shown *s, const struct record *r)
{
    struct broker_record b;
    YZ_TRY(yzi_broker_record_parse(r->body, yzi_cli_arena(s->c), &b));
    for (size_t i = 0; i < b.endpoints_n; i++) {
        yzi_columns_add(&s->brokers, b.node.v);
        char key[48];
        yzi_home_base64(b.endpoints[i].transport.key, key);
        yzi_columns_add(&s->brokers, b.endpoints[i].address);
        yzi_columns_str(&s->brokers, key);
        yzi_columns_add(&s->brokers, b.name);
    }
    return YZ_OK;
}

static int tell_revocation(struct shown *s, const struct record *r)
{
    struct revocation v;
    YZ_TRY(yzi_revocation_parse(r->body, yzi_cli_arena(s->c), &v));
    if (v.has_key) {
        char key[48];
        yzi_home_base64(v.key, key);
        yzi_columns_printf(&s->revocations, "key %s", key);
    } else {
        yzi_columns_add(&s->revocations, v.node.n ? v.node : v.member);
    }
    add_time(&s->revocations, v.at);
    yzi_columns_add(&s->revocations, v.reason);
    return YZ_OK;
}

static int tell_purposes(struct shown *s, const struct record *r)
{
    struct purpose_list l;
    YZ_TRY(yzi_purpose_list_parse(r->body, yzi_cli_arena(s->c), &l));
    s->has_purposes = true;
    for (size_t i = 0; i < l.purposes_n; i++) {
        const struct purpose_entry *p = &l.purposes[i];
        yzi_columns_add(&s->purposes, p->code);
        yzi_columns_add(&s->purposes, p->titles.items[0].text);
        yzi_columns_add(&s->purposes, p->legal_basis);
    }
    return YZ_OK;
}

static int tell(void *ctx, const struct record *r)
{
    switch (r->kind) {
    case RECORD_MEMBER:
        return tell_member(ctx, r);
    case RECORD_MEMBER_SET:
        return tell_set(ctx, r);
    case RECORD_BROKER:
        return tell_broker(ctx, r);
    case RECORD_REVOCATION:
        return tell_revocation(ctx, r);
    case RECORD_PURPOSES:
        return tell_purposes(ctx, r);
    case RECORD_ROOT:
    case RECORD_MANIFEST:
    case RECORD_FRESHNESS:
    case RECORD_ANNOUNCEMENT:
    case RECORD_OFFER:
    case RECORD_TERMS:
    case RECORD_NODE_REQUEST:
    default:
        return YZ_OK;
    }
}

#define HEAD(...) ((const char *const[]){__VA_ARGS__, NULL})

static int show_text(struct cli *c, struct shown *s)
{
    char time[32];
    const struct root_statement *root = yzi_directory_root(s->d);
    yzi_columns_begin(&s->brokers, c, HEAD("BROKER", "ENDPOINT", "KEY", "NAME"));
    yzi_columns_begin(&s->members, c, HEAD("MEMBER", "MEMBER KEY", "NAME"));
    yzi_columns_begin(&s->subsystems, c, HEAD("SUBSYSTEM", "SET", "NAME"));
    yzi_columns_begin(&s->nodes, c, HEAD("NODE", "ROLE", "UNTIL", "SUBSYSTEMS"));
    yzi_columns_begin(&s->revocations, c, HEAD("REVOKED", "SINCE", "REASON"));
    yzi_columns_begin(&s->purposes, c, HEAD("PURPOSE", "TITLE", "LEGAL BASIS"));
    YZ_TRY(yzi_directory_each(s->d, tell, s));
    yzi_cli_say(c,
                "directory of %.*s, version %llu, issued %s, root statement version %llu\n"
                "verified against %s\n",
                CLI_V(yzi_directory_instance(s->d)),
                (unsigned long long)yzi_directory_version(s->d),
                yzi_cli_time_text(yzi_directory_issued_at(s->d), time),
                (unsigned long long)root->version, s->against);
    YZ_TRY(yzi_columns_print(&s->brokers, true));
    YZ_TRY(yzi_columns_print(&s->members, true));
    YZ_TRY(yzi_columns_print(&s->subsystems, true));
    YZ_TRY(yzi_columns_print(&s->nodes, true));
    YZ_TRY(yzi_columns_print(&s->revocations, true));
    if (s->has_purposes && s->purposes.cells_n == s->purposes.width) {
        yzi_cli_say(c, "\nthe list of purposes is empty: none will do\n");
    }
    return yzi_columns_print(&s->purposes, true);
}

/* -- show: JSON -- */

static void put_text(struct json *j, const char *key, yz_bytes v)
{
    yzi_json_key(j, key);
    if (v.n) {
        yzi_json_text(j, v);
    } else {
        yzi_json_null(j);
    }
}

static void put_time(struct json *j, const char *key, uint64_t ms)
{
    char text[32];
    yzi_json_key(j, key);
    yzi_json_str(j, ms ? yzi_cli_time_text(ms, text) : NULL);
}

static void put_keys(struct json *j, const char *key, const struct key_list *l)
{
    yzi_json_key(j, key);
    yzi_json_array(j);
    for (size_t i = 0; i < l->n; i++) {
        char base64[48];
        yzi_home_base64(l->items[i].key, base64);
        yzi_json_object(j);
        yzi_json_key(j, "key");
        yzi_json_str(j, base64);
        put_time(j, "not_before", l->items[i].not_before);
        put_time(j, "not_after", l->items[i].not_after);
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
}

static int put_member(struct shown *s, const struct record *r)
{
    struct member_record m;
    struct json *j = &s->json;
    YZ_TRY(yzi_member_record_parse(r->body, yzi_cli_arena(s->c), &m));
    put_text(j, "member", m.member.v);
    put_text(j, "name", m.name);
    put_keys(j, "keys", &m.keys);
    return YZ_OK;
}

static void put_node(struct json *j, const struct node_record *n)
{
    yzi_json_object(j);
    put_text(j, "node", n->node.v);
    yzi_json_key(j, "role");
    yzi_json_str(j, yzi_role_name(n->role));
    yzi_json_key(j, "subsystems");
    yzi_json_array(j);
    for (size_t i = 0; i < n->subsystems.n; i++) {
        yzi_json_text(j, n->subsystems.items[i]);
    }
    yzi_json_array_end(j);
    put_keys(j, "signing", &n->signing);
    put_keys(j, "transport", &n->transport);
    yzi_json_object_end(j);
}

static int put_set(struct shown *s, const struct record *r)
{
    struct member_set set;
    struct json *j = &s->json;
    YZ_TRY(yzi_member_set_parse(r->body, yzi_cli_arena(s->c), &set));
    put_text(j, "member", set.member.v);
    yzi_json_key(j, "version");
    yzi_json_u64(j, set.version);
    put_time(j, "issued_at", set.issued_at);
    put_keys(j, "owner_keys", &set.owner_keys);
    yzi_json_key(j, "subsystems");
    yzi_json_array(j);
    for (size_t i = 0; i < set.subsystems_n; i++) {
        yzi_json_object(j);
        put_text(j, "code", set.subsystems[i].code);
        put_text(j, "name", set.subsystems[i].name);
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
    yzi_json_key(j, "nodes");
    yzi_json_array(j);
    for (size_t i = 0; i < set.nodes_n; i++) {
        put_node(j, &set.nodes[i]);
    }
    yzi_json_array_end(j);
    return YZ_OK;
}

static int put_broker(struct shown *s, const struct record *r)
{
    struct broker_record b;
    struct json *j = &s->json;
    YZ_TRY(yzi_broker_record_parse(r->body, yzi_cli_arena(s->c), &b));
    put_text(j, "node", b.node.v);
    put_text(j, "name", b.name);
    yzi_json_key(j, "endpoints");
    yzi_json_array(j);
    for (size_t i = 0; i < b.endpoints_n; i++) {
        char base64[48];
        yzi_home_base64(b.endpoints[i].transport.key, base64);
        yzi_json_object(j);
        put_text(j, "address", b.endpoints[i].address);
        yzi_json_key(j, "key");
        yzi_json_str(j, base64);
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
    return YZ_OK;
}

static int put_revocation(struct shown *s, const struct record *r)
{
    struct revocation v;
    struct json *j = &s->json;
    YZ_TRY(yzi_revocation_parse(r->body, yzi_cli_arena(s->c), &v));
    char key[48];
    yzi_home_base64(v.key, key);
    put_text(j, "node", v.node);
    put_text(j, "member", v.member);
    yzi_json_key(j, "key");
    yzi_json_str(j, v.has_key ? key : NULL);
    put_time(j, "at", v.at);
    put_text(j, "reason", v.reason);
    return YZ_OK;
}

static int put_purposes(struct shown *s, const struct record *r)
{
    struct purpose_list l;
    struct json *j = &s->json;
    YZ_TRY(yzi_purpose_list_parse(r->body, yzi_cli_arena(s->c), &l));
    put_time(j, "issued_at", l.issued_at);
    yzi_json_key(j, "purposes");
    yzi_json_array(j);
    for (size_t i = 0; i < l.purposes_n; i++) {
        yzi_json_object(j);
        put_text(j, "code", l.purposes[i].code);
        yzi_texts_json(j, "titles", &l.purposes[i].titles);
        put_text(j, "legal_basis", l.purposes[i].legal_basis);
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
    return YZ_OK;
}

static const struct {
    enum record_kind kind;
    const char *name;
    int (*put)(struct shown *s, const struct record *r);
} lists[] = {
    {RECORD_BROKER, "brokers", put_broker},
    {RECORD_MEMBER, "members", put_member},
    {RECORD_MEMBER_SET, "member_sets", put_set},
    {RECORD_REVOCATION, "revocations", put_revocation},
    {RECORD_PURPOSES, "purpose_lists", put_purposes}, /* one at most */
};

struct list_of {
    struct shown *s;
    size_t list;
};
static int put_one(void *ctx, const struct record *r)
{
    const struct list_of *l = ctx;
    if (r->kind != lists[l->list].kind) {
        return YZ_OK;
    }
    yzi_json_object(&l->s->json);
    YZ_TRY(lists[l->list].put(l->s, r));
    yzi_json_object_end(&l->s->json);
    return YZ_OK;
}

static int show_json(struct cli *c, struct shown *s)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, BUNDLE_MAX);
    struct json *j = &s->json;
    yzi_json_init(j, &text, true);
    yzi_json_object(j);
    put_text(j, "instance", yzi_directory_instance(s->d));
    yzi_json_key(j, "version");
    yzi_json_u64(j, yzi_directory_version(s->d));
    put_time(j, "issued_at", yzi_directory_issued_at(s->d));
    yzi_json_key(j, "root_version");
    yzi_json_u64(j, yzi_directory_root(s->d)->version);
    yzi_json_key(j, "root_hash");
    yzi_json_hex(j, yzi_bytes_digest(yzi_directory_root_hash(s->d)));
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct list_of l = {s, i};
        yzi_json_key(j, lists[i].name);
        yzi_json_array(j);
        YZ_TRY(yzi_directory_each(s->d, put_one, &l));
        yzi_json_array_end(j);
    }
    yzi_json_object_end(j);
    YZ_TRY(yzi_json_end(j));
    yzi_cli_write(c, yzi_bytes_buf(&text));
    return YZ_OK;
}

static void shown_fini(struct shown *s)
{
    yzi_directory_unref(s->d);
}

int yzi_directory_show_run(struct cli *c)
{
    YZ_AUTO(shown_fini) struct shown s = {.c = c};
    YZ_TRY(open_shown(c, &s));
    return yzi_cli_json(c) ? show_json(c, &s) : show_text(c, &s);
}
