/* SPDX-License-Identifier: Apache-2.0
 *
 * Making and checking signatures. The table below is the one place that says who may sign what,
 * with which key, under which context; docs/protocol.md shows it, and a test compares the two.
 */
#include "keys/sign.h"

#include <assert.h>
#include <sodium.h>

#include "proof/merkle.h"

#define KEY_BYTES 32u
#define SIGNATURE_BYTES 64u

static_assert(crypto_sign_PUBLICKEYBYTES == KEY_BYTES && crypto_sign_BYTES == SIGNATURE_BYTES, "");

/* -- who may sign what -- */

enum signed_thing { SIGNED_MESSAGE, SIGNED_RECORD, SIGNED_NOTE };

static const struct {
    enum signed_thing thing;
    unsigned kind; /* enum frame_kind or enum record_kind */
    struct sign_rule rule;
} rules[] = {
    {SIGNED_MESSAGE, FRAME_REQUEST, {"request", "yizhan/v1 request", SIGNER_CONSUMER, KEY_SIGNING}},
    {SIGNED_MESSAGE,
     FRAME_RESPONSE,
     {"response", "yizhan/v1 response", SIGNER_PROVIDER, KEY_SIGNING}},
    {SIGNED_MESSAGE, FRAME_OUTCOME, {"outcome", "yizhan/v1 outcome", SIGNER_BROKER, KEY_SIGNING}},
    {SIGNED_NOTE, 0, {"checkpoint", NULL, SIGNER_LOG, KEY_LOG}},
    {SIGNED_RECORD, RECORD_ROOT, {"root statement", "yizhan/v1 root", SIGNER_ROOT, KEY_ROOT}},
    {SIGNED_RECORD,
     RECORD_MANIFEST,
     {"directory manifest", "yizhan/v1 manifest", SIGNER_OPERATOR, KEY_OPERATOR}},
    {SIGNED_RECORD,
     RECORD_FRESHNESS,
     {"freshness statement", "yizhan/v1 freshness", SIGNER_FRESHNESS, KEY_FRESHNESS}},
    {SIGNED_RECORD,
     RECORD_MEMBER_SET,
     {"member set", "yizhan/v1 member-set", SIGNER_MEMBER, KEY_MEMBER}},
    {SIGNED_RECORD, RECORD_OFFER, {"offer", "yizhan/v1 offer", SIGNER_OWNER, KEY_OWNER}},
    {SIGNED_RECORD,
     RECORD_ANNOUNCEMENT,
     {"epoch announcement", "yizhan/v1 announcement", SIGNER_NODE, KEY_SIGNING}},
    {SIGNED_RECORD,
     RECORD_NODE_REQUEST,
     {"node request", "yizhan/v1 node-request", SIGNER_SELF, KEY_SIGNING}},
    {SIGNED_RECORD, RECORD_MEMBER, {"member record", NULL, SIGNER_NONE, 0}},
    {SIGNED_RECORD, RECORD_BROKER, {"broker record", NULL, SIGNER_NONE, 0}},
    {SIGNED_RECORD, RECORD_REVOCATION, {"revocation", NULL, SIGNER_NONE, 0}},
    {SIGNED_RECORD, RECORD_PURPOSES, {"purpose list", NULL, SIGNER_NONE, 0}},
    {SIGNED_RECORD, RECORD_TERMS, {"fine terms", NULL, SIGNER_NONE, 0}},
};
#define RULES_N (sizeof rules / sizeof rules[0])

static const char *const signers[] = {
    [SIGNER_NONE] = "nobody: covered by a signed manifest or offer",
    [SIGNER_ROOT] = "root keys, at the threshold of the root statement",
    [SIGNER_OPERATOR] = "operator keys, at the threshold of the root statement",
    [SIGNER_FRESHNESS] = "the freshness key of the root statement",
    [SIGNER_MEMBER] = "a member key of the member's record",
    [SIGNER_OWNER] = "an owner key of the member set that declares the subsystem",
    [SIGNER_NODE] = "a signing key of the node it names",
    [SIGNER_CONSUMER] = "a signing key of the client node it names, which speaks for the consumer",
    [SIGNER_PROVIDER] = "a signing key of the adapter in the slot it names of the request",
    [SIGNER_BROKER] = "a signing key of a broker that the request names",
    [SIGNER_LOG] = "a log key of the broker",
    [SIGNER_SELF] = "the signing key that it names itself",
};

