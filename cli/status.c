/* SPDX-License-Identifier: Apache-2.0
 *
 * yz status: how a running daemon is, in its own words. What it says grows with versions, so
 * whatever is in its JSON is shown, one line each.
 */
#include <jansson.h>

#include "cli/home.h"

static void say_value(struct cli *c, const json_t *v)
{
    char *text = json_is_string(v) ? NULL : json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    yzi_cli_say(c, "%s", json_is_string(v) ? json_string_value(v) : text ? text : "?");
    free(text);
}

/* An array of objects: one line for each, "name=value" in a row. */
static void say_array(struct cli *c, const char *key, const json_t *array)
{
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        const char *name;
        json_t *v;
        const char *gap = "";
        yzi_cli_say(c, "%-18s", key);
        if (!json_is_object(item)) {
            say_value(c, item);
        }
        json_object_foreach(item, name, v)
        {
            yzi_cli_say(c, "%s%s=", gap, name);
            say_value(c, v);
            gap = " ";
        }
        yzi_cli_say(c, "\n");
    }
}

static void say_object(struct cli *c, json_t *root)
{
    const char *key;
    json_t *v;
    json_object_foreach(root, key, v)
    {
        if (json_is_array(v)) {
            say_array(c, key, v);
        } else if (!json_is_null(v)) {
            yzi_cli_say(c, "%-18s", key);
            say_value(c, v);
            yzi_cli_say(c, "\n");
        }
    }
}

static int run(struct cli *c)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, ADMIN_MESSAGE_MAX);
    struct home_call call = {.socket = yzi_cli_option(c, "admin"), .verb = "status", .fd = -1};
    YZ_TRY(yzi_home_call(c, &call, &text, NULL));
    json_error_t fault;
    json_t *root = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &fault);
    if (!json_is_object(root)) {
        json_decref(root);
        return yzi_fail(yzi_cli_error(c), YZ_EMALFORMED, "%s: the daemon's answer is not JSON",
                        call.socket);
    }
    if (yzi_cli_json(c)) {
        yzi_cli_write(c, yzi_bytes_buf(&text));
    } else {
        say_object(c, root);
    }
    json_decref(root);
    return YZ_OK;
}

static const struct cli_option options[] = {
    {"admin", "SOCKET", "The daemon's administration socket", true, false}, {0}};

const struct cli_verb yzi_cli_status[] = {
    {"status", "", "", 0, 0, "Show how a running broker or adapter is", options, run, false},
    CLI_TABLE_END};
