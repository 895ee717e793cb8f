/* SPDX-License-Identifier: Apache-2.0
 *
 * yz evidence: the table, and what its verbs share.
 */
#include "cli/evidence.h"

int yzi_evidence_vkey(struct cli *c, struct note_key *out, bool *out_given)
{
    const char *text = yzi_cli_option(c, "vkey");
    *out_given = text != NULL;
    if (!text) {
        return YZ_OK;
    }
    int rc = yzi_vkey_parse(yzi_bytes_str(text), out);
    if (rc == 0 && out->algorithm != NOTE_ED25519) {
        rc = YZ_EVERSION;
    }
    return rc == 0 || rc == YZ_ENOMEM
               ? rc
               : yzi_cli_usage(c, "--vkey: \"%s\" is no verifier key of a log (name+id+key)", text);
}

int yzi_evidence_unverified(struct cli *c, int code, const char *fmt, ...)
{
    char text[sizeof((yz_error *)NULL)->text];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    YZ_ASSERT(n >= 0);
    yzi_cli_exit_with(c, EXIT_UNVERIFIED);
    return yzi_fail(yzi_cli_error(c), code, "%s", text);
}

int yzi_evidence_failed(struct cli *c, int code, const yz_error *err)
{
    enum yz_error_class class = yz_err_class(code);
    bool wrong = (class == YZ_CLASS_AUTH && code != YZ_EPERM) || class == YZ_CLASS_PROTOCOL ||
                 code == YZ_ECORRUPT;
    const char *text = err->text[0] ? err->text : yz_err_words(code);
    return wrong ? yzi_evidence_unverified(c, code, "%s", text)
                 : yzi_fail(yzi_cli_error(c), code, "%s", text);
}

const struct cli_verb yzi_cli_evidence[] = {
    {"evidence", "verify", "FILE...", 1, 1000,
     "Verify receipts (tlog-proof text) and bundles, offline", yzi_evidence_verify_options,
     yzi_evidence_verify_run, false},
    {"evidence", "kept", "", 0, 0, "The exchanges that a client or an adapter keeps",
     yzi_evidence_kept_options, yzi_evidence_kept_run, false},
    {"evidence", "open", "MESSAGE-ID", 1, 1,
     "What was asked and answered in a kept exchange, proved against what was signed",
     yzi_evidence_open_options, yzi_evidence_open_run, false},
    {"evidence", "bundle", "MESSAGE-ID", 1, 1,
     "A kept exchange with all that proves it, as one file", yzi_evidence_bundle_options,
     yzi_evidence_bundle_run, true},
    {"evidence", "audit", "DIR", 1, 1, "Recompute a published log and compare all of it",
     yzi_evidence_audit_options, yzi_evidence_audit_run, false},
    {"evidence", "follow", "DIR", 1, 1,
     "Watch a published log: each checkpoint goes on from the one before",
     yzi_evidence_follow_options, yzi_evidence_follow_run, false},
    {"evidence", "status", "", 0, 0, "How a broker's evidence log is", yzi_evidence_admin_options,
     yzi_evidence_status_run, false},
    {"evidence", "list", "", 0, 0, "Entries of a broker's log", yzi_evidence_list_options,
     yzi_evidence_list_run, false},
    {"evidence", "show", "INDEX", 1, 1, "One entry with its body", yzi_evidence_admin_options,
     yzi_evidence_show_run, false},
    {"evidence", "export", "INDEX|MESSAGE-ID", 1, 1,
     "The proof that an entry is in the log, as tlog-proof text", yzi_evidence_export_options,
     yzi_evidence_export_run, true},
    {"evidence", "prune", "", 0, 0, "Let go of the bodies below an index",
     yzi_evidence_prune_options, yzi_evidence_prune_run, true},
    {"evidence", "check", "", 0, 0, "Look at the whole store and all published files now",
     yzi_evidence_admin_options, yzi_evidence_check_run, true},
    {"evidence", "close", "", 0, 0, "Close the log and begin another", yzi_evidence_admin_options,
     yzi_evidence_close_run, true},
    CLI_TABLE_END};
