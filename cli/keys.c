/* SPDX-License-Identifier: Apache-2.0
 *
 * yz keys: single key files. Homes make their own; these are for a key made apart, and to see what
 * a file is. The secret is never shown.
 */
#include "cli/home.h"

static int show(struct cli *c, enum key_use use, const uint8_t public_key[32])
{
    char base64[48] = "", fingerprint[YZ_FINGERPRINT_TEXT] = "";
    bool has_public = use != KEY_STORAGE;
    if (has_public) {
        yzi_home_base64(public_key, base64);
        yzi_key_fingerprint(public_key, fingerprint);
    }
    if (!yzi_cli_json(c)) {
        yzi_cli_say(c, "use          %s\n", yzi_key_use_name(use));
        if (has_public) {
            yzi_cli_say(c, "public key   %s\nfingerprint  %s\n", base64, fingerprint);
        }
        return YZ_OK;
    }
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, 4096);
    struct json j;
    yzi_json_init(&j, &text, true);
    yzi_json_object(&j);
    yzi_json_key(&j, "use");
    yzi_json_str(&j, yzi_key_use_name(use));
    yzi_json_key(&j, "public_key");
    yzi_json_str(&j, has_public ? base64 : NULL);
    yzi_json_key(&j, "fingerprint");
    yzi_json_str(&j, has_public ? fingerprint : NULL);
    yzi_json_object_end(&j);
    YZ_TRY(yzi_json_end(&j));
    yzi_cli_write(c, yzi_bytes_buf(&text));
    return YZ_OK;
}

static int run_new(struct cli *c)
{
    enum key_use use;
    uint8_t public_key[32] = {0};
    const char *name = yzi_cli_option(c, "use");
    if (yzi_key_use_parse(name, &use) < 0 || use == KEY_SEALING) {
        return yzi_cli_usage(c,
                             "--use: '%s' is no use of a key file; there are root, operator, "
                             "freshness, member, owner, signing, log, transport and storage",
                             name);
    }
    YZ_TRY(yzi_keyfile_create(yzi_cli_arg(c, 0), use, public_key, yzi_cli_error(c)));
    return show(c, use, public_key);
}

static int run_show(struct cli *c)
{
    const char *path = yzi_cli_arg(c, 0);
    int rc = YZ_EINVAL;
    for (enum key_use use = KEY_ROOT; use <= KEY_STORAGE && rc == YZ_EINVAL; use++) {
        YZ_AUTO(yzi_key_pair_fini) struct key_pair key = {0};
        rc = yzi_keyfile_load(path, use, &key, yzi_cli_error(c));
        if (rc == YZ_OK) {
            return show(c, use, key.public_key);
        }
    }
    return rc;
}

static const struct cli_option new_options[] = {
    {"use", "USE", "What the key is for: root, operator, member, signing, ...", true, false}, {0}};

const struct cli_verb yzi_cli_keys[] = {
    {"keys", "new", "FILE", 1, 1, "Make a key and write it to FILE, which must not exist yet",
     new_options, run_new, false},
    {"keys", "show", "FILE", 1, 1, "Show a key file's use, public key and fingerprint", NULL,
     run_show, false},
    CLI_TABLE_END};
