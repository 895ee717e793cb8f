/* SPDX-License-Identifier: Apache-2.0
 *
 * yz evidence follow: what a watcher does. The newest checkpoint that was verified is kept in a
 * file, verbatim; each new one has to go on from it, proved from the published tiles. On a fork
 * both are kept, and it ends.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/evidence.h"
#include "evidence/folder.h"

#define EVERY_DEFAULT_S 10u

struct following {
    const char *dir, *state;
    struct note_key key;
    yz_buf held; /* the note of `last`, which views into it */
    bool has_last;
    struct checkpoint last;
};

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

/* So that a service manager can end it: SIGINT and SIGTERM interrupt the waiting. */
static void heed_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

static int load(struct cli *c, struct following *f)
{
    yz_error err = {0};
    int rc = yzi_file_read(f->state, &f->held, &err);
    if (rc == YZ_ENOTFOUND) {
        return YZ_OK;
    }
    rc = rc ? rc
            : yzi_log_checkpoint_read(f->state, yzi_bytes_buf(&f->held), &f->key, &f->last, &err);
    f->has_last = rc == 0;
    return rc == 0 ? YZ_OK : yzi_evidence_failed(c, rc, &err);
}

static int keep_fork(const struct following *f, yz_bytes note, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf path = {.max = 8192};
    YZ_TRY(yzi_buf_printf(&path, "%s.fork", f->state));
    YZ_TRY(yzi_buf_put_u8(&path, 0));
    return yzi_file_write((const char *)path.p, note, 0644, err);
}

static int contradicted(struct cli *c, const struct following *f, yz_bytes note, int code,
                        const yz_error *err)
{
    yz_error why = {0};
    if (keep_fork(f, note, &why) < 0) {
        return yzi_evidence_unverified(c, code, "%s; and it could not be kept: %s", err->text,
                                       why.text);
    }
    return yzi_evidence_unverified(c, code, "%s; both are kept: %s and %s.fork", err->text,
                                   f->state, f->state);
}

static void say_checkpoint(struct cli *c, const struct following *f, const struct checkpoint *now)
{
    char time[32];
    yzi_cli_say(c, "%s %.*s: %" PRIu64 " entries",
                yzi_cli_time_text(yzi_wall_ms(&yzi_clock_system), time), CLI_V(now->origin),
                now->size);
    if (f->has_last) {
        yzi_cli_say(c, ", going on from %" PRIu64, f->last.size);
    }
    yzi_cli_say(c, "\n");
    fflush(stdout);
}

/* One look. */
static int look(struct cli *c, struct following *f)
{
    YZ_AUTO(yzi_buf_fini) yz_buf note = {.max = NOTE_MAX};
    struct checkpoint now;
    yz_error err = {0};
    int rc = yzi_log_folder_checkpoint(f->dir, &f->key, &note, &now, &err);
    if (rc < 0) {
        return yzi_evidence_failed(c, rc, &err);
    }
    if (f->has_last && now.size == f->last.size && yzi_digest_eq(&now.root, &f->last.root)) {
        return YZ_OK;
    }
    rc = f->has_last ? yzi_log_folder_follows(f->dir, &f->last, &now, &err) : 0;
    if (rc == YZ_EEQUIVOCATION || rc == YZ_EROLLBACK) {
        return contradicted(c, f, yzi_bytes_buf(&note), rc, &err);
    }
    if (rc < 0) {
        return yzi_evidence_failed(c, rc, &err);
    }
    say_checkpoint(c, f, &now);
    YZ_TRY(yzi_file_write(f->state, yzi_bytes_buf(&note), 0644, yzi_cli_error(c)));
    yzi_buf_fini(&f->held);
    f->held = note;
    note = (yz_buf){0};
    f->last = now; /* its views are of the same memory */
    f->has_last = true;
    return YZ_OK;
}

static int follow(struct cli *c, struct following *f, uint64_t every_s)
{
    YZ_TRY(load(c, f));
    YZ_TRY(look(c, f));
    if (yzi_cli_flag(c, "once")) {
        return YZ_OK;
    }
    heed_signals();
    while (!ended) {
        if (poll(NULL, 0, (int)(every_s * 1000)) == 0) {
            YZ_TRY(look(c, f));
        }
    }
    return YZ_OK;
}

int yzi_evidence_follow_run(struct cli *c)
{
    struct following f = {
        .dir = yzi_cli_arg(c, 0), .state = yzi_cli_option(c, "state"), .held = {.max = NOTE_MAX}};
    bool given;
    uint64_t every_s;
    YZ_TRY(yzi_evidence_vkey(c, &f.key, &given));
    YZ_TRY(yzi_cli_number(c, "every", 1, 86400, EVERY_DEFAULT_S, &every_s));
    int rc = follow(c, &f, every_s);
    yzi_buf_fini(&f.held);
    return rc;
}

const struct cli_option yzi_evidence_follow_options[] = {
    {"vkey", "KEY", "The log's verifier key", true, false},
    {"state", "FILE", "Where the newest verified checkpoint is kept", true, false},
    {"every", "SECONDS", "How often to look; 10", false, false},
    {"once", NULL, "Look once, and end", false, false},
    {0}};
