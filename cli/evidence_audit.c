/* SPDX-License-Identifier: Apache-2.0
 *
 * yz evidence audit: how far it is on a terminal, each finding as it is found, and a summary.
 */
#include <inttypes.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/evidence.h"
#include "evidence/audit.h"

#define BETWEEN_MS 200u

struct auditing {
    struct cli *c;
    bool terminal, shown;
    uint64_t began, last;
    yz_buf *findings; /* for --json */
};

static void clear(struct auditing *a)
{
    if (a->shown) {
        fputs("\r\033[K", stderr);
        a->shown = false;
    }
}

static void on_progress(void *ctx, uint64_t done, uint64_t size)
{
    struct auditing *a = ctx;
    uint64_t now = yzi_mono_ms(&yzi_clock_system);
    if (!a->terminal || now - a->last < BETWEEN_MS || size == 0) {
        return;
    }
    uint64_t ms = now - a->began;
    fprintf(stderr, "\r\033[K%" PRIu64 " of %" PRIu64 " entries, %d %%, %.0f entries/s", done, size,
            (int)((double)done * 100.0 / (double)size),
            (double)done * 1000.0 / (double)(ms ? ms : 1));
    fflush(stderr);
    a->last = now;
    a->shown = true;
}

static void on_finding(void *ctx, const char *sentence)
{
    struct auditing *a = ctx;
    clear(a);
    if (yzi_cli_json(a->c)) {
        yz_ignore(yzi_buf_printf(a->findings, "%s\n", sentence), "what has no room is counted");
    } else {
        yzi_cli_say(a->c, "%s\n", sentence);
    }
}

/* The sentences, one a line, as an array; the text may end within one. */
static void write_findings(struct json *j, const yz_buf *findings)
{
    yz_bytes rest = yzi_bytes_buf(findings);
    yzi_json_key(j, "findings");
    yzi_json_array(j);
    while (rest.n > 0) {
        const uint8_t *end = memchr(rest.p, '\n', rest.n);
        size_t n = end ? (size_t)(end - rest.p) : rest.n;
        yzi_json_text(j, yzi_bytes(rest.p, n));
        n += end ? 1 : 0;
        rest = yzi_bytes(rest.p + n, rest.n - n);
    }
    yzi_json_array_end(j);
}

static int report_json(struct cli *c, const struct audit_result *r, bool checked,
                       const yz_buf *findings)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out = {.max = 1 << 20};
    struct json j;
    yzi_json_init(&j, &out, true);
    yzi_json_object(&j);
    yzi_json_key(&j, "log");
    yzi_json_str(&j, r->origin);
    yzi_json_key(&j, "entries");
    yzi_json_u64(&j, r->size);
    yzi_json_key(&j, "signature_checked");
    yzi_json_bool(&j, checked);
    yzi_json_key(&j, "sound");
    yzi_json_bool(&j, r->findings == 0);
    yzi_json_key(&j, "findings_count");
    yzi_json_u64(&j, r->findings);
    write_findings(&j, findings);
    yzi_json_object_end(&j);
    YZ_TRY(yzi_json_end(&j));
    YZ_TRY(yzi_buf_put_str(&out, "\n"));
    yzi_cli_write(c, yzi_bytes_buf(&out));
    return YZ_OK;
}

static void report_text(struct cli *c, const struct audit_result *r, bool checked, uint64_t ms)
{
    char first[32], last[32];
    yzi_cli_say(c, "%s: %" PRIu64 " entries", r->origin, r->size);
    if (r->size > 0) {
        yzi_cli_say(c, " from %s to %s", yzi_cli_time_text(r->first_time, first),
                    yzi_cli_time_text(r->last_time, last));
    }
    yzi_cli_say(c, "\n");
    for (unsigned t = ENTRY_REQUEST; t <= ENTRY_OPENING; t++) {
        if (r->by_type[t]) {
            yzi_cli_say(c, "  %-12s %" PRIu64 "\n", yzi_entry_type_name(t), r->by_type[t]);
        }
    }
    if (r->findings == 0) {
        yzi_cli_say(c, "sound: entries, tiles and checkpoint agree; the signature was %s\n",
                    checked ? "verified" : "not checked (no --vkey)");
    }
    yzi_cli_say(c, "%.1f s, %.0f entries/s\n", (double)ms / 1000.0,
                (double)r->size * 1000.0 / (double)(ms ? ms : 1));
}

int yzi_evidence_audit_run(struct cli *c)
{
    YZ_AUTO(yzi_buf_fini) yz_buf findings = {.max = 1 << 18};
    YZ_AUTO(yzi_free_ptr) struct audit_result *r = NULL;
    struct note_key key;
    bool checked;
    YZ_TRY(yzi_evidence_vkey(c, &key, &checked));
    YZ_TRY(yzi_alloc(1, sizeof *r, &r));
    struct auditing a = {.c = c,
                         .terminal = isatty(STDERR_FILENO) == 1 && !yzi_cli_quiet(c),
                         .began = yzi_mono_ms(&yzi_clock_system),
                         .findings = &findings};
    const struct audit_options o = {.dir = yzi_cli_arg(c, 0),
                                    .key = checked ? &key : NULL,
                                    .finding = on_finding,
                                    .progress = on_progress,
                                    .ctx = &a};
    yz_error err = {0};
    int rc = yzi_audit(&o, r, &err);
    clear(&a);
    if (rc < 0 && r->findings == 0) {
        return yzi_evidence_failed(c, rc, &err);
    }
    if (yzi_cli_json(c)) {
        YZ_TRY(report_json(c, r, checked, &findings));
    } else {
        report_text(c, r, checked, yzi_mono_ms(&yzi_clock_system) - a.began);
    }
    return rc == 0 ? YZ_OK
                   : yzi_evidence_unverified(c, rc, "%s: %" PRIu64 " findings; the first: %s",
                                             o.dir, r->findings, err.text);
}

const struct cli_option yzi_evidence_audit_options[] = {
    {"vkey", "KEY", "The log's verifier key; without it the signature is not checked", false,
     false},
    {0}};
