/* SPDX-License-Identifier: Apache-2.0
 *
 * What the log tells to others than the writer: proofs, receipts, entries with their bodies. Each
 * call has a read transaction of its own, for as long as it takes and no longer, because a reader
 * that stays makes the file grow. Older logs are opened for the one call.
 */
#include "base/file.h"
#include "broker/evidence/internal.h"
#include "evidence/opening.h"
#include "evidence/receipt.h"

/* A store to read from, the current one or an older one, with a transaction. */
struct reading {
    struct evidence *e;
    struct evidence_now now; /* of the store that is read; the newest checkpoint there is of it */
    struct store *own;       /* opened for this */
    struct store *store;
    struct db_txn *txn;
    bool locked;
};

static void reading_fini(struct reading *r)
{
    yzi_db_abort(&r->txn);
    yzi_ledger_close(r->own);
    if (r->locked) {
        pthread_rwlock_unlock(&r->e->store_lock);
    }
}

static void copy_now(struct evidence *e, struct evidence_now *out)
{
    pthread_mutex_lock(&e->mutex);
    *out = e->now;
    pthread_mutex_unlock(&e->mutex);
}

static int read_older(struct reading *r, uint64_t log)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    yz_error err = {0};
    struct store_head h;
    YZ_TRY(yzi_logs_path(r->e->dir, log, &path));
    YZ_ENSURE(yzi_file_exists(path), YZ_ENOTFOUND);
    YZ_TRY(yzi_ledger_open(path, false, &r->own, &err));
    r->store = r->own;
    YZ_TRY(yzi_ledger_read(r->store, &r->txn));
    YZ_TRY(yzi_ledger_head(r->store, r->txn, &h, &err));
    r->now = (struct evidence_now){
        .log = log, .size = h.signed_size, .pruned = h.pruned, .root = h.signed_root};
    memcpy(r->now.signature, h.signature, sizeof r->now.signature);
    return YZ_OK;
}

/* log 0: the current one. YZ_ENOTFOUND: there is no such log. */
static int read_begin(struct reading *r, struct evidence *e, uint64_t log)
{
    *r = (struct reading){.e = e};
    pthread_rwlock_rdlock(&e->store_lock);
    r->locked = true;
    copy_now(e, &r->now);
    if (log != 0 && log != r->now.log) {
        YZ_ENSURE(log < r->now.log, YZ_ENOTFOUND);
        return read_older(r, log);
    }
    YZ_ENSURE(e->store, YZ_EUNAVAILABLE);
    r->store = e->store;
    YZ_TRY(yzi_ledger_read(r->store, &r->txn));
    /* The transaction may see a store that the writer has just put in the place of the one `now`
     * speaks of; only between the two is that possible, and it is over when `up` is true again. */
    struct store_head h;
    yz_error err = {0};
    YZ_TRY(yzi_ledger_head(r->store, r->txn, &h, &err));
    r->now.pruned = h.pruned; /* bodies may have gone since */
    return h.log == r->now.log && h.size >= r->now.size ? YZ_OK : YZ_EUNAVAILABLE;
}

/* -- how a log began -- */

struct openings {
    uint64_t index[STORE_SAME_MAX]; /* falling */
    unsigned n;
    uint64_t below;
};

static bool collect_opening(void *ctx, uint64_t index)
{
    struct openings *o = ctx;
    if (index < o->below && o->n < STORE_SAME_MAX) {
        o->index[o->n++] = index;
    }
    return false;
}

static int put_opening(struct reading *r, struct tree_source *source, uint64_t index, uint64_t size,
                       yz_buf *out)
{
    uint8_t bytes[YZ_ENTRY_BYTES];
    struct entry entry;
    struct merkle_path path;
    yz_bytes body;
    YZ_TRY(yzi_ledger_entry(r->store, r->txn, index, bytes));
    YZ_ENSURE(yzi_entry_parse(yzi_bytes(bytes, sizeof bytes), &entry) == 0, YZ_ECORRUPT);
    YZ_TRY(yzi_ledger_body(r->store, r->txn, index, &body));
    YZ_TRY(yzi_nodes_path(index, size, source->node, source->ctx, &path));
    int rc = yzi_opening_put(size, index, &entry, body, &path, out);
    return rc == YZ_EINVAL ? YZ_ECORRUPT : rc;
}

