/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer: takes what has gathered, commits it as one group, signs one checkpoint, makes the
 * receipts, hands the items back. While it commits the next group gathers, so an idle log answers
 * at once and a busy one in groups as large as they need to be.
 *
 * What makes a signed checkpoint safe is the order. The root of the tree goes into the head with
 * the entries, in one transaction. Signed is only what a successful commit has made durable, by us:
 * a commit that failed may have happened or not, and what is read back after it may be in the page
 * cache only. So after a failure the store is opened again, its head read, the tree's edge computed
 * from the entries and compared with the head's root, and one more commit made; when that succeeds,
 * everything before it is on disk, and then the head says what became of the group. Until then the
 * log is down. Ed25519 is deterministic: the same size and root have the same signature.
 */
#include "broker/evidence/internal.h"

#include <sodium.h>
#include <time.h>
#include <unistd.h>

#include "evidence/receipt.h"

#define TICK_MS 1000u    /* how often an idle writer looks at the retention */
#define RETRY_MIN_MS 50u /* between attempts to come up again, doubling */
#define RETRY_MAX_MS 2000u
#define CHECK_MS 3600000u /* the retention is looked at once an hour */
#define SWEEP_STEP 1024u  /* bodies deleted with one commit */

/* -- the tree -- */

static int load_tile(void *ctx, struct tile *tile, unsigned width)
{
    struct evidence *e = ctx;
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(yzi_ledger_read(e->store, &t));
    return yzi_ledger_fill(e->store, t, tile, width);
}

void yzi_writer_init(struct evidence *e)
{
    e->spine.load = load_tile;
    e->spine.ctx = e;
}

static int store_hash(void *ctx, unsigned level, uint64_t number, const yz_digest *hash)
{
    void **both = ctx;
    struct evidence *e = both[0];
    return yzi_ledger_add_hash(e->store, both[1], level, number, hash);
}

int yzi_writer_sign(struct evidence *e, uint64_t log, uint64_t size, const yz_digest *root,
                    uint8_t out[64])
{
    yzi_buf_clear(&e->text);
    YZ_TRY(yzi_checkpoint_text(e->o.node, log, size, root, &e->text));
    const uint8_t *secret = yzi_key_pair_open(e->o.log);
    int rc = crypto_sign_detached(out, NULL, e->text.p, e->text.n, secret);
    yzi_key_pair_close(e->o.log);
    return rc == 0 ? YZ_OK : YZ_EINTERNAL;
}

/* Everything in the head is durable: sign it and tell. The signature goes to disk with the next
 * commit; it can be made again at any time. */
static int sign_head(struct evidence *e)
{
    struct store_head *h = &e->head;
    uint8_t signature[64];
    YZ_TRY(yzi_writer_sign(e, h->log, h->size, &h->root, signature));
    h->signed_size = h->size;
    h->signed_root = h->root;
    memcpy(h->signature, signature, sizeof signature);
    pthread_mutex_lock(&e->mutex);
    if (e->now.log != h->log) {
        e->published = 0;
    }
    e->now = (struct evidence_now){.log = h->log,
                                   .size = h->size,
                                   .pruned = h->pruned,
                                   .cited_log = h->cited_log,
                                   .cited_size = h->cited_size,
                                   .root = h->root};
    memcpy(e->now.signature, signature, sizeof signature);
    pthread_mutex_unlock(&e->mutex);
    return YZ_OK;
}

/* -- adopting a store -- */

static int check_edge(struct evidence *e, const struct store_head *h, yz_error *err)
{
    struct tree_source source = yzi_spine_source(&e->spine);
    int rc = yzi_spine_load(&e->spine, h->size);
    rc = rc < 0 ? rc : yzi_tree_edge(&source, h->size, &e->edge);
    if (rc == YZ_ECORRUPT || (rc == YZ_OK && !yzi_digest_eq(&e->edge.root, &h->root))) {
        return yzi_fail(err, YZ_ECORRUPT,
                        "%s: the last entries of log %llu do not lead to its root at size %llu: "
                        "the store is damaged; restore it from a backup",
                        yzi_ledger_path(e->store), (unsigned long long)h->log,
                        (unsigned long long)h->size);
    }
    return rc < 0 ? yzi_fail(err, rc, "%s: cannot read the tree (%s)", yzi_ledger_path(e->store),
                             yz_err_words(rc))
                  : YZ_OK;
}

