/* SPDX-License-Identifier: Apache-2.0
 *
 * The publisher: once a second at most it brings the folder `publish/<log>` to the newest
 * checkpoint: full tiles and bundles first, partial ones, then, when all of that is durable, the
 * checkpoint. Readers therefore always find what the checkpoint they hold needs. Partial tiles go
 * when the full one exists and is counted on. What is published is told by the published checkpoint
 * alone, so a crash, or a publisher that could not write for a while, is caught up with by the same
 * pass. The root computed from what was written must be the checkpoint's: a damaged store is never
 * published.
 */
#include "broker/evidence/publisher.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "evidence/receipt.h"

#define PASS_MS 1000u
#define FEW_FILES 16u  /* synced one by one */
#define STEP_FILES 64u /* written within one read transaction */
#define OLDER_MAX 64u  /* older logs looked after */
#define SCRUB_QUIET 4u /* files looked at in a second when nobody asked */
#define SCRUB_ASKED 256u

/* -- contents -- */

static int damaged(struct publication *p, yz_error *err, const char *what, uint64_t from,
                   uint64_t count)
{
    return yzi_fail(err, YZ_ECORRUPT, "%s: %s of entries %" PRIu64 " to %" PRIu64,
                    yzi_ledger_path(p->store), what, from, from + count - 1);
}

/* The lowest row of the tile the file is of, checked against the hash the store keeps of it. */
static int load_tile(struct publication *p, const struct log_file *f, yz_error *err)
{
    unsigned level = f->kind == LOG_FILE_TILE ? f->level : 0;
    uint64_t from = f->number << TILE_BITS * (level + 1);
    uint64_t count = (uint64_t)f->width << TILE_BITS * level;
    yzi_tile_init(&p->tile, level, f->number);
    int rc = yzi_ledger_fill(p->store, p->txn, &p->tile, f->width);
    if (rc == YZ_OK && f->width == TILE_WIDTH) {
        yz_digest kept;
        rc = yzi_ledger_hash(p->store, p->txn, level, f->number, &kept);
        if (rc == YZ_OK && !yzi_digest_eq(&kept, yzi_tile_root(&p->tile))) {
            return damaged(p, err, "the entries do not lead to the hash", from, count);
        }
    }
    if (rc == YZ_ECORRUPT) {
        return damaged(p, err, "something is missing", from, count);
    }
    return rc < 0 ? yzi_fail(err, rc, "%s: cannot read (%s)", yzi_ledger_path(p->store),
                             yz_err_words(rc))
                  : YZ_OK;
}

/* Behind the hashes of the leaves, of which there are as many bytes less. */
static int bundle(struct publication *p, const struct log_file *f)
{
    uint8_t entries[TILE_WIDTH * YZ_ENTRY_BYTES];
    YZ_TRY(yzi_ledger_entries(p->store, p->txn, f->number << TILE_BITS, f->width, entries));
    for (unsigned i = 0; i < f->width; i++) {
        yzi_store_u16(p->bytes + (size_t)i * BUNDLE_ENTRY_BYTES, YZ_ENTRY_BYTES);
        memcpy(p->bytes + (size_t)i * BUNDLE_ENTRY_BYTES + 2, entries + (size_t)i * YZ_ENTRY_BYTES,
               YZ_ENTRY_BYTES);
    }
    return YZ_OK;
}

int yzi_publication_content(struct publication *p, const struct log_file *f, yz_bytes *out,
                            yz_error *err)
{
    YZ_TRY(load_tile(p, f, err));
    if (f->kind == LOG_FILE_BUNDLE) {
        int rc = bundle(p, f);
        if (rc < 0) {
            return yzi_fail(err, rc, "%s: cannot read entries (%s)", yzi_ledger_path(p->store),
                            yz_err_words(rc));
        }
        *out = yzi_bytes(p->bytes, (size_t)f->width * BUNDLE_ENTRY_BYTES);
        return YZ_OK;
    }
    for (unsigned i = 0; i < f->width; i++) {
        memcpy(p->bytes + (size_t)i * 32, yzi_tile_node(&p->tile, 0, i)->b, 32);
    }
    *out = yzi_bytes(p->bytes, (size_t)f->width * 32);
    return YZ_OK;
}

