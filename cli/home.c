/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and writing what homes hold.
 */
#include "cli/home.h"

#include <ctype.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"

#define ARMOUR_MAX (YZ_RECORD_MAX * 2u)
#define FILE_NAME_MAX 200u /* file systems take 255 */

uint64_t yzi_home_now(void)
{
    return yzi_wall_ms(&yzi_clock_system);
}

uint64_t yzi_home_valid_from(void)
{
    return yzi_home_now() - YZ_SKEW_MS;
}

void yzi_home_base64(const uint8_t key[32], char out[48])
{
    sodium_bin2base64(out, 48, key, 32, sodium_base64_VARIANT_ORIGINAL);
}

static int keep_string(struct cli *c, const char *s, const char **out)
{
    yz_bytes copy;
    YZ_TRY(yzi_arena_dup(yzi_cli_arena(c), yzi_bytes(s, strlen(s) + 1), &copy));
    *out = (const char *)copy.p;
    return YZ_OK;
}

int yzi_home_path(struct cli *c, const char *dir, const char *name, const char **out)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_TRY(yzi_path_join(dir, name, &path));
    return keep_string(c, path, out);
}

int yzi_home_file_name(struct cli *c, const char *prefix, yz_bytes id, const char *suffix,
                       const char **out)
{
    char name[FILE_NAME_MAX + 64];
    size_t room = FILE_NAME_MAX - strlen(prefix) - strlen(suffix);
    char digest[20] = "";
    if (id.n > room) {
        uint8_t hash[crypto_hash_sha256_BYTES];
        crypto_hash_sha256(hash, id.p, id.n);
        digest[0] = '+';
        YZ_TRY(yzi_hex_encode(yzi_bytes(hash, 8), digest + 1, sizeof digest - 1));
    }
    int n = snprintf(name, sizeof name, "%s%.*s%s%s", prefix, (int)(id.n > room ? room : id.n),
                     (const char *)id.p, digest, suffix);
    YZ_ENSURE(n > 0 && (size_t)n < sizeof name, YZ_ELIMIT);
    for (char *p = name; *p; p++) {
        *p = *p == '/' ? '+' : *p;
    }
    return keep_string(c, name, out);
}

/* -- homes -- */

static const struct {
    const char *what, *marker, *made_by;
} homes[] = {
    [HOME_OPERATOR] = {"an operator's home", "root.yzr", "yz root init"},
    [HOME_MEMBER] = {"a member's home", "member-set.yzr", "yz member init"},
    [HOME_NODE] = {"a node's home", "request.yzr", "yz broker request or yz node request"},
};

enum home_kind yzi_home_kind(struct cli *c, const char *dir)
{
    for (enum home_kind k = HOME_OPERATOR; k <= HOME_NODE; k++) {
        const char *path;
        if (yzi_home_path(c, dir, homes[k].marker, &path) == YZ_OK && yzi_file_exists(path)) {
            return k;
        }
    }
    return 0;
}

static int home_option(struct cli *c, const char **out)
{
    const char *dir = yzi_cli_option(c, "home");
    if (!dir[0]) {
        return yzi_cli_usage(c, "--home is empty");
    }
    *out = dir;
    return YZ_OK;
}

static int lock(struct cli *c, const char *dir)
{
    const char *path;
    int fd;
    YZ_TRY(yzi_home_path(c, dir, "lock", &path));
    YZ_TRY(yzi_file_lock(path, &fd, yzi_cli_error(c)));
    yzi_cli_keep_fd(c, fd);
    return YZ_OK;
}

int yzi_home_open(struct cli *c, enum home_kind kind, bool change, const char **out)
{
    const char *dir = NULL;
    YZ_TRY(home_option(c, &dir));
    enum home_kind found = yzi_home_kind(c, dir);
    if (found != kind) {
        return yzi_fail(yzi_cli_error(c), found ? YZ_EINVAL : YZ_ENOTFOUND,
                        "%s is %s; needed is %s, made by %s", dir,
                        found ? homes[found].what : "no home", homes[kind].what,
                        homes[kind].made_by);
    }
    YZ_TRY(change ? lock(c, dir) : YZ_OK);
    *out = dir;
    return YZ_OK;
}

/* Make a folder if there is none; what was made goes again should the verb fail. */
static int make_dir(struct cli *c, const char *path)
{
    bool there = yzi_file_exists(path);
    YZ_TRY(yzi_dir_make(path, 0700, yzi_cli_error(c)));
    return there ? YZ_OK : yzi_cli_made(c, path);
}

int yzi_home_begin(struct cli *c, const char **out)
{
    const char *dir = NULL;
    YZ_TRY(home_option(c, &dir));
    enum home_kind found = yzi_home_kind(c, dir);
    if (found) {
        return yzi_fail(yzi_cli_error(c), YZ_EEXIST,
                        "%s is %s already (it has %s); nothing was changed", dir, homes[found].what,
                        homes[found].marker);
    }
    YZ_TRY(make_dir(c, dir));
    *out = dir;
    return YZ_OK;
}