int yzi_writer_save(struct evidence *e)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(yzi_ledger_write(e->store, &t));
    YZ_TRY(yzi_ledger_put_head(e->store, t, &e->head));
    return yzi_db_commit(&t);
}

int yzi_writer_adopt(struct evidence *e, yz_error *err)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    struct store_head h;
    int rc = yzi_ledger_read(e->store, &t);
    if (rc < 0) {
        return yzi_fail(err, rc, "%s: cannot read (%s)", yzi_ledger_path(e->store),
                        yz_err_words(rc));
    }
    YZ_TRY(yzi_ledger_head(e->store, t, &h, err));
    yzi_db_abort(&t);
    if (h.log == e->now.log && h.size < e->now.size) {
        return yzi_fail(err, YZ_ECORRUPT, "%s: the store went back from size %llu to %llu",
                        yzi_ledger_path(e->store), (unsigned long long)e->now.size,
                        (unsigned long long)h.size);
    }
    YZ_TRY(check_edge(e, &h, err));
    e->head = h;
    rc = yzi_writer_save(e);
    rc = rc < 0 ? rc : sign_head(e);
    return rc < 0 ? yzi_fail(err, rc, "%s: cannot write (%s)", yzi_ledger_path(e->store),
                             yz_err_words(rc))
                  : YZ_OK;
}

/* -- a group -- */

struct group {
    struct item_list items;
    struct store_head head; /* as it will be */
    struct tree_edge edge;
    struct db_txn *txn;
    bool complete; /* all of it was given to the store, and the head says so */
};

static int add_one(struct evidence *e, struct group *g, struct evidence_item *i)
{
    static const yz_uuid none;
    uint8_t bytes[YZ_ENTRY_BYTES];
    yz_digest leaf;
    void *both[] = {e, g->txn};
    i->log = g->head.log;
    i->index = g->head.size++;
    i->time = g->head.time;
    yzi_entry_write(&(struct entry){i->type, i->time, i->digest}, bytes);
    bool is_message =
        i->type == ENTRY_REQUEST || i->type == ENTRY_RESPONSE || i->type == ENTRY_OUTCOME;
    bool has_id = is_message && !yzi_uuid_eq(&i->message_id, &none);
    YZ_TRY(yzi_ledger_add(e->store, g->txn, i->index, bytes, yzi_bytes_buf(&i->body),
                          has_id ? &i->message_id : NULL, i->type));
    yzi_merkle_leaf(yzi_bytes(bytes, sizeof bytes), &leaf);
    return yzi_spine_add(&e->spine, &leaf, store_hash, both);
}

/* Up to the commit and including it. Time never falls, whatever the clock does. */
static int write_group(struct evidence *e, struct group *g)
{
    uint64_t now = yzi_wall_ms(e->o.clock);
    struct tree_source source = yzi_spine_source(&e->spine);
    g->head.time = now > g->head.time ? now : g->head.time;
    YZ_TRY(yzi_ledger_write(e->store, &g->txn));
    for (struct evidence_item *i = g->items.first; i; i = i->next) {
        YZ_TRY(add_one(e, g, i));
    }
    YZ_TRY(yzi_tree_edge(&source, g->head.size, &g->edge));
    g->head.root = g->edge.root;
    YZ_TRY(yzi_ledger_sweep(e->store, g->txn, &g->head, SWEEP_STEP));
    YZ_TRY(yzi_ledger_put_head(e->store, g->txn, &g->head));
    g->complete = true;
    return yzi_db_commit(&g->txn);
}

static int entry_of(struct evidence *e, const struct tree_source *source,
                    const struct evidence_item *i, struct receipt_entry *out)
{
    out->type = i->type;
    out->index = i->index;
    out->time = i->time;
    return yzi_tree_path(source, &e->edge, i->index, &out->path);
}

