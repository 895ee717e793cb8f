/* SPDX-License-Identifier: Apache-2.0
 *
 * yz data: an agency's data sets. Checking needs no daemon; importing is the adapter's, which gets
 * the open file, so that nobody but it writes its store.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/dataset/store.h"
#include "cli/columns.h"
#include "cli/home.h"

#define FAULTS_DEFAULT 20u
#define FAULTS_MAX 1000000u
#define IMPORT_SILENCE_MS 600000u /* other imports may come first, and a commit may take long */

static void close_fd(const int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

static int open_file(struct cli *c, const char *path, int *out)
{
    struct stat st;
    YZ_AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
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

/* -- check -- */

struct check {
    struct cli *c;
    struct json *json; /* NULL: for people */
    uint64_t faults;
};

static void on_fault(void *ctx, const struct import_fault *f)
{
    struct check *k = ctx;
    k->faults++;
    if (!k->json) {
        yzi_cli_say(k->c, "%s:%llu: %s%s%s\n", f->file, (unsigned long long)f->line,
                    f->field ? f->field : "", f->field ? ": " : "", f->reason);
        return;
    }
    yzi_json_object(k->json);
    yzi_json_key(k->json, "line");
    yzi_json_u64(k->json, f->line);
    yzi_json_key(k->json, "field");
    yzi_json_str(k->json, f->field);
    yzi_json_key(k->json, "reason");
    yzi_json_str(k->json, f->reason);
    yzi_json_object_end(k->json);
}

static int check_rows(struct check *k, const struct dataset *d, const char *path, uint64_t max,
                      struct import_report *report)
{
    YZ_AUTO(close_fd) int fd = -1;
    YZ_TRY(open_file(k->c, path, &fd));
    struct import_source src = {.fd = fd,
                                .name = path,
                                .mode = IMPORT_UPSERT,
                                .dry_run = true,
                                .fault = on_fault,
                                .ctx = k,
                                .max_faults = max};
    int rc = yzi_dataset_check(d, &src, report, yzi_cli_error(k->c));
    return rc == YZ_EDATA ? YZ_OK : rc; /* the faults were told */
}

static int check_file(struct check *k, const struct dataset *d, const char *path, uint64_t max)
{
    struct import_report report = {0};
    k->faults = 0;
    if (k->json) {
        yzi_json_object(k->json);
        yzi_json_key(k->json, "file");
        yzi_json_str(k->json, path);
        yzi_json_key(k->json, "faults");
        yzi_json_array(k->json);
    }
    YZ_TRY(check_rows(k, d, path, max, &report));
    if (k->faults) {
        yzi_cli_exit_with(k->c, EXIT_FAILED);
    }
    if (k->json) {
        yzi_json_array_end(k->json);
        yzi_json_key(k->json, "rows");
        yzi_json_u64(k->json, report.rows);
        yzi_json_object_end(k->json);
    } else if (k->faults >= max) {
        yzi_cli_say(k->c, "%s: stopped after %llu faults, in %llu rows\n", path,
                    (unsigned long long)k->faults, (unsigned long long)report.rows);
    } else {
        yzi_cli_say(k->c, "%s: %llu row%s, %llu fault%s\n", path, (unsigned long long)report.rows,
                    report.rows == 1 ? "" : "s", (unsigned long long)k->faults,
                    k->faults == 1 ? "" : "s");
    }
    return YZ_OK;
}

static int check_files(struct check *k, const struct dataset *d)
{
    uint64_t max;
    YZ_TRY(yzi_cli_number(k->c, "max-faults", 1, FAULTS_MAX, FAULTS_DEFAULT, &max));
    for (unsigned i = 1; i < yzi_cli_args(k->c); i++) {
        YZ_TRY(check_file(k, d, yzi_cli_arg(k->c, i), max));
    }
    return YZ_OK;
}

static void say_definition(struct cli *c, const struct dataset *d)
{
    yzi_cli_say(c, "%s: data set '%s', %zu fields, %s, key", yzi_cli_arg(c, 0), d->name,
                d->fields_n, yzi_sharing_name(d->sharing));
    for (size_t i = 0; i < d->key_n; i++) {
        yzi_cli_say(c, "%s %s", i ? "," : "", d->fields[d->key[i]].name);
    }
    yzi_cli_say(c, "\n");
}

static int check_json(struct check *k, const struct dataset *d, const char *fault)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    struct json j;
    yzi_buf_init(&text, 256u * 1024u * 1024u);
    yzi_json_init(&j, &text, true);
    k->json = &j;
    yzi_json_object(&j);
    yzi_json_key(&j, "definition");
    yzi_json_str(&j, yzi_cli_arg(k->c, 0));
    yzi_json_key(&j, "dataset");
    yzi_json_str(&j, d ? d->name : NULL);
    yzi_json_key(&j, "fault");
    yzi_json_str(&j, fault);
    yzi_json_key(&j, "files");
    yzi_json_array(&j);
    YZ_TRY(d ? check_files(k, d) : YZ_OK);
    yzi_json_array_end(&j);
    yzi_json_object_end(&j);
    YZ_TRY(yzi_json_end(&j));
    yzi_cli_write(k->c, yzi_bytes_buf(&text));
    return YZ_OK;
}

static void free_dataset(struct dataset **d)
{
    yzi_dataset_free(*d);
}

static int run_check(struct cli *c)
{
    YZ_AUTO(free_dataset) struct dataset *d = NULL;
    struct check k = {.c = c};
    yz_error fault = {0};
    int rc = yzi_dataset_load(yzi_cli_arg(c, 0), &d, &fault);
    if (rc == YZ_ECONFIG) { /* a fault like those in the data */
        yzi_cli_exit_with(c, EXIT_FAILED);
        if (!yzi_cli_json(c)) {
            yzi_cli_say(c, "%s\n", fault.text);
            return YZ_OK;
        }
        return check_json(&k, NULL, fault.text);
    }
    if (rc < 0) {
        *yzi_cli_error(c) = fault;
        return rc;
    }
    if (yzi_cli_json(c)) {
        return check_json(&k, d, NULL);
    }
    say_definition(c, d);
    return check_files(&k, d);
}

/* -- import -- */

struct import {
    struct cli *c;
    json_t *faults; /* array */
    bool progress;  /* standard error is a terminal */
    bool shown;     /* a line of progress stands there */
};

static void clear_progress(struct import *i)
{
    if (i->shown) {
        fputs("\r\033[K", stderr);
        i->shown = false;
    }
}

static void show_progress(struct import *i, const json_t *at)
{
    json_int_t done = json_integer_value(json_object_get(at, "bytes"));
    json_int_t total = json_integer_value(json_object_get(at, "bytes_total"));
    if (i->progress && total > 0) {
        fprintf(stderr, "\r\033[K%lld rows, %d %%",
                (long long)json_integer_value(json_object_get(at, "rows")),
                (int)((double)done * 100.0 / (double)total));
        fflush(stderr);
        i->shown = true;
    }
}

static void on_progress(void *ctx, yz_bytes text, yz_bytes payload)
{
    struct import *i = ctx;
    json_error_t wrong;
    (void)payload;
    json_t *at = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &wrong);
    json_t *fault = json_object_get(at, "fault");
    if (!json_is_string(fault)) {
        show_progress(i, at);
    } else if (yzi_cli_json(i->c)) {
        yz_ignore(json_array_append(i->faults, fault), "one fault less is told");
    } else {
        clear_progress(i);
        fprintf(stderr, "%s\n", json_string_value(fault));
        yz_ignore(json_array_append(i->faults, fault), "it is counted only");
    }
    json_decref(at);
}

