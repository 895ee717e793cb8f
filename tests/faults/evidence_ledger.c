/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger: everything in memory, by index and by size.
 */
#include "tests/faults/evidence_ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdlib.h>

#define LOGS_MAX 4096u

struct log_seen {
    uint64_t log;
    uint64_t *number; /* by index; 0: not acknowledged */
    yz_digest *root;  /* by size */
    bool *has_root;
    uint64_t cap, acknowledged; /* highest index + 1 */
};
static struct log_seen logs[LOGS_MAX];
static size_t logs_n;
static uint64_t entries_seen, checkpoints_seen;

static struct log_seen *seen_of(uint64_t log)
{
    if (logs_n == 0 || logs[logs_n - 1].log != log) {
        /* a log that was left is never written again */
        assert_true(logs_n < LOGS_MAX && (logs_n == 0 || logs[logs_n - 1].log < log));
        logs[logs_n++] = (struct log_seen){.log = log};
    }
    return &logs[logs_n - 1];
}

static void make_room(struct log_seen *l, uint64_t upto)
{
    uint64_t cap = l->cap ? l->cap : 1024;
    while (cap <= upto) {
        cap *= 2;
    }
    if (cap == l->cap) {
        return;
    }
    l->number = realloc(l->number, cap * sizeof *l->number);
    l->root = realloc(l->root, cap * sizeof *l->root);
    l->has_root = realloc(l->has_root, cap * sizeof *l->has_root);
    assert_true(l->number && l->root && l->has_root);
    memset(l->number + l->cap, 0, (cap - l->cap) * sizeof *l->number);
    memset(l->has_root + l->cap, 0, (cap - l->cap) * sizeof *l->has_root);
    l->cap = cap;
}

static void note_checkpoint(const struct evidence_fixture *f, struct log_seen *l,
                            const struct told *t)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, CHECKPOINT_TEXT_MAX);
    if (l->has_root[t->size]) {
        if (!yzi_digest_eq(&l->root[t->size], &t->root)) {
            fail_msg("log %llu: two roots for size %llu", (unsigned long long)t->log,
                     (unsigned long long)t->size);
        }
        return;
    }
    assert_int_equal(yzi_checkpoint_text(f->options.node, t->log, t->size, &t->root, &text), 0);
    assert_int_equal(crypto_sign_verify_detached(t->signature, text.p, text.n, f->key.public_key),
                     0);
    l->has_root[t->size] = true;
    l->root[t->size] = t->root;
    checkpoints_seen++;
}

void ledger_hear(const struct evidence_fixture *f, const struct told *t)
{
    struct log_seen *l = seen_of(t->log);
    make_room(l, t->size > t->index ? t->size : t->index);
    note_checkpoint(f, l, t);
    if (t->number == 0) {
        if (t->size < l->acknowledged) {
            fail_msg("log %llu went back from %llu to %llu", (unsigned long long)t->log,
                     (unsigned long long)l->acknowledged, (unsigned long long)t->size);
        }
        return;
    }
    assert_true(t->size > t->index);
    if (l->number[t->index]) {
        fail_msg("log %llu: index %llu acknowledged twice", (unsigned long long)t->log,
                 (unsigned long long)t->index);
    }
    l->number[t->index] = t->number;
    l->acknowledged = t->index + 1 > l->acknowledged ? t->index + 1 : l->acknowledged;
    entries_seen++;
}

void ledger_hear_item(const struct evidence_fixture *f, const struct evidence_item *i)
{
    struct told t;
    ledger_told(i, &t);
    ledger_hear(f, &t);
}

void ledger_told(const struct evidence_item *i, struct told *out)
{
    struct receipt r;
    YZ_ASSERT(yzi_receipt_parse(yzi_bytes_buf(&i->receipt), &r) == YZ_OK);
    *out = (struct told){.log = i->log,
                         .index = i->index,
                         .number = yzi_load_u64(i->body.p),
                         .size = r.size,
                         .root = r.root};
    memcpy(out->signature, r.signature, sizeof out->signature);
}