/* A pair that is not in this log is left out: its receipt is one of its own. */
static int make_receipt(struct evidence *e, struct evidence_item *i)
{
    struct receipt r;
    struct tree_source source = yzi_spine_source(&e->spine);
    const struct evidence_item *pair = i->pair;
    r.log = e->head.log;
    r.size = e->head.size;
    r.root = e->head.root;
    memcpy(r.key, e->o.log->public_key, sizeof r.key);
    memcpy(r.signature, e->head.signature, sizeof r.signature);
    r.entries_n = 0;
    if (pair && pair->rc == YZ_OK && pair->log == r.log) {
        YZ_TRY(entry_of(e, &source, pair, &r.entries[r.entries_n++]));
    }
    YZ_TRY(entry_of(e, &source, i, &r.entries[r.entries_n++]));
    yzi_buf_init(&i->receipt, RECEIPT_BYTES_MAX);
    return yzi_receipt_write(&r, &i->receipt);
}

/* The group is durable and signed. Receipts need all results first: a pair may stand behind. */
static void acknowledge(struct evidence *e, struct item_list *items)
{
    for (struct evidence_item *i = items->first; i; i = i->next) {
        i->rc = YZ_OK;
    }
    for (struct evidence_item *i = items->first; i; i = i->next) {
        if (i->wants_receipt) {
            int rc = make_receipt(e, i);
            if (rc < 0) {
                i->rc = rc;
            }
        }
    }
}

static void fail_items(struct item_list *items, int rc)
{
    for (struct evidence_item *i = items->first; i; i = i->next) {
        i->rc = rc;
        i->log = 0;
    }
}

/* -- handing back -- */

static void hand_back(struct evidence *e, struct item_list *items)
{
    if (items->n == 0) {
        return;
    }
    pthread_mutex_lock(&e->mutex);
    bool was_empty = e->done.n == 0;
    *(e->done.last ? &e->done.last->next : &e->done.first) = items->first;
    e->done.last = items->last;
    e->done.n += items->n;
    if (was_empty) {
        uint64_t one = 1;
        YZ_ASSERT(write(e->fd, &one, sizeof one) == sizeof one);
    }
    pthread_mutex_unlock(&e->mutex);
    *items = (struct item_list){0};
}

/* What was under way (may be empty) and what waits come back failed, in order. */
static void go_down(struct evidence *e, struct item_list *under_way, const yz_error *why)
{
    struct item_list waiting;
    pthread_mutex_lock(&e->mutex);
    atomic_store(&e->up, false);
    waiting = e->pending;
    e->pending = (struct item_list){0};
    pthread_mutex_unlock(&e->mutex);
    fail_items(under_way, YZ_EUNAVAILABLE);
    fail_items(&waiting, YZ_EUNAVAILABLE);
    hand_back(e, under_way);
    hand_back(e, &waiting);
    e->down_since = yzi_mono_ms(e->o.clock);
    if (e->o.metrics) {
        yzi_metric_set(&e->o.metrics->evidence_up, 0);
    }
    yzi_log_error(&EV_EVIDENCE_DOWN, why, NULL);
}

static void come_up(struct evidence *e)
{
    pthread_mutex_lock(&e->mutex);
    atomic_store(&e->up, true);
    pthread_cond_broadcast(&e->to_caller);
    pthread_mutex_unlock(&e->mutex);
    if (e->o.metrics) {
        yzi_metric_set(&e->o.metrics->evidence_up, 1);
    }
    yzi_log(
        &EV_EVIDENCE_UP,
        (struct log_field[]){log_num("log", (int64_t)e->head.log),
                             log_num("size", (int64_t)e->head.size),
                             log_num("down_ms", (int64_t)(yzi_mono_ms(e->o.clock) - e->down_since)),
                             {0}});
}

/* Open the store again; on YZ_OK everything in e->head is durable. */
static int reopen(struct evidence *e, yz_error *err)
{
    if (e->o.metrics) {
        yzi_metric_add(&e->o.metrics->evidence_failures, 1);
    }
    return yzi_logs_open(e, err);
}

