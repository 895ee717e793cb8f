/* SPDX-License-Identifier: Apache-2.0
 *
 * yz data import, diff and export: the adapter does the work, with the files that go along; here
 * are the words, and the progress of the work on a terminal. Ending yz ends the work.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/data.h"
#include "cli/interrupt.h"

#define COPY_BYTES 65536u

struct work {
    struct cli *c;
    const char *mode, *max_faults;
    bool dry_run, rejects, sensitive;
    enum import_format format;
    json_t *faults;           /* array: those that were told */
    uint64_t found, max_told; /* how many there are; after how many it ends */
    json_t *report;           /* what the adapter said at the end */
    struct data_progress progress;
};

static void end_work(struct work *w)
{
    json_decref(w->faults);
    json_decref(w->report);
}

static int begin_work(struct work *w, struct cli *c)
{
    *w = (struct work){.c = c, .faults = json_array(), .max_told = DATA_FAULTS_DEFAULT};
    yzi_data_progress_init(&w->progress, c);
    return w->faults ? YZ_OK : YZ_ENOMEM;
}

static void on_told(void *ctx, yz_bytes text, yz_bytes payload)
{
    struct work *w = ctx;
    json_error_t wrong;
    (void)payload;
    json_t *at = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &wrong);
    json_t *fault = json_object_get(at, "fault");
    if (json_object_get(at, "faults")) {
        w->found = (uint64_t)yzi_data_number(at, "faults");
    } else if (!json_is_string(fault)) {
        yzi_data_progress_show(&w->progress, at);
    } else {
        if (!yzi_cli_json(w->c)) {
            yzi_data_progress_clear(&w->progress);
            fprintf(stderr, "%s\n", json_string_value(fault));
        }
        yz_ignore(json_array_append(w->faults, fault), "one fault less is told or counted");
    }
    json_decref(at);
}

/* The call with its files; the report is in w->report then. */
static int call(struct work *w, const char *verb, const char *path, int fd, const int *out_fd)
{
    struct cli *c = w->c;
    const char *name = strrchr(path, '/');
    const struct {
        const char *key, *value;
    } given[] = {{"dataset", yzi_cli_arg(c, 0)},
                 {"name", name ? name + 1 : path},
                 {"format", yzi_data_format_name(w->format)},
                 {"mode", w->mode},
                 {"dry_run", w->dry_run ? "1" : NULL},
                 {"rejects", w->rejects ? "1" : NULL},
                 {"sensitive", w->sensitive ? "1" : NULL},
                 {"json", yzi_cli_json(c) ? "1" : NULL},
                 {"max_faults", w->max_faults}};
    struct admin_arg args[sizeof given / sizeof given[0]];
    size_t n = 0;
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
        if (given[i].value) {
            args[n++] =
                (struct admin_arg){yzi_bytes_str(given[i].key), yzi_bytes_str(given[i].value)};
        }
    }
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    YZ_AUTO(yzi_buf_fini) yz_buf answer;
    yzi_buf_init(&text, ADMIN_MESSAGE_MAX);
    yzi_buf_init(&answer, ADMIN_MESSAGE_MAX);
    struct home_call q = {.socket = yzi_cli_option(c, "admin"),
                          .verb = verb,
                          .args = args,
                          .args_n = n,
                          .fd = fd,
                          .out_fd = out_fd,
                          .timeout_ms = DATA_SILENCE_MS,
                          .each = on_told,
                          .ctx = w};
    int rc = yzi_home_call(c, &q, &text, &answer);
    yzi_data_progress_clear(&w->progress);
    YZ_TRY(rc);
    return yzi_data_parse(c, yzi_bytes_buf(&answer), &w->report);
}

static long long number(const struct work *w, const char *key)
{
    return (long long)yzi_data_number(w->report, key);
}

/* -- import -- */

static void say_unseen(struct work *w)
{
    struct data_unseen unseen = {0};
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(w->report, "unseen"), i, name)
    {
        const char *text = json_string_value(name);
        yzi_data_unseen_add(&unseen, text ? text : "?");
    }
    yzi_data_unseen_say(w->c, &unseen);
}

static void say_count(struct work *w, const char *key, const char *words)
{
    if (number(w, key)) {
        yzi_cli_say(w->c, ", %lld %s", number(w, key), words);
    }
}

