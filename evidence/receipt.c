/* SPDX-License-Identifier: Apache-2.0
 *
 * Receipts. A receipt has one form: the part of the second path that is its own ends where the two
 * paths meet and not before, so that no two receipts say the same. A remembered checkpoint is named
 * by everything its verification depends on, all 64 bytes of the signature included; whether the
 * key counts is asked each time.
 */
#include "evidence/receipt.h"

#include <inttypes.h>
#include <sodium.h>

#include "base/text.h"
#include "proof/checkpoint.h"
#include "proof/tlogproof.h"

#define RECEIPT_VERSION 1u

/* -- the form -- */

static unsigned path_length(const struct receipt *r, unsigned i)
{
    return yzi_merkle_path_length(r->entries[i].index, r->size);
}

static int check_order(const struct receipt_entry *a, const struct receipt_entry *b)
{
    YZ_ENSURE(a->index != b->index, YZ_EMALFORMED);
    bool rises = a->index < b->index ? a->time <= b->time : b->time <= a->time;
    return rises ? 0 : YZ_EMALFORMED;
}

/* What holds before the paths are looked at, which are as long as size and index say. */
static int check_numbers(const struct receipt *r)
{
    YZ_ENSURE(r->log > 0 && r->size <= CHECKPOINT_SIZE_MAX, YZ_EMALFORMED);
    YZ_ENSURE(r->entries_n >= 1 && r->entries_n <= RECEIPT_ENTRIES_MAX, YZ_EMALFORMED);
    for (unsigned i = 0; i < r->entries_n; i++) {
        YZ_ENSURE(yzi_entry_type_is_known(r->entries[i].type), YZ_EMALFORMED);
        YZ_ENSURE(r->entries[i].index < r->size, YZ_EMALFORMED);
    }
    return r->entries_n == 2 ? check_order(&r->entries[0], &r->entries[1]) : 0;
}

/* How many hashes of the second path are not the end of the first. */
static unsigned own_length(const struct merkle_path *first, const struct merkle_path *second)
{
    unsigned own = second->n;
    for (unsigned i = first->n; i > 0 && own > 0; i--, own--) {
        if (!yzi_digest_eq(&first->hash[i - 1], &second->hash[own - 1])) {
            break;
        }
    }
    return own;
}

static int read_path(yz_reader *r, unsigned n, struct merkle_path *out)
{
    out->n = n;
    for (unsigned i = 0; i < n; i++) {
        YZ_TRY(yzi_read_into(r, out->hash[i].b, sizeof out->hash[i].b));
    }
    return 0;
}

static int read_second_path(yz_reader *r, unsigned n, const struct merkle_path *first,
                            struct merkle_path *out)
{
    uint8_t own;
    YZ_TRY(yzi_read_u8(r, &own));
    YZ_ENSURE(own <= n && n - own <= first->n, YZ_EMALFORMED);
    YZ_TRY(read_path(r, own, out));
    out->n = n;
    for (unsigned i = own; i < n; i++) {
        out->hash[i] = first->hash[first->n - n + i];
    }
    return own_length(first, out) == own ? 0 : YZ_EMALFORMED;
}

static int read_head(yz_reader *r, struct receipt *out)
{
    uint8_t n, type;
    YZ_TRY(yzi_read_u8(r, &n));
    YZ_ENSURE(n >= 1 && n <= RECEIPT_ENTRIES_MAX, YZ_EMALFORMED);
    out->entries_n = n;
    YZ_TRY(yzi_read_u64(r, &out->log));
    YZ_TRY(yzi_read_u64(r, &out->size));
    YZ_TRY(yzi_read_into(r, out->root.b, sizeof out->root.b));
    YZ_TRY(yzi_read_into(r, out->key, sizeof out->key));
    YZ_TRY(yzi_read_into(r, out->signature, sizeof out->signature));
    for (unsigned i = 0; i < n; i++) {
        YZ_TRY(yzi_read_u8(r, &type));
        out->entries[i].type = (enum entry_type)type;
        YZ_TRY(yzi_read_u64(r, &out->entries[i].index));
        YZ_TRY(yzi_read_u64(r, &out->entries[i].time));
    }
    return check_numbers(out);
}

