/* SPDX-License-Identifier: Apache-2.0
 *
 * yz evidence verify: what a file is is seen from how it begins; each is verified by itself,
 * offline, and the first that does not hold ends it.
 */
#include <inttypes.h>

#include "base/file.h"
#include "cli/evidence.h"
#include "evidence/bundle.h"
#include "proof/tlogproof.h"

#define PROOF_BEGINS "c2sp.org/tlog-proof@"

/* -- receipts as text -- */

/* What the proof is of: its extra line, which is the entry, or the file named beside it. */
static int entry_of(struct cli *c, const char *file, const struct tlogproof *p, yz_buf *out)
{
    const char *beside = yzi_cli_option(c, "entry");
    if (beside) {
        return yzi_file_read(beside, out, yzi_cli_error(c));
    }
    if (!p->has_extra) {
        return yzi_cli_usage(c, "%s does not say which entry it is of: name it with --entry", file);
    }
    return yzi_tlogproof_extra(p, out);
}

static const char *why(int code)
{
    switch (code) {
    case YZ_ENOTFOUND:
        return "its checkpoint is not signed by this key";
    case YZ_EDENIED:
        return "its checkpoint is of another log than this key's";
    case YZ_ESIGNATURE:
        return "the path does not lead from the entry to the checkpoint's root, or the "
               "checkpoint's "
               "signature is not right";
    default:
        return "it is no well-formed proof";
    }
}

static int refuse(struct cli *c, const char *file, int code)
{
    return code == YZ_ENOMEM
               ? code
               : yzi_evidence_unverified(c, code == YZ_ENOTFOUND ? YZ_EUNKNOWNKEY : code, "%s: %s",
                                         file, why(code));
}

static void say_proof(struct cli *c, const char *file, const struct tlogproof *p,
                      const struct checkpoint *at, yz_bytes bytes)
{
    struct entry e;
    char time[32];
    yzi_cli_say(c, "%s: entry %" PRIu64 " of %" PRIu64 " in %.*s", file, p->index, at->size,
                CLI_V(at->origin));
    if (yzi_entry_parse(bytes, &e) == 0) {
        yzi_cli_say(c, ", %s of %s", yzi_entry_type_name(e.type), yzi_cli_time_text(e.time, time));
    }
    yzi_cli_say(c, ": verified\n");
}

static int verify_proof(struct cli *c, const char *file, yz_bytes text, const struct note_key *key)
{
    YZ_AUTO(yzi_free_ptr) struct tlogproof *p = NULL;
    YZ_AUTO(yzi_buf_fini) yz_buf entry = {.max = TLOGPROOF_EXTRA_MAX};
    struct checkpoint at;
    if (!key) {
        return yzi_cli_usage(c, "%s is a receipt: name its log's key with --vkey", file);
    }
    YZ_TRY(yzi_alloc(1, sizeof *p, &p));
    int rc = yzi_tlogproof_parse(text, p);
    if (rc < 0) {
        return refuse(c, file, rc);
    }
    YZ_TRY(entry_of(c, file, p, &entry));
    rc = yzi_tlogproof_verify(p, key, yzi_bytes_buf(&entry), &at);
    if (rc < 0) {
        return refuse(c, file, rc);
    }
    say_proof(c, file, p, &at, yzi_bytes_buf(&entry));
    return YZ_OK;
}

/* -- bundles -- */

static int read_anchor(struct cli *c, yz_buf *raw)
{
    const char *path = yzi_cli_option(c, "anchor");
    if (!path) {
        return YZ_OK;
    }
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = 2 * YZ_RECORD_MAX};
    YZ_TRY(yzi_file_read(path, &text, yzi_cli_error(c)));
    int rc = yzi_record_dearmour(yzi_bytes_buf(&text), raw);
    return rc == 0 ? 0 : yzi_fail(yzi_cli_error(c), rc, "%s: this is no root statement", path);
}

static int verify_bundle(struct cli *c, const char *file, yz_bytes bytes,
                         const struct note_key *key)
{
    YZ_AUTO(yzi_buf_fini) yz_buf anchor = {.max = YZ_RECORD_MAX}, report = {.max = 1 << 20};
    yz_error err = {0};
    YZ_TRY(read_anchor(c, &anchor));
    if (!key && anchor.n == 0) {
        return yzi_cli_usage(c, "%s is a bundle: name the instance's --anchor or the log's --vkey",
                             file);
    }
    const struct evidence_trust trust = {yzi_bytes_buf(&anchor), key ? key->key : NULL};
    int rc = yzi_evidence_bundle_verify(bytes, &trust, &report, &err);
    if (rc < 0) {
        yzi_error_prefix(&err, "%s", file);
        return yzi_evidence_failed(c, rc, &err);
    }
    yzi_cli_say(c, "%s: verified\n%.*s", file, (int)report.n,
                report.n ? (const char *)report.p : "");
    return YZ_OK;
}

/* -- which -- */

static int verify_file(struct cli *c, const char *file, const struct note_key *key)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = EVIDENCE_BUNDLE_MAX};
    YZ_TRY(yzi_file_read(file, &b, yzi_cli_error(c)));
    yz_bytes bytes = yzi_bytes_buf(&b);
    size_t n = strlen(PROOF_BEGINS);
    if (bytes.n >= n && yzi_bytes_eq_str(yzi_bytes(bytes.p, n), PROOF_BEGINS)) {
        return verify_proof(c, file, bytes, key);
    }
    if (yzi_evidence_bundle_is(bytes)) {
        return verify_bundle(c, file, bytes, key);
    }
    return yzi_evidence_unverified(c, YZ_EMALFORMED,
                                   "%s: this is neither a receipt (tlog-proof) nor a bundle", file);
}

int yzi_evidence_verify_run(struct cli *c)
{
    struct note_key key;
    bool given;
    YZ_TRY(yzi_evidence_vkey(c, &key, &given));
    for (unsigned i = 0; i < yzi_cli_args(c); i++) {
        YZ_TRY(verify_file(c, yzi_cli_arg(c, i), given ? &key : NULL));
    }
    return YZ_OK;
}

const struct cli_option yzi_evidence_verify_options[] = {
    {"vkey", "KEY", "The log's verifier key: yizhan/BROKER/LOG+id+key", false, false},
    {"anchor", "FILE", "The instance's root statement, for bundles", false, false},
    {"entry", "FILE", "The entry that a proof without an extra line is of", false, false},
    {0}};
