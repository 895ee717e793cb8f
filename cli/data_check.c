/* SPDX-License-Identifier: Apache-2.0
 *
 * yz data check: a definition, and files against it, without a daemon. A file is imported into a
 * store that lasts as long as the check, so that nothing an import would refuse is overlooked.
 */
#include <errno.h>
#include <ftw.h>
#include <unistd.h>

#include "base/secret.h"
#include "cli/data.h"
#include "cli/interrupt.h"

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
        char text[700];
        yzi_import_fault_text(f, text, sizeof text);
        yzi_cli_say(k->c, "%s\n", text);
        return;
    }
    yzi_json_object(k->json);
    yzi_json_key(k->json, "line");
    yzi_json_u64(k->json, f->line);
    yzi_json_key(k->json, "record");
    yzi_json_u64(k->json, f->record);
    yzi_json_key(k->json, "field");
    yzi_json_str(k->json, f->field);
    yzi_json_key(k->json, "reason");
    yzi_json_str(k->json, f->reason);
    yzi_json_object_end(k->json);
}

/* -- a store of a moment, because only a store knows which keys there were -- */

struct moment {
    char dir[400];
    yz_secret key;
    struct store *store;
};

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void close_moment(struct moment *m)
{
    yzi_store_close(m->store);
    yzi_secret_fini(&m->key);
    if (m->dir[0] && nftw(m->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS) != 0) {
        fprintf(stderr, "yz: cannot remove %s\n", m->dir);
    }
}

static const char *scratch_folder(void)
{
    const char *tmp = getenv("TMPDIR");
    return tmp && *tmp ? tmp : "/tmp";
}

/* Sensitive values are encrypted in it with a key that nobody keeps. */
static int open_moment(struct check *k, const struct dataset *d, struct moment *m)
{
    yz_error *err = yzi_cli_error(k->c);
    int n = snprintf(m->dir, sizeof m->dir, "%s/yz-check-XXXXXX", scratch_folder());
    if (n < 0 || (size_t)n >= sizeof m->dir || !mkdtemp(m->dir)) {
        m->dir[0] = '\0';
        return yzi_fail(err, YZ_EIO, "cannot make a folder for the check in %s: %s",
                        scratch_folder(), strerror(errno));
    }
    YZ_TRY(yzi_sodium_init());
    YZ_TRY(yzi_secret_random(&m->key, 32));
    const struct store_options o = {.dir = m->dir, .dataset = d, .storage_key = &m->key};
    return yzi_store_open(&o, &m->store, err);
}

static int check_rows(struct check *k, const struct dataset *d, const char *path, uint64_t max,
                      struct import_report *report)
{
    YZ_AUTO(yzi_data_close) int fd = -1;
    YZ_AUTO(close_moment) struct moment moment = {{0}, {0}, NULL};
    enum import_format format;
    YZ_TRY(yzi_data_open(k->c, path, &fd));
    YZ_TRY(yzi_data_format(k->c, path, &format));
    struct import_source src = {.fd = fd,
                                .name = path,
                                .format = format,
                                .mode = IMPORT_UPSERT,
                                .dry_run = true,
                                .fault = on_fault,
                                .ctx = k,
                                .max_faults = max,
                                .cancel = yzi_interrupt_heed()};
    YZ_TRY(open_moment(k, d, &moment));
    int rc = yzi_store_import(moment.store, &src, report, yzi_cli_error(k->c));
    if (rc == YZ_EDISKFULL) {
        return yzi_fail(yzi_cli_error(k->c), rc,
                        "cannot check %s: the disk is full that %s is on (TMPDIR names another)",
                        path, scratch_folder());
    }
    return rc == YZ_EDATA ? YZ_OK : rc; /* the faults were told */
}

static void tell_unseen(struct check *k, const struct dataset *d, const struct import_report *r)
{
    struct data_unseen unseen = {0};
    if (k->json) {
        yzi_json_key(k->json, "unseen");
        yzi_json_array(k->json);
    }
    for (size_t i = 0; i < d->fields_n; i++) {
        if (r->unseen[i] && k->json) {
            yzi_json_str(k->json, d->fields[i].name);
        } else if (r->unseen[i]) {
            yzi_data_unseen_add(&unseen, d->fields[i].name);
        }
    }
    yzi_data_unseen_say(k->c, &unseen);
    if (k->json) {
        yzi_json_array_end(k->json);
    }
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
    int rc = check_rows(k, d, path, max, &report);
    yzi_interrupt_end(); /* the store of a moment is gone */
    YZ_TRY(rc);
    if (k->faults) {
        yzi_cli_exit_with(k->c, EXIT_FAILED);
    }
    if (k->json) {
        yzi_json_array_end(k->json);
        yzi_json_key(k->json, "rows");
        yzi_json_u64(k->json, report.rows);
        tell_unseen(k, d, &report);
        yzi_json_object_end(k->json);
        return YZ_OK;
    }
    if (k->faults >= max) {
        yzi_cli_say(k->c, "%s: stopped after %llu fault%s, in %llu row%s\n", path,
                    (unsigned long long)k->faults, k->faults == 1 ? "" : "s",
                    (unsigned long long)report.rows, report.rows == 1 ? "" : "s");
    } else {
        yzi_cli_say(k->c, "%s: %llu row%s, %llu fault%s\n", path, (unsigned long long)report.rows,
                    report.rows == 1 ? "" : "s", (unsigned long long)k->faults,
                    k->faults == 1 ? "" : "s");
    }
    tell_unseen(k, d, &report);
    return YZ_OK;
}

static int check_files(struct check *k, const struct dataset *d)
{
    uint64_t max;
    YZ_TRY(yzi_cli_number(k->c, "max-faults", 1, DATA_FAULTS_MAX, DATA_FAULTS_DEFAULT, &max));
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
    yzi_dataset_unref(*d);
}

int yzi_data_check(struct cli *c)
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
