/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and writing what homes hold.
 */
#include "cli/home.h"

#include <sodium.h>

#include "base/clock.h"
#include "base/file.h"
#include "net/admin.h"

#define ARMOUR_MAX (YZ_RECORD_MAX * 2u)
#define ADMIN_TIMEOUT_MS 30000u

uint64_t yzi_home_now(void)
{
    return yzi_wall_ms(&yzi_clock_system);
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
    char name[YZ_ID_MAX + 64];
    int n = snprintf(name, sizeof name, "%s%.*s%s", prefix, (int)id.n, (const char *)id.p, suffix);
    YZ_ENSURE(n > 0 && (size_t)n < sizeof name, YZ_ELIMIT);
    for (char *p = name; *p; p++) {
        *p = *p == '/' ? '+' : *p;
    }
    return keep_string(c, name, out);
}

/* -- records -- */

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
        return yzi_fail(yzi_cli_error(c), rc,
                        "%s: not a record in text armour, or damaged; get it "
                        "again from whoever made it",
                        path);
    }
    if (kind && out->kind != kind) {
        return yzi_fail(yzi_cli_error(c), YZ_EINVAL, "%s: holds a %s record where a %s is needed",
                        path, yzi_record_kind_name(out->kind), yzi_record_kind_name(kind));
    }
    return YZ_OK;
}

int yzi_home_write(struct cli *c, const char *path, yz_bytes record)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, ARMOUR_MAX);
    YZ_TRY(yzi_record_armour(record, &text));
    return yzi_file_write(path, yzi_bytes_buf(&text), 0644, yzi_cli_error(c));
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
    YZ_TRY(yzi_dir_make(dir, 0700, yzi_cli_error(c)));
    YZ_TRY(yzi_home_path(c, dir, "keys", &keys));
    YZ_TRY(yzi_dir_make(keys, 0700, yzi_cli_error(c)));
    YZ_TRY(key_path(c, dir, name, &path));
    return yzi_keyfile_create(path, use, out_public, yzi_cli_error(c));
}

int yzi_home_check_fingerprint(struct cli *c, const uint8_t key[32], const char *what)
{
    char actual[YZ_FINGERPRINT_TEXT];
    yzi_key_fingerprint(key, actual);
    const char *expected = yzi_cli_option(c, "fingerprint");
    if (expected && strcmp(expected, actual) != 0) {
        return yzi_fail(yzi_cli_error(c), YZ_ESIGNATURE,
                        "the %s key's fingerprint is %s, not the one given: this is not the file "
                        "its maker meant",
                        what, actual);
    }
    return YZ_OK;
}

/* -- member sets -- */

int yzi_home_member_set(struct cli *c, const char *home, struct member_set *out)
{
    const char *path;
    struct record r;
    YZ_TRY(yzi_home_path(c, home, "member-set.yzr", &path));
    YZ_TRY(yzi_home_read(c, path, RECORD_MEMBER_SET, &r));
    int rc = yzi_member_set_parse(r.body, yzi_cli_arena(c), out);
    return rc < 0 ? yzi_fail(yzi_cli_error(c), rc, "%s: does not parse as a member set", path) : rc;
}

int yzi_home_sign_member_set(struct cli *c, const char *home, struct member_set *set)
{
    struct key_pair key = {0};
    YZ_TRY(yzi_home_key(c, home, "member", KEY_MEMBER, &key));
    set->version++;
    set->issued_at = yzi_home_now();
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    YZ_AUTO(yzi_buf_fini) yz_buf record;
    yzi_buf_init(&body, YZ_RECORD_MAX);
    yzi_buf_init(&record, YZ_RECORD_MAX);
    struct key_pair *signer = &key;
    int rc = yzi_member_set_write(set, &body);
    if (rc == YZ_OK) {
        rc = yzi_record_sign(RECORD_MEMBER_SET, yzi_bytes_buf(&body), &signer, 1, &record);
    }
    yzi_key_pair_fini(&key);
    if (rc < 0) {
        return yzi_fail(yzi_cli_error(c), rc, "the member set cannot be written (%s)",
                        yz_err_name(rc));
    }
    const char *path;
    YZ_TRY(yzi_home_path(c, home, "member-set.yzr", &path));
    return yzi_home_write(c, path, yzi_bytes_buf(&record));
}

/* -- daemons -- */

int yzi_home_send(struct cli *c, const char *socket, const char *verb, yz_bytes payload)
{
    struct admin_request q = {.verb = yzi_bytes_str(verb)};
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, ADMIN_MESSAGE_MAX);
    return yzi_admin_call(socket, &q, payload, -1, ADMIN_TIMEOUT_MS, NULL, NULL, &text, NULL,
                          yzi_cli_error(c));
}

int yzi_home_send_all(struct cli *c, const char *verb, yz_bytes payload)
{
    size_t n;
    const char *const *sockets = yzi_cli_options(c, "admin", &n);
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(yzi_home_send(c, sockets[i], verb, payload));
    }
    return YZ_OK;
}
