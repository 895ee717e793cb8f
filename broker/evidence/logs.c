/* SPDX-License-Identifier: Apache-2.0
 *
 * Which log is written. Each log has a folder of its own, named by its number; the file `current`
 * names the one that is continued. A log is followed by another, and never continued, when it was
 * closed, when the log key is another one, and when what we hold may be an older state than others
 * were shown: the data file is not the one the head was written to (so it was copied back), or the
 * published checkpoint or one that a peer showed is not on our tree. What is signed for a log is
 * then only ever what was signed before.
 *
 * The new folder is made, its opening entry committed, and only then `current` rewritten; a crash
 * in between leaves a folder that nobody was told of, which the next attempt removes.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "broker/evidence/internal.h"

#define CURRENT_NAME "current"
#define CURRENT_MAX 64u
#define NAME_MAX_DIGITS 21u

int yzi_logs_path(const char *dir, uint64_t log, char **out)
{
    char name[NAME_MAX_DIGITS + 1];
    snprintf(name, sizeof name, "%" PRIu64, log);
    return yzi_path_join(dir, name, out);
}

/* Visit the numbers of all logs there are, in no order. */
static int each_log(const char *dir, int (*visit)(void *ctx, uint64_t log), void *ctx,
                    yz_error *err)
{
    DIR *d = opendir(dir);
    if (!d) {
        return yzi_fail(err, yzi_err_from_errno(errno), "cannot read the folder %s", dir);
    }
    int rc = YZ_OK;
    struct dirent *entry;
    while (rc == YZ_OK && (entry = readdir(d)) != NULL) {
        uint64_t log;
        if (yzi_u64_parse(yzi_bytes_str(entry->d_name), UINT64_MAX, &log) == YZ_OK && log > 0) {
            rc = visit(ctx, log);
        }
    }
    closedir(d);
    return rc;
}

struct before {
    uint64_t limit, *out;
    size_t cap, n;
};

/* Kept sorted; when there is no room the lowest go. */
static int note_before(void *ctx, uint64_t log)
{
    struct before *b = ctx;
    if (log >= b->limit || b->cap == 0) {
        return YZ_OK;
    }
    if (b->n == b->cap) {
        if (log < b->out[0]) {
            return YZ_OK;
        }
        memmove(b->out, b->out + 1, --b->n * sizeof *b->out);
    }
    size_t i = b->n++;
    for (; i > 0 && b->out[i - 1] > log; i--) {
        b->out[i] = b->out[i - 1];
    }
    b->out[i] = log;
    return YZ_OK;
}

int yzi_logs_before(const char *dir, uint64_t before, uint64_t *out, size_t cap, size_t *out_n)
{
    struct before b = {before, out, cap, 0};
    yz_error err = {0};
    YZ_TRY(each_log(dir, note_before, &b, &err));
    *out_n = b.n;
    return YZ_OK;
}

/* -- current -- */

/* YZ_ENOTFOUND: there is no such file. */
static int read_current(const char *dir, uint64_t *out, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, CURRENT_MAX);
    if (yzi_path_join(dir, CURRENT_NAME, &path) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "%s: not enough memory", dir);
    }
    YZ_TRY(yzi_file_read(path, &text, err));
    bool ended = text.n > 0 && text.p[text.n - 1] == '\n';
    if (!ended || yzi_u64_parse(yzi_bytes(text.p, text.n - 1), UINT64_MAX, out) < 0 || *out == 0) {
        return yzi_fail(err, YZ_ECORRUPT, "%s: it does not name a log", path);
    }
    return YZ_OK;
}

static int write_current(const char *dir, uint64_t log, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    char text[NAME_MAX_DIGITS + 2];
    if (yzi_path_join(dir, CURRENT_NAME, &path) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "%s: not enough memory", dir);
    }
    snprintf(text, sizeof text, "%" PRIu64 "\n", log);
    return yzi_file_write(path, yzi_bytes_str(text), 0600, err);
}

/* -- opening a store -- */