int yzi_receipt_parse(yz_bytes bytes, struct receipt *out)
{
    yz_reader r = yzi_reader(bytes);
    uint8_t version;
    YZ_TRY(yzi_read_u8(&r, &version));
    YZ_ENSURE(version == RECEIPT_VERSION, YZ_EVERSION);
    YZ_TRY(read_head(&r, out));
    YZ_TRY(read_path(&r, path_length(out, 0), &out->entries[0].path));
    if (out->entries_n == 2) {
        YZ_TRY(read_second_path(&r, path_length(out, 1), &out->entries[0].path,
                                &out->entries[1].path));
    }
    return yzi_read_end(&r);
}

static int write_path(const struct merkle_path *p, unsigned n, yz_buf *out)
{
    for (unsigned i = 0; i < n; i++) {
        YZ_TRY(yzi_buf_put(out, yzi_bytes_digest(&p->hash[i])));
    }
    return 0;
}

static int write_parts(const struct receipt *r, yz_buf *out)
{
    YZ_TRY(yzi_buf_put_u8(out, RECEIPT_VERSION));
    YZ_TRY(yzi_buf_put_u8(out, (uint8_t)r->entries_n));
    YZ_TRY(yzi_buf_put_u64(out, r->log));
    YZ_TRY(yzi_buf_put_u64(out, r->size));
    YZ_TRY(yzi_buf_put(out, yzi_bytes_digest(&r->root)));
    YZ_TRY(yzi_buf_put(out, yzi_bytes(r->key, sizeof r->key)));
    YZ_TRY(yzi_buf_put(out, yzi_bytes(r->signature, sizeof r->signature)));
    for (unsigned i = 0; i < r->entries_n; i++) {
        YZ_TRY(yzi_buf_put_u8(out, (uint8_t)r->entries[i].type));
        YZ_TRY(yzi_buf_put_u64(out, r->entries[i].index));
        YZ_TRY(yzi_buf_put_u64(out, r->entries[i].time));
    }
    YZ_TRY(write_path(&r->entries[0].path, r->entries[0].path.n, out));
    if (r->entries_n == 2) {
        unsigned own = own_length(&r->entries[0].path, &r->entries[1].path);
        YZ_TRY(yzi_buf_put_u8(out, (uint8_t)own));
        YZ_TRY(write_path(&r->entries[1].path, own, out));
    }
    return 0;
}

int yzi_receipt_write(const struct receipt *r, yz_buf *out)
{
    YZ_ENSURE(check_numbers(r) == 0, YZ_EINVAL);
    for (unsigned i = 0; i < r->entries_n; i++) {
        YZ_ENSURE(r->entries[i].path.n == path_length(r, i), YZ_EINVAL);
    }
    size_t before = out->n;
    int rc = write_parts(r, out);
    if (rc) {
        out->n = before;
    }
    return rc;
}

/* -- origins and checkpoints -- */

static const char prefix[] = "yizhan/";

void yzi_log_origin(yz_node_id broker, uint64_t log, char out[LOG_ORIGIN_MAX])
{
    int n = snprintf(out, LOG_ORIGIN_MAX, "%s%.*s/%" PRIu64, prefix, (int)broker.v.n,
                     (const char *)broker.v.p, log);
    YZ_ASSERT(n > 0 && (size_t)n < LOG_ORIGIN_MAX);
}

