/* SPDX-License-Identifier: Apache-2.0
 *
 * What the operator's verbs share.
 */
#include "cli/operator.h"

#include <dirent.h>
#include <errno.h>

#include "base/file.h"
#include "keys/directory.h"

/* -- the root statement -- */

static int read_root(struct cli *c, const char *dir, const char *name, struct record *out,
                     struct root_statement *out_statement)
{
    const char *path;
    YZ_TRY(yzi_home_path(c, dir, name, &path));
    YZ_TRY(yzi_home_read(c, path, RECORD_ROOT, out));
    int rc = yzi_directory_check_anchor(out->raw, yzi_cli_error(c));
    if (rc < 0) {
        yzi_error_prefix(yzi_cli_error(c), "%s", path);
        yzi_cli_exit_with(c, EXIT_UNVERIFIED);
        return rc;
    }
    rc = yzi_root_statement_parse(out->body, yzi_cli_arena(c), out_statement);
    return rc < 0 ? yzi_home_bad_body(c, rc, path, "root statement") : rc;
}

int yzi_operator_open(struct cli *c, bool change, struct operator_home *out)
{
    struct operator_home h = {0};
    struct root_statement anchor;
    YZ_TRY(yzi_home_open(c, HOME_OPERATOR, change, &h.dir));
    YZ_TRY(read_root(c, h.dir, "anchor.yzr", &h.anchor, &anchor));
    YZ_TRY(read_root(c, h.dir, "root.yzr", &h.root, &h.statement));
    int rc = yzi_record_verify(&h.root, (const uint8_t(*)[32])anchor.root_keys, anchor.root_keys_n,
                               anchor.root_threshold);
    if (rc < 0) {
        return yzi_fail(yzi_cli_error(c), rc,
                        "%s: root.yzr is not signed by the root keys of anchor.yzr", h.dir);
    }
    *out = h;
    return YZ_OK;
}

int yzi_operator_check_instance(struct cli *c, const struct operator_home *h, yz_bytes id)
{
    if (yzi_bytes_eq(yzi_id_instance(id), h->statement.instance)) {
        return YZ_OK;
    }
    return yzi_fail(yzi_cli_error(c), YZ_EINVAL, "%.*s is not of this instance, which is %.*s",
                    CLI_V(id), CLI_V(h->statement.instance));
}

int yzi_operator_sign_root(struct cli *c, const struct operator_home *h,
                           struct root_statement *next)
{
    const char *path;
    yz_bytes raw;
    YZ_AUTO(yzi_operator_signers_fini) struct signers s = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, YZ_RECORD_MAX);
    YZ_TRY(yzi_operator_signers(c, h->dir, KEY_ROOT, (const uint8_t(*)[32])h->statement.root_keys,
                                h->statement.root_keys_n, h->statement.root_threshold, &s));
    next->version = h->statement.version + 1;
    next->issued_at = yzi_home_now();
    YZ_TRY(yzi_home_path(c, h->dir, "root.yzr", &path));
    int rc = yzi_root_statement_write(next, &body);
    if (rc < 0) {
        return yzi_fail(
            yzi_cli_error(c), rc,
            "the root statement with this change would break a rule of root statements: "
            "is a key there already, or a list full?");
    }
    YZ_TRY(yzi_home_sign(c, RECORD_ROOT, yzi_bytes_buf(&body), s.keys, s.n, &raw));
    return yzi_home_write(c, path, raw);
}

/* -- keys -- */

void yzi_operator_signers_fini(struct signers *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        yzi_key_pair_fini(&s->pairs[i]);
    }
    *s = (struct signers){0};
}

static bool is_among(const uint8_t (*keys)[32], size_t n, const uint8_t key[32])
{
    for (size_t i = 0; i < n; i++) {
        if (yzi_bytes_eq(yzi_bytes(keys[i], 32), yzi_bytes(key, 32))) {
            return true;
        }
    }
    return false;
}

static int take_signer(struct cli *c, const char *dir, enum key_use use, unsigned number,
                       const uint8_t (*allowed)[32], size_t allowed_n, struct signers *out)
{
    char name[32], file[48];
    const char *path;
    snprintf(name, sizeof name, "%s-%u", yzi_key_use_name(use), number);
    snprintf(file, sizeof file, "keys/%s.key", name);
    YZ_TRY(yzi_home_path(c, dir, file, &path));
    if (!yzi_file_exists(path)) { /* it is kept elsewhere */
        return YZ_OK;
    }
    struct key_pair *k = &out->pairs[out->n];
    YZ_TRY(yzi_home_key(c, dir, name, use, k));
    if (!is_among(allowed, allowed_n, k->public_key)) {
        yzi_key_pair_fini(k);
        return YZ_OK;
    }
    out->keys[out->n++] = k;
    return YZ_OK;
}

int yzi_operator_signers(struct cli *c, const char *dir, enum key_use use,
                         const uint8_t (*allowed)[32], size_t allowed_n, unsigned threshold,
                         struct signers *out)
{
    for (unsigned i = 1; i <= YZ_ROOT_KEYS_MAX; i++) {
        YZ_TRY(take_signer(c, dir, use, i, allowed, allowed_n, out));
    }
    if (out->n < threshold) {
        const char *use_name = yzi_key_use_name(use);
        return yzi_fail(
            yzi_cli_error(c), YZ_ENOTFOUND,
            "%u of %zu %s keys must sign and %s/keys holds %u of them (%s-N.key); bring "
            "the others for this",
            threshold, allowed_n, use_name, dir, out->n, use_name);
    }
    return YZ_OK;
}

/* -- records/ -- */