static uint64_t real_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void count_commit(struct evidence *e, const struct group *g, uint64_t from_ns)
{
    struct metrics *m = e->o.metrics;
    if (!m) {
        return;
    }
    yzi_metric_add(&m->evidence_commits, 1);
    yzi_metric_add(&m->evidence_entries, g->items.n);
    yzi_metric_add(&m->evidence_commit_us, (real_ns() - from_ns) / 1000);
    yzi_metric_set(&m->evidence_size, e->head.size);
    yzi_metric_set(&m->evidence_group, g->items.n);
    yzi_metric_set(&m->evidence_pruned, e->head.pruned);
}

/* YZ_OK: committed and signed. Otherwise the group's outcome is not known. */
static int commit_group(struct evidence *e, struct group *g)
{
    uint64_t from = real_ns();
    g->head = e->head;
    g->complete = false;
    YZ_TRY(write_group(e, g));
    e->head = g->head;
    e->edge = g->edge;
    YZ_TRY(sign_head(e));
    count_commit(e, g, from);
    return YZ_OK;
}

enum fate { HAPPENED, DID_NOT_HAPPEN, UNKNOWN };

/* A commit failed: find out what became of the group. */
static enum fate settle(struct evidence *e, struct group *g, int failed, yz_error *err)
{
    struct store_head wanted = g->head;
    yzi_db_abort(&g->txn);
    if (reopen(e, err) < 0) {
        yzi_error_prefix(err, "a commit failed (%s)", yz_err_words(failed));
        return UNKNOWN;
    }
    bool happened = g->complete && e->head.log == wanted.log && e->head.size == wanted.size &&
                    yzi_digest_eq(&e->head.root, &wanted.root);
    yzi_log(&EV_EVIDENCE_RETRIED,
            (struct log_field[]){log_str("error", yz_err_name(failed)),
                                 log_num("size", (int64_t)e->head.size),
                                 log_str("outcome", happened ? "committed" : "not-committed"),
                                 {0}});
    if (!happened) {
        yzi_fail(err, failed, "%s: a commit failed (%s)", e->dir, yz_err_words(failed));
    }
    return happened ? HAPPENED : DID_NOT_HAPPEN;
}

static enum fate try_group(struct evidence *e, struct group *g, yz_error *err)
{
    int rc = commit_group(e, g);
    return rc < 0 ? settle(e, g, rc, err) : HAPPENED;
}

/* What did not happen is tried once more; then the log is down. */
static void log_group(struct evidence *e, struct item_list *items)
{
    yz_error err = {0};
    struct group g = {.items = *items};
    enum fate fate = try_group(e, &g, &err);
    if (fate == DID_NOT_HAPPEN) {
        fate = try_group(e, &g, &err);
    }
    if (fate == HAPPENED) {
        acknowledge(e, &g.items);
        hand_back(e, &g.items);
    } else {
        go_down(e, &g.items, &err);
    }
}

/* -- entries of our own -- */

int yzi_writer_note(struct evidence *e, enum entry_type type, yz_bytes body, enum store_state state,
                    yz_error *err)
{
    struct evidence_item own = {.type = type};
    struct group g = {0};
    yzi_buf_init(&own.body, body.n);
    int rc = yzi_buf_put(&own.body, body);
    yzi_entry_digest(body, &own.digest);
    yzi_items_add(&g.items, &own);
    if (rc == YZ_OK) {
        enum store_state before = e->head.state;
        e->head.state = state;
        rc = commit_group(e, &g);
        if (rc < 0) {
            e->head.state = before;
        }
        yzi_db_abort(&g.txn);
    }
    yzi_buf_fini(&own.body);
    return rc < 0 ? yzi_fail(err, rc, "%s: cannot append an entry (%s)", e->dir, yz_err_words(rc))
                  : YZ_OK;
}

/* After a failed note: its outcome does not matter, but the store's state must be known. */
static void recover(struct evidence *e, const yz_error *why)
{
    yz_error err = {0};
    if (reopen(e, &err) < 0) {
        yzi_error_prefix(&err, "%s", why->text);
        go_down(e, &(struct item_list){0}, &err);
    }
}