/* -- records -- */

int yzi_home_bad_body(struct cli *c, int rc, const char *path, const char *what)
{
    return yzi_fail(yzi_cli_error(c), rc, "%s: does not hold a correct %s (%s)", path, what,
                    yz_err_words(rc));
}

int yzi_home_read(struct cli *c, const char *path, enum record_kind kind, struct record *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    YZ_AUTO(yzi_buf_fini) yz_buf raw;
    yzi_buf_init(&text, ARMOUR_MAX);
    yzi_buf_init(&raw, YZ_RECORD_MAX);
    YZ_TRY(yzi_file_read(path, &text, yzi_cli_error(c)));
    int rc = yzi_record_dearmour(yzi_bytes_buf(&text), &raw);
    yz_bytes copy = {0};
    if (rc == YZ_OK) {
        YZ_TRY(yzi_arena_dup(yzi_cli_arena(c), yzi_bytes_buf(&raw), &copy));
        rc = yzi_record_parse(copy, out);
    }
    if (rc < 0) {
        yzi_cli_exit_with(c, EXIT_UNVERIFIED);
        return yzi_fail(yzi_cli_error(c), rc,
                        "%s: not a record in text armour, or damaged; get it again from whoever "
                        "made it",
                        path);
    }
    if (kind && out->kind != kind) {
        return yzi_fail(yzi_cli_error(c), YZ_EINVAL, "%s: holds a %s record where a %s is needed",
                        path, yzi_record_kind_name(out->kind), yzi_record_kind_name(kind));
    }
    return YZ_OK;
}

static int write_record(struct cli *c, const char *path, yz_bytes record, bool is_new)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, ARMOUR_MAX);
    YZ_TRY(yzi_record_armour(record, &text));
    return is_new ? yzi_file_create(path, yzi_bytes_buf(&text), 0644, yzi_cli_error(c))
                  : yzi_file_write(path, yzi_bytes_buf(&text), 0644, yzi_cli_error(c));
}

int yzi_home_write(struct cli *c, const char *path, yz_bytes record)
{
    return write_record(c, path, record, false);
}

int yzi_home_write_new(struct cli *c, const char *path, yz_bytes record)
{
    YZ_TRY(write_record(c, path, record, true));
    return yzi_cli_made(c, path);
}

int yzi_home_sign(struct cli *c, enum record_kind kind, yz_bytes body, struct key_pair *const *keys,
                  unsigned n, yz_bytes *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf record;
    yzi_buf_init(&record, YZ_RECORD_MAX);
    int rc = yzi_record_sign(kind, body, keys, n, &record);
    if (rc < 0) {
        return yzi_fail(yzi_cli_error(c), rc, "the %s cannot be signed (%s)",
                        yzi_record_kind_name(kind), yz_err_words(rc));
    }
    return yzi_arena_dup(yzi_cli_arena(c), yzi_bytes_buf(&record), out);
}

/* -- keys -- */

static int key_path(struct cli *c, const char *dir, const char *name, const char **out)
{
    char file[64];
    snprintf(file, sizeof file, "keys/%s.key", name);
    return yzi_home_path(c, dir, file, out);
}

int yzi_home_key(struct cli *c, const char *dir, const char *name, enum key_use use,
                 struct key_pair *out)
{
    const char *path;
    YZ_TRY(key_path(c, dir, name, &path));
    return yzi_keyfile_load(path, use, out, yzi_cli_error(c));
}

int yzi_home_new_key(struct cli *c, const char *dir, const char *name, enum key_use use,
                     uint8_t out_public[32])
{
    const char *path, *keys;
    YZ_TRY(yzi_home_path(c, dir, "keys", &keys));
    YZ_TRY(make_dir(c, keys));
    YZ_TRY(key_path(c, dir, name, &path));
    YZ_TRY(yzi_keyfile_create(path, use, out_public, yzi_cli_error(c)));
    return yzi_cli_made(c, path);
}

/* The hex digits of a fingerprint as people write them down: of either case, with or without ':'
 * and spaces. */
static int fingerprint_digits(const char *text, char out[33])
{
    size_t n = 0;
    for (; *text; text++) {
        if (*text == ':' || *text == ' ') {
            continue;
        }
        YZ_ENSURE(n < 32 && isxdigit((unsigned char)*text), YZ_EINVAL);
        out[n++] = (char)tolower((unsigned char)*text);
    }
    out[n] = '\0';
    return n == 32 ? YZ_OK : YZ_EINVAL;
}

int yzi_home_check_fingerprint(struct cli *c, const uint8_t key[32], const char *what)
{
    char actual[YZ_FINGERPRINT_TEXT], digits[33], given[33];
    const char *expected = yzi_cli_option(c, "fingerprint");
    if (!expected) {
        return YZ_OK;
    }
    if (fingerprint_digits(expected, given) < 0) {
        return yzi_cli_usage(c, "--fingerprint takes 8 groups of 4 hex digits, as in "
                                "1f0c:52a9:...");
    }
    yzi_key_fingerprint(key, actual);
    YZ_TRY(fingerprint_digits(actual, digits));
    if (strcmp(digits, given) != 0) {
        return yzi_fail(yzi_cli_error(c), YZ_ESIGNATURE,
                        "the %s key's fingerprint is %s, not the one given: this is not the file "
                        "its maker meant",
                        what, actual);
    }
    return YZ_OK;
}