static json_int_t number(const json_t *report, const char *key)
{
    return json_integer_value(json_object_get(report, key));
}

static void say_report(struct cli *c, const json_t *r, bool dry)
{
    json_int_t inserted = number(r, "inserted"), updated = number(r, "updated");
    yzi_cli_say(c, "%lld rows: %lld new, %lld changed, %lld unchanged%s\n",
                (long long)number(r, "rows"), (long long)inserted, (long long)updated,
                (long long)number(r, "unchanged"),
                dry                             ? " (nothing was written)"
                : inserted == 0 && updated == 0 ? "; nothing changed"
                                                : "");
}

/* What --json prints, whether or not it succeeded: the report, the faults, the error. */
static int print_json(struct cli *c, json_t *report, json_t *faults, const char *error)
{
    json_t *out = json_is_object(report) ? json_deep_copy(report) : json_object();
    int bad = json_object_set(out, "fault_list", faults);
    bad |= json_object_set_new(out, "error", error ? json_string(error) : json_null());
    char *text = bad ? NULL : json_dumps(out, JSON_INDENT(2));
    json_decref(out);
    YZ_ENSURE(text, YZ_ENOMEM);
    yzi_cli_write(c, yzi_bytes_str(text));
    free(text);
    return YZ_OK;
}

static int call_import(struct import *i, const char *path, yz_buf *text)
{
    const char *name = strrchr(path, '/');
    YZ_AUTO(close_fd) int fd = -1;
    YZ_TRY(open_file(i->c, path, &fd));
    struct admin_arg args[] = {
        {yzi_bytes_str("dataset"), yzi_bytes_str(yzi_cli_arg(i->c, 0))},
        {yzi_bytes_str("name"), yzi_bytes_str(name ? name + 1 : path)},
        {yzi_bytes_str("dry_run"), yzi_bytes_str(yzi_cli_flag(i->c, "dry-run") ? "1" : "0")},
    };
    struct home_call call = {.socket = yzi_cli_option(i->c, "admin"),
                             .verb = "data.import",
                             .args = args,
                             .args_n = sizeof args / sizeof args[0],
                             .fd = fd,
                             .timeout_ms = IMPORT_SILENCE_MS,
                             .each = on_progress,
                             .ctx = i};
    return yzi_home_call(i->c, &call, text, NULL);
}