static void prune(struct evidence *e, uint64_t below)
{
    yz_error err = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, 64);
    uint64_t before = e->head.pruned;
    if (below <= before) {
        return;
    }
    int rc = yzi_pruning_write(&(struct pruning){below}, &body);
    e->head.pruned = below; /* committed with the entry that says so */
    if (rc < 0 || yzi_writer_note(e, ENTRY_PRUNING, yzi_bytes_buf(&body), STORE_OPEN, &err) < 0) {
        e->head.pruned = before;
        recover(e, &err);
        return;
    }
    yzi_log(&EV_EVIDENCE_PRUNED, (struct log_field[]){log_num("log", (int64_t)e->head.log),
                                                      log_num("from", (int64_t)before),
                                                      log_num("below", (int64_t)below),
                                                      {0}});
}

/* Bodies older than the retention. */
static void check_retention(struct evidence *e)
{
    uint64_t mono = yzi_mono_ms(e->o.clock), wall = yzi_wall_ms(e->o.clock), below = 0;
    if (e->o.retention_ms == 0 || mono < e->next_check) {
        return;
    }
    e->next_check = mono + (e->o.retention_ms < CHECK_MS ? e->o.retention_ms : CHECK_MS);
    if (wall < e->o.retention_ms) {
        return;
    }
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    int rc = yzi_ledger_read(e->store, &t);
    rc = rc < 0
             ? rc
             : yzi_ledger_first_since(e->store, t, e->head.size, wall - e->o.retention_ms, &below);
    yzi_db_abort(&t);
    if (rc == YZ_OK) {
        prune(e, below);
    } else {
        yz_error err = {.code = rc};
        yzi_log_error(&EV_EVIDENCE_DAMAGED, &err, NULL);
    }
}

/* Bodies that are let go of are deleted in steps, with entries or, when there are none, alone. */
static bool sweep(struct evidence *e)
{
    if (e->head.swept >= e->head.pruned) {
        return false;
    }
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    struct store_head h = e->head;
    int rc = yzi_ledger_write(e->store, &t);
    rc = rc < 0 ? rc : yzi_ledger_sweep(e->store, t, &h, SWEEP_STEP);
    rc = rc < 0 ? rc : yzi_ledger_put_head(e->store, t, &h);
    rc = rc < 0 ? rc : yzi_db_commit(&t);
    if (rc == YZ_OK) {
        e->head.swept = h.swept;
    } else {
        yzi_db_abort(&t);
        yz_error err = {0};
        yzi_fail(&err, rc, "%s: cannot delete bodies (%s)", e->dir, yz_err_words(rc));
        recover(e, &err);
    }
    return true;
}

/* -- leaving a log -- */

static struct log_cite newest(const struct evidence *e)
{
    struct log_cite c = {.log = e->head.log, .size = e->head.size, .root = e->head.root};
    memcpy(c.signature, e->head.signature, sizeof c.signature);
    return c;
}

static int end_body(const struct log_cite *c, const char *reason, yz_buf *out)
{
    struct log_end end = {.log = c->log,
                          .size = c->size,
                          .root = c->root,
                          .signature = yzi_bytes(c->signature, c->log ? 64 : 0),
                          .reason = yzi_bytes_str(reason)};
    return yzi_log_end_write(&end, out);
}

/* In good order: the closing entry, and its checkpoint on disk for who opens the store later. */
static void close_log(struct evidence *e)
{
    yz_error err = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, 512);
    struct log_cite before = newest(e);
    int rc = end_body(&before, "closed", &body);
    rc = rc < 0 ? rc : yzi_writer_note(e, ENTRY_CLOSING, yzi_bytes_buf(&body), STORE_CLOSED, &err);
    rc = rc < 0 ? rc : yzi_writer_save(e);
    if (rc == YZ_OK) {
        struct log_cite last = newest(e);
        rc = yzi_logs_follow(e, &last, "closed", &err);
    }
    if (rc < 0) {
        recover(e, &err);
    }
}

