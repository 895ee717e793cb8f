/* SPDX-License-Identifier: Apache-2.0
 *
 * yz evidence status|list|show|export|prune|check|close: a broker's log, asked over its
 * administration socket.
 */
#include <jansson.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/evidence.h"
#include "cli/home.h"

#define ARGS_MAX 6u

struct asking {
    struct admin_arg args[ARGS_MAX];
    struct home_call call;
};

static void ask_init(struct cli *c, struct asking *a, const char *verb)
{
    *a = (struct asking){.call = {.socket = yzi_cli_option(c, "admin"), .verb = verb, .fd = -1}};
    a->call.args = a->args;
}

static void add(struct asking *a, const char *key, const char *value)
{
    if (value) {
        YZ_ASSERT(a->call.args_n < ARGS_MAX);
        a->args[a->call.args_n++] =
            (struct admin_arg){.key = yzi_bytes_str(key), .value = yzi_bytes_str(value)};
    }
}

/* An order: its answer is a sentence. */
static int tell(struct cli *c, struct asking *a)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, ADMIN_MESSAGE_MAX);
    YZ_TRY(yzi_home_call(c, &a->call, &text, NULL));
    yzi_cli_say(c, "%.*s\n", CLI_V(text));
    return YZ_OK;
}

/* -- reading -- */

/* The key, or whatever stands before the value, included. */
static void say_value(struct cli *c, const char *key, const json_t *v)
{
    if (json_is_string(v)) {
        yzi_cli_say(c, "%s%s", key, json_string_value(v));
    } else if (json_is_integer(v)) {
        yzi_cli_say(c, "%s%lld", key, (long long)json_integer_value(v));
    } else if (json_is_boolean(v)) {
        yzi_cli_say(c, "%s%s", key, json_is_true(v) ? "yes" : "no");
    }
}

/* "index type time" and the rest by name. */
static void say_entry(struct cli *c, json_t *e)
{
    const char *key;
    json_t *v;
    yzi_cli_say(c, "%-8lld %-10s %s", (long long)json_integer_value(json_object_get(e, "index")),
                json_string_value(json_object_get(e, "type")),
                json_string_value(json_object_get(e, "time")));
    json_object_foreach(e, key, v)
    {
        if (strcmp(key, "index") != 0 && strcmp(key, "type") != 0 && strcmp(key, "time") != 0) {
            char name[64];
            snprintf(name, sizeof name, " %s=", key);
            say_value(c, name, v);
        }
    }
    yzi_cli_say(c, "\n");
}

static int say_json(struct cli *c, const yz_buf *answer)
{
    json_error_t fault;
    json_t *root = json_loadb((const char *)answer->p, answer->n, JSON_REJECT_DUPLICATES, &fault);
    size_t i;
    json_t *item;
    if (!root) {
        return yzi_fail(yzi_cli_error(c), YZ_EMALFORMED, "the broker's answer is not JSON");
    }
    if (json_is_array(root)) {
        json_array_foreach(root, i, item)
        {
            say_entry(c, item);
        }
    } else {
        const char *key;
        json_object_foreach(root, key, item)
        {
            yzi_cli_say(c, "%-16s", key);
            say_value(c, "", item);
            yzi_cli_say(c, "\n");
        }
    }
    json_decref(root);
    return YZ_OK;
}

static int show_answer(struct cli *c, struct asking *a)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    YZ_AUTO(yzi_buf_fini) yz_buf payload;
    yzi_buf_init(&text, ADMIN_MESSAGE_MAX);
    yzi_buf_init(&payload, ADMIN_MESSAGE_MAX);
    YZ_TRY(yzi_home_call(c, &a->call, &text, &payload));
    const yz_buf *answer = payload.n ? &payload : &text;
    if (yzi_cli_json(c)) {
        yzi_cli_write(c, yzi_bytes_buf(answer));
        return YZ_OK;
    }
    return say_json(c, answer);
}

int yzi_evidence_status_run(struct cli *c)
{
    struct asking a;
    ask_init(c, &a, "evidence.status");
    return show_answer(c, &a);
}

int yzi_evidence_list_run(struct cli *c)
{
    struct asking a;
    ask_init(c, &a, "evidence.list");
    add(&a, "from", yzi_cli_option(c, "from"));
    add(&a, "count", yzi_cli_option(c, "count"));
    return show_answer(c, &a);
}

static int check_index(struct cli *c, const char *text)
{
    uint64_t n;
    return text && yzi_u64_parse(yzi_bytes_str(text), UINT64_MAX, &n) == YZ_OK
               ? YZ_OK
               : yzi_cli_usage(c, "'%s' is not an index", text ? text : "");
}

int yzi_evidence_show_run(struct cli *c)
{
    struct asking a;
    const char *index = yzi_cli_arg(c, 0);
    YZ_TRY(check_index(c, index));
    ask_init(c, &a, "evidence.list");
    add(&a, "from", index);
    add(&a, "count", "1");
    add(&a, "bodies", "1");
    return show_answer(c, &a);
}

/* INDEX, or a message id. */
int yzi_evidence_export_run(struct cli *c)
{
    YZ_AUTO(yzi_buf_fini) yz_buf proof;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    struct asking a;
    const char *what = yzi_cli_arg(c, 0), *file = yzi_cli_option(c, "out");
    bool is_id = strchr(what, '-') != NULL;
    yzi_buf_init(&proof, ADMIN_MESSAGE_MAX);
    yzi_buf_init(&text, ADMIN_MESSAGE_MAX);
    ask_init(c, &a, "evidence.export");
    if (!is_id) {
        YZ_TRY(check_index(c, what));
    }
    add(&a, is_id ? "id" : "index", what);
    add(&a, "type", yzi_cli_option(c, "type"));
    add(&a, "log", yzi_cli_option(c, "log"));
    YZ_TRY(yzi_home_call(c, &a.call, &text, &proof));
    if (file) {
        return yzi_file_write(file, yzi_bytes_buf(&proof), 0644, yzi_cli_error(c));
    }
    yzi_cli_write(c, yzi_bytes_buf(&proof));
    return YZ_OK;
}

/* -- orders -- */

int yzi_evidence_prune_run(struct cli *c)
{
    struct asking a;
    YZ_TRY(check_index(c, yzi_cli_option(c, "below")));
    ask_init(c, &a, "evidence.prune");
    add(&a, "below", yzi_cli_option(c, "below"));
    return tell(c, &a);
}

int yzi_evidence_check_run(struct cli *c)
{
    struct asking a;
    ask_init(c, &a, "evidence.check");
    return tell(c, &a);
}

int yzi_evidence_close_run(struct cli *c)
{
    struct asking a;
    ask_init(c, &a, "evidence.close");
    return tell(c, &a);
}

#define ADMIN                                                                                      \
    {                                                                                              \
        "admin", "SOCKET", "The broker's administration socket", true, false                       \
    }
const struct cli_option yzi_evidence_admin_options[] = {ADMIN, {0}};
const struct cli_option yzi_evidence_list_options[] = {
    ADMIN,
    {"from", "INDEX", "The first entry (default 0)", false, false},
    {"count", "N", "How many at most (default 100, at most 1000)", false, false},
    {0}};
const struct cli_option yzi_evidence_export_options[] = {
    ADMIN,
    {"type", "TYPE", "request, response or outcome, when a message id is given", false, false},
    {"log", "NUMBER", "An earlier log, when an index is given", false, false},
    {"out", "FILE", "Write it there", false, false},
    {0}};
const struct cli_option yzi_evidence_prune_options[] = {
    ADMIN, {"below", "INDEX", "Bodies of entries below it are let go of", true, false}, {0}};