/* The store in e becomes this one; readers see the old one, the new one, or none. */
static int put_store(struct evidence *e, uint64_t log, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    if (yzi_logs_path(e->dir, log, &path) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "%s: not enough memory", e->dir);
    }
    pthread_rwlock_wrlock(&e->store_lock);
    yzi_ledger_close(e->store);
    e->store = NULL;
    int rc = yzi_ledger_open(path, true, &e->store, err);
    pthread_rwlock_unlock(&e->store_lock);
    return rc;
}

/* A folder that no reader was told of. */
static void remove_log(const char *dir, uint64_t log)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "owner.lock"};
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    if (yzi_logs_path(dir, log, &path) < 0) {
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        YZ_AUTO(yzi_free_ptr) char *file = NULL;
        if (yzi_path_join(path, names[i], &file) == YZ_OK) {
            unlink(file);
        }
    }
    rmdir(path);
}

struct later {
    const char *dir;
    uint64_t than;
};

static int remove_later(void *ctx, uint64_t log)
{
    const struct later *l = ctx;
    if (log > l->than) {
        remove_log(l->dir, log);
    }
    return YZ_OK;
}

/* A log of its own begins, after `log` (0: there was none). */
static int begin_log(struct evidence *e, uint64_t log, const struct log_cite *cite,
                     const char *reason, yz_error *err)
{
    struct later later = {e->dir, log};
    uint64_t now = yzi_wall_ms(e->o.clock), least = log > cite->log ? log : cite->log;
    uint64_t number = now > least ? now : least + 1;
    YZ_TRY(each_log(e->dir, remove_later, &later, err));
    YZ_TRY(put_store(e, number, err));
    e->head = (struct store_head){.log = number};
    memcpy(e->head.key, e->o.log->public_key, sizeof e->head.key);
    int rc = yzi_ledger_identify(e->store, &e->head);
    rc = rc < 0 ? rc : yzi_spine_load(&e->spine, 0);
    if (rc < 0) {
        return yzi_fail(err, rc, "%s: cannot begin a log (%s)", yzi_ledger_path(e->store),
                        yz_err_words(rc));
    }
    YZ_TRY(yzi_writer_cite(e, cite, reason, err));
    rc = yzi_writer_save(e); /* so that every log that is named has a signed checkpoint on disk */
    if (rc < 0) {
        return yzi_fail(err, rc, "%s: cannot write (%s)", yzi_ledger_path(e->store),
                        yz_err_words(rc));
    }
    YZ_TRY(write_current(e->dir, number, err));
    yzi_log(&EV_EVIDENCE_OPENED, (struct log_field[]){log_num("log", (int64_t)number),
                                                      log_str("reason", reason),
                                                      log_num("after", (int64_t)cite->log),
                                                      log_num("size", (int64_t)cite->size),
                                                      {0}});
    return YZ_OK;
}

int yzi_logs_follow(struct evidence *e, const struct log_cite *cite, const char *reason,
                    yz_error *err)
{
    return begin_log(e, e->head.log, cite, reason, err);
}

/* -- is it ours to continue? -- */

/* The root our tree had at this size. */
static int root_at(struct evidence *e, const struct store_head *h, uint64_t size, yz_digest *out)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    struct store_tree tree;
    struct tree_source source;
    struct tree_edge edge;
    YZ_TRY(yzi_ledger_read(e->store, &t));
    yzi_ledger_tree(&tree, e->store, t, h->size, &source);
    YZ_TRY(yzi_tree_edge(&source, size, &edge));
    *out = edge.root;
    return YZ_OK;
}

/* Is this checkpoint on our tree? */
static int is_on_tree(struct evidence *e, const struct store_head *h, uint64_t size,
                      const yz_digest *root, bool *out, yz_error *err)
{
    yz_digest ours;
    *out = false;
    if (size > h->size) {
        return YZ_OK;
    }
    int rc = root_at(e, h, size, &ours);
    if (rc < 0) {
        return yzi_fail(err, rc, "%s: cannot read the tree at size %" PRIu64 " (%s)",
                        yzi_ledger_path(e->store), size, yz_err_words(rc));
    }
    *out = yzi_digest_eq(&ours, root);
    return YZ_OK;
}