/* -- node requests -- */

int yzi_home_write_request(struct cli *c, const char *dir, struct node_request *q)
{
    const char *path;
    yz_bytes raw;
    YZ_AUTO(yzi_key_pair_fini) struct key_pair key = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, YZ_RECORD_MAX);
    q->issued_at = yzi_home_now();
    YZ_TRY(yzi_home_path(c, dir, "request.yzr", &path));
    YZ_TRY(yzi_home_key(c, dir, "signing", KEY_SIGNING, &key));
    int rc = yzi_node_request_write(q, &body);
    if (rc < 0) {
        return yzi_home_bad_body(c, rc, path, "node request");
    }
    struct key_pair *signer = &key;
    YZ_TRY(yzi_home_sign(c, RECORD_NODE_REQUEST, yzi_bytes_buf(&body), &signer, 1, &raw));
    return yzi_home_write_new(c, path, raw);
}

int yzi_home_read_request(struct cli *c, const char *path, struct node_request *out)
{
    struct record r;
    YZ_TRY(yzi_home_read(c, path, RECORD_NODE_REQUEST, &r));
    int rc = yzi_node_request_parse(r.body, yzi_cli_arena(c), out);
    if (rc == YZ_OK) {
        rc = yzi_record_verify(&r, (const uint8_t(*)[32])out->signing, 1, 1);
    }
    if (rc < 0) {
        yzi_cli_exit_with(c, EXIT_UNVERIFIED);
        return yzi_fail(yzi_cli_error(c), rc,
                        "%s: the request is not signed by the key it names, or damaged; get it "
                        "again from whoever made it",
                        path);
    }
    return yzi_home_check_fingerprint(c, out->signing, "signing");
}

/* -- member sets -- */

int yzi_home_member_set(struct cli *c, const char *home, struct member_set *out)
{
    const char *path;
    struct record r;
    YZ_AUTO(yzi_key_pair_fini) struct key_pair key = {0};
    YZ_TRY(yzi_home_path(c, home, "member-set.yzr", &path));
    YZ_TRY(yzi_home_read(c, path, RECORD_MEMBER_SET, &r));
    YZ_TRY(yzi_home_key(c, home, "member", KEY_MEMBER, &key));
    int rc = yzi_record_verify(&r, (const uint8_t(*)[32])key.public_key, 1, 1);
    if (rc < 0) {
        return yzi_fail(yzi_cli_error(c), rc, "%s: not signed by the member key of this home",
                        path);
    }
    rc = yzi_member_set_parse(r.body, yzi_cli_arena(c), out);
    return rc < 0 ? yzi_home_bad_body(c, rc, path, "member set") : rc;
}

int yzi_home_sign_member_set(struct cli *c, const char *home, struct member_set *set)
{
    const char *path;
    yz_bytes raw;
    YZ_AUTO(yzi_key_pair_fini) struct key_pair key = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, YZ_RECORD_MAX);
    YZ_TRY(yzi_home_key(c, home, "member", KEY_MEMBER, &key));
    set->version++;
    set->issued_at = yzi_home_now();
    YZ_TRY(yzi_home_path(c, home, "member-set.yzr", &path));
    int rc = yzi_member_set_write(set, &body);
    if (rc < 0) {
        return yzi_fail(yzi_cli_error(c), rc,
                        "the member set with this change would break a rule of member sets: "
                        "is a key or an id there already, or a list full?");
    }
    struct key_pair *signer = &key;
    YZ_TRY(yzi_home_sign(c, RECORD_MEMBER_SET, yzi_bytes_buf(&body), &signer, 1, &raw));
    return set->version == 1 ? yzi_home_write_new(c, path, raw) : yzi_home_write(c, path, raw);
}

int yzi_home_push_member_set(struct cli *c, const char *home)
{
    const char *path;
    struct record r;
    YZ_TRY(yzi_home_path(c, home, "member-set.yzr", &path));
    YZ_TRY(yzi_home_read(c, path, RECORD_MEMBER_SET, &r));
    return yzi_home_send_all(c, "records.put", r.raw);
}

struct node_record *yzi_home_node(const struct member_set *set, yz_bytes node)
{
    for (size_t i = 0; i < set->nodes_n; i++) {
        if (yzi_bytes_eq(set->nodes[i].node.v, node)) {
            return &set->nodes[i];
        }
    }
    return NULL;
}

struct subsystem_record *yzi_home_subsystem(const struct member_set *set, yz_bytes code)
{
    for (size_t i = 0; i < set->subsystems_n; i++) {
        if (yzi_bytes_eq(set->subsystems[i].code, code)) {
            return &set->subsystems[i];
        }
    }
    return NULL;
}