static const char *prefix_of(enum record_kind kind)
{
    switch (kind) {
    case RECORD_BROKER:
        return "broker-";
    case RECORD_MEMBER:
        return "member-";
    case RECORD_MEMBER_SET:
        return "member-set-";
    case RECORD_REVOCATION:
        return "revocation-";
    case RECORD_PURPOSES:
        return "purposes-";
    case RECORD_ROOT:
    case RECORD_MANIFEST:
    case RECORD_FRESHNESS:
    case RECORD_ANNOUNCEMENT:
    case RECORD_OFFER:
    case RECORD_TERMS:
    case RECORD_NODE_REQUEST:
    default:
        YZ_ASSERT(!"the operator keeps no record of this kind");
        return "";
    }
}

int yzi_operator_path(struct cli *c, const struct operator_home *h, enum record_kind kind,
                      yz_bytes id, const char **out)
{
    const char *name, *dir;
    YZ_TRY(yzi_home_file_name(c, prefix_of(kind), id, ".yzr", &name));
    YZ_TRY(yzi_home_path(c, h->dir, "records", &dir));
    return yzi_home_path(c, dir, name, out);
}

int yzi_operator_find(struct cli *c, const struct operator_home *h, enum record_kind kind,
                      yz_bytes id, struct record *out)
{
    const char *path;
    YZ_TRY(yzi_operator_path(c, h, kind, id, &path));
    YZ_ENSURE(yzi_file_exists(path), YZ_ENOTFOUND);
    return yzi_home_read(c, path, kind, out);
}

int yzi_operator_keep(struct cli *c, const struct operator_home *h, enum record_kind kind,
                      yz_bytes id, yz_bytes raw)
{
    const char *dir, *path;
    YZ_TRY(yzi_home_path(c, h->dir, "records", &dir));
    YZ_TRY(yzi_dir_make(dir, 0700, yzi_cli_error(c)));
    YZ_TRY(yzi_operator_path(c, h, kind, id, &path));
    return yzi_home_write(c, path, raw);
}

int yzi_operator_keep_body(struct cli *c, const struct operator_home *h, enum record_kind kind,
                           yz_bytes id, yz_bytes body)
{
    yz_bytes raw;
    YZ_TRY(yzi_home_sign(c, kind, body, NULL, 0, &raw));
    return yzi_operator_keep(c, h, kind, id, raw);
}

static bool is_record_file(const char *name)
{
    size_t n = strlen(name);
    return name[0] != '.' && n > 4 && strcmp(name + n - 4, ".yzr") == 0;
}

static void close_dir(DIR **d)
{
    if (*d) {
        closedir(*d);
    }
}

int yzi_operator_records(struct cli *c, const struct operator_home *h, struct record **out,
                         size_t *out_n)
{
    const char *dir;
    struct record *records = NULL;
    size_t n = 0;
    YZ_TRY(yzi_home_path(c, h->dir, "records", &dir));
    YZ_AUTO(close_dir) DIR *d = opendir(dir);
    if (!d && errno != ENOENT) {
        return yzi_fail(yzi_cli_error(c), yzi_err_from_errno(errno), "cannot read %s: %s", dir,
                        strerror(errno));
    }
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        const char *path;
        if (!is_record_file(e->d_name)) {
            continue;
        }
        YZ_TRY(yzi_home_path(c, dir, e->d_name, &path));
        YZ_TRY(yzi_cli_extend(c, &records, n, sizeof *records));
        YZ_TRY(yzi_home_read(c, path, 0, &records[n]));
        n++;
    }
    *out = records;
    *out_n = n;
    return YZ_OK;
}

/* -- members -- */

int yzi_operator_member(struct cli *c, const struct operator_home *h, yz_bytes member,
                        struct member_record *out)
{
    struct record r;
    int rc = yzi_operator_find(c, h, RECORD_MEMBER, member, &r);
    if (rc == YZ_ENOTFOUND) {
        return yzi_fail(yzi_cli_error(c), rc,
                        "%.*s is no member of this instance; add it with yz member add",
                        CLI_V(member));
    }
    YZ_TRY(rc);
    rc = yzi_member_record_parse(r.body, yzi_cli_arena(c), out);
    return rc < 0 ? yzi_home_bad_body(c, rc, "records/", "member record") : rc;
}

static int check_order(struct cli *c, const struct operator_home *h, const char *path,
                       const struct record *r, const struct member_set *set)
{
    struct record kept;
    struct member_set old;
    int rc = yzi_operator_find(c, h, RECORD_MEMBER_SET, set->member.v, &kept);
    if (rc == YZ_ENOTFOUND) {
        return YZ_OK;
    }
    YZ_TRY(rc);
    YZ_TRY(yzi_member_set_parse(kept.body, yzi_cli_arena(c), &old));
    if (set->version < old.version) {
        return yzi_fail(yzi_cli_error(c), YZ_EROLLBACK,
                        "%s: version %llu of this member set is older than %llu, which is here",
                        path, (unsigned long long)set->version, (unsigned long long)old.version);
    }
    if (set->version == old.version && !yzi_bytes_eq(kept.body, r->body)) {
        return yzi_fail(yzi_cli_error(c), YZ_EROLLBACK,
                        "%s: alarm: there are two different member sets of version %llu; ask the "
                        "member",
                        path, (unsigned long long)set->version);
    }
    return YZ_OK;
}

int yzi_operator_check_set(struct cli *c, const struct operator_home *h, const char *path,
                           const struct record *r, const struct key_list *keys,
                           const struct member_set *set)
{
    YZ_TRY(yzi_operator_check_instance(c, h, set->member.v));
    int rc = yzi_record_verify_one(r, keys, yzi_home_now());
    if (rc < 0) {
        return yzi_fail(yzi_cli_error(c), rc, "%s: not signed by a valid key of %.*s", path,
                        CLI_V(set->member.v));
    }
    return check_order(c, h, path, r, set);
}
