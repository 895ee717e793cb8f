/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker's log for tests, honest or not: leaves made from a seed from `fork_at` on, signed
 * checkpoints of any size, and the proofs a broker would give of it.
 */
#ifndef YZ_TESTS_UNIT_EVIDENCE_PUPPET_LOG_H
#define YZ_TESTS_UNIT_EVIDENCE_PUPPET_LOG_H

#include "evidence/opening.h"
#include "evidence/receipt.h"
#include "tests/support/fixed_key.h"
#include "tests/unit/proof/grown.h"

#define PUPPET_LEAVES 400u

struct puppet_log {
    yz_node_id broker;
    uint64_t log;
    struct key_pair *key;
    struct grown tree;
    yz_buf bodies[2]; /* of the opening entries */
    uint64_t opening_at[2];
    unsigned openings_n;
};

struct puppet_checkpoint {
    uint64_t log, size;
    yz_digest root;
    uint8_t key[32], signature[64];
};

static inline void yz_puppet_leaf(struct puppet_log *p, enum entry_type type, yz_bytes body)
{
    uint8_t bytes[YZ_ENTRY_BYTES];
    struct entry e = {.type = type, .time = p->log + p->tree.f.size};
    yz_digest leaf;
    yzi_entry_digest(body, &e.digest);
    yzi_entry_write(&e, bytes);
    yzi_merkle_leaf(yzi_bytes(bytes, sizeof bytes), &leaf);
    YZ_ASSERT(yzi_frontier_append(&p->tree.f, &leaf, yz_grown_keep, &p->tree) == 0);
}

/* An opening entry that cites this checkpoint; NULL: there was no log before. */
static inline void yz_puppet_open(struct puppet_log *p, const struct puppet_checkpoint *before)
{
    struct log_end end = {.reason = yzi_bytes_str(before ? "restored" : "first")};
    yz_buf *body = &p->bodies[p->openings_n];
    YZ_ASSERT(p->openings_n < 2);
    if (before) {
        end.log = before->log;
        end.size = before->size;
        end.root = before->root;
        end.signature = yzi_bytes(before->signature, sizeof before->signature);
    }
    yzi_buf_init(body, 4096);
    YZ_ASSERT(yzi_log_end_write(&end, body) == 0);
    p->opening_at[p->openings_n++] = p->tree.f.size;
    yz_puppet_leaf(p, ENTRY_OPENING, yzi_bytes_buf(body));
}

/* Grow to `size` entries whose bodies are "seed index". */
static inline void yz_puppet_grow(struct puppet_log *p, uint64_t size, unsigned seed)
{
    while (p->tree.f.size < size) {
        char body[64];
        int n = snprintf(body, sizeof body, "%u %llu", seed, (unsigned long long)p->tree.f.size);
        yz_puppet_leaf(p, ENTRY_REQUEST, yzi_bytes(body, (size_t)n));
    }
}

static inline void yz_puppet_init(struct puppet_log *p, const char *broker, uint64_t log,
                                  struct key_pair *key, const struct puppet_checkpoint *before)
{
    *p = (struct puppet_log){.broker = {yzi_bytes_str(broker)}, .log = log, .key = key};
    yz_grown_init(&p->tree, 0);
    p->tree.cap = PUPPET_LEAVES;
    for (unsigned l = 0; PUPPET_LEAVES >> l > 0; l++) {
        p->tree.level[l] = calloc(PUPPET_LEAVES >> l, sizeof(yz_digest));
        YZ_ASSERT(p->tree.level[l]);
    }
    yz_puppet_open(p, before);
}

static inline void yz_puppet_fini(struct puppet_log *p)
{
    for (unsigned i = 0; i < p->openings_n; i++) {
        yzi_buf_fini(&p->bodies[i]);
    }
    yz_grown_fini(&p->tree);
}

static inline struct puppet_checkpoint yz_puppet_sign(struct puppet_log *p, uint64_t size)
{
    struct puppet_checkpoint c = {.log = p->log, .size = size};
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = 4096};
    YZ_ASSERT(yzi_nodes_root(size, yz_grown_node, &p->tree, &c.root) == 0);
    memcpy(c.key, p->key->public_key, sizeof c.key);
    YZ_ASSERT(yzi_checkpoint_text(p->broker, p->log, size, &c.root, &text) == 0);
    YZ_ASSERT(yzi_sign_checkpoint(p->key, yzi_bytes_buf(&text), c.signature) == 0);
    return c;
}

/* The object to FETCH_CONSISTENCY of this name, appended; false: it has no such tree. */
static inline bool yz_puppet_prove(struct puppet_log *p, yz_bytes name, yz_buf *out)
{
    uint64_t log = yzi_load_u64(name.p), m = yzi_load_u64(name.p + 8),
             n = yzi_load_u64(name.p + 16);
    struct merkle_path path;
    if (log != p->log || m > n || n > p->tree.f.size) {
        return false;
    }
    if (m > 0) {
        YZ_ASSERT(yzi_nodes_consistency(m, n, yz_grown_node, &p->tree, &path) == 0);
        return yzi_buf_put(out, yzi_bytes(path.hash, path.n * sizeof(yz_digest))) == 0;
    }
    for (unsigned i = 0; i < p->openings_n && p->opening_at[i] < n; i++) {
        struct entry e = {.type = ENTRY_OPENING, .time = p->log + p->opening_at[i]};
        yzi_entry_digest(yzi_bytes_buf(&p->bodies[i]), &e.digest);
        YZ_ASSERT(yzi_nodes_path(p->opening_at[i], n, yz_grown_node, &p->tree, &path) == 0);
        YZ_ASSERT(yzi_opening_put(n, p->opening_at[i], &e, yzi_bytes_buf(&p->bodies[i]), &path,
                                  out) == 0);
    }
    return true;
}

#endif