const struct sign_rule *yzi_sign_rule_at(size_t i)
{
    return i < RULES_N ? &rules[i].rule : NULL;
}

const char *yzi_signer_text(enum signer signer)
{
    return (size_t)signer < sizeof signers / sizeof signers[0] ? signers[signer] : "?";
}

static const struct sign_rule *rule_of(enum signed_thing thing, unsigned kind)
{
    for (size_t i = 0; i < RULES_N; i++) {
        if (rules[i].thing == thing && rules[i].kind == kind) {
            return &rules[i].rule;
        }
    }
    return NULL;
}

const struct sign_rule *yzi_sign_rule_message(enum frame_kind kind)
{
    return rule_of(SIGNED_MESSAGE, kind);
}

const struct sign_rule *yzi_sign_rule_record(enum record_kind kind)
{
    return rule_of(SIGNED_RECORD, kind);
}

/* -- Ed25519 -- */

static void sign_bytes(struct key_pair *key, yz_bytes m, uint8_t out[SIGNATURE_BYTES])
{
    const uint8_t *secret = yzi_key_pair_open(key);
    (void)crypto_sign_detached(out, NULL, m.p, m.n, secret); /* cannot fail */
    yzi_key_pair_close(key);
}

/* libsodium refuses keys of small order and non-canonical encodings of key, R and S, so that there
 * is no second signature that verifies over the same bytes without the secret. */
static int verify_bytes(yz_bytes m, yz_bytes key, yz_bytes signature)
{
    YZ_ENSURE(key.n == KEY_BYTES && signature.n == SIGNATURE_BYTES, YZ_ESIGNATURE);
    YZ_ENSURE(crypto_sign_verify_detached(signature.p, m.p, m.n, key.p) == 0, YZ_ESIGNATURE);
    return 0;
}

static bool has_use(const struct key_pair *key, enum key_use use)
{
    return key->use == use && key->secret.n == crypto_sign_SECRETKEYBYTES;
}

/* -- messages -- */

/* context ‖ 0x00 ‖ version ‖ kind ‖ tree size ‖ root */
struct root_text {
    uint8_t b[32 + 1 + 1 + 1 + 4 + 32];
    size_t n;
};

static void root_text(const struct sign_rule *rule, enum frame_kind kind, uint32_t tree_size,
                      const yz_digest *root, struct root_text *out)
{
    size_t n = strlen(rule->context) + 1; /* with its NUL */
    YZ_ASSERT(n <= 33);
    memcpy(out->b, rule->context, n);
    out->b[n++] = YZ_PROTOCOL_VERSION;
    out->b[n++] = (uint8_t)kind;
    yzi_store_u32(out->b + n, tree_size);
    n += 4;
    memcpy(out->b + n, root->b, sizeof root->b);
    out->n = n + sizeof root->b;
}

static void leaf_of(enum frame_kind kind, yz_bytes header, yz_digest *out)
{
    const uint8_t head[2] = {YZ_PROTOCOL_VERSION, (uint8_t)kind};
    yzi_merkle_leaf2(yzi_bytes(head, sizeof head), header, out);
}

static void sign_root(struct key_pair *key, enum frame_kind kind, uint32_t tree_size,
                      const yz_digest *root, uint8_t out[SIGNATURE_BYTES])
{
    struct root_text text;
    root_text(yzi_sign_rule_message(kind), kind, tree_size, root, &text);
    sign_bytes(key, yzi_bytes(text.b, text.n), out);
}

static int may_sign_message(const struct key_pair *key, enum frame_kind kind)
{
    const struct sign_rule *rule = yzi_sign_rule_message(kind);
    YZ_ENSURE(rule && has_use(key, rule->use), YZ_EINVAL);
    return 0;
}

