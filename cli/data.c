/* SPDX-License-Identifier: Apache-2.0
 *
 * yz data: an agency's data sets. Checking needs no daemon; everything else is the adapter's, which
 * gets open files, so that nobody but it touches its store.
 */
#include "cli/data.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/columns.h"
#include "cli/interrupt.h"

/* -- files -- */

void yzi_data_close(const int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

int yzi_data_open(struct cli *c, const char *path, int *out)
{
    struct stat st;
    YZ_AUTO(yzi_data_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return yzi_fail(yzi_cli_error(c), yzi_err_from_errno(errno), "cannot open %s: %s", path,
                        strerror(errno));
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return yzi_fail(yzi_cli_error(c), YZ_EINVAL, "%s is not a regular file", path);
    }
    *out = fd;
    fd = -1;
    return YZ_OK;
}

int yzi_data_scratch(struct cli *c, int *out)
{
    const char *dir = getenv("TMPDIR");
    dir = dir && *dir ? dir : "/tmp";
    *out = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*out < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) { /* not on every file system */
        *out = memfd_create("yz", MFD_CLOEXEC);
    }
    return *out >= 0 ? YZ_OK
                     : yzi_fail(yzi_cli_error(c), yzi_err_from_errno(errno),
                                "cannot make a file in %s: %s", dir, strerror(errno));
}

int yzi_data_make(struct cli *c, const char *path, int *out)
{
    *out = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (*out < 0) {
        return yzi_fail(yzi_cli_error(c), yzi_err_from_errno(errno), "cannot make %s: %s", path,
                        strerror(errno));
    }
    YZ_TRY(yzi_cli_made(c, path));
    return yzi_interrupt_removes(path);
}

/* -- words -- */

static const char *const formats[] = {"csv", "json", "jsonl", "xml", NULL};

const char *yzi_data_format_name(enum import_format f)
{
    return formats[f];
}

int yzi_data_format(struct cli *c, const char *path, enum import_format *out)
{
    const char *given = yzi_cli_option(c, "format");
    for (unsigned i = 0; given && formats[i]; i++) {
        if (strcmp(given, formats[i]) == 0) {
            *out = (enum import_format)i;
            return YZ_OK;
        }
    }
    if (!given && path && yzi_import_format_of(path, out)) {
        return YZ_OK;
    }
    return given ? yzi_cli_usage(c, "--format is csv, json, jsonl or xml, not '%s'", given)
                 : yzi_cli_usage(c, "%s: the name does not tell its format; say --format",
                                 path ? path : "the file");
}

int yzi_data_mode(struct cli *c, const char *dflt, const char **out)
{
    static const char *const modes[] = {"upsert", "insert", "replace", "delete"};
    const char *given = yzi_cli_option(c, "mode");
    given = given ? given : dflt;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(given, modes[i]) == 0) {
            *out = modes[i];
            return YZ_OK;
        }
    }
    return yzi_cli_usage(c, "--mode is upsert, insert, replace or delete, not '%s'", given);
}

int yzi_data_parse(struct cli *c, yz_bytes text, json_t **out)
{
    json_error_t wrong;
    *out = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &wrong);
    return *out ? YZ_OK
                : yzi_fail(yzi_cli_error(c), YZ_EMALFORMED, "the adapter's answer is not JSON");
}

void yzi_data_unseen_add(struct data_unseen *u, const char *field)
{
    size_t used = strlen(u->names);
    if (u->named == u->n++ && used + strlen(field) + 5 < sizeof u->names) {
        snprintf(u->names + used, sizeof u->names - used, "%s'%s'", used ? ", " : "", field);
        u->named++;
    }
}

void yzi_data_unseen_say(struct cli *c, const struct data_unseen *u)
{
    if (u->n == 0) {
        return;
    }
    yzi_cli_say(c, "note: no record has anything where %s", u->names);
    if (u->n > u->named) {
        yzi_cli_say(c, " and %zu more", u->n - u->named);
    }
    yzi_cli_say(c, " %s read\n", u->n == 1 ? "is" : "are");
}