/* The consistency with the empty tree: the openings below `size`, by rising index. */
static int put_openings(struct reading *r, struct tree_source *source, uint64_t size, yz_buf *out)
{
    static const yz_uuid none;
    struct openings o = {.below = size};
    size_t before = out->n;
    int rc = yzi_ledger_find(r->store, r->txn, &none, ENTRY_OPENING, collect_opening, &o);
    rc = rc == YZ_ENOTFOUND ? YZ_OK : rc; /* it goes through all of them and never stops */
    while (rc == YZ_OK && o.n > 0) {
        rc = put_opening(r, source, o.index[--o.n], size, out);
    }
    if (rc < 0) {
        out->n = before;
    }
    return rc;
}

int yzi_evidence_consistency(struct evidence *e, uint64_t log, uint64_t m, uint64_t n, yz_buf *out)
{
    YZ_AUTO(reading_fini) struct reading r;
    struct store_tree tree;
    struct tree_source source;
    struct merkle_path proof;
    YZ_ENSURE(m <= n && log != 0, YZ_EINVAL);
    YZ_TRY(read_begin(&r, e, log));
    YZ_ENSURE(n <= r.now.size, YZ_ENOTFOUND);
    yzi_ledger_tree(&tree, r.store, r.txn, r.now.size, &source);
    if (m == 0) {
        return put_openings(&r, &source, n, out);
    }
    YZ_TRY(yzi_nodes_consistency(m, n, source.node, source.ctx, &proof));
    size_t before = out->n;
    for (unsigned i = 0; i < proof.n; i++) {
        int rc = yzi_buf_put(out, yzi_bytes_digest(&proof.hash[i]));
        if (rc < 0) {
            out->n = before;
            return rc;
        }
    }
    return YZ_OK;
}

/* -- receipts made anew -- */

/* Entries of one message: the newest with this digest, or (NULL) below an index. */
struct wanted {
    struct reading *r;
    const yz_digest *digest;
    uint64_t below;
    uint64_t index;
    struct entry entry;
    int rc;
};

static bool is_wanted(void *ctx, uint64_t index)
{
    struct wanted *w = ctx;
    uint8_t bytes[YZ_ENTRY_BYTES];
    if (index >= w->below) {
        return false;
    }
    w->rc = yzi_ledger_entry(w->r->store, w->r->txn, index, bytes);
    if (w->rc == YZ_OK && yzi_entry_parse(yzi_bytes(bytes, sizeof bytes), &w->entry) < 0) {
        w->rc = YZ_ECORRUPT;
    }
    w->index = index;
    return w->rc < 0 || !w->digest || yzi_digest_eq(&w->entry.digest, w->digest);
}

static int find(struct wanted *w, const yz_uuid *id, enum entry_type type)
{
    w->rc = YZ_OK;
    YZ_TRY(yzi_ledger_find(w->r->store, w->r->txn, id, type, is_wanted, w));
    return w->rc;
}

static int add_entry(struct receipt *out, const struct wanted *w, const struct tree_source *source,
                     const struct tree_edge *edge)
{
    struct receipt_entry *e = &out->entries[out->entries_n];
    e->type = w->entry.type;
    e->index = w->index;
    e->time = w->entry.time;
    YZ_TRY(yzi_tree_path(source, edge, w->index, &e->path));
    out->entries_n++;
    return YZ_OK;
}

/* Which request an answer names, by its body; NULL: that is gone, or no message. Ids are their
 * makers' choice, so two nodes may have used one: the newest with it need not be the one. */
static const yz_digest *request_named(struct reading *r, const struct wanted *answer,
                                      yz_digest *out)
{
    yz_bytes body, header, block;
    struct response_header response;
    struct outcome_header outcome;
    if (yzi_ledger_body(r->store, r->txn, answer->index, &body) < 0 ||
        yzi_entry_message_parse(body, &header, &block) < 0) {
        return NULL;
    }
    if (answer->entry.type == ENTRY_RESPONSE && yzi_response_header_parse(header, &response) == 0) {
        *out = response.request_digest;
        return out;
    }
    if (answer->entry.type == ENTRY_OUTCOME && yzi_outcome_header_parse(header, &outcome) == 0) {
        *out = outcome.request_digest;
        return out;
    }
    return NULL;
}