int yzi_sign_message(struct key_pair *key, enum frame_kind kind, yz_bytes header, yz_buf *out_block)
{
    YZ_TRY(may_sign_message(key, kind));
    yz_digest leaf;
    uint8_t signature[SIGNATURE_BYTES];
    leaf_of(kind, header, &leaf);
    sign_root(key, kind, 1, &leaf, signature);
    const struct signature_block b = {
        .tree_size = 1,
        .key = yzi_bytes(key->public_key, KEY_BYTES),
        .signature = yzi_bytes(signature, sizeof signature),
    };
    return yzi_block_write(&b, out_block);
}

/* The blocks of a signed tree. Room is made in all of them before the first is written. */
static int write_blocks(const yz_digest *nodes, uint32_t n, struct signature_block *b,
                        yz_buf *blocks)
{
    for (uint32_t i = 0; i < n; i++) {
        unsigned path_n = yzi_merkle_path_length(i, n);
        YZ_TRY(yzi_buf_reserve(&blocks[i], YZ_BLOCK_FIXED + KEY_BYTES * path_n));
    }
    for (uint32_t i = 0; i < n; i++) {
        b->index = i;
        b->path_n = yzi_merkle_tree_path(nodes, n, i, b->path);
        YZ_TRY(yzi_block_write(b, &blocks[i]));
    }
    return 0;
}

int yzi_sign_batch(struct key_pair *key, enum frame_kind kind, const yz_bytes *headers, size_t n,
                   yz_buf *blocks)
{
    YZ_TRY(may_sign_message(key, kind));
    YZ_ENSURE(n > 0 && n <= YZ_BATCH_MAX, YZ_EINVAL);
    YZ_AUTO(yzi_free_ptr) yz_digest *nodes = NULL;
    YZ_TRY(yzi_alloc(yzi_merkle_tree_nodes(n), sizeof *nodes, &nodes));
    for (size_t i = 0; i < n; i++) {
        leaf_of(kind, headers[i], &nodes[i]);
    }
    yz_digest root;
    uint8_t signature[SIGNATURE_BYTES];
    yzi_merkle_tree(nodes, n, &root);
    sign_root(key, kind, (uint32_t)n, &root, signature);
    struct signature_block b = {
        .tree_size = (uint32_t)n,
        .key = yzi_bytes(key->public_key, KEY_BYTES),
        .signature = yzi_bytes(signature, sizeof signature),
    };
    return write_blocks(nodes, (uint32_t)n, &b, blocks);
}

/* What a verified root is remembered by. All 64 signature bytes belong to it: a block with the root
 * of a genuine batch and any other signature must fail as it would alone. */
static void root_name(enum frame_kind kind, const struct signature_block *b, const yz_digest *root,
                      yz_digest *out)
{
    uint8_t m[KEY_BYTES + 1 + 4 + 32 + SIGNATURE_BYTES];
    memcpy(m, b->key.p, KEY_BYTES);
    m[32] = (uint8_t)kind;
    yzi_store_u32(m + 33, b->tree_size);
    memcpy(m + 37, root->b, sizeof root->b);
    memcpy(m + 69, b->signature.p, SIGNATURE_BYTES);
    crypto_generichash(out->b, sizeof out->b, m, sizeof m, NULL, 0);
}

static bool remembers(struct root_memory *memory, const yz_digest *name)
{
    for (size_t i = 0; i < ROOT_MEMORY_SLOTS; i++) {
        if (yzi_digest_eq(&memory->seen[i].name, name)) {
            memory->hits++;
            return true;
        }
    }
    memory->misses++;
    return false;
}

static void remember(struct root_memory *memory, const yz_digest *name)
{
    memory->seen[memory->next].name = *name;
    memory->next = (memory->next + 1) % ROOT_MEMORY_SLOTS;
}

static int verify_root(enum frame_kind kind, const struct signature_block *b, const yz_digest *root)
{
    struct root_text text;
    root_text(yzi_sign_rule_message(kind), kind, b->tree_size, root, &text);
    return verify_bytes(yzi_bytes(text.b, text.n), b->key, b->signature);
}

