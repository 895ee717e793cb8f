/* SPDX-License-Identifier: Apache-2.0
 *
 * yz data rotate-key, backup and restore: what a data set's values are encrypted under, and copies
 * of its store, which are worth nothing without that.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/data.h"
#include "cli/interrupt.h"

const char *yzi_data_key(const json_t *state, char since[YZI_DATA_SINCE_TEXT])
{
    const char *id = json_string_value(json_object_get(state, "key_id"));
    uint64_t ms = (uint64_t)yzi_data_number(state, "key_since");
    snprintf(since, YZI_DATA_SINCE_TEXT, "-");
    if (id && ms) {
        char text[32];
        yzi_time_format(ms, text);
        snprintf(since, YZI_DATA_SINCE_TEXT, "%s", text);
    }
    return id ? id : "-";
}

void yzi_data_say_key(struct cli *c, const json_t *state)
{
    char since[YZI_DATA_SINCE_TEXT];
    const char *key = yzi_data_key(state, since);
    if (json_object_get(state, "key_id")) {
        yzi_cli_say(c, "encrypted under the key %s since %s%s\n", key, since,
                    json_is_true(json_object_get(state, "former_key_left"))
                        ? "; a former key could not be destroyed yet"
                        : "");
    }
}

/* -- asking the adapter -- */

struct keeping {
    struct data_progress progress;
    json_t *report;
};

static void end_keeping(struct keeping *k)
{
    json_decref(k->report);
}

static void on_told(void *ctx, yz_bytes text, yz_bytes payload)
{
    struct keeping *k = ctx;
    json_error_t wrong;
    (void)payload;
    json_t *at = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &wrong);
    yzi_data_progress_show(&k->progress, at);
    json_decref(at);
}

/* The report is in k->report then; with --json it is printed as it came. */
static int call(struct cli *c, struct keeping *k, const char *verb, int fd)
{
    struct admin_arg args[] = {{yzi_bytes_str("dataset"), yzi_bytes_str(yzi_cli_arg(c, 0))}};
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    YZ_AUTO(yzi_buf_fini) yz_buf answer;
    yzi_buf_init(&text, ADMIN_MESSAGE_MAX);
    yzi_buf_init(&answer, ADMIN_MESSAGE_MAX);
    const struct home_call q = {.socket = yzi_cli_option(c, "admin"),
                                .verb = verb,
                                .args = args,
                                .args_n = 1,
                                .fd = fd,
                                .timeout_ms = DATA_SILENCE_MS,
                                .each = on_told,
                                .ctx = k};
    yzi_data_progress_init(&k->progress, c);
    int rc = yzi_home_call(c, &q, &text, &answer);
    yzi_data_progress_clear(&k->progress);
    YZ_TRY(rc);
    YZ_TRY(yzi_data_parse(c, yzi_bytes_buf(&answer), &k->report));
    if (yzi_cli_json(c)) {
        yzi_cli_write(c, yzi_bytes_buf(&answer));
    }
    return YZ_OK;
}

static const char *word(const struct keeping *k, const char *key)
{
    const char *text = json_string_value(json_object_get(k->report, key));
    return text ? text : "?";
}

static long long number(const struct keeping *k, const char *key)
{
    return (long long)yzi_data_number(k->report, key);
}

/* -- the verbs -- */

int yzi_data_rotate_key(struct cli *c)
{
    YZ_AUTO(end_keeping) struct keeping k = {0};
    yzi_interrupt_says(
        "interrupted: unless it was done already, the key stays what it was (`yz data "
        "list` shows it)");
    YZ_TRY(call(c, &k, "data.rotate-key", -1));
    yzi_interrupt_says(NULL);
    if (yzi_cli_json(c)) {
        return YZ_OK;
    }
    const char *former = word(&k, "former_key_id");
    yzi_cli_say(c, "%lld records are under the key %s now; the key %s ", number(&k, "rows"),
                word(&k, "key_id"), former);
    if (json_is_true(json_object_get(k.report, "former_key_destroyed"))) {
        yzi_cli_say(c, "is destroyed\n");
    } else if (strcmp(former, "storage") == 0) {
        yzi_cli_say(c, "is the adapter's own and stays\n");
    } else {
        yzi_cli_say(c, "could not be destroyed: the adapter's next start tries again\n");
    }
    return YZ_OK;
}

int yzi_data_backup(struct cli *c)
{
    YZ_AUTO(end_keeping) struct keeping k = {0};
    YZ_AUTO(yzi_data_close) int fd = -1;
    const char *path = yzi_cli_arg(c, 1);
    YZ_TRY(yzi_data_make(c, path, &fd));
    YZ_TRY(call(c, &k, "data.backup", fd));
    YZ_TRY(yzi_interrupt_removes(NULL));
    if (!yzi_cli_json(c)) {
        const char *key = word(&k, "key_id");
        yzi_cli_say(c, "%lld records written to %s", number(&k, "rows"), path);
        yzi_cli_say(c, key[0] ? "; the key %s is not in it\n" : "\n", key);
    }
    return YZ_OK;
}

int yzi_data_restore(struct cli *c)
{
    YZ_AUTO(yzi_data_close) int fd = -1;
    const char *home, *data, *dir;
    const char *name = yzi_cli_arg(c, 0);
    if (strchr(name, '/') || name[0] == '.' || !name[0]) {
        return yzi_cli_usage(c, "'%s' is no name of a data set", name);
    }
    YZ_TRY(yzi_home_open(c, HOME_NODE, false, &home));
    YZ_TRY(yzi_home_path(c, home, "data", &data));
    YZ_TRY(yzi_home_path(c, data, name, &dir));
    YZ_TRY(yzi_data_open(c, yzi_cli_arg(c, 1), &fd));
    YZ_TRY(yzi_store_restore(dir, fd, &yzi_clock_system, yzi_cli_error(c)));
    yzi_cli_say(c, "restored; the adapter takes it when it starts, if it has the key\n");
    return YZ_OK;
}