int yzi_log_origin_parse(yz_bytes origin, yz_node_id *out_broker, uint64_t *out_log)
{
    size_t from = sizeof prefix - 1, slash = origin.n;
    YZ_ENSURE(origin.n > from && yzi_bytes_eq_str(yzi_bytes(origin.p, from), prefix),
              YZ_EMALFORMED);
    while (slash > from && origin.p[slash - 1] != '/') {
        slash--;
    }
    YZ_ENSURE(slash > from, YZ_EMALFORMED);
    yz_node_id broker;
    uint64_t log;
    YZ_TRY(yzi_node_id_parse(yzi_bytes(origin.p + from, slash - 1 - from), &broker));
    YZ_ENSURE(yzi_node_is_broker(broker), YZ_EMALFORMED);
    int rc = yzi_u64_parse(yzi_bytes(origin.p + slash, origin.n - slash), UINT64_MAX, &log);
    YZ_ENSURE(rc == 0 && log > 0, YZ_EMALFORMED);
    *out_broker = broker;
    *out_log = log;
    return 0;
}

int yzi_checkpoint_text(yz_node_id broker, uint64_t log, uint64_t size, const yz_digest *root,
                        yz_buf *out)
{
    char origin[LOG_ORIGIN_MAX];
    yzi_log_origin(broker, log, origin);
    const struct checkpoint c = {yzi_bytes_str(origin), size, *root};
    return yzi_checkpoint_write(&c, out);
}

static void name_of(yz_bytes text, const uint8_t key[32], const uint8_t signature[64],
                    yz_digest *out)
{
    crypto_generichash_state s;
    crypto_generichash_init(&s, NULL, 0, sizeof out->b);
    crypto_generichash_update(&s, key, 32); /* fixed lengths first: one reading only */
    crypto_generichash_update(&s, signature, 64);
    crypto_generichash_update(&s, text.p, text.n);
    crypto_generichash_final(&s, out->b, sizeof out->b);
}

static bool is_remembered(const struct checkpoint_memory *m, const yz_digest *name)
{
    for (unsigned i = 0; i < CHECKPOINT_MEMORY_SLOTS; i++) {
        if (yzi_digest_eq(&m->seen[i].name, name)) {
            return true;
        }
    }
    return false;
}

static void remember(struct checkpoint_memory *m, const yz_digest *name)
{
    m->seen[m->next].name = *name;
    m->next = (m->next + 1) % CHECKPOINT_MEMORY_SLOTS;
}

static int check_signature(struct checkpoint_memory *memory, yz_bytes text, const uint8_t key[32],
                           const uint8_t signature[64])
{
    yz_digest name;
    name_of(text, key, signature, &name);
    if (memory && is_remembered(memory, &name)) {
        return 0;
    }
    YZ_TRY(yzi_verify_checkpoint(text, key, signature));
    if (memory) {
        remember(memory, &name);
    }
    return 0;
}

static int broker_node(const struct directory *d, yz_node_id broker, uint64_t now,
                       struct directory_node *out)
{
    YZ_ENSURE(yzi_node_is_broker(broker), YZ_EUNKNOWNKEY);
    YZ_TRY(yzi_directory_node(d, broker, now, out, NULL));
    return out->log ? 0 : YZ_EUNKNOWNKEY;
}

int yzi_checkpoint_verify(struct checkpoint_memory *memory, const struct directory *d,
                          yz_node_id broker, uint64_t now, uint64_t log, uint64_t size,
                          const yz_digest *root, const uint8_t key[32], const uint8_t signature[64])
{
    struct directory_node node;
    YZ_ENSURE(log > 0 && size <= CHECKPOINT_SIZE_MAX, YZ_ESIGNATURE);
    YZ_TRY(broker_node(d, broker, now, &node));
    YZ_TRY(yzi_directory_may_log(d, &node, key, now));
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = CHECKPOINT_TEXT_MAX};
    YZ_TRY(yzi_checkpoint_text(broker, log, size, root, &text));
    return check_signature(memory, yzi_bytes_buf(&text), key, signature);
}