json_int_t yzi_data_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* -- list, count, show, cancel -- */

static int ask(struct cli *c, const char *verb, struct admin_arg *args, size_t n, yz_buf *answer)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, ADMIN_MESSAGE_MAX);
    struct home_call call = {
        .socket = yzi_cli_option(c, "admin"), .verb = verb, .args = args, .args_n = n, .fd = -1};
    return yzi_home_call(c, &call, &text, answer);
}

static const char *state_words(const json_t *state)
{
    return yzi_data_number(state, "indexes_broken") ? ": an index is broken, see the adapter's log"
           : yzi_data_number(state, "indexes_building") ? ": an index is being built"
                                                        : "";
}

static int list_table(struct cli *c, const json_t *list)
{
    static const char *const head[] = {"DATA SET", "RECORDS", "SEQUENCE", "KEY", "SINCE", NULL};
    struct columns t;
    size_t i;
    json_t *item;
    if (!json_is_array(list)) {
        return yzi_fail(yzi_cli_error(c), YZ_EMALFORMED, "the adapter's answer is no list");
    }
    yzi_columns_begin(&t, c, head);
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "dataset"));
        yzi_columns_str(&t, name ? name : "?");
        yzi_columns_printf(&t, "%lld", (long long)yzi_data_number(item, "records"));
        yzi_columns_printf(&t, "%lld", (long long)yzi_data_number(item, "sequence"));
        char since[YZI_DATA_SINCE_TEXT];
        const char *key = yzi_data_key(item, since);
        yzi_columns_str(&t, key);
        yzi_columns_str(&t, since);
    }
    YZ_TRY(yzi_columns_print(&t, false));
    json_array_foreach(list, i, item)
    {
        if (state_words(item)[0]) {
            yzi_cli_say(c, "%s%s\n", json_string_value(json_object_get(item, "dataset")),
                        state_words(item));
        }
    }
    return YZ_OK;
}

static void say_indexes(struct cli *c, const json_t *shown)
{
    size_t i, k;
    json_t *index, *field;
    json_array_foreach(json_object_get(shown, "indexes"), i, index)
    {
        yzi_cli_say(c, "%sindex %s%s:", i ? "" : "\n",
                    json_string_value(json_object_get(index, "name")),
                    json_is_true(json_object_get(index, "unique")) ? ", unique" : "");
        json_array_foreach(json_object_get(index, "fields"), k, field)
        {
            yzi_cli_say(c, "%s %s", k ? "," : "", json_string_value(field));
        }
        yzi_cli_say(c, "\n");
    }
}

static int show_definition(struct cli *c, const json_t *shown)
{
    static const char *const head[] = {"FIELD", "TYPE", "CLASSIFICATION", "ELEMENT", NULL};
    static const char *const keys[] = {"name", "type", "classification", "element"};
    struct columns t;
    size_t i;
    json_t *item;
    yzi_cli_say(c, "%s: %lld records, sequence %lld, key",
                json_string_value(json_object_get(shown, "dataset")),
                (long long)yzi_data_number(shown, "records"),
                (long long)yzi_data_number(shown, "sequence"));
    json_array_foreach(json_object_get(shown, "key"), i, item)
    {
        yzi_cli_say(c, "%s %s", i ? "," : "", json_string_value(item));
    }
    yzi_cli_say(c, "\n");
    if (state_words(shown)[0]) {
        yzi_cli_say(c, "%s%s\n", json_string_value(json_object_get(shown, "dataset")),
                    state_words(shown));
    }
    yzi_data_say_key(c, shown);
    yzi_columns_begin(&t, c, head);
    json_array_foreach(json_object_get(shown, "fields"), i, item)
    {
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            const char *text = json_string_value(json_object_get(item, keys[k]));
            yzi_columns_str(&t, text ? text : "?");
        }
    }
    YZ_TRY(yzi_columns_print(&t, false));
    say_indexes(c, shown);
    return YZ_OK;
}