static int log_key(struct evidence *e, uint64_t log, char origin[LOG_ORIGIN_MAX],
                   struct note_key *out)
{
    yzi_log_origin(e->o.node, log, origin);
    return yzi_note_key(yzi_bytes_str(origin), NOTE_ED25519, e->o.log->public_key, out);
}

int yzi_publication_checkpoint(struct evidence *e, const struct evidence_now *at, yz_buf *out,
                               yz_error *err)
{
    char origin[LOG_ORIGIN_MAX];
    struct note_key key;
    struct checkpoint c = {.size = at->size, .root = at->root};
    int rc = log_key(e, at->log, origin, &key);
    c.origin = key.name;
    rc = rc < 0 ? rc : yzi_checkpoint_note(&c, &key, at->signature, out);
    return rc < 0 ? yzi_fail(err, rc, "cannot write the checkpoint (%s)", yz_err_words(rc)) : YZ_OK;
}

/* -- the published checkpoint -- */

static int log_folder(struct evidence *e, uint64_t log, char **out, yz_error *err)
{
    return yzi_logs_path(e->publish, log, out) < 0
               ? yzi_fail(err, YZ_ENOMEM, "%s: out of memory", e->publish)
               : YZ_OK;
}

/* The signature of the key in a note that was verified. */
static int signature_in(yz_bytes bytes, const struct note_key *key, uint8_t out[64])
{
    struct note n;
    YZ_TRY(yzi_note_parse(bytes, &n));
    for (unsigned i = 0; i < n.lines_n; i++) {
        uint8_t blob[4 + 64];
        if (yzi_bytes_eq(n.lines[i].name, key->name) &&
            yzi_base64_decode_exactly(n.lines[i].base64, blob, sizeof blob) == YZ_OK &&
            memcmp(blob, key->id, 4) == 0) {
            memcpy(out, blob + 4, 64);
            return YZ_OK;
        }
    }
    return YZ_ENOTFOUND;
}

int yzi_published_checkpoint(struct evidence *e, uint64_t log, struct log_cite *out, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *folder = NULL;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    char origin[LOG_ORIGIN_MAX];
    struct note_key key;
    struct checkpoint c;
    static const struct log_file file = {.kind = LOG_FILE_CHECKPOINT};
    yzi_buf_init(&text, NOTE_MAX);
    if (!e->publish) {
        return YZ_ENOTFOUND;
    }
    YZ_TRY(log_folder(e, log, &folder, err));
    YZ_TRY(yzi_log_files_read(folder, &file, &text, err));
    int rc = log_key(e, log, origin, &key);
    rc = rc < 0 ? rc : yzi_checkpoint_open(yzi_bytes_buf(&text), &key, &c);
    rc = rc < 0 ? rc : signature_in(yzi_bytes_buf(&text), &key, out->signature);
    if (rc == YZ_ENOMEM) {
        return yzi_fail(err, rc, "%s: out of memory", folder);
    }
    if (rc < 0) { /* not by this key, or not what we wrote: it says nothing about our store */
        yz_error why = {0};
        yzi_fail(&why, rc, "%s/checkpoint: it is not one of ours (%s)", folder, yz_err_words(rc));
        yzi_log_error(&EV_EVIDENCE_FILE, &why, NULL);
        return YZ_ENOTFOUND;
    }
    out->log = log;
    out->size = c.size;
    out->root = c.root;
    return YZ_OK;
}

/* -- a pass -- */

struct pass {
    struct publication *p;
    struct log_files files;
    uint64_t from; /* published before */
    unsigned in_txn;
};