static int receipt_of(struct reading *r, const yz_uuid *id, const yz_digest *digest,
                      struct receipt *out)
{
    yz_digest named;
    struct wanted answer = {.r = r, .digest = digest, .below = r->now.size};
    struct wanted request = {.r = r};
    struct store_tree tree;
    struct tree_source source;
    struct tree_edge edge;
    int rc = find(&answer, id, ENTRY_RESPONSE);
    rc = rc == YZ_ENOTFOUND ? find(&answer, id, ENTRY_OUTCOME) : rc;
    bool alone = rc == YZ_ENOTFOUND;
    rc = alone ? find(&answer, id, ENTRY_REQUEST) : rc;
    YZ_TRY(rc);
    yzi_ledger_tree(&tree, r->store, r->txn, r->now.size, &source);
    YZ_TRY(yzi_tree_edge(&source, r->now.size, &edge));
    out->entries_n = 0;
    request.below = answer.index;
    if (!alone) {
        request.digest = request_named(r, &answer, &named);
        rc = find(&request, id, ENTRY_REQUEST);
        rc = rc == YZ_OK ? add_entry(out, &request, &source, &edge) : rc;
        YZ_ENSURE(rc == YZ_OK || rc == YZ_ENOTFOUND, rc);
    }
    return add_entry(out, &answer, &source, &edge);
}

static int write_receipt(struct reading *r, struct receipt *receipt, yz_buf *out)
{
    receipt->log = r->now.log;
    receipt->size = r->now.size;
    receipt->root = r->now.root;
    memcpy(receipt->key, r->e->o.log->public_key, sizeof receipt->key);
    memcpy(receipt->signature, r->now.signature, sizeof receipt->signature);
    return yzi_receipt_write(receipt, out);
}

int yzi_evidence_receipt(struct evidence *e, const yz_uuid *message_id, const yz_digest *digest,
                         yz_buf *out)
{
    YZ_AUTO(reading_fini) struct reading r;
    struct receipt receipt;
    YZ_TRY(read_begin(&r, e, 0));
    YZ_TRY(receipt_of(&r, message_id, digest, &receipt));
    return write_receipt(&r, &receipt, out);
}

int yzi_evidence_receipt_at(struct evidence *e, uint64_t log, uint64_t index, yz_digest *out_digest,
                            yz_buf *out)
{
    YZ_AUTO(reading_fini) struct reading r;
    struct store_tree tree;
    struct tree_source source;
    struct tree_edge edge;
    struct receipt receipt = {.entries_n = 0};
    YZ_TRY(read_begin(&r, e, log));
    YZ_ENSURE(index < r.now.size, YZ_ENOTFOUND);
    struct wanted w = {.r = &r, .below = r.now.size};
    is_wanted(&w, index);
    YZ_TRY(w.rc);
    yzi_ledger_tree(&tree, r.store, r.txn, r.now.size, &source);
    YZ_TRY(yzi_tree_edge(&source, r.now.size, &edge));
    YZ_TRY(add_entry(&receipt, &w, &source, &edge));
    *out_digest = w.entry.digest;
    return write_receipt(&r, &receipt, out);
}

int yzi_evidence_find(struct evidence *e, const yz_uuid *message_id, enum entry_type type,
                      uint64_t *out)
{
    YZ_AUTO(reading_fini) struct reading r;
    YZ_TRY(read_begin(&r, e, 0));
    struct wanted w = {.r = &r, .below = r.now.size};
    YZ_TRY(find(&w, message_id, type));
    *out = w.index;
    return YZ_OK;
}

/* -- what a peer showed -- */

/* Does it contradict the current log, or go beyond it? */
static int is_ahead(struct evidence *e, const struct checkpoint_ref *ref, bool *out)
{
    YZ_AUTO(reading_fini) struct reading r;
    struct store_tree tree;
    struct tree_source source;
    yz_digest root;
    YZ_TRY(read_begin(&r, e, 0));
    if (ref->log != r.now.log || ref->size > r.now.size) {
        *out = ref->log >= r.now.log;
        return YZ_OK;
    }
    if (ref->size == r.now.size) {
        root = r.now.root;
    } else {
        yzi_ledger_tree(&tree, r.store, r.txn, r.now.size, &source);
        YZ_TRY(yzi_nodes_root(ref->size, source.node, source.ctx, &root));
    }
    *out = !yzi_digest_eq(&root, &ref->root);
    return YZ_OK;
}

