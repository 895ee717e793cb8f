/* SPDX-License-Identifier: Apache-2.0
 *
 * A published log as a folder of files: `checkpoint`, `tile/…` (proof/tile.h). Reads only. One
 * thread at a time.
 */
#ifndef YZ_EVIDENCE_FOLDER_H
#define YZ_EVIDENCE_FOLDER_H

#include "proof/checkpoint.h"
#include "proof/tile.h"

struct log_folder {
    const char *dir; /* borrowed */
    yz_buf bytes;    /* of the file read last */
};
void yzi_log_folder_init(struct log_folder *f, const char *dir);
void yzi_log_folder_fini(struct log_folder *f);
/* A tile_read_fn (ctx is the folder): the file of that name and no other. Errors as yzi_file_read,
 * YZ_ETOOBIG for one larger than any tile or bundle. */
int yzi_log_folder_read(void *folder, const struct tile_name *t, yz_bytes *out);
/* The checkpoint file, appended; then its text parsed, its signature checked when key is not NULL.
 * *out views into `note`. Errors of yzi_file_read and yzi_checkpoint_open (YZ_EUNKNOWNKEY: not
 * signed by this key), with a sentence that names the file. */
YZ_MUST_USE int yzi_log_folder_checkpoint(const char *dir, const struct note_key *key, yz_buf *note,
                                          struct checkpoint *out, yz_error *err);
/* The same of a note in memory; `where` is for the sentence. */
YZ_MUST_USE int yzi_log_checkpoint_read(const char *where, yz_bytes note,
                                        const struct note_key *key, struct checkpoint *out,
                                        yz_error *err);

/* That the log in the folder, now at `newer`, goes on from `older`: the same log, not smaller, and
 * its tiles prove it. YZ_EEQUIVOCATION with a sentence when it does not; YZ_EROLLBACK when newer is
 * the smaller (older tiles prove nothing); YZ_ENOTFOUND, YZ_ECORRUPT, YZ_EIO: a tile cannot be
 * read. */
YZ_MUST_USE int yzi_log_folder_follows(const char *dir, const struct checkpoint *older,
                                       const struct checkpoint *newer, yz_error *err);

#endif