int yzi_verify_message(struct root_memory *memory, enum frame_kind kind, yz_bytes header,
                       const struct signature_block *b)
{
    YZ_ENSURE(yzi_sign_rule_message(kind), YZ_ESIGNATURE);
    YZ_ENSURE(b->tree_size >= 1 && b->tree_size <= YZ_BATCH_MAX, YZ_ESIGNATURE);
    YZ_ENSURE(b->path_n <= YZ_BATCH_PATH_MAX, YZ_ESIGNATURE);
    YZ_ENSURE(b->key.n == KEY_BYTES && b->signature.n == SIGNATURE_BYTES, YZ_ESIGNATURE);
    yz_digest leaf, root, name;
    leaf_of(kind, header, &leaf);
    int rc = yzi_merkle_root_from_path(&leaf, b->index, b->tree_size, b->path, b->path_n, &root);
    YZ_ENSURE(rc == 0, YZ_ESIGNATURE);
    if (b->tree_size == 1 || !memory) {
        return verify_root(kind, b, &root);
    }
    root_name(kind, b, &root, &name);
    if (!remembers(memory, &name)) {
        YZ_TRY(verify_root(kind, b, &root));
        remember(memory, &name);
    }
    return 0;
}

/* -- records -- */

/* context ‖ 0x00 ‖ version ‖ kind ‖ body */
static int record_text(const struct sign_rule *rule, enum record_kind kind, yz_bytes body,
                       yz_buf *out)
{
    size_t context = strlen(rule->context) + 1; /* with its NUL */
    YZ_ENSURE(body.n <= YZ_RECORD_MAX, YZ_ETOOBIG);
    yzi_buf_init(out, context + 2 + body.n);
    YZ_TRY(yzi_buf_reserve(out, context + 2 + body.n));
    YZ_TRY(yzi_buf_put(out, yzi_bytes(rule->context, context)));
    YZ_TRY(yzi_buf_put_u8(out, YZ_PROTOCOL_VERSION));
    YZ_TRY(yzi_buf_put_u8(out, (uint8_t)kind));
    return yzi_buf_put(out, body);
}

static bool is_key(const uint8_t a[KEY_BYTES], yz_bytes b)
{
    return yzi_bytes_eq(yzi_bytes(a, KEY_BYTES), b);
}

/* That all n keys may sign for the rule and none is there twice. */
static int check_signers(const struct sign_rule *rule, struct key_pair *const *keys, unsigned n)
{
    YZ_ENSURE(rule && (rule->signer == SIGNER_NONE) == (n == 0), YZ_EINVAL);
    YZ_ENSURE(n <= YZ_RECORD_SIGNATURES_MAX, YZ_EINVAL);
    for (unsigned i = 0; i < n; i++) {
        YZ_ENSURE(has_use(keys[i], rule->use), YZ_EINVAL);
        for (unsigned j = 0; j < i; j++) {
            bool same = is_key(keys[j]->public_key, yzi_bytes(keys[i]->public_key, KEY_BYTES));
            YZ_ENSURE(!same, YZ_EINVAL);
        }
    }
    return 0;
}

int yzi_record_sign(enum record_kind kind, yz_bytes body, struct key_pair *const *keys, unsigned n,
                    yz_buf *out)
{
    const struct sign_rule *rule = yzi_sign_rule_record(kind);
    YZ_TRY(check_signers(rule, keys, n));
    struct record_signature signatures[YZ_RECORD_SIGNATURES_MAX];
    uint8_t bytes[YZ_RECORD_SIGNATURES_MAX][SIGNATURE_BYTES];
    YZ_AUTO(yzi_buf_fini) yz_buf text = {0};
    if (n > 0) {
        YZ_TRY(record_text(rule, kind, body, &text));
    }
    for (unsigned i = 0; i < n; i++) {
        sign_bytes(keys[i], yzi_bytes_buf(&text), bytes[i]);
        signatures[i].key = yzi_bytes(keys[i]->public_key, KEY_BYTES);
        signatures[i].signature = yzi_bytes(bytes[i], SIGNATURE_BYTES);
    }
    return yzi_record_write(kind, body, signatures, n, out);
}

