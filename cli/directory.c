/* SPDX-License-Identifier: Apache-2.0
 *
 * yz directory: the operator makes the next version from the records of its home and gives it to
 * brokers. Nothing is saved or sent that does not verify against the anchor.
 */
#include "base/file.h"
#include "cli/bundle.h"
#include "cli/operator.h"

/* -- publish -- */

struct publication {
    struct operator_home home;
    struct record *sets; /* of --member-set, checked; signed by their members */
    yz_bytes *set_members;
    size_t sets_n;
    yz_bytes *records; /* of the directory */
    size_t records_n;
    uint64_t version;
};

static int take_set(struct cli *c, struct publication *p, const char *path)
{
    struct record r;
    struct member_set set;
    struct member_record member;
    YZ_TRY(yzi_home_read(c, path, RECORD_MEMBER_SET, &r));
    int rc = yzi_member_set_parse(r.body, yzi_cli_arena(c), &set);
    if (rc < 0) {
        yzi_cli_exit_with(c, EXIT_UNVERIFIED);
        return yzi_home_bad_body(c, rc, path, "member set");
    }
    YZ_TRY(yzi_operator_member(c, &p->home, set.member.v, &member));
    YZ_TRY(yzi_operator_check_set(c, &p->home, path, &r, &member.keys, &set));
    for (size_t i = 0; i < p->sets_n; i++) {
        if (yzi_bytes_eq(p->set_members[i], set.member.v)) {
            return yzi_cli_usage(c, "--member-set: two files are of %.*s", CLI_V(set.member.v));
        }
    }
    p->sets[p->sets_n] = r;
    p->set_members[p->sets_n++] = set.member.v;
    return YZ_OK;
}

static int take_sets(struct cli *c, struct publication *p)
{
    size_t n;
    const char *const *paths = yzi_cli_options(c, "member-set", &n);
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n, sizeof *p->sets, &p->sets));
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n, sizeof *p->set_members, &p->set_members));
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(take_set(c, p, paths[i]));
    }
    return YZ_OK;
}

/* Whether a kept member set gives way to one of those given. */
static int is_replaced(struct cli *c, const struct publication *p, const struct record *r,
                       bool *out)
{
    struct member_set set;
    *out = false;
    if (r->kind != RECORD_MEMBER_SET) {
        return YZ_OK;
    }
    YZ_TRY(yzi_member_set_parse(r->body, yzi_cli_arena(c), &set));
    for (size_t i = 0; i < p->sets_n; i++) {
        *out = *out || yzi_bytes_eq(p->set_members[i], set.member.v);
    }
    return YZ_OK;
}

static int collect(struct cli *c, struct publication *p)
{
    struct record *kept;
    size_t n;
    YZ_TRY(yzi_operator_records(c, &p->home, &kept, &n));
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n + p->sets_n + 1, sizeof *p->records, &p->records));
    p->records[p->records_n++] = p->home.root.raw;
    for (size_t i = 0; i < p->sets_n; i++) {
        p->records[p->records_n++] = p->sets[i].raw;
    }
    for (size_t i = 0; i < n; i++) {
        bool replaced;
        YZ_TRY(is_replaced(c, p, &kept[i], &replaced));
        if (!replaced) {
            p->records[p->records_n++] = kept[i].raw;
        }
    }
    return YZ_OK;
}

/* One more than the version published last. */
static int next_version(struct cli *c, struct publication *p)
{
    const char *path;
    struct bundle_parts parts;
    YZ_AUTO(yzi_buf_fini) yz_buf last;
    YZ_AUTO(yzi_directory_unref_ptr) const struct directory *d = NULL;
    yzi_buf_init(&last, BUNDLE_MAX);
    p->version = 1;
    YZ_TRY(yzi_home_path(c, p->home.dir, "directory.bundle", &path));
    if (!yzi_file_exists(path)) {
        return YZ_OK;
    }
    YZ_TRY(yzi_file_read(path, &last, yzi_cli_error(c)));
    YZ_TRY(yzi_bundle_split(c, yzi_bytes_buf(&last), path, &parts));
    YZ_TRY(yzi_bundle_verify(c, p->home.anchor.raw, &parts, path, &d));
    p->version = yzi_directory_version(d) + 1;
    return YZ_OK;
}