void ledger_hear_state(const struct evidence_fixture *f)
{
    struct told t;
    ledger_told_state(f, &t);
    ledger_hear(f, &t);
}

void ledger_told_state(const struct evidence_fixture *f, struct told *out)
{
    struct evidence_status s;
    yzi_evidence_status(f->log, &s);
    *out = (struct told){.log = s.log, .index = s.size, .size = s.size, .root = s.checkpoint.root};
    memcpy(out->signature, s.signature, sizeof out->signature);
}

struct ledger_counts ledger_counts(void)
{
    return (struct ledger_counts){logs_n, entries_seen, checkpoints_seen};
}

/* -- in the end -- */

struct walk {
    struct log_seen *seen;
    struct merkle_frontier frontier;
    uint64_t found;
};

/* Each entry on its turn: is it the one acknowledged, and is the root after it the one signed? */
static void walk_entry(struct walk *w, uint64_t index, yz_bytes bytes)
{
    struct entry e;
    yz_digest leaf, root, wanted;
    assert_int_equal(yzi_entry_parse(bytes, &e), 0);
    if (index < w->seen->cap && w->seen->number[index]) {
        struct evidence_item *i =
            evidence_make(ENTRY_REQUEST, w->seen->number[index], LEDGER_BODY, NULL);
        wanted = i->digest;
        yzi_evidence_item_unref(i);
        assert_memory_equal(&wanted, &e.digest, sizeof wanted);
        w->found++;
    }
    yzi_merkle_leaf(bytes, &leaf);
    assert_int_equal(yzi_frontier_append(&w->frontier, &leaf, NULL, NULL), 0);
    if (index + 1 < w->seen->cap && w->seen->has_root[index + 1]) {
        yzi_frontier_root(&w->frontier, &root);
        assert_memory_equal(&root, &w->seen->root[index + 1], sizeof root);
        checkpoints_seen--;
    }
}

static void walk_log(const struct evidence_fixture *f, struct log_seen *l)
{
    char path[512];
    yz_error err = {0};
    struct store *s;
    struct db_txn *t;
    struct store_head h;
    struct walk w = {.seen = l};
    snprintf(path, sizeof path, "%s/%llu", f->store, (unsigned long long)l->log);
    assert_int_equal(yzi_ledger_open(path, false, &s, &err), 0);
    assert_int_equal(yzi_ledger_read(s, &t), 0);
    assert_int_equal(yzi_ledger_head(s, t, &h, &err), 0);
    assert_true(h.size >= l->acknowledged);
    for (uint64_t i = 0; i < h.size; i++) {
        uint8_t bytes[YZ_ENTRY_BYTES];
        assert_int_equal(yzi_ledger_entry(s, t, i, bytes), 0);
        walk_entry(&w, i, yzi_bytes(bytes, sizeof bytes));
    }
    yzi_db_abort(&t);
    yzi_ledger_close(s);
    entries_seen -= w.found;
}

/* Open, publish, close in good order; then everything that was told must be there. */
void ledger_check_and_free(struct evidence_fixture *f)
{
    yz_error err = {0};
    struct evidence_status s;
    if (evidence_fixture_open(f, &err) < 0) {
        fail_msg("%s", err.text);
    }
    yzi_evidence_status(f->log, &s);
    seen_of(s.log);
    evidence_fixture_close(f);
    for (size_t i = 0; i < logs_n; i++) {
        uint64_t size;
        assert_true(evidence_published_holds(f, logs[i].log, &size));
        assert_true(size >= logs[i].acknowledged);
        walk_log(f, &logs[i]);
        free(logs[i].number);
        free(logs[i].root);
        free(logs[i].has_root);
    }
    logs_n = 0;
    assert_int_equal(entries_seen, 0);
    assert_int_equal(checkpoints_seen, 0);
}