static void say_report(struct work *w)
{
    bool changed = number(w, "inserted") + number(w, "updated") + number(w, "deleted") > 0;
    yzi_cli_say(w->c, "%lld rows: %lld new, %lld changed, %lld unchanged", number(w, "rows"),
                number(w, "inserted"), number(w, "updated"), number(w, "unchanged"));
    say_count(w, "deleted", "deleted");
    say_count(w, "absent", "not there");
    say_count(w, "rejected", "rejected");
    if (w->dry_run) {
        yzi_cli_say(w->c, " (nothing was written)\n");
    } else if (!changed) {
        yzi_cli_say(w->c, "; nothing changed\n");
    } else {
        yzi_cli_say(w->c, " (%.0f rows/s)\n",
                    yzi_data_progress_rate(&w->progress, (uint64_t)number(w, "rows")));
    }
    say_unseen(w);
}

/* What --json prints, whether or not it succeeded: the report, the faults, the error. */
static int print_json(struct work *w, const char *error)
{
    json_t *out = w->report ? json_deep_copy(w->report) : json_object();
    int bad = json_object_set(out, "fault_list", w->faults);
    if (w->found) {
        bad |= json_object_set_new(out, "faults", json_integer((json_int_t)w->found));
    }
    bad |= json_object_set_new(out, "error", error ? json_string(error) : json_null());
    char *text = bad ? NULL : json_dumps(out, JSON_INDENT(2));
    json_decref(out);
    YZ_ENSURE(text, YZ_ENOMEM);
    yzi_cli_write(w->c, yzi_bytes_str(text));
    free(text);
    return YZ_OK;
}

/* An adapter leaves out faults that come faster than they are read. A check reads the file for
 * itself and leaves none out, but stops where it is told and does not know what is stored. */
static int tell_faults(struct work *w, int rc)
{
    size_t told = json_array_size(w->faults);
    unsigned long long n = w->found > told ? w->found : told;
    char missing[160] = "";
    YZ_ENSURE(n, rc);
    if (n > told) {
        snprintf(missing, sizeof missing,
                 ", %zu of them shown (`yz data check --max-faults %llu DEFINITION FILE` shows all "
                 "that the file itself has)",
                 told, n < DATA_FAULTS_MAX ? n + 1 : n);
    }
    return yzi_fail(yzi_cli_error(w->c), rc, "%s%llu fault%s%s%s; nothing was changed",
                    n >= w->max_told ? "stopped after " : "", n, n == 1 ? "" : "s",
                    n >= w->max_told ? " (--max-faults)" : "", missing);
}

static int tell_result(struct work *w, int rc)
{
    struct cli *c = w->c;
    if (yzi_cli_json(c)) {
        YZ_TRY(print_json(w, rc < 0 ? yzi_cli_error(c)->text : NULL));
        return rc;
    }
    if (rc < 0) {
        return rc == YZ_EDATA ? tell_faults(w, rc) : rc;
    }
    say_report(w);
    return YZ_OK;
}

static int open_rejects(struct cli *c, int *out)
{
    const char *path = yzi_cli_option(c, "reject-file");
    if (!path) {
        return YZ_OK;
    }
    *out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (*out < 0) {
        return yzi_fail(yzi_cli_error(c), yzi_err_from_errno(errno), "cannot make %s: %s", path,
                        strerror(errno));
    }
    return yzi_cli_made(c, path);
}

int yzi_data_import(struct cli *c)
{
    YZ_AUTO(end_work) struct work w;
    YZ_AUTO(yzi_data_close) int fd = -1;
    YZ_AUTO(yzi_data_close) int rejects = -1;
    const char *path = yzi_cli_arg(c, 1);
    YZ_TRY(begin_work(&w, c));
    YZ_TRY(yzi_cli_number(c, "max-faults", 1, DATA_FAULTS_MAX, DATA_FAULTS_DEFAULT, &w.max_told));
    w.max_faults = yzi_cli_option(c, "max-faults");
    w.dry_run = yzi_cli_flag(c, "dry-run");
    w.rejects = yzi_cli_flag(c, "reject-file");
    YZ_TRY(yzi_data_mode(c, "upsert", &w.mode));
    YZ_TRY(yzi_data_open(c, path, &fd));
    YZ_TRY(yzi_data_format(c, path, &w.format));
    YZ_TRY(open_rejects(c, &rejects));
    yzi_interrupt_says(w.dry_run ? "interrupted; nothing was written"
                                 : "interrupted: unless it was done already, the import is given "
                                   "up and changes nothing");
    int rc = call(&w, "data.import", path, fd, &rejects);
    yzi_interrupt_says(NULL);
    return tell_result(&w, rc);
}

/* -- diff and export: what the adapter wrote is copied out -- */

/* Pieces of a line that goes on, which yzi_cli_write would end. Canonical text has no NUL. */
static void say_piece(struct cli *c, const char *p, size_t n)
{
    yzi_cli_say(c, "%.*s", (int)n, p);
}