int yzi_writer_cite(struct evidence *e, const struct log_cite *cite, const char *reason,
                    yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, 512);
    int rc = end_body(cite, reason, &body);
    if (rc < 0) {
        return yzi_fail(err, rc, "%s: cannot cite a checkpoint (%s)", e->dir, yz_err_words(rc));
    }
    e->head.cited_log = cite->log; /* committed with the entry that says so */
    e->head.cited_size = cite->size;
    return yzi_writer_note(e, ENTRY_OPENING, yzi_bytes_buf(&body), STORE_OPEN, err);
}

static void follow_shown(struct evidence *e, const struct log_cite *cite)
{
    yz_error err = {0};
    int rc;
    if (cite->log >= e->head.log) {
        rc = yzi_logs_follow(e, cite, "peer", &err);
    } else {
        rc = yzi_writer_cite(e, cite, "peer", &err);
    }
    if (rc < 0) {
        recover(e, &err);
    }
}

/* -- the thread -- */

static void timed_wait(pthread_cond_t *c, pthread_mutex_t *m, uint64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(c, m, &t);
}

/* Part of what waits, in order. With the mutex held. */
static void take_group(struct evidence *e, struct item_list *out)
{
    size_t bytes = 0;
    while (e->pending.n && out->n < EVIDENCE_GROUP_ITEMS && bytes < EVIDENCE_GROUP_BYTES) {
        struct evidence_item *i = yzi_items_take(&e->pending);
        bytes += i->body.n;
        yzi_items_add(out, i);
    }
}

static bool has_orders(const struct evidence_orders *o)
{
    return o->shown || o->close_log || o->prune_below > 0;
}

/* Each may leave the log down. */
static void obey(struct evidence *e, const struct evidence_orders *o)
{
    if (o->prune_below) {
        prune(e, o->prune_below);
    }
    if (o->shown && atomic_load(&e->up)) {
        follow_shown(e, &o->cite);
    }
    if (o->close_log && atomic_load(&e->up)) {
        close_log(e);
    }
}

/* Down: try to come up, less and less often. False: it is time to end. */
static bool retry(struct evidence *e, uint64_t *wait)
{
    yz_error err = {0};
    pthread_mutex_lock(&e->mutex);
    if (!e->closing) {
        timed_wait(&e->to_writer, &e->mutex, *wait);
    }
    bool closing = e->closing;
    pthread_mutex_unlock(&e->mutex);
    if (closing) {
        return false;
    }
    int rc = reopen(e, &err);
    rc = rc < 0 ? rc : yzi_ledger_probe(e->store);
    if (rc == YZ_OK) {
        *wait = RETRY_MIN_MS;
        come_up(e);
    } else {
        *wait = *wait * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : *wait * 2;
    }
    return true;
}

/* One round of a log that is up. False: it is time to end. */
static bool round_of(struct evidence *e)
{
    struct item_list items = {0};
    struct evidence_orders orders;
    pthread_mutex_lock(&e->mutex);
    bool idle = e->pending.n == 0 && !has_orders(&e->orders);
    if (idle && !e->closing && e->head.swept >= e->head.pruned) {
        timed_wait(&e->to_writer, &e->mutex, TICK_MS);
    }
    take_group(e, &items);
    orders = e->orders;
    e->orders = (struct evidence_orders){0};
    bool end = e->closing && items.n == 0 && e->pending.n == 0;
    if (e->o.metrics) {
        yzi_metric_set(&e->o.metrics->evidence_waiting, e->pending.n + items.n);
    }
    pthread_mutex_unlock(&e->mutex);
    obey(e, &orders);
    if (items.n && !atomic_load(&e->up)) {
        fail_items(&items, YZ_EUNAVAILABLE);
        hand_back(e, &items);
    } else if (items.n) {
        log_group(e, &items);
    } else if (atomic_load(&e->up)) {
        sweep(e);
    }
    if (atomic_load(&e->up)) {
        check_retention(e);
    }
    return !end;
}

void *yzi_writer_run(void *evidence)
{
    struct evidence *e = evidence;
    uint64_t wait = RETRY_MIN_MS;
    while (atomic_load(&e->up) ? round_of(e) : retry(e, &wait)) {
    }
    if (atomic_load(&e->up)) {
        yz_ignore(yzi_writer_save(e), "the signature can be made again");
    }
    return NULL;
}