/* Long passes do not keep one transaction. */
static int refresh(struct pass *s, yz_error *err)
{
    struct publication *p = s->p;
    if (p->txn && s->in_txn < STEP_FILES) {
        s->in_txn++;
        return YZ_OK;
    }
    s->in_txn = 0;
    yzi_db_abort(&p->txn);
    int rc = yzi_ledger_read(p->store, &p->txn);
    return rc < 0 ? yzi_fail(err, rc, "%s: cannot read (%s)", yzi_ledger_path(p->store),
                             yz_err_words(rc))
                  : YZ_OK;
}

static int put_file(struct pass *s, const struct log_file *f, yz_error *err)
{
    yz_bytes content;
    YZ_TRY(refresh(s, err));
    YZ_TRY(yzi_publication_content(s->p, f, &content, err));
    return yzi_log_files_put(&s->files, f, content, err);
}

/* What this level has more than before. */
static int put_level(struct pass *s, unsigned level, yz_error *err)
{
    uint64_t before = s->from >> TILE_BITS * level, nodes = s->p->at.size >> TILE_BITS * level;
    unsigned kinds = level == 0 ? 2 : 1;
    for (uint64_t number = before / TILE_WIDTH; number * TILE_WIDTH < nodes; number++) {
        uint64_t there = nodes - number * TILE_WIDTH;
        if (before == nodes) {
            break;
        }
        for (unsigned k = 0; k < kinds; k++) {
            struct log_file f = {.kind = k ? LOG_FILE_BUNDLE : LOG_FILE_TILE,
                                 .level = level,
                                 .number = number,
                                 .width = there < TILE_WIDTH ? (unsigned)there : TILE_WIDTH};
            YZ_TRY(put_file(s, &f, err));
        }
    }
    return YZ_OK;
}

/* That the tree of what was written has the root that was signed. */
static int check_root(struct pass *s, yz_error *err)
{
    struct store_tree tree;
    struct tree_source source;
    struct tree_edge edge;
    struct publication *p = s->p;
    s->in_txn = 0;
    YZ_TRY(refresh(s, err));
    yzi_ledger_tree(&tree, p->store, p->txn, p->at.size, &source);
    int rc = yzi_tree_edge(&source, p->at.size, &edge);
    if (rc < 0 || !yzi_digest_eq(&edge.root, &p->at.root)) {
        return yzi_fail(err, rc == YZ_OK ? YZ_ECORRUPT : rc,
                        "%s: the tree does not lead to the checkpoint of size %" PRIu64,
                        yzi_ledger_path(p->store), p->at.size);
    }
    return YZ_OK;
}

/* Partial files of tiles that are full now. */
static void drop_partial(const struct pass *s)
{
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        uint64_t before = s->from >> TILE_BITS * level, nodes = s->p->at.size >> TILE_BITS * level;
        uint64_t number = before / TILE_WIDTH;
        if (before % TILE_WIDTH == 0 || (number + 1) * TILE_WIDTH > nodes) {
            continue;
        }
        struct log_file f = {
            .kind = LOG_FILE_TILE, .level = level, .number = number, .width = TILE_WIDTH};
        yzi_log_files_drop_partial(s->p->dir, &f);
        if (level == 0) {
            f.kind = LOG_FILE_BUNDLE;
            yzi_log_files_drop_partial(s->p->dir, &f);
        }
    }
}

static int put_checkpoint(struct evidence *e, struct pass *s, yz_error *err)
{
    static const struct log_file file = {.kind = LOG_FILE_CHECKPOINT};
    struct log_files one = {.dir = s->p->dir, .few = true};
    YZ_AUTO(yzi_buf_fini) yz_buf note;
    yzi_buf_init(&note, CHECKPOINT_NOTE_MAX);
    YZ_TRY(yzi_publication_checkpoint(e, &s->p->at, &note, err));
    return yzi_log_files_put(&one, &file, yzi_bytes_buf(&note), err);
}