/* As a list of what stands on the lines: each without its end; whether the next piece begins a
 * line. */
static bool say_items(struct cli *c, const char *p, size_t n, bool at_start, bool first)
{
    for (size_t i = 0, start = 0; i < n; i++) {
        if (at_start) {
            yzi_cli_say(c, first ? "\n    " : ",\n    ");
            first = at_start = false;
        }
        if (p[i] == '\n' || i == n - 1) {
            at_start = p[i] == '\n';
            say_piece(c, p + start, i - start + !at_start);
            start = i + 1;
        }
    }
    return at_start;
}

static int copy_out(struct cli *c, int fd, bool as_list)
{
    static char piece[COPY_BYTES];
    bool at_start = true;
    off_t at = 0;
    for (ssize_t n; (n = pread(fd, piece, sizeof piece, at)) != 0; at += n) {
        if (n < 0) {
            return yzi_fail(yzi_cli_error(c), YZ_EIO, "cannot read what was written: %s",
                            strerror(errno));
        }
        if (as_list) {
            at_start = say_items(c, piece, (size_t)n, at_start, at == 0);
        } else {
            say_piece(c, piece, (size_t)n);
        }
    }
    return YZ_OK;
}

static int tell_changes(struct work *w, int out)
{
    if (yzi_cli_json(w->c)) {
        yzi_cli_say(w->c, "{\n  \"changes\": [");
        YZ_TRY(copy_out(w->c, out, true));
        yzi_cli_say(w->c,
                    "\n  ],\n  \"rows\": %lld,\n  \"added\": %lld,\n  \"changed\": %lld,\n"
                    "  \"removed\": %lld,\n  \"unchanged\": %lld\n}\n",
                    number(w, "rows"), number(w, "inserted"), number(w, "updated"),
                    number(w, "deleted"), number(w, "unchanged"));
        return YZ_OK;
    }
    YZ_TRY(copy_out(w->c, out, false));
    yzi_cli_say(w->c, "%lld added, %lld changed, %lld removed, %lld unchanged\n",
                number(w, "inserted"), number(w, "updated"), number(w, "deleted"),
                number(w, "unchanged"));
    say_unseen(w);
    return YZ_OK;
}

int yzi_data_diff(struct cli *c)
{
    YZ_AUTO(end_work) struct work w;
    YZ_AUTO(yzi_data_close) int fd = -1;
    YZ_AUTO(yzi_data_close) int out = -1;
    const char *path = yzi_cli_arg(c, 1);
    YZ_TRY(begin_work(&w, c));
    w.sensitive = yzi_cli_flag(c, "sensitive");
    YZ_TRY(yzi_data_mode(c, "replace", &w.mode));
    YZ_TRY(yzi_data_open(c, path, &fd));
    YZ_TRY(yzi_data_format(c, path, &w.format));
    YZ_TRY(yzi_data_scratch(c, &out));
    int rc = call(&w, "data.diff", path, fd, &out);
    return rc < 0 ? tell_result(&w, rc) : tell_changes(&w, out);
}

int yzi_data_export(struct cli *c)
{
    YZ_AUTO(end_work) struct work w;
    YZ_AUTO(yzi_data_close) int out = -1;
    const char *path = yzi_cli_option(c, "output");
    YZ_TRY(begin_work(&w, c));
    w.sensitive = yzi_cli_flag(c, "sensitive");
    if (yzi_cli_option(c, "format") || path) {
        YZ_TRY(yzi_data_format(c, path, &w.format));
    }
    if (w.format == FORMAT_XML) {
        return yzi_cli_usage(c, "records are exported as csv, json or jsonl, not as xml");
    }
    YZ_TRY(path ? yzi_data_make(c, path, &out) : yzi_data_scratch(c, &out));
    YZ_TRY(call(&w, "data.export", path ? path : "the export", out, NULL));
    if (!path) {
        return copy_out(c, out, false);
    }
    if (fsync(out) != 0) {
        return yzi_fail(yzi_cli_error(c), yzi_err_from_errno(errno), "cannot write %s: %s", path,
                        strerror(errno));
    }
    YZ_TRY(yzi_interrupt_removes(NULL));
    if (yzi_cli_json(c)) {
        yzi_cli_say(c, "{\"records\": %lld, \"sequence\": %lld}\n", number(&w, "rows"),
                    number(&w, "sequence"));
    } else {
        yzi_cli_say(c, "%lld records written to %s\n", number(&w, "rows"), path);
    }
    return YZ_OK;
}