int yzi_evidence_shown(struct evidence *e, const struct checkpoint_ref *ref)
{
    bool ahead;
    YZ_ENSURE(ref->present && ref->signature.n == 64 && ref->log != 0, YZ_EINVAL);
    YZ_TRY(is_ahead(e, ref, &ahead));
    int rc = YZ_EEXIST;
    pthread_mutex_lock(&e->mutex);
    const struct evidence_now *n = &e->now;
    bool newer = ref->log > n->cited_log || (ref->log == n->cited_log && ref->size > n->cited_size);
    const struct log_cite *asked = &e->orders.cite;
    bool waits = e->orders.shown &&
                 (asked->log > ref->log || (asked->log == ref->log && asked->size >= ref->size));
    if (!waits && (ahead || (ref->log < n->log && newer))) {
        e->orders.shown = true;
        e->orders.cite = (struct log_cite){.log = ref->log, .size = ref->size, .root = ref->root};
        memcpy(e->orders.cite.signature, ref->signature.p, 64);
        pthread_cond_signal(&e->to_writer);
        rc = YZ_OK;
    }
    pthread_mutex_unlock(&e->mutex);
    return rc;
}

/* -- looking -- */

void yzi_evidence_status(struct evidence *e, struct evidence_status *out)
{
    struct note_key key;
    yz_buf text;
    char origin[LOG_ORIGIN_MAX];
    *out = (struct evidence_status){.up = atomic_load(&e->up)};
    pthread_mutex_lock(&e->mutex);
    const struct evidence_now now = e->now;
    out->published = e->published;
    out->waiting = e->held_items - e->done.n;
    out->checked = e->scrub.checked;
    out->rewritten = e->scrub.rewritten;
    out->damaged = e->scrub.damaged;
    out->rounds = e->scrub.rounds;
    pthread_mutex_unlock(&e->mutex);
    out->log = now.log;
    out->size = now.size;
    out->pruned = now.pruned;
    memcpy(out->signature, now.signature, sizeof out->signature);
    out->checkpoint = (struct checkpoint_ref){.present = true,
                                              .log = now.log,
                                              .size = now.size,
                                              .root = now.root,
                                              .signature = yzi_bytes(out->signature, 64)};
    yzi_log_origin(e->o.node, now.log, origin);
    yzi_buf_init(&text, sizeof out->vkey - 1);
    if (yzi_note_key(yzi_bytes_str(origin), NOTE_ED25519, e->o.log->public_key, &key) == YZ_OK &&
        yzi_vkey_write(&key, &text) == YZ_OK) {
        memcpy(out->vkey, text.p, text.n);
    }
    yzi_buf_fini(&text);
}

int yzi_evidence_each(struct evidence *e, uint64_t from, uint64_t n,
                      int (*visit)(void *ctx, uint64_t index, yz_bytes entry, yz_bytes body),
                      void *ctx)
{
    YZ_AUTO(reading_fini) struct reading r;
    YZ_TRY(read_begin(&r, e, 0));
    uint64_t end = from < r.now.size && n < r.now.size - from ? from + n : r.now.size;
    for (uint64_t i = from; i < end; i++) {
        uint8_t bytes[YZ_ENTRY_BYTES];
        yz_bytes body = {0};
        YZ_TRY(yzi_ledger_entry(r.store, r.txn, i, bytes));
        int rc = i < r.now.pruned ? YZ_ENOTFOUND : yzi_ledger_body(r.store, r.txn, i, &body);
        YZ_ENSURE(rc == YZ_OK || (rc == YZ_ENOTFOUND && i < r.now.pruned),
                  rc == YZ_ENOTFOUND ? YZ_ECORRUPT : rc);
        if (visit(ctx, i, yzi_bytes(bytes, sizeof bytes), body) != 0) {
            break;
        }
    }
    return YZ_OK;
}