/* Bring one log from `from` to p->at. */
static int publish(struct evidence *e, struct publication *p, uint64_t from, yz_error *err)
{
    uint64_t files = (p->at.size / TILE_WIDTH - from / TILE_WIDTH) * 2 + 6;
    struct pass s = {.p = p, .from = from, .files = {.dir = p->dir, .few = files <= FEW_FILES}};
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        YZ_TRY(put_level(&s, level, err));
    }
    YZ_TRY(check_root(&s, err));
    YZ_TRY(yzi_log_files_sync(&s.files, err));
    YZ_TRY(put_checkpoint(e, &s, err));
    drop_partial(&s);
    return YZ_OK;
}

static void publication_end(struct publication *p)
{
    yzi_db_abort(&p->txn);
    free(p->dir);
    p->dir = NULL;
}

/* The verifier key beside the checkpoint, for whoever fetches it from a place he trusts. */
static int put_vkey(struct evidence *e, const struct publication *p, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    char origin[LOG_ORIGIN_MAX];
    struct note_key key;
    yzi_buf_init(&text, LOG_ORIGIN_MAX + 128);
    int rc = log_key(e, p->at.log, origin, &key);
    rc = rc < 0 ? rc : yzi_vkey_write(&key, &text);
    rc = rc < 0 ? rc : yzi_buf_put_str(&text, "\n");
    rc = rc < 0 ? rc : yzi_path_join(p->dir, "vkey", &path);
    if (rc < 0) {
        return yzi_fail(err, rc, "%s: cannot write the log's key (%s)", p->dir, yz_err_words(rc));
    }
    return yzi_file_write(path, yzi_bytes_buf(&text), 0644, err);
}

/* -- older logs -- */

/* Publish what is missing of a log that is over, up to its last signed checkpoint. */
static int publish_older(struct evidence *e, struct publication *p, uint64_t log, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    struct log_cite there = {0};
    struct store_head h;
    if (yzi_logs_path(e->dir, log, &path) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "%s: out of memory", e->dir);
    }
    YZ_TRY(yzi_ledger_open(path, false, &p->store, err));
    YZ_TRY(yzi_ledger_read(p->store, &p->txn));
    YZ_TRY(yzi_ledger_head(p->store, p->txn, &h, err));
    p->at = (struct evidence_now){.log = log, .size = h.signed_size, .root = h.signed_root};
    memcpy(p->at.signature, h.signature, sizeof p->at.signature);
    int rc = yzi_published_checkpoint(e, log, &there, err);
    YZ_ENSURE(rc == YZ_OK || rc == YZ_ENOTFOUND, rc);
    if (there.size >= h.signed_size || memcmp(h.key, e->o.log->public_key, sizeof h.key) != 0) {
        return YZ_OK;
    }
    YZ_TRY(log_folder(e, log, &p->dir, err));
    YZ_TRY(yzi_dir_make(p->dir, 0755, err));
    return publish(e, p, there.size, err);
}

static void publish_all_older(struct evidence *e, struct publication *p, uint64_t before)
{
    uint64_t logs[OLDER_MAX];
    size_t n = 0;
    if (yzi_logs_before(e->dir, before, logs, OLDER_MAX, &n) < 0) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        yz_error err = {0};
        p->store = NULL;
        int rc = publish_older(e, p, logs[i], &err);
        publication_end(p);
        yzi_ledger_close(p->store);
        p->store = NULL;
        if (rc < 0) {
            yzi_log_error(&EV_EVIDENCE_PUBLISH, &err,
                          (struct log_field[]){log_num("log", (int64_t)logs[i]), {0}});
        }
    }
}

/* -- the thread -- */

struct publisher {
    struct evidence *e;
    struct publication p;
    struct scrub scrub;
    uint64_t log;  /* being published; 0: none yet */
    uint64_t size; /* published of it */
    bool failing;  /* said so */
};

