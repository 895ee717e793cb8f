/* SPDX-License-Identifier: Apache-2.0
 *
 * An audit of a published log: everything recomputed from the entries and compared with the tiles
 * and with the checkpoint; that each entry is one, that times never fall, that the log opens and
 * closes where it must. Memory does not depend on the log's length. What is wrong is told file by
 * file, and the audit goes on behind it where it can. Reads only; any thread, blocking.
 */
#ifndef YZ_EVIDENCE_AUDIT_H
#define YZ_EVIDENCE_AUDIT_H

#include "proof/checkpoint.h"
#include "proto/entry.h"

struct audit_options {
    const char *dir;            /* with `checkpoint` and `tile` in it */
    const struct note_key *key; /* the log's; NULL: the signature is not checked */
    /* One sentence for each thing wrong, with the file's path within dir. May be NULL. */
    void (*finding)(void *ctx, const char *sentence);
    /* Every some thousand entries. May be NULL. */
    void (*progress)(void *ctx, uint64_t done, uint64_t size);
    void *ctx;
};
struct audit_result {
    char origin[NOTE_NAME_MAX + 1];
    uint64_t size;
    yz_digest root;
    uint64_t findings;
    uint64_t by_type[ENTRY_OPENING + 1]; /* entries read, by enum entry_type; 0: unreadable ones */
    uint64_t first_time, last_time;
};
/* YZ_OK: all is as it should be. YZ_ESIGNATURE: there were findings; err has the first. Otherwise
 * the audit could not be made: errors of yzi_log_folder_checkpoint, YZ_ENOMEM. *out is filled when
 * the checkpoint was read. */
YZ_MUST_USE int yzi_audit(const struct audit_options *o, struct audit_result *out, yz_error *err);

#endif