/* Why the log of this head may not be continued, or NULL; and by which checkpoint it is followed.
 */
static int judge(struct evidence *e, const struct store_head *h, const char **out_reason,
                 struct log_cite *cite, yz_error *err)
{
    bool original, fits = true;
    struct log_cite published = {0};
    *cite = (struct log_cite){.log = h->log, .size = h->signed_size, .root = h->signed_root};
    memcpy(cite->signature, h->signature, sizeof cite->signature);
    *out_reason = NULL;
    if (h->signed_size > 0) {
        YZ_TRY(is_on_tree(e, h, h->signed_size, &h->signed_root, &fits, err));
        if (!fits) {
            return yzi_fail(err, YZ_ECORRUPT,
                            "%s: the tree does not lead to the checkpoint signed at size %" PRIu64
                            ": the store is damaged; restore it from a backup",
                            yzi_ledger_path(e->store), h->signed_size);
        }
    }
    int rc = yzi_published_checkpoint(e, h->log, &published, err);
    YZ_ENSURE(rc == YZ_OK || rc == YZ_ENOTFOUND, rc);
    if (rc == YZ_OK) {
        YZ_TRY(is_on_tree(e, h, published.size, &published.root, &fits, err));
        *cite = published.size > cite->size ? published : *cite;
    }
    YZ_ENSURE(yzi_ledger_is_original(e->store, h, &original) == YZ_OK, YZ_EIO);
    if (!fits || !original) {
        *out_reason = "restored";
    } else if (h->state == STORE_CLOSED) {
        *out_reason = "closed";
    } else if (memcmp(h->key, e->o.log->public_key, sizeof h->key) != 0) {
        *out_reason = "key";
    }
    return YZ_OK;
}

static int read_head(struct evidence *e, struct store_head *out, yz_error *err)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    int rc = yzi_ledger_read(e->store, &t);
    if (rc < 0) {
        return yzi_fail(err, rc, "%s: cannot read (%s)", yzi_ledger_path(e->store),
                        yz_err_words(rc));
    }
    return yzi_ledger_head(e->store, t, out, err);
}

/* Folders without `current`: at most the beginning of a first log, which nobody was told of. */
static int check_unnamed(void *ctx, uint64_t log)
{
    struct evidence *e = ctx;
    struct store_head h;
    yz_error err = {0};
    YZ_TRY(put_store(e, log, &err));
    YZ_TRY(read_head(e, &h, &err));
    return h.size > 1 ? YZ_ECORRUPT : YZ_OK;
}

static int open_first(struct evidence *e, yz_error *err)
{
    static const struct log_cite none;
    int rc = each_log(e->dir, check_unnamed, e, err);
    pthread_rwlock_wrlock(&e->store_lock);
    yzi_ledger_close(e->store);
    e->store = NULL;
    pthread_rwlock_unlock(&e->store_lock);
    if (rc < 0) {
        return yzi_fail(err, rc,
                        "%s: there are logs, but the file '" CURRENT_NAME
                        "' that names the one to continue is missing (%s); restore it",
                        e->dir, yz_err_words(rc));
    }
    return begin_log(e, 0, &none, "first", err);
}

int yzi_logs_open(struct evidence *e, yz_error *err)
{
    uint64_t log;
    struct store_head h;
    struct log_cite cite;
    const char *reason;
    int rc = read_current(e->dir, &log, err);
    if (rc == YZ_ENOTFOUND) {
        return open_first(e, err);
    }
    YZ_TRY(rc);
    YZ_TRY(put_store(e, log, err));
    YZ_TRY(read_head(e, &h, err));
    if (h.log != log || h.size == 0) {
        return yzi_fail(err, YZ_ECORRUPT, "%s: the store of log %" PRIu64 " is %s; restore it",
                        yzi_ledger_path(e->store), log, h.log ? "another log's" : "empty");
    }
    YZ_TRY(judge(e, &h, &reason, &cite, err));
    return reason ? begin_log(e, log, &cite, reason, err) : yzi_writer_adopt(e, err);
}