/* `current` is a symbolic link to the newest log's folder. */
static int point_current(struct evidence *e, uint64_t log, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_AUTO(yzi_free_ptr) char *temp = NULL;
    char target[32];
    snprintf(target, sizeof target, "%" PRIu64, log);
    if (yzi_path_join(e->publish, "current", &path) < 0 ||
        yzi_path_join(e->publish, "current.new", &temp) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "%s: out of memory", e->publish);
    }
    unlink(temp);
    if (symlink(target, temp) != 0 || rename(temp, path) != 0) {
        return yzi_fail(err, yzi_err_from_errno(errno), "cannot write %s", path);
    }
    return YZ_OK;
}

/* A transaction to look after files with; bodies may have gone since the checkpoint. */
static int begin_look(struct publication *p, yz_error *err)
{
    struct store_head h;
    yzi_db_abort(&p->txn);
    int rc = yzi_ledger_read(p->store, &p->txn);
    if (rc < 0) {
        return yzi_fail(err, rc, "%s: cannot read (%s)", yzi_ledger_path(p->store),
                        yz_err_words(rc));
    }
    YZ_TRY(yzi_ledger_head(p->store, p->txn, &h, err));
    if (h.log != p->at.log) { /* the writer is on its way from one log to another */
        return yzi_fail(err, YZ_EAGAIN, "another log begins");
    }
    p->at.pruned = h.pruned;
    return YZ_OK;
}

/* A log we have not published yet in this life: look at what is there. */
static int begin(struct publisher *b, yz_error *err)
{
    struct evidence *e = b->e;
    struct publication *p = &b->p;
    struct log_cite there = {0};
    YZ_TRY(yzi_dir_make(p->dir, 0755, err));
    YZ_TRY(put_vkey(e, p, err));
    int rc = yzi_published_checkpoint(e, p->at.log, &there, err);
    YZ_ENSURE(rc == YZ_OK || rc == YZ_ENOTFOUND, rc);
    b->size = there.size <= p->at.size ? there.size : 0;
    b->scrub.level = 0;
    b->scrub.number = 0;
    if (b->size) {
        struct evidence_now newest = p->at;
        p->at.size = there.size;
        p->at.root = there.root;
        memcpy(p->at.signature, there.signature, sizeof there.signature);
        YZ_TRY(begin_look(p, err));
        rc = yzi_scrub_edge(p, &b->scrub);
        yzi_db_abort(&p->txn);
        p->at = newest;
        YZ_TRY(rc);
    }
    YZ_TRY(point_current(e, p->at.log, err));
    b->log = p->at.log;
    return YZ_OK;
}

/* What is newest is put before everybody; then a look at what is there. With the store locked. */
static int pass_locked(struct publisher *b, unsigned scrub, yz_error *err)
{
    struct evidence *e = b->e;
    struct publication *p = &b->p;
    pthread_mutex_lock(&e->mutex);
    p->at = e->now;
    pthread_mutex_unlock(&e->mutex);
    p->store = e->store;
    if (!p->store) {
        return yzi_fail(err, YZ_EUNAVAILABLE, "%s: the log is down", e->dir);
    }
    YZ_TRY(begin_look(p, err));
    YZ_TRY(log_folder(e, p->at.log, &p->dir, err));
    if (b->log != p->at.log) {
        YZ_TRY(begin(b, err));
    }
    if (p->at.size > b->size) {
        YZ_TRY(publish(e, p, b->size, err));
        b->size = p->at.size;
    }
    YZ_TRY(begin_look(p, err));
    int rc = yzi_scrub_some(p, &b->scrub, scrub);
    if (rc < 0 && rc != YZ_ENOTFOUND && rc != YZ_ECORRUPT) { /* damage was named already */
        return yzi_fail(err, rc, "%s: cannot look after what is published (%s)", p->dir,
                        yz_err_words(rc));
    }
    return YZ_OK;
}

