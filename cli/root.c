/* SPDX-License-Identifier: Apache-2.0
 *
 * yz root: the root of an instance. The first root statement is the anchor, which everybody
 * compares once; what follows is signed by the keys of the one before.
 */
#include "base/file.h"
#include "cli/operator.h"
#include "keys/directory.h"

/* -- init -- */

static int make_keys(struct cli *c, const char *dir, enum key_use use, uint64_t n,
                     uint8_t (**out)[32])
{
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n, sizeof **out, out));
    for (uint64_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s-%u", yzi_key_use_name(use), (unsigned)i + 1);
        YZ_TRY(yzi_home_new_key(c, dir, name, use, (*out)[i]));
    }
    return YZ_OK;
}

static int threshold(struct cli *c, const char *option, uint64_t keys, uint32_t *out)
{
    uint64_t v;
    YZ_TRY(yzi_cli_number(c, option, 1, keys, keys / 2 + 1, &v));
    *out = (uint32_t)v;
    return YZ_OK;
}

static int read_init(struct cli *c, struct root_statement *s)
{
    uint64_t root_keys, operator_keys;
    YZ_TRY(yzi_cli_code(c, "an instance", yzi_cli_option(c, "instance"), &s->instance));
    YZ_TRY(yzi_cli_number(c, "root-keys", 1, YZ_ROOT_KEYS_MAX, 1, &root_keys));
    YZ_TRY(yzi_cli_number(c, "operator-keys", 1, YZ_ROOT_KEYS_MAX, 1, &operator_keys));
    YZ_TRY(threshold(c, "root-threshold", root_keys, &s->root_threshold));
    YZ_TRY(threshold(c, "operator-threshold", operator_keys, &s->operator_threshold));
    s->root_keys_n = root_keys;
    s->operator_keys_n = operator_keys;
    return YZ_OK;
}

/* The first statement, signed by every root key. */
static int sign_first(struct cli *c, const char *dir, struct root_statement *s, yz_bytes *out)
{
    YZ_AUTO(yzi_operator_signers_fini) struct signers signers = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, YZ_RECORD_MAX);
    s->version = 1;
    s->issued_at = yzi_home_now();
    YZ_TRY(yzi_root_statement_write(s, &body));
    YZ_TRY(yzi_operator_signers(c, dir, KEY_ROOT, (const uint8_t(*)[32])s->root_keys,
                                s->root_keys_n, s->root_threshold, &signers));
    return yzi_home_sign(c, RECORD_ROOT, yzi_bytes_buf(&body), signers.keys, signers.n, out);
}

static void digest_text(const yz_digest *d, char out[YZ_FINGERPRINT_TEXT])
{
    for (unsigned group = 0; group < 8; group++) {
        snprintf(out + 5 * group, 6, "%04x%s", yzi_load_u16(d->b + 2 * group),
                 group < 7 ? ":" : "");
    }
}

static void record_fingerprint(yz_bytes raw, char out[YZ_FINGERPRINT_TEXT])
{
    yz_digest d;
    yzi_record_digest(raw, &d);
    digest_text(&d, out);
}

static int run_init(struct cli *c)
{
    const char *dir, *anchor, *root, *records;
    struct root_statement s = {0};
    char fingerprint[YZ_FINGERPRINT_TEXT];
    yz_bytes raw;
    YZ_TRY(read_init(c, &s));
    YZ_TRY(yzi_home_begin(c, &dir));
    YZ_TRY(make_keys(c, dir, KEY_ROOT, s.root_keys_n, &s.root_keys));
    YZ_TRY(make_keys(c, dir, KEY_OPERATOR, s.operator_keys_n, &s.operator_keys));
    YZ_TRY(yzi_home_new_key(c, dir, "freshness", KEY_FRESHNESS, s.freshness_key));
    YZ_TRY(sign_first(c, dir, &s, &raw));
    YZ_TRY(yzi_home_path(c, dir, "anchor.yzr", &anchor));
    YZ_TRY(yzi_home_path(c, dir, "root.yzr", &root));
    YZ_TRY(yzi_home_path(c, dir, "records", &records));
    YZ_TRY(yzi_dir_make(records, 0700, yzi_cli_error(c)));
    YZ_TRY(yzi_cli_made(c, records));
    YZ_TRY(yzi_home_write_new(c, anchor, raw));
    YZ_TRY(yzi_home_write_new(c, root, raw)); /* what makes it a home comes last */
    record_fingerprint(raw, fingerprint);
    yzi_cli_say(c,
                "The instance %.*s has its root: %u of %zu root keys, %u of %zu operator keys.\n"
                "Give everybody %s, whose fingerprint they compare once:\n  %s\n",
                CLI_V(s.instance), s.root_threshold, s.root_keys_n, s.operator_threshold,
                s.operator_keys_n, anchor, fingerprint);
    return YZ_OK;
}

/* -- show -- */

static void put_base64(struct json *j, const uint8_t key[32])
{
    char text[48];
    yzi_home_base64(key, text);
    yzi_json_str(j, text);
}

static void put_plain_keys(struct json *j, const char *name, uint8_t (*keys)[32], size_t n)
{
    yzi_json_key(j, name);
    yzi_json_array(j);
    for (size_t i = 0; i < n; i++) {
        put_base64(j, keys[i]);
    }
    yzi_json_array_end(j);
}

static void put_keys(struct json *j, const char *name, const struct key_list *l)
{
    yzi_json_key(j, name);
    yzi_json_array(j);
    for (size_t i = 0; i < l->n; i++) {
        put_base64(j, l->items[i].key);
    }
    yzi_json_array_end(j);
}

