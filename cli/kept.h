/* SPDX-License-Identifier: Apache-2.0
 *
 * Kept exchanges as the verbs read them. Reading needs no daemon and disturbs none: files there are
 * only appended to.
 */
#ifndef YZ_CLI_KEPT_H
#define YZ_CLI_KEPT_H

#include "cli/cli.h"
#include "evidence/kept.h"
#include "proto/header.h"

/* HOME/kept of --home. YZ_ENOTFOUND with a sentence. */
YZ_MUST_USE int yzi_cli_kept_dir(struct cli *c, char **out);

/* One exchange, its headers parsed; views into the record. */
struct kept_read {
    const struct kept_exchange *x;
    struct request_header request;
    struct response_header response; /* when the answer is one */
    struct outcome_header outcome;   /* otherwise */
    bool is_response;
};
YZ_MUST_USE int yzi_cli_kept_read(const struct kept_exchange *x, struct kept_read *out);
const char *yzi_cli_kept_status(const struct kept_read *e);

/* What was asked and answered. */
struct kept_contents {
    bool has_request, has_answer; /* the content was kept */
    struct request_head request;
    yz_bytes request_body;
    struct answer_head answer;
    yz_buf padded[2]; /* what the above views into */
    struct arena arena;
};
/* Open both contents, as the headers commit to them. YZ_ESIGNATURE: one is not what was signed;
 * YZ_EMALFORMED, YZ_ENOMEM. To be ended in any case with yzi_cli_kept_contents_fini, which wipes.
 */
YZ_MUST_USE int yzi_cli_kept_open(const struct kept_read *e, struct kept_contents *out);
void yzi_cli_kept_contents_fini(struct kept_contents *k);

#endif
