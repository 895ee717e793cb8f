/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of `yz data` share.
 */
#ifndef YZ_CLI_DATA_H
#define YZ_CLI_DATA_H

#include <jansson.h>

#include "adapters/dataset/store.h"
#include "cli/home.h"

#define DATA_SILENCE_MS 600000u /* other imports may come first, and a commit may take long */
#define DATA_FAULTS_DEFAULT 20u
#define DATA_FAULTS_MAX 1000000u

/* -- data.c -- */
void yzi_data_close(const int *fd); /* fits YZ_AUTO; -1 is allowed */
/* A regular file for reading. YZ_EINVAL and the like with a sentence. */
YZ_MUST_USE int yzi_data_open(struct cli *c, const char *path, int *out);
/* A file without a name, for the adapter to write to. */
YZ_MUST_USE int yzi_data_scratch(struct cli *c, int *out);
/* A new file for the adapter to write to, removed when yz fails, or is interrupted before
 * yzi_interrupt_removes(NULL). YZ_EEXIST and the like with a sentence. */
YZ_MUST_USE int yzi_data_make(struct cli *c, const char *path, int *out);
/* --format, or what the file's name ends in; yz_EINVAL with usage words when neither tells. */
YZ_MUST_USE int yzi_data_format(struct cli *c, const char *path, enum import_format *out);
const char *yzi_data_format_name(enum import_format f);
/* --mode; `dflt` when it was not given. */
YZ_MUST_USE int yzi_data_mode(struct cli *c, const char *dflt, const char **out);
/* The adapter's JSON. YZ_EMALFORMED with a sentence. Free with json_decref. */
YZ_MUST_USE int yzi_data_parse(struct cli *c, yz_bytes text, json_t **out);
json_int_t yzi_data_number(const json_t *object, const char *key);

/* -- data_progress.c: one line on a terminal -- */
struct data_progress {
    bool on, shown;             /* standard error is a terminal; the line stands there */
    uint64_t began, last;       /* monotonic milliseconds */
    uint64_t phase_since, done; /* of the phase, which has a rate of its own */
    char phase[16];
};
void yzi_data_progress_init(struct data_progress *p, struct cli *c);
/* What the adapter told, at most some times a second: phase, rows, share, rate, time left. */
void yzi_data_progress_show(struct data_progress *p, const json_t *at);
void yzi_data_progress_clear(struct data_progress *p);
/* The line itself, for tests; false: nothing is to be shown yet. Each phase has a rate of its own,
 * and so has a file that is read once more (docs/definitions.md): what was done before says nothing
 * about the time left. */
bool yzi_data_progress_text(struct data_progress *p, const json_t *at, uint64_t now, char *out,
                            size_t cap);
/* Rows a second since it began. */
double yzi_data_progress_rate(const struct data_progress *p, uint64_t rows);

/* Fields that no record had anything for, in one line (a path may be misspelt); nothing for none.
 */
struct data_unseen {
    size_t n, named;
    char names[200];
};
void yzi_data_unseen_add(struct data_unseen *u, const char *field);
void yzi_data_unseen_say(struct cli *c, const struct data_unseen *u);

/* -- the verbs -- */
int yzi_data_check(struct cli *c);
int yzi_data_import(struct cli *c);
int yzi_data_diff(struct cli *c);
int yzi_data_export(struct cli *c);
int yzi_data_explain(struct cli *c);
int yzi_data_accesses(struct cli *c);

/* -- data_keep.c: keys and backups -- */
int yzi_data_rotate_key(struct cli *c);
int yzi_data_backup(struct cli *c);
int yzi_data_restore(struct cli *c);
#define YZI_DATA_SINCE_TEXT 40
/* What a state says of its key: the id ("-" where nothing is sensitive), and since when. */
const char *yzi_data_key(const json_t *state, char since[YZI_DATA_SINCE_TEXT]);
void yzi_data_say_key(struct cli *c, const json_t *state);

#endif