static void put_brokers(struct json *j, const struct root_statement *s)
{
    yzi_json_key(j, "brokers");
    yzi_json_array(j);
    for (size_t i = 0; i < s->brokers_n; i++) {
        const struct root_broker *b = &s->brokers[i];
        yzi_json_object(j);
        yzi_json_key(j, "node");
        yzi_json_text(j, b->node.v);
        put_keys(j, "transport", &b->transport);
        put_keys(j, "signing", &b->signing);
        put_keys(j, "log", &b->log);
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
}

static int show_json(struct cli *c, const struct record *r, const struct root_statement *s)
{
    char time[32], fingerprint[YZ_FINGERPRINT_TEXT];
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, 16u * 1024u * 1024u);
    struct json j;
    yz_digest digest;
    yzi_record_digest(r->raw, &digest);
    digest_text(&digest, fingerprint);
    yzi_json_init(&j, &text, true);
    yzi_json_object(&j);
    yzi_json_key(&j, "instance");
    yzi_json_text(&j, s->instance);
    yzi_json_key(&j, "version");
    yzi_json_u64(&j, s->version);
    yzi_json_key(&j, "issued_at");
    yzi_json_str(&j, yzi_cli_time_text(s->issued_at, time));
    yzi_json_key(&j, "fingerprint");
    yzi_json_str(&j, fingerprint);
    yzi_json_key(&j, "digest");
    yzi_json_hex(&j, yzi_bytes_digest(&digest));
    put_plain_keys(&j, "root_keys", s->root_keys, s->root_keys_n);
    yzi_json_key(&j, "root_threshold");
    yzi_json_u64(&j, s->root_threshold);
    put_plain_keys(&j, "operator_keys", s->operator_keys, s->operator_keys_n);
    yzi_json_key(&j, "operator_threshold");
    yzi_json_u64(&j, s->operator_threshold);
    yzi_json_key(&j, "freshness_key");
    put_base64(&j, s->freshness_key);
    put_brokers(&j, s);
    yzi_json_object_end(&j);
    YZ_TRY(yzi_json_end(&j));
    yzi_cli_write(c, yzi_bytes_buf(&text));
    return YZ_OK;
}

static void say_keys(struct cli *c, const char *what, uint8_t (*keys)[32], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char fingerprint[YZ_FINGERPRINT_TEXT];
        yzi_key_fingerprint(keys[i], fingerprint);
        yzi_cli_say(c, "  %s  %s\n", what, fingerprint);
    }
}

static void say_list(struct cli *c, const char *what, const struct key_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        say_keys(c, what, &l->items[i].key, 1);
    }
}

static int show_text(struct cli *c, const struct record *r, const struct root_statement *s)
{
    char time[32], fingerprint[YZ_FINGERPRINT_TEXT];
    record_fingerprint(r->raw, fingerprint);
    yzi_cli_say(c, "root statement of %.*s, version %llu, issued %s\nfingerprint  %s\n",
                CLI_V(s->instance), (unsigned long long)s->version,
                yzi_cli_time_text(s->issued_at, time), fingerprint);
    yzi_cli_say(c, "\n%u of %zu root keys:\n", s->root_threshold, s->root_keys_n);
    say_keys(c, "root     ", s->root_keys, s->root_keys_n);
    yzi_cli_say(c, "%u of %zu operator keys:\n", s->operator_threshold, s->operator_keys_n);
    say_keys(c, "operator ", s->operator_keys, s->operator_keys_n);
    yzi_cli_say(c, "freshness key:\n");
    say_keys(c, "freshness", (uint8_t(*)[32])(uintptr_t)s->freshness_key, 1);
    for (size_t i = 0; i < s->brokers_n; i++) {
        yzi_cli_say(c, "broker %.*s:\n", CLI_V(s->brokers[i].node.v));
        say_list(c, "transport", &s->brokers[i].transport);
        say_list(c, "signing  ", &s->brokers[i].signing);
        say_list(c, "log      ", &s->brokers[i].log);
    }
    return YZ_OK;
}

static int run_show(struct cli *c)
{
    struct record r;
    struct root_statement s;
    const char *path = yzi_cli_arg(c, 0);
    YZ_TRY(yzi_home_read(c, path, RECORD_ROOT, &r));
    int rc = yzi_directory_check_anchor(r.raw, yzi_cli_error(c));
    if (rc < 0) {
        yzi_error_prefix(yzi_cli_error(c), "%s", path);
        yzi_cli_exit_with(c, EXIT_UNVERIFIED);
        return rc;
    }
    YZ_TRY(yzi_root_statement_parse(r.body, yzi_cli_arena(c), &s));
    return yzi_cli_json(c) ? show_json(c, &r, &s) : show_text(c, &r, &s);
}

static const struct cli_option init_options[] = {
    {"home", "DIR", "The operator's home, made here", true, false},
    {"instance", "CODE", "The instance's name, such as CN", true, false},
    {"root-keys", "N", "How many root keys (default 1)", false, false},
    {"root-threshold", "M", "How many of them must sign (default: more than half)", false, false},
    {"operator-keys", "N", "How many operator keys (default 1)", false, false},
    {"operator-threshold", "M", "How many of them must sign (default: more than half)", false,
     false},
    {0}};

const struct cli_verb yzi_cli_root[] = {
    {"root", "init", "", 0, 0,
     "Make an instance: its root, operator and freshness keys, its anchor", init_options, run_init,
     true},
    {"root", "show", "FILE", 1, 1, "Show a root statement (an anchor) and verify its signatures",
     NULL, run_show, false},
    CLI_TABLE_END};