int yzi_checkpoint_ref_verify(struct checkpoint_memory *memory, const struct directory *d,
                              yz_node_id broker, uint64_t now, const struct checkpoint_ref *ref,
                              uint8_t out_key[32])
{
    struct directory_node node;
    YZ_ENSURE(ref->present && ref->signature.n == YZ_SIGNATURE_BYTES, YZ_ESIGNATURE);
    YZ_TRY(broker_node(d, broker, now, &node));
    for (size_t i = 0; i < node.log->n; i++) {
        const uint8_t *key = node.log->items[i].key;
        int rc = yzi_checkpoint_verify(memory, d, broker, now, ref->log, ref->size, &ref->root, key,
                                       ref->signature.p);
        YZ_ENSURE(rc != YZ_ENOMEM, rc);
        if (rc == 0) {
            if (out_key) {
                memcpy(out_key, key, 32);
            }
            return 0;
        }
    }
    return YZ_ESIGNATURE;
}

/* -- receipts -- */

static void entry_leaf(const struct receipt_entry *e, const yz_digest *digest, yz_digest *out)
{
    uint8_t bytes[YZ_ENTRY_BYTES];
    const struct entry entry = {e->type, e->time, *digest};
    yzi_entry_write(&entry, bytes);
    yzi_merkle_leaf(yzi_bytes(bytes, sizeof bytes), out);
}

static bool shows(const struct receipt *r, const struct receipt_entry *e, const yz_digest *digest)
{
    yz_digest leaf, root;
    entry_leaf(e, digest, &leaf);
    int rc = yzi_merkle_root_from_path(&leaf, e->index, r->size, e->path.hash, e->path.n, &root);
    return rc == 0 && yzi_digest_eq(&root, &r->root);
}

static int check_claim(const struct receipt *r, const struct receipt_claim *c,
                       bool used[RECEIPT_ENTRIES_MAX])
{
    bool any = false;
    for (unsigned i = 0; i < r->entries_n; i++) {
        if (used[i] || r->entries[i].type != c->type) {
            continue;
        }
        any = true;
        if (shows(r, &r->entries[i], c->digest)) {
            used[i] = true;
            return 0;
        }
    }
    return any ? YZ_ESIGNATURE : YZ_ENOTFOUND;
}

int yzi_receipt_check(const struct receipt *r, const struct receipt_claim *claims, size_t claims_n)
{
    bool used[RECEIPT_ENTRIES_MAX] = {false};
    for (size_t i = 0; i < claims_n; i++) {
        YZ_TRY(check_claim(r, &claims[i], used));
    }
    return 0;
}

int yzi_receipt_verify(struct checkpoint_memory *memory, const struct directory *d,
                       yz_node_id broker, uint64_t now, const struct receipt *r,
                       const struct receipt_claim *claims, size_t claims_n)
{
    YZ_ENSURE(check_numbers(r) == 0, YZ_EMALFORMED);
    YZ_TRY(yzi_receipt_check(r, claims, claims_n));
    return yzi_checkpoint_verify(memory, d, broker, now, r->log, r->size, &r->root, r->key,
                                 r->signature);
}

int yzi_receipt_to_proof(const struct receipt *r, unsigned i, yz_node_id broker,
                         const yz_digest *digest, yz_buf *out)
{
    char origin[LOG_ORIGIN_MAX];
    uint8_t bytes[YZ_ENTRY_BYTES];
    struct note_key key;
    YZ_ENSURE(i < r->entries_n, YZ_EINVAL);
    const struct entry entry = {r->entries[i].type, r->entries[i].time, *digest};
    yzi_log_origin(broker, r->log, origin);
    YZ_TRY(yzi_note_key(yzi_bytes_str(origin), NOTE_ED25519, r->key, &key));
    const struct checkpoint c = {key.name, r->size, r->root};
    YZ_AUTO(yzi_buf_fini) yz_buf note = {.max = CHECKPOINT_NOTE_MAX};
    YZ_TRY(yzi_checkpoint_note(&c, &key, r->signature, &note));
    yzi_entry_write(&entry, bytes);
    return yzi_tlogproof_write(yzi_bytes(bytes, sizeof bytes), r->entries[i].index,
                               &r->entries[i].path, yzi_bytes_buf(&note), out);
}