/* Ask, and print the answer as it came (with --json, or without `print`) or for people. */
static int ask_and_print(struct cli *c, const char *verb, struct admin_arg *args, size_t n,
                         int (*print)(struct cli *c, const json_t *answer))
{
    YZ_AUTO(yzi_buf_fini) yz_buf answer;
    json_t *parsed;
    yzi_buf_init(&answer, ADMIN_MESSAGE_MAX);
    YZ_TRY(ask(c, verb, args, n, &answer));
    if (yzi_cli_json(c) || !print) {
        yzi_cli_write(c, yzi_bytes_buf(&answer));
        return YZ_OK;
    }
    YZ_TRY(yzi_data_parse(c, yzi_bytes_buf(&answer), &parsed));
    int rc = print(c, parsed);
    json_decref(parsed);
    return rc;
}

static int run_list(struct cli *c)
{
    return ask_and_print(c, "data.list", NULL, 0, list_table);
}

static int print_count(struct cli *c, const json_t *answer)
{
    yzi_cli_say(c, "%lld\n", (long long)yzi_data_number(answer, "records"));
    return YZ_OK;
}

static int run_count(struct cli *c)
{
    struct admin_arg args[] = {{yzi_bytes_str("dataset"), yzi_bytes_str(yzi_cli_arg(c, 0))}};
    return ask_and_print(c, "data.count", args, 1, print_count);
}

static int run_show(struct cli *c)
{
    struct admin_arg args[2 + DATASET_KEY_MAX] = {
        {yzi_bytes_str("dataset"), yzi_bytes_str(yzi_cli_arg(c, 0))},
        {yzi_bytes_str("sensitive"), yzi_bytes_str(yzi_cli_flag(c, "sensitive") ? "1" : "0")}};
    /* no two arguments of a request have one name */
    static const char *const keys[DATASET_KEY_MAX] = {"key",  "key2", "key3", "key4",
                                                      "key5", "key6", "key7", "key8"};
    size_t n = 2;
    for (unsigned i = 1; i < yzi_cli_args(c); i++) {
        args[n++] =
            (struct admin_arg){yzi_bytes_str(keys[i - 1]), yzi_bytes_str(yzi_cli_arg(c, i))};
    }
    return ask_and_print(c, "data.show", args, n, n > 2 ? NULL : show_definition);
}

static int print_cancelled(struct cli *c, const json_t *answer)
{
    json_int_t n = yzi_data_number(answer, "cancelled");
    yzi_cli_say(c, "%lld cancelled\n", (long long)n);
    return YZ_OK;
}

static int run_cancel(struct cli *c)
{
    struct admin_arg args[] = {{yzi_bytes_str("dataset"), yzi_bytes_str(yzi_cli_arg(c, 0))}};
    return ask_and_print(c, "data.cancel", args, 1, print_cancelled);
}

/* -- the table -- */

#define ADMIN                                                                                      \
    {                                                                                              \
        "admin", "SOCKET", "The adapter's administration socket", true, false                      \
    }
#define FORMAT                                                                                     \
    {                                                                                              \
        "format", "FORMAT", "csv, json, jsonl or xml; by default what the file's name ends in",    \
            false, false                                                                           \
    }
#define MAX_FAULTS                                                                                 \
    {                                                                                              \
        "max-faults", "N", "Stop reading a file after so many faults (default 20)", false, false   \
    }
#define SENSITIVE                                                                                  \
    {                                                                                              \
        "sensitive", NULL, "Values of sensitive and secret fields, too", false, false              \
    }