static void parts_fini(struct directory_parts *p)
{
    yzi_directory_parts_fini(p);
}

static int assemble(struct cli *c, const struct publication *p, yz_buf *bundle)
{
    const struct root_statement *root = &p->home.statement;
    YZ_AUTO(yzi_operator_signers_fini) struct signers s = {0};
    YZ_AUTO(parts_fini) struct directory_parts parts = {0};
    struct bundle_parts made;
    YZ_AUTO(yzi_directory_unref_ptr) const struct directory *d = NULL;
    YZ_TRY(yzi_operator_signers(c, p->home.dir, KEY_OPERATOR,
                                (const uint8_t(*)[32])root->operator_keys, root->operator_keys_n,
                                root->operator_threshold, &s));
    YZ_TRY(yzi_directory_assemble(p->records, p->records_n, p->version, yzi_home_now(), s.keys, s.n,
                                  &parts, yzi_cli_error(c)));
    YZ_TRY(yzi_directory_bundle_write(&parts, bundle));
    YZ_TRY(yzi_bundle_split(c, yzi_bytes_buf(bundle), "the new directory", &made));
    return yzi_bundle_verify(c, p->home.anchor.raw, &made, "the new directory", &d);
}

static int save(struct cli *c, const struct publication *p, yz_bytes bundle, const char **out_path)
{
    const char *copy = yzi_cli_option(c, "out");
    for (size_t i = 0; i < p->sets_n; i++) {
        YZ_TRY(
            yzi_operator_keep(c, &p->home, RECORD_MEMBER_SET, p->set_members[i], p->sets[i].raw));
    }
    YZ_TRY(yzi_home_path(c, p->home.dir, "directory.bundle", out_path));
    YZ_TRY(yzi_file_write(*out_path, bundle, 0644, yzi_cli_error(c)));
    return copy ? yzi_file_write(copy, bundle, 0644, yzi_cli_error(c)) : YZ_OK;
}

static int run_publish(struct cli *c)
{
    struct publication p = {0};
    const char *path;
    YZ_AUTO(yzi_buf_fini) yz_buf bundle;
    yzi_buf_init(&bundle, BUNDLE_MAX);
    YZ_TRY(yzi_operator_open(c, true, &p.home));
    YZ_TRY(next_version(c, &p));
    YZ_TRY(take_sets(c, &p));
    YZ_TRY(collect(c, &p));
    YZ_TRY(assemble(c, &p, &bundle));
    YZ_TRY(save(c, &p, yzi_bytes_buf(&bundle), &path));
    yzi_cli_say(c, "directory version %llu: %zu records, %zu bytes\n",
                (unsigned long long)p.version, p.records_n, bundle.n);
    YZ_TRY(yzi_home_send_all(c, "anchor.set", p.home.anchor.raw));
    return yzi_home_send_file(c, "directory.put", path);
}

static const struct cli_option publish_options[] = {
    {"home", "DIR", "The operator's home", true, false},
    {"member-set", "FILE", "A newer member set to take in", false, true},
    {"admin", "SOCKET", "Give it to this broker, with the anchor", false, true},
    {"out", "FILE", "Write the bundle there, too", false, false},
    {0}};
static const struct cli_option show_options[] = {
    {"home", "DIR", "The operator's home: what was published last", false, false},
    {"admin", "SOCKET", "A broker: what it has in force", false, false},
    {"bundle", "FILE", "A bundle", false, false},
    {"anchor", "FILE", "The anchor to hold a bundle or a broker's directory to", false, false},
    {0}};

const struct cli_verb yzi_cli_directory[] = {
    {"directory", "publish", "", 0, 0,
     "Sign the next version of the directory and give it to "
     "brokers",
     publish_options, run_publish, true},
    {"directory", "show", "", 0, 0, "Verify a directory and show who is in it", show_options,
     yzi_directory_show_run, false},
    CLI_TABLE_END};