static int import_and_tell(struct import *i)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, ADMIN_MESSAGE_MAX);
    int rc = call_import(i, yzi_cli_arg(i->c, 1), &text);
    clear_progress(i);
    bool json = yzi_cli_json(i->c);
    if (rc < 0) {
        size_t n = json_array_size(i->faults);
        if (json) {
            YZ_TRY(print_json(i->c, NULL, i->faults, yzi_cli_error(i->c)->text));
        }
        return rc == YZ_EDATA && n && !json
                   ? yzi_fail(yzi_cli_error(i->c), rc, "%zu fault%s; nothing was changed", n,
                              n == 1 ? "" : "s")
                   : rc;
    }
    json_error_t wrong;
    json_t *report = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &wrong);
    if (!json_is_object(report)) {
        rc = yzi_fail(yzi_cli_error(i->c), YZ_EMALFORMED, "the adapter's report is not JSON");
    } else if (json) {
        rc = print_json(i->c, report, i->faults, NULL);
    } else {
        say_report(i->c, report, yzi_cli_flag(i->c, "dry-run"));
    }
    json_decref(report);
    return rc;
}

static int run_import(struct cli *c)
{
    struct import i = {.c = c, .faults = json_array(), .progress = isatty(STDERR_FILENO) == 1};
    YZ_ENSURE(i.faults, YZ_ENOMEM);
    i.progress = i.progress && !yzi_cli_json(c) && !yzi_cli_quiet(c);
    int rc = import_and_tell(&i);
    json_decref(i.faults);
    return rc;
}

/* -- list -- */

static int list_table(struct cli *c, const json_t *list)
{
    static const char *const head[] = {"DATA SET", "RECORDS", "SEQUENCE", NULL};
    struct columns t;
    size_t i;
    json_t *item;
    yzi_columns_begin(&t, c, head);
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "dataset"));
        yzi_columns_str(&t, name ? name : "?");
        yzi_columns_printf(&t, "%lld", (long long)number(item, "records"));
        yzi_columns_printf(&t, "%lld", (long long)number(item, "sequence"));
    }
    return yzi_columns_print(&t, false);
}

static int run_list(struct cli *c)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    YZ_AUTO(yzi_buf_fini) yz_buf answer;
    yzi_buf_init(&text, ADMIN_MESSAGE_MAX);
    yzi_buf_init(&answer, ADMIN_MESSAGE_MAX);
    struct home_call call = {.socket = yzi_cli_option(c, "admin"), .verb = "data.list", .fd = -1};
    YZ_TRY(yzi_home_call(c, &call, &text, &answer));
    if (yzi_cli_json(c)) {
        yzi_cli_write(c, yzi_bytes_buf(&answer));
        return YZ_OK;
    }
    json_error_t wrong;
    json_t *list = json_loadb((const char *)answer.p, answer.n, JSON_REJECT_DUPLICATES, &wrong);
    int rc = json_is_array(list) ? list_table(c, list)
                                 : yzi_fail(yzi_cli_error(c), YZ_EMALFORMED,
                                            "%s: the adapter's answer is not JSON", call.socket);
    json_decref(list);
    return rc;
}

static const struct cli_option check_options[] = {
    {"max-faults", "N", "Stop reading a file after so many faults (default 20)", false, false},
    {0}};
static const struct cli_option import_options[] = {
    {"admin", "SOCKET", "The adapter's administration socket", true, false},
    {"dry-run", NULL, "Check everything, change nothing", false, false},
    {0}};
static const struct cli_option list_options[] = {
    {"admin", "SOCKET", "The adapter's administration socket", true, false}, {0}};

const struct cli_verb yzi_cli_data[] = {
    {"data", "check", "DEFINITION [FILE...]", 1, 1000,
     "Check a definition, and CSV files against it (duplicate keys show at import)", check_options,
     run_check, false},
    {"data", "import", "DATASET FILE", 2, 2,
     "Import a CSV file into an adapter: all of it or "
     "nothing",
     import_options, run_import, false},
    {"data", "list", "", 0, 0, "List an adapter's data sets", list_options, run_list, false},
    CLI_TABLE_END};