static const struct cli_option check_options[] = {FORMAT, MAX_FAULTS, {0}};
static const struct cli_option import_options[] = {
    ADMIN,
    {"mode", "MODE", "upsert (the default), insert, replace or delete", false, false},
    FORMAT,
    {"dry-run", NULL, "Check everything, change nothing", false, false},
    {"reject-file", "FILE", "Write wrong records there and import the others", false, false},
    MAX_FAULTS,
    {0}};
static const struct cli_option diff_options[] = {
    ADMIN,
    {"mode", "MODE", "As which import: replace (the default), upsert, insert or delete", false,
     false},
    FORMAT,
    SENSITIVE,
    {0}};
static const struct cli_option export_options[] = {
    ADMIN,
    {"format", "FORMAT", "csv (the default), json or jsonl", false, false},
    {"output", "FILE", "Write there instead of to standard output", false, false},
    SENSITIVE,
    {0}};
static const struct cli_option show_options[] = {ADMIN, SENSITIVE, {0}};
static const struct cli_option admin_options[] = {ADMIN, {0}};

static const struct cli_option restore_options[] = {
    {"home", "DIR", "The adapter's home folder; the adapter must not be running", true, false},
    {0}};

static const struct cli_option explain_options[] = {
    ADMIN,
    {"where", "CONDITION", "As for yz query", false, true},
    {"order", "FIELD", "As for yz query", false, true},
    {"limit", "N", "At most so many records", false, false},
    {"count", NULL, "A count instead of a find", false, false},
    {0}};

static const struct cli_option accesses_options[] = {
    {"home", "DIR", "The adapter's home", true, false},
    {"subject", "KEY", "The record; a compound key's parts separated by commas", true, false},
    {"set", "DATASET", "Only this data set", false, false},
    {"definition", "FILE", "The data set's definition, to bring the key into its form", false,
     false},
    {"from", "TIME", "The first time or day, 2026-11-23", false, false},
    {"until", "TIME", "The last day, or until when", false, false},
    {0}};

const struct cli_verb yzi_cli_data[] = {
    {"data", "check", "DEFINITION [FILE...]", 1, 1000,
     "Check a definition, and files against it as if they were imported", check_options,
     yzi_data_check, false},
    {"data", "import", "DATASET FILE", 2, 2, "Import a file into an adapter: all of it or nothing",
     import_options, yzi_data_import, false},
    {"data", "diff", "DATASET FILE", 2, 2, "Show what an import would change", diff_options,
     yzi_data_diff, false},
    {"data", "export", "DATASET", 1, 1, "Write a data set out in canonical form", export_options,
     yzi_data_export, false},
    {"data", "list", "", 0, 0, "List an adapter's data sets", admin_options, run_list, false},
    {"data", "show", "DATASET [KEY...]", 1, 1 + DATASET_KEY_MAX,
     "Show a data set's fields and indexes, or one record by its key", show_options, run_show,
     false},
    {"data", "count", "DATASET", 1, 1, "Count the records of a data set", admin_options, run_count,
     false},
    {"data", "explain", "DATASET", 1, 1,
     "Show which index serves a query, and how much it looks at", explain_options, yzi_data_explain,
     false},
    {"data", "accesses", "", 0, 0, "Show who looked at a record, and what was answered",
     accesses_options, yzi_data_accesses, false},
    {"data", "rotate-key", "DATASET", 1, 1,
     "Put a data set under a fresh key while it is served, and destroy the former one",
     admin_options, yzi_data_rotate_key, false},
    {"data", "backup", "DATASET FILE", 2, 2,
     "Write a data set's store to a file, which holds no key", admin_options, yzi_data_backup,
     false},
    {"data", "restore", "DATASET FILE", 2, 2,
     "Put a backup in the place of a data set that is not there", restore_options, yzi_data_restore,
     false},
    {"data", "cancel", "DATASET", 1, 1, "Cancel the imports of a data set that are under way",
     admin_options, run_cancel, false},
    CLI_TABLE_END};
