/* SPDX-License-Identifier: Apache-2.0
 *
 * yz evidence: what its files share. A verb that reads published or kept files has a file; the
 * table is in evidence.c.
 */
#ifndef YZ_CLI_EVIDENCE_H
#define YZ_CLI_EVIDENCE_H

#include "cli/cli.h"
#include "proof/note.h"

/* --vkey as a verifier key of a log; *out_given says whether it was there. The key views into the
 * command line. YZ_EINVAL with usage words. */
YZ_MUST_USE int yzi_evidence_vkey(struct cli *c, struct note_key *out, bool *out_given);
/* Fail with exit code 5 and the sentence: `code` and the words become the invocation's error. */
int yzi_evidence_unverified(struct cli *c, int code, const char *fmt, ...) YZ_PRINTF(3, 4);

/* The same, when it is the evidence that is wrong, and not a file or the memory that is missing. */
int yzi_evidence_failed(struct cli *c, int code, const yz_error *err);

extern const struct cli_option yzi_evidence_audit_options[], yzi_evidence_verify_options[],
    yzi_evidence_follow_options[];
YZ_MUST_USE int yzi_evidence_audit_run(struct cli *c);
YZ_MUST_USE int yzi_evidence_verify_run(struct cli *c);
YZ_MUST_USE int yzi_evidence_follow_run(struct cli *c);

/* evidence_broker.c */
extern const struct cli_option yzi_evidence_admin_options[], yzi_evidence_list_options[],
    yzi_evidence_export_options[], yzi_evidence_prune_options[];
YZ_MUST_USE int yzi_evidence_status_run(struct cli *c);
YZ_MUST_USE int yzi_evidence_list_run(struct cli *c);
YZ_MUST_USE int yzi_evidence_show_run(struct cli *c);
YZ_MUST_USE int yzi_evidence_export_run(struct cli *c);
YZ_MUST_USE int yzi_evidence_prune_run(struct cli *c);
YZ_MUST_USE int yzi_evidence_check_run(struct cli *c);
YZ_MUST_USE int yzi_evidence_close_run(struct cli *c);

/* evidence_kept.c */
extern const struct cli_option yzi_evidence_kept_options[], yzi_evidence_open_options[],
    yzi_evidence_bundle_options[];
YZ_MUST_USE int yzi_evidence_kept_run(struct cli *c);
YZ_MUST_USE int yzi_evidence_open_run(struct cli *c);
YZ_MUST_USE int yzi_evidence_bundle_run(struct cli *c);

#endif
