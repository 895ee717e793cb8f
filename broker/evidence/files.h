/* SPDX-License-Identifier: Apache-2.0
 *
 * The published log as files: names after C2SP tlog-tiles, and writing many of them so that each is
 * whole whenever somebody looks, and all are durable before the checkpoint that counts on them.
 */
#ifndef YZ_BROKER_EVIDENCE_FILES_H
#define YZ_BROKER_EVIDENCE_FILES_H

#include "proof/edge.h"
#include "proof/tile.h"

/* What a name says. */
enum log_file_kind { LOG_FILE_CHECKPOINT, LOG_FILE_TILE, LOG_FILE_BUNDLE };
struct log_file {
    enum log_file_kind kind;
    unsigned level; /* of tiles, < TILE_LEVELS */
    uint64_t number;
    unsigned width; /* 1..TILE_WIDTH */
};
#define LOG_FILE_NAME_MAX TILE_PATH_MAX
/* "checkpoint", "tile/0/x001/067", "tile/entries/000.p/17". */
void yzi_log_file_name(const struct log_file *f, char out[LOG_FILE_NAME_MAX]);
/* The reverse; a name has one form only. YZ_EMALFORMED. Any thread. */
YZ_MUST_USE int yzi_log_file_parse(yz_bytes name, struct log_file *out);

/* Files being written below a folder, which exists. */
struct log_files {
    const char *dir; /* a view */
    bool few;        /* sync one by one; otherwise the file system as a whole, at the end */
    size_t written;
};
/* Write one whole, under its name at once. YZ_EDISKFULL, YZ_EIO, YZ_ENOMEM. */
YZ_MUST_USE int yzi_log_files_put(struct log_files *s, const struct log_file *f, yz_bytes content,
                                  yz_error *err);
/* Afterwards all of them are durable. */
YZ_MUST_USE int yzi_log_files_sync(struct log_files *s, yz_error *err);
/* The partial files of what is full now, folder and all; failures do no harm. */
void yzi_log_files_drop_partial(const char *dir, const struct log_file *full);
/* Read one. YZ_ENOTFOUND, YZ_EIO, YZ_ELIMIT. */
YZ_MUST_USE int yzi_log_files_read(const char *dir, const struct log_file *f, yz_buf *out,
                                   yz_error *err);

#endif
