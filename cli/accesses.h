/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of `yz data accesses` share.
 */
#ifndef YZ_CLI_ACCESSES_H
#define YZ_CLI_ACCESSES_H

#include "cli/kept.h"

/* One exchange that was about the record asked for. */
struct access {
    const struct kept_read *read;
    const struct kept_contents *contents;
    unsigned how;    /* bits 1 << enum subject_how */
    uint64_t others; /* other records that were given with it */
};

/* "given", "refused: field", "counted": what came of it; a few words, appended. */
YZ_MUST_USE int yzi_access_outcome(const struct access *a, yz_buf *out);
/* The sentences about it, each line ended and indented; appended. */
YZ_MUST_USE int yzi_access_sentences(const struct access *a, yz_buf *out);
/* One JSON object, appended. */
YZ_MUST_USE int yzi_access_json(const struct access *a, yz_buf *out);

#endif