static void say(struct publisher *b, int rc, const yz_error *err)
{
    if (rc == YZ_EAGAIN) {
        return;
    }
    if (rc < 0 && !b->failing) {
        yzi_log_error(&EV_EVIDENCE_PUBLISH, err,
                      (struct log_field[]){log_num("log", (int64_t)b->p.at.log), {0}});
    }
    b->failing = rc < 0;
}

static void one_pass(struct publisher *b, uint64_t asked, unsigned scrub)
{
    struct evidence *e = b->e;
    yz_error err = {0};
    uint64_t log = b->log;
    pthread_rwlock_rdlock(&e->store_lock);
    int rc = pass_locked(b, scrub, &err);
    publication_end(&b->p);
    pthread_rwlock_unlock(&e->store_lock);
    say(b, rc, &err);
    if (b->log != log) {
        publish_all_older(e, &b->p, b->log);
    }
    pthread_mutex_lock(&e->mutex);
    if (e->now.log == b->log) {
        e->published = b->size;
    }
    e->scrub = b->scrub;
    e->publish_done = asked;
    e->publish_rc = rc;
    pthread_cond_broadcast(&e->to_caller);
    pthread_mutex_unlock(&e->mutex);
    if (e->o.metrics) {
        yzi_metric_set(&e->o.metrics->evidence_published, b->size);
        yzi_metric_set(&e->o.metrics->evidence_damaged, b->scrub.damaged);
        yzi_metric_set(&e->o.metrics->evidence_rewritten, b->scrub.rewritten);
    }
}

static void wait_pass(struct evidence *e)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PASS_MS / 1000;
    int rc = 0;
    bool hurry = e->scrub_asked > e->scrub.rounds && e->publish_rc == YZ_OK;
    while (rc != ETIMEDOUT && !e->publisher_closing && e->publish_asked == e->publish_done &&
           !hurry) {
        rc = pthread_cond_timedwait(&e->to_publisher, &e->mutex, &until);
        hurry = e->scrub_asked > e->scrub.rounds;
    }
}

int yzi_publisher_new(struct evidence *e, struct publisher **out)
{
    struct publisher *b;
    YZ_TRY(yzi_alloc(1, sizeof *b, &b));
    b->e = e;
    *out = b;
    return YZ_OK;
}

void yzi_publisher_free(struct publisher *p)
{
    free(p);
}

void *yzi_publisher_run(void *evidence)
{
    struct evidence *e = evidence;
    struct publisher *b = e->publishing;
    bool end = false;
    for (bool first = true; !end; first = false) {
        pthread_mutex_lock(&e->mutex);
        if (!first) {
            wait_pass(e);
        }
        end = e->publisher_closing;
        uint64_t asked = e->publish_asked;
        unsigned scrub = e->scrub_asked > e->scrub.rounds ? SCRUB_ASKED : SCRUB_QUIET;
        pthread_mutex_unlock(&e->mutex);
        one_pass(b, asked, scrub);
    }
    return NULL;
}

int yzi_evidence_publish(struct evidence *e)
{
    YZ_ENSURE(e->has_publisher, YZ_EUNSUPPORTED);
    pthread_mutex_lock(&e->mutex);
    uint64_t mine = ++e->publish_asked;
    pthread_cond_signal(&e->to_publisher);
    while (e->publish_done < mine) {
        pthread_cond_wait(&e->to_caller, &e->mutex);
    }
    int rc = e->publish_rc;
    pthread_mutex_unlock(&e->mutex);
    return rc;
}

int yzi_evidence_scrub(struct evidence *e)
{
    YZ_ENSURE(e->has_publisher, YZ_EUNSUPPORTED);
    pthread_mutex_lock(&e->mutex);
    e->scrub_asked = e->scrub.rounds + 2; /* what is left of this one, and a whole one */
    pthread_cond_signal(&e->to_publisher);
    pthread_mutex_unlock(&e->mutex);
    return YZ_OK;
}