/* That every signature present verifies, and that no key signed twice. */
static int verify_all(const struct record *r)
{
    const struct sign_rule *rule = yzi_sign_rule_record(r->kind);
    YZ_ENSURE(rule && rule->signer != SIGNER_NONE, YZ_ESIGNATURE);
    YZ_ENSURE(r->body.n <= YZ_RECORD_MAX, YZ_ESIGNATURE);
    YZ_ENSURE(r->signatures_n <= YZ_RECORD_SIGNATURES_MAX, YZ_ESIGNATURE);
    YZ_AUTO(yzi_buf_fini) yz_buf text = {0};
    YZ_TRY(record_text(rule, r->kind, r->body, &text));
    for (unsigned i = 0; i < r->signatures_n; i++) {
        const struct record_signature *s = &r->signatures[i];
        YZ_TRY(verify_bytes(yzi_bytes_buf(&text), s->key, s->signature));
        for (unsigned j = 0; j < i; j++) {
            YZ_ENSURE(!yzi_bytes_eq(r->signatures[j].key, s->key), YZ_ESIGNATURE);
        }
    }
    return 0;
}

int yzi_record_verify(const struct record *r, const uint8_t (*allowed)[32], size_t allowed_n,
                      unsigned threshold)
{
    YZ_ENSURE(threshold > 0, YZ_ESIGNATURE);
    YZ_TRY(verify_all(r));
    unsigned counted = 0;
    for (unsigned i = 0; i < r->signatures_n; i++) {
        bool found = false;
        for (size_t k = 0; k < allowed_n && !found; k++) {
            found = is_key(allowed[k], r->signatures[i].key);
        }
        counted += found;
    }
    YZ_ENSURE(counted >= threshold, YZ_ESIGNATURE);
    return 0;
}

static bool is_valid_at(const struct key_validity *k, uint64_t now)
{
    return k->not_before <= now && (k->not_after == 0 || now < k->not_after);
}

int yzi_record_verify_one(const struct record *r, const struct key_list *allowed, uint64_t now)
{
    YZ_TRY(verify_all(r));
    int rc = YZ_ESIGNATURE;
    for (unsigned i = 0; i < r->signatures_n; i++) {
        for (size_t k = 0; k < allowed->n; k++) {
            if (!is_key(allowed->items[k].key, r->signatures[i].key)) {
                continue;
            }
            if (is_valid_at(&allowed->items[k], now)) {
                return 0;
            }
            rc = YZ_EEXPIRED;
        }
    }
    return rc;
}

bool yzi_key_list_has(const struct key_list *l, const uint8_t key[32], uint64_t now)
{
    for (size_t i = 0; i < l->n; i++) {
        if (is_key(l->items[i].key, yzi_bytes(key, KEY_BYTES)) && is_valid_at(&l->items[i], now)) {
            return true;
        }
    }
    return false;
}

/* -- checkpoints -- */

/* A text whose first line is an origin: not empty, and without the space that every context has. */
static bool is_note_text(yz_bytes text)
{
    const uint8_t *end = text.n ? memchr(text.p, '\n', text.n) : NULL;
    return end && end > text.p && !memchr(text.p, ' ', (size_t)(end - text.p));
}

int yzi_sign_checkpoint(struct key_pair *key, yz_bytes text, uint8_t out_signature[64])
{
    YZ_ENSURE(has_use(key, rule_of(SIGNED_NOTE, 0)->use) && is_note_text(text), YZ_EINVAL);
    sign_bytes(key, text, out_signature);
    return 0;
}

int yzi_verify_checkpoint(yz_bytes text, const uint8_t key[32], const uint8_t signature[64])
{
    YZ_ENSURE(is_note_text(text), YZ_ESIGNATURE);
    return verify_bytes(text, yzi_bytes(key, KEY_BYTES), yzi_bytes(signature, SIGNATURE_BYTES));
}
